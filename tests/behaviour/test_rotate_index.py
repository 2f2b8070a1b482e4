"""Another key for the index, while clients read and deposit: nothing is lost, and only the new key opens it afterwards."""
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import types

import pytest

import index_tools
import memory_scan
import scene
from vault_under_test import BUILT, running_vault

MANY = 20_000
CONTENT = os.urandom(300_000)


@pytest.fixture
def vault():
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "a.cram", CONTENT)
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


def index_generation(vault):
    return vault.ctl("key", "list")["index"]


def job(vault, number):
    return next(j for j in vault.ctl("key", "jobs")["jobs"] if j["id"] == number)


def is_whole(vault):
    state = scene.wait_for(lambda: {"whole": "whole", "damaged": "damaged"}.get(
        vault.http("GET", "/v1/status").json()["index"]["state"]), "the index is counted")
    return state == "whole"


def opened(thief, keys):
    """How many values of all databases open under one of these (name, generation) of the ring's keys."""
    pairs, _ = index_tools.dump(thief.state / "index")
    count = {key: 0 for key in keys}
    for number, name in ((1, "subjects"), (2, "consents"), (8, "files"), (12, "blobs"), (20, "records")):
        for place, value in pairs[name].items():
            place = bytes.fromhex(place)
            for key, generation in keys:
                try:
                    memory_scan.unseal(key, bytes.fromhex(value), bytes([number]) + generation.to_bytes(4, "little") + place)
                    count[key, generation] += 1
                except AssertionError:
                    pass
    return count, sum(len(pairs[name]) for name in ("subjects", "consents", "files", "blobs", "records"))


class Clients(threading.Thread):
    """Reads one file over and over, and deposits others."""

    def __init__(self, vault):
        super().__init__()
        self.vault, self.ending, self.reads, self.deposits, self.problems = vault, threading.Event(), 0, [], []

    def run(self):
        while not self.ending.is_set():
            try:
                read = scene.Read(self.vault, "S-1", "a.cram")
                if read.status == 200 and read.whole:
                    self.reads += 1
                    if read.body != CONTENT:
                        self.problems.append("wrong bytes")
                name = f"n{len(self.deposits)}"
                scene.deposit(self.vault, "S-1", name, name.encode() * 1000)
                self.deposits.append(name)
            except (*scene.CUT, AssertionError) as problem:
                if not self.ending.is_set():
                    self.problems.append(repr(problem))

    def stop(self):
        self.ending.set()
        self.join()


def test_nothing_is_lost_while_clients_read_and_deposit(vault):
    before = ring(vault)
    copy = vault.folder / "copy"
    shutil.copytree(vault.state, copy, ignore=shutil.ignore_patterns("reserve"))
    clients = Clients(vault)
    clients.start()
    done = vault.ctl("key", "rotate", "index")
    clients.stop()
    assert done["state"] == "done" and done["failed"] == 0 and done["done"] > MANY and done["generation"] == 2
    assert clients.reads and clients.deposits and not clients.problems, clients.problems
    for name in clients.deposits:
        assert scene.Read(vault, "S-1", name).body == name.encode() * 1000
    after = ring(vault)
    assert index_generation(vault) == 2 and "next index key" not in after and after["index key"] != before["index key"]
    assert after["name key"] == before["name key"]
    vault.ctl("seal")
    keys = [(before["index key"], 1), (before["index key"], 2), (after["index key"], 1), (after["index key"], 2)]
    count, entries = opened(vault, keys)
    assert [count[key] for key in keys] == [0, 0, 0, entries], "all is under the new key, and nothing under the old"
    count, entries = opened(types.SimpleNamespace(state=copy), keys)
    assert [count[key] for key in keys] == [entries, 0, 0, 0], "an older copy opens under the old key only"
    vault.ctl("unseal")
    scene.stop(vault)
    start(vault)
    assert is_whole(vault) and scene.Read(vault, "S-1", "a.cram").body == CONTENT
    if os.geteuid() == 0:
        old = {name: before[name] for name in ("index key", "tally key")}
        assert memory_scan.holders(vault, old) == {}, "the old key is in nobody's memory"
    detail = scene.wait_for_record(vault, event="key.rotated")["detail"]
    assert detail.startswith("index to generation 2, ") and detail.endswith(", 0 damaged")


