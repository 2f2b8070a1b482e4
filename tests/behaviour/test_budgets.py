"""Budgets: how much a project or a service may read in a period. They are counted by what was handed out, survive the end of any
process, speak only where nothing else stands against a read, and end what goes beyond them."""
import contextlib
import http.client
import io
import json
import os
import signal

import pytest

import scene
from scene import RESEARCH, TREATMENT, add_patient, administer, deposit, file_path, give_consent, records, wait_for
from vault_under_test import ROOT, running_vault

SMALL = bytes(range(256)) * 40_000  # 10,240,000 bytes
PAGE = 160 << 20                    # what one manifest page names
DENMARK = (ROOT / "policies" / "denmark.yaml").read_text()


def budget(name, purpose="research", per="project", period="ever", **most):
    members = {"id": name, "purpose": purpose, "per": per, "period": period, "text": f"Budget {name}.", **most}
    return "  - {" + ", ".join(f"{k}: {v}" for k, v in members.items()) + "}\n"


def load(vault, *budgets):
    text = DENMARK + ("budgets:\n" + "".join(budgets) if budgets else "")
    return administer(vault, "policy", "load", "-", input=text.encode())


@pytest.fixture
def vault():
    with running_vault() as v:
        for subject in ("S-1", "S-2", "S-3", "S-refuses"):
            add_patient(v, subject)
            deposit(v, subject, "a.cram", SMALL)
        give_consent(v, "S-refuses", research=())
        yield v


def read(vault, subject, purpose=RESEARCH, cert="research", name="a.cram", **headers):
    return vault.http("GET", file_path(subject, name), cert=cert, headers={"Purpose": purpose, **headers})


def rules(answer):
    return [r["rule"] for r in answer.json()["reasons"]]


def spent(vault, name="P1"):
    return {b["budget"]: b for b in vault.ctl("policy", "budgets")["budgets"] if b["name"] == name}


def test_a_project_reads_so_many_patients_and_no_more(vault):
    load(vault, budget("two-patients", subjects=2))
    assert [read(vault, s).status for s in ("S-1", "S-2", "S-1", "S-2")] == [200] * 4
    refused = read(vault, "S-3")
    assert refused.status == 429 and rules(refused) == ["two-patients"]
    assert refused.headers["Audit-Seq"] is not None
    # It is asked last: who may not be read is not known by it, and looks like nobody.
    assert read(vault, "S-refuses").status == 403
    assert read(vault, "S-refuses").json() == read(vault, "S-nobody").json()
    assert read(vault, "S-3", TREATMENT, "clinic").status == 200, "another purpose has budgets of its own"
    count = spent(vault)["two-patients"]
    assert (count["subjects"], count["files"], count["most_subjects"], count["most_files"]) == (2, 2, 2, None)

    record = records(vault)[int(refused.headers["Audit-Seq"])]
    assert record["outcome"] == "denied" and [r["rule"] for r in record["reasons"]] == ["two-patients"]
    use, = record["asked"]["use"]
    assert (use["per"], use["period"], use["subjects"], use["files"]) == ("project", "ever", 3, 3)
    assert vault.ctl("policy", "replay", record["seq"])["same"] is True
    told = vault.ctl("policy", "explain", "--service", "research", "--purpose", RESEARCH, "--file", "S-3/a.cram")
    assert told["permitted"] is False and "two-patients" in [r["rule"] for r in told["reasons"]]
    assert vault.ctl("policy", "explain", "--service", "research", "--purpose", RESEARCH, "--file", "S-1/a.cram")["permitted"]
    assert spent(vault)["two-patients"]["subjects"] == 2, "a question counts nothing"
    vault.ctl("get", "S-3/a.cram", "--purpose", RESEARCH, "-o", vault.folder / "got", cert="research", expect=1)
    assert "Budget two-patients." in vault.stderr and not (vault.folder / "got").exists()

    load(vault, budget("three-patients", subjects=3))  # what was counted is not the budget's, but the project's
    assert read(vault, "S-3").status == 200
    assert vault.http("HEAD", file_path("S-3", "a.cram"), cert="research", headers={"Purpose": RESEARCH}).status == 200


def test_files_are_counted_once_and_a_named_project_has_its_own(vault):
    deposit(vault, "S-1", "b.cram", SMALL)
    vault.ctl("project", "add", "P2", "--service", "research")
    vault.ctl("ethics", "add", "A2", "--project", "P2")
    second = 'research;project="P2";approval="A2"'
    load(vault, budget("one-file", files=1), budget("p2", files=2, names="[P2]"))
    assert [read(vault, "S-1").status, read(vault, "S-1").status, read(vault, "S-1", name="b.cram").status] == [200, 200, 429]
    assert [read(vault, s, second).status for s in ("S-1", "S-2", "S-3")] == [200, 200, 429]
    assert rules(read(vault, "S-3", second)) == ["p2"]


