#include "vault/checkpoint.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_internal.h"
#include "vault/buffer.h"
#include "vault/fields.h"
#include "vault/result.h"

_Static_assert(VKEY_PUBLIC == crypto_sign_PUBLICKEYBYTES && NOTE_SIGNATURE == crypto_sign_BYTES &&
                   CHECKPOINT_SEED == crypto_sign_SEEDBYTES,
               "Ed25519 sizes");

enum {
    HASH_TEXT = 44 /* base64 of a hash */
};

static const char dash[] = "\xe2\x80\x94 "; /* U+2014 and a space start a signature line */

/* Names of our own keys are visible ASCII without '+': the C2SP rule, made narrower so that no two look alike. */
static bool name_is_good(const char *name, size_t n) {
    if (n == 0 || n > CHECKPOINT_ORIGIN_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '+')
            return false;
    return true;
}

/* Strict base64 of at most `size` bytes. libsodium 1.0.18 takes a '/' or '+' whose eighth bit is set for the character
 * itself: such a text is refused here. */
static bool base64(uint8_t *to, size_t size, const char *text, size_t text_size, size_t *ret_size) {
    for (size_t i = 0; i < text_size; i++)
        if (((unsigned char)text[i] & 0x80) != 0)
            return false;
    return sodium_base642bin(to, size, text, text_size, NULL, ret_size, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
}

bool base64_exact(uint8_t *to, size_t n, const char *text, size_t text_size) {
    size_t got = 0;
    return base64(to, n, text, text_size, &got) && got == n;
}

static void key_id(const char *name, enum key_kind kind, const uint8_t public_key[VKEY_PUBLIC], uint8_t ret[VKEY_ID]) {
    const uint8_t separator[] = {'\n', (uint8_t)kind};
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)name, strlen(name));
    crypto_hash_sha256_update(&state, separator, sizeof(separator));
    crypto_hash_sha256_update(&state, public_key, VKEY_PUBLIC);
    crypto_hash_sha256_final(&state, hash);
    copy_bytes(ret, VKEY_ID, hash, VKEY_ID);
}

int key_pair(const struct secret *seed, struct secret **ret_key, uint8_t ret_public[VKEY_PUBLIC]) {
    if (secret_size(seed) != CHECKPOINT_SEED)
        return VAULT_E_LIMIT;
    struct secret *key = NULL;
    int result = secret_new(&key, crypto_sign_SECRETKEYBYTES);
    if (result != VAULT_OK)
        return result;
    if (crypto_sign_seed_keypair(ret_public, secret_edit(key), secret_view(seed)) != 0) {
        secret_free(&key);
        return VAULT_E_CRYPTO;
    }
    *ret_key = key;
    return VAULT_OK;
}

int checkpoint_vkey(const char *name, const struct secret *seed, char ret_vkey[CHECKPOINT_VKEY_MAX]) {
    if (!name_is_good(name, strnlen(name, CHECKPOINT_ORIGIN_MAX + 1)))
        return VAULT_E_FORMAT;
    CLEANUP_SECRET struct secret *key = NULL;
    uint8_t tagged[1 + VKEY_PUBLIC] = {KEY_SIGNS};
    int result = key_pair(seed, &key, tagged + 1);
    if (result != VAULT_OK)
        return result;
    uint8_t id[VKEY_ID];
    char id_hex[2 * VKEY_ID + 1], encoded[sodium_base64_ENCODED_LEN(sizeof(tagged), sodium_base64_VARIANT_ORIGINAL)];
    key_id(name, KEY_SIGNS, tagged + 1, id);
    hex_encode(id_hex, sizeof(id_hex), id, sizeof(id));
    sodium_bin2base64(encoded, sizeof(encoded), tagged, sizeof(tagged), sodium_base64_VARIANT_ORIGINAL);
    return format_string(ret_vkey, CHECKPOINT_VKEY_MAX, "%s+%s+%s", name, id_hex, encoded) ? VAULT_OK : VAULT_E_LIMIT;
}

