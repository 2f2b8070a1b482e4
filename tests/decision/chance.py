"""Questions and policies at random: every dimension of a question, values that fit together more often than by chance.
The same seed gives the same questions."""
import random

from oracle import (ACTIONS, CONDITIONS, DAY, NO_USE, PERIODS, PERS, PURPOSES, ROLES, Approval, Budget, Consent, Count,
                    File, Policy, Project, Purpose, Question, Rule, Service, Subject, read_diseases)

DISEASES_TEXT = """# a small table: MONDO:1 has two kinds, MONDO:111 is a kind of both of them
MONDO:11\tMONDO:1
MONDO:12\tMONDO:1
MONDO:111\tMONDO:11
MONDO:111\tMONDO:12
MONDO:1111\tMONDO:111

ORPHA:2\tMONDO:12
MONDO:9\tMONDO:8
"""
DISEASES = read_diseases(DISEASES_TEXT)
IN_TABLE = ("MONDO:1", "MONDO:11", "MONDO:12", "MONDO:111", "MONDO:1111", "ORPHA:2", "MONDO:8", "MONDO:9")
NOT_IN_TABLE = ("MONDO:77", "MONDO:112", "mondo:1")

# Every term of the document, and some that are in no ontology. Those of users say who may do research, and until when.
DECIDABLE = (4, 42, 6, 7, 11, 15, 16, 21, 44)
OF_USERS = (22, 25, 26, 27, 28, 45, 46, 18)
NOT_DECIDABLE = (19, 20, 29, 24, 12, 43)
NOT_IN_ONTOLOGY = (0, 1, 5, 31, 33, 9999999)
TERMS = DECIDABLE + OF_USERS + NOT_DECIDABLE + NOT_IN_ONTOLOGY
USES = tuple(range(31, 41))

NOW = 1_000_000
GRANTS = ("consent-treatment", "consent-research", "project-open", "approval-valid", "break-glass", "care-relation")
SAID = frozenset({"findings-refused", "no-recontact", "custody-over"})
LOOKS = frozenset({"read", "list", "metadata"})
TAKES = tuple(c for c in CONDITIONS if c not in GRANTS + ("findings-limited",))
DATASETS = ("", "D1", "D2")
TAGS = ((), ("a",), ("a", "b"), ("ab",), ("b", "a-b"))
RULES_AT_ONCE, OBLIGATIONS = 12, 8
PROJECTS, SERVICES = ("P1", "P2", "P22"), ("S1", "S2", "S22", "P1")
COUNTRIES, ORGANISATIONS = ("DK", "SE", "KD"), ("O1", "O11", "S1", "s:S1", "c:DK")
# What a consent says beside a term: names that begin alike, or are those of another kind with its mark.
BESIDE = {22: ("countries", COUNTRIES + ("NO",)), 26: ("services", SERVICES + ("S", "o:O1")),
          27: ("projects", PROJECTS + ("P", "s:S1")), 28: ("organisations", ORGANISATIONS + ("O", "DK"))}
BUDGETS, BUDGET_MOST = 16, 2**53 - 2
# Whose budgets can be, and over which time: those of a project are for research.
SLOTS = tuple((purpose, per, period) for purpose in PURPOSES[1:] for per in PERS for period in PERIODS
              if per == "service" or purpose == "research")
MOST = (0, 0, 5, 10, 10, BUDGET_MOST)  # 0: no bound
WITHIN, BEYOND = (0, 1, 4, 5), (6, 10, 11, BUDGET_MOST, BUDGET_MOST + 1, 2**64 - 1)  # all of these bounds; only some


def some(r, members, most):
    members = tuple(members)
    return frozenset(r.sample(members, r.randint(0, min(most, len(members)))))


def around(r, now=NOW):
    """A time that is before, at or after now, or 0: no bound."""
    return r.choice((0, 0, 0, now - 1, now, now + 1, 1, now * 2))


def a_purpose(r):
    kind = r.choice(("none", "treatment", "research", "research", "research", "research"))
    if kind != "research":
        return Purpose(kind, emergency=kind == "treatment" and r.random() < 0.5)
    disease = r.choice(("",) + IN_TABLE + NOT_IN_TABLE)
    uses = r.choice((frozenset(), frozenset({33}), some(r, USES, 3), some(r, (31, 33, 37, 38), 4)))
    mostly = r.random() < 0.8, r.random() < 0.8
    return Purpose(kind, r.choice(PROJECTS) if mostly[0] else "", "A1" if mostly[1] else "", disease, uses)


