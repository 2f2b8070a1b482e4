/* The national opt-out: of one subject, and of all whom the register has. */
#ifndef VAULT_MONITOR_OPT_OUTS_H
#define VAULT_MONITOR_OPT_OUTS_H

#include "vaultd/monitor/monitor.h"

#define OPTED_OUT "opted out"

/* Opts the subject out, or in again, and stores it; its record is to be the next one. The answer waits for the grants
 * that this ends. Faults of the index. */
int opt_out_set(struct request *q, struct subject_value *s, bool opt_out);
/* Says so where research is denied for the age of the register, or will be within a day. */
void opt_outs_warn(struct monitor *m, json_t *list);

#endif
