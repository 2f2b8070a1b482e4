/* Reading: the decision, the grant, its pages, its end. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/failures.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vault/token.h"

enum { GRANTS_PER_WORKER = 32 }; /* an honest worker keeps half of that */

/* A blob says whose it is; its key by way of that subject's. VAULT_E_DAMAGED when any link of the chain is. */
static int data_key(struct monitor *m, const struct subject_value *s, const uint8_t blob_id[ID_SIZE],
                    const struct blob_value *blob, struct secret **ret) {
    uint8_t subject[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, s->subject, NULL, subject);
    if (memcmp(subject, blob->subject, HASH_SIZE) != 0)
        return VAULT_E_DAMAGED;
    return data_key_open(m, s, blob_id, blob->generation, blob->key, ret);
}

static int record_open(struct request *q, const struct inquiry *i, const char *purpose, uint64_t *ret_seq) {
    const struct msg_open *o = &q->message->open;
    bool permitted = i->decision.verdict == VERDICT_PERMIT;
    bool reads = o->action == OPEN_READ;
    char range[64] = "";
    if (o->extent == EXTENT_SPAN)
        (void)format_string(range, sizeof(range), "range %llu-%llu", (unsigned long long)o->from,
                            (unsigned long long)o->to);
    else if (o->extent == EXTENT_LAST)
        (void)format_string(range, sizeof(range), "last %llu bytes", (unsigned long long)o->to);
    struct event e = {.name = reads ? "read" : "metadata",
                      .outcome = permitted ? "permitted" : "denied",
                      .asker = &q->asker,
                      .subject = i->subject_known ? i->subject.subject : NULL,
                      .file = i->file_known ? i->file.file : NULL,
                      .request = q->id,
                      .action = 'R',
                      .purpose = purpose,
                      .question = &i->question,
                      .decision = &i->decision,
                      .consent = i->subject.version,
                      .detail = range,
                      .state = permitted && reads ? REQUEST_RUNNING : REQUEST_ENDED,
                      .status = permitted                 ? 0
                                : i->decision.over_budget ? 1
                                                          : 3};
    return journal(q->monitor, &e, ret_seq);
}

static void describe(struct msg_grant *g, const struct request *q, const struct inquiry *i,
                     const struct blob_value *blob, uint64_t seq) {
    COPY_ARRAY(g->request, q->id);
    g->seq = seq;
    COPY_ARRAY(g->file, i->file.file);
    g->size = i->file.size;
    COPY_ARRAY(g->sha256, i->file.sha256);
    g->chunks = blob->chunks;
    (void)obligations_text(&i->decision, g->obligations, sizeof(g->obligations));
}

static int remember(struct request *q, const struct inquiry *i, const struct purpose *p, const char *purpose,
                    const struct blob_value *blob, struct msg_grant *message) {
    struct grant g = {.worker = q->worker->number, .purpose = *p, .chunks = blob->chunks, .expected = i->expected};
    struct spender s = {.purpose = p, .service = q->asker.name};
    randombytes_buf(g.id, sizeof(g.id));
    COPY_ARRAY(message->grant, g.id);
    COPY_ARRAY(g.blob, i->file.blob);
    COPY_ARRAY(g.value.request, q->id);
    COPY_ARRAY(g.value.file, i->file.file);
    copy_string(g.value.subject, sizeof(g.value.subject), i->file.subject);
    copy_string(g.value.service, sizeof(g.value.service), q->asker.name);
    copy_string(g.value.purpose, sizeof(g.value.purpose), purpose);
    g.value.kind = p->purpose;
    copy_string(g.value.project, sizeof(g.value.project), p->project);
    g.value.size = i->file.size;
    int result = budgets_count(q->monitor, &s, i->file.file, i->subject.id);
    return result == VAULT_OK ? grant_add(q->monitor, &g) : result;
}

/* The closing record of a grant that is live, as its worker tells what became of it. */
static int close_live(struct monitor *m, struct grant *g, const struct msg_grant_close *c) {
    char detail[200];
    char address[2 * HASH_SIZE + 1];
    uint32_t reads = 0;
    bool damaged = c->outcome == GRANT_DAMAGED, done = c->outcome == GRANT_DONE;
    hex_encode(address, sizeof(address), c->address, HASH_SIZE);
    (void)format_string(detail, sizeof(detail), "%s%s%sup to %llu bytes handed out",
                        damaged ? "stored data is damaged: object " : "", damaged ? address : "", damaged ? "; " : "",
                        (unsigned long long)g->handed_out);
    int result = damaged ? failure_reported(m, g, c->address, &reads) : VAULT_OK;
    if (damaged)
        log_error("read: stored data is damaged object=%s reads=%u", address, reads);
    if (result != VAULT_OK)
        return result;
    return grant_close(m, g,
                       damaged ? "failed"
                       : done  ? "done"
                               : "interrupted",
                       c->bytes, c->ranges,
                       damaged ? 6
                       : done  ? 0
                               : 1,
                       detail);
}

