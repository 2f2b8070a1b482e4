"""What every part of the benchmark needs: settings, the machine's state, timing and ratios."""
import dataclasses
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CIPHER = "TLS_AES_256_GCM_SHA384"
MIB = 1 << 20
BUSY_SHARE = 0.3  # of all cores, by others, from which a round is put off


@dataclasses.dataclass(frozen=True)
class Settings:
    work: pathlib.Path
    runs: int
    size: int  # bytes of the file that is moved
    memory_size: int
    requests: int
    wait: float  # seconds to wait for a quiet machine before each round, at most


def read_settings(work):
    number = lambda name, default: int(os.environ.get(name, default))
    return Settings(pathlib.Path(work), number("BENCH_RUNS", 5), number("BENCH_SIZE_MIB", 1024) * MIB,
                    number("BENCH_MEMORY_MIB", 6144) * MIB, number("BENCH_REQUESTS", 20000),
                    number("BENCH_WAIT_S", 60))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, **more):
    """Runs to the end; what it printed shows only if it failed. Gives its standard output."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def seconds_of(action):
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def busy_share(seconds=1.0):
    """The share of all cores that was in use during this time."""
    def ticks():
        values = [int(v) for v in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # idle, waiting for the disk
    total, idle = ticks()
    time.sleep(seconds)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def wait_for_quiet(settings):
    """Gives the share in use when it stopped waiting."""
    until = time.monotonic() + settings.wait
    share = busy_share()
    while share > BUSY_SHARE and time.monotonic() < until:
        time.sleep(2)
        share = busy_share()
    return round(share, 2)


def median_of_ratios(ours, theirs):
    """Of the same rounds: noise that hits a whole round cancels out."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    return {"cores": os.cpu_count(), "processor": model, "memory_mib": memory, "kernel": platform.release()}
