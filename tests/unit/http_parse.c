/* Request heads and chunked bodies: what is accepted, and every form that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultd/worker/http_chunked.h"
#include "vaultd/worker/http_parse.h"

#define H "Host: vault.example\r\n"
#define HEAD(text) text, sizeof(text) - 1

static int parse(const char *bytes, size_t n, struct http_head *ret, unsigned *ret_status) {
    struct http_refusal refusal = {0};
    int result = http_head_parse((const uint8_t *)bytes, n, ret, &refusal);
    *ret_status = refusal.status;
    return result;
}

/* The same head, byte by byte, in memory of exactly that size, so that a read past the end shows. */
static int find_in_pieces(const char *bytes, size_t n, unsigned *ret_status) {
    struct http_scan scan = {0};
    struct http_refusal refusal = {0};
    size_t end = 0;
    int result = VAULT_AGAIN;
    for (size_t have = 1; have <= n && result == VAULT_AGAIN; have++) {
        uint8_t *part = malloc(have);
        assert_non_null(part);
        copy_bytes(part, have, bytes, have);
        result = http_head_find(&scan, part, have, &end, &refusal);
        free(part);
    }
    *ret_status = refusal.status;
    return result;
}

static void head_gives_its_parts(void **state) {
    (void)state;
    static const char text[] = "GET /v1/files/ab%20c?x=1&y=%2F HTTP/1.1\r\nHost: [::1]:8443\r\nPurpose:  a b  \r\n"
                               "Connection: keep-alive, Close\r\n\r\n";
    struct http_head head;
    struct view value;
    unsigned status;
    assert_int_equal(parse(HEAD(text), &head, &status), VAULT_OK);
    assert_true(view_is(head.method, "GET"));
    assert_true(view_is(head.path, "/v1/files/ab%20c"));
    assert_true(view_is(head.query, "x=1&y=%2F"));
    assert_true(head.close);
    assert_int_equal(http_field_find(&head, "purpose", &value), VAULT_OK);
    assert_true(view_is(value, "a b"));
    assert_int_equal(http_field_find(&head, "range", &value), VAULT_NOT_FOUND);
    assert_false(head.chunked || head.has_length || head.expect_continue);
}

static void head_gives_its_framing(void **state) {
    (void)state;
    struct http_head head;
    unsigned status;
    assert_int_equal(
        parse(HEAD("PUT /a HTTP/1.1\r\n" H "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"), &head, &status),
        VAULT_OK);
    assert_true(head.has_length && head.expect_continue);
    assert_int_equal(head.length, 10);
    assert_int_equal(parse(HEAD("PUT /a HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\n\r\n"), &head, &status),
                     VAULT_OK);
    assert_true(head.chunked);
}

