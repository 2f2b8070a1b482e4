#include "decision_world.h"

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
    const struct reason *told[REASONS_MAX];
    assert_int_equal(decision_told(&d, told) > 0, concern == CONCERN_SELF);
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
static void refuse_treatment(struct world *w) {
    w->consent.treatment = false;
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

/* What each term of the ontology makes of one kind of research. */
struct duo_case {
    uint32_t terms[3];
    const char *disease;
    uint32_t uses[3];
    const char *rule; /* the only one against it; NULL: permitted */
};

#define OTHER_USE "consent-other-use"
#define OTHER_DISEASE "consent-other-disease"
#define NOT_DECIDABLE "consent-not-decidable"
#define OTHER_USER "consent-other-user"

static const struct duo_case duo_cases[] = {
    {{4}, "", {0}, NULL},
    {{42}, "", {33}, NULL},
    {{4, 42}, "M:9", {31, 33}, NULL},
    {{6}, "", {0}, OTHER_USE},
    {{6}, "M:9", {0}, NULL},
    {{6}, "", {37}, NULL},
    {{6}, "", {39}, NULL},
    {{6}, "", {40}, NULL},
    {{6}, "", {31, 32, 38}, OTHER_USE},
    {{6}, "M:9", {33}, OTHER_USE},
    {{6}, "", {33, 37}, OTHER_USE},
    {{6, 42}, "", {0}, OTHER_USE},
    {{7}, "M:1", {0}, NULL},
    {{7}, "M:2", {38}, NULL},
    {{7}, "M:9", {0}, OTHER_DISEASE},
    {{7}, "M:10", {0}, OTHER_DISEASE}, /* M:1 is only how it begins */
    {{7}, "M", {0}, OTHER_DISEASE},
    {{7}, "", {37}, OTHER_DISEASE},
    {{7}, "M:1", {33}, OTHER_USE},
    {{7, 42}, "M:9", {0}, OTHER_DISEASE},
    {{11}, "", {33}, NULL},
    {{11}, "", {0}, OTHER_USE},
    {{11}, "", {32, 33}, OTHER_USE},
    {{11}, "M:9", {33}, OTHER_USE},
    {{6, 11}, "M:9", {37}, OTHER_USE},
    {{15, 42}, "", {37}, NULL},
    {{15, 42}, "", {0}, OTHER_USE},
    {{15, 42}, "M:9", {0}, OTHER_USE},
    {{15, 42}, "", {31, 37}, OTHER_USE},
    {{16, 42}, "", {38}, NULL},
    {{16, 42}, "M:9", {37}, OTHER_USE},
    {{21, 42}, "", {0}, NULL},
    {{42, 44}, "", {37}, NULL},
    {{42, 44}, "M:9", {0}, OTHER_USE},
    {{42, 44}, "", {33}, OTHER_USE},
    {{45}, "", {0}, OTHER_USER},
    {{42, 45}, "", {0}, OTHER_USER},
    {{4, 42, 46}, "", {0}, OTHER_USE},
    {{42, 43}, "", {0}, NOT_DECIDABLE},
    {{42, 9999999}, "", {0}, NOT_DECIDABLE},
};

static void set_duo(struct world *w, const struct duo_case *c) {
    size_t count = 0;
    set_research(w);
    while (count < COUNT_OF(c->terms) && c->terms[count] != 0)
        count++;
    set_terms(w, c->terms, count);
    if (c->terms[0] == DUO_DS)
        copy_string(w->consent.diseases, sizeof(w->consent.diseases), "M:1,M:2");
    copy_string(w->purpose.disease, sizeof(w->purpose.disease), c->disease);
    for (size_t i = 0; i < COUNT_OF(c->uses); i++)
        w->purpose.uses |= c->uses[i] == 0 ? 0 : USE_BIT(c->uses[i]);
}

static void terms_permit_what_the_ontology_says(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(duo_cases); i++) {
        const struct duo_case *c = &duo_cases[i];
        set_duo(&w, c);
        decide(&w.q, &d);
        if ((d.verdict == VERDICT_PERMIT) != (c->rule == NULL) || count_against(&d) != (c->rule != NULL) ||
            (c->rule != NULL && reason_of(&d, c->rule) == NULL))
            fail_msg("case %zu: %s", i, d.reasons[0].rule);
        if (c->rule != NULL)
            denies(&w, c->rule, CONCERN_PATIENT);
    }
}

