"""The power goes at any flush of a deposit: below a real file system, a disk has lost all that came after it."""
import sys

import pytest

from vault_under_test import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from power import campaign, disk, workload  # noqa: E402

pytestmark = pytest.mark.skipif(disk.why_not() is not None, reason=f"no disk can be recorded: {disk.why_not()}")
SEED = 1


@pytest.fixture(scope="module")
def deposit():
    """One deposit, cut at each flush."""
    with disk.folder() as top:
        recording = campaign.record("ext4", workload.one_deposit, SEED, top)
        before = recording.epoch_of(recording.day.promises[0]) - 1
        result = campaign.Campaign(recording, top, None, SEED).run(range(before, len(recording.epochs)))
        print(f"\n{len(recording.epochs) - 1} flushes, {dict(result.counts)}")
        yield result


def test_what_was_acknowledged_survives_a_cut_at_any_flush(deposit):
    assert deposit.problems == []
    assert deposit.states.total() >= 10 and deposit.counts["vaults started"] >= 5


def test_a_cut_before_its_flush_loses_each_promise(deposit):
    """Or the test above could not fail."""
    needed = {p.what: deposit.flushes_needed(p) for p in deposit.recording.day.promises}
    assert all(needed.values()), needed


@pytest.mark.parametrize("program", ["vaultd-store", "vaultd-monitor"])
def test_without_the_syncs_of_a_program_what_was_acknowledged_is_lost(program):
    with disk.folder() as top:
        recording = campaign.record("ext4", workload.one_deposit, SEED, top, no_sync=[program])
        result = campaign.cut_after_answers(recording, top, patience=20)
        assert campaign.lost(recording, result) != []
