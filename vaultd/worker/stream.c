#include "vaultd/worker/stream.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vault/loop.h"
#include "vault/result.h"
#include "vaultd/worker/tls.h"

struct stream {
    struct wire wire;
    struct tls *tls; /* NULL: plain */
};

int stream_prepare(int gate) {
    return tls_prepare(gate);
}

static int new_stream(int socket, uint32_t idle_ms, struct stream **ret) {
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        close(socket);
        return VAULT_E_MEMORY;
    }
    s->wire = (struct wire){.socket = socket, .idle_ms = idle_ms};
    *ret = s;
    return VAULT_OK;
}

/* Answers are written whole, so nothing is gained by waiting for more. A socket that is not TCP has no such option. */
static void send_at_once(int socket) {
    int yes = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

/* A refused client gets its alert and an orderly end; what else failed is cut. */
static void end_failed(struct stream **s, int result) {
    if (result == VAULT_DENIED)
        stream_close(s);
    else
        stream_abort(s);
}

int stream_open_tls(int socket, int gate, uint32_t handshake_ms, uint32_t idle_ms, struct stream **ret) {
    struct stream *s = NULL;
    int result = new_stream(socket, idle_ms, &s);
    if (result != VAULT_OK)
        return result;
    send_at_once(socket);
    s->wire.deadline = loop_now_ms() + handshake_ms;
    result = tls_accept(&s->wire, gate, &s->tls);
    s->wire.deadline = 0;
    if (result == VAULT_OK)
        *ret = s;
    else
        end_failed(&s, result);
    return result;
}

int stream_open_plain(int socket, uint32_t idle_ms, struct stream **ret) {
    return new_stream(socket, idle_ms, ret);
}

void stream_listen(struct stream *s, int channel, void (*heard)(void *context), void *context) {
    s->wire.channel = channel;
    s->wire.heard = heard;
    s->wire.context = context;
}

int stream_read(struct stream *s, void *to, size_t n, uint64_t until_ms, size_t *ret_n) {
    s->wire.deadline = until_ms;
    int result = s->tls != NULL ? tls_read(s->tls, to, n, ret_n) : wire_read(&s->wire, to, n, ret_n);
    s->wire.deadline = 0;
    return result;
}

bool stream_pending(const struct stream *s) {
    return s->tls != NULL && tls_pending(s->tls);
}

int stream_write(struct stream *s, const void *from, size_t n) {
    return s->tls != NULL ? tls_write(s->tls, from, n) : wire_write(&s->wire, from, n);
}

bool stream_drained(const struct stream *s) {
    enum { STATE_CLOSE = 7 }; /* TCP_CLOSE of <netinet/tcp.h>, which does not go with <linux/tcp.h> */
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    if (s->tls == NULL)
        return true;
    if (getsockopt(s->wire.socket, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return false;
    bool reset = info.tcpi_state == STATE_CLOSE; /* the counts stay where they were, but nothing goes out any more */
    return reset || (info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0);
}

int stream_fd(const struct stream *s) {
    return s->wire.socket;
}

static void free_stream(struct stream **s) {
    tls_free(&(*s)->tls);
    close((*s)->wire.socket);
    free(*s);
    *s = NULL;
}

void stream_close(struct stream **s) {
    if (s == NULL || *s == NULL)
        return;
    if ((*s)->tls != NULL)
        tls_finish((*s)->tls);
    wire_finish(&(*s)->wire);
    free_stream(s);
}

void stream_abort(struct stream **s) {
    if (s == NULL || *s == NULL)
        return;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    /* It can fail on a socket that is gone already, and then there is nothing queued. */
    setsockopt((*s)->wire.socket, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    free_stream(s);
}
