#include "connection.h"

#include "control.h"
#include "vault/loop.h"
#include "vault/result.h"

const uint8_t *connection_waiting(const struct worker *w, size_t *ret_n) {
    *ret_n = w->input_end - w->input_start;
    return w->input + w->input_start;
}

void connection_take(struct worker *w, size_t n) {
    w->input_start += n;
    if (w->input_start == w->input_end)
        w->input_start = w->input_end = 0;
}

uint64_t connection_until(const struct worker *w, uint32_t ms) {
    uint64_t until = loop_now_ms() + ms;
    return until < w->deadline ? until : w->deadline;
}

/* Waits for the client to send, and meanwhile does what the monitor says. */
static int wait_readable(struct worker *w, uint64_t until_ms) {
    while (!stream_pending(w->stream)) {
        int result = control_wait(w, stream_fd(w->stream), until_ms);
        if (result != VAULT_AGAIN)
            return result;
        control_check(w);
    }
    return VAULT_OK;
}

static int receive(struct worker *w, void *to, size_t n, uint64_t until_ms, size_t *ret_n) {
    size_t got = 0;
    int result = wait_readable(w, until_ms);
    if (result == VAULT_OK)
        result = stream_read(w->stream, to, n, until_ms, &got);
    if (result != VAULT_OK)
        return result;
    if (got == 0)
        return VAULT_E_CLOSED;
    *ret_n = got;
    return VAULT_OK;
}

/* Moves what waits to the start of the buffer, in steps that do not overlap. */
static void make_room(struct worker *w) {
    size_t shift = w->input_start;
    size_t n = w->input_end - w->input_start;
    for (size_t done = 0; shift > 0 && done < n;) {
        size_t step = n - done < shift ? n - done : shift;
        copy_bytes(w->input + done, INPUT_SIZE - done, w->input + shift + done, step);
        done += step;
    }
    w->input_start = 0;
    w->input_end = n;
}

int connection_fill(struct worker *w, uint64_t until_ms) {
    size_t got = 0;
    if (w->input_end == INPUT_SIZE)
        make_room(w);
    if (w->input_end == INPUT_SIZE)
        return VAULT_E_LIMIT;
    int result = receive(w, w->input + w->input_end, INPUT_SIZE - w->input_end, until_ms, &got);
    if (result == VAULT_OK)
        w->input_end += got;
    return result;
}

int connection_read(struct worker *w, void *to, size_t n, uint64_t until_ms, size_t *ret_n) {
    size_t waiting;
    const uint8_t *from = connection_waiting(w, &waiting);
    if (waiting == 0)
        return receive(w, to, n, until_ms, ret_n);
    size_t step = waiting < n ? waiting : n;
    copy_bytes(to, n, from, step);
    connection_take(w, step);
    *ret_n = step;
    return VAULT_OK;
}

int connection_write(struct worker *w, const void *from, size_t n) {
    control_check(w);
    if (loop_now_ms() >= w->deadline)
        worker_reset(w);
    return stream_write(w->stream, from, n);
}
