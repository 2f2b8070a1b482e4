#include "pending.h"

#include <string.h>

#include "vault/log.h"
#include "vault/result.h"

enum { PENDING_MOST = 64, HOST_PREFIX = 5 };

static json_t *pending_json(const struct pending_value *p) {
    return json_pack("{s:i, s:s, s:s, s:s?, s:s?, s:o, s:o}", "pending", (int)p->number, "what", p->what, "asked_by",
                     p->asker, "subject", p->subject[0] == '\0' ? NULL : p->subject, "detail",
                     p->detail[0] == '\0' ? NULL : p->detail, "asked", json_time(p->asked), "expires",
                     json_time(p->expires));
}

static void key_of(uint32_t number, uint8_t ret[4]) {
    put_be32(ret, number);
}

static int forget(struct monitor *m, uint32_t number) {
    uint8_t key[4];
    key_of(number, key);
    int result = index_delete(m->index, DB_PENDING, key, sizeof(key));
    return result == VAULT_OK ? pending_load(m) : result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* The next one after `after` (0: the first). VAULT_NOT_FOUND. */
static int next_pending(struct monitor *m, uint32_t after, struct pending_value *ret) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    uint8_t from[4];
    key_of(after, from);
    int result = index_next(m->index, DB_PENDING, NULL, 0, from, after == 0 ? 0 : sizeof(from), key, &size);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_PENDING, key, size, &layout_pending_value, ret);
    return result;
}

int pending_load(struct monitor *m) {
    static struct pending_value p;
    uint64_t first = 0;
    unsigned count = 0;
    int result = next_pending(m, 0, &p);
    for (; result == VAULT_OK; result = next_pending(m, p.number, &p)) {
        first = first == 0 || p.expires < first ? p.expires : first;
        count++;
    }
    m->pending_expires = first;
    m->pending_count = count;
    if (result == VAULT_E_DAMAGED)
        log_error("four eyes: a request that waits is damaged");
    return result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

static int record(struct request *q, const char *event, const struct pending_value *p, uint64_t *ret_seq) {
    char detail[320];
    struct event e = {.name = event,
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = p->subject,
                      .request = q->id,
                      .action = 'E',
                      .detail = detail,
                      .state = REQUEST_ENDED};
    if (!format_string(detail, sizeof(detail), "%u: %s asked for by %s%s%s", p->number, p->what, p->asker,
                       p->detail[0] == '\0' ? "" : ": ", p->detail))
        return VAULT_E_STATE;
    return journal(q->monitor, &e, ret_seq);
}

bool pending_needed(const struct request *q) {
    return q->monitor->meta.four_eyes != 0 && q->asked_by == NULL;
}

int pending_ask(struct request *q, const char *what, const char *subject, const char *detail) {
    static struct pending_value p;
    struct monitor *m = q->monitor;
    size_t size = 0;
    uint64_t seq = NO_SEQ;
    uint8_t key[4];
    if (m->pending_count >= PENDING_MOST)
        return refuse(q, what, subject, 429, "too-many-pending", "Too many requests wait for approval.");
    p = (struct pending_value){.number = ++m->meta.pending, .asked = monitor_time(m)};
    p.expires = p.asked + (uint64_t)m->setup.approve_seconds * 1000000;
    copy_string(p.asker, sizeof(p.asker), q->asker.name);
    copy_string(p.what, sizeof(p.what), what);
    copy_string(p.subject, sizeof(p.subject), subject == NULL ? "" : subject);
    copy_string(p.detail, sizeof(p.detail), detail == NULL ? "" : detail);
    key_of(p.number, key);
    int result = message_encode(q->message, p.message, sizeof(p.message), &size);
    p.message_size = (uint32_t)size;
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_PENDING, key, sizeof(key), &layout_pending_value, &p);
    if (result == VAULT_OK)
        result = meta_store(m);
    if (result == VAULT_OK)
        result = pending_load(m);
    if (result == VAULT_OK)
        result = record(q, "pending.ask", &p, &seq);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 202, seq, q->id, pending_json(&p));
    return result;
}

int answer_pending_list(struct request *q) {
    static struct pending_value p;
    json_t *list = json_array();
    int result = next_pending(q->monitor, 0, &p);
    for (; result == VAULT_OK; result = next_pending(q->monitor, p.number, &p))
        json_array_append_new(list, pending_json(&p));
    if (result != VAULT_NOT_FOUND) {
        json_decref(list);
        return result;
    }
    return administer(q, "pending.list", NULL, 'R', NULL, 200, json_pack("{s:o}", "pending", list));
}

/* Whoever comes by the Unix socket can be whoever else does. */
static bool is_same_person(const char *a, const char *b) {
    bool hosts = strncmp(a, "unix:", HOST_PREFIX) == 0 && strncmp(b, "unix:", HOST_PREFIX) == 0;
    return hosts || strcmp(a, b) == 0;
}

static bool is_host(const char *name) {
    return strncmp(name, "unix:", HOST_PREFIX) == 0;
}

/* Since when the vault knows this principal, and in which roles; the host's administrator was there before all. Roles
 * are 0 where it is revoked. Faults of the index. */
static int principal(struct monitor *m, const char *name, uint64_t *ret_since, uint32_t *ret_roles) {
    static struct service_value s;
    *ret_since = 0;
    *ret_roles = UINT32_MAX;
    if (is_host(name))
        return VAULT_OK;
    int result = find_service(m, name, &s);
    if (result == VAULT_NOT_FOUND)
        result = VAULT_E_DAMAGED;
    *ret_since = s.added;
    *ret_roles = s.revoked != 0 ? 0 : s.roles;
    return result;
}

struct refusal {
    unsigned status;
    const char *rule, *text;
};

