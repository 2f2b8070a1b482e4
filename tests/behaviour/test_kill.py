"""kill -9 of any process, at any moment: what was acknowledged stays, what was not is either whole or gone.
KILL_ROUNDS (30) and KILL_SEED say how often and which; tests/torture/kills runs many."""
import os
import random
import time

import pytest

import kill_war
from vault_under_test import running_vault

ROUNDS = int(os.environ.get("KILL_ROUNDS", "30"))
SEED = int(os.environ.get("KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))


@pytest.fixture(scope="module")
def war():
    with running_vault() as vault:
        kill_war.prepare(vault)
        war = kill_war.War(vault, SEED)
        started = time.monotonic()
        war.fight(ROUNDS)
        print(f"\n{sum(war.killed.values())} kills in {time.monotonic() - started:.0f} s, KILL_SEED={SEED}, "
              f"{len(war.deposited)} deposits and {len(war.acknowledged)} answers acknowledged, "
              f"{war.rotations} rotations, {war.retired} retirements, {war.started_again} starts by us, {war.missed} kills came too late")
        for what in kill_war.KINDS:
            print(f"  killed {what}: {war.killed[what]}")
        for phase in kill_war.PHASES:
            print(f"  landed in {phase}: {war.landed[phase]}")
        yield war


def test_every_phase_and_every_process_was_hit(war):
    kill_war.expect_every_hit(war)


def test_every_acknowledged_deposit_is_listed(war):
    kill_war.expect_deposits_listed(war)


def test_every_listed_file_is_whole(war):
    kill_war.expect_files_whole(war)


def test_every_object_is_whole_and_belongs_to_a_file(war):
    kill_war.expect_objects_whole(war)


def test_every_rotation_has_ended(war):
    kill_war.expect_rotations_ended(war)


def test_one_generation_is_left_after_a_last_retirement(war):
    kill_war.expect_one_generation(war)


def test_the_audit_is_whole_and_holds_every_acknowledged_answer(war, tmp_path):
    kill_war.expect_audit_whole(war, tmp_path / "export")
