#include "care.h"

#include <string.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

/* One service of a subject. */
#define FIELDS_care_entry(F, R)                                                                                        \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, U64, since, 0) /* microseconds since 1970 */                                                                  \
    F(R, U64, until, 0) /* seconds; 0: no end is known */
DECLARE_RECORD(care_entry);
DEFINE_LAYOUT(care_entry);

struct care {
    size_t count;
    struct care_entry entries[CARE_MOST];
};

/* ---- the list of a subject: one value, which holds the number of the record that the subject's has, too ---- */

/* `record` is the subject's `care`. */
static int care_load(struct monitor *m, const char *subject, uint64_t record, struct care *ret) {
    static struct care_value v;
    uint8_t key[HASH_SIZE];
    ret->count = 0;
    if (record == 0)
        return VAULT_OK;
    name_hash(m, NAME_SUBJECT, subject, NULL, key);
    int result = index_get_record(m->index, DB_CARE, key, HASH_SIZE, &layout_care_value, &v);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    struct reader r = reader_of(v.entries, v.entries_size);
    bool good = v.record == record;
    while (good && r.left > 0 && ret->count < CARE_MOST)
        good = layout_decode_next(&layout_care_entry, &r, &ret->entries[ret->count++]) == VAULT_OK;
    return good && r.left == 0 ? VAULT_OK : VAULT_E_DAMAGED;
}

/* In the record that is to come. */
static int care_store(struct monitor *m, struct subject_value *s, const struct care *c) {
    static struct care_value v;
    uint8_t key[HASH_SIZE];
    struct writer w = writer_of(v.entries, sizeof(v.entries));
    for (size_t i = 0; i < c->count; i++)
        layout_encode(&layout_care_entry, &c->entries[i], &w);
    if (w.bad)
        return VAULT_E_LIMIT;
    v.entries_size = (uint32_t)w.used;
    v.record = s->care = m->tree.size;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, key);
    return index_put_record(m->index, DB_CARE, key, HASH_SIZE, &layout_care_value, &v);
}

/* What is damaged is nobody's care, which can only deny; the next statement is stored in its place. */
static int care_load_or_none(struct monitor *m, const char *subject, uint64_t record, struct care *ret) {
    int result = care_load(m, subject, record, ret);
    if (result != VAULT_E_DAMAGED)
        return result;
    log_error("care: in whose care a patient is cannot be read; nobody's counts until that is stated again");
    ret->count = 0;
    return VAULT_OK;
}

static struct care_entry *entry_of(struct care *c, const char *service) {
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->entries[i].service, service) == 0)
            return &c->entries[i];
    return NULL;
}

static bool is_over(const struct care_entry *e, uint64_t time) {
    return e->until != 0 && time >= e->until;
}

static void drop(struct care *c, const struct care_entry *e) {
    size_t i = (size_t)(e - c->entries);
    c->entries[i] = c->entries[--c->count];
}

static void drop_what_is_over(struct care *c, uint64_t time) {
    for (size_t i = c->count; i > 0; i--)
        if (is_over(&c->entries[i - 1], time))
            drop(c, &c->entries[i - 1]);
}

int care_is_given(struct monitor *m, const char *subject, uint64_t record, const char *service, uint64_t time,
                  bool *ret) {
    static struct care c;
    int result = care_load_or_none(m, subject, record, &c);
    const struct care_entry *e = result == VAULT_OK ? entry_of(&c, service) : NULL;
    *ret = e != NULL && !is_over(e, time);
    return result;
}

int care_forget(struct monitor *m, struct subject_value *s) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, s->subject, NULL, key);
    int result = s->care == 0 ? VAULT_OK : index_delete(m->index, DB_CARE, key, HASH_SIZE);
    s->care = 0;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result; /* damage that goes, too */
}

/* ---- what is asked of it ---- */

static uint64_t now_of(struct monitor *m) {
    return monitor_time(m) / 1000000;
}

static json_t *entry_json(const struct subject_value *s, const struct care_entry *e) {
    return json_pack("{s:s, s:s, s:o, s:o}", "subject", s->subject, "service", e->service, "since", json_time(e->since),
                     "until", json_day(e->until));
}

/* The subject, with its list. Refused where it is answered. */
static int find(struct request *q, const char *event, const char *subject, struct subject_value *s, struct care *c,
                bool *ret_answered) {
    int result = find_subject(q->monitor, subject, s);
    *ret_answered = true;
    if (result == VAULT_NOT_FOUND)
        return refuse(q, event, NULL, 404, "no-such-subject", "There is no such subject.");
    q->subject = result == VAULT_OK ? s->subject : NULL;
    if (result == VAULT_OK && s->shredded != 0)
        return refuse(q, event, s->subject, 409, "shredded", "The subject was shredded.");
    if (result == VAULT_OK)
        result = care_load_or_none(q->monitor, s->subject, s->care, c);
    *ret_answered = false;
    return result;
}

