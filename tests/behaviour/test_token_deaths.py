"""Deaths in the middle of a change of the seal by a token: there is one seal that opens, and one key for it."""
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

import scene
from token_world import failures, hanging, keys_are, left_by_credential, reads, restart, root, seal_by_token, swept, vault

POINTS = ["hang-initialize", "hang-login", "hang-generate", "hang-encrypt", "hang-finalize"]
MADE = POINTS[2:]  # there is a key by then


@pytest.mark.parametrize("by_token", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_killed_token_process_changes_nothing(vault, point, by_token):
    before = {seal_by_token(vault)} if by_token else set()
    swept(vault)
    seal = root(vault)
    with hanging(vault, point) as (pid, done):
        os.kill(pid, signal.SIGKILL)
    assert done["it"].returncode == 1 and failures(vault, "seal.change")[-1] == "token-crashed"
    assert root(vault) == seal and reads(vault)
    assert len(vault.token.keys() - before) == (1 if point in MADE else 0)  # made for nothing
    restart(vault)
    assert scene.seal_state(vault) == "unsealed" and reads(vault)
    keys_are(vault, *before)


@pytest.mark.parametrize("by_token", [False, True])
def test_monitor_killed_while_the_token_works_finds_the_seal_as_it_was(vault, by_token):
    """The process for the token goes on until its time is over, and nobody hears its answer."""
    before = {seal_by_token(vault)} if by_token else set()
    swept(vault)
    with hanging(vault, "hang-encrypt") as (pid, _):
        vault.token.fault.write_text("")
        os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
        scene.wait_for(lambda: not scene.is_running(pid), "the end of its time")
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the next monitor opens the vault")
    assert root(vault)["by"] == ("token" if by_token else "credential") and reads(vault)
    keys_are(vault, *before)


def test_monitor_killed_at_any_moment_of_a_change_leaves_one_seal_that_opens(vault):
    dice, before, after, turn = random.Random(7391), 0, 0, 0
    program = pathlib.Path(vault.env["PATH"].split(":")[0]) / "vaultctl"
    seal_by_token(vault)
    begun = time.monotonic()
    vault.ctl("key", "rotate", "root")
    whole = time.monotonic() - begun  # what one takes that nobody disturbs
    while turn < 20 or (turn < 80 and not (before and after)):
        if turn % 4 == 0:
            restart(vault)  # a supervisor gives up after six deaths in a minute
        turn += 1
        seal = root(vault)["key"]
        change = subprocess.Popen([program, "key", "rotate", "root"], env=vault.environment(), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, 1.3 * whole))
        os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
        change.wait(120)
        scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the next monitor opens the vault")
        now = root(vault)["key"]
        before, after = before + (now == seal), after + (now != seal)
        assert reads(vault)
        keys_are(vault, now)
    print(f"the seal before {before} times, the new one {after} times")
    assert before > 0 and after > 0
