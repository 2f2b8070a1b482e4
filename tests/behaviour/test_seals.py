"""The seal of the root key: shares that custodians hold, changed, drilled and lost, on a real vault."""
import base64
import hashlib
import os
import signal

import pytest

import scene
from vault_under_test import running_vault

COUNT, THRESHOLD = 5, 3
KEY = base64.urlsafe_b64encode(bytes([9]) + bytes(31)).decode().rstrip("=")  # a good public key


@pytest.fixture(scope="module")
def sealed():
    """A vault with one file, sealed by shares."""
    with running_vault() as vault:
        scene.add_patient(vault, "S-1")
        scene.deposit(vault, "S-1", "genome", b"genome" * 1000)
        vault.shares = change(vault, "first")
        confirm(vault, vault.shares[:THRESHOLD])
        yield vault


@pytest.fixture(autouse=True)
def left_open(request):
    """Whatever a test did, the next one finds the vault open, without a proposal and without shares shown."""
    yield
    if "sealed" in request.fixturenames:
        vault = request.getfixturevalue("sealed")
        scene.wait_for(lambda: scene.seal_state(vault), "the vault answers")
        if scene.seal_state(vault) == "unsealed":
            vault.ctl("seal")
        unseal(vault, *vault.shares[-THRESHOLD:])
        assert reads(vault)


def change(vault, name, count=COUNT, threshold=THRESHOLD, *more):
    """Proposes a seal; the files of its shares."""
    folder = vault.folder / f"shares-{name}"
    vault.ctl("key", "seal", "shares", "--shares", count, "--threshold", threshold, "-o", folder, *more)
    return [folder / f"share-{i + 1}.txt" for i in range(count)]


def options(shares):
    return [word for share in shares for word in ("--share", share)]


def confirm(vault, shares, **how):
    return vault.ctl("key", "confirm", *options(shares), **how)


def unseal(vault, *shares, **how):
    return vault.ctl("unseal", *options(shares), **how)


def root(vault):
    return vault.ctl("status")["root"]


def rules(answer):
    return [r["rule"] for r in answer["reasons"]]


def reads(vault):
    answer = vault.http("GET", scene.file_path("S-1", "genome"), headers={"Purpose": scene.TREATMENT}, cert="clinic")
    return answer.status == 200 and answer.body == b"genome" * 1000


def close(vault):
    vault.ctl("seal")
    assert scene.seal_state(vault) == "sealed"


def test_threshold_of_shares_opens_and_fewer_do_not(sealed):
    close(sealed)
    state = unseal(sealed, *sealed.shares[:THRESHOLD - 1])
    assert state["seal"] == "sealed"
    assert (state["root"]["shown"], state["root"]["threshold"]) == ([1, 2], THRESHOLD)
    assert not reads(sealed)
    assert unseal(sealed, sealed.shares[4])["seal"] == "unsealed"
    assert reads(sealed)
    detail = f"ceremony {root(sealed)['ceremony']}, shares 1 2 5"
    assert scene.wait_for_record(sealed, event="vault.unseal", detail=detail)


def test_generations_are_retired_without_a_share_and_the_same_shares_open_afterwards(sealed):
    sealed.ctl("key", "rotate", "kek")
    before = sealed.ctl("key", "list")
    done = scene.administer(sealed, "key", "rotate", "kek", "--retire", "--without-backup")
    after = sealed.ctl("key", "list")
    assert done["by"] == "shares" and done["ceremony"] == root(sealed)["ceremony"]
    assert after["epoch"] == before["epoch"] + 1
    assert [g["generation"] for g in after["generations"]] == [before["generations"][-1]["generation"]]
    close(sealed)
    assert unseal(sealed, *sealed.shares[:THRESHOLD])["seal"] == "unsealed"
    assert reads(sealed)


def test_without_a_share_it_stays_closed_and_says_what_is_missing(sealed):
    close(sealed)
    assert rules(unseal(sealed, expect=5)) == ["share-missing"]



@pytest.mark.parametrize("kind, rule, status", [
    ("repeated", "share-repeated", 1), ("foreign", "share-foreign", 1), ("mistyped", "share-mistyped", 2),
    ("no share", "share-malformed", 2)])
def test_wrong_share_is_named_and_the_others_still_open(sealed, tmp_path, kind, rule, status):
    other = tmp_path / "other.txt"
    text = sealed.shares[1].read_text()
    if kind == "foreign":
        other = change(sealed, f"foreign-{tmp_path.name}")[1]
        sealed.ctl("key", "cancel")
    else:
        last = "0" if text[-1] != "0" else "1"
        other.write_text({"repeated": sealed.shares[0].read_text(), "mistyped": text[:-1] + last,
                          "no share": "vshare1-00"}[kind])
    close(sealed)
    unseal(sealed, sealed.shares[0])
    assert rules(unseal(sealed, other, expect=status)) == [rule]
    assert root(sealed)["shown"] == [1]
    assert unseal(sealed, *sealed.shares[1:THRESHOLD])["seal"] == "unsealed"


