"""A vault with a PKCS#11 token: SoftHSM, through a module whose faults are chosen by a test."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

import scene
from vault_under_test import HOSTILE, running_vault

SOFTHSM = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")
MODULE = HOSTILE / "token_module.so"
SECONDS = 6  # that a task gets
USER = 64105  # of vaultd-token: scripts/dev-vault
LABEL, OBJECT, PIN, OFFICER_PIN = "vault", "vault-root", "pin-of-the-vault-7391", "87654321"
URI = f"pkcs11:token={LABEL};object={OBJECT}"


class Token:
    """A folder with a token, its configuration, the PIN, and the list of calls."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.conf, self.pin, self.fault, self.calls, self.spill = (
            self.folder / name for name in ("softhsm2.conf", "pin", "fault", "calls", "spill"))

    def make(self):
        tokens = self.folder / "tokens"
        tokens.mkdir(parents=True)
        self.conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.write_pin(PIN)
        self.fault.write_text("")
        self.calls.write_text("")
        self.spill.write_text("")
        self.folder.chmod(0o711)
        for path in (tokens, self.calls, self.spill):
            os.chown(path, USER, USER)
        self.conf.chmod(0o644)
        self.fault.chmod(0o644)
        self.run("softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", OFFICER_PIN)

    def run(self, *command, check=True):
        """As the token's user: a file that another had made there would be closed to it."""
        who = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.run(command, env={**os.environ, "SOFTHSM2_CONF": str(self.conf)}, check=check, cwd="/",
                              capture_output=True, text=True, timeout=60, **who)

    def write_pin(self, pin, mode=0o600):
        self.pin.write_text(pin + "\n")
        self.pin.chmod(mode)

    def section(self, module=MODULE, uri=URI, seconds=SECONDS):
        """The configuration's `token`."""
        variables = [f"SOFTHSM2_CONF={self.conf}", f"TOKEN_FAULT={self.fault}", f"TOKEN_CALLS={self.calls}",
                     f"TOKEN_SPILL={self.spill}"]
        return (f'token:\n  module: "{module}"\n  uri: "{uri}"\n  pin:\n    file: "{self.pin}"\n  seconds: {seconds}\n'
                "  environment:\n" + "".join(f'    - "{v}"\n' for v in variables))

    def keys(self):
        """Ids of the keys in it. A key that is destroyed while they are listed makes the list fail."""
        for _ in range(20):
            done = self.run("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", LABEL, "--login", "--pin", PIN,
                            "--list-objects", "--type", "secrkey", check=False)
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stdout + done.stderr
        return set(re.findall(r"ID:\s+([0-9a-f]+)", done.stdout))

    def count(self, call):
        return self.calls.read_text().split().count(call)


def configure(vault, **how):
    """Another `token` section from the next start on; there=False: none."""
    path = vault.folder / "vaultd.yaml"
    text = re.sub(r"^token:\n(?:[ ].*\n)*", "", path.read_text(), flags=re.M)
    path.write_text(text + (vault.token.section(**how) if how.pop("there", True) else ""))


def restart(vault, **how):
    scene.stop(vault)
    configure(vault, **how)
    scene.start(vault)


@contextlib.contextmanager
def token_vault(programs=None):
    """A vault that knows a token, and is sealed by its credential; with one file."""
    with contextlib.ExitStack() as stack:
        made = []

        @contextlib.contextmanager
        def around(folder):
            made.append(Token(folder.parent / "token"))
            made[0].make()
            (folder / "limits.yaml").write_text(made[0].section())  # becomes part of vaultd.yaml
            yield

        vault = stack.enter_context(running_vault(around=around, programs=programs))
        vault.token = made[0]
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "genome", b"genome" * 1000)
        yield vault


def reads(vault):
    answer = vault.http("GET", scene.file_path("S-1", "genome"), headers={"Purpose": scene.TREATMENT}, cert="clinic")
    return answer.status == 200 and answer.body == b"genome" * 1000


def root(vault):
    return vault.ctl("status")["root"]


def rules(answer):
    return [r["rule"] for r in answer["reasons"]]


def log_of(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def vault():
    with token_vault() as v:
        v.changed = False  # its configuration
        yield v


@pytest.fixture(autouse=True)
def left_by_credential(request):
    """Whatever a test did, the next one finds the vault open, by its credential, and an empty token that works."""
    yield
    if "vault" in request.fixturenames:
        v = request.getfixturevalue("vault")
        v.token.write_pin(PIN)
        v.token.fault.write_text("")
        if v.changed:
            restart(v)
        v.changed = False
        if scene.seal_state(v) != "unsealed":
            v.ctl("unseal")
        if root(v)["by"] != "credential":
            v.ctl("key", "seal", "credential")
        assert reads(v)
        swept(v)


def seal_by_token(vault):
    return vault.ctl("key", "seal", "token")["key"]


def keys_are(vault, *keys):
    """A sweep comes a moment after the change that made it necessary."""
    try:
        scene.wait_for(lambda: vault.token.keys() == set(keys), f"only {keys} in the token", 30)
    except AssertionError as e:
        sweeps = [r for r in scene.records(vault) if r["event"] == "token.sweep"]
        raise AssertionError(f"{e}: {vault.token.keys()}, {sweeps[-2:]}") from e


def swept(vault):
    seal = root(vault)
    keys_are(vault, *([seal["key"]] if seal["by"] == "token" else []))


@contextlib.contextmanager
def hanging(vault, fault):
    """While a change of the seal waits for a module that hangs at this point: the pid of its process, and what the change
    has come to, later. It is killed at the end if it is there still."""
    done, hung, pid = {}, vault.token.count(fault), None
    program = pathlib.Path(vault.env["PATH"].split(":")[0]) / "vaultctl"

    def run():
        done["it"] = subprocess.run([program, "key", "seal", "token"], env=vault.environment(), capture_output=True,
                                    timeout=120)
    scene.wait_for(lambda: "vaultd-token" not in scene.processes(vault), "no task before")
    vault.token.fault.write_text(fault)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        scene.wait_for(lambda: vault.token.count(fault) > hung, f"the module at {fault}")
        pid = scene.processes(vault)["vaultd-token"][0]
        yield pid, done
    finally:
        vault.token.fault.write_text("")
        if pid in scene.processes(vault).get("vaultd-token", []):
            os.kill(pid, signal.SIGKILL)
        thread.join()


def failures(vault, event):
    return [r["reasons"][0]["rule"] for r in scene.records(vault) if r["event"] == event and r["outcome"] == "failed"]
