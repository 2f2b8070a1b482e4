#include "anchors.h"

#include <sodium.h>
#include <string.h>

#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

static const uint8_t anchors_key[] = "anchors";
static const char event[] = "trust.anchors";
static const char host[] = "unix:0"; /* who can write the file is the host's administrator, or can be */

static bool is_none(const uint8_t hash[HASH_SIZE]) {
    return sodium_is_zero(hash, HASH_SIZE) == 1;
}

static bool same(const uint8_t a[HASH_SIZE], const uint8_t b[HASH_SIZE]) {
    return memcmp(a, b, HASH_SIZE) == 0;
}

static bool describe(const struct msg_anchors_seen *a, char ret[PENDING_DETAIL]) {
    uint8_t hash[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];
    crypto_hash_sha256(hash, a->pem, a->pem_size);
    hex_encode(hex, sizeof(hex), hash, sizeof(hash));
    return format_string(ret, PENDING_DETAIL, "SHA-256 %s, %u certificates: %s", hex, a->count, a->subjects);
}

int anchors_load(struct monitor *m) {
    struct anchors *a = &m->anchors;
    uint8_t hash[HASH_SIZE];
    size_t n = 0;
    a->damaged = false;
    a->kept_size = 0;
    if (is_none(m->meta.anchors))
        return VAULT_OK;
    int result = index_get(m->index, DB_META, anchors_key, sizeof(anchors_key), a->kept, sizeof(a->kept), &n);
    if (result == VAULT_OK) {
        a->kept_size = (uint32_t)n;
        crypto_hash_sha256(hash, a->kept, n);
    }
    a->damaged = result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED || result == VAULT_E_LIMIT ||
                 (result == VAULT_OK && !same(hash, m->meta.anchors));
    if (a->damaged)
        log_error("trust: the client authorities in force cannot be read; no client is known until their file is back");
    return a->damaged ? VAULT_OK : result;
}

void anchors_seen(struct monitor *m, const struct msg_anchors_seen *seen) {
    struct anchors *a = &m->anchors;
    a->seen = *seen;
    crypto_hash_sha256(a->seen_hash, seen->pem, seen->pem_size);
    if (!a->heard)
        COPY_ARRAY(a->in_use, a->seen_hash); /* the gate starts with those of the file */
    a->heard = a->due = true;
}

bool anchors_vouch(const struct monitor *m) {
    return m->anchors.agreed || is_none(m->meta.anchors) ||
           (!m->anchors.damaged && same(m->anchors.in_use, m->meta.anchors));
}

void anchors_used(struct monitor *m, uint64_t id) {
    struct anchors *a = &m->anchors;
    if (id != a->uses)
        return; /* it was told others meanwhile */
    COPY_ARRAY(a->in_use, a->told);
    a->agreed = m->seal == SEAL_UNSEALED && (a->agreed || same(a->in_use, m->meta.anchors));
}

void anchors_wake(struct monitor *m) {
    m->anchors.due = true;
}

void anchors_room(struct monitor *m) {
    m->anchors.due |= m->anchors.crowded;
    m->anchors.crowded = false;
}

void anchors_unapproved(const char *what) {
    if (strcmp(what, event) == 0)
        log_warning("trust: other client authorities were not approved; those in force stay");
}

static int keep(struct monitor *m, const struct msg_anchors_seen *a) {
    int result = index_put(m->index, DB_META, anchors_key, sizeof(anchors_key), a->pem, a->pem_size);
    crypto_hash_sha256(m->meta.anchors, a->pem, a->pem_size);
    copy_bytes(m->anchors.kept, sizeof(m->anchors.kept), a->pem, a->pem_size);
    m->anchors.kept_size = a->pem_size;
    m->anchors.damaged = false;
    return result == VAULT_OK ? meta_store(m) : result;
}

