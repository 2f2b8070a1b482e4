"""Rounds of tests/torture/clients. Progress on stderr; a table and a summary on stdout."""
import collections
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "behaviour"))
import floods  # noqa: E402
import requests_fuzzed as fuzzed  # noqa: E402
import scene  # noqa: E402
import smuggling  # noqa: E402
import test_smuggling  # noqa: E402
from strange import crashes  # noqa: E402
from vault_under_test import ROOT, running_vault  # noqa: E402

SMUGGLED, FUZZED = 150, 400
SIZE = 32 << 20


class Tally:
    def __init__(self):
        self.sent, self.landed, self.failed = collections.Counter(), collections.Counter(), []

    def note(self, part, sent, problems):
        self.sent[part] += sent
        self.failed += [f"{part}: {p}" for p in problems]
        print(f"{time.strftime('%H:%M:%S')} {part}: {sent} more, {len(problems)} wrong", file=sys.stderr)


def smuggle(vault, tally, seed):
    first = test_smuggling.size_of_log(vault)
    wrong = test_smuggling.faults(vault, "clinic", smuggling.combined(seed, SMUGGLED))
    problems = [f"{name}: answers {got}" for name, got in wrong.items()]
    if test_smuggling.records_of_the_smuggled(vault, first):
        problems.append(f"seed {seed}: a smuggled request is on record")
    tally.note("smuggling", SMUGGLED, problems)


def fuzz(vault, tally, seed):
    for service in fuzzed.SERVICES:
        problems, statuses = fuzzed.run(vault, service, seed, FUZZED)
        for status, count in statuses.items():
            tally.landed[f"fuzzed, as {service}: {status}"] += count
        tally.note(f"fuzzed as {service}", sum(statuses.values()), problems)


def flood(vault, tally, content):
    for row in floods.ROWS:
        problems = []
        with floods.under(vault, row) as made:
            scene.wait_for(lambda: made() >= 16, row)
            read = scene.Read(vault, floods.SUBJECT, floods.NAME)
            if not read.whole or read.body != content:
                problems.append("the clinic's read was not whole")
            vault.ctl("status")
            tally.landed[f"attacks of `{row}` made meanwhile"] += made()
        tally.note(row, 1, problems)


def main(rounds):
    tally, content = Tally(), bytes(range(256)) * (SIZE // 256)
    with running_vault(limits={"idle_seconds": 10, "denials": 0}) as vault:  # every refusal is to have its record
        subprocess.run([ROOT / "scripts" / "test-pki", vault.folder / "pki", "stranger"], check=True, capture_output=True)
        scene.add_patient(vault, floods.SUBJECT)
        scene.deposit(vault, floods.SUBJECT, floods.NAME, content)
        for seed in range(100, 100 + rounds):
            smuggle(vault, tally, seed)
            fuzz(vault, tally, seed)
            flood(vault, tally, content)
        if crashes(vault):
            tally.failed.append(f"{crashes(vault)} processes crashed")
    for name, count in sorted((tally.sent + tally.landed).items()):
        print(f"{count:10} {name}")
    for problem in tally.failed:
        print(f"WRONG {problem}")
    print(f"clients: {sum(tally.sent.values()) - len(tally.failed)} passed, {len(tally.failed)} failed")
    return 1 if tally.failed or not tally.sent else 0  # a run of nothing proves nothing


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
