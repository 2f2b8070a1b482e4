"""A list of files for research over many subjects, of whom few permit it: how long it takes from its first page to its last,
and how long a clinic's new grant waits meanwhile. And what one decision costs, in a small vault and in a large one."""
import json
import os
import statistics
import sys
import time
import urllib.parse

from common import ROOT, run

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from rotation import SMALL, SUBJECT, Opener  # noqa: E402
from vault_under_test import BUILT, running_vault  # noqa: E402

COUNT = int(os.environ.get("BENCH_LISTED", "100000"))
EVERY = 1000  # of them permits research
DECISIONS = 400_000
SIZES = ((1_000, 10), (1_000_000, 10), (1_000, 10_000))  # subjects, approvals


def fill(vault, subjects, every, approvals=0):
    scene.stop(vault)
    run(BUILT / "fill_subjects", vault.state, vault.folder / "twin", vault.folder / "root.key", subjects, every, approvals)


def start(vault):
    scene.start(vault)
    state = lambda: vault.http("GET", "/v1/status").json()
    scene.wait_for(lambda: state().get("index", {}).get("state") == "whole" and state()["standings"]["state"] == "whole",
                   "the index is counted and what patients have said is read", 600)
    return state()["standings"]


def list_all(connection, purpose):
    """Files and pages."""
    files, pages, cursor = 0, 0, ""
    while cursor is not None:
        connection.request("GET", f"/v1/files?purpose={urllib.parse.quote(purpose)}" + (f"&cursor={cursor}" if cursor else ""))
        answer = connection.getresponse()
        page = json.loads(answer.read())
        assert answer.status == 200, page
        files, pages, cursor = files + len(page["files"]), pages + 1, page["next"]
    return files, pages


def lists(vault, runs, gap):
    connection, times, found = vault.connect("research"), [], None
    for _ in range(runs):
        started = time.perf_counter()
        found = list_all(connection, scene.RESEARCH)
        times.append(1000 * (time.perf_counter() - started))
        time.sleep(gap)
    connection.close()
    return times, found


def waits_while(vault, work):
    opener = Opener(vault)
    opener.start()
    time.sleep(1)
    opener.waits = []
    done = work()
    waits = sorted(1000 * w for w in opener.waits)
    opener.stop()
    at = lambda part: round(waits[min(len(waits) - 1, int(part * len(waits)))], 1)
    return done, {"grants": len(waits), "median_ms": at(0.5), "p99_ms": at(0.99), "worst_ms": at(1)}


def measure_lists(settings):
    with running_vault(settings={"map_size": 16 << 30}) as vault:
        scene.add_patient(vault, SUBJECT)
        for n in range(SMALL):
            scene.deposit(vault, SUBJECT, f"small-{n}", b"small")
        fill(vault, COUNT, EVERY)
        kept = start(vault)
        quiet, found = lists(vault, 4 * settings.runs, 0)
        _, calm = waits_while(vault, lambda: time.sleep(10))
        (busy, _), listing = waits_while(vault, lambda: lists(vault, 20 * settings.runs, 0))
        assert found[0] == COUNT // EVERY + SMALL, found
        spread = lambda times: {"median_ms": round(statistics.median(times), 1), "worst_ms": round(max(times), 1)}
        return {"subjects": COUNT, "files": found[0], "pages": found[1], "bytes_each": round(kept["bytes"] / kept["subjects"], 1),
                "alone": spread(quiet), "beside_grants": spread(busy), "grant": {"calm": calm, "listing": listing}}


def measure_decisions(settings):
    """Each size in a vault of its own: the decision alone, and a new grant as a client sees it."""
    found = []
    for subjects, approvals in SIZES:
        with running_vault(settings={"map_size": 16 << 30}) as vault:
            scene.add_patient(vault, SUBJECT)
            for n in range(SMALL):
                scene.deposit(vault, SUBJECT, f"small-{n}", b"small")
            fill(vault, subjects, 2, approvals)
            times = [run(BUILT / "inquiries", vault.state, vault.folder / "twin", vault.folder / "root.key", subjects,
                         approvals, DECISIONS).split() for _ in range(settings.runs)]
            alone, vouched = (round(statistics.median(float(t) for t in of)) for of in zip(*times))
            start(vault)
            _, grant = waits_while(vault, lambda: time.sleep(10))
            found.append({"subjects": subjects, "approvals": approvals, "nanoseconds": alone,
                          "vouched_nanoseconds": vouched, "grant": grant})
    return found


def measure(settings):
    return {"lists": measure_lists(settings), "decisions": measure_decisions(settings)}


def show(found):
    l, grant = found["lists"], found["lists"]["grant"]
    print(f"\na list for research over {l['subjects']} subjects, {l['files']} files in {l['pages']} pages: median "
          f"{l['alone']['median_ms']} ms (worst {l['alone']['worst_ms']}), beside grants {l['beside_grants']['median_ms']} "
          f"({l['beside_grants']['worst_ms']}); {l['bytes_each']} bytes in memory for each subject")
    print(f"a new grant waits, in ms: calm {grant['calm']['median_ms']} (p99 {grant['calm']['p99_ms']}, worst "
          f"{grant['calm']['worst_ms']}), beside lists {grant['listing']['median_ms']} ({grant['listing']['p99_ms']}, "
          f"{grant['listing']['worst_ms']})")
    first = found["decisions"][0]
    for d in found["decisions"]:
        print(f"{d['subjects']:,} subjects, {d['approvals']:,} approvals: one decision with its look-ups {d['nanoseconds']} ns "
              f"({d['nanoseconds'] / first['nanoseconds']:.2f} of the first), with the index's word for it "
              f"{d['vouched_nanoseconds']} ns ({d['vouched_nanoseconds'] / first['vouched_nanoseconds']:.2f}), a new grant {d['grant']['median_ms']} ms "
              f"({d['grant']['median_ms'] / first['grant']['median_ms']:.2f})")
