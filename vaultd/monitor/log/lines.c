/* Lines of the log and their proofs, as they are asked for. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "leaves.h"
#include "reading.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/table.h"
#include "vault/audit_export.h"
#include "vault/checkpoint.h"
#include "vault/json_out.h"
#include "vault/result.h"

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
    const char *line;
    size_t n = 0;
    int result = log_text(m, wanted_at(x, at), &line, &n);
    if (result != VAULT_OK)
        return result;
    write_bytes(w, line, n);
    write_u8(w, '\n');
    *ret_count = 1;
    return VAULT_OK;
}

enum { HASH_TEXT = sodium_base64_ENCODED_LEN(MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL) };

static const char *hash_text(const uint8_t hash[MERKLE_HASH], char ret[HASH_TEXT]) {
    return sodium_bin2base64(ret, HASH_TEXT, hash, MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
}

static json_t *hash_json(const uint8_t hash[MERKLE_HASH]) {
    char text[HASH_TEXT];
    return json_string(hash_text(hash, text));
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

/* Records up to this one, so many, are proven with it. */
static int write_proof(struct writer *w, uint64_t seq, uint8_t (*proof)[MERKLE_HASH], size_t count, uint64_t records) {
    char line[MERKLE_PROOF_MAX * (HASH_TEXT + 3) + 128], text[HASH_TEXT];
    struct json_out o;
    size_t n = 0;
    json_out_begin(&o, line, sizeof(line));
    out_object(&o, NULL);
    out_list(&o, "proof");
    for (size_t i = 0; i < count; i++)
        out_string(&o, NULL, hash_text(proof[i], text));
    out_list_end(&o);
    out_number(&o, "records", records);
    out_number(&o, "seq", seq);
    out_object_end(&o);
    int result = json_out_end(&o, &n);
    if (result == VAULT_OK) {
        write_bytes(w, line, n);
        write_u8(w, '\n');
    }
    return result;
}

/* The proof of the last of them. Who has the records has the leaves that belong to it. */
static int proof_text(struct monitor *m, const struct wanted *x, uint64_t at, struct writer *w, uint64_t *ret_count) {
    struct merkle_store store = {.context = m, .get = leaf_node};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    size_t count = 0;
    uint64_t n = proven_with(x, at), last = wanted_at(x, at) + n - 1;
    int result = merkle_inclusion(&store, last, x->tree, proof, &count);
    *ret_count = n;
    return result == VAULT_OK ? write_proof(w, last, proof, count, n) : result;
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
            wipe(b->bytes + before, w.used - before);
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
        batch_reply(q->monitor, q->worker, reply);
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
    int result = log_record(q->monitor, seq, &record);
    const char *service = json_string_value(json_object_get(json_object_get(record, "service"), "name"));
    *ret = result == VAULT_OK &&
           ((q->asker.roles & 1u << ROLE_AUDITOR) != 0 || (service != NULL && strcmp(service, q->asker.name) == 0));
    json_decref(record);
    return result;
}

static int prove(struct monitor *m, uint64_t seq, json_t **ret) {
    struct merkle_store store = {.context = m, .get = leaf_node};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], leaf[MERKLE_HASH];
    char note[CHECKPOINT_TEXT_MAX], vkey[CHECKPOINT_VKEY_MAX];
    size_t count = 0;
    int result = leaf_node(m, 0, seq, leaf);
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
