"""A client of its own TLS records, and a strict reader of HTTP answers: what tests of strange clients share."""
import contextlib
import pathlib
import re
import resource
import socket
import ssl
import struct
import tempfile
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from scene import CUT

ALERT, HANDSHAKE, DATA = 21, 22, 23
CLOSE_NOTIFY = b"\x01\x00"
RECORD_MAX = 1 << 14
PATIENCE = 60


class Malformed(AssertionError):
    """What came is no sequence of whole HTTP answers."""


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [A-Za-z ]+")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([ -~]*)")


class Whole:
    """One answer; `fields` has each name in small letters."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


def read_fields(lines):
    fields = {}
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None or match[1].lower().decode() in fields:
            raise Malformed(f"bad or repeated field: {line!r}")
        fields[match[1].lower().decode()] = match[2].decode()
    return fields


def unchunk(rest):
    """(body, what follows it)"""
    body = b""
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end or re.fullmatch(rb"[0-9a-fA-F]{1,12}", size) is None:
            raise Malformed(f"bad chunk size: {size[:40]!r}")
        size = int(size, 16)
        if rest[size:size + 2] != b"\r\n":
            raise Malformed("a chunk that does not end where it says")
        body, rest = body + rest[:size], rest[size + 2:]
        if size == 0:
            return body, rest


def take_answer(received, head_only=False):
    """(the first answer, what follows it); None for an answer that is not whole yet."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None, received
    lines = head.split(b"\r\n")
    match = STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise Malformed(f"bad status line: {lines[0]!r}")
    fields, status = read_fields(lines[1:]), int(match[1])
    if status >= 200 and re.fullmatch("[0-9a-f]{32}", fields.get("request-id", "")) is None:
        raise Malformed(f"an answer without Request-Id: {fields}")
    if status < 200 or head_only:
        return Whole(status, fields, b""), rest
    if fields.get("transfer-encoding") == "chunked":
        body, rest = unchunk(rest)
        return Whole(status, fields, body), rest
    size = int(fields["content-length"])
    if len(rest) < size:
        return None, received
    return Whole(status, fields, rest[:size]), rest[size:]


def answers(received, head_only=False):
    """All answers of a connection that has ended; each is whole. `head_only`: the first is to HEAD."""
    found = []
    while received:
        one, received = take_answer(received, head_only and not found)
        if one is None:
            raise Malformed(f"an answer that is not whole: {received[:200]!r}")
        found.append(one)
    return found


def dial(vault, source=None, timeout=PATIENCE):
    """A plain connection to the TLS port; `source` is another address of this machine, such as 127.0.0.2."""
    url = urllib.parse.urlsplit(vault.url)
    return socket.create_connection((url.hostname, url.port), timeout, (source, 0) if source else None)


def reset(sock):
    """Ends a connection with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def drain(receive):
    """What comes until the vault ends the connection, which it must."""
    whole = bytearray()
    try:
        while piece := receive(1 << 16):
            whole += piece
    except TimeoutError:
        raise AssertionError(f"the connection was still there after {PATIENCE} s") from None
    except CUT:
        pass
    return bytes(whole)


def expand(secret, label, size, hash_kind):
    """HKDF-Expand-Label of RFC 8446, 7.1, with an empty context."""
    name = b"tls13 " + label
    info = struct.pack(">HB", size, len(name)) + name + b"\0"
    return HKDFExpand(hash_kind, size, info).derive(secret)


class Keys:
    """Seals and opens the records of one direction under one traffic secret."""

    def __init__(self, secret):
        self.secret, self.number = secret, 0
        self.hash = hashes.SHA384() if len(secret) == 48 else hashes.SHA256()
        self.cipher = AESGCM(expand(secret, b"key", 32 if len(secret) == 48 else 16, self.hash))
        self.iv = int.from_bytes(expand(secret, b"iv", 12, self.hash), "big")

    def nonce(self):
        self.number += 1
        return (self.iv ^ (self.number - 1)).to_bytes(12, "big")

    def seal(self, kind, plain, padding=0):
        inner = plain + bytes([kind]) + bytes(padding)
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        return head + self.cipher.encrypt(self.nonce(), inner, head)

    def open(self, record):
        inner = self.cipher.decrypt(self.nonce(), record[5:], record[:5]).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def after_update(self):
        return Keys(expand(self.secret, b"traffic upd", self.hash.digest_size, self.hash))


def split_records(flight):
    """The records in what a TLS client would send."""
    while flight:
        size = 5 + int.from_bytes(flight[3:5], "big")
        yield flight[:size]
        flight = flight[size:]


def fragmented(record, size):
    """A plain record as several of `size` bytes each."""
    for at in range(5, len(record), size):
        piece = record[at:at + size]
        yield record[:3] + struct.pack(">H", len(piece)) + piece


class Client:
    """A TLS client that shakes hands by OpenSSL and then seals its own records. `fragment`: send every handshake
    message in records of that many bytes."""

    def __init__(self, vault, service, fragment=None, context=None, source=None, timeout=PATIENCE):
        self.socket = dial(vault, source, timeout)
        self.fragment, self.incoming, self.outgoing = fragment, ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or vault.tls_context(service)
        with tempfile.NamedTemporaryFile() as log:
            context.keylog_filename = log.name
            self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
            self.log = log
            self.shake_hands()
            self.keys = Keys(self.secret("CLIENT_TRAFFIC_SECRET_0"))

    def secret(self, name):
        lines = pathlib.Path(self.log.name).read_text().splitlines()
        return bytes.fromhex(next(line.split()[2] for line in lines if line.startswith(name + " ")))

    def flight(self):
        """What the handshake has to send, in records as asked for."""
        keys = None
        for record in split_records(self.outgoing.read()):
            if self.fragment is None or record[0] not in (HANDSHAKE, DATA):
                yield record
            elif record[0] == HANDSHAKE:
                yield from fragmented(record, self.fragment)
            else:
                keys = keys or (Keys(self.secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET")),
                                Keys(self.secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET")))
                kind, plain = keys[0].open(record)
                for at in range(0, len(plain), self.fragment):
                    yield keys[1].seal(kind, plain[at:at + self.fragment])

    def shake_hands(self):
        while True:
            done = True
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            self.socket.sendall(b"".join(self.flight()))
            if done:
                return
            self.feed()

    def feed(self):
        piece = self.socket.recv(1 << 16)
        if piece:
            self.incoming.write(piece)
        else:
            self.incoming.write_eof()

    def send(self, plain, kind=DATA, padding=0):
        self.socket.sendall(self.keys.seal(kind, plain, padding))

    def receive(self, size=1 << 16):
        """As recv of a socket: b"" at the end."""
        while True:
            try:
                return self.session.read(size)
            except ssl.SSLWantReadError:
                self.feed()
            except ssl.SSLZeroReturnError:
                return b""

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def client(vault, service, **more):
    with contextlib.closing(Client(vault, service, **more)) as c:
        yield c


def log(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


def crashes(vault):
    return log(vault).count("crashed: ")


def raise_open_files(wanted):
    """As many open files as this process may have, `wanted` at least."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * wanted)), hard))
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= wanted, "too few open files are allowed"