static void term_that_no_code_knows_is_left_to_a_person(void **state) {
    (void)state;
    static const uint32_t known[] = {4, 6, 7, 11, 15, 16, 18, 21, 42, 44, 45, 46};
    struct world w;
    struct decision d;
    for (uint32_t term = 1, k = 0; term < 100; term++) {
        k += k < COUNT_OF(known) && known[k] < term;
        if (k < COUNT_OF(known) && known[k] == term)
            continue;
        set_duo(&w, &(const struct duo_case){{term}, "", {0}, NULL});
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERSON);
        assert_non_null(strstr(reason_of(&d, NOT_DECIDABLE)->text, "not decidable here"));
        opt_out(&w);
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_DENY);
    }
}

/* What a term says of who may do the research, with what the consent says beside it. */
static const struct who_case {
    uint32_t term;
    const char *only;
    uint64_t until;
    const char *rule; /* NULL: it is permitted to "lab" of "hospital" in DK, not for profit, for P1 */
} who_cases[] = {
    {22, "", 0, NOT_DECIDABLE},
    {22, "c:DK", 0, NULL},
    {22, "c:NO,c:SE", 0, OTHER_USER},
    {22, "c:DK,o:other", 0, NULL},
    {22, "o:hospital", 0, NOT_DECIDABLE}, /* of another term */
    {28, "", 0, NOT_DECIDABLE},
    {28, "o:hospital", 0, NULL},
    {28, "o:hospital2", 0, OTHER_USER},
    {28, "o:hos", 0, OTHER_USER},
    {27, "p:P1,p:P2", 0, NULL},
    {27, "p:P2", 0, OTHER_USER},
    {27, "s:P1", 0, NOT_DECIDABLE},
    {26, "s:lab", 0, NULL},
    {26, "s:lab2", 0, OTHER_USER},
    {25, "", 0, NOT_DECIDABLE},
    {25, "", NOW + 1, NULL},
    {25, "", NOW, "consent-research-over"},
    {25, "", 1, "consent-research-over"},
    {18, "", 0, NULL},
    {45, "", 0, NULL},
    {46, "", 0, NULL},
};

static void set_who(struct world *w, const struct who_case *c) {
    set_research(w);
    set_terms(w, (const uint32_t[]){c->term, 42}, 2);
    copy_string(w->consent.only, sizeof(w->consent.only), c->only);
    w->consent.research_until = c->until;
    w->q.service.organisation = "hospital";
    w->q.service.country = "DK";
    w->q.service.not_for_profit = w->q.approval.non_commercial = true;
}

static void consent_may_name_who_does_the_research(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(who_cases); i++) {
        const struct who_case *c = &who_cases[i];
        set_who(&w, c);
        decide(&w.q, &d);
        if ((d.verdict == VERDICT_PERMIT) != (c->rule == NULL) || count_against(&d) != (c->rule != NULL))
            fail_msg("case %zu: %s", i, d.reasons[0].rule);
        if (c->rule != NULL)
            denies(&w, c->rule, CONCERN_PATIENT);
        w.purpose = (struct purpose){.purpose = PURPOSE_TREATMENT};
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
    }
}

static void nothing_is_known_of_who_does_it(struct world *w) {
    w->q.service.organisation = w->q.service.country = NULL;
}
static void not_for_nothing(struct world *w) {
    w->q.service.not_for_profit = false;
}
static void commercial(struct world *w) {
    w->q.approval.non_commercial = false;
}

static void what_is_not_known_of_who_does_it_is_not_so(void **state) {
    (void)state;
    static const struct {
        struct who_case who;
        void (*change)(struct world *w);
    } cases[] = {
        {{22, "c:DK", 0, OTHER_USER}, nothing_is_known_of_who_does_it},
        {{28, "o:hospital", 0, OTHER_USER}, nothing_is_known_of_who_does_it},
        {{45, "", 0, OTHER_USER}, not_for_nothing},
        {{18, "", 0, OTHER_USER}, not_for_nothing},
        {{18, "", 0, OTHER_USE}, commercial},
        {{46, "", 0, OTHER_USE}, commercial},
        {{27, "p:P1", 0, OTHER_USER}, project_unnamed},
    };
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        set_who(&w, &cases[i].who);
        cases[i].change(&w);
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_DENY);
        assert_non_null(reason_of(&d, cases[i].who.rule));
    }
}