/* What it ends has ended before the answer goes out. */
static int put_in_force(struct request *q, struct subject_value *s, const struct care *c, unsigned *ret_ended) {
    struct monitor *m = q->monitor;
    struct grant_filter filter = {
        .subject = s->subject, .cause = "the care of the patient was changed", .asked_by = q->worker->number};
    int result = care_store(m, s, c);
    if (result == VAULT_OK)
        result = subject_store(m, s);
    if (result == VAULT_OK)
        result = grants_decide_again(m, &filter, ret_ended);
    return result == VAULT_OK ? subject_make_current(m, s) : result;
}

/* The place of this service in the list, which is told anew where it has one. NULL: there is no room. */
static struct care_entry *place_for(struct care *c, const char *service) {
    struct care_entry *e = entry_of(c, service);
    return e != NULL || c->count == CARE_MOST ? e : &c->entries[c->count++];
}

static int add(struct request *q, struct subject_value *s, struct care *c) {
    const struct msg_care_add *a = &q->message->care_add;
    char detail[NAME_MAX_SIZE + 32], day[11] = "";
    unsigned ended = 0;
    drop_what_is_over(c, now_of(q->monitor));
    struct care_entry *e = place_for(c, a->service);
    if (e == NULL)
        return refuse(q, "care.add", s->subject, 409, "too-many", "The patient is in the care of 32 services.");
    *e = (struct care_entry){.since = monitor_time(q->monitor), .until = a->until};
    copy_string(e->service, sizeof(e->service), a->service);
    json_t *answer = entry_json(s, e);
    int result = put_in_force(q, s, c, &ended);
    if (result != VAULT_OK) {
        json_decref(answer);
        return result;
    }
    if (a->until != 0)
        day_text(a->until * 1000000, day);
    (void)format_string(detail, sizeof(detail), "%s%s%s", a->service, a->until != 0 ? " until " : "", day);
    return administer(q, "care.add", s->subject, 'U', detail, 200, answer);
}

int answer_care_add(struct request *q) {
    static struct subject_value s;
    static struct service_value service;
    static struct care c;
    const struct msg_care_add *a = &q->message->care_add;
    bool answered = false;
    int result = find(q, "care.add", a->subject, &s, &c, &answered);
    if (answered || result != VAULT_OK)
        return result;
    if (!day_is_good(a->until) || (a->until != 0 && a->until <= now_of(q->monitor)))
        return refuse(q, "care.add", s.subject, 400, "malformed", "'until' must be a day that is yet to come.");
    result = find_service(q->monitor, a->service, &service);
    if (result == VAULT_NOT_FOUND || (result == VAULT_OK && service.revoked != 0))
        return refuse(q, "care.add", s.subject, 404, "no-such-service", "There is no such service.");
    return result == VAULT_OK ? add(q, &s, &c) : result;
}

int answer_care_end(struct request *q) {
    static struct subject_value s;
    static struct care c;
    const struct msg_care_end *a = &q->message->care_end;
    bool answered = false;
    unsigned ended = 0;
    int result = find(q, "care.end", a->subject, &s, &c, &answered);
    if (answered || result != VAULT_OK)
        return result;
    drop_what_is_over(&c, now_of(q->monitor));
    const struct care_entry *e = entry_of(&c, a->service);
    if (e == NULL)
        return refuse(q, "care.end", s.subject, 404, "no-care", "The patient is not in the care of this service.");
    drop(&c, e);
    result = put_in_force(q, &s, &c, &ended);
    return result == VAULT_OK ? administer(q, "care.end", s.subject, 'U', a->service, 200,
                                           json_pack("{s:s, s:s, s:i}", "subject", s.subject, "service", a->service,
                                                     "ended", (int)ended))
                              : result;
}

int answer_care_list(struct request *q) {
    static struct subject_value s;
    static struct care c;
    bool answered = false;
    int result = find(q, "care.list", q->message->care_list.subject, &s, &c, &answered);
    if (answered || result != VAULT_OK)
        return result;
    json_t *list = json_array();
    drop_what_is_over(&c, now_of(q->monitor));
    for (size_t i = 0; i < c.count; i++)
        json_array_append_new(list, entry_json(&s, &c.entries[i]));
    return administer(q, "care.list", s.subject, 'R', NULL, 200, json_pack("{s:o}", "care", list));
}
