/* What is on record about one patient, for that patient: in plain words, and in the shape of the citizen's own access
 * log (MinLog). */
#ifndef VAULTCTL_AUDIT_REPORT_H
#define VAULTCTL_AUDIT_REPORT_H

#include <stdint.h>

struct report {
    const char *folder; /* has records.jsonl, all about the patient; report.txt and minlog.json are added to it */
    const char *subject;
    const char *origin; /* name of the log */
    uint64_t size;      /* of the log */
};

/* VAULT_E_IO (errno; *ret_path names the file, to be freed), VAULT_E_FORMAT (a line is no record), VAULT_E_MEMORY. */
int report_write(const struct report *r, char **ret_path);

#endif
