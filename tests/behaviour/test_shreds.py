"""Four eyes, and what is shredded: who may approve what, that nothing of it is served any more, that the rest stays whole,
and how final the vault says that it is."""
import json
import subprocess
import threading

import pytest

import scene
from scene import Read, wait_for
from vault_under_test import ROOT, running_vault

GENOME = bytes(range(256)) * 40000  # 10 MB: three objects
SECOND = "operator2"


@pytest.fixture(scope="module")
def vault():
    with running_vault() as vault:
        yield vault


def ask(vault, method, path, cert=None, body=None):
    return vault.http(method, path, body, {"Content-Type": "application/json"} if body else {}, cert=cert)


def asked(vault, method, path, cert=None, body=None):
    answer = ask(vault, method, path, cert, body)
    assert answer.status == 202, answer.body
    return answer.json()["pending"]


def approve(vault, number, cert=SECOND):
    return ask(vault, "POST", f"/v1/pending/{number}/approve", cert)


def rule(answer):
    return answer.json()["reasons"][0]["rule"]


def patient(vault, subject, *names):
    scene.add_patient(vault, subject)
    return [scene.deposit(vault, subject, name, GENOME + name.encode())["id"] for name in names]


def is_whole(vault, subject, name):
    read = Read(vault, subject, name)
    return read.whole and read.body == GENOME + name.encode()


def status_of(vault, subject, name):
    return vault.http("GET", scene.file_path(subject, name), None, {"Purpose": scene.TREATMENT}, cert="clinic").status


def shreds(vault, subject):
    return vault.http("GET", f"/v1/subjects/{subject}").json()["shreds"]


def jobs_are_done(vault):
    wait_for(lambda: all(j["state"] == "done" for j in vault.http("GET", "/v1/jobs").json()["jobs"]), "the jobs' end")


# ---- four eyes ----

def test_nothing_is_shredded_before_another_person_approves(vault):
    patient(vault, "S-wait", "a.cram")
    number = asked(vault, "DELETE", "/v1/subjects/S-wait")
    assert is_whole(vault, "S-wait", "a.cram")
    [waiting] = [p for p in ask(vault, "GET", "/v1/pending").json()["pending"] if p["pending"] == number]
    assert waiting["what"] == "subject.shred" and waiting["subject"] == "S-wait" and waiting["asked_by"].startswith("unix:")
    assert ask(vault, "POST", f"/v1/pending/{number}/refuse", SECOND).status == 200
    gone = approve(vault, number)
    assert gone.status == 404 and rule(gone) == "no-such-pending"
    assert is_whole(vault, "S-wait", "a.cram")


def test_nobody_approves_their_own(vault):
    patient(vault, "S-own", "a.cram")
    mine = asked(vault, "DELETE", "/v1/subjects/S-own")
    assert rule(approve(vault, mine, cert=None)) == "own-request"
    theirs = asked(vault, "DELETE", "/v1/subjects/S-own", cert=SECOND)
    refused = approve(vault, theirs, cert=SECOND)
    assert refused.status == 403 and rule(refused) == "own-request"
    assert is_whole(vault, "S-own", "a.cram")
    for number in (mine, theirs):  # each may take back their own
        assert ask(vault, "POST", f"/v1/pending/{number}/refuse", None if number == mine else SECOND).status == 200


def test_an_approver_needs_the_role_and_was_there_before(vault):
    patient(vault, "S-who", "a.cram")
    number = asked(vault, "DELETE", "/v1/subjects/S-who")
    for cert in ("auditor", "clinic", "depositor"):
        refused = approve(vault, number, cert)
        assert refused.status == 403 and rule(refused) == "role-missing", cert
    subprocess.run([ROOT / "scripts" / "test-pki", vault.folder / "pki", "custodian2"], check=True,
                   capture_output=True)
    added = asked(vault, "POST", "/v1/services", None, json.dumps(
        {"name": "custodian2", "san": "urn:vault:service:custodian2", "roles": ["custodian"]}).encode())
    assert approve(vault, added).status == 201
    newer = approve(vault, number, "custodian2")
    assert newer.status == 403 and rule(newer) == "approver-newer"
    again = asked(vault, "DELETE", "/v1/subjects/S-who")
    assert approve(vault, again, "custodian2").status == 200
    late = approve(vault, number)
    assert late.status == 409 and rule(late) == "shredded"


