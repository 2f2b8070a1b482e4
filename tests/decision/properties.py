"""What must hold of the decision function's answers whatever the oracle says: nothing that is taken away permits, the
order of rules means nothing, there is always a reason, budgets speak last, and nothing that a service is told comes
from the patient, but that it would have been permitted without its budgets."""
import collections
import itertools
import random

import ask
import chance
import oracle
import world
from oracle import Consent, Count, File, Subject

EVERY_SHORT, EVERY_LONG = 97, 17  # of a world's questions: primes
EVERY_OF_USERS = 7  # where little is permitted to begin with
RANDOM_SHORT, RANDOM_LONG = 5_000, 100_000

# --- What is taken away: each gives None where there is nothing to take ---


def with_consent(q, **changes):
    consent = q.subject.consent
    return consent and q._replace(subject=q.subject._replace(consent=consent._replace(**changes)))


def withdrawn(q, r):
    return q.subject.consent and q._replace(subject=q.subject._replace(consent=None))


def opted_out(q, r):
    return q.subject.known and q._replace(subject=q.subject._replace(opted_out=True))


def consent_ended(q, r):
    return with_consent(q, expires=r.choice((1, q.time - 1, q.time)) if q.time > 1 else 1)


def outgrown(q, r):
    return with_consent(q, custody_until=r.choice((1, q.time - 1, q.time)) if q.time > 1 else 1)


def approval_revoked(q, r):
    return q.approval.known and q._replace(approval=q.approval._replace(revoked=True))


def approval_ended(q, r):
    return q.approval.known and q._replace(approval=q.approval._replace(valid_until=max(q.time, 1)))


def project_closed(q, r):
    return q.project.known and q._replace(project=q.project._replace(open=False))


def member_no_more(q, r):
    return q.project.known and q._replace(project=q.project._replace(member=False))


def service_revoked(q, r):
    return q._replace(service=q.service._replace(known=False))


def term_added(q, r):
    consent = q.subject.consent
    more = [t for t in chance.TERMS if consent and t not in consent.research]
    if not consent or not consent.research or not more or len(consent.research) >= 32:
        return None
    term = r.choice(more)
    said = {"diseases": r.choice(world.CONSENTED)} if term == 7 else r.choice([{}, *world.NAMED.get(term, ())])
    return with_consent(q, research=consent.research + (term,), **said)


def fewer_named(q, r):
    """Down to nobody: what is not said is not decidable, and does not mean all."""
    consent = q.subject.consent
    fields = [f for f in ("countries", "organisations", "projects", "services") if consent and getattr(consent, f)]
    if not fields:
        return None
    field = r.choice(fields)
    names = getattr(consent, field)
    return with_consent(q, **{field: tuple(r.sample(names, r.randrange(len(names))))})


