#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor.h"
#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { TRIES = 2, ACCEPT_REST_MS = 200 };

/* Who knocked. */
struct caller {
    int fd;
    enum peer_kind kind;
    uint32_t uid;
    char address[65];
    uint8_t group[16];
};

/* Ends a connection that gets no worker, with a reset. */
static void turn_away(struct supervisor *s, const struct caller *c) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(c->fd);
    s->counters.refused++;
}

static int look_at_tls(const struct sockaddr_storage *from, socklen_t size, struct caller *c) {
    const int on = 1;
    char host[65];
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (getnameinfo((const struct sockaddr *)from, size, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
        return VAULT_E_IO;
    const char *text = strncmp(host, "::ffff:", 7) == 0 && strchr(host, '.') != NULL ? host + 7 : host;
    copy_string(c->address, sizeof(c->address), text);
    address_group(from, c->group);
    return VAULT_OK;
}

static int look_at_unix(struct caller *c) {
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return VAULT_E_IO;
    c->uid = peer.uid;
    return format_string(c->address, sizeof(c->address), "unix:%u", peer.uid) ? VAULT_OK : VAULT_E_LIMIT;
}

static bool too_many_of(const struct supervisor *s, const struct caller *c) {
    uint32_t count = 0;
    if (c->kind != PEER_TLS)
        return false;
    for (const struct worker *w = s->workers; w != NULL; w = w->next)
        if (w->kind == PEER_TLS && memcmp(w->group, c->group, sizeof(c->group)) == 0)
            count++;
    return count >= s->config->limits.per_address;
}

static bool tell_monitor(struct supervisor *s, const struct worker *w, const struct caller *c) {
    message_init(&s->message, MSG_worker_client, 0);
    struct msg_worker_client *m = &s->message.worker_client;
    m->worker = w->id;
    m->kind = (uint8_t)c->kind;
    m->uid = c->uid;
    copy_string(m->address, sizeof(m->address), c->address);
    return core_tell(s, CHILD_MONITOR);
}

static int tell_worker(struct supervisor *s, const struct worker *w, const struct caller *c) {
    const struct limits *l = &s->config->limits;
    message_init(&s->message, MSG_client, 0);
    struct msg_client *m = &s->message.client;
    m->kind = (uint8_t)c->kind;
    copy_string(m->address, sizeof(m->address), c->address);
    m->handshake_ms = l->handshake_seconds * 1000;
    m->head_ms = l->head_seconds * 1000;
    m->idle_ms = l->idle_seconds * 1000;
    m->total_ms = l->total_seconds * 1000;
    s->message.fds[0] = c->fd;
    s->message.fd_count = 1;
    int result = channel_send(w->process.control, &s->message);
    s->message.fds[0] = -1;
    s->message.fd_count = 0;
    return result;
}

/* One attempt. The worker owns a duplicate of its own, so that a second attempt has the first descriptor still.
 * VAULT_E_CLOSED: that worker was dead already, and has been ended. VAULT_E_STATE: the core failed. */
static int give_to(struct supervisor *s, struct worker *w, const struct caller *c) {
    int duplicate = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
    if (duplicate < 0)
        return VAULT_E_IO;
    w->client = duplicate;
    COPY_ARRAY(w->group, c->group);
    worker_begin(w, c->kind);
    if (!tell_monitor(s, w, c))
        return VAULT_E_STATE;
    if (tell_worker(s, w, c) == VAULT_OK)
        return VAULT_OK;
    worker_end_by_force(w, WORKER_FAULTY);
    return VAULT_E_CLOSED;
}

static void serve(struct supervisor *s, const struct caller *c) {
    int result = VAULT_E_CLOSED;
    for (int i = 0; i < TRIES && result == VAULT_E_CLOSED && s->phase == PHASE_SERVING; i++) {
        struct worker *w = worker_take(s);
        if (w == NULL)
            break;
        result = give_to(s, w, c);
    }
    if (result != VAULT_OK) {
        log_warning("client: no worker: result=%s", vault_result_name(result));
        turn_away(s, c);
        return;
    }
    s->counters.clients++;
    close(c->fd);
}

/* A fault such as too many open files would come again at once: rest a little. */
static void accept_fault(struct supervisor *s) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    log_error("client: accept: error=%s", strerror(errno));
    s->accept_from = loop_now_ms() + ACCEPT_REST_MS;
    clients_unwatch(s);
}

static void knock(struct supervisor *s, int listener, enum peer_kind kind) {
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof(from);
    struct caller c = {.kind = kind};
    c.fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
    if (c.fd < 0) {
        accept_fault(s);
        return;
    }
    int result = kind == PEER_TLS ? look_at_tls(&from, size, &c) : look_at_unix(&c);
    if (result != VAULT_OK || too_many_of(s, &c))
        turn_away(s, &c);
    else
        serve(s, &c);
    clients_watch(s);
}

static void tls_knock(void *context) {
    struct supervisor *s = context;
    knock(s, s->listeners.tls, PEER_TLS);
}

static void admin_knock(void *context) {
    struct supervisor *s = context;
    knock(s, s->listeners.admin, PEER_UNIX);
}

static void watch_if(struct supervisor *s, bool wanted, int fd, unsigned priority, watch_handler *handler,
                     struct watch **watch) {
    if (!wanted || fd < 0)
        loop_remove(s->loop, watch);
    else if (*watch == NULL && loop_add(s->loop, fd, priority, handler, s, watch) != VAULT_OK)
        log_error("client: a listening socket cannot be watched: error=%s", strerror(errno));
}

void clients_watch(struct supervisor *s) {
    const struct limits *l = &s->config->limits;
    bool open = s->phase == PHASE_SERVING && s->serving < l->workers && loop_now_ms() >= s->accept_from;
    watch_if(s, open, s->listeners.admin, 1, admin_knock, &s->admin_watch);
    watch_if(s, open && s->serving_tls < l->workers - l->unix_slots, s->listeners.tls, 2, tls_knock, &s->tls_watch);
}

void clients_unwatch(struct supervisor *s) {
    loop_remove(s->loop, &s->admin_watch);
    loop_remove(s->loop, &s->tls_watch);
}
