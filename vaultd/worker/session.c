#include "session.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "connection.h"
#include "control.h"
#include "http_reply.h"
#include "vault/log.h"
#include "vault/loop.h"
#include "vault/result.h"

int worker_prepare(struct worker *w, int supervisor, int monitor, int store) {
    w->supervisor = supervisor;
    w->monitor = monitor;
    w->store = store;
    w->deadline = UINT64_MAX;
    json_object_seed(1 + randombytes_uniform(UINT32_MAX)); /* else jansson would open /dev/urandom in the sandbox */
    return content_prepare(&w->content);
}

void worker_limits(struct worker *w, const struct msg_client *client) {
    w->head_ms = client->head_ms;
    w->idle_ms = client->idle_ms;
    w->deadline = client->total_ms == 0 ? UINT64_MAX : loop_now_ms() + client->total_ms;
}

void worker_use(struct worker *w, const uint8_t *id) {
    w->is_active = id != NULL;
    if (id != NULL)
        copy_bytes(w->active, sizeof(w->active), id, ID_SIZE);
}

void worker_fault(struct worker *w, const char *what, int result) {
    stream_abort(&w->stream);
    log_error("%s: result=%s", what, vault_result_name(result));
    _exit(1);
}

void worker_reset(struct worker *w) {
    stream_abort(&w->stream);
    _exit(0);
}

bool exchange_reusable(const struct exchange *x) {
    return !x->close && !x->head.close && body_finished(&x->body);
}

void exchange_about(struct exchange *x, const uint8_t request[ID_SIZE]) {
    static const uint8_t none[ID_SIZE];
    if (memcmp(request, none, ID_SIZE) != 0)
        COPY_ARRAY(x->request, request);
}

void exchange_recorded(struct exchange *x, uint64_t seq) {
    x->has_seq = true;
    x->seq = seq;
}

static struct exchange *exchange_start(struct worker *w) {
    static struct exchange x;
    wipe(&x, sizeof(x));
    x.w = w;
    randombytes_buf(x.request, sizeof(x.request));
    return &x;
}

/* Also a head that is no good says whether its answer may have a body. */
static bool asks_for_head(const uint8_t *bytes, size_t n) {
    static const char method[] = "HEAD ";
    return n >= sizeof(method) - 1 && memcmp(bytes, method, sizeof(method) - 1) == 0;
}

static int refuse_head(struct exchange *x, const struct http_refusal *refusal) {
    x->close = true;
    return reply_problem(x, refusal->status, "http", refusal->text);
}

/* Receives until the head is whole. VAULT_E_FORMAT: *ret_refusal says why. VAULT_E_CLOSED, VAULT_E_IO. */
static int receive_head(struct worker *w, size_t *ret_end, struct http_refusal *ret_refusal) {
    struct http_scan scan = {0};
    uint64_t until = 0;
    for (;;) {
        size_t n;
        const uint8_t *bytes = connection_waiting(w, &n);
        int result = http_head_find(&scan, bytes, n, ret_end, ret_refusal);
        if (result != VAULT_AGAIN)
            return result;
        if (n > 0 && until == 0)
            until = connection_until(w, w->head_ms);
        result = connection_fill(w, n == 0 ? connection_until(w, w->idle_ms) : until);
        if (result == VAULT_E_TIMEOUT && n > 0) {
            *ret_refusal = (struct http_refusal){408, "the request head did not come in time"};
            return VAULT_E_FORMAT;
        }
        if (result != VAULT_OK)
            return result;
    }
}

/* One request and its answer. Anything but VAULT_OK: the connection is over. */
static int serve_next(struct worker *w, struct exchange *x) {
    struct http_refusal refusal;
    size_t end = 0;
    size_t n;
    int result = receive_head(w, &end, &refusal);
    const uint8_t *bytes = connection_waiting(w, &n);
    x->head_only = asks_for_head(bytes, n);
    if (result == VAULT_OK) {
        copy_bytes(x->head_bytes, sizeof(x->head_bytes), bytes, end);
        connection_take(w, end);
        result = http_head_parse(x->head_bytes, end, &x->head, &refusal);
    }
    if (result == VAULT_E_FORMAT)
        return refuse_head(x, &refusal);
    if (result != VAULT_OK)
        return result;
    body_start(&x->body, &x->head);
    return serve_request(x);
}

static void close_grants(struct worker *w) {
    /* After a cut the kernel may go on sending until this process is dead: the monitor closes the grants then. */
    if (w->stream == NULL)
        worker_reset(w);
    worker_use(w, NULL);
    control_drain(w);
    for (struct grant *g = w->grants.all; g < w->grants.all + GRANTS_MAX; g++)
        if (g->used)
            ask_grant_close(w, g);
    ask_close_the_one_that_made_room(w);
}

static void hear_monitor(void *worker) {
    control_check(worker);
}

/* The grants are closed before the client sees the end, so that what it asks next about them is settled. */
void worker_serve(struct worker *w) {
    int result;
    struct exchange *x;
    stream_listen(w->stream, w->monitor, hear_monitor, w);
    do {
        x = exchange_start(w);
        result = serve_next(w, x);
    } while (result == VAULT_OK && exchange_reusable(x));
    close_grants(w);
    stream_close(&w->stream);
}
