#include "worker_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/loop.h"
#include "vaultd/worker/worker.h"

static void check(bool good) {
    assert_true(good);
}

static void note(struct peers *p, const char *name) {
    size_t used = strlen(p->log);
    check(format_string(p->log + used, sizeof(p->log) - used, "%s ", name));
}

static void sha256(const void *bytes, size_t n, uint8_t hash[HASH_SIZE]) {
    check(EVP_Digest(bytes, n, hash, NULL, EVP_sha256(), NULL) == 1);
}

/* Seals the file's chunk number `index` into an object. */
static void make_object(struct peers *p, struct cipher *c, size_t index) {
    static uint8_t sealed[OBJECT_MAX];
    struct peer_object *o = &p->objects[index];
    size_t start = index * CHUNK_PLAIN;
    size_t n = p->size - start < CHUNK_PLAIN ? p->size - start : CHUNK_PLAIN;
    randombytes_buf(o->chunk.base, NONCE_SIZE);
    for (size_t at = 0, i = 0; at < n; at += SEGMENT_PLAIN, i++) {
        size_t piece = n - at < SEGMENT_PLAIN ? n - at : SEGMENT_PLAIN;
        check(segment_seal(c, o->chunk.base, (uint32_t)i, p->plain + start + at, piece, sealed + i * SEGMENT_SEALED) ==
              VAULT_OK);
    }
    o->chunk.length = (uint32_t)object_size(n);
    sha256(sealed, o->chunk.length, o->chunk.address);
    o->fd = memfd_create("object", MFD_CLOEXEC);
    check(o->fd >= 0 && write(o->fd, sealed, o->chunk.length) == (ssize_t)o->chunk.length);
}

static void make_file(struct peers *p, size_t size) {
    struct cipher *c = NULL;
    p->size = size;
    p->plain = malloc(size + 1);
    check(p->plain != NULL);
    for (size_t i = 0; i < size; i++)
        p->plain[i] = (uint8_t)(i * 7 + i / 65536 + i / 251);
    check(secret_random(&p->key, SECRET_KEY_SIZE) == VAULT_OK && cipher_new(&c, p->key) == VAULT_OK);
    p->object_count = (size_t)blob_chunks(size);
    check(p->object_count <= PEER_OBJECTS);
    for (size_t i = 0; i < p->object_count; i++)
        make_object(p, c, i);
    cipher_free(&c);
}

/* A busy machine must not make a test of something else one of these. */
static const struct msg_client patient = {.kind = PEER_UNIX, .head_ms = 30000, .idle_ms = 30000, .handshake_ms = 30000};
static const struct msg_client hasty = {.kind = PEER_UNIX, .head_ms = 1000, .idle_ms = 2500, .handshake_ms = 1000};

static _Noreturn void run_worker(int supervisor, int monitor, int store, int client, const struct msg_client *limits) {
    static struct worker w;
    if (worker_prepare(&w, supervisor, monitor, store) != VAULT_OK ||
        stream_open_plain(client, limits->idle_ms, &w.stream) != VAULT_OK)
        _exit(99);
    worker_limits(&w, limits);
    worker_serve(&w);
    _exit(0);
}

/* The worker's ends. */
struct ends {
    int supervisor, monitor, store, client, gate;
};

static struct ends make_ends(struct peers *p) {
    int supervisor[2], monitor[2], store[2], client[2], gate[2];
    check(channel_pair(supervisor) == VAULT_OK && channel_pair(monitor) == VAULT_OK);
    check(channel_pair(store) == VAULT_OK && channel_pair(gate) == VAULT_OK);
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
    p->supervisor = supervisor[0];
    p->monitor = monitor[0];
    p->store = store[0];
    p->gate = gate[0];
    p->client = client[0];
    return (struct ends){supervisor[1], monitor[1], store[1], client[1], gate[1]};
}

static void close_ends(const struct ends *e) {
    close(e->supervisor);
    close(e->monitor);
    close(e->store);
    close(e->client);
    close(e->gate);
}

