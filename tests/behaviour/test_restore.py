"""A backup comes back into an empty state only, and what was lost since cannot be mistaken for what is in force."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import scene
import small_disk
from vault_under_test import running_vault

CONTENT = {"S-1": b"one" * 2_000_000, "S-2": b"two" * 100_000}
ORIGIN = "dev.example/vault"
JSON = {"Content-Type": "application/json"}


def rule(answer):
    return answer.json()["reasons"][0]["rule"]


def status(vault):
    return vault.http("GET", "/v1/status").json()


def index(vault):
    return vault.state / "index" / "data.mdb"


def populated(vault):
    for subject, content in CONTENT.items():
        scene.add_patient(vault, subject)
        scene.deposit(vault, subject, "a.cram", content)
    return vault


def lose_state(vault):
    """The index and the objects are gone; the key ring and the backups are not."""
    vault.stop()
    shutil.rmtree(vault.state / "index", ignore_errors=True)
    for path in vault.objects.iterdir():
        shutil.rmtree(path)
    scene.start(vault)
    assert status(vault)["seal"] == "sealed"


def copy_objects(listing, source, target):
    """What `objects` of a backup names, as an operator would copy it."""
    owner = target.stat()
    for line in listing.read_text().splitlines():
        name = line.split("  ")[1]
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, to)
        for path in (to.parent.parent, to.parent, to):
            os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(0o700 if path.is_dir() else 0o600)


def confirm(vault, text="applied again", *more, **options):
    scene.wait_for(lambda: status(vault)["index"]["state"] in ("whole", "damaged"), "the check of the index")
    return vault.ctl("restore", "--confirm", text, *more, **options)


def would_be_permitted(vault, subject):
    body = json.dumps({"subject": subject, "name": "a.cram", "purpose": "treatment", "service": "clinic"})
    return vault.http("POST", "/v1/decisions", body, JSON).json()["permitted"]


@pytest.fixture
def kept(tmp_path):
    return tmp_path


def test_what_was_lost_is_not_taken_for_what_is_in_force(fresh_vault, kept):
    vault = populated(fresh_vault)
    old_key = vault.ctl("audit", "checkpoint", "-o", kept / "before")["vkey"]
    pending = vault.ctl("subject", "shred", "S-2")["pending"]
    vault.ctl("backup", "b1")
    copy_objects(vault.folder / "backups" / "b1" / "objects", vault.objects, kept_objects := _folder(kept / "objects", vault))
    vault.ctl("consent", "withdraw", "S-2")
    assert scene.Read(vault, "S-2", "a.cram").status == 403
    vault.ctl("audit", "checkpoint", "-o", kept / "after")
    lost = int((kept / "after").read_text().splitlines()[1])
    lose_state(vault)
    copy_objects(vault.folder / "backups" / "b1" / "objects", kept_objects, vault.objects)

    restored = vault.ctl("restore", "b1")
    assert restored["seal"] == "unsealed" and restored["origin"] == f"{ORIGIN}/epoch-2"
    assert restored["restored"]["times"] == 1 and restored["restored"]["confirmed"] is False
    assert vault.http("GET", "/v1/pending").json()["pending"] == [], f"{pending} asked another index"
    for subject in CONTENT:
        answer = vault.http("GET", scene.file_path(subject, "a.cram"), headers={"Purpose": "treatment"}, cert="clinic")
        assert answer.status == 503 and rule(answer) == "restored-not-confirmed"
    for method, path, cert in (("PUT", scene.file_path("S-1", "new"), "depositor"),
                               ("GET", "/v1/files?purpose=treatment", "clinic"),
                               ("GET", "/v1/files?purpose=treatment", "research")):
        answer = vault.http(method, path, b"x" if method == "PUT" else None, cert=cert)
        assert answer.status == 503 and rule(answer) == "restored-not-confirmed", path
    answer = vault.http("POST", "/v1/decisions", json.dumps({"subject": "S-2", "purpose": "treatment"}), JSON, cert="clinic")
    assert answer.status == 503
    assert len(scene.listed_files(vault)) == 2, "an administrator sees what there is"
    assert would_be_permitted(vault, "S-2"), "the withdrawal was lost: this is why nobody may read yet"
    assert vault.http("POST", "/v1/restore/confirm", '{"statement":"x"}', JSON, cert="auditor").status == 403

    vault.ctl("consent", "withdraw", "S-2")
    vault.stop()
    scene.start(vault)
    assert status(vault)["restored"]["confirmed"] is False, "a start changes nothing of it"
    done = confirm(vault, "the withdrawal of S-2 was applied again", "--checkpoint", kept / "after")
    assert done["confirmed"] is True
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT["S-1"]
    assert scene.Read(vault, "S-2", "a.cram").status == 403
    vault.ctl("scrub")
    scene.deposit(vault, "S-1", "new", b"new")
    assert vault.ctl("restore", "--confirm", "again", expect=1) and "nothing-to-confirm" in vault.stderr

    exported = scene.verify_audit(vault, kept / "export")
    key = vault.ctl("audit", "checkpoint")["vkey"]
    assert key.startswith(f"{ORIGIN}/epoch-2+") and key.split("+", 2)[2] == old_key.split("+", 2)[2]
    first = next(r for r in exported if r["event"] == "vault.restored")
    head = first["detail"].split()
    assert head[:4] == ["continues", "the", "log", ORIGIN] and int(head[4]) == first["seq"]
    told = next(r for r in exported if r["event"] == "restore.confirm")["detail"]
    assert told == (f"the withdrawal of S-2 was applied again (last checkpoint known: {ORIGIN} {lost}; "
                    f"records lost: {lost - first['seq']})")
    assert vault.ctl("audit", "verify", kept / "export", "--key", key, "--checkpoint", kept / "before")["whole"]
    vault.ctl("audit", "verify", kept / "export", "--key", key, "--checkpoint", kept / "after", expect=6)
    assert "restored from a backup that is older" in vault.stderr
    vault.ctl("audit", "verify", kept / "export", "--key", old_key, expect=6)


def _folder(path, vault):
    path.mkdir()
    os.chown(path, vault.objects.stat().st_uid, vault.objects.stat().st_gid)
    return path


def test_second_restore_is_another_origin(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "b1")
    lose_state(vault)
    vault.ctl("restore", "b1")
    vault.ctl("backup", "b2")
    lose_state(vault)
    assert vault.ctl("restore", "b2")["origin"] == f"{ORIGIN}/epoch-3"
    assert status(vault)["restored"]["times"] == 2


def test_restore_is_refused_where_there_is_an_index_and_to_the_network(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "b1")
    before = index(vault).stat().st_ino
    vault.ctl("restore", "b1", expect=1)
    assert "index-exists" in vault.stderr
    vault.ctl("seal")
    vault.ctl("restore", "b1", expect=1)
    assert "index-exists" in vault.stderr and index(vault).stat().st_ino == before
    vault.ctl("unseal")
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT["S-1"]
    lose_state(vault)
    answer = vault.http("POST", "/v1/restore", '{"name":"b1"}', JSON, cert="operator2")
    assert answer.status == 423 and not index(vault).exists()
    vault.ctl("restore", "none", expect=4)
    assert "no-such-backup" in vault.stderr
    for name in ("../b1", "b1.partial", ".b1"):
        vault.ctl("restore", name, expect=2)
    assert not index(vault).exists()
    vault.stop()
    ring = [vault.state / "keyring", vault.folder / "twin" / "keyring"]
    for path in ring:
        path.rename(path.with_name("aside"))
    scene.start(vault)
    vault.ctl("restore", "b1", expect=1)
    assert "keyring-missing" in vault.stderr
    vault.stop()
    for path in ring:
        path.with_name("aside").rename(path)
    scene.start(vault)
    assert vault.ctl("restore", vault.folder / "backups" / "b1")["seal"] == "unsealed"


def damaged(folder, how):
    data = folder / "index" / "data.mdb"
    content = bytearray(data.read_bytes())
    if how == "truncated":
        data.write_bytes(content[:len(content) // 2])
    elif how == "empty":
        data.write_bytes(b"")
    elif how == "flipped":
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    elif how == "missing":
        data.unlink()
    elif how == "link":
        data.unlink()
        data.symlink_to("/etc/passwd")
    else:
        (folder / "SHA256SUMS").unlink()


def test_damaged_backup_is_refused_and_leaves_the_state_empty(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "good")
    good = vault.folder / "backups" / "good"
    owner = good.stat()
    lose_state(vault)
    for how in ("truncated", "empty", "flipped", "missing", "link", "no sums"):
        bad = good.with_name("bad")
        shutil.copytree(good, bad)
        damaged(bad, how)
        for path in (bad, *bad.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        vault.ctl("restore", "bad", expect=6)
        assert "backup-damaged" in vault.stderr, how
        assert not (vault.state / "index").exists(), how
        assert status(vault)["seal"] == "sealed"
        shutil.rmtree(bad)
    vault.ctl("restore", "good")
    confirm(vault)


def test_backup_that_was_changed_by_who_can_make_sums_is_not_confirmed(fresh_vault):
    """Damage that only the seal of a value, or the tally, tells of."""
    vault = populated(fresh_vault)
    address = next(iter(scene.objects(vault)))
    vault.ctl("backup", "forged")
    folder = vault.folder / "backups" / "forged"
    data = folder / "index" / "data.mdb"
    content = bytearray(data.read_bytes())
    content[content.index(bytes.fromhex(address)) + 32 + 40] ^= 1
    data.write_bytes(content)
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    lines[0] = f"{hashlib.sha256(content).hexdigest()}  index/data.mdb"
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    lose_state(vault)
    vault.ctl("restore", "forged")
    confirm(vault, expect=1)
    assert "index-damaged" in vault.stderr
    assert status(vault)["restored"]["confirmed"] is False


def test_copy_that_is_put_in_place_by_hand_is_restored_too(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "b1")
    owner = index(vault).stat()
    vault.stop()
    index(vault).unlink()
    (vault.state / "index" / "lock.mdb").unlink()
    shutil.copy(vault.folder / "backups" / "b1" / "index" / "data.mdb", index(vault))
    os.chown(index(vault), owner.st_uid, owner.st_gid)
    scene.start(vault)
    found = status(vault)
    assert found["seal"] == "unsealed" and found["origin"].endswith("/epoch-2")
    assert found["restored"] == {"times": 1, "confirmed": False, "continues": found["restored"]["continues"]}
    assert scene.Read(vault, "S-1", "a.cram").status == 503
    confirm(vault)
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT["S-1"]


def rotate(vault):
    vault.ctl("key", "rotate", "kek")


def retire(vault, *more):
    asked = vault.ctl("key", "rotate", "kek", "--retire", *more)
    return vault.ctl("pending", "approve", asked["pending"], cert="operator2")


def test_ring_may_have_gone_on_but_not_without_what_the_backup_needs(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "first")
    rotate(vault)
    lose_state(vault)
    assert vault.ctl("restore", "first")["generation"] == 2, "it follows the ring"
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.http("GET", "/v1/jobs").json()["jobs"]), "its job")
    confirm(vault)
    assert vault.http("GET", "/v1/subjects/S-1").json()["generation"] == 2
    vault.ctl("backup", "second")
    retire(vault)
    lose_state(vault)
    vault.ctl("restore", "first", expect=5)
    assert "dead" in vault.stderr and "generation 1" in vault.stderr and "retired" in vault.stderr
    assert not index(vault).exists() and status(vault)["seal"] == "sealed"
    vault.ctl("restore", "second")
    [record] = [r for r in scene.records(vault) if r["event"] == "key.retired"]
    assert record["detail"].startswith("generations before 2"), "the copy is told what the ring has lost since"
    confirm(vault)
    rotate(vault)


def test_vault_that_is_sealed_by_shares_is_restored_and_then_opened_by_them(fresh_vault, kept):
    vault = populated(fresh_vault)
    vault.ctl("key", "seal", "shares", "--shares", "3", "--threshold", "2", "-o", kept / "shares")
    shares = sorted((kept / "shares").iterdir())
    vault.ctl("key", "confirm", "--share", shares[0], shares[1])
    vault.ctl("backup", "b1")
    lose_state(vault)
    waits = vault.ctl("restore", "b1")
    assert waits["seal"] == "sealed" and index(vault).exists() and waits["root"]["threshold"] == 2
    vault.ctl("restore", "b1", expect=1)
    assert "index-exists" in vault.stderr
    vault.stop()
    scene.start(vault)
    opened = vault.ctl("unseal", "--share", shares[1], shares[2])
    assert opened["seal"] == "unsealed" and opened["restored"]["times"] == 1
    assert scene.Read(vault, "S-1", "a.cram").status == 503
    confirm(vault)


def test_ring_that_is_older_than_the_backup_is_refused(fresh_vault):
    vault = populated(fresh_vault)
    ring = [vault.state / "keyring", vault.folder / "twin" / "keyring"]
    old = ring[0].read_bytes()
    rotate(vault)
    vault.ctl("backup", "b1")
    vault.stop()
    shutil.rmtree(vault.state / "index")
    for path in ring:
        path.write_bytes(old)
    scene.start(vault)
    vault.ctl("restore", "b1", expect=5)
    assert "older than the backup" in vault.stderr and not index(vault).exists()


def test_object_that_was_not_copied_is_found_by_scrub(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "b1")
    lose_state(vault)
    vault.ctl("restore", "b1")
    confirm(vault)
    scrub = vault.ctl("scrub", expect=6)
    assert scrub["objects"]["missing"] == scrub["objects"]["total"] > 0
    assert scene.Read(vault, "S-1", "a.cram").status == 500


def test_objects_that_the_backup_does_not_know_stay_until_it_is_confirmed(fresh_vault):
    """They may be of files that a newer backup knows."""
    vault = populated(fresh_vault)
    with_open = vault.connect("depositor")
    with_open.putrequest("PUT", scene.file_path("S-1", "late.cram"))
    with_open.putheader("Content-Length", str(10 << 20))
    with_open.endheaders()
    before = set(scene.objects(vault))
    with_open.send(bytes(5 << 20))
    scene.wait_for(lambda: set(scene.objects(vault)) - before, "an object of a deposit under way")
    vault.ctl("backup", "early")
    with_open.send(bytes(5 << 20))
    assert with_open.getresponse().status == 201
    late = set(scene.objects(vault)) - before
    vault.ctl("backup", "late")
    vault.stop()
    shutil.rmtree(vault.state / "index")
    scene.start(vault)
    vault.ctl("restore", "early")
    time.sleep(1.5)
    assert late <= set(scene.objects(vault)), "the deposit that the copy has as open came to its end elsewhere"
    vault.stop()
    shutil.rmtree(vault.state / "index")
    scene.start(vault)
    vault.ctl("restore", "late")
    confirm(vault)
    assert scene.Read(vault, "S-1", "late.cram").whole
    vault.ctl("scrub")


def child_of(vault, name):
    """One child of the supervisor, looked for without a walk through all of /proc: it does not live long."""
    for pid in pathlib.Path(f"/proc/{vault.pid}/task/{vault.pid}/children").read_text().split():
        if scene.parent_and_name(pid)[1] == name:
            return int(pid)
    return None


def kill_during(vault, asking, kind, delay):
    """Kills a process as soon as the one that copies is there, and a little later. Whether it did."""
    other = None if kind == "vaultd-backup" else child_of(vault, kind)
    while (copies := child_of(vault, "vaultd-backup")) is None:
        if asking.poll() is not None:
            return False
    time.sleep(delay)
    try:
        os.kill(other or copies, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def test_death_in_the_middle_of_a_restore_is_none_or_all_of_it(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "b1")
    lose_state(vault)
    killed, found = {"vaultd-backup": 0, "vaultd-monitor": 0}, set()
    program = shutil.which("vaultctl", path=vault.env["PATH"])
    for number in range(400):
        if min(killed.values()) > 8 and found == {True, False}:
            break
        kind = ("vaultd-backup", "vaultd-monitor")[number % 2]
        asking = subprocess.Popen([program, "restore", "b1", "--json"], env=vault.environment(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        delay = 0.0005 * (number // 2 % 8) * (1 + number // 32)  # later and later, until both were seen
        killed[kind] += kill_during(vault, asking, kind, delay)
        asking.wait(60)
        scene.wait_for(lambda: scene.seal_state(vault), "the vault answers")
        found.add(index(vault).exists())
        if index(vault).exists():
            scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "what is in place opens")
            assert status(vault)["restored"]["times"] == 1, "it was restored once, whatever died"
        lose_state(vault)
    print(f"killed {killed} in {number} rounds")
    assert min(killed.values()) > 8 and found == {True, False}, (killed, found)
    vault.ctl("restore", "b1")
    confirm(vault)


@pytest.mark.skipif(not small_disk.may_mount("tmpfs"), reason="no mounts here")
def test_full_state_fails_cleanly(fresh_vault):
    vault = populated(fresh_vault)
    vault.ctl("backup", "b1")
    lose_state(vault)
    place = vault.state / "index"
    place.mkdir()
    uid = vault.state.stat().st_uid
    with small_disk.disk("tmpfs", place, 1):
        os.chown(place, uid, uid)
        place.chmod(0o700)
        with small_disk.Ballast(place) as ballast:
            for leave in (0, 4096, 65536):
                ballast.fill(leave)
                vault.ctl("restore", "b1", expect=1)
                assert "state-full" in vault.stderr
                assert [p.name for p in place.iterdir()] == ["ballast"]
    place.rmdir()
    vault.ctl("restore", "b1")