static void policy_may_ask_for_a_relation_of_care(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    start_policy();
    add_rule("care", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT),
             BIT(CONDITION_CONSENT_TREATMENT) | BIT(CONDITION_CARE_RELATION));
    add_rule("strangers", EFFECT_FORBID, BIT(ACTION_LIST), BIT(PURPOSE_TREATMENT), BIT(CONDITION_NO_CARE_RELATION));
    add_rule("emergency", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_BREAK_GLASS));
    check_policy();
    for (unsigned care = 0; care < 2; care++) {
        set_research(&w);
        w.purpose = (struct purpose){.purpose = PURPOSE_TREATMENT};
        w.q.subject.in_care = care;
        decide(&w.q, &d);
        assert_int_equal(d.verdict, care ? VERDICT_PERMIT : VERDICT_DENY);
        const struct reason *r = reason_of(&d, "no-permit");
        assert_true(care || (r != NULL && r->concern == CONCERN_PATIENT)); /* as of somebody who is not there */
        w.q.action = ACTION_LIST;
        decide(&w.q, &d);
        assert_int_equal(reason_of(&d, "strangers") != NULL, !care);
        w.q.action = ACTION_READ;
        copy_string(w.purpose.emergency, sizeof(w.purpose.emergency), "bleeding");
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
    }
    set_usual_policy(NULL);
}

/* In an emergency a forbid that ends with the consent is none: else a withdrawal would permit. */
static void withdrawal_does_not_permit_an_emergency(void **state) {
    (void)state;
    static const unsigned said[] = {CONDITION_FINDINGS_REFUSED, CONDITION_NO_RECONTACT, CONDITION_CUSTODY_OVER};
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        set_usual_policy(NULL);
        add_rule("emergency", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_BREAK_GLASS));
        add_rule("said", EFFECT_FORBID, CONTENT, BIT(PURPOSE_TREATMENT), BIT(said[i]));
        check_policy();
        set_research(&w);
        w.purpose = (struct purpose){.purpose = PURPOSE_TREATMENT};
        w.consent.findings = FINDINGS_NONE;
        w.consent.recontact = 0;
        w.consent.custody_until = NOW;
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_DENY);
        assert_true(reason_of(&d, "said")->against);
        copy_string(w.purpose.emergency, sizeof(w.purpose.emergency), "bleeding");
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
        assert_false(reason_of(&d, "said")->against);
        no_consent(&w);
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
    }
    set_usual_policy(NULL);
}

/* The holes of DUOS V4: general research, and a request that only says that it is not for profit, on disease-specific
 * data; and modifiers that nobody reads. */
