"""Keys in memory: which process holds which, that none is left where it is not needed any more, and that nobody can read
those of the monitor where the kernel has secret memory. `readable` is a vault of the real programs to which the kernel
says that it has none: what is not found in its memory is wiped, and not only hidden."""
import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import types

import pytest

import memory_scan
import scene
from memory_scan import cores, holders, needs_root
from vault_under_test import BUILT, HOSTILE, is_running, programs_with, running_vault

pytestmark = [needs_root, pytest.mark.skipif((HOSTILE / "vaultd-worker-overflow").exists(),
                                             reason="sanitizers keep copies of what a program has in memory")]
CONTENT = b"genome" * 500000


def of_monitor(keys):
    """Of all keys, those that it has as long as the vault is open."""
    return {name for name in keys if name in ("root key", "index key", "name key", "audit seed", "tally key") or
            name.startswith("kek")}


class World:
    """A vault with two patients and a file of each, whose keys are known."""

    def __init__(self, vault):
        self.vault = vault
        self.data = {}
        for subject in ("S-1", "S-2"):
            scene.add_patient(vault, subject)
            self.data[subject] = "data " + scene.deposit(vault, subject, "genome", CONTENT)["id"]

    def keys(self, root=None):
        """All keys of the vault as of now."""
        root = root or memory_scan.root_key_of(self.vault)
        ring = memory_scan.ring_keys(self.vault, root)
        return {"root key": root, "credential": memory_scan.credential_of(self.vault), **ring,
                **memory_scan.file_keys(self.vault, ring, memory_scan.index_generation(self.vault, root))}

    def pid(self, name):
        (pid,) = scene.processes(self.vault)[name]
        return pid

    @contextlib.contextmanager
    def reading(self, subject):
        """A connection on which a file was read whole; it stays open."""
        with contextlib.closing(self.vault.connect("clinic")) as connection:
            assert self.read(connection, subject) == (200, CONTENT)
            yield connection

    @staticmethod
    def read(connection, subject):
        connection.request("GET", scene.file_path(subject, "genome"), headers={"Purpose": scene.TREATMENT})
        answer = connection.getresponse()
        return answer.status, answer.read()

    @contextlib.contextmanager
    def depositing(self):
        """A connection on which a deposit has begun."""
        with contextlib.closing(self.vault.connect("depositor")) as connection:
            connection.putrequest("PUT", scene.file_path("S-1", f"part-{os.urandom(4).hex()}"))
            connection.putheader("Content-Length", str(16 << 20))
            connection.endheaders()
            connection.send(bytes(6 << 20))
            yield connection

    def holding(self, keys):
        """Who holds what; workers without their pid."""
        return {name.split()[0]: held for name, held in holders(self.vault, keys).items()}


@pytest.fixture(scope="module")
def readable():
    with programs_with(vaultd="vaultd-without-secret-memory") as programs, \
            running_vault(limits={"waiting": 1, "idle_seconds": 600}, programs=programs) as vault:
        assert vault.ctl("status")["memory"] == "locked"
        yield World(vault)


@pytest.fixture(scope="module")
def hidden():
    with running_vault(limits={"waiting": 1, "idle_seconds": 600}) as vault:
        assert vault.ctl("status")["memory"] == "secret"
        assert "memory" not in vault.http("GET", "/v1/status", cert="clinic").json(), "it is told to administrators"
        yield World(vault)


def kernel_has_secret_memory():
    memfd_secret, close_on_exec = 447, 0o2000000
    file = ctypes.CDLL(None, use_errno=True).syscall(memfd_secret, close_on_exec)
    if file >= 0:
        os.close(file)
    return file >= 0


@pytest.fixture(autouse=True)
def left_open(request):
    yield
    if "readable" in request.fixturenames:
        vault = request.getfixturevalue("readable").vault
        vault.ctl("unseal")
        assert scene.seal_state(vault) == "unsealed"


def test_each_key_is_where_it_is_used_and_nowhere_else(readable):
    keys = readable.keys()
    with readable.reading("S-1"):
        assert readable.holding(keys) == {"vaultd-monitor": of_monitor(keys), "vaultd-worker": {readable.data["S-1"]}}
        held = {name.split()[0]: names for name, names in cores(readable.vault, keys).items()}
        assert held == {"vaultd-worker": {readable.data["S-1"]}}, "locked memory is in no core"


