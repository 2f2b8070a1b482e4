#include "vault/audit_proof.h"

#include <jansson.h>
#include <string.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

static int refuse(struct audit_proof *p, int result, const char *problem) {
    copy_string(p->problem, sizeof(p->problem), problem);
    return result;
}

struct claim {
    uint8_t leaf[MERKLE_HASH];
    struct export_proof proof;
    const char *checkpoint;
};

static bool get_claim(const json_t *object, struct claim *c) {
    const json_t *proof = json_object_get(object, "proof");
    c->checkpoint = json_string_value(json_object_get(object, "checkpoint"));
    return c->checkpoint != NULL && json_object_size(object) == 4 && export_number_get(object, "seq", &c->proof.seq) &&
           export_hash_get(json_object_get(object, "leaf"), c->leaf) && export_hashes_get(proof, &c->proof);
}

static int verify_tree(const struct claim *c, const char *vkey, struct audit_proof *p) {
    int result = checkpoint_verify(c->checkpoint, vkey, &p->tree);
    if (result == VAULT_E_DAMAGED)
        return refuse(p, result, "its checkpoint is not signed by the given key");
    if (result != VAULT_OK)
        return refuse(p, VAULT_E_FORMAT, "its checkpoint is none");
    if (merkle_verify_inclusion(c->leaf, c->proof.seq, p->tree.size, (const uint8_t(*)[MERKLE_HASH])c->proof.hashes,
                                c->proof.count, p->tree.root) != VAULT_OK)
        return refuse(p, VAULT_E_DAMAGED, "it does not lead to the checkpoint's root: the record is not in that log");
    return VAULT_OK;
}

static int verify_record(const struct claim *c, const char *record, size_t n, struct audit_proof *p) {
    uint8_t leaf[MERKLE_HASH];
    merkle_leaf(record, n, leaf);
    if (memcmp(leaf, c->leaf, MERKLE_HASH) != 0)
        return refuse(p, VAULT_E_DAMAGED, "it is not the proof of this record");
    return VAULT_OK;
}

int audit_proof_verify(const char *document, size_t n, const char *vkey, const char *record, size_t record_size,
                       struct audit_proof *ret) {
    struct claim c = {.checkpoint = NULL};
    *ret = (struct audit_proof){.seq = 0};
    json_t *object = json_loadb(document, n, JSON_REJECT_DUPLICATES, NULL);
    int result = get_claim(object, &c) ? VAULT_OK : refuse(ret, VAULT_E_FORMAT, "it is no proof of a record");
    ret->seq = c.proof.seq;
    if (result == VAULT_OK)
        result = verify_tree(&c, vkey, ret);
    if (result == VAULT_OK && record != NULL)
        result = verify_record(&c, record, record_size, ret);
    json_decref(object);
    return result;
}
