/* Making a copy, in the test's own process: what only who has the key could put into an index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/backup/backup.h"

enum { MAP = 1 << 20 };

static struct secret *key;
static char folder[64];
static struct task task;

static void put(struct index *i, enum index_db db, const void *name, size_t size, const void *value, size_t n) {
    assert_int_equal(index_begin(i), VAULT_OK);
    assert_int_equal(index_put(i, db, name, size, value, n), VAULT_OK);
    assert_int_equal(index_commit(i), VAULT_OK);
}

/* An index as small as a copy can be of. */
static void make_index(void) {
    static struct meta_value meta;
    struct index *i = NULL;
    uint8_t tree[24] = {7};
    meta = (struct meta_value){.format = INDEX_FORMAT, .epoch = 3, .generation = 2, .clean = 2};
    assert_int_equal(index_open(&(struct index_keys){.key = key, .generation = 1}, MAP, true, &i), VAULT_OK);
    assert_int_equal(index_begin(i), VAULT_OK);
    assert_int_equal(index_put_record(i, DB_META, "meta", 5, &layout_meta_value, &meta), VAULT_OK);
    assert_int_equal(index_commit(i), VAULT_OK);
    put(i, DB_META, "tree", 5, tree, sizeof(tree));
    put(i, DB_REQUESTS, "one", 3, "value", 5);
    index_close(&i);
}

