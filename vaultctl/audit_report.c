#include "audit_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "names.h"
#include "output.h"
#include "vault/result.h"

/* What somebody did, after their name. */
static const char *const deeds[][2] = {
    {"subject.add", "entered the person into the vault"},
    {"subject.change", "changed what the national register says"},
    {"consent.set", "recorded a consent"},
    {"consent.withdraw", "recorded that the consent is withdrawn"},
    {"consent.show", "looked at the consent"},
    {"subject.show", "looked at the person's entry"},
    {"care.add", "recorded who has the person in care"},
    {"care.end", "recorded that somebody's care has ended"},
    {"care.list", "looked at who has the person in care"},
    {"deposit", "asked to deposit a file"},
    {"deposit.close", "ended the deposit of a file"},
    {"read", "asked to read a file"},
    {"read.close", "ended reading a file"},
    {"metadata", "asked for the description of a file"},
    {"list", "listed the person's files"},
    {"inquiry", "asked whether reading would be permitted"},
    {"file.shred", "destroyed a file for good"},
    {"subject.shred", "destroyed all of the person's files for good"},
    {"subject.shredded", "ended the destruction of the person's files"},
    {"file.rekey", "encrypted a file anew"},
    {"file.rekey.close", "ended encrypting a file anew"},
    {"review.close", "said what was found of an emergency"},
    {"audit.export", "took out what is on record about the person"},
};

static const char *deed_of(const char *event) {
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
        if (strcmp(deeds[i][0], event) == 0)
            return deeds[i][1];
    return event;
}

struct writing {
    const struct report *report;
    struct output words, minlog;
    uint64_t records, emergencies;
    json_t *permitted, *denied; /* reads by service: how many */
};

static const char *text_of(const json_t *record, const char *path) {
    const char *text = json_string_value(member_at(record, path));
    return text == NULL ? "" : text;
}

static bool put(struct output *o, char *text) {
    bool good = text != NULL && output_write(o, text, strlen(text));
    free(text);
    return good;
}

static bool is_emergency(const json_t *record) {
    return strstr(text_of(record, "purpose"), ";break-glass=") != NULL;
}

static void count(json_t *by_service, const char *service) {
    json_object_set_new(by_service, service,
                        json_integer(1 + json_integer_value(json_object_get(by_service, service))));
}

static void sum_up(struct writing *w, const json_t *record) {
    bool permitted = strcmp(text_of(record, "outcome"), "permitted") == 0;
    w->records++;
    if (strcmp(text_of(record, "event"), "read") != 0)
        return;
    count(permitted ? w->permitted : w->denied, text_of(record, "service.name"));
    w->emergencies += permitted && is_emergency(record);
}

/* ---- in plain words ---- */

/* " The patient's own treatment, with written consent." for each reason. */
static char *reasons_text(const json_t *record) {
    char *text = format_text("%s", "");
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(record, "reasons"), i, reason) {
        char *longer = format_text("%s %s", text, text_of(reason, "text"));
        free(text);
        text = longer;
    }
    return text;
}

/* `research;project="P1";approval="A1"` as ", for research (project "P1", approval "A1")". A text in it has no quotes,
 * but may have what stands between parameters. */
static char *purpose_text(const json_t *record) {
    const char *purpose = text_of(record, "purpose");
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
    const char *name = text_of(record, "service.name");
    return strncmp(name, "unix:", strlen("unix:")) == 0 ? "the vault's administrator" : name;
}

static bool put_words(struct writing *w, const json_t *record) {
    const char *time = text_of(record, "time"), *file = text_of(record, "file"), *detail = text_of(record, "detail");
    const json_t *bytes = json_object_get(record, "bytes");
    char *reasons = reasons_text(record), *purpose = purpose_text(record);
    char *size =
        bytes == NULL ? format_text("%s", "") : format_text(", %lld bytes", (long long)json_integer_value(bytes));
    bool good = put(&w->words,
                    format_text("%.10s %.8s  %s %s%s%s%s%s: %s%s.%s%s%s%s\n", time, strlen(time) > 11 ? time + 11 : "",
                                who(record), deed_of(text_of(record, "event")), file[0] != '\0' ? " (" : "", file,
                                file[0] != '\0' ? ")" : "", purpose, text_of(record, "outcome"), size, reasons,
                                detail[0] != '\0' ? " (" : "", detail, detail[0] != '\0' ? ")" : ""));
    free(size);
    free(purpose);
    free(reasons);
    return good;
}

static bool put_counts(struct writing *w, const char *what, json_t *by_service) {
    const char *service;
    json_t *number;
    bool good = put(&w->words, format_text("%s:%s\n", what, json_object_size(by_service) == 0 ? " none" : ""));
    json_object_foreach(by_service, service, number) good =
        good && put(&w->words, format_text("  %s: %lld\n", service, (long long)json_integer_value(number)));
    return good;
}

static bool put_head(struct writing *w) {
    return put(
        &w->words,
        format_text(
            "What is on record about %s\n\n"
            "This is everything that the log \"%s\" has about this person, in the order in which it happened. Times\n"
            "are UTC. Each line says who did what, for which purpose, what came of it, and why.\n\n",
            w->report->subject, w->report->origin));
}

