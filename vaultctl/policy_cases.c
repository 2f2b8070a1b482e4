#include "policy_cases.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/parse.h"
#include "vault/result.h"

/* The time of a case that states none: 2026-01-01; and the earliest that it may state: 2000-01-01. */
enum { NOW = 1767225600, EARLIEST = 946684800, TOKEN_LIMIT = 64 };

static const char *const verdicts[] = {
    [VERDICT_DENY] = "deny", [VERDICT_PERMIT] = "permit", [VERDICT_PERSON] = "person"};

const char *verdict_name(unsigned verdict) {
    return verdicts[verdict];
}

static int find_in(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static int verdict_from_name(const char *name) {
    return find_in(verdicts, VERDICT_PERSON + 1, name);
}

enum project { PROJECT_OPEN, PROJECT_CLOSED, PROJECT_UNKNOWN, PROJECT_NOT_MEMBER };

static int project_from_name(const char *name) {
    static const char *const names[] = {"open", "closed", "unknown", "not-member"};
    return find_in(names, sizeof(names) / sizeof(names[0]), name);
}

enum approval { VALID, UNKNOWN, REVOKED, NOT_YET, OVER, OTHER_PROJECT, OTHER_USE, OTHER_DATASET };

static int approval_from_name(const char *name) {
    static const char *const names[] = {"valid", "unknown",       "revoked",   "not-yet",
                                        "over",  "other-project", "other-use", "other-dataset"};
    return find_in(names, sizeof(names) / sizeof(names[0]), name);
}

static int get_purpose(const struct yaml_node *node, struct purpose *ret, char *problem) {
    const char *text;
    char why[PURPOSE_PROBLEM];
    int result = yaml_get_string(node, PURPOSE_TEXT_LIMIT, &text, problem);
    if (result != VAULT_OK || strcmp(text, "none") == 0)
        return result;
    return purpose_parse(text, ret, why) == VAULT_OK ? VAULT_OK : yaml_refuse(node, problem, "'purpose': %s", why);
}

/* Its strings, each once. */
static int get_strings(const struct yaml_node *list, json_t *to, char *problem) {
    int result = yaml_need_list(list, problem);
    for (const struct yaml_node *item = yaml_first(list); item != NULL && result == VAULT_OK; item = yaml_next(item)) {
        const char *text;
        result = yaml_get_string(item, TOKEN_LIMIT, &text, problem);
        for (size_t i = 0; result == VAULT_OK && i < json_array_size(to); i++)
            if (strcmp(json_string_value(json_array_get(to, i)), text) == 0)
                result = yaml_refuse(item, problem, "'%s': named twice", yaml_name_of(list));
        if (result == VAULT_OK && json_array_append_new(to, json_string(text)) != 0)
            result = VAULT_E_MEMORY;
    }
    return result;
}

static int copy_strings(const struct yaml_node *map, const char *key, json_t *to, char *problem) {
    const struct yaml_node *list = yaml_member(map, key);
    json_t *strings = json_array();
    int result = list == NULL ? VAULT_OK : get_strings(list, strings, problem);
    if (result == VAULT_OK && list != NULL && json_object_set(to, key, strings) != 0)
        result = VAULT_E_MEMORY;
    json_decref(strings);
    return result;
}

static int copy_bool(const struct yaml_node *map, const char *key, json_t *to, char *problem) {
    const struct yaml_node *node = yaml_member(map, key);
    bool value = false;
    int result = node == NULL ? VAULT_OK : yaml_get_bool(node, &value, problem);
    if (result == VAULT_OK && node != NULL && json_object_set_new(to, key, json_boolean(value)) != 0)
        result = VAULT_E_MEMORY;
    return result;
}

/* A document's name for it has another line in it. */
static int copy_day(const struct yaml_node *map, const char *key, json_t *to, char *problem) {
    const struct yaml_node *node = yaml_member(map, key);
    const char *text;
    int result = node == NULL ? VAULT_OK : yaml_get_string(node, TOKEN_LIMIT, &text, problem);
    if (result == VAULT_OK && node != NULL && json_object_set_new(to, "research_until", json_string(text)) != 0)
        result = VAULT_E_MEMORY;
    return result;
}

static int copy_findings(const struct yaml_node *map, json_t *to, char *problem) {
    const struct yaml_node *node = yaml_member(map, "findings");
    const char *text;
    int result = node == NULL ? VAULT_OK : yaml_get_string(node, TOKEN_LIMIT, &text, problem);
    if (result == VAULT_OK && node != NULL && json_object_set_new(to, "findings", json_string(text)) != 0)
        result = VAULT_E_MEMORY;
    return result;
}

/* What the case says of a consent, as the document that a patient's would be. */
static int consent_document(const struct yaml_node *node, json_t *to, json_t *permits, char *problem) {
    static const char *const names[] = {"countries", "organisations", "projects", "services"};
    int result = copy_bool(node, "treatment", permits, problem);
    if (result == VAULT_OK)
        result = copy_strings(node, "research", permits, problem);
    if (result == VAULT_OK)
        result = copy_strings(node, "diseases", permits, problem);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && result == VAULT_OK; i++)
        result = copy_strings(node, names[i], permits, problem);
    if (result == VAULT_OK)
        result = copy_day(node, "research-until", permits, problem);
    if (result == VAULT_OK)
        result = copy_findings(node, to, problem);
    return result == VAULT_OK ? copy_bool(node, "recontact", to, problem) : result;
}