@pytest.mark.skipif(not kernel_has_secret_memory(), reason="this kernel has none")
def test_nobody_can_read_a_key_of_the_monitor_where_there_is_secret_memory(hidden):
    keys = hidden.keys()
    with hidden.reading("S-1"):
        assert hidden.holding(keys) == {"vaultd-worker": {hidden.data["S-1"]}}
        found = [(line, content) for line, content in memory_scan.memory(hidden.pid("vaultd-monitor"))
                 if "secretmem" in line]
    assert len(found) > 100 and not any(content for _, content in found)


def test_after_a_seal_no_process_holds_a_key(readable):
    vault, keys = readable.vault, readable.keys()
    with readable.reading("S-1"), readable.depositing():
        before = memory_scan.secrets_of(readable.pid("vaultd-monitor"))
        assert readable.holding(keys) == {"vaultd-monitor": of_monitor(keys), "vaultd-worker": {readable.data["S-1"]}}
        workers = [pid for pid in scene.processes(vault)["vaultd-worker"] if has_a_client(pid)]
        assert len(workers) == 2
        vault.ctl("seal")
        assert not any(is_running(pid) for pid in workers)
        assert readable.holding(keys) == {}
        assert cores(vault, keys) == {}
    assert {name for name, key in keys.items() if key in before} == of_monitor(keys)
    others = {f"secret {i}": secret for i, secret in enumerate(sorted(before))}
    assert len(others) == len(of_monitor(keys)) + 2, "the key for tokens and the exchange key"
    left = readable.holding(others)
    assert left["vaultd-monitor"] == left["vaultd-store"] and len(left) == 2, "the key for tokens alone outlives a seal"
    assert len(left["vaultd-store"]) == 1


def has_a_client(pid):
    """A worker that waits for one has its channels alone."""
    with contextlib.suppress(FileNotFoundError):
        return len(os.listdir(f"/proc/{pid}/fd")) > 7


def test_after_a_grants_end_its_key_is_gone_and_its_worker_serves_on(readable):
    keys = readable.keys()
    with readable.reading("S-1") as connection:
        assert readable.read(connection, "S-2") == (200, CONTENT)
        both = holders(readable.vault, keys)
        (worker,) = set(both) - {"vaultd-monitor"}
        assert both[worker] == set(readable.data.values())
        readable.vault.ctl("consent", "withdraw", "S-1")
        assert holders(readable.vault, keys)[worker] == {readable.data["S-2"]}
        readable.vault.ctl("consent", "withdraw", "S-2")
        assert readable.holding(keys) == {"vaultd-monitor": of_monitor(keys)}
        assert cores(readable.vault, keys) == {}
        assert readable.read(connection, "S-2")[0] == 403, "the worker is not the same any more"
    for subject in readable.data:
        scene.give_consent(readable.vault, subject)


def test_after_a_deposit_its_key_is_gone_and_its_worker_serves_on(readable):
    mark, size, vault = os.urandom(32), 8 << 20, readable.vault
    first = bytes(5 << 20) + mark
    with contextlib.closing(vault.connect("depositor")) as connection:
        connection.putrequest("PUT", scene.file_path("S-1", "deposited"))
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        connection.send(first)
        seen = scene.wait_for(lambda: memory_with(vault, mark), "a worker that has taken what was sent")
        connection.send(bytes(size - len(first)))
        answer = connection.getresponse()
        assert answer.status == 201
        name = "data " + json.loads(answer.read())["id"]
        keys = readable.keys()
        assert name in memory_scan.Search(keys).names(seen), "control: its worker had it"
        assert readable.holding(keys) == {"vaultd-monitor": of_monitor(keys)}
        connection.request("GET", "/v1/status")
        assert connection.getresponse().status == 200, "the worker is not the same any more"


def memory_with(vault, mark):
    """The whole memory of the worker that holds this."""
    for pid in scene.processes(vault).get("vaultd-worker", []):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            whole = b"".join(content for _, content in memory_scan.memory(pid))
            if mark in whole:
                return whole


