#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/merkle.h"
#include "vault/result.h"
#include "tests/unit/tree.h"
#include "vaultd/audit/merkle_internal.h"

enum { LEAVES = 130, LEVELS = 9, CONSISTENCY = 40 };

typedef uint8_t hash_t[MERKLE_HASH];

/* ---- an independent tree: RFC 6962 2.1 word by word, over libsodium ---- */

static hash_t naive_leaves[LEAVES];

static void naive_root(size_t begin, size_t n, hash_t ret) {
    if (n == 0) {
        crypto_hash_sha256(ret, (const uint8_t *)"", 0);
        return;
    }
    if (n == 1) {
        copy_bytes(ret, MERKLE_HASH, naive_leaves[begin], MERKLE_HASH);
        return;
    }
    size_t k = 1;
    while (2 * k < n)
        k *= 2;
    uint8_t input[1 + 2 * MERKLE_HASH] = {1};
    naive_root(begin, k, input + 1);
    naive_root(begin + k, n - k, input + 1 + MERKLE_HASH);
    crypto_hash_sha256(ret, input, sizeof(input));
}

static size_t naive_path(size_t m, size_t begin, size_t n, hash_t *ret) {
    if (n == 1)
        return 0;
    size_t k = 1;
    while (2 * k < n)
        k *= 2;
    size_t count = m < k ? naive_path(m, begin, k, ret) : naive_path(m - k, begin + k, n - k, ret);
    if (m < k)
        naive_root(begin + k, n - k, ret[count]);
    else
        naive_root(begin, k, ret[count]);
    return count + 1;
}

static size_t naive_subproof(size_t m, size_t begin, size_t n, int known, hash_t *ret) {
    if (m == n) {
        if (!known)
            naive_root(begin, n, ret[0]);
        return known ? 0 : 1;
    }
    size_t k = 1;
    while (2 * k < n)
        k *= 2;
    size_t count = m <= k ? naive_subproof(m, begin, k, known, ret) : naive_subproof(m - k, begin + k, n - k, 0, ret);
    if (m <= k)
        naive_root(begin + k, n - k, ret[count]);
    else
        naive_root(begin, k, ret[count]);
    return count + 1;
}

/* ---- a store in memory ---- */

struct nodes {
    hash_t at[LEVELS][LEAVES];
    uint8_t there[LEVELS][LEAVES];
    int fail; /* what get answers, if not VAULT_OK */
};

static int nodes_get(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    struct nodes *n = context;
    if (n->fail != VAULT_OK)
        return n->fail;
    assert_true(level < LEVELS && index < LEAVES && n->there[level][index]);
    copy_bytes(ret, MERKLE_HASH, n->at[level][index], MERKLE_HASH);
    return VAULT_OK;
}

static int nodes_put(void *context, unsigned level, uint64_t index, const uint8_t hash[MERKLE_HASH]) {
    struct nodes *n = context;
    assert_true(level < LEVELS && index < LEAVES && !n->there[level][index]);
    copy_bytes(n->at[level][index], MERKLE_HASH, hash, MERKLE_HASH);
    n->there[level][index] = 1;
    return VAULT_OK;
}

static struct nodes nodes;
static const struct merkle_store store = {&nodes, nodes_get};

static int set_up(void **state) {
    (void)state;
    memset(&nodes, 0, sizeof(nodes));
    for (size_t i = 0; i < LEAVES; i++) {
        uint8_t data[] = {0, (uint8_t)i, (uint8_t)(i >> 8), 0x5a};
        crypto_hash_sha256(naive_leaves[i], data, sizeof(data));
        hash_t leaf;
        merkle_leaf(data + 1, sizeof(data) - 1, leaf);
        assert_memory_equal(leaf, naive_leaves[i], MERKLE_HASH);
        assert_int_equal(tree_append(&store, nodes_put, i, leaf), VAULT_OK);
    }
    return 0;
}

static void roots_are_those_of_rfc_6962(void **state) {
    (void)state;
    struct merkle_fold fold = {0};
    for (size_t size = 0; size <= LEAVES; size++) {
        hash_t root, folded, expected;
        naive_root(0, size, expected);
        assert_int_equal(merkle_root(&store, size, root), VAULT_OK);
        merkle_fold_root(&fold, folded);
        assert_memory_equal(root, expected, MERKLE_HASH);
        assert_memory_equal(folded, expected, MERKLE_HASH);
        if (size < LEAVES)
            merkle_fold_add(&fold, naive_leaves[size], NULL);
    }
}

