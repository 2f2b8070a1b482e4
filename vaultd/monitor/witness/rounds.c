#include <stdlib.h>
#include <string.h>

#include "vault/log.h"
#include "vault/result.h"
#include "witness_internal.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/lookup.h"

enum { ANSWER_SLACK_MS = 10000, RETRY_MS = 15000, STATUS_CONFLICT = 409, STATUS_INCONSISTENT = 422 };

/* ---- its life ---- */

static int take_keys(struct witnesses *w, const char *keys) {
    char key[CHECKPOINT_VKEY_MAX];
    int result = VAULT_OK;
    while (*keys != '\0' && result == VAULT_OK) {
        size_t n = strcspn(keys, " ");
        if (w->count == WITNESSES_MOST || !format_string(key, sizeof(key), "%.*s", (int)n, keys))
            return VAULT_E_FORMAT;
        result = witness_key_parse(key, &w->each[w->count++].key);
        keys += n + strspn(keys + n, " ");
    }
    return result;
}

int witnesses_start(struct monitor *m) {
    if (m->setup.witnesses[0] == '\0')
        return VAULT_OK;
    m->witnesses = calloc(1, sizeof(*m->witnesses));
    return m->witnesses == NULL ? VAULT_E_MEMORY : take_keys(m->witnesses, m->setup.witnesses);
}

void witnesses_free(struct monitor *m) {
    if (m->witnesses != NULL)
        courier_stop(m);
    free(m->witnesses);
    m->witnesses = NULL;
}

void witnesses_closed(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    if (w == NULL)
        return;
    courier_stop(m);
    w->round = ROUND_IDLE;
    w->seen = w->clear = false;
    w->doubt[0] = w->witnessed[0] = '\0';
    w->doubt_recorded = false;
    w->recorded = 0;
    for (unsigned i = 0; i < w->count; i++)
        w->each[i] = (struct witness){.key = w->each[i].key};
}

void witnesses_opened(struct monitor *m) {
    witnesses_closed(m);
    if (m->witnesses != NULL)
        m->witnesses->round = ROUND_DUE;
}

void witnesses_wake(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    if (w == NULL)
        return;
    w->recorded = m->tree.size;
    if (w->round == ROUND_IDLE)
        w->round = ROUND_DUE;
    w->next = 0; /* where a round runs, another one follows */
}

/* ---- what a witness said ---- */

static void doubt(struct monitor *m, const struct witness *each, const char *text) {
    struct witnesses *w = m->witnesses;
    if (m->meta.doubted != 0 || w->doubt[0] != '\0')
        return;
    (void)format_string(w->doubt, sizeof(w->doubt), "witness %s %s", each->key.name, text);
    COPY_ARRAY(w->doubter, each->key.public_key);
}

static void take_cosignature(struct monitor *m, struct witness *each, const char *lines) {
    struct witnesses *w = m->witnesses;
    uint64_t time = 0;
    int result = cosignature_take(lines, w->note, &each->key, each->line, &time);
    if (result != VAULT_OK) {
        each->line[0] = '\0';
        (void)format_string(each->problem, sizeof(each->problem), "what it answered is no cosignature by its key: %s",
                            vault_result_name(result));
        return;
    }
    uint64_t now = monitor_time(m) / 1000000;
    each->size = w->size;
    each->cosigned = time < now ? time : now; /* what was signed long ago says nothing of now */
    each->heard = loop_now_ms();
}

/* It has another size of our log than we took it for; where that is more than there is, we are not what it has seen. */
static void take_size(struct monitor *m, struct witness *each, const char *body) {
    struct witnesses *w = m->witnesses;
    char text[160];
    char *end = NULL;
    unsigned long long size = strtoull(body, &end, 10);
    bool good = body[0] >= '0' && body[0] <= '9' && strcmp(end, "\n") == 0 && size <= INT64_MAX;
    if (!good) {
        copy_string(each->problem, sizeof(each->problem), "it answered 409 without the size of its tree");
    } else if (size > w->size) {
        (void)format_string(text, sizeof(text), "has seen %llu records of this log, which has %llu", size,
                            (unsigned long long)w->size);
        copy_string(each->problem, sizeof(each->problem), text);
        doubt(m, each, text);
    } else if (size == w->size && size == each->size) { /* it was asked from there: so its root is another */
        (void)format_string(text, sizeof(text), "has seen another log than this one: its %llu records are others",
                            size);
        copy_string(each->problem, sizeof(each->problem), text);
        doubt(m, each, text);
    } else if (w->again) {
        copy_string(each->problem, sizeof(each->problem), "it does not agree with itself about the size of its tree");
    } else {
        each->size = size;
        w->again = true;
    }
}

