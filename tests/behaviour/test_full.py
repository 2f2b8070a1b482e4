"""Full disks, made full from outside: what only adds is refused with 507, what must go on goes on from the reserve;
with that used up all that needs a record is refused with 503; and all goes on by itself once there is space. The long
form is tests/torture/full."""
import contextlib

import pytest

import full_world
import scene
import small_disk


needs_tmpfs, needs_ext4 = (pytest.mark.skipif(not small_disk.may_mount(kind), reason=f"no right to mount {kind}")
                           for kind in small_disk.KINDS)
DISKS = [pytest.param("tmpfs", marks=needs_tmpfs), pytest.param("ext4", marks=needs_ext4)]


@pytest.fixture(scope="module", params=DISKS)
def state(request):
    """A vault with its state on a small disk."""
    with full_world.small_vault(request.param, "state", 16) as world:
        yield world


@pytest.fixture(scope="module", params=DISKS)
def objects(request):
    """A vault with its objects on a small disk."""
    with full_world.small_vault(request.param, "objects", 24) as world:
        yield world


@pytest.fixture(scope="module")
def twin():
    """A vault with the second copy of its key ring on a small disk."""
    with full_world.small_vault("tmpfs", "twin", 1) as world:
        yield world


def assert_nothing_grows(world):
    assert world.try_deposit() == 507
    for command in world.growing_commands():
        world.vault.ctl(*command, expect=1)
        assert "short of space" in world.vault.stderr, world.vault.stderr


def test_full_state_refuses_what_only_adds_and_does_the_rest(state, tmp_path):
    vault = state.vault
    epoch = vault.ctl("status")["epoch"]
    with state.full():
        assert_nothing_grows(state)
        assert state.space() == "short"
        assert state.read() == 200
        assert state.denial() == 403
        assert vault.ctl("consent", "withdraw", "S-withdraw")["subject"] == "S-withdraw"
        assert state.read("S-withdraw") == 403
        vault.ctl("subject", "change", "S-out", "--opt-out")
        vault.ctl("service", "revoke", "revoked")
        vault.ctl("audit", "checkpoint")
        scene.verify_audit(vault, tmp_path / "full")
        vault.ctl("seal")
        vault.ctl("unseal")
        assert state.space() == "short"
        assert state.read() == 200
    state.denied += 1  # the read after the withdrawal
    assert vault.ctl("status")["epoch"] == epoch
    state.deposit()
    state.check_all(tmp_path / "after")
    assert "space: short" in state.log() and "space: enough again" in state.log()


def test_used_up_reserve_refuses_what_needs_a_record_until_there_is_space(state, tmp_path):
    vault = state.vault
    with contextlib.closing(vault.connect("clinic")) as reader, state.full():
        name = next(n for p, n in state.kept if p == "S-read")
        reader.request("GET", scene.file_path("S-read", name), headers={"Purpose": scene.TREATMENT})
        running = reader.getresponse()
        denied, refused = state.deny_until_refused()
        assert refused == 503 and denied > 100
        assert state.space() == "none"
        before = vault.ctl("status")["records"]
        assert state.read() == state.denial() == 503
        assert state.try_deposit() == 503
        for command in ("consent withdraw S-read", "subject add S-none", "audit checkpoint", "seal"):
            vault.ctl(*command.split(), expect=1)
        assert running.read() == state.kept["S-read", name]  # what was granted before goes on
        status = vault.ctl("status")
        assert (status["seal"], status["records"]) == ("unsealed", before)
    assert state.read() == 200
    state.deposit()
    state.check_all(tmp_path / "after")


def test_deposit_under_way_is_refused_and_leaves_nothing(state, tmp_path):
    vault, body = state.vault, full_world.content("big", 12_000_000)
    before = set(scene.objects(vault))
    with contextlib.closing(vault.connect("depositor")) as connection:
        connection.putrequest("PUT", scene.file_path("S-read", "big"))
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[:5_000_000])
        scene.wait_for(lambda: set(scene.objects(vault)) - before, "a first object")
        with state.full():
            with contextlib.suppress(*scene.CUT):
                connection.send(body[5_000_000:])
            assert connection.getresponse().status == 507
            connection.close()
            scene.wait_for(lambda: set(scene.objects(vault)) == before, "the removal of its objects")
    state.check_all(tmp_path / "after")


