"""No request is smuggled behind or within another: what is ambiguous is refused, and ends the connection."""
import contextlib

import pytest

import scene
import smuggling
from strange import answers, crashes, drain
from vault_under_test import running_vault

REFUSALS = {400, 501, 505}
DEPOSIT = b"PUT /v1/subjects/S-0001/files/smuggled"


@pytest.fixture(scope="module")
def filled():
    """A request that it would wait for the rest of shows as one without an answer, soon."""
    with running_vault(limits={"idle_seconds": 5}) as vault:
        scene.add_patient(vault, "S-0001")
        yield vault


def exchange(vault, service, sent):
    """All answers to these bytes, on a connection of their own."""
    with contextlib.closing(vault.connect(service)) as connection:
        connection.connect()
        with contextlib.suppress(*scene.CUT):
            connection.sock.sendall(sent)
        return answers(drain(connection.sock.recv), sent.startswith(b"HEAD "))


def records_of_the_smuggled(vault, first):
    """A request that gets through is on record: nobody else asks for a path that is not there."""
    since = scene.records(vault, first) if size_of_log(vault) > first else []
    return [r for r in since if [x["rule"] for x in r.get("reasons") or []] == ["path"]]


def size_of_log(vault):
    return vault.http("GET", "/v1/status").json()["records"]


def faults(vault, service, cases):
    """What is wrong with the answers, by name of the case."""
    found = {}
    for name, sent in cases:
        got = [a.status for a in exchange(vault, service, sent)]
        if len(got) != 1 or got[0] not in REFUSALS:
            found[name] = got
    return found


def test_a_second_request_behind_a_good_one_is_answered_and_recorded(filled):
    """Control: this is how a smuggled request would show."""
    first = size_of_log(filled)
    good = smuggling.post(smuggling.CHUNKED, smuggling.GOOD_CHUNKS)
    end = b"GET /v1/status HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n"
    got = [a.status for a in exchange(filled, "clinic", good + smuggling.VICTIM + end)]
    assert got == [400, 404, 200]  # a member is missing, no such path
    assert len(records_of_the_smuggled(filled, first)) == 1


@pytest.mark.parametrize("service, target", [("clinic", b"POST /v1/decisions"), ("depositor", DEPOSIT)],
                         ids=["document", "deposit"])
def test_what_is_ambiguous_gets_one_refusal_and_the_end(filled, service, target):
    first, before = size_of_log(filled), crashes(filled)
    cases = list(smuggling.corpus(target))
    assert len(cases) > 120
    assert faults(filled, service, cases) == {}
    assert records_of_the_smuggled(filled, first) == []
    assert crashes(filled) == before
    answer = filled.http("HEAD", scene.file_path("S-0001", "smuggled"), headers={"Purpose": scene.TREATMENT},
                         cert="clinic")
    assert answer.status == 403, "a deposit was made of it"


def test_what_is_ambiguous_in_several_ways_gets_one_refusal_and_the_end(filled):
    first = size_of_log(filled)
    assert faults(filled, "clinic", smuggling.combined(seed=1, count=60)) == {}
    assert records_of_the_smuggled(filled, first) == []
