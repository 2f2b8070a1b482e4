"""Witnesses of the audit: what they have seen is cosigned, and a vault that was put back in time is told so by them."""
import base64
import contextlib
import datetime
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import scene
from scene import TREATMENT, add_patient, deposit, file_path, records, wait_for
from vault_under_test import ROOT, own_port, running_vault

PROGRAM = ROOT / "witness" / "vault-witness"
ORIGIN = "dev.example/vault"


class WitnessProcess:
    """The reference witness, on a port and with a state that outlive it."""

    def __init__(self, folder, name):
        self.folder, self.name, self.port, self.process = folder, name, own_port(), None
        self.vkey = subprocess.run([PROGRAM, "--state", folder, "--name", name, "--show-key"], capture_output=True, text=True,
                                   check=True).stdout.strip()

    def start(self, *logs):
        given = [word for log in logs for word in ("--log", log)]
        self.process = subprocess.Popen([PROGRAM, "--state", self.folder, "--name", self.name, "--listen", f"127.0.0.1:{self.port}",
                                         *given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert "listening" in self.process.stdout.readline()

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process.stdout.close()
        self.process = None

    def config(self):
        return {"url": f"http://127.0.0.1:{self.port}", "key": self.vkey}


def as_yaml(section):
    return re.sub(r'"(\w+)": ', r"\1: ", json.dumps(section))


@contextlib.contextmanager
def vault_with(witnesses, every=1, within=0):
    settings = {"witnesses": as_yaml({"every": every, "within": within, "seconds": 5, "list": [w.config() for w in witnesses]})}
    with running_vault(settings=settings) as vault:
        vault.vkey = vault.ctl("audit", "checkpoint")["vkey"]
        yield vault


@pytest.fixture
def witness(tmp_path):
    w = WitnessProcess(tmp_path / "one", "witness.example/one")
    yield w
    w.stop()


def status(vault):
    return vault.http("GET", "/v1/status").json()


def state_of(vault, name):
    return next(w for w in status(vault)["witnesses"]["each"] if w["name"] == name)


def witnessed(vault):
    return vault.http("GET", "/v1/audit/witnessed").json()["witnessed"]


def wait_until_cosigned(vault, size=None):
    size = size or vault.http("GET", "/v1/audit/checkpoint").json()["size"]
    wait_for(lambda: (witnessed(vault) or {"size": 0})["size"] >= size, "a head of that size is cosigned", 30)
    return witnessed(vault)


def populate(vault):
    add_patient(vault, "S-1")
    deposit(vault, "S-1", "a.cram", b"A" * 1000)


def read(vault, purpose=TREATMENT):
    return vault.http("GET", file_path("S-1", "a.cram"), cert="clinic", headers={"Purpose": purpose})


def rule(answer):
    return answer.json()["reasons"][0]["rule"]


def cosignature_is_good(note, vkey):
    """By the format alone: key ID, time and an Ed25519 signature over time and text."""
    name, number, key = vkey.split("+", 2)
    tagged = base64.b64decode(key)
    text, lines = note.split("\n\n")
    for line in lines.strip().split("\n"):
        _, who, data = line.split(" ")
        data = base64.b64decode(data)
        if who == name and data[:4].hex() == number:
            stamp = int.from_bytes(data[4:12], "big")
            Ed25519PublicKey.from_public_bytes(tagged[1:]).verify(data[12:], f"cosignature/v1\ntime {stamp}\n{text}\n".encode())
            return abs(stamp - time.time()) < 60
    return False


def test_a_head_is_cosigned_by_all_and_again_without_new_records(tmp_path, witness):
    other = WitnessProcess(tmp_path / "two", "witness.example/two")
    with vault_with([witness, other]) as vault:
        try:
            witness.start(vault.vkey)
            other.start(vault.vkey)
            populate(vault)
            found = wait_until_cosigned(vault)
            wait_for(lambda: len(witnessed(vault)["witnesses"]) == 2, "both have cosigned", 30)
            found = witnessed(vault)
            assert found["witnesses"] == [witness.name, other.name]
            assert all(cosignature_is_good(found["checkpoint"], w.vkey) for w in (witness, other))
            text = found["checkpoint"].split("\n")
            assert text[0] == ORIGIN and int(text[1]) == found["size"]
            detail = next(r for r in reversed(records(vault)) if r["event"] == "audit.checkpoint")["detail"]
            assert f"key ring epoch {status(vault)['epoch']}" in detail and detail.startswith("index ")
            wait_until_cosigned(vault)
            time.sleep(1)
            size, stamp = status(vault)["records"], state_of(vault, witness.name)["cosigned"]
            wait_for(lambda: state_of(vault, witness.name)["cosigned"] > stamp, "cosigned once more", 30)
            assert status(vault)["records"] == size, "an idle log does not grow by being witnessed"
        finally:
            other.stop()


def an_officer_asks_for_the_witness(vault, tmp_path, note, wkey):
    """`audit verify --witness`: what the witness did not cosign, or was altered since, is not taken."""
    def verify(*more, expect=0):
        return vault.ctl("audit", "verify", tmp_path / "x", "--key", vault.vkey, *more, expect=expect)
    report = verify("--checkpoint", note, "--witness", wkey)
    assert report["verified"] and [w["name"] for w in report["witnesses"]] == [wkey.split("+")[0]]
    assert abs(report["witnesses"][0]["time"] - time.time()) < 300
    verify("--witness", wkey, expect=6)  # the export's own head was not taken to anybody
    assert "has not cosigned" in vault.stderr
    stranger = subprocess.run([PROGRAM, "--state", tmp_path / "stranger", "--name", wkey.split("+")[0], "--show-key"],
                              capture_output=True, text=True, check=True).stdout.strip()
    verify("--checkpoint", note, "--witness", stranger, expect=6)  # its name, another key
    verify("--checkpoint", note, "--witness", wkey, "--witness", stranger, expect=6)
    verify("--checkpoint", note, "--witness", vault.vkey, expect=2)  # the log is no witness of itself
    altered = tmp_path / "altered"
    lines = note.read_text().split("\n")
    cosigned = next(i for i, line in enumerate(lines) if line.startswith(f"\u2014 {wkey.split('+')[0]} "))
    name, signature = lines[cosigned].rsplit(" ", 1)
    raw = bytearray(base64.b64decode(signature))
    raw[11] ^= 1  # of its time
    lines[cosigned] = f"{name} {base64.b64encode(raw).decode()}"
    altered.write_text("\n".join(lines))
    verify("--checkpoint", altered, "--witness", wkey, expect=6)
    assert "no good cosignature" in vault.stderr
    assert verify("--checkpoint", altered)["verified"], "who asks for no witness does not need one"


def test_the_cosigned_checkpoint_is_given_to_who_waits_for_it(tmp_path, witness):
    with vault_with([witness], every=3600) as vault:
        witness.start(vault.vkey)
        populate(vault)
        note = tmp_path / "head"
        answer = vault.ctl("audit", "checkpoint", "--witnessed", "-o", note)
        assert cosignature_is_good(note.read_text(), witness.vkey) and answer["witnessed"]["size"] >= answer["size"]
        vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "x")
        report = vault.ctl("audit", "verify", tmp_path / "x", "--key", vault.vkey, "--checkpoint", note)
        assert report["verified"]
        an_officer_asks_for_the_witness(vault, tmp_path, note, witness.vkey)
        witness.stop()
        vault.ctl("audit", "checkpoint", "--witnessed", "--seconds", "2", expect=1)
        assert "no witness" in vault.stderr


def put_back(vault, copy):
    """The whole state as it was when the copy was made, key ring and all; the objects stay."""
    for name in ("state", "twin"):
        target = vault.folder / name
        shutil.rmtree(target)
        subprocess.run(["cp", "-a", copy / name, target], check=True)


def keep_state(vault, copy):
    copy.mkdir()
    for name in ("state", "twin"):
        subprocess.run(["cp", "-a", vault.folder / name, copy / name], check=True)


def roll_back(vault, tmp_path):
    """A consent is given, the state is kept, the consent is withdrawn; and the state of before is put back."""
    populate(vault)
    scene.stop(vault)
    keep_state(vault, tmp_path / "copy")
    scene.start(vault)
    wait_for(lambda: read(vault).status == 200, "it is served", 30)
    vault.ctl("consent", "withdraw", "S-1")
    assert read(vault).status == 403
    return vault


def unseen(vault):
    return state_of(vault, "witness.example/one")["problem"]


def test_without_witnesses_a_vault_that_was_put_back_serves_what_was_withdrawn(tmp_path):
    """The attack that the others are about."""
    with running_vault() as vault:
        roll_back(vault, tmp_path)
        scene.stop(vault)
        put_back(vault, tmp_path / "copy")
        scene.start(vault)
        assert read(vault).status == 200


def test_a_vault_that_was_put_back_serves_nothing_until_somebody_answers_for_it(tmp_path, witness):
    with vault_with([witness], within=3600) as vault:
        witness.start(vault.vkey)
        wait_until_cosigned(vault)
        roll_back(vault, tmp_path)
        known = tmp_path / "known"
        vault.ctl("audit", "checkpoint", "--witnessed", "-o", known)
        seen = int(known.read_text().split("\n")[1])
        scene.stop(vault)
        put_back(vault, tmp_path / "copy")
        scene.start(vault)
        answers = [read(vault)]
        wait_for(lambda: status(vault)["witnesses"]["doubted"], "the witness is heard", 30)
        answers.append(read(vault))
        assert [a.status for a in answers] == [503, 503] and rule(answers[1]) == "older-than-witnessed"
        assert any("put back in time" in w for w in status(vault)["warnings"])
        told = next(r for r in records(vault) if r["event"] == "witness.doubt")
        assert f"has seen {seen} records" in told["detail"] or "has seen" in told["detail"]

        scene.stop(vault)  # it is not forgotten, with or without the witness
        witness.stop()
        scene.start(vault)
        assert status(vault)["witnesses"]["doubted"] and rule(read(vault)) == "older-than-witnessed"

        witness.start(vault.vkey)
        lost = vault.ctl("restore", "--confirm", "the withdrawal of S-1 is done again", "--checkpoint", known)
        assert lost is not None
        vault.ctl("consent", "withdraw", "S-1")
        assert not status(vault)["witnesses"]["doubted"]
        origin = status(vault)["origin"]
        assert origin.startswith(f"{ORIGIN}/epoch-")
        begun = next(r for r in records(vault) if r["event"] == "vault.rolled-back")
        assert f"continues the log {ORIGIN} {begun['seq']} " in begun["detail"] and f"{ORIGIN} {seen}" in begun["detail"]
        wait_until_cosigned(vault)
        assert witnessed(vault)["checkpoint"].startswith(origin + "\n")
        assert read(vault).status == 403, "withdrawn again"
        vault.ctl("restore", "--confirm", "once more", expect=1)


def test_a_fork_is_told_from_its_continuation(tmp_path, witness):
    """The vault that was put back goes on until it has as many records as the witness has seen: others."""
    with vault_with([witness], every=3600) as vault:
        witness.start(vault.vkey)
        populate(vault)
        scene.stop(vault)
        keep_state(vault, tmp_path / "copy")
        scene.start(vault)
        read(vault)
        seen = wait_until_cosigned(vault)["size"]
        scene.stop(vault)
        witness.stop()
        put_back(vault, tmp_path / "copy")
        scene.start(vault)
        while status(vault)["records"] <= seen + 20:
            read(vault)
        witness.start(vault.vkey)
        vault.http("GET", "/v1/audit/checkpoint")
        wait_for(lambda: status(vault)["witnesses"]["doubted"], "the fork is seen", 30)
        assert rule(read(vault)) == "older-than-witnessed"
        assert any(r["event"] == "witness.doubt" and "another log" in r["detail"] for r in records(vault))


def test_what_was_open_ends_with_the_doubt(tmp_path, witness):
    """A read that has begun gets no more once a witness has seen another log."""
    with vault_with([witness], every=3600) as vault:
        witness.start(vault.vkey)
        add_patient(vault, "S-1")
        deposit(vault, "S-1", "a.cram", os.urandom(64 << 20))
        wait_until_cosigned(vault)
        before = read_log(witness)
        with contextlib.closing(vault.connect("clinic")) as connection:
            connection.request("GET", file_path("S-1", "a.cram"), headers={"Purpose": TREATMENT})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read(1000)
            grow_log(witness, before)
            vault.http("GET", "/v1/audit/checkpoint")
            see_doubt(vault, witness, before)
            came = 0
            with contextlib.suppress(*scene.CUT):
                while piece := answer.read(1 << 20):
                    came += len(piece)
            assert came < 32 << 20, "what was on its way, and no more"


def read_log(witness):
    (path,) = (p for p in witness.folder.glob("log-*") if not p.suffix)
    return path, path.read_text()


def grow_log(witness, kept):
    """As if it had seen a million records more."""
    path, note = kept
    lines = note.split("\n")
    lines[1] = str(int(lines[1]) + 1_000_000)
    path.write_text("\n".join(lines))


def see_doubt(vault, witness, kept):
    """The witness has seen more than there is; written again where a round that ran had its own head written meanwhile."""
    wait_for(lambda: grow_log(witness, kept) or status(vault)["witnesses"]["doubted"], "the witness is heard", 30)


def test_a_doubt_ends_when_every_witness_has_cosigned_again(tmp_path, witness):
    with vault_with([witness]) as vault:
        witness.start(vault.vkey)
        populate(vault)
        wait_until_cosigned(vault)
        kept = read_log(witness)
        see_doubt(vault, witness, kept)
        assert read(vault).status == 503
        kept[0].write_text(kept[1])
        wait_for(lambda: not status(vault)["witnesses"]["doubted"], "it has cosigned", 60)
        assert read(vault).status == 200
        assert [r["event"] for r in records(vault) if r["event"].startswith("witness.")] == ["witness.doubt", "witness.cleared"]


def doubted(vault):
    return status(vault)["witnesses"]["doubted"]


def test_another_witness_in_the_configuration_ends_no_doubt(tmp_path, witness):
    mine = WitnessProcess(tmp_path / "mine", "operator.example/mine")
    with vault_with([witness], within=3600) as vault:
        witness.start(vault.vkey)
        mine.start(vault.vkey)
        wait_until_cosigned(vault)
        populate(vault)
        wait_until_cosigned(vault)
        see_doubt(vault, witness, read_log(witness))
        scene.stop(vault)
        path = vault.folder / "vaultd.yaml"
        path.write_text(path.read_text().replace(witness.vkey, mine.vkey).replace(f":{witness.port}", f":{mine.port}"))
        scene.start(vault)
        try:
            wait_for(lambda: state_of(vault, mine.name)["cosigned"], "the new one has cosigned", 30)
            time.sleep(2)
            assert doubted(vault) and read(vault).status == 503
            vault.ctl("restore", "--confirm", "answered for")
            wait_for(lambda: read(vault).status == 200, "a custodian ends it", 30)
        finally:
            mine.stop()


def test_another_root_for_as_many_records_is_another_log(witness):
    with vault_with([witness]) as vault:
        witness.start(vault.vkey)
        populate(vault)
        wait_until_cosigned(vault)
        time.sleep(1.5)
        path, note = read_log(witness)
        lines = note.split("\n")
        lines[2] = base64.b64encode(os.urandom(32)).decode()
        other = "\n".join(lines)
        wait_for(lambda: path.write_text(other) and doubted(vault), "the witness is heard", 30)
        assert read(vault).status == 503
        assert "records are others" in next(r["detail"] for r in records(vault) if r["event"] == "witness.doubt")


def test_a_witness_that_has_the_next_key_goes_on_after_a_change_of_it(witness):
    with vault_with([witness]) as vault:
        witness.start(vault.vkey)
        populate(vault)
        wait_until_cosigned(vault)
        scene.administer(vault, "key", "rotate", "audit")
        wait_for(lambda: "403" in (state_of(vault, witness.name)["problem"] or ""), "it does not know the key", 30)
        assert not doubted(vault)
        after = vault.ctl("audit", "checkpoint")["vkey"]
        assert after != vault.vkey
        witness.stop()
        witness.start(vault.vkey, after)
        wait_until_cosigned(vault)


def test_what_a_log_was_before_its_succession_is_not_served(tmp_path, witness):
    """And its next name is none that was used, where the head of that is brought."""
    with vault_with([witness]) as vault:
        witness.start(vault.vkey)
        populate(vault)
        wait_until_cosigned(vault)
        scene.stop(vault)
        keep_state(vault, tmp_path / "copy")
        kept = read_log(witness)
        scene.start(vault)
        see_doubt(vault, witness, kept)
        vault.ctl("restore", "--confirm", "answered for")
        kept[0].write_text(kept[1])  # what it has really seen under the first name
        vault.ctl("consent", "withdraw", "S-1")
        head = tmp_path / "head"
        vault.ctl("audit", "checkpoint", "--witnessed", "-o", head)
        scene.stop(vault)
        put_back(vault, tmp_path / "copy")
        scene.start(vault)
        wait_for(lambda: doubted(vault), "the witness is heard", 30)
        assert read(vault).status == 503
        vault.ctl("restore", "--confirm", "answered for", "--checkpoint", head)
        used = int(head.read_text().split("\n")[0].rsplit("-", 1)[1])
        assert int(status(vault)["origin"].rsplit("-", 1)[1]) > used
        wait_for(lambda: (witnessed(vault) or {"checkpoint": ""})["checkpoint"].startswith(status(vault)["origin"] + "\n"), "cosigned", 30)


class Replay(http.server.BaseHTTPRequestHandler):
    """Brings the answer of before for the head of before."""
    kept, to, again = {}, None, 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        note = body.split(b"\n\n", 1)[1]
        status_, text = (200, self.kept[note]) if note in self.kept else (502, "")
        Replay.again += note in self.kept
        if note not in self.kept:
            with contextlib.suppress(OSError):
                status_, text = ask(Replay.to, body)
                if status_ == 200:
                    self.kept[note] = text
        with contextlib.suppress(OSError):
            self.send_response(status_)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def cosigned_ago(vault, name):
    at = datetime.datetime.fromisoformat(state_of(vault, name)["cosigned"].replace("Z", "+00:00"))
    return time.time() - at.timestamp()


def test_an_answer_of_before_does_not_count_as_one_of_now(witness):
    Replay.to, port = witness, own_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Replay)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    witness.config = lambda: {"url": f"http://127.0.0.1:{port}", "key": witness.vkey}
    try:
        with vault_with([witness], every=1, within=4) as vault:
            witness.start(vault.vkey)
            wait_until_cosigned(vault)
            populate(vault)
            wait_for(lambda: read(vault).status == 200, "it is served", 30)
            wait_until_cosigned(vault)
            wait_for(lambda: cosigned_ago(vault, witness.name) > 6, "what is replayed does not count", 60)
            assert Replay.again > 2, "it was replayed"
            assert read(vault).status == 503
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_state_that_was_put_back_destroys_nothing_of_the_true_one(tmp_path, witness):
    """A copy from the middle of a deposit: what was deposited then looks dropped to it."""
    content = os.urandom(48 << 20)
    with vault_with([witness]) as vault:
        witness.start(vault.vkey)
        populate(vault)
        wait_until_cosigned(vault)
        with contextlib.closing(vault.connect("depositor", 120)) as connection:
            connection.putrequest("PUT", file_path("S-1", "late.cram"))
            connection.putheader("Content-Length", str(len(content)))
            connection.endheaders()
            connection.send(content[:40 << 20])
            wait_for(lambda: objects_of(vault) > 5, "objects are stored", 30)
            (monitor,) = scene.processes(vault)["vaultd-monitor"]
            os.kill(monitor, signal.SIGSTOP)  # so that it is a copy of one moment
            try:
                keep_state(vault, tmp_path / "copy")
            finally:
                os.kill(monitor, signal.SIGCONT)
            connection.send(content[40 << 20:])
            assert connection.getresponse().status == 201
        wait_until_cosigned(vault)
        scene.stop(vault)
        keep_state(vault, tmp_path / "true")
        before = objects_of(vault)
        put_back(vault, tmp_path / "copy")
        scene.start(vault)
        wait_for(lambda: doubted(vault), "the witness is heard", 30)
        time.sleep(3)
        assert objects_of(vault) == before
        scene.stop(vault)
        put_back(vault, tmp_path / "true")
        scene.start(vault)
        wait_for(lambda: state_of(vault, witness.name)["cosigned"], "it is cosigned", 30)
        answer = vault.http("GET", file_path("S-1", "late.cram"), cert="clinic", headers={"Purpose": TREATMENT})
        assert (answer.status, answer.body == content) == (200, True)


