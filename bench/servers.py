"""What is measured: a throw-away vault, nginx with the same certificates, and a restic repository."""
import json
import os
import pathlib
import shutil
import subprocess
import time

from common import CIPHER, MIB, ROOT, free_port, run

SUBJECT = "S-0001"
CONSENT = {"subject": SUBJECT, "signed": "2026-01-01", "form": "2.1", "permits": {"treatment": True, "research": []},
           "findings": "actionable", "recontact": True, "expires": None}


def make_file(path, size):
    """Random bytes: nobody's compression or deduplication shall help."""
    with open(path, "wb") as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))


def descendants(pid):
    """The process and all below it: {pid: name}."""
    parents = {}
    names = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except (OSError, IndexError):
            continue  # it has just ended
        parents[int(entry.name)] = int(rest.split()[1])
        names[int(entry.name)] = name
    found = {pid}
    while True:
        more = {p for p, parent in parents.items() if parent in found} - found
        if not more:
            return {p: names[p] for p in found if p in names}
        found |= more


class Server:
    """Something that curl can talk to over mutual TLS 1.3."""

    def __init__(self, url, pki, reader, headers):
        self.url, self.pki, self.reader, self.headers = url, pki, reader, headers

    def curl(self, service, *more):
        run("curl", "--silent", "--show-error", "--fail", "--tlsv1.3", "--tls13-ciphers", CIPHER, "--cacert",
            self.pki / "ca.pem", "--cert", self.pki / f"{service}.pem", "--key", self.pki / f"{service}.key", *more)

    def read(self, name):
        headers = [part for h in self.headers for part in ("-H", h)]
        self.curl(self.reader, *headers, "-o", "/dev/null", self.url + name)

    def deposit(self, path, name):
        self.curl("depositor", "-o", "/dev/null", "-T", path, self.url + name)


class Vault(Server):
    def __init__(self, folder):
        port = free_port()
        self.folder = folder
        run(ROOT / "scripts/dev-vault", folder, port)
        self.pid = int((folder / "pid").read_text())
        super().__init__(f"https://127.0.0.1:{port}/v1/subjects/{SUBJECT}/files/", folder / "pki", "clinic",
                         ["Purpose: treatment"])
        consent = folder / "consent.json"
        consent.write_text(json.dumps(CONSENT))
        self.ctl("subject", "add", SUBJECT)
        self.ctl("consent", "set", SUBJECT, consent)

    def ctl(self, *arguments):
        program = pathlib.Path(os.environ["VAULT_BIN"]) / "vaultctl"
        run(program, "--socket", self.folder / "vaultd.sock", *arguments)

    def processes(self):
        return descendants(self.pid)

    def stop(self):
        run(ROOT / "scripts/dev-vault", "--stop", self.folder)


NGINX = """
user root;
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    keepalive_requests 100000000;
    output_buffers 2 256k;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {pki}/server.pem;
        ssl_certificate_key {pki}/server.key;
        ssl_client_certificate {pki}/ca.pem;
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {cipher};
        location / {{ root {folder}/files; dav_methods PUT; }}
    }}
}}
"""


class Nginx(Server):
    """The plain file, with the vault's certificates: what the vault's own work is measured against."""

    def __init__(self, folder, pki):
        port = free_port()
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, pki=pki, cipher=CIPHER))
        self.process = subprocess.Popen([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-e",
                                         folder / "error.log", "-c", folder / "nginx.conf"])
        super().__init__(f"https://127.0.0.1:{port}/", pki, "clinic", [])
        self.wait_until_it_serves(folder)

    def wait_until_it_serves(self, folder):
        (self.files / "ready").write_text("")
        for _ in range(100):
            try:
                return self.read("ready")
            except RuntimeError:
                time.sleep(0.1)
        raise RuntimeError(f"nginx does not serve: {(folder / 'error.log').read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Restic:
    """A local repository: what many would use instead to keep such files encrypted."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "password").write_text("bench")

    def restic(self, repository, *arguments, **more):
        run("restic", "--quiet", "--no-cache", "--password-file", self.folder / "password", "--repo",
            self.folder / repository, *arguments, **more)

    def start(self, repository):
        """An empty repository: a second backup of the same bytes into the same one would copy nothing."""
        shutil.rmtree(self.folder / repository, ignore_errors=True)
        self.restic(repository, "init")

    def backup(self, repository, path):
        self.restic(repository, "backup", path)

    def restore(self, repository):
        self.restic(repository, "restore", "latest", "--target", self.folder / "restored")

    def forget_restored(self):
        shutil.rmtree(self.folder / "restored", ignore_errors=True)

    def dump(self, repository, path):
        with open(os.devnull, "wb") as nowhere:
            subprocess.run(["restic", "--quiet", "--no-cache", "--password-file", self.folder / "password", "--repo",
                            self.folder / repository, "dump", "latest", path], stdout=nowhere, check=True)
