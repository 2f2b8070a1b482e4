"""Strange clients over real TLS: records cut, dripped, empty or in floods, half-closed and reset connections."""
import contextlib
import socket
import time

import pytest

import scene
from strange import (ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, PATIENCE, RECORD_MAX, answers, client, crashes, dial, drain,
                     log,
                     reset, split_records)
from test_tls import client_hello
from vault_under_test import running_vault

SOON, FAR = 3, 600
REQUEST = b"GET /v1/status HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n"
SIZE = 32 << 20
READ = b"GET /v1/subjects/S-0001/files/large HTTP/1.1\r\nHost: vault\r\nPurpose: treatment\r\n\r\n"
KEY_UPDATE, KEY_UPDATE_WANTED = b"\x18\0\0\x01\0", b"\x18\0\0\x01\x01"
CLIENT_HELLO_TYPE, FINISHED_TYPE = b"\x01", b"\x14"


@pytest.fixture(scope="module")
def filled():
    with running_vault(limits={"idle_seconds": 10}) as v:
        scene.add_patient(v, "S-0001")
        v.content = bytes(range(256)) * (SIZE // 256)
        scene.deposit(v, "S-0001", "large", v.content)
        yield v


@pytest.fixture(scope="module")
def hasty():
    """Only silence between requests ends a client soon."""
    with running_vault(limits={"handshake_seconds": FAR, "head_seconds": FAR, "idle_seconds": SOON}) as v:
        yield v


@pytest.fixture(scope="module")
def heads():
    """Only an unfinished head ends a client soon."""
    with running_vault(limits={"handshake_seconds": FAR, "head_seconds": SOON, "idle_seconds": FAR}) as v:
        yield v


@contextlib.contextmanager
def untouched(vault):
    """Whatever the client did: no process of the vault died of it, and a registered service is served."""
    before, core = crashes(vault), core_of(vault)
    yield
    assert vault.http("GET", "/v1/status", cert="clinic").status == 200
    assert crashes(vault) == before and core_of(vault) == core


def core_of(vault):
    found = scene.processes(vault)
    return [found[name] for name in ("vaultd-gate", "vaultd-monitor", "vaultd-store")]


def statuses(received):
    return [a.status for a in answers(received)]


# ---- records ----

@pytest.mark.parametrize("size", [1, 7, 512])
def test_a_handshake_in_small_records_is_one(filled, size):
    """Every message of it, the sealed ones too."""
    with client(filled, "clinic", fragment=size) as c:
        c.send(REQUEST)
        assert statuses(drain(c.receive)) == [200]


@pytest.mark.parametrize("padding", [0, 1, RECORD_MAX - 100])
def test_a_request_in_one_byte_records_is_answered(filled, padding):
    """A record of padding is as large as one can be."""
    with client(filled, "clinic") as c:
        c.socket.sendall(b"".join(c.keys.seal(DATA, REQUEST[i:i + 1], padding) for i in range(len(REQUEST))))
        assert statuses(drain(c.receive)) == [200]


def test_full_records_carry_a_deposit(filled):
    content = b"g" * (3 * RECORD_MAX)
    with client(filled, "depositor") as c:
        c.send(b"PUT /v1/subjects/S-0001/files/records HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n"
               b"Content-Length: %d\r\n\r\n" % len(content))
        for at in range(0, len(content), RECORD_MAX):
            c.send(content[at:at + RECORD_MAX])
        assert statuses(drain(c.receive)) == [201]


BAD_RECORDS = {"too long": lambda c: c.keys.seal(DATA, bytes(RECORD_MAX + 1)),
               "length past the end": lambda c: b"\x17\x03\x03\xff\xff" + bytes(70000),
               "no length": lambda c: b"\x17\x03\x03\0\0",
               "all padding": lambda c: c.keys.seal(0, b"", 100),
               "forged": lambda c: b"\x17\x03\x03\0\x40" + bytes(64),
               "replayed": lambda c: c.keys.seal(DATA, b"G") * 2,
               "plain": lambda c: b"\x17\x03\x03\0\x05GET /",
               "http": lambda c: REQUEST,
               "change of cipher": lambda c: b"\x14\x03\x03\0\x01\x01" * 40,
               "empty flood": lambda c: b"".join(c.keys.seal(DATA, b"", 64) for _ in range(2000)),
               "warnings": lambda c: b"".join(c.keys.seal(ALERT, b"\x01\x5a") for _ in range(2000)),
               "fatal": lambda c: c.keys.seal(ALERT, b"\x02\x28"),
               "hello again": lambda c: c.keys.seal(HANDSHAKE, CLIENT_HELLO_TYPE + b"\0\0\x20" + bytes(32)),
               "finished again": lambda c: c.keys.seal(HANDSHAKE, FINISHED_TYPE + b"\0\0\x30" + bytes(48)),
               "huge message": lambda c: c.keys.seal(HANDSHAKE, b"\x0b\xff\xff\xff" + bytes(1000)),
               "empty handshake": lambda c: c.keys.seal(HANDSHAKE, b"", 64),
               "bad update": lambda c: c.keys.seal(HANDSHAKE, b"\x18\0\0\x01\x07")}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_what_is_no_record_ends_its_client_without_an_answer(filled, name):
    with untouched(filled), client(filled, "clinic") as c:
        with contextlib.suppress(OSError):
            c.socket.sendall(BAD_RECORDS[name](c))
        assert drain(c.receive) == b""


def test_renewed_keys_are_used(filled):
    """Control of the flood below: a few are as good as none."""
    with client(filled, "clinic") as c:
        for update in KEY_UPDATE, KEY_UPDATE_WANTED, KEY_UPDATE:
            c.send(update, HANDSHAKE)
            c.keys = c.keys.after_update()
        c.send(REQUEST)
        assert statuses(drain(c.receive)) == [200]


def flood(c, pause, make):
    """Sends record after record until the vault ends the connection, which it must."""
    patience = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < patience:
            c.socket.sendall(make(c))
            time.sleep(pause)
    except (ConnectionResetError, BrokenPipeError):
        return
    raise AssertionError(f"the connection was still there after {PATIENCE} s")


def key_update(c):
    sealed = c.keys.seal(HANDSHAKE, KEY_UPDATE)
    c.keys = c.keys.after_update()
    return sealed


@pytest.mark.parametrize("pause", [0, 0.05], ids=["flood", "steady"])
def test_renewing_keys_for_ever_is_silence(hasty, pause):
    """Records that carry nothing do not keep a connection past the idle time."""
    with untouched(hasty), client(hasty, "clinic") as c:
        flood(c, pause, key_update)


class Drip:
    """One sealed record, a byte at a time."""

    def __init__(self, record):
        self.left = record

    def __call__(self, _):
        assert self.left, "all of it was taken"
        byte, self.left = self.left[:1], self.left[1:]
        return byte


def test_a_record_that_drips_is_silence(hasty):
    """As long as it is not whole, nothing has been said."""
    with untouched(hasty), client(hasty, "clinic") as c:
        flood(c, 0.2, Drip(c.keys.seal(DATA, REQUEST + bytes(1000))))


def test_a_head_whose_record_drips_is_408(heads):
    """The time for a head runs while one of its records is not whole."""
    with untouched(heads), client(heads, "clinic") as c:
        c.send(b"GET /v1/sta")
        rest, received, patience = Drip(c.keys.seal(DATA, bytes(1000))), b"", time.monotonic() + PATIENCE
        c.socket.settimeout(0.2)
        while not received:
            assert time.monotonic() < patience, "the connection is still there"
            with contextlib.suppress(TimeoutError):
                c.socket.sendall(rest(c))
                received = c.receive()
        c.socket.settimeout(PATIENCE)
        assert statuses(received + drain(c.receive)) == [408]


# ---- half closed ----

def end_of_tls(c):
    c.send(CLOSE_NOTIFY, ALERT)


def end_of_tcp(c):
    c.socket.shutdown(socket.SHUT_WR)


def end_of_both(c):
    end_of_tls(c)
    end_of_tcp(c)


ENDS = pytest.mark.parametrize("end", [end_of_tls, end_of_tcp, end_of_both])
PUT = b"PUT /v1/subjects/S-0001/files/half HTTP/1.1\r\nHost: vault\r\nContent-Length: 9000000\r\n\r\n" + bytes(5000)


@ENDS
@pytest.mark.parametrize("service, sent", [("clinic", b""), ("clinic", b"GET /v1/sta"), ("depositor", PUT)],
                         ids=["before a request", "within a head", "within a body"])
def test_a_client_that_ends_early_gets_no_answer(filled, service, sent, end):
    kept = len(scene.objects(filled))
    with untouched(filled), client(filled, service) as c:
        if sent:
            c.send(sent)
        end(c)
        assert drain(c.receive) == b""
    assert len(scene.objects(filled)) == kept


@ENDS
def test_an_answer_comes_whole_to_a_client_that_has_ended(filled, end):
    with untouched(filled), client(filled, "clinic") as c:
        c.send(READ)
        end(c)
        [answer] = answers(drain(c.receive))
    assert answer.status == 200 and answer.body == filled.content


# ---- reset ----

def test_a_reset_within_an_upload_leaves_nothing(filled):
    kept = len(scene.objects(filled))
    first = filled.http("GET", "/v1/status").json()["records"]
    with untouched(filled):
        c = filled.connect("depositor")
        c.connect()
        c.sock.sendall(b"PUT /v1/subjects/S-0001/files/cut HTTP/1.1\r\nHost: vault\r\nContent-Length: 20000000\r\n\r\n")
        c.sock.sendall(bytes(9 << 20))
        scene.wait_for(lambda: len(scene.objects(filled)) > kept, "control: something of it is stored")
        reset(c.sock)
        closed = scene.wait_for_record(filled, 60, first, event="deposit.close")
        assert closed["outcome"] in ("failed", "interrupted")
        scene.wait_for(lambda: len(scene.objects(filled)) == kept, "what was uploaded to be removed")


def test_a_reset_within_a_download_closes_its_grant(filled):
    first = filled.http("GET", "/v1/status").json()["records"]
    with untouched(filled), client(filled, "clinic") as c:
        c.send(READ)
        assert c.receive().startswith(b"HTTP/1.1 200 ")
        reset(c.socket)
        closed = scene.wait_for(lambda: next((r for r in scene.records(filled, first) if r.get("bytes")), None),
                                "the closing record")
        assert closed["outcome"] != "done" and closed["bytes"] <= SIZE


def test_resets_at_every_moment_of_a_handshake(filled):
    """After each byte count of the client's hello, and after it."""
    hello = client_hello(filled)
    with untouched(filled):
        for size in [*range(0, len(hello), 40), len(hello)]:
            plain = dial(filled)
            plain.sendall(hello[:size])
            reset(plain)


# ---- before TLS ----

SSL2 = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00\xc0\x06\x00\x40" + bytes(24)
EMPTY_HANDSHAKE = b"\x16\x03\x01\0\0"


def early_data(vault):
    """Without a session to resume there is nothing that would make it early data."""
    return client_hello(vault) + b"\x17\x03\x03\x02\0" + bytes(512)


def huge_hello(vault):
    """A good hello with 60 KB of padding (RFC 7685), in records of full size."""
    body, padding = client_hello(vault)[9:], 60000
    at = 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    extensions = body[at + 2:] + b"\0\x15" + padding.to_bytes(2, "big") + bytes(padding)
    message = body[:at] + len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(message).to_bytes(3, "big") + message
    pieces = [message[i:i + RECORD_MAX] for i in range(0, len(message), RECORD_MAX)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


BEFORE = {"SSLv2": lambda _: SSL2, "empty records": lambda _: EMPTY_HANDSHAKE * 5000, "early data": early_data,
          "hello twice": lambda v: client_hello(v) * 2, "hello and http": lambda v: client_hello(v) + REQUEST,
          "half a hello and http": lambda v: client_hello(v)[:100] + REQUEST, "huge hello": huge_hello,
          "endless message": lambda _: b"\x16\x03\x01\x40\0\x01\xff\xff\xff" + bytes(RECORD_MAX - 4),
          "alert first": lambda _: b"\x15\x03\x01\0\x02\x01\0"}


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_no_handshake_gets_no_application_byte(filled, name):
    """At most the vault's own handshake and an alert come; what follows it is never taken for a request."""
    with untouched(filled), dial(filled) as plain:
        with contextlib.suppress(OSError):
            plain.sendall(BEFORE[name](filled))
            plain.shutdown(socket.SHUT_WR)
        received = drain(plain.recv)
    assert b"HTTP/1.1" not in received
    assert sum(len(r) for r in split_records(received)) < 6000
    assert "Traceback" not in log(filled)
