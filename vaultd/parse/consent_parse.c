#include "vault/parse.h"

#include <jansson.h>
#include <string.h>

#include "refuse.h"
#include "vault/result.h"

enum only { ONLY_COUNTRIES, ONLY_ORGANISATIONS, ONLY_PROJECTS, ONLY_SERVICES, ONLY_COUNT };

struct parse {
    struct consent consent;
    const char *only[ONLY_COUNT][CONSENT_NAMES]; /* ascending; they live as long as the document */
    size_t only_count[ONLY_COUNT];
    const char *subject;
    char *problem;
};

#define REFUSE(p, ...) refuse((p)->problem, CONSENT_PROBLEM, __VA_ARGS__)

/* A string of at most `most` bytes of clean text. */
static int get_text(struct parse *p, const char *member, const json_t *value, char *to, size_t most) {
    if (!json_is_string(value))
        return REFUSE(p, "%s: not a string", member);
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    if (!text_is_clean(text, n))
        return REFUSE(p, "%s: control characters", member);
    if (n > most)
        return REFUSE(p, "%s: more than %zu bytes", member, most);
    copy_string(to, most + 1, text);
    return VAULT_OK;
}

static int get_flag(struct parse *p, const char *member, const json_t *value, uint8_t *ret) {
    if (!json_is_boolean(value))
        return REFUSE(p, "%s: not true or false", member);
    *ret = json_is_true(value);
    return VAULT_OK;
}

static int get_subject(struct parse *p, const json_t *value) {
    int result = get_text(p, "subject", value, p->consent.subject, NAME_MAX_SIZE);
    if (result == VAULT_OK && strcmp(p->consent.subject, p->subject) != 0)
        return REFUSE(p, "subject: not the subject of this request");
    return result;
}

static int get_signed(struct parse *p, const json_t *value) {
    return get_text(p, "signed", value, p->consent.signed_on, 10);
}

static int get_form(struct parse *p, const json_t *value) {
    return get_text(p, "form", value, p->consent.form, 32);
}

static int get_evidence(struct parse *p, const json_t *value) {
    return get_text(p, "evidence", value, p->consent.evidence, 80);
}

static int get_findings(struct parse *p, const json_t *value) {
    static const char *const names[] = {
        [FINDINGS_NONE] = "none", [FINDINGS_ACTIONABLE] = "actionable", [FINDINGS_ALL] = "all"};
    for (uint8_t i = 0; json_is_string(value) && i <= FINDINGS_ALL; i++)
        if (strcmp(json_string_value(value), names[i]) == 0) {
            p->consent.findings = i;
            return VAULT_OK;
        }
    return REFUSE(p, "findings: not \"all\", \"actionable\" or \"none\"");
}

static int get_recontact(struct parse *p, const json_t *value) {
    return get_flag(p, "recontact", value, &p->consent.recontact);
}

/* A date stands for its first moment. A number that would mean "never" must not come of one. */
static int get_day(struct parse *p, const char *member, const json_t *value, uint64_t *ret) {
    char date[11];
    int64_t seconds;
    if (json_is_null(value))
        return VAULT_OK;
    int result = get_text(p, member, value, date, sizeof(date) - 1);
    if (result != VAULT_OK)
        return result;
    if (!date_parse(date, &seconds))
        return REFUSE(p, "%s: not null or a date (YYYY-MM-DD)", member);
    if (seconds <= 0)
        return REFUSE(p, "%s: before 1970-01-02", member);
    *ret = (uint64_t)seconds;
    return VAULT_OK;
}

static int get_expires(struct parse *p, const json_t *value) {
    return get_day(p, "expires", value, &p->consent.expires);
}

static int get_custody(struct parse *p, const json_t *value) {
    return get_day(p, "custody_until", value, &p->consent.custody_until);
}

static int get_treatment(struct parse *p, const json_t *value) {
    return get_flag(p, "permits.treatment", value, &p->consent.treatment);
}

/* Puts a term at its place among those before it. False if it is there already. */
static bool insert_term(uint32_t *terms, size_t count, uint32_t term) {
    size_t i = count;
    for (; i > 0 && terms[i - 1] >= term; i--) {
        if (terms[i - 1] == term)
            return false;
        terms[i] = terms[i - 1];
    }
    terms[i] = term;
    return true;
}

static int get_terms(struct parse *p, const json_t *list, uint32_t terms[CONSENT_TERMS], size_t *ret_count) {
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        uint32_t term = text == NULL ? 0 : duo_number(text);
        if (term == 0)
            return REFUSE(p, "permits.research[%zu]: not a DUO term (DUO: and seven digits)", i);
        if (!insert_term(terms, i, term))
            return REFUSE(p, "permits.research[%zu]: named twice", i);
    }
    *ret_count = count;
    return VAULT_OK;
}

