/* What the files of this folder share of the log's reading. What others may ask is in monitor.h. */
#ifndef VAULT_MONITOR_LOG_READING_H
#define VAULT_MONITOR_LOG_READING_H

#include "vaultd/monitor/monitor.h"

/* A node of the tree, for a merkle_store whose context is the monitor. VAULT_E_DAMAGED, faults of the index. */
int log_node(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]);
/* A record, parsed; owned by the caller. Errors as log_load. */
int log_record(struct monitor *m, uint64_t seq, json_t **ret);

#endif
