/* Decisions a second on one core: the pure function over a mix of purposes, consents, opt-outs and files, under the
 * rules that policies/denmark.yaml has the like of. decisions COUNT: prints the seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vault/decision.h"
#include "vault/result.h"

#define BIT(n) (1u << (n))

enum {
    CONTENT = BIT(ACTION_READ) | BIT(ACTION_LIST) | BIT(ACTION_METADATA),
    EITHER = BIT(PURPOSE_TREATMENT) | BIT(PURPOSE_RESEARCH)
};

static struct policy policy;

static void add_rule(const char *id, enum effect effect, uint32_t actions, uint32_t purposes, uint32_t conditions) {
    struct policy_rule *r = &policy.rules[policy.count++];
    *r = (struct policy_rule){.effect = (uint8_t)effect,
                              .actions = actions,
                              .purposes = purposes,
                              .conditions = conditions,
                              .text = "A rule."};
    copy_string(r->id, sizeof(r->id), id);
    if (effect == EFFECT_OBLIGE)
        copy_string(r->obligation, sizeof(r->obligation), id);
}

static void make_policy(void) {
    struct policy_fault fault;
    add_rule("deposit", EFFECT_PERMIT, BIT(ACTION_DEPOSIT), BIT(PURPOSE_NONE), 0);
    add_rule("treatment", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_CONSENT_TREATMENT));
    add_rule("research", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_RESEARCH),
             BIT(CONDITION_CONSENT_RESEARCH) | BIT(CONDITION_PROJECT_OPEN) | BIT(CONDITION_APPROVAL_VALID));
    add_rule("opted-out", EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), BIT(CONDITION_OPTED_OUT));
    add_rule("actionable-only", EFFECT_OBLIGE, BIT(ACTION_READ), EITHER, BIT(CONDITION_FINDINGS_LIMITED));
    add_rule("no-findings", EFFECT_OBLIGE, BIT(ACTION_READ), EITHER, BIT(CONDITION_FINDINGS_REFUSED));
    add_rule("no-recontact", EFFECT_OBLIGE, BIT(ACTION_READ), EITHER, BIT(CONDITION_NO_RECONTACT));
    policy.name[0] = 'b';
    if (policy_check(&policy, &fault) != VAULT_OK)
        abort();
}

static void set_terms(struct consent *c, uint32_t first, uint32_t second) {
    struct writer w = writer_of(c->research, sizeof(c->research));
    write_u32(&w, first);
    if (second != 0)
        write_u32(&w, second);
    c->research_size = (uint32_t)w.used;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    static const struct purpose purposes[] = {
        {.purpose = PURPOSE_TREATMENT},
        {.purpose = PURPOSE_RESEARCH, .project = "P1", .approval = "A1", .uses = USE_BIT(37)},
        {.purpose = PURPOSE_RESEARCH, .project = "P1", .approval = "A1", .disease = "MONDO:0004992"}};
    struct consent consents[4] = {{.treatment = 1, .findings = FINDINGS_ALL, .recontact = 1},
                                  {.treatment = 1, .findings = FINDINGS_ACTIONABLE},
                                  {.treatment = 1, .findings = FINDINGS_NONE, .diseases = "MONDO:0004992"},
                                  {.treatment = 1}};
    set_terms(&consents[0], 42, 0);
    set_terms(&consents[1], 6, 16);
    set_terms(&consents[2], DUO_DS, 21);
    struct question q = {.time = 1800000000,
                         .action = ACTION_READ,
                         .service = {.known = true, .name = "lab", .roles = BIT(ROLE_READER), .purposes = EITHER},
                         .subject = {.known = true},
                         .file = {true, "D1", "wgs,germline"},
                         .project = {true, true, true},
                         .approval = {.known = true, .for_project = true, .for_dataset = true, .for_purpose = true},
                         .policy = &policy};
    struct decision d;
    long permitted = 0;
    make_policy();
    double start = now();
    for (long i = 0; i < count; i++) {
        q.purpose = &purposes[i % 3];
        q.subject.consent = &consents[i / 3 % 4];
        q.subject.opted_out = i % 7 == 0;
        decide(&q, &d);
        permitted += d.verdict == VERDICT_PERMIT;
    }
    printf("%.4f\n", now() - start);
    return permitted > 0 && permitted < count ? 0 : 2; /* else it measured another thing */
}
