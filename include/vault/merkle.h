/* The tree over the audit's records: RFC 6962 hashing over SHA-256. docs/format-audit.md.
 *
 * Nodes of complete subtrees are kept by whoever calls, addressed by (level, index): level 0 are the leaf hashes, the
 * node (L, i) covers leaves [i * 2^L, (i + 1) * 2^L). */
#ifndef VAULT_MERKLE_H
#define VAULT_MERKLE_H

#include <stddef.h>
#include <stdint.h>

enum { MERKLE_HASH = 32, MERKLE_PROOF_MAX = 64 };

/* Where the roots of complete subtrees are: of level L are those of 2^L leaves, index 0 the first of them. */
struct merkle_store {
    void *context;
    /* 0, or the fault to pass on. VAULT_NOT_FOUND is a fault here (the tree is incomplete): pass VAULT_E_DAMAGED. */
    int (*get)(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]);
};

void merkle_leaf(const void *data, size_t n, uint8_t ret[MERKLE_HASH]);
void merkle_node(const uint8_t left[MERKLE_HASH], const uint8_t right[MERKLE_HASH], uint8_t ret[MERKLE_HASH]);

/* Root of the first `size` leaves (size 0: SHA-256 of nothing). Faults of the store. */
int merkle_root(const struct merkle_store *s, uint64_t size, uint8_t ret[MERKLE_HASH]);
/* Proof that leaf `index` is in the tree of `size`: hashes from the leaf upwards. VAULT_E_STATE if index >= size. */
int merkle_inclusion(const struct merkle_store *s, uint64_t index, uint64_t size,
                     uint8_t ret_proof[MERKLE_PROOF_MAX][MERKLE_HASH], size_t *ret_count);
/* Proof that the tree of `old` is a prefix of the tree of `size` (RFC 6962 2.1.2). VAULT_E_STATE unless old <= size. */
int merkle_consistency(const struct merkle_store *s, uint64_t old, uint64_t size,
                       uint8_t ret_proof[MERKLE_PROOF_MAX][MERKLE_HASH], size_t *ret_count);
/* VAULT_E_DAMAGED if the proof does not lead from the leaf to the root. */
int merkle_verify_inclusion(const uint8_t leaf[MERKLE_HASH], uint64_t index, uint64_t size,
                            const uint8_t (*proof)[MERKLE_HASH], size_t count, const uint8_t root[MERKLE_HASH]);
int merkle_verify_consistency(uint64_t old, const uint8_t old_root[MERKLE_HASH], uint64_t size,
                              const uint8_t root[MERKLE_HASH], const uint8_t (*proof)[MERKLE_HASH], size_t count);

/* A tree of leaves that come one after the other, in O(log n) memory. */
struct merkle_fold {
    uint64_t size;
    uint8_t pending[64][MERKLE_HASH]; /* pending[L] is the complete subtree of level L if bit L of size is set */
};
/* Adds a leaf, and hands out the subtrees that it completes, for a merkle_store (NULL: not wanted): ret[L] is number
 * `size before >> L` of level L, ret[0] the leaf itself. How many. */
unsigned merkle_fold_add(struct merkle_fold *f, const uint8_t leaf[MERKLE_HASH], uint8_t (*ret)[MERKLE_HASH]);
void merkle_fold_root(const struct merkle_fold *f, uint8_t ret[MERKLE_HASH]);

#endif
