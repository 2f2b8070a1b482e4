/* Text and data in a page: nothing that is printed into it is markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultctl/audit/markup.h"

static char folder[] = "/tmp/test-html.XXXXXX", path[64];
static struct html h;
static struct output out;

static int begin(void **state) {
    (void)state;
    assert_int_equal(output_open(&out, path), VAULT_OK);
    html_begin(&h, &out);
    return 0;
}

/* What was written since; to be freed. */
static char *written(size_t *ret_size) {
    char *text = NULL;
    assert_true(html_end(&h));
    assert_int_equal(output_keep(&out), VAULT_OK);
    output_close(&out);
    assert_int_equal(file_read(path, 1 << 20, &text, ret_size), VAULT_OK);
    return text;
}

static void expect(const char *expected) {
    size_t size;
    char *text = written(&size);
    assert_string_equal(text, expected);
    free(text);
}

static void text_is_escaped_for_content_and_attributes(void **state) {
    (void)state;
    html_print(&h, "<p title=\"%s\">%s</p>", "\"><svg onload='x'>", "</p>&amp;<!--");
    expect("<p title=\"&quot;&gt;&lt;svg onload=&#39;x&#39;&gt;\">&lt;/p&gt;&amp;amp;&lt;!--</p>");
}

static void numbers_have_commas_where_asked(void **state) {
    (void)state;
    html_print(&h, "%llu %'llu %'llu %'llu %'llu", 1234567ULL, 1234567ULL, 0ULL, 999ULL, 1000ULL);
    expect("1234567 1,234,567 0 999 1,000");
}

static void data_cannot_end_its_element(void **state) {
    (void)state;
    json_t *data = json_pack("[s, s, i]", "</script><!--&", "a\xe2\x80\xa8\xe2\x80\xa9\xe2\x82\xac", 7);
    html_json(&h, data);
    json_decref(data);
    expect("[\"\\u003c/script\\u003e\\u003c!--\\u0026\",\"a\\u2028\\u2029\xe2\x82\xac\",7]");
}

static void escaped_data_says_the_same(void **state) {
    (void)state;
    size_t size;
    json_t *data = json_pack("{s:s}", "<&>", "\\u003c <>&\xe2\x80\xa8 \"\\");
    html_json(&h, data);
    char *text = written(&size);
    json_t *again = json_loads(text, 0, NULL);
    assert_true(json_equal(data, again));
    json_decref(again);
    json_decref(data);
    free(text);
}

static void what_cannot_be_seen_is_shown(void **state) {
    (void)state;
    static const char *const texts[][2] = {{"a\xe2\x80\xae\x62", "a[U+202E]b"},
                                           {"\x07\x7f", "[U+0007][U+007F]"},
                                           {"\xc2\x85", "[U+0085]"},
                                           {"\xef\xbb\xbf", "[U+FEFF]"},
                                           {"\xf3\xa0\x81\x81", "[U+E0041]"},
                                           {"\xc3\xa6\xe2\x82\xac", "\xc3\xa6\xe2\x82\xac"},
                                           {"\xf0\x9f\xa7\xac", "\xf0\x9f\xa7\xac"},
                                           {"", ""}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *seen = visible_text(texts[i][0]);
        assert_string_equal(seen, texts[i][1]);
        free(seen);
    }
    html_print(&h, "%s", texts[0][0]);
    expect("a[U+202E]b");
}

/* jansson gives none; should one come, nothing beyond the end is read. */
static void a_character_that_is_cut_is_no_danger(void **state) {
    (void)state;
    char *cut = malloc(3);
    copy_bytes(cut, 3, "\xe2\x80", 3);
    html_print(&h, "%s", cut);
    free(cut);
    expect("\xe2[U+0080]");
}

static void long_texts_are_written_whole(void **state) {
    (void)state;
    size_t size;
    enum { LONG = 3 * HTML_ROOM };
    char *text = malloc(LONG + 1);
    memset(text, '<', LONG);
    text[LONG] = '\0';
    html_print(&h, "[%s]", text);
    free(text);
    text = written(&size);
    assert_int_equal(size, LONG * strlen("&lt;") + 2);
    free(text);
}

static void what_cannot_be_written_is_told(void **state) {
    (void)state;
    close(out.fd);
    out.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(out.fd >= 0);
    html_print(&h, "%s", "text");
    assert_false(html_end(&h));
    output_close(&out);
}

static int make_folder(void **state) {
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_true(format_string(path, sizeof(path), "%s/page", folder));
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_is_escaped_for_content_and_attributes, begin),
        cmocka_unit_test_setup(numbers_have_commas_where_asked, begin),
        cmocka_unit_test_setup(data_cannot_end_its_element, begin),
        cmocka_unit_test_setup(escaped_data_says_the_same, begin),
        cmocka_unit_test_setup(what_cannot_be_seen_is_shown, begin),
        cmocka_unit_test_setup(a_character_that_is_cut_is_no_danger, begin),
        cmocka_unit_test_setup(long_texts_are_written_whole, begin),
        cmocka_unit_test_setup(what_cannot_be_written_is_told, begin),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
