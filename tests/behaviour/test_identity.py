"""Who a client is, is proven to the gate and not told by the worker: workers that their clients took over, and what the
workers' memory holds. The lying worker is tests/hostile/liar.c, the gate that believes it vaultd-gate-unchecked."""
import contextlib
import os
import re
import socket
import ssl
import struct
import time
import urllib.parse

import pytest

from memory_scan import credential_of, forms_of_key, needs_root, root_key_of, where
from scene import add_patient, deposit, processes, records, wait_for
from vault_under_test import programs_with, running_vault

SUBJECT, NAME = "S-0001", "genome.vcf"
VICTIM, ATTACKER = "clinic", "research"
CUT = (OSError, ssl.SSLError)


class Scene:
    """A vault with a patient whom only the clinic may read, and a handshake of the clinic's that a lying worker saw."""

    def __init__(self, vault):
        self.vault = vault
        add_patient(vault, SUBJECT)
        vault.ctl("consent", "set", SUBJECT, "-", input=b'{"subject":"S-0001","signed":"2026-01-02","form":"2026-1",'
                  b'"permits":{"treatment":true,"research":[]}}')
        deposit(vault, SUBJECT, NAME, b"##fileformat=VCFv4.3\n" * 1000)
        self.recording = self.record()
        self.core = self.core_pids()

    def core_pids(self):
        found = processes(self.vault)
        return {name: found[name] for name in ("vaultd-gate", "vaultd-monitor", "vaultd-store")}

    def socket(self):
        url = urllib.parse.urlsplit(self.vault.url)
        return socket.create_connection((url.hostname, url.port), timeout=60)

    def shake_hands(self, plain, service):
        return self.vault.tls_context(service).wrap_socket(plain, server_hostname="127.0.0.1")

    def record(self):
        with self.socket() as plain:
            plain.sendall(b"record\n")
            with self.shake_hands(plain, VICTIM) as session:
                recording = read_to_end(session)
        kinds = [(sender, message[0]) for sender, message in messages_of(recording)]
        assert kinds == [(1, 1), (0, 2), (0, 8), (0, 13), (0, 11), (0, 15), (0, 20), (1, 11), (1, 15), (1, 20)]
        return recording

    def log(self):
        return (self.vault.folder / "vaultd.log").read_text(errors="replace")

    def lie(self, lie, service=None, ended_by=None):
        """Has a worker tell this lie; what the vault's log then says. `service`: who shakes hands with the worker.
        `ended_by`: who must have it ended by force for that; else it must get an answer."""
        said = len(self.log())
        fate = f"lie={lie} got=" if ended_by is None else rf"ended by force: worker=\d+ why=misbehaved by={ended_by}"
        with self.socket() as plain:
            plain.sendall(f"{lie} {SUBJECT} {NAME} {len(self.recording)}\n".encode() + self.recording)
            with contextlib.suppress(*CUT):
                if service is None:
                    plain.recv(1)
                else:
                    with self.shake_hands(plain, service) as session:
                        read_to_end(session)
            # The worker's end is the client's: until then its session may be over, but not its lie.
            wait_for(lambda: re.search(fate, self.log()[said:]), f"the end of the lie {lie}: {fate}")
        time.sleep(0.2)  # an answer may be on its way to the log beside the end by force
        return self.log()[said:]

    def permitted(self, first):
        """Accesses permitted to the victim since record `first`."""
        return [r for r in records(self.vault)[first:]
                if r["outcome"] == "permitted" and (r.get("service") or {}).get("name") == VICTIM]

    def record_count(self):
        return self.vault.http("GET", "/v1/status").json()["records"]


def read_to_end(session):
    whole = b""
    with contextlib.suppress(*CUT):
        while True:
            piece = session.recv(1 << 16)
            if not piece:
                break
            whole += piece
    return whole


def messages_of(recording):
    while recording:
        sender, size = struct.unpack("<BI", recording[:5])
        yield sender, recording[5:5 + size]
        recording = recording[5 + size:]


@contextlib.contextmanager
def scene_with(**instead):
    """A vault of the real programs, but for those given."""
    with programs_with(**instead) as programs, running_vault(programs=programs) as vault:
        yield Scene(vault)


@pytest.fixture(scope="module")
def lied_to():
    """The real vault, its workers taken over."""
    with scene_with(worker="vaultd-worker-liar") as scene:
        yield scene


@pytest.fixture(scope="module")
def believing():
    """The same with a gate that believes its workers."""
    with scene_with(worker="vaultd-worker-liar", gate="vaultd-gate-unchecked") as scene:
        yield scene


def assert_nothing_gained(scene, lie, said, first):
    assert "got=grant" not in said, said
    for status in re.findall(rf"lie={lie} got=answer status=(\d+)", said):
        assert int(status) in (401, 403), said
    assert scene.permitted(first) == []
    assert scene.core_pids() == scene.core, "a lying worker ended another process"


def test_what_the_liar_asks_for_is_there_for_the_victim(lied_to):
    """Control of all that follows: with the victim's own handshake the same worker, asking the same way, gets it."""
    first = lied_to.record_count()
    said = lied_to.lie("truth", VICTIM)
    assert "lie=truth got=grant key=yes" in said, said
    assert len(lied_to.permitted(first)) == 1


def test_what_the_liar_asks_for_is_not_there_for_the_attacker(lied_to):
    first = lied_to.record_count()
    said = lied_to.lie("truth", ATTACKER)
    assert "lie=truth got=answer status=403" in said, said
    assert_nothing_gained(lied_to, "truth", said, first)


