"""While a hostile client does its worst, a clinic's read is whole and an operator gets an answer."""
import contextlib

import pytest

import floods
import scene
from strange import crashes, dial, drain, raise_open_files
from vault_under_test import running_vault

SIZE = 32 << 20
SHARE = 64  # limits.per_address, as it is by itself


@pytest.fixture(scope="module")
def filled():
    # Whoever holds a place without a word holds it for longer than a test takes, however busy the machine is; and a
    # clinic among them has time to shake hands.
    with running_vault(limits={"handshake_seconds": 120}) as v:
        scene.add_patient(v, floods.SUBJECT)
        v.content = bytes(range(256)) * (SIZE // 256)
        scene.deposit(v, floods.SUBJECT, floods.NAME, v.content)
        yield v


@pytest.mark.parametrize("row", floods.ROWS)
def test_a_clinic_reads_and_an_operator_is_answered_under(filled, row):
    before = crashes(filled)
    with floods.under(filled, row) as made:
        scene.wait_for(lambda: made() >= 16, "the attack to be under way")
        read = scene.Read(filled, floods.SUBJECT, floods.NAME)
        assert read.whole and read.body == filled.content
        assert filled.ctl("status")["seal"] == "unsealed"
    assert crashes(filled) == before


def test_who_holds_every_place_for_tls_stops_neither_the_operator_nor_a_clinic_that_is_in(filled):
    """From many addresses, each within its share: what is left for TLS is none, and new clients wait their turn."""
    raise_open_files(1000)
    with contextlib.closing(filled.connect("clinic", timeout=120)) as clinic, contextlib.ExitStack() as held:
        clinic.connect()
        for address in range(20, 26):  # of no other test: each of them has all of its share
            for _ in range(60):
                held.enter_context(contextlib.closing(dial(filled, f"127.0.0.{address}")))
        clinic.request("GET", scene.file_path(floods.SUBJECT, floods.NAME), headers={"Purpose": scene.TREATMENT})
        assert clinic.getresponse().read() == filled.content
        assert filled.ctl("status")["seal"] == "unsealed"
    scene.wait_for(lambda: scene.Read(filled, floods.SUBJECT, floods.NAME).whole, "a new client to be served", 120)


def test_one_address_beyond_its_share_is_reset(filled):
    held = [dial(filled, "127.0.0.9") for _ in range(SHARE)]
    try:
        with contextlib.suppress(ConnectionResetError):  # as the answer to `connect`, where it comes that soon
            held.append(dial(filled, "127.0.0.9"))
            assert drain(held[SHARE].recv) == b""
        assert scene.Read(filled, floods.SUBJECT, floods.NAME).whole
    finally:
        for sock in held:
            sock.close()
