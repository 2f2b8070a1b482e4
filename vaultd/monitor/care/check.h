/* The check of the index against its tally. */
#ifndef VAULT_MONITOR_CHECK_H
#define VAULT_MONITOR_CHECK_H

#include "vaultd/monitor/monitor.h"

/* One bounded slice of the check of the index, if one is wanted, outside any batch; its end is recorded. *ret_more:
 * there is more to do. Faults of the index. */
int check_step(struct monitor *m, bool *ret_more);
/* The batch is durable, or was dropped. */
void check_settled(struct monitor *m, bool durable);
/* For the status: {"state", "entries", "checked"}. */
json_t *check_json(const struct monitor *m);

#endif
