"""Slow and many clients: each limit ends or refuses its own client, and an administrator always gets in."""
import contextlib
import socket
import time
import urllib.parse

import pytest

from scene import CUT, add_patient, deposit, wait_for
from vault_under_test import running_vault

# Seconds. Each vault below has one limit that comes soon; the others are FAR, so that only that one can have ended a
# client, however busy the machine is.
SOON, IDLE, FAR = 2, 6, 600
PATIENCE = 60  # how long a test waits for an end that comes soon
PER_ADDRESS, PER_SERVICE = 6, 3


@pytest.fixture(scope="module")
def heads():
    """A vault that soon loses patience with a head."""
    with running_vault(limits={"handshake_seconds": FAR, "head_seconds": SOON, "idle_seconds": FAR}) as v:
        yield v


@pytest.fixture(scope="module")
def idle():
    """A vault that soon loses patience with silence."""
    with running_vault(limits={"handshake_seconds": FAR, "head_seconds": FAR, "idle_seconds": IDLE}) as v:
        add_patient(v, "S-0001")
        yield v


@pytest.fixture(scope="module")
def short():
    """A vault that gives a connection little time in all."""
    with running_vault(limits={"head_seconds": FAR, "idle_seconds": FAR, "total_seconds": IDLE}) as v:
        add_patient(v, "S-0001")
        yield v


@pytest.fixture(scope="module")
def narrow():
    """A vault with few places for one address, and fewer for one service. Nobody loses one for silence."""
    with running_vault(limits={"per_address": PER_ADDRESS, "per_service": PER_SERVICE, "handshake_seconds": FAR,
                               "head_seconds": FAR, "idle_seconds": FAR}) as v:
        yield v


def log(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


@contextlib.contextmanager
def session_as(vault, service):
    """A TLS connection on which the test writes HTTP itself."""
    connection = vault.connect(service, timeout=PATIENCE)
    connection.connect()
    with contextlib.closing(connection):
        yield connection.sock


def collect(sock):
    """What comes until the vault ends the connection, which it must."""
    whole = b""
    try:
        while piece := sock.recv(1 << 16):
            whole += piece
    except TimeoutError:
        raise AssertionError(f"the connection was still there after {PATIENCE} s") from None
    except CUT:
        pass
    return whole


def drip(sock, what, pause):
    """Sends a byte of `what` every `pause` seconds; what comes until the end. One thread: a TLS session is not for two
    at once."""
    whole = b""
    sock.settimeout(pause)
    try:
        for byte in what:
            sock.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                piece = sock.recv(1 << 16)
                if not piece:
                    return whole
                whole += piece
    except CUT:
        return whole
    raise AssertionError("all of it was taken")


# ---- slow clients ----

def test_slow_head_is_408(heads):
    """Each byte comes well within the idle time; it is the head as a whole that has a deadline."""
    with session_as(heads, "clinic") as sock:
        received = drip(sock, b"GET /v1/status HTTP/1.1\r\nHost: " + b"x" * 1000, 0.2)
    assert received.startswith(b"HTTP/1.1 408 ")


def test_half_a_head_and_silence_is_408(heads):
    with session_as(heads, "clinic") as sock:
        sock.sendall(b"GET /v1/status HTTP/1.1\r\nHos")
        received = collect(sock)
    assert received.startswith(b"HTTP/1.1 408 ")


def test_second_request_has_a_head_deadline_of_its_own(heads):
    with session_as(heads, "clinic") as sock:
        sock.sendall(b"GET /v1/status HTTP/1.1\r\nHost: vault\r\n\r\nGET /v1/st")
        received = collect(sock)
    assert received.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 408 " in received


def test_idle_connection_ends_without_a_word(idle):
    with session_as(idle, "clinic") as sock:
        assert collect(sock) == b""


def test_idle_time_begins_anew_with_each_request(idle):
    with contextlib.closing(idle.connect("clinic")) as connection:
        connection.connect()
        session = connection.sock
        for _ in range(8):
            connection.request("GET", "/v1/status")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            time.sleep(IDLE / 6)
        assert connection.sock is session, "it was another connection in the end"


def put_head(name, size):
    return (f"PUT /v1/subjects/S-0001/files/{name} HTTP/1.1\r\nHost: vault\r\nContent-Length: {size}\r\n\r\n").encode()


def kept(vault):
    return len(list(vault.objects.glob("??/??/*")))


def assert_nothing_was_kept(vault, name, before):
    wait_for(lambda: kept(vault) == before, "what was uploaded to be removed")
    answer = vault.http("HEAD", f"/v1/subjects/S-0001/files/{name}", headers={"Purpose": "treatment"}, cert="clinic")
    assert answer.status == 403


def test_body_that_stops_ends_at_the_idle_time(idle):
    before = kept(idle)
    with session_as(idle, "depositor") as sock:
        sock.sendall(put_head("stopped", 9 << 20) + b"a" * (5 << 20))
        received = collect(sock)
    assert b" 201 " not in received
    assert_nothing_was_kept(idle, "stopped", before)


def test_body_that_drips_ends_with_the_time_of_the_connection(short):
    """A body may be slow as long as something comes; total_seconds is what bounds it."""
    before = kept(short)
    with session_as(short, "depositor") as sock:
        sock.sendall(put_head("dripped", 1 << 20))
        received = drip(sock, b"a" * 1000, 0.2)
    assert b" 201 " not in received
    assert_nothing_was_kept(short, "dripped", before)


def test_reader_that_does_not_read_ends_at_the_idle_time(idle):
    """A client that asks for a file and takes nothing holds no worker for longer than the idle time."""
    deposit(idle, "S-0001", "large", bytes(32 << 20))
    wait_for(lambda: serving(idle) == 0, "the depositor's end")
    with session_as(idle, "clinic") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /v1/subjects/S-0001/files/large HTTP/1.1\r\nHost: vault\r\nPurpose: treatment\r\n\r\n")
        assert serving(idle) == 1, "control: it is there"
        wait_for(lambda: serving(idle) == 0, "the worker's end")


def serving(vault):
    """How many connections to the TLS port the vault's own side holds, those among them that the client has ended
    (CLOSE_WAIT): they keep their place until the vault closes them."""
    established, close_wait = "01", "08"
    port = urllib.parse.urlsplit(vault.url).port
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in list(table)[1:]]
    return sum(1 for row in rows if int(row[1].split(":")[1], 16) == port and
               row[3] in (established, close_wait))


