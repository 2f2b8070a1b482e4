/* The table of diseases: which tables are read, what is wrong with the others and in which line, and what is answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "diseases_rig.h"
#include "vault/buffer.h"
#include "vault/documents.h"
#include "vault/result.h"

static void assert_refused(const char *text, const char *why) {
    assert_refused_n(text, strlen(text), VAULT_E_FORMAT, why);
}

static void term_has_letters_a_colon_and_digits(void **state) {
    (void)state;
    const char *good[] = {"A:1",       "MONDO:0005070",
                          "z:0",       "Orphanet:558",
                          "DOID:1612", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef:1234567890123456789012345678901"};
    const char bad[] =
        ":|A|A:|:1|1:1|A:A|A:1A|A1:1|A::1|A:1:1| A:1|A:1 |A_B:1|A:-1|A:+1|\xc3\x86:1|A:\xd9\xa1|@:1|[:1|`:1|{:1|A:/|"
        "A:;|ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg:1|A:12345678901234567890123456789012||";
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(disease_is_good(good[i], strlen(good[i])));
    for (const char *at = bad; *at != '\0'; at += strcspn(at, "|") + 1)
        assert_false(disease_is_good(at, strcspn(at, "|")));
    assert_false(disease_is_good("A:1", 4));
    assert_false(disease_is_good("A\0:1", 4));
    assert_true(disease_is_good("A:12", 3));
    assert_false(disease_is_good("A:1", 2));
}

static void disease_is_a_kind_of_all_above_it(void **state) {
    (void)state;
    struct diseases *d = table("M:3\tM:2\nM:2\tM:1\nM:1\tM:0\n");
    assert_int_equal(diseases_count(d), 4);
    for (char a = '0'; a <= '3'; a++)
        for (char b = '0'; b <= '3'; b++) {
            const char disease[] = {'M', ':', a, '\0'}, kind[] = {'M', ':', b, '\0'};
            assert_int_equal(is(d, disease, kind), a >= b);
        }
    diseases_free(&d);
    assert_null(d);
    assert_int_equal(bytes_held(), 0);
}

static void disease_with_several_parents_is_a_kind_of_each(void **state) {
    (void)state;
    /* Two ways from 1 to 4, one more from 1 to 5 and to 6, and a way that skips. */
    struct diseases *d = table("M:1\tM:2\nM:1\tM:3\nM:2\tM:4\nM:3\tM:4\nM:3\tM:5\nM:4\tM:6\nM:1\tM:6\n");
    const char *kinds_of_1[] = {"M:1", "M:2", "M:3", "M:4", "M:5", "M:6"};
    for (size_t i = 0; i < 6; i++)
        assert_true(is(d, "M:1", kinds_of_1[i]));
    assert_true(is(d, "M:2", "M:6"));
    assert_false(is(d, "M:2", "M:3"));
    assert_false(is(d, "M:2", "M:5"));
    assert_false(is(d, "M:6", "M:5"));
    diseases_free(&d);
}

static void equal_terms_are_kinds_of_each_other_without_a_table(void **state) {
    (void)state;
    struct diseases *d = table("M:1\tM:2\n");
    const struct diseases *tables[] = {NULL, d};
    for (size_t i = 0; i < 2; i++) {
        assert_true(is(tables[i], "X:77", "X:77"));
        assert_true(is(tables[i], "M:1", "M:1"));
        assert_false(is(tables[i], "X:77", "X:78"));
        assert_false(is(tables[i], "X:77", "M:2"));
        assert_false(is(tables[i], "M:1", "X:77"));
        assert_false(is(tables[i], "M:2", "M:1"));
    }
    assert_true(is(d, "M:1", "M:2"));
    assert_false(is(NULL, "M:1", "M:2"));
    diseases_free(&d);
}

