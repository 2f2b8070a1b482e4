/* Rotation of the key-encryption key, while the vault serves and over restarts. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"
#include "vault/log.h"
#include "vault/result.h"

enum { PEERS = 50, ROUNDS = 60, SUBJECTS = PEERS * ROUNDS + 1 };

static struct peer clinic;
static uint8_t file[ID_SIZE];

/* Many subjects, added in few transactions. */
static void add_subjects(void) {
    struct peer p[PEERS];
    for (size_t i = 0; i < PEERS; i++)
        p[i] = peer_unix(0);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PEERS; i++) {
            struct message *q = request(&p[i], MSG_subject_add);
            assert_true(format_string(q->subject_add.subject, sizeof(q->subject_add.subject), "N-%zu-%zu", round, i));
            send_now(&p[i]);
        }
        turn();
        for (size_t i = 0; i < PEERS; i++)
            assert_int_equal(status_of(received(&p[i])), 201);
    }
    for (size_t i = 0; i < PEERS; i++)
        peer_end(&p[i]);
}

static int few_set_up(void **state) {
    vault_set_up(state);
    struct peer depositor = peer_tls(SAN_OF("depositor"));
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    close(depositor.channel);
    clinic = peer_tls(SAN_OF("clinic"));
    return 0;
}

static int rotation_set_up(void **state) {
    int failed = few_set_up(state);
    add_subjects();
    return failed;
}

static int rotation_tear_down(void **state) {
    close(clinic.channel);
    return rig_tear_down(state);
}

static struct secret *key_of_the_file(void) {
    open_request(&clinic, file, PURPOSE_TREATMENT);
    struct message *answer = ask(&clinic);
    assert_int_equal(answer->type, MSG_grant);
    return secret_move(&answer->grant.key);
}

static void rotate_request(struct peer *p) {
    struct message *q = request(p, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "kek");
}

static void rotate(void) {
    rotate_request(&root);
    assert_int_equal(ask_status(&root), 202);
}

static unsigned keys_under(uint32_t generation) {
    struct subject_key_value v;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    unsigned count = 0;
    while (index_next(m.index, DB_SUBJECT_KEYS, NULL, 0, key, size, key, &size) == VAULT_OK) {
        assert_int_equal(index_get_record(m.index, DB_SUBJECT_KEYS, key, size, &layout_subject_key_value, &v),
                         VAULT_OK);
        count += v.generation == generation;
    }
    index_end_reads(m.index);
    return count;
}

static void finish(void) {
    bool more = true; /* later it may wait for what the job waits for */
    for (unsigned n = 0; n < 20000 && m.meta.jobs_ended < m.meta.jobs; n++)
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    assert_int_equal(m.meta.jobs_ended, m.meta.jobs);
}

static void rotation_rewraps_all_while_reading_goes_on(void **state) {
    (void)state;
    struct secret *before = key_of_the_file();
    rotate();
    unsigned done = keys_under(2);
    assert_true(done > 0 && done < SUBJECTS);
    struct secret *during = key_of_the_file();
    done = keys_under(2);
    assert_true(done < SUBJECTS);
    finish();
    assert_int_equal(keys_under(2), SUBJECTS);
    struct secret *after = key_of_the_file();
    assert_true(secret_equal(before, during));
    assert_true(secret_equal(before, after));
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "3001 keys, 0 damaged", NULL), 1);
    secret_free(&before);
    secret_free(&during);
    secret_free(&after);
}

/* A job of an older generation, as a restored copy may have it: what is under a newer one stays so. */
static void no_key_goes_back_to_an_older_generation(void **state) {
    (void)state;
    struct job_value j = {.generation = 1, .total = SUBJECTS};
    rotate();
    finish();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_begin(&m, job_kek.what, &j), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    finish();
    assert_int_equal(keys_under(2), SUBJECTS);
}

