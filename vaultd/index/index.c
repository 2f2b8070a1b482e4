#include "index_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/wrap.h"

enum { KEY_GENERATION = 1, GROW_MARGIN = 64 << 20, SLICE_ENTRIES = 256, SLICE_BYTES = 256 << 10 };

static const uint8_t tally_name[] = "tally";

/* A count of all entries that has got as far as entry `after` of database `db`. */
struct count {
    bool running;
    int db;
    uint8_t after[INDEX_KEY_MAX];
    size_t after_size;
    struct tally sum;
};

struct index {
    MDB_env *env;
    MDB_txn *write; /* NULL between batches */
    MDB_txn *read;  /* shared by look-ups outside a write transaction */
    MDB_dbi dbs[DB_COUNT];
    const struct secret *key;
    struct secret *plain; /* one value in the clear, while it is sealed or unsealed */
    uint8_t *sealed;      /* one value sealed */
    uint64_t changes, changes_stored;
    struct secret *tally_key;
    struct tally tally; /* of all entries but its own, changes of the transaction included */
    struct count count;
};

static const char *const db_names[DB_COUNT] = {
    "meta",    "subjects",   "consents",      "services",      "sans",    "projects", "ethics",  "policies",
    "files",   "file-names", "subject-files", "dataset-files", "blobs",   "pages",    "uploads", "upload-objects",
    "grants",  "requests",   "jobs",          "chains",        "records", "nodes",    "objects", "names",
    "pending", "shreds",     "removed",       "retired",       "backups"};

