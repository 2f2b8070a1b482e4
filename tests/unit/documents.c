#include "vault/documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vault/result.h"

static void names_go_there_and_back(void **state) {
    (void)state;
    for (unsigned i = 0; i < ROLE_COUNT; i++)
        assert_int_equal(role_from_name(role_name(i)), i);
    for (unsigned i = 0; i < ACTION_COUNT; i++)
        assert_int_equal(action_from_name(action_name(i)), i);
    for (unsigned i = 0; i < CONDITION_COUNT; i++)
        assert_int_equal(condition_from_name(condition_name(i)), i);
    assert_int_equal(purpose_from_name("treatment"), PURPOSE_TREATMENT);
    assert_string_equal(purpose_name(PURPOSE_RESEARCH), "research");
    assert_null(purpose_name(PURPOSE_NONE));
    assert_null(purpose_name(3));
    assert_null(role_name(ROLE_COUNT));
    assert_int_equal(role_from_name("Reader"), -1);
    assert_int_equal(action_from_name(""), -1);
    assert_int_equal(purpose_from_name("marketing"), PURPOSE_NONE);
}

static void actions_have_letters(void **state) {
    (void)state;
    assert_int_equal(action_letter(ACTION_DEPOSIT), 'C');
    assert_int_equal(action_letter(ACTION_READ), 'R');
    assert_int_equal(action_letter(ACTION_SHRED), 'D');
    assert_int_equal(action_letter(ACTION_ADMINISTER), 'E');
}

