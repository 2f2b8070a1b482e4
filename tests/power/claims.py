"""What a vault shows after a power cut, and whether that is what was promised before it."""
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import signal
import stat
import subprocess

import scene
from vault_under_test import Vault, free_port, wait_until_gone

VAULT_FILES = ("state", "twin", "objects")
HEADS = 2 * 4096  # of the index: the first two pages
known_indexes = {}  # SHA-256 of an index: its key
NOT_COMPARED = ("lock.mdb",)  # of the readers that there were; LMDB makes it new at start


@dataclasses.dataclass
class Seen:
    """After one start. `faults` are what no cut excuses, whatever was acknowledged."""
    faults: list = dataclasses.field(default_factory=list)
    files: dict = dataclasses.field(default_factory=dict)  # (subject, name): (size, sha256), read whole
    subjects: set = dataclasses.field(default_factory=set)
    consents: dict = dataclasses.field(default_factory=dict)  # subject: (version, permits)
    requests: set = dataclasses.field(default_factory=set)
    continued: set = dataclasses.field(default_factory=set)  # checkpoints
    generation: int = 0
    vkey: str | None = None


# ---- the files ----

def tree_key(folder):
    """The same for equal files, owners and modes of the vault."""
    whole = hashlib.sha256()
    for top in VAULT_FILES:
        for path in sorted((folder / top).rglob("*")):
            s = path.lstat()
            what = [str(path.relative_to(folder)), s.st_mode, s.st_uid, s.st_gid, s.st_size]
            if path.name == "data.mdb":
                what.append(index_key(path.read_bytes(), path.parent))
            elif stat.S_ISREG(s.st_mode) and path.name not in NOT_COMPARED:
                what.append(scene.sha256(path.read_bytes()))
            whole.update(repr(what).encode())
    return whole.hexdigest()


def index_key(raw, folder):
    """The same for indexes with the same two heads, content and free pages; the rest is pages that nothing leads to,
    and which are written before they are read again. An index that LMDB's tools cannot read is like no other."""
    same = scene.sha256(raw)
    if same not in known_indexes:
        tools = [["mdb_dump", "-a", str(folder)], ["mdb_stat", "-fff", str(folder)]]
        said = [subprocess.run(tool, capture_output=True, timeout=120) for tool in tools]
        readable = all(done.returncode == 0 for done in said)
        content = raw[:HEADS] + b"".join(done.stdout for done in said)
        known_indexes[same] = scene.sha256(content) if readable else same
    return known_indexes[same]


# ---- the running vault ----

@contextlib.contextmanager
def started(folder):
    """The vault in this folder, initialised before, started again."""
    for stale in ("pid", "vaultd.sock"):
        (folder / stale).unlink(missing_ok=True)
    try:
        scene.dev_vault(folder, folder, free_port())
        yield Vault(folder)
    finally:
        end(folder)


def end(folder):
    """By its command line: the script that was to start it may have ended before it wrote down the pid."""
    config = str(folder / "vaultd.yaml").encode()
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if config in entry.read_bytes().split(b"\0"):
                pid = int(entry.parent.name)
                os.kill(pid, signal.SIGTERM)
                assert wait_until_gone(pid), f"a supervisor did not end: {pid}"


def look(folder, day, patience=60):
    """Starts the vault and looks at all there is. A vault that does not start is a fault, and shows nothing."""
    seen = Seen()
    try:
        with started(folder) as vault:
            scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault is unsealed", patience)
            for part in (look_at_patients, look_at_files, look_at_objects, look_at_keys, look_at_audit, look_at_use):
                part(vault, seen, day)
    except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError) as problem:
        seen.faults.append(f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]}")
    return seen


def look_at_patients(vault, seen, day):
    for s in vault.http("GET", "/v1/subjects").json()["subjects"]:
        seen.subjects.add(s["subject"])
        history = vault.http("GET", f"/v1/consents/{s['subject']}?history=1").json()
        last = max(history["consents"], key=lambda c: c["version"], default=None)
        if last is not None:
            withdrawn = last["state"] == "withdrawn"
            seen.consents[s["subject"]] = (last["version"], None if withdrawn else last["permits"])


