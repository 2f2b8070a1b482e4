"""What is shredded cannot be opened by anybody, once the generations that wrapped its key are retired: tried with copies of
the index, the key ring and the objects from before, by the credential and by whoever knows every format."""
import shutil
import struct
import types

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import memory_scan as formats
import scene
from vault_under_test import running_vault

CONTENT = {name: bytes([65 + i]) * 200_000 for i, name in enumerate(("a.cram", "b.cram", "c.cram"))}
SEGMENT = 65536 + 28


@pytest.fixture(scope="module")
def vault():
    with running_vault() as vault:
        yield vault


class Copy:
    """State and objects as they are now: what a thief of backups has."""

    def __init__(self, vault, name):
        self.folder = vault.folder / f"copy-{name}"
        self.folder.mkdir()
        scene.wait_for(lambda: len(scene.objects(vault)) == len(scene.listed_files(vault)), "nothing is being removed")
        shutil.copytree(vault.state, self.folder / "state", ignore=shutil.ignore_patterns("reserve"))
        shutil.copytree(vault.objects, self.folder / "objects")
        shutil.copy(vault.folder / "root.key", self.folder)


def opened(index, ring, objects):
    """The names of the contents that this index and this ring, with the credential beside it, give back."""
    place = index.folder / f"with-{ring.folder.name}"
    shutil.copytree(index.folder / "state" / "index", place / "index")
    shutil.copy(ring.folder / "state" / "keyring", place / "keyring")
    thief = types.SimpleNamespace(state=place, folder=ring.folder)
    try:
        keys = data_keys(thief)
    finally:
        shutil.rmtree(place)
    found = set()
    for path in (objects.folder / "objects").rglob("*"):
        if path.is_file():
            found |= {name for key in keys if (name := content_by(key, path.read_bytes()[:SEGMENT])) is not None}
    return found


def tried(action, *arguments):
    try:
        return action(*arguments)
    except (AssertionError, KeyError):
        return None


def data_keys(thief):
    """Every data key that can be unwrapped, by whatever key of a subject, in each of its two places."""
    ring = formats.ring_keys(thief, formats.root_key_of(thief))
    subjects = []
    for (owner, _), (_, wrap) in formats.wrapped_keys(thief).items():
        for generation in (int(name[4:]) for name in ring if name.startswith("kek ")):
            if (k := tried(formats.unwrap, ring[f"kek {generation}"], wrap, 1, owner, generation)) is not None:
                subjects.append(k)
    keys = []
    for blob, value in formats.values_of(thief, ring["index key"], formats.BLOBS):
        (number,) = struct.unpack_from("<I", value, 48)
        keys += [k for s in subjects if (k := tried(formats.unwrap, s, value[52:124], 2, blob, number))]
    return keys


def content_by(key, segment):
    try:
        plain = ChaCha20Poly1305(key).decrypt(segment[:12], segment[12:], None)
    except InvalidTag:
        return None
    return next(name for name, content in CONTENT.items() if plain == content[:len(plain)])


def approve(vault, answer):
    assert answer.status == 202, answer.body
    return vault.http("POST", f"/v1/pending/{answer.json()['pending']}/approve", cert="operator2")


def shred(vault, path):
    assert approve(vault, vault.http("DELETE", path)).status == 200
    scene.wait_for(lambda: all(j["state"] == "done" for j in vault.http("GET", "/v1/jobs").json()["jobs"]), "the jobs")


def ask_to_retire(vault, **more):
    body = ('{"what":"kek","retire":true,"without_backup":true}' if not more else more["body"]).encode()
    return vault.http("POST", "/v1/keys/rotate", body, {"Content-Type": "application/json"})


def rotate_and_retire(vault):
    vault.ctl("key", "rotate", "kek")
    done = approve(vault, ask_to_retire(vault))
    assert done.status == 200, done.body


def deposit_all(vault, subject):
    scene.add_patient(vault, subject)
    for name, content in CONTENT.items():
        scene.deposit(vault, subject, name, content)


