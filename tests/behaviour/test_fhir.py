"""The audit as FHIR AuditEvents, beside what proves it: one for each record, valid R4, each led back to its record, and of the
patterns of IHE BALP where it says that it is of one."""
import copy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import uuid

import pytest

import small_disk
from scene import RESEARCH, TREATMENT, add_patient, deposit, file_path, records
from vault_under_test import BUILT, ROOT, running_vault

WHY = "bleeding; <b>'&amp;"
NOTE = 'the ward says: "<script>alert(1)</script>" \\ ]}, æøå 遺伝 \U0001f9ec'
DCM = "http://dicom.nema.org/resources/ontology/DCM"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
OUTCOMES = {"permitted": "0", "done": "0", "denied": "4", "interrupted": "4", "revoked": "4", "failed": "8"}
CHECK = ROOT / "tests" / "fhir"


@pytest.fixture(scope="module")
def vault():
    with running_vault() as v:
        for subject in ("S-1", "S-2", "S@3_x.y"):
            add_patient(v, subject)
            deposit(v, subject, "a.cram", b"A" * 1000)
        subprocess.run([str(ROOT / "scripts" / "test-pki"), str(v.folder / "pki"), "institute", "stranger"], check=True, capture_output=True)
        v.ctl("service", "add", "institute", "--san", "urn:vault:service:institute", "--role", "reader", "--purpose", "research",
              "--organisation", "Region-1")
        v.ctl("consent", "withdraw", "S-2", "--purpose", "treatment")
        for subject, purpose, cert in (("S-1", TREATMENT, "clinic"), ("S-1", RESEARCH, "research"), ("S-2", TREATMENT, "clinic"),
                                       ("S-1", 'research;project="P1"', "research"), ("S-404", TREATMENT, "clinic"),
                                       ("S@3_x.y", TREATMENT, "clinic"), ("S-1", RESEARCH, "institute"), ("S-1", TREATMENT, "stranger"),
                                       ("S-2", f'treatment;break-glass="{WHY}"', "clinic")):
            v.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose})
        v.http("GET", "/v1/files/0011", cert="clinic", headers={"Purpose": TREATMENT})
        v.http("GET", file_path("S-1", "a.cram"), cert="clinic")
        v.ctl("list", "--subject", "S-1", "--purpose", TREATMENT, cert="clinic")
        v.ctl("subject", "opt-out", "-", input=b"S-1\n")
        broken = next(r["seq"] for r in records(v) if r.get("asked", {}).get("break_glass"))
        v.ctl("review", "close", broken, "--note", NOTE)
        yield v


@pytest.fixture(scope="session")
def validator():
    """What says that a bundle is good or not: a package of npm of the version in tests/fhir, installed beside the build."""
    folder = BUILT.parent / "fhir_node"
    lock = (CHECK / "package-lock.json").read_bytes()
    done = folder / "installed"
    if not (done.exists() and done.read_bytes() == lock):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CHECK / name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=folder, check=True,
                       timeout=300)
        done.write_bytes(lock)

    def check(path):
        environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
        ran = subprocess.run(["node", str(CHECK / "validate.cjs"), str(path)], env=environment, capture_output=True, text=True,
                             timeout=300)
        assert ran.returncode in (0, 1), ran.stderr
        said = json.loads(ran.stdout)
        assert (ran.returncode == 0) == (said["problems"] == [])
        return said
    return check


class Export:
    """A folder, verified, its bundle, and the events by the records that they are of."""

    def __init__(self, vault, folder, *options):
        self.summary = vault.ctl("audit", "export", "--format", "fhir", "-o", folder, *options)
        self.path = pathlib.Path(folder) / "auditevents.json"
        vkey = vault.ctl("audit", "checkpoint")["vkey"]
        assert vault.ctl("audit", "verify", folder, "--key", vkey)["verified"]
        self.origin = (pathlib.Path(folder) / "checkpoint").read_text().split("\n")[0]
        self.lines = (pathlib.Path(folder) / "records.jsonl").read_bytes().splitlines()
        self.records = [json.loads(line) for line in self.lines]
        self.bundle = json.loads(self.path.read_bytes())
        self.events = [entry["resource"] for entry in self.bundle["entry"]]
        self.names = sorted(p.name for p in pathlib.Path(folder).iterdir())

    def pairs(self, **members):
        """Records that have these members, and their events."""
        found = [(r, e) for r, e in zip(self.records, self.events) if all(r.get(k) == v for k, v in members.items())]
        assert found, f"no record has {members}"
        return found


