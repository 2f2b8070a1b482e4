#include "vault/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vault/decision.h"
#include "vault/result.h"

#define BIT(n) (1u << (n))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct refusal {
    const char *text;
    const char *problem; /* its beginning */
};

static void begins(const char *text, const char *problem, const char *expected) {
    if (strncmp(problem, expected, strlen(expected)) != 0)
        fail_msg("%s\n  expected: %s\n  got:      %s", text, expected, problem);
    assert_true(text_is_clean(problem, strlen(problem)));
}

/* --- Purpose ------------------------------------------------------------------------------------------------- */

#define ALL_USES                                                                                                       \
    "DUO:0000031 DUO:0000032 DUO:0000033 DUO:0000034 DUO:0000035 DUO:0000036 DUO:0000037 DUO:0000038 DUO:0000039 "     \
    "DUO:0000040"

static void purpose_parse_gives_the_canonical_purpose(void **state) {
    (void)state;
    static const struct {
        const char *header, *canonical;
    } cases[] = {
        {"treatment", "treatment"},
        {"  treatment  ", "treatment"},
        {"research", "research"},
        {"research;project=\"P1\"", "research;project=\"P1\""},
        {"research;  disease=\"MONDO:0005070\"; approval=\"A1\";project=\"P1\" ",
         "research;project=\"P1\";approval=\"A1\";disease=\"MONDO:0005070\""},
        {"research;project=\"urn:x:P@1_2.3-4\"", "research;project=\"urn:x:P@1_2.3-4\""},
        {"research;uses=\"DUO:0000031\"", "research;uses=\"DUO:0000031\""},
        {"research;uses=\"DUO:0000037 DUO:0000040\";disease=\"MONDO:1\"",
         "research;disease=\"MONDO:1\";uses=\"DUO:0000037 DUO:0000040\""},
        {"research;uses=\"" ALL_USES "\"", "research;uses=\"" ALL_USES "\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct purpose p;
        char problem[PURPOSE_PROBLEM] = "", text[512];
        assert_int_equal(purpose_parse(cases[i].header, &p, problem), VAULT_OK);
        assert_true(purpose_text(&p, text, sizeof(text)));
        assert_string_equal(text, cases[i].canonical);
    }
}

static void purpose_parse_names_the_place_of_each_fault(void **state) {
    (void)state;
    static const struct refusal refusals[] = {
        {"", "Purpose, character 1: not the token"},
        {"   ", "Purpose, character 4: not the token"},
        {"marketing", "Purpose, character 1: not the token"},
        {"Treatment", "Purpose, character 1: not the token"},
        {"none", "Purpose, character 1: not the token"},
        {"\"research\"", "Purpose, character 1: not the token"},
        {"(research)", "Purpose, character 1: not the token"},
        {"researchx", "Purpose, character 1: not the token"},
        {"research/x", "Purpose, character 1: not the token"},
        {"\tresearch", "Purpose, character 1: not the token"},
        {"research, treatment", "Purpose, character 9: one purpose only, not a list"},
        {"research treatment", "Purpose, character 10: something after the purpose"},
        {"research ;project=\"P1\"", "Purpose, character 10: something after the purpose"},
        {"research;", "Purpose, character 10: not a parameter"},
        {"research;;", "Purpose, character 10: not a parameter"},
        {"research;Project=\"P1\"", "Purpose, character 10: not a parameter"},
        {"research;ruels=\"P1\"", "Purpose, character 10: unknown parameter 'ruels'"},
        {"research;project", "Purpose, character 17: parameter 'project' has no value"},
        {"research;project=P1", "Purpose, character 18: a parameter's value must be a string"},
        {"research;project=1", "Purpose, character 18: a parameter's value must be a string"},
        {"research;project= \"P1\"", "Purpose, character 18: a parameter's value must be a string"},
        {"research;project=\"P1", "Purpose, character 21: a string without end"},
        {"research;project=\"P\\1\"", "Purpose, character 20: a backslash that escapes nothing"},
        {"research;project=\"\\", "Purpose, character 19: a backslash that escapes nothing"},
        {"research;project=\"P\xc3\xa6\"", "Purpose, character 20: not plain ASCII"},
        {"research;project=\"P\t\"", "Purpose, character 20: not plain ASCII"},
        {"research;project=\"\"", "Purpose, character 18: parameter 'project' is empty"},
        {"research;project=\"P\\\"1\"", "Purpose, character 24: parameter 'project' is not well-formed"},
        {"research;project=\"P1\";project=\"P1\"", "Purpose, character 23: parameter 'project' given twice"},
        {"research;disease=\"MONDO\"", "Purpose, character 25: parameter 'disease' is not well-formed"},
        {"research;disease=\"MONDO:x\"", "Purpose, character 27: parameter 'disease' is not well-formed"},
        {"research;uses=\"\"", "Purpose, character 15: parameter 'uses' is empty"},
        {"research;uses=\"DUO:0000030\"", "Purpose, character 28: parameter 'uses' is not well-formed"},
        {"research;uses=\"DUO:0000041\"", "Purpose, character 28: parameter 'uses' is not well-formed"},
        {"research;uses=\"DUO:0000031 \"", "Purpose, character 29: parameter 'uses' is not well-formed"},
        {"research;uses=\" DUO:0000031\"", "Purpose, character 29: parameter 'uses' is not well-formed"},
        {"research;uses=\"DUO:0000031  DUO:0000032\"", "Purpose, character 41: parameter 'uses' is not well-formed"},
        {"research;uses=\"DUO:0000031DUO:0000032\"", "Purpose, character 39: parameter 'uses' is not well-formed"},
        {"research;uses=\"DUO:0000032 DUO:0000031\"", "Purpose, character 40: parameter 'uses' is not well-formed"},
        {"research;uses=\"DUO:0000031 DUO:0000031\"", "Purpose, character 40: parameter 'uses' is not well-formed"},
        {"research;uses=\"" ALL_USES " \"", "Purpose, character 135: a value of more than 119 bytes"},
        {"research;uses=\"DUO:0000031\";uses=\"DUO:0000032\"", "Purpose, character 29: parameter 'uses' given twice"},
        {"treatment;uses=\"DUO:0000031\"", "Purpose, character 29: parameter 'uses' belongs to research only"},
        {"research;break-glass=\"x\"", "Purpose, character 25: parameter 'break-glass' belongs to treatment only"},
        {"treatment;break-glass=\"a \\\"b\\\"\"", "Purpose, character 32: parameter 'break-glass' is not well-formed"},
        {"treatment;project=\"P1\"", "Purpose, character 23: parameter 'project' belongs to research only"},
        {"research;project=\"P1\"x", "Purpose, character 22: something after the purpose"},
    };
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct purpose p = {.purpose = 99};
        char problem[PURPOSE_PROBLEM] = "";
        assert_int_equal(purpose_parse(refusals[i].text, &p, problem), VAULT_E_FORMAT);
        begins(refusals[i].text, problem, refusals[i].problem);
        assert_int_equal(p.purpose, 99);
    }
}

