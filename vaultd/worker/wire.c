#include "vaultd/worker/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "vault/loop.h"
#include "vault/result.h"

enum { FINISH_MS = 1000, FINISH_BYTES = 1 << 20 };

static int result_of_errno(void) {
    switch (errno) {
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN: return VAULT_E_CLOSED;
    case ETIMEDOUT: return VAULT_E_TIMEOUT;
    default: return VAULT_E_IO;
    }
}

static bool would_block(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static bool is_late(const struct wire *w) {
    return w->deadline != 0 && loop_now_ms() >= w->deadline;
}

/* When a wait that begins now ends, in loop_now_ms; UINT64_MAX: never. */
static uint64_t wait_end(const struct wire *w) {
    uint64_t end = w->idle_ms == 0 ? UINT64_MAX : loop_now_ms() + w->idle_ms;
    return w->deadline != 0 && w->deadline < end ? w->deadline : end;
}

static int wait_ready(const struct wire *w, short events) {
    uint64_t end = wait_end(w);
    struct pollfd polls[] = {{.fd = w->socket, .events = events},
                             {.fd = w->heard != NULL ? w->channel : -1, .events = POLLIN}};
    for (;;) {
        uint64_t now = loop_now_ms();
        if (end <= now)
            return VAULT_E_TIMEOUT;
        uint64_t left = end - now;
        int n = poll(polls, 2, end == UINT64_MAX ? -1 : left > INT_MAX ? INT_MAX : (int)left);
        if (n < 0 && errno != EINTR)
            return VAULT_E_IO;
        if (n > 0 && polls[1].revents != 0)
            w->heard(w->context);
        if (n > 0 && polls[0].revents != 0)
            return VAULT_OK;
    }
}

int wire_read(const struct wire *w, void *to, size_t n, size_t *ret_n) {
    int result = w->held ? VAULT_AGAIN : VAULT_OK;
    if (result == VAULT_OK && is_late(w)) /* also where something always waits */
        result = VAULT_E_TIMEOUT;
    while (result == VAULT_OK) {
        ssize_t got = recv(w->socket, to, n, MSG_DONTWAIT);
        if (got >= 0) {
            *ret_n = (size_t)got;
            return VAULT_OK;
        }
        if (would_block())
            result = wait_ready(w, POLLIN);
        else if (errno != EINTR)
            result = result_of_errno();
    }
    return result;
}

int wire_write(const struct wire *w, const void *from, size_t n) {
    const uint8_t *at = from;
    int result = VAULT_OK;
    while (n > 0 && result == VAULT_OK) {
        ssize_t sent = send(w->socket, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            at += sent;
            n -= (size_t)sent;
        } else if (would_block())
            result = wait_ready(w, POLLOUT);
        else if (errno != EINTR)
            result = result_of_errno();
    }
    return result;
}

void wire_finish(const struct wire *w) {
    struct wire last = {.socket = w->socket, .deadline = loop_now_ms() + FINISH_MS};
    uint8_t discarded[4096];
    size_t n = 1;
    if (shutdown(w->socket, SHUT_WR) != 0)
        return;
    for (size_t total = 0; n > 0 && total < FINISH_BYTES; total += n)
        if (wire_read(&last, discarded, sizeof(discarded), &n) != VAULT_OK)
            return;
}
