/* Lists, file documents, inquiries, outcomes of requests, and what workers turned away. */
#include <string.h>

#include "listing.h"
#include "vaultd/monitor/care/failures.h"
#include "vault/result.h"

enum { LIST_PAGE = 100 };
static const uint32_t administrative =
    1u << ROLE_REGISTRAR | 1u << ROLE_AUDITOR | 1u << ROLE_CUSTODIAN | 1u << ROLE_OPERATOR;

static bool is_administrator(const struct request *q) {
    return (q->asker.roles & administrative) != 0;
}

/* Whether this caller may see this file in a list for this purpose. */
static int may_see(struct request *q, const struct purpose *p, const struct file_value *f, bool *ret) {
    static struct inquiry i;
    struct inquiry_wanted wanted = {.asker = &q->asker, .action = ACTION_LIST, .purpose = p, .file = f->file};
    if (is_administrator(q) && p->purpose == PURPOSE_NONE) {
        *ret = true;
        return VAULT_OK;
    }
    int result = inquire(q->monitor, &wanted, &i);
    *ret = result == VAULT_OK && i.decision.verdict == VERDICT_PERMIT;
    return result;
}

/* Where the list walks: all files, or those of one subject or dataset. The file's id is the end of each key, and the
 * order of the list: so a list goes on where it was though its entries have moved to another hash meanwhile (names.c).
 */
struct walk {
    enum index_db db;
    uint8_t prefixes[2][HASH_SIZE];
    unsigned count; /* of the prefixes, under which the entries are */
    size_t prefix_size;
};

static struct walk walk_of(struct monitor *m, const struct msg_file_list *l) {
    struct walk w = {.db = DB_FILES, .count = 1};
    if (l->subject[0] != '\0') {
        w.db = DB_SUBJECT_FILES;
        name_hash(m, NAME_SUBJECT, l->subject, NULL, w.prefixes[0]);
    } else if (l->dataset[0] != '\0') {
        w.db = DB_DATASET_FILES;
        w.count = dataset_hashes(m, l->dataset, w.prefixes);
    }
    w.prefix_size = w.db == DB_FILES ? 0 : HASH_SIZE;
    return w;
}

/* The next entry after the file that `at` names, with this prefix. */
static int step_under(struct monitor *m, const struct walk *w, unsigned prefix, const struct cursor *at,
                      struct cursor *ret) {
    struct cursor from = *at;
    if (at->size != 0)
        copy_bytes(from.key, sizeof(from.key), w->prefixes[prefix], w->prefix_size);
    return cursor_step(m, w->db, w->prefixes[prefix], w->prefix_size, &from, ret);
}

/* The first of those that come next under each prefix. */
static int walk_step(struct monitor *m, const struct walk *w, const struct cursor *at, struct cursor *ret_next) {
    struct cursor other;
    int result = step_under(m, w, 0, at, ret_next);
    if (result != VAULT_OK || w->count == 1)
        return result;
    result = step_under(m, w, 1, at, &other);
    bool first = ret_next->ended ||
                 (!other.ended && memcmp(other.key + w->prefix_size, ret_next->key + w->prefix_size, ID_SIZE) < 0);
    if (result == VAULT_OK && first)
        *ret_next = other;
    return result;
}

/* The file that this entry of the walk names. A list of a subject or dataset vouches for its files, and its marks for
 * it. */