static void purpose_parse_refuses_long_values_and_headers(void **state) {
    (void)state;
    char header[PURPOSE_TEXT_LIMIT + 2], problem[PURPOSE_PROBLEM];
    struct purpose p;
    memset(header, 'a', sizeof(header));
    copy_bytes(header, sizeof(header), "research;project=\"", 18);
    header[18 + 128] = '"';
    header[18 + 129] = '\0';
    assert_int_equal(purpose_parse(header, &p, problem), VAULT_OK);
    header[18 + 128] = 'a';
    header[18 + 129] = '"';
    header[18 + 130] = '\0';
    assert_int_equal(purpose_parse(header, &p, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "Purpose, character 147: a value of more than 128 bytes");
    memset(header, ' ', sizeof(header));
    header[PURPOSE_TEXT_LIMIT + 1] = '\0';
    assert_int_equal(purpose_parse(header, &p, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "Purpose, character 1: more than 1024 bytes");
}

/* --- Consent ------------------------------------------------------------------------------------------------- */

#define EVIDENCE "sha-256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void consent_parse_takes_the_whole_document(void **state) {
    (void)state;
    static const char json[] =
        "{\"subject\": \"S-0001\", \"signed\": \"2026-11-22\", \"form\": \"2.1\", \"evidence\": \"" EVIDENCE "\",\n"
        " \"permits\": {\"treatment\": true, \"research\": [\"DUO:0000045\", \"DUO:0000006\", \"DUO:0000042\"]},\n"
        " \"findings\": \"actionable\", \"recontact\": true, \"expires\": \"2030-01-01\",\n"
        " \"custody_until\": \"2029-01-01\"}\n";
    struct consent c;
    char problem[CONSENT_PROBLEM] = "";
    assert_int_equal(consent_parse(json, strlen(json), "S-0001", &c, problem), VAULT_OK);
    assert_string_equal(c.subject, "S-0001");
    assert_string_equal(c.signed_on, "2026-11-22");
    assert_string_equal(c.form, "2.1");
    assert_string_equal(c.evidence, EVIDENCE);
    assert_int_equal(c.treatment, 1);
    assert_int_equal(consent_terms(&c), 3);
    assert_int_equal(consent_term(&c, 0), 6);
    assert_int_equal(consent_term(&c, 1), 42);
    assert_int_equal(consent_term(&c, 2), 45);
    assert_int_equal(c.findings, FINDINGS_ACTIONABLE);
    assert_int_equal(c.recontact, 1);
    assert_int_equal(c.expires, 1893456000);
    assert_int_equal(c.custody_until, 1861920000);
}

static void consent_parse_takes_what_is_left_out_as_refused(void **state) {
    (void)state;
    static const char json[] = "{\"subject\":\"S-1\",\"signed\":\"2026-11-22\",\"form\":\"2\",\"permits\":{},"
                               "\"expires\":null}";
    struct consent c;
    char problem[CONSENT_PROBLEM] = "";
    assert_int_equal(consent_parse(json, strlen(json), "S-1", &c, problem), VAULT_OK);
    assert_int_equal(c.treatment, 0);
    assert_int_equal(consent_terms(&c), 0);
    assert_int_equal(c.findings, FINDINGS_NONE);
    assert_int_equal(c.recontact, 0);
    assert_int_equal(c.expires, 0);
    assert_int_equal(c.custody_until, 0);
    assert_string_equal(c.evidence, "");
}

#define LONG(letter)                                                                                                   \
    "\"" letter "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"  \
    "0123456789\""
#define ONLY(term, member) ",\"permits\":{\"treatment\":true,\"research\":[\"DUO:00000" term "\"]," member "}}"

static void consent_parse_takes_who_may_do_the_research(void **state) {
    (void)state;
    static const char json[] =
        "{\"subject\":\"S-1\",\"signed\":\"2026-11-22\",\"form\":\"2\",\"permits\":{\"services\":[\"z\",\"lab\"],"
        "\"countries\":[\"SE\",\"DK\"],\"research_until\":\"2030-01-01\",\"projects\":[\"P1\"],"
        "\"organisations\":[\"hospital\"],\"research\":[\"DUO:0000022\",\"DUO:0000025\",\"DUO:0000026\","
        "\"DUO:0000027\",\"DUO:0000028\"]}}";
    struct consent c;
    char problem[CONSENT_PROBLEM] = "";
    assert_int_equal(consent_parse(json, strlen(json), "S-1", &c, problem), VAULT_OK);
    assert_string_equal(c.only, "c:DK,c:SE,o:hospital,p:P1,s:lab,s:z");
    assert_int_equal(c.research_until, 1893456000);
}

#define HEAD "{\"subject\":\"S-1\",\"signed\":\"2026-11-22\",\"form\":\"2\""
#define PERMITS ",\"permits\":{\"treatment\":true}"
#define PERMITTING(list, diseases) HEAD ",\"permits\":{\"research\":" list ",\"diseases\":" diseases "}}"
#define RESEARCH(list) HEAD ",\"permits\":{\"research\":" list "}}"

static void consent_parse_sorts_diseases(void **state) {
    (void)state;
    static const char json[] = PERMITTING("[\"DUO:0000007\"]", "[\"MONDO:10\",\"MONDO:1\",\"DOID:9\",\"MONDO:2\"]");
    struct consent c;
    char problem[CONSENT_PROBLEM] = "";
    assert_int_equal(consent_parse(json, strlen(json), "S-1", &c, problem), VAULT_OK);
    assert_string_equal(c.diseases, "DOID:9,MONDO:1,MONDO:10,MONDO:2");
    char list[CONSENT_DISEASES * 70 + 3] = "[", whole[1024];
    for (unsigned i = 0; i < CONSENT_DISEASES; i++) { /* as long as may be */
        size_t n = strlen(list);
        assert_true(format_string(list + n, sizeof(list) - n, "%s\"%032d:%031u\"", i == 0 ? "" : ",", 0, i));
        memset(list + n + (i == 0 ? 1 : 2), 'M', 32);
    }
    assert_true(format_string(whole, sizeof(whole),
                              HEAD ",\"permits\":{\"research\":[\"DUO:0000007\"],\"diseases\":%s]}}", list));
    assert_int_equal(consent_parse(whole, strlen(whole), "S-1", &c, problem), VAULT_OK);
    assert_int_equal(strlen(c.diseases), CONSENT_DISEASES * (DISEASE_SIZE + 1) - 1);
}

static void consent_parse_names_the_member_at_fault(void **state) {
    (void)state;
    static const struct refusal refusals[] = {
        {"", "line 1, column 0: "},
        {"{", "line 1, column 1: "},
        {"nonsense", "line 1, column 8: "},
        {"[]", "not a JSON object"},
        {"null", "line 1, column 4: "},
        {HEAD PERMITS "} x", "line 1, column "},
        {HEAD PERMITS "}{}", "line 1, column "},
        {HEAD PERMITS ",\"form\":\"3\"}", "line 1, column "},
        {"{\"signed\":\"2026-11-22\",\"form\":\"2\",\"permits\":{}}", "subject: missing"},
        {"{\"subject\":\"S-1\",\"form\":\"2\",\"permits\":{}}", "signed: missing"},
        {"{\"subject\":\"S-1\",\"signed\":\"2026-11-22\",\"permits\":{}}", "form: missing"},
        {HEAD "}", "permits: missing"},
        {"{\"subject\":\"S-2\"}", "subject: not the subject of this request"},
        {"{\"subject\":1}", "subject: not a string"},
        {"{\"subject\":null}", "subject: not a string"},
        {"{\"subject\":\"S-1\\u0007\"}", "subject: control characters"},
        {"{\"subject\":\"S-1\\u0000\"}", "line 1, column "},
        {"{\"subject\":\"S-\xff\"}", "line 1, column "},
        {HEAD PERMITS ",\"extra\":1}", "extra: unknown member"},
        {HEAD PERMITS ",\"ex\\ntra\":1}", "(not clean text): unknown member"},
        {HEAD ",\"permits\":[]}", "permits: not an object"},
        {HEAD ",\"permits\":{\"insurance\":true}}", "permits.insurance: unknown member"},
        {HEAD ",\"permits\":{\"treatment\":1}}", "permits.treatment: not true or false"},
        {HEAD ",\"permits\":{\"treatment\":\"true\"}}", "permits.treatment: not true or false"},
        {RESEARCH("true"), "permits.research: not a list"},
        {RESEARCH("\"DUO:0000042\""), "permits.research: not a list"},
        {RESEARCH("[\"DUO:0000042\",\"GRU\"]"), "permits.research[1]: not a DUO term"},
        {RESEARCH("[\"DUO:42\"]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[\"DUO:00000042\"]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[\"duo:0000042\"]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[\"DUO:000004a\"]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[\"DUO:0000000\"]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[42]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[null]"), "permits.research[0]: not a DUO term"},
        {RESEARCH("[\"DUO:0000042\",\"DUO:0000004\",\"DUO:0000042\"]"), "permits.research[2]: named twice"},
        {PERMITTING("[\"DUO:0000007\"]", "\"MONDO:1\""), "permits.diseases: not a list"},
        {PERMITTING("[\"DUO:0000007\"]", "[]"), "permits.diseases: not 1 to 8 diseases"},
        {PERMITTING("[\"DUO:0000007\"]", "[1,2,3,4,5,6,7,8,9]"), "permits.diseases: not 1 to 8 diseases"},
        {PERMITTING("[\"DUO:0000007\"]", "[1]"), "permits.diseases[0]: not a disease"},
        {PERMITTING("[\"DUO:0000007\"]", "[\"MONDO:1\",\"MONDO:\"]"), "permits.diseases[1]: not a disease"},
        {PERMITTING("[\"DUO:0000007\"]", "[\"MONDO:1,MONDO:2\"]"), "permits.diseases[0]: not a disease"},
        {PERMITTING("[\"DUO:0000007\"]", "[\"MONDO:1\",\"MONDO:2\",\"MONDO:1\"]"), "permits.diseases[2]: named twice"},
        {PERMITTING("[\"DUO:0000006\"]", "[\"MONDO:1\"]"), "permits.diseases: with DUO:0000007"},
        {RESEARCH("[\"DUO:0000007\"]"), "permits.diseases: with DUO:0000007"},
        {"{\"subject\":\"S-1\",\"signed\":\"2026-02-29\",\"form\":\"2\",\"permits\":{}}", "signed: not a real date"},
        {"{\"subject\":\"S-1\",\"signed\":\"22.11.2026\",\"form\":\"2\",\"permits\":{}}", "signed: not a real date"},
        {"{\"subject\":\"S-1\",\"signed\":\"2026-11-22\",\"form\":\"\",\"permits\":{}}", "form: not 1 to 32"},
        {"{\"subject\":\"S-1\",\"signed\":\"2026-11-22\",\"form\":2.1,\"permits\":{}}", "form: not a string"},
        {HEAD PERMITS ",\"evidence\":\"md5:00\"}", "evidence: not \"sha-256:\""},
        {HEAD PERMITS ",\"evidence\":\"sha-256:00\"}", "evidence: not \"sha-256:\""},
        {HEAD PERMITS ",\"findings\":\"some\"}", "findings: not \"all\""},
        {HEAD PERMITS ",\"findings\":2}", "findings: not \"all\""},
        {HEAD PERMITS ",\"findings\":null}", "findings: not \"all\""},
        {HEAD PERMITS ",\"recontact\":\"no\"}", "recontact: not true or false"},
        {HEAD PERMITS ",\"expires\":\"2026-13-01\"}", "expires: not null or a date"},
        {HEAD PERMITS ",\"expires\":\"never\"}", "expires: not null or a date"},
        {HEAD PERMITS ",\"expires\":0}", "expires: not a string"},
        {HEAD PERMITS ",\"custody_until\":\"2026-02-30\"}", "custody_until: not null or a date"},
        {HEAD PERMITS ",\"custody_until\":true}", "custody_until: not a string"},
        {HEAD ONLY("22", "\"countries\":[]"), "permits.countries: not a list of 1 to 8"},
        {HEAD ONLY("22", "\"countries\":\"DK\""), "permits.countries: not a list of 1 to 8"},
        {HEAD ONLY("22", "\"countries\":[\"dk\"]"), "permits.countries[0]: not a code of two capital letters"},
        {HEAD ONLY("22", "\"countries\":[\"DK\",\"DNK\"]"), "permits.countries[1]: not a code"},
        {HEAD ONLY("22", "\"countries\":[\"DK\",\"SE\",\"DK\"]"), "permits.countries[2]: named twice"},
        {HEAD ONLY("21", "\"countries\":[\"DK\"]"), "permits.countries: with DUO:0000022 (geographic)"},
        {HEAD ONLY("28", "\"organisations\":[\"a b\"]"), "permits.organisations[0]: not 1 to 128 characters"},
        {HEAD ONLY("28", "\"organisations\":[5]"), "permits.organisations[0]: not 1 to 128 characters"},
        {HEAD ONLY("27", "\"organisations\":[\"o\"]"), "permits.organisations: with DUO:0000028"},
        {HEAD ONLY("26", "\"projects\":[\"P1\"]"), "permits.projects: with DUO:0000027"},
        {HEAD ONLY("27", "\"services\":[\"lab\"]"), "permits.services: with DUO:0000026"},
        {HEAD ONLY("26", "\"services\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"),
         "permits.services: not a list of 1 to 8"},
        {HEAD ONLY("26", "\"services\":[" LONG("a") "," LONG("b") "," LONG("c") "," LONG("d") "," LONG("e") "]"),
         "permits: countries, organisations, projects and services are too long"},
        {HEAD ONLY("25", "\"research_until\":\"soon\""), "permits.research_until: not null or a date"},
        {HEAD ONLY("42", "\"research_until\":\"2030-01-01\""), "permits.research_until: with DUO:0000025"},
        {HEAD PERMITS ",\"expires\":\"1970-01-01\"}", "expires: before 1970-01-02"},
        {HEAD PERMITS ",\"expires\":\"1960-01-01\"}", "expires: before 1970-01-02"},
        {"[[[[[1]]]]]", "more than 4 objects and lists inside each other"},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{", "more than 4 objects and lists inside each other"},
    };
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct consent c = {.treatment = 99};
        char problem[CONSENT_PROBLEM] = "";
        int result = consent_parse(refusals[i].text, strlen(refusals[i].text), "S-1", &c, problem);
        begins(refusals[i].text, problem, refusals[i].problem);
        assert_int_equal(result, VAULT_E_FORMAT);
        assert_int_equal(c.treatment, 99);
    }
}

static void consent_parse_takes_brackets_in_strings_for_text(void **state) {
    (void)state;
    static const char json[] = HEAD PERMITS ",\"[[[[[\\\"[{\":1}";
    struct consent c;
    char problem[CONSENT_PROBLEM] = "";
    assert_int_equal(consent_parse(json, strlen(json), "S-1", &c, problem), VAULT_E_FORMAT);
    assert_string_equal(problem, "[[[[[\"[{: unknown member");
}

static void consent_parse_keeps_its_limits(void **state) {
    (void)state;
    char json[CONSENT_TEXT_LIMIT + 1], problem[CONSENT_PROBLEM] = "", list[1024] = "[";
    struct consent c;
    memset(json, ' ', sizeof(json));
    copy_bytes(json, sizeof(json), HEAD PERMITS "}", strlen(HEAD PERMITS "}"));
    assert_int_equal(consent_parse(json, CONSENT_TEXT_LIMIT, "S-1", &c, problem), VAULT_OK);
    assert_int_equal(consent_parse(json, CONSENT_TEXT_LIMIT + 1, "S-1", &c, problem), VAULT_E_LIMIT);
    assert_string_equal(problem, "a document of more than 16384 bytes");
    for (unsigned i = 1; i <= CONSENT_TERMS + 1; i++) {
        size_t n = strlen(list);
        assert_true(format_string(list + n, sizeof(list) - n, "%s\"DUO:%07u\"", i == 1 ? "" : ",", 100 + i));
        if (i < CONSENT_TERMS)
            continue;
        assert_true(format_string(json, sizeof(json), HEAD ",\"permits\":{\"research\":%s]}}", list));
        int result = consent_parse(json, strlen(json), "S-1", &c, problem);
        assert_int_equal(result, i == CONSENT_TERMS ? VAULT_OK : VAULT_E_FORMAT);
    }
    assert_string_equal(problem, "permits.research: more than 32 terms");
}

/* --- Policy -------------------------------------------------------------------------------------------------- */

static struct policy policy; /* large; one at a time */

#define RULE                                                                                                           \
    "version: 1\nname: n\nrules:\n  - id: r\n    effect: permit\n    actions: [read]\n    purposes: [treatment]\n"     \
    "    text: t\n"
#define OBLIGE                                                                                                         \
    "version: 1\nname: n\nrules:\n  - id: r\n    effect: oblige\n    actions: [read]\n    purposes: [treatment]\n"     \
    "    text: t\n"

static void policy_parse_takes_every_member(void **state) {
    (void)state;
    static const char yaml[] =
        "version: 1\nname: all.members\nrules:\n"
        "- {id: a, effect: oblige, actions: [read, remove], purposes: [none, research], roles: [reader, auditor],\n"
        "   conditions: [no-consent, opted-out], dataset: D1, tag: wgs, obligation: o-1, text: 'Text: x', source: S,\n"
        "   from: 2026-12-01, until: 2027-01-01}\n"
        "- {id: b, effect: forbid, actions: [list], purposes: [treatment], text: t}\n";
    char problem[POLICY_PROBLEM] = "";
    assert_int_equal(policy_parse(yaml, strlen(yaml), &policy, problem), VAULT_OK);
    assert_string_equal(policy.name, "all.members");
    assert_int_equal(policy.count, 2);
    const struct policy_rule *r = &policy.rules[0];
    assert_string_equal(r->id, "a");
    assert_int_equal(r->effect, EFFECT_OBLIGE);
    assert_int_equal(r->actions, BIT(ACTION_READ) | BIT(ACTION_REMOVE));
    assert_int_equal(r->purposes, BIT(PURPOSE_NONE) | BIT(PURPOSE_RESEARCH));
    assert_int_equal(r->roles, BIT(ROLE_READER) | BIT(ROLE_AUDITOR));
    assert_int_equal(r->conditions, BIT(CONDITION_NO_CONSENT) | BIT(CONDITION_OPTED_OUT));
    assert_string_equal(r->dataset, "D1");
    assert_string_equal(r->tag, "wgs");
    assert_string_equal(r->obligation, "o-1");
    assert_string_equal(r->text, "Text: x");
    assert_string_equal(r->source, "S");
    assert_int_equal(r->from, 1796083200);
    assert_int_equal(r->until, 1798761600);
    assert_int_equal(policy.rules[1].from, 0);
    assert_int_equal(policy.rules[1].until, 0);
    assert_int_equal(policy.rules[1].roles, 0);
    assert_int_equal(policy.rules[1].effect, EFFECT_FORBID);
}

static void policy_parse_names_the_line_at_fault(void **state) {
    (void)state;
    static const struct refusal refusals[] = {
        {"", "line 1, column 1: the document is empty"},
        {"[]", "line 1, column 1: not a map"},
        {"version: 1\nname: n\n", "line 1, column 1: member 'rules' is missing"},
        {"name: n\nrules: []\n", "line 1, column 1: member 'version' is missing"},
        {"version: 2\nname: n\nrules: []\n", "line 1, column 10: 'version': not from 1 to 1"},
        {"version: 1\nname: a b\nrules: []\n", "line 2, column 7: 'name': 1 to 128 characters"},
        {"version: 1\nname: n\nruels: []\n", "line 3, column 8: unknown member 'ruels'"},
        {"version: 1\nname: n\nopt-outs-max-age-days: 0\nrules: []\n",
         "line 3, column 24: 'opt-outs-max-age-days': not from 1 to 3650"},
        {"version: 1\nname: n\nopt-outs-max-age-days: 3651\nrules: []\n",
         "line 3, column 24: 'opt-outs-max-age-days': not from 1 to 3650"},
        {"version: 1\nname: n\nwitnessed-within-seconds: 2678401\nrules: []\n",
         "line 3, column 27: 'witnessed-within-seconds': not from 1 to 2678400"},
        {"version: 1\nname: n\nopt-outs-max-age-days: [7]\nrules: []\n", "line 3, column 24: 'opt-outs-max-age-days'"},
        {"version: 1\nname: n\nname: m\nrules: []\n", "line 3, column 1: duplicate key 'name'"},
        {"version: 1\nname: n\nrules: {}\n", "line 3, column 8: 'rules': not a list"},
        {"version: 1\nname: n\nrules: [x]\n", "line 3, column 9: 'rules': not a map"},
        {"version: 1\nname: n\nrules:\n  - id: r\n", "line 4, column 5: member 'text' is missing"},
        {RULE "    efect: x\n", "line 9, column 12: unknown member 'efect'"},
        {RULE "    roles: reader\n", "line 9, column 12: 'roles': not a list"},
        {RULE "    roles: []\n", "line 9, column 12: 'roles': an empty list"},
        {RULE "    roles: [reader, admin]\n", "line 9, column 21: 'roles': unknown 'admin'"},
        {RULE "    roles: [reader, reader]\n", "line 9, column 21: 'roles': named twice"},
        {RULE "    roles: [[reader]]\n", "line 9, column 13: 'roles': not a text"},
        {RULE "    conditions: [opted-out]\n", "line 9, column 17: 'conditions': a permit may ask for"},
        {RULE "    conditions: [consent]\n", "line 9, column 18: 'conditions': unknown 'consent'"},
        {RULE "    dataset: /\n", "line 9, column 14: 'dataset': 1 to 128 characters"},
        {RULE "    dataset:\n", "line 9, column "},
        {RULE "    dataset: ''\n", "line 9, column 14: 'dataset': empty"},
        {RULE "    tag: a,b\n", "line 9, column 10: 'tag': 1 to 64 characters"},
        {RULE "    from: tomorrow\n", "line 9, column 11: 'from': not a date"},
        {RULE "    from: 1970-01-01\n", "line 9, column 11: 'from': not a date"},
        {RULE "    until: 2026-02-30\n", "line 9, column 12: 'until': not a date"},
        {RULE "    until: [2026-02-20]\n", "line 9, column 12: 'until': not a text"},
        {RULE "    from: 2026-02-20\n    until: 2026-02-20\n", "line 10, column 12: 'until': a day after 'from'"},
        {RULE "    obligation: o\n", "line 9, column 17: 'obligation': 1 to 64 characters"},
        {OBLIGE, "line 4, column 5: 'obligation': 1 to 64 characters"},
        {OBLIGE "    obligation: O\n", "line 9, column 17: 'obligation': 1 to 64 characters"},
        {"version: 1\nname: n\nrules:\n- {id: r, effect: allow, actions: [read], purposes: [treatment], text: t}\n",
         "line 4, column 19: 'effect': unknown 'allow'"},
        {"version: 1\nname: n\nrules:\n- {id: R, effect: permit, actions: [read], purposes: [treatment], text: t}\n",
         "line 4, column 8: 'id': 1 to 64 characters of [a-z0-9-]"},
        {"version: 1\nname: n\nrules:\n- {id: r, effect: permit, actions: [administer], purposes: [none], text: t}\n",
         "line 4, column 36: 'actions': not administer"},
        {"version: 1\nname: n\nrules:\n- {id: r, effect: permit, actions: [read], purposes: [marketing], text: t}\n",
         "line 4, column 55: 'purposes': unknown 'marketing'"},
        {RULE "  - {id: r, effect: permit, actions: [read], purposes: [treatment], text: t}\n",
         "line 9, column 10: 'id': 1 to 64 characters of [a-z0-9-], used once"},
        {"version: 1\nname: n\nrules: &a []\n", "line 3, column 8: anchors and tags are not allowed"},
    };
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        char problem[POLICY_PROBLEM] = "";
        policy.count = 99;
        assert_int_equal(policy_parse(refusals[i].text, strlen(refusals[i].text), &policy, problem), VAULT_E_FORMAT);
        begins(refusals[i].text, problem, refusals[i].problem);
        assert_int_equal(policy.count, 99);
    }
}

