"""How much a key may be used, and how old it may become: failed authentications that set a file aside, and keys past their age."""
import ctypes
import hashlib
import os
import struct
import time

import pytest

import memory_scan as formats
import scene
from puppet import MONITOR, Kind, Puppet, open_file
from vault_under_test import programs_with, running_vault

GENOME = bytes(range(256)) * 400


def rules(answer):
    return [r["rule"] for r in answer["reasons"]]


def get(vault, subject, name, cert="clinic"):
    return vault.http("GET", scene.file_path(subject, name), None, {"Purpose": scene.TREATMENT}, cert=cert)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    scene.replace(path, bytes(content))


def totals(vault):
    told = vault.ctl("status")["failed_authentications"]
    return told["reported"], told["confirmed"], told["set_aside"]


def shown(vault, name):
    return vault.ctl("show", f"S-1/{name}")["failed_authentications"]


def scrub(vault):
    vault.http("POST", "/v1/scrub")
    scene.wait_for(lambda: vault.http("GET", "/v1/scrub").json()["state"] == "done", "the scrub")


def deposit(vault, *names):
    """The object of each file, of one object."""
    scene.add_patient(vault, "S-1")
    paths = []
    for name in names:
        before = set(scene.objects(vault))
        scene.deposit(vault, "S-1", name, GENOME)
        [new] = set(scene.objects(vault)) - before
        paths.append(scene.objects(vault)[new])
    return paths


def fail_once(vault, name):
    """One read that meets the damage, and the store's look at it."""
    before = totals(vault)
    assert not scene.Read(vault, "S-1", name).whole
    scene.wait_for(lambda: totals(vault)[1] == before[1] + 1, "the store's word")


def test_damage_that_the_store_confirms_sets_a_file_aside():
    with running_vault(limits={"failed_authentications": 2}) as vault:
        a, b = deposit(vault, "a", "b")
        good = a.read_bytes()
        assert totals(vault) == (0, 0, 0) and shown(vault, "a") is None
        flip(a)
        fail_once(vault, "a")
        assert totals(vault) == (1, 1, 0)
        assert "failed_authentications" not in vault.ctl("show", "S-1/a", "--purpose", "treatment", cert="clinic")
        fail_once(vault, "a")
        assert totals(vault) == (2, 2, 1)
        answer = get(vault, "S-1", "a")
        assert answer.status == 500 and answer.json()["type"] == "urn:vault:problem:integrity"
        assert rules(answer.json()) == ["set-aside"]
        vault.ctl("get", "S-1/a", "--purpose", "treatment", "-o", vault.folder / "got", cert="clinic", expect=6)
        assert scene.Read(vault, "S-1", "b").body == GENOME, "no other file is touched"
        assert shown(vault, "a")["set_aside"].startswith("20") and shown(vault, "b") is None
        assert b"set aside" in vault.ctl("show", "S-1/a", json=False) and b"files set aside" in vault.ctl("status", json=False)
        record = scene.wait_for_record(vault, event="file.aside")
        assert record["outcome"] == "failed" and record["subject"] == "S-1"

        scene.restore(a, good, b.stat())
        assert get(vault, "S-1", "a").status == 500, "until a scrub says so"
        scene.stop(vault)
        scene.start(vault)
        assert get(vault, "S-1", "a").status == 500, "also after a restart"
        scrub(vault)
        assert scene.Read(vault, "S-1", "a").body == GENOME
        assert scene.wait_for_record(vault, event="file.restored")["outcome"] == "done"
        assert totals(vault) == (2, 2, 0) and shown(vault, "a") == {"reported": 2, "confirmed": 0, "set_aside": None}
        scene.verify_audit(vault, vault.folder / "export")


def test_without_a_limit_damage_is_only_counted(vault):
    a, b = deposit(vault, "a", "b")
    flip(a)
    for _ in range(3):
        fail_once(vault, "a")
    assert totals(vault) == (3, 3, 0) and shown(vault, "a")["set_aside"] is None
    flip(a)
    assert scene.Read(vault, "S-1", "a").body == GENOME


@pytest.mark.parametrize("limits", [{"failed_authentications": -1}, {"failed_authentications": 1000001}])
def test_impossible_limit_is_refused_at_the_start(limits):
    with pytest.raises(AssertionError, match="failed_authentications"):
        with running_vault(limits=limits):
            pass


