/* Another key for all values: they are sealed again in the order of databases and keys, a slice at a time. The place
 * that this has reached is stored with the tally, in the same transaction, and says of every entry which key it is
 * under: none is tried. docs/format-index.md. */
#include <string.h>

#include "index_internal.h"
#include "vault/log.h"
#include "vault/result.h"

bool index_is_resealing(const struct index *i) {
    return i->resealing;
}

/* Sum of the present key ‖ sum of the next ‖ u8 blind ‖ u8 database ‖ key. */
size_t reseal_encode(const struct index *i, uint8_t to[TALLY_VALUE_MAX]) {
    struct writer w = writer_of(to + 2 * TALLY_SIZE, TALLY_VALUE_MAX - 2 * TALLY_SIZE);
    tally_encode(&i->tally[PRESENT], to);
    tally_encode(&i->tally[NEXT], to + TALLY_SIZE);
    write_u8(&w, i->blind);
    write_u8(&w, (uint8_t)i->resealed.db);
    write_bytes(&w, i->resealed.after, i->resealed.after_size);
    return 2 * TALLY_SIZE + w.used;
}

/* The present sum and count become those of what was the next key. */
static void collapse(struct index *i) {
    i->tally[PRESENT] = i->tally[NEXT];
    i->tally[NEXT] = (struct tally){0};
    i->count = (struct count){0}; /* one that runs begins again */
    i->resealing = i->blind = false;
    i->resealed = (struct place){0};
}

void reseal_is_over(struct index *i, const uint8_t tally[TALLY_SIZE]) {
    tally_decode(&i->tally[NEXT], tally);
    i->resealing = true;
    i->resealed = (struct place){.db = DB_COUNT};
}

/* Where the ring has forgotten the key before, the value is the last one of then: everything is under the next key. */
bool reseal_decode(struct index *i, const uint8_t *from, size_t n) {
    if (n < 2 * TALLY_SIZE + 2 || n > TALLY_VALUE_MAX)
        return false;
    struct reader r = reader_of(from + 2 * TALLY_SIZE, n - 2 * TALLY_SIZE);
    tally_decode(&i->tally[PRESENT], from);
    tally_decode(&i->tally[NEXT], from + TALLY_SIZE);
    i->resealing = true;
    i->blind = read_u8(&r) != 0;
    i->resealed = (struct place){.db = read_u8(&r), .after_size = r.left};
    read_bytes(&r, i->resealed.after, r.left);
    if (i->resealed.db > DB_COUNT)
        return false;
    if (i->keys.next == NULL && i->resealed.db == DB_COUNT)
        collapse(i);
    return true;
}

int index_reseal_begin(struct index *i, const struct index_keys *keys) {
    if (i->write == NULL || keys->next == NULL)
        return VAULT_E_STATE;
    if (i->resealing)
        return VAULT_OK;
    int result = i->tally_key[NEXT] == NULL ? tally_key(keys->next, &i->tally_key[NEXT]) : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    i->keys = *keys;
    i->resealing = true;
    i->resealed = (struct place){0};
    i->changes++;
    return VAULT_OK;
}

/* One that no index key seals, that does not open, or (blind) was sealed under the next key before its place was lost:
 * it changes its sum. */
static void pass_over(struct index *i, enum index_db db, const MDB_val *k, const MDB_val *v) {
    tally_change(i, db, k, v, tally_take);
    place_move(&i->resealed, (int)db, k->mv_data, k->mv_size);
    tally_change(i, db, k, v, tally_add);
}

