/* A line of records.jsonl. yajl reads it: it makes no tree, and tells each token as it comes, so what is canonical can
 * be told from the tokens. What is seldom needed of a line is read by jansson. docs/decisions/0110-records-by-yajl.md.
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "checkpoint_internal.h"
#include "export_internal.h"
#include "merkle_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { HASH_TEXT = 44, DEPTH_MAX = 8, DIGITS_MAX = 16 };

static const int64_t integer_max = (INT64_C(1) << 53) - 1;

static const char not_canonical[] = "is not in canonical form (fields in order, no spaces)";
static const char no_memory[] = "cannot be checked: there is not enough memory";

static int fault(const char **ret_fault, int result, const char *phrase) {
    *ret_fault = phrase;
    return result;
}

/* ---- reading by tokens ---- */

/* What a value is, by the members that lead to it. */
enum field {
    NOTHING,
    SEQ,
    SUBJECT,
    PROJECT,
    SERVICE,
    SERVICE_NAME,
    EVENT,
    KEY_CHANGE,
    CHAINS,
    LINK, /* of a chain: LINK + its kind */
    LINK_END = LINK + CHAIN_COUNT,
    LINK_N,
    LINK_PREV
};

#define TEXT(literal) (literal), sizeof(literal) - 1

/* Those of one object together, in the order in which they come. */
static const struct {
    enum field in; /* NOTHING: the record itself */
    enum field is;
    const char *name;
    size_t name_size;
} fields[] = {{NOTHING, KEY_CHANGE, TEXT(EXPORT_KEY_MEMBER)},
              {NOTHING, CHAINS, TEXT("chain")},
              {NOTHING, EVENT, TEXT("event")},
              {NOTHING, PROJECT, TEXT("project")},
              {NOTHING, SEQ, TEXT("seq")},
              {NOTHING, SERVICE, TEXT("service")},
              {NOTHING, SUBJECT, TEXT("subject")},
              {SERVICE, SERVICE_NAME, TEXT("name")},
              {CHAINS, LINK + CHAIN_PROJECT, TEXT("project")},
              {CHAINS, LINK + CHAIN_SERVICE, TEXT("service")},
              {CHAINS, LINK + CHAIN_SUBJECT, TEXT("subject")},
              {LINK, LINK_N, TEXT("n")},
              {LINK, LINK_PREV, TEXT("prev")}};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* An object or list that is open. */
struct level {
    bool is_object;
    enum field of;
    size_t next; /* of `fields`, what may come next; FIELDS: nothing that matters */
    size_t count;
    const char *name; /* the last member's */
    size_t name_size;
};

struct scan {
    const char *line;
    size_t size;
    size_t canonical; /* bytes of what came, as a canonical writer writes it */
    struct level levels[DEPTH_MAX];
    unsigned depth;
    enum field field; /* of the value that comes next */
    const uint8_t *name_key;
    struct export_record *record;
    bool has_seq, has_n[CHAIN_COUNT], has_prev[CHAIN_COUNT];
    const char *fault;
    size_t names_used;
    char names[RECORD_LINE_MAX]; /* those that yajl had to decode */
};

static int refuse(struct scan *s, const char *phrase) {
    s->fault = phrase;
    return 0;
}

static struct level *inmost(struct scan *s) {
    return s->depth == 0 ? NULL : &s->levels[s->depth - 1];
}

/* A value begins: the comma before it in a list. */
static enum field take_field(struct scan *s) {
    struct level *l = inmost(s);
    if (l != NULL && !l->is_object)
        s->canonical += l->count++ > 0;
    enum field field = s->field;
    s->field = NOTHING;
    return field;
}

/* A value that is no text, of so many bytes. */
static int take_other(struct scan *s, size_t size) {
    enum field field = take_field(s);
    s->canonical += size;
    if (field == SUBJECT || field == PROJECT || field == SERVICE_NAME)
        return refuse(s, "has a subject, service name or project that is no text");
    return 1;
}

static int take_null(void *context) {
    return take_other(context, sizeof("null") - 1);
}

static int take_boolean(void *context, int value) {
    return take_other(context, value != 0 ? sizeof("true") - 1 : sizeof("false") - 1);
}

