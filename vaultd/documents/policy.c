#include "documents_internal.h"

#include <string.h>

#include "vault/result.h"

enum { POLICY_VERSION = 5 };

DEFINE_LAYOUT(policy_rule);
DEFINE_LAYOUT(policy_budget);

#define FIELDS_policy_head(F, R)                                                                                       \
    F(R, U8, version, 0)                                                                                               \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, U32, opt_outs_days, 0)                                                                                        \
    F(R, U32, witnessed_seconds, 0)                                                                                    \
    F(R, U32, count, 0)                                                                                                \
    F(R, U32, budget_count, 0)
DECLARE_RECORD(policy_head);
DEFINE_LAYOUT(policy_head);

int policy_encode(const struct policy *p, uint8_t *to, size_t size, size_t *ret_used) {
    struct writer w = writer_of(to, size < BLOCK_MAX ? size : BLOCK_MAX);
    struct policy_head head = {.version = POLICY_VERSION,
                               .opt_outs_days = p->opt_outs_days,
                               .witnessed_seconds = p->witnessed_seconds,
                               .count = (uint32_t)p->count,
                               .budget_count = (uint32_t)p->budget_count};
    if (p->count > POLICY_RULES || p->budget_count > POLICY_BUDGETS)
        return VAULT_E_LIMIT;
    COPY_ARRAY(head.name, p->name);
    layout_encode(&layout_policy_head, &head, &w);
    for (size_t i = 0; i < p->count; i++)
        layout_encode(&layout_policy_rule, &p->rules[i], &w);
    for (size_t i = 0; i < p->budget_count; i++)
        layout_encode(&layout_policy_budget, &p->budgets[i], &w);
    if (w.bad)
        return VAULT_E_LIMIT;
    *ret_used = w.used;
    return VAULT_OK;
}

static int decode_lists(struct policy *p, struct reader *r, const struct policy_head *head) {
    int result = VAULT_OK;
    for (p->count = 0; p->count < head->count && result == VAULT_OK; p->count++)
        result = layout_decode_next(&layout_policy_rule, r, &p->rules[p->count]);
    for (; p->budget_count < head->budget_count && result == VAULT_OK; p->budget_count++)
        result = layout_decode_next(&layout_policy_budget, r, &p->budgets[p->budget_count]);
    return result;
}

static int decode_all(struct policy *p, struct reader *r) {
    struct policy_head head;
    int result = layout_decode_next(&layout_policy_head, r, &head);
    if (result != VAULT_OK)
        return result;
    if (head.version != POLICY_VERSION || head.count > POLICY_RULES || head.budget_count > POLICY_BUDGETS)
        return VAULT_E_FORMAT;
    COPY_ARRAY(p->name, head.name);
    p->opt_outs_days = head.opt_outs_days;
    p->witnessed_seconds = head.witnessed_seconds;
    result = decode_lists(p, r, &head);
    if (result != VAULT_OK)
        return result;
    return read_done(r) ? VAULT_OK : VAULT_E_FORMAT;
}

int policy_decode(struct policy *p, const uint8_t *from, size_t size) {
    struct reader r = reader_of(from, size);
    struct policy_fault fault;
    *p = (struct policy){0};
    int result = decode_all(p, &r);
    if (result == VAULT_OK)
        result = policy_check(p, &fault);
    if (result != VAULT_OK)
        *p = (struct policy){0};
    return result;
}

#define BIT(n) (1u << (n))

/* What a permit may need, and what a forbid or an obligation may follow from. Kept apart so that no withdrawal,
 * expiry, opt-out or revocation can ever turn a deny into a permit, whatever the policy. */
#define CONDITIONS_THAT_GRANT                                                                                          \
    (BIT(CONDITION_CONSENT_TREATMENT) | BIT(CONDITION_CONSENT_RESEARCH) | BIT(CONDITION_PROJECT_OPEN) |                \
     BIT(CONDITION_APPROVAL_VALID) | BIT(CONDITION_BREAK_GLASS) | BIT(CONDITION_CARE_RELATION))

/* Who wants to hear of actionable findings may narrow that to none: it must not be what forbids. */
static const uint32_t conditions_of_no_forbid = CONDITIONS_THAT_GRANT | BIT(CONDITION_FINDINGS_LIMITED);

/* A forbid that follows from what a consent says ends with it: so it may only be about what ends with it, too. */
static const uint32_t actions_with_consent = BIT(ACTION_READ) | BIT(ACTION_LIST) | BIT(ACTION_METADATA);