static int get_research(struct parse *p, const json_t *list) {
    uint32_t terms[CONSENT_TERMS];
    size_t count = 0;
    if (!json_is_array(list))
        return REFUSE(p, "permits.research: not a list");
    if (json_array_size(list) > CONSENT_TERMS)
        return REFUSE(p, "permits.research: more than %d terms", CONSENT_TERMS);
    int result = get_terms(p, list, terms, &count);
    if (result != VAULT_OK)
        return result;
    struct writer w = writer_of(p->consent.research, sizeof(p->consent.research));
    for (size_t i = 0; i < count; i++)
        write_u32(&w, terms[i]);
    p->consent.research_size = (uint32_t)w.used;
    return VAULT_OK;
}

/* Puts a name at its place among those before it. False if it is there already. */
static bool insert_name(const char **names, size_t count, const char *name) {
    size_t i = count;
    for (; i > 0 && strcmp(names[i - 1], name) >= 0; i--) {
        if (strcmp(names[i - 1], name) == 0)
            return false;
        names[i] = names[i - 1];
    }
    names[i] = name;
    return true;
}

static int get_diseases(struct parse *p, const json_t *list) {
    const char *diseases[CONSENT_DISEASES];
    size_t count = json_array_size(list);
    if (!json_is_array(list))
        return REFUSE(p, "permits.diseases: not a list");
    if (count == 0 || count > CONSENT_DISEASES)
        return REFUSE(p, "permits.diseases: not 1 to %d diseases", CONSENT_DISEASES);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_string(value) || !disease_is_good(json_string_value(value), json_string_length(value)))
            return REFUSE(p, "permits.diseases[%zu]: not a disease (letters, a colon, digits)", i);
        if (!insert_name(diseases, i, json_string_value(value)))
            return REFUSE(p, "permits.diseases[%zu]: named twice", i);
    }
    struct writer w = writer_of(p->consent.diseases, sizeof(p->consent.diseases));
    for (size_t i = 0; i < count; i++) {
        write_bytes(&w, diseases[i], strlen(diseases[i]));
        write_u8(&w, i + 1 < count ? ',' : 0);
    }
    return w.bad ? REFUSE(p, "permits.diseases: too long") : VAULT_OK;
}

/* Of one kind; put together when all of them are there. */
static int get_names(struct parse *p, const char *member, enum only kind, const json_t *list) {
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0 || count > CONSENT_NAMES)
        return REFUSE(p, "permits.%s: not a list of 1 to %d", member, CONSENT_NAMES);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        const char *name = json_string_value(value);
        bool good = name != NULL && strlen(name) == json_string_length(value) &&
                    (kind == ONLY_COUNTRIES ? country_is_good(name) : name_is_good(name));
        if (!good)
            return REFUSE(p, "permits.%s[%zu]: %s", member, i,
                          kind == ONLY_COUNTRIES ? "not a code of two capital letters"
                                                 : "not 1 to 128 characters of [A-Za-z0-9._:@-]");
        if (!insert_name(p->only[kind], i, name))
            return REFUSE(p, "permits.%s[%zu]: named twice", member, i);
    }
    p->only_count[kind] = count;
    return VAULT_OK;
}

static int get_countries(struct parse *p, const json_t *list) {
    return get_names(p, "countries", ONLY_COUNTRIES, list);
}

static int get_organisations(struct parse *p, const json_t *list) {
    return get_names(p, "organisations", ONLY_ORGANISATIONS, list);
}

static int get_projects(struct parse *p, const json_t *list) {
    return get_names(p, "projects", ONLY_PROJECTS, list);
}

static int get_services(struct parse *p, const json_t *list) {
    return get_names(p, "services", ONLY_SERVICES, list);
}

static int get_research_until(struct parse *p, const json_t *value) {
    return get_day(p, "permits.research_until", value, &p->consent.research_until);
}

/* In the order of their letters, which is that of their bytes. */
static int put_only(struct parse *p) {
    static const char letters[ONLY_COUNT] = {'c', 'o', 'p', 's'};
    struct writer w = writer_of(p->consent.only, sizeof(p->consent.only) - 1);
    for (unsigned kind = 0; kind < ONLY_COUNT; kind++)
        for (size_t i = 0; i < p->only_count[kind]; i++) {
            if (w.used > 0)
                write_u8(&w, ',');
            write_u8(&w, (uint8_t)letters[kind]);
            write_u8(&w, ':');
            write_bytes(&w, p->only[kind][i], strlen(p->only[kind][i]));
        }
    return w.bad ? REFUSE(p, "permits: countries, organisations, projects and services are too long") : VAULT_OK;
}

struct member {
    const char *name;
    bool needed;
    int (*get)(struct parse *p, const json_t *value);
};

static const struct member *member_named(const struct member *members, const char *name) {
    for (; members->name != NULL; members++)
        if (strcmp(members->name, name) == 0)
            return members;
    return NULL;
}

