"""What is in the memory of the vault's processes, and which keys a vault has: unwrapped by hand from the credential, the
key ring and the index, as docs/format-keyring.md and docs/format-index.md say."""
import base64
import contextlib
import ctypes
import hashlib
import os
import pathlib
import re
import struct
import subprocess
import tempfile

import pytest

import index_tools
from scene import processes, wait_for
from vault_under_test import is_running

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can read another process's memory")
ANONYMOUS_MAX = 1 << 30  # larger ones are reserved addresses
SUBJECTS, BLOBS = (1, "subjects"), (12, "blobs")  # databases of the index: number and name


# ---- memory ----

def memory(pid):
    """Each mapping of a process that can be read, with its bytes; without code, which nobody can write."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            fields = line.split(maxsplit=5)
            start, end = (int(part, 16) for part in fields[0].split("-"))
            in_file = fields[4] != "0"
            code = in_file and fields[1] == "r-xp"
            if code or fields[-1].strip() in ("[vvar]", "[vsyscall]") or (not in_file and end - start > ANONYMOUS_MAX):
                continue
            yield line.strip(), read_mapping(mem, start, end)


def read_mapping(mem, start, end):
    """Up to where it ends or its file does. Guard pages cannot be read."""
    pieces = []
    while start < end:
        try:
            mem.seek(start)
            piece = mem.read(min(end - start, 1 << 22))
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def where(pid, forms):
    """Which forms of a secret this process's memory holds. That of one that has ended holds none: a worker ends by
    itself with its client."""
    found, read = set(), 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for _, content in memory(pid):
            read += len(content)
            found |= {name for name, form in forms.items() if form in content}
    if read <= 1 << 18:
        wait_for(lambda: not is_running(pid), f"the memory of {pid} could not be read, so its end")
    return found


def core_of(pid):
    """What gdb's gcore writes of a process: the registers too."""
    with tempfile.TemporaryDirectory() as folder:
        core = pathlib.Path(folder) / "core"
        subprocess.run(["gdb", "-nx", "-batch", "-iex", "set auto-solib-add off", "-iex", "set debuginfod enabled off",
                        "-p", str(pid), "-ex", f"gcore {core}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        return core.read_bytes() if core.exists() else b""


def secrets_of(pid):
    """All secrets of 32 bytes that a process holds in locked memory: each ends with its page, behind its size."""
    size = struct.pack("<Q", 32)
    return {content[-32:] for line, content in memory(pid) if len(content) == 4096 and content[-40:-32] == size}


def pieces_of(keys):
    """Of each key its words of 8 bytes: what is left of it in a stack or a register is found too."""
    return {(name, at): key[at:at + 8] for name, key in keys.items() for at in range(0, len(key) - 7, 8)}


class Search:
    """For keys. What was looked through is remembered: most of what the processes have in memory, they share."""

    def __init__(self, keys):
        self.pieces, self.seen = pieces_of(keys), {}

    def names(self, content):
        if content not in self.seen:
            self.seen[content] = {name for (name, _), piece in self.pieces.items() if piece in content}
        return self.seen[content]


def each_process(vault, look):
    """{process: what `look` finds in it}, without those where it finds nothing; a worker's name has its pid."""
    found = {}
    for name, pids in processes(vault).items():
        for pid in pids:
            held = look(name, pid)
            if held:
                found[f"{name} {pid}" if name == "vaultd-worker" else name] = held
    return found


def holders(vault, keys):
    """Which process holds a piece of which keys."""
    search = Search(keys)

    def look(_, pid):
        found = set()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for _, content in memory(pid):
                found |= search.names(content)
        return found
    return each_process(vault, look)


def cores(vault, keys):
    """The same in what gcore writes."""
    search = Search(keys)

    def look(name, pid):
        core = core_of(pid)
        assert core or not is_running(pid), f"gcore wrote nothing of {name} {pid}"
        return search.names(core)
    return each_process(vault, look)


# ---- keys ----

def forms_of_key(path):
    """A P-256 key: its number as it is written, as it is calculated with, and the characters of the PEM text."""
    text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"], capture_output=True, check=True,
                          text=True).stdout
    number = bytes.fromhex(re.sub(r"[\s:]", "", text.split("priv:")[1].split("pub:")[0]))[-32:].rjust(32, b"\0")
    pem = "".join(line for line in pathlib.Path(path).read_text().splitlines() if "-----" not in line).encode()
    at = base64.b64decode(pem).index(number)
    first = -(-at // 3) * 4  # characters of the number alone
    last = (at + 32) // 3 * 4
    second = pem[max(first, 64):min(last, 128)]
    assert len(second) >= 16
    return {"number": number, "limbs": number[::-1], "PEM, first line": pem[first:64], "PEM, second line": second}


def sodium():
    return ctypes.CDLL("libsodium.so.23")


def unseal(key, sealed, bound):
    """XChaCha20-Poly1305: nonce ‖ ciphertext ‖ tag."""
    plain = ctypes.create_string_buffer(len(sealed) - 40)
    opened = sodium().crypto_aead_xchacha20poly1305_ietf_decrypt(
        plain, None, None, sealed[24:], ctypes.c_ulonglong(len(sealed) - 24), bound, ctypes.c_ulonglong(len(bound)),
        sealed[:24], key)
    assert opened == 0, "a sealed value does not open"
    return plain.raw


def unwrap(key, wrap, purpose, owner, generation):
    return unseal(key, wrap, b"vault-wrap-1" + bytes([purpose]) + owner.ljust(32, b"\0") + struct.pack("<I", generation))


def credential_of(vault):
    return bytes.fromhex((vault.folder / "root.key").read_text().strip())


def ring_of(vault):
    """Head, seal and sealed body of the key ring's file."""
    ring = (vault.state / "keyring").read_bytes()
    (size,) = struct.unpack_from("<H", ring, 37)
    head = 39 + size + 4
    return ring[:head], ring[39:39 + size], ring[head:-32]


def root_key_of(vault):
    """Unwrapped with the credential."""
    head, seal, _ = ring_of(vault)
    assert seal[0] == 1, "not sealed by a credential"
    return unwrap(credential_of(vault), seal[1:], 3, head[12:28], 0)


def split_key_of(vault, shares):
    """The private key that was split, put together from the texts of enough shares."""
    values = [share_value(share) for share in shares]
    gfshare = ctypes.CDLL("libgfshare.so.2")
    gfshare.gfshare_ctx_init_dec.restype = ctypes.c_void_p
    context = ctypes.c_void_p(gfshare.gfshare_ctx_init_dec(bytes(number for number, _ in values), len(values), 32))
    for i, (_, value) in enumerate(values):
        gfshare.gfshare_ctx_dec_giveshare(context, i, value)
    key = ctypes.create_string_buffer(32)
    gfshare.gfshare_ctx_dec_extract(context, key)
    return key.raw


def share_value(share):
    """Its number and its value."""
    whole = bytes.fromhex(share.read_text().strip().removeprefix("vshare1-").replace("-", ""))
    return whole[16], whole[19:51]


def root_key_behind(vault, private):
    """That of a vault that is sealed by shares of this private key."""
    _, seal, _ = ring_of(vault)
    root = ctypes.create_string_buffer(32)
    assert seal[0] == 2 and sodium().crypto_box_seal_open(root, seal[33:113], ctypes.c_ulonglong(80), seal[1:33],
                                                          private) == 0
    return root.raw


def ring_keys(vault, root):
    """The keys of the ring, and those that are made of them."""
    head, _, body = ring_of(vault)
    plain = unseal(root, body, head)
    (count,) = struct.unpack_from("<I", plain)
    keys = {}
    for i in range(count):
        number, _ = struct.unpack_from("<IQ", plain, 4 + 44 * i)
        keys[f"kek {number}"] = plain[16 + 44 * i:48 + 44 * i]
    at = 4 + 44 * count
    of_index = ("index key", "next index key")
    for names in (of_index, ("name key", "next name key")):
        names = names[:plain[at + 4]]
        for i, name in enumerate(names):
            keys[name] = plain[at + 5 + 32 * i:][:32]
        at += 5 + 32 * len(names)
    keys["audit seed"] = plain[at:at + 32]
    scalar = bytearray(hashlib.sha512(keys["audit seed"]).digest()[:32])
    keys["audit prefix"] = hashlib.sha512(keys["audit seed"]).digest()[32:]
    scalar[0], scalar[31] = scalar[0] & 248, scalar[31] & 127 | 64
    keys["audit scalar"] = bytes(scalar)
    for name in keys.keys() & set(of_index):
        keys[name.replace("index", "tally")] = hashlib.blake2b(b"vault-tally-1\0", key=keys[name], digest_size=32).digest()
    return keys


def values_of(vault, index_key, database, generation=1):
    """{key: value} of a database, unsealed, while the vault runs."""
    number, name = database
    pairs, _ = index_tools.dump(vault.state / "index")
    for key, value in pairs[name].items():
        place = bytes.fromhex(key)
        yield place, unseal(index_key, bytes.fromhex(value), bytes([number]) + struct.pack("<I", generation) + place)


def wrapped_keys(vault):
    """{(hash of the subject, number): (generation, wrapped key)}: no key of the index seals them."""
    pairs, _ = index_tools.dump(vault.state / "index")
    found = {}
    for key, value in pairs["subject-keys"].items():
        place, stored = bytes.fromhex(key), bytes.fromhex(value)
        found[place[:32], *struct.unpack(">I", place[32:])] = (*struct.unpack("<I", stored[:4]), stored[4:])
    return found


def name_hash(key, kind, name, subject=None):
    """Under which the index knows a name; that of a file, with its subject."""
    within = bytes(32) if subject is None else name_hash(key, 1, subject)
    return hashlib.blake2b(bytes([kind]) + within + name.encode(), key=key, digest_size=32).digest()


def index_generation(vault, root):
    """Of the key of the index."""
    head, _, body = ring_of(vault)
    plain = unseal(root, body, head)
    (count,) = struct.unpack_from("<I", plain)
    return struct.unpack_from("<I", plain, 4 + 44 * count)[0]


def file_keys(vault, ring, generation=1):
    """The subjects' keys and the data keys: {"subject NAME": key, "data FILE": key}."""
    keys, of_owner = {}, {}
    wraps = wrapped_keys(vault)
    for owner, value in values_of(vault, ring["index key"], SUBJECTS, generation):
        (n,) = struct.unpack_from("<H", value)
        subject, at = value[2:2 + n].decode(), 2 + n + 8 + 1
        (number,) = struct.unpack_from("<I", value, at)
        kek, wrap = wraps[owner, number]
        of_owner[owner] = unwrap(ring[f"kek {kek}"], wrap, 1, owner, kek)
        keys[f"subject {subject}"] = of_owner[owner]
    for blob, value in values_of(vault, ring["index key"], BLOBS, generation):
        (number,) = struct.unpack_from("<I", value, 48)
        keys[f"data {value[:16].hex()}"] = unwrap(of_owner[value[16:48]], value[52:124], 2, blob, number)
    return keys