def test_share_that_is_well_formed_and_wrong_is_named(sealed, tmp_path):
    """A share of another ceremony with this one's id, number and a right check value: only the commitment tells."""
    bytes_of = bytearray.fromhex(sealed.shares[1].read_text().strip().removeprefix("vshare1-").replace("-", ""))
    bytes_of[30] ^= 1
    body = bytes(bytes_of[:-4])
    check = hashlib.blake2b(b"vault-share-text-1" + body, digest_size=32).digest()[:4]
    forged = tmp_path / "forged.txt"
    forged.write_text("vshare1-" + (body + check).hex())
    close(sealed)
    assert rules(unseal(sealed, forged, expect=1)) == ["share-wrong"]
    assert root(sealed)["shown"] == []


def test_seal_in_force_is_the_old_one_until_the_new_shares_were_shown(sealed):
    new = change(sealed, "unconfirmed", 4, 2)
    confirm(sealed, new[:1])
    assert root(sealed)["ceremony"] != root(sealed)["proposed"]["ceremony"]
    close(sealed)  # what was proposed is forgotten with the keys
    assert rules(unseal(sealed, new[0], expect=1)) == ["share-foreign"]
    assert unseal(sealed, *sealed.shares[:THRESHOLD])["seal"] == "unsealed"
    assert "proposed" not in root(sealed)
    assert rules(confirm(sealed, new[1:2], expect=1)) == ["nothing-proposed"]


def test_confirmed_shares_open_and_those_before_do_not(sealed):
    old = sealed.shares
    new = change(sealed, "second", 7, 4)
    confirm(sealed, [new[6], new[0], new[3], new[2]])
    sealed.shares = new
    assert (root(sealed)["shares"], root(sealed)["threshold"]) == (7, 4)
    close(sealed)
    assert rules(unseal(sealed, old[0], expect=1)) == ["share-foreign"]
    assert unseal(sealed, new[1], new[4], new[5], new[6])["seal"] == "unsealed"
    new = change(sealed, "third")
    confirm(sealed, new[:THRESHOLD])
    sealed.shares = new


def test_killed_monitor_and_restarted_vault_stay_closed_until_shares_come(sealed):
    for restart in (lambda: os.kill(scene.processes(sealed)["vaultd-monitor"][0], signal.SIGKILL),
                    lambda: (scene.stop(sealed), scene.start(sealed))):
        before = scene.processes(sealed)["vaultd-monitor"]
        restart()
        scene.wait_for(lambda: scene.processes(sealed).get("vaultd-monitor", before) != before, "another monitor")
        scene.wait_for(lambda: scene.seal_state(sealed) == "sealed", "a closed vault that answers")
        unseal(sealed, *sealed.shares[:THRESHOLD])
        assert reads(sealed)


def test_share_for_the_monitor_before_is_not_taken(sealed, tmp_path):
    """The exchange key is of one process: what was recorded on its way in is worth nothing later."""
    close(sealed)
    key = root(sealed)["exchange"]
    scene.stop(sealed)
    scene.start(sealed)
    assert root(sealed)["exchange"] != key


def test_drill_shows_that_shares_are_good_and_changes_nothing(sealed):
    epoch = sealed.ctl("key", "list")["epoch"]
    assert sealed.ctl("key", "drill", *options(sealed.shares[:2]))["shown"] == [1, 2]
    assert sealed.ctl("key", "drill", *options(sealed.shares[2:3])) == {"drill": "passed", "threshold": THRESHOLD}
    assert sealed.ctl("key", "list")["epoch"] == epoch
    assert scene.wait_for_record(sealed, event="seal.drill", detail="the shares open the seal")


def test_root_key_is_rotated_without_a_share(sealed):
    epoch = sealed.ctl("key", "list")["epoch"]
    sealed.ctl("key", "rotate", "root")
    assert sealed.ctl("key", "list")["epoch"] == epoch + 1
    close(sealed)
    assert unseal(sealed, *sealed.shares[:THRESHOLD])["seal"] == "unsealed"


def test_seal_goes_back_to_the_credential_and_shares_open_nothing_more(sealed):
    old = sealed.shares
    sealed.ctl("key", "seal", "credential")
    assert root(sealed)["by"] == "credential"
    close(sealed)
    assert rules(unseal(sealed, old[0], expect=1)) == ["no-shares"]
    assert unseal(sealed)["seal"] == "unsealed"
    sealed.shares = change(sealed, "again")
    confirm(sealed, sealed.shares[:THRESHOLD])


def test_shares_sealed_to_custodians_open_with_their_keys_only(sealed, tmp_path):
    keys = []
    for name in ("anna", "bo", "carl"):
        sealed.ctl("share", "keys", tmp_path / name)
        keys.append(tmp_path / name)
    folder = tmp_path / "shares"
    sealed.ctl("key", "seal", "shares", "--shares", 3, "--threshold", 2, "-o", folder,
               *[word for key in keys for word in ("--to", f"{key}.pub")])
    sealed.ctl("share", "open", folder / "share-1.c4gh", "--with", f"{keys[1]}.sec", json=False, expect=1)
    assert "none of them opens" in sealed.stderr
    opened = [sealed.ctl("share", "open", folder / f"share-{i + 1}.c4gh", "--with", f"{key}.sec", json=False)
              for i, key in enumerate(keys)]
    assert all(text.startswith(b"vshare1-") for text in opened)
    for i, text in enumerate(opened):
        (tmp_path / f"{i}.txt").write_bytes(text)
    confirm(sealed, [tmp_path / "2.txt", tmp_path / "0.txt"])
    close(sealed)
    assert unseal(sealed, tmp_path / "0.txt", tmp_path / "1.txt")["seal"] == "unsealed"
    sealed.shares = change(sealed, "back")
    confirm(sealed, sealed.shares[:THRESHOLD])