/* --- The policy that ships ----------------------------------------------------------------------------------- */

static int load_denmark(void **state) {
    (void)state;
    static char text[65536], problem[POLICY_PROBLEM];
    FILE *f = fopen(VAULT_SOURCE_DIR "/policies/denmark.yaml", "rb");
    if (f == NULL)
        return -1;
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    int result = policy_parse(text, n, &policy, problem);
    if (result != VAULT_OK)
        print_error("%s\n", problem);
    return result;
}

static void denmark_names_a_source_for_every_rule(void **state) {
    (void)state;
    assert_string_equal(policy.name, "denmark");
    assert_true(policy.count >= 7);
    for (size_t i = 0; i < policy.count; i++)
        assert_true(strlen(policy.rules[i].source) > 10);
}

static void denmark_fits_a_message(void **state) {
    (void)state;
    static uint8_t bytes[BLOCK_MAX];
    static struct policy back;
    size_t used;
    assert_int_equal(policy_encode(&policy, bytes, sizeof(bytes), &used), VAULT_OK);
    assert_int_equal(policy_decode(&back, bytes, used), VAULT_OK);
    assert_memory_equal(&policy, &back, sizeof(policy));
}

#define RESEARCH_PURPOSE "research;project=\"P1\";approval=\"A1\""

