"""The power goes while a vault is initialised. What nobody was told of may be gone, or be refused with a way out."""
import contextlib
import pathlib
import subprocess
import time

import scene
from power import claims
from vault_under_test import Vault, read_env

BEFORE = {"uninitialised", "sealed", "unsealed"}
WAYS_OUT = ("The init was interrupted", "There is a key ring but no index", "There is an index but no key ring")


def undo(folder):
    """A vault's folder as it was before its init: its configuration, certificates and root key stay."""
    for path in (folder / "state" / "keyring", folder / "twin" / "keyring"):
        path.unlink(missing_ok=True)
    for path in sorted((folder / "state" / "index").rglob("*"), reverse=True):
        path.unlink()
    with contextlib.suppress(FileNotFoundError):
        (folder / "state" / "index").rmdir()


@contextlib.contextmanager
def started(folder):
    """The supervisor alone: scripts/dev-vault would init."""
    (folder / "vaultd.sock").unlink(missing_ok=True)
    programs = pathlib.Path(read_env(folder / "env")["PATH"].split(":")[0])
    program = [str(programs / "vaultd"), "--config", str(folder / "vaultd.yaml")]
    with (folder / "vaultd.log").open("ab") as log:
        process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (folder / "pid").write_text(str(process.pid))
    try:
        vault = Vault(folder)
        scene.wait_for(lambda: scene.seal_state(vault) in BEFORE or process.poll() is not None, "an answer")
        assert process.poll() is None, "the supervisor ended"
        yield vault
    finally:
        process.terminate()
        process.wait(timeout=60)


def look(folder, day):
    """A vault that is there opens by itself. Otherwise one can be made, at once or in the way that it says."""
    seen = claims.Seen()
    try:
        with started(folder) as vault:
            why = why_closed(vault)
            if why is None:
                look_at(vault, seen)
                return seen
            if why == "uninitialised":
                init(vault)
                return seen
        if not why.startswith(WAYS_OUT):
            seen.faults.append(f"refused without a way out: {why}")
        undo(folder)
        with started(folder) as vault:
            init(vault)
    except (AssertionError, *scene.CUT, subprocess.SubprocessError, KeyError, ValueError) as problem:
        seen.faults.append(f"{type(problem).__name__}: {problem}"[:300])
    return seen


def why_closed(vault):
    """None if it is unsealed, `uninitialised`, or why it cannot be unsealed."""
    for _ in range(600):
        state = scene.seal_state(vault)
        if state in ("unsealed", "uninitialised"):
            return None if state == "unsealed" else state
        answer = vault.http("POST", "/v1/unseal")
        if answer.status != 200:
            return " ".join(r["text"] for r in answer.json()["reasons"])
        time.sleep(0.1)
    raise AssertionError("neither open nor refused")


def look_at(vault, seen):
    seen.vkey = vault.http("GET", "/v1/audit/checkpoint").json()["vkey"]
    seen.requests = {r.get("request") for r in scene.records(vault)}


def init(vault):
    answer = vault.http("POST", "/v1/init")
    assert answer.status == 201, answer.body