static void rotation_goes_on_after_a_restart(void **state) {
    (void)state;
    struct secret *before = key_of_the_file();
    rotate();
    unsigned done = keys_under(2);
    assert_true(done > 0 && done < SUBJECTS);
    close(clinic.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    assert_true(keys_under(2) < SUBJECTS);
    finish();
    assert_int_equal(keys_under(2), SUBJECTS);
    request(&root, MSG_key_jobs);
    struct message *answer = ask(&root);
    assert_true(says(answer, "\"done\":3001"));
    assert_true(says(answer, "\"state\":\"done\""));
    clinic = peer_tls(SAN_OF("clinic"));
    struct secret *after = key_of_the_file();
    assert_true(secret_equal(before, after));
    secret_free(&before);
    secret_free(&after);
}

/* After how many turns of a rotation it rested. */
static unsigned rests(void) {
    unsigned count = 0;
    bool more = true;
    jobs_wake(&m); /* from the rest of one before */
    rotate();
    while (m.meta.jobs_ended < m.meta.jobs) {
        count += m.job_again != 0;
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    }
    return count;
}

static void rotation_rests_between_its_batches_while_somebody_reads(void **state) {
    (void)state;
    assert_int_equal(rests(), 0);
    struct secret *key = key_of_the_file();
    secret_free(&key);
    assert_true(rests() > 0);
    peer_end(&clinic);
    clinic.channel = -1;
    assert_int_equal(rests(), 0);
}

static void second_rotation_waits_for_the_first(void **state) {
    (void)state;
    rotate();
    rotate_request(&root);
    assert_int_equal(ask_status(&root), 409);
    finish();
    rotate();
    finish();
    assert_int_equal(keys_under(3), SUBJECTS);
}

static void subject_added_meanwhile_has_the_new_generation(void **state) {
    (void)state;
    rotate();
    make_subject("late");
    finish();
    assert_int_equal(keys_under(2), SUBJECTS + 1);
}

/* Others' requests of the turn are answered as usual, though the rotation commits in its middle. */
static void rotation_shares_its_turn_with_others(void **state) {
    (void)state;
    struct peer other = peer_unix(0);
    open_request(&clinic, file, PURPOSE_TREATMENT);
    send_now(&clinic);
    rotate_request(&root);
    send_now(&root);
    withdraw_request(&other, "S-1");
    send_now(&other);
    turn();
    assert_int_equal(received(&clinic)->type, MSG_grant); /* durable before the rotation began */
    assert_int_equal(received(&clinic)->type, MSG_revoke);
    assert_int_equal(status_of(received(&root)), 202);
    assert_null(received(&other)); /* waits for the reader */
    peer_end(&clinic);
    clinic.channel = -1;
    assert_int_equal(status_of(received(&other)), 200);
    close(other.channel);
}

static void damaged_job_does_not_stop_the_vault(void **state) {
    static const uint8_t job[4] = {0, 0, 0, 1};
    (void)state;
    rotate();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_JOBS, job, sizeof(job), "x", 1), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    turns(3);
    request(&root, MSG_subject_list);
    assert_int_equal(ask_status(&root), 200);
    struct secret *key = key_of_the_file();
    secret_free(&key);
}

static void ring_that_cannot_be_stored_ends_the_core_and_the_next_finishes(void **state) {
    int directory = m.place.twin_directory;
    char removed[] = "/tmp/vault-twin.XXXXXX";
    (void)state;
    struct secret *before = key_of_the_file();
    assert_non_null(mkdtemp(removed));
    int gone = open(removed, O_RDONLY | O_DIRECTORY); /* nothing can be made in it, although there is space */
    assert_true(gone >= 0 && rmdir(removed) == 0);
    m.place.twin_directory = gone;
    rotate_request(&root);
    send_now(&root);
    turn();
    assert_null(received(&root)); /* nobody knows yet whether the ring was changed */
    assert_true(m.stop);
    assert_int_equal(m.exit_status, 74);
    m.place.twin_directory = directory;
    close(gone);
    close(clinic.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    finish();
    assert_int_equal(keys_under(m.meta.generation), SUBJECTS);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    clinic = peer_tls(SAN_OF("clinic"));
    struct secret *after = key_of_the_file();
    assert_true(secret_equal(before, after));
    secret_free(&before);
    secret_free(&after);
}

/* ---- a wrapped key that is not where it was put ---- */

enum { ENTRY = HASH_SIZE + 4 };

static void entry_of(const char *subject, uint32_t number, uint8_t ret[ENTRY]) {
    name_hash(&m, NAME_SUBJECT, subject, NULL, ret);
    put_be32(ret + HASH_SIZE, number);
}

/* 0: there is none. */
static size_t entry_at(const uint8_t entry[ENTRY], uint8_t value[128]) {
    size_t n = 0;
    int result = index_get(m.index, DB_SUBJECT_KEYS, entry, ENTRY, value, 128, &n);
    index_end_reads(m.index);
    return result == VAULT_OK ? n : 0;
}

static void put_entry(const uint8_t entry[ENTRY], const uint8_t *value, size_t n) {
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_SUBJECT_KEYS, entry, ENTRY, value, n), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static unsigned status_of_read(void) {
    open_request(&clinic, file, PURPOSE_TREATMENT);
    return ask_status(&clinic);
}

static void key_of_another_subject_opens_nothing(void **state) {
    uint8_t own[ENTRY], other[ENTRY], value[128];
    (void)state;
    make_subject("S-other");
    entry_of("S-1", 1, own);
    entry_of("S-other", 1, other);
    size_t n = entry_at(other, value);
    assert_int_equal(n, 4 + WRAP_SIZE);
    put_entry(own, value, n);
    assert_int_equal(status_of_read(), 500);
    rotate();
    finish();
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "keys, 1 damaged", NULL), 1);
}

