#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/failures.h"
#include "vaultd/monitor/keys/rekey.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/log.h"
#include "vault/result.h"

/* How long a worker may take to acknowledge before it is ended by force; and how often all grants are decided again. */
enum { ACKNOWLEDGE_MS = 20, CLOCK_MS = 1000, CLOCK_GRANTS = 64 };

struct grant *grant_find(struct monitor *m, const struct worker *w, const uint8_t id[ID_SIZE]) {
    for (struct grant *g = m->grants; g != NULL; g = g->next)
        if (g->worker == w->number && memcmp(g->id, id, ID_SIZE) == 0)
            return g;
    return NULL;
}

/* Holders of more than an honest worker's table are refused (access.c). */
unsigned grants_of(const struct monitor *m, uint64_t worker) {
    unsigned n = 0;
    for (const struct grant *g = m->grants; g != NULL; g = g->next)
        n += g->worker == worker ? 1 : 0;
    return n;
}

/* Its pages, and its part in what is open. */
static int open_for_budgets(struct monitor *m, struct grant *g) {
    g->seen = calloc(1, g->chunks / PAGE_CHUNKS / 8 + 1);
    int result = g->seen == NULL ? VAULT_E_MEMORY : budgets_enter(m, g);
    if (result != VAULT_OK) {
        free(g->seen);
        g->seen = NULL;
    }
    return result;
}

bool grants_need(const struct monitor *m, const uint8_t blob[ID_SIZE]) {
    for (const struct grant *g = m->grants; g != NULL; g = g->next)
        if (memcmp(g->blob, blob, ID_SIZE) == 0)
            return true;
    return false;
}

int grant_add(struct monitor *m, const struct grant *g) {
    struct grant *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return VAULT_E_MEMORY;
    int result = index_put_record(m->index, DB_GRANTS, g->id, ID_SIZE, &layout_grant_value, &g->value);
    if (result != VAULT_OK) {
        free(copy);
        return result;
    }
    *copy = *g;
    result = open_for_budgets(m, copy);
    if (result != VAULT_OK) {
        free(copy);
        return result;
    }
    copy->state = GRANT_PENDING;
    copy->decided_at = loop_now_ms();
    copy->next = m->grants;
    m->grants = copy;
    return VAULT_OK;
}

void grant_drop(struct monitor *m, struct grant *g) {
    struct grant **at = &m->grants;
    while (*at != NULL && *at != g)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = g->next;
    budgets_leave(m, g);
    free(g->seen);
    free(g);
    m->removal_wanted |= m->removal_waits;
}

