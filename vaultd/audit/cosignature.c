#include "vault/witness.h"

#include <sodium.h>
#include <string.h>

#include "checkpoint_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { TIME = 8, COSIGNATURE = VKEY_ID + TIME + NOTE_SIGNATURE, PROOF_MOST = 63 };

_Static_assert(sizeof(((struct witness_key *)0)->id) == VKEY_ID &&
                   sizeof(((struct witness_key *)0)->public_key) == VKEY_PUBLIC,
               "a witness's key is a verifier key");

int witness_key_parse(const char *vkey, struct witness_key *ret) {
    struct vkey v;
    int result = vkey_parse(vkey, KEY_COSIGNS, &v);
    if (result != VAULT_OK)
        return result;
    copy_string(ret->name, sizeof(ret->name), v.name);
    COPY_ARRAY(ret->id, v.id);
    COPY_ARRAY(ret->public_key, v.public_key);
    return VAULT_OK;
}

/* What is signed: when, and the checkpoint without its signatures. */
static bool is_good(const struct note_signature *s, struct piece body, const struct vkey *key, uint64_t *ret_time) {
    char text[CHECKPOINT_TEXT_MAX];
    if (s->size != COSIGNATURE)
        return false;
    *ret_time = get_be64(s->bytes + VKEY_ID);
    return format_string(text, sizeof(text), "cosignature/v1\ntime %llu\n%.*s", (unsigned long long)*ret_time,
                         (int)body.n, body.at) &&
           crypto_sign_verify_detached(s->bytes + VKEY_ID + TIME, (const uint8_t *)text, strlen(text),
                                       key->public_key) == 0;
}

int cosignature_take(const char *lines, const char *note, const struct witness_key *key,
                     char ret_line[COSIGNATURE_LINE_MAX], uint64_t *ret_time) {
    struct vkey v;
    struct checkpoint c;
    struct note_signature s;
    const char *signatures = note;
    copy_string(v.name, sizeof(v.name), key->name);
    COPY_ARRAY(v.id, key->id);
    COPY_ARRAY(v.public_key, key->public_key);
    int result = note_body(&signatures, &c);
    const struct piece body = {note, (size_t)(signatures - note) - 1};
    for (size_t i = 0; result == VAULT_OK && i < SIGNATURES_MAX; i++) {
        result = note_signature_next(&lines, &s);
        if (result != VAULT_OK || !note_signed_by(&s, &v))
            continue;
        if (!is_good(&s, body, &v, ret_time))
            return VAULT_E_DAMAGED;
        return format_string(ret_line, COSIGNATURE_LINE_MAX, "%.*s", (int)s.line.n, s.line.at) ? VAULT_OK
                                                                                               : VAULT_E_FORMAT;
    }
    return result == VAULT_OK ? VAULT_E_FORMAT : result;
}

int witness_request(uint64_t old, uint8_t (*proof)[MERKLE_HASH], size_t count, const char *note,
                    char ret[WITNESS_REQUEST_MAX]) {
    char hash[sodium_base64_ENCODED_LEN(MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL)];
    size_t used = 0;
    bool fits = count <= PROOF_MOST && format_string(ret, WITNESS_REQUEST_MAX, "old %llu\n", (unsigned long long)old);
    for (size_t i = 0; i < count && fits; i++) {
        used = strlen(ret);
        sodium_bin2base64(hash, sizeof(hash), proof[i], MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
        fits = format_string(ret + used, WITNESS_REQUEST_MAX - used, "%s\n", hash);
    }
    used = fits ? strlen(ret) : 0;
    return fits && format_string(ret + used, WITNESS_REQUEST_MAX - used, "\n%s", note) ? VAULT_OK : VAULT_E_LIMIT;
}