static void holes_of_duos_are_denied(void **state) {
    (void)state;
    static const struct duo_case holes[] = {{{7}, "", {0}, OTHER_DISEASE},      {{6, 45}, "M:1", {0}, OTHER_USER},
                                            {{20, 42}, "", {0}, NOT_DECIDABLE}, {{22, 42}, "", {0}, NOT_DECIDABLE},
                                            {{24, 42}, "", {0}, NOT_DECIDABLE}, {{16, 42}, "", {0}, OTHER_USE}};
    struct world w;
    for (size_t i = 0; i < COUNT_OF(holes); i++) {
        set_duo(&w, &holes[i]);
        denies(&w, holes[i].rule, CONCERN_PATIENT);
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

static void rule_counts_in_its_time(void **state) {
    (void)state;
    struct world w;
    start_policy();
    struct policy_rule *r = add_rule("timed", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), 0);
    set_treatment(&w);
    r->from = NOW;
    permits(&w, "timed");
    r->until = NOW + 1;
    permits(&w, "timed");
    r->from = 0;
    r->until = NOW;
    denies(&w, "no-permit", CONCERN_SELF); /* nobody's choice */
    r->from = NOW + 1;
    r->until = 0;
    denies(&w, "no-permit", CONCERN_SELF);
    r->from = 0;
    r = add_rule("embargo", EFFECT_FORBID, CONTENT, BIT(PURPOSE_TREATMENT), 0);
    denies(&w, "embargo", CONCERN_SELF);
    r->until = NOW;
    permits(&w, "timed");
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

static void approval_for_another_use_denies(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    set_research(&w);
    w.q.approval.for_purpose = false;
    decide(&w.q, &d);
    assert_int_equal(d.verdict, VERDICT_DENY);
    assert_int_equal(count_against(&d), 1);
    assert_non_null(reason_of(&d, "approval-other-use"));
}

static void research_needs_a_register_that_is_young_enough(void **state) {
    enum { DAY = 86400 };
    static const struct {
        uint32_t days;
        uint64_t of;
        bool permits;
    } cases[] = {{0, 0, true},
                 {7, 0, false},
                 {7, NOW, true},
                 {7, NOW - 7 * DAY + 1, true},
                 {7, NOW - 7 * DAY, false},
                 {7, NOW - 8 * DAY, false},
                 {1, NOW - DAY + 1, true},
                 {POLICY_OPT_OUTS_DAYS, 1, false}};
    (void)state;
    struct world w;
    struct decision d;
    set_usual_policy(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        policy.opt_outs_days = cases[i].days;
        set_research(&w);
        w.q.opt_outs_of = cases[i].of;
        decide(&w.q, &d);
        assert_int_equal(d.verdict, cases[i].permits ? VERDICT_PERMIT : VERDICT_DENY);
        const struct reason *r = reason_of(&d, "opt-outs-outdated");
        assert_int_equal(r == NULL, cases[i].permits);
        assert_true(r == NULL || r->concern == CONCERN_SELF);
        w.purpose = (struct purpose){.purpose = PURPOSE_TREATMENT};
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
        w.purpose = (struct purpose){.purpose = PURPOSE_RESEARCH};
        w.q.policy = NULL;
        decide(&w.q, &d);
        assert_null(reason_of(&d, "opt-outs-outdated"));
    }
    set_usual_policy(NULL);
}

static void research_needs_a_consent_that_is_not_outgrown(void **state) {
    (void)state;
    static const struct {
        uint64_t until;
        bool outgrown;
    } cases[] = {{0, false}, {NOW + 1, false}, {NOW, true}, {1, true}};
    struct world w;
    struct decision d;
    set_usual_policy(NULL);
    (void)add_rule("ask-anew", EFFECT_OBLIGE, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_CUSTODY_OVER));
    check_policy();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_research(&w);
        w.consent.custody_until = cases[i].until;
        decide(&w.q, &d);
        assert_int_equal(d.verdict, cases[i].outgrown ? VERDICT_DENY : VERDICT_PERMIT);
        const struct reason *r = reason_of(&d, "consent-outgrown");
        assert_int_equal(r != NULL, cases[i].outgrown);
        assert_true(r == NULL || (r->concern == CONCERN_PATIENT && count_against(&d) == 1));
        w.purpose = (struct purpose){.purpose = PURPOSE_TREATMENT}; /* nobody loses it on a birthday */
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
        assert_int_equal(reason_of(&d, "ask-anew") != NULL, cases[i].outgrown);
        w.consent.expires = NOW; /* what has ended says nothing */
        decide(&w.q, &d);
        assert_null(reason_of(&d, "ask-anew"));
    }
    set_usual_policy(NULL);
}

static void set_budget(unsigned purpose, unsigned per, unsigned period, const char *names) {
    policy.budget_count = 1;
    policy.budgets[0] = (struct policy_budget){.id = "budget",
                                               .text = "A budget of the test.",
                                               .purpose = (uint8_t)purpose,
                                               .per = (uint8_t)per,
                                               .period = (uint8_t)period,
                                               .bytes = 1000,
                                               .files = 10,
                                               .subjects = 5};
    copy_string(policy.budgets[0].names, sizeof(policy.budgets[0].names), names);
    check_policy();
}

static void assert_over_budget(const struct world *w, bool over) {
    struct decision d;
    decide(&w->q, &d);
    assert_int_equal(d.verdict, over ? VERDICT_DENY : VERDICT_PERMIT);
    assert_int_equal(d.over_budget, over);
    const struct reason *r = reason_of(&d, "budget");
    assert_int_equal(r != NULL, over);
    assert_true(r == NULL || (r->concern == CONCERN_SELF && r->against && count_against(&d) == 1));
}

