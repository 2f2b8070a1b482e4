"""Four eyes for the client authorities: who may write their file makes certificates for anybody, the second operator
included. Another file comes into force only when a second person, of an authority in force, has approved it."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import time

import pytest

from scene import processes, records, start, stop, wait_for, wait_for_record
from test_tls import ask, assert_ends, idle_connection, log, put_in_place
from vault_under_test import ROOT, running_vault


class Authorities:
    """The authority of the vault's clients, and another one that has made a certificate for the same names: what the
    host's administrator can make alone."""

    def __init__(self, vault):
        self.vault, self.pki = vault, vault.folder / "pki"
        self.other = vault.folder / "other"
        script = (ROOT / "scripts" / "test-pki").read_text().replace("Vault test CA", "Another test CA")
        subprocess.run(["sh", "-c", script, "test-pki", self.other], check=True, capture_output=True)
        self.files = {name: (self.pki / name).read_bytes() for name in ("ca.pem", "crl.pem")}
        self.server = vault.folder / "server-ca.pem"  # clients go on to know the server by it
        self.server.write_bytes(self.files["ca.pem"])
        vault.env["VAULT_CA"] = str(self.server)
        self.vault.ca = str(self.server)

    def swap(self, old_list=True):
        lists = (self.other / "crl.pem").read_bytes() + (self.files["crl.pem"] if old_list else b"")
        self.put((self.other / "ca.pem").read_bytes(), lists)

    def both(self):
        self.put(self.files["ca.pem"] + (self.other / "ca.pem").read_bytes(),
                 (self.other / "crl.pem").read_bytes() + self.files["crl.pem"])

    def back(self):
        self.put(self.files["ca.pem"], self.files["crl.pem"])

    def put(self, authorities, lists):
        put_in_place(self.pki / "crl.pem", lists)
        put_in_place(self.pki / "ca.pem", authorities)

    def received(self, name, forged=False):
        """What a client with this name's certificate gets; `forged`: of the other authority."""
        context = ssl.create_default_context(cafile=self.server)
        folder = self.other if forged else self.pki
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return ask(context, self.vault)[0]

    def served(self, name, forged=False):
        return self.received(name, forged).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def authorities():
    with running_vault() as vault:
        yield Authorities(vault)


@pytest.fixture
def lone():
    """A vault whose second operator is not there yet: the layer that is tested here is off."""
    with running_vault() as vault:
        stop(vault)
        for folder in ("state", "objects", "twin"):
            for path in (vault.folder / folder).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        start(vault)
        vault.ctl("init")
        vault.ctl("service", "add", "clinic", "--san", "urn:vault:service:clinic", "--role", "reader", "--purpose",
                  "treatment")
        yield Authorities(vault)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def trust(vault):
    return vault.http("GET", "/v1/status").json()["trust"]


def waiting(vault):
    found = vault.http("GET", "/v1/pending").json()["pending"]
    return [p for p in found if p["what"] == "trust.anchors"]


def wait_for_request(vault):
    [found] = wait_for(lambda: waiting(vault), "a request for the other authorities")
    return found


def approve(vault, number, cert="operator2"):
    return vault.http("POST", f"/v1/pending/{number}/approve", cert=cert)


def expect_old(a):
    assert a.served("clinic") and a.served("operator2")
    assert a.received("operator2", forged=True) == b"", "a certificate of the other authority"
    assert trust(a.vault)["in_force"] == sha256(a.files["ca.pem"])


def expect_new(a):
    assert a.served("clinic", forged=True)
    assert a.received("clinic") == b""
    assert trust(a.vault) == {"in_force": sha256((a.other / "ca.pem").read_bytes()), "waiting": None}


def test_without_a_second_operator_another_authority_is_taken_at_once(lone):
    """The attack, with the layer switched off, succeeds: so the tests after this one mean something."""
    first = wait_for_record(lone.vault, event="trust.anchors", outcome="done")
    assert sha256(lone.files["ca.pem"]) in first["detail"]
    lone.swap()
    wait_for(lambda: lone.served("clinic", forged=True), "the forged certificate is good")
    expect_new(lone)
    found = [r for r in records(lone.vault) if r["event"] == "trust.anchors"]
    assert len(found) == 2 and sha256((lone.other / "ca.pem").read_bytes()) in found[1]["detail"]


def test_another_authority_waits_until_the_second_operator_approves(authorities):
    a, vault = authorities, authorities.vault
    with contextlib.closing(idle_connection(vault, "clinic")) as idle:
        put_in_place(a.pki / "ca.pem", (a.other / "ca.pem").read_bytes())
        asked = wait_for_request(vault)
        a.swap(old_list=False)
        wait_for(lambda: log(vault).count("new revocation lists are in force; the authorities are others") == 2,
                 "the lists, in which that of the authority in force is not")
        new = sha256((a.other / "ca.pem").read_bytes())
        assert asked["asked_by"] == "unix:0" and new in asked["detail"] and "CN=" in asked["detail"]
        assert trust(vault) == {"in_force": sha256(a.files["ca.pem"]), "waiting": new}
        assert "wait for a second person" in log(vault)
        shown = [line.split() for line in vault.ctl("status", json=False).decode().splitlines()]
        assert ["others", "that", "wait", new] in shown
        expect_old(a)
        own = approve(vault, asked["pending"], cert=None)
        assert own.status == 403 and own.json()["reasons"][0]["rule"] == "own-request"
        expect_old(a)
        idle.request("GET", "/v1/status")
        answer = idle.getresponse()
        assert answer.status == 200 and answer.read(), "who is there goes on"
        done = approve(vault, asked["pending"])
        assert done.status == 200 and done.json()["sha256"] == new
        assert_ends(idle)
    expect_new(a)
    record = [r for r in records(vault) if r["event"] == "trust.anchors"][-1]
    assert record["service"]["name"] == "operator2" and new in record["detail"]


