#include "folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vaultctl/names.h"
#include "vaultctl/output.h"
#include "vault/result.h"

static int visit_line(const char *line, size_t n, audit_visit *visit, void *context) {
    json_t *record = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    int result = json_is_object(record) ? visit(context, record) : VAULT_E_FORMAT;
    json_decref(record);
    return result;
}

static int visit_lines(FILE *records, audit_visit *visit, void *context, bool *ret_unread) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int result = VAULT_OK;
    while (result == VAULT_OK && (n = getline(&line, &room, records)) > 0)
        result = visit_line(line, (size_t)n, visit, context);
    free(line);
    *ret_unread = result == VAULT_OK && ferror(records) != 0;
    return *ret_unread ? VAULT_E_IO : result;
}

int audit_folder_each(const struct audit_folder *f, audit_visit *visit, void *context, char **ret_path) {
    char *path = format_text("%s/records.jsonl", f->path);
    FILE *records = fopen(path, "re");
    bool unread = records == NULL;
    int result = unread ? VAULT_E_IO : visit_lines(records, visit, context, &unread);
    if (records != NULL)
        (void)fclose(records);
    if (unread)
        *ret_path = path;
    else
        free(path);
    return result;
}

int audit_folder_create(const struct audit_folder *f, const char *name, struct output *ret, char **ret_path) {
    char *path = format_text("%s/%s", f->path, name);
    int result = output_open(ret, path);
    if (result == VAULT_E_IO)
        *ret_path = path;
    else
        free(path);
    return result;
}

char *audit_failed_path(const struct output *o) {
    if (o->error != 0)
        errno = o->error;
    return format_text("%s", o->path);
}

bool audit_put(struct output *o, char *text) {
    bool good = text != NULL && output_write(o, text, strlen(text));
    free(text);
    return good;
}

const char *audit_text(const json_t *record, const char *path) {
    const char *text = json_string_value(member_at(record, path));
    return text == NULL ? "" : text;
}

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

const char *audit_deed(const char *event) {
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
        if (strcmp(deeds[i][0], event) == 0)
            return deeds[i][1];
    return event;
}

bool audit_is_emergency(const json_t *record) {
    return strstr(audit_text(record, "purpose"), ";break-glass=") != NULL;
}
