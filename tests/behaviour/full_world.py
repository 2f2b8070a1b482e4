"""What the tests of full disks share: a vault on a small disk, what grows, what must go on, how each is answered."""
import contextlib
import random

import scene
import small_disk
from vault_under_test import running_vault

PATIENTS = ["S-read", "S-withdraw", "S-out"]
SIZE = 300_000


def content(seed, size=SIZE):
    return random.Random(seed).randbytes(size)


class World:
    """A vault, its ballast, and everything that it acknowledged as deposited."""

    def __init__(self, vault, ballast):
        self.vault, self.ballast, self.kept, self.made, self.denied = vault, ballast, {}, 0, 0
        for patient in PATIENTS:
            scene.add_patient(vault, patient)
            self.deposit(patient)

    # ---- what only makes the state grow ----

    def try_deposit(self, patient="S-read", size=SIZE, name=None):
        """The status of the answer; None if the connection ended without one."""
        self.made += 1
        name = name or f"f-{self.made}"
        body = content(name, size)
        with contextlib.closing(self.vault.connect("depositor")) as connection:
            connection.putrequest("PUT", scene.file_path(patient, name))
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            with contextlib.suppress(*scene.CUT):  # refused in the middle, the answer is there all the same
                connection.send(body)
            try:
                status = connection.getresponse().status
            except scene.CUT:
                return None
        if status == 201:
            self.kept[patient, name] = body
        return status

    def deposit(self, patient="S-read", size=SIZE):
        assert self.try_deposit(patient, size) == 201

    def growing_commands(self):
        self.made += 1
        n = self.made
        return [("subject", "add", f"S-new-{n}"), ("project", "add", f"P-new-{n}", "--service", "research"),
                ("service", "add", f"new-{n}", "--san", f"urn:vault:service:new-{n}", "--role", "depositor"),
                ("ethics", "add", f"A-new-{n}", "--project", "P1"), ("key", "rotate", "kek", "--no-wait")]

    # ---- what goes on ----

    def read(self, patient="S-read"):
        """The status; a whole answer has the bytes that were deposited."""
        name, body = next((n, b) for (p, n), b in self.kept.items() if p == patient)
        read = scene.Read(self.vault, patient, name)
        assert read.status != 200 or read.body == body
        return read.status

    def denial(self, connection=None):
        """The status of a read that no purpose permits."""
        headers = {"Purpose": scene.RESEARCH}
        path = scene.file_path("S-read", next(n for p, n in self.kept if p == "S-read"))
        if connection is None:
            status = self.vault.http("GET", path, headers=headers, cert="clinic").status
        else:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        self.denied += status == 403
        return status

    def space(self):
        return self.vault.http("GET", "/v1/status").json()["space"]

    def wait_for_space(self, word):
        scene.wait_for(lambda: self.space() == word, f"space {word}")

    # ---- the disk ----

    @contextlib.contextmanager
    def full(self, leave=0):
        """The disk full to the last block; all as before afterwards, by itself."""
        try:
            self.ballast.fill(leave)
            yield
        finally:
            self.ballast.remove()
        self.wait_for_space("enough")

    def deny_until_refused(self, most=5000):
        """Uses the reserve up with denials; how many were acknowledged, and the status of the first that was not."""
        with contextlib.closing(self.vault.connect("clinic")) as connection:
            for count in range(most):
                status = self.denial(connection)
                if status != 403:
                    return count, status
        raise AssertionError(f"{most} denials were recorded on a full disk")

    # ---- afterwards ----

    def check_all(self, folder):
        """Nothing acknowledged is lost, none half visible, and the audit is whole."""
        for (patient, name), body in self.kept.items():
            if patient == "S-read":
                read = scene.Read(self.vault, patient, name)
                assert (read.status, read.body) == (200, body), (patient, name)
        listed = self.vault.ctl("list", "--subject", "S-read")["files"]
        assert sorted(f["name"] for f in listed) == sorted(n for p, n in self.kept if p == "S-read")
        records = scene.verify_audit(self.vault, folder)
        denied = [r for r in records if r["event"] == "read" and r["outcome"] == "denied"]
        assert len(denied) == self.denied
        return records

    def log(self):
        return (self.vault.folder / "vaultd.log").read_text(errors="replace")


@contextlib.contextmanager
def small_vault(kind, where, megabytes):
    """A vault whose state, objects, or both (`everything`: all its files) are on a small disk."""
    def around(folder):
        return small_disk.disk(kind, folder if where == "everything" else folder / where, megabytes)

    with running_vault(limits={"idle_seconds": 600}, around=around) as vault:  # a reader waits while a disk is filled
        folder = vault.folder if where == "everything" else vault.folder / where
        yield World(vault, small_disk.Ballast(folder))
