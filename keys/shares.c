#include "vault/shares.h"

#include <libgfshare.h>
#include <sodium.h>
#include <stdlib.h>

#include "vault/buffer.h"
#include "vault/result.h"

/* libgfshare keeps the key, the coefficients and the shares in heap memory of its own, which is not locked. What was
 * found in version 2.0.0, where its manual is silent: gfshare_ctx_free overwrites all three of its blocks, with what
 * gfshare_fill_rand gives, before it frees them, and it makes no other copies. So a context lives for as few steps as
 * possible, and everything that can fail comes before it. Its manual asks for a threshold below the number of shares;
 * its arithmetic does not need that, and the tests hold it to shares that are needed all. */

enum { FEWEST = 2, LABEL = 13, COMMITTED = LABEL + CEREMONY_ID + 3 + SECRET_KEY_SIZE };

bool shares_in_range(unsigned count, unsigned threshold) {
    return count <= SHARES_MAX && threshold >= FEWEST && threshold <= count;
}

void share_clear(struct share *s) {
    if (s == NULL)
        return;
    secret_free(&s->value);
    *s = (struct share){0};
}

/* What is committed to holds the value, so it is put together in a secret. */
static int commit(const struct share *s, uint8_t ret[COMMITMENT]) {
    CLEANUP_SECRET struct secret *committed = NULL;
    int result = secret_new(&committed, COMMITTED);
    if (result != VAULT_OK)
        return result;
    struct writer w = writer_of(secret_edit(committed), COMMITTED);
    write_bytes(&w, "vault-share-1", LABEL);
    write_bytes(&w, s->ceremony, CEREMONY_ID);
    write_u8(&w, s->number);
    write_u8(&w, s->count);
    write_u8(&w, s->threshold);
    write_bytes(&w, secret_view(s->value), SECRET_KEY_SIZE);
    if (w.bad || crypto_generichash(ret, COMMITMENT, secret_view(committed), COMMITTED, NULL, 0) != 0)
        abort();
    return VAULT_OK;
}

static void fill_random(unsigned char *to, unsigned n) {
    randombytes_buf(to, n);
}

/* The shares of a ceremony, their values still zero. What was made is in `shares` on failure too. */
static int number_shares(const struct ceremony *c, struct share *shares) {
    int result = VAULT_OK;
    for (unsigned i = 0; result == VAULT_OK && i < c->count; i++) {
        struct share *s = &shares[i];
        COPY_ARRAY(s->ceremony, c->id);
        s->number = (uint8_t)(i + 1);
        s->count = c->count;
        s->threshold = c->threshold;
        result = secret_new(&s->value, SECRET_KEY_SIZE);
    }
    return result;
}

static int fill_shares(const struct secret *key, const struct ceremony *c, struct share *shares) {
    unsigned char numbers[SHARES_MAX];
    for (unsigned i = 0; i < c->count; i++)
        numbers[i] = shares[i].number;
    gfshare_fill_rand = fill_random; /* NULL at first */
    gfshare_ctx *context = gfshare_ctx_init_enc(numbers, c->count, c->threshold, SECRET_KEY_SIZE);
    if (context == NULL)
        return VAULT_E_MEMORY;
    gfshare_ctx_enc_setsecret(context, (unsigned char *)secret_view(key)); /* only read */
    for (unsigned i = 0; i < c->count; i++)
        gfshare_ctx_enc_getshare(context, (unsigned char)i, secret_edit(shares[i].value));
    gfshare_ctx_free(context);
    return VAULT_OK;
}

static int commit_all(struct ceremony *c, const struct share *shares) {
    int result = VAULT_OK;
    for (unsigned i = 0; result == VAULT_OK && i < c->count; i++)
        result = commit(&shares[i], c->commitments[i]);
    return result;
}

int shares_split(const struct secret *key, unsigned count, unsigned threshold, struct ceremony *ret,
                 struct share *ret_shares) {
    struct share shares[SHARES_MAX] = {0};
    if (!shares_in_range(count, threshold) || secret_size(key) != SECRET_KEY_SIZE)
        return VAULT_E_LIMIT;
    struct ceremony c = {.count = (uint8_t)count, .threshold = (uint8_t)threshold};
    randombytes_buf(c.id, sizeof(c.id));
    int result = number_shares(&c, shares);
    if (result == VAULT_OK)
        result = fill_shares(key, &c, shares);
    if (result == VAULT_OK)
        result = commit_all(&c, shares);
    for (unsigned i = 0; i < count; i++) {
        if (result == VAULT_OK)
            ret_shares[i] = shares[i];
        else
            share_clear(&shares[i]);
    }
    if (result == VAULT_OK)
        *ret = c;
    return result;
}