static void name_refuses_what_could_be_a_path_or_a_control(void **state) {
    (void)state;
    char longest[NAME_MAX_SIZE + 2];
    memset(longest, 'a', sizeof(longest));
    longest[NAME_MAX_SIZE] = '\0';
    assert_true(name_is_good(longest));
    longest[NAME_MAX_SIZE] = 'a';
    longest[NAME_MAX_SIZE + 1] = '\0';
    assert_false(name_is_good(longest));
    assert_true(name_is_good("S-0001"));
    assert_true(name_is_good("urn:vault:service:x@y_z.1"));
    static const char *const bad[] = {"", ".", "..", ".hidden", "a/b", "a b", "a\nb", "\xc3\xa6", "a,b", "a\"b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(name_is_good(bad[i]));
}

static void file_name_takes_text_but_no_path(void **state) {
    (void)state;
    assert_true(file_name_is_good("pr\xc3\xb8ve 1.cram.crai"));
    assert_true(file_name_is_good("..."));
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "a\tb", "\xc3", "a\x7f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(file_name_is_good(bad[i]));
}

static void date_is_real_or_refused(void **state) {
    (void)state;
    int64_t seconds = -7;
    assert_true(date_parse("1970-01-01", &seconds));
    assert_int_equal(seconds, 0);
    assert_true(date_parse("2026-11-22", &seconds));
    assert_int_equal(seconds, 1795305600);
    assert_true(date_parse("2000-02-29", &seconds));
    assert_int_equal(seconds, 951782400);
    assert_true(date_parse("1900-01-01", &seconds));
    assert_int_equal(seconds, -2208988800);
    assert_true(date_parse("9999-12-31", &seconds));
    assert_int_equal(seconds, 253402214400);
    static const char *const bad[] = {"",           "2026",       "2026-11",     "2026-11-2",   "2026-11-31",
                                      "2026-02-29", "1900-02-29", "2026-13-01",  "2026-00-01",  "2026-01-00",
                                      "26-11-22",   "2026/11/22", "2026-11-22T", "2026-11-22 ", " 2026-11-22",
                                      "+026-11-22", "1899-12-31", "2026-1-011"};
    seconds = 42;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (date_parse(bad[i], &seconds))
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(seconds, 42);
}

static void time_is_written_in_utc_with_microseconds(void **state) {
    (void)state;
    char text[28];
    time_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    time_text(1795407845000007, text);
    assert_string_equal(text, "2026-11-23T04:24:05.000007Z");
    time_text(951868799999999, text);
    assert_string_equal(text, "2000-02-29T23:59:59.999999Z");
    time_text(4107542400000000, text);
    assert_string_equal(text, "2100-03-01T00:00:00.000000Z");
    time_text(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
}

static void date_and_time_agree_on_every_day(void **state) {
    (void)state;
    for (uint64_t day = 0; day < 200000; day++) {
        char text[28];
        int64_t seconds = -1;
        time_text(day * 86400 * 1000000, text);
        text[10] = '\0';
        assert_true(date_parse(text, &seconds));
        assert_int_equal(seconds, day * 86400);
    }
}

static struct purpose research_purpose(void) {
    return (struct purpose){.purpose = PURPOSE_RESEARCH, .project = "P1", .approval = "A1", .disease = "MONDO:0005070"};
}

static void purpose_text_is_canonical(void **state) {
    (void)state;
    char text[512];
    struct purpose p = research_purpose();
    assert_true(purpose_text(&p, text, sizeof(text)));
    assert_string_equal(text, "research;project=\"P1\";approval=\"A1\";disease=\"MONDO:0005070\"");
    assert_false(purpose_text(&p, text, 40));
    p = (struct purpose){.purpose = PURPOSE_TREATMENT};
    assert_true(purpose_text(&p, text, 10));
    assert_string_equal(text, "treatment");
    assert_false(purpose_text(&p, text, 9));
    p = (struct purpose){0};
    assert_true(purpose_text(&p, text, 1));
    assert_string_equal(text, "");
}

static void purpose_check_refuses_particulars_out_of_place(void **state) {
    (void)state;
    struct purpose p = research_purpose();
    assert_int_equal(purpose_check(&p), VAULT_OK);
    p.purpose = PURPOSE_TREATMENT;
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    p = (struct purpose){.project = "P1"};
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    p = (struct purpose){.purpose = 3};
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    p = (struct purpose){.purpose = PURPOSE_RESEARCH, .project = "P 1"};
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    p = (struct purpose){.purpose = PURPOSE_RESEARCH, .uses = 1};
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    p.uses = USE_BIT(USE_LAST) << 1;
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    p.uses = USE_BIT(USE_FIRST) | USE_BIT(USE_LAST);
    assert_int_equal(purpose_check(&p), VAULT_OK);
    p.purpose = PURPOSE_TREATMENT;
    assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    static const char *const diseases[] = {"MONDO", "MONDO:", ":1", "MONDO:1x", "MON DO:1", "MONDO:1:2"};
    for (size_t i = 0; i < sizeof(diseases) / sizeof(diseases[0]); i++) {
        p = (struct purpose){.purpose = PURPOSE_RESEARCH};
        copy_string(p.disease, sizeof(p.disease), diseases[i]);
        assert_int_equal(purpose_check(&p), VAULT_E_FORMAT);
    }
}

static void set_terms(struct consent *c, const uint32_t *terms, size_t count) {
    struct writer w = writer_of(c->research, sizeof(c->research));
    for (size_t i = 0; i < count; i++)
        write_u32(&w, terms[i]);
    c->research_size = (uint32_t)w.used;
}

static struct consent good_consent(void) {
    struct consent c = {.subject = "S-0001", .signed_on = "2026-11-22", .form = "2.1", .treatment = 1, .recontact = 1};
    set_terms(&c, (const uint32_t[]){4, 42, 45}, 3);
    return c;
}

static void consent_faults_are_named(const char *field, struct consent c) {
    const char *found = NULL;
    assert_int_equal(consent_check(&c, &found), VAULT_E_FORMAT);
    assert_string_equal(found, field);
}

static void consent_check_names_each_field(void **state) {
    (void)state;
    const char *field = NULL;
    struct consent good = good_consent(), c = good;
    assert_int_equal(consent_check(&c, &field), VAULT_OK);
    assert_null(field);
    assert_int_equal(consent_terms(&c), 3);
    assert_int_equal(consent_term(&c, 2), 45);
    c.subject[0] = '\0', consent_faults_are_named("subject", c), c = good;
    c.signed_on[9] = 'x', consent_faults_are_named("signed", c), c = good;
    c.form[0] = '\0', consent_faults_are_named("form", c), c = good;
    copy_string(c.evidence, sizeof(c.evidence), "sha-256:00"), consent_faults_are_named("evidence", c), c = good;
    c.treatment = 2, consent_faults_are_named("permits.treatment", c), c = good;
    c.findings = 3, consent_faults_are_named("findings", c), c = good;
    c.recontact = 2, consent_faults_are_named("recontact", c), c = good;
    c.expires = UINT64_MAX, consent_faults_are_named("expires", c), c = good;
    c.custody_until = UINT64_MAX / 86400 * 86400, consent_faults_are_named("custody_until", c), c = good;
    c.custody_until = 86401, consent_faults_are_named("custody_until", c), c = good;
    c.custody_until = 86400, assert_int_equal(consent_check(&c, &field), VAULT_OK), c = good;
    c.research_size = 5, consent_faults_are_named("permits.research", c), c = good;
    c.research_size = sizeof(c.research) + 4, consent_faults_are_named("permits.research", c), c = good;
    static const char *const diseases[] = {"MONDO:1",
                                           "",
                                           "MONDO:2,MONDO:1",
                                           "MONDO:1,MONDO:1",
                                           "MONDO:1,",
                                           ",MONDO:1",
                                           "MONDO:1 ",
                                           "MONDO:1,,MONDO:2",
                                           "A:1,A:2,A:3,A:4,A:5,A:6,A:7,A:8,A:9"};
    for (size_t i = 0; i < sizeof(diseases) / sizeof(diseases[0]); i++) { /* the first: without its term */
        set_terms(&c, (const uint32_t[]){7}, i == 0 ? 0 : 1);
        copy_string(c.diseases, sizeof(c.diseases), diseases[i]);
        consent_faults_are_named("permits.diseases", c), c = good;
    }
    static const struct {
        uint32_t term;
        const char *only, *field;
    } onlys[] = {{22, "c:dk", "permits.countries"},
                 {22, "c:DNK", "permits.countries"},
                 {22, "c:DK,c:DK", "permits.countries"},
                 {22, "c:SE,c:DK", "permits.countries"},
                 {28, "o:", "permits.organisations"},
                 {28, "o:a b", "permits.organisations"},
                 {28, "o:b,c:DK", "permits.countries"},
                 {27, "p", "permits.projects"},
                 {27, "p:a,", "permits.services"},
                 {26, "s:a,,s:b", "permits.services"},
                 {26, "x:a", "permits.services"},
                 {26, "s/a", "permits.services"},
                 {22, "p:P1", "permits.projects"},
                 {26, "o:a", "permits.organisations"},
                 {26, "s:1,s:2,s:3,s:4,s:5,s:6,s:7,s:8,s:9", "permits.services"}};
    for (size_t i = 0; i < sizeof(onlys) / sizeof(onlys[0]); i++) {
        set_terms(&c, &onlys[i].term, 1);
        copy_string(c.only, sizeof(c.only), onlys[i].only);
        consent_faults_are_named(onlys[i].field, c), c = good;
    }
    set_terms(&c, (const uint32_t[]){22, 26, 27, 28}, 4);
    copy_string(c.only, sizeof(c.only), "c:DK,c:SE,o:a,p:P1,s:lab");
    assert_int_equal(consent_check(&c, &field), VAULT_OK);
    c = good, c.research_until = 86400, consent_faults_are_named("permits.research_until", c);
    set_terms(&c, (const uint32_t[]){25}, 1), assert_int_equal(consent_check(&c, &field), VAULT_OK);
    c.research_until = 86401, consent_faults_are_named("permits.research_until", c), c = good;
    set_terms(&c, (const uint32_t[]){42, 4}, 2), consent_faults_are_named("permits.research", c);
    set_terms(&c, (const uint32_t[]){42, 42}, 2), consent_faults_are_named("permits.research", c);
    set_terms(&c, (const uint32_t[]){0}, 1), consent_faults_are_named("permits.research", c);
    set_terms(&c, (const uint32_t[]){10000000}, 1), consent_faults_are_named("permits.research", c);
}

/* A consent with these terms and this disease of DUO:0000007 ("": without). */
static struct consent consent_to(const uint32_t terms[3], const char *diseases) {
    struct consent c = good_consent();
    size_t count = 0;
    while (count < 3 && terms[count] != 0)
        count++;
    set_terms(&c, terms, count);
    copy_string(c.diseases, sizeof(c.diseases), diseases);
    return c;
}

static void wider_research_is_told_from_narrower(void **state) {
    (void)state;
    static const struct {
        uint32_t before[3], after[3];
        const char *diseases_before, *diseases_after;
        bool widens;
    } cases[] = {
        {{0}, {0}, "", "", false},           {{42}, {0}, "", "", false},         {{0}, {42}, "", "", true},
        {{42}, {42}, "", "", false},         {{42}, {6}, "", "", false},         {{6}, {42}, "", "", true},
        {{4}, {42}, "", "", false},          {{42, 45}, {42}, "", "", true},     {{42}, {42, 45}, "", "", false},
        {{42, 45}, {6, 45}, "", "", false},  {{6}, {6, 16, 21}, "", "", false},  {{6}, {7}, "", "M:1", true},
        {{6}, {6, 7}, "", "M:1", false},     {{7}, {6, 7}, "M:1", "M:1", false}, {{7}, {7}, "M:1", "M:1,M:2", true},
        {{7}, {7}, "M:1,M:2", "M:2", false}, {{7}, {7}, "M:1", "M:10", true},    {{7}, {42}, "M:1", "", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct consent before = consent_to(cases[i].before, cases[i].diseases_before);
        struct consent after = consent_to(cases[i].after, cases[i].diseases_after);
        const char *field = "none";
        if (consent_widens(&before, &after, &field) != cases[i].widens)
            fail_msg("case %zu", i);
        if (cases[i].widens)
            assert_string_equal(field, "permits.research");
        else
            assert_null(field);
    }
}

static void fewer_who_may_do_the_research_are_narrower(void **state) {
    (void)state;
    static const struct {
        uint32_t before[3], after[3];
        const char *only_before, *only_after;
        uint64_t until_before, until_after;
        bool widens;
    } cases[] = {
        {{22}, {22}, "c:DK,c:SE", "c:DK", 0, 0, false},
        {{22}, {22}, "c:DK", "c:DK,c:SE", 0, 0, true},
        {{22}, {22}, "", "c:DK", 0, 0, true}, /* nobody knew where, and nothing was permitted */
        {{22}, {22}, "c:DK", "", 0, 0, false},
        {{22}, {42}, "c:DK", "", 0, 0, true},
        {{42}, {22, 42}, "", "c:DK", 0, 0, false},
        {{22}, {22, 28}, "c:DK", "c:DK,o:a", 0, 0, false},
        {{28}, {22, 28}, "o:a", "c:DK,o:b", 0, 0, true},
        {{26}, {26}, "s:lab", "s:lab2", 0, 0, true},
        {{27}, {27}, "p:P1,p:P2", "p:P2", 0, 0, false},
        {{25}, {25}, "", "", 10, 9, false},
        {{25}, {25}, "", "", 9, 10, true},
        {{25}, {25}, "", "", 0, 10, true},
        {{25}, {25}, "", "", 10, 0, false},
        {{42}, {25, 42}, "", "", 0, 10, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct consent before = consent_to(cases[i].before, ""), after = consent_to(cases[i].after, "");
        const char *field = "none";
        copy_string(before.only, sizeof(before.only), cases[i].only_before);
        copy_string(after.only, sizeof(after.only), cases[i].only_after);
        before.research_until = cases[i].until_before;
        after.research_until = cases[i].until_after;
        if (consent_widens(&before, &after, &field) != cases[i].widens)
            fail_msg("case %zu", i);
    }
}

static void wider_is_told_of_every_field(void **state) {
    (void)state;
    const char *field = NULL;
    struct consent least = {.expires = 5}, more = least;
    assert_false(consent_widens(&least, &least, &field));
    more.treatment = 1;
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "permits.treatment") == 0);
    assert_false(consent_widens(&more, &least, &field));
    more = least, more.findings = FINDINGS_ACTIONABLE;
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "findings") == 0);
    assert_false(consent_widens(&more, &least, &field));
    more = least, more.recontact = 1;
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "recontact") == 0);
    assert_false(consent_widens(&more, &least, &field));
    more = least, more.expires = 6;
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "expires") == 0);
    assert_false(consent_widens(&more, &least, &field));
    more.expires = 0;
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "expires") == 0);
    assert_false(consent_widens(&more, &least, &field));
    least.custody_until = 86400;
    more = least, more.custody_until = 0; /* the patient's own */
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "custody_until") == 0);
    assert_false(consent_widens(&more, &least, &field));
    more.custody_until = 172800;
    assert_true(consent_widens(&least, &more, &field) && strcmp(field, "custody_until") == 0);
    assert_false(consent_widens(&more, &least, &field));
}

