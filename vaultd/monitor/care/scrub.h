/* The scrub: every object of every file, asked of the store. */
#ifndef VAULT_MONITOR_SCRUB_H
#define VAULT_MONITOR_SCRUB_H

#include "vaultd/monitor/monitor.h"

/* What is durable of the last scrub; a window that was settled in a dropped batch is asked for again. Faults of the
 * index. */
int scrub_load(struct monitor *m);
/* One step of the scrub, if one runs. *ret_more: there is more to do that waits for nobody. Faults of the index. */
int scrub_step(struct monitor *m, bool *ret_more);
void scrub_checked(struct monitor *m, const struct msg_object_checked *c);

#endif
