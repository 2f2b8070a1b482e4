#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/seal.h"

static const uint8_t vault[SEAL_VAULT_ID] = "the vault's id.";

static const uint8_t token_key[SEAL_TOKEN_KEY] = "the vault's id..sixteen bytes.";
static const uint8_t token_wrapped[SEAL_TOKEN_WRAPPED] = "IV, ciphertext and tag, whatever they are, of the root key.";

struct fixture {
    struct secret *root, *credential;
    struct share shares[SHARES_MAX];
};

static int set_up(void **state) {
    static struct fixture f;
    f = (struct fixture){.root = NULL};
    *state = &f;
    return secret_random(&f.root, SECRET_KEY_SIZE) != VAULT_OK ||
           secret_random(&f.credential, SECRET_KEY_SIZE) != VAULT_OK;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    secret_free(&f->root);
    secret_free(&f->credential);
    for (unsigned i = 0; i < SHARES_MAX; i++)
        share_clear(&f->shares[i]);
    return 0;
}

static void assert_opens(const struct seal *s, const struct secret *key, const struct secret *root) {
    CLEANUP_SECRET struct secret *opened = NULL;
    assert_int_equal(seal_open(s, key, vault, &opened), VAULT_OK);
    assert_true(secret_equal(opened, root));
}

static void assert_stays_closed(const struct seal *s, const struct secret *key) {
    struct secret *opened = NULL;
    assert_int_equal(seal_open(s, key, vault, &opened), VAULT_DENIED);
    assert_null(opened);
}

/* What the shares from `first` on give together. */
static struct secret *combined(const struct fixture *f, const struct seal *s, unsigned first) {
    const struct share *given[SHARES_MAX];
    struct secret *key = NULL;
    for (unsigned i = 0; i < s->ceremony.threshold; i++)
        given[i] = &f->shares[first + i];
    assert_int_equal(shares_combine(&s->ceremony, given, &key), VAULT_OK);
    return key;
}

static void credential_opens_its_seal_and_no_other_key_does(void **state) {
    struct fixture *f = *state;
    struct seal s;
    assert_int_equal(seal_by_credential(f->credential, vault, f->root, &s), VAULT_OK);
    assert_opens(&s, f->credential, f->root);
    assert_stays_closed(&s, f->root);
}

static void seal_of_another_vault_does_not_open(void **state) {
    struct fixture *f = *state;
    static const uint8_t other[SEAL_VAULT_ID] = "another vault's";
    struct secret *opened = NULL;
    struct seal s;
    assert_int_equal(seal_by_credential(f->credential, other, f->root, &s), VAULT_OK);
    assert_int_equal(seal_open(&s, f->credential, vault, &opened), VAULT_DENIED);
}

static void any_shares_open_their_seal(void **state) {
    struct fixture *f = *state;
    struct seal s;
    assert_int_equal(seal_by_shares(5, 3, f->root, &s, f->shares), VAULT_OK);
    for (unsigned first = 0; first <= 2; first++) {
        CLEANUP_SECRET struct secret *key = combined(f, &s, first);
        assert_true(seal_fits(&s, key));
        assert_opens(&s, key, f->root);
    }
    assert_stays_closed(&s, f->root);
    assert_false(seal_fits(&s, f->root));
}

static void new_root_key_needs_no_share(void **state) {
    struct fixture *f = *state;
    struct seal s, again;
    assert_int_equal(seal_by_shares(3, 2, f->root, &s, f->shares), VAULT_OK);
    assert_int_equal(seal_again(&s, NULL, vault, f->credential, &again), VAULT_OK);
    CLEANUP_SECRET struct secret *key = combined(f, &s, 1);
    assert_opens(&again, key, f->credential);
}

static void shares_of_another_ceremony_open_nothing(void **state) {
    struct fixture *f = *state;
    struct seal s, other;
    assert_int_equal(seal_by_shares(3, 2, f->root, &other, f->shares), VAULT_OK);
    CLEANUP_SECRET struct secret *key = combined(f, &other, 0);
    tear_down(state);
    set_up(state);
    assert_int_equal(seal_by_shares(3, 2, f->root, &s, f->shares), VAULT_OK);
    assert_stays_closed(&s, key);
}

