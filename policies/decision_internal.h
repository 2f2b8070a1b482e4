/* The parts of one decision.
 *
 * 1. builtin.c speaks first, and for every question in full; rules.c then reads the policy.
 * 2. Facts are gathered once, from the question alone.
 * 3. A reason that concerns the service itself depends on nothing but the service, what it asked, and the policy: its
 *    being there or not must not tell anything of a patient. */
#ifndef VAULT_DECISION_INTERNAL_H
#define VAULT_DECISION_INTERNAL_H

#include "vault/decision.h"

#define BIT(n) (1u << (n))

/* What stands against a kind of research in a consent; nothing: it is permitted. */
struct research {
    bool refused, not_decidable, other_use, other_user, over, other_disease;
};

/* Bits of enum condition. */
struct facts {
    uint32_t holding;
    uint32_t reported;        /* does not hold, and a built-in rule has said so */
    uint32_t possible;        /* could hold as far as the service's own side goes, whoever the patient is */
    bool glass_broken;        /* in an emergency, and the policy permits treatment without a consent */
    struct research research; /* where there is a consent */
};

struct deciding {
    const struct question *q;
    struct decision *d;
    struct facts facts;
    bool any_file; /* a permit that names a dataset or a tag fits: some file could have them */
    bool denied;
};

/* Appends a reason. */
void give_reason(struct deciding *s, const char *rule, const char *text, enum concern concern, bool against);

/* Fills the facts; reads nothing but the question. */
void gather_facts(struct deciding *s);
/* Whether a permit that asks for an emergency holds, among facts that are gathered. */
bool glass_is_broken(const struct deciding *s);
/* Gives every reason against that holds under any policy. */
void apply_builtin_rules(struct deciding *s);
/* Gives the reasons of the policy, and "no-policy" or "no-permit" where a permit is needed and none is there. */
void apply_policy(struct deciding *s);

/* Gives the budgets that this read goes beyond, where nothing stands against it by now: budgets.c. */
void apply_budgets(struct deciding *s);

/* duo.c: what stands against this research in the consent. */
struct research research_under(const struct question *q, const struct consent *c);

/* Actions on what a patient gave: never without a permit of the policy. */
static inline bool needs_permit(unsigned action) {
    return action == ACTION_DEPOSIT || action == ACTION_READ || action == ACTION_LIST || action == ACTION_METADATA;
}

/* Actions that show something of a file, and so need a purpose and a consent. */
static inline bool needs_consent(unsigned action) {
    return action == ACTION_READ || action == ACTION_LIST || action == ACTION_METADATA;
}

/* The rule whose reason, alone, leaves the matter to a person. */
extern const char rule_not_decidable[];

#endif