int result_of(int error) {
    switch (error) {
    case MDB_SUCCESS: return VAULT_OK;
    case MDB_NOTFOUND: return VAULT_NOT_FOUND;
    case MDB_MAP_FULL: return VAULT_E_FULL;
    case ENOMEM: return VAULT_E_MEMORY;
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

/* Nothing can vouch for the entries any more: no count will ever agree. It is told by the check, and is no reason to
 * stay sealed; a wrong key is noticed by who reads the rest. */
static void forget_tally(struct index *i) {
    log_error("index: its tally is gone or damaged");
    randombytes_buf(i->tally.lanes, sizeof(i->tally.lanes));
}

/* An environment without any entry is new; any other has a tally. */
static int load_tally(struct index *i) {
    uint8_t bytes[TALLY_SIZE];
    uint8_t first[INDEX_KEY_MAX];
    size_t n = 0;
    int result = index_get(i, DB_META, tally_name, sizeof(tally_name), bytes, sizeof(bytes), &n);
    if (result == VAULT_NOT_FOUND) {
        result = index_next(i, DB_META, NULL, 0, NULL, 0, first, &n);
        if (result == VAULT_NOT_FOUND)
            return VAULT_OK;
        result = result == VAULT_OK ? VAULT_E_DAMAGED : result;
    }
    if (result == VAULT_E_DAMAGED || result == VAULT_E_LIMIT || (result == VAULT_OK && n != TALLY_SIZE))
        forget_tally(i);
    else if (result == VAULT_OK)
        tally_decode(&i->tally, bytes);
    else
        return result;
    wipe(bytes, sizeof(bytes));
    return VAULT_OK;
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

int index_open(const struct secret *key, uint64_t map_size, bool make, struct index **ret) {
    if (!index_exists() && !make)
        return VAULT_NOT_FOUND;
    int result = make ? make_folder() : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    struct index *i = calloc(1, sizeof(*i));
    if (i == NULL)
        return VAULT_E_MEMORY;
    i->key = key;
    i->sealed = malloc(INDEX_VALUE_MAX + SEAL_OVERHEAD);
    result = i->sealed == NULL ? VAULT_E_MEMORY : secret_new(&i->plain, INDEX_VALUE_MAX);
    if (result == VAULT_OK)
        result = tally_key(key, &i->tally_key);
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
    secret_free(&(*i)->tally_key);
    wipe(&(*i)->tally, sizeof((*i)->tally));
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

/* u8 database ‖ u32 generation ‖ key: a value put under another key or into another database does not open. */
static size_t associated(enum index_db db, const void *key, size_t key_size, uint8_t to[INDEX_KEY_MAX + 5]) {
    struct writer w = writer_of(to, INDEX_KEY_MAX + 5);
    write_u8(&w, (uint8_t)db);
    write_u32(&w, KEY_GENERATION);
    write_bytes(&w, key, key_size);
    return w.used;
}

int index_get(struct index *i, enum index_db db, const void *key, size_t key_size, void *to, size_t size,
              size_t *ret_n) {
    uint8_t ad[INDEX_KEY_MAX + 5];
    MDB_txn *t = NULL;
    if (key_size > INDEX_KEY_MAX)
        return VAULT_E_STATE;
    int result = reading(i, &t);
    if (result != VAULT_OK)
        return result;
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    MDB_val v;
    result = result_of(mdb_get(t, i->dbs[db], &k, &v));
    if (result != VAULT_OK)
        return result;
    if (v.mv_size < SEAL_OVERHEAD)
        return VAULT_E_DAMAGED;
    if (v.mv_size - SEAL_OVERHEAD > size)
        return VAULT_E_LIMIT;
    size_t ad_size = associated(db, key, key_size, ad);
    result = unseal_bytes(i->key, ad, ad_size, v.mv_data, v.mv_size, to);
    if (result == VAULT_OK)
        *ret_n = v.mv_size - SEAL_OVERHEAD;
    else
        log_error("index: value does not open database=%s", db_names[db]);
    return result;
}

/* Whether the count that runs has passed this entry, and so must follow what becomes of it. */
static bool is_counted(const struct count *c, enum index_db db, const void *key, size_t key_size) {
    if (!c->running || (int)db != c->db)
        return c->running && (int)db < c->db;
    size_t common = key_size < c->after_size ? key_size : c->after_size;
    int order = memcmp(key, c->after, common);
    return c->after_size > 0 && (order < 0 || (order == 0 && key_size <= c->after_size));
}

static void entry_hash(const struct index *i, enum index_db db, const MDB_val *k, const MDB_val *v,
                       uint8_t ret[TALLY_ENTRY]) {
    tally_hash(i->tally_key, (uint8_t)db, k->mv_data, k->mv_size, v->mv_data, v->mv_size, ret);
}

static void tally_change(struct index *i, enum index_db db, const MDB_val *k, const MDB_val *v,
                         void (*change)(struct tally *, const uint8_t *)) {
    uint8_t entry[TALLY_ENTRY];
    entry_hash(i, db, k, v, entry);
    change(&i->tally, entry);
    if (is_counted(&i->count, db, k->mv_data, k->mv_size))
        change(&i->count.sum, entry);
    wipe(entry, sizeof(entry));
}

/* No entry of ours is larger: what a damaged page says of a value's size must not be read. */
static bool may_be_ours(const MDB_val *k, const MDB_val *v) {
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

/* Seals into the environment; *ret (may be NULL) is what was stored. */
static int put_sealed(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n,
                      MDB_val *ret) {
    uint8_t ad[INDEX_KEY_MAX + 5];
    size_t ad_size = associated(db, key, key_size, ad);
    int result = seal_bytes(i->key, ad, ad_size, from, n, i->sealed);
    if (result != VAULT_OK)
        return result;
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    MDB_val v = {.mv_size = n + SEAL_OVERHEAD, .mv_data = i->sealed};
    result = result_of(mdb_put(i->write, i->dbs[db], &k, &v, 0));
    if (ret != NULL)
        *ret = (MDB_val){.mv_size = n + SEAL_OVERHEAD, .mv_data = i->sealed};
    return result;
}

int index_put(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n) {
    if (i->write == NULL || key_size > INDEX_KEY_MAX || n > INDEX_VALUE_MAX)
        return VAULT_E_STATE;
    MDB_val k = {.mv_size = key_size, .mv_data = (void *)(uintptr_t)key};
    MDB_val v;
    i->changes++;
    int result = untally(i, db, &k);
    if (result == VAULT_OK || result == VAULT_NOT_FOUND)
        result = put_sealed(i, db, key, key_size, from, n, &v);
    if (result == VAULT_OK)
        tally_change(i, db, &k, &v, tally_add);
    return result;
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
    uint8_t bytes[TALLY_SIZE];
    if (i->changes == i->changes_stored)
        return VAULT_OK;
    i->changes_stored = i->changes;
    tally_encode(&i->tally, bytes);
    int result = put_sealed(i, DB_META, tally_name, sizeof(tally_name), bytes, sizeof(bytes), NULL);
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

static int cursor_open(struct index *i, enum index_db db, MDB_cursor **ret) {
    MDB_txn *t = NULL;
    int result = reading(i, &t);
    return result == VAULT_OK ? result_of(mdb_cursor_open(t, i->dbs[db], ret)) : result;
}

/* Moves the cursor to the first key greater than `after`, or not less than the prefix. */
static int seek(MDB_cursor *c, const void *prefix, size_t prefix_size, const void *after, size_t after_size, MDB_val *k,
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
    tally_digest(i->tally_key, &i->tally, ret);
}

uint64_t index_entries(const struct index *i) {
    return i->tally.entries;
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
    bool own = c->db == DB_META && k->mv_size == sizeof(tally_name) && memcmp(k->mv_data, tally_name, k->mv_size) == 0;
    if (!own) {
        entry_hash(i, (enum index_db)c->db, k, v, entry);
        tally_add(&c->sum, entry);
        wipe(entry, sizeof(entry));
    }
    copy_bytes(c->after, sizeof(c->after), k->mv_data, k->mv_size);
    c->after_size = k->mv_size;
}

/* Counts on in the present database until a slice is full. VAULT_NOT_FOUND: the database is done. */
static int count_slice(struct index *i, size_t *entries, size_t *bytes) {
    struct count *c = &i->count;
    MDB_cursor *cursor = NULL;
    MDB_val k, v;
    int result = cursor_open(i, (enum index_db)c->db, &cursor);
    if (result != VAULT_OK)
        return result;
    result = result_of(seek(cursor, NULL, 0, c->after, c->after_size, &k, &v));
    while (result == VAULT_OK && *entries < SLICE_ENTRIES && *bytes < SLICE_BYTES) {
        if (!may_be_ours(&k, &v) || is_counted(c, (enum index_db)c->db, k.mv_data, k.mv_size)) {
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
    while (c->db < DB_COUNT && (result = count_slice(i, &entries, &bytes)) == VAULT_NOT_FOUND) {
        c->db++;
        c->after_size = 0;
    }
    if (c->db < DB_COUNT && result == VAULT_OK)
        return VAULT_AGAIN;
    c->running = false;
    if (result != VAULT_NOT_FOUND)
        return result;
    return tally_equal(&c->sum, &i->tally) ? VAULT_OK : VAULT_E_DAMAGED;
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
