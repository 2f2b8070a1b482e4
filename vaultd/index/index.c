#include "index_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"

enum { GROW_MARGIN = 64 << 20 };

static const uint8_t tally_name[] = "tally";

static MDB_val tally_place(void) {
    return (MDB_val){.mv_size = sizeof(tally_name), .mv_data = (void *)(uintptr_t)tally_name};
}

static const char *const db_names[DB_COUNT] = {
    "meta",         "subjects",       "consents",   "services",      "sans",          "projects", "ethics",
    "policies",     "files",          "file-names", "subject-files", "dataset-files", "blobs",    "pages",
    "uploads",      "upload-objects", "grants",     "requests",      "jobs",          "chains",   "records",
    "leaves",       "objects",        "names",      "pending",       "shreds",        "removed",  "retired",
    "escrows",      "failures",       "backups",    "held",          "subject-keys",  "reviews",  "budgets",
    "budget-marks", "care",           "segments",   "segment-keys",  "frames"};

const char *index_db_name(enum index_db db) {
    return db_names[db];
}

int result_of(int error) {
    switch (error) {
    case MDB_SUCCESS: return VAULT_OK;
    case MDB_NOTFOUND: return VAULT_NOT_FOUND;
    case MDB_MAP_FULL: return VAULT_E_FULL;
    case ENOMEM: return VAULT_E_MEMORY;
    case MDB_KEYEXIST: return VAULT_AGAIN; /* of index_append: something lies behind */
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID: return VAULT_E_DAMAGED;
    case MDB_VERSION_MISMATCH: return VAULT_E_FORMAT;
    default: break;
    }
    int result = error > 0 ? vault_result_from_errno(error) : VAULT_E_IO;
    log_error("index: error=%s", mdb_strerror(error));
    return result;
}

int index_free_readers(struct index *i) {
    int dead = 0;
    int result = result_of(mdb_reader_check(i->env, &dead));
    if (dead > 0)
        log_notice("index: places of readers that died are free again count=%d", dead);
    return result;
}