/* Why this one may not decide; status 0: it may. Faults of the index. */
static int may_decide(struct request *q, const struct pending_value *p, uint32_t roles, struct refusal *ret) {
    uint64_t since = 0;
    uint32_t own = 0;
    int result = principal(q->monitor, q->asker.name, &since, &own);
    *ret = (struct refusal){0};
    if ((q->asker.roles & roles) == 0)
        *ret = (struct refusal){403, "role-missing", "This service lacks the role that the request needs."};
    else if (since >= p->asked)
        *ret =
            (struct refusal){403, "approver-newer", "Who approves must have been known before the request was made."};
    return result;
}

/* The same for approving. */
static int may_approve(struct request *q, const struct pending_value *p, uint32_t roles, struct refusal *ret) {
    uint64_t since = 0;
    uint32_t askers = 0;
    int result = may_decide(q, p, roles, ret);
    if (result == VAULT_OK)
        result = principal(q->monitor, p->asker, &since, &askers);
    if (result != VAULT_OK || ret->status != 0)
        return result;
    if (is_same_person(q->asker.name, p->asker))
        *ret = (struct refusal){403, "own-request", "Nobody approves their own request."};
    else if ((askers & roles) == 0)
        *ret = (struct refusal){409, "asker-gone", "Who asked for it may not ask for it any more."};
    return VAULT_OK;
}

/* The request of that number, if it can be decided still. VAULT_NOT_FOUND. */
static int find_pending(struct monitor *m, uint32_t number, struct pending_value *ret) {
    uint8_t key[4];
    key_of(number, key);
    int result = index_get_record(m->index, DB_PENDING, key, sizeof(key), &layout_pending_value, ret);
    return result == VAULT_OK && ret->expires <= monitor_time(m) ? VAULT_NOT_FOUND : result;
}

static int no_such_pending(struct request *q, const char *event) {
    return refuse(q, event, NULL, 404, "no-such-pending",
                  "No request of this number waits: it was decided, it expired, or it never was.");
}

/* What waited becomes the request in hand, with the answer going to who approved it. */
static int run_pending(struct request *q, struct message *asked, const struct pending_value *p,
                       request_handler *handler) {
    struct request approved = *q;
    asked->id = q->message->id;
    approved.message = asked;
    approved.asked_by = p->asker;
    return handler(&approved);
}

int answer_pending_approve(struct request *q) {
    static struct pending_value p;
    static struct message asked;
    struct refusal refusal;
    uint32_t roles = 0;
    int result = find_pending(q->monitor, q->message->pending_approve.number, &p);
    if (result == VAULT_NOT_FOUND)
        return no_such_pending(q, "pending.approve");
    message_clear(&asked);
    if (result == VAULT_OK)
        result = message_decode(&asked, p.message, p.message_size);
    request_handler *handler = result == VAULT_OK ? table_handler(asked.type, &roles) : NULL;
    if (result == VAULT_E_PROTOCOL || (result == VAULT_OK && handler == NULL))
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = may_approve(q, &p, roles, &refusal);
    if (result != VAULT_OK)
        return result;
    if (refusal.status != 0)
        return refuse(q, "pending.approve", p.subject, refusal.status, refusal.rule, refusal.text);
    result = forget(q->monitor, p.number);
    if (result == VAULT_OK)
        result = record(q, "pending.approve", &p, NULL);
    return result == VAULT_OK ? run_pending(q, &asked, &p, handler) : result;
}

/* Who asked may take it back. */
int answer_pending_refuse(struct request *q) {
    static struct pending_value p;
    static struct message asked;
    struct refusal refusal;
    uint32_t roles = 0;
    int result = find_pending(q->monitor, q->message->pending_refuse.number, &p);
    if (result == VAULT_NOT_FOUND)
        return no_such_pending(q, "pending.refuse");
    message_clear(&asked);
    if (result == VAULT_OK && message_decode(&asked, p.message, p.message_size) == VAULT_OK)
        (void)table_handler(asked.type, &roles);
    if (result == VAULT_OK)
        result = may_decide(q, &p, roles, &refusal);
    if (result != VAULT_OK)
        return result;
    if (refusal.status != 0 && !is_same_person(q->asker.name, p.asker))
        return refuse(q, "pending.refuse", p.subject, refusal.status, refusal.rule, refusal.text);
    result = forget(q->monitor, p.number);
    return result == VAULT_OK ? administer(q, "pending.refuse", p.subject, 'E', p.what, 200, pending_json(&p)) : result;
}

static int expire(struct monitor *m) {
    static struct pending_value p;
    char detail[320];
    struct event e = {.name = "pending.expired", .outcome = "denied", .action = 'E', .detail = detail};
    int result = next_pending(m, 0, &p);
    while (result == VAULT_OK && p.expires > monitor_time(m))
        result = next_pending(m, p.number, &p);
    if (result == VAULT_E_DAMAGED)
        m->pending_expires = 0; /* those behind it are refused all the same when they are asked for */
    if (result != VAULT_OK)
        return result == VAULT_E_DAMAGED ? VAULT_NOT_FOUND : result;
    e.subject = p.subject;
    if (!format_string(detail, sizeof(detail), "%u: %s asked for by %s", p.number, p.what, p.asker))
        return VAULT_E_STATE;
    result = journal(m, &e, NULL);
    return result == VAULT_OK ? forget(m, p.number) : result;
}

int pending_tick(struct monitor *m) {
    enum { TICK_MS = 1000 };
    if (m->seal != SEAL_UNSEALED || m->pending_expires == 0)
        return -1;
    if (m->pending_expires > monitor_time(m) || m->space.state == SPACE_NONE)
        return TICK_MS;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = expire(m);
    if (result < 0)
        batch_drop(m, result);
    return result == VAULT_OK && m->pending_expires != 0 ? 0 : TICK_MS;
}
