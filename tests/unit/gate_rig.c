#include "tests/unit/gate_rig.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/loop.h"
#include "vault/result.h"
#include "vault/sandbox.h"

enum { PATIENCE_MS = 20000, CONTROL = 3 };

static struct message scratch;

static void must(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "gate rig: %s failed: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE); /* no signal: a refused allocation may lead here */
}

/* --- supervisor and monitor --- */

static void send_setup(struct rig *r, long list_due, int monitor) {
    message_init(&scratch, MSG_gate_setup, 0);
    scratch.fds[0] = certificate_file(r->server.certificate);
    scratch.fds[1] = key_file(r->server.key);
    scratch.fds[2] = certificate_file(r->authority.certificate);
    scratch.fds[3] = list_file(&r->authority, NULL, list_due);
    scratch.fds[4] = monitor;
    scratch.fd_count = 5;
    must(channel_send(r->control, &scratch) == VAULT_OK, "setup");
    message_clear(&scratch);
}

static void prepare(struct rig *r, long server_end) {
    const struct wanted server = {
        .san = "DNS:localhost", .start = -60, .end = server_end == 0 ? 86400L * 90 : server_end};
    must(secret_start() == VAULT_OK, "secrets");
    signal(SIGPIPE, SIG_IGN);
    *r = (struct rig){.authority = authority_new("Test authority"), .program = -1};
    r->server = issue(&r->authority, &server);
}

static int wait_for_ready(struct rig *r) {
    int result = channel_receive_wait(r->control, &scratch, PATIENCE_MS);
    bool ready = result == VAULT_OK && scratch.type == MSG_ready;
    if (result == VAULT_OK)
        message_clear(&scratch);
    return ready;
}

static int gate_control = -1;

void rig_start(struct rig *r, long server_end, long list_due) {
    int control[2];
    int monitor[2];
    prepare(r, server_end);
    must(channel_pair(control) == VAULT_OK && channel_pair(monitor) == VAULT_OK, "channels");
    r->control = control[0];
    r->monitor = monitor[0];
    gate_control = control[1];
    send_setup(r, list_due, monitor[1]);
    must(gate_open(control[1], &r->gate) == VAULT_OK, "gate_open");
    must(gate_ready(r->gate) == VAULT_OK && wait_for_ready(r), "gate_ready");
}

static void run_program(const char *path, int control) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &all); /* the program says so itself if that was not permitted and is needed */
    if (dup2(control, CONTROL) == CONTROL)
        execl(path, path, (char *)NULL);
    _exit(127);
}

void rig_start_program(struct rig *r, const char *path) {
    int control[2];
    int monitor[2];
    prepare(r, 0);
    must(channel_pair(control) == VAULT_OK && channel_pair(monitor) == VAULT_OK, "channels");
    r->control = control[0];
    r->monitor = monitor[0];
    r->program = fork();
    must(r->program >= 0, "fork");
    if (r->program == 0)
        run_program(path, control[1]);
    close(control[1]);
    send_setup(r, 86400, monitor[1]);
    must(wait_for_ready(r), "ready");
}

void rig_stop(struct rig *r) {
    gate_close(&r->gate);
    if (gate_control >= 0)
        close(gate_control);
    gate_control = -1;
    close(r->control);
    close(r->monitor);
    if (r->program > 0) {
        int status = 0;
        must(waitpid(r->program, &status, 0) == r->program && WIFEXITED(status) && WEXITSTATUS(status) == 0,
             "orderly end of the gate");
    }
    identity_free(&r->authority);
    identity_free(&r->server);
}

void rig_forget(struct rig *r) {
    r->kills = r->identities = r->losses = r->seen = r->used = 0;
}

/* Answers a kill as the supervisor does. */
static void take_control(struct rig *r) {
    while (channel_receive(r->control, &scratch) == VAULT_OK) {
        must(scratch.type == MSG_worker_kill, "control message");
        r->kills++;
        r->kill = scratch.worker_kill;
        message_init(&scratch, MSG_worker_gone, 0);
        scratch.worker_gone.worker = r->kill.worker;
        scratch.worker_gone.how = r->kill.why;
        must(channel_send(r->control, &scratch) == VAULT_OK, "worker_gone");
    }
}

