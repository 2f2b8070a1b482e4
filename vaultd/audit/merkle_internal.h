/* What an inclusion proof says besides, inside the audit library. */
#ifndef AUDIT_MERKLE_INTERNAL_H
#define AUDIT_MERKLE_INTERNAL_H

#include "vault/merkle.h"

/* Root of the first `index` leaves, from a proof of leaf `index` that merkle_verify_inclusion accepted: the hashes that
 * join from the left are the complete subtrees of exactly these leaves. */
void merkle_root_before(uint64_t index, uint64_t size, const uint8_t (*proof)[MERKLE_HASH], size_t count,
                        uint8_t ret[MERKLE_HASH]);

#endif
