"""Decisions are made once more from their records: by the vault (`policy replay`), by the oracle that knows only the documents,
and, before another policy comes into force, under that one."""
import datetime
import json
import sys

import pytest
import yaml

import scene  # noqa: F401
from scene import RESEARCH, TREATMENT, add_patient, administer, deposit, file_path, give_consent, records
from vault_under_test import ROOT, running_vault

sys.path.insert(0, str(ROOT / "tests" / "decision"))
import oracle  # noqa: E402

DENMARK = (ROOT / "policies" / "denmark.yaml").read_text()
BUDGETS = """budgets:
  - {id: two-reads, purpose: research, per: project, period: ever, files: 1, text: One file.}
  - {id: others, purpose: research, per: project, period: year, names: [P9], bytes: 1, text: Another project.}
  - {id: clinic, purpose: treatment, per: service, period: day, bytes: 1000000, subjects: 4, text: A day.}
"""
FORBIDDEN = """version: 1
name: closed
rules:
  - {id: care, effect: permit, actions: [read, list, metadata], purposes: [treatment], conditions: [consent-treatment], text: Care.}
  - {id: store, effect: permit, actions: [deposit], purposes: [none], text: Deposits.}
"""


def read(vault, subject, name, purpose, cert):
    return vault.http("GET", file_path(subject, name), cert=cert, headers={"Purpose": purpose}).status


def explain(vault, service, purpose, subject):
    return vault.ctl("policy", "explain", "--service", service, "--purpose", purpose, "--subject", subject)


def sign_for_a_child(vault, subject):
    """Who is none by now."""
    document = {"subject": subject, "signed": scene.today(), "form": "1", "custody_until": "2020-01-01",
                "permits": {"treatment": True, "research": ["DUO:0000042"]}}
    vault.ctl("consent", "set", subject, "-", input=json.dumps(document).encode())


@pytest.fixture(scope="module")
def lived():
    """A vault in which much was decided, under what is otherwise by now."""
    with running_vault() as vault:
        add_patient(vault, "S-1")
        deposit(vault, "S-1", "a.cram", b"a" * 100_000, dataset="D1")
        assert read(vault, "S-1", "a.cram", TREATMENT, "clinic") == 200
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 200
        administer(vault, "policy", "load", "-", input=(DENMARK + BUDGETS).encode())
        deposit(vault, "S-1", "b.cram", b"b" * 1000)
        assert read(vault, "S-1", "a.cram", TREATMENT, "clinic") == 200
        assert read(vault, "S-1", "b.cram", RESEARCH, "research") == 200
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 429
        assert read(vault, "S-1", "a.cram", RESEARCH, "clinic") == 403
        assert read(vault, "S-1", "none.cram", TREATMENT, "clinic") == 403
        explain(vault, "research", RESEARCH + ';disease="MONDO:0005148";uses="DUO:0000037"', "S-1")
        sign_for_a_child(vault, "S-1")
        explain(vault, "research", RESEARCH, "S-1")
        give_consent(vault, "S-1", research=("DUO:0000016", "DUO:0000012"))
        explain(vault, "research", RESEARCH, "S-1")
        vault.ctl("consent", "withdraw", "S-1", "--purpose", "treatment")
        assert read(vault, "S-1", "a.cram", TREATMENT, "clinic") == 403
        vault.ctl("subject", "change", "S-1", "--opt-out")
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 403
        vault.ctl("subject", "change", "S-1", "--no-opt-out")
        vault.ctl("ethics", "revoke", "A1")
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 403
        vault.ctl("project", "close", "P1")
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 403
        yield vault


def decided(vault):
    return [r for r in records(vault) if "asked" in r]


def test_every_decision_has_what_it_was_asked_and_is_made_the_same_again(lived):
    before = decided(lived)
    assert len(before) >= 11 and {r["event"] for r in before} >= {"deposit", "read", "inquiry"}
    for r in before:
        again = lived.ctl("policy", "replay", r["seq"])
        assert again["same"] is True, (r, again)
        assert again["recorded"]["reasons"] == r["reasons"]
    administer(lived, "policy", "load", "-", input=FORBIDDEN.encode())
    for r in before:
        assert lived.ctl("policy", "replay", r["seq"])["same"] is True, "the policy of then decides"
    denied = [r for r in before if r["outcome"] == "denied"]
    assert {reason["rule"] for r in denied for reason in r["reasons"]} >= {
        "consent-not-decidable", "consent-other-use", "opted-out", "approval-revoked", "project-closed", "file-unknown",
        "consent-outgrown", "two-reads"}


def consent_of(history, version):
    document = next((c for c in history if c["version"] == version), None)
    if document is None:
        return None
    permits = document["permits"]
    until = document["custody_until"]
    return oracle.Consent(custody_until=day(until and datetime.date.fromisoformat(until)), treatment=permits["treatment"],
                          research=tuple(int(term[4:]) for term in permits.get("research", [])))


def day(date):
    return 0 if date is None else int(datetime.datetime.combine(date, datetime.time(), datetime.timezone.utc).timestamp())


def policy_of(text):
    def rule(r):
        return oracle.Rule(r["id"], r["effect"], frozenset(r["actions"]), frozenset(r["purposes"]),
                           frozenset(r.get("roles", ())), frozenset(r.get("conditions", ())), r.get("dataset", ""),
                           r.get("tag", ""), r.get("obligation", ""), day(r.get("from")), day(r.get("until")))

    def budget(b):
        most = oracle.Count(b.get("bytes", 0), b.get("files", 0), b.get("subjects", 0))
        return oracle.Budget(b["id"], b["purpose"], b["per"], b["period"], most, frozenset(b.get("names", ())))
    document = yaml.safe_load(text)
    return oracle.Policy(tuple(map(rule, document["rules"])), document.get("opt-outs-max-age-days", 0),
                         tuple(map(budget, document.get("budgets", ()))))


