/* Four eyes: what one person asks for waits until another one approves it.
 *
 * A request that waits is kept as the message that it came as. Who approves it has one of the roles that the request
 * itself needs, was known to the vault before it was made, and is somebody else: everybody on the Unix socket counts as
 * one. It is then handled as if it came anew: what it was good for may be gone. */
#ifndef VAULT_MONITOR_PENDING_H
#define VAULT_MONITOR_PENDING_H

#include "monitor.h"

/* Whether this request has to wait for a second person. The first policy, and the first administrators, are put in
 * place by the host's administrator alone, until there is somebody who could approve. */
bool pending_needed(const struct request *q);
/* Keeps the request, records it and answers 202. `what` is the event that it would be, `detail` (may be NULL) what an
 * approver must know of it. 429 where too many wait, of
 * everybody's or of this one's. Faults of the index. */
int pending_ask(struct request *q, const char *what, const char *subject, const char *detail);
/* Keeps what the vault itself asks in q->asker's name, who asked for nothing now and gets no answer. VAULT_DENIED: too
 * many wait. Faults of the index. */
int pending_keep(struct request *q, const char *what, const char *detail);
/* Records and removes those of this kind that another detail (NULL: any) came to replace. *ret_waits: there is one with
 * this detail. Faults of the index. */
int pending_replace(struct monitor *m, const char *what, const char *detail, bool *ret_waits);
/* Records and removes what this one has asked for, who may not ask any more. Faults of the index. */
int pending_drop_of(struct monitor *m, const char *asker);
/* Records and removes what nobody approved in time. Returns milliseconds until it wants to be called again, -1: not
 * needed. */
int pending_tick(struct monitor *m);
/* Of the transaction under way: when the first one expires (m->pending_expires). Faults of the index. */
int pending_load(struct monitor *m);

/* Records and removes all that wait: those who asked for it asked another index. Faults of the index. */
int pending_drop_all(struct monitor *m);

#endif