def test_a_policy_and_an_administrator_need_two(vault):
    before = vault.http("GET", "/v1/policy").json()["hash"]
    text = (ROOT / "policies" / "denmark.yaml").read_text().replace("name: ", "name: changed-", 1)
    waits = vault.ctl("policy", "load", "-", input=text.encode())
    assert waits["what"] == "policy.load" and vault.http("GET", "/v1/policy").json()["hash"] == before
    loaded = approve(vault, waits["pending"]).json()
    assert loaded["hash"] in waits["detail"] and vault.http("GET", "/v1/policy").json()["hash"] == loaded["hash"]
    assert rule(approve(vault, waits["pending"])) == "no-such-pending"  # once is enough
    reader = vault.ctl("service", "add", "reader9", "--san", "urn:x:reader9", "--role", "reader", "--purpose", "treatment")
    assert reader["name"] == "reader9"  # no administrator
    waits = vault.ctl("service", "add", "auditor9", "--san", "urn:x:auditor9", "--role", "auditor")
    assert vault.http("GET", "/v1/services/auditor9").status == 404
    assert approve(vault, waits["pending"]).json()["roles"] == ["auditor"]


def test_the_last_operator_that_could_approve_stays(vault):
    refused = ask(vault, "DELETE", f"/v1/services/{SECOND}")
    assert refused.status == 409 and rule(refused) == "last-approver"


def test_what_a_revoked_one_asked_for_is_gone(vault):
    patient(vault, "S-left", "a.cram")
    subprocess.run([ROOT / "scripts" / "test-pki", vault.folder / "pki", "leaver"], check=True, capture_output=True)
    body = json.dumps({"name": "leaver", "san": "urn:vault:service:leaver", "roles": ["custodian"]}).encode()
    assert approve(vault, asked(vault, "POST", "/v1/services", None, body)).status == 201
    number = asked(vault, "DELETE", "/v1/subjects/S-left", cert="leaver")
    assert ask(vault, "DELETE", "/v1/services/leaver").status == 200
    assert rule(approve(vault, number)) == "no-such-pending"
    scene.wait_for_record(vault, event="pending.expired", subject="S-left")
    assert is_whole(vault, "S-left", "a.cram")


def test_too_many_do_not_wait_and_each_step_is_on_record(vault):
    patient(vault, "S-many", "a.cram")
    first = vault.http("GET", "/v1/status").json()["records"]
    answers = [ask(vault, "DELETE", "/v1/subjects/S-many") for _ in range(20)]
    numbers = [a.json()["pending"] for a in answers if a.status == 202]
    assert {a.status for a in answers} == {202, 429} and rule(answers[-1]) == "too-many-pending"
    others = asked(vault, "DELETE", "/v1/subjects/S-many", cert=SECOND)  # one person cannot keep another from asking
    assert ask(vault, "POST", f"/v1/pending/{others}/refuse").status == 200
    for number in numbers:
        assert ask(vault, "POST", f"/v1/pending/{number}/refuse").status == 200
    events = [r["event"] for r in scene.records(vault, first)]
    assert events.count("pending.ask") - 1 == len(numbers) == events.count("pending.refuse") - 1


def test_a_request_expires():
    with running_vault(settings={"approve_seconds": 1}) as vault:
        patient(vault, "S-1", "a.cram")
        number = asked(vault, "DELETE", "/v1/subjects/S-1")
        scene.wait_for_record(vault, event="pending.expired")
        assert rule(approve(vault, number)) == "no-such-pending"
        assert ask(vault, "GET", "/v1/pending").json()["pending"] == []
        assert is_whole(vault, "S-1", "a.cram")


def test_malformed_decisions_are_refused(vault):
    for path, status in (("/v1/pending/x/approve", 400), ("/v1/pending/99999999999/approve", 400),
                         ("/v1/pending/4000000000/approve", 404), ("/v1/pending/1/perhaps", 404)):
        assert ask(vault, "POST", path, SECOND).status == status, path
    vault.ctl("pending", "approve", "seven", expect=2)


# ---- a subject ----

