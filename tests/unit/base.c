#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vault/fields.h"
#include "vault/log.h"
#include "vault/result.h"

#define FIELDS_sample(F, R)                                                                                            \
    F(R, U8, small, 0)                                                                                                 \
    F(R, U32, medium, 0)                                                                                               \
    F(R, U64, large, 0)                                                                                                \
    F(R, FIXED, fixed, 5)                                                                                              \
    F(R, STR, text, 8)                                                                                                 \
    F(R, BYTES, bytes, 6)                                                                                              \
    F(R, KEY, key, 32)
DECLARE_RECORD(sample);
DEFINE_LAYOUT(sample);

#define FIELDS_keyless(F, R) F(R, U8, small, 0) F(R, STR, text, 8)
DECLARE_RECORD(keyless);
DEFINE_LAYOUT(keyless);

enum { SAMPLE_MAX = 1 + 4 + 8 + 5 + 2 + 8 + 4 + 6 + 32 };

/* ---- Cursors. ---- */

static void reader_gives_little_endian_numbers(void **state) {
    (void)state;
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct reader r = reader_of(bytes, sizeof(bytes));
    assert_int_equal(read_u8(&r), 1);
    assert_int_equal(read_u16(&r), 0x0302);
    assert_int_equal(read_u32(&r), 0x07060504);
    assert_int_equal(read_u64(&r), 0x0f0e0d0c0b0a0908);
    assert_true(read_done(&r));
}

static void reader_past_the_end_stays_bad_and_gives_zeros(void **state) {
    (void)state;
    const uint8_t bytes[] = {1, 2, 3};
    uint8_t to[4] = {9, 9, 9, 9};
    struct reader r = reader_of(bytes, sizeof(bytes));
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(read_u8(&r), 0);
    assert_null(read_view(&r, 1));
    read_bytes(&r, to, sizeof(to));
    assert_memory_equal(to, "\0\0\0\0", 4);
    assert_false(read_done(&r));
}

static void reader_refuses_sizes_that_would_wrap(void **state) {
    (void)state;
    const uint8_t bytes[] = {1, 2, 3};
    struct reader r = reader_of(bytes, sizeof(bytes));
    assert_int_equal(read_u8(&r), 1);
    assert_null(read_view(&r, SIZE_MAX));
    assert_true(r.bad);
}

static void reader_of_nothing_is_done(void **state) {
    (void)state;
    struct reader r = reader_of(NULL, 0);
    assert_true(read_done(&r));
    read_bytes(&r, NULL, 0);
    assert_true(read_done(&r));
    assert_int_equal(read_u8(&r), 0);
    assert_false(read_done(&r));
}

static void reader_with_bytes_left_is_not_done(void **state) {
    (void)state;
    struct reader r = reader_of("ab", 2);
    assert_memory_equal(read_view(&r, 1), "a", 1);
    assert_false(read_done(&r));
}

static void writer_past_its_size_stays_bad_and_writes_nothing_more(void **state) {
    (void)state;
    uint8_t bytes[4] = {0};
    struct writer w = writer_of(bytes, 3);
    write_u16(&w, 0x0201);
    write_u16(&w, 0x0403);
    assert_true(w.bad);
    write_u8(&w, 9);
    assert_int_equal(w.used, 2);
    assert_memory_equal(bytes, "\1\2\0\0", 4);
    w = writer_of(bytes, 3);
    write_u8(&w, 5);
    write_bytes(&w, bytes, SIZE_MAX);
    assert_true(w.bad);
}

static void writer_mirrors_reader(void **state) {
    (void)state;
    uint8_t bytes[15];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_u8(&w, 0xff);
    write_u16(&w, 0x1234);
    write_u32(&w, 0x89abcdef);
    write_u64(&w, UINT64_MAX - 1);
    assert_false(w.bad);
    assert_int_equal(w.used, sizeof(bytes));
    struct reader r = reader_of(bytes, sizeof(bytes));
    assert_int_equal(read_u8(&r), 0xff);
    assert_int_equal(read_u16(&r), 0x1234);
    assert_int_equal(read_u32(&r), 0x89abcdef);
    assert_int_equal(read_u64(&r), UINT64_MAX - 1);
}

