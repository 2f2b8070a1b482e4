#include <ctype.h>
#include <libgfshare.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/shares.h"

enum { TEXT = SHARE_TEXT - 1, BODY = CEREMONY_ID + 3 + SECRET_KEY_SIZE, CHECK = 4 };

/* ---- Memory and randomness, counted and refused on request (linked with --wrap). ---- */

static struct {
    int live;         /* secrets and contexts that are held */
    int asked;        /* for since forget_memory */
    int refuse_at;    /* refuse the one with this number; 0: never */
    bool no_chance;   /* zeros instead of random bytes */
    size_t by_chance; /* bytes that were to be random */
} memory;

void *__real_sodium_malloc(size_t size);
void __real_sodium_free(void *piece);
void __real_randombytes_buf(void *to, size_t n);
gfshare_ctx *__real_gfshare_ctx_init_enc(unsigned char *numbers, unsigned count, unsigned char threshold, unsigned n);
gfshare_ctx *__real_gfshare_ctx_init_dec(unsigned char *numbers, unsigned count, unsigned n);
void __real_gfshare_ctx_free(gfshare_ctx *context);
void *__wrap_sodium_malloc(size_t size);
void __wrap_sodium_free(void *piece);
void __wrap_randombytes_buf(void *to, size_t n);
gfshare_ctx *__wrap_gfshare_ctx_init_enc(unsigned char *numbers, unsigned count, unsigned char threshold, unsigned n);
gfshare_ctx *__wrap_gfshare_ctx_init_dec(unsigned char *numbers, unsigned count, unsigned n);
void __wrap_gfshare_ctx_free(gfshare_ctx *context);

static bool refuse(void) {
    return ++memory.asked == memory.refuse_at;
}

static void *held(void *piece) {
    memory.live += piece != NULL;
    return piece;
}

void *__wrap_sodium_malloc(size_t size) {
    return refuse() ? NULL : held(__real_sodium_malloc(size));
}

void __wrap_sodium_free(void *piece) {
    memory.live -= piece != NULL;
    __real_sodium_free(piece);
}

void __wrap_randombytes_buf(void *to, size_t n) {
    memory.by_chance += n;
    __real_randombytes_buf(to, n);
    if (memory.no_chance)
        wipe(to, n);
}

gfshare_ctx *__wrap_gfshare_ctx_init_enc(unsigned char *numbers, unsigned count, unsigned char threshold, unsigned n) {
    return refuse() ? NULL : held(__real_gfshare_ctx_init_enc(numbers, count, threshold, n));
}

gfshare_ctx *__wrap_gfshare_ctx_init_dec(unsigned char *numbers, unsigned count, unsigned n) {
    return refuse() ? NULL : held(__real_gfshare_ctx_init_dec(numbers, count, n));
}

void __wrap_gfshare_ctx_free(gfshare_ctx *context) {
    memory.live--;
    __real_gfshare_ctx_free(context);
}

/* ---- A ceremony, fresh for each test. ---- */

struct fixture {
    struct secret *key;
    struct ceremony c;
    struct share shares[SHARES_MAX];
};

static struct fixture fixture;

static void clear_shares(struct fixture *f) {
    for (size_t i = 0; i < SHARES_MAX; i++)
        share_clear(&f->shares[i]);
}

static void split(struct fixture *f, unsigned count, unsigned threshold) {
    clear_shares(f);
    assert_int_equal(shares_split(f->key, count, threshold, &f->c, f->shares), VAULT_OK);
}

/* 3 of 5. */
static int set_up(void **state) {
    wipe(&memory, sizeof(memory));
    assert_int_equal(secret_random(&fixture.key, SECRET_KEY_SIZE), VAULT_OK);
    split(&fixture, 5, 3);
    *state = &fixture;
    return 0;
}

/* Nothing may be left over. */
static int tear_down(void **state) {
    struct fixture *f = *state;
    clear_shares(f);
    secret_free(&f->key);
    return memory.live;
}

/* The shares in the set, in ascending or descending order; NULL for those that are missing to the threshold. */
static int combine_set(struct fixture *f, uint32_t set, bool descending, struct secret **ret) {
    const struct share *given[SHARES_MAX] = {NULL};
    size_t n = 0;
    for (unsigned i = 0; i < f->c.count; i++) {
        unsigned at = descending ? f->c.count - 1 - i : i;
        if ((set >> at & 1) != 0)
            given[n++] = &f->shares[at];
    }
    return shares_combine(&f->c, given, ret);
}

