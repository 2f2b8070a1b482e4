/* Escrow copies as the index knows them: over restarts, failed commits and damage. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/keys/escrow.h"

static struct peer second;

static int escrow_set_up(void **state) {
    vault_set_up(state);
    make_service("second", 1u << ROLE_CUSTODIAN, 0);
    m.setup.approve_seconds = 3600;
    second = peer_tls(SAN_OF("second"));
    return 0;
}

static int escrow_tear_down(void **state) {
    close(second.channel);
    return rig_tear_down(state);
}

/* For three custodians whose keys nobody needs here. */
static void escrow_request(struct peer *p) {
    struct msg_key_escrow *q = &request(p, MSG_key_escrow)->key_escrow;
    q->shares = 3;
    q->threshold = 2;
    q->recipients[0] = '\0';
    for (unsigned i = 0; i < 3; i++) {
        uint8_t private_key[32], public_key[32];
        char text[64];
        randombytes_buf(private_key, sizeof(private_key));
        assert_int_equal(crypto_scalarmult_base(public_key, private_key), 0);
        sodium_bin2base64(text, sizeof(text), public_key, sizeof(public_key), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        size_t used = strlen(q->recipients);
        assert_true(format_string(q->recipients + used, sizeof(q->recipients) - used, "%s%s", i > 0 ? "," : "", text));
    }
}

static void make_escrow(void) {
    escrow_request(&root);
    assert_int_equal(ask_status(&root), 201);
}

static unsigned destroyed(struct peer *p, uint32_t number, const char *statement) {
    struct msg_key_escrow_destroyed *q = &request(p, MSG_key_escrow_destroyed)->key_escrow_destroyed;
    q->number = number;
    copy_string(q->statement, sizeof(q->statement), statement);
    return ask_status(p);
}

/* Asked by root, approved by the other. */
static void destroy(uint32_t number) {
    assert_int_equal(destroyed(&root, number, "burnt"), 202);
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    assert_int_equal(ask_status(&second), 200);
}

static void expect_holding(uint32_t generation, const char *expected) {
    char names[ESCROW_NAMES];
    escrows_holding(&m, generation, names);
    assert_string_equal(names, expected);
}

static void rotate(void) {
    bool more = true;
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "kek");
    assert_int_equal(ask_status(&root), 202);
    for (unsigned n = 0; n < 50 && more; n++)
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
}

static void key_of(uint32_t number, uint8_t ret[4]) {
    put_be32(ret, number);
}

/* Changes the index behind the monitor's back, which then reads it anew. */
static void put_entry(uint32_t number, const void *bytes, size_t n) {
    uint8_t key[4];
    key_of(number, key);
    assert_int_equal(index_begin(m.index), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_ESCROWS, key, sizeof(key), bytes, n), VAULT_OK);
    assert_int_equal(index_commit(m.index), VAULT_OK);
    assert_int_equal(monitor_reload(&m), VAULT_OK);
    index_end_reads(m.index);
}

static void a_copy_holds_the_generations_of_its_time(void **state) {
    (void)state;
    expect_holding(9, "");
    assert_false(escrows_outdated(&m));
    make_escrow();
    assert_false(escrows_outdated(&m));
    expect_holding(0, "");
    expect_holding(1, "E1");
    expect_holding(9, "E1");
    rotate();
    assert_true(escrows_outdated(&m));
    make_escrow();
    assert_false(escrows_outdated(&m));
    expect_holding(1, "E1, E2");
    destroy(1);
    expect_holding(1, "E2");
    assert_false(escrows_outdated(&m));
    destroy(2);
    expect_holding(9, "");
    assert_true(escrows_outdated(&m));
}

