/* Archive segments in the core: what damage, doubt and older indexes cost, and how a segment ends. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/log/log.h"

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
    jobs_finish();
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
    archive(10);
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
    forge_record(5, "\"outcome\":\"done\"", "\"outcome\":\"gone\"");
    archive(10);
    assert_int_equal(m.meta.archived, 0);
    assert_int_equal(audit_count("\"audit.archived\"", "\"failed\"", "stopped before record 0", NULL), 1);
    assert_int_equal(audit_count("\"outcome\":\"gone\"", NULL), 1);
}

/* As it is asked for, with a rate that lets it take a record in a second. */
static void archive_slowly(uint64_t to) {
    uint64_t before = m.meta.archived;
    m.job_again = UINT64_MAX; /* not before the rate is there */
    assert_int_equal(ask_archive(to), 202);
    struct msg_job_rate *r = &request(&root, MSG_job_rate)->job_rate;
    r->number = m.meta.jobs;
    r->rate = 1;
    assert_int_equal(ask_status(&root), 200);
    jobs_wake(&m);
    turns_until(m.meta.archived > before && !index_writing(m.index));
    assert_true(m.meta.archived > 0 && m.meta.archived < to);
}

static void doubted_log_keeps_its_records_where_they_are(void **state) {
    (void)state;
    m.meta.doubted = 1;
    assert_int_equal(ask_archive(10), 409);
    m.meta.doubted = 0;
    archive_slowly(10);
    m.meta.doubted = 1; /* in the middle */
    turns_for(1500);
    m.meta.doubted = 0;
    assert_int_equal(jobs_open(&m), 0);
    assert_true(m.meta.archived < 10);
    assert_int_equal(audit_count("\"audit.archived\"", "\"failed\"", NULL), 1);
}

/* Who reads of another segment does not end the one that grows. */
static void readers_and_the_writer_do_not_meet(void **state) {
    (void)state;
    archive(5);
    archive_slowly(15);
    for (unsigned n = 0; n < 3; n++) {
        uint64_t before = m.meta.archived;
        free(audit_text()); /* of both */
        turns_until(m.meta.archived != before);
    }
    assert_int_equal(m.meta.segments, 2);
}

/* In the middle of a job: what is not durable did not leave the index, and another segment goes on. */
static void dropped_batch_leaves_all_records_readable(void **state) {
    (void)state;
    char *before = audit_text();
    archive_slowly(15);
    uint64_t durable = m.meta.archived;
    usleep(1100000);
    turn_without_writing();
    assert_true(m.meta.archived >= durable);
    text_is_as_before(before);
    turns_until(jobs_open(&m) == 0 || m.meta.archived >= durable + 2);
    text_is_as_before(before);
    free(before);
}

/* ---- files that are not what they were ---- */

static unsigned ask_line(uint64_t seq) {
    struct msg_audit_records *r = &request(&root, MSG_audit_records)->audit_records;
    r->from = seq;
    r->to = seq + 1;
    r->tree = m.tree.size;
    struct message *answer = ask(&root);
    return answer->type == MSG_block ? 200 : status_of(answer);
}

/* Each harms who asks for what is in it, and nobody else; and what is put right is right at once. */
static void what_is_no_segment_harms_only_who_asks_for_it(void **state) {
    (void)state;
    static char good[1 << 18];
    char path[512], elsewhere[540];
    archive(10);
    path_of(1, path);
    assert_true(format_string(elsewhere, sizeof(elsewhere), "%s.kept", path));
    FILE *f = fopen(path, "rb");
    size_t size = fread(good, 1, sizeof(good), f);
    fclose(f);
    for (unsigned kind = 0; kind < 6; kind++) {
        assert_int_equal(rename(path, elsewhere), 0);
        switch (kind) {
        case 0: break; /* away */
        case 1: assert_int_equal(mkfifo(path, 0600), 0); break;
        case 2: assert_int_equal(symlink("/etc/passwd", path), 0); break;
        case 3: assert_int_equal(mkdir(path, 0700), 0); break;
        case 4: /* altered */
        case 5: /* too short */
            f = fopen(path, "wb");
            good[size / 2] ^= 1;
            assert_int_equal(fwrite(good, 1, kind == 5 ? size - 1 : size, f), kind == 5 ? size - 1 : size);
            good[size / 2] ^= 1;
            fclose(f);
            break;
        }
        archive_forget(&m); /* the frame in hand would be read from memory */
        unsigned expected = kind == 0 || kind == 5 ? 409 : 500;
        uint64_t opened = m.tree.size;
        assert_int_equal(ask_line(3), expected);
        request(&root, MSG_audit_checkpoint);
        assert_int_equal(ask_status(&root), 200);
        assert_true(m.tree.size > opened); /* nothing of the batch was dropped */
        assert_int_equal(kind == 3 ? rmdir(path) : kind == 0 ? 0 : unlink(path), 0);
        assert_int_equal(rename(elsewhere, path), 0);
        assert_int_equal(ask_line(3), 200);
    }
}

