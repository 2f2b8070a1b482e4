"""Runs our parser, llhttp and h11 over the same connections, and finds what one of them takes differently from ours.
  compare.py [COUNT [SEED]]   prints a table; exit 0 only if every difference is explained, and every class was met."""
import collections
import itertools
import json
import pathlib
import struct
import subprocess
import sys

import classes
import generate
import h11_verdict

HERE = pathlib.Path(__file__).resolve().parent
OURS = HERE.parents[1] / "build" / "bin" / "http_verdict"
LLHTTP = ["node", "--no-deprecation", str(HERE / "llhttp_verdict.js")]
BATCH = 2000
COMPARED = ["method", "target", "headers", "close"]

Difference = collections.namedtuple("Difference", "other kind ours theirs why")


def ask(command, inputs):
    packed = b"".join(struct.pack(">I", len(i)) + i for i in inputs)
    done = subprocess.run(command, input=packed, stdout=subprocess.PIPE, check=True, timeout=600)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(inputs), f"{command} gave {len(verdicts)} verdicts on {len(inputs)} inputs"
    return verdicts


def difference_of_request(ours, theirs, refused):
    """What is not the same in one request of both: the name of it, or None."""
    if theirs.get("version") != "1.1":
        return "version"
    for name in COMPARED[:3]:
        if ours[name] != theirs[name]:
            return name
    if ours["body"] != theirs["body"]:
        # A parser that refuses in the middle of a body may have taken less of it.
        return "refused" if refused and ours["body"].startswith(theirs["body"]) else "body"
    if ours["whole"] != theirs["whole"]:
        return "refused" if refused else "end of body"
    return "close" if ours["whole"] and ours["close"] != theirs["close"] else None


def difference(other, ours, theirs):
    """The first thing that ours accepts and the other takes differently, or None."""
    refused = theirs["end"] == "refused"
    for i, request in enumerate(ours["requests"]):
        if not request["whole"] and ours["end"] == "refused":
            return None
        if i >= len(theirs["requests"]):
            return Difference(other, "refused" if refused else "waits", request, None, theirs.get("why"))
        last = i == len(theirs["requests"]) - 1
        kind = difference_of_request(request, theirs["requests"][i], refused and last)
        if kind:
            return Difference(other, kind, request, theirs["requests"][i], theirs.get("why"))
    if ours["end"] == "wait" and len(theirs["requests"]) > len(ours["requests"]):
        return Difference(other, "more", None, theirs["requests"][len(ours["requests"])], None)
    return None


def seen(verdict):
    return [(r["method"], r["target"], r["body"], r["whole"]) for r in verdict["requests"]]


class Comparison:
    def __init__(self):
        self.count = collections.Counter()     # inputs, requests taken by each...
        self.classes = collections.Counter()   # (other, class): explained differences
        self.stricter = collections.Counter()  # (other, our status): refused by ours, taken by the other
        self.unexplained = []

    def take(self, data, ours, verdicts):
        self.count["inputs"] += 1
        self.count["requests"] += sum(r["whole"] for r in ours["requests"])
        self.count["refused"] += ours["end"] == "refused"
        self.count["llhttp and h11 differ"] += seen(verdicts["llhttp"]) != seen(verdicts["h11"])
        for other, theirs in verdicts.items():
            found = difference(other, ours, theirs)
            if found:
                self.explain(data, found)
            elif ours["end"] == "refused" and sum(r["whole"] for r in theirs["requests"]) > \
                    sum(r["whole"] for r in ours["requests"]):
                self.stricter[other, ours["status"]] += 1
            else:
                self.count["alike " + other] += 1

    def explain(self, data, found):
        names = [c.name for c in classes.CLASSES if c.other == found.other and c.holds(found)]
        if len(names) != 1:
            self.unexplained.append((data, found, names))
            return
        self.classes[found.other, names[0]] += 1


def compare_batch(comparison, inputs, plant=None):
    """plant: a fault to be planted in ours (planted.h)."""
    ours = ask([str(OURS)] + ([plant] if plant else []), inputs)
    llhttp = ask(LLHTTP, inputs)
    for data, our, lls in zip(inputs, ours, llhttp):
        comparison.take(data, our, {"llhttp": lls, "h11": h11_verdict.judge(data)})


def compare(seed, count, plant=None, progress=lambda comparison: None):
    """Compares over `count` connections made from `seed`."""
    comparison = Comparison()
    made = generate.connections(seed, count)
    while inputs := list(itertools.islice(made, BATCH)):
        compare_batch(comparison, inputs, plant)
        progress(comparison)
    return comparison


def table(comparison):
    llhttp = json.loads(subprocess.run([*LLHTTP, "--version"], stdout=subprocess.PIPE, check=True).stdout)
    yield f"llhttp {llhttp['llhttp']} (node {llhttp['node']}), h11 {h11_verdict.h11.__version__}"
    for name, count in sorted(comparison.count.items()):
        yield f"{count:8}  {name}"
    for (other, status), count in sorted(comparison.stricter.items()):
        yield f"{count:8}  refused by ours with {status}, taken further by {other}"
    for c in classes.CLASSES:
        yield f"{comparison.classes[c.other, c.name]:8}  {c.other}: {c.name}"
    yield f"{len(comparison.unexplained):8}  not explained"
    for data, found, names in comparison.unexplained[:20]:
        yield f"  {found.other} {found.kind} {found.why} {names}: {data[:2000]!r}"


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = sys.argv[2] if len(sys.argv) > 2 else "1"
    done = compare(seed, count, progress=lambda c: print(f"{c.count['inputs']} of {count}", file=sys.stderr))
    missed = [c.name for c in classes.CLASSES if done.classes[c.other, c.name] == 0]
    print(*table(done), *(f"never met: {name}" for name in missed), sep="\n")
    return 1 if done.unexplained or missed else 0


if __name__ == "__main__":
    sys.exit(main())
