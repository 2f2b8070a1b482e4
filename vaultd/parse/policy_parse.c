#include "vault/parse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "vault/result.h"
#include "vault/yaml.h"

static_assert((int)POLICY_PROBLEM == (int)YAML_PROBLEM_SIZE, "one problem text serves both");

static int effect_from_name(const char *name) {
    static const char *const names[] = {
        [EFFECT_PERMIT] = "permit", [EFFECT_FORBID] = "forbid", [EFFECT_OBLIGE] = "oblige"};
    for (int i = 0; i <= EFFECT_OBLIGE; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static int purpose_or_none(const char *name) {
    unsigned purpose = purpose_from_name(name);
    if (purpose == PURPOSE_NONE && strcmp(name, "none") != 0)
        return -1;
    return (int)purpose;
}

static int get_mask_if(const struct yaml_node *rule, const char *key, yaml_find *find, uint32_t *ret, char *problem) {
    const struct yaml_node *list = yaml_member(rule, key);
    return list == NULL ? VAULT_OK : yaml_get_mask(list, find, ret, problem);
}

static int get_text_if(const struct yaml_node *rule, const char *key, char *to, size_t size, char *problem) {
    const struct yaml_node *node = yaml_member(rule, key);
    const char *text;
    if (node == NULL)
        return VAULT_OK;
    int result = yaml_get_string(node, size - 1, &text, problem);
    if (result != VAULT_OK)
        return result;
    if (text[0] == '\0')
        return yaml_refuse(node, problem, "'%s': empty", key);
    copy_string(to, size, text);
    return VAULT_OK;
}

/* The first moment of a day. A number that would mean "no bound" must not come of one. */
static int get_day_if(const struct yaml_node *rule, const char *key, uint64_t *ret, char *problem) {
    const struct yaml_node *node = yaml_member(rule, key);
    const char *text;
    int64_t seconds = 0;
    if (node == NULL)
        return VAULT_OK;
    int result = yaml_get_string(node, YAML_SCALAR_LIMIT, &text, problem);
    if (result == VAULT_OK && (!date_parse(text, &seconds) || seconds <= 0))
        return yaml_refuse(node, problem, "'%s': not a date (YYYY-MM-DD) after 1970-01-01", key);
    *ret = (uint64_t)seconds;
    return result;
}

static int need_all(const struct yaml_node *map, const char *const *keys, char *problem) {
    const struct yaml_node *node;
    int result = VAULT_OK;
    for (; *keys != NULL && result == VAULT_OK; keys++)
        result = yaml_need(map, *keys, &node, problem);
    return result;
}

static int get_u8_name(const struct yaml_node *map, const char *key, yaml_find *find, uint8_t *ret, char *problem) {
    unsigned value = 0;
    int result = yaml_get_name(yaml_member(map, key), find, &value, problem);
    if (result == VAULT_OK)
        *ret = (uint8_t)value;
    return result;
}

#define GET_TEXT(field) get_text_if(rule, #field, r->field, sizeof(r->field), problem)

static int get_texts(const struct yaml_node *rule, struct policy_rule *r, char *problem) {
    int result = GET_TEXT(id);
    if (result == VAULT_OK)
        result = GET_TEXT(text);
    if (result == VAULT_OK)
        result = GET_TEXT(source);
    if (result == VAULT_OK)
        result = GET_TEXT(dataset);
    if (result == VAULT_OK)
        result = GET_TEXT(tag);
    if (result == VAULT_OK)
        result = GET_TEXT(obligation);
    return result;
}

static int get_days(const struct yaml_node *rule, struct policy_rule *r, char *problem) {
    int result = get_day_if(rule, "from", &r->from, problem);
    return result == VAULT_OK ? get_day_if(rule, "until", &r->until, problem) : result;
}

static int get_masks(const struct yaml_node *rule, struct policy_rule *r, char *problem) {
    int result = get_mask_if(rule, "actions", action_from_name, &r->actions, problem);
    if (result == VAULT_OK)
        result = get_mask_if(rule, "purposes", purpose_or_none, &r->purposes, problem);
    if (result == VAULT_OK)
        result = get_mask_if(rule, "roles", role_from_name, &r->roles, problem);
    if (result == VAULT_OK)
        result = get_mask_if(rule, "conditions", condition_from_name, &r->conditions, problem);
    return result;
}

static int get_rule(const struct yaml_node *rule, struct policy_rule *r, char *problem) {
    static const char *const known[] = {"id",         "text",    "source", "effect",     "actions", "purposes", "roles",
                                        "conditions", "dataset", "tag",    "obligation", "from",    "until",    NULL};
    static const char *const needed[] = {"id", "text", "effect", "actions", "purposes", NULL};
    int result = yaml_need_map(rule, known, problem);
    if (result == VAULT_OK)
        result = need_all(rule, needed, problem);
    if (result == VAULT_OK)
        result = get_u8_name(rule, "effect", effect_from_name, &r->effect, problem);
    if (result == VAULT_OK)
        result = get_texts(rule, r, problem);
    if (result == VAULT_OK)
        result = get_masks(rule, r, problem);
    return result == VAULT_OK ? get_days(rule, r, problem) : result;
}

/* A list of names, as one with commas. */
static int get_names_if(const struct yaml_node *map, const char *key, char *to, size_t size, char *problem) {
    const struct yaml_node *list = yaml_member(map, key);
    struct writer w = writer_of(to, size - 1);
    if (list == NULL)
        return VAULT_OK;
    int result = yaml_need_list(list, problem);
    if (result == VAULT_OK && yaml_count(list) == 0)
        return yaml_refuse(list, problem, "'%s': empty", key);
    for (const struct yaml_node *item = yaml_first(list); item != NULL && result == VAULT_OK; item = yaml_next(item)) {
        const char *text;
        result = yaml_get_string(item, NAME_MAX_SIZE, &text, problem);
        if (result == VAULT_OK && !name_is_good(text))
            result = yaml_refuse(item, problem, "'%s': 1 to 128 characters of [A-Za-z0-9._:@-]", key);
        if (result != VAULT_OK)
            return result;
        if (w.used > 0)
            write_u8(&w, ',');
        write_bytes(&w, text, strlen(text));
    }
    if (w.bad)
        return yaml_refuse(list, problem, "'%s': more than %zu bytes", key, size - 1);
    to[w.used] = '\0';
    return result;
}

static int get_most_if(const struct yaml_node *map, const char *key, uint64_t *ret, char *problem) {
    const struct yaml_node *node = yaml_member(map, key);
    return node == NULL ? VAULT_OK : yaml_get_u64(node, 1, BUDGET_MOST, ret, problem);
}

static int get_budget_texts(const struct yaml_node *map, struct policy_budget *b, char *problem) {
    int result = get_text_if(map, "id", b->id, sizeof(b->id), problem);
    if (result == VAULT_OK)
        result = get_text_if(map, "text", b->text, sizeof(b->text), problem);
    if (result == VAULT_OK)
        result = get_text_if(map, "source", b->source, sizeof(b->source), problem);
    return result == VAULT_OK ? get_names_if(map, "names", b->names, sizeof(b->names), problem) : result;
}

static int get_mosts(const struct yaml_node *map, struct policy_budget *b, char *problem) {
    int result = get_most_if(map, "bytes", &b->bytes, problem);
    if (result == VAULT_OK)
        result = get_most_if(map, "files", &b->files, problem);
    return result == VAULT_OK ? get_most_if(map, "subjects", &b->subjects, problem) : result;
}

static int get_budget(const struct yaml_node *map, struct policy_budget *b, char *problem) {
    static const char *const known[] = {"id",    "text",  "source",   "purpose", "per", "period",
                                        "bytes", "files", "subjects", "names",   NULL};
    static const char *const needed[] = {"id", "text", "purpose", "per", "period", NULL};
    int result = yaml_need_map(map, known, problem);
    if (result == VAULT_OK)
        result = need_all(map, needed, problem);
    if (result == VAULT_OK)
        result = get_budget_texts(map, b, problem);
    if (result == VAULT_OK)
        result = get_u8_name(map, "purpose", purpose_or_none, &b->purpose, problem);
    if (result == VAULT_OK)
        result = get_u8_name(map, "per", budget_per_from_name, &b->per, problem);
    if (result == VAULT_OK)
        result = get_u8_name(map, "period", budget_period_from_name, &b->period, problem);
    return result == VAULT_OK ? get_mosts(map, b, problem) : result;
}

static int get_budgets(const struct yaml_node *list, struct policy *p, char *problem) {
    int result = list == NULL ? VAULT_OK : yaml_need_list(list, problem);
    if (result != VAULT_OK || list == NULL)
        return result;
    if (yaml_count(list) > POLICY_BUDGETS)
        return yaml_refuse(list, problem, "more than %d budgets", POLICY_BUDGETS);
    for (const struct yaml_node *map = yaml_first(list); map != NULL && result == VAULT_OK; map = yaml_next(map))
        result = get_budget(map, &p->budgets[p->budget_count++], problem);
    return result;
}

static int get_rules(const struct yaml_node *list, struct policy *p, char *problem) {
    int result = yaml_need_list(list, problem);
    if (result != VAULT_OK)
        return result;
    if (yaml_count(list) > POLICY_RULES)
        return yaml_refuse(list, problem, "more than %d rules", POLICY_RULES);
    for (const struct yaml_node *rule = yaml_first(list); rule != NULL; rule = yaml_next(rule)) {
        result = get_rule(rule, &p->rules[p->count], problem);
        if (result != VAULT_OK)
            return result;
        p->count++;
    }
    return VAULT_OK;
}

/* What policy_check asks of a field, in words. */
static const char *demand_on(const char *field) {
    static const struct {
        const char *field, *demand;
    } demands[] = {
        {"name", "1 to 128 characters of [A-Za-z0-9._:@-]"},
        {"id", "1 to 64 characters of [a-z0-9-], used once among rules and budgets"},
        {"actions", "not administer, and at most 12 rules for the same action, purpose and dataset"},
        {"conditions",
         "a permit may ask for consent-treatment, consent-research, project-open, approval-valid and break-glass, "
         "a forbid for the others only, and not for findings-limited, and for findings-refused, no-recontact and "
         "custody-over only about read, list and metadata"},
        {"dataset", "1 to 128 characters of [A-Za-z0-9._:@-]"},
        {"tag", "1 to 64 characters of [A-Za-z0-9._:@-]"},
        {"until", "a day after 'from'"},
        {"purpose", "treatment or research"},
        {"per", "project goes with research only"},
        {"period", "another budget for all has the same purpose, per and period"},
        {"names", "a name comes twice, here or in another budget of the same purpose, per and period"},
        {"bytes", "a budget bounds bytes, files or subjects"},
        {"obligation", "1 to 64 characters of [a-z0-9-], with effect oblige only, at most 8 different ones"},
    };
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++)
        if (strcmp(demands[i].field, field) == 0)
            return demands[i].demand;
    return "not well-formed";
}

/* Checks the whole, and finds the place in the document of what is wrong with it. */
static int check_policy(const struct yaml_node *root, const struct policy *p, char *problem) {
    struct policy_fault f;
    if (policy_check(p, &f) == VAULT_OK)
        return VAULT_OK;
    const struct yaml_node *at = root;
    if (f.index != SIZE_MAX)
        at = yaml_first(yaml_member(root, f.in_budget ? "budgets" : "rules"));
    for (size_t i = 0; f.index != SIZE_MAX && i < f.index; i++)
        at = yaml_next(at);
    const struct yaml_node *member = yaml_member(at, f.field);
    return yaml_refuse(member == NULL ? at : member, problem, "'%s': %s", f.field, demand_on(f.field));
}

/* 0 where it is left out. */
static int get_bound(const struct yaml_node *root, const char *name, uint32_t most, uint32_t *ret, char *problem) {
    const struct yaml_node *node = yaml_member(root, name);
    uint64_t value = 0;
    int result = node == NULL ? VAULT_OK : yaml_get_u64(node, 1, most, &value, problem);
    *ret = (uint32_t)value;
    return result;
}

static int get_policy(const struct yaml_node *root, struct policy *p, char *problem) {
    static const char *const known[] = {"version", "name", "opt-outs-max-age-days", "witnessed-within-seconds", "rules",
                                        "budgets", NULL};
    static const char *const needed[] = {"version", "name", "rules", NULL};
    uint64_t version;
    int result = yaml_need_map(root, known, problem);
    if (result == VAULT_OK)
        result = need_all(root, needed, problem);
    if (result == VAULT_OK)
        result = yaml_get_u64(yaml_member(root, "version"), 1, 1, &version, problem);
    if (result == VAULT_OK)
        result = get_text_if(root, "name", p->name, sizeof(p->name), problem);
    if (result == VAULT_OK)
        result = get_bound(root, "opt-outs-max-age-days", POLICY_OPT_OUTS_DAYS, &p->opt_outs_days, problem);
    if (result == VAULT_OK)
        result = get_bound(root, "witnessed-within-seconds", POLICY_WITNESSED_SECONDS, &p->witnessed_seconds, problem);
    if (result == VAULT_OK)
        result = get_rules(yaml_member(root, "rules"), p, problem);
    if (result == VAULT_OK)
        result = get_budgets(yaml_member(root, "budgets"), p, problem);
    if (result == VAULT_OK)
        result = check_policy(root, p, problem);
    return result;
}

int policy_parse(const char *yaml, size_t n, struct policy *ret, char problem[POLICY_PROBLEM]) {
    struct yaml_tree *tree;
    int result = yaml_tree_parse(yaml, n, &tree, problem);
    if (result != VAULT_OK)
        return result;
    struct policy *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        copy_string(problem, POLICY_PROBLEM, "no memory");
        result = VAULT_E_MEMORY;
    } else {
        result = get_policy(yaml_tree_root(tree), p, problem);
    }
    if (result == VAULT_OK)
        copy_bytes(ret, sizeof(*ret), p, sizeof(*p));
    free(p);
    yaml_tree_free(&tree);
    return result;
}
