#include "members.h"

#include <string.h>

#include "vault/documents.h"
#include "vault/message.h"
#include "vault/parse.h"
#include "vault/result.h"

enum { VALUE_MAX = 1024 };

#define OFFSET_IN(message, field) (offsetof(struct message, field) - offsetof(struct message, uses))
#define PURPOSE_FITS(message)                                                                                          \
    _Static_assert(OFFSET_IN(message, purpose) == offsetof(struct purpose, purpose) &&                                 \
                       OFFSET_IN(message, project) == offsetof(struct purpose, project) &&                             \
                       OFFSET_IN(message, approval) == offsetof(struct purpose, approval) &&                           \
                       OFFSET_IN(message, disease) == offsetof(struct purpose, disease) &&                             \
                       OFFSET_IN(message, emergency) == offsetof(struct purpose, emergency) &&                         \
                       sizeof(struct purpose) - offsetof(struct purpose, emergency) -                                  \
                               sizeof(((struct purpose *)NULL)->emergency) <                                           \
                           _Alignof(struct purpose),                                                                   \
                   "a purpose lies in the message as in struct purpose")
PURPOSE_FITS(msg_open);
PURPOSE_FITS(msg_file_list);
PURPOSE_FITS(msg_file_show);
PURPOSE_FITS(msg_inquire);

static int refuse(struct member_problem *ret, const struct member *m, const char *what) {
    static const char *const sources[] = {"path segment", "query parameter", "header", "member"};
    ret->status = 400;
    format_string(ret->text, sizeof(ret->text), "%s `%s` %s", sources[m->from], m->name, what);
    return VAULT_E_FORMAT;
}

static int refuse_unknown(struct member_problem *ret, const char *source, const char *name, int n) {
    ret->status = 400;
    /* Cut in the middle of a character, or strange from the start, it is not repeated. */
    if (!format_string(ret->text, sizeof(ret->text), "unknown %s `%.*s`", source, n < 100 ? n : 100, name) ||
        !text_is_clean(ret->text, strlen(ret->text)))
        format_string(ret->text, sizeof(ret->text), "unknown %s", source);
    return VAULT_E_FORMAT;
}

static void put_u32(void *to, uint32_t v) {
    copy_bytes(to, sizeof(v), &v, sizeof(v));
}

static void put_u64(void *to, uint64_t v) {
    copy_bytes(to, sizeof(v), &v, sizeof(v));
}

static int set_string(const struct member *m, const char *text, char *to, struct member_problem *ret) {
    if (strlen(text) > m->max)
        return refuse(ret, m, "is too long");
    if (m->kind == MEMBER_NAME && !name_is_good(text))
        return refuse(ret, m, "is no identifier (letters, digits and ._:@-)");
    if (m->kind == MEMBER_FILE_NAME && !file_name_is_good(text))
        return refuse(ret, m, "is no file name");
    copy_string(to, m->max + 1, text);
    return VAULT_OK;
}

static bool is_tag_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

/* "a, b" to "a,b"; every tag has at least one byte. */
static int set_tags(const struct member *m, const char *text, char *to, struct member_problem *ret) {
    size_t used = 0;
    bool in_tag = false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == ' ' && (!in_tag || c[1] == ',' || c[1] == ' ' || c[1] == '\0'))
            continue;
        if (!is_tag_byte(*c) && !(*c == ',' && in_tag))
            return refuse(ret, m, "must be tags of letters, digits and ._- with commas between");
        if (used == m->max)
            return refuse(ret, m, "is too long");
        in_tag = *c != ',';
        to[used++] = *c;
    }
    if (used > 0 && !in_tag)
        return refuse(ret, m, "ends in a comma");
    return VAULT_OK;
}

static int set_id(const struct member *m, const char *text, void *to, struct member_problem *ret) {
    if (hex_decode(to, ID_SIZE, text))
        return VAULT_OK;
    int result = refuse(ret, m, "must be 32 lower-case hexadecimal digits");
    if (m->from == FROM_PATH)
        ret->status = 404;
    return result;
}

static int set_purpose(const struct member *m, const char *text, void *to, struct member_problem *ret) {
    struct purpose purpose = {0};
    char problem[200] = "";
    if (purpose_parse(text, &purpose, problem) != VAULT_OK)
        return refuse(ret, m, problem);
    copy_bytes(to, sizeof(purpose), &purpose, sizeof(purpose));
    return VAULT_OK;
}

static int set_purpose_kind(const struct member *m, const char *text, uint8_t *to, struct member_problem *ret) {
    unsigned kind = purpose_from_name(text);
    if (kind == PURPOSE_NONE)
        return refuse(ret, m, "is no purpose");
    *to = (uint8_t)kind;
    return VAULT_OK;
}