int vkey_parse(const char *text, enum key_kind kind, struct vkey *ret) {
    const char *id = strchr(text, '+');
    const char *key = id == NULL ? NULL : strchr(id + 1, '+');
    struct vkey v = {.name = ""};
    uint8_t tagged[1 + VKEY_PUBLIC], expected[VKEY_ID];
    char id_hex[2 * VKEY_ID + 1] = "";
    if (key == NULL || key - id != 1 + 2 * VKEY_ID || !name_is_good(text, (size_t)(id - text)))
        return VAULT_E_FORMAT;
    copy_bytes(v.name, sizeof(v.name) - 1, text, (size_t)(id - text));
    copy_bytes(id_hex, sizeof(id_hex) - 1, id + 1, 2 * VKEY_ID);
    if (!hex_decode(v.id, VKEY_ID, id_hex) || !base64_exact(tagged, sizeof(tagged), key + 1, strlen(key + 1)) ||
        tagged[0] != kind)
        return VAULT_E_FORMAT;
    copy_bytes(v.public_key, sizeof(v.public_key), tagged + 1, VKEY_PUBLIC);
    key_id(v.name, kind, v.public_key, expected);
    if (memcmp(expected, v.id, VKEY_ID) != 0)
        return VAULT_E_FORMAT;
    *ret = v;
    return VAULT_OK;
}