def test_a_shredded_subject_is_as_one_that_never_was(vault):
    ids = patient(vault, "S-gone", "a.cram", "b.cram")
    patient(vault, "S-stays", "a.cram")
    before = set(scene.objects(vault))
    done = approve(vault, asked(vault, "DELETE", "/v1/subjects/S-gone"))
    assert done.status == 200 and done.json()["shreds"][0]["what"] == "subject"
    never = vault.http("GET", scene.file_path("S-never", "a.cram"), None, {"Purpose": scene.TREATMENT}, cert="clinic")
    for name in ("a.cram", "b.cram"):
        answer = vault.http("GET", scene.file_path("S-gone", name), None, {"Purpose": scene.TREATMENT}, cert="clinic")
        assert answer.status == 403 and answer.body == never.body
    jobs_are_done(vault)
    wait_for(lambda: len(before - set(scene.objects(vault))) == 2 * scene.objects_for(len(GENOME)), "the objects' end")
    assert vault.http("GET", f"/v1/files/{ids[0]}/metadata").status == 404
    shown = vault.http("GET", "/v1/subjects/S-gone").json()
    assert shown["files"] == 0 and shown["shredded"] is not None
    [shred] = shown["shreds"]
    assert shred["final"] is False and shred["approved_by"] == SECOND and shred["asked_by"].startswith("unix:")
    assert shred["state"] == f"not final until generation {vault.http('GET', '/v1/status').json()['generation']} is retired"
    assert is_whole(vault, "S-stays", "a.cram")
    assert vault.http("GET", "/v1/files?subject=S-gone").json()["files"] == []


def test_a_shredded_subject_takes_nothing_any_more(vault):
    patient(vault, "S-end", "a.cram")
    assert approve(vault, asked(vault, "DELETE", "/v1/subjects/S-end")).status == 200
    assert ask(vault, "POST", "/v1/subjects", None, b'{"subject":"S-end"}').status == 409
    consent = json.dumps({"subject": "S-end", "signed": "2026-11-22", "form": "2.1", "permits": {"treatment": True}})
    refused = ask(vault, "PUT", "/v1/consents/S-end", None, consent.encode())
    assert refused.status == 409 and rule(refused) == "shredded"
    deposit = vault.http("PUT", scene.file_path("S-end", "c.cram"), b"short", cert="depositor")
    assert deposit.status == 403
    again = ask(vault, "DELETE", "/v1/subjects/S-end")
    assert again.status == 409 and rule(again) == "shredded"


def test_a_running_read_is_cut_before_the_answer(vault):
    scene.add_patient(vault, "S-run")
    scene.deposit(vault, "S-run", "long.cram", GENOME * 20)
    connection = vault.connect("clinic")
    connection.request("GET", scene.file_path("S-run", "long.cram"), headers={"Purpose": scene.TREATMENT})
    response = connection.getresponse()
    assert response.status == 200 and len(response.read(1 << 16)) == 1 << 16
    assert approve(vault, asked(vault, "DELETE", "/v1/subjects/S-run")).status == 200
    got = 1 << 16
    with pytest.raises(Exception):
        while True:
            piece = response.read(1 << 16)
            assert piece, "the whole file came"
            got += len(piece)
    assert got < len(GENOME) * 20
    scene.wait_for_record(vault, event="read.close", outcome="revoked", subject="S-run")


def test_a_deposit_under_way_comes_to_nothing(vault):
    scene.add_patient(vault, "S-late")
    connection = vault.connect("depositor")
    connection.putrequest("PUT", scene.file_path("S-late", "late.cram"))
    connection.putheader("Content-Length", str(len(GENOME)))
    connection.endheaders()
    connection.send(GENOME[:5000000])
    wait_for(lambda: any(r["event"] == "deposit" and r.get("subject") == "S-late" for r in scene.records(vault)), "the deposit")
    assert approve(vault, asked(vault, "DELETE", "/v1/subjects/S-late")).status == 200
    try:
        connection.send(GENOME[5000000:])
        assert connection.getresponse().status >= 400
    except OSError:
        pass
    finally:
        connection.close()
    assert vault.http("GET", "/v1/subjects/S-late").json()["files"] == 0
    scene.wait_for_record(vault, event="deposit.close", subject="S-late", detail="the subject was shredded")


# ---- a file ----

