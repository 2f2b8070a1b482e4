#include "vault/record.h"

#include <sodium.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/json_out.h"
#include "vault/result.h"

/* 10000-01-01T00:00:00Z: RFC 3339 has four digits for the year. */
static const uint64_t time_end = UINT64_C(253402300800) * 1000000;

static void out_hex(struct json_out *o, const char *name, const uint8_t *bytes, size_t n) {
    char text[2 * MERKLE_HASH + 1];
    hex_encode(text, sizeof(text), bytes, n);
    out_text(o, name, text, 2 * n);
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
static void out_time(struct json_out *o, uint64_t microseconds) {
    if (microseconds >= time_end) {
        json_out_fail(o, VAULT_E_LIMIT);
        return;
    }
    uint64_t seconds = microseconds / 1000000;
    unsigned fraction = (unsigned)(microseconds % 1000000), of_day = (unsigned)(seconds % 86400);
    unsigned year, month, day;
    char text[64];
    civil_date(seconds / 86400, &year, &month, &day);
    if (!format_string(text, sizeof(text), "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", year, month, day, of_day / 3600,
                       of_day / 60 % 60, of_day % 60, fraction))
        json_out_fail(o, VAULT_E_LIMIT);
    out_string(o, "time", text);
}

static bool is_given(const char *text) {
    return text != NULL && text[0] != '\0';
}

static void out_service(struct json_out *o, const struct record *r) {
    if (!is_given(r->fingerprint) && !is_given(r->service) && !is_given(r->san))
        return;
    out_object(o, "service");
    out_string(o, "fingerprint", r->fingerprint);
    out_string(o, "name", r->service);
    out_string(o, "san", r->san);
    out_object_end(o);
}

static void out_reasons(struct json_out *o, const struct record *r) {
    if (r->reason_count > RECORD_REASONS)
        json_out_fail(o, VAULT_E_LIMIT);
    if (r->reason_count == 0 || r->reason_count > RECORD_REASONS)
        return;
    out_list(o, "reasons");
    for (size_t i = 0; i < r->reason_count; i++) {
        out_object(o, NULL);
        out_string(o, "rule", r->reasons[i].rule);
        out_string(o, "text", r->reasons[i].text);
        out_object_end(o);
    }
    out_list_end(o);
}

static void out_obligations(struct json_out *o, const char *tokens) {
    const char *at = is_given(tokens) ? tokens : NULL;
    if (at == NULL)
        return;
    out_list(o, "obligations");
    while (at != NULL) {
        size_t n = strcspn(at, ",");
        if (n == 0)
            json_out_fail(o, VAULT_E_FORMAT);
        out_text(o, NULL, at, n);
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    out_list_end(o);
}

static void out_link(struct json_out *o, const char *name, const struct record_link *link) {
    if (!link->present)
        return;
    out_object(o, name);
    out_number(o, "n", link->n);
    out_hex(o, "prev", link->prev, MERKLE_HASH);
    out_object_end(o);
}

static void out_chain(struct json_out *o, const struct record *r) {
    if (!r->project_chain.present && !r->service_chain.present && !r->subject_chain.present)
        return;
    out_object(o, "chain");
    out_link(o, "project", &r->project_chain);
    out_link(o, "service", &r->service_chain);
    out_link(o, "subject", &r->subject_chain);
    out_object_end(o);
}

static void out_base64(struct json_out *o, const char *name, const uint8_t *bytes, size_t n) {
    char text[sodium_base64_ENCODED_LEN(KEY_CHANGE_SIGNATURE, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof(text), bytes, n, sodium_base64_VARIANT_ORIGINAL);
    out_string(o, name, text);
}

/* The size of the log before is the record's own number. */
static void out_audit_key(struct json_out *o, const struct record *r) {
    const struct key_change *c = r->audit_key;
    if (c == NULL)
        return;
    if (c->size != r->seq)
        json_out_fail(o, VAULT_E_STATE);
    out_object(o, "audit_key");
    out_string(o, "from", c->from);
    out_base64(o, "from_signature", c->from_signature, KEY_CHANGE_SIGNATURE);
    out_base64(o, "root", c->root, MERKLE_HASH);
    out_string(o, "to", c->to);
    out_base64(o, "to_signature", c->to_signature, KEY_CHANGE_SIGNATURE);
    out_object_end(o);
}

static void out_given(struct json_out *o, const char *name, const struct record_object *given) {
    if (given->write == NULL)
        return;
    out_object(o, name);
    given->write(o, given->of);
    out_object_end(o);
}

/* Sorted by their names. */
static void out_members(struct json_out *o, const struct record *r) {
    const char action[2] = {r->action, '\0'};
    out_string(o, "action", action);
    out_string(o, "address", r->address);
    out_given(o, "asked", &r->asked);
    out_audit_key(o, r);
    if (r->has_bytes)
        out_number(o, "bytes", r->bytes);
    out_chain(o, r);
    out_unless_zero(o, "consent", r->consent);
    out_string(o, "detail", r->detail);
    out_string(o, "event", r->event);
    out_given(o, "exported", &r->exported);
    out_string(o, "file", r->file);
    out_obligations(o, r->obligations);
    out_string(o, "outcome", r->outcome);
    out_string(o, "policy", r->policy);
    out_string(o, "project", r->project);
    out_string(o, "purpose", r->purpose);
    out_unless_zero(o, "ranges", r->ranges);
    out_reasons(o, r);
    out_string(o, "request", r->request);
    out_hex(o, "salt", r->salt, RECORD_SALT);
    out_number(o, "seq", r->seq);
    out_service(o, r);
    out_string(o, "subject", r->subject);
    out_time(o, r->time);
}

int record_line(const struct record *r, char *to, size_t size, size_t *ret_length) {
    struct json_out o;
    json_out_begin(&o, to, size);
    out_object(&o, NULL);
    out_members(&o, r);
    out_object_end(&o);
    return json_out_end(&o, ret_length);
}
