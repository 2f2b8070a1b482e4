/* The walls around a process, put up by itself before it reads a byte from a client. docs/barriers.md.
 *
 * Every profile: no new privileges, not dumpable, no core, and a seccomp allow-list (libseccomp) that kills the process
 * on any other call. A worker can take no more than 64 MiB of memory beyond what it has. Landlock: all file-system
 * access refused but what the profile keeps; network refused where the kernel can (ABI 4), scopes where it can (ABI 6);
 * a weaker kernel is reported in the log, a missing Landlock or seccomp is VAULT_E_STATE. */
#ifndef VAULT_SANDBOX_H
#define VAULT_SANDBOX_H

enum sandbox_profile { SANDBOX_GATE, SANDBOX_MONITOR, SANDBOX_STORE, SANDBOX_WORKER, SANDBOX_BACKUP, SANDBOX_COURIER };

/* First thing in main of every child: no core dumps, not dumpable, no new privileges. VAULT_E_IO. */
int sandbox_start(void);
/* Enters the profile for good. `directories` (count of them) are open descriptors beneath which files may be read,
 * written, made, linked and removed; borrowed. SANDBOX_BACKUP also removes folders beneath the first two, and beneath
 * the third makes, renames and removes folders and nothing else. SANDBOX_COURIER reads beneath all, writes nowhere, and
 * may connect to the network. Call it when everything is loaded and opened.
 * VAULT_E_STATE, VAULT_E_IO.
 */
int sandbox_enter(enum sandbox_profile profile, const int *directories, unsigned count);

#endif