static void assert_set_gives_the_key(struct fixture *f, uint32_t set) {
    for (int descending = 0; descending <= 1; descending++) {
        CLEANUP_SECRET struct secret *key = NULL;
        assert_int_equal(combine_set(f, set, descending != 0, &key), VAULT_OK);
        assert_true(secret_equal(key, f->key));
    }
}

static void assert_set_is_refused(struct fixture *f, uint32_t set) {
    struct secret *key = NULL;
    assert_int_equal(combine_set(f, set, false, &key), VAULT_E_STATE);
    assert_null(key);
}

static void assert_same_share(const struct share *a, const struct share *b) {
    assert_memory_equal(a->ceremony, b->ceremony, CEREMONY_ID);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->threshold, b->threshold);
    assert_true(secret_equal(a->value, b->value));
}

/* ---- Splitting and combining. ---- */

static void any_threshold_of_shares_gives_the_key(void **state) {
    struct fixture *f = *state;
    static const unsigned sizes[][2] = {{2, 2}, {3, 2}, {4, 3}, {5, 3}, {6, 6}, {7, 4}, {8, 2}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned count = sizes[i][0], threshold = sizes[i][1];
        split(f, count, threshold);
        for (uint32_t set = 0; set < UINT32_C(1) << count; set++)
            if ((unsigned)__builtin_popcount(set) == threshold)
                assert_set_gives_the_key(f, set);
            else if ((unsigned)__builtin_popcount(set) < threshold)
                assert_set_is_refused(f, set);
    }
}

/* Without bias in favour of any share. */
static uint32_t random_set(unsigned count, unsigned members) {
    uint32_t set = 0;
    while ((unsigned)__builtin_popcount(set) < members)
        set |= UINT32_C(1) << randombytes_uniform(count);
    return set;
}

static void threshold_of_many_shares_gives_the_key(void **state) {
    struct fixture *f = *state;
    static const unsigned sizes[][2] = {{32, 32}, {32, 31}, {32, 17}, {32, 2}, {31, 9}, {20, 11}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned count = sizes[i][0], threshold = sizes[i][1];
        split(f, count, threshold);
        for (int sample = 0; sample < 5; sample++) {
            assert_set_gives_the_key(f, random_set(count, threshold));
            assert_set_is_refused(f, random_set(count, threshold - 1));
        }
    }
}

/* What the arithmetic alone makes of shares that nobody checked. */
static bool arithmetic_gives_the_key(const struct fixture *f, const struct share *shares, unsigned n) {
    unsigned char numbers[SHARES_MAX], key[SECRET_KEY_SIZE];
    for (unsigned i = 0; i < n; i++)
        numbers[i] = shares[i].number;
    gfshare_ctx *context = gfshare_ctx_init_dec(numbers, n, SECRET_KEY_SIZE);
    assert_non_null(context);
    for (unsigned i = 0; i < n; i++)
        gfshare_ctx_dec_giveshare(context, (unsigned char)i, secret_edit(shares[i].value));
    gfshare_ctx_dec_extract(context, key);
    gfshare_ctx_free(context);
    return memcmp(key, secret_view(f->key), sizeof(key)) == 0;
}

static void too_few_or_wrong_shares_give_another_key(void **state) {
    struct fixture *f = *state;
    for (unsigned threshold = 2; threshold <= 8; threshold++) {
        split(f, 8, threshold);
        for (unsigned n = 1; n <= 8; n++)
            assert_int_equal(arithmetic_gives_the_key(f, f->shares, n), n >= threshold);
        for (unsigned i = 0; i < threshold; i++) {
            secret_edit(f->shares[i].value)[i] ^= 1;
            assert_false(arithmetic_gives_the_key(f, f->shares, threshold));
            secret_edit(f->shares[i].value)[i] ^= 1;
        }
    }
}

static void shares_are_numbered_and_say_their_ceremony(void **state) {
    struct fixture *f = *state;
    for (unsigned i = 0; i < 5; i++) {
        assert_memory_equal(f->shares[i].ceremony, f->c.id, CEREMONY_ID);
        assert_int_equal(f->shares[i].number, i + 1);
        assert_int_equal(f->shares[i].count, 5);
        assert_int_equal(f->shares[i].threshold, 3);
        assert_false(secret_equal(f->shares[i].value, f->key));
    }
}