static int listed_file(struct monitor *m, const struct walk *w, const struct cursor *at, struct file_value *ret) {
    struct mark_value mark;
    if (at->size != w->prefix_size + ID_SIZE)
        return VAULT_E_DAMAGED;
    int result =
        w->db == DB_FILES ? VAULT_OK : index_get_record(m->index, w->db, at->key, at->size, &layout_mark_value, &mark);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_FILES, at->key + w->prefix_size, ID_SIZE, &layout_file_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* Whether the file belongs into this list, for this caller. */
static int is_wanted(struct request *q, const struct purpose *p, const struct file_value *f, bool *ret) {
    const struct msg_file_list *l = &q->message->file_list;
    *ret = false;
    if (l->dataset[0] != '\0' && strcmp(f->dataset, l->dataset) != 0)
        return VAULT_OK;
    return may_see(q, p, f, ret);
}

/* Adds the files of one page. Looks at no more than a bounded number of entries, counted in *ret_looked. */
static int list_page(struct request *q, const struct walk *w, const struct purpose *p, json_t *files, struct cursor *at,
                     unsigned *ret_looked) {
    static struct file_value f;
    struct cursor next;
    size_t bytes = 0;
    unsigned looked = 0;
    while (looked < 2 * LIST_PAGE && json_array_size(files) < LIST_PAGE && !at->ended) {
        bool wanted = false;
        int result = walk_step(q->monitor, w, at, &next);
        if (result == VAULT_OK && !next.ended)
            result = listed_file(q->monitor, w, &next, &f);
        if (result == VAULT_OK && !next.ended)
            result = is_wanted(q, p, &f, &wanted);
        if (result != VAULT_OK)
            return result;
        if (wanted && !json_append_fitting(files, &bytes, json_file(&f)))
            break;
        looked += next.ended ? 0 : 1;
        *at = next;
    }
    *ret_looked = looked;
    return VAULT_OK;
}

/* A subject who refuses is listed as one who does not exist: at once, however many files there are to pass over. What
 * depends on a file's dataset alone is left to each file. */
static int subject_is_closed(struct request *q, const struct walk *w, const struct purpose *p, struct inquiry *ret_i,
                             bool *ret) {
    struct inquiry_wanted wanted = {.asker = &q->asker,
                                    .action = ACTION_LIST,
                                    .purpose = p,
                                    .subject = q->message->file_list.subject,
                                    .subject_only = true};
    *ret = false;
    if (w->db != DB_SUBJECT_FILES || p->purpose == PURPOSE_NONE)
        return VAULT_OK;
    int result = inquire(q->monitor, &wanted, ret_i);
    for (size_t n = 0; result == VAULT_OK && n < ret_i->decision.reason_count; n++) {
        const struct reason *r = &ret_i->decision.reasons[n];
        *ret |= r->against && r->concern == CONCERN_PATIENT && strcmp(r->rule, "approval-other-dataset") != 0;
    }
    return result;
}

/* A list that was walked from its start to its end holds as many files as the subject has. */
static int list_is_whole(struct request *q, const struct walk *w, const struct cursor *at, unsigned looked) {
    static struct subject_value s;
    const struct msg_file_list *l = &q->message->file_list;
    if (w->db != DB_SUBJECT_FILES || l->cursor[0] != '\0' || !at->ended)
        return VAULT_OK;
    int result = find_subject(q->monitor, l->subject, &s);
    if (result == VAULT_OK && s.files != looked)
        result = VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* A list that passes over what a patient said is of that patient, and says why. Takes the answer. */
static int answer_emergency_list(struct request *q, const struct purpose *p, const struct inquiry *i, json_t *answer) {
    char text[512];
    uint64_t seq = NO_SEQ;
    bool permitted = i->decision.verdict == VERDICT_PERMIT;
    struct event e = {.name = "list",
                      .outcome = permitted ? "done" : "denied",
                      .asker = &q->asker,
                      .subject = i->subject_known ? i->subject.subject : NULL,
                      .request = q->id,
                      .action = 'R',
                      .purpose = purpose_text(p, text, sizeof(text)) ? text : NULL,
                      .question = &i->question,
                      .decision = &i->decision,
                      .consent = i->has_consent ? i->consent.version : 0,
                      .state = REQUEST_ENDED};
    int result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id, answer);
    else
        json_decref(answer);
    return result;
}

int answer_file_list(struct request *q) {
    static struct inquiry i;
    const struct msg_file_list *l = &q->message->file_list;
    struct walk w = walk_of(q->monitor, l);
    struct purpose p;
    struct cursor at;
    unsigned looked = 0;
    PURPOSE_OF(l, &p);
    if (purpose_check(&p) != VAULT_OK || !cursor_parse(q->monitor, l->cursor, &at) ||
        (at.size != 0 && at.size != w.prefix_size + ID_SIZE))
        return refuse(q, "list", NULL, 400, "malformed", "The purpose or the cursor is malformed.");
    if (!is_administrator(q) && p.purpose == PURPOSE_NONE)
        return refuse(q, "list", NULL, 400, "purpose-missing", "No purpose was given.");
    if (p.emergency[0] != '\0' && l->subject[0] == '\0')
        return refuse(q, "list", NULL, 400, "malformed", "In an emergency the files of one patient are listed.");
    bool closed = false;
    int result = subject_is_closed(q, &w, &p, &i, &closed);
    if (result != VAULT_OK)
        return result;
    json_t *files = json_array();
    at.ended = closed;
    if (!closed)
        result = list_page(q, &w, &p, files, &at, &looked);
    if (result == VAULT_OK && !closed)
        result = list_is_whole(q, &w, &at, looked);
    if (result != VAULT_OK) {
        json_decref(files);
        return result;
    }
    json_t *answer = json_pack("{s:o, s:o}", "files", files, "next", cursor_json(q->monitor, &at));
    return p.emergency[0] == '\0' ? administer(q, "list", NULL, 'R', NULL, 200, answer)
                                  : answer_emergency_list(q, &p, &i, answer);
}

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
    bool administrator = is_administrator(q) && p.purpose == PURPOSE_NONE;
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
                      .consent = i.has_consent ? i.consent.version : 0,
                      .state = REQUEST_ENDED,
                      .status = permitted ? 0 : 3};
    json_t *failures = NULL;
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
    json_object_set_new(answer, "consent", json_integer(i->has_consent ? (json_int_t)i->consent.version : 0));
    return answer;
}

/* The service that the question is about: another one only for administrative roles. */
static int service_of(struct request *q, const char *name, struct asker *ret) {
    struct service_value s;
    *ret = q->asker;
    if (name[0] == '\0' || strcmp(name, q->asker.name) == 0)
        return VAULT_OK;
    if (!is_administrator(q))
        return VAULT_DENIED;
    int result = find_service(q->monitor, name, &s);
    if (result != VAULT_OK)
        return result;
    *ret = (struct asker){.known = s.revoked == 0, .roles = s.roles, .purposes = s.purposes};
    copy_string(ret->name, sizeof(ret->name), s.name);
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
        !is_administrator(q)) /* the answer would tell what the patient said, and wait for nobody */
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
                      .consent = i.has_consent ? i.consent.version : 0,
                      .detail = n->service,
                      .state = REQUEST_ENDED,
                      .tells = true};
    result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id, inquiry_json(q, &i, is_administrator(q)));
    return result;
}

int answer_request_show(struct request *q) {
    struct request_value v;
    const uint8_t *wanted = q->message->request_show.wanted;
    int result = index_get_record(q->monitor->index, DB_REQUESTS, wanted, ID_SIZE, &layout_request_value, &v);
    bool visible = result == VAULT_OK && (strcmp(v.service, q->asker.name) == 0 || is_administrator(q));
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