static struct peers *peers_new(size_t size) {
    struct peers *p = calloc(1, sizeof(*p));
    check(p != NULL && secret_start() == VAULT_OK);
    p->received = malloc(PEER_RECEIVED + 1); /* and a NUL, for who reads it as text */
    p->slots = -1;
    make_file(p, size);
    return p;
}

static struct peers *start_with(size_t size, const struct msg_client *limits) {
    struct peers *p = peers_new(size);
    struct ends e = make_ends(p);
    p->child = fork();
    check(p->child >= 0);
    if (p->child == 0) {
        close(p->supervisor);
        close(p->monitor);
        close(p->store);
        close(p->client);
        close(p->gate);
        run_worker(e.supervisor, e.monitor, e.store, e.client, limits);
    }
    close_ends(&e);
    return p;
}

struct peers *peers_start(size_t size) {
    return start_with(size, &patient);
}

struct peers *peers_start_hasty(size_t size) {
    return start_with(size, &hasty);
}

/* A certificate that the gate could have: the worker wants it before it knows what kind its client is. */
static void send_certificate(struct peers *p) {
    unsigned char *der = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *c = X509_new();
    check(key != NULL && c != NULL && X509_set_version(c, 2) == 1 && X509_set_pubkey(c, key) == 1);
    check(X509_gmtime_adj(X509_getm_notBefore(c), 0) != NULL);
    check(X509_gmtime_adj(X509_getm_notAfter(c), 3600) != NULL);
    check(X509_sign(c, key, EVP_sha256()) > 0);
    int n = i2d_X509(c, &der);
    check(n > 0);
    message_init(&p->m, MSG_tls_certificate, 0);
    struct writer w = writer_of(p->m.tls_certificate.chain, sizeof(p->m.tls_certificate.chain));
    write_u32(&w, (uint32_t)n);
    write_bytes(&w, der, (size_t)n);
    p->m.tls_certificate.chain_size = (uint32_t)w.used;
    check(channel_send(p->gate, &p->m) == VAULT_OK);
    message_clear(&p->m);
    OPENSSL_free(der);
    X509_free(c);
    EVP_PKEY_free(key);
}

static void send_client(struct peers *p, int client) {
    message_init(&p->m, MSG_client, 0);
    p->m.client = patient;
    p->m.fds[0] = client;
    p->m.fd_count = 1;
    check(channel_send(p->supervisor, &p->m) == VAULT_OK);
    p->m.fd_count = 0;
    message_clear(&p->m);
}

/* Descriptors 3 to 6, in the order that the program expects. */
static _Noreturn void run_program(const struct ends *e) {
    const int given[] = {e->supervisor, e->monitor, e->store, e->gate};
    int high[4];
    for (int i = 0; i < 4; i++)
        high[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 20);
    for (int i = 0; i < 4; i++)
        dup2(high[i], 3 + i);
    execl(WORKER_PROGRAM, "vaultd-worker", (char *)NULL);
    _exit(98);
}

struct peers *peers_start_program(size_t size) {
    struct peers *p = peers_new(size);
    struct ends e = make_ends(p);
    p->child = fork();
    check(p->child >= 0);
    if (p->child == 0)
        run_program(&e);
    send_certificate(p);
    send_client(p, e.client);
    close_ends(&e);
    return p;
}

static void reply(struct peers *p, int channel) {
    check(channel_send_wait(channel, &p->m, 5000) == VAULT_OK);
    message_clear(&p->m);
}

static void start_reply(struct peers *p, enum message_type type) {
    uint64_t id = p->m.id;
    message_clear(&p->m);
    message_init(&p->m, type, id);
}

