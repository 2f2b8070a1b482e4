/* The lines of the log in the index, ten or so in one value: what a batch, a restart, damage and the archive make of
 * them. */
#include "monitor_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/log/leaves.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/log/records.h"

/* A record of about so many bytes, in the batch under way. */
static void record(const char *mark, unsigned bytes) {
    static char detail[RECORD_LINE_MAX];
    assert_true(format_string(detail, sizeof(detail), "%s %0*u", mark, (int)bytes, 0u));
    struct event e = {.name = "test", .outcome = "done", .action = 'E', .detail = detail};
    assert_int_equal(journal(&m, &e, NULL), VAULT_OK);
}

static void record_alone(const char *mark, unsigned bytes) {
    assert_int_equal(batch_begin(&m), VAULT_OK);
    record(mark, bytes);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static uint64_t frames(void) {
    uint64_t count = 0;
    assert_int_equal(index_count(m.index, DB_RECORDS, &count), VAULT_OK);
    return count;
}

/* All lines are there, and are those that the tree has. */
static void log_is_whole(void) {
    struct merkle_fold fold = {0};
    uint8_t leaf[MERKLE_HASH], found[MERKLE_HASH], expected[MERKLE_HASH];
    char *text = audit_text();
    for (const char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        merkle_leaf(at, (size_t)(end - at), leaf);
        merkle_fold_add(&fold, leaf, NULL);
    }
    free(text);
    merkle_fold_root(&fold, found);
    assert_int_equal(log_root(&m, fold.size, expected), VAULT_OK);
    assert_true(fold.size + 1 >= m.tree.size); /* at most the record of the reading itself is behind */
    assert_memory_equal(found, expected, MERKLE_HASH);
}

/* Each record's proof holds, for the tree as it is. */
static void proofs_hold(void) {
    struct merkle_store store = {.context = &m, .get = leaf_node};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], leaf[MERKLE_HASH], head[MERKLE_HASH];
    merkle_fold_root(&m.tree, head);
    for (uint64_t n = 0; n < m.tree.size; n++) {
        const char *line;
        size_t length, count;
        assert_int_equal(log_text(&m, n, &line, &length), VAULT_OK);
        merkle_leaf(line, length, leaf);
        assert_int_equal(merkle_inclusion(&store, n, m.tree.size, proof, &count), VAULT_OK);
        assert_int_equal(
            merkle_verify_inclusion(leaf, n, m.tree.size, (const uint8_t(*)[MERKLE_HASH])proof, count, head), VAULT_OK);
    }
}

static void records_of_many_batches_share_a_value(void **state) {
    (void)state;
    uint64_t before = frames();
    for (unsigned n = 0; n < 100; n++)
        record_alone("alone", 500);
    assert_true(frames() - before <= 100 / 10);
    log_is_whole();
}

static void records_of_one_batch_share_values_too(void **state) {
    (void)state;
    uint64_t before = frames();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    for (unsigned n = 0; n < 100; n++)
        record("together", 500);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    assert_true(frames() - before >= 5 && frames() - before <= 100 / 10);
    log_is_whole();
}

static void a_record_of_any_length_has_room(void **state) {
    (void)state;
    static const unsigned lengths[] = {1, 6000, 5700, 12000, 14000, 1, 14000, 11900, 1};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        record_alone("long", lengths[i]);
    log_is_whole();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        record("long", lengths[i]);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    log_is_whole();
}

static void last_value_goes_on_after_a_restart(void **state) {
    (void)state;
    record_alone("before", 300);
    uint64_t before = frames();
    for (unsigned n = 0; n < 3; n++) {
        rig_stop();
        assert_true(rig_start_unsealed());
        record_alone("after", 300);
    }
    assert_true(frames() <= before + 1);
    log_is_whole();
}

static int read_record(uint64_t seq) {
    const char *line;
    size_t n;
    return log_text(&m, seq, &line, &n);
}

static void dropped_batch_leaves_no_line(void **state) {
    (void)state;
    const char *line;
    size_t length;
    uint8_t node[MERKLE_HASH];
    record_alone("kept", 300);
    uint64_t size = m.tree.size;
    for (unsigned more = 1; more <= 30; more += 29) { /* within a value, and beyond it */
        assert_int_equal(batch_begin(&m), VAULT_OK);
        for (unsigned n = 0; n < more; n++)
            record("dropped", 500);
        assert_int_equal(read_record(size), VAULT_OK);
        if (more == 30)
            assert_int_equal(leaf_node(&m, 3, (size + 7) >> 3, node), VAULT_OK); /* of the batch alone */
        batch_drop(&m, VAULT_E_IO);
        assert_int_equal(m.tree.size, size);
        for (unsigned n = 0; n < 20; n++)
            record_alone("instead", 500);
        proofs_hold();
        assert_int_equal(log_text(&m, size, &line, &length), VAULT_OK);
        assert_non_null(memmem(line, length, "instead", strlen("instead")));
        log_is_whole();
        assert_int_equal(audit_count("dropped", NULL), 0);
        size = m.tree.size;
    }
    record_alone("kept", 300);
    assert_int_equal(audit_count("kept", NULL), 2);
    log_is_whole();
}

/* ---- damage ---- */

struct stored {
    uint8_t key[INDEX_KEY_MAX];
    char text[INDEX_VALUE_MAX];
    size_t key_size, n;
};

static void load_last(struct stored *s) {
    uint8_t wanted[8];
    put_be64(wanted, m.tree.size);
    assert_int_equal(index_get_upto(m.index, DB_RECORDS, wanted, sizeof(wanted), s->key, &s->key_size, s->text,
                                    sizeof(s->text), &s->n),
                     VAULT_OK);
}

static void put_back(const struct stored *s, const char *text, size_t n) {
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_RECORDS, s->key, s->key_size, text, n), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    rig_stop();
}

