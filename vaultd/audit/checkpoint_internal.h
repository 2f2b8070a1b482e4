/* Verifier keys, inside the audit library. docs/format-audit.md. */
#ifndef AUDIT_CHECKPOINT_INTERNAL_H
#define AUDIT_CHECKPOINT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/checkpoint.h"

enum { VKEY_ID = 4, VKEY_PUBLIC = 32, NOTE_SIGNATURE = 64 };

struct vkey {
    char name[CHECKPOINT_ORIGIN_MAX + 1];
    uint8_t id[VKEY_ID];
    uint8_t public_key[VKEY_PUBLIC];
};

/* VAULT_E_FORMAT: no verifier key string of an Ed25519 key, or its key ID is not the key's. */
int vkey_parse(const char *text, struct vkey *ret);
/* Strict base64 of exactly n bytes. */
bool base64_exact(uint8_t *to, size_t n, const char *text, size_t text_size);
/* The secret key of a seed in libsodium's form (seed ‖ public key), and its public key. VAULT_E_LIMIT (no seed),
 * VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int key_pair(const struct secret *seed, struct secret **ret_key, uint8_t ret_public[VKEY_PUBLIC]);

#endif
