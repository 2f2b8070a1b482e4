/* A change of the key that signs checkpoints, as its record holds it: both keys sign that the one follows the other,
 * and what the log was before. docs/format-audit.md. */
#ifndef VAULT_KEY_CHANGE_H
#define VAULT_KEY_CHANGE_H

#include "vault/checkpoint.h"

enum { KEY_CHANGE_SIGNATURE = 64 };

struct key_change {
    char from[CHECKPOINT_VKEY_MAX], to[CHECKPOINT_VKEY_MAX]; /* verifier keys */
    uint64_t size;                                           /* of the log before: the number of the change's record */
    uint8_t root[MERKLE_HASH];                               /* of that log */
    uint8_t from_signature[KEY_CHANGE_SIGNATURE], to_signature[KEY_CHANGE_SIGNATURE];
};

/* Signs that the key of seed `to` follows that of `from` after this log. VAULT_E_FORMAT (bad origin), VAULT_E_LIMIT,
 * VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int key_change_make(const struct checkpoint *before, const struct secret *from, const struct secret *to,
                    struct key_change *ret);
/* VAULT_E_FORMAT (no verifier keys of one log), VAULT_E_DAMAGED (a signature is not by its key). */
int key_change_verify(const struct key_change *c);

#endif
