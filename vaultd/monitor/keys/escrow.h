/* Escrow: numbered copies of the key ring, for the day when the vault's own is lost. A copy has a root key of its own,
 * sealed by shares that were made for it, each to a custodian's key; the vault keeps a note of it and nothing more.
 * docs/keys.md. */
#ifndef VAULT_MONITOR_ESCROW_H
#define VAULT_MONITOR_ESCROW_H

#include "vaultd/monitor/monitor.h"

/* Of the transaction under way: which copies were not destroyed (m->escrows). Faults of the index. */
int escrows_load(struct monitor *m);

/* The copies that were not destroyed and hold this generation of the key-encryption key or an older one: an older one
 * may have wrapped the same key before. Writes their names, "E1, E3"; "" if there are none. */
enum { ESCROW_NAMES = ESCROWS_MOST * 13 };
void escrows_holding(const struct monitor *m, uint32_t generation, char ret[ESCROW_NAMES]);
/* The same as a list; a new reference. */
json_t *escrows_holding_json(const struct monitor *m, uint32_t generation);
/* For `status` and `key list`: null if none was ever made; a new reference. */
json_t *escrows_json(const struct monitor *m);
/* Whether one was ever made, and none would be taken in the ring's place as things are. */
bool escrows_outdated(const struct monitor *m);

/* After a restore: copies that were made after the backup are not known, and their numbers must not be given again. One
 * entry stands for all of them, and for any generation, until two persons state that there are none. Faults of the
 * index. */
int escrow_suspect(struct monitor *m);

#endif
