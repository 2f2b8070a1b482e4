/* What workers ask for. Nothing in a request is believed but what a token proves; who asks is known by the channel. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk.h"
#include "store_internal.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/segment.h"

/* Bytes of a slot: the largest object, in whole pages. */
static uint32_t slot_size(void) {
    uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
    return (OBJECT_MAX + page - 1) / page * page;
}

/* Sends what is in s->out; false: the worker is gone, by itself or since it does not read its answers, and s->out has
 * been cleared. */
static bool answer(struct store_worker *w) {
    int result = channel_send(w->channel, &w->store->out);
    if (result == VAULT_OK)
        return true;
    message_clear(&w->store->out); /* worker_kill uses it */
    if (result == VAULT_E_CLOSED)
        worker_drop(w);
    else
        worker_kill(w, result == VAULT_E_LIMIT ? WORKER_MISBEHAVED : WORKER_FAULTY);
    return false;
}

static void answer_object_get(struct store_worker *w, const struct message *m) {
    struct store *s = w->store;
    struct token_claim claim = {.kind = TOKEN_GET, .worker = w->number};
    COPY_ARRAY(claim.address, m->object_get.address);
    int file = -1;
    uint64_t size = 0;
    int result = VAULT_DENIED;
    if (token_check(s->key, &claim, m->object_get.token))
        result = disk_open(writers_disk(s->writers), m->object_get.address, &file, &size);
    message_init(&s->out, MSG_object_is, m->id);
    s->out.object_is.status = result == VAULT_OK          ? STORE_DONE
                              : result == VAULT_DENIED    ? STORE_REFUSED
                              : result == VAULT_NOT_FOUND ? STORE_MISSING
                                                          : STORE_FAILED;
    s->out.object_is.size = size;
    s->out.fds[0] = file;
    s->out.fd_count = result == VAULT_OK ? 1 : 0;
    answer(w);
    message_clear(&s->out);
}

/* Shared memory whose size neither side can change, so that no read of it can fault or fall short. */
static int make_memory(int *ret) {
    int memory = memfd_create("vault-chunks", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0)
        return VAULT_E_IO;
    if (ftruncate(memory, (off_t)STORE_SLOTS * slot_size()) != 0 ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        close(memory);
        return VAULT_E_IO;
    }
    *ret = memory;
    return VAULT_OK;
}

static void answer_buffers_get(struct store_worker *w, const struct message *m) {
    struct store *s = w->store;
    struct token_claim claim = {.kind = TOKEN_BUFFERS, .worker = w->number};
    COPY_ARRAY(claim.upload, m->buffers_get.upload);
    if (w->memory >= 0) {
        worker_kill(w, WORKER_MISBEHAVED);
        return;
    }
    int memory = -1;
    message_init(&s->out, MSG_buffers, m->id);
    s->out.buffers.status = STORE_REFUSED;
    if (token_check(s->key, &claim, m->buffers_get.token)) {
        bool made = make_memory(&memory) == VAULT_OK;
        if (!made)
            log_error("shared buffers cannot be made: error=%s", strerrorname_np(errno));
        s->out.buffers.status = made ? STORE_DONE : STORE_FAILED;
    }
    if (s->out.buffers.status == STORE_DONE) {
        s->out.buffers.slots = STORE_SLOTS;
        s->out.buffers.slot_size = slot_size();
        s->out.fds[0] = memory;
        s->out.fd_count = 1;
    }
    if (answer(w)) {
        w->memory = memory;
        s->out.fds[0] = -1;
    }
    message_clear(&s->out);
}

/* A receipt only if done. */
static void send_receipt(struct store_worker *w, uint64_t request, uint8_t slot, enum store_status status,
                         struct token_claim *claim) {
    struct store *s = w->store;
    message_init(&s->out, MSG_receipt, request);
    s->out.receipt.status = (uint8_t)status;
    s->out.receipt.slot = slot;
    claim->kind = TOKEN_RECEIPT;
    if (status == STORE_DONE)
        token_make(s->key, claim, s->out.receipt.receipt);
    answer(w);
    message_clear(&s->out);
}

/* Hands the put to the writers, with a descriptor of its own: the worker may go before it is done. */
static int start_put(struct store_worker *w, const struct message *m) {
    struct job *j = NULL;
    int result = job_new(&j, JOB_PUT, m->id, m->object_put.address);
    if (result != VAULT_OK)
        return result;
    j->worker = w->number;
    COPY_ARRAY(j->upload, m->object_put.upload);
    j->slot = m->object_put.slot;
    j->length = m->object_put.length;
    j->offset = (off_t)m->object_put.slot * slot_size();
    j->memory = fcntl(w->memory, F_DUPFD_CLOEXEC, 0);
    if (j->memory < 0) {
        log_error("shared buffer cannot be kept: error=%s", strerrorname_np(errno));
        job_free(&j);
        return VAULT_E_IO;
    }
    w->busy[j->slot] = true;
    writers_add(w->store->writers, j);
    return VAULT_OK;
}

static void answer_object_put(struct store_worker *w, const struct message *m) {
    uint8_t slot = m->object_put.slot;
    uint32_t length = m->object_put.length;
    if (w->memory < 0 || slot >= STORE_SLOTS || w->busy[slot] || object_plain(length) == 0) {
        worker_kill(w, WORKER_MISBEHAVED);
        return;
    }
    struct token_claim claim = {.kind = TOKEN_PUT, .worker = w->number, .length = length};
    COPY_ARRAY(claim.upload, m->object_put.upload);
    COPY_ARRAY(claim.address, m->object_put.address);
    if (!token_check(w->store->key, &claim, m->object_put.token))
        send_receipt(w, m->id, slot, STORE_REFUSED, &claim);
    else if (start_put(w, m) != VAULT_OK)
        send_receipt(w, m->id, slot, STORE_FAILED, &claim);
}

void answer_finished_put(struct store *s, const struct job *j) {
    struct store_worker *w = s->workers;
    while (w != NULL && w->number != j->worker)
        w = w->next;
    if (w == NULL)
        return;
    struct token_claim claim = {.kind = TOKEN_RECEIPT, .worker = j->worker, .length = j->length};
    COPY_ARRAY(claim.upload, j->upload);
    COPY_ARRAY(claim.address, j->address);
    w->busy[j->slot] = false;
    send_receipt(w, j->request, j->slot, j->status, &claim);
}

static void handle_request(struct store_worker *w, const struct message *m) {
    switch (m->type) {
    case MSG_object_get: answer_object_get(w, m); return;
    case MSG_buffers_get: answer_buffers_get(w, m); return;
    case MSG_object_put: answer_object_put(w, m); return;
    default: worker_kill(w, WORKER_MISBEHAVED);
    }
}

/* One request a turn, so that no worker keeps the others waiting. */
static void on_worker(void *context) {
    struct store_worker *w = context;
    struct message *m = &w->store->in;
    int result = channel_receive(w->channel, m);
    switch (result) {
    case VAULT_OK:
        handle_request(w, m);
        message_clear(m);
        return;
    case VAULT_AGAIN: return;
    case VAULT_E_CLOSED: worker_drop(w); return;
    case VAULT_E_PROTOCOL: worker_kill(w, WORKER_MISBEHAVED); return;
    default: worker_kill(w, WORKER_FAULTY);
    }
}

int worker_watch(struct store_worker *w) {
    return loop_add(w->store->loop, w->channel, 2, on_worker, w, &w->watch);
}
