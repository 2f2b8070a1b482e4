/* One task at a PKCS#11 token: everything that the parts of vaultd-token share.
 *
 * The module is foreign code in this process: it can see what the process holds, end it, or never return. So the
 * process does one task and ends; who asked it believes only what it can check. Functions of this header give a
 * token_refusal: TOKEN_GRANTED, or why not; what the module returned is in token->said then. PKCS#11 2.40. */
#ifndef VAULT_TOKEN_TOKEN_H
#define VAULT_TOKEN_TOKEN_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <stdint.h>

#include "vault/message.h"
#include "vault/secret.h"

struct token {
    CK_FUNCTION_LIST *module; /* NULL: not loaded */
    bool initialised, logged_in;
    P11KitUri *uri;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session; /* 0: none */
    CK_RV said;                /* what a function of the module returned that was not CKR_OK */
};

/* ---- pin.c ---- */

/* The PIN in a file: 1 to 255 bytes in one line, with at most one newline behind it. VAULT_E_FORMAT, VAULT_E_IO,
 * VAULT_E_MEMORY. */
int pin_read(int fd, struct secret **ret);

/* ---- module.c ---- */

/* Remembers a result of the module; whether it is CKR_OK. */
bool token_good(struct token *t, CK_RV result);
/* Loads the module, finds the one token that the URI selects, opens a session and logs in: once, with this PIN. What a
 * failure leaves open is closed by token_close. */
enum token_refusal token_open(struct token *t, const char *module, const char *uri, const struct secret *pin);
/* Logs out and lets the module go. */
void token_close(struct token *t);

/* ---- key.c: AES keys in the token, and the root key under one ---- */

/* Both ways of AES-GCM, and with `make` the making of AES keys, are there. */
enum token_refusal key_usable(struct token *t, bool make);
/* Makes a key that never leaves the token, under this id and the label of the URI. */
enum token_refusal key_make(struct token *t, const uint8_t id[TOKEN_KEY_ID], CK_OBJECT_HANDLE *ret);
/* The key of this id, if it is one that cannot leave the token. */
enum token_refusal key_find(struct token *t, const uint8_t id[TOKEN_KEY_ID], CK_OBJECT_HANDLE *ret);
enum token_refusal key_destroy(struct token *t, CK_OBJECT_HANDLE key);
enum token_refusal key_wrap_root(struct token *t, CK_OBJECT_HANDLE key, const uint8_t id[TOKEN_KEY_ID],
                                 const struct secret *root, uint8_t ret[TOKEN_WRAPPED]);
enum token_refusal key_unwrap_root(struct token *t, CK_OBJECT_HANDLE key, const uint8_t id[TOKEN_KEY_ID],
                                   const uint8_t wrapped[TOKEN_WRAPPED], struct secret **ret);
/* Destroys every AES key whose id begins with that of the vault, but `keep`. */
enum token_refusal keys_sweep(struct token *t, const uint8_t vault[ID_SIZE], const uint8_t keep[TOKEN_KEY_ID],
                              uint32_t *ret_destroyed);

/* ---- task.c ---- */

/* Does what the message asks at an open token, and makes the answer. VAULT_E_PROTOCOL: it asks nothing that there is.
 */
int task_do(struct token *t, const struct message *asked, struct message *answer);
/* The answer to a task that was refused. */
void task_refuse(uint64_t id, enum token_refusal why, CK_RV said, struct message *answer);

#endif
