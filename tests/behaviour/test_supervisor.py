"""vaultd: births, clients, deaths and the ordinary end.

`Doubles` runs with stand-ins for the children (supervisor_double), which do on request what a real one never should.
`Real` starts a throw-away vault with scripts/dev-vault and checks what does not depend on a stand-in.
VAULT_BIN names the folder of the built programs (build/bin).
"""
import contextlib
import json
import ctypes
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from sanitizers import report_in
from vault_under_test import own_port

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("VAULT_BIN", os.path.join(SOURCE, "build", "bin"))
ROOT = os.geteuid() == 0
USERS = {"gate": 64101, "monitor": 64102, "store": 64103, "worker": 64104, "token": 64105}


IPC_LOCK = 1 << 14  # kept where the limit of locked memory cannot be raised
PATIENCE = 60  # seconds for what must happen, on a machine that does much else


def rights(status):
    """The effective capabilities in /proc/PID/status; all bits of a child's but IPC_LOCK are to be zero."""
    found = int(re.search(r"CapEff:\t([0-9a-f]+)", status).group(1), 16)
    return found if found & ~IPC_LOCK == 0 else found | (1 << 62)


def wait_until(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("not in time: " + what)


def children(pid):
    """Names and pids of the living children of a process."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                name, rest = re.match(r"\d+ \((.*)\) (.*)", f.read()).groups()
            with open(f"/proc/{entry}/cmdline") as f:
                command = f.read().split("\0")[0]
        except (OSError, AttributeError):
            continue
        state, parent = rest.split()[:2]
        if int(parent) == pid and state != "Z" and command.startswith("vaultd-"):
            found.setdefault(command[len("vaultd-"):], []).append(int(entry))
    return found


def status_of(pid):
    """/proc/PID/status; None if the process is gone, as a worker may be at any time: it ends with its client."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def works(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


MAY_BE_REAL_TIME = works("chrt", "--rr", "1", "true")
MAY_RAISE_LIMITS = works("prlimit", "--rtprio=1", "true")


class Doubles(unittest.TestCase):
    limits = {"workers": 8, "waiting": 2, "unix_slots": 2, "per_address": 4, "drain_seconds": 1}

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="vault-supervisor-")
        os.chmod(self.dir, 0o755)
        self.programs = os.path.join(self.dir, "programs")
        os.mkdir(self.programs)
        for name in USERS:
            shutil.copy(os.path.join(BIN, "supervisor_double"), os.path.join(self.programs, "vaultd-" + name))
        for name, user in (("state", "monitor"), ("twin", "monitor"), ("objects", "store")):
            os.mkdir(os.path.join(self.dir, name), 0o700)
            if ROOT:
                os.chown(os.path.join(self.dir, name), USERS[user], USERS[user])
        for name in ("server.pem", "server.key", "ca.pem", "crl.pem", "root.key"):
            self.write(name, "x\n")
        os.chmod(self.path("server.key"), 0o600)
        os.chmod(self.path("root.key"), 0o600)
        self.port = own_port()
        self.process = None
        self.notify = None

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stop_listening()
        report = report_in(self.log()) if self.process else None
        shutil.rmtree(self.dir)
        self.assertIsNone(report, "a sanitizer's report in the log")

    def stop_listening(self):
        if self.notify:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.sendto(b"", self.path("notify"))
            self.notify.close()
            os.unlink(self.path("notify"))
            self.notify = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def configure(self, extra="", listen=True):
        limits = ", ".join(f"{k}: {v}" for k, v in self.limits.items())
        users = ", ".join(f"{k}: {v}" for k, v in USERS.items())
        d = self.dir
        self.write("vaultd.yaml", "mode: dev\norigin: test.example/vault\n"
                   + (f'listen: "127.0.0.1:{self.port}"\n' if listen else "")
                   + f"socket: {d}/vaultd.sock\nstate: {d}/state\nobjects: {d}/objects\n"
                   f"keyring_twin: {d}/twin/keyring\nprograms: {self.programs}\n"
                   f"tls: {{certificate: {d}/server.pem, key: {d}/server.key, clients: {d}/ca.pem, "
                   f"revocations: {d}/crl.pem}}\nroot_key: {{file: {d}/root.key}}\n"
                   f"limits: {{{limits}}}\n" + (f"users: {{{users}}}\n" if ROOT else "") + extra)

    def start(self, wait=True, before=(), **environment):
        self.log_path = self.path("log")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path("notify"))
        self.told = []
        threading.Thread(target=self.listen_to_notices, args=(self.notify, self.told), daemon=True).start()
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [*before, os.path.join(BIN, "vaultd"), "--config", self.path("vaultd.yaml")], stderr=log, stdout=log,
                env={**os.environ, "NOTIFY_SOCKET": self.path("notify"), **environment},
                extra_groups=[64199] if ROOT else None)
        if wait:
            self.wait_told("READY=1")

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    @staticmethod
    def listen_to_notices(notify, told):
        while True:
            try:
                told.append(notify.recv(4096).decode())
            except OSError:
                return
            if told[-1] == "":
                return

    def wait_told(self, text):
        try:
            wait_until(lambda: any(text in line for line in self.told), text)
        except AssertionError:
            raise AssertionError(f"never told {text}: {self.told}\n{self.log()}")

    def wait_log(self, text, count=1, seconds=PATIENCE):
        try:
            wait_until(lambda: self.log().count(text) >= count, text, seconds)
        except AssertionError:
            raise AssertionError(f"{count} times '{text}' not in the log:\n{self.log()}")

    def connect(self, unix=False):
        if unix:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            s.connect(self.path("vaultd.sock"))
        else:
            s = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.addCleanup(s.close)
        return s

    def greeted(self, unix=False):
        s = self.connect(unix)
        line = b""
        while not line.endswith(b"\n"):
            got = s.recv(1)
            self.assertTrue(got, "closed instead of a greeting:\n" + self.log())
            line += got
        return s, line.decode()

    def wait_workers(self, serving):
        """Until so many serve and the others wait: then none is being born, between its fork and its own program,
        where it still holds what the supervisor listens to."""
        count = serving + self.limits["waiting"]
        wait_until(lambda: len(children(self.process.pid).get("worker", [])) == count, f"{count} workers")

    def test_clients_get_a_worker_of_their_own(self):
        self.configure()
        self.start()
        first, hello = self.greeted()
        self.assertEqual(hello, "hello kind=1 address=127.0.0.1 head=15000\n")
        _, hello = self.greeted(unix=True)
        self.assertEqual(hello, f"hello kind=2 address=unix:{os.getuid()} head=15000\n")
        self.wait_workers(serving=2)
        first.close()
        self.wait_workers(serving=1)
        self.wait_log("credential: fds=1 problem=")

    def test_children_get_their_user_and_nothing_else(self):
        self.configure()
        self.start(SECRET_OF_THE_PARENT="1")
        s, _ = self.greeted(unix=True)
        s.send(b"describe")
        said = dict(f.split("=") for f in s.recv(1000).decode().split())
        self.assertEqual(said["fds"], "0,1,2,3,4,5,6,")
        self.assertEqual((said["environment"], said["core"], said["nnp"], said["death"]), ("0", "0", "1", "9"))
        if ROOT:
            self.assertEqual((said["uid"], said["gid"]), ("64104", "64104"))
            _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
            self.assertIn(said["locked"], (str(512 << 20), str(most)))
            users = {name: os.stat(f"/proc/{pids[0]}").st_uid for name, pids in children(self.process.pid).items()}
            for name in ("gate", "monitor", "store"):
                with open(f"/proc/{children(self.process.pid)[name][0]}/status") as f:
                    status = f.read()
                self.assertIn(f"Uid:\t{USERS[name]}\t{USERS[name]}\t{USERS[name]}", status, users)
                self.assertRegex(status, r"Groups:\s*\n")
                self.assertLessEqual(rights(status), IPC_LOCK)

    def policies(self):
        """Of each process: how the kernel gives it a processor."""
        started = {name: os.sched_getscheduler(pids[0]) for name, pids in children(self.process.pid).items()}
        return {"supervisor": os.sched_getscheduler(self.process.pid), **started}

    @unittest.skipUnless(MAY_BE_REAL_TIME, "nobody here may give a process a real-time policy")
    def test_the_monitor_alone_has_a_real_time_policy_and_nobody_else_may_take_one(self):
        self.configure()
        self.start()
        self.wait_workers(serving=0)
        found = self.policies()
        self.assertEqual(found.pop("monitor"), os.SCHED_RR)
        self.assertEqual(set(found.values()), {os.SCHED_OTHER})
        for name, pids in children(self.process.pid).items():
            with open(f"/proc/{pids[0]}/limits") as limits:
                self.assertRegex(limits.read(), r"Max realtime priority +0 +0 ", name)

    def monitor_without_sys_nice(self, limit):
        self.configure()
        self.start(before=["prlimit", f"--rtprio={limit}", "setpriv", "--bounding-set", "-sys_nice"])
        return self.policies()["monitor"], "the monitor gets no real-time policy (LimitRTPRIO=1 permits it)" in self.log()

    @unittest.skipUnless(ROOT, "only root has rights to give up")
    def test_a_monitor_without_a_real_time_policy_is_told_of(self):
        self.assertEqual(self.monitor_without_sys_nice(0), (os.SCHED_OTHER, True))

    @unittest.skipUnless(MAY_RAISE_LIMITS, "nobody here may raise a limit")
    def test_the_limit_of_the_service_unit_is_enough_for_it(self):
        self.assertEqual(self.monitor_without_sys_nice(1), (os.SCHED_RR, False))

    @unittest.skipUnless(ROOT, "only root has rights to give up")
    def test_too_little_locked_memory_is_told_before_anything_starts(self):
        self.configure()
        for rights, options, status in (("-ipc_lock,-sys_resource", [], 78), ("-ipc_lock,-sys_resource", ["--check"], 78),
                                        ("-sys_resource", ["--check"], 0)):
            run = subprocess.run(["prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set", rights,
                                  os.path.join(BIN, "vaultd"), "--config", self.path("vaultd.yaml"), *options],
                                 capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(run.returncode, status, run.stderr)
            told = "a process may lock 64 KiB of memory, and 524288 KiB are needed: set LimitMEMLOCK=512M"
            self.assertEqual(told in run.stderr, status == 78, run.stderr)
            self.assertFalse(os.path.exists(self.path("vaultd.sock")))

    def with_token(self, pin, seconds=1):
        """A vault whose monitor wants a token three times, the third time as if somebody had asked."""
        self.write("pin", pin)
        os.chmod(self.path("pin"), 0o600)
        self.write("module.so", "")
        self.configure(f"token: {{module: {self.dir}/module.so, uri: \"pkcs11:object=o\", seconds: {seconds}, "
                       f"pin: {{file: {self.dir}/pin}}, environment: [A=b]}}\n")
        self.start()

    def test_token_gets_its_setup_and_a_channel_to_the_monitor(self):
        self.with_token("good", seconds=30)
        uid = USERS["token"] if ROOT else os.getuid()
        self.wait_log(f"double: token: module={self.dir}/module.so uri=pkcs11:object=o uid={uid} variable=A=b", 3)
        for number in (1, 2, 3):
            self.wait_log(f"double: token {number}: fds=1 rule=")
            self.wait_log(f"double: token {number} says: 7391")
            self.wait_log(f"double: token {number} gone: rule=\n")
        self.assertNotIn("token", children(self.process.pid))

    def test_token_that_hangs_is_ended_when_its_time_is_over(self):
        self.with_token("hang")
        for number in (1, 2, 3):
            self.wait_log(f"double: token {number} gone: rule=token-timeout")
        wait_until(lambda: "token" not in children(self.process.pid), "no process for the token")
        self.greeted()

    def test_token_that_crashes_is_told(self):
        self.with_token("crash", seconds=30)
        for number in (1, 2, 3):
            self.wait_log(f"double: token {number} gone: rule=token-crashed")

    def test_pin_that_was_refused_is_not_tried_again_unasked(self):
        self.with_token("refused", seconds=30)
        self.wait_log("double: token 1 gone: rule=\n")
        self.wait_log("double: token 2: fds=0 rule=token-pin-not-tried")
        self.wait_log("double: token 3: fds=1 rule=")
        self.wait_log("double: token: module=", 2)
        self.assertEqual(self.log().count("double: token: module="), 2)

    def test_token_with_a_pin_that_others_may_read_is_not_started(self):
        self.write("pin", "good")
        self.with_token("good")
        os.chmod(self.path("pin"), 0o644)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.stop_listening()
        self.start()
        self.wait_log("double: token 3: fds=0 rule=token-pin-unreadable")
        self.assertNotIn("double: token: module=", self.log())

    def test_end_of_the_service_waits_for_the_token_and_no_longer_than_its_time(self):
        self.with_token("hang", seconds=4)
        wait_until(lambda: "token" in children(self.process.pid), "a token")
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(PATIENCE), 0)
        self.assertLess(time.monotonic() - begun, 30)

    def test_core_child_that_dies_comes_back_with_the_others(self):
        self.configure()
        self.start()
        for name in ("gate", "monitor", "store"):
            client, _ = self.greeted(unix=True)
            before = children(self.process.pid)
            os.kill(before[name][0], signal.SIGKILL)
            self.assertIn(client.recv(1), (b"",))
            wait_until(lambda: self.all_are_new(before), "a new gate, monitor, store and two new workers")
            self.greeted()
        self.assertIsNone(self.process.poll())
        self.wait_log("stay_sealed=1", 3)

    def all_are_new(self, before):
        """While the old workers are ended there are two of them at some moment, too."""
        after = children(self.process.pid)
        return len(after.get("worker", [])) == 2 and not any(
            set(pids) & set(after.get(name, pids)) for name, pids in before.items())

    def test_crash_loop_ends_the_service(self):
        self.configure()
        self.write("server.pem", "crash\n")
        self.start(wait=False)
        self.assertEqual(self.process.wait(PATIENCE), 1)
        self.assertEqual(self.log().count("died: process=gate"), 6)
        self.assertIn("gave-up", self.log())

    def test_disk_fault_waits_and_goes_on(self):
        self.configure()
        self.write("server.pem", "disk fault\n")
        self.start(wait=False)
        self.wait_log("after_ms=1000")
        self.wait_log("after_ms=2000")
        self.write("server.pem", "well\n")
        self.wait_told("READY=1")
        self.greeted()

    def test_worker_crash_resets_its_client_only(self):
        self.configure()
        self.start()
        bystander, _ = self.greeted()
        for _ in range(8):
            s, _ = self.greeted()
            s.send(b"crash")
            with self.assertRaises(ConnectionResetError):
                s.recv(1)
        self.wait_log("crashes_total=8")
        bystander.send(b"describe")
        self.assertIn(b"uid=", bystander.recv(1000))

    def test_ordinary_ends_of_workers_are_no_crash(self):
        self.configure()
        self.start()
        for order in (b"exit", b"timeout"):
            s, _ = self.greeted(unix=True)
            s.send(order)
            self.assertEqual(s.recv(1), b"")
        self.assertNotIn("crash", self.log())
        s, _ = self.greeted(unix=True)
        s.send(b"misbehave")
        self.assertEqual(s.recv(1), b"")
        self.wait_log("how=2")
        self.assertNotIn("crash", self.log())

    def slow_client(self):
        """One that does not read, with little room for what it is sent."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(PATIENCE)
        s.connect(("127.0.0.1", self.port))
        return s

    def assert_reset(self, s):
        received = 0
        with self.assertRaises(ConnectionResetError):
            while True:
                got = s.recv(65536)
                self.assertTrue(got, "an orderly end instead of a reset")
                received += len(got)
        self.assertLess(received, 400000)

    def test_revocation_throws_away_what_the_kernel_still_holds(self):
        self.configure()
        self.start()
        s = self.slow_client()
        s.send(b"revoke")
        self.wait_log("how=1")
        self.assert_reset(s)

    def test_a_worker_cannot_take_the_reset_back(self):
        self.configure()
        self.start()
        for n in range(1, 16):  # each time it may miss the moment between the reset and its death
            s = self.slow_client()
            s.send(b"undo reset")
            self.wait_log("how=1", n)
            self.assert_reset(s)

    @unittest.skipUnless(ROOT, "only root takes a descriptor of another process")
    def test_a_reset_does_not_wait_for_whoever_else_has_the_socket(self):
        """A process that is being born has a copy of all that the supervisor has, until it executes its program."""
        self.configure()
        self.start()
        s = self.slow_client()
        s.send(b"fill")
        self.wait_log("double: filled")
        kept = self.copy_of_the_other_end(s)
        self.addCleanup(os.close, kept)
        s.send(b"revoke")
        self.wait_log("how=1")
        self.assert_reset(s)

    def copy_of_the_other_end(self, s):
        ends = [f":{s.getpeername()[1]:04X}", f":{s.getsockname()[1]:04X}"]  # its own, and ours
        with open("/proc/net/tcp") as f:
            lines = [line.split() for line in f.readlines()[1:]]
        [inode] = [line[9] for line in lines if [line[1][-5:], line[2][-5:]] == ends and line[9] != "0"]
        pid = self.process.pid
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # it may close some meanwhile
                if os.readlink(f"/proc/{pid}/fd/{fd}") != f"socket:[{inode}]":
                    continue
                pidfd = os.pidfd_open(pid)
                try:
                    return ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, int(fd), 0)  # pidfd_getfd
                finally:
                    os.close(pidfd)
        self.fail("the supervisor has no copy of the client's socket")

    def test_a_worker_cannot_make_the_supervisor_linger(self):
        self.configure()
        self.start()
        s = self.slow_client()
        s.send(b"linger")
        self.wait_log("how=0")  # told after the close, which the double would have last an hour
        self.greeted()
        received = 0
        while got := s.recv(65536):
            received += len(got)
        self.assertGreater(received, 65536, "control: there was something to linger for")

    def test_limits_hold(self):
        self.limits = {**self.limits, "workers": 5, "unix_slots": 2, "per_address": 2}
        self.configure()
        self.start()
        kept = [self.greeted()[0], self.greeted()[0]]
        with self.assertRaises(ConnectionResetError):
            self.connect().recv(1)
        kept += [self.greeted(unix=True)[0] for _ in range(3)]
        late = self.connect(unix=True)
        late.settimeout(0.5)
        with self.assertRaises(socket.timeout):
            late.recv(1)
        kept[0].close()
        late.settimeout(PATIENCE)
        self.assertEqual(late.recv(5), b"hello")

    def test_slots_are_kept_for_the_administrator(self):
        self.limits = {**self.limits, "workers": 3, "unix_slots": 1, "per_address": 8}
        self.configure()
        self.start()
        kept = [self.greeted()[0], self.greeted()[0]]
        late = self.connect()
        late.settimeout(0.5)
        with self.assertRaises(socket.timeout):
            late.recv(1)
        self.greeted(unix=True)
        kept[0].close()
        late.settimeout(PATIENCE)
        self.assertEqual(late.recv(5), b"hello")

    def test_terminate_drains(self):
        self.limits = {**self.limits, "drain_seconds": 600}
        self.configure()
        self.start()
        s, _ = self.greeted()
        self.wait_workers(serving=1)
        self.process.send_signal(signal.SIGTERM)
        self.wait_told("STOPPING=1")
        wait_until(lambda: not os.path.exists(self.path("vaultd.sock")), "the Unix socket removed")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        s.send(b"describe")
        self.assertIn(b"uid=", s.recv(1000))
        self.assertIsNone(self.process.poll())
        s.close()
        self.assertEqual(self.process.wait(PATIENCE), 0)
        self.assertEqual(children(self.process.pid), {})

    def test_drain_does_not_wait_for_ever(self):
        self.configure()
        self.start()
        s, _ = self.greeted()
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(PATIENCE), 0)
        with self.assertRaises(ConnectionResetError):
            s.recv(1)

    def test_children_die_with_the_supervisor(self):
        self.configure()
        self.start()
        self.greeted()
        self.wait_workers(serving=1)
        pids = [pid for group in children(self.process.pid).values() for pid in group]
        self.assertGreaterEqual(len(pids), 5)
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") and alive(pid) for pid in pids), "all dead")

    def test_service_manager_is_told(self):
        self.configure()
        self.start(WATCHDOG_USEC="400000")
        self.wait_told("STATUS=serving; sealed; 0 clients")
        self.wait_told("WATCHDOG=1")
        self.process.send_signal(signal.SIGHUP)
        self.wait_told("RELOADING=1")
        self.wait_log("trust renewed: fds=2")

    def test_new_revocation_list_reaches_the_gate(self):
        self.configure()
        self.start()
        self.assertNotIn("trust renewed", self.log())
        self.write("new", "y\n")
        os.rename(self.path("new"), self.path("crl.pem"))
        self.wait_log("trust renewed: fds=2")
        os.unlink(self.path("ca.pem"))
        self.wait_log("not renewed")
        self.write("ca.pem", "z\n")
        self.wait_log("trust renewed: fds=2", 2)

    def test_new_certificate_reaches_the_gate_and_waiting_workers_are_replaced(self):
        self.configure()
        self.start()
        serving, _ = self.greeted()
        wait_until(lambda: len(children(self.process.pid).get("worker", [])) == 3, "one worker serves, two wait")
        before = set(children(self.process.pid)["worker"])
        self.write("new", "y\n")
        os.rename(self.path("new"), self.path("server.pem"))
        self.wait_log("certificate renewed: fds=2")
        wait_until(lambda: len(set(children(self.process.pid).get("worker", [])) & before) == 1 and
                   len(children(self.process.pid)["worker"]) == 3, "two new workers that wait")
        serving.send(b"describe")
        self.assertTrue(serving.recv(1000), "the client's worker goes on")
        os.chmod(self.path("server.key"), 0o644)
        self.wait_log("certificate: not renewed: ")
        self.assertNotIn("trust renewed", self.log())

    def test_sockets_of_the_service_manager_are_taken(self):
        self.configure(listen=False)
        self.start(wait=False, before=["systemd-socket-activate", "--fdname=tls:admin", "-l",
                                       f"127.0.0.1:{self.port}", "-l", self.path("passed.sock"), "-E", "NOTIFY_SOCKET"])
        wait_until(lambda: os.path.exists(self.path("passed.sock")), "systemd-socket-activate")
        _, hello = self.greeted()
        self.assertIn("kind=1", hello)
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.connect(self.path("passed.sock"))
        self.assertEqual(s.recv(12), b"hello kind=2")
        self.assertFalse(os.path.exists(self.path("vaultd.sock")))

    def test_second_vaultd_is_refused_and_a_stale_socket_is_not(self):
        self.configure()
        self.start()
        run = subprocess.run([os.path.join(BIN, "vaultd"), "--config", self.path("vaultd.yaml")], capture_output=True,
                             text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 1)
        self.assertIn("listen: ", run.stderr)
        self.greeted(unix=True)
        self.wait_workers(serving=1)
        self.process.kill()
        self.process.wait()
        self.assertTrue(os.path.exists(self.path("vaultd.sock")))
        self.stop_listening()
        self.start()
        self.greeted(unix=True)
        self.assertEqual(os.stat(self.path("vaultd.sock")).st_mode & 0o777, 0o660)

    def check(self):
        return subprocess.run([os.path.join(BIN, "vaultd"), "--config", self.path("vaultd.yaml"), "--check"],
                              capture_output=True, text=True, timeout=PATIENCE)

    def test_bad_configuration_is_named(self):
        self.configure()
        run = self.check()
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        os.chmod(self.path("root.key"), 0o644)
        run = self.check()
        self.assertEqual(run.returncode, 0)
        self.assertIn("would start sealed", run.stderr)
        self.configure("lisen: x\n")
        run = self.check()
        self.assertEqual(run.returncode, 78)
        self.assertRegex(run.stderr, r"vaultd\.yaml: line \d+, column \d+: .*lisen")
        self.configure()
        os.chmod(self.path("server.key"), 0o640)
        run = self.check()
        self.assertEqual(run.returncode, 78)
        self.assertIn("tls.key", run.stderr)
        self.assertIn("0600", run.stderr)
        os.chmod(self.path("server.key"), 0o600)
        os.unlink(self.path("crl.pem"))
        self.assertIn("tls.revocations", self.check().stderr)
        self.write("crl.pem", "x")
        os.rmdir(self.path("objects"))
        self.assertIn("objects", self.check().stderr)
        if ROOT:
            os.mkdir(self.path("objects"), 0o700)
            self.assertIn("does not belong", self.check().stderr)

    def test_answer_that_nobody_gets_is_a_failure(self):
        self.configure()
        for arguments in (["--help"], ["--version"], ["--config", self.path("vaultd.yaml"), "--check"]):
            with open("/dev/full", "w") as full:
                run = subprocess.run([os.path.join(BIN, "vaultd"), *arguments], stdout=full, stderr=subprocess.PIPE,
                                     text=True, timeout=PATIENCE)
            self.assertEqual(run.returncode, 1, arguments)
            self.assertIn("standard output", run.stderr)

    def test_journal_gets_events_only_where_the_log_is_its_stream(self):
        self.configure()
        self.write("log", "")
        log = os.stat(self.path("log"))
        for inode, in_the_log in ((log.st_ino, False), (log.st_ino + 1, True)):
            self.start(JOURNAL_STREAM=f"{log.st_dev}:{inode}")
            gate = children(self.process.pid)["gate"]
            os.kill(gate[0], signal.SIGABRT)
            wait_until(lambda: children(self.process.pid).get("gate", gate) != gate, "a new gate")
            self.assertEqual("died: process=gate" in self.log(), in_the_log, self.log())
            self.process.terminate()
            self.process.wait()
            self.stop_listening()

    def test_root_key_open_to_others_is_not_given_out(self):
        self.configure()
        os.chmod(self.path("root.key"), 0o604)
        self.start()
        self.wait_log("credential: fds=0 problem=")
        self.assertIn("is open to group or others", self.log())

    def test_wrong_usage_is_said(self):
        for arguments in ([], ["--config"], ["--nonsense"], ["--config", "x", "y"]):
            run = subprocess.run([os.path.join(BIN, "vaultd"), *arguments], capture_output=True, text=True)
            self.assertEqual(run.returncode, 2)
            self.assertIn("Usage", run.stderr)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Real(unittest.TestCase):
    """A throw-away vault with its real children."""

    def setUp(self):
        missing = [n for n in ("vaultd-gate", "vaultd-monitor", "vaultd-store", "vaultd-worker", "vaultd-token", "vaultd-courier", "vaultd-backup", "vaultctl")
                   if not os.path.exists(os.path.join(BIN, n))]
        self.assertEqual(missing, [], "not built")
        self.dir = tempfile.mkdtemp(prefix="vault-real-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.port = own_port()
        subprocess.run([os.path.join(SOURCE, "scripts", "dev-vault"), self.dir, str(self.port)], check=True,
                       stdout=subprocess.DEVNULL, timeout=300)
        self.addCleanup(self.look_into_log)
        self.addCleanup(subprocess.run, [os.path.join(SOURCE, "scripts", "dev-vault"), "--stop", self.dir])
        with open(os.path.join(self.dir, "pid")) as f:
            self.pid = int(f.read())

    def look_into_log(self):
        with open(os.path.join(self.dir, "vaultd.log"), errors="replace") as log:
            self.assertIsNone(report_in(log.read()), "a sanitizer's report in the log")

    def ctl(self, *arguments):
        return subprocess.run([os.path.join(BIN, "vaultctl"), "--socket", os.path.join(self.dir, "vaultd.sock"),
                               *arguments], capture_output=True, text=True, timeout=2 * PATIENCE)

    def serves(self):
        return self.ctl("status").returncode == 0 and "unsealed" in self.ctl("status").stdout

    def test_status_tells_the_version_of_the_programs(self):
        version = subprocess.run([os.path.join(BIN, "vaultd"), "--version"], capture_output=True, text=True).stdout
        self.assertEqual(version, f"vaultd {json.loads(self.ctl('status', '--json').stdout)['version']}\n")

    def test_each_core_child_comes_back(self):
        for name in ("gate", "monitor", "store"):
            wait_until(self.serves, "unsealed and serving")
            before = children(self.pid)[name][0]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda: children(self.pid).get(name, [before])[0] != before, name + " started again")
        wait_until(self.serves, "unsealed and serving")

    def test_killed_workers_are_replaced(self):
        for _ in range(3):
            wait_until(self.kill_workers, "a worker to kill")
            wait_until(self.serves, "serving")

    def kill_workers(self):
        """How many were killed: one that has served its client ends by itself, and may be gone by then."""
        killed = 0
        for pid in children(self.pid).get("worker", []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed

    def test_vault_sealed_by_command_stays_sealed(self):
        self.assertEqual(self.ctl("seal").returncode, 0)
        before = children(self.pid)["monitor"][0]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: children(self.pid).get("monitor", [before])[0] != before, "monitor started again")
        wait_until(lambda: self.ctl("status").returncode == 0, "serving")
        self.assertIn("sealed", self.ctl("status").stdout)
        self.assertNotIn("unsealed", self.ctl("status").stdout)
        self.assertEqual(self.ctl("unseal").returncode, 0)
        wait_until(self.serves, "unsealed")

    def test_terminate_ends_everything(self):
        pids = [p for group in children(self.pid).values() for p in group]
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: not any(alive(p) for p in [*pids, self.pid]), "all ended")
        with open(os.path.join(self.dir, "vaultd.log")) as f:
            self.assertIn("ended: process=store exited with status 0", f.read())

    def test_every_child_is_confined(self):
        seen = set()
        for name, pids in children(self.pid).items():
            for pid in pids:
                status = self.settled_status(pid)
                if status is None:
                    continue
                seen.add(name)
                self.assertIn("Seccomp:\t2", status, name)
                self.assertIn("NoNewPrivs:\t1", status, name)
                if ROOT:
                    self.assertLessEqual(rights(status), IPC_LOCK, name)
        self.assertEqual(seen, set(USERS) - {"token"})  # that one is there for a task only: test_token.py

    def settled_status(self, pid):
        """That of a process which waits for its work, as one does that was born a moment ago, before it shuts itself
        in; None if it is gone."""
        def settled():
            status = status_of(pid)
            return status is None or "Seccomp:\t2" in status
        with contextlib.suppress(AssertionError):  # the caller says what is wrong
            wait_until(settled, "its walls")
        return status_of(pid)


if __name__ == "__main__":
    unittest.main()
