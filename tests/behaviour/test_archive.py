"""Archive segments: records leave the index for sealed files of their own, and are exported, proven and told of as before. What is
away is missed by its name; what is altered does not open; what is destroyed is gone, with the word of two, and all else verifies."""
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import scene
from scene import TREATMENT, add_patient, deposit, file_path
from vault_under_test import ROOT, running_vault

READS = 300
SECRET = "S-archived-1"


def folder(vault):
    return vault.state / "archive"


def segments(vault):
    return vault.ctl("audit", "archives")["segments"]


def files(vault):
    return sorted(folder(vault).iterdir()) if folder(vault).exists() else []


def size(vault):
    return vault.ctl("status")["records"]


def read_some(vault, count=READS):
    """So many records at the least: of an administrator, and some of a clinic."""
    assert vault.http("GET", file_path(SECRET, "a.cram"), cert="clinic", headers={"Purpose": TREATMENT}).body == b"A" * 1000
    connection = vault.connect()
    for _ in range(count):
        connection.request("GET", "/v1/services")
        assert len(connection.getresponse().read()) > 100
    connection.close()


def populate(vault):
    add_patient(vault, SECRET)
    deposit(vault, SECRET, "a.cram", b"A" * 1000)
    read_some(vault)


@pytest.fixture
def vault():
    with running_vault() as v:
        populate(v)
        yield v


def exported(vault, path, *options):
    """Exports, has it verified by vaultctl and by the program that knows only the format, and gives the lines."""
    vault.ctl("audit", "export", "--format", "jsonl", "-o", path, *options)
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    vault.ctl("audit", "verify", path, "--key", vkey)
    done = subprocess.run(["/usr/bin/python3", str(ROOT / "tests" / "verify_audit.py"), str(path), vkey], capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return (path / "records.jsonl").read_bytes().splitlines()


def has(path, text):
    return text.encode() in path.read_bytes()


def test_archived_records_are_exported_proven_and_told_of_as_before(vault, tmp_path):
    before = exported(vault, tmp_path / "before")
    of_patient = exported(vault, tmp_path / "patient", "--subject", SECRET)
    read = next(json.loads(line)["seq"] for line in before if json.loads(line)["event"] == "read")
    replayed = vault.ctl("policy", "replay", read)
    to = size(vault)
    assert vault.ctl("status")["audit"]["last_day"] >= to
    job = vault.ctl("audit", "archive", "--to", to)
    assert job["done"] == to and job["failed"] == 0 and job["state"] == "done"
    found = segments(vault)
    assert [s["state"] for s in found] == ["here"] and found[0]["first"] == 0 and found[0]["last"] == to - 1
    assert [p.name for p in files(vault)] == [found[0]["file"]] and files(vault)[0].stat().st_size == found[0]["bytes"]
    growth = vault.ctl("status")["audit"]
    assert growth["archived"] == to and growth["segments"] == 1 and growth["last_day"] is None and growth["index_bytes"] > 1 << 16

    # It is sealed: neither the patient nor any word of a record is in it. The same search finds them in an export.
    assert has(tmp_path / "before" / "records.jsonl", SECRET) and not has(files(vault)[0], SECRET)
    assert not has(files(vault)[0], '"event"') and files(vault)[0].stat().st_mode & 0o777 == 0o600

    after = exported(vault, tmp_path / "after")
    assert after[:len(before)] == before
    assert exported(vault, tmp_path / "patient-2", "--subject", SECRET)[:len(of_patient)] == of_patient
    assert exported(vault, tmp_path / "middle", "--from", 100, "--to", to + 1)[0] == before[100]
    assert vault.ctl("policy", "replay", read) == replayed
    assert vault.ctl("audit", "tail", "-n", 100)["records"][0]["seq"] < to
    assert vault.http("GET", f"/v1/audit/proofs/{read}", cert="clinic").json()["seq"] == read
    assert vault.http("GET", f"/v1/audit/proofs/{read}", cert="depositor").status == 404
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert exported(vault, tmp_path / "days", "--from", today)
    done = next(json.loads(line) for line in after if json.loads(line)["event"] == "audit.archived")
    assert done["detail"] == f"records 0 to {to - 1}" and done["outcome"] == "done"

    # Started anew, and with another key for the index, it is as it was. Another segment begins where this one ends.
    scene.stop(vault)
    scene.start(vault)
    vault.ctl("key", "rotate", "index", timeout=120)
    read_some(vault, 20)
    assert exported(vault, tmp_path / "again")[:len(before)] == before
    vault.ctl("audit", "archive", "--to", to + 30)
    assert [(s["first"], s["last"], s["state"]) for s in segments(vault)] == [(0, to - 1, "here"), (to, to + 29, "here")]
    assert exported(vault, tmp_path / "two")[:len(before)] == before
    scene.wait_for(lambda: vault.ctl("status")["index"]["state"] == "whole", "the index is counted, and whole")


def test_what_is_asked_for_wrongly_is_refused(vault, tmp_path):
    for words in (["--to", "0"], ["--to", "soon"], ["--before", "yesterday"], [], ["--to", 5, "--before", "2026-01-01"]):
        vault.ctl("audit", "archive", *words, expect=2)
    vault.ctl("audit", "archive", "--before", "2020-01-01", expect=1)  # there is nothing of before
    vault.ctl("audit", "archive", "--to", 10, cert="clinic", expect=3)
    vault.ctl("audit", "archive", "--to", 10)
    vault.ctl("audit", "archive", "--to", 10, expect=1)
    assert [s["last"] for s in segments(vault)] == [9]
    vault.ctl("audit", "archive", "--to", 10**9)
    assert segments(vault)[-1]["last"] < size(vault)
    vault.ctl("audit", "destroy", "x", expect=2)
    vault.ctl("audit", "destroy", 7, expect=4)
    vault.ctl("audit", "destroy", 1, expect=1)
    assert "audit_keep_days" in vault.stderr, "nothing is destroyed where nobody says for how long it is kept"


def test_a_segment_that_is_away_is_missed_by_its_name_and_can_be_put_back(vault, tmp_path):
    before = exported(vault, tmp_path / "before")
    to = size(vault)
    vault.ctl("audit", "archive", "--to", to)
    path = files(vault)[0]
    shutil.move(path, tmp_path / "elsewhere")
    assert segments(vault)[0]["state"] == "away"
    scene.stop(vault)
    scene.start(vault)
    for words in (["audit", "export", "--format", "jsonl", "-o", tmp_path / "x"], ["policy", "replay", 5]):
        vault.ctl(*words, expect=1)
        assert path.name in vault.stderr and f"0 to {to - 1}" in vault.stderr, vault.stderr
    answer = vault.http("GET", f"/v1/audit/records?from=0&to=9&tree={to}")
    assert answer.status == 409 and path.name.encode() in answer.body
    assert not (tmp_path / "x").exists()
    read_some(vault, 3)  # reads, proofs of later records, and exports of them, go on
    assert exported(vault, tmp_path / "later", "--from", to)
    shutil.copy(tmp_path / "elsewhere", path)
    shutil.chown(path, path.parent.stat().st_uid, path.parent.stat().st_gid)
    assert segments(vault)[0]["state"] == "here" and exported(vault, tmp_path / "after")[:len(before)] == before


def test_an_altered_segment_gives_nothing_and_harms_nobody_else(vault, tmp_path):
    vault.ctl("audit", "archive", "--to", size(vault))
    path, content = files(vault)[0], bytearray(files(vault)[0].read_bytes())
    scene.stop(vault)
    content[-1] ^= 1  # of the last frame
    path.write_bytes(content)
    scene.start(vault)
    vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "x", expect=6)
    assert not (tmp_path / "x").exists() and "a frame does not open segment=1" in (vault.folder / "vaultd.log").read_text()
    to = size(vault)
    assert vault.http("GET", f"/v1/audit/records?from=0&to=5&tree={to}").status == 200  # other frames open
    read_some(vault, 3)
    path.write_bytes(content[:100])
    assert segments(vault)[0]["state"] == "away"  # it has less than it should