def test_bytes_are_those_of_the_pages_handed_out_and_outlive_every_process(vault):
    load(vault, budget("bytes", bytes=int(2.5 * len(SMALL)), period="year"))
    assert read(vault, "S-1", Range="bytes=0-9").status == 206
    wait_for(lambda: spent(vault)["bytes"]["bytes"] == len(SMALL), "the page that ten bytes are in is counted")
    assert read(vault, "S-1").status == 200
    wait_for(lambda: spent(vault)["bytes"]["bytes"] == 2 * len(SMALL), "again")
    for asked in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=-1"}):
        assert read(vault, "S-2", **asked).status == 429, "no byte of what does not fit"
    os.kill(vault.pid, signal.SIGKILL)
    wait_for(lambda: not scene.orphans(vault), "all have ended")
    scene.start(vault)
    wait_for(lambda: scene.seal_state(vault) == "unsealed", "it serves")
    assert spent(vault)["bytes"]["bytes"] == 2 * len(SMALL)
    assert read(vault, "S-2").status == 429
    vault.ctl("key", "rotate", "names")
    wait_for(lambda: all(j["state"] != "running" for j in vault.ctl("key", "jobs")["jobs"]), "names have another key")
    assert spent(vault)["bytes"]["bytes"] == 2 * len(SMALL)
    assert read(vault, "S-2").status == 429


@contextlib.contextmanager
def open_read(vault, subject, name="a.cram", purpose=RESEARCH, cert="research", **headers):
    """The head of an answer, and a body that is not read."""
    connection = vault.connect(cert)
    connection.request("GET", file_path(subject, name), headers={"Purpose": purpose, **headers})
    try:
        yield connection, connection.getresponse()
    finally:
        connection.close()