def test_kills_pauses_and_restarts_on_the_way(vault):
    chance = random.Random(4)
    number = scene.begin_slowly(vault, "/v1/keys/rotate", {"what": "index"}, 600)
    assert "next index key" in ring(vault)
    for round in range(6):
        time.sleep(chance.uniform(0.1, 0.8))
        scene.deposit(vault, "S-1", f"k{round}", CONTENT)
        if round == 2:
            vault.ctl("key", "jobs", "pause", number)
            before = job(vault, number)["done"]
            assert is_whole(vault), "it is counted under both keys"
        if round == 3:
            assert job(vault, number)["done"] == before
            vault.ctl("key", "jobs", "resume", number)
        if round % 2 == 0:
            os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
            scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves again")
        else:
            os.kill(vault.pid, signal.SIGKILL)
            scene.wait_for(lambda: not scene.orphans(vault), "the end of what the supervisor had started")
            start(vault)
        assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
    assert index_generation(vault) == 1 and 0 < job(vault, number)["done"] < job(vault, number)["total"]
    vault.ctl("key", "jobs", "rate", number, 0)
    scene.wait_for(lambda: job(vault, number)["state"] == "done", "the end of the rotation")
    assert index_generation(vault) == 2 and is_whole(vault)
    for name in ["a.cram", *(f"k{round}" for round in range(6))]:
        assert scene.Read(vault, "S-1", name).body == CONTENT
    vault.ctl("key", "rotate", "kek")
    vault.ctl("key", "rotate", "index")
    assert index_generation(vault) == 3
    scene.verify_audit(vault, vault.folder / "export")


def flip(vault, name):
    """One bit of one entry, while the vault does not run."""
    scene.stop(vault)
    pairs, headers = index_tools.dump(vault.state / "index")
    key = sorted(pairs[name])[0]
    value = bytearray(bytes.fromhex(pairs[name][key]))
    value[30] ^= 1
    pairs[name][key] = bytes(value).hex()
    index_tools.replace(vault, (pairs, headers))
    start(vault)


def test_a_damaged_entry_keeps_the_key_before_until_it_is_mended_or_given_up(vault):
    flip(vault, "consents")
    stopped = vault.ctl("key", "rotate", "index", expect=6)
    assert stopped["failed"] == 1 and "the key before is kept" in vault.stderr
    assert vault.ctl("key", "list")["index_next"] == 2
    assert index_generation(vault) == 1 and "next index key" in ring(vault)
    assert scene.wait_for_record(vault, event="key.rotated", outcome="failed")
    vault.ctl("key", "rotate", "index", expect=6)
    flip(vault, "consents")
    assert vault.ctl("key", "rotate", "index")["failed"] == 0
    assert index_generation(vault) == 2 and is_whole(vault) and "next index key" not in ring(vault)
    assert vault.ctl("key", "list")["index_next"] is None
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT

    flip(vault, "consents")
    assert vault.ctl("key", "rotate", "index", "--leave-damaged", expect=6)["failed"] == 1
    assert index_generation(vault) == 3 and not is_whole(vault) and "next index key" not in ring(vault)
    flip(vault, "consents")
    assert not is_whole(vault)
    assert scene.Read(vault, "S-1", "a.cram").status == 500, "no key opens it any more, as was said"


def test_who_may_not_and_what_is_malformed(vault):
    kind = {"Content-Type": "application/json"}
    assert vault.http("POST", "/v1/keys/rotate", b'{"what":"index"}', kind, cert="auditor").status == 403
    for body in (b'{"what":"index","retire":true}', b'{"what":"kek","leave_damaged":true}',
                 b'{"what":"subject","leave_damaged":true}'):
        assert vault.http("POST", "/v1/keys/rotate", body, kind).status == 400, body
    assert index_generation(vault) == 1
