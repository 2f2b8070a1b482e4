#!/usr/bin/python3
"""What this project's Crypt4GH code makes opens in tests/vectors/crypt4gh.py, which shares nothing with it, and the
other way round, with fresh keys at each run.
    crypt4gh_exchange.py PROGRAM        PROGRAM is crypt4gh_exchange.c"""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vectors"))
import crypt4gh as python

SIZES = (1, 28, 123, 1000, 4095, 4096)
PROGRAM = None
DENIED = 53


def call(*arguments, given=b"", status=0):
    done = subprocess.run([PROGRAM, *arguments], input=given, capture_output=True, timeout=60)
    assert done.returncode == status, (arguments[0], done.returncode, done.stderr)
    return done


class Exchange(unittest.TestCase):
    def setUp(self):
        self.private = os.urandom(32)
        self.public = python.public_of(self.private)
        self.seed = os.urandom(8).hex()

    def test_python_opens_what_c_sealed(self):
        for n in SIZES:
            content = os.urandom(n)
            sealed = call("seal", self.public.hex(), given=content).stdout
            self.assertEqual(python.open_container(sealed, self.private), (content, 1))

    def test_c_opens_what_python_sealed(self):
        for n in SIZES:
            content = os.urandom(n)
            sealed = python.seal(self.public, content, self.seed + str(n))
            done = call("open", self.private.hex(), given=sealed)
            self.assertEqual((done.stdout, done.stderr), (content, b"1\n"))

    def test_c_opens_the_last_of_many_packets_of_python_and_denies_a_stranger(self):
        key, content = os.urandom(32), os.urandom(99)
        to = [os.urandom(32) for _ in range(9)] + [self.private]
        packets = [python.packet(python.public_of(p), python.key_payload(key), f"{self.seed} {i}")
                   for i, p in enumerate(to)]
        container = python.header(packets) + python.body(key, content, self.seed)
        self.assertEqual(call("open", self.private.hex(), given=container).stdout, content)
        self.assertEqual(call("open", os.urandom(32).hex(), given=container, status=DENIED).stderr, b"10\n")

    def pair(self, *passphrase):
        files = call("pair", *passphrase).stdout
        at = files.index(b"-----BEGIN CRYPT4GH PRIVATE")
        return files[:at], files[at:]

    def test_python_reads_key_files_of_c(self):
        for phrase in ((), ("a passphrase",), ("ä",)):
            public, private = self.pair(*phrase)
            key = python.read_private(private, phrase[0].encode() if phrase else None)
            self.assertEqual(python.public_of(key), python.unpem(python.PUBLIC, public))

    def test_python_needs_the_passphrase_for_a_key_file_of_c(self):
        _, private = self.pair("right")
        with self.assertRaises(python.InvalidTag):
            python.read_private(private, b"wrong")

    def test_c_reads_key_files_of_python(self):
        phrase, key = "päss phrase", self.private
        sealed = [python.encrypted_key(key, phrase.encode(), self.seed, kdf, rounds, comment)
                  for kdf, rounds in ((b"scrypt", 0), (b"pbkdf2_hmac_sha256", 1), (b"pbkdf2_hmac_sha256", 100000))
                  for comment in (None, b"mine")]
        quick = sealed[2]  # one round
        files = [python.pem(python.PRIVATE, s) for s in sealed]
        files += [python.pem(label, quick, end, width) for label in (python.PRIVATE, python.ENCRYPTED)
                  for end in ("\n", "\r\n") for width in (None, 64)]
        for file in files:
            self.assertEqual(call("private", phrase, given=file).stdout.decode().strip(), key.hex())
        call("private", phrase + "x", given=files[0], status=DENIED)
        for content in (key, python.plain_key(key), python.plain_key(key, b"mine")):
            read = call("private", given=python.pem(python.PRIVATE, content)).stdout.decode().strip()
            self.assertEqual(read, key.hex())
        read = call("public", given=python.pem(python.PUBLIC, self.public)).stdout.decode().strip()
        self.assertEqual(read, self.public.hex())


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
