/* The index wrapper over a real LMDB environment in a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/index.h"

enum { MAP = 1 << 20 };

static struct secret *key, *next;
static struct index_keys keys; /* as the ring has them */
static struct index *ix;
static char folder[64];

static int setup(void **state) {
    (void)state;
    copy_string(folder, sizeof(folder), "/tmp/vault-index.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    keys = (struct index_keys){.key = key, .generation = 1};
    assert_int_equal(index_open(&keys, MAP, true, &ix), VAULT_OK);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    index_close(&ix);
    secret_free(&key);
    secret_free(&next);
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
    assert_int_equal(index_open(&keys, MAP, false, &ix), VAULT_OK);
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
    assert_int_equal(index_open(&(struct index_keys){.key = other, .generation = 1}, MAP, false, &ix), VAULT_OK);
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

/* What the whole count says, in as many slices as it takes. */
static int check_to_the_end(unsigned *ret_slices) {
    int result;
    *ret_slices = 0;
    do {
        result = index_check(ix);
        ++*ret_slices;
    } while (result == VAULT_AGAIN && *ret_slices < 1000);
    index_end_reads(ix);
    return result;
}

static void assert_check(int expected) {
    unsigned slices;
    assert_int_equal(check_to_the_end(&slices), expected);
    assert_int_equal(check_to_the_end(&slices), expected); /* a second count begins anew */
}

/* A wrapped key is sealed already; the tally holds it as any other. */
static void wraps_are_stored_as_they_are_and_counted(void **state) {
    char to[32];
    (void)state;
    put(DB_SUBJECT_KEYS, "one", "wrap-marker-7731");
    assert_int_equal(get(DB_SUBJECT_KEYS, "one", to), VAULT_OK);
    assert_string_equal(to, "wrap-marker-7731");
    FILE *f = fopen("index/data.mdb", "rb");
    assert_non_null(f);
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    assert_non_null(memmem(bytes, n, "wrap-marker-7731", 16));
    assert_int_equal(index_get(ix, DB_SUBJECT_KEYS, "one", 3, to, 15, &n), VAULT_E_LIMIT);
    assert_check(VAULT_OK);
    behind_its_back(flip, "subject-keys");
    assert_check(VAULT_E_DAMAGED);
}

static uint8_t old_value[256];
static size_t old_size;

static void keep_old(MDB_txn *t, MDB_dbi dbi) {
    MDB_val one = val("one"), v;
    assert_int_equal(mdb_get(t, dbi, &one, &v), 0);
    copy_bytes(old_value, sizeof(old_value), v.mv_data, v.mv_size);
    old_size = v.mv_size;
}

static void put_old_back(MDB_txn *t, MDB_dbi dbi) {
    MDB_val one = val("one"), v = {old_size, old_value};
    assert_int_equal(mdb_put(t, dbi, &one, &v, 0), 0);
}

static void remove_one(MDB_txn *t, MDB_dbi dbi) {
    MDB_val one = val("one");
    assert_int_equal(mdb_del(t, dbi, &one, NULL), 0);
}

static void add_copy(MDB_txn *t, MDB_dbi dbi) {
    MDB_val one = val("one"), three = val("three"), v;
    char a[256];
    assert_int_equal(mdb_get(t, dbi, &one, &v), 0);
    copy_bytes(a, sizeof(a), v.mv_data, v.mv_size);
    MDB_val copy = {v.mv_size, a};
    assert_int_equal(mdb_put(t, dbi, &three, &copy, 0), 0);
}

static void nothing(MDB_txn *t, MDB_dbi dbi) {
    (void)t;
    (void)dbi;
}

static void whole_index_agrees_with_its_tally(void **state) {
    (void)state;
    assert_check(VAULT_OK);
    put(DB_FILES, "one", "first");
    put(DB_FILES, "two", "other");
    put(DB_FILES, "one", "second");
    put(DB_SUBJECTS, "one", "first");
    put(DB_META, "meta", "first");
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_delete(ix, DB_FILES, "two", 3), VAULT_OK);
    assert_int_equal(index_delete(ix, DB_FILES, "none", 4), VAULT_NOT_FOUND);
    assert_int_equal(index_commit(ix), VAULT_OK);
    assert_int_equal(index_entries(ix), 3);
    assert_check(VAULT_OK);
    behind_its_back(nothing, "files"); /* control: opening it again changes nothing */
    assert_int_equal(index_entries(ix), 3);
    assert_check(VAULT_OK);
}

static void older_value_put_back_is_noticed(void **state) {
    char to[32];
    (void)state;
    put(DB_META, "meta", "x");
    put(DB_CONSENTS, "one", "permits research");
    behind_its_back(keep_old, "consents");
    put(DB_CONSENTS, "one", "permits nothing");
    assert_check(VAULT_OK);
    behind_its_back(put_old_back, "consents");
    assert_int_equal(get(DB_CONSENTS, "one", to), VAULT_OK); /* the seal alone does not tell */
    assert_string_equal(to, "permits research");
    assert_check(VAULT_E_DAMAGED);
    put(DB_CONSENTS, "one", "permits nothing again"); /* a change on top does not hide it */
    assert_check(VAULT_E_DAMAGED);
}

static void entry_removed_added_or_altered_is_noticed(void **state) {
    static void (*const changes[])(MDB_txn *, MDB_dbi) = {remove_one, flip, add_copy};
    (void)state;
    put(DB_META, "meta", "x");
    put(DB_FILES, "one", "first");
    behind_its_back(keep_old, "files");
    for (size_t i = 0; i < 3; i++) {
        behind_its_back(changes[i], "files");
        assert_check(VAULT_E_DAMAGED);
        behind_its_back(put_old_back, "files");
        if (changes[i] == add_copy)
            break; /* its copy stays; the last one */
        assert_check(VAULT_OK);
    }
}

static void index_without_its_tally_is_never_found_whole(void **state) {
    (void)state;
    put(DB_META, "one", "x");
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    MDB_val name = {sizeof("tally"), (void *)(uintptr_t) "tally"};
    index_close(&ix);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, DB_COUNT), 0);
    assert_int_equal(mdb_env_open(env, "index", 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    assert_int_equal(mdb_dbi_open(t, "meta", 0, &dbi), 0);
    assert_int_equal(mdb_del(t, dbi, &name, NULL), 0);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
    assert_int_equal(index_open(&keys, MAP, false, &ix), VAULT_OK);
    assert_check(VAULT_E_DAMAGED);
    put(DB_META, "one", "y"); /* nor once another tally was stored */
    behind_its_back(nothing, "files");
    assert_check(VAULT_E_DAMAGED);
}

static void add_too_large(MDB_txn *t, MDB_dbi dbi) {
    static char large[INDEX_VALUE_MAX + 1000];
    MDB_val three = val("three"), v = {sizeof(large), large};
    assert_int_equal(mdb_put(t, dbi, &three, &v, 0), 0);
}

static void add_long_key(MDB_txn *t, MDB_dbi dbi) {
    static char name[INDEX_KEY_MAX + 10] = "three";
    MDB_val k = {sizeof(name), name}, v = val("x");
    assert_int_equal(mdb_put(t, dbi, &k, &v, 0), 0);
}

/* What a damaged page says of its entries is not believed; the count has an end all the same. */
static void entry_that_cannot_be_ours_is_damage(void **state) {
    static void (*const changes[])(MDB_txn *, MDB_dbi) = {add_too_large, add_long_key};
    (void)state;
    put(DB_META, "meta", "x");
    for (size_t i = 0; i < 2; i++) {
        behind_its_back(changes[i], i == 0 ? "files" : "pages");
        assert_check(VAULT_E_DAMAGED);
    }
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_put(ix, DB_FILES, "three", 5, "x", 1), VAULT_E_DAMAGED);
    index_abort(ix);
}