def members(mask, names):
    return frozenset(name for bit, name in enumerate(names) if mask >> bit & 1)


def question_of(record, history, policy):
    """As docs/format-audit.md says what the members of `asked` are."""
    a = record["asked"]
    uses = frozenset(30 + bit for bit in range(32) if a.get("uses", 0) >> bit & 1)
    flag = lambda name: a.get(name, 0) == 1
    return oracle.Question(
        a["time"], a["action"],
        oracle.Purpose(a.get("purpose", "none"), a.get("project", ""), a.get("approval", ""), a.get("disease", ""), uses),
        oracle.Service(flag("service_known"), members(a.get("roles", 0), oracle.ROLES), members(a.get("purposes", 0), oracle.PURPOSES), a["service"]),
        oracle.Subject(flag("subject_known"), flag("opted_out"), consent_of(history, record.get("consent", 0))),
        oracle.File(flag("file_known"), a.get("dataset", ""), tuple(filter(None, a.get("tags", "").split(",")))),
        oracle.Project(flag("project_known"), flag("project_open"), flag("project_member")),
        oracle.Approval(flag("approval_known"), flag("approval_revoked"), flag("approval_for_project"),
                        flag("approval_for_dataset"), flag("approval_for_purpose"), a.get("approval_from", 0),
                        a.get("approval_until", 0)),
        policy, None, a.get("opt_outs_of", 0),
        {(u["per"], u["period"]): oracle.Count(u["bytes"], u["files"], u["subjects"]) for u in a.get("use", ())})


def test_the_oracle_decides_the_same_from_the_records_alone(lived):
    history = lived.ctl("consent", "show", "S-1", "--history")["consents"]
    policies = {1: policy_of(DENMARK), 2: policy_of(DENMARK + BUDGETS)}
    seen = 0
    for r in decided(lived):
        policy = policies.get(r["asked"].get("policy_version"))
        if policy is None:
            continue
        verdict, reasons, obligations = oracle.decide(question_of(r, history, policy))
        permitted = verdict == oracle.PERMIT
        assert permitted == (r["outcome"] != "denied"), r
        assert {x.rule for x in reasons if permitted or x.against} == {x["rule"] for x in r["reasons"]}, r
        assert not permitted or set(r.get("obligations", ())) == obligations, r
        seen += 1
    assert seen >= 16


def test_who_approves_a_policy_is_told_which_decisions_would_be_others():
    with running_vault() as vault:
        add_patient(vault, "S-1")
        deposit(vault, "S-1", "a.cram", b"a" * 100_000)
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 200
        assert read(vault, "S-1", "a.cram", TREATMENT, "clinic") == 200
        for n in range(5, 25):  # who said something else, or nothing
            vault.ctl("subject", "add", f"S-{n}")
            if n % 4:
                scene.give_consent(vault, f"S-{n}", treatment=n % 2 == 0, research=["DUO:0000042"] if n % 3 else [])
        vault.ctl("subject", "change", "S-5", "--opt-out")
        permitted = [r["seq"] for r in decided(vault) if r["asked"].get("purpose") == "research"]
        asked = vault.ctl("policy", "load", "-", input=FORBIDDEN.encode())
        assert f"1 permitted ones would be denied (records {permitted[0]}), 0 denied ones permitted" in asked["detail"]
        researched = 1 + sum(1 for n in range(5, 25) if n % 4 and n % 3 and n != 5)
        assert (f"of 21 patients, for a file without dataset and tags: treatment newly denied for 0 and permitted for 0, research newly denied for {researched} "
                "and permitted for 0") in asked["detail"]
        waiting = vault.ctl("pending", "list")["pending"]
        assert [w["detail"] for w in waiting] == [asked["detail"]]
        vault.ctl("pending", "approve", asked["pending"], cert="operator2")
        assert read(vault, "S-1", "a.cram", RESEARCH, "research") == 403
        denied = decided(vault)[-1]["seq"]
        back = vault.ctl("policy", "load", "-", input=DENMARK.encode())
        assert f"1 denied ones permitted (records {denied})" in back["detail"]
        assert f"research newly denied for 0 and permitted for {researched}" in back["detail"]
        assert "later days" not in back["detail"]
        same = vault.ctl("policy", "load", "-", input=FORBIDDEN.replace("name: closed", "name: again").replace(
            "text: Care.", "text: Care., from: 2020-01-01, until: 2099-01-01").encode())
        assert same["detail"].endswith("; on later days: rule care until 2099-01-01")
        assert "1 permitted ones would be denied" in same["detail"], "what was permitted then"


def test_a_record_without_a_decision_and_one_that_is_not_there_are_refused(lived):
    assert lived.http("GET", "/v1/decisions/0").status == 409
    problem = lived.http("GET", "/v1/decisions/999999")
    assert problem.status == 404 and json.loads(problem.body)["reasons"][0]["rule"] == "no-such-record"
    for bad in ("x", "-1", "1.5", ""):
        assert lived.http("GET", f"/v1/decisions/{bad}").status in (400, 404, 405)
    assert lived.http("GET", "/v1/decisions/3", cert="clinic").status == 403
