/* Workers that were taken over: what they may say to the gate to pass for another client. Compiled a second time
 * against a gate that believes everything (tests/hostile/gate.cmake), where the replay must succeed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/gate_rig.h"
#include "vault/result.h"

enum { CLIENT_HELLO = 1, SERVER_HELLO = 2, EXTENSIONS = 8, CERTIFICATE = 11, REQUEST = 13, PROOF = 15, FINISHED = 20 };
enum { ALERT_DECRYPT = 51 };

static struct rig rig;
static struct identity victim;
static struct recording record;       /* a genuine session of the victim */
static struct recording retry_record; /* another, with a HelloRetryRequest */

static void record_session(const char *groups, struct recording *ret) {
    const struct client client = {.identity = &victim, .groups = groups};
    struct outcome o;
    rig_connect(&rig, &client, NULL, NULL, &o);
    assert_int_equal(o.worker, VAULT_OK);
    assert_int_equal(o.client, 0);
    *ret = o.recording;
    close(o.channel);
}

static int start(void **state) {
    (void)state;
    rig_start(&rig, 0, 86400);
    victim = issue(&rig.authority, &(struct wanted){.san = "URI:urn:victim"});
    record_session(NULL, &record);
    record_session("P-521:X25519", &retry_record);
    rig_forget(&rig);
    return 0;
}

static int stop(void **state) {
    (void)state;
    recording_free(&record);
    recording_free(&retry_record);
    identity_free(&victim);
    rig_stop(&rig);
    return 0;
}

/* Plays the recording to the gate up to the signing, and on with a fresh CertificateVerify in the old one's place. */
static int replay_under_fresh_signature(const struct recording *from) {
    int worker = rig_worker(&rig);
    size_t proof = recording_find(from, false, PROOF);
    uint8_t fresh[256];
    size_t n = 0;
    script_replay(&rig, worker, from, 0, proof);
    assert_true(script_sign(&rig, worker, fresh, &n));
    script_message(&rig, worker, false, fresh, n);
    script_replay(&rig, worker, from, proof + 1, from->count);
    return worker;
}

static void client_messages_replayed_under_a_new_signature(void **state) {
    const struct recording *records[] = {&record, &retry_record};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct msg_tls_verdict verdict;
        rig_forget(&rig);
        int worker = replay_under_fresh_signature(records[i]);
        assert_true(script_verdict(&rig, worker, true, &verdict));
#ifdef VAULT_TEST_GATE_UNCHECKED
        assert_int_equal(verdict.good, 1);
        assert_int_equal(rig.identities, 1);
        assert_string_equal(rig.identity.san, "urn:victim");
#else
        assert_int_equal(verdict.good, 0);
        assert_int_equal(verdict.alert, ALERT_DECRYPT);
        assert_int_equal(rig.identities, 0);
#endif
        assert_int_equal(rig.kills, 0);
        close(worker);
    }
}

/* The honest worker's client says who it is; on the way to the gate the worker puts the other certificate there. */
static void swap_certificate(void *context, struct msg_tls_message *m) {
    const struct recording *other = context;
    if (m->from_client != 1 || m->message[0] != CERTIFICATE)
        return;
    size_t at = recording_find(other, true, CERTIFICATE);
    copy_bytes(m->message, sizeof(m->message), other->messages[at].bytes, other->messages[at].n);
    m->message_size = (uint32_t)other->messages[at].n;
}

static void another_certificate_for_the_same_key(void **state) {
    struct identity small = issue(&rig.authority, &(struct wanted){.san = "URI:urn:small", .key = victim.key});
    struct outcome o;
    (void)state;
    rig_connect(&rig, &(struct client){.identity = &small}, swap_certificate, &record, &o);
#ifdef VAULT_TEST_GATE_UNCHECKED
    assert_int_equal(rig.identities, 1);
    assert_string_equal(rig.identity.san, "urn:victim");
#else
    assert_int_equal(o.worker, VAULT_DENIED);
    assert_int_equal(o.alert, ALERT_DECRYPT);
    assert_int_equal(rig.identities, 0);
#endif
    outcome_clear(&o);
    identity_free(&small);
}

#ifndef VAULT_TEST_GATE_UNCHECKED

/* The worker is ended, and its channel is of no use any more. */
static void expect_killed(int worker) {
    struct msg_tls_verdict verdict;
    assert_int_equal(rig.kills, 1);
    assert_int_equal(rig.kill.worker, rig.last_worker);
    assert_int_equal(rig.kill.why, WORKER_MISBEHAVED);
    assert_false(script_verdict(&rig, worker, true, &verdict));
    assert_int_equal(rig.kills, 1);
    assert_int_equal(rig.identities, 0);
    close(worker);
    rig_forget(&rig);
}