static int set_date(const struct member *m, const char *text, void *to, struct member_problem *ret) {
    int64_t seconds;
    if (!date_parse(text, &seconds) || seconds < 0)
        return refuse(ret, m, "must be a date YYYY-MM-DD, from 1970 on");
    put_u64(to, (uint64_t)seconds);
    return VAULT_OK;
}

static int set_number(const struct member *m, uint64_t number, void *to, struct member_problem *ret) {
    if (m->kind == MEMBER_U64) {
        put_u64(to, number);
        return VAULT_OK;
    }
    if (number > UINT32_MAX)
        return refuse(ret, m, "is too large");
    put_u32(to, (uint32_t)number);
    return VAULT_OK;
}

/* Numbers and flags in a query. */
static int set_digits(const struct member *m, const char *text, void *to, struct member_problem *ret) {
    uint64_t number = 0;
    bool good = view_number((struct view){text, strlen(text)}, &number);
    if (m->kind == MEMBER_BOOL) {
        if (!good || number > 1)
            return refuse(ret, m, "must be 0 or 1");
        *(uint8_t *)to = (uint8_t)number;
        return VAULT_OK;
    }
    return good ? set_number(m, number, to, ret) : refuse(ret, m, "must be a number");
}

static int set_text(const struct member *m, const char *text, void *record, struct member_problem *ret) {
    void *to = (uint8_t *)record + m->offset;
    switch (m->kind) {
    case MEMBER_NAME:
    case MEMBER_FILE_NAME:
    case MEMBER_TEXT: return set_string(m, text, to, ret);
    case MEMBER_TAGS: return set_tags(m, text, to, ret);
    case MEMBER_ID: return set_id(m, text, to, ret);
    case MEMBER_PURPOSE: return set_purpose(m, text, to, ret);
    case MEMBER_PURPOSE_KIND: return set_purpose_kind(m, text, to, ret);
    case MEMBER_DATE: return set_date(m, text, to, ret);
    default: return set_digits(m, text, to, ret);
    }
}

static int set_names(const struct member *m, const json_t *array, char *to, struct member_problem *ret) {
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *name = json_string_value(json_array_get(array, i));
        if (name == NULL || !name_is_good(name))
            return refuse(ret, m, "must be an array of identifiers");
        size_t n = strlen(name) + (i > 0 ? 1 : 0);
        if (n > m->max - used)
            return refuse(ret, m, "has too many entries");
        format_string(to + used, m->max + 1 - used, "%s%s", i > 0 ? "," : "", name);
        used += n;
    }
    return VAULT_OK;
}

/* The number of a role or purpose, -1 if there is none of this name. */
static int bit_of(enum member_kind kind, const char *name) {
    if (kind == MEMBER_ROLES)
        return role_from_name(name);
    unsigned purpose = purpose_from_name(name);
    return purpose == PURPOSE_NONE ? -1 : (int)purpose;
}

/* All names of a mask's bits, with commas between. */
static void list_names(enum member_kind kind, char *to, size_t size) {
    size_t used = 0;
    unsigned bit = kind == MEMBER_ROLES ? 0 : PURPOSE_TREATMENT;
    const char *name = NULL;
    for (; (name = kind == MEMBER_ROLES ? role_name(bit) : purpose_name(bit)) != NULL; bit++) {
        format_string(to + used, size - used, "%s%s", used > 0 ? ", " : "", name);
        used += strlen(to + used);
    }
}

/* The entry is repeated only if it is short and clean. */
static int refuse_entry(struct member_problem *ret, const struct member *m, const char *entry) {
    char known[100] = "";
    char what[190] = "";
    list_names(m->kind, known, sizeof(known));
    bool shown = strlen(entry) <= 40 && text_is_clean(entry, strlen(entry));
    format_string(what, sizeof(what), "has an unknown entry%s%s%s; known are: %s", shown ? " `" : "",
                  shown ? entry : "", shown ? "`" : "", known);
    return refuse(ret, m, what);
}

static int set_mask(const struct member *m, const json_t *array, void *to, struct member_problem *ret) {
    uint32_t mask = 0;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *name = json_string_value(json_array_get(array, i));
        if (name == NULL)
            return refuse(ret, m, "must be an array of names");
        int bit = bit_of(m->kind, name);
        if (bit < 0)
            return refuse_entry(ret, m, name);
        mask |= 1u << bit;
    }
    put_u32(to, mask);
    return VAULT_OK;
}

