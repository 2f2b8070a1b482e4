#include "documents_internal.h"

#include <string.h>

#include "vault/result.h"

DEFINE_LAYOUT(consent);

size_t consent_terms(const struct consent *c) {
    return c->research_size / 4;
}

uint32_t consent_term(const struct consent *c, size_t i) {
    const uint8_t *p = c->research + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* DUO numbers have seven digits; ascending, so that one list has one encoding. */
static bool terms_are_good(const struct consent *c) {
    if (c->research_size % 4 != 0 || c->research_size > sizeof(c->research))
        return false;
    uint32_t last = 0;
    for (size_t i = 0; i < consent_terms(c); i++) {
        uint32_t term = consent_term(c, i);
        if (term <= last || term > 9999999)
            return false;
        last = term;
    }
    return true;
}

static bool lists_term(const struct consent *c, uint32_t wanted) {
    for (size_t i = 0; i < consent_terms(c); i++)
        if (consent_term(c, i) == wanted)
            return true;
    return false;
}

/* Ascending by bytes, so that one list has one encoding. */
static bool ascend(const char *before, size_t n, const char *next, size_t next_n) {
    int order = memcmp(before, next, n < next_n ? n : next_n);
    return order < 0 || (order == 0 && n < next_n);
}

/* Some where the consent is disease-specific, and none where it is not. */
static bool diseases_are_good(const struct consent *c) {
    const char *at = NULL, *before = NULL;
    size_t n = 0, before_n = 0, count = 0;
    for (; list_next(c->diseases, &at, &n); count++, before = at, before_n = n)
        if (!disease_is_good(at, n) || (before != NULL && !ascend(before, before_n, at, n)))
            return false;
    return count <= CONSENT_DISEASES && (count > 0) == lists_term(c, DUO_DS);
}

/* ---- whom the research is limited to ---- */

char only_kind(uint32_t term) {
    switch (term) {
    case DUO_GS: return 'c';
    case DUO_IS: return 'o';
    case DUO_PS: return 'p';
    case DUO_US: return 's';
    default: return 0;
    }
}

static bool is_item(const char *at, size_t n, char kind, const char *name) {
    return n > 2 && at[0] == kind && at[1] == ':' &&
           (name == NULL || (strlen(name) == n - 2 && memcmp(at + 2, name, n - 2) == 0));
}

bool only_has(const char *only, char kind, const char *name) {
    const char *at = NULL;
    size_t n = 0;
    while (list_next(only, &at, &n))
        if (is_item(at, n, kind, name))
            return true;
    return false;
}

bool country_is_good(const char *code) {
    return text_is_of(code, 2, LETTERS_UPPER) && strlen(code) == 2;
}

static bool item_is_good(const char *at, size_t n) {
    char name[NAME_MAX_SIZE + 1];
    if (n < 3 || n - 2 > NAME_MAX_SIZE || at[1] != ':')
        return false;
    copy_bytes(name, sizeof(name), at + 2, n - 2);
    name[n - 2] = '\0';
    return at[0] == 'c' ? country_is_good(name) : name_is_good(name);
}

/* The member that says of whom the item is; "": of nobody. */
static const char *member_of(char kind) {
    switch (kind) {
    case 'c': return "permits.countries";
    case 'o': return "permits.organisations";
    case 'p': return "permits.projects";
    default: return "permits.services";
    }
}

static size_t count_of_kind(const char *only, char kind) {
    const char *at = NULL;
    size_t n = 0, count = 0;
    while (list_next(only, &at, &n))
        count += at[0] == kind;
    return count;
}

/* Each kind with its term only, and not too many of it. */
static const char *fault_of_kinds(const struct consent *c) {
    static const uint32_t with_items[] = {DUO_GS, DUO_IS, DUO_PS, DUO_US};
    for (size_t i = 0; i < COUNT_OF(with_items); i++) {
        char kind = only_kind(with_items[i]);
        size_t count = count_of_kind(c->only, kind);
        if (count > CONSENT_NAMES || (count > 0 && !lists_term(c, with_items[i])))
            return member_of(kind);
    }
    return NULL;
}

static const char *fault_of_only(const struct consent *c) {
    const char *at = NULL, *before = NULL;
    size_t n = 0, before_n = 0;
    for (; list_next(c->only, &at, &n); before = at, before_n = n) {
        if (n == 0 || strchr("cops", at[0]) == NULL || !item_is_good(at, n))
            return member_of(n == 0 ? 's' : at[0]);
        if (before != NULL && !ascend(before, before_n, at, n))
            return member_of(at[0]);
    }
    return fault_of_kinds(c);
}

static bool evidence_is_good(const char *evidence) {
    static const char prefix[] = "sha-256:";
    if (evidence[0] == '\0')
        return true;
    return strlen(evidence) == 8 + 64 && strncmp(evidence, prefix, 8) == 0 &&
           text_is_of(evidence + 8, 64, LETTERS_DIGIT "abcdef");
}

static const char *consent_fault(const struct consent *c) {
    const char *of_only = fault_of_only(c);
    int64_t seconds;
    if (!name_is_good(c->subject))
        return "subject";
    if (!date_parse(c->signed_on, &seconds))
        return "signed";
    if (!text_is_of(c->form, 32, LETTERS_NAME))
        return "form";
    if (!evidence_is_good(c->evidence))
        return "evidence";
    if (c->treatment > 1)
        return "permits.treatment";
    if (!terms_are_good(c))
        return "permits.research";
    if (!diseases_are_good(c))
        return "permits.diseases";
    if (of_only != NULL)
        return of_only;
    if (!day_is_good(c->research_until) || (c->research_until != 0 && !lists_term(c, DUO_TS)))
        return "permits.research_until";
    if (c->findings > FINDINGS_ALL)
        return "findings";
    if (c->recontact > 1)
        return "recontact";
    if (!second_is_good(c->expires))
        return "expires";
    return day_is_good(c->custody_until) ? NULL : "custody_until";
}

int consent_check(const struct consent *c, const char **ret_field) {
    const char *fault = consent_fault(c);
    if (fault == NULL)
        return VAULT_OK;
    *ret_field = fault;
    return VAULT_E_FORMAT;
}

static bool lists_disease(const struct consent *c, const char *disease, size_t size) {
    const char *at = NULL;
    size_t n = 0;
    while (list_next(c->diseases, &at, &n))
        if (n == size && memcmp(at, disease, n) == 0)
            return true;
    return false;
}

static bool has_only_diseases_of(const struct consent *after, const struct consent *before) {
    const char *at = NULL;
    size_t n = 0;
    while (list_next(after->diseases, &at, &n))
        if (!lists_disease(before, at, n))
            return false;
    return true;
}

/* Of one kind: none that is new. Who named nobody permitted nothing by that term. */
static bool has_only_items_of(const struct consent *after, const struct consent *before, char kind) {
    const char *at = NULL;
    size_t n = 0;
    while (list_next(after->only, &at, &n)) {
        char name[NAME_MAX_SIZE + 1];
        copy_bytes(name, sizeof(name), at + 2, n - 2);
        name[n - 2] = '\0';
        if (at[0] == kind && !only_has(before->only, kind, name))
            return false;
    }
    return true;
}

/* What a term of both says beside its number. */
static bool term_narrows(const struct consent *before, const struct consent *after, uint32_t term) {
    if (term == DUO_DS)
        return has_only_diseases_of(after, before);
    if (term == DUO_TS)
        return after->research_until <= before->research_until;
    return only_kind(term) == 0 || has_only_items_of(after, before, only_kind(term));
}

/* Every term of a list must permit the research: it is narrower if no restriction has gone from it. */
static bool research_narrows(const struct consent *before, const struct consent *after) {
    if (consent_terms(after) == 0)
        return true;
    for (size_t i = 0; i < consent_terms(before); i++) {
        uint32_t term = consent_term(before, i);
        if (term == DUO_NRES || term == DUO_GRU)
            continue;
        if (!lists_term(after, term) || !term_narrows(before, after, term))
            return false;
    }
    return consent_terms(before) > 0;
}

/* Of two ends, where 0 is none. */
static bool lasts_longer(uint64_t before, uint64_t after) {
    return before != 0 && (after == 0 || after > before);
}

bool consent_widens(const struct consent *before, const struct consent *after, const char **ret_field) {
    bool longer = lasts_longer(before->expires, after->expires);
    bool outgrown_later = lasts_longer(before->custody_until, after->custody_until);
    const char *field = after->treatment > before->treatment   ? "permits.treatment"
                        : !research_narrows(before, after)     ? "permits.research"
                        : after->findings > before->findings   ? "findings"
                        : after->recontact > before->recontact ? "recontact"
                        : longer                               ? "expires"
                        : outgrown_later                       ? "custody_until"
                                                               : NULL;
    *ret_field = field;
    return field != NULL;
}
