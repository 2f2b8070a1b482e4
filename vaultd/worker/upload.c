#include "upload.h"

#include <sodium.h>

#include "control.h"
#include "vault/loop.h"
#include "vault/result.h"

static int digest_start(EVP_MD_CTX *context) {
    return EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}

static int digest_add(EVP_MD_CTX *context, const void *bytes, size_t n) {
    return EVP_DigestUpdate(context, bytes, n) == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}

static int digest_end(EVP_MD_CTX *context, uint8_t ret_hash[HASH_SIZE]) {
    return EVP_DigestFinal_ex(context, ret_hash, NULL) == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}

int upload_start(struct upload *u, struct worker *w) {
    struct msg_upload *granted = &w->reply.upload;
    uint8_t token[HASH_SIZE];
    *u = (struct upload){.w = w};
    w->writing = u;
    COPY_ARRAY(u->id, granted->upload);
    COPY_ARRAY(token, granted->token);
    int result = cipher_new(&u->cipher, granted->key);
    message_clear(&w->reply);
    u->whole = EVP_MD_CTX_new();
    u->object = EVP_MD_CTX_new();
    if (result == VAULT_OK && (u->whole == NULL || u->object == NULL))
        result = VAULT_E_MEMORY;
    if (result == VAULT_OK)
        result = digest_start(u->whole);
    return result == VAULT_OK ? ask_buffers(w, u->id, token) : result;
}

void upload_take_receipt(struct upload *u) {
    struct worker *w = u->w;
    const struct msg_receipt *receipt = &w->reply.receipt;
    if (w->reply.type != MSG_receipt || receipt->slot >= w->slots.count || u->slots[receipt->slot].put == 0 ||
        u->slots[receipt->slot].put != w->reply.id)
        worker_fault(w, "a receipt for nothing that was put", VAULT_E_PROTOCOL);
    size_t at = u->slots[receipt->slot].entry * HASH_SIZE;
    copy_bytes(u->receipts + at, sizeof(u->receipts) - at, receipt->receipt, HASH_SIZE);
    u->slots[receipt->slot].put = 0;
    if (u->store_status == STORE_DONE)
        u->store_status = receipt->status;
}

static void await_receipt(struct upload *u) {
    store_receive(u->w);
    upload_take_receipt(u);
}

static bool puts_under_way(const struct upload *u) {
    for (size_t i = 0; i < SLOTS_MAX; i++)
        if (u->slots[i].put != 0)
            return true;
    return false;
}

static int await_receipts(struct upload *u) {
    while (puts_under_way(u))
        await_receipt(u);
    return u->store_status == STORE_DONE ? VAULT_OK : VAULT_E_IO;
}

/* Announces the page's newest entry, which is in this slot, to the monitor; its answer permits the put. */
static void announce(struct upload *u, const struct chunk *chunk) {
    struct worker *w = u->w;
    ask_start(w, MSG_upload_announce);
    COPY_ARRAY(w->request.upload_announce.upload, u->id);
    COPY_ARRAY(w->request.upload_announce.address, chunk->address);
    w->request.upload_announce.length = chunk->length;
    u->announced = monitor_send(w);
    u->announced_slot = u->slot;
    u->slots[u->slot].entry = u->entries.count - 1;
}

static void put(struct upload *u, uint32_t slot, const uint8_t token[HASH_SIZE]) {
    struct worker *w = u->w;
    const struct chunk *chunk = &u->entries.chunks[u->slots[slot].entry];
    ask_start(w, MSG_object_put);
    struct msg_object_put *m = &w->request.object_put;
    m->slot = (uint8_t)slot;
    m->length = chunk->length;
    COPY_ARRAY(m->upload, u->id);
    COPY_ARRAY(m->address, chunk->address);
    copy_bytes(m->token, sizeof(m->token), token, HASH_SIZE);
    u->slots[slot].put = store_send(w);
}

/* An `answer` that refuses an announcement, until who adds to the upload can relay it. */
static struct message *refusal(void) {
    static struct message m;
    return &m;
}

bool upload_take_answer(struct upload *u, struct message *m) {
    uint8_t token[HASH_SIZE];
    if (u->announced == 0 || m->id != u->announced)
        return false;
    if (m->type != MSG_put_token && m->type != MSG_answer)
        worker_fault(u->w, "the monitor gave another kind of answer", VAULT_E_PROTOCOL);
    u->announced = 0;
    u->refused = m->type == MSG_answer;
    if (u->refused) {
        *refusal() = *m;
        m->fd_count = 0; /* moved */
    } else {
        COPY_ARRAY(token, m->put_token.token);
        put(u, u->announced_slot, token);
    }
    message_clear(m);
    return true;
}

static int tell_refusal(struct upload *u) {
    if (!u->refused)
        return VAULT_OK;
    u->refused = false;
    message_clear(&u->w->reply);
    u->w->reply = *refusal();
    wipe(refusal(), sizeof(*refusal()));
    return VAULT_DENIED;
}

/* Between two segments: a put begins when it may, and not when the next slot is full. */
static int look_for_answer(struct upload *u) {
    if (u->announced != 0)
        control_check(u->w);
    return tell_refusal(u);
}

