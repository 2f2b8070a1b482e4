/* Other keys for the audit and for the index, while the vault serves, and what deaths on the way leave. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "vault/checkpoint.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/ring.h"

static unsigned rotate(const char *what) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), what);
    return ask_status(&root);
}

/* A folder in which nothing can be made, in the place of one of those of the ring's copies: its store fails there. */
static int lost_folder(void) {
    char name[] = "/tmp/vault-lost.XXXXXX";
    assert_non_null(mkdtemp(name));
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0 && rmdir(name) == 0);
    return fd;
}

/* The monitor ends at the store of the ring, before (`first`) or after its first copy was replaced. */
static void rotate_and_stop(const char *what, bool first) {
    int *place = first ? &m.place.directory : &m.place.twin_directory;
    int whole = *place;
    *place = lost_folder();
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), what);
    send_now(&root);
    turns(3);
    assert_null(received(&root));
    assert_true(m.stop);
    assert_int_equal(m.exit_status, 74);
    close(*place);
    *place = whole;
    rig_stop();
}

static void rotate_and_die(const char *what, bool first) {
    rotate_and_stop(what, first);
    assert_true(rig_start_unsealed());
}

/* Flips a bit of the first entry of a database, or flips it back, while the vault does not run. */
static void flip_in_file(const char *db) {
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    MDB_cursor *c;
    MDB_val k, v;
    static uint8_t value[4096];
    assert_int_equal(chdir(rig_folder()), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "state/index", 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    assert_int_equal(mdb_dbi_open(t, db, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(t, dbi, &c), 0);
    assert_int_equal(mdb_cursor_get(c, &k, &v, MDB_FIRST), 0);
    assert_true(v.mv_size < sizeof(value));
    copy_bytes(value, sizeof(value), v.mv_data, v.mv_size);
    value[30] ^= 1;
    v.mv_data = value;
    assert_int_equal(mdb_cursor_put(c, &k, &v, MDB_CURRENT), 0);
    mdb_cursor_close(c);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
}

static void vkey_now(char ret[CHECKPOINT_VKEY_MAX]) {
    assert_int_equal(audit_key_vkey(&m, ret), VAULT_OK);
}

/* ---- the audit's key ---- */

static void checkpoint_is_signed_by(const char *vkey, bool expected) {
    struct checkpoint c;
    request(&root, MSG_audit_checkpoint);
    json_t *json = document_of(ask(&root));
    int result = checkpoint_verify(json_string_value(json_object_get(json, "checkpoint")), vkey, &c);
    assert_int_equal(result == VAULT_OK, expected);
    json_decref(json);
}

static void audit_key_is_changed_and_its_record_names_both(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    uint64_t number = m.tree.size, epoch = m.meta.epoch;
    assert_int_equal(rotate("audit"), 200);
    vkey_now(after);
    assert_string_not_equal(before, after);
    assert_int_equal(m.tree.size, number + 1);
    assert_int_equal(m.meta.epoch, epoch + 1);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", before, after, "\"from_signature\":", NULL), 1);
    checkpoint_is_signed_by(after, true);
    checkpoint_is_signed_by(before, false);
    request(&root, MSG_key_list);
    assert_true(says(ask(&root), after));
    rig_stop();
    assert_true(rig_start_unsealed());
    checkpoint_is_signed_by(after, true);
    assert_int_equal(rotate("audit"), 200);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 2);
}

static void death_before_the_ring_leaves_the_old_audit_key_and_no_record(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    rotate_and_die("audit", true);
    vkey_now(after);
    assert_string_equal(before, after);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 0);
    assert_int_equal(rotate("audit"), 200);
}

static void death_after_the_ring_leaves_the_new_audit_key_and_its_record(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    rotate_and_die("audit", false);
    vkey_now(after);
    assert_string_not_equal(before, after);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", before, after, "it was interrupted", NULL), 1);
    checkpoint_is_signed_by(after, true);
    assert_int_equal(rotate("audit"), 200);
}

/* The change is the first entry of its database. */
static void damaged_change_of_the_audit_key_is_told_and_the_vault_serves(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    rotate_and_stop("audit", false);
    flip_in_file("meta");
    assert_true(rig_start_unsealed());
    vkey_now(after);
    assert_string_not_equal(before, after);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 0);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "leads nobody to the new one", NULL), 1);
    assert_int_equal(rotate("audit"), 200);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 1);
}

/* Others' requests of the turn are recorded before, and the change's record is the next, as was signed. */
static void change_of_the_audit_key_shares_its_turn_with_others(void **state) {
    struct peer one = peer_unix(0), other = peer_unix(0);
    (void)state;
    request(&one, MSG_key_list);
    send_now(&one);
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "audit");
    send_now(&root);
    request(&other, MSG_key_list);
    send_now(&other);
    turns(2);
    assert_int_equal(status_of(received(&one)), 200);
    assert_int_equal(status_of(received(&root)), 200);
    assert_int_equal(status_of(received(&other)), 200);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 1);
    close(one.channel);
    close(other.channel);
}