/* Gets all members of an object; `path` ends in a dot or is empty. */
static int get_members(struct parse *p, const char *path, const json_t *object, const struct member *members) {
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const struct member *m = member_named(members, key);
        if (m == NULL)
            return REFUSE(p, "%s%s: unknown member", path, text_is_clean(key, strlen(key)) ? key : "(not clean text)");
        int result = m->get(p, value);
        if (result != VAULT_OK)
            return result;
    }
    for (const struct member *m = members; m->name != NULL; m++)
        if (m->needed && json_object_get(object, m->name) == NULL)
            return REFUSE(p, "%s%s: missing", path, m->name);
    return VAULT_OK;
}

static int get_permits(struct parse *p, const json_t *value) {
    static const struct member members[] = {{"treatment", false, get_treatment},
                                            {"research", false, get_research},
                                            {"diseases", false, get_diseases},
                                            {"countries", false, get_countries},
                                            {"organisations", false, get_organisations},
                                            {"projects", false, get_projects},
                                            {"services", false, get_services},
                                            {"research_until", false, get_research_until},
                                            {NULL, false, NULL}};
    if (!json_is_object(value))
        return REFUSE(p, "permits: not an object");
    int result = get_members(p, "permits.", value, members);
    return result == VAULT_OK ? put_only(p) : result;
}

/* What consent_check asks of a field, in words. */
static const char *demand_on(const char *field) {
    static const struct {
        const char *field, *demand;
    } demands[] = {
        {"signed", "not a real date (YYYY-MM-DD)"},
        {"form", "not 1 to 32 characters of [A-Za-z0-9._:@-]"},
        {"evidence", "not \"sha-256:\" and 64 lower-case hex digits"},
        {"permits.diseases", "with DUO:0000007 (disease-specific) in permits.research, and only there"},
        {"permits.countries", "with DUO:0000022 (geographic) in permits.research, and only there"},
        {"permits.organisations", "with DUO:0000028 (institution-specific) in permits.research, and only there"},
        {"permits.projects", "with DUO:0000027 (project-specific) in permits.research, and only there"},
        {"permits.services", "with DUO:0000026 (user-specific) in permits.research, and only there"},
        {"permits.research_until", "with DUO:0000025 (time limit) in permits.research, and only there"},
    };
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++)
        if (strcmp(demands[i].field, field) == 0)
            return demands[i].demand;
    return "not well-formed";
}

/* What is left out means the least: no findings, no recontact. */
static int get_document(struct parse *p, const json_t *document) {
    static const struct member members[] = {{"subject", true, get_subject},
                                            {"signed", true, get_signed},
                                            {"form", true, get_form},
                                            {"evidence", false, get_evidence},
                                            {"permits", true, get_permits},
                                            {"findings", false, get_findings},
                                            {"recontact", false, get_recontact},
                                            {"expires", false, get_expires},
                                            {"custody_until", false, get_custody},
                                            {NULL, false, NULL}};
    const char *field;
    if (!json_is_object(document))
        return REFUSE(p, "not a JSON object");
    int result = get_members(p, "", document, members);
    if (result != VAULT_OK)
        return result;
    if (consent_check(&p->consent, &field) != VAULT_OK)
        return REFUSE(p, "%s: %s", field, demand_on(field));
    return VAULT_OK;
}

/* jansson itself recurses 2048 deep. */
static bool is_shallow(const char *json, size_t n) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && json[i] == '\\')
            i++;
        else if (json[i] == '"')
            quoted = !quoted;
        else if (!quoted && (json[i] == '{' || json[i] == '['))
            depth++;
        else if (!quoted && (json[i] == '}' || json[i] == ']') && depth > 0)
            depth--;
        if (depth > CONSENT_DEPTH_LIMIT)
            return false;
    }
    return true;
}

static int not_json(struct parse *p, const json_error_t *error) {
    if (json_error_code(error) == json_error_out_of_memory)
        return VAULT_E_MEMORY;
    const char *text = text_is_clean(error->text, strlen(error->text)) ? error->text : "not JSON";
    return REFUSE(p, "line %d, column %d: %s", error->line, error->column, text);
}

int consent_parse(const char *json, size_t n, const char *subject_expected, struct consent *ret,
                  char problem[CONSENT_PROBLEM]) {
    struct parse p = {.subject = subject_expected, .problem = problem};
    json_error_t error;
    if (n > CONSENT_TEXT_LIMIT) {
        REFUSE(&p, "a document of more than %d bytes", CONSENT_TEXT_LIMIT);
        return VAULT_E_LIMIT;
    }
    if (!is_shallow(json, n))
        return REFUSE(&p, "more than %d objects and lists inside each other", CONSENT_DEPTH_LIMIT);
    json_t *document = json_loadb(json, n, JSON_REJECT_DUPLICATES, &error);
    int result = document == NULL ? not_json(&p, &error) : get_document(&p, document);
    json_decref(document);
    if (result == VAULT_E_MEMORY)
        REFUSE(&p, "no memory");
    if (result == VAULT_OK)
        *ret = p.consent;
    return result;
}