static int parse_consent(const struct yaml_node *node, const json_t *document, struct consent *ret, char *problem) {
    char why[CONSENT_PROBLEM];
    char *text = json_dumps(document, JSON_COMPACT);
    int result = text == NULL ? VAULT_E_MEMORY : consent_parse(text, strlen(text), "S", ret, why);
    free(text);
    return result == VAULT_OK || result == VAULT_E_MEMORY ? result : yaml_refuse(node, problem, "'consent': %s", why);
}

static int get_flag(const struct yaml_node *map, const char *key, bool *ret, char *problem) {
    const struct yaml_node *node = yaml_member(map, key);
    return node == NULL ? VAULT_OK : yaml_get_bool(node, ret, problem);
}

static int get_consent(const struct yaml_node *node, struct consent *ret, char *problem) {
    static const char *const known[] = {
        "treatment",      "research", "diseases",  "countries", "organisations", "projects", "services",
        "research-until", "findings", "recontact", "ended",     "custody-over",  NULL};
    const struct yaml_node *treatment;
    bool is_over = false, is_outgrown = false;
    json_t *permits = json_object();
    json_t *document =
        json_pack("{s:s, s:s, s:s, s:O}", "subject", "S", "signed", "2025-01-01", "form", "1", "permits", permits);
    int result = document == NULL ? VAULT_E_MEMORY : yaml_need_map(node, known, problem);
    if (result == VAULT_OK)
        result = yaml_need(node, "treatment", &treatment, problem);
    if (result == VAULT_OK)
        result = consent_document(node, document, permits, problem);
    if (result == VAULT_OK)
        result = parse_consent(node, document, ret, problem);
    if (result == VAULT_OK)
        result = get_flag(node, "ended", &is_over, problem);
    if (result == VAULT_OK)
        result = get_flag(node, "custody-over", &is_outgrown, problem);
    if (is_over)
        ret->expires = 1; /* on any day */
    if (is_outgrown)
        ret->custody_until = 1;
    json_decref(document);
    json_decref(permits);
    return result;
}

static int get_tags(const struct yaml_node *list, char *to, size_t size, char *problem) {
    json_t *tags = json_array();
    int result = get_strings(list, tags, problem);
    struct writer w = writer_of(to, size - 1);
    for (size_t i = 0; i < json_array_size(tags) && result == VAULT_OK; i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        if (!name_is_good(tag))
            result = yaml_refuse(list, problem, "'tags': '%s' is no tag", tag);
        if (i > 0)
            write_u8(&w, ',');
        write_bytes(&w, tag, strlen(tag));
    }
    json_decref(tags);
    return result == VAULT_OK && w.bad ? yaml_refuse(list, problem, "'tags': too long") : result;
}

