"""Errors of system calls in the real programs, some by chance (FAULT_CASES, FAULT_SEED).
tests/torture/faults does all of them."""
import os
import random
import time

import pytest

import fault_runs
import fault_world
import injection
import scene
from injection import Fault

CASES = int(os.environ.get("FAULT_CASES", "9"))
SEED = int(os.environ.get("FAULT_SEED", str(random.SystemRandom().randrange(1 << 32))))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="strace needs root to attach to other users' processes")


@pytest.fixture(scope="module")
def world():
    with fault_world.a_world() as w:
        yield w


def fault_in_a_deposit(world, fault):
    """What was left to do behind the answer before would take the fault: not before the index has come to rest."""
    index = world.vault.state / "index" / "data.mdb"
    scene.wait_for(lambda: time.time() - index.stat().st_mtime > 1, "nothing is left to do")
    return fault_world.try_fault(world, "deposit", fault)


def test_a_sync_of_the_index_that_fails_once_is_no_acknowledgement_and_the_vault_goes_on(world):
    landed, told = fault_in_a_deposit(world, Fault("vaultd-monitor", "fdatasync", "EIO", 1))
    assert landed and told == 503


def test_a_sync_of_an_object_that_fails_once_is_no_acknowledgement_and_the_vault_goes_on(world):
    landed, told = fault_in_a_deposit(world, Fault("vaultd-store", "fsync", "EIO", 1))
    assert landed and told != 201


def test_a_key_ring_that_cannot_be_synced_is_read_again(world):
    landed, told = fault_world.try_fault(world, "rotation", Fault("vaultd-monitor", "fsync", "EIO", 1))
    assert landed and told != 202


@pytest.mark.parametrize("call, at", [("fdatasync", 1), ("sendmsg", 2)])
def test_a_start_goes_on_after_an_error_in_the_monitor(world, call, at):
    """It may answer as sealed in between, but nobody has to unseal it. The second message that it sends asks the
    supervisor for the root key."""
    landed, told = fault_world.try_fault(world, "start", Fault("vaultd-monitor", call, "EIO", at))
    assert landed and told in ("sealed", "unsealed")


def test_an_index_that_cannot_be_looked_at_is_not_taken_for_none(world):
    """Else a start would stay sealed and tell the operator to move the key ring away. It is the last look by a path;
    strace does not see paths in the memory of the monitor."""
    log = world.out / "calls.log"
    fault_world.traced(world, "start", "vaultd-monitor", None, log)
    looks = [line for line in log.read_text().splitlines() if "newfstatat(" in line]
    at = max(i + 1 for i, line in enumerate(looks) if "newfstatat(AT_FDCWD" in line)
    landed, _ = fault_world.try_fault(world, "start", Fault("vaultd-monitor", "newfstatat", "EIO", at))
    assert landed


def test_nothing_breaks_at_calls_picked_by_chance(world):
    chance = random.Random(SEED)
    print(f"\nFAULT_SEED={SEED}")
    landed = 0
    for operation, process in chance.sample(fault_runs.PLACES, 3):
        counts = fault_world.calls_of(world, operation, process)
        cases = injection.faults_of(process, counts) + injection.deaths_of(process, counts)
        for fault in chance.sample(cases, CASES // 3):
            hits, told = fault_world.try_fault(world, operation, fault)
            landed += bool(hits)
            print(f"  {operation}: {fault}: {'landed' if hits else 'not reached'}, told {told}")
    assert landed


def test_all_that_was_acknowledged_is_there_and_recorded(world):
    world.check_all()


def test_a_write_that_a_disk_only_claims_to_have_done_is_noticed_by_these_tests():
    """The control: what is looked at after each fault would show a loss."""
    with fault_world.a_world() as world, pytest.raises(AssertionError, match="after 201"):
        fault_world.try_fault(world, "deposit", Fault("vaultd-store", "write", injection.LIE + "69632", 1))
