/* Audit lines: one block as it is, or many in the chunked coding. */
#include <string.h>

#include "ask.h"
#include "connection.h"
#include "http_reply.h"
#include "route.h"
#include "vault/result.h"

enum { TAIL_DEFAULT = 20 };

int serve_audit_tail(struct exchange *x) {
    struct reply r;
    if (x->head.query.n == 0)
        x->w->request.audit_tail.count = TAIL_DEFAULT;
    if (ask(x->w, MSG_block) != VAULT_OK)
        return reply_relay(x);
    reply_start(&r, x, 200);
    reply_field(&r, "Content-Type", "application/jsonl");
    return reply_send(x, &r, x->w->reply.block.bytes, x->w->reply.block.bytes_size);
}

/* Where the next block starts; 0: there is none. A block without lines ends the range. */
static uint64_t next_start(struct worker *w, uint64_t from, uint64_t to) {
    const struct msg_block *b = &w->reply.block;
    if (b->bytes_size == 0 || b->next >= to)
        return 0;
    if (b->next <= from)
        worker_fault(w, "a block of audit records that leads nowhere", VAULT_E_PROTOCOL);
    return b->next;
}

static int send_block(struct exchange *x) {
    char size[20];
    const struct msg_block *b = &x->w->reply.block;
    if (b->bytes_size == 0)
        return VAULT_OK;
    format_string(size, sizeof(size), "%x\r\n", b->bytes_size);
    int result = connection_write(x->w, size, strlen(size));
    if (result == VAULT_OK)
        result = connection_write(x->w, b->bytes, b->bytes_size);
    return result == VAULT_OK ? connection_write(x->w, "\r\n", 2) : result;
}

/* Records and proofs have the same fields, and so have their answers. */
_Static_assert(offsetof(struct msg_audit_records, from) == offsetof(struct msg_audit_proofs, from) &&
                   offsetof(struct msg_audit_records, to) == offsetof(struct msg_audit_proofs, to) &&
                   offsetof(struct msg_audit_records, tree) == offsetof(struct msg_audit_proofs, tree),
               "records and proofs are asked for alike");

/* Sends the block in w->reply and all behind it. VAULT_DENIED: the monitor stopped in the middle. */
static int send_blocks(struct exchange *x, struct msg_audit_records *range) {
    int result = send_block(x);
    uint64_t next = next_start(x->w, range->from, range->to);
    while (result == VAULT_OK && next != 0) {
        range->from = next;
        ask_start(x->w, x->route->type);
        x->w->request.audit_records = *range;
        result = ask(x->w, MSG_block);
        if (result == VAULT_OK)
            result = send_block(x);
        if (result == VAULT_OK)
            next = next_start(x->w, range->from, range->to);
    }
    return result == VAULT_OK ? connection_write(x->w, "0\r\n\r\n", 5) : result;
}

int serve_audit_range(struct exchange *x) {
    struct msg_audit_records range = x->w->request.audit_records;
    struct reply r;
    if (ask(x->w, MSG_block) != VAULT_OK)
        return reply_relay(x);
    reply_start(&r, x, 200);
    reply_field(&r, "Content-Type", "application/jsonl");
    reply_field(&r, "Transfer-Encoding", "chunked");
    int result = reply_send_head(x, &r);
    if (result != VAULT_OK || x->head_only)
        return result;
    result = send_blocks(x, &range);
    if (result == VAULT_DENIED) {
        stream_abort(&x->w->stream); /* the client must not take it for whole */
        return VAULT_E_CLOSED;
    }
    return result;
}
