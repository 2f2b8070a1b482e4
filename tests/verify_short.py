#!/usr/bin/python3
"""verify_short.py EXPORT_FOLDER VKEY: that the key signed a log in which each record of the export stands at its number, none left out between."""
import base64, hashlib, json, pathlib, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sha256, b64 = lambda data: hashlib.sha256(data).digest(), base64.b64decode

def fold(index, size, path, leaf):
    """RFC 6962: the root above a leaf, and the subtrees before it that the path joins from the left, the largest first."""
    if size == 1:
        assert not path
        return leaf, []
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        root, lefts = fold(index, split, path[:-1], leaf)
        return sha256(b"\1" + root + path[-1]), lefts
    root, lefts = fold(index - split, size - split, path[:-1], leaf)
    return sha256(b"\1" + path[-1] + root), path[-1:] + lefts

folder, (name, key_id, key) = pathlib.Path(sys.argv[1]), sys.argv[2].split("+", 2)
assert sha256(name.encode() + b"\n" + b64(key))[:4].hex() == key_id and b64(key)[0] == 1
body, signatures = (folder / "checkpoint").read_text().split("\n\n")
signed = [b64(line.split()[2]) for line in signatures.splitlines() if line.split()[1] == name]
Ed25519PublicKey.from_public_bytes(b64(key)[1:]).verify(signed[0][4:], (body + "\n").encode())
origin, size, root = body.split("\n")
lines = (folder / "records.jsonl").read_bytes().split(b"\n")
number, subtrees = json.loads(lines[0])["seq"], None
assert origin == name and lines.pop() == b""
rest = iter(lines)
for proof in map(json.loads, (folder / "proofs.jsonl").read_text().splitlines()):
    for at in range(number, proof["seq"] + 1):
        line = next(rest)
        leaf = sha256(b"\0" + line)
        assert json.loads(line)["seq"] == at
        if at == proof["seq"]:
            top, lefts = fold(at, int(size), list(map(b64, proof["proof"])), leaf)
            assert top == b64(root) and subtrees in (lefts, None)
            subtrees = lefts
        subtrees = [*subtrees, leaf]
        for _ in range((at ^ at + 1).bit_length() - 1):  # pairs of one size become one
            subtrees[-2:] = [sha256(b"\1" + subtrees[-2] + subtrees[-1])]
    number = proof["seq"] + 1
assert not list(rest), "records without a proof"
