"""What backups, restores, rotations, escrow copies and shreds do to each other."""
import os
import shutil
import subprocess

import pytest

import scene
import test_escrow
import test_restore
from test_escrow import custodians  # noqa: F401 (a fixture)
from vault_under_test import running_vault

JSON = test_restore.JSON


@pytest.fixture
def vault():
    with running_vault() as vault:
        yield test_restore.populated(vault)


def lose_index(vault):
    """The objects are as they were."""
    vault.stop()
    shutil.rmtree(vault.state / "index")
    scene.start(vault)


def restored(vault, name):
    lose_index(vault)
    vault.ctl("restore", name)
    test_restore.confirm(vault)


def jobs_end(vault):
    scene.wait_for(lambda: vault.ctl("status")["jobs"] == 0, "the end of all jobs", 120)


def all_read(vault):
    return {s: scene.Read(vault, s, "a.cram").body == c for s, c in test_restore.CONTENT.items()}


def is_whole(vault, name):
    listing = vault.folder / "backups" / name / "objects"
    return subprocess.run(["sha256sum", "--quiet", "-c", listing], cwd=vault.objects, capture_output=True).returncode == 0


def test_objects_of_the_newest_backup_stay_through_a_rotation_of_data_keys(vault):
    vault.ctl("backup", "b1")
    count = len(scene.objects(vault))
    vault.ctl("key", "rotate", "data")
    assert len(scene.objects(vault)) == 2 * count and is_whole(vault, "b1")
    restored(vault, "b1")
    assert all(all_read(vault).values())
    jobs_end(vault)
    vault.ctl("key", "rotate", "data")
    vault.ctl("backup", "b2")
    scene.wait_for(lambda: not is_whole(vault, "b1"), "the end of what only the backup before needs")
    assert is_whole(vault, "b2") and all(all_read(vault).values())
    vault.ctl("key", "rotate", "data")
    vault.ctl("backup", "b3")
    scene.wait_for(lambda: not is_whole(vault, "b2"), "the same again")
    assert all(all_read(vault).values())


def test_restore_in_the_middle_of_a_rotation_of_data_keys_loses_no_file(vault):
    files = {f"f{i}": os.urandom(6_000_000) for i in range(5)}
    for name, content in files.items():
        scene.deposit(vault, "S-1", name, content)
    vault.ctl("backup", "b0")
    job = scene.begin_slowly(vault, "/v1/keys/rotate", {"what": "data"}, 4)
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["done"] >= 2, "some files")
    vault.ctl("backup", "b1")
    vault.ctl("key", "jobs", "rate", job, 0)
    jobs_end(vault)
    restored(vault, "b1")
    jobs_end(vault)  # it goes on with what the copy had left to do
    assert all(scene.Read(vault, "S-1", name).body == content for name, content in files.items())
    assert all(all_read(vault).values())


def test_retirement_counts_on_the_newest_backup_only(vault):
    vault.ctl("key", "rotate", "kek")
    vault.ctl("backup", "b1")
    vault.ctl("key", "rotate", "data")
    assert vault.http("POST", "/v1/keys/rotate", '{"what": "kek", "retire": true}', JSON).status == 202
    vault.ctl("key", "rotate", "kek")
    vault.ctl("backup", "b2")
    dying = scene.administer(vault, "key", "rotate", "kek", "--retire")
    assert dying["dead_backups"] == "b1"


def test_one_person_alone_ends_no_backup(vault):
    vault.ctl("backup", "b1")
    asked = vault.ctl("key", "rotate", "index")
    assert "backups that die: b1" in asked["detail"] and vault.ctl("backup", "--list")["backups"][0]["state"] == "good"
    vault.ctl("pending", "approve", asked["pending"], expect=3)
    vault.ctl("pending", "approve", asked["pending"], cert="operator2")
    jobs_end(vault)
    assert vault.ctl("backup", "--list")["backups"][0]["state"] == "dead"
    lose_index(vault)
    vault.ctl("restore", "b1", expect=5)
    assert "another index key" in vault.stderr and not test_restore.index(vault).exists()


def test_same_backup_restored_twice_gives_two_logs(vault):
    vault.ctl("backup", "b1")
    first = test_restore.status(vault)["origin"]
    origins = [first]
    for _ in range(2):
        restored(vault, "b1")
        origins.append(test_restore.status(vault)["origin"])
    assert len(set(origins)) == 3 and all(o.startswith(f"{first}/epoch-") for o in origins[1:])
    assert int(origins[2].rsplit("-", 1)[1]) > int(origins[1].rsplit("-", 1)[1])


def test_escrow_copy_that_a_restored_index_forgot_still_stands_against_final(custodians):  # noqa: F811
    vault = custodians
    test_escrow.patient(vault, "S-mixed", "a")
    vault.ctl("backup", "b1")
    test_escrow.escrow(vault, "e-forgotten")
    number = int(vault.made["escrow"][1:])
    restored(vault, "b1")
    assert vault.ctl("status")["escrow"]["copies"] >= 1
    asked = vault.ctl("subject", "shred", "S-mixed")
    test_escrow.approve(vault, asked["pending"])
    test_escrow.retire(vault)
    (shred,) = vault.ctl("subject", "show", "S-mixed")["shreds"]
    assert not shred["final"] and "final except escrow" in shred["state"]
    test_escrow.escrow(vault, "e-next")
    assert int(vault.made["escrow"][1:]) > number + 100


def test_who_was_revoked_since_the_backup_changes_nothing_over_the_network(vault):
    answer = vault.http("POST", "/v1/services", '{"name": "op3", "san": "urn:vault:service:op3", '
                        '"roles": ["registrar", "custodian", "operator"]}', JSON)
    vault.ctl("pending", "approve", answer.json()["pending"], cert="operator2")
    vault.ctl("backup", "b1")
    assert vault.http("DELETE", "/v1/services/operator2").status == 200
    lose_index(vault)
    vault.ctl("restore", "b1")
    scene.wait_for(lambda: test_restore.status(vault)["index"]["state"] == "whole", "the check of the index")
    for method, path, body in (("POST", "/v1/restore/confirm", '{"statement": "all is well"}'),
                               ("POST", "/v1/keys/rotate", '{"what": "kek"}'),
                               ("POST", "/v1/keys/escrows", '{"shares": 2, "threshold": 2, "recipients": []}'),
                               ("POST", "/v1/subjects", '{"subject": "S-new"}')):
        answer = vault.http(method, path, body, JSON, cert="operator2")
        assert (answer.status, test_restore.rule(answer)) == (503, "restored-not-confirmed"), (path, answer.body)
    asked = vault.ctl("subject", "shred", "S-2")  # done again on the host, with a second person as before
    vault.ctl("pending", "approve", asked["pending"], cert="operator2")
    test_restore.confirm(vault)
