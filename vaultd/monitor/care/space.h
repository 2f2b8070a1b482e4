/* The reserve of the state directory. */
#ifndef VAULT_MONITOR_SPACE_H
#define VAULT_MONITOR_SPACE_H

#include "vaultd/monitor/monitor.h"

/* Opens the reserve in the state directory, makes it as far as there is room, and looks. VAULT_E_IO. */
int space_start(struct monitor *m);
void space_close(struct monitor *m);
/* Asks the file system what is free, gives slices of the reserve back or takes them, and sets m->space.state. Not while
 * a transaction is under way. */
void space_look(struct monitor *m);
/* A commit found no space: gives back a slice, or there is none to give. */
void space_failed(struct monitor *m);
/* Looks while there is not enough. Returns milliseconds until it wants to be called again, -1: not needed, 0: what had
 * to wait can go on. */
int space_tick(struct monitor *m);
/* Whether both copies of the key ring can be replaced. */
bool space_for_ring(const struct monitor *m);
/* Bytes that the index takes on disk; 0: not known. */
uint64_t space_of_index(const struct monitor *m);
/* "enough", "short" or "none". */
const char *space_name(const struct monitor *m);

#endif
