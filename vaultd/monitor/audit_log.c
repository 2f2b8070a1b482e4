/* The log as others see it: tail, checkpoint, export. */
#include <stdlib.h>
#include <string.h>

#include "monitor.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/audit_export.h"
#include "vault/checkpoint.h"
#include "vault/record.h"
#include "vault/result.h"

#include <sodium.h>

static int node_get(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    struct monitor *m = context;
    uint8_t key[9];
    size_t n = 0;
    key[0] = (uint8_t)level;
    put_be64(key + 1, index);
    int result = index_get(m->index, DB_NODES, key, sizeof(key), ret, MERKLE_HASH, &n);
    return result == VAULT_NOT_FOUND || (result == VAULT_OK && n != MERKLE_HASH) ? VAULT_E_DAMAGED : result;
}

int log_sign(struct monitor *m, char note[CHECKPOINT_TEXT_MAX], char vkey[CHECKPOINT_VKEY_MAX]) {
    struct checkpoint c = {.size = m->tree.size};
    int result = monitor_origin(m, c.origin);
    merkle_fold_root(&m->tree, c.root);
    if (result == VAULT_OK)
        result = checkpoint_sign(&c, keyring_audit_seed(m->keyring), note);
    return result == VAULT_OK ? audit_key_vkey(m, vkey) : result;
}

static int chain_load(struct monitor *m, enum name_kind kind, const char *name, struct chain_value *ret) {
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    return index_get_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, ret);
}

int log_root(struct monitor *m, uint64_t size, uint8_t ret[MERKLE_HASH]) {
    struct merkle_store store = {.context = m, .get = node_get};
    return merkle_root(&store, size, ret);
}

int log_consistency(struct monitor *m, uint64_t old, uint64_t size, uint8_t ret[MERKLE_PROOF_MAX][MERKLE_HASH],
                    size_t *ret_count) {
    struct merkle_store store = {.context = m, .get = node_get};
    return merkle_consistency(&store, old, size, ret, ret_count);
}

int log_checkpoint(struct monitor *m, const struct request *by, uint64_t *ret_seq) {
    char detail[2 * TALLY_DIGEST + 48], index[2 * TALLY_DIGEST + 1];
    uint8_t digest[TALLY_DIGEST];
    struct event e = {.name = "audit.checkpoint", .outcome = "done", .action = 'E', .detail = detail};
    if (by != NULL) {
        e.asker = &by->asker;
        e.request = by->id;
        e.state = REQUEST_ENDED;
    }
    index_digest(m->index, digest);
    hex_encode(index, sizeof(index), digest, sizeof(digest));
    (void)format_string(detail, sizeof(detail), "index %s, key ring epoch %llu", index,
                        (unsigned long long)keyring_epoch(m->keyring));
    return journal(m, &e, ret_seq);
}

/* Its own record first, so that the checkpoint covers it; the record says what the index was before. */
int answer_audit_checkpoint(struct request *q) {
    char note[CHECKPOINT_TEXT_MAX];
    char vkey[CHECKPOINT_VKEY_MAX];
    uint64_t seq = NO_SEQ;
    int result = log_checkpoint(q->monitor, q, &seq);
    if (result == VAULT_OK)
        result = log_sign(q->monitor, note, vkey);
    if (result != VAULT_OK)
        return result;
    witnesses_wake(q->monitor);
    answer_json(q->monitor, q->worker, q->message, 200, seq, q->id,
                json_pack("{s:s, s:s, s:I, s:o}", "checkpoint", note, "vkey", vkey, "size",
                          (json_int_t)q->monitor->tree.size, "witnessed", witnessed_json(q->monitor)));
    return VAULT_OK;
}

int answer_audit_witnessed(struct request *q) {
    answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, NULL,
                json_pack("{s:o}", "witnessed", witnessed_json(q->monitor)));
    return VAULT_OK;
}

