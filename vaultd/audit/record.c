#include "vault/record.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/fields.h"
#include "vault/result.h"

/* JSON numbers are exact up to here (RFC 8785, RFC 7493). */
static const uint64_t integer_max = (UINT64_C(1) << 53) - 1;

/* 10000-01-01T00:00:00Z: RFC 3339 has four digits for the year. */
static const uint64_t time_end = UINT64_C(253402300800) * 1000000;

/* Sticky: after the first failure the rest does nothing, and one check at the end is enough. */
struct builder {
    int result;
};

static void fail(struct builder *b, int result) {
    if (b->result == VAULT_OK)
        b->result = result;
}

/* Takes ownership of `value`, NULL being a lack of memory. */
static void set_value(struct builder *b, json_t *object, const char *key, json_t *value) {
    if (json_object_set_new_nocheck(object, key, value) != 0)
        fail(b, VAULT_E_MEMORY);
}

static void append_value(struct builder *b, json_t *array, json_t *value) {
    if (json_array_append_new(array, value) != 0)
        fail(b, VAULT_E_MEMORY);
}

/* The text as a JSON string; NULL after a failure. */
static json_t *clean_string(struct builder *b, const char *text, size_t n) {
    if (text_is_clean(text, n))
        return json_stringn_nocheck(text, n);
    fail(b, VAULT_E_FORMAT);
    return NULL;
}

static void set_text(struct builder *b, json_t *object, const char *key, const char *text) {
    if (text != NULL && text[0] != '\0')
        set_value(b, object, key, clean_string(b, text, strlen(text)));
}

static void set_number(struct builder *b, json_t *object, const char *key, uint64_t number) {
    if (number > integer_max)
        fail(b, VAULT_E_LIMIT);
    else
        set_value(b, object, key, json_integer((json_int_t)number));
}

static void set_hex(struct builder *b, json_t *object, const char *key, const uint8_t *bytes, size_t n) {
    char text[2 * MERKLE_HASH + 1];
    hex_encode(text, sizeof(text), bytes, n);
    set_text(b, object, key, text);
}

/* Adds an object or array unless it is empty; takes ownership. */
static void set_unless_empty(struct builder *b, json_t *object, const char *key, json_t *value) {
    if (value != NULL && json_object_size(value) == 0 && json_array_size(value) == 0)
        json_decref(value);
    else
        set_value(b, object, key, value);
}

/* Days since 1970 to year, month, day. Years begin in March here, so that the leap day is the last of its year: then
 * month m starts on day (153 m + 2) / 5, and 400 years are 146,097 days. */
static void civil_date(uint64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day) {
    uint64_t shifted = days + 719468; /* days since 0000-03-01 */
    uint64_t era = shifted / 146097, of_era = shifted % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    *ret_day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
    *ret_year = (unsigned)(year + era * 400 + (month < 10 ? 0 : 1));
}

/* Not gmtime_r: that reads the time zone file, which a process behind its sandbox cannot. */
static void set_time(struct builder *b, json_t *object, uint64_t microseconds) {
    if (microseconds >= time_end) {
        fail(b, VAULT_E_LIMIT);
        return;
    }
    uint64_t seconds = microseconds / 1000000;
    unsigned fraction = (unsigned)(microseconds % 1000000), of_day = (unsigned)(seconds % 86400);
    unsigned year, month, day;
    char text[64];
    civil_date(seconds / 86400, &year, &month, &day);
    if (!format_string(text, sizeof(text), "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", year, month, day, of_day / 3600,
                       of_day / 60 % 60, of_day % 60, fraction))
        fail(b, VAULT_E_LIMIT);
    set_text(b, object, "time", text);
}

static void set_service(struct builder *b, json_t *object, const struct record *r) {
    json_t *service = json_object();
    set_text(b, service, "fingerprint", r->fingerprint);
    set_text(b, service, "name", r->service);
    set_text(b, service, "san", r->san);
    set_unless_empty(b, object, "service", service);
}

static void set_reasons(struct builder *b, json_t *object, const struct record *r) {
    json_t *reasons = json_array();
    if (r->reason_count > RECORD_REASONS)
        fail(b, VAULT_E_LIMIT);
    for (size_t i = 0; i < r->reason_count && b->result == VAULT_OK; i++) {
        json_t *reason = json_object();
        set_text(b, reason, "rule", r->reasons[i].rule);
        set_text(b, reason, "text", r->reasons[i].text);
        append_value(b, reasons, reason);
    }
    set_unless_empty(b, object, "reasons", reasons);
}

