#!/usr/bin/python3
"""Crypt4GH containers and key files made and opened with python3-cryptography and hashlib, independently of the vault's
own code. Format: docs/format-crypt4gh.md. As a program it writes, always the same:

crypt4gh.txt beside this file, a kind and key=value fields in each line, bytes in hex:
  container   what private packets content bytes     `bytes` opens with `private`, and holds `content`
  private     what passphrase key file               `file` is the text of a private key file; passphrase may be empty
  public      what key file                          the same of a public key file
and the corpora tests/fuzz/corpus/crypt4gh_container and crypt4gh_key_file.
tests/unit/crypt4gh_exchange.py uses the functions with fresh keys, against the C code."""
import base64
import hashlib
import pathlib
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEGMENT = 65536
PRIVATE = "CRYPT4GH PRIVATE KEY"
ENCRYPTED = "CRYPT4GH ENCRYPTED PRIVATE KEY"
PUBLIC = "CRYPT4GH PUBLIC KEY"


def some_bytes(what, n=32):
    """Bytes that are always the same for a name."""
    return hashlib.shake_256(what.encode()).digest(n)


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def header_key(own_private, other_public, reader, writer):
    shared = X25519PrivateKey.from_private_bytes(own_private).exchange(X25519PublicKey.from_public_bytes(other_public))
    return hashlib.blake2b(shared + reader + writer, digest_size=64).digest()[:32]


def box(key, nonce, plain):
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plain, None)


def unbox(key, sealed):
    return ChaCha20Poly1305(key).decrypt(sealed[:12], sealed[12:], None)


def key_payload(data_key):
    return struct.pack("<II", 0, 0) + data_key


def edit_payload(lengths):
    return struct.pack(f"<II{len(lengths)}Q", 1, len(lengths), *lengths)


def packet(reader, payload, seed):
    """`seed` gives the writer's key and the nonce."""
    private = some_bytes(seed + " writer")
    writer = public_of(private)
    body = writer + box(header_key(private, reader, reader, writer), some_bytes(seed + " nonce", 12), payload)
    return struct.pack("<II", 8 + len(body), 0) + body


def header(packets):
    return b"crypt4gh" + struct.pack("<II", 1, len(packets)) + b"".join(packets)


def body(data_key, content, seed):
    parts = [content[i : i + SEGMENT] for i in range(0, len(content), SEGMENT)]
    return b"".join(box(data_key, some_bytes(f"{seed} segment {i}", 12), part) for i, part in enumerate(parts))


def seal(reader, content, seed, padding=b""):
    data_key = some_bytes(seed + " data key")
    return header([packet(reader, key_payload(data_key) + padding, seed)]) + body(data_key, content, seed)


def open_container(container, private):
    """The content and the number of packets; ValueError if it does not open."""
    reader = public_of(private)
    start, version, count = struct.unpack_from("<8sII", container)
    if start != b"crypt4gh" or version != 1:
        raise ValueError("no Crypt4GH")
    at, keys = 16, []
    for _ in range(count):
        length, method = struct.unpack_from("<II", container, at)
        writer, sealed = container[at + 8 : at + 40], container[at + 40 : at + length]
        at += length
        try:
            payload = unbox(header_key(private, writer, reader, writer), sealed)
        except InvalidTag:
            continue
        if method != 0 or payload[:8] != bytes(8) or len(payload) != 40:
            raise ValueError("another payload")
        keys.append(payload[8:])
    content = b""
    if len(keys) != 1 or at == len(container):
        raise ValueError("no key, or no body")
    for i in range(at, len(container), SEGMENT + 28):
        content += unbox(keys[0], container[i : i + SEGMENT + 28])
    return content, count


def string(b):
    return struct.pack(">H", len(b)) + b


def derive(kdf, passphrase, rounds, salt):
    if kdf == b"scrypt":
        return hashlib.scrypt(passphrase, salt=salt, n=1 << 14, r=8, p=1, dklen=32)
    if kdf == b"pbkdf2_hmac_sha256":
        return hashlib.pbkdf2_hmac("sha256", passphrase, salt, rounds, 32)
    return some_bytes("a kdf that nobody has here")