int log_load(struct monitor *m, uint64_t seq, char line[RECORD_LINE_MAX], size_t *ret_n) {
    uint8_t key[8];
    put_be64(key, seq);
    if (seq < m->meta.archived)
        return archive_line(m, seq, line, RECORD_LINE_MAX, ret_n);
    int result = index_get_near(m->index, DB_RECORDS, key, sizeof(key), line, RECORD_LINE_MAX, ret_n);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

int log_leaf(struct monitor *m, uint64_t seq, uint8_t ret[MERKLE_HASH]) {
    return node_get(m, 0, seq, ret);
}

/* Owned by the caller. */
static int load_record(struct monitor *m, uint64_t seq, json_t **ret) {
    static char line[RECORD_LINE_MAX];
    size_t n = 0;
    int result = log_load(m, seq, line, &n);
    *ret = result == VAULT_OK ? json_loadb(line, n, 0, NULL) : NULL;
    return result == VAULT_OK && *ret == NULL ? VAULT_E_DAMAGED : result;
}

static int is_before(struct monitor *m, uint64_t seq, const char time[28], bool *ret) {
    json_t *record;
    int result = load_record(m, seq, &record);
    const char *its = json_string_value(json_object_get(record, "time"));
    *ret = its != NULL && strcmp(its, time) < 0;
    if (result == VAULT_OK && its == NULL)
        result = VAULT_E_DAMAGED;
    json_decref(record);
    return result;
}

int log_first_since(struct monitor *m, uint64_t seconds, uint64_t low, uint64_t high, uint64_t *ret) {
    char time[28];
    time_text(seconds * 1000000, time);
    int narrowed = archive_narrow(m, time, &low, &high);
    if (narrowed != VAULT_OK)
        return narrowed;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        bool before = false;
        int result = is_before(m, middle, time, &before);
        if (result != VAULT_OK)
            return result;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return VAULT_OK;
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

/* What is exported, for its record: who has all of a chain knows how many records it had then, and the last of them. As
 * text, and as an object for whoever verifies the export; a new reference. */
static int describe_export(struct monitor *m, const struct msg_audit_export *x, const struct range *r, char *to,
                           size_t size, json_t **ret) {
    const struct chain_name c = chain_named(x->subject, x->service, x->project);
    char chain[NAME_MAX_SIZE + 160] = "", last[2 * HASH_SIZE + 1];
    struct chain_value v = {0};
    json_t *exported = json_pack("{s:I, s:I}", "from", (json_int_t)r->from, "to", (json_int_t)r->to);
    *ret = exported;
    if (c.name[0] != '\0') {
        int result = chain_load(m, c.kind, c.name, &v);
        if (result != VAULT_OK)
            return result;
        hex_encode(last, sizeof(last), v.last, HASH_SIZE);
        if (!format_string(chain, sizeof(chain), " of %s %s, whose chain had %llu, the last %s", c.what, c.name,
                           (unsigned long long)v.count, last))
            return VAULT_E_STATE;
        json_object_set_new(exported, "of", json_string(c.what));
        json_object_set_new(exported, "name", json_string(c.name));
        json_object_set_new(exported, "count", json_integer((json_int_t)v.count));
        json_object_set_new(exported, "last", json_string(last));
    }
    return format_string(to, size, "records %llu to %llu%s, %s", (unsigned long long)r->from,
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

static int record_export(struct request *q, const char *detail, json_t *exported, uint64_t *ret_seq) {
    const struct msg_audit_export *x = &q->message->audit_export;
    struct event e = {.name = "audit.export",
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = x->subject,
                      .project = x->project,
                      .request = q->id,
                      .action = 'E',
                      .detail = detail,
                      .exported = exported,
                      .state = REQUEST_ENDED};
    return journal(q->monitor, &e, ret_seq);
}

int answer_audit_export(struct request *q) {
    const struct msg_audit_export *x = &q->message->audit_export;
    struct monitor *m = q->monitor;
    char note[CHECKPOINT_TEXT_MAX];
    char vkey[CHECKPOINT_VKEY_MAX];
    char detail[NAME_MAX_SIZE + 300];
    uint64_t seq = NO_SEQ;
    struct segment_value away;
    struct range r;
    json_t *exported = NULL;
    int gap = VAULT_NOT_FOUND;
    if (!second_is_good(x->since) || !second_is_good(x->until))
        return refuse(q, "audit.export", NULL, 400, "malformed", "'since' or 'until' is beyond the year 9999.");
    int result = range_of(m, x, &r);
    if (result == VAULT_OK || result == VAULT_AGAIN)
        gap = archive_gap(m, result == VAULT_OK ? r.from : 0, result == VAULT_OK ? r.to : m->tree.size, &away);
    if (gap == VAULT_OK)
        return archive_refuse(q, "audit.export", &away);
    if (gap != VAULT_NOT_FOUND)
        return gap;
    const char *fault = result == VAULT_OK ? fault_of_export(m, x, &r) : NULL;
    if (fault != NULL)
        return refuse(q, "audit.export", NULL, 400, "malformed", fault);
    if (result != VAULT_OK)
        return result;
    result = describe_export(m, x, &r, detail, sizeof(detail), &exported);
    if (result == VAULT_OK)
        result = exported == NULL ? VAULT_E_MEMORY : record_export(q, detail, exported, &seq);
    json_decref(exported);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "audit.export", NULL, 404, "no-such-chain", "There is no such subject, service or project.");
    if (result == VAULT_OK)
        result = log_sign(m, note, vkey);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 201, seq, q->id,
                    json_pack("{s:I, s:I, s:I, s:s, s:s}", "from", (json_int_t)r.from, "to", (json_int_t)r.to, "size",
                              (json_int_t)m->tree.size, "checkpoint", note, "vkey", vkey));
    return result;
}

/* Records that are asked for, in ascending order: by their numbers, or all of a range. */
struct wanted {
    const uint8_t *numbers; /* be64 each; NULL: from `first` on */
    uint64_t first, count, tree;
};

static uint64_t wanted_at(const struct wanted *x, uint64_t at) {
    return x->numbers != NULL ? get_be64(x->numbers + at * sizeof(uint64_t)) : x->first + at;
}

/* Appends a line about the record at this place and *ret_count - 1 more. The writer turns bad when it does not fit. */
typedef int block_line(struct monitor *m, const struct wanted *x, uint64_t at, struct writer *w, uint64_t *ret_count);

static int record_text(struct monitor *m, const struct wanted *x, uint64_t at, struct writer *w, uint64_t *ret_count) {
    static char line[RECORD_LINE_MAX];
    size_t n = 0;
    int result = log_load(m, wanted_at(x, at), line, &n);
    if (result != VAULT_OK)
        return result;
    write_bytes(w, line, n);
    write_u8(w, '\n');
    *ret_count = 1;
    return VAULT_OK;
}

static json_t *hash_json(const uint8_t hash[MERKLE_HASH]) {
    char text[sodium_base64_ENCODED_LEN(MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL)];
    return json_string(sodium_bin2base64(text, sizeof(text), hash, MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL));
}

static json_t *proof_json(uint64_t seq, uint8_t (*proof)[MERKLE_HASH], size_t count) {
    json_t *hashes = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(hashes, hash_json(proof[i]));
    return json_pack("{s:I, s:o}", "seq", (json_int_t)seq, "proof", hashes);
}

/* How many one line proves. The first of an answer is proven by itself, and so is what does not follow on another: then
 * each answer stands for itself, and the client may break off and go on behind any line. */
static uint64_t proven_with(const struct wanted *x, uint64_t at) {
    uint64_t n = 1, first = wanted_at(x, at);
    if (at == 0 || wanted_at(x, at - 1) + 1 != first)
        return n;
    while (n < AUDIT_BLOCK && at + n < x->count && wanted_at(x, at + n) == first + n)
        n++;
    return n;
}

static int write_json(struct writer *w, const json_t *json) {
    char line[RECORD_LINE_MAX];
    size_t n = json_dumpb(json, line, sizeof(line), JSON_COMPACT | JSON_SORT_KEYS);
    if (n == 0 || n > sizeof(line))
        return VAULT_E_MEMORY;
    write_bytes(w, line, n);
    write_u8(w, '\n');
    return VAULT_OK;
}

/* The proof of the last of them. Who has the records has the leaves that belong to it. */
static int proof_text(struct monitor *m, const struct wanted *x, uint64_t at, struct writer *w, uint64_t *ret_count) {
    struct merkle_store store = {.context = m, .get = node_get};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    size_t count = 0;
    uint64_t n = proven_with(x, at), last = wanted_at(x, at) + n - 1;
    int result = merkle_inclusion(&store, last, x->tree, proof, &count);
    if (result != VAULT_OK)
        return result;
    json_t *json = proof_json(last, proof, count);
    json_object_set_new(json, "records", json_integer((json_int_t)n));
    result = write_json(w, json);
    json_decref(json);
    *ret_count = n;
    return result;
}

/* As many whole lines as fit into one message; *ret_count is how many records they are about. */
static int fill_block(struct monitor *m, struct msg_block *b, const struct wanted *x, block_line *line,
                      uint64_t *ret_count) {
    struct writer w = writer_of(b->bytes, sizeof(b->bytes));
    *ret_count = 0;
    while (*ret_count < x->count) {
        size_t before = w.used;
        uint64_t n = 0;
        int result = line(m, x, *ret_count, &w, &n);
        if (result != VAULT_OK)
            return result;
        if (w.bad) {
            w.used = before;
            break;
        }
        *ret_count += n;
    }
    b->bytes_size = (uint32_t)w.used;
    return VAULT_OK;
}

static bool are_there(const struct monitor *m, const struct wanted *x) {
    if (x->tree > m->tree.size)
        return false;
    for (uint64_t i = 0; x->numbers != NULL && i < x->count; i++)
        if (wanted_at(x, i) >= x->tree)
            return false;
    return x->numbers != NULL || x->first + x->count <= x->tree;
}

static int answer_lines(struct request *q, const struct wanted *x, block_line *line) {
    uint64_t count = 0;
    if (!are_there(q->monitor, x))
        return refuse(q, "audit.read", NULL, 400, "malformed", "There are no such records.");
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_block, q->message->id);
    int result = fill_block(q->monitor, &reply->block, x, line, &count);
    reply->block.next = x->first + count;
    if (result == VAULT_OK)
        batch_hand_over(q->monitor, q->worker, reply);
    else
        free(reply);
    return result == VAULT_AGAIN ? archive_refuse_record(q, "audit.read", wanted_at(x, count)) : result;
}

static int answer_block(struct request *q, uint64_t from, uint64_t to, uint64_t tree, block_line *line) {
    const struct wanted x = {.first = from, .count = to - from, .tree = tree};
    if (from >= to || to > tree)
        return refuse(q, "audit.read", NULL, 400, "malformed", "There are no such records.");
    return answer_lines(q, &x, line);
}

int answer_audit_lines(struct request *q) {
    const struct msg_audit_lines *l = &q->message->audit_lines;
    const struct wanted x = {.numbers = l->numbers, .count = l->numbers_size / sizeof(uint64_t), .tree = l->tree};
    if (l->numbers_size % sizeof(uint64_t) != 0)
        return refuse(q, "audit.read", NULL, 400, "malformed", "There are no such records.");
    return answer_lines(q, &x, l->proofs != 0 ? proof_text : record_text);
}

int answer_audit_records(struct request *q) {
    const struct msg_audit_records *r = &q->message->audit_records;
    return answer_block(q, r->from, r->to, r->tree, record_text);
}

int answer_audit_proofs(struct request *q) {
    const struct msg_audit_proofs *p = &q->message->audit_proofs;
    return answer_block(q, p->from, p->to, p->tree, proof_text);
}

/* ---- the records of one subject or service ---- */

enum { CHAIN_BLOCK = 2048 };

/* Where the chain goes on before record number `end - 1`. */
static int link_before(struct monitor *m, enum name_kind chain, uint64_t end, uint64_t *ret) {
    struct link_value v;
    uint8_t key[8];
    put_be64(key, end - 1);
    int result = index_get_record(m->index, DB_LINKS, key, sizeof(key), &layout_link_value, &v);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
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
    free(reply);
    return result;
}

int answer_audit_tail(struct request *q) {
    enum { TAIL_MAX = 100 };
    struct monitor *m = q->monitor;
    uint64_t count = q->message->audit_tail.count;
    if (count == 0 || count > TAIL_MAX)
        return refuse(q, "audit.tail", NULL, 400, "malformed", "Between 1 and 100 records can be shown.");
    struct event e = {.name = "audit.tail",
                      .outcome = "done",
                      .asker = &q->asker,
                      .request = q->id,
                      .action = 'R',
                      .state = REQUEST_ENDED};
    int result = journal(m, &e, NULL);
    uint64_t size = m->tree.size;
    return result == VAULT_OK ? answer_block(q, size > count ? size - count : 0, size, size, record_text) : result;
}

/* ---- that one's own record is there ---- */

/* Whether the record is of what this asker did; an auditor may ask about all. */
static int is_own(struct request *q, uint64_t seq, bool *ret) {
    json_t *record;
    *ret = false;
    if (seq >= q->monitor->tree.size)
        return VAULT_OK;
    int result = load_record(q->monitor, seq, &record);
    const char *service = json_string_value(json_object_get(json_object_get(record, "service"), "name"));
    *ret = result == VAULT_OK &&
           ((q->asker.roles & 1u << ROLE_AUDITOR) != 0 || (service != NULL && strcmp(service, q->asker.name) == 0));
    json_decref(record);
    return result;
}

static int prove(struct monitor *m, uint64_t seq, json_t **ret) {
    struct merkle_store store = {.context = m, .get = node_get};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], leaf[MERKLE_HASH];
    char note[CHECKPOINT_TEXT_MAX], vkey[CHECKPOINT_VKEY_MAX];
    size_t count = 0;
    int result = node_get(m, 0, seq, leaf);
    if (result == VAULT_OK)
        result = merkle_inclusion(&store, seq, m->tree.size, proof, &count);
    if (result == VAULT_OK)
        result = log_sign(m, note, vkey);
    if (result != VAULT_OK)
        return result;
    *ret = proof_json(seq, proof, count);
    json_object_set_new(*ret, "leaf", hash_json(leaf));
    json_object_set_new(*ret, "checkpoint", json_string(note));
    return VAULT_OK;
}

/* The record itself has reasons that are not the service's to know. */
int answer_audit_proof(struct request *q) {
    uint64_t seq = q->message->audit_proof.seq;
    bool own = false;
    json_t *answer = NULL;
    int result = is_own(q, seq, &own);
    if (result == VAULT_AGAIN)
        return archive_refuse_record(q, "audit.proof", seq);
    if (result == VAULT_OK && !own)
        return refuse(q, "audit.proof", NULL, 404, "no-such-record",
                      "There is no record of this number that is yours.");
    if (result == VAULT_OK)
        result = prove(q->monitor, seq, &answer);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, q->id, answer);
    return result;
}
