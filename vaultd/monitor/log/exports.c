/* Exports: what they are of, and the chains that they follow. */
#include <stdlib.h>
#include <string.h>

#include "leaves.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/table.h"
#include "vault/checkpoint.h"
#include "vault/json_out.h"
#include "vault/result.h"

static int chain_load(struct monitor *m, enum name_kind kind, const char *name, struct chain_value *ret) {
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    return index_get_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, ret);
}

struct range {
    uint64_t from, to;
};

/* By number and by time, up to the export's own record. */
static int range_of(struct monitor *m, const struct msg_audit_export *x, struct range *ret) {
    struct range by_time = {.to = m->tree.size + 1};
    int result = x->since == 0 ? VAULT_OK : log_first_since(m, x->since, 0, m->tree.size, &by_time.from);
    if (result == VAULT_OK && x->until != 0 && x->until * 1000000 <= monitor_time(m))
        result = log_first_since(m, x->until, 0, m->tree.size, &by_time.to);
    ret->from = x->from > by_time.from ? x->from : by_time.from;
    ret->to = x->to != 0 && x->to < by_time.to ? x->to : by_time.to;
    return result;
}

/* One chain: of a subject, a service or a project. */
struct chain_name {
    enum name_kind kind;
    const char *what, *name; /* "": of none */
};

static struct chain_name chain_named(const char *subject, const char *service, const char *project) {
    if (subject[0] != '\0')
        return (struct chain_name){NAME_CHAIN_SUBJECT, "subject", subject};
    if (service[0] != '\0')
        return (struct chain_name){NAME_CHAIN_SERVICE, "service", service};
    return (struct chain_name){NAME_CHAIN_PROJECT, "project", project};
}

static unsigned how_many(const char *subject, const char *service, const char *project) {
    return (subject[0] != '\0' ? 1u : 0) + (service[0] != '\0' ? 1u : 0) + (project[0] != '\0' ? 1u : 0);
}

/* What is exported, for its record: who has all of a chain knows how many records it had then, and the last of them. */
struct exported {
    struct range range;
    struct chain_name of; /* without a name: of all */
    uint64_t count;       /* of the chain */
    char last[2 * HASH_SIZE + 1];
    char detail[NAME_MAX_SIZE + 300]; /* the same as text */
};

/* The members of `exported`, for whoever verifies the export. */
static void write_exported(struct json_out *o, const void *of) {
    const struct exported *x = of;
    bool of_one = x->of.name[0] != '\0';
    if (of_one)
        out_number(o, "count", x->count);
    out_number(o, "from", x->range.from);
    if (of_one) {
        out_string(o, "last", x->last);
        out_string(o, "name", x->of.name);
        out_string(o, "of", x->of.what);
    }
    out_number(o, "to", x->range.to);
}

static int describe_export(struct monitor *m, const struct msg_audit_export *x, const struct range *r,
                           struct exported *ret) {
    char chain[NAME_MAX_SIZE + 160] = "";
    struct chain_value v = {0};
    *ret = (struct exported){.range = *r, .of = chain_named(x->subject, x->service, x->project)};
    bool of_one = ret->of.name[0] != '\0';
    int result = of_one ? chain_load(m, ret->of.kind, ret->of.name, &v) : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    ret->count = v.count;
    hex_encode(ret->last, sizeof(ret->last), v.last, HASH_SIZE);
    if (of_one && !format_string(chain, sizeof(chain), " of %s %s, whose chain had %llu, the last %s", ret->of.what,
                                 ret->of.name, (unsigned long long)v.count, ret->last))
        return VAULT_E_STATE;
    return format_string(ret->detail, sizeof(ret->detail), "records %llu to %llu%s, %s", (unsigned long long)r->from,
                         (unsigned long long)(r->to - 1), chain, x->format)
               ? VAULT_OK
               : VAULT_E_STATE;
}

/* NULL: nothing. */
static const char *fault_of_export(const struct monitor *m, const struct msg_audit_export *x, const struct range *r) {
    static const char *const formats[] = {"jsonl", "csv", "report", "html", "fhir", "tiles"};
    bool known = false;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        known = known || strcmp(x->format, formats[i]) == 0;
    if (!known)
        return "The format must be jsonl, csv, report, html, fhir or tiles.";
    if (how_many(x->subject, x->service, x->project) > 1)
        return "It is of one subject, one service or one project.";
    return r->from >= r->to || r->to > m->tree.size + 1 ? "There are no records from 'from' to 'to'." : NULL;
}

static int record_export(struct request *q, const struct exported *exported, uint64_t *ret_seq) {
    const struct msg_audit_export *x = &q->message->audit_export;
    struct event e = {.name = "audit.export",
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = x->subject,
                      .project = x->project,
                      .request = q->id,
                      .action = 'E',
                      .detail = exported->detail,
                      .exported = {write_exported, exported},
                      .state = REQUEST_ENDED};
    return journal(q->monitor, &e, ret_seq);
}

