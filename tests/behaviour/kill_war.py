"""kill -9 of any process, at any moment, while clients deposit, read, change consents and rotate the wrapping key.

In most rounds one process is killed as soon as a client enters a chosen phase of its request, in the others at a random
moment. Then the vault comes back: by itself, or, where the supervisor is gone, started again. After the rounds asked
for, phases that were not hit are aimed at again.
"""
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import threading
import time

import scene
from vault_under_test import is_running

SUBJECTS, CHANGING = ["S-kill-1", "S-kill-2"], "S-kill-consent"
WRITERS, READERS = 8, 2
KINDS = ["vaultd-worker", "vaultd-monitor", "vaultd-store", "vaultd-gate", "vaultd"]
DEPOSIT = ["deposit: before its grant", "deposit: during the body", "deposit: before the answer",
           "deposit: after the answer"]
READ = ["read: before the head", "read: during the body", "read: after the body"]
CONSENT = ["consent: before the answer", "consent: after the answer"]
WITHDRAWAL = ["withdrawal: before the answer", "withdrawal: after the answer"]
ROTATION = ["rotation: before the answer", "rotation: after the answer"]
PHASES = DEPOSIT + READ + CONSENT + WITHDRAWAL + ROTATION
BLOCK = 1 << 16
# What a client may be told while a process comes back, beside the end of its connection: sealed, or not recorded.
NOT_NOW = (423, 503)
RETIREMENT = json.dumps({"what": "kek", "retire": True, "without_backup": True})
ROTATIONS_MAX = 60  # a key ring holds 64 generations, and none is retired
AIM_SECONDS, TRIES = 60, 4


class Aim:
    """The kill of one round: by the client thread that enters the phase, or by whoever waits too long for one."""

    def __init__(self, war, kind, phase):
        self.war, self.kind, self.phase, self.done, self.lock = war, kind, phase, threading.Event(), threading.Lock()

    def fire(self, client):
        with self.lock:
            if not self.done.is_set():
                self.war.kill(self.kind, client)
                self.done.set()


class Client(threading.Thread):
    """One client; `phase` is where in its request it is, None between requests."""

    def __init__(self, war, number):
        super().__init__(daemon=True)
        self.war, self.random = war, random.Random(f"{war.seed} client {number}")
        self.number, self.phase, self.port, self.problem = number, None, None, None

    def enter(self, phase, share=1.0):
        """`share`: of the kills aimed at this phase, how many may hit right here."""
        self.phase = phase
        aim = self.war.aim
        if aim is not None and aim.phase == phase and self.random.random() < share:
            if phase.endswith("before the answer"):
                time.sleep(self.random.uniform(0, 0.02))
            aim.fire(self)

    def run(self):
        while not self.war.over.is_set():
            self.war.serving.wait(timeout=1)
            try:
                self.work()
            except scene.CUT:
                time.sleep(0.02)
            except Exception as problem:  # told by the main thread
                self.problem = problem
                return
            finally:
                self.phase = self.port = None

    @contextlib.contextmanager
    def connection(self, cert):
        connection = self.war.vault.connect(cert, timeout=30)
        try:
            connection.connect()
            self.port = connection.sock.getsockname()[1]
            yield connection
        finally:
            self.port = None
            connection.close()


