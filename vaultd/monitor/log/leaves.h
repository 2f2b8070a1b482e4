/* What proves records, and leads from one to the one before it: an entry for each, written once, behind all others. */
#ifndef VAULT_MONITOR_LOG_LEAVES_H
#define VAULT_MONITOR_LOG_LEAVES_H

#include "vaultd/monitor/monitor.h"

/* Forgets the nodes that were read: with the tree, whenever the index is another or a batch was dropped.
 * VAULT_E_MEMORY.
 */
int leaves_load(struct monitor *m);
void leaves_free(struct monitor *m);
/* Adds a leaf to the tree, and its entry to the transaction: `v` has the links, and gets the rest. Faults of
 * the index: the batch must be dropped, for the tree has the leaf already. */
int leaf_append(struct monitor *m, const uint8_t leaf[MERKLE_HASH], struct leaf_value *v);
/* VAULT_E_DAMAGED (also where it is missing), faults of the index. */
int leaf_load(struct monitor *m, uint64_t seq, struct leaf_value *ret);
/* A node of the tree, for a merkle_store whose context is the monitor. VAULT_E_DAMAGED, faults of the index. */
int leaf_node(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]);

#endif
