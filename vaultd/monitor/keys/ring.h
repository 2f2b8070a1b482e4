/* Changes of the key ring: the intent in the index, then the ring, then the index, each durable before the next. All
 * are made within a batch, which is finished and begun anew on the way. Faults of the index and of the ring; after the
 * latter the monitor ends, and the next one finishes what was begun. docs/format-keyring.md. */
#ifndef VAULT_MONITOR_RING_H
#define VAULT_MONITOR_RING_H

#include "escrow.h"
#include "jobs.h"

/* What is to become of the ring, by its intent: a seal with its root key, which is moved, for INTENT_RESEAL and
 * INTENT_RETIRE; a seed, which is moved, for INTENT_AUDIT_KEY; the least epoch that there may be then, for
 * INTENT_ORIGIN. */
struct ring_change {
    enum meta_intent intent;
    const struct seal *seal;
    struct secret **root;
    struct secret **seed;
    uint64_t epoch;
};
/* Intent, then ring; the batch that is begun then is for what the index has to say of it, and to take the epoch. */
int ring_change(struct monitor *m, const struct ring_change *change);
/* The index follows the ring: its epoch, and no intent. */
int ring_follow(struct monitor *m);

/* The keys of the index as the ring has them, borrowed from it. */
struct index_keys ring_index_keys(const struct monitor *m);

/* Adds a generation, active from now on, and the job that rewraps to it. */
int ring_add_generation(struct monitor *m, struct job_value *ret_job);
/* Puts the ring under a new seal and its root key, which is moved. While m->retiring, older generations go with it:
 * VAULT_E_STATE if they must not (ring_can_retire). */
int ring_reseal(struct monitor *m, const struct seal *seal, struct secret **root);
/* Whether there are older generations that nothing in the index is wrapped under. */
bool ring_can_retire(const struct monitor *m);
/* What stays behind elsewhere when older generations are retired, for a record: "generations before 3", and the escrow
 * copies that hold any of them. */
enum { RETIREMENT_TEXT = 64 + ESCROW_NAMES };
_Static_assert(RETIREMENT_TEXT + 160 < PENDING_DETAIL, "an approver is told all of it");
bool retirement_text(const struct monitor *m, uint32_t newest, char ret[RETIREMENT_TEXT]);
/* The answer to a change of the seal, which was a retirement or not: a new reference; after a retirement, once, with
 * the backups that died of it. NULL without memory. */
json_t *ring_changed_json(struct monitor *m, bool retired);
/* When the ring lost this generation, or the last escrow copy that held it too was destroyed, whichever was later.
 * VAULT_NOT_FOUND, faults of the index. */
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

/* ---- index_key.c ---- */

/* Puts the next index key beside the present one, and begins the job that reseals; or, where that has begun and did not
 * end, another job for the rest. With `leave` what does not open is left behind. Faults as above. */
int index_key_change(struct monitor *m, bool leave, struct job_value *ret_job);
/* The ring has the next key, and the index is to follow; the ring has lost the present one. */
int index_key_begun(struct monitor *m);
int index_key_ended(struct monitor *m);

/* ---- name_key.c ---- */

/* The same for the name key, with a job that moves entries. What is damaged always stops it. */
int name_key_change(struct monitor *m, struct job_value *ret_job);
int name_key_begun(struct monitor *m);
int name_key_ended(struct monitor *m);

/* ---- audit_key.c ---- */

/* Puts another seed in the place of the audit's, and records the change, which both keys signed. `by` (may be NULL) is
 * who asked. */
int audit_key_change(struct monitor *m, const struct request *by, struct key_change *ret, uint64_t *ret_seq);
/* The ring has taken that step, and the index is to follow. Where what was signed for it is damaged, that is recorded
 * instead: nobody is led from the key before to this one. */
int audit_key_recovered(struct monitor *m);
/* The verifier key in force. */
int audit_key_vkey(const struct monitor *m, char ret[CHECKPOINT_VKEY_MAX]);

#endif
