/* What an inclusion proof costs in a large log: so many leaves are added to the log of a real index, and proofs of
 * leaves all over it are made, each in a transaction of its own, as one request makes one.
 *
 *   proofs LEAVES COUNT: prints the median, 99th percentile and worst in us, and nodes of the longest */
#include "tests/unit/monitor_rig.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vault/result.h"
#include "vaultd/monitor/log/leaves.h"

enum { IN_ONE = 100000 }; /* leaves in one commit */

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct merkle_store store = {.context = &m, .get = leaf_node};

static bool fill(uint64_t leaves) {
    uint8_t leaf[MERKLE_HASH];
    int result = VAULT_OK;
    for (uint64_t n = 0; n < leaves && result == VAULT_OK; n++) {
        struct leaf_value v = {0};
        if (n % IN_ONE == 0)
            result = index_begin(m.index);
        merkle_leaf(&n, sizeof(n), leaf);
        if (result == VAULT_OK)
            result = leaf_append(&m, leaf, &v);
        if (result == VAULT_OK && (n % IN_ONE == IN_ONE - 1 || n == leaves - 1))
            result = index_commit(m.index);
    }
    return result == VAULT_OK;
}

static int by_size(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool prove(size_t count, uint64_t *took, size_t *ret_longest) {
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    *ret_longest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t nodes = 0;
        uint64_t begun = now();
        if (merkle_inclusion(&store, (uint64_t)i * 7919 * 104729 % m.tree.size, m.tree.size, proof, &nodes) != VAULT_OK)
            return false;
        index_end_reads(m.index);
        took[i] = now() - begun;
        *ret_longest = nodes > *ret_longest ? nodes : *ret_longest;
    }
    qsort(took, count, sizeof(*took), by_size);
    return true;
}

int main(int argc, char **argv) {
    void *state = NULL;
    unsigned long leaves = argc == 3 ? strtoul(argv[1], NULL, 10) : 0,
                  count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    uint64_t *took = calloc(count, sizeof(*took));
    size_t longest = 0;
    if (leaves == 0 || count == 0 || took == NULL || secret_start() != VAULT_OK || vault_set_up(&state) != 0)
        return 2;
    bool good = fill(leaves);
    sync(); /* what was just written is not to be waited for */
    good = good && prove(count, took, &longest);
    if (good)
        printf("%.0f %.0f %.0f %zu\n", (double)took[count / 2] / 1e3, (double)took[count * 99 / 100] / 1e3,
               (double)took[count - 1] / 1e3, longest);
    free(took);
    (void)rig_tear_down(&state);
    return good ? 0 : 1;
}
