/* What is on record about one patient, for that patient: in plain words, and in the shape of the citizen's own access
 * log (MinLog). */
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "vaultctl/names.h"
#include "vault/result.h"

struct writing {
    const struct audit_folder *folder;
    struct output words, minlog;
    uint64_t records, emergencies, entries;
    json_t *permitted, *denied; /* reads by service: how many */
};

static void count(json_t *by_service, const char *service) {
    json_object_set_new(by_service, service,
                        json_integer(1 + json_integer_value(json_object_get(by_service, service))));
}

static void sum_up(struct writing *w, const json_t *record) {
    bool permitted = strcmp(audit_text(record, "outcome"), "permitted") == 0;
    w->records++;
    if (strcmp(audit_text(record, "event"), "read") != 0)
        return;
    count(permitted ? w->permitted : w->denied, audit_text(record, "service.name"));
    w->emergencies += permitted && audit_is_emergency(record);
}

/* ---- in plain words ---- */

/* " The patient's own treatment, with written consent." for each reason. */
static char *reasons_text(const json_t *record) {
    char *text = format_text("%s", "");
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(record, "reasons"), i, reason) {
        char *longer = format_text("%s %s", text, audit_text(reason, "text"));
        free(text);
        text = longer;
    }
    return text;
}

/* `research;project="P1";approval="A1"` as ", for research (project "P1", approval "A1")". A text in it has no quotes,
 * but may have what stands between parameters. */
static char *purpose_text(const json_t *record) {
    const char *purpose = audit_text(record, "purpose");
    size_t kind = strcspn(purpose, ";");
    bool quoted = false;
    if (purpose[0] == '\0')
        return format_text("%s", "");
    char *text = format_text(", for %.*s", (int)kind, purpose);
    for (const char *at = purpose + kind; *at != '\0'; at++) {
        bool first = at == purpose + kind;
        char one[2] = {*at, '\0'};
        quoted = quoted != (*at == '"');
        char *longer = format_text("%s%s", text,
                                   quoted || (*at != ';' && *at != '=') ? one
                                   : first                              ? " ("
                                   : *at == ';'                         ? ", "
                                                                        : " ");
        free(text);
        text = longer;
    }
    char *ended = format_text("%s%s", text, purpose[kind] != '\0' ? ")" : "");
    free(text);
    return ended;
}

/* Whoever comes by the vault's own host. */
static const char *who(const json_t *record) {
    const char *name = audit_text(record, "service.name");
    return strncmp(name, "unix:", strlen("unix:")) == 0 ? "the vault's administrator" : name;
}

static bool put_words(struct writing *w, const json_t *record) {
    const char *time = audit_text(record, "time"), *file = audit_text(record, "file"),
               *detail = audit_text(record, "detail");
    const json_t *bytes = json_object_get(record, "bytes");
    char *reasons = reasons_text(record), *purpose = purpose_text(record);
    char *size =
        bytes == NULL ? format_text("%s", "") : format_text(", %lld bytes", (long long)json_integer_value(bytes));
    bool good = audit_put(
        &w->words, format_text("%.10s %.8s  %s %s%s%s%s%s: %s%s.%s%s%s%s\n", time, strlen(time) > 11 ? time + 11 : "",
                               who(record), audit_deed(audit_text(record, "event")), file[0] != '\0' ? " (" : "", file,
                               file[0] != '\0' ? ")" : "", purpose, audit_text(record, "outcome"), size, reasons,
                               detail[0] != '\0' ? " (" : "", detail, detail[0] != '\0' ? ")" : ""));
    free(size);
    free(purpose);
    free(reasons);
    return good;
}

static bool put_counts(struct writing *w, const char *what, json_t *by_service) {
    const char *service;
    json_t *number;
    bool good = audit_put(&w->words, format_text("%s:%s\n", what, json_object_size(by_service) == 0 ? " none" : ""));
    json_object_foreach(by_service, service, number) good =
        good && audit_put(&w->words, format_text("  %s: %lld\n", service, (long long)json_integer_value(number)));
    return good;
}

static bool put_head(struct writing *w) {
    return audit_put(
        &w->words,
        format_text(
            "What is on record about %s\n\n"
            "This is everything that the log \"%s\" has about this person, in the order in which it happened. Times\n"
            "are UTC. Each line says who did what, for which purpose, what came of it, and why.\n\n",
            w->folder->subject, w->folder->origin));
}