static void read_beyond_a_budget_is_denied(void **state) {
    (void)state;
    static const struct use uses[] = {{1000, 10, 5}, {1001, 10, 5}, {1000, 11, 5}, {1000, 10, 6}};
    struct world w;
    set_usual_policy(NULL);
    for (unsigned per = 0; per < PER_COUNT; per++)
        for (unsigned period = 0; period < PERIOD_COUNT; period++)
            for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
                set_budget(PURPOSE_RESEARCH, per, period, "");
                set_research(&w);
                w.q.use[per][period] = uses[i];
                assert_over_budget(&w, i > 0);
                policy.budgets[0].purpose = PURPOSE_TREATMENT; /* another's */
                assert_over_budget(&w, false);
                set_budget(PURPOSE_RESEARCH, per, period, "somebody");
                assert_over_budget(&w, false);
                set_budget(PURPOSE_RESEARCH, per, period, per == PER_PROJECT ? "x,P1" : "x,lab");
                assert_over_budget(&w, i > 0);
                w.q.action = ACTION_LIST;
                assert_over_budget(&w, false);
                w.q.action = ACTION_METADATA;
                assert_over_budget(&w, false);
            }
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY, "");
    policy.budgets[0].files = policy.budgets[0].subjects = 0; /* no bound */
    set_research(&w);
    w.q.use[PER_PROJECT][PERIOD_DAY] = (struct use){1000, 99, 99};
    assert_over_budget(&w, false);
    set_usual_policy(NULL);
}

/* Whoever is told of a budget would have been permitted. */
static void budget_is_silent_where_anything_else_stands_against_it(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    set_usual_policy(NULL);
    set_budget(PURPOSE_RESEARCH, PER_PROJECT, PERIOD_EVER, "");
    for (unsigned n = 0; n < 3; n++) {
        set_research(&w);
        w.q.use[PER_PROJECT][PERIOD_EVER] = (struct use){9999, 99, 99};
        if (n == 0)
            w.q.subject.opted_out = true;
        else if (n == 1)
            w.q.file.known = false;
        else
            w.q.project.open = false;
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_DENY);
        assert_null(reason_of(&d, "budget"));
        assert_false(d.over_budget);
    }
    set_research(&w); /* and says nothing of what no file of the patient could be */
    w.q.use[PER_PROJECT][PERIOD_EVER] = (struct use){9999, 99, 99};
    decide_any_file(&w.q, &d);
    assert_int_equal(d.verdict, VERDICT_PERMIT);
    set_usual_policy(NULL);
}

static void emergency_passes_over_a_budget(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    set_usual_policy(NULL);
    (void)add_rule("emergency", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_BREAK_GLASS));
    set_budget(PURPOSE_TREATMENT, PER_SERVICE, PERIOD_DAY, "");
    set_research(&w);
    w.purpose = (struct purpose){.purpose = PURPOSE_TREATMENT};
    w.q.use[PER_SERVICE][PERIOD_DAY] = (struct use){9999, 99, 99};
    assert_over_budget(&w, true);
    copy_string(w.purpose.emergency, sizeof(w.purpose.emergency), "bleeding");
    decide(&w.q, &d);
    assert_int_equal(d.verdict, VERDICT_PERMIT);
    assert_false(d.over_budget);
    const struct reason *r = reason_of(&d, "budget");
    assert_true(r != NULL && !r->against);
    set_usual_policy(NULL);
}

static void tag_is_a_whole_one_of_the_list(void **state) {
    static const struct {
        const char *tags;
        bool holds;
    } cases[] = {{"wgs", true},      {"rna,wgs", true}, {"wgs,rna", true}, {"wes", false},
                 {"wes,rna", false}, {"wgsx", false},   {"xwgs", false},   {"", false}};
    (void)state;
    struct world w;
    struct decision d;
    set_usual_policy(NULL);
    copy_string(add_rule("no-wgs", EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), 0)->tag, 65, "wgs");
    check_policy();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_research(&w);
        w.q.file.tags = cases[i].tags;
        decide(&w.q, &d);
        const struct reason *r = reason_of(&d, "no-wgs");
        assert_int_equal(r != NULL, cases[i].holds);
        assert_int_equal(d.verdict, cases[i].holds ? VERDICT_DENY : VERDICT_PERMIT);
        assert_true(r == NULL || r->concern == CONCERN_PATIENT); /* who hears of it would know what the file is */
    }
    set_usual_policy(NULL);
}

