"""What the tests of disclosure, damage, death and withdrawal share: patients, files, records, processes, restarts."""
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import ssl
import stat
import subprocess
import time
import urllib.parse

from vault_under_test import ROOT, is_running

TREATMENT = "treatment"
RESEARCH = 'research;project="P1";approval="A1"'
CHUNK, OBJECT_MAX = 4 << 20, 64 * 65564
CUT = (OSError, ssl.SSLError, http.client.HTTPException)  # how a client sees that its answer ends early


def wait_for(condition, what, seconds=60):
    """What the condition gives, once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


# ---- patients and files ----

def today():
    """A signature of now: paper from before a withdrawal could not undo it."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def give_consent(vault, subject, treatment=True, research=("DUO:0000042",)):
    document = {"subject": subject, "signed": today(), "form": "2026-1",
                "permits": {"treatment": treatment, "research": list(research)}}
    vault.ctl("consent", "set", subject, "-", input=json.dumps(document).encode())


def administer(vault, *command, **options):
    """What root asks for, approved by the second operator where it has to be."""
    answer = vault.ctl(*command, **options)
    waits = isinstance(answer.get("pending"), int)
    return vault.ctl("pending", "approve", answer["pending"], cert="operator2") if waits else answer


def add_patient(vault, subject):
    vault.ctl("subject", "add", subject)
    give_consent(vault, subject)


def file_path(subject, name):
    return f"/v1/subjects/{urllib.parse.quote(subject)}/files/{urllib.parse.quote(name)}"


def deposit(vault, subject, name, content, dataset=None, cert="depositor"):
    """The file's document."""
    headers = {"Vault-Dataset": dataset} if dataset else {}
    answer = vault.http("PUT", file_path(subject, name), content, headers, cert=cert, timeout=120)
    assert answer.status == 201, answer.body
    return answer.json()


class Read:
    """A read of a whole file, to its end or to where it was cut."""

    def __init__(self, vault, subject, name, purpose=TREATMENT, cert="clinic", timeout=120):
        self.status, self.request, self.seq, self.whole, body = None, None, None, False, bytearray()
        connection = vault.connect(cert, timeout)
        try:
            connection.request("GET", file_path(subject, name), headers={"Purpose": purpose})
            response = connection.getresponse()
            self.status, self.request = response.status, response.headers["Request-Id"]
            self.seq = response.headers["Audit-Seq"]
            size = int(response.headers["Content-Length"])
            while len(body) < size and (piece := response.read1(1 << 18)):
                body += piece
            self.whole = self.status == 200 and len(body) == size
        except CUT:
            pass
        finally:
            connection.close()
            self.body = bytes(body)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def listed_files(vault):
    """The documents of all files, as an administrator sees them."""
    files, cursor = [], ""
    while cursor is not None:
        page = vault.http("GET", f"/v1/files{cursor}").json()
        files += page["files"]
        cursor = f"?cursor={page['next']}" if page["next"] else None
    return files


# ---- the audit ----