static void big_endian_numbers_sort_as_bytes(void **state) {
    (void)state;
    uint8_t a[8], b[8];
    put_be64(a, 0x01ff);
    put_be64(b, 0x0200);
    assert_true(memcmp(a, b, 8) < 0);
    assert_int_equal(get_be64(a), 0x01ff);
    put_be32(a, 0xfedcba98);
    assert_memory_equal(a, "\xfe\xdc\xba\x98", 4);
    assert_int_equal(get_be32(a), 0xfedcba98);
}

/* True if the call ends the process by SIGABRT. */
static bool aborts(void (*call)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        call();
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void copy_too_much(void) {
    uint8_t to[4];
    copy_bytes(to, sizeof(to), "12345", 5);
}

static void copy_long_string(void) {
    char to[4];
    copy_string(to, sizeof(to), "1234");
}

static void encode_too_much(void) {
    char to[4];
    hex_encode(to, sizeof(to), "12", 2);
}

static void copies_that_do_not_fit_abort(void **state) {
    (void)state;
    char to[5];
    assert_true(aborts(copy_too_much));
    assert_true(aborts(copy_long_string));
    assert_true(aborts(encode_too_much));
    copy_string(to, sizeof(to), "1234");
    assert_string_equal(to, "1234");
    copy_bytes(to, 0, NULL, 0);
}

static void formatted_text_is_cut_and_terminated(void **state) {
    (void)state;
    char to[6];
    assert_true(format_string(to, sizeof(to), "%s-%d", "ab", 12));
    assert_string_equal(to, "ab-12");
    assert_false(format_string(to, sizeof(to), "%s-%d", "ab", 123));
    assert_string_equal(to, "ab-12");
}

static void hex_is_exact_and_lower_case(void **state) {
    (void)state;
    char text[7];
    uint8_t bytes[3] = {0};
    hex_encode(text, sizeof(text), "\x00\xab\xff", 3);
    assert_string_equal(text, "00abff");
    assert_true(hex_decode(bytes, 3, "00abff"));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    const char *bad[] = {"", "00abf", "00abff0", "00ABFF", "00abfg", "0x00ab", " 0abff", "00ab\nf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(hex_decode(bytes, 3, bad[i]));
    assert_true(hex_decode(bytes, 0, ""));
}

/* ---- Text. ---- */

static void clean_text_is_utf8_without_control_characters(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        bool clean;
    } cases[] = {
        {"", 0, true},
        {"S-0001 ~", 8, true},
        {"\xc3\xa6\xc3\xb8\xc3\xa5", 6, true},
        {"\xf0\x9f\xa7\xac", 4, true},
        {"\xef\xbf\xbf", 3, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"a\0b", 3, false},
        {"a\nb", 3, false},
        {"\x1f", 1, false},
        {"\x7f", 1, false},
        {"\x80", 1, false},             /* continuation without a start */
        {"\xc3", 1, false},             /* cut short */
        {"\xc3\x28", 2, false},         /* no continuation */
        {"\xc0\xaf", 2, false},         /* overlong '/' */
        {"\xc1\xbf", 2, false},         /* overlong */
        {"\xe0\x80\xaf", 3, false},     /* overlong */
        {"\xe0\x9f\xbf", 3, false},     /* overlong */
        {"\xf0\x80\x80\x80", 4, false}, /* overlong NUL */
        {"\xf0\x8f\xbf\xbf", 4, false}, /* overlong */
        {"\xed\xa0\x80", 3, false},     /* surrogate */
        {"\xed\xbf\xbf", 3, false},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, false}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 4, false},
        {"\xf8\x88\x80\x80\x80", 5, false},
        {"\xff", 1, false},
        {"\xf0\x9f\xa7", 3, false}, /* cut short */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(text_is_clean(cases[i].text, cases[i].n), cases[i].clean);
}

/* ---- Records. ---- */

static struct sample sample_of(const char *text) {
    struct sample s = {.small = 1, .medium = 2, .large = 3, .fixed = "fixe", .bytes_size = 3, .bytes = {7, 8, 9}};
    copy_string(s.text, sizeof(s.text), text);
    assert_int_equal(secret_random(&s.key, SECRET_KEY_SIZE), VAULT_OK);
    return s;
}

static size_t encode_sample(const struct sample *s, uint8_t to[SAMPLE_MAX]) {
    struct writer w = writer_of(to, SAMPLE_MAX);
    layout_encode(&layout_sample, s, &w);
    assert_false(w.bad);
    return w.used;
}

