"""Another key for the hashes of names, while clients read, deposit, list, withdraw and shred: everything is found at every
moment, and afterwards nothing is where the old key has it."""
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time

import pytest

import index_tools
import memory_scan
import scene
from vault_under_test import BUILT, ROOT, programs_with, running_vault

MANY = 4_000
CONTENT = os.urandom(300_000)
JSON = {"Content-Type": "application/json"}
BUDGETS = """budgets:
  - {id: project, purpose: research, per: project, period: ever, files: 1000000, text: Many.}
  - {id: service, purpose: research, per: service, period: ever, files: 1000000, text: Many.}
"""
SUBJECT, FILE, DATASET, SERVICE, SAN, PROJECT, ETHICS, OF_SUBJECT, OF_SERVICE = range(1, 10)


@pytest.fixture
def vault():
    # Keys are where a search of the memory finds them.
    with programs_with(vaultd="vaultd-without-secret-memory") as programs, running_vault(programs=programs) as vault:
        for subject in ("S-1", "S-2", "S-3"):
            scene.add_patient(vault, subject)
            scene.deposit(vault, subject, "a.cram", CONTENT, dataset="D-1")
            vault.ctl("care", "add", subject, "--service", "clinic")
        scene.administer(vault, "policy", "load", "-", input=((ROOT / "policies" / "denmark.yaml").read_text() + BUDGETS).encode())
        assert scene.Read(vault, "S-1", "a.cram", scene.RESEARCH, "research").whole
        assert {b["per"] for b in vault.ctl("policy", "budgets")["budgets"]} == {"project", "service"}
        scene.stop(vault)
        subprocess.run([BUILT / "fill_subjects", vault.state, vault.folder / "twin", vault.folder / "root.key", str(MANY)],
                       check=True, timeout=300)
        start(vault)
        yield vault


def start(vault):
    scene.start(vault)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves")


def ring(vault):
    return memory_scan.ring_keys(vault, memory_scan.root_key_of(vault))


def generation(vault):
    return vault.ctl("key", "list")["names"]


def job(vault, number):
    return next(j for j in vault.ctl("key", "jobs")["jobs"] if j["id"] == number)


def is_whole(vault):
    state = scene.wait_for(lambda: {"whole": "whole", "damaged": "damaged"}.get(
        vault.http("GET", "/v1/status").json()["index"]["state"]), "the index is counted")
    return state == "whole"


def in_dataset(vault):
    """The files of the dataset, page by page."""
    found, cursor = [], ""
    while cursor is not None:
        page = vault.http("GET", f"/v1/files?dataset=D-1{cursor}").json()
        found += [f["id"] for f in page["files"]]
        cursor = f"&cursor={page['next']}" if page["next"] else None
    assert len(found) == len(set(found))
    return set(found)


def shred(vault, path):
    pending = vault.http("DELETE", path, b"", JSON)
    assert pending.status == 202, pending.body
    answer = vault.http("POST", f"/v1/pending/{pending.json()['pending']}/approve", cert="operator2")
    assert answer.status == 200, answer.body


def text_at(value, at=0):
    (n,) = struct.unpack_from("<H", value, at)
    return value[at + 2:at + 2 + n].decode(), at + 2 + n


def names_of(vault, keys, generation_of_index=1):
    """(kind, name, subject) of all that the index knows by name."""
    found = [(OF_SERVICE, "unix:0", None)]

    def values(number, name):
        return [value for _, value in memory_scan.values_of(vault, keys["index key"], (number, name), generation_of_index)]
    for value in values(1, "subjects"):
        subject, _ = text_at(value)
        found += [(SUBJECT, subject, None), (OF_SUBJECT, subject, None)]
    for value in values(3, "services"):
        service, at = text_at(value)
        found += [(SERVICE, service, None), (OF_SERVICE, service, None), (SAN, text_at(value, at)[0], None)]
    for value in values(8, "files"):
        subject, at = text_at(value, 32)
        name, at = text_at(value, at)
        found += [(FILE, name, subject), (DATASET, text_at(value, at)[0], None)]
    for number, name, kind in ((5, "projects", PROJECT), (6, "ethics", ETHICS)):
        found += [(kind, text_at(value)[0], None) for value in values(number, name)]
    return set(found)