def objects_of(vault):
    return sum(len(files) for _, _, files in os.walk(vault.objects))


def test_names_do_not_leave_before_somebody_has_vouched(tmp_path, witness):
    with vault_with([witness], within=3600) as vault:
        witness.start(vault.vkey)
        wait_until_cosigned(vault)
        populate(vault)
        listing = "/v1/files?purpose=treatment"
        wait_for(lambda: vault.http("GET", listing, cert="clinic").status == 200, "it is served", 30)
        scene.stop(vault)
        witness.stop()
        scene.start(vault)
        assert read(vault).status == 503
        assert vault.http("GET", listing, cert="clinic").status == 503
        assert vault.http("GET", "/v1/files").status == 200, "an administrator sees what there is"


def test_a_copy_that_nobody_answered_for_is_shown_to_no_witness(tmp_path, witness):
    """A drill on another machine must not become the log's successor."""
    with vault_with([witness], every=1, within=30) as vault:
        witness.start(vault.vkey)
        wait_until_cosigned(vault)
        populate(vault)
        vault.ctl("backup", "b1")
        wait_until_cosigned(vault)
        scene.stop(vault)
        keep_state(vault, tmp_path / "true")
        shutil.rmtree(vault.state / "index")
        scene.start(vault)
        vault.ctl("restore", "b1")
        time.sleep(3)
        assert witnessed(vault) is None
        scene.stop(vault)
        put_back(vault, tmp_path / "true")
        scene.start(vault)
        wait_for(lambda: read(vault).status == 200, "the true one goes on", 30)


