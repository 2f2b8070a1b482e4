/* The copy: written, marked as one, verified by the key of its values, and only then given its name. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup.h"
#include "vault/log.h"
#include "vault/result.h"

static int go_to(int folder) {
    return fchdir(folder) == 0 ? VAULT_OK : vault_result_from_errno(errno);
}

static int copy_index(const struct task *t) {
    int to = openat(t->partial, BACKUP_INDEX, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return vault_result_from_errno(errno);
    int result = go_to(t->state);
    if (result == VAULT_OK)
        result = index_copy(to);
    if (result == VAULT_OK && fsync(to) != 0)
        result = vault_result_from_errno(errno);
    close(to);
    return result;
}

static int unseal_database(struct index *i, enum index_db db, struct secret *value) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    size_t n = 0;
    int result = VAULT_OK;
    while (result == VAULT_OK) {
        result = index_next(i, db, NULL, 0, key, size, key, &size);
        if (result == VAULT_OK)
            result = index_get(i, db, key, size, secret_edit(value), INDEX_VALUE_MAX, &n);
        else
            break;
        if (result == VAULT_NOT_FOUND || result == VAULT_E_LIMIT)
            result = VAULT_E_DAMAGED;
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* Every entry is one that was stored, none is missing, and each opens. */
static int verify(struct index *i) {
    CLEANUP_SECRET struct secret *value = NULL;
    int result = secret_new(&value, INDEX_VALUE_MAX);
    if (result != VAULT_OK)
        return result;
    do
        result = index_check(i);
    while (result == VAULT_AGAIN);
    for (int db = 0; db < DB_COUNT && result == VAULT_OK; db++)
        result = unseal_database(i, (enum index_db)db, value);
    return result;
}