static void terms_are_compared_whole_and_byte_by_byte(void **state) {
    (void)state;
    struct diseases *d = table("M:1\tM:20\nM:11\tM:21\n");
    assert_false(is(d, "M:1", "M:2"));
    assert_false(is(d, "M:1", "M:200"));
    assert_false(is(d, "M:1", "M:21"));
    assert_false(is(d, "M:11", "M:20"));
    assert_false(is(d, "m:1", "M:20"));
    assert_false(is(d, "M:01", "M:20"));
    assert_false(is(d, "M:1", ""));
    assert_false(is(d, "", "M:20"));
    assert_true(disease_is(d, "M:1", "M:20999", 4));
    assert_true(disease_is(NULL, "M:1", "M:1999", 3));
    assert_false(disease_is(d, "M:1", "M:20", 5));
    assert_false(disease_is(d, "M:1", "M:1\0", 4));
    assert_false(disease_is(d, "M:1", "M:20", 3));
    diseases_free(&d);
}

static void very_long_words_are_no_disease(void **state) {
    (void)state;
    struct diseases *d = table("M:1\tM:20\n");
    char word[5000];
    memset(word, 'M', sizeof(word));
    word[sizeof(word) - 1] = '\0';
    assert_false(is(d, word, "M:20"));
    assert_false(is(d, "M:1", word));
    assert_true(is(d, word, word));
    diseases_free(&d);
}

static void question_allocates_nothing(void **state) {
    (void)state;
    struct diseases *d = table("M:1\tM:20\n");
    refuse_after = 0;
    assert_true(disease_is(d, "M:1", "M:20", 4));
    assert_int_equal(refuse_after, 0);
    refuse_after = NEVER;
    diseases_free(&d);
}

static void nothing_is_harmless(void **state) {
    (void)state;
    struct diseases *d = NULL;
    diseases_free(NULL);
    diseases_free(&d);
    const char *empty[] = {"", "\n", "\n\n", "#\n", "# a\tb\tc\n\n"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        d = table(empty[i]);
        assert_int_equal(diseases_count(d), 0);
        assert_false(is(d, "M:1", "M:2"));
        assert_true(is(d, "M:1", "M:1"));
        diseases_free(&d);
    }
    assert_int_equal(diseases_read(&d, NULL, 0, problem), VAULT_OK);
    diseases_free(&d);
}

static void comments_and_empty_lines_are_passed_over_and_counted(void **state) {
    (void)state;
    struct diseases *d = table("# M:8\tM:9\n\n#\n#\xff\xfe\nM:1\tM:2\n\n#M:3\tM:4\nM:2\tM:3\n");
    assert_int_equal(diseases_count(d), 3);
    assert_true(is(d, "M:1", "M:3"));
    assert_false(is(d, "M:8", "M:9"));
    assert_false(is(d, "M:3", "M:4"));
    diseases_free(&d);
    assert_refused("# a\n\n\nM:1\n", "line 4: there is no tab");
    assert_refused(" # a\n", "line 1: there is no tab");
    assert_refused(" #\ta\n", "line 1: the first column is not a term like MONDO:0005070");
}

/* Cut off, M:31 is M:3, which is another one. */
static void last_line_without_lf_is_cut_off(void **state) {
    (void)state;
    assert_refused("M:1\tM:2\nM:2\tM:3", "line 2: it does not end: is the table cut off?");
    assert_refused("# a", "line 1: it does not end: is the table cut off?");
}

static void line_has_two_columns(void **state) {
    (void)state;
    assert_refused("M:1\n", "line 1: there is no tab");
    assert_refused("M:1 M:2\n", "line 1: there is no tab");
    assert_refused(" \n", "line 1: there is no tab");
    assert_refused("M:1\tM:2\nM:1\tM:2\tM:3\n", "line 2: there are more than two columns");
    assert_refused("M:1\tM:2\t\n", "line 1: there are more than two columns");
    assert_refused("M:1\t\tM:2\n", "line 1: there are more than two columns");
}