def plain_key(key, comment=None):
    return b"c4gh-v1" + string(b"none") + string(b"none") + string(key) + (string(comment) if comment else b"")


def encrypted_key(key, passphrase, seed, kdf=b"scrypt", rounds=0, comment=None):
    salt = some_bytes(seed + " salt", 16)
    blob = box(derive(kdf, passphrase, rounds, salt), some_bytes(seed + " nonce", 12), key)
    return (b"c4gh-v1" + string(kdf) + string(struct.pack(">I", rounds) + salt) + string(b"chacha20_poly1305")
            + string(blob) + (string(comment) if comment else b""))


def pem(label, content, end="\n", width=None):
    text = base64.b64encode(content).decode()
    lines = [text[i : i + width] for i in range(0, len(text), width)] if width else [text]
    return end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def unpem(label, text):
    lines = text.decode("ascii").split("\n")
    if lines[0] != f"-----BEGIN {label}-----" or lines[-2:] != [f"-----END {label}-----", ""]:
        raise ValueError("no such file")
    return base64.b64decode("".join(lines[1:-2]), validate=True)


def read_private(text, passphrase=None):
    """The key in a file with the label PRIVATE; InvalidTag if the passphrase is wrong."""
    rest = unpem(PRIVATE, text)
    start, rest = rest[:7], rest[7:]
    strings = []
    while rest:
        n = struct.unpack_from(">H", rest)[0]
        strings.append(rest[2 : 2 + n])
        rest = rest[2 + n :]
    if start != b"c4gh-v1":
        raise ValueError("no c4gh-v1")
    if strings[0] == b"none":
        return dict(zip(("kdf", "cipher", "key"), strings, strict=True))["key"]
    kdf, options, cipher, blob = strings
    if cipher != b"chacha20_poly1305" or len(options) != 20:
        raise ValueError("another cipher or other options")
    return unbox(derive(kdf, passphrase, struct.unpack(">I", options[:4])[0], options[4:]), blob)


READER = some_bytes("the reader")
OTHER = some_bytes("another reader")


def containers():
    mine, other = public_of(READER), public_of(OTHER)
    key = some_bytes("the data key")
    ours, theirs = packet(mine, key_payload(key), "ours"), packet(other, key_payload(key), "theirs")
    for n in (1, 123, 4096):
        content = some_bytes("content", n)
        yield f"size-{n}", 1, content, seal(mine, content, f"size {n}")
    content = some_bytes("content", 77)
    yield "padded", 1, content, seal(mine, content, "padded", bytes(19))
    yield "second-is-ours", 2, content, header([theirs, ours]) + body(key, content, "two")
    yield "first-is-ours", 2, content, header([ours, theirs]) + body(key, content, "two")
    unknown = struct.pack("<II", 30, 9) + some_bytes("of another method", 22)
    yield "unknown-method", 3, content, header([unknown, theirs, ours]) + body(key, content, "three")
    wrong = packet(mine, key_payload(some_bytes("of other segments")), "wrong")
    yield "two-data-keys", 2, content, header([wrong, ours]) + body(key, content, "keys")


def private_files():
    key, phrase = some_bytes("a private key"), "pässphrase of mine".encode()
    pbkdf2 = b"pbkdf2_hmac_sha256"
    yield "none", b"", pem(PRIVATE, plain_key(key))
    yield "none-comment", b"", pem(PRIVATE, plain_key(key, b"me@example.org"))
    yield "raw", b"", pem(PRIVATE, key)
    yield "scrypt", phrase, pem(PRIVATE, encrypted_key(key, phrase, "scrypt"))
    yield "scrypt-comment", phrase, pem(PRIVATE, encrypted_key(key, phrase, "scrypt", comment=b"mine"))
    yield "pbkdf2", phrase, pem(PRIVATE, encrypted_key(key, phrase, "pbkdf2", pbkdf2, 100000))
    yield "pbkdf2-1", phrase, pem(PRIVATE, encrypted_key(key, phrase, "pbkdf2", pbkdf2, 1))
    yield "encrypted-label", phrase, pem(ENCRYPTED, encrypted_key(key, phrase, "encrypted"), width=64)
    yield "crlf", phrase, pem(PRIVATE, encrypted_key(key, phrase, "crlf"), "\r\n", 64)


