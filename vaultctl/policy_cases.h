/* A table of expected decisions: cases, each a question and its answer. docs/format-documents.md. */
#ifndef VAULTCTL_POLICY_CASES_H
#define VAULTCTL_POLICY_CASES_H

#include "vault/decision.h"
#include "vault/yaml.h"

struct policy_case {
    const char *name; /* lives as long as the document */
    unsigned line;
    struct question question; /* points into this case; without a policy */
    struct purpose purpose;
    struct consent consent;
    char dataset[NAME_MAX_SIZE + 1];
    char tags[512];
    char organisation[NAME_MAX_SIZE + 1], country[3];
    unsigned verdict;                    /* enum verdict that is expected */
    const struct yaml_node *because;     /* ids of rules, each once */
    const struct yaml_node *obligations; /* tokens, each once; NULL: none */
    const struct yaml_node *spent;       /* ids of budgets, each once; NULL: none */
};

/* One of the members of `cases`. VAULT_E_FORMAT, VAULT_E_MEMORY. */
int policy_case_read(const struct yaml_node *node, struct policy_case *ret, char problem[YAML_PROBLEM_SIZE]);
/* Has the budgets that the case names spent, so that it would go beyond them. VAULT_E_FORMAT: the policy has no such
 * budget. */
int policy_case_spend(struct policy_case *c, const struct policy *p, char problem[YAML_PROBLEM_SIZE]);
/* "permit", "deny", "person". */
const char *verdict_name(unsigned verdict);
/* The rules that a case names: of a permit all reasons, else those against it. Returns how many. */
size_t decision_because(const struct decision *d, const char *ret_rules[REASONS_MAX]);
/* Whether the list (NULL: empty) holds these names and no others, in any order. */
bool list_is(const struct yaml_node *list, const char *const *names, size_t count);

#endif
