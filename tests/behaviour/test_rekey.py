"""Rotation of data keys: every file is encrypted anew under another key, by a worker without a client, while it is read;
a death of any process costs at most the file under way."""
import contextlib
import json
import os
import signal
import threading

import pytest

import scene
from vault_under_test import is_running, running_vault

CONTENT = {"empty": b"", "one": b"x", "segments": os.urandom(200_000), "chunks": os.urandom(9 << 20)}
TWO_PAGES = (41 << 22) + 12345  # more chunks than one page of the manifest names


@pytest.fixture(scope="module")
def vault():
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        for name, content in CONTENT.items():
            scene.deposit(vault, "S-1", name, content)
        yield vault


def rotate(vault):
    """Rotates to the end; the job as it ended."""
    job = vault.ctl("key", "rotate", "data", timeout=600)
    assert job["state"] == "done"
    return job


def reads_whole(vault, name, content, subject="S-1"):
    read = scene.Read(vault, subject, name)
    return read.whole and read.body == content


def begun(vault, first=0):
    """The first record of a beginning, while the store stands still: of no matter which file, since the worker of an empty
    one, too, waits for the store. Asked on one connection: each new one would be one more end of a worker that a store
    which does not read cannot be told."""
    with contextlib.closing(vault.connect()) as connection:
        def ask(path):
            connection.request("GET", path)
            return connection.getresponse().read()

        def found():
            size = json.loads(ask("/v1/status"))["records"]
            if size == first:
                return None
            said = [json.loads(line) for line in ask(f"/v1/audit/records?from={first}&to={size}&tree={size}").splitlines()]
            return next((r for r in said if r["event"] == "file.rekey"), None)
        return scene.wait_for(found, "a beginning")


def wait_for_begin(vault, document, first):
    return scene.wait_for_record(vault, first=first, event="file.rekey", file=document["id"])


def settled(vault, names):
    """Nothing but the objects of these contents is left."""
    wanted = sum(scene.objects_for(len(c)) for c in names)
    scene.wait_for(lambda: len(scene.objects(vault)) == wanted, f"{wanted} objects")


def test_every_object_is_another_one_and_every_file_reads_as_before(vault):
    before = scene.objects(vault)
    job = rotate(vault)
    assert (job["done"], job["total"]) == (len(CONTENT), len(CONTENT))
    settled(vault, CONTENT.values())
    assert not before.keys() & scene.objects(vault).keys()
    assert all(reads_whole(vault, name, content) for name, content in CONTENT.items())
    assert vault.ctl("status")["jobs"] == 0


def test_each_file_has_a_record_that_names_its_old_and_new_key(vault):
    first = vault.http("GET", "/v1/status").json()["records"]
    rotate(vault)
    said = scene.records(vault, first)
    begun = {r["file"]: r["detail"] for r in said if r["event"] == "file.rekey"}
    ended = {r["file"]: r["detail"] for r in said if r["event"] == "file.rekey.close" and r["outcome"] == "done"}
    files = {f["id"] for f in scene.listed_files(vault)}
    assert begun.keys() == ended.keys() == files
    assert all(detail == "data key 2 to 3" for detail in ended.values())
    closing = [r for r in said if r["event"] == "key.rotated"]
    assert [r["detail"] for r in closing] == [f"data, {len(CONTENT)} files, 0 failed"]


def test_a_key_goes_out_only_after_its_record(vault):
    """The record of the beginning stands before that of the end, of the same request, in the subject's chain."""
    first = vault.http("GET", "/v1/status").json()["records"]
    rotate(vault)
    said = [r for r in scene.records(vault, first) if r["event"].startswith("file.rekey")]
    for at, end in enumerate(said):
        if end["event"] == "file.rekey.close":
            assert [r["request"] for r in said[:at] if r["event"] == "file.rekey"].count(end["request"]) == 1
            assert end["chain"]["subject"]


def test_a_file_of_more_than_one_page(vault):
    content = os.urandom(1 << 20) * (TWO_PAGES >> 20) + os.urandom(TWO_PAGES % (1 << 20))
    scene.add_patient(vault, "S-LONG")
    scene.deposit(vault, "S-LONG", "long", content)
    rotate(vault)
    assert reads_whole(vault, "long", content, "S-LONG")
    scene.administer(vault, "remove", "S-LONG/long")
    settled(vault, CONTENT.values())


