/* The index under two keys, while it is resealed: over a real LMDB environment, against a model in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>
#include <sodium.h>

#include "vault/index.h"
#include "vault/log.h"
#include "vault/result.h"

/* Values are so long that a count of all takes several slices. */
enum { MAP = 1 << 24, NAMES = 60, ROUNDS = 4000, VALUE = 6000 };

static const enum index_db dbs[] = {DB_META, DB_SUBJECTS, DB_FILES, DB_RECORDS, DB_RETIRED, DB_SUBJECT_KEYS};
enum { DBS = sizeof(dbs) / sizeof(dbs[0]) };

static struct secret *first, *second;
static struct index_keys keys; /* as the ring has them */
static struct index *ix;
static char folder[64];
static unsigned model[DBS][NAMES]; /* 0: there is none */

static int setup(void **state) {
    (void)state;
    copy_string(folder, sizeof(folder), "/tmp/vault-reseal.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(secret_random(&first, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(secret_random(&second, SECRET_KEY_SIZE), VAULT_OK);
    keys = (struct index_keys){.key = first, .generation = 7};
    assert_int_equal(index_open(&keys, MAP, true, &ix), VAULT_OK);
    for (size_t d = 0; d < DBS; d++)
        for (size_t n = 0; n < NAMES; n++)
            model[d][n] = 0;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    index_close(&ix);
    secret_free(&first);
    secret_free(&second);
    unlink("index/data.mdb");
    unlink("index/lock.mdb");
    rmdir("index");
    return chdir("/") != 0 || rmdir(folder) != 0;
}

static void reopen(void) {
    index_close(&ix);
    assert_int_equal(index_open(&keys, MAP, false, &ix), VAULT_OK);
}

static void begin(void) {
    assert_int_equal(index_begin(ix), VAULT_OK);
}

static void commit(void) {
    assert_int_equal(index_commit(ix), VAULT_OK);
}

/* Names of many lengths, some of which begin like others. */
static size_t name_of(unsigned n, char to[INDEX_KEY_MAX]) {
    assert_true(
        format_string(to, INDEX_KEY_MAX, "%u%.*s", n % 10, (int)(n / 2), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    return strlen(to);
}

static void put(size_t d, unsigned n, unsigned value) {
    char name[INDEX_KEY_MAX];
    uint8_t bytes[VALUE] = {0};
    size_t size = name_of(n, name);
    copy_bytes(bytes, sizeof(bytes), &value, sizeof(value));
    assert_int_equal(index_put(ix, dbs[d], name, size, bytes, sizeof(bytes)), VAULT_OK);
    model[d][n] = value;
}

static void erase(size_t d, unsigned n) {
    char name[INDEX_KEY_MAX];
    size_t size = name_of(n, name);
    assert_int_equal(index_delete(ix, dbs[d], name, size), model[d][n] == 0 ? VAULT_NOT_FOUND : VAULT_OK);
    model[d][n] = 0;
}

static int get(size_t d, unsigned n, unsigned *ret) {
    char name[INDEX_KEY_MAX];
    uint8_t bytes[VALUE];
    size_t size = name_of(n, name), got = 0;
    int result = index_get(ix, dbs[d], name, size, bytes, sizeof(bytes), &got);
    if (result == VAULT_OK)
        copy_bytes(ret, sizeof(*ret), bytes, sizeof(*ret));
    return result;
}

static void expect_model(void) {
    for (size_t d = 0; d < DBS; d++)
        for (unsigned n = 0; n < NAMES; n++) {
            unsigned value = 0;
            assert_int_equal(get(d, n, &value), model[d][n] == 0 ? VAULT_NOT_FOUND : VAULT_OK);
            assert_int_equal(value, model[d][n]);
        }
    index_end_reads(ix);
}

static uint64_t modelled(void) {
    uint64_t count = 0;
    for (size_t d = 0; d < DBS; d++)
        for (unsigned n = 0; n < NAMES; n++)
            count += model[d][n] != 0;
    return count;
}

static int check(void) {
    int result;
    while ((result = index_check(ix)) == VAULT_AGAIN)
        ;
    index_end_reads(ix);
    return result;
}

static void fill(void) {
    begin();
    for (size_t d = 0; d < DBS; d++)
        for (unsigned n = 0; n < NAMES; n += 1 + (unsigned)d)
            put(d, n, 1 + n);
    commit();
}

static void reseal_begin(void) {
    keys.next = second;
    begin();
    assert_int_equal(index_reseal_begin(ix, &keys), VAULT_OK);
    commit();
    assert_true(index_is_resealing(ix));
}

static int reseal(uint64_t most, bool leave, uint64_t *ret_left) {
    uint64_t done = 0;
    enum index_db db = DB_COUNT;
    begin();
    int result = index_reseal(ix, &(struct index_reseal){.most = most, .leave = leave}, &done, ret_left, &db);
    assert_true(done <= most);
    if (result == VAULT_DENIED)
        assert_true(db < DB_COUNT);
    commit();
    return result;
}

/* The ring forgets the key before; with `told` the index is told, else it is opened anew. */
static void reseal_end(bool told) {
    keys = (struct index_keys){.key = second, .generation = 8};
    if (told) {
        begin();
        assert_int_equal(index_reseal_end(ix, &keys), VAULT_OK);
        commit();
    } else {
        reopen();
    }
    assert_false(index_is_resealing(ix));
}

static void every_entry_opens_at_every_step(void **state) {
    uint64_t left = 0;
    unsigned steps = 0;
    (void)state;
    fill();
    reseal_begin();
    assert_int_equal(check(), VAULT_OK);
    for (; reseal(1, false, &left) == VAULT_OK; steps++) {
        expect_model();
        assert_int_equal(check(), VAULT_OK);
        assert_int_equal(index_entries(ix), modelled());
        if (steps % 5 == 0)
            reopen();
        assert_true(index_is_resealing(ix));
    }
    assert_int_equal(left, 0);
    assert_true(steps >= modelled());
    reopen();
    assert_int_equal(reseal(1, false, &left), VAULT_NOT_FOUND);
    reseal_end(true);
    expect_model();
    assert_int_equal(check(), VAULT_OK);
    reopen();
    expect_model();
    assert_int_equal(check(), VAULT_OK);
    assert_int_equal(index_entries(ix), modelled());
}

/* What is stored opens by the present key alone: not by another, nor under another generation. */
static void only_the_new_key_opens_it_afterwards(void **state) {
    uint64_t left = 0;
    unsigned value = 0;
    (void)state;
    fill();
    reseal_begin();
    while (reseal(64, false, &left) == VAULT_OK)
        ;
    reseal_end(false);
    begin(); /* the tally is stored anew with the next change */
    put(0, 0, 5);
    commit();
    const struct index_keys wrong[] = {{.key = first, .generation = 7},
                                       {.key = first, .generation = 8},
                                       {.key = second, .generation = 7},
                                       {.key = second, .generation = 9}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        index_close(&ix);
        assert_int_equal(index_open(&wrong[i], MAP, false, &ix), VAULT_OK);
        assert_int_equal(get(1, 0, &value), VAULT_E_DAMAGED);
        index_end_reads(ix);
    }
    reopen();
    expect_model();
    assert_int_equal(check(), VAULT_OK);
}

static void random_step(void) {
    uint64_t left = 0;
    switch (randombytes_uniform(12)) {
    case 0: reopen(); break;
    case 1:
        if (index_is_resealing(ix))
            (void)reseal(1 + randombytes_uniform(20), false, &left);
        break;
    case 2:
        (void)index_check(ix);
        index_end_reads(ix);
        break;
    case 3:
        begin();
        index_abort(ix); /* nothing was changed */
        break;
    default:
        begin();
        for (unsigned n = randombytes_uniform(4); n > 0; n--)
            if (randombytes_uniform(3) == 0)
                erase(randombytes_uniform(DBS), randombytes_uniform(NAMES));
            else
                put(randombytes_uniform(DBS), randombytes_uniform(NAMES), 1 + randombytes_uniform(1000));
        commit();
    }
}

static void any_order_of_changes_counts_and_reseals_keeps_all(void **state) {
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t left = 0;
        random_step();
        if (round == ROUNDS / 4)
            reseal_begin();
        if (round == ROUNDS / 2) {
            while (reseal(16, false, &left) == VAULT_OK)
                random_step();
            reseal_end(round % 2 == 0);
        }
        if (round % 100 == 0) {
            expect_model();
            int result = check(); /* of a count that had begun, or a new one */
            assert_int_equal(result, VAULT_OK);
        }
    }
    assert_int_equal(check(), VAULT_OK);
    assert_int_equal(index_entries(ix), modelled());
}

static void dropped_transaction_leaves_the_place_of_before(void **state) {
    uint64_t done = 0, left = 0;
    enum index_db db;
    (void)state;
    fill();
    reseal_begin();
    assert_int_equal(reseal(20, false, &left), VAULT_OK);
    begin();
    assert_int_equal(index_reseal(ix, &(struct index_reseal){.most = 30}, &done, &left, &db), VAULT_OK);
    index_abort(ix);
    reopen();
    expect_model();
    assert_int_equal(check(), VAULT_OK);
}

/* ---- behind its back ---- */

static void change_raw(const char *db, void (*change)(MDB_txn *, MDB_dbi, MDB_val *)) {
    char name[INDEX_KEY_MAX];
    MDB_val k = {.mv_size = name_of(6, name), .mv_data = name};
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    index_close(&ix);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "index", 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    assert_int_equal(mdb_dbi_open(t, db, 0, &dbi), 0);
    change(t, dbi, &k);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
    assert_int_equal(index_open(&keys, MAP, false, &ix), VAULT_OK);
}

static uint8_t kept[VALUE + 64];
static size_t kept_size;

static void keep(MDB_txn *t, MDB_dbi dbi, MDB_val *k) {
    MDB_val v;
    assert_int_equal(mdb_get(t, dbi, k, &v), 0);
    copy_bytes(kept, sizeof(kept), v.mv_data, v.mv_size);
    kept_size = v.mv_size;
}

static void put_back(MDB_txn *t, MDB_dbi dbi, MDB_val *k) {
    MDB_val v = {.mv_size = kept_size, .mv_data = kept};
    assert_int_equal(mdb_put(t, dbi, k, &v, 0), 0);
}

static void damage(MDB_txn *t, MDB_dbi dbi, MDB_val *k) {
    keep(t, dbi, k);
    kept[kept_size - 1] ^= 1;
    put_back(t, dbi, k);
    kept[kept_size - 1] ^= 1;
}

static void take_away(MDB_txn *t, MDB_dbi dbi, MDB_val *k) {
    assert_int_equal(mdb_del(t, dbi, k, NULL), 0);
}

static void lose_tally(MDB_txn *t, MDB_dbi dbi, MDB_val *k) {
    MDB_val tally = {.mv_size = 6, .mv_data = (void *)(uintptr_t) "tally"};
    (void)k;
    assert_int_equal(mdb_del(t, dbi, &tally, NULL), 0);
}

static void damaged_entry_stops_it_until_it_is_mended(void **state) {
    uint64_t left = 0;
    (void)state;
    fill();
    change_raw("files", damage);
    reseal_begin();
    int result = VAULT_OK;
    while (result == VAULT_OK)
        result = reseal(64, false, &left);
    assert_int_equal(result, VAULT_DENIED);
    reopen();
    assert_int_equal(reseal(64, false, &left), VAULT_DENIED);
    assert_int_equal(check(), VAULT_E_DAMAGED);
    change_raw("files", put_back);
    expect_model();
    assert_int_equal(check(), VAULT_OK);
    while ((result = reseal(64, false, &left)) == VAULT_OK)
        ;
    assert_int_equal(result, VAULT_NOT_FOUND);
    reseal_end(true);
    expect_model();
    assert_int_equal(check(), VAULT_OK);
}

static void damaged_entry_is_left_behind_if_wanted_and_still_told(void **state) {
    uint64_t left = 0, lost = 0;
    unsigned value = 0;
    (void)state;
    fill();
    change_raw("files", damage);
    reseal_begin();
    while (reseal(64, true, &left) == VAULT_OK)
        lost += left;
    assert_int_equal(lost + left, 1);
    reseal_end(false);
    assert_int_equal(get(2, 6, &value), VAULT_E_DAMAGED);
    assert_int_equal(check(), VAULT_E_DAMAGED);
}

static void entry_taken_away_is_told_after_the_end_too(void **state) {
    uint64_t left = 0;
    (void)state;
    fill();
    change_raw("subjects", take_away);
    reseal_begin();
    while (reseal(64, false, &left) == VAULT_OK)
        ;
    reseal_end(true);
    assert_int_equal(check(), VAULT_E_DAMAGED);
    reopen();
    assert_int_equal(check(), VAULT_E_DAMAGED);
}

/* Behind the place nothing opens under the key before: an entry of then that is put back is noticed where it is read.
 */
static void entry_of_before_does_not_open_in_its_place(void **state) {
    uint64_t left = 0;
    unsigned value = 0;
    (void)state;
    fill();
    change_raw("subjects", keep);
    reseal_begin();
    while (reseal(64, false, &left) == VAULT_OK)
        ;
    change_raw("subjects", put_back);
    assert_int_equal(get(1, 6, &value), VAULT_E_DAMAGED);
    index_end_reads(ix);
    assert_int_equal(check(), VAULT_E_DAMAGED);
}

/* With the tally the place is lost: entries are tried, all are resealed, and no check finds it whole any more. */
static void lost_place_loses_no_entry(void **state) {
    uint64_t left = 0;
    (void)state;
    fill();
    reseal_begin();
    assert_int_equal(reseal(70, false, &left), VAULT_OK);
    change_raw("meta", lose_tally);
    assert_true(index_is_resealing(ix));
    expect_model();
    begin();
    put(1, 2, 77);
    put(4, 40, 78);
    commit();
    reopen();
    expect_model();
    int result;
    while ((result = reseal(30, false, &left)) == VAULT_OK)
        reopen();
    assert_int_equal(result, VAULT_NOT_FOUND);
    assert_int_equal(left, 0);
    reseal_end(true);
    expect_model();
    assert_int_equal(check(), VAULT_E_DAMAGED);
}

static void key_that_went_too_early_is_refused(void **state) {
    uint64_t left = 0;
    (void)state;
    fill();
    reseal_begin();
    assert_int_equal(reseal(20, false, &left), VAULT_OK);
    const struct index_keys early = {.key = second, .generation = 8};
    assert_int_equal(index_reseal_end(ix, &early), VAULT_E_STATE);
    index_close(&ix);
    assert_int_equal(index_open(&early, MAP, false, &ix), VAULT_E_DAMAGED);
    assert_int_equal(index_open(&keys, MAP, false, &ix), VAULT_OK);
    expect_model();
}

/* As a copy of the index may be opened, whose keys were taken while it was resealed. */
static void keys_of_a_moment_earlier_open_it_too(void **state) {
    uint64_t left = 0;
    (void)state;
    fill();
    const struct index_keys earlier = {.key = first, .next = second, .generation = 7};
    index_close(&ix);
    assert_int_equal(index_open(&earlier, MAP, false, &ix), VAULT_OK); /* it has not begun */
    expect_model();
    assert_int_equal(check(), VAULT_OK);
    reopen();
    reseal_begin();
    while (reseal(64, false, &left) == VAULT_OK)
        ;
    reseal_end(true);
    index_close(&ix);
    assert_int_equal(index_open(&earlier, MAP, false, &ix), VAULT_OK); /* it is over */
    expect_model();
    assert_int_equal(check(), VAULT_OK);
}

static void it_needs_a_transaction_and_the_next_key(void **state) {
    uint64_t done = 0, left = 0;
    enum index_db db;
    (void)state;
    struct index_keys both = {.key = first, .next = second, .generation = 7};
    assert_int_equal(index_reseal_begin(ix, &both), VAULT_E_STATE);
    begin();
    assert_int_equal(index_reseal_begin(ix, &keys), VAULT_E_STATE);
    assert_int_equal(index_reseal(ix, &(struct index_reseal){.most = 1}, &done, &left, &db), VAULT_E_STATE);
    commit();
}

/* Leaves every third value, finds every fifth damaged, and adds to the others. */
static int add_a_thousand(void *context, const uint8_t *entry, size_t size, uint8_t *value, size_t n) {
    unsigned number = 0;
    (void)context;
    assert_true(size > 0 && entry[0] >= '0' && entry[0] <= '9' && n == VALUE);
    copy_bytes(&number, sizeof(number), value, sizeof(number));
    if (number % 3 == 0 || number % 5 == 0)
        return number % 3 == 0 ? VAULT_AGAIN : VAULT_E_DAMAGED;
    number += 1000;
    copy_bytes(value, n, &number, sizeof(number));
    return VAULT_OK;
}

static void rewrite(size_t d) {
    struct index_rewrite how = {.db = dbs[d], .most = 7, .change = add_a_thousand};
    uint8_t after[INDEX_KEY_MAX];
    size_t size = 0;
    uint64_t done, damaged, all = 0, bad = 0, expected = 0, expected_bad = 0;
    int result;
    assert_int_equal(index_rewrite(ix, &how, after, &size, &done, &damaged), VAULT_E_STATE);
    begin();
    while ((result = index_rewrite(ix, &how, after, &size, &done, &damaged)) == VAULT_OK) {
        all += done;
        bad += damaged;
    }
    assert_int_equal(result, VAULT_NOT_FOUND);
    commit();
    for (size_t n = 0; n < NAMES; n++) {
        bool is_bad = model[d][n] % 5 == 0 && model[d][n] % 3 != 0;
        expected += model[d][n] != 0;
        expected_bad += is_bad;
        if (model[d][n] % 3 != 0 && !is_bad)
            model[d][n] += 1000;
    }
    assert_int_equal(all, expected);
    assert_int_equal(bad, expected_bad);
}

/* In a database that is behind the place, in the one that it is in, and in one that no index key seals. */
static void rewriting_changes_each_entry_in_its_place(void **state) {
    uint64_t left = 0;
    unsigned steps = NAMES + NAMES / 4;
    (void)state;
    fill();
    for (size_t d = 0; d < DBS; d++)
        rewrite(d);
    expect_model();
    assert_int_equal(check(), VAULT_OK);
    reseal_begin();
    while (steps-- > 0)
        assert_int_equal(reseal(1, false, &left), VAULT_OK);
    for (size_t d = 0; d < DBS; d++)
        rewrite(d);
    expect_model();
    assert_int_equal(check(), VAULT_OK);
    reopen();
    expect_model();
}

#define INDEX(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        INDEX(every_entry_opens_at_every_step),
        INDEX(only_the_new_key_opens_it_afterwards),
        INDEX(any_order_of_changes_counts_and_reseals_keeps_all),
        INDEX(dropped_transaction_leaves_the_place_of_before),
        INDEX(damaged_entry_stops_it_until_it_is_mended),
        INDEX(damaged_entry_is_left_behind_if_wanted_and_still_told),
        INDEX(entry_taken_away_is_told_after_the_end_too),
        INDEX(entry_of_before_does_not_open_in_its_place),
        INDEX(lost_place_loses_no_entry),
        INDEX(key_that_went_too_early_is_refused),
        INDEX(keys_of_a_moment_earlier_open_it_too),
        INDEX(it_needs_a_transaction_and_the_next_key),
        INDEX(rewriting_changes_each_entry_in_its_place),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
