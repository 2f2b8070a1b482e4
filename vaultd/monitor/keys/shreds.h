/* Shredding: a subject's key is deleted, or one file's data key with every older copy of it.
 *
 * A copy of the index made before still holds the deleted key, wrapped under a generation of the key-encryption key: a
 * shred is final when the last generation that ever wrapped it is gone from the ring. docs/keys.md. */
#ifndef VAULT_MONITOR_SHREDS_H
#define VAULT_MONITOR_SHREDS_H

#include "vaultd/monitor/monitor.h"

/* The subject's keys before the present one are forgotten: what was shredded under them is so from now on. Faults of
 * the index. */
int shreds_key_forgotten(struct monitor *m, const struct subject_value *s);
/* What was shredded of a subject, and how final that is: a new reference. VAULT_E_MEMORY, faults of the index. */
int shreds_json(struct monitor *m, const struct subject_value *s, json_t **ret);

/* ---- removal.c ---- */

/* Takes a file's content out of the index, with its wrapped data key; its objects and manifest go later, when no grant
 * needs them any more. Faults of the index. */
int content_remove(struct monitor *m, const struct file_value *f);
/* The same for content that another data key replaced: the newest backup may need it, so it is held until a newer one
 * was verified. Faults of the index. */
int content_replaced(struct monitor *m, const struct file_value *f);
/* Takes a file out of the index, with its wrapped data key; its objects and manifest go later. The subject's value and
 * meta are changed and stored. Faults of the index. */
int file_remove(struct monitor *m, struct subject_value *s, const struct file_value *f);
/* Marks the next objects of a removed file for cleaning. *ret_more: there is more to do. Faults of the index. */
int removal_step(struct monitor *m, bool *ret_more);

#endif