struct expected {
    enum action action;
    const char *purpose;  /* header text; NULL: none */
    const char *permits;  /* of the consent; NULL: no consent */
    const char *findings; /* of the consent */
    bool recontact, opted_out;
    const char *rule; /* of the permit, or the only reason against */
    const char *obligations;
};

static const struct expected expectations[] = {
    {ACTION_READ, "treatment", "{\"treatment\":true}", "all", true, false, "treatment", ""},
    {ACTION_LIST, "treatment", "{\"treatment\":true}", "none", false, false, "treatment", ""},
    {ACTION_METADATA, "treatment", "{\"treatment\":true}", "all", true, true, "treatment", ""},
    {ACTION_READ, "treatment", "{\"treatment\":true}", "actionable", true, false, "treatment",
     "actionable-findings-only"},
    {ACTION_READ, "treatment", "{\"treatment\":true}", "none", false, false, "treatment",
     "no-secondary-findings,do-not-recontact"},
    {ACTION_READ, "treatment", "{\"research\":[\"DUO:0000042\"]}", "all", true, false, "!consent-refuses-treatment",
     ""},
    {ACTION_READ, "treatment", NULL, NULL, false, false, "!consent-none", ""},
    {ACTION_READ, RESEARCH_PURPOSE, "{\"research\":[\"DUO:0000042\"]}", "all", true, false, "research", ""},
    {ACTION_READ, RESEARCH_PURPOSE, "{\"research\":[\"DUO:0000004\"]}", "all", false, false, "research",
     "do-not-recontact"},
    {ACTION_READ, RESEARCH_PURPOSE, "{\"treatment\":true}", "all", true, false, "!consent-refuses-research", ""},
    {ACTION_READ, RESEARCH_PURPOSE, "{\"research\":[\"DUO:0000042\",\"DUO:0000020\"]}", "all", true, false,
     "!consent-not-decidable", ""},
    {ACTION_READ, RESEARCH_PURPOSE, "{\"research\":[\"DUO:0000006\"]}", "all", true, false, "!consent-other-use", ""},
    {ACTION_READ, RESEARCH_PURPOSE ";uses=\"DUO:0000037\"", "{\"research\":[\"DUO:0000006\"]}", "all", true, false,
     "research", ""},
    {ACTION_READ, RESEARCH_PURPOSE ";disease=\"MONDO:1\"",
     "{\"research\":[\"DUO:0000007\"],\"diseases\":[\"MONDO:1\"]}", "all", true, false, "research", ""},
    {ACTION_READ, RESEARCH_PURPOSE ";disease=\"MONDO:2\"",
     "{\"research\":[\"DUO:0000007\"],\"diseases\":[\"MONDO:1\"]}", "all", true, false, "!consent-other-disease", ""},
    {ACTION_READ, "research;project=\"P1\"", "{\"research\":[\"DUO:0000042\"]}", "all", true, false,
     "!approval-missing", ""},
    {ACTION_READ, "research;approval=\"A1\"", "{\"research\":[\"DUO:0000042\"]}", "all", true, false,
     "!project-missing", ""},
    {ACTION_DEPOSIT, NULL, NULL, NULL, false, false, "deposit", ""},
};

