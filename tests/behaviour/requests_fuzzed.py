"""Requests for every resource by every method, with parameters that were never meant, on kept-alive TLS connections."""
import collections
import contextlib
import json
import random

from scene import CUT
from strange import Malformed, take_answer

SERVICES = ("clinic", "research", "depositor", "auditor", "operator2", "stranger")
METHODS = ("GET",) * 5 + ("POST",) * 3 + ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get",
                                          "X" * 200)
# What changes the whole vault is left to services that may not (operator2 may): else later requests would say nothing.
PATHS = ("/v1/status", "/v1/init", "/v1/unseal", "/v1/seal", "/v1/subjects", "/v1/subjects/{}", "/v1/consents/{}",
         "/v1/services", "/v1/services/{}", "/v1/projects", "/v1/projects/{}", "/v1/ethics", "/v1/ethics/{}",
         "/v1/pending", "/v1/pending/{}/approve", "/v1/pending/{}/refuse", "/v1/policy",
         "/v1/decisions", "/v1/keys", "/v1/keys/rotate", "/v1/keys/escrows", "/v1/keys/escrows/{}/destroyed", "/v1/jobs",
         "/v1/jobs/{}/pause", "/v1/jobs/{}/resume", "/v1/jobs/{}/rate", "/v1/backups", "/v1/restore", "/v1/restore/confirm", "/v1/audit/tail", "/v1/audit/checkpoint",
         "/v1/audit/exports", "/v1/audit/records", "/v1/audit/proofs", "/v1/files", "/v1/files/{}",
         "/v1/files/{}/metadata",
         "/v1/subjects/{}/files/{}", "/v1/requests/{}", "/", "/v1", "/v2/status", "/v1/nothing/{}")
SEGMENTS = ("S-0001", "large", "0" * 32, "f" * 32, "0" * 31, "%00", "%2e%2e", "%2e", "..", ".", "%2f", "a%2fb", "%5c",
            "%c0%ae",
            "%c0%af", "%e0%80%af", "%f0%80%80%af", "%ed%a0%80", "%f4%90%80%80", "%ff", "%fe", "%80", "%C3%A6",
            "%e2%80%ae",
            "%ef%bb%bf", "%25", "%2500", "%", "%1", "%zz", "%0d%0a", "%09", "%7f", "%20", "+", "~", "a" * 255,
            "a" * 256,
            "a" * 4000, "%61" * 300, "%F0%9F%A7%AC" * 70, "a" * 9000, "'%22", "{}", "%7b%7d", "$(x)", "*", "-",
            "--help", "@x",
            "a;b=c", "a:b", "a=b&c", "\x7f", "\xe6", "")
QUERIES = ("", "", "", "?", "?cursor=", "?cursor=%00", "?cursor=AAAA", "?count=-1", "?count=4294967296", "?count=1",
           "?count=1&count=2",
           "?from=0&to=1&tree=1", "?from=1&to=0&tree=1", "?from=0&to=18446744073709551615&tree=18446744073709551615",
           "?from=18446744073709551616&to=1&tree=1", "?purpose=treatment", "?purpose=%ff", "?history=1", "?history=2",
           "?x=y",
           "?subject=S-0001&purpose=treatment", "?subject=" + "a" * 3000, "?=&=&&", "?a" * 50, "?%=1", "??")
PURPOSES = (None, None, "treatment", 'research;project="P1";approval="A1"', "", "?1", "treatment;x", "research",
            "a" * 4000,
            'research;project="' + "p" * 300 + '"', '"', "(a b)", ":AAAA:", "treatment, research", "9" * 30)
BODIES = (None, None, b"", b"{}", b"[]", b"null", b"{", b'{"subject":"S-0001"}', b'{"subject":"\\u0000"}',
          b'{"a":1,"a":2}',
          b'{"subject":' + b"[" * 3000, b'{"name":"' + b"n" * 5000 + b'"}', b"\xff\xfe{}",
          b"{\"subject\":\"\xc0\xaf\"}",
          json.dumps({"file": "0" * 32, "purpose": "treatment"}).encode(), b'{"opt_out":1e999}', b'{"opt_out":"yes"}',
          b'{"from":-1,"format":"jsonl"}', b'{"name":1,"san":[],"roles":{}}', b"a: [" * 500, b" " * 66000, bytes(2000))
HARMLESS = ("/v1/seal", "/v1/services/{}", "/v1/projects/{}", "/v1/ethics/{}", "/v1/policy", "/v1/keys/rotate")
# What is no request.
UNRECORDED = (b"http",)


def one(chosen, service):
    """(method, request)"""
    method, path = chosen.choice(METHODS), chosen.choice(PATHS)
    if service == "operator2" and path in HARMLESS:
        method = "GET"
    while "{}" in path:
        path = path.replace("{}", chosen.choice(SEGMENTS).replace("{}", "{"), 1)
    lines = [f"{method} {path}{chosen.choice(QUERIES)} HTTP/1.1".encode("latin-1"), b"Host: vault"]
    purpose, body = chosen.choice(PURPOSES), chosen.choice(BODIES)
    if method in ("GET", "HEAD") and chosen.random() < 0.9:
        body = None
    if purpose is not None:
        lines.append(b"Purpose: " + purpose.encode())
    if body is not None and chosen.random() < 0.3:
        lines.append(b"Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return method, b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


class KeptAlive:
    """Opened again where the vault ended it, as an answer must have said."""

    def __init__(self, vault, service):
        self.vault, self.service, self.connection = vault, service, None

    def ask(self, method, sent):
        if self.connection is None:
            self.connection = self.vault.connect(self.service)
            self.connection.connect()
        with contextlib.suppress(*CUT):
            self.connection.sock.sendall(sent)
        received, answer = b"", None
        while answer is None:
            with contextlib.suppress(Malformed):
                answer, rest = take_answer(received, method == "HEAD")
            if answer is None:
                piece = self.connection.sock.recv(1 << 16)
                if not piece:
                    raise Malformed(f"the end instead of an answer: {received[:300]!r}")
                received += piece
        if rest:
            raise Malformed(f"more than an answer: {rest[:300]!r}")
        if answer.fields.get("connection") == "close":
            self.close()
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def recorded_wrongly(answer):
    """Whatever is refused of what could be read as a request is on record, a stranger's too."""
    excepted = any(b'"rule":"%s"' % rule in answer.body for rule in UNRECORDED)
    return answer.status >= 400 and answer.body != b"" and not excepted and "audit-seq" not in answer.fields


def run(vault, service, seed, count):
    """(what was wrong, how many answers of each status)"""
    chosen, problems, statuses = random.Random(f"{seed} {service}"), [], collections.Counter()
    kept = KeptAlive(vault, service)
    for number in range(count):
        method, sent = one(chosen, service)
        try:
            answer = kept.ask(method, sent)
        except (Malformed, *CUT) as error:
            problems.append(f"{seed}.{number} {sent[:120]!r}: {error}")
            kept.close()
            continue
        statuses[answer.status] += 1
        if answer.status >= 500 and answer.status not in (501, 505):
            problems.append(f"{seed}.{number} {sent[:120]!r}: {answer.status}")
        if recorded_wrongly(answer):
            problems.append(f"{seed}.{number} {sent[:120]!r}: {answer.status} without a record {answer.body[:200]!r}")
    kept.close()
    return problems, statuses
