/* Audit lines: one block as it is, or many in the chunked coding. */
#include <stdlib.h>
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

int serve_metrics(struct exchange *x) {
    struct reply r;
    if (ask(x->w, MSG_block) != VAULT_OK)
        return reply_relay(x);
    reply_start(&r, x, 200);
    reply_field(&r, "Content-Type", "text/plain; version=0.0.4");
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

static int send_block(struct exchange *x, const struct msg_block *b) {
    char size[20];
    if (b->bytes_size == 0)
        return VAULT_OK;
    format_string(size, sizeof(size), "%x\r\n", b->bytes_size);
    int result = connection_write(x->w, size, strlen(size));
    if (result == VAULT_OK)
        result = connection_write(x->w, b->bytes, b->bytes_size);
    return result == VAULT_OK ? connection_write(x->w, "\r\n", 2) : result;
}

/* The block that came, out of the way of the next. */
static const struct msg_block *take_block(const struct worker *w) {
    static struct msg_block taken;
    const struct msg_block *b = &w->reply.block;
    taken.bytes_size = b->bytes_size;
    copy_bytes(taken.bytes, sizeof(taken.bytes), b->bytes, b->bytes_size);
    return &taken;
}

/* Records and proofs have the same fields, and so have their answers. */
_Static_assert(offsetof(struct msg_audit_records, from) == offsetof(struct msg_audit_proofs, from) &&
                   offsetof(struct msg_audit_records, to) == offsetof(struct msg_audit_proofs, to) &&
                   offsetof(struct msg_audit_records, tree) == offsetof(struct msg_audit_proofs, tree),
               "records and proofs are asked for alike");

/* Sends the block in w->reply and all behind it; while one is sent, the monitor makes the next. VAULT_DENIED: it
 * stopped in the middle. */
static int send_blocks(struct exchange *x, struct msg_audit_records *range) {
    int result = VAULT_OK;
    uint64_t next;
    do {
        const struct msg_block *now = take_block(x->w);
        next = next_start(x->w, range->from, range->to);
        if (next != 0) {
            range->from = next;
            ask_start(x->w, x->route->type);
            x->w->request.audit_records = *range;
            ask_ahead(x->w);
        }
        result = send_block(x, now);
        int asked = next != 0 ? ask_end(x->w, MSG_block) : VAULT_OK;
        result = result == VAULT_OK ? asked : result;
    } while (result == VAULT_OK && next != 0);
    return result;
}

static int start_lines(struct exchange *x) {
    struct reply r;
    reply_start(&r, x, 200);
    reply_field(&r, "Content-Type", "application/jsonl");
    reply_field(&r, "Transfer-Encoding", "chunked");
    return reply_send_head(x, &r);
}

static int end_lines(struct exchange *x, int result) {
    if (result == VAULT_OK)
        return connection_write(x->w, "0\r\n\r\n", 5);
    if (result != VAULT_DENIED)
        return result;
    stream_abort(&x->w->stream); /* the client must not take it for whole */
    return VAULT_E_CLOSED;
}

int serve_audit_range(struct exchange *x) {
    struct msg_audit_records range = x->w->request.audit_records;
    if (ask(x->w, MSG_block) != VAULT_OK)
        return reply_relay(x);
    int result = start_lines(x);
    if (result != VAULT_OK || x->head_only)
        return result;
    return end_lines(x, send_blocks(x, &range));
}

/* ---- of one subject or service ---- */

/* The numbers of its records, the last first. */
struct numbers {
    uint64_t *of; /* owned */
    size_t count, room;
};

static int take_numbers(struct numbers *n, const struct msg_block *b) {
    size_t more = b->bytes_size / sizeof(uint64_t);
    if (n->count + more > n->room) {
        size_t room = n->room * 2 + more;
        uint64_t *of = realloc(n->of, room * sizeof(*of));
        if (of == NULL)
            return VAULT_E_MEMORY;
        n->of = of;
        n->room = room;
    }
    for (size_t i = 0; i < more; i++)
        n->of[n->count++] = get_be64(b->bytes + i * sizeof(uint64_t));
    return VAULT_OK;
}

/* VAULT_DENIED: w->reply is to be relayed. */
static int ask_numbers(struct worker *w, const struct msg_audit_chain *wanted, struct numbers *n) {
    struct msg_audit_chain c = *wanted;
    for (c.before = 0;; c.before = w->reply.block.next) {
        ask_start(w, MSG_audit_chain);
        w->request.audit_chain = c;
        int result = ask(w, MSG_block);
        if (result == VAULT_OK)
            result = take_numbers(n, &w->reply.block);
        if (result != VAULT_OK || w->reply.block.next == 0)
            return result;
        if (c.before != 0 && w->reply.block.next >= c.before)
            worker_fault(w, "a chain of audit records that leads nowhere", VAULT_E_PROTOCOL);
    }
}

/* The next of them, the first first; as many as one request holds. */
static void ask_for_next(struct worker *w, const struct numbers *n, size_t left, uint64_t tree, bool proofs) {
    struct msg_audit_lines *l = &w->request.audit_lines;
    ask_start(w, MSG_audit_lines);
    struct writer numbers = writer_of(l->numbers, sizeof(l->numbers));
    for (; left > 0 && numbers.used + sizeof(uint64_t) <= sizeof(l->numbers); left--) {
        uint8_t number[sizeof(uint64_t)];
        put_be64(number, n->of[left - 1]);
        write_bytes(&numbers, number, sizeof(number));
    }
    l->numbers_size = (uint32_t)numbers.used;
    l->tree = tree;
    l->proofs = proofs;
}

/* How many of the numbers that are left the block in w->reply is of. */
static size_t count_of(struct worker *w, size_t left) {
    uint64_t came = w->reply.block.next;
    if (came == 0 || came > left)
        worker_fault(w, "a block of audit records that leads nowhere", VAULT_E_PROTOCOL);
    return (size_t)came;
}

/* As send_blocks. */
static int send_numbered(struct exchange *x, bool proofs, const struct numbers *n, uint64_t tree) {
    size_t left = n->count;
    if (left == 0)
        return VAULT_OK;
    ask_for_next(x->w, n, left, tree, proofs);
    int result = ask(x->w, MSG_block);
    while (result == VAULT_OK && left > 0) {
        const struct msg_block *now = take_block(x->w);
        left -= count_of(x->w, left);
        if (left > 0) {
            ask_for_next(x->w, n, left, tree, proofs);
            ask_ahead(x->w);
        }
        result = send_block(x, now);
        int asked = left > 0 ? ask_end(x->w, MSG_block) : VAULT_OK;
        result = result == VAULT_OK ? asked : result;
    }
    return result;
}

static int send_chain(struct exchange *x, bool proofs, const struct numbers *n, uint64_t tree) {
    int result = start_lines(x);
    return result != VAULT_OK || x->head_only ? result : end_lines(x, send_numbered(x, proofs, n, tree));
}

static int serve_chain(struct exchange *x, bool proofs) {
    struct msg_audit_chain wanted = x->w->request.audit_chain;
    struct numbers n = {0};
    uint64_t tree = wanted.before;
    int result = ask_numbers(x->w, &wanted, &n);
    if (result == VAULT_OK)
        result = send_chain(x, proofs, &n, tree);
    else if (result == VAULT_DENIED)
        result = reply_relay(x);
    else
        result = reply_refusal(x, 413, "too-many", "more records than can be sent at once: ask for a part of them");
    free(n.of);
    return result;
}

int serve_audit_chain(struct exchange *x) {
    return serve_chain(x, false);
}

int serve_audit_chain_proofs(struct exchange *x) {
    return serve_chain(x, true);
}