def test_no_grant_where_no_witness_has_cosigned_for_too_long(witness):
    with vault_with([witness], every=1, within=4) as vault:
        witness.start(vault.vkey)
        wait_until_cosigned(vault)
        populate(vault)
        wait_for(lambda: read(vault).status == 200, "it is served", 30)
        witness.stop()
        wait_for(lambda: read(vault).status == 503, "it is too long ago", 30)
        refused = read(vault)
        assert rule(refused) == "not-witnessed"
        assert any("witness" in w for w in status(vault)["warnings"])
        assert read(vault, 'treatment;break-glass="the patient is unconscious"').status != 503, "an emergency waits for no witness"
        assert vault.ctl("status") and records(vault), "what is not content goes on"
        witness.start(vault.vkey)
        wait_for(lambda: read(vault).status == 200, "it is served again", 60)


DENMARK = (ROOT / "policies" / "denmark.yaml").read_text()


def load_policy(vault, seconds, **options):
    bound = f"witnessed-within-seconds: {seconds}\n" if seconds else ""
    return vault.ctl("policy", "load", "-", input=DENMARK.replace("rules:\n", bound + "rules:\n", 1).encode(), **options)


def test_a_policy_may_want_a_recent_cosignature(witness):
    """As the configuration may, but by two persons, who are told."""
    with vault_with([witness], every=1) as vault:
        witness.start(vault.vkey)
        wait_until_cosigned(vault)
        populate(vault)
        asked = load_policy(vault, 4)
        assert "witnessed within seconds: 4 (before: none)" in asked["detail"]
        vault.ctl("pending", "approve", asked["pending"], cert="operator2")
        assert vault.ctl("policy", "show")["witnessed_within_seconds"] == 4
        wait_for(lambda: read(vault).status == 200, "it is served", 30)
        witness.stop()
        wait_for(lambda: read(vault).status == 503 and rule(read(vault)) == "not-witnessed", "it is too long ago", 30)
        assert read(vault, 'treatment;break-glass="the patient is unconscious"').status != 503
        assert any("witness" in w for w in status(vault)["warnings"])
        scene.administer(vault, "policy", "load", "-", input=DENMARK.encode())
        assert read(vault).status == 200, "this policy does not want it"
        vault.ctl("policy", "load", "-", input=DENMARK.replace("rules:\n", "witnessed-within-seconds: 0\nrules:\n", 1).encode(),
                  expect=2)


