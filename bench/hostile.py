"""By how much a hostile client slows down a clinic's reads and an operator's status: with and without, in turn."""
import statistics
import sys

from common import ROOT, median_of_ratios, seconds_of

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import floods  # noqa: E402
import scene  # noqa: E402
from vault_under_test import running_vault  # noqa: E402

SIZE = 32 << 20


def read(vault):
    assert scene.Read(vault, floods.SUBJECT, floods.NAME).whole


def status(vault):
    assert vault.http("GET", "/v1/status").status == 200


def both(vault):
    """Seconds of a read, and of a status: the median of three of the short one."""
    return seconds_of(lambda: read(vault)), statistics.median(seconds_of(lambda: status(vault)) for _ in range(3))


def measure_row(vault, row, runs):
    calm, hostile = [], []
    for _ in range(runs):
        calm.append(both(vault))
        with floods.under(vault, row) as made:
            scene.wait_for(lambda: made() >= 16, row)
            hostile.append(both(vault))
    slower = lambda i: round(median_of_ratios([h[i] for h in hostile], [c[i] for c in calm]), 2)
    return {"read_slower": slower(0), "status_slower": slower(1),
            "read_s": round(statistics.median(h[0] for h in hostile), 3),
            "status_ms": round(1000 * statistics.median(h[1] for h in hostile), 1)}


def measure(settings):
    with running_vault() as vault:
        scene.add_patient(vault, floods.SUBJECT)
        scene.deposit(vault, floods.SUBJECT, floods.NAME, bytes(SIZE))
        read(vault)  # warms up
        return {row: measure_row(vault, row, settings.runs) for row in floods.ROWS}


def show(result):
    print(f"\n{'while there are':<22}{'read, times slower':>20}{'status, times slower':>22}"
          f"{'read s':>9}{'status ms':>11}")
    for row, r in result.items():
        print(f"  {row:<20}{r['read_slower']:20}{r['status_slower']:22}{r['read_s']:9}{r['status_ms']:11}")
