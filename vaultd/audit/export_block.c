/* A line of proofs.jsonl: the proof of one record, and the leaves of those before it that no other line proves. */
#include <openssl/evp.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { LEAVES_BYTES = AUDIT_BLOCK * MERKLE_HASH, LEAVES_TEXT = (LEAVES_BYTES + 2) / 3 * 4 };

/* Base64 of two hashes or more; strict, as export_hash_get. */
static bool get_leaves(const char *text, size_t size, struct export_block *b) {
    uint8_t bytes[LEAVES_TEXT / 4 * 3];
    unsigned char again[LEAVES_TEXT + 1];
    if (size == 0 || size % 4 != 0 || size > LEAVES_TEXT)
        return false;
    size_t n = size / 4 * 3 - (text[size - 1] == '=') - (text[size - 2] == '=');
    if (n % MERKLE_HASH != 0 || n < 2 * MERKLE_HASH || n > LEAVES_BYTES ||
        EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)size) < 0)
        return false;
    if (EVP_EncodeBlock(again, bytes, (int)n) != (int)size || memcmp(again, text, size) != 0)
        return false;
    copy_bytes(b->leaves, sizeof(b->leaves), bytes, n);
    b->leaf_count = n / MERKLE_HASH;
    return true;
}

/* The object that is the line, its list, and nothing in that. Each member once, each of its kind. */
enum member { NONE, SEQ, PROOF, LEAVES, MEMBERS };

struct block_scan {
    struct export_block *block;
    enum member member;  /* whose value comes next, or is under way */
    bool known[MEMBERS]; /* came */
    unsigned depth;
};

/* A value for the member that awaits one of this kind. */
static bool takes(struct block_scan *s, enum member member, unsigned depth) {
    bool good = s->member == member && s->depth == depth;
    if (depth == 1)
        s->member = NONE;
    return good;
}

static int open_object(void *context) {
    struct block_scan *s = context;
    return s->depth++ == 0;
}

static int take_member(void *context, const unsigned char *name, size_t n) {
    static const char *const names[MEMBERS] = {"", "seq", "proof", "leaves"};
    struct block_scan *s = context;
    for (enum member m = SEQ; m < MEMBERS; m++)
        if (n == strlen(names[m]) && memcmp(name, names[m], n) == 0 && !s->known[m]) {
            s->known[m] = true;
            s->member = m;
            return 1;
        }
    return 0;
}

static int open_list(void *context) {
    struct block_scan *s = context;
    return s->member == PROOF && s->depth++ == 1;
}

static int close_list(void *context) {
    struct block_scan *s = context;
    s->depth--;
    s->member = NONE;
    return 1;
}

static int close_object(void *context) {
    struct block_scan *s = context;
    s->depth--;
    return 1;
}

static int take_number(void *context, const char *text, size_t n) {
    struct block_scan *s = context;
    int64_t value;
    if (!takes(s, SEQ, 1) || !export_integer_get(text, n, &value) || value < 0)
        return 0;
    s->block->proof.seq = (uint64_t)value;
    return 1;
}

static int take_text(void *context, const unsigned char *text, size_t n) {
    struct block_scan *s = context;
    struct export_proof *p = &s->block->proof;
    if (s->member == LEAVES)
        return takes(s, LEAVES, 1) && get_leaves((const char *)text, n, s->block);
    return takes(s, PROOF, 2) && p->count < MERKLE_PROOF_MAX &&
           export_hash_decode((const char *)text, n, p->hashes[p->count++]);
}

static int refuse_null(void *context) {
    (void)context;
    return 0;
}

static int refuse_boolean(void *context, int value) {
    (void)context;
    (void)value;
    return 0;
}

int export_block_parse(const char *line, size_t n, struct export_block *ret, const char **ret_fault) {
    static const yajl_callbacks take = {.yajl_null = refuse_null,
                                        .yajl_boolean = refuse_boolean,
                                        .yajl_number = take_number,
                                        .yajl_string = take_text,
                                        .yajl_start_map = open_object,
                                        .yajl_map_key = take_member,
                                        .yajl_end_map = close_object,
                                        .yajl_start_array = open_list,
                                        .yajl_end_array = close_list};
    struct block_scan s = {.block = ret};
    ret->leaf_count = 1;
    ret->proof.count = 0;
    bool good = export_scan(&take, &s, line, n) == yajl_status_ok && s.known[SEQ] && s.known[PROOF] &&
                ret->leaf_count <= ret->proof.seq + 1;
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
        merkle_fold_add(ret_after, leaves[i], NULL);
    if (merkle_verify_inclusion(last, p->seq, tree->size, hashes, p->count, tree->root) != VAULT_OK)
        return false;
    merkle_fold_before(p->seq, tree->size, hashes, p->count, &lefts);
    bool good = merkle_fold_equal(ret_after, &lefts);
    merkle_fold_add(ret_after, last, NULL);
    return good;
}
