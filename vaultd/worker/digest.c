#include "digest.h"

#include <sodium.h>
#include <string.h>

#include "vault/result.h"

static bool is_key_byte(char c, bool first) {
    if (c >= 'a' && c <= 'z')
        return true;
    if (first)
        return c == '*';
    return (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '*';
}

static struct view rest_of(struct view v, size_t n) {
    return (struct view){v.at + n, v.n - n};
}

/* key "=" ":" base64 ":" at the start of *rest. */
static int take_member(struct view *rest, struct view *ret_key, struct view *ret_base64) {
    size_t n = 0;
    while (n < rest->n && is_key_byte(rest->at[n], n == 0))
        n++;
    *ret_key = (struct view){rest->at, n};
    *rest = rest_of(*rest, n);
    if (n == 0 || rest->n < 2 || rest->at[0] != '=' || rest->at[1] != ':')
        return VAULT_E_FORMAT;
    *rest = rest_of(*rest, 2);
    const char *end = memchr(rest->at, ':', rest->n);
    if (end == NULL)
        return VAULT_E_FORMAT;
    *ret_base64 = (struct view){rest->at, (size_t)(end - rest->at)};
    *rest = rest_of(*rest, ret_base64->n + 1);
    return VAULT_OK;
}

/* OWS "," OWS, with a member behind it; or the end. */
static int take_comma(struct view *rest) {
    if (rest->n == 0)
        return VAULT_OK;
    while (rest->n > 0 && rest->at[0] == ' ')
        *rest = rest_of(*rest, 1);
    if (rest->n == 0 || rest->at[0] != ',')
        return VAULT_E_FORMAT;
    *rest = rest_of(*rest, 1);
    while (rest->n > 0 && rest->at[0] == ' ')
        *rest = rest_of(*rest, 1);
    return rest->n == 0 ? VAULT_E_FORMAT : VAULT_OK;
}

static int decode(struct view base64, uint8_t *to, size_t size, size_t *ret_n) {
    const char *end = NULL;
    if (sodium_base642bin(to, size, base64.at, base64.n, NULL, ret_n, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != base64.at + base64.n)
        return VAULT_E_FORMAT;
    return VAULT_OK;
}

int digest_parse(struct view value, uint8_t ret_digest[HASH_SIZE]) {
    uint8_t found[HASH_SIZE];
    bool has = false;
    if (value.n == 0)
        return VAULT_E_FORMAT;
    while (value.n > 0) {
        struct view key;
        struct view base64;
        uint8_t bytes[128];
        size_t n = 0;
        if (take_member(&value, &key, &base64) != VAULT_OK || decode(base64, bytes, sizeof(bytes), &n) != VAULT_OK ||
            take_comma(&value) != VAULT_OK)
            return VAULT_E_FORMAT;
        if (!view_is(key, "sha-256"))
            continue;
        if (has || n != HASH_SIZE)
            return VAULT_E_FORMAT;
        has = true;
        copy_bytes(found, sizeof(found), bytes, HASH_SIZE);
    }
    if (has)
        copy_bytes(ret_digest, HASH_SIZE, found, HASH_SIZE);
    return has ? VAULT_OK : VAULT_NOT_FOUND;
}

void digest_text(const uint8_t digest[HASH_SIZE], char to[DIGEST_TEXT_MAX]) {
    char base64[sodium_base64_ENCODED_LEN(HASH_SIZE, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(base64, sizeof(base64), digest, HASH_SIZE, sodium_base64_VARIANT_ORIGINAL);
    format_string(to, DIGEST_TEXT_MAX, "sha-256=:%s:", base64);
}
