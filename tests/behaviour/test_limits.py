"""Slow and many clients: each limit ends or refuses its own client, and an administrator always gets in."""
import contextlib
import socket
import time
import urllib.parse

import pytest

from scene import CUT, add_patient, deposit, wait_for
from vault_under_test import running_vault

HANDSHAKE, HEAD, IDLE, TOTAL = 2, 2, 5, 12  # seconds; those of slow clients far enough apart to tell which one ended it
PER_ADDRESS, PER_SERVICE = 6, 3
SLACK = 2.5


@pytest.fixture(scope="module")
def slow():
    """A vault that soon loses patience."""
    with running_vault(limits={"handshake_seconds": HANDSHAKE, "head_seconds": HEAD, "idle_seconds": IDLE}) as v:
        add_patient(v, "S-0001")
        yield v


@pytest.fixture(scope="module")
def short():
    """A vault that gives a connection little time in all."""
    with running_vault(limits={"idle_seconds": 60, "total_seconds": TOTAL}) as v:
        add_patient(v, "S-0001")
        yield v


@pytest.fixture(scope="module")
def narrow():
    """A vault with few places for one address, and fewer for one service."""
    with running_vault(limits={"per_address": PER_ADDRESS, "per_service": PER_SERVICE}) as v:
        yield v


def log(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


@contextlib.contextmanager
def session_as(vault, service):
    """A TLS connection on which the test writes HTTP itself."""
    connection = vault.connect(service, timeout=60)
    connection.connect()
    with contextlib.closing(connection):
        yield connection.sock


def collect(sock):
    """What comes until the end."""
    whole = b""
    with contextlib.suppress(*CUT):
        while True:
            piece = sock.recv(1 << 16)
            if not piece:
                break
            whole += piece
    return whole


def drip(sock, what, pause):
    """Sends a byte of `what` every `pause` seconds; what comes until the end. One thread: a TLS session is not for two
    at once."""
    whole = b""
    sock.settimeout(pause)
    with contextlib.suppress(*CUT):
        for byte in what:
            sock.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                piece = sock.recv(1 << 16)
                if not piece:
                    return whole
                whole += piece
        sock.settimeout(60)
        whole += collect(sock)
    return whole


def seconds_to_end(sock):
    start = time.monotonic()
    received = collect(sock)
    return time.monotonic() - start, received


# ---- slow clients ----

def test_slow_head_is_408(slow):
    """Each byte comes well within the idle time; it is the head as a whole that has a deadline."""
    with session_as(slow, "clinic") as sock:
        start = time.monotonic()
        received = drip(sock, b"GET /v1/status HTTP/1.1\r\nHost: " + b"x" * 1000, 0.3)
        seconds = time.monotonic() - start
    assert HEAD - 0.5 <= seconds <= HEAD + SLACK
    assert received.startswith(b"HTTP/1.1 408 ")


def test_half_a_head_and_silence_is_408(slow):
    with session_as(slow, "clinic") as sock:
        sock.sendall(b"GET /v1/status HTTP/1.1\r\nHos")
        seconds, received = seconds_to_end(sock)
    assert HEAD - 0.5 <= seconds <= HEAD + SLACK
    assert received.startswith(b"HTTP/1.1 408 ")


def test_second_request_has_a_head_deadline_of_its_own(slow):
    with session_as(slow, "clinic") as sock:
        sock.sendall(b"GET /v1/status HTTP/1.1\r\nHost: vault\r\n\r\nGET /v1/st")
        seconds, received = seconds_to_end(sock)
    assert HEAD - 0.5 <= seconds <= HEAD + SLACK
    assert received.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 408 " in received


def test_idle_connection_ends_without_a_word(slow):
    with session_as(slow, "clinic") as sock:
        seconds, received = seconds_to_end(sock)
    assert IDLE - 0.5 <= seconds <= IDLE + SLACK
    assert received == b""


def test_idle_time_begins_anew_with_each_request(slow):
    with contextlib.closing(slow.connect("clinic")) as connection:
        for _ in range(4):
            connection.request("GET", "/v1/status")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            time.sleep(IDLE / 2)


def put_head(name, size):
    return (f"PUT /v1/subjects/S-0001/files/{name} HTTP/1.1\r\nHost: vault\r\nContent-Length: {size}\r\n\r\n").encode()


def kept(vault):
    return len(list(vault.objects.glob("??/??/*")))


def assert_nothing_was_kept(vault, name, before):
    wait_for(lambda: kept(vault) == before, "what was uploaded to be removed", 30)
    answer = vault.http("HEAD", f"/v1/subjects/S-0001/files/{name}", headers={"Purpose": "treatment"}, cert="clinic")
    assert answer.status == 403


def test_body_that_stops_ends_at_the_idle_time(slow):
    before = kept(slow)
    with session_as(slow, "depositor") as sock:
        sock.sendall(put_head("stopped", 9 << 20) + b"a" * (5 << 20))
        seconds, received = seconds_to_end(sock)
    assert IDLE - 0.5 <= seconds <= IDLE + SLACK
    assert b" 201 " not in received
    assert_nothing_was_kept(slow, "stopped", before)


def test_body_that_drips_ends_with_the_time_of_the_connection(short):
    """A body may be slow as long as something comes; total_seconds is what bounds it."""
    before = kept(short)
    with session_as(short, "depositor") as sock:
        start = time.monotonic()
        sock.sendall(put_head("dripped", 1 << 20))
        received = drip(sock, b"a" * 1000, 0.2)
        seconds = time.monotonic() - start
    assert TOTAL - 1.5 <= seconds <= TOTAL + SLACK
    assert b" 201 " not in received
    assert_nothing_was_kept(short, "dripped", before)


def test_reader_that_does_not_read_ends_at_the_idle_time(slow):
    """A client that asks for a file and takes nothing holds no worker for longer than the idle time."""
    deposit(slow, "S-0001", "large", bytes(32 << 20))
    wait_for(lambda: serving(slow) == 0, "the depositor's end", 15)
    with session_as(slow, "clinic") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /v1/subjects/S-0001/files/large HTTP/1.1\r\nHost: vault\r\nPurpose: treatment\r\n\r\n")
        start = time.monotonic()
        assert serving(slow) == 1
        wait_for(lambda: serving(slow) == 0, "the worker's end", IDLE + 15)
        seconds = time.monotonic() - start
    assert IDLE - 0.5 <= seconds <= IDLE + SLACK


def serving(vault):
    """How many connections to the TLS port the vault's own side holds."""
    port = urllib.parse.urlsplit(vault.url).port
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in list(table)[1:]]
    return sum(1 for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "01")


