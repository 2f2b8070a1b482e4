"""A service fetches the proof that the record of its own access is in the log. It learns nothing by it that is not its own, and
whoever has the verifier key checks it without a vault, and against the record that an auditor shows."""
import base64
import hashlib
import json

import pytest

from scene import RESEARCH, TREATMENT, add_patient, deposit, file_path
from vault_under_test import running_vault


@pytest.fixture(scope="module")
def vault():
    with running_vault() as v:
        add_patient(v, "S-1")
        deposit(v, "S-1", "a.cram", b"A" * 1000)
        yield v


def access(vault, purpose=TREATMENT, cert="clinic", subject="S-1"):
    """The number of its record."""
    answer = vault.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose})
    return int(answer.headers["Audit-Seq"])


def line_of(vault, seq):
    size = vault.http("GET", "/v1/status").json()["records"]
    return vault.http("GET", f"/v1/audit/records?from={seq}&to={seq + 1}&tree={size}").body


def root_of(proof):
    """RFC 9162 2.1.3.2, from docs/format-audit.md."""
    size = int(proof["checkpoint"].split("\n")[1])
    node, last, value = proof["seq"], size - 1, base64.b64decode(proof["leaf"])
    for sibling in map(base64.b64decode, proof["proof"]):
        if node % 2 == 1 or node == last:
            value = hashlib.sha256(b"\1" + sibling + value).digest()
            while node % 2 == 0 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            value = hashlib.sha256(b"\1" + value + sibling).digest()
        node, last = node >> 1, last >> 1
    assert last == 0
    return value


def test_a_service_keeps_the_proof_of_its_own_access(vault, tmp_path):
    seq = access(vault)
    kept = tmp_path / "access.proof"
    proof = vault.ctl("audit", "proof", seq, "-o", kept, cert="clinic")
    assert proof["seq"] == seq and set(proof) == {"seq", "leaf", "proof", "checkpoint"}
    assert base64.b64encode(root_of(proof)).decode() == proof["checkpoint"].split("\n")[2]
    assert "S-1" not in kept.read_text() and len(kept.read_text()) < 4096
    for _ in range(40):
        access(vault)
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    report = vault.ctl("audit", "verify", kept, "--key", vkey)
    assert report["verified"] and report["seq"] == seq
    shown = tmp_path / "record.json"
    shown.write_bytes(line_of(vault, seq))
    assert base64.b64encode(hashlib.sha256(b"\0" + shown.read_bytes().rstrip(b"\n")).digest()).decode() == proof["leaf"]
    assert vault.ctl("audit", "verify", kept, "--key", vkey, "--record", shown)["verified"]
    assert b"the proof is of the record" in vault.ctl("audit", "verify", kept, "--key", vkey, "--record", shown, json=False)
    later = vault.ctl("audit", "proof", seq, cert="clinic")
    assert later["leaf"] == proof["leaf"] and later["checkpoint"] != proof["checkpoint"]


def test_whose_record_it_is_not_is_as_if_there_were_none(vault):
    own = access(vault, RESEARCH, "clinic", "S-2")  # denied is a record of its own, too
    assert vault.http("GET", f"/v1/audit/proofs/{own}", cert="clinic").status == 200
    others = access(vault, RESEARCH, "research")
    answers = [vault.http("GET", f"/v1/audit/proofs/{n}", cert="clinic") for n in (others, 0, 10**9)]
    assert [a.status for a in answers] == [404] * 3 and len({json.dumps(a.json()) for a in answers}) == 1
    assert vault.http("GET", f"/v1/audit/proofs/{others}", cert="auditor").status == 200
    assert vault.http("GET", f"/v1/audit/proofs/{others}").status == 200
    assert vault.http("GET", f"/v1/audit/proofs/{others}", cert="depositor").status == 404
    assert vault.http("GET", "/v1/audit/proofs/x", cert="clinic").status in (400, 404)
    vault.ctl("audit", "proof", others, cert="clinic", expect=4)
    vault.ctl("audit", "proof", "x", cert="clinic", expect=2)


def forged(of, **members):
    return json.dumps({**of, **members}).encode()


def test_a_proof_that_was_altered_is_refused(vault, tmp_path):
    seq = access(vault)
    for _ in range(5):
        access(vault)
    proof = vault.ctl("audit", "proof", seq, cert="clinic")
    other = vault.ctl("audit", "proof", seq - 1)
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    path = tmp_path / "proof"
    root = proof["checkpoint"].split("\n")[2]
    for text, told in ((forged(proof, seq=seq + 1), "root"), (forged(proof, leaf=other["leaf"]), "root"),
                       (forged(proof, proof=proof["proof"][:-1]), "root"), (forged(proof, proof=proof["proof"][::-1]), "root"),
                       (forged(proof, checkpoint=proof["checkpoint"].replace(root, base64.b64encode(b"\0" * 32).decode())), "signed"),
                       (forged(proof, checkpoint="none"), "checkpoint"), (forged(proof, leaf="x"), "no proof"),
                       (forged(proof, more=1), "no proof"), (b"{}", "no proof"), (b"\xff", "no proof"), (b"", "no proof")):
        path.write_bytes(text)
        vault.ctl("audit", "verify", path, "--key", vkey, expect=6)
        assert told in vault.stderr, (told, vault.stderr)
    path.write_bytes(forged(proof))
    record = tmp_path / "record"
    record.write_bytes(line_of(vault, seq).replace(b"S-1", b"S-2"))
    vault.ctl("audit", "verify", path, "--key", vkey, "--record", record, expect=6)
    name, _, key = vkey.split("+", 2)
    wrong = base64.b64encode(b"\1" + hashlib.sha256(base64.b64decode(key)).digest()).decode()
    forged_id = hashlib.sha256(name.encode() + b"\n" + base64.b64decode(wrong)).hexdigest()[:8]
    vault.ctl("audit", "verify", path, "--key", f"{name}+{forged_id}+{wrong}", expect=6)
    vault.ctl("audit", "verify", path, "--key", vkey, "--checkpoint", path, expect=2)
    vault.ctl("audit", "verify", tmp_path, "--key", vkey, "--record", record, expect=2)