static void append(const char *name, const char *value) {
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_append(ix, DB_RECORDS, name, strlen(name), value, strlen(value)), VAULT_OK);
    assert_int_equal(index_commit(ix), VAULT_OK);
}

static void what_is_not_the_last_is_put_where_it_belongs(void **state) {
    char value[32];
    (void)state;
    append("2", "two");
    append("4", "four");
    append("3", "three");
    append("4", "again");
    assert_int_equal(get(DB_RECORDS, "3", value), VAULT_OK);
    assert_string_equal(value, "three");
    assert_int_equal(get(DB_RECORDS, "4", value), VAULT_OK);
    assert_string_equal(value, "again");
    assert_check(VAULT_OK);
}

static off_t file_size_with(bool appended) {
    enum { COUNT = 2000 };
    static const uint8_t line[1300];
    uint8_t number[8];
    struct stat s;
    for (unsigned n = 0; n < COUNT; n++) {
        put_be64(number, n);
        if (n % 50 == 0) /* as batches do */
            assert_int_equal(index_begin(ix), VAULT_OK);
        int result = appended ? index_append(ix, DB_RECORDS, number, sizeof(number), line, sizeof(line))
                              : index_put(ix, DB_RECORDS, number, sizeof(number), line, sizeof(line));
        assert_int_equal(result, VAULT_OK);
        if (n % 50 == 49)
            assert_int_equal(index_commit(ix), VAULT_OK);
    }
    assert_int_equal(stat("index/data.mdb", &s), 0);
    return s.st_size;
}

static void appended_records_fill_their_pages(void **state) {
    void *other = NULL;
    off_t put_in = file_size_with(false);
    assert_int_equal(teardown(state), 0);
    assert_int_equal(setup(&other), 0);
    off_t appended = file_size_with(true);
    assert_true(appended * 4 < put_in * 3);
}

