"""Whole files in and out, one contender after the other in every round."""
import os
import statistics

from common import median_of_ratios, seconds_of, wait_for_quiet


def timed_rounds(settings, contenders):
    """contenders: {name: (prepare, action)}. One untimed round first. Gives {name: [MB/s, one per round]}."""
    speeds = {name: [] for name in contenders}
    busy = []
    for number in range(settings.runs + 1):
        busy.append(wait_for_quiet(settings))
        for name, (prepare, action) in contenders.items():
            prepare()
            os.sync()  # what the one before left to write must not slow this one down
            seconds = seconds_of(action)
            if number > 0:
                speeds[name].append(settings.size / seconds / 1e6)
    return {"speeds": speeds, "busy_before": busy[1:]}


def read(settings, vault, nginx, restic, path):
    vault.deposit(path, "read.bin")
    nginx.deposit(path, "read.bin")
    restic.start("read")
    restic.backup("read", path)
    nothing = lambda: None
    return timed_rounds(settings, {
        "vault": (nothing, lambda: vault.read("read.bin")),
        "nginx": (nothing, lambda: nginx.read("read.bin")),
        "restic dump": (nothing, lambda: restic.dump("read", path)),
        "restic restore": (restic.forget_restored, lambda: restic.restore("read")),
    })


def deposit(settings, vault, nginx, restic, path):
    names = iter(f"deposit-{n}.bin" for n in range(settings.runs + 1))
    return timed_rounds(settings, {
        "vault": (lambda: None, lambda: vault.deposit(path, next(names))),
        "nginx": (lambda: (nginx.files / "deposit.bin").unlink(missing_ok=True),
                  lambda: nginx.deposit(path, "deposit.bin")),
        "restic backup": (lambda: restic.start("deposit"), lambda: restic.backup("deposit", path)),
    })


def show(title, result):
    print(f"\n{title:<22}{'MB/s':>8}{'min':>8}{'max':>8}   the vault is")
    ours = result["speeds"]["vault"]
    for name, speeds in result["speeds"].items():
        ratio = "" if name == "vault" else f"{median_of_ratios(ours, speeds):.2f} times as fast"
        print(f"  {name:<20}{statistics.median(speeds):8.0f}{min(speeds):8.0f}{max(speeds):8.0f}   {ratio}")
