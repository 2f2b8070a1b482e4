/* Crypt4GH containers for small contents, and key files. Format: hts-specs crypt4gh.tex; key files:
 * EGA-archive/crypt4gh docs/keys.rst. docs/format-crypt4gh.md says what is taken and what is written. */
#ifndef VAULT_CRYPT4GH_H
#define VAULT_CRYPT4GH_H

#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

enum {
    CRYPT4GH_KEY = 32,           /* X25519 public and private keys */
    CRYPT4GH_HEADER = 124,       /* of one packet with one data key */
    CRYPT4GH_CONTENT_MAX = 4096, /* plaintext bytes of a small container */
    CRYPT4GH_SMALL_MAX = CRYPT4GH_HEADER + CRYPT4GH_CONTENT_MAX + 28,
    CRYPT4GH_PACKETS_MAX = 64,   /* of a header that is opened */
    CRYPT4GH_KEY_FILE_MAX = 4096 /* bytes of a key file */
};

/* The header that hands a data key (SECRET_KEY_SIZE bytes) to a recipient, from a fresh writer's key.
 * VAULT_E_CRYPTO (a recipient key of small order included), VAULT_E_LIMIT, VAULT_E_MEMORY. */
int crypt4gh_header(const uint8_t recipient[CRYPT4GH_KEY], const struct secret *data_key, uint8_t ret[CRYPT4GH_HEADER]);

/* A whole container: header and one segment under a fresh data key. `content` has 1 to CRYPT4GH_CONTENT_MAX bytes.
 * Errors as above. */
int crypt4gh_seal(const uint8_t recipient[CRYPT4GH_KEY], const struct secret *content, uint8_t ret[CRYPT4GH_SMALL_MAX],
                  size_t *ret_size);

/* Opens such a container with a private key. *ret_packets (may be NULL) is set in each case but VAULT_E_FORMAT: how
 * many packets the header has. VAULT_E_FORMAT (no Crypt4GH, another version, cut, an edit list, more than one segment),
 * VAULT_DENIED (none of the packets is for this key), VAULT_E_DAMAGED (the content does not open), VAULT_E_LIMIT (too
 * long or too many packets), VAULT_E_CRYPTO (a private key of another size included), VAULT_E_MEMORY. */
int crypt4gh_open(const void *container, size_t n, const struct secret *private_key, struct secret **ret_content,
                  unsigned *ret_packets);

/* Reads a public key file: BEGIN CRYPT4GH PUBLIC KEY. VAULT_E_FORMAT. */
int crypt4gh_public_key_read(const void *text, size_t n, uint8_t ret[CRYPT4GH_KEY]);
/* Reads a private key file: `c4gh-v1` with kdf scrypt, pbkdf2_hmac_sha256 or none, or the raw 32 bytes that htslib
 * writes. `passphrase` may be NULL. VAULT_E_FORMAT (no such file), VAULT_NOT_FOUND (it is encrypted, and there is no
 * passphrase), VAULT_DENIED (wrong passphrase, or changed), VAULT_E_LIMIT (a kdf or cipher that is not supported,
 * bcrypt included), VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int crypt4gh_private_key_read(const void *text, size_t n, const struct secret *passphrase, struct secret **ret);

/* A fresh key pair in file form: the public file and the private one (kdf scrypt if there is a passphrase, else none).
 * The public text ends in NUL; the private one is a secret of its length. VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int crypt4gh_key_pair(const struct secret *passphrase, char ret_public[CRYPT4GH_KEY_FILE_MAX],
                      struct secret **ret_private);

#endif