static int get_dataset(const struct yaml_node *node, struct policy_case *c, char *problem) {
    const char *text;
    int result = yaml_get_string(node, NAME_MAX_SIZE, &text, problem);
    if (result == VAULT_OK && !name_is_good(text))
        return yaml_refuse(node, problem, "'dataset': '%s' is no dataset", text);
    if (result == VAULT_OK)
        copy_string(c->dataset, sizeof(c->dataset), text);
    return result;
}

/* What the registry says of the project that the purpose names; it can only be said of one that it names. */
static int get_project(const struct yaml_node *node, struct policy_case *c, char *problem) {
    unsigned state = PROJECT_OPEN;
    bool named = c->purpose.project[0] != '\0';
    if (node != NULL && !named)
        return yaml_refuse(node, problem, "'project': the purpose names none");
    int result = node == NULL ? VAULT_OK : yaml_get_name(node, project_from_name, &state, problem);
    if (!named || state == PROJECT_UNKNOWN)
        return result;
    c->question.project.known = true;
    c->question.project.open = state != PROJECT_CLOSED;
    c->question.project.member = state != PROJECT_NOT_MEMBER;
    return result;
}

static int get_approval(const struct yaml_node *node, struct policy_case *c, char *problem) {
    unsigned state = VALID;
    bool named = c->purpose.approval[0] != '\0';
    if (node != NULL && !named)
        return yaml_refuse(node, problem, "'approval': the purpose names none");
    int result = node == NULL ? VAULT_OK : yaml_get_name(node, approval_from_name, &state, problem);
    if (!named || state == UNKNOWN)
        return result;
    c->question.approval.known = true;
    c->question.approval.revoked = state == REVOKED;
    c->question.approval.valid_from = state == NOT_YET ? c->question.time + 1 : 0;
    c->question.approval.valid_until = state == OVER ? c->question.time : 0;
    c->question.approval.for_project = state != OTHER_PROJECT;
    c->question.approval.for_purpose = state != OTHER_USE;
    c->question.approval.for_dataset = state != OTHER_DATASET;
    return result;
}

static int get_name(const struct yaml_node *map, const char *key, char *to, size_t size, char *problem) {
    const struct yaml_node *node = yaml_member(map, key);
    const char *text = "";
    int result = node == NULL ? VAULT_OK : yaml_get_string(node, size - 1, &text, problem);
    if (result == VAULT_OK && node != NULL && !name_is_good(text))
        return yaml_refuse(node, problem, "'%s': '%s' is no name", key, text);
    if (result == VAULT_OK)
        copy_string(to, size, text);
    return result;
}

/* What the registry says of who asks. */
static int get_service(const struct yaml_node *node, struct policy_case *c, char *problem) {
    static const char *const known[] = {"organisation", "country", "not-for-profit", NULL};
    int result = node == NULL ? VAULT_OK : yaml_need_map(node, known, problem);
    if (result != VAULT_OK || node == NULL)
        return result;
    result = get_name(node, "organisation", c->organisation, sizeof(c->organisation), problem);
    if (result == VAULT_OK)
        result = get_name(node, "country", c->country, sizeof(c->country), problem);
    if (result == VAULT_OK && c->country[0] != '\0' && !country_is_good(c->country))
        result = yaml_refuse(node, problem, "'country': not a code of two capital letters");
    return result == VAULT_OK ? get_flag(node, "not-for-profit", &c->question.service.not_for_profit, problem) : result;
}

