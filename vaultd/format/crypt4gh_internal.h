/* What crypt4gh.c and crypt4gh_keys.c share. Header packets, the body and the secret part of a key file are all sealed
 * in one way: nonce ‖ ciphertext ‖ tag, as a segment is. */
#ifndef VAULT_CRYPT4GH_INTERNAL_H
#define VAULT_CRYPT4GH_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

/* Seals n (1 to SEGMENT_PLAIN) bytes under a fresh nonce into n + SEGMENT_OVERHEAD bytes at `to`. VAULT_E_LIMIT,
 * VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int crypt4gh_box_seal(const struct secret *key, const uint8_t *plain, size_t n, uint8_t *to);
/* Opens what has any nonce. VAULT_E_DAMAGED (which may mean another key), and errors as above. */
int crypt4gh_box_open(const struct secret *key, const uint8_t *sealed, size_t n, struct secret **ret);

#endif
