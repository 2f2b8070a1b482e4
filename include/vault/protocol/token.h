/* Monitor and token: one task, one answer, on a channel of its own. What the token says is believed only as far as it
 * can be seen: a wrong root key does not open the key ring. No descriptors. */
#ifndef VAULT_PROTOCOL_TOKEN_H
#define VAULT_PROTOCOL_TOKEN_H

#include "vault/protocol/common.h"

enum {
    TOKEN_KEY_ID = 32, /* CKA_ID of a key of ours: vault id, then 16 random bytes */
    TOKEN_WRAPPED = 60 /* IV of 12 bytes, ciphertext of 32, tag of 16 */
};

/* Makes a new key in the token and wraps the root key with it. */
#define FIELDS_token_wrap(F, R)                                                                                        \
    F(R, FIXED, vault, ID_SIZE)                                                                                        \
    F(R, KEY, root, 0)
#define FIELDS_token_wrapped(F, R)                                                                                     \
    F(R, FIXED, key, TOKEN_KEY_ID)                                                                                     \
    F(R, FIXED, wrapped, TOKEN_WRAPPED)

#define FIELDS_token_unwrap(F, R)                                                                                      \
    F(R, FIXED, vault, ID_SIZE)                                                                                        \
    F(R, FIXED, key, TOKEN_KEY_ID)                                                                                     \
    F(R, FIXED, wrapped, TOKEN_WRAPPED)
#define FIELDS_token_unwrapped(F, R) F(R, KEY, root, 0)

/* Destroys the vault's keys in the token but the one to keep; all zero: all of them. */
#define FIELDS_token_sweep(F, R)                                                                                       \
    F(R, FIXED, vault, ID_SIZE)                                                                                        \
    F(R, FIXED, keep, TOKEN_KEY_ID)
#define FIELDS_token_swept(F, R) F(R, U32, destroyed, 0)

/* Instead of any of the three answers; nothing was done then, as far as the token could undo it. */
#define FIELDS_token_refused(F, R)                                                                                     \
    F(R, U8, why, 0)     /* enum token_refusal */                                                                      \
    F(R, U64, detail, 0) /* what the module returned (CK_RV); 0: nothing that says more */

enum token_refusal {
    TOKEN_GRANTED = 0,   /* never sent */
    TOKEN_NO_MODULE = 1, /* it cannot be loaded, or is no PKCS#11 module */
    TOKEN_NOT_THERE = 2, /* no slot holds a token that the URI selects */
    TOKEN_AMBIGUOUS = 3, /* more than one does */
    TOKEN_PIN_MALFORMED = 4,
    TOKEN_PIN_WRONG = 5,
    TOKEN_PIN_LOCKED = 6,
    TOKEN_NO_KEY = 7,
    TOKEN_KEY_EXPOSED = 8, /* the key can be extracted, or is not sensitive, private and of the token */
    TOKEN_NO_MECHANISM = 9,
    TOKEN_NOT_OPENED = 10, /* the key does not unwrap what it is given */
    TOKEN_NONSENSE = 11,   /* the module said what cannot be */
    TOKEN_FAILED = 12      /* anything else that the module refused */
};

#define PROTOCOL_TOKEN(M)                                                                                              \
    M(token_wrap, 0x0601, 0)                                                                                           \
    M(token_wrapped, 0x0602, 0)                                                                                        \
    M(token_unwrap, 0x0603, 0)                                                                                         \
    M(token_unwrapped, 0x0604, 0)                                                                                      \
    M(token_sweep, 0x0605, 0)                                                                                          \
    M(token_swept, 0x0606, 0)                                                                                          \
    M(token_refused, 0x0607, 0)

#endif
