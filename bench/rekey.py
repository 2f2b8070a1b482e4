"""Rotation of data keys: one large file, from the request to the end of the job, beside what OpenSSL needs to decrypt,
encrypt and hash as many bytes in memory on one core, and beside what the disk needs to take and give as many without a vault.
Where the disk is slower than OpenSSL, TMPDIR on a tmpfs shows the vault without it."""
import contextlib
import mmap
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


def disk_alone(folder, size):
    """Files like objects, one after the other: written past the page cache, kept for good, read."""
    chunk = mmap.mmap(-1, 4 * MIB)
    chunk.write(os.urandom(len(chunk)))
    names = [folder / str(n) for n in range(size // len(chunk))]

    def write_and_read():
        for name in names:
            for flags, use in (os.O_WRONLY | os.O_CREAT, os.write), (os.O_RDONLY, lambda fd, to: os.readv(fd, [to])):
                fd = os.open(name, flags | os.O_DIRECT, 0o600)
                assert use(fd, chunk) == len(chunk)
                if use is os.write:
                    os.fsync(fd)
                os.close(fd)
    try:
        return seconds_of(write_and_read)
    finally:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                name.unlink()


def measure(settings):
    size = settings.size
    with running_vault() as vault:
        scene.add_patient(vault, "S-bench")
        chunk = os.urandom(16 * MIB)
        scene.deposit(vault, "S-bench", "big", chunk * (size // len(chunk)))
        ours, theirs, disk = [], [], []
        for _ in range(settings.runs):
            wait_for_quiet(settings)
            theirs.append(float(run(BUILT / "recrypt", size // MIB)))
            ours.append(seconds_of(lambda: rotate(vault)))
            disk.append(disk_alone(vault.folder, size))
    rate = lambda seconds: round(size / 1e6 / statistics.median(seconds))
    return {"size_mib": size // MIB, "vault_mb_s": rate(ours), "openssl_mb_s": rate(theirs),
            "disk_mb_s": rate(disk), "ratio": round(median_of_ratios(theirs, ours), 2),
            "ratio_to_disk": round(median_of_ratios(disk, ours), 2)}


def show(result):
    print(f"\nrotation of data keys, {result['size_mib']} MiB: {result['vault_mb_s']} MB/s, "
          f"{result['ratio']} of what OpenSSL decrypts, encrypts and hashes on one core ({result['openssl_mb_s']} MB/s), "
          f"{result['ratio_to_disk']} of what the disk alone takes and gives ({result['disk_mb_s']} MB/s)")