def found_under(vault, keys, name_key):
    """How many keys of all databases begin with the hash of a name under this key, and how many blobs say it."""
    hashes = {memory_scan.name_hash(name_key, *name) for name in names_of(vault, keys)}
    pairs, _ = index_tools.dump(vault.state / "index")
    count = sum(bytes.fromhex(key)[:32] in hashes for database in pairs.values() for key in database)
    blobs = sum(value[16:48] in hashes for _, value in memory_scan.values_of(vault, keys["index key"], memory_scan.BLOBS))
    return count, blobs


class Clients(threading.Thread):
    """Read one file over and over, deposit others, and list their dataset."""

    def __init__(self, vault):
        super().__init__()
        self.vault, self.ending, self.reads, self.deposits, self.problems = vault, threading.Event(), 0, {}, []

    def once(self):
        read = scene.Read(self.vault, "S-1", "a.cram")
        if read.status != 200 or read.body != CONTENT:
            self.problems.append(f"read {read.status}")
        self.reads += 1
        name = f"n{len(self.deposits)}"
        subject = f"S-{1 + len(self.deposits) % 2}"
        self.deposits[name] = subject, scene.deposit(self.vault, subject, name, name.encode() * 1000, dataset="D-1")["id"]
        missing = {file for _, file in self.deposits.values()} - in_dataset(self.vault)
        if missing:
            self.problems.append(f"not listed: {missing}")

    def run(self):
        while not self.ending.is_set():
            try:
                self.once()
            except (*scene.CUT, AssertionError) as problem:
                self.problems.append(repr(problem))

    def stop(self):
        self.ending.set()
        self.join()


def test_everything_is_found_while_clients_work(vault):
    before = ring(vault)
    count, blobs = found_under(vault, before, before["name key"])
    assert count > 2 * MANY and blobs == 3, "the search finds"
    clients = Clients(vault)
    clients.start()
    number = scene.begin_slowly(vault, "/v1/keys/rotate", {"what": "names"}, 300)
    scene.wait_for(lambda: job(vault, number)["done"] > 100, "it is on its way")
    assert vault.ctl("key", "list")["names_next"] == 2
    assert scene.Read(vault, "S-2", "a.cram").body == CONTENT
    assert vault.http("DELETE", "/v1/consents/S-2").status == 200
    assert scene.Read(vault, "S-2", "a.cram").status == 403, "withdrawn on the way"
    shred(vault, scene.file_path("S-3", "a.cram"))
    assert scene.Read(vault, "S-3", "a.cram").status == 403
    scene.add_patient(vault, "S-new")
    scene.deposit(vault, "S-new", "a.cram", CONTENT, dataset="D-1")
    vault.ctl("key", "jobs", "rate", number, 0)
    scene.wait_for(lambda: job(vault, number)["state"] == "done", "the end of the rotation")
    scene.wait_for(lambda: vault.http("GET", "/v1/status").json()["jobs"] == 0, "the end of the shred")
    clients.stop()
    assert clients.reads and clients.deposits and not clients.problems, clients.problems
    after = ring(vault)
    assert generation(vault) == 2 and "next name key" not in after and after["name key"] != before["name key"]
    assert found_under(vault, after, before["name key"]) == (0, 0), "nothing is under the old key"
    assert found_under(vault, after, after["name key"])[1] == 3 + len(clients.deposits)
    for name, (subject, _) in clients.deposits.items():
        read = scene.Read(vault, subject, name)
        assert read.body == name.encode() * 1000 if subject == "S-1" else read.status == 403, "withdrawn afterwards, too"
    assert in_dataset(vault) >= {file for _, file in clients.deposits.values()}
    if os.geteuid() == 0:
        assert memory_scan.holders(vault, {"name key": after["name key"]}), "the search finds"
        assert memory_scan.holders(vault, {"name key": before["name key"]}) == {}, "the old key is in nobody's memory"
    scene.stop(vault)
    start(vault)
    assert is_whole(vault) and scene.Read(vault, "S-1", "a.cram").body == CONTENT
    assert scene.Read(vault, "S-new", "a.cram").body == CONTENT
    detail = [r["detail"] for r in scene.records(vault) if r["event"] == "key.rotated"]
    assert any(d.startswith("names to generation 2, ") and d.endswith(", 0 damaged") for d in detail), detail
    scene.verify_audit(vault, vault.folder / "export")


