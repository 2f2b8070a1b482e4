"""Denial of service, a row each: what a hostile client does over and over, from another address than the clinic's."""
import contextlib
import multiprocessing
import socket
import time

from scene import CUT, RESEARCH, file_path
from strange import dial, raise_open_files, reset

SUBJECT, NAME = "S-0001", "large"
MANY = 5000
IP_BIND_ADDRESS_NO_PORT = 24  # of <linux/in.h>: the port is chosen with the connection, from more of them
HEAD = b" HTTP/1.1\r\nHost: vault\r\n"


class Crowd:
    """Connections that are kept, and opened again as the vault ends them."""

    def __init__(self, size, connect, touch=None):
        self.held, self.size, self.connect, self.touch = [], size, connect, touch

    def turn(self):
        """How many connections were opened."""
        self.held = [c for c in self.held if not self.gone(c)]
        opened = 0
        for _ in range(min(20, self.size - len(self.held))):
            with contextlib.suppress(*CUT):
                self.held.append(self.connect())
                opened += 1
        return opened

    def gone(self, sock):
        try:
            if self.touch is not None:
                self.touch(sock)
                return False
            sock.settimeout(0)
            return sock.recv(1) == b""
        except (BlockingIOError, TimeoutError):
            return False
        except CUT as error:
            return "did not complete" not in str(error)


def tls(vault, service, source):
    return vault.tls_context(service).wrap_socket(dial(vault, source), server_hostname="127.0.0.1")


def opening(vault, service, source, sent):
    def connect():
        sock = tls(vault, service, source)
        sock.sendall(sent)
        return sock
    return connect


def a_byte(sock):
    sock.settimeout(1)
    sock.sendall(b"x")


def silent(vault, source):
    """All the places of one address, held without a word."""
    return Crowd(64, lambda: dial(vault, source)).turn


def slow_heads(vault, source):
    return Crowd(32, opening(vault, "research", source, b"GET /v1/status" + HEAD + b"X: "), a_byte).turn


def body_drip(vault, source):
    sent = b"PUT " + file_path(SUBJECT, "drip").encode() + HEAD + b"Content-Length: 1000000\r\n\r\n"
    return Crowd(16, opening(vault, "depositor", source, sent), a_byte).turn


def never_reading(vault, source):
    sent = b"GET " + file_path(SUBJECT, NAME).encode() + HEAD + b"Purpose: " + RESEARCH.encode() + b"\r\n\r\n"
    return Crowd(16, opening(vault, "research", source, sent), lambda _: None).turn


def handshakes(vault, source):
    """Full ones, each ended at once."""
    def turn():
        with contextlib.suppress(*CUT):
            reset(tls(vault, "research", source))
        return 1
    return turn


def hellos(vault, source):
    """The vault answers each with a signature, and the client is gone."""
    import test_tls
    hello = test_tls.client_hello(vault)

    def turn():
        with contextlib.suppress(*CUT):
            sock = dial(vault, source)
            sock.sendall(hello)
            sock.settimeout(5)
            sock.recv(1)
            reset(sock)
        return 1
    return turn


def denials(vault, source):
    """Ten at a time, on one connection; each is decided and recorded."""
    request = b"GET " + file_path(SUBJECT, "other").encode() + HEAD + b"Purpose: " + RESEARCH.encode() + b"\r\n\r\n"
    held = []

    def turn():
        with contextlib.suppress(*CUT):
            held.append(held.pop() if held else tls(vault, "research", source))
            held[-1].sendall(10 * request)
            got = b""
            while got.count(b"HTTP/1.1 403 ") < 10:
                piece = held[-1].recv(1 << 16)
                if not piece:
                    break
                got += piece
            else:
                return 10
        held.clear()
        return 0
    return turn


def five_thousand(vault, source):
    """From one address. All but its share are reset; they come again."""
    raise_open_files(MANY + 100)
    held = []

    def turn():
        opened = 0
        while len(held) < MANY and opened < 500:
            sock = socket.socket()
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
            sock.setblocking(False)
            sock.connect_ex(vault_address(vault))
            held.append(sock)
            opened += 1
        if opened == 0:
            while held:
                reset(held.pop())
        return opened
    return turn


def vault_address(vault):
    host, port = vault.url.rsplit("//", 1)[1].split(":")
    return host, int(port)


ROWS = {"silent connections": silent, "slow heads": slow_heads, "body drip": body_drip, "never reading": never_reading,
        "handshakes": handshakes, "hellos": hellos, "denials": denials, "5,000 connections": five_thousand}


def attack(vault, row, source, count, ending):
    turn = ROWS[row](vault, source)
    while not ending.is_set():
        opened = turn()
        with count.get_lock():
            count.value += opened
        time.sleep(0 if row in ("handshakes", "hellos", "denials") else 0.05)


@contextlib.contextmanager
def under(vault, row, source="127.0.0.2"):
    """Runs the row in a process of its own; gives a function that says how many connections or requests it has made."""
    context = multiprocessing.get_context("fork")
    count, ending = context.Value("L", 0), context.Event()
    process = context.Process(target=attack, args=(vault, row, source, count, ending))
    process.start()
    try:
        yield lambda: count.value
        assert process.is_alive(), "the attacker died"
    finally:
        ending.set()
        process.join(30)
        if process.is_alive():
            process.kill()
            process.join()
