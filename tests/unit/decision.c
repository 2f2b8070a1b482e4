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

static struct policy_rule *add_rule(const char *id, enum effect effect, uint32_t actions, uint32_t purposes,
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

static void start_policy(void) {
    policy = (struct policy){.name = "test"};
}

static void check_policy(void) {
    size_t rule;
    const char *field;
    assert_int_equal(policy_check(&policy, &rule, &field), VAULT_OK);
}

static int set_usual_policy(void **state) {
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

static void set_terms(struct world *w, const uint32_t *terms, size_t count) {
    struct writer to = writer_of(w->consent.research, sizeof(w->consent.research));
    for (size_t i = 0; i < count; i++)
        write_u32(&to, terms[i]);
    w->consent.research_size = (uint32_t)to.used;
}

/* A research read that is permitted. */
static void set_research(struct world *w) {
    *w = (struct world){.purpose = {.purpose = PURPOSE_RESEARCH, .project = "P1", .approval = "A1"},
                        .consent = {.subject = "S-0001",
                                    .signed_on = "2026-11-22",
                                    .form = "2.1",
                                    .treatment = 1,
                                    .findings = FINDINGS_ALL,
                                    .recontact = 1},
                        .q = {.time = NOW,
                              .action = ACTION_READ,
                              .service = {true, "lab", ANY_ROLE, BIT(PURPOSE_TREATMENT) | BIT(PURPOSE_RESEARCH)},
                              .subject = {.known = true},
                              .file = {true, "D1", "wgs,germline"},
                              .project = {true, true, true},
                              .approval = {.known = true, .for_project = true, .for_dataset = true},
                              .policy = &policy}};
    w->q.purpose = &w->purpose;
    w->q.subject.consent = &w->consent;
    set_terms(w, (const uint32_t[]){42}, 1);
}

static void set_treatment(struct world *w) {
    set_research(w);
    w->purpose = (struct purpose){.purpose = PURPOSE_TREATMENT};
    w->q.project.known = w->q.project.open = w->q.project.member = false;
    w->q.approval.known = w->q.approval.for_project = w->q.approval.for_dataset = false;
}

static void set_deposit(struct world *w) {
    set_research(w);
    w->purpose = (struct purpose){0};
    w->q.action = ACTION_DEPOSIT;
    w->q.file.known = false;
    w->q.subject.consent = NULL;
}

static const struct reason *reason_of(const struct decision *d, const char *rule) {
    for (size_t i = 0; i < d->reason_count; i++)
        if (strcmp(d->reasons[i].rule, rule) == 0)
            return &d->reasons[i];
    return NULL;
}

static size_t count_against(const struct decision *d) {
    size_t count = 0;
    for (size_t i = 0; i < d->reason_count; i++)
        count += d->reasons[i].against;
    return count;
}

static void permits(const struct world *w, const char *rule) {
    struct decision d;
    decide(&w->q, &d);
    for (size_t i = 0; i < d.reason_count; i++)
        if (d.reasons[i].against)
            fail_msg("denied by %s", d.reasons[i].rule);
    assert_int_equal(d.verdict, VERDICT_PERMIT);
    assert_non_null(reason_of(&d, rule));
}

/* Denied for this reason and no other. */
static void denies(const struct world *w, const char *rule, enum concern concern) {
    struct decision d;
    decide(&w->q, &d);
    const struct reason *r = reason_of(&d, rule);
    if (d.verdict == VERDICT_PERMIT || r == NULL || count_against(&d) != 1) {
        for (size_t i = 0; i < d.reason_count; i++)
            print_message("%s ", d.reasons[i].rule);
        fail_msg("not denied for %s alone", rule);
    }
    assert_true(r->against);
    assert_int_equal(r->concern, concern);
    assert_true(strlen(r->text) > 10);
    assert_int_equal(d.obligation_count, 0);
    assert_int_equal(decision_tellable(&d), concern == CONCERN_SELF);
}

static void usual_questions_are_permitted(void **state) {
    (void)state;
    struct world w;
    static const enum action content[] = {ACTION_READ, ACTION_LIST, ACTION_METADATA};
    for (size_t i = 0; i < COUNT_OF(content); i++) {
        set_research(&w);
        w.q.action = content[i];
        permits(&w, "research");
        set_treatment(&w);
        w.q.action = content[i];
        permits(&w, "treatment");
    }
    set_deposit(&w);
    permits(&w, "deposit");
}

/* What can be wrong with a research read, one thing at a time. */
static void no_service(struct world *w) {
    w->q.service.known = false;
}
static void no_reader(struct world *w) {
    w->q.service.roles &= ~BIT(ROLE_READER);
}
static void other_purposes(struct world *w) {
    w->q.service.purposes = BIT(PURPOSE_TREATMENT);
}
static void no_subject(struct world *w) {
    w->q.subject.known = false;
}
static void no_file(struct world *w) {
    w->q.file.known = false;
}
static void no_consent(struct world *w) {
    w->q.subject.consent = NULL;
}
static void consent_ends_now(struct world *w) {
    w->consent.expires = NOW;
}
static void no_terms(struct world *w) {
    w->consent.research_size = 0;
}
static void opt_out(struct world *w) {
    w->q.subject.opted_out = true;
}
static void project_unnamed(struct world *w) {
    w->purpose.project[0] = '\0';
}
static void project_unknown(struct world *w) {
    w->q.project.known = false;
}
static void project_closed(struct world *w) {
    w->q.project.open = false;
}
static void not_member(struct world *w) {
    w->q.project.member = false;
}
static void approval_unnamed(struct world *w) {
    w->purpose.approval[0] = '\0';
}
static void approval_unknown(struct world *w) {
    w->q.approval.known = false;
}
static void approval_revoked(struct world *w) {
    w->q.approval.revoked = true;
}
static void approval_later(struct world *w) {
    w->q.approval.valid_from = NOW + 1;
}
static void approval_ended(struct world *w) {
    w->q.approval.valid_until = NOW;
}
static void approval_elsewhere(struct world *w) {
    w->q.approval.for_project = false;
}
static void approval_not_of_dataset(struct world *w) {
    w->q.approval.for_dataset = false;
}
static void no_policy(struct world *w) {
    w->q.policy = NULL;
}

static const struct fault {
    void (*make)(struct world *w);
    const char *rule;
    enum concern concern;
} faults[] = {
    {other_purposes, "purpose-not-allowed-to-service", CONCERN_SELF},
    {no_subject, "subject-unknown", CONCERN_PATIENT},
    {no_file, "file-unknown", CONCERN_PATIENT},
    {no_consent, "consent-none", CONCERN_PATIENT},
    {consent_ends_now, "consent-expired", CONCERN_PATIENT},
    {no_terms, "consent-refuses-research", CONCERN_PATIENT},
    {opt_out, "opted-out", CONCERN_PATIENT},
    {project_unnamed, "project-missing", CONCERN_SELF},
    {project_unknown, "project-unknown", CONCERN_SELF},
    {project_closed, "project-closed", CONCERN_SELF},
    {not_member, "project-not-member", CONCERN_SELF},
    {approval_unnamed, "approval-missing", CONCERN_SELF},
    {approval_unknown, "approval-unknown", CONCERN_SELF},
    {approval_revoked, "approval-revoked", CONCERN_SELF},
    {approval_later, "approval-not-yet", CONCERN_SELF},
    {approval_ended, "approval-over", CONCERN_SELF},
    {approval_elsewhere, "approval-other-project", CONCERN_SELF},
    {approval_not_of_dataset, "approval-other-dataset", CONCERN_PATIENT},
    {no_policy, "no-policy", CONCERN_SELF},
    {no_service, "service-unknown", CONCERN_SELF},
    {no_reader, "role-missing", CONCERN_SELF},
};

static void each_fault_alone_denies_research_and_says_so(void **state) {
    (void)state;
    struct world w;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        set_research(&w);
        faults[i].make(&w);
        denies(&w, faults[i].rule, faults[i].concern);
    }
}

static void every_fault_is_given_at_once(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(faults); i++)
        for (size_t k = 0; k < i; k++) {
            if (faults[k].make == no_consent || faults[i].make == no_consent)
                continue; /* leaves no consent to find more in */
            set_research(&w);
            faults[k].make(&w);
            faults[i].make(&w);
            decide(&w.q, &d);
            bool nameless = w.purpose.project[0] == '\0' || w.purpose.approval[0] == '\0' || !w.q.project.known ||
                            !w.q.approval.known || !w.q.service.known || !w.q.file.known;
            assert_int_equal(d.verdict, VERDICT_DENY);
            if (!nameless) {
                assert_non_null(reason_of(&d, faults[i].rule));
                assert_non_null(reason_of(&d, faults[k].rule));
            }
        }
}

