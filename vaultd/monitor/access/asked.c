#include "asked.h"

#include <string.h>

#include "vault/record.h"
#include "vault/result.h"

/* ---- the question as an object ---- */

enum form { FLAG, NUMBER, WIDE_NUMBER };

/* Members that are numbers: flags are 1, and what is 0 is left out. */
static const struct member {
    const char *name;
    enum form form;
    size_t at;
} members[] = {
    {"time", WIDE_NUMBER, offsetof(struct question, time)},
    {"service_known", FLAG, offsetof(struct question, service.known)},
    {"roles", NUMBER, offsetof(struct question, service.roles)},
    {"purposes", NUMBER, offsetof(struct question, service.purposes)},
    {"not_for_profit", FLAG, offsetof(struct question, service.not_for_profit)},
    {"subject_known", FLAG, offsetof(struct question, subject.known)},
    {"opted_out", FLAG, offsetof(struct question, subject.opted_out)},
    {"in_care", FLAG, offsetof(struct question, subject.in_care)},
    {"file_known", FLAG, offsetof(struct question, file.known)},
    {"project_known", FLAG, offsetof(struct question, project.known)},
    {"project_open", FLAG, offsetof(struct question, project.open)},
    {"project_member", FLAG, offsetof(struct question, project.member)},
    {"approval_known", FLAG, offsetof(struct question, approval.known)},
    {"approval_revoked", FLAG, offsetof(struct question, approval.revoked)},
    {"approval_for_project", FLAG, offsetof(struct question, approval.for_project)},
    {"approval_for_dataset", FLAG, offsetof(struct question, approval.for_dataset)},
    {"approval_for_purpose", FLAG, offsetof(struct question, approval.for_purpose)},
    {"approval_non_commercial", FLAG, offsetof(struct question, approval.non_commercial)},
    {"approval_from", WIDE_NUMBER, offsetof(struct question, approval.valid_from)},
    {"approval_until", WIDE_NUMBER, offsetof(struct question, approval.valid_until)},
    {"opt_outs_of", WIDE_NUMBER, offsetof(struct question, opt_outs_of)},
};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static uint64_t number_of(const struct question *q, const struct member *f) {
    const void *at = (const uint8_t *)q + f->at;
    return f->form == FLAG ? *(const bool *)at : f->form == NUMBER ? *(const uint32_t *)at : *(const uint64_t *)at;
}

static bool set_number(struct question *q, const struct member *f, json_int_t number) {
    void *at = (uint8_t *)q + f->at;
    if (number < 0 || (f->form == FLAG && number > 1) || (f->form == NUMBER && number > UINT32_MAX))
        return false;
    if (f->form == FLAG)
        *(bool *)at = number == 1;
    else if (f->form == NUMBER)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(uint64_t *)at = (uint64_t)number;
    return true;
}

static void add_number(json_t *to, const char *name, uint64_t number) {
    if (number != 0)
        json_object_set_new(to, name, json_integer((json_int_t)number));
}

static void add_text(json_t *to, const char *name, const char *text) {
    if (text != NULL && text[0] != '\0')
        json_object_set_new(to, name, json_string(text));
}

/* Where something was counted. */
static json_t *use_json(const struct question *q) {
    json_t *list = json_array();
    for (unsigned i = 0; i < PER_COUNT * PERIOD_COUNT; i++) {
        const struct use *u = &q->use[i / PERIOD_COUNT][i % PERIOD_COUNT];
        if (u->bytes != 0 || u->files != 0 || u->subjects != 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "per", budget_per_name(i / PERIOD_COUNT),
                                                  "period", budget_period_name(i % PERIOD_COUNT), "bytes",
                                                  (json_int_t)u->bytes, "files", (json_int_t)u->files, "subjects",
                                                  (json_int_t)u->subjects));
    }
    return list;
}

json_t *asked_json(const struct monitor *m, const struct question *q) {
    json_t *asked = json_object();
    for (size_t i = 0; i < MEMBERS; i++)
        add_number(asked, members[i].name, number_of(q, &members[i]));
    add_number(asked, "policy_version", q->policy == NULL ? 0 : m->meta.policy);
    add_number(asked, "uses", q->purpose->uses);
    add_number(asked, "break_glass", q->purpose->emergency[0] != '\0');
    add_text(asked, "action", action_name(q->action));
    add_text(asked, "service", q->service.name);
    add_text(asked, "organisation", q->service.organisation);
    add_text(asked, "country", q->service.country);
    add_text(asked, "purpose", purpose_name(q->purpose->purpose));
    add_text(asked, "project", q->purpose->project);
    add_text(asked, "approval", q->purpose->approval);
    add_text(asked, "disease", q->purpose->disease);
    add_text(asked, "dataset", q->file.dataset);
    add_text(asked, "tags", q->file.tags);
    json_t *use = use_json(q);
    if (json_array_size(use) > 0)
        json_object_set(asked, "use", use);
    json_decref(use);
    if (q->diseases != NULL)
        json_object_set_new(asked, "diseases", json_hex(m->disease_table.hash, HASH_SIZE));
    return asked;
}

