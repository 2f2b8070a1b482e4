#include "output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "vault/buffer.h"

/* Whether standard output took everything, main() asks at the end; of standard error nobody could be told. */
void print_clean(FILE *to, const char *text) {
    for (const char *p = text; *p != '\0'; p++)
        (void)fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, to);
}

void print_line(FILE *to, const char *label, const char *text) {
    (void)fputs(label, to);
    print_clean(to, text);
    (void)fputc('\n', to);
}

bool print_json(struct call *c, const json_t *document) {
    if (!c->json)
        return false;
    if (!c->answered && json_dumpf(document, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
        putchar('\n');
    c->answered = true;
    return true;
}

static void print_problem(struct call *c, enum outcome outcome, const char *detail) {
    json_t *problem = json_pack("{s:s, s:s, s:s, s:[], s:i}", "type", "about:blank", "title", outcome_title(outcome),
                                "detail", detail, "reasons", "exit", (int)outcome);
    if (problem != NULL)
        print_json(c, problem);
    json_decref(problem);
}

int fail(struct call *c, enum outcome outcome, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (n < 0)
        text[0] = '\0';
    print_line(stderr, "vaultctl: ", text);
    print_problem(c, outcome, text);
    return (int)outcome;
}

/* A fault that the worker finds is both the detail and the only reason: said once. */
static void print_reasons(const json_t *problem) {
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(problem, "reasons"), i, reason) {
        const char *rule = json_string_value(json_object_get(reason, "rule"));
        const char *text = json_string_value(json_object_get(reason, "text"));
        if (detail != NULL && text != NULL && strcmp(detail, text) == 0)
            continue;
        char *line = format_text("%s: %s", rule != NULL ? rule : "-", text != NULL ? text : "-");
        print_line(stderr, "  ", line);
        free(line);
    }
}

int fail_answer(struct call *c, enum outcome outcome, const struct http_answer *a) {
    const char *title = json_string_value(json_object_get(a->document, "title"));
    const char *detail = json_string_value(json_object_get(a->document, "detail"));
    if (a->error[0] != '\0') {
        (void)fail(c, outcome, "%s", a->error);
    } else {
        char *line = format_text("%s%s%s", title != NULL ? title : outcome_title(outcome), detail != NULL ? ": " : "",
                                 detail != NULL ? detail : "");
        print_line(stderr, "vaultctl: ", line);
        free(line);
        print_reasons(a->document);
        if (a->request_id[0] != '\0')
            json_object_set_new(a->document, "request", json_string(a->request_id));
        print_json(c, a->document);
    }
    if (a->request_id[0] != '\0')
        print_line(stderr, "  request ", a->request_id);
    return (int)outcome;
}

const json_t *member_at(const json_t *document, const char *path) {
    while (document != NULL && *path != '\0') {
        char name[64] = "";
        size_t n = strcspn(path, ".");
        copy_bytes(name, sizeof(name) - 1, path, n);
        document = json_object_get(document, name);
        path += n + (path[n] == '.');
    }
    return document;
}

static char *list_text(const json_t *list) {
    char *text = format_text("%s", json_array_size(list) == 0 ? "-" : "");
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        char *part = value_text(item);
        char *longer = format_text("%s%s%s", text, i > 0 ? "," : "", part);
        free(part);
        free(text);
        text = longer;
    }
    return text;
}

char *value_text(const json_t *value) {
    if (json_is_array(value))
        return list_text(value);
    if (json_is_string(value))
        return format_text("%s", json_string_value(value));
    if (json_is_boolean(value))
        return format_text("%s", json_is_true(value) ? "yes" : "no");
    if (json_is_integer(value))
        return format_text("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (value == NULL || json_is_null(value))
        return format_text("-");
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return text != NULL ? text : format_text("?");
}

/* Characters, not bytes: names may be in any script. */
static size_t text_width(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_padded(const char *text, size_t width) {
    print_clean(stdout, text);
    for (size_t n = text_width(text); n < width; n++)
        putchar(' ');
}

enum { FIELDS_MAX = 32 };

void print_fields(const json_t *document, const struct column *columns) {
    size_t width = 0;
    for (const struct column *k = columns; k->title != NULL; k++)
        width = strlen(k->title) > width ? strlen(k->title) : width;
    for (const struct column *k = columns; k->title != NULL; k++) {
        char *text = value_text(member_at(document, k->member));
        print_padded(k->title, width + 2);
        print_clean(stdout, text);
        putchar('\n');
        free(text);
    }
}

/* Whether the document says anything of it, be it null. */
static bool is_told(const json_t *document, const struct column *k) {
    char top[32];
    (void)format_string(top, sizeof(top), "%.*s", (int)strcspn(k->member, "."), k->member);
    return member_at(document, k->member) != NULL || json_is_null(json_object_get(document, top));
}

void print_told_fields(const json_t *document, const struct column *columns) {
    struct column told[FIELDS_MAX + 1] = {{NULL, NULL}};
    size_t count = 0;
    for (const struct column *k = columns; k->title != NULL && count < FIELDS_MAX; k++)
        if (is_told(document, k))
            told[count++] = *k;
    print_fields(document, told);
}

static size_t column_width(const json_t *rows, const struct column *k) {
    size_t width = strlen(k->title);
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        char *text = value_text(member_at(row, k->member));
        width = text_width(text) > width ? text_width(text) : width;
        free(text);
    }
    return width;
}

enum { TABLE_COLUMNS = 12 };

void print_table(const json_t *rows, const struct column *columns) {
    size_t widths[TABLE_COLUMNS] = {0};
    size_t count = 0;
    if (json_array_size(rows) == 0) {
        puts("none");
        return;
    }
    for (; count < TABLE_COLUMNS && columns[count].title != NULL; count++)
        widths[count] = column_width(rows, &columns[count]);
    for (size_t k = 0; k < count; k++)
        print_padded(columns[k].title, k + 1 < count ? widths[k] + 2 : 0);
    putchar('\n');
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        for (size_t k = 0; k < count; k++) {
            char *text = value_text(member_at(row, columns[k].member));
            print_padded(text, k + 1 < count ? widths[k] + 2 : 0);
            free(text);
        }
        putchar('\n');
    }
}

void print_warnings(const json_t *document) {
    size_t i;
    const json_t *warning;
    json_array_foreach(json_object_get(document, "warnings"), i, warning) {
        print_line(stderr, "vaultctl: warning: ", json_string_value(warning));
    }
}
