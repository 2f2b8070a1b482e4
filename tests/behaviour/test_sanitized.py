"""A sanitizer's report fails the test in which it was made, and gets out of a process behind its walls: seen with workers
that have a planted fault (tests/hostile/faulty.c). Runs where VAULT_BIN names programs built with sanitizers; how to run
all of tests/behaviour with them: tests/torture/sanitized."""
import contextlib

import pytest
from sanitizers import report_in
from scene import CUT, wait_for
from vault_under_test import HOSTILE, programs_with, running_vault

FAULTS = {"overflow": "AddressSanitizer: heap-buffer-overflow", "undefined": "runtime error: signed integer overflow"}
sanitized_build = pytest.mark.skipif(not (HOSTILE / "vaultd-worker-overflow").exists(),
                                     reason="these programs are built without sanitizers")


@sanitized_build
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_behind_the_walls_fails_the_test_and_tells_its_place(fault):
    worker = f"vaultd-worker-{fault}"
    with pytest.raises(AssertionError, match=FAULTS[fault]) as failure:
        with programs_with(worker=worker) as programs, running_vault(programs=programs) as vault:
            with contextlib.suppress(*CUT):
                vault.http("GET", "/v1/status", cert="clinic")
            log = vault.folder / "vaultd.log"
            wait_for(lambda: "SUMMARY: " in log.read_text(errors="replace"), "a whole report in the log")
    assert f"{worker}+0x" in str(failure.value)


@pytest.mark.parametrize("said", [
    "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1", "==7==ERROR: LeakSanitizer: detected memory leaks",
    "a.c:1:2: runtime error: index 4 out of bounds", "WARNING: ThreadSanitizer: data race (pid=7)",
])
def test_each_kind_of_report_is_noticed(said):
    assert report_in(f"<6>vaultd-store: ready\n{said}\n    #0 0x1") == f"{said}\n    #0 0x1"


def test_the_log_of_a_sound_vault_is_no_report():
    assert report_in("<3>vaultd-supervisor: worker: process=worker crashed: killed by signal 11: worker=1\n") is None
