"""A vault with a PKCS#11 token: SoftHSM, through a module whose faults are chosen by a test."""
import contextlib
import os
import pathlib
import re
import subprocess

import scene
from vault_under_test import HOSTILE, running_vault

SOFTHSM = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")
MODULE = HOSTILE / "token_module.so"
USER = 64105  # of vaultd-token: scripts/dev-vault
LABEL, OBJECT, PIN, OFFICER_PIN = "vault", "vault-root", "pin-of-the-vault-7391", "87654321"
URI = f"pkcs11:token={LABEL};object={OBJECT}"


class Token:
    """A folder with a token, its configuration, the PIN, and the list of calls."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.conf, self.pin, self.calls, self.spill = (
            self.folder / name for name in ("softhsm2.conf", "pin", "calls", "spill"))

    def make(self):
        tokens = self.folder / "tokens"
        tokens.mkdir(parents=True)
        self.conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin",
                        OFFICER_PIN], env=self.environment(), check=True, capture_output=True, timeout=60)
        self.write_pin(PIN)
        self.calls.write_text("")
        self.spill.write_text("")
        self.folder.chmod(0o711)
        for path in (tokens, *tokens.rglob("*"), self.calls, self.spill):
            os.chown(path, USER, USER)
        self.conf.chmod(0o644)

    def environment(self):
        return {**os.environ, "SOFTHSM2_CONF": str(self.conf)}

    def write_pin(self, pin, mode=0o600):
        self.pin.write_text(pin + "\n")
        self.pin.chmod(mode)

    def section(self, module=MODULE, fault=None, uri=URI, seconds=10):
        """The configuration's `token`."""
        variables = [f"SOFTHSM2_CONF={self.conf}", f"TOKEN_CALLS={self.calls}", f"TOKEN_SPILL={self.spill}"]
        variables += [f"TOKEN_FAULT={fault}"] if fault else []
        return (f'token:\n  module: "{module}"\n  uri: "{uri}"\n  pin:\n    file: "{self.pin}"\n  seconds: {seconds}\n'
                "  environment:\n" + "".join(f'    - "{v}"\n' for v in variables))

    def keys(self):
        """Ids of the keys in it. A key that is destroyed while they are listed makes the list fail."""
        def listed():
            return subprocess.run(["pkcs11-tool", "--module", str(SOFTHSM), "--token-label", LABEL, "--login", "--pin",
                                   PIN, "--list-objects", "--type", "secrkey"], env=self.environment(),
                                  capture_output=True, text=True, timeout=60)
        done = scene.wait_for(lambda: (d := listed()).returncode == 0 and d, "a list of the keys")
        return set(re.findall(r"ID:\s+([0-9a-f]+)", done.stdout))

    def count(self, call):
        return self.calls.read_text().split().count(call)


def configure(vault, **how):
    """Another `token` section, from the next start on; None: no section."""
    path = vault.folder / "vaultd.yaml"
    text = re.sub(r"^token:\n(?:[ ].*\n)*", "", path.read_text(), flags=re.M)
    path.write_text(text + (vault.token.section(**how) if how.pop("there", True) else ""))


def restart(vault, **how):
    scene.stop(vault)
    configure(vault, **how)
    scene.start(vault)


@contextlib.contextmanager
def token_vault():
    """A vault that knows a token, and is sealed by its credential; with one file."""
    with contextlib.ExitStack() as stack:
        made = []

        @contextlib.contextmanager
        def around(folder):
            made.append(Token(folder.parent / "token"))
            made[0].make()
            (folder / "limits.yaml").write_text(made[0].section())  # becomes part of vaultd.yaml
            yield

        vault = stack.enter_context(running_vault(around=around))
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