static bool put_end(struct writing *w) {
    return put(&w->words, format_text("\nIn short\n\n%llu records. ", (unsigned long long)w->records)) &&
           put_counts(w, "Permitted to read a file", w->permitted) && put_counts(w, "Denied", w->denied) &&
           put(&w->words, format_text("Read in an emergency, which an auditor looks at: %llu\n\n"
                                      "How this can be checked\n\n"
                                      "Beside this text are the records themselves (records.jsonl), proofs that each "
                                      "is in the log of %llu\n"
                                      "records (proofs.jsonl), and the log's signed head (checkpoint). Whoever has the "
                                      "vault's verifier key\n"
                                      "checks with `vaultctl audit verify` that none was changed, and that none was "
                                      "left out between the first\n"
                                      "and the last. What is here says nothing about anybody else.\n",
                                      (unsigned long long)w->emergencies, (unsigned long long)w->report->size));
}

/* ---- as MinLog has it ---- */

/* Who saw what: not what the vault itself did. */
static bool is_of_minlog(const json_t *record) {
    static const char *const events[] = {"read", "metadata", "list", "deposit", "inquiry"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (strcmp(text_of(record, "event"), events[i]) == 0)
            return true;
    return false;
}

static json_t *minlog_of(const struct writing *w, const json_t *record) {
    const char *time = text_of(record, "time"), *service = text_of(record, "service.name");
    return json_pack("{s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Source", "SystemName",
                     w->report->origin, "CorrelationId", text_of(record, "request"), "Activity",
                     deed_of(text_of(record, "event")), "Reason", text_of(record, "purpose"), "Criticality",
                     is_emergency(record)                                   ? "emergency"
                     : strcmp(text_of(record, "outcome"), "permitted") == 0 ? "normal"
                                                                            : "denied",
                     "FromDateTime", time, "ToDateTime", time, "OrganisationName",
                     text_of(record, "asked.organisation"), "PersonIdentifier", w->report->subject,
                     "UserPersonIdentifier", text_of(record, "service.san"), "UserPersonName", service, "UserRole",
                     text_of(record, "asked.action"));
}

static bool put_minlog(struct writing *w, const json_t *record, bool first) {
    json_t *entry = minlog_of(w, record);
    char *text = entry == NULL ? NULL : json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    return text != NULL && put(&w->minlog, format_text("%s", first ? "" : ",\n")) && put(&w->minlog, text);
}

/* ---- both at once ---- */

static int take(struct writing *w, const char *line, size_t n, bool *first) {
    json_t *record = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    int result = json_is_object(record) ? VAULT_OK : VAULT_E_FORMAT;
    if (result == VAULT_OK) {
        sum_up(w, record);
        result = put_words(w, record) ? VAULT_OK : VAULT_E_IO;
    }
    if (result == VAULT_OK && is_of_minlog(record)) {
        result = put_minlog(w, record, *first) ? VAULT_OK : VAULT_E_IO;
        *first = false;
    }
    json_decref(record);
    return result;
}

static int take_all(struct writing *w, FILE *records) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool first = true;
    int result = put_head(w) && put(&w->minlog, format_text("%s", "[")) ? VAULT_OK : VAULT_E_IO;
    while (result == VAULT_OK && (n = getline(&line, &room, records)) > 0)
        result = take(w, line, (size_t)n, &first);
    free(line);
    if (result == VAULT_OK && ferror(records) != 0)
        result = VAULT_E_IO;
    bool ended = result == VAULT_OK && put_end(w) && put(&w->minlog, format_text("%s", "]\n"));
    return result == VAULT_OK && !ended ? VAULT_E_IO : result;
}

static int open_file(const struct report *r, const char *name, struct output *o, char **ret_path) {
    char *path = format_text("%s/%s", r->folder, name);
    int result = output_open(o, path);
    if (result != VAULT_OK) {
        *ret_path = path;
        return result;
    }
    free(path);
    return VAULT_OK;
}

static int write_both(struct writing *w, char **ret_path) {
    char *path = format_text("%s/records.jsonl", w->report->folder);
    FILE *records = fopen(path, "re");
    int result = records == NULL ? VAULT_E_IO : take_all(w, records);
    if (result == VAULT_OK)
        result = output_keep(&w->words);
    if (result == VAULT_OK)
        result = output_keep(&w->minlog);
    if (records != NULL)
        (void)fclose(records);
    if (result == VAULT_E_IO)
        *ret_path = path;
    else
        free(path);
    return result;
}

int report_write(const struct report *r, char **ret_path) {
    struct writing w = {.report = r, .permitted = json_object(), .denied = json_object()};
    *ret_path = NULL;
    int result = open_file(r, "report.txt", &w.words, ret_path);
    if (result == VAULT_OK) {
        result = open_file(r, "minlog.json", &w.minlog, ret_path);
        if (result == VAULT_OK)
            result = write_both(&w, ret_path);
        output_close(&w.minlog);
    }
    output_close(&w.words);
    json_decref(w.permitted);
    json_decref(w.denied);
    return result;
}