def test_after_a_rotation_of_the_root_key_the_old_one_is_nowhere(readable):
    old = {"old root key": memory_scan.root_key_of(readable.vault)}
    assert readable.holding(old) == {"vaultd-monitor": {"old root key"}}
    readable.vault.ctl("key", "rotate", "root")
    keys = readable.keys()
    assert readable.holding({**old, **keys}) == {"vaultd-monitor": of_monitor(keys)}


def test_shares_leave_neither_their_values_nor_what_they_open_behind(readable):
    vault = readable.vault
    old = {"old root key": memory_scan.root_key_of(vault)}
    folder = vault.folder / "shares"
    vault.ctl("key", "seal", "shares", "--shares", 5, "--threshold", 3, "-o", folder)
    shares = [folder / f"share-{i + 1}.txt" for i in range(5)]
    keys = {"split key": memory_scan.split_key_of(vault, shares[:3]), **old,
            **{f"share {i + 1}": memory_scan.share_value(share)[1] for i, share in enumerate(shares)}}
    assert readable.holding(keys) == {"vaultd-monitor": {"old root key"}}
    show(vault, ("key", "confirm"), shares[:2])
    assert readable.holding(keys) == {"vaultd-monitor": {"old root key", "share 1", "share 2"}}, "what was shown waits"
    show(vault, ("key", "confirm"), shares[2:3])
    root = memory_scan.root_key_behind(vault, keys["split key"])
    assert readable.holding({**keys, "root key": root}) == {"vaultd-monitor": {"root key"}}
    vault.ctl("seal")
    assert readable.holding({**keys, "root key": root}) == {}
    show(vault, ("unseal",), shares[2:5])
    assert readable.holding({**keys, "root key": root}) == {"vaultd-monitor": {"root key"}}
    assert cores(vault, {**keys, "root key": root}) == {}
    vault.ctl("key", "seal", "credential")
    assert readable.holding({**keys, "old root key": root}) == {}


def test_an_escrow_copy_leaves_nothing_that_opens_it_behind(readable):
    vault, shares = readable.vault, []
    folder = vault.folder / "escrow"
    for name in ("anna", "bo"):
        vault.ctl("share", "keys", vault.folder / name)
    vault.ctl("key", "escrow", "--shares", 2, "--threshold", 2, "--to", vault.folder / "anna.pub", "--to",
              vault.folder / "bo.pub", "-o", folder)
    for i, name in enumerate(("anna", "bo")):
        text = vault.ctl("share", "open", folder / f"share-{i + 1}.c4gh", "--with", vault.folder / f"{name}.sec", json=False)
        shares.append(folder / f"share-{i + 1}.txt")
        shares[-1].write_bytes(text)
    copy = types.SimpleNamespace(state=folder)
    split = memory_scan.split_key_of(vault, shares)
    root = memory_scan.root_key_behind(copy, split)
    ring = memory_scan.ring_keys(copy, root)
    assert ring == memory_scan.ring_keys(vault, memory_scan.root_key_of(vault)), "the copy holds what the ring does"
    keys = {"split key": split, "root key of the copy": root, "root key": memory_scan.root_key_of(vault),
            **{f"share {i + 1}": memory_scan.share_value(share)[1] for i, share in enumerate(shares)}}
    assert readable.holding(keys) == {"vaultd-monitor": {"root key"}}
    assert cores(vault, keys) == {}


def show(vault, words, shares):
    vault.ctl(*words, *[word for share in shares for word in ("--share", share)])


def test_after_a_rotation_of_the_kek_both_are_in_the_monitor_and_no_key_beneath(readable):
    """The ring keeps what it wrapped under; that no generation is retired is said in SECURITY.md."""
    vault = readable.vault
    vault.ctl("key", "rotate", "kek")
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation")
    keys = readable.keys()
    assert {"kek 1", "kek 2"} <= set(keys)
    assert readable.holding(keys) == {"vaultd-monitor": of_monitor(keys)}
    vault.ctl("seal")
    assert readable.holding(keys) == {}


@pytest.mark.parametrize("what, replaced", [("index", ("index key", "tally key")),
                                            ("audit", ("audit seed", "audit prefix", "audit scalar"))])
