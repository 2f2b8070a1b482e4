"""The mass executor of the fuzz harnesses notices what it is there to notice: planted faults that only a mutated input
sets off (tests/fuzz/mass_control.c)."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "bin" / "mass_control"
TRIGGER = b"PW"


def execute(folder, fault, *options, corpus=b"PVabc"):
    (folder / "input").write_bytes(corpus)
    return subprocess.run([str(PROGRAM), *options, "input"], cwd=folder, timeout=300, capture_output=True, text=True,
                          env={**os.environ, "PLANTED_FAULT": fault})


@pytest.mark.parametrize("fault, word", [("over", "SEGV"), ("under", "SEGV"), ("abort", "ABRT"), ("hang", "hangs")])
def test_executor_finds_a_planted_fault_and_keeps_the_input_that_set_it_off(tmp_path, fault, word):
    # Seconds of the clock: no other fault is to be taken for one that hangs where the machine is busy.
    done = execute(tmp_path, fault, "-n", "1000000", "-t", "1" if fault == "hang" else "60")
    assert done.returncode == 3, done.stdout + done.stderr
    said = re.search(r"mass_control: (\w+) at execution \d+ of seed 0; input in (\S+)", done.stderr)
    assert said and said[1] == word, done.stderr
    assert (tmp_path / said[2]).read_bytes().startswith(TRIGGER)


def test_executor_passes_where_no_fault_is_planted(tmp_path):
    done = execute(tmp_path, "none", "-n", "100000", "-r", "2", "-s", "5")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:5] for line in done.stdout.splitlines()] == [
        ["mass_control", "seed", "5", "executions", "100000"], ["mass_control", "seed", "6", "executions", "100000"]]


def test_the_same_seed_makes_the_same_inputs(tmp_path):
    said = {execute(tmp_path, "abort", "-s", seed).stderr for seed in ("7", "7", "8")}
    assert len(said) == 2, said


def test_executor_fails_if_no_input_gets_past_the_parsers_refusals(tmp_path):
    done = execute(tmp_path, "refuse", "-n", "1000")
    assert done.returncode == 1 and "no input was taken" in done.stderr