/* Whether the share says of itself what a share of this ceremony can say. */
static bool fits_ceremony(const struct ceremony *c, const struct share *s) {
    return shares_in_range(c->count, c->threshold) && s->count == c->count && s->threshold == c->threshold &&
           s->number >= 1 && s->number <= c->count && s->value != NULL && secret_size(s->value) == SECRET_KEY_SIZE;
}

int share_check(const struct ceremony *c, const struct share *s) {
    uint8_t commitment[COMMITMENT];
    if (sodium_memcmp(s->ceremony, c->id, CEREMONY_ID) != 0)
        return VAULT_NOT_FOUND;
    if (!fits_ceremony(c, s))
        return VAULT_E_DAMAGED;
    int result = commit(s, commitment);
    if (result != VAULT_OK)
        return result;
    bool same = sodium_memcmp(commitment, c->commitments[s->number - 1], COMMITMENT) == 0;
    return same ? VAULT_OK : VAULT_E_DAMAGED;
}

/* VAULT_E_STATE unless all are there, good and different. Interpolation would divide by zero with two equal ones. */
static int check_given(const struct ceremony *c, const struct share *const *given,
                       unsigned char ret_numbers[SHARES_MAX]) {
    uint64_t seen = 0;
    if (!shares_in_range(c->count, c->threshold))
        return VAULT_E_STATE;
    for (unsigned i = 0; i < c->threshold; i++) {
        int result = given[i] != NULL ? share_check(c, given[i]) : VAULT_E_STATE;
        if (result == VAULT_E_MEMORY)
            return result;
        if (result != VAULT_OK || (seen >> given[i]->number & 1) != 0)
            return VAULT_E_STATE;
        seen |= UINT64_C(1) << given[i]->number;
        ret_numbers[i] = given[i]->number;
    }
    return VAULT_OK;
}

int shares_combine(const struct ceremony *c, const struct share *const *given, struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    unsigned char numbers[SHARES_MAX];
    int result = check_given(c, given, numbers);
    if (result == VAULT_OK)
        result = secret_new(&key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    gfshare_fill_rand = fill_random; /* what the context is overwritten with in the end */
    gfshare_ctx *context = gfshare_ctx_init_dec(numbers, c->threshold, SECRET_KEY_SIZE);
    if (context == NULL)
        return VAULT_E_MEMORY;
    for (unsigned i = 0; i < c->threshold; i++)
        gfshare_ctx_dec_giveshare(context, (unsigned char)i, (unsigned char *)secret_view(given[i]->value));
    gfshare_ctx_dec_extract(context, secret_edit(key));
    gfshare_ctx_free(context);
    *ret = secret_move(&key);
    return VAULT_OK;
}

size_t ceremony_write(const struct ceremony *c, uint8_t ret[CEREMONY_SIZE_MAX]) {
    if (!shares_in_range(c->count, c->threshold))
        abort();
    struct writer w = writer_of(ret, CEREMONY_SIZE_MAX);
    write_bytes(&w, c->id, CEREMONY_ID);
    write_u8(&w, c->count);
    write_u8(&w, c->threshold);
    write_bytes(&w, c->commitments, c->count * (size_t)COMMITMENT);
    return w.used;
}

int ceremony_read(const uint8_t *bytes, size_t n, struct ceremony *ret) {
    struct ceremony c = {0};
    struct reader r = reader_of(bytes, n);
    read_bytes(&r, c.id, CEREMONY_ID);
    c.count = read_u8(&r);
    c.threshold = read_u8(&r);
    if (r.bad || !shares_in_range(c.count, c.threshold))
        return VAULT_E_FORMAT;
    read_bytes(&r, c.commitments, c.count * (size_t)COMMITMENT);
    if (!read_done(&r))
        return VAULT_E_FORMAT;
    *ret = c;
    return VAULT_OK;
}