def test_where_the_folder_cannot_be_written_to_the_records_stay_in_the_index(vault, tmp_path):
    before = exported(vault, tmp_path / "before")
    folder(vault).write_text("no folder")
    vault.ctl("audit", "archive", "--to", 50, expect=1)
    failed = scene.wait_for_record(vault, event="audit.archived")
    assert failed["outcome"] == "failed" and failed["detail"] == "records from 0 on, stopped before record 0"
    assert segments(vault) == [] and exported(vault, tmp_path / "after")[:len(before)] == before
    vault.ctl("key", "rotate", "kek", timeout=60)  # which does not wait behind it
    folder(vault).unlink()
    vault.ctl("audit", "archive", "--to", 50)
    assert [s["last"] for s in segments(vault)] == [49] and exported(vault, tmp_path / "again")[:len(before)] == before


def test_where_the_disk_is_full_what_moved_is_there_and_what_did_not_is_in_the_index(vault, tmp_path):
    read_some(vault, 500)
    before = exported(vault, tmp_path / "before")
    owner = (vault.state / "index").stat()
    scene.stop(vault)
    folder(vault).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=256k,uid={owner.st_uid},gid={owner.st_gid},mode=700", "none", folder(vault)],
                   check=True)
    try:
        scene.start(vault)
        vault.ctl("audit", "archive", "--to", len(before), expect=1)
        moved = vault.ctl("status")["audit"]["archived"]
        assert 0 < moved < len(before)
        assert scene.wait_for_record(vault, event="audit.archived")["detail"] == f"records from 0 on, stopped before record {moved}"
        assert exported(vault, tmp_path / "full")[:len(before)] == before
        with contextlib.suppress(OSError):  # whatever space was left
            (folder(vault) / "filler").write_bytes(bytes(1 << 18))
        vault.ctl("audit", "archive", "--to", len(before), expect=1)
        (folder(vault) / "filler").unlink(missing_ok=True)
        assert all(s["last"] >= s["first"] for s in segments(vault)), "there is no segment without records"
        assert sorted(p.name for p in files(vault)) == sorted(s["file"] for s in segments(vault))
        subprocess.run(["mount", "-o", "remount,size=16m", folder(vault)], check=True)
        vault.ctl("audit", "archive", "--to", len(before))
        assert vault.ctl("status")["audit"]["archived"] == len(before)
        assert exported(vault, tmp_path / "after")[:len(before)] == before
    finally:
        scene.stop(vault)
        subprocess.run(["umount", folder(vault)], check=True)


