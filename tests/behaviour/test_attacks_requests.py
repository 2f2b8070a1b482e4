"""An exploited worker that asks the other processes for what is not its client's. Each attack fails against the real
checks, and is seen to succeed with the one check that stops it switched off (tests/hostile/unchecked.h)."""
import contextlib
import hashlib
import itertools
import os

import pytest

from attacks import CONTENT, NAME, SUBJECT, scene_with
from puppet import (MONITOR, STORE, Ended, Kind, Upload, message, object_get, open_body, open_file, page_entries,
                    page_get, status, without)
from scene import deposit, give_consent, objects, records, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read what the store holds")

NOTHING = bytes(32)
LENGTH = 1000 + 28  # of an object of 1000 bytes


@pytest.fixture(scope="module")
def scene():
    """Monitor and store are the real ones, but have checks that can be switched off; the workers' walls are up."""
    with scene_with(worker="vaultd-worker-puppet", monitor="vaultd-monitor-unchecked",
                    store="vaultd-store-unchecked") as made:
        yield made


FILE_NAMES = (f"attack-{i}" for i in itertools.count())


@pytest.fixture
def names():
    """File names that no other attack uses."""
    return FILE_NAMES


def stored(scene, address):
    """What the store holds under an address; None if nothing, as also where it is removed while we look."""
    path = objects(scene.vault).get(address if isinstance(address, str) else address.hex())
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes() if path else None
    return None


# ---- the attacks: each tells whether it had its effect ----

def uses_another_connections_grant(scene, names):
    with scene.puppet() as owner, scene.puppet(service="research") as p:
        grant = open_file(owner, SUBJECT, NAME)[2][:16]
        answer = page_get(p, grant)
        return answer[0] == Kind.page and object_get(p, *page_entries(answer)[0]) is not None


def closes_another_connections_grant(scene, names):
    """The owner's next page is what shows it."""
    with scene.puppet() as owner, scene.puppet(service="research") as p:
        grant = open_file(owner, SUBJECT, NAME)[2][:16]
        p.ask(MONITOR, Kind.grant_close, grant + bytes(1 + 8 + 4 + 32))
        return page_get(owner, grant)[0] != Kind.page


def gets_an_object_without_token(scene, names):
    """Of a file that nobody may read; the address is known to the attacker."""
    with scene.puppet() as p:
        got = object_get(p, bytes.fromhex(scene.refused), NOTHING)
        return got is not None and stored(scene, scene.refused).startswith(got)


def gets_an_object_with_anothers_token(scene, names):
    with scene.puppet() as owner, scene.puppet(service="research") as p:
        address, token = page_entries(page_get(owner, open_file(owner, SUBJECT, NAME)[2][:16]))[0]
        got = object_get(p, address, token)
        return got is not None and stored(scene, address).startswith(got)


def puts_an_object_without_token(scene, names):
    content = os.urandom(LENGTH)
    address = hashlib.sha256(content).digest()
    with scene.puppet(service="depositor") as p:
        upload = Upload(p, SUBJECT, next(names))
        upload.put(address, content, NOTHING)
        return stored(scene, address) == content


def gets_buffers_without_token(scene, names):
    with scene.puppet() as p:
        answer = p.ask(STORE, Kind.buffers_get, bytes(16) + NOTHING)
        return answer[2][0] == 0 and len(answer[3]) == 1


def begin(p, name):
    """An upload with one object announced: what it would be, and its token."""
    content = os.urandom(LENGTH)
    upload = Upload(p, SUBJECT, name)
    upload.content, upload.address = content, hashlib.sha256(content).digest()
    answer = upload.announce(upload.address, LENGTH)
    assert answer[0] == Kind.put_token
    upload.put_token = answer[2]
    return upload


def publishes(upload, receipt):
    upload.page(upload.address, LENGTH, receipt)
    return status(upload.commit(1000, NOTHING)) == 201


def makes_a_receipt_up(scene, names):
    """A file whose object the store never had."""
    with scene.puppet(service="depositor") as p:
        upload = begin(p, next(names))
        return publishes(upload, os.urandom(32)) and stored(scene, upload.address) is None


def alters_a_receipt(scene, names):
    with scene.puppet(service="depositor") as p:
        upload = begin(p, next(names))
        done, receipt = upload.put(upload.address, upload.content, upload.put_token)
        assert done == 0
        return publishes(upload, bytes([receipt[0] ^ 1]) + receipt[1:])


def uses_anothers_receipt(scene, names):
    """The other worker's object is durable, and its receipt good, for that worker's upload."""
    with scene.puppet(service="depositor") as owner, scene.puppet(service="depositor") as p:
        other = begin(owner, next(names))
        receipt = other.put(other.address, other.content, other.put_token)[1]
        return publishes(begin(p, next(names)), receipt)


def asks_for_a_page_past_the_end(scene, names):
    """What comes is no page even so: the index has none. But it is taken for damage."""
    with scene.puppet() as p:
        return status(page_get(p, open_file(p, SUBJECT, NAME)[2][:16], 1)) != 403


