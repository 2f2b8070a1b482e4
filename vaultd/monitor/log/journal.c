#include <sodium.h>
#include <string.h>
#include <time.h>

#include "leaves.h"
#include "log.h"
#include "records.h"
#include "vaultd/monitor/access/asked.h"
#include "vaultd/monitor/access/denials.h"
#include "vaultd/monitor/access/reviews.h"
#include "vaultd/monitor/watch/alarms.h"
#include "vault/log.h"
#include "vault/record.h"
#include "vault/result.h"

uint64_t monitor_time(struct monitor *m) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    if (now >= m->last_time) {
        m->clock_warned = false;
        return now;
    }
    if (!m->clock_warned && m->last_time - now > 1000000) {
        log_error("clock: set back seconds=%llu", (unsigned long long)((m->last_time - now) / 1000000));
        m->clock_warned = true;
    }
    return m->last_time;
}

/* A chain's place in the index, and its next link. */
struct chain {
    bool used;
    uint8_t key[HASH_SIZE];
    struct chain_value value;
};

static int chain_open(struct monitor *m, enum name_kind kind, const char *name, bool may_start, struct chain *c,
                      struct record_link *link) {
    if (name == NULL || name[0] == '\0')
        return VAULT_OK;
    c->used = true;
    name_hash(m, kind, name, NULL, c->key);
    int result = index_get_record(m->index, DB_CHAINS, c->key, HASH_SIZE, &layout_chain_value, &c->value);
    if (result == VAULT_E_DAMAGED || (result == VAULT_NOT_FOUND && !may_start)) {
        log_error("audit: the chain of a subject, service or project is damaged; it starts anew");
        result = VAULT_NOT_FOUND;
    }
    if (result == VAULT_NOT_FOUND) {
        c->value = (struct chain_value){0};
        result = VAULT_OK;
    }
    if (kind == NAME_CHAIN_SERVICE && name_is_local(name))
        copy_string(c->value.local, sizeof(c->value.local), name);
    link->present = true;
    link->n = c->value.count;
    COPY_ARRAY(link->prev, c->value.last);
    return result;
}

static int chain_advance(struct monitor *m, struct chain *c, uint64_t seq, const uint8_t leaf[MERKLE_HASH]) {
    if (!c->used)
        return VAULT_OK;
    c->value.count++;
    c->value.end = seq + 1;
    COPY_ARRAY(c->value.last, leaf);
    return index_put_record(m->index, DB_CHAINS, c->key, HASH_SIZE, &layout_chain_value, &c->value);
}

/* Those that the record is in. */
struct chains {
    struct chain subject, service, project;
};

static int chains_open(struct monitor *m, const struct event *e, struct record *r, struct chains *c) {
    bool local = e->asker != NULL && e->asker->san[0] == '\0'; /* an administrator on the Unix socket is not added */
    int result = chain_open(m, NAME_CHAIN_SUBJECT, e->subject, false, &c->subject, &r->subject_chain);
    if (result == VAULT_OK)
        result = chain_open(m, NAME_CHAIN_SERVICE, r->service, local, &c->service, &r->service_chain);
    if (result == VAULT_OK)
        result = chain_open(m, NAME_CHAIN_PROJECT, r->project, false, &c->project, &r->project_chain);
    return result;
}

static int chains_advance(struct monitor *m, struct chains *c, uint64_t seq, const uint8_t leaf[MERKLE_HASH]) {
    int result = chain_advance(m, &c->subject, seq, leaf);
    if (result == VAULT_OK)
        result = chain_advance(m, &c->service, seq, leaf);
    if (result == VAULT_OK)
        result = chain_advance(m, &c->project, seq, leaf);
    return result;
}

/* The record's line, and what proves it and leads to the ones before it. */
static int append(struct monitor *m, const char *line, size_t length, const struct chains *c,
                  uint8_t ret_leaf[MERKLE_HASH]) {
    struct leaf_value v = {
        .subject = c->subject.value.end, .service = c->service.value.end, .project = c->project.value.end};
    merkle_leaf(line, length, ret_leaf);
    int result = records_append(m, line, length);
    return result == VAULT_OK ? leaf_append(m, ret_leaf, &v) : result;
}

size_t decision_recorded(const struct decision *d, const struct reason *ret[REASONS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < d->reason_count; i++)
        if (d->verdict == VERDICT_PERMIT || d->reasons[i].against)
            ret[count++] = &d->reasons[i];
    return count;
}

static void fill_reasons(struct record *r, const struct event *e) {
    if (e->rule != NULL) {
        r->reasons[r->reason_count].rule = e->rule;
        r->reasons[r->reason_count++].text = e->text;
    }
    const struct reason *reasons[REASONS_MAX];
    size_t count = e->decision == NULL ? 0 : decision_recorded(e->decision, reasons);
    for (size_t i = 0; i < count && r->reason_count < RECORD_REASONS; i++) {
        r->reasons[r->reason_count].rule = reasons[i]->rule;
        r->reasons[r->reason_count++].text = reasons[i]->text;
    }
}

