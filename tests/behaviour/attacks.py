"""Vaults whose workers their clients have taken over, for the tests of attacks and for tests/torture/attacks."""
import contextlib

from puppet import Puppet
from scene import CHUNK, TREATMENT, Read, add_patient, deposit, file_path, give_consent, objects, processes
from vault_under_test import programs_with, running_vault

SUBJECT, REFUSING, NAME, BIG = "S-0001", "S-0002", "genome.vcf", "genome.bam"
CONTENT = b"##fileformat=VCFv4.3\n" * 1000
BIG_CONTENT = bytes(range(256)) * (3 * CHUNK // 256)
CORE = ("vaultd-gate", "vaultd-monitor", "vaultd-store")


class Scene:
    """A vault with a patient whose files the clinic may read, and one whom nobody may read."""

    def __init__(self, vault):
        self.vault = vault
        for subject in (SUBJECT, REFUSING):
            add_patient(vault, subject)
        deposit(vault, SUBJECT, BIG, BIG_CONTENT)
        deposit(vault, SUBJECT, NAME, CONTENT)
        before = set(objects(vault))
        deposit(vault, REFUSING, NAME, CONTENT)
        (self.refused,) = set(objects(vault)) - before  # address of what nobody may read
        give_consent(vault, REFUSING, treatment=False, research=())
        self.core = self.core_pids()

    def core_pids(self):
        found = processes(self.vault)
        return {name: found.get(name) for name in CORE}

    def puppet(self, moment="handshake", service="clinic", off=(), request=b""):
        return Puppet(self.vault, moment, service, request, off)

    def at(self, moment, off=()):
        """A worker taken over at this moment of an ordinary client's work."""
        request, service = b"", "clinic"
        if moment in ("grant", "stream"):
            request = f"GET {file_path(SUBJECT, BIG)} HTTP/1.1\r\nHost: vault\r\nPurpose: {TREATMENT}\r\n\r\n".encode()
        elif moment == "upload":
            service = "depositor"
            request = (f"PUT {file_path(SUBJECT, 'never.whole')} HTTP/1.1\r\nHost: vault\r\n"
                       f"Content-Length: 1000\r\n\r\n").encode() + bytes(500)
        return self.puppet(moment, service, off, request)

    def assert_serves(self):
        """Nobody but workers has ended, and a client of another worker gets what it asks for."""
        assert self.core_pids() == self.core, "a worker ended another process"
        assert Read(self.vault, SUBJECT, NAME).body == CONTENT


@contextlib.contextmanager
def scene_with(**instead):
    with programs_with(**instead) as folder, running_vault(programs=folder, limits={"waiting": 2}) as vault:
        yield Scene(vault)