/* ---- the index's key ---- */

/* What is begun now waits, until jobs_go. */
static void jobs_wait(void) {
    struct job_value first = {.total = 1, .paused = 1};
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_begin(&m, job_turn.what, &first), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    turns(2);
}

static void jobs_go(void) {
    request(&root, MSG_job_resume)->job_resume.number = m.meta.jobs_ended + 1;
    send_now(&root);
    for (unsigned n = 0; n < 400 && !m.stop && m.meta.jobs_ended < m.meta.jobs; n++)
        turn();
}

static enum check_state checked(void) {
    m.check = CHECK_WAITING;
    for (unsigned n = 0; n < 400 && (m.check == CHECK_WAITING || m.check == CHECK_RUNNING); n++)
        turn();
    return m.check;
}

static void expect_index_key(uint32_t generation, bool both) {
    assert_int_equal(keyring_index_generation(m.keyring), generation);
    assert_int_equal(keyring_next_index_key(m.keyring) != NULL, both);
    assert_int_equal(index_is_resealing(m.index), both);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    request(&root, MSG_subject_list);
    assert_true(says(ask(&root), "S-1"));
    assert_int_equal(checked(), CHECK_WHOLE);
}

static void start_again(void) {
    rig_stop();
    assert_true(rig_start_unsealed());
}

static void index_gets_another_key(void **state) {
    (void)state;
    assert_int_equal(rotate("index"), 202);
    jobs_finish();
    expect_index_key(2, false);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "index to generation 2", "0 damaged\"", NULL), 1);
    start_again();
    expect_index_key(2, false);
    assert_int_equal(rotate("index"), 202);
    jobs_finish();
    start_again();
    expect_index_key(3, false);
}

static void index_is_used_under_both_keys_and_over_restarts(void **state) {
    (void)state;
    jobs_wait();
    assert_int_equal(rotate("index"), 202);
    assert_int_equal(rotate("index"), 409);
    expect_index_key(1, true);
    struct message *q = request(&root, MSG_job_rate);
    q->job_rate.number = 2;
    q->job_rate.rate = 40;
    assert_int_equal(ask_status(&root), 200);
    request(&root, MSG_job_resume)->job_resume.number = 1;
    assert_int_equal(ask_status(&root), 200);
    for (unsigned n = 0; n < 3; n++) {
        turns_for(150);
        make_subject(n == 0 ? "one" : n == 1 ? "two" : "three");
        expect_index_key(1, true);
        start_again();
        expect_index_key(1, true);
    }
    q = request(&root, MSG_job_rate);
    q->job_rate.number = 2;
    assert_int_equal(ask_status(&root), 200);
    jobs_finish();
    expect_index_key(2, false);
}

static void death_before_the_ring_leaves_the_index_key_as_it_was(void **state) {
    (void)state;
    rotate_and_die("index", true);
    jobs_finish();
    expect_index_key(1, false);
    assert_int_equal(m.meta.jobs, 0);
    assert_int_equal(rotate("index"), 202);
    jobs_finish();
    expect_index_key(2, false);
}

static void death_after_the_ring_goes_on_with_both_index_keys(void **state) {
    (void)state;
    rotate_and_die("index", false);
    assert_int_equal(m.meta.jobs, 1);
    jobs_finish();
    expect_index_key(2, false);
}

/* Dies when the key before is to go, before or after it went. */
static void die_at_the_end(bool first) {
    jobs_wait();
    assert_int_equal(rotate("index"), 202);
    int *place = first ? &m.place.directory : &m.place.twin_directory;
    int whole = *place;
    *place = lost_folder();
    jobs_go();
    assert_true(m.stop);
    close(*place);
    *place = whole;
    start_again();
    jobs_finish();
    expect_index_key(2, false);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "index to generation 2", NULL), 1);
    start_again();
    expect_index_key(2, false);
}

static void death_before_the_key_goes_ends_it_later(void **state) {
    (void)state;
    die_at_the_end(true);
}

static void death_after_the_key_went_is_recorded_later(void **state) {
    (void)state;
    die_at_the_end(false);
}

/* The job has nothing to do but to wait: it does not spin, and the key before goes when the ring can be written. */
static void key_before_stays_while_the_ring_has_no_space(void **state) {
    char name[] = "/tmp/vault-small.XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(name));
    if (mount("tmpfs", name, "tmpfs", 0, "size=60k") != 0) {
        rmdir(name);
        skip();
    }
    jobs_wait();
    assert_int_equal(rotate("index"), 202);
    int whole = m.place.twin_directory;
    m.place.twin_directory = open(name, O_RDONLY | O_DIRECTORY);
    jobs_go();
    assert_false(m.stop);
    assert_int_equal(m.meta.jobs_ended, 1);
    assert_non_null(keyring_next_index_key(m.keyring));
    (void)received(&root); /* of the order to go on */
    assert_in_range(jobs_tick(&m), 1, 1000);
    assert_in_range(turns_in(2500), 2, 40);
    close(m.place.twin_directory);
    m.place.twin_directory = whole;
    for (unsigned n = 0; n < 30 && m.meta.jobs_ended == 1; n++)
        turns_for(100);
    expect_index_key(2, false);
    assert_int_equal(umount2(name, MNT_DETACH) | rmdir(name), 0);
}

