#!/usr/bin/python3
"""Verifies an exported audit folder: verify_audit.py EXPORT_FOLDER VKEY [EARLIER_CHECKPOINT]. Written from docs/format-audit.md alone."""
import base64, hashlib, json, pathlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sha256 = lambda data: hashlib.sha256(data).digest()

def require(condition, problem):
    if not condition:
        raise ValueError(problem)

def from_base64(text):
    require(base64.b64encode(base64.b64decode(text)).decode() == text, "its base64 is not canonical")
    return base64.b64decode(text)

def read_checkpoint(note, vkey):
    """The size and root that the log signed."""
    name, key_id, key = vkey.split("+", 2)
    key_id, key = bytes.fromhex(key_id), from_base64(key)
    require(len(key) == 33 and key[0] == 1 and sha256(name.encode() + b"\n" + key)[:4] == key_id, "bad verifier key")
    body, signatures = note.split("\n\n", 1)
    mine = [from_base64(s.split(" ")[2]) for s in signatures.splitlines() if s.startswith(f"\u2014 {name} ")]
    mine = [s[4:] for s in mine if s[:4] == key_id]
    require(mine, "the checkpoint is not signed by this key")
    for signature in mine:
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, (body + "\n").encode())
    origin, size, root = body.split("\n")
    require(origin == name, "the checkpoint is of another log")
    return int(size), from_base64(root)

def statement(change, seq):
    """What both keys sign when one follows the other."""
    origin = change["from"].split("+")[0]
    require(change["to"].split("+")[0] == origin, "the change of the key is of another log")
    return f"vault audit key change\n{origin}\n{change['from']}\n{change['to']}\n{seq}\n{change['root']}\n".encode()

def check_change(change, seq, before):
    """A change of the audit key, in a log that has this root before it."""
    for name in ("from", "to"):
        key = from_base64(change[name].split("+", 2)[2])[1:]
        Ed25519PublicKey.from_public_bytes(key).verify(from_base64(change[name + "_signature"]), statement(change, seq))
    require(from_base64(change["root"]) == before, "other records were before the change of the key")

def followed(lines, vkey):
    """The key that the given one has become, if the records are what they say."""
    for line in lines:
        change = json.loads(line).get("audit_key") if b'"audit_key":' in line else None
        vkey = change["to"] if change and change["from"] == vkey else vkey
    return vkey

def lefts_of(index, size, proof):
    """The hashes of the complete subtrees before a record, the largest first."""
    if size == 1:
        return []
    split = 1 << (size - 1).bit_length() - 1
    left = index < split
    return lefts_of(index, split, proof[:-1]) if left else proof[-1:] + lefts_of(index - split, size - split, proof[:-1])

def grown(subtrees, index, leaf):
    """The complete subtrees before a record, and with it."""
    subtrees = subtrees[:]
    while index & 1:
        leaf, index = sha256(b"\1" + subtrees.pop() + leaf), index >> 1
    return subtrees + [leaf]

def root_before(subtrees):
    *larger, root = subtrees or [sha256(b"")]
    for left in reversed(larger):
        root = sha256(b"\1" + left + root)
    return root

def root_of(leaf, index, size, proof):
    """Where a proof leads from its leaf: RFC 6962, from the root downwards."""
    require((size == 1) == (not proof), "the proof has a wrong length")
    if size == 1:
        return leaf
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        return sha256(b"\1" + root_of(leaf, index, split, proof[:-1]) + proof[-1])
    return sha256(b"\1" + proof[-1] + root_of(leaf, index - split, size - split, proof[:-1]))

def root_of_all(leaves):
    """RFC 6962 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root_of_all(leaves[:split]) + root_of_all(leaves[split:]))

def check_earlier(note, vkey, size, leaves):
    """The log extends what was signed before; shown by an export that has its beginning."""
    old, root = read_checkpoint(note, vkey)
    require(old <= size, f"the log was cut: it had {old} records, and has {size}")
    require(old <= len(leaves), "the export does not hold what the earlier checkpoint covers")
    require(root_of_all(leaves[:old]) == root, f"the log was rewritten: its first {old} records are others")

def proven(text, seq, own, after, size, root):
    """What a line of proofs.jsonl proves: records from this one on, by their leaves. `after` are the log's subtrees with the record before."""
    line = json.loads(text)
    leaves, path = from_base64(line["leaves"]) if "leaves" in line else own, [from_base64(h) for h in line["proof"]]
    leaves = [leaves[at:at + 32] for at in range(0, len(leaves), 32)]
    last, first = line["seq"], line["seq"] - len(leaves) + 1
    require(set(line) - {"leaves"} == {"seq", "proof"} and len(leaves[-1]) == 32 and ("leaves" in line) == (len(leaves) > 1) and
            len(leaves) <= 256, "its proof is malformed")
    require(first == seq and 0 <= first and last < size, "its proof is of another record")
    require(root_of(leaves[-1], last, size, path) == root, "it is not what the log holds")
    lefts = lefts_of(last, size, path)
    subtrees = after if len(leaves) > 1 else lefts
    require(subtrees is not None, "it is proven only with the record before it, which is missing")
    for index, leaf in enumerate(leaves[:-1], first):
        subtrees = grown(subtrees, index, leaf)
    require(subtrees == lefts, "it, or another one that is proven with it, is not what the log holds")
    return leaves, after if len(leaves) > 1 else lefts