static void answer(struct peers *p, unsigned status) {
    static const char text[] = "{\"said\":\"by the monitor\"}";
    start_reply(p, MSG_answer);
    p->m.answer.status = status;
    p->m.answer.seq = 8;
    p->m.answer.request[0] = 0xab;
    p->m.answer.json_size = sizeof(text) - 1;
    copy_bytes(p->m.answer.json, sizeof(p->m.answer.json), text, sizeof(text) - 1);
    reply(p, p->monitor);
}

static struct secret *copy_key(const struct secret *key) {
    uint8_t bytes[SECRET_KEY_SIZE];
    struct secret *copy = NULL;
    copy_bytes(bytes, sizeof(bytes), secret_view(key), sizeof(bytes));
    check(secret_take(&copy, bytes, sizeof(bytes)) == VAULT_OK);
    return copy;
}

static void answer_open(struct peers *p) {
    p->opened = p->m.open;
    if (p->deny != 0) {
        answer(p, p->deny);
        return;
    }
    start_reply(p, MSG_grant);
    struct msg_grant *g = &p->m.grant;
    g->grant[0] = ++p->last_grant;
    g->request[15] = 0xcd;
    g->seq = 41;
    g->size = p->size;
    sha256(p->plain, p->size, g->sha256);
    g->chunks = (uint32_t)p->object_count;
    copy_string(g->obligations, sizeof(g->obligations), "no-secondary-findings");
    g->key = copy_key(p->key);
    reply(p, p->monitor);
}

static void answer_page_get(struct peers *p) {
    struct manifest_page page = {0};
    uint32_t number = p->m.page_get.page;
    for (size_t i = number * PAGE_CHUNKS; i < p->object_count && page.count < PAGE_CHUNKS; i++)
        page.chunks[page.count++] = p->objects[i].chunk;
    start_reply(p, MSG_page);
    struct writer w = writer_of(p->m.page.chunks, sizeof(p->m.page.chunks));
    manifest_encode(&page, &w);
    p->m.page.page = number;
    p->m.page.chunks_size = (uint32_t)w.used;
    p->m.page.tokens_size = (uint32_t)(page.count * HASH_SIZE);
    reply(p, p->monitor);
}

static void answer_upload_create(struct peers *p) {
    p->created = p->m.upload_create;
    if (p->deny != 0) {
        answer(p, p->deny);
        return;
    }
    start_reply(p, MSG_upload);
    p->m.upload.upload[0] = 0x77;
    p->m.upload.seq = 50;
    p->m.upload.key = copy_key(p->key);
    reply(p, p->monitor);
}

static void answer_upload_announce(struct peers *p) {
    check(p->announced < PEER_OBJECTS);
    COPY_ARRAY(p->announced_addresses[p->announced], p->m.upload_announce.address);
    p->announced++;
    p->held = p->m.id;
    if (!p->hold_tokens)
        release_token(p, 0);
}

void release_token(struct peers *p, uint32_t refuse) {
    check(p->held != 0);
    message_clear(&p->m);
    message_init(&p->m, MSG_status, p->held);
    p->held = 0;
    if (refuse != 0) {
        answer(p, refuse);
        return;
    }
    start_reply(p, MSG_put_token);
    reply(p, p->monitor);
}

static void answer_upload_page(struct peers *p) {
    size_t entries = p->m.upload_page.receipts_size / HASH_SIZE;
    struct manifest_page page;
    check(p->m.upload_page.page == p->pages++);
    check(manifest_decode(&page, p->m.upload_page.chunks, p->m.upload_page.chunks_size) == VAULT_OK);
    check(page.count == entries);
    for (size_t i = 0; i < entries; i++) {
        struct peer_object *o = &p->objects[p->page_entries + i];
        check(memcmp(o->chunk.address, page.chunks[i].address, HASH_SIZE) == 0);
        check(p->m.upload_page.receipts[i * HASH_SIZE] == (uint8_t)(p->page_entries + i + 1));
        o->chunk = page.chunks[i];
    }
    p->page_entries += entries;
    start_reply(p, MSG_done);
    reply(p, p->monitor);
}

