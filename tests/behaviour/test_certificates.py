"""Client certificates that no authority should have issued, and keys that no client should have: whoever holds the
authority's key makes them here. Each is refused before an HTTP byte, or identified by its one URI; no process crashes."""
import contextlib
import datetime
import ipaddress
import pathlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

import memory_scan
from scene import processes, wait_for
from test_tls import ask, crashes
from vault_under_test import programs_with, running_vault

URI = "urn:vault:service:clinic"
DAY = datetime.timedelta(days=1)


@pytest.fixture
def renewing():
    """A vault whose own certificate is to change, and whose memory can be looked into."""
    with programs_with(vaultd="vaultd-without-secret-memory") as programs, running_vault(programs=programs) as v:
        yield v


@pytest.fixture(scope="module")
def vault():
    with running_vault(limits={"handshake_seconds": 120}) as v:  # some of these take long where the machine is busy
        yield v


class Authority:
    """The test authority, as whoever has stolen its key."""

    def __init__(self, vault):
        self.folder = vault.folder / "pki"
        self.certificate = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        self.key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)

    def issue(self, key, names, extra=(), issuer=None, is_authority=False, usage=ExtendedKeyUsageOID.CLIENT_AUTH):
        """A certificate for the key; `issuer` is (certificate, key), the authority itself if not given."""
        by, by_key = issuer or (self.certificate, self.key)
        now, serial = datetime.datetime.utcnow(), x509.random_serial_number()
        builder = (x509.CertificateBuilder().subject_name(name(f"number {serial}")).issuer_name(by.subject)
                   .public_key(key.public_key()).serial_number(serial)
                   .not_valid_before(now - DAY).not_valid_after(now + DAY)
                   .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage is not None and not is_authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if is_authority:
            builder = builder.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False),
                                            critical=True)
        for value, critical in extra:
            builder = builder.add_extension(value, critical)
        algorithm = None if isinstance(by_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(by_key, algorithm)

    def chain(self, length):
        """A leaf's key, and its certificate below this many authorities, each issued by the one before."""
        above, between = (self.certificate, self.key), []
        for _ in range(length):
            key = ec.generate_private_key(ec.SECP256R1())
            above = (self.issue(key, [], issuer=above, is_authority=True), key)
            between.insert(0, above[0])
        key = ec.generate_private_key(ec.SECP256R1())
        return key, [self.issue(key, uris(URI), issuer=above), *between]


def name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def uris(*values):
    return [x509.UniformResourceIdentifier(value) for value in values]


def p256():
    return ec.generate_private_key(ec.SECP256R1())


def hosts(count):
    return [x509.DNSName(f"host-{n}.example") for n in range(count)]


def leaf(names, key=p256, **more):
    """A maker of a key and a chain of one certificate."""
    def make(authority):
        made = key()
        return made, [authority.issue(made, names, **more)]
    return make


UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")

GOOD = {
    "P-256": leaf(uris(URI)),
    "RSA 2048": leaf(uris(URI), key=lambda: rsa.generate_private_key(65537, 2048)),
    "RSA 4096": leaf(uris(URI), key=lambda: rsa.generate_private_key(65537, 4096)),
    "Ed25519": leaf(uris(URI), key=ed25519.Ed25519PrivateKey.generate),
    "unknown extension, not critical": leaf(uris(URI), extra=[(UNKNOWN, False)]),
    "other names beside the URI": leaf([*hosts(50), *uris(URI)]),
}
BAD = {
    "unknown critical extension": leaf(uris(URI), extra=[(UNKNOWN, True)]),
    "two URIs": leaf(uris(URI, "urn:vault:service:research")),
    "no URI, but names": leaf(hosts(3)),
    "an address only": leaf([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
    "NUL in the URI": leaf(uris("urn:vault:service:clinic\0.example")),
    "line break in the URI": leaf(uris("urn:vault:service:clinic\r\nX: y")),
    "a URI of 60,000 bytes": leaf(uris("urn:" + "x" * 60000)),
    "5,000 names beside the URI": leaf([*hosts(5000), *uris(URI)]),
    "an extension of 200,000 bytes": leaf(
        uris(URI), extra=[(x509.UnrecognizedExtension(UNKNOWN.oid, bytes(200_000)), False)]),
    "an authority between without a revocation list": lambda authority: authority.chain(1),
    "100 authorities between": lambda authority: authority.chain(100),
    "for servers only": leaf(uris(URI), usage=ExtendedKeyUsageOID.SERVER_AUTH),
    "P-384": leaf(uris(URI), key=lambda: ec.generate_private_key(ec.SECP384R1())),
    "Ed448": leaf(uris(URI), key=ed448.Ed448PrivateKey.generate),
    "RSA 1024": leaf(uris(URI), key=lambda: rsa.generate_private_key(65537, 1024)),
    "an authority's own": lambda authority: (authority.key, [authority.certificate]),
}


def core(vault):
    found = processes(vault)
    return [found[kind] for kind in ("vaultd", "vaultd-gate", "vaultd-monitor", "vaultd-store")]


def shake_hands(vault, make, folder):
    """What a client with this key and chain gets, and why not."""
    key, chain = make(Authority(vault))
    (folder / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                   serialization.NoEncryption()))
    (folder / "chain").write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))
    context = ssl.create_default_context(cafile=vault.ca)
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # also the client's own library would refuse a weak key
    context.load_cert_chain(folder / "chain", folder / "key")
    return ask(context, vault)