def a_service(r):
    if r.random() < 0.1:
        return Service(False, name=r.choice(SERVICES))
    roles = r.choice((frozenset(ROLES), frozenset({"reader"}), some(r, ROLES, 2)))
    return Service(True, roles, r.choice((frozenset(PURPOSES[1:]), some(r, PURPOSES[1:], 2))), r.choice(SERVICES),
                   r.choice(("", "O1", "O1") + ORGANISATIONS), r.choice(("", "DK", "DK") + COUNTRIES), r.random() < 0.7)


def beside(r, terms):
    """What a consent to these terms says beside them; now and then it does not."""
    said = {field: tuple(r.sample(names, r.choice((1, 2, 4)))) for term, (field, names) in BESIDE.items()
            if term in terms and r.random() < 0.9}
    return {**said, "research_until": around(r)} if 25 in terms else said


def a_consent(r):
    terms = r.choice(((), (4,), (42,), tuple(r.sample(DECIDABLE, 1)), tuple(r.sample(DECIDABLE, 2)),
                      tuple(r.sample(OF_USERS, 1)), tuple(r.sample(OF_USERS, 2)), tuple(r.sample(OF_USERS, 4)),
                      tuple(r.sample(TERMS, 1)), tuple(r.sample(TERMS, 3)), tuple(r.sample(TERMS, len(TERMS)))))
    diseases = tuple(r.sample(IN_TABLE + NOT_IN_TABLE, r.choice((1, 1, 2, 8)))) if 7 in terms else ()
    findings = r.choice(("none", "actionable", "all"))
    return Consent(r.random() < 0.7, terms, diseases, findings, r.random() < 0.5, around(r), around(r),
                   **beside(r, terms))


def a_subject(r):
    if r.random() < 0.05:
        return Subject(False)
    return Subject(True, r.random() < 0.15, None if r.random() < 0.1 else a_consent(r), r.random() < 0.6)


def a_file(r):
    return File(False) if r.random() < 0.05 else File(True, r.choice(DATASETS), r.choice(TAGS))


def a_project(r, purpose):
    if purpose.project == "" or r.random() < 0.1:
        return Project(False)
    return Project(True, r.random() < 0.9, r.random() < 0.9)


def an_approval(r, purpose):
    if purpose.approval == "" or r.random() < 0.1:
        return Approval(False)
    for_project = purpose.project != "" and r.random() < 0.9
    return Approval(True, r.random() < 0.1, for_project, r.random() < 0.9, r.random() < 0.9, around(r), around(r),
                    r.random() < 0.7)


def forbiddable(conditions, actions):
    """Of these, those that a forbid with these conditions may be about: what a consent says only where one is needed."""
    return (actions & LOOKS or LOOKS) if SAID.intersection(conditions) else actions


def a_rule(r, number):
    effect = r.choice(("permit", "permit", "forbid", "oblige"))
    allowed = {"permit": GRANTS, "forbid": TAKES, "oblige": CONDITIONS}[effect]
    actions = some(r, ACTIONS[:-1], 7) or frozenset({"read"})
    conditions = some(r, allowed, r.choice((0, 1, 1, 2)))
    actions = forbiddable(conditions, actions) if effect == "forbid" else actions
    obligation = f"duty-{r.randrange(OBLIGATIONS)}" if effect == "oblige" else ""
    return Rule(f"rule-{number}", effect, actions, some(r, PURPOSES, 3) or frozenset({"research"}),
                r.choice((frozenset(), some(r, ROLES, 3))), conditions,
                r.choice(("", "") + DATASETS), r.choice(("", "", "", "a", "b", "ab")), obligation,
                *r.choice(((0, 0), (0, 0), (0, 0), (NOW, 0), (0, NOW), (NOW + 1, 0), (NOW - 1, NOW + 1))))


def at_once(rules, rule):
    """The most rules that could speak with this one about the same action, purpose and dataset."""
    return max(sum(a in k.actions and p in k.purposes and k.dataset in ("", rule.dataset) for k in rules)
               for a in rule.actions for p in rule.purposes)


def a_budget(r, number):
    names = {"project": PROJECTS, "service": SERVICES}
    purpose, per, period = r.choice(SLOTS)
    most = Count(*(r.choice(MOST) for _ in Count._fields))
    return Budget(f"budget-{number}", purpose, per, period, most if any(most) else Count(5, 5, 5),
                  r.choice((frozenset(), some(r, names[per], 3))))


def of_names(budget):
    """Whom it is for, of whom there may be no other for: "" is all whom no other names."""
    return {(budget.purpose, budget.per, budget.period, name) for name in budget.names or {""}}


