/* The tally: a keyed multiset hash over the entries of the index. Adding and taking entries in any order gives the same
 * sum, so it is kept up to date by every change and can be counted anew at any time; an entry that was altered,
 * removed, added or put back from an older copy makes the two differ. docs/format-index.md, docs/decisions/0010. */
#ifndef VAULT_TALLY_H
#define VAULT_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

enum { TALLY_LANES = 8, TALLY_ENTRY = 8 * TALLY_LANES, TALLY_SIZE = TALLY_ENTRY + 8, TALLY_DIGEST = 32 };

/* Secret as long as the vault lives: who knows sums could look for other entries of the same sum. */
struct tally {
    uint64_t lanes[TALLY_LANES]; /* each added modulo 2^64 */
    uint64_t entries;
};

/* The key for tallies, made from the index key. VAULT_E_MEMORY. */
int tally_key(const struct secret *index_key, struct secret **ret);
/* The hash of one entry: BLAKE2b-512 of u8 database ‖ u32 key size ‖ key ‖ value, the value as it is stored. */
void tally_hash(const struct secret *key, uint8_t database, const void *entry_key, size_t entry_key_size,
                const void *value, size_t value_size, uint8_t ret[TALLY_ENTRY]);
void tally_add(struct tally *t, const uint8_t entry[TALLY_ENTRY]);
void tally_take(struct tally *t, const uint8_t entry[TALLY_ENTRY]);
bool tally_equal(const struct tally *a, const struct tally *b);
/* What a record may show: a keyed hash of the sum, the same for the same entries, and nothing else to who lacks the
 * key. */
void tally_digest(const struct secret *key, const struct tally *t, uint8_t ret[TALLY_DIGEST]);
/* The same of two sums: of entries under one key and under another. */
void tally_digest_pair(const struct secret *key, const struct tally *a, const struct tally *b,
                       uint8_t ret[TALLY_DIGEST]);
bool tally_is_empty(const struct tally *t);
/* Lanes and number of entries, little-endian. */
void tally_encode(const struct tally *t, uint8_t to[TALLY_SIZE]);
void tally_decode(struct tally *t, const uint8_t from[TALLY_SIZE]);

#endif
