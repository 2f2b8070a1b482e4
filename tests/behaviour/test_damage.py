"""Damage is told and never served: of every object in every way, and of every value of the index that a read needs.

A read of what is damaged ends with status 6 and a record that says so, gives no byte but those of the file before the
damage, and works again once the damage is undone.
"""
import os
import random
import shutil
import struct
import subprocess
import sys

import pytest

import index_tools
import scene
from vault_under_test import ROOT, running_vault

SEED = int(os.environ.get("DAMAGE_SEED", "1"))
SUBJECT = "S-damage"
SIZES = [0, 1, 65536, 65537, 4 << 20, (4 << 20) + 1, 9_000_000]

# ---- objects ----


class Shelf:
    """A vault with a file of each size, and which objects are whose."""

    def __init__(self, vault):
        self.vault, self.random, self.content, self.owner = vault, random.Random(SEED), {}, {}
        scene.add_patient(vault, SUBJECT)
        for size in SIZES:
            before, content = set(scene.objects(vault)), self.random.randbytes(size)
            scene.deposit(vault, SUBJECT, str(size), content)
            self.content[str(size)] = content
            self.owner.update(dict.fromkeys(set(scene.objects(vault)) - before, str(size)))

    def read_is_whole(self, name):
        r = scene.Read(self.vault, SUBJECT, name)
        return r.status == 200 and r.body == self.content[name] and (r.whole or not r.body)


@pytest.fixture(scope="module")
def shelf():
    with running_vault() as vault:
        yield Shelf(vault)


def test_every_object_is_named_by_its_own_hash(shelf):
    found = scene.objects(shelf.vault)
    assert len(found) == sum(map(scene.objects_for, SIZES)) and set(found) == set(shelf.owner)
    for name, path in found.items():
        assert scene.sha256(path.read_bytes()) == name
        assert str(path).endswith(f"/{name[:2]}/{name[2:4]}/{name}")
    assert all(shelf.read_is_whole(name) for name in shelf.content)


def flipped(content, at, bit):
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1:]