static bool all_zero(const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* As memory that others used; no content of the samples. */
enum { USED = 0xa5 };

static struct sample used_memory(void) {
    struct sample s;
    for (size_t i = 0; i < sizeof(s); i++)
        ((uint8_t *)&s)[i] = USED;
    return s;
}

/* Zeros, but for the room of its bytes, where nothing was left that was not there before. */
static bool holds_nothing(const struct sample *s) {
    const uint8_t *p = (const uint8_t *)s;
    for (size_t i = 0; i < sizeof(*s); i++) {
        bool room = p + i >= s->bytes && p + i < s->bytes + sizeof(s->bytes);
        if (p[i] != 0 && !(room && p[i] == USED))
            return false;
    }
    return true;
}

static void record_survives_its_encoding(void **state) {
    (void)state;
    uint8_t bytes[SAMPLE_MAX];
    struct sample s = sample_of("text"), back = used_memory();
    size_t n = encode_sample(&s, bytes);
    struct reader r = reader_of(bytes, n);
    assert_int_equal(layout_decode(&layout_sample, &r, &back), VAULT_OK);
    assert_int_equal(back.small, 1);
    assert_int_equal(back.medium, 2);
    assert_int_equal(back.large, 3);
    assert_memory_equal(back.fixed, "fixe", 5);
    assert_string_equal(back.text, "text");
    assert_int_equal(back.bytes_size, 3);
    assert_memory_equal(back.bytes, s.bytes, 3);
    assert_true(secret_equal(back.key, s.key));
    layout_clear(&layout_sample, &back);
    assert_true(holds_nothing(&back));
    layout_clear(&layout_sample, &s);
}

static void record_cut_anywhere_is_refused_and_owns_nothing(void **state) {
    (void)state;
    uint8_t bytes[SAMPLE_MAX];
    struct sample s = sample_of("text"), back = used_memory();
    size_t n = encode_sample(&s, bytes);
    for (size_t i = 0; i < n; i++) {
        struct reader r = reader_of(bytes, i);
        assert_int_equal(layout_decode(&layout_sample, &r, &back), VAULT_E_FORMAT);
        assert_true(holds_nothing(&back));
    }
    layout_clear(&layout_sample, &s);
}

static void record_with_trailing_bytes_is_refused_and_owns_nothing(void **state) {
    (void)state;
    uint8_t bytes[SAMPLE_MAX + 1] = {0};
    struct sample s = sample_of("text"), back = used_memory();
    size_t n = encode_sample(&s, bytes);
    struct reader r = reader_of(bytes, n + 1);
    assert_int_equal(layout_decode(&layout_sample, &r, &back), VAULT_E_FORMAT);
    assert_true(holds_nothing(&back));
    r = reader_of(bytes, n + 1);
    assert_int_equal(layout_decode_next(&layout_sample, &r, &back), VAULT_OK);
    assert_int_equal(r.left, 1);
    layout_clear(&layout_sample, &back);
    layout_clear(&layout_sample, &s);
}

static int decode_keyless(const void *bytes, size_t n, struct keyless *ret) {
    struct reader r = reader_of(bytes, n);
    return layout_decode(&layout_keyless, &r, ret);
}

static void record_strings_are_bounded_and_clean(void **state) {
    (void)state;
    struct keyless k;
    assert_int_equal(decode_keyless("\1\0\0", 3, &k), VAULT_OK);
    assert_string_equal(k.text, "");
    assert_int_equal(decode_keyless("\1\x08\0aaaaaaaa", 11, &k), VAULT_OK);
    assert_string_equal(k.text, "aaaaaaaa");
    assert_int_equal(decode_keyless("\1\x09\0aaaaaaaaa", 12, &k), VAULT_E_FORMAT);
    assert_int_equal(decode_keyless("\1\x02\0a\0", 5, &k), VAULT_E_FORMAT);
    assert_int_equal(decode_keyless("\1\x02\0a\n", 5, &k), VAULT_E_FORMAT);
    assert_int_equal(decode_keyless("\1\x01\0\xc3", 4, &k), VAULT_E_FORMAT);
    assert_int_equal(decode_keyless("\1\xff\xff", 3, &k), VAULT_E_FORMAT);
}

static void record_sizes_over_the_maximum_are_refused(void **state) {
    (void)state;
    uint8_t bytes[SAMPLE_MAX];
    struct sample s = sample_of(""), back = used_memory();
    size_t n = encode_sample(&s, bytes);
    const size_t at = 1 + 4 + 8 + 5 + 2;
    assert_int_equal(bytes[at], 3);
    const uint32_t sizes[] = {4, 7, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct writer w = writer_of(bytes + at, 4);
        write_u32(&w, sizes[i]);
        struct reader r = reader_of(bytes, n);
        assert_int_equal(layout_decode(&layout_sample, &r, &back), VAULT_E_FORMAT);
        assert_true(holds_nothing(&back));
    }
    layout_clear(&layout_sample, &s);
}

static void record_one_byte_over_a_maximum_is_refused_though_all_bytes_are_there(void **state) {
    (void)state;
    uint8_t bytes[SAMPLE_MAX + 1] = {0};
    struct sample back;
    struct writer w = writer_of(bytes, sizeof(bytes));
    w.used = 1 + 4 + 8 + 5 + 2; /* zeros, and no text */
    write_u32(&w, 7);
    struct reader r = reader_of(bytes, w.used + 7 + SECRET_KEY_SIZE);
    assert_int_equal(layout_decode(&layout_sample, &r, &back), VAULT_E_FORMAT);
    w.used -= 4;
    write_u32(&w, 6);
    r = reader_of(bytes, w.used + 6 + SECRET_KEY_SIZE);
    assert_int_equal(layout_decode(&layout_sample, &r, &back), VAULT_OK);
    layout_clear(&layout_sample, &back);
}

static bool encodes(const struct sample *s) {
    uint8_t bytes[SAMPLE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    layout_encode(&layout_sample, s, &w);
    return !w.bad;
}

static void record_with_bad_content_does_not_encode(void **state) {
    (void)state;
    struct sample s = sample_of("text");
    assert_true(encodes(&s));
    s.bytes_size = 7;
    assert_false(encodes(&s));
    s.bytes_size = 6;
    for (size_t i = 0; i < sizeof(s.text); i++)
        s.text[i] = 'a'; /* not terminated */
    assert_false(encodes(&s));
    copy_string(s.text, sizeof(s.text), "a\tb");
    assert_false(encodes(&s));
    copy_string(s.text, sizeof(s.text), "12345678");
    assert_true(encodes(&s));
    struct secret *key = secret_move(&s.key);
    assert_false(encodes(&s));
    assert_int_equal(secret_new(&s.key, 31), VAULT_OK);
    assert_false(encodes(&s));
    secret_free(&key);
    layout_clear(&layout_sample, &s);
}

/* ---- Secrets. ---- */

static void secret_taken_leaves_nothing_behind(void **state) {
    (void)state;
    uint8_t bytes[32] = "0123456789abcdef0123456789abcde";
    struct secret *s = NULL, *moved = NULL;
    assert_int_equal(secret_take(&s, bytes, sizeof(bytes)), VAULT_OK);
    assert_true(all_zero(bytes, sizeof(bytes)));
    assert_memory_equal(secret_view(s), "0123456789abcdef", 16);
    moved = secret_move(&s);
    assert_null(s);
    assert_int_equal(secret_size(moved), 32);
    secret_free(&moved);
    assert_null(moved);
    secret_free(&moved);
    secret_free(NULL);
}

static void secret_of_a_wrong_size_is_refused_and_its_source_wiped(void **state) {
    (void)state;
    uint8_t bytes[4] = "abc";
    struct secret *s = NULL;
    assert_int_equal(secret_new(&s, 0), VAULT_E_LIMIT);
    assert_int_equal(secret_new(&s, SECRET_MAX + 1), VAULT_E_LIMIT);
    assert_int_equal(secret_take(&s, bytes, 0), VAULT_E_LIMIT);
    assert_null(s);
    assert_int_equal(secret_new(&s, SECRET_MAX), VAULT_OK);
    assert_true(all_zero(secret_view(s), SECRET_MAX));
    secret_free(&s);
}

static void secrets_are_equal_in_size_and_content(void **state) {
    (void)state;
    struct secret *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(secret_random(&a, 32), VAULT_OK);
    assert_int_equal(secret_random(&b, 32), VAULT_OK);
    assert_int_equal(secret_new(&c, 31), VAULT_OK);
    assert_false(secret_equal(a, b));
    assert_false(secret_equal(a, c));
    copy_bytes(secret_edit(b), 32, secret_view(a), 32);
    assert_true(secret_equal(a, b));
    secret_edit(b)[31] ^= 1;
    assert_false(secret_equal(a, b));
    secret_free(&a);
    secret_free(&b);
    secret_free(&c);
}

/* AddressSanitizer turns mlock into nothing. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOCKS_NOTHING 1
#endif
#endif
#ifndef LOCKS_NOTHING
#define LOCKS_NOTHING 0
#endif

static void secret_that_cannot_be_locked_is_an_error(void **state) {
    (void)state;
    int status = 0;
    if (LOCKS_NOTHING || geteuid() != 0) /* only root can give up its right to lock */
        skip();
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        struct secret *s = NULL;
        if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(2);
        _exit(secret_new(&s, 32) == VAULT_E_MEMORY && s == NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Results and log lines. ---- */

static void every_result_has_its_own_name(void **state) {
    (void)state;
    for (int a = VAULT_E_TIMEOUT; a <= VAULT_AGAIN; a++)
        for (int b = VAULT_E_TIMEOUT; b < a; b++)
            assert_string_not_equal(vault_result_name(a), vault_result_name(b));
    assert_string_equal(vault_result_name(99), "unknown result");
    assert_int_equal(vault_result_from_errno(ENOSPC), VAULT_E_FULL);
    assert_int_equal(vault_result_from_errno(EDQUOT), VAULT_E_FULL);
    assert_int_equal(vault_result_from_errno(ENOMEM), VAULT_E_MEMORY);
    assert_int_equal(vault_result_from_errno(EIO), VAULT_E_IO);
}

/* What log_line writes to standard error. */
static size_t logged(const char *text, char *to, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_start("test");
    log_line(LOG_LEVEL_WARNING, "said: %s", text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(ends[1]);
    ssize_t n = read(ends[0], to, size - 1);
    close(ends[0]);
    assert_true(n > 0);
    to[n] = '\0';
    return (size_t)n;
}

static void log_line_is_one_line_whatever_is_in_it(void **state) {
    (void)state;
    char line[2048], filler[3000];
    logged("a\nb\x1b[0m", line, sizeof(line));
    assert_string_equal(line, "<4>vaultd-test: said: a?b?[0m\n");
    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = 'x';
    filler[sizeof(filler) - 1] = '\0';
    size_t n = logged(filler, line, sizeof(line));
    assert_true(n <= 1024);
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_gives_little_endian_numbers),
        cmocka_unit_test(reader_past_the_end_stays_bad_and_gives_zeros),
        cmocka_unit_test(reader_refuses_sizes_that_would_wrap),
        cmocka_unit_test(reader_of_nothing_is_done),
        cmocka_unit_test(reader_with_bytes_left_is_not_done),
        cmocka_unit_test(writer_past_its_size_stays_bad_and_writes_nothing_more),
        cmocka_unit_test(writer_mirrors_reader),
        cmocka_unit_test(big_endian_numbers_sort_as_bytes),
        cmocka_unit_test(copies_that_do_not_fit_abort),
        cmocka_unit_test(formatted_text_is_cut_and_terminated),
        cmocka_unit_test(hex_is_exact_and_lower_case),
        cmocka_unit_test(clean_text_is_utf8_without_control_characters),
        cmocka_unit_test(record_survives_its_encoding),
        cmocka_unit_test(record_cut_anywhere_is_refused_and_owns_nothing),
        cmocka_unit_test(record_with_trailing_bytes_is_refused_and_owns_nothing),
        cmocka_unit_test(record_strings_are_bounded_and_clean),
        cmocka_unit_test(record_sizes_over_the_maximum_are_refused),
        cmocka_unit_test(record_one_byte_over_a_maximum_is_refused_though_all_bytes_are_there),
        cmocka_unit_test(record_with_bad_content_does_not_encode),
        cmocka_unit_test(secret_taken_leaves_nothing_behind),
        cmocka_unit_test(secret_of_a_wrong_size_is_refused_and_its_source_wiped),
        cmocka_unit_test(secrets_are_equal_in_size_and_content),
        cmocka_unit_test(secret_that_cannot_be_locked_is_an_error),
        cmocka_unit_test(every_result_has_its_own_name),
        cmocka_unit_test(log_line_is_one_line_whatever_is_in_it),
    };
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
