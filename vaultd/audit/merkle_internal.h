/* What an inclusion proof says besides, inside the audit library. */
#ifndef AUDIT_MERKLE_INTERNAL_H
#define AUDIT_MERKLE_INTERNAL_H

#include <stdbool.h>

#include "vault/merkle.h"

/* The first `index` leaves, folded, from a proof of leaf `index` that merkle_verify_inclusion accepted: the hashes that
 * join from the left are the complete subtrees of exactly these leaves. */
void merkle_fold_before(uint64_t index, uint64_t size, const uint8_t (*proof)[MERKLE_HASH], size_t count,
                        struct merkle_fold *ret);
/* Whether they are of as many leaves, in the same subtrees. */
bool merkle_fold_equal(const struct merkle_fold *a, const struct merkle_fold *b);

#endif
