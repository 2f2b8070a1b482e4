/* The log as others see it: tail, checkpoint, export. */
#include <stdlib.h>
#include <string.h>

#include "monitor.h"
#include "vaultd/monitor/keys/ring.h"
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

static int sign(struct monitor *m, char note[CHECKPOINT_TEXT_MAX], char vkey[CHECKPOINT_VKEY_MAX]) {
    struct checkpoint c = {.size = m->tree.size};
    int result = monitor_origin(m, c.origin);
    merkle_fold_root(&m->tree, c.root);
    if (result == VAULT_OK)
        result = checkpoint_sign(&c, keyring_audit_seed(m->keyring), note);
    return result == VAULT_OK ? audit_key_vkey(m, vkey) : result;
}

int log_root(struct monitor *m, uint64_t size, uint8_t ret[MERKLE_HASH]) {
    struct merkle_store store = {.context = m, .get = node_get};
    return merkle_root(&store, size, ret);
}

/* Its own record first, so that the checkpoint covers it; the record says what the index was before. */
int answer_audit_checkpoint(struct request *q) {
    char note[CHECKPOINT_TEXT_MAX];
    char vkey[CHECKPOINT_VKEY_MAX];
    char detail[2 * TALLY_DIGEST + 16] = "index ";
    uint8_t digest[TALLY_DIGEST];
    uint64_t seq = NO_SEQ;
    struct event e = {.name = "audit.checkpoint",
                      .outcome = "done",
                      .asker = &q->asker,
                      .request = q->id,
                      .action = 'E',
                      .detail = detail,
                      .state = REQUEST_ENDED};
    index_digest(q->monitor->index, digest);
    hex_encode(detail + strlen(detail), sizeof(detail) - strlen(detail), digest, sizeof(digest));
    int result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        result = sign(q->monitor, note, vkey);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id,
                    json_pack("{s:s, s:s}", "checkpoint", note, "vkey", vkey));
    return result;
}

int answer_audit_export(struct request *q) {
    const struct msg_audit_export *x = &q->message->audit_export;
    struct monitor *m = q->monitor;
    char note[CHECKPOINT_TEXT_MAX];
    char vkey[CHECKPOINT_VKEY_MAX];
    char detail[128];
    uint64_t seq = NO_SEQ;
    uint64_t to = x->to == 0 ? m->tree.size + 1 : x->to;
    if (strcmp(x->format, "jsonl") != 0)
        return refuse(q, "audit.export", NULL, 400, "malformed", "The format must be jsonl.");
    if (x->from >= to || to > m->tree.size + 1)
        return refuse(q, "audit.export", NULL, 400, "malformed", "There are no records from 'from' to 'to'.");
    if (!format_string(detail, sizeof(detail), "records %llu to %llu, jsonl", (unsigned long long)x->from,
                       (unsigned long long)(to - 1)))
        return VAULT_E_STATE;
    struct event e = {.name = "audit.export",
                      .outcome = "done",
                      .asker = &q->asker,
                      .request = q->id,
                      .action = 'E',
                      .detail = detail,
                      .state = REQUEST_ENDED};
    int result = journal(m, &e, &seq);
    if (result == VAULT_OK)
        result = sign(m, note, vkey);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 201, seq, q->id,
                    json_pack("{s:I, s:I, s:I, s:s, s:s}", "from", (json_int_t)x->from, "to", (json_int_t)to, "size",
                              (json_int_t)m->tree.size, "checkpoint", note, "vkey", vkey));
    return result;
}

/* Appends what one record contributes to a block. The writer turns bad when it does not fit. */
typedef int block_line(struct monitor *m, uint64_t seq, uint64_t tree, struct writer *w);

static int record_text(struct monitor *m, uint64_t seq, uint64_t tree, struct writer *w) {
    static char line[RECORD_LINE_MAX];
    uint8_t key[8];
    size_t n = 0;
    (void)tree;
    put_be64(key, seq);
    int result = index_get(m->index, DB_RECORDS, key, sizeof(key), line, sizeof(line), &n);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    write_bytes(w, line, n);
    write_u8(w, '\n');
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

static int proof_text(struct monitor *m, uint64_t seq, uint64_t tree, struct writer *w) {
    struct merkle_store store = {.context = m, .get = node_get};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    char line[RECORD_LINE_MAX];
    size_t count = 0;
    int result = merkle_inclusion(&store, seq, tree, proof, &count);
    if (result != VAULT_OK)
        return result;
    json_t *json = proof_json(seq, proof, count);
    size_t n = json == NULL ? 0 : json_dumpb(json, line, sizeof(line), JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
    if (n == 0 || n > sizeof(line))
        return VAULT_E_MEMORY;
    write_bytes(w, line, n);
    write_u8(w, '\n');
    return VAULT_OK;
}

/* As many whole lines as fit into one message. */
static int fill_block(struct monitor *m, struct msg_block *b, uint64_t from, uint64_t to, uint64_t tree,
                      block_line *line) {
    struct writer w = writer_of(b->bytes, sizeof(b->bytes));
    b->next = from;
    while (b->next < to) {
        size_t before = w.used;
        int result = line(m, b->next, tree, &w);
        if (result != VAULT_OK)
            return result;
        if (w.bad) {
            w.used = before;
            break;
        }
        b->next++;
    }
    b->bytes_size = (uint32_t)w.used;
    return VAULT_OK;
}

static int answer_block(struct request *q, uint64_t from, uint64_t to, uint64_t tree, block_line *line) {
    if (from >= to || to > tree || tree > q->monitor->tree.size)
        return refuse(q, "audit.read", NULL, 400, "malformed", "There are no such records.");
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_block, q->message->id);
    int result = fill_block(q->monitor, &reply->block, from, to, tree, line);
    if (result == VAULT_OK)
        batch_reply(q->monitor, q->worker, reply);
    free(reply);
    return result;
}

int answer_audit_records(struct request *q) {
    const struct msg_audit_records *r = &q->message->audit_records;
    return answer_block(q, r->from, r->to, r->tree, record_text);
}

int answer_audit_proofs(struct request *q) {
    const struct msg_audit_proofs *p = &q->message->audit_proofs;
    return answer_block(q, p->from, p->to, p->tree, proof_text);
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
    static char line[RECORD_LINE_MAX];
    uint8_t key[8];
    size_t n = 0;
    *ret = false;
    if (seq >= q->monitor->tree.size)
        return VAULT_OK;
    put_be64(key, seq);
    int result = index_get(q->monitor->index, DB_RECORDS, key, sizeof(key), line, sizeof(line), &n);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    json_t *record = json_loadb(line, n, 0, NULL);
    const char *service = json_string_value(json_object_get(json_object_get(record, "service"), "name"));
    *ret = (q->asker.roles & 1u << ROLE_AUDITOR) != 0 || (service != NULL && strcmp(service, q->asker.name) == 0);
    result = record == NULL ? VAULT_E_DAMAGED : VAULT_OK;
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
        result = sign(m, note, vkey);
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
    if (result == VAULT_OK && !own)
        return refuse(q, "audit.proof", NULL, 404, "no-such-record",
                      "There is no record of this number that is yours.");
    if (result == VAULT_OK)
        result = prove(q->monitor, seq, &answer);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, q->id, answer);
    return result;
}
