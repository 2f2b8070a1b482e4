#include "leaves.h"

#include "vault/result.h"

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

/* The last leaf of the subtree has completed it. */
int leaf_node(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    struct leaf_value v;
    int result = leaf_load(context, ((index + 1) << level) - 1, &v);
    if (result == VAULT_OK && v.nodes_size < (level + 1) * MERKLE_HASH)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        copy_bytes(ret, MERKLE_HASH, v.nodes + (size_t)level * MERKLE_HASH, MERKLE_HASH);
    return result;
}