def test_kills_pauses_and_restarts_on_the_way(vault):
    chance = random.Random(4)
    before = ring(vault)
    number = scene.begin_slowly(vault, "/v1/keys/rotate", {"what": "names"}, 100)
    for round in range(6):
        time.sleep(chance.uniform(0.1, 0.8))
        scene.deposit(vault, "S-1", f"k{round}", CONTENT, dataset="D-1")
        if round == 2:
            vault.ctl("key", "jobs", "pause", number)
            done = job(vault, number)["done"]
        if round == 3:
            assert job(vault, number)["done"] == done
            vault.ctl("key", "jobs", "resume", number)
        if round % 2 == 0:
            os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
            scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves again")
        else:
            os.kill(vault.pid, signal.SIGKILL)
            scene.wait_for(lambda: not scene.orphans(vault), "the end of what the supervisor had started")
            start(vault)
        assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
        assert len(in_dataset(vault)) == 3 + round + 1
    assert generation(vault) == 1 and 0 < job(vault, number)["done"] < job(vault, number)["total"]
    vault.ctl("key", "jobs", "rate", number, 0)
    scene.wait_for(lambda: job(vault, number)["state"] == "done", "the end of the rotation")
    assert generation(vault) == 2 and is_whole(vault)
    assert found_under(vault, ring(vault), before["name key"]) == (0, 0)
    vault.ctl("key", "rotate", "kek")
    vault.ctl("key", "rotate", "subject")
    for name in ["a.cram", *(f"k{round}" for round in range(6))]:
        assert scene.Read(vault, "S-1", name).body == CONTENT
    scene.verify_audit(vault, vault.folder / "export")


def flip(vault, name, key=None):
    """One bit of one entry, while the vault does not run; which."""
    scene.stop(vault)
    pairs, headers = index_tools.dump(vault.state / "index")
    key = key or sorted(pairs[name])[0]
    value = bytearray(bytes.fromhex(pairs[name][key]))
    value[30] ^= 1
    pairs[name][key] = bytes(value).hex()
    index_tools.replace(vault, (pairs, headers))
    start(vault)
    return key


def test_damage_keeps_the_key_before_until_it_is_mended(vault):
    key = flip(vault, "file-names")
    stopped = vault.ctl("key", "rotate", "names", expect=6)
    assert stopped["failed"] == 1 and "the key before is kept" in vault.stderr
    assert vault.ctl("key", "list")["names_next"] == 2 and generation(vault) == 1
    assert scene.wait_for_record(vault, event="key.rotated", outcome="failed")
    vault.ctl("key", "rotate", "names", expect=6)
    flip(vault, "file-names", key)
    assert vault.ctl("key", "rotate", "names")["failed"] == 0
    assert generation(vault) == 2 and is_whole(vault) and vault.ctl("key", "list")["names_next"] is None
    for subject in ("S-1", "S-2", "S-3"):
        assert scene.Read(vault, subject, "a.cram").body == CONTENT


def lose_index(vault):
    vault.stop()
    shutil.rmtree(vault.state / "index")
    scene.start(vault)


def test_backups_of_before_die_and_one_of_its_beginning_is_taken_up(vault):
    vault.ctl("backup", "before")
    asked = vault.ctl("key", "rotate", "names")["pending"]  # two persons, since a backup dies of it
    assert scene.begin_slowly(vault, f"/v1/pending/{asked}/approve", None, 100, cert="operator2") is not None
    vault.ctl("backup", "during", expect=1)
    assert "key rotate names" in vault.stderr
    lose_index(vault)  # the ring holds both keys, the copy knows nothing of it
    vault.ctl("restore", "before")
    scene.wait_for(lambda: vault.http("GET", "/v1/status").json()["jobs"] == 0, "the rotation begins anew, and ends")
    assert generation(vault) == 2 and "next name key" not in ring(vault) and is_whole(vault)
    vault.ctl("restore", "--confirm", "nothing was lost")
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
    vault.ctl("backup", "second")
    scene.administer(vault, "key", "rotate", "names")
    scene.wait_for(lambda: vault.http("GET", "/v1/status").json()["jobs"] == 0, "the end of the rotation")
    assert {b["name"]: b["state"] for b in vault.ctl("backup", "--list")["backups"]} == {"second": "dead"}
    lose_index(vault)
    vault.ctl("restore", "second", expect=5)
    assert "dead" in vault.stderr and "key rotate names" in vault.stderr
    assert scene.seal_state(vault) == "sealed"


def test_who_may_not_and_what_is_malformed(vault):
    assert vault.http("POST", "/v1/keys/rotate", b'{"what":"names"}', JSON, cert="auditor").status == 403
    for body in (b'{"what":"names","retire":true}', b'{"what":"names","leave_damaged":true}'):
        assert vault.http("POST", "/v1/keys/rotate", body, JSON).status == 400, body
    assert generation(vault) == 1
