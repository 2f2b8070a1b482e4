/* A process for one task that the monitor asked for: what vaultd-token and vaultd-backup have in common. It is given a
 * setup by us and a channel to the monitor, and tells us nothing but by its end. */
#ifndef VAULT_SUPERVISOR_HELPER_H
#define VAULT_SUPERVISOR_HELPER_H

#include "children.h"
#include "vault/loop.h"

struct supervisor;

struct helper {
    struct child process; /* pid 0: not running */
    struct watch *death;
    struct supervisor *supervisor;
    /* Called when it has ended, by itself or by helper_kill, and is forgotten already. */
    void (*ended)(struct supervisor *s, const siginfo_t *end);
};

/* Starts it. s->message is its setup, with lent descriptors, to which the end of a channel is added as the last; the
 * other end, *ret_task, is the caller's, for the monitor. VAULT_E_IO, VAULT_E_MEMORY. */
int helper_start(struct supervisor *s, struct helper *h, enum child_kind kind, int *ret_task);
/* Ends it by force; `ended` is called. */
void helper_kill(struct helper *h);
/* Waits up to timeout_ms for its end, then ends it by force; `ended` is not called. */
void helper_wait(struct helper *h, int timeout_ms);
bool helper_runs(const struct helper *h);
/* Whether it ended otherwise than in order; how is written then. */
bool helper_fault(const siginfo_t *end, char *to, size_t size);

#endif