/* Random changes between the slices of a count, before, at and behind the place that it has reached. */
static void count_goes_on_while_values_change(void **state) {
    static const enum index_db dbs[] = {DB_META, DB_FILES, DB_PAGES, DB_NAMES};
    static char value[4000];
    char name[16];
    unsigned slices = 0;
    int result = VAULT_AGAIN;
    (void)state;
    srandom(7);
    assert_int_equal(index_begin(ix), VAULT_OK);
    for (unsigned n = 0; n < 3000; n++) {
        assert_true(format_string(name, sizeof(name), "k%03ld", random() % 800));
        assert_int_equal(index_put(ix, dbs[n % 4], name, strlen(name), "first", 5), VAULT_OK);
    }
    assert_int_equal(index_commit(ix), VAULT_OK);
    while (result == VAULT_AGAIN) {
        assert_int_equal(index_begin(ix), VAULT_OK);
        for (unsigned n = 0; n < 20; n++) {
            enum index_db db = dbs[random() % 4];
            assert_true(format_string(name, sizeof(name), "k%03ld", random() % 800));
            if (random() % 3 == 0)
                (void)index_delete(ix, db, name, strlen(name));
            else
                assert_int_equal(index_put(ix, db, name, strlen(name), value, (size_t)(random() % 4000)), VAULT_OK);
        }
        if (slices % 2 == 0)
            assert_int_equal(index_commit(ix), VAULT_OK);
        result = index_check(ix);
        if (index_writing(ix))
            assert_int_equal(index_commit(ix), VAULT_OK);
        slices++;
    }
    assert_int_equal(result, VAULT_OK);
    assert_true(slices > 4);
}

static void digest_is_of_the_entries_and_the_key(void **state) {
    uint8_t before[TALLY_DIGEST], after[TALLY_DIGEST], again[TALLY_DIGEST];
    (void)state;
    put(DB_META, "meta", "x");
    index_digest(ix, before);
    put(DB_FILES, "one", "x");
    index_digest(ix, after);
    assert_memory_not_equal(before, after, sizeof(before));
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_delete(ix, DB_FILES, "one", 3), VAULT_OK);
    assert_int_equal(index_commit(ix), VAULT_OK);
    index_digest(ix, again);
    assert_memory_equal(before, again, sizeof(before));
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

static void expect_upto(const char *wanted, const char *expected, const char *value) {
    uint8_t found[INDEX_KEY_MAX];
    char text[32];
    size_t key_size = 0, n = 0;
    assert_int_equal(index_get_upto(ix, DB_FILES, wanted, strlen(wanted), found, &key_size, text, sizeof(text) - 1, &n),
                     expected == NULL ? VAULT_NOT_FOUND : VAULT_OK);
    if (expected == NULL)
        return;
    text[n] = '\0';
    assert_string_equal(text, value);
    assert_int_equal(key_size, strlen(expected));
    assert_memory_equal(found, expected, key_size);
}

static void expect_each_upto(void) {
    expect_upto("a", NULL, NULL);
    expect_upto("b", "b", "two");
    expect_upto("c", "b", "two");
    expect_upto("d", "d", "four");
    expect_upto("da", "d", "four");
    expect_upto("z", "d", "four");
}

static void greatest_key_that_is_not_greater_is_found(void **state) {
    (void)state;
    expect_upto("a", NULL, NULL);
    put(DB_CONSENTS, "a", "of another database");
    put(DB_SUBJECT_FILES, "c", "of another database");
    assert_int_equal(index_begin(ix), VAULT_OK);
    assert_int_equal(index_put(ix, DB_FILES, "b", 1, "two", 3), VAULT_OK);
    assert_int_equal(index_put(ix, DB_FILES, "d", 1, "four", 4), VAULT_OK);
    expect_each_upto(); /* also before it is durable */
    assert_int_equal(index_commit(ix), VAULT_OK);
    expect_each_upto();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(value_comes_back_and_is_sealed_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(exchanged_values_do_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(wraps_are_stored_as_they_are_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(flipped_bit_does_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(another_key_does_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(aborted_change_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(map_grows_before_it_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_index_agrees_with_its_tally, setup, teardown),
        cmocka_unit_test_setup_teardown(older_value_put_back_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(entry_removed_added_or_altered_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(index_without_its_tally_is_never_found_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(entry_that_cannot_be_ours_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_the_last_is_put_where_it_belongs, setup, teardown),
        cmocka_unit_test_setup_teardown(appended_records_fill_their_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(count_goes_on_while_values_change, setup, teardown),
        cmocka_unit_test_setup_teardown(digest_is_of_the_entries_and_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(next_walks_a_prefix_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(greatest_key_that_is_not_greater_is_found, setup, teardown),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
