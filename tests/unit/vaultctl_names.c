/* FILE, ranges, verifier keys, digests and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "vaultctl/files.h"
#include "vaultctl/names.h"

static void expect_path(const char *file, const char *path) {
    struct file_name f;
    assert_true(file_name_parse(file, &f));
    char *text = file_path(&f);
    assert_string_equal(text, path);
    free(text);
}

static void file_is_an_id_or_subject_and_name(void **state) {
    struct file_name f;
    (void)state;
    expect_path("00112233445566778899aabbccddeeff", "/v1/files/00112233445566778899aabbccddeeff");
    expect_path("S-1/a b.cram", "/v1/subjects/S-1/files/a%20b.cram");
    expect_path("00112233445566778899aabbccddeeff/x", "/v1/subjects/00112233445566778899aabbccddeeff/files/x");
    expect_path("S:1/\xc3\xa6?#%", "/v1/subjects/S%3a1/files/%c3%a6%3f%23%25");
    assert_true(file_name_parse("S/f", &f) && !f.by_id);
    static const char *const bad[] = {"",     "S",      "S/",    "/f", "/", "S/a/b", "00112233445566778899aabbccddeef",
                                      "S/\n", "\x01/f", "S/\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(file_name_parse(bad[i], &f));
}

static void file_refuses_long_parts(void **state) {
    struct file_name f;
    char text[300];
    (void)state;
    memset(text, 'a', sizeof(text));
    text[128] = '/';
    text[257] = '\0';
    assert_true(file_name_parse(text, &f));
    text[257] = 'a';
    text[258] = '\0';
    assert_false(file_name_parse(text, &f));
    text[128] = 'a';
    text[129] = '/';
    text[140] = '\0';
    assert_false(file_name_parse(text, &f));
}

static void range_is_two_numbers_in_order(void **state) {
    uint64_t first = 9;
    uint64_t last = 9;
    (void)state;
    assert_true(range_parse("0-0", &first, &last));
    assert_true(first == 0 && last == 0);
    assert_true(range_parse("5-9223372036854775807", &first, &last));
    assert_true(first == 5 && last == INT64_MAX);
    static const char *const bad[] = {"",
                                      "-",
                                      "1",
                                      "1-",
                                      "-1",
                                      "2-1",
                                      "1-9223372036854775808",
                                      "a-b",
                                      "1-2-3",
                                      " 1-2",
                                      "1-2 ",
                                      "+1-2",
                                      "00000000000000000000000001-2",
                                      "0x1-2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(range_parse(bad[i], &first, &last));
    assert_true(first == 5);
}

static void number_stops_at_its_maximum(void **state) {
    uint64_t n = 0;
    (void)state;
    assert_true(number_parse("7", 7, &n) && n == 7);
    assert_false(number_parse("8", 7, &n));
    assert_false(number_parse("18446744073709551616", UINT64_MAX, &n));
    assert_true(number_parse("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
}

static void query_is_encoded(void **state) {
    char *path = format_text("/v1/files");
    (void)state;
    add_query(&path, "subject", NULL);
    add_query(&path, "purpose", "research;project=\"P&1\"");
    add_query(&path, "dataset", "D");
    assert_string_equal(path, "/v1/files?purpose=research%3bproject%3d%22P%261%22&dataset=D");
    free(path);
}

static void digest_is_found_among_others(void **state) {
    uint8_t hash[SHA256_BYTES] = {1};
    char text[DIGEST_TEXT];
    bool equal = false;
    (void)state;
    digest_text(hash, text);
    assert_true(digest_in_header(text, hash, &equal) && equal);
    char *both = format_text("sha-512=:AAAA:, %s", text);
    equal = false;
    assert_true(digest_in_header(both, hash, &equal) && equal);
    hash[0] = 2;
    assert_true(digest_in_header(both, hash, &equal) && !equal);
    free(both);
    assert_false(digest_in_header("sha-512=:AAAA:", hash, &equal));
    assert_false(digest_in_header("", hash, &equal));
}

/* The example of the C2SP signed-note specification's Ed25519 kind: name, key id, 0x01 and key. */
static void verifier_key_binds_name_and_key(void **state) {
    static const char good[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    char text[128];
    (void)state;
    assert_true(verifier_key_is_good(good));
    snprintf(text, sizeof(text), "%s", good);
    text[0] = 'Q';
    assert_false(verifier_key_is_good(text));
    snprintf(text, sizeof(text), "%s", good);
    text[30] = 'A';
    assert_false(verifier_key_is_good(text));
    static const char *const bad[] = {"",
                                      "+",
                                      "name",
                                      "name+c74f20a3",
                                      "name+c74f20a3+",
                                      "name+c74f20a3+AR",
                                      "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(verifier_key_is_good(bad[i]));
}

static void size_reads_well(void **state) {
    char text[24];
    (void)state;
    size_text(999, text);
    assert_string_equal(text, "999 B");
    size_text(12345678, text);
    assert_string_equal(text, "12.3 MB");
    size_text(999999999, text);
    assert_string_equal(text, "1.0 GB");
    size_text(UINT64_MAX, text);
    assert_string_equal(text, "18.4 EB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_an_id_or_subject_and_name),
        cmocka_unit_test(file_refuses_long_parts),
        cmocka_unit_test(range_is_two_numbers_in_order),
        cmocka_unit_test(number_stops_at_its_maximum),
        cmocka_unit_test(query_is_encoded),
        cmocka_unit_test(digest_is_found_among_others),
        cmocka_unit_test(verifier_key_binds_name_and_key),
        cmocka_unit_test(size_reads_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
