/* Changes of the key ring: the intent in the index, then the ring, then the index, each durable before the next. All
 * are made within a batch, which is finished and begun anew on the way. Faults of the index and of the ring; after the
 * latter the monitor ends, and the next one finishes what was begun. docs/format-keyring.md. */
#ifndef VAULT_MONITOR_RING_H
#define VAULT_MONITOR_RING_H

#include "jobs.h"

/* Adds a generation, active from now on, and the job that rewraps to it. */
int ring_add_generation(struct monitor *m, struct job_value *ret_job);
/* Puts the ring under a new seal and its root key, which is moved. While m->retiring, older generations go with it:
 * VAULT_E_STATE if they must not (ring_can_retire). */
int ring_reseal(struct monitor *m, const struct seal *seal, struct secret **root);
/* Whether there are older generations that nothing in the index is wrapped under. */
bool ring_can_retire(const struct monitor *m);
/* The seal in force, for the answer to a change of the ring; after a retirement, once, with the backups that died of
 * it. NULL without memory. */
json_t *ring_changed_json(struct monitor *m);
/* When the ring lost this generation. VAULT_NOT_FOUND, faults of the index. */
int retired_since(struct monitor *m, uint32_t generation, uint64_t *ret_when);
/* At unseal: ring and index agree, or are one step apart with a matching intent, which is finished here.
 * VAULT_E_FORMAT with a problem text otherwise. */
int ring_agree(struct monitor *m, char problem[200]);

/* At unseal, where the index is a copy: whether the ring belongs to it, is not older, and has every generation that it
 * needs. VAULT_E_FORMAT with a problem text otherwise; faults of the index. */
int ring_fits(struct monitor *m, char problem[200]);
/* The index of that copy follows the ring, whatever steps lie between: epoch and generation, with a job that rewraps to
 * it, and what was retired meanwhile. Faults of the index. */
int ring_take_over(struct monitor *m);

#endif