def look_at_files(vault, seen, day):
    """Where the patient has withdrawn, a read must be denied; with a new consent the file must still be whole."""
    listed = vault.http("GET", "/v1/files").json()
    assert listed["next"] is None
    closed = [f for f in listed["files"] if seen.consents.get(f["subject"], (0, None))[1] is None]
    for f in closed:
        if scene.Read(vault, f["subject"], f["name"]).status != 403:
            seen.faults.append(f"{f['subject']}/{f['name']} is given out without a consent")
    for subject in {f["subject"] for f in closed}:
        scene.give_consent(vault, subject)
    for f in listed["files"]:
        r = scene.Read(vault, f["subject"], f["name"])
        if not r.whole or len(r.body) != f["size"] or scene.sha256(r.body) != f["sha256"]:
            seen.faults.append(f"{f['subject']}/{f['name']} is listed; its read gave {r.status}, {len(r.body)} bytes")
        else:
            seen.files[f["subject"], f["name"]] = (f["size"], f["sha256"])


def look_at_objects(vault, seen, day):
    if seen.faults:  # then it is not known which are needed
        return
    needed = sum(scene.objects_for(size) for size, _ in seen.files.values())
    scene.wait_for(lambda: len(scene.objects(vault)) == needed, f"{needed} objects, when all is cleaned")
    wrong = [n for n, path in scene.objects(vault).items() if scene.sha256(path.read_bytes()) != n]
    seen.faults += [f"object {n} has other bytes than its name says" for n in wrong]


def look_at_keys(vault, seen, day):
    """The vault starts only where ring and index agree; the second copy must have been brought up too."""
    seen.generation = max(g["generation"] for g in vault.http("GET", "/v1/keys").json()["generations"])
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.http("GET", "/v1/jobs").json()["jobs"]),
                   "the end of the jobs")
    if (vault.state / "keyring").read_bytes() != (vault.folder / "twin" / "keyring").read_bytes():
        seen.faults.append("the copies of the key ring differ")


def look_at_audit(vault, seen, day):
    export = vault.folder / "export"
    seen.requests = {r.get("request") for r in scene.verify_audit(vault, export)}
    for text in {p.checkpoint for p in day.promises if p.checkpoint}:
        path = vault.folder / "checkpoint"
        path.write_text(text)
        done = subprocess.run([vault.env["PATH"].split(":")[0] + "/vaultctl", "audit", "verify", str(export),
                               "--checkpoint", str(path), "--key", day.vkey], capture_output=True, timeout=120)
        if done.returncode == 0:
            seen.continued.add(text)


def look_at_use(vault, seen, day):
    """It is a whole vault: it takes a file, and gives it back."""
    scene.add_patient(vault, "S-after")
    scene.deposit(vault, "S-after", "after", b"after the cut")
    assert scene.Read(vault, "S-after", "after").body == b"after the cut"


# ---- the promises ----

def broken(promise, seen):
    """How this promise is not kept; None if it is."""
    if promise.file and seen.files.get(promise.file[:2]) != promise.file[2:]:
        return "the file is not there whole"
    if promise.subject and promise.subject not in seen.subjects:
        return "the subject is not known"
    if promise.consent:
        version, permits = seen.consents.get(promise.subject, (0, None))
        if version < promise.consent[0] or (version == promise.consent[0] and permits != promise.consent[1]):
            return f"version {version} of the consent is in force"
    if promise.checkpoint and promise.checkpoint not in seen.continued:
        return "the log does not continue the checkpoint"
    if promise.generation > seen.generation:
        return f"generation {seen.generation} is the newest"
    if promise.vkey and promise.vkey != seen.vkey:
        return f"the verifier key is {seen.vkey}"
    if promise.request and promise.request not in seen.requests:
        return "the audit has no record of the request"
    return None


def judge(promises, seen):
    """Every fault, and every broken promise, as text."""
    found = list(seen.faults)
    for p in promises:
        how = broken(p, seen)
        if how:
            found.append(f"{p.what}: {how}")
    return found
