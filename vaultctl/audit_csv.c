#include "audit_csv.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "output.h"
#include "vault/buffer.h"
#include "vault/record.h"

/* A column's title and where a record has it; docs/format-audit.md. */
static const char *const columns[][2] = {
    {"seq", "seq"},
    {"time", "time"},
    {"event", "event"},
    {"outcome", "outcome"},
    {"service", "service.name"},
    {"san", "service.san"},
    {"address", "address"},
    {"subject", "subject"},
    {"file", "file"},
    {"action", "action"},
    {"purpose", "purpose"},
    {"rules", NULL},
    {"obligations", "obligations"},
    {"policy", "policy"},
    {"consent", "consent"},
    {"bytes", "bytes"},
    {"ranges", "ranges"},
    {"detail", "detail"},
    {"request", "request"},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static bool put(struct csv *t, const char *text, size_t n) {
    return output_write(t->out, text, n);
}

/* What begins like a formula is one for a spreadsheet, whoever wrote it. */
static bool is_formula(const char *text) {
    return text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
}

static bool put_field(struct csv *t, const char *text) {
    bool good = put(t, is_formula(text) ? "\"'" : "\"", is_formula(text) ? 2 : 1);
    for (const char *at = text; good && *at != '\0';) {
        size_t n = strcspn(at, "\"");
        good = put(t, at, n) && (at[n] == '\0' || put(t, "\"\"", 2));
        at += n + (at[n] == '"');
    }
    return good && put(t, "\"", 1);
}

/* The ids of the reasons' rules, with spaces. */
static char *rules_text(const json_t *record) {
    char *text = format_text("%s", "");
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(record, "reasons"), i, reason) {
        const char *rule = json_string_value(json_object_get(reason, "rule"));
        char *longer = format_text("%s%s%s", text, i > 0 ? " " : "", rule == NULL ? "" : rule);
        free(text);
        text = longer;
    }
    return text;
}

static char *field_text(const json_t *record, const char *path) {
    const json_t *value = path == NULL ? NULL : member_at(record, path);
    if (path == NULL)
        return rules_text(record);
    return value == NULL ? format_text("%s", "") : value_text(value);
}

static bool put_row(struct csv *t, const json_t *record) {
    bool good = true;
    for (size_t i = 0; i < COLUMNS && good; i++) {
        char *text = field_text(record, columns[i][1]);
        good = (i == 0 || put(t, ",", 1)) && put_field(t, text);
        free(text);
    }
    return good && put(t, "\r\n", 2);
}

bool csv_begin(struct csv *t, struct output *out) {
    bool good = true;
    *t = (struct csv){.out = out};
    for (size_t i = 0; i < COLUMNS && good; i++)
        good = (i == 0 || put(t, ",", 1)) && put_field(t, columns[i][0]);
    return good && put(t, "\r\n", 2);
}

static bool take_line(struct csv *t) {
    json_t *record = json_loadb(t->line, t->size, JSON_REJECT_DUPLICATES, NULL);
    t->bad = !json_is_object(record);
    t->size = 0;
    bool good = !t->bad && put_row(t, record);
    json_decref(record);
    return good;
}

static bool keep(struct csv *t, const char *bytes, size_t n) {
    if (t->line == NULL) {
        t->room = RECORD_LINE_MAX;
        t->line = malloc(t->room);
    }
    t->bad = t->line == NULL || n > t->room - t->size;
    if (t->bad || n == 0)
        return !t->bad;
    copy_bytes(t->line + t->size, t->room - t->size, bytes, n);
    t->size += n;
    return true;
}

bool csv_take(struct csv *t, const void *bytes, size_t n) {
    const char *at = bytes, *end = at + n;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        if (!keep(t, at, (size_t)(stop - at)) || (newline != NULL && !take_line(t)))
            return false;
        at = newline == NULL ? end : newline + 1;
    }
    return true;
}

bool csv_end(struct csv *t) {
    bool whole = !t->bad && t->size == 0;
    free(t->line);
    t->line = NULL;
    return whole;
}
