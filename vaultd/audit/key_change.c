#include "vault/key_change.h"

#include <sodium.h>
#include <string.h>

#include "checkpoint_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

_Static_assert(KEY_CHANGE_SIGNATURE == crypto_sign_BYTES, "Ed25519 sizes");

enum { STATEMENT_MAX = CHECKPOINT_ORIGIN_MAX + 2 * CHECKPOINT_VKEY_MAX + 128 };

/* Its first line has spaces, which no origin has: it can never be taken for a checkpoint, nor a checkpoint for it. */
static int statement(const struct key_change *c, const char *origin, char to[STATEMENT_MAX]) {
    char root[sodium_base64_ENCODED_LEN(MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(root, sizeof(root), c->root, MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
    return format_string(to, STATEMENT_MAX, "vault audit key change\n%s\n%s\n%s\n%llu\n%s\n", origin, c->from, c->to,
                         (unsigned long long)c->size, root)
               ? VAULT_OK
               : VAULT_E_LIMIT;
}

static int sign(const char *text, const struct secret *seed, uint8_t ret[KEY_CHANGE_SIGNATURE]) {
    CLEANUP_SECRET struct secret *key = NULL;
    uint8_t public_key[VKEY_PUBLIC];
    int result = key_pair(seed, &key, public_key);
    if (result == VAULT_OK &&
        crypto_sign_detached(ret, NULL, (const uint8_t *)text, strlen(text), secret_view(key)) != 0)
        result = VAULT_E_CRYPTO;
    return result;
}

int key_change_make(const struct checkpoint *before, const struct secret *from, const struct secret *to,
                    struct key_change *ret) {
    struct key_change c = {.size = before->size};
    char text[STATEMENT_MAX];
    COPY_ARRAY(c.root, before->root);
    int result = checkpoint_vkey(before->origin, from, c.from);
    if (result == VAULT_OK)
        result = checkpoint_vkey(before->origin, to, c.to);
    if (result == VAULT_OK)
        result = statement(&c, before->origin, text);
    if (result == VAULT_OK)
        result = sign(text, from, c.from_signature);
    if (result == VAULT_OK)
        result = sign(text, to, c.to_signature);
    if (result == VAULT_OK)
        *ret = c;
    return result;
}

static bool is_signed(const char *text, const uint8_t signature[KEY_CHANGE_SIGNATURE], const struct vkey *by) {
    return crypto_sign_verify_detached(signature, (const uint8_t *)text, strlen(text), by->public_key) == 0;
}

int key_change_verify(const struct key_change *c) {
    struct vkey from, to;
    char text[STATEMENT_MAX];
    if (vkey_parse(c->from, KEY_SIGNS, &from) != VAULT_OK || vkey_parse(c->to, KEY_SIGNS, &to) != VAULT_OK ||
        strcmp(from.name, to.name) != 0)
        return VAULT_E_FORMAT;
    int result = statement(c, from.name, text);
    if (result != VAULT_OK)
        return result;
    return is_signed(text, c->from_signature, &from) && is_signed(text, c->to_signature, &to) ? VAULT_OK
                                                                                              : VAULT_E_DAMAGED;
}
