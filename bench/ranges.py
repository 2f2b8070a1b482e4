"""64 KiB ranges at random places on one connection that stays open: what a genome browser or samtools does."""
import json
import statistics

from common import CIPHER, ROOT, median_of_ratios, run, wait_for_quiet

RANGE = 65536
KINDS = {"aligned": RANGE, "unaligned": 4099}  # a prime: nearly every range lies in two segments


def build(settings):
    program = settings.work / "ranges"
    run("cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", ROOT / "bench/ranges.c", "-o", program, "-lcurl")
    return program


def load(program, settings, server, alignment):
    pki, who = server.pki, server.reader
    return json.loads(run(program, server.url + "ranges.bin", pki / "ca.pem", pki / f"{who}.pem", pki / f"{who}.key",
                          CIPHER, settings.size, RANGE, alignment, settings.requests, *server.headers))


def measure(settings, vault, nginx, path):
    program = build(settings)
    for server in vault, nginx:
        server.deposit(path, "ranges.bin")
    results = {kind: {"vault": [], "nginx": []} for kind in KINDS}
    for _ in range(settings.runs):
        wait_for_quiet(settings)
        for kind, alignment in KINDS.items():
            for name, server in ("vault", vault), ("nginx", nginx):
                results[kind][name].append(load(program, settings, server, alignment))
    return results


def show(results):
    print(f"\n{'64 KiB ranges':<22}{'req/s':>8}{'p50 µs':>8}{'p99 µs':>8}   the vault serves")
    for kind, servers in results.items():
        column = lambda name, what: [r[what] for r in servers[name]]
        ratio = median_of_ratios(column("vault", "requests_per_s"), column("nginx", "requests_per_s"))
        for name in servers:
            rate, p50, p99 = (statistics.median(column(name, w)) for w in ("requests_per_s", "p50_us", "p99_us"))
            note = "" if name == "vault" else f"{ratio:.2f} times as many"
            print(f"  {name + ', ' + kind:<20}{rate:8.0f}{p50:8.0f}{p99:8.0f}   {note}")
