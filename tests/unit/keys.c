#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keys/keyring_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/wrap.h"

/* ---- The steps of a store: every call that changes the disk, ended or failed on request (linked with --wrap). ---- */

static struct {
    int step;       /* calls so far */
    int die_at;     /* _exit instead of the call with this number; 0: never */
    int fail_at;    /* fail this call; 0: never */
    int fail_errno; /* with this */
    bool trickle;   /* write one byte at a time */
    char trace[64]; /* o open for writing, w write, f fsync, r rename, u unlink */
} steps;

ssize_t __real_write(int fd, const void *bytes, size_t n);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *name, int flags);
int __real_openat(int dir, const char *name, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_openat(int dir, const char *name, int flags, ...);

/* True if this step is to fail. */
static bool step(char what) {
    size_t used = strlen(steps.trace);
    steps.step++;
    if (used + 1 < sizeof(steps.trace))
        steps.trace[used] = what;
    if (steps.step == steps.die_at)
        _exit(77);
    if (steps.step != steps.fail_at)
        return false;
    errno = steps.fail_errno;
    return true;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n) {
    if (fd <= STDERR_FILENO)
        return __real_write(fd, bytes, n);
    if (step('w'))
        return -1;
    return __real_write(fd, bytes, steps.trickle ? 1 : n);
}

int __wrap_fsync(int fd) {
    return step('f') ? -1 : __real_fsync(fd);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return step('r') ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_unlinkat(int dir, const char *name, int flags) {
    return step('u') ? -1 : __real_unlinkat(dir, name, flags);
}

int __wrap_openat(int dir, const char *name, int flags, ...) {
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    if ((flags & O_CREAT) != 0 && step('o'))
        return -1;
    return __real_openat(dir, name, flags, mode);
}

static void forget_steps(void) {
    wipe(&steps, sizeof(steps));
}

/* ---- A place for a ring: two folders, fresh for each test. ---- */

struct fixture {
    char path[64];
    struct keyring_place place;
    struct secret *root;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    copy_string(f->path, sizeof(f->path), "/tmp/vault-keys-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    int top = open(f->path, O_RDONLY | O_DIRECTORY);
    assert_true(top >= 0);
    assert_int_equal(mkdirat(top, "a", 0700), 0);
    assert_int_equal(mkdirat(top, "b", 0700), 0);
    f->place = (struct keyring_place){.directory = openat(top, "a", O_RDONLY | O_DIRECTORY),
                                      .twin_directory = openat(top, "b", O_RDONLY | O_DIRECTORY),
                                      .name = "keyring",
                                      .twin_name = "twin"};
    close(top);
    assert_int_equal(secret_random(&f->root, SECRET_KEY_SIZE), VAULT_OK);
    forget_steps();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    forget_steps();
    unlinkat(f->place.directory, "keyring", 0);
    unlinkat(f->place.directory, "keyring.new", 0);
    unlinkat(f->place.twin_directory, "twin", 0);
    unlinkat(f->place.twin_directory, "twin.new", 0);
    close(f->place.directory);
    close(f->place.twin_directory);
    int top = open(f->path, O_RDONLY | O_DIRECTORY);
    unlinkat(top, "a", AT_REMOVEDIR);
    unlinkat(top, "b", AT_REMOVEDIR);
    close(top);
    int removed = rmdir(f->path);
    secret_free(&f->root);
    free(f);
    return removed;
}

static size_t slurp(int dir, const char *name, uint8_t *to, size_t size) {
    int fd = openat(dir, name, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, to, size);
    close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

static void put(int dir, const char *name, const void *bytes, size_t n) {
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static bool is_there(int dir, const char *name) {
    return faccessat(dir, name, F_OK, 0) == 0;
}

static void assert_copies_equal(const struct fixture *f) {
    uint8_t a[RING_FILE_MAX], b[RING_FILE_MAX];
    size_t n = slurp(f->place.directory, "keyring", a, sizeof(a));
    assert_int_equal(slurp(f->place.twin_directory, "twin", b, sizeof(b)), n);
    assert_memory_equal(a, b, n);
}

static void assert_no_leftover(const struct fixture *f) {
    assert_false(is_there(f->place.directory, "keyring.new"));
    assert_false(is_there(f->place.twin_directory, "twin.new"));
}

/* A ring whose seal any key opens: what matters here is the root key. */
static struct keyring *sealed_ring(bool dev, const struct secret *root) {
    struct keyring *k = NULL;
    struct seal seal;
    assert_int_equal(keyring_new(dev, &k), VAULT_OK);
    assert_int_equal(seal_by_credential(root, keyring_vault_id(k), root, &seal), VAULT_OK);
    assert_int_equal(keyring_set_seal(k, &seal), VAULT_OK);
    return k;
}

/* A stored ring of one generation, epoch 1. */
static struct keyring *stored_ring(const struct fixture *f) {
    struct keyring *k = sealed_ring(true, f->root);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    return k;
}

static void assert_same_ring(const struct keyring *a, const struct keyring *b) {
    assert_memory_equal(keyring_vault_id(a), keyring_vault_id(b), KEYRING_ID);
    assert_int_equal(keyring_epoch(a), keyring_epoch(b));
    assert_int_equal(keyring_is_dev(a), keyring_is_dev(b));
    assert_int_equal(keyring_count(a), keyring_count(b));
    for (uint32_t i = 0; i < keyring_count(a); i++) {
        uint64_t created_a = 0, created_b = 1;
        uint32_t number = keyring_generation(a, i, &created_a);
        assert_int_equal(keyring_generation(b, i, &created_b), number);
        assert_int_equal(created_a, created_b);
        assert_true(secret_equal(keyring_kek(a, number), keyring_kek(b, number)));
    }
    const struct secret *next_a[] = {keyring_next_index_key(a), keyring_next_name_key(a)};
    const struct secret *next_b[] = {keyring_next_index_key(b), keyring_next_name_key(b)};
    for (size_t i = 0; i < 2; i++)
        assert_true(next_a[i] == NULL ? next_b[i] == NULL : next_b[i] != NULL && secret_equal(next_a[i], next_b[i]));
    assert_int_equal(keyring_index_generation(a), keyring_index_generation(b));
    assert_int_equal(keyring_name_generation(a), keyring_name_generation(b));
    assert_true(secret_equal(keyring_index_key(a), keyring_index_key(b)));
    assert_true(secret_equal(keyring_name_key(a), keyring_name_key(b)));
    assert_true(secret_equal(keyring_audit_seed(a), keyring_audit_seed(b)));
}

static void load_expecting(const struct fixture *f, const struct keyring *expected, bool expect_repair) {
    struct keyring *k = NULL;
    bool repaired = !expect_repair;
    assert_int_equal(keyring_load(&f->place, f->root, &k, &repaired), VAULT_OK);
    assert_int_equal(repaired, expect_repair);
    assert_same_ring(k, expected);
    assert_copies_equal(f);
    assert_no_leftover(f);
    keyring_free(&k);
}

static void load_refused(const struct fixture *f, int expected) {
    struct keyring *k = NULL;
    bool repaired = false;
    assert_int_equal(keyring_load(&f->place, f->root, &k, &repaired), expected);
    assert_null(k);
    assert_false(repaired);
}

/* ---- The ring. ---- */

static void ring_loads_as_stored(void **state) {
    struct fixture *f = *state;
    assert_false(keyring_exists(&f->place));
    struct keyring *k = stored_ring(f);
    assert_true(keyring_exists(&f->place));
    load_expecting(f, k, false);
    keyring_free(&k);
}

static void ring_keys_are_all_different(void **state) {
    (void)state;
    struct keyring *k = NULL;
    assert_int_equal(keyring_new(false, &k), VAULT_OK);
    assert_false(secret_equal(keyring_index_key(k), keyring_name_key(k)));
    assert_false(secret_equal(keyring_index_key(k), keyring_audit_seed(k)));
    assert_false(secret_equal(keyring_name_key(k), keyring_audit_seed(k)));
    assert_false(secret_equal(keyring_kek(k, 1), keyring_index_key(k)));
    assert_false(keyring_is_dev(k));
    keyring_free(&k);
}

static void ring_without_a_seal_is_not_stored(void **state) {
    struct fixture *f = *state;
    struct keyring *k = NULL;
    assert_int_equal(keyring_new(true, &k), VAULT_OK);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_E_STATE);
    assert_false(keyring_exists(&f->place));
    keyring_free(&k);
}

static void seal_of_a_ring_is_known_without_its_key(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    CLEANUP_SECRET struct secret *root = NULL;
    uint8_t vault[KEYRING_ID];
    struct seal seal;
    assert_int_equal(keyring_peek(&f->place, &seal, vault), VAULT_OK);
    assert_memory_equal(vault, keyring_vault_id(k), KEYRING_ID);
    assert_int_equal(seal_open(&seal, f->root, vault, &root), VAULT_OK);
    assert_true(secret_equal(root, f->root));
    keyring_free(&k);
}

static void ring_under_a_new_seal_is_of_the_next_epoch(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    CLEANUP_SECRET struct secret *root = NULL;
    struct seal seal;
    bool repaired = false;
    assert_int_equal(secret_random(&root, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(seal_again(keyring_seal(k), f->root, keyring_vault_id(k), root, &seal), VAULT_OK);
    assert_int_equal(keyring_set_seal(k, &seal), VAULT_OK);
    assert_int_equal(keyring_epoch(k), 2);
    assert_int_equal(keyring_store(k, &f->place, root), VAULT_OK);
    keyring_free(&k);
    assert_int_equal(keyring_load(&f->place, f->root, &k, &repaired), VAULT_DENIED);
    assert_int_equal(keyring_load(&f->place, root, &k, &repaired), VAULT_OK);
    keyring_free(&k);
}

static void ring_of_all_generations_loads_and_takes_no_more(void **state) {
    struct fixture *f = *state;
    struct keyring *k = sealed_ring(false, f->root);
    for (uint32_t i = 1; i < KEYRING_GENERATIONS; i++) {
        assert_int_equal(keyring_add_generation(k), VAULT_OK);
        assert_int_equal(keyring_newest(k), i + 1);
        assert_int_equal(keyring_epoch(k), i + 1);
    }
    assert_int_equal(keyring_add_generation(k), VAULT_E_LIMIT);
    assert_int_equal(keyring_count(k), KEYRING_GENERATIONS);
    assert_null(keyring_kek(k, 0));
    assert_null(keyring_kek(k, KEYRING_GENERATIONS + 1));
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    keyring_free(&k);
}

static void ring_file_is_for_its_owner_and_shows_no_key(void **state) {
    struct fixture *f = *state;
    struct stat s;
    uint8_t bytes[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    assert_int_equal(fstatat(f->place.directory, "keyring", &s, 0), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(fstatat(f->place.twin_directory, "twin", &s, 0), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    size_t n = slurp(f->place.directory, "keyring", bytes, sizeof(bytes));
    const struct secret *keys[] = {keyring_kek(k, 1), keyring_index_key(k), keyring_name_key(k), keyring_audit_seed(k),
                                   f->root};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_null(memmem(bytes, n, secret_view(keys[i]), 8));
    keyring_free(&k);
}

static void ring_that_is_not_there_is_not_found(void **state) {
    load_refused(*state, VAULT_NOT_FOUND);
}

static void ring_is_denied_to_another_root_key(void **state) {
    struct fixture *f = *state;
    uint8_t before[RING_FILE_MAX], after[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", before, sizeof(before));
    secret_edit(f->root)[31] ^= 1;
    load_refused(f, VAULT_DENIED);
    assert_int_equal(slurp(f->place.directory, "keyring", after, sizeof(after)), n);
    assert_memory_equal(before, after, n);
    keyring_free(&k);
}

static void missing_copy_is_repaired(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    unlinkat(f->place.directory, "keyring", 0);
    load_expecting(f, k, true);
    unlinkat(f->place.twin_directory, "twin", 0);
    load_expecting(f, k, true);
    load_expecting(f, k, false);
    keyring_free(&k);
}

static void retired_generations_are_in_no_copy_under_the_new_root_key(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    struct secret *root = NULL;
    struct seal seal;
    uint8_t old[RING_FILE_MAX];
    uint64_t created = 0;
    size_t n = slurp(f->place.directory, "keyring", old, sizeof(old));
    assert_int_equal(keyring_retire(k), VAULT_NOT_FOUND);
    assert_int_equal(keyring_add_generation(k), VAULT_OK);
    assert_int_equal(keyring_add_generation(k), VAULT_OK);
    assert_int_equal(keyring_retire(k), VAULT_OK);
    assert_int_equal(keyring_count(k), 1);
    assert_int_equal(keyring_generation(k, 0, &created), 3);
    assert_null(keyring_kek(k, 1));
    assert_null(keyring_kek(k, 2));
    assert_int_equal(secret_random(&root, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(seal_again(keyring_seal(k), f->root, keyring_vault_id(k), root, &seal), VAULT_OK);
    assert_int_equal(keyring_set_seal(k, &seal), VAULT_OK);
    assert_int_equal(keyring_store(k, &f->place, root), VAULT_OK);
    struct secret *first = f->root;
    f->root = root;
    load_expecting(f, k, false);
    assert_int_equal(keyring_add_generation(k), VAULT_OK);
    assert_int_equal(keyring_newest(k), 4);
    keyring_free(&k);
    /* An older copy has them still, for whoever has the root key of then. */
    put(f->place.directory, "keyring", old, n);
    put(f->place.twin_directory, "twin", old, n);
    bool repaired = false;
    assert_int_equal(keyring_load(&f->place, root, &k, &repaired), VAULT_DENIED);
    assert_int_equal(keyring_load(&f->place, first, &k, &repaired), VAULT_OK);
    assert_non_null(keyring_kek(k, 1));
    keyring_free(&k);
    f->root = first;
    secret_free(&root);
}

static void copy_of_a_ring_opens_under_its_own_root_key_only(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f), *copy = NULL;
    struct secret *root = NULL;
    struct seal seal;
    uint8_t bytes[KEYRING_FILE_MAX], before[RING_FILE_MAX], after[RING_FILE_MAX];
    size_t n = 0;
    assert_int_equal(keyring_add_generation(k), VAULT_OK);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    size_t size = slurp(f->place.directory, "keyring", before, sizeof(before));
    assert_int_equal(secret_random(&root, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(seal_by_credential(f->root, keyring_vault_id(k), root, &seal), VAULT_OK);
    assert_int_equal(keyring_copy(k, &seal, root, bytes, &n), VAULT_OK);
    assert_int_equal(keyring_copy(k, &(struct seal){.kind = SEAL_BY_NOTHING}, root, bytes, &n), VAULT_E_STATE);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false); /* and so does the ring itself, as before */
    assert_int_equal(slurp(f->place.directory, "keyring", after, sizeof(after)), size);
    put(f->place.directory, "keyring", bytes, n);
    assert_int_equal(unlinkat(f->place.twin_directory, "twin", 0), 0);
    bool repaired = false;
    assert_int_equal(keyring_load(&f->place, f->root, &copy, &repaired), VAULT_DENIED);
    assert_int_equal(keyring_load(&f->place, root, &copy, &repaired), VAULT_OK);
    assert_int_equal(keyring_epoch(copy), keyring_epoch(k));
    for (uint32_t g = 1; g <= 2; g++)
        assert_true(secret_equal(keyring_kek(copy, g), keyring_kek(k, g)));
    assert_true(secret_equal(keyring_index_key(copy), keyring_index_key(k)));
    assert_true(secret_equal(keyring_name_key(copy), keyring_name_key(k)));
    assert_true(secret_equal(keyring_audit_seed(copy), keyring_audit_seed(k)));
    keyring_free(&copy);
    keyring_free(&k);
    secret_free(&root);
}

/* What the ring's file holds of this key, once it is opened with the root key. */
static bool ring_holds(struct fixture *f, const struct secret *key) {
    uint8_t bytes[RING_FILE_MAX], body[RING_FILE_MAX];
    struct ring_head head;
    size_t n = slurp(f->place.directory, "keyring", bytes, sizeof(bytes));
    assert_int_equal(ring_head_parse(bytes, n, &head), VAULT_OK);
    assert_int_equal(unseal_bytes(f->root, bytes, head.head_size, bytes + head.head_size, head.sealed_size, body),
                     VAULT_OK);
    return memmem(body, head.sealed_size - SEAL_OVERHEAD, secret_view(key), SECRET_KEY_SIZE) != NULL;
}

static struct secret *copy_of(const struct secret *key) {
    struct secret *copy = NULL;
    assert_int_equal(secret_new(&copy, secret_size(key)), VAULT_OK);
    copy_bytes(secret_edit(copy), secret_size(copy), secret_view(key), secret_size(key));
    return copy;
}

static void ring_has_the_next_index_key_until_the_present_one_goes(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    struct secret *first = copy_of(keyring_index_key(k));
    assert_int_equal(keyring_index_generation(k), 1);
    assert_null(keyring_next_index_key(k));
    assert_int_equal(keyring_end_index_key(k), VAULT_E_STATE);
    assert_int_equal(keyring_begin_index_key(k), VAULT_OK);
    assert_int_equal(keyring_begin_index_key(k), VAULT_E_STATE);
    assert_int_equal(keyring_epoch(k), 2);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    struct secret *next = copy_of(keyring_next_index_key(k));
    assert_false(secret_equal(first, next));
    assert_true(ring_holds(f, first) && ring_holds(f, next));
    assert_int_equal(keyring_end_index_key(k), VAULT_OK);
    assert_int_equal(keyring_epoch(k), 3);
    assert_int_equal(keyring_index_generation(k), 2);
    assert_true(secret_equal(keyring_index_key(k), next));
    assert_null(keyring_next_index_key(k));
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    assert_true(ring_holds(f, next));
    assert_false(ring_holds(f, first));
    secret_free(&first);
    secret_free(&next);
    keyring_free(&k);
}

static void ring_has_the_next_name_key_until_the_present_one_goes(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    struct secret *first = copy_of(keyring_name_key(k));
    assert_int_equal(keyring_name_generation(k), 1);
    assert_null(keyring_next_name_key(k));
    assert_int_equal(keyring_end_name_key(k), VAULT_E_STATE);
    assert_int_equal(keyring_begin_index_key(k), VAULT_OK); /* both may be under way */
    assert_int_equal(keyring_begin_name_key(k), VAULT_OK);
    assert_int_equal(keyring_begin_name_key(k), VAULT_E_STATE);
    assert_int_equal(keyring_epoch(k), 3);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    struct secret *next = copy_of(keyring_next_name_key(k));
    assert_false(secret_equal(first, next));
    assert_true(ring_holds(f, first) && ring_holds(f, next));
    assert_int_equal(keyring_end_name_key(k), VAULT_OK);
    assert_int_equal(keyring_epoch(k), 4);
    assert_int_equal(keyring_name_generation(k), 2);
    assert_int_equal(keyring_index_generation(k), 1);
    assert_true(secret_equal(keyring_name_key(k), next));
    assert_null(keyring_next_name_key(k));
    assert_non_null(keyring_next_index_key(k));
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    assert_true(ring_holds(f, next));
    assert_false(ring_holds(f, first));
    secret_free(&first);
    secret_free(&next);
    keyring_free(&k);
}

static void audit_seed_makes_way_for_another(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    struct secret *first = copy_of(keyring_audit_seed(k)), *seed = NULL;
    assert_int_equal(keyring_replace_audit_seed(k, &seed), VAULT_E_STATE);
    assert_int_equal(secret_random(&seed, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(keyring_replace_audit_seed(k, &seed), VAULT_OK);
    assert_null(seed);
    assert_int_equal(keyring_epoch(k), 2);
    assert_true(ring_holds(f, first));
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    assert_false(ring_holds(f, first));
    assert_true(ring_holds(f, keyring_audit_seed(k)));
    secret_free(&first);
    keyring_free(&k);
}

static void older_copy_is_repaired_from_the_newer(void **state) {
    struct fixture *f = *state;
    uint8_t old[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", old, sizeof(old));
    assert_int_equal(keyring_add_generation(k), VAULT_OK);
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    put(f->place.directory, "keyring", old, n);
    load_expecting(f, k, true);
    put(f->place.twin_directory, "twin", old, n);
    load_expecting(f, k, true);
    keyring_free(&k);
}

static void damage_of_any_byte_is_repaired_from_the_other_copy(void **state) {
    struct fixture *f = *state;
    uint8_t good[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", good, sizeof(good));
    for (size_t i = 0; i < n; i++) {
        bool first = i % 2 == 0;
        good[i] ^= 0x40;
        put(first ? f->place.directory : f->place.twin_directory, first ? "keyring" : "twin", good, n);
        good[i] ^= 0x40;
        load_expecting(f, k, true);
    }
    keyring_free(&k);
}

static void damage_of_both_copies_is_refused(void **state) {
    struct fixture *f = *state;
    uint8_t bytes[RING_FILE_MAX + 2] = {0};
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", bytes, sizeof(bytes));
    const size_t sizes[] = {0, 1, 43, n - 1, n + 1, RING_FILE_MAX, RING_FILE_MAX + 2};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put(f->place.directory, "keyring", bytes, sizes[i]);
        put(f->place.twin_directory, "twin", bytes, sizes[i]);
        load_refused(f, VAULT_E_DAMAGED);
    }
    keyring_free(&k);
}

static void damaged_copy_alone_is_refused(void **state) {
    struct fixture *f = *state;
    uint8_t bytes[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", bytes, sizeof(bytes));
    put(f->place.directory, "keyring", bytes, n / 2);
    unlinkat(f->place.twin_directory, "twin", 0);
    load_refused(f, VAULT_E_DAMAGED);
    keyring_free(&k);
}

static void fix_checksum(uint8_t *bytes, size_t n) {
    assert_int_equal(crypto_generichash(bytes + n - RING_CHECKSUM, RING_CHECKSUM, bytes, n - RING_CHECKSUM, NULL, 0),
                     0);
}

/* Who can write the file can also make the checksum right; the seal binds everything before it. */
static void forgery_of_any_byte_with_a_right_checksum_is_refused(void **state) {
    struct fixture *f = *state;
    uint8_t bytes[RING_FILE_MAX], good[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", good, sizeof(good));
    for (size_t i = 0; i < n - RING_CHECKSUM; i++) {
        struct keyring *loaded = NULL;
        bool repaired = false;
        COPY_ARRAY(bytes, good);
        bytes[i] ^= 1;
        fix_checksum(bytes, n);
        put(f->place.directory, "keyring", bytes, n);
        put(f->place.twin_directory, "twin", bytes, n);
        int result = keyring_load(&f->place, f->root, &loaded, &repaired);
        assert_true(result == VAULT_E_DAMAGED || result == VAULT_E_FORMAT || result == VAULT_DENIED);
        assert_null(loaded);
    }
    keyring_free(&k);
}

static void forged_newer_epoch_is_refused_and_repairs_nothing(void **state) {
    struct fixture *f = *state;
    uint8_t bytes[RING_FILE_MAX], good[RING_FILE_MAX], after[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", good, sizeof(good));
    COPY_ARRAY(bytes, good);
    bytes[8 + 4 + KEYRING_ID]++;
    fix_checksum(bytes, n);
    put(f->place.twin_directory, "twin", bytes, n);
    load_refused(f, VAULT_DENIED);
    assert_int_equal(slurp(f->place.directory, "keyring", after, sizeof(after)), n);
    assert_memory_equal(after, good, n);
    assert_int_equal(slurp(f->place.twin_directory, "twin", after, sizeof(after)), n);
    assert_memory_equal(after, bytes, n);
    keyring_free(&k);
}

static void copy_forged_at_the_same_epoch_is_repaired(void **state) {
    struct fixture *f = *state;
    uint8_t bytes[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", bytes, sizeof(bytes));
    bytes[n - RING_CHECKSUM - 1] ^= 1;
    fix_checksum(bytes, n);
    put(f->place.directory, "keyring", bytes, n);
    load_expecting(f, k, true);
    keyring_free(&k);
}

static void newer_version_is_refused_and_repairs_nothing(void **state) {
    struct fixture *f = *state;
    uint8_t bytes[RING_FILE_MAX], after[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", bytes, sizeof(bytes));
    bytes[8] = RING_VERSION + 1;
    fix_checksum(bytes, n);
    put(f->place.directory, "keyring", bytes, n);
    load_refused(f, VAULT_E_FORMAT);
    assert_int_equal(slurp(f->place.directory, "keyring", after, sizeof(after)), n);
    assert_memory_equal(after, bytes, n);
    keyring_free(&k);
}

static void copies_of_two_vaults_are_refused_and_kept(void **state) {
    struct fixture *f = *state;
    uint8_t first[RING_FILE_MAX], after[RING_FILE_MAX];
    struct keyring *k = stored_ring(f);
    size_t n = slurp(f->place.directory, "keyring", first, sizeof(first));
    struct keyring *other = stored_ring(f);
    put(f->place.directory, "keyring", first, n);
    load_refused(f, VAULT_E_STATE);
    assert_int_equal(slurp(f->place.directory, "keyring", after, sizeof(after)), n);
    assert_memory_equal(after, first, n);
    keyring_free(&k);
    keyring_free(&other);
}

static void copy_that_is_no_file_is_refused(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    unlinkat(f->place.twin_directory, "twin", 0);
    assert_int_equal(symlinkat("/dev/null", f->place.twin_directory, "twin"), 0);
    load_refused(f, VAULT_E_IO);
    unlinkat(f->place.twin_directory, "twin", 0);
    assert_int_equal(mkdirat(f->place.twin_directory, "twin", 0700), 0);
    load_refused(f, VAULT_E_IO);
    assert_int_equal(unlinkat(f->place.twin_directory, "twin", AT_REMOVEDIR), 0);
    assert_int_equal(mkfifoat(f->place.twin_directory, "twin", 0600), 0);
    load_refused(f, VAULT_E_IO);
    keyring_free(&k);
}

/* ---- Interrupted stores. ---- */

static void store_syncs_before_it_renames_and_keeps_the_order_of_copies(void **state) {
    struct fixture *f = *state;
    struct keyring *k = sealed_ring(true, f->root);
    forget_steps();
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    assert_string_equal(steps.trace, "uowfrfuowfrf");
    keyring_free(&k);
}

/* Stores in a child that ends just before the n-th step; true if it did. */
static bool store_killed_at(const struct fixture *f, const struct keyring *k, int n) {
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        forget_steps();
        steps.die_at = n;
        _exit(keyring_store(k, &f->place, f->root) == VAULT_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0);
    return WEXITSTATUS(status) == 77;
}

static void store_killed_at_any_step_leaves_the_old_or_the_new_ring(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    int n = 1, old = 0, new = 0;
    bool killed = true;
    for (; killed; n++) {
        struct keyring *loaded = NULL;
        bool repaired = false;
        uint64_t before = keyring_epoch(k);
        k->epoch++; /* content may stay the same: the epoch tells the rings apart */
        killed = store_killed_at(f, k, n);
        forget_steps();
        assert_int_equal(keyring_load(&f->place, f->root, &loaded, &repaired), VAULT_OK);
        assert_true(keyring_epoch(loaded) == before || keyring_epoch(loaded) == before + 1);
        keyring_epoch(loaded) == before ? old++ : new ++;
        assert_copies_equal(f);
        assert_no_leftover(f);
        k->epoch = keyring_epoch(loaded);
        assert_same_ring(loaded, k);
        keyring_free(&loaded);
    }
    assert_int_equal(n, 14); /* 12 steps, and the store that nothing stopped */
    assert_int_equal(old, 5);
    assert_int_equal(new, 8);
    keyring_free(&k);
}

static void first_store_killed_at_any_step_leaves_a_ring_or_none(void **state) {
    struct fixture *f = *state;
    bool killed = true;
    for (int n = 1; killed; n++) {
        struct keyring *k = sealed_ring(true, f->root), *loaded = NULL;
        bool repaired = false;
        killed = store_killed_at(f, k, n);
        forget_steps();
        int result = keyring_load(&f->place, f->root, &loaded, &repaired);
        assert_true(result == VAULT_OK || (result == VAULT_NOT_FOUND && !keyring_exists(&f->place)));
        if (result == VAULT_OK)
            assert_same_ring(loaded, k);
        keyring_free(&loaded);
        keyring_free(&k);
        unlinkat(f->place.directory, "keyring", 0);
        unlinkat(f->place.twin_directory, "twin", 0);
    }
}

static void store_reports_a_failure_of_any_step_and_leaves_a_ring(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f);
    for (int n = 1; n <= 12; n++) {
        struct keyring *loaded = NULL;
        bool repaired = false;
        forget_steps();
        steps.fail_at = n;
        steps.fail_errno = n % 2 == 0 ? ENOSPC : EIO;
        k->epoch++;
        int result = keyring_store(k, &f->place, f->root);
        bool unlinks = n == 1 || n == 7;
        assert_int_equal(result, n % 2 == 0 && !unlinks ? VAULT_E_FULL : VAULT_E_IO);
        assert_no_leftover(f);
        forget_steps();
        assert_int_equal(keyring_load(&f->place, f->root, &loaded, &repaired), VAULT_OK);
        k->epoch = keyring_epoch(loaded);
        assert_same_ring(loaded, k);
        keyring_free(&loaded);
    }
    keyring_free(&k);
}

static void load_reports_a_repair_that_failed(void **state) {
    struct fixture *f = *state;
    struct keyring *k = stored_ring(f), *loaded = NULL;
    bool repaired = false;
    unlinkat(f->place.twin_directory, "twin", 0);
    forget_steps();
    steps.fail_at = 3;
    steps.fail_errno = ENOSPC;
    assert_int_equal(keyring_load(&f->place, f->root, &loaded, &repaired), VAULT_E_FULL);
    assert_null(loaded);
    keyring_free(&k);
}

static void store_survives_short_writes(void **state) {
    struct fixture *f = *state;
    struct keyring *k = sealed_ring(true, f->root);
    steps.trickle = true;
    assert_int_equal(keyring_store(k, &f->place, f->root), VAULT_OK);
    load_expecting(f, k, false);
    keyring_free(&k);
}

/* ---- Wraps and seals. ---- */

static void wrap_opens_with_the_same_binding(void **state) {
    struct fixture *f = *state;
    CLEANUP_SECRET struct secret *key = NULL, *back = NULL;
    uint8_t owner[WRAP_OWNER] = {7}, wrapped[WRAP_SIZE], again[WRAP_SIZE];
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(key_wrap(f->root, WRAP_SUBJECT, owner, 3, key, wrapped), VAULT_OK);
    assert_int_equal(key_wrap(f->root, WRAP_SUBJECT, owner, 3, key, again), VAULT_OK);
    assert_memory_not_equal(wrapped, again, WRAP_SIZE);
    assert_null(memmem(wrapped, WRAP_SIZE, secret_view(key), 8));
    assert_int_equal(key_unwrap(f->root, WRAP_SUBJECT, owner, 3, wrapped, &back), VAULT_OK);
    assert_true(secret_equal(key, back));
}

static void assert_wrap_refused(const struct secret *under, enum wrap_purpose purpose, const uint8_t *owner,
                                uint32_t generation, const uint8_t *wrapped) {
    struct secret *back = NULL;
    assert_int_equal(key_unwrap(under, purpose, owner, generation, wrapped, &back), VAULT_E_DAMAGED);
    assert_null(back);
}

static void wrap_is_bound_to_key_purpose_owner_and_generation(void **state) {
    struct fixture *f = *state;
    CLEANUP_SECRET struct secret *key = NULL, *other = NULL;
    uint8_t owner[WRAP_OWNER] = {7}, wrapped[WRAP_SIZE];
    assert_int_equal(secret_random(&key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(secret_random(&other, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(key_wrap(f->root, WRAP_SUBJECT, owner, 3, key, wrapped), VAULT_OK);
    assert_wrap_refused(other, WRAP_SUBJECT, owner, 3, wrapped);
    assert_wrap_refused(f->root, WRAP_DATA, owner, 3, wrapped);
    assert_wrap_refused(f->root, WRAP_SUBJECT, owner, 4, wrapped);
    for (size_t i = 0; i < WRAP_OWNER; i++) {
        owner[i] ^= 0x80;
        assert_wrap_refused(f->root, WRAP_SUBJECT, owner, 3, wrapped);
        owner[i] ^= 0x80;
    }
    for (size_t i = 0; i < WRAP_SIZE; i++) {
        wrapped[i] ^= 1;
        assert_wrap_refused(f->root, WRAP_SUBJECT, owner, 3, wrapped);
        wrapped[i] ^= 1;
    }
}

static void wrap_takes_only_whole_keys(void **state) {
    struct fixture *f = *state;
    CLEANUP_SECRET struct secret *odd = NULL;
    uint8_t owner[WRAP_OWNER] = {0}, wrapped[WRAP_SIZE];
    assert_int_equal(secret_random(&odd, 16), VAULT_OK);
    assert_int_equal(key_wrap(f->root, WRAP_DATA, owner, 1, odd, wrapped), VAULT_E_CRYPTO);
    assert_int_equal(key_wrap(odd, WRAP_DATA, owner, 1, f->root, wrapped), VAULT_E_CRYPTO);
}

enum { NONCE = 24, SEALS = 1000 };

static void seal_many(const struct secret *under, uint8_t ret_nonces[SEALS][NONCE]) {
    uint8_t sealed[SEAL_OVERHEAD];
    for (size_t n = 0; n < SEALS; n++) {
        assert_int_equal(seal_bytes(under, NULL, 0, "", 0, sealed), VAULT_OK);
        copy_bytes(ret_nonces[n], NONCE, sealed, NONCE);
    }
}

static int compare_nonces(const void *a, const void *b) {
    return memcmp(a, b, NONCE);
}

static void seals_share_no_nonce_not_even_across_a_fork(void **state) {
    const struct fixture *f = *state;
    static uint8_t all[3][SEALS][NONCE];
    int pipes[2];
    seal_many(f->root, all[0]);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        seal_many(f->root, all[1]);
        _exit(__real_write(pipes[1], all[1], sizeof(all[1])) == sizeof(all[1]) ? 0 : 1);
    }
    close(pipes[1]);
    for (size_t got = 0; got < sizeof(all[1]);) {
        ssize_t n = read(pipes[0], (uint8_t *)all[1] + got, sizeof(all[1]) - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
    close(pipes[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    seal_many(f->root, all[2]);
    qsort(all, 3 * SEALS, NONCE, compare_nonces);
    for (size_t n = 1; n < 3 * SEALS; n++)
        assert_true(memcmp((uint8_t *)all + (n - 1) * NONCE, (uint8_t *)all + n * NONCE, NONCE) != 0);
}

static void seal_opens_with_its_associated_data_only(void **state) {
    struct fixture *f = *state;
    uint8_t sealed[5 + SEAL_OVERHEAD], opened[5];
    assert_int_equal(seal_bytes(f->root, "db", 2, "hello", 5, sealed), VAULT_OK);
    assert_int_equal(unseal_bytes(f->root, "db", 2, sealed, sizeof(sealed), opened), VAULT_OK);
    assert_memory_equal(opened, "hello", 5);
    assert_int_equal(unseal_bytes(f->root, "dc", 2, sealed, sizeof(sealed), opened), VAULT_E_DAMAGED);
    assert_int_equal(unseal_bytes(f->root, "db", 1, sealed, sizeof(sealed), opened), VAULT_E_DAMAGED);
    for (size_t n = 0; n < sizeof(sealed); n++)
        assert_int_equal(unseal_bytes(f->root, "db", 2, sealed, n, opened), VAULT_E_DAMAGED);
    assert_int_equal(seal_bytes(f->root, NULL, 0, "", 0, sealed), VAULT_OK);
    assert_int_equal(unseal_bytes(f->root, NULL, 0, sealed, SEAL_OVERHEAD, opened), VAULT_OK);
}

/* ---- Root keys. ---- */

static int read_credential(const struct fixture *f, const void *bytes, size_t n, mode_t mode, struct secret **ret) {
    put(f->place.directory, "keyring", bytes, n);
    assert_int_equal(fchmodat(f->place.directory, "keyring", mode, 0), 0);
    int fd = openat(f->place.directory, "keyring", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5); /* as if it had been read before */
    int result = root_key_read(fd, ret);
    close(fd);
    return result;
}

static void assert_credential_gives_root(const struct fixture *f, const void *bytes, size_t n) {
    CLEANUP_SECRET struct secret *key = NULL;
    assert_int_equal(read_credential(f, bytes, n, 0400, &key), VAULT_OK);
    assert_true(secret_equal(key, f->root));
}

static void root_key_is_read_in_each_form(void **state) {
    struct fixture *f = *state;
    char text[80];
    assert_credential_gives_root(f, secret_view(f->root), 32);
    hex_encode(text, sizeof(text), secret_view(f->root), 32);
    assert_credential_gives_root(f, text, 64);
    text[64] = '\n';
    assert_credential_gives_root(f, text, 65);
    for (size_t i = 0; i < 64; i++)
        text[i] = (char)(text[i] >= 'a' ? text[i] - 'a' + 'A' : text[i]);
    assert_credential_gives_root(f, text, 64);
    sodium_bin2base64(text, sizeof(text), secret_view(f->root), 32, sodium_base64_VARIANT_ORIGINAL);
    assert_int_equal(strlen(text), 44);
    assert_credential_gives_root(f, text, 44);
    text[44] = '\n';
    assert_credential_gives_root(f, text, 45);
}

static void root_key_of_another_form_is_refused(void **state) {
    struct fixture *f = *state;
    char hex[80];
    struct secret *key = NULL;
    hex_encode(hex, sizeof(hex), secret_view(f->root), 32);
    hex[64] = hex[65] = hex[66] = '\n';
    const size_t sizes[] = {0, 1, 31, 33, 43, 44, 45, 63, 66, 67};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(read_credential(f, hex, sizes[i], 0600, &key), VAULT_E_FORMAT);
    hex[10] = 'g';
    assert_int_equal(read_credential(f, hex, 64, 0600, &key), VAULT_E_FORMAT);
    assert_int_equal(read_credential(f, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", 44, 0600, &key),
                     VAULT_E_FORMAT);
    assert_null(key);
}

static void root_key_that_others_can_reach_is_denied(void **state) {
    struct fixture *f = *state;
    struct secret *key = NULL;
    for (mode_t bit = 1; bit <= 040; bit = (mode_t)(bit << 1))
        assert_int_equal(read_credential(f, secret_view(f->root), 32, 0400 | bit, &key), VAULT_DENIED);
    assert_null(key);
}

static void root_key_comes_from_a_regular_file(void **state) {
    (void)state;
    struct secret *key = NULL;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(root_key_read(ends[0], &key), VAULT_E_FORMAT);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(root_key_read(-1, &key), VAULT_E_IO);
    assert_null(key);
}

/* Writes the seeds of the fuzz corpus: rings under the all-zero root key that the harness uses. */
static void seal_by_three(struct keyring *k, const struct secret *root) {
    struct share shares[3];
    struct seal seal;
    assert_int_equal(seal_by_shares(3, 2, root, &seal, shares), VAULT_OK);
    for (unsigned i = 0; i < 3; i++)
        share_clear(&shares[i]);
    assert_int_equal(keyring_set_seal(k, &seal), VAULT_OK);
}

static void seal_by_some_token(struct keyring *k) {
    const uint8_t key[SEAL_TOKEN_KEY] = {1}, wrapped[SEAL_TOKEN_WRAPPED] = {2};
    struct seal seal;
    seal_by_token(key, wrapped, &seal);
    assert_int_equal(keyring_set_seal(k, &seal), VAULT_OK);
}

static int write_seeds(const char *folder) {
    struct secret *root = NULL;
    struct keyring *k = NULL;
    uint8_t bytes[RING_FILE_MAX];
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);
    assert_int_equal(secret_new(&root, SECRET_KEY_SIZE), VAULT_OK);
    k = sealed_ring(true, root);
    for (uint32_t count = 1; count <= 3; count++) {
        char name[16];
        size_t n = 0;
        assert_int_equal(ring_encode(k, root, bytes, &n), VAULT_OK);
        format_string(name, sizeof(name), "ring-%u", count);
        put(dir, name, bytes, n);
        assert_int_equal(keyring_add_generation(k), VAULT_OK);
    }
    seal_by_three(k, root);
    size_t n = 0;
    assert_int_equal(ring_encode(k, root, bytes, &n), VAULT_OK);
    put(dir, "ring-shares", bytes, n);
    seal_by_some_token(k);
    assert_int_equal(ring_encode(k, root, bytes, &n), VAULT_OK);
    put(dir, "ring-token", bytes, n);
    assert_int_equal(keyring_begin_index_key(k), VAULT_OK);
    assert_int_equal(ring_encode(k, root, bytes, &n), VAULT_OK);
    put(dir, "ring-next", bytes, n);
    keyring_free(&k);
    secret_free(&root);
    return close(dir);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        WITH_PLACE(ring_loads_as_stored),
        WITH_PLACE(ring_keys_are_all_different),
        WITH_PLACE(ring_without_a_seal_is_not_stored),
        WITH_PLACE(retired_generations_are_in_no_copy_under_the_new_root_key),
        WITH_PLACE(copy_of_a_ring_opens_under_its_own_root_key_only),
        WITH_PLACE(seal_of_a_ring_is_known_without_its_key),
        WITH_PLACE(ring_under_a_new_seal_is_of_the_next_epoch),
        WITH_PLACE(ring_of_all_generations_loads_and_takes_no_more),
        WITH_PLACE(ring_file_is_for_its_owner_and_shows_no_key),
        WITH_PLACE(ring_that_is_not_there_is_not_found),
        WITH_PLACE(ring_is_denied_to_another_root_key),
        WITH_PLACE(missing_copy_is_repaired),
        WITH_PLACE(ring_has_the_next_index_key_until_the_present_one_goes),
        WITH_PLACE(ring_has_the_next_name_key_until_the_present_one_goes),
        WITH_PLACE(audit_seed_makes_way_for_another),
        WITH_PLACE(older_copy_is_repaired_from_the_newer),
        WITH_PLACE(damage_of_any_byte_is_repaired_from_the_other_copy),
        WITH_PLACE(damage_of_both_copies_is_refused),
        WITH_PLACE(damaged_copy_alone_is_refused),
        WITH_PLACE(forgery_of_any_byte_with_a_right_checksum_is_refused),
        WITH_PLACE(forged_newer_epoch_is_refused_and_repairs_nothing),
        WITH_PLACE(copy_forged_at_the_same_epoch_is_repaired),
        WITH_PLACE(newer_version_is_refused_and_repairs_nothing),
        WITH_PLACE(copies_of_two_vaults_are_refused_and_kept),
        WITH_PLACE(copy_that_is_no_file_is_refused),
        WITH_PLACE(store_syncs_before_it_renames_and_keeps_the_order_of_copies),
        WITH_PLACE(store_killed_at_any_step_leaves_the_old_or_the_new_ring),
        WITH_PLACE(first_store_killed_at_any_step_leaves_a_ring_or_none),
        WITH_PLACE(store_reports_a_failure_of_any_step_and_leaves_a_ring),
        WITH_PLACE(load_reports_a_repair_that_failed),
        WITH_PLACE(store_survives_short_writes),
        WITH_PLACE(wrap_opens_with_the_same_binding),
        WITH_PLACE(wrap_is_bound_to_key_purpose_owner_and_generation),
        WITH_PLACE(wrap_takes_only_whole_keys),
        WITH_PLACE(seal_opens_with_its_associated_data_only),
        WITH_PLACE(seals_share_no_nonce_not_even_across_a_fork),
        WITH_PLACE(root_key_is_read_in_each_form),
        WITH_PLACE(root_key_of_another_form_is_refused),
        WITH_PLACE(root_key_that_others_can_reach_is_denied),
        WITH_PLACE(root_key_comes_from_a_regular_file),
    };
    if (secret_start() != VAULT_OK)
        return 1;
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