static bool ends_with_consent(const struct policy_rule *r) {
    return (r->conditions & CONDITIONS_OF_CONSENT) != 0 && (r->actions & ~actions_with_consent) != 0;
}

static bool conditions_are_good(const struct policy_rule *r) {
    if (r->conditions >= BIT(CONDITION_COUNT))
        return false;
    switch (r->effect) {
    case EFFECT_PERMIT: return (r->conditions & ~CONDITIONS_THAT_GRANT) == 0;
    case EFFECT_FORBID: return (r->conditions & conditions_of_no_forbid) == 0 && !ends_with_consent(r);
    default: return true;
    }
}

/* A comma would split a tag in the list that a file has. */
static bool tag_is_good(const char *tag) {
    return tag[0] == '\0' || text_is_of(tag, 64, LETTERS_NAME);
}

static bool obligation_is_good(const struct policy_rule *r) {
    if (r->effect != EFFECT_OBLIGE)
        return r->obligation[0] == '\0';
    return text_is_of(r->obligation, 64, LETTERS_TOKEN);
}

static const char *rule_fault(const struct policy_rule *r) {
    if (!text_is_of(r->id, 64, LETTERS_TOKEN))
        return "id";
    if (r->text[0] == '\0' || !text_is_good(r->text, 200))
        return "text";
    if (!text_is_good(r->source, 200))
        return "source";
    if (r->effect > EFFECT_OBLIGE)
        return "effect";
    if (r->actions == 0 || r->actions >= BIT(ACTION_COUNT) || (r->actions & BIT(ACTION_ADMINISTER)) != 0)
        return "actions";
    if (r->purposes == 0 || r->purposes >= BIT(PURPOSE_RESEARCH + 1))
        return "purposes";
    if (r->roles >= BIT(ROLE_COUNT))
        return "roles";
    if (!conditions_are_good(r))
        return "conditions";
    if (r->dataset[0] != '\0' && !name_is_good(r->dataset))
        return "dataset";
    if (!tag_is_good(r->tag))
        return "tag";
    if (!second_is_good(r->from))
        return "from";
    if (!second_is_good(r->until) || (r->until != 0 && r->until <= r->from))
        return "until";
    return obligation_is_good(r) ? NULL : "obligation";
}

static bool id_is_taken(const struct policy *p, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->rules[k].id, p->rules[i].id) == 0)
            return true;
    return false;
}

/* Rules that could speak at once with rule i about one action, one purpose and one dataset. */
static size_t rules_at_once(const struct policy *p, size_t i, uint32_t action, uint32_t purpose) {
    size_t count = 0;
    for (size_t k = 0; k < p->count; k++) {
        const struct policy_rule *r = &p->rules[k];
        bool same_file = r->dataset[0] == '\0' || strcmp(r->dataset, p->rules[i].dataset) == 0;
        count += same_file && (r->actions & action) != 0 && (r->purposes & purpose) != 0;
    }
    return count;
}

/* Keeps every list of reasons within what a decision and an audit record hold. */
static bool too_many_at_once(const struct policy *p, size_t i) {
    const struct policy_rule *r = &p->rules[i];
    for (unsigned action = 0; action < ACTION_COUNT; action++)
        for (unsigned purpose = 0; purpose <= PURPOSE_RESEARCH; purpose++)
            if ((r->actions & BIT(action)) != 0 && (r->purposes & BIT(purpose)) != 0 &&
                rules_at_once(p, i, BIT(action), BIT(purpose)) > POLICY_RULES_AT_ONCE)
                return true;
    return false;
}

static bool obligation_is_new(const struct policy *p, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->rules[k].obligation, p->rules[i].obligation) == 0)
            return false;
    return p->rules[i].obligation[0] != '\0';
}

/* Of the rules up to i, as the one list that an answer would carry. */
static bool obligations_fit(const struct policy *p, size_t i) {
    size_t count = 0, size = 0;
    for (size_t k = 0; k <= i; k++)
        if (obligation_is_new(p, k)) {
            count++;
            size += strlen(p->rules[k].obligation) + 1;
        }
    return count <= POLICY_OBLIGATIONS && size <= POLICY_OBLIGATIONS_SIZE;
}

static const char *fault_among(const struct policy *p, size_t i) {
    const char *fault = rule_fault(&p->rules[i]);
    if (fault != NULL)
        return fault;
    if (id_is_taken(p, i))
        return "id";
    if (!obligations_fit(p, i))
        return "obligation";
    return too_many_at_once(p, i) ? "actions" : NULL;
}