def budgets(r):
    made, taken = [], set()
    for number in range(r.choice((0, 0, 1, 2, 4, 8, 24))):
        budget = a_budget(r, number)
        if len(made) < BUDGETS and not taken & of_names(budget):
            made.append(budget)
            taken |= of_names(budget)
    return tuple(made)


def a_use(r):
    """A table where nothing is beyond any bound, little is, or much."""
    rate = r.choice((0, 0.05, 0.4))
    return {(per, period): Count(*(r.choice(BEYOND if r.random() < rate else WITHIN) for _ in Count._fields))
            for per in PERS for period in PERIODS}


def generous(r):
    """Rules that permit, so that budgets come to speak."""
    reader = Rule("reader", "permit", LOOKS, frozenset(PURPOSES))
    glass = Rule("glass", "permit", LOOKS, frozenset({"treatment"}), conditions=frozenset({"break-glass"}))
    care = Rule("care", "permit", LOOKS, frozenset({"treatment"}), conditions=frozenset({"care-relation"}))
    return r.choice(([reader], [reader, glass], [care, glass]))


def a_policy(r):
    rules = []
    for number in range(r.choice((0, 1, 2, 3, 5, 8, 12, 20, 40, 64))):
        rules.append(a_rule(r, number))
        if max(at_once(rules, k) for k in rules) > RULES_AT_ONCE:
            rules.pop()
    if len(rules) < 6 and r.random() < 0.7:
        rules = generous(r) + rules
    return Policy(tuple(rules), r.choice((0, 0, 1, 7)), budgets(r))


def to_users(r):
    """Consents with terms of users, of which one has all and names some of those who ask."""
    yield Consent(True, OF_USERS, countries=("DK", "SE"), services=("P1", "S2"), projects=("P2", "P22"),
                  organisations=("O1",), research_until=NOW + 1)
    for _ in range(10):
        terms = tuple(r.sample(OF_USERS, r.randint(1, 3)))
        yield Consent(True, terms, **beside(r, terms))


def fair_questions(r, parts):
    """Reads that little but a budget or a term of users stands against: by chance alone there are hardly any."""
    policies = [Policy(tuple(generous(r)), 0, budgets(r)) for _ in range(40)]
    services = [Service(True, frozenset(ROLES), frozenset(PURPOSES[1:]), name, *facts) for name in SERVICES
                for facts in ((), ("O1", "DK", True), ("O11", "KD", False))]
    consents = [Consent(True, (4,)), Consent(False, (42,), custody_until=NOW + 1)] * 6 + list(to_users(r))
    subjects = [Subject(True, False, consent, in_care) for consent in consents for in_care in (False, True)]
    purposes = [Purpose("treatment"), Purpose("treatment", emergency=True),
                *(Purpose("research", project, "A1") for project in PROJECTS)]
    project = Project(True, True, True)
    approvals = [Approval(True, False, True, True, True, non_commercial=n) for n in (False, True)]
    while True:
        q = Question(NOW, "read", r.choice(purposes), r.choice(services), r.choice(subjects), File(True), project,
                     r.choice(approvals), r.choice(policies), None, NOW, r.choice(parts["use"]))
        changed = r.choice(("subject", "service", "file", "policy", "action"))
        yield q._replace(**{changed: r.choice(parts[changed])}) if r.random() < 0.3 else q


def random_questions(seed, count, policies=40, parts=400):
    """Parts are made once and combined: so most of the time is spent on decisions."""
    r = random.Random(seed)
    known = [a_policy(r) for _ in range(policies)] + [None]
    services, subjects = [a_service(r) for _ in range(60)], [a_subject(r) for _ in range(parts)]
    files, uses = [a_file(r) for _ in range(30)], [NO_USE] + [a_use(r) for _ in range(60)]
    named = []
    for _ in range(parts):
        purpose = a_purpose(r)
        named.append((purpose, a_project(r, purpose), an_approval(r, purpose)))
    fair = fair_questions(r, {"subject": subjects, "service": services, "file": files, "policy": known,
                              "action": ACTIONS[:-1], "use": uses})
    for _ in range(count):
        if r.random() < 0.15:
            yield next(fair)
            continue
        purpose, project, approval = r.choice(named)
        action = r.choice(ACTIONS + ("read", "read", "list", "metadata", "deposit")) if r.random() < 0.99 else "unknown"
        time = NOW if r.random() < 0.95 else r.choice((0, 1, NOW - 1, NOW + 1))
        yield Question(time, action, purpose, r.choice(services), r.choice(subjects), r.choice(files), project,
                       approval, r.choice(known), r.choice((DISEASES, DISEASES, None)),
                       r.choice((0, 1, time, time - DAY, time - 7 * DAY + 1, time, time)) if time > 7 * DAY else time,
                       r.choice(uses))