def test_a_policy_that_wants_witnesses_needs_some():
    with running_vault() as vault:
        populate(vault)
        load_policy(vault, 600, expect=1)
        assert "no-witnesses" in vault.stderr and read(vault).status == 200


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers what it was told to."""
    says = (200, b"")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status_, body = self.says() if callable(self.says) else self.says
        with contextlib.suppress(OSError):
            self.send_response(status_)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def liar(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def slow():
    time.sleep(8)
    return 200, b""


def test_what_a_witness_says_is_believed_as_far_as_its_key_vouches_for_it(tmp_path, witness):
    line, unsigned = (f"\u2014 witness.example/one {base64.b64encode(number + bytes(72)).decode()}\n"
                      for number in (bytes(4), bytes.fromhex(witness.vkey.split("+")[1])))
    lies = [(200, b""), (200, b"\xff\xfe"), (200, line.encode()), (200, unsigned.encode()), (200, b"A" * 3000), (200, b"A" * 100_000), (204, b""), (301, b""), (404, b"no"),
            (409, b""), (409, b"-1\n"), (409, b"99999999999999999999999\n"), (409, b"5"), (409, b"1\n2\n"), (500, b"x"), (429, b""), slow]
    with vault_with([witness]) as vault:
        populate(vault)
        with liar(witness.port):
            for lie in lies:
                Liar.says = staticmethod(lie) if callable(lie) else lie
                assert vault.http("GET", "/v1/audit/checkpoint").status == 200
                time.sleep(1.2)
                assert witnessed(vault) is None, lie
                assert not status(vault)["witnesses"]["doubted"], lie
                assert read(vault).status == 200, lie
            wait_for(lambda: state_of(vault, witness.name)["problem"] is not None, "what is wrong is told", 30)
        witness.start(vault.vkey)
        wait_until_cosigned(vault)
        assert state_of(vault, witness.name)["problem"] is None


def test_a_courier_that_dies_costs_one_round(witness):
    with vault_with([witness]) as vault:
        populate(vault)
        Liar.says = staticmethod(slow)
        with liar(witness.port):
            killed = 0
            deadline = time.monotonic() + 20
            while killed < 3 and time.monotonic() < deadline:
                vault.http("GET", "/v1/audit/checkpoint")
                for pid, (name, *_) in ((p, scene.parent_and_name(p)[1:]) for p in children_named(vault, "vaultd-courier")):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                time.sleep(0.2)
            assert killed == 3
            assert read(vault).status == 200
        witness.start(vault.vkey)
        wait_until_cosigned(vault)


def children_named(vault, name):
    found = []
    for path in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if path.name.isdecimal() and (path / "comm").read_text().strip() == name[:15] and \
               int((path / "stat").read_text().rsplit(") ", 1)[1].split()[1]) == vault.pid:
                found.append(int(path.name))
    return found


def test_a_witness_that_is_killed_never_forgets_what_it_cosigned(tmp_path, witness):
    """Killed again and again while it is asked, each answer's head is there when it starts anew."""
    with vault_with([witness], every=3600) as vault:
        populate(vault)
        answered = 0
        for n in range(12):
            witness.start(vault.vkey)
            wait_until_cosigned(vault)
            vault.http("GET", "/v1/audit/checkpoint")
            time.sleep(0.002 * n)
            witness.stop(signal.SIGKILL)
            found = witnessed(vault)
            answered += 1
            assert int(read_log(witness)[1].split("\n")[1]) >= found["size"]
        assert answered == 12


