"""Escrow copies of the key ring: made for custodians, used when the vault's own ring is lost, destroyed, and what they do to
shreds that would be final without them."""
import hashlib
import json
import os
import shutil

import pytest

import scene
from vault_under_test import running_vault

GENOME = b"genome" * 20_000
NAMES = ("anna", "bo", "carl")


@pytest.fixture
def custodians(tmp_path, fresh_vault):
    for name in NAMES:
        fresh_vault.ctl("share", "keys", tmp_path / name)
    fresh_vault.custodians = tmp_path
    return fresh_vault


def escrow(vault, name, **how):
    """A copy; the folder of its files."""
    folder = vault.custodians / name
    keys = [word for n in NAMES for word in ("--to", f"{vault.custodians / n}.pub")]
    vault.made = vault.ctl("key", "escrow", "--shares", 3, "--threshold", 2, *keys, "-o", folder, **how)
    return folder


def opened(vault, folder, *numbers):
    """Shares as their custodians see them."""
    files = []
    for n in numbers:
        text = vault.ctl("share", "open", folder / f"share-{n}.c4gh", "--with", f"{vault.custodians / NAMES[n - 1]}.sec",
                         json=False)
        files.append(folder / f"opened-{n}.txt")
        files[-1].write_bytes(text)
    return files


def ring_places(vault):
    return vault.state / "keyring", vault.folder / "twin" / "keyring"


def ring_bytes(vault):
    return [hashlib.sha256(p.read_bytes()).hexdigest() for p in ring_places(vault)]


def put_in_place(vault, folder):
    """What docs/keys.md says: the copy in the ring's place, its twin removed."""
    ring, twin = ring_places(vault)
    scene.restore(ring, (folder / "keyring").read_bytes(), twin.stat())
    twin.unlink()


def start_sealed(vault, folder):
    scene.stop(vault)
    put_in_place(vault, folder)
    scene.start(vault)
    assert scene.seal_state(vault) == "sealed"


def unseal(vault, shares, **how):
    return vault.ctl("unseal", *[word for s in shares for word in ("--share", s)], **how)


def patient(vault, subject, *names):
    scene.add_patient(vault, subject)
    for name in names:
        scene.deposit(vault, subject, name, GENOME)


def reads(vault, subject="S-1", name="a"):
    return scene.Read(vault, subject, name).body == GENOME


def approve(vault, number, **how):
    return vault.ctl("pending", "approve", number, cert="operator2", **how)


def restore_backup(vault, backup):
    data = vault.state / "index" / "data.mdb"
    scene.restore(data, (backup / "index" / "data.mdb").read_bytes(), data.stat())
    (vault.state / "index" / "lock.mdb").unlink(missing_ok=True)
    like = vault.objects.stat()
    for path in (backup / "objects").rglob("*"):
        to = vault.objects / path.relative_to(backup / "objects")
        if path.is_dir():
            to.mkdir(exist_ok=True)
        else:
            to.unlink(missing_ok=True)
            to.write_bytes(path.read_bytes())
            to.chmod(0o400)
        os.chown(to, like.st_uid, like.st_gid)


def retire(vault):
    vault.ctl("key", "rotate", "kek")
    asked = vault.ctl("key", "rotate", "kek", "--retire", "--without-backup")
    return asked, approve(vault, asked["pending"])


def rules(answer):
    return [r["rule"] for r in answer["reasons"]]


def states(vault, subject):
    return [(s["state"], s["final"]) for s in vault.http("GET", f"/v1/subjects/{subject}").json()["shreds"]]


def warnings(vault):
    told = vault.ctl("key", "list")["warnings"]
    assert vault.ctl("status")["warnings"] == told
    return told


def test_a_copy_opens_the_vault_whose_ring_is_lost(custodians):
    vault = custodians
    patient(vault, "S-1", "a")
    before, epoch = ring_bytes(vault), vault.ctl("status")["epoch"]
    assert vault.ctl("status")["escrow"] is None and warnings(vault) == []
    copy = escrow(vault, "first")
    assert sorted(p.name for p in copy.iterdir()) == ["keyring", "share-1.c4gh", "share-2.c4gh", "share-3.c4gh"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in copy.iterdir())
    assert "keyring" not in vault.made and "containers" not in vault.made and vault.made["escrow"] == "E1"
    assert ring_bytes(vault) == before and vault.ctl("status")["epoch"] == epoch, "the vault's own ring is not touched"
    [record] = [r for r in scene.records(vault) if r["event"] == "key.escrow"]
    assert record["detail"].startswith("E1: 3 shares, threshold 2, ceremony ") and record["seq"] == vault.made["record"]

    vault.ctl("share", "open", copy / "share-1.c4gh", "--with", f"{vault.custodians / 'bo'}.sec", json=False, expect=1)
    shares = opened(vault, copy, 3, 1)
    start_sealed(vault, copy)
    assert unseal(vault, shares[:1])["seal"] == "sealed", "one of two is not enough"
    assert unseal(vault, shares[1:])["seal"] == "unsealed"
    assert reads(vault)
    root = vault.ctl("status")["root"]
    assert root["by"] == "shares" and root["ceremony"] == vault.made["ceremony"]
    record = next(r for r in scene.records(vault)[::-1] if r["event"] == "vault.unseal")
    assert vault.made["ceremony"] in record["detail"]
    assert len(set(ring_bytes(vault))) == 1, "the twin was written again"
    vault.ctl("key", "seal", "credential")
    scene.stop(vault)
    scene.start(vault)
    assert reads(vault), "a seal of its own again"
    assert warnings(vault) != [], "the copy is of the ring before that"


