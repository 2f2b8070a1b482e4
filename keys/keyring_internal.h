/* The key ring in memory and its file form. Used by keys/ and by its tests only.
 *
 * Invariants of a struct keyring:
 *   1. 1 <= count <= KEYRING_GENERATIONS; generations are in ascending order of number, from 1 up.
 *   2. Every key of a generation below count, and the three keys beside them, is set and has SECRET_KEY_SIZE bytes;
 *      next_index_key is set while the index is resealed, and only then; next_name_key while names get another key.
 *   3. The epoch rises with every change of content that is stored; 1 is the first. */
#ifndef KEYS_KEYRING_INTERNAL_H
#define KEYS_KEYRING_INTERNAL_H

#include <stddef.h>

#include "vault/keyring.h"

/* The longest file of any version, a newer one's included. */
enum { RING_FILE_MAX = KEYRING_FILE_MAX, RING_VERSION = 4, RING_CHECKSUM = 32 };

struct generation {
    uint32_t number;
    uint64_t created; /* seconds since 1970 */
    struct secret *key;
};

struct keyring {
    uint8_t vault_id[KEYRING_ID];
    uint64_t epoch;
    bool dev;
    uint32_t count;
    struct generation generations[KEYRING_GENERATIONS];
    uint32_t index_generation; /* of index_key; next_index_key is of the one after it */
    uint32_t name_generation;  /* of name_key, likewise */
    struct secret *index_key, *next_index_key, *name_key, *next_name_key, *audit_seed;
    struct seal seal; /* of the root key; SEAL_BY_NOTHING until keyring_set_seal */
};

/* What a file says without its key: believed only as far as the checksum goes until it is opened. */
struct ring_head {
    uint8_t vault_id[KEYRING_ID];
    uint64_t epoch;
    bool dev;
    struct seal seal;
    const uint8_t *bytes; /* the file, not owned; the associated data are its first head_size bytes */
    size_t head_size;
    size_t sealed_size;
};

/* Parses and checks a file's bytes, which `ret` then points into. VAULT_E_DAMAGED: not a ring, or the checksum is
 * wrong. VAULT_E_FORMAT: a good checksum, but a version newer than this program knows, or malformed. */
int ring_head_parse(const uint8_t *bytes, size_t n, struct ring_head *ret);
/* Opens the sealed body. VAULT_DENIED: not sealed under this root key. VAULT_E_FORMAT, VAULT_E_MEMORY. */
int ring_open(const struct ring_head *head, const struct secret *root, struct keyring **ret);
/* The file of a ring. VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int ring_encode(const struct keyring *k, const struct secret *root, uint8_t to[RING_FILE_MAX], size_t *ret_size);

#endif