static void flip(const char *db) {
    rig_stop();
    flip_in_file(db);
    assert_true(rig_start_unsealed());
}

static void damaged_entry_keeps_the_key_before_until_it_is_mended(void **state) {
    (void)state;
    flip("consents");
    assert_int_equal(rotate("index"), 202);
    jobs_finish();
    assert_int_equal(keyring_index_generation(m.keyring), 1);
    assert_non_null(keyring_next_index_key(m.keyring));
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "\"outcome\":\"failed\"", "the key before is kept", NULL),
                     1);
    start_again();
    assert_int_equal(rotate("index"), 202); /* it is met again */
    jobs_finish();
    assert_int_equal(keyring_index_generation(m.keyring), 1);
    flip("consents");
    assert_int_equal(rotate("index"), 202);
    jobs_finish();
    expect_index_key(2, false);
}

static void damaged_entry_is_left_behind_when_that_is_said(void **state) {
    (void)state;
    flip("consents");
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "index");
    q->key_rotate.leave_damaged = 1;
    assert_int_equal(ask_status(&root), 202);
    jobs_finish();
    assert_int_equal(keyring_index_generation(m.keyring), 2);
    assert_null(keyring_next_index_key(m.keyring));
    assert_int_equal(checked(), CHECK_DAMAGED);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "1 damaged: left behind, no key opens them", NULL), 1);
}

/* Where the only page of a database is in the file. */
static off_t page_of(const char *db) {
    enum { ROOT_AT = 40 }; /* in LMDB's struct of a database */
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    MDB_stat stat;
    MDB_val k = {.mv_size = strlen(db), .mv_data = (void *)(uintptr_t)db}, v;
    uint64_t root_page = 0;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "state/index", MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &t), 0);
    assert_int_equal(mdb_dbi_open(t, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_get(t, dbi, &k, &v), 0);
    copy_bytes(&root_page, sizeof(root_page), (const uint8_t *)v.mv_data + ROOT_AT, sizeof(root_page));
    assert_int_equal(mdb_env_stat(env, &stat), 0);
    mdb_txn_abort(t);
    mdb_env_close(env);
    return (off_t)(root_page * stat.ms_psize);
}

/* A transaction that meets such a page commits nothing: the job must not take the others' with it for ever. */
static void page_that_cannot_be_read_ends_the_job_and_keeps_the_key(void **state) {
    enum { FLAGS_AT = 10 };
    static const uint8_t no_page[2];
    (void)state;
    rig_stop();
    assert_int_equal(chdir(rig_folder()), 0);
    off_t page = page_of("consents");
    int fd = open("state/index/data.mdb", O_WRONLY);
    assert_int_equal(pwrite(fd, no_page, sizeof(no_page), page + FLAGS_AT), sizeof(no_page));
    close(fd);
    assert_true(rig_start_unsealed());
    jobs_wait();
    assert_int_equal(rotate("index"), 202);
    assert_int_equal(rotate("kek"), 202);
    jobs_go();
    (void)received(&root); /* of the order to go on */
    jobs_finish();
    assert_int_equal(audit_count("\"event\":\"job.failed\"", "the index cannot be read where it goes on", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "kek to generation 2", NULL), 1);
    assert_int_equal(keyring_index_generation(m.keyring), 1);
    assert_non_null(keyring_next_index_key(m.keyring));
    start_again();
    assert_true(index_is_resealing(m.index));
}

#define KEYS(test) cmocka_unit_test_setup_teardown(test, vault_set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        KEYS(audit_key_is_changed_and_its_record_names_both),
        KEYS(death_before_the_ring_leaves_the_old_audit_key_and_no_record),
        KEYS(death_after_the_ring_leaves_the_new_audit_key_and_its_record),
        KEYS(damaged_change_of_the_audit_key_is_told_and_the_vault_serves),
        KEYS(change_of_the_audit_key_shares_its_turn_with_others),
        KEYS(index_gets_another_key),
        KEYS(index_is_used_under_both_keys_and_over_restarts),
        KEYS(death_before_the_ring_leaves_the_index_key_as_it_was),
        KEYS(death_after_the_ring_goes_on_with_both_index_keys),
        KEYS(death_before_the_key_goes_ends_it_later),
        KEYS(death_after_the_key_went_is_recorded_later),
        KEYS(key_before_stays_while_the_ring_has_no_space),
        KEYS(damaged_entry_keeps_the_key_before_until_it_is_mended),
        KEYS(page_that_cannot_be_read_ends_the_job_and_keeps_the_key),
        KEYS(damaged_entry_is_left_behind_when_that_is_said),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
