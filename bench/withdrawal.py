"""From the moment that a withdrawal is sent to its acknowledgement, while 16 clients read what it ends, 4 more have asked and
take nothing, and a clinic goes on with the same file. At the acknowledgement the host has no connection left that the
withdrawal ends: nothing can leave on it. The clinic loses nothing. Then the same, begun as soon as a register of opt-outs has been
taken in."""
import contextlib
import fcntl
import json
import os
import pathlib
import socket
import statistics
import struct
import sys
import termios
import threading
import time
import urllib.parse

from common import MIB, ROOT

sys.path.insert(0, str(ROOT / "tests" / "behaviour"))
import scene  # noqa: E402
from optouts import COUNT, take_in_register  # noqa: E402
from rotation import add_subjects  # noqa: E402
from vault_under_test import running_vault  # noqa: E402

SUBJECT, STREAMS, HANGING, ROUNDS = "S-bench", 16, 4, int(os.environ.get("BENCH_ROUNDS", "200"))
SIZE = 1024 * MIB


class Stream(threading.Thread):
    """Reads below TLS: what counts is what is on the wire."""

    def __init__(self, vault, purpose, cert, hangs=False):
        super().__init__(daemon=True)
        url = urllib.parse.urlsplit(vault.url)
        raw = socket.socket()
        if hangs:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.connect((url.hostname, url.port))
        self.port, self.bytes, self.ending = raw.getsockname()[1], 0, threading.Event()
        tls = vault.tls_context(cert).wrap_socket(raw, server_hostname=url.hostname)
        tls.sendall(f"GET {scene.file_path(SUBJECT, 'big')} HTTP/1.1\r\nHost: {url.netloc}\r\nPurpose: {purpose}\r\n\r\n"
                    .encode())
        self.wire = socket.socket(fileno=os.dup(tls.fileno()))
        self.tls, self.hangs = tls, hangs

    def is_flowing(self):
        """More than a handshake leaves behind has come: as much as the kernel takes where nobody reads."""
        if self.hangs:
            return struct.unpack("i", fcntl.ioctl(self.wire, termios.FIONREAD, bytes(4)))[0] > 8192
        return self.bytes > MIB

    def run(self):
        buffer = bytearray(1 << 18)
        try:
            while not self.ending.is_set() and (n := self.wire.recv_into(buffer)):
                self.bytes += n
        except OSError:
            pass

    def close(self):
        self.ending.set()
        self.wire.close()
        self.tls.close()


def held_by_host(vault, ports):
    """Of these client ports, those to which the vault's side of a connection still exists."""
    server = f":{urllib.parse.urlsplit(vault.url).port:04X}"
    wanted, found = {f":{port:04X}" for port in ports}, 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote = line.split()[1:3]
        found += local.endswith(server) and remote[-5:] in wanted
    return found


def withdraw(vault):
    """Seconds, and how many accesses it ended. The administrator's connection is there already."""
    with contextlib.closing(vault.connect()) as connection:
        connection.request("GET", "/v1/status")
        connection.getresponse().read()
        started = time.monotonic()
        connection.request("DELETE", f"/v1/consents/{SUBJECT}?purpose=research")
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.monotonic() - started
    assert answer.status == 200, body
    return seconds, json.loads(body)["ended"]


def apart(work):
    """What the work gives, done in a process of its own, which never waits for a processor: in this one the threads that read
    would take turns with the clock, and an administrator has a machine that is not busy with what others read."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            os.write(writing, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    assert os.waitpid(child, 0)[1] == 0, "the withdrawal failed"
    return json.loads(said)


def one_round(vault, clinic):
    scene.give_consent(vault, SUBJECT)
    streams = [Stream(vault, scene.RESEARCH, "research") for _ in range(STREAMS)]
    hanging = [Stream(vault, scene.RESEARCH, "research", hangs=True) for _ in range(HANGING)]
    for stream in streams:
        stream.start()
    scene.wait_for(lambda: all(s.is_flowing() for s in streams + hanging), "every stream flows")
    before = clinic.bytes
    (seconds, ended), left = apart(lambda: (withdraw(vault), held_by_host(vault, [s.port for s in streams + hanging])))
    assert ended == STREAMS + HANGING, f"{ended} ended"
    for stream in streams:
        stream.join(10)
    for stream in streams + hanging:
        stream.close()
    scene.wait_for(lambda: clinic.bytes > before, "the clinic goes on")
    return seconds, left


class Clinic(threading.Thread):
    """Reads the file over and over; every answer must be whole."""

    def __init__(self, vault):
        super().__init__(daemon=True)
        self.vault, self.bytes, self.whole, self.ending = vault, 0, 0, threading.Event()

    def run(self):
        connection = self.vault.connect("clinic", 120)
        buffer = bytearray(1 << 18)
        while not self.ending.is_set():
            connection.request("GET", scene.file_path(SUBJECT, "big"), headers={"Purpose": scene.TREATMENT})
            answer, got = connection.getresponse(), 0
            while n := answer.readinto(buffer):
                got, self.bytes = got + n, self.bytes + n
            assert got == SIZE, f"the clinic was cut after {got} bytes"
            self.whole += 1
        connection.close()


def rounds(vault):
    clinic = Clinic(vault)
    clinic.start()
    seconds, left = zip(*(one_round(vault, clinic) for _ in range(ROUNDS)))
    clinic.ending.set()
    clinic.join(120)
    assert clinic.whole > 0 and not clinic.is_alive()
    ordered = sorted(1000 * s for s in seconds)
    return {"median_ms": round(statistics.median(ordered), 1), "p99_ms": round(ordered[int(0.99 * (len(ordered) - 1))], 1),
            "worst_ms": round(ordered[-1], 1), "connections_left_at_acknowledgement": sum(left), "clinic_whole_reads": clinic.whole}


def measure(settings):
    with running_vault(settings={"map_size": 16 << 30}, limits={"idle_seconds": 600}) as vault:
        scene.add_patient(vault, SUBJECT)
        scene.deposit(vault, SUBJECT, "big", bytes(SIZE))
        calm = rounds(vault)
        add_subjects(vault, COUNT)
        take_in_register(vault, settings.work / "register")
        return {"rounds": ROUNDS, "streams": STREAMS, "hanging": HANGING, "opt_outs": COUNT, "calm": calm, "behind": rounds(vault)}


def show(result):
    print(f"\nwithdrawal with {result['streams']} streaming and {result['hanging']} hanging clients, {result['rounds']} rounds")
    for name, title in (("calm", "calm"), ("behind", f"right behind {result['opt_outs']} opt-outs")):
        r = result[name]
        print(f"{title}: median {r['median_ms']} ms, p99 {r['p99_ms']}, worst {r['worst_ms']}; "
              f"{r['connections_left_at_acknowledgement']} of their connections left at an acknowledgement; "
              f"the clinic read the file {r['clinic_whole_reads']} times whole")
