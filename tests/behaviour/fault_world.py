"""What a fault must not break: a vault with what it acknowledged, the operations faults are injected in, and the looks
afterwards."""
import base64
import contextlib
import hashlib
import json
import re
import pathlib
import shutil
import socket
import tempfile
import time

import fault_start
import injection
import memory_scan
import scene
from injection import Fault, Tracer
from vault_under_test import Answer, is_running, running_vault

SIZE = 70_000  # two segments
PROCESSES = ["vaultd", "vaultd-gate", "vaultd-monitor", "vaultd-store", "vaultd-worker"]
CORE = ["vaultd-gate", "vaultd-monitor", "vaultd-store"]
# Deaths that the supervisor forgives within a minute, and rotations that a key ring holds.
DEATHS_MAX, ROTATIONS_MAX, SLOW = 4, 60, 10
# Done; sealed, or not recorded, or damaged or full; or the connection ended.
TOLD = {200, 201, 202, 423, 500, 503, 507, "cut", "unsealed", "sealed", "no start"}
LIMITS = {"waiting": 1, "handshake_seconds": 10, "head_seconds": 10, "idle_seconds": 20}


class World:
    """A vault, and all that it has acknowledged: files, answers to accesses, a consent."""

    def __init__(self, vault, orders):
        self.vault, self.orders, self.number, self.rotations, self.deaths = vault, orders, 0, 0, []
        self.files, self.maybe, self.answers = {}, {}, []
        self.out = self.vault.folder.parent
        for subject in ("S-fault", "S-consent"):
            scene.add_patient(vault, subject)
            self.keep(subject, "kept", scene.deposit(vault, subject, "kept", self.content("kept")))

    def content(self, name):
        return (name.encode() * SIZE)[:SIZE]

    def keep(self, subject, name, document):
        self.files[subject, name] = document["sha256"]

    def http(self, method, path, body=None, headers=None, cert=None):
        """The answer, or None if there was none that is whole. Waiting without an end is a failure."""
        try:
            return self.vault.http(method, path, body, headers, cert=cert, timeout=injection.WAIT)
        except (TimeoutError, socket.timeout) as hang:
            raise AssertionError(f"{method} {path} got no answer and no end within {injection.WAIT} s") from hang
        except scene.CUT:
            return None

    def acknowledged(self, event, answer):
        self.answers.append((event, answer.headers["Request-Id"], answer.headers["Audit-Seq"]))

    def read(self, subject, name, connection=None):
        """What a read answers: 200 with the right bytes, or a refusal, or None. Wrong bytes are a failure."""
        answer = self.http("GET", scene.file_path(subject, name), headers={"Purpose": scene.TREATMENT}, cert="clinic")
        if answer is not None and answer.status == 200:
            assert answer.body == self.content(name), f"{subject}/{name}: wrong bytes were read"
            self.acknowledged("read", answer)
        return answer

    def take_back(self, pending):
        """An approval that was cut short may not have been one."""
        assert self.vault.http("POST", f"/v1/pending/{pending}/refuse").status in (200, 404)

    # ---- coming back ----

    def core(self):
        found = scene.processes(self.vault)
        return {kind: found.get(kind) for kind in CORE}

    def pids(self, process, clients=0):
        """Of workers those that wait and those of so many clients: the one of a client that is gone ends by itself, and
        the next one that waits may not be born yet."""
        count = clients + LIMITS["waiting"] if process == "vaultd-worker" else 1

        def settled():
            found = scene.processes(self.vault).get(process, [])
            return found if len(found) == count else None
        return scene.wait_for(settled, f"{count} of {process}")

    def serves(self):
        return scene.seal_state(self.vault) == "unsealed"

    def come_back(self, before, supervisor_may_go):
        """It serves again by itself. Only a supervisor that was hit itself is started again by us."""
        def back():
            if not is_running(self.vault.pid):
                assert supervisor_may_go, "the supervisor ended, and nobody had touched it"
                scene.wait_for(lambda: not scene.orphans(self.vault), "the end of what the supervisor had started")
                scene.start(self.vault)
                self.deaths = []
            state = scene.seal_state(self.vault)
            if state == "sealed" and supervisor_may_go:  # it could not read the root key: an operator asks again
                self.http("POST", "/v1/unseal")
            return state == "unsealed"
        started = time.monotonic()
        scene.wait_for(back, "the vault serves again", 120)  # a disk's faults are waited out for longer and longer
        now = time.monotonic()
        self.deaths = [at for at in self.deaths if now - at < 60] + [now] * (self.core() != before)
        if len(self.deaths) >= DEATHS_MAX or now - started > SLOW:  # it waits longer after each fault of its disk
            self.restart()

    def restart(self):
        scene.stop(self.vault)
        scene.start(self.vault)
        scene.wait_for(self.serves, "the vault serves after its start")
        self.deaths = []

    # ---- what must hold at any time ----

    def check_all(self):
        """Every acknowledged file is whole, nothing is half there, and the log verifies and holds every answer."""
        listed = {(f["subject"], f["name"]): f for f in scene.listed_files(self.vault)}
        missing = self.files.keys() - listed.keys()
        assert not missing, f"acknowledged deposits are gone: {missing}"
        for subject, name in listed:
            assert (subject, name) in self.files or (subject, name) in self.maybe, f"nobody deposited {subject}/{name}"
            assert self.read(subject, name).status == 200, f"{subject}/{name} is listed and cannot be read"
        self.check_objects(len(listed))
        self.check_audit()

    def check_objects(self, needed):
        scene.wait_for(lambda: len(scene.objects(self.vault)) == needed, f"{needed} objects, when all is cleaned")
        for name, path in scene.objects(self.vault).items():
            assert scene.sha256(path.read_bytes()) == name
        others = [p for p in self.vault.objects.rglob("*") if p.is_file() and not re.fullmatch("[0-9a-f]{64}", p.name)]
        assert not others, f"left among the objects: {others}"

    def check_audit(self):
        self.number += 1
        exported = scene.verify_audit(self.vault, self.out / f"export-{self.number}")
        by_seq = {r["seq"]: r for r in exported}
        assert sorted(by_seq) == list(range(len(exported))), "numbers are missing in the log"
        for event, request, seq in self.answers:
            record = by_seq.get(int(seq), {})
            assert record.get("request") == request and record["event"].startswith(event), (event, request, record)
        index = self.vault.http("GET", "/v1/status").json()["index"]["state"]
        assert index != "damaged", "the index is not what was stored"


