#include "body.h"

#include "connection.h"
#include "vault/result.h"

void body_start(struct body *b, const struct http_head *head) {
    *b = (struct body){.chunked = head->chunked, .continue_owed = head->expect_continue, .left = head->length};
}

bool body_finished(const struct body *b) {
    if (b->failed)
        return false;
    return b->chunked ? b->chunks.state == CHUNKED_DONE : b->left == 0;
}

static int read_plain(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n) {
    size_t want = b->left < n ? (size_t)b->left : n;
    size_t got = 0;
    int result = connection_read(w, to, want, connection_until(w, w->idle_ms), &got);
    if (result != VAULT_OK)
        return result;
    b->left -= got;
    *ret_n = got;
    return VAULT_OK;
}

/* Data of one chunk lies in the input buffer behind its framing; only as much as fits is taken. */
static int take_chunked(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n) {
    size_t waiting = 0;
    size_t used = 0;
    size_t run = 0;
    const uint8_t *data = NULL;
    const uint8_t *from = connection_waiting(w, &waiting);
    bool in_data = b->chunks.state == CHUNKED_DATA;
    size_t look = in_data ? (waiting < n ? waiting : n) : (waiting < 1 ? waiting : 1);
    int result = http_chunked_take(&b->chunks, from, look, &used, &data, &run);
    if (result != VAULT_OK)
        return result;
    copy_bytes(to, n, data, run);
    connection_take(w, used);
    *ret_n = run;
    return VAULT_OK;
}

static int read_chunked(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n) {
    size_t got = 0;
    while (got == 0 && b->chunks.state != CHUNKED_DONE) {
        size_t waiting;
        int result = VAULT_OK;
        (void)connection_waiting(w, &waiting);
        if (waiting == 0)
            result = connection_fill(w, connection_until(w, w->idle_ms));
        if (result == VAULT_OK)
            result = take_chunked(w, b, to, n, &got);
        if (result != VAULT_OK)
            return result;
    }
    *ret_n = got;
    return VAULT_OK;
}

static int say_continue(struct worker *w, struct body *b) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t waiting;
    (void)connection_waiting(w, &waiting);
    b->continue_owed = false;
    return waiting > 0 ? VAULT_OK : connection_write(w, text, sizeof(text) - 1); /* it has not waited: no need */
}

int body_read(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n) {
    int result = VAULT_OK;
    size_t got = 0;
    if (!body_finished(b) && b->continue_owed)
        result = say_continue(w, b);
    if (result == VAULT_OK && !body_finished(b))
        result = b->chunked ? read_chunked(w, b, to, n, &got) : read_plain(w, b, to, n, &got);
    b->taken += got;
    if (result == VAULT_OK && b->taken > BODY_MAX)
        result = VAULT_E_LIMIT;
    b->failed = result != VAULT_OK;
    if (result == VAULT_OK)
        *ret_n = got;
    return result;
}

int body_read_full(struct worker *w, struct body *b, void *to, size_t n, size_t *ret_n) {
    size_t used = 0;
    while (used < n) {
        size_t got = 0;
        int result = body_read(w, b, (uint8_t *)to + used, n - used, &got);
        if (result != VAULT_OK)
            return result;
        if (got == 0)
            break;
        used += got;
    }
    *ret_n = used;
    return VAULT_OK;
}
