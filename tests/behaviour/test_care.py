"""In whose care a patient is: a policy may permit treatment only then. And consents that name countries, organisations, projects,
services or a last day for research, decided by what the registry says of the service."""
import json
import os
import signal
import subprocess

import pytest

import scene
from scene import TREATMENT, add_patient, administer, deposit, file_path, records, wait_for
from vault_under_test import ROOT, running_vault

DENMARK = (ROOT / "policies" / "denmark.yaml").read_text()
IN_CARE = DENMARK.replace("    conditions: [consent-treatment]\n", "    conditions: [consent-treatment, care-relation]\n")
CONTENT = bytes(range(256)) * 200_000


@pytest.fixture(scope="module")
def vault():
    with running_vault() as v:
        for subject in ("S-1", "S-2", "S-3"):
            add_patient(v, subject)
            deposit(v, subject, "a.cram", CONTENT[:1000])
        deposit(v, "S-1", "large.cram", CONTENT)
        administer(v, "policy", "load", "-", input=IN_CARE.encode())
        yield v


def status(vault, subject, purpose=TREATMENT, cert="clinic"):
    return vault.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose}).status


def listed(vault):
    answer = vault.http("GET", "/v1/files?purpose=treatment", cert="clinic").json()
    assert answer["next"] is None
    return sorted({f["subject"] for f in answer["files"]})


def test_a_clinic_reads_its_own_patients_and_no_others(vault):
    assert [status(vault, s) for s in ("S-1", "S-2")] == [403, 403] and listed(vault) == []
    added = vault.ctl("care", "add", "S-1", "--service", "clinic", "--until", "2199-06-01")
    assert (added["service"], added["until"]) == ("clinic", "2199-06-01")
    assert [status(vault, s) for s in ("S-1", "S-2")] == [200, 403] and listed(vault) == ["S-1"]
    stranger = vault.http("GET", file_path("S-2", "a.cram"), cert="clinic", headers={"Purpose": TREATMENT})
    nobody = vault.http("GET", file_path("S-9", "a.cram"), cert="clinic", headers={"Purpose": TREATMENT})
    assert stranger.json() == nobody.json()
    read = next(r for r in reversed(records(vault)) if r["event"] == "read" and r["outcome"] == "permitted")
    assert read["asked"]["in_care"] == 1 and vault.ctl("policy", "replay", read["seq"])["same"]
    assert [c["service"] for c in vault.ctl("care", "list", "S-1")["care"]] == ["clinic"]
    told = vault.ctl("policy", "explain", "--service", "clinic", "--purpose", TREATMENT, "--subject", "S-2")
    assert [r["rule"] for r in told["reasons"] if r["against"]] == ["no-permit"]
    emergency = 'treatment;break-glass="bleeding"'
    assert status(vault, "S-2", emergency) == 200, "an emergency is for whoever is there"


def test_the_end_of_care_ends_what_is_read_before_it_is_answered(vault):
    vault.ctl("care", "add", "S-1", "--service", "clinic")
    connection = vault.connect("clinic")
    connection.request("GET", file_path("S-1", "large.cram"), headers={"Purpose": TREATMENT})
    answer = connection.getresponse()
    assert answer.status == 200
    ended = vault.ctl("care", "end", "S-1", "--service", "clinic")
    assert ended["ended"] == 1
    with pytest.raises(scene.CUT):
        answer.read()
        raise ConnectionResetError
    assert status(vault, "S-1") == 403
    connection.close()
    vault.ctl("care", "end", "S-1", "--service", "clinic", expect=4)
    assert vault.ctl("care", "list", "S-1")["care"] == []
    closed = scene.wait_for_record(vault, event="read.close", outcome="revoked")
    assert closed["detail"] == "the care of the patient was changed"


def test_care_outlives_the_vault_s_end_and_another_key_for_names(vault):
    vault.ctl("care", "add", "S-3", "--service", "clinic")
    vault.ctl("key", "rotate", "names")
    assert status(vault, "S-3") == 200
    os.kill(vault.pid, signal.SIGKILL)
    wait_for(lambda: not scene.orphans(vault), "all have ended")
    scene.start(vault)
    wait_for(lambda: scene.seal_state(vault) == "unsealed", "it serves")
    assert status(vault, "S-3") == 200 and status(vault, "S-2") == 403


def test_faulty_relations_are_refused(vault):
    vault.ctl("care", "add", "S-404", "--service", "clinic", expect=4)
    vault.ctl("care", "add", "S-1", "--service", "nobody", expect=4)
    vault.ctl("care", "add", "S-1", "--service", "clinic", "--until", "2020-01-01", expect=2)
    vault.ctl("care", "add", "S-1", "--service", "clinic", "--until", "soon", expect=2)
    vault.ctl("care", "add", "S-1", expect=2)
    assert vault.http("PUT", "/v1/subjects/S-1/care/clinic", b"{}", {"Content-Type": "application/json"}, cert="clinic").status == 403
    assert vault.http("PUT", "/v1/subjects/S-1/care/clinic", b'{"unto":1}', {"Content-Type": "application/json"}).status == 400
    for n in range(32):
        vault.ctl("service", "add", f"ward{n}", "--san", f"urn:vault:service:ward{n}", "--role", "reader", "--purpose", "treatment")
        vault.ctl("care", "add", "S-2", "--service", f"ward{n}")
    vault.ctl("care", "add", "S-2", "--service", "ward0", "--until", "2199-01-01")
    vault.ctl("care", "add", "S-2", "--service", "clinic", expect=1)
    assert len(vault.ctl("care", "list", "S-2")["care"]) == 32


