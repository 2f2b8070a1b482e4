/* The root key sealed to a public key, whose private key is in shares. */
#include <sodium.h>

#include "seal_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

_Static_assert(crypto_box_SECRETKEYBYTES == SECRET_KEY_SIZE && crypto_box_PUBLICKEYBYTES == SEAL_PUBLIC_KEY,
               "X25519 keys have 32 bytes");
_Static_assert(SECRET_KEY_SIZE + crypto_box_SEALBYTES == SEAL_WRAPPED, "a sealed root key fits");

static int wrap_root(const struct secret *key, const uint8_t vault[SEAL_VAULT_ID], const struct secret *root,
                     struct seal *s) {
    (void)key;
    (void)vault; /* the ring's file binds the seal to its vault */
    if (secret_size(root) != SECRET_KEY_SIZE)
        return VAULT_E_CRYPTO;
    int failed = crypto_box_seal(s->wrapped, secret_view(root), SECRET_KEY_SIZE, s->public_key);
    return failed != 0 ? VAULT_E_CRYPTO : VAULT_OK;
}

static int unwrap_root(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
                       struct secret **ret_root) {
    CLEANUP_SECRET struct secret *root = NULL;
    (void)vault;
    if (!seal_fits(s, key))
        return VAULT_DENIED;
    int result = secret_new(&root, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    if (crypto_box_seal_open(secret_edit(root), s->wrapped, SEAL_WRAPPED, s->public_key, secret_view(key)) != 0)
        return VAULT_DENIED;
    *ret_root = secret_move(&root);
    return VAULT_OK;
}

bool seal_fits(const struct seal *s, const struct secret *key) {
    uint8_t public_key[SEAL_PUBLIC_KEY];
    return s->kind == SEAL_BY_SHARES && secret_size(key) == SECRET_KEY_SIZE &&
           crypto_scalarmult_base(public_key, secret_view(key)) == 0 &&
           sodium_memcmp(public_key, s->public_key, SEAL_PUBLIC_KEY) == 0;
}

int seal_by_shares(unsigned count, unsigned threshold, const struct secret *root, struct seal *ret,
                   struct share *ret_shares) {
    CLEANUP_SECRET struct secret *key = NULL;
    struct seal s = {.kind = SEAL_BY_SHARES};
    int result = secret_random(&key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    if (crypto_scalarmult_base(s.public_key, secret_view(key)) != 0)
        return VAULT_E_CRYPTO;
    result = wrap_root(NULL, NULL, root, &s);
    if (result == VAULT_OK)
        result = shares_split(key, count, threshold, &s.ceremony, ret_shares);
    if (result == VAULT_OK)
        *ret = s;
    return result;
}

const struct seal_maker seal_of_shares = {SEAL_WRAPPED, wrap_root, unwrap_root};
