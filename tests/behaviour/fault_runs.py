"""Runs a list of faults one by one, each on a vault that has survived those before, and counts what landed where."""
import collections
import random
import sys
import traceback

import fault_world as world_of
import injection

LOOK_EVERY, WORLD_EVERY, TRIES = 25, 200, 3
PLACES = [(operation, process) for operation in world_of.OPERATIONS for process in world_of.PROCESSES]


class Report:
    def __init__(self):
        self.landed, self.missed, self.told = collections.Counter(), collections.Counter(), collections.Counter()
        self.failures = []

    def row(self, operation, fault, landed, told):
        where = operation, fault.process, fault.error
        (self.landed if landed else self.missed)[where] += 1
        self.told[operation, told] += bool(landed)

    def fail(self, operation, fault, problem):
        self.failures.append(f"{operation}: {fault}: {problem}")
        print(f"FAILED {self.failures[-1]}", file=sys.stderr, flush=True)

    def passed(self):
        return sum(self.landed.values()) + sum(self.missed.values()) - len(self.failures)

    def table(self):
        errors = sorted({error for _, _, error in self.landed})
        lines = ["| operation | process | " + " | ".join(errors) + " | not reached |",
                 "|---|---|" + "---|" * (len(errors) + 1)]
        for operation, process in sorted({where[:2] for where in [*self.landed, *self.missed]}):
            counts = [self.landed[operation, process, e] for e in errors]
            missed = sum(n for where, n in self.missed.items() if where[:2] == (operation, process))
            lines.append(f"| {operation} | {process} | " + " | ".join(map(str, [*counts, missed])) + " |")
        told = ", ".join(f"{operation} {what}: {n}" for (operation, what), n in sorted(self.told.items(), key=str))
        return "\n".join([*lines, "", f"Told: {told}"])


class Run:
    """Cases on one vault after another: a new one when one was broken, is old, or has no room for rotations."""

    def __init__(self, report):
        self.report, self.world, self.context, self.since, self.age = report, None, None, [], 0

    def open(self):
        self.context = world_of.a_world()
        self.world = self.context.__enter__()
        self.since, self.age = [], 0

    def close(self):
        if self.world is None:
            return
        try:
            self.look()
        finally:
            context, self.world, self.context = self.context, None, None
            context.__exit__(None, None, None)

    def look(self):
        """At everything, after some cases: a failure names them all."""
        cases, self.since = self.since, []
        try:
            self.world.check_all()
        except AssertionError as problem:
            self.report.fail("after", ", ".join(f"{o} {f}" for o, f in cases), problem)

    def case(self, operation, fault):
        if self.world is None:
            self.open()
        self.since.append((operation, fault))
        self.age += 1
        try:
            landed, told = self.try_until_landed(operation, fault)
            self.report.row(operation, fault, landed, told)
        except Exception as problem:  # what broke is told, and the rest is tried on another vault
            self.report.row(operation, fault, 1, "failed")
            self.report.fail(operation, fault, problem if isinstance(problem, AssertionError)
                             else traceback.format_exc())
            self.abandon()
            return
        if len(self.since) >= LOOK_EVERY:
            self.look()
        if self.age >= WORLD_EVERY or self.world.rotations >= world_of.ROTATIONS_MAX:
            self.close()

    def try_until_landed(self, operation, fault):
        """Two runs are not equal to the call: what was not reached may be in another one."""
        for _ in range(TRIES):
            landed, told = world_of.try_fault(self.world, operation, fault)
            if landed:
                break
        return landed, told

    def abandon(self):
        print((self.world.vault.folder / "vaultd.log").read_text(errors="replace")[-3000:], file=sys.stderr)
        context, self.world, self.context = self.context, None, None
        try:
            context.__exit__(None, None, None)
        except (AssertionError, OSError) as problem:
            print(f"the broken vault did not end by itself: {problem}", file=sys.stderr)


def enumerate_cases(places, kinds):
    """Every (operation, fault) at the calls that a run without faults made."""
    cases = []
    with world_of.a_world() as world:
        for operation, process in places:
            counts = world_of.calls_of(world, operation, process)
            if "errors" in kinds:
                cases += [(operation, fault) for fault in injection.faults_of(process, counts)]
            if "kills" in kinds:
                cases += [(operation, fault) for fault in injection.deaths_of(process, counts)]
    return cases


def run(cases, progress=None):
    report = Report()
    work = Run(report)
    try:
        for number, (operation, fault) in enumerate(cases):
            work.case(operation, fault)
            if progress and number % 20 == 19:
                progress(f"{number + 1} of {len(cases)}: {operation} {fault}; {len(report.failures)} failed")
    finally:
        work.close()
    return report


def sample(cases, count, seed):
    return random.Random(seed).sample(cases, min(count, len(cases)))
