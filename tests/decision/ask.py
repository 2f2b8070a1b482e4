"""Asks the decision function through decision_driver, whose form of input and output stands at the top of driver.c."""
import os
import pathlib
import struct
import subprocess

from oracle import (ACTIONS, CONDITIONS, DENY, OVER_BUDGET, PATIENT, PERIODS, PERMIT, PERS, PERSON, PURPOSES, ROLES,
                    SERVICE, Count, Reason)

BUILT = pathlib.Path(os.environ.get("VAULT_BIN", pathlib.Path(__file__).resolve().parents[2] / "build" / "bin"))
DRIVER = BUILT.resolve() / "decision_driver"
NOTHING = 0xFFFFFFFF
UNKNOWN_ACTION = len(ACTIONS)
EFFECTS = ("permit", "forbid", "oblige")
FINDINGS = ("none", "actionable", "all")
BATCH = 50_000


def string(text):
    data = text.encode()
    return struct.pack("<H", len(data)) + data


def mask(members, names):
    return sum(1 << names.index(m) for m in members)


def uses_mask(uses):
    return sum(1 << (u - 30) for u in uses)


def of_purpose(p):
    return struct.pack("<B", PURPOSES.index(p.kind)) + string(p.project) + string(p.approval) + string(p.disease) + \
        struct.pack("<IB", uses_mask(p.uses), p.emergency)


def of_service(s):
    return struct.pack("<B", s.known) + string(s.name) + string(s.organisation) + string(s.country) + struct.pack(
        "<BII", s.not_for_profit, mask(s.roles, ROLES), mask(s.purposes, PURPOSES))


def only(c):
    """All that a consent names, each with the mark of its kind."""
    marked = {"c": c.countries, "o": c.organisations, "p": c.projects, "s": c.services}
    return ",".join(sorted(f"{mark}:{name}" for mark, names in marked.items() for name in names))


def of_consent(c):
    terms = sorted(c.research)
    return struct.pack("<BBBQQ", c.treatment, FINDINGS.index(c.findings), c.recontact, c.expires, c.custody_until) + \
        string(only(c)) + struct.pack(f"<QI{len(terms)}I", c.research_until, len(terms), *terms) + \
        string(",".join(sorted(c.diseases)))


def of_file(f):
    return struct.pack("<B", f.known) + string(f.dataset) + string(",".join(f.tags))


def of_project(p):
    return struct.pack("<BBB", *p)


def of_approval(a):
    return struct.pack("<BBBBBBQQ", a.known, a.revoked, a.for_project, a.for_dataset, a.for_purpose, a.non_commercial,
                       a.valid_from, a.valid_until)


def of_rule(r):
    return string(r.id) + string("text of " + r.id) + string("") + struct.pack(
        "<BIIII", EFFECTS.index(r.effect), mask(r.actions, ACTIONS), mask(r.purposes, PURPOSES), mask(r.roles, ROLES),
        mask(r.conditions, CONDITIONS)) + string(r.dataset) + string(r.tag) + string(r.obligation) + struct.pack(
        "<QQ", r.since, r.until)


def of_budget(b):
    return string(b.id) + string("text of " + b.id) + string("") + struct.pack(
        "<BBB", PURPOSES.index(b.purpose), PERS.index(b.per), PERIODS.index(b.period)) + \
        string(",".join(sorted(b.names))) + struct.pack("<QQQ", *b.most)


def of_policy(p):
    counts = struct.pack("<IIII", p.register_days, 0, len(p.rules), len(p.budgets))
    data = struct.pack("<B", 5) + string("policy") + counts + b"".join(map(of_rule, p.rules)) + \
        b"".join(map(of_budget, p.budgets))
    return struct.pack("<I", len(data)) + data


def of_use(use):
    return b"".join(struct.pack("<QQQ", *use.get((per, period), Count())) for per in PERS for period in PERIODS)


class Part:
    """One list of the input. The same object gets the same number."""

    def __init__(self, encode):
        self.encode = encode
        self.numbers = {}
        self.kept = []  # so that no other object can take the identity of one that is numbered
        self.data = []

    def number(self, value):
        found = self.numbers.get(id(value))
        if found is not None:
            return found
        self.numbers[id(value)] = len(self.kept)
        self.kept.append(value)
        self.data.append(self.encode(value))
        return len(self.kept) - 1

    def packed(self):
        return struct.pack("<I", len(self.data)) + b"".join(self.data)


class Input:
    def __init__(self, diseases_text):
        self.diseases = diseases_text.encode()
        self.purposes, self.services, self.consents = Part(of_purpose), Part(of_service), Part(of_consent)
        self.subjects, self.files, self.projects = Part(self.of_subject), Part(of_file), Part(of_project)
        self.approvals, self.policies, self.uses = Part(of_approval), Part(of_policy), Part(of_use)
        self.questions = []

    def of_subject(self, s):
        consent = NOTHING if s.consent is None else self.consents.number(s.consent)
        return struct.pack("<BBBI", s.known, s.opted_out, s.in_care, consent)

    def add(self, q):
        action = ACTIONS.index(q.action) if q.action in ACTIONS else UNKNOWN_ACTION
        policy = NOTHING if q.policy is None else self.policies.number(q.policy)
        self.questions.append(struct.pack(
            "<QQ10I", q.time, q.register_of, action, self.purposes.number(q.purpose), self.services.number(q.service),
            self.subjects.number(q.subject), self.files.number(q.file), self.projects.number(q.project),
            self.approvals.number(q.approval), policy, self.uses.number(q.use), q.diseases is not None))

    def packed(self):
        lists = [self.purposes, self.services, self.consents, self.subjects, self.files, self.projects, self.approvals,
                 self.policies, self.uses]
        return struct.pack("<I", len(self.diseases)) + self.diseases + b"".join(p.packed() for p in lists) + \
            b"".join(self.questions)


def reasons_of(words):
    members = words.split()
    assert len(set(members)) == len(members), f"a reason is given twice: {words}"
    reasons = set()
    for member in members:
        rule, how = member.rsplit(":", 1)
        reasons.add(Reason(rule, how[0] == "-", SERVICE if how[1] == "s" else PATIENT))
    return frozenset(reasons)


def answer_of(line):
    """A decision as the oracle gives it, and what a service is told."""
    verdict, reasons, obligations, told = line.split("|")
    assert len(set(obligations.split())) == len(obligations.split()), f"an obligation is given twice: {line}"
    verdict = {"P": PERMIT, "D": DENY, "B": OVER_BUDGET, "?": PERSON}[verdict]
    return (verdict, reasons_of(reasons), frozenset(obligations.split())), reasons_of(told)


answers = {}  # lines that were seen; there are few


def ask(questions, diseases_text):
    """For each question the decision and what is told, as the C has them."""
    given = Input(diseases_text)
    for q in questions:
        given.add(q)
    done = subprocess.run([str(DRIVER)], input=given.packed(), stdout=subprocess.PIPE, check=True, timeout=600)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(questions), f"{len(lines)} answers to {len(questions)} questions"
    for line in lines:
        if line not in answers:
            answers[line] = answer_of(line)
    return [answers[line] for line in lines]
