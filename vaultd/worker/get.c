/* GET and HEAD of a file's content. */
#include <string.h>

#include "ask.h"
#include "connection.h"
#include "digest.h"
#include "http_reply.h"
#include "range.h"
#include "route.h"
#include "vault/result.h"

/* A range that applies: only with GET, and with If-Range only if that is what we hold. */
static int wanted_range(const struct exchange *x, struct range *ret) {
    struct view value;
    *ret = (struct range){.kind = RANGE_NONE};
    int found = http_field_find(&x->head, "range", &value);
    if (x->head_only || found == VAULT_NOT_FOUND)
        return VAULT_OK;
    return found == VAULT_OK ? range_parse(value, ret) : VAULT_DENIED;
}

static void entity_tag(const struct grant *grant, char to[2 * HASH_SIZE + 3]) {
    char hex[2 * HASH_SIZE + 1];
    hex_encode(hex, sizeof(hex), grant->sha256, HASH_SIZE);
    format_string(to, 2 * HASH_SIZE + 3, "\"%s\"", hex);
}

/* RFC 9110, 13.1.5: a range of another content than the client has begun to read is no use to it. */
static bool if_range_differs(const struct exchange *x, const struct grant *grant) {
    struct view value;
    char tag[2 * HASH_SIZE + 3];
    int found = http_field_find(&x->head, "if-range", &value);
    entity_tag(grant, tag);
    return found != VAULT_NOT_FOUND && (found != VAULT_OK || !view_is(value, tag));
}

static int refuse_range(struct exchange *x, int result) {
    if (result == VAULT_DENIED)
        return reply_refusal(x, 416, "range", "one range of bytes in a request, no more");
    return reply_refusal(x, 400, "range", "malformed Range header");
}

static int reply_unsatisfiable(struct exchange *x, const struct grant *grant) {
    char size[40];
    format_string(size, sizeof(size), "bytes */%llu", (unsigned long long)grant->size);
    return reply_refusal_field(x, 416, "range", "no byte of the content is in this range", "Content-Range", size);
}

/* The grant for this request: one that the connection has, or a new one. */
static int find_grant(struct exchange *x, const struct range *range, struct grant **ret) {
    struct worker *w = x->w;
    struct msg_open *question = &w->request.open;
    struct purpose purpose = {0};
    char text[PURPOSE_TEXT_MAX];
    PURPOSE_OF(question, &purpose);
    if (!purpose_text(&purpose, text, sizeof(text)))
        return VAULT_E_LIMIT;
    question->action = x->head_only ? OPEN_HEAD : OPEN_READ;
    *ret = grants_find(&w->grants, question, text);
    if (*ret != NULL)
        return VAULT_OK;
    if (range->kind != RANGE_NONE) {
        question->extent = range->kind == RANGE_LAST ? EXTENT_LAST : EXTENT_SPAN;
        question->from = range->kind == RANGE_LAST ? 0 : range->from;
        question->to = range->to;
    }
    return ask_open(w, text, ret);
}

static void start_content(struct exchange *x, struct reply *r, const struct grant *grant, unsigned status) {
    char digest[DIGEST_TEXT_MAX];
    char tag[2 * HASH_SIZE + 3];
    digest_text(grant->sha256, digest);
    entity_tag(grant, tag);
    reply_start(r, x, status);
    reply_field(r, "Content-Type", "application/octet-stream");
    reply_field(r, "Accept-Ranges", "bytes");
    reply_field(r, "ETag", "%s", tag);
    reply_field(r, "Repr-Digest", "%s", digest);
    if (grant->obligations[0] != '\0')
        reply_field(r, "Obligations", "%s", grant->obligations);
}

/* Damage is recorded at once; the grant is over. */
static void report_damage(struct worker *w, struct grant *grant) {
    worker_use(w, NULL);
    grant->outcome = GRANT_DAMAGED;
    ask_grant_close(w, grant);
}