def kill_monitor(vault):
    """And the vault is started anew: a supervisor whose monitor dies too often gives up."""
    [pid] = scene.processes(vault)["vaultd-monitor"]
    os.kill(pid, signal.SIGKILL)
    scene.stop(vault)
    scene.start(vault)


def let_go(vault, job):
    """409: it has ended."""
    assert vault.http("POST", f"/v1/jobs/{job}/rate", b'{"rate": 0}', {"Content-Type": "application/json"}).status in (200, 409)
    scene.wait_for(lambda: vault.ctl("status")["jobs"] == 0, "the job ends")


def test_killed_while_it_archives_no_record_is_lost_or_there_twice(vault, tmp_path):
    """A rate makes the job long enough to be hit, again and again, in its frames and between them."""
    chance, landed = random.Random(7), {"archiving": 0, "done": 0}
    job, moved, tries = None, set(), 0
    while job is None and tries < 5:
        tries += 1
        read_some(vault, 2500)
        before = exported(vault, tmp_path / f"before-{tries}")
        job = scene.begin_slowly(vault, "/v1/audit/archives", {"to": len(before)}, 40)
        if job is not None and len(before) - vault.ctl("status")["audit"]["archived"] < 600:
            let_go(vault, job)  # the rate came late: too little is left
            job = None
    assert job is not None, "no job could be slowed down before it was done"
    while landed["archiving"] < 12 and vault.ctl("status")["jobs"]:
        time.sleep(chance.random() * 0.1)
        done = vault.ctl("status")["audit"]["archived"]
        moved.add(done)
        landed["archiving" if done < len(before) else "done"] += 1
        kill_monitor(vault)
    let_go(vault, job)
    landed["done"] += 1
    kill_monitor(vault)
    after = exported(vault, tmp_path / "after")
    assert after[:len(before)] == before
    assert [json.loads(line)["seq"] for line in after] == list(range(len(after)))
    ends = [(s["first"], s["last"]) for s in segments(vault) if s["last"] >= s["first"]]
    assert ends[0][0] == 0 and ends[-1][1] == len(before) - 1 and all(a[1] + 1 == b[0] for a, b in zip(ends, ends[1:]))
    print(f"kills: {landed}, at {len(moved)} places")
    assert all(landed.values()) and len(moved) > 5, (landed, moved)


def test_a_backup_says_what_to_copy_of_the_archive(vault):
    vault.ctl("audit", "archive", "--to", 100)
    vault.ctl("audit", "archive", "--to", 200)
    vault.ctl("backup", "b1", timeout=120)
    listed = (vault.folder / "backups" / "b1" / "archive").read_text().splitlines()
    assert [line.split() for line in listed] == [[str(s["bytes"]), s["file"]] for s in segments(vault)]
    assert "  archive\n" in (vault.folder / "backups" / "b1" / "SHA256SUMS").read_text()


def test_a_restored_index_has_its_archive_and_touches_nothing_of_a_later_one(vault, tmp_path):
    before = exported(vault, tmp_path / "before")
    vault.ctl("audit", "archive", "--to", 100)
    vault.ctl("backup", "b1", timeout=120)
    vault.ctl("audit", "archive", "--to", 200)
    of_later = {p.name: p.read_bytes() for p in files(vault)}
    assert len(of_later) == 2
    scene.stop(vault)
    shutil.rmtree(vault.state / "index")
    scene.start(vault)
    vault.ctl("restore", "b1")
    vault.ctl("audit", "archive", "--to", 150, expect=1)
    assert "log-in-doubt" in vault.stderr
    scene.wait_for(lambda: vault.ctl("status")["index"]["state"] == "whole", "the check of the index")
    vault.ctl("restore", "--confirm", "nothing was lost that matters")
    assert exported(vault, tmp_path / "restored")[:len(before)] == before
    vault.ctl("audit", "archive", "--to", 250)
    assert [(s["first"], s["last"]) for s in segments(vault)] == [(0, 99), (100, 249)]
    assert exported(vault, tmp_path / "after")[:len(before)] == before
    now = {p.name: p.read_bytes() for p in files(vault)}
    assert len(now) == 3 and all(now[name] == content for name, content in of_later.items())