int grant_close(struct monitor *m, struct grant *g, const char *outcome, uint64_t bytes, uint32_t ranges,
                uint8_t status, const char *detail) {
    struct event e = {.name = g->value.rekey != 0 ? "file.rekey.close" : "read.close",
                      .outcome = outcome,
                      .service = g->value.service,
                      .subject = g->value.subject,
                      .file = g->value.file,
                      .request = g->value.request,
                      .action = g->value.rekey != 0 ? 'U' : 'R',
                      .purpose = g->value.purpose,
                      .has_bytes = true,
                      .bytes = bytes,
                      .ranges = ranges,
                      .detail = detail,
                      .state = REQUEST_ENDED,
                      .status = status};
    struct spender s = {.purpose = &g->purpose, .service = g->value.service};
    static struct project_value p;
    int result = g->value.project[0] == '\0' ? VAULT_NOT_FOUND : find_project(m, g->value.project, &p);
    e.project = result == VAULT_OK ? p.name : NULL;
    result = journal(m, &e, NULL);
    if (result == VAULT_OK)
        result = budgets_spend(m, &s, g->handed_out);
    if (result == VAULT_OK)
        result = index_delete(m->index, DB_GRANTS, g->id, ID_SIZE);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

int grant_is_permitted(struct monitor *m, const struct grant *g, const struct policy *p, bool *ret_permitted) {
    static struct inquiry i;
    static struct subject_value s;
    struct asker asker = {0};
    struct worker *w = worker_find(m, g->worker);
    *ret_permitted = false;
    if (witnesses_doubt(m))
        return VAULT_OK;
    if (g->value.rekey != 0)
        return rekey_goes_on(m, g, ret_permitted);
    int result = w == NULL ? VAULT_OK : find_asker(m, w, &asker);
    struct inquiry_wanted wanted = {.asker = &asker,
                                    .action = ACTION_READ,
                                    .purpose = &g->purpose,
                                    .file = g->value.file,
                                    .goes_on = true,
                                    .policy = p};
    bool aside = false;
    if (result == VAULT_OK)
        result = inquire(m, &wanted, &i);
    bool permitted = result == VAULT_OK && i.decision.verdict == VERDICT_PERMIT;
    if (permitted)
        result = standings_vouch(m, i.subject.subject, &s);
    if (result == VAULT_OK)
        result = failure_is_aside(m, g->blob, &aside);
    if (result == VAULT_E_DAMAGED) { /* what cannot be looked up any more is not permitted any more */
        *ret_permitted = false;
        return VAULT_OK;
    }
    if (result == VAULT_OK)
        *ret_permitted = permitted && !aside;
    return result;
}

static bool concerns(const struct grant *g, const struct grant_filter *f) {
    return (f->subject == NULL || strcmp(f->subject, g->value.subject) == 0) &&
           (f->service == NULL || strcmp(f->service, g->value.service) == 0) &&
           (f->worker == NULL || *f->worker == g->worker);
}

bool grants_still_ending(const struct monitor *m, uint64_t ended) {
    for (const struct grant *g = m->grants; g != NULL; g = g->next)
        if (g->state == GRANT_ENDING && g->ended <= ended)
            return true;
    return false;
}

/* The answer of the change that runs now waits for this grant, and with it for all that were ended before. */
static int wait_for(struct monitor *m, const struct grant *g, uint64_t asked_by) {
    int result = asked_by == 0 ? VAULT_OK : ending_start(m, asked_by);
    if (result == VAULT_OK && asked_by != 0 && g->ended > m->ending->ended)
        m->ending->ended = g->ended;
    return result;
}

static int end_grant(struct monitor *m, struct grant *g, const struct grant_filter *filter) {
    int result = grant_close(m, g, "revoked", g->handed_out, 0, 3, filter->cause);
    if (result != VAULT_OK)
        return result;
    g->state = GRANT_ENDING;
    budgets_follow(g);
    g->ended = ++m->ended;
    g->ended_in_batch = true;
    g->force_at = 0;
    return wait_for(m, g, filter->asked_by);
}

static int decide_one(struct monitor *m, struct grant *g, const struct grant_filter *filter, unsigned *ended) {
    bool permitted = true;
    int result = grant_is_permitted(m, g, policy_in_force(m), &permitted);
    if (result == VAULT_OK && !permitted) {
        result = end_grant(m, g, filter);
        if (ended != NULL)
            ++*ended;
    }
    return result;
}

int grant_decide_more(struct monitor *m, struct grant *g, bool *ret_permitted) {
    struct grant_filter filter = {.cause = "more was asked for than is permitted now"};
    int result = grant_is_permitted(m, g, policy_in_force(m), ret_permitted);
    if (result != VAULT_OK || *ret_permitted || m->space.state == SPACE_NONE)
        return result; /* what cannot be recorded ends nothing, and gives nothing */
    return end_grant(m, g, &filter);
}

int grants_decide_again(struct monitor *m, const struct grant_filter *filter, unsigned *ret_ended) {
    unsigned ended = 0;
    for (struct grant *g = m->grants; g != NULL; g = g->next) {
        if (g->closed_in_batch || !concerns(g, filter))
            continue;
        /* What an earlier change ended may still be on its way out: this answer waits for it too. */
        int result = g->state == GRANT_ENDING ? wait_for(m, g, filter->asked_by) : decide_one(m, g, filter, &ended);
        if (result != VAULT_OK)
            return result;
    }
    if (ret_ended != NULL)
        *ret_ended = ended;
    return VAULT_OK;
}

int grants_end_all(struct monitor *m, const char *cause, uint64_t asked_by) {
    struct grant_filter filter = {.cause = cause, .asked_by = asked_by};
    int result = VAULT_OK;
    for (struct grant *g = m->grants; g != NULL && result == VAULT_OK; g = g->next)
        if (!g->closed_in_batch)
            result = g->state == GRANT_ENDING ? wait_for(m, g, asked_by) : end_grant(m, g, &filter);
    return result;
}

/* The grant whose answer is still in this batch: it is refused instead, and was never used. */
static bool answer_instead(struct monitor *m, const struct grant *g) {
    for (struct reply *r = m->replies; r != NULL; r = r->next) {
        if (r->message->type != MSG_grant || memcmp(r->message->grant.grant, g->id, ID_SIZE) != 0)
            continue;
        struct message *refusal = problem_message(r->message->id, 403, r->message->grant.seq, g->value.request,
                                                  "not-available", "Not permitted, or not there.");
        message_clear(r->message); /* also without memory: what is left cannot be sent, and its worker ends */
        if (refusal != NULL) {
            free(r->message);
            r->message = refusal;
        }
        return true;
    }
    return false;
}

static void tell_worker(struct monitor *m, struct grant *g) {
    static struct message revoke;
    struct worker *w = worker_find(m, g->worker);
    message_init(&revoke, MSG_revoke, 0);
    COPY_ARRAY(revoke.revoke.grant, g->id);
    g->force_at = loop_now_ms() + ACKNOWLEDGE_MS;
    if (w == NULL || w->channel < 0 || channel_send(w->channel, &revoke) != VAULT_OK)
        g->force_at = loop_now_ms();
}

bool grants_await_batch(const struct monitor *m) {
    for (const struct grant *g = m->grants; g != NULL; g = g->next)
        if (g->state == GRANT_PENDING || g->ended_in_batch || g->closed_in_batch)
            return true;
    return false;
}

void grants_committed(struct monitor *m) {
    for (struct grant *g = m->grants, *next; g != NULL; g = next) {
        next = g->next;
        g->durable = true;
        if (g->state == GRANT_PENDING)
            g->state = GRANT_LIVE;
        if (g->closed_in_batch) {
            grant_drop(m, g);
            continue;
        }
        if (!g->ended_in_batch)
            continue;
        g->ended_in_batch = false;
        if (answer_instead(m, g))
            grant_drop(m, g);
        else
            tell_worker(m, g);
    }
}

/* What was granted in the batch never was; what was ended or closed in it is as before. */
void grants_dropped(struct monitor *m) {
    for (struct grant *g = m->grants, *next; g != NULL; g = next) {
        next = g->next;
        if (!g->durable) {
            grant_drop(m, g);
            continue;
        }
        if (g->ended_in_batch)
            g->state = GRANT_LIVE;
        g->ended_in_batch = g->closed_in_batch = false;
        budgets_follow(g);
    }
}

/* Once a second for each grant: a consent or an approval may have ended by the clock. A bounded number per turn; true
 * if there are more. */
static bool decide_by_clock(struct monitor *m) {
    uint64_t now = loop_now_ms();
    struct grant_filter filter = {.cause = "no longer permitted at this time"};
    unsigned decided = 0;
    if (m->space.state == SPACE_NONE)
        return false; /* it could not be recorded, and so not be done */
    for (struct grant *g = m->grants; g != NULL && m->index != NULL; g = g->next) {
        if (g->state != GRANT_LIVE || g->closed_in_batch || now - g->decided_at < CLOCK_MS)
            continue;
        if (++decided > CLOCK_GRANTS)
            return true;
        g->decided_at = now;
        int result = batch_begin(m);
        if (result == VAULT_OK)
            result = worker_find(m, g->worker) == NULL ? grants_of_gone_worker(m, g->worker)
                                                       : decide_one(m, g, &filter, NULL);
        if (result != VAULT_OK) {
            batch_drop(m, result);
            return false;
        }
    }
    return false;
}

int grants_tick(struct monitor *m) {
    uint64_t now = loop_now_ms();
    int wait = m->grants == NULL ? -1 : CLOCK_MS;
    if (decide_by_clock(m))
        wait = 0;
    for (struct grant *g = m->grants; g != NULL; g = g->next) {
        if (g->state != GRANT_ENDING || g->ended_in_batch || g->force_at == UINT64_MAX)
            continue;
        if (g->force_at <= now) {
            g->force_at = UINT64_MAX; /* asked; worker_gone ends the wait */
            worker_kill(m, g->worker, WORKER_REVOKED);
        } else if (g->force_at - now < (uint64_t)wait) {
            wait = (int)(g->force_at - now);
        }
    }
    return wait;
}

void grants_acknowledged(struct monitor *m, struct worker *w, const uint8_t id[ID_SIZE]) {
    struct grant *g = grant_find(m, w, id);
    if (g != NULL && g->state == GRANT_ENDING && !g->ended_in_batch)
        grant_drop(m, g);
}

int grants_of_gone_worker(struct monitor *m, uint64_t worker) {
    for (struct grant *g = m->grants, *next; g != NULL; g = next) {
        next = g->next;
        if (g->worker != worker)
            continue;
        if (g->state == GRANT_ENDING && !g->ended_in_batch) {
            grant_drop(m, g); /* its record is durable, and nothing of it runs any more */
            continue;
        }
        if (g->state == GRANT_ENDING || g->closed_in_batch) {
            g->closed_in_batch = true;
            continue;
        }
        if (m->space.state == SPACE_NONE)
            continue; /* the clock goes on with it when that can be recorded */
        int result =
            grant_close(m, g, "interrupted", g->handed_out, 0, 1, "the connection ended; bytes is the upper bound");
        if (result != VAULT_OK)
            return result; /* tried again by the clock */
        g->closed_in_batch = true;
        budgets_follow(g);
    }
    return VAULT_OK;
}

/* Whose grant it was cannot be read any more; that there was one is recorded. */
static int forget_damaged(struct monitor *m, const uint8_t *key, size_t size) {
    struct event e = {.name = "read.close",
                      .outcome = "failed",
                      .action = 'R',
                      .rule = "integrity",
                      .text = "Stored data is damaged.",
                      .detail = "a grant that the vault's end left open cannot be read"};
    int result = journal(m, &e, NULL);
    return result == VAULT_OK ? index_delete(m->index, DB_GRANTS, key, size) : result;
}

int grants_recover(struct monitor *m) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = index_next(m->index, DB_GRANTS, NULL, 0, NULL, 0, key, &size);
    while (result == VAULT_OK) {
        struct grant g = {0};
        result = size != ID_SIZE ? VAULT_E_DAMAGED
                                 : index_get_record(m->index, DB_GRANTS, key, size, &layout_grant_value, &g.value);
        copy_bytes(g.id, sizeof(g.id), key, ID_SIZE);
        g.purpose.purpose = g.value.kind;
        copy_string(g.purpose.project, sizeof(g.purpose.project), g.value.project);
        g.handed_out = g.value.size;
        if (result == VAULT_OK)
            result = grant_close(m, &g, "interrupted", g.value.size, 0, 1,
                                 "the vault ended while it was read; bytes is the upper bound");
        else if (result == VAULT_E_DAMAGED)
            result = forget_damaged(m, key, size);
        if (result == VAULT_OK)
            result = index_next(m->index, DB_GRANTS, NULL, 0, key, size, key, &size);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}