static void ask(const struct expected *e, struct decision *ret) {
    struct purpose purpose = {0};
    struct consent consent;
    char json[512], problem[CONSENT_PROBLEM];
    if (e->purpose != NULL)
        assert_int_equal(purpose_parse(e->purpose, &purpose, problem), VAULT_OK);
    if (e->permits != NULL) {
        assert_true(format_string(json, sizeof(json), HEAD ",\"permits\":%s,\"findings\":\"%s\",\"recontact\":%s}",
                                  e->permits, e->findings, e->recontact ? "true" : "false"));
        assert_int_equal(consent_parse(json, strlen(json), "S-1", &consent, problem), VAULT_OK);
    }
    struct question q = {
        .time = 1800000000,
        .opt_outs_of = 1800000000,
        .action = e->action,
        .purpose = &purpose,
        .service = {.known = true,
                    .name = "x",
                    .roles = BIT(ROLE_READER) | BIT(ROLE_DEPOSITOR),
                    .purposes = BIT(PURPOSE_TREATMENT) | BIT(PURPOSE_RESEARCH)},
        .subject = {.known = true, .opted_out = e->opted_out, .consent = e->permits == NULL ? NULL : &consent},
        .file = {true, "", ""},
        .project = {true, true, true},
        .approval = {.known = true, .for_project = true, .for_dataset = true, .for_purpose = true},
        .policy = &policy};
    decide(&q, ret);
}

