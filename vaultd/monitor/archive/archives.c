/* Archive segments: asked for, listed, told of where they are missed, and destroyed when their time is over. */
#include <string.h>

#include "archive.h"
#include "vaultd/monitor/access/listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/opening/restore.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

static const char *state_of(const struct monitor *m, const struct segment_value *v) {
    return v->destroyed != 0         ? "destroyed"
           : !segment_is_there(m, v) ? "away"
           : segment_goes_on(m, v)   ? "growing"
                                     : "here";
}

static json_t *segment_json(struct request *q, const void *record) {
    const struct segment_value *v = record;
    json_t *json = json_pack("{s:i, s:s, s:I, s:I, s:s, s:I, s:o}", "segment", (int)v->number, "file", v->name, "first",
                             (json_int_t)v->first, "last", (json_int_t)v->end - 1, "state", state_of(q->monitor, v),
                             "bytes", (json_int_t)v->bytes, "archived", json_time(v->begun));
    if (json != NULL && v->destroyed != 0) {
        json_object_set_new(json, "destroyed", json_time(v->destroyed));
        json_object_set_new(json, "destroyed_by", json_string(v->destroyed_by));
        json_object_set_new(json, "approved_by", json_string(v->approved_by));
    }
    return json;
}

int answer_archive_list(struct request *q) {
    static struct segment_value v;
    struct listing l = {.db = DB_SEGMENTS,
                        .layout = &layout_segment_value,
                        .record = &v,
                        .item = segment_json,
                        .member = "segments",
                        .event = "audit.archives"};
    return answer_listing(q, &l, q->message->archive_list.cursor);
}

/* How many records the last 24 hours had; null where their beginning is in the archive already. */
static json_t *last_day_json(struct monitor *m) {
    enum { DAY = 86400 };
    uint64_t first = 0;
    int result = log_first_since(m, monitor_time(m) / 1000000 - DAY, m->meta.archived, m->tree.size, &first);
    bool known = result == VAULT_OK && (first > m->meta.archived || m->meta.archived == 0);
    return known ? json_integer((json_int_t)(m->tree.size - first)) : json_null();
}

json_t *audit_json(struct monitor *m) {
    return json_pack("{s:I, s:i, s:o, s:I}", "archived", (json_int_t)m->meta.archived, "segments",
                     (int)m->meta.segments, "last_day", last_day_json(m), "index_bytes", (json_int_t)space_of_index(m));
}

/* ---- where records are missed ---- */

int archive_gap(struct monitor *m, uint64_t from, uint64_t to, struct segment_value *ret) {
    for (uint32_t n = 1; n <= m->meta.segments && from < m->meta.archived; n++) {
        int result = segment_load(m, n, ret);
        if (result != VAULT_OK)
            return result;
        if (ret->first < to && from < ret->end && !segment_is_there(m, ret))
            return VAULT_OK;
    }
    return VAULT_NOT_FOUND;
}

int archive_narrow(struct monitor *m, const char time[28], uint64_t *low, uint64_t *high) {
    struct segment_value v;
    for (uint32_t n = 1; n <= m->meta.segments && *low < *high && *low < m->meta.archived; n++) {
        int result = segment_load(m, n, &v);
        if (result != VAULT_OK)
            return result;
        if (v.end <= *low)
            continue;
        if (strcmp(v.last_time, time) >= 0) { /* it is in this one, or where it begins */
            uint64_t end = strcmp(v.first_time, time) >= 0 ? v.first : v.end;
            *low = v.first > *low ? v.first : *low;
            *high = end < *low ? *low : end < *high ? end : *high;
            return VAULT_OK;
        }
        *low = v.end < *high ? v.end : *high;
    }
    return VAULT_OK;
}

int archive_refuse(struct request *q, const char *event, const struct segment_value *v) {
    char text[320];
    bool destroyed = v->destroyed != 0;
    if (destroyed)
        (void)format_string(
            text, sizeof(text),
            "Records %llu to %llu were in archive segment %u, which was destroyed: what there is begins "
            "with record %llu.",
            (unsigned long long)v->first, (unsigned long long)(v->end - 1), v->number, (unsigned long long)v->end);
    else
        (void)format_string(text, sizeof(text),
                            "Records %llu to %llu are in archive segment %u, whose file %s is not in the folder "
                            "'archive' of the vault's state: put it back there.",
                            (unsigned long long)v->first, (unsigned long long)(v->end - 1), v->number, v->name);
    return refuse(q, event, NULL, destroyed ? 410 : 409, destroyed ? "archive-destroyed" : "archive-away", text);
}

