/* A policy against its table of expected decisions, without a vault: by the function that a vault decides with. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "policy_cases.h"
#include "request.h"
#include "vault/parse.h"
#include "vault/result.h"

struct trial {
    struct policy policy;
    struct yaml_tree *cases; /* owned */
    bool met[POLICY_RULES];  /* the rule decided some case */
    bool met_budgets[POLICY_BUDGETS];
    size_t count, failures;
    json_t *failed; /* owned; the cases that do not hold */
};

static int complain(struct call *c, const char *path, int result, const char *problem) {
    return fail(c, result == VAULT_E_MEMORY ? OUTCOME_FAILED : OUTCOME_USAGE, "'%s': %s", path,
                result == VAULT_E_MEMORY ? "out of memory" : problem);
}

static int load_policy(struct call *c, const char *path, struct policy *ret) {
    char problem[POLICY_PROBLEM] = "";
    char *text = NULL;
    size_t size = 0;
    int outcome = read_at_most(c, path, 1, OUTCOME_USAGE, &text, &size);
    if (outcome != OUTCOME_DONE)
        return outcome;
    int result = policy_parse(text, size, ret, problem);
    free(text);
    return result == VAULT_OK ? OUTCOME_DONE : complain(c, path, result, problem);
}

static int load_cases(struct call *c, const char *path, struct yaml_tree **ret) {
    char problem[YAML_PROBLEM_SIZE] = "";
    char *text = NULL;
    size_t size = 0;
    int outcome = read_document(c, path, &text, &size);
    if (outcome != OUTCOME_DONE)
        return outcome;
    int result = yaml_tree_parse(text, size, ret, problem);
    free(text);
    return result == VAULT_OK ? OUTCOME_DONE : complain(c, path, result, problem);
}

/* What the document says above its cases: the path of the policy, in its own folder. */
static int read_head(const struct yaml_node *root, const char **ret_policy, const struct yaml_node **ret_cases,
                     char problem[YAML_PROBLEM_SIZE]) {
    static const char *const known[] = {"version", "policy", "cases", NULL};
    const struct yaml_node *version, *policy;
    uint64_t number;
    int result = yaml_need_map(root, known, problem);
    if (result == VAULT_OK)
        result = yaml_need(root, "version", &version, problem);
    if (result == VAULT_OK)
        result = yaml_get_u64(version, 1, 1, &number, problem);
    if (result == VAULT_OK)
        result = yaml_need(root, "policy", &policy, problem);
    if (result == VAULT_OK)
        result = yaml_get_string(policy, YAML_SCALAR_LIMIT, ret_policy, problem);
    if (result == VAULT_OK)
        result = yaml_need(root, "cases", ret_cases, problem);
    if (result == VAULT_OK)
        result = yaml_need_list(*ret_cases, problem);
    return result == VAULT_OK && yaml_count(*ret_cases) == 0 ? yaml_refuse(*ret_cases, problem, "'cases': none")
                                                             : result;
}

static json_t *list_json(const char *const *names, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *node_json(const struct yaml_node *list) {
    char problem[YAML_PROBLEM_SIZE];
    json_t *names = json_array();
    for (const struct yaml_node *item = list == NULL ? NULL : yaml_first(list); item != NULL; item = yaml_next(item)) {
        const char *text = "";
        (void)yaml_get_string(item, YAML_SCALAR_LIMIT, &text, problem);
        json_array_append_new(names, json_string(text));
    }
    return names;
}

static void note_rules(struct trial *t, const char *const *rules, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < t->policy.count; r++)
            t->met[r] = t->met[r] || strcmp(t->policy.rules[r].id, rules[i]) == 0;
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < t->policy.budget_count; b++)
            t->met_budgets[b] = t->met_budgets[b] || strcmp(t->policy.budgets[b].id, rules[i]) == 0;
}

static void try_case(struct trial *t, struct policy_case *c) {
    struct decision d;
    const char *rules[REASONS_MAX];
    c->question.policy = &t->policy;
    decide(&c->question, &d);
    size_t count = decision_because(&d, rules);
    note_rules(t, rules, count);
    t->count++;
    if ((unsigned)d.verdict == c->verdict && list_is(c->because, rules, count) &&
        list_is(c->obligations, d.obligations, d.obligation_count))
        return;
    t->failures++;
    json_array_append_new(t->failed, json_pack("{s:s, s:i, s:{s:s, s:o, s:o}, s:{s:s, s:o, s:o}}", "name", c->name,
                                               "line", (int)c->line, "got", "verdict",
                                               verdict_name((unsigned)d.verdict), "because", list_json(rules, count),
                                               "obligations", list_json(d.obligations, d.obligation_count), "expected",
                                               "verdict", verdict_name(c->verdict), "because", node_json(c->because),
                                               "obligations", node_json(c->obligations)));
}

