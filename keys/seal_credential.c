/* The root key wrapped under a credential. */
#include "seal_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/wrap.h"

static void owner_of(const uint8_t vault[SEAL_VAULT_ID], uint8_t ret[WRAP_OWNER]) {
    struct writer w = writer_of(ret, WRAP_OWNER);
    static const uint8_t padding[WRAP_OWNER - SEAL_VAULT_ID];
    write_bytes(&w, vault, SEAL_VAULT_ID);
    write_bytes(&w, padding, sizeof(padding));
}

static int wrap_root(const struct secret *key, const uint8_t vault[SEAL_VAULT_ID], const struct secret *root,
                     struct seal *s) {
    uint8_t owner[WRAP_OWNER];
    uint8_t wrapped[WRAP_SIZE];
    owner_of(vault, owner);
    int result = key_wrap(key, WRAP_ROOT, owner, 0, root, wrapped);
    if (result == VAULT_OK)
        copy_bytes(s->wrapped, sizeof(s->wrapped), wrapped, sizeof(wrapped));
    return result;
}

static int unwrap_root(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
                       struct secret **ret_root) {
    uint8_t owner[WRAP_OWNER];
    owner_of(vault, owner);
    int result = key_unwrap(key, WRAP_ROOT, owner, 0, s->wrapped, ret_root);
    return result == VAULT_E_DAMAGED ? VAULT_DENIED : result;
}

const struct seal_maker seal_of_credential = {WRAP_SIZE, wrap_root, unwrap_root};
