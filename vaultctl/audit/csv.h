/* Records of the audit as a table for a spreadsheet. */
#ifndef VAULTCTL_AUDIT_CSV_H
#define VAULTCTL_AUDIT_CSV_H

#include <stddef.h>

#include "vaultctl/files.h"

/* Rows go out (RFC 4180, each field quoted, and none that a spreadsheet takes for a formula), first the titles.
 * VAULT_E_IO (in the output). */
int csv_begin(struct output *out);
/* The row of one record, given as its line without the newline. VAULT_E_IO (in the output), VAULT_E_FORMAT: it is none.
 */
int csv_add(struct output *out, const char *line, size_t n);

#endif
