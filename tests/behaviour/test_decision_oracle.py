"""The decision function against an oracle written from docs/decision.md alone: the same verdict, reasons, concerns and
obligations for every question of small worlds, and of questions at random. The long run is tests/torture/decisions."""
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "decision"))

import agreement  # noqa: E402
import oracle  # noqa: E402
import properties  # noqa: E402

RANDOM = 40_000


def test_the_decision_and_the_oracle_are_of_one_mind():
    seed = str(random.SystemRandom().randrange(1_000_000))
    print(f"seed {seed}")
    tally = agreement.compare(True, seed, RANDOM)
    text = "\n".join(agreement.report(tally))
    print(text)
    assert not tally.differences, text
    assert not tally.missing(), text


@pytest.fixture(scope="module")
def outcomes():
    seed = str(random.SystemRandom().randrange(1_000_000))
    print(f"seed {seed}")
    return properties.check(True, seed)


@pytest.mark.parametrize("name", [properties.ALWAYS, *properties.CHECKS])
def test_it_holds_of_every_answer_that(outcomes, name):
    assert outcomes[name].permits > 0
    assert not outcomes[name].broken, "\n".join(properties.report({name: outcomes[name]}, agreement.asked_words))


def one_step(diseases, disease, of):
    return disease == of or of in (diseases or {}).get(disease, ())


def any_term(q):
    return set.intersection(*(oracle.against_research(q, term) for term in q.subject.consent.research))


# What is broken in the oracle, how, and the world in which that must be seen.
def spent_before(budget, count):
    return any(most and counted >= most for most, counted in zip(budget.most, count))


def for_all(q, per, period):
    its = [b for b in q.policy.budgets if (b.purpose, b.per, b.period) == (q.purpose.kind, per, period)]
    return next((b for b in its if not b.names), None)


PLANTS = {
    "an end is over a second late": ("is_over", lambda end, now: end != 0 and now > end, "projects"),
    "one term of a consent is enough": ("terms_against", any_term, "two terms"),
    "a rule about a file concerns the service": ("concern_of", lambda rule: oracle.SERVICE, "files"),
    "conditions see a consent that has ended": ("consent_in_force", lambda q: q.subject.consent, "consents"),
    "no-permit is given beside what it repeats": ("is_reported", lambda q, missing, reported: False, "meetings"),
    "only a step up is looked at": ("is_kind", one_step, "one term"),
    "a budget is spent before it is": ("is_spent", spent_before, "which bounds"),
    "the budget for all is everybody's": ("budget_of", for_all, "whose budgets"),
    "who is known to be nowhere is everywhere": ("is_one_of", lambda name, names: name == "" or name in names, "users"),
    "research goes on for a second": ("research_is_over", lambda c, now: now > c.research_until, "users"),
    "everybody is in care": ("is_in_care", lambda q: True, "care"),
    "what is not for profit is not commercial": ("is_non_commercial", lambda q: q.service.not_for_profit, "users"),
    "a consent forbids an emergency": ("stands_against", lambda q, forbid: True, "emergencies"),
    "a child is one for a second more": ("is_outgrown", lambda c, now: c.custody_until != 0 and now > c.custody_until, "custody"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_fault_planted_in_the_oracle_is_found(monkeypatch, plant):
    name, fault, where = PLANTS[plant]
    monkeypatch.setattr(oracle, name, fault)
    assert agreement.compare(True, "planted", 0, only=where).differences
