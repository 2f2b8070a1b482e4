/* What the files of this folder share of the log's reading. What others may ask is in log.h. */
#ifndef VAULT_MONITOR_LOG_READING_H
#define VAULT_MONITOR_LOG_READING_H

#include "vaultd/monitor/monitor.h"

/* A record, parsed; owned by the caller. Errors as log_text. */
int log_record(struct monitor *m, uint64_t seq, json_t **ret);

#endif
