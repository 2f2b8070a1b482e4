"""Small disks beneath a vault, and ballast that fills them to the last block."""
import contextlib
import errno
import os
import pathlib
import subprocess
import tempfile

KINDS = ["tmpfs", "ext4"]


def run(*command):
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)


def mount(kind, path, megabytes):
    if kind == "tmpfs":
        run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", path)
        return
    image = path.with_name(path.name + ".img")
    with image.open("wb") as f:
        f.truncate(megabytes << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", "4096", image)
    run("mount", "-o", "loop", image, path)
    path.chmod(0o711)


def may_mount(kind):
    """Whether this machine lets us; a container may not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with disk(kind, pathlib.Path(folder) / "probe", 8):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextlib.contextmanager
def disk(kind, path, megabytes):
    """A file system of its own in this folder. It goes with the context, also where something still uses it."""
    path = pathlib.Path(path)
    path.mkdir(exist_ok=True)
    mount(kind, path, megabytes)
    try:
        yield
    finally:
        (path / "ballast").unlink(missing_ok=True)
        if subprocess.run(["umount", str(path)], capture_output=True, timeout=60).returncode != 0:
            run("umount", "--lazy", path)
        path.with_name(path.name + ".img").unlink(missing_ok=True)


class Ballast:
    """A file that takes what is free on the disk of this folder."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "ballast"

    def fill(self, leave=0):
        """To the last block; then gives `leave` bytes back."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for block in (1 << 20, 1 << 16, 1 << 12):
                while grow(file, block):
                    pass
            os.ftruncate(file, max(0, os.fstat(file).st_size - leave))
            os.fsync(file)
        finally:
            os.close(file)

    def remove(self):
        self.path.unlink(missing_ok=True)

    def __enter__(self):
        self.fill()
        return self

    def __exit__(self, *_):
        self.remove()


def grow(file, block):
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, block)
        return True
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise
        return False


def free(folder):
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