static int close_it(struct request *q, const struct msg_grant_close *c) {
    struct monitor *m = q->monitor;
    struct grant *g = grant_find(m, q->worker, c->grant);
    bool live = g != NULL && g->state == GRANT_LIVE && !g->closed_in_batch;
    int result = live ? close_live(m, g, c) : VAULT_OK;
    if (result == VAULT_OK && live) {
        g->closed_in_batch = true; /* gone once that is durable */
        budgets_follow(g);
    } else if (result == VAULT_OK && g != NULL && !g->ended_in_batch && !g->closed_in_batch) {
        grant_drop(m, g); /* it was ended before; closing it says that nothing of it runs any more */
    }
    return result;
}

/* One commit for both. */
static int close_for(struct request *q, const struct msg_open *o) {
    struct msg_grant_close c = {.outcome = GRANT_DONE, .bytes = o->closing_bytes, .ranges = o->closing_ranges};
    COPY_ARRAY(c.grant, o->closing);
    return close_it(q, &c);
}

/* The grant is decided: finds its keys first, so that damage is told before anything is recorded as permitted. */
static int permit(struct request *q, const struct inquiry *i, const struct subject_value *s, const struct purpose *p,
                  const char *purpose) {
    struct monitor *m = q->monitor;
    struct blob_value blob;
    CLEANUP_SECRET struct secret *key = NULL;
    uint64_t seq = NO_SEQ;
    bool reads = q->message->open.action == OPEN_READ, aside = false;
    int result = failure_is_aside(m, i->file.blob, &aside);
    if (result == VAULT_OK && aside && reads)
        return refuse(q, "read", i->file.subject, 500, "set-aside",
                      "Stored data of this file was found damaged: it is set aside until a scrub finds it whole.");
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_BLOBS, i->file.blob, ID_SIZE, &layout_blob_value, &blob);
    if (result == VAULT_NOT_FOUND || (result == VAULT_OK && blob.size != i->file.size))
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = reads ? data_key(m, s, i->file.blob, &blob, &key) : secret_random(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = record_open(q, i, purpose, &seq);
    if (result != VAULT_OK)
        return result;
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_grant, q->message->id);
    describe(&reply->grant, q, i, &blob, seq);
    if (reads)
        result = remember(q, i, p, purpose, &blob, &reply->grant);
    if (result == VAULT_OK)
        result = close_for(q, &q->message->open);
    if (result == VAULT_OK) {
        reply->grant.key = secret_move(&key);
        batch_reply(m, q->worker, reply);
    } else {
        free(reply);
    }
    return result;
}

int answer_open(struct request *q) {
    static struct inquiry i;
    static struct subject_value s;
    const struct msg_open *o = &q->message->open;
    struct purpose purpose;
    char text[512];
    uint64_t seq = NO_SEQ;
    PURPOSE_OF(o, &purpose);
    if (purpose_check(&purpose) != VAULT_OK || !purpose_text(&purpose, text, sizeof(text)) ||
        (o->action != OPEN_READ && o->action != OPEN_HEAD) || o->extent > EXTENT_LAST)
        return refuse(q, "open", NULL, 400, "purpose-malformed", "The purpose is malformed.");
    struct extent extent = {.kind = (enum open_extent)o->extent, .from = o->from, .to = o->to};
    struct inquiry_wanted wanted = {.asker = &q->asker,
                                    .extent = &extent,
                                    .action = o->action == OPEN_READ ? ACTION_READ : ACTION_METADATA,
                                    .purpose = &purpose,
                                    .file = o->file,
                                    .subject = o->subject,
                                    .name = o->name};
    if (grants_of(q->monitor, q->worker->number) >= GRANTS_PER_WORKER)
        return refuse(q, "open", NULL, 429, "too-many-grants", "This connection has too many files open.");
    int result = inquire(q->monitor, &wanted, &i);
    q->subject = i.subject_known ? i.subject.subject : NULL;
    q->file = i.file_known ? i.file.file : NULL;
    /* Also where it is denied: a refusal takes as long as nobody's absence. */
    if (result == VAULT_OK && i.subject_known)
        result = standings_vouch(q->monitor, i.subject.subject, &s);
    if (result != VAULT_OK)
        return result;
    if (i.decision.verdict == VERDICT_PERMIT)
        return permit(q, &i, &s, &purpose, text);
    result = record_open(q, &i, text, &seq);
    if (result == VAULT_OK)
        answer_denied(q->monitor, q->worker, q->message, seq, q->id, &i.decision);
    return result;
}

