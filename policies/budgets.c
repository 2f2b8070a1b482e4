/* What may be read for a purpose. Asked last, and only where nothing else stands against the read: whoever is told of a
 * budget learns no more of the patient than from a permit. */
#include "decision_internal.h"

static bool is_beyond(uint64_t used, uint64_t most) {
    return most != 0 && used > most;
}

static void apply_one(struct deciding *s, unsigned per, unsigned period) {
    const struct question *q = s->q;
    const struct use *use = &q->use[per][period];
    const char *name = per == PER_PROJECT ? q->purpose->project : q->service.name;
    const struct policy_budget *b = policy_budget_of(q->policy, q->purpose->purpose, per, period, name);
    if (b == NULL ||
        !(is_beyond(use->bytes, b->bytes) || is_beyond(use->files, b->files) || is_beyond(use->subjects, b->subjects)))
        return;
    give_reason(s, b->id, b->text, CONCERN_SELF, !s->facts.glass_broken);
    s->d->over_budget = s->denied;
}

void apply_budgets(struct deciding *s) {
    if (s->q->action != ACTION_READ || s->denied || s->any_file)
        return;
    for (unsigned per = 0; per < PER_COUNT; per++)
        for (unsigned period = 0; period < PERIOD_COUNT; period++)
            apply_one(s, per, period);
}
