#include "asked.h"

#include <string.h>

#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/lookup.h"
#include "vault/record.h"
#include "vault/result.h"

/* ---- the question as an object ---- */

enum form { FLAG, NUMBER, WIDE_NUMBER, TEXT, STATED_NUMBER, STATED_TEXT, USE };

/* What the question says in other words, or points to. */
struct stated {
    uint64_t policy_version, uses, break_glass;
    const char *action, *purpose, *project, *approval, *disease, *diseases;
};

#define OF_QUESTION(field) offsetof(struct question, field)
#define OF_STATED(field) offsetof(struct stated, field)

/* Sorted by their names, as they are written. Flags are 1, and what is 0 or empty is left out. */
static const struct member {
    const char *name;
    enum form form;
    size_t at;
} members[] = {
    {"action", STATED_TEXT, OF_STATED(action)},
    {"approval", STATED_TEXT, OF_STATED(approval)},
    {"approval_for_dataset", FLAG, OF_QUESTION(approval.for_dataset)},
    {"approval_for_project", FLAG, OF_QUESTION(approval.for_project)},
    {"approval_for_purpose", FLAG, OF_QUESTION(approval.for_purpose)},
    {"approval_from", WIDE_NUMBER, OF_QUESTION(approval.valid_from)},
    {"approval_known", FLAG, OF_QUESTION(approval.known)},
    {"approval_non_commercial", FLAG, OF_QUESTION(approval.non_commercial)},
    {"approval_revoked", FLAG, OF_QUESTION(approval.revoked)},
    {"approval_until", WIDE_NUMBER, OF_QUESTION(approval.valid_until)},
    {"break_glass", STATED_NUMBER, OF_STATED(break_glass)},
    {"country", TEXT, OF_QUESTION(service.country)},
    {"dataset", TEXT, OF_QUESTION(file.dataset)},
    {"disease", STATED_TEXT, OF_STATED(disease)},
    {"diseases", STATED_TEXT, OF_STATED(diseases)},
    {"file_known", FLAG, OF_QUESTION(file.known)},
    {"in_care", FLAG, OF_QUESTION(subject.in_care)},
    {"not_for_profit", FLAG, OF_QUESTION(service.not_for_profit)},
    {"opt_outs_of", WIDE_NUMBER, OF_QUESTION(opt_outs_of)},
    {"opted_out", FLAG, OF_QUESTION(subject.opted_out)},
    {"organisation", TEXT, OF_QUESTION(service.organisation)},
    {"policy_version", STATED_NUMBER, OF_STATED(policy_version)},
    {"project", STATED_TEXT, OF_STATED(project)},
    {"project_known", FLAG, OF_QUESTION(project.known)},
    {"project_member", FLAG, OF_QUESTION(project.member)},
    {"project_open", FLAG, OF_QUESTION(project.open)},
    {"purpose", STATED_TEXT, OF_STATED(purpose)},
    {"purposes", NUMBER, OF_QUESTION(service.purposes)},
    {"roles", NUMBER, OF_QUESTION(service.roles)},
    {"service", TEXT, OF_QUESTION(service.name)},
    {"service_known", FLAG, OF_QUESTION(service.known)},
    {"subject_known", FLAG, OF_QUESTION(subject.known)},
    {"tags", TEXT, OF_QUESTION(file.tags)},
    {"time", WIDE_NUMBER, OF_QUESTION(time)},
    {"use", USE, 0},
    {"uses", STATED_NUMBER, OF_STATED(uses)},
};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static bool is_number(const struct member *f) {
    return f->form == FLAG || f->form == NUMBER || f->form == WIDE_NUMBER;
}

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

static void out_use(struct json_out *o, const struct use *u, unsigned per, unsigned period) {
    out_object(o, NULL);
    out_number(o, "bytes", u->bytes);
    out_number(o, "files", u->files);
    out_string(o, "per", budget_per_name(per));
    out_string(o, "period", budget_period_name(period));
    out_number(o, "subjects", u->subjects);
    out_object_end(o);
}

static bool was_used(const struct use *u) {
    return u->bytes != 0 || u->files != 0 || u->subjects != 0;
}

/* Where something was counted; no list where nothing was. */
static void out_uses(struct json_out *o, const char *name, const struct question *q) {
    bool any = false;
    for (unsigned i = 0; i < PER_COUNT * PERIOD_COUNT; i++) {
        const struct use *u = &q->use[i / PERIOD_COUNT][i % PERIOD_COUNT];
        if (!was_used(u))
            continue;
        if (!any)
            out_list(o, name);
        any = true;
        out_use(o, u, i / PERIOD_COUNT, i % PERIOD_COUNT);
    }
    if (any)
        out_list_end(o);
}

static void out_member(struct json_out *o, const struct question *q, const struct stated *s, const struct member *f) {
    const uint8_t *in_question = (const uint8_t *)q + f->at, *in_stated = (const uint8_t *)s + f->at;
    switch (f->form) {
    case TEXT: out_string(o, f->name, *(const char *const *)in_question); break;
    case STATED_NUMBER: out_unless_zero(o, f->name, *(const uint64_t *)in_stated); break;
    case STATED_TEXT: out_string(o, f->name, *(const char *const *)in_stated); break;
    case USE: out_uses(o, f->name, q); break;
    default: out_unless_zero(o, f->name, number_of(q, f)); break;
    }
}

void asked_write(struct json_out *o, const void *of) {
    const struct asked *a = of;
    const struct question *q = a->question;
    char diseases[2 * HASH_SIZE + 1] = "";
    if (q->diseases != NULL)
        hex_encode(diseases, sizeof(diseases), a->monitor->disease_table.hash, HASH_SIZE);
    const struct stated stated = {.policy_version = q->policy == NULL ? 0 : a->monitor->meta.policy,
                                  .uses = q->purpose->uses,
                                  .break_glass = q->purpose->emergency[0] != '\0',
                                  .action = action_name(q->action),
                                  .purpose = purpose_name(q->purpose->purpose),
                                  .project = q->purpose->project,
                                  .approval = q->purpose->approval,
                                  .disease = q->purpose->disease,
                                  .diseases = diseases};
    for (const struct member *f = members; f < members + MEMBERS; f++)
        out_member(o, q, &stated, f);
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
    for (const struct member *f = members; f < members + MEMBERS && good; f++)
        good = !is_number(f) || set_number(q, f, json_integer_value(json_object_get(asked, f->name)));
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
    const char *line;
    size_t n = 0;
    *ret = (struct replay){0};
    if (seq >= m->tree.size)
        return VAULT_NOT_FOUND;
    int result = log_text(m, seq, &line, &n);
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