def commits_a_foreign_upload(scene, names):
    with scene.puppet(service="depositor") as owner, scene.puppet(service="depositor") as p:
        upload = begin(owner, next(names))
        receipt = upload.put(upload.address, upload.content, upload.put_token)[1]
        assert upload.page(upload.address, LENGTH, receipt)[0] == Kind.done
        upload.p = p
        return status(upload.commit(1000, NOTHING)) == 201


def aborts_a_foreign_upload(scene, names):
    with scene.puppet(service="depositor") as owner, scene.puppet(service="depositor") as p:
        upload = begin(owner, next(names))
        upload.p = p
        return upload.abort()[0] == Kind.done


def announces_a_files_object(scene, names):
    """What is announced by an upload that comes to nothing is removed: so the file loses its object."""
    before = set(objects(scene.vault))
    deposit(scene.vault, SUBJECT, next(names), CONTENT)
    (address,) = set(objects(scene.vault)) - before
    with scene.puppet(service="depositor") as p:
        upload = Upload(p, SUBJECT, next(names), buffers=False)
        if upload.announce(bytes.fromhex(address), len(stored(scene, address)))[0] != Kind.put_token:
            return False
    wait_for(lambda: stored(scene, address) is None, "the removal of a file's object")
    return True


def opens_too_many_files(scene, names):
    with scene.puppet() as p:
        return all(open_file(p, SUBJECT, NAME)[0] == Kind.grant for _ in range(40))


def opens_too_many_uploads(scene, names):
    with scene.puppet(service="depositor") as p:
        return all(Upload(p, SUBJECT, next(names), buffers=False).answer[0] == Kind.upload for _ in range(6))


def speaks_before_its_client_is_known(scene, names):
    """What it gets is a refusal even so, since nobody is known. But it gets an answer."""
    with scene.puppet("first") as p:
        return status(open_file(p, SUBJECT, NAME)) == 401


def adds_bytes_to_the_monitor(scene, names):
    with scene.puppet() as p:
        return p.ask(MONITOR, Kind.open, open_body(SUBJECT, NAME) + b"more")[0] == Kind.grant


def adds_bytes_to_the_store(scene, names):
    with scene.puppet() as p:
        return p.ask(STORE, Kind.object_get, bytes(64) + b"more")[0] == Kind.object_is


def sends_a_descriptor_to_the_monitor(scene, names):
    with scene.puppet() as p:
        return p.ask(MONITOR, Kind.open, open_body(SUBJECT, NAME), [0])[0] == Kind.grant


def sends_a_descriptor_to_the_store(scene, names):
    with scene.puppet() as p:
        return p.ask(STORE, Kind.object_get, bytes(64), [0])[0] == Kind.object_is


def speaks_another_version(scene, names):
    with scene.puppet() as p:
        p.send(MONITOR, b"\2" + message(Kind.open, 1, open_body(SUBJECT, NAME))[1:])
        return p.receive(MONITOR)[0] == Kind.grant


def leaves_the_stores_answers_unread(scene, names):
    """A hundred of them, each with a descriptor that the store has to keep meanwhile."""
    for _ in range(3):  # workers that were started ahead
        scene.puppet().wire.close()
    with scene.puppet() as p:
        address, token = page_entries(page_get(p, open_file(p, SUBJECT, NAME)[2][:16]))[0]
        request = message(Kind.object_get, 7, address + token)
        p.repeat(100, ("sendto", STORE, request, len(request), 0x4000, 0, 0))
        return all(p.receive(STORE)[0] == Kind.object_is and p.call("close", fd_of(p)) == 0 for _ in range(100))


def fd_of(p):
    """The descriptor that came last: the highest one."""
    return max(int(each) for each in os.listdir(f"/proc/{p.pid}/fd"))


# The attack, and which check of which program stops it.
ATTACKS = [
    (uses_another_connections_grant, "state", "grant_find"),
    (closes_another_connections_grant, "state", "grant_find"),
    (gets_an_object_without_token, "objects", "token_check"),
    (gets_an_object_with_anothers_token, "objects", "token_check"),
    (puts_an_object_without_token, "objects", "token_check"),
    (gets_buffers_without_token, "objects", "token_check"),
    (makes_a_receipt_up, "state", "token_check"),
    (alters_a_receipt, "state", "token_check"),
    (uses_anothers_receipt, "state", "token_check"),
    (asks_for_a_page_past_the_end, "state", "page_bound"),
    (commits_a_foreign_upload, "state", "upload_find"),
    (aborts_a_foreign_upload, "state", "upload_find"),
    (announces_a_files_object, "state", "object_is_of_another"),
    (opens_too_many_files, "state", "grants_of"),
    (opens_too_many_uploads, "state", "uploads"),
    (speaks_before_its_client_is_known, "state", "early"),
    (adds_bytes_to_the_monitor, "state", "trailing"),
    (adds_bytes_to_the_store, "objects", "trailing"),
    (sends_a_descriptor_to_the_monitor, "state", "descriptors"),
    (sends_a_descriptor_to_the_store, "objects", "descriptors"),
    (speaks_another_version, "state", "version"),
    (leaves_the_stores_answers_unread, "objects", "send_buffer"),
]