def test_a_copy_beside_a_twin_that_was_left_is_the_one_that_its_shares_open(custodians):
    vault = custodians
    patient(vault, "S-1", "a")
    copy = escrow(vault, "first")
    shares = opened(vault, copy, 2, 3)
    scene.stop(vault)
    ring, twin = ring_places(vault)
    scene.replace(ring, (copy / "keyring").read_bytes())
    scene.start(vault)
    assert unseal(vault, shares)["seal"] == "unsealed" and reads(vault)
    assert ring.read_bytes() == twin.read_bytes() == (copy / "keyring").read_bytes()


def test_a_copy_from_before_a_change_is_refused_and_warned_of(custodians):
    vault = custodians
    patient(vault, "S-1", "a")
    copy = escrow(vault, "first")
    assert vault.ctl("status")["escrow"] == {"copies": 1, "newest": "E1", "current": True} and warnings(vault) == []
    vault.ctl("key", "rotate", "kek")
    assert vault.ctl("status")["escrow"]["current"] is False
    assert "make a new one" in warnings(vault)[0]
    assert b"warning" not in vault.ctl("key", "list", json=False) and "make a new one" in vault.stderr
    kept = [(p, p.read_bytes(), p.stat()) for p in ring_places(vault)]
    shares = opened(vault, copy, 1, 2)
    start_sealed(vault, copy)
    unseal(vault, shares[:1])
    unseal(vault, shares[1:], expect=5)
    assert "The key ring is older than the index." in vault.stderr
    assert scene.seal_state(vault) == "sealed"
    scene.stop(vault)
    for path, content, like in kept:
        scene.restore(path, content, like)
    scene.start(vault)
    assert reads(vault), "the refusal left everything as it was"
    escrow(vault, "second")
    assert warnings(vault) == [] and vault.ctl("status")["escrow"]["newest"] == "E2"


def test_a_shred_is_final_except_for_copies_that_hold_the_generation(custodians):
    vault = custodians
    patient(vault, "S-1", "a", "b")
    copy = escrow(vault, "first")
    escrow(vault, "second")
    shares = opened(vault, copy, 1, 2)
    backup = vault.custodians / "backup"  # of before
    shutil.copytree(vault.state / "index", backup / "index")
    shutil.copytree(vault.objects, backup / "objects")
    approve(vault, vault.ctl("remove", "S-1/a")["pending"])
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.http("GET", "/v1/jobs").json()["jobs"]), "the jobs")
    assert states(vault, "S-1") == [("not final until generation 1 is retired", False)]
    asked, retired = retire(vault)
    assert "still held by escrow E1, E2" in asked["detail"]
    record = next(r for r in scene.records(vault) if r["event"] == "key.retired")
    assert record["detail"] == "generations before 2, still held by escrow E1, E2"
    if vault.ctl("status")["root"]["by"] == "credential":
        assert retired["escrows"] == ["E1", "E2"]
    assert states(vault, "S-1") == [("final except escrow E1, E2", False)]

    asked = vault.ctl("key", "escrow", "destroyed", "E2", "--statement", "burnt, Anna and Bo present")
    assert asked["what"] == "key.escrow.destroyed" and asked["detail"] == "E2: burnt, Anna and Bo present"
    assert states(vault, "S-1") == [("final except escrow E1, E2", False)], "one person's word is not enough"
    own = vault.http("POST", f"/v1/pending/{asked['pending']}/approve")
    assert own.status == 403 and rules(own.json()) == ["own-request"]
    done = approve(vault, asked["pending"])
    assert (done["escrow"], done["state"], done["statement"]) == ("E2", "destroyed", "burnt, Anna and Bo present")
    assert states(vault, "S-1") == [("final except escrow E1", False)]
    again = vault.ctl("key", "escrow", "destroyed", "2", "--statement", "again", expect=1)
    assert rules(again) == ["destroyed"]
    approve(vault, vault.ctl("key", "escrow", "destroyed", "E1", "--statement", "the last one")["pending"])
    [(state, final)] = states(vault, "S-1")
    last = vault.ctl("key", "escrow", "list")["escrows"][0]
    assert final and state == f"final since {last['destroyed']}", "no sooner than the last copy was destroyed"
    assert [r["detail"] for r in scene.records(vault) if r["event"] == "key.escrow.destroyed" and r["outcome"] == "done"][-1] == "E1: the last one"
    copy3 = escrow(vault, "third")
    assert states(vault, "S-1") == [(state, True)], "a copy of the ring of now does not hold it"
    assert copy3.exists()

    # What was said of E1 while it was there is true: it opens the index of before, and what was shredded since.
    assert scene.Read(vault, "S-1", "a").status == 403
    scene.stop(vault)
    restore_backup(vault, backup)
    put_in_place(vault, copy)
    scene.start(vault)
    unseal(vault, shares)
    assert reads(vault, "S-1", "a")


