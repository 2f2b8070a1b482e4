"""Asks the decision function and the oracle the same questions, and finds where they are not of one mind.
  agreement.py [--short] [--random COUNT] [--seed SEED]
Exit 0 only if there was no difference, every verdict and every built-in rule was seen, and the properties (properties.py)
hold."""
import argparse
import collections
import itertools
import random
import sys
import time

import ask
import chance
import oracle
import properties
import world

SHOWN = 5  # differences that are printed of each world


class Tally:
    def __init__(self):
        self.cases = collections.Counter()     # by world
        self.verdicts = collections.Counter()
        self.rules = collections.Counter()
        self.differences = []                  # (world, question, what the C said, what the oracle said)
        self.seconds = collections.Counter()   # by who answered

    def missing(self):
        """Verdicts and built-in rules that were never seen."""
        verdicts = {oracle.PERMIT, oracle.DENY, oracle.OVER_BUDGET, oracle.PERSON}
        return sorted(verdicts - set(self.verdicts)) + sorted(oracle.BUILT_IN - set(self.rules))


def by_oracle(q):
    decision = oracle.decide(q)
    return decision, oracle.told(decision)


def take(tally, name, questions):
    start = time.monotonic()
    said = ask.ask(questions, chance.DISEASES_TEXT)
    asked = time.monotonic()
    for q, theirs in zip(questions, said):
        ours = by_oracle(q)
        tally.verdicts[ours[0][0]] += 1
        tally.rules.update(r.rule for r in ours[0][1])
        if ours != theirs:
            tally.differences.append((name, q, theirs, ours))
    tally.cases[name] += len(questions)
    tally.seconds["decision"] += asked - start
    tally.seconds["oracle"] += time.monotonic() - asked


def batches(questions):
    questions = iter(questions)
    while batch := list(itertools.islice(questions, ask.BATCH)):
        yield batch


def sources(short, seed, count):
    yield from world.worlds(short)
    per = max(1, min(count, 20_000))
    for number in range(count // per):
        yield "random", chance.random_questions(f"{seed}-{number}", per)


def compare(short, seed, count, only=None, progress=lambda tally: None):
    """Over the small worlds, and `count` questions at random; `only`: of one world."""
    tally = Tally()
    for name, questions in sources(short, seed, count):
        if only is None or name == only:
            for batch in batches(questions):
                take(tally, name, batch)
                progress(tally)
    return tally


# --- What people read ---

def words(value):
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(str, value))) + "}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return " ".join(f"{name}={words(part)}" for name, part in zip(value._fields, value))
    return str(value)


def answer_words(answer):
    (verdict, reasons, obligations), told = answer
    lines = [f"{r.rule} ({'against' if r.against else 'for'}, {r.concern}{', told' if r in told else ''})"
             for r in sorted(reasons)]
    return f"{verdict}: {'; '.join(lines)}; obligations {words(obligations)}"


def question_words(q):
    for name, part in zip(q._fields, q):
        if name == "diseases":
            yield f"    diseases: {'the table' if part else 'no table'}"
        elif name == "use":
            yield f"    use: {', '.join(f'{per} {period} {words(count)}' for (per, period), count in part.items())}"
        elif name != "policy":
            yield f"    {name}: {words(part)}"
    yield f"    policy: {'none' if q.policy is None else ''}"
    for rule in q.policy.rules if q.policy else ():
        if q.action in rule.actions and q.purpose.kind in rule.purposes:
            yield f"      {words(rule._replace(actions=q.action, purposes=q.purpose.kind))}"
    for budget in q.policy.budgets if q.policy else ():
        if budget.purpose == q.purpose.kind:
            yield f"      {words(budget)}"


def difference_words(name, q, theirs, ours):
    return "\n".join([f"{name}:", *question_words(q), f"    decision  {answer_words(theirs)}",
                      f"    oracle    {answer_words(ours)}"])


def asked_words(q, answer):
    return "\n".join([*question_words(q), f"    decision  {answer_words(answer)}"])


def report(tally):
    for name, count in tally.cases.items():
        bad = sum(d[0] == name for d in tally.differences)
        yield f"{count:9}  {name}{f', {bad} differences' if bad else ''}"
    for verdict, count in sorted(tally.verdicts.items()):
        yield f"{count:9}  {verdict}"
    for name in tally.cases:
        for difference in [d for d in tally.differences if d[0] == name][:SHOWN]:
            yield difference_words(*difference)
    yield from (f"never seen: {what}" for what in tally.missing())
    yield f"{sum(tally.cases.values())} cases, {len(tally.differences)} differences; " \
        f"decision {tally.seconds['decision']:.0f} s, oracle {tally.seconds['oracle']:.0f} s"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--random", type=int, default=1_000_000)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1_000_000)))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    tally = compare(given.short, given.seed, given.random,
                    progress=lambda t: print(f"{sum(t.cases.values())} cases", file=sys.stderr))
    print(*report(tally), sep="\n", flush=True)
    broken = properties.check(given.short, given.seed)
    print(*properties.report(broken, asked_words), sep="\n")
    failed = bool(tally.differences) + bool(tally.missing()) + properties.failed(broken)
    passed = 2 + len(broken) - failed
    print(f"decisions: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
