/* The program in its sandbox: every system call that it needs is one that it may make. */
#include <stdio.h>
#include <unistd.h>

#include "worker_harness.h"

#define GET "GET /v1/files/00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\n\r\n"

/* Peak resident memory in KiB. */
static long peak_memory(const struct peers *p) {
    char path[64];
    char line[256];
    long peak = -1;
    format_string(path, sizeof(path), "/proc/%d/status", (int)p->child);
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL)
        if (sscanf(line, "VmHWM: %ld", &peak) == 1)
            break;
    fclose(status);
    return peak;
}

static void sandboxed_worker_serves_reads(void **state) {
    (void)state;
    size_t n = (size_t)CHUNK_PLAIN + 100000;
    struct peers *p = peers_start_program(n);
    for (int i = 0; i < 2; i++) {
        say_text(p, GET);
        struct response r = await_response(p);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.body_n, n);
        assert_memory_equal(r.body, p->plain, n);
        forget_response(p, &r);
    }
    send_revocation(p, 1);
    await_log(p, "revoked");
    assert_int_equal(peers_stop(p), 0);
}

static void sandboxed_worker_takes_deposits(void **state) {
    (void)state;
    size_t n = (size_t)3 * CHUNK_PLAIN + 5;
    struct peers *p = peers_start_program(0);
    uint8_t *bytes = calloc(1, n);
    char head[200];
    assert_non_null(bytes);
    format_string(head, sizeof(head), "PUT /v1/subjects/S-1/files/a HTTP/1.1\r\nHost: v\r\nContent-Length: %zu\r\n\r\n",
                  n);
    say_text(p, head);
    say(p, bytes, n);
    struct response r = await_response(p);
    assert_int_equal(r.status, 201);
    assert_true(stored_is(p, bytes, n));
    long peak = peak_memory(p);
    printf("peak memory: %ld KiB\n", peak);
    assert_true(peak > 0 && peak < 64 * 1024);
    free(bytes);
    assert_int_equal(peers_stop(p), 0);
}

static void sandboxed_worker_parses_documents(void **state) {
    (void)state;
    static const char *const requests[] = {
        "POST /v1/subjects HTTP/1.1\r\nHost: v\r\nContent-Length: 17\r\n\r\n{\"subject\":\"S-1\"}",
        "POST /v1/subjects HTTP/1.1\r\nHost: v\r\nContent-Length: 2\r\n\r\n{]",
        "PUT /v1/consents/S-1 HTTP/1.1\r\nHost: v\r\nContent-Length: 2\r\n\r\n{}",
        "PUT /v1/policy HTTP/1.1\r\nHost: v\r\nContent-Length: 7\r\n\r\nname: x",
        "GET /v1/audit/tail HTTP/1.1\r\nHost: v\r\n\r\n",
    };
    static const unsigned statuses[] = {200, 400, 400, 400, 200};
    struct peers *p = peers_start_program(0);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        say_text(p, requests[i]);
        struct response r = await_response(p);
        assert_int_equal(r.status, statuses[i]);
        forget_response(p, &r);
    }
    assert_int_equal(peers_stop(p), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sandboxed_worker_serves_reads),
        cmocka_unit_test(sandboxed_worker_takes_deposits),
        cmocka_unit_test(sandboxed_worker_parses_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
