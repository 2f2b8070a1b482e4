"""A register of opt-outs taken in while the vault serves: how long it takes, and how long a new grant waits meanwhile."""
import os
import statistics
import sys
import time

from common import ROOT

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from rotation import SMALL, SUBJECT, Opener, add_subjects  # noqa: E402
from vault_under_test import running_vault  # noqa: E402

COUNT = int(os.environ.get("BENCH_OPT_OUTS", "100000"))


def take_in_register(vault, register):
    register.write_text("".join(f"N-{n:08}\n" for n in range(COUNT)))
    return vault.ctl("subject", "opt-out", register, timeout=3600)


def watched(vault, work):
    opener = Opener(vault)
    opener.start()
    time.sleep(1)
    opener.waits, started = [], time.monotonic()
    done = work()
    seconds, waits = time.monotonic() - started, sorted(1000 * w for w in opener.waits)
    opener.stop()
    return {"seconds": round(seconds, 1), "grant_median_ms": round(statistics.median(waits), 1),
            "grant_p99_ms": round(waits[int(0.99 * (len(waits) - 1))], 1), "grant_worst_ms": round(waits[-1], 1),
            "told": done}


def measure(settings):
    with running_vault(settings={"map_size": 16 << 30}) as vault:
        scene.add_patient(vault, SUBJECT)
        for n in range(SMALL):
            scene.deposit(vault, SUBJECT, f"small-{n}", b"small")
        add_subjects(vault, COUNT)
        take_in = lambda: take_in_register(vault, settings.work / "register")
        found = {"calm": watched(vault, lambda: time.sleep(10)), "first": watched(vault, take_in),
                 "again": watched(vault, take_in)}
        assert found["first"]["told"]["opted_out"] == found["again"]["told"]["already"] == COUNT
        return found


def show(found):
    print(f"\na register of {COUNT} opt-outs, taken in while a clinic opens one file after the other")
    for name in ("calm", "first", "again"):
        f = found[name]
        print(f"{name:6} {f['seconds']:6} s; a new grant waits {f['grant_median_ms']} ms, 99 of 100 {f['grant_p99_ms']}, "
              f"worst {f['grant_worst_ms']}")
