/* Rotation of data keys: every file's content is encrypted anew under another data key, as another blob, by a worker
 * without a client. The job runs beside the others, one file at a time; a file has its old blob until the new one is
 * whole, and both are readable as long as a grant needs them. What a death interrupts begins anew with that file.
 * docs/keys.md. */
#ifndef VAULT_MONITOR_REKEY_H
#define VAULT_MONITOR_REKEY_H

#include "jobs.h"

/* Begins the job. Faults of the index. */
int rekey_begin(struct monitor *m, struct job_value *ret);
/* Passes over files that need it not, has a worker given to it, or ends the job. *ret_more: there is more to do that
 * waits for nobody. Faults of the index. */
int rekey_step(struct monitor *m, bool *ret_more);
/* Milliseconds until it wants that again, -1: not needed. */
int rekey_tick(const struct monitor *m);
/* A worker is dead. */
void rekey_worker_gone(struct monitor *m, uint64_t worker);
/* Whether a grant of its worker is still for what the file is. Faults of the index. */
int rekey_goes_on(struct monitor *m, const struct grant *g, bool *ret);

#endif
