"""What takes the time: perf on the worker and the store during a deposit and a read."""
import re
import shutil
import subprocess

from common import run

TOP = 10
PROCESSES = ("vaultd-worker", "vaultd-store")


def record(settings, vault, what, action):
    """Gives the file with the samples. cpu-clock: virtual machines often have no hardware counters."""
    data = settings.work / f"perf-{what}.data"
    pids = ",".join(str(pid) for pid, name in vault.processes().items() if name in PROCESSES)
    perf = subprocess.Popen(["perf", "record", "--event", "cpu-clock", "--freq", "997", "-g", "--quiet", "--output",
                             data, "--pid", pids], stderr=subprocess.DEVNULL)
    try:
        action()
    finally:
        perf.send_signal(2)
        perf.wait()
    return data


def top(data, process):
    """[(percent of this process's time, symbol, where)], most first."""
    text = run("perf", "report", "--input", data, "--stdio", "--no-children", "--call-graph", "none", "--comms",
               process, "--sort", "symbol,dso", "--percentage", "relative", "--fields", "overhead,symbol,dso")
    lines = re.findall(r"^\s*([\d.]+)%\s+\[(?:\.|k)\] (\S+)\s+(\S+)", text, re.MULTILINE)
    return [(float(percent), symbol, where) for percent, symbol, where in lines[:TOP]]


def measure(settings, vault, path):
    if shutil.which("perf") is None:
        return None
    deposit = record(settings, vault, "deposit", lambda: vault.deposit(path, "profile.bin"))
    read = record(settings, vault, "read", lambda: [vault.read("profile.bin") for _ in range(3)])
    return {what: {process: top(data, process) for process in PROCESSES}
            for what, data in (("deposit", deposit), ("read", read))}


def show(result):
    if result is None:
        return print("\nno perf here: no profile (Debian's package is linux-perf)")
    for what, processes in result.items():
        for process, symbols in processes.items():
            print(f"\n{what}, {process}: percent of its time")
            for percent, symbol, where in symbols:
                print(f"  {percent:6.1f}  {symbol}  {where}")