static void answer_blocks(struct peers *p) {
    static const char line[] = "{\"seq\":1}\n";
    uint64_t from = p->m.type == MSG_audit_tail ? 0 : p->m.audit_records.from;
    p->other = p->m;
    start_reply(p, MSG_block);
    if (p->block_count > 0) {
        p->block_count--;
        p->m.block.next = from + 1;
        p->m.block.bytes_size = sizeof(line) - 1;
        copy_bytes(p->m.block.bytes, sizeof(p->m.block.bytes), line, sizeof(line) - 1);
    }
    reply(p, p->monitor);
}

static void serve_monitor(struct peers *p) {
    int result = channel_receive(p->monitor, &p->m);
    if (result == VAULT_E_CLOSED) {
        close(p->monitor);
        p->monitor = -1;
    }
    if (result != VAULT_OK)
        return;
    note(p, message_name(p->m.type));
    check(p->held == 0); /* a worker has one request at a time */
    if (p->silent)
        return;
    switch (p->m.type) {
    case MSG_open: answer_open(p); return;
    case MSG_page_get: answer_page_get(p); return;
    case MSG_revoked: p->revoked++; return;
    case MSG_grant_close:
        p->closed = p->m.grant_close;
        start_reply(p, MSG_done);
        reply(p, p->monitor);
        return;
    case MSG_upload_create: answer_upload_create(p); return;
    case MSG_refusal:
        p->refusals++;
        p->refusal = p->m.refusal;
        answer(p, p->deny != 0 ? p->deny : p->refusal.status);
        return;
    case MSG_upload_announce: answer_upload_announce(p); return;
    case MSG_upload_abort:
        start_reply(p, MSG_done);
        reply(p, p->monitor);
        return;
    case MSG_upload_page: answer_upload_page(p); return;
    case MSG_upload_commit:
        p->committed = p->m.upload_commit;
        answer(p, 201);
        return;
    case MSG_audit_tail:
    case MSG_audit_records:
    case MSG_audit_proofs: answer_blocks(p); return;
    default: p->other = p->m; answer(p, p->deny != 0 ? p->deny : 200);
    }
}

static void answer_object_get(struct peers *p) {
    int fd = -1;
    uint64_t size = 0;
    for (size_t i = 0; i < p->object_count; i++)
        if (memcmp(p->objects[i].chunk.address, p->m.object_get.address, HASH_SIZE) == 0)
            fd = p->objects[i].fd;
    if (fd >= 0)
        size = (uint64_t)lseek(fd, 0, SEEK_END);
    start_reply(p, MSG_object_is);
    p->m.object_is.status = fd >= 0 ? STORE_DONE : STORE_MISSING;
    p->m.object_is.size = size;
    if (fd >= 0) {
        p->m.fds[0] = dup(fd);
        p->m.fd_count = 1;
    }
    reply(p, p->store);
}

static void answer_buffers_get(struct peers *p) {
    size_t size = (size_t)PEER_SLOTS * OBJECT_MAX;
    p->slots = memfd_create("slots", MFD_CLOEXEC);
    check(p->slots >= 0 && ftruncate(p->slots, (off_t)size) == 0);
    p->slot_bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, p->slots, 0);
    check(p->slot_bytes != MAP_FAILED);
    start_reply(p, MSG_buffers);
    p->m.buffers.slots = PEER_SLOTS;
    p->m.buffers.slot_size = OBJECT_MAX;
    p->m.fds[0] = dup(p->slots);
    p->m.fd_count = 1;
    reply(p, p->store);
}