/* The obligations as the one list of the Obligations header. */
static void join_obligations(const struct decision *d, char *to, size_t size) {
    to[0] = '\0';
    for (size_t i = 0; i < d->obligation_count; i++) {
        size_t n = strlen(to);
        assert_true(format_string(to + n, size - n, "%s%s", i == 0 ? "" : ",", d->obligations[i]));
    }
}

static void denmark_decides_as_expected(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(expectations); i++) {
        const struct expected *e = &expectations[i];
        bool permitted = e->rule[0] != '!';
        struct decision d;
        char obligations[256];
        size_t against = 0, named = 0;
        ask(e, &d);
        for (size_t k = 0; k < d.reason_count; k++) {
            against += d.reasons[k].against;
            named += strcmp(d.reasons[k].rule, e->rule + !permitted) == 0;
        }
        join_obligations(&d, obligations, sizeof(obligations));
        if ((d.verdict == VERDICT_PERMIT) != permitted || named != 1 || against != !permitted)
            fail_msg("case %zu: %s", i, e->rule);
        assert_string_equal(obligations, e->obligations);
    }
}

static void denmark_lets_the_opt_out_win_twice(void **state) {
    (void)state;
    struct expected e = expectations[7];
    struct decision d;
    e.opted_out = true;
    ask(&e, &d);
    assert_int_equal(d.verdict, VERDICT_DENY);
    assert_string_equal(d.reasons[0].rule, "opted-out");
    bool named = false;
    for (size_t i = 0; i < d.reason_count; i++)
        named = named || (strcmp(d.reasons[i].rule, "research-opted-out") == 0 && d.reasons[i].against);
    assert_true(named);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purpose_parse_gives_the_canonical_purpose),
        cmocka_unit_test(purpose_parse_names_the_place_of_each_fault),
        cmocka_unit_test(purpose_parse_refuses_long_values_and_headers),
        cmocka_unit_test(consent_parse_takes_the_whole_document),
        cmocka_unit_test(consent_parse_takes_who_may_do_the_research),
        cmocka_unit_test(consent_parse_takes_what_is_left_out_as_refused),
        cmocka_unit_test(consent_parse_sorts_diseases),
        cmocka_unit_test(consent_parse_names_the_member_at_fault),
        cmocka_unit_test(consent_parse_takes_brackets_in_strings_for_text),
        cmocka_unit_test(consent_parse_keeps_its_limits),
        cmocka_unit_test(policy_parse_takes_every_member),
        cmocka_unit_test(policy_parse_names_the_line_at_fault),
        cmocka_unit_test_setup(denmark_names_a_source_for_every_rule, load_denmark),
        cmocka_unit_test_setup(denmark_fits_a_message, load_denmark),
        cmocka_unit_test_setup(denmark_decides_as_expected, load_denmark),
        cmocka_unit_test_setup(denmark_lets_the_opt_out_win_twice, load_denmark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