static void column_is_a_term(void **state) {
    (void)state;
    const char *first = "line 2: the first column is not a term like MONDO:0005070";
    const char *second = "line 2: the second column is not a term like MONDO:0005070";
    assert_refused("\n\tM:2\n", first);
    assert_refused("\nM\tM:2\n", first);
    assert_refused("\n M:1\tM:2\n", first);
    assert_refused("\n\t\n", first);
    assert_refused("\nM:1\t\n", second);
    assert_refused("\nM:1\tM:2 \n", second);
    assert_refused("\nM:1\tM:2#\n", second);
    assert_refused("\nM:1\tM:\n", second);
    assert_refused("\nM:1\tABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg:1\n", second);
    assert_refused("\nM:1\tA:12345678901234567890123456789012\n", second);
    assert_refused("\nM:1\t\xef\xbb\xbf"
                   "M:2\n",
                   second);
    assert_refused("\xef\xbb\xbfM:1\tM:2\n", "line 1: the first column is not a term like MONDO:0005070");
}

static void zero_bytes_and_carriage_returns_are_nowhere(void **state) {
    (void)state;
    const char zero[] = "M:1\tM:2\nM:2\tM:3\0\n", zero_in_comment[] = "# a\n# \0\n", zero_last[] = "M:1\tM:2\n\0\n";
    assert_refused_n(zero, sizeof(zero) - 1, VAULT_E_FORMAT, "line 2: there is a zero byte");
    assert_refused_n(zero_in_comment, sizeof(zero_in_comment) - 1, VAULT_E_FORMAT, "line 2: there is a zero byte");
    assert_refused_n(zero_last, sizeof(zero_last) - 1, VAULT_E_FORMAT, "line 2: there is a zero byte");
    assert_refused("# a\r\nM:1\tM:2\r\n", "line 1: there is a carriage return; lines end in LF");
    assert_refused("M:1\tM:2\nM:2\tM:3\r\n", "line 2: there is a carriage return; lines end in LF");
    assert_refused("M:1\tM:2\n\r\n", "line 2: there is a carriage return; lines end in LF");
    assert_refused("M:1\tM:2\rM:2\tM:3\r\n", "line 1: there is a carriage return; lines end in LF");
}

static void line_comes_once(void **state) {
    (void)state;
    assert_refused("M:1\tM:2\n#\nM:1\tM:2\n", "line 3: the same as line 1");
    assert_refused("M:5\tM:6\nM:1\tM:2\nM:3\tM:4\nM:1\tM:2\nM:5\tM:6\n", "line 4: the same as line 2");
    assert_refused("M:5\tM:6\nM:1\tM:2\nM:3\tM:4\nM:5\tM:6\nM:1\tM:2\n", "line 4: the same as line 1");
    assert_refused("M:1\tM:2\nM:1\tM:2\nM:1\tM:2\n", "line 2: the same as line 1");
    assert_refused("M:1\tM:2\n\nM:1\tM:2\n", "line 3: the same as line 1");
    struct diseases *d = table("M:1\tM:2\nM:1\tM:20\nM:11\tM:2\nM:01\tM:2\n");
    diseases_free(&d);
}

static void disease_is_not_a_kind_of_itself(void **state) {
    (void)state;
    assert_refused("M:8\tM:9\n\n\n\n\n\n\n\nMONDO:1\tMONDO:1\n", "line 9: 'MONDO:1' is a kind of itself");
    assert_refused("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef:1234567890123456789012345678901\t"
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef:1234567890123456789012345678901\n",
                   "line 1: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef:1234567890123456789012345678901' is a kind of itself");
}

/* The named line is one of `first` to `last`, and what it names is that line's disease. */
static void assert_cycle(const char *text, unsigned first, unsigned last) {
    struct diseases *d = NULL;
    char expected[DISEASES_PROBLEM];
    unsigned line = 0, number = 0;
    assert_int_equal(read_exactly(&d, text, strlen(text)), VAULT_E_FORMAT);
    assert_int_equal(sscanf(problem, "line %u: 'M:%u", &line, &number), 2);
    assert_in_range(line, first, last);
    for (unsigned i = 1; i < line; i++)
        text = strchr(text, '\n') + 1;
    format_string(expected, sizeof(expected), "line %u: '%.*s' is a kind of itself", line, (int)strcspn(text, "\t"),
                  text);
    assert_string_equal(problem, expected);
    assert_int_equal(bytes_held(), 0);
}