def test_who_stays_known_under_both_goes_on(authorities):
    a, vault = authorities, authorities.vault
    with contextlib.closing(idle_connection(vault, "clinic")) as idle:
        a.both()
        number = wait_for_request(vault)["pending"]
        assert approve(vault, number).status == 200
        idle.request("GET", "/v1/status")
        assert idle.getresponse().status == 200
    assert a.served("clinic") and a.served("clinic", forged=True)


def test_restart_with_another_file_lets_nobody_in(authorities):
    """What root can do without anybody: stop, swap, start."""
    a, vault = authorities, authorities.vault
    stop(vault)
    a.swap()
    start(vault)
    wait_for(lambda: vault.http("GET", "/v1/status").json()["seal"] == "unsealed", "it serves")
    number = wait_for_request(vault)["pending"]
    wait_for(lambda: a.served("operator2"), "the old authority is in force")
    expect_old(a)
    stop(vault)
    start(vault)
    wait_for(lambda: a.served("operator2"), "the old authority is in force again")
    assert [p["pending"] for p in waiting(vault)] == [number], "the same request waits"
    expect_old(a)
    assert approve(vault, number).status == 200
    expect_new(a)
    stop(vault)
    start(vault)
    wait_for(lambda: a.served("clinic", forged=True), "the new one is in force")
    expect_new(a)


def test_connection_from_before_the_unsealing_is_cut(authorities):
    """While the vault is sealed the gate has only the file to go by."""
    a, vault = authorities, authorities.vault
    vault.ctl("seal")
    stop(vault)
    a.swap()
    start(vault)
    if vault.http("GET", "/v1/status").json()["seal"] == "unsealed":
        vault.ctl("seal")
        kill(vault, "vaultd-gate")
        wait_for(lambda: core_serves(vault), "the core is there again")
    assert vault.http("GET", "/v1/status").json()["seal"] == "sealed"
    context = ssl.create_default_context(cafile=a.server)
    context.load_cert_chain(a.other / "operator2.pem", a.other / "operator2.key")
    forged = vault.connect("clinic")
    forged._context = context
    with contextlib.closing(forged):
        forged.request("GET", "/v1/status")
        assert forged.getresponse().read(), "control: it is in while the vault is sealed"
        vault.ctl("unseal")
        assert_ends(forged)
    wait_for(lambda: a.served("operator2"), "the old authority is in force")
    expect_old(a)


def core_serves(vault):
    with contextlib.suppress(Exception):
        return vault.http("GET", "/v1/status").status == 200
    return False


def kill(vault, name):
    for pid in processes(vault)[name]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["vaultd-gate", "vaultd-monitor"])
def test_death_while_it_waits_changes_nothing(authorities, name):
    a, vault = authorities, authorities.vault
    a.swap()
    number = wait_for_request(vault)["pending"]
    before = processes(vault)[name]
    kill(vault, name)
    wait_for(lambda: processes(vault).get(name, before) != before and core_serves(vault), "it was started anew")
    wait_for(lambda: a.served("operator2"), "the old authority is in force")
    expect_old(a)
    assert [p["pending"] for p in waiting(vault)] == [number]
    assert approve(vault, number).status == 200
    kill(vault, name)
    wait_for(lambda: core_serves(vault) and a.served("clinic", forged=True), "the new one is in force")
    expect_new(a)


def test_expired_request_leaves_the_file_out_of_force():
    with running_vault(settings={"approve_seconds": 5}) as vault:
        a = Authorities(vault)
        a.swap()
        wait_for_request(vault)
        wait_for(lambda: not waiting(vault), "its end", seconds=60)
        wait_for_record(vault, event="pending.expired", outcome="denied")
        assert "other client authorities were not approved; those in force stay" in log(vault)
        expect_old(a)
        assert trust(vault)["waiting"] is not None
        a.both()
        wait_for_request(vault)


def test_newer_file_replaces_the_request_and_the_old_file_ends_it(authorities):
    a, vault = authorities, authorities.vault
    a.swap()
    first = wait_for_request(vault)["pending"]
    a.both()
    second = wait_for(lambda: [p for p in waiting(vault) if p["pending"] != first], "another request")[0]["pending"]
    assert [p["pending"] for p in waiting(vault)] == [second]
    assert approve(vault, first).status == 404
    expect_old(a)
    a.back()
    wait_for(lambda: not waiting(vault), "nothing waits")
    assert trust(vault)["waiting"] is None
    expect_old(a)


def test_bad_file_is_refused_and_asks_nobody(authorities):
    a, vault = authorities, authorities.vault
    put_in_place(a.pki / "ca.pem", (a.other / "ca.pem").read_bytes()[:200])
    wait_for(lambda: "the former authorities and revocation lists stay in force" in log(vault), "the refusal")
    time.sleep(0.5)
    assert not waiting(vault)
    expect_old(a)


def test_revocation_is_in_force_at_once_while_others_wait(authorities):
    a, vault = authorities, authorities.vault
    a.swap()
    wait_for_request(vault)
    pathlib.Path(a.pki / "ca.pem").write_bytes(a.files["ca.pem"])  # to sign the list with
    subprocess.run([ROOT / "scripts" / "test-pki", a.pki, "--revoke", "research"], check=True, capture_output=True)
    a.files["crl.pem"] = (a.pki / "crl.pem").read_bytes()
    a.swap()
    wait_for_request(vault)
    wait_for(lambda: a.received("research") == b"", "it is revoked")
    expect_old(a)
