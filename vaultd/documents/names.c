#include "documents_internal.h"

#include <string.h>

static const char *const roles[ROLE_COUNT] = {
    [ROLE_DEPOSITOR] = "depositor", [ROLE_READER] = "reader",       [ROLE_REGISTRAR] = "registrar",
    [ROLE_AUDITOR] = "auditor",     [ROLE_CUSTODIAN] = "custodian", [ROLE_OPERATOR] = "operator",
};

static const char *const actions[ACTION_COUNT] = {
    [ACTION_DEPOSIT] = "deposit", [ACTION_READ] = "read",
    [ACTION_LIST] = "list",       [ACTION_METADATA] = "metadata",
    [ACTION_REMOVE] = "remove",   [ACTION_SHRED] = "shred",
    [ACTION_EXPORT] = "export",   [ACTION_ADMINISTER] = "administer",
};

static const char *const purposes[] = {[PURPOSE_TREATMENT] = "treatment", [PURPOSE_RESEARCH] = "research"};

static const char *const conditions[CONDITION_COUNT] = {
    [CONDITION_CONSENT_TREATMENT] = "consent-treatment",
    [CONDITION_CONSENT_RESEARCH] = "consent-research",
    [CONDITION_NO_CONSENT] = "no-consent",
    [CONDITION_OPTED_OUT] = "opted-out",
    [CONDITION_PROJECT_OPEN] = "project-open",
    [CONDITION_NO_PROJECT] = "no-project",
    [CONDITION_APPROVAL_VALID] = "approval-valid",
    [CONDITION_NO_APPROVAL] = "no-approval",
    [CONDITION_FINDINGS_LIMITED] = "findings-limited",
    [CONDITION_FINDINGS_REFUSED] = "findings-refused",
    [CONDITION_NO_RECONTACT] = "no-recontact",
    [CONDITION_BREAK_GLASS] = "break-glass",
    [CONDITION_CUSTODY_OVER] = "custody-over",
    [CONDITION_CARE_RELATION] = "care-relation",
    [CONDITION_NO_CARE_RELATION] = "no-care-relation",
};

static const char *const pers[PER_COUNT] = {[PER_PROJECT] = "project", [PER_SERVICE] = "service"};

static const char *const periods[PERIOD_COUNT] = {
    [PERIOD_DAY] = "day", [PERIOD_MONTH] = "month", [PERIOD_YEAR] = "year", [PERIOD_EVER] = "ever"};

static const char *name_in(const char *const *names, size_t count, unsigned i) {
    return i < count ? names[i] : NULL;
}

static int find_in(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (names[i] != NULL && strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *role_name(unsigned role) {
    return name_in(roles, COUNT_OF(roles), role);
}

int role_from_name(const char *name) {
    return find_in(roles, COUNT_OF(roles), name);
}

const char *action_name(unsigned action) {
    return name_in(actions, COUNT_OF(actions), action);
}

int action_from_name(const char *name) {
    return find_in(actions, COUNT_OF(actions), name);
}

char action_letter(unsigned action) {
    switch (action) {
    case ACTION_DEPOSIT: return 'C';
    case ACTION_READ:
    case ACTION_LIST:
    case ACTION_METADATA:
    case ACTION_EXPORT: return 'R';
    case ACTION_REMOVE:
    case ACTION_SHRED: return 'D';
    default: return 'E';
    }
}

const char *purpose_name(unsigned purpose) {
    return name_in(purposes, COUNT_OF(purposes), purpose);
}

unsigned purpose_from_name(const char *name) {
    int found = find_in(purposes, COUNT_OF(purposes), name);
    return found < 0 ? PURPOSE_NONE : (unsigned)found;
}

const char *condition_name(unsigned condition) {
    return name_in(conditions, COUNT_OF(conditions), condition);
}

int condition_from_name(const char *name) {
    return find_in(conditions, COUNT_OF(conditions), name);
}

const char *budget_per_name(unsigned per) {
    return name_in(pers, COUNT_OF(pers), per);
}

int budget_per_from_name(const char *name) {
    return find_in(pers, COUNT_OF(pers), name);
}

const char *budget_period_name(unsigned period) {
    return name_in(periods, COUNT_OF(periods), period);
}

int budget_period_from_name(const char *name) {
    return find_in(periods, COUNT_OF(periods), name);
}

bool text_is_of(const char *text, size_t most, const char *letters) {
    size_t n = strnlen(text, most + 1);
    return n > 0 && n <= most && strspn(text, letters) == n;
}

bool text_is_good(const char *text, size_t most) {
    size_t n = strnlen(text, most + 1);
    return n <= most && text_is_clean(text, n);
}

enum { LETTERS_MAX = 32, DIGITS_MAX = 31 };

/* By value: what a letter is must not depend on a locale. */
static bool is_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool disease_is_good(const char *term, size_t n) {
    size_t letters = 0, digits = 0;
    while (letters < n && letters <= LETTERS_MAX && is_letter(term[letters]))
        letters++;
    if (letters == 0 || letters > LETTERS_MAX || letters == n || term[letters] != ':')
        return false;
    for (size_t i = letters + 1; i < n && digits <= DIGITS_MAX && is_digit(term[i]); i++)
        digits++;
    return digits > 0 && digits <= DIGITS_MAX && letters + 1 + digits == n;
}

void duo_text(uint32_t number, char to[DUO_TEXT]) {
    (void)format_string(to, DUO_TEXT, "DUO:%07u", number);
}

uint32_t duo_number(const char *term) {
    uint32_t number = 0;
    if (strncmp(term, "DUO:", 4) != 0 || strlen(term) != 11)
        return 0;
    for (const char *c = term + 4; *c != '\0'; c++) {
        if (!is_digit(*c))
            return 0;
        number = number * 10 + (uint32_t)(*c - '0');
    }
    return number;
}

bool list_next(const char *list, const char **at, size_t *ret_n) {
    const char *start = *at == NULL ? list : *at + *ret_n;
    if (*at != NULL && *start == ',')
        start++;
    else if (*at != NULL || *start == '\0')
        return false;
    *at = start;
    *ret_n = strcspn(start, ",");
    return true;
}

bool name_is_good(const char *name) {
    return text_is_of(name, NAME_MAX_SIZE, LETTERS_NAME) && name[0] != '.';
}

bool name_next(const char **at, char name[NAME_MAX_SIZE + 1]) {
    size_t n = strcspn(*at, ",");
    if (n == 0 || n > NAME_MAX_SIZE || ((*at)[n] == ',' && (*at)[n + 1] == '\0'))
        return false;
    copy_bytes(name, NAME_MAX_SIZE + 1, *at, n);
    name[n] = '\0';
    *at += n + ((*at)[n] == ',' ? 1 : 0);
    return name_is_good(name);
}

bool names_are_good(const char *list, size_t most) {
    char name[NAME_MAX_SIZE + 1];
    for (size_t count = 0; *list != '\0'; count++)
        if (count == most || !name_next(&list, name))
            return false;
    return true;
}

bool file_name_is_good(const char *name) {
    return name[0] != '\0' && text_is_good(name, NAME_MAX_SIZE) && strchr(name, '/') == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}