def test_malformed_configurations_are_refused_with_their_place(tmp_path):
    good = WitnessProcess(tmp_path / "w", "witness.example/one")
    cases = [({"list": []}, "1 to 8 witnesses"), ({"list": [{"url": "ftp://x", "key": good.vkey}]}, "http:// or https://"),
             ({"list": [{"url": "http://x", "key": good.vkey + "A"}]}, "verifier key of a witness"),
             ({"list": [good.config(), good.config()]}, "count twice"), ({"list": [good.config()], "within": 5, "every": 10}, "not longer"),
             ({"list": [good.config()], "sometimes": 1}, "sometimes"), ({"every": 10}, "list")]
    for section, words in cases:
        with pytest.raises(AssertionError, match="dev-vault gave") as failure:
            with running_vault(settings={"witnesses": as_yaml(section)}):
                pass
        assert words in str(failure.value), section


# ---- the reference witness by itself ----

def ask(witness, body, path="/add-checkpoint"):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", witness.port, timeout=20)) as connection:
        connection.request("POST", path, body=body.encode() if isinstance(body, str) else body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")


VECTORS = ROOT / "tests" / "vectors" / "audit"


def test_the_reference_witness_cosigns_only_what_continues(witness):
    vkey, five, whole = ((VECTORS / name).read_text() for name in ("vkey", "checkpoint-5", "export/checkpoint"))
    request = (VECTORS / "add-checkpoint").read_text()
    witness.start(vkey.strip())
    assert ask(witness, request)[0:1] == (409,) and ask(witness, request)[1] == "0\n"
    assert ask(witness, "old 0\n\n" + five)[0] == 200
    assert ask(witness, "old 0\n\n" + whole) == (409, "5\n")
    lines = request.split("\n")
    lines[1] = base64.b64encode(bytes(32)).decode()
    assert ask(witness, "\n".join(lines))[0] == 422
    assert ask(witness, request.replace("old 5\n", "old 5\n" + base64.b64encode(bytes(32)).decode() + "\n"))[0] == 422
    assert ask(witness, request)[0] == 200
    assert ask(witness, request) == (409, "13\n")
    assert ask(witness, "old 13\n\n" + whole)[0] == 200, "the same head again"
    assert ask(witness, "old 13\n\n" + five)[0] == 400
    body, signature = whole.split("\n\n")
    assert ask(witness, "old 13\n\n" + body + "\n\n")[0] in (400, 403)
    forged = signature[:-10] + ("A" if signature[-10] != "A" else "B") + signature[-9:]
    assert ask(witness, "old 13\n\n" + body + "\n\n" + forged)[0] == 403
    assert ask(witness, "old 13\n\n" + whole.replace("vault.example", "other.example"))[0] == 404
    for junk in ("", "old\n\n", "old 013\n\n" + whole, "old 13\n" + whole, "new 13\n\n" + whole, "old 13\n\n\n" + whole, "\udcff" * 100,
                 "old 13\n" + "A\n" * 64 + "\n" + whole):
        assert ask(witness, junk.encode(errors="surrogateescape"))[0] == 400, junk
    assert ask(witness, "x" * 70_000)[0] == 413
    assert ask(witness, request, "/")[0] == 404