/* A copy of one recorded message, to be altered. */
static uint8_t *copy_of(bool from_client, uint8_t type, size_t *ret_n) {
    static uint8_t copy[TLS_MESSAGE_MAX];
    size_t at = recording_find(&record, from_client, type);
    *ret_n = record.messages[at].n;
    copy_bytes(copy, sizeof(copy), record.messages[at].bytes, *ret_n);
    return copy;
}

/* Plays the messages before `type` of the server, then this one instead. */
static int play_instead(uint8_t type, const uint8_t *message, size_t n) {
    int worker = rig_worker(&rig);
    script_replay(&rig, worker, &record, 0, recording_find(&record, false, type));
    assert_int_equal(rig.kills, 0);
    script_message(&rig, worker, false, message, n);
    return worker;
}

static void old_server_signature_replayed(void **state) {
    (void)state;
    int worker = rig_worker(&rig);
    size_t proof = recording_find(&record, false, PROOF);
    uint8_t fresh[256];
    size_t n = 0;
    script_replay(&rig, worker, &record, 0, proof);
    assert_true(script_sign(&rig, worker, fresh, &n));
    script_replay(&rig, worker, &record, proof, proof + 1);
    expect_killed(worker);
}

static void whole_session_replayed_without_signing(void **state) {
    (void)state;
    int worker = rig_worker(&rig);
    script_replay(&rig, worker, &record, 0, record.count);
    expect_killed(worker);
}

static void second_signature(void **state) {
    (void)state;
    int worker = rig_worker(&rig);
    uint8_t fresh[256];
    size_t n = 0;
    script_replay(&rig, worker, &record, 0, recording_find(&record, false, PROOF));
    assert_true(script_sign(&rig, worker, fresh, &n));
    assert_false(script_sign(&rig, worker, fresh, &n));
    expect_killed(worker);
}

static void signatures_are_never_the_same(void **state) {
    uint8_t first[256];
    uint8_t second[256];
    uint8_t *signatures[] = {first, second};
    size_t sizes[2] = {0, 0};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int worker = rig_worker(&rig);
        script_replay(&rig, worker, &record, 0, recording_find(&record, false, PROOF));
        assert_true(script_sign(&rig, worker, signatures[i], &sizes[i]));
        close(worker);
    }
    assert_true(sizes[0] != sizes[1] || memcmp(first, second, sizes[0]) != 0);
}

static void missing_certificate_request(void **state) {
    size_t n = 0;
    (void)state;
    const uint8_t *certificate = copy_of(false, CERTIFICATE, &n);
    expect_killed(play_instead(REQUEST, certificate, n));
}

static void altered_server_certificate(void **state) {
    size_t n = 0;
    (void)state;
    uint8_t *certificate = copy_of(false, CERTIFICATE, &n);
    certificate[n / 2] ^= 1;
    expect_killed(play_instead(CERTIFICATE, certificate, n));
    certificate = copy_of(true, CERTIFICATE, &n); /* the victim's, as if it were the server's */
    expect_killed(play_instead(CERTIFICATE, certificate, n));
}

static void wrong_order(void **state) {
    size_t n = 0;
    (void)state;
    expect_killed(play_instead(SERVER_HELLO, copy_of(false, EXTENSIONS, &n), n));
    expect_killed(play_instead(EXTENSIONS, copy_of(false, SERVER_HELLO, &n), n)); /* a second ServerHello */
    expect_killed(play_instead(EXTENSIONS, copy_of(false, REQUEST, &n), n));
    int worker = rig_worker(&rig);
    script_replay(&rig, worker, &record, 1, 2); /* without a ClientHello */
    expect_killed(worker);
}

static void right_message_from_the_wrong_side(void **state) {
    int worker = rig_worker(&rig);
    size_t n = 0;
    const uint8_t *hello = copy_of(true, CLIENT_HELLO, &n);
    (void)state;
    script_message(&rig, worker, false, hello, n);
    expect_killed(worker);
}

/* Appends an extension to the recorded ServerHello, whose extensions are its last part. */
static size_t hello_with(uint8_t *hello, size_t n, const uint8_t *extension, size_t size) {
    size_t at = 4 + 2 + 32 + 1 + (size_t)hello[4 + 2 + 32] + 2 + 1; /* of the extensions' length */
    copy_bytes(hello + n, TLS_MESSAGE_MAX - n, extension, size);
    hello[at + 1] = (uint8_t)(hello[at + 1] + size);
    hello[3] = (uint8_t)(hello[3] + size);
    return n + size;
}

/* Makes it a ServerHello of TLS 1.2. */
static size_t without_version(uint8_t *hello, size_t n) {
    static const uint8_t version[] = {0, 43, 0, 2, 3, 4};
    uint8_t *at = memmem(hello, n, version, sizeof(version));
    assert_non_null(at);
    at[5] = 3;
    return n;
}

