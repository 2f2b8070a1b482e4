/* Who may send what, when: the table's rules as seen from the workers' channels. */
#include "monitor_rig.h"

#include <sys/socket.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"

/* ---- messages out of turn ---- */

/* `offender` has sent what it must not, and root asks in the same turn. */
static void offender_ends_alone(struct peer *offender) {
    (void)supervisor_heard();
    request(&root, MSG_status);
    send_now(&root);
    turn();
    struct heard h = supervisor_heard();
    assert_int_equal(h.killed, 1);
    assert_int_equal(h.last_killed, offender->number);
    assert_int_equal(h.why, WORKER_MISBEHAVED);
    assert_null(received(offender));
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
    assert_false(m.stop);
    close(offender->channel);
}

static void message_that_no_worker_may_send_ends_it(void **state) {
    (void)state;
    static const enum message_type types[] = {MSG_grant, MSG_worker_kill, MSG_object_removed, MSG_answer, MSG_identity};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct peer p = peer_unix(0);
        struct message *q = request(&p, types[i]);
        struct secret *key = NULL;
        if (types[i] == MSG_grant) { /* lent: it has to have a key to be encoded */
            assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
            q->grant.key = key;
        }
        send_now(&p);
        if (types[i] == MSG_grant)
            q->grant.key = NULL;
        secret_free(&key);
        offender_ends_alone(&p);
    }
}

static void request_without_id_ends_the_worker(void **state) {
    (void)state;
    struct peer p = peer_unix(0);
    request(&p, MSG_status)->id = 0;
    send_now(&p);
    offender_ends_alone(&p);
}

static void second_request_before_the_answer_ends_the_worker(void **state) {
    uint8_t file[ID_SIZE];
    (void)state;
    struct peer depositor = peer_tls(SAN_OF("depositor")), clinic = peer_tls(SAN_OF("clinic")), p = peer_unix(0);
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    (void)open_file(&clinic, file);
    withdraw_request(&p, "S-1"); /* its answer waits for the clinic */
    send_now(&p);
    turn();
    request(&p, MSG_status);
    send_now(&p);
    offender_ends_alone(&p);
    close(depositor.channel);
    close(clinic.channel);
}

static void request_of_a_worker_without_client_ends_it(void **state) {
    (void)state;
    struct peer p = peer_new();
    turn();
    request(&p, MSG_status);
    send_now(&p);
    offender_ends_alone(&p);
}

static void packet_that_is_no_message_ends_the_worker(void **state) {
    static const char noise[] = "GET / HTTP/1.1\r\n\r\n";
    (void)state;
    struct peer p = peer_unix(0);
    assert_int_equal(send(p.channel, noise, sizeof(noise), 0), sizeof(noise));
    offender_ends_alone(&p);
}

/* Nothing of what it had queued is looked at, and it is reported once. */
static void offender_is_not_heard_again(void **state) {
    (void)state;
    struct peer p = peer_unix(0);
    (void)supervisor_heard();
    uint64_t before = m.tree.size;
    request(&p, MSG_status)->id = 0;
    send_now(&p);
    for (int i = 0; i < 3; i++) {
        request(&p, MSG_key_list);
        send_now(&p);
    }
    turns(6);
    assert_int_equal(supervisor_heard().killed, 1);
    assert_int_equal(m.tree.size, before);
    close(p.channel);
}

static struct peer dying;

static void say_that_it_is_gone(void *context) {
    struct watch **watch = context;
    loop_remove(m.loop, watch);
    supervisor_gone(dying.number);
}

/* The supervisor tells of the death after the turn has begun, and before the worker's last request is looked at. */
static void death_that_is_heard_before_its_last_request(void **state) {
    struct watch *watch = NULL;
    int ends[2];
    (void)state;
    dying = peer_new();
    turn();
    request(&dying, MSG_status);
    send_now(&dying);
    assert_int_equal(channel_pair(ends), VAULT_OK);
    assert_int_equal(loop_add(m.loop, ends[0], 1, say_that_it_is_gone, &watch, &watch), VAULT_OK);
    close(ends[1]); /* readable */
    turn();
    assert_null(worker_find(&m, dying.number));
    assert_int_equal(supervisor_heard().killed, 0);
    close(ends[0]);
    close(dying.channel);
}

/* ---- roles ---- */

#define R(role) (1u << ROLE_##role)
enum { NOBODY = 0, ANYBODY = R(DEPOSITOR) | R(READER) | R(REGISTRAR) | R(AUDITOR) | R(CUSTODIAN) | R(OPERATOR) };

