/* An export that is complete: the folder with records.jsonl, proofs.jsonl and checkpoint. What people and other systems
 * read is written beside them, from the records. */
#ifndef VAULTCTL_AUDIT_FOLDER_H
#define VAULTCTL_AUDIT_FOLDER_H

#include <jansson.h>
#include <stdint.h>

#include "vaultctl/files.h"
#include "vault/audit_export.h"

struct audit_folder {
    const char *path;
    const char *subject, *service;       /* whose records they are; both NULL: of the whole log, or a range of it */
    const char *origin;                  /* name of the log */
    const char *vkey;                    /* its verifier key, as the vault told it */
    const struct audit_report *verified; /* what the verification of the three files said: good, all of them */
};

/* One record, an object, which is gone after the call. What is not VAULT_OK ends the walk. */
typedef int audit_visit(void *context, const json_t *record);
/* Visits all records in their order. VAULT_E_IO (errno; *ret_path names the file, owned by the caller), VAULT_E_FORMAT
 * (a line is no record), what a visit said. */
int audit_folder_each(const struct audit_folder *f, audit_visit *visit, void *context, char **ret_path);
/* Opens a file to write in the folder. VAULT_E_IO (errno; *ret_path likewise), VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int audit_folder_create(const struct audit_folder *f, const char *name, struct output *ret, char **ret_path);
/* The path of a file that could not be written, to be freed; errno says why. */
char *audit_failed_path(const struct output *o);
/* Appends the text, and frees it. False: no text, or it cannot be written (in the output). */
bool audit_put(struct output *o, char *text);
/* A member that is a text, by its path; "" if there is none. */
const char *audit_text(const json_t *record, const char *path);
/* What somebody did, after their name: "asked to read a file". An event that has no words is its own. */
const char *audit_deed(const char *event);
/* Whether the read was permitted because glass was broken. */
bool audit_is_emergency(const json_t *record);

/* What can be written beside: report.txt and minlog.json, about a subject. VAULT_E_IO (errno; *ret_path names the file,
 * to be freed), VAULT_E_FORMAT (a line is no record), VAULT_E_MEMORY. */
int audit_report_write(const struct audit_folder *f, char **ret_path);
/* auditevents.json, a FHIR bundle of all records. The same faults. */
int audit_fhir_write(const struct audit_folder *f, char **ret_path);
/* audit.html, a page for people about all records. VAULT_E_IO (likewise), VAULT_E_FORMAT, VAULT_E_MEMORY,
 * VAULT_E_CRYPTO. */
int audit_html_write(const struct audit_folder *f, char **ret_path);

#endif