static void take_monitor(struct rig *r) {
    while (channel_receive(r->monitor, &scratch) == VAULT_OK) {
        if (scratch.type == MSG_identity) {
            r->identities++;
            r->identity = scratch.identity;
        } else if (scratch.type == MSG_anchors_seen) {
            r->seen++;
            r->anchors = scratch.anchors_seen;
        } else if (scratch.type == MSG_anchors_used) {
            r->used++;
            r->used_id = scratch.id;
        } else {
            must(scratch.type == MSG_identity_lost, "monitor message");
            r->losses++;
            r->lost = scratch.identity_lost;
        }
        message_clear(&scratch);
    }
}

void rig_pump(struct rig *r) {
    for (int i = 0; i < 4; i++) {
        if (r->gate != NULL)
            must(gate_turn(r->gate, 0) == VAULT_OK, "gate_turn");
        else
            poll(NULL, 0, 5);
        take_control(r);
        take_monitor(r);
    }
}

void rig_trust(struct rig *r, int list) {
    rig_trust_of(r, certificate_file(r->authority.certificate), list);
}

void rig_use(struct rig *r, uint64_t id, const struct msg_anchors_seen *anchors) {
    message_init(&scratch, MSG_anchors_use, id);
    copy_bytes(scratch.anchors_use.pem, sizeof(scratch.anchors_use.pem), anchors->pem, anchors->pem_size);
    scratch.anchors_use.pem_size = anchors->pem_size;
    must(channel_send(r->monitor, &scratch) == VAULT_OK, "anchors_use");
    rig_pump(r);
}

void rig_trust_of(struct rig *r, int authorities, int list) {
    message_init(&scratch, MSG_trust, 0);
    scratch.fds[0] = authorities;
    scratch.fds[1] = list;
    scratch.fd_count = 2;
    must(channel_send(r->control, &scratch) == VAULT_OK, "trust");
    message_clear(&scratch);
    rig_pump(r);
}

void rig_certificate(struct rig *r, X509 *certificate, EVP_PKEY *key) {
    message_init(&scratch, MSG_certificate, 0);
    scratch.fds[0] = certificate_file(certificate);
    scratch.fds[1] = key_file(key);
    scratch.fd_count = 2;
    must(channel_send(r->control, &scratch) == VAULT_OK, "certificate");
    message_clear(&scratch);
    rig_pump(r);
}

static int add_worker(struct rig *r) {
    int ends[2];
    must(channel_pair(ends) == VAULT_OK, "channel");
    message_init(&scratch, MSG_worker_new, 0);
    scratch.worker_new.worker = ++r->last_worker;
    scratch.fds[0] = ends[0];
    scratch.fd_count = 1;
    must(channel_send(r->control, &scratch) == VAULT_OK, "worker_new");
    message_clear(&scratch);
    return ends[1];
}

/* --- the worker's process --- */

static int serve_one_byte(struct stream *s) {
    char byte = 0;
    size_t n = 0;
    int result = stream_read(s, &byte, 1, 0, &n);
    return result == VAULT_OK ? stream_write(s, "+", 1) : result;
}

static int prepare_worker(int channel) {
    log_start("worker");
    int result = stream_prepare(channel);
#ifdef GATE_PROGRAM /* not under a sanitizer */
    if (result == VAULT_OK)
        result = sandbox_start();
    if (result == VAULT_OK)
        result = sandbox_enter(SANDBOX_WORKER, NULL, 0);
#endif
    return result;
}

static uint32_t or_default(uint32_t ms) {
    return ms == 0 ? 5000 : ms;
}

/* Exit status: the result, a fault negated, an outcome plus 100. */
static int serve(const struct client *c, int channel, int socket) {
    struct stream *s = NULL;
    int result = prepare_worker(channel);
    if (result == VAULT_OK)
        result = stream_open_tls(socket, channel, or_default(c->handshake_ms), or_default(c->idle_ms), &s);
    if (result == VAULT_OK)
        result = c->serve != NULL ? c->serve(s) : serve_one_byte(s);
    stream_close(&s);
    return result > 0 ? 100 + result : -result;
}