static void treatment_needs_consent_and_nothing_of_research(void **state) {
    (void)state;
    struct world w;
    set_treatment(&w);
    w.consent.treatment = 0;
    denies(&w, "consent-refuses-treatment", CONCERN_PATIENT);
    set_treatment(&w);
    no_consent(&w);
    denies(&w, "consent-none", CONCERN_PATIENT);
    set_treatment(&w);
    consent_ends_now(&w);
    denies(&w, "consent-expired", CONCERN_PATIENT);
    set_treatment(&w);
    no_terms(&w);
    opt_out(&w);
    permits(&w, "treatment");
}

static void purpose_is_needed_to_see_anything_of_a_file(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    static const enum action content[] = {ACTION_READ, ACTION_LIST, ACTION_METADATA};
    for (size_t i = 0; i < COUNT_OF(content); i++) {
        set_treatment(&w);
        w.purpose.purpose = PURPOSE_NONE;
        w.q.action = content[i];
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_DENY);
        assert_non_null(reason_of(&d, "purpose-missing"));
    }
    set_treatment(&w);
    w.purpose.purpose = 77;
    decide(&w.q, &d);
    assert_int_equal(d.verdict, VERDICT_DENY);
    assert_non_null(reason_of(&d, "purpose-not-allowed-to-service"));
}

