"""Breaking glass: an emergency in treatment passes over a consent where the policy says so, is marked and told, and waits for
an auditor. It opens no research and nothing that was shredded."""
import json

import pytest

import scene
from scene import RESEARCH, add_patient, administer, deposit, file_path, records
from vault_under_test import ROOT, running_vault

WHY = "unconscious on arrival"
GLASS = f'treatment;break-glass="{WHY}"'
CONTENT = b"ACGT" * 30_000


@pytest.fixture
def vault():
    """With a patient who has withdrawn, and one who never consented."""
    with running_vault() as v:
        for subject in ("S-1", "S-2"):
            add_patient(v, subject)
            deposit(v, subject, "a.cram", CONTENT)
        v.ctl("subject", "add", "S-3")
        v.ctl("consent", "withdraw", "S-1", "--purpose", "treatment")
        yield v


def read(vault, subject, purpose, cert="clinic"):
    return vault.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose})


def reviews(vault):
    return vault.ctl("review", "list")["reviews"]


def test_an_emergency_is_served_marked_told_and_closed_by_an_auditor(vault):
    assert read(vault, "S-1", "treatment").status == 403
    assert vault.http("GET", "/v1/status").json()["reviews"] == 0
    answer = read(vault, "S-1", GLASS)
    assert answer.status == 200 and answer.body == CONTENT
    assert "review-follows" in answer.headers["Obligations"]
    record = next(r for r in records(vault) if r["event"] == "read" and "break-glass" in r["purpose"])
    assert record["purpose"] == GLASS and record["asked"]["break_glass"] == 1
    assert {r["rule"] for r in record["reasons"]} >= {"consent-refuses-treatment", "emergency", "emergency-reviewed"}
    assert vault.ctl("policy", "replay", record["seq"])["same"] is True

    waiting, = reviews(vault)
    assert (waiting["record"], waiting["subject"], waiting["reason"], waiting["state"]) == (record["seq"], "S-1", WHY, "open")
    status = vault.http("GET", "/v1/status").json()
    assert status["reviews"] == 1 and any("Glass was broken" in w for w in status["warnings"])
    log = (vault.folder / "vaultd.log").read_text()
    told = [line for line in log.splitlines() if "break-glass:" in line]
    assert len(told) == 1 and f"record={record['seq']}" in told[0] and "S-1" not in told[0]

    vault.ctl("review", "close", record["seq"], expect=2)
    closed = vault.ctl("review", "close", record["seq"], "--note", "the ward confirms it")
    assert closed["state"] == "closed" and closed["note"] == "the ward confirms it"
    assert vault.http("GET", "/v1/status").json()["reviews"] == 0
    assert vault.http("POST", f"/v1/reviews/{record['seq']}/close", body=b'{"note":"again"}').status == 409
    assert vault.http("POST", "/v1/reviews/0/close", body=b'{"note":"x"}').status == 404
    assert vault.http("GET", "/v1/reviews", cert="clinic").status == 403
    assert [r["detail"] for r in records(vault) if r["event"] == "review.close" and r["outcome"] == "done"] == [
        f"record {record['seq']}: the ward confirms it"]
    scene.verify_audit(vault, vault.folder / "export")


def test_lists_and_documents_in_an_emergency_wait_for_review_too(vault):
    assert vault.ctl("list", "--subject", "S-1", "--purpose", "treatment", cert="clinic")["files"] == []
    listed = vault.ctl("list", "--subject", "S-1", "--purpose", GLASS, cert="clinic")["files"]
    assert [f["name"] for f in listed] == ["a.cram"]
    shown = vault.http("GET", f"/v1/files/{listed[0]['id']}", cert="clinic", headers={"Purpose": GLASS})
    assert shown.status == 200
    record, = [r for r in records(vault) if r["event"] == "list" and r.get("purpose") == GLASS]
    assert record["subject"] == "S-1" and record["asked"]["action"] == "list" and "subject" in record["chain"]
    assert vault.ctl("policy", "replay", record["seq"])["same"] is True
    vault.ctl("list", "--purpose", GLASS, cert="clinic", expect=2)
    assert [(r["subject"], r["file"]) for r in reviews(vault)] == [("S-1", None), ("S-1", listed[0]["id"])]


def test_it_opens_no_research_nothing_shredded_and_nobody_elses_role(vault):
    assert read(vault, "S-1", RESEARCH + f';break-glass="{WHY}"', "research").status == 400
    assert read(vault, "S-1", GLASS, "research").status == 403, "the service may not act for treatment"
    assert read(vault, "S-1", GLASS, "depositor").status == 403
    assert read(vault, "S-3", GLASS).status == 403, "no such file"
    administer(vault, "subject", "shred", "S-2")
    assert read(vault, "S-2", GLASS).status == 403
    assert reviews(vault) == []
    for bad in ('treatment;break-glass', 'treatment;break-glass=""', f'treatment;break-glass="{"x" * 201}"'):
        assert read(vault, "S-1", bad).status == 400


def test_only_where_the_policy_says_so(vault):
    strict = (ROOT / "policies" / "examples" / "strict.yaml").read_text()
    administer(vault, "policy", "load", "-", input=strict.encode())
    assert read(vault, "S-1", GLASS).status == 403
    assert reviews(vault) == []


def test_a_question_about_it_breaks_nothing(vault):
    asked = vault.ctl("policy", "explain", "--service", "clinic", "--purpose", GLASS, "--subject", "S-1")
    assert asked["permitted"] is True and "review-follows" in asked["obligations"]
    for subject in ("S-1", "S-2", "nobody"):
        question = json.dumps({"subject": subject, "purpose": GLASS}).encode()
        assert vault.http("POST", "/v1/decisions", body=question, cert="clinic").status == 400, "it would tell the patient's choice"
    assert reviews(vault) == []
    assert json.loads(read(vault, "S-1", "treatment").body)["status"] == 403
