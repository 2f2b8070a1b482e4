#include "pending.h"

#include <string.h>

#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/registers/anchors.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

enum { PENDING_EACH = 16, HOST_PREFIX = 5, RECORD_DETAIL = PENDING_DETAIL + NAME_MAX_SIZE + 64 };

static json_t *pending_json(const struct pending_value *p) {
    return json_pack("{s:i, s:s, s:s, s:s*, s:s*, s:o, s:o}", "pending", (int)p->number, "what", p->what, "asked_by",
                     p->asker, "subject", p->subject[0] == '\0' ? NULL : p->subject, "detail",
                     p->detail[0] == '\0' ? NULL : p->detail, "asked", json_time(p->asked), "expires",
                     json_time(p->expires));
}

static int load(struct monitor *m, uint32_t number, struct pending_value *ret) {
    uint8_t key[4];
    put_be32(key, number);
    int result = index_get_record(m->index, DB_PENDING, key, sizeof(key), &layout_pending_value, ret);
    if (result == VAULT_OK && ret->number != number)
        result = VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* ---- which ones wait: their numbers are in meta, so that one put back from before counts for nothing ---- */

static unsigned waiting(const struct monitor *m) {
    return m->meta.waiting_size / 4;
}

static uint32_t nth(const struct monitor *m, unsigned i) {
    return get_be32(m->meta.waiting + (size_t)4 * i);
}

static bool waits(const struct monitor *m, uint32_t number) {
    for (unsigned i = 0; i < waiting(m); i++)
        if (nth(m, i) == number)
            return true;
    return false;
}

/* Those that are damaged neither count nor expire; who may refuse requests can refuse them. */
int pending_load(struct monitor *m) {
    static struct pending_value p;
    m->pending_expires = 0;
    for (unsigned i = 0; i < waiting(m); i++) {
        int result = load(m, nth(m, i), &p);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        if (result == VAULT_OK && (m->pending_expires == 0 || p.expires < m->pending_expires))
            m->pending_expires = p.expires;
    }
    return VAULT_OK;
}

static int forget(struct monitor *m, uint32_t number) {
    uint8_t key[4];
    unsigned kept = 0;
    for (unsigned i = 0; i < waiting(m); i++)
        if (nth(m, i) != number)
            put_be32(m->meta.waiting + (size_t)4 * kept++, nth(m, i));
    m->meta.waiting_size = 4 * kept;
    put_be32(key, number);
    int result = index_delete(m->index, DB_PENDING, key, sizeof(key));
    if (result == VAULT_OK || result == VAULT_NOT_FOUND)
        result = meta_store(m);
    anchors_room(m);
    return result == VAULT_OK ? pending_load(m) : result;
}

static bool describe(const struct pending_value *p, char ret[RECORD_DETAIL]) {
    return format_string(ret, RECORD_DETAIL, "%u: %s asked for by %s%s%s", p->number, p->what, p->asker,
                         p->detail[0] == '\0' ? "" : ": ", p->detail);
}

static int record(struct request *q, const char *event, const struct pending_value *p, uint64_t *ret_seq) {
    char detail[RECORD_DETAIL];
    struct event e = {.name = event,
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = p->subject,
                      .file = q->file,
                      .request = q->id,
                      .action = 'E',
                      .detail = detail,
                      .state = REQUEST_ENDED};
    return describe(p, detail) ? journal(q->monitor, &e, ret_seq) : VAULT_E_STATE;
}

bool pending_needed(const struct request *q) {
    return q->monitor->meta.four_eyes != 0 && q->asked_by == NULL;
}

/* How many of those that wait this one has asked for. Faults of the index. */
static int asked_by(struct monitor *m, const char *asker, unsigned *ret) {
    static struct pending_value p;
    *ret = 0;
    for (unsigned i = 0; i < waiting(m); i++) {
        int result = load(m, nth(m, i), &p);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        *ret += result == VAULT_OK && strcmp(p.asker, asker) == 0;
    }
    return VAULT_OK;
}

static int keep(struct monitor *m, const struct pending_value *p) {
    uint8_t key[4];
    put_be32(key, p->number);
    put_be32(m->meta.waiting + m->meta.waiting_size, p->number);
    m->meta.waiting_size += 4;
    int result = index_put_record(m->index, DB_PENDING, key, sizeof(key), &layout_pending_value, p);
    if (result == VAULT_OK)
        result = meta_store(m);
    return result == VAULT_OK ? pending_load(m) : result;
}

/* Makes an entry of the request, and records it. Faults of the index. */
static int add(struct request *q, const char *what, const char *subject, const char *detail, struct pending_value *ret,
               uint64_t *ret_seq) {
    struct monitor *m = q->monitor;
    size_t size = 0;
    *ret = (struct pending_value){.number = m->meta.pending + 1, .asked = monitor_time(m)};
    ret->expires = ret->asked + (uint64_t)m->setup.approve_seconds * 1000000;
    copy_string(ret->asker, sizeof(ret->asker), q->asker.name);
    copy_string(ret->what, sizeof(ret->what), what);
    copy_string(ret->subject, sizeof(ret->subject), subject == NULL ? "" : subject);
    copy_string(ret->detail, sizeof(ret->detail), detail == NULL ? "" : detail);
    int result = message_encode(q->message, ret->message, sizeof(ret->message), &size);
    if (result != VAULT_OK)
        return result;
    ret->message_size = (uint32_t)size;
    m->meta.pending++;
    result = keep(m, ret);
    return result == VAULT_OK ? record(q, "pending.ask", ret, ret_seq) : result;
}

int pending_ask(struct request *q, const char *what, const char *subject, const char *detail) {
    static struct pending_value p;
    struct monitor *m = q->monitor;
    unsigned own = 0;
    uint64_t seq = NO_SEQ;
    int result = asked_by(m, q->asker.name, &own);
    if (result == VAULT_OK && (waiting(m) == PENDING_MOST || own >= PENDING_EACH))
        return refuse(q, what, subject, 429, "too-many-pending", "Too many requests wait for approval.");
    if (result == VAULT_OK)
        result = add(q, what, subject, detail, &p, &seq);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 202, seq, q->id, pending_json(&p));
    return result;
}