def lie(vault, puppet, name, about):
    """Opens a file and closes the grant with the word that this object is damaged."""
    grant = open_file(puppet, "S-1", name)[2][:16]
    answer = puppet.ask(MONITOR, Kind.grant_close, grant + struct.pack("<BQI", 2, 0, 0) + bytes.fromhex(about.name))
    assert answer[0] == Kind.done


def test_a_worker_that_lies_about_damage_keeps_nobody_from_a_file():
    with programs_with(worker="vaultd-worker-puppet") as programs, \
            running_vault(programs=programs, limits={"failed_authentications": 1, "waiting": 2}) as vault:
        a, b = deposit(vault, "a", "b")
        with Puppet(vault, "handshake") as puppet:
            for _ in range(5):
                lie(vault, puppet, "a", a)
            lie(vault, puppet, "a", b)  # of another file
        assert totals(vault) == (5, 0, 0) and shown(vault, "b") is None
        said = "is whole in the store"
        scene.wait_for(lambda: said in (vault.folder / "vaultd.log").read_text(), "the store's look")
        assert totals(vault) == (5, 0, 0) and scene.Read(vault, "S-1", "a").body == GENOME
        flip(a)
        with Puppet(vault, "handshake") as puppet:
            lie(vault, puppet, "a", a)  # control: where it is no lie, once is enough
        scene.wait_for(lambda: totals(vault) == (6, 1, 1), "the store's word")
        assert get(vault, "S-1", "a").status == 500


# ---- age ----

def seal(key, plain, bound):
    """As memory_scan.unseal opens it."""
    nonce, sealed = os.urandom(24), ctypes.create_string_buffer(len(plain) + 16)
    formats.sodium().crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed, None, plain, ctypes.c_ulonglong(len(plain)), bound, ctypes.c_ulonglong(len(bound)), None, nonce, key)
    return nonce + sealed.raw


def make_older(vault, days):
    """The ring's newest generation, as if it had been made so long before. By whoever knows the format and the root key."""
    head, _, body = formats.ring_of(vault)
    root = formats.root_key_of(vault)
    plain = bytearray(formats.unseal(root, body, head))
    (count,) = struct.unpack_from("<I", plain)
    struct.pack_into("<Q", plain, 4 + 44 * (count - 1) + 4, int(time.time()) - days * 86400)
    ring = head + seal(root, bytes(plain), head)
    ring += hashlib.blake2b(ring, digest_size=32).digest()
    for path in (vault.state / "keyring", vault.folder / "twin" / "keyring"):
        scene.replace(path, ring)


def put(vault, name):
    return vault.http("PUT", scene.file_path("S-1", name), GENOME, cert="depositor")


def test_key_past_its_age_is_warned_of_and_then_takes_no_deposits():
    with running_vault(settings={"key_age": "{warn_days: 30, maximum_days: 90}"}) as vault:
        deposit(vault, "a")
        assert vault.ctl("status")["key_age"] == {"kek_days": 0, "root_days": 0}
        assert vault.ctl("key", "list")["warnings"] == []
        for days, warned, status in ((29, False, 201), (30, True, 201), (89, True, 201), (90, True, 503)):
            scene.stop(vault)
            make_older(vault, days)
            scene.start(vault)
            assert vault.ctl("key", "list")["key_age"] == {"kek_days": days, "root_days": 0}
            said = [f"The key-encryption key is {days} days old: 'key rotate kek' is due."] if warned else []
            assert vault.ctl("status")["warnings"] == said
            assert f"days={days}" in (vault.folder / "vaultd.log").read_text() or not warned
            answer = put(vault, f"at-{days}")
            assert answer.status == status, answer.body
        assert rules(answer.json()) == ["kek-too-old"] and "key rotate kek" in answer.json()["reasons"][0]["text"]
        assert vault.ctl("status", json=False) and "'key rotate kek' is due" in vault.stderr
        assert scene.Read(vault, "S-1", "a").body == GENOME, "reads go on"
        assert scene.Read(vault, "S-1", "at-89").body == GENOME
        assert not [f for f in scene.listed_files(vault) if f["name"] == "at-90"]
        assert scene.wait_for_record(vault, event="deposit", outcome="failed")["reasons"][0]["rule"] == "kek-too-old"
        vault.ctl("key", "rotate", "kek")
        assert vault.ctl("status")["warnings"] == []
        assert put(vault, "after").status == 201
