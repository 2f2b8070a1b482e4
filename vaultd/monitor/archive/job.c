/* The job that takes records out of the index: frame by frame into a segment, each in one transaction with what the
 * index forgets. */
#include <string.h>

#include "archive.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/log/records.h"
#include "vault/log.h"
#include "vault/result.h"

/* Adds the line if there is room. VAULT_NOT_FOUND: there is none. VAULT_AGAIN: it is not what the tree has in its
 * place, and stays where it is. */
static int add_line(struct monitor *m, struct frame *f) {
    uint8_t leaf[MERKLE_HASH], expected[MERKLE_HASH];
    const char *line;
    size_t n = 0;
    int result = log_text(m, f->end, &line, &n);
    if (result == VAULT_OK)
        result = log_leaf(m, f->end, expected);
    if (result != VAULT_OK)
        return result;
    merkle_leaf(line, n, leaf);
    if (memcmp(leaf, expected, MERKLE_HASH) != 0) {
        log_error("archive: a record is not what the tree has of it record=%llu", (unsigned long long)f->end);
        return VAULT_AGAIN;
    }
    return frame_add(f, line, n) ? VAULT_OK : VAULT_NOT_FOUND;
}

/* When the line says that it was written. */
static bool take_time(const char *line, size_t n, char ret[28]) {
    json_t *record = json_loadb(line, n, JSON_DISABLE_EOF_CHECK, NULL);
    const char *time = json_string_value(json_object_get(record, "time"));
    bool good = time != NULL && format_string(ret, 28, "%s", time);
    json_decref(record);
    return good;
}

/* Of the first line and the last. */
static bool take_times(const struct frame *f, struct frame_times *ret) {
    const char *before = memrchr(f->text, '\n', f->used - 1);
    const char *last = before == NULL ? f->text : before + 1;
    return take_time(f->text, f->used, ret->first) && take_time(last, f->used - (size_t)(last - f->text), ret->last);
}

static int fill(struct monitor *m, uint64_t to, struct frame *f, struct frame_times *ret_times) {
    int result = VAULT_OK;
    frame_start(f, m->meta.archived);
    while (result == VAULT_OK && f->end < to && f->end - f->first < FRAME_LINES)
        result = add_line(m, f);
    if (result != VAULT_OK && result != VAULT_NOT_FOUND)
        return result;
    return take_times(f, ret_times) ? VAULT_OK : VAULT_E_DAMAGED;
}

/* The last segment, if it goes on; else it ends, and another one begins. */
static int segment_for_more(struct monitor *m, struct segment_value *ret) {
    int result = m->meta.segments == 0 ? VAULT_OK : segment_load(m, m->meta.segments, ret);
    if (result != VAULT_OK || (m->meta.segments != 0 && segment_goes_on(m, ret)))
        return result;
    if (m->meta.segments != 0 && ret->ended == 0) {
        segment_finish(m, ret);
        result = segment_store(m, ret);
    }
    return result == VAULT_OK ? segment_begin(m, m->meta.archived, ret) : result;
}

static int archive_frame(struct monitor *m, struct job_value *j, const struct frame *f, const struct frame_times *t) {
    static struct segment_value v;
    int result = segment_for_more(m, &v);
    if (result == VAULT_OK)
        result = segment_append(m, &v, f, t);
    if (result == VAULT_AGAIN)
        segment_abandon(m, &v);
    if (result == VAULT_OK)
        result = records_forget(m, f->end);
    if (result == VAULT_OK)
        result = segment_store(m, &v);
    if (result != VAULT_OK)
        return result;
    m->meta.archived = f->end;
    j->done += f->end - f->first;
    return meta_store(m);
}

static uint64_t goal_of(const struct job_value *j) {
    return j->cursor_size == 8 ? get_be64(j->cursor) : 0;
}

/* Others wait behind it: where it cannot go on, it ends. A log that a witness doubts stays where it is, too. */
static int stop(struct job_value *j) {
    j->failed = 1;
    return VAULT_NOT_FOUND;
}

static int take_step(struct monitor *m, struct job_value *j) {
    static struct frame f;
    struct frame_times times;
    uint64_t to = goal_of(j), left = to - m->meta.archived;
    if (m->meta.archived >= to)
        return VAULT_NOT_FOUND;
    if (!archive_may_grow(m))
        return stop(j);
    int result = fill(m, m->meta.archived + (m->job_room < left ? m->job_room : left), &f, &times);
    if (result == VAULT_OK)
        result = archive_frame(m, j, &f, &times);
    frame_start(&f, 0);
    return result == VAULT_AGAIN ? stop(j) : result;
}

static int finish_last(struct monitor *m) {
    struct segment_value v;
    if (m->meta.segments == 0)
        return VAULT_OK;
    int result = segment_load(m, m->meta.segments, &v);
    if (result != VAULT_OK || v.ended != 0)
        return result;
    segment_finish(m, &v);
    return segment_store(m, &v);
}

static int take_end(struct monitor *m, const struct job_value *j) {
    char detail[160];
    struct event e = {.name = "audit.archived", .action = 'U', .detail = detail};
    uint64_t to = goal_of(j), from = to - j->total;
    bool written;
    e.outcome = j->failed != 0 ? "failed" : "done";
    if (j->failed == 0)
        written = format_string(detail, sizeof(detail), "records %llu to %llu", (unsigned long long)from,
                                (unsigned long long)(to - 1));
    else
        written = format_string(detail, sizeof(detail), "records from %llu on, stopped before record %llu",
                                (unsigned long long)from, (unsigned long long)m->meta.archived);
    int result = written ? finish_last(m) : VAULT_E_STATE;
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

const struct job_kind job_archive = {"archive", take_step, take_end};
