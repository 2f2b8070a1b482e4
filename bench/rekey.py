"""Rotation of data keys: one large file, from the request to the end of the job, beside what OpenSSL needs to decrypt,
encrypt and hash as many bytes in memory on one core."""
import os
import statistics
import sys

from common import MIB, ROOT, median_of_ratios, run, seconds_of, wait_for_quiet

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from vault_under_test import BUILT, running_vault  # noqa: E402


def rotate(vault):
    job = vault.ctl("key", "rotate", "data", timeout=3600)
    assert (job["state"], job["done"]) == ("done", 1), job


def measure(settings):
    size = settings.size
    with running_vault() as vault:
        scene.add_patient(vault, "S-bench")
        chunk = os.urandom(16 * MIB)
        scene.deposit(vault, "S-bench", "big", chunk * (size // len(chunk)))
        ours, theirs = [], []
        for _ in range(settings.runs):
            wait_for_quiet(settings)
            theirs.append(float(run(BUILT / "recrypt", size // MIB)))
            ours.append(seconds_of(lambda: rotate(vault)))
    rate = lambda seconds: round(size / 1e6 / statistics.median(seconds))
    return {"size_mib": size // MIB, "vault_mb_s": rate(ours), "openssl_mb_s": rate(theirs),
            "ratio": round(median_of_ratios(theirs, ours), 2)}


def show(result):
    print(f"\nrotation of data keys, {result['size_mib']} MiB: {result['vault_mb_s']} MB/s, "
          f"{result['ratio']} of what OpenSSL decrypts, encrypts and hashes on one core ({result['openssl_mb_s']} MB/s)")