/* Whether it belongs to a file: what a deposit under way, or a removal, has, may go. */
static int is_of_a_file(struct index *i, const uint8_t address[HASH_SIZE], bool *ret) {
    static struct object_value o;
    static struct blob_value b;
    *ret = false;
    int result = index_get_record(i, DB_OBJECTS, address, HASH_SIZE, &layout_object_value, &o);
    if (result == VAULT_OK && o.paged != 0) {
        result = index_get_record(i, DB_BLOBS, o.blob, ID_SIZE, &layout_blob_value, &b);
        *ret = result == VAULT_OK;
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int list_objects(struct index *i, struct listing *l, uint64_t *ret_count) {
    uint8_t key[INDEX_KEY_MAX];
    char hex[2 * INDEX_KEY_MAX + 1];
    size_t size = 0;
    bool listed = false;
    uint64_t count = 0;
    int result = VAULT_OK;
    while ((result = index_next(i, DB_OBJECTS, NULL, 0, key, size, key, &size)) == VAULT_OK) {
        result = size == HASH_SIZE ? is_of_a_file(i, key, &listed) : VAULT_E_DAMAGED;
        if (result != VAULT_OK)
            return result;
        if (!listed)
            continue;
        hex_encode(hex, sizeof(hex), key, HASH_SIZE);
        listing_line(l, "%s  %.2s/%.2s/%s\n", hex, hex, hex + 2, hex);
        count++;
    }
    *ret_count = count;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int write_objects(const struct task *t, struct index *i, uint64_t *ret_count) {
    static struct listing l;
    int result = listing_open(&l, t->partial, BACKUP_OBJECTS);
    if (result == VAULT_OK)
        result = list_objects(i, &l, ret_count);
    int closed = listing_close(&l);
    return result == VAULT_OK ? closed : result;
}

/* Bytes and name of each segment that was not destroyed. */
static int list_segments(struct index *i, struct listing *l) {
    static struct segment_value v;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = VAULT_OK;
    while ((result = index_next(i, DB_SEGMENTS, NULL, 0, key, size, key, &size)) == VAULT_OK) {
        result = index_get_record(i, DB_SEGMENTS, key, size, &layout_segment_value, &v);
        if (result != VAULT_OK)
            return result;
        if (v.destroyed == 0)
            listing_line(l, "%llu  %s\n", (unsigned long long)v.bytes, v.name);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

static int write_segments(const struct task *t, struct index *i) {
    static struct listing l;
    int result = listing_open(&l, t->partial, BACKUP_ARCHIVE);
    if (result == VAULT_OK)
        result = list_segments(i, &l);
    int closed = listing_close(&l);
    return result == VAULT_OK ? closed : result;
}

static int write_about(const struct task *t, const struct meta_value *meta, const struct msg_backup_copied *c) {
    static struct listing l;
    char vault[2 * KEYRING_ID + 1];
    char made[28];
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    time_text((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000, made);
    hex_encode(vault, sizeof(vault), meta->vault, KEYRING_ID);
    int result = listing_open(&l, t->partial, BACKUP_ABOUT);
    if (result != VAULT_OK)
        return result;
    listing_line(&l,
                 "A verified copy of a vault's index. The key ring and the objects are not in it: docs/backup.md.\n\n");
    listing_line(&l, "name: %s\nvault: %s\nmade: %s\n", t->name, vault, made);
    listing_line(&l, "index format: %u\nkey ring epoch: %llu\n", meta->format, (unsigned long long)c->epoch);
    listing_line(&l, "needs generations: %u to %u\n", c->oldest, c->newest);
    listing_line(&l, "audit records: %llu\nsubjects: %llu\nfiles: %llu\n", (unsigned long long)c->records,
                 (unsigned long long)meta->subjects, (unsigned long long)meta->files);
    listing_line(&l, "objects: %llu\nentries: %llu\n", (unsigned long long)c->objects, (unsigned long long)c->entries);
    return listing_close(&l);
}

static int describe(const struct task *t, struct index *i, struct msg_backup_copied *ret) {
    static struct meta_value meta;
    int result = index_meta(i, &meta);
    if (result == VAULT_OK)
        result = index_oldest_generation(i, &meta, &ret->oldest);
    if (result == VAULT_OK)
        result = index_log_size(i, &ret->records);
    if (result == VAULT_OK)
        result = write_objects(t, i, &ret->objects);
    if (result == VAULT_OK)
        result = write_segments(t, i);
    ret->epoch = meta.epoch;
    ret->newest = meta.generation;
    ret->entries = index_entries(i);
    return result == VAULT_OK ? write_about(t, &meta, ret) : result;
}

static int mark_and_verify(const struct task *t, const struct index_keys *keys, struct msg_backup_copied *ret) {
    struct index *i = NULL;
    int result = go_to(t->partial);
    if (result == VAULT_OK)
        result = index_open(keys, t->map_size, false, &i);
    if (result == VAULT_OK)
        result = index_mark_copy(i);
    if (result == VAULT_OK)
        result = verify(i);
    if (result == VAULT_OK)
        result = describe(t, i, ret);
    index_close(&i);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int finish(struct task *t, struct msg_backup_copied *ret) {
    struct stat found;
    int index = openat(t->partial, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (index < 0)
        return vault_result_from_errno(errno);
    int result = unlinkat(index, "lock.mdb", 0) == 0 && fstatat(index, "data.mdb", &found, AT_SYMLINK_NOFOLLOW) == 0
                     ? folder_sync(index)
                     : vault_result_from_errno(errno);
    close(index);
    if (result == VAULT_OK)
        result = sums_write(t->partial);
    ret->bytes = result == VAULT_OK ? (uint64_t)found.st_size : 0;
    return result == VAULT_OK ? partial_keep(t) : result;
}

static int explain(struct task *t, int result) {
    if (result == VAULT_E_FULL)
        return task_refuse(t, "backup-full", "The directory of backups has no space for it; nothing was kept.");
    if (result == VAULT_E_DAMAGED)
        return task_refuse(t, "backup-damaged",
                           "The copy was not verified: the index is damaged. Nothing was kept; older backups are as "
                           "they were.");
    return result;
}

int backup_make(struct task *t, const struct index_keys *keys, struct msg_backup_copied *ret) {
    int result = copy_index(t);
    if (result == VAULT_OK)
        result = mark_and_verify(t, keys, ret);
    if (result == VAULT_OK)
        result = finish(t, ret);
    copy_string(ret->name, sizeof(ret->name), t->name);
    if (result == VAULT_OK)
        return result;
    log_error("backup: not made result=\"%s\"", vault_result_name(result));
    partial_remove(t);
    return explain(t, result);
}