@pytest.fixture(scope="module")
def whole(vault, tmp_path_factory):
    return Export(vault, tmp_path_factory.mktemp("fhir") / "whole")


def back(event):
    """What leads to the record."""
    outer, = event["extension"]
    assert outer["url"] == "urn:vault:audit-record"
    return {inner["url"]: inner["valueString"] for inner in outer["extension"]}


def agents(event):
    return {a["type"]["coding"][0]["code"]: a for a in event["agent"]}


def entities(event):
    return {e["type"]["code"]: e for e in event["entity"]}


def purposes(event):
    user = next(a for a in event["agent"] if a["requestor"])
    return {c["code"] for p in user.get("purposeOfUse", []) for c in p.get("coding", []) if c["system"] == REASON}


def is_coded(coding, system, code):
    return (coding["system"], coding["code"]) == (system, code)


def leads_back(export):
    """One event for each record, in their order, and each says which."""
    assert [e["id"] for e in export.events] == [f"seq-{r['seq']}" for r in export.records]
    assert len(export.events) == export.summary["records"]
    for line, r, event, entry in zip(export.lines, export.records, export.events, export.bundle["entry"]):
        leaf = hashlib.sha256(b"\0" + line)
        assert entry["fullUrl"] == f"urn:uuid:{uuid.UUID(int=(leaf_bits(leaf) & ~(0xf << 76) | 8 << 76) & ~(3 << 62) | 2 << 62)}"
        said = back(event)
        assert (said["origin"], said["seq"], said["leaf"]) == (export.origin, str(r["seq"]), leaf.hexdigest())
        assert (said["event"], said["outcome"]) == (r["event"], r["outcome"])
        assert (said.get("request"), said.get("file")) == (r.get("request"), r.get("file"))
        assert event["recorded"] == r["time"] and event["outcome"] == OUTCOMES[r["outcome"]]
        assert event["source"]["observer"]["identifier"]["value"] == export.origin


def leaf_bits(leaf):
    return int.from_bytes(leaf.digest()[:16], "big")


def test_the_whole_log_is_a_valid_bundle_with_an_event_for_each_record(vault, whole, validator):
    assert whole.names == ["asked.jsonl", "auditevents.json", "checkpoint", "proofs.jsonl", "records.jsonl"]
    assert whole.bundle["resourceType"] == "Bundle" and whole.bundle["type"] == "collection"
    leads_back(whole)
    assert {"read", "deposit", "consent.set", "consent.withdraw", "review.close", "vault.init", "audit.export", "subject.change"} <= {
        r["event"] for r in whole.records}
    assert validator(whole.path) == {"resources": len(whole.records), "problems": []}
    whole_text = whole.path.read_text()
    assert whole_text.count('"resourceType":"AuditEvent"') == len(whole.records)


def test_an_export_of_a_patient_and_of_a_service_has_theirs(vault, tmp_path, validator):
    for name, options in (("patient", ("--subject", "S-2")), ("service", ("--service", "clinic")),
                          ("odd", ("--subject", "S@3_x.y")), ("range", ("--from", "3", "--to", "4"))):
        export = Export(vault, tmp_path / name, *options)
        leads_back(export)
        assert validator(export.path) == {"resources": len(export.records), "problems": []}
        if name == "patient":
            assert {entities(e)["1"]["what"]["identifier"]["value"] for e in export.events} == {"S-2"}
            assert "S-1" not in export.path.read_text()
        if name == "range":
            assert len(export.events) == 1