static void edges_of_time_are_exact(void **state) {
    (void)state;
    struct world w;
    set_research(&w);
    w.consent.expires = NOW + 1;
    w.q.approval.valid_from = NOW;
    w.q.approval.valid_until = NOW + 1;
    permits(&w, "research");
}

static void only_general_terms_permit_research(void **state) {
    (void)state;
    static const struct {
        uint32_t terms[3];
        size_t count;
        bool permitted;
    } cases[] = {{{4}, 1, true},       {{42}, 1, true},         {{4, 42}, 2, true},       {{45}, 1, false},
                 {{42, 45}, 2, false}, {{4, 42, 46}, 3, false}, {{6}, 1, false},          {{7}, 1, false},
                 {{11}, 1, false},     {{21, 42}, 2, false},    {{42, 9999999}, 2, false}};
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        set_research(&w);
        set_terms(&w, cases[i].terms, cases[i].count);
        if (cases[i].permitted) {
            permits(&w, "research");
            continue;
        }
        denies(&w, "consent-not-decidable", CONCERN_PATIENT);
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERSON);
        assert_non_null(strstr(reason_of(&d, "consent-not-decidable")->text, "not decidable here"));
        opt_out(&w);
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_DENY);
    }
}

static void deposit_needs_role_subject_and_permit(void **state) {
    (void)state;
    struct world w;
    set_deposit(&w);
    no_subject(&w);
    denies(&w, "subject-unknown", CONCERN_PATIENT);
    set_deposit(&w);
    no_service(&w);
    denies(&w, "service-unknown", CONCERN_SELF);
    set_deposit(&w);
    w.q.service.roles = BIT(ROLE_READER);
    denies(&w, "role-missing", CONCERN_SELF);
    set_deposit(&w);
    no_policy(&w);
    denies(&w, "no-policy", CONCERN_SELF);
    start_policy();
    set_deposit(&w);
    denies(&w, "no-permit", CONCERN_SELF);
    set_usual_policy(NULL);
}

