"""The audit taken out, and verified without the vault: by vaultctl, out of a real vault with a log of real records."""
import concurrent.futures
import json
import os
import shutil
import statistics
import sys

from common import ROOT, run, seconds_of, wait_for_quiet

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from vault_under_test import BUILT, running_vault  # noqa: E402

RECORDS = int(os.environ.get("BENCH_RECORDS", "200000"))
CLIENTS, PATIENTS = 16, 100


def fill(vault, count):
    """Inquiries, each with its record."""
    def client(n):
        connection = vault.connect("clinic")
        for i in range(count // CLIENTS):
            connection.request("POST", "/v1/decisions", json.dumps({"subject": f"S-{(n + i) % PATIENTS}", "purpose": scene.TREATMENT}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.read() and answer.status == 200, answer.status
        connection.close()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


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


def measure(settings):
    with running_vault(settings={"map_size": 16 << 30}) as vault:
        for n in range(PATIENTS):
            scene.add_patient(vault, f"S-{n}")
        fill(vault, RECORDS)
        return measure_log(settings, vault)


def show(found):
    print(f"a log of {found['records']:,} records, {found['bytes_each']:,} bytes each: exported with proofs at {found['export']:,} records a second, "
          f"verified at {found['verify']:,} (medians; {found['rates']})")