def test_a_permitted_read_is_of_the_pattern_of_a_patient_s_read(whole):
    for purpose, codes in ((TREATMENT, {"TREAT"}), (RESEARCH, {"HRESCH"}), (f'treatment;break-glass="{WHY}"', {"ETREAT", "BTG"})):
        for r, event in whole.pairs(event="read", outcome="permitted", purpose=purpose):
            assert event["meta"]["profile"] == [BALP + "PatientRead"]
            assert is_coded(event["type"], "http://terminology.hl7.org/CodeSystem/audit-event-type", "rest")
            assert is_coded(event["subtype"][0], "http://hl7.org/fhir/restful-interaction", "read")
            assert (event["action"], event["outcome"]) == ("R", "0")
            client, server, user = (agents(event)[code] for code in ("110152", "110153", "IRCP"))
            assert client["network"] == {"address": r["address"], "type": "2"} and client["type"]["coding"][0]["system"] == DCM
            assert client["who"]["identifier"]["value"] == user["who"]["identifier"]["value"] == r["service"]["name"]
            assert server["who"] == event["source"]["observer"] and server["network"]["address"] == whole.origin
            assert [a["requestor"] for a in (client, server, user)] == [False, False, True] and "network" not in user
            assert purposes(event) == codes and user["purposeOfUse"][0]["text"] == purpose
            assert user["policy"] == [f"urn:vault:policy:{r['policy']}"] and user["role"][0]["coding"][0]["code"] == "reader"
            found = entities(event)
            assert found["1"]["what"] == {"type": "Patient", "identifier": {"value": r["subject"]}}
            assert found["1"]["role"]["code"] == "1" and found["2"]["role"]["code"] == "4"
            assert found["2"]["what"]["identifier"]["value"] == r["file"]
            assert found["XrequestId"]["what"]["identifier"]["value"] == r["request"]
            assert found["Consent"]["what"]["identifier"]["value"] == f"{r['subject']}/{r['consent']}"
    closed = entities(whole.pairs(event="read.close", outcome="done")[0][1])
    assert {"type": "bytes", "valueString": "1000"} in closed["2"]["detail"]


def test_a_denial_is_a_decision_that_says_why(whole):
    seen = set()
    for r, event in whole.pairs(outcome="denied"):
        assert is_coded(event["type"], DCM, "110113") and event["action"] == "E" and event["outcome"] == "4"
        assert r["reasons"]
        for reason in r["reasons"]:
            assert f"{reason['rule']}: {reason['text']}" in event["outcomeDesc"]
            seen.add(reason["rule"])
        authorizer = agents(event)["authserver"]
        assert authorizer["who"] == event["source"]["observer"] and authorizer["requestor"] is False
        assert {e["type"]["code"] for e in event.get("entity", [])} <= {"1", "Consent"}, "the pattern knows no others"
        if "subject" in r:
            assert entities(event)["1"]["what"]["identifier"]["value"] == r["subject"]
        if "asked" in r:
            assert agents(event)["110150"]["network"]["address"] == r["address"] and purposes(event) <= {"TREAT", "HRESCH"}
            assert event["subtype"][0]["code"] == ("AuthZ-Consent" if "consent" in r else "AuthZ-Role")
    assert {"consent-refuses-treatment", "approval-missing", "subject-unknown", "request"} <= seen


def test_what_is_exported_is_disclosed(vault, tmp_path):
    vault.ctl("audit", "export", "--format", "jsonl", "--subject", "S-2", "-o", tmp_path / "s", cert="auditor")
    r, event = Export(vault, tmp_path / "x").pairs(event="audit.export", subject="S-2")[-1]
    assert event["meta"]["profile"] == [BALP + "PrivacyDisclosure.Source"]
    assert is_coded(event["type"], DCM, "110106") and (event["action"], event["outcome"]) == ("R", "0")
    assert any(is_coded(s, "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose") for s in event["subtype"])
    source, recipient = agents(event)["110153"], agents(event)["110152"]
    assert source["who"] == event["source"]["observer"] and source["network"] and recipient["network"]
    assert recipient["who"]["identifier"]["value"] == "auditor"
    assert entities(event)["1"]["what"]["identifier"]["value"] == "S-2" and entities(event)["2"]["description"] == r["detail"]


def test_what_was_administered_and_what_the_vault_did_itself(whole):
    for r, event in whole.pairs(event="consent.withdraw"):
        assert event["type"]["code"] == "rest" and event["action"] == "U" and event["subtype"][0]["code"] == "update"
        assert is_coded(event["subtype"][1], "urn:vault:event", "consent.withdraw")
        assert entities(event)["Consent"]["what"]["identifier"]["value"] == r["subject"]
        assert agents(event)["110153"]["network"] == {"address": "unix:0"}
    assert whole.pairs(event="subject.change", detail="opted out")[0][1]["outcomeDesc"] == "opted out"
    for r, event in whole.pairs(event="index.check"):
        assert is_coded(event["type"], DCM, "110100") and event["outcomeDesc"] == r["detail"]
        only, = event["agent"]
        assert only["who"] == event["source"]["observer"] and only["requestor"] is True