def test_a_file_is_readable_at_every_moment(vault):
    """Readers go on through three rotations; who began before the change reads to the end what began."""
    failed, count, ended = [], [0], threading.Event()

    def read_on():
        while not ended.is_set():
            for name, content in CONTENT.items():
                if not reads_whole(vault, name, content):
                    failed.append(name)
                count[0] += 1

    threads = [threading.Thread(target=read_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        rotate(vault)
    ended.set()
    for thread in threads:
        thread.join()
    assert not failed and count[0] > 10
    settled(vault, CONTENT.values())


def test_old_objects_stay_as_long_as_a_grant_needs_them(vault):
    connection = vault.connect("clinic", 120)
    try:
        headers = {"Purpose": scene.TREATMENT, "Range": "bytes=0-9"}
        connection.request("GET", scene.file_path("S-1", "chunks"), headers=headers)
        assert connection.getresponse().read() == CONTENT["chunks"][:10]
        before = len(scene.objects(vault))
        rotate(vault)
        scene.wait_for(lambda: len(scene.objects(vault)) == before + scene.objects_for(len(CONTENT["chunks"])),
                       "the old objects of the file that is read, and no others")
        headers["Range"] = f"bytes=0-{len(CONTENT['chunks']) - 1}"  # in the grant that the connection has
        connection.request("GET", scene.file_path("S-1", "chunks"), headers=headers)
        assert connection.getresponse().read() == CONTENT["chunks"]
    finally:
        connection.close()
    settled(vault, CONTENT.values())


def test_what_came_after_the_rotation_began_is_left_alone(vault):
    name = "later"
    job = vault.ctl("key", "rotate", "data", "--no-wait")
    scene.deposit(vault, "S-1", name, b"later")
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation", 120)
    document = next(f for f in scene.listed_files(vault) if f["name"] == name)
    assert not [r for r in scene.records(vault) if r["event"] == "file.rekey" and r.get("file") == document["id"]]
    assert job["total"] == len(CONTENT)
    scene.administer(vault, "remove", f"S-1/{name}")


def test_a_second_rotation_waits_for_the_first(vault):
    (store,) = scene.processes(vault)["vaultd-store"]
    os.kill(store, signal.SIGSTOP)  # no file ends meanwhile
    try:
        vault.ctl("key", "rotate", "data", "--no-wait")
        answer = vault.http("POST", "/v1/keys/rotate", b'{"what": "data"}', {"Content-Type": "application/json"})
    finally:
        os.kill(store, signal.SIGCONT)
    assert answer.status == 409 and "job-running" in answer.body.decode()
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation", 120)


def test_other_jobs_do_not_wait_for_it(vault):
    """A rotation of all data keys of a country takes months; other rotations and shreds go on beside it."""
    vault.ctl("key", "rotate", "data", "--no-wait")
    assert vault.ctl("key", "rotate", "kek")["state"] == "done"
    assert vault.ctl("key", "rotate", "subject")["state"] == "done"
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.ctl("key", "jobs")["jobs"]), "the end of all", 120)
    assert all(reads_whole(vault, name, content) for name, content in CONTENT.items())


def test_a_damaged_file_is_told_and_left_and_the_others_go_on(vault):
    scene.add_patient(vault, "S-BAD")
    before = scene.objects(vault).keys()
    scene.deposit(vault, "S-BAD", "bad", os.urandom(100_000))
    (name,) = scene.objects(vault).keys() - before
    path = scene.objects(vault)[name]
    whole = path.read_bytes()
    scene.replace(path, whole[:70_000] + bytes([whole[70_000] ^ 1]) + whole[70_001:])
    first = vault.http("GET", "/v1/status").json()["records"]
    rotate(vault)
    said = scene.records(vault, first)
    (failed,) = [r for r in said if r["event"] == "file.rekey.close" and r["outcome"] == "failed"]
    assert failed["subject"] == "S-BAD" and name in failed["detail"]
    assert f"{len(CONTENT)} files, 1 failed" in next(r for r in said if r["event"] == "key.rotated")["detail"]
    assert name in scene.objects(vault)  # a good copy may still be found
    scene.restore(path, whole, path.stat())
    rotate(vault)
    assert scene.Read(vault, "S-BAD", "bad").whole
    scene.wait_for(lambda: name not in scene.objects(vault), "the end of the object before")
    scene.administer(vault, "remove", "S-BAD/bad")
    settled(vault, CONTENT.values())


