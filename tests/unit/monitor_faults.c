/* A disk that is full or fails, and values that are damaged: nothing is acknowledged that is not durable. */
#include "monitor_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"
#include "vault/log.h"
#include "vault/result.h"

static struct peer clinic, depositor;
static uint8_t file[ID_SIZE];

static int fault_set_up(void **state) {
    vault_set_up(state);
    depositor = peer_tls(SAN_OF("depositor"));
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    clinic = peer_tls(SAN_OF("clinic"));
    return 0;
}

static int fault_tear_down(void **state) {
    close(clinic.channel);
    close(depositor.channel);
    return rig_tear_down(state);
}

static void subject_request(struct peer *p, const char *subject) {
    struct message *q = request(p, MSG_subject_add);
    copy_string(q->subject_add.subject, sizeof(q->subject_add.subject), subject);
}

static bool subject_is_there(const char *subject) {
    struct message *q = request(&root, MSG_subject_show);
    copy_string(q->subject_show.subject, sizeof(q->subject_show.subject), subject);
    unsigned status = ask_status(&root);
    assert_true(status == 200 || status == 404);
    return status == 200;
}

static void batch_that_fails_to_commit_refuses_every_answer(void **state) {
    (void)state;
    uint64_t records = m.tree.size;
    open_request(&clinic, file, PURPOSE_TREATMENT);
    send_now(&clinic);
    subject_request(&root, "S-2");
    send_now(&root);
    create_request(&depositor, "S-1", "other.cram");
    send_now(&depositor);
    turn_without_writing();
    struct peer *const all[] = {&clinic, &root, &depositor};
    for (size_t i = 0; i < 3; i++) {
        struct message *answer = received(all[i]);
        assert_non_null(answer);
        assert_int_equal(status_of(answer), 503);
    }
    assert_null(m.grants);
    assert_false(m.stop);
    assert_int_equal(m.tree.size, records);
    assert_false(subject_is_there("S-2"));
    subject_request(&root, "S-2"); /* the vault goes on */
    assert_int_equal(ask_status(&root), 201);
    (void)open_file(&clinic, file);
}

static void withdrawal_that_fails_to_commit_ends_nothing(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    withdraw_request(&root, "S-1");
    send_now(&root);
    turn_without_writing();
    assert_int_equal(status_of(received(&root)), 503);
    assert_null(received(&clinic));
    COPY_ARRAY(request(&clinic, MSG_page_get)->page_get.grant, g.grant);
    assert_int_equal(ask(&clinic)->type, MSG_page);
    withdraw_request(&root, "S-1");
    send_now(&root);
    turn();
    assert_null(received(&root)); /* and the second try waits as it should */
    assert_int_equal(received(&clinic)->type, MSG_revoke);
    peer_end(&clinic);
    clinic.channel = -1;
    assert_int_equal(status_of(received(&root)), 200);
}

/* Its grant is durable, and it changes nothing. */
static void page_waits_for_no_commit(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    subject_request(&root, "S-2");
    send_now(&root);
    COPY_ARRAY(request(&clinic, MSG_page_get)->page_get.grant, g.grant);
    send_now(&clinic);
    turn_without_writing();
    assert_int_equal(status_of(received(&root)), 503);
    assert_int_equal(received(&clinic)->type, MSG_page);
    (void)open_file(&clinic, file); /* and its worker may ask the next */
}

static void revoke_clinic(void) {
    turn(); /* nobody is left of the turn before: who sends first is heard first */
    struct message *q = request(&root, MSG_service_revoke);
    copy_string(q->service_revoke.name, sizeof(q->service_revoke.name), "clinic");
    send_now(&root);
}

static void clinic_asks(void) {
    struct message *q = request(&clinic, MSG_inquire);
    q->inquire.purpose = PURPOSE_TREATMENT;
    copy_string(q->inquire.subject, sizeof(q->inquire.subject), "S-1");
}