static const struct {
    const char *text;
    size_t n;
    unsigned status;
} refused[] = {
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 03\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), 501},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), 501},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), 501},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding:\x0b"
          "chunked\r\n\r\n"),
     400},
    {HEAD("GET / HTTP/1.1\r\n" H "Transfer-Encoding :chunked\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n A: b\r\n" H "\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\n" H "\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "\n"), 400},
    {HEAD("GET / HTTP/1.1\r" H "\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: \x01\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: \0\r\n\r\n"), 400},
    {HEAD("GET /\0 HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: \x7f\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A: \xc3\xa6\r\n\r\n"), 400},
    {HEAD("GET /\xc3\xa6 HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a%00b HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a?b=%00 HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a%0d%0ab HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a%2Fb HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a%2fb HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a%5cb HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a\\b HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a/../b HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a/%2e%2E/b HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a/.%2e HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a/./b HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /%2e HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET //a HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a/ HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET http://vault.example/a HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("CONNECT vault.example:443 HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("CONNECT /v1/status HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("CONNECT /v1/status HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n"), 400},
    {HEAD("OPTIONS * HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET a HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET  / HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /  HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET / HTTP/1.1 \r\n" H "\r\n"), 400},
    {HEAD(" GET / HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET\t/ HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /\r\n" H "\r\n"), 400},
    {HEAD("GET\r\n" H "\r\n"), 400},
    {HEAD("GET /a%2 HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a%zz HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a% HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a#b HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET /a?b=\"c\" HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("G(T / HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET / HTTP/1.0\r\n" H "\r\n"), 505},
    {HEAD("GET / HTTP/2.0\r\n" H "\r\n"), 505},
    {HEAD("GET / HTTP/1.10\r\n" H "\r\n"), 400},
    {HEAD("GET / http/1.1\r\n" H "\r\n"), 400},
    {HEAD("PRI * HTTP/2.0\r\n\r\n"), 505},
    {HEAD("\r\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H H "\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A : b\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H ": b\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "A(b): c\r\n\r\n"), 400},
    {HEAD("GET / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"), 417},
    {HEAD("GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), 417},
    {HEAD("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400},
};

static void ambiguous_heads_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct http_head head;
        unsigned status = 0;
        if (parse(refused[i].text, refused[i].n, &head, &status) != VAULT_E_FORMAT)
            fail_msg("accepted: %s", refused[i].text);
        if (status != refused[i].status)
            fail_msg("status %u for: %s", status, refused[i].text);
    }
}

/* What a head looked like when it came in pieces is what it looks like whole. */
static void pieces_make_no_difference(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct http_head head;
        unsigned whole = 0;
        unsigned pieces = 0;
        (void)parse(refused[i].text, refused[i].n, &head, &whole);
        int result = find_in_pieces(refused[i].text, refused[i].n, &pieces);
        assert_int_not_equal(result, VAULT_AGAIN);
        if (result == VAULT_E_FORMAT)
            assert_int_equal(pieces, whole);
    }
}

static void next_request_is_left_alone(void **state) {
    (void)state;
    static const char text[] = "GET /a HTTP/1.1\r\n" H "\r\nGET /b";
    struct http_scan scan = {0};
    struct http_refusal refusal;
    size_t end = 0;
    assert_int_equal(http_head_find(&scan, (const uint8_t *)text, sizeof(text) - 1, &end, &refusal), VAULT_OK);
    assert_string_equal(text + end, "GET /b");
}

/* A head of `line` bytes of request line and `fields` further fields of 1000 bytes. */
static size_t build(char *to, size_t size, size_t line, size_t fields, size_t field_size) {
    size_t used = 0;
    format_string(to, size, "GET /");
    for (used = strlen(to); used < line - 9; used++)
        to[used] = 'a';
    format_string(to + used, size - used, " HTTP/1.1\r\n" H);
    used += strlen(to + used);
    for (size_t i = 0; i < fields; i++) {
        format_string(to + used, size - used, "F: %0*d\r\n", (int)field_size, 0);
        used += strlen(to + used);
    }
    format_string(to + used, size - used, "\r\n");
    return used + 2;
}

static void long_heads_are_refused(void **state) {
    (void)state;
    static char text[40000];
    struct http_head head;
    unsigned status = 0;
    assert_int_equal(parse(text, build(text, sizeof(text), HTTP_LINE_MAX, 0, 0), &head, &status), VAULT_OK);
    assert_int_equal(parse(text, build(text, sizeof(text), HTTP_LINE_MAX + 1, 0, 0), &head, &status), VAULT_E_FORMAT);
    assert_int_equal(status, 414);
    assert_int_equal(parse(text, build(text, sizeof(text), 100, HTTP_FIELDS_MAX - 1, 10), &head, &status), VAULT_OK);
    assert_int_equal(parse(text, build(text, sizeof(text), 100, HTTP_FIELDS_MAX, 10), &head, &status), VAULT_E_FORMAT);
    assert_int_equal(status, 431);
    assert_int_equal(parse(text, build(text, sizeof(text), 100, 15, 1000), &head, &status), VAULT_OK);
    assert_int_equal(parse(text, build(text, sizeof(text), 100, 17, 1000), &head, &status), VAULT_E_FORMAT);
    assert_int_equal(status, 431);
}

static void decoding_gives_clean_text_or_nothing(void **state) {
    (void)state;
    char to[8];
    assert_int_equal(http_decode((struct view){HEAD("a%20%C3%A6")}, to, sizeof(to)), VAULT_OK);
    assert_string_equal(to, "a \xc3\xa6");
    assert_int_equal(http_decode((struct view){HEAD("%C3")}, to, sizeof(to)), VAULT_E_FORMAT);
    assert_int_equal(http_decode((struct view){HEAD("%0")}, to, sizeof(to)), VAULT_E_FORMAT);
    assert_int_equal(http_decode((struct view){HEAD("%01")}, to, sizeof(to)), VAULT_E_FORMAT);
    assert_int_equal(http_decode((struct view){HEAD("1234567")}, to, sizeof(to)), VAULT_OK);
    assert_int_equal(http_decode((struct view){HEAD("12345678")}, to, sizeof(to)), VAULT_E_LIMIT);
}

/* Decodes a chunked body given in steps of `step` bytes; *ret_left: bytes behind its end. */
static int dechunk(const char *text, size_t n, size_t step, char *to, size_t size, size_t *ret_left) {
    struct http_chunked c = {0};
    size_t used = 0;
    size_t at = 0;
    while (at < n && c.state != CHUNKED_DONE) {
        const uint8_t *data = NULL;
        size_t run = 0;
        size_t taken = 0;
        size_t look = n - at < step ? n - at : step;
        int result = http_chunked_take(&c, (const uint8_t *)text + at, look, &taken, &data, &run);
        if (result != VAULT_OK)
            return result;
        copy_bytes(to + used, size - used, data, run);
        used += run;
        at += taken;
    }
    to[used] = '\0';
    *ret_left = n - at;
    return c.state == CHUNKED_DONE ? VAULT_OK : VAULT_AGAIN;
}

static void chunks_are_joined(void **state) {
    (void)state;
    static const char text[] = "5\r\nhello\r\nA\r\n, genomes!\r\n0\r\n\r\nGET";
    for (size_t step = 1; step <= sizeof(text); step++) {
        char to[64];
        size_t left = 0;
        assert_int_equal(dechunk(text, sizeof(text) - 1, step, to, sizeof(to), &left), VAULT_OK);
        assert_string_equal(to, "hello, genomes!");
        assert_int_equal(left, 3);
    }
}

static void sloppy_chunks_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\rXhello\r\n0\r\n\r\n",
        "\r\n",
        "-1\r\n",
        "00\r\n\r\n",
        "0\r\nA: b\r\n\r\n",
        "1000000000000\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "g\r\n",
        "0\r\n\n",
        "ffffffffffffffff1\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char to[64];
        size_t left = 0;
        if (dechunk(bad[i], strlen(bad[i]), 64, to, sizeof(to), &left) != VAULT_E_FORMAT)
            fail_msg("accepted: %s", bad[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_gives_its_parts),
        cmocka_unit_test(head_gives_its_framing),
        cmocka_unit_test(ambiguous_heads_are_refused),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(next_request_is_left_alone),
        cmocka_unit_test(long_heads_are_refused),
        cmocka_unit_test(decoding_gives_clean_text_or_nothing),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(sloppy_chunks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