# chain: the attacker shakes hands as itself, and the gate is told the victim's Certificate instead of its own
# proof: so, with the victim's CertificateVerify of another day too
# replay-fresh: the victim's whole handshake of another day, with a new signature of the server
# replay: so, with the server's signature of that day
FORGERIES = [("chain", ATTACKER, "monitor"), ("proof", ATTACKER, "monitor"), ("replay-fresh", None, "monitor"),
             ("replay", None, "gate")]


@pytest.mark.parametrize("lie, service, ended_by", FORGERIES)
def test_a_forged_handshake_gives_nothing_and_ends_the_worker(lied_to, lie, service, ended_by):
    """The gate refuses the client, or ends the worker at once; a worker that asks the monitor all the same is ended by
    it, having no identity."""
    first = lied_to.record_count()
    said = lied_to.lie(lie, service, ended_by)
    assert_nothing_gained(lied_to, lie, said, first)


@pytest.mark.parametrize("lie, service, ended_by", FORGERIES)
def test_a_gate_that_believes_is_deceived(believing, lie, service, ended_by):
    """The same attacks, without what the gate checks: they succeed, so the test above can fail."""
    first = believing.record_count()
    said = believing.lie(lie, service)
    assert f"lie={lie} got=grant key=yes" in said, said
    assert len(believing.permitted(first)) == 1


# second: after its own handshake the worker plays the victim's; second-quiet: so, without asking for a signature
@pytest.mark.parametrize("lie", ["second", "second-quiet"])
@pytest.mark.parametrize("gate", ["lied_to", "believing"])
def test_a_second_identity_is_not_taken(request, gate, lie):
    """Two layers, neither of them a matter of evidence: the gate has no handshake for a worker after its verdict, so
    also the believing gate ends the worker; and the monitor takes no second identity for a worker. The control is that
    the believing gate takes the same messages from a worker that has no identity yet (lie `replay`)."""
    scene = request.getfixturevalue(gate)
    first = scene.record_count()
    said = scene.lie(lie, ATTACKER, ended_by="gate")
    assert_nothing_gained(scene, lie, said, first)


@pytest.mark.parametrize("gate", ["lied_to", "believing"])
def test_a_worker_without_a_handshake_gets_nothing(request, gate):
    """The layer is the monitor: it has no identity for the worker from the gate, and a request has no field to claim
    one in, so there is nothing to switch off that would let it in. The control is the lie `truth`: the same request
    from the same worker with an identity gets the grant."""
    scene = request.getfixturevalue(gate)
    first = scene.record_count()
    said = scene.lie("none", ended_by="monitor")
    assert_nothing_gained(scene, "none", said, first)


@pytest.mark.parametrize("gate", ["lied_to", "believing"])
def test_a_replay_without_the_request_to_sign_ends_the_worker(request, gate):
    """The gate's order of messages, which is no matter of evidence either."""
    scene = request.getfixturevalue(gate)
    first = scene.record_count()
    said = scene.lie("replay-unsigned", ended_by="gate")
    assert_nothing_gained(scene, "replay-unsigned", said, first)


# ---- what is in which process's memory ----

def forms_of(key):
    return {"bytes": key, "hex": key.hex().encode(), "reversed": key[::-1]}


@contextlib.contextmanager
def busy(vault):
    """Several clients whose handshakes are done and who have been served."""
    with contextlib.ExitStack() as stack:
        for service in ("clinic", "research", "depositor", "auditor", "clinic"):
            connection = stack.enter_context(contextlib.closing(vault.connect(service)))
            connection.request("GET", "/v1/status")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        yield


@needs_root
def test_scan_sees_into_a_workers_memory(vault):
    """Control of the tests below: what one client has sent is in the memory of one worker, and nowhere else."""
    mark = os.urandom(16).hex()
    with contextlib.closing(vault.connect("clinic")) as connection:
        connection.connect()
        connection.sock.sendall(f"GET /v1/status HTTP/1.1\r\nX-Mark: {mark}".encode())

        def holders():
            return [name for name, pids in processes(vault).items() for pid in pids if where(pid, {"": mark.encode()})]
        found = wait_for(holders, "a process that has read what was sent")
    assert found == ["vaultd-worker"]


@needs_root
def test_only_the_gate_holds_the_servers_key(vault):
    forms = forms_of_key(vault.cert("server")[1])
    with busy(vault):
        found = {name: [where(pid, forms) for pid in pids] for name, pids in processes(vault).items()}
    assert len(found["vaultd-worker"]) >= 5
    gate = found.pop("vaultd-gate")
    assert gate[0], "control: the scan does not find the key where it is"
    assert all(not holds for each in found.values() for holds in each), found


@pytest.fixture(scope="module")
def readable():
    """A vault whose monitor cannot hide its keys in secret memory."""
    with programs_with(vaultd="vaultd-without-secret-memory") as programs, running_vault(programs=programs) as vault:
        yield vault


@needs_root
def test_only_the_monitor_holds_the_root_key_and_nobody_its_credential(readable):
    root, credential = forms_of(root_key_of(readable)), forms_of(credential_of(readable))
    with busy(readable):
        found = {name: [where(pid, root) for pid in pids] for name, pids in processes(readable).items()}
        left = {name: [where(pid, credential) for pid in pids] for name, pids in processes(readable).items()}
    monitor = found.pop("vaultd-monitor")
    assert monitor[0], "control: the scan does not find the key where it is"
    assert not any(holds for each in left.values() for holds in each), left
    assert len(found["vaultd-worker"]) >= 5
    assert all(not holds for each in found.values() for holds in each), found