static bool put_end(struct writing *w) {
    return audit_put(&w->words, format_text("\nIn short\n\n%llu records. ", (unsigned long long)w->records)) &&
           put_counts(w, "Permitted to read a file", w->permitted) && put_counts(w, "Denied", w->denied) &&
           audit_put(&w->words,
                     format_text("Read in an emergency, which an auditor looks at: %llu\n\n"
                                 "How this can be checked\n\n"
                                 "Beside this text are the records themselves (records.jsonl), proofs that each "
                                 "is in the log of %llu\n"
                                 "records (proofs.jsonl), and the log's signed head (checkpoint). Whoever has the "
                                 "vault's verifier key\n"
                                 "checks with `vaultctl audit verify` that none was changed, and that none was "
                                 "left out between the first\n"
                                 "and the last. What is here says nothing about anybody else.\n",
                                 (unsigned long long)w->emergencies,
                                 (unsigned long long)w->folder->verified->tree_size));
}

/* ---- as MinLog has it ---- */

/* Who saw what: not what the vault itself did. */
static bool is_of_minlog(const json_t *record) {
    static const char *const events[] = {"read", "metadata", "list", "deposit", "inquiry"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (strcmp(audit_text(record, "event"), events[i]) == 0)
            return true;
    return false;
}

static json_t *minlog_of(const struct writing *w, const json_t *record) {
    const char *time = audit_text(record, "time"), *service = audit_text(record, "service.name");
    return json_pack("{s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Source", "SystemName",
                     w->folder->origin, "CorrelationId", audit_text(record, "request"), "Activity",
                     audit_deed(audit_text(record, "event")), "Reason", audit_text(record, "purpose"), "Criticality",
                     audit_is_emergency(record)                                ? "emergency"
                     : strcmp(audit_text(record, "outcome"), "permitted") == 0 ? "normal"
                                                                               : "denied",
                     "FromDateTime", time, "ToDateTime", time, "OrganisationName",
                     audit_text(record, "asked.organisation"), "PersonIdentifier", w->folder->subject,
                     "UserPersonIdentifier", audit_text(record, "service.san"), "UserPersonName", service, "UserRole",
                     audit_text(record, "asked.action"));
}

static bool put_minlog(struct writing *w, const json_t *record) {
    json_t *entry = minlog_of(w, record);
    char *text = entry == NULL ? NULL : json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    return audit_put(&w->minlog, format_text("%s", w->entries++ == 0 ? "" : ",\n")) && audit_put(&w->minlog, text);
}

/* ---- both at once ---- */

static int take(void *context, const json_t *record) {
    struct writing *w = context;
    bool good = put_words(w, record);
    sum_up(w, record);
    if (good && is_of_minlog(record))
        good = put_minlog(w, record);
    return good ? VAULT_OK : VAULT_E_IO;
}

static int write_both(struct writing *w, char **ret_path) {
    int result = put_head(w) && audit_put(&w->minlog, format_text("["))
                     ? audit_folder_each(w->folder, take, w, ret_path)
                     : VAULT_E_IO;
    if (result == VAULT_OK && !(put_end(w) && audit_put(&w->minlog, format_text("]\n"))))
        result = VAULT_E_IO;
    if (result == VAULT_OK)
        result = output_keep(&w->words);
    if (result == VAULT_OK)
        result = output_keep(&w->minlog);
    if (result == VAULT_E_IO && *ret_path == NULL)
        *ret_path = audit_failed_path(w->words.error != 0 ? &w->words : &w->minlog);
    return result;
}

int audit_report_write(const struct audit_folder *f, char **ret_path) {
    struct writing w = {.folder = f, .permitted = json_object(), .denied = json_object()};
    *ret_path = NULL;
    int result = audit_folder_create(f, "report.txt", &w.words, ret_path);
    if (result == VAULT_OK) {
        result = audit_folder_create(f, "minlog.json", &w.minlog, ret_path);
        if (result == VAULT_OK)
            result = write_both(&w, ret_path);
        output_close(&w.minlog);
    }
    output_close(&w.words);
    json_decref(w.permitted);
    json_decref(w.denied);
    return result;
}
