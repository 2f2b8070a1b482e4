#include <stdlib.h>

#include "pending.h"
#include "vaultd/monitor/access/denials.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/care/check.h"
#include "vaultd/monitor/care/scrub.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/keys/escrow.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/log/records.h"
#include "vaultd/monitor/registers/anchors.h"
#include "vaultd/monitor/registers/standings.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/log.h"
#include "vault/result.h"

static const uint8_t meta_key[] = "meta";
static const uint8_t tree_key[] = "tree";
enum { TREE_MAX = 24 + 64 * MERKLE_HASH };

int batch_begin(struct monitor *m) {
    if (index_writing(m->index))
        return VAULT_OK;
    space_look(m);
    m->batch_begun = loop_now_ms();
    m->changes_before = index_changes(m->index);
    return index_begin(m->index);
}

int meta_store(struct monitor *m) {
    m->meta.stores++;
    return index_put_record(m->index, DB_META, meta_key, sizeof(meta_key), &layout_meta_value, &m->meta);
}

/* u64 size ‖ u64 time of the last record ‖ u64 stores of the meta value ‖ the hashes of the complete subtrees, smallest
 * first. */
static int tree_store(struct monitor *m) {
    uint8_t bytes[TREE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_u64(&w, m->tree.size);
    write_u64(&w, m->last_time);
    write_u64(&w, m->meta.stores);
    for (unsigned level = 0; level < 64; level++)
        if (m->tree.size >> level & 1)
            write_bytes(&w, m->tree.pending[level], MERKLE_HASH);
    return index_put(m->index, DB_META, tree_key, sizeof(tree_key), bytes, w.used);
}

/* The log ends where the tree says: neither value of the pair, nor the log's end, was put back from before. */
static int tree_is_of_now(struct monitor *m, uint64_t meta_stores) {
    uint8_t last[8];
    uint8_t next[INDEX_KEY_MAX];
    size_t n = 0;
    if (m->tree.size == 0 || meta_stores != m->meta.stores)
        return VAULT_E_DAMAGED;
    put_be64(last, m->tree.size - 1);
    int result = index_next(m->index, DB_RECORDS, NULL, 0, last, sizeof(last), next, &n);
    return result == VAULT_NOT_FOUND ? VAULT_OK : result == VAULT_OK ? VAULT_E_DAMAGED : result;
}

static int tree_load(struct monitor *m) {
    uint8_t bytes[TREE_MAX];
    size_t n = 0;
    int result = index_get(m->index, DB_META, tree_key, sizeof(tree_key), bytes, sizeof(bytes), &n);
    if (result != VAULT_OK)
        return result;
    struct reader r = reader_of(bytes, n);
    m->tree = (struct merkle_fold){.size = read_u64(&r)};
    m->last_time = read_u64(&r);
    uint64_t meta_stores = read_u64(&r);
    for (unsigned level = 0; level < 64; level++)
        if (m->tree.size >> level & 1)
            read_bytes(&r, m->tree.pending[level], MERKLE_HASH);
    return read_done(&r) ? tree_is_of_now(m, meta_stores) : VAULT_E_DAMAGED;
}

static int policy_reload(struct monitor *m) {
    static struct policy_value value;
    uint8_t key[4];
    m->has_policy = m->policy_damaged = false;
    m->policy_hash[0] = '\0';
    if (m->meta.policy == 0)
        return VAULT_OK;
    put_be32(key, m->meta.policy);
    int result = index_get_record(m->index, DB_POLICIES, key, sizeof(key), &layout_policy_value, &value);
    if (result == VAULT_OK && value.record != m->meta.policy_record)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = policy_decode(&m->policy, value.policy, value.policy_size);
    if (result != VAULT_OK) {
        log_error("policy: the one in force cannot be read version=%u result=\"%s\"", m->meta.policy,
                  vault_result_name(result));
        m->policy_damaged = true;
        return VAULT_OK; /* the vault stays up, so that another policy can be loaded */
    }
    m->has_policy = true;
    hex_encode(m->policy_hash, sizeof(m->policy_hash), value.hash, HASH_SIZE);
    return VAULT_OK;
}

int monitor_reload(struct monitor *m) {
    m->services_change++;
    int result = index_get_record(m->index, DB_META, meta_key, sizeof(meta_key), &layout_meta_value, &m->meta);
    if (result == VAULT_OK && m->meta.format != INDEX_FORMAT)
        result = VAULT_E_FORMAT;
    if (result == VAULT_OK)
        result = tree_load(m);
    if (result == VAULT_OK)
        result = log_open(m);
    if (result == VAULT_OK)
        result = policy_reload(m);
    if (result == VAULT_OK)
        result = scrub_load(m);
    if (result == VAULT_OK)
        result = pending_load(m);
    if (result == VAULT_OK)
        result = escrows_load(m);
    if (result == VAULT_OK)
        result = anchors_load(m);
    return result;
}

void batch_reply(struct monitor *m, struct worker *w, struct message *reply) {
    struct reply *r = malloc(sizeof(*r));
    if (r == NULL) {
        message_clear(reply);
        free(reply);
        worker_kill(m, w->number, WORKER_FAULTY);
        return;
    }
    *r = (struct reply){.worker = w->number, .message = reply, .grows = m->grows};
    if (m->ending != NULL && m->ending->answer == NULL && m->ending->worker == w->number) {
        m->ending->answer = reply; /* waits for the grants that this change ends */
        free(r);
        return;
    }
    *m->replies_end = r;
    m->replies_end = &r->next;
}

void reply_now(struct monitor *m, struct worker *w, struct message *reply) {
    w->waiting = false;
    int result = channel_send(w->channel, reply);
    if (result != VAULT_OK && result != VAULT_E_CLOSED)
        worker_kill(m, w->number, WORKER_MISBEHAVED);
    message_clear(reply);
}

static void send_reply(struct monitor *m, uint64_t number, struct message *message) {
    struct worker *w = worker_find(m, number);
    if (w != NULL && w->channel >= 0)
        reply_now(m, w, message);
    else
        message_clear(message);
    free(message);
}

static void send_replies(struct monitor *m) {
    struct reply *r = m->replies;
    m->replies = NULL;
    m->replies_end = &m->replies;
    while (r != NULL) {
        struct reply *next = r->next;
        send_reply(m, r->worker, r->message);
        free(r);
        r = next;
    }
}

int ending_start(struct monitor *m, uint64_t worker) {
    if (m->ending != NULL)
        return VAULT_OK;
    struct ending *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return VAULT_E_MEMORY;
    *e = (struct ending){.worker = worker, .next = m->endings};
    m->endings = m->ending = e;
    return VAULT_OK;
}

void endings_keys_wiped(struct monitor *m) {
    for (struct ending *e = m->endings; e != NULL; e = e->next)
        e->keys = false;
}

bool ending_is_of_anchors(const struct monitor *m, uint64_t worker) {
    for (const struct ending *e = m->endings; e != NULL; e = e->next)
        if (e->anchors && e->worker == worker)
            return true;
    return false;
}

static bool workers_still_ending(const struct monitor *m) {
    for (const struct worker *w = m->workers; w != NULL; w = w->next)
        if (w->sealed)
            return true;
    return false;
}

static bool still_waits(const struct monitor *m, const struct ending *e) {
    return !e->committed || e->keys || (e->anchors && anchors_are_awaited(m)) || grants_still_ending(m, e->ended) ||
           (e->workers && (workers_still_ending(m) || backup_has_key(m)));
}

/* Answers of changes whose grants have all ended. */
static void release_endings(struct monitor *m) {
    struct ending **at = &m->endings;
    while (*at != NULL) {
        struct ending *e = *at;
        if (still_waits(m, e)) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        if (e->answer != NULL)
            send_reply(m, e->worker, e->answer);
        free(e);
    }
}

void endings_free(struct monitor *m) {
    for (struct ending *e = m->endings, *next; e != NULL; e = next) {
        next = e->next;
        if (e->answer != NULL)
            message_clear(e->answer);
        free(e->answer);
        free(e);
    }
    m->endings = m->ending = NULL;
}

static struct message *refusal_of(const struct message *m, bool full) {
    return problem_message(m->id, full ? 507 : 503, NO_SEQ, NULL, full ? "state-full" : "not-recorded",
                           full ? "The vault's state has no space left; nothing was changed."
                                : "The request could not be recorded; nothing was changed.");
}

static void refuse_message(struct message **message, bool full) {
    struct message *refusal = refusal_of(*message, full);
    message_clear(*message); /* also without memory: what is left cannot be sent, and its worker ends */
    if (refusal == NULL)
        return;
    free(*message);
    *message = refusal;
}

static int reopen(struct monitor *m) {
    index_close(&m->index);
    struct index_keys keys = ring_index_keys(m);
    int result = index_open(&keys, m->setup.map_size, false, &m->index);
    if (result == VAULT_OK)
        result = monitor_reload(m);
    if (result != VAULT_OK) { /* what is in memory is still of the batch that was dropped */
        index_close(&m->index);
        log_close(m);
    }
    return result;
}

void batch_drop(struct monitor *m, int reason) {
    log_error("batch: dropped result=\"%s\"", vault_result_name(reason));
    index_abort(m->index);
    for (struct reply *r = m->replies; r != NULL; r = r->next)
        refuse_message(&r->message, reason == VAULT_E_FULL && r->grows);
    for (struct ending *e = m->endings; e != NULL; e = e->next)
        if (!e->committed) {
            e->ended = 0;
            e->keys = e->workers = e->anchors = false;
            e->committed = true;
            if (e->answer != NULL)
                refuse_message(&e->answer, false); /* it takes rights away */
        }
    grants_dropped(m);
    denials_settled(m, false);
    standings_dropped(m);
    archive_forget(m);
    check_settled(m, false);
    jobs_wake(m); /* whether it was paused, and how far it was, is read again */
    backup_settled(m, false);
    witnesses_settled(m, false);
    anchors_wake(m);
    m->unsettled = true;
    m->failures.wanted = true; /* what was settled in it is asked again */
    m->failures.cursor_size = m->failures.lifted_size = 0;
    for (struct worker *w = m->workers; w != NULL; w = w->next)
        w->uploads = 0; /* counted anew: what this batch opened and ended is not known any more */
    if (reason == VAULT_E_FULL)
        space_failed(m);
    int result = reopen(m);
    if (result == VAULT_OK && keyring_epoch(m->keyring) != m->meta.epoch)
        result = VAULT_E_STATE; /* the ring has taken a step that this batch was to follow: a start finishes it */
    if (result != VAULT_OK) {
        log_error("index: cannot be opened again result=\"%s\"", vault_result_name(result));
        m->stop = true;
        m->exit_status = 74; /* EX_IOERR: the supervisor starts us again, without end */
    }
    m->ending = NULL;
    send_replies(m);
    release_endings(m);
}

bool batch_is_awaited(const struct monitor *m) {
    return m->replies != NULL || m->endings != NULL || grants_await_batch(m);
}

int batch_finish(struct monitor *m) {
    int result = VAULT_OK;
    m->ending = NULL;
    if (m->index != NULL && index_writing(m->index)) {
        result = records_store(m);
        if (result == VAULT_OK && index_changes(m->index) != m->changes_before)
            result = tree_store(m);
        if (result == VAULT_OK)
            result = index_commit(m->index);
        if (result != VAULT_OK) {
            batch_drop(m, result);
            return result;
        }
        grants_committed(m);
        denials_settled(m, true);
        standings_committed(m);
        check_settled(m, true);
        backup_settled(m, true);
        witnesses_settled(m, true);
    }
    anchors_tell(m);
    for (struct ending *e = m->endings; e != NULL; e = e->next)
        e->committed = true;
    send_replies(m);
    release_endings(m);
    if (m->index != NULL)
        index_end_reads(m->index);
    return result;
}
