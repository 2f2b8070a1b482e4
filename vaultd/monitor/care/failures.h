/* Failed authentications: stored data that was read and is not what was stored. Readers report them, and count; a file
 * is set aside by what the store confirms, which compares an object with its address and needs nobody's word. Otherwise
 * a worker that lies could keep a file from everybody else. docs/keys.md. */
#ifndef VAULT_MONITOR_FAILURES_H
#define VAULT_MONITOR_FAILURES_H

#include "vaultd/monitor/monitor.h"

/* A worker says that this object failed while it read under the grant: counted, and the store is asked to look, if the
 * object is of that file. *ret_count (0: it is not) says how many reads of the file ended so. Faults of the index. */
int failure_reported(struct monitor *m, const struct grant *g, const uint8_t object[HASH_SIZE], uint32_t *ret_count);
/* The store found an object of this blob not to be what it was: `status` is not STORE_DONE. Sets the file aside when
 * that was said as often as the configuration permits. Faults of the index. */
int failure_found(struct monitor *m, const uint8_t blob[ID_SIZE], const struct file_value *f, uint8_t status);
/* Whether the blob's file is set aside. Faults of the index. */
int failure_is_aside(struct monitor *m, const uint8_t blob[ID_SIZE], bool *ret_aside);
/* The blob is no file's any more: what was counted of it goes. Faults of the index. */
int failure_forget(struct monitor *m, const uint8_t blob[ID_SIZE]);
/* A scrub that began at `since` found the index and all objects it could: files that it found nothing wrong with are
 * set aside no longer. One bounded slice. VAULT_AGAIN: there is more to do; faults of the index. */
int failures_lift(struct monitor *m, uint64_t since);

/* One step of asking the store about what was reported. *ret_more: there is more to do that waits for nobody. Faults of
 * the index. */
int failures_step(struct monitor *m, bool *ret_more);
void failures_checked(struct monitor *m, const struct msg_object_checked *c);

/* For administrators, of one blob and of all; new references. *ret is null where nothing is known. Faults of the
 * index. */
int failure_json(struct monitor *m, const uint8_t blob[ID_SIZE], json_t **ret);
json_t *failures_json(const struct monitor *m);

#endif
