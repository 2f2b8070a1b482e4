/* One kind of seal, behind vault/seal.h. Used by keys/ only. */
#ifndef KEYS_SEAL_INTERNAL_H
#define KEYS_SEAL_INTERNAL_H

#include "vault/seal.h"

struct seal_maker {
    size_t wrapped_size;
    /* Both NULL where it is not this program that wraps. */
    /* VAULT_E_CRYPTO. `s` has its public key already. */
    int (*wrap)(const struct secret *key, const uint8_t vault[SEAL_VAULT_ID], const struct secret *root,
                struct seal *s);
    /* VAULT_DENIED, VAULT_E_MEMORY. */
    int (*unwrap)(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
                  struct secret **ret_root);
};

extern const struct seal_maker seal_of_credential, seal_of_shares;

#endif