static void administration_needs_its_role_and_no_policy(void **state) {
    (void)state;
    static const struct {
        enum action action;
        uint32_t roles;
    } needs[] = {
        {ACTION_EXPORT, BIT(ROLE_AUDITOR)},
        {ACTION_REMOVE, BIT(ROLE_CUSTODIAN)},
        {ACTION_SHRED, BIT(ROLE_CUSTODIAN)},
        {ACTION_ADMINISTER, BIT(ROLE_REGISTRAR) | BIT(ROLE_AUDITOR) | BIT(ROLE_CUSTODIAN) | BIT(ROLE_OPERATOR)}};
    struct world w;
    for (size_t i = 0; i < COUNT_OF(needs); i++)
        for (unsigned role = 0; role < ROLE_COUNT; role++) {
            set_treatment(&w);
            w.purpose.purpose = PURPOSE_NONE;
            w.q.policy = NULL;
            w.q.action = needs[i].action;
            w.q.service.roles = BIT(role);
            if ((needs[i].roles & BIT(role)) != 0)
                permits(&w, "role-permits");
            else
                denies(&w, "role-missing", CONCERN_SELF);
        }
}

static void unknown_action_is_denied(void **state) {
    (void)state;
    struct world w;
    set_treatment(&w);
    w.q.action = ACTION_COUNT;
    denies(&w, "action-unknown", CONCERN_SELF);
}

static void forbid_beats_permit(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    add_rule("not-listed", EFFECT_FORBID, BIT(ACTION_LIST), BIT(PURPOSE_TREATMENT), 0);
    check_policy();
    set_treatment(&w);
    permits(&w, "treatment");
    w.q.action = ACTION_LIST;
    denies(&w, "not-listed", CONCERN_SELF);
    decide(&w.q, &d);
    assert_false(reason_of(&d, "treatment")->against);
}

static void forbid_of_the_policy_binds_removal(void **state) {
    (void)state;
    struct world w;
    add_rule("kept", EFFECT_FORBID, BIT(ACTION_REMOVE), BIT(PURPOSE_NONE), 0);
    check_policy();
    set_treatment(&w);
    w.purpose.purpose = PURPOSE_NONE;
    w.q.action = ACTION_REMOVE;
    denies(&w, "kept", CONCERN_SELF);
    w.q.action = ACTION_SHRED;
    permits(&w, "role-permits");
}

static void rule_is_bound_to_role_dataset_and_tag(void **state) {
    (void)state;
    struct world w;
    start_policy();
    struct policy_rule *r = add_rule("bound", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), 0);
    set_treatment(&w);
    copy_string(r->dataset, sizeof(r->dataset), "D1");
    copy_string(r->tag, sizeof(r->tag), "germline");
    permits(&w, "bound");
    w.q.file.tags = "germline";
    permits(&w, "bound");
    static const char *const others[] = {"", "germ", "wgs,germlines", "germline2,wgs", "xgermline", ","};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        w.q.file.tags = others[i];
        denies(&w, "no-permit", CONCERN_PATIENT);
    }
    w.q.file.tags = "germline";
    w.q.file.dataset = "D2";
    denies(&w, "no-permit", CONCERN_PATIENT);
    w.q.file.dataset = "D1";
    r->roles = BIT(ROLE_AUDITOR);
    w.q.service.roles = BIT(ROLE_READER);
    denies(&w, "no-permit", CONCERN_SELF);
}

static void forbid_that_shows_a_choice_is_the_patients(void **state) {
    (void)state;
    struct world w;
    add_rule("no-recontact", EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), BIT(CONDITION_NO_RECONTACT));
    struct policy_rule *r = add_rule("closed-dataset", EFFECT_FORBID, CONTENT, BIT(PURPOSE_TREATMENT), 0);
    copy_string(r->dataset, sizeof(r->dataset), "D1");
    check_policy();
    set_research(&w);
    w.consent.recontact = 0;
    denies(&w, "no-recontact", CONCERN_PATIENT);
    set_treatment(&w);
    denies(&w, "closed-dataset", CONCERN_PATIENT);
    w.q.file.dataset = "D2";
    permits(&w, "treatment");
}

