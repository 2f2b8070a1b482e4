"""Small worlds: questions over every combination of a few dimensions each. Together all dimensions are there; each
world says why the ones that it holds still cannot matter to those that it varies."""
import itertools

from chance import (DATASETS, DECIDABLE, DISEASES, GRANTS, NOT_DECIDABLE, NOT_IN_ONTOLOGY, NOW, OF_USERS, SLOTS, TAGS,
                    TAKES, TERMS, USES, forbiddable)
from oracle import (ACTIONS, CONDITIONS, DAY, NO_USE, PERIODS, PERS, PURPOSES, ROLES, Approval, Budget, Consent, Count,
                    File, Policy, Project, Purpose, Question, Rule, Service, Subject)

ALL_ACTIONS = ACTIONS + ("unknown",)
LOOKS = ("read", "list", "metadata")
SETTABLE = frozenset(ACTIONS[:-1])
EVERY_PURPOSE = frozenset(PURPOSES)

# --- Policies ---


def rule(name, effect, conditions=(), **more):
    obligation = "duty-" + name if effect == "oblige" else ""
    actions = forbiddable(conditions, SETTABLE) if effect == "forbid" else SETTABLE
    return Rule(name, effect, actions, EVERY_PURPOSE, conditions=frozenset(conditions), obligation=obligation, **more)


BARE = rule("bare", "permit")


def denmark():
    looks, both = frozenset(LOOKS), frozenset({"treatment", "research"})
    reader, research = frozenset({"reader"}), frozenset({"research"})
    duties = {"findings-refused": "no-secondary-findings", "findings-limited": "actionable-findings-only",
              "no-recontact": "do-not-recontact"}
    return Policy((
        Rule("deposit", "permit", frozenset({"deposit"}), frozenset({"none"}), frozenset({"depositor"})),
        Rule("treatment", "permit", looks, frozenset({"treatment"}), reader, frozenset({"consent-treatment"})),
        Rule("research", "permit", looks, research, reader,
             frozenset({"consent-research", "project-open", "approval-valid"})),
        Rule("research-opted-out", "forbid", looks, research, conditions=frozenset({"opted-out"})),
        *(Rule(c, "oblige", frozenset({"read"}), both, conditions=frozenset({c}), obligation=o)
          for c, o in duties.items())))


def conditional():
    """Each condition in each effect that may have it, alone."""
    yield from (Policy((rule("permit-" + c, "permit", [c]),)) for c in GRANTS)
    yield from (Policy((BARE, rule("forbid-" + c, "forbid", [c]))) for c in TAKES)
    yield from (Policy((BARE, rule("oblige-" + c, "oblige", [c]))) for c in CONDITIONS)


def about_files():
    for effect, beside in (("permit", ()), ("forbid", (BARE,)), ("oblige", (BARE,))):
        yield Policy((*beside, rule("dataset", effect, dataset="D1")))
        yield Policy((*beside, rule("tag", effect, tag="a")))
        yield Policy((*beside, rule("both", effect, dataset="D1", tag="b")))
        yield Policy((*beside, rule("dataset", effect, dataset="D1"), rule("tag", effect, tag="ab")))
    for condition in GRANTS:
        yield Policy((rule("dataset", "permit", [condition], dataset="D1"),))
        yield Policy((rule("dataset", "permit", dataset="D2"), rule("tag", "permit", [condition], tag="a")))
    yield Policy((BARE, rule("dataset", "forbid", ["no-project"], dataset="D1")))


def about_roles():
    for effect, beside in (("permit", ()), ("forbid", (BARE,)), ("oblige", (BARE,))):
        yield Policy((*beside, rule("reader", effect, roles=frozenset({"reader"}))))
        yield Policy((*beside, rule("two", effect, roles=frozenset({"custodian", "depositor"}))))
    yield Policy((rule("no", "permit", GRANTS, roles=frozenset({"reader"})), rule("tag", "permit", tag="never")))


