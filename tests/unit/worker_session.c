/* The connection: pipelining, deadlines, revocations, faults of the channels; and administration. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vaultd/worker/ask.h"
#include "worker_harness.h"

#define GET_A                                                                                                          \
    "GET /v1/files/00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\n"                     \
    "Range: bytes=0-9\r\n\r\n"
#define GET_ALL "GET /v1/files/00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: v\r\nPurpose: treatment\r\n\r\n"

static void expect(struct peers *p, unsigned status, const char *text) {
    struct response r = await_response(p);
    if (r.status != status || memmem(r.head, r.whole_n, text, strlen(text)) == NULL)
        fail_msg("no %u with %s: %.*s", status, text, (int)r.whole_n, r.head);
    forget_response(p, &r);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, GET_A "GET /v1/nothing HTTP/1.1\r\nHost: v\r\n\r\n" GET_A "GET /v1/status HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 206, "bytes 0-9/100");
    expect(p, 404, "no such resource");
    expect(p, 206, "bytes 0-9/100");
    expect(p, 200, "by the monitor");
    assert_int_equal(peers_stop(p), 0);
}

static void close_is_honoured(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, "GET /v1/status HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n" GET_A);
    expect(p, 200, "Connection: close\r\n");
    await_end(p);
    assert_false(log_has(p, "open", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void malformed_head_ends_the_connection(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, "POST /v1/status HTTP/1.1\r\nHost: v\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" GET_A);
    expect(p, 400, "Content-Length beside Transfer-Encoding");
    await_end(p);
    assert_int_equal(p->received_n, 0);
    assert_string_equal(p->log, "answered ");
    assert_int_equal(peers_stop(p), 0);
}

static void slow_head_is_408(void **state) {
    (void)state;
    struct peers *p = peers_start_hasty(100);
    say_text(p, "GET /v1/status HTT");
    expect(p, 408, "request head");
    await_end(p);
    assert_int_equal(peers_stop(p), 0);
}

static void idle_connection_ends_and_closes_its_grants(void **state) {
    (void)state;
    struct peers *p = peers_start_hasty(100);
    say_text(p, GET_A);
    expect(p, 206, "");
    await_end(p);
    assert_false(p->reset);
    assert_true(log_has(p, "grant_close", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void idle_grant_is_given_up_at_once(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, GET_A);
    expect(p, 206, "");
    send_revocation(p, 1);
    await_log(p, "revoked");
    say_text(p, GET_A); /* a new decision, and a new grant */
    expect(p, 206, "");
    assert_true(log_has(p, "revoked", "open"));
    assert_int_equal(peers_stop(p), 0);
}

static void unknown_grant_is_acknowledged(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    send_revocation(p, 9);
    await_log(p, "revoked");
    say_text(p, GET_A);
    expect(p, 206, "");
    assert_int_equal(peers_stop(p), 0);
}