/* A service that asks for another's proof is told nothing of what is missed. */
static void who_is_no_auditor_is_not_told_what_is_missed(void **state) {
    (void)state;
    char path[512];
    struct peer clinic = peer_tls(SAN_OF("clinic"));
    archive(10);
    path_of(1, path);
    assert_int_equal(unlink(path), 0);
    request(&clinic, MSG_audit_proof)->audit_proof.seq = 3;
    struct message *answer = ask(&clinic);
    assert_int_equal(status_of(answer), 409);
    assert_false(says(answer, "segment") || says(answer, segment(1).name));
    close(clinic.channel);
}

/* ---- by days ---- */

static unsigned ask_since(uint64_t since) {
    struct msg_audit_export *x = &request(&root, MSG_audit_export)->audit_export;
    x->since = since;
    copy_string(x->format, sizeof(x->format), "jsonl");
    return ask_status(&root);
}

static void days_are_found_without_what_is_away(void **state) {
    (void)state;
    char path[512];
    uint64_t now = (uint64_t)time(NULL);
    archive(m.tree.size); /* more than half of what there will be */
    usleep(1100000);
    archive(m.tree.size);
    path_of(1, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ask_since(now + 1), 201);   /* the second segment begins in this second at the earliest */
    assert_int_equal(ask_since(now + 100), 201); /* its own record alone */
    assert_int_equal(ask_since(1), 409);
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
    m.meta.doubted = 1;
    assert_int_equal(ask_destroy(1), 409);
    m.meta.doubted = 0;
    assert_int_equal(ask_line(3), 200); /* its frame is in hand */
    m.setup.audit_keep = 1;
    assert_int_equal(ask_destroy(1), 202);
    assert_int_equal(approve(), 200);
    turns(3);
    assert_false(is_there(1));
    assert_true(is_there(2));
    put_be32(key, 1);
    assert_int_equal(index_get(m.index, DB_SEGMENT_KEYS, key, sizeof(key), bytes, sizeof(bytes), &n), VAULT_NOT_FOUND);
    assert_true(tail_says("\"segment 1, records 0 to 9, of 20"));

    assert_int_equal(ask_line(3), 410);
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
    m.archive_sweep = true;
    m.meta.unconfirmed = 1; /* what a state in doubt says may be untrue of the files */
    turns(3);
    assert_int_equal(access(path, F_OK), 0);
    m.meta.unconfirmed = 0;
    rig_stop();
    assert_true(rig_start_unsealed());
    turns(3);
    assert_int_equal(access(path, F_OK), -1);
}

/* What is away, or cannot be read, can be destroyed all the same. */
static void segment_that_is_away_is_destroyed_too(void **state) {
    (void)state;
    char path[512];
    archive(10);
    path_of(1, path);
    assert_int_equal(unlink(path), 0);
    usleep(2100000);
    m.setup.audit_keep = 1;
    assert_int_equal(ask_destroy(1), 202);
    assert_int_equal(approve(), 200);
    assert_int_equal(ask_line(3), 410);
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
        ARCHIVE(readers_and_the_writer_do_not_meet),
        ARCHIVE(dropped_batch_leaves_all_records_readable),
        ARCHIVE(what_is_no_segment_harms_only_who_asks_for_it),
        ARCHIVE(who_is_no_auditor_is_not_told_what_is_missed),
        ARCHIVE(days_are_found_without_what_is_away),
        ARCHIVE(segment_that_is_away_is_destroyed_too),
        ARCHIVE(file_that_outlived_its_destruction_goes),
        ARCHIVE(dropped_destruction_removes_nothing),
    };
    log_start("test");
    (void)signal(SIGXFSZ, SIG_IGN);
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