def public_files():
    key = public_of(some_bytes("a private key"))
    yield "one-line", pem(PUBLIC, key)
    yield "crlf", pem(PUBLIC, key, "\r\n")
    yield "narrow", pem(PUBLIC, key, "\n", 10)


def vectors():
    for what, packets, content, sealed in containers():
        yield f"container what={what} private={READER.hex()} packets={packets} content={content.hex()} bytes={sealed.hex()}"
    key = some_bytes("a private key")
    for what, passphrase, text in private_files():
        yield f"private what={what} passphrase={passphrase.hex()} key={key.hex()} file={text.hex()}"
    for what, text in public_files():
        yield f"public what={what} key={public_of(key).hex()} file={text.hex()}"


def container_corpus():
    """Containers for the harness's own key, which is 32 bytes of 1, and what it builds some from: a byte with the length
    of a payload, the payload, the content."""
    mine = public_of(b"\1" * 32)
    key = some_bytes("the data key")
    content = some_bytes("content", 40)
    ours = packet(mine, key_payload(key), "ours")
    theirs = packet(public_of(OTHER), key_payload(key), "theirs")
    edit = packet(mine, edit_payload([0, 10, 5]), "edit")
    yield "sealed", seal(mine, content, "sealed")
    yield "padded", seal(mine, content, "padded", bytes(5))
    yield "two", header([theirs, ours]) + body(key, content, "two")
    yield "edit", header([ours, edit]) + body(key, content, "edit")
    yield "bare", header([ours])
    yield "none", header([]) + body(key, content, "none")
    yield "method", header([struct.pack("<II", 8, 9), ours]) + body(key, content, "method")
    for what, payload in (("key", key_payload(key)), ("long", key_payload(key) + bytes(9)),
                          ("list", edit_payload([1, 2])), ("type", struct.pack("<II", 2, 0) + key), ("short", bytes(39))):
        yield "payload-" + what, bytes([len(payload)]) + payload + content


def key_file_corpus():
    """Files, and what the harness makes into files. Its stand-in for every kdf gives the salt twice."""
    key, salt = some_bytes("a private key"), some_bytes("salt", 16)
    blob = box(salt + salt, some_bytes("nonce", 12), key)
    def encoded(kdf, rounds):
        return (b"c4gh-v1" + string(kdf) + string(struct.pack(">I", rounds) + salt) + string(b"chacha20_poly1305")
                + string(blob))
    sealed = {"scrypt": encoded(b"scrypt", 0), "pbkdf2": encoded(b"pbkdf2_hmac_sha256", 100000),
              "bcrypt": encoded(b"bcrypt", 100), "none": plain_key(key), "raw": key,
              "comment": encoded(b"scrypt", 0) + string(b"mine")}
    for what, content in sealed.items():
        yield "bare-" + what, content
        yield "file-" + what, pem(PRIVATE, content)
    yield "encrypted", pem(ENCRYPTED, sealed["scrypt"], "\r\n", 64)
    yield "public", pem(PUBLIC, public_of(key))
    yield "empty", pem(PUBLIC, b"")


def main():
    here = pathlib.Path(__file__).parent
    (here / "crypt4gh.txt").write_text("\n".join(vectors()) + "\n")
    for name, corpus in (("crypt4gh_container", container_corpus()), ("crypt4gh_key_file", key_file_corpus())):
        folder = here.parent / "fuzz" / "corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        for what, content in corpus:
            (folder / what).write_bytes(content)


if __name__ == "__main__":
    main()