def states(vault, subject):
    return [s["state"] for s in vault.http("GET", f"/v1/subjects/{subject}").json()["shreds"]]


def rule(answer):
    return answer.json()["reasons"][0]["rule"]


def test_a_shredded_file_and_then_its_subject(vault):
    everything = set(CONTENT)
    deposit_all(vault, "S-1")
    before = Copy(vault, "before")
    assert opened(before, before, before) == everything, "control: the thief knows the formats"

    shred(vault, scene.file_path("S-1", "a.cram"))
    shredded = Copy(vault, "shredded")
    assert opened(shredded, shredded, before) == everything - {"a.cram"}, "its key is not in the index any more"
    assert opened(before, shredded, before) == everything, "not final: the ring still opens older copies, as is said"
    assert "is retired" in states(vault, "S-1")[0]

    rotate_and_retire(vault)
    retired = Copy(vault, "retired")
    assert states(vault, "S-1")[0].startswith("final since 20")
    assert opened(retired, retired, before) == everything - {"a.cram"}, "the others are not touched"
    assert opened(before, retired, before) == set(), "the index of before opens nothing any more"
    assert opened(shredded, retired, before) == set()
    assert opened(retired, before, before) == set(), "what the ring of before has wraps nothing of now"
    assert opened(before, before, before) == everything, "as docs/keys.md says: with the ring and credential of then it does"
    for name in everything - {"a.cram"}:
        assert scene.Read(vault, "S-1", name).body == CONTENT[name]

    shred(vault, "/v1/subjects/S-1")
    rotate_and_retire(vault)
    gone = Copy(vault, "gone")
    for index in (before, shredded, retired, gone):
        assert opened(index, gone, before) == set()
    assert opened(gone, retired, before) == set()
    assert opened(retired, retired, before) == everything - {"a.cram"}, "control, with the ring and credential of then"
    assert all(state.startswith("final since 20") for state in states(vault, "S-1"))


def test_retirement_is_refused_by_name(vault):
    count = len(vault.http("GET", "/v1/keys").json()["generations"])
    assert count == 1 and rule(ask_to_retire(vault)) == "nothing-to-retire"
    vault.ctl("key", "rotate", "kek")
    without = ask_to_retire(vault, body='{"what":"kek","retire":true}')
    assert without.status == 409 and rule(without) == "backup-needed"
    for body in ('{"what":"root","retire":true,"without_backup":true}', '{"what":"kek","without_backup":true}',
                 '{"what":"subject","retire":true}'):
        assert ask_to_retire(vault, body=body).status == 400, body
    asked = ask_to_retire(vault)
    own = vault.http("POST", f"/v1/pending/{asked.json()['pending']}/approve")
    assert own.status == 403 and rule(own) == "own-request"
    assert len(vault.http("GET", "/v1/keys").json()["generations"]) == 2
    vault.ctl("key", "rotate", "root", "--retire", expect=2)
    vault.ctl("key", "rotate", "kek", "--without-backup", expect=2)
    waits = vault.ctl("key", "rotate", "kek", "--retire", "--without-backup")
    assert waits["what"] == "key.retire" and "without a backup" in waits["detail"]


def test_a_damaged_subject_keeps_its_generation(fresh_vault):
    vault = fresh_vault
    deposit_all(vault, "S-1")
    scene.add_patient(vault, "S-2")
    scene.stop(vault)
    pairs, headers = formats.index_tools.dump(vault.state / "index")
    owner = min(pairs["subject-keys"])
    good = pairs["subject-keys"][owner]
    pairs["subject-keys"][owner] = good[:-2] + f"{int(good[-2:], 16) ^ 1:02x}"
    formats.index_tools.replace(vault, (pairs, headers))
    scene.start(vault)
    vault.ctl("key", "rotate", "kek")
    refused = ask_to_retire(vault)
    assert refused.status == 409 and rule(refused) == "still-wrapped"
    assert len(vault.http("GET", "/v1/keys").json()["generations"]) == 2
    [record] = [r for r in scene.records(vault) if r["event"] == "key.rotated"]
    assert record["detail"].endswith("1 damaged")
