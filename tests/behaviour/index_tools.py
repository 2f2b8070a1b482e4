"""The index of a stopped vault, read and rewritten with LMDB's own tools, as whoever can write the disk could."""
import os
import shutil
import subprocess


def index_tool(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dump(folder):
    """{database: {key: value}}, both in LMDB's hex, and the header of each."""
    pairs, headers, database, lines = {}, {}, None, []
    text = iter(index_tool("mdb_dump", "-a", folder).decode().splitlines())
    for line in text:
        if line.startswith("database="):
            database = line[9:]
        lines.append(line)
        if line == "HEADER=END":
            headers[database], lines, pairs[database] = lines, [], {}
            for key in text:
                if key == "DATA=END":
                    break
                pairs[database][key.strip()] = next(text).strip()
    return pairs, headers


def load(pairs, headers, folder):
    text = []
    for database, entries in pairs.items():
        text += headers[database]
        text += [f" {line}" for pair in sorted(entries.items()) for line in pair]
        text.append("DATA=END")
    folder.mkdir()
    index_tool("mdb_load", folder, input="\n".join(text + [""]).encode())


def key_of(text):
    return (text.encode() + b"\0").hex()


def replace(vault, by):
    """Puts another index in the place of a stopped vault's: a folder that is copied, or (pairs, headers)."""
    index = vault.state / "index"
    owner = index.stat()
    shutil.rmtree(index)
    if isinstance(by, tuple):
        load(*by, index)
    else:
        shutil.copytree(by, index)
    (index / "lock.mdb").unlink(missing_ok=True)
    for path in (index, index / "data.mdb"):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)
