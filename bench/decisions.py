"""Decisions a second on one core: the pure function, its question in memory."""
import statistics
import sys

from common import ROOT, run, wait_for_quiet

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
from vault_under_test import BUILT  # noqa: E402

COUNT = 20_000_000


def measure(settings):
    seconds = []
    for _ in range(settings.runs):
        wait_for_quiet(settings)
        seconds.append(float(run(BUILT / "decisions", COUNT)))
    return {"count": COUNT, "per_second": round(COUNT / statistics.median(seconds)),
            "slowest": round(COUNT / max(seconds)), "fastest": round(COUNT / min(seconds))}


def show(result):
    print(f"\ndecisions a second, one core: {result['per_second']:,} ({result['slowest']:,} to {result['fastest']:,})")
