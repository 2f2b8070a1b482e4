/* PUT of a whole file. */
#include <string.h>

#include "digest.h"
#include "http_reply.h"
#include "route.h"
#include "upload.h"
#include "vault/result.h"

/* Adds the digest of one header field, if it is there, to the message. */
static const char *take_digest(const struct exchange *x, const char *field, struct msg_upload_create *m) {
    struct view value;
    uint8_t digest[HASH_SIZE];
    int result = http_field_find(&x->head, field, &value);
    if (result == VAULT_OK)
        result = digest_parse(value, digest);
    if (result == VAULT_NOT_FOUND)
        return NULL;
    if (result != VAULT_OK)
        return "malformed Content-Digest or Repr-Digest";
    if (m->has_digest && memcmp(m->digest, digest, HASH_SIZE) != 0)
        return "Content-Digest and Repr-Digest differ";
    m->has_digest = 1;
    COPY_ARRAY(m->digest, digest);
    return NULL;
}

/* What would change what is stored, and is not understood, is refused. */
static int check_headers(struct exchange *x) {
    struct view value;
    const char *problem = take_digest(x, "content-digest", &x->w->request.upload_create);
    if (problem == NULL)
        problem = take_digest(x, "repr-digest", &x->w->request.upload_create);
    if (problem != NULL)
        return reply_refusal(x, 400, "digest", problem);
    if (http_field_find(&x->head, "content-encoding", &value) != VAULT_NOT_FOUND)
        return reply_refusal(x, 415, "coding", "content is stored as it is: no Content-Encoding");
    if (http_field_find(&x->head, "content-range", &value) != VAULT_NOT_FOUND)
        return reply_refusal(x, 400, "range", "a deposit is of a whole file: no Content-Range");
    if (!x->head.chunked && !x->head.has_length)
        return reply_refusal(x, 411, "length", "neither Content-Length nor chunked");
    if (x->head.length > BODY_MAX)
        return reply_refusal(x, 413, "length", "the content is longer than 1 TiB");
    return VAULT_AGAIN;
}

static int add_body(struct exchange *x, struct upload *u, int *ret_body) {
    uint8_t *plain = x->w->content.plain;
    size_t n = 0;
    content_drop(&x->w->content, NULL);
    do {
        *ret_body = body_read_full(x->w, &x->body, plain, SEGMENT_PLAIN, &n);
        if (*ret_body != VAULT_OK)
            return VAULT_E_CLOSED;
        int result = n > 0 ? upload_add(u, plain, n) : VAULT_OK;
        if (result != VAULT_OK)
            return result;
    } while (n == SEGMENT_PLAIN);
    return VAULT_OK;
}

/* The client's fault: what it sent is malformed, too long, too slow, or cut short. The deposit's end is the record. */
static int refuse_body(struct exchange *x, struct upload *u, int result) {
    bool too_long = result == VAULT_E_LIMIT;
    switch (result) {
    case VAULT_E_FORMAT:
        upload_abort(u, "malformed chunked coding");
        return reply_problem(x, 400, "body", "malformed chunked coding");
    case VAULT_E_LIMIT:
    case VAULT_E_TIMEOUT:
        upload_abort(u, too_long ? "too long" : "the client stalled");
        return reply_problem(x, too_long ? 413 : 408, "body",
                             too_long ? "the content is longer than 1 TiB" : "the content stopped coming");
    default: upload_abort(u, "the client is gone"); return VAULT_E_CLOSED;
    }
}

/* Ours: the store, the monitor or a library. */
static int refuse_upload(struct exchange *x, struct upload *u, int result) {
    bool full = u->store_status == STORE_FULL;
    if (result == VAULT_DENIED) {
        result = reply_relay(x);
        upload_abort(u, "the monitor refused to go on");
        return result;
    }
    upload_abort(u, full ? "the store is full" : "the content could not be kept");
    return full ? reply_problem(x, 507, "store", "the store is full")
                : reply_problem(x, 500, "store", "the content could not be kept");
}

static int receive_upload(struct exchange *x, struct upload *u) {
    int body = VAULT_OK;
    int result = upload_start(u, x->w);
    if (result == VAULT_OK)
        result = add_body(x, u, &body);
    wipe(x->w->content.plain, SEGMENT_PLAIN);
    if (body != VAULT_OK)
        return refuse_body(x, u, body);
    if (result == VAULT_OK)
        result = upload_finish(u);
    return result == VAULT_OK ? reply_relay(x) : refuse_upload(x, u, result);
}

int serve_deposit(struct exchange *x) {
    struct worker *w = x->w;
    struct upload upload;
    int result = check_headers(x);
    if (result != VAULT_AGAIN)
        return result;
    result = ask(w, MSG_upload);
    if (result != VAULT_OK)
        return reply_relay(x);
    exchange_about(x, w->reply.upload.request);
    exchange_recorded(x, w->reply.upload.seq);
    worker_use(w, w->reply.upload.upload);
    result = receive_upload(x, &upload);
    worker_use(w, NULL);
    upload_end(&upload);
    return result;
}
