/* Seals: how the root key is kept while the vault is closed. A seal is public; it lies in the key ring's file, and
 * holds the root key wrapped for whatever opens it. docs/format-keyring.md.
 *
 * A credential is a key of 32 bytes that the service manager or a file brings. Shares open a private key (X25519) to
 * which the root key is sealed, so that a new root key needs nobody's share. A token holds an AES key that never leaves
 * it; it wraps and unwraps the root key itself, in a process of its own (docs/decisions/0012-token.md). */
#ifndef VAULT_SEAL_H
#define VAULT_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"
#include "vault/shares.h"

enum seal_kind { SEAL_BY_NOTHING, SEAL_BY_CREDENTIAL, SEAL_BY_SHARES, SEAL_BY_TOKEN };

enum {
    SEAL_VAULT_ID = 16,
    SEAL_PUBLIC_KEY = 32,
    SEAL_TOKEN_KEY = 32,     /* id of a key in a token (CKA_ID): vault id, then 16 random bytes */
    SEAL_TOKEN_WRAPPED = 60, /* what the token gave: IV of 12 bytes, ciphertext, tag of 16 bytes */
    SEAL_WRAPPED = 80,       /* the longest wrapped root key */
    SEAL_SIZE_MAX = 1 + CEREMONY_SIZE_MAX + SEAL_PUBLIC_KEY + SEAL_WRAPPED
};

/* Owns nothing; no part of it is secret. */
struct seal {
    enum seal_kind kind;
    struct ceremony ceremony;            /* SEAL_BY_SHARES */
    uint8_t public_key[SEAL_PUBLIC_KEY]; /* SEAL_BY_SHARES */
    uint8_t token_key[SEAL_TOKEN_KEY];   /* SEAL_BY_TOKEN */
    uint8_t wrapped[SEAL_WRAPPED];       /* the root key; how many bytes, the kind says */
};

/* Seals a root key by a credential, both of SECRET_KEY_SIZE bytes. VAULT_E_CRYPTO. */
int seal_by_credential(const struct secret *credential, const uint8_t vault[SEAL_VAULT_ID], const struct secret *root,
                       struct seal *ret);
/* Seals it by new shares, which are the caller's: `ret_shares` has room for `count`. VAULT_E_LIMIT (as shares_split),
 * VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int seal_by_shares(unsigned count, unsigned threshold, const struct secret *root, struct seal *ret,
                   struct share *ret_shares);
/* A root key that a token has wrapped already. */
void seal_by_token(const uint8_t key[SEAL_TOKEN_KEY], const uint8_t wrapped[SEAL_TOKEN_WRAPPED], struct seal *ret);
/* The same seal around another root key. `key` is the credential; NULL for shares. VAULT_E_CRYPTO, VAULT_E_STATE (by a
 * token: only that can wrap). */
int seal_again(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
               const struct secret *root, struct seal *ret);

/* Opens it with the credential, or with what shares_combine gave. VAULT_DENIED (it is another key, or the seal was
 * changed), VAULT_E_MEMORY, VAULT_E_STATE (by a token: only that can unwrap, and gives the root key itself). */
int seal_open(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
              struct secret **ret_root);
/* Whether this key would open it; opens nothing. SEAL_BY_SHARES only; false otherwise. */
bool seal_fits(const struct seal *s, const struct secret *key);

/* Binary form: u8 kind, then public key (shares) or key id (token), wrapped root key, ceremony (shares). Returns its
 * size. Aborts where there is nothing to write: SEAL_BY_NOTHING. */
size_t seal_write(const struct seal *s, uint8_t ret[SEAL_SIZE_MAX]);
/* All n bytes. VAULT_E_FORMAT. */
int seal_read(const uint8_t *bytes, size_t n, struct seal *ret);

#endif
