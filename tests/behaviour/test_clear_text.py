"""Nothing in the clear: what patients, names and genomes are called or contain is nowhere on disk, in a log, or in what
the kernel shows of a process, in no common encoding."""
import base64
import pathlib
import socket
import subprocess

import pytest

import scene
from vault_under_test import running_vault

SUBJECT, DATASET, PROJECT, APPROVAL = "MARKSUBJECTQX7", "MARKDATASETQX7", "MARKPROJECTQX7", "MARKAPPROVALQX7"
FILE, BROKEN = "marked-file-name-qx7.fastq", "marked-broken-name-qx7.fastq"
CONTENT_MARK, BROKEN_MARK = b"@MARKREAD-QX7-GATTACAGATTACA+IIII", b"@MARKCUT-QX7-CCGGAATTCCGGAATT+FFFF"
TEXTS = [SUBJECT, DATASET, PROJECT, APPROVAL, FILE, BROKEN, CONTENT_MARK.decode(), BROKEN_MARK.decode()]


def base64_cores(mark):
    """What base64 makes of a mark at each of the three places in a group: without the letters that its neighbours
    share, and in both alphabets."""
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + mark)
        # 8 bits of text a byte, 6 a letter: the first whole letter of the mark, and the last.
        core = text[-(-8 * offset // 6):8 * (offset + len(mark)) // 6]
        yield from (core, core.replace(b"+", b"-").replace(b"/", b"_"))


def encodings(text):
    """{name: needles}; content is text too."""
    mark = text.encode()
    hexed = mark.hex().encode()
    return {"plain": [mark], "hex": [hexed], "HEX": [hexed.upper()], "base64": list(base64_cores(mark)),
            "UTF-16LE": [text.encode("utf-16-le")], "UTF-16BE": [text.encode("utf-16-be")]}


NEEDLES = [(needle, text, name) for text in TEXTS for name, found in encodings(text).items() for needle in found]


def hits(name, content):
    return [f"{name}: {text} in {encoding}" for needle, text, encoding in NEEDLES if needle in content]


def files_below(*folders):
    return [p for folder in folders for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file()]


def content_of(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:  # an object of the interrupted deposit, cleaned away meanwhile
        return b""


def hits_in_files(paths):
    """In their contents and their names."""
    return [hit for p in paths for hit in hits(p, content_of(p)) + hits(f"name of {p}", str(p).encode())]


def what_is_on_disk(vault):
    return files_below(vault.state, vault.objects, vault.folder / "twin") + [vault.folder / "vaultd.log",
                                                                             vault.folder / "vaultd.yaml"]


def hits_in_processes(vault):
    """Also how many places were looked at."""
    found, looked = [], 0
    for pids in scene.processes(vault).values():
        for pid in pids:
            for entry in ("environ", "cmdline", "comm", "maps"):
                path = pathlib.Path(f"/proc/{pid}/{entry}")
                try:
                    found += hits(path, path.read_bytes())
                    looked += 1
                except (PermissionError, FileNotFoundError, ProcessLookupError):
                    continue  # only root may look; a worker without client may have gone
    return found, looked


def interrupted_deposit(vault):
    """Two chunks and a bit are sent of three, and the connection ends. What is found on disk before it does."""
    content = BROKEN_MARK * ((9 << 20) // len(BROKEN_MARK))
    connection = vault.connect("depositor")
    connection.putrequest("PUT", scene.file_path(SUBJECT, BROKEN))
    connection.putheader("Content-Length", str(12 << 20))
    connection.putheader("Vault-Dataset", DATASET)
    connection.endheaders()
    connection.send(content)
    scene.wait_for(lambda: len(scene.objects(vault)) > USED_OBJECTS, "an object of the interrupted deposit")
    found = hits_in_files(what_is_on_disk(vault))
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    scene.wait_for_record(vault, event="deposit.close", subject=SUBJECT, outcome="interrupted")
    scene.wait_for(lambda: len(scene.objects(vault)) == USED_OBJECTS, "the removal of what was uploaded")
    return found


USED_OBJECTS = 3  # of the 9 MB file that is deposited whole


@pytest.fixture(scope="module")
def used():
    """A vault in which everything was done that could leave a trace."""
    with running_vault() as vault:
        content = CONTENT_MARK * ((9 << 20) // len(CONTENT_MARK))
        purpose = f'research;project="{PROJECT}";approval="{APPROVAL}"'
        scene.add_patient(vault, SUBJECT)
        vault.ctl("project", "add", PROJECT, "--title", PROJECT, "--service", "research")
        vault.ctl("ethics", "add", APPROVAL, "--project", PROJECT, "--dataset", DATASET)
        scene.deposit(vault, SUBJECT, FILE, content, DATASET)
        assert len(scene.objects(vault)) == USED_OBJECTS
        for cert, why in (("clinic", scene.TREATMENT), ("research", purpose)):
            assert scene.Read(vault, SUBJECT, FILE, why, cert).body == content
        # Refusals and malformed requests too: they are what a log would quote.
        for cert, name, why in (("clinic", BROKEN, scene.TREATMENT), ("clinic", FILE, purpose), ("nosan", FILE, "x"),
                                ("revoked", FILE, scene.TREATMENT), ("research", FILE, f"{SUBJECT}; nonsense")):
            assert not scene.Read(vault, SUBJECT, name, why, cert).whole
        vault.ctl("subject", "add", SUBJECT, expect=1)
        vault.ctl("consent", "withdraw", SUBJECT, "--purpose", "research")
        assert interrupted_deposit(vault) == []
        yield vault


@pytest.mark.parametrize("encoding", encodings("x"))
def test_the_search_finds_every_mark_in_a_planted_file(encoding, tmp_path):
    for text in TEXTS:
        for offset in range(3):  # where base64 puts it depends on what is before
            mark = text.encode()
            around = b"\x01" * offset + mark + b"\x02\x03"
            planted = tmp_path / "planted"
            planted.write_bytes({"plain": around, "hex": around.hex().encode(), "HEX": around.hex().upper().encode(),
                                 "base64": base64.b64encode(around), "UTF-16LE": text.encode("utf-16-le"),
                                 "UTF-16BE": text.encode("utf-16-be")}[encoding] * 2)
            assert f"{planted}: {text} in {encoding}" in hits_in_files([planted])


def test_the_search_finds_a_mark_in_a_process(monkeypatch):
    with subprocess.Popen(["sleep", "60"], env={"MARK": SUBJECT}) as process:
        try:
            scene.wait_for(lambda: scene.parent_and_name(process.pid)[1] == "sleep", "sleep to start")
            assert hits("environ", pathlib.Path(f"/proc/{process.pid}/environ").read_bytes())
        finally:
            process.kill()


def test_nothing_is_in_the_clear_in_a_running_vault(used):
    paths = what_is_on_disk(used)
    assert sum(str(p).startswith(str(used.objects)) for p in paths) >= USED_OBJECTS
    assert any(p.name == "data.mdb" for p in paths) and (used.folder / "twin" / "keyring") in paths
    assert hits_in_files(paths) == []
    found, looked = hits_in_processes(used)
    assert found == [] and looked > 0


def test_nothing_is_in_the_clear_in_a_stopped_vault(used):
    scene.stop(used)
    try:
        assert hits_in_files(what_is_on_disk(used)) == []
    finally:
        scene.start(used)


def test_objects_do_not_show_that_their_content_repeats(used):
    """Sealed bytes look random: no block of 16 bytes comes twice in content that repeats itself all the time."""
    seen = set()
    for path in scene.objects(used).values():
        content = path.read_bytes()
        blocks = [content[i:i + 16] for i in range(0, len(content) - 16, 16)]
        assert len(set(blocks)) == len(blocks) and not seen.intersection(blocks)
        seen.update(blocks)