/* An integer that every reader holds exactly, as a canonical writer writes it: yajl takes no leading zeros. */
bool export_integer_get(const char *text, size_t n, int64_t *ret) {
    bool negative = text[0] == '-';
    int64_t value = 0;
    size_t at = negative;
    for (; at < n && at < negative + (size_t)DIGITS_MAX && text[at] >= '0' && text[at] <= '9'; at++)
        value = value * 10 + (text[at] - '0');
    *ret = negative ? -value : value;
    return at == n && value <= integer_max && !(negative && value == 0);
}

static unsigned chain_of(const struct scan *s) {
    return (unsigned)(s->levels[s->depth - 1].of - LINK);
}

static int take_number(void *context, const char *text, size_t n) {
    struct scan *s = context;
    enum field field = s->field;
    int64_t value;
    if (!export_integer_get(text, n, &value))
        return refuse(s, not_canonical);
    if (field == SEQ && value >= 0) {
        s->record->seq = (uint64_t)value;
        s->has_seq = true;
    } else if (field == LINK_N && value >= 0) {
        s->record->chains[chain_of(s)].link.n = (uint64_t)value;
        s->has_n[chain_of(s)] = true;
    }
    return take_other(s, n);
}

/* yajl points into the line where there was nothing to decode. */
static bool is_plain(const struct scan *s, const char *text) {
    return text >= s->line && text < s->line + s->size;
}

/* A text has no control characters, so the canonical way to write it is the shortest, and the only one of its length:
 * any other escape is longer than what it stands for. */
static void add_text(struct scan *s, const char *text, size_t n) {
    s->canonical += n + 2;
    for (size_t i = 0; !is_plain(s, text) && i < n; i++)
        s->canonical += text[i] == '"' || text[i] == '\\';
}

static void take_name(struct scan *s, unsigned chain, const char *text, size_t n) {
    struct export_link *l = &s->record->chains[chain];
    l->named = true;
    crypto_shorthash_siphashx24(l->name, (const uint8_t *)text, n, s->name_key);
    copy_bytes(l->shown, NAME_SHOWN, text, n < NAME_SHOWN ? n : NAME_SHOWN);
}

static void take_prev(struct scan *s, const char *text, size_t n) {
    char hex[2 * MERKLE_HASH + 1] = {0};
    if (n != sizeof(hex) - 1)
        return;
    copy_bytes(hex, sizeof(hex), text, n);
    s->has_prev[chain_of(s)] = hex_decode(s->record->chains[chain_of(s)].link.prev, MERKLE_HASH, hex);
}

static bool is_text(const char *text, size_t n, const char *expected, size_t expected_size) {
    return n == expected_size && memcmp(text, expected, n) == 0;
}

static int take_string(void *context, const unsigned char *bytes, size_t n) {
    struct scan *s = context;
    const char *text = (const char *)bytes;
    enum field field = take_field(s);
    add_text(s, text, n);
    switch (field) {
    case SUBJECT: take_name(s, CHAIN_SUBJECT, text, n); break;
    case SERVICE_NAME: take_name(s, CHAIN_SERVICE, text, n); break;
    case PROJECT: take_name(s, CHAIN_PROJECT, text, n); break;
    case LINK_PREV: take_prev(s, text, n); break;
    case EVENT: s->record->changes_key = s->record->changes_key || is_text(text, n, TEXT("key.audit")); break;
    default: break;
    }
    return 1;
}

