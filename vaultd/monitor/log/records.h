/* The lines of the log in the index: frames of them, one value each. The last frame is open: it grows, and is put again
 * with every batch that has records, until no more fit. */
#ifndef VAULT_MONITOR_LOG_RECORDS_H
#define VAULT_MONITOR_LOG_RECORDS_H

#include "vaultd/monitor/monitor.h"

/* What is known of the last frame, read anew: with the tree, whenever the index is another or a batch was dropped.
 * VAULT_E_DAMAGED (the log goes on behind the tree), VAULT_E_MEMORY, faults of the index. */
int records_load(struct monitor *m);
/* Forgets and wipes all lines that are in memory. */
void records_free(struct monitor *m);
/* Puts the line of record m->tree.size behind all others; the batch must then be stored or dropped. Faults of the
 * index.
 */
int records_append(struct monitor *m, const char *line, size_t n);
/* Before a batch is committed: stores what it has appended. Faults of the index. */
int records_store(struct monitor *m);
/* Takes the lines before this one out of the index, where it has any. VAULT_E_DAMAGED, faults of the index. */
int records_forget(struct monitor *m, uint64_t end);
/* The line of a record that is not archived; good until the next call of any of these. VAULT_E_DAMAGED, faults of the
 * index. */
int records_line(struct monitor *m, uint64_t seq, const char **ret, size_t *ret_n);

#endif
