"""Lists for a purpose: they hold what would be permitted, and nothing else, however many refuse."""
import urllib.parse

import pytest

import scene
from scene import RESEARCH, TREATMENT, add_patient, administer, deposit, give_consent
from vault_under_test import running_vault

PATIENTS, PERMIT_EVERY = 330, 30


@pytest.fixture(scope="module")
def vault():
    """Most patients refuse research; those who permit it have two files, one of them in a dataset."""
    with running_vault() as v:
        for n in range(PATIENTS):
            subject = f"S-{n}"
            v.ctl("subject", "add", subject)
            permits = n % PERMIT_EVERY == 0
            give_consent(v, subject, research=["DUO:0000042"] if permits else [])
            deposit(v, subject, "a.cram", b"A" * 100)
            if permits:
                deposit(v, subject, "b.cram", b"B" * 100, dataset="D1")
        yield v


def page(vault, cert, **query):
    """One page, as the service asks for it."""
    asked = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
    return vault.http("GET", f"/v1/files?{asked}", cert=cert)


def pages(vault, purpose, cert, **query):
    """Every page of a list."""
    found, cursor = [], None
    while True:
        answer = page(vault, cert, purpose=purpose, cursor=cursor, **query)
        assert answer.status == 200, answer.body
        found.append([(f["subject"], f["name"]) for f in answer.json()["files"]])
        cursor = answer.json()["next"]
        if cursor is None:
            return found


def flat(found):
    return [f for page in found for f in page]


def permitted():
    return sorted((f"S-{n}", name) for n in range(0, PATIENTS, PERMIT_EVERY) for name in ("a.cram", "b.cram"))


def test_a_list_holds_what_would_be_permitted_and_nothing_twice(vault):
    found = pages(vault, RESEARCH, "research")
    assert sorted(flat(found)) == permitted()
    assert len(found) <= 2, "a page passes over hundreds who refuse"
    everything = flat(pages(vault, TREATMENT, "clinic"))
    assert len(everything) == len(set(everything)) == PATIENTS + len(permitted()) // 2
    assert sorted(flat(pages(vault, RESEARCH, "research", dataset="D1"))) == [f for f in permitted() if f[1] == "b.cram"]


def test_a_change_is_in_the_next_list(vault):
    vault.ctl("consent", "withdraw", "S-30", "--purpose", "research")
    vault.ctl("subject", "change", "S-60", "--opt-out")
    give_consent(vault, "S-31", research=["DUO:0000042"])
    listed = {subject for subject, _ in flat(pages(vault, RESEARCH, "research"))}
    assert "S-31" in listed and not listed & {"S-30", "S-60"}
    give_consent(vault, "S-30", research=["DUO:0000042"])
    give_consent(vault, "S-31", research=[])
    vault.ctl("subject", "change", "S-60", "--no-opt-out")
    assert sorted(flat(pages(vault, RESEARCH, "research"))) == permitted()


def test_after_a_restart_and_another_name_key_it_is_the_same(vault):
    scene.stop(vault)
    scene.start(vault)
    assert sorted(flat(pages(vault, RESEARCH, "research"))) == permitted()
    vault.ctl("key", "rotate", "names")
    assert sorted(flat(pages(vault, RESEARCH, "research"))) == permitted()
    kept = lambda: vault.http("GET", "/v1/status").json()["standings"]
    assert kept()["subjects"] == PATIENTS and kept()["differing"] == 0 and kept()["bytes"] >= 48 * PATIENTS
    assert vault.http("POST", "/v1/scrub").status == 202
    scene.wait_for(lambda: kept()["state"] == "whole", "all is compared")
    assert kept()["differing"] == 0


def test_a_list_that_nothing_can_be_permitted_for_ends_at_once(vault):
    assert pages(vault, 'research;project="P1";approval="A9"', "research") == [[]]
    assert pages(vault, TREATMENT, "research") == [[]]
    assert vault.http("GET", "/v1/files", cert="research").status == 400
    for cursor in ("00", "zz", "0" * 96):
        assert page(vault, "research", purpose=RESEARCH, cursor=cursor).status == 400


def test_a_cursor_goes_on_where_the_walk_was_begun(vault):
    """One of a walk by patients is none of a dataset's, and one by files is none of a patient's."""
    of_patients = page(vault, "clinic", purpose=TREATMENT).json()["next"]
    of_files = vault.http("GET", "/v1/files").json()["next"]
    assert len(of_patients) > len(of_files)
    for query in ({"subject": "S-1"}, {"dataset": "D1"}):
        answer = page(vault, "clinic", purpose=TREATMENT, cursor=of_files, **query)
        assert answer.status == 400 and b"cursor" in answer.body


ONE_DATASET = """
version: 1
name: one-dataset
rules:
  - id: deposit
    effect: permit
    actions: [deposit]
    purposes: [none]
    roles: [depositor]
    text: Sequencing sites deposit genomes of known subjects.
  - id: treatment-in-d1
    effect: permit
    actions: [read, metadata, list]
    purposes: [treatment]
    dataset: D1
    conditions: [consent-treatment]
    text: The files of one dataset may be read in treatment.
  - id: emergency-in-d1
    effect: permit
    actions: [read, metadata, list]
    purposes: [treatment]
    dataset: D1
    conditions: [break-glass]
    text: In an emergency, the files of one dataset.
"""


def test_files_of_the_one_dataset_that_is_permitted_are_in_the_list_of_their_patient():
    """The rule that names a dataset permits some files of a patient: their list is not empty for the others."""
    with running_vault() as v:
        add_patient(v, "S-1")
        deposit(v, "S-1", "a.cram", b"A" * 100)
        deposit(v, "S-1", "b.cram", b"B" * 100, dataset="D1")
        administer(v, "policy", "load", "-", input=ONE_DATASET.encode())
        for query in ({"subject": "S-1"}, {}, {"dataset": "D1"}):
            assert flat(pages(v, TREATMENT, "clinic", **query)) == [("S-1", "b.cram")], query
        v.ctl("consent", "withdraw", "S-1")
        assert flat(pages(v, TREATMENT, "clinic", subject="S-1")) == []
        emergency = 'treatment;break-glass="unconscious"'
        assert flat(pages(v, emergency, "clinic", subject="S-1")) == [("S-1", "b.cram")]
        record, = [r for r in scene.records(v) if r["event"] == "list" and r.get("purpose") == emergency]
        assert record["outcome"] == "done" and "emergency-in-d1" in {r["rule"] for r in record["reasons"]}
        assert v.ctl("policy", "replay", record["seq"])["same"] is True
        assert len(v.ctl("review", "list")["reviews"]) == 1