/* Most of the file is still to come when the revocation does. */
static void streaming_grant_ends_with_a_reset(void **state) {
    (void)state;
    struct peers *p = peers_start((size_t)8 * CHUNK_PLAIN);
    int tiny = 4096;
    assert_int_equal(setsockopt(p->client, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)), 0);
    say_text(p, GET_ALL);
    await_log(p, "answered");
    send_revocation(p, 1);
    await_end(p);
    assert_int_equal(p->revoked, 0);
    assert_true(p->received_n < (size_t)8 * CHUNK_PLAIN);
    assert_false(log_has(p, "grant_close", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void revoked_upload_ends_with_a_reset(void **state) {
    (void)state;
    struct peers *p = peers_start(0);
    say_text(p, "PUT /v1/subjects/S-0001/files/a HTTP/1.1\r\nHost: v\r\nContent-Length: 10\r\n\r\nhello");
    await_log(p, "buffers_get");
    send_revocation(p, 0x77);
    await_end(p);
    assert_false(log_has(p, "upload_abort", ""));
    assert_int_equal(peers_stop(p), 0);
}

static void idle_grant_is_given_up_during_a_deposit(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, GET_A);
    expect(p, 206, "");
    say_text(p, "PUT /v1/subjects/S-0001/files/a HTTP/1.1\r\nHost: v\r\nContent-Length: 10\r\n\r\nhello");
    await_log(p, "buffers_get");
    send_revocation(p, 1);
    await_log(p, "revoked");
    for (size_t i = 0; i < p->object_count; i++)
        close(p->objects[i].fd);
    say_text(p, "world");
    expect(p, 201, "");
    assert_int_equal(peers_stop(p), 0);
}

static void monitor_that_breaks_the_protocol_ends_the_worker(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    message_init(&p->m, MSG_done, 0);
    assert_int_equal(channel_send(p->monitor, &p->m), VAULT_OK);
    await_end(p);
    assert_int_equal(peers_stop(p), 1);
}

static void monitor_that_dies_ends_the_worker(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    p->silent = true;
    say_text(p, GET_A);
    await_log(p, "open");
    shutdown(p->monitor, SHUT_RDWR);
    await_end(p);
    assert_int_equal(p->received_n, 0);
    assert_int_equal(peers_stop(p), 1);
}

static void supervisor_that_dies_ends_the_worker(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    shutdown(p->supervisor, SHUT_RDWR);
    await_end(p);
    assert_int_equal(peers_stop(p), 1);
}

static void post(struct peers *p, const char *method, const char *path, const char *json) {
    char text[2048];
    assert_true(format_string(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: v\r\nContent-Length: %zu\r\n\r\n%s", method,
                              path, strlen(json), json));
    say_text(p, text);
}

static void administration_reaches_the_monitor(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    post(p, "POST", "/v1/subjects", "{\"subject\":\"S-1\",\"opt_out\":true}");
    expect(p, 200, "");
    assert_string_equal(p->other.subject_add.subject, "S-1");
    assert_int_equal(p->other.subject_add.opt_out, 1);
    post(p, "POST", "/v1/services",
         "{\"name\":\"c\",\"san\":\"urn:x\",\"roles\":[\"reader\",\"auditor\"],\"purposes\":[\"treatment\"]}");
    expect(p, 200, "");
    assert_int_equal(p->other.service_add.roles, 1u << 1 | 1u << 3);
    assert_int_equal(p->other.service_add.purposes, 1u << PURPOSE_TREATMENT);
    post(p, "POST", "/v1/projects", "{\"name\":\"P1\",\"services\":[\"a\",\"b\"]}");
    expect(p, 200, "");
    assert_string_equal(p->other.project_add.services, "a,b");
    post(p, "POST", "/v1/ethics", "{\"name\":\"A1\",\"project\":\"P1\",\"from\":\"1970-01-02\"}");
    expect(p, 200, "");
    assert_int_equal(p->other.ethics_add.valid_from, 86400);
    post(p, "POST", "/v1/decisions",
         "{\"subject\":\"S-1\",\"purpose\":\"research;project=\\\"P1\\\";approval=\\\"A1\\\"\"}");
    expect(p, 200, "");
    assert_string_equal(p->other.inquire.approval, "A1");
    say_text(p, "DELETE /v1/consents/S-1?purpose=research HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 200, "");
    assert_int_equal(p->other.type, MSG_consent_withdraw);
    assert_int_equal(p->other.consent_withdraw.purpose, PURPOSE_RESEARCH);
    say_text(p, "GET /v1/files?subject=S-1&purpose=treatment HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 200, "");
    assert_string_equal(p->other.file_list.subject, "S-1");
    assert_int_equal(p->other.file_list.purpose, PURPOSE_TREATMENT);
    say_text(p, "POST /v1/unseal HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 200, "");
    assert_int_equal(p->other.type, MSG_unseal);
    assert_int_equal(peers_stop(p), 0);
}

static void bad_documents_are_refused_and_named(void **state) {
    (void)state;
    static const struct {
        const char *method, *path, *json, *text;
        unsigned status;
    } cases[] = {
        {"POST", "/v1/subjects", "{\"subject\":\"S-1\",\"name\":\"x\"}", "unknown member `name`", 400},
        {"POST", "/v1/subjects", "{}", "`subject` is missing", 400},
        {"POST", "/v1/subjects", "{\"subject\":7}", "`subject` must be a string", 400},
        {"POST", "/v1/subjects", "{\"subject\":\"S-1\",\"opt_out\":1}", "`opt_out` must be true or false", 400},
        {"POST", "/v1/subjects", "{\"subject\":\"S-1\",\"subject\":\"S-2\"}", "twice", 400},
        {"POST", "/v1/subjects", "{\"subject\":\"S\\u0001\"}", "control characters", 400},
        {"POST", "/v1/subjects", "{\"subject\":\"S\\u0000\"}", "malformed JSON", 400},
        {"POST", "/v1/subjects", "{\"subject\":\"S 1\"}", "no identifier", 400},
        {"POST", "/v1/subjects", "[]", "no JSON object", 400},
        {"POST", "/v1/subjects", "{\"subject\":", "malformed JSON", 400},
        {"POST", "/v1/services", "{\"name\":\"a\",\"san\":\"b\",\"roles\":[\"king\"]}", "`roles`", 400},
        {"POST", "/v1/audit/exports", "{\"format\":\"jsonl\",\"from\":-1}", "`from`", 400},
        {"POST", "/v1/ethics", "{\"name\":\"a\",\"project\":\"b\",\"until\":\"2026-02-30\"}", "`until`", 400},
        {"POST", "/v1/decisions", "{\"purpose\":\"treatment\"}", "`subject`", 400},
        {"POST", "/v1/seal", "{\"now\":true}", "unknown member `now`", 400},
        {"PUT", "/v1/consents/S-1", "{\"subject\":\"S-2\"}", "subject", 400},
        {"PUT", "/v1/policy", "{{{", "policy", 400},
        {"DELETE", "/v1/subjects", "", "Allow: GET, HEAD, POST", 405},
        {"GET", "/v1/audit/tail?count=x", "", "`count`", 400},
        {"GET", "/v1/audit/records?from=1", "", "`to` is missing", 400},
        {"GET", "/v1/subjects?cursor=a&cursor=b", "", "more than once", 400},
        {"GET", "/v1/subjects/%C3%28", "", "UTF-8", 400},
        {"GET", "/v1/requests/zz", "", "`request`", 404},
        {"GET", "/v1", "", "no such resource", 404},
        {"GET", "/", "", "no such resource", 404},
        {"GET", "/v1/status", "{}", "no body", 400},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peers *p = peers_start(100);
        post(p, cases[i].method, cases[i].path, cases[i].json);
        expect(p, cases[i].status, cases[i].text);
        assert_string_equal(p->log, "refusal answered ");
        assert_int_equal(p->refusal.status, cases[i].status);
        assert_int_equal(peers_stop(p), 0);
    }
}

/* The client learns the record's number and the request's name from the monitor, the reason from the worker. */
static void worker_reports_what_it_refuses(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, "GET /v1/nothing HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 404, "Request-Id: ab000000000000000000000000000000\r\nAudit-Seq: 7\r\n");
    assert_int_equal(p->refusals, 1);
    assert_int_equal(p->refusal.status, 404);
    assert_string_equal(p->refusal.rule, "path");
    assert_string_equal(p->refusal.text, "there is no such resource");
    say_text(p, "DELETE /v1/subjects HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 405, "Audit-Seq: 7\r\n");
    post(p, "POST", "/v1/subjects", "{\"porpoise\":1}");
    expect(p, 400, "unknown member `porpoise`");
    assert_int_equal(p->refusals, 3);
    assert_string_equal(p->refusal.text, "unknown member `porpoise`");
    say_text(p, GET_A);
    expect(p, 206, "Audit-Seq: 41\r\n");
    assert_int_equal(p->refusals, 3);
    assert_int_equal(peers_stop(p), 0);
}

/* The refusal as the monitor gets it; it answers with `status`. */
static struct msg_refusal refusal_of(unsigned status, const char *text, int expected) {
    static struct worker w;
    static struct message m;
    int ends[2];
    assert_int_equal(channel_pair(ends), VAULT_OK);
    w = (struct worker){.monitor = ends[0], .supervisor = -1};
    message_init(&m, MSG_answer, 1);
    m.answer.status = status;
    assert_int_equal(channel_send(ends[1], &m), VAULT_OK);
    assert_int_equal(ask_refusal(&w, 400, "body", text), expected);
    assert_int_equal(channel_receive(ends[1], &m), VAULT_OK);
    assert_int_equal(m.type, MSG_refusal);
    close(ends[0]);
    close(ends[1]);
    return m.refusal;
}

static void refusal_has_room_for_any_text(void **state) {
    char text[301] = "";
    (void)state;
    for (size_t i = 0; i < 297; i += 3)
        assert_true(format_string(text + i, sizeof(text) - i, "\u20ac"));
    struct msg_refusal r = refusal_of(400, text, VAULT_OK);
    assert_int_equal(strlen(r.text), 198); /* a character more would be cut in two */
    assert_memory_equal(r.text, text, 198);
    text[200] = '\0';
    text[199] = text[198] = 'a';
    assert_string_equal(refusal_of(400, text, VAULT_OK).text, text);
    assert_string_equal(refusal_of(400,
                                   "a\x7f"
                                   "b\n\xe2\x82",
                                   VAULT_OK)
                            .text,
                        "a?b???");
    assert_string_equal(refusal_of(429, "", VAULT_DENIED).text, "");
}

/* What is sealed tells nothing, but what a sealed vault takes is told what is wrong with it. */
static void sealed_vault_answers_423_instead(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    p->deny = 423;
    say_text(p, "GET /v1/nothing HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 423, "said\":\"by the monitor");
    say_text(p, "DELETE /v1/subjects HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 423, "said\":\"by the monitor");
    post(p, "POST", "/v1/unseal", "{\"key\":1}");
    expect(p, 400, "unknown member `key`");
    assert_int_equal(p->refusals, 3);
    assert_int_equal(peers_stop(p), 0);
}

static void long_document_is_413(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    say_text(p, "POST /v1/subjects HTTP/1.1\r\nHost: v\r\nContent-Length: 65537\r\n\r\n");
    expect(p, 413, "64 KiB");
    await_end(p);
    assert_int_equal(peers_stop(p), 0);
}

static void audit_lines_come_in_chunks(void **state) {
    (void)state;
    struct peers *p = peers_start(100);
    p->block_count = 3;
    say_text(p, "GET /v1/audit/records?from=0&to=3&tree=9 HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 200, "\r\n\r\na\r\n{\"seq\":1}\n\r\na\r\n{\"seq\":1}\n\r\na\r\n{\"seq\":1}\n\r\n0\r\n\r\n");
    assert_int_equal(p->other.audit_records.from, 2);
    assert_int_equal(p->other.audit_records.tree, 9);
    p->block_count = 1;
    say_text(p, "GET /v1/audit/tail HTTP/1.1\r\nHost: v\r\n\r\n");
    expect(p, 200, "application/jsonl\r\nContent-Length: 10\r\n\r\n{\"seq\":1}\n");
    assert_int_equal(p->other.audit_tail.count, 20);
    assert_int_equal(peers_stop(p), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(close_is_honoured),
        cmocka_unit_test(malformed_head_ends_the_connection),
        cmocka_unit_test(slow_head_is_408),
        cmocka_unit_test(idle_connection_ends_and_closes_its_grants),
        cmocka_unit_test(idle_grant_is_given_up_at_once),
        cmocka_unit_test(unknown_grant_is_acknowledged),
        cmocka_unit_test(streaming_grant_ends_with_a_reset),
        cmocka_unit_test(revoked_upload_ends_with_a_reset),
        cmocka_unit_test(idle_grant_is_given_up_during_a_deposit),
        cmocka_unit_test(monitor_that_breaks_the_protocol_ends_the_worker),
        cmocka_unit_test(monitor_that_dies_ends_the_worker),
        cmocka_unit_test(supervisor_that_dies_ends_the_worker),
        cmocka_unit_test(administration_reaches_the_monitor),
        cmocka_unit_test(bad_documents_are_refused_and_named),
        cmocka_unit_test(worker_reports_what_it_refuses),
        cmocka_unit_test(refusal_has_room_for_any_text),
        cmocka_unit_test(sealed_vault_answers_423_instead),
        cmocka_unit_test(long_document_is_413),
        cmocka_unit_test(audit_lines_come_in_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