static void obligations_come_once_and_only_with_a_permit(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    struct policy_rule *r = add_rule("again", EFFECT_OBLIGE, CONTENT, BIT(PURPOSE_TREATMENT), 0);
    copy_string(r->obligation, sizeof(r->obligation), "actionable-only");
    check_policy();
    set_treatment(&w);
    w.consent.findings = FINDINGS_ACTIONABLE;
    decide(&w.q, &d);
    assert_int_equal(d.verdict, VERDICT_PERMIT);
    assert_int_equal(d.obligation_count, 1);
    assert_string_equal(d.obligations[0], "actionable-only");
    assert_non_null(reason_of(&d, "again"));
    w.consent.treatment = 0;
    decide(&w.q, &d);
    assert_int_equal(d.obligation_count, 0);
}

/* --- properties over a small world --------------------------------------------------------------------------- */

enum { SELF_BITS = 8, PATIENT_BITS = 8 };

/* One world of many: the lower bits are the service's side, the others the patient's and the file's. A bit that is set
 * takes something away, except the choices of action, purpose and kind of consent. */
static void set_world(struct world *w, unsigned self, unsigned patient) {
    static const enum action actions[] = {ACTION_READ, ACTION_LIST, ACTION_DEPOSIT, ACTION_REMOVE};
    static const uint32_t terms[4][2] = {{0, 0}, {42, 0}, {42, 45}, {45, 0}};
    set_research(w);
    w->q.action = actions[self & 3];
    w->purpose.purpose = (self >> 2 & 3) == 3 ? PURPOSE_NONE : (uint8_t)(self >> 2 & 3);
    w->q.service.roles = (self >> 4 & 1) ? BIT(ROLE_DEPOSITOR) : ANY_ROLE;
    w->q.service.purposes = (self >> 5 & 1) ? BIT(PURPOSE_TREATMENT) : w->q.service.purposes;
    w->q.project.member = !(self >> 6 & 1);
    w->q.approval.revoked = self >> 7 & 1;
    const uint32_t *t = terms[patient & 3];
    set_terms(w, t, t[0] == 0 ? 0 : t[1] == 0 ? 1 : 2);
    w->consent.treatment = !(patient >> 2 & 1);
    w->consent.expires = (patient >> 3 & 1) ? NOW : 0;
    w->q.subject.opted_out = patient >> 4 & 1;
    w->consent.findings = (patient >> 5 & 1) ? FINDINGS_NONE : FINDINGS_ALL;
    w->q.file.known = !(patient >> 6 & 1);
    w->q.approval.for_dataset = !(patient >> 7 & 1);
}

static uint32_t seed;

static uint32_t roll(uint32_t sides) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

/* A policy of few rules without much sense, but valid. */
static void roll_policy(uint32_t number) {
    static const uint32_t granting = BIT(CONDITION_CONSENT_TREATMENT) | BIT(CONDITION_CONSENT_RESEARCH) |
                                     BIT(CONDITION_PROJECT_OPEN) | BIT(CONDITION_APPROVAL_VALID);
    seed = number;
    start_policy();
    for (uint32_t i = roll(6) + 1; i > 0; i--) {
        char id[16];
        format_string(id, sizeof(id), "rule-%u", i);
        enum effect effect = (enum effect)roll(3);
        uint32_t some = BIT(roll(CONDITION_COUNT)) | BIT(roll(CONDITION_COUNT));
        uint32_t allowed = effect == EFFECT_PERMIT ? granting : effect == EFFECT_FORBID ? ~granting : ~0u;
        struct policy_rule *r =
            add_rule(id, effect, CONTENT | BIT(roll(ACTION_ADMINISTER)), roll(7) + 1, roll(2) ? some & allowed : 0);
        if (roll(4) == 0)
            copy_string(r->dataset, sizeof(r->dataset), roll(2) ? "D1" : "D2");
        if (roll(4) == 0)
            r->roles = BIT(ROLE_READER);
    }
    check_policy();
}