static void unacceptable_server_hellos(void **state) {
    static const uint8_t psk[] = {0, 41, 0, 2, 0, 0};
    static const uint8_t versions[] = {0, 43, 0, 2, 3, 4};
    static const uint8_t unknown[] = {0, 99, 0, 0};
    size_t n = 0;
    (void)state;
    uint8_t *hello = copy_of(false, SERVER_HELLO, &n);
    expect_killed(play_instead(SERVER_HELLO, hello, hello_with(hello, n, psk, sizeof(psk))));
    hello = copy_of(false, SERVER_HELLO, &n);
    expect_killed(play_instead(SERVER_HELLO, hello, hello_with(hello, n, versions, sizeof(versions))));
    hello = copy_of(false, SERVER_HELLO, &n);
    expect_killed(play_instead(SERVER_HELLO, hello, hello_with(hello, n, unknown, sizeof(unknown))));
    hello = copy_of(false, SERVER_HELLO, &n);
    hello[4 + 2 + 32 + 1 + hello[4 + 2 + 32]] = 0xc0; /* another suite */
    expect_killed(play_instead(SERVER_HELLO, hello, n));
    hello = copy_of(false, SERVER_HELLO, &n);
    expect_killed(play_instead(SERVER_HELLO, hello, n - 1));
    hello = copy_of(false, SERVER_HELLO, &n);
    expect_killed(play_instead(SERVER_HELLO, hello, without_version(hello, n)));
}

static void another_suite_after_the_retry(void **state) {
    enum { SECOND_HELLO = 3 };
    size_t n = retry_record.messages[SECOND_HELLO].n;
    uint8_t *hello = retry_record.messages[SECOND_HELLO].bytes;
    uint8_t *suite = hello + 4 + 2 + 32 + 1 + hello[4 + 2 + 32] + 1;
    (void)state;
    assert_int_equal(hello[0], SERVER_HELLO);
    int worker = rig_worker(&rig);
    script_replay(&rig, worker, &retry_record, 0, SECOND_HELLO);
    assert_int_equal(rig.kills, 0);
    *suite = *suite == 1 ? 2 : 1;
    script_message(&rig, worker, false, hello, n);
    expect_killed(worker);
}

/* Serves the victim as it should, and leaves the channel to the test. */
static int worker_of_victim(void) {
    struct outcome o;
    rig_forget(&rig);
    rig_connect(&rig, &(struct client){.identity = &victim}, NULL, NULL, &o);
    assert_int_equal(rig.identities, 1);
    rig_forget(&rig);
    recording_free(&o.recording);
    return o.channel;
}

static void second_identity_after_the_first(void **state) {
    struct msg_tls_verdict verdict;
    (void)state;
    int worker = worker_of_victim();
    assert_false(script_verdict(&rig, worker, true, &verdict));
    expect_killed(worker);
    worker = worker_of_victim();
    script_replay(&rig, worker, &record, 0, recording_find(&record, false, PROOF)); /* ignored */
    assert_int_equal(rig.kills, 0);
    script_send(&rig, worker, MSG_tls_sign);
    expect_killed(worker);
}

static void identity_after_a_refusal(void **state) {
    struct msg_tls_verdict verdict;
    (void)state;
    int worker = replay_under_fresh_signature(&record);
    assert_true(script_verdict(&rig, worker, true, &verdict));
    assert_int_equal(verdict.good, 0);
    assert_false(script_verdict(&rig, worker, true, &verdict));
    expect_killed(worker);
}

static void no_handshake_at_all(void **state) {
    struct msg_tls_verdict verdict;
    (void)state;
    for (int proven = 0; proven < 2; proven++) {
        int worker = rig_worker(&rig);
        assert_false(script_verdict(&rig, worker, proven == 1, &verdict));
        expect_killed(worker);
    }
    int worker = rig_worker(&rig);
    script_send(&rig, worker, MSG_tls_sign);
    expect_killed(worker);
}

static void verdict_before_finished(void **state) {
    size_t proof = recording_find(&record, false, PROOF);
    size_t client_proof = recording_find(&record, true, PROOF);
    struct msg_tls_verdict verdict;
    (void)state;
    for (size_t end = 1; end <= client_proof; end++) {
        uint8_t fresh[256];
        size_t n = 0;
        int worker = rig_worker(&rig);
        script_replay(&rig, worker, &record, 0, end < proof ? end : proof);
        if (end > proof) {
            assert_true(script_sign(&rig, worker, fresh, &n));
            script_message(&rig, worker, false, fresh, n);
            script_replay(&rig, worker, &record, proof + 1, end);
        }
        assert_int_equal(rig.kills, 0);
        assert_false(script_verdict(&rig, worker, true, &verdict));
        expect_killed(worker);
    }
}

