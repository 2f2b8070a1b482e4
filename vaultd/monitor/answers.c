#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"
#include "vaultd/monitor/answers.h"
#include "vault/result.h"

enum { LIST_FRAME = 2048 }; /* of an answer, for all that stands around its list */

json_t *json_time(uint64_t microseconds) {
    char text[28];
    time_text(microseconds, text);
    return json_string(text);
}

json_t *json_list(const char *comma_separated) {
    json_t *list = json_array();
    for (const char *at = comma_separated; *at != '\0';) {
        size_t n = strcspn(at, ",");
        json_array_append_new(list, json_stringn(at, n));
        at += n;
        at += *at == ',' ? 1 : 0;
    }
    return list;
}

json_t *json_day(uint64_t seconds) {
    char text[11];
    if (seconds == 0)
        return json_null();
    day_text(seconds * 1000000, text);
    return json_string(text);
}

json_t *json_hex(const uint8_t *bytes, size_t n) {
    char text[2 * HASH_SIZE + 1];
    hex_encode(text, sizeof(text), bytes, n);
    return json_string(text);
}

json_t *json_base64(const uint8_t *bytes, size_t n) {
    enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    size_t size = sodium_base64_encoded_len(n, VARIANT);
    char *text = malloc(size);
    json_t *json = text == NULL ? NULL : json_string(sodium_bin2base64(text, size, bytes, n, VARIANT));
    free(text);
    return json;
}

json_t *json_mask(uint32_t mask, const char *(*name)(unsigned), unsigned count) {
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        if (mask >> i & 1 && name(i) != NULL)
            json_array_append_new(list, json_string(name(i)));
    return list;
}

json_t *json_file(const struct file_value *f) {
    return json_pack("{s:o, s:s, s:s, s:s?, s:o, s:I, s:o, s:o, s:s}", "id", json_hex(f->file, ID_SIZE), "subject",
                     f->subject, "name", f->name, "dataset", f->dataset[0] == '\0' ? NULL : f->dataset, "tags",
                     json_list(f->tags), "size", (json_int_t)f->size, "sha256", json_hex(f->sha256, HASH_SIZE),
                     "deposited", json_time(f->deposited), "service", f->service);
}

bool json_append_fitting(json_t *list, size_t *bytes, json_t *item) {
    size_t n = item == NULL ? 0 : json_dumpb(item, NULL, 0, JSON_COMPACT | JSON_SORT_KEYS);
    if (n == 0 || *bytes + n + 1 > JSON_MAX - LIST_FRAME) {
        json_decref(item);
        return false;
    }
    *bytes += n + 1;
    json_array_append_new(list, item);
    return true;
}

/* Fills the answer's body. False without memory or when the document is over JSON_MAX. */
static bool put_json(struct msg_answer *a, const json_t *json) {
    if (json == NULL)
        return false;
    size_t n = json_dumpb(json, (char *)a->json, sizeof(a->json), JSON_COMPACT | JSON_SORT_KEYS);
    if (n == 0 || n > sizeof(a->json))
        return false;
    a->json_size = (uint32_t)n;
    return true;
}

static struct message *answer_message(uint64_t id, unsigned status, uint64_t seq, const uint8_t *request_id,
                                      json_t *json) {
    struct message *m = malloc(sizeof(*m));
    if (m != NULL) {
        message_init(m, MSG_answer, id);
        m->answer.status = status;
        m->answer.seq = seq == NO_SEQ ? 0 : seq + 1;
        if (request_id != NULL)
            COPY_ARRAY(m->answer.request, request_id);
        if (!put_json(&m->answer, json)) {
            free(m);
            m = NULL;
        }
    }
    json_decref(json);
    return m;
}

static void queue(struct monitor *m, struct worker *w, struct message *answer) {
    if (answer == NULL) {
        worker_kill(m, w->number, WORKER_FAULTY); /* better no answer than a wrong one */
        return;
    }
    batch_reply(m, w, answer);
}

void answer_json(struct monitor *m, struct worker *w, const struct message *request, unsigned status, uint64_t seq,
                 const uint8_t *request_id, json_t *json) {
    queue(m, w, answer_message(request->id, status, seq, request_id, json));
}

static const char *title_of(unsigned status) {
    switch (status) {
    case 400: return "Bad request";
    case 401: return "Not a registered service";
    case 403: return "Not permitted";
    case 404: return "Not found";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content too large";
    case 422: return "Content does not match its digest";
    case 423: return "Sealed";
    case 429: return "Over quota";
    case 500: return "Integrity failure";
    case 507: return "No space";
    default: return "Not available";
    }
}

static json_t *problem_json(unsigned status, json_t *reasons) {
    return json_pack("{s:s, s:s, s:i, s:o}", "type", status == 500 ? "urn:vault:problem:integrity" : "about:blank",
                     "title", title_of(status), "status", (int)status, "reasons", reasons);
}

static json_t *one_reason(const char *rule, const char *text) {
    return json_pack("{s:s, s:s}", "rule", rule, "text", text);
}

struct message *problem_message(uint64_t id, unsigned status, uint64_t seq, const uint8_t *request_id, const char *rule,
                                const char *text) {
    json_t *reasons = json_array();
    if (rule != NULL)
        json_array_append_new(reasons, one_reason(rule, text));
    return answer_message(id, status, seq, request_id, problem_json(status, reasons));
}

void answer_problem(struct monitor *m, struct worker *w, const struct message *request, unsigned status, uint64_t seq,
                    const uint8_t *request_id, const char *rule, const char *text) {
    queue(m, w, problem_message(request->id, status, seq, request_id, rule, text));
}

json_t *json_told(const struct decision *d) {
    const struct reason *told[REASONS_MAX];
    size_t count = decision_told(d, told);
    json_t *reasons = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(reasons, one_reason(told[i]->rule, told[i]->text));
    if (count == 0)
        json_array_append_new(reasons, one_reason("not-available", "Not permitted, or not there."));
    return reasons;
}

void answer_denied(struct monitor *m, struct worker *w, const struct message *request, uint64_t seq,
                   const uint8_t *request_id, const struct decision *d) {
    unsigned status = d->over_budget ? 429 : 403;
    answer_json(m, w, request, status, seq, request_id, problem_json(status, json_told(d)));
}

void answer_done(struct monitor *m, struct worker *w, const struct message *request) {
    struct message *done = malloc(sizeof(*done));
    if (done != NULL)
        message_init(done, MSG_done, request->id);
    queue(m, w, done);
}

int administer(struct request *q, const char *event, const char *subject, char action, const char *detail,
               unsigned status, json_t *json) {
    uint64_t seq = NO_SEQ;
    struct event e = {.name = event,
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = subject,
                      .file = q->file,
                      .request = q->id,
                      .action = action,
                      .detail = detail,
                      .state = REQUEST_ENDED};
    int result = json == NULL ? VAULT_E_MEMORY : journal(q->monitor, &e, &seq);
    if (result != VAULT_OK) {
        json_decref(json);
        return result;
    }
    answer_json(q->monitor, q->worker, q->message, status, seq, q->id, json);
    return VAULT_OK;
}
