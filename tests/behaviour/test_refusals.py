"""Whatever a known service asks wrongly is on record: under the number and the name of request that its answer has, or,
beyond a rate, as one of a number."""
import json
import re
import subprocess

import pytest

import scene
from vault_under_test import ROOT, running_vault

SUBJECT, FILE = "S-0001", "genome.fastq"
CONTENT = b"@READ-1\nGATTACA\n+\nIIIIIII\n"
READ = {"Purpose": scene.TREATMENT}
PATH = scene.file_path(SUBJECT, FILE)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def filled(vault):
    scene.add_patient(vault, SUBJECT)
    scene.deposit(vault, SUBJECT, FILE, CONTENT)
    return vault


CASES = {
    "no purpose": ("clinic", 400, "request", "GET", PATH, {}, None),
    "bad purpose": ("clinic", 400, "request", "GET", PATH, {"Purpose": "curiosity"}, None),
    "malformed range": ("clinic", 400, "range", "GET", PATH, {**READ, "Range": "bytes=9-1"}, None),
    "range past the end": ("clinic", 416, "range", "GET", PATH, {**READ, "Range": "bytes=999999-"}, None),
    "bad name of a subject": ("clinic", 400, "request", "GET", "/v1/subjects/S%20/files/x", READ, None),
    "malformed id of a file": ("clinic", 404, "request", "GET", "/v1/files/0011", READ, None),
    "malformed JSON": ("research", 400, "body", "POST", "/v1/decisions", JSON, b'{"purpose":'),
    "unknown member": ("research", 400, "request", "POST", "/v1/decisions", JSON, b'{"porpoise":"treatment"}'),
    "unknown path": ("research", 404, "path", "GET", "/v1/nothing", {}, None),
    "wrong method": ("clinic", 405, "method", "DELETE", "/v1/subjects", {}, None),
    "unsupported form": ("clinic", 406, "accept", "GET", PATH, {**READ, "Accept": "application/vnd.ga4gh.crypt4gh"}, None),
    "encoded content": ("depositor", 415, "coding", "PUT", PATH, {"Content-Encoding": "gzip"}, CONTENT),
    "too long a document": ("clinic", 413, "body", "POST", "/v1/decisions", JSON, b" " * 70000),
}


def denied_since(vault, first):
    return [r for r in scene.records(vault, first) if r["outcome"] == "denied"]


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_recorded(filled, name):
    service, status, rule, method, path, headers, body = CASES[name]
    first = filled.http("GET", "/v1/status").json()["records"]
    answer = filled.http(method, path, body, headers, cert=service)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    [reason] = answer.json()["reasons"]
    [record] = denied_since(filled, first)
    assert record["event"] == "request" and record["service"]["name"] == service
    assert record["request"] == answer.headers["Request-Id"]
    assert record["seq"] == int(answer.headers["Audit-Seq"])
    assert record["reasons"] == [reason] and reason["rule"] == rule


def test_what_one_connection_refuses_is_recorded_each_time(filled):
    first = filled.http("GET", "/v1/status").json()["records"]
    connection = filled.connect("clinic")
    seqs = []
    for _ in range(3):
        connection.request("GET", "/v1/nothing")
        response = connection.getresponse()
        assert response.status == 404 and response.read()
        seqs.append(int(response.headers["Audit-Seq"]))
    connection.close()
    assert [r["seq"] for r in denied_since(filled, first)] == seqs


def test_who_is_not_known_is_told_nothing_else(filled):
    """The answer to anything is 401, as the record says."""
    subprocess.run([ROOT / "scripts" / "test-pki", filled.folder / "pki", "stranger"], check=True, capture_output=True)
    first = filled.http("GET", "/v1/status").json()["records"]
    answer = filled.http("GET", "/v1/nothing", cert="stranger")
    assert answer.status == 401, answer.body
    [record] = denied_since(filled, first)
    assert record["seq"] == int(answer.headers["Audit-Seq"]) and record["request"] == answer.headers["Request-Id"]


def test_a_sealed_vault_records_nothing_and_says_what_is_wrong_only_with_what_it_takes(filled):
    filled.ctl("seal")
    answer = filled.http("GET", "/v1/nothing", cert="clinic")
    assert answer.status == 423 and "Audit-Seq" not in answer.headers
    answer = filled.http("POST", "/v1/unseal", b'{"key":1}', JSON)
    assert answer.status == 400 and "`key`" in answer.json()["detail"]
    filled.ctl("unseal")


# ---- too many to record one by one ----

DENIALS, ASKED = 10, 60


@pytest.fixture(scope="module")
def counting():
    with running_vault(limits={"denials": DENIALS}) as v:
        scene.add_patient(v, SUBJECT)
        scene.deposit(v, SUBJECT, FILE, CONTENT)
        yield v


def summed(vault, first):
    found = [r for r in scene.records(vault, first) if r["event"] == "denials"]
    assert all(r["service"]["name"] == "research" and r["outcome"] == "denied" for r in found)
    return sum(int(re.match(r"\d+", r["detail"])[0]) for r in found)


def test_denials_beyond_the_rate_are_answered_alike_and_recorded_as_a_number(counting):
    first = counting.http("GET", "/v1/status").json()["records"]
    connection, seqs, bodies = counting.connect("research"), [], set()
    for _ in range(ASKED):
        connection.request("GET", "/v1/subjects/S-none/files/x", headers={"Purpose": scene.RESEARCH})
        response = connection.getresponse()
        bodies.add((response.status, response.read()))
        seqs.append(response.headers["Audit-Seq"])
    connection.close()
    alone = [int(seq) for seq in seqs if seq is not None]
    assert len(bodies) == 1 and alone and len(alone) < ASKED
    scene.wait_for(lambda: summed(counting, first) == ASKED - len(alone), "the record of the number")
    # Its permitted reads, and what others are denied, are on record one by one all the same.
    permitted = scene.Read(counting, SUBJECT, FILE, scene.RESEARCH, "research")
    assert permitted.whole and permitted.seq is not None
    assert counting.http("GET", "/v1/nothing", cert="clinic").headers["Audit-Seq"] is not None


def test_an_inquiry_is_never_summed(counting):
    """Its answer tells an administrator what a patient decided: each one is on record, with the subject."""
    counting.ctl("subject", "add", "S-silent")
    question = {"service": "clinic", "purpose": scene.TREATMENT, "subject": "S-silent"}
    answers = [counting.http("POST", "/v1/decisions", json.dumps(question).encode(), JSON) for _ in range(2 * DENIALS)]
    assert all(a.status == 200 and not a.json()["permitted"] and a.headers["Audit-Seq"] for a in answers), answers[0].body


def test_what_was_counted_is_recorded_before_a_seal(counting):
    first = counting.http("GET", "/v1/status").json()["records"]
    answers = [counting.http("GET", "/v1/nothing", cert="research") for _ in range(ASKED)]
    counted = sum(1 for a in answers if a.headers["Audit-Seq"] is None)
    assert counted > 0
    counting.ctl("seal")
    counting.ctl("unseal")
    assert summed(counting, first) == counted