/* What is lost is told to who asks for it; what was before and what comes after is not lost with it. */
static void damaged_last_value_does_not_end_the_log(void **state) {
    (void)state;
    static struct stored s;
    static const char noise[] = "no line";
    for (unsigned n = 0; n < 30; n++)
        record_alone("before", 500);
    load_last(&s);
    uint64_t first = get_be64(s.key), size = m.tree.size;
    put_back(&s, noise, sizeof(noise));
    assert_true(rig_start_unsealed());
    record_alone("after", 500);
    assert_int_equal(read_record(first - 1), VAULT_OK);
    for (uint64_t n = first; n < size; n++)
        assert_int_equal(read_record(n), VAULT_E_DAMAGED);
    for (uint64_t n = size; n < m.tree.size; n++)
        assert_int_equal(read_record(n), VAULT_OK);
}

static void older_last_value_is_noticed(void **state) {
    (void)state;
    static struct stored s;
    record_alone("first", 300);
    load_last(&s);
    record_alone("second", 300);
    uint64_t second = m.tree.size - 1;
    put_back(&s, s.text, s.n);
    assert_true(rig_start_unsealed());
    assert_int_equal(read_record(second - 1), VAULT_OK);
    assert_int_equal(read_record(second), VAULT_E_DAMAGED);
    record_alone("third", 300);
    assert_int_equal(read_record(second), VAULT_E_DAMAGED);
    assert_int_equal(read_record(m.tree.size - 1), VAULT_OK);
}

static void lines_behind_the_tree_keep_it_shut(void **state) {
    (void)state;
    static struct stored s;
    static char more[INDEX_VALUE_MAX];
    record_alone("last", 300);
    load_last(&s);
    copy_bytes(more, sizeof(more), s.text, s.n);
    copy_bytes(more + s.n, sizeof(more) - s.n, "{}\n", 3);
    put_back(&s, more, s.n + 3);
    assert_false(rig_start_unsealed());
}

/* ---- the archive ---- */

static void archive(uint64_t to) {
    request(&root, MSG_archive)->archive.to = to;
    assert_int_equal(ask_status(&root), 202);
    jobs_finish();
    assert_int_equal(m.meta.archived, to);
}

static unsigned lines_in_index(const char *mark) {
    static char text[INDEX_VALUE_MAX + 1];
    uint8_t key[INDEX_KEY_MAX];
    size_t key_size = 0, n = 0;
    unsigned count = 0;
    while (index_next(m.index, DB_RECORDS, NULL, 0, key, key_size, key, &key_size) == VAULT_OK) {
        assert_int_equal(index_get(m.index, DB_RECORDS, key, key_size, text, sizeof(text) - 1, &n), VAULT_OK);
        text[n] = '\0';
        for (const char *at = text; (at = strstr(at, mark)) != NULL; at++)
            count++;
    }
    return count;
}

/* Also where it ends in the middle of a value: a segment that is destroyed leaves nothing of its own behind. */
static void archived_lines_leave_the_index(void **state) {
    (void)state;
    uint64_t first = m.tree.size;
    for (unsigned n = 0; n < 40; n++)
        record_alone("marked", 500);
    assert_int_equal(lines_in_index("marked"), 40);
    static const unsigned ends[] = {3, 17, 18, 39}; /* in a value, far beyond it, by one, in the one that still grows */
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        archive(first + ends[i]);
        assert_int_equal(lines_in_index("marked"), 40 - ends[i]);
        log_is_whole();
    }
    archive(m.tree.size);
    assert_int_equal(lines_in_index("marked"), 0);
    log_is_whole();
    record_alone("later", 500);
    log_is_whole();
    rig_stop();
    assert_true(rig_start_unsealed());
    log_is_whole();
}

/* ---- all of it, in any order ---- */

static void any_batch(void) {
    bool dropped = random() % 4 == 0;
    long count = random() % 25;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    for (long n = 0; n < count; n++)
        record(dropped ? "dropped" : "kept", random() % 20 == 0 ? 13000 : (unsigned)(random() % 2000));
    if (dropped)
        batch_drop(&m, VAULT_E_IO);
    else
        assert_int_equal(batch_finish(&m), VAULT_OK);
}

static void any_order_keeps_the_log_whole(void **state) {
    (void)state;
    srandom(11);
    for (unsigned n = 0; n < 150; n++) {
        switch (random() % 8) {
        case 0:
            rig_stop();
            assert_true(rig_start_unsealed());
            break;
        case 1:
            if (m.meta.archived + 1 < m.tree.size)
                archive(m.meta.archived + 1 + (uint64_t)random() % (m.tree.size - m.meta.archived - 1));
            break;
        default: any_batch();
        }
        if (n % 10 == 0)
            log_is_whole();
    }
    log_is_whole();
    assert_int_equal(audit_count("dropped", NULL), 0);
    int counted;
    while ((counted = index_check(m.index)) == VAULT_AGAIN)
        ;
    assert_int_equal(counted, VAULT_OK);
}

#define RECORDS(test) cmocka_unit_test_setup_teardown(test, vault_set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        RECORDS(records_of_many_batches_share_a_value), RECORDS(records_of_one_batch_share_values_too),
        RECORDS(a_record_of_any_length_has_room),       RECORDS(last_value_goes_on_after_a_restart),
        RECORDS(dropped_batch_leaves_no_line),          RECORDS(damaged_last_value_does_not_end_the_log),
        RECORDS(older_last_value_is_noticed),           RECORDS(lines_behind_the_tree_keep_it_shut),
        RECORDS(archived_lines_leave_the_index),        RECORDS(any_order_keeps_the_log_whole),
    };
    signal(SIGXFSZ, SIG_IGN);
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
