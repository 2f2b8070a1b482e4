"""vaultctl without a vault: its words, its statuses, the requests that it makes, and what it leaves behind."""
import base64
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sanitizers import assert_no_report
from vault_double import REQUEST_ID, Answer, VaultDouble

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("VAULT_BIN", ROOT / "build" / "bin")) / "vaultctl"
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
FILE_ID = "ffeeddccbbaa99887766554433221100"
FILE = {"id": FILE_ID, "subject": "S-1", "name": "f.vcf", "dataset": None, "tags": [], "size": 3, "sha256": "00",
        "deposited": "2026-11-23T00:00:00.000000Z", "service": "depositor"}


def environment():
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8",
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}


def run(*words, env=None, stdin=b""):
    done = subprocess.run([str(PROGRAM), *map(str, words)], capture_output=True, timeout=60, input=stdin,
                          env={**environment(), **(env or {})})
    assert_no_report(done.stderr.decode(errors="replace"), "what vaultctl said")
    return done


@pytest.fixture
def vault(tmp_path):
    double = VaultDouble(tmp_path)
    yield double
    double.close()


@pytest.fixture
def ask(vault):
    return lambda *words, **more: run("--socket", vault.socket, *words, **more)


def problem(status, kind="about:blank", reasons=()):
    return Answer(status, {"type": kind, "title": "No", "status": status,
                           "reasons": [{"rule": r, "text": t} for r, t in reasons]})


def command_names():
    text = run("--help").stdout.decode()
    return re.findall(r"^  ([a-z-]+(?: [a-z-]+){0,2})  +\S", text.split("Options of every command")[0], re.M)


def options_of(name):
    text = run(*name.split(), "--help").stdout.decode()
    own = re.search(r"^Options:\n(.*?)\n\n", text, re.M | re.S)
    return set(re.findall(r"--[a-z0-9-]+", "\n".join(line[:28] for line in own[1].splitlines()))) if own else set()


def digest(content):
    return "sha-256=:" + base64.b64encode(hashlib.sha256(content).digest()).decode() + ":"


# Words and statuses

def test_help_of_every_command_has_an_example():
    names = command_names()
    assert len(names) == 70
    for name in names:
        done = run(*name.split(), "--help")
        assert done.returncode == 0 and done.stderr == b""
        assert f"Usage: vaultctl {name}" in done.stdout.decode()
        assert re.search(rf"Example:\n  vaultctl {name}", done.stdout.decode()), name


@pytest.mark.parametrize("words, named", [
    (["frob"], "frob"), (["gc"], "gc"), (["restore"], "NAME"), (["restore", "N", "--checkpoint", "x"], "--checkpoint"), (["backup"], "NAME"), (["backup", "N", "--list"], "N"), (["subject", "shred"], "SUBJECT"),
    (["pending", "approve", "x"], "x"), (["remove", "nothing"], "nothing"), (["policy", "replay", "x"], "x"),
    (["status", "--frob"], "--frob"), (["get", "S/f", "--purpose", "treatment", "--crypt4gh-to", "k"], "--crypt4gh-to"),
    (["get", "S/f"], "--purpose"), (["get", "nothing", "--purpose", "treatment"], "nothing"),
    (["get", "S/f", "--purpose", "treatment", "--range", "9-3"], "--range"),
    (["get", "S/f", "--purpose", "treatment\nX: y"], "--purpose"),
    (["put", "x", "--subject", "S\x01"], "--subject"), (["put", "x"], "--subject"), (["subject", "change", "S"], "--opt-out"),
    (["policy", "explain", "--purpose", "treatment"], "--file"), (["key", "rotate", "moon"], "moon"),
    (["audit", "export", "--format", "xml", "-o", "x"], "xml"), (["audit", "tail", "-n", "none"], "-n"),
    (["audit", "verify", "x", "--key", "nonsense"], "--key"), (["--socket", "/s", "--url", "https://x", "status"], "--url"),
    (["--url", "http://x", "status"], "--url"), ([], "command"), (["subject"], "subject"),
])
def test_wrong_usage_is_2_and_names_its_cause(words, named):
    done = run(*words)
    assert done.returncode == 2 and done.stdout == b""
    assert named in done.stderr.decode()
    done = run(*words, "--json")
    assert done.returncode == 2 and json.loads(done.stdout)["exit"] == 2


def test_socket_that_nobody_serves_is_5_and_named(tmp_path):
    done = run("status", env={"VAULT_SOCKET": str(tmp_path / "none")})
    assert done.returncode == 5 and str(tmp_path / "none") in done.stderr.decode()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    done = run("--socket", tmp_path / "dead", "status", "--json")
    assert done.returncode == 5 and json.loads(done.stdout)["exit"] == 5
    done = run("--url", "https://127.0.0.1:1", "status")
    assert done.returncode == 5 and b"127.0.0.1:1" in done.stderr