/* Who is no auditor does not learn whether it would be theirs, nor what else is missed with it. */
int archive_refuse_record(struct request *q, const char *event, uint64_t seq) {
    struct segment_value v;
    if ((q->asker.roles & 1u << ROLE_AUDITOR) == 0)
        return refuse(q, event, NULL, 409, "archive-away", "The record is in the archive, and not at hand.");
    int result = archive_gap(q->monitor, seq, seq + 1, &v);
    return result == VAULT_OK ? archive_refuse(q, event, &v) : result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* ---- asking for one ---- */

static const char in_doubt[] =
    "A restored or doubted log keeps its records where they are, until that is answered for.";

bool archive_may_grow(const struct monitor *m) {
    return m->meta.unconfirmed == 0 && m->meta.doubted == 0;
}

/* The number of the record before which all go: by number, or by day. */
static int goal_of(struct monitor *m, const struct msg_archive *a, uint64_t *ret) {
    *ret = a->to < m->tree.size ? a->to : m->tree.size;
    return a->until == 0 ? VAULT_OK : log_first_since(m, a->until, m->meta.archived, m->tree.size, ret);
}

static int begin(struct request *q, uint64_t to) {
    struct monitor *m = q->monitor;
    char detail[64];
    struct job_value j = {.total = to - m->meta.archived, .cursor_size = 8};
    put_be64(j.cursor, to);
    int result = job_begin(m, job_archive.what, &j);
    (void)format_string(detail, sizeof(detail), "records %llu to %llu", (unsigned long long)m->meta.archived,
                        (unsigned long long)(to - 1));
    return result == VAULT_OK ? administer(q, "audit.archive", NULL, 'E', detail, 202, job_json(m, &j)) : result;
}

int answer_archive(struct request *q) {
    struct monitor *m = q->monitor;
    const struct msg_archive *a = &q->message->archive;
    uint64_t to = 0;
    bool open = false;
    if ((a->to != 0) == (a->until != 0) || !second_is_good(a->until))
        return refuse(q, "audit.archive", NULL, 400, "malformed", "One of 'to' and 'until' is needed.");
    if (!archive_may_grow(m))
        return refuse(q, "audit.archive", NULL, 409, "log-in-doubt", in_doubt);
    int result = job_is_open(m, &job_archive, &open);
    if (result == VAULT_OK)
        result = goal_of(m, a, &to);
    if (result != VAULT_OK)
        return result;
    if (open)
        return refuse(q, "audit.archive", NULL, 409, "archive-running", "The archiving before has not ended yet.");
    return to > m->meta.archived ? begin(q, to)
                                 : refuse(q, "audit.archive", NULL, 409, "archive-nothing",
                                          "All records before that are in the archive already.");
}

/* ---- its end ---- */

/* Whether all of its records are older than the configuration keeps them. Its file is not asked: what cannot be read,
 * or is away, can be destroyed all the same. */
static bool is_over(struct monitor *m, const struct segment_value *v) {
    char limit[28];
    uint64_t now = monitor_time(m) / 1000000, keep = m->setup.audit_keep;
    if (keep == 0 || keep >= now)
        return false;
    time_text((now - keep) * 1000000, limit);
    return strcmp(v->last_time, limit) < 0;
}

/* Its key goes with the record of it; the file, which nothing opens any more, when that is durable. */
static int destroy(struct request *q, struct segment_value *v, const char *detail) {
    struct monitor *m = q->monitor;
    uint8_t key[4];
    put_be32(key, v->number);
    archive_forget(m);
    v->destroyed = monitor_time(m);
    copy_string(v->destroyed_by, sizeof(v->destroyed_by), q->asked_by);
    copy_string(v->approved_by, sizeof(v->approved_by), q->asker.name);
    int result = index_delete(m->index, DB_SEGMENT_KEYS, key, sizeof(key));
    if (result == VAULT_OK || result == VAULT_NOT_FOUND)
        result = segment_store(m, v);
    m->archive_sweep = true;
    return result == VAULT_OK ? administer(q, "audit.destroy", NULL, 'D', detail, 200, segment_json(q, v)) : result;
}

int archive_step(struct monitor *m, bool *ret_more) {
    struct segment_value v;
    int result = VAULT_OK;
    *ret_more = false;
    if (!m->archive_sweep || m->seal != SEAL_UNSEALED || !content_may_go(m))
        return VAULT_OK;
    *ret_more = index_writing(m->index); /* what it says may not be durable yet */
    if (*ret_more)
        return VAULT_OK;
    m->archive_sweep = false;
    for (uint32_t n = 1; n <= m->meta.segments && result == VAULT_OK; n++) {
        result = segment_load(m, n, &v);
        if (result == VAULT_OK && v.destroyed != 0)
            segment_remove(m, &v);
        else if (result == VAULT_E_DAMAGED)
            result = VAULT_OK;
    }
    return result;
}

/* For the approver, and for whoever reads the log later. */
static bool describe(const struct monitor *m, const struct segment_value *v, char *to, size_t size) {
    return format_string(to, size, "segment %u, records %llu to %llu, of %.10s to %.10s, kept for %llu days", v->number,
                         (unsigned long long)v->first, (unsigned long long)(v->end - 1), v->first_time, v->last_time,
                         (unsigned long long)(m->setup.audit_keep / 86400));
}

int answer_archive_destroy(struct request *q) {
    static struct segment_value v;
    struct monitor *m = q->monitor;
    uint32_t number = q->message->archive_destroy.number;
    char detail[200];
    if (number == 0 || number > m->meta.segments)
        return refuse(q, "audit.destroy", NULL, 404, "no-such-segment", "There is no such archive segment.");
    int result = segment_load(m, number, &v);
    if (result != VAULT_OK)
        return result;
    if (v.destroyed != 0)
        return archive_refuse(q, "audit.destroy", &v);
    if (!archive_may_grow(m))
        return refuse(q, "audit.destroy", NULL, 409, "log-in-doubt", in_doubt);
    if (segment_goes_on(m, &v))
        return refuse(q, "audit.destroy", NULL, 409, "archive-running", "The segment has not ended yet.");
    if (!is_over(m, &v))
        return refuse(q, "audit.destroy", NULL, 409, "audit-kept",
                      "It holds records that are younger than 'audit_keep_days' of the configuration keeps them.");
    if (!describe(m, &v, detail, sizeof(detail)))
        return VAULT_E_STATE;
    return q->asked_by != NULL ? destroy(q, &v, detail) : pending_ask(q, "audit.destroy", NULL, detail);
}