static void consent_survives_its_encoding(void **state) {
    (void)state;
    uint8_t bytes[2048];
    struct consent c = good_consent(), back;
    struct writer w = writer_of(bytes, sizeof(bytes));
    layout_encode(&layout_consent, &c, &w);
    assert_false(w.bad);
    struct reader r = reader_of(bytes, w.used);
    assert_int_equal(layout_decode(&layout_consent, &r, &back), VAULT_OK);
    assert_memory_equal(&c.research, &back.research, sizeof(c.research));
    assert_string_equal(c.subject, back.subject);
}

static struct policy_rule good_rule(unsigned number) {
    struct policy_rule r = {.text = "Text.",
                            .source = "Law",
                            .effect = EFFECT_PERMIT,
                            .actions = 1u << ACTION_READ,
                            .purposes = 1u << PURPOSE_TREATMENT};
    format_string(r.id, sizeof(r.id), "rule-%u", number);
    return r;
}

struct bench {
    struct policy policy, back;
    uint8_t bytes[BLOCK_MAX];
};

static struct bench *bench_with(size_t rules) {
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    copy_string(b->policy.name, sizeof(b->policy.name), "test");
    for (unsigned i = 0; i < rules; i++)
        b->policy.rules[b->policy.count++] = good_rule(i);
    return b;
}