def test_what_open_reads_may_come_to_is_counted_while_they_are_open(vault):
    large = SMALL * 4
    deposit(vault, "S-1", "large", large)
    load(vault, budget("bytes", bytes=len(large) + len(SMALL) // 2))
    with open_read(vault, "S-1", "large") as (_, answer):
        assert answer.status == 200
        assert spent(vault)["bytes"]["open"] == len(large)
        assert read(vault, "S-2").status == 429
        assert answer.read() == large, "what was permitted is not cut"
    wait_for(lambda: spent(vault)["bytes"]["open"] == 0, "it is closed")
    assert spent(vault)["bytes"]["bytes"] == len(large)


def test_a_connection_that_goes_on_beyond_what_it_was_permitted_is_ended(vault):
    vault.http("PUT", file_path("S-1", "three-pages"), io.BytesIO(b"\0" * (2 * PAGE + 5)),
               {"Content-Length": str(2 * PAGE + 5)}, cert="depositor", timeout=300)
    load(vault, budget("bytes", bytes=PAGE + PAGE // 2))
    with open_read(vault, "S-1", "three-pages", Range="bytes=0-0") as (connection, answer):
        assert answer.status == 206 and answer.read() == b"\0"
        with contextlib.suppress(*scene.CUT):
            connection.request("GET", file_path("S-1", "three-pages"),
                               headers={"Purpose": RESEARCH, "Range": f"bytes={PAGE}-{PAGE}"})
            answer = connection.getresponse()
            assert answer.status in (403, 429), answer.read()
    closed = scene.wait_for_record(vault, event="read.close", outcome="revoked")
    assert "more was asked for" in closed["detail"] and closed["bytes"] == PAGE
    assert spent(vault)["bytes"]["bytes"] == PAGE


def test_a_read_that_the_vault_s_end_interrupts_is_counted_whole(vault):
    large = SMALL * 8
    deposit(vault, "S-1", "large", large)
    load(vault, budget("bytes", bytes=len(large) * 2))
    with open_read(vault, "S-1", "large") as (_, answer):
        assert answer.status == 200
        os.kill(vault.pid, signal.SIGKILL)
        wait_for(lambda: not scene.orphans(vault), "all have ended")
    scene.start(vault)
    wait_for(lambda: scene.seal_state(vault) == "unsealed", "it serves")
    assert (spent(vault)["bytes"]["bytes"], spent(vault)["bytes"]["files"]) == (len(large), 1)


def test_a_lower_budget_ends_what_is_beyond_it(vault):
    large = SMALL * 8
    deposit(vault, "S-1", "large", large)
    deposit(vault, "S-2", "large", large)
    load(vault, budget("patients", subjects=5))
    with open_read(vault, "S-1", "large") as (_, first), open_read(vault, "S-2", "large", TREATMENT, "clinic") as (_, other):
        assert (first.status, other.status) == (200, 200)
        load(vault, budget("patients", bytes=1))
        with pytest.raises(scene.CUT):
            first.read()
            raise http.client.IncompleteRead(b"")
        assert other.read() == large
    closed = scene.wait_for_record(vault, event="read.close", outcome="revoked")
    assert closed["detail"] == "the policy was changed"


def test_who_approves_a_policy_is_told_what_becomes_of_budgets(vault):
    load(vault, budget("patients", subjects=500), budget("month", period="month", bytes=100), budget("gone", period="day", files=9))
    asked = vault.ctl("policy", "load", "-", input=(DENMARK + "budgets:\n" + budget("patients", subjects=10_000, files=3) + budget(
        "month", period="month", bytes=100, names="[P9]") + budget("new", period="year", files=1)).encode())
    assert ("; budgets: gone goes, patients files any to 3, patients subjects 500 to 10000, month has other names, new comes"
            in asked["detail"])
    vault.ctl("pending", "refuse", asked["pending"])
    load(vault, budget("patients", subjects=500))
    deposit(vault, "S-1", "large", SMALL * 4)
    with open_read(vault, "S-1", "large") as (_, answer):
        assert answer.status == 200
        many = "".join(budget(f"a-budget-with-a-long-name-number-{n}", period=p, per=per, files=1)
                       for n, (p, per) in enumerate((p, per) for p in ("day", "month", "year") for per in ("project", "service")))
        asked = vault.ctl("policy", "load", "-", input=(DENMARK + "budgets:\n" + budget("few", bytes=1) + many).encode())
        assert "1 of 1 open reads would end" in asked["detail"], "what is open is counted under the other policy, too"
        assert "few comes" in asked["detail"] and "patients goes" in asked["detail"]


def test_an_emergency_is_counted_and_passes(vault):
    load(vault, budget("clinic-day", purpose="treatment", per="service", period="day", subjects=1))
    assert read(vault, "S-1", TREATMENT, "clinic").status == 200
    assert read(vault, "S-2", TREATMENT, "clinic").status == 429
    emergency = 'treatment;break-glass="bleeding"'
    answer = read(vault, "S-2", emergency, "clinic")
    assert answer.status == 200 and answer.body == SMALL
    record = records(vault)[int(answer.headers["Audit-Seq"])]
    assert {"clinic-day", "emergency"} <= {r["rule"] for r in record["reasons"]}
    count = spent(vault, "clinic")["clinic-day"]
    assert (count["subjects"], count["begins"]) == (2, scene.today())


def test_a_faulty_budget_is_refused_with_its_place(vault):
    for text, told in ((budget("x", subjects=0), "'subjects'"), (budget("x"), "bytes, files or subjects"),
                       (budget("x", per="day", files=1), "'per'"), (budget("x", period="week", files=1), "'period'"),
                       (budget("x", purpose="none", files=1), "'purpose'"), (budget("treatment", files=1), "'id'"),
                       (budget("x", purpose="treatment", files=1), "'per'"), (budget("x", files=1, more=1), "'more'"),
                       (budget("x", files=1, names="[P1, P1]"), "'names'"), (budget("x", files=1, names="[]"), "'names'"),
                       (budget("x", files=1, names="['a b']"), "'names'"), (budget("x", files=1) + budget("y", files=1), "'period'"),
                       (budget("x", files=1, names="[P1]") + budget("y", files=1, names="[P2, P1]"), "'names'"),
                       (budget("x", bytes=1 << 53), "'bytes'"), (budget("x", bytes="-1"), "'bytes'"),
                       (budget("x", bytes="many"), "'bytes'")):
        vault.ctl("policy", "load", "-", input=(DENMARK + "budgets:\n" + text).encode(), expect=2)
        answer = vault.http("PUT", "/v1/policy", (DENMARK + "budgets:\n" + text).encode(), {"Content-Type": "application/yaml"})
        problem = json.loads(answer.body)
        assert answer.status == 400 and told in json.dumps(problem) and "line " in json.dumps(problem), (text, problem)
    assert read(vault, "S-1").status == 200


# ---- custody ----

def sign(vault, subject, until, expect=0):
    document = {"subject": subject, "signed": scene.today(), "form": "1", "custody_until": until,
                "permits": {"treatment": True, "research": ["DUO:0000042"]}}
    return vault.ctl("consent", "set", subject, "-", input=json.dumps(document).encode(), expect=expect)


def test_who_decides_alone_by_now_gives_a_consent_of_their_own_to_research(vault):
    sign(vault, "S-1", "2199-01-01")
    assert read(vault, "S-1").status == 200
    with open_read(vault, "S-1") as (_, answer):
        sign(vault, "S-1", "2024-02-29")
    refused = read(vault, "S-1")
    assert refused.status == 403 and refused.json() == read(vault, "S-nobody").json()
    assert read(vault, "S-1", TREATMENT, "clinic").status == 200
    record = records(vault)[int(refused.headers["Audit-Seq"])]
    assert [r["rule"] for r in record["reasons"]] == ["consent-outgrown"]
    shown, = vault.ctl("consent", "show", "S-1")["consents"]
    assert shown["custody_until"] == "2024-02-29"
    listed = vault.http("GET", f"/v1/files?purpose={scene.urllib.parse.quote(RESEARCH)}", cert="research").json()["files"]
    assert {f["subject"] for f in listed} == {"S-2", "S-3"}
    give_consent(vault, "S-1")
    assert read(vault, "S-1").status == 200
    for wrong in ("soon", "1970-01-01", 5):
        sign(vault, "S-1", wrong, expect=2)
