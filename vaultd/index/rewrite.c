/* Changes of many entries one after the other, each in its place. */
#include "index_internal.h"

#include "vault/result.h"

/* *ret_n: what is in i->plain now. */
static int rewrite_value(struct index *i, const struct index_rewrite *how, const MDB_val *k, const MDB_val *v,
                         size_t *ret_n) {
    int result = open_with(i, key_of(i, how->db, k->mv_data, k->mv_size), how->db, k, v, secret_edit(i->plain),
                           INDEX_VALUE_MAX, ret_n);
    return result == VAULT_OK ? how->change(how->context, k->mv_data, k->mv_size, secret_edit(i->plain), *ret_n)
                              : VAULT_E_DAMAGED;
}

static int rewrite_entry(struct index *i, MDB_cursor *c, const struct index_rewrite *how, MDB_val *k,
                         const MDB_val *v) {
    size_t n = 0;
    if (!may_be_ours(k, v))
        return VAULT_E_DAMAGED;
    int result = rewrite_value(i, how, k, v, &n);
    if (result == VAULT_OK) {
        tally_change(i, how->db, k, v, tally_take);
        return put_plain_at(i, c, how->db, k, n);
    }
    wipe(secret_edit(i->plain), n);
    return result == VAULT_AGAIN ? VAULT_OK : result;
}

int index_rewrite(struct index *i, const struct index_rewrite *how, uint8_t after[INDEX_KEY_MAX], size_t *size,
                  uint64_t *ret_done, uint64_t *ret_damaged) {
    MDB_cursor *c = NULL;
    MDB_val k, v;
    *ret_done = *ret_damaged = 0;
    if (i->write == NULL)
        return VAULT_E_STATE;
    int result = cursor_open(i, how->db, &c);
    if (result != VAULT_OK)
        return result;
    i->changes++;
    result = result_of(seek(c, NULL, 0, after, *size, &k, &v));
    while (result == VAULT_OK && *ret_done < how->most) {
        MDB_val own = {.mv_size = k.mv_size, .mv_data = after};   /* the page that it is in goes with the change */
        if (k.mv_size <= INDEX_KEY_MAX && !is_own(how->db, &k)) { /* a longer one is nobody's: the tally tells of it */
            copy_bytes(after, INDEX_KEY_MAX, k.mv_data, k.mv_size);
            *size = k.mv_size;
            result = rewrite_entry(i, c, how, &own, &v);
            ++*ret_done;
        }
        *ret_damaged += result == VAULT_E_DAMAGED;
        if (result == VAULT_OK || result == VAULT_E_DAMAGED)
            result = result_of(mdb_cursor_get(c, &k, &v, MDB_NEXT));
    }
    mdb_cursor_close(c);
    return result == VAULT_NOT_FOUND && *ret_done > 0 ? VAULT_OK : result;
}
