"""Shreds, turns and four eyes over an index that somebody with the disk has damaged, added to, or put back: the vault and
everybody else's jobs go on, no other file is lost, and nothing is approved that was refused."""
import hashlib
import json

import pytest

import index_tools
import memory_scan as formats
import scene
from vault_under_test import running_vault

CONTENT = bytes(range(256)) * 20000  # two objects
SUBJECT, CHAIN = 1, 8  # kinds of names, docs/format-index.md
UPLOADS = (14, "uploads")


@pytest.fixture(scope="module")
def vault():
    with running_vault() as vault:
        vault.ring = formats.ring_keys(vault, formats.root_key_of(vault))
        yield vault


def name_hash(vault, kind, text):
    return hashlib.blake2b(bytes([kind]) + bytes(32) + text.encode(), key=vault.ring["name key"], digest_size=32).hexdigest()


def dump(vault):
    return index_tools.dump(vault.state / "index")[0]


def change(vault, by):
    """What `by` makes of the entries, in a vault that does not run meanwhile."""
    scene.stop(vault)
    pairs, headers = index_tools.dump(vault.state / "index")
    by(pairs)
    index_tools.replace(vault, (pairs, headers))
    scene.start(vault)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault is open")


def flip(pairs, database, key):
    value = pairs[database][key]
    pairs[database][key] = value[:-2] + f"{int(value[-2:], 16) ^ 1:02x}"


def patient(vault, subject, *names):
    scene.add_patient(vault, subject)
    return [scene.deposit(vault, subject, name, CONTENT + f"{subject}/{name}".encode())["id"] for name in names]


def is_whole(vault, subject, name):
    return scene.Read(vault, subject, name).body == CONTENT + f"{subject}/{name}".encode()


def ask(vault, path):
    answer = vault.http("DELETE", path)
    assert answer.status == 202, answer.body
    return answer.json()["pending"]


def approve(vault, number):
    return vault.http("POST", f"/v1/pending/{number}/approve", cert="operator2")


def shred(vault, path):
    assert approve(vault, ask(vault, path)).status == 200
    jobs_end(vault)


def jobs_end(vault):
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.http("GET", "/v1/jobs").json()["jobs"]), "the jobs' end", 30)


def rule(answer):
    return answer.json()["reasons"][0]["rule"]


def shreds(vault, subject):
    return vault.http("GET", f"/v1/subjects/{subject}").json()["shreds"]


@pytest.mark.parametrize("database", ["objects", "removed"])
def test_damaged_entry_stops_nobody(vault, database):
    """Of the shredded subject's own object; or a removal that comes before all others."""
    subject = f"S-{database}"
    before = set(dump(vault)["objects"])
    patient(vault, subject, "a")
    patient(vault, f"{subject}-2", "a")
    patient(vault, f"{subject}-3", "a")
    first = min(set(dump(vault)["objects"]) - before)

    def harm(pairs):
        if database == "objects":
            for key in set(pairs["objects"]) - before:
                flip(pairs, "objects", key)
        else:
            pairs["removed"]["00" * 16] = "00" * 80
    change(vault, harm)
    assert first
    for which in (subject, f"{subject}-2"):
        shred(vault, f"/v1/subjects/{which}")
    assert is_whole(vault, f"{subject}-3", "a")
    patient(vault, f"{subject}-4", "a")
    assert vault.ctl("status")["seal"] == "unsealed"


def test_key_that_is_none_of_ours_ends_no_job_early_or_never(vault):
    patient(vault, "S-long", "a", "b")
    mark = name_hash(vault, SUBJECT, "S-long") + "00" * 40
    change(vault, lambda pairs: pairs["subject-files"].update({mark: "00" * 60}))
    vault.ctl("key", "rotate", "subject")
    assert is_whole(vault, "S-long", "b")
    shred(vault, "/v1/subjects/S-long")
    assert vault.http("GET", "/v1/subjects/S-long").json()["files"] == 0