static void take_answer(struct monitor *m, struct witness *each, const struct msg_courier_brought *b) {
    char body[sizeof(b->body) + 1];
    copy_bytes(body, sizeof(body), b->body, b->body_size);
    body[b->body_size] = '\0';
    each->problem[0] = '\0';
    if (b->status == 0) {
        copy_string(each->problem, sizeof(each->problem), b->problem);
    } else if (b->status == 200) {
        take_cosignature(m, each, body);
    } else if (b->status == STATUS_CONFLICT) {
        take_size(m, each, body);
    } else if (b->status == STATUS_INCONSISTENT) {
        copy_string(each->problem, sizeof(each->problem), "this log does not continue the one that it has seen");
        doubt(m, each, "has seen another log than this one: it does not continue that");
    } else {
        (void)format_string(each->problem, sizeof(each->problem), "it answered %u", b->status);
    }
    if (each->problem[0] != '\0')
        log_warning("witness: not cosigned name=%s problem=\"%s\"", each->key.name, each->problem);
}

/* ---- the end of a round ---- */

static unsigned cosigned_by(const struct witnesses *w) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->count; i++)
        n += w->each[i].line[0] != '\0';
    return n;
}

/* All that are configured, and with them whoever doubted: so configuring others does not end a doubt. */
static bool is_cleared(const struct monitor *m) {
    const struct witnesses *w = m->witnesses;
    bool all = true, doubter = false;
    for (unsigned i = 0; i < w->count; i++) {
        bool cosigned = w->each[i].line[0] != '\0';
        all = all && cosigned;
        doubter = doubter || (cosigned && memcmp(w->each[i].key.public_key, m->meta.doubter, HASH_SIZE) == 0);
    }
    return m->meta.doubted != 0 && all && doubter;
}

static void keep_witnessed(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    copy_string(w->witnessed, sizeof(w->witnessed), w->note);
    for (unsigned i = 0; i < w->count; i++) {
        size_t used = strlen(w->witnessed);
        w->each[i].in_witnessed = w->each[i].line[0] != '\0';
        if (w->each[i].in_witnessed)
            (void)format_string(w->witnessed + used, sizeof(w->witnessed) - used, "%s\n", w->each[i].line);
    }
    w->witnessed_size = w->size;
    w->witnessed_time = monitor_time(m) / 1000000;
}

static void end_round(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    unsigned cosigned = cosigned_by(w);
    uint64_t every = (uint64_t)m->setup.witness_every * 1000;
    if (cosigned > 0)
        keep_witnessed(m);
    w->clear = is_cleared(m);
    w->seen = true;
    w->round = w->next == 0 ? ROUND_DUE : ROUND_IDLE;
    w->next = loop_now_ms() + (cosigned > 0 || every < RETRY_MS ? every : RETRY_MS);
}

void round_answered(struct monitor *m, const struct msg_courier_brought *b) {
    struct witnesses *w = m->witnesses;
    if (w->round != ROUND_ASKED)
        return;
    bool before = w->again;
    take_answer(m, &w->each[w->at], b);
    w->round = ROUND_ASK;
    if (w->again && !before) /* once more, by the size that it stated */
        return;
    w->again = false;
    if (++w->at == w->count)
        end_round(m);
}

/* ---- a round ---- */

/* Where nothing was recorded since, the same head is witnessed again. A batch that is dropped tries again later. */
static int begin(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    w->round = ROUND_RECORDED;
    int result = batch_begin(m);
    if (result == VAULT_OK && m->tree.size != w->recorded)
        result = log_checkpoint(m, NULL, NULL);
    w->recorded = m->tree.size;
    return result;
}

static void take_head(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    char vkey[CHECKPOINT_VKEY_MAX];
    int result = log_sign(m, w->note, vkey);
    w->size = m->tree.size;
    w->at = 0;
    w->again = false;
    w->round = result == VAULT_OK ? ROUND_ASK : ROUND_IDLE;
    w->next = loop_now_ms() + RETRY_MS;
    for (unsigned i = 0; i < w->count; i++)
        w->each[i].line[0] = '\0';
}

void witnesses_settled(struct monitor *m, bool durable) {
    struct witnesses *w = m->witnesses;
    if (w == NULL)
        return;
    if (w->doubt_recorded && durable)
        w->doubt[0] = '\0';
    w->doubt_recorded = false;
    if (w->round == ROUND_RECORDED && durable) {
        take_head(m);
    } else if (w->round == ROUND_RECORDED) {
        w->recorded = 0;
        w->round = ROUND_IDLE;
        w->next = loop_now_ms() + RETRY_MS;
    }
}