/* VAULT_DENIED: it does not open, and stays ahead of the place. */
static int reseal_entry(struct index *i, MDB_cursor *c, const MDB_val *found, const MDB_val *v,
                        const struct index_reseal *how, uint64_t *ret_left) {
    enum index_db db = (enum index_db)i->resealed.db;
    uint8_t key[INDEX_KEY_MAX];
    MDB_val k = {.mv_size = found->mv_size, .mv_data = key};
    size_t n = 0;
    copy_bytes(key, sizeof(key), found->mv_data, found->mv_size); /* the page that it is in goes with the change */
    if (is_own(db, &k)) {
        place_move(&i->resealed, (int)db, key, k.mv_size);
        return VAULT_OK;
    }
    if (is_sealed_already(db)) {
        pass_over(i, db, &k, v);
        return VAULT_OK;
    }
    int result = open_with(i, PRESENT, db, &k, v, secret_edit(i->plain), INDEX_VALUE_MAX, &n);
    if (result == VAULT_OK) {
        tally_change(i, db, &k, v, tally_take);
        place_move(&i->resealed, (int)db, key, k.mv_size);
        return put_plain_at(i, c, db, &k, n);
    }
    bool done = i->blind && open_with(i, NEXT, db, &k, v, secret_edit(i->plain), INDEX_VALUE_MAX, &n) == VAULT_OK;
    wipe(secret_edit(i->plain), INDEX_VALUE_MAX);
    if (!done && !how->leave)
        return VAULT_DENIED;
    *ret_left += !done;
    pass_over(i, db, &k, v);
    return VAULT_OK;
}

/* Goes on in the present database. VAULT_NOT_FOUND: it is done. */
static int reseal_slice(struct index *i, const struct index_reseal *how, uint64_t *ret_done, uint64_t *ret_left,
                        size_t *bytes) {
    struct place *at = &i->resealed;
    MDB_cursor *c = NULL;
    MDB_val k, v;
    int result = cursor_open(i, (enum index_db)at->db, &c);
    if (result != VAULT_OK)
        return result;
    result = result_of(seek(c, NULL, 0, at->after, at->after_size, &k, &v));
    while (result == VAULT_OK && *ret_done < how->most && *bytes < SLICE_BYTES) {
        if (may_be_ours(&k, &v)) { /* else it is nobody's: the check tells of it */
            result = reseal_entry(i, c, &k, &v, how, ret_left);
            *bytes += v.mv_size;
            *ret_done += result == VAULT_OK;
        }
        if (result == VAULT_OK)
            result = result_of(mdb_cursor_get(c, &k, &v, MDB_NEXT));
    }
    mdb_cursor_close(c);
    return result;
}

/* What is left in the sum of the present key was stored and is not there, or was altered: that goes on to be told. */
static void conclude(struct index *i) {
    if (tally_is_empty(&i->tally[PRESENT]))
        return;
    log_error("index: resealed, and its entries are not those that were stored");
    i->tally[PRESENT] = (struct tally){0};
    spoil_tally(i, NEXT);
}

int index_reseal(struct index *i, const struct index_reseal *how, uint64_t *ret_done, uint64_t *ret_left,
                 enum index_db *ret_db) {
    size_t bytes = 0;
    int result = VAULT_NOT_FOUND;
    *ret_done = *ret_left = 0;
    if (i->write == NULL || !i->resealing)
        return VAULT_E_STATE;
    i->changes++;
    while (i->resealed.db < DB_COUNT &&
           (result = reseal_slice(i, how, ret_done, ret_left, &bytes)) == VAULT_NOT_FOUND) {
        i->resealed = (struct place){.db = i->resealed.db + 1};
        if (i->resealed.db == DB_COUNT)
            conclude(i);
    }
    if (result == VAULT_DENIED)
        *ret_db = (enum index_db)i->resealed.db;
    return result;
}

int index_reseal_end(struct index *i, const struct index_keys *keys) {
    if (!i->resealing || i->resealed.db != DB_COUNT || keys->next != NULL)
        return VAULT_E_STATE;
    secret_free(&i->tally_key[PRESENT]);
    i->tally_key[PRESENT] = secret_move(&i->tally_key[NEXT]);
    i->keys = *keys;
    collapse(i);
    i->changes++;
    return VAULT_OK;
}
