"""Start-up under strace: each program of the vault is started by a script that puts strace beside it if ordered to.

The order is for one start only, so that what the supervisor starts in the place of a dead process goes without."""
import contextlib
import os
import pathlib
import shutil
import signal
import time

import injection
import scene
from vault_under_test import ROOT, is_running

PROGRAMS = ["vaultd", "vaultd-gate", "vaultd-monitor", "vaultd-store", "vaultd-worker", "vaultd-token", "vaultd-courier", "vaultd-backup", "vaultctl"]
# By itself strace blocks the signals that end it where it writes to a file (-I).
SCRIPT = """#!/bin/sh
PATH={real}:/usr/bin:/bin
[ -e {orders}/{name} ] || exec {name} "$@"
export PATH
mv {orders}/{name} {orders}/{name}.taken 2>/dev/null || exec {name} "$@"
exec strace -D -I 1 $(cat {orders}/{name}.taken) {name} "$@"
"""


def make_programs(top):
    """A folder of programs, the real ones in another, and the folder for orders, which every user may write."""
    top, built = pathlib.Path(top), ROOT / "build" / "bin"
    real, started, orders = top / "real", top / "started", top / "orders"
    for folder in (real, started, orders):
        folder.mkdir()
    orders.chmod(0o777)
    for name in PROGRAMS:
        shutil.copy2(built / name, real / name)
        script = started / name
        script.write_text(SCRIPT.format(real=real, orders=orders, name=name))
        script.chmod(0o755)
    return started, orders


def tracers(orders):
    """The pids of the straces that were ordered here."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                if words[0] == b"strace" and any(w.startswith(str(orders).encode()) for w in words):
                    yield int(entry)


def detach(orders):
    def gone():
        running = [pid for pid in tracers(orders) if is_running(pid)]
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return not running
    scene.wait_for(gone, "the end of strace")


class Start:
    """The vault is stopped, and started with a fault in one of its processes."""

    def __init__(self, world):
        self.world, self.answer = world, None
        scene.stop(world.vault)

    @contextlib.contextmanager
    def tracer(self, process, fault, log):
        orders = self.world.orders
        own = orders / "strace.log"
        own.unlink(missing_ok=True)
        self.process = process
        order = orders / process
        order.write_text(" ".join(injection.command(own, process, fault)[1:]))
        order.chmod(0o666)
        try:
            yield
        finally:
            detach(orders)
            order.unlink(missing_ok=True)
            shutil.copyfile(own, log)

    def run(self):
        """A supervisor that cannot start says so and ends; it does not wait for ever. The others it starts again."""
        started = time.monotonic()
        try:
            scene.start(self.world.vault)
        except AssertionError:
            assert self.process == "vaultd", f"the supervisor gave up over one fault of {self.process}"
            assert time.monotonic() - started < injection.WAIT, "the start came to no end"
            self.told = "no start"
            return
        self.told = scene.wait_for(self.state, "somebody answers")

    def state(self):
        """A supervisor may also be hit after the first answer, by which it counts as started: then nobody answers."""
        state = scene.seal_state(self.world.vault)
        ended = state is None and self.process == "vaultd" and not is_running(self.world.vault.pid)
        return "cut" if ended else state

    def check(self):
        """Whoever could not read the root key says so and stays sealed, until it is asked again."""
        assert self.world.read("S-fault", "kept").status == 200
