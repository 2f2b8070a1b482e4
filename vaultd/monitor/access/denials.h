/* Denials beyond a rate, which are counted instead of recorded. */
#ifndef VAULT_MONITOR_DENIALS_H
#define VAULT_MONITOR_DENIALS_H

#include "vaultd/monitor/monitor.h"

/* Whether one more denial of this asker gets a record of its own; if not, it has been counted. */
bool denials_admit(struct monitor *m, const struct asker *a);
/* Records what was counted: all of it, or what has waited long enough. Faults of the index. */
int denials_sum(struct monitor *m, bool all);
/* The same by the clock. Returns milliseconds until it wants to be called again, -1: not needed. */
int denials_tick(struct monitor *m);
/* The batch is durable, or was dropped. */
void denials_settled(struct monitor *m, bool durable);

#endif