static void cycle_is_named_by_one_of_its_lines(void **state) {
    (void)state;
    assert_cycle("M:1\tM:2\nM:2\tM:1\n", 1, 2);
    assert_cycle("M:1\tM:2\nM:2\tM:3\nM:3\tM:1\n", 1, 3);
    /* with ways into it, and out of it */
    assert_cycle("M:1\tM:2\nM:2\tM:3\nM:5\tM:6\nM:6\tM:7\nM:7\tM:5\nM:3\tM:6\nM:7\tM:8\nM:5\tM:9\n", 3, 5);
    assert_cycle("M:90\tM:50\nM:50\tM:10\nM:10\tM:40\nM:40\tM:10\nM:40\tM:0\n", 3, 4);
    /* a diamond beside it is none */
    assert_cycle("M:1\tM:2\nM:1\tM:3\nM:2\tM:4\nM:3\tM:4\nM:4\tM:8\nM:8\tM:9\nM:9\tM:4\n", 5, 7);
}

static void refused_memory_leaves_nothing_behind(void **state) {
    (void)state;
    static const char text[] = "M:1\tM:2\nM:2\tM:3\n";
    struct diseases *mark = (struct diseases *)&problem, *d = mark;
    int result = VAULT_E_MEMORY;
    int given = 0;
    for (; result != VAULT_OK && given < 40; given++) {
        refuse_after = given;
        result = diseases_read(&d, text, sizeof(text) - 1, problem);
        refuse_after = NEVER;
        if (result == VAULT_OK)
            break;
        assert_int_equal(result, VAULT_E_MEMORY);
        assert_ptr_equal(d, mark);
        assert_int_equal(bytes_held(), 0);
    }
    assert_int_equal(result, VAULT_OK);
    assert_true(given > 3);
    diseases_free(&d);
    assert_int_equal(bytes_held(), 0);
}
static void example_is_read(void **state) {
    (void)state;
    static char text[4096];
    FILE *f = fopen(VAULT_SOURCE_DIR "/policies/examples/diseases.tsv", "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    struct diseases *d = table_of(text, n);
    assert_int_equal(diseases_count(d), 20);
    assert_true(is(d, "MONDO:9000022", "MONDO:9000012"));
    assert_true(is(d, "MONDO:9000051", "MONDO:9000010"));
    assert_true(is(d, "MONDO:9000051", "MONDO:9000050"));
    assert_false(is(d, "MONDO:9000012", "MONDO:9000020"));
    assert_false(is(d, "MONDO:9000022", "MONDO:9000002"));
    diseases_free(&d);
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(term_has_letters_a_colon_and_digits),
        cmocka_unit_test(disease_is_a_kind_of_all_above_it),
        cmocka_unit_test(disease_with_several_parents_is_a_kind_of_each),
        cmocka_unit_test(equal_terms_are_kinds_of_each_other_without_a_table),
        cmocka_unit_test(terms_are_compared_whole_and_byte_by_byte),
        cmocka_unit_test(very_long_words_are_no_disease),
        cmocka_unit_test(question_allocates_nothing),
        cmocka_unit_test(nothing_is_harmless),
        cmocka_unit_test(comments_and_empty_lines_are_passed_over_and_counted),
        cmocka_unit_test(last_line_without_lf_is_cut_off),
        cmocka_unit_test(line_has_two_columns),
        cmocka_unit_test(column_is_a_term),
        cmocka_unit_test(zero_bytes_and_carriage_returns_are_nowhere),
        cmocka_unit_test(line_comes_once),
        cmocka_unit_test(disease_is_not_a_kind_of_itself),
        cmocka_unit_test(cycle_is_named_by_one_of_its_lines),
        cmocka_unit_test(refused_memory_leaves_nothing_behind),
        cmocka_unit_test(example_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
