/* Failed authentications: what a reader says is counted, what the store confirms sets a file aside. */
#include "monitor_rig.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/care/failures.h"

static struct peer depositor, clinic, second;
static uint8_t file[ID_SIZE], other[ID_SIZE];
static uint8_t object[HASH_SIZE], object_of_other[HASH_SIZE];

static void object_of(const uint8_t id[ID_SIZE], uint8_t ret[HASH_SIZE]) {
    struct manifest_page page;
    struct msg_grant g = open_file(&clinic, id);
    struct message *q = request(&clinic, MSG_page_get);
    COPY_ARRAY(q->page_get.grant, g.grant);
    struct message *answer = ask(&clinic);
    assert_int_equal(answer->type, MSG_page);
    assert_int_equal(manifest_decode(&page, answer->page.chunks, answer->page.chunks_size), VAULT_OK);
    copy_bytes(ret, HASH_SIZE, page.chunks[0].address, HASH_SIZE);
    q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, g.grant);
    assert_int_equal(ask(&clinic)->type, MSG_done);
}

static int failures_set_up(void **state) {
    vault_set_up(state);
    make_service("second", 1u << ROLE_CUSTODIAN, 0);
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    second = peer_tls(SAN_OF("second"));
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    deposit_file(&depositor, "S-1", "other.cram", 100, 2, other);
    object_of(file, object);
    object_of(other, object_of_other);
    m.setup.failure_limit = 2;
    m.setup.approve_seconds = 3600;
    return 0;
}

static int failures_tear_down(void **state) {
    close(depositor.channel);
    close(clinic.channel);
    close(second.channel);
    return rig_tear_down(state);
}

/* A read of the file that ends with the word that this object is damaged. */
static void read_fails(const uint8_t of[HASH_SIZE]) {
    struct msg_grant g = open_file(&clinic, file);
    struct message *q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, g.grant);
    q->grant_close.outcome = GRANT_DAMAGED;
    COPY_ARRAY(q->grant_close.address, of);
    assert_int_equal(ask(&clinic)->type, MSG_done);
}

static void expect_totals(unsigned reported, unsigned confirmed, unsigned aside) {
    assert_int_equal(m.meta.reported, reported);
    assert_int_equal(m.meta.confirmed, confirmed);
    assert_int_equal(m.meta.set_aside, aside);
    request(&root, MSG_status);
    json_t *status = document_of(ask(&root));
    json_t *told = json_object_get(status, "failed_authentications");
    assert_int_equal(json_integer_value(json_object_get(told, "reported")), reported);
    assert_int_equal(json_integer_value(json_object_get(told, "confirmed")), confirmed);
    assert_int_equal(json_integer_value(json_object_get(told, "set_aside")), aside);
    json_decref(status);
}

static bool is_aside(void) {
    open_request(&clinic, file, PURPOSE_TREATMENT);
    struct message *answer = ask(&clinic);
    if (answer->type == MSG_grant) {
        uint8_t grant[ID_SIZE];
        COPY_ARRAY(grant, answer->grant.grant);
        struct message *q = request(&clinic, MSG_grant_close);
        COPY_ARRAY(q->grant_close.grant, grant);
        assert_int_equal(ask(&clinic)->type, MSG_done);
        return false;
    }
    assert_int_equal(status_of(answer), 500);
    assert_true(says(answer, "set-aside") && says(answer, "urn:vault:problem:integrity"));
    return true;
}

static void set_aside(void) {
    for (unsigned i = 0; i < 2; i++) {
        read_fails(object);
        assert_int_equal(store_checks(STORE_DAMAGED, 1), 1);
    }
    assert_true(is_aside());
}

/* A whole scrub, with the store's word about each object. */
static void scrub(uint8_t status) {
    bool more = true;
    request(&root, MSG_scrub);
    assert_int_equal(ask_status(&root), 202);
    (void)store_checks(status, 100);
    for (unsigned n = 0; n < 200 && more; n++)
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    request(&root, MSG_scrub_show);
    assert_true(says(ask(&root), "\"state\":\"done\""));
}

