"""A backup is a verified copy of the index, made while the vault serves, or it is not there at all."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import index_tools
import scene
import small_disk
from vault_under_test import is_running, running_vault

CONTENT = bytes(range(256)) * 40_000  # three objects
READERS = 126  # places that LMDB has for readers


@pytest.fixture(scope="module")
def vault():
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "a.cram", CONTENT)
        yield vault


def backups(vault):
    return vault.folder / "backups"


def last(vault):
    return vault.http("GET", "/v1/backups").json()["last"]


def ask(vault, name):
    return vault.http("POST", "/v1/backups", f'{{"name":"{name}"}}', {"Content-Type": "application/json"})


def ended(vault):
    return scene.wait_for(lambda: (found := last(vault))["state"] != "running" and found, "the end of the backup")


def left(vault):
    """What is in the directory of backups."""
    return sorted(p.name for p in backups(vault).iterdir())


def sums_hold(folder, sums):
    return subprocess.run(["sha256sum", "--quiet", "-c", str(sums)], cwd=folder, capture_output=True).returncode == 0


def rule(answer):
    return answer.json()["reasons"][0]["rule"]


@contextlib.contextmanager
def busy(vault):
    """A client reads and another deposits, until the context ends; what they did is in the list."""
    done, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            done.append(("read", scene.Read(vault, "S-1", "a.cram").body == CONTENT))

    def deposit():
        for number in range(1000):
            if stop.is_set():
                return
            scene.deposit(vault, "S-1", f"busy-{len(done)}-{number}", CONTENT[:5000])
            done.append(("deposit", True))
    threads = [threading.Thread(target=work) for work in (read, deposit)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_backup_is_made_and_verified_while_others_read_and_deposit(vault):
    with busy(vault) as done:
        made = vault.ctl("backup", "first")
        assert made["state"] == "done"
        count = len(done)
        scene.wait_for(lambda: len(done) > count + 4, "they go on")
    assert all(good for _, good in done) and {what for what, _ in done} == {"read", "deposit"}
    folder = backups(vault) / "first"
    assert left(vault) == ["first"]
    assert sorted(p.name for p in folder.iterdir()) == ["SHA256SUMS", "about", "archive", "index", "objects"]
    assert [p.name for p in (folder / "index").iterdir()] == ["data.mdb"]
    assert sums_hold(folder, folder / "SHA256SUMS")
    assert sums_hold(vault.objects, folder / "objects"), "what it lists is what is in the store, checked without a key"
    assert len((folder / "objects").read_text().splitlines()) >= 3
    assert "audit records: " in (folder / "about").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))
    [listed] = vault.ctl("backup", "--list")["backups"]
    assert listed["name"] == "first" and listed["state"] == "good" and listed["oldest"] == listed["newest"] == 1
    [record] = [r for r in scene.records(vault) if r["event"] == "backup.made"]
    assert record["outcome"] == "done" and record["detail"].startswith("first: ") and record["seq"] == listed["record"]


def test_name_is_one_component_of_the_configured_directory(vault):
    before = left(vault)
    for name in ("../escape", "/etc/escape", ".hidden", "a/b", "x.partial", "n" * 65, "sp ace", str(backups(vault)),
                 f"{backups(vault)}/../escape", f"{backups(vault)}/a/b"):
        vault.ctl("backup", name, expect=2)
    assert "[backup-name]" in vault.stderr
    vault.ctl("backup", "first", expect=1)
    assert "[backup-exists]" in vault.stderr
    assert left(vault) == before and not (vault.folder / "escape").exists()
    vault.ctl("backup", backups(vault) / "by-path")
    assert left(vault) == sorted([*before, "by-path"])


def test_backup_needs_a_role_and_a_directory(vault):
    assert vault.http("POST", "/v1/backups", '{"name":"x"}', {"Content-Type": "application/json"},
                      cert="clinic").status == 403
    with running_vault() as other:
        scene.stop(other)
        config = other.folder / "vaultd.yaml"
        config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith("backups:")))
        scene.start(other)
        refused = ask(other, "x")
        assert refused.status == 409 and rule(refused) == "backups-not-configured"


def backup_pid(vault):
    return scene.processes(vault).get("vaultd-backup", [None])[0]


def test_process_that_is_killed_leaves_nothing_and_costs_no_place_of_a_reader(vault):
    kept = left(vault)
    generation = vault.pid, scene.processes(vault)["vaultd-monitor"]
    moments, killed = [0, 0.001, 0.002, 0.004, 0.008, 0.016], 0
    for number in range(3 * READERS):
        if killed > READERS:
            break
        assert ask(vault, "killed").status == 202
        pid = scene.wait_for(lambda: backup_pid(vault) or last(vault)["state"] != "running", "its process")
        time.sleep(moments[number % len(moments)])
        if pid is not True:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        found = ended(vault)
        named = backups(vault) / "killed"
        if named.exists():  # it had its name before it was killed, if it was: then it is whole
            assert sums_hold(named, named / "SHA256SUMS")
            shutil.rmtree(named)
        if found["state"] == "done":
            continue
        killed += 1
        assert found["rule"] == "backup-crashed" and "signal 9" in found["problem"]
    assert killed > READERS
    assert (vault.pid, scene.processes(vault)["vaultd-monitor"]) == generation, "nobody else died of it"
    table = subprocess.run(["mdb_stat", "-rr", str(vault.state / "index")], capture_output=True, text=True).stdout
    [monitor] = scene.processes(vault)["vaultd-monitor"]
    places = re.findall(r"^ +(\d+) +[0-9a-f]+ ", table, flags=re.M)
    assert set(places) <= {str(monitor)} and "0 stale readers cleared" in table, table
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
    vault.ctl("backup", "killed")
    assert left(vault) == sorted([*kept, "killed"]), "what they left has gone with the next of that name"
    assert [r for r in scene.records(vault) if r["event"] == "backup.made" and r["outcome"] == "failed"]


def held(vault, name):
    """The process of a backup that has begun, stopped where it is."""
    for number in range(50):
        assert ask(vault, f"{name}-{number}").status == 202
        pid = None
        while pid is None and last(vault)["state"] == "running":
            pid = backup_pid(vault)
        with contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.1)
            if last(vault)["state"] == "running" and not (backups(vault) / f"{name}-{number}").exists():
                return pid, f"{name}-{number}"
            os.kill(pid, signal.SIGCONT)
        ended(vault)
    raise AssertionError("none was slow enough")


def test_vault_serves_while_the_copy_stands_still(vault):
    pid, name = held(vault, "held")
    for number in range(10):
        assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
        scene.deposit(vault, "S-1", f"held-{number}", CONTENT[:2000])
    assert last(vault)["state"] == "running"
    assert ask(vault, "another").status == 409
    os.kill(pid, signal.SIGCONT)
    assert ended(vault)["state"] == "done"
    assert sums_hold(backups(vault) / name, backups(vault) / name / "SHA256SUMS")


def test_monitor_that_dies_takes_the_process_with_it(vault):
    pid, name = held(vault, "orphan")
    os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "it serves again")
    assert not is_running(pid) and name not in left(vault)
    vault.ctl("backup", name)
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT


def test_backup_holds_no_key_that_was_deleted_before(fresh_vault):
    """Nor the pages that the index has not written over yet. It writes over them soon, so there are several rounds."""
    vault, values, seen = fresh_vault, [], False
    scene.add_patient(vault, "S-1")
    for number in range(100):
        for name in range(3):
            scene.deposit(vault, "S-1", f"file-{name}", CONTENT[:1000])
        values += [bytes.fromhex(value) for value in index_tools.dump(vault.state / "index")[0]["blobs"].values()]
        for name in range(3):
            scene.administer(vault, "remove", f"S-1/file-{name}")
        live = (vault.state / "index" / "data.mdb").read_bytes()
        vault.ctl("backup", f"clean-{number}")
        copy = (backups(vault) / f"clean-{number}" / "index" / "data.mdb").read_bytes()
        assert not any(value in copy for value in values)
        seen = seen or any(value in live for value in values)
        if seen and number > 2:
            break
    assert seen, "control: the index's own file still has some"


def test_seal_ends_the_process_before_it_answers(vault):
    pid, name = held(vault, "sealed")
    vault.ctl("seal", timeout=20)
    assert not is_running(pid) and name not in left(vault)
    vault.ctl("unseal")
    assert [r for r in scene.records(vault) if r["event"] == "backup.made" and r["detail"] == name and
            r["reasons"][0]["rule"] == "sealed"]
    vault.ctl("backup", name)


def flip(path, text):
    """One bit behind each place where this text stands in a file; nothing else is written, for the file is in use."""
    content = path.read_bytes()
    places = [found.start() for found in re.finditer(re.escape(text), content)]
    assert places
    with path.open("r+b", buffering=0) as f:
        for at in places:
            f.seek(at + len(text) + 40)
            f.write(bytes([content[at + len(text) + 40] ^ 1]))


def rotate_and_ask_to_retire(vault, *more):
    vault.ctl("key", "rotate", "kek")
    return vault.http("POST", "/v1/keys/rotate", '{"what":"kek","retire":true}', {"Content-Type": "application/json"})


def test_retirement_needs_a_backup_from_after_the_rotation_and_names_those_that_die(fresh_vault):
    vault = fresh_vault
    scene.add_patient(vault, "S-1")
    vault.ctl("backup", "before-rotation")
    refused = rotate_and_ask_to_retire(vault)
    assert refused.status == 409 and rule(refused) == "backup-needed"
    vault.ctl("backup", "after-rotation")
    asked = vault.ctl("key", "rotate", "kek", "--retire")
    assert "before-rotation" in asked["detail"] and "after-rotation" not in asked["detail"]
    assert "without" not in asked["detail"]
    answer = vault.ctl("pending", "approve", asked["pending"], cert="operator2")
    assert "before-rotation" in answer["dead_backups"] and "after-rotation" not in answer["dead_backups"]
    found = {b["name"]: b for b in vault.ctl("backup", "--list")["backups"]}
    assert found["before-rotation"]["state"] == "dead" and found["before-rotation"]["died"].startswith("20")
    assert found["after-rotation"]["state"] == "good" and found["after-rotation"]["oldest"] == 2
    [record] = [r for r in scene.records(vault) if r["event"] == "key.retired"]
    assert "before-rotation" in record["detail"] and "after-rotation" not in record["detail"]
    refused = rotate_and_ask_to_retire(vault)
    assert refused.status == 409 and rule(refused) == "backup-needed", "it needs a generation that is not the newest now"
    asked = vault.ctl("key", "rotate", "kek", "--retire", "--without-backup")
    assert "without a backup" in asked["detail"] and "after-rotation" in asked["detail"]
    vault.ctl("pending", "refuse", asked["pending"])


def test_damaged_index_is_not_backed_up(fresh_vault):
    vault = fresh_vault
    scene.add_patient(vault, "S-1")
    address = scene.deposit(vault, "S-1", "a.cram", CONTENT) and next(iter(scene.objects(vault)))
    flip(vault.state / "index" / "data.mdb", bytes.fromhex(address))
    vault.ctl("backup", "bad", expect=6)
    assert "[backup-damaged]" in vault.stderr
    assert left(vault) == []
    assert vault.http("GET", "/v1/status").json()["seal"] == "unsealed"
    scene.wait_for_record(vault, event="backup.made", outcome="failed")
    assert vault.http("GET", "/v1/backups").json()["backups"] == []


def removed_entry(pairs):
    del pairs["requests"][min(pairs["requests"])]


def older_entry(pairs):
    keys = sorted(pairs["pages"])
    pairs["pages"][keys[0]], pairs["pages"][keys[1]] = pairs["pages"][keys[1]], pairs["pages"][keys[0]]


def flipped_record(pairs):
    key = max(pairs["records"])
    value = pairs["records"][key]
    pairs["records"][key] = f"{value[:-1]}{int(value[-1], 16) ^ 1:x}"


@pytest.mark.parametrize("damage", [removed_entry, older_entry, flipped_record])
def test_index_of_which_no_entry_that_a_copy_needs_is_damaged_is_not_backed_up_either(fresh_vault, damage):
    """What is missing, what lies in another's place, what nobody reads on the way."""
    vault = fresh_vault
    scene.add_patient(vault, "S-1")
    for name in ("a", "b"):
        scene.deposit(vault, "S-1", name, CONTENT[:1000])
    vault.stop()
    pairs, headers = index_tools.dump(vault.state / "index")
    damage(pairs)
    index_tools.replace(vault, (pairs, headers))
    scene.start(vault)
    vault.ctl("backup", "bad", expect=6)
    assert "[backup-damaged]" in vault.stderr and left(vault) == []


@pytest.mark.skipif(not small_disk.may_mount("tmpfs"), reason="no mounts here")
def test_full_disk_of_the_backup_fails_cleanly(vault):
    place = backups(vault)
    before = left(vault)
    uid = place.stat().st_uid
    with small_disk.disk("tmpfs", place, 1):
        os.chown(place, uid, uid)
        place.chmod(0o700)
        with small_disk.Ballast(place) as ballast:
            for leave in (0, 4096, 65536, 131072, 262144):
                ballast.fill(leave)
                vault.ctl("backup", "full", expect=1)
                assert "[backup-full]" in vault.stderr or "[backup-directory]" in vault.stderr
                assert left(vault) == ["ballast"], leave
        vault.ctl("scrub")
    assert left(vault) == before
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