/* Of each connection it is kept which service it is: never longer than that is so. */
static void service_is_what_is_durable_of_it(void **state) {
    (void)state;
    clinic_asks();
    assert_int_equal(ask_status(&clinic), 200);
    revoke_clinic();
    clinic_asks(); /* the first to see that it was revoked */
    send_now(&clinic);
    turn_without_writing();
    assert_int_equal(status_of(received(&root)), 503);
    assert_int_equal(status_of(received(&clinic)), 503);
    clinic_asks(); /* it was not */
    assert_int_equal(ask_status(&clinic), 200);
    revoke_clinic();
    clinic_asks();
    send_now(&clinic);
    turn();
    assert_int_equal(status_of(received(&root)), 200);
    assert_int_equal(status_of(received(&clinic)), 401);
    clinic_asks();
    assert_int_equal(ask_status(&clinic), 401);
}

/* Granted and ended in one batch that failed: it never was, and stands in nobody's way. */
static void grant_of_a_failed_batch_never_was(void **state) {
    (void)state;
    open_request(&clinic, file, PURPOSE_TREATMENT);
    send_now(&clinic);
    withdraw_request(&root, "S-1");
    send_now(&root);
    turn_without_writing();
    assert_int_equal(status_of(received(&clinic)), 503);
    assert_int_equal(status_of(received(&root)), 503);
    assert_null(m.grants);
    withdraw_request(&root, "S-1");
    assert_int_equal(ask_status(&root), 200);
    request(&root, MSG_seal);
    send_now(&root);
    turn();
    supervisor_ends_sealed();
    assert_int_equal(status_of(received(&root)), 200);
}

static void closing_that_fails_to_commit_is_made_up_for(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    COPY_ARRAY(request(&clinic, MSG_grant_close)->grant_close.grant, g.grant);
    send_now(&clinic);
    turn_without_writing();
    assert_int_equal(status_of(received(&clinic)), 503);
    assert_int_equal(audit_count("\"event\":\"read.close\"", NULL), 0);
    peer_end(&clinic);
    clinic.channel = -1;
    turn();
    assert_int_equal(audit_count("\"event\":\"read.close\"", NULL), 1);
    assert_null(m.grants);
}

/* Its closing failed with its end; the withdrawal after that waits for it, and must not wait for ever. */
static void withdrawal_does_not_wait_for_who_is_gone(void **state) {
    (void)state;
    (void)open_file(&clinic, file);
    close(clinic.channel);
    clinic.channel = -1;
    supervisor_gone(clinic.number);
    turn_without_writing();
    withdraw_request(&root, "S-1");
    send_now(&root);
    turns_for(200); /* asks for its end by force */
    supervisor_gone(clinic.number);
    turn();
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
}

static void seal_that_fails_to_commit_seals_nothing(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    (void)supervisor_heard();
    request(&root, MSG_seal);
    send_now(&root);
    turn_without_writing();
    assert_int_equal(status_of(received(&root)), 503);
    assert_int_equal(m.seal, SEAL_UNSEALED);
    assert_int_equal(supervisor_heard().killed, 0);
    COPY_ARRAY(request(&clinic, MSG_page_get)->page_get.grant, g.grant);
    assert_int_equal(ask(&clinic)->type, MSG_page);
    withdraw_request(&root, "S-1"); /* the grant is still known, and still waited for */
    send_now(&root);
    turn();
    assert_null(received(&root));
}

/* ---- space ---- */

static int small_set_up(void **state) {
    rig_set_up(state);
    if (!rig_small_disk(1536))
        return 0;
    rig_start(false);
    make_vault();
    make_world();
    return 0;
}

static const char *ballast(void) {
    static char path[128];
    assert_true(format_string(path, sizeof(path), "%s/state/ballast", rig_folder()));
    return path;
}