/* All of them are read before any counts. */
static int try_all(struct trial *t, const struct yaml_node *cases, char problem[YAML_PROBLEM_SIZE]) {
    static struct policy_case c;
    int result = VAULT_OK;
    for (const struct yaml_node *node = yaml_first(cases); node != NULL && result == VAULT_OK; node = yaml_next(node)) {
        result = policy_case_read(node, &c, problem);
        if (result == VAULT_OK)
            result = policy_case_spend(&c, &t->policy, problem);
        if (result == VAULT_OK)
            try_case(t, &c);
    }
    return result;
}

static void print_side(const json_t *side) {
    const json_t *obligations = json_object_get(side, "obligations");
    char *because = value_text(json_object_get(side, "because"));
    printf("%s (%s)", json_string_value(json_object_get(side, "verdict")), because);
    free(because);
    if (json_array_size(obligations) == 0)
        return;
    char *text = value_text(obligations);
    printf(" with %s", text);
    free(text);
}

static void print_failed(const json_t *failed) {
    size_t i;
    json_t *entry;
    json_array_foreach(failed, i, entry) {
        printf("line %d: '%s': ", (int)json_integer_value(json_object_get(entry, "line")),
               json_string_value(json_object_get(entry, "name")));
        print_side(json_object_get(entry, "got"));
        printf("; expected ");
        print_side(json_object_get(entry, "expected"));
        putchar('\n');
    }
}

static json_t *rules_not_met(const struct trial *t) {
    json_t *list = json_array();
    for (size_t r = 0; r < t->policy.count; r++)
        if (!t->met[r])
            json_array_append_new(list, json_string(t->policy.rules[r].id));
    for (size_t b = 0; b < t->policy.budget_count; b++)
        if (!t->met_budgets[b])
            json_array_append_new(list, json_string(t->policy.budgets[b].id));
    return list;
}

static void print_result(const struct trial *t, const json_t *not_met) {
    print_failed(t->failed);
    for (size_t i = 0; i < json_array_size(not_met); i++)
        printf("rule '%s' of the policy decides no case\n", json_string_value(json_array_get(not_met, i)));
    if (t->failures == 0 && json_array_size(not_met) == 0)
        printf("%zu cases hold\n", t->count);
}

static int show(struct call *c, const struct trial *t) {
    json_t *not_met = rules_not_met(t);
    size_t failed = t->failures, open = json_array_size(not_met);
    json_t *document = json_pack("{s:s, s:I, s:O, s:O}", "policy", t->policy.name, "cases", (json_int_t)t->count,
                                 "failed", t->failed, "rules_without_case", not_met);
    if (!print_json(c, document))
        print_result(t, not_met);
    json_decref(document);
    json_decref(not_met);
    if (failed > 0)
        return fail(c, OUTCOME_FAILED, "%zu of %zu cases %s not hold", failed, t->count, failed == 1 ? "does" : "do");
    return open == 0 ? OUTCOME_DONE
                     : fail(c, OUTCOME_FAILED, "%zu of the policy's rules %s no case", open,
                            open == 1 ? "decides" : "decide");
}

static int try_table(struct call *c, struct trial *t) {
    const char *path = c->words[0], *name = NULL;
    const struct yaml_node *cases = NULL;
    char problem[YAML_PROBLEM_SIZE] = "";
    int outcome = load_cases(c, path, &t->cases);
    if (outcome != OUTCOME_DONE)
        return outcome;
    int result = read_head(yaml_tree_root(t->cases), &name, &cases, problem);
    if (result != VAULT_OK)
        return complain(c, path, result, problem);
    char *folder = folder_of(path),
         *policy = name[0] == '/' ? format_text("%s", name) : format_text("%s/%s", folder, name);
    outcome = load_policy(c, policy, &t->policy);
    free(folder);
    free(policy);
    if (outcome != OUTCOME_DONE)
        return outcome;
    result = try_all(t, cases, problem);
    return result == VAULT_OK ? show(c, t) : complain(c, path, result, problem);
}

static int run(struct call *c) {
    static struct trial t;
    t.failed = json_array();
    int outcome = try_table(c, &t);
    json_decref(t.failed);
    yaml_tree_free(&t.cases);
    return outcome;
}

const struct command command_policy_test = {
    .name = "policy test",
    .area = "Policy",
    .synopsis = "FILE",
    .summary = "a policy against its table of expected decisions",
    .help =
        "Decides every case of the table in FILE (YAML) under the policy that it names, without a vault, and shows\n"
        "those that are decided otherwise, or for other reasons, than the table has it. A rule of the policy that is\n"
        "in no case is told too. Exit status 0 if all cases hold and every rule is in one of them.",
    .example = "  vaultctl policy test policies/denmark.cases.yaml",
    .words = 1,
    .run = run,
};
