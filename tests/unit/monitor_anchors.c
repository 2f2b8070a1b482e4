/* The client authorities: who may change them, and whose identity counts meanwhile. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/pending.h"

static struct peer second; /* the second operator */

static int anchors_set_up(void **state) {
    vault_set_up(state);
    m.setup.approve_seconds = 3600;
    gate_sees("old");
    assert_string_equal(gate_told(), "old");
    gate_uses();
    return 0;
}

/* From here on there is somebody who could approve. */
static int four_eyes_set_up(void **state) {
    anchors_set_up(state);
    make_service("registrar", 1u << ROLE_REGISTRAR, 0); /* later this would wait, too */
    make_service("second", 1u << ROLE_OPERATOR, 0);
    second = peer_tls(SAN_OF("second"));
    return 0;
}

static int four_eyes_tear_down(void **state) {
    close(second.channel);
    return rig_tear_down(state);
}

static unsigned settle(struct peer *p, enum message_type type, uint32_t number) {
    struct message *q = request(p, type);
    if (type == MSG_pending_approve)
        q->pending_approve.number = number;
    else
        q->pending_refuse.number = number;
    return ask_status(p);
}

/* "in_force/waiting" of the status, "-" for null. */
static const char *trust(void) {
    static char text[140];
    request(&root, MSG_status);
    json_t *status = document_of(ask(&root));
    const json_t *object = json_object_get(status, "trust");
    const char *in_force = json_string_value(json_object_get(object, "in_force"));
    const char *waiting = json_string_value(json_object_get(object, "waiting"));
    assert_true(json_is_object(object));
    assert_true(
        format_string(text, sizeof(text), "%s/%s", in_force == NULL ? "-" : in_force, waiting == NULL ? "-" : waiting));
    json_decref(status);
    return text;
}

static void expect_trust(const char *in_force, const char *waiting) {
    const char *names[] = {in_force, waiting};
    char expected[2][2 * HASH_SIZE + 1] = {"-", "-"}, text[140];
    for (unsigned i = 0; i < 2; i++) {
        uint8_t hash[HASH_SIZE];
        if (names[i] == NULL)
            continue;
        crypto_hash_sha256(hash, (const uint8_t *)names[i], strlen(names[i]));
        hex_encode(expected[i], sizeof(expected[i]), hash, sizeof(hash));
    }
    assert_true(format_string(text, sizeof(text), "%s/%s", expected[0], expected[1]));
    assert_string_equal(trust(), text);
}

static unsigned pending_count(void) {
    return m.meta.waiting_size / 4;
}