def about_times():
    """Rules of yesterday, of now and of tomorrow, to the second."""
    for effect, beside in (("permit", ()), ("forbid", (BARE,)), ("oblige", (BARE,))):
        for since, until in ((NOW, 0), (NOW + 1, 0), (0, NOW), (0, NOW + 1), (NOW, NOW + 1), (NOW - 1, NOW), (NOW + 1, NOW + 2)):
            yield Policy((*beside, rule("timed", effect, since=since, until=until)))
    yield Policy((rule("over", "permit", GRANTS, until=NOW), rule("d1", "permit", dataset="D1", since=NOW)))


DENMARK, PERMIT_ALL = denmark(), Policy((BARE,))
PLAIN = [None, Policy(()), DENMARK, PERMIT_ALL, Policy((BARE, rule("never", "forbid"))),
         Policy((BARE, rule("always", "oblige")))]
BOTH_NEEDED = Policy((rule("all", "permit", GRANTS), rule("some", "permit", ["project-open", "approval-valid"])))
PURPOSE_BOUND = Policy((Rule("for-treatment", "permit", SETTABLE, frozenset({"treatment"})),))
OWN_PATIENTS = Policy((rule("own", "permit", ["care-relation", "consent-treatment"]),
                       rule("glass", "permit", ["break-glass"])))
CONDITIONAL = list(conditional()) + [BOTH_NEEDED, PURPOSE_BOUND, OWN_PATIENTS]
FILES_TOLD_APART, ROLES_TOLD_APART, TIMES_TOLD_APART = list(about_files()), list(about_roles()), list(about_times())

# --- What stands still in a world is what nothing is against ---

SERVICE = Service(True, frozenset(ROLES), frozenset({"treatment", "research"}), "S1", "O1", "DK", True)
FILE = File(True, "D1", ("a",))
PROJECT = Project(True, True, True)
APPROVAL = Approval(True, False, True, True, True, 1, NOW + 1, True)
UNNAMED_PROJECT, UNNAMED_APPROVAL = Project(False), Approval(False)
CONSENT = Consent(True, (4,), findings="actionable", recontact=True)
SUBJECT = Subject(True, False, CONSENT)
RESEARCH = Purpose("research", "P1", "A1", "MONDO:11", frozenset({37}))
OTHER_PURPOSES, EMERGENCY = [Purpose("none"), Purpose("treatment")], Purpose("treatment", emergency=True)


def question(action="read", purpose=RESEARCH, service=SERVICE, subject=SUBJECT, file=FILE, project=PROJECT,
             approval=APPROVAL, policy=DENMARK, diseases=DISEASES, register_of=NOW, use=NO_USE):
    named = purpose.kind == "research"
    return Question(NOW, action, purpose, service, subject, file, project if named else UNNAMED_PROJECT,
                    approval if named else UNNAMED_APPROVAL, policy, diseases, register_of, use)


def combine(dimensions, stride):
    """Every combination, or each stride-th one: a prime that no dimension has, so that all values still come."""
    names = list(dimensions)
    assert stride == 1 or all(len(values) % stride for values in dimensions.values())
    for values in itertools.islice(itertools.product(*dimensions.values()), 0, None, stride):
        yield question(**dict(zip(names, values)))


# --- The worlds ---

CONSENTED = (("MONDO:11",), ("MONDO:77",), ("MONDO:12", "MONDO:9"))
# None, the first that is consented, a kind of it, a kind of a kind on two ways, what it is a kind of, another branch,
# the second that is consented in one case, what that is a kind of, and two in no table, one consented.
ASKED = ("", "MONDO:11", "MONDO:111", "MONDO:1111", "MONDO:1", "MONDO:12", "MONDO:9", "MONDO:8", "MONDO:77",
         "MONDO:78")
USE_PAIRS = tuple(frozenset(p) for p in itertools.combinations((31, 33, 37, 38, 39, 40), 2))
USE_SETS = (frozenset(), *(frozenset({u}) for u in USES), *USE_PAIRS, frozenset(USES))
ASKED_FOR = [Purpose("research", "P1", "A1", disease, uses) for disease in ASKED for uses in USE_SETS]


