"""The decision a second time, written from docs/decision.md and docs/format-documents.md alone: what the decision
function (policies/) says must be the same for every question. Slow, without tricks, in the order of the document.

Sets stand for masks; a purpose, a consent and a policy are the documents; what is not there is None."""
from typing import NamedTuple, Optional

ACTIONS = ("deposit", "read", "list", "metadata", "remove", "shred", "export", "administer")
ROLES = ("depositor", "reader", "registrar", "auditor", "custodian", "operator")
PURPOSES = ("none", "treatment", "research")
CONDITIONS = ("consent-treatment", "consent-research", "no-consent", "opted-out", "project-open", "no-project",
              "approval-valid", "no-approval", "findings-limited", "findings-refused", "no-recontact", "break-glass",
              "custody-over", "care-relation", "no-care-relation")
PERS = ("project", "service")
PERIODS = ("day", "month", "year", "ever")

SERVICE, PATIENT = "service", "patient"
PERMIT, DENY, PERSON = "permit", "deny", "person"
OVER_BUDGET = "over budget"  # a deny by budgets alone


class Purpose(NamedTuple):
    kind: str
    project: str = ""
    approval: str = ""
    disease: str = ""
    uses: frozenset = frozenset()  # numbers of DUO terms, 31 to 40
    emergency: bool = False  # treatment that states why glass is broken


class Service(NamedTuple):
    known: bool
    roles: frozenset = frozenset()
    purposes: frozenset = frozenset()
    name: str = "S1"
    organisation: str = ""  # what is not known is ""
    country: str = ""
    not_for_profit: bool = False


class Consent(NamedTuple):
    treatment: bool = False
    research: tuple = ()  # numbers of DUO terms
    diseases: tuple = ()
    findings: str = "none"
    recontact: bool = False
    expires: int = 0  # 0: never
    custody_until: int = 0  # 0: the patient signed
    countries: tuple = ()  # beside the term that asks for them; empty: it does not say
    organisations: tuple = ()
    projects: tuple = ()
    services: tuple = ()
    research_until: int = 0  # 0: it does not say


class Subject(NamedTuple):
    known: bool
    opted_out: bool = False
    consent: Optional[Consent] = None  # the one in force
    in_care: bool = False  # of the service that asks, now


class File(NamedTuple):
    known: bool
    dataset: str = ""
    tags: tuple = ()


class Project(NamedTuple):
    known: bool
    open: bool = False
    member: bool = False


class Approval(NamedTuple):
    known: bool
    revoked: bool = False
    for_project: bool = False
    for_dataset: bool = False
    for_purpose: bool = False
    valid_from: int = 0  # 0: no bound
    valid_until: int = 0
    non_commercial: bool = False


class Rule(NamedTuple):
    id: str
    effect: str
    actions: frozenset
    purposes: frozenset
    roles: frozenset = frozenset()
    conditions: frozenset = frozenset()
    dataset: str = ""
    tag: str = ""
    obligation: str = ""
    since: int = 0  # it counts from then on
    until: int = 0  # and before then; 0: no bound


class Count(NamedTuple):
    bytes: int = 0
    files: int = 0
    subjects: int = 0


class Budget(NamedTuple):
    id: str
    purpose: str
    per: str
    period: str
    most: Count  # 0: no bound
    names: frozenset = frozenset()  # empty: for all that no other names


class Policy(NamedTuple):
    rules: tuple
    register_days: int = 0  # how old the register of opt-outs may be; 0: of any age
    budgets: tuple = ()


NO_USE = {}


class Question(NamedTuple):
    time: int
    action: str  # anything else than ACTIONS is an action that is not known
    purpose: Purpose
    service: Service
    subject: Subject
    file: File
    project: Project
    approval: Approval
    policy: Optional[Policy]
    diseases: Optional[dict]  # read_diseases(); None: the vault has no table
    register_of: int = 0  # day of the register of opt-outs that was taken in last; 0: none
    use: dict = NO_USE  # by per and period, the Count with this read; what is left out is 0


class Reason(NamedTuple):
    rule: str
    against: bool
    concern: str


# --- Diseases ---