def test_paths_that_are_not_there_are_named(ask, tmp_path, vault):
    gone = tmp_path / "gone"
    for words in (["put", gone, "--subject", "S"], ["consent", "set", "S", gone], ["policy", "load", gone],
                  ["audit", "verify", gone, "--key", VKEY], ["audit", "verify", tmp_path, "--key", f"@{gone}"],
                  ["audit", "verify", tmp_path, "--key", VKEY, "--checkpoint", gone],
                  ["get", "S/f", "--purpose", "treatment", "-o", gone / "f"]):
        done = ask(*words)
        assert done.returncode == 1 and str(gone) in done.stderr.decode(), words
    done = run("--url", "https://127.0.0.1:1", "--cert", gone, "status")
    assert done.returncode == 2 and str(gone) in done.stderr.decode()
    assert vault.requests == []


@pytest.mark.parametrize("status, kind, exit_status", [
    (400, "about:blank", 2), (401, "about:blank", 3), (403, "about:blank", 3), (404, "about:blank", 4),
    (409, "about:blank", 1), (422, "about:blank", 6), (423, "about:blank", 5), (429, "about:blank", 1),
    (500, "about:blank", 1), (500, "urn:vault:problem:integrity", 6), (503, "about:blank", 1), (507, "about:blank", 1),
])
def test_statuses_of_http_become_exit_statuses(ask, vault, status, kind, exit_status):
    vault.answers["GET"] = problem(status, kind, [("rule-a", "because of a"), ("rule-b", "because\x1b[31m of b")])
    done = ask("status")
    assert done.returncode == exit_status and done.stdout == b""
    text = done.stderr.decode()
    assert "rule-a: because of a" in text and "rule-b: because?[31m of b" in text and REQUEST_ID in text
    done = ask("status", "--json")
    assert done.returncode == exit_status
    assert json.loads(done.stdout)["status"] == status and json.loads(done.stdout)["request"] == REQUEST_ID


def test_answer_that_is_no_json_is_a_failure(ask, vault):
    vault.answers["GET"] = Answer(200, body=b"<html>")
    assert ask("status").returncode == 1
    vault.answers["GET"] = Answer(502, body=b"<html>")
    assert ask("status", "--json").returncode == 1


# Requests

def change(version):
    return Answer(200, {"subject": "S-1", "version": version, "ended": 0})


SERVICE = {"name": "c", "san": "u", "roles": [], "purposes": [], "added": "t", "revoked": None}
STATUS = {"seal": "sealed", "dev": True, "version": "1"}
DECISION = {"permitted": False, "reasons": [{"rule": "r", "text": "t"}], "obligations": ["no-report"]}


