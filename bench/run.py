"""Runs the parts asked for, prints the tables, writes a JSON file. Started by scripts/bench."""
import datetime
import json
import shutil
import sys
import tempfile

import audit
import decisions
import durable
import hostile
import hotspots
import listing
import memory
import optouts
import ranges
import rekey
import rotation
import transfers
import withdrawal
from common import ROOT, machine, read_settings
from servers import Nginx, Restic, Vault, make_file

PARTS = ("transfers", "ranges", "memory", "profile", "hostile", "rotation", "rekey", "decisions", "withdrawal", "optouts", "listing", "durable",
         "audit")
OF_THEIR_OWN = {"hostile": hostile, "rotation": rotation, "rekey": rekey, "decisions": decisions,
                "withdrawal": withdrawal, "optouts": optouts, "listing": listing,
                "durable": durable, "audit": audit}  # need neither the vault nor the server that the others share


def measure(settings, parts, vault, nginx):
    path = settings.work / "content.bin"
    make_file(path, settings.size)
    results = {"machine": machine(), "runs": settings.runs, "size_mib": settings.size >> 20}
    if "transfers" in parts:
        restic = Restic(settings.work / "restic")
        for title, part in ("read", transfers.read), ("deposit", transfers.deposit):
            results[title] = part(settings, vault, nginx, restic, path)
            transfers.show(title, results[title])
    if "ranges" in parts:
        results["ranges"] = ranges.measure(settings, vault, nginx, path)
        ranges.show(results["ranges"])
    if "memory" in parts:
        results["memory"] = memory.measure(settings, vault)
        memory.show(results["memory"])
    if "profile" in parts:
        results["profile"] = hotspots.measure(settings, vault, path)
        hotspots.show(results["profile"])
    return results


def measure_alone(settings, name):
    part = OF_THEIR_OWN[name]
    found = part.measure(settings)
    part.show(found)
    return {"machine": machine(), "runs": settings.runs, name: found}


def write(results):
    folder = ROOT / "bench" / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


def main():
    parts = set(sys.argv[1:] or PARTS)
    settings = read_settings(tempfile.mkdtemp(prefix="vault-bench."))
    vault = nginx = None
    try:
        for name in parts & OF_THEIR_OWN.keys():
            write(measure_alone(settings, name))
        if parts <= OF_THEIR_OWN.keys():
            return
        vault = Vault(settings.work / "vault")
        nginx = Nginx(settings.work / "nginx", vault.pki)
        write(measure(settings, parts, vault, nginx))
    finally:
        for server in nginx, vault:
            if server is not None:
                server.stop()
        shutil.rmtree(settings.work, ignore_errors=True)


if __name__ == "__main__":
    main()
