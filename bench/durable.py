"""Decisions that are durable before they are answered, by one client and by many at a time; and proofs out of a large log. By a monitor
core without the processes around it."""
import os
import statistics

import sys

from common import ROOT, run

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
from vault_under_test import BUILT  # noqa: E402

CLIENTS = (1, 64)
COUNT = int(os.environ.get("BENCH_DECISIONS", "30000"))
LEAVES = int(os.environ.get("BENCH_LEAVES", "10000000"))
PROOFS = 20_000


def measure(settings):
    """Each in turn, as often as asked: medians."""
    found = {clients: [] for clients in CLIENTS}
    for _ in range(settings.runs):
        for clients in CLIENTS:
            found[clients].append([float(x) for x in run(BUILT / "durable", clients, COUNT if clients > 1 else COUNT // 10).split()])
    middle = lambda rows: dict(zip(("per_second", "median_us", "p99_us", "worst_us"), (round(statistics.median(c)) for c in zip(*rows))))
    median, p99, worst, nodes = run(BUILT / "proofs", LEAVES, PROOFS).split()
    return {"durable": {str(clients): middle(rows) for clients, rows in found.items()},
            "proofs": {"leaves": LEAVES, "median_us": float(median), "p99_us": float(p99), "worst_us": float(worst), "nodes": int(nodes)}}


def show(found):
    for clients, d in found["durable"].items():
        print(f"{clients} clients: {d['per_second']:,} durable decisions a second; one waits for {d['median_us'] / 1000:.2f} ms (p99 "
              f"{d['p99_us'] / 1000:.2f}, worst {d['worst_us'] / 1000:.2f})")
    p = found["proofs"]
    print(f"an inclusion proof among {p['leaves']:,} records, of up to {p['nodes']} nodes: {p['median_us']:.0f} us (p99 {p['p99_us']:.0f}, worst "
          f"{p['worst_us']:.0f})")
