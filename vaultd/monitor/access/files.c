/* File documents, inquiries, outcomes of requests, and what workers turned away. */
#include <string.h>

#include "ask.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/failures.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

/* The file's document, for administrators with what was found damaged of it, whose reference is taken. */
static json_t *document(const struct file_value *f, json_t *failures) {
    json_t *json = json_file(f);
    if (json != NULL && failures != NULL)
        json_object_set(json, "failed_authentications", failures);
    json_decref(failures);
    return json;
}

int answer_file_show(struct request *q) {
    static struct inquiry i;
    static struct subject_value subject;
    const struct msg_file_show *s = &q->message->file_show;
    struct purpose p;
    char text[512];
    uint64_t seq = NO_SEQ;
    PURPOSE_OF(s, &p);
    if (purpose_check(&p) != VAULT_OK)
        return refuse(q, "metadata", NULL, 400, "purpose-malformed", "The purpose is malformed.");
    struct inquiry_wanted wanted = {.asker = &q->asker,
                                    .action = ACTION_METADATA,
                                    .purpose = &p,
                                    .file = s->file,
                                    .subject = s->subject,
                                    .name = s->name};
    int result = inquire(q->monitor, &wanted, &i);
    if (result != VAULT_OK)
        return result;
    q->subject = i.subject_known ? i.subject.subject : NULL;
    q->file = i.file_known ? i.file.file : NULL;
    bool administrator = is_administrator(&q->asker) && p.purpose == PURPOSE_NONE;
    if (administrator && !i.file_known)
        return refuse(q, "metadata", NULL, 404, "no-such-file", "There is no such file.");
    bool permitted = administrator || i.decision.verdict == VERDICT_PERMIT;
    struct event e = {.name = "metadata",
                      .outcome = permitted ? "done" : "denied",
                      .asker = &q->asker,
                      .subject = q->subject,
                      .file = q->file,
                      .request = q->id,
                      .action = 'R',
                      .purpose = purpose_text(&p, text, sizeof(text)) ? text : NULL,
                      .question = &i.question,
                      .decision = administrator ? NULL : &i.decision,
                      .consent = i.subject.version,
                      .state = REQUEST_ENDED,
                      .status = permitted ? 0 : 3};
    json_t *failures = NULL;
    if (i.subject_known && !administrator)
        result = standings_vouch(q->monitor, i.subject.subject, &subject);
    if (administrator)
        result = failure_json(q->monitor, i.file.blob, &failures);
    if (result == VAULT_OK)
        result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK && permitted)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id, document(&i.file, failures));
    else if (result == VAULT_OK)
        answer_denied(q->monitor, q->worker, q->message, seq, q->id, &i.decision);
    return result;
}

static json_t *every_reason(const struct decision *d) {
    json_t *reasons = json_array();
    for (size_t n = 0; n < d->reason_count; n++)
        json_array_append_new(reasons, json_pack("{s:s, s:s, s:b}", "rule", d->reasons[n].rule, "text",
                                                 d->reasons[n].text, "against", d->reasons[n].against));
    return reasons;
}

static const char *verdict_name(enum verdict verdict) {
    return verdict == VERDICT_PERMIT ? "permit" : verdict == VERDICT_PERSON ? "person" : "deny";
}

static json_t *obligations_json(const struct decision *d) {
    json_t *obligations = json_array();
    for (size_t n = 0; n < d->obligation_count; n++)
        json_array_append_new(obligations, json_string(d->obligations[n]));
    return obligations;
}

json_t *decision_json(const struct decision *d) {
    return json_pack("{s:b, s:s, s:o, s:o}", "permitted", d->verdict == VERDICT_PERMIT, "verdict",
                     verdict_name(d->verdict), "reasons", every_reason(d), "obligations", obligations_json(d));
}

/* Every reason to whom it may be told; the service itself learns only what it would be told on a read. */
static json_t *inquiry_json(const struct request *q, const struct inquiry *i, bool every) {
    const struct decision *d = &i->decision;
    bool permitted = d->verdict == VERDICT_PERMIT;
    if (!every)
        return json_pack("{s:b, s:o, s:o}", "permitted", permitted, "reasons", permitted ? json_array() : json_told(d),
                         "obligations", obligations_json(d));
    json_t *answer = decision_json(d);
    json_object_set_new(answer, "policy", json_string(q->monitor->policy_hash));
    json_object_set_new(answer, "consent", json_integer((json_int_t)i->subject.version));
    return answer;
}

