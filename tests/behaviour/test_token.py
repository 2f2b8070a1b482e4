"""The seal by a PKCS#11 token on a real vault with SoftHSM: made, opened, changed, refused, and cut off in the middle."""
import os
import pathlib
import re
import shutil
import signal
import threading
import time

import pytest

import scene
from test_identity import forms_of, needs_root, where
from token_world import (MODULE, PIN, SECONDS, configure, failures, hanging, keys_are, left_by_credential, log_of, reads,
                         restart, root, rules, seal_by_token, swept, token_vault, vault)
from vault_under_test import programs_with


# ---- the seal in use ----

def test_token_seals_and_opens_the_vault_at_a_start_by_itself(vault):
    key = seal_by_token(vault)
    assert (root(vault)["by"], root(vault)["key"]) == ("token", key)
    assert vault.ctl("key", "list")["seal"]["key"] == key
    keys_are(vault, key)
    restart(vault)
    assert scene.seal_state(vault) == "unsealed" and reads(vault)
    assert scene.wait_for_record(vault, event="vault.unseal", detail=f"by the token, key {key}")
    vault.ctl("seal")
    assert not reads(vault)
    assert vault.ctl("unseal")["seal"] == "unsealed" and reads(vault)
    os.kill(scene.processes(vault)["vaultd-monitor"][0], signal.SIGKILL)
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the next monitor opens the vault")
    assert reads(vault)
    vault.ctl("key", "seal", "token", "--shares", 3, expect=2)