static void drop_finished(void *context, struct msg_tls_message *m) {
    (void)context;
    if (m->from_client == 1 && m->message[0] == FINISHED)
        m->message[0] = CLIENT_HELLO;
}

static void other_message_instead_of_finished(void **state) {
    struct outcome o;
    (void)state;
    rig_connect(&rig, &(struct client){.identity = &victim}, drop_finished, NULL, &o);
    assert_int_equal(o.worker, VAULT_E_PROTOCOL);
    assert_int_equal(o.client, CLIENT_CUT);
    recording_free(&o.recording);
    expect_killed(o.channel);
}

static void chain_asked_twice(void **state) {
    size_t proof = recording_find(&record, false, PROOF);
    struct msg_tls_verdict verdict;
    uint8_t fresh[256];
    size_t n = 0;
    (void)state;
    int worker = rig_worker(&rig);
    script_replay(&rig, worker, &record, 0, proof);
    assert_true(script_sign(&rig, worker, fresh, &n));
    script_message(&rig, worker, false, fresh, n);
    script_replay(&rig, worker, &record, proof + 1, recording_find(&record, true, PROOF));
    assert_true(script_verdict(&rig, worker, false, &verdict));
    assert_int_equal(verdict.good, 1); /* of the chain, which is no identity */
    assert_false(script_verdict(&rig, worker, false, &verdict));
    expect_killed(worker);
}

static void foreign_messages(void **state) {
    static const enum message_type types[] = {MSG_identity, MSG_worker_kill, MSG_trust, MSG_tls_signature, MSG_ready};
    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int worker = rig_worker(&rig);
        script_send(&rig, worker, types[i]);
        expect_killed(worker);
    }
}

static void malformed_and_endless_messages(void **state) {
    static const uint8_t later[] = {24, 0, 0, 1, 0};
    (void)state;
    int worker = rig_worker(&rig);
    script_message(&rig, worker, true, "\1\0\0\5abcd", 8);
    expect_killed(worker);
    worker = rig_worker(&rig);
    script_message(&rig, worker, true, "", 0);
    expect_killed(worker);
    worker = replay_under_fresh_signature(&record);
    for (int i = 0; i < 40; i++) /* after the refusal they are ignored, but not for ever */
        script_message(&rig, worker, true, later, sizeof(later));
    expect_killed(worker);
}

/* The gate's answers stay unread: the gate must not wait for this worker. */
static void questions_without_reading_answers(void **state) {
    static struct message m;
    (void)state;
    int worker = rig_worker(&rig);
    script_message(&rig, worker, true, "\1\0\0\0", 4);
    for (int i = 0; i < 2000 && rig.kills == 0; i++) {
        message_init(&m, MSG_tls_verdict_wanted, 1);
        channel_send(worker, &m);
        rig_pump(&rig);
    }
    assert_int_equal(rig.kills, 1);
    close(worker);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(client_messages_replayed_under_a_new_signature, start, stop),
        cmocka_unit_test_setup_teardown(another_certificate_for_the_same_key, start, stop),
#ifndef VAULT_TEST_GATE_UNCHECKED
        cmocka_unit_test_setup_teardown(old_server_signature_replayed, start, stop),
        cmocka_unit_test_setup_teardown(whole_session_replayed_without_signing, start, stop),
        cmocka_unit_test_setup_teardown(second_signature, start, stop),
        cmocka_unit_test_setup_teardown(signatures_are_never_the_same, start, stop),
        cmocka_unit_test_setup_teardown(missing_certificate_request, start, stop),
        cmocka_unit_test_setup_teardown(altered_server_certificate, start, stop),
        cmocka_unit_test_setup_teardown(wrong_order, start, stop),
        cmocka_unit_test_setup_teardown(right_message_from_the_wrong_side, start, stop),
        cmocka_unit_test_setup_teardown(unacceptable_server_hellos, start, stop),
        cmocka_unit_test_setup_teardown(another_suite_after_the_retry, start, stop),
        cmocka_unit_test_setup_teardown(second_identity_after_the_first, start, stop),
        cmocka_unit_test_setup_teardown(identity_after_a_refusal, start, stop),
        cmocka_unit_test_setup_teardown(no_handshake_at_all, start, stop),
        cmocka_unit_test_setup_teardown(verdict_before_finished, start, stop),
        cmocka_unit_test_setup_teardown(other_message_instead_of_finished, start, stop),
        cmocka_unit_test_setup_teardown(chain_asked_twice, start, stop),
        cmocka_unit_test_setup_teardown(foreign_messages, start, stop),
        cmocka_unit_test_setup_teardown(malformed_and_endless_messages, start, stop),
        cmocka_unit_test_setup_teardown(questions_without_reading_answers, start, stop),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
