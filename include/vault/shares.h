/* K-of-N shares of a key: any K give it back, K - 1 say nothing about it (Shamir over GF(2^8), libgfshare's arithmetic
 * with libsodium's randomness). docs/format-shares.md.
 *
 * Splitting is a ceremony with a random id. Its public part, `struct ceremony`, holds a commitment to each share, so
 * that a share which is wrong, of another ceremony or given twice is named before anything is tried with it. */
#ifndef VAULT_SHARES_H
#define VAULT_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

enum {
    SHARES_MAX = 32, /* most shares of a ceremony; the fewest, and the lowest threshold, is 2 */
    CEREMONY_ID = 16,
    COMMITMENT = 32, /* BLAKE2b-256 */
    CEREMONY_SIZE_MAX = CEREMONY_ID + 2 + SHARES_MAX * COMMITMENT,
    SHARE_TEXT = 132 /* the text form with its NUL */
};

/* What may be known to everyone. Owns nothing. */
struct ceremony {
    uint8_t id[CEREMONY_ID];
    uint8_t count;                               /* N, 2 to SHARES_MAX */
    uint8_t threshold;                           /* K, 2 to N */
    uint8_t commitments[SHARES_MAX][COMMITMENT]; /* of share 1, 2, ...; `count` are used */
};

/* One share. Owns its value. */
struct share {
    uint8_t ceremony[CEREMONY_ID];
    uint8_t number; /* 1 to N */
    uint8_t count, threshold;
    struct secret *value; /* SECRET_KEY_SIZE bytes */
};

/* Frees the value and leaves zeros; accepts NULL and a share that was cleared. */
void share_clear(struct share *s);

/* Whether there may be a ceremony of that many shares with that threshold. */
bool shares_in_range(unsigned count, unsigned threshold);

/* Splits a key of SECRET_KEY_SIZE bytes; `ret_shares` has room for `count` and holds that many afterwards, numbered
 * from 1. VAULT_E_LIMIT (count or threshold out of range, key of another size), VAULT_E_MEMORY. */
int shares_split(const struct secret *key, unsigned count, unsigned threshold, struct ceremony *ret,
                 struct share *ret_shares);

/* Whether this is a good share of the ceremony. VAULT_NOT_FOUND: of another ceremony; VAULT_E_DAMAGED: of this one, and
 * number, count, threshold or value are not what was committed to. VAULT_E_MEMORY: not known. */
int share_check(const struct ceremony *c, const struct share *s);

/* The key from exactly `c->threshold` different shares, each of which passes share_check (VAULT_E_STATE otherwise, and
 * where one is NULL). VAULT_E_MEMORY. */
int shares_combine(const struct ceremony *c, const struct share *const *given, struct secret **ret);

/* The text form that people keep: one line, without newline, with a check value that finds typing errors:
 * docs/format-shares.md. The text is a secret of its length, without NUL. VAULT_E_STATE (a cleared
 * share), VAULT_E_MEMORY. */
int share_write(const struct share *s, struct secret **ret_text);
/* Reads it back; upper and lower case, blanks, tabs, line breaks and dashes within do not matter. VAULT_E_FORMAT (not
 * the text of a share, or a version not known), VAULT_E_DAMAGED (the check value differs: mistyped), VAULT_E_MEMORY. */
int share_read(const void *text, size_t n, struct share *ret);

/* Binary form of the ceremony: id ‖ u8 N ‖ u8 K ‖ N commitments. Returns its size. Aborts if N or K is out of range. */
size_t ceremony_write(const struct ceremony *c, uint8_t ret[CEREMONY_SIZE_MAX]);
/* All n bytes. VAULT_E_FORMAT. */
int ceremony_read(const uint8_t *bytes, size_t n, struct ceremony *ret);

#endif
