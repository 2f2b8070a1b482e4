/* What the monitor and the supervisor may say at any time: revocations, whether an announced object may be put, and
 * that they are gone. */
#ifndef VAULT_WORKER_CONTROL_H
#define VAULT_WORKER_CONTROL_H

#include "worker.h"

/* Handles all of that which waits, without waiting for more. Faults end the process. */
void control_check(struct worker *w);
/* Handles one such message from the monitor, and clears it. */
void control_take(struct worker *w, struct message *m);
/* Waits until nothing that was written is still to leave this host, doing meanwhile what the monitor says; a client
 * that takes nothing for the idle limit is reset. To be called before a grant is given back: afterwards no withdrawal
 * would find what is still queued. */
void control_drain(struct worker *w);
/* Waits until `fd` is readable, until_ms (loop_now_ms) is reached, or the monitor said something. VAULT_OK: fd is
 * readable (or hung up). VAULT_AGAIN: the monitor's channel is readable; look there. VAULT_E_TIMEOUT. A supervisor that
 * is gone, and a failing poll, end the process. */
int control_wait(struct worker *w, int fd, uint64_t until_ms);

#endif
