#include "reviews.h"

#include <string.h>

#include "listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

static int store(struct monitor *m, const struct review_value *v) {
    uint8_t key[8];
    put_be64(key, v->seq);
    int result = index_put_record(m->index, DB_REVIEWS, key, sizeof(key), &layout_review_value, v);
    return result == VAULT_OK ? meta_store(m) : result;
}

int review_open(struct monitor *m, uint64_t seq, const char *service, const char *subject, const uint8_t *file,
                const char *reason) {
    struct review_value v = {.seq = seq, .opened = monitor_time(m)};
    copy_string(v.service, sizeof(v.service), service);
    copy_string(v.subject, sizeof(v.subject), subject == NULL ? "" : subject);
    copy_string(v.reason, sizeof(v.reason), reason);
    if (file != NULL)
        copy_bytes(v.file, sizeof(v.file), file, ID_SIZE);
    log_warning("break-glass: an emergency was stated, and waits for a review service=%s record=%llu", service,
                (unsigned long long)seq);
    m->meta.reviews++;
    return store(m, &v);
}

void reviews_warn(const struct monitor *m, json_t *list) {
    char text[128];
    if (m->meta.reviews > 0 &&
        format_string(text, sizeof(text), "Glass was broken in an emergency, and %u reviews wait ('review list').",
                      m->meta.reviews))
        json_array_append_new(list, json_string(text));
}

static json_t *review_json(struct request *q, const void *record) {
    const struct review_value *v = record;
    (void)q;
    return json_pack("{s:I, s:o, s:s, s:s, s:o, s:s, s:s, s:o, s:s?, s:s?}", "record", (json_int_t)v->seq, "opened",
                     json_time(v->opened), "service", v->service, "subject", v->subject, "file",
                     id_is_zero(v->file) ? json_null() : json_hex(v->file, ID_SIZE), "reason", v->reason, "state",
                     v->closed == 0 ? "open" : "closed", "closed", v->closed == 0 ? json_null() : json_time(v->closed),
                     "closed_by", v->closed == 0 ? NULL : v->closed_by, "note", v->closed == 0 ? NULL : v->note);
}

int answer_review_list(struct request *q) {
    static struct review_value v;
    struct listing l = {.db = DB_REVIEWS,
                        .layout = &layout_review_value,
                        .record = &v,
                        .item = review_json,
                        .member = "reviews",
                        .event = "review.list"};
    return answer_listing(q, &l, q->message->review_list.cursor);
}

/* Refused where it is answered. */
static int find(struct request *q, struct review_value *ret, bool *ret_answered) {
    uint8_t key[8];
    put_be64(key, q->message->review_close.seq);
    int result = index_get_record(q->monitor->index, DB_REVIEWS, key, sizeof(key), &layout_review_value, ret);
    *ret_answered = true;
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "review.close", NULL, 404, "no-such-review", "No glass was broken in this record.");
    if (result == VAULT_OK && ret->closed != 0)
        return refuse(q, "review.close", ret->subject, 409, "closed", "This review is closed.");
    if (result == VAULT_OK && strcmp(ret->service, q->asker.name) == 0)
        return refuse(q, "review.close", ret->subject, 403, "own-review",
                      "Who broke the glass does not close its review.");
    *ret_answered = false;
    return result;
}

int answer_review_close(struct request *q) {
    static struct review_value v;
    struct monitor *m = q->monitor;
    const char *note = q->message->review_close.note;
    bool answered = false;
    char detail[240];
    if (note[0] == '\0' || !text_is_clean(note, strlen(note)))
        return refuse(q, "review.close", NULL, 400, "malformed",
                      "`note` says what was found, without control characters.");
    int result = find(q, &v, &answered);
    if (answered || result != VAULT_OK)
        return result;
    v.closed = monitor_time(m);
    copy_string(v.closed_by, sizeof(v.closed_by), q->asker.name);
    copy_string(v.note, sizeof(v.note), note);
    m->meta.reviews--;
    result = store(m, &v);
    if (result == VAULT_OK &&
        !format_string(detail, sizeof(detail), "record %llu: %s", (unsigned long long)v.seq, note))
        result = VAULT_E_STATE;
    return result == VAULT_OK ? administer(q, "review.close", v.subject, 'U', detail, 200, review_json(q, &v)) : result;
}
