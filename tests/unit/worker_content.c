/* Reading: ranges, grants, damage. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker_harness.h"

#define FILE_A "/v1/files/00112233445566778899aabbccddeeff"
enum { SMALL = 3 * SEGMENT_PLAIN + 1000, LARGE = 2 * CHUNK_PLAIN + 5 * SEGMENT_PLAIN + 17 };

static void ask_for(struct peers *p, const char *method, const char *path, const char *fields) {
    char text[1024];
    assert_true(format_string(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\n%s\r\n", method,
                              path, fields));
    say_text(p, text);
}

static void expect_bytes(struct peers *p, unsigned status, size_t first, size_t n) {
    struct response r = await_response(p);
    assert_int_equal(r.status, status);
    assert_int_equal(r.body_n, n);
    assert_memory_equal(r.body, p->plain + first, n);
    forget_response(p, &r);
}

static void whole_file_comes_with_its_digest(void **state) {
    (void)state;
    struct peers *p = peers_start(LARGE);
    ask_for(p, "GET", FILE_A, "");
    struct response r = await_response(p);
    assert_true(head_has(&r, "Repr-Digest: sha-256=:"));
    assert_true(head_has(&r, "Obligations: no-secondary-findings\r\n"));
    assert_true(head_has(&r, "Audit-Seq: 41\r\n"));
    assert_true(head_has(&r, "Request-Id: 000000000000000000000000000000cd\r\n"));
    assert_true(head_has(&r, "Cache-Control: no-store\r\n"));
    expect_bytes(p, 200, 0, LARGE);
    assert_int_equal(p->opened.file[0], 0x00);
    assert_int_equal(p->opened.file[15], 0xff);
    assert_int_equal(p->opened.purpose, 1);
    shutdown(p->client, SHUT_WR);
    await_end(p);
    assert_int_equal(p->closed.outcome, GRANT_DONE);
    assert_int_equal(p->closed.bytes, LARGE);
    assert_int_equal(p->closed.ranges, 1);
    assert_int_equal(peers_stop(p), 0);
}

static void ranges_give_exactly_their_bytes(void **state) {
    (void)state;
    static const struct {
        const char *field;
        size_t first, n;
        const char *content_range;
    } cases[] = {
        {"Range: bytes=0-0\r\n", 0, 1, "bytes 0-0/"},
        {"Range: bytes=65535-65536\r\n", 65535, 2, "bytes 65535-65536/"},
        {"Range: bytes=100-99999999999\r\n", 100, LARGE - 100, "bytes 100-"},
        {"Range: bytes=4194300-4194310\r\n", 4194300, 11, "bytes 4194300-4194310/"},
        {"Range: bytes=8388608-\r\n", 8388608, LARGE - 8388608, "bytes 8388608-"},
        {"Range: bytes=-17\r\n", LARGE - 17, 17, "bytes 8716288-8716304/8716305"},
        {"Range: bytes=-99999999999\r\n", 0, LARGE, "bytes 0-"},
        {"Range: Bytes=5-9\r\n", 5, 5, "bytes 5-9/"},
    };
    struct peers *p = peers_start(LARGE);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask_for(p, "GET", FILE_A, cases[i].field);
        struct response r = await_response(p);
        assert_true(head_has(&r, cases[i].content_range));
        expect_bytes(p, 206, cases[i].first, cases[i].n);
    }
    assert_int_equal(peers_stop(p), 0);
}

static void later_ranges_need_no_new_decision(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    ask_for(p, "GET", FILE_A, "Range: bytes=0-9\r\n");
    expect_bytes(p, 206, 0, 10);
    ask_for(p, "GET", FILE_A, "Range: bytes=70000-70009\r\n");
    expect_bytes(p, 206, 70000, 10);
    assert_false(log_has(p, "open", "open"));
    assert_false(log_has(p, "object_get", "object_get"));
    assert_false(log_has(p, "page_get", "page_get"));
    assert_int_equal(p->opened.extent, EXTENT_SPAN);
    assert_int_equal(p->opened.to, 9);
    assert_int_equal(peers_stop(p), 0);
}

static void another_purpose_is_another_decision(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    ask_for(p, "GET", FILE_A, "Range: bytes=0-9\r\n");
    expect_bytes(p, 206, 0, 10);
    say_text(p, "GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: research;project=\"P1\";approval=\"A1\"\r\n"
                "Range: bytes=0-9\r\n\r\n");
    expect_bytes(p, 206, 0, 10);
    assert_true(log_has(p, "open", "open"));
    assert_string_equal(p->opened.project, "P1");
    assert_int_equal(peers_stop(p), 0);
}

#define FILE_FIRST "/v1/files/00000000000000000000000000000001"

static void read_files(struct peers *p, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char path[64];
        format_string(path, sizeof(path), "/v1/files/%032x", i + 1);
        ask_for(p, "GET", path, "Range: bytes=1-2\r\n");
        expect_bytes(p, 206, 1, 2);
    }
}

static void many_files_close_the_oldest_grant(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    read_files(p, 16);
    assert_int_equal(p->opened.closing[0], 0);
    read_files(p, 16); /* under the same grants */
    assert_int_equal(p->opened.closing[0], 0);
    ask_for(p, "GET", "/v1/files/000000000000000000000000000000ff", "Range: bytes=1-2\r\n");
    expect_bytes(p, 206, 1, 2);
    assert_int_equal(p->opened.closing[0], 1);
    assert_int_equal(p->opened.closing_bytes, 4);
    assert_int_equal(p->opened.closing_ranges, 2);
    assert_false(log_has(p, "grant_close", "")); /* one request for both */
    assert_int_equal(peers_stop(p), 0);
}

