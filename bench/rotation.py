"""Rotation of the key-encryption key over many subjects, while a clinic reads and opens files: how long it takes, how much
the read slows down, and how long a new grant waits."""
import os
import statistics
import subprocess
import sys
import threading
import time

from common import CIPHER, ROOT, run

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from vault_under_test import BUILT, running_vault  # noqa: E402

SMALL, BIG = 40, 256 << 20
SUBJECT = "S-bench"
WHAT = os.environ.get("BENCH_ROTATE", "kek")


def add_subjects(vault, count):
    """Behind the vault's back, while it does not run."""
    started = time.monotonic()
    scene.stop(vault)
    run(BUILT / "fill_subjects", vault.state, vault.folder / "twin", vault.folder / "root.key", count)
    scene.start(vault)
    scene.wait_for(lambda: vault.http("GET", "/v1/status").json().get("index", {}).get("state") == "whole",
                   "the index is counted", 600)
    return time.monotonic() - started


class Client(threading.Thread):
    """Does something over and over until it is told to stop."""

    def __init__(self, vault):
        super().__init__()
        self.vault, self.ending = vault, threading.Event()

    def run(self):
        self.connection = self.vault.connect("clinic")
        while not self.ending.is_set():
            self.once()
        self.connection.close()

    def stop(self):
        self.ending.set()
        self.join()

    def get(self, name, headers=None):
        self.connection.request("GET", scene.file_path(SUBJECT, name),
                                headers={"Purpose": scene.TREATMENT, **(headers or {})})
        return self.connection.getresponse()


class Reader(threading.Thread):
    """curl, as in the other parts: a client that takes more of the two cores than the vault would be what is measured."""
    bytes = 0

    def __init__(self, vault):
        super().__init__()
        cert, key = vault.cert("clinic")
        url = f"{vault.url}{scene.file_path(SUBJECT, 'big')}#[1-1000000]"  # once more and again on one connection
        self.curl = subprocess.Popen(
            ["curl", "--silent", "--fail", "--http1.1", "--tlsv1.3", "--tls13-ciphers", CIPHER, "--cacert", vault.ca,
             "--cert", cert, "--key", key, "-H", f"Purpose: {scene.TREATMENT}", "-o", "/dev/null", "-w",
             "%{stderr}%{http_code} %{size_download}\n", url], stderr=subprocess.PIPE, text=True)

    def run(self):
        for line in self.curl.stderr:
            status, size = line.split()
            assert status == "200"
            self.bytes += int(size)

    def stop(self):
        assert self.curl.poll() is None
        self.curl.terminate()
        self.curl.wait()
        self.join()


class Opener(Client):
    """Every file in turn: more than a connection keeps, so that each is a new grant, decided and recorded."""

    def __init__(self, vault):
        super().__init__(vault)
        self.waits, self.next = [], 0

    def once(self):
        self.next = (self.next + 1) % SMALL
        started = time.monotonic()
        answer = self.get(f"small-{self.next}", {"Range": "bytes=0-0"})
        assert answer.status == 206 and len(answer.read()) == 1
        self.waits.append(time.monotonic() - started)
        time.sleep(0.01)


def watched(vault, work):
    """Seconds that the work takes, bytes a second that are read meanwhile, and the waits for new grants."""
    reader, opener = Reader(vault), Opener(vault)
    reader.start()
    opener.start()
    time.sleep(1)
    before, opener.waits = reader.bytes, []
    started = time.monotonic()
    work()
    seconds = time.monotonic() - started
    rate, waits = (reader.bytes - before) / seconds, sorted(opener.waits)
    reader.stop()
    opener.stop()
    return seconds, rate, waits


def rotate(vault):
    assert vault.ctl("key", "rotate", WHAT, timeout=3600)["state"] == "done"


def measure(settings):
    count = int(os.environ.get("BENCH_SUBJECTS", "1000000"))
    with running_vault(settings={"map_size": 16 << 30}) as vault:
        scene.add_patient(vault, SUBJECT)
        scene.deposit(vault, SUBJECT, "big", bytes(BIG))
        for n in range(SMALL):
            scene.deposit(vault, SUBJECT, f"small-{n}", b"small")
        added = add_subjects(vault, count)
        print(f"{count} subjects in {added:.0f} s", file=sys.stderr)
        rounds = []
        for _ in range(settings.runs):
            calm = watched(vault, lambda: time.sleep(10))
            rounds.append((calm, watched(vault, lambda: rotate(vault))))
        wait = lambda w, part: round(1000 * w[min(len(w) - 1, int(part * len(w)))], 1)
        return {"what": WHAT, "subjects": count, "added_s": round(added, 1),
                "seconds": round(statistics.median(r[0] for _, r in rounds), 1),
                "read_ratio": round(statistics.median(r[1] / c[1] for c, r in rounds), 2),
                "read_mb_s": round(statistics.median(c[1] for c, _ in rounds) / 1e6),
                "grant_ms": {"calm": {"median": statistics.median(wait(c[2], 0.5) for c, _ in rounds),
                                      "worst": max(wait(c[2], 1) for c, _ in rounds)},
                             "rotating": {"median": statistics.median(wait(r[2], 0.5) for _, r in rounds),
                                          "p99": statistics.median(wait(r[2], 0.99) for _, r in rounds),
                                          "worst": max(wait(r[2], 1) for _, r in rounds)}}}


def show(result):
    grant = result["grant_ms"]
    print(f"\nrotation of the key '{WHAT}' over {result['subjects']} subjects: {result['seconds']} s, "
          f"read {result['read_ratio']} of {result['read_mb_s']} MB/s")
    print(f"a new grant waits, in ms: calm {grant['calm']['median']} (worst {grant['calm']['worst']}), "
          f"rotating {grant['rotating']['median']} (p99 {grant['rotating']['p99']}, worst {grant['rotating']['worst']})")
