"""An older sealed value put back in its own place opens, since it was sealed for it. What decisions rest on is guarded by
its witness: both hold the number of the record that made the value what it is. Where value and witness are put back
together the look-up sees nothing, and the tally of the index does.
"""
import re
import shutil
import subprocess

import pytest

import index_tools
import scene
from test_withdrawal import NO_PERMIT
from vault_under_test import ROOT, running_vault

SUBJECT, FILE, CONTENT = "S-replay", "genome", bytes(range(256)) * 300
PURPOSE = 'research;project="P-replay";approval="A-replay"'

# What ends the research read; which databases hold what it changes: the value, and its witness.
CHANGES = {
    "consent withdrawn": (("consent", "withdraw", SUBJECT), "subjects", "chains"),
    "opted out": (("subject", "change", SUBJECT, "--opt-out"), "subjects", "chains"),
    "service revoked": (("service", "revoke", "probe"), "services", "chains"),
    "project closed": (("project", "close", "P-replay"), "projects", "names"),
    "approval revoked": (("ethics", "revoke", "A-replay"), "ethics", "names"),
}


class Replay:
    """A vault in which a research read is permitted, as a copy to begin each case from."""

    def __init__(self, vault):
        self.vault = vault
        subprocess.run([str(ROOT / "scripts" / "test-pki"), str(vault.folder / "pki"), "probe"], check=True,
                       capture_output=True)
        scene.add_patient(vault, SUBJECT)
        scene.deposit(vault, SUBJECT, FILE, CONTENT)
        vault.ctl("service", "add", "probe", "--san", "urn:vault:service:probe", "--role", "reader", "--purpose",
                  "research")
        vault.ctl("project", "add", "P-replay", "--service", "probe")
        vault.ctl("ethics", "add", "A-replay", "--project", "P-replay")
        self.stop()
        self.pristine = vault.folder / "pristine"
        shutil.copytree(vault.state / "index", self.pristine)

    def stop(self):
        if scene.processes(self.vault):
            scene.stop(self.vault)

    def begin(self):
        self.stop()
        index_tools.replace(self.vault, self.pristine)
        scene.start(self.vault)
        assert self.read().whole, "control: it is permitted before the change"

    def change(self, *command, **options):
        """Makes the change; the entries of the index before and after it."""
        index = self.vault.state / "index"
        before, _ = index_tools.dump(index)
        scene.administer(self.vault, *command, **options)
        assert self.read().status in (401, 403)
        self.stop()
        after, headers = index_tools.dump(index)
        return before, after, headers

    def put_back(self, before, after, headers, databases):
        """Starts the vault with the entries of these databases that the change altered as they were before it."""
        count = 0
        for database in databases:
            for key, value in before[database].items():
                if after[database].get(key) != value:
                    after[database][key] = value
                    count += 1
        assert count >= len(databases), "there was nothing to put back"
        index_tools.replace(self.vault, (after, headers))
        scene.start(self.vault)

    def read(self):
        return scene.Read(self.vault, SUBJECT, FILE, PURPOSE, "probe")

    def index_state(self):
        """How the check of the index ended."""
        scene.wait_for(lambda: self.status()["state"] in ("whole", "damaged"), "the end of the check")
        return self.status()["state"]

    def status(self):
        return self.vault.http("GET", "/v1/status").json()["index"]

    def checks(self):
        return [r["outcome"] for r in scene.records(self.vault) if r["event"] == "index.check"]


@pytest.fixture(scope="module")
def replay():
    with running_vault() as vault:
        made = Replay(vault)
        yield made
        if not scene.processes(vault):
            index_tools.replace(vault, made.pristine)
            scene.start(vault)


def test_untouched_index_is_found_whole_and_the_check_is_on_record(replay):
    replay.begin()
    assert replay.index_state() == "whole"
    assert set(replay.checks()) == {"done"}


@pytest.mark.parametrize("change", CHANGES)
def test_older_value_put_back_is_damage_to_every_read(replay, change):
    command, value, _ = CHANGES[change]
    replay.begin()
    replay.put_back(*replay.change(*command), [value])
    r = replay.read()
    assert r.status == 500 and not r.whole and b"integrity" in r.body
    assert replay.index_state() == "damaged" and replay.checks()[-1] == "failed"


@pytest.mark.parametrize("change", CHANGES)
def test_older_value_put_back_with_its_witness_is_noticed_by_the_tally(replay, change):
    command, value, witness = CHANGES[change]
    replay.begin()
    replay.put_back(*replay.change(*command), [value, witness])
    assert replay.read().whole, "control: so it is the witness that stops the value alone"
    assert replay.index_state() == "damaged" and replay.checks()[-1] == "failed"
    log = (replay.vault.folder / "vaultd.log").read_text(errors="replace")
    assert "its entries are not those that were stored" in log


def test_older_policy_put_back_does_not_open(replay):
    replay.begin()
    before, after, headers = replay.change("policy", "load", "-", input=NO_PERMIT.encode())
    after["meta"][index_tools.key_of("meta")] = before["meta"][index_tools.key_of("meta")]
    index_tools.replace(replay.vault, (after, headers))
    scene.start(replay.vault)
    assert scene.seal_state(replay.vault) == "sealed" and not replay.read().whole


def test_shorter_log_put_back_does_not_open(replay):
    """The edge of the tree and the meta value of before, while the records go on: the newest would be overwritten."""
    replay.begin()
    before, after, headers = replay.change("consent", "withdraw", SUBJECT)
    for name in ("meta", "tree", "tally"):
        after["meta"][index_tools.key_of(name)] = before["meta"][index_tools.key_of(name)]
    index_tools.replace(replay.vault, (after, headers))
    scene.start(replay.vault)
    assert scene.seal_state(replay.vault) == "sealed" and not replay.read().whole


def test_checkpoint_records_what_the_index_was(replay):
    replay.begin()
    for _ in range(2):
        replay.vault.ctl("audit", "checkpoint")
    details = [re.fullmatch("index ([0-9a-f]{64}), key ring epoch [0-9]+", r["detail"]) for r in scene.records(replay.vault)
               if r["event"] == "audit.checkpoint"]
    first, second = (bytes.fromhex(found[1]) for found in details)
    assert len(first) == len(second) == 32 and first != second, "the first one's record lies between them"
