#include "decision_internal.h"

#include <assert.h>

static_assert((int)OBLIGATIONS_MAX == (int)POLICY_OBLIGATIONS, "policy_check bounds what a decision holds");

/* With a policy that policy_check passed there is always room; the verdict does not depend on it. */
void give_reason(struct deciding *s, const char *rule, const char *text, enum concern concern, bool against) {
    s->denied = s->denied || against;
    if (s->d->reason_count < REASONS_MAX)
        s->d->reasons[s->d->reason_count++] = (struct reason){rule, text, concern, against};
}

/* True if the one thing that stands against it is that a person has to read the consent. */
static bool left_to_a_person(const struct decision *d) {
    size_t others = 0, not_decidable = 0;
    for (size_t i = 0; i < d->reason_count; i++) {
        if (d->reasons[i].rule == rule_not_decidable)
            not_decidable++;
        else if (d->reasons[i].against)
            others++;
    }
    return not_decidable > 0 && others == 0;
}

static void decide_it(struct deciding *s) {
    struct decision *d = s->d;
    d->reason_count = 0;
    d->obligation_count = 0;
    d->over_budget = false;
    gather_facts(s);
    apply_builtin_rules(s);
    apply_policy(s);
    apply_budgets(s);
    d->verdict = VERDICT_PERMIT;
    if (s->denied) {
        d->verdict = left_to_a_person(d) ? VERDICT_PERSON : VERDICT_DENY;
        d->obligation_count = 0;
    }
}

void decide(const struct question *q, struct decision *ret) {
    struct deciding s = {.q = q, .d = ret};
    decide_it(&s);
}

void decide_any_file(const struct question *q, struct decision *ret) {
    struct question of_any = *q;
    struct deciding s = {.q = &of_any, .d = ret, .any_file = true};
    of_any.file.known = of_any.approval.for_dataset = true;
    of_any.file.dataset = of_any.file.tags = "";
    decide_it(&s);
}

size_t decision_told(const struct decision *d, const struct reason *ret_reasons[REASONS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < d->reason_count; i++)
        if (d->reasons[i].against && d->reasons[i].concern == CONCERN_SELF)
            ret_reasons[count++] = &d->reasons[i];
    return count;
}