@pytest.mark.parametrize("body, status", [
    ({"by": "shares", "shares": 1, "threshold": 1, "recipients": []}, 400),
    ({"by": "shares", "shares": 3, "threshold": 4, "recipients": [KEY] * 3}, 400),
    ({"by": "shares", "shares": 33, "threshold": 3, "recipients": [KEY] * 32}, 400),
    ({"by": "shares", "shares": 3, "threshold": 2, "recipients": [KEY] * 2}, 400),
    ({"by": "shares", "shares": 2, "threshold": 2, "recipients": [KEY, "B" * 40]}, 400),
    ({"by": "shares", "shares": 2, "threshold": 2, "recipients": [KEY, "_" * 43]}, 400),
    ({"by": "shares", "shares": 2, "threshold": 2, "recipients": [KEY] * 3}, 400),
    ({"by": "shares", "shares": 2, "threshold": 2, "recipients": [KEY, "A" * 43]}, 400),  # of small order
    ({"by": "moon"}, 400), ({}, 400)])
def test_impossible_ceremony_is_refused_and_nothing_is_proposed(sealed, body, status):
    answer = sealed.http("POST", "/v1/keys/seal", scene.json.dumps(body), {"Content-Type": "application/json"})
    assert answer.status == status, answer.body
    assert "proposed" not in root(sealed)


def test_good_keys_make_a_ceremony(sealed):
    """The control of the one before."""
    body = {"by": "shares", "shares": 3, "threshold": 2, "recipients": [KEY] * 3}
    answer = sealed.http("POST", "/v1/keys/seal", scene.json.dumps(body), {"Content-Type": "application/json"})
    assert answer.status == 202 and len(answer.json()["containers"]) == 3
    sealed.ctl("key", "cancel")


def test_only_custodians_may_change_the_seal(sealed):
    for method, path, body in (("POST", "/v1/keys/seal", '{"by": "credential"}'),
                               ("POST", "/v1/keys/seal/confirm", '{"share": "x"}'),
                               ("POST", "/v1/keys/seal/drill", '{"share": "x"}'), ("DELETE", "/v1/keys/seal", None)):
        for service in ("clinic", "auditor", "depositor"):
            answer = sealed.http(method, path, body, {"Content-Type": "application/json"} if body else {}, cert=service)
            assert (answer.status, rules(answer.json())) == (403, ["role-missing"]), (path, service)


def test_new_vault_is_born_with_shares(tmp_path):
    with running_vault() as vault:
        scene.stop(vault)
        for place in (vault.state, vault.objects, vault.folder / "twin"):
            for path in sorted(place.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        scene.start(vault)
        vault.ctl("init", "--shares", 3, "--threshold", 2, "-o", tmp_path / "shares")
        assert scene.seal_state(vault) == "unsealed"
        shares = [tmp_path / "shares" / f"share-{i}.txt" for i in (1, 2, 3)]
        scene.stop(vault)
        scene.start(vault)
        assert scene.seal_state(vault) == "sealed"
        assert unseal(vault, shares[2], shares[0])["seal"] == "unsealed"
        assert vault.ctl("key", "list")["generations"][0]["generation"] == 1


def test_shares_that_cannot_be_kept_are_not_proposed_and_leave_nothing(sealed, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    sealed.ctl("key", "seal", "shares", "--shares", 3, "--threshold", 2, "-o", there, expect=1)
    assert "cannot make the folder" in sealed.stderr and "proposed" not in root(sealed)
    refused = tmp_path / "refused"
    sealed.ctl("key", "seal", "shares", "--shares", 3, "--threshold", 2, "-o", refused, cert="auditor", expect=3)
    assert not refused.exists()


def test_more_shares_than_are_needed_do_no_harm(sealed):
    new = change(sealed, "all")
    assert confirm(sealed, new)["shares"] == COUNT
    sealed.shares = new
    assert sealed.ctl("key", "drill", *options(new)) == {"drill": "passed", "threshold": THRESHOLD}
    assert root(sealed)["shown"] == []
    close(sealed)
    assert unseal(sealed, *new)["seal"] == "unsealed"


def test_container_that_was_seen_before_a_seal_is_worth_nothing_after_it(sealed):
    before = root(sealed)["exchange"]
    close(sealed)
    assert root(sealed)["exchange"] != before


@pytest.mark.parametrize("words", [("init", "--threshold", 3), ("key", "seal", "credential", "--shares", 3)])
def test_options_of_a_ceremony_that_is_none_are_refused(sealed, words):
    sealed.ctl(*words, expect=2)
