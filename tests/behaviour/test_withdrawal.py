"""What was permitted ends when the permission does: a read under way is cut, at once, and the change is acknowledged
only when nothing flows any more. What is still permitted goes on."""
import array
import contextlib
import fcntl
import http.client
import io
import json
import os
import pathlib
import socket
import subprocess
import termios
import threading
import time
import urllib.parse

import pytest

import scene
from vault_under_test import ROOT, running_vault

SIZE = 48 << 20  # far more than the kernel's buffers hold
NO_PERMIT = """version: 1
name: deposits-only
rules:
  - id: deposit
    effect: permit
    actions: [deposit]
    purposes: [none]
    roles: [depositor]
    text: Sequencing sites deposit genomes of known subjects.
"""


@pytest.fixture(scope="module")
def content():
    return bytes(range(251)) * (SIZE // 251 + 1)


@pytest.fixture(scope="module")
def library(content):
    """A vault, and what makes a patient with a file, a project and a service of their own for each test."""
    with running_vault(limits={"idle_seconds": 600}) as vault:  # some clients wait while much else happens
        yield Library(vault, content[:SIZE])


class Library:
    def __init__(self, vault, content):
        self.vault, self.content, self.made = vault, content, 0

    def new_case(self):
        self.made += 1
        return Case(self, self.made)


class Case:
    def __init__(self, library, number):
        vault = library.vault
        self.vault, self.content = vault, library.content
        self.subject, self.project, self.approval = f"S-{number}", f"P-{number}", f"A-{number}"
        self.service = f"lab{number}"
        subprocess.run([str(ROOT / "scripts" / "test-pki"), str(vault.folder / "pki"), self.service], check=True,
                       capture_output=True, timeout=60)
        scene.add_patient(vault, self.subject)
        vault.ctl("service", "add", self.service, "--san", f"urn:vault:service:{self.service}", "--role", "reader",
                  "--purpose", "research")
        vault.ctl("project", "add", self.project, "--service", self.service)
        vault.ctl("ethics", "add", self.approval, "--project", self.project)
        scene.deposit(vault, self.subject, "genome", self.content)
        self.purpose = f'research;project="{self.project}";approval="{self.approval}"'

    def withdraw(self, what=""):
        """Over a connection of our own, so that what follows happens at the moment of the acknowledgement."""
        answer = self.vault.http("DELETE", f"/v1/consents/{self.subject}{what}")
        assert answer.status == 200, answer.body
        return answer.json()["ended"]

    def slow_read(self):
        return SlowRead(self.vault, self.subject, self.purpose, self.service)


class SlowRead:
    """A client with a small receive buffer, which has read the beginning of the file and then waits."""

    def __init__(self, vault, subject, purpose, cert):
        url = urllib.parse.urlsplit(vault.url)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.settimeout(60)
        raw.connect((url.hostname, url.port))
        self.port, self.server_port = raw.getsockname()[1], url.port
        self.socket = vault.tls_context(cert).wrap_socket(raw, server_hostname=url.hostname)
        self.socket.sendall(f"GET {scene.file_path(subject, 'genome')} HTTP/1.1\r\nHost: {url.netloc}\r\n"
                            f"Purpose: {purpose}\r\n\r\n".encode())
        head, self.plain = b"", b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(4096)
        head, self.plain = head.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 "), head
        self.request = http.client.parse_headers(io.BytesIO(head.split(b"\r\n", 1)[1]))["Request-Id"]

    def in_receive_buffer(self):
        waiting = array.array("i", [0])
        fcntl.ioctl(self.socket.fileno(), termios.FIONREAD, waiting)
        return waiting[0]

    def server_fields(self):
        local, remote = f"0100007F:{self.server_port:04X}", f"0100007F:{self.port:04X}"
        lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        return next((fields for fields in map(str.split, lines) if fields[1:3] == [local, remote]), None)

    def server_side(self):
        """The state of the vault's end, from /proc/net/tcp; None if it is gone."""
        fields = self.server_fields()
        return fields and fields[3]

    def wait_until_stuck(self):
        """Until no kernel on the way takes any more, and the worker waits."""
        def is_stuck():
            before = self.server_fields()[4]
            time.sleep(0.2)
            return before == self.server_fields()[4]
        scene.wait_for(is_stuck, "a client that takes nothing")

    def rest(self):
        """How many bytes still come, as they are on the wire, and whether a reset ends them. Below TLS, since Python's
        ssl reports a reset as an end."""
        count = 0
        with socket.socket(fileno=os.dup(self.socket.fileno())) as raw:
            raw.settimeout(60)
            try:
                while piece := raw.recv(1 << 16):
                    count += len(piece)
            except ConnectionResetError:
                return count, True
        return count, False

    def finish(self, content):
        """Reads to the end, which must be that of the file."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        got = bytearray(self.plain)
        while len(got) < SIZE and (piece := self.socket.recv(1 << 16)):
            got += piece
        assert got == content, "a read that is still permitted was cut"

    def close(self):
        self.socket.close()


def expect_cut(case, read):
    """Called when the change has been acknowledged: nothing flows any more, and the file did not go out whole."""
    waiting = read.in_receive_buffer()
    assert read.server_side() is None, "the vault still holds the connection after its acknowledgement"
    time.sleep(0.3)
    count, reset = read.rest()
    assert count <= waiting, "bytes arrived after the acknowledgement"
    assert reset, "the connection was not reset"
    assert len(read.plain) + count < SIZE and case.content.startswith(read.plain)
    closed = scene.wait_for_record(case.vault, request=read.request, event="read.close")
    assert closed["outcome"] == "revoked" and closed["bytes"] >= len(read.plain), closed
    again = scene.Read(case.vault, case.subject, "genome", case.purpose, case.service)
    assert not again.whole
    return closed


def test_withdrawal_cuts_a_running_read_and_leaves_the_clinics_alone(library):
    case = library.new_case()
    with contextlib.closing(case.slow_read()) as read, \
            contextlib.closing(SlowRead(case.vault, case.subject, scene.TREATMENT, "clinic")) as clinic:
        ended = case.withdraw("?purpose=research")
        closed = expect_cut(case, read)
        assert ended == 1
        withdrawn = scene.wait_for_record(case.vault, event="consent.withdraw", subject=case.subject)
        assert closed["seq"] < withdrawn["seq"]
        clinic.finish(case.content)
    assert scene.Read(case.vault, case.subject, "genome").body == case.content


def ended_by_force(vault):
    return (vault.folder / "vaultd.log").read_text().count("worker: ended by force")


def when_heard(library, check):
    """Once more where a worker that has to hear it got no processor for 20 ms, and was rightly ended by force."""
    for _ in range(4):
        case, problem = library.new_case(), None
        before = ended_by_force(case.vault)
        try:
            check(case)
        except (AssertionError, *scene.CUT) as error:
            problem = error
        if ended_by_force(case.vault) == before:
            if problem is not None:
                raise problem
            return
    raise AssertionError("it had to be ended each time, and the withdrawal waited for that")


def test_a_worker_whose_client_takes_nothing_hears_the_withdrawal_all_the_same(library):
    def check(case):
        with contextlib.closing(case.slow_read()) as read:
            read.wait_until_stuck()
            assert case.withdraw("?purpose=research") == 1
            expect_cut(case, read)
    when_heard(library, check)


def test_withdrawal_of_everything_cuts_both(library):
    case = library.new_case()
    with contextlib.closing(case.slow_read()) as read, \
            contextlib.closing(SlowRead(case.vault, case.subject, scene.TREATMENT, "clinic")) as clinic:
        assert case.withdraw() == 2
        expect_cut(case, read)
        assert clinic.server_side() is None and clinic.rest()[1]


def idle_grant(case, cert, purpose):
    """A kept-alive connection that has read a range, and a function that reads the next one."""
    connection = case.vault.connect(cert)

    def read(first, last):
        connection.request("GET", scene.file_path(case.subject, "genome"),
                           headers={"Purpose": purpose, "Range": f"bytes={first}-{last}"})
        response = connection.getresponse()
        return response.status, response.read()
    return connection, read


def test_an_idle_grant_ends_and_its_connection_lives_on(library):
    when_heard(library, check_idle_grant)


def check_idle_grant(case):
    connection, read = idle_grant(case, case.service, case.purpose)
    with contextlib.closing(connection):
        assert read(0, 99) == (206, case.content[:100])
        same = connection.sock
        assert case.withdraw("?purpose=research") == 1
        status, body = read(100, 199)
        assert status == 403 and case.content[100:140] not in body
        scene.give_consent(case.vault, case.subject)
        assert read(200, 299) == (206, case.content[200:300])
        assert connection.sock is same


def test_withdrawal_leaves_an_idle_clinic_alone(library):
    case = library.new_case()
    connection, read = idle_grant(case, "clinic", scene.TREATMENT)
    with contextlib.closing(connection):
        assert read(0, 99)[0] == 206
        assert case.withdraw("?purpose=research") == 0
        assert read(SIZE - 100, SIZE - 1) == (206, case.content[-100:])


def test_a_read_opened_in_the_same_instant_loses_against_a_recorded_withdrawal(library):
    case, rounds, granted = library.new_case(), 0, 0
    first = case.vault.http("GET", "/v1/status").json()["records"]
    while rounds < 25 or (rounds < 150 and not 0 < granted < 3 * rounds):  # until each has won against the other
        number, rounds = rounds, rounds + 1
        scene.give_consent(case.vault, case.subject)
        start, reads = threading.Barrier(4), []

        def read():
            connection, get = idle_grant(case, case.service, case.purpose)
            with contextlib.closing(connection):
                connection.connect()
                start.wait(timeout=60)
                time.sleep(number % 5 / 1000)
                with contextlib.suppress(*scene.CUT):
                    reads.append(get(0, 99)[0])
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        with contextlib.closing(case.vault.connect()) as administrator:
            administrator.connect()
            start.wait(timeout=60)
            time.sleep(number % 14 / 1000)
            administrator.request("DELETE", f"/v1/consents/{case.subject}?purpose=research")
            assert administrator.getresponse().status == 200
        for thread in threads:
            thread.join(timeout=60)
        granted += reads.count(206)
    permitted, withdrawn, late = {}, False, []
    for r in scene.records(case.vault, first):
        if r.get("subject") != case.subject:
            continue
        if r["event"] in ("consent.set", "consent.withdraw"):
            withdrawn = r["event"] == "consent.withdraw"
            late += [f"open over the withdrawal: {open_one}" for open_one in permitted.values() if withdrawn]
        elif r["event"] == "read" and r["outcome"] == "permitted":
            permitted[r["request"]] = r["seq"]
            late += [f"granted after the withdrawal: {r['seq']}"] if withdrawn else []
        elif r["event"] == "read.close":
            permitted.pop(r["request"])
    assert late == [] and permitted == {}
    assert 0 < granted < 3 * rounds, f"{granted} of {3 * rounds}: the two never met"


# Every other way in which a research read stops being permitted.
CHANGES = {
    "service revoked": lambda c: c.vault.ctl("service", "revoke", c.service),
    "opted out": lambda c: c.vault.ctl("subject", "change", c.subject, "--opt-out"),
    "consent replaced": lambda c: scene.give_consent(c.vault, c.subject, research=()),
    "project closed": lambda c: c.vault.ctl("project", "close", c.project),
    "approval revoked": lambda c: c.vault.ctl("ethics", "revoke", c.approval),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_cuts_a_running_read_before_it_is_acknowledged(library, change):
    case = library.new_case()
    with contextlib.closing(case.slow_read()) as read:
        CHANGES[change](case)
        expect_cut(case, read)


def test_a_policy_without_permits_cuts_every_running_read(library):
    case = library.new_case()
    try:
        with contextlib.closing(case.slow_read()) as read, \
                contextlib.closing(SlowRead(case.vault, case.subject, scene.TREATMENT, "clinic")) as clinic:
            scene.administer(case.vault, "policy", "load", "-", input=NO_PERMIT.encode())
            expect_cut(case, read)
            assert clinic.server_side() is None and clinic.rest()[1]
    finally:
        scene.administer(case.vault, "policy", "load", ROOT / "policies" / "denmark.yaml")


def test_a_revoked_certificate_ends_a_running_read(library):
    case = library.new_case()
    with contextlib.closing(case.slow_read()) as read, \
            contextlib.closing(SlowRead(case.vault, case.subject, scene.TREATMENT, "clinic")) as clinic:
        subprocess.run([str(ROOT / "scripts" / "test-pki"), str(case.vault.folder / "pki"), "--revoke", case.service],
                       check=True, capture_output=True, timeout=60)
        scene.wait_for(lambda: read.server_side() is None, "the end of the read", 60)
        expect_cut(case, read)
        assert clinic.server_side() is not None, "a certificate that was not revoked lost its read"
        clinic.finish(case.content)


def test_a_withdrawal_before_any_consent_stands_against_older_paper():
    """Nobody has to have said yes to say no: a form that was signed before turns up later, and permits nothing."""
    with running_vault() as vault:
        vault.ctl("subject", "add", "S-9")
        vault.ctl("consent", "withdraw", "S-9", "--purpose", "research", expect=4)
        assert vault.ctl("consent", "withdraw", "S-9")["version"] == 1
        shown = vault.ctl("consent", "show", "S-9")["consents"][0]
        assert shown["state"] == "withdrawn" and shown["permits"] == {"treatment": False, "research": []}
        older = {"subject": "S-9", "signed": "2020-01-01", "form": "2020-1", "permits": {"treatment": True, "research": ["DUO:0000042"]}}
        refused = vault.http("PUT", "/v1/consents/S-9", body=json.dumps(older).encode())
        assert refused.status == 409 and b"consent-older" in refused.body
        scene.give_consent(vault, "S-9")
        assert vault.ctl("consent", "show", "S-9")["consents"][0]["version"] == 2
        assert vault.http("DELETE", "/v1/consents/nobody").status == 404