def read_diseases(text):
    """A disease and the ones that it is a kind of, one step up."""
    parents = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            child, parent = line.split("\t")
            parents.setdefault(child, set()).add(parent)
    return parents


def is_kind(diseases, disease, of):
    """At any distance; a disease that is not in the table is a kind of itself."""
    if disease == of:
        return True
    return any(is_kind(diseases, parent, of) for parent in (diseases or {}).get(disease, ()))


# --- Terms of the Data Use Ontology ---

NO_RESTRICTION, GENERAL_USE, ETHICS_APPROVAL = 4, 42, 21
HEALTH, DISEASE_SPECIFIC, ANCESTRY_ONLY = 6, 7, 11
NO_METHODS, GENETIC_ONLY, NO_ANCESTRY = 15, 16, 44
GEOGRAPHIC, TIME_LIMIT, USER, PROJECT, INSTITUTION = 22, 25, 26, 27, 28
NOT_FOR_PROFIT, NON_COMMERCIAL, NEITHER_PROFIT_NOR_COMMERCE = 45, 46, 18
USE_METHODS, USE_ANCESTRY, USE_BIOMEDICAL, USE_GENETIC, USE_DRUGS, USE_DISEASES = 31, 33, 37, 38, 39, 40


def is_medical(purpose):
    return purpose.disease != "" or bool(purpose.uses & {USE_BIOMEDICAL, USE_DRUGS, USE_DISEASES})


def is_of_ancestry(purpose):
    return USE_ANCESTRY in purpose.uses


# Whether the use fits the term; of DISEASE_SPECIFIC that is half of it.
USE_FITS = {
    NO_RESTRICTION: lambda p: True,
    GENERAL_USE: lambda p: True,
    HEALTH: lambda p: is_medical(p) and not is_of_ancestry(p),
    DISEASE_SPECIFIC: lambda p: not is_of_ancestry(p),
    ANCESTRY_ONLY: lambda p: p.uses == {USE_ANCESTRY} and p.disease == "",
    NO_METHODS: lambda p: bool(p.uses) and USE_METHODS not in p.uses,
    GENETIC_ONLY: lambda p: USE_GENETIC in p.uses,
    ETHICS_APPROVAL: lambda p: True,
    NO_ANCESTRY: lambda p: bool(p.uses) and not is_of_ancestry(p),
}


def disease_is_consented(q):
    purpose, consent = q.purpose, q.subject.consent
    return purpose.disease != "" and any(is_kind(q.diseases, purpose.disease, d) for d in consent.diseases)


# Who is asked about, and whom the consent names.
NAMED = {
    GEOGRAPHIC: lambda q, consent: (q.service.country, consent.countries),
    USER: lambda q, consent: (q.service.name, consent.services),
    PROJECT: lambda q, consent: (q.purpose.project, consent.projects),
    INSTITUTION: lambda q, consent: (q.service.organisation, consent.organisations),
}


def is_one_of(name, names):
    """What is not known is none of them."""
    return name != "" and name in names


def against_users(q, term):
    name, names = NAMED[term](q, q.subject.consent)
    if not names:
        return {"consent-not-decidable"}
    return set() if is_one_of(name, names) else {"consent-other-user"}


def research_is_over(consent, now):
    """At the first second of the day."""
    return now >= consent.research_until


def against_time(q):
    consent = q.subject.consent
    if consent.research_until == 0:
        return {"consent-not-decidable"}
    return {"consent-research-over"} if research_is_over(consent, q.time) else set()


def is_not_for_profit(q):
    return q.service.not_for_profit


def is_non_commercial(q):
    return q.approval.non_commercial


def against_profit(q, term):
    rules = set()
    if term != NON_COMMERCIAL and not is_not_for_profit(q):
        rules.add("consent-other-user")
    if term != NOT_FOR_PROFIT and not is_non_commercial(q):
        rules.add("consent-other-use")
    return rules


def against_research(q, term):
    """The rules by which this term of the consent does not permit this research."""
    if term in NAMED:
        return against_users(q, term)
    if term == TIME_LIMIT:
        return against_time(q)
    if term in (NOT_FOR_PROFIT, NON_COMMERCIAL, NEITHER_PROFIT_NOR_COMMERCE):
        return against_profit(q, term)
    if term not in USE_FITS:
        return {"consent-not-decidable"}
    rules = set() if USE_FITS[term](q.purpose) else {"consent-other-use"}
    if term == DISEASE_SPECIFIC and not disease_is_consented(q):
        rules.add("consent-other-disease")
    return rules


