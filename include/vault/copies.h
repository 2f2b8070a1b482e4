/* What a copy of the index says of itself: what it is told from the original by, and what it takes to open it. */
#ifndef VAULT_COPIES_H
#define VAULT_COPIES_H

#include "vault/index.h"
#include "vault/values.h"

/* The meta value. VAULT_E_DAMAGED also where there is none; VAULT_E_FORMAT: of another version. */
int index_meta(struct index *i, struct meta_value *ret);
/* Marks it as a copy, durably, so that it cannot be put in the original's place unnoticed. No transaction may be under
 * way. Faults of the index. */
int index_mark_copy(struct index *i);
/* How many records its log has. Faults of the index. */
int index_log_size(struct index *i, uint64_t *ret);
/* The first generation of the key-encryption key that was not retired yet. Faults of the index. */
int index_last_retired(struct index *i, uint32_t *ret);
/* The first generation that something in it may be wrapped under. Faults of the index. */
int index_oldest_generation(struct index *i, const struct meta_value *meta, uint32_t *ret);

#endif
