/* Which services have a patient in their care, and until when: what a policy for treatment may ask for. */
#ifndef VAULT_MONITOR_CARE_H
#define VAULT_MONITOR_CARE_H

#include "vaultd/monitor/monitor.h"

/* Whether the subject, whose value has this `care`, is in the care of this service at that time (seconds). Faults of
 * the index. */
int care_is_given(struct monitor *m, const char *subject, uint64_t record, const char *service, uint64_t time,
                  bool *ret);
/* Forgets all of it: of a subject that is shredded; to be stored by the caller. Faults of the index. */
int care_forget(struct monitor *m, struct subject_value *s);

#endif