/* What the roles may ask, as the documentation of the HTTP interface has it. `seal` and `key_rotate` come last: they
 * change what comes after. */
static const struct {
    enum message_type type;
    uint32_t roles;
} rights[] = {
    {MSG_status, ANYBODY},
    {MSG_request_show, ANYBODY},
    {MSG_init, R(CUSTODIAN)},
    {MSG_unseal, R(CUSTODIAN)},
    {MSG_subject_add, R(REGISTRAR)},
    {MSG_subject_change, R(REGISTRAR)},
    {MSG_opt_outs, R(REGISTRAR)},
    {MSG_subject_show, R(REGISTRAR) | R(AUDITOR) | R(OPERATOR)},
    {MSG_subject_shred, R(REGISTRAR) | R(CUSTODIAN)},
    {MSG_file_remove, R(REGISTRAR) | R(CUSTODIAN)},
    {MSG_pending_list, R(REGISTRAR) | R(AUDITOR) | R(CUSTODIAN) | R(OPERATOR)},
    {MSG_pending_approve, R(REGISTRAR) | R(CUSTODIAN) | R(OPERATOR)},
    {MSG_pending_refuse, R(REGISTRAR) | R(CUSTODIAN) | R(OPERATOR)},
    {MSG_subject_list, R(REGISTRAR) | R(AUDITOR) | R(OPERATOR)},
    {MSG_consent_set, R(REGISTRAR)},
    {MSG_consent_show, R(REGISTRAR) | R(AUDITOR)},
    {MSG_consent_withdraw, R(REGISTRAR)},
    {MSG_service_add, R(OPERATOR)},
    {MSG_service_list, R(OPERATOR) | R(AUDITOR)},
    {MSG_service_show, R(OPERATOR) | R(AUDITOR)},
    {MSG_service_revoke, R(OPERATOR) | R(CUSTODIAN)},
    {MSG_project_add, R(OPERATOR)},
    {MSG_project_list, R(OPERATOR) | R(AUDITOR)},
    {MSG_project_close, R(OPERATOR)},
    {MSG_ethics_add, R(OPERATOR)},
    {MSG_ethics_list, R(OPERATOR) | R(AUDITOR)},
    {MSG_ethics_revoke, R(OPERATOR)},
    {MSG_policy_load, R(OPERATOR)},
    {MSG_policy_show, R(OPERATOR) | R(AUDITOR) | R(REGISTRAR)},
    {MSG_policy_replay, R(AUDITOR)},
    {MSG_review_list, R(AUDITOR)},
    {MSG_review_close, R(AUDITOR)},
    {MSG_key_list, R(CUSTODIAN) | R(AUDITOR)},
    {MSG_key_jobs, R(CUSTODIAN) | R(AUDITOR) | R(OPERATOR)},
    {MSG_key_escrow, R(CUSTODIAN)},
    {MSG_key_escrow_list, R(CUSTODIAN) | R(AUDITOR)},
    {MSG_key_escrow_destroyed, R(CUSTODIAN)},
    {MSG_job_pause, R(CUSTODIAN)},
    {MSG_job_resume, R(CUSTODIAN)},
    {MSG_job_rate, R(CUSTODIAN)},
    {MSG_restore, R(CUSTODIAN) | R(OPERATOR)},
    {MSG_restore_confirm, R(CUSTODIAN)},
    {MSG_backup, R(CUSTODIAN) | R(OPERATOR)},
    {MSG_backup_list, R(CUSTODIAN) | R(AUDITOR) | R(OPERATOR)},
    {MSG_audit_tail, R(AUDITOR)},
    {MSG_audit_checkpoint, R(AUDITOR) | R(OPERATOR)},
    {MSG_audit_export, R(AUDITOR)},
    {MSG_audit_records, R(AUDITOR)},
    {MSG_audit_proofs, R(AUDITOR)},
    {MSG_key_rotate, R(CUSTODIAN)},
    {MSG_seal, R(CUSTODIAN) | R(OPERATOR)},
};
enum { RIGHTS = sizeof(rights) / sizeof(rights[0]) };

static struct peer peers_of[ROLE_COUNT];

static void make_peers(void) {
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        char name[32], san[64];
        assert_true(format_string(name, sizeof(name), "only-%s", role_name(role)));
        assert_true(format_string(san, sizeof(san), SAN_OF("%s"), name));
        make_service(name, 1u << role, role == ROLE_READER ? 1u << PURPOSE_TREATMENT : 0);
        peers_of[role] = peer_tls(san);
    }
}

