/* Results of every fallible function in the vault.
 *
 * Negative: a fault. Pass it on; whoever owns the operation decides what ends (a request, a connection, the process).
 * Zero:     done.
 * Positive: a documented outcome that the caller must handle; each prototype names the ones it can give.
 *
 * Outputs named ret_* are untouched unless the function returned 0 (or an outcome that says otherwise). */
#ifndef VAULT_RESULT_H
#define VAULT_RESULT_H

enum vault_result {
    VAULT_OK = 0,

    VAULT_E_IO = -1,       /* the system refused: errno says why */
    VAULT_E_FULL = -2,     /* no space on the device or in the quota */
    VAULT_E_MEMORY = -3,   /* no memory, or memory could not be locked */
    VAULT_E_FORMAT = -4,   /* malformed, or a version newer than this program knows */
    VAULT_E_DAMAGED = -5,  /* well-formed, but an authentication tag, hash or position is wrong */
    VAULT_E_LIMIT = -6,    /* a stated maximum was exceeded */
    VAULT_E_STATE = -7,    /* called when it must not be: a mistake of this program */
    VAULT_E_CRYPTO = -8,   /* a cryptographic library failed */
    VAULT_E_PROTOCOL = -9, /* the peer broke the protocol: unknown, early, over-long or trailing bytes */
    VAULT_E_CLOSED = -10,  /* the peer is gone */
    VAULT_E_TIMEOUT = -11, /* a deadline passed */

    VAULT_NOT_FOUND = 1, /* there is no such thing */
    VAULT_EXISTS = 2,    /* there is one already */
    VAULT_DENIED = 3,    /* the decision is no */
    VAULT_SEALED = 4,    /* the keys are not in memory */
    VAULT_AGAIN = 5      /* nothing to take now; ask again when the descriptor is readable */
};

/* The name of a result for logs ("damaged"), never NULL; static. */
const char *vault_result_name(int result);

/* VAULT_E_FULL for ENOSPC and EDQUOT, VAULT_E_MEMORY for ENOMEM, otherwise VAULT_E_IO. */
int vault_result_from_errno(int error);

#endif
