"""What takes the time: perf on the worker and the store during a deposit and a read."""
import collections
import functools
import re
import shutil
import signal
import subprocess

from common import run

TOP = 10
READS = 3  # one read alone gives few samples
PROCESSES = ("vaultd-worker", "vaultd-store")
# Debian's libcrypto names none of its assembly routines; an instruction that only one of them uses tells which it is.
ROUTINES = {"sha256rnds2": "SHA-256", "aesenc": "AES-GCM", "pclmul": "AES-GCM", "vpmadd52": "Poly1305",
            "vpmuludq": "Poly1305", "vprold": "ChaCha20"}
BLOCK = 512  # bytes of code looked at around an address


def record(settings, vault, what, action):
    """Gives the file with the samples. cpu-clock: virtual machines often have no hardware counters."""
    data = settings.work / f"perf-{what}.data"
    pids = ",".join(str(pid) for pid, name in vault.processes().items() if name in PROCESSES)
    perf = subprocess.Popen(["perf", "record", "--event", "cpu-clock", "--freq", "997", "-g", "--quiet", "--output",
                             data, "--pid", pids], stderr=subprocess.DEVNULL)
    try:
        action()
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait()
    return data


@functools.cache
def library(name):
    """The path of a shared library, as the loader finds it."""
    found = re.search(rf"{re.escape(name)} .*=> (\S+)", run("/sbin/ldconfig", "-p"))
    return found and found.group(1)


@functools.cache
def routine(name, block):
    path = library(name)
    if path is None:
        return f"without a name in {name}"
    code = run("objdump", "-d", "--no-show-raw-insn", f"--start-address={max(0, block - 1) * BLOCK}",
               f"--stop-address={(block + 2) * BLOCK}", path)
    found = [named for instruction, named in ROUTINES.items() if instruction in code]
    return found[0] if found else f"without a name in {name}"


def named(symbol, where):
    address = re.fullmatch(r"0x([0-9a-f]{16})", symbol)
    return routine(where, int(address.group(1), 16) // BLOCK) if address else symbol


def top(data, process):
    """How many samples this process has, and [(percent of them, what ran, where)], most first."""
    text = run("perf", "report", "--input", data, "--stdio", "--no-children", "--call-graph", "none", "--comms",
               process, "--sort", "symbol,dso", "--fields", "sample,symbol,dso")
    samples = collections.Counter()
    for count, symbol, where in re.findall(r"^\s*(\d+)\s+\[[.k]\] (\S+)\s+(\S+)", text, re.MULTILINE):
        samples[named(symbol, where), where.strip("[]")] += int(count)
    total = samples.total()
    return {"samples": total,
            "top": [(round(100 * n / total, 1), symbol, where) for (symbol, where), n in samples.most_common(TOP)]}


def measure(settings, vault, path):
    if shutil.which("perf") is None:
        return None
    deposit = record(settings, vault, "deposit", lambda: vault.deposit(path, "profile.bin"))
    read = record(settings, vault, "read", lambda: [vault.read("profile.bin") for _ in range(READS)])
    return {what: {process: top(data, process) for process in PROCESSES}
            for what, data in (("deposit", deposit), ("read", read))}


def show(result):
    if result is None:
        return print("\nno perf here: no profile (Debian's package is linux-perf)")
    for what, processes in result.items():
        for process, profile in processes.items():
            print(f"\n{what}, {process}: percent of its {profile['samples']} samples")
            for percent, symbol, where in profile["top"]:
                print(f"  {percent:6.1f}  {symbol}  {where}")
