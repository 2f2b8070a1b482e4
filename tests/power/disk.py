"""Disks for the tests of power cuts: images, file systems mounted from them, and one that records how it is written."""
import contextlib
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time

from vault_under_test import ROOT

RECORDER = ROOT / "build" / "tests" / "power_recorder"
BLOCK, SECTOR = 4096, 512
ENTRY = struct.Struct("=QQQQ")  # of the recorder: kind, offset, length, nanoseconds
WRITE, FLUSH = 1, 2
SIZES = {"ext4": 64 << 20, "xfs": 320 << 20}
# All is written when the file system is made: nothing is left for the kernel to do later, in an order of its own.
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
        "xfs": ["mkfs.xfs", "-q", "-f"]}


class Refused(Exception):
    """The file system on a disk cannot be mounted."""


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise OSError(f"{command[0]} gave {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def why_not():
    """Why no disk can be recorded here; None if it can."""
    if os.geteuid() != 0:
        return "only root can mount"
    if not RECORDER.exists():
        return "power_recorder is not built: libfuse3-dev is missing"
    for program in ("fusermount3", "losetup", "mkfs.ext4"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return f"{program} is missing"
    for device in ("/dev/fuse", "/dev/loop-control", "/dev/shm"):
        if not os.access(device, os.R_OK | os.W_OK):
            return f"{device} is missing"
    return None


@contextlib.contextmanager
def folder():
    """In memory, where flushing takes no time. Other users may pass through: the vault's processes have their own."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="power-", dir="/dev/shm"))
    top.chmod(0o711)
    try:
        yield top
    finally:
        for point in top.iterdir():  # where the end of the program came while a mount was being ended
            unmount(point)
        shutil.rmtree(top, ignore_errors=True)


def unmount(point):
    """What still has a file open is given a moment to end."""
    for _ in range(100):
        if not os.path.ismount(point):
            return
        with contextlib.suppress(OSError):
            run("umount", point)
            return
        time.sleep(0.1)
    run("umount", point)


@contextlib.contextmanager
def mounted(kind, device, point):
    """With the options that the file system has by itself: barriers are on."""
    point.mkdir(exist_ok=True)
    options = ["-o", "loop"] if pathlib.Path(device).is_file() else []
    try:
        run("mount", "-t", kind, *options, device, point)
    except OSError as problem:
        raise Refused(str(problem)) from problem
    try:
        yield point
    finally:
        unmount(point)


def make_image(kind, path):
    with path.open("wb") as f:
        f.truncate(SIZES[kind])
    run(*MAKE[kind], path)


# ---- recording ----

@contextlib.contextmanager
def recorder(image, log, point, flush_ms):
    """The path of a file that is the image, and whose writes and flushes go to the log."""
    point.mkdir()
    process = subprocess.Popen([str(RECORDER), str(image), str(log), str(point), str(flush_ms)])
    try:
        deadline = time.monotonic() + 60
        while not os.path.ismount(point):
            assert process.poll() is None and time.monotonic() < deadline, "the recorder does not mount"
            time.sleep(0.02)
        yield point / "disk"
    finally:
        if os.path.ismount(point):
            run("fusermount3", "-u", point)
        process.terminate()
        process.wait(timeout=60)


@contextlib.contextmanager
def loop_device(path):
    device = run("losetup", "--find", "--show", path)
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextlib.contextmanager
def recorded(kind, image, log, top, flush_ms=10):
    """The image mounted, all writes to it recorded from before the mount on."""
    with recorder(image, log, top / "fuse", flush_ms) as disk, loop_device(disk) as device:
        with mounted(kind, device, top / "disk") as point:
            yield point


# ---- images in memory ----

class Image:
    """The content of a disk, as its blocks that are not zero."""
    ZERO = bytes(BLOCK)

    def __init__(self, blocks=()):
        self.blocks = dict(blocks)

    @classmethod
    def read(cls, path):
        image = cls()
        with open(path, "rb") as f:
            for number in range(os.fstat(f.fileno()).st_size // BLOCK):
                block = f.read(BLOCK)
                if block != cls.ZERO:
                    image.blocks[number] = block
        return image

    def copy(self):
        return Image(self.blocks)

    def write(self, offset, data):
        at = 0
        while at < len(data):
            number, within = divmod(offset + at, BLOCK)
            piece = data[at:at + BLOCK - within]
            if len(piece) < BLOCK:
                old = self.blocks.get(number, self.ZERO)
                piece = old[:within] + piece + old[within + len(piece):]
            if piece == self.ZERO:
                self.blocks.pop(number, None)
            else:
                self.blocks[number] = bytes(piece)
            at += BLOCK - within

    def save(self, path, size):
        with open(path, "r+b" if os.path.exists(path) else "wb") as f:
            f.truncate(0)
            f.truncate(size)
            for number, block in self.blocks.items():
                os.pwrite(f.fileno(), block, number * BLOCK)

    def key(self):
        """The same for equal contents only."""
        return hash(frozenset(self.blocks.items()))
