/* Wrapping one key under another: XChaCha20-Poly1305 (libsodium), random nonce. docs/format-index.md.
 *   nonce[24] ‖ ciphertext[32] ‖ tag[16]; associated data: "vault-wrap-1" ‖ u8 purpose ‖ owner[32] ‖ u32 generation */
#ifndef VAULT_WRAP_H
#define VAULT_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

enum { WRAP_OWNER = 32, WRAP_SIZE = 24 + 32 + 16 };

enum wrap_purpose { WRAP_SUBJECT = 1, WRAP_DATA = 2, WRAP_ROOT = 3 };

/* `owner`: who the key belongs to (the subject's name hash; the blob id, or for a root key the vault id,
 * zero-padded). VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int key_wrap(const struct secret *under, enum wrap_purpose purpose, const uint8_t owner[WRAP_OWNER],
             uint32_t generation, const struct secret *key, uint8_t ret[WRAP_SIZE]);
/* VAULT_E_DAMAGED: not wrapped by this key for this purpose, owner and generation. VAULT_E_MEMORY. */
int key_unwrap(const struct secret *under, enum wrap_purpose purpose, const uint8_t owner[WRAP_OWNER],
               uint32_t generation, const uint8_t wrapped[WRAP_SIZE], struct secret **ret);

/* Sealing of index values and ring files: nonce[24] ‖ ciphertext[n] ‖ tag[16], any associated data. `to` has room for
 * n + SEAL_OVERHEAD. For one thread of a process: nonces come from a stock, which a fork does not share.
 * VAULT_E_CRYPTO, VAULT_E_MEMORY. */
enum { SEAL_OVERHEAD = 40 };
int seal_bytes(const struct secret *key, const void *ad, size_t ad_size, const void *from, size_t n, uint8_t *to);
/* What is sealed from now on takes nonces made from now on: a copy of a machine in which time stood still goes on with
 * others. */
void seal_anew(void);
/* `to` has room for n - SEAL_OVERHEAD. VAULT_E_DAMAGED. */
int unseal_bytes(const struct secret *key, const void *ad, size_t ad_size, const void *from, size_t n, uint8_t *to);

#endif