/* The monitor may have closed it: what ended the new grant came in the same batch. Its file is asked for again. */
static void denied_file_takes_the_oldest_grant_all_the_same(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    read_files(p, 16);
    p->deny = 403;
    for (unsigned i = 0; i < 2; i++) {
        ask_for(p, "GET", i == 0 ? "/v1/files/000000000000000000000000000000ff" : FILE_FIRST, "Range: bytes=1-2\r\n");
        struct response r = await_response(p);
        assert_int_equal(r.status, 403);
        forget_response(p, &r);
        assert_int_equal(p->opened.closing[0], 1); /* until one is granted */
    }
    p->deny = 0;
    ask_for(p, "GET", FILE_FIRST, "Range: bytes=1-2\r\n");
    expect_bytes(p, 206, 1, 2);
    assert_int_equal(p->opened.closing[0], 1);
    ask_for(p, "GET", "/v1/files/000000000000000000000000000000fe", "Range: bytes=1-2\r\n");
    expect_bytes(p, 206, 1, 2);
    assert_int_equal(p->opened.closing[0], 2);
    assert_int_equal(peers_stop(p), 0);
}

static void grant_that_made_room_for_nothing_is_closed_at_the_end(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    read_files(p, 16);
    p->deny = 403;
    ask_for(p, "GET", "/v1/files/000000000000000000000000000000ff", "Connection: close\r\n");
    await_end(p);
    assert_int_equal(p->closed.grant[0], 1); /* the last of all that are closed */
    assert_int_equal(p->closed.bytes, 2);
    assert_int_equal(peers_stop(p), 0);
}

