/* Archive segments in the core: what damage, doubt and older indexes cost, and how a segment ends. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/archive/archive.h"

static struct peer second;

static int archive_set_up(void **state) {
    vault_set_up(state);
    make_service("second", 1u << ROLE_OPERATOR, 0);
    m.setup.approve_seconds = 3600;
    second = peer_tls(SAN_OF("second"));
    return 0;
}

static int archive_tear_down(void **state) {
    close(second.channel);
    return rig_tear_down(state);
}

static unsigned ask_archive(uint64_t to) {
    request(&root, MSG_archive)->archive.to = to;
    return ask_status(&root);
}

/* And takes the turns that it needs. */
static void archive(uint64_t to) {
    assert_int_equal(ask_archive(to), 202);
    for (unsigned n = 0; n < 200 && jobs_open(&m) != 0; n++)
        turns_for(10);
    assert_int_equal(jobs_open(&m), 0);
}

static struct segment_value segment(uint32_t number) {
    struct segment_value v;
    assert_int_equal(segment_load(&m, number, &v), VAULT_OK);
    return v;
}

static void path_of(uint32_t number, char ret[512]) {
    struct segment_value v = segment(number);
    assert_true(format_string(ret, 512, "%s/state/archive/%s", rig_folder(), v.name));
}

static bool is_there(uint32_t number) {
    char path[512];
    struct stat s;
    path_of(number, path);
    return stat(path, &s) == 0;
}

static void hash_of_file(uint32_t number, uint8_t ret[32]) {
    static uint8_t bytes[1 << 20];
    char path[512];
    path_of(number, path);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    assert_true(n > SEAL_OVERHEAD && n < sizeof(bytes));
    crypto_hash_sha256(ret, bytes, n);
}

static void text_is_as_before(const char *before) {
    char *after = audit_text();
    assert_int_equal(strncmp(after, before, strlen(before)), 0);
    free(after);
}

static void archived_lines_are_read_as_before(void **state) {
    (void)state;
    char *before = audit_text();
    uint64_t to = m.tree.size;
    archive(to);
    assert_int_equal(m.meta.archived, to);
    uint64_t left = 0;
    assert_int_equal(index_count(m.index, DB_RECORDS, &left), VAULT_OK);
    assert_int_equal(left, m.tree.size - to);
    text_is_as_before(before);
    rig_stop();
    assert_true(rig_start_unsealed());
    text_is_as_before(before);
    free(before);
}

/* What an older index, put back, believes of a file that has grown since: it is left alone. */
static void file_is_written_to_only_by_the_process_that_began_it(void **state) {
    (void)state;
    uint8_t before[32], after[32];
    char *text = audit_text();
    request(&root, MSG_archive)->archive.to = 10;
    assert_int_equal(ask_status(&root), 202);
    while (m.meta.archived < 10)
        turn();
    struct segment_value v = segment(1);
    v.ended = 0; /* as if it still grew when the copy of the index was made */
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(segment_store(&m, &v), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    hash_of_file(1, before);
    rig_stop();
    assert_true(rig_start_unsealed());
    archive(20);
    hash_of_file(1, after);
    assert_memory_equal(before, after, 32);
    assert_int_equal(m.meta.segments, 2);
    assert_true(segment(1).ended != 0);
    assert_int_equal(segment(2).first, 10);
    text_is_as_before(text);
    free(text);
}

static void altered_record_stays_and_stops_it(void **state) {
    (void)state;
    char line[RECORD_LINE_MAX];
    uint8_t key[8];
    size_t n = 0;
    put_be64(key, 5);
    assert_int_equal(index_get(m.index, DB_RECORDS, key, sizeof(key), line, sizeof(line), &n), VAULT_OK);
    line[n / 2] ^= 1;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_RECORDS, key, sizeof(key), line, n), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    archive(10);
    assert_int_equal(m.meta.archived, 0);
    assert_int_equal(audit_count("\"audit.archived\"", "\"failed\"", "stopped before record 0", NULL), 1);
    assert_int_equal(index_get(m.index, DB_RECORDS, key, sizeof(key), line, sizeof(line), &n), VAULT_OK);
}

static void doubted_log_keeps_its_records_where_they_are(void **state) {
    (void)state;
    m.meta.doubted = 1;
    assert_int_equal(ask_archive(10), 409);
    m.meta.doubted = 0;
    assert_int_equal(ask_archive(10), 202);
    m.meta.doubted = 1; /* in the middle */
    turns_for(100);
    m.meta.doubted = 0;
    assert_int_equal(jobs_open(&m), 0);
    assert_true(m.meta.archived == 10 || audit_count("\"audit.archived\"", "\"failed\"", NULL) == 1);
}

