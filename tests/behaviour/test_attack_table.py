"""What can be done to a log and to what is exported of it, each done, and each noticed by three verifiers: vaultctl, a program in
Python, and one in Go that uses the packages of Go's own transparency log. vaultctl names the first bad line.

AUDIT_RECORDS: how many records the log has."""
import base64
import hashlib
import json
import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import scene
from scene import add_patient, deposit
from vault_under_test import ROOT, running_vault

RECORDS = int(os.environ.get("AUDIT_RECORDS", "2000"))
VAULTCTL, PYTHON, GO = "vaultctl", "Python", "Go"


@pytest.fixture(scope="module")
def go_verifier(tmp_path_factory):
    """Built without any network."""
    program = tmp_path_factory.mktemp("go") / "verify"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "CGO_ENABLED": "0",
                   "GOCACHE": str(program.parent / "cache"), "HOME": str(program.parent)}
    subprocess.run(["go", "build", "-o", program, ROOT / "tests" / "verify_go" / "verify.go"], check=True, env=environment, timeout=300)
    return program


class Log:
    """A vault's log at three moments: an old copy of its state, a checkpoint noted since, and what there is now."""

    def __init__(self, vault, folder):
        self.vault, self.folder = vault, folder
        for n in range(3):
            add_patient(vault, f"S-{n}")
            deposit(vault, f"S-{n}", "a.cram", b"A" * 100)
        scene.inquire(vault, RECORDS // 2, patients=3)
        scene.stop(vault)
        subprocess.run(["cp", "-a", vault.state, folder / "old"], check=True)
        self.start()
        scene.inquire(vault, RECORDS // 2, patients=3)
        self.noted = folder / "noted"
        vault.ctl("audit", "checkpoint", "-o", self.noted)
        self.vkey = vault.ctl("audit", "checkpoint")["vkey"]
        self.whole = self.export("whole")
        self.single = with_single_proofs(self.whole, folder / "single")
        self.subject = self.export("subject", "--subject", "S-1")

    def start(self):
        scene.start(self.vault)
        scene.wait_for(lambda: scene.seal_state(self.vault) == "unsealed", "it serves")

    def export(self, name, *options):
        self.vault.ctl("audit", "export", "--format", "jsonl", "-o", self.folder / name, *options)
        return self.folder / name

    def roll_back(self):
        """The state of before is put in the place of what there is, and lives on."""
        scene.stop(self.vault)
        shutil.rmtree(self.vault.state)
        subprocess.run(["cp", "-a", self.folder / "old", self.vault.state], check=True)
        self.start()


def levels_of(leaves):
    """The hashes of the complete subtrees, by their level."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(below[::2], below[1::2])])
    return levels


def subtree(levels, begin, count):
    """The root of so many leaves, which begin at a multiple of a power of two not smaller."""
    top = count.bit_length() - 1
    if count == 1 << top:
        return levels[top][begin >> top]
    return hashlib.sha256(b"\1" + subtree(levels, begin, 1 << top) + subtree(levels, begin + (1 << top), count - (1 << top))).digest()


def proof_of(levels, index, count, begin=0):
    """RFC 6962 2.1.1."""
    if count == 1:
        return []
    split = 1 << (count - 1).bit_length() - 1
    if index < split:
        return proof_of(levels, index, split, begin) + [subtree(levels, begin + split, count - split)]
    return proof_of(levels, index - split, count - split, begin + split) + [subtree(levels, begin, split)]


def with_single_proofs(whole, path):
    """An export of a whole log with a proof for each record: what can be done to it needs no other proofs than it has."""
    shutil.copytree(whole, path)
    lines = (whole / "records.jsonl").read_bytes().splitlines()
    levels = levels_of([hashlib.sha256(b"\0" + line).digest() for line in lines])
    with open(path / "proofs.jsonl", "w") as file:
        for seq in range(len(lines)):
            print(json.dumps({"seq": seq, "proof": [base64.b64encode(h).decode() for h in proof_of(levels, seq, len(lines))]}), file=file)
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    with running_vault() as vault:
        yield Log(vault, tmp_path_factory.mktemp("log"))


def verdicts(log, go_verifier, path, *earlier):
    """Of each verifier: None if it takes it, else what it says."""
    found = {}
    vaultctl = log.vault.env["PATH"].split(":")[0] + "/vaultctl"
    commands = {VAULTCTL: [vaultctl, "audit", "verify", path, "--key", log.vkey, *(("--checkpoint", earlier[0]) if earlier else ())],
                PYTHON: ["/usr/bin/python3", ROOT / "tests" / "verify_audit.py", path, log.vkey, *earlier],
                GO: [go_verifier, path, log.vkey, *earlier]}
    for name, command in commands.items():
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
        found[name] = None if done.returncode == 0 else done.stderr
    return found


def short_takes(log, path):
    """Whether the least that verifies an export by number does: forty lines of Python."""
    command = ["/usr/bin/python3", ROOT / "tests" / "verify_short.py", path, log.vkey]
    return subprocess.run(list(map(str, command)), capture_output=True, timeout=600).returncode == 0


def copy_of(path, tmp_path):
    return shutil.copytree(path, tmp_path / "export")


def change(path, edit):
    """Both files of lines, edited alike."""
    for name in ("records.jsonl", "proofs.jsonl"):
        lines = (path / name).read_bytes().splitlines(keepends=True)
        edit(lines, name)
        (path / name).write_bytes(b"".join(lines))


AT = 500


def changed(lines, name):
    if name == "records.jsonl":
        assert b'"clinic"' in lines[AT]
        lines[AT] = lines[AT].replace(b'"clinic"', b'"cliniq"', 1)


def deleted(lines, name):
    del lines[AT]


def inserted(lines, name):
    lines.insert(AT, lines[AT - 1])


def invented(lines, name):
    if name == "records.jsonl":
        lines[AT] = lines[AT].replace(b'"permitted"', b'"denied"', 1)


def reordered(lines, name):
    lines[AT], lines[AT + 1] = lines[AT + 1], lines[AT]


def cut_in_a_line(lines, name):
    if name == "records.jsonl":
        lines[-1] = lines[-1][:-20]


def cut_of_records(lines, name):
    if name == "records.jsonl":
        del lines[-1]


ATTACKS = {f.__name__: (f, line) for f, line in (
    (changed, AT + 1), (deleted, AT + 1), (inserted, AT + 1), (invented, AT + 1), (reordered, AT + 1), (cut_in_a_line, None),
    (cut_of_records, None))}


def refused_at(log, go_verifier, path, line, attack=None):
    found = verdicts(log, go_verifier, path)
    assert all(found.values()), found
    line = line or len((log.whole / "records.jsonl").read_bytes().splitlines())
    named = lambda verifier: f"line {line} " in found[verifier] or f"line {line}:" in found[verifier] or f"lines {line} to" in found[verifier]
    assert named(VAULTCTL) and (attack == "cut_in_a_line" or named(PYTHON)), found


def test_what_was_not_attacked_is_good(log, go_verifier):
    for path in (log.whole, log.single, log.subject):
        assert verdicts(log, go_verifier, path) == {VAULTCTL: None, PYTHON: None, GO: None}
    assert verdicts(log, go_verifier, log.whole, log.noted) == {VAULTCTL: None, PYTHON: None, GO: None}
    assert len((log.whole / "records.jsonl").read_bytes().splitlines()) >= RECORDS
    assert short_takes(log, log.whole) and short_takes(log, log.single)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_export_that_was_altered_is_refused_at_its_first_bad_line(log, go_verifier, attack, tmp_path):
    edit, line = ATTACKS[attack]
    path = copy_of(log.single, tmp_path)
    change(path, edit)
    refused_at(log, go_verifier, path, line, attack)
    assert not short_takes(log, path)


@pytest.mark.parametrize("attack", ATTACKS)
def test_so_it_is_where_a_proof_is_for_many_records(log, go_verifier, attack, tmp_path):
    edit, line = ATTACKS[attack]
    path = copy_of(log.whole, tmp_path)
    assert len((path / "proofs.jsonl").read_bytes().splitlines()) < RECORDS // 50
    change(path, lambda lines, name: edit(lines, name) if name == "records.jsonl" else None)
    refused_at(log, go_verifier, path, line, attack)
    assert not short_takes(log, path)


def block_at(path):
    """The line of proofs.jsonl that proves record AT, and the first and last record that it proves."""
    proofs = [json.loads(line) for line in (path / "proofs.jsonl").read_text().splitlines()]
    at = next(n for n, proof in enumerate(proofs) if proof["seq"] >= AT)
    return at, proofs[at]["seq"] - len(base64.b64decode(proofs[at]["leaves"])) // 32 + 1, proofs[at]["seq"]


def test_records_that_are_deleted_with_the_proof_of_all_of_them_are_missing(log, go_verifier, tmp_path):
    path = copy_of(log.whole, tmp_path)
    at, first, last = block_at(path)

    def edit(lines, name):
        del lines[slice(first, last + 1) if name == "records.jsonl" else at]
    change(path, edit)
    refused_at(log, go_verifier, path, first + 1)


@pytest.mark.parametrize("record_too", [False, True])
def test_a_leaf_that_is_changed_is_refused_with_the_records_that_are_proven_with_it(log, go_verifier, record_too, tmp_path):
    path = copy_of(log.whole, tmp_path)
    at, first, _ = block_at(path)
    if record_too:
        change(path, changed)
    line = (path / "records.jsonl").read_bytes().splitlines()[AT]

    def edit(lines, name):
        if name == "proofs.jsonl":
            proof = json.loads(lines[at])
            leaves = bytearray(base64.b64decode(proof["leaves"]))
            leaves[32 * (AT - first):32 * (AT - first + 1)] = hashlib.sha256(b"\0" + line if record_too else b"").digest()
            lines[at] = json.dumps({**proof, "leaves": base64.b64encode(leaves).decode()}).encode() + b"\n"
    change(path, edit)
    refused_at(log, go_verifier, path, first + 1)
    assert f"line {at + 1} of proofs.jsonl" in verdicts(log, go_verifier, path)[VAULTCTL]


@pytest.mark.parametrize("at", [1, -2])
def test_a_record_left_out_of_an_export_of_a_patient_is_refused(log, go_verifier, at, tmp_path):
    path = copy_of(log.subject, tmp_path)
    records = (path / "records.jsonl").read_bytes().splitlines()
    count, seq = len(records), json.loads(records[at])["seq"]

    def edit(lines, name):
        """With its proof, where that is of it alone."""
        lines[:] = [line for line in lines if json.loads(line)["seq"] != seq or b'"leaves"' in line]
    change(path, edit)
    found = verdicts(log, go_verifier, path)
    assert all(found.values()) and f"line {at % count + 1}" in found[VAULTCTL], found


def cut(path, at):
    """Good records, each with its proof, and fewer of them."""
    def edit(lines, name):
        del lines[at]
    change(path, edit)
    return path


@pytest.mark.parametrize("at", [slice(-100, None), slice(0, 100)], ids=["end", "beginning"])
@pytest.mark.parametrize("of", ["single", "subject"])
def test_an_export_cut_at_an_end_is_not_what_was_asked_for(log, go_verifier, of, at, tmp_path):
    """The export's own record says what that was. Without it, what is left is a good export of less, and says so."""
    path = cut(copy_of(getattr(log, of), tmp_path), at)
    found = verdicts(log, go_verifier, path)
    assert all(found.values()), found
    if of == "subject":  # a proof of many records went with them, and is missed first
        return
    assert all("cut" in said for said in found.values()), found
    (path / "asked.jsonl").unlink()
    report = log.vault.ctl("audit", "verify", path, "--key", log.vkey)
    assert report["whole"] is False and report["records"] < report["tree_size"] and report["asked"] is None and report["complete"] is None
    said = subprocess.run([str(go_verifier), str(path), log.vkey], capture_output=True, text=True, check=True).stdout
    assert "whole false" in said and "asked for false" in said


def test_what_was_asked_for_is_of_this_export_alone(log, go_verifier, tmp_path):
    """The record of an earlier export of less, a forged one, and one without its proof."""
    less = tmp_path / "less"
    log.vault.ctl("audit", "export", "--format", "jsonl", "-o", less, "--from", 0, "--to", 100)
    path = copy_of(log.single, tmp_path)
    good = (path / "asked.jsonl").read_bytes()
    record, proof = good.splitlines(keepends=True)
    for asked in ((less / "asked.jsonl").read_bytes(), record + record, record, b"", proof + proof, good + record,
                  record.replace(b'"exported":{"from":0,', b'"exported":{"from":1,') + proof):
        assert asked != good
        (path / "asked.jsonl").write_bytes(asked)
        found = verdicts(log, go_verifier, path)
        assert all(found.values()), (asked, found)


def sign(seed, name, size, root):
    """A checkpoint by another key under the same name."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = b"\1" + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    body = f"{name}\n{size}\n{root}\n"
    signature = base64.b64encode(key_id + key.sign(body.encode())).decode()
    return f"{body}\n\u2014 {name} {signature}\n"


def test_a_checkpoint_signed_by_another_key_is_refused(log, go_verifier, tmp_path):
    path = copy_of(log.whole, tmp_path)
    name, size, root = (path / "checkpoint").read_text().split("\n")[:3]
    (path / "checkpoint").write_text(sign(bytes(range(32)), name, size, root))
    assert all(verdicts(log, go_verifier, path).values())
    # With the id of the right key on it.
    body, line = sign(bytes(range(32)), name, size, root).split("\n\n")
    forged = base64.b64decode(line.split(" ")[2])
    forged = bytes.fromhex(log.vkey.split("+")[1]) + forged[4:]
    (path / "checkpoint").write_text(f"{body}\n\n\u2014 {name} {base64.b64encode(forged).decode()}\n")
    assert all(verdicts(log, go_verifier, path).values())


def test_a_log_that_was_rolled_back_cut_or_forked_shows_against_a_noted_checkpoint(log, go_verifier, tmp_path):
    log.roll_back()
    shorter = log.export("shorter")
    assert verdicts(log, go_verifier, shorter) == {VAULTCTL: None, PYTHON: None, GO: None}, "by itself it is a good log"
    found = verdicts(log, go_verifier, shorter, log.noted)
    assert all("the log was cut" in said for said in found.values()), found
    size = int(log.noted.read_text().split("\n")[1])
    there = log.vault.http("GET", "/v1/status").json()["records"]
    scene.inquire(log.vault, size - there + 32, patients=3)
    longer = log.export("longer")
    found = verdicts(log, go_verifier, longer, log.noted)
    assert all("the log was rewritten" in said for said in found.values()), found
    # Two checkpoints of one size: the other is signed, and of the same log.
    fork = tmp_path / "fork"
    log.vault.ctl("audit", "checkpoint", "-o", fork)
    pair = [json.dumps(p.read_text().split("\n")[0]) for p in (fork, log.noted)]
    assert pair[0] == pair[1] and fork.read_text() != log.noted.read_text()