def consents_to(lists):
    for terms in lists:
        for diseases in CONSENTED if 7 in terms else ((),):
            yield Subject(True, False, Consent(True, terms, diseases, "all", True))


RESEARCH_POLICY = Policy((rule("research", "permit", ["consent-research"]),
                          rule("duty", "oblige", ["consent-research"])))


def one_term():
    """What a purpose says against what a list of none or one term permits. Terms are asked about in research that
    looks; who asks, for which file, under which project and approval is told by other rules, that only add reasons."""
    return {"subject": list(consents_to([(), *((t,) for t in TERMS)])), "purpose": ASKED_FOR,
            "diseases": [DISEASES, None], "policy": [RESEARCH_POLICY]}


def two_terms():
    """The same with every pair, and with long lists: a term can only add to what another has against the research. And
    under another policy and other actions."""
    pairs = list(itertools.combinations(sorted(TERMS), 2)) + [DECIDABLE, OF_USERS, NOT_DECIDABLE, NOT_IN_ONTOLOGY,
                                                              TERMS]
    return {"action": LOOKS, "subject": list(consents_to(pairs)), "purpose": ASKED_FOR, "diseases": [DISEASES, None],
            "policy": [DENMARK]}


def terms_elsewhere():
    """Where no rule asks for a consent, only a policy's condition can: other actions and purposes."""
    one = list(consents_to([(), *((t,) for t in TERMS), (4, 6), (4, 12), (16, 44)]))
    purposes = ASKED_FOR[::3] + OTHER_PURPOSES
    return {"action": [a for a in ALL_ACTIONS if a not in LOOKS] + ["read"], "subject": one, "purpose": purposes,
            "policy": [RESEARCH_POLICY]}


# --- Who does the research, and until when ---

# Names that begin alike, and those of another kind with its mark, are not those of who asks.
NAMED = {22: [{"countries": c} for c in (("DK",), ("KD", "NO"), ("NO", "DK"))],
         26: [{"services": s} for s in (("S1",), ("S", "S11", "o:O1"), ("S2", "S1", "A"))],
         27: [{"projects": p} for p in (("P1",), ("P", "P11", "s:S1"), ("P2", "P1", "A"))],
         28: [{"organisations": o} for o in (("O1",), ("O", "O11", "s:S1", "c:DK"), ("O2", "O1", "A"))],
         25: [{"research_until": NOW + by} for by in (-1, 0, 1)]}


def said_beside(terms):
    """All that a consent can say beside these terms, that it does not say it first."""
    for said in itertools.product(*([{}] + NAMED.get(term, []) for term in terms)):
        yield {field: value for each in said for field, value in each.items()}


def consents_to_users(lists):
    for terms in lists:
        yield from (Subject(True, False, Consent(True, terms, ("MONDO:11",) if 7 in terms else (), "all", True, **said))
                    for said in said_beside(terms))


ONE_USER = [(term,) for term in OF_USERS]
# What a service is: all that a consent can ask for, each of it not, or not known, or of another kind.
USERS = [SERVICE, SERVICE._replace(country=""), SERVICE._replace(country="NO"), SERVICE._replace(organisation=""),
         SERVICE._replace(organisation="O2"), SERVICE._replace(organisation="S1", name="O1"),
         SERVICE._replace(not_for_profit=False), SERVICE._replace(name="S2"), Service(False),
         Service(False, *SERVICE[1:])]
COMMERCIAL = APPROVAL._replace(non_commercial=False)


def users():
    """Each term of users and each pair of them, with all that a consent says beside them, against who asks. Other terms
    only add to what these have against the research: users_beside()."""
    pairs = list(itertools.combinations(OF_USERS, 2))
    purposes = [RESEARCH, Purpose("research", "P2", "A1"), Purpose("research", "s:S1", "A1", uses=frozenset({33})),
                *OTHER_PURPOSES]
    return {"subject": list(consents_to_users(ONE_USER + pairs)), "service": USERS, "approval": [APPROVAL, COMMERCIAL],
            "purpose": purposes, "policy": [RESEARCH_POLICY]}


