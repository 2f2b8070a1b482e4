#include "vaultd/monitor/access/listing.h"
#include "vaultd/monitor/keys/shreds.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vault/result.h"

#define OPTED_OUT "opted out"

static json_t *subject_json(struct request *q, const void *record) {
    const struct subject_value *s = record;
    (void)q;
    return json_pack("{s:s, s:b, s:o, s:i, s:I, s:o, s:o}", "subject", s->subject, "opt_out", s->opt_out != 0, "added",
                     json_time(s->added), "generation", (int)s->generation, "files", (json_int_t)s->files, "consent",
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

/* Its record is the next one. The answer waits for what this ends. */
static int set_opt_out(struct request *q, struct subject_value *s, bool opt_out) {
    struct grant_filter filter = {
        .subject = s->subject, .cause = "the subject opted out", .asked_by = q->worker->number};
    s->opt_out = opt_out;
    int result = subject_store(q->monitor, s);
    if (result == VAULT_OK)
        result = grants_decide_again(q->monitor, &filter, NULL);
    return result == VAULT_OK ? subject_make_current(q->monitor, s) : result;
}

int answer_subject_change(struct request *q) {
    static struct subject_value s;
    const struct msg_subject_change *c = &q->message->subject_change;
    int result = find_subject(q->monitor, c->subject, &s);
    if (result == VAULT_NOT_FOUND)
        return no_such_subject(q, "subject.change");
    if (result == VAULT_OK)
        result = set_opt_out(q, &s, c->opt_out != 0);
    if (result == VAULT_OK)
        result = administer(q, "subject.change", s.subject, 'U', s.opt_out != 0 ? OPTED_OUT : "opted in", 200,
                            subject_json(q, &s));
    return result;
}

static int record_opt_out(struct request *q, const char *subject) {
    struct event e = {.name = "subject.change",
                      .outcome = "done",
                      .asker = &q->asker,
                      .subject = subject,
                      .request = q->id,
                      .action = 'U',
                      .detail = OPTED_OUT,
                      .state = REQUEST_RUNNING};
    return journal(q->monitor, &e, NULL);
}

/* A damaged entry is told, and does not keep the others from being opted out. */
static int opt_out_one(struct request *q, const char *subject, const char **ret_state) {
    static struct subject_value s;
    int result = find_subject(q->monitor, subject, &s);
    *ret_state = result == VAULT_NOT_FOUND   ? "unknown"
                 : result == VAULT_E_DAMAGED ? "damaged"
                 : s.opt_out != 0            ? "already"
                                             : "opted-out";
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED)
        return VAULT_OK;
    if (result != VAULT_OK || s.opt_out != 0)
        return result;
    result = set_opt_out(q, &s, true);
    return result == VAULT_OK ? record_opt_out(q, s.subject) : result;
}

static bool are_names(const char *list, size_t most) {
    char name[NAME_MAX_SIZE + 1];
    size_t n = 0, count = 0;
    const char *at = NULL;
    while (list_next(list, &at, &n))
        if (++count > most || n > NAME_MAX_SIZE || !format_string(name, sizeof(name), "%.*s", (int)n, at) ||
            !name_is_good(name))
            return false;
    return true;
}

/* *states gets what became of each. */
static int opt_out_all(struct request *q, const char *list, json_t *states) {
    char name[NAME_MAX_SIZE + 1];
    const char *at = NULL, *state = NULL;
    size_t n = 0;
    int result = VAULT_OK;
    while (result == VAULT_OK && list_next(list, &at, &n)) {
        (void)format_string(name, sizeof(name), "%.*s", (int)n, at);
        result = opt_out_one(q, name, &state);
        if (result == VAULT_OK &&
            json_array_append_new(states, json_pack("{s:s, s:s}", "subject", name, "state", state)) != 0)
            result = VAULT_E_MEMORY;
    }
    return result;
}

/* What is wrong with a register of that day, NULL if nothing. */
static const char *date_fault(struct monitor *m, uint64_t dated) {
    if (dated > monitor_time(m) / 1000000)
        return "A register cannot be of a day that has not begun.";
    return dated < m->meta.opt_outs_of ? "A register of a later day was taken in already." : NULL;
}

/* Research may go on for as long as the policy lets it. */
static int complete_register(struct monitor *m, uint64_t dated) {
    m->meta.opt_outs_of = dated;
    return meta_store(m);
}

static int answer_states(struct request *q, uint64_t dated, json_t *states) {
    char detail[80];
    char day[11] = "";
    if (dated != 0)
        day_text(dated * 1000000, day);
    (void)format_string(detail, sizeof(detail), "%zu of a register%s%s", json_array_size(states),
                        dated != 0 ? "; it is complete, and of " : "", day);
    return administer(q, "subject.opt-outs", NULL, 'U', detail, 200, json_pack("{s:o}", "subjects", states));
}

int answer_opt_outs(struct request *q) {
    const struct msg_opt_outs *o = &q->message->opt_outs;
    const char *fault = o->dated == 0 ? NULL : date_fault(q->monitor, o->dated);
    if (!are_names(o->subjects, OPT_OUTS) || (o->subjects[0] == '\0' && o->dated == 0))
        return refuse(q, "subject.opt-outs", NULL, 400, "malformed", "1 to 32 subject identifiers are needed.");
    if (fault != NULL)
        return refuse(q, "subject.opt-outs", NULL, 409, "register-date", fault);
    json_t *states = json_array();
    int result = states == NULL ? VAULT_E_MEMORY : opt_out_all(q, o->subjects, states);
    if (result == VAULT_OK && o->dated != 0)
        result = complete_register(q->monitor, o->dated);
    if (result == VAULT_OK)
        return answer_states(q, o->dated, states);
    json_decref(states);
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