enum { POLICIES = 8 };

typedef void (*visit)(unsigned self, unsigned patient, const struct decision *d);

static void visit_worlds(visit v) {
    struct world w;
    struct decision d;
    for (unsigned self = 0; self < BIT(SELF_BITS); self++)
        for (unsigned patient = 0; patient < BIT(PATIENT_BITS); patient++) {
            set_world(&w, self, patient);
            decide(&w.q, &d);
            v(self, patient, &d);
        }
}

static void visit_policies(visit v) {
    set_usual_policy(NULL);
    visit_worlds(v);
    for (uint32_t i = 0; i < POLICIES; i++) {
        roll_policy(i);
        visit_worlds(v);
    }
    set_usual_policy(NULL);
}

static size_t permitted_worlds;

static void has_reasons(unsigned self, unsigned patient, const struct decision *d) {
    (void)self;
    (void)patient;
    assert_true(d->reason_count >= 1 && d->reason_count <= REASONS_MAX);
    assert_int_equal(count_against(d) == 0, d->verdict == VERDICT_PERMIT);
    assert_true(d->verdict == VERDICT_PERMIT || d->obligation_count == 0);
    permitted_worlds += d->verdict == VERDICT_PERMIT;
}

static void every_decision_has_a_reason(void **state) {
    (void)state;
    permitted_worlds = 0;
    visit_policies(has_reasons);
    assert_true(permitted_worlds > 1000); /* or the other properties say little */
}

static uint8_t permitted[BIT(SELF_BITS)][BIT(PATIENT_BITS)];

static void remember(unsigned self, unsigned patient, const struct decision *d) {
    permitted[self][patient] = d->verdict == VERDICT_PERMIT;
}

/* Bits that take away: of the service the last four; of the patient all above the kind of research consent, but not
 * the choice of findings, which is no permission. */
static void still_denied_with_less(unsigned self, unsigned patient, const struct decision *d) {
    bool any = false;
    if (d->verdict == VERDICT_PERMIT)
        return;
    for (unsigned bit = 4; bit < SELF_BITS; bit++)
        any = any || permitted[self | BIT(bit)][patient];
    for (unsigned bit = 2; bit < PATIENT_BITS; bit++)
        any = any || (bit != 5 && permitted[self][patient | BIT(bit)]);
    if (any || permitted[self][patient & ~3u])
        fail_msg("world %u/%u", self, patient);
}

static void remember_and_compare(void) {
    visit_worlds(remember);
    visit_worlds(still_denied_with_less);
}

static void taking_away_never_turns_a_deny_into_a_permit(void **state) {
    (void)state;
    set_usual_policy(NULL);
    remember_and_compare();
    for (uint32_t i = 0; i < POLICIES; i++) {
        roll_policy(i);
        remember_and_compare();
    }
    set_usual_policy(NULL);
}

static void same_reasons(const struct decision *a, const struct decision *b) {
    assert_int_equal(a->verdict, b->verdict);
    assert_int_equal(a->reason_count, b->reason_count);
    assert_int_equal(a->obligation_count, b->obligation_count);
    for (size_t i = 0; i < a->reason_count; i++) {
        const struct reason *r = reason_of(b, a->reasons[i].rule);
        assert_non_null(r);
        assert_int_equal(r->against, a->reasons[i].against);
    }
}

static void same_when_turned_around(unsigned self, unsigned patient, const struct decision *d) {
    static struct policy turned;
    if ((self * 31 + patient) % 5 != 0)
        return;
    turned = policy;
    for (size_t i = 0; i < policy.count; i++)
        turned.rules[i] = policy.rules[policy.count - 1 - i];
    struct world w;
    struct decision other;
    set_world(&w, self, patient);
    w.q.policy = &turned;
    decide(&w.q, &other);
    same_reasons(d, &other);
}

