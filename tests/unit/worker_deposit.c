/* Depositing: sealing, the order of announce, put, receipt and commit, and what goes wrong on the way. */
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker_harness.h"

#define PATH "/v1/subjects/S-0001/files/a.cram"

static uint8_t *content_of(size_t n) {
    uint8_t *bytes = malloc(n + 1);
    assert_non_null(bytes);
    randombytes_buf(bytes, n + 1);
    return bytes;
}

static void start_put(struct peers *p, const char *fields) {
    char text[1024];
    assert_true(format_string(text, sizeof(text), "PUT " PATH " HTTP/1.1\r\nHost: v\r\n%s\r\n", fields));
    say_text(p, text);
}

static void start_put_of(struct peers *p, size_t n, const char *fields) {
    char text[512];
    assert_true(format_string(text, sizeof(text), "Content-Length: %zu\r\n%s", n, fields));
    start_put(p, text);
}

static void expect_status(struct peers *p, unsigned status) {
    struct response r = await_response(p);
    if (r.status != status)
        fail_msg("status %u, not %u: %.*s", r.status, status, (int)r.body_n, r.body);
    forget_response(p, &r);
}

static void expect_stored(struct peers *p, const uint8_t *bytes, size_t n) {
    uint8_t hash[HASH_SIZE];
    crypto_hash_sha256(hash, bytes, n);
    assert_true(stored_is(p, bytes, n));
    assert_int_equal(p->committed.size, n);
    assert_memory_equal(p->committed.sha256, hash, HASH_SIZE);
    assert_int_equal(p->page_entries, blob_chunks(n));
}