static void fill_the_disk(void) {
    static const char zeros[4096];
    int fd = open(ballast(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        continue;
    close(fd);
}

/* Adds N-0, N-1, ... until one is refused; the number of those acknowledged. */
static unsigned add_until_refused(unsigned *ret_status) {
    enum { ENOUGH = 2000 };
    char name[16];
    for (unsigned n = 0; n < ENOUGH; n++) {
        assert_true(format_string(name, sizeof(name), "N-%u", n));
        subject_request(&root, name);
        *ret_status = ask_status(&root);
        if (*ret_status != 201)
            return n;
    }
    return ENOUGH;
}

static void full_state_is_507_and_loses_nothing_acknowledged(void **state) {
    unsigned status = 0;
    char name[16];
    (void)state;
    if (m.loop == NULL)
        skip(); /* no permission to mount */
    fill_the_disk();
    unsigned added = add_until_refused(&status);
    assert_int_equal(status, 507);
    struct peer p = peer_tls(SAN_OF("depositor"));
    create_request(&p, "S-1", "genome.cram");
    assert_int_equal(ask_status(&p), 507);
    assert_false(m.stop);
    assert_int_equal(unlink(ballast()), 0);
    subject_request(&root, "after");
    assert_int_equal(ask_status(&root), 201);
    create_request(&p, "S-1", "genome.cram");
    assert_int_equal(ask(&p)->type, MSG_upload);
    close(p.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    for (unsigned n = 0; n < added; n++) {
        assert_true(format_string(name, sizeof(name), "N-%u", n));
        assert_true(subject_is_there(name));
    }
    assert_true(format_string(name, sizeof(name), "N-%u", added));
    assert_false(subject_is_there(name));
    assert_int_equal(m.meta.subjects, added + 2);
}

/* ---- damage ---- */

static void overwrite(enum index_db db, const void *key, size_t size) {
    static const char noise[] = "this was never sealed for this place";
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, db, key, size, noise, sizeof(noise)), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static void damage_fails_its_own_request_only(void **state) {
    struct file_value f;
    (void)state;
    assert_int_equal(index_get_record(m.index, DB_FILES, file, ID_SIZE, &layout_file_value, &f), VAULT_OK);
    overwrite(DB_BLOBS, f.blob, ID_SIZE);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    send_now(&clinic);
    subject_request(&root, "S-2");
    send_now(&root);
    turn();
    struct message *answer = received(&clinic);
    assert_int_equal(status_of(answer), 500);
    assert_true(says(answer, "urn:vault:problem:integrity"));
    assert_int_equal(status_of(received(&root)), 201);
    assert_int_equal(audit_count("\"failed\"", "\"integrity\"", "\"S-1\"", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"read\"", "\"permitted\"", NULL), 0);
}

static void damaged_consent_ends_what_was_granted_under_it(void **state) {
    uint8_t key[HASH_SIZE + 4];
    (void)state;
    (void)open_file(&clinic, file);
    name_hash(&m, NAME_SUBJECT, "S-1", NULL, key);
    put_be32(key + HASH_SIZE, 1);
    overwrite(DB_CONSENTS, key, sizeof(key));
    struct message *q = request(&root, MSG_project_close); /* any change that has all grants decided again */
    copy_string(q->project_close.name, sizeof(q->project_close.name), "P1");
    send_now(&root);
    turn();
    assert_null(received(&root));
    assert_int_equal(received(&clinic)->type, MSG_revoke);
}

/* One of a register whose entry is damaged keeps nobody else from being opted out. */
static void damaged_subject_of_a_register_is_told(void **state) {
    struct subject_value s, kept;
    uint8_t key[HASH_SIZE];
    (void)state;
    make_subject("S-2");
    make_subject("S-3");
    name_hash(&m, NAME_SUBJECT, "S-2", NULL, key);
    assert_int_equal(find_subject(&m, "S-2", &kept), VAULT_OK);
    overwrite(DB_SUBJECTS, key, sizeof(key));
    struct message *q = request(&root, MSG_opt_outs);
    copy_string(q->opt_outs.subjects, sizeof(q->opt_outs.subjects), "S-1,S-2,S-3,S-4");
    send_now(&root);
    turn();
    struct message *answer = received(&root);
    assert_int_equal(status_of(answer), 200);
    assert_true(says(answer, "{\"state\":\"damaged\",\"subject\":\"S-2\"}"));
    assert_true(says(answer, "{\"state\":\"unknown\",\"subject\":\"S-4\"}"));
    assert_int_equal(find_subject(&m, "S-1", &s), VAULT_OK);
    assert_true(s.opt_out);
    assert_int_equal(find_subject(&m, "S-3", &s), VAULT_OK);
    assert_true(s.opt_out);
    assert_int_equal(audit_count("\"event\":\"subject.change\"", "\"failed\"", "\"S-2\"", "integrity", NULL), 1);
    /* The entry from before is no way around it. */
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put_record(m.index, DB_SUBJECTS, key, sizeof(key), &layout_subject_value, &kept), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_int_equal(find_subject(&m, "S-2", &s), VAULT_E_DAMAGED);
}

/* The subject's chain is damaged: the commit fails after it changed something, and nothing of it may stay. */
static struct deposit commit_that_fails_midway(void) {
    uint8_t chain[HASH_SIZE];
    struct deposit d = deposit_begin(&depositor, "S-1", "other.cram");
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    name_hash(&m, NAME_CHAIN_SUBJECT, "S-1", NULL, chain);
    overwrite(DB_CHAINS, chain, HASH_SIZE);
    commit_request(&depositor, &d, 1);
    send_now(&depositor);
    return d;
}

static void half_made_change_takes_the_batch_with_it(void **state) {
    (void)state;
    uint64_t files = m.meta.files;
    (void)commit_that_fails_midway();
    turn();
    assert_int_equal(status_of(received(&depositor)), 503);
    assert_int_equal(m.meta.files, files);
    assert_false(m.stop);
    subject_request(&root, "S-2");
    assert_int_equal(ask_status(&root), 201);
}

/* The index cannot even be opened again: the core asks to be started anew, and touches nothing more. */
static void index_that_cannot_be_reopened_ends_the_core(void **state) {
    char from[128], to[128];
    (void)state;
    (void)commit_that_fails_midway();
    subject_request(&root, "S-2"); /* comes after it in the same turn */
    send_now(&root);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    send_now(&clinic);
    assert_true(format_string(from, sizeof(from), "%s/state/index", rig_folder()));
    assert_true(format_string(to, sizeof(to), "%s/twin/index", rig_folder()));
    assert_int_equal(rename(from, to), 0);
    turn();
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(status_of(received(&depositor)), 503);
    assert_true(m.stop);
    assert_int_equal(m.exit_status, 74);
    struct message *answer = received(&clinic);
    assert_true(answer == NULL || status_of(answer) >= 500);
    answer = received(&root);
    assert_true(answer == NULL || status_of(answer) >= 500);
    rig_stop();
    assert_true(rig_start_unsealed());
    assert_false(subject_is_there("S-2"));
}

/* It opens, but what it says of itself is gone: nothing of the batch may come back by what is in memory. */
static void index_that_cannot_be_read_again_is_let_go(void **state) {
    (void)state;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_META, "meta", sizeof("meta"), "x", 1), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    subject_request(&root, "S-2");
    send_now(&root);
    turn_without_writing();
    assert_int_equal(status_of(received(&root)), 503);
    assert_true(m.stop);
    assert_null(m.index);
    assert_null(m.records);
}

#define FAULT(test) cmocka_unit_test_setup_teardown(test, fault_set_up, fault_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        FAULT(batch_that_fails_to_commit_refuses_every_answer),
        FAULT(withdrawal_that_fails_to_commit_ends_nothing),
        FAULT(page_waits_for_no_commit),
        FAULT(service_is_what_is_durable_of_it),
        FAULT(grant_of_a_failed_batch_never_was),
        FAULT(closing_that_fails_to_commit_is_made_up_for),
        FAULT(withdrawal_does_not_wait_for_who_is_gone),
        FAULT(seal_that_fails_to_commit_seals_nothing),
        cmocka_unit_test_setup_teardown(full_state_is_507_and_loses_nothing_acknowledged, small_set_up, rig_tear_down),
        FAULT(damage_fails_its_own_request_only),
        FAULT(damaged_consent_ends_what_was_granted_under_it),
        FAULT(damaged_subject_of_a_register_is_told),
        FAULT(half_made_change_takes_the_batch_with_it),
        FAULT(index_that_cannot_be_reopened_ends_the_core),
        FAULT(index_that_cannot_be_read_again_is_let_go),
    };
    signal(SIGXFSZ, SIG_IGN); /* a write beyond RLIMIT_FSIZE is to fail, not to kill */
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
