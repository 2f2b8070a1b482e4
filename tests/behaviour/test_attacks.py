"""An exploited worker against its walls. Each attack is seen to succeed with the walls that stop it left out, and to
fail with any one of them up. The worker is tests/hostile/puppet.c: at a moment of its client's choice it makes whatever
system call the client wants."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import pytest

from attacks import BIG_CONTENT, scene_with
from puppet import MONITOR, Ended, log
from scene import processes, wait_for
from vault_under_test import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the processes as users of their own")

MOMENTS = ("first", "handshake", "grant", "stream", "upload")
WALLS = ("seccomp", "landlock", "dumpable")
SECRET = b"the other worker's secret"
EPERM, EAGAIN, ENOMEM, EACCES, EMFILE = -1, -11, -12, -13, -24


@pytest.fixture(scope="module")
def real():
    """Every program and every wall is the real one; the clients play the workers."""
    with scene_with(worker="vaultd-worker-puppet") as scene:
        yield scene


@pytest.fixture(scope="module")
def unwalled():
    """So, with walls that the client can have left out, a supervisor that sets no limits, and the vault's own socket
    open to every user."""
    with scene_with(worker="vaultd-worker-unwalled", vaultd="vaultd-unlimited") as scene:
        os.chmod(scene.vault.socket, 0o666)
        yield scene


@pytest.fixture
def arena():
    """A folder in which any user may make files, with one that any user may read."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vault-arena-"))
    folder.chmod(0o777)
    (folder / "readable").write_text("read me")
    (folder / "readable").chmod(0o644)
    yield folder
    shutil.rmtree(folder)


# ---- the attacks: each tells whether it had its effect ----

class Target:
    """What an attack may aim at: the vault, a folder, another worker of the same uid, and that worker's client."""

    def __init__(self, scene, arena, victim):
        self.vault, self.arena, self.victim = scene.vault, arena, victim
        self.secret = victim.place(SECRET) if victim else 0


def inet(port):
    return struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + bytes(8)


def opens(p, target):
    fd = p.call("openat", -100, p.path(target.arena / "readable"), os.O_RDONLY)
    at = p.place(bytes(16))
    return fd >= 0 and p.call("read", fd, at, 16) == 7 and p.peek(at, 7) == b"read me"


def creates(p, target):
    p.call("openat", -100, p.path(target.arena / "made"), os.O_WRONLY | os.O_CREAT, 0o600)
    return (target.arena / "made").exists()


def connects(p, target):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        fd = p.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
        if fd < 0 or p.call("connect", fd, inet(listener.getsockname()[1]), 16) != 0:
            return False
        listener.accept()[0].close()
        return True