def test_no_event_says_that_it_is_of_a_pattern_when_it_is_not(whole):
    """The members that each pattern must have; of a decision that the closed list of entities is kept."""
    needs = {"PatientRead": ("rest", {"110152", "110153"}, {"1", "2"}), "PrivacyDisclosure.Source": ("110106", {"110152", "110153"}, {"1", "2"}),
             "AuthZconsent": ("110113", {"110150", "IRCP", "PROV", "authserver"}, {"1", "Consent"})}
    for r, event in zip(whole.records, whole.events):
        for profile in event.get("meta", {}).get("profile", []):
            kind, agents_needed, entities_needed = needs[profile.removeprefix(BALP)]
            assert event["type"]["code"] == kind and agents_needed <= set(agents(event)) and entities_needed <= set(entities(event)), r
            assert len(agents(event)) == len(event["agent"])
            for code in agents_needed - {"IRCP", "PROV", "authserver"}:
                assert agents(event)[code]["network"]["address"] and agents(event)[code]["who"]


def test_a_decision_about_a_service_of_an_organisation_is_of_the_pattern(whole):
    (r, event), = [(r, e) for r, e in whole.pairs(event="read", outcome="denied") if r["service"].get("name") == "institute"]
    assert event["meta"]["profile"] == [BALP + "AuthZconsent"]
    assert agents(event)["PROV"]["who"]["display"] == r["asked"]["organisation"] == "Region-1"
    assert set(agents(event)) == {"110150", "IRCP", "PROV", "authserver"} and set(entities(event)) == {"1", "Consent"}
    assert entities(event)["Consent"]["what"]["identifier"]["value"] == f"S-1/{r['consent']}"


def test_hostile_text_is_text(whole):
    _, event = whole.pairs(event="review.close", outcome="done")[0]
    assert event["outcomeDesc"].endswith(NOTE)
    assert any(p.get("text") == f'treatment;break-glass="{WHY}"' for e in whole.events for a in e["agent"]
               for p in a.get("purposeOfUse", []))


def broken(bundle, where, value):
    """A copy in which the member at `where` of the first entry's resource (or of the bundle) is another; None: is not there."""
    planted = copy.deepcopy(bundle)
    at = planted if where[0] == "bundle" else planted["entry"][0]["resource"]
    for name in where[1:-1]:
        at = at[name]
    if value is None:
        del at[where[-1]]
    else:
        at[where[-1]] = value
    return planted


@pytest.mark.parametrize("where, value", [
    (("event", "recorded"), None), (("event", "recorded"), "2026-11-27 10:00"), (("event", "type"), None), (("event", "agent"), None),
    (("event", "agent", 0, "requestor"), None), (("event", "agent", 0, "requestor"), "true"), (("event", "source", "observer"), None),
    (("event", "action"), "X"), (("event", "outcome"), "3"), (("event", "id"), "seq_1"), (("event", "subject"), "S-1"),
    (("event", "entity"), []), (("event", "outcomeDesc"), ""), (("event", "extension", 0, "valueString"), "x"),
    (("event", "resourceType"), "AuditEvents"), (("event", "resourceType"), "Patient"), (("bundle", "type"), "batches"),
    (("bundle", "type"), "document"), (("bundle", "entry", 1, "fullUrl"), "0")])
def test_the_validator_finds_what_is_wrong(whole, validator, tmp_path, where, value):
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(whole.bundle))
    assert validator(path)["problems"] == []
    path.write_text(json.dumps(broken(whole.bundle, where, value)))
    assert validator(path)["problems"] != []


def test_the_vault_records_for_which_form_it_was(vault):
    for name in ("fhir", "html"):
        answer = vault.http("POST", "/v1/audit/exports", json.dumps({"from": 0, "to": 1, "format": name}))
        assert answer.status == 201 and records(vault)[-1]["detail"] == f"records 0 to 0, {name}"
    assert vault.http("POST", "/v1/audit/exports", b'{"format":"xml"}').status == 400


@pytest.mark.skipif(not small_disk.may_mount("tmpfs"), reason="no mounts here")
def test_a_full_disk_is_named_and_leaves_nothing(vault, tmp_path):
    """There is room for what proves it, and not for the bundle."""
    place, enough = tmp_path / "disk", tmp_path / "enough"
    place.mkdir()
    vault.ctl("audit", "export", "--format", "jsonl", "-o", enough)
    with small_disk.disk("tmpfs", place, 1), small_disk.Ballast(place) as ballast:
        ballast.fill(sum(-(-p.stat().st_size // 4096) * 4096 for p in enough.iterdir()) + 16384)
        vault.ctl("audit", "export", "--format", "fhir", "-o", place / "x", expect=1)
        assert "auditevents.json': No space left on device" in vault.stderr
        assert [path.name for path in place.iterdir()] == ["ballast"]