bool obligations_text(const struct decision *d, char *to, size_t size) {
    struct writer w = writer_of(to, size - 1);
    for (size_t i = 0; i < d->obligation_count; i++) {
        if (i > 0)
            write_u8(&w, ',');
        for (const char *c = d->obligations[i]; *c != '\0'; c++)
            write_u8(&w, (uint8_t)*c);
    }
    to[w.used] = '\0';
    return !w.bad;
}

/* The largest number that a record holds; what a worker claims to have moved may be any number. */
static const uint64_t bytes_max = (UINT64_C(1) << 53) - 1;

/* What a record points to. */
struct texts {
    struct asked asked;
    char file[2 * ID_SIZE + 1], request[2 * ID_SIZE + 1], obligations[OBLIGATIONS_MAX * 65];
};

/* A name that somebody made up has no chain. */
static const char *project_of(const struct event *e) {
    if (e->project != NULL)
        return e->project;
    return e->question != NULL && e->question->project.known ? e->question->purpose->project : NULL;
}

static void fill(struct monitor *m, const struct event *e, struct texts *t, struct record *r) {
    *r = (struct record){.seq = m->tree.size,
                         .time = monitor_time(m),
                         .event = e->name,
                         .outcome = e->outcome,
                         .service = e->asker != NULL ? e->asker->name : e->service,
                         .san = e->asker != NULL ? e->asker->san : NULL,
                         .fingerprint = e->asker != NULL ? e->asker->fingerprint : NULL,
                         .address = e->asker != NULL ? e->asker->address : NULL,
                         .subject = e->subject,
                         .action = e->action,
                         .purpose = e->purpose,
                         .project = project_of(e),
                         .policy = e->decision != NULL && m->has_policy ? m->policy_hash : NULL,
                         .consent = e->consent,
                         .has_bytes = e->has_bytes,
                         .bytes = e->bytes < bytes_max ? e->bytes : bytes_max,
                         .ranges = e->ranges,
                         .detail = e->detail,
                         .audit_key = e->audit_key,
                         .exported = e->exported};
    if (e->file != NULL) {
        hex_encode(t->file, sizeof(t->file), e->file, ID_SIZE);
        r->file = t->file;
    }
    if (e->request != NULL) {
        hex_encode(t->request, sizeof(t->request), e->request, ID_SIZE);
        r->request = t->request;
    }
    if (e->decision != NULL && obligations_text(e->decision, t->obligations, sizeof(t->obligations)))
        r->obligations = t->obligations;
    if (e->decision != NULL && e->question != NULL) {
        t->asked = (struct asked){.monitor = m, .question = e->question};
        r->asked = (struct record_object){asked_write, &t->asked};
    }
    fill_reasons(r, e);
    randombytes_buf(r->salt, sizeof(r->salt));
}

static int remember_request(struct monitor *m, const struct event *e, const struct record *r) {
    if (e->request == NULL)
        return VAULT_OK;
    struct request_value v = {.seq = r->seq, .state = (uint8_t)e->state, .status = e->status};
    copy_string(v.service, sizeof(v.service), r->service == NULL ? "" : r->service);
    copy_string(v.event, sizeof(v.event), e->name);
    copy_string(v.outcome, sizeof(v.outcome), e->outcome);
    return index_put_record(m->index, DB_REQUESTS, e->request, ID_SIZE, &layout_request_value, &v);
}

/* A question about a decision breaks no glass. */
static bool breaks_glass(const struct event *e) {
    return e->question != NULL && e->decision != NULL && e->decision->verdict == VERDICT_PERMIT && !e->tells &&
           e->question->purpose->emergency[0] != '\0';
}

/* It told something of a patient: as an inquiry does, and a denial that says that all else would permit. Such a one is
 * not summed up with others. */
static bool tells(const struct event *e) {
    return e->tells || (e->decision != NULL && e->decision->over_budget);
}

int journal(struct monitor *m, const struct event *e, uint64_t *ret_seq) {
    static char line[RECORD_LINE_MAX];
    struct chains chains = {0};
    struct texts texts;
    struct record r;
    uint8_t leaf[MERKLE_HASH];
    size_t length = 0;
    fill(m, e, &texts, &r);
    alarms_see(m, e, r.time, breaks_glass(e));
    if (e->asker != NULL && strcmp(e->outcome, "denied") == 0 && !tells(e) && !denials_admit(m, e->asker)) {
        if (ret_seq != NULL)
            *ret_seq = NO_SEQ;
        return VAULT_OK;
    }
    int result = chains_open(m, e, &r, &chains);
    if (result == VAULT_OK)
        result = record_line(&r, line, sizeof(line), &length);
    if (result == VAULT_OK)
        result = append(m, line, length, &chains, leaf);
    if (result == VAULT_OK)
        result = chains_advance(m, &chains, r.seq, leaf);
    if (result == VAULT_OK)
        result = remember_request(m, e, &r);
    if (result == VAULT_OK && breaks_glass(e))
        result = review_open(m, r.seq, r.service, e->subject, e->file, e->question->purpose->emergency);
    if (result != VAULT_OK)
        return result;
    m->last_time = r.time;
    if (ret_seq != NULL)
        *ret_seq = r.seq;
    return VAULT_OK;
}

int journal_start_chain(struct monitor *m, enum name_kind kind, const char *name) {
    struct chain_value empty = {0};
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    return index_put_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, &empty);
}