def check_asked(path, size, root, records):
    """All is there that the export's own record says was asked for. What is left out where nothing bounds it shows."""
    line, proof, rest = path.read_bytes().split(b"\n")
    leaf, own = sha256(b"\0" + line), json.loads(line)
    require(rest == b"" and proven(proof, size - 1, leaf, None, size, root)[0] == [leaf] and own["event"] == "audit.export",
            "asked.jsonl is not of this export")
    asked, cut = own["exported"], "the export was cut, or is of something else than was asked for"
    if "of" not in asked:
        require([r["seq"] for r in records] == list(range(asked["from"], min(asked["to"], size))), cut)
        return "complete"
    named = lambda r: r.get("chain", {}).get(asked["of"]) and (r["service"]["name"] if asked["of"] == "service" else r[asked["of"]]) == asked["name"]
    require(records and all(named(r) and asked["from"] <= r["seq"] < asked["to"] for r in records), cut)
    first, last = (records[at]["chain"][asked["of"]]["n"] for at in (0, -1))
    require(last - first + 1 == len(records) and (asked["from"] > 0 or first == 0), cut)
    require(asked["to"] < size or last == asked["count"] - (0 if named(own) else 1), cut)
    return "complete" if asked["from"] == 0 and asked["to"] >= size else "as asked for between its first and last record"

def verify(folder, vkey, earlier=None):
    lines, proofs = ((folder / name).read_bytes().split(b"\n") for name in ("records.jsonl", "proofs.jsonl"))
    vkey = followed(lines, vkey)
    size, root = read_checkpoint((folder / "checkpoint").read_text(encoding="utf-8"), vkey)
    require(lines.pop() == b"" and proofs.pop() == b"" and (lines or size == 0), "a file is empty or was cut short")
    last, before, gapless, leaves, expected, subtrees = None, {}, {"log", "subject", "service", "project"}, [], [], None
    for number, line in enumerate(lines, 1):
        try:
            record, leaf = json.loads(line), sha256(b"\0" + line)
            canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            require(canonical == line, "it is not canonical")
            seq = record["seq"]
            if not expected:
                expected, subtrees = proven(proofs.pop(0), seq, leaf, subtrees if last is not None and seq == last + 1 else None, size, root)
                following = seq
            require(seq == following, "its proof is of another record")
            require(leaf == expected.pop(0), "it is not what the log holds")
            if "audit_key" in record:
                check_change(record["audit_key"], seq, root_before(subtrees))
            subtrees, following = grown(subtrees, seq, leaf), seq + 1
            require(last is None or seq > last, "it is out of order")
            gapless -= {"log"} if last is not None and seq != last + 1 else set()
            for chain, name in (("subject", record.get("subject")), ("service", record.get("service", {}).get("name")),
                                ("project", record.get("project"))):
                link, (n, prev) = record.get("chain", {}).get(chain), before.get((chain, name), (None, None))
                if link is None or (number > 1 and link["n"] - 1 != n):
                    gapless -= {chain}
                if link:
                    require((link["n"] == 0) == (link["prev"] == "0" * 64), f"its {chain} chain starts wrongly")
                    require(n is None or link["n"] > n, f"it repeats a number of its {chain} chain")
                    require(n is None or link["n"] > n + 1 or link["prev"] == prev, f"it breaks its {chain} chain")
                    before[chain, name] = (link["n"], leaf.hex())
            require(gapless, "a record before it is missing")
            last = seq
            leaves += [leaf] if last == len(leaves) else []
        except (ValueError, LookupError, TypeError, AttributeError, InvalidSignature) as error:
            raise ValueError(f"line {number}: {error}") from error
    require(not proofs and not expected, f"line {len(lines) + 1}: it is missing, its proof is there")
    if earlier:
        check_earlier(earlier.read_text(encoding="utf-8"), vkey, size, leaves)
    asked = folder / "asked.jsonl"
    claim = check_asked(asked, size, root, [json.loads(line) for line in lines]) if asked.exists() else "what was asked for is not said"
    return f"good: {len(lines)} records of a log of {size}, without a gap by {' and '.join(sorted(gapless))}; {claim}"

if __name__ == "__main__":
    try:
        print(verify(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]) if sys.argv[3:] else None))
    except (ValueError, LookupError, OSError, InvalidSignature) as problem:
        sys.exit(f"not a good export: {problem or type(problem).__name__}")
