/* The walls of a worker that is taken over. */
#ifndef TESTS_HOSTILE_WALLS_H
#define TESTS_HOSTILE_WALLS_H

/* vaultd-worker-puppet: its walls are up since before it had a client, as those of the real worker; does nothing.
 * vaultd-worker-unwalled: puts them up now, but for those named in the comma-separated list: `seccomp`, `landlock`,
 * `dumpable`, `memory`. VAULT_E_IO, VAULT_E_STATE, VAULT_E_MEMORY. */
int walls_up(const char *off);

#endif