def users_beside():
    """Terms of users beside other terms, in longer lists, in a consent that is over in another way, and of those who
    opted out; and where no rule asks for a consent, only a policy's condition can."""
    lists = [*ONE_USER, *((t, more) for t in OF_USERS for more in (4, 12)), (7, 25), (11, 22), (6, 46)]
    subjects = list(consents_to_users(lists))
    whole = Consent(True, OF_USERS, (), "all", True, countries=("DK",), services=("S1",), projects=("P1",),
                    organisations=("O1",), research_until=NOW + 1)
    subjects += [Subject(True, out, whole._replace(expires=expires, custody_until=custody, research_until=until))
                 for out in (False, True) for expires in (0, NOW, NOW + 1) for custody in (0, NOW, NOW + 1)
                 for until in (0, NOW, NOW + 1)]
    subjects += [Subject(True), *(Subject(True, False, whole._replace(**{field: ()}))
                                  for field in ("countries", "services", "projects", "organisations"))]
    no_research = Policy((rule("other", "permit", ["consent-research"], dataset="D2"),
                          rule("none", "forbid", ["no-consent"])))
    return {"action": ALL_ACTIONS, "subject": subjects, "service": [SERVICE, Service(True, *SERVICE[1:3])],
            "approval": [APPROVAL, COMMERCIAL], "purpose": [RESEARCH, *OTHER_PURPOSES],
            "policy": [None, DENMARK, RESEARCH_POLICY, no_research]}


def users_unnamed():
    """Where the purpose names no project or no approval, or one that is not there: nobody is meant by it."""
    subjects = list(consents_to_users([*ONE_USER, (18, 27), (27, 46), (45, 46)]))
    still = {"action": LOOKS + ("deposit",), "subject": subjects, "service": USERS,
             "policy": [RESEARCH_POLICY, DENMARK]}
    no_project, no_approval = {"project": [UNNAMED_PROJECT]}, {"approval": [UNNAMED_APPROVAL]}
    faulty = [APPROVAL._replace(for_project=False, non_commercial=n) for n in (False, True)]
    return [{**still, **no_project, "purpose": [Purpose("research", "", "A1")], "approval": faulty},
            {**still, **no_project, "purpose": [RESEARCH], "approval": faulty},
            {**still, **no_approval, "purpose": [RESEARCH, Purpose("research", "P1", "")]},
            {**still, **no_project, **no_approval, "purpose": [Purpose("research")]}]


def care():
    """Who is in the care of the service, under policies that ask for it in each effect, alone and with what a consent
    says, beside an emergency and beside a rule about files: for what no-permit says of whom."""
    own, others = ["care-relation"], ["no-care-relation"]
    glass, forbid = rule("glass", "permit", ["break-glass"]), rule("others", "forbid", others)
    treat = rule("treat", "permit", ["consent-treatment"])
    policies = [None, DENMARK, PERMIT_ALL, OWN_PATIENTS,
                *(Policy((rule("own", "permit", own + more),)) for more in
                  ([], ["consent-treatment"], ["consent-research"], ["project-open"], ["break-glass"])),
                Policy((rule("own", "permit", own), glass)), Policy((BARE, forbid)), Policy((treat, forbid)),
                Policy((treat, glass, forbid)), Policy((BARE, rule("others", "forbid", others + ["no-consent"]))),
                Policy((BARE, rule("others", "forbid", others, dataset="D2"))),
                Policy((BARE, rule("ask", "oblige", own), rule("tell", "oblige", others))),
                Policy((treat, glass, rule("tell", "oblige", others + ["break-glass"]), rule("ask", "oblige", own))),
                Policy((rule("own", "permit", own, dataset="D2"), rule("tag", "permit", own, tag="a"))),
                Policy((rule("own", "permit", own, roles=frozenset({"custodian"})),
                        rule("d2", "permit", dataset="D2")))]
    consents = [None, CONSENT, CONSENT._replace(treatment=False, research=(12,)), CONSENT._replace(expires=NOW)]
    subjects = [Subject(False), *(Subject(True, out, consent, cared_for) for cared_for in (False, True)
                                  for out, consent in [(True, CONSENT), *((False, c) for c in consents)])]
    return {"action": ALL_ACTIONS, "purpose": OTHER_PURPOSES + [EMERGENCY, RESEARCH], "subject": subjects,
            "service": [SERVICE, Service(False), Service(True, frozenset({"reader"}), frozenset({"treatment"}))],
            "file": [FILE, File(False), File(True, "D2", ("b",))], "policy": policies}