static void add_tokens(const struct request *q, const struct manifest_page *page, struct msg_page *to) {
    struct writer tokens = writer_of(to->tokens, sizeof(to->tokens));
    for (size_t n = 0; n < page->count; n++) {
        struct token_claim claim = {.kind = TOKEN_GET, .worker = q->worker->number};
        uint8_t token[HASH_SIZE];
        COPY_ARRAY(claim.address, page->chunks[n].address);
        token_make(q->monitor->store_key, &claim, token);
        write_bytes(&tokens, token, sizeof(token));
    }
    to->tokens_size = (uint32_t)tokens.used;
}

static int page_load(struct monitor *m, const struct grant *g, uint32_t number, struct page_value *ret,
                     struct manifest_page *ret_page) {
    uint8_t key[ID_SIZE + 4];
    copy_bytes(key, sizeof(key), g->blob, ID_SIZE);
    put_be32(key + ID_SIZE, number);
    int result = index_get_record(m->index, DB_PAGES, key, sizeof(key), &layout_page_value, ret);
    if (result == VAULT_OK)
        result = manifest_decode(ret_page, ret->chunks, ret->chunks_size);
    return result == VAULT_NOT_FOUND || result == VAULT_E_FORMAT ? VAULT_E_DAMAGED : result;
}

static void expect(struct grant *g, uint64_t bytes) {
    g->expected = bytes;
    budgets_follow(g);
}

/* Decided as if it were given, and given only then. */
static int admit_more(struct monitor *m, struct grant *g, uint64_t sum, bool *ret_permitted) {
    uint64_t before = g->expected;
    expect(g, sum);
    int result = grant_decide_more(m, g, ret_permitted);
    if (result != VAULT_OK || !*ret_permitted)
        expect(g, before);
    return result;
}

/* A grant that goes beyond what it was decided for is decided again, before it gets more. A page that it has had gives
 * its worker nothing new. */
static int admit_page(struct monitor *m, struct grant *g, uint32_t number, const struct manifest_page *page,
                      bool *ret_permitted) {
    uint8_t bit = (uint8_t)(1u << number % 8);
    uint64_t sum = g->handed_out;
    *ret_permitted = true;
    if ((g->seen[number / 8] & bit) != 0)
        return VAULT_OK;
    for (size_t n = 0; n < page->count; n++)
        sum += object_plain(page->chunks[n].length);
    int result = sum > g->expected ? admit_more(m, g, sum, ret_permitted) : VAULT_OK;
    if (result != VAULT_OK || !*ret_permitted)
        return result;
    g->seen[number / 8] |= bit;
    g->handed_out = sum;
    return VAULT_OK;
}

static int refuse_page(struct request *q, const struct grant *g) {
    if (g->state == GRANT_ENDING)
        return refuse(q, "page_get", g->value.subject, 403, "no-longer-permitted",
                      "More was asked for than is permitted now.");
    answer_problem(q->monitor, q->worker, q->message, 503, NO_SEQ, q->id, "not-recorded",
                   "More was asked for than is permitted now, and that could not be recorded.");
    return VAULT_OK;
}

int answer_page_get(struct request *q) {
    static struct page_value value;
    static struct manifest_page page;
    struct monitor *m = q->monitor;
    uint32_t number = q->message->page_get.page;
    struct grant *g = grant_find(m, q->worker, q->message->page_get.grant);
    if (g == NULL || g->state != GRANT_LIVE || g->closed_in_batch ||
        number >= (g->chunks + PAGE_CHUNKS - 1) / PAGE_CHUNKS)
        return refuse(q, "page_get", NULL, 403, "not-granted", "Nothing of this kind was granted on this connection.");
    q->subject = g->value.subject;
    q->file = g->value.file;
    bool permitted = false;
    int result = page_load(m, g, number, &value, &page);
    if (result == VAULT_OK)
        result = admit_page(m, g, number, &page, &permitted);
    if (result != VAULT_OK)
        return result;
    if (!permitted)
        return refuse_page(q, g);
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_page, q->message->id);
    reply->page.page = number;
    reply->page.chunks_size = value.chunks_size;
    copy_bytes(reply->page.chunks, sizeof(reply->page.chunks), value.chunks, value.chunks_size);
    add_tokens(q, &page, &reply->page);
    reply_now(m, q->worker, reply);
    free(reply);
    return VAULT_OK;
}

int answer_grant_close(struct request *q) {
    int result = close_it(q, &q->message->grant_close);
    if (result == VAULT_OK)
        answer_done(q->monitor, q->worker, q->message);
    return result;
}
