"""Who gets in over TLS, who does not and is told why, and what a change of authorities or revocation lists does to
those who are in already."""
import contextlib
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest

from scene import CUT, processes, wait_for
from vault_under_test import ROOT, running_vault

REQUEST = b"GET /v1/status HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n"
HANDSHAKE_SECONDS, PATIENCE = 2, 60


@pytest.fixture(scope="module")
def vault():
    """A vault that gives its clients time, however busy the machine is."""
    with running_vault(limits={"handshake_seconds": 600, "head_seconds": 600, "idle_seconds": 3600}) as v:
        # Certificates of the right authority: one of a service that nobody registered.
        pki(v, "stranger")
        yield v


@pytest.fixture(scope="module")
def hasty():
    """A vault that soon loses patience with a handshake, and with nothing else."""
    with running_vault(limits={"handshake_seconds": HANDSHAKE_SECONDS, "head_seconds": 600,
                               "idle_seconds": 3600}) as v:
        yield v


def pki(vault, *args):
    subprocess.run([ROOT / "scripts" / "test-pki", vault.folder / "pki", *args], check=True, capture_output=True)


def log(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


def crashes(vault):
    return log(vault).count("crashed: ")


def dial(vault):
    url = urllib.parse.urlsplit(vault.url)
    return socket.create_connection((url.hostname, url.port), timeout=PATIENCE)


def read_all(session):
    """What comes until the end, and how it ended: "" in order, else the error's text."""
    whole = b""
    try:
        while True:
            piece = session.recv(1 << 16)
            if not piece:
                return whole, ""
            whole += piece
    except CUT as error:
        return whole, str(error)


def context_of(vault, service, newest=None):
    context = ssl.create_default_context(cafile=vault.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if newest is not None:
        context.maximum_version = newest
    if service is not None:
        context.load_cert_chain(*vault.cert(service))
    return context


def ask(context, vault, quiet=False):
    """What a TLS client gets for a request: application bytes, and the complaint. A quiet one sends none and waits."""
    with dial(vault) as plain:
        try:
            session = context.wrap_socket(plain, server_hostname="127.0.0.1")
        except CUT as error:
            return b"", str(error)
        with session:
            try:
                if not quiet:
                    session.sendall(REQUEST)
            except CUT as error:
                return b"", str(error)
            return read_all(session)


# Who is refused: OpenSSL's words for the alert, and vaultctl's words.
REFUSED = [(None, "certificate required", "requires a client certificate"),
           ("outsider", "unknown ca", "comes from an authority that the vault does not know"),
           ("expired", "certificate expired", "has expired"),
           ("revoked", "certificate revoked", "is revoked"),
           ("nosan", "bad certificate", "names no service")]


@pytest.mark.parametrize("service, alert, words", REFUSED)
def test_refused_client_gets_no_byte_and_the_alert(vault, service, alert, words):
    context = context_of(vault, service)
    received, _ = ask(context, vault)
    assert received == b""
    received, complaint = ask(context, vault, quiet=True)
    assert received == b"" and alert in complaint


@pytest.mark.parametrize("service, alert, words", REFUSED)
def test_vaultctl_says_why_tls_refused(vault, service, alert, words):
    vault.ctl("--url", vault.url, "status", cert=service, json=False, expect=5)
    assert words in vault.stderr, vault.stderr


def test_registered_service_gets_in(vault):
    """Control of the tests above."""
    received, _ = ask(context_of(vault, "clinic"), vault)
    assert received.startswith(b"HTTP/1.1 200 ")
    vault.ctl("status", cert="clinic")


def test_a_sealed_vault_answers_a_tls_client(vault):
    """It cannot know who asks, but says that it is sealed, and goes on."""
    core = core_of(vault)
    vault.ctl("seal")
    try:
        answer = vault.http("GET", "/v1/status", cert="clinic")
        assert answer.status == 200 and answer.json()["seal"] == "sealed", answer.body
        answer = vault.http("GET", "/v1/files?purpose=treatment", cert="clinic")
        assert answer.status == 423, answer.body
        assert core_of(vault) == core
    finally:
        vault.ctl("unseal")
    answer = vault.http("GET", "/v1/status", cert="clinic")
    assert answer.status == 200 and answer.json()["seal"] == "unsealed" and core_of(vault) == core


def test_tls_12_is_refused(vault):
    received, complaint = ask(context_of(vault, "clinic", ssl.TLSVersion.TLSv1_2), vault)
    assert received == b"" and "protocol version" in complaint


def test_certificate_of_no_registered_service_is_401(vault):
    answer = vault.http("GET", "/v1/status", cert="stranger")
    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    vault.ctl("status", cert="stranger", json=False, expect=3)
    assert "registered" in vault.stderr, vault.stderr


def test_a_key_that_does_not_belong_to_the_certificate(vault):
    """Python's TLS would not load such a pair, nor would vaultctl: the pair is refused before anything is sent."""
    certificate, key = vault.cert("clinic")[0], vault.cert("research")[1]
    vault.ctl("--url", vault.url, "--cert", certificate, "--key", key, "status", json=False, expect=5)


# ---- what is no handshake ----

GARBAGE = {"http": b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n", "too-long": b"\x16\x03\x01\xff\xff" + b"\xff" * 70000,
           "zeros": bytes(4096), "short-hello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "random": os.urandom(9000)}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_instead_of_a_client_hello(vault, garbage):
    before, core = crashes(vault), core_of(vault)
    with dial(vault) as plain:
        with contextlib.suppress(*CUT):
            plain.sendall(garbage)
            plain.shutdown(socket.SHUT_WR)
        received, _ = read_all(plain)
    assert b"HTTP" not in received and len(received) <= 7  # an alert at the most
    assert crashes(vault) == before and core_of(vault) == core
    vault.ctl("status", cert="clinic")


def core_of(vault):
    found = processes(vault)
    return [found[name] for name in ("vaultd-gate", "vaultd-monitor", "vaultd-store")]


def client_hello(vault):
    """The first bytes of a good client."""
    to_server = ssl.MemoryBIO()
    session = context_of(vault, "clinic").wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return to_server.read()


def ended(plain):
    """True once the other side has ended the connection."""
    try:
        return plain.recv(1 << 16) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("pause", [0.1, 60], ids=["dribbling", "silent"])
def test_slow_handshake_ends_at_its_deadline(hasty, pause):
    """Only that can end it: the time for a head and for silence begins after the handshake."""
    hello = client_hello(hasty)
    next_byte, patience = time.monotonic(), time.monotonic() + PATIENCE
    with dial(hasty) as plain:
        plain.settimeout(0.02)
        while not ended(plain):
            assert time.monotonic() < patience, "the connection is still there"
            if hello and time.monotonic() >= next_byte:
                with contextlib.suppress(OSError):
                    plain.sendall(hello[:1])
                hello, next_byte = hello[1:], next_byte + pause
    assert hello, "the client was done before its time was over"


# ---- no resumption ----

def test_no_session_is_resumed(vault):
    """Neither the vault's own session, nor one with a ticket that another server of the same name gave."""
    context = context_of(vault, "clinic")
    with context.wrap_socket(dial(vault), server_hostname="127.0.0.1") as first:
        first.sendall(REQUEST)
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        own = first.session
    assert own is None or not own.has_ticket
    ticket = session_with_ticket(vault, context)
    assert ticket.has_ticket
    for offered in (own, ticket):
        with context.wrap_socket(dial(vault), server_hostname="127.0.0.1", session=offered) as second:
            second.sendall(REQUEST)
            assert second.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            assert not second.session_reused


def session_with_ticket(vault, context):
    """A session of this context with a server that does resume, to which it is shown that the client would."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*vault.cert("server"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            for _ in range(2):
                with server.wrap_socket(listener.accept()[0], server_side=True) as session:
                    session.sendall(b"x")
                    session.recv(1)
        thread = threading.Thread(target=serve)
        thread.start()
        found = None
        for _ in range(2):
            with context.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="127.0.0.1",
                                     session=found) as session:
                session.recv(1)
                if found is not None:
                    assert session.session_reused, "control: the client offers its session"
                found = session.session
                session.sendall(b"y")
        thread.join(10)
    return found


def test_openssl_client_reconnects_with_full_handshakes(vault):
    url = urllib.parse.urlsplit(vault.url)
    certificate, key = vault.cert("clinic")
    command = ["openssl", "s_client", "-connect", f"{url.hostname}:{url.port}", "-CAfile", vault.ca, "-cert", certificate,
               "-key", key, "-reconnect"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert done.stdout.count(b"New, TLSv1.3") == 6, done.stdout[-3000:]
    assert b"Reused" not in done.stdout


# ---- change while it runs ----

def idle_connection(vault, service):
    connection = vault.connect(service)
    connection.request("GET", "/v1/status")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return connection


def assert_ends(connection):
    """The vault ends this idle connection, long before its idle time is over."""
    connection.sock.settimeout(PATIENCE)
    try:
        assert connection.sock.recv(1) == b""
    except TimeoutError:
        raise AssertionError(f"the connection was still there after {PATIENCE} s") from None
    except CUT:
        pass


def test_revocation_ends_an_idle_connection_and_refuses_a_new_one(vault):
    pki(vault, "leaver")
    vault.ctl("service", "add", "leaver", "--san", "urn:vault:service:leaver", "--role", "reader", "--purpose",
              "treatment")
    with contextlib.closing(idle_connection(vault, "leaver")) as leaver, \
            contextlib.closing(idle_connection(vault, "clinic")) as other:
        pki(vault, "--revoke", "leaver")
        assert_ends(leaver)
        other.request("GET", "/v1/status")
        assert other.getresponse().status == 200, "a client that stays was ended too"
    received, complaint = ask(context_of(vault, "leaver"), vault, quiet=True)
    assert received == b"" and "certificate revoked" in complaint
    vault.ctl("status", cert="leaver", json=False, expect=5)
    assert "is revoked" in vault.stderr


def put_in_place(path, content):
    """As one should: whole, by renaming."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)


@pytest.mark.parametrize("content", [b"garbage\n" * 100, b"",
                                     b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"],
                         ids=["garbage", "empty", "damaged"])
@pytest.mark.parametrize("name", ["ca.pem", "crl.pem"])
def test_broken_trust_leaves_the_old_in_force(vault, name, content):
    path = vault.folder / "pki" / name
    good = path.read_bytes()
    said = len(log(vault))
    with contextlib.closing(idle_connection(vault, "clinic")) as idle:
        trusted = pathlib.Path(vault.ca).read_bytes()
        put_in_place(path, content)
        try:
            wait_for(lambda: "the former authorities and revocation lists stay in force" in log(vault)[said:],
                     "the error in the log")
            assert "not usable" in log(vault)[said:]
            idle.request("GET", "/v1/status")
            assert idle.getresponse().status == 200
            context = ssl.create_default_context(cadata=trusted.decode())
            context.load_cert_chain(*vault.cert("clinic"))
            received, _ = ask(context, vault)
            assert received.startswith(b"HTTP/1.1 200 ")
            context.load_cert_chain(*vault.cert("revoked"))
            received, complaint = ask(context, vault, quiet=True)
            assert received == b"" and "certificate revoked" in complaint
        finally:
            said = len(log(vault))
            put_in_place(path, good)
            wait_for(lambda: "new authorities and revocation lists are in force" in log(vault)[said:],
                     "the good files to be taken again")


def test_another_authority_ends_those_of_the_old_one():
    """The clients' authority is replaced, and the second operator approves that: who came with the old one's
    certificate goes, at once."""
    with running_vault() as vault:
        path, trusted = vault.folder / "pki" / "ca.pem", vault.folder / "trusted.pem"
        trusted.write_bytes(path.read_bytes())
        with contextlib.closing(idle_connection(vault, "clinic")) as idle:
            put_in_place(path, (vault.folder / "pki" / ".ca" / "foreign.pem").read_bytes())
            [asked] = wait_for(lambda: vault.http("GET", "/v1/pending").json()["pending"], "the request")
            idle.request("GET", "/v1/status")
            assert idle.getresponse().read(), "it ended before that was approved"
            vault.ca = str(trusted)  # by which clients know the server
            assert vault.http("POST", f"/v1/pending/{asked['pending']}/approve", cert="operator2").status == 200
            assert_ends(idle)