static int make_request(struct monitor *m, struct witness *each) {
    struct witnesses *w = m->witnesses;
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    size_t count = 0;
    if (each->size > w->size) /* the log was given another name */
        each->size = 0;
    int result = each->size == 0 ? VAULT_OK : log_consistency(m, each->size, w->size, proof, &count);
    return result == VAULT_OK ? witness_request(each->size, proof, count, w->note, w->courier.body) : result;
}

/* A proof that cannot be made, since a node of the tree is damaged, costs this witness's word and nothing else. */
static int ask(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    static struct msg_courier_brought none;
    int result = make_request(m, &w->each[w->at]);
    w->round = ROUND_ASKED;
    if (result == VAULT_OK) {
        w->deadline = loop_now_ms() + (uint64_t)m->setup.witness_seconds * 1000 + ANSWER_SLACK_MS;
        courier_start(m);
        return VAULT_OK;
    }
    none = (struct msg_courier_brought){.status = 0};
    (void)format_string(none.problem, sizeof(none.problem), "no proof can be made for it: %s",
                        vault_result_name(result));
    round_answered(m, &none);
    return result == VAULT_E_IO ? result : VAULT_OK;
}

/* From now on nothing is granted, and what was granted ends. */
static int record_doubt(struct monitor *m) {
    struct witnesses *w = m->witnesses;
    struct grant_filter filter = {.cause = "a witness has seen another log"};
    struct event e = {.name = "witness.doubt", .outcome = "failed", .action = 'E', .detail = w->doubt};
    int result = batch_begin(m);
    if (result != VAULT_OK)
        return result;
    m->meta.doubted = 1;
    COPY_ARRAY(m->meta.doubter, w->doubter);
    w->doubt_recorded = true;
    result = meta_store(m);
    if (result == VAULT_OK)
        result = journal(m, &e, NULL);
    if (result == VAULT_OK)
        result = grants_decide_again(m, &filter, NULL);
    if (result == VAULT_OK)
        log_error("witness: this log is not what was seen of it: %s", w->doubt);
    return result;
}