/* No policy that loads is like these. The verdict does not depend on what there is room for. */
static void more_reasons_and_obligations_than_there_is_room_for_change_no_verdict(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    for (int forbidden = 0; forbidden < 2; forbidden++) {
        start_policy();
        for (unsigned i = 0; i < REASONS_MAX + 1; i++) {
            char id[16];
            format_string(id, sizeof(id), "rule-%u", i);
            struct policy_rule *r = add_rule(id, EFFECT_OBLIGE, CONTENT, BIT(PURPOSE_RESEARCH), 0);
            copy_string(r->obligation, sizeof(r->obligation), id);
        }
        add_rule("permit", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_RESEARCH), 0);
        if (forbidden)
            add_rule("forbid", EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), 0);
        set_research(&w);
        decide(&w.q, &d);
        assert_int_equal(d.verdict, forbidden ? VERDICT_DENY : VERDICT_PERMIT);
        assert_int_equal(d.reason_count, REASONS_MAX);
        assert_int_equal(d.obligation_count, forbidden ? 0 : OBLIGATIONS_MAX);
    }
    set_usual_policy(NULL);
}

static void set_emergency(struct world *w) {
    set_treatment(w);
    copy_string(w->purpose.emergency, sizeof(w->purpose.emergency), "unconscious");
}

/* What a consent says against treatment is told, and does not stand against an emergency that the policy permits. */
static void emergency_passes_over_a_consent_where_the_policy_says_so(void **state) {
    static void (*const lacks[])(struct world *) = {no_consent, consent_ends_now, refuse_treatment};
    static const char *const rules[] = {"consent-none", "consent-expired", "consent-refuses-treatment"};
    (void)state;
    struct world w;
    struct decision d;
    for (size_t i = 0; i < COUNT_OF(lacks); i++) {
        set_usual_policy(NULL);
        set_emergency(&w);
        lacks[i](&w);
        denies(&w, rules[i], CONCERN_PATIENT); /* this policy knows of no emergency */
        add_rule("glass", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_BREAK_GLASS));
        add_rule("review", EFFECT_OBLIGE, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_BREAK_GLASS));
        check_policy();
        decide(&w.q, &d);
        assert_int_equal(d.verdict, VERDICT_PERMIT);
        assert_non_null(reason_of(&d, "glass"));
        assert_non_null(reason_of(&d, rules[i]));
        assert_false(reason_of(&d, rules[i])->against);
        assert_int_equal(d.obligation_count, 1);
        w.purpose.emergency[0] = '\0';
        denies(&w, rules[i], CONCERN_PATIENT);
        add_rule("closed", EFFECT_FORBID, CONTENT, BIT(PURPOSE_TREATMENT), 0);
        set_emergency(&w);
        lacks[i](&w);
        denies(&w, "closed", CONCERN_SELF);
    }
    set_usual_policy(NULL);
}

/* It opens no research, nothing that was shredded, nothing for other roles, and nothing beyond its rule. */
static void emergency_opens_nothing_else(void **state) {
    (void)state;
    struct world w;
    set_usual_policy(NULL);
    struct policy_rule *r = add_rule("glass", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT) | BIT(PURPOSE_RESEARCH),
                                     BIT(CONDITION_BREAK_GLASS));
    set_emergency(&w);
    no_subject(&w);
    denies(&w, "subject-unknown", CONCERN_PATIENT);
    set_emergency(&w);
    w.q.service.purposes = BIT(PURPOSE_RESEARCH);
    denies(&w, "purpose-not-allowed-to-service", CONCERN_SELF);
    set_research(&w);
    copy_string(w.purpose.emergency, sizeof(w.purpose.emergency), "unconscious"); /* no purpose that is checked */
    no_terms(&w);
    denies(&w, "consent-refuses-research", CONCERN_PATIENT);
    set_emergency(&w);
    no_consent(&w);
    copy_string(r->dataset, sizeof(r->dataset), "D-other");
    denies(&w, "consent-none", CONCERN_PATIENT);
    r->dataset[0] = '\0';
    r->actions = BIT(ACTION_LIST);
    denies(&w, "consent-none", CONCERN_PATIENT);
    r->actions = CONTENT;
    r->conditions |= BIT(CONDITION_PROJECT_OPEN);
    denies(&w, "consent-none", CONCERN_PATIENT);
    r->conditions = BIT(CONDITION_BREAK_GLASS);
    permits(&w, "glass");
    w.q.policy = NULL;
    w.q.subject.consent = &w.consent;
    denies(&w, "no-policy", CONCERN_SELF);
    set_emergency(&w);
    w.q.action = ACTION_REMOVE; /* no consent is asked for */
    permits(&w, "role-permits");
    start_policy(); /* where only an emergency permits, who states none is told so */
    add_rule("glass", EFFECT_PERMIT, CONTENT, BIT(PURPOSE_TREATMENT), BIT(CONDITION_BREAK_GLASS));
    set_treatment(&w);
    denies(&w, "no-permit", CONCERN_SELF);
    set_usual_policy(NULL);
}

