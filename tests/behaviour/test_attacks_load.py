"""An exploited worker that wants to keep everybody else from being served: messages that are none, queues that it does
not empty, requests without end. Meanwhile other clients are served, and only workers end."""
import contextlib
import os
import random
import struct

import pytest

from attacks import BIG, BIG_CONTENT, NAME, SUBJECT, scene_with
from puppet import (CHANNELS, GATE, MONITOR, STORE, SUPERVISOR, Ended, Kind, log, message, object_get, open_body,
                    open_file, page_entries, page_get)
from scene import Read, wait_for
from vault_under_test import is_running

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can end a worker that keeps itself busy")

NOSIGNAL = 0x4000
GOOD = {"monitor": (Kind.open, open_body(SUBJECT, NAME)), "store": (Kind.object_get, bytes(64)),
        "gate": (Kind.tls_message, b"\1" + struct.pack("<I", 4) + bytes(4)), "supervisor": (0x105, b"\0")}


@pytest.fixture(scope="module")
def scene():
    with scene_with(worker="vaultd-worker-puppet") as made:
        yield made


# ---- messages that no worker may send ----

def unknown(kind, body, dice):
    return message(dice.choice([0, 1, 0x100, 0x1ff, 0x417, 0x600, 0xffff]), 1, body)


def of_another(kind, body, dice):
    """A message that exists, but is not a worker's to send."""
    name = dice.choice(["worker_kill", "worker_gone", "identity_lost", "object_remove", "object_removed", "credential"])
    bodies = {"worker_kill": (0x10a, bytes(9)), "worker_gone": (0x109, bytes(9)), "identity_lost": (0x208, bytes(10)),
              "object_remove": (0x302, bytes(32)), "object_removed": (0x303, bytes(33)),
              "credential": (0x10c, bytes(2))}
    return message(bodies[name][0], 1, bodies[name][1])


def too_long(kind, body, dice):
    return message(kind, 1, body + dice.randbytes(dice.randrange(40000, 60000)))


def trailing(kind, body, dice):
    return message(kind, 1, body + dice.randbytes(dice.randrange(1, 9)))


def cut(kind, body, dice):
    return message(kind, 1, body)[:dice.randrange(1, 16 + len(body))]


def wrong_version(kind, body, dice):
    return bytes([dice.choice([0, 2, 255])]) + message(kind, 1, body)[1:]


def wrong_length(kind, body, dice):
    packet = bytearray(message(kind, 1, body))
    struct.pack_into("<I", packet, 4, dice.choice([0, len(body) + 1, 2**31, 2**32 - 1]))
    return bytes(packet)


def noise(kind, body, dice):
    return dice.randbytes(dice.randrange(1, 2000))


MALFORMED = (unknown, of_another, too_long, trailing, cut, wrong_version, wrong_length, noise)
REMARKS = ("why=misbehaved", "broke its protocol")


def send_malformed(scene, make, to, dice, moment, descriptors=()):
    """One worker sends one message and must end by force; its client sees the end of its connection."""
    said = len(log(scene.vault))
    with scene.puppet(moment) as p:
        packet = make(*GOOD[to], dice)
        with contextlib.suppress(Ended):
            p.send(CHANNELS[to], packet, descriptors)
            wait_for(lambda: not is_running(p.pid), f"the end of a worker that sent {packet[:40]!r} to {to}")
    wait_for(lambda: any(remark in log(scene.vault)[said:] for remark in REMARKS), "that it was ended by force")


