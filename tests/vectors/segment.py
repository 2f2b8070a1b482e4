#!/usr/bin/python3
"""Writes segment.txt beside this file: segments and objects made with python3-cryptography, independently of the
vault's own code. Format of the bytes: docs/format-object.md.

Each line is a kind and key=value fields. The plaintext is not written out: byte j of it is (j * 7 + 3) mod 251.
  segment  key base index size nonce tag sha256 [sealed]   one sealed segment; sealed only where it is short
  object   key base size length address                    all segments of one chunk, and the name of the object
"""
import hashlib
import pathlib

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

SEGMENT = 65536
KEY_A = bytes(range(32))
KEY_B = hashlib.sha256(b"another key").digest()
BASES = {
    "zero": bytes(12),
    "plain": bytes.fromhex("0102030405060708090a0b0c"),
    "carry": bytes.fromhex("ffff00000000000000000000"),
    "last": b"\xff" * 12,
    "near": (2**96 - 40).to_bytes(12, "little"),
}


def plaintext(size):
    return bytes((j * 7 + 3) % 251 for j in range(size))


def nonce(base, index):
    return ((int.from_bytes(base, "little") + index) % 2**96).to_bytes(12, "little")


def seal(key, base, index, plain):
    n = nonce(base, index)
    return n + ChaCha20Poly1305(key).encrypt(n, plain, None)


def segment_line(key, base, index, size):
    sealed = seal(key, base, index, plaintext(size))
    assert len(sealed) == size + 28
    line = (
        f"segment key={key.hex()} base={base.hex()} index={index} size={size} nonce={sealed[:12].hex()}"
        f" tag={sealed[-16:].hex()} sha256={hashlib.sha256(sealed).hexdigest()}"
    )
    return line + (f" sealed={sealed.hex()}" if size <= 64 else "")


def object_line(key, base, size):
    plain = plaintext(size)
    sealed = b"".join(
        seal(key, base, i, plain[i * SEGMENT : (i + 1) * SEGMENT]) for i in range((size + SEGMENT - 1) // SEGMENT)
    )
    address = hashlib.sha256(sealed).hexdigest()
    return f"object key={key.hex()} base={base.hex()} size={size} length={len(sealed)} address={address}"


def main():
    lines = []
    for base in BASES.values():
        for index in (0, 1, 39, 40, 63, 2**32 - 1):
            lines.append(segment_line(KEY_A, base, index, 1 + index % 64))
    for size in (1, 15, 16, 63, 64, 65, 4096, 65535, 65536):
        lines.append(segment_line(KEY_B, BASES["plain"], 7, size))
    for base in ("zero", "near"):
        for size in (1, 65536, 65537, 131072, 64 * SEGMENT - 1, 64 * SEGMENT):
            lines.append(object_line(KEY_B, BASES[base], size))
    pathlib.Path(__file__).with_name("segment.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