def inquire(vault, count, patients, clients=16):
    """A clinic's inquiries about patients S-0 and so on, each with a record of its own; by several connections at a time."""
    def client(n):
        connection = vault.connect("clinic")
        for i in range(count // clients):
            connection.request("POST", "/v1/decisions", json.dumps({"subject": f"S-{(n + i) % patients}", "purpose": TREATMENT}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.read() and answer.status == 200, answer.status
        connection.close()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))


def sorted_members(pairs):
    names = [name for name, _ in pairs]
    assert names == sorted(names), f"members of a record: {names}"
    return dict(pairs)


def record_of(line):
    return json.loads(line, object_pairs_hook=sorted_members)


def records(vault, first=0):
    """All audit records from a number on."""
    size = vault.http("GET", "/v1/status").json()["records"]
    answer = vault.http("GET", f"/v1/audit/records?from={first}&to={size}&tree={size}")
    assert answer.status == 200, answer.body
    return [record_of(line) for line in answer.body.splitlines()]


def wait_for_record(vault, seconds=60, first=0, **members):
    """The first record that has these members; some are written a moment after the client saw the end."""
    def found():
        return next((r for r in records(vault, first) if all(r.get(k) == v for k, v in members.items())), None)
    return wait_for(found, f"a record with {members}", seconds)


def begin_slowly(vault, path, body, rate, cert=None):
    """Begins a job and slows it on the same connection, so that the rate is mostly there before the job is done; None: it
    was not."""
    with contextlib.closing(vault.connect(cert)) as connection:
        def post(path, body):
            connection.request("POST", path, *([] if body is None else [json.dumps(body), {"Content-Type": "application/json"}]))
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status in (200, 202) or b"job-ended" in said, said
            return json.loads(said)
        number = post(path, body)["id"]
        return post(f"/v1/jobs/{number}/rate", {"rate": rate}).get("id")


def verify_audit(vault, folder):
    """Exports all of it and has it checked by vaultctl and by the program that knows only the format."""
    vault.ctl("audit", "export", "--format", "jsonl", "-o", folder)
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    assert vault.ctl("audit", "verify", folder, "--key", vkey)["whole"]
    done = subprocess.run(["/usr/bin/python3", str(ROOT / "tests" / "verify_audit.py"), str(folder), vkey],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = (pathlib.Path(folder) / "records.jsonl").read_bytes().splitlines()
    return [record_of(line) for line in lines]


# ---- objects ----

def objects(vault):
    return {p.name: p for p in vault.objects.glob("??/??/*")}


def replace(path, content):
    """Puts other content in a file's place, which keeps its owner and mode. None: removes it."""
    before = path.stat()
    path.unlink()
    if content is not None:
        restore(path, content, before)


def restore(path, content, like):
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    os.chown(path, like.st_uid, like.st_gid)
    path.chmod(stat.S_IMODE(like.st_mode))


def objects_for(size):
    return -(-size // CHUNK)


# ---- processes ----

def parent_and_name(pid):
    """The name is the one that the supervisor gave: the kernel's own is the file's, where it was started by descriptor."""
    try:
        state, parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
        name = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return None, None
    return (None, None) if state in "ZX" else (int(parent), name)


def processes(vault):
    """The pids of each kind of process; the supervisor is `vaultd`."""
    found = {"vaultd": [vault.pid]} if is_running(vault.pid) else {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            parent, name = parent_and_name(entry.name)
            if parent == vault.pid and name.startswith("vaultd-"):
                found.setdefault(name, []).append(int(entry.name))
    return found


def dev_vault(folder, *args, programs=None):
    """`programs`: a folder of others than those built. What it says goes to a file in `folder`."""
    environment = {**os.environ, **({"VAULT_BIN": str(programs)} if programs else {})}
    said = folder / "dev-vault.said"
    with said.open("wb") as out:  # no pipe: the vault would hold it open
        status = subprocess.run([str(ROOT / "scripts" / "dev-vault"), *map(str, args)], env=environment,
                                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=300).returncode
    assert status == 0, f"dev-vault gave {status}: {said.read_text(errors='replace')[-4000:]}"


def stop(vault):
    vault.stop()


def start(vault, seconds=60, within=()):
    """As it was started before, by the command `within` if there is one. A supervisor that ends instead of serving is an AssertionError."""
    command = [*within, pathlib.Path(vault.env["PATH"].split(":")[0]) / "vaultd", "--config", vault.folder / "vaultd.yaml"]
    with (vault.folder / "vaultd.log").open("ab") as log:
        supervisor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    vault.pid = supervisor.pid
    (vault.folder / "pid").write_text(f"{vault.pid}\n")

    def answers():
        assert supervisor.poll() is None, f"vaultd ended with {supervisor.returncode} and did not serve"
        return seal_state(vault)
    try:
        wait_for(answers, "vaultd answers", seconds)
    except AssertionError:
        supervisor.kill()
        raise


def is_ending(parent, name):
    """A process that has lost its memory, and with it its name, and closes its files only now: it may still hold locks and
    sockets, and nobody can say whose it is. What the kernel runs for itself has no name either."""
    return name == "" and parent not in (0, 2)


def orphans(vault):
    """Processes of this vault that have outlived their supervisor: those that write to its log, and those that just end."""
    log, found = str(vault.folder / "vaultd.log"), []
    for entry in os.listdir("/proc"):
        parent, name = parent_and_name(entry) if entry.isdigit() else (None, None)
        if name is None or int(entry) == vault.pid:
            continue
        with contextlib.suppress(OSError):
            if is_ending(parent, name) or (name.startswith("vaultd") and os.readlink(f"/proc/{entry}/fd/2") == log):
                found.append(int(entry))
    return found


def seal_state(vault):
    """`unsealed` if it serves, None if nobody answers."""
    try:
        return vault.http("GET", "/v1/status", timeout=30).json()["seal"]
    except (*CUT, ValueError):
        return None
