/* The policy's rules: a forbid beats any permit, and their order means nothing. */
#include "decision_internal.h"

#include <string.h>

/* Holding or not, these depend on nothing but the service's side. */
static const uint32_t conditions_of_service =
    BIT(CONDITION_PROJECT_OPEN) | BIT(CONDITION_NO_PROJECT) | BIT(CONDITION_BREAK_GLASS);

/* An embargo, or what is permitted for a while: outside of its time it is as if the rule were not there. */
static bool is_in_time(const struct policy_rule *r, uint64_t time) {
    return time >= r->from && (r->until == 0 || time < r->until);
}

/* Is it about this kind of question at all, now? */
static bool speaks_of(const struct policy_rule *r, const struct question *q) {
    unsigned purpose = q->purpose->purpose;
    return purpose <= PURPOSE_RESEARCH && (r->actions & BIT(q->action)) != 0 && (r->purposes & BIT(purpose)) != 0 &&
           (r->roles == 0 || (r->roles & q->service.roles) != 0) && is_in_time(r, q->time);
}

static bool tag_among(const char *tag, const char *tags) {
    size_t n = strlen(tag);
    for (;;) {
        size_t length = strcspn(tags, ",");
        if (length == n && strncmp(tags, tag, n) == 0)
            return true;
        if (tags[length] == '\0')
            return false;
        tags += length + 1;
    }
}

/* A file that was not found has neither dataset nor tags. */
static const char *text_or_none(const char *text) {
    return text == NULL ? "" : text;
}

static bool fits_file(const struct deciding *s, const struct policy_rule *r) {
    const struct question *q = s->q;
    if (s->any_file && r->effect == EFFECT_PERMIT)
        return true;
    return (r->dataset[0] == '\0' || strcmp(r->dataset, text_or_none(q->file.dataset)) == 0) &&
           (r->tag[0] == '\0' || tag_among(r->tag, text_or_none(q->file.tags)));
}

static bool needs_only(const struct policy_rule *r, uint32_t conditions) {
    return (r->conditions & ~conditions) == 0;
}

bool glass_is_broken(const struct deciding *s) {
    const struct policy *p = s->q->policy;
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if (r->effect == EFFECT_PERMIT && (r->conditions & BIT(CONDITION_BREAK_GLASS)) != 0 && speaks_of(r, s->q) &&
            needs_only(r, s->facts.holding) && fits_file(s, r))
            return true;
    }
    return false;
}

static enum concern concern_of(const struct policy_rule *r) {
    bool about_patient = !needs_only(r, conditions_of_service) || r->dataset[0] != '\0' || r->tag[0] != '\0';
    return about_patient ? CONCERN_PATIENT : CONCERN_SELF;
}

static void add_obligation(struct decision *d, const char *obligation) {
    for (size_t i = 0; i < d->obligation_count; i++)
        if (strcmp(d->obligations[i], obligation) == 0)
            return;
    if (d->obligation_count < OBLIGATIONS_MAX)
        d->obligations[d->obligation_count++] = obligation;
}

/* Where glass is broken, what a consent says forbids no more than its refusal does: else a withdrawal could permit. */
static bool forbids(const struct deciding *s, const struct policy_rule *r) {
    bool of_consent = (r->conditions & CONDITIONS_OF_CONSENT) != 0;
    return r->effect == EFFECT_FORBID && !(of_consent && s->facts.glass_broken);
}

static void apply_rule(struct deciding *s, const struct policy_rule *r) {
    give_reason(s, r->id, r->text, concern_of(r), forbids(s, r));
    if (r->effect == EFFECT_OBLIGE)
        add_obligation(s->d, r->obligation);
}

/* What is known of permits once all rules were read. */
struct permits {
    bool given;    /* one holds, or lacks only what a built-in rule has reported */
    bool possible; /* one could hold for some patient and file, as far as the service's own side goes */
};

static void count_permit(struct deciding *s, const struct policy_rule *r, struct permits *permits) {
    const struct facts *f = &s->facts;
    permits->given = permits->given || (fits_file(s, r) && needs_only(r, f->holding | f->reported));
    permits->possible = permits->possible || needs_only(r, f->possible | f->reported);
}

static void apply_rules(struct deciding *s, struct permits *permits) {
    const struct policy *p = s->q->policy;
    for (size_t i = 0; i < p->count; i++) {
        const struct policy_rule *r = &p->rules[i];
        if (!speaks_of(r, s->q))
            continue;
        if (r->effect == EFFECT_PERMIT)
            count_permit(s, r, permits);
        if (needs_only(r, s->facts.holding) && fits_file(s, r))
            apply_rule(s, r);
    }
}

void apply_policy(struct deciding *s) {
    struct permits permits = {0};
    unsigned action = s->q->action;
    if (action < ACTION_COUNT && action != ACTION_ADMINISTER && s->q->policy != NULL)
        apply_rules(s, &permits);
    if (needs_permit(action) && s->q->policy == NULL)
        give_reason(s, "no-policy", "No policy is loaded.", CONCERN_SELF, true);
    else if (needs_permit(action) && !permits.given)
        give_reason(s, "no-permit", "No rule of the policy permits this.",
                    permits.possible ? CONCERN_PATIENT : CONCERN_SELF, true);
    else if (!needs_permit(action) && !s->denied)
        give_reason(s, "role-permits", "The role of the service permits this.", CONCERN_SELF, false);
}
