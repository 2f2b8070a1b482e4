"""`policy test`: a table of expected decisions, decided without a vault. Every policy that is shipped has one that holds."""
import json
import re
import shutil
import subprocess

import pytest

from vault_under_test import BUILT, ROOT

TABLES = sorted((ROOT / "policies").rglob("*.cases.yaml"))
POLICY = """version: 1
name: two-rules
rules:
  - {id: care, effect: permit, actions: [read], purposes: [treatment], conditions: [consent-treatment], text: Care.}
  - {id: quiet, effect: oblige, actions: [read], purposes: [treatment], conditions: [no-recontact], obligation: be-quiet, text: Quiet.}
"""
CASES = """version: 1
policy: two.yaml
cases:
  - {name: care, action: read, purpose: treatment, roles: [reader], consent: {treatment: true, recontact: true}, expect: permit,
     because: [care]}
  - {name: quiet, action: read, purpose: treatment, roles: [reader], consent: {treatment: true}, expect: permit,
     because: [care, quiet], obligations: [be-quiet]}
  - {name: refused, action: read, purpose: treatment, roles: [reader], consent: {treatment: false}, expect: deny,
     because: [consent-refuses-treatment]}
"""


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "two.yaml").write_text(POLICY)

    def write(cases=CASES):
        (tmp_path / "cases.yaml").write_text(cases)
        return tmp_path / "cases.yaml"
    return write


def policy_test(*args, expect=0):
    done = subprocess.run([BUILT / "vaultctl", "policy", "test", *map(str, args)], capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == expect, (done.stdout, done.stderr)
    return done


def test_every_shipped_policy_has_a_table_that_holds():
    policies = sorted(p for p in (ROOT / "policies").rglob("*.yaml") if not p.name.endswith(".cases.yaml"))
    assert [p.with_suffix(".cases.yaml") for p in policies] == TABLES and len(TABLES) >= 3
    for table in TABLES:
        assert re.fullmatch(r"\d+ cases hold\n", policy_test(table).stdout)


def test_a_table_that_holds_is_told_with_its_policy(tables):
    assert policy_test(tables()).stdout == "3 cases hold\n"
    told = json.loads(policy_test(tables(), "--json").stdout)
    assert told == {"policy": "two-rules", "cases": 3, "failed": [], "rules_without_case": []}


def test_a_case_that_does_not_hold_is_named_with_what_was_decided(tables):
    done = policy_test(tables(CASES.replace("treatment: false", "treatment: true, recontact: true")), expect=1)
    assert "line 8: 'refused': permit (care); expected deny (consent-refuses-treatment)" in done.stdout
    assert "1 of 3 cases does not hold" in done.stderr
    told = json.loads(policy_test(tables(CASES.replace("expect: deny", "expect: person")), "--json", expect=1).stdout)
    assert told["failed"] == [{"name": "refused", "line": 8,
                               "got": {"verdict": "deny", "because": ["consent-refuses-treatment"], "obligations": []},
                               "expected": {"verdict": "person", "because": ["consent-refuses-treatment"], "obligations": []}}]


@pytest.mark.parametrize("case, told", [
    ("because: [care, quiet], obligations: [be-quiet]", None), ("because: [quiet, care], obligations: [be-quiet]", None),
    ("because: [care, quiet]", "with be-quiet"), ("because: [care], obligations: [be-quiet]", "'quiet'"),
    ("because: [care, quiet, more], obligations: [be-quiet]", "'quiet'"),
    ("because: [care, quiet], obligations: [be-quiet, be-loud]", "'quiet'")])
def test_reasons_and_obligations_are_exactly_those(tables, case, told):
    done = policy_test(tables(CASES.replace("because: [care, quiet], obligations: [be-quiet]", case)), expect=1 if told else 0)
    assert told is None or told in done.stdout


def test_a_rule_that_no_case_meets_is_told(tables):
    done = policy_test(tables(re.sub(r"  - \{name: quiet.*?\}\n(?=  - )", "", CASES, flags=re.S)), expect=1)
    assert "rule 'quiet' of the policy decides no case" in done.stdout


@pytest.mark.parametrize("wrong, told", [
    ("policy: two.yaml", "policy: none.yaml"), ("version: 1", "version: 2"), ("action: read", "action: reed"),
    ("purpose: treatment", "purpose: 'treatment;project=\"P\"'"), ("roles: [reader]", "roles: [king]"),
    ("consent: {treatment: true}", "consent: {treatment: yes}"), ("consent: {treatment: true}", "consent: {cure: true}"),
    ("consent: {treatment: true}", "consent: {treatment: true, research: [DUO:4]}"),
    ("consent: {treatment: true}", "consent: {treatment: true, research: [DUO:0000007]}"),
    ("expect: deny", "expect: never"), ("name: care, ", ""), ("expect: deny", "expect: deny, project: ajar"),
    ("expect: deny", "expect: deny, approval: valid"), ("because: [care]", "because: []"), ("because: [care]", "because: [care, care]"),
    ("  - {name: refused", "  - {name: refused, name: twice"), ("cases:", "cases: []\nmore:")])
def test_a_mistake_is_told_with_its_line(tables, wrong, told):
    done = policy_test(tables(CASES.replace(wrong, told, 1)), expect=2)
    assert "cases.yaml" in done.stderr or "none.yaml" in done.stderr
    assert "line " in done.stderr or "none.yaml" in done.stderr, done.stderr


def test_a_faulty_policy_is_told_as_loading_would(tables, tmp_path):
    (tmp_path / "two.yaml").write_text(POLICY.replace("effect: permit", "effect: permitt"))
    done = policy_test(tables(), expect=2)
    assert "two.yaml" in done.stderr and "line 4" in done.stderr and "permitt" in done.stderr


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.stem)
def test_a_shipped_table_notices_each_rule_and_budget_that_is_taken_away(table, tmp_path):
    """Without it, some case does not hold, or names a budget that is not there."""
    policy = table.with_name(table.name.replace(".cases", ""))
    head, *members = re.split(r"(?m)^(?=  - id: |budgets:)", policy.read_text())
    shutil.copy(table, tmp_path / table.name)
    assert len(members) > 1
    for member in members:
        if member.startswith("budgets:"):
            continue
        (tmp_path / policy.name).write_text(head + "".join(m for m in members if m is not member))
        done = subprocess.run([BUILT / "vaultctl", "policy", "test", tmp_path / table.name], capture_output=True, text=True)
        assert re.search("does not hold|do not hold|has no budget", done.stderr) and done.returncode in (1, 2), member
