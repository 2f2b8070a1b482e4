/* Crypt4GH segments and chunks. Format: hts-specs crypt4gh.tex, docs/format-object.md.
 *
 * A segment is nonce[12] ‖ ChaCha20-Poly1305-IETF ciphertext ‖ tag[16] of up to 65,536 plaintext bytes, no associated
 * data. A chunk is up to 64 segments; sealed it is one stored object. Every attempt to write a chunk takes a fresh
 * random 96-bit nonce base; segment i uses base + i: the base's 12 bytes as a little-endian number, modulo 2^96. */
#ifndef VAULT_SEGMENT_H
#define VAULT_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

enum {
    SEGMENT_PLAIN = 65536,
    SEGMENT_OVERHEAD = 28,
    SEGMENT_SEALED = SEGMENT_PLAIN + SEGMENT_OVERHEAD,
    CHUNK_SEGMENTS = 64,
    CHUNK_PLAIN = CHUNK_SEGMENTS * SEGMENT_PLAIN, /* 4 MiB */
    OBJECT_MAX = CHUNK_SEGMENTS * SEGMENT_SEALED, /* 4,196,096 */
    NONCE_SIZE = 12,
    KEY_SEGMENTS_MAX = 1 << 24 /* that one data key may seal, each attempt counted: docs/keys.md says why */
};

struct cipher; /* one AEAD context with a data key; one thread at a time */

/* Keeps no reference to the key. VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int cipher_new(struct cipher **ret, const struct secret *key);
/* Wipes; accepts NULL and pointer to NULL. */
void cipher_free(struct cipher **c);

/* base + index modulo 2^96. */
void nonce_at(const uint8_t base[NONCE_SIZE], uint32_t index, uint8_t ret_nonce[NONCE_SIZE]);

/* Seals n (1 to SEGMENT_PLAIN) bytes into n + SEGMENT_OVERHEAD bytes at `to`. VAULT_E_LIMIT, VAULT_E_CRYPTO. */
int segment_seal(struct cipher *c, const uint8_t base[NONCE_SIZE], uint32_t index, const uint8_t *plain, size_t n,
                 uint8_t *to);
/* Opens a sealed segment of n (29 to SEGMENT_SEALED) bytes into n - SEGMENT_OVERHEAD bytes at `to`; checks that its
 * nonce is the one of this position, then the tag. On failure `to` is wiped. VAULT_E_DAMAGED, VAULT_E_LIMIT,
 * VAULT_E_CRYPTO. */
int segment_open(struct cipher *c, const uint8_t base[NONCE_SIZE], uint32_t index, const uint8_t *sealed, size_t n,
                 uint8_t *to);

/* Bytes of the object that holds n (1 to CHUNK_PLAIN) plaintext bytes, and back (0 if no plaintext has this size). */
size_t object_size(size_t plain);
size_t object_plain(size_t sealed);
/* Segments of an object of this size; 0 if no plaintext has it. */
uint32_t object_segments(size_t sealed);

#endif
