/* Monitor and a worker without a client (PEER_NOBODY): files to another data key, one after the other. For each:
 * rekey_next, rekey_create, then page_get, upload_announce and upload_page as in a read and a deposit, and rekey_end.
 * No descriptors. docs/keys.md. */
#ifndef VAULT_PROTOCOL_REKEY_H
#define VAULT_PROTOCOL_REKEY_H

#include "vault/protocol/common.h"

/* Which file? Answer: grant, once its record is durable; or `answer` 204 where nothing is left to do. */
#define FIELDS_rekey_next(F, R) F(R, U8, unused, 0)
/* Where to? Answer: upload, with the new data key. */
#define FIELDS_rekey_create(F, R) F(R, FIXED, grant, ID_SIZE)
/* What came of it; grant and upload are over. Answer: done. With REKEY_DONE the file has its new data key then, or, if
 * this is not the content that it had, is as it was. */
#define FIELDS_rekey_end(F, R)                                                                                         \
    F(R, FIXED, grant, ID_SIZE)                                                                                        \
    F(R, FIXED, upload, ID_SIZE)    /* zero: it did not come to one */                                                 \
    F(R, U8, outcome, 0)            /* [w] enum rekey_outcome */                                                       \
    F(R, U64, size, 0)              /* [w] plaintext bytes; compared with the file's */                                \
    F(R, FIXED, sha256, HASH_SIZE)  /* [w] of the plaintext; compared with the file's */                               \
    F(R, FIXED, address, HASH_SIZE) /* [w] REKEY_DAMAGED: the object at fault */
/* REKEY_FULL: the store has no space, or the monitor refused to go on for now. */
enum rekey_outcome { REKEY_DONE = 0, REKEY_DAMAGED = 1, REKEY_FULL = 2, REKEY_FAILED = 3 };

#define PROTOCOL_REKEY(M)                                                                                              \
    M(rekey_next, 0x0701, 0)                                                                                           \
    M(rekey_create, 0x0702, 0)                                                                                         \
    M(rekey_end, 0x0703, 0)

#endif
