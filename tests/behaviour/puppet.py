"""The client of a worker that it has taken over: system calls and messages of its choice, made by that worker. The
other end is tests/hostile/puppet.c."""
import contextlib
import pathlib
import socket
import ssl
import struct
import urllib.parse

from scene import CUT

MARK = b"\0taken over\0"
SUPERVISOR, MONITOR, STORE, GATE = 3, 4, 5, 6
CHANNELS = {"supervisor": SUPERVISOR, "monitor": MONITOR, "store": STORE, "gate": GATE}
AGAIN, NOSIGNAL, DONTWAIT = -11, 0x4000, 0x40
PACKET_MAX = 57344

# x86-64
CALLS = {"read": 0, "write": 1, "close": 3, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "pread64": 17,
         "getpid": 39, "socket": 41, "connect": 42, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
         "bind": 49, "listen": 50, "setsockopt": 54, "getsockopt": 55, "fork": 57, "execve": 59, "wait4": 61,
         "kill": 62, "fcntl": 72, "readlink": 89, "ptrace": 101,
         "openat": 257, "process_vm_readv": 310, "pidfd_open": 434,
         "pidfd_getfd": 438}


class Ended(Exception):
    """The worker is gone, and its connection with it."""


class Puppet:
    """A worker taken over at a moment. `request` is what its client asks honestly before that; what had come of the
    answer by then is in `before`. `off` names walls, for vaultd-worker-unwalled."""

    def __init__(self, vault, moment, service="clinic", request=b"", off=()):
        self.before, self.next_id, self.used = bytearray(), 1 << 32, 0
        url = urllib.parse.urlsplit(vault.url)
        self.wire = socket.create_connection((url.hostname, url.port), timeout=60)
        try:
            self.wire.sendall(f"take {moment} {','.join(off)}\n".encode())
            if moment != "first":
                context = vault.tls_context(service)
                self.wire = context.wrap_socket(self.wire, server_hostname="127.0.0.1")
                self.wire.sendall(request)
            while not self.before.endswith(MARK):
                self.before += self.take_some(1 << 16)
            self.before = bytes(self.before.removesuffix(MARK))
            self.scratch = self.order(b"A")
            self.pid = self.call("getpid")
        except BaseException:
            self.wire.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def take_some(self, most):
        with contextlib.suppress(*CUT):
            if piece := self.wire.recv(most):
                return piece
        raise Ended

    def take(self, n):
        whole = bytearray()
        while len(whole) < n:
            whole += self.take_some(n - len(whole))
        return bytes(whole)

    def order(self, said, answer="<q"):
        try:
            self.wire.sendall(said)
        except (OSError, ssl.SSLError) as end:
            raise Ended from end
        values = struct.unpack(answer, self.take(struct.calcsize(answer)))
        return values[0] if len(values) == 1 else values

    # ---- memory ----

    def poke(self, at, content):
        self.order(b"P" + struct.pack("<QQ", at, len(content)) + content)

    def peek(self, at, n):
        self.wire.sendall(b"K" + struct.pack("<QQ", at, n))
        return self.take(n)

    def place(self, content):
        """Its address, in memory that lasts until `forget`."""
        at = self.scratch + self.used
        self.used += -(-max(len(content), 1) // 16) * 16
        self.poke(at, content)
        return at

    def forget(self):
        self.used = 0

    # ---- system calls ----

    def words(self, name, args):
        given = [self.place(a) if isinstance(a, bytes) else a & (2**64 - 1) for a in args]
        return struct.pack("<7Q", CALLS[name], *given, *[0] * (6 - len(given)))

    def call(self, name, *args):
        """What the kernel gave; an error is negative. Bytes are put into its memory, and their address is given."""
        return self.order(b"C" + self.words(name, args))

    def start(self, rounds, *calls):
        """Has it make these calls again and again, without waiting for the end; `finish` does."""
        said = b"".join(self.words(name, args) for name, *args in calls)
        self.wire.sendall(b"R" + struct.pack("<QQ", rounds, len(calls)) + said)

    def finish(self):
        return struct.unpack("<qq", self.take(16))

    def repeat(self, rounds, *calls):
        """How many rounds were made, and what the last call gave."""
        self.start(rounds, *calls)
        return self.finish()

    def go_on(self):
        self.wire.sendall(b"G")

    def path(self, text):
        return str(text).encode() + b"\0"

    # ---- messages ----

    def send(self, channel, packet, descriptors=()):
        """A raw packet to one of the other processes."""
        self.forget()
        if not descriptors:
            return self.call("sendto", channel, packet, len(packet), NOSIGNAL | DONTWAIT, 0, 0)
        n = len(descriptors)
        control = struct.pack(f"<Qii{n}i", 16 + 4 * n, socket.SOL_SOCKET, socket.SCM_RIGHTS, *descriptors)
        part = struct.pack("<QQ", self.place(packet), len(packet))
        head = struct.pack("<QIIQQQQii", 0, 0, 0, self.place(part), 1, self.place(control), len(control), 0, 0)
        return self.call("sendmsg", channel, head, NOSIGNAL | DONTWAIT)

    def receive(self, channel):
        """The next message: its type, id, body and descriptors."""
        self.forget()
        packet, control = self.place(bytes(PACKET_MAX)), self.place(bytes(64))
        part = struct.pack("<QQ", packet, PACKET_MAX)
        head = struct.pack("<QIIQQQQii", 0, 0, 0, self.place(part), 1, control, 64, 0, 0)
        at = self.place(head)
        waiting = struct.pack("<ihh", channel, 1, 0)
        assert self.call("poll", waiting, 1, 60000) == 1, "no answer"
        n = self.call("recvmsg", channel, at, DONTWAIT)
        if n <= 0:
            raise Ended
        content = self.peek(packet, n)
        _, _, kind, _, number = struct.unpack("<BBHIQ", content[:16])
        size = struct.unpack("<Q", self.peek(at + 40, 8))[0]
        came = self.peek(control, struct.unpack("<Q", self.peek(control, 8))[0])[16:] if size else b""
        return kind, number, content[16:], [fd for (fd,) in struct.iter_unpack("<i", came)]

    def ask(self, channel, kind, body, descriptors=()):
        """A well-formed request, and the answer to it."""
        self.next_id += 1
        self.send(channel, message(kind, self.next_id, body), descriptors)
        return self.receive(channel)


def message(kind, number, body):
    return struct.pack("<BBHIQ", 1, 0, kind, len(body), number) + body


def text(value):
    return struct.pack("<H", len(value)) + value.encode()


def many(value):
    return struct.pack("<I", len(value)) + value


class Kind:
    """Numbers of messages (include/vault/protocol/)."""
    object_get, object_is, buffers_get, buffers, object_put, receipt = 0x304, 0x305, 0x306, 0x307, 0x308, 0x309
    tls_message, tls_sign, tls_verdict_wanted = 0x202, 0x203, 0x205
    answer, done, open, grant, page_get, page = 0x401, 0x402, 0x403, 0x404, 0x405, 0x406
    grant_close, revoke, revoked, upload_create, upload = 0x407, 0x408, 0x409, 0x40a, 0x40b
    upload_announce, put_token, upload_page, upload_commit, upload_abort = 0x40c, 0x40d, 0x40e, 0x40f, 0x410


def status(answer):
    """Of an `answer`; 0 for any other message."""
    return struct.unpack("<I", answer[2][:4])[0] if answer[0] == Kind.answer else 0


def open_body(subject, name, purpose=1, project="", approval=""):
    return (struct.pack("<B16s", 1, bytes(16)) + text(subject) + text(name) + struct.pack("<IB", 0, purpose) + text(project)
            + text(approval) + text("") + text("") + struct.pack("<BQQ16sQI", 0, 0, 0, bytes(16), 0, 0))


def open_file(p, subject, name, **purpose):
    return p.ask(MONITOR, Kind.open, open_body(subject, name, **purpose))


def page_get(p, grant, page=0):
    return p.ask(MONITOR, Kind.page_get, grant + struct.pack("<I", page))


def page_entries(answer):
    """Address and token of each object of a page."""
    body = answer[2][4:]
    n = struct.unpack("<I", body[:4])[0]
    chunks, rest = body[4:4 + n], body[4 + n:]
    tokens = rest[4:]
    return [(chunks[48 * i:48 * i + 32], tokens[32 * i:32 * i + 32]) for i in range(n // 48)]


def object_get(p, address, token):
    """The object's first bytes, None if it is refused."""
    kind, _, body, descriptors = p.ask(STORE, Kind.object_get, address + token)
    assert kind == Kind.object_is
    if body[0] != 0:
        return None
    p.forget()
    at = p.place(bytes(4096))
    n = p.call("pread64", descriptors[0], at, 4096, 0)
    p.call("close", descriptors[0])
    return p.peek(at, n)


class Upload:
    """A deposit that a taken-over worker makes by itself, message by message."""

    def __init__(self, p, subject, name, buffers=True):
        self.p = p
        body = text(subject) + text(name) + text("") + text("") + bytes(33)
        self.answer = p.ask(MONITOR, Kind.upload_create, body)
        if self.answer[0] != Kind.upload:
            return
        self.id, token = self.answer[2][:16], self.answer[2][40:72]
        if buffers:
            self.map(token)

    def map(self, token):
        p = self.p
        kind, _, body, descriptors = p.ask(STORE, Kind.buffers_get, self.id + token)
        assert kind == Kind.buffers and body[0] == 0
        slots, size = struct.unpack("<II", body[1:9])
        self.slot = p.call("mmap", 0, slots * size, 3, 1, descriptors[0], 0)
        assert self.slot > 0

    def announce(self, address, length):
        return self.p.ask(MONITOR, Kind.upload_announce, self.id + address + struct.pack("<I", length))

    def put(self, address, content, token):
        """The receipt's status and the receipt."""
        self.p.poke(self.slot, content)
        body = struct.pack("<BI", 0, len(content)) + self.id + address + token
        answer = self.p.ask(STORE, Kind.object_put, body)
        assert answer[0] == Kind.receipt
        return answer[2][0], answer[2][2:]

    def page(self, address, length, receipt):
        entry = address + bytes(12) + struct.pack("<I", length)
        return self.p.ask(MONITOR, Kind.upload_page, self.id + struct.pack("<I", 0) + many(entry) + many(receipt))

    def commit(self, size, digest):
        return self.p.ask(MONITOR, Kind.upload_commit, self.id + struct.pack("<Q", size) + digest)

    def abort(self):
        return self.p.ask(MONITOR, Kind.upload_abort, self.id + text("given up"))


def log(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


@contextlib.contextmanager
def without(folder, check):
    """Switches one check of vaultd-monitor-unchecked (folder: the state's) or vaultd-store-unchecked (the objects')
    off."""
    switch = pathlib.Path(folder) / "unchecked"
    switch.write_text(check)
    switch.chmod(0o644)
    try:
        yield
    finally:
        switch.unlink()
