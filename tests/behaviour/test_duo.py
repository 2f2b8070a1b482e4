"""Consents to research under terms of the Data Use Ontology, with the real processes: what each permits, by what the request
says that it is for, over a table of diseases that the operator configured."""
import hashlib
import json
import os
import signal

import pytest

import index_tools
import scene
from vault_under_test import ROOT, running_vault

TABLE = ROOT / "policies" / "examples" / "diseases.tsv"
CONTENT = b"content" * 1000
PURPOSE = 'research;project="P1";approval="A2"'


def consent(vault, subject, research, diseases=None, expect=0, signed=None):
    permits = {"treatment": True, "research": research, **({"diseases": diseases} if diseases is not None else {})}
    document = {"subject": subject, "signed": signed or scene.today(), "form": "2026-1", "permits": permits}
    return vault.ctl("consent", "set", subject, "-", input=json.dumps(document).encode(), expect=expect)


def steps():
    """(child, parent) of each line of the table."""
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split("\t")) for line in lines]


def chain():
    """Three diseases, each a kind of the next."""
    above = steps()
    for child, parent in above:
        for second, top in above:
            if second == parent:
                return child, parent, top
    raise AssertionError("no chain in the table")


@pytest.fixture(scope="module")
def vault():
    with running_vault(settings={"diseases": str(TABLE)}) as vault:
        listed = [*(("--disease", d) for d in ("MONDO:9999999", "OTHER:1", *(top for _, top in steps()))),
                  *(("--use", f"DUO:{n:07}") for n in (33, 37, 38))]
        vault.ctl("ethics", "add", "A2", "--project", "P1", *(word for pair in listed for word in pair))
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "a.cram", CONTENT)
        yield vault


def read(vault, **particulars):
    """The status of a read for research with these parameters, each time on a connection of its own."""
    purpose = PURPOSE + "".join(f';{name}="{value}"' for name, value in particulars.items())
    answer = vault.http("GET", scene.file_path("S-1", "a.cram"), headers={"Purpose": purpose}, cert="research")
    assert answer.status != 200 or answer.body == CONTENT
    return answer.status


def last_reasons(vault):
    [*_, record] = [r for r in scene.records(vault) if r["event"] == "read" and r["outcome"] == "denied"]
    return [r["rule"] for r in record["reasons"]]


def test_health_research_is_only_that(vault):
    consent(vault, "S-1", ["DUO:0000006"])
    assert read(vault) == 403 and last_reasons(vault) == ["consent-other-use"]
    assert read(vault, uses="DUO:0000037") == 200
    assert read(vault, disease=chain()[0]) == 200
    assert read(vault, uses="DUO:0000033 DUO:0000037") == 403


def test_a_disease_permits_its_kinds_and_no_other(vault):
    child, parent, top = chain()
    consent(vault, "S-1", ["DUO:0000007"], [parent])
    assert [read(vault, disease=d) for d in (child, parent)] == [200, 200]
    assert [read(vault, disease=d) for d in (top, "MONDO:9999999", "OTHER:1")] == [403, 403, 403]
    assert last_reasons(vault) == ["consent-other-disease"]
    assert read(vault, uses="DUO:0000037") == 403
    consent(vault, "S-1", ["DUO:0000007"], [top])
    assert read(vault, disease=child) == 200


def test_a_modifier_narrows(vault):
    consent(vault, "S-1", ["DUO:0000042", "DUO:0000021"])
    assert read(vault) == 200
    consent(vault, "S-1", ["DUO:0000042", "DUO:0000044"])
    assert [read(vault), read(vault, uses="DUO:0000038"), read(vault, uses="DUO:0000033")] == [403, 200, 403]
    consent(vault, "S-1", ["DUO:0000042", "DUO:0000022"])
    assert read(vault, uses="DUO:0000038") == 403 and last_reasons(vault) == ["consent-not-decidable"]