/* Names in the order of their bytes. */
static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size) {
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* Names ascend, and so do those that matter: what is passed over does not come any more. */
static enum field field_of(struct level *l, const char *name, size_t n) {
    while (l->next < FIELDS) {
        enum field in = fields[l->next].in, is = fields[l->next].is;
        int order = compare_names(fields[l->next].name, fields[l->next].name_size, name, n);
        if (order > 0)
            break;
        l->next++;
        if (l->next < FIELDS && fields[l->next].in != in)
            l->next = FIELDS;
        if (order == 0)
            return is;
    }
    return NOTHING;
}

/* The first of what matters in an object; FIELDS: nothing does. */
static size_t first_field(bool whole, enum field of) {
    enum field in = of >= LINK && of < LINK_END ? LINK : of;
    for (size_t i = 0; (whole || in != NOTHING) && i < FIELDS; i++)
        if (fields[i].in == in)
            return i;
    return FIELDS;
}

/* It lives as long as the scan. */
static const char *keep_name(struct scan *s, const char *name, size_t n) {
    if (is_plain(s, name) || n == 0)
        return name;
    char *kept = s->names + s->names_used;
    copy_bytes(kept, sizeof(s->names) - s->names_used, name, n);
    s->names_used += n;
    return kept;
}

/* Members in ascending order of their names. */
static int take_member(void *context, const unsigned char *bytes, size_t n) {
    struct scan *s = context;
    const char *name = (const char *)bytes;
    struct level *l = inmost(s);
    int order = l->count == 0 ? -1 : compare_names(l->name, l->name_size, name, n);
    if (order >= 0)
        return refuse(s, order == 0 ? "names the same field twice" : not_canonical);
    add_text(s, name, n);
    s->canonical += (l->count++ > 0) + sizeof(":") - 1;
    l->name = keep_name(s, name, n);
    l->name_size = n;
    s->field = field_of(l, name, n);
    if (s->field == KEY_CHANGE)
        s->record->changes_key = true;
    if (s->field >= LINK && s->field < LINK_END)
        s->record->chains[s->field - LINK].link.present = true;
    return 1;
}

static int open_level(struct scan *s, bool is_object) {
    bool whole = s->depth == 0;
    enum field field = s->field;
    if (s->depth == DEPTH_MAX)
        return refuse(s, not_canonical);
    if (take_other(s, sizeof("{}") - 1) == 0)
        return 0;
    s->levels[s->depth++] =
        (struct level){.is_object = is_object, .of = field, .next = is_object ? first_field(whole, field) : FIELDS};
    return 1;
}

static int open_object(void *context) {
    return open_level(context, true);
}

static int open_list(void *context) {
    return open_level(context, false);
}

static int close_level(void *context) {
    struct scan *s = context;
    s->depth--;
    return 1;
}

/* yajl does not ask whether it got memory. */
static void *get_memory(void *context, size_t n) {
    (void)context;
    void *got = malloc(n);
    if (got == NULL)
        abort();
    return got;
}

static void *change_memory(void *context, void *before, size_t n) {
    (void)context;
    void *got = realloc(before, n);
    if (got == NULL)
        abort();
    return got;
}

static void give_memory(void *context, void *at) {
    (void)context;
    free(at);
}

/* UTF-8 is not looked at. */
yajl_status export_scan(const yajl_callbacks *take, void *context, const char *line, size_t n) {
    yajl_alloc_funcs memory = {get_memory, change_memory, give_memory, NULL};
    yajl_handle h = yajl_alloc(take, &memory, context);
    yajl_config(h, yajl_dont_validate_strings, 1);
    yajl_status status = yajl_parse(h, (const unsigned char *)line, n);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(h);
    yajl_free(h);
    return status;
}

static int run_scan(struct scan *s, const char **ret_fault) {
    static const yajl_callbacks take = {take_null,   take_boolean, NULL,        NULL,      take_number, take_string,
                                        open_object, take_member,  close_level, open_list, close_level};
    yajl_status status = export_scan(&take, s, s->line, s->size);
    if (s->fault != NULL)
        return fault(ret_fault, VAULT_E_FORMAT, s->fault);
    if (status != yajl_status_ok)
        return fault(ret_fault, VAULT_E_FORMAT, "is not well-formed JSON");
    return s->canonical == s->size ? VAULT_OK : fault(ret_fault, VAULT_E_FORMAT, not_canonical);
}

static bool is_ascii(const char *text, size_t n) {
    uint64_t words[16] = {0}, all = 0;
    while (n > 0) {
        size_t piece = n < sizeof(words) ? n : sizeof(words);
        copy_bytes(words, sizeof(words), text, piece); /* behind a short piece is what was seen already */
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            all |= words[i];
        text += piece;
        n -= piece;
    }
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

/* jansson knows what UTF-8 is. */
static int check_utf8(const char *line, size_t n, const char **ret_fault) {
    if (is_ascii(line, n))
        return VAULT_OK;
    json_t *text = json_stringn(line, n);
    bool good = text != NULL;
    json_decref(text);
    return good ? VAULT_OK : fault(ret_fault, VAULT_E_FORMAT, "is not well-formed JSON");
}

static int check_chains(const struct scan *s, const char **ret_fault) {
    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        const struct export_link *l = &s->record->chains[i];
        if (l->link.present && !(s->has_n[i] && s->has_prev[i]))
            return fault(ret_fault, VAULT_E_FORMAT, "has a malformed chain field");
        if (l->link.present && !l->named)
            return fault(ret_fault, VAULT_E_FORMAT, "has a number in a chain, but not whose chain it is");
    }
    return VAULT_OK;
}

_Static_assert(NAME_KEY == crypto_shorthash_siphashx24_BYTES && NAME_KEY == crypto_shorthash_siphashx24_KEYBYTES,
               "SipHash sizes");

/* All but `names`, of which nothing is read that was not written. */
static void scan_start(struct scan *s, const char *line, size_t n, const uint8_t name_key[NAME_KEY],
                       struct export_record *record) {
    s->line = line;
    s->size = n;
    s->canonical = s->names_used = 0;
    s->depth = 0;
    s->field = NOTHING;
    s->name_key = name_key;
    s->record = record;
    s->has_seq = false;
    s->fault = NULL;
    for (unsigned i = 0; i < CHAIN_COUNT; i++)
        s->has_n[i] = s->has_prev[i] = false;
}

int export_record_parse(const char *line, size_t n, const uint8_t name_key[NAME_KEY], struct export_record *ret,
                        const char **ret_fault) {
    struct scan s;
    scan_start(&s, line, n, name_key, ret);
    *ret = (struct export_record){.seq = 0};
    int result = run_scan(&s, ret_fault);
    if (result == VAULT_OK)
        result = check_utf8(line, n, ret_fault);
    if (result == VAULT_OK && !s.has_seq)
        result = fault(ret_fault, VAULT_E_FORMAT, "has no record number");
    if (result == VAULT_OK)
        result = check_chains(&s, ret_fault);
    if (result == VAULT_OK)
        merkle_leaf(line, n, ret->leaf);
    return result;
}

/* ---- reading by jansson ---- */

static int parse_object(const char *line, size_t n, json_t **ret, const char **ret_fault) {
    json_error_t error;
    *ret = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (*ret != NULL)
        return VAULT_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return fault(ret_fault, VAULT_E_MEMORY, no_memory);
    return fault(ret_fault, VAULT_E_FORMAT, "is not well-formed JSON");
}

bool export_number_get(const json_t *object, const char *key, uint64_t *ret) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > integer_max)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
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
    return export_number_get(object, "seq", &c->size) && json_object_size(change) == 5 &&
           get_vkey(change, "from", c->from) && get_vkey(change, "to", c->to) &&
           get_base64(change, "root", c->root, MERKLE_HASH) &&
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

/* Base64 of a hash. The decoder of OpenSSL is eight times faster than libsodium's, but lenient: only text that it would
 * write itself is accepted. */
bool export_hash_decode(const char *text, size_t n, uint8_t ret[MERKLE_HASH]) {
    uint8_t bytes[HASH_TEXT / 4 * 3];
    unsigned char again[HASH_TEXT + 1];
    if (n != HASH_TEXT || EVP_DecodeBlock(bytes, (const unsigned char *)text, HASH_TEXT) < 0)
        return false;
    if (EVP_EncodeBlock(again, bytes, MERKLE_HASH) != HASH_TEXT || memcmp(again, text, HASH_TEXT) != 0)
        return false;
    copy_bytes(ret, MERKLE_HASH, bytes, MERKLE_HASH);
    return true;
}

bool export_hash_get(const json_t *value, uint8_t ret[MERKLE_HASH]) {
    return json_is_string(value) && export_hash_decode(json_string_value(value), json_string_length(value), ret);
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