/* Who asks, for what. */
static int get_request(const struct yaml_node *node, struct policy_case *c, char *problem) {
    unsigned action = 0;
    int result = yaml_get_name(yaml_member(node, "action"), action_from_name, &action, problem);
    c->question.action = (enum action)action;
    if (result == VAULT_OK)
        result = get_purpose(yaml_member(node, "purpose"), &c->purpose, problem);
    if (result == VAULT_OK)
        result = yaml_get_mask(yaml_member(node, "roles"), role_from_name, &c->question.service.roles, problem);
    if (result == VAULT_OK)
        result = get_service(yaml_member(node, "service"), c, problem);
    if (result == VAULT_OK)
        result = get_project(yaml_member(node, "project"), c, problem);
    if (result == VAULT_OK)
        result = get_flag(node, "non-commercial", &c->question.approval.non_commercial, problem);
    return result == VAULT_OK ? get_approval(yaml_member(node, "approval"), c, problem) : result;
}

/* The day on which it is asked, which is that of the register of opt-outs too. */
static int get_time(const struct yaml_node *node, struct policy_case *c, char *problem) {
    const char *text;
    int64_t seconds = 0;
    if (node == NULL)
        return VAULT_OK;
    int result = yaml_get_string(node, YAML_SCALAR_LIMIT, &text, problem);
    if (result == VAULT_OK && (!date_parse(text, &seconds) || seconds < EARLIEST))
        return yaml_refuse(node, problem, "'on': not a date (YYYY-MM-DD) from 2000-01-01 on");
    c->question.time = c->question.opt_outs_of = (uint64_t)seconds;
    return result;
}

/* How old the register of opt-outs is that was taken in last. */
static int get_register_age(const struct yaml_node *node, struct policy_case *c, char *problem) {
    enum { DAY = 86400 };
    uint64_t days = 0;
    c->question.opt_outs_of = 0;
    if (yaml_is_null(node)) /* it was never taken in */
        return VAULT_OK;
    int result = yaml_get_u64(node, 0, POLICY_OPT_OUTS_DAYS, &days, problem);
    c->question.opt_outs_of = c->question.time - days * DAY;
    return result;
}

/* About whom and what. */
static int get_target(const struct yaml_node *node, struct policy_case *c, char *problem) {
    const struct yaml_node *consent = yaml_member(node, "consent"), *dataset = yaml_member(node, "dataset"),
                           *tags = yaml_member(node, "tags"), *days = yaml_member(node, "register-days");
    int result = consent == NULL ? VAULT_OK : get_consent(consent, &c->consent, problem);
    if (consent != NULL)
        c->question.subject.consent = &c->consent;
    if (result == VAULT_OK)
        result = get_flag(node, "opted-out", &c->question.subject.opted_out, problem);
    if (result == VAULT_OK)
        result = get_flag(node, "care", &c->question.subject.in_care, problem);
    if (result == VAULT_OK && days != NULL)
        result = get_register_age(days, c, problem);
    if (result == VAULT_OK && dataset != NULL)
        result = get_dataset(dataset, c, problem);
    return result == VAULT_OK && tags != NULL ? get_tags(tags, c->tags, sizeof(c->tags), problem) : result;
}

static int check_list(const struct yaml_node *list, char *problem) {
    json_t *seen = json_array();
    int result = get_strings(list, seen, problem);
    json_decref(seen);
    return result;
}

static int get_expected(const struct yaml_node *node, struct policy_case *c, char *problem) {
    c->because = yaml_member(node, "because");
    c->obligations = yaml_member(node, "obligations");
    c->spent = yaml_member(node, "spent");
    int result = yaml_get_name(yaml_member(node, "expect"), verdict_from_name, &c->verdict, problem);
    if (result == VAULT_OK)
        result = check_list(c->because, problem);
    if (result == VAULT_OK && yaml_count(c->because) == 0)
        result = yaml_refuse(c->because, problem, "'because': a decision has at least one reason");
    if (result == VAULT_OK && c->spent != NULL)
        result = check_list(c->spent, problem);
    return result == VAULT_OK && c->obligations != NULL ? check_list(c->obligations, problem) : result;
}