/* Waits for it, if it is still to come: a worker has one request at the monitor at a time. */
static int await_answer(struct upload *u) {
    uint64_t until = loop_now_ms() + ANSWER_MS;
    while (u->announced != 0) {
        int result = control_wait(u->w, u->w->monitor, until);
        if (result < 0)
            worker_fault(u->w, "no answer from the monitor", result);
        control_check(u->w);
    }
    return tell_refusal(u);
}

/* Sends the page, with every receipt, to the monitor. */
static int send_page(struct upload *u) {
    struct worker *w = u->w;
    int result = await_answer(u);
    if (result == VAULT_OK)
        result = await_receipts(u);
    if (result != VAULT_OK || u->entries.count == 0)
        return result;
    ask_start(w, MSG_upload_page);
    struct msg_upload_page *m = &w->request.upload_page;
    struct writer chunks = writer_of(m->chunks, sizeof(m->chunks));
    manifest_encode(&u->entries, &chunks);
    COPY_ARRAY(m->upload, u->id);
    m->page = u->page++;
    m->chunks_size = (uint32_t)chunks.used;
    m->receipts_size = (uint32_t)(u->entries.count * HASH_SIZE);
    copy_bytes(m->receipts, sizeof(m->receipts), u->receipts, m->receipts_size);
    u->entries.count = 0;
    return chunks.bad ? VAULT_E_STATE : ask(w, MSG_done);
}

/* The slot is full, or the content is over: it is announced, and the next slot is filled. */
static int close_chunk(struct upload *u) {
    struct chunk *chunk = &u->entries.chunks[u->entries.count];
    chunk->length = u->filled;
    COPY_ARRAY(chunk->base, u->base);
    int result = digest_end(u->object, chunk->address);
    if (result == VAULT_OK)
        result = await_answer(u); /* of the one before */
    if (result != VAULT_OK)
        return result;
    u->entries.count++;
    announce(u, chunk);
    u->slot = (u->slot + 1) % u->w->slots.count;
    u->filled = 0;
    u->segments = 0;
    return u->entries.count == PAGE_CHUNKS ? send_page(u) : VAULT_OK;
}

/* A fresh base for every attempt; the slot, of two or more and not the one announced, is free once the store has what
 * was in it. */
static int start_chunk(struct upload *u) {
    while (u->slots[u->slot].put != 0)
        await_receipt(u);
    if (u->store_status != STORE_DONE)
        return VAULT_E_IO;
    randombytes_buf(u->base, sizeof(u->base));
    return digest_start(u->object);
}

int upload_add(struct upload *u, const uint8_t *plain, size_t n) {
    int result = look_for_answer(u);
    if (result == VAULT_OK && u->segments == 0)
        result = start_chunk(u);
    if (result != VAULT_OK)
        return result;
    uint8_t *to = slots_at(&u->w->slots, u->slot) + u->filled;
    result = segment_seal(u->cipher, u->base, u->segments, plain, n, to);
    if (result == VAULT_OK)
        result = digest_add(u->whole, plain, n);
    if (result == VAULT_OK)
        result = digest_add(u->object, to, n + SEGMENT_OVERHEAD);
    if (result != VAULT_OK)
        return result;
    u->filled += (uint32_t)n + SEGMENT_OVERHEAD;
    u->size += n;
    u->segments++;
    return u->segments == CHUNK_SEGMENTS ? close_chunk(u) : VAULT_OK;
}

int upload_flush(struct upload *u, uint8_t ret_sha256[HASH_SIZE]) {
    int result = u->segments > 0 ? close_chunk(u) : VAULT_OK;
    if (result == VAULT_OK)
        result = send_page(u);
    return result == VAULT_OK ? digest_end(u->whole, ret_sha256) : result;
}

int upload_finish(struct upload *u) {
    struct worker *w = u->w;
    uint8_t sha256[HASH_SIZE];
    int result = upload_flush(u, sha256);
    if (result != VAULT_OK)
        return result;
    ask_start(w, MSG_upload_commit);
    COPY_ARRAY(w->request.upload_commit.upload, u->id);
    w->request.upload_commit.size = u->size;
    COPY_ARRAY(w->request.upload_commit.sha256, sha256);
    return ask(w, MSG_answer);
}

void upload_settle(struct upload *u) {
    (void)await_answer(u);
    (void)await_receipts(u);
}

void upload_abort(struct upload *u, const char *reason) {
    upload_settle(u);
    ask_start(u->w, MSG_upload_abort);
    COPY_ARRAY(u->w->request.upload_abort.upload, u->id);
    copy_string(u->w->request.upload_abort.reason, sizeof(u->w->request.upload_abort.reason), reason);
    /* An `answer` says that it could not be recorded; the monitor drops the upload when this worker is gone. */
    (void)ask(u->w, MSG_done);
}

void upload_end(struct upload *u) {
    u->w->writing = NULL;
    cipher_free(&u->cipher);
    EVP_MD_CTX_free(u->whole);
    EVP_MD_CTX_free(u->object);
    wipe(u, sizeof(*u));
}