def test_start_on_a_full_disk_serves(state, tmp_path):
    vault = state.vault
    scene.stop(vault)
    with state.full():
        scene.start(vault)
        assert scene.wait_for(lambda: scene.seal_state(vault), "an answer") == "unsealed"
        assert state.read() == 200
        assert state.try_deposit() == 507
    state.deposit()
    state.check_all(tmp_path / "after")


def test_start_with_the_reserve_used_up_answers_and_goes_on_when_there_is_space(state, tmp_path):
    vault = state.vault
    with state.full():
        state.deny_until_refused()
        scene.stop(vault)
        state.ballast.fill()  # also what is too little for the vault to begin with
        scene.start(vault)
        status = vault.ctl("status")
        assert status["space"] == "none"
        # Opening needs a record, for which the index may have a free page or two left.
        assert state.read() == (503 if status["seal"] == "unsealed" else 423)
        assert status["seal"] == "unsealed" or "The state directory is full." in state.log()
        state.ballast.remove()
        scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault opens by itself")
    state.deposit()
    state.check_all(tmp_path / "after")


@needs_tmpfs
def test_rotation_needs_space_for_both_copies_of_the_key_ring(twin, tmp_path):
    vault = twin.vault
    with small_disk.Ballast(vault.folder / "twin"):
        vault.ctl("key", "rotate", "kek", expect=1)
        assert "key ring" in vault.stderr
        twin.deposit()  # nothing else needs that disk
        assert vault.ctl("status")["epoch"] == 1
    vault.ctl("key", "rotate", "kek")
    assert vault.ctl("status")["epoch"] == 2
    twin.check_all(tmp_path / "after")


@needs_tmpfs
def test_start_that_cannot_mend_the_key_ring_says_so_and_opens_when_there_is_space(twin, tmp_path):
    vault = twin.vault
    scene.stop(vault)
    (vault.folder / "twin" / "keyring").unlink()
    with small_disk.Ballast(vault.folder / "twin"):
        scene.start(vault)
        assert vault.ctl("status")["seal"] == "sealed"
        assert "A copy of the key ring must be written, and its disk is full." in twin.log()
    scene.wait_for(lambda: scene.seal_state(vault) == "unsealed", "the vault opens by itself")
    twin.deposit()
    twin.check_all(tmp_path / "after")


def test_full_objects_refuse_deposits_and_nothing_else(objects, tmp_path):
    vault = objects.vault
    with objects.full():
        assert objects.try_deposit() == 507
        assert objects.space() == "enough"
        assert objects.read() == 200
        vault.ctl("subject", "add", "S-more")
        vault.ctl("consent", "withdraw", "S-withdraw")
    objects.deposit()
    assert objects.try_deposit(size=40_000_000) == 507  # fills the disk itself, in its middle
    scene.wait_for(lambda: small_disk.free(vault.objects) > 10_000_000, "the removal of its objects")
    objects.deposit(size=5_000_000)
    objects.check_all(tmp_path / "after")


def test_rotation_of_data_keys_waits_for_space(objects, tmp_path):
    """A file needs its room once more until it is whole; what was begun is removed, and begun again."""
    vault = objects.vault
    objects.deposit(size=3_000_000)
    with objects.full():
        before = set(scene.objects(vault))
        vault.ctl("key", "rotate", "data", "--no-wait")
        scene.wait_for(lambda: "no room for it now" in objects.log(), "the worker's word")
        assert objects.read() == 200
        assert set(scene.objects(vault)) >= before
        assert vault.ctl("key", "jobs")["jobs"][0]["state"] == "running"
    scene.wait_for(lambda: vault.ctl("key", "jobs")["jobs"][0]["state"] == "done", "the end of the rotation", 120)
    scene.wait_for(lambda: not before & set(scene.objects(vault)), "the end of the old objects")
    records = objects.check_all(tmp_path / "after")
    assert ", 0 failed" in [r["detail"] for r in records if r["event"] == "key.rotated"][-1]


@needs_ext4
def test_one_full_disk_for_everything_is_answered_the_same(tmp_path):
    with full_world.small_vault("ext4", "everything", 32) as world:
        with world.full():
            assert world.try_deposit() == 507
            assert world.read() == 200
            assert world.denial() == 403
        world.deposit()
        assert world.try_deposit(size=40_000_000) == 507
        world.wait_for_space("enough")
        world.deposit()
        world.check_all(tmp_path / "after")