static void deposit(size_t n) {
    uint8_t *bytes = content_of(n);
    struct peers *p = peers_start(0);
    start_put_of(p, n, "Vault-Dataset: D1\r\nVault-Tags: wgs, tumour\r\n");
    say(p, bytes, n);
    struct response r = await_response(p);
    assert_int_equal(r.status, 201);
    assert_true(head_has(&r, "Audit-Seq: 7\r\n"));
    expect_stored(p, bytes, n);
    assert_string_equal(p->created.subject, "S-0001");
    assert_string_equal(p->created.name, "a.cram");
    assert_string_equal(p->created.dataset, "D1");
    assert_string_equal(p->created.tags, "wgs,tumour");
    assert_int_equal(p->created.has_digest, 0);
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void deposits_of_every_shape_are_stored_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {
        0, 1, SEGMENT_PLAIN, SEGMENT_PLAIN + 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, 3 * CHUNK_PLAIN + 70000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        deposit(sizes[i]);
}

static void full_pages_go_to_the_monitor_on_the_way(void **state) {
    (void)state;
    size_t n = (size_t)(PAGE_CHUNKS + 1) * CHUNK_PLAIN + 5;
    uint8_t *bytes = content_of(n);
    struct peers *p = peers_start(0);
    start_put_of(p, n, "");
    say(p, bytes, n);
    expect_status(p, 201);
    expect_stored(p, bytes, n);
    assert_int_equal(p->pages, 2);
    assert_true(log_has(p, "upload_page", "upload_announce"));
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void every_put_is_announced_first(void **state) {
    (void)state;
    uint8_t *bytes = content_of(CHUNK_PLAIN + 9);
    struct peers *p = peers_start(0);
    start_put_of(p, CHUNK_PLAIN + 9, "");
    say(p, bytes, CHUNK_PLAIN + 9);
    expect_status(p, 201);
    assert_int_equal(p->announced, 2); /* that each put was announced is checked where it is answered */
    assert_int_equal(p->puts, 2);
    assert_true(log_has(p, "upload_create", "buffers_get"));
    assert_true(log_has(p, "object_put", "upload_page upload_commit"));
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void say_chunked(struct peers *p, const uint8_t *bytes, size_t n, size_t chunk) {
    for (size_t at = 0; at < n;) {
        char size[20];
        size_t piece = n - at < chunk ? n - at : chunk;
        format_string(size, sizeof(size), "%zx\r\n", piece);
        say_text(p, size);
        say(p, bytes + at, piece);
        say_text(p, "\r\n");
        at += piece;
    }
    say_text(p, "0\r\n\r\n");
}

static void chunked_deposit_is_stored_whole(void **state) {
    (void)state;
    static const size_t chunks[] = {777, 100000, 1000003};
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        size_t n = CHUNK_PLAIN + 123457;
        uint8_t *bytes = content_of(n);
        struct peers *p = peers_start(0);
        start_put(p, "Transfer-Encoding: chunked\r\n");
        say_chunked(p, bytes, n, chunks[i]);
        expect_status(p, 201);
        expect_stored(p, bytes, n);
        free(bytes);
        assert_int_equal(peers_stop(p), 0);
    }
}

static void client_is_told_to_continue_only_after_the_grant(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    start_put_of(p, 5, "Expect: 100-continue\r\n");
    struct response r = await_response(p);
    assert_int_equal(r.status, 100);
    assert_true(log_has(p, "upload_create", "continue"));
    forget_response(p, &r);
    say_text(p, "hello");
    expect_status(p, 201);
    expect_stored(p, (const uint8_t *)"hello", 5);
    assert_int_equal(peers_stop(p), 0);
}

static void denied_client_is_not_told_to_continue(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    p->deny = 403;
    start_put_of(p, 5, "Expect: 100-continue\r\n");
    struct response r = await_response(p);
    assert_int_equal(r.status, 403);
    assert_true(head_has(&r, "Connection: close\r\n"));
    await_end(p);
    assert_int_equal(peers_stop(p), 0);
}

static void declared_digest_goes_to_the_monitor(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    uint8_t hash[HASH_SIZE];
    crypto_hash_sha256(hash, (const uint8_t *)"hello", 5);
    start_put_of(p, 5,
                 "Content-Digest: sha-512=:AAAA:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n"
                 "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n");
    say_text(p, "hello");
    expect_status(p, 201);
    assert_int_equal(p->created.has_digest, 1);
    assert_memory_equal(p->created.digest, hash, HASH_SIZE);
    assert_int_equal(peers_stop(p), 0);
}

static void bad_deposits_are_refused_before_the_monitor_hears(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        unsigned status;
    } cases[] = {
        {"Content-Length: 0\r\nContent-Digest: sha-256=:AAAA:\r\n", 400},
        {"Content-Length: 0\r\nContent-Digest: sha-256=LPJNul\r\n", 400},
        {"Content-Length: 0\r\nContent-Digest: sha-256=:AAAA\r\n", 400},
        {"Content-Length: 0\r\nContent-Digest: sha-512=:AAAA:,\r\n", 400},
        {"Content-Length: 0\r\nContent-Digest:\r\n", 400},
        {"Content-Length: 0\r\nContent-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n"
         "Repr-Digest: sha-256=:MPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n",
         400},
        {"Content-Length: 0\r\nContent-Encoding: gzip\r\n", 415},
        {"Content-Length: 0\r\nContent-Range: bytes 0-4/10\r\n", 400},
        {"Content-Length: 0\r\nVault-Dataset: a b\r\n", 400},
        {"Content-Length: 0\r\nVault-Tags: a,,b\r\n", 400},
        {"Content-Length: 0\r\nVault-Tags: a b\r\n", 400},
        {"Content-Length: 0\r\nVault-Tags: a,\r\n", 400},
        {"", 411},
        {"Content-Length: 1099511627777\r\n", 413},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peers *p = peers_start(0);
        start_put(p, cases[i].fields);
        expect_status(p, cases[i].status);
        assert_false(log_has(p, "upload_create", ""));
        assert_int_equal(peers_stop(p), 0);
    }
}

static void client_that_leaves_aborts_its_upload(void **state) {
    (void)state;
    uint8_t *bytes = content_of(CHUNK_PLAIN + 100);
    struct peers *p = peers_start(0);
    start_put_of(p, CHUNK_PLAIN + 101, "");
    say(p, bytes, CHUNK_PLAIN + 100);
    shutdown(p->client, SHUT_WR);
    await_log(p, "upload_abort");
    assert_false(log_has(p, "upload_commit", ""));
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void stalled_body_is_aborted_with_408(void **state) {
    (void)state;
    struct peers *p = peers_start_hasty(0);
    start_put_of(p, 10, "");
    say_text(p, "hello");
    expect_status(p, 408);
    assert_true(log_has(p, "upload_abort", "answered"));
    assert_int_equal(peers_stop(p), 0);
}

static void malformed_chunks_abort_with_400(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    start_put(p, "Transfer-Encoding: chunked\r\n");
    say_text(p, "5\r\nhello\r\n5;x=y\r\nhello\r\n0\r\n\r\n");
    struct response r = await_response(p);
    assert_int_equal(r.status, 400);
    assert_true(head_has(&r, "Connection: close\r\n"));
    assert_true(log_has(p, "upload_abort", "answered"));
    await_end(p);
    assert_int_equal(peers_stop(p), 0);
}

static void full_store_is_507(void **state) {
    (void)state;
    size_t n = 3 * CHUNK_PLAIN;
    uint8_t *bytes = content_of(n);
    struct peers *p = peers_start(0);
    p->put_status = STORE_FULL;
    p->put_fails = 1;
    start_put_of(p, n, "");
    say(p, bytes, n);
    expect_status(p, 507);
    assert_true(log_has(p, "upload_abort", "answered"));
    assert_false(log_has(p, "upload_commit", ""));
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void failing_store_is_500(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    p->put_status = STORE_FAILED;
    start_put_of(p, 5, "");
    say_text(p, "hello");
    expect_status(p, 500);
    assert_true(log_has(p, "upload_abort", "answered"));
    assert_int_equal(peers_stop(p), 0);
}

/* Two deposits on one connection: the second uses the same slots, under another base. */
static void connection_carries_several_deposits(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    start_put_of(p, 5, "");
    say_text(p, "hello");
    expect_status(p, 201);
    p->pages = 0;
    start_put_of(p, 5, "");
    say_text(p, "hello");
    expect_status(p, 201);
    assert_int_equal(p->puts, 2);
    assert_memory_not_equal(p->objects[0].chunk.base, p->objects[1].chunk.base, NONCE_SIZE);
    assert_false(log_has(p, "buffers_get", "buffers_get"));
    assert_int_equal(peers_stop(p), 0);
}

/* The first object waits for its permission; more than half of the second is taken meanwhile, and not all that comes.
 */
static void say_past_the_first_object(struct peers *p, const uint8_t *bytes, size_t n) {
    p->hold_tokens = true;
    start_put_of(p, n, "");
    say(p, bytes, CHUNK_PLAIN + CHUNK_PLAIN / 2);
    await_log(p, "upload_announce");
    assert_int_equal(p->announced, 1);
    assert_int_equal(p->puts, 0);
}

static void next_object_is_sealed_while_one_is_announced(void **state) {
    (void)state;
    size_t n = 3 * CHUNK_PLAIN + 9;
    uint8_t *bytes = content_of(n);
    struct peers *p = peers_start(0);
    say_past_the_first_object(p, bytes, n);
    release_token(p, 0);
    say(p, bytes + CHUNK_PLAIN + CHUNK_PLAIN / 2, CHUNK_PLAIN / 4);
    await_log(p, "object_put");
    assert_int_equal(p->announced, 1); /* put as soon as it may be, and not only when the next one is full */
    p->hold_tokens = false;
    say(p, bytes + CHUNK_PLAIN / 4 * 7, n - CHUNK_PLAIN / 4 * 7);
    expect_status(p, 201);
    expect_stored(p, bytes, n);
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void object_that_is_refused_on_the_way_ends_the_deposit(void **state) {
    (void)state;
    size_t n = 3 * CHUNK_PLAIN;
    uint8_t *bytes = content_of(n);
    struct peers *p = peers_start(0);
    say_past_the_first_object(p, bytes, n);
    release_token(p, 413);
    say(p, bytes + CHUNK_PLAIN + CHUNK_PLAIN / 2, CHUNK_PLAIN / 2);
    expect_status(p, 413);
    assert_true(log_has(p, "upload_announce", "upload_abort"));
    assert_int_equal(p->announced, 1);
    assert_int_equal(p->puts, 0);
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void client_that_leaves_while_one_is_announced_aborts(void **state) {
    (void)state;
    uint8_t *bytes = content_of(2 * CHUNK_PLAIN);
    struct peers *p = peers_start(0);
    say_past_the_first_object(p, bytes, 2 * CHUNK_PLAIN);
    shutdown(p->client, SHUT_WR);
    release_token(p, 0);
    await_log(p, "upload_abort");
    assert_true(log_has(p, "object_put", "upload_abort")); /* what was permitted is over before it is given up */
    assert_false(log_has(p, "upload_commit", ""));
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deposits_of_every_shape_are_stored_whole),
        cmocka_unit_test(full_pages_go_to_the_monitor_on_the_way),
        cmocka_unit_test(every_put_is_announced_first),
        cmocka_unit_test(chunked_deposit_is_stored_whole),
        cmocka_unit_test(client_is_told_to_continue_only_after_the_grant),
        cmocka_unit_test(denied_client_is_not_told_to_continue),
        cmocka_unit_test(declared_digest_goes_to_the_monitor),
        cmocka_unit_test(bad_deposits_are_refused_before_the_monitor_hears),
        cmocka_unit_test(client_that_leaves_aborts_its_upload),
        cmocka_unit_test(stalled_body_is_aborted_with_408),
        cmocka_unit_test(malformed_chunks_abort_with_400),
        cmocka_unit_test(full_store_is_507),
        cmocka_unit_test(failing_store_is_500),
        cmocka_unit_test(connection_carries_several_deposits),
        cmocka_unit_test(next_object_is_sealed_while_one_is_announced),
        cmocka_unit_test(object_that_is_refused_on_the_way_ends_the_deposit),
        cmocka_unit_test(client_that_leaves_while_one_is_announced_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
