/* Properties of decisions over every combination of a small world, under many policies. */
#include "decision_world.h"

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
        uint32_t allowed = effect == EFFECT_PERMIT   ? granting
                           : effect == EFFECT_FORBID ? ~(granting | BIT(CONDITION_FINDINGS_LIMITED))
                                                     : ~0u;
        uint32_t other = BIT(roll(ACTION_ADMINISTER)) & (effect == EFFECT_FORBID ? CONTENT : ~0u);
        struct policy_rule *r = add_rule(id, effect, CONTENT | other, roll(7) + 1, roll(2) ? some & allowed : 0);
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

static bool exact; /* no rule names a dataset: what is not permitted of any file is not of one */
static size_t open_to_some, closed;

/* All files that the subject could have, by an approval that covers them or not. */
static bool one_is_permitted(struct world *w) {
    static const char *const datasets[] = {"", "D1", "D2"};
    struct decision d;
    bool one = false;
    for (unsigned n = 0; n < 2 * COUNT_OF(datasets); n++) {
        w->q.file.dataset = datasets[n / 2];
        w->q.file.known = true;
        w->q.approval.for_dataset = n % 2 != 0;
        decide(&w->q, &d);
        one = one || d.verdict == VERDICT_PERMIT;
    }
    return one;
}

static void any_file_is_every_file(unsigned self, unsigned patient, const struct decision *d) {
    struct world w;
    struct decision any, again;
    set_world(&w, self, patient);
    if (w.q.action != ACTION_READ && w.q.action != ACTION_LIST)
        return;
    decide_any_file(&w.q, &any);
    bool one = one_is_permitted(&w);
    decide_any_file(&w.q, &again);
    same_reasons(&any, &again);
    assert_true(any.verdict == VERDICT_PERMIT || (!one && d->verdict != VERDICT_PERMIT));
    assert_true(!exact || one == (any.verdict == VERDICT_PERMIT));
    open_to_some += any.verdict == VERDICT_PERMIT;
    closed += any.verdict != VERDICT_PERMIT;
}

static void what_no_file_is_permitted_of_none_is(void **state) {
    (void)state;
    exact = true;
    set_usual_policy(NULL);
    visit_worlds(any_file_is_every_file);
    exact = false;
    open_to_some = closed = 0;
    visit_policies(any_file_is_every_file);
    assert_true(open_to_some > 1000 && closed > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_decision_has_a_reason),
        cmocka_unit_test(taking_away_never_turns_a_deny_into_a_permit),
        cmocka_unit_test(order_of_rules_means_nothing),
        cmocka_unit_test(what_no_file_is_permitted_of_none_is),
        cmocka_unit_test(what_a_service_is_told_never_depends_on_the_patient),
    };
    return cmocka_run_group_tests(tests, set_usual_policy, NULL);
}