static void inclusion_proofs_are_those_of_rfc_6962(void **state) {
    (void)state;
    for (size_t size = 1; size <= LEAVES; size++) {
        hash_t root;
        naive_root(0, size, root);
        for (size_t i = 0; i < size; i++) {
            hash_t proof[MERKLE_PROOF_MAX], expected[MERKLE_PROOF_MAX], before, root_before;
            size_t count = 0;
            assert_int_equal(merkle_inclusion(&store, i, size, proof, &count), VAULT_OK);
            assert_int_equal(count, naive_path(i, 0, size, expected));
            assert_memory_equal(proof, expected, count * MERKLE_HASH);
            const hash_t *p = (const hash_t *)proof;
            assert_int_equal(merkle_verify_inclusion(naive_leaves[i], i, size, p, count, root), VAULT_OK);
            struct merkle_fold fold, other = {0};
            merkle_fold_before(i, size, p, count, &fold);
            merkle_fold_root(&fold, before);
            naive_root(0, i, root_before);
            assert_memory_equal(before, root_before, MERKLE_HASH);
            for (size_t k = 0; k < i; k++) {
                assert_false(merkle_fold_equal(&fold, &other));
                merkle_fold_add(&other, naive_leaves[k], NULL);
            }
            assert_true(merkle_fold_equal(&fold, &other));
        }
    }
}

static void inclusion_refuses_what_was_tampered_with(void **state) {
    (void)state;
    for (size_t size = 1; size <= 33; size++) {
        hash_t root;
        naive_root(0, size, root);
        for (size_t i = 0; i < size; i++) {
            hash_t proof[MERKLE_PROOF_MAX] = {{0}};
            const hash_t *p = (const hash_t *)proof;
            const uint8_t *leaf = naive_leaves[i];
            size_t count = 0;
            assert_int_equal(merkle_inclusion(&store, i, size, proof, &count), VAULT_OK);
            for (size_t other = 0; other <= size; other++)
                if (other != i)
                    assert_int_equal(merkle_verify_inclusion(leaf, other, size, p, count, root), VAULT_E_DAMAGED);
            assert_int_equal(merkle_verify_inclusion(naive_leaves[i + 1], i, size, p, count, root), VAULT_E_DAMAGED);
            assert_int_equal(merkle_verify_inclusion(leaf, i, size, p, count + 1, root), VAULT_E_DAMAGED);
            if (count > 0)
                assert_int_equal(merkle_verify_inclusion(leaf, i, size, p, count - 1, root), VAULT_E_DAMAGED);
            for (size_t k = 0; k < count; k++) {
                proof[k][k % MERKLE_HASH] ^= 0x10;
                assert_int_equal(merkle_verify_inclusion(leaf, i, size, p, count, root), VAULT_E_DAMAGED);
                proof[k][k % MERKLE_HASH] ^= 0x10;
            }
        }
    }
}

static void consistency_proofs_are_those_of_rfc_6962(void **state) {
    (void)state;
    for (size_t size = 1; size <= CONSISTENCY; size++) {
        for (size_t old = 0; old <= size; old++) {
            hash_t root, old_root, proof[MERKLE_PROOF_MAX], expected[MERKLE_PROOF_MAX];
            size_t count = 99;
            naive_root(0, size, root);
            naive_root(0, old, old_root);
            assert_int_equal(merkle_consistency(&store, old, size, proof, &count), VAULT_OK);
            assert_int_equal(count, old == 0 ? 0 : naive_subproof(old, 0, size, 1, expected));
            assert_memory_equal(proof, expected, count * MERKLE_HASH);
            const hash_t *p = (const hash_t *)proof;
            assert_int_equal(merkle_verify_consistency(old, old_root, size, root, p, count), VAULT_OK);
        }
    }
}

