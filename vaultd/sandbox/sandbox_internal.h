/* The walls behind vault/sandbox.h. Landlock goes up first: the filter no longer lets it. */
#ifndef VAULT_SANDBOX_INTERNAL_H
#define VAULT_SANDBOX_INTERNAL_H

#include "vault/sandbox.h"

/* Refuses every access to the file system but beneath `directories`, and the network and signals to outsiders where
 * the kernel can. Says in the log what an older kernel leaves open. VAULT_E_STATE (no Landlock, or older than ABI 2),
 * VAULT_E_IO. */
int landlock_enter(enum sandbox_profile profile, const int *directories, unsigned count);

/* Bounds how much memory this process may still take. VAULT_E_IO. */
int memory_limit(void);

/* Loads the profile's list of permitted system calls; any other kills the process. VAULT_E_STATE (no seccomp),
 * VAULT_E_MEMORY. */
int filter_enter(enum sandbox_profile profile);

#ifdef VAULT_SANITIZED
/* Before the walls: lets the sanitizers' runtime read what it needs for a report. */
void sanitizer_prepare(void);

/* Adds to a profile's list: calls of the runtime that are to fail and not to kill. VAULT_E_MEMORY. */
int sanitizer_refuse(void *filter, enum sandbox_profile profile);
#endif

#endif
