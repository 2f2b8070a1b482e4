"""Errors and deaths at the system-call boundary of the real programs, by strace's injection.

strace replaces the call at which it injects an error by another one. Its own choice, number -1, is on no process's
seccomp list and would kill; getpid is on all of them. A `retval` of 0 is only injected where it is the truth: nothing
was written. strace counts the calls of one kind of one thread."""
import collections
import pathlib
import re
import signal
import subprocess
import time

WAIT, END = 60, 10
DEATH, LIE = "KILL", "LIE "
MEMORY = {"mmap", "mremap", "brk", "mprotect", "mlock", "munlock", "madvise", "munmap", "mlockall"}
SYNC = {"fsync", "fdatasync", "msync"}
WRITES = {"write", "pwrite64", "writev", "pwritev"}
WAITS = {"epoll_wait", "epoll_pwait", "poll", "ppoll", "futex", "read", "recvfrom", "recvmsg", "sendto", "sendmsg",
         "write", "accept4", "openat", "fcntl", "waitid"}
SOCKETS = {"recvfrom", "recvmsg", "sendto", "sendmsg", "read", "write"}
# They cannot fail or do not come back; and a close that is replaced leaves open what Linux always closes.
WITHOUT_ERROR = {"close", "exit", "exit_group", "rt_sigreturn", "restart_syscall", "getpid", "gettid", "getppid",
                 "getuid", "geteuid", "getgid", "getegid", "sched_yield", "execve", "execveat"}
ATTACH_GONE = "No such process"
CALL = re.compile(r"^(?:(\d+) +)?([a-z_0-9]+)\(")


class Fault(collections.namedtuple("Fault", "process call error at")):
    """`error` at the `at`th `call` of a process: a name of errno, SHORT, or DEATH just before the call."""

    def option(self):
        if self.error.startswith(LIE):  # a control: what no honest disk does
            what = f"retval={self.error[len(LIE):]}:syscall=getpid"
        else:
            what = {DEATH: "signal=KILL", "SHORT": "retval=0:syscall=getpid"}.get(
                self.error, f"error={self.error}:syscall=getpid")
        return f"inject={self.call}:{what}:when={self.at}"

    def __str__(self):
        return f"{self.process} {self.call}#{self.at} {self.error}"


def errors_of(call):
    if call in WITHOUT_ERROR:
        return []
    if call in MEMORY:
        return ["ENOMEM"]
    if call in SYNC:
        return ["EIO", "ENOSPC"]
    errors = ["EIO", "ENOSPC"]
    errors += ["SHORT"] if call in WRITES else []
    errors += ["EINTR"] if call in WAITS else []
    return errors + (["EAGAIN"] if call in SOCKETS else [])


def faults_of(process, counts):
    return [Fault(process, call, error, at) for call, most in sorted(counts.items())
            for at in range(1, most + 1) for error in errors_of(call)]


def deaths_of(process, counts):
    return [Fault(process, call, DEATH, at) for call, most in sorted(counts.items()) for at in range(1, most + 1)]


def counts_of(log):
    """How often the busiest thread made each call."""
    threads = collections.Counter()
    for line in pathlib.Path(log).read_text(errors="replace").splitlines():
        found = CALL.match(line)
        if found:
            threads[found.groups()] += 1
    most = {}
    for (_, call), count in threads.items():
        most[call] = max(most.get(call, 0), count)
    return most


def landed(log, fault):
    """How often the fault happened: the threads of the store count for themselves."""
    text = pathlib.Path(log).read_text(errors="replace")
    if fault.error == DEATH:
        return min(1, text.count("killed by SIGKILL"))
    return text.count("(INJECTED)")


def command(log, process, fault):
    """strace for all threads of a process; of the supervisor only itself, since what it starts is another process."""
    follow = [] if process == "vaultd" else ["-f"]
    what = ["-e", "trace=all"] if fault is None else ["-e", f"trace={fault.call}", "-e", fault.option()]
    return ["strace", *follow, "-o", str(log), *what]


class Tracer:
    """strace on running processes of one kind, from `with` to its end. `pids()` lists them."""

    def __init__(self, pids, log, process, fault=None):
        self.pids, self.log, self.kind, self.fault = pids, pathlib.Path(log), process, fault

    def __enter__(self):
        deadline = time.monotonic() + WAIT
        while not self.attach(deadline):
            self.end()
        return self

    def attach(self, deadline):
        """Whether all that were listed were there to be traced: a worker may just have ended."""
        pids, said = self.pids(), self.log.with_suffix(".said")
        named = [word for pid in pids for word in ("-p", str(pid))]
        with said.open("wb") as out:
            self.process = subprocess.Popen(command(self.log, self.kind, self.fault) + named,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        while (words := said.read_text(errors="replace")).count(" attached") < len(pids):
            if ATTACH_GONE in words:
                return False
            assert self.process.poll() is None and time.monotonic() < deadline, words
            time.sleep(0.01)
        return True

    def end(self):
        """strace sometimes waits for ever for a thread of what it killed, and the supervisor then for strace."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_):
        self.end()