static void restart(void) {
    close(second.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    m.setup.approve_seconds = 3600;
}

static bool knows(struct peer *p) {
    request(p, MSG_inquire);
    return ask_status(p) != 401;
}

/* ---- before there is a second person ---- */

static void authorities_are_taken_at_once_while_nobody_could_approve(void **state) {
    (void)state;
    gate_sees("new");
    assert_string_equal(gate_told(), "new");
    gate_uses();
    assert_int_equal(audit_count("\"trust.anchors\"", "\"done\"", NULL), 2);
    assert_int_equal(audit_count("\"trust.anchors\"", "CN=new", NULL), 1);
    assert_int_equal(pending_count(), 0);
    expect_trust("new", NULL);
}

static void same_authorities_after_a_restart_are_recorded_no_more(void **state) {
    (void)state;
    restart();
    assert_string_equal(gate_told(), "old");
    gate_sees("old");
    gate_uses();
    assert_int_equal(audit_count("\"trust.anchors\"", NULL), 1);
    expect_trust("old", NULL);
}

/* ---- afterwards ---- */

static void others_wait_for_a_second_person(void **state) {
    (void)state;
    gate_sees("new");
    assert_string_equal(gate_told(), "");
    assert_int_equal(pending_count(), 1);
    assert_int_equal(audit_count("\"pending.ask\"", "trust.anchors asked for by unix:0: SHA-256", "CN=new", NULL), 1);
    expect_trust("old", "new");
    assert_true(knows(&second));
}

static void nobody_on_the_socket_approves_them(void **state) {
    struct peer administrator = peer_unix(4711);
    (void)state;
    gate_sees("new");
    assert_int_equal(settle(&root, MSG_pending_approve, m.meta.pending), 403);
    assert_int_equal(settle(&administrator, MSG_pending_approve, m.meta.pending), 403);
    assert_string_equal(gate_told(), "");
    expect_trust("old", "new");
    close(administrator.channel);
}

static void without_the_role_nobody_approves_them(void **state) {
    (void)state;
    struct peer registrar = peer_tls(SAN_OF("registrar"));
    gate_sees("new");
    assert_int_equal(settle(&registrar, MSG_pending_approve, m.meta.pending), 403);
    expect_trust("old", "new");
    close(registrar.channel);
}

static void approved_ones_are_told_and_answered_once_they_are_used(void **state) {
    (void)state;
    gate_sees("new");
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    send_now(&second);
    turns(3);
    assert_null(received(&second));
    assert_string_equal(gate_told(), "new");
    turns(3);
    assert_null(received(&second));
    gate_uses();
    assert_int_equal(status_of(received(&second)), 200);
    assert_int_equal(audit_count("\"trust.anchors\"", "\"done\"", "CN=new", "\"second\"", NULL), 1);
    assert_int_equal(audit_count("\"pending.approve\"", "trust.anchors", NULL), 1);
    expect_trust("new", NULL);
    assert_int_equal(pending_count(), 0);
}

/* The approver is of the old authority alone: it hears that it was done, and is nobody from then on. */
static void approver_that_is_cut_off_by_it_is_answered(void **state) {
    (void)state;
    struct peer clinic = peer_tls(SAN_OF("clinic"));
    gate_sees("new");
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    send_now(&second);
    turns(3);
    assert_string_equal(gate_told(), "new");
    (void)supervisor_heard();
    gate_lost(&second);
    gate_lost(&clinic);
    gate_uses();
    struct heard h = supervisor_heard();
    assert_int_equal(h.killed, 1);
    assert_int_equal(h.last_killed, clinic.number);
    assert_int_equal(status_of(received(&second)), 200);
    assert_false(knows(&second));
    close(clinic.channel);
}

static void newer_file_replaces_what_waits(void **state) {
    (void)state;
    gate_sees("new");
    uint32_t first = m.meta.pending;
    gate_sees("newer");
    assert_int_equal(pending_count(), 1);
    assert_int_equal(settle(&second, MSG_pending_approve, first), 404);
    assert_int_equal(audit_count("\"pending.expired\"", "CN=new\"", NULL), 1);
    expect_trust("old", "newer");
    gate_sees("newer");
    assert_int_equal(audit_count("\"pending.ask\"", "trust.anchors", NULL), 2);
}

static void file_that_changes_back_ends_what_waits(void **state) {
    (void)state;
    gate_sees("new");
    gate_sees("old");
    assert_int_equal(pending_count(), 0);
    expect_trust("old", NULL);
    assert_true(knows(&second));
}

static void refused_ones_are_asked_again_after_a_restart(void **state) {
    (void)state;
    gate_sees("new");
    assert_int_equal(settle(&second, MSG_pending_refuse, m.meta.pending), 200);
    assert_int_equal(pending_count(), 0);
    expect_trust("old", "new");
    turns(3);
    assert_int_equal(pending_count(), 0);
    restart();
    gate_sees("new");
    assert_int_equal(pending_count(), 1);
    expect_trust("old", "new");
}

static void expired_ones_stay_out_of_force(void **state) {
    (void)state;
    m.setup.approve_seconds = 0;
    gate_sees("new");
    turns(5);
    assert_int_equal(pending_count(), 0);
    assert_int_equal(audit_count("\"pending.expired\"", "trust.anchors", NULL), 1);
    assert_string_equal(gate_told(), "");
    expect_trust("old", "new");
}

static void no_worker_sends_authorities(void **state) {
    struct peer p = peer_unix(0);
    (void)state;
    (void)supervisor_heard();
    request(&p, MSG_anchors_seen)->anchors_seen.pem_size = 3;
    send_now(&p);
    turns(2);
    struct heard h = supervisor_heard();
    assert_int_equal(h.killed, 1);
    assert_int_equal(h.last_killed, p.number);
    assert_int_equal(pending_count(), 0);
    close(p.channel);
}

/* ---- a start with other authorities in the file ---- */

static void identity_of_others_at_the_start_counts_for_nothing(void **state) {
    (void)state;
    restart();
    assert_string_equal(gate_told(), "old");
    (void)supervisor_heard();
    gate_sees("new");
    assert_int_equal(pending_count(), 1);
    second = peer_tls(SAN_OF("second"));
    assert_int_equal(supervisor_heard().last_killed, second.number);
    assert_false(knows(&second));
    close(second.channel);
    gate_uses();
    second = peer_tls(SAN_OF("second")); /* by the old ones */
    assert_true(knows(&second));
    expect_trust("old", "new");
}

/* It was vouched for while the vault was sealed. */
static void identity_from_before_the_unsealing_is_lost(void **state) {
    (void)state;
    close(second.channel);
    rig_stop();
    rig_start(true);
    m.setup.approve_seconds = 3600;
    gate_sees("new");
    second = peer_tls(SAN_OF("second"));
    (void)supervisor_heard();
    request(&root, MSG_unseal);
    send_now(&root);
    turn();
    supervisor_credential("root.key");
    assert_int_equal(m.seal, SEAL_UNSEALED);
    assert_int_equal(supervisor_heard().last_killed, second.number);
    assert_false(knows(&second));
    assert_string_equal(gate_told(), "old");
    assert_non_null(received(&root));
    gate_uses();
    assert_false(knows(&second));
    assert_int_equal(pending_count(), 1);
}

static void identity_of_the_same_survives_the_unsealing(void **state) {
    (void)state;
    close(second.channel);
    rig_stop();
    rig_start(true);
    gate_sees("old");
    second = peer_tls(SAN_OF("second"));
    request(&root, MSG_unseal);
    send_now(&root);
    turn();
    supervisor_credential("root.key");
    assert_non_null(received(&root));
    assert_true(knows(&second));
}

static void approval_before_the_file_was_read_again_is_refused(void **state) {
    (void)state;
    gate_sees("new");
    uint32_t number = m.meta.pending;
    restart();
    assert_string_equal(gate_told(), "old");
    gate_sees("old and new");
    gate_uses();
    second = peer_tls(SAN_OF("second"));
    assert_int_equal(settle(&second, MSG_pending_approve, number), 404);
}

static void request_that_waits_survives_a_restart(void **state) {
    (void)state;
    gate_sees("new");
    uint32_t number = m.meta.pending;
    restart();
    gate_sees("new");
    assert_int_equal(m.meta.pending, number);
    assert_string_equal(gate_told(), "old");
    gate_uses();
    second = peer_tls(SAN_OF("second"));
    request(&second, MSG_pending_approve)->pending_approve.number = number;
    send_now(&second);
    turns(3);
    assert_string_equal(gate_told(), "new");
    gate_uses();
    assert_int_equal(status_of(received(&second)), 200);
    restart();
    assert_string_equal(gate_told(), "new");
}

/* Both are there in one turn, the file's change first. */
static void approval_of_what_the_file_no_longer_holds_is_refused(void **state) {
    (void)state;
    gate_sees("new");
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    send_now(&second);
    gate_sees("newer");
    assert_int_equal(status_of(received(&second)), 409);
    assert_string_equal(gate_told(), "");
    assert_int_equal(pending_count(), 1);
    expect_trust("old", "newer");
}

static void approval_that_is_not_durable_changes_nothing(void **state) {
    (void)state;
    gate_sees("new");
    uint32_t number = m.meta.pending;
    request(&second, MSG_pending_approve)->pending_approve.number = number;
    send_now(&second);
    turn_without_writing();
    assert_int_equal(status_of(received(&second)), 503);
    turns(2);
    assert_string_equal(gate_told(), "");
    expect_trust("old", "new");
    assert_true(knows(&second));
    request(&second, MSG_pending_approve)->pending_approve.number = number;
    send_now(&second);
    turns(3);
    assert_string_equal(gate_told(), "new");
}

static void request_is_made_when_a_place_is_free(void **state) {
    static struct message message;
    struct request q = {.monitor = &m, .message = &message, .asker = {.name = "unix:0"}};
    (void)state;
    message_init(&message, MSG_scrub, 0);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    for (unsigned i = 0; i < PENDING_MOST; i++)
        assert_int_equal(pending_keep(&q, "scrub", NULL), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    gate_sees("new");
    assert_int_equal(audit_count("\"pending.ask\"", "trust.anchors", NULL), 0);
    expect_trust("old", "new");
    assert_int_equal(settle(&root, MSG_pending_refuse, m.meta.pending), 200);
    turns(2);
    assert_int_equal(audit_count("\"pending.ask\"", "trust.anchors", NULL), 1);
    assert_int_equal(pending_count(), PENDING_MOST);
}

/* ---- damage ---- */

static void lose_the_kept_ones(void) {
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_META, "anchors", 8, "evil", 4), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static void others_in_place_of_the_kept_ones_are_damage(void **state) {
    (void)state;
    lose_the_kept_ones();
    restart();
    assert_string_equal(gate_told(), "");
    gate_sees("evil");
    second = peer_tls(SAN_OF("second"));
    assert_false(knows(&second));
    assert_string_equal(gate_told(), "");
    assert_int_equal(audit_count("\"trust.anchors\"", NULL), 1);
    gate_sees("old");
    assert_string_equal(gate_told(), "old");
    gate_uses();
    close(second.channel);
    second = peer_tls(SAN_OF("second"));
    assert_true(knows(&second));
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, anchors_set_up, rig_tear_down)
#define FOUR_EYES(test) cmocka_unit_test_setup_teardown(test, four_eyes_set_up, four_eyes_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        ALONE(authorities_are_taken_at_once_while_nobody_could_approve),
        ALONE(same_authorities_after_a_restart_are_recorded_no_more),
        FOUR_EYES(others_wait_for_a_second_person),
        FOUR_EYES(nobody_on_the_socket_approves_them),
        FOUR_EYES(without_the_role_nobody_approves_them),
        FOUR_EYES(approved_ones_are_told_and_answered_once_they_are_used),
        FOUR_EYES(approver_that_is_cut_off_by_it_is_answered),
        FOUR_EYES(newer_file_replaces_what_waits),
        FOUR_EYES(file_that_changes_back_ends_what_waits),
        FOUR_EYES(refused_ones_are_asked_again_after_a_restart),
        FOUR_EYES(expired_ones_stay_out_of_force),
        FOUR_EYES(no_worker_sends_authorities),
        FOUR_EYES(identity_of_others_at_the_start_counts_for_nothing),
        FOUR_EYES(identity_from_before_the_unsealing_is_lost),
        FOUR_EYES(identity_of_the_same_survives_the_unsealing),
        FOUR_EYES(approval_before_the_file_was_read_again_is_refused),
        FOUR_EYES(request_that_waits_survives_a_restart),
        FOUR_EYES(approval_of_what_the_file_no_longer_holds_is_refused),
        FOUR_EYES(approval_that_is_not_durable_changes_nothing),
        FOUR_EYES(request_is_made_when_a_place_is_free),
        FOUR_EYES(others_in_place_of_the_kept_ones_are_damage),
    };
    log_start("test");
    (void)signal(SIGXFSZ, SIG_IGN);
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
