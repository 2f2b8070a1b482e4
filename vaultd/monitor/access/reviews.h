/* Glass that was broken in an emergency waits for an auditor to look at it. */
#ifndef VAULT_MONITOR_REVIEWS_H
#define VAULT_MONITOR_REVIEWS_H

#include "vaultd/monitor/monitor.h"

/* What record `seq` permitted waits for an auditor from now on, and the log says so. `file`: NULL where files were
 * listed. Faults of the index. */
int review_open(struct monitor *m, uint64_t seq, const char *service, const char *subject, const uint8_t *file,
                const char *reason);
/* Adds a sentence if any wait. */
void reviews_warn(const struct monitor *m, json_t *list);

#endif
