/* Files to another data key, one after the other, without a client: each is read as a client would read it and
 * deposited anew. The plaintext is nowhere but here, a segment at a time. */
#include "ask.h"
#include "upload.h"
#include "vault/result.h"

/* The next file's grant. VAULT_DENIED: there is none, or not now. */
static int next_file(struct worker *w, struct grant **ret) {
    const struct msg_open question = {.action = OPEN_READ};
    ask_start(w, MSG_rekey_next);
    int result = ask(w, MSG_grant);
    if (result != VAULT_OK)
        return result;
    if (w->reply.grant.chunks != blob_chunks(w->reply.grant.size))
        worker_fault(w, "a grant with a wrong number of chunks", VAULT_E_PROTOCOL);
    *ret = grants_free_place(&w->grants);
    result = grants_add(&w->grants, *ret, &question, "", &w->reply.grant);
    message_clear(&w->reply);
    if (result != VAULT_OK)
        worker_fault(w, "a grant's key could not be used", result);
    return VAULT_OK;
}

static int create(struct worker *w, const struct grant *grant, struct upload *u) {
    ask_start(w, MSG_rekey_create);
    COPY_ARRAY(w->request.rekey_create.grant, grant->id);
    int result = ask(w, MSG_upload);
    return result == VAULT_OK ? upload_start(u, w) : result;
}

/* Both manifests have their pages at the same places, so that when the next page to read is asked for, the page that
 * was written has been taken, and nothing is announced: a worker has one request at the monitor at a time. */
static int copy_content(struct worker *w, struct grant *grant, struct upload *u) {
    uint64_t segments = (grant->size + SEGMENT_PLAIN - 1) / SEGMENT_PLAIN;
    int result = VAULT_OK;
    for (uint64_t at = 0; at < segments && result == VAULT_OK; at++) {
        const uint8_t *plain = NULL;
        size_t n = 0;
        result = content_segment(w, grant, at, segments - 1, &plain, &n);
        if (result == VAULT_OK)
            result = upload_add(u, plain, n);
    }
    return result;
}

static uint8_t outcome_of(const struct upload *u, int result) {
    if (result == VAULT_OK)
        return REKEY_DONE;
    if (result == VAULT_E_DAMAGED)
        return REKEY_DAMAGED;
    return u->store_status == STORE_FULL || result == VAULT_DENIED ? REKEY_FULL : REKEY_FAILED;
}

/* Tells the monitor what came of it, and forgets both keys. */
static int end_file(struct worker *w, struct grant *grant, struct upload *u, int result,
                    const uint8_t sha256[HASH_SIZE]) {
    upload_settle(u);
    ask_start(w, MSG_rekey_end);
    struct msg_rekey_end *end = &w->request.rekey_end;
    COPY_ARRAY(end->grant, grant->id);
    COPY_ARRAY(end->upload, u->id);
    end->outcome = outcome_of(u, result);
    end->size = u->size;
    copy_bytes(end->sha256, sizeof(end->sha256), sha256, HASH_SIZE);
    COPY_ARRAY(end->address, grant->damaged);
    content_drop(&w->content, grant->id);
    grants_forget(grant);
    upload_end(u);
    return ask(w, MSG_done);
}

static int rekey_file(struct worker *w, struct grant *grant) {
    static struct upload u; /* its keys go with its end */
    uint8_t sha256[HASH_SIZE] = {0};
    u = (struct upload){.w = w};
    int result = create(w, grant, &u);
    if (result == VAULT_OK)
        result = copy_content(w, grant, &u);
    if (result == VAULT_OK)
        result = upload_flush(&u, sha256);
    return end_file(w, grant, &u, result, sha256);
}

void worker_rekey(struct worker *w) {
    enum { FILES = 64 }; /* what its uploads announced is cleaned when it has ended */
    struct grant *grant = NULL;
    for (unsigned n = 0; n < FILES && next_file(w, &grant) == VAULT_OK; n++) {
        worker_use(w, grant->id); /* revoked means that this process ends */
        int result = rekey_file(w, grant);
        worker_use(w, NULL);
        if (result != VAULT_OK)
            return;
    }
}