static void two_splits_of_a_key_have_nothing_in_common(void **state) {
    struct fixture *f = *state;
    struct ceremony other;
    struct share shares[5];
    assert_int_equal(shares_split(f->key, 5, 3, &other, shares), VAULT_OK);
    assert_memory_not_equal(other.id, f->c.id, CEREMONY_ID);
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned k = 0; k < 5; k++) {
            assert_false(secret_equal(shares[i].value, f->shares[k].value));
            assert_memory_not_equal(other.commitments[i], f->c.commitments[k], COMMITMENT);
        }
    }
    for (unsigned i = 0; i < 5; i++)
        share_clear(&shares[i]);
}

/* Where libsodium gives zeros, the polynomial is constant, and each share the key itself. */
static void all_randomness_is_of_libsodium(void **state) {
    static const uint8_t zeros[CEREMONY_ID];
    struct fixture *f = *state;
    clear_shares(f);
    memory.by_chance = 0;
    memory.no_chance = true;
    int result = shares_split(f->key, 5, 3, &f->c, f->shares);
    memory.no_chance = false;
    assert_int_equal(result, VAULT_OK);
    assert_true(memory.by_chance >= CEREMONY_ID + 2 * SECRET_KEY_SIZE);
    assert_memory_equal(f->c.id, zeros, CEREMONY_ID);
    for (unsigned i = 0; i < 5; i++)
        assert_true(secret_equal(f->shares[i].value, f->key));
}

static void assert_split_refused(const struct secret *key, unsigned count, unsigned threshold) {
    struct ceremony c = {.count = 77}, c_before = c;
    struct share shares[SHARES_MAX + 1] = {{.number = 88}};
    assert_int_equal(shares_split(key, count, threshold, &c, shares), VAULT_E_LIMIT);
    assert_memory_equal(&c, &c_before, sizeof(c));
    assert_int_equal(shares[0].number, 88);
    assert_null(shares[0].value);
}

static void split_out_of_range_is_refused(void **state) {
    struct fixture *f = *state;
    static const unsigned sizes[][2] = {{0, 0},       {1, 1},       {1, 2},   {2, 0},   {2, 1},
                                        {2, 3},       {5, 6},       {33, 2},  {33, 33}, {32, 33},
                                        {256 + 5, 3}, {5, 256 + 3}, {5, ~0U}, {~0U, 2}, {~0U, ~0U}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_split_refused(f->key, sizes[i][0], sizes[i][1]);
}

static void split_of_a_key_of_another_size_is_refused(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 16, 31, 33, 64};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CLEANUP_SECRET struct secret *key = NULL;
        assert_int_equal(secret_random(&key, sizes[i]), VAULT_OK);
        assert_split_refused(key, 5, 3);
    }
}

static void repeated_share_is_refused(void **state) {
    struct fixture *f = *state;
    struct secret *key = NULL;
    for (size_t i = 0; i < 27; i++) {
        const size_t at[] = {i % 3, i / 3 % 3, i / 9};
        const struct share *given[] = {&f->shares[at[0]], &f->shares[at[1]], &f->shares[at[2]]};
        bool repeated = at[0] == at[1] || at[1] == at[2] || at[0] == at[2];
        assert_int_equal(shares_combine(&f->c, given, &key), repeated ? VAULT_E_STATE : VAULT_OK);
        assert_int_equal(key == NULL, repeated);
        secret_free(&key);
    }
}

static void wrong_share_is_not_combined(void **state) {
    struct fixture *f = *state;
    for (unsigned i = 0; i < 3; i++) {
        secret_edit(f->shares[i].value)[0] ^= 1;
        assert_set_is_refused(f, 7);
        secret_edit(f->shares[i].value)[0] ^= 1;
        f->shares[i].ceremony[0] ^= 1;
        assert_set_is_refused(f, 7);
        f->shares[i].ceremony[0] ^= 1;
    }
    assert_set_gives_the_key(f, 7);
}

static void ceremony_out_of_range_is_not_combined(void **state) {
    struct fixture *f = *state;
    static const uint8_t sizes[][2] = {{5, 0}, {5, 1}, {5, 6}, {33, 33}, {255, 255}, {255, 3}, {0, 0}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct secret *key = NULL;
        const struct share *given[SHARES_MAX] = {&f->shares[0], &f->shares[1], &f->shares[2]};
        f->c.count = f->shares[0].count = sizes[i][0];
        f->c.threshold = f->shares[0].threshold = sizes[i][1];
        assert_int_equal(share_check(&f->c, &f->shares[0]), VAULT_E_DAMAGED);
        assert_int_equal(shares_combine(&f->c, given, &key), VAULT_E_STATE);
        assert_null(key);
    }
}

