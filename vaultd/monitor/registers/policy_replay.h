/* Decisions of the past, asked again. */
#ifndef VAULT_MONITOR_POLICY_REPLAY_H
#define VAULT_MONITOR_POLICY_REPLAY_H

#include "vaultd/monitor/monitor.h"

enum { CHANGES_TEXT = 1536 };

/* What this policy would decide otherwise than what was recorded last, which open reads it would end, and for how many
 * patients it would permit or deny what the one in force does not, all of that as of now, which budgets are others, and
 * which rules begin or end later, in words. Faults of the index. */
int policy_changes(struct monitor *m, const struct policy *p, char ret[CHANGES_TEXT]);

/* Its part about budgets: those that go, come, or are others (then: NULL, there is no policy). False: it does not fit.
 */
bool budget_changes(const struct policy *then, const struct policy *now, char *to, size_t size);

#endif