@pytest.mark.parametrize("words, method, path, body, answer", [
    (["status"], "GET", "/v1/status", None, STATUS), (["unseal"], "POST", "/v1/unseal", None, STATUS),
    (["seal"], "POST", "/v1/seal", None, STATUS),
    (["init"], "POST", "/v1/init", None, {"vault": "v", "origin": "o", "vkey": "k"}),
    (["subject", "add", "S-1"], "POST", "/v1/subjects", {"subject": "S-1", "opt_out": False}, {"subject": "S-1"}),
    (["subject", "add", "S-1", "--opt-out"], "POST", "/v1/subjects", {"subject": "S-1", "opt_out": True}, {}),
    (["subject", "change", "S-1", "--no-opt-out"], "PATCH", "/v1/subjects/S-1", {"opt_out": False}, {}),
    (["subject", "show", "a/../b"], "GET", "/v1/subjects/a%2f..%2fb", None, {}),
    (["subject", "show", ".."], "GET", "/v1/subjects/..", None, {}),
    (["consent", "show", "S-1", "--history"], "GET", "/v1/consents/S-1?history=1", None, {"consents": []}),
    (["consent", "withdraw", "S-1"], "DELETE", "/v1/consents/S-1", None, {"version": 2}),
    (["consent", "withdraw", "S-1", "--purpose", "research"], "DELETE", "/v1/consents/S-1?purpose=research", None, {}),
    (["service", "add", "c", "--san", "urn:x", "--role", "reader", "auditor", "--purpose", "treatment"], "POST",
     "/v1/services", {"name": "c", "san": "urn:x", "roles": ["reader", "auditor"], "purposes": ["treatment"]}, SERVICE),
    (["service", "add", "c", "--san", "urn:x", "--role", "depositor"], "POST", "/v1/services",
     {"name": "c", "san": "urn:x", "roles": ["depositor"]}, SERVICE),
    (["service", "show", "c"], "GET", "/v1/services/c", None, SERVICE),
    (["service", "revoke", "c"], "DELETE", "/v1/services/c", None, SERVICE),
    (["project", "add", "P1", "--title", "T é", "--service", "a", "--service", "b"], "POST", "/v1/projects",
     {"name": "P1", "title": "T é", "services": ["a", "b"]}, {}),
    (["project", "close", "P1"], "DELETE", "/v1/projects/P1", None, {}),
    (["ethics", "add", "A1", "--project", "P1", "--dataset", "D1,D2", "--until", "2028-01-01"], "POST", "/v1/ethics",
     {"name": "A1", "project": "P1", "datasets": ["D1", "D2"], "until": "2028-01-01"}, {}),
    (["ethics", "revoke", "A1"], "DELETE", "/v1/ethics/A1", None, {}),
    (["policy", "replay", "4711"], "GET", "/v1/decisions/4711", None, {"same": True, "permitted": True, "verdict": "permit", "reasons": [], "obligations": [], "recorded": {"seq": 4711}}),
    (["policy", "show"], "GET", "/v1/policy", None, {"name": "n", "rules": [{"id": "r", "text": "t"}]}),
    (["policy", "explain", "--service", "s", "--purpose", "treatment", "--file", "S-1/f"], "POST", "/v1/decisions",
     {"subject": "S-1", "name": "f", "purpose": "treatment", "service": "s"}, DECISION),
    (["policy", "explain", "--service", "s", "--purpose", "treatment", "--file", FILE_ID], "POST", "/v1/decisions",
     {"file": FILE_ID, "purpose": "treatment", "service": "s"}, DECISION),
    (["policy", "explain", "--service", "s", "--purpose", "treatment", "--subject", "S-1"], "POST", "/v1/decisions",
     {"subject": "S-1", "purpose": "treatment", "service": "s"}, DECISION),
    (["show", FILE_ID], "GET", f"/v1/files/{FILE_ID}/metadata", None, FILE),
    (["key", "list"], "GET", "/v1/keys", None, {"epoch": 1, "generations": [{"generation": 1, "state": "active"}]}),
    (["key", "jobs"], "GET", "/v1/jobs", None, {"jobs": []}),
    (["key", "escrow", "destroyed", "E12", "--statement", "burnt, all of it"], "POST", "/v1/keys/escrows/12/destroyed",
     {"statement": "burnt, all of it"}, {"pending": 3, "what": "key.escrow.destroyed"}),
    (["key", "jobs", "pause", "3"], "POST", "/v1/jobs/3/pause", None, {"id": 3, "state": "paused"}),
    (["key", "jobs", "resume", "3"], "POST", "/v1/jobs/3/resume", None, {"id": 3, "state": "running"}),
    (["--json", "key", "jobs", "rate", "3", "50"], "POST", "/v1/jobs/3/rate", {"rate": 50}, {"id": 3, "rate": 50}),
    (["key", "rotate", "kek", "--no-wait"], "POST", "/v1/keys/rotate", {"what": "kek"}, {"id": 1, "state": "running"}),
    (["audit", "checkpoint"], "GET", "/v1/audit/checkpoint", None, {"checkpoint": "o\n1\nr\n", "vkey": "v"}),
    (["request", "show", REQUEST_ID], "GET", f"/v1/requests/{REQUEST_ID}", None, {"request": REQUEST_ID, "status": 0}),
])
def test_command_makes_its_request_and_prints_its_answer(ask, vault, words, method, path, body, answer):
    vault.answers[method, path] = Answer(200, answer)
    done = ask(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout != b""
    request = vault.requests[0]
    assert (request.method, request.path) == (method, path)
    assert request.body == b"" if body is None else request.json == body
    assert request.headers.get("Content-Type") == (None if body is None else "application/json")
    done = ask(*words, "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == answer and done.stderr == b""


@pytest.mark.parametrize("words, path, member", [
    (["subject", "list"], "/v1/subjects", "subjects"), (["service", "list"], "/v1/services", "services"),
    (["project", "list"], "/v1/projects", "projects"), (["ethics", "list"], "/v1/ethics", "approvals"),
    (["list", "--subject", "S-1"], "/v1/files?subject=S-1", "files"),
    (["key", "escrow", "list"], "/v1/keys/escrows", "escrows"),
])
def test_lists_follow_their_pages(ask, vault, words, path, member):
    second = path + ("&" if "?" in path else "?") + "cursor=c%3d1"
    vault.answers["GET", path] = Answer(200, {member: [{"name": "a", "subject": "a"}], "next": "c=1"})
    vault.answers["GET", second] = Answer(200, {member: [{"name": "b", "subject": "b"}], "next": None})
    done = ask(*words, "--json")
    assert done.returncode == 0
    assert [row["name"] for row in json.loads(done.stdout)[member]] == ["a", "b"]
    assert len(ask(*words).stdout.splitlines()) == 3
    vault.answers["GET", second] = Answer(200, {member: [], "next": "c=1"})
    assert ask(*words).returncode == 1


def test_documents_are_sent_as_they_are(ask, vault, tmp_path):
    consent = {"subject": "S-1", "signed": "2026-11-22", "permits": {"treatment": True}}
    (tmp_path / "c.json").write_text(json.dumps(consent))
    vault.answers["PUT"] = change(1)
    assert ask("consent", "set", "S-1", tmp_path / "c.json").returncode == 0
    assert vault.requests[-1].path == "/v1/consents/S-1" and vault.requests[-1].json == consent
    (tmp_path / "bad.json").write_text('{"subject": "S-1",\n "signed" }')
    done = ask("consent", "set", "S-1", tmp_path / "bad.json")
    assert done.returncode == 2 and b"line 2" in done.stderr and len(vault.requests) == 1
    vault.answers["PUT"] = Answer(200, {"name": "p", "version": 1, "hash": "h", "rules": 3})
    done = ask("policy", "load", "-", stdin=b"name: p\n")
    assert done.returncode == 0 and vault.requests[-1].body == b"name: p\n"
    assert vault.requests[-1].headers["Content-Type"] == "application/yaml"


def test_show_finds_the_id_of_a_name(ask, vault):
    purpose = 'research;project="P1"'
    vault.answers["GET", "/v1/files?subject=S-1&purpose=research%3bproject%3d%22P1%22"] = Answer(
        200, {"files": [{**FILE, "name": "other", "id": "0" * 32}, FILE], "next": None})
    vault.answers["GET", f"/v1/files/{FILE_ID}/metadata"] = Answer(200, FILE)
    done = ask("show", "S-1/f.vcf", "--purpose", purpose, "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == FILE
    assert vault.requests[-1].headers["Purpose"] == purpose
    assert ask("show", "S-1/none", "--purpose", purpose).returncode == 3
    vault.answers["GET", "/v1/files?subject=S-1"] = Answer(200, {"files": [FILE], "next": None})
    assert ask("show", "S-1/none").returncode == 4


RING = base64.urlsafe_b64encode(b"ring").decode().rstrip("=")
SHARE = {"number": 1, "container": base64.urlsafe_b64encode(b"share").decode().rstrip("=")}


@pytest.mark.parametrize("answer, text", [
    ({"containers": [SHARE, {**SHARE, "number": 2}]}, "no key ring"),
    ({"keyring": "%%", "containers": [SHARE, {**SHARE, "number": 2}]}, "no key ring"),
    ({"keyring": RING, "containers": [SHARE]}, "each share"),
    ({"keyring": RING, "containers": [SHARE, {"number": 2, "container": "%"}]}, "no share"),
    ({"keyring": RING, "containers": [SHARE, SHARE]}, "share-1.c4gh"),
])
def test_escrow_copy_that_cannot_be_kept_whole_leaves_nothing_and_is_named(ask, vault, tmp_path, answer, text):
    """The vault counts it: whoever asked has to say that it is gone."""
    for name in ("anna", "bo"):
        run("share", "keys", tmp_path / name)
    words = ["key", "escrow", "--shares", 2, "--threshold", 2, "--to", tmp_path / "anna.pub", "--to", tmp_path / "bo.pub",
             "-o", tmp_path / "copy"]
    vault.answers["POST", "/v1/keys/escrows"] = Answer(201, {"escrow": "E7", **answer})
    done = ask(*words)
    assert done.returncode == 1 and text in done.stderr.decode()
    assert "'key escrow destroyed': E7" in done.stderr.decode()
    assert not (tmp_path / "copy").exists()
    vault.answers["POST", "/v1/keys/escrows"] = Answer(201, {"escrow": "E8", "keyring": RING,
                                                             "containers": [SHARE, {**SHARE, "number": 2}]})
    assert ask(*words).returncode == 0
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == ["keyring", "share-1.c4gh", "share-2.c4gh"]
    assert (tmp_path / "copy" / "keyring").read_bytes() == b"ring"


def test_rotation_is_followed_to_its_end(ask, vault):
    job = {"id": "7", "what": "kek", "generation": 2, "done": 0, "total": 9, "state": "running"}
    vault.answers["POST"] = Answer(202, job)
    vault.answers["GET"] = [Answer(200, {"jobs": [{**job, "done": 5}]}),
                            Answer(200, {"jobs": [{**job, "done": 9, "state": "done"}]})]
    done = ask("key", "rotate", "kek", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["state"] == "done" and done.stderr == b""
    assert [r.method for r in vault.requests] == ["POST", "GET", "GET"]


@pytest.mark.parametrize("held", [{"state": "paused", "held_by": None}, {"state": "waiting", "held_by": 6}])
def test_rotation_that_a_paused_job_holds_is_not_waited_for(ask, vault, held):
    job = {"id": 7, "what": "kek", "generation": 2, "done": 0, "total": 9, "state": "running"}
    vault.answers["POST"] = Answer(202, job)
    vault.answers["GET"] = [Answer(200, {"jobs": [{**job, "done": 5}]}), Answer(200, {"jobs": [{**job, **held}]})]
    done = ask("key", "rotate", "kek")
    assert done.returncode == 1 and b"paused" in done.stderr


# Content

def test_put_sends_digest_and_content(ask, vault, tmp_path):
    content = os.urandom(3_000_001)
    path = tmp_path / "a b.cram"
    path.write_bytes(content)
    whole = hashlib.sha256(content).hexdigest()
    receipt = {**FILE, "name": "a b.cram", "size": len(content), "sha256": whole}
    vault.answers["PUT"] = Answer(201, receipt)
    done = ask("put", path, "--subject", "S-1", "--dataset", "D1", "--tag", "x", "--tag", "y", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == receipt
    request = vault.requests[0]
    assert request.path == "/v1/subjects/S-1/files/a%20b.cram" and request.body == content
    assert request.headers["Repr-Digest"] == digest(content)
    assert request.headers["Content-Length"] == str(len(content))
    assert request.headers["Expect"] == "100-continue"
    assert request.headers["Vault-Dataset"] == "D1" and request.headers["Vault-Tags"] == "x,y"
    ask("put", path, "--subject", "S-1", "--name", "n", "--dataset", "D2")
    assert vault.requests[1].path == "/v1/subjects/S-1/files/n" and vault.requests[1].headers["Vault-Dataset"] == "D2"


def test_put_of_an_empty_file(ask, vault, tmp_path):
    (tmp_path / "e").write_bytes(b"")
    vault.answers["PUT"] = Answer(201, {**FILE, "sha256": hashlib.sha256(b"").hexdigest()})
    assert ask("put", tmp_path / "e", "--subject", "S").returncode == 0
    assert vault.requests[0].headers["Content-Length"] == "0"


def test_put_notices_another_digest_in_the_receipt(ask, vault, tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    vault.answers["PUT"] = Answer(201, {**FILE, "sha256": "0" * 64})
    done = ask("put", tmp_path / "f", "--subject", "S", "--json")
    assert done.returncode == 6 and json.loads(done.stdout)["exit"] == 6


def test_put_refuses_what_is_no_regular_file(ask, vault, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        done = ask("put", path, "--subject", "S", "--name", "n")
        assert done.returncode == 1 and str(path) in done.stderr.decode()
    assert vault.requests == []


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def content_answer(content, **more):
    headers = {"Repr-Digest": digest(content), **more.pop("headers", {})}
    return Answer(more.pop("status", 200), body=content, headers=headers, **more)


def test_get_writes_the_whole_file(ask, vault, out):
    content = os.urandom(2_000_003)
    vault.answers["GET"] = content_answer(content)
    purpose = 'research;project="P1";approval="A1"'
    done = ask("get", "S-1/f", "--purpose", purpose, "-o", out / "f")
    assert done.returncode == 0 and done.stdout == b"" and done.stderr == b""
    assert (out / "f").read_bytes() == content and os.listdir(out) == ["f"]
    assert (out / "f").stat().st_mode & 0o077 == 0
    assert vault.requests[0].headers["Purpose"] == purpose and "Range" not in vault.requests[0].headers
    done = ask("get", FILE_ID, "--purpose", purpose)
    assert done.stdout == content and vault.requests[1].path == f"/v1/files/{FILE_ID}"
    done = ask("get", FILE_ID, "--purpose", purpose, "-o", out / "f", "--json")
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(content).hexdigest()


def test_get_of_a_range_takes_only_that_range(ask, vault, out):
    def answer(first, last):
        return content_answer(b"cde", status=206, headers={"Content-Range": f"bytes {first}-{last}/9"})
    words = ["get", "S/f", "--purpose", "treatment", "--range", "2-4", "-o", out / "f"]
    vault.answers["GET"] = answer(2, 4)
    assert ask(*words).returncode == 0 and (out / "f").read_bytes() == b"cde"
    assert vault.requests[0].headers["Range"] == "bytes=2-4"
    (out / "f").unlink()
    for wrong in (answer(3, 5), answer(1, 3), answer(2, 3), answer(2, 9), content_answer(b"cde")):
        vault.answers["GET"] = wrong
        assert ask(*words).returncode == 1 and os.listdir(out) == []


def test_get_refuses_content_of_another_digest(ask, vault, out):
    (out / "f").write_bytes(b"old")
    vault.answers["GET"] = content_answer(b"good", headers={"Repr-Digest": digest(b"evil")})
    done = ask("get", "S/f", "--purpose", "treatment", "-o", out / "f")
    assert done.returncode == 6 and (out / "f").read_bytes() == b"old" and os.listdir(out) == ["f"]
    assert ask("get", "S/f", "--purpose", "treatment").returncode == 6


@pytest.mark.parametrize("fate, exit_status, text", [
    ({"outcome": "failed", "state": "ended", "status": 6}, 6, "damage"),
    ({"outcome": "revoked", "state": "ended", "status": 3}, 3, "revoked"),
    ({"outcome": "interrupted", "state": "ended", "status": 1}, 1, "interrupted"),
    ({"outcome": "done", "state": "ended", "status": 0}, 1, "broke"),
    (None, 1, "could not be asked"),
])
def test_get_that_breaks_off_asks_why_and_leaves_no_file(ask, vault, out, fate, exit_status, text):
    vault.answers["GET"] = content_answer(bytes(1000), cut=500)
    asked = ("GET", f"/v1/requests/{REQUEST_ID}")
    vault.answers[asked] = problem(404) if fate is None else [
        Answer(200, {"request": REQUEST_ID, "outcome": "running", "state": "running", "status": 0}), Answer(200, fate)]
    done = ask("get", "S/f", "--purpose", "treatment", "-o", out / "f", "--json")
    assert done.returncode == exit_status and text in done.stderr.decode()
    assert json.loads(done.stdout)["exit"] == exit_status
    assert os.listdir(out) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_get_leaves_no_file(vault, out, number):
    gate = threading.Event()
    vault.answers["GET"] = content_answer(bytes(100_000), cut=50_000, wait=gate)
    # By its default: what a script has started in the background ignores SIGINT, and so would all that it starts.
    child = subprocess.Popen([PROGRAM, "--socket", vault.socket, "get", "S/f", "--purpose", "treatment", "-o", out / "f"],
                             stderr=subprocess.PIPE, env=environment(),
                             preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size for p in out.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(os.listdir(out)) == 1
    child.send_signal(number)
    child.communicate(timeout=60)
    gate.set()
    assert child.returncode == -number and os.listdir(out) == []


def test_get_keeps_devices_and_refuses_folders(ask, vault, out):
    vault.answers["GET"] = content_answer(b"abc")
    assert ask("get", "S/f", "--purpose", "treatment", "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    before = len(vault.requests)
    assert ask("get", "S/f", "--purpose", "treatment", "-o", out).returncode == 1
    assert len(vault.requests) == before
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "--socket", vault.socket, "get", "S/f", "--purpose", "treatment"], stdout=full,
                              stderr=subprocess.PIPE, env=environment(), timeout=60)
    assert done.returncode == 1 and b"No space" in done.stderr
    assert ask("get", "S/f", "--purpose", "treatment", "--json").returncode == 2


def test_denied_get_leaves_no_file(ask, vault, out):
    vault.answers["GET"] = problem(403, reasons=[("no-purpose", "the service may not claim it")])
    done = ask("get", "S/f", "--purpose", "treatment", "-o", out / "f")
    assert done.returncode == 3 and os.listdir(out) == []


# Audit

def test_tail_shows_lines_as_a_table_or_one_document(ask, vault):
    records = [{"seq": n, "event": "read", "outcome": "denied", "service": {"name": "c\x1b"}, "reasons":
                [{"rule": "no-consent", "text": "t"}]} for n in range(3)]
    vault.answers["GET", "/v1/audit/tail?count=3"] = Answer(
        200, body="".join(json.dumps(r) + "\n" for r in records).encode())
    done = ask("audit", "tail", "-n", "3")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4
    assert b"no-consent" in done.stdout and b"\x1b" not in done.stdout
    assert json.loads(ask("audit", "tail", "-n3", "--json").stdout) == {"records": records}


def test_checkpoint_goes_to_its_file(ask, vault, out):
    vault.answers["GET"] = Answer(200, {"checkpoint": "o\n1\nroot\n\n— o sig\n", "vkey": "o+1+x"})
    done = ask("audit", "checkpoint", "-o", out / "c", "--json")
    assert json.loads(done.stdout)["vkey"] == "o+1+x"
    assert (out / "c").read_text() == "o\n1\nroot\n\n— o sig\n"
    assert ask("audit", "checkpoint").stdout.decode() == "o\n1\nroot\n\n— o sig\n"


TWO_PROOFS = b'{"proof":[],"records":1,"seq":3}\n{"proof":[],"records":1,"seq":4}\n'


def export_answers(vault, lines=2):
    vault.answers["POST"] = Answer(201, {"from": 3, "to": 5, "size": 9, "checkpoint": "note\n", "vkey": "o+1+x"})
    vault.answers["GET", "/v1/audit/records?from=3&to=5&tree=9"] = Answer(body=b"{}\n" * lines)
    vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = Answer(body=TWO_PROOFS)
    vault.answers["GET", "/v1/audit/records?from=8&to=9&tree=9"] = Answer(body=b'{"own":1}\n')
    vault.answers["GET", "/v1/audit/proofs?from=8&to=9&tree=9"] = Answer(body=b'{"proof":[],"records":1,"seq":8}\n')


def test_export_appears_when_complete(ask, vault, out):
    export_answers(vault)
    done = ask("audit", "export", "--from", "3", "--to", "5", "--format", "jsonl", "-o", f"{out}/e/", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] == 9
    assert vault.requests[0].json == {"format": "jsonl", "from": 3, "to": 5}
    assert sorted(os.listdir(out / "e")) == ["asked.jsonl", "checkpoint", "proofs.jsonl", "records.jsonl"]
    assert (out / "e" / "checkpoint").read_text() == "note\n" and os.listdir(out) == ["e"]
    assert (out / "e" / "asked.jsonl").read_text() == '{"own":1}\n{"proof":[],"seq":8}\n'
    before = len(vault.requests)
    done = ask("audit", "export", "--format", "jsonl", "-o", out / "e")
    assert done.returncode == 1 and b"not empty" in done.stderr and len(vault.requests) == before
    (out / "empty").mkdir()
    assert ask("audit", "export", "--format", "jsonl", "-o", out / "empty").returncode == 0


def test_proofs_go_on_where_the_connection_broke(ask, vault, out):
    export_answers(vault)
    vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = Answer(body=TWO_PROOFS, cut=len(TWO_PROOFS) - 4)
    vault.answers["GET", "/v1/audit/proofs?from=4&to=5&tree=9"] = Answer(body=TWO_PROOFS.splitlines(keepends=True)[1])
    done = ask("audit", "export", "--from", "3", "--to", "5", "--format", "jsonl", "-o", out / "e")
    assert done.returncode == 0, done.stderr
    assert (out / "e" / "proofs.jsonl").read_bytes() == b'{"proof":[],"seq":3}\n{"proof":[],"seq":4}\n'


def test_a_proof_for_several_records_gets_their_leaves(ask, vault, out):
    export_answers(vault)
    vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = Answer(body=b'{"proof":["AA=="],"records":2,"seq":4}\n')
    assert ask("audit", "export", "--from", "3", "--to", "5", "--format", "jsonl", "-o", out / "e").returncode == 0
    leaf = hashlib.sha256(b"\0{}").digest()
    assert json.loads((out / "e" / "proofs.jsonl").read_bytes()) == {
        "leaves": base64.b64encode(leaf + leaf).decode(), "proof": ["AA=="], "seq": 4}


def test_incomplete_export_leaves_nothing(ask, vault, out):
    words = ["audit", "export", "--format", "jsonl", "-o", out / "e"]
    export_answers(vault, lines=1)
    assert ask(*words).returncode == 1 and os.listdir(out) == []
    export_answers(vault)
    vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = Answer(body=TWO_PROOFS, cut=4)
    assert ask(*words).returncode == 1 and os.listdir(out) == []
    vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = Answer(body=TWO_PROOFS[:TWO_PROOFS.index(b"\n") + 1])
    assert ask(*words).returncode == 1 and os.listdir(out) == []
    for body in (b"{}\n", b'{"records":257}\n', b'{"records":3,"seq":5}\n', b"nothing\n"):
        vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = Answer(body=body)
        done = ask(*words)
        assert done.returncode == 1 and b"holds a line that is no record" in done.stderr and os.listdir(out) == []
    export_answers(vault)
    vault.answers["GET", "/v1/audit/proofs?from=8&to=9&tree=9"] = Answer(body=TWO_PROOFS)
    assert ask(*words).returncode == 1 and os.listdir(out) == []
    vault.answers["GET", "/v1/audit/proofs?from=3&to=5&tree=9"] = problem(423)
    assert ask(*words).returncode == 5 and os.listdir(out) == []


@pytest.mark.parametrize("kind", ["csv", "tiles"])
def test_line_that_is_no_record_is_named(ask, vault, out, kind):
    bodies = [b"{}\n" + b"[" * 40000 + b"\n", b"{}\n{}\n{}"]
    if kind == "csv":
        bodies += [b"{}\nnothing\n", b"{}\n[]\n"]
    for body in bodies:
        export_answers(vault)
        vault.answers["GET", "/v1/audit/records?from=3&to=5&tree=9"] = Answer(body=body)
        done = ask("audit", "export", "--format", kind, "-o", out / "e")
        assert done.returncode == 1 and b"a line that is no record" in done.stderr, done.stderr
        assert os.listdir(out) == []


def test_verify_of_what_is_no_export_is_6(out):
    assert run("audit", "verify", out, "--key", VKEY).returncode == 6
    for name, text in (("records.jsonl", "{}\n"), ("proofs.jsonl", "\n"), ("checkpoint", "o\n0\nx\n\n— o AAAA\n")):
        (out / name).write_text(text)
        done = run("audit", "verify", out, "--key", VKEY, "--json")
        assert done.returncode == 6
        assert json.loads(done.stdout)["verified"] is False and json.loads(done.stdout)["problem"]
    key = out.parent / "key"
    key.write_text(VKEY + "\n")
    assert run("audit", "verify", out / "records.jsonl", "--key", f"@{key}").returncode == 6
    key.write_text("nonsense\n")
    assert run("audit", "verify", out, "--key", f"@{key}").returncode == 2


# TLS

class Pki:
    """Certificates made with openssl, all of them in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("foreign")
        self.certificate("server", "ca", "IP:127.0.0.1")
        self.certificate("client", "ca", "URI:urn:vault:service:clinic")
        self.certificate("outsider", "foreign", "URI:urn:vault:service:clinic")

    def path(self, name):
        return str(self.folder / name)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     f"/CN={name}", "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def certificate(self, name, ca, san):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / "ext").write_text(f"subjectAltName={san}\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                     "-days", "1", "-extfile", "ext", "-out", f"{name}.pem")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


class TlsServer:
    """Accepts connections one by one and answers the same document to each request."""

    def __init__(self, pki, version=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.path("server.pem"), pki.path("server.key"))
        self.context.load_verify_locations(pki.path("ca.pem"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        if version is not None:
            self.context.maximum_version = version
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "https://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as tls:
                    tls.recv(65536)
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + b'{"seal":"sealed"}')
            except OSError:
                pass

    def close(self):
        self.listener.close()


@pytest.fixture
def tls(pki):
    server = TlsServer(pki)
    yield server
    server.close()


def test_tls_with_a_known_certificate(pki, tls):
    env = {"VAULT_URL": tls.url, "VAULT_CERT": pki.path("client.pem"), "VAULT_KEY": pki.path("client.key"),
           "VAULT_CA": pki.path("ca.pem"), "https_proxy": "http://127.0.0.1:1"}
    done = run("status", env=env)
    assert done.returncode == 0 and b"sealed" in done.stdout


@pytest.mark.parametrize("client, text", [(None, "none was given"), ("outsider", "authority")])
def test_tls_refusal_says_which(pki, tls, client, text):
    words = ["--url", tls.url, "--ca", pki.path("ca.pem")]
    if client is not None:
        words += ["--cert", pki.path(client + ".pem"), "--key", pki.path(client + ".key")]
    done = run(*words, "status", "--json")
    assert done.returncode == 5 and text in json.loads(done.stdout)["detail"], done.stderr


def test_tls_server_that_is_not_trusted_is_5(pki, tls):
    done = run("--url", tls.url, "--ca", pki.path("foreign.pem"), "--cert", pki.path("client.pem"), "--key",
               pki.path("client.key"), "status")
    assert done.returncode == 5 and b"not trusted" in done.stderr


def test_older_tls_is_not_spoken(pki):
    server = TlsServer(pki, ssl.TLSVersion.TLSv1_2)
    done = run("--url", server.url, "--ca", pki.path("ca.pem"), "--cert", pki.path("client.pem"), "--key",
               pki.path("client.key"), "status")
    server.close()
    assert done.returncode == 5 and b"TLS 1.3" in done.stderr


# Completion

def test_completion_agrees_with_help():
    text = (ROOT / "dist" / "bash-completion" / "vaultctl").read_text()
    table = dict(re.findall(r'^ *\["?([a-z -]+?)"?\]="([^"]*)"$', text, re.M))
    assert sorted(table) == sorted(command_names())
    for name, options in table.items():
        assert set(options.split()) == options_of(name), name
    shown = run("--help").stdout.decode().split("Options of every command:")[1].split("\n\n")[0]
    known = set(re.search(r'^_vaultctl_global="([^"]*)"$', text, re.M)[1].split())
    assert known == set(re.findall(r"--[a-z]+", "\n".join(line[:28] for line in shown.splitlines())))


@pytest.mark.parametrize("line, expected", [
    ("vaultctl su", ["subject"]), ("vaultctl subject sho", ["show"]), ("vaultctl get --pu", ["--purpose"]),
    ("vaultctl --json audit ver", ["verify"]), ("vaultctl subject opt-out --re", ["--report"]),
    ("vaultctl subject opt-out conf", ["conftest.py"]), ("vaultctl policy test conf", ["conftest.py"]),
])
def test_completion_completes(line, expected):
    script = (f'source "{ROOT}/dist/bash-completion/vaultctl"; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1));'
              ' _vaultctl; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60,
                          cwd=ROOT / "tests" / "behaviour")
    assert done.stdout.split() == expected, done.stderr