def test_a_purpose_names_no_more_than_its_approval(vault):
    """Else a service could say what fits a consent, or find out by asking what a patient's disease is."""
    child, parent, top = chain()
    consent(vault, "S-1", ["DUO:0000042"])
    vault.ctl("ethics", "add", "A-narrow", "--project", "P1", "--disease", parent, "--use", "DUO:0000037")
    said = lambda approval, rest: vault.http("GET", scene.file_path("S-1", "a.cram"), cert="research", headers={
        "Purpose": f'research;project="P1";approval="{approval}"{rest}'})
    assert [said("A-narrow", rest).status for rest in ("", f';disease="{child}"', f';disease="{parent}"',
                                                       ';uses="DUO:0000037"')] == [200] * 4
    for approval, rest in (("A-narrow", f';disease="{top}"'), ("A-narrow", ';uses="DUO:0000038"'),
                           ("A-narrow", ';uses="DUO:0000037 DUO:0000038"'), ("A1", f';disease="{child}"'),
                           ("A1", ';uses="DUO:0000037"')):
        refused = said(approval, rest)
        assert refused.status == 403 and b"approval-other-use" in refused.body, rest
    for fault in (("--disease", "cancer"), ("--use", "DUO:0000041"), ("--use", "GRU")):
        vault.ctl("ethics", "add", "A-bad", "--project", "P1", *fault, expect=2)
        assert fault[0][2:] in vault.stderr
    assert "A-bad" not in str(vault.ctl("ethics", "list"))


def test_narrowing_ends_what_is_granted(vault):
    child, parent, _ = chain()
    consent(vault, "S-1", ["DUO:0000042"])
    connection = vault.connect("research", 60)
    headers = {"Purpose": PURPOSE + f';disease="{child}"', "Range": "bytes=0-9"}
    connection.request("GET", scene.file_path("S-1", "a.cram"), headers=headers)
    assert connection.getresponse().read() == CONTENT[:10]
    assert consent(vault, "S-1", ["DUO:0000007"], [parent])["ended"] == 0  # a kind of it: it goes on
    assert consent(vault, "S-1", ["DUO:0000011"])["ended"] == 1
    connection.close()


def test_the_consent_shows_what_was_signed(vault):
    child, parent, top = chain()
    consent(vault, "S-1", ["DUO:0000007", "DUO:0000021"], [top, child])
    [shown] = vault.ctl("consent", "show", "S-1")["consents"]
    assert shown["permits"]["research"] == ["DUO:0000007", "DUO:0000021"]
    assert shown["permits"]["diseases"] == sorted([top, child])
    vault.ctl("consent", "withdraw", "S-1", "--purpose", "research")
    [shown] = vault.ctl("consent", "show", "S-1")["consents"]
    assert shown["permits"]["research"] == [] and "diseases" not in shown["permits"]


def test_a_faulty_consent_changes_nothing_and_names_the_member(vault):
    consent(vault, "S-1", ["DUO:0000042"])
    for research, diseases in ((["DUO:0000007"], None), (["DUO:0000006"], ["MONDO:1"]), (["DUO:0000007"], []),
                               (["DUO:0000007"], ["cancer"]), (["DUO:0000007"], ["MONDO:1", "MONDO:1"])):
        consent(vault, "S-1", research, diseases, expect=2)
        assert "permits.diseases" in vault.stderr
    assert read(vault) == 200


def test_paper_from_before_a_withdrawal_does_not_undo_it(vault):
    consent(vault, "S-1", ["DUO:0000042"])
    vault.ctl("consent", "withdraw", "S-1", "--purpose", "research")
    consent(vault, "S-1", ["DUO:0000042"], expect=1, signed="2026-01-02")
    assert "consent-older" in vault.stderr and "permits.research" in vault.stderr
    assert read(vault, uses="DUO:0000037") == 403
    consent(vault, "S-1", [], signed="2026-01-02")  # it takes away at the most
    consent(vault, "S-1", ["DUO:0000042"], expect=1, signed="2026-01-03")  # and brings nothing back that was older
    consent(vault, "S-1", ["DUO:0000042"])  # signed since
    assert read(vault) == 200


