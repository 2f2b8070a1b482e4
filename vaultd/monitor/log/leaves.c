#include "leaves.h"

#include <stdlib.h>

#include "vault/result.h"

/* Nodes that were read last, some of each level: a node never changes, and those of the upper levels are in the proofs
 * of one record as of the next. */
enum { LEVELS = 64, KEPT = 4 };
struct leaves {
    struct kept {
        uint64_t end; /* its index + 1; 0: none */
        uint8_t hash[MERKLE_HASH];
    } nodes[LEVELS][KEPT];
    uint8_t next[LEVELS]; /* which makes way */
};

int leaves_load(struct monitor *m) {
    leaves_free(m);
    m->leaves = calloc(1, sizeof(*m->leaves));
    return m->leaves == NULL ? VAULT_E_MEMORY : VAULT_OK;
}

void leaves_free(struct monitor *m) {
    free(m->leaves);
    m->leaves = NULL;
}

int leaf_append(struct monitor *m, const uint8_t leaf[MERKLE_HASH], struct leaf_value *v) {
    uint8_t key[8], bytes[LEAF_NODES + 64];
    struct writer w = writer_of(bytes, sizeof(bytes));
    put_be64(key, m->tree.size);
    v->nodes_size = merkle_fold_add(&m->tree, leaf, (uint8_t(*)[MERKLE_HASH])v->nodes) * MERKLE_HASH;
    layout_encode(&layout_leaf_value, v, &w);
    return w.bad ? VAULT_E_STATE : index_append(m->index, DB_LEAVES, key, sizeof(key), bytes, w.used);
}

int leaf_load(struct monitor *m, uint64_t seq, struct leaf_value *ret) {
    uint8_t key[8];
    put_be64(key, seq);
    int result = index_get_record(m->index, DB_LEAVES, key, sizeof(key), &layout_leaf_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static const uint8_t *find_kept(const struct leaves *l, unsigned level, uint64_t index) {
    for (unsigned i = 0; i < KEPT; i++)
        if (l->nodes[level][i].end == index + 1)
            return l->nodes[level][i].hash;
    return NULL;
}

static void keep(struct leaves *l, unsigned level, uint64_t index, const uint8_t hash[MERKLE_HASH]) {
    struct kept *k = &l->nodes[level][l->next[level]++ % KEPT];
    k->end = index + 1;
    copy_bytes(k->hash, MERKLE_HASH, hash, MERKLE_HASH);
}

/* The last leaf of the subtree has completed it. */
static int load_node(struct monitor *m, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    struct leaf_value v;
    int result = leaf_load(m, ((index + 1) << level) - 1, &v);
    if (result == VAULT_OK && v.nodes_size < (level + 1) * MERKLE_HASH)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        copy_bytes(ret, MERKLE_HASH, v.nodes + (size_t)level * MERKLE_HASH, MERKLE_HASH);
    return result;
}

int leaf_node(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    struct monitor *m = context;
    const uint8_t *kept = find_kept(m->leaves, level, index);
    if (kept != NULL) {
        copy_bytes(ret, MERKLE_HASH, kept, MERKLE_HASH);
        return VAULT_OK;
    }
    int result = load_node(m, level, index, ret);
    if (result == VAULT_OK)
        keep(m->leaves, level, index, ret);
    return result;
}