static void set_obligations(struct builder *b, json_t *object, const char *tokens) {
    json_t *list = json_array();
    const char *at = tokens == NULL || tokens[0] == '\0' ? NULL : tokens;
    while (at != NULL && b->result == VAULT_OK) {
        size_t n = strcspn(at, ",");
        if (n == 0)
            fail(b, VAULT_E_FORMAT);
        else
            append_value(b, list, clean_string(b, at, n));
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    set_unless_empty(b, object, "obligations", list);
}

static void set_link(struct builder *b, json_t *chain, const char *key, const struct record_link *link) {
    if (!link->present)
        return;
    json_t *object = json_object();
    set_number(b, object, "n", link->n);
    set_hex(b, object, "prev", link->prev, MERKLE_HASH);
    set_value(b, chain, key, object);
}

static void set_chain(struct builder *b, json_t *object, const struct record *r) {
    json_t *chain = json_object();
    set_link(b, chain, "project", &r->project_chain);
    set_link(b, chain, "service", &r->service_chain);
    set_link(b, chain, "subject", &r->subject_chain);
    set_unless_empty(b, object, "chain", chain);
}

static void set_base64(struct builder *b, json_t *object, const char *key, const uint8_t *bytes, size_t n) {
    char text[sodium_base64_ENCODED_LEN(KEY_CHANGE_SIGNATURE, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof(text), bytes, n, sodium_base64_VARIANT_ORIGINAL);
    set_text(b, object, key, text);
}

/* The size of the log before is the record's own number. */
static void set_audit_key(struct builder *b, json_t *object, const struct record *r) {
    const struct key_change *c = r->audit_key;
    if (c == NULL)
        return;
    if (c->size != r->seq)
        fail(b, VAULT_E_STATE);
    json_t *change = json_object();
    set_text(b, change, "from", c->from);
    set_base64(b, change, "from_signature", c->from_signature, KEY_CHANGE_SIGNATURE);
    set_base64(b, change, "root", c->root, MERKLE_HASH);
    set_text(b, change, "to", c->to);
    set_base64(b, change, "to_signature", c->to_signature, KEY_CHANGE_SIGNATURE);
    set_value(b, object, "audit_key", change);
}

static void set_optional(struct builder *b, json_t *object, const char *key, uint64_t number) {
    if (number != 0)
        set_number(b, object, key, number);
}

static void set_given(struct builder *b, json_t *object, const char *key, json_t *given) {
    if (given != NULL)
        set_value(b, object, key, json_incref(given));
}

/* Members go out in the order in which they were set: sorted. */
static int build(const struct record *r, json_t *object) {
    const char action[2] = {r->action, '\0'};
    struct builder b = {VAULT_OK};
    set_text(&b, object, "action", action);
    set_text(&b, object, "address", r->address);
    set_given(&b, object, "asked", r->asked);
    set_audit_key(&b, object, r);
    if (r->has_bytes)
        set_number(&b, object, "bytes", r->bytes);
    set_chain(&b, object, r);
    set_optional(&b, object, "consent", r->consent);
    set_text(&b, object, "detail", r->detail);
    set_text(&b, object, "event", r->event);
    set_given(&b, object, "exported", r->exported);
    set_text(&b, object, "file", r->file);
    set_obligations(&b, object, r->obligations);
    set_text(&b, object, "outcome", r->outcome);
    set_text(&b, object, "policy", r->policy);
    set_text(&b, object, "project", r->project);
    set_text(&b, object, "purpose", r->purpose);
    set_optional(&b, object, "ranges", r->ranges);
    set_reasons(&b, object, r);
    set_text(&b, object, "request", r->request);
    set_hex(&b, object, "salt", r->salt, RECORD_SALT);
    set_number(&b, object, "seq", r->seq);
    set_service(&b, object, r);
    set_text(&b, object, "subject", r->subject);
    set_time(&b, object, r->time);
    return b.result;
}

int record_line(const struct record *r, char *to, size_t size, size_t *ret_length) {
    json_t *object = json_object();
    int result = object == NULL ? VAULT_E_MEMORY : build(r, object);
    if (result == VAULT_OK) {
        size_t n = json_dumpb(object, to, size, JSON_COMPACT);
        if (n == 0) {
            result = VAULT_E_MEMORY;
        } else if (n >= size) {
            result = VAULT_E_LIMIT;
        } else {
            to[n] = '\0';
            *ret_length = n;
        }
    }
    json_decref(object);
    return result;
}
