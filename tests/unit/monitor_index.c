/* The index wrapper over a real LMDB environment in a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/index.h"

enum { MAP = 1 << 20 };

static struct secret *key;
static struct index *ix;
static char folder[64];

static int setup(void **state) {
    (void)state;
    copy_string(folder, sizeof(folder), "/tmp/vault-index.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(index_open(key, MAP, true, &ix), VAULT_OK);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    index_close(&ix);
    secret_free(&key);
    unlink("index/data.mdb");
    unlink("index/lock.mdb");
    rmdir("index");
    return chdir("/") != 0 || rmdir(folder) != 0;
}

static void put(enum index_db db, const char *name, const char *value) {
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_put(ix, db, name, strlen(name), value, strlen(value)), VAULT_OK);
    assert_int_equal(index_commit(ix), VAULT_OK);
}

static int get(enum index_db db, const char *name, char to[32]) {
    size_t n = 0;
    int result = index_get(ix, db, name, strlen(name), to, 31, &n);
    to[result == VAULT_OK ? n : 0] = '\0';
    return result;
}

/* Opens the environment as anybody could, and runs one change on it. */
static void behind_its_back(void (*change)(MDB_txn *, MDB_dbi), const char *db) {
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    index_close(&ix);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "index", 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    assert_int_equal(mdb_dbi_open(t, db, 0, &dbi), 0);
    change(t, dbi);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
    assert_int_equal(index_open(key, MAP, false, &ix), VAULT_OK);
}

static MDB_val val(const char *text) {
    return (MDB_val){.mv_size = strlen(text), .mv_data = (void *)(uintptr_t)text};
}

static void exchange(MDB_txn *t, MDB_dbi dbi) {
    MDB_val one = val("one"), two = val("two"), v1, v2;
    char a[256], b[256];
    assert_int_equal(mdb_get(t, dbi, &one, &v1), 0);
    assert_int_equal(mdb_get(t, dbi, &two, &v2), 0);
    copy_bytes(a, sizeof(a), v1.mv_data, v1.mv_size);
    copy_bytes(b, sizeof(b), v2.mv_data, v2.mv_size);
    MDB_val new1 = {v2.mv_size, b}, new2 = {v1.mv_size, a};
    assert_int_equal(mdb_put(t, dbi, &one, &new1, 0), 0);
    assert_int_equal(mdb_put(t, dbi, &two, &new2, 0), 0);
}

static void flip(MDB_txn *t, MDB_dbi dbi) {
    MDB_val one = val("one"), v;
    char a[256];
    assert_int_equal(mdb_get(t, dbi, &one, &v), 0);
    copy_bytes(a, sizeof(a), v.mv_data, v.mv_size);
    a[v.mv_size - 1] ^= 1;
    MDB_val changed = {v.mv_size, a};
    assert_int_equal(mdb_put(t, dbi, &one, &changed, 0), 0);
}

static void value_comes_back_and_is_sealed_on_disk(void **state) {
    char to[32];
    (void)state;
    put(DB_FILES, "one", "genome-marker-7731");
    assert_int_equal(get(DB_FILES, "one", to), VAULT_OK);
    assert_string_equal(to, "genome-marker-7731");
    FILE *f = fopen("index/data.mdb", "rb");
    assert_non_null(f);
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    assert_true(n > 0);
    assert_null(memmem(bytes, n, "genome-marker-7731", 18));
    assert_non_null(memmem(bytes, n, "one", 3)); /* the scan can find: keys are stored as given */
}

static void exchanged_values_do_not_open(void **state) {
    char to[32];
    (void)state;
    put(DB_FILES, "one", "first");
    put(DB_FILES, "two", "other");
    behind_its_back(exchange, "files");
    assert_int_equal(get(DB_FILES, "one", to), VAULT_E_DAMAGED);
    assert_int_equal(get(DB_FILES, "two", to), VAULT_E_DAMAGED);
}

static void flipped_bit_does_not_open(void **state) {
    char to[32];
    (void)state;
    put(DB_FILES, "one", "first");
    behind_its_back(flip, "files");
    assert_int_equal(get(DB_FILES, "one", to), VAULT_E_DAMAGED);
}

static void another_key_does_not_open(void **state) {
    struct secret *other = NULL;
    char to[32];
    (void)state;
    put(DB_FILES, "one", "first");
    index_close(&ix);
    assert_int_equal(secret_random(&other, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(index_open(other, MAP, false, &ix), VAULT_OK);
    assert_int_equal(get(DB_FILES, "one", to), VAULT_E_DAMAGED);
    index_close(&ix);
    secret_free(&other);
}

static void aborted_change_leaves_nothing(void **state) {
    char to[32];
    (void)state;
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_put(ix, DB_FILES, "one", 3, "x", 1), VAULT_OK);
    assert_int_equal(index_changes(ix), 1);
    index_abort(ix);
    assert_int_equal(get(DB_FILES, "one", to), VAULT_NOT_FOUND);
}

static void map_grows_before_it_is_full(void **state) {
    static char value[20000];
    char name[16];
    (void)state;
    for (unsigned i = 0; i < 300; i++) { /* 6 MB into a map of 1 MB */
        assert_int_equal(index_begin(ix), VAULT_OK);
        assert_true(format_string(name, sizeof(name), "k%04u", i));
        assert_int_equal(index_put(ix, DB_PAGES, name, strlen(name), value, sizeof(value)), VAULT_OK);
        assert_int_equal(index_commit(ix), VAULT_OK);
    }
}

static void next_walks_a_prefix_in_order(void **state) {
    uint8_t at[INDEX_KEY_MAX];
    size_t n = 0;
    (void)state;
    put(DB_FILES, "a1", "x");
    put(DB_FILES, "b1", "x");
    put(DB_FILES, "b2", "x");
    put(DB_FILES, "c1", "x");
    assert_int_equal(index_next(ix, DB_FILES, "b", 1, NULL, 0, at, &n), VAULT_OK);
    assert_memory_equal(at, "b1", 2);
    assert_int_equal(index_next(ix, DB_FILES, "b", 1, at, n, at, &n), VAULT_OK);
    assert_memory_equal(at, "b2", 2);
    assert_int_equal(index_next(ix, DB_FILES, "b", 1, at, n, at, &n), VAULT_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(value_comes_back_and_is_sealed_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(exchanged_values_do_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(flipped_bit_does_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(another_key_does_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(aborted_change_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(map_grows_before_it_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(next_walks_a_prefix_in_order, setup, teardown),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
