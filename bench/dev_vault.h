/* The index of a dev vault that does not run, opened as the monitor opens it, by programs that fill or ask it behind
 * the vault's back. */
#ifndef BENCH_DEV_VAULT_H
#define BENCH_DEV_VAULT_H

#include "vaultd/monitor/monitor.h"

/* Where it is: folder of the state, folder of the ring's twin, file of the root key. */
struct dev_vault {
    const char *state, *twin, *root_key;
};

/* Leaves the current directory in the state folder. Says what is wrong, and gives false. */
bool dev_vault_open(const struct dev_vault *at, struct monitor *m);
void dev_vault_close(struct monitor *m);

#endif
