"""A register of opt-outs, taken in as a file: every patient in it is opted out, one by one and each recorded, and what
reads them for research has ended when that is acknowledged."""
import contextlib
import json
import time

import pytest

import scene
from test_withdrawal import CHANGES, Library, SIZE, expect_cut
from vault_under_test import running_vault

assert "opted out" in CHANGES  # one patient at a time: test_withdrawal.py
REGISTER = "# from the national register\nS-1\n\nS-2\nNOT-HERE\nS-2\n"


@pytest.fixture(scope="module")
def library():
    with running_vault(limits={"idle_seconds": 600}) as vault:
        yield Library(vault, (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE])


@pytest.fixture
def register(tmp_path):
    def write(text):
        path = tmp_path / "register"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path
    return write


def opted_out(vault, subject):
    return vault.ctl("subject", "show", subject)["opt_out"]


def test_the_patients_of_a_register_are_opted_out_and_their_research_reads_cut(library, register, tmp_path):
    first, second, third = (library.new_case() for _ in range(3))
    vault, before = library.vault, scene.records(library.vault)[-1]["seq"] + 1
    text = f"# from the national register\n{first.subject}\n\n{second.subject}\nNOT-HERE\n{second.subject}\n"
    with contextlib.closing(first.slow_read()) as read, contextlib.closing(third.slow_read()) as other:
        done = vault.ctl("subject", "opt-out", register(text), "--report", tmp_path / "report")
        expect_cut(first, read)
        other.finish(library.content)
    assert done == {"listed": 4, "opted_out": 2, "already": 1, "unknown": 1, "damaged": 0}
    assert (tmp_path / "report").read_text() == (f"{first.subject}\topted-out\n{second.subject}\topted-out\n"
                                                 f"NOT-HERE\tunknown\n{second.subject}\talready\n")
    assert opted_out(vault, first.subject) and opted_out(vault, second.subject) and not opted_out(vault, third.subject)
    changes = [r for r in scene.records(vault, before) if r["event"] == "subject.change"]
    assert [(r["subject"], r["detail"]) for r in changes] == [(c.subject, "opted out") for c in (first, second)]
    again = vault.ctl("subject", "opt-out", register(text))
    assert (again["opted_out"], again["already"]) == (0, 3)
    assert len([r for r in scene.records(vault, before) if r["event"] == "subject.change"]) == 2, "nothing new to say"
    scene.verify_audit(vault, tmp_path / "export")


def test_a_long_register_is_taken_in_whole(library, register):
    vault = library.vault
    names = [f"R-{n}" for n in range(300)]
    with contextlib.closing(vault.connect()) as connection:
        for name in names[:200]:
            connection.request("POST", "/v1/subjects", '{"subject":"%s"}' % name)
            answer = connection.getresponse()
            assert answer.status == 201 and answer.read()
    done = vault.ctl("subject", "opt-out", "-", input="".join(f"{name}\n" for name in names).encode())
    assert done == {"listed": 300, "opted_out": 200, "already": 0, "unknown": 100, "damaged": 0}
    assert opted_out(vault, "R-0") and opted_out(vault, "R-199")


@pytest.mark.parametrize("text, told", [
    ("S-1\nno identifier\n", "line 2"), ("S-1\nS-\u00f8\x01\n", "line 2"), (b"S-1\n\0\n", "line 2"),
    (b"S-1\n\xff\n", "line 2"), ("x" * 129 + "\n", "line 1"), ("# nobody\n\n", "names nobody"), ("", "names nobody"),
    ("S-1\r\n", "line 1"), ("S-1\nS-2", "cut off")])
def test_a_register_with_a_mistake_changes_nothing(library, register, text, told):
    vault, before = library.vault, len(scene.records(library.vault))
    vault.ctl("subject", "opt-out", register(text), expect=2)
    assert told in vault.stderr
    assert len(scene.records(vault)) == before


def test_only_a_registrar_may_and_the_report_is_never_half(library, register, tmp_path):
    vault = library.vault
    vault.ctl("subject", "opt-out", register(REGISTER), cert="clinic", expect=3)
    vault.ctl("subject", "opt-out", register(REGISTER), "--report", tmp_path / "none" / "report", expect=1)
    assert "report" in vault.stderr and not (tmp_path / "none").exists()
    vault.ctl("subject", "opt-out", tmp_path / "missing", expect=1)
    assert "missing" in vault.stderr


DAY = 86400


def day(offset):
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + offset * DAY))


def research(vault, subject):
    return vault.http("GET", scene.file_path(subject, "genome"), headers={"Purpose": scene.RESEARCH}, cert="research")


def test_a_register_has_a_day_that_only_goes_on():
    today, yesterday, later = day(0), day(-1), day(2)
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "genome", b"genome")
        assert vault.ctl("status")["opt_outs"] == today and research(vault, "S-1").status == 200
        answer = vault.ctl("subject", "opt-out", "-", "--dated", yesterday, input=b"S-1\n", expect=1)
        assert "later day" in vault.stderr, answer
        vault.ctl("subject", "opt-out", "-", "--dated", later, input=b"S-1\n", expect=1)
        assert "not begun" in vault.stderr
        assert not opted_out(vault, "S-1"), "a refused part opts nobody out"
        done = vault.ctl("subject", "opt-out", "/dev/null", "--dated", today)
        assert done["listed"] == 0
        assert scene.records(vault)[-1]["detail"] == f"0 of the register of {today}, which is complete"


@pytest.mark.parametrize("body", [{"subjects": []}, {"subjects": ["S 1"]}, {"subjects": "S-1"}, {},
                                  {"subjects": [f"S-{n}" for n in range(33)]}, {"subjects": ["S-1"], "more": 1},
                                  {"subjects": [], "dated": "2026-01-01"}, {"subjects": ["S-1"], "complete": True},
                                  {"subjects": ["S-1"], "dated": "2026-02-30", "complete": True}])
def test_a_malformed_request_is_refused(library, body):
    answer = library.vault.http("POST", "/v1/opt-outs", json.dumps(body))
    assert answer.status == 400, answer.body