/* True if the answer is about the role; an empty request of a permitted role fails later, or is done. */
static bool refused_by_role(struct peer *p, enum message_type type) {
    request(p, type);
    struct message *answer = ask(p);
    if (status_of(answer) != 403)
        return false;
    assert_true(says(answer, "role-missing"));
    return true;
}

static void each_role_may_ask_what_the_table_says_and_no_more(void **state) {
    (void)state;
    make_peers();
    for (size_t i = 0; i < RIGHTS; i++)
        for (unsigned role = 0; role < ROLE_COUNT; role++) {
            bool permitted = (rights[i].roles >> role & 1) != 0;
            if (permitted && rights[i].type == MSG_seal)
                continue; /* seal_wipes_the_keys is its test */
            bool refused = refused_by_role(&peers_of[role], rights[i].type);
            if (refused == permitted)
                print_error("%s: role %s\n", message_name(rights[i].type), role_name(role));
            assert_int_equal(refused, !permitted);
            uint32_t content = R(DEPOSITOR) | R(READER);
            assert_true(rights[i].roles == ANYBODY || (rights[i].roles & content) == 0);
        }
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        close(peers_of[role].channel);
}

static void administrators_neither_read_nor_deposit(void **state) {
    uint8_t file[ID_SIZE];
    (void)state;
    make_peers();
    deposit_file(&peers_of[ROLE_DEPOSITOR], "S-1", "genome.cram", 100, 1, file);
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        struct peer *p = &peers_of[role];
        open_request(p, file, PURPOSE_TREATMENT);
        assert_int_equal(ask_status(p), role == ROLE_READER ? 0 : 403);
        create_request(p, "S-1", "other.cram");
        assert_int_equal(ask_status(p), role == ROLE_DEPOSITOR ? 0 : 403);
    }
    open_request(&root, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&root), 403);
    create_request(&root, "S-1", "other.cram");
    assert_int_equal(ask_status(&root), 403);
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        close(peers_of[role].channel);
}

static void local_users_other_than_the_administrators_are_401(void **state) {
    (void)state;
    struct peer stranger = peer_unix(1000), administrator = peer_unix(4711);
    request(&stranger, MSG_status);
    assert_int_equal(ask_status(&stranger), 401);
    request(&administrator, MSG_subject_list);
    assert_int_equal(ask_status(&administrator), 200);
    close(stranger.channel);
    close(administrator.channel);
}

static void too_many_connections_of_a_service_are_429(void **state) {
    struct peer p[9];
    (void)state;
    for (size_t i = 0; i < 9; i++)
        p[i] = peer_tls(SAN_OF("clinic"));
    request(&p[0], MSG_status);
    assert_int_equal(ask_status(&p[0]), 429);
    peer_end(&p[8]);
    request(&p[0], MSG_status);
    assert_int_equal(ask_status(&p[0]), 200);
    for (size_t i = 0; i < 8; i++)
        close(p[i].channel);
}

static void request_show_answers_only_who_asked(void **state) {
    uint8_t wanted[ID_SIZE];
    (void)state;
    struct peer depositor = peer_tls(SAN_OF("depositor")), clinic = peer_tls(SAN_OF("clinic"));
    create_request(&depositor, "S-1", "genome.cram");
    struct message *answer = ask(&depositor);
    assert_int_equal(answer->type, MSG_upload);
    COPY_ARRAY(wanted, answer->upload.request);
    struct peer *const askers[] = {&depositor, &clinic, &root};
    static const unsigned expected[] = {200, 404, 200};
    for (size_t i = 0; i < 3; i++) {
        COPY_ARRAY(request(askers[i], MSG_request_show)->request_show.wanted, wanted);
        assert_int_equal(ask_status(askers[i]), expected[i]);
    }
    wanted[0] ^= 1;
    COPY_ARRAY(request(&depositor, MSG_request_show)->request_show.wanted, wanted);
    assert_int_equal(ask_status(&depositor), 404);
    close(depositor.channel);
    close(clinic.channel);
}

