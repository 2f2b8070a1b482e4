#include "opt_outs.h"

#include <sodium.h>

#include "vaultd/monitor/access/listing.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/keys/shreds.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

static json_t *subject_json(struct request *q, const void *record) {
    const struct subject_value *s = record;
    uint32_t generation = 0;
    if (subject_key_generation(q->monitor, s, &generation) != VAULT_OK)
        log_error("keys: a subject's key is gone or damaged"); /* a read of their files tells its client */
    return json_pack("{s:s, s:b, s:o, s:i, s:I, s:o, s:o}", "subject", s->subject, "opt_out", s->opt_out != 0, "added",
                     json_time(s->added), "generation", (int)generation, "files", (json_int_t)s->files, "consent",
                     s->consent == 0 ? json_null() : json_integer((json_int_t)s->consent), "shredded",
                     s->shredded == 0 ? json_null() : json_time(s->shredded));
}

int answer_subject_add(struct request *q) {
    static struct subject_value s;
    const struct msg_subject_add *a = &q->message->subject_add;
    struct monitor *m = q->monitor;
    uint64_t seq = NO_SEQ;
    if (!name_is_good(a->subject))
        return refuse(q, "subject.add", NULL, 400, "malformed", "The subject identifier is malformed.");
    int result = find_subject(m, a->subject, &s);
    if (result == VAULT_OK)
        return refuse(q, "subject.add", a->subject, 409, "exists", "There is a subject of this name.");
    if (result != VAULT_NOT_FOUND)
        return result;
    s = (struct subject_value){.added = monitor_time(m), .opt_out = a->opt_out != 0};
    randombytes_buf(s.id, sizeof(s.id));
    copy_string(s.subject, sizeof(s.subject), a->subject);
    m->meta.subjects++;
    result = subject_key_give(m, &s);
    if (result == VAULT_OK)
        result = journal_start_chain(m, NAME_CHAIN_SUBJECT, s.subject);
    if (result == VAULT_OK)
        result = subject_make_current(m, &s);
    if (result == VAULT_OK)
        result = meta_store(m);
    struct event e = {.name = "subject.add",
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = s.subject,
                      .request = q->id,
                      .action = 'C',
                      .detail = s.opt_out != 0 ? OPTED_OUT : NULL,
                      .state = REQUEST_ENDED};
    if (result == VAULT_OK)
        result = journal(m, &e, &seq);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 201, seq, q->id, subject_json(q, &s));
    return result;
}

static int no_such_subject(struct request *q, const char *event) {
    return refuse(q, event, NULL, 404, "no-such-subject", "There is no such subject.");
}

int answer_subject_change(struct request *q) {
    static struct subject_value s;
    const struct msg_subject_change *c = &q->message->subject_change;
    int result = find_subject(q->monitor, c->subject, &s);
    if (result == VAULT_NOT_FOUND)
        return no_such_subject(q, "subject.change");
    if (result == VAULT_OK)
        result = opt_out_set(q, &s, c->opt_out != 0);
    if (result == VAULT_OK)
        result = administer(q, "subject.change", s.subject, 'U', s.opt_out != 0 ? OPTED_OUT : "opted in", 200,
                            subject_json(q, &s));
    return result;
}

int answer_subject_show(struct request *q) {
    static struct subject_value s;
    json_t *shreds = NULL;
    int result = find_subject(q->monitor, q->message->subject_show.subject, &s);
    if (result == VAULT_NOT_FOUND)
        return no_such_subject(q, "subject.show");
    if (result == VAULT_OK)
        result = shreds_json(q->monitor, &s, &shreds);
    if (result != VAULT_OK)
        return result;
    json_t *answer = subject_json(q, &s);
    if (answer == NULL || json_object_set_new(answer, "shreds", shreds) != 0) {
        json_decref(answer);
        return VAULT_E_MEMORY;
    }
    return administer(q, "subject.show", s.subject, 'R', NULL, 200, answer);
}

int answer_subject_list(struct request *q) {
    static struct subject_value s;
    struct listing l = {.db = DB_SUBJECTS,
                        .layout = &layout_subject_value,
                        .record = &s,
                        .item = subject_json,
                        .member = "subjects",
                        .event = "subject.list"};
    return answer_listing(q, &l, q->message->subject_list.cursor);
}