def attempt(scene, attack, names):
    """A worker that is ended for it has had no effect."""
    try:
        return attack(scene, names)
    except Ended:
        return False


@pytest.mark.parametrize("attack, folder, check", ATTACKS)
def test_an_attack_succeeds_only_without_the_check_that_stops_it(scene, names, attack, folder, check):
    assert not attempt(scene, attack, names), "it had its effect against the real checks"
    with without(getattr(scene.vault, folder), check):
        assert attempt(scene, attack, names), "control: the attack cannot succeed"
    assert not attempt(scene, attack, names), "it had its effect against the real checks"
    scene.assert_serves()


# ---- what a grant is worth once it is over ----

def test_a_grant_that_was_closed_gives_no_more_pages(scene):
    with scene.puppet() as p:
        grant = open_file(p, SUBJECT, NAME)[2][:16]
        assert page_get(p, grant)[0] == Kind.page
        assert p.ask(MONITOR, Kind.grant_close, grant + bytes(1 + 8 + 4 + 32))[0] == Kind.done
        assert status(page_get(p, grant)) == 403


class TooLate(Exception):
    """The worker got no processor for as long as it is waited for, and was ended."""


def test_a_false_acknowledgement_keeps_what_was_given_and_gets_nothing_more(scene, names):
    """The known gap (SECURITY.md). Kept until the connection ends: the key, and the objects of pages that were handed
    out. Not reached: a further page, the file once more, anything by another connection. A worker that does not say
    that it has stopped is ended, and the withdrawal waits for that."""
    for _ in range(10):
        with contextlib.suppress(TooLate):
            return acknowledge_falsely(scene, next(names))
    raise AssertionError("it was never in time")


def acknowledge_falsely(scene, name):
    deposit(scene.vault, SUBJECT, name, CONTENT)
    with scene.puppet() as p:
        grant = open_file(p, SUBJECT, name)[2][:16]
        address, token = page_entries(page_get(p, grant))[0]
        acknowledging = message(Kind.revoked, 0, grant)
        words = p.place(bytes(64)), p.place(acknowledging)
        # One order: it waits for the revocation, and acknowledges it at once.
        p.start(1, ("recvfrom", MONITOR, words[0], 64, 0, 0, 0),
                ("sendto", MONITOR, words[1], len(acknowledging), 0x4000, 0, 0))
        give_consent(scene.vault, SUBJECT, treatment=False)
        try:
            try:
                assert p.finish()[0] == 1
            except Ended:
                raise TooLate from None
            assert p.peek(words[0] + 2, 2) == Kind.revoke.to_bytes(2, "little")
            assert object_get(p, address, token) == stored(scene, address)[:4096], "reached: what was handed out"
            assert status(page_get(p, grant)) == 403
            assert status(open_file(p, SUBJECT, name)) == 403
            with scene.puppet() as other:
                assert object_get(other, address, token) is None
                assert status(page_get(other, grant)) == 403
        finally:
            give_consent(scene.vault, SUBJECT)
    scene.assert_serves()


def test_a_worker_that_does_not_acknowledge_is_ended_before_the_withdrawal_is_acknowledged(scene, names):
    """Control of the gap: without the lie nothing is reached."""
    name = next(names)
    deposit(scene.vault, SUBJECT, name, CONTENT)
    with scene.puppet() as p:
        address, token = page_entries(page_get(p, open_file(p, SUBJECT, name)[2][:16]))[0]
        give_consent(scene.vault, SUBJECT, treatment=False)
        try:
            with pytest.raises(Ended):
                object_get(p, address, token)
        finally:
            give_consent(scene.vault, SUBJECT)
    scene.assert_serves()


def test_what_is_recorded_of_a_worker_that_lies_about_what_it_read(scene, names):
    """It says that it read nothing; the record has the monitor's own bound beside its word."""
    name = next(names)
    file = deposit(scene.vault, SUBJECT, name, CONTENT)["id"]
    first = scene.vault.http("GET", "/v1/status").json()["records"]
    with scene.puppet() as p:
        grant = open_file(p, SUBJECT, name)[2][:16]
        assert page_get(p, grant)[0] == Kind.page
        assert p.ask(MONITOR, Kind.grant_close, grant + bytes(1 + 8 + 4 + 32))[0] == Kind.done
    # Of this file: a read of another test may be closed as late as now.
    (closing,) = [r for r in records(scene.vault, first) if r["event"] == "read.close" and r["file"] == file]
    assert closing["bytes"] == 0 and f"up to {len(CONTENT)} bytes handed out" in str(closing)