class Writer(Client):
    made = 0

    def work(self):
        self.made += 1
        time.sleep(self.random.uniform(0, 0.5))  # all that is deposited is read again at the end
        size = self.random.choice([0, 1, 100_000, 100_000, 1_000_000, 1_000_000, (4 << 20) + 1, 9_000_000])
        size = min(9_000_000, size + self.random.randrange(50_000))
        subject, name = self.random.choice(SUBJECTS), f"w{self.number}-{self.made}"
        content = self.random.randbytes(min(size, 4096)) * (size // 4096 + 1)
        content = content[:size]
        with self.connection("depositor") as connection:
            self.put(connection, subject, name, content)

    def put(self, connection, subject, name, content):
        connection.putrequest("PUT", scene.file_path(subject, name))
        connection.putheader("Content-Length", str(len(content)))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        self.enter(DEPOSIT[0])
        if content:
            go_on = connection.sock.recv(4096)  # "100 Continue" comes after the grant
            if not go_on.startswith(b"HTTP/1.1 100"):
                return
        blocks = -(-len(content) // BLOCK)
        for at in range(0, len(content), BLOCK):
            self.enter(DEPOSIT[1], 2 / (blocks + 1))
            connection.sock.sendall(content[at:at + BLOCK])
        self.enter(DEPOSIT[2])
        response = connection.getresponse()
        body = response.read()
        if response.status == 201:
            self.war.deposited[subject, name] = (scene.sha256(content), len(content))
            self.war.acknowledged.append(("deposit", response.headers["Request-Id"], response.headers["Audit-Seq"]))
            self.enter(DEPOSIT[3])
            time.sleep(self.random.uniform(0, 0.05))
        elif b"integrity" in body:
            raise AssertionError(f"a deposit was told of damage: {body}")


class Reader(Client):
    def work(self):
        known = list(self.war.deposited.items())
        if not known:
            time.sleep(0.05)
            return
        (subject, name), (digest, size) = self.random.choice(known)
        with self.connection("clinic") as connection:
            self.get(connection, subject, name, digest, size)

    def get(self, connection, subject, name, digest, size):
        connection.request("GET", scene.file_path(subject, name), headers={"Purpose": scene.TREATMENT})
        self.enter(READ[0])
        response = connection.getresponse()
        if response.status != 200:
            body = response.read()
            if response.status not in NOT_NOW:
                raise AssertionError(f"a read of an acknowledged file gave {response.status}: {body}")
            return
        self.war.acknowledged.append(("read", response.headers["Request-Id"], response.headers["Audit-Seq"]))
        content = bytearray()
        while len(content) < size:
            self.enter(READ[1], 2 * BLOCK / (size + BLOCK))
            piece = response.read(min(BLOCK, size - len(content)))
            if not piece:
                return
            content += piece
        if scene.sha256(content) != digest:
            raise AssertionError(f"{subject}/{name} was read with wrong bytes")
        self.enter(READ[2])
        time.sleep(self.random.uniform(0, 0.05))


class Administrator(Client):
    """Asks for changes over TLS, so that its worker can be told from others. `last` is the phase after the answer."""

    def ask(self, phases, method, path, body=None):
        """The status and the document; none if the connection ended."""
        with self.connection("operator2") as connection:
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
            self.enter(phases[0])
            response = connection.getresponse()
            document = response.read()
            if response.status in (200, 202):
                self.war.acknowledged.append((path.split("/")[2].rstrip("s"), response.headers["Request-Id"],
                                              response.headers["Audit-Seq"]))
                self.enter(phases[1])
                time.sleep(self.random.uniform(0, 0.05))
            elif response.status not in NOT_NOW and response.status != 409:
                raise AssertionError(f"{method} {path} gave {response.status}: {document}")
            return response.status, document

    def pause(self, phases, seconds):
        """Until it is time again, or a kill is aimed at what this client does."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.war.over.is_set():
            if self.war.aim is not None and self.war.aim.phase in phases:
                return
            time.sleep(0.02)


class Consenter(Administrator):
    """The only one who changes this subject's consent: what was acknowledged last holds until it asks again."""
    permits = True

    def work(self):
        self.pause(CONSENT + WITHDRAWAL, 0.3)
        wanted = not self.permits
        path = f"/v1/consents/{CHANGING}"
        if wanted:
            document = {"subject": CHANGING, "signed": scene.today(), "form": "2026-1", "permits": {"treatment": True}}
            status, _ = self.ask(CONSENT, "PUT", path, json.dumps(document))
        else:
            status, _ = self.ask(WITHDRAWAL, "DELETE", path + "?purpose=treatment")
        if status == 200:
            self.permits = wanted
            self.look()

    def look(self):
        r = scene.Read(self.war.vault, CHANGING, "kept", timeout=30)
        wrong = 403 if self.permits else 200
        assert r.status != wrong, f"treatment is {self.permits}, acknowledged; a read after that gave {wrong}"
        self.war.looked[self.permits] += r.status in (200, 403)


class Rotator(Administrator):
    """Starts a rotation whenever the one before has ended, of either kind, and has older generations retired."""

    def work(self):
        self.pause(ROTATION, 5)
        if self.war.rotations < ROTATIONS_MAX:
            self.war.rotations += 1
            what = ("subject", "kek", "index", "data", "kek", "audit")[self.war.rotations % 6]
            self.ask(ROTATION, "POST", "/v1/keys/rotate", json.dumps({"what": what}))
            with contextlib.suppress(*scene.CUT):
                self.war.retired += self.war.retire() == 200


class War:
    def __init__(self, vault, seed):
        self.vault, self.seed, self.random = vault, seed, random.Random(seed)
        self.deposited, self.acknowledged, self.looked, self.rotations, self.retired = {}, [], collections.Counter(), 0, 0
        self.aim, self.serving, self.over = None, threading.Event(), threading.Event()
        self.landed, self.killed, self.missed, self.started_again = (collections.Counter(), collections.Counter(), 0, 0)
        self.clients = ([Writer(self, n) for n in range(WRITERS)] +
                        [Reader(self, n) for n in range(WRITERS, WRITERS + READERS)] +
                        [Consenter(self, WRITERS + READERS), Rotator(self, WRITERS + READERS + 1)])

    def retire(self):
        """Has older generations retired, by two persons: the status. What a kill left waiting is approved first."""
        asked = self.vault.http("POST", "/v1/keys/rotate", RETIREMENT, {"Content-Type": "application/json"}, cert="operator2")
        assert asked.status in (202, 409, *NOT_NOW), f"asking to retire gave {asked.status}: {asked.body}"
        waiting = self.vault.http("GET", "/v1/pending")
        status = asked.status
        for p in waiting.json()["pending"] if waiting.status == 200 else []:
            answer = self.vault.http("POST", f"/v1/pending/{p['pending']}/approve")
            status = answer.status
            assert status in (200, 404, 409, *NOT_NOW), f"approving gave {status}: {answer.body}"
        return status

    def worker_of(self, client):
        """The pid of the worker that serves this client: it holds the other end of the client's socket."""
        inode = None
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if client is not None and client.port and fields[2] == f"0100007F:{client.port:04X}":
                inode = fields[9]
        for pid in self.pids("vaultd-worker"):
            with contextlib.suppress(OSError):
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                            return pid
        return None

    def pids(self, kind):
        return scene.processes(self.vault).get(kind, [])

    def busy_worker(self, client):
        """A client, that one if it is given, and the pid of its worker."""
        for busy in [client] if client is not None else [c for c in self.clients if c.port]:
            pid = self.worker_of(busy)
            if pid is not None:
                return busy, pid
        # Only root sees whose worker is whose.
        return None, None if os.geteuid() == 0 else next(iter(self.pids("vaultd-worker")), None)

    def kill(self, kind, client):
        if kind == "vaultd-worker":
            client, pid = self.busy_worker(client)
            struck = [client] if client is not None else []  # any other process's death concerns all clients
        else:
            pid, struck = next(iter(self.pids(kind)), None), self.clients
        phases = [c.phase for c in struck if c.phase is not None]
        try:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, AssertionError):
            self.missed += 1
            return
        if kind != "vaultd-worker":
            self.serving.clear()
        self.killed[kind] += 1
        self.landed.update(phases)

    def aimed_round(self, kind, phase):
        aim = Aim(self, kind, phase)
        self.aim = aim
        if not aim.done.wait(timeout=AIM_SECONDS):
            aim.fire(None)
        self.aim = None
        self.after(kind)

    def random_round(self, kind):
        time.sleep(self.random.uniform(0.01, 0.4))
        self.kill(kind, None)
        if self.random.random() < 0.3:  # and while it comes back
            time.sleep(self.random.uniform(0, 0.5))
            self.kill(self.random.choice(KINDS[1:]), None)
            kind = "others"
        self.after(kind)

    def after(self, kind):
        if kind == "vaultd-worker":
            time.sleep(0.05)
        else:
            self.serve_again(kind)
        for client in self.clients:
            assert client.problem is None, client.problem

    def serve_again(self, kind):
        """A core process is started again by the supervisor. If that is gone, or has given up after many deaths in a
        minute, as the service manager would, by us."""
        before = time.monotonic()
        while True:
            if not is_running(self.vault.pid):
                scene.wait_for(lambda: not scene.orphans(self.vault), "the end of what the supervisor had started")
                scene.start(self.vault)
                self.started_again += 1
            if scene.seal_state(self.vault) == "unsealed":
                break
            assert time.monotonic() - before < 120, f"does not serve again after the death of {kind}"
            time.sleep(0.02)
        self.serving.set()

    def fight(self, rounds):
        self.serving.set()
        for client in self.clients:
            client.start()
        scene.wait_for(lambda: self.deposited, "a first deposit")
        try:
            for number in range(rounds):
                kind = KINDS[number % len(KINDS)]
                if number % 8 == 7:
                    self.random_round(kind)
                else:
                    self.aimed_round(kind, PHASES[number % len(PHASES)])
            for phase in PHASES:
                for n in range(TRIES):
                    if not self.landed[phase]:
                        self.aimed_round(KINDS[n % len(KINDS)], phase)
            scene.wait_for(lambda: all(self.looked[k] for k in (True, False)), "looks at what a change of consent did")
            time.sleep(0.5)
        finally:
            self.over.set()
            self.serving.set()
            for client in self.clients:
                client.join(timeout=120)
        for client in self.clients:
            assert not client.is_alive() and client.problem is None, client.problem


def prepare(vault):
    for subject in [*SUBJECTS, CHANGING]:
        scene.add_patient(vault, subject)
    scene.deposit(vault, CHANGING, "kept", b"kept" * 1000)


# ---- what must hold afterwards ----

def expect_every_hit(war):
    assert all(war.killed[kind] for kind in KINDS), war.killed
    assert all(war.landed[phase] for phase in PHASES), war.landed


def expect_deposits_listed(war):
    listed = {(f["subject"], f["name"]): (f["sha256"], f["size"]) for f in scene.listed_files(war.vault)}
    assert {name: listed.get(name) for name in war.deposited} == war.deposited


def expect_files_whole(war):
    scene.give_consent(war.vault, CHANGING)
    for f in scene.listed_files(war.vault):
        r = scene.Read(war.vault, f["subject"], f["name"])
        assert r.status == 200 and len(r.body) == f["size"] and scene.sha256(r.body) == f["sha256"], f


def hashes_of_objects(war):
    """None: one of them was cleaned away meanwhile."""
    try:
        return sorted(scene.sha256(path.read_bytes()) for path in scene.objects(war.vault).values())
    except FileNotFoundError:
        return None


def expect_objects_whole(war):
    needed = sum(scene.objects_for(f["size"]) for f in scene.listed_files(war.vault))
    scene.wait_for(lambda: len(scene.objects(war.vault)) == needed, f"{needed} objects, when all is cleaned")
    scene.wait_for(lambda: hashes_of_objects(war) == sorted(scene.objects(war.vault)), "objects that are what they are called")
    assert [p for p in war.vault.objects.rglob("*") if p.is_file() and not re.fullmatch("[0-9a-f]{64}", p.name)] == []


def expect_rotations_ended(war):
    """Every job is done, and every subject's key is wrapped under the newest generation."""
    def jobs():
        return war.vault.http("GET", "/v1/jobs").json()["jobs"]
    scene.wait_for(lambda: all(j["state"] == "done" for j in jobs()), "the end of the last rotation")
    newest = max(j["generation"] for j in jobs() if j["what"] == "kek")
    for subject in [*SUBJECTS, CHANGING]:
        assert war.vault.http("GET", f"/v1/subjects/{subject}").json()["generation"] == newest


def expect_one_generation(war):
    """After a last rotation and retirement there is one generation, and every file reads under it."""
    war.vault.ctl("key", "rotate", "kek")
    assert war.retire() == 200
    assert len(war.vault.http("GET", "/v1/keys").json()["generations"]) == 1
    expect_files_whole(war)


def grants(records):
    """The requests that opened one, and those that ended one."""
    return ({r["request"] for r in records if r["event"] == "read" and r["outcome"] == "permitted"},
            {r["request"] for r in records if r["event"] == "read.close"})


def expect_audit_whole(war, folder):
    scene.wait_for(lambda: len(set(map(frozenset, grants(scene.records(war.vault))))) == 1, "the end of each grant")
    exported = scene.verify_audit(war.vault, folder)
    by_seq = {r["seq"]: r for r in exported}
    assert sorted(by_seq) == list(range(len(exported)))
    for event, request, seq in war.acknowledged:
        r = by_seq[int(seq)]
        assert r["request"] == request and r["event"].split(".")[0] == event, r
    opened, closed = grants(exported)
    assert opened == closed
