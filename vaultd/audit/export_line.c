#include <jansson.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "checkpoint_internal.h"
#include "export_internal.h"
#include "merkle_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { HASH_TEXT = 44, DEPTH_MAX = 8 };

static const json_int_t integer_max = (INT64_C(1) << 53) - 1;

static int fault(const char **ret_fault, int result, const char *phrase) {
    *ret_fault = phrase;
    return result;
}

static int parse_object(const char *line, size_t n, json_t **ret, const char **ret_fault) {
    json_error_t error;
    *ret = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (*ret != NULL)
        return VAULT_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return fault(ret_fault, VAULT_E_MEMORY, "cannot be checked: there is not enough memory");
    if (json_error_code(&error) == json_error_duplicate_key)
        return fault(ret_fault, VAULT_E_FORMAT, "names the same field twice");
    return fault(ret_fault, VAULT_E_FORMAT, "is not well-formed JSON");
}

static bool is_ordered(json_t *value, unsigned depth);

static bool members_are_ordered(json_t *object, unsigned depth) {
    const char *before = NULL, *key;
    json_t *member;
    json_object_foreach(object, key, member) {
        if ((before != NULL && strcmp(before, key) >= 0) || !is_ordered(member, depth))
            return false;
        before = key;
    }
    return true;
}

/* Members in ascending order of their names, and no numbers but integers that every reader holds exactly. jansson keeps
 * the order of the text, so nothing needs sorting: that costs less than a dump with JSON_SORT_KEYS. */
static bool is_ordered(json_t *value, unsigned depth) {
    size_t i;
    json_t *element;
    if (json_is_object(value))
        return depth < DEPTH_MAX && members_are_ordered(value, depth + 1);
    if (json_is_array(value) && depth == DEPTH_MAX)
        return false;
    json_array_foreach(value, i, element) {
        if (!is_ordered(element, depth + 1))
            return false;
    }
    if (json_is_integer(value))
        return json_integer_value(value) >= -integer_max && json_integer_value(value) <= integer_max;
    return !json_is_real(value);
}

/* The line is what a canonical writer makes of its own content. */
static bool is_canonical(json_t *object, const char *line, size_t n) {
    char again[RECORD_LINE_MAX];
    return is_ordered(object, 0) && json_dumpb(object, again, sizeof(again), JSON_COMPACT) == n && n <= sizeof(again) &&
           memcmp(again, line, n) == 0;
}

static bool get_number(const json_t *object, const char *key, uint64_t *ret) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > integer_max)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

/* An absent link is good, one that is there must be whole. */
static bool get_link(const json_t *chain, const char *key, struct record_link *ret) {
    const json_t *object = json_object_get(chain, key);
    if (object == NULL)
        return true;
    const char *prev = json_string_value(json_object_get(object, "prev"));
    ret->present = true;
    return get_number(object, "n", &ret->n) && prev != NULL && hex_decode(ret->prev, MERKLE_HASH, prev);
}

/* The name that a chain belongs to. False if it is there and no string. */
static bool get_name(const json_t *name, const uint8_t name_key[NAME_KEY], struct export_link *ret) {
    if (name == NULL)
        return true;
    const char *text = json_string_value(name);
    if (text == NULL)
        return false;
    ret->named = true;
    size_t n = json_string_length(name);
    crypto_shorthash_siphashx24(ret->name, (const uint8_t *)text, n, name_key);
    copy_bytes(ret->shown, NAME_SHOWN, text, n < NAME_SHOWN ? n : NAME_SHOWN);
    return true;
}

static int get_chains(const json_t *object, const uint8_t name_key[NAME_KEY], struct export_record *r,
                      const char **ret_fault) {
    const json_t *chain = json_object_get(object, "chain");
    const json_t *names[CHAIN_COUNT] = {[CHAIN_SUBJECT] = json_object_get(object, "subject"),
                                        [CHAIN_SERVICE] = json_object_get(json_object_get(object, "service"), "name"),
                                        [CHAIN_PROJECT] = json_object_get(object, "project")};
    static const char *const keys[CHAIN_COUNT] = {"subject", "service", "project"};
    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        struct export_link *l = &r->chains[i];
        if (!get_name(names[i], name_key, l))
            return fault(ret_fault, VAULT_E_FORMAT, "has a subject, service name or project that is no text");
        if (!get_link(chain, keys[i], &l->link))
            return fault(ret_fault, VAULT_E_FORMAT, "has a malformed chain field");
        if (l->link.present && !l->named)
            return fault(ret_fault, VAULT_E_FORMAT, "has a number in a chain, but not whose chain it is");
    }
    return VAULT_OK;
}