def test_damaged_shred_entry_keeps_nobody_from_shredding(vault):
    patient(vault, "S-told", "a", "b")
    shred(vault, scene.file_path("S-told", "a"))
    owner = name_hash(vault, SUBJECT, "S-told")
    change(vault, lambda pairs: [flip(pairs, "shreds", key) for key in pairs["shreds"] if key.startswith(owner)])
    assert shreds(vault, "S-told") == [{"state": "its entry is damaged"}]
    shred(vault, "/v1/subjects/S-told")
    assert shreds(vault, "S-told")[0]["what"] == "subject"


def test_file_that_its_subject_does_not_list_keeps_its_key(vault):
    ids = patient(vault, "S-lost", "a", "b")
    mark = name_hash(vault, SUBJECT, "S-lost") + ids[0]
    change(vault, lambda pairs: pairs["subject-files"].pop(mark))
    vault.ctl("key", "rotate", "subject")
    assert is_whole(vault, "S-lost", "a") and is_whole(vault, "S-lost", "b")
    vault.ctl("key", "rotate", "subject")
    assert is_whole(vault, "S-lost", "a") and is_whole(vault, "S-lost", "b")
    assert "the key before of a subject is kept" in (vault.folder / "vaultd.log").read_text()


def test_shred_takes_nobody_elses_file(vault):
    patient(vault, "S-thief", "a")
    [other] = patient(vault, "S-other", "a")
    mark = name_hash(vault, SUBJECT, "S-thief") + other
    like = name_hash(vault, SUBJECT, "S-other") + other
    change(vault, lambda pairs: pairs["subject-files"].update({mark: pairs["subject-files"][like]}))
    shred(vault, "/v1/subjects/S-thief")
    assert is_whole(vault, "S-other", "a")
    [record] = [r for r in scene.records(vault) if r["event"] == "subject.shredded" and r.get("subject") == "S-thief"]
    assert record["outcome"] == "failed" and record["detail"] == "1 files, 1 damaged"


def test_damaged_file_of_a_shredded_subject_is_as_one_that_never_was(vault):
    ids = patient(vault, "S-half", "a", "b")
    change(vault, lambda pairs: flip(pairs, "files", ids[0]))
    shred(vault, "/v1/subjects/S-half")
    for name in ("a", "b", "c"):
        gone = vault.http("GET", scene.file_path("S-half", name), None, {"Purpose": scene.TREATMENT}, cert="clinic")
        never = vault.http("GET", scene.file_path("S-never", name), None, {"Purpose": scene.TREATMENT}, cert="clinic")
        assert (gone.status, gone.body) == (403, never.body), name


def test_a_request_by_name_is_about_the_file_of_then(vault):
    patient(vault, "S-name", "a", "b")
    path = scene.file_path("S-name", "a")
    early = ask(vault, path)
    shred(vault, path)
    scene.deposit(vault, "S-name", "a", CONTENT + b"S-name/a")
    late = approve(vault, early)
    assert late.status == 404 and rule(late) == "no-such-file"
    assert is_whole(vault, "S-name", "a")


def test_deposit_of_a_shredded_files_name_comes_to_nothing(vault):
    patient(vault, "S-again", "a", "b")
    connection = vault.connect("depositor")
    connection.putrequest("PUT", scene.file_path("S-again", "a"))
    connection.putheader("Content-Length", str(len(CONTENT) + 9))
    connection.endheaders()
    connection.send(CONTENT[:4500000])
    scene.wait_for(lambda: [r["event"] for r in scene.records(vault) if r.get("subject") == "S-again"].count("deposit") == 3,
                   "the deposit")
    assert approve(vault, ask(vault, scene.file_path("S-again", "a"))).status == 200
    scene.wait_for_record(vault, event="deposit.close", subject="S-again", detail="the file was shredded")
    connection.close()