static void a_readers_word_alone_sets_nothing_aside(void **state) {
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        read_fails(object);
        assert_int_equal(store_checks(STORE_DONE, 10), 1);
    }
    expect_totals(5, 0, 0);
    assert_false(is_aside());
    assert_int_equal(audit_count("\"event\":\"file.aside\"", NULL), 0);
}

static void confirmed_damage_sets_the_file_aside_and_no_other(void **state) {
    (void)state;
    read_fails(object);
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    expect_totals(1, 1, 0);
    assert_false(is_aside());
    read_fails(object);
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    expect_totals(2, 2, 1);
    assert_true(is_aside());
    struct msg_grant g = open_file(&clinic, other);
    assert_int_equal(g.size, 100);
    assert_int_equal(audit_count("\"event\":\"file.aside\"", "\"outcome\":\"failed\"", "2 times", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"read\"", "\"outcome\":\"failed\"", "set-aside", NULL), 1);
    struct message *q = request(&root, MSG_file_show);
    COPY_ARRAY(q->file_show.file, file);
    assert_true(says(ask(&root), "\"failed_authentications\":{\"confirmed\":2,\"reported\":2,\"set_aside\":\"2"));
}

static void reads_under_way_end_when_the_file_is_set_aside(void **state) {
    (void)state;
    struct peer reader = peer_tls(SAN_OF("clinic"));
    struct msg_grant g = open_file(&reader, file);
    set_aside();
    struct message *revoke = received(&reader);
    assert_non_null(revoke);
    assert_int_equal(revoke->type, MSG_revoke);
    assert_memory_equal(revoke->revoke.grant, g.grant, ID_SIZE);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "the file was set aside", NULL), 1);
    close(reader.channel);
}

static void without_a_limit_damage_is_counted_only(void **state) {
    (void)state;
    m.setup.failure_limit = 0;
    for (unsigned i = 0; i < 4; i++) {
        read_fails(object);
        assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    }
    expect_totals(4, 4, 0);
    assert_false(is_aside());
}

/* What is missing or cannot be read is told by other ways; no tag failed. */
static void only_other_bytes_are_a_failed_authentication(void **state) {
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        read_fails(object);
        assert_int_equal(store_checks(i == 0 ? STORE_MISSING : STORE_FAILED, 10), 1);
    }
    expect_totals(3, 0, 0);
    assert_false(is_aside());
}

/* A worker names an object of a file that it was not granted, or of none. */
static void object_of_another_file_counts_for_neither(void **state) {
    static const uint8_t none[HASH_SIZE];
    (void)state;
    read_fails(object_of_other);
    read_fails(none);
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 0);
    expect_totals(0, 0, 0);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"outcome\":\"failed\"", NULL), 2);
}

static void report_outlives_a_death_before_the_store_has_looked(void **state) {
    (void)state;
    read_fails(object);
    close(depositor.channel);
    close(clinic.channel);
    close(second.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    m.setup.failure_limit = 1;
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    second = peer_tls(SAN_OF("second"));
    expect_totals(1, 1, 1);
    assert_true(is_aside());
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 0);
}