static void impossible_ceremonies_are_refused(void **state) {
    struct fixture *f = *state;
    struct seal s = {.kind = SEAL_BY_NOTHING};
    assert_int_equal(seal_by_shares(3, 4, f->root, &s, f->shares), VAULT_E_LIMIT);
    assert_int_equal(seal_by_shares(1, 1, f->root, &s, f->shares), VAULT_E_LIMIT);
    assert_int_equal(seal_by_shares(SHARES_MAX + 1, 2, f->root, &s, f->shares), VAULT_E_LIMIT);
    assert_int_equal(s.kind, SEAL_BY_NOTHING);
}

static void assert_survives_its_binary_form(const struct seal *s) {
    uint8_t bytes[SEAL_SIZE_MAX], again[SEAL_SIZE_MAX];
    struct seal back;
    size_t n = seal_write(s, bytes);
    assert_int_equal(seal_read(bytes, n, &back), VAULT_OK);
    assert_int_equal(seal_write(&back, again), n);
    assert_memory_equal(again, bytes, n);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(seal_read(bytes, cut, &back), VAULT_E_FORMAT);
    bytes[0] ^= 0x40;
    assert_int_equal(seal_read(bytes, n, &back), VAULT_E_FORMAT);
}

static void seals_survive_their_binary_form(void **state) {
    struct fixture *f = *state;
    struct seal s;
    assert_int_equal(seal_by_credential(f->credential, vault, f->root, &s), VAULT_OK);
    assert_survives_its_binary_form(&s);
    assert_int_equal(seal_by_shares(SHARES_MAX, SHARES_MAX, f->root, &s, f->shares), VAULT_OK);
    assert_survives_its_binary_form(&s);
    seal_by_token(token_key, token_wrapped, &s);
    assert_survives_its_binary_form(&s);
}

static void seal_by_a_token_keeps_what_the_token_gave(void **state) {
    uint8_t bytes[SEAL_SIZE_MAX];
    struct seal s, back;
    (void)state;
    seal_by_token(token_key, token_wrapped, &s);
    size_t n = seal_write(&s, bytes);
    assert_int_equal(n, 1 + SEAL_TOKEN_KEY + SEAL_TOKEN_WRAPPED);
    assert_int_equal(seal_read(bytes, n, &back), VAULT_OK);
    assert_int_equal(back.kind, SEAL_BY_TOKEN);
    assert_memory_equal(back.token_key, token_key, SEAL_TOKEN_KEY);
    assert_memory_equal(back.wrapped, token_wrapped, SEAL_TOKEN_WRAPPED);
    bytes[n] = 0;
    assert_int_equal(seal_read(bytes, n + 1, &back), VAULT_E_FORMAT);
}

static void only_the_token_wraps_and_unwraps_for_its_seal(void **state) {
    struct fixture *f = *state;
    struct secret *opened = NULL;
    struct seal s, again = {.kind = SEAL_BY_NOTHING};
    seal_by_token(token_key, token_wrapped, &s);
    assert_int_equal(seal_open(&s, f->root, vault, &opened), VAULT_E_STATE);
    assert_int_equal(seal_again(&s, f->credential, vault, f->root, &again), VAULT_E_STATE);
    assert_null(opened);
    assert_int_equal(again.kind, SEAL_BY_NOTHING);
    assert_false(seal_fits(&s, f->root));
}

/* What the wrapped root key is bound to: each of its bits. */
static void changed_seal_does_not_open(void **state) {
    struct fixture *f = *state;
    struct seal s;
    assert_int_equal(seal_by_shares(2, 2, f->root, &s, f->shares), VAULT_OK);
    CLEANUP_SECRET struct secret *key = combined(f, &s, 0);
    for (unsigned bit = 0; bit < 8 * SEAL_WRAPPED; bit++) {
        struct seal changed = s;
        changed.wrapped[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_stays_closed(&changed, key);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(credential_opens_its_seal_and_no_other_key_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seal_of_another_vault_does_not_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_shares_open_their_seal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_root_key_needs_no_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_of_another_ceremony_open_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(impossible_ceremonies_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seal_by_a_token_keeps_what_the_token_gave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_token_wraps_and_unwraps_for_its_seal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seals_survive_their_binary_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_seal_does_not_open, set_up, tear_down),
    };
    return secret_start() != VAULT_OK || cmocka_run_group_tests(tests, NULL, NULL);
}