def terms_against(q):
    return set().union(*(against_research(q, term) for term in q.subject.consent.research))


# --- Built-in rules ---

ROLES_OF = {"deposit": {"depositor"}, "read": {"reader"}, "list": {"reader"}, "metadata": {"reader"},
            "remove": {"custodian"}, "shred": {"custodian"}, "export": {"auditor"},
            "administer": {"registrar", "auditor", "custodian", "operator"}}
LOOKS = {"read", "list", "metadata"}
NEEDS_PERMIT = {"deposit"} | LOOKS

CONCERNS_PATIENT = {"subject-unknown", "file-unknown", "consent-none", "consent-expired", "consent-outgrown",
                    "consent-refuses-treatment", "consent-refuses-research", "consent-not-decidable",
                    "consent-other-use", "consent-other-user", "consent-research-over", "consent-other-disease",
                    "opted-out", "approval-other-dataset"}
BUILT_IN = CONCERNS_PATIENT | {
    "action-unknown", "service-unknown", "role-missing", "purpose-missing", "purpose-not-allowed-to-service",
    "project-missing", "project-unknown", "project-closed", "project-not-member", "approval-missing",
    "approval-unknown", "approval-revoked", "approval-not-yet", "approval-over", "approval-other-project",
    "approval-other-use", "opt-outs-outdated",
    "no-policy", "no-permit", "role-permits"}


def is_over(end, now):
    """At the very second of the end; 0 is no end."""
    return end != 0 and now >= end


def is_outgrown(consent, now):
    """From the first second of the day on which the patient decides alone."""
    return is_over(consent.custody_until, now)


def against_service(q):
    if q.action not in ACTIONS:
        yield "action-unknown"
    if q.action in LOOKS and q.purpose.kind == "none":
        yield "purpose-missing"
    if not q.service.known:
        yield "service-unknown"
    else:
        yield from against_known_service(q)


def against_known_service(q):
    """A service that is not known has no roles and purposes that it could lack."""
    if q.action in ACTIONS and not q.service.roles & ROLES_OF[q.action]:
        yield "role-missing"
    if q.action in LOOKS and q.purpose.kind != "none" and q.purpose.kind not in q.service.purposes:
        yield "purpose-not-allowed-to-service"


def against_patient(q):
    if q.action in ACTIONS[:-2] and not q.subject.known:
        yield "subject-unknown"
    if q.action in LOOKS | {"remove"} and not q.file.known:
        yield "file-unknown"
    if q.action in LOOKS:
        yield from against_consent(q)


def against_consent(q):
    consent = q.subject.consent
    if consent is None:
        yield "consent-none"
    elif is_over(consent.expires, q.time):
        yield "consent-expired"
    if consent and q.purpose.kind == "treatment" and not consent.treatment:
        yield "consent-refuses-treatment"
    if consent and q.purpose.kind == "research":
        yield from terms_against(q) if consent.research else {"consent-refuses-research"}
        if is_outgrown(consent, q.time):
            yield "consent-outgrown"
    if q.purpose.kind == "research" and q.subject.opted_out:
        yield "opted-out"


def against_project(q):
    if q.purpose.project == "":
        yield "project-missing"
    elif not q.project.known:
        yield "project-unknown"
    else:
        if not q.project.open:
            yield "project-closed"
        if not q.project.member:
            yield "project-not-member"


def against_approval_itself(q):
    approval = q.approval
    if q.purpose.approval == "":
        yield "approval-missing"
    elif not approval.known:
        yield "approval-unknown"
    else:
        if approval.revoked:
            yield "approval-revoked"
        if q.time < approval.valid_from:
            yield "approval-not-yet"
        if is_over(approval.valid_until, q.time):
            yield "approval-over"
        if not approval.for_project:
            yield "approval-other-project"
        if not approval.for_purpose:
            yield "approval-other-use"


