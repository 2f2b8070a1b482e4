/* A copy of the index in the original's place: put there, opened, and serving nothing but administration until somebody
 * answers for what was lost since. docs/backup.md. */
#ifndef VAULT_MONITOR_RESTORE_H
#define VAULT_MONITOR_RESTORE_H

#include "opening.h"

/* The process that was to put a copy in its place has ended. */
void restore_concluded(struct monitor *m);
/* At unseal: makes the copy the index that is in force, under a new origin of the log. VAULT_E_FORMAT with a problem
 * text where the ring does not fit; faults of the index. */
int restore_settle(struct monitor *m, char problem[200]);
/* The vault stays sealed with this result: a copy that was put in its place just now, and cannot be opened by this
 * ring, is removed again. */
void restore_failed(struct monitor *m, int result);
/* Whether the request is about content, and nobody has answered for that yet. */
bool restore_forbids(const struct request *q);
/* Whether what the index does not know may be removed from the store: not before somebody has answered for a restore or
 * a doubt, nor before a witness has vouched for the log since the vault was opened. A newer state may know it. */
bool content_may_go(const struct monitor *m);
/* Records and answers that. Faults of the index. */
int restore_refuse(struct request *q);
/* For the status: null, or {"times", "confirmed", "continues"}. */
json_t *restored_json(const struct monitor *m);

/* The origin that the log is signed under now: the configured one, or after restores that with their count.
 * VAULT_E_LIMIT. */
int monitor_origin(const struct monitor *m, char ret[200 + 1]);

#endif