static void order_of_rules_means_nothing(void **state) {
    (void)state;
    visit_policies(same_when_turned_around);
}

/* What the service was told of the first patient of this row of worlds. */
static const char *told_first[REASONS_MAX];
static size_t told_first_count;

static void told_the_same(unsigned self, unsigned patient, const struct decision *d) {
    const struct reason *told[REASONS_MAX];
    size_t count = decision_told(d, told);
    (void)self;
    if (patient == 0) {
        told_first_count = count;
        for (size_t i = 0; i < count; i++)
            told_first[i] = told[i]->rule;
    }
    assert_int_equal(count, told_first_count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(told[i]->rule, told_first[i]);
}

static void what_a_service_is_told_never_depends_on_the_patient(void **state) {
    (void)state;
    visit_policies(told_the_same);
}

static void refused_patient_cannot_be_told_from_one_who_consents(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    const struct reason *told[REASONS_MAX];
    for (int refused = 0; refused < 2; refused++) {
        set_research(&w);
        approval_unknown(&w);
        if (refused)
            no_terms(&w);
        decide(&w.q, &d);
        assert_int_equal(decision_told(&d, told), 1);
        assert_string_equal(told[0]->rule, "approval-unknown");
    }
    set_research(&w);
    no_terms(&w);
    decide(&w.q, &d);
    assert_int_equal(decision_told(&d, told), 0);
}

static void full_policy_leaves_room_for_every_reason(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    start_policy();
    for (unsigned i = 0; i < POLICY_RULES_AT_ONCE; i++) {
        char id[16];
        format_string(id, sizeof(id), "forbid-%u", i);
        add_rule(id, EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), 0);
    }
    check_policy();
    set_research(&w);
    other_purposes(&w), no_reader(&w), no_subject(&w), consent_ends_now(&w), no_terms(&w), opt_out(&w);
    project_closed(&w), not_member(&w), approval_revoked(&w), approval_later(&w), approval_ended(&w);
    approval_elsewhere(&w), approval_not_of_dataset(&w);
    decide(&w.q, &d);
    assert_int_equal(d.reason_count, 13 + POLICY_RULES_AT_ONCE + 1);
    assert_true(d.reason_count < REASONS_MAX);
    assert_non_null(reason_of(&d, "no-permit"));
    set_usual_policy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_questions_are_permitted),
        cmocka_unit_test(each_fault_alone_denies_research_and_says_so),
        cmocka_unit_test(every_fault_is_given_at_once),
        cmocka_unit_test(treatment_needs_consent_and_nothing_of_research),
        cmocka_unit_test(purpose_is_needed_to_see_anything_of_a_file),
        cmocka_unit_test(edges_of_time_are_exact),
        cmocka_unit_test(only_general_terms_permit_research),
        cmocka_unit_test(deposit_needs_role_subject_and_permit),
        cmocka_unit_test(administration_needs_its_role_and_no_policy),
        cmocka_unit_test(unknown_action_is_denied),
        cmocka_unit_test_setup(forbid_beats_permit, set_usual_policy),
        cmocka_unit_test_setup(forbid_of_the_policy_binds_removal, set_usual_policy),
        cmocka_unit_test_setup(rule_is_bound_to_role_dataset_and_tag, set_usual_policy),
        cmocka_unit_test_setup(forbid_that_shows_a_choice_is_the_patients, set_usual_policy),
        cmocka_unit_test_setup(obligations_come_once_and_only_with_a_permit, set_usual_policy),
        cmocka_unit_test(every_decision_has_a_reason),
        cmocka_unit_test(taking_away_never_turns_a_deny_into_a_permit),
        cmocka_unit_test(order_of_rules_means_nothing),
        cmocka_unit_test(what_a_service_is_told_never_depends_on_the_patient),
        cmocka_unit_test(refused_patient_cannot_be_told_from_one_who_consents),
        cmocka_unit_test(full_policy_leaves_room_for_every_reason),
    };
    return cmocka_run_group_tests(tests, set_usual_policy, NULL);
}
