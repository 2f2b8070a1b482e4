/* The log as it is read: its lines, nodes and head. */
#include "reading.h"

#include <string.h>

#include "leaves.h"
#include "records.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/opening/restore.h"
#include "vaultd/monitor/table.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/checkpoint.h"
#include "vault/result.h"

int log_sign(struct monitor *m, char note[CHECKPOINT_TEXT_MAX], char vkey[CHECKPOINT_VKEY_MAX]) {
    struct checkpoint c = {.size = m->tree.size};
    int result = monitor_origin(m, c.origin);
    merkle_fold_root(&m->tree, c.root);
    if (result == VAULT_OK)
        result = checkpoint_sign(&c, keyring_audit_seed(m->keyring), note);
    return result == VAULT_OK ? audit_key_vkey(m, vkey) : result;
}

int log_root(struct monitor *m, uint64_t size, uint8_t ret[MERKLE_HASH]) {
    struct merkle_store store = {.context = m, .get = leaf_node};
    return merkle_root(&store, size, ret);
}

int log_consistency(struct monitor *m, uint64_t old, uint64_t size, uint8_t ret[MERKLE_PROOF_MAX][MERKLE_HASH],
                    size_t *ret_count) {
    struct merkle_store store = {.context = m, .get = leaf_node};
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

int log_open(struct monitor *m) {
    int result = records_load(m);
    return result == VAULT_OK ? leaves_load(m) : result;
}

void log_close(struct monitor *m) {
    records_free(m);
    leaves_free(m);
}

int log_text(struct monitor *m, uint64_t seq, const char **ret, size_t *ret_n) {
    return seq < m->meta.archived ? archive_line(m, seq, ret, ret_n) : records_line(m, seq, ret, ret_n);
}

int log_leaf(struct monitor *m, uint64_t seq, uint8_t ret[MERKLE_HASH]) {
    return leaf_node(m, 0, seq, ret);
}

int log_record(struct monitor *m, uint64_t seq, json_t **ret) {
    const char *line;
    size_t n = 0;
    int result = log_text(m, seq, &line, &n);
    *ret = result == VAULT_OK ? json_loadb(line, n, 0, NULL) : NULL;
    return result == VAULT_OK && *ret == NULL ? VAULT_E_DAMAGED : result;
}

static int is_before(struct monitor *m, uint64_t seq, const char time[28], bool *ret) {
    json_t *record;
    int result = log_record(m, seq, &record);
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