def against_approval(q):
    """A file that does not exist has no dataset."""
    yield from against_approval_itself(q)
    if q.file.known and q.approval.known and not q.approval.for_dataset:
        yield "approval-other-dataset"


DAY = 86400


def against_register(q):
    if q.policy is not None and q.policy.register_days:
        if q.register_of == 0 or q.time - q.register_of >= q.policy.register_days * DAY:
            yield "opt-outs-outdated"


def built_in(q):
    rules = set(against_service(q)) | set(against_patient(q))
    if q.action in LOOKS and q.purpose.kind == "research":
        rules |= set(against_project(q)) | set(against_approval(q)) | set(against_register(q))
    return rules


# --- Rules of a policy ---

def project_is_open(q):
    return not set(against_project(q))


def approval_is_valid(q):
    return not set(against_approval_itself(q)) and q.approval.for_dataset


def consent_in_force(q):
    """Over at the very second of its end."""
    consent = q.subject.consent
    return None if consent is None or is_over(consent.expires, q.time) else consent


def holds_of_consent(q, condition):
    """What is said of the consent in force does not hold without one."""
    consent = consent_in_force(q)
    if consent is None:
        return False
    if condition == "consent-treatment":
        return consent.treatment
    if condition == "consent-research":
        return bool(consent.research) and not terms_against(q) and not is_outgrown(consent, q.time)
    if condition == "custody-over":
        return is_outgrown(consent, q.time)
    if condition == "no-recontact":
        return not consent.recontact
    return consent.findings == {"findings-limited": "actionable", "findings-refused": "none"}[condition]


def is_in_care(q):
    return q.subject.in_care


def condition_holds(q, condition):
    if condition == "no-consent":
        return consent_in_force(q) is None
    if condition == "opted-out":
        return q.subject.opted_out
    if condition in ("care-relation", "no-care-relation"):
        return is_in_care(q) == (condition == "care-relation")
    if condition == "break-glass":
        return q.purpose.kind == "treatment" and q.purpose.emergency
    if condition in ("project-open", "no-project"):
        return project_is_open(q) == (condition == "project-open")
    if condition in ("approval-valid", "no-approval"):
        return approval_is_valid(q) == (condition == "approval-valid")
    return holds_of_consent(q, condition)


def speaks(q, rule):
    """Of this action and purpose, of a role that the service has, and of now."""
    return q.action in rule.actions and q.purpose.kind in rule.purposes and (
        not rule.roles or bool(rule.roles & q.service.roles)) and (
        rule.since <= q.time and (not rule.until or q.time < rule.until))


def lacks(q, rule):
    """What a rule that speaks asks for and does not find."""
    missing = {c for c in rule.conditions if not condition_holds(q, c)}
    if rule.dataset and rule.dataset != q.file.dataset:
        missing.add("dataset")
    if rule.tag and rule.tag not in q.file.tags:
        missing.add("tag")
    return missing


def holding(q, effect):
    """No policy is asked about administration."""
    if q.policy is None or q.action == "administer":
        return []
    return [r for r in q.policy.rules if r.effect == effect and speaks(q, r) and not lacks(q, r)]


def concern_of(rule):
    """The document says it of a forbid; it is the same for the other rules that are given as reasons."""
    on_patient = rule.conditions - {"project-open", "no-project", "break-glass"} or rule.dataset or rule.tag
    return PATIENT if on_patient else SERVICE


# --- No permit ---

REPORTED_BY = {"consent-treatment": {"consent-none", "consent-expired", "consent-refuses-treatment"},
               "consent-research": {"consent-none", "consent-expired", "consent-outgrown", "consent-refuses-research",
                                    "consent-not-decidable", "consent-other-use", "consent-other-user",
                                    "consent-research-over", "consent-other-disease"},
               "project-open": {"project-missing", "project-unknown", "project-closed", "project-not-member"},
               "approval-valid": {"approval-missing", "approval-unknown", "approval-revoked", "approval-not-yet",
                                  "approval-over", "approval-other-project", "approval-other-use",
                                  "approval-other-dataset", "file-unknown"}}


