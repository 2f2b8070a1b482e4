"""A short day of a vault, with the moment at which each answer reached its client, and what that answer promised."""
import dataclasses
import json
import random
import time

import scene

FIRST, SECOND = "S-power-1", "S-power-2"
SMALL, LARGE = 70_000, (4 << 20) + 150_000  # within one segment and a bit; more than one object


@dataclasses.dataclass(frozen=True)
class Promise:
    """What was acknowledged at a moment (nanoseconds of the monotonic clock)."""
    at: int
    what: str
    request: str | None  # the audit has a record of it
    file: tuple | None = None  # (subject, name, size, sha256) reads whole
    subject: str | None = None
    consent: tuple | None = None  # (version, permits) or something newer is in force
    checkpoint: str | None = None  # the log is a continuation of it
    generation: int = 0  # of the key ring, at least
    vkey: str | None = None  # the vault is this one


def consent(subject, research):
    permits = {"treatment": True, "research": research}
    return {"subject": subject, "signed": "2026-01-02", "form": "2026-1", "permits": permits}


class Day:
    """Each step is one request; `promises` has what was answered, in order."""

    def __init__(self, vault, seed):
        self.vault, self.promises, self.random = vault, [], random.Random(seed)
        self.vkey = None

    def ask(self, what, method, path, status, body=None, cert=None, headers=None, **promised):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        answer = self.vault.http(method, path, body, headers, cert=cert, timeout=120)
        at = time.monotonic_ns()
        assert answer.status == status, (what, answer.status, answer.body)
        known = {k: v(answer) if callable(v) else v for k, v in promised.items()}
        self.promises.append(Promise(at, what, **{"request": answer.headers["Request-Id"], **known}))
        return answer

    def add(self, subject):
        self.ask(f"add {subject}", "POST", "/v1/subjects", 201, {"subject": subject}, subject=subject)
        self.allow(subject, ["DUO:0000042"])

    def allow(self, subject, research):
        document = consent(subject, research)
        self.ask(f"consent of {subject}", "PUT", f"/v1/consents/{subject}", 200, document, subject=subject,
                 consent=lambda a: (a.json()["version"], document["permits"]))

    def withdraw(self, subject):
        self.ask(f"withdrawal of {subject}", "DELETE", f"/v1/consents/{subject}", 200, subject=subject,
                 consent=lambda a: (a.json()["version"], None))

    def deposit(self, subject, name, size):
        content = self.random.randbytes(size)
        self.ask(f"deposit of {size} bytes", "PUT", scene.file_path(subject, name), 201, content, "depositor",
                 file=(subject, name, size, scene.sha256(content)))

    def read(self, subject, name, status):
        self.ask(f"read answered {status}", "GET", scene.file_path(subject, name), status, cert="clinic",
                 headers={"Purpose": scene.TREATMENT})

    def checkpoint(self):
        answer = self.ask("checkpoint", "GET", "/v1/audit/checkpoint", 200, checkpoint=lambda a: a.json()["checkpoint"])
        self.vkey = answer.json()["vkey"]

    def rotate(self):
        self.ask("rotation of the key-encryption key", "POST", "/v1/keys/rotate", 202, {"what": "kek"},
                 generation=lambda a: a.json()["generation"])


def whole_day(day):
    day.add(FIRST)
    day.deposit(FIRST, "small", SMALL)
    day.deposit(FIRST, "large", LARGE)
    day.checkpoint()
    day.allow(FIRST, [])
    day.read(FIRST, "large", 200)
    day.rotate()
    day.add(SECOND)
    day.deposit(SECOND, "second", LARGE)
    day.withdraw(FIRST)
    day.read(FIRST, "small", 403)
    day.checkpoint()
    day.deposit(SECOND, "last", SMALL)


def birth(day):
    # The vault's first record is written without a request: there is no service yet that could have asked.
    day.ask("init", "POST", "/v1/init", 201, request=None, vkey=lambda a: a.json()["vkey"])


def one_deposit(day):
    day.add(FIRST)
    day.deposit(FIRST, "small", SMALL)
