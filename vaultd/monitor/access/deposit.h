/* What a deposit and the rotation of data keys share: uploads under way. */
#ifndef VAULT_MONITOR_DEPOSIT_H
#define VAULT_MONITOR_DEPOSIT_H

#include "vaultd/monitor/monitor.h"

/* ---- deposit.c ---- */

/* A fresh data key for a fresh blob, wrapped under its subject's key: both in the upload, which is not stored yet.
 * VAULT_E_DAMAGED, VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int upload_key(struct monitor *m, const struct subject_value *s, struct upload_value *u, struct secret **ret);
/* Stores the upload and answers with it and its key, which is moved. Faults of the index; VAULT_E_MEMORY. */
int upload_begin(struct request *q, const struct upload_value *u, uint64_t seq, struct secret **key);
/* Whether a blob of this size has the chunks of this upload. */
bool upload_fits(const struct upload_value *u, uint64_t size);
/* What the upload's marks named is published now: they go later, a few at a time. Faults of the index. */
int upload_leave_marks(struct request *q, const uint8_t id[ID_SIZE], const struct upload_value *u);
/* It came to nothing: what it announced goes later. Faults of the index. */
int upload_give_up(struct request *q, const uint8_t id[ID_SIZE]);

/* ---- deposit_pages.c ---- */

/* The upload, if it is this worker's and still open; sets q->subject. VAULT_DENIED otherwise; faults of the index. */
int upload_find(struct request *q, const uint8_t id[ID_SIZE], struct upload_value *ret);
/* Records and answers that there is no such upload here. Faults of the index. */
int upload_refuse(struct request *q);

#endif