def position(content, part, rng):
    """A byte of a nonce, of ciphertext or of a tag, in any segment."""
    start = 65564 * rng.randrange(-(-len(content) // 65564))
    end = min(start + 65564, len(content))
    return rng.randrange(*{"nonce": (start, start + 12), "text": (start + 12, end - 16), "tag": (end - 16, end)}[part])


def flip(part):
    return lambda content, other, rng: flipped(content, position(content, part, rng), rng.randrange(8))


# What becomes of an object; `other` is another one, of the same length where there is one.
ATTACKS = {
    "bit of a nonce": flip("nonce"),
    "bit of the ciphertext": flip("text"),
    "bit of a tag": flip("tag"),
    "missing": lambda content, other, rng: None,
    "swapped": lambda content, other, rng: other,
    "one byte short": lambda content, other, rng: content[:-1],
    "one segment short": lambda content, other, rng: content[:(len(content) - 1) // 65564 * 65564],
    "empty": lambda content, other, rng: b"",
    "one byte longer": lambda content, other, rng: content + b"\0",
    "segments exchanged": lambda content, other, rng: content[65564:131128] + content[:65564] + content[131128:],
}


def other_object(found, name, rng):
    same = [p for n, p in found.items() if n != name and p.stat().st_size == found[name].stat().st_size]
    return rng.choice(same or [p for n, p in found.items() if n != name])


def expect_damage_told(vault, subject, name, content, tmp_path, cert="clinic", purpose=scene.TREATMENT):
    """Both a client of its own and vaultctl: no wrong byte, status 6, and a record that says `failed`."""
    r = scene.Read(vault, subject, name, purpose, cert)
    assert not r.whole, "the read was served whole"
    if r.status == 200:
        assert len(r.body) < len(content) and content.startswith(r.body), "wrong bytes left the vault"
    else:
        assert r.status == 500 and b"urn:vault:problem:integrity" in r.body, (r.status, r.body)
    assert r.request, "the answer has no Request-Id"
    scene.wait_for_record(vault, request=r.request, outcome="failed", first=max(0, records_so_far(vault) - 40))
    target = tmp_path / "out"
    vault.ctl("get", f"{subject}/{name}", "--purpose", purpose, "-o", target, cert=cert, expect=6)
    assert not target.exists()
    return r


def records_so_far(vault):
    return vault.http("GET", "/v1/status").json()["records"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_damage_of_any_object_is_told_and_not_served(shelf, attack, tmp_path):
    rng, found, wrong = random.Random(f"{SEED} {attack}"), scene.objects(shelf.vault), []
    for name, path in sorted(found.items()):
        content, like, owner = path.read_bytes(), path.stat(), shelf.owner[name]
        if attack == "segments exchanged" and len(content) < 2 * 65564:
            continue
        twin = other_object(found, name, rng)
        twin_content, twin_like = twin.read_bytes(), twin.stat()
        scene.replace(path, ATTACKS[attack](content, twin_content, rng))
        if attack == "swapped":
            scene.replace(twin, content)
        try:
            expect_damage_told(shelf.vault, SUBJECT, owner, shelf.content[owner], tmp_path)
        except AssertionError as problem:
            wrong.append(f"object of {owner} bytes: {str(problem)[:500]}")
        finally:
            scene.restore(path, content, like)
            scene.restore(twin, twin_content, twin_like)
        if not shelf.read_is_whole(owner):
            wrong.append(f"object of {owner} bytes: not whole after it was restored")
    assert not wrong, "\n".join(wrong)


# ---- the index ----

INDEX_SUBJECT, INDEX_FILE, INDEX_CONTENT = "S-index", "genome", bytes(range(256)) * 700
PURPOSE = 'research;project="P-index";approval="A-index"'
TOLD = "6, recorded"
SEALED = "5, does not open"
FLIP, REMOVE, EXCHANGE = "a bit flipped", "removed", "exchanged with another of its database"

# What a research read of the file by its name gives when one value that it depends on is damaged. `Library.learn` names
# the values. Without its own description or the edge of its log the vault does not open at all.
EXPECTED = {
    ("meta", "counters"): {FLIP: SEALED, REMOVE: SEALED, EXCHANGE: SEALED},
    ("meta", "tree"): {FLIP: SEALED, REMOVE: SEALED},
    ("subjects", "subject"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("consents", "consent"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("services", "service"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("sans", "service"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("projects", "project"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("ethics", "approval"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("policies", "policy"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("files", "file"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("file-names", "file"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("blobs", "file"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("pages", "file"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("chains", "subject"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("chains", "service"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("names", "service"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("names", "project"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
    ("names", "approval"): {FLIP: TOLD, REMOVE: TOLD, EXCHANGE: TOLD},
}


class Library:
    """A vault whose every value is known by the step that made it."""

    def __init__(self, vault):
        self.vault, self.values = vault, {("meta", "counters"): index_tools.key_of("meta"), ("meta", "tree"): index_tools.key_of("tree")}
        self.index = vault.state / "index"
        subprocess.run([str(ROOT / "scripts" / "test-pki"), str(vault.folder / "pki"), "probe"], check=True,
                       capture_output=True)
        scene.add_patient(vault, "S-other")
        scene.deposit(vault, "S-other", "other", b"another file")
        self.learn("subject", ["subjects", "chains"], "subject", "add", INDEX_SUBJECT)
        self.learn("consent", ["consents"], None)
        self.learn("service", ["services", "sans", "chains", "names"], "service", "add", "probe", "--san",
                   "urn:vault:service:probe", "--role", "reader", "--purpose", "research")
        self.learn("project", ["projects", "names"], "project", "add", "P-index", "--service", "probe")
        self.learn("approval", ["ethics", "names"], "ethics", "add", "A-index", "--project", "P-index")
        self.learn("policy", ["policies"], "policy", "load", ROOT / "policies" / "denmark.yaml")
        self.learn("file", ["files", "file-names", "blobs", "pages"], "deposit")
        self.learn("care", ["care"], "care", "add", INDEX_SUBJECT, "--service", "probe")
        scene.stop(vault)
        self.pristine, self.headers = index_tools.dump(self.index)
        shutil.copytree(self.index, vault.folder / "pristine")

    def learn(self, name, databases, *command):
        before = index_tools.dump(self.index)[0]
        if command[0] is None:
            scene.give_consent(self.vault, INDEX_SUBJECT)
        elif command[0] == "deposit":
            scene.deposit(self.vault, INDEX_SUBJECT, INDEX_FILE, INDEX_CONTENT)
        else:
            scene.administer(self.vault, *command)
        after = index_tools.dump(self.index)[0]
        for database in databases:
            new = set(after[database]) - set(before[database])
            new = {key for key in new if database != "chains" or name in ("subject", "service")}
            assert len(new) == 1, (name, database, len(new))
            self.values[database, name] = new.pop()

    def damaged(self, database, name, attack):
        """The pairs of the index after the attack."""
        pairs = {d: dict(entries) for d, entries in self.pristine.items()}
        entries, key = pairs[database], self.values[database, name]
        if attack == FLIP:
            rng = random.Random(f"{SEED} {database} {name}")
            value = bytes.fromhex(entries[key])
            entries[key] = flipped(value, rng.randrange(len(value)), rng.randrange(8)).hex()
        elif attack == REMOVE:
            del entries[key]
        else:
            other = next(k for k in sorted(entries) if k != key)
            entries[key], entries[other] = entries[other], entries[key]
        return pairs

    def open_with(self, pairs):
        """Starts the vault on these pairs; None: on the index as it was."""
        index_tools.replace(self.vault, self.vault.folder / "pristine" if pairs is None else (pairs, self.headers))
        scene.start(self.vault)


@pytest.fixture(scope="module")
def library():
    with running_vault() as vault:
        made = Library(vault)
        yield made
        if not scene.processes(vault):
            made.open_with(None)


def number_key(number):
    return struct.pack(">Q", number).hex()


def read_is_whole(vault):
    r = scene.Read(vault, INDEX_SUBJECT, INDEX_FILE, PURPOSE, "probe")
    return r.whole and r.body == INDEX_CONTENT


def outcome(vault, tmp_path):
    """What the read came to, in the words of the table; asserts that no content came with it."""
    r = scene.Read(vault, INDEX_SUBJECT, INDEX_FILE, PURPOSE, "probe")
    if r.whole:
        return f"read whole{'' if r.body == INDEX_CONTENT else ', with wrong bytes'}"
    assert r.status != 200 or INDEX_CONTENT.startswith(r.body), "wrong bytes left the vault"
    recorded = ""
    if scene.seal_state(vault) == "unsealed":
        # Where the answer was cut, it is written a moment after the client saw the end.
        scene.wait_for(lambda: any(x.get("request") == r.request and x["outcome"] in ("failed", "denied") for x in
                                   scene.records(vault, max(0, records_so_far(vault) - 20))), "a record")
        recorded = ", recorded"
    for expected in (6, 5, 3):
        try:
            vault.ctl("get", f"{INDEX_SUBJECT}/{INDEX_FILE}", "--purpose", PURPOSE, "-o", tmp_path / "out",
                      cert="probe", expect=expected)
            return f"{expected}{recorded}" if recorded else f"{expected}, does not open"
        except AssertionError:
            continue
    return f"another status: {vault.stderr}"


@pytest.mark.parametrize("database, name", EXPECTED, ids=lambda part: part)
def test_damage_of_the_index_is_told_and_not_served(library, database, name, tmp_path):
    got = {}
    for attack in EXPECTED[database, name]:
        library.open_with(library.damaged(database, name, attack))
        try:
            got[attack] = outcome(library.vault, tmp_path)
        except AssertionError as problem:
            got[attack] = str(problem)[:300]
        finally:
            scene.stop(library.vault)
    library.open_with(None)
    whole = read_is_whole(library.vault)
    scene.stop(library.vault)
    assert got == EXPECTED[database, name] and whole


@pytest.mark.parametrize("attack", [FLIP, REMOVE])
def test_damage_of_care_is_nobody_s_care_until_it_is_stated_again(library, attack):
    """It can only deny: what needs no care goes on."""
    vault = library.vault
    library.open_with(library.damaged("care", "care", attack))
    try:
        assert read_is_whole(vault) and vault.ctl("care", "list", INDEX_SUBJECT)["care"] == []
        assert "care: in whose care a patient is cannot be read" in (vault.folder / "vaultd.log").read_text()
        vault.ctl("care", "add", INDEX_SUBJECT, "--service", "probe")
        assert [c["service"] for c in vault.ctl("care", "list", INDEX_SUBJECT)["care"]] == ["probe"]
    finally:
        scene.stop(vault)


@pytest.mark.parametrize("attack", [FLIP, REMOVE, EXCHANGE])
@pytest.mark.parametrize("database", ["records", "leaves"])
def test_damage_of_the_audit_is_told_and_not_exported(library, database, attack, tmp_path):
    """Any records, and any node that an export's proofs need; the vault goes on to serve and to record."""
    keys = sorted(library.pristine[database])[:-1]
    if database == "leaves":
        keys = [number_key(1)]  # the leaf beside record 0, which has a proof of its own
    library.values[database, "any"] = random.Random(f"{SEED} {database} {attack}").choice(keys)
    library.open_with(library.damaged(database, "any", attack))
    try:
        library.vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "export", expect=6)
        assert not (tmp_path / "export").exists()
        assert any(r["outcome"] == "failed" for r in
                   scene.records(library.vault, len(library.pristine["leaves"])))
        assert read_is_whole(library.vault)
    finally:
        scene.stop(library.vault)


@pytest.mark.parametrize("attack", [FLIP, REMOVE])
def test_an_export_is_good_that_needs_nothing_of_what_is_damaged(library, attack, tmp_path):
    """The leaf of a record that others prove with theirs: vaultctl makes it from the record."""
    library.values["leaves", "any"] = number_key(6)
    library.open_with(library.damaged("leaves", "any", attack))
    try:
        library.vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "export")
        vkey = library.vault.ctl("audit", "checkpoint")["vkey"]
        assert library.vault.ctl("audit", "verify", tmp_path / "export", "--key", vkey)["whole"]
    finally:
        scene.stop(library.vault)


@pytest.mark.parametrize("attack", [FLIP, REMOVE, EXCHANGE])
def test_damage_of_the_links_is_told_or_shows_in_the_export(library, attack, tmp_path):
    """They only say where a chain goes on: an export that was led astray does not verify."""
    library.open_with(None)
    of_subject = [r["seq"] for r in scene.records(library.vault) if r.get("subject") == INDEX_SUBJECT]
    vkey = library.vault.ctl("audit", "checkpoint")["vkey"]
    scene.stop(library.vault)
    library.values["leaves", "any"] = number_key(next(n for n in of_subject[1:] if n % 2 == 0))  # which completes no other subtree
    library.open_with(library.damaged("leaves", "any", attack))
    try:
        try:
            library.vault.ctl("audit", "export", "--format", "jsonl", "--subject", INDEX_SUBJECT, "-o", tmp_path / "s", expect=6)
            assert not (tmp_path / "s").exists()
        except AssertionError:
            assert attack == EXCHANGE and "gave 0" in str(sys.exc_info()[1])
            library.vault.ctl("audit", "verify", tmp_path / "s", "--key", vkey, expect=6)
        library.vault.ctl("audit", "export", "--format", "jsonl", "-o", tmp_path / "all")
        assert library.vault.ctl("audit", "verify", tmp_path / "all", "--key", vkey)["whole"]
    finally:
        scene.stop(library.vault)