def test_only_a_new_signature_replaces_a_damaged_consent(vault):
    consent(vault, "S-1", ["DUO:0000042"])
    scene.stop(vault)
    pairs, headers = index_tools.dump(vault.state / "index")
    for key, value in pairs["consents"].items():
        damaged = bytearray(bytes.fromhex(value))
        damaged[30] ^= 1
        pairs["consents"][key] = damaged.hex()
    index_tools.replace(vault, (pairs, headers))
    scene.start(vault)
    assert read(vault) == 500
    consent(vault, "S-1", ["DUO:0000042"], expect=1, signed="2026-01-02")
    assert "consent-older" in vault.stderr
    consent(vault, "S-1", ["DUO:0000042"])
    assert read(vault) == 200


def test_a_signature_of_the_future_is_refused(vault):
    """It would make every other paper old."""
    consent(vault, "S-1", ["DUO:0000042"])
    consent(vault, "S-1", [], expect=2, signed="2999-01-01")
    assert "consent-future" in vault.stderr and "2999-01-01" in vault.stderr
    assert read(vault) == 200


def test_the_table_is_told_and_recorded(vault):
    names = {name for step in steps() for name in step}
    told = {"count": len(names), "sha256": hashlib.sha256(TABLE.read_bytes()).hexdigest()}
    assert vault.ctl("status")["diseases"] == told
    [record, *_] = [r for r in scene.records(vault) if r["event"] == "diseases.loaded"]
    assert record["outcome"] == "done" and record["detail"] == f"{told['count']} diseases, sha-256:{told['sha256']}"


def test_a_faulty_table_counts_as_none_and_is_told(vault, tmp_path):
    child, parent, _ = chain()
    consent(vault, "S-1", ["DUO:0000007"], [parent])
    config = vault.folder / "vaultd.yaml"
    before, bad = config.read_text(), vault.folder / "bad.tsv"
    bad.write_text("MONDO:1\tMONDO:2\nMONDO:2\tMONDO:1\n")
    scene.stop(vault)
    config.write_text(before.replace(str(TABLE), str(bad)))
    scene.start(vault)
    problem = vault.ctl("status")["diseases"]["problem"]
    assert problem.startswith("line ") and problem.endswith("is a kind of itself")
    assert problem in (vault.folder / "vaultd.log").read_text()
    [*_, record] = [r for r in scene.records(vault) if r["event"] == "diseases.loaded"]
    assert record["outcome"] == "failed" and problem in record["detail"]
    assert [read(vault, disease=d) for d in (parent, child)] == [200, 403], "equal is a kind of itself; nothing else is"
    scene.stop(vault)
    config.write_text(before)
    scene.start(vault)
    assert read(vault, disease=child) == 200


def test_a_table_that_others_may_write_or_that_is_not_there_is_found_before_the_start(vault):
    scene.stop(vault)
    config, table = vault.folder / "vaultd.yaml", vault.folder / "own.tsv"
    before = config.read_text()
    config.write_text(before.replace(str(TABLE), str(table)))
    for make in (lambda: None, lambda: (table.write_bytes(TABLE.read_bytes()), table.chmod(0o664))):
        make()
        with pytest.raises(AssertionError):
            scene.start(vault, 20)
        assert "own.tsv" in (vault.folder / "vaultd.log").read_text()
    table.chmod(0o644)
    scene.start(vault)
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT


def test_a_table_that_goes_while_the_vault_runs_costs_nothing_else(vault):
    """The one before is the vault's own file, and goes; then the monitor dies, and begins again without it."""
    child, parent, _ = chain()
    consent(vault, "S-1", ["DUO:0000007"], [parent])
    assert read(vault, disease=child) == 200
    (vault.folder / "own.tsv").unlink()
    os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves again")
    assert scene.Read(vault, "S-1", "a.cram").body == CONTENT
    assert read(vault, disease=child) == 403
    assert vault.ctl("status")["diseases"] == {"problem": "the file cannot be read"}