static struct policy_budget good_budget(unsigned number) {
    struct policy_budget b = {.text = "Text.",
                              .source = "Agreement",
                              .purpose = PURPOSE_RESEARCH,
                              .per = PER_PROJECT,
                              .period = (uint8_t)(number % PERIOD_COUNT),
                              .bytes = BUDGET_MOST,
                              .files = 2,
                              .subjects = 1};
    format_string(b.id, sizeof(b.id), "budget-%u", number);
    return b;
}

static void add_budgets(struct bench *b, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        b->policy.budgets[b->policy.budget_count++] = good_budget(i);
}

static void policy_survives_its_encoding(void **state) {
    (void)state;
    struct bench *b = bench_with(3);
    size_t used;
    b->policy.opt_outs_days = POLICY_OPT_OUTS_DAYS;
    b->policy.witnessed_seconds = POLICY_WITNESSED_SECONDS;
    add_budgets(b, PERIOD_COUNT);
    copy_string(b->policy.budgets[1].names, sizeof(b->policy.budgets[1].names), "P1,P2");
    assert_int_equal(policy_encode(&b->policy, b->bytes, sizeof(b->bytes), &used), VAULT_OK);
    assert_int_equal(policy_decode(&b->back, b->bytes, used), VAULT_OK);
    assert_string_equal(b->back.name, "test");
    assert_int_equal(b->back.opt_outs_days, POLICY_OPT_OUTS_DAYS);
    assert_int_equal(b->back.witnessed_seconds, POLICY_WITNESSED_SECONDS);
    assert_int_equal(b->back.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(b->back.rules[i].id, b->policy.rules[i].id);
    assert_int_equal(b->back.budget_count, PERIOD_COUNT);
    assert_memory_equal(b->back.budgets, b->policy.budgets, sizeof(b->back.budgets));
    free(b);
}

static void policy_decode_refuses_short_long_and_newer(void **state) {
    (void)state;
    struct bench *b = bench_with(2);
    size_t used;
    add_budgets(b, 2);
    assert_int_equal(policy_encode(&b->policy, b->bytes, sizeof(b->bytes), &used), VAULT_OK);
    for (size_t n = 0; n < used; n++)
        assert_int_equal(policy_decode(&b->back, b->bytes, n), VAULT_E_FORMAT);
    assert_int_equal(b->back.count, 0);
    assert_int_equal(policy_decode(&b->back, b->bytes, used + 1), VAULT_E_FORMAT);
    b->bytes[0]++;
    assert_int_equal(policy_decode(&b->back, b->bytes, used), VAULT_E_FORMAT);
    assert_int_equal(policy_encode(&b->policy, b->bytes, used - 1, &used), VAULT_E_LIMIT);
    free(b);
}

static void policy_faults_are_named(struct bench *b, size_t rule, const char *field) {
    struct policy_fault found = {.index = 99};
    assert_int_equal(policy_check(&b->policy, &found), VAULT_E_FORMAT);
    assert_int_equal(found.index, rule);
    assert_string_equal(found.field, field);
    assert_false(found.in_budget);
    b->policy.rules[1] = good_rule(1);
}

static void policy_check_names_each_field(void **state) {
    (void)state;
    struct bench *b = bench_with(3);
    struct policy_rule *r = &b->policy.rules[1];
    struct policy_fault fault;
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    r->id[0] = 'X', policy_faults_are_named(b, 1, "id");
    r->id[0] = '\0', policy_faults_are_named(b, 1, "id");
    copy_string(r->id, sizeof(r->id), "rule-0"), policy_faults_are_named(b, 1, "id");
    r->text[0] = '\0', policy_faults_are_named(b, 1, "text");
    r->text[0] = '\n', policy_faults_are_named(b, 1, "text");
    r->source[0] = '\n', policy_faults_are_named(b, 1, "source");
    r->effect = 3, policy_faults_are_named(b, 1, "effect");
    r->actions = 0, policy_faults_are_named(b, 1, "actions");
    r->actions = 1u << ACTION_ADMINISTER, policy_faults_are_named(b, 1, "actions");
    r->actions = 1u << ACTION_COUNT, policy_faults_are_named(b, 1, "actions");
    r->purposes = 0, policy_faults_are_named(b, 1, "purposes");
    r->purposes = 8, policy_faults_are_named(b, 1, "purposes");
    r->roles = 1u << ROLE_COUNT, policy_faults_are_named(b, 1, "roles");
    r->conditions = 1u << CONDITION_COUNT, policy_faults_are_named(b, 1, "conditions");
    r->dataset[0] = '/', policy_faults_are_named(b, 1, "dataset");
    r->tag[0] = ',', policy_faults_are_named(b, 1, "tag");
    r->from = r->until = 5, policy_faults_are_named(b, 1, "until");
    r->until = 5, r->from = 6, policy_faults_are_named(b, 1, "until");
    r->obligation[0] = 'x', policy_faults_are_named(b, 1, "obligation");
    r->effect = EFFECT_OBLIGE, policy_faults_are_named(b, 1, "obligation");
    b->policy.name[0] = '\0', policy_faults_are_named(b, SIZE_MAX, "name");
    copy_string(b->policy.name, sizeof(b->policy.name), "test");
    b->policy.opt_outs_days = POLICY_OPT_OUTS_DAYS + 1;
    policy_faults_are_named(b, SIZE_MAX, "opt-outs-max-age-days");
    b->policy.opt_outs_days = 0;
    b->policy.witnessed_seconds = POLICY_WITNESSED_SECONDS + 1;
    policy_faults_are_named(b, SIZE_MAX, "witnessed-within-seconds");
    b->policy.witnessed_seconds = 0;
    b->policy.count = POLICY_RULES + 1, policy_faults_are_named(b, SIZE_MAX, "rules");
    free(b);
}

static void budget_faults_are_named(struct bench *b, const char *field) {
    struct policy_fault found = {.index = 99};
    assert_int_equal(policy_check(&b->policy, &found), VAULT_E_FORMAT);
    assert_true(found.in_budget);
    assert_int_equal(found.index, 1);
    assert_string_equal(found.field, field);
    b->policy.budgets[1] = good_budget(1);
}

static void policy_check_names_each_field_of_a_budget(void **state) {
    (void)state;
    struct bench *b = bench_with(1);
    struct policy_budget *p = &b->policy.budgets[1];
    struct policy_fault fault;
    add_budgets(b, 3);
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    p->id[0] = 'X', budget_faults_are_named(b, "id");
    copy_string(p->id, sizeof(p->id), "budget-0"), budget_faults_are_named(b, "id");
    copy_string(p->id, sizeof(p->id), "rule-0"), budget_faults_are_named(b, "id");
    p->text[0] = '\0', budget_faults_are_named(b, "text");
    p->text[0] = '\n', budget_faults_are_named(b, "text");
    p->source[0] = '\n', budget_faults_are_named(b, "source");
    p->purpose = PURPOSE_NONE, budget_faults_are_named(b, "purpose");
    p->purpose = PURPOSE_RESEARCH + 1, budget_faults_are_named(b, "purpose");
    p->per = PER_COUNT, budget_faults_are_named(b, "per");
    p->purpose = PURPOSE_TREATMENT, budget_faults_are_named(b, "per"); /* treatment has no project */
    p->period = PERIOD_COUNT, budget_faults_are_named(b, "period");
    p->bytes = BUDGET_MOST + 1, budget_faults_are_named(b, "bytes");
    p->files = BUDGET_MOST + 1, budget_faults_are_named(b, "files");
    p->subjects = BUDGET_MOST + 1, budget_faults_are_named(b, "subjects");
    p->bytes = p->files = p->subjects = 0, budget_faults_are_named(b, "bytes");
    static const char *const names[] = {",", "P1,", "P1,,P2", "a b", "P1,P2,P1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        copy_string(p->names, sizeof(p->names), names[i]), budget_faults_are_named(b, "names");
    b->policy.budget_count = POLICY_BUDGETS + 1, policy_faults_are_named(b, SIZE_MAX, "budgets");
    free(b);
}

static void no_name_has_two_budgets_of_a_kind(void **state) {
    (void)state;
    static const struct {
        const char *first, *second, *fault; /* NULL: they go together */
    } cases[] = {{"", "", "period"},    {"", "P1", NULL},      {"P1", "", NULL},
                 {"P1", "P2", NULL},    {"P1", "P1", "names"}, {"P1,P2", "P3,P2", "names"},
                 {"P1,P2", "P20", NULL}};
    struct bench *b = bench_with(1);
    struct policy_budget *p = b->policy.budgets;
    struct policy_fault fault;
    add_budgets(b, 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p[1].period = p[0].period;
        copy_string(p[0].names, sizeof(p[0].names), cases[i].first);
        copy_string(p[1].names, sizeof(p[1].names), cases[i].second);
        if (cases[i].fault == NULL)
            assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
        else
            budget_faults_are_named(b, cases[i].fault);
    }
    p[1].period = p[0].period, p[1].per = PER_SERVICE;
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    free(b);
}

static void budget_of_a_name_is_the_one_that_names_it(void **state) {
    (void)state;
    struct bench *b = bench_with(1);
    struct policy_budget *p = b->policy.budgets;
    add_budgets(b, 1);
    assert_ptr_equal(policy_budget_of(&b->policy, PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY, "P1"), &p[0]);
    b->policy.budgets[b->policy.budget_count++] = good_budget(4); /* of a day, too */
    copy_string(p[1].names, sizeof(p[1].names), "P1,P2");
    assert_ptr_equal(policy_budget_of(&b->policy, PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY, "P2"), &p[1]);
    assert_ptr_equal(policy_budget_of(&b->policy, PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY, "P"), &p[0]);
    copy_string(p[0].names, sizeof(p[0].names), "P3");
    assert_null(policy_budget_of(&b->policy, PURPOSE_RESEARCH, PER_PROJECT, PERIOD_DAY, "P4"));
    assert_null(policy_budget_of(&b->policy, PURPOSE_RESEARCH, PER_PROJECT, PERIOD_YEAR, "P1"));
    assert_null(policy_budget_of(&b->policy, PURPOSE_RESEARCH, PER_SERVICE, PERIOD_DAY, "P1"));
    assert_null(policy_budget_of(&b->policy, PURPOSE_TREATMENT, PER_PROJECT, PERIOD_DAY, "P1"));
    free(b);
}

static void periods_are_those_of_the_calendar(void **state) {
    (void)state;
    static const struct {
        const char *day, *month, *year;
    } cases[] = {{"2024-02-29", "2024-02-01", "2024-01-01"}, {"2023-12-31", "2023-12-01", "2023-01-01"},
                 {"2024-01-01", "2024-01-01", "2024-01-01"}, {"2000-03-01", "2000-03-01", "2000-01-01"},
                 {"1970-01-01", "1970-01-01", "1970-01-01"}, {"9999-12-31", "9999-12-01", "9999-01-01"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t day, month, year;
        assert_true(date_parse(cases[i].day, &day) && date_parse(cases[i].month, &month));
        assert_true(date_parse(cases[i].year, &year));
        for (uint64_t second = 0; second < 86400; second += 86399) {
            uint64_t now = (uint64_t)day + second;
            assert_int_equal(period_begin(PERIOD_DAY, now), day / 86400);
            assert_int_equal(period_begin(PERIOD_MONTH, now), month / 86400);
            assert_int_equal(period_begin(PERIOD_YEAR, now), year / 86400);
            assert_int_equal(period_begin(PERIOD_EVER, now), 0);
        }
    }
    assert_int_equal(period_begin(PERIOD_DAY, UINT64_MAX), 253402300799 / 86400);
}

/* Else a withdrawal could permit. */
static void policy_refuses_permits_by_lack_and_forbids_by_consent(void **state) {
    (void)state;
    struct bench *b = bench_with(3);
    for (unsigned condition = 0; condition < CONDITION_COUNT; condition++) {
        bool grants = condition == CONDITION_CONSENT_TREATMENT || condition == CONDITION_CONSENT_RESEARCH ||
                      condition == CONDITION_PROJECT_OPEN || condition == CONDITION_APPROVAL_VALID ||
                      condition == CONDITION_BREAK_GLASS || condition == CONDITION_CARE_RELATION;
        b->policy.rules[1].effect = grants ? EFFECT_FORBID : EFFECT_PERMIT;
        b->policy.rules[1].conditions = 1u << condition;
        policy_faults_are_named(b, 1, "conditions");
    }
    free(b);
}

/* A deposit needs no consent: what a consent says must not be what forbids it, or its withdrawal would permit. */
static void policy_refuses_forbids_that_end_with_a_consent(void **state) {
    (void)state;
    static const unsigned said[] = {CONDITION_FINDINGS_REFUSED, CONDITION_NO_RECONTACT, CONDITION_CUSTODY_OVER};
    struct bench *b = bench_with(3);
    struct policy_rule *r = &b->policy.rules[1];
    struct policy_fault fault;
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        for (unsigned action = 0; action < ACTION_ADMINISTER; action++) {
            bool needs = action == ACTION_READ || action == ACTION_LIST || action == ACTION_METADATA;
            r->conditions = 1u << said[i];
            r->actions = 1u << action | 1u << ACTION_READ;
            r->effect = EFFECT_FORBID;
            if (needs)
                assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
            else
                policy_faults_are_named(b, 1, "conditions");
        }
    r->actions = 1u << ACTION_READ; /* and who narrows "actionable" to "none" would end it */
    r->conditions = 1u << CONDITION_FINDINGS_LIMITED;
    policy_faults_are_named(b, 1, "conditions");
    r->effect = EFFECT_OBLIGE;
    copy_string(r->obligation, sizeof(r->obligation), "duty");
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    free(b);
}

static void policy_refuses_more_rules_at_once_than_reasons_fit(void **state) {
    (void)state;
    struct bench *b = bench_with(POLICY_RULES_AT_ONCE);
    struct policy_fault fault;
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    b->policy.rules[b->policy.count++] = good_rule(12);
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_E_FORMAT);
    assert_string_equal(fault.field, "actions");
    copy_string(b->policy.rules[11].dataset, NAME_MAX_SIZE, "D1");
    copy_string(b->policy.rules[12].dataset, NAME_MAX_SIZE, "D2");
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    copy_string(b->policy.rules[12].dataset, NAME_MAX_SIZE, "D1");
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_E_FORMAT);
    free(b);
}

static void policy_bounds_its_obligations(void **state) {
    (void)state;
    struct bench *b = bench_with(POLICY_OBLIGATIONS + 1);
    struct policy_fault fault;
    for (unsigned i = 0; i < b->policy.count; i++) {
        b->policy.rules[i].effect = EFFECT_OBLIGE;
        format_string(b->policy.rules[i].obligation, 64, "obligation-%u", i);
    }
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_E_FORMAT);
    assert_int_equal(fault.index, POLICY_OBLIGATIONS);
    assert_string_equal(fault.field, "obligation");
    copy_string(b->policy.rules[8].obligation, 64, "obligation-0");
    assert_int_equal(policy_check(&b->policy, &fault), VAULT_OK);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(actions_have_letters),
        cmocka_unit_test(name_refuses_what_could_be_a_path_or_a_control),
        cmocka_unit_test(file_name_takes_text_but_no_path),
        cmocka_unit_test(date_is_real_or_refused),
        cmocka_unit_test(time_is_written_in_utc_with_microseconds),
        cmocka_unit_test(date_and_time_agree_on_every_day),
        cmocka_unit_test(purpose_text_is_canonical),
        cmocka_unit_test(purpose_check_refuses_particulars_out_of_place),
        cmocka_unit_test(consent_check_names_each_field),
        cmocka_unit_test(wider_research_is_told_from_narrower),
        cmocka_unit_test(wider_is_told_of_every_field),
        cmocka_unit_test(fewer_who_may_do_the_research_are_narrower),
        cmocka_unit_test(consent_survives_its_encoding),
        cmocka_unit_test(policy_survives_its_encoding),
        cmocka_unit_test(policy_decode_refuses_short_long_and_newer),
        cmocka_unit_test(policy_check_names_each_field),
        cmocka_unit_test(policy_check_names_each_field_of_a_budget),
        cmocka_unit_test(no_name_has_two_budgets_of_a_kind),
        cmocka_unit_test(budget_of_a_name_is_the_one_that_names_it),
        cmocka_unit_test(periods_are_those_of_the_calendar),
        cmocka_unit_test(policy_refuses_permits_by_lack_and_forbids_by_consent),
        cmocka_unit_test(policy_refuses_forbids_that_end_with_a_consent),
        cmocka_unit_test(policy_refuses_more_rules_at_once_than_reasons_fit),
        cmocka_unit_test(policy_bounds_its_obligations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