def research_ends_sooner(q, r):
    until = q.subject.consent.research_until if q.subject.consent else 0
    return with_consent(q, research_until=r.choice((0, until - 1, until // 2))) if until else None


def care_ended(q, r):
    return q.subject.in_care and q._replace(subject=q.subject._replace(in_care=False))


def less_known_of_service(q, r):
    known = {field: value for field, value in (("country", ""), ("organisation", ""), ("not_for_profit", False))
             if getattr(q.service, field) != value}
    lost = chance.some(r, sorted(known), 3)
    return q._replace(service=q.service._replace(**{field: known[field] for field in lost})) if lost else None


def approval_commercial(q, r):
    return q.approval.non_commercial and q._replace(approval=q.approval._replace(non_commercial=False))


def findings_narrowed(q, r):
    narrower = {"all": ("actionable", "none"), "actionable": ("none",), "none": ()}
    less = narrower[q.subject.consent.findings] if q.subject.consent else ()
    return with_consent(q, findings=r.choice(less)) if less else None


def recontact_refused(q, r):
    return with_consent(q, recontact=False) if q.subject.consent and q.subject.consent.recontact else None


def forbid_added(q, r):
    if q.policy is None or len(q.policy.rules) >= chance.RULES_AT_ONCE:
        return None
    conditions = r.choice([(), *((c,) for c in chance.TAKES)])
    more = world.rule("added", "forbid", conditions, dataset=r.choice(("", "D1")))
    return q._replace(policy=q.policy._replace(rules=q.policy.rules + (more,)))


def register_older(q, r):
    return q._replace(register_of=r.choice((0, 1, q.register_of // 2))) if q.register_of > 1 else None


def more(r, count):
    """Nothing, a little or very much more."""
    return min(count + r.choice((0, 0, 1, 10, 2**60)), 2**64 - 1)


def more_read(q, r):
    if q.policy is None or not q.policy.budgets:
        return None
    return q._replace(use={(per, period): Count(*(more(r, c) for c in q.use.get((per, period), Count())))
                           for per in oracle.PERS for period in oracle.PERIODS})


def narrower(q, r, budget):
    """For all that have none yet, or for names that have none: a name's own would free it from the one for all."""
    its = [b for b in q.policy.budgets if (b.purpose, b.per, b.period) == (budget.purpose, budget.per, budget.period)]
    free = budget.names - frozenset().union(*(b.names for b in its))
    if not all(b.names for b in its):
        return None
    return budget._replace(id="added", names=free) if free or not budget.names else None


def budget_added(q, r):
    added = q.policy and len(q.policy.budgets) < chance.BUDGETS and narrower(q, r, chance.a_budget(r, 0))
    return q._replace(policy=q.policy._replace(budgets=q.policy.budgets + (added,))) if added else None


def lower(r, most):
    return r.randint(1, most) if most else r.choice((0, 0, 1, 5))


def budget_lowered(q, r):
    if q.policy is None or not q.policy.budgets:
        return None
    lowered = r.randrange(len(q.policy.budgets))
    budgets = tuple(b._replace(most=Count(*(lower(r, m) for m in b.most))) if i == lowered else b
                    for i, b in enumerate(q.policy.budgets))
    return q._replace(policy=q.policy._replace(budgets=budgets))


TAKEN_AWAY = {"the day comes from which the patient decides alone": outgrown, "more was read": more_read,
              "a budget is added": budget_added, "a budget is lowered": budget_lowered,
              "the register of opt-outs is older": register_older,
              "the consent is withdrawn": withdrawn, "the subject opts out": opted_out,
              "the consent ends": consent_ended, "the approval is revoked": approval_revoked,
              "the approval ends": approval_ended, "the project is closed": project_closed,
              "the service is no member any more": member_no_more, "the service is revoked": service_revoked,
              "a term is added to a consent": term_added, "a consent names fewer": fewer_named,
              "the time for research ends sooner": research_ends_sooner, "the care ends": care_ended,
              "a service has no country, organisation or mark any more": less_known_of_service,
              "the approval is for commercial use too": approval_commercial,
              "fewer findings are wanted": findings_narrowed, "no contact is wanted": recontact_refused, "a rule that forbids is added": forbid_added}


# --- Order, and what is told ---

def reordered(q, r):
    if q.policy is None or max(len(q.policy.rules), len(q.policy.budgets)) < 2:
        return None
    rules, budgets = q.policy.rules, q.policy.budgets[::-1]
    rules = r.choice((rules[::-1], tuple(r.sample(rules, len(rules)))))
    return q._replace(policy=q.policy._replace(rules=rules, budgets=budgets))


OTHER_SUBJECTS = [Subject(False), Subject(True), Subject(True, True), Subject(True, False, Consent()),
                  Subject(True, False, Consent(True, (4,), (), "all", True)),
                  Subject(True, False, None, True), Subject(True, False, Consent(True, (4,), (), "all", True), True),
                  Subject(True, False, Consent(True, (12,), (), "actionable", True, 1), True),
                  Subject(True, False, Consent(True, (22, 26), countries=("DK", "NO"), services=("S1", "S2"))),
                  Subject(True, False, Consent(True, (18, 25), research_until=chance.NOW + 1), True),
                  Subject(True, False, Consent(True, (27, 46), projects=("P1",)), True),
                  Subject(True, False, Consent(True, (25, 28), organisations=("O2",), research_until=chance.NOW)),
                  Subject(True, False, Consent(True, (4,), (), "all", True, 0, 1)),
                  Subject(True, True, Consent(False, (6, 11), (), "none", False)),
                  Subject(True, False, Consent(True, (7, 16, 44), ("MONDO:11",), "none", True))]
OTHER_FILES = [File(False), *(File(True, d, t) for d in chance.DATASETS for t in chance.TAGS)]


def other_patient(q, r):
    """Another subject and another file, which the approval covers or not."""
    approval = q.approval
    if approval.known:
        approval = approval._replace(for_dataset=r.choice((False, True)))
    return q._replace(subject=r.choice(OTHER_SUBJECTS), file=r.choice(OTHER_FILES), approval=approval)


# --- Checks ---

def never_permits(before, after):
    return before[0][0] == oracle.PERMIT or after[0][0] != oracle.PERMIT


def same(before, after):
    return before == after


def told_the_same(before, after):
    """But of budgets, where they alone stand against one of the two: of the other nothing is told, as of a permit."""
    other = {answer[0][0] == oracle.OVER_BUDGET: answer for answer in (before, after)}
    return not other[False][1] if len(other) == 2 else before[1] == after[1]


def speaks_last(before, after):
    """More was read. What is denied for other reasons stays to the letter; of what was not, only budgets say more."""
    if before[0][0] in (oracle.DENY, oracle.PERSON):
        return before == after
    said = after[0][1] - before[0][1]
    over = after[0][0] == oracle.OVER_BUDGET
    return (over or before[0][0] == after[0][0]) and before[0][1] <= after[0][1] and all(
        r.rule.startswith("budget") and r.concern == oracle.SERVICE and r.against == over for r in said)


CHECKS = {**{name: (change, never_permits) for name, change in TAKEN_AWAY.items()},
          "the rules have another order": (reordered, same),
          "more was read, and all that is told of it is a budget": (more_read, speaks_last),
          "it is another patient or file": (other_patient, told_the_same)}
ALWAYS = "there is a reason"


class Outcome:
    def __init__(self):
        self.cases = 0
        self.permits = 0     # that the change started from: without any, nothing was shown
        self.broken = []     # (question, its answer, changed question, its answer)


def questions(short, seed):
    every = EVERY_SHORT if short else EVERY_LONG
    for parts in [*world.WHOLE.values(), *world.LARGE.values()]:
        for dimensions in parts:
            yield from world.combine(dimensions, every)
    yield from world.combine(world.users(), EVERY_OF_USERS)
    yield from chance.random_questions(f"{seed}-properties", RANDOM_SHORT if short else RANDOM_LONG)


def pairs(batch, r):
    for q in batch:
        for name, (change, holds) in CHECKS.items():
            changed = change(q, r)
            if changed:
                yield name, holds, q, changed


def take(outcomes, batch, r):
    made = list(pairs(batch, r))
    said = ask.ask(batch + [changed for _, _, _, changed in made], chance.DISEASES_TEXT)
    of = {id(q): answer for q, answer in zip(batch, said)}
    for (name, holds, q, changed), after in zip(made, said[len(batch):]):
        outcome, before = outcomes[name], of[id(q)]
        outcome.cases += 1
        outcome.permits += before[0][0] == oracle.PERMIT
        if not holds(before, after):
            outcome.broken.append((q, before, changed, after))
    outcomes[ALWAYS].cases += len(said)
    outcomes[ALWAYS].permits += sum(a[0][0] == oracle.PERMIT for a in said)
    outcomes[ALWAYS].broken += [(q, a, q, a) for q, a in zip(batch, said) if not a[0][1]]


def check(short, seed):
    """Outcomes by the name of the property."""
    r = random.Random(f"{seed}-changes")
    outcomes = collections.defaultdict(Outcome, {name: Outcome() for name in [ALWAYS, *CHECKS]})
    asked = questions(short, seed)
    while batch := list(itertools.islice(asked, 4000)):
        take(outcomes, batch, r)
    return outcomes


def failed(outcomes):
    return sum(bool(o.broken) or o.permits == 0 for o in outcomes.values())


def report(outcomes, words=repr, shown=2):
    for name, o in outcomes.items():
        yield f"{o.cases:9}  {name}{f', broken {len(o.broken)} times' if o.broken else ''}"
    for name, o in outcomes.items():
        for q, before, changed, after in o.broken[:shown]:
            yield f"broken: {name}\n{words(q, before)}\n  and then\n{words(changed, after)}"