def test_shredding_ends_the_encryption_under_way(vault):
    content = os.urandom(64 << 20)
    scene.add_patient(vault, "S-GONE")
    scene.deposit(vault, "S-GONE", "gone", content)
    first = vault.http("GET", "/v1/status").json()["records"]
    vault.ctl("key", "rotate", "data", "--no-wait")
    document = next(f for f in scene.listed_files(vault) if f["name"] == "gone")
    wait_for_begin(vault, document, first)
    scene.administer(vault, "subject", "shred", "S-GONE")
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the shred's end", 120)
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.ctl("key", "jobs")["jobs"]), "the end of all", 120)
    settled(vault, CONTENT.values())
    ends = [r["outcome"] for r in scene.records(vault, first)
            if r["event"] == "file.rekey.close" and r.get("file") == document["id"]]
    assert ends == ["revoked"] or ends == ["done"]
    assert scene.Read(vault, "S-GONE", "gone").status == 403


@pytest.mark.parametrize("victim", ["vaultd-worker", "vaultd-store", "vaultd-monitor", "vaultd-gate", "vaultd"])
def test_a_death_costs_the_file_under_way(vault, victim):
    first = vault.http("GET", "/v1/status").json()["records"]
    (store,) = scene.processes(vault)["vaultd-store"]
    os.kill(store, signal.SIGSTOP)
    vault.ctl("key", "rotate", "data", "--no-wait")
    beginning = begun(vault, first)
    for pid in scene.processes(vault)[victim]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(store, signal.SIGCONT)
    if victim == "vaultd":
        scene.wait_for(lambda: not scene.orphans(vault), "the end of its children")
        scene.start(vault)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault", 120)
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation", 120)
    said = [r for r in scene.records(vault, beginning["seq"]) if r.get("file") == beginning["file"]]
    ends = [r["outcome"] for r in said if r["event"] == "file.rekey.close"]
    assert ends == ["interrupted", "done"]
    assert all(reads_whole(vault, name, content) for name, content in CONTENT.items())
    settled(vault, CONTENT.values())


def test_sealing_ends_it_and_unsealing_goes_on(vault):
    (store,) = scene.processes(vault)["vaultd-store"]
    first = vault.http("GET", "/v1/status").json()["records"]
    os.kill(store, signal.SIGSTOP)
    vault.ctl("key", "rotate", "data", "--no-wait")
    begun(vault, first)
    vault.ctl("seal")
    os.kill(store, signal.SIGCONT)
    vault.ctl("unseal")
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation", 120)
    ends = [r["outcome"] for r in scene.records(vault, first) if r["event"] == "file.rekey.close"]
    assert ends.count("done") == len(CONTENT) and "revoked" in ends
    settled(vault, CONTENT.values())


def test_the_end_of_the_service_does_not_wait_for_it():
    with running_vault(limits={"drain_seconds": 600}) as vault:
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "one", b"content")
        (store,) = scene.processes(vault)["vaultd-store"]
        os.kill(store, signal.SIGSTOP)
        vault.ctl("key", "rotate", "data", "--no-wait")
        begun(vault)
        os.kill(vault.pid, signal.SIGTERM)
        os.kill(store, signal.SIGCONT)
        scene.wait_for(lambda: not is_running(vault.pid), "the end of the service", 60)
        scene.start(vault)
        scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation", 120)
        assert scene.Read(vault, "S-1", "one").body == b"content"


def test_the_audit_proves_itself_after_all_that(vault, tmp_path):
    said = scene.verify_audit(vault, tmp_path / "audit")
    assert [r for r in said if r["event"] == "file.rekey.close"]
