"""A throw-away vault, started by scripts/dev-vault, and ways to talk to it as any of its services."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

from sanitizers import assert_no_report

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILT = pathlib.Path(os.environ.get("VAULT_BIN", ROOT / "build" / "bin")).resolve()
HOSTILE = BUILT.parent / "tests"
PROGRAMS = ("vaultd", "vaultd-gate", "vaultd-monitor", "vaultd-store", "vaultd-worker", "vaultd-token", "vaultd-courier", "vaultd-backup", "vaultctl")
START_SECONDS = 300
STOP_SECONDS = 90
OWN_PORTS = []  # the sockets that hold them


class Answer:
    """An HTTP answer, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Vault:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.env = read_env(self.folder / "env")
        self.pid = int((self.folder / "pid").read_text())
        self.url = self.env["VAULT_URL"]
        self.socket = self.env["VAULT_SOCKET"]
        self.ca = self.env["VAULT_CA"]
        self.state = pathlib.Path(self.env["VAULT_STATE"])
        self.objects = pathlib.Path(self.env["VAULT_OBJECTS"])
        self.stderr = ""  # of the last vaultctl

    def cert(self, name):
        """Paths of a ready-made service's certificate and key."""
        return str(self.folder / "pki" / f"{name}.pem"), str(self.folder / "pki" / f"{name}.key")

    def environment(self, cert=None):
        """What a program needs in its environment to act as this service; None: root on the Unix socket."""
        env = dict(self.env)
        if cert is not None:
            env["VAULT_CERT"], env["VAULT_KEY"] = self.cert(cert)
        return env

    def ctl(self, *args, cert=None, json=True, expect=0, input=None, timeout=120):
        """Runs vaultctl and asserts its exit status. Gives the JSON document (None if there is none), or with
        json=False the bytes of stdout. What it said on stderr is in self.stderr."""
        command = ["vaultctl", *map(str, args), *(["--json"] if json else [])]
        # By its path: execvp looks for the program on our own PATH, not on that of the environment given.
        program = shutil.which(command[0], path=self.env["PATH"])
        assert program, "vaultctl is not built"
        done = subprocess.run([program, *command[1:]], env=self.environment(cert), input=input, capture_output=True,
                              timeout=timeout)
        self.stderr = done.stderr.decode(errors="replace")
        assert_no_report(self.stderr, "what vaultctl said")
        assert done.returncode == expect, (f"{' '.join(command)} gave {done.returncode}, not {expect}\n"
                                           f"{self.stderr}{done.stdout.decode(errors='replace')[:2000]}")
        if not json:
            return done.stdout
        return parse(done.stdout)

    def tls_context(self, cert=None):
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if cert is not None:
            context.load_cert_chain(*self.cert(cert))
        return context

    def connect(self, cert=None, timeout=60):
        """A connection of http.client: over TLS as this service, or over the Unix socket."""
        if cert is None:
            return UnixConnection(self.socket, timeout)
        url = urllib.parse.urlsplit(self.url)
        return http.client.HTTPSConnection(url.hostname, url.port, timeout=timeout, context=self.tls_context(cert))

    def http(self, method, path, body=None, headers=None, cert=None, timeout=60):
        """One request on a connection of its own."""
        with contextlib.closing(self.connect(cert, timeout)) as connection:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())

    def stop(self):
        """Ends the supervisor, and with it all; asserts that it went by itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        if wait_until_gone(self.pid):
            return
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError(f"the supervisor did not end within {STOP_SECONDS} s")


def parse(text):
    return json.loads(text) if text.strip() else None


def read_env(path):
    """The environment after sourcing a file, as a shell sees it."""
    done = subprocess.run(["bash", "-c", 'set -ae; . "$1"; env -0', "bash", str(path)], capture_output=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)


def is_running(pid):
    try:
        # Its state follows the name in parentheses; a zombie that nobody waits for has ended.
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid):
    deadline = time.monotonic() + STOP_SECONDS
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_port():
    """For now: it is anybody's again."""
    with contextlib.closing(bound_socket()) as s:
        return s.getsockname()[1]


def own_port():
    """It stays ours while this process lives: other tests run at the same time, and a vault takes its port long after it
    was found, and is down at times. A socket that is bound keeps others away, but not a vault: both permit it, ours only
    now that it has the port alone."""
    s = bound_socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    OWN_PORTS.append(s)
    return s.getsockname()[1]


def bound_socket():
    """Below the ports that the kernel gives to outgoing connections: while the vault is down, a client that asks for it
    could otherwise be given this very port, and connect to itself."""
    for port in random.SystemRandom().sample(range(20000, 32000), 100):
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", port))
            return s
        except OSError:
            s.close()
    raise AssertionError("no free port")


@contextlib.contextmanager
def programs_with(**instead):
    """A folder of the real programs, but for those given: worker="vaultd-worker-liar". Both are of one build."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vault-programs-"))
    try:
        folder.chmod(0o755)
        for program in PROGRAMS:
            other = instead.get(program.removeprefix("vaultd-"))
            source = HOSTILE / other if other else BUILT / program
            assert source.exists(), f"{source} is not built"
            (folder / program).symlink_to(source)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def running_vault(limits=None, programs=None, around=None, settings=None):
    """Starts a vault in a new folder and ends it. The folder's path is short: a Unix socket lies in it. `limits` are
    members of the configuration's limits, `settings` of the configuration itself; `programs` is another folder of programs; `around` gives a context for the
    folder that holds while the vault runs."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="vault-"))
    top.chmod(0o711)  # its processes run as other users
    folder = top / "v"
    said = top / "said"
    environment = {**os.environ, **({"VAULT_BIN": str(programs)} if programs else {})}
    try:
        folder.mkdir()
        with around(folder) if around else contextlib.nullcontext():
            lines = [f"{name}: {value}\n" for name, value in (settings or {}).items()]
            if limits:
                lines += ["limits:\n", *(f"  {name}: {value}\n" for name, value in limits.items())]
            if lines:
                (folder / "limits.yaml").write_text("".join(lines))
            with said.open("wb") as out:  # no pipe: what stays running would hold it open
                done = subprocess.run([ROOT / "scripts" / "dev-vault", folder, str(own_port())], env=environment,
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                      timeout=START_SECONDS)
            words = said.read_text(errors="replace")[-4000:]
            assert done.returncode == 0, f"scripts/dev-vault gave {done.returncode}\n{words}"
            vault = Vault(folder)
            try:
                yield vault
            finally:
                vault.stop()
                assert_no_report((folder / "vaultd.log").read_text(errors="replace"), "the vault's log")
    finally:
        shutil.rmtree(top, ignore_errors=True)