static int set_up(void **state) {
    (void)state;
    copy_string(folder, sizeof(folder), "/tmp/vault-backup.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("place", 0700), 0);
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    make_index();
    task = (struct task){.map_size = MAP, .name = "b"};
    task.state = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    task.place = open("place", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(partial_make(&task), VAULT_OK);
    return 0;
}

static int tear_down(void **state) {
    static const char *const files[] = {"place/b/index/data.mdb", "place/b/objects", "place/b/archive", "place/b/about",
                                        "place/b/SHA256SUMS",     "index/data.mdb",  "index/lock.mdb"};
    static const char *const folders[] = {"place/b/index", "place/b", "place", "index"};
    (void)state;
    secret_free(&key);
    assert_int_equal(chdir(folder), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        (void)unlink(files[i]);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        (void)rmdir(folders[i]);
    close(task.state);
    close(task.place);
    close(task.partial);
    return chdir("/") != 0 || rmdir(folder) != 0;
}

/* ---- a value that does not open, with a tally that says it is as it was stored ---- */

static MDB_val val(const void *bytes, size_t n) {
    return (MDB_val){.mv_size = n, .mv_data = (void *)(uintptr_t)bytes};
}

/* The tally of before, without the good value and with the bad one. */
static void count_instead(struct tally *t, const MDB_val *good, const MDB_val *bad) {
    struct secret *by = NULL;
    uint8_t entry[TALLY_ENTRY];
    assert_int_equal(tally_key(key, &by), VAULT_OK);
    tally_hash(by, DB_REQUESTS, "one", 3, good->mv_data, good->mv_size, entry);
    tally_take(t, entry);
    tally_hash(by, DB_REQUESTS, "one", 3, bad->mv_data, bad->mv_size, entry);
    tally_add(t, entry);
    secret_free(&by);
}

static void replace(MDB_txn *t, const struct tally *tally_before, bool agree) {
    static const char name[] = "tally";
    struct tally tally = *tally_before;
    uint8_t sealed[TALLY_SIZE + SEAL_OVERHEAD], plain[TALLY_SIZE], ad[5 + sizeof(name)] = {DB_META, 1}, bad_bytes[256];
    MDB_dbi requests, meta;
    MDB_val one = val("one", 3), counted = val(name, sizeof(name)), good;
    assert_int_equal(mdb_dbi_open(t, "requests", 0, &requests) | mdb_dbi_open(t, "meta", 0, &meta), 0);
    assert_int_equal(mdb_get(t, requests, &one, &good), 0);
    copy_bytes(bad_bytes, sizeof(bad_bytes), good.mv_data, good.mv_size);
    bad_bytes[good.mv_size - 1] ^= 1;
    MDB_val bad = val(bad_bytes, good.mv_size);
    count_instead(&tally, &good, &bad);
    assert_int_equal(mdb_put(t, requests, &one, &bad, 0), 0);
    tally_encode(&tally, plain);
    copy_bytes(ad + 5, sizeof(ad) - 5, name, sizeof(name));
    assert_int_equal(seal_bytes(key, ad, sizeof(ad), plain, sizeof(plain), sealed), VAULT_OK);
    MDB_val stored = val(sealed, sizeof(sealed));
    if (agree)
        assert_int_equal(mdb_put(t, meta, &counted, &stored, 0), 0);
}

static void spoil(bool agree) {
    struct index *i = NULL;
    struct tally tally;
    uint8_t bytes[TALLY_SIZE];
    size_t n = 0;
    MDB_env *env;
    MDB_txn *t;
    assert_int_equal(index_open(&(struct index_keys){.key = key, .generation = 1}, MAP, false, &i), VAULT_OK);
    assert_int_equal(index_get(i, DB_META, "tally", 6, bytes, sizeof(bytes), &n), VAULT_OK);
    tally_decode(&tally, bytes);
    index_close(&i);
    assert_int_equal(mdb_env_create(&env) | mdb_env_set_maxdbs(env, DB_COUNT) | mdb_env_open(env, "index", 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    replace(t, &tally, agree);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
}

/* The check alone, by the count. */
static int counted(void) {
    struct index *i = NULL;
    int result;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(index_open(&(struct index_keys){.key = key, .generation = 1}, MAP, false, &i), VAULT_OK);
    do
        result = index_check(i);
    while (result == VAULT_AGAIN);
    index_close(&i);
    return result;
}

static void assert_nothing_is_left(void) {
    struct stat found;
    assert_string_equal(task.rule, "backup-damaged");
    assert_int_not_equal(fstatat(task.place, "b", &found, 0), 0);
    assert_int_not_equal(fstatat(task.place, "b.partial", &found, 0), 0);
}

static void whole_index_is_copied_and_says_what_it_needs(void **state) {
    struct msg_backup_copied copied = {.oldest = 0};
    struct stat found;
    (void)state;
    assert_int_equal(backup_make(&task, &(struct index_keys){.key = key, .generation = 1}, &copied), VAULT_OK);
    assert_int_equal(fstatat(task.place, "b/index/data.mdb", &found, 0), 0);
    assert_int_equal(copied.oldest, 2);
    assert_int_equal(copied.newest, 2);
    assert_int_equal(copied.epoch, 3);
    assert_int_equal(copied.records, 7);
    assert_int_equal(copied.bytes, found.st_size);
}

static void value_that_does_not_open_is_damage_though_the_tally_agrees(void **state) {
    struct msg_backup_copied copied = {.oldest = 0};
    (void)state;
    spoil(true);
    assert_int_equal(counted(), VAULT_OK);
    assert_int_equal(backup_make(&task, &(struct index_keys){.key = key, .generation = 1}, &copied), VAULT_DENIED);
    assert_nothing_is_left();
}

static void value_that_the_tally_does_not_know_is_damage(void **state) {
    struct msg_backup_copied copied = {.oldest = 0};
    (void)state;
    spoil(false);
    assert_int_equal(counted(), VAULT_E_DAMAGED);
    assert_int_equal(backup_make(&task, &(struct index_keys){.key = key, .generation = 1}, &copied), VAULT_DENIED);
    assert_nothing_is_left();
}

static void another_key_makes_no_backup(void **state) {
    struct msg_backup_copied copied = {.oldest = 0};
    struct secret *other = NULL;
    (void)state;
    assert_int_equal(secret_random(&other, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(backup_make(&task, &(struct index_keys){.key = other, .generation = 1}, &copied), VAULT_DENIED);
    assert_nothing_is_left();
    secret_free(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_index_is_copied_and_says_what_it_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(value_that_does_not_open_is_damage_though_the_tally_agrees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(value_that_the_tally_does_not_know_is_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_makes_no_backup, set_up, tear_down),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
