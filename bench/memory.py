"""The most memory that each process of the vault has of its own while a large file goes in and out."""
import pathlib
import threading

EVERY_S = 0.05
AIM_MIB = 64


def own_kib(pid):
    """RssAnon and RssShmem: all but pages of files, which the system takes back when it wants."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


class Sampler:
    """Within `with`: keeps the peak of each process."""

    def __init__(self, vault):
        self.vault, self.peaks, self.ending = vault, {}, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ending.wait(EVERY_S):
            for pid, name in self.vault.processes().items():
                self.peaks[name] = max(self.peaks.get(name, 0), own_kib(pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


def measure(settings, vault):
    path = settings.work / "large.bin"
    with open(path, "wb") as f:
        f.truncate(settings.memory_size)
    peaks = {}
    for what, action in ("deposit", lambda: vault.deposit(path, "large.bin")), ("read", lambda: vault.read("large.bin")):
        with Sampler(vault) as sampler:
            action()
        peaks[what] = {name: round(kib / 1024, 1) for name, kib in sorted(sampler.peaks.items())}
    path.unlink()
    return {"size_mib": settings.memory_size >> 20, "peak_mib": peaks}


def show(result):
    print(f"\n{'peak memory, MiB':<22}{'deposit':>8}{'read':>8}   {result['size_mib']} MiB file, aim {AIM_MIB}")
    peaks = result["peak_mib"]
    for name in peaks["deposit"]:
        print(f"  {name:<20}{peaks['deposit'][name]:8}{peaks['read'].get(name, 0):8}")