static int need_members(const struct yaml_node *node, char *problem) {
    static const char *const known[] = {"name",      "action",        "purpose", "roles",          "consent",
                                        "opted-out", "register-days", "on",      "dataset",        "tags",
                                        "project",   "approval",      "expect",  "because",        "obligations",
                                        "spent",     "service",       "care",    "non-commercial", NULL};
    static const char *const needed[] = {"name", "action", "purpose", "roles", "expect", "because", NULL};
    const struct yaml_node *member;
    int result = yaml_need_map(node, known, problem);
    for (const char *const *key = needed; *key != NULL && result == VAULT_OK; key++)
        result = yaml_need(node, *key, &member, problem);
    return result;
}

int policy_case_read(const struct yaml_node *node, struct policy_case *ret, char problem[YAML_PROBLEM_SIZE]) {
    *ret = (struct policy_case){.line = yaml_line_of(node)};
    struct question *q = &ret->question;
    q->time = NOW;
    q->purpose = &ret->purpose;
    q->service.known = q->subject.known = q->file.known = true;
    q->service.name = "service";
    q->service.organisation = ret->organisation;
    q->service.country = ret->country;
    q->service.purposes = UINT32_MAX;
    q->opt_outs_of = NOW;
    q->file.dataset = ret->dataset;
    q->file.tags = ret->tags;
    int result = need_members(node, problem);
    if (result == VAULT_OK)
        result = yaml_get_string(yaml_member(node, "name"), YAML_SCALAR_LIMIT, &ret->name, problem);
    if (result == VAULT_OK)
        result = get_time(yaml_member(node, "on"), ret, problem);
    if (result == VAULT_OK)
        result = get_request(node, ret, problem);
    if (result == VAULT_OK)
        result = get_target(node, ret, problem);
    return result == VAULT_OK ? get_expected(node, ret, problem) : result;
}

static const struct policy_budget *budget_named(const struct policy *p, const char *id) {
    for (size_t i = 0; i < p->budget_count; i++)
        if (strcmp(p->budgets[i].id, id) == 0)
            return &p->budgets[i];
    return NULL;
}

int policy_case_spend(struct policy_case *c, const struct policy *p, char problem[YAML_PROBLEM_SIZE]) {
    const uint64_t much = BUDGET_MOST + 1;
    const struct yaml_node *item = c->spent == NULL ? NULL : yaml_first(c->spent);
    for (; item != NULL; item = yaml_next(item)) {
        const char *id = "";
        int result = yaml_get_string(item, TOKEN_LIMIT, &id, problem);
        const struct policy_budget *b = result == VAULT_OK ? budget_named(p, id) : NULL;
        if (result == VAULT_OK && b == NULL)
            result = yaml_refuse(item, problem, "'spent': the policy has no budget '%s'", id);
        if (result != VAULT_OK)
            return result;
        c->question.use[b->per][b->period] = (struct use){.bytes = much, .files = much, .subjects = much};
    }
    return VAULT_OK;
}

size_t decision_because(const struct decision *d, const char *ret_rules[REASONS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < d->reason_count; i++)
        if (d->verdict == VERDICT_PERMIT || d->reasons[i].against)
            ret_rules[count++] = d->reasons[i].rule;
    return count;
}

static bool holds(const struct yaml_node *list, const char *name) {
    char problem[YAML_PROBLEM_SIZE];
    const char *text;
    for (const struct yaml_node *item = yaml_first(list); item != NULL; item = yaml_next(item))
        if (yaml_get_string(item, TOKEN_LIMIT, &text, problem) == VAULT_OK && strcmp(text, name) == 0)
            return true;
    return false;
}

bool list_is(const struct yaml_node *list, const char *const *names, size_t count) {
    size_t found = 0;
    for (size_t i = 0; i < count && list != NULL; i++)
        found += holds(list, names[i]);
    return found == count && (list == NULL ? 0 : yaml_count(list)) == count;
}
