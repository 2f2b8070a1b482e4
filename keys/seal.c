#include "vault/seal.h"

#include <stdlib.h>

#include "seal_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

/* The token wraps and unwraps. */
static const struct seal_maker seal_of_token = {SEAL_TOKEN_WRAPPED, NULL, NULL};

static const struct seal_maker *maker_of(uint8_t kind) {
    switch (kind) {
    case SEAL_BY_CREDENTIAL: return &seal_of_credential;
    case SEAL_BY_SHARES: return &seal_of_shares;
    case SEAL_BY_TOKEN: return &seal_of_token;
    default: return NULL;
    }
}

int seal_by_credential(const struct secret *credential, const uint8_t vault[SEAL_VAULT_ID], const struct secret *root,
                       struct seal *ret) {
    const struct seal fresh = {.kind = SEAL_BY_CREDENTIAL};
    return seal_again(&fresh, credential, vault, root, ret);
}

void seal_by_token(const uint8_t key[SEAL_TOKEN_KEY], const uint8_t wrapped[SEAL_TOKEN_WRAPPED], struct seal *ret) {
    *ret = (struct seal){.kind = SEAL_BY_TOKEN};
    copy_bytes(ret->token_key, sizeof(ret->token_key), key, SEAL_TOKEN_KEY);
    copy_bytes(ret->wrapped, sizeof(ret->wrapped), wrapped, SEAL_TOKEN_WRAPPED);
}

int seal_again(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
               const struct secret *root, struct seal *ret) {
    const struct seal_maker *maker = maker_of((uint8_t)s->kind);
    struct seal again = *s;
    int result = maker == NULL || maker->wrap == NULL ? VAULT_E_STATE : maker->wrap(key, vault, root, &again);
    if (result == VAULT_OK)
        *ret = again;
    return result;
}

int seal_open(const struct seal *s, const struct secret *key, const uint8_t vault[SEAL_VAULT_ID],
              struct secret **ret_root) {
    const struct seal_maker *maker = maker_of((uint8_t)s->kind);
    return maker == NULL || maker->unwrap == NULL ? VAULT_E_STATE : maker->unwrap(s, key, vault, ret_root);
}

size_t seal_write(const struct seal *s, uint8_t ret[SEAL_SIZE_MAX]) {
    uint8_t ceremony[CEREMONY_SIZE_MAX];
    struct writer w = writer_of(ret, SEAL_SIZE_MAX);
    const struct seal_maker *maker = maker_of((uint8_t)s->kind);
    if (maker == NULL)
        abort();
    write_u8(&w, (uint8_t)s->kind);
    if (s->kind == SEAL_BY_SHARES)
        write_bytes(&w, s->public_key, SEAL_PUBLIC_KEY);
    if (s->kind == SEAL_BY_TOKEN)
        write_bytes(&w, s->token_key, SEAL_TOKEN_KEY);
    write_bytes(&w, s->wrapped, maker->wrapped_size);
    if (s->kind == SEAL_BY_SHARES)
        write_bytes(&w, ceremony, ceremony_write(&s->ceremony, ceremony));
    return w.used;
}

int seal_read(const uint8_t *bytes, size_t n, struct seal *ret) {
    struct reader r = reader_of(bytes, n);
    uint8_t kind = read_u8(&r);
    const struct seal_maker *maker = maker_of(kind);
    struct seal s = {.kind = kind};
    if (r.bad || maker == NULL)
        return VAULT_E_FORMAT;
    if (kind == SEAL_BY_SHARES)
        read_bytes(&r, s.public_key, SEAL_PUBLIC_KEY);
    if (kind == SEAL_BY_TOKEN)
        read_bytes(&r, s.token_key, SEAL_TOKEN_KEY);
    read_bytes(&r, s.wrapped, maker->wrapped_size);
    if (r.bad)
        return VAULT_E_FORMAT;
    int result =
        kind == SEAL_BY_SHARES ? ceremony_read(r.at, r.left, &s.ceremony) : (r.left == 0 ? VAULT_OK : VAULT_E_FORMAT);
    if (result == VAULT_OK)
        *ret = s;
    return result;
}
