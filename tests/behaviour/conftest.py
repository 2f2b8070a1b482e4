"""Fixtures of all behaviour tests: a throw-away vault from scripts/dev-vault, run on the programs in build/bin."""
import pytest

from vault_under_test import running_vault


@pytest.fixture(scope="module")
def vault():
    """One vault for all tests of a file."""
    with running_vault() as v:
        yield v


@pytest.fixture
def fresh_vault():
    """A vault of its own, for tests that break, seal or restart it."""
    with running_vault() as v:
        yield v
