/* The index behind its header: shared by the files of this folder only.
 *
 * Invariants
 *  1. While it is resealed, an entry at or before the place `resealed` is under the next key, any other under the
 * present one; the sum of its key holds it, and no other. The tally's own entry is under the next key from the start.
 *  2. tally[NEXT] is empty unless it is resealed.
 *  3. What is counted anew so far (`count`) is kept apart by key in the same way. */
#ifndef VAULT_INDEX_INTERNAL_H
#define VAULT_INDEX_INTERNAL_H

#include <lmdb.h>

#include "vault/index.h"
#include "vault/wrap.h"

enum { SLICE_ENTRIES = 256, SLICE_BYTES = 256 << 10, AD_MAX = INDEX_KEY_MAX + 5 };

enum which { PRESENT, NEXT, BOTH };

/* Everything in the databases before this one, and in it up to this key (after_size 0: nothing of it). */
struct place {
    int db;
    uint8_t after[INDEX_KEY_MAX];
    size_t after_size;
};

/* A count of all entries that has got as far as this place. */
struct count {
    bool running;
    struct place at;
    struct tally sum[BOTH];
};

struct index {
    MDB_env *env;
    MDB_txn *write; /* NULL between batches */
    MDB_txn *read;  /* shared by look-ups outside a write transaction */
    MDB_dbi dbs[DB_COUNT];
    struct index_keys keys;
    struct secret *plain; /* one value in the clear, while it is sealed or unsealed */
    uint8_t *sealed;      /* one value sealed */
    uint64_t changes, changes_stored;
    struct secret *tally_key[BOTH];
    struct tally tally[BOTH]; /* of all entries but its own, changes of the transaction included */
    struct count count;
    bool resealing;
    bool blind; /* the place was lost with the tally: entries behind it may be under either key */
    struct place resealed;
};

/* Whether the entry is at or before the place. */
bool is_behind(const struct place *p, enum index_db db, const void *key, size_t key_size);
/* Moves the place on to this entry. */
void place_move(struct place *p, int db, const void *key, size_t key_size);
/* The key that an entry is, or will be, sealed under. */
enum which key_of(const struct index *i, enum index_db db, const void *key, size_t key_size);
/* The tally's own entry, which no sum holds. */
bool is_own(enum index_db db, const MDB_val *k);
/* Wrapped keys: what is stored of them is what was given. */
bool is_sealed_already(enum index_db db);
/* Stores the n bytes of i->plain, which it wipes, in the place of what the cursor is at, and adds them to the sums.
 * VAULT_E_CRYPTO, VAULT_E_FULL, VAULT_E_IO. */
int put_plain_at(struct index *i, MDB_cursor *c, enum index_db db, MDB_val *k, size_t n);
/* What is stored, unsealed with one key, unless it is_sealed_already. VAULT_E_DAMAGED, VAULT_E_LIMIT. */
int open_with(struct index *i, enum which which, enum index_db db, const MDB_val *k, const MDB_val *v, void *to,
              size_t size, size_t *ret_n);
/* Changes the sums that hold this entry, as it is stored. */
void tally_change(struct index *i, enum index_db db, const MDB_val *k, const MDB_val *v,
                  void (*change)(struct tally *, const uint8_t *));
/* No entry of ours is larger: what a damaged page says of a value's size must not be read. */
bool may_be_ours(const MDB_val *k, const MDB_val *v);
int cursor_open(struct index *i, enum index_db db, MDB_cursor **ret);
/* Moves the cursor to the first key greater than `after`, or not less than the prefix. */
int seek(MDB_cursor *c, const void *prefix, size_t prefix_size, const void *after, size_t after_size, MDB_val *k,
         MDB_val *v);
/* The one place where LMDB's errors become results. */
int result_of(int error);
/* Nothing can vouch for the entries of this key any more: no count will ever agree. */
void spoil_tally(struct index *i, enum which which);

/* ---- reseal.c ---- */

/* The tally's value as it is stored while it is resealed, and back. */
enum { TALLY_VALUE_MAX = 2 * TALLY_SIZE + 2 + INDEX_KEY_MAX };
size_t reseal_encode(const struct index *i, uint8_t to[TALLY_VALUE_MAX]);
/* The value is of an index that has forgotten the key before already, and the keys are of a moment earlier. */
void reseal_is_over(struct index *i, const uint8_t tally[TALLY_SIZE]);
/* False if it is none. */
bool reseal_decode(struct index *i, const uint8_t *from, size_t n);

#endif