def test_after_a_rotation_of_the_keys_beside_the_old_ones_are_nowhere(readable, what, replaced):
    before = readable.keys()
    assert before.keys() & replaced == set(replaced)
    readable.vault.ctl("key", "rotate", what)
    scene.wait_for(lambda: readable.vault.ctl("status")["jobs"] == 0, "the end of the rotation")
    keys = readable.keys()
    assert not {before[name] for name in replaced} & set(keys.values())
    held = readable.holding({**keys, **{f"old {name}": before[name] for name in replaced}})
    assert held == {"vaultd-monitor": of_monitor(keys)}


def test_after_a_rotation_of_data_keys_neither_the_old_nor_the_new_are_anywhere(readable):
    vault, old = readable.vault, readable.keys()
    store = readable.pid("vaultd-store")
    os.kill(store, signal.SIGSTOP)  # the worker has the keys of its file, and waits for an object
    try:
        vault.ctl("key", "rotate", "data", "--no-wait")
        held = scene.wait_for(lambda: readable.holding(old).get("vaultd-worker"), "a worker with a key")
        assert len(held) == 1 and next(iter(held)).startswith("data "), "control: the key of one file"
    finally:
        os.kill(store, signal.SIGCONT)
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation")
    keys = readable.keys()
    replaced = {f"old {name}": key for name, key in old.items() if name.startswith("data ")}
    assert replaced and not set(replaced.values()) & set(keys.values())
    assert readable.holding({**keys, **replaced}) == {"vaultd-monitor": of_monitor(keys)}


# ---- dumps ----

def as_its_user(pid, *command):
    """Runs a command with the user and the rights of a process, and no others."""
    status = open(f"/proc/{pid}/status").read()
    uid = re.search(r"Uid:\t(\d+)", status).group(1)
    rights = "+ipc_lock" if int(re.search(r"CapPrm:\t(\w+)", status).group(1), 16) else "-all"
    return ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps", rights, "--ambient-caps", rights,
            *command]


def test_no_process_dumps_core_or_shows_its_memory_to_its_own_user(readable):
    for name, pids in scene.processes(readable.vault).items():
        for pid in pids:
            with contextlib.suppress(FileNotFoundError):
                limits = open(f"/proc/{pid}/limits").read()
                assert re.search(r"Max core file size +0 +0 ", limits), name
                if name == "vaultd":
                    continue
                control = subprocess.Popen(as_its_user(pid, "sleep", "60"))
                try:
                    scene.wait_for(lambda: open(f"/proc/{control.pid}/comm").read() == "sleep\n", "a process of its user")
                    assert reads_memory(pid, control.pid), "control: one's own process can be read"
                    assert not reads_memory(pid, pid), name
                finally:
                    control.kill()
                    control.wait()


def reads_memory(like, pid):
    done = subprocess.run(as_its_user(like, "head", "-c", "1", f"/proc/{pid}/environ"), capture_output=True)
    return done.returncode == 0


def test_supervisor_and_vaultctl_are_not_dumpable(readable):
    """The kernel gives what there is of a process in /proc to its user and group, and to root's where it is not dumpable: so in a
    group of their own. Control: what has not asked for it."""
    group = 4242
    within = ["setpriv", "--regid", str(group), "--clear-groups"]

    def group_of(pid):
        return os.stat(f"/proc/{pid}/environ").st_gid

    def waiting_for_input(*command):
        with subprocess.Popen([*within, *command], stdin=subprocess.PIPE, env=readable.vault.environment()) as process:
            scene.wait_for(lambda: "pipe_read" in open(f"/proc/{process.pid}/wchan").read(), "it reads its input")
            found = group_of(process.pid), open(f"/proc/{process.pid}/limits").read()
            process.kill()
        return found
    assert waiting_for_input("cat")[0] == group, "control"
    owner, limits = waiting_for_input(BUILT / "vaultctl", "consent", "set", "S-1", "-")
    assert owner == 0 and re.search(r"Max core file size +0 +0 ", limits)
    scene.stop(readable.vault)
    scene.start(readable.vault, within=within)
    try:
        assert re.search(rf"Gid:\t{group}\t{group}\t", open(f"/proc/{readable.vault.pid}/status").read()), "it is in that group"
        assert group_of(readable.vault.pid) == 0
    finally:
        scene.stop(readable.vault)
        scene.start(readable.vault)