int checkpoint_sign(const struct checkpoint *c, const struct secret *seed, char ret_note[CHECKPOINT_TEXT_MAX]) {
    if (!name_is_good(c->origin, strnlen(c->origin, sizeof(c->origin))))
        return VAULT_E_FORMAT;
    CLEANUP_SECRET struct secret *key = NULL;
    uint8_t public_key[VKEY_PUBLIC], signature[VKEY_ID + NOTE_SIGNATURE];
    int result = key_pair(seed, &key, public_key);
    if (result != VAULT_OK)
        return result;
    char root[HASH_TEXT + 1], body[CHECKPOINT_TEXT_MAX];
    sodium_bin2base64(root, sizeof(root), c->root, MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
    if (!format_string(body, sizeof(body), "%s\n%llu\n%s\n", c->origin, (unsigned long long)c->size, root))
        return VAULT_E_LIMIT;
    key_id(c->origin, KEY_SIGNS, public_key, signature);
    if (crypto_sign_detached(signature + VKEY_ID, NULL, (const uint8_t *)body, strlen(body), secret_view(key)) != 0)
        return VAULT_E_CRYPTO;
    char encoded[sodium_base64_ENCODED_LEN(sizeof(signature), sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(encoded, sizeof(encoded), signature, sizeof(signature), sodium_base64_VARIANT_ORIGINAL);
    return format_string(ret_note, CHECKPOINT_TEXT_MAX, "%s\n%s%s %s\n", body, dash, c->origin, encoded)
               ? VAULT_OK
               : VAULT_E_LIMIT;
}

/* Takes the next line, without its newline. False if no newline is left. */
static bool next_line(const char **at, struct piece *ret) {
    const char *end = strchr(*at, '\n');
    if (end == NULL)
        return false;
    *ret = (struct piece){*at, (size_t)(end - *at)};
    *at = end + 1;
    return true;
}

static bool parse_size(struct piece text, uint64_t *ret) {
    uint64_t v = 0;
    if (text.n == 0 || (text.n > 1 && text.at[0] == '0'))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

int note_body(const char **at, struct checkpoint *c) {
    struct piece origin, size, root, empty;
    if (!next_line(at, &origin) || !next_line(at, &size) || !next_line(at, &root) || !next_line(at, &empty))
        return VAULT_E_FORMAT;
    if (!name_is_good(origin.at, origin.n) || !parse_size(size, &c->size) || empty.n != 0 ||
        !base64_exact(c->root, MERKLE_HASH, root.at, root.n))
        return VAULT_E_FORMAT;
    copy_bytes(c->origin, sizeof(c->origin) - 1, origin.at, origin.n);
    return VAULT_OK;
}

static int parse_signature(struct piece line, struct note_signature *s) {
    const size_t lead = sizeof(dash) - 1;
    if (line.n <= lead || memcmp(line.at, dash, lead) != 0)
        return VAULT_E_FORMAT;
    s->line = line;
    s->name.at = line.at + lead;
    const char *space = memchr(s->name.at, ' ', line.n - lead);
    if (space == NULL)
        return VAULT_E_FORMAT;
    s->name.n = (size_t)(space - s->name.at);
    const char *encoded = space + 1;
    size_t encoded_size = (size_t)(line.at + line.n - encoded);
    if (s->name.n == 0 || memchr(s->name.at, '+', s->name.n) != NULL || !text_is_clean(s->name.at, s->name.n))
        return VAULT_E_FORMAT;
    if (!base64(s->bytes, sizeof(s->bytes), encoded, encoded_size, &s->size) || s->size <= VKEY_ID)
        return VAULT_E_FORMAT;
    return VAULT_OK;
}

int note_signature_next(const char **at, struct note_signature *ret) {
    struct piece line;
    if (**at == '\0')
        return VAULT_NOT_FOUND;
    return next_line(at, &line) ? parse_signature(line, ret) : VAULT_E_FORMAT;
}

bool note_signed_by(const struct note_signature *s, const struct vkey *v) {
    return s->name.n == strlen(v->name) && memcmp(s->name.at, v->name, s->name.n) == 0 &&
           memcmp(s->bytes, v->id, VKEY_ID) == 0;
}

/* Every signature line must be well-formed; each by this key must be good, and there must be one. */
static int verify_signatures(struct piece body, const char *at, const struct vkey *v) {
    struct note_signature s;
    bool found = false, bad = false;
    int result = VAULT_OK;
    for (size_t i = 0; (result = note_signature_next(&at, &s)) != VAULT_NOT_FOUND; i++) {
        if (i == SIGNATURES_MAX || result != VAULT_OK)
            return VAULT_E_FORMAT;
        if (!note_signed_by(&s, v))
            continue;
        found = true;
        bad = bad || s.size != VKEY_ID + NOTE_SIGNATURE ||
              crypto_sign_verify_detached(s.bytes + VKEY_ID, (const uint8_t *)body.at, body.n, v->public_key) != 0;
    }
    return found && !bad ? VAULT_OK : VAULT_E_DAMAGED;
}

static const char epoch_mark[] = "/epoch-";

int checkpoint_origin(const char *origin, uint32_t epoch, char ret[CHECKPOINT_ORIGIN_MAX + 1]) {
    bool fits = epoch == 0 ? format_string(ret, CHECKPOINT_ORIGIN_MAX + 1, "%s", origin)
                           : format_string(ret, CHECKPOINT_ORIGIN_MAX + 1, "%s%s%u", origin, epoch_mark, epoch);
    return fits ? VAULT_OK : VAULT_E_LIMIT;
}

/* The epoch that the log of this name goes on in (1: from the beginning), and the length of what its name was in the
 * beginning. */
static unsigned long epoch_of(const char *name, size_t *ret_base) {
    char *end = NULL;
    const char *mark = NULL;
    for (const char *at = strstr(name, epoch_mark); at != NULL; at = strstr(at + 1, epoch_mark))
        mark = at;
    *ret_base = strlen(name);
    if (mark == NULL || mark[sizeof(epoch_mark) - 1] < '1' || mark[sizeof(epoch_mark) - 1] > '9')
        return 1;
    unsigned long epoch = strtoul(mark + sizeof(epoch_mark) - 1, &end, 10);
    if (*end != '\0' || epoch < 2 || epoch > UINT32_MAX)
        return 1;
    *ret_base = (size_t)(mark - name);
    return epoch;
}

int checkpoint_epoch(const char *name, const char *origin, uint32_t *ret) {
    size_t base = 0;
    unsigned long epoch = epoch_of(name, &base);
    if (strlen(origin) != base || strncmp(name, origin, base) != 0)
        return VAULT_E_FORMAT;
    *ret = epoch == 1 ? 0 : (uint32_t)epoch;
    return VAULT_OK;
}

/* Whether the log of the first name was continued, after restores, as that of the second. */
static bool is_earlier(const char *name, const char *later) {
    size_t base = 0, later_base = 0;
    unsigned long epoch = epoch_of(name, &base), later_epoch = epoch_of(later, &later_base);
    return epoch < later_epoch && base == later_base && strncmp(name, later, base) == 0;
}

/* The key's name is the log's origin: a key that signs for one log must not vouch for another. */
static int verify_note(const char *note, const char *vkey, bool earlier_too, struct checkpoint *ret) {
    struct vkey v;
    struct checkpoint c = {.origin = ""};
    const char *at = note;
    int result = vkey_parse(vkey, KEY_SIGNS, &v);
    if (result == VAULT_OK)
        result = note_body(&at, &c);
    if (result != VAULT_OK)
        return result;
    if (earlier_too && is_earlier(c.origin, v.name)) {
        copy_string(v.name, sizeof(v.name), c.origin);
        key_id(v.name, KEY_SIGNS, v.public_key, v.id);
    }
    result = verify_signatures((struct piece){note, (size_t)(at - note) - 1}, at, &v);
    if (result == VAULT_OK && strcmp(c.origin, v.name) != 0)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        *ret = c;
    return result;
}

int checkpoint_verify(const char *note, const char *vkey, struct checkpoint *ret) {
    return verify_note(note, vkey, false, ret);
}

int checkpoint_verify_earlier(const char *note, const char *vkey, struct checkpoint *ret) {
    return verify_note(note, vkey, true, ret);
}
