/* Starting and ending one child process. */
#ifndef VAULT_SUPERVISOR_CHILDREN_H
#define VAULT_SUPERVISOR_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "config.h"

/* Raises our own limit of locked memory, which children inherit, as far as it goes. VAULT_E_LIMIT: they could not lock
 * what they must, and the problem is told. */
int children_may_lock(char ret_problem[CONFIG_PROBLEM_SIZE]);

struct child {
    pid_t pid;
    int pidfd;
    int control; /* our end of its channel on fd 3 */
};

/* Starts the program of `kind`. It gets the `count` descriptors of `fds` as 3, 4, ... in this order and no others,
 * its own user where vaultd is root, limits, a minimal environment, and dies with us. The descriptors stay ours.
 * ret->control is left to the caller. VAULT_E_IO. */
int child_spawn(const struct config *c, enum child_kind kind, const int *fds, unsigned count, struct child *ret);
/* Takes its exit status if it is dead already. VAULT_AGAIN, VAULT_E_IO. */
int child_reap(const struct child *child, siginfo_t *ret);
/* Sends the signal; one that is dead already has it, too. VAULT_E_IO. */
int child_signal(const struct child *child, int signal);
/* Kills it and waits. VAULT_E_IO. */
int child_kill(const struct child *child, siginfo_t *ret);
/* Waits for its end up to timeout_ms, then kills. VAULT_E_IO. */
int child_wait(const struct child *child, int timeout_ms, siginfo_t *ret);
/* "exited with status 1", "killed by signal 9 (Killed)". */
void child_end_text(const siginfo_t *end, char *to, size_t size);
/* True if it ended by a signal that only a fault of the program gives. */
bool child_crashed(const siginfo_t *end);

#endif
