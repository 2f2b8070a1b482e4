#include "vaultd/gate/gate.h"

#include <stdlib.h>
#include <unistd.h>

#include "vault/file.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/gate/gate_internal.h"

enum { SETUP_WAIT_MS = 30000, TEXT_MAX = 16 << 20, DAY = 86400, WARN_DAYS = 30 };
enum { SETUP_CHAIN, SETUP_KEY, SETUP_AUTHORITIES, SETUP_LISTS, SETUP_MONITOR, SETUP_FDS };
enum { TRUST_AUTHORITIES, TRUST_LISTS, TRUST_FDS };
enum { CERTIFICATE_CHAIN, CERTIFICATE_KEY, CERTIFICATE_FDS };

void gate_fail(struct gate *g, int result, const char *what) {
    if (g->fault != VAULT_OK)
        return;
    g->fault = result;
    if (result != VAULT_E_CLOSED)
        log_error("%s: %s", what, vault_result_name(result));
}

void gate_tell_supervisor(struct gate *g) {
    int result = channel_send_wait(g->control, &g->out, PEER_WAIT_MS);
    if (result != VAULT_OK)
        gate_fail(g, result, "cannot tell the supervisor");
}

/* That the monitor is gone is no ordinary end, so it is no VAULT_E_CLOSED. */
void gate_tell_monitor(struct gate *g) {
    int result = channel_send_wait(g->monitor, &g->out, PEER_WAIT_MS);
    if (result != VAULT_OK)
        gate_fail(g, result == VAULT_E_CLOSED ? VAULT_E_IO : result, "cannot tell the monitor");
}

/* All of a file that is shorter than `size`. */
static int read_whole(int fd, uint8_t *to, size_t size, size_t *ret_n) {
    int result = fd_read(fd, to, size, ret_n);
    return result == VAULT_OK && *ret_n == size ? VAULT_E_LIMIT : result;
}

static int read_text(int fd, struct text *ret) {
    for (size_t size = 1 << 16; size <= TEXT_MAX; size *= 4) {
        struct text t = {.bytes = malloc(size)};
        if (t.bytes == NULL)
            return VAULT_E_MEMORY;
        int result = read_whole(fd, t.bytes, size, &t.n);
        if (result == VAULT_OK)
            *ret = t;
        else
            free(t.bytes);
        if (result != VAULT_E_LIMIT)
            return result;
    }
    return VAULT_E_LIMIT;
}

static int read_key(int fd, struct secret **ret) {
    struct secret *whole = NULL;
    struct secret *key = NULL;
    size_t n = 0;
    int result = secret_new(&whole, SECRET_MAX);
    if (result == VAULT_OK)
        result = read_whole(fd, secret_edit(whole), secret_size(whole), &n);
    if (result == VAULT_OK)
        result = n == 0 ? VAULT_E_FORMAT : secret_take(&key, secret_edit(whole), n);
    secret_free(&whole);
    if (result == VAULT_OK)
        *ret = key;
    return result;
}

static int load_server(int chain_fd, int key_fd, struct server **ret) {
    struct text chain = {.bytes = NULL};
    CLEANUP_SECRET struct secret *key = NULL;
    int result = read_text(chain_fd, &chain);
    if (result == VAULT_OK)
        result = read_key(key_fd, &key);
    if (result == VAULT_OK)
        result = server_new(chain.bytes, chain.n, key, ret);
    text_free(&chain);
    if (result != VAULT_OK)
        log_error("server certificate or key not usable: %s", vault_result_name(result));
    return result;
}

static int read_trust(int authorities_fd, int lists_fd, struct files *ret) {
    struct text authorities = {.bytes = NULL};
    struct files found = {.count = 0};
    int result = read_text(authorities_fd, &authorities);
    if (result == VAULT_OK)
        result = read_text(lists_fd, &found.lists);
    if (result == VAULT_OK)
        result = files_check(&found, &authorities);
    text_free(&authorities);
    if (result == VAULT_OK)
        *ret = found;
    else
        files_free(&found);
    if (result != VAULT_OK)
        log_error("client authorities or revocation lists not usable: %s", vault_result_name(result));
    return result;
}