static void copies_and_statements_outlive_a_restart(void **state) {
    (void)state;
    make_escrow();
    make_escrow();
    destroy(1);
    close(second.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    expect_holding(1, "E2");
    second = peer_tls(SAN_OF("second"));
    assert_int_equal(destroyed(&root, 1, "again"), 409);
    make_escrow();
    expect_holding(1, "E2, E3");
    assert_int_equal(audit_count("\"event\":\"key.escrow.destroyed\"", "\"outcome\":\"done\"", "E1: burnt", NULL), 1);
}

/* Who asked, who else has the role, and that nobody's word alone counts. */
static void destruction_is_stated_by_two_persons(void **state) {
    (void)state;
    make_escrow();
    assert_int_equal(destroyed(&second, 1, "burnt"), 202);
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    assert_int_equal(ask_status(&second), 403);
    expect_holding(1, "E1");
    request(&root, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    assert_int_equal(ask_status(&root), 200);
    expect_holding(1, "");
    assert_int_equal(destroyed(&root, 2, "burnt"), 404);
    assert_int_equal(destroyed(&root, 0, "burnt"), 404);
    assert_int_equal(destroyed(&root, 1, "burnt"), 409);
}

/* It is stated twice before one of the two is approved. */
static void second_approval_of_the_same_destruction_is_refused(void **state) {
    (void)state;
    make_escrow();
    assert_int_equal(destroyed(&root, 1, "burnt"), 202);
    assert_int_equal(destroyed(&root, 1, "drowned"), 202);
    for (unsigned i = 0; i < 2; i++) {
        request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending - i;
        assert_int_equal(ask_status(&second), i == 0 ? 200 : 409);
    }
    expect_holding(9, "");
    assert_int_equal(audit_count("\"event\":\"key.escrow.destroyed\"", "\"outcome\":\"done\"", "drowned", NULL), 1);
}

static void copy_whose_note_is_not_durable_is_not_given_out(void **state) {
    (void)state;
    make_escrow();
    escrow_request(&root);
    send_now(&root);
    turn_without_writing();
    struct message *answer = received(&root);
    assert_int_equal(status_of(answer), 503);
    assert_false(says(answer, "keyring\""));
    assert_int_equal(m.meta.escrow, 1);
    expect_holding(9, "E1");
    make_escrow();
    expect_holding(9, "E1, E2");
}

static void copy_whose_note_is_damaged_may_hold_anything(void **state) {
    (void)state;
    make_escrow();
    put_entry(1, "nonsense", 8);
    expect_holding(0, "E1");
    assert_true(escrows_outdated(&m));
    destroy(1);
    expect_holding(9, "");
}

/* The note from before its destruction, put back; and one of a copy that never was. */
static void note_that_was_put_back_counts_for_nothing(void **state) {
    static struct escrow_value v;
    static uint8_t bytes[4096];
    uint8_t key[4];
    (void)state;
    make_escrow();
    key_of(1, key);
    assert_int_equal(index_get_record(m.index, DB_ESCROWS, key, sizeof(key), &layout_escrow_value, &v), VAULT_OK);
    index_end_reads(m.index);
    struct writer w = writer_of(bytes, sizeof(bytes));
    layout_encode(&layout_escrow_value, &v, &w);
    destroy(1);
    put_entry(1, bytes, w.used);
    expect_holding(9, "");
    put_entry(7, bytes, w.used);
    expect_holding(9, "");
}

/* The monitor must be what says so: vaultctl is not what asks here. */
static void impossible_requests_change_nothing(void **state) {
    (void)state;
    struct msg_key_escrow *q = &request(&root, MSG_key_escrow)->key_escrow;
    q->shares = 2;
    q->threshold = 2;
    assert_int_equal(ask_status(&root), 400); /* without recipients */
    escrow_request(&root);
    q->threshold = 1;
    assert_int_equal(ask_status(&root), 400);
    escrow_request(&root);
    char first[44];
    copy_bytes(first, sizeof(first), q->recipients, 43);
    copy_bytes(q->recipients + 44, sizeof(q->recipients) - 44, first, 43);
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 400);
    assert_true(says(answer, "recipient of its own"));
    assert_int_equal(m.meta.escrow, 0);
}

static void no_more_copies_than_can_be_named(void **state) {
    (void)state;
    for (unsigned i = 0; i < ESCROWS_MOST - 1; i++)
        make_escrow();
    escrow_request(&root);
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 409);
    assert_true(says(answer, "too-many-escrows"));
    destroy(5);
    make_escrow();
    escrow_request(&root);
    assert_int_equal(ask_status(&root), 409);
}

#define ESCROW(test) cmocka_unit_test_setup_teardown(test, escrow_set_up, escrow_tear_down)

/* What was made after a backup is not known in it: until somebody states otherwise it may hold anything. */
static void restore_reckons_with_copies_that_it_does_not_know(void **state) {
    (void)state;
    for (unsigned i = 0; i < ESCROWS_MOST - 1; i++)
        make_escrow();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(batch_begin(&m), VAULT_OK);
        assert_int_equal(escrow_suspect(&m), VAULT_OK);
        assert_int_equal(batch_finish(&m), VAULT_OK);
    }
    assert_int_equal(m.escrow_count, ESCROWS_MOST);
    for (unsigned i = 1; i <= ESCROWS_MOST - 1; i++)
        destroy(i);
    expect_holding(1, "E1031");
    expect_holding(77, "E1031");
    assert_true(m.meta.escrow >= 2031); /* no number is given twice */
    destroy(1031);
    expect_holding(77, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ESCROW(a_copy_holds_the_generations_of_its_time),
        ESCROW(copies_and_statements_outlive_a_restart),
        ESCROW(destruction_is_stated_by_two_persons),
        ESCROW(second_approval_of_the_same_destruction_is_refused),
        ESCROW(copy_whose_note_is_not_durable_is_not_given_out),
        ESCROW(copy_whose_note_is_damaged_may_hold_anything),
        ESCROW(note_that_was_put_back_counts_for_nothing),
        ESCROW(impossible_requests_change_nothing),
        ESCROW(no_more_copies_than_can_be_named),
        ESCROW(restore_reckons_with_copies_that_it_does_not_know),
    };
    log_start("test");
    (void)signal(SIGXFSZ, SIG_IGN);
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