# ---- many clients ----

def silent_connections(vault, count):
    """Connections that do not even begin to shake hands. One that is refused at once may be told so by `connect`
    already; then there is nothing to receive."""
    url, found = urllib.parse.urlsplit(vault.url), []
    for _ in range(count):
        found.append(socket.socket())
        with contextlib.suppress(ConnectionResetError):
            found[-1].connect((url.hostname, url.port))
        found[-1].settimeout(0.1)
    return found


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
        refused = set()

        def all_refused():  # they are accepted one by one
            refused.update(sock for sock in held if sock not in refused and is_reset(sock))
            return len(refused) >= PER_ADDRESS
        wait_for(all_refused, f"{PER_ADDRESS} connections refused")
        assert len(refused) == PER_ADDRESS
        for _ in range(3):
            assert narrow.ctl("status")["seal"] == "unsealed"
        narrow.ctl("status", cert="clinic", json=False, expect=5)  # the same address
    finally:
        for sock in held:
            sock.close()
    wait_for(lambda: serving(narrow) == 0, "the connections' end")
    narrow.ctl("status", cert="clinic")


def test_service_beyond_its_limit_is_429(narrow):
    with contextlib.ExitStack() as stack:
        def ask(service):
            connection = stack.enter_context(contextlib.closing(narrow.connect(service)))
            connection.request("GET", "/v1/status")
            answer = connection.getresponse()
            return connection, answer.status, answer.read()

        wait_for(lambda: serving(narrow) == 0, "the end of those before")
        first = [ask("clinic") for _ in range(PER_SERVICE)]
        assert [status for _, status, _ in first] == [200] * PER_SERVICE
        last, status, body = ask("clinic")
        assert status == 429 and b"too-many-connections" in body
        assert ask("research")[1] == 200, "another service pays for it"
        last.close()
    wait_for(lambda: serving(narrow) == 0, "the connections' end")
    narrow.ctl("status", cert="clinic")