/* The range that is asked for. VAULT_DENIED: it was answered that there is none, or that records of it are missed. */
static int take_range(struct request *q, struct range *ret) {
    const struct msg_audit_export *x = &q->message->audit_export;
    struct monitor *m = q->monitor;
    struct segment_value missed;
    int result = range_of(m, x, ret);
    if (result != VAULT_OK && result != VAULT_AGAIN)
        return result;
    bool known = result == VAULT_OK; /* else the day itself is in a segment that is missed */
    int gap = archive_gap(m, known ? ret->from : 0, known ? ret->to : m->tree.size, &missed);
    if (gap == VAULT_OK)
        gap = archive_refuse(q, "audit.export", &missed);
    else if (gap == VAULT_NOT_FOUND && known)
        return VAULT_OK;
    return gap == VAULT_OK ? VAULT_DENIED : gap;
}

static int answer_exported(struct request *q, const struct range *r, uint64_t seq) {
    struct monitor *m = q->monitor;
    char note[CHECKPOINT_TEXT_MAX], vkey[CHECKPOINT_VKEY_MAX];
    int result = log_sign(m, note, vkey);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 201, seq, q->id,
                    json_pack("{s:I, s:I, s:I, s:s, s:s}", "from", (json_int_t)r->from, "to", (json_int_t)r->to, "size",
                              (json_int_t)m->tree.size, "checkpoint", note, "vkey", vkey));
    return result;
}

int answer_audit_export(struct request *q) {
    const struct msg_audit_export *x = &q->message->audit_export;
    struct monitor *m = q->monitor;
    uint64_t seq = NO_SEQ;
    struct exported exported;
    struct range r;
    if (!second_is_good(x->since) || !second_is_good(x->until))
        return refuse(q, "audit.export", NULL, 400, "malformed", "'since' or 'until' is beyond the year 9999.");
    int result = take_range(q, &r);
    if (result != VAULT_OK)
        return result == VAULT_DENIED ? VAULT_OK : result;
    const char *fault = fault_of_export(m, x, &r);
    if (fault != NULL)
        return refuse(q, "audit.export", NULL, 400, "malformed", fault);
    result = describe_export(m, x, &r, &exported);
    if (result == VAULT_OK)
        result = record_export(q, &exported, &seq);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "audit.export", NULL, 404, "no-such-chain", "There is no such subject, service or project.");
    return result == VAULT_OK ? answer_exported(q, &r, seq) : result;
}

/* ---- the records of one chain ---- */

enum { CHAIN_BLOCK = 2048 };

/* Where the chain goes on before record number `end - 1`. */
static int link_before(struct monitor *m, enum name_kind chain, uint64_t end, uint64_t *ret) {
    struct leaf_value v;
    int result = leaf_load(m, end - 1, &v);
    if (result != VAULT_OK)
        return result;
    uint64_t before = chain == NAME_CHAIN_SUBJECT ? v.subject : chain == NAME_CHAIN_SERVICE ? v.service : v.project;
    *ret = before;
    return before < end ? VAULT_OK : VAULT_E_DAMAGED;
}

/* Numbers from `end - 1` down, as many as fit, that are in the range. */
static int fill_numbers(struct monitor *m, const struct msg_audit_chain *c, uint64_t end, struct msg_block *b) {
    struct writer w = writer_of(b->bytes, sizeof(b->bytes));
    enum name_kind chain = chain_named(c->subject, c->service, c->project).kind;
    int result = VAULT_OK;
    for (unsigned n = 0; n < CHAIN_BLOCK && end > c->from && result == VAULT_OK; n++) {
        uint8_t number[8];
        put_be64(number, end - 1);
        if (end <= c->to)
            write_bytes(&w, number, sizeof(number));
        result = link_before(m, chain, end, &end);
    }
    b->bytes_size = (uint32_t)w.used;
    b->next = end > c->from ? end : 0;
    return result;
}

int answer_audit_chain(struct request *q) {
    const struct msg_audit_chain *c = &q->message->audit_chain;
    struct monitor *m = q->monitor;
    struct chain_value v = {.end = c->before};
    const struct chain_name of = chain_named(c->subject, c->service, c->project);
    if (how_many(c->subject, c->service, c->project) != 1 || c->before > m->tree.size)
        return refuse(q, "audit.read", NULL, 400, "malformed", "There are no such records.");
    int result = c->before != 0 ? VAULT_OK : chain_load(m, of.kind, of.name, &v);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "audit.read", NULL, 404, "no-such-chain", "There is no such subject, service or project.");
    if (result != VAULT_OK)
        return result;
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_block, q->message->id);
    result = fill_numbers(m, c, v.end, &reply->block);
    if (result == VAULT_OK)
        batch_reply(m, q->worker, reply);
    else
        free(reply);
    return result;
}