int pending_keep(struct request *q, const char *what, const char *detail) {
    static struct pending_value p;
    return waiting(q->monitor) == PENDING_MOST ? VAULT_DENIED : add(q, what, NULL, detail, &p, NULL);
}

int answer_pending_list(struct request *q) {
    static struct pending_value p;
    struct monitor *m = q->monitor;
    json_t *list = json_array();
    size_t bytes = 0;
    unsigned shown = 0;
    for (unsigned i = 0; i < waiting(m); i++) {
        int result = load(m, nth(m, i), &p);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED) {
            json_decref(list);
            return result;
        }
        if (!json_append_fitting(list, &bytes,
                                 result == VAULT_OK ? pending_json(&p)
                                                    : json_pack("{s:i, s:s}", "pending", (int)nth(m, i), "what",
                                                                "its entry is damaged")))
            break;
        shown++;
    }
    return administer(q, "pending.list", NULL, 'R', NULL, 200,
                      json_pack("{s:o, s:i}", "pending", list, "more", (int)(waiting(m) - shown)));
}

static bool is_host(const char *name) {
    return strncmp(name, "unix:", HOST_PREFIX) == 0;
}

/* Whoever comes by the Unix socket can be whoever else does. */
static bool is_same_person(const char *a, const char *b) {
    return (is_host(a) && is_host(b)) || strcmp(a, b) == 0;
}