/* Keeps the object as the store would: a copy, whose hash must be what the worker says. */
static void answer_object_put(struct peers *p) {
    struct msg_object_put put = p->m.object_put;
    uint8_t hash[HASH_SIZE];
    const uint8_t *bytes = p->slot_bytes + (size_t)put.slot * OBJECT_MAX;
    check(put.slot < PEER_SLOTS && put.length <= OBJECT_MAX && p->puts < PEER_OBJECTS);
    check(p->puts < p->announced && memcmp(p->announced_addresses[p->puts], put.address, HASH_SIZE) == 0);
    sha256(bytes, put.length, hash);
    check(memcmp(hash, put.address, HASH_SIZE) == 0);
    bool fails = p->put_status != STORE_DONE && p->puts >= p->put_fails;
    struct peer_object *o = &p->objects[p->puts++];
    COPY_ARRAY(o->chunk.address, hash);
    o->fd = memfd_create("put", MFD_CLOEXEC);
    check(o->fd >= 0 && write(o->fd, bytes, put.length) == (ssize_t)put.length);
    start_reply(p, MSG_receipt);
    p->m.receipt.slot = put.slot;
    p->m.receipt.status = fails ? p->put_status : STORE_DONE;
    p->m.receipt.receipt[0] = (uint8_t)p->puts;
    reply(p, p->store);
}

static void serve_store(struct peers *p) {
    int result = channel_receive(p->store, &p->m);
    if (result == VAULT_E_CLOSED) {
        close(p->store);
        p->store = -1;
    }
    if (result != VAULT_OK)
        return;
    note(p, message_name(p->m.type));
    switch (p->m.type) {
    case MSG_object_get: answer_object_get(p); return;
    case MSG_buffers_get: answer_buffers_get(p); return;
    default: check(p->m.type == MSG_object_put); answer_object_put(p);
    }
}

static void serve_client(struct peers *p) {
    ssize_t n = read(p->client, p->received + p->received_n, PEER_RECEIVED - p->received_n);
    if (n > 0) {
        if (p->received_n == 0)
            note(p, strncmp(p->received, "HTTP/1.1 100", 12) == 0 ? "continue" : "answered");
        p->received_n += (size_t)n;
        p->received[p->received_n] = '\0';
        return;
    }
    p->reset = n < 0;
    p->ended = true;
}

/* One turn of whatever is ready; false after `ms` without anything. */
static bool serve_turn(struct peers *p, int ms) {
    struct pollfd polls[] = {{.fd = p->monitor, .events = POLLIN},
                             {.fd = p->store, .events = POLLIN},
                             {.fd = p->ended ? -1 : p->client, .events = p->saying ? POLLIN | POLLOUT : POLLIN}};
    if (poll(polls, 3, ms) <= 0)
        return false;
    if (polls[0].revents != 0)
        serve_monitor(p);
    if (polls[1].revents != 0)
        serve_store(p);
    if ((polls[2].revents & ~POLLOUT) != 0)
        serve_client(p);
    return true;
}

static void serve_or_fail(struct peers *p) {
    if (!serve_turn(p, 5000))
        fail_msg("nothing happens after: %s", p->log);
}

void say(struct peers *p, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    while (n > 0 && !p->ended) {
        ssize_t sent = send(p->client, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* the worker does not want the rest */
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
        }
        p->saying = true;
        if (!serve_turn(p, sent < 0 ? 5000 : 0) && sent < 0)
            fail_msg("nothing more is taken after: %s", p->log);
        p->saying = false;
    }
}

void say_text(struct peers *p, const char *text) {
    say(p, text, strlen(text));
}