static pid_t start_worker(const struct client *c, int channel, int socket, const int *others, size_t count) {
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid != 0)
        return pid;
    for (size_t i = 0; i < count; i++)
        close(others[i]);
    _exit(serve(c, channel, socket));
}

/* --- the client's process --- */

static int alert_received(void) {
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_REASON(error);
    return ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET
                                                                              : CLIENT_CUT;
}

static SSL_CTX *client_context(const struct rig *r, const struct client *c) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    must(context != NULL, "client context");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), r->authority.certificate);
    if (c->identity != NULL)
        must(SSL_CTX_use_certificate(context, c->identity->certificate) == 1 &&
                 SSL_CTX_use_PrivateKey(context, c->identity->key) == 1,
             "client identity");
    if (c->groups != NULL)
        must(SSL_CTX_set1_groups_list(context, c->groups) == 1, "groups");
    if (c->suites != NULL)
        must(SSL_CTX_set_ciphersuites(context, c->suites) == 1, "suites");
    if (c->newest != 0)
        must(SSL_CTX_set_max_proto_version(context, c->newest) == 1, "version");
    return context;
}

static int talk(const struct rig *r, const struct client *c, int socket) {
    if (c->raw != NULL)
        return c->raw(socket);
    SSL *ssl = SSL_new(client_context(r, c));
    char byte = 0;
    must(ssl != NULL && SSL_set_fd(ssl, socket) == 1, "client");
    if (SSL_connect(ssl) != 1)
        return alert_received();
    if (c->talk != NULL)
        return c->talk(ssl);
    SSL_write(ssl, "?", 1); /* that it fails shows in the read */
    return SSL_read(ssl, &byte, 1) == 1 && byte == '+' ? 0 : alert_received();
}

static pid_t start_client(const struct rig *r, const struct client *c, int socket, int other) {
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid != 0)
        return pid;
    close(other);
    _exit(talk(r, c, socket));
}

/* --- the test between worker and gate --- */

static void record(struct recording *to, const struct msg_tls_message *m) {
    must(to->count < RECORDED_MAX, "recording");
    uint8_t *bytes = malloc(m->message_size);
    must(bytes != NULL, "recording");
    copy_bytes(bytes, m->message_size, m->message, m->message_size);
    to->messages[to->count].from_client = m->from_client == 1;
    to->messages[to->count].n = m->message_size;
    to->messages[to->count++].bytes = bytes;
}

void recording_free(struct recording *r) {
    for (size_t i = 0; i < r->count; i++)
        free(r->messages[i].bytes);
    r->count = 0;
}

void outcome_clear(struct outcome *o) {
    recording_free(&o->recording);
    close(o->channel);
}

size_t recording_find(const struct recording *r, bool from_client, uint8_t type) {
    for (size_t i = 0; i < r->count; i++)
        if (r->messages[i].from_client == from_client && r->messages[i].bytes[0] == type)
            return i;
    must(false, "message in the recording");
    return 0;
}

static void worker_to_gate(int from, int to, tamper *tampering, void *context, struct outcome *o) {
    static struct message m;
    while (channel_receive(from, &m) == VAULT_OK) {
        if (m.type == MSG_tls_message) {
            record(&o->recording, &m.tls_message);
            if (tampering != NULL)
                tampering(context, &m.tls_message);
        }
        channel_send(to, &m); /* fails if the gate has had enough */
        message_clear(&m);
    }
}

/* False once the gate has closed the channel. */
static bool gate_to_worker(int from, int to, struct outcome *o) {
    static struct message m;
    int result;
    while ((result = channel_receive(from, &m)) == VAULT_OK) {
        if (m.type == MSG_tls_verdict) {
            o->alert = m.tls_verdict.alert;
            copy_string(o->reason, sizeof(o->reason), m.tls_verdict.reason);
        }
        channel_send(to, &m);
        message_clear(&m);
    }
    return result == VAULT_AGAIN;
}

/* True once the process has ended, with its status. */
static bool ended(pid_t *pid, int *ret_status) {
    int status = 0;
    if (*pid == 0 || waitpid(*pid, &status, WNOHANG) == 0)
        return *pid == 0;
    *pid = 0;
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return true;
}