def connects_to_the_vault(p, target):
    """Its own Unix socket."""
    fd = p.call("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)
    address = struct.pack("<H", socket.AF_UNIX) + p.path(target.vault.socket)
    return fd >= 0 and p.call("connect", fd, address, len(address)) == 0


def listens(p, target):
    port = free_port()
    fd = p.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    if fd < 0 or p.call("bind", fd, inet(port), 16) != 0 or p.call("listen", fd, 1) != 0:
        return False
    socket.create_connection(("127.0.0.1", port), timeout=30).close()
    return True


def forks(p, target):
    child, at = p.call("fork"), p.place(bytes(8))
    if child <= 0 or p.call("wait4", child, at, 0, 0) != child:
        return False
    return os.waitstatus_to_exitcode(struct.unpack("<i", p.peek(at, 4))[0]) == 42


def runs_a_program(p, target):
    made = target.arena / "ran"
    words = [p.place(word) for word in (b"/bin/sh\0", b"-c\0", p.path(f"id -u > {made}"))]
    with contextlib.suppress(Ended):  # what it was is gone, if that works
        p.call("execve", words[0], p.place(struct.pack("<4Q", *words, 0)), p.place(bytes(8)))
        return False

    def fate():
        return "killed" if killed_by_the_filter(target.vault, p) else "ran" if made.exists() else None

    if wait_for(fate, "a worker that is killed, or a shell in its place") == "killed":
        raise Ended
    return bool(wait_for(made.read_text, "what the shell writes"))


def traces(p, target):
    attach = 16
    p.call("ptrace", attach, target.victim.pid, 0, 0)
    state = pathlib.Path(f"/proc/{target.victim.pid}/status").read_text()
    return f"TracerPid:\t{p.pid}\n" in state


def reads_memory(p, target):
    to = p.place(bytes(len(SECRET)))
    ours = p.place(struct.pack("<QQ", to, len(SECRET)))
    theirs = p.place(struct.pack("<QQ", target.secret, len(SECRET)))
    p.call("process_vm_readv", target.victim.pid, ours, 1, theirs, 1, 0)
    return p.peek(to, len(SECRET)) == SECRET


def reads_proc_mem(p, target):
    fd = p.call("openat", -100, p.path(f"/proc/{target.victim.pid}/mem"), os.O_RDONLY)
    to = p.place(bytes(len(SECRET)))
    return fd >= 0 and p.call("pread64", fd, to, len(SECRET), target.secret) > 0 and p.peek(to, len(SECRET)) == SECRET


def steals_a_descriptor(p, target):
    """The other worker's channel to the monitor, by way of its pidfd."""
    fd = p.call("pidfd_open", target.victim.pid, 0)
    return fd >= 0 and p.call("pidfd_getfd", fd, MONITOR, 0) >= 0


def lists_proc_fd(p, target):
    to = p.place(bytes(64))
    n = p.call("readlink", p.path(f"/proc/{target.victim.pid}/fd/{MONITOR}"), to, 64)
    return n > 0 and p.peek(to, 7) == b"socket:"


def signals(p, target):
    p.call("kill", target.victim.pid, 9)
    with contextlib.suppress(Ended):
        target.victim.call("getpid")
        return False
    return True


def sets_a_socket_option(p, target):
    """SO_PASSCRED stands for all that are not on the list."""
    at = p.place(struct.pack("<ii", 1, 4))
    p.call("setsockopt", MONITOR, socket.SOL_SOCKET, socket.SO_PASSCRED, at, 4)
    p.poke(at, bytes(4))
    asked = p.call("getsockopt", MONITOR, socket.SOL_SOCKET, socket.SO_PASSCRED, at, at + 4)
    return asked == 0 and p.peek(at, 1) == b"\1"


def sets_a_descriptor_flag(p, target):
    """F_SETOWN: signals sent by the kernel on its behalf."""
    set_owner, get_owner = 8, 9
    return p.call("fcntl", MONITOR, set_owner, p.pid) == 0 and p.call("fcntl", MONITOR, get_owner) == p.pid


def permissions(pid, at):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= at < end:
            return line.split()[1]
    return ""


def makes_memory_executable(p, target):
    at = p.call("mmap", 0, 4096, 3, 0x22, -1, 0)
    p.call("mprotect", at, 4096, 5)
    return "x" in permissions(p.pid, at)


def maps_executable_memory(p, target):
    at = p.call("mmap", 0, 4096, 7, 0x22, -1, 0)
    return at > 0 and "x" in permissions(p.pid, at)


# Which walls stop it, each of them alone.
ATTACKS = [
    (opens, ("seccomp", "landlock")), (creates, ("seccomp", "landlock")), (connects, ("seccomp", "landlock")),
    (connects_to_the_vault, ("seccomp",)), (listens, ("seccomp", "landlock")), (forks, ("seccomp",)),
    (runs_a_program, ("seccomp", "landlock")), (traces, WALLS), (reads_memory, WALLS), (reads_proc_mem, WALLS),
    (steals_a_descriptor, WALLS), (lists_proc_fd, WALLS), (signals, ("seccomp", "landlock")),
    (sets_a_socket_option, ("seccomp",)), (sets_a_descriptor_flag, ("seccomp",)),
    (makes_memory_executable, ("seccomp",)), (maps_executable_memory, ("seccomp",)),
]
LANDLOCK_SINCE = {connects: 4, listens: 4, signals: 6}  # else ABI 2, without which nothing starts
ON_OTHERS = (traces, reads_memory, reads_proc_mem, steals_a_descriptor, lists_proc_fd, signals)


# ---- the walls ----

def landlock_abi():
    create_ruleset, only_version = 444, 1
    return ctypes.CDLL(None).syscall(create_ruleset, None, 0, only_version)


def killed_by_the_filter(vault, p):
    """A filter's kill is told by the supervisor; another end of the worker is not, or otherwise."""
    return "Bad system call" in log(vault)[p.said:]


def attempt(scene, arena, attack, moment, off=()):
    """`through`: it had its effect; `refused`: the call failed, and the worker lives; `killed` by its filter."""
    with contextlib.ExitStack() as stack:
        victim = stack.enter_context(scene.puppet("first", off=off)) if attack in ON_OTHERS else None
        p = stack.enter_context(scene.at(moment, off))
        p.said = len(log(scene.vault))
        target = Target(scene, arena, victim)
        try:
            return "through" if attack(p, target) else "refused"
        except Ended:
            wait_for(lambda: killed_by_the_filter(scene.vault, p), "a worker killed by its filter: this one has ended")
            return "killed"


@pytest.mark.parametrize("attack, walls", ATTACKS)
def test_an_attack_succeeds_without_walls_and_fails_against_each_of_them(unwalled, arena, attack, walls):
    """Alone among walls that are left out, each that is named stops it; those not named do not."""
    assert attempt(unwalled, arena, attack, "first", WALLS) == "through", "control: the attack cannot succeed"
    for each in arena.iterdir():
        if each.name != "readable":
            each.unlink()
    for wall in WALLS:
        alone = attempt(unwalled, arena, attack, "first", tuple(w for w in WALLS if w != wall))
        stands = wall in walls and (wall != "landlock" or landlock_abi() >= LANDLOCK_SINCE.get(attack, 2))
        expected = "through" if not stands else "killed" if wall == "seccomp" else "refused"
        assert alone == expected, f"{wall} alone"
        for each in arena.iterdir():
            if each.name != "readable":
                each.unlink()
    unwalled.assert_serves()


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_real_walls_end_a_worker_that_tries(real, arena, moment):
    """Every attack at every moment: each ends that worker, and nobody else."""
    found = {attack.__name__: attempt(real, arena, attack, moment) for attack, _ in ATTACKS}
    assert set(found.values()) == {"killed"}, found
    assert sorted(each.name for each in arena.iterdir()) == ["readable"]
    real.assert_serves()


def test_what_a_client_gets_from_a_worker_that_does_its_work_is_whole(real):
    """Control of the moments: a worker that goes on with its work after all sends the whole file."""
    with real.at("stream") as p:
        p.go_on()
        wanted = p.before.split(b"\r\n\r\n", 1)[1]
        assert wanted + p.take(len(BIG_CONTENT) - len(wanted)) == BIG_CONTENT


# ---- users and limits ----

def test_another_uid_keeps_a_worker_from_the_other_processes(unwalled):
    """With every other wall left out: the uid is what stops it. The control asks the same as the monitor's own user."""
    (monitor,) = processes(unwalled.vault)["vaultd-monitor"]
    with unwalled.puppet("first", off=WALLS) as p:
        assert p.call("kill", monitor, 0) == EPERM
        assert p.call("openat", -100, p.path(f"/proc/{monitor}/mem"), os.O_RDONLY) == EACCES
        assert p.call("openat", -100, p.path(unwalled.vault.state / "index/data.mdb"), os.O_RDONLY) == EACCES
        assert p.call("openat", -100, p.path(unwalled.vault.folder / "root.key"), os.O_RDONLY) == EACCES
    uid = os.stat(unwalled.vault.state).st_uid
    asked = (f"import os; os.kill({monitor}, 0); "
             f"os.open({str(unwalled.vault.state / 'index/data.mdb')!r}, os.O_RDONLY)")
    subprocess.run([sys.executable, "-c", asked], user=uid, group=uid, check=True)


def test_the_mode_of_the_vaults_socket_keeps_a_worker_out(unwalled, arena):
    """With every wall left out. The control is among the attacks above, for which the socket is open to every user."""
    os.chmod(unwalled.vault.socket, 0o660)
    try:
        assert attempt(unwalled, arena, connects_to_the_vault, "first", WALLS) == "refused"
    finally:
        os.chmod(unwalled.vault.socket, 0o666)


def fill_descriptors(p):
    """How many more it can have."""
    return p.repeat(500, ("fcntl", MONITOR, 1030, 0))  # F_DUPFD_CLOEXEC


def test_a_worker_cannot_take_more_descriptors_than_it_is_given(real, unwalled):
    with real.puppet() as p:
        made, last = fill_descriptors(p)
        assert (made < 64, last) == (True, EMFILE)
    with unwalled.puppet("first") as p:
        assert fill_descriptors(p)[0] == 500, "control: without the limit it can"
    real.assert_serves()


def fill_memory(p, kind):
    """How many pieces of 16 MiB it can map, 44 at the most; all of them are locked, and so touched."""
    for n in range(44):
        if (last := p.call("mmap", 0, 16 << 20, 3, kind, -1, 0)) < 0:
            return n, last
    return 44, last


@pytest.mark.parametrize("kind", [0x22, 0x21], ids=["private", "shared"])
def test_a_worker_cannot_take_more_memory_than_it_is_given(real, unwalled, kind):
    with real.puppet() as p:
        made, last = fill_memory(p, kind)
        assert made <= 4 and last in (EAGAIN, ENOMEM), (made, last)
    with unwalled.puppet("first", off=("memory",)) as p:
        assert fill_memory(p, kind)[0] == 44, "control: without the limit it can"
    real.assert_serves()