static bool get_base64(const json_t *object, const char *key, uint8_t *to, size_t n) {
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) && base64_exact(to, n, json_string_value(value), json_string_length(value));
}

static bool get_vkey(const json_t *object, const char *key, char ret[CHECKPOINT_VKEY_MAX]) {
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) && json_string_length(value) == strlen(json_string_value(value)) &&
           format_string(ret, CHECKPOINT_VKEY_MAX, "%s", json_string_value(value));
}

static bool get_key_change(const json_t *object, struct key_change *c) {
    const json_t *change = json_object_get(object, EXPORT_KEY_MEMBER);
    return export_seq_get(object, &c->size) && json_object_size(change) == 5 && get_vkey(change, "from", c->from) &&
           get_vkey(change, "to", c->to) && get_base64(change, "root", c->root, MERKLE_HASH) &&
           get_base64(change, "from_signature", c->from_signature, KEY_CHANGE_SIGNATURE) &&
           get_base64(change, "to_signature", c->to_signature, KEY_CHANGE_SIGNATURE);
}

int export_change_parse(const char *line, size_t n, struct key_change *ret, const char **ret_fault) {
    json_t *object = NULL;
    int result = parse_object(line, n, &object, ret_fault);
    if (result != VAULT_OK)
        return result;
    if (!get_key_change(object, ret))
        result = fault(ret_fault, VAULT_E_FORMAT, "has a malformed change of the audit key");
    json_decref(object);
    return result;
}

static bool changes_key(const json_t *object) {
    const char *event = json_string_value(json_object_get(object, "event"));
    return json_object_get(object, EXPORT_KEY_MEMBER) != NULL || (event != NULL && strcmp(event, "key.audit") == 0);
}

_Static_assert(NAME_KEY == crypto_shorthash_siphashx24_BYTES && NAME_KEY == crypto_shorthash_siphashx24_KEYBYTES,
               "SipHash sizes");

int export_record_parse(const char *line, size_t n, const uint8_t name_key[NAME_KEY], struct export_record *ret,
                        const char **ret_fault) {
    struct export_record r = {.seq = 0};
    json_t *object = NULL;
    int result = parse_object(line, n, &object, ret_fault);
    if (result != VAULT_OK)
        return result;
    if (!is_canonical(object, line, n))
        result = fault(ret_fault, VAULT_E_FORMAT, "is not in canonical form (fields in order, no spaces)");
    else if (!get_number(object, "seq", &r.seq))
        result = fault(ret_fault, VAULT_E_FORMAT, "has no record number");
    else
        result = get_chains(object, name_key, &r, ret_fault);
    r.changes_key = changes_key(object);
    json_decref(object);
    if (result != VAULT_OK)
        return result;
    merkle_leaf(line, n, r.leaf);
    *ret = r;
    return VAULT_OK;
}

/* Base64 of a hash. The decoder of OpenSSL is eight times faster than libsodium's, but lenient: only text that it would
 * write itself is accepted. */
bool export_hash_get(const json_t *value, uint8_t ret[MERKLE_HASH]) {
    uint8_t bytes[HASH_TEXT / 4 * 3];
    unsigned char again[HASH_TEXT + 1];
    const unsigned char *text = (const unsigned char *)json_string_value(value);
    if (text == NULL || json_string_length(value) != HASH_TEXT || EVP_DecodeBlock(bytes, text, HASH_TEXT) < 0)
        return false;
    if (EVP_EncodeBlock(again, bytes, MERKLE_HASH) != HASH_TEXT || memcmp(again, text, HASH_TEXT) != 0)
        return false;
    copy_bytes(ret, MERKLE_HASH, bytes, MERKLE_HASH);
    return true;
}

bool export_hashes_get(const json_t *list, struct export_proof *p) {
    p->count = json_array_size(list);
    if (!json_is_array(list) || p->count > MERKLE_PROOF_MAX)
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (!export_hash_get(json_array_get(list, i), p->hashes[i]))
            return false;
    return true;
}

bool export_seq_get(const json_t *object, uint64_t *ret) {
    return get_number(object, "seq", ret);
}
