#include "csv.h"

#include <stdlib.h>
#include <string.h>

#include "vaultctl/names.h"
#include "vaultctl/output.h"
#include "vault/result.h"

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

static bool put(struct output *out, const char *text, size_t n) {
    return output_write(out, text, n);
}

/* What begins like a formula is one for a spreadsheet, whoever wrote it. */
static bool is_formula(const char *text) {
    return text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
}

static bool put_field(struct output *out, const char *text) {
    bool good = put(out, is_formula(text) ? "\"'" : "\"", is_formula(text) ? 2 : 1);
    for (const char *at = text; good && *at != '\0';) {
        size_t n = strcspn(at, "\"");
        good = put(out, at, n) && (at[n] == '\0' || put(out, "\"\"", 2));
        at += n + (at[n] == '"');
    }
    return good && put(out, "\"", 1);
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

static bool put_row(struct output *out, const json_t *record) {
    bool good = true;
    for (size_t i = 0; i < COLUMNS && good; i++) {
        char *text = field_text(record, columns[i][1]);
        good = (i == 0 || put(out, ",", 1)) && put_field(out, text);
        free(text);
    }
    return good && put(out, "\r\n", 2);
}

int csv_begin(struct output *out) {
    bool good = true;
    for (size_t i = 0; i < COLUMNS && good; i++)
        good = (i == 0 || put(out, ",", 1)) && put_field(out, columns[i][0]);
    return good && put(out, "\r\n", 2) ? VAULT_OK : VAULT_E_IO;
}

int csv_add(struct output *out, const char *line, size_t n) {
    json_t *record = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    int result = json_is_object(record) ? VAULT_OK : VAULT_E_FORMAT;
    if (result == VAULT_OK && !put_row(out, record))
        result = VAULT_E_IO;
    json_decref(record);
    return result;
}
