#include "vault/parse.h"

#include <string.h>

#include "refuse.h"
#include "vault/result.h"

#define LETTERS_LOWER "abcdefghijklmnopqrstuvwxyz"
#define LETTERS_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTERS_DIGIT "0123456789"
#define LETTERS_TOKEN LETTERS_LOWER LETTERS_UPPER LETTERS_DIGIT "!#$%&'*+-.^_`|~:/"
#define LETTERS_KEY LETTERS_LOWER LETTERS_DIGIT "_-.*"

enum {
    USE_SIZE = 11,
    USES_SIZE = (USE_LAST - USE_FIRST + 1) * (USE_SIZE + 1)
}; /* DUO:0000031, a space or NUL after each */

struct scan {
    const char *header;
    const char *at;
    char *problem;
    char uses[USES_SIZE]; /* the parameter as it came */
};

/* The place is counted from 1. */
#define REFUSE(s, what, ...)                                                                                           \
    refuse((s)->problem, PURPOSE_PROBLEM, "Purpose, character %zu: " what, (size_t)((s)->at - (s)->header) + 1,        \
           ##__VA_ARGS__)

static void skip_spaces(struct scan *s) {
    s->at += strspn(s->at, " ");
}

/* A word of these letters, terminated in `word`; false if there is none or it does not fit. */
static bool take_word(struct scan *s, const char *letters, char *word, size_t size) {
    size_t n = strspn(s->at, letters);
    if (n == 0 || n >= size)
        return false;
    copy_bytes(word, size, s->at, n);
    word[n] = '\0';
    s->at += n;
    return true;
}

static int take_kind(struct scan *s, struct purpose *p) {
    char word[32];
    const char *start = s->at;
    if (take_word(s, LETTERS_TOKEN, word, sizeof(word)))
        p->purpose = (uint8_t)purpose_from_name(word);
    if (p->purpose != PURPOSE_NONE)
        return VAULT_OK;
    s->at = start;
    return REFUSE(s, "not the token 'treatment' or 'research'");
}

/* A quoted string into `to`, which has room for `most` bytes and a NUL. */
static int take_string(struct scan *s, char *to, size_t most) {
    size_t n = 0;
    if (*s->at != '"')
        return REFUSE(s, "a parameter's value must be a string in double quotes");
    for (s->at++; *s->at != '"'; s->at++) {
        if (*s->at == '\\' && s->at[1] != '"' && s->at[1] != '\\')
            return REFUSE(s, "a backslash that escapes nothing");
        if (*s->at == '\\')
            s->at++;
        if (*s->at < 0x20 || *s->at > 0x7e)
            return *s->at == '\0' ? REFUSE(s, "a string without end") : REFUSE(s, "not plain ASCII");
        if (n == most)
            return REFUSE(s, "a value of more than %zu bytes", most);
        to[n++] = *s->at;
    }
    s->at++;
    to[n] = '\0';
    return VAULT_OK;
}

/* Where the value of this parameter goes; NULL if there is no such parameter. */
static char *particular(struct scan *s, struct purpose *p, const char *key, size_t *ret_most) {
    *ret_most = sizeof(s->uses) - 1;
    if (strcmp(key, "uses") == 0)
        return s->uses;
    *ret_most = NAME_MAX_SIZE;
    if (strcmp(key, "project") == 0)
        return p->project;
    if (strcmp(key, "approval") == 0)
        return p->approval;
    *ret_most = sizeof(p->emergency) - 1;
    if (strcmp(key, "break-glass") == 0)
        return p->emergency;
    *ret_most = sizeof(p->disease) - 1;
    return strcmp(key, "disease") == 0 ? p->disease : NULL;
}

/* Ascending, each once, one space between. */
static bool read_uses(const char *text, uint32_t *ret) {
    *ret = 0;
    for (unsigned number = USE_FIRST; number <= USE_LAST; number++) {
        char term[DUO_TEXT];
        size_t space = *ret != 0;
        duo_text(number, term);
        if ((space && *text != ' ') || strncmp(text + space, term, strlen(term)) != 0)
            continue;
        *ret |= USE_BIT(number);
        text += space + strlen(term);
    }
    return *text == '\0';
}

/* Checked as soon as it is read, so that the error can name it. */
static int check_particular(struct scan *s, struct purpose *p, const char *key) {
    if (read_uses(s->uses, &p->uses) && purpose_check(p) == VAULT_OK)
        return VAULT_OK;
    bool of_treatment = strcmp(key, "break-glass") == 0;
    if (p->purpose != (of_treatment ? PURPOSE_TREATMENT : PURPOSE_RESEARCH))
        return REFUSE(s, "parameter '%s' belongs to %s only", key, of_treatment ? "treatment" : "research");
    return REFUSE(s, "parameter '%s' is not well-formed", key);
}

static int take_parameter(struct scan *s, struct purpose *p) {
    char key[32];
    size_t most;
    const char *start = s->at;
    if (!take_word(s, LETTERS_KEY, key, sizeof(key)))
        return REFUSE(s, "not a parameter");
    char *to = particular(s, p, key, &most);
    if (to == NULL || to[0] != '\0') {
        s->at = start;
        return to == NULL ? REFUSE(s, "unknown parameter '%s'", key) : REFUSE(s, "parameter '%s' given twice", key);
    }
    if (*s->at != '=')
        return REFUSE(s, "parameter '%s' has no value", key);
    s->at++;
    start = s->at;
    int result = take_string(s, to, most);
    if (result != VAULT_OK)
        return result;
    if (to[0] == '\0') {
        s->at = start;
        return REFUSE(s, "parameter '%s' is empty", key);
    }
    return check_particular(s, p, key);
}

int purpose_parse(const char *header, struct purpose *ret, char problem[PURPOSE_PROBLEM]) {
    struct scan s = {.header = header, .at = header, .problem = problem};
    struct purpose p = {0};
    if (strnlen(header, PURPOSE_TEXT_LIMIT + 1) > PURPOSE_TEXT_LIMIT)
        return REFUSE(&s, "more than %d bytes", PURPOSE_TEXT_LIMIT);
    skip_spaces(&s);
    int result = take_kind(&s, &p);
    while (result == VAULT_OK && *s.at == ';') {
        s.at++;
        skip_spaces(&s);
        result = take_parameter(&s, &p);
    }
    if (result != VAULT_OK)
        return result;
    skip_spaces(&s);
    if (*s.at == ',')
        return REFUSE(&s, "one purpose only, not a list");
    if (*s.at != '\0')
        return REFUSE(&s, "something after the purpose");
    *ret = p;
    return VAULT_OK;
}