static void what_is_found_in_a_batch_that_fails_is_asked_again(void **state) {
    struct rlimit old, none;
    (void)state;
    read_fails(object);
    m.setup.failure_limit = 1;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(store_checks(STORE_DAMAGED, 1), 1);
    turns(2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(m.meta.confirmed, 0);
    assert_true(store_checks(STORE_DAMAGED, 10) >= 1);
    expect_totals(1, 1, 1);
    assert_true(is_aside());
}

static void scrub_that_finds_all_whole_takes_it_back(void **state) {
    (void)state;
    set_aside();
    scrub(STORE_DAMAGED); /* counts as well, for each file */
    assert_true(is_aside());
    assert_int_equal(m.meta.confirmed, 4);
    scrub(STORE_MISSING);
    assert_true(is_aside());
    scrub(STORE_DONE);
    assert_false(is_aside());
    expect_totals(2, 4, 0);
    assert_int_equal(audit_count("\"event\":\"file.restored\"", "\"outcome\":\"done\"", NULL), 1);
    read_fails(object);
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    assert_false(is_aside()); /* counted anew */
}

static void scrub_that_finds_damage_sets_aside_too(void **state) {
    (void)state;
    scrub(STORE_DAMAGED);
    assert_false(is_aside());
    scrub(STORE_DAMAGED);
    assert_true(is_aside());
    expect_totals(0, 4, 2);
}

static void removal_forgets_what_was_counted(void **state) {
    (void)state;
    set_aside();
    struct message *q = request(&root, MSG_file_remove);
    COPY_ARRAY(q->file_remove.file, file);
    assert_int_equal(ask_status(&root), 202);
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    assert_int_equal(ask_status(&second), 200);
    expect_totals(2, 2, 0);
    uint64_t left = 1;
    assert_int_equal(index_count(m.index, DB_FAILURES, &left), VAULT_OK);
    index_end_reads(m.index);
    assert_int_equal(left, 0);
}

/* The file has other content by the time that the store has looked, as after a rotation of its data key. */
static void report_about_content_that_went_meanwhile_counts_for_nothing(void **state) {
    static struct file_value f;
    uint64_t left = 1;
    (void)state;
    read_fails(object);
    assert_int_equal(index_begin(m.index), VAULT_OK);
    assert_int_equal(index_get_record(m.index, DB_FILES, file, ID_SIZE, &layout_file_value, &f), VAULT_OK);
    f.blob[0] ^= 1;
    assert_int_equal(index_put_record(m.index, DB_FILES, file, ID_SIZE, &layout_file_value, &f), VAULT_OK);
    assert_int_equal(index_commit(m.index), VAULT_OK);
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    assert_int_equal(m.meta.confirmed, 0);
    assert_int_equal(index_count(m.index, DB_FAILURES, &left), VAULT_OK);
    index_end_reads(m.index);
    assert_int_equal(left, 0);
}

/* Its note cannot be read any more; the file can. */
static void damaged_note_keeps_nobody_from_the_file(void **state) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    (void)state;
    set_aside();
    assert_int_equal(index_next(m.index, DB_FAILURES, NULL, 0, NULL, 0, key, &size), VAULT_OK);
    assert_int_equal(index_begin(m.index), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_FAILURES, key, size, "nonsense", 8), VAULT_OK);
    assert_int_equal(index_commit(m.index), VAULT_OK);
    assert_false(is_aside());
    read_fails(object);
    assert_int_equal(store_checks(STORE_DAMAGED, 10), 1);
    assert_false(is_aside());
}

#define FAILURES(test) cmocka_unit_test_setup_teardown(test, failures_set_up, failures_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        FAILURES(a_readers_word_alone_sets_nothing_aside),
        FAILURES(confirmed_damage_sets_the_file_aside_and_no_other),
        FAILURES(reads_under_way_end_when_the_file_is_set_aside),
        FAILURES(without_a_limit_damage_is_counted_only),
        FAILURES(only_other_bytes_are_a_failed_authentication),
        FAILURES(object_of_another_file_counts_for_neither),
        FAILURES(report_outlives_a_death_before_the_store_has_looked),
        FAILURES(what_is_found_in_a_batch_that_fails_is_asked_again),
        FAILURES(scrub_that_finds_all_whole_takes_it_back),
        FAILURES(scrub_that_finds_damage_sets_aside_too),
        FAILURES(removal_forgets_what_was_counted),
        FAILURES(report_about_content_that_went_meanwhile_counts_for_nothing),
        FAILURES(damaged_note_keeps_nobody_from_the_file),
    };
    log_start("test");
    (void)signal(SIGXFSZ, SIG_IGN);
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