static int set_json(const struct member *m, const json_t *value, void *record, struct member_problem *ret) {
    void *to = (uint8_t *)record + m->offset;
    switch (m->kind) {
    case MEMBER_BOOL:
        if (!json_is_boolean(value))
            return refuse(ret, m, "must be true or false");
        *(uint8_t *)to = json_is_true(value);
        return VAULT_OK;
    case MEMBER_U32:
    case MEMBER_U64:
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return refuse(ret, m, "must be a number, 0 or more");
        return set_number(m, (uint64_t)json_integer_value(value), to, ret);
    case MEMBER_NAMES:
    case MEMBER_ROLES:
    case MEMBER_PURPOSES:
        if (!json_is_array(value))
            return refuse(ret, m, "must be an array");
        return m->kind == MEMBER_NAMES ? set_names(m, value, to, ret) : set_mask(m, value, to, ret);
    default:
        if (!json_is_string(value))
            return refuse(ret, m, "must be a string");
        if (!text_is_clean(json_string_value(value), json_string_length(value)))
            return refuse(ret, m, "holds control characters");
        return set_text(m, json_string_value(value), record, ret);
    }
}

static const struct member *member_named(const struct member *members, size_t count, enum member_from from,
                                         struct view name) {
    for (size_t i = 0; i < count; i++)
        if (members[i].from == from && view_is(name, members[i].name))
            return &members[i];
    return NULL;
}

/* One fill in progress. */
struct filling {
    const struct member *members;
    size_t count;
    void *record;
    uint32_t seen; /* bit per member */
    struct member_problem *problem;
};

static int note_seen(struct filling *f, const struct member *m) {
    uint32_t bit = 1u << (m - f->members);
    if (f->seen & bit)
        return refuse(f->problem, m, "is there more than once");
    f->seen |= bit;
    return VAULT_OK;
}

/* A percent-encoded value. */
static int fill_encoded(struct filling *f, const struct member *m, struct view value) {
    char text[VALUE_MAX];
    int result = http_decode(value, text, sizeof(text));
    if (result != VAULT_OK)
        return refuse(f->problem, m, result == VAULT_E_LIMIT ? "is too long" : "is no clean UTF-8");
    result = note_seen(f, m);
    return result == VAULT_OK ? set_text(m, text, f->record, f->problem) : result;
}

static int fill_path(struct filling *f, const struct exchange *x) {
    int result = VAULT_OK;
    for (size_t i = 0; i < x->argument_count && result == VAULT_OK; i++) {
        const struct member *m = member_named(f->members, f->count, FROM_PATH, x->arguments[i].name);
        if (m != NULL)
            result = fill_encoded(f, m, x->arguments[i].value);
    }
    return result;
}

static int fill_query(struct filling *f, const struct exchange *x) {
    struct view rest = x->head.query;
    struct view name;
    struct view value;
    int result = VAULT_OK;
    while (result == VAULT_OK && http_query_next(&rest, &name, &value)) {
        const struct member *m = member_named(f->members, f->count, FROM_QUERY, name);
        result =
            m == NULL ? refuse_unknown(f->problem, "query parameter", name.at, (int)name.n) : fill_encoded(f, m, value);
    }
    return result;
}

static int fill_headers(struct filling *f, const struct exchange *x) {
    int result = VAULT_OK;
    for (size_t i = 0; i < f->count && result == VAULT_OK; i++) {
        const struct member *m = &f->members[i];
        struct view value;
        char text[VALUE_MAX];
        int found = m->from == FROM_HEADER ? http_field_find(&x->head, m->name, &value) : VAULT_NOT_FOUND;
        if (found == VAULT_NOT_FOUND)
            continue;
        if (found != VAULT_OK)
            return refuse(f->problem, m, "is there more than once");
        if (view_string(value, text, sizeof(text)) != VAULT_OK)
            return refuse(f->problem, m, "is too long");
        result = note_seen(f, m);
        if (result == VAULT_OK)
            result = set_text(m, text, f->record, f->problem);
    }
    return result;
}

static int fill_body(struct filling *f, json_t *body) {
    const char *name;
    json_t *value;
    int result = VAULT_OK;
    json_object_foreach(body, name, value) {
        const struct member *m = member_named(f->members, f->count, FROM_BODY, (struct view){name, strlen(name)});
        if (m == NULL)
            return refuse_unknown(f->problem, "member", name, (int)strnlen(name, 100));
        result = note_seen(f, m);
        if (result == VAULT_OK)
            result = set_json(m, value, f->record, f->problem);
        if (result != VAULT_OK)
            return result;
    }
    return result;
}

static int check_required(const struct filling *f) {
    for (size_t i = 0; i < f->count; i++)
        if ((f->members[i].flags & MEMBER_REQUIRED) != 0 && (f->seen & 1u << i) == 0)
            return refuse(f->problem, &f->members[i], "is missing");
    return VAULT_OK;
}

int members_fill(const struct exchange *x, const struct member *members, size_t count, json_t *body, void *record,
                 struct member_problem *ret_problem) {
    struct filling f = {members, count, record, 0, ret_problem};
    int result = fill_path(&f, x);
    if (result == VAULT_OK)
        result = fill_query(&f, x);
    if (result == VAULT_OK)
        result = fill_headers(&f, x);
    if (result == VAULT_OK && body != NULL)
        result = fill_body(&f, body);
    return result == VAULT_OK ? check_required(&f) : result;
}