static int worker_result(int status) {
    return status < 0 ? status - 1000 : status > 100 ? status - 100 : -status;
}

void rig_connect(struct rig *r, const struct client *client, tamper *tampering, void *context, struct outcome *ret) {
    int channel[2];
    int sockets[2];
    int status = 0;
    *ret = (struct outcome){.worker = 0};
    int gate = add_worker(r);
    must(channel_pair(channel) == VAULT_OK && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0,
         "pairs");
    const int others[] = {gate, channel[0], sockets[0], r->control, r->monitor};
    pid_t client_pid = start_client(r, client, sockets[0], sockets[1]);
    pid_t worker_pid = start_worker(client, channel[1], sockets[1], others, sizeof(others) / sizeof(others[0]));
    close(channel[1]);
    close(sockets[0]);
    close(sockets[1]);
    uint64_t end = loop_now_ms() + PATIENCE_MS;
    bool open = true;
    while (!ended(&worker_pid, &status) || !ended(&client_pid, &ret->client)) {
        must(loop_now_ms() < end, "connection in time");
        if (worker_pid == 0)
            ret->worker = worker_result(status);
        worker_to_gate(channel[0], gate, tampering, context, ret);
        rig_pump(r);
        if (open && !gate_to_worker(gate, channel[0], ret)) {
            shutdown(channel[0], SHUT_RDWR);
            open = false;
        }
        poll(NULL, 0, 1);
    }
    ret->worker = worker_result(status);
    close(channel[0]);
    ret->channel = gate;
    rig_pump(r);
}

/* --- scripted workers --- */

int rig_worker(struct rig *r) {
    int worker = add_worker(r);
    rig_pump(r);
    must(channel_receive_wait(worker, &scratch, PATIENCE_MS) == VAULT_OK && scratch.type == MSG_tls_certificate,
         "chain");
    message_clear(&scratch);
    return worker;
}

void script_message(struct rig *r, int worker, bool from_client, const void *bytes, size_t n) {
    message_init(&scratch, MSG_tls_message, 0);
    scratch.tls_message.from_client = from_client;
    scratch.tls_message.message_size = (uint32_t)n;
    copy_bytes(scratch.tls_message.message, sizeof(scratch.tls_message.message), bytes, n);
    channel_send(worker, &scratch); /* fails after a kill */
    message_clear(&scratch);
    rig_pump(r);
}

void script_replay(struct rig *r, int worker, const struct recording *from, size_t first, size_t end) {
    for (size_t i = first; i < end; i++)
        script_message(r, worker, from->messages[i].from_client, from->messages[i].bytes, from->messages[i].n);
}

void script_send(struct rig *r, int worker, enum message_type type) {
    message_init(&scratch, type, 7);
    channel_send(worker, &scratch);
    message_clear(&scratch);
    rig_pump(r);
}

static bool receive_answer(int worker, enum message_type type) {
    if (channel_receive(worker, &scratch) != VAULT_OK)
        return false;
    must(scratch.type == type && scratch.id == 7, "answer");
    return true;
}

bool script_sign(struct rig *r, int worker, uint8_t ret_message[256], size_t *ret_n) {
    script_send(r, worker, MSG_tls_sign);
    if (!receive_answer(worker, MSG_tls_signature))
        return false;
    size_t n = scratch.tls_signature.signature_size;
    struct writer w = writer_of(ret_message, 256);
    const uint8_t head[] = {15, 0, 0, (uint8_t)(n + 4), 0x04, 0x03, 0, (uint8_t)n};
    write_bytes(&w, head, sizeof(head));
    write_bytes(&w, scratch.tls_signature.signature, n);
    *ret_n = w.used;
    message_clear(&scratch);
    return true;
}

bool script_verdict(struct rig *r, int worker, bool proven, struct msg_tls_verdict *ret) {
    message_init(&scratch, MSG_tls_verdict_wanted, 7);
    scratch.tls_verdict_wanted.proven = proven;
    channel_send(worker, &scratch);
    message_clear(&scratch);
    rig_pump(r);
    if (!receive_answer(worker, MSG_tls_verdict))
        return false;
    *ret = scratch.tls_verdict;
    message_clear(&scratch);
    return true;
}