/* Each of them vouches that the log continues all that it has seen. */
static int record_cleared(struct monitor *m) {
    struct event e = {
        .name = "witness.cleared", .outcome = "done", .action = 'E', .detail = "every witness has cosigned the log"};
    int result = batch_begin(m);
    if (result != VAULT_OK)
        return result;
    m->witnesses->clear = false;
    m->meta.doubted = 0;
    memset(m->meta.doubter, 0, HASH_SIZE);
    result = meta_store(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* What nobody has answered for is not shown to witnesses: it may be a copy that is only tried. */
static bool is_at_work(const struct monitor *m) {
    return m->witnesses != NULL && m->seal == SEAL_UNSEALED && m->meta.unconfirmed == 0;
}

int witnesses_step(struct monitor *m, bool *ret_more) {
    struct witnesses *w = m->witnesses;
    *ret_more = false;
    if (!is_at_work(m))
        return VAULT_OK;
    bool unrecorded = w->doubt[0] != '\0' && !w->doubt_recorded;
    int result = unrecorded ? record_doubt(m) : w->clear ? record_cleared(m) : VAULT_OK;
    if (result == VAULT_OK && w->round == ROUND_DUE)
        result = begin(m);
    else if (result == VAULT_OK && w->round == ROUND_ASK)
        result = ask(m);
    return result;
}

static int until(uint64_t then, uint64_t now) {
    return then > now ? (int)(then - now) : 0;
}

int witnesses_tick(struct monitor *m) {
    static struct msg_courier_brought late = {.problem = "there was no answer in time"};
    enum { NO_SPACE_MS = 1000 };
    struct witnesses *w = m->witnesses;
    uint64_t now = loop_now_ms();
    if (!is_at_work(m))
        return -1;
    if (w->round == ROUND_ASKED && now >= w->deadline) {
        courier_stop(m);
        round_answered(m, &late);
    }
    if (w->round == ROUND_IDLE && now >= w->next)
        w->round = ROUND_DUE;
    switch (w->round) {
    case ROUND_IDLE: return until(w->next, now);
    case ROUND_ASKED: return until(w->deadline, now);
    case ROUND_RECORDED: return -1;
    default: return m->space.state == SPACE_NONE ? NO_SPACE_MS : 0;
    }
}

/* ---- what depends on it ---- */

uint64_t witnesses_last(const struct monitor *m) {
    const struct witnesses *w = m->witnesses;
    uint64_t last = 0;
    for (unsigned i = 0; w != NULL && i < w->count; i++)
        last = w->each[i].cosigned > last ? w->each[i].cosigned : last;
    return last;
}

/* The shorter of what the configuration and the policy say, in seconds; 0: neither does. */
static uint64_t allowed_silence(const struct monitor *m) {
    uint64_t setup = m->setup.witness_within, policy = m->has_policy ? m->policy.witnessed_seconds : 0;
    return setup == 0 || (policy != 0 && policy < setup) ? policy : setup;
}

/* By two clocks: one may be set back, the other stands still while the machine does. */
static bool is_overdue(struct monitor *m) {
    uint64_t within = allowed_silence(m), last = witnesses_last(m), heard = 0;
    for (unsigned i = 0; i < m->witnesses->count; i++)
        heard = m->witnesses->each[i].heard > heard ? m->witnesses->each[i].heard : heard;
    return within != 0 &&
           (last == 0 || monitor_time(m) / 1000000 > last + within || loop_now_ms() - heard > within * 1000);
}

bool witnesses_doubt(const struct monitor *m) {
    return m->meta.doubted != 0 || (m->witnesses != NULL && m->witnesses->doubt[0] != '\0');
}

/* In an emergency nobody waits for a witness. */
static bool asks_for_content(const struct request *q) {
    const struct message *in = q->message;
    switch (in->type) {
    case MSG_open: return in->open.emergency[0] == '\0';
    case MSG_upload_create: return true;
    case MSG_file_list: return in->file_list.emergency[0] == '\0' && !is_administrator(&q->asker);
    case MSG_file_show: return in->file_show.emergency[0] == '\0' && !is_administrator(&q->asker);
    case MSG_inquire: return !is_administrator(&q->asker);
    default: return false;
    }
}

bool witnesses_forbid(const struct request *q) {
    struct monitor *m = q->monitor;
    const struct witnesses *w = m->witnesses;
    if (!asks_for_content(q))
        return false;
    if (w == NULL) /* a policy of before the witnesses were taken out of the configuration */
        return allowed_silence(m) != 0;
    return w->doubt[0] != '\0' || (allowed_silence(m) != 0 ? is_overdue(m) : !w->seen);
}

int witnesses_refuse(struct request *q) {
    return refuse(q, message_name(q->message->type), NULL, 503, "not-witnessed",
                  "No witness of the audit has cosigned it for too long, or none since the vault was opened: nothing "
                  "new is read or deposited until one does.");
}

json_t *witnessed_json(const struct monitor *m) {
    const struct witnesses *w = m->witnesses;
    if (w == NULL || w->witnessed[0] == '\0')
        return json_null();
    json_t *names = json_array();
    for (unsigned i = 0; i < w->count; i++)
        if (w->each[i].in_witnessed)
            json_array_append_new(names, json_string(w->each[i].key.name));
    return json_pack("{s:s, s:I, s:o, s:o}", "checkpoint", w->witnessed, "size", (json_int_t)w->witnessed_size, "time",
                     json_time(w->witnessed_time * 1000000), "witnesses", names);
}

json_t *witnesses_json(const struct monitor *m) {
    const struct witnesses *w = m->witnesses;
    if (w == NULL)
        return json_null();
    json_t *each = json_array();
    for (unsigned i = 0; i < w->count; i++)
        json_array_append_new(
            each,
            json_pack("{s:s, s:I, s:o, s:o}", "name", w->each[i].key.name, "size", (json_int_t)w->each[i].size,
                      "cosigned", w->each[i].cosigned == 0 ? json_null() : json_time(w->each[i].cosigned * 1000000),
                      "problem", w->each[i].problem[0] == '\0' ? json_null() : json_string(w->each[i].problem)));
    return json_pack("{s:I, s:b, s:o}", "required_within", (json_int_t)m->setup.witness_within, "doubted",
                     m->meta.doubted != 0, "each", each);
}

void witnesses_warn(const struct monitor *m, json_t *list) {
    const struct witnesses *w = m->witnesses;
    if (m->meta.doubted != 0)
        json_array_append_new(list, json_string("A witness has seen more of this log than there is, or another log: "
                                                "this index was put back in time. Nothing is read or deposited until a "
                                                "custodian confirms that ('restore --confirm')."));
    unsigned problems = 0;
    for (unsigned i = 0; w != NULL && i < w->count; i++)
        problems += w->each[i].problem[0] != '\0';
    if (problems > 0)
        json_array_append_new(list, json_string("A witness has not cosigned the audit's last head: see 'witnesses' in "
                                                "'status'."));
}