bool index_exists(void) {
    struct stat s;
    return stat("index/data.mdb", &s) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int open_databases(struct index *i) {
    MDB_txn *t = NULL;
    int error = mdb_txn_begin(i->env, NULL, 0, &t);
    for (size_t n = 0; error == 0 && n < DB_COUNT; n++)
        error = mdb_dbi_open(t, db_names[n], MDB_CREATE, &i->dbs[n]);
    if (error != 0) {
        if (t != NULL)
            mdb_txn_abort(t);
        return result_of(error);
    }
    return result_of(mdb_txn_commit(t));
}

static int open_environment(struct index *i, uint64_t map_size) {
    int dead = 0;
    int error = mdb_env_create(&i->env);
    if (error == 0)
        error = mdb_env_set_mapsize(i->env, map_size);
    if (error == 0)
        error = mdb_env_set_maxdbs(i->env, DB_COUNT);
    if (error == 0)
        error = mdb_env_open(i->env, "index", 0, 0600);
    if (error == 0)
        error = mdb_reader_check(i->env, &dead);
    return error == 0 ? open_databases(i) : result_of(error);
}

static int reading(struct index *i, MDB_txn **ret) {
    if (i->write == NULL && i->read == NULL) {
        int error = mdb_txn_begin(i->env, NULL, MDB_RDONLY, &i->read);
        if (error != 0) {
            i->read = NULL;
            return result_of(error);
        }
    }
    *ret = i->write != NULL ? i->write : i->read;
    return VAULT_OK;
}

void spoil_tally(struct index *i, enum which which) {
    randombytes_buf(i->tally[which].lanes, sizeof(i->tally[which].lanes));
}

/* It is told by the check, and is no reason to stay sealed; a wrong key is noticed by who reads the rest. Where the
 * place is lost with it, resealing begins again from the start. */
static void forget_tally(struct index *i) {
    log_error("index: its tally is gone or damaged");
    spoil_tally(i, PRESENT);
    i->resealing = i->blind = i->keys.next != NULL;
}

/* Its own value says which key the others are under, so it is tried with both. */
static int open_tally(struct index *i, const MDB_val *v) {
    static uint8_t bytes[TALLY_VALUE_MAX];
    MDB_val k = tally_place();
    size_t n = 0;
    bool next = i->keys.next != NULL && open_with(i, NEXT, DB_META, &k, v, bytes, sizeof(bytes), &n) == VAULT_OK;
    int result = next ? VAULT_OK : open_with(i, PRESENT, DB_META, &k, v, bytes, sizeof(bytes), &n);
    if (result == VAULT_OK && n == TALLY_SIZE && !next)
        tally_decode(&i->tally[PRESENT], bytes);
    else if (result == VAULT_OK && n == TALLY_SIZE)
        reseal_is_over(i, bytes);
    else if (result == VAULT_OK && (next != (i->keys.next != NULL) || !reseal_decode(i, bytes, n)))
        result = VAULT_E_DAMAGED; /* also one of an earlier change of the key */
    wipe(bytes, sizeof(bytes));
    return result;
}

/* An environment without any entry is new; any other has a tally. */
static int load_tally(struct index *i) {
    MDB_txn *t = NULL;
    MDB_val v;
    MDB_val k = tally_place();
    uint8_t first[INDEX_KEY_MAX];
    size_t n = 0;
    int result = reading(i, &t);
    if (result == VAULT_OK)
        result = result_of(mdb_get(t, i->dbs[DB_META], &k, &v));
    if (result == VAULT_OK)
        result = open_tally(i, &v);
    if (result == VAULT_NOT_FOUND) {
        result = index_next(i, DB_META, NULL, 0, NULL, 0, first, &n);
        if (result == VAULT_NOT_FOUND)
            return VAULT_OK;
        result = result == VAULT_OK ? VAULT_E_DAMAGED : result;
    }
    if (result == VAULT_E_DAMAGED || result == VAULT_E_LIMIT) {
        forget_tally(i);
        result = VAULT_OK;
    }
    /* Values that were not resealed when the key before went are under no key that there is. */
    return result == VAULT_OK && i->resealing && i->keys.next == NULL ? VAULT_E_DAMAGED : result;
}

/* The folder is durable in the state directory before anything in it is. */
static int make_folder(void) {
    if (mkdir("index", 0700) != 0)
        return errno == EEXIST ? VAULT_OK : vault_result_from_errno(errno);
    int parent = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = parent >= 0 && fsync(parent) == 0 ? VAULT_OK : vault_result_from_errno(errno);
    if (parent >= 0)
        close(parent);
    return result;
}

int index_open(const struct index_keys *keys, uint64_t map_size, bool make, struct index **ret) {
    if (!index_exists() && !make)
        return VAULT_NOT_FOUND;
    int result = make ? make_folder() : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    struct index *i = calloc(1, sizeof(*i));
    if (i == NULL)
        return VAULT_E_MEMORY;
    i->keys = *keys;
    i->sealed = malloc(INDEX_VALUE_MAX + SEAL_OVERHEAD);
    result = i->sealed == NULL ? VAULT_E_MEMORY : secret_new(&i->plain, INDEX_VALUE_MAX);
    if (result == VAULT_OK)
        result = tally_key(keys->key, &i->tally_key[PRESENT]);
    if (result == VAULT_OK && keys->next != NULL)
        result = tally_key(keys->next, &i->tally_key[NEXT]);
    if (result == VAULT_OK)
        result = open_environment(i, map_size);
    if (result == VAULT_OK)
        result = load_tally(i);
    index_end_reads(i);
    if (result != VAULT_OK) {
        index_close(&i);
        return result;
    }
    *ret = i;
    return VAULT_OK;
}

void index_end_reads(struct index *i) {
    if (i->read != NULL)
        mdb_txn_abort(i->read);
    i->read = NULL;
}

void index_close(struct index **i) {
    if (i == NULL || *i == NULL)
        return;
    index_abort(*i);
    index_end_reads(*i);
    if ((*i)->env != NULL)
        mdb_env_close((*i)->env);
    secret_free(&(*i)->plain);
    secret_free(&(*i)->tally_key[PRESENT]);
    secret_free(&(*i)->tally_key[NEXT]);
    wipe((*i)->tally, sizeof((*i)->tally));
    wipe(&(*i)->count, sizeof((*i)->count));
    free((*i)->sealed);
    free(*i);
    *i = NULL;
}

/* Doubles the map before it is full: growing is only possible between transactions. */
static int grow_when_low(struct index *i) {
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(i->env, &info);
    mdb_env_stat(i->env, &stat);
    if ((info.me_last_pgno + 1) * stat.ms_psize + GROW_MARGIN < info.me_mapsize)
        return VAULT_OK;
    log_notice("index: map grows from=%zu to=%zu", info.me_mapsize, info.me_mapsize * 2);
    return result_of(mdb_env_set_mapsize(i->env, info.me_mapsize * 2));
}

int index_begin(struct index *i) {
    if (i->write != NULL)
        return VAULT_E_STATE;
    index_end_reads(i);
    int result = grow_when_low(i);
    if (result != VAULT_OK)
        return result;
    i->changes_stored = i->changes;
    seal_anew();
    return result_of(mdb_txn_begin(i->env, NULL, 0, &i->write));
}

void index_abort(struct index *i) {
    if (i->write != NULL)
        mdb_txn_abort(i->write);
    i->write = NULL;
}

bool index_writing(const struct index *i) {
    return i->write != NULL;
}

uint64_t index_changes(const struct index *i) {
    return i->changes;
}

/* u8 database ‖ u32 generation ‖ key: a value put under another key or into another database does not open. */
static size_t associated(const struct index *i, enum which which, enum index_db db, const void *key, size_t key_size,
                         uint8_t to[AD_MAX]) {
    struct writer w = writer_of(to, AD_MAX);
    write_u8(&w, (uint8_t)db);
    write_u32(&w, i->keys.generation + (which == NEXT));
    write_bytes(&w, key, key_size);
    return w.used;
}

bool is_sealed_already(enum index_db db) {
    return db == DB_SUBJECT_KEYS;
}

static int take_as_it_is(const MDB_val *v, void *to, size_t size, size_t *ret_n) {
    if (v->mv_size > size)
        return VAULT_E_LIMIT;
    copy_bytes(to, size, v->mv_data, v->mv_size);
    *ret_n = v->mv_size;
    return VAULT_OK;
}

int open_with(struct index *i, enum which which, enum index_db db, const MDB_val *k, const MDB_val *v, void *to,
              size_t size, size_t *ret_n) {
    uint8_t ad[AD_MAX];
    if (is_sealed_already(db))
        return take_as_it_is(v, to, size, ret_n);
    if (v->mv_size < SEAL_OVERHEAD)
        return VAULT_E_DAMAGED;
    if (v->mv_size - SEAL_OVERHEAD > size)
        return VAULT_E_LIMIT;
    size_t ad_size = associated(i, which, db, k->mv_data, k->mv_size, ad);
    int result = unseal_bytes(which == NEXT ? i->keys.next : i->keys.key, ad, ad_size, v->mv_data, v->mv_size, to);
    if (result == VAULT_OK)
        *ret_n = v->mv_size - SEAL_OVERHEAD;
    return result;
}

/* What was found under the key. */
static int open_found(struct index *i, enum index_db db, const MDB_val *k, const MDB_val *v, void *to, size_t size,
                      size_t *ret_n) {
    enum which which = key_of(i, db, k->mv_data, k->mv_size);
    int result = open_with(i, which, db, k, v, to, size, ret_n);
    if (result == VAULT_E_DAMAGED && i->blind)
        result = open_with(i, which == NEXT ? PRESENT : NEXT, db, k, v, to, size, ret_n);
    if (result != VAULT_OK && result != VAULT_E_LIMIT)
        log_error("index: value does not open database=%s", db_names[db]);
    return result;
}

int index_get(struct index *i, enum index_db db, const void *key, size_t key_size, void *to, size_t size,
              size_t *ret_n) {
    MDB_txn *t = NULL;
    if (key_size > INDEX_KEY_MAX)
        return VAULT_E_STATE;
    int result = reading(i, &t);
    if (result != VAULT_OK)
        return result;
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    MDB_val v;
    result = result_of(mdb_get(t, i->dbs[db], &k, &v));
    return result == VAULT_OK ? open_found(i, db, &k, &v, to, size, ret_n) : result;
}

/* The cursor to the last key that is not greater. */
static int seek_upto(MDB_cursor *c, const void *key, size_t key_size, MDB_val *k, MDB_val *v) {
    *k = (MDB_val){.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    int error = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
    if (error == MDB_NOTFOUND)
        return mdb_cursor_get(c, k, v, MDB_LAST);
    bool same = error == 0 && k->mv_size == key_size && memcmp(k->mv_data, key, key_size) == 0;
    return error != 0 || same ? error : mdb_cursor_get(c, k, v, MDB_PREV);
}

int index_get_upto(struct index *i, enum index_db db, const void *key, size_t key_size, uint8_t ret_key[INDEX_KEY_MAX],
                   size_t *ret_key_size, void *to, size_t size, size_t *ret_n) {
    MDB_cursor *c = NULL;
    MDB_val k, v;
    int result = cursor_open(i, db, &c);
    if (result != VAULT_OK)
        return result;
    result = result_of(seek_upto(c, key, key_size, &k, &v));
    if (result == VAULT_OK && !may_be_ours(&k, &v))
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = open_found(i, db, &k, &v, to, size, ret_n);
    if (result == VAULT_OK) {
        copy_bytes(ret_key, INDEX_KEY_MAX, k.mv_data, k.mv_size);
        *ret_key_size = k.mv_size;
    }
    mdb_cursor_close(c);
    return result;
}

bool is_behind(const struct place *p, enum index_db db, const void *key, size_t key_size) {
    if ((int)db != p->db)
        return (int)db < p->db;
    size_t common = key_size < p->after_size ? key_size : p->after_size;
    int order = memcmp(key, p->after, common);
    return p->after_size > 0 && (order < 0 || (order == 0 && key_size <= p->after_size));
}

void place_move(struct place *p, int db, const void *key, size_t key_size) {
    p->db = db;
    copy_bytes(p->after, sizeof(p->after), key, key_size);
    p->after_size = key_size;
}

bool is_own(enum index_db db, const MDB_val *k) {
    return db == DB_META && k->mv_size == sizeof(tally_name) && memcmp(k->mv_data, tally_name, k->mv_size) == 0;
}

enum which key_of(const struct index *i, enum index_db db, const void *key, size_t key_size) {
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    return i->resealing && (is_own(db, &k) || is_behind(&i->resealed, db, key, key_size)) ? NEXT : PRESENT;
}

static void entry_hash(const struct index *i, enum which which, enum index_db db, const MDB_val *k, const MDB_val *v,
                       uint8_t ret[TALLY_ENTRY]) {
    tally_hash(i->tally_key[which], (uint8_t)db, k->mv_data, k->mv_size, v->mv_data, v->mv_size, ret);
}

/* A count that runs must follow what becomes of the entries that it has passed. */
void tally_change(struct index *i, enum index_db db, const MDB_val *k, const MDB_val *v,
                  void (*change)(struct tally *, const uint8_t *)) {
    uint8_t entry[TALLY_ENTRY];
    enum which which = key_of(i, db, k->mv_data, k->mv_size);
    entry_hash(i, which, db, k, v, entry);
    change(&i->tally[which], entry);
    if (i->count.running && is_behind(&i->count.at, db, k->mv_data, k->mv_size))
        change(&i->count.sum[which], entry);
    wipe(entry, sizeof(entry));
}

bool may_be_ours(const MDB_val *k, const MDB_val *v) {
    return k->mv_size > 0 && k->mv_size <= INDEX_KEY_MAX && v->mv_size <= INDEX_VALUE_MAX + SEAL_OVERHEAD;
}

/* Takes what is stored under the key out of the tally. VAULT_NOT_FOUND: there is nothing. */
static int untally(struct index *i, enum index_db db, MDB_val *k) {
    MDB_val old;
    int result = result_of(mdb_get(i->write, i->dbs[db], k, &old));
    if (result == VAULT_OK && !may_be_ours(k, &old))
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        tally_change(i, db, k, &old, tally_take);
    return result;
}

/* As it is stored: sealed, unless it is already. *ret is good until the next call, and as long as `from`. */
static int make_stored(struct index *i, enum index_db db, const MDB_val *k, const void *from, size_t n, MDB_val *ret) {
    uint8_t ad[AD_MAX];
    *ret = (MDB_val){.mv_size = n, .mv_data = (void *)(uintptr_t)from};
    if (is_sealed_already(db))
        return VAULT_OK;
    enum which which = key_of(i, db, k->mv_data, k->mv_size);
    size_t ad_size = associated(i, which, db, k->mv_data, k->mv_size, ad);
    *ret = (MDB_val){.mv_size = n + SEAL_OVERHEAD, .mv_data = i->sealed};
    return seal_bytes(which == NEXT ? i->keys.next : i->keys.key, ad, ad_size, from, n, i->sealed);
}

/* *ret is what was stored. */
static int put_stored(struct index *i, enum index_db db, MDB_val *k, const void *from, size_t n, unsigned flags,
                      MDB_val *ret) {
    int result = make_stored(i, db, k, from, n, ret);
    MDB_val v = *ret;
    return result == VAULT_OK ? result_of(mdb_put(i->write, i->dbs[db], k, &v, flags)) : result;
}

int put_plain_at(struct index *i, MDB_cursor *c, enum index_db db, MDB_val *k, size_t n) {
    MDB_val v;
    int result = make_stored(i, db, k, secret_view(i->plain), n, &v);
    MDB_val stored = v;
    if (result == VAULT_OK)
        result = result_of(mdb_cursor_put(c, k, &stored, MDB_CURRENT));
    if (result == VAULT_OK)
        tally_change(i, db, k, &v, tally_add);
    wipe(secret_edit(i->plain), n);
    return result;
}

/* With MDB_APPEND nothing is looked for: where something is there, or behind, that is VAULT_AGAIN. */
static int put(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n,
               unsigned flags) {
    if (i->write == NULL || key_size > INDEX_KEY_MAX || n > INDEX_VALUE_MAX)
        return VAULT_E_STATE;
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    MDB_val v;
    i->changes++;
    int result = flags == MDB_APPEND ? VAULT_NOT_FOUND : untally(i, db, &k);
    if (result == VAULT_OK || result == VAULT_NOT_FOUND)
        result = put_stored(i, db, &k, from, n, flags, &v);
    if (result == VAULT_OK)
        tally_change(i, db, &k, &v, tally_add);
    return result;
}

int index_put(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n) {
    return put(i, db, key, key_size, from, n, 0);
}

int index_append(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n) {
    int result = put(i, db, key, key_size, from, n, MDB_APPEND);
    return result == VAULT_AGAIN ? index_put(i, db, key, key_size, from, n) : result;
}

int index_delete(struct index *i, enum index_db db, const void *key, size_t key_size) {
    if (i->write == NULL)
        return VAULT_E_STATE;
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    i->changes++;
    int result = untally(i, db, &k);
    return result == VAULT_OK ? result_of(mdb_del(i->write, i->dbs[db], &k, NULL)) : result;
}

/* LMDB says EIO of a short write, which is how a file system that fills up says so. */
static bool space_is_gone(struct index *i) {
    enum { LEFT = 64 << 10 };
    struct statvfs s;
    int fd;
    return mdb_env_get_fd(i->env, &fd) == 0 && fstatvfs(fd, &s) == 0 && s.f_bavail * s.f_frsize < LEFT;
}

/* The tally goes with what it counts. */
static int store_tally(struct index *i) {
    uint8_t bytes[TALLY_VALUE_MAX];
    size_t n = TALLY_SIZE;
    MDB_val k = tally_place(), v;
    if (i->changes == i->changes_stored)
        return VAULT_OK;
    i->changes_stored = i->changes;
    if (i->resealing)
        n = reseal_encode(i, bytes);
    else
        tally_encode(&i->tally[PRESENT], bytes);
    int result = put_stored(i, DB_META, &k, bytes, n, 0, &v);
    wipe(bytes, sizeof(bytes));
    return result;
}

int index_commit(struct index *i) {
    int result = i->write == NULL ? VAULT_E_STATE : store_tally(i);
    MDB_txn *t = i->write;
    if (result != VAULT_OK) {
        index_abort(i);
        return result;
    }
    i->write = NULL;
    result = result_of(mdb_txn_commit(t));
    return result == VAULT_E_IO && space_is_gone(i) ? VAULT_E_FULL : result;
}

static bool starts_with(const MDB_val *k, const void *prefix, size_t n) {
    return k->mv_size >= n && (n == 0 || memcmp(k->mv_data, prefix, n) == 0);
}

int cursor_open(struct index *i, enum index_db db, MDB_cursor **ret) {
    MDB_txn *t = NULL;
    int result = reading(i, &t);
    return result == VAULT_OK ? result_of(mdb_cursor_open(t, i->dbs[db], ret)) : result;
}

int seek(MDB_cursor *c, const void *prefix, size_t prefix_size, const void *after, size_t after_size, MDB_val *k,
         MDB_val *v) {
    bool from_start = after_size == 0;
    k->mv_size = from_start ? prefix_size : after_size;
    k->mv_data = (void *)(uintptr_t)(from_start ? prefix : after);
    if (k->mv_size == 0)
        return mdb_cursor_get(c, k, v, MDB_FIRST);
    int error = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
    if (error == 0 && !from_start && k->mv_size == after_size && memcmp(k->mv_data, after, after_size) == 0)
        error = mdb_cursor_get(c, k, v, MDB_NEXT);
    return error;
}

int index_next(struct index *i, enum index_db db, const void *prefix, size_t prefix_size, const void *after,
               size_t after_size, uint8_t ret_key[INDEX_KEY_MAX], size_t *ret_key_size) {
    MDB_cursor *c = NULL;
    MDB_val k, v;
    int result = cursor_open(i, db, &c);
    if (result != VAULT_OK)
        return result;
    result = result_of(seek(c, prefix, prefix_size, after, after_size, &k, &v));
    while (result == VAULT_OK && k.mv_size > INDEX_KEY_MAX) /* none of ours: the tally tells of it */
        result = result_of(mdb_cursor_get(c, &k, &v, MDB_NEXT));
    if (result == VAULT_OK && !starts_with(&k, prefix, prefix_size))
        result = VAULT_NOT_FOUND;
    if (result == VAULT_OK) {
        copy_bytes(ret_key, INDEX_KEY_MAX, k.mv_data, k.mv_size);
        *ret_key_size = k.mv_size;
    }
    mdb_cursor_close(c);
    return result;
}

void index_digest(const struct index *i, uint8_t ret[TALLY_DIGEST]) {
    if (i->resealing)
        tally_digest_pair(i->tally_key[NEXT], &i->tally[PRESENT], &i->tally[NEXT], ret);
    else
        tally_digest(i->tally_key[PRESENT], &i->tally[PRESENT], ret);
}

uint64_t index_entries(const struct index *i) {
    return i->tally[PRESENT].entries + i->tally[NEXT].entries;
}

int index_count(struct index *i, enum index_db db, uint64_t *ret) {
    MDB_txn *t = NULL;
    MDB_stat stat;
    int result = reading(i, &t);
    if (result == VAULT_OK)
        result = result_of(mdb_stat(t, i->dbs[db], &stat));
    if (result == VAULT_OK)
        *ret = stat.ms_entries;
    return result;
}

static void count_entry(struct index *i, const MDB_val *k, const MDB_val *v) {
    uint8_t entry[TALLY_ENTRY];
    struct count *c = &i->count;
    enum index_db db = (enum index_db)c->at.db;
    enum which which = key_of(i, db, k->mv_data, k->mv_size);
    if (!is_own(db, k)) {
        entry_hash(i, which, db, k, v, entry);
        tally_add(&c->sum[which], entry);
        wipe(entry, sizeof(entry));
    }
    place_move(&c->at, c->at.db, k->mv_data, k->mv_size);
}

/* Counts on in the present database until a slice is full. VAULT_NOT_FOUND: the database is done. */
static int count_slice(struct index *i, size_t *entries, size_t *bytes) {
    struct place *at = &i->count.at;
    MDB_cursor *cursor = NULL;
    MDB_val k, v;
    int result = cursor_open(i, (enum index_db)at->db, &cursor);
    if (result != VAULT_OK)
        return result;
    result = result_of(seek(cursor, NULL, 0, at->after, at->after_size, &k, &v));
    while (result == VAULT_OK && *entries < SLICE_ENTRIES && *bytes < SLICE_BYTES) {
        if (!may_be_ours(&k, &v) || is_behind(at, (enum index_db)at->db, k.mv_data, k.mv_size)) {
            result = VAULT_E_DAMAGED; /* never stored here, or keys go backwards and the count would have no end */
            break;
        }
        count_entry(i, &k, &v);
        ++*entries;
        *bytes += v.mv_size;
        result = result_of(mdb_cursor_get(cursor, &k, &v, MDB_NEXT));
    }
    mdb_cursor_close(cursor);
    return result;
}

int index_check(struct index *i) {
    struct count *c = &i->count;
    size_t entries = 0;
    size_t bytes = 0;
    int result = VAULT_NOT_FOUND;
    if (!c->running)
        *c = (struct count){.running = true};
    while (c->at.db < DB_COUNT && (result = count_slice(i, &entries, &bytes)) == VAULT_NOT_FOUND)
        c->at = (struct place){.db = c->at.db + 1};
    if (c->at.db < DB_COUNT && result == VAULT_OK)
        return VAULT_AGAIN;
    c->running = false;
    if (result != VAULT_NOT_FOUND)
        return result;
    bool whole = tally_equal(&c->sum[PRESENT], &i->tally[PRESENT]) && tally_equal(&c->sum[NEXT], &i->tally[NEXT]);
    return whole ? VAULT_OK : VAULT_E_DAMAGED;
}

int index_get_record(struct index *i, enum index_db db, const void *key, size_t key_size, const struct layout *l,
                     void *ret_record) {
    size_t n = 0;
    int result = index_get(i, db, key, key_size, secret_edit(i->plain), INDEX_VALUE_MAX, &n);
    if (result != VAULT_OK)
        return result;
    struct reader r = reader_of(secret_view(i->plain), n);
    result = layout_decode(l, &r, ret_record);
    wipe(secret_edit(i->plain), n);
    return result == VAULT_E_FORMAT ? VAULT_E_DAMAGED : result;
}

int index_put_record(struct index *i, enum index_db db, const void *key, size_t key_size, const struct layout *l,
                     const void *record) {
    struct writer w = writer_of(secret_edit(i->plain), INDEX_VALUE_MAX);
    layout_encode(l, record, &w);
    int result = w.bad ? VAULT_E_STATE : index_put(i, db, key, key_size, secret_view(i->plain), w.used);
    wipe(secret_edit(i->plain), w.used);
    return result;
}