# ---- many clients ----

def silent_connections(vault, count):
    """Connections that do not even begin to shake hands."""
    url = urllib.parse.urlsplit(vault.url)
    return [socket.create_connection((url.hostname, url.port), timeout=0.1) for _ in range(count)]


def is_reset(sock):
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_address_beyond_its_limit_is_refused_and_the_administrator_is_not(narrow):
    held = silent_connections(narrow, 2 * PER_ADDRESS)
    try:
        time.sleep(1)  # they are accepted one by one
        refused = [sock for sock in held if is_reset(sock)]
        assert len(refused) == PER_ADDRESS
        for _ in range(3):
            assert narrow.ctl("status")["seal"] == "unsealed"
        narrow.ctl("status", cert="clinic", json=False, expect=5)  # the same address
    finally:
        for sock in held:
            sock.close()
    wait_for(lambda: serving(narrow) == 0, "the connections' end", 15)
    narrow.ctl("status", cert="clinic")


def test_service_beyond_its_limit_is_429(narrow):
    with contextlib.ExitStack() as stack:
        def ask(service):
            connection = stack.enter_context(contextlib.closing(narrow.connect(service)))
            connection.request("GET", "/v1/status")
            answer = connection.getresponse()
            return connection, answer.status, answer.read()

        first = [ask("clinic") for _ in range(PER_SERVICE)]
        assert [status for _, status, _ in first] == [200] * PER_SERVICE
        last, status, body = ask("clinic")
        assert status == 429 and b"too-many-connections" in body
        assert ask("research")[1] == 200, "another service pays for it"
        last.close()
    wait_for(lambda: serving(narrow) == 0, "the connections' end", 15)
    narrow.ctl("status", cert="clinic")