@pytest.mark.parametrize("kind", GOOD)
def test_certificate_with_one_uri_is_that_service(vault, kind, tmp_path):
    """The control of the next test, too."""
    received, complaint = shake_hands(vault, GOOD[kind], tmp_path)
    assert received.startswith(b"HTTP/1.1 200 "), complaint


@pytest.mark.parametrize("kind", BAD)
def test_strange_certificate_gets_no_byte_and_harms_nobody(vault, kind, tmp_path):
    before = core(vault)
    received, _ = shake_hands(vault, BAD[kind], tmp_path)
    assert received == b""
    assert crashes(vault) == 0 and core(vault) == before
    vault.ctl("status", cert="clinic")


def test_key_of_13942_bits_is_refused_or_served_and_stalls_nobody(vault, tmp_path, monkeypatch):
    """Of two Mersenne primes: to look for others of that size would take minutes, and a minute to see that they are some."""
    monkeypatch.setattr(backend, "_rsa_skip_check_key", True)
    before = core(vault)
    received, _ = shake_hands(vault, leaf(uris(URI), key=mersenne_key), tmp_path)
    assert received == b"" or received.startswith(b"HTTP/1.1 200 ")
    assert crashes(vault) == 0 and core(vault) == before
    vault.ctl("status", cert="clinic")


def mersenne_key():
    p, q, e = 2**9689 - 1, 2**4253 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


# ---- the server's own ----

def served_certificate(vault):
    """What a new connection is shown."""
    with contextlib.closing(vault.connect("clinic")) as connection:
        connection.connect()
        return x509.load_der_x509_certificate(connection.sock.getpeercert(True))


def replace(path, content):
    """As it should be done: by renaming."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    fresh.rename(path)


def pem_of(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def said(vault):
    return (vault.folder / "vaultd.log").read_text(errors="replace")


def own_names():
    return [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def test_new_server_certificate_is_used_without_a_restart(renewing):
    vault, authority = renewing, Authority(renewing)
    files = {name: pathlib.Path(path) for name, path in zip(("certificate", "key"), vault.cert("server"))}
    before, core = served_certificate(vault), core_of(vault)
    old_key = memory_scan.forms_of_key(files["key"])
    assert memory_scan.where(core["vaultd-gate"][0], old_key), "control: the scan finds the key where it is"
    key = p256()
    fresh = authority.issue(key, own_names(), usage=ExtendedKeyUsageOID.SERVER_AUTH)
    with contextlib.closing(vault.connect("clinic")) as running:
        assert ask_status(running) == 200
        replace(files["certificate"], fresh.public_bytes(serialization.Encoding.PEM))
        wait_for(lambda: "the former certificate and key stay in use" in said(vault), "the pair is refused")
        assert "private key does not belong to its certificate" in said(vault)
        assert served_certificate(vault) == before
        replace(files["key"], pem_of(key))
        wait_for(lambda: served_certificate(vault) == fresh, "the new certificate is shown")
        assert ask_status(running) == 200, "who is connected goes on"
        assert running.sock is not None
    assert core_of(vault) == core, "no process was started anew"
    wait_for(lambda: not memory_scan.where(core["vaultd-gate"][0], old_key), "the old key is wiped")
    assert memory_scan.where(core["vaultd-gate"][0], memory_scan.forms_of_key(files["key"]))


@pytest.mark.parametrize("broken", ["half", "open to others", "gone"])
def test_broken_server_key_changes_nothing(renewing, broken):
    vault, before = renewing, served_certificate(renewing)
    key = pathlib.Path(vault.cert("server")[1])
    if broken == "half":
        replace(key, key.read_bytes()[:100])
        wait_for(lambda: "the former certificate and key stay in use" in said(vault), "the pair is refused")
    elif broken == "gone":
        key.unlink()
        wait_for(lambda: "certificate: not renewed: " in said(vault), "the supervisor says so")
    else:
        key.chmod(0o644)
        wait_for(lambda: "is open to group or others" in said(vault), "the supervisor says so")
    assert served_certificate(vault) == before
    assert vault.http("GET", "/v1/status", cert="clinic").status == 200


def ask_status(connection):
    connection.request("GET", "/v1/status")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def core_of(vault):
    return {name: pids for name, pids in processes(vault).items() if name != "vaultd-worker"}
