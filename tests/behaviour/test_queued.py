"""An answer that fits into the kernel's buffers is not over when the worker has written it: a withdrawal must throw away
what the client has not taken yet, before it is acknowledged."""
import socket
import ssl
import time

import pytest

import scene

SIZE = 2_000_000
BUFFERS = 300_000  # what had left before the withdrawal, and waits on the client's own side


@pytest.fixture(scope="module")
def patient(vault, tmp_path_factory):
    content = tmp_path_factory.mktemp("content") / "small.bam"
    content.write_bytes(bytes(range(250)) * (SIZE // 250))
    vault.ctl("subject", "add", "S-1")
    vault.ctl("put", content, "--subject", "S-1", cert="depositor")
    return tmp_path_factory.mktemp("consent") / "consent.json"


def consent(vault, path):
    path.write_text('{"subject": "S-1", "signed": "%s", "form": "2.1", "permits": {"treatment": true}}' % scene.today())
    vault.ctl("consent", "set", "S-1", path)


def stalled_request(vault, extra):
    """A client that asks for the file and takes nothing of it yet."""
    host, port = vault.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=vault.ca)
    context.load_cert_chain(*vault.cert("clinic"))
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    plain.settimeout(60)
    plain.connect((host, int(port)))
    client = context.wrap_socket(plain, server_hostname=host)
    client.sendall((f"GET /v1/subjects/S-1/files/small.bam HTTP/1.1\r\nHost: {host}\r\n"
                    f"Purpose: treatment\r\n{extra}\r\n").encode())
    client.recv(1)  # the answer has begun, so that the whole of it is on its way into the kernel
    return client


def take_the_rest(client):
    taken = 0
    try:
        while piece := client.recv(65536):
            taken += len(piece)
    except (ConnectionResetError, ssl.SSLError):
        pass
    return taken


@pytest.mark.parametrize("extra", ["", "Connection: close\r\n"])
def test_withdrawal_throws_away_what_is_queued(vault, patient, extra):
    consent(vault, patient)
    client = stalled_request(vault, extra)
    time.sleep(1)  # the worker has written all of it by now, and is idle
    answer = vault.ctl("consent", "withdraw", "S-1")
    assert answer["ended"] == 1
    assert take_the_rest(client) < BUFFERS


def test_the_same_client_gets_all_of_it_without_a_withdrawal(vault, patient):
    consent(vault, patient)
    client = stalled_request(vault, "Connection: close\r\n")
    assert take_the_rest(client) > SIZE