static void tell_anchors(struct gate *g) {
    const struct files *seen = anchors_seen(g->anchors);
    message_init(&g->out, MSG_anchors_seen, 0);
    struct msg_anchors_seen *m = &g->out.anchors_seen;
    copy_bytes(m->pem, sizeof(m->pem), seen->authorities.bytes, seen->authorities.n);
    m->pem_size = (uint32_t)seen->authorities.n;
    m->count = seen->count;
    copy_string(m->subjects, sizeof(m->subjects), seen->subjects);
    gate_tell_monitor(g);
}

/* The new files replace the old trust only if they are whole: a half-written file must not lock everybody out, nor
 * let anybody in. Other authorities count only once the monitor says so. */
static void take_trust(struct gate *g, const struct message *m) {
    struct files fresh = {.count = 0};
    bool others = false;
    if (m->fd_count != TRUST_FDS) {
        gate_fail(g, VAULT_E_PROTOCOL, "trust came without its files");
        return;
    }
    int result = read_trust(m->fds[TRUST_AUTHORITIES], m->fds[TRUST_LISTS], &fresh);
    if (result == VAULT_OK)
        result = anchors_renew(g->anchors, &fresh, &others);
    if (result != VAULT_OK) {
        log_error("trust: the former authorities and revocation lists stay in force");
        return;
    }
    if (anchors_held(g->anchors))
        log_warning("trust: new revocation lists are in force; the authorities are others, and are not");
    else
        log_notice("trust: new authorities and revocation lists are in force");
    workers_verify_again(g);
    if (others && g->fault == VAULT_OK)
        tell_anchors(g);
}

/* Whoever was vouched for by others is lost before the monitor hears that these are used. */
static void take_anchors(struct gate *g, const struct message *m) {
    uint64_t id = m->id;
    int result = anchors_use(g->anchors, m->anchors_use.pem, m->anchors_use.pem_size);
    if (result != VAULT_OK) {
        gate_fail(g, result, "authorities of the monitor's");
        return;
    }
    log_notice("trust: the client authorities that the vault keeps are in force");
    workers_verify_again(g);
    message_init(&g->out, MSG_anchors_used, id);
    if (g->fault == VAULT_OK)
        gate_tell_monitor(g);
}

/* As of trust: a pair that does not belong together, or is half written, must not end the service. Who was told the
 * former chain is served under it. */
static void take_certificate(struct gate *g, const struct message *m) {
    struct server *fresh = NULL;
    if (m->fd_count != CERTIFICATE_FDS) {
        gate_fail(g, VAULT_E_PROTOCOL, "certificate came without its files");
        return;
    }
    if (load_server(m->fds[CERTIFICATE_CHAIN], m->fds[CERTIFICATE_KEY], &fresh) != VAULT_OK) {
        log_error("certificate: the former certificate and key stay in use");
        return;
    }
    server_free(&g->server);
    g->server = fresh;
    g->server_warned = 0;
    log_notice("certificate: the new certificate and key are in use");
}

static void take_worker(struct gate *g, struct message *m) {
    if (m->fd_count != 1) {
        gate_fail(g, VAULT_E_PROTOCOL, "worker_new came without its channel");
        return;
    }
    int channel = m->fds[0];
    m->fd_count = 0; /* the worker owns it now */
    int result = worker_add(g, m->worker_new.worker, channel);
    if (result != VAULT_OK)
        gate_fail(g, result, "cannot take a new worker");
}

static void on_control(void *context) {
    struct gate *g = context;
    int result = channel_receive(g->control, &g->in);
    if (result == VAULT_AGAIN)
        return;
    if (result != VAULT_OK) {
        gate_fail(g, result, "control channel");
        return;
    }
    switch ((int)g->in.type) {
    case MSG_worker_new: take_worker(g, &g->in); break;
    case MSG_worker_gone: worker_remove(g, g->in.worker_gone.worker); break;
    case MSG_trust: take_trust(g, &g->in); break;
    case MSG_certificate: take_certificate(g, &g->in); break;
    default: gate_fail(g, VAULT_E_PROTOCOL, "control channel"); break;
    }
    message_clear(&g->in);
}

