"""scrub reads everything that is stored and says what is damaged; without keys it needs no vault at all."""
import os
import signal
import threading

import pytest

import scene
from vault_under_test import running_vault

SUBJECT, SIZES = "S-scrub", [0, 1, 65537, (4 << 20) + 1, 9_000_000]

DAMAGE = {
    "bit flipped": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "one byte short": lambda content: content[:-1],
    "one byte longer": lambda content: content + b"\0",
    "empty": lambda content: b"",
    "missing": lambda content: None,
}


@pytest.fixture(scope="module")
def filled():
    with running_vault() as vault:
        scene.add_patient(vault, SUBJECT)
        for size in SIZES:
            scene.deposit(vault, SUBJECT, f"f{size}", os.urandom(size))
        yield vault


def scrub(vault, *options, expect=0):
    return vault.ctl("scrub", *options, expect=expect)


def count(vault):
    return len(scene.objects(vault))


def needed(vault):
    """How many objects the files have; there may be more for a moment, of deposits that broke off."""
    return sum(scene.objects_for(f["size"]) for f in scene.listed_files(vault))


def test_whole_vault_is_found_whole(filled):
    first = filled.http("GET", "/v1/status").json()["records"]
    said = scrub(filled)
    assert said["state"] == "done" and said["index"]["state"] == "whole"
    assert said["objects"] == {"total": count(filled), "done": count(filled), "damaged": 0, "missing": 0}
    [record] = [r for r in scene.records(filled, first) if r["event"] == "scrub"]
    assert record["outcome"] == "done" and f"{count(filled)} objects" in record["detail"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_object_is_told_with_the_file_that_it_is_of(filled, damage):
    first = filled.http("GET", "/v1/status").json()["records"]
    name, path = sorted(scene.objects(filled).items())[len(damage) % count(filled)]
    content, like = path.read_bytes(), path.stat()
    scene.replace(path, DAMAGE[damage](content))
    try:
        said = scrub(filled, expect=6)
        told = [r for r in scene.records(filled, first) if r["event"] == "scrub.damaged"]
        without = scrub(filled, "--without-keys", "--objects", filled.objects, expect=0 if damage == "missing" else 6)
    finally:
        scene.restore(path, content, like)
    kind = "missing" if damage == "missing" else "damaged"
    assert said["objects"][kind] == 1 and said["objects"]["done"] == count(filled)
    [record] = told
    assert name in record["detail"] and record["subject"] == SUBJECT and record["outcome"] == "failed"
    files = {f["id"] for f in filled.http("GET", "/v1/files?subject=" + SUBJECT).json()["files"]}
    assert record["file"] in files
    assert without["damaged"] == ([] if damage == "missing" else [name])
    scrub(filled)


def test_scrub_while_deposits_and_removals_go_on_tells_of_no_damage(filled):
    """Objects that a broken deposit leaves, and loses again, are nobody's yet."""
    over = threading.Event()

    def deposit_and_break():
        n = 0
        while not over.is_set():
            n += 1
            scene.deposit(filled, SUBJECT, f"more{n}", os.urandom(300_000))
            connection = filled.connect("depositor")
            connection.putrequest("PUT", scene.file_path(SUBJECT, f"broken{n}"))
            connection.putheader("Content-Length", "9000000")
            connection.endheaders()
            connection.send(os.urandom(5 << 20))
            connection.close()
    thread = threading.Thread(target=deposit_and_break)
    thread.start()
    try:
        for _ in range(5):
            said = scrub(filled)
            assert said["objects"]["damaged"] == said["objects"]["missing"] == 0
    finally:
        over.set()
        thread.join()
    scene.wait_for(lambda: count(filled) == needed(filled), "the removal of what the broken deposits left")


def test_scrub_goes_on_after_a_restart(filled):
    """Killed at once after its start, it ends by itself, and counts each object once."""
    first = filled.http("GET", "/v1/status").json()["records"]
    filled.ctl("scrub", "--no-wait")
    [monitor] = scene.processes(filled)["vaultd-monitor"]
    os.kill(monitor, signal.SIGKILL)
    scene.wait_for(lambda: scene.processes(filled).get("vaultd-monitor", [monitor]) != [monitor] and
                   scene.seal_state(filled) == "unsealed", "another monitor")
    scene.wait_for(lambda: filled.http("GET", "/v1/scrub").json()["state"] == "done", "the scrub's end")
    said = filled.http("GET", "/v1/scrub").json()
    assert said["objects"]["damaged"] == said["objects"]["missing"] == 0 and said["objects"]["done"] == needed(filled)
    assert len([r for r in scene.records(filled, first) if r["event"] == "scrub"]) == 1


def test_only_administrators_may_scrub(filled):
    filled.ctl("scrub", cert="clinic", expect=3)
    filled.ctl("scrub", cert="auditor", expect=3)


def test_scrub_without_keys_needs_no_vault_and_names_what_is_no_object(filled, tmp_path):
    name, path = sorted(scene.objects(filled).items())[0]
    good = tmp_path / name[:2] / name[2:4] / name
    good.parent.mkdir(parents=True)
    good.write_bytes(path.read_bytes())
    environment = ("scrub", "--without-keys", "--objects", tmp_path)
    assert filled.ctl(*environment) == {"objects": 1, "damaged": [], "foreign": []}
    (tmp_path / name[:2] / "stray").write_bytes(b"x")
    misplaced = tmp_path / "00" / "00" / name
    misplaced.parent.mkdir(parents=True)
    misplaced.write_bytes(path.read_bytes())
    said = filled.ctl(*environment, expect=6)
    assert sorted(said["foreign"]) == sorted([f"00/00/{name}", f"{name[:2]}/stray"]) and said["damaged"] == []
    filled.ctl("scrub", "--without-keys", "--objects", tmp_path / "none", expect=1)
    filled.ctl("scrub", "--objects", tmp_path, expect=2)