class Operation:
    """Made before strace is there; then run() and, without strace, check(). Its subclasses say what they are about."""
    answer = None
    clients = 0  # with a connection open before the operation begins

    def tracer(self, process, fault, log):
        return Tracer(lambda: self.world.pids(process, self.clients), log, process, fault)

    @property
    def told(self):
        return self.answer.status if self.answer is not None else "cut"


class Deposit(Operation):
    def __init__(self, world):
        world.number += 1
        self.world, self.name = world, f"d{world.number}"

    def run(self):
        content, path = self.world.content(self.name), scene.file_path("S-fault", self.name)
        self.world.maybe["S-fault", self.name] = scene.sha256(content)
        self.answer = self.world.http("PUT", path, content, cert="depositor")
        if self.answer is not None and self.answer.status == 201:
            self.world.keep("S-fault", self.name, self.answer.json())
            self.world.acknowledged("deposit", self.answer)

    def check(self):
        status = self.world.read("S-fault", self.name).status
        kept = ("S-fault", self.name) in self.world.files
        assert status == 200 if kept else status in (200, 403), f"after {self.answer and self.answer.status}: {status}"


class Read(Operation):
    def __init__(self, world):
        self.world = world

    def run(self):
        self.answer = self.world.read("S-fault", "kept")

    def check(self):
        assert self.world.read("S-fault", "kept").status == 200