static bool response_head(struct peers *p, struct response *r) {
    char *end = memmem(p->received, p->received_n, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    *r = (struct response){.head = p->received, .head_n = (size_t)(end - p->received) + 4, .body = end + 4};
    check(sscanf(r->head, "HTTP/1.1 %3u", &r->status) == 1);
    r->whole_n = r->head_n;
    return true;
}

static bool response_whole(struct peers *p, struct response *r, bool head_only) {
    if (!response_head(p, r))
        return false;
    if (head_only || r->status == 100)
        return true;
    char *length = memmem(r->head, r->head_n, "Content-Length: ", 16);
    if (length != NULL) {
        r->body_n = (size_t)strtoull(length + 16, NULL, 10);
    } else {
        char *end = memmem(r->body, p->received_n - r->head_n, "0\r\n\r\n", 5);
        if (end == NULL)
            return false;
        r->body_n = (size_t)(end + 5 - r->body);
    }
    r->whole_n = r->head_n + r->body_n;
    return p->received_n >= r->whole_n;
}

static struct response await(struct peers *p, bool head_only) {
    struct response r = {0};
    while (!response_whole(p, &r, head_only)) {
        if (p->ended)
            fail_msg("the connection ended after: %s", p->log);
        serve_or_fail(p);
    }
    return r;
}

struct response await_response(struct peers *p) {
    return await(p, false);
}

struct response await_head(struct peers *p) {
    return await(p, true);
}

void forget_response(struct peers *p, const struct response *r) {
    size_t left = p->received_n - r->whole_n;
    char *rest = malloc(left + 1);
    check(rest != NULL);
    copy_bytes(rest, left + 1, p->received + r->whole_n, left);
    copy_bytes(p->received, PEER_RECEIVED, rest, left);
    p->received_n = left;
    p->received[left] = '\0';
    free(rest);
}

void await_end(struct peers *p) {
    while (!p->ended)
        serve_or_fail(p);
}

void await_log(struct peers *p, const char *name) {
    while (strstr(p->log, name) == NULL)
        serve_or_fail(p);
}

bool log_has(const struct peers *p, const char *first, const char *second) {
    const char *at = strstr(p->log, first);
    return at != NULL && strstr(at + strlen(first), second) != NULL;
}

bool head_has(const struct response *r, const char *text) {
    return memmem(r->head, r->head_n, text, strlen(text)) != NULL;
}

void send_revocation(struct peers *p, uint8_t n) {
    message_init(&p->m, MSG_revoke, 0);
    p->m.revoke.grant[0] = n;
    reply(p, p->monitor);
}

bool stored_is(struct peers *p, const uint8_t *plain, size_t n) {
    static uint8_t sealed[OBJECT_MAX];
    static uint8_t opened[SEGMENT_PLAIN];
    struct cipher *c = NULL;
    size_t at = 0;
    check(cipher_new(&c, p->key) == VAULT_OK);
    for (size_t i = 0; i < p->page_entries; i++) {
        const struct chunk *chunk = &p->objects[i].chunk;
        check(pread(p->objects[i].fd, sealed, OBJECT_MAX, 0) == (ssize_t)chunk->length);
        for (size_t s = 0; s * SEGMENT_SEALED < chunk->length; s++) {
            size_t left = chunk->length - s * SEGMENT_SEALED;
            size_t piece = left < SEGMENT_SEALED ? left : SEGMENT_SEALED;
            check(segment_open(c, chunk->base, (uint32_t)s, sealed + s * SEGMENT_SEALED, piece, opened) == VAULT_OK);
            piece -= SEGMENT_OVERHEAD;
            if (at + piece > n || memcmp(opened, plain + at, piece) != 0)
                return false;
            at += piece;
        }
    }
    cipher_free(&c);
    return at == n;
}

void await_gone(struct peers *p) {
    while (p->monitor >= 0 && serve_turn(p, 5000))
        continue;
}

int peers_stop(struct peers *p) {
    int status = 0;
    if (p->client >= 0)
        shutdown(p->client, SHUT_WR);
    await_gone(p);
    check(waitpid(p->child, &status, 0) == p->child);
    close(p->client);
    close(p->supervisor);
    close(p->monitor);
    close(p->store);
    close(p->gate);
    for (size_t i = 0; i < PEER_OBJECTS; i++)
        if (p->objects[i].fd > 0)
            close(p->objects[i].fd);
    if (p->slots >= 0) {
        munmap(p->slot_bytes, (size_t)PEER_SLOTS * OBJECT_MAX);
        close(p->slots);
    }
    message_clear(&p->m);
    secret_free(&p->key);
    free(p->plain);
    free(p->received);
    free(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
