"""The audit taken out, and verified without the vault: by vaultctl, out of a real vault with a log of real records. Then its records
move to the archive while a clinic opens one file after the other, and are taken out once more."""
import os
import shutil
import statistics
import sys
import time

from common import ROOT, run, seconds_of, wait_for_quiet

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from optouts import watched  # noqa: E402
from rotation import SMALL, SUBJECT  # noqa: E402
from vault_under_test import BUILT, running_vault  # noqa: E402

RECORDS = int(os.environ.get("BENCH_RECORDS", "200000"))
PATIENTS = 100


def measure_log(settings, vault):
    export, vkey = settings.work / "export", vault.ctl("audit", "checkpoint")["vkey"]
    found, lines, size = {"export": [], "verify": []}, 0, 0
    for _ in range(settings.runs):
        shutil.rmtree(export, ignore_errors=True)
        wait_for_quiet(settings)
        exported = seconds_of(lambda: vault.ctl("audit", "export", "--format", "jsonl", "-o", export))
        verified = seconds_of(lambda: run(BUILT / "vaultctl", "audit", "verify", export, "--key", vkey))
        lines = (export / "records.jsonl").read_bytes().count(b"\n")
        size = sum(p.stat().st_size for p in export.iterdir())
        found["export"].append(lines / exported)
        found["verify"].append(lines / verified)
    middle = {name: round(statistics.median(rates)) for name, rates in found.items()}
    return {"records": lines, "bytes_each": round(size / lines), **middle, "rates": {n: [round(r) for r in rates] for n, rates in found.items()}}


def measure_archive(settings, vault):
    export, before = settings.work / "archived", vault.ctl("status")["audit"]["index_bytes"]
    moved = watched(vault, lambda: vault.ctl("audit", "archive", "--to", RECORDS, timeout=3600))
    exported = seconds_of(lambda: vault.ctl("audit", "export", "--format", "jsonl", "-o", export))
    lines = (export / "records.jsonl").read_bytes().count(b"\n")
    sealed = sum(s["bytes"] for s in vault.ctl("audit", "archives")["segments"])
    return {**{k: moved[k] for k in ("seconds", "grant_median_ms", "grant_p99_ms", "grant_worst_ms")},
            "calm": {k: v for k, v in watched(vault, lambda: time.sleep(10)).items() if k.startswith("grant")},
            "records": moved["told"]["done"], "export": round(lines / exported), "bytes_each": round(sealed / moved["told"]["done"]),
            "index_bytes": before}


def measure(settings):
    with running_vault(settings={"map_size": 16 << 30}) as vault:
        scene.add_patient(vault, SUBJECT)
        for n in range(SMALL):
            scene.deposit(vault, SUBJECT, f"small-{n}", b"small")
        for n in range(PATIENTS):
            scene.add_patient(vault, f"S-{n}")
        scene.inquire(vault, RECORDS, PATIENTS)
        return {**measure_log(settings, vault), "archive": measure_archive(settings, vault)}


def show(found):
    print(f"a log of {found['records']:,} records, {found['bytes_each']:,} bytes each: exported with proofs at {found['export']:,} records a second, "
          f"verified at {found['verify']:,} (medians; {found['rates']})")
    a = found["archive"]
    print(f"{a['records']:,} records archived in {a['seconds']} s, {a['bytes_each']} bytes each (index before: {a['index_bytes']:,}); a new grant waits "
          f"{a['grant_median_ms']} ms meanwhile, 99 of 100 {a['grant_p99_ms']}, worst {a['grant_worst_ms']} (calm {a['calm']['grant_median_ms']}, "
          f"{a['calm']['grant_p99_ms']}, {a['calm']['grant_worst_ms']}); exported from there at {a['export']:,} a second")