def subjects():
    yield Subject(False)
    for out in (False, True):
        yield Subject(True, out)
        for values in itertools.product((False, True), ((), (4,), (12,), (6,), (11,), (4, 12, 6)),
                                        ("none", "actionable", "all"), (False, True), (0, NOW + 1, NOW, NOW - 1)):
            treatment, research, findings, recontact, expires = values
            yield Subject(True, out, Consent(treatment, research, (), findings, recontact, expires))


def consents():
    """Everything about a subject, under every condition. The terms of a list are told apart in other worlds. Service,
    file, project and approval are in no rule together with the subject but by conditions: for those, meetings()."""
    return {"action": ALL_ACTIONS, "purpose": OTHER_PURPOSES + [RESEARCH], "subject": list(subjects()),
            "policy": PLAIN + CONDITIONAL}


def services():
    """Everything about a service, under policies that tell roles apart. No other rule looks at it; the subject stands
    for what others report meanwhile."""
    roles = [frozenset(), frozenset(ROLES), *(frozenset({r}) for r in ROLES), frozenset({"reader", "custodian"})]
    purposes = [frozenset(), frozenset({"treatment"}), frozenset({"research"}), frozenset({"treatment", "research"})]
    all_services = [Service(True, r, p) for r in roles for p in purposes]
    all_services += [Service(False), Service(False, *SERVICE[1:])]
    return {"action": ALL_ACTIONS, "service": all_services, "purpose": OTHER_PURPOSES + [RESEARCH],
            "subject": [SUBJECT, Subject(True), Subject(False)], "policy": PLAIN + CONDITIONAL[:5] + ROLES_TOLD_APART + TIMES_TOLD_APART}


def approvals():
    yield Approval(False)
    times = (0, NOW - 1, NOW, NOW + 1)
    for values in itertools.product(*[(False, True)] * 4, times, times):
        yield Approval(True, *values)


def projects():
    """Every state of a named project and of a named approval, under every condition. A consent is in no rule together
    with them but by conditions, and is there or not."""
    yes_no = (False, True)
    states = [Project(False), *(Project(True, o, m) for o in yes_no for m in yes_no)]
    asking = {"project-open", "approval-valid", "no-project", "no-approval"}
    return {"action": ALL_ACTIONS, "project": states, "approval": list(approvals()), "file": [FILE, File(False)],
            "subject": [SUBJECT, Subject(True)],
            "policy": [DENMARK, PERMIT_ALL, *(p for p in CONDITIONAL if any(asking & r.conditions for r in p.rules))]}


def unnamed():
    """What the purpose does not name is not there, and no approval is for a project that is not named."""
    still = {"action": ALL_ACTIONS, "subject": [SUBJECT, Subject(True)], "policy": PLAIN + CONDITIONAL}
    no_project, no_approval = {"project": [UNNAMED_PROJECT]}, {"approval": [UNNAMED_APPROVAL]}
    return [{**still, **no_project, "purpose": [Purpose("research", "", "A1")],
             "approval": [a for a in approvals() if not a.for_project]},
            {**still, **no_approval, "purpose": [Purpose("research", "P1", "")],
             "project": [PROJECT, Project(True, False, True), Project(True, True, False)]},
            {**still, **no_project, **no_approval, "purpose": [Purpose("research")]}]


