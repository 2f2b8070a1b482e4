/* A tree that a test keeps where it wants, leaf after leaf. */
#ifndef TEST_TREE_H
#define TEST_TREE_H

#include "vault/merkle.h"

/* Puts leaf `n` and each subtree that it completes, whose left halves `s` has. */
static inline int tree_append(const struct merkle_store *s,
                              int (*put)(void *context, unsigned level, uint64_t index,
                                         const uint8_t hash[MERKLE_HASH]),
                              uint64_t n, const uint8_t leaf[MERKLE_HASH]) {
    struct merkle_fold before = {.size = n};
    uint8_t made[MERKLE_PROOF_MAX][MERKLE_HASH];
    int result = 0;
    for (unsigned level = 0; result == 0 && (n >> level & 1) != 0; level++)
        result = s->get(s->context, level, (n >> level) - 1, before.pending[level]);
    unsigned count = result == 0 ? merkle_fold_add(&before, leaf, made) : 0;
    for (unsigned level = 0; result == 0 && level < count; level++)
        result = put(s->context, level, n >> level, made[level]);
    return result;
}

#endif
