/* The table of which diseases are kinds of which, as the operator configured it: read once, before anything is served.
 * One that cannot be read counts as none, under which no disease is a kind of another: that only takes permission away.
 * Format: docs/format-documents.md, Diseases. */
#ifndef VAULT_MONITOR_DISEASE_TABLE_H
#define VAULT_MONITOR_DISEASE_TABLE_H

#include "vaultd/monitor/monitor.h"

/* Reads the file of the setup, behind the walls, and closes it. What is wrong with it is logged, and kept for the
 * record. */
void disease_table_read(struct monitor *m);
/* Records which table decisions rest on from here on, if one is configured. Faults of the index. */
int disease_table_record(struct monitor *m);
/* For `status`: {"count", "sha256"}, {"problem"}, or null. A new reference. */
json_t *disease_table_json(const struct monitor *m);

#endif