def test_new_vault_is_born_with_a_token(vault, tmp_path):
    """Beside the one that is there: two vaults, one token, and each leaves the other's key alone."""
    mine = seal_by_token(vault)
    with token_vault() as other:
        scene.stop(other)
        for place in (other.state, other.objects, other.folder / "twin"):
            for path in sorted(place.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        other.token = vault.token
        configure(other)
        scene.start(other)
        for fault, rule in (("crash", "token-crashed"), ("other-root", "token-nonsense")):
            vault.token.fault.write_text(fault)
            assert rules(other.ctl("init", "--token", expect=5)) == [rule]
            assert scene.seal_state(other) == "uninitialised" and other.token.keys() == {mine}
        vault.token.fault.write_text("")
        other.ctl("init", "--token", "--shares", 3, expect=2)
        born = other.ctl("init", "--token")
        key = root(other)["key"]
        assert key.startswith(born["vault"]) and other.token.keys() == {key, mine}
        scene.stop(other)
        scene.start(other)
        assert scene.seal_state(other) == "unsealed"
        other.ctl("key", "rotate", "root")
        keys_are(other, root(other)["key"], mine)
        other.ctl("key", "seal", "credential")
        keys_are(other, mine)


def test_seal_goes_all_ways_while_a_client_reads(vault, tmp_path):
    failed, stop = [], threading.Event()

    def read_on():
        while not stop.is_set():
            failed.extend([] if reads(vault) else ["a read"])
    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        first = seal_by_token(vault)
        vault.ctl("key", "seal", "shares", "--shares", 3, "--threshold", 2, "-o", tmp_path / "shares")
        keys_are(vault, first)  # shares take effect once they were shown
        vault.ctl("key", "confirm", "--share", tmp_path / "shares/share-1.txt", "--share",
                  tmp_path / "shares/share-3.txt")
        keys_are(vault)
        second = seal_by_token(vault)
        assert second != first
        keys_are(vault, second)
        vault.ctl("key", "seal", "credential")
        keys_are(vault)
    finally:
        stop.set()
        reader.join()
    assert not failed
    restart(vault)
    assert scene.seal_state(vault) == "unsealed"
    assert len([r for r in scene.records(vault) if r["event"] == "token.sweep" and r["outcome"] == "done"]) >= 2


def test_new_root_key_gets_a_new_key_and_the_one_before_is_destroyed(vault):
    first = seal_by_token(vault)
    epoch = vault.ctl("key", "list")["epoch"]
    vault.ctl("key", "rotate", "root")
    second = root(vault)["key"]
    assert second != first and vault.ctl("key", "list")["epoch"] == epoch + 1
    keys_are(vault, second)
    restart(vault)
    assert scene.seal_state(vault) == "unsealed" and reads(vault)


def test_retired_generations_go_with_the_key_in_the_token(vault):
    first = seal_by_token(vault)
    vault.ctl("key", "rotate", "kek")
    scene.administer(vault, "key", "rotate", "kek", "--retire", "--without-backup")
    second = root(vault)["key"]
    assert second != first and len(vault.ctl("key", "list")["generations"]) == 1
    keys_are(vault, second)
    restart(vault)
    assert scene.seal_state(vault) == "unsealed" and reads(vault)


def test_change_that_comes_while_a_sweep_runs_waits_for_it(vault):
    vault.token.fault.write_text("slow-finalize")
    seal_by_token(vault)
    key = vault.ctl("key", "rotate", "root")["key"]
    keys_are(vault, key)


# ---- where secrets are ----

@pytest.fixture
def readable():
    """A vault to whose processes the kernel says that it has no secret memory: what they hold can be seen."""
    with programs_with(vaultd="vaultd-without-secret-memory") as programs, token_vault(programs) as v:
        yield v


@needs_root
def test_root_key_and_pin_are_in_no_argument_environment_log_or_other_process(readable):
    vault = readable
    seal_by_token(vault)
    restart(vault)
    spilled = vault.token.spill.read_bytes()
    assert len(spilled) == 32
    forms, pin = forms_of(spilled), {"PIN": PIN.encode()}
    found = {name: [where(pid, {**forms, **pin}) for pid in pids] for name, pids in scene.processes(vault).items()}
    assert found.pop("vaultd-monitor")[0] == {"bytes"}, "control: the root key is where it is used, the PIN is not"
    assert not any(holds for each in found.values() for holds in each), found
    log = log_of(vault)
    assert PIN not in log and spilled.hex() not in log


@needs_root
def test_process_for_the_token_has_its_walls_and_nothing_else(readable):
    vault = readable
    with hanging(vault, "hang-login") as (pid, _):
        proc = pathlib.Path(f"/proc/{pid}")
        status = (proc / "status").read_text()
        assert re.search(r"Uid:\t64105\t64105\t64105", status) and re.search(r"NoNewPrivs:\t1", status)
        assert re.search(r"Groups:\s*\n", status)
        assert int(re.search(r"CapEff:\t([0-9a-f]+)", status)[1], 16) & ~(1 << 14) == 0
        assert int(re.search(r"VmLck:\s+(\d+)", status)[1]) > 1000 or "asan" in str(MODULE)
        links = {int(f.name): os.readlink(f) for f in (proc / "fd").iterdir()}
        assert {links[n] for n in (0, 1, 2)} == {"/dev/null"}, links
        assert len([n for n, to in links.items() if to.startswith("socket:")]) == 1, links
        assert not any(str(vault.folder) in to or str(vault.token.pin) in to for to in links.values()), links
        assert (proc / "cmdline").read_bytes() == b"vaultd-token\0"
        names = {entry.split(b"=")[0] for entry in (proc / "environ").read_bytes().split(b"\0") if entry}
        kept = {b"ASAN_OPTIONS", b"UBSAN_OPTIONS", b"TSAN_OPTIONS", b"LLVM_PROFILE_FILE", b"GCOV_PREFIX"}
        assert names - kept == {b"SOFTHSM2_CONF", b"TOKEN_FAULT", b"TOKEN_CALLS", b"TOKEN_SPILL"}
        assert where(pid, {"PIN": PIN.encode()}) == {"PIN"}, "control: the PIN is where it is used"
        assert not where(vault.pid, {"PIN": PIN.encode()})


# ---- refusals: each with its name, and everything as it was ----

def refused_change(vault, rule):
    before = (root(vault), vault.ctl("key", "list")["epoch"])
    answer = vault.ctl("key", "seal", "token", expect=1)
    assert rules(answer) == [rule], answer
    assert (root(vault), vault.ctl("key", "list")["epoch"]) == before and reads(vault)
    assert failures(vault, "seal.change")[-1] == rule
    return answer


@pytest.mark.parametrize("fault, rule", [
    ("hang-initialize", "token-timeout"), ("hang-login", "token-timeout"), ("hang-finalize", "token-timeout"),
    ("crash", "token-crashed"), ("locked", "token-pin-locked"), ("locked-flag", "token-pin-locked"),
    ("no-mechanism", "token-mechanism"), ("extractable", "token-key-exposed"), ("not-sensitive", "token-key-exposed"),
    ("nonsense", "token-key-wrong"), ("short", "token-nonsense"), ("other-root", "token-nonsense")])
def test_faulty_module_changes_nothing(vault, fault, rule):
    vault.token.fault.write_text(fault)
    before = time.monotonic()
    answer = refused_change(vault, rule)
    if rule == "token-timeout":
        assert SECONDS <= time.monotonic() - before < 60
        assert f"within {SECONDS} seconds" in answer["reasons"][0]["text"]
    scene.wait_for(lambda: "vaultd-token" not in scene.processes(vault), "its process has ended")
    vault.token.fault.write_text("")
    restart(vault)
    swept(vault)


@pytest.mark.parametrize("how, rule", [
    ("no token", "token-not-there"), ("two tokens", "token-ambiguous"), ("no module", "token-module"),
    ("not PKCS#11", "token-module"), ("PIN missing", "token-pin-unreadable"), ("PIN readable", "token-pin-unreadable"),
    ("PIN wrong", "token-pin-wrong"), ("PIN empty", "token-pin-malformed"), ("PIN of two lines", "token-pin-malformed"),
    ("not configured", "token-not-configured")])
def test_bad_configuration_changes_nothing(vault, how, rule, tmp_path):
    vault.changed = True
    token, module = vault.token, tmp_path / "module.so"
    if how == "no token":
        restart(vault, uri="pkcs11:token=another;object=vault-root")
    elif how == "two tokens":
        restart(vault, uri="pkcs11:model=SoftHSM%20v2;object=vault-root")
        token.run("softhsm2-util", "--init-token", "--free", "--label", "second", "--pin", "1234", "--so-pin", "12345678")
    elif how in ("no module", "not PKCS#11"):
        shutil.copy(MODULE if how == "no module" else "/usr/lib/x86_64-linux-gnu/libm.so.6", module)
        restart(vault, module=module)
        if how == "no module":
            module.unlink()
    elif how == "PIN missing":
        token.pin.unlink()
    elif how == "not configured":
        restart(vault, there=False)
    else:
        token.write_pin({"PIN wrong": "1234", "PIN empty": "", "PIN of two lines": "12\n34"}.get(how, PIN),
                        0o644 if how == "PIN readable" else 0o600)
    try:
        refused_change(vault, rule)
    finally:
        if how == "two tokens":
            token.run("softhsm2-util", "--delete-token", "--token", "second")


@pytest.mark.parametrize("fault, rule", [
    ("hang-initialize", "token-timeout"), ("crash", "token-crashed"), ("extractable", "token-key-exposed"),
    ("not-sensitive", "token-key-exposed"), ("other-root", "stays-sealed"), ("no-mechanism", "token-mechanism")])
def test_faulty_module_leaves_the_vault_closed_until_it_is_good(vault, fault, rule):
    key = seal_by_token(vault)
    swept(vault)
    vault.token.fault.write_text(fault)
    restart(vault)
    assert scene.seal_state(vault) == "sealed"
    assert rules(vault.ctl("unseal", expect=5)) == [rule]
    assert vault.token.keys() == {key}
    vault.token.fault.write_text("")
    restart(vault)
    assert scene.seal_state(vault) == "unsealed" and reads(vault)


def test_vault_whose_key_is_not_in_the_token_stays_closed(vault):
    """As after the token was replaced by another, or the ring by one from before."""
    seal_by_token(vault)
    ring = {path: path.read_bytes() for path in (vault.state / "keyring", vault.folder / "twin" / "keyring")}
    vault.ctl("key", "rotate", "root")
    key = root(vault)["key"]
    keys_are(vault, key)
    scene.stop(vault)
    now = {path: path.read_bytes() for path in ring}
    for path, content in ring.items():
        scene.replace(path, content)
    scene.start(vault)
    assert scene.seal_state(vault) == "sealed"
    assert rules(vault.ctl("unseal", expect=5)) == ["token-key-missing"]
    scene.stop(vault)
    for path, content in now.items():
        scene.replace(path, content)
    scene.start(vault)
    assert scene.seal_state(vault) == "unsealed" and vault.token.keys() == {key}


def test_wrong_pin_is_tried_once_and_not_again_unless_somebody_asks(vault):
    seal_by_token(vault)
    swept(vault)
    scene.stop(vault)
    vault.token.write_pin("0000")
    before = vault.token.count("login")
    scene.start(vault)
    assert scene.seal_state(vault) == "sealed" and vault.token.count("login") == before + 1
    for _ in range(2):
        monitors = scene.processes(vault)["vaultd-monitor"]
        os.kill(monitors[0], signal.SIGKILL)
        scene.wait_for(lambda: scene.processes(vault).get("vaultd-monitor", monitors) != monitors, "another monitor")
        scene.wait_for(lambda: scene.seal_state(vault) == "sealed", "a closed vault that answers")
    assert vault.token.count("login") == before + 1
    assert "token-pin-not-tried" in log_of(vault)
    assert rules(vault.ctl("unseal", expect=5)) == ["token-pin-wrong"]
    assert vault.token.count("login") == before + 2
    vault.token.write_pin(PIN)
    assert vault.ctl("unseal")["seal"] == "unsealed"


def test_wrong_pin_is_not_tried_by_a_sweep_either(vault):
    vault.changed = True  # another start, or nobody would destroy it
    seal_by_token(vault)
    swept(vault)
    vault.token.write_pin("0000")
    before = vault.token.count("login")
    vault.ctl("key", "seal", "credential")  # needs no token, but its key is to be destroyed
    scene.wait_for(lambda: failures(vault, "token.sweep")[-1:] == ["token-pin-wrong"], "a sweep that failed")
    assert vault.token.count("login") == before + 1
    vault.ctl("seal")
    vault.ctl("unseal")
    scene.wait_for(lambda: failures(vault, "token.sweep")[-1:] == ["token-pin-not-tried"], "no other try")
    assert vault.token.count("login") == before + 1


def test_key_that_cannot_be_destroyed_is_told_and_destroyed_later(vault):
    first = seal_by_token(vault)
    vault.token.fault.write_text("no-destroy")
    vault.ctl("key", "rotate", "root")
    second = root(vault)["key"]
    scene.wait_for(lambda: failures(vault, "token.sweep")[-1:] == ["token-failed"], "a sweep that failed")
    assert vault.token.keys() == {first, second} and reads(vault)
    vault.token.fault.write_text("")
    restart(vault)
    assert scene.seal_state(vault) == "unsealed"
    keys_are(vault, second)


def test_vault_serves_while_the_token_works(vault):
    with hanging(vault, "hang-login") as (_, done):
        count = 0
        while "it" not in done:
            begun = time.monotonic()
            assert reads(vault)
            assert time.monotonic() - begun < SECONDS
            count += 1
    assert count > 3 and done["it"].returncode == 1
    assert failures(vault, "seal.change")[-1] == "token-timeout"
