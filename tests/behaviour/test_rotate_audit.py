"""Another key for the audit: who noted the old one follows to the new one, and believes nobody else."""
import base64
import hashlib
import json
import os
import signal
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import memory_scan
import scene
from vault_under_test import ROOT, running_vault


@pytest.fixture(scope="module")
def vault():
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        yield vault


def export(vault, folder, *options):
    vault.ctl("audit", "export", "--format", "jsonl", "-o", folder, *options)
    return folder


def verify(vault, folder, key, *options, expect=0):
    report = vault.ctl("audit", "verify", folder, "--key", key, *options, expect=expect)
    beside = subprocess.run(["/usr/bin/python3", ROOT / "tests" / "verify_audit.py", folder, key], capture_output=True)
    assert options or (beside.returncode == 0) == (expect == 0), beside.stderr
    return report


def audit_seed(vault):
    return memory_scan.ring_keys(vault, memory_scan.root_key_of(vault))["audit seed"]


def note(vault, path):
    answer = vault.ctl("audit", "checkpoint")
    path.write_text(answer["checkpoint"])
    return answer["vkey"]


def test_the_holder_of_the_old_key_follows_it_to_the_new_one(vault, tmp_path):
    old = note(vault, tmp_path / "old-head")
    seed = audit_seed(vault)
    before = export(vault, tmp_path / "before")
    answer = vault.ctl("key", "rotate", "audit")
    new, number = answer["vkey"], answer["record"]
    assert answer["vkey_before"] == old != new
    assert vault.ctl("key", "list")["vkey"] == new == note(vault, tmp_path / "new-head")
    after = export(vault, tmp_path / "after")

    report = verify(vault, after, old)
    assert report["key_changed"] == number and report["vkey"] == new and report["whole"]
    text = vault.ctl("audit", "verify", after, "--key", old, json=False).decode()
    assert f"the key changed at record {number}" in text and new in text
    assert verify(vault, after, new)["key_changes"] == 0
    for key in (old, new):
        for head in ("old-head", "new-head"):
            verify(vault, after, key, "--checkpoint", tmp_path / head)
    assert verify(vault, before, old)["key_changes"] == 0, "an export from before is good as it was"
    verify(vault, before, new, expect=6)
    verify(vault, before, old, "--checkpoint", tmp_path / "new-head", expect=6)

    alone = export(vault, tmp_path / "alone", "--from", number, "--to", number + 1)
    assert verify(vault, alone, old)["vkey"] == new, "the record alone hands the new key over"
    rest = export(vault, tmp_path / "rest", "--from", number + 1)
    verify(vault, rest, old, expect=6)
    assert "the record of that is not in the export" in vault.stderr
    verify(vault, rest, new)

    assert audit_seed(vault) != seed
    if os.geteuid() == 0:
        forms = {"seed": seed, "scalar": hashlib.sha512(seed).digest()[32:]}
        assert memory_scan.holders(vault, forms) == {}, "the old key is gone"


# ---- a forger, who has the new key and every record ----

def leaf(line):
    return hashlib.sha256(b"\0" + line).digest()


def split_of(n):
    return 1 << (n - 1).bit_length() - 1


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = split_of(len(leaves))
    return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()


def proof(leaves, index):
    if len(leaves) == 1:
        return []
    split = split_of(len(leaves))
    if index < split:
        return proof(leaves[:split], index) + [root(leaves[split:])]
    return proof(leaves[split:], index - split) + [root(leaves[:split])]


def forge(folder, lines, seed, vkey):
    """An export of a log of these lines, signed as the vault would."""
    folder.mkdir()
    leaves, text = [leaf(line) for line in lines], lambda b: base64.b64encode(b).decode()
    name, key_id, _ = vkey.split("+", 2)
    body = f"{name}\n{len(lines)}\n{text(root(leaves))}\n"
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(body.encode())
    (folder / "checkpoint").write_text(f"{body}\n\u2014 {name} {text(bytes.fromhex(key_id) + signature)}\n")
    (folder / "records.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    with open(folder / "proofs.jsonl", "w") as file:
        for seq in range(len(lines)):
            print(json.dumps({"seq": seq, "proof": [text(h) for h in proof(leaves, seq)]}, separators=(",", ":")), file=file)
    return folder


def alter(line):
    """Another salt: shown by the tree alone, as long as no later record of a chain names this one."""
    record = json.loads(line)
    record["salt"] = "0" * 32
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_new_key_alone_convinces_nobody_who_has_the_old_one(vault, tmp_path):
    old = vault.ctl("key", "list")["vkey"]
    scene.add_patient(vault, "S-2")
    answer = vault.ctl("key", "rotate", "audit")
    new, number, seed = answer["vkey"], answer["record"], audit_seed(vault)
    lines = (export(vault, tmp_path / "true") / "records.jsonl").read_bytes().splitlines()

    copy = forge(tmp_path / "copy", lines, seed, new)
    assert verify(vault, copy, old)["vkey"] == new, "control: what is made here is good"
    history = [*lines[:number - 1], alter(lines[number - 1])]
    rewritten = forge(tmp_path / "rewritten", [*history, lines[number]], seed, new)
    for key in (old, new):
        verify(vault, rewritten, key, expect=6)
        assert f"(record {number}) says that the audit key changed, after other records than are before it" in vault.stderr
    without = forge(tmp_path / "without", history, seed, new)
    assert verify(vault, without, new)["whole"], "control: who knows nothing but the new key is told this log"
    verify(vault, without, old, expect=6)

    own = os.urandom(32)
    change = json.loads(lines[number])
    name, _, _ = old.split("+", 2)
    public = b"\1" + Ed25519PrivateKey.from_private_bytes(own).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    own_vkey = f"{name}+{hashlib.sha256(name.encode() + chr(10).encode() + public).hexdigest()[:8]}+{base64.b64encode(public).decode()}"
    change["audit_key"]["to"] = own_vkey
    forged = json.dumps(change, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    other = forge(tmp_path / "other", [*lines[:number], forged], own, own_vkey)
    verify(vault, other, old, expect=6)
    assert "not signed by both keys" in vault.stderr


def test_a_change_of_the_key_by_who_may_not(vault):
    body = b'{"what":"audit"}'
    assert vault.http("POST", "/v1/keys/rotate", body, {"Content-Type": "application/json"}, cert="auditor").status == 403
    assert vault.http("POST", "/v1/keys/rotate", b'{"what":"audit","retire":true}',
                      {"Content-Type": "application/json"}).status == 400


def test_the_key_in_force_survives_a_kill(vault):
    new = vault.ctl("key", "rotate", "audit")["vkey"]
    os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault serves again")
    assert vault.ctl("audit", "checkpoint")["vkey"] == new
