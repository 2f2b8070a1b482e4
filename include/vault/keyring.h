/* The key ring: the generations of the key-encryption key and the keys beside them, sealed under the root key, in a
 * file outside the index, in two checksummed copies. docs/format-keyring.md; order of steps: design, "Keys". */
#ifndef VAULT_KEYRING_H
#define VAULT_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/seal.h"

enum { KEYRING_ID = 16, KEYRING_GENERATIONS = 64, KEYRING_FILE_MAX = 16384 };

struct keyring;

/* Where the copies are: open directories (borrowed) and file names in them. */
struct keyring_place {
    int directory, twin_directory;
    const char *name, *twin_name;
};

/* Reads the root key from an open credential file: 32 raw bytes, or 64 hex digits, or base64 of 32 bytes, the text
 * forms with at most one newline. The file must be regular, with no permission for group or others. From offset 0, also
 * when it was read before. VAULT_E_FORMAT, VAULT_DENIED (mode), VAULT_E_IO, VAULT_E_MEMORY. */
int root_key_read(int fd, struct secret **ret);

/* A fresh ring: random vault id, epoch 1, generation 1, random index, name and audit keys. Not stored yet, and without
 * a seal. */
int keyring_new(bool dev, struct keyring **ret);
/* What can be known without its root key: the seal and vault id of the copy that keyring_load would choose. Errors as
 * keyring_load, but for VAULT_DENIED. Nothing of it is known to be genuine before the ring is loaded. */
int keyring_peek(const struct keyring_place *place, struct seal *ret_seal, uint8_t ret_vault[KEYRING_ID]);
/* Loads the newer of the two copies whose checksum is right and repairs the other (reported through *ret_repaired).
 * VAULT_NOT_FOUND (neither exists), VAULT_E_FORMAT (unknown version), VAULT_E_DAMAGED (no copy has a good checksum),
 * VAULT_DENIED (good checksum, but not sealed under this root key), VAULT_E_STATE (the copies are of two vaults),
 * VAULT_E_IO or VAULT_E_FULL (a copy cannot be read, or not be repaired: nothing is loaded). */
int keyring_load(const struct keyring_place *place, const struct secret *root, struct keyring **ret,
                 bool *ret_repaired);
/* Replaces both copies: each written beside, synced, renamed, folder synced. `root` is the key that the ring's seal
 * holds. VAULT_E_STATE (no seal), VAULT_E_IO, VAULT_E_FULL. */
int keyring_store(const struct keyring *k, const struct keyring_place *place, const struct secret *root);
/* The file of a copy of the ring as it is, but under another seal and the root key that this one holds. The ring stays
 * as it is. VAULT_E_STATE (no seal), VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int keyring_copy(const struct keyring *k, const struct seal *s, const struct secret *root,
                 uint8_t ret[KEYRING_FILE_MAX], size_t *ret_size);
/* True if either copy exists, or its place cannot be looked at. */
bool keyring_exists(const struct keyring_place *place);
void keyring_free(struct keyring **k);

const uint8_t *keyring_vault_id(const struct keyring *k); /* KEYRING_ID bytes */
uint64_t keyring_epoch(const struct keyring *k);
bool keyring_is_dev(const struct keyring *k);

/* Gives the ring a seal, and with one that it had raises the epoch; to be stored under the new root key. VAULT_E_STATE.
 */
int keyring_set_seal(struct keyring *k, const struct seal *s);
/* Borrowed. */
const struct seal *keyring_seal(const struct keyring *k);

/* Generations: newest is the one to wrap under. */
uint32_t keyring_newest(const struct keyring *k);
uint32_t keyring_count(const struct keyring *k);
/* The i-th generation's number and creation time (seconds since 1970), oldest first. */
uint32_t keyring_generation(const struct keyring *k, uint32_t i, uint64_t *ret_created);
/* Borrowed; NULL if the ring has no such generation. */
const struct secret *keyring_kek(const struct keyring *k, uint32_t generation);
/* Forgets every generation but the newest. The ring is to get another seal around another root key before it is stored:
 * older copies of it hold what is forgotten here. VAULT_NOT_FOUND (there is only one). */
int keyring_retire(struct keyring *k);
/* The next index key, beside the present one while the index is resealed; and the end of that, which forgets the
 * present one. Both raise the epoch; to be stored. VAULT_E_STATE (there is one; there is none), VAULT_E_LIMIT,
 * VAULT_E_MEMORY. */
int keyring_begin_index_key(struct keyring *k);
int keyring_end_index_key(struct keyring *k);
/* The same for the name key, while entries move to where the next one has them. */
int keyring_begin_name_key(struct keyring *k);
int keyring_end_name_key(struct keyring *k);
/* Puts another seed, which is moved, in the place of the audit's, and raises the epoch; to be stored. VAULT_E_STATE (it
 * is no seed), VAULT_E_LIMIT. */
int keyring_replace_audit_seed(struct keyring *k, struct secret **seed);
/* Adds the next generation and raises the epoch; store it before the index uses it. VAULT_E_LIMIT, VAULT_E_MEMORY. */
int keyring_add_generation(struct keyring *k);

/* Raises the epoch, to `least` or further: it names the log that goes on from there; store it before the index says so.
 * VAULT_E_LIMIT. */
int keyring_raise_epoch(struct keyring *k, uint64_t least);
/* Borrowed: sealing of index values; keyed hashes of names; Ed25519 seed of the audit. */
const struct secret *keyring_index_key(const struct keyring *k);
const struct secret *keyring_next_index_key(const struct keyring *k); /* NULL: there is none */
uint32_t keyring_index_generation(const struct keyring *k);           /* of the present one, from 1 */
const struct secret *keyring_name_key(const struct keyring *k);
const struct secret *keyring_next_name_key(const struct keyring *k); /* NULL: there is none */
uint32_t keyring_name_generation(const struct keyring *k);           /* of the present one, from 1 */
const struct secret *keyring_audit_seed(const struct keyring *k);

#endif
