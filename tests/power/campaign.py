"""A day recorded, its power cut at every moment, and each disk that may be left started again."""
import collections
import contextlib
import dataclasses
import functools
import random
import subprocess
import sys
import time

import scene
from power import claims, disk, states, workload
from vault_under_test import free_port


@dataclasses.dataclass
class Recording:
    kind: str
    base: disk.Image
    epochs: list
    day: workload.Day

    def required(self, number):
        """What was acknowledged before the end of this epoch, and so must be on every disk that it may leave."""
        until = self.epochs[number].until
        return [p for p in self.day.promises if until is None or p.at < until]

    def epoch_of(self, promise):
        """In which the answer reached its client."""
        return next((n for n, e in enumerate(self.epochs) if e.until is None or e.until > promise.at))


# ---- recording ----

@contextlib.contextmanager
def without_sync(vault, programs):
    """These programs of the vault get told that their syncs are done, and nothing is done. (Not what is opened with
    O_DSYNC, as the last page of a transaction is.)"""
    tracers = []
    try:
        for pid in [p for name in programs for p in scene.processes(vault)[name]]:
            fake = "fsync,fdatasync:retval=0:syscall=getpid"
            tracers.append(subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e",
                                             "trace=fsync,fdatasync", "-e", f"inject={fake}"]))
            scene.wait_for(lambda: traced(pid), "strace is attached")
        yield
    finally:
        for tracer in tracers:
            tracer.terminate()
            tracer.wait(timeout=60)


def traced(pid):
    with open(f"/proc/{pid}/status") as f:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in f)


def prepare(kind, top, before):
    """An image with an initialised vault that was stopped cleanly."""
    image = top / "image"
    disk.make_image(kind, image)
    with disk.mounted(kind, image, top / "disk") as point:
        (point / "v").mkdir()
        try:
            scene.dev_vault(top, point / "v", free_port())
        finally:
            claims.end(point / "v")
        if before is not None:
            before(point / "v")
    return image


def record(kind, script, seed, top, no_sync=(), started=claims.started, before=None):
    """`before` is done to the vault's folder first."""
    image, log = prepare(kind, top, before), top / "log"
    base = disk.Image.read(image)
    with disk.recorded(kind, image, log, top) as point:
        with started(point / "v") as vault, without_sync(vault, no_sync):
            day = workload.Day(vault, seed)
            script(day)
            until = time.monotonic_ns()
    if states.final_image(base, states.read_log(log)).blocks != disk.Image.read(image).blocks:
        raise AssertionError("the recording is not the whole of what was written")
    epochs = states.read_log(log, until)
    log.unlink()
    image.unlink()
    return Recording(kind, base, epochs, day)


# ---- replay ----

class Campaign:
    """`again`: of the disks whose files were seen before, how many are started all the same."""

    def __init__(self, recording, top, limit, seed, again=0.0, look=claims.look):
        self.recording, self.top, self.limit, self.seed, self.look = recording, top, limit, seed, look
        self.again, self.random = again, random.Random(seed)
        self.trees, self.looked = {}, {}  # image: its files; files: what was seen
        self.counts, self.states, self.problems, self.at_start = collections.Counter(), collections.Counter(), [], {}

    def see(self, image):
        """What a vault shows that is started on this image. The same files are looked at once."""
        key = image.key()
        if key in self.trees:
            return self.looked[self.trees[key]]
        path = self.top / "cut"
        image.save(path, disk.SIZES[self.recording.kind])
        self.counts["images mounted"] += 1
        try:
            with disk.mounted(self.recording.kind, path, self.top / "disk") as point:
                tree = self.trees[key] = claims.tree_key(point / "v")
                return self.see_tree(tree, point / "v")
        except disk.Refused as problem:
            self.trees[key] = str(problem)
            return self.looked.setdefault(str(problem), claims.Seen(faults=[str(problem)]))

    def see_tree(self, tree, folder):
        again = tree in self.looked and self.random.random() < self.again
        if tree in self.looked and not again:
            return self.looked[tree]
        self.counts["started again" if again else "vaults started"] += 1
        seen = self.look(folder, self.recording.day)
        return seen if again else self.looked.setdefault(tree, seen)

    def try_cut(self, cut, start):
        image = start.copy()
        cut.apply(image, self.recording.epochs[cut.epoch].writes)
        self.counts[f"states: {cut.how}"] += 1
        self.states[cut.epoch] += 1
        seen = self.see(image)
        if not cut.kept and not cut.torn:
            self.at_start[cut.epoch] = seen
        found = claims.judge(self.recording.required(cut.epoch), seen)
        if found:
            self.problems.append((cut, found))
            tell(f"epoch {cut.epoch}, {cut.how}, kept {cut.kept}, torn {cut.torn}: {found}")

    def run(self, only=None):
        """Every cut, or those of these epochs."""
        epochs = self.recording.epochs
        for number, start in states.images(self.recording.base, epochs):
            if only is not None and number not in only:
                continue
            done = set()
            for cut in states.cuts(number, epochs[number].writes, self.limit, self.seed):
                if (cut.kept, cut.torn) not in done:
                    done.add((cut.kept, cut.torn))
                    self.try_cut(cut, start)
            tell(f"flush {number} of {len(epochs) - 1}: {self.states.total()} states, {self.counts['images mounted']} "
                 f"mounted, {self.counts['vaults started']} vaults started, {len(self.problems)} with a broken promise")
        return self

    def flushes_needed(self, promise):
        """How many of the last flushes before the answer must be taken away until its promise is broken; None: all of
        them are not enough."""
        last = self.recording.epoch_of(promise)
        for back in range(1, last + 1):
            seen = self.at_start.get(last - back)
            if seen is None:
                return None
            if claims.broken(promise, seen):
                return back
        return None


def cut_after_answers(recording, top, patience):
    """Only at the flush before each answer: where what was acknowledged is lost first, if it can be lost."""
    only = {recording.epoch_of(p) for p in recording.day.promises}
    look = functools.partial(claims.look, patience=patience)
    return Campaign(recording, top, None, 0, look=look).run(only)


def lost(recording, result):
    """What was promised before a cut and broken after it."""
    return [p for p in recording.day.promises if claims.broken(p, result.at_start[recording.epoch_of(p)])]


def tell(text):
    print(text, file=sys.stderr, flush=True)