static void consistency_refuses_what_was_tampered_with(void **state) {
    (void)state;
    for (size_t size = 1; size <= CONSISTENCY; size++) {
        for (size_t old = 1; old <= size; old++) {
            hash_t root, old_root, other, proof[MERKLE_PROOF_MAX] = {{0}};
            const hash_t *p = (const hash_t *)proof;
            size_t count = 0;
            naive_root(0, size, root);
            naive_root(0, old, old_root);
            naive_root(1, old, other);
            assert_int_equal(merkle_consistency(&store, old, size, proof, &count), VAULT_OK);
            assert_int_equal(merkle_verify_consistency(old, other, size, root, p, count), VAULT_E_DAMAGED);
            assert_int_equal(merkle_verify_consistency(old, old_root, size, other, p, count), VAULT_E_DAMAGED);
            assert_int_equal(merkle_verify_consistency(old, old_root, size, root, p, count + 1), VAULT_E_DAMAGED);
            if (count > 0)
                assert_int_equal(merkle_verify_consistency(old, old_root, size, root, p, count - 1), VAULT_E_DAMAGED);
            for (size_t k = 0; k < count; k++) {
                proof[k][0] ^= 1;
                assert_int_equal(merkle_verify_consistency(old, old_root, size, root, p, count), VAULT_E_DAMAGED);
                proof[k][0] ^= 1;
            }
        }
    }
    assert_int_equal(merkle_verify_consistency(2, naive_leaves[0], 1, naive_leaves[0], NULL, 0), VAULT_E_DAMAGED);
}

static void proofs_refuse_what_the_tree_does_not_have(void **state) {
    (void)state;
    hash_t proof[MERKLE_PROOF_MAX];
    size_t count;
    assert_int_equal(merkle_inclusion(&store, 5, 5, proof, &count), VAULT_E_STATE);
    assert_int_equal(merkle_inclusion(&store, 0, 0, proof, &count), VAULT_E_STATE);
    assert_int_equal(merkle_inclusion(&store, 0, UINT64_MAX, proof, &count), VAULT_E_STATE);
    assert_int_equal(merkle_consistency(&store, 6, 5, proof, &count), VAULT_E_STATE);
}

static void faults_of_the_store_are_passed_on(void **state) {
    (void)state;
    hash_t proof[MERKLE_PROOF_MAX], root;
    size_t count;
    nodes.fail = VAULT_E_DAMAGED;
    assert_int_equal(merkle_root(&store, 7, root), VAULT_E_DAMAGED);
    assert_int_equal(merkle_inclusion(&store, 3, 7, proof, &count), VAULT_E_DAMAGED);
    assert_int_equal(merkle_consistency(&store, 3, 7, proof, &count), VAULT_E_DAMAGED);
    nodes.there[0][129] = 0;
    assert_int_equal(tree_append(&store, nodes_put, 129, naive_leaves[0]), VAULT_E_DAMAGED);
    nodes.fail = VAULT_OK;
}

/* The eight inputs and their roots that implementations of RFC 6962 share. */
static void known_vectors_hold(void **state) {
    (void)state;
    static const struct {
        size_t n;
        const char *data;
        const char *root;
    } vectors[] = {
        {0, "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {1, "\x00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {1, "\x10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {2, "\x20\x21", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {2, "\x30\x31", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {4, "\x40\x41\x42\x43", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {8, "\x50\x51\x52\x53\x54\x55\x56\x57", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {16, "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct merkle_fold fold = {0};
    hash_t root, leaf;
    char hex[2 * MERKLE_HASH + 1];
    merkle_fold_root(&fold, root);
    hex_encode(hex, sizeof(hex), root, sizeof(root));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        merkle_leaf(vectors[i].data, vectors[i].n, leaf);
        merkle_fold_add(&fold, leaf, NULL);
        merkle_fold_root(&fold, root);
        hex_encode(hex, sizeof(hex), root, sizeof(root));
        assert_string_equal(hex, vectors[i].root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_rfc_6962),
        cmocka_unit_test(inclusion_proofs_are_those_of_rfc_6962),
        cmocka_unit_test(inclusion_refuses_what_was_tampered_with),
        cmocka_unit_test(consistency_proofs_are_those_of_rfc_6962),
        cmocka_unit_test(consistency_refuses_what_was_tampered_with),
        cmocka_unit_test(proofs_refuse_what_the_tree_does_not_have),
        cmocka_unit_test(faults_of_the_store_are_passed_on),
        cmocka_unit_test(known_vectors_hold),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