/* The service that the question is about: another one only for administrative roles. */
static int service_of(struct request *q, const char *name, struct asker *ret) {
    struct service_value s;
    *ret = q->asker;
    if (name[0] == '\0' || strcmp(name, q->asker.name) == 0)
        return VAULT_OK;
    if (!is_administrator(&q->asker))
        return VAULT_DENIED;
    int result = find_service(q->monitor, name, &s);
    if (result != VAULT_OK)
        return result;
    *ret = (struct asker){0};
    asker_fill(&s, ret);
    return VAULT_OK;
}

int answer_inquire(struct request *q) {
    static struct inquiry i;
    const struct msg_inquire *n = &q->message->inquire;
    struct purpose p;
    struct asker about;
    char text[512];
    uint64_t seq = NO_SEQ;
    PURPOSE_OF(n, &p);
    if (purpose_check(&p) != VAULT_OK)
        return refuse(q, "inquiry", NULL, 400, "purpose-malformed", "The purpose is malformed.");
    if (p.emergency[0] != '\0' &&
        !is_administrator(&q->asker)) /* the answer would tell what the patient said, and wait for nobody */
        return refuse(q, "inquiry", NULL, 400, "purpose-malformed",
                      "Glass is broken where a file is read, not by a question.");
    int result = service_of(q, n->service, &about);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "inquiry", NULL, 404, "no-such-service", "There is no such service.");
    if (result == VAULT_DENIED)
        return refuse(q, "inquiry", NULL, 403, "role-missing", "Only administrative roles may ask about others.");
    struct inquiry_wanted wanted = {.asker = &about,
                                    .action = ACTION_READ,
                                    .purpose = &p,
                                    .file = n->file,
                                    .subject = n->subject,
                                    .name = n->name,
                                    .subject_only = id_is_zero(n->file) && n->name[0] == '\0'};
    if (result == VAULT_OK && !purpose_text(&p, text, sizeof(text)))
        result = VAULT_E_LIMIT;
    if (result == VAULT_OK)
        result = inquire(q->monitor, &wanted, &i);
    if (result != VAULT_OK)
        return result;
    struct event e = {.name = "inquiry",
                      .outcome = i.decision.verdict == VERDICT_PERMIT ? "permitted" : "denied",
                      .asker = &q->asker,
                      .subject = i.subject_known ? i.subject.subject : NULL,
                      .file = i.file_known ? i.file.file : NULL,
                      .request = q->id,
                      .action = 'E',
                      .purpose = text,
                      .question = &i.question,
                      .decision = &i.decision,
                      .consent = i.subject.version,
                      .detail = n->service,
                      .state = REQUEST_ENDED,
                      .tells = true};
    result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id,
                    inquiry_json(q, &i, is_administrator(&q->asker)));
    return result;
}

int answer_request_show(struct request *q) {
    struct request_value v;
    const uint8_t *wanted = q->message->request_show.wanted;
    int result = index_get_record(q->monitor->index, DB_REQUESTS, wanted, ID_SIZE, &layout_request_value, &v);
    bool visible = result == VAULT_OK && (strcmp(v.service, q->asker.name) == 0 || is_administrator(&q->asker));
    if (result == VAULT_NOT_FOUND || (result == VAULT_OK && !visible))
        return refuse(q, "request.show", NULL, 404, "no-such-request", "This service made no such request.");
    if (result != VAULT_OK)
        return result;
    answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, NULL,
                json_pack("{s:o, s:I, s:s, s:s, s:s, s:i}", "request", json_hex(wanted, ID_SIZE), "seq",
                          (json_int_t)v.seq, "event", v.event, "outcome", v.outcome, "state",
                          v.state == REQUEST_RUNNING ? "running" : "ended", "status", (int)v.status));
    return VAULT_OK;
}

int answer_refusal(struct request *q) {
    const struct msg_refusal *r = &q->message->refusal;
    if (r->status >= 400 && r->status <= 499)
        return refuse(q, "request", NULL, r->status, r->rule, r->text);
    answer_problem(q->monitor, q->worker, q->message, 400, NO_SEQ, NULL, "malformed",
                   "This is the status of no refusal.");
    worker_kill(q->monitor, q->worker->number, WORKER_MISBEHAVED);
    return VAULT_OK;
}