static void on_monitor(void *context) {
    struct gate *g = context;
    int result = channel_receive(g->monitor, &g->in);
    if (result == VAULT_AGAIN)
        return;
    if (result == VAULT_OK && g->in.type == MSG_anchors_use)
        take_anchors(g, &g->in);
    else
        gate_fail(g, result == VAULT_E_CLOSED ? VAULT_E_IO : VAULT_E_PROTOCOL, "monitor channel");
    if (result == VAULT_OK)
        message_clear(&g->in);
}

static int take_setup(struct gate *g, struct message *m) {
    if (m->type != MSG_gate_setup || m->fd_count != SETUP_FDS)
        return VAULT_E_PROTOCOL;
    int result = load_server(m->fds[SETUP_CHAIN], m->fds[SETUP_KEY], &g->server);
    struct files found = {.count = 0};
    if (result == VAULT_OK)
        result = read_trust(m->fds[SETUP_AUTHORITIES], m->fds[SETUP_LISTS], &found);
    if (result == VAULT_OK)
        result = anchors_new(&found, &g->anchors);
    if (result == VAULT_OK) {
        g->monitor = m->fds[SETUP_MONITOR];
        m->fds[SETUP_MONITOR] = -1;
    }
    return result;
}

int gate_open(int control, struct gate **ret) {
    struct gate *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return VAULT_E_MEMORY;
    g->control = control;
    g->monitor = -1;
    tzset(); /* reads a file; later, in the sandbox, the time functions of OpenSSL must not */
    int result = channel_receive_wait(control, &g->in, SETUP_WAIT_MS);
    if (result == VAULT_OK) {
        result = take_setup(g, &g->in);
        message_clear(&g->in);
    }
    if (result == VAULT_OK)
        result = loop_new(&g->loop);
    if (result == VAULT_OK)
        result = loop_add(g->loop, control, 0, on_control, g, &g->control_watch);
    if (result == VAULT_OK)
        result = loop_add(g->loop, g->monitor, 1, on_monitor, g, &g->monitor_watch);
    if (result == VAULT_OK)
        *ret = g;
    else
        gate_close(&g);
    return result;
}

int gate_ready(struct gate *g) {
    tell_anchors(g); /* before any identity */
    message_init(&g->out, MSG_ready, 0);
    if (g->fault == VAULT_OK)
        gate_tell_supervisor(g);
    return g->fault;
}

static void look_at_own_certificate(struct gate *g, time_t now) {
    uint64_t end = server_not_after(g->server);
    if (g->server_warned != 0 && now < g->server_warned + DAY)
        return;
    g->server_warned = now;
    if (end <= (uint64_t)now)
        log_error("certificate: the server's own has expired");
    else if (end - (uint64_t)now < (uint64_t)WARN_DAYS * DAY)
        log_warning("certificate: the server's own expires in %llu days",
                    (unsigned long long)((end - (uint64_t)now) / DAY));
}

int gate_tick(struct gate *g, time_t now) {
    look_at_own_certificate(g, now);
    workers_tick(g, now);
    return g->fault;
}

int gate_wait_ms(const struct gate *g) {
    enum { SECOND = 1000, HOUR = 3600000 };
    return g->workers == NULL ? HOUR : SECOND;
}

int gate_turn(struct gate *g, int timeout_ms) {
    int result = loop_turn(g->loop, timeout_ms);
    if (result != VAULT_OK)
        gate_fail(g, result, "event loop");
    return g->fault == VAULT_OK ? gate_tick(g, time(NULL)) : g->fault;
}

void gate_close(struct gate **g) {
    if (g == NULL || *g == NULL)
        return;
    workers_clear(*g);
    if ((*g)->loop != NULL) {
        loop_remove((*g)->loop, &(*g)->control_watch);
        loop_remove((*g)->loop, &(*g)->monitor_watch);
        loop_free(&(*g)->loop);
    }
    if ((*g)->monitor >= 0)
        close((*g)->monitor);
    server_free(&(*g)->server);
    anchors_free(&(*g)->anchors);
    free(*g);
    *g = NULL;
}
