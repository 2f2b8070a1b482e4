/* A pool of the kernel's secret memory (memfd_secret): pages that are in no other mapping, the kernel's own included.
 * No debugger, core dump, /proc/PID/mem or other device reads them, and they are never swapped. Mapped once, before a
 * process puts up its walls; taking and giving back needs no system call. For one thread.
 *
 * Invariants:
 *  1. A piece ends where its slot does, against a page that nobody may touch; another such page is before the slot.
 *  2. Before a piece is a canary, and what is not in use of a slot is zero. */
#ifndef VAULT_BASE_SECRET_MEMORY_H
#define VAULT_BASE_SECRET_MEMORY_H

#include <stddef.h>

/* Maps room for this many pieces of up to a page, and of up to SECRET_MAX bytes. VAULT_NOT_FOUND: the kernel has no
 * secret memory, or keeps it from this process. VAULT_E_MEMORY: no memory, or the limit of locked memory. */
int secret_memory_map(unsigned small, unsigned large);
/* A piece of n zero bytes, n a multiple of 8; NULL if there is no room. */
void *secret_memory_take(size_t n);
/* Wipes it and gives it back. A canary that was written over ends the process. */
void secret_memory_give(void *piece);

#endif