def test_bad_input_is_named_and_makes_nothing(custodians, tmp_path):
    vault = custodians
    good = [word for n in NAMES for word in ("--to", f"{tmp_path / n}.pub")]

    def refused(expect, *words):
        vault.ctl("key", "escrow", *words, expect=expect)
        said = vault.stderr
        assert vault.ctl("key", "escrow", "list")["escrows"] == []
        assert vault.ctl("status")["escrow"] is None
        return said

    new = tmp_path / "new"
    assert "--to" in refused(2, "--shares", 3, "--threshold", 2, "-o", new)
    assert "2 public keys for 3" in refused(2, "--shares", 3, "--threshold", 2, *good[:4], "-o", new)
    assert "at most the shares" in refused(2, "--shares", 3, "--threshold", 4, *good, "-o", new)
    assert "recipient of its own" in refused(2, "--shares", 3, "--threshold", 2, *good[:4], *good[:2], "-o", new)
    assert not new.exists()
    assert str(tmp_path) in refused(1, "--shares", 3, "--threshold", 2, *good, "-o", tmp_path)
    assert (tmp_path / "anna.sec").exists()
    for name in ("E1", "0", "4294967295"):
        unknown = vault.ctl("key", "escrow", "destroyed", name, "--statement", "x", expect=4)
        assert rules(unknown) == ["no-such-escrow"]
    vault.ctl("key", "escrow", "destroyed", "moon", "--statement", "x", expect=2)
    assert "moon" in vault.stderr
    vault.ctl("key", "escrow", "destroyed", "E1", expect=2)
    escrow(vault, "real")
    vault.ctl("key", "escrow", "destroyed", "E1", "--statement", "\t", expect=2)
    for statement, status in (("", 400), ("x" * 301, 400), ("x" * 300, 202)):
        answer = vault.http("POST", "/v1/keys/escrows/1/destroyed", json.dumps({"statement": statement}),
                            {"Content-Type": "application/json"})
        assert answer.status == status, answer.body


def test_list_tells_whom_the_shares_were_sealed_to(custodians):
    vault = custodians
    escrow(vault, "first")
    [row] = vault.ctl("key", "escrow", "list")["escrows"]
    keys = [(vault.custodians / f"{n}.pub").read_text().splitlines()[1] for n in NAMES]
    assert [r.replace("-", "+").replace("_", "/") for r in row["recipients"]] == [k.rstrip("=") for k in keys]
    assert (row["escrow"], row["state"], row["shares"], row["threshold"], row["generations"]) == ("E1", "held", 3, 2, [1, 1])
    assert row["made_by"].startswith("unix:")
    assert b"E1" in vault.ctl("key", "escrow", "list", json=False)
    refused = vault.http("GET", "/v1/keys/escrows", cert="clinic")
    assert refused.status == 403 and rules(refused.json()) == ["role-missing"]


def test_the_most_shares_and_the_most_copies_fit(custodians, tmp_path):
    vault = custodians
    keys = []
    for n in range(32):
        vault.ctl("share", "keys", tmp_path / f"c{n}")
        keys += ["--to", tmp_path / f"c{n}.pub"]
    for n in range(30):
        vault.ctl("key", "rotate", "kek")
    for n in range(31):
        vault.ctl("key", "escrow", "--shares", 32, "--threshold", 17, *keys, "-o", tmp_path / f"copy{n}")
    assert len(list((tmp_path / "copy30").iterdir())) == 33
    full = vault.ctl("key", "escrow", "--shares", 32, "--threshold", 17, *keys, "-o", tmp_path / "more", expect=1)
    assert rules(full) == ["too-many-escrows"] and not (tmp_path / "more").exists()
    assert len(vault.ctl("key", "escrow", "list")["escrows"]) == 31
    asked, _ = retire(vault)
    assert "E30, E31" in asked["detail"]
