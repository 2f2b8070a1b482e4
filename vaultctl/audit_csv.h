/* Records of the audit as a table for a spreadsheet. */
#ifndef VAULTCTL_AUDIT_CSV_H
#define VAULTCTL_AUDIT_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "files.h"

/* Lines of records come in, rows go out (RFC 4180, each field quoted, and none that a spreadsheet takes for a formula).
 */
struct csv {
    struct output *out; /* borrowed */
    char *line;         /* the line under way; owned */
    size_t size, room;
    bool bad; /* a line is no record, or there is no memory */
};

bool csv_begin(struct csv *t, struct output *out);
bool csv_take(struct csv *t, const void *bytes, size_t n);
/* Whether all of it was lines. */
bool csv_end(struct csv *t);

#endif