class Consent(Operation):
    """A consent that permits what the one before does not."""

    def __init__(self, world):
        self.world = world
        scene.give_consent(world.vault, "S-consent", treatment=self.before())

    def before(self):
        return False

    def run(self):
        document = {"subject": "S-consent", "signed": scene.today(), "form": "2026-1", "permits": {"treatment": True}}
        self.answer = self.world.http("PUT", "/v1/consents/S-consent", json.dumps(document))

    def check(self):
        status = self.world.read("S-consent", "kept").status
        told = self.answer is not None and self.answer.status == 200
        after = 403 if self.before() else 200
        assert status == after if told else status in (200, 403), f"after {told and self.answer.status}: {status}"
        scene.give_consent(self.world.vault, "S-consent")


class Withdrawal(Consent):
    """A reader holds a grant on an open connection; after the acknowledgement neither it nor a new one may read."""
    clients = 1

    def __init__(self, world):
        super().__init__(world)
        self.reader = world.vault.connect("clinic", injection.WAIT)
        assert self.range(self.reader) == 206

    def before(self):
        return True

    def range(self, connection):
        with contextlib.suppress(*scene.CUT):
            headers = {"Purpose": scene.TREATMENT, "Range": "bytes=0-99"}
            connection.request("GET", scene.file_path("S-consent", "kept"), headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status != 206 or body == self.world.content("kept")[:100], "wrong bytes were read"
            return answer.status
        return None

    def run(self):
        self.answer = self.world.http("DELETE", "/v1/consents/S-consent?purpose=treatment")
        with contextlib.closing(self.reader):
            status = self.range(self.reader)
        assert status in (403, None, 503) or self.answer is None or self.answer.status != 200, \
            f"a read after the acknowledged withdrawal gave {status}"


class Rotation(Operation):
    what = "kek"

    def __init__(self, world):
        self.world = world
        self.last = self.last_job()

    def all_jobs(self):
        return self.world.vault.http("GET", "/v1/jobs").json()["jobs"]

    def last_job(self):
        """Its number: the list holds the last fifty only."""
        return max((job["id"] for job in self.all_jobs()), default=0)

    def run(self):
        self.world.rotations += self.what == "kek"
        self.answer = self.world.http("POST", "/v1/keys/rotate", json.dumps({"what": self.what}),
                                      {"Content-Type": "application/json"})
        time.sleep(0.05)  # its job runs after the answer

    def check(self):
        scene.wait_for(lambda: all(j["state"] == "done" for j in self.all_jobs()), "the end of the rotation")
        told = self.answer is not None and self.answer.status == 202
        assert not told or self.last_job() > self.last, "an acknowledged rotation is not there"
        assert self.world.read("S-fault", "kept").status == 200


class Turn(Rotation):
    """Every subject gets a new key."""
    what = "subject"


class Rekey(Rotation):
    """Every file gets another data key, by a worker without a client."""
    what = "data"
    clients = 1  # the administrator's, so that the worker that waits is the one that gets the work

    def __init__(self, world):
        super().__init__(world)
        self.admin = world.vault.connect(timeout=injection.WAIT)
        self.admin.request("GET", "/v1/status")
        self.admin.getresponse().read()

    def run(self):
        with contextlib.suppress(*scene.CUT), contextlib.closing(self.admin):
            self.admin.request("POST", "/v1/keys/rotate", json.dumps({"what": self.what}),
                               {"Content-Type": "application/json"})
            self.answer = Answer(self.admin.getresponse())
            time.sleep(0.4)  # the work is not waited for by the answer


class Shred(Operation):
    """One file of two is shredded, or a subject with both: approved or not at all, and nothing of it is left half."""

    def __init__(self, world):
        world.number += 1
        self.world, self.subject, self.whole_subject = world, f"S-shred-{world.number}", world.number % 2 == 0
        scene.add_patient(world.vault, self.subject)
        for name in ("goes", "other"):
            world.keep(self.subject, name, scene.deposit(world.vault, self.subject, name, world.content(name)))
        path = f"/v1/subjects/{self.subject}" if self.whole_subject else scene.file_path(self.subject, "goes")
        self.pending = world.vault.http("DELETE", path).json()["pending"]

    def run(self):
        self.answer = self.world.http("POST", f"/v1/pending/{self.pending}/approve", cert="operator2")
        time.sleep(0.1)  # its job and the cleaning run after the answer

    def check(self):
        jobs = Rotation(self.world)
        scene.wait_for(lambda: all(j["state"] == "done" for j in jobs.all_jobs()), "the end of the shred")
        shreds = self.world.vault.http("GET", f"/v1/subjects/{self.subject}").json()["shreds"]
        told = self.answer is not None and self.answer.status == 200
        assert len(shreds) == 1 if told else len(shreds) in (0, 1), f"after {self.answer and self.answer.status}: {shreds}"
        gone = [] if not shreds else ["goes", "other"] if self.whole_subject else ["goes"]
        for name in ("goes", "other"):
            status = self.world.read(self.subject, name).status
            assert status == (403 if name in gone else 200), f"{name} is {status}, and gone are {gone}"
            if name in gone:
                del self.world.files[self.subject, name]
        assert not shreds or "retired" in shreds[0]["state"], shreds
        self.world.take_back(self.pending)


class Reseal(Operation):
    """The key ring under a new root key, sealed by the credential."""

    def __init__(self, world):
        self.world = world
        self.epoch = self.now()

    def now(self):
        return self.world.vault.http("GET", "/v1/keys").json()["epoch"]

    def run(self):
        self.answer = self.world.http("POST", "/v1/keys/seal", json.dumps({"by": "credential"}),
                                      {"Content-Type": "application/json"})

    def check(self):
        told = self.answer is not None and self.answer.status == 200
        assert self.now() in ((self.epoch + 1,) if told else (self.epoch, self.epoch + 1)), f"epoch {self.now()}"
        assert self.world.read("S-fault", "kept").status == 200


class AuditKey(Operation):
    """Another key for the audit: with its record, or not at all. All heads since the first are followed from its key."""

    def __init__(self, world):
        self.world = world
        self.vkey = self.now()

    def now(self):
        return self.world.vault.http("GET", "/v1/keys").json()["vkey"]

    def run(self):
        self.answer = self.world.http("POST", "/v1/keys/rotate", json.dumps({"what": "audit"}),
                                      {"Content-Type": "application/json"})

    def check(self):
        told = self.answer is not None and self.answer.status == 200
        vkey, changes = self.now(), []
        for record in scene.records(self.world.vault):
            changes += [record["audit_key"]] if record["event"] == "key.audit" else []
        since = [c for c in changes if c["from"] == self.vkey]
        if told:
            assert vkey == self.answer.json()["vkey"]
        assert (vkey == self.vkey and not since and not told) or [c["to"] for c in since] == [vkey], (told, since, vkey)
        folder = self.world.out / f"chain-{self.world.number}"
        self.world.number += 1
        self.world.vault.ctl("audit", "export", "--format", "jsonl", "-o", folder)
        first = changes[0]["from"] if changes else vkey
        assert self.world.vault.ctl("audit", "verify", folder, "--key", first)["key_changes"] == len(changes)


class IndexKey(Rotation):
    """Another key for the index: in the end one is in the ring, and all is under it."""
    what = "index"

    def __init__(self, world):
        super().__init__(world)
        self.generation = self.now()

    def now(self):
        return self.world.vault.http("GET", "/v1/keys").json()["index"]

    def check(self):
        super().check()
        told = self.answer is not None and self.answer.status == 202
        assert self.now() in ((self.generation + 1,) if told else (self.generation, self.generation + 1))
        ring = memory_scan.ring_keys(self.world.vault, memory_scan.root_key_of(self.world.vault))
        assert "next index key" not in ring, "the ring has two index keys, and no job is open"
        for database in (memory_scan.SUBJECTS, memory_scan.BLOBS):  # each opens under the key that there is
            list(memory_scan.values_of(self.world.vault, ring["index key"], database, self.now()))
        scene.wait_for(lambda: self.world.vault.http("GET", "/v1/status").json()["index"]["state"] in ("whole", "damaged"),
                       "the index is counted")
        assert self.world.vault.http("GET", "/v1/status").json()["index"]["state"] == "whole"


class NameKey(Rotation):
    """Another key for the hashes of names: in the end one is in the ring, and everybody is where that has them."""
    what = "names"

    def __init__(self, world):
        super().__init__(world)
        self.generation = self.now()

    def now(self):
        return self.world.vault.http("GET", "/v1/keys").json()["names"]

    def check(self):
        super().check()
        vault = self.world.vault
        told = self.answer is not None and self.answer.status == 202
        assert self.now() in ((self.generation + 1,) if told else (self.generation, self.generation + 1))
        ring, index = memory_scan.ring_keys(vault, memory_scan.root_key_of(vault)), vault.http("GET", "/v1/keys").json()["index"]
        assert "next name key" not in ring, "the ring has two name keys, and no job is open"
        hashes = set()
        for place, value in memory_scan.values_of(vault, ring["index key"], memory_scan.SUBJECTS, index):
            hashes.add(memory_scan.name_hash(ring["name key"], 1, value[2:2 + value[0] + 256 * value[1]].decode()))
            assert place in hashes, "a subject is under the hash of before"
        for _, value in memory_scan.values_of(vault, ring["index key"], memory_scan.BLOBS, index):
            assert value[16:48] in hashes, "a blob says the hash of before"
        scene.wait_for(lambda: vault.http("GET", "/v1/status").json()["index"]["state"] in ("whole", "damaged"),
                       "the index is counted")
        assert vault.http("GET", "/v1/status").json()["index"]["state"] == "whole"


class Retirement(Operation):
    """The ring forgets a generation, under a new root key: wholly or not at all."""

    def __init__(self, world):
        self.world = world
        world.vault.ctl("key", "rotate", "kek")
        body = json.dumps({"what": "kek", "retire": True, "without_backup": True})
        self.pending = world.vault.http("POST", "/v1/keys/rotate", body,
                                        {"Content-Type": "application/json"}).json()["pending"]
        self.before = self.keys()

    def keys(self):
        """The epoch and the generations."""
        keys = self.world.vault.http("GET", "/v1/keys").json()
        return keys["epoch"], [g["generation"] for g in keys["generations"]]

    def run(self):
        self.answer = self.world.http("POST", f"/v1/pending/{self.pending}/approve", cert="operator2")

    def check(self):
        epoch, generations = self.before
        told = self.answer is not None and self.answer.status == 200
        after = epoch + 1, generations[-1:]
        assert self.keys() in ((after,) if told else (self.before, after)), f"after {told}: {self.keys()}"
        self.world.take_back(self.pending)
        assert self.world.read("S-fault", "kept").status == 200


def someones_keys(count):
    """Public keys that nobody has the private ones of."""
    keys = [hashlib.sha256(bytes([i])).digest() for i in range(count)]
    return [base64.urlsafe_b64encode(key).decode().rstrip("=") for key in keys]


class Escrow(Operation):
    """A copy of the ring that was given out is known to the vault; its own ring stays as it is."""

    def __init__(self, world):
        self.world = world
        self.before, self.epoch = self.copies(), self.world.vault.http("GET", "/v1/keys").json()["epoch"]

    def copies(self):
        """{name: state}"""
        found, cursor = {}, ""
        while cursor is not None:
            page = self.world.vault.http("GET", f"/v1/keys/escrows{cursor}").json()
            found.update({row["escrow"]: row["state"] for row in page["escrows"]})
            cursor = f"?cursor={page['next']}" if page["next"] else None
        return found

    def ask(self, path, body):
        return self.world.http("POST", path, json.dumps(body), {"Content-Type": "application/json"})

    def make(self):
        return self.ask("/v1/keys/escrows", {"shares": 2, "threshold": 2, "recipients": someones_keys(2)})

    def state_destruction(self, name):
        """The number of the request."""
        answer = self.ask(f"/v1/keys/escrows/{name[1:]}/destroyed", {"statement": "by the test"})
        assert answer.status == 202, answer.body
        return answer.json()["pending"]

    def destroy(self, names):
        for name in names:
            answer = self.world.vault.http("POST", f"/v1/pending/{self.state_destruction(name)}/approve", cert="operator2")
            assert answer.status == 200, answer.body

    def run(self):
        self.answer = self.make()

    def check(self):
        told = self.answer is not None and self.answer.status == 201
        made = self.copies().keys() - self.before.keys()
        assert len(made) == 1 if told else len(made) in (0, 1), f"after {told}: {made}"
        assert not told or made == {self.answer.json()["escrow"]}
        keys = self.world.vault.http("GET", "/v1/keys").json()
        assert keys["epoch"] == self.epoch and (keys["escrow"] or {"copies": 0})["copies"] == len(made)
        self.destroy(made)


class Destruction(Escrow):
    """Of a copy, stated and approved: from then on, and only then, it stands against nothing."""

    def __init__(self, world):
        super().__init__(world)
        self.name = self.make().json()["escrow"]
        self.pending = self.state_destruction(self.name)

    def run(self):
        self.answer = self.world.http("POST", f"/v1/pending/{self.pending}/approve", cert="operator2")

    def check(self):
        told = self.answer is not None and self.answer.status == 200
        state, copies = self.copies()[self.name], self.world.vault.http("GET", "/v1/keys").json()["escrow"]["copies"]
        assert (state, copies) in ([("destroyed", 0)] if told else [("destroyed", 0), ("held", 1)]), (told, state, copies)
        self.world.take_back(self.pending)
        if state == "held":
            self.destroy([self.name])


OPERATIONS = {"deposit": Deposit, "read": Read, "consent": Consent, "withdrawal": Withdrawal, "rotation": Rotation,
              "turn": Turn, "rekey": Rekey, "shred": Shred, "reseal": Reseal, "audit-key": AuditKey, "index-key": IndexKey,
              "name-key": NameKey,
              "retirement": Retirement, "escrow": Escrow, "destruction": Destruction, "start": fault_start.Start}


def traced(world, operation, process, fault, log):
    """Runs an operation with strace on one kind of process, and looks at what is left."""
    work = OPERATIONS[operation](world)
    before = world.core()
    with work.tracer(process, fault, log):
        work.run()
    world.come_back(before, process == "vaultd")
    work.check()
    return work


def calls_of(world, operation, process):
    """How often a process makes each call in an operation without a fault; of two runs the larger counts."""
    most = {}
    for _ in range(2):
        log = world.out / "calls.log"
        work = traced(world, operation, process, None, log)
        assert work.told in (200, 201, 202, "unsealed"), f"{operation} without a fault: {work.told}"
        for call, count in injection.counts_of(log).items():
            most[call] = max(most.get(call, 0), count)
    return most


def try_fault(world, operation, fault: Fault):
    """How often it landed, and what the client was told. Raises AssertionError if it broke a promise."""
    log = world.out / "fault.log"
    log.unlink(missing_ok=True)
    work = traced(world, operation, fault.process, fault, log)
    assert work.told in TOLD, f"the client was told {work.told}: {work.answer.body}"
    return injection.landed(log, fault), work.told


@contextlib.contextmanager
def a_world():
    top = pathlib.Path(tempfile.mkdtemp(prefix="traced-"))
    top.chmod(0o711)
    try:
        programs, orders = fault_start.make_programs(top)
        with running_vault(limits=LIMITS, programs=programs) as vault:
            yield World(vault, orders)
    finally:
        shutil.rmtree(top, ignore_errors=True)