static void cleared_share_is_nothing(void **state) {
    struct fixture *f = *state;
    static const struct share nothing;
    struct secret *text = NULL;
    share_clear(&f->shares[0]);
    assert_memory_equal(&f->shares[0], &nothing, sizeof(nothing));
    share_clear(&f->shares[0]);
    share_clear(NULL);
    assert_int_equal(share_write(&f->shares[0], &text), VAULT_E_STATE);
    assert_null(text);
    assert_int_equal(share_check(&f->c, &f->shares[0]), VAULT_NOT_FOUND);
    COPY_ARRAY(f->shares[0].ceremony, f->c.id);
    assert_int_equal(share_check(&f->c, &f->shares[0]), VAULT_E_DAMAGED);
}

/* ---- Checking. ---- */

static void good_share_passes(void **state) {
    struct fixture *f = *state;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(share_check(&f->c, &f->shares[i]), VAULT_OK);
}

static void share_of_another_ceremony_is_not_found(void **state) {
    struct fixture *f = *state;
    struct ceremony before = f->c;
    split(f, 5, 3);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(share_check(&before, &f->shares[i]), VAULT_NOT_FOUND);
    for (size_t bit = 0; bit < 8 * CEREMONY_ID; bit++) {
        f->shares[0].ceremony[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(share_check(&f->c, &f->shares[0]), VAULT_NOT_FOUND);
        f->shares[0].ceremony[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void changed_share_is_damaged(void **state) {
    struct fixture *f = *state;
    struct share *s = &f->shares[1];
    uint8_t *const fields[] = {&s->number, &s->count, &s->threshold};
    for (size_t i = 0; i < 3; i++) {
        for (unsigned by = 1; by <= 255; by++) {
            *fields[i] ^= (uint8_t)by;
            assert_int_equal(share_check(&f->c, s), VAULT_E_DAMAGED);
            *fields[i] ^= (uint8_t)by;
        }
    }
    for (size_t bit = 0; bit < 8 * SECRET_KEY_SIZE; bit++) {
        secret_edit(s->value)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(share_check(&f->c, s), VAULT_E_DAMAGED);
        secret_edit(s->value)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(share_check(&f->c, s), VAULT_OK);
}

/* Also where the beginning is right. */
static void value_of_another_size_is_damaged(void **state) {
    static const size_t sizes[] = {1, 16, 31, 33, 64};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct share odd = f->shares[0];
        size_t n = sizes[i] < SECRET_KEY_SIZE ? sizes[i] : SECRET_KEY_SIZE;
        assert_int_equal(secret_new(&odd.value, sizes[i]), VAULT_OK);
        copy_bytes(secret_edit(odd.value), sizes[i], secret_view(f->shares[0].value), n);
        assert_int_equal(share_check(&f->c, &odd), VAULT_E_DAMAGED);
        share_clear(&odd);
    }
}

/* Above all a ceremony with a lower threshold: fewer shares than it takes would give a key, and not the right one. */
static void share_does_not_fit_a_changed_ceremony(void **state) {
    struct fixture *f = *state;
    uint8_t *const fields[] = {&f->c.count, &f->c.threshold};
    const struct share *given[SHARES_MAX] = {&f->shares[0], &f->shares[1], &f->shares[2]};
    struct secret *key = NULL;
    for (size_t i = 0; i < 2; i++) {
        for (unsigned by = 1; by <= 255; by++) {
            *fields[i] ^= (uint8_t)by;
            assert_int_equal(share_check(&f->c, &f->shares[0]), VAULT_E_DAMAGED);
            assert_int_equal(shares_combine(&f->c, given, &key), VAULT_E_STATE);
            assert_null(key);
            *fields[i] ^= (uint8_t)by;
        }
    }
}

/* A ceremony's public part lies where somebody may change it: along with a share it does not get through. */
static void commitment_binds_everything(void **state) {
    struct fixture *f = *state;
    struct share *s = &f->shares[0];
    s->threshold = f->c.threshold = 2;
    assert_int_equal(share_check(&f->c, s), VAULT_E_DAMAGED);
    s->threshold = f->c.threshold = 3;
    s->count = f->c.count = 6;
    assert_int_equal(share_check(&f->c, s), VAULT_E_DAMAGED);
    s->count = f->c.count = 5;
    s->ceremony[3] ^= 1;
    f->c.id[3] ^= 1;
    assert_int_equal(share_check(&f->c, s), VAULT_E_DAMAGED);
    s->ceremony[3] ^= 1;
    f->c.id[3] ^= 1;
    COPY_ARRAY(f->c.commitments[1], f->c.commitments[0]);
    s->number = 2;
    assert_int_equal(share_check(&f->c, s), VAULT_E_DAMAGED);
    s->number = 1;
    assert_int_equal(share_check(&f->c, s), VAULT_OK);
}

static void each_bit_of_a_commitment_counts(void **state) {
    struct fixture *f = *state;
    for (size_t bit = 0; bit < 8 * COMMITMENT; bit++) {
        f->c.commitments[2][bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(share_check(&f->c, &f->shares[2]), VAULT_E_DAMAGED);
        assert_int_equal(share_check(&f->c, &f->shares[1]), VAULT_OK);
        f->c.commitments[2][bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* ---- Text. ---- */

static void write_text(const struct share *s, char to[SHARE_TEXT]) {
    CLEANUP_SECRET struct secret *text = NULL;
    assert_int_equal(share_write(s, &text), VAULT_OK);
    assert_int_equal(secret_size(text), TEXT);
    copy_bytes(to, SHARE_TEXT, secret_view(text), TEXT);
    to[TEXT] = '\0';
}

static void assert_reads_as(const char *text, size_t n, const struct share *expected) {
    struct share s = {0};
    assert_int_equal(share_read(text, n, &s), VAULT_OK);
    assert_same_share(&s, expected);
    share_clear(&s);
}

static void assert_unread(const void *text, size_t n, int expected) {
    struct share s = {.number = 99}, before = s;
    assert_int_equal(share_read(text, n, &s), expected);
    assert_memory_equal(&s, &before, sizeof(s));
}

static void text_reads_back(void **state) {
    struct fixture *f = *state;
    char text[SHARE_TEXT];
    split(f, 32, 17);
    for (unsigned i = 0; i < 32; i++) {
        write_text(&f->shares[i], text);
        assert_memory_equal(text, "vshare1-", 8);
        assert_int_equal(strspn(text + 8, "0123456789abcdef-"), TEXT - 8);
        for (size_t at = 7; at < TEXT; at++)
            assert_int_equal(text[at] == '-', (at - 7) % 9 == 0);
        assert_reads_as(text, TEXT, &f->shares[i]);
    }
}

static void text_survives_upper_case_and_what_is_between(void **state) {
    static const char *const fillers[] = {"", " ", "\t", "\n", "\r\n", "-", " - ", "\n\n \t--\r"};
    struct fixture *f = *state;
    char text[SHARE_TEXT], loose[16 * SHARE_TEXT];
    write_text(&f->shares[3], text);
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
        for (size_t every = 1; every <= 9; every++) {
            struct writer w = writer_of(loose, sizeof(loose));
            for (size_t at = 0, written = 0; at < TEXT; at++) {
                if (text[at] == '-')
                    continue;
                write_u8(&w, (uint8_t)(every % 2 == 0 ? text[at] : toupper(text[at])));
                if (++written % every == 0)
                    write_bytes(&w, fillers[i], strlen(fillers[i]));
            }
            assert_false(w.bad);
            assert_reads_as(loose, w.used, &f->shares[3]);
        }
    }
}

static void text_within_any_amount_of_blanks_is_read(void **state) {
    static char wide[100000];
    struct fixture *f = *state;
    char text[SHARE_TEXT];
    write_text(&f->shares[0], text);
    for (size_t i = 0; i < sizeof(wide); i++)
        wide[i] = ' ';
    copy_bytes(wide + 50000, sizeof(wide) - 50000, text, TEXT);
    assert_reads_as(wide, sizeof(wide), &f->shares[0]);
}

/* Bit 5 makes a letter upper case, and a dash a line break: neither matters. Anything else does. */
static void text_with_any_bit_flipped_is_refused(void **state) {
    struct fixture *f = *state;
    char text[SHARE_TEXT];
    write_text(&f->shares[0], text);
    for (size_t bit = 0; bit < (size_t)8 * TEXT; bit++) {
        struct share s = {0};
        char *at = &text[bit / 8];
        bool same = bit % 8 == 5 && (isalpha((unsigned char)*at) || *at == '-');
        *at = (char)(*at ^ 1 << bit % 8);
        int result = share_read(text, TEXT, &s);
        *at = (char)(*at ^ 1 << bit % 8);
        if (same)
            assert_same_share(&s, &f->shares[0]);
        else
            assert_true(result == VAULT_E_DAMAGED || result == VAULT_E_FORMAT);
        assert_int_equal(s.value != NULL, same);
        share_clear(&s);
    }
}

static void mistyped_digit_is_damage(void **state) {
    struct fixture *f = *state;
    char text[SHARE_TEXT];
    write_text(&f->shares[0], text);
    for (size_t at = 8; at < TEXT; at++) {
        char right = text[at];
        text[at] = "0123456789abcdef"[at % 16];
        if (right != '-' && text[at] != right)
            assert_unread(text, TEXT, VAULT_E_DAMAGED);
        text[at] = right;
    }
}

static void text_of_another_length_is_no_share(void **state) {
    struct fixture *f = *state;
    char text[2 * SHARE_TEXT];
    write_text(&f->shares[0], text);
    for (size_t n = 0; n < TEXT; n++) {
        assert_unread(text, n, VAULT_E_FORMAT);
        assert_unread(text + TEXT - n, n, VAULT_E_FORMAT);
    }
    assert_unread(text, TEXT + 1, VAULT_E_FORMAT); /* its NUL */
    text[TEXT] = '0';
    assert_unread(text, TEXT + 1, VAULT_E_FORMAT);
    copy_bytes(text + TEXT, SHARE_TEXT, text, TEXT);
    assert_unread(text, (size_t)2 * TEXT, VAULT_E_FORMAT);
}

static void text_with_another_character_is_no_share(void **state) {
    static const char others[] = "g/:@`GZ\v\f_.,\xa0\xe2\x80\x90";
    struct fixture *f = *state;
    char text[SHARE_TEXT];
    write_text(&f->shares[0], text);
    for (size_t i = 0; i < sizeof(others); i++) { /* the NUL too */
        for (size_t at = i % 5; at < TEXT; at += 5) {
            char right = text[at];
            text[at] = others[i];
            assert_unread(text, TEXT, VAULT_E_FORMAT);
            text[at] = right;
        }
    }
}

static void text_of_another_version_is_refused(void **state) {
    struct fixture *f = *state;
    char text[SHARE_TEXT];
    write_text(&f->shares[0], text);
    text[6] = '2';
    assert_unread(text, TEXT, VAULT_E_FORMAT);
}

/* The text of any body, with the right check value. */
static size_t text_of_body(const uint8_t body[BODY], char to[SHARE_TEXT]) {
    uint8_t hashed[18 + BODY], hash[32], whole[BODY + CHECK];
    copy_bytes(hashed, sizeof(hashed), "vault-share-text-1", 18);
    copy_bytes(hashed + 18, BODY, body, BODY);
    assert_int_equal(crypto_generichash(hash, sizeof(hash), hashed, sizeof(hashed), NULL, 0), 0);
    copy_bytes(whole, sizeof(whole), body, BODY);
    copy_bytes(whole + BODY, CHECK, hash, CHECK);
    copy_bytes(to, SHARE_TEXT, "vshare1", 7);
    sodium_bin2hex(to + 7, SHARE_TEXT - 7, whole, sizeof(whole));
    return 7 + 2 * sizeof(whole);
}

static void text_out_of_range_is_refused_with_the_right_check_value(void **state) {
    (void)state;
    static const uint8_t fields[][3] = {{0, 5, 3}, {6, 5, 3}, {255, 5, 3}, {1, 1, 1},   {1, 2, 1},
                                        {1, 5, 0}, {1, 5, 6}, {1, 33, 2},  {33, 33, 2}, {0, 0, 0}};
    uint8_t body[BODY] = {0};
    char text[SHARE_TEXT];
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        copy_bytes(body + CEREMONY_ID, 3, fields[i], 3);
        assert_unread(text, text_of_body(body, text), VAULT_E_FORMAT);
    }
    copy_bytes(body + CEREMONY_ID, 3, "\x20\x20\x20", 3);
    struct share s = {0};
    assert_int_equal(share_read(text, text_of_body(body, text), &s), VAULT_OK);
    assert_int_equal(s.number, 32);
    share_clear(&s);
}

/* ---- The ceremony's own form. ---- */

static void ceremony_reads_back(void **state) {
    struct fixture *f = *state;
    for (unsigned count = 2; count <= SHARES_MAX; count++) {
        uint8_t bytes[CEREMONY_SIZE_MAX];
        struct ceremony read;
        split(f, count, 2 + count / 3);
        size_t n = ceremony_write(&f->c, bytes);
        assert_int_equal(n, CEREMONY_ID + 2 + count * COMMITMENT);
        assert_int_equal(ceremony_read(bytes, n, &read), VAULT_OK);
        assert_memory_equal(&read, &f->c, sizeof(read));
    }
}

static void assert_ceremony_unread(const uint8_t *bytes, size_t n) {
    struct ceremony c = {.count = 99}, before = c;
    assert_int_equal(ceremony_read(bytes, n, &c), VAULT_E_FORMAT);
    assert_memory_equal(&c, &before, sizeof(c));
}

static void ceremony_of_another_size_or_range_is_refused(void **state) {
    static const uint8_t sizes[][2] = {{0, 0}, {1, 1}, {5, 0}, {5, 1}, {5, 6}, {4, 3}, {6, 3}, {33, 3}, {255, 255}};
    struct fixture *f = *state;
    uint8_t bytes[CEREMONY_SIZE_MAX + 255 * COMMITMENT] = {0};
    size_t whole = ceremony_write(&f->c, bytes);
    for (size_t n = 0; n < sizeof(bytes); n++)
        if (n != whole)
            assert_ceremony_unread(bytes, n);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        copy_bytes(bytes + CEREMONY_ID, 2, sizes[i], 2);
        assert_ceremony_unread(bytes, whole);
    }
    for (unsigned count = 33; count <= 255; count++) {
        bytes[CEREMONY_ID] = (uint8_t)count;
        bytes[CEREMONY_ID + 1] = 3;
        assert_ceremony_unread(bytes, CEREMONY_ID + 2 + count * (size_t)COMMITMENT);
    }
}

/* ---- Memory that is refused. ---- */

struct outcome {
    struct ceremony c;
    struct share shares[5];
    struct secret *secret;
};

static int do_split(struct fixture *f, struct outcome *o) {
    return shares_split(f->key, 5, 3, &o->c, o->shares);
}

static int do_check(struct fixture *f, struct outcome *o) {
    (void)o;
    return share_check(&f->c, &f->shares[0]);
}

static int do_combine(struct fixture *f, struct outcome *o) {
    return combine_set(f, 7, false, &o->secret);
}

static int do_write(struct fixture *f, struct outcome *o) {
    return share_write(&f->shares[0], &o->secret);
}

static int do_read(struct fixture *f, struct outcome *o) {
    static char text[SHARE_TEXT];
    static uint8_t body[BODY];
    (void)f;
    copy_bytes(body + CEREMONY_ID, 3, "\1\2\2", 3);
    return share_read(text, text_of_body(body, text), &o->shares[0]);
}

static int with_refusal(int (*act)(struct fixture *, struct outcome *), int at, struct fixture *f, struct outcome *o) {
    memory.asked = 0;
    memory.refuse_at = at;
    int result = act(f, o);
    memory.refuse_at = 0;
    return result;
}

static void refuse_each(int (*act)(struct fixture *, struct outcome *), struct fixture *f, int expected) {
    static const struct outcome nothing;
    struct outcome o = {0};
    int held_before = memory.live, at = 1;
    while (with_refusal(act, at, f, &o) != VAULT_OK) {
        assert_int_equal(with_refusal(act, at, f, &o), VAULT_E_MEMORY);
        assert_memory_equal(&o, &nothing, sizeof(o));
        assert_int_equal(memory.live, held_before);
        at++;
    }
    assert_int_equal(at - 1, expected);
    for (unsigned i = 0; i < 5; i++)
        share_clear(&o.shares[i]);
    secret_free(&o.secret);
}

static void refused_memory_is_reported_and_nothing_is_left(void **state) {
    struct fixture *f = *state;
    refuse_each(do_split, f, 5 + 1 + 5); /* values, context, what is committed to */
    refuse_each(do_check, f, 1);
    refuse_each(do_combine, f, 3 + 1 + 1); /* checks, key, context */
    refuse_each(do_write, f, 3);           /* frame, digits, text */
    refuse_each(do_read, f, 3);            /* frame, text without dashes, value */
}

/* ---- A known answer, computed from docs/format-shares.md without this code or libgfshare. ---- */

/* Shares 2, 3 and 5 of a ceremony of 3 of 5. */
static const char *const known_texts[] = {
    "vshare1-c0ffee00-11223344-55667788-99aabbcc-02050387-0649f7ce-1dd4e29d-95cd2d63-15193e52-893224ac-2d5261c6-"
    "ee622ca7-aa42f7ac-02b5b5",
    "vshare1-c0ffee00-11223344-55667788-99aabbcc-03050316-2b3ddecb-3306012a-260f1b0c-af1d4cf7-be94ab1c-03d835ed-"
    "7ca255a3-6c08bf3f-e43a3a",
    "vshare1-c0ffee00-11223344-55667788-99aabbcc-05050358-4b567daf-16dccb37-243e4443-5e586c65-f42d22fa-c63df088-"
    "67993f85-30eb67d3-305b39",
};
static const char known_key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char known_ceremony[] = "c0ffee00112233445566778899aabbcc0503"
                                     "bc85923862dca4054efb7026dacf1ff825e0f1266cc29911a3563dbbe49df86a"
                                     "89446b8e65886fb6b8b8521840eaf1b66a1fb7a85f345d90329bee7c87eaf9e6"
                                     "4f4b9dac2403a167dad044ade5d0438b98cb4a1bcb3e282e7f292db0bb505b6a"
                                     "a8212614a63dc60f4200babe97108eacd5204a65f5c08ffbd475c9fc2eb7a62f"
                                     "83d3882e3930f9bae981e8fc43c00c3f105f847ea82f447aaacad56dce525a05";

static void known_texts_give_the_known_key(void **state) {
    (void)state;
    uint8_t bytes[CEREMONY_ID + 2 + 5 * COMMITMENT], key[SECRET_KEY_SIZE];
    struct ceremony c;
    struct share shares[3] = {0};
    const struct share *given[] = {&shares[0], &shares[1], &shares[2]};
    CLEANUP_SECRET struct secret *combined = NULL;
    assert_true(hex_decode(bytes, sizeof(bytes), known_ceremony));
    assert_true(hex_decode(key, sizeof(key), known_key));
    assert_int_equal(ceremony_read(bytes, sizeof(bytes), &c), VAULT_OK);
    for (size_t i = 0; i < 3; i++) {
        char text[SHARE_TEXT];
        assert_int_equal(share_read(known_texts[i], strlen(known_texts[i]), &shares[i]), VAULT_OK);
        assert_int_equal(share_check(&c, &shares[i]), VAULT_OK);
        write_text(&shares[i], text);
        assert_string_equal(text, known_texts[i]);
    }
    assert_int_equal(shares_combine(&c, given, &combined), VAULT_OK);
    assert_memory_equal(secret_view(combined), key, sizeof(key));
    for (size_t i = 0; i < 3; i++)
        share_clear(&shares[i]);
}

#define WITH_CEREMONY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CEREMONY(any_threshold_of_shares_gives_the_key),
        WITH_CEREMONY(threshold_of_many_shares_gives_the_key),
        WITH_CEREMONY(too_few_or_wrong_shares_give_another_key),
        WITH_CEREMONY(shares_are_numbered_and_say_their_ceremony),
        WITH_CEREMONY(two_splits_of_a_key_have_nothing_in_common),
        WITH_CEREMONY(all_randomness_is_of_libsodium),
        WITH_CEREMONY(split_out_of_range_is_refused),
        WITH_CEREMONY(split_of_a_key_of_another_size_is_refused),
        WITH_CEREMONY(repeated_share_is_refused),
        WITH_CEREMONY(wrong_share_is_not_combined),
        WITH_CEREMONY(ceremony_out_of_range_is_not_combined),
        WITH_CEREMONY(cleared_share_is_nothing),
        WITH_CEREMONY(good_share_passes),
        WITH_CEREMONY(share_of_another_ceremony_is_not_found),
        WITH_CEREMONY(changed_share_is_damaged),
        WITH_CEREMONY(value_of_another_size_is_damaged),
        WITH_CEREMONY(share_does_not_fit_a_changed_ceremony),
        WITH_CEREMONY(commitment_binds_everything),
        WITH_CEREMONY(each_bit_of_a_commitment_counts),
        WITH_CEREMONY(text_reads_back),
        WITH_CEREMONY(text_survives_upper_case_and_what_is_between),
        WITH_CEREMONY(text_within_any_amount_of_blanks_is_read),
        WITH_CEREMONY(text_with_any_bit_flipped_is_refused),
        WITH_CEREMONY(mistyped_digit_is_damage),
        WITH_CEREMONY(text_of_another_length_is_no_share),
        WITH_CEREMONY(text_with_another_character_is_no_share),
        WITH_CEREMONY(text_of_another_version_is_refused),
        WITH_CEREMONY(text_out_of_range_is_refused_with_the_right_check_value),
        WITH_CEREMONY(ceremony_reads_back),
        WITH_CEREMONY(ceremony_of_another_size_or_range_is_refused),
        WITH_CEREMONY(refused_memory_is_reported_and_nothing_is_left),
        WITH_CEREMONY(known_texts_give_the_known_key),
    };
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
