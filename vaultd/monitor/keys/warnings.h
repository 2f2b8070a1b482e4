/* What custodians should see to, told with `status` and `key list`. */
#ifndef VAULT_MONITOR_WARNINGS_H
#define VAULT_MONITOR_WARNINGS_H

#include "vaultd/monitor/monitor.h"

/* A list of sentences; a new reference. */
json_t *key_warnings(struct monitor *m);

#endif
