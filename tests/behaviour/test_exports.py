"""Exports of a part of the audit: of a patient, of a service, of a time, since a checkpoint; and as a table. Of one chain nothing can
be left out unseen."""
import base64
import contextlib
import csv
import hashlib
import json
import socket
import subprocess
import threading
import time

import pytest

import scene
import small_disk
from scene import RESEARCH, TREATMENT, add_patient, deposit, file_path, records
from vault_under_test import ROOT, running_vault

READS = 60


@pytest.fixture(scope="module")
def vault():
    with running_vault() as v:
        for subject in ("S-1", "S-2"):
            add_patient(v, subject)
            deposit(v, subject, "a.cram", b"A" * 1000)
        for n in range(READS):
            for subject, purpose, cert in (("S-1", TREATMENT, "clinic"), ("S-2", RESEARCH, "research"), ("S-9", TREATMENT, "clinic")):
                v.http("GET", file_path(subject, "a.cram"), cert=cert, headers={"Purpose": purpose})
        scene.wait_for(lambda: sum(r["event"] == "read.close" for r in records(v)) >= 2 * READS, "each read's end is recorded")
        yield v


def export(vault, path, *options, expect=0):
    return vault.ctl("audit", "export", "--format", "jsonl", "-o", path, *options, expect=expect)


def verify(vault, path, expect=0):
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    report = vault.ctl("audit", "verify", path, "--key", vkey, expect=expect)
    if expect == 0:
        done = subprocess.run(["/usr/bin/python3", str(ROOT / "tests" / "verify_audit.py"), str(path), vkey], capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return report


def lines(path):
    return [json.loads(line) for line in (path / "records.jsonl").read_bytes().splitlines()]


def test_an_export_of_a_patient_has_all_of_their_chain_and_nobody_else(vault, tmp_path):
    summary = export(vault, tmp_path / "s", "--subject", "S-1")
    verify(vault, tmp_path / "s")
    found = lines(tmp_path / "s")
    assert {r["subject"] for r in found} == {"S-1"} and len(found) == summary["records"] > 2 * READS
    assert [r["chain"]["subject"]["n"] for r in found] == list(range(len(found)))
    everything = [r["seq"] for r in records(vault) if r.get("subject") == "S-1"]
    assert [r["seq"] for r in found] == everything
    own = found[-1]
    assert own["event"] == "audit.export", "the export is a record of the patient's, too"
    report = verify(vault, tmp_path / "s")
    assert report["complete"] is True and f"of subject S-1, by unix:0 at {own['time']} (record {own['seq']})" in report["asked"]
    before = (tmp_path / "s" / "records.jsonl").read_bytes().splitlines()[-2]
    assert own["detail"].startswith("records 0 to ") and own["detail"].endswith(
        f" of subject S-1, whose chain had {len(found) - 1}, the last {hashlib.sha256(bytes([0]) + before).hexdigest()}, jsonl")


def test_an_export_of_a_service_has_all_that_it_did(vault, tmp_path):
    export(vault, tmp_path / "s", "--service", "clinic")
    verify(vault, tmp_path / "s")
    assert {r["service"]["name"] for r in lines(tmp_path / "s")} == {"clinic"}
    export(vault, tmp_path / "root", "--service", "unix:0")
    verify(vault, tmp_path / "root")
    middle = lines(tmp_path / "s")[READS]["seq"]
    export(vault, tmp_path / "part", "--service", "clinic", "--from", middle, "--to", middle + 40)
    report = verify(vault, tmp_path / "part")
    assert report["complete"] is False, "nothing shows where the chain goes on outside the range"
    part = lines(tmp_path / "part")
    assert part[0]["seq"] == middle and part[-1]["seq"] < middle + 40


def runs_of(folder):
    """Records that follow one another by number, as places in records.jsonl, and as numbers."""
    numbers, found = [r["seq"] for r in lines(folder)], []
    for place, number in enumerate(numbers):
        if not found or number != found[-1][1][-1] + 1:
            found.append(([], []))
        found[-1][0].append(place)
        found[-1][1].append(number)
    return found


def leave_out(folder, run, with_proofs=True):
    places, numbers = runs_of(folder)[run]
    for name in ("records.jsonl", "proofs.jsonl"):
        kept = (folder / name).read_bytes().splitlines(keepends=True)
        if name == "records.jsonl":
            kept = [line for place, line in enumerate(kept) if place not in places]
        elif with_proofs:
            kept = [line for line in kept if json.loads(line)["seq"] not in numbers]
        (folder / name).write_bytes(b"".join(kept))
    return len(numbers)


@pytest.mark.parametrize("with_proofs", [True, False])
@pytest.mark.parametrize("left_out", [0, 3, -2])
def test_a_record_that_is_left_out_of_a_chain_shows(vault, tmp_path, left_out, with_proofs):
    export(vault, tmp_path / "s", "--subject", "S-1")
    count = leave_out(tmp_path / "s", left_out, with_proofs)
    verify(vault, tmp_path / "s", expect=6)
    (tmp_path / "s" / "asked.jsonl").unlink()
    if left_out == 0 and with_proofs:  # a part that begins later is one, where nobody says that more was asked for
        assert verify(vault, tmp_path / "s")["whole"] is False
        assert lines(tmp_path / "s")[0]["chain"]["subject"]["n"] == count
    else:
        verify(vault, tmp_path / "s", expect=6)


def test_since_a_checkpoint_and_by_days(vault, tmp_path):
    kept = tmp_path / "checkpoint"
    vault.ctl("audit", "checkpoint", "-o", kept)
    size = int(kept.read_text().split("\n")[1])
    vault.http("GET", file_path("S-1", "a.cram"), cert="clinic", headers={"Purpose": TREATMENT})
    export(vault, tmp_path / "since", "--since-checkpoint", kept)
    vkey = vault.ctl("audit", "checkpoint")["vkey"]
    assert vault.ctl("audit", "verify", tmp_path / "since", "--key", vkey, "--checkpoint", kept)["verified"]
    assert lines(tmp_path / "since")[0]["seq"] == size
    today, tomorrow = (time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86400)) for days in (0, 1))
    export(vault, tmp_path / "today", "--from", today, "--to", tomorrow)
    assert all(r["time"].startswith(today) for r in lines(tmp_path / "today"))
    verify(vault, tmp_path / "today")
    first = records(vault)[0]["time"][:10]
    if first == today:
        assert lines(tmp_path / "today")[0]["seq"] == 0
    export(vault, tmp_path / "never", "--to", "2020-01-01", expect=2)
    export(vault, tmp_path / "later", "--from", tomorrow)  # its own record is the only one
    assert len(lines(tmp_path / "later")) == 1