def files():
    """Every state of a file, under policies that tell datasets and tags apart, where another rule has reported
    something or not: for what no-permit says of whom."""
    all_files = [File(False), *(File(True, d, t) for d in DATASETS for t in TAGS)]
    return {"action": ALL_ACTIONS, "file": all_files, "purpose": OTHER_PURPOSES + [RESEARCH],
            "subject": [SUBJECT, Subject(True), Subject(True, False, Consent(False, (12,)))],
            "approval": [APPROVAL, APPROVAL._replace(for_dataset=False), APPROVAL._replace(revoked=True)],
            "project": [PROJECT, Project(True, False, True)],
            "policy": [None, DENMARK, PERMIT_ALL] + FILES_TOLD_APART}


def meetings():
    """One fault of each part with one of each other: the reasons add up, and one is enough."""
    return {"action": ALL_ACTIONS, "purpose": OTHER_PURPOSES + [RESEARCH],
            "service": [SERVICE, Service(False), Service(True, frozenset(), SERVICE.purposes),
                        Service(True, SERVICE.roles)],
            "subject": [SUBJECT, Subject(False), Subject(True), Subject(True, True, CONSENT),
                        Subject(True, False, CONSENT._replace(expires=NOW)), Subject(True, False, Consent(True, (12,))),
                        Subject(True, False, Consent(False, (11,)))],
            "file": [FILE, File(False), File(True, "D2", ("ab",))],
            "project": [PROJECT, Project(True, False, False)],
            "approval": [APPROVAL, APPROVAL._replace(valid_until=NOW), APPROVAL._replace(for_dataset=False)],
            "policy": PLAIN + CONDITIONAL[:4] + [BOTH_NEEDED] + FILES_TOLD_APART[:5] + ROLES_TOLD_APART[:2]}


def registers():
    """Every age of the register of opt-outs about the bounds, under policies that ask for none and for one. It is in no
    rule together with anything else; what others report stands for them."""
    ages = [0, 1, NOW, NOW - 1, *(NOW - days * DAY + off for days in (1, 2, 7) for off in (-1, 0, 1))]
    bounds = [p._replace(register_days=days) for p in (DENMARK, PERMIT_ALL, Policy(())) for days in (0, 1, 2, 7)]
    return {"action": ALL_ACTIONS, "purpose": OTHER_PURPOSES + [RESEARCH, Purpose("research")], "register_of": ages,
            "subject": [SUBJECT, Subject(True, True, CONSENT), Subject(True, False, Consent(True, (12,)))],
            "service": [SERVICE, Service(False)], "policy": bounds + [None]}


def emergencies():
    """Treatment that breaks glass, under policies that permit it, bind it to more, forbid beside it or know nothing of it."""
    policies = [None, Policy(()), DENMARK, PERMIT_ALL]
    for more in ((), ("consent-treatment",), ("project-open",)):
        broken = rule("glass", "permit", ["break-glass", *more])
        policies += [Policy((broken,)), Policy((broken, rule("no", "forbid"))), Policy((BARE, broken)),
                     Policy((broken, rule("no", "forbid", ["no-consent"]), rule("duty", "oblige", ["break-glass"])))]
    glass = rule("glass", "permit", ["break-glass"])
    policies += [Policy((rule("glass", "permit", ["break-glass"], dataset="D2"),)),
                 Policy((rule("glass", "permit", ["break-glass"], tag="a"), rule("duty", "oblige", ["no-consent"]))),
                 Policy((rule("glass", "permit", ["break-glass"], roles=frozenset({"custodian"})),))]
    for said in ("findings-refused", "no-recontact", "custody-over"):
        policies.append(Policy((BARE, glass, rule("no", "forbid", [said]), rule("too", "forbid", [said, "no-project"]),
                                rule("out", "forbid", [said, "opted-out"]))))
    purposes = [Purpose("treatment", emergency=True), Purpose("treatment"), RESEARCH]
    return {"action": ALL_ACTIONS, "purpose": purposes, "policy": policies,
            "subject": [SUBJECT, Subject(False), Subject(True), Subject(True, True), Subject(True, True, CONSENT._replace(treatment=False)),
                        Subject(True, False, CONSENT._replace(treatment=False, expires=NOW)),
                        Subject(True, False, CONSENT._replace(expires=NOW)),
                        *(Subject(True, False, Consent(True, (4,), (), "none", False, expires, NOW))
                          for expires in (0, NOW))],
            "service": [SERVICE, Service(False), Service(True, frozenset({"reader"}), SERVICE.purposes),
                        Service(True, frozenset(ROLES), frozenset({"research"}))],
            "file": [FILE, File(False), File(True, "D2", ("b",))]}


