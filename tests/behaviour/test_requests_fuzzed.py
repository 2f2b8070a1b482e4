"""Every resource by every method with parameters that were never meant: an answer to each, a record of each refusal."""
import subprocess

import pytest

import requests_fuzzed as fuzzed
import scene
from strange import crashes
from vault_under_test import ROOT

COUNT = 200


@pytest.fixture(scope="module")
def filled(vault):
    scene.add_patient(vault, "S-0001")
    scene.deposit(vault, "S-0001", "large", b"GATTACA" * 1000)
    subprocess.run([ROOT / "scripts" / "test-pki", vault.folder / "pki", "stranger"], check=True, capture_output=True)
    return vault


@pytest.mark.parametrize("service", fuzzed.SERVICES)
def test_every_request_has_a_whole_answer_and_every_refusal_a_record(filled, service):
    before = crashes(filled)
    problems, statuses = fuzzed.run(filled, service, seed=1, count=COUNT)
    assert problems == []
    assert sum(statuses.values()) == COUNT and len(statuses) >= (1 if service == "stranger" else 4), statuses
    assert crashes(filled) == before
    assert filled.ctl("status")["seal"] == "unsealed"


def test_the_log_is_whole_after_all_of_it(filled, tmp_path):
    fuzzed.run(filled, "clinic", seed=2, count=20)
    assert len(scene.verify_audit(filled, tmp_path / "export")) > 20
