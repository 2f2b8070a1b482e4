/* What several protocols share: sizes, and the fields of a purpose.
 *
 * In all protocol lists the comment behind a field names who is believed:
 *   [s] vouched for by the supervisor, [g] by the gate, [t] by the store, [m] made by the monitor,
 *   [c] claimed by the client through its worker: data only, looked up or checked by the monitor before it counts,
 *   [w] claimed by the worker about its own client's work: can only harm that client. */
#ifndef VAULT_PROTOCOL_COMMON_H
#define VAULT_PROTOCOL_COMMON_H

#include "vault/fields.h"

enum {
    ID_SIZE = 16,        /* random identifiers: file, blob, upload, grant, request */
    HASH_SIZE = 32,      /* SHA-256, BLAKE2b-256, tokens, receipts */
    NAME_MAX_SIZE = 128, /* bytes of a subject, file name, dataset, service name, project, approval */
    SAN_MAX_SIZE = 256,
    JSON_MAX = 49152,  /* one answer document or one page of a list */
    BLOCK_MAX = 49152, /* one message's bulk bytes */
    PAGE_CHUNKS = 40   /* manifest entries per page */
};

/* PEER_NOBODY: no client, but work of the vault's own. */
enum peer_kind { PEER_TLS = 1, PEER_UNIX = 2, PEER_NOBODY = 3 };

enum purpose_kind { PURPOSE_NONE = 0, PURPOSE_TREATMENT = 1, PURPOSE_RESEARCH = 2 };

/* A parsed Purpose header (RFC 9651 item with parameters); see vault/documents.h for names. */
#define FIELDS_purpose_part(F, R)                                                                                      \
    F(R, U32, uses, 0)                 /* [c] what research is for: bit n for DUO number 30 + n, 1 to 10 */            \
    F(R, U8, purpose, 0)               /* [c] enum purpose_kind */                                                     \
    F(R, STR, project, NAME_MAX_SIZE)  /* [c] empty if none */                                                         \
    F(R, STR, approval, NAME_MAX_SIZE) /* [c] empty if none */                                                         \
    F(R, STR, disease, 64)             /* [c] an ontology term such as MONDO:0005070; empty if none */                 \
    F(R, STR, emergency, 200)          /* [c] why glass is broken in treatment; empty: it is not */

/* A file by id, or, where id is all zero, by subject and name. */
#define FIELDS_file_part(F, R)                                                                                         \
    F(R, FIXED, file, ID_SIZE)        /* [c] */                                                                        \
    F(R, STR, subject, NAME_MAX_SIZE) /* [c] */                                                                        \
    F(R, STR, name, NAME_MAX_SIZE)    /* [c] */

#define FIELDS_nothing(F, R) F(R, U8, unused, 0)

#endif