/* ---- and back ---- */

/* "" where it was left out. */
static const char *text_of(const json_t *from, const char *name) {
    const char *text = json_string_value(json_object_get(from, name));
    return text == NULL ? "" : text;
}

static bool take_purpose(const json_t *asked, struct purpose *ret) {
    const char *kind = text_of(asked, "purpose");
    ret->purpose = (uint8_t)(kind[0] == '\0' ? PURPOSE_NONE : purpose_from_name(kind));
    ret->uses = (uint32_t)json_integer_value(json_object_get(asked, "uses"));
    copy_string(ret->project, sizeof(ret->project), text_of(asked, "project"));
    copy_string(ret->approval, sizeof(ret->approval), text_of(asked, "approval"));
    copy_string(ret->disease, sizeof(ret->disease), text_of(asked, "disease"));
    if (json_integer_value(json_object_get(asked, "break_glass")) != 0)
        copy_string(ret->emergency, sizeof(ret->emergency), "stated"); /* the record's `purpose` has why */
    return purpose_check(ret) == VAULT_OK;
}

static uint64_t count_of(const json_t *from, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(from, name));
}

static bool take_use(const json_t *asked, struct question *q) {
    size_t i;
    const json_t *u;
    json_array_foreach(json_object_get(asked, "use"), i, u) {
        int per = budget_per_from_name(text_of(u, "per")), period = budget_period_from_name(text_of(u, "period"));
        if (per < 0 || period < 0)
            return false;
        q->use[per][period] = (struct use){
            .bytes = count_of(u, "bytes"), .files = count_of(u, "files"), .subjects = count_of(u, "subjects")};
    }
    return true;
}

static bool take_question(const json_t *asked, struct replay *r) {
    int action = action_from_name(text_of(asked, "action"));
    struct question *q = &r->question;
    bool good = action >= 0 && take_purpose(asked, &r->purpose);
    for (size_t i = 0; i < MEMBERS && good; i++)
        good = set_number(q, &members[i], json_integer_value(json_object_get(asked, members[i].name)));
    good = good && take_use(asked, q);
    q->action = (enum action)action;
    q->purpose = &r->purpose;
    q->service.name = text_of(asked, "service");
    q->service.organisation = text_of(asked, "organisation");
    q->service.country = text_of(asked, "country");
    q->file.dataset = text_of(asked, "dataset");
    q->file.tags = text_of(asked, "tags");
    r->policy = (uint32_t)json_integer_value(json_object_get(asked, "policy_version"));
    r->diseases = json_string_value(json_object_get(asked, "diseases"));
    return good;
}

/* The version that was in force then: all are kept. */
static int take_consent(struct monitor *m, struct replay *r) {
    const char *subject = text_of(r->record, "subject");
    json_int_t version = json_integer_value(json_object_get(r->record, "consent"));
    if (version == 0)
        return VAULT_OK;
    int result = find_consent(m, subject, (uint32_t)version, &r->consent);
    if (result != VAULT_OK)
        return result;
    CONSENT_COPY(&r->document, &r->consent);
    r->question.subject.consent = &r->document;
    return VAULT_OK;
}

int replay_begin(struct monitor *m, uint64_t seq, struct replay *ret) {
    static char line[RECORD_LINE_MAX];
    size_t n = 0;
    *ret = (struct replay){0};
    if (seq >= m->tree.size)
        return VAULT_NOT_FOUND;
    int result = log_load(m, seq, line, &n);
    if (result != VAULT_OK)
        return result;
    ret->record = json_loadb(line, n, 0, NULL);
    const json_t *asked = json_object_get(ret->record, "asked");
    if (ret->record == NULL)
        return VAULT_E_DAMAGED;
    if (asked == NULL)
        return VAULT_DENIED;
    return take_question(asked, ret) ? take_consent(m, ret) : VAULT_E_DAMAGED;
}

void replay_end(struct replay *r) {
    json_decref(r->record);
    r->record = NULL;
}

bool replay_needs_other_table(const struct monitor *m, const struct replay *r) {
    char now[2 * HASH_SIZE + 1] = "";
    if (r->purpose.disease[0] == '\0')
        return false;
    if (m->disease_table.diseases != NULL)
        hex_encode(now, sizeof(now), m->disease_table.hash, HASH_SIZE);
    return strcmp(now, r->diseases == NULL ? "" : r->diseases) != 0;
}

void replay_decide(const struct monitor *m, struct replay *r, const struct policy *p) {
    r->question.diseases = m->disease_table.diseases;
    r->question.policy = p;
    decide(&r->question, &r->decision);
}

bool replay_was_permitted(const struct replay *r) {
    return strcmp(text_of(r->record, "outcome"), "denied") != 0;
}
