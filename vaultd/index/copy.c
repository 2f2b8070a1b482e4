/* A copy of an index that another process serves, and what tells it from the original. */
#include "index_internal.h"
#include "vault/copies.h"
#include "vault/result.h"

static const uint8_t meta_key[] = "meta";
static const uint8_t tree_key[] = "tree";

/* The map may have grown since it was opened. Free pages are left out: they may hold what was deleted. */
static int copy_to(MDB_env *env, int to) {
    int error = mdb_env_copyfd2(env, to, MDB_CP_COMPACT);
    if (error != MDB_MAP_RESIZED)
        return error;
    error = mdb_env_set_mapsize(env, 0);
    return error == 0 ? mdb_env_copyfd2(env, to, MDB_CP_COMPACT) : error;
}

int index_copy(int to) {
    MDB_env *env = NULL;
    if (!index_exists())
        return VAULT_NOT_FOUND;
    int error = mdb_env_create(&env);
    if (error == 0)
        error = mdb_env_open(env, "index", MDB_RDONLY, 0600);
    if (error == 0)
        error = copy_to(env, to);
    if (env != NULL)
        mdb_env_close(env);
    return result_of(error);
}

int index_meta(struct index *i, struct meta_value *ret) {
    int result = index_get_record(i, DB_META, meta_key, sizeof(meta_key), &layout_meta_value, ret);
    if (result == VAULT_NOT_FOUND)
        return VAULT_E_DAMAGED;
    return result == VAULT_OK && ret->format != INDEX_FORMAT ? VAULT_E_FORMAT : result;
}

/* The value is not counted as stored anew: the tree's value says the same count. */
int index_mark_copy(struct index *i) {
    static struct meta_value meta;
    int result = index_begin(i);
    if (result == VAULT_OK)
        result = index_meta(i, &meta);
    meta.copy = 1;
    if (result == VAULT_OK)
        result = index_put_record(i, DB_META, meta_key, sizeof(meta_key), &layout_meta_value, &meta);
    if (result == VAULT_OK)
        return index_commit(i);
    index_abort(i);
    return result;
}

int index_log_size(struct index *i, uint64_t *ret) {
    uint8_t bytes[24 + 64 * HASH_SIZE];
    size_t n = 0;
    int result = index_get(i, DB_META, tree_key, sizeof(tree_key), bytes, sizeof(bytes), &n);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    struct reader r = reader_of(bytes, n);
    uint64_t size = read_u64(&r);
    if (r.bad)
        return VAULT_E_DAMAGED;
    *ret = size;
    return VAULT_OK;
}

int index_last_retired(struct index *i, uint32_t *ret) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = VAULT_OK;
    *ret = 1;
    for (;;) {
        result = index_next(i, DB_RETIRED, NULL, 0, key, size, key, &size);
        if (result != VAULT_OK || size != 4)
            break;
        *ret = get_be32(key);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result == VAULT_OK ? VAULT_E_DAMAGED : result;
}

int index_oldest_generation(struct index *i, const struct meta_value *meta, uint32_t *ret) {
    uint32_t retired = 1;
    int result = index_last_retired(i, &retired);
    if (result == VAULT_OK)
        *ret = meta->clean > retired ? meta->clean : retired;
    return result;
}
