/* A line of proofs.jsonl: the proof of one record, and the leaves of those before it that no other line proves. */
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { LEAVES_BYTES = AUDIT_BLOCK * MERKLE_HASH, LEAVES_TEXT = (LEAVES_BYTES + 2) / 3 * 4 };

/* Base64 of two hashes or more; strict, as export_hash_get. */
static bool get_leaves(const json_t *value, struct export_block *b) {
    uint8_t bytes[LEAVES_TEXT / 4 * 3];
    unsigned char again[LEAVES_TEXT + 1];
    const unsigned char *text = (const unsigned char *)json_string_value(value);
    size_t size = json_string_length(value);
    if (text == NULL || size == 0 || size % 4 != 0 || size > LEAVES_TEXT)
        return false;
    size_t n = size / 4 * 3 - (text[size - 1] == '=') - (text[size - 2] == '=');
    if (n % MERKLE_HASH != 0 || n < 2 * MERKLE_HASH || n > LEAVES_BYTES || EVP_DecodeBlock(bytes, text, (int)size) < 0)
        return false;
    if (EVP_EncodeBlock(again, bytes, (int)n) != (int)size || memcmp(again, text, size) != 0)
        return false;
    copy_bytes(b->leaves, sizeof(b->leaves), bytes, n);
    b->leaf_count = n / MERKLE_HASH;
    return true;
}

static bool get_block(const json_t *object, struct export_block *b) {
    const json_t *leaves = json_object_get(object, "leaves");
    b->leaf_count = 1;
    return json_object_size(object) == (leaves == NULL ? 2 : 3) && export_seq_get(object, &b->proof.seq) &&
           export_hashes_get(json_object_get(object, "proof"), &b->proof) &&
           (leaves == NULL || get_leaves(leaves, b)) && b->leaf_count <= b->proof.seq + 1;
}

int export_block_parse(const char *line, size_t n, struct export_block *ret, const char **ret_fault) {
    json_error_t error;
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL && json_error_code(&error) == json_error_out_of_memory) {
        *ret_fault = "cannot be checked: there is not enough memory";
        return VAULT_E_MEMORY;
    }
    bool good = get_block(object, ret);
    json_decref(object);
    *ret_fault = good ? NULL : "has a malformed proof in proofs.jsonl";
    return good ? VAULT_OK : VAULT_E_FORMAT;
}

uint64_t export_block_first(const struct export_block *b) {
    return b->proof.seq + 1 - b->leaf_count;
}

bool export_block_holds(const struct export_block *b, const uint8_t (*leaves)[MERKLE_HASH],
                        const struct merkle_fold *before, const struct checkpoint *tree,
                        struct merkle_fold *ret_after) {
    const struct export_proof *p = &b->proof;
    const uint8_t(*hashes)[MERKLE_HASH] = (const uint8_t(*)[MERKLE_HASH])p->hashes;
    const uint8_t *last = leaves[b->leaf_count - 1];
    struct merkle_fold lefts;
    *ret_after = *before;
    for (size_t i = 0; i + 1 < b->leaf_count; i++)
        merkle_fold_add(ret_after, leaves[i]);
    if (merkle_verify_inclusion(last, p->seq, tree->size, hashes, p->count, tree->root) != VAULT_OK)
        return false;
    merkle_fold_before(p->seq, tree->size, hashes, p->count, &lefts);
    bool good = merkle_fold_equal(ret_after, &lefts);
    merkle_fold_add(ret_after, last);
    return good;
}
