#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/json_out.h"
#include "vault/record.h"
#include "vault/result.h"

#define VECTORS VAULT_SOURCE_DIR "/tests/vectors/audit/"
#define REPEAT32(x) x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x

static struct record full_record(void) {
    struct record r = {
        .seq = (UINT64_C(1) << 53) - 1,
        .time = UINT64_C(1795000000000007),
        .event = "read",
        .outcome = "denied",
        .service = "clinic",
        .san = "urn:vault:service:clinic",
        .fingerprint = REPEAT32("cd"),
        .address = "192.0.2.7",
        .subject = "S-Ærø/\"1\"\\",
        .file = "abababababababababababababababab",
        .action = 'R',
        .purpose = "research;project=\"P1\";approval=\"A1\"",
        .reason_count = 2,
        .reasons = {{"consent", "research was refused"}, {"policy-7", "𝄞 €"}},
        .obligations = "no-findings,log",
        .policy = REPEAT32("ef"),
        .consent = 4,
        .has_bytes = true,
        .bytes = 0,
        .ranges = 2,
        .request = "01010101010101010101010101010101",
        .detail = "first, second",
        .subject_chain = {.present = true, .n = 3},
        .service_chain = {.present = true, .n = 0},
    };
    memset(r.subject_chain.prev, 0x11, MERKLE_HASH);
    memset(r.salt, 0x22, RECORD_SALT);
    return r;
}

static void full_record_is_the_line_of_the_vectors(void **state) {
    (void)state;
    char line[RECORD_LINE_MAX], expected[RECORD_LINE_MAX];
    size_t n = 0;
    struct record r = full_record();
    FILE *f = fopen(VECTORS "record.jsonl", "rb");
    assert_non_null(f);
    assert_non_null(fgets(expected, sizeof(expected), f));
    fclose(f);
    expected[strlen(expected) - 1] = '\0';
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
    assert_string_equal(line, expected);
    assert_int_equal(n, strlen(line));
}

static void write_two(struct json_out *o, const void *of) {
    const uint64_t *numbers = of;
    out_number(o, "a", numbers[0]);
    out_number(o, "b", numbers[1]);
}

/* The vectors have not all of them; what is sorted stays as it is when it is sorted again. */
static void members_are_sorted(void **state) {
    (void)state;
    char line[RECORD_LINE_MAX];
    size_t n = 0;
    struct record r = full_record();
    const struct key_change change = {.from = "test/vault+00000000+AQ", .to = "test/vault+00000001+AQ", .size = r.seq};
    r.audit_key = &change;
    r.project = "P1";
    r.project_chain.present = true;
    const uint64_t numbers[] = {1, 2};
    r.asked = r.exported = (struct record_object){write_two, numbers};
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
    json_t *again = json_loadb(line, n, 0, NULL);
    assert_int_equal(json_object_size(again), 24);
    char *sorted = json_dumps(again, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(line, sorted);
    free(sorted);
    json_decref(again);
}

static void what_is_empty_is_left_out(void **state) {
    (void)state;
    char line[RECORD_LINE_MAX];
    size_t n;
    const struct record r = {.event = "init", .outcome = "done", .subject = "", .obligations = ""};
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
    assert_string_equal(line, "{\"event\":\"init\",\"outcome\":\"done\",\"salt\":\"00000000000000000000000000000000\","
                              "\"seq\":0,\"time\":\"1970-01-01T00:00:00.000000Z\"}");
}

static void times_are_those_of_the_vectors(void **state) {
    (void)state;
    FILE *f = fopen(VECTORS "times.txt", "rb");
    assert_non_null(f);
    uint64_t time;
    char text[64], expected[96], line[RECORD_LINE_MAX];
    size_t count = 0, n;
    for (; fscanf(f, "%" SCNu64 " %63s", &time, text) == 2; count++) {
        const struct record r = {.event = "e", .time = time};
        assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
        assert_true(format_string(expected, sizeof(expected), "\"time\":\"%s\"", text));
        assert_non_null(strstr(line, expected));
    }
    fclose(f);
    assert_true(count > 600);
    const struct record late = {.event = "e", .time = UINT64_C(253402300800000000)};
    assert_int_equal(record_line(&late, line, sizeof(line), &n), VAULT_E_LIMIT);
}

/* Each text of the record in turn. */
static void bad_text_is_refused_in_every_field(void **state) {
    (void)state;
    static const char *const bad[] = {"a\nb", "a\x1f", "\x7f", "\xff", "\xc0\x80", "\xed\xa0\x80"};
    struct record r = full_record();
    const char **const fields[] = {
        &r.event,   &r.outcome, &r.service, &r.san,    &r.fingerprint, &r.address,         &r.subject,        &r.file,
        &r.purpose, &r.policy,  &r.request, &r.detail, &r.obligations, &r.reasons[0].rule, &r.reasons[1].text};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            char line[RECORD_LINE_MAX];
            size_t n = 77;
            const char *kept = *fields[i];
            *fields[i] = bad[k];
            assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_E_FORMAT);
            assert_int_equal(n, 77);
            *fields[i] = kept;
        }
    }
    r.action = '\n';
    char line[RECORD_LINE_MAX];
    size_t n;
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_E_FORMAT);
}

static void empty_obligation_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {",", "a,,b", ",a", "a,"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct record r = {.event = "e", .obligations = bad[i]};
        char line[RECORD_LINE_MAX];
        size_t n;
        assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_E_FORMAT);
    }
}

static void numbers_that_json_does_not_hold_are_refused(void **state) {
    (void)state;
    struct record r = full_record();
    uint64_t *const fields[] = {&r.seq, &r.consent, &r.bytes, &r.ranges, &r.subject_chain.n, &r.service_chain.n};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char line[RECORD_LINE_MAX];
        size_t n;
        uint64_t kept = *fields[i];
        *fields[i] = UINT64_C(1) << 53;
        assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_E_LIMIT);
        *fields[i] = kept;
    }
}

static void line_that_does_not_fit_is_refused(void **state) {
    (void)state;
    char line[RECORD_LINE_MAX];
    size_t n = 0, again;
    struct record r = full_record();
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
    assert_int_equal(record_line(&r, line, n, &again), VAULT_E_LIMIT);
    assert_int_equal(record_line(&r, line, n + 1, &again), VAULT_OK);
    r.reason_count = RECORD_REASONS + 1;
    assert_int_equal(record_line(&r, line, sizeof(line), &again), VAULT_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_record_is_the_line_of_the_vectors),
        cmocka_unit_test(members_are_sorted),
        cmocka_unit_test(what_is_empty_is_left_out),
        cmocka_unit_test(times_are_those_of_the_vectors),
        cmocka_unit_test(bad_text_is_refused_in_every_field),
        cmocka_unit_test(empty_obligation_is_refused),
        cmocka_unit_test(numbers_that_json_does_not_hold_are_refused),
        cmocka_unit_test(line_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
