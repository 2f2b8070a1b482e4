/* What the tests of decisions share: a policy, and a question with everything it points to. */
#ifndef VAULT_TESTS_DECISION_WORLD_H
#define VAULT_TESTS_DECISION_WORLD_H

#include "vault/decision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vault/result.h"

#define BIT(n) (1u << (n))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTENT (BIT(ACTION_READ) | BIT(ACTION_LIST) | BIT(ACTION_METADATA))
#define ANY_ROLE (BIT(ROLE_COUNT) - 1)

enum { NOW = 1800000000 };

/* A question with everything it points to. */
struct world {
    struct question q;
    struct purpose purpose;
    struct consent consent;
};

static struct policy policy; /* large; one at a time */

static inline struct policy_rule *add_rule(const char *id, enum effect effect, uint32_t actions, uint32_t purposes,
                                           uint32_t conditions) {
    struct policy_rule *r = &policy.rules[policy.count++];
    *r = (struct policy_rule){.effect = (uint8_t)effect,
                              .actions = actions,
                              .purposes = purposes,
                              .conditions = conditions,
                              .text = "A rule of the test."};
    copy_string(r->id, sizeof(r->id), id);
    if (effect == EFFECT_OBLIGE)
        copy_string(r->obligation, sizeof(r->obligation), id);
    return r;
}

static inline void start_policy(void) {
    policy = (struct policy){.name = "test"};
}

static inline void check_policy(void) {
    struct policy_fault fault;
    assert_int_equal(policy_check(&policy, &fault), VAULT_OK);
}

static inline int set_usual_policy(void **state) {
    (void)state;
    start_policy();
    add_rule("deposit", EFFECT_PERMIT, BIT(ACTION_DEPOSIT), BIT(PURPOSE_NONE), 0);
    add_rule("treatment", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_CONSENT_TREATMENT));
    add_rule("research", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_RESEARCH),
             BIT(CONDITION_CONSENT_RESEARCH) | BIT(CONDITION_PROJECT_OPEN) | BIT(CONDITION_APPROVAL_VALID));
    add_rule("actionable-only", EFFECT_OBLIGE, BIT(ACTION_READ), BIT(PURPOSE_TREATMENT) | BIT(PURPOSE_RESEARCH),
             BIT(CONDITION_FINDINGS_LIMITED));
    check_policy();
    return 0;
}

static inline void set_terms(struct world *w, const uint32_t *terms, size_t count) {
    struct writer to = writer_of(w->consent.research, sizeof(w->consent.research));
    for (size_t i = 0; i < count; i++)
        write_u32(&to, terms[i]);
    w->consent.research_size = (uint32_t)to.used;
}

/* A research read that is permitted. */
static inline void set_research(struct world *w) {
    *w =
        (struct world){.purpose = {.purpose = PURPOSE_RESEARCH, .project = "P1", .approval = "A1"},
                       .consent = {.subject = "S-0001",
                                   .signed_on = "2026-11-22",
                                   .form = "2.1",
                                   .treatment = 1,
                                   .findings = FINDINGS_ALL,
                                   .recontact = 1},
                       .q = {.time = NOW,
                             .action = ACTION_READ,
                             .service = {.known = true,
                                         .name = "lab",
                                         .roles = ANY_ROLE,
                                         .purposes = BIT(PURPOSE_TREATMENT) | BIT(PURPOSE_RESEARCH)},
                             .subject = {.known = true},
                             .file = {true, "D1", "wgs,germline"},
                             .project = {true, true, true},
                             .approval = {.known = true, .for_project = true, .for_dataset = true, .for_purpose = true},
                             .policy = &policy}};
    w->q.purpose = &w->purpose;
    w->q.subject.consent = &w->consent;
    set_terms(w, (const uint32_t[]){42}, 1);
}

static inline const struct reason *reason_of(const struct decision *d, const char *rule) {
    for (size_t i = 0; i < d->reason_count; i++)
        if (strcmp(d->reasons[i].rule, rule) == 0)
            return &d->reasons[i];
    return NULL;
}

static inline size_t count_against(const struct decision *d) {
    size_t count = 0;
    for (size_t i = 0; i < d->reason_count; i++)
        count += d->reasons[i].against;
    return count;
}

#endif