/* What a patient decided, and what does not exist, look the same to a service. */
static void refusal_says_nothing_of_the_patient(void **state) {
    static uint8_t first[JSON_MAX];
    static const uint8_t unknown[ID_SIZE] = {1};
    uint8_t file[ID_SIZE];
    (void)state;
    struct peer depositor = peer_tls(SAN_OF("depositor")), clinic = peer_tls(SAN_OF("clinic"));
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    withdraw_request(&root, "S-1");
    assert_int_equal(ask_status(&root), 200);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    struct message *answer = ask(&clinic);
    assert_int_equal(status_of(answer), 403);
    uint32_t size = answer->answer.json_size;
    copy_bytes(first, sizeof(first), answer->answer.json, size);
    open_request(&clinic, unknown, PURPOSE_TREATMENT);
    answer = ask(&clinic);
    assert_int_equal(answer->answer.json_size, size);
    assert_memory_equal(answer->answer.json, first, size);
    close(depositor.channel);
    close(clinic.channel);
}

static struct message *refusal_request(struct peer *p, uint32_t status) {
    struct msg_refusal *r = &request(p, MSG_refusal)->refusal;
    r->status = status;
    copy_string(r->rule, sizeof(r->rule), "range");
    copy_string(r->text, sizeof(r->text), "malformed Range header");
    return ask(p);
}

static void refusal_is_recorded(void **state) {
    char number[40], id[2 * ID_SIZE + 1];
    (void)state;
    struct peer clinic = peer_tls(SAN_OF("clinic")), stranger = peer_tls(SAN_OF("stranger"));
    uint64_t before = m.tree.size;
    struct message *answer = refusal_request(&clinic, 416);
    assert_int_equal(status_of(answer), 416);
    assert_int_equal(answer->answer.seq, before + 1);
    assert_int_equal(m.tree.size, before + 1);
    hex_encode(id, sizeof(id), answer->answer.request, ID_SIZE);
    assert_true(format_string(number, sizeof(number), "\"seq\":%llu,", (unsigned long long)before));
    assert_int_equal(status_of(refusal_request(&stranger, 416)), 401);
    assert_int_equal(audit_count(number, id, "\"event\":\"request\"", "\"outcome\":\"denied\"", "\"clinic\"",
                                 "\"rule\":\"range\"", "malformed Range header", NULL),
                     1);
    assert_int_equal(audit_count("malformed Range header", NULL), 1);
    close(clinic.channel);
    close(stranger.channel);
}

/* vaultctl asks for it when it did not see the answer. */
static void refusal_leaves_the_exit_status_of_its_kind(void **state) {
    static const struct {
        uint32_t status;
        const char *expected;
    } cases[] = {{400, "\"status\":2"},
                 {403, "\"status\":3"},
                 {404, "\"status\":4"},
                 {413, "\"status\":1"},
                 {422, "\"status\":6"}};
    (void)state;
    struct peer clinic = peer_tls(SAN_OF("clinic"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t wanted[ID_SIZE];
        COPY_ARRAY(wanted, refusal_request(&clinic, cases[i].status)->answer.request);
        COPY_ARRAY(request(&clinic, MSG_request_show)->request_show.wanted, wanted);
        assert_true(says(ask(&clinic), cases[i].expected));
    }
    close(clinic.channel);
}

static void refusal_that_is_none_ends_the_worker(void **state) {
    static const uint32_t statuses[] = {0, 200, 399, 500, UINT32_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct peer p = peer_tls(SAN_OF("clinic"));
        request(&p, MSG_refusal)->refusal.status = statuses[i];
        send_now(&p);
        offender_ends_alone(&p);
    }
}

#define VAULT(test) cmocka_unit_test_setup_teardown(test, vault_set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        VAULT(message_that_no_worker_may_send_ends_it),
        VAULT(request_without_id_ends_the_worker),
        VAULT(second_request_before_the_answer_ends_the_worker),
        VAULT(request_of_a_worker_without_client_ends_it),
        VAULT(packet_that_is_no_message_ends_the_worker),
        VAULT(offender_is_not_heard_again),
        VAULT(death_that_is_heard_before_its_last_request),
        VAULT(each_role_may_ask_what_the_table_says_and_no_more),
        VAULT(administrators_neither_read_nor_deposit),
        VAULT(local_users_other_than_the_administrators_are_401),
        VAULT(too_many_connections_of_a_service_are_429),
        VAULT(request_show_answers_only_who_asked),
        VAULT(refusal_says_nothing_of_the_patient),
        VAULT(refusal_is_recorded),
        VAULT(refusal_leaves_the_exit_status_of_its_kind),
        VAULT(refusal_that_is_none_ends_the_worker),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