static unsigned ask_destroy(uint32_t number) {
    request(&root, MSG_archive_destroy)->archive_destroy.number = number;
    return ask_status(&root);
}

static bool tail_says(const char *text) {
    request(&root, MSG_audit_tail)->audit_tail.count = 8;
    const struct message *answer = ask(&root);
    assert_int_equal(answer->type, MSG_block);
    return memmem(answer->block.bytes, answer->block.bytes_size, text, strlen(text)) != NULL;
}

static unsigned approve(void) {
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    return ask_status(&second);
}

static unsigned ask_records(uint64_t from, uint64_t to) {
    struct msg_audit_export *x = &request(&root, MSG_audit_export)->audit_export;
    x->from = from;
    x->to = to;
    copy_string(x->format, sizeof(x->format), "jsonl");
    return ask_status(&root);
}

static void segment_is_destroyed_by_two_when_its_time_is_over(void **state) {
    (void)state;
    uint8_t key[4], hash[MERKLE_HASH], again[MERKLE_HASH], bytes[SECRET_KEY_SIZE];
    size_t n = 0;
    archive(10);
    archive(20);
    uint64_t size = m.tree.size;
    assert_int_equal(log_root(&m, size, hash), VAULT_OK);
    assert_int_equal(ask_destroy(1), 409); /* it is kept for ever */
    m.setup.audit_keep = 3600;
    assert_int_equal(ask_destroy(1), 409); /* too young */
    usleep(2100000);
    m.setup.audit_keep = 1;
    assert_int_equal(ask_destroy(1), 202);
    assert_true(is_there(1));
    m.setup.audit_keep = 3600;
    assert_int_equal(approve(), 409); /* asked anew when it is approved */
    m.setup.audit_keep = 1;
    assert_int_equal(ask_destroy(1), 202);
    assert_int_equal(approve(), 200);
    turns(3);
    assert_false(is_there(1));
    assert_true(is_there(2));
    put_be32(key, 1);
    assert_int_equal(index_get(m.index, DB_SEGMENT_KEYS, key, sizeof(key), bytes, sizeof(bytes), &n), VAULT_NOT_FOUND);
    assert_true(tail_says("\"segment 1, records 0 to 9\""));

    assert_int_equal(ask_records(0, 5), 410);
    assert_int_equal(ask_records(5, 15), 410);
    assert_int_equal(ask_records(10, 15), 201);
    assert_int_equal(ask_destroy(1), 410);
    assert_int_equal(log_root(&m, size, again), VAULT_OK); /* what proves the others is there */
    assert_memory_equal(hash, again, MERKLE_HASH);
    request(&root, MSG_archive_list)->archive_list.cursor[0] = '\0';
    struct message *answer = ask(&root);
    assert_true(says(answer, "\"destroyed\"") && says(answer, "\"here\"") && says(answer, "second"));
}

/* A death between the record and the file's end: the file goes at the next start. */
static void file_that_outlived_its_destruction_goes(void **state) {
    (void)state;
    char path[512];
    archive(10);
    path_of(1, path);
    struct segment_value v = segment(1);
    v.destroyed = 1;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(segment_store(&m, &v), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    rig_stop();
    assert_int_equal(access(path, F_OK), 0);
    assert_true(rig_start_unsealed());
    turns(3);
    assert_int_equal(access(path, F_OK), -1);
}

/* Nothing is removed on the word of a batch that did not become durable. */
static void dropped_destruction_removes_nothing(void **state) {
    (void)state;
    archive(10);
    usleep(2100000);
    m.setup.audit_keep = 1;
    assert_int_equal(ask_destroy(1), 202);
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    send_now(&second);
    turn_without_writing();
    turns(5);
    assert_true(is_there(1));
    assert_int_equal(segment(1).destroyed, 0);
    assert_int_equal(ask_records(0, 5), 201);
}

#define ARCHIVE(test) cmocka_unit_test_setup_teardown(test, archive_set_up, archive_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        ARCHIVE(archived_lines_are_read_as_before),
        ARCHIVE(file_is_written_to_only_by_the_process_that_began_it),
        ARCHIVE(altered_record_stays_and_stops_it),
        ARCHIVE(doubted_log_keeps_its_records_where_they_are),
        ARCHIVE(segment_is_destroyed_by_two_when_its_time_is_over),
        ARCHIVE(file_that_outlived_its_destruction_goes),
        ARCHIVE(dropped_destruction_removes_nothing),
    };
    log_start("test");
    (void)signal(SIGXFSZ, SIG_IGN);
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