def is_reported(q, missing, reported):
    """The built-in rules ask for a consent to the purpose that was named, and for project and approval of research."""
    asked = {"treatment": {"consent-treatment"}, "research": {"consent-research", "project-open", "approval-valid"}}
    return missing in asked.get(q.purpose.kind, ()) and bool(REPORTED_BY[missing] & reported)


def another_could(q, missing):
    """Whether another consent or another file, which can be another patient's, has what is missing here."""
    if missing in ("project-open", "break-glass"):
        return False
    if missing == "approval-valid":
        return not set(against_approval_itself(q))
    return True


def no_permit(q, reported):
    """The concern of the reason no-permit, or None if it is not given."""
    permits = [{m for m in lacks(q, r) if not is_reported(q, m, reported)}
               for r in q.policy.rules if r.effect == "permit" and speaks(q, r)]
    if set() in permits:
        return None
    return PATIENT if any(all(another_could(q, m) for m in missing) for missing in permits) else SERVICE


# --- Breaking glass ---

UNDER_GLASS = {"consent-none", "consent-expired", "consent-refuses-treatment"}
SAID_IN_FORCE = {"findings-refused", "no-recontact", "custody-over"}


def glass_is_broken(q):
    return any("break-glass" in r.conditions for r in holding(q, "permit"))


def under_broken_glass(q):
    """What is told beside the permit, and not against it."""
    return built_in(q) & UNDER_GLASS if glass_is_broken(q) else set()


def stands_against(q, forbid):
    """Broken glass passes over what follows from what the consent says."""
    return not (forbid.conditions & SAID_IN_FORCE and glass_is_broken(q))


# --- Budgets ---

def budget_of(q, per, period):
    """Of a name it is the one that names it, else the one that names nobody."""
    name = q.purpose.project if per == "project" else q.service.name
    its = [b for b in q.policy.budgets if (b.purpose, b.per, b.period) == (q.purpose.kind, per, period)]
    return next(iter([b for b in its if name in b.names] + [b for b in its if not b.names]), None)


def is_spent(budget, count):
    return any(most and counted > most for most, counted in zip(budget.most, count))


def spent(q):
    """What the budgets say of a read that nothing else stands against."""
    if q.action != "read" or q.policy is None:
        return set()
    its = [(budget_of(q, per, period), q.use.get((per, period), Count())) for per in PERS for period in PERIODS]
    against = not glass_is_broken(q)
    return {Reason(b.id, against, SERVICE) for b, count in its if b and is_spent(b, count)}


# --- The decision ---

def reasons_against(q):
    rules = built_in(q) - under_broken_glass(q)
    reasons = {Reason(r, True, PATIENT if r in CONCERNS_PATIENT else SERVICE) for r in rules}
    reasons |= {Reason(r.id, True, concern_of(r)) for r in holding(q, "forbid") if stands_against(q, r)}
    if q.action in NEEDS_PERMIT:
        if q.policy is None:
            reasons.add(Reason("no-policy", True, SERVICE))
        else:
            concern = no_permit(q, rules)
            if concern:
                reasons.add(Reason("no-permit", True, concern))
    return reasons


def decide(q):
    """The verdict, the reasons and the obligations."""
    against = reasons_against(q)
    obliges = holding(q, "oblige")
    beside = {Reason(r.id, False, concern_of(r)) for r in holding(q, "permit") + obliges}
    beside |= {Reason(r.id, False, concern_of(r)) for r in holding(q, "forbid") if not stands_against(q, r)}
    beside |= {Reason(r, False, PATIENT) for r in under_broken_glass(q)}
    if not against:
        over = spent(q)
        if any(r.against for r in over):
            return OVER_BUDGET, frozenset(over | beside), frozenset()
        beside |= over
        if q.action not in NEEDS_PERMIT:
            beside.add(Reason("role-permits", False, SERVICE))
        return PERMIT, frozenset(beside), frozenset(r.obligation for r in obliges)
    person = {r.rule for r in against} == {"consent-not-decidable"}
    return PERSON if person else DENY, frozenset(against | beside), frozenset()


def told(decision):
    """What a service that was denied is told."""
    verdict, reasons, _ = decision
    return frozenset() if verdict == PERMIT else frozenset(r for r in reasons if r.against and r.concern == SERVICE)