def custody():
    """Every age of a custodian's consent with all else that a consent says against research, under policies that ask
    for it in each effect, or only for the consent. Who asks, and for which file, is in no rule together with it."""
    over = ["custody-over"]
    policies = [None, Policy(()), DENMARK, PERMIT_ALL, RESEARCH_POLICY, Policy((BARE, rule("grown", "forbid", over))),
                Policy((BARE, rule("ask", "oblige", over))),
                Policy((rule("research", "permit", ["consent-research"]), rule("grown", "forbid", over),
                        rule("ask", "oblige", over + ["findings-limited"]))),
                Policy((rule("research", "permit", ["consent-research"], dataset="D2"), rule("ask", "oblige", over))),
                Policy((rule("glass", "permit", ["break-glass"]), rule("ask", "oblige", over + ["consent-research"])))]
    subjects = [Subject(True, False, Consent(treatment, terms, (), "actionable", True, expires, until))
                for until in (0, 1, NOW - 1, NOW, NOW + 1) for expires in (0, NOW, NOW + 1)
                for treatment in (False, True) for terms in ((), (4,), (12,), (11,))]
    return {"action": ALL_ACTIONS, "purpose": OTHER_PURPOSES + [EMERGENCY, RESEARCH], "subject": subjects,
            "policy": policies}


# Bounds that differ from one another, so that none is taken for another.
BOUND, LESS, MORE = Count(10, 20, 30), Count(9, 19, 29), Count(11, 21, 31)
BUDGETED = [RESEARCH, Purpose("research", "P2", "A1"), Purpose("treatment")]
OTHER_SERVICE = SERVICE._replace(name="S2")


def named(slot):
    """The budgets of one slot: for all, for one name or others, and both."""
    name, other = ("P1", "P2") if slot[1] == "project" else ("S1", "S2")
    all_bound, all_less, all_more = (Budget("budget-all", *slot, most) for most in (BOUND, LESS, MORE))
    one, both, none = (Budget("budget-named", *slot, BOUND, frozenset(names))
                       for names in ((name,), (other, name), (other + name, name + "1", "X")))
    yield from ((all_bound,), (one,), (both,), (none,), (all_less, one), (one, all_more), (all_more, none),
                (one, all_less, Budget("budget-other", *slot, MORE, frozenset({other}))))


def levels(slots=tuple(itertools.product(PERS, PERIODS))):
    """One count of one slot about its bound where nothing else was read; and all three where much was read elsewhere."""
    for slot in slots:
        for field in Count._fields:
            for by in (0, 1, 2):
                yield {slot: Count(**{field: getattr(BOUND, field) + by})}
        for count in (LESS, BOUND, MORE):
            yield {**{s: Count(*[99] * 3) for s in slots}, slot: count}


def whose_budgets():
    """Which budget a read has, and what it is asked about. Nothing else stands against it."""
    policies = [Policy((BARE,), 0, budgets) for slot in SLOTS for budgets in named(slot)]
    return {"purpose": BUDGETED, "service": [SERVICE, OTHER_SERVICE], "policy": policies, "use": list(levels())}