def test_damaged_request_blinds_nobody_and_can_be_refused(vault):
    patient(vault, "S-eyes", "a")
    damaged, good = ask(vault, "/v1/subjects/S-eyes"), ask(vault, "/v1/subjects/S-eyes")
    change(vault, lambda pairs: flip(pairs, "pending", f"{damaged:08x}"))
    waiting = {p["pending"]: p["what"] for p in vault.http("GET", "/v1/pending").json()["pending"]}
    assert waiting == {damaged: "its entry is damaged", good: "subject.shred"}
    assert approve(vault, damaged).status == 500
    for number in (damaged, good):
        assert vault.http("POST", f"/v1/pending/{number}/refuse").status == 200
    assert vault.http("GET", "/v1/pending").json()["pending"] == []
    assert is_whole(vault, "S-eyes", "a")


def test_refused_request_put_back_counts_for_nothing(vault):
    patient(vault, "S-back", "a")
    number = ask(vault, "/v1/subjects/S-back")
    kept = dump(vault)["pending"][f"{number:08x}"]
    assert vault.http("POST", f"/v1/pending/{number}/refuse", cert="operator2").status == 200
    change(vault, lambda pairs: pairs["pending"].update({f"{number:08x}": kept}))
    assert rule(approve(vault, number)) == "no-such-pending"
    assert is_whole(vault, "S-back", "a")


def test_approval_that_meets_damage_is_told_and_still_waits(vault):
    patient(vault, "S-meets", "a")
    number = ask(vault, "/v1/subjects/S-meets")
    owner = name_hash(vault, SUBJECT, "S-meets")
    good = dump(vault)["subjects"][owner]
    change(vault, lambda pairs: flip(pairs, "subjects", owner))
    answer = approve(vault, number)
    assert answer.status == 500 and "Audit-Seq" in answer.headers
    change(vault, lambda pairs: pairs["subjects"].update({owner: good}))
    assert approve(vault, number).status == 200


def test_damaged_job_that_has_ended_is_passed_over(vault):
    vault.ctl("key", "rotate", "subject")
    last = max(j["id"] for j in vault.http("GET", "/v1/jobs").json()["jobs"])
    change(vault, lambda pairs: flip(pairs, "jobs", f"{last:08x}"))
    assert last not in [j["id"] for j in vault.http("GET", "/v1/jobs").json()["jobs"]]
    vault.ctl("key", "rotate", "subject")


def test_no_wrapped_key_of_a_file_is_left_in_its_deposit(vault):
    """Seen on a connection that stays open: what it deposited is remembered until it ends."""
    scene.add_patient(vault, "S-wrap")
    connection = vault.connect("depositor")
    connection.request("PUT", scene.file_path("S-wrap", "a"), CONTENT)
    assert connection.getresponse().read() and len(dump(vault)["uploads"]) > 0
    values = [value for _, value in formats.values_of(vault, vault.ring["index key"], UPLOADS)]
    mine = [v for v in values if b"S-wrap" in v]
    assert mine and all(bytes(72) in v for v in mine)
    connection.close()


def test_shredded_file_put_back_with_its_subject_is_not_served(vault):
    ids = patient(vault, "S-replay", "a", "b")
    before = dump(vault)
    objects = {path: path.read_bytes() for path in scene.objects(vault).values()}
    owner = name_hash(vault, SUBJECT, "S-replay")
    shred(vault, scene.file_path("S-replay", "a"))
    gone = scene.wait_for(lambda: set(objects) - set(scene.objects(vault).values()), "the objects' end")
    scene.wait_for(lambda: len(set(objects) - set(scene.objects(vault).values())) == 2, "the end of both")

    def put_back(pairs):
        for database in ("files", "file-names", "subject-files", "blobs", "pages", "subjects"):
            for key, value in before[database].items():
                if database != "subjects" or key == owner:
                    pairs[database].setdefault(key, value)
        pairs["subjects"][owner] = before["subjects"][owner]
        pairs["subject-keys"].update({k: v for k, v in before["subject-keys"].items() if k.startswith(owner)})
    change(vault, put_back)
    for path in set(objects) - set(scene.objects(vault).values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.restore(path, objects[path], next(iter(scene.objects(vault).values())).stat())
    assert gone
    answer = vault.http("GET", f"/v1/files/{ids[0]}", None, {"Purpose": scene.TREATMENT}, cert="clinic")
    assert answer.status == 500 and json.loads(answer.body)["type"].endswith("integrity")