def test_a_shredded_patient_is_in_nobody_s_care(vault):
    add_patient(vault, "S-gone")
    vault.ctl("care", "add", "S-gone", "--service", "clinic")
    administer(vault, "subject", "shred", "S-gone")
    vault.ctl("care", "add", "S-gone", "--service", "clinic", expect=1)


def test_who_approves_a_policy_is_told_what_it_means_for_care(vault):
    asked = vault.ctl("policy", "load", "-", input=DENMARK.encode())
    assert "treatment newly denied for 0 and permitted for 0, research" in asked["detail"]
    assert "; by who has them not in care: treatment newly denied for 0 and permitted for 3" in asked["detail"]
    vault.ctl("pending", "refuse", asked["pending"])


# ---- who may do research ----

@pytest.fixture(scope="module")
def labs(vault):
    """Two services: a Danish hospital's, and one of which nothing is known. The second approval is for non-commercial use."""
    for name, options in (("danish", ("--organisation", "hospital", "--country", "DK", "--not-for-profit")), ("unknown", ())):
        subprocess.run([str(ROOT / "scripts" / "test-pki"), str(vault.folder / "pki"), name], check=True, capture_output=True)
        shown = vault.ctl("service", "add", name, "--san", f"urn:vault:service:{name}", "--role", "reader", "--purpose", "research",
                          *options)
        assert shown["not_for_profit"] is (name == "danish")
    stated = next(r for r in records(vault) if r["event"] == "service.add" and r["detail"].startswith("danish "))
    assert stated["detail"] == "danish urn:vault:service:danish, of hospital in DK, not for profit"
    vault.ctl("project", "add", "P2", "--service", "danish", "--service", "unknown")
    vault.ctl("ethics", "add", "A2", "--project", "P2")
    vault.ctl("ethics", "add", "A3", "--project", "P2", "--non-commercial")
    return vault


def sign(vault, terms, **more):
    document = {"subject": "S-3", "signed": scene.today(), "form": "1",
                "permits": {"treatment": True, "research": [f"DUO:{t:07}" for t in terms], **more}}
    vault.ctl("consent", "set", "S-3", "-", input=json.dumps(document).encode())


@pytest.mark.parametrize("terms, more, danish", [
    ((42, 22), {"countries": ["DK", "NO"]}, True), ((42, 22), {"countries": ["SE"]}, False), ((42, 22), {}, False),
    ((42, 28), {"organisations": ["hospital"]}, True), ((42, 28), {"organisations": ["company"]}, False),
    ((42, 27), {"projects": ["P2"]}, True), ((42, 27), {"projects": ["P1"]}, False),
    ((42, 26), {"services": ["danish"]}, True), ((42, 45), {}, True), ((42, 46), {}, False),
    ((42, 25), {"research_until": "2199-01-01"}, True), ((42, 25), {"research_until": "2024-01-01"}, False)],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else str(value))
def test_a_consent_that_names_who_may_is_held_against_the_registry(labs, terms, more, danish):
    sign(labs, terms, **more)
    purpose = 'research;project="P2";approval="A2"'
    assert status(labs, "S-3", purpose, "danish") == (200 if danish else 403)
    of_all = "projects" in more or "research_until" in more
    assert status(labs, "S-3", purpose, "unknown") == (200 if danish and of_all else 403)
    shown, = labs.ctl("consent", "show", "S-3")["consents"]
    assert all(shown["permits"][name] == sorted(value) if isinstance(value, list) else shown["permits"][name] == value
               for name, value in more.items())
    listed = labs.http("GET", f"/v1/files?purpose={scene.urllib.parse.quote(purpose)}", cert="danish").json()["files"]
    assert ("S-3" in {f["subject"] for f in listed}) == danish


def test_non_commercial_use_is_what_the_approval_says(labs):
    sign(labs, (42, 18))
    assert status(labs, "S-3", 'research;project="P2";approval="A2"', "danish") == 403
    assert status(labs, "S-3", 'research;project="P2";approval="A3"', "danish") == 200
    assert status(labs, "S-3", 'research;project="P2";approval="A3"', "unknown") == 403


def test_what_is_wrong_with_a_service_s_facts_is_told(labs):
    known = ("--organisation", "o")
    for options in ((*known, "--country", "Denmark"), (*known, "--country", "dk"), ("--organisation", "a b"), ("--country", "DK"),
                    ("--not-for-profit",)):
        labs.ctl("service", "add", "x", "--san", "urn:vault:service:x", "--role", "reader", "--purpose", "research", *options, expect=2)