def which_bounds():
    """Every state of the three counts under each choice of bounds, for every action."""
    bounds = [Count(*b) for b in itertools.product(*((0, most) for most in BOUND)) if any(b)]
    counts = [Count(*c) for c in itertools.product(*((0, most, most + 1) for most in BOUND))]
    policies = [Policy((BARE, rule("ask", "oblige")), 0, (Budget("budget", *slot, most),))
                for slot in (("research", "project", "year"), ("treatment", "service", "day")) for most in bounds]
    return {"action": ALL_ACTIONS, "purpose": OTHER_PURPOSES + [RESEARCH], "policy": policies,
            "use": [{("project", "year"): c, ("service", "day"): c} for c in counts]}


EVERY_SLOT = tuple(Budget("budget-" + "-".join(slot), *slot, BOUND) for slot in SLOTS)


def budgets_last():
    """Budgets beside one fault of each other part, and an emergency with and without a permit that asks for one: they
    speak where nothing else does."""
    glass = rule("glass", "permit", ["break-glass"])
    rules = [(), (BARE,), DENMARK.rules, (BARE, rule("no", "forbid")), (BARE, rule("out", "forbid", ["opted-out"])),
             (rule("d2", "permit", dataset="D2"),), (glass,), (BARE, glass),
             (glass, rule("no", "forbid", ["no-consent"])),
             (*DENMARK.rules, glass, rule("ask", "oblige", ["break-glass"]))]
    return {"action": ["read", "list", "metadata", "shred"], "purpose": [RESEARCH, Purpose("treatment"), EMERGENCY],
            "service": [SERVICE, Service(False), Service(True, frozenset({"depositor"}), SERVICE.purposes)],
            "subject": [SUBJECT, Subject(False), Subject(True), Subject(True, True, CONSENT),
                        Subject(True, False, CONSENT._replace(treatment=False, expires=NOW)),
                        Subject(True, False, CONSENT._replace(research=(12,), treatment=False)),
                        Subject(True, False, CONSENT._replace(custody_until=NOW))],
            "file": [FILE, File(False)], "approval": [APPROVAL, APPROVAL._replace(for_dataset=False)],
            "policy": [Policy(r, 0, EVERY_SLOT) for r in rules],
            "use": [NO_USE, {("service", "day"): MORE, ("project", "ever"): MORE}]}


def spent_together():
    """Every set of spent budgets: each is a reason of its own."""
    slots = list(itertools.product(PERS, PERIODS))
    uses = [{slot: MORE for slot, over in zip(slots, spent) if over}
            for spent in itertools.product((False, True), repeat=len(slots))]
    glass = rule("glass", "permit", ["break-glass"])
    return {"action": ["read", "metadata"], "purpose": [RESEARCH, Purpose("treatment"), EMERGENCY],
            "policy": [Policy((BARE,), 0, EVERY_SLOT), Policy((glass, BARE), 0, EVERY_SLOT[::-1])], "use": uses}


# Worlds that are always whole come first.
WHOLE = {"one term": [one_term()], "emergencies": [emergencies()], "registers": [registers()],
         "which bounds": [which_bounds()], "users": [users()]}
LARGE = {"two terms": [two_terms()], "terms elsewhere": [terms_elsewhere()], "users beside": [users_beside()],
         "users unnamed": users_unnamed(), "care": [care()], "consents": [consents()],
         "services": [services()], "projects": [projects()], "unnamed": unnamed(), "files": [files()],
         "meetings": [meetings()], "custody": [custody()], "whose budgets": [whose_budgets()],
         "budgets last": [budgets_last()], "spent together": [spent_together()]}
SHORT_STRIDE = 37


def worlds(short):
    """Name and questions of each world; the large ones in the short form by a stride."""
    for name, parts in WHOLE.items():
        yield name, itertools.chain.from_iterable(combine(d, 1) for d in parts)
    for name, parts in LARGE.items():
        yield name, itertools.chain.from_iterable(combine(d, SHORT_STRIDE if short else 1) for d in parts)


def size(parts):
    total = 0
    for dimensions in parts:
        count = 1
        for values in dimensions.values():
            count *= len(values)
        total += count
    return total
