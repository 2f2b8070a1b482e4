/* Values that decisions rest on: how they are stored, and made the ones in force. */
#ifndef VAULT_MONITOR_CURRENT_H
#define VAULT_MONITOR_CURRENT_H

#include "vaultd/monitor/monitor.h"

/* Stores a value as it is; its witness stays as it is. Faults of the index. */
int subject_store(struct monitor *m, const struct subject_value *s);
int service_store(struct monitor *m, const struct service_value *s);
int project_store(struct monitor *m, const struct project_value *p);
int ethics_store(struct monitor *m, const struct ethics_value *e);
int consent_store(struct monitor *m, const struct consent_value *c);
/* With the meta value, which names the version in force. */
int policy_store(struct monitor *m, const struct policy_value *p);
/* Which service a SAN is of, with its witness. */
int san_store(struct monitor *m, const char *san, const struct san_value *v);
/* Just before the record of a change: value and witness take that record's number, and are stored. The chain of a
 * subject or service must be there. Faults of the index. */
int subject_make_current(struct monitor *m, struct subject_value *s);
/* Just before a record: no value of the subject that was stored so far counts from then on. VAULT_E_DAMAGED: there is
 * no whole chain, and none counts as it is. Other faults of the index. */
int subject_disown(struct monitor *m, const char *subject);
int service_make_current(struct monitor *m, struct service_value *s);
int project_make_current(struct monitor *m, struct project_value *p);
int ethics_make_current(struct monitor *m, struct ethics_value *e);
int policy_make_current(struct monitor *m, struct policy_value *p);

#endif