static void missing_or_relabelled_key_is_damage(void **state) {
    uint8_t own[ENTRY], value[128];
    (void)state;
    rotate(); /* there are two generations that a wrap may say it is of */
    finish();
    entry_of("S-1", 1, own);
    size_t n = entry_at(own, value);
    assert_int_equal(value[0], 2);
    value[0] = 1;
    put_entry(own, value, n);
    assert_int_equal(status_of_read(), 500);
    value[0] = 3; /* it seems to be done already */
    put_entry(own, value, n);
    rotate();
    finish();
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "generation 3", "keys, 1 damaged", NULL), 1);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_delete(m.index, DB_SUBJECT_KEYS, own, ENTRY), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_int_equal(status_of_read(), 500);
}

/* After a turn and after a shred the entry is gone; put back, it is no way to what was under it. */
static void forgotten_key_that_is_put_back_opens_nothing(void **state) {
    static struct subject_value s;
    uint8_t first[ENTRY], value[128], gone[128], wrapped[WRAP_SIZE];
    uint8_t blob[ID_SIZE] = {1};
    struct secret *key = NULL, *opened = NULL;
    (void)state;
    entry_of("S-1", 1, first);
    size_t n = entry_at(first, value);
    assert_true(n > 0);
    assert_int_equal(find_subject(&m, "S-1", &s), VAULT_OK);
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(data_key_wrap(&m, &s, blob, key, wrapped), VAULT_OK);
    assert_int_equal(data_key_open(&m, &s, blob, 1, wrapped, &opened), VAULT_OK); /* the wrap is good */
    secret_free(&opened);
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "subject");
    assert_int_equal(ask_status(&root), 202);
    finish();
    assert_int_equal(entry_at(first, gone), 0);
    put_entry(first, value, n);
    assert_int_equal(find_subject(&m, "S-1", &s), VAULT_OK);
    assert_int_equal(s.key_number, 2);
    assert_int_equal(data_key_open(&m, &s, blob, 1, wrapped, &opened), VAULT_E_DAMAGED);
    s.turning = TURN_UNDER_WAY; /* control: it is the subject's value that keeps it shut */
    assert_int_equal(data_key_open(&m, &s, blob, 1, wrapped, &opened), VAULT_OK);
    secret_free(&opened);
    secret_free(&key);
    index_end_reads(m.index);
}

#define WITH_FEW(test) cmocka_unit_test_setup_teardown(test, few_set_up, rotation_tear_down)
#define ROTATION(test) cmocka_unit_test_setup_teardown(test, rotation_set_up, rotation_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        ROTATION(rotation_rewraps_all_while_reading_goes_on),
        ROTATION(no_key_goes_back_to_an_older_generation),
        ROTATION(rotation_goes_on_after_a_restart),
        ROTATION(rotation_rests_between_its_batches_while_somebody_reads),
        ROTATION(second_rotation_waits_for_the_first),
        ROTATION(subject_added_meanwhile_has_the_new_generation),
        ROTATION(rotation_shares_its_turn_with_others),
        ROTATION(damaged_job_does_not_stop_the_vault),
        WITH_FEW(key_of_another_subject_opens_nothing),
        WITH_FEW(missing_or_relabelled_key_is_damage),
        WITH_FEW(forgotten_key_that_is_put_back_opens_nothing),
        ROTATION(ring_that_cannot_be_stored_ends_the_core_and_the_next_finishes),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