def test_one_shredded_file_leaves_the_others_readable(vault):
    ids = patient(vault, "S-file", "a.cram", "b.cram", "c.cram")
    before = set(scene.objects(vault))
    done = approve(vault, asked(vault, "DELETE", f"/v1/files/{ids[1]}"))
    assert done.status == 200 and done.json()["name"] == "b.cram"
    assert status_of(vault, "S-file", "b.cram") == 403
    assert is_whole(vault, "S-file", "a.cram") and is_whole(vault, "S-file", "c.cram")
    jobs_are_done(vault)
    assert is_whole(vault, "S-file", "a.cram") and is_whole(vault, "S-file", "c.cram")
    wait_for(lambda: len(before - set(scene.objects(vault))) == scene.objects_for(len(GENOME)), "the objects' end")
    [shred] = shreds(vault, "S-file")
    assert shred["what"] == "file" and shred["file"] == ids[1] and "retired" in shred["state"]
    assert vault.http("GET", "/v1/subjects/S-file").json()["files"] == 2
    # its name is free for another
    scene.deposit(vault, "S-file", "b.cram", GENOME + b"b.cram")
    assert is_whole(vault, "S-file", "b.cram")


def test_files_of_one_subject_shredded_one_after_the_other(vault):
    ids = patient(vault, "S-each", "a.cram", "b.cram", "c.cram")
    numbers = [asked(vault, "DELETE", f"/v1/files/{file}") for file in ids[:2]]
    assert [approve(vault, n).status for n in numbers] == [200, 200]
    jobs_are_done(vault)
    assert len(shreds(vault, "S-each")) == 2 and all("retired" in s["state"] for s in shreds(vault, "S-each"))
    assert is_whole(vault, "S-each", "c.cram")


def test_every_subject_gets_a_new_key_while_clients_read(vault):
    patient(vault, "S-turn-1", "a.cram", "b.cram")
    patient(vault, "S-turn-2", "a.cram")
    stop, wrong, count = threading.Event(), [], [0]

    def reads():
        while not stop.is_set():
            if not is_whole(vault, "S-turn-1", "b.cram"):
                wrong.append("not whole")
            count[0] += 1

    reader = threading.Thread(target=reads)
    reader.start()
    try:
        vault.ctl("key", "rotate", "subject")
        vault.ctl("key", "rotate", "subject")
    finally:
        stop.set()
        reader.join()
    assert not wrong and count[0] > 0
    for subject, name in (("S-turn-1", "a.cram"), ("S-turn-2", "a.cram")):
        assert is_whole(vault, subject, name)
    assert vault.ctl("key", "jobs")["jobs"][0]["done"] >= 2


def test_a_deposit_that_began_under_the_key_before_ends_well(vault):
    scene.add_patient(vault, "S-slow")
    scene.deposit(vault, "S-slow", "first.cram", GENOME + b"first.cram")
    connection = vault.connect("depositor")
    content = GENOME + b"slow.cram"
    connection.putrequest("PUT", scene.file_path("S-slow", "slow.cram"))
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders()
    connection.send(content[:5000000])
    wait_for(lambda: any(r["event"] == "deposit" and r.get("subject") == "S-slow" and "detail" not in r
                         for r in scene.records(vault)[-5:]), "the deposit")
    vault.ctl("key", "rotate", "subject")
    connection.send(content[5000000:])
    assert connection.getresponse().status == 201
    connection.close()
    for name in ("first.cram", "slow.cram"):
        assert is_whole(vault, "S-slow", name)
    vault.ctl("key", "rotate", "subject")
    for name in ("first.cram", "slow.cram"):
        assert is_whole(vault, "S-slow", name)


def test_the_log_is_whole(vault, tmp_path):
    events = {r["event"] for r in scene.verify_audit(vault, tmp_path / "export")}
    assert {"pending.ask", "pending.approve", "pending.refuse", "subject.shred", "subject.shredded", "file.shred",
            "key.rotated"} <= events


def test_scrub_finds_nothing_wrong(vault):
    vault.ctl("scrub")
    assert vault.http("GET", "/v1/scrub").json()["objects"] | {"total": 0, "done": 0} == {
        "total": 0, "done": 0, "damaged": 0, "missing": 0}