/* ---- budgets ---- */

static const char *budget_fault(const struct policy_budget *b) {
    if (!text_is_of(b->id, 64, LETTERS_TOKEN))
        return "id";
    if (b->text[0] == '\0' || !text_is_good(b->text, 200))
        return "text";
    if (!text_is_good(b->source, 200))
        return "source";
    if (b->purpose == PURPOSE_NONE || b->purpose > PURPOSE_RESEARCH)
        return "purpose";
    if (b->per >= PER_COUNT || (b->per == PER_PROJECT && b->purpose != PURPOSE_RESEARCH))
        return "per";
    if (b->period >= PERIOD_COUNT)
        return "period";
    if (!names_are_good(b->names, SIZE_MAX))
        return "names";
    if (b->bytes > BUDGET_MOST)
        return "bytes";
    if (b->files > BUDGET_MOST)
        return "files";
    if (b->subjects > BUDGET_MOST)
        return "subjects";
    return b->bytes == 0 && b->files == 0 && b->subjects == 0 ? "bytes" : NULL;
}

static bool list_names(const char *list, const char *name) {
    char next[NAME_MAX_SIZE + 1];
    while (name_next(&list, next))
        if (strcmp(next, name) == 0)
            return true;
    return false;
}

static bool speak_of_same(const struct policy_budget *a, const struct policy_budget *b) {
    return a->purpose == b->purpose && a->per == b->per && a->period == b->period;
}

/* Both are for all, or a name is in both. */
static bool share_a_name(const struct policy_budget *a, const struct policy_budget *b) {
    const char *list = a->names;
    char name[NAME_MAX_SIZE + 1];
    if (a->names[0] == '\0' || b->names[0] == '\0')
        return a->names[0] == b->names[0];
    while (name_next(&list, name))
        if (list_names(b->names, name))
            return true;
    return false;
}

static bool names_one_twice(const struct policy_budget *b) {
    const char *list = b->names;
    char name[NAME_MAX_SIZE + 1];
    while (name_next(&list, name)) {
        const char *rest = list;
        if (list_names(rest, name))
            return true;
    }
    return false;
}

static const char *budget_fault_among(const struct policy *p, size_t i) {
    const struct policy_budget *b = &p->budgets[i];
    const char *fault = budget_fault(b);
    if (fault != NULL)
        return fault;
    for (size_t k = 0; k < p->count; k++)
        if (strcmp(p->rules[k].id, b->id) == 0)
            return "id";
    for (size_t k = 0; k < i; k++) {
        if (strcmp(p->budgets[k].id, b->id) == 0)
            return "id";
        if (speak_of_same(&p->budgets[k], b) && share_a_name(&p->budgets[k], b))
            return b->names[0] == '\0' ? "period" : "names";
    }
    return names_one_twice(b) ? "names" : NULL;
}

const struct policy_budget *policy_budget_of(const struct policy *p, unsigned purpose, unsigned per, unsigned period,
                                             const char *name) {
    const struct policy_budget *for_all = NULL;
    for (size_t i = 0; i < p->budget_count; i++) {
        const struct policy_budget *b = &p->budgets[i];
        if (b->purpose != purpose || b->per != per || b->period != period)
            continue;
        if (b->names[0] == '\0')
            for_all = b;
        else if (list_names(b->names, name))
            return b;
    }
    return for_all;
}

/* ---- the whole ---- */

static const char *head_fault(const struct policy *p) {
    if (!name_is_good(p->name))
        return "name";
    if (p->count > POLICY_RULES)
        return "rules";
    if (p->budget_count > POLICY_BUDGETS)
        return "budgets";
    if (p->opt_outs_days > POLICY_OPT_OUTS_DAYS)
        return "opt-outs-max-age-days";
    return p->witnessed_seconds > POLICY_WITNESSED_SECONDS ? "witnessed-within-seconds" : NULL;
}

int policy_check(const struct policy *p, struct policy_fault *ret) {
    struct policy_fault f = {.index = SIZE_MAX, .field = head_fault(p)};
    for (size_t i = 0; f.field == NULL && i < p->count; i++)
        f = (struct policy_fault){.index = i, .field = fault_among(p, i)};
    for (size_t i = 0; f.field == NULL && i < p->budget_count; i++)
        f = (struct policy_fault){.in_budget = true, .index = i, .field = budget_fault_among(p, i)};
    if (f.field == NULL)
        return VAULT_OK;
    *ret = f;
    return VAULT_E_FORMAT;
}