/* Since when the vault knows this principal; the host's administrator was there before all. Faults of the index. */
static int known_since(struct monitor *m, const char *name, uint64_t *ret_since) {
    static struct service_value s;
    *ret_since = 0;
    if (is_host(name))
        return VAULT_OK;
    int result = find_service(m, name, &s);
    *ret_since = s.added;
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

struct refusal {
    unsigned status;
    const char *rule, *text;
};

/* Why this one may not decide; status 0: it may. Faults of the index. */
static int may_decide(struct request *q, const struct pending_value *p, uint32_t roles, struct refusal *ret) {
    uint64_t since = 0;
    int result = known_since(q->monitor, q->asker.name, &since);
    *ret = (struct refusal){0};
    if ((q->asker.roles & roles) == 0)
        *ret = (struct refusal){403, "role-missing", "This service lacks the role that the request needs."};
    else if (since >= p->asked)
        *ret =
            (struct refusal){403, "approver-newer", "Who approves must have been known before the request was made."};
    return result;
}

/* The same for approving. Who asked is still known: a revoked one's requests are gone (pending_drop_of). */
static int may_approve(struct request *q, const struct pending_value *p, uint32_t roles, struct refusal *ret) {
    int result = may_decide(q, p, roles, ret);
    if (result == VAULT_OK && ret->status == 0 && is_same_person(q->asker.name, p->asker))
        *ret = (struct refusal){403, "own-request", "Nobody approves their own request."};
    return result;
}

static int no_such_pending(struct request *q, const char *event) {
    return refuse(q, event, NULL, 404, "no-such-pending",
                  "No request of this number waits: it was decided, it expired, or it never was.");
}

/* The request of that number, decoded into `asked`, which owns nothing afterwards, and the roles that it needs.
 * VAULT_NOT_FOUND: it cannot be decided any more. */
static int find_pending(struct monitor *m, uint32_t number, struct pending_value *ret, struct message *asked,
                        uint32_t *ret_roles) {
    if (!waits(m, number))
        return VAULT_NOT_FOUND;
    int result = load(m, number, ret);
    if (result != VAULT_OK)
        return result;
    if (ret->expires <= monitor_time(m))
        return VAULT_NOT_FOUND;
    message_clear(asked);
    result = message_decode(asked, ret->message, ret->message_size);
    return result == VAULT_OK && table_roles(asked->type, ret_roles) ? VAULT_OK : VAULT_E_DAMAGED;
}

/* What waited becomes the request in hand, with the answer going to who approved it. Only afterwards it is forgotten: a
 * look-up that fails leaves it as it is. */
static int run_pending(struct request *q, struct message *asked, const struct pending_value *p) {
    struct monitor *m = q->monitor;
    struct request approved = *q;
    asked->id = q->message->id;
    approved.message = asked;
    approved.asked_by = p->asker;
    int result = table_run(&approved);
    if (result != VAULT_OK || m->stop)
        return result == VAULT_AGAIN ? VAULT_OK : result;
    q->file = approved.file;
    result = batch_begin(m); /* a change of the ring has finished the one before */
    if (result == VAULT_OK)
        result = forget(m, p->number);
    if (result == VAULT_OK)
        result = record(q, "pending.approve", p, NULL);
    if (result != VAULT_OK)
        batch_drop(m, result); /* and with it the answer that the request got */
    return VAULT_OK;
}

int answer_pending_approve(struct request *q) {
    static struct pending_value p;
    static struct message asked;
    struct refusal refusal;
    uint32_t roles = 0;
    int result = find_pending(q->monitor, q->message->pending_approve.number, &p, &asked, &roles);
    if (result == VAULT_NOT_FOUND)
        return no_such_pending(q, "pending.approve");
    if (result == VAULT_OK)
        result = may_approve(q, &p, roles, &refusal);
    if (result != VAULT_OK)
        return result;
    if (refusal.status != 0)
        return refuse(q, "pending.approve", p.subject, refusal.status, refusal.rule, refusal.text);
    return run_pending(q, &asked, &p);
}

/* A damaged one can only be refused, by whoever may refuse any. */
static int forget_damaged(struct request *q, uint32_t number) {
    char detail[64];
    if (!format_string(detail, sizeof(detail), "%u: its entry is damaged", number))
        return VAULT_E_STATE;
    int result = forget(q->monitor, number);
    return result == VAULT_OK
               ? administer(q, "pending.refuse", NULL, 'E', detail, 200, json_pack("{s:i}", "pending", (int)number))
               : result;
}

/* Who asked may take it back. */
int answer_pending_refuse(struct request *q) {
    static struct pending_value p;
    static struct message asked;
    struct refusal refusal;
    uint32_t roles = 0;
    uint64_t seq = NO_SEQ;
    int result = find_pending(q->monitor, q->message->pending_refuse.number, &p, &asked, &roles);
    if (result == VAULT_NOT_FOUND)
        return no_such_pending(q, "pending.refuse");
    if (result == VAULT_E_DAMAGED)
        return forget_damaged(q, q->message->pending_refuse.number);
    if (result == VAULT_OK)
        result = may_decide(q, &p, roles, &refusal);
    if (result != VAULT_OK)
        return result;
    if (refusal.status != 0 && !is_same_person(q->asker.name, p.asker))
        return refuse(q, "pending.refuse", p.subject, refusal.status, refusal.rule, refusal.text);
    anchors_unapproved(p.what);
    result = forget(q->monitor, p.number);
    if (result == VAULT_OK)
        result = record(q, "pending.refuse", &p, &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id, pending_json(&p));
    return result;
}

static int end_unapproved(struct monitor *m, const struct pending_value *p) {
    char detail[RECORD_DETAIL];
    struct event e = {
        .name = "pending.expired", .outcome = "denied", .subject = p->subject, .action = 'E', .detail = detail};
    if (!describe(p, detail))
        return VAULT_E_STATE;
    anchors_unapproved(p->what);
    int result = journal(m, &e, NULL);
    return result == VAULT_OK ? forget(m, p->number) : result;
}

/* Ends the next one that has expired, or that this one asked for. VAULT_NOT_FOUND: there is none. */
static int end_next(struct monitor *m, const char *asker) {
    static struct pending_value p;
    for (unsigned i = 0; i < waiting(m); i++) {
        int result = load(m, nth(m, i), &p);
        bool over = result == VAULT_OK && (asker != NULL ? strcmp(p.asker, asker) == 0 : p.expires <= monitor_time(m));
        if (over)
            return end_unapproved(m, &p);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
    }
    return VAULT_NOT_FOUND;
}

int pending_drop_of(struct monitor *m, const char *asker) {
    int result = VAULT_OK;
    while (result == VAULT_OK)
        result = end_next(m, asker);
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

int pending_replace(struct monitor *m, const char *what, const char *detail, bool *ret_waits) {
    static struct pending_value p;
    *ret_waits = false;
    for (unsigned i = waiting(m); i-- > 0;) {
        int result = load(m, nth(m, i), &p);
        bool of_kind = result == VAULT_OK && strcmp(p.what, what) == 0;
        bool stays = of_kind && detail != NULL && strcmp(p.detail, detail) == 0 && p.expires > monitor_time(m);
        *ret_waits |= stays;
        if (of_kind && !stays)
            result = end_unapproved(m, &p);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
    }
    return VAULT_OK;
}

int pending_drop_all(struct monitor *m) {
    static struct pending_value p;
    int result = VAULT_OK;
    while (result == VAULT_OK && waiting(m) > 0) {
        result = load(m, nth(m, 0), &p);
        if (result == VAULT_OK)
            result = end_unapproved(m, &p);
        else if (result == VAULT_E_DAMAGED)
            result = forget(m, nth(m, 0));
    }
    return result;
}

int pending_tick(struct monitor *m) {
    enum { TICK_MS = 1000 };
    if (m->seal != SEAL_UNSEALED || m->pending_expires == 0)
        return -1;
    if (m->pending_expires > monitor_time(m) || m->space.state == SPACE_NONE)
        return TICK_MS;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = end_next(m, NULL);
    if (result < 0)
        batch_drop(m, result);
    return result == VAULT_OK && m->pending_expires != 0 ? 0 : TICK_MS;
}