def test_what_there_is_not_is_refused(vault, tmp_path):
    export(vault, tmp_path / "x", "--subject", "S-404", expect=4)
    export(vault, tmp_path / "x", "--service", "nobody", expect=4)
    export(vault, tmp_path / "x", "--subject", "S-1", "--service", "clinic", expect=2)
    export(vault, tmp_path / "x", "--from", "soon", expect=2)
    export(vault, tmp_path / "x", "--since-checkpoint", tmp_path, expect=1)
    (tmp_path / "no").write_text("no checkpoint")
    export(vault, tmp_path / "x", "--since-checkpoint", tmp_path / "no", expect=1)
    export(vault, tmp_path / "x", "--service", "depositor", "--from", records(vault)[-1]["seq"], expect=1)
    assert not (tmp_path / "x").exists()
    assert vault.http("GET", "/v1/audit/subjects/S-1/records?from=0&to=9&tree=9", cert="clinic").status == 403
    assert vault.http("GET", "/v1/audit/subjects/S-404/records?from=0&to=9&tree=9").status == 404
    assert vault.http("GET", "/v1/audit/subjects/S-1/records?from=0").status == 400


def test_a_table_is_one_and_no_cell_is_a_formula(vault, tmp_path):
    hostile = '=cmd|"/c calc"!A1'
    vault.http("GET", file_path("S-1", "a.cram"), cert="clinic", headers={"Purpose": f'treatment;break-glass="@SUM(1+1)"'})
    vault.ctl("project", "add", "-P-formula", "--title", hostile, "--service", "research", expect=2)
    vault.ctl("subject", "add", "@S-formula")
    vault.ctl("service", "add", "+lab", "--san", "urn:x:1", "--role", "depositor", expect=2)
    summary = vault.ctl("audit", "export", "--format", "csv", "-o", tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as table:
        rows = list(csv.reader(table))
    assert rows[0][:4] == ["seq", "time", "event", "outcome"] and len(rows) == summary["records"] + 1
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not any(cell[:1] in "=+-@\t\r" for row in rows for cell in row if cell)
    by_seq = {r["seq"]: r for r in records(vault)}
    for row in rows[1:]:
        cells, record = dict(zip(rows[0], row)), by_seq[int(row[0])]
        assert cells["event"] == record["event"] and cells["subject"].lstrip("'") == record.get("subject", "")
        assert cells["rules"] == " ".join(r["rule"] for r in record.get("reasons", []))
    assert any(row[rows[0].index("subject")] == "'@S-formula" for row in rows)
    table = vault.ctl("audit", "export", "--format", "csv", "--subject", "S-2", "-o", tmp_path / "s.csv", json=False)
    assert b"proves nothing" in table and (tmp_path / "s.csv").read_text().count("S-2") > READS
    vault.ctl("audit", "export", "--format", "xml", "-o", tmp_path / "x", expect=2)


def test_the_patient_s_report_tells_everything_and_of_nobody_else(vault, tmp_path):
    vault.http("GET", file_path("S-2", "a.cram"), cert="clinic", headers={"Purpose": 'treatment;break-glass="bleeding"'})
    vault.http("GET", file_path("S-2", "a.cram"), cert="research", headers={"Purpose": 'research;project="P1"'})
    summary = vault.ctl("audit", "export", "--format", "report", "--subject", "S-2", "-o", tmp_path / "report")
    verify(vault, tmp_path / "report")
    text = (tmp_path / "report" / "report.txt").read_text()
    found = lines(tmp_path / "report")
    for r in found:
        who = r["service"]["name"] if ":" not in r["service"]["name"] else "the vault's administrator"
        line = next(line for line in text.splitlines() if line.startswith(f"{r['time'][:10]} {r['time'][11:19]}  {who} "))
        assert r["event"] not in line or "." not in r["event"], f"{r['event']} is told in no words"
    assert sum(line[:4].isdigit() and line[4] == "-" for line in text.splitlines()) == len(found) == summary["records"]
    assert "S-1" not in text and "S-9" not in text
    assert f"research: {sum(r['event'] == 'read' and r['outcome'] == 'permitted' and r['service']['name'] == 'research' for r in found)}\n" in text
    assert "Read in an emergency, which an auditor looks at: 1\n" in text and 'for treatment (break-glass "bleeding")' in text
    assert 'for research (project "P1", approval "A1"): permitted' in text
    assert "Research needs an ethics approval, and the purpose names none." in text
    minlog = json.loads((tmp_path / "report" / "minlog.json").read_text())
    seen = [r for r in found if r["event"] in ("read", "metadata", "list", "deposit", "inquiry")]
    assert [m["FromDateTime"] for m in minlog] == [r["time"] for r in seen]
    assert {m["PersonIdentifier"] for m in minlog} == {"S-2"} and {m["Criticality"] for m in minlog} == {"normal", "denied", "emergency"}
    assert {"Source", "Activity", "Reason", "UserPersonName", "UserRole", "OrganisationName"} <= set(minlog[0])
    vault.ctl("audit", "export", "--format", "report", "-o", tmp_path / "x", expect=2)


def tile_name(n):
    """C2SP tlog-tiles, from docs/format-audit.md."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    return "/".join(groups)


def read_tile(folder, kind, n, width):
    return (folder / "tile" / kind / (tile_name(n) + (f".p/{width}" if width < 256 else ""))).read_bytes()


def root_of_tree(hashes):
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of_tree(hashes[:split]) + root_of_tree(hashes[split:])).digest()


def test_tiles_are_the_whole_log_and_give_its_root(vault, tmp_path):
    for n in range(520 - len(records(vault))):
        vault.http("POST", "/v1/decisions", b'{"subject":"S-1","purpose":"treatment"}', {"Content-Type": "application/json"}, cert="clinic")
    vault.ctl("audit", "export", "--format", "tiles", "-o", tmp_path / "tiles")
    folder, everything = tmp_path / "tiles", []
    size, root = (folder / "checkpoint").read_text().split("\n")[1:3]
    size, leaves, lines_of_log = int(size), [], []
    assert size > 512, "more than two tiles"
    for n in range(-(-size // 256)):
        width = min(256, size - 256 * n)
        tile, entries = read_tile(folder, "0", n, width), read_tile(folder, "entries", n, width)
        leaves += [tile[i:i + 32] for i in range(0, len(tile), 32)]
        while entries:
            length = int.from_bytes(entries[:2], "big")
            lines_of_log.append(entries[2:2 + length])
            entries = entries[2 + length:]
    assert [hashlib.sha256(b"\0" + line).digest() for line in lines_of_log] == leaves and len(leaves) == size
    assert base64.b64encode(root_of_tree(leaves)).decode() == root
    full = size // 256
    above = read_tile(folder, "1", 0, full)
    assert [above[i:i + 32] for i in range(0, len(above), 32)] == [root_of_tree(leaves[256 * n:256 * n + 256]) for n in range(full)]
    assert [json.loads(line) for line in lines_of_log] == records(vault)[:size]
    everything = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert len(everything) == 1 + 2 * -(-size // 256) + 1
    vault.ctl("audit", "export", "--format", "tiles", "--subject", "S-1", "-o", tmp_path / "x", expect=2)
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"


@pytest.mark.skipif(not small_disk.may_mount("tmpfs"), reason="no mounts here")
@pytest.mark.parametrize("kind", ["csv", "tiles", "jsonl", "html"])
def test_a_full_disk_is_named_and_leaves_nothing(vault, tmp_path, kind):
    place = tmp_path / "disk"
    place.mkdir()
    with small_disk.disk("tmpfs", place, 1), small_disk.Ballast(place) as ballast:
        for leave in (8192, 65536):
            ballast.fill(leave)
            vault.ctl("audit", "export", "--format", kind, "-o", place / "x", expect=1)
            assert "No space left on device" in vault.stderr
            assert [path.name for path in place.iterdir()] == ["ballast"]


def test_an_export_of_a_project_has_all_of_its_chain(vault, tmp_path):
    """What was asked for it, permitted or not, how each read ended, and the export itself; nothing of others, and none left out unseen."""
    vault.http("GET", file_path("S-2", "a.cram"), cert="research", headers={"Purpose": 'research;project="made-up";approval="A1"'})
    export(vault, tmp_path / "p", "--project", "P1")
    report = verify(vault, tmp_path / "p")
    found = lines(tmp_path / "p")
    assert {r["project"] for r in found} == {"P1"}
    assert [r["chain"]["project"]["n"] for r in found] == list(range(found[0]["chain"]["project"]["n"], found[0]["chain"]["project"]["n"] + len(found)))
    everything = records(vault)
    assert [r["seq"] for r in found] == [r["seq"] for r in everything if r.get("project") == "P1"]
    assert {"read", "read.close", "audit.export"} <= {r["event"] for r in found}
    asked = [r["seq"] for r in everything if r.get("asked", {}).get("project") == "P1"]
    assert set(asked) <= {r["seq"] for r in found}
    assert not any("project" in r for r in everything if r.get("asked", {}).get("project") == "made-up"), "nobody makes chains by names"
    assert report["verified"]
    line = runs_of(tmp_path / "p")[1][0][0] + 1
    leave_out(tmp_path / "p", 1)
    verify(vault, tmp_path / "p", expect=6)
    assert f"missing before line {line} " in vault.stderr
    vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "q", "--project", "nobody", expect=4)
    vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "q", "--project", "P1", "--service", "research", expect=2)


# ---- a connection that breaks ----

class Cutting:
    """Between vaultctl and the vault's socket: the first connections end after so many bytes of answers, wherever that is; None: as soon as
    there are lines."""

    def __init__(self, path, vault, after, cuts):
        self.vault, self.after, self.cuts, self.cut = vault, after, cuts, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self.vault.env["VAULT_SOCKET"])
            threading.Thread(target=self.send, args=(client, server), daemon=True).start()
            came = 0
            while data := server.recv(1 << 14):
                came += len(data)
                lines = b"application/jsonl" in data
                if self.cut < self.cuts and (lines if self.after is None else came > self.after):
                    self.cut += 1
                    client.sendall(data[:40 if lines else 1000])
                    client.shutdown(socket.SHUT_RDWR)  # a close alone would wait for the thread that reads from it
                    server.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def send(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 14):
                server.sendall(data)


@pytest.mark.parametrize("options", [[], ["--subject", "S-1"], ["--format", "csv"], ["--format", "tiles"]])
def test_an_export_goes_on_where_its_connection_broke(vault, tmp_path, options):
    options = options if "--format" in options else ["--format", "jsonl", *options]
    proxy = Cutting(tmp_path / "s", vault, 30_000, 4)
    vault.ctl("--socket", tmp_path / "s", "audit", "export", "-o", tmp_path / "x", *options)
    assert proxy.cut == 4, "it was cut as often as that"
    vault.ctl("audit", "export", "-o", tmp_path / "y", *options)
    if "csv" in options:
        assert (tmp_path / "y").read_bytes().startswith((tmp_path / "x").read_bytes()[:-200])
    elif "tiles" not in options:
        verify(vault, tmp_path / "x")
        assert (tmp_path / "y" / "records.jsonl").read_bytes().startswith((tmp_path / "x" / "records.jsonl").read_bytes())


def test_an_export_whose_connection_breaks_without_end_fails_and_leaves_nothing(vault, tmp_path):
    proxy = Cutting(tmp_path / "s", vault, None, 1000)
    vault.ctl("--socket", tmp_path / "s", "audit", "export", "--format", "csv", "-o", tmp_path / "x", expect=1)
    assert proxy.cut > 0 and list(tmp_path.iterdir()) == [tmp_path / "s"]
