/* The client authorities in force, by which the gate verifies who a client is. Who may write the file that they are in
 * could make a certificate for anybody, the second operator included. So the vault keeps those in force, with their
 * hash in `meta`, and from the time when there is somebody who could approve it takes others only from a second
 * person, whose identity was proven under those in force. docs/keys.md, "Four eyes". */
#ifndef VAULT_MONITOR_ANCHORS_H
#define VAULT_MONITOR_ANCHORS_H

#include "vaultd/monitor/monitor.h"

/* Those in force of the transaction under way. If they cannot be read no identity counts, until the file holds them
 * again. Faults of the index but VAULT_E_DAMAGED. */
int anchors_load(struct monitor *m);
/* The gate's messages: what it read in the file; by which it verifies clients from now on (id of the anchors_use). */
void anchors_seen(struct monitor *m, const struct msg_anchors_seen *seen);
void anchors_used(struct monitor *m, uint64_t id);
/* What the gate has seen is to be looked at (again). */
void anchors_wake(struct monitor *m);
/* A place for a request that waits has become free. */
void anchors_room(struct monitor *m);
/* A request of this kind ends without an approval: says so in the log if it is about authorities. */
void anchors_unapproved(const char *what);
/* Decides about it, if that is due: takes it, or asks for a second person. Faults of the index. */
int anchors_step(struct monitor *m, bool *ret_more);
/* After a commit: tells the gate what is in force, unless it was told. Identities from before count no more if it used
 * others since the vault was opened. */
void anchors_tell(struct monitor *m);
/* Whether an identity that the gate vouches for was proven under authorities in force. */
bool anchors_vouch(const struct monitor *m);
/* True while the gate does not use those in force. */
bool anchors_are_awaited(const struct monitor *m);
/* For the status: {"in_force", "waiting"}, SHA-256 or null. A new reference; NULL without memory. */
json_t *anchors_json(const struct monitor *m);

#endif