static void head_asks_for_no_content(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    ask_for(p, "HEAD", "/v1/subjects/S-0001/files/a%20b.cram", "Range: bytes=0-9\r\n");
    struct response r = await_head(p);
    assert_int_equal(r.status, 200);
    assert_true(head_has(&r, "Content-Length: 197608\r\n"));
    assert_true(head_has(&r, "Accept-Ranges: bytes\r\n"));
    assert_int_equal(p->opened.action, OPEN_HEAD);
    assert_string_equal(p->opened.subject, "S-0001");
    assert_string_equal(p->opened.name, "a b.cram");
    assert_false(log_has(p, "page_get", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void empty_file_is_served(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    ask_for(p, "GET", FILE_A, "");
    expect_bytes(p, 200, 0, 0);
    ask_for(p, "GET", FILE_A, "Range: bytes=0-0\r\n");
    struct response r = await_response(p);
    assert_int_equal(r.status, 416);
    assert_true(head_has(&r, "Content-Range: bytes */0\r\n"));
    assert_int_equal(peers_stop(p), 0);
}

static void bad_reads_are_refused_and_named(void **state) {
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
        const char *text;
    } cases[] = {
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\n\r\n", 400, "purpose"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\nPurpose: treatment\r\n\r\n", 400, "purpose"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: curiosity\r\n\r\n", 400, "purpose"},
        {"GET " FILE_A "?x=1 HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\n\r\n", 400, "`x`"},
        {"GET /v1/files/0011 HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\n\r\n", 404, "file"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\nRange: bytes=2-1\r\n\r\n", 400, "Range"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\nRange: bytes=-\r\n\r\n", 400, "Range"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\nRange: bytes=0-1,3-4\r\n\r\n", 416, "one range"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\nRange: lines=0-1\r\n\r\n", 416, "one range"},
        {"GET " FILE_A " HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\nCrypt4GH-Recipient: AA==\r\n\r\n", 406, "octet"},
    };
    struct peers *p = peers_start(SMALL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        say_text(p, cases[i].request);
        struct response r = await_response(p);
        assert_int_equal(r.status, cases[i].status);
        assert_true(head_has(&r, "application/problem+json"));
        if (memmem(r.body, r.body_n, cases[i].text, strlen(cases[i].text)) == NULL)
            fail_msg("does not say %s: %.*s", cases[i].text, (int)r.body_n, r.body);
        forget_response(p, &r);
    }
    assert_false(log_has(p, "open", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void denial_is_relayed(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    p->deny = 403;
    ask_for(p, "GET", FILE_A, "");
    struct response r = await_response(p);
    assert_int_equal(r.status, 403);
    assert_true(head_has(&r, "Audit-Seq: 7\r\n"));
    assert_true(head_has(&r, "Request-Id: ab"));
    assert_true(head_has(&r, "application/problem+json"));
    assert_false(log_has(p, "page_get", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void if_range_of_another_content_gives_the_whole(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    ask_for(p, "GET", FILE_A, "Range: bytes=0-9\r\nIf-Range: \"abc\"\r\n");
    expect_bytes(p, 200, 0, SMALL);
    assert_int_equal(peers_stop(p), 0);
}

/* Flips one bit at this place of an object. */
static void damage(struct peers *p, size_t object, off_t at) {
    uint8_t byte;
    assert_int_equal(pread(p->objects[object].fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(p->objects[object].fd, &byte, 1, at), 1);
}

static void expect_integrity_problem(struct peers *p) {
    ask_for(p, "GET", FILE_A, "");
    struct response r = await_response(p);
    assert_int_equal(r.status, 500);
    assert_non_null(memmem(r.body, r.body_n, "urn:vault:problem:integrity", 27));
    assert_int_equal(p->closed.outcome, GRANT_DAMAGED);
    assert_int_equal(p->closed.bytes, 0);
    assert_memory_equal(p->closed.address, p->objects[0].chunk.address, HASH_SIZE);
    assert_true(log_has(p, "grant_close", "answered"));
    assert_int_equal(peers_stop(p), 0);
}

static void damage_in_the_first_segment_is_500(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    damage(p, 0, 1000);
    expect_integrity_problem(p);
}

static void missing_object_is_500(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    close(p->objects[0].fd);
    p->objects[0].fd = -1;
    expect_integrity_problem(p);
}

static void short_object_is_500(void **state) {
    (void)state;
    struct peers *p = peers_start(SMALL);
    assert_int_equal(ftruncate(p->objects[0].fd, (off_t)p->objects[0].chunk.length - 1), 0);
    expect_integrity_problem(p);
}

static void swapped_segments_are_500(void **state) {
    (void)state;
    static uint8_t segment[2][SEGMENT_SEALED];
    struct peers *p = peers_start(SMALL);
    int fd = p->objects[0].fd;
    assert_int_equal(pread(fd, segment, sizeof(segment), 0), sizeof(segment));
    assert_int_equal(pwrite(fd, segment[1], SEGMENT_SEALED, 0), SEGMENT_SEALED);
    assert_int_equal(pwrite(fd, segment[0], SEGMENT_SEALED, SEGMENT_SEALED), SEGMENT_SEALED);
    expect_integrity_problem(p);
}

/* What was sent before is good; the damaged segment and all behind it never come. */
static void later_damage_cuts_the_answer(void **state) {
    (void)state;
    struct peers *p = peers_start(LARGE);
    damage(p, 1, 2 * SEGMENT_SEALED + 50);
    ask_for(p, "GET", FILE_A, "");
    await_end(p);
    struct response r = {.head_n = 0};
    char *body = memmem(p->received, p->received_n, "\r\n\r\n", 4);
    assert_non_null(body);
    r.body_n = p->received_n - (size_t)(body + 4 - p->received);
    assert_true(r.body_n <= CHUNK_PLAIN + 2 * SEGMENT_PLAIN);
    assert_memory_equal(body + 4, p->plain, r.body_n);
    assert_int_equal(p->closed.outcome, GRANT_DAMAGED);
    assert_memory_equal(p->closed.address, p->objects[1].chunk.address, HASH_SIZE);
    assert_int_equal(p->closed.bytes, CHUNK_PLAIN + 2 * SEGMENT_PLAIN);
    assert_int_equal(peers_stop(p), 0);
}

/* What the kernel still holds may go out until the process is dead: only the monitor closes the grant then. */
static void client_that_leaves_ends_the_worker(void **state) {
    (void)state;
    struct peers *p = peers_start(LARGE);
    ask_for(p, "GET", FILE_A, "");
    await_log(p, "answered");
    p->ended = true;
    close(p->client);
    p->client = -1;
    await_gone(p);
    assert_null(strstr(p->log, "grant_close"));
    assert_int_equal(peers_stop(p), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_file_comes_with_its_digest),
        cmocka_unit_test(ranges_give_exactly_their_bytes),
        cmocka_unit_test(later_ranges_need_no_new_decision),
        cmocka_unit_test(another_purpose_is_another_decision),
        cmocka_unit_test(many_files_close_the_oldest_grant),
        cmocka_unit_test(denied_file_takes_the_oldest_grant_all_the_same),
        cmocka_unit_test(grant_that_made_room_for_nothing_is_closed_at_the_end),
        cmocka_unit_test(head_asks_for_no_content),
        cmocka_unit_test(empty_file_is_served),
        cmocka_unit_test(bad_reads_are_refused_and_named),
        cmocka_unit_test(denial_is_relayed),
        cmocka_unit_test(if_range_of_another_content_gives_the_whole),
        cmocka_unit_test(damage_in_the_first_segment_is_500),
        cmocka_unit_test(missing_object_is_500),
        cmocka_unit_test(short_object_is_500),
        cmocka_unit_test(swapped_segments_are_500),
        cmocka_unit_test(later_damage_cuts_the_answer),
        cmocka_unit_test(client_that_leaves_ends_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