/* Nobody could approve them yet. */
static int take(struct monitor *m) {
    char detail[PENDING_DETAIL];
    struct event e = {.name = event, .outcome = "done", .action = 'U', .detail = detail};
    if (!describe(&m->anchors.seen, detail))
        return VAULT_E_STATE;
    int result = keep(m, &m->anchors.seen);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* The file holds what is in force: nothing waits any more. */
static int settle_same(struct monitor *m) {
    bool waits = false;
    int result = m->anchors.damaged ? keep(m, &m->anchors.seen) : VAULT_OK;
    return result == VAULT_OK ? pending_replace(m, event, NULL, &waits) : result;
}

static int ask(struct monitor *m) {
    static struct message message;
    char detail[PENDING_DETAIL];
    bool waits = false;
    if (!describe(&m->anchors.seen, detail))
        return VAULT_E_STATE;
    int result = pending_replace(m, event, detail, &waits);
    if (result != VAULT_OK || waits)
        return result;
    struct request q = {.monitor = m, .message = &message, .asker = {.known = true}};
    copy_string(q.asker.name, sizeof(q.asker.name), host);
    randombytes_buf(q.id, sizeof(q.id));
    message_init(&message, MSG_anchors_seen, 0);
    message.anchors_seen = m->anchors.seen;
    result = pending_keep(&q, event, detail);
    m->anchors.crowded = result == VAULT_DENIED;
    log_warning("trust: other client authorities are in the file; they are not in force%s",
                m->anchors.crowded ? ", and too many requests wait for approval" : ", and wait for a second person");
    return m->anchors.crowded ? VAULT_OK : result;
}

int anchors_step(struct monitor *m, bool *ret_more) {
    struct anchors *a = &m->anchors;
    *ret_more = false;
    if (!a->due || !a->heard || m->seal != SEAL_UNSEALED)
        return VAULT_OK;
    a->due = false;
    int result = batch_begin(m);
    if (result != VAULT_OK)
        return result;
    if (same(a->seen_hash, m->meta.anchors))
        return settle_same(m);
    return is_none(m->meta.anchors) || m->meta.four_eyes == 0 ? take(m) : ask(m);
}

/* Whom the gate vouched for by others than those in force. */
static void lose_identities(struct monitor *m) {
    for (struct worker *w = m->workers; w != NULL; w = w->next) {
        if (w->kind != PEER_TLS || !w->identified || w->lost)
            continue;
        w->lost = true;
        worker_kill(m, w->number, WORKER_REVOKED);
    }
}

void anchors_tell(struct monitor *m) {
    static struct message use;
    struct anchors *a = &m->anchors;
    if (m->seal != SEAL_UNSEALED || is_none(m->meta.anchors) || a->damaged)
        return;
    a->agreed |= same(a->in_use, m->meta.anchors);
    if (same(a->told, m->meta.anchors))
        return;
    if (!a->agreed)
        lose_identities(m);
    COPY_ARRAY(a->told, m->meta.anchors);
    message_init(&use, MSG_anchors_use, ++a->uses);
    copy_bytes(use.anchors_use.pem, sizeof(use.anchors_use.pem), a->kept, a->kept_size);
    use.anchors_use.pem_size = a->kept_size;
    if (channel_send_wait(m->gate, &use, 5000) != VAULT_OK) {
        log_error("trust: the gate cannot be told which client authorities are in force");
        m->stop = true;
        m->exit_status = 1;
    }
}

bool anchors_are_awaited(const struct monitor *m) {
    return m->seal == SEAL_UNSEALED && !m->stop && !is_none(m->meta.anchors) &&
           !same(m->anchors.in_use, m->meta.anchors);
}

/* Approved: what waited comes into force, if the file still holds it. */
int answer_anchors_seen(struct request *q) {
    struct monitor *m = q->monitor;
    const struct msg_anchors_seen *a = &q->message->anchors_seen;
    char detail[PENDING_DETAIL];
    uint8_t hash[HASH_SIZE];
    crypto_hash_sha256(hash, a->pem, a->pem_size);
    if (!m->anchors.heard || !same(hash, m->anchors.seen_hash))
        return refuse(q, event, NULL, 409, "other-anchors", "The file holds other client authorities by now.");
    int result = describe(a, detail) ? ending_start(m, q->worker->number) : VAULT_E_STATE;
    if (result != VAULT_OK)
        return result;
    m->ending->anchors = true;
    result = keep(m, a);
    return result == VAULT_OK ? administer(q, event, NULL, 'U', detail, 200,
                                           json_pack("{s:o, s:i}", "sha256", json_hex(hash, sizeof(hash)),
                                                     "certificates", (int)a->count))
                              : result;
}

static json_t *hash_json(const uint8_t hash[HASH_SIZE], bool known) {
    return known ? json_hex(hash, HASH_SIZE) : json_null();
}

json_t *anchors_json(const struct monitor *m) {
    const struct anchors *a = &m->anchors;
    bool waits = a->heard && !same(a->seen_hash, m->meta.anchors);
    return json_pack("{s:o, s:o}", "in_force", hash_json(m->meta.anchors, !is_none(m->meta.anchors)), "waiting",
                     hash_json(a->seen_hash, waits));
}