static int send_segments(struct exchange *x, struct grant *grant, uint64_t first, uint64_t last) {
    uint64_t last_segment = last / SEGMENT_PLAIN;
    for (uint64_t at = first; at <= last;) {
        const uint8_t *plain = NULL;
        size_t n = 0;
        int result = content_segment(x->w, grant, at / SEGMENT_PLAIN, last_segment, &plain, &n);
        if (result != VAULT_OK)
            return result == VAULT_E_DAMAGED ? result : VAULT_E_STATE;
        size_t skip = (size_t)(at % SEGMENT_PLAIN);
        size_t piece = last - at + 1 < n - skip ? (size_t)(last - at + 1) : n - skip;
        grant->bytes += piece; /* also when sending fails: some of it may have gone */
        result = connection_write(x->w, plain + skip, piece);
        if (result != VAULT_OK)
            return VAULT_E_CLOSED;
        at += piece;
    }
    return VAULT_OK;
}

/* Sends head and bytes. Anything but VAULT_OK: the answer is cut short, and the client must not take it for whole. */
static int send_content(struct exchange *x, struct reply *r, struct grant *grant, uint64_t first, uint64_t last) {
    unsigned long long size = last - first + 1;
    reply_field(r, "Content-Length", "%llu", size);
    grant->ranges++;
    int result = reply_send_head(x, r);
    if (result == VAULT_OK)
        result = send_segments(x, grant, first, last);
    if (result == VAULT_OK)
        return VAULT_OK;
    if (result == VAULT_E_DAMAGED)
        report_damage(x->w, grant);
    else
        grant->outcome = GRANT_ABORTED;
    stream_abort(&x->w->stream);
    return result;
}

/* The first segment is verified before the head goes out, so that damage there has a status of its own. */
static int serve_bytes(struct exchange *x, struct grant *grant, unsigned status, uint64_t first, uint64_t last) {
    const uint8_t *plain;
    size_t n;
    int result = content_segment(x->w, grant, first / SEGMENT_PLAIN, last / SEGMENT_PLAIN, &plain, &n);
    if (result == VAULT_DENIED)
        return reply_relay(x);
    if (result == VAULT_E_DAMAGED) {
        report_damage(x->w, grant);
        return reply_integrity(x);
    }
    if (result != VAULT_OK)
        return reply_problem(x, 500, "store", "the store could not be read");
    struct reply r;
    start_content(x, &r, grant, status);
    if (status == 206)
        reply_field(&r, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)first, (unsigned long long)last,
                    (unsigned long long)grant->size);
    return send_content(x, &r, grant, first, last);
}

static int serve_head(struct exchange *x, struct grant *grant) {
    struct reply r;
    start_content(x, &r, grant, 200);
    reply_field(&r, "Content-Length", "%llu", (unsigned long long)grant->size);
    grant->ranges++;
    return reply_send_head(x, &r);
}

static int serve_grant(struct exchange *x, struct grant *grant, struct range *range) {
    uint64_t first = 0;
    uint64_t last = grant->size - 1;
    exchange_about(x, grant->request);
    exchange_recorded(x, grant->seq);
    if (if_range_differs(x, grant))
        range->kind = RANGE_NONE;
    if (range->kind != RANGE_NONE && range_resolve(range, grant->size, &first, &last) != VAULT_OK)
        return reply_unsatisfiable(x, grant);
    if (x->head_only || grant->size == 0)
        return serve_head(x, grant);
    return serve_bytes(x, grant, range->kind == RANGE_NONE ? 200 : 206, first, last);
}

/* Who asks for the encrypted form must not be given the plain one. */
static bool wants_encrypted(const struct exchange *x) {
    struct view value;
    return (http_field_find(&x->head, "accept", &value) == VAULT_OK &&
            view_is_nocase(value, "application/vnd.ga4gh.crypt4gh")) ||
           http_field_find(&x->head, "crypt4gh-recipient", &value) != VAULT_NOT_FOUND;
}

int serve_content(struct exchange *x) {
    struct range range;
    struct grant *grant = NULL;
    if (wants_encrypted(x))
        return reply_refusal(x, 406, "accept", "content is delivered as application/octet-stream only");
    int result = wanted_range(x, &range);
    if (result != VAULT_OK)
        return refuse_range(x, result);
    result = find_grant(x, &range, &grant);
    if (result == VAULT_DENIED)
        return reply_relay(x);
    if (result != VAULT_OK)
        return reply_refusal(x, 400, "purpose", "the purpose is too long");
    worker_use(x->w, grant->id);
    result = serve_grant(x, grant, &range);
    worker_use(x->w, NULL);
    return result;
}
