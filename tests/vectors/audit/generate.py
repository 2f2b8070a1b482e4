#!/usr/bin/python3
"""Writes the audit test vectors beside itself, from the formats alone (RFC 6962, RFC 8785, C2SP notes).

Nothing here is shared with the vault's own code. Run it again after a change of format: the output is deterministic."""
import base64, datetime, hashlib, json, pathlib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).resolve().parent
ORIGIN = "vault.example/audit"
SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

def sha256(data):
    return hashlib.sha256(data).digest()

def b64(data):
    return base64.b64encode(data).decode()

def tree(leaves):
    """MTH of RFC 6962 2.1 over leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:]))

def path(m, leaves):
    """PATH of RFC 6962 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return path(m, leaves[:k]) + [tree(leaves[k:])] if m < k else path(m - k, leaves[k:]) + [tree(leaves[:k])]

def proof_line(leaves, first, last):
    """What proves the records from `first` to `last`, of which the one before has a proof, or which are one."""
    line = {"seq": last, "proof": [b64(h) for h in path(last, leaves)]}
    if last > first:
        line["leaves"] = b64(b"".join(leaves[first:last + 1]))
    return json.dumps(line, separators=(",", ":")) + "\n"

def vkey():
    tagged = b"\1" + PUBLIC
    return f"{ORIGIN}+{sha256(ORIGIN.encode() + bytes([10]) + tagged)[:4].hex()}+{b64(tagged)}"

def checkpoint(size, root):
    body = f"{ORIGIN}\n{size}\n{b64(root)}\n"
    key_id = sha256(ORIGIN.encode() + b"\n\1" + PUBLIC)[:4]
    return f"{body}\n\u2014 {ORIGIN} {b64(key_id + KEY.sign(body.encode()))}\n"

WITNESS = "witness.example/one"
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
COSIGNED = 1_795_000_123

def witness_tagged():
    return b"\4" + WITNESS_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

def witness_id():
    return sha256(WITNESS.encode() + b"\n" + witness_tagged())[:4]

def cosignature(note):
    """C2SP tlog-cosignature, version 1, of the checkpoint in a note."""
    body = note[:note.index("\n\n") + 1]
    signature = WITNESS_KEY.sign(f"cosignature/v1\ntime {COSIGNED}\n{body}".encode())
    return f"\u2014 {WITNESS} {b64(witness_id() + COSIGNED.to_bytes(8, 'big') + signature)}\n"

def consistency(old, leaves, whole=True):
    """SUBPROOF of RFC 6962 2.1.2."""
    if old == len(leaves):
        return [] if whole else [tree(leaves)]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= k:
        return consistency(old, leaves[:k], whole) + [tree(leaves[k:])]
    return consistency(old - k, leaves[k:], False) + [tree(leaves[:k])]

def canonical(record):
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

def time_text(microseconds):
    t = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=microseconds)
    return t.isoformat(timespec="microseconds") + "Z"

def records(count):
    """A log of `count` records about three subjects and two services, with their chains."""
    lines, chains = [], {}
    for seq in range(count):
        subject, service = f"S-{seq % 3:04}", ("clinic", "research")[seq % 2]
        record = {"seq": seq, "time": time_text(1_795_000_000_000_000 + seq), "event": "read", "outcome": "permitted",
                  "subject": subject, "service": {"name": service}, "chain": {},
                  "salt": sha256(b"salt" + bytes([seq]))[:16].hex()}
        for kind, name in (("subject", subject), ("service", service)):
            n, prev = chains.get((kind, name), (0, "0" * 64))
            record["chain"][kind] = {"n": n, "prev": prev}
        lines.append(canonical(record))
        for kind, name in (("subject", subject), ("service", service)):
            chains[kind, name] = (record["chain"][kind]["n"] + 1, sha256(b"\0" + lines[-1].encode()).hex())
    return lines

def write(name, text):
    target = HERE / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")

def full_record():
    return {"seq": 9007199254740991, "time": time_text(1_795_000_000_000_007), "event": "read",
            "outcome": "denied", "address": "192.0.2.7", "subject": "S-Ærø/\"1\"\\", "file": "ab" * 16, "action": "R",
            "service": {"name": "clinic", "san": "urn:vault:service:clinic", "fingerprint": "cd" * 32},
            "purpose": 'research;project="P1";approval="A1"',
            "reasons": [{"rule": "consent", "text": "research was refused"}, {"rule": "policy-7", "text": "𝄞 €"}],
            "obligations": ["no-findings", "log"], "policy": "ef" * 32, "consent": 4, "bytes": 0, "ranges": 2,
            "request": "01" * 16, "detail": "first, second",
            "chain": {"subject": {"n": 3, "prev": "11" * 32}, "service": {"n": 0, "prev": "00" * 32}},
            "salt": "22" * 16}

def main():
    write("vkey", vkey() + "\n")
    write("record.jsonl", canonical(full_record()) + "\n")
    times = [0, 1, 951_782_399_999_999, 951_782_400_000_000, 951_868_800_000_000, 1_709_164_800_123_456,
             4_107_542_399_999_999, 4_107_542_400_000_000, 1_795_000_000_000_007, 253_402_300_799_999_999]
    times += [86_400_000_000 * d for d in range(0, 60_000, 97)]
    write("times.txt", "".join(f"{t} {time_text(t)}\n" for t in times))
    lines = records(13)
    leaves = [sha256(b"\0" + line.encode()) for line in lines]
    write("export/records.jsonl", "".join(line + "\n" for line in lines))
    write("export/checkpoint", checkpoint(len(lines), tree(leaves)))
    write("export/proofs.jsonl", "".join(proof_line(leaves, *r) for r in ((0, 0), (1, 7), (8, 8), (9, 12))))
    write("export-single/records.jsonl", "".join(line + "\n" for line in lines))
    write("export-single/checkpoint", checkpoint(len(lines), tree(leaves)))
    write("export-single/proofs.jsonl", "".join(proof_line(leaves, i, i) for i in range(len(lines))))
    write("checkpoint-5", checkpoint(5, tree(leaves[:5])))
    note = checkpoint(13, tree(leaves))
    write("witness-vkey", f"{WITNESS}+{witness_id().hex()}+{b64(witness_tagged())}\n")
    write("cosigned", note + cosignature(note))
    write("add-checkpoint", "old 5\n" + "".join(b64(h) + "\n" for h in consistency(5, leaves)) + "\n" + note)

if __name__ == "__main__":
    main()