static void file_that_is_not_there_is_of_no_dataset(void **state) {
    (void)state;
    struct world w;
    struct decision d;
    start_policy();
    copy_string(add_rule("of-d1", EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), 0)->dataset, NAME_MAX_SIZE + 1, "D1");
    copy_string(add_rule("of-wgs", EFFECT_FORBID, CONTENT, BIT(PURPOSE_RESEARCH), 0)->tag, 65, "wgs");
    check_policy();
    set_research(&w);
    w.q.file.known = false;
    w.q.file.dataset = w.q.file.tags = NULL;
    decide(&w.q, &d);
    assert_int_equal(d.verdict, VERDICT_DENY);
    assert_non_null(reason_of(&d, "file-unknown"));
    assert_null(reason_of(&d, "of-d1"));
    assert_null(reason_of(&d, "of-wgs"));
    set_usual_policy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_questions_are_permitted),
        cmocka_unit_test(emergency_passes_over_a_consent_where_the_policy_says_so),
        cmocka_unit_test(emergency_opens_nothing_else),
        cmocka_unit_test(each_fault_alone_denies_research_and_says_so),
        cmocka_unit_test(every_fault_is_given_at_once),
        cmocka_unit_test(treatment_needs_consent_and_nothing_of_research),
        cmocka_unit_test(purpose_is_needed_to_see_anything_of_a_file),
        cmocka_unit_test(edges_of_time_are_exact),
        cmocka_unit_test(terms_permit_what_the_ontology_says),
        cmocka_unit_test(term_that_no_code_knows_is_left_to_a_person),
        cmocka_unit_test(holes_of_duos_are_denied),
        cmocka_unit_test(deposit_needs_role_subject_and_permit),
        cmocka_unit_test(administration_needs_its_role_and_no_policy),
        cmocka_unit_test(unknown_action_is_denied),
        cmocka_unit_test_setup(forbid_beats_permit, set_usual_policy),
        cmocka_unit_test_setup(forbid_of_the_policy_binds_removal, set_usual_policy),
        cmocka_unit_test_setup(rule_is_bound_to_role_dataset_and_tag, set_usual_policy),
        cmocka_unit_test_setup(rule_counts_in_its_time, set_usual_policy),
        cmocka_unit_test_setup(forbid_that_shows_a_choice_is_the_patients, set_usual_policy),
        cmocka_unit_test_setup(obligations_come_once_and_only_with_a_permit, set_usual_policy),
        cmocka_unit_test(refused_patient_cannot_be_told_from_one_who_consents),
        cmocka_unit_test(full_policy_leaves_room_for_every_reason),
        cmocka_unit_test_setup(approval_for_another_use_denies, set_usual_policy),
        cmocka_unit_test(research_needs_a_register_that_is_young_enough),
        cmocka_unit_test(tag_is_a_whole_one_of_the_list),
        cmocka_unit_test(research_needs_a_consent_that_is_not_outgrown),
        cmocka_unit_test(read_beyond_a_budget_is_denied),
        cmocka_unit_test(budget_is_silent_where_anything_else_stands_against_it),
        cmocka_unit_test(emergency_passes_over_a_budget),
        cmocka_unit_test(consent_may_name_who_does_the_research),
        cmocka_unit_test(what_is_not_known_of_who_does_it_is_not_so),
        cmocka_unit_test(policy_may_ask_for_a_relation_of_care),
        cmocka_unit_test(withdrawal_does_not_permit_an_emergency),
        cmocka_unit_test(more_reasons_and_obligations_than_there_is_room_for_change_no_verdict),
        cmocka_unit_test(file_that_is_not_there_is_of_no_dataset),
    };
    return cmocka_run_group_tests(tests, set_usual_policy, NULL);
}