def send_many_malformed(scene, rounds, seed, told=lambda line: None):
    """How many of each kind were sent to each process."""
    dice, landed = random.Random(seed), {}
    for n in range(rounds):
        make, to = MALFORMED[n % len(MALFORMED)], list(CHANNELS)[n // len(MALFORMED) % len(CHANNELS)]
        moment = dice.choice(["first", "handshake"])
        send_malformed(scene, make, to, dice, moment)
        landed[make.__name__, to] = landed.get((make.__name__, to), 0) + 1
        if n % 50 == 49:
            scene.assert_serves()
            told(f"{n + 1} of {rounds} messages")
    scene.assert_serves()
    return landed


def test_a_malformed_message_ends_its_worker_and_nobody_else(scene):
    landed = send_many_malformed(scene, len(MALFORMED) * len(CHANNELS), 1)
    assert len(landed) == len(MALFORMED) * len(CHANNELS)


@pytest.mark.parametrize("to", CHANNELS)
def test_a_descriptor_ends_its_worker_and_nobody_else(scene, to):
    send_malformed(scene, message_of, to, random, "handshake", descriptors=[0, 1, SUPERVISOR])
    scene.assert_serves()


def message_of(kind, body, dice):
    return message(kind, 1, body)


def test_a_well_formed_message_does_not_end_its_worker(scene):
    """Control: what ends the workers above is what is wrong with their messages."""
    with scene.puppet() as p:
        assert p.ask(MONITOR, *GOOD["monitor"])[0] == Kind.grant
        assert p.ask(STORE, *GOOD["store"])[0] == Kind.object_is
        assert p.send(GATE, message(*GOOD["gate"][:1], 1, GOOD["gate"][1])) > 0
        assert p.call("getpid") == p.pid


# ---- floods and stalls ----

def flood(p, channel, packet, rounds, reads):
    """Sends the packet again and again, reading the answers or not."""
    p.forget()
    at, to = p.place(packet), p.place(bytes(1 << 16))
    calls = [("sendto", channel, at, len(packet), NOSIGNAL, 0, 0)]
    if reads:
        calls.append(("recvfrom", channel, to, 1 << 16, 0, 0, 0))
    p.start(rounds, *calls)


def floods_the_monitor(p, rounds):
    flood(p, MONITOR, message(Kind.page_get, 1, bytes(20)), rounds, reads=True)


def floods_the_store(p, rounds):
    flood(p, STORE, message(Kind.object_get, 1, bytes(64)), rounds, reads=True)


def opens_objects_without_end(p, rounds):
    """With a good token; the descriptors fill its table, and what comes then is dropped by the kernel."""
    address, token = page_entries(page_get(p, open_file(p, SUBJECT, NAME)[2][:16]))[0]
    flood(p, STORE, message(Kind.object_get, 1, address + token), rounds, reads=True)


def leaves_the_monitors_answers(p, rounds):
    flood(p, MONITOR, message(Kind.page_get, 1, bytes(20)), rounds, reads=False)


def leaves_the_stores_answers(p, rounds):
    flood(p, STORE, message(Kind.object_get, 1, bytes(64)), rounds, reads=False)


def floods_the_gate(p, rounds):
    flood(p, GATE, message(*GOOD["gate"][:1], 1, GOOD["gate"][1]), rounds, reads=False)


def leaves_the_gates_answers(p, rounds):
    flood(p, GATE, message(Kind.tls_verdict_wanted, 1, b"\0"), rounds, reads=False)


def floods_the_supervisor(p, rounds):
    flood(p, SUPERVISOR, message(*GOOD["supervisor"][:1], 0, GOOD["supervisor"][1]), rounds, reads=False)


def floods_the_log(p, rounds):
    p.forget()
    line = b"<6>vaultd-worker: " + b"x" * 200 + b"\n"
    p.start(rounds, ("write", 2, p.place(line), len(line)))


# The load, and whether the worker is ended for it.
LOADS = [(floods_the_monitor, False), (floods_the_store, False), (opens_objects_without_end, False),
         (leaves_the_monitors_answers, True), (leaves_the_stores_answers, True), (floods_the_gate, True),
         (leaves_the_gates_answers, True), (floods_the_supervisor, False), (floods_the_log, False)]


def end_of(p, is_ended):
    """A worker that must be ended for what it does is, in the end; any other lives until now, when the test ends it."""
    if is_ended:
        wait_for(lambda: not is_running(p.pid), "the end of a worker that asks for it")
        return
    assert is_running(p.pid), "a worker was ended for what is no offence"
    os.kill(p.pid, 9)
    wait_for(lambda: not is_running(p.pid), "its end")


def under_load(scene, load, rounds, is_ended):
    """Loads while another client reads another file and the operator asks; then whether the worker was ended for it."""
    with scene.puppet() as p:
        load(p, rounds)
        assert Read(scene.vault, SUBJECT, BIG).body == BIG_CONTENT
        assert scene.vault.ctl("status")["seal"] == "unsealed"
        end_of(p, is_ended)
    scene.assert_serves()


@pytest.mark.parametrize("load, is_ended", LOADS)
def test_others_are_served_while_a_worker(scene, load, is_ended):
    under_load(scene, load, 1000000, is_ended)
