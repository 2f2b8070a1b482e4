/* Worker and monitor: reading and depositing. One request at a time per worker; each is answered by the message named,
 * or by `answer` with an HTTP status of 400 or more and a problem document. */
#ifndef VAULT_PROTOCOL_ACCESS_H
#define VAULT_PROTOCOL_ACCESS_H

#include "vault/protocol/common.h"

/* The general answer: a JSON document (application/json, or application/problem+json from 400 on). */
#define FIELDS_answer(F, R)                                                                                            \
    F(R, U32, status, 0)          /* HTTP status */                                                                    \
    F(R, U64, seq, 0)             /* Audit-Seq + 1; 0: none */                                                         \
    F(R, FIXED, request, ID_SIZE) /* Request-Id; zero: the worker makes one up */                                      \
    F(R, BYTES, json, JSON_MAX)
/* Nothing more to say. */
#define FIELDS_done(F, R) F(R, U8, unused, 0)

enum open_action { OPEN_READ = 1, OPEN_HEAD = 2 };
enum open_extent { EXTENT_ALL = 0, EXTENT_SPAN = 1 /* from to to */, EXTENT_LAST = 2 /* `to` bytes from the end */ };

/* Answer: grant, once the decision is durable. */
#define FIELDS_open(F, R)                                                                                              \
    F(R, U8, action, 0) /* [c] enum open_action; OPEN_HEAD gives a grant without key and pages */                      \
    FIELDS_file_part(F, R) FIELDS_purpose_part(F, R)                                                                   \
        F(R, U8, extent, 0)                 /* [c] enum open_extent: what is asked for first */                        \
        F(R, U64, from, 0) F(R, U64, to, 0) /* last byte, inclusive */                                                 \
        F(R, FIXED, closing, ID_SIZE)       /* where this is granted, a grant whose place it takes; zero: none */      \
        F(R, U64, closing_bytes, 0)         /* [w] of that one as in grant_close, its outcome being GRANT_DONE */      \
        F(R, U32, closing_ranges, 0)        /* [w] */
#define FIELDS_grant(F, R)                                                                                             \
    F(R, FIXED, grant, ID_SIZE)                                                                                        \
    F(R, FIXED, request, ID_SIZE)                                                                                      \
    F(R, U64, seq, 0) /* of its audit record */                                                                        \
    F(R, FIXED, file, ID_SIZE)                                                                                         \
    F(R, U64, size, 0)             /* plaintext bytes */                                                               \
    F(R, FIXED, sha256, HASH_SIZE) /* of the plaintext, as verified at deposit */                                      \
    F(R, U32, chunks, 0)           /* manifest entries in all; pages are of PAGE_CHUNKS */                             \
    F(R, STR, obligations, 256)    /* comma-separated tokens for the Obligations header; empty if none */              \
    F(R, KEY, key, 32)             /* the blob's data key (random and useless for OPEN_HEAD) */
/* Answer: page. Each page handed out raises the upper bound in the grant's closing record. */
#define FIELDS_page_get(F, R)                                                                                          \
    F(R, FIXED, grant, ID_SIZE)                                                                                        \
    F(R, U32, page, 0)
#define FIELDS_page(F, R)                                                                                              \
    F(R, U32, page, 0)                                                                                                 \
    F(R, BYTES, chunks, PAGE_CHUNKS * 48) /* vault/manifest.h: address ‖ nonce base ‖ u32 object length, each */   \
    F(R, BYTES, tokens, PAGE_CHUNKS * 32) /* TOKEN_GET for each */
/* What was read under a grant, when the worker has no more use for it. Answer: done. */
#define FIELDS_grant_close(F, R)                                                                                       \
    F(R, FIXED, grant, ID_SIZE)                                                                                        \
    F(R, U8, outcome, 0)            /* [w] enum grant_outcome */                                                       \
    F(R, U64, bytes, 0)             /* [w] plaintext bytes sent; the pages handed out bound it */                      \
    F(R, U32, ranges, 0)            /* [w] answers given */                                                            \
    F(R, FIXED, address, HASH_SIZE) /* [w] GRANT_DAMAGED: the object at fault */
enum grant_outcome { GRANT_DONE = 0, GRANT_ABORTED = 1, GRANT_DAMAGED = 2 };

/* Monitor to worker, at any time (id 0): stop using this grant. An idle worker wipes its key and answers `revoked`; one
 * that streams it resets its client and ends. Who does neither in time is ended by the supervisor. */
#define FIELDS_revoke(F, R) F(R, FIXED, grant, ID_SIZE)
#define FIELDS_revoked(F, R) F(R, FIXED, grant, ID_SIZE)

/* Answer: upload, once the decision is durable. */
#define FIELDS_upload_create(F, R)                                                                                     \
    F(R, STR, subject, NAME_MAX_SIZE) /* [c] */                                                                        \
    F(R, STR, name, NAME_MAX_SIZE)    /* [c] */                                                                        \
    F(R, STR, dataset, NAME_MAX_SIZE) /* [c] empty if none */                                                          \
    F(R, STR, tags, 512)              /* [c] comma-separated, each [A-Za-z0-9._-]+ ; empty if none */                  \
    F(R, U8, has_digest, 0)                                                                                            \
    F(R, FIXED, digest, HASH_SIZE) /* [c] declared SHA-256 of the content */
#define FIELDS_upload(F, R)                                                                                            \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, FIXED, request, ID_SIZE)                                                                                      \
    F(R, U64, seq, 0)                                                                                                  \
    F(R, FIXED, token, HASH_SIZE) /* TOKEN_BUFFERS */                                                                  \
    F(R, KEY, key, 32)            /* data key of the new blob */
/* Before each put: this object is about to be published. Durable in the index before it is answered by put_token. */
#define FIELDS_upload_announce(F, R)                                                                                   \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, FIXED, address, HASH_SIZE) /* [w] checked by the store against its own hash */                                \
    F(R, U32, length, 0)
#define FIELDS_put_token(F, R) F(R, FIXED, token, HASH_SIZE) /* TOKEN_PUT */
/* A manifest page: all PAGE_CHUNKS entries, fewer only in the last page of the upload; pages in order. Answer: done. */
#define FIELDS_upload_page(F, R)                                                                                       \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, U32, page, 0)                                                                                                 \
    F(R, BYTES, chunks, PAGE_CHUNKS * 48)                                                                              \
    F(R, BYTES, receipts, PAGE_CHUNKS * 32) /* TOKEN_RECEIPT for each */
/* Publishes the file. Answer: `answer` 201 with the file document (200 or 409 if the name is taken, 422 if the digest
 * differs); the upload is gone afterwards whatever the answer. */
#define FIELDS_upload_commit(F, R)                                                                                     \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, U64, size, 0)             /* [w] plaintext bytes */                                                           \
    F(R, FIXED, sha256, HASH_SIZE) /* [w] of the plaintext */
/* Drops the upload and the objects it announced. Answer: done. */
#define FIELDS_upload_abort(F, R)                                                                                      \
    F(R, FIXED, upload, ID_SIZE)                                                                                       \
    F(R, STR, reason, 200) /* [w] for the record */

/* Answer: answer {"files": [...], "next": cursor or null}. */
#define FIELDS_file_list(F, R)                                                                                         \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, dataset, NAME_MAX_SIZE)                                                                                  \
    FIELDS_purpose_part(F, R) F(R, STR, cursor, 256)
/* Answer: answer with the file document. */
#define FIELDS_file_show(F, R) FIELDS_file_part(F, R) FIELDS_purpose_part(F, R)
/* Would this be permitted? Answer: answer. `service` (by name) and every reason only for administrative roles; for
 * others it is themselves. */
#define FIELDS_inquire(F, R) FIELDS_file_part(F, R) FIELDS_purpose_part(F, R) F(R, STR, service, NAME_MAX_SIZE)
/* Answer: answer {"request", "state", "outcome", "status", "seq"}. */
#define FIELDS_request_show(F, R) F(R, FIXED, wanted, ID_SIZE)
/* A request that the worker turned away by itself, for the record. Answer: `answer` with the same status: the worker
 * sends its own document, with this answer's Request-Id and Audit-Seq. An `answer` with another status (sealed, unknown
 * service, too many connections, not recorded) is passed on to the client instead. */
#define FIELDS_refusal(F, R)                                                                                           \
    F(R, U32, status, 0) /* [w] HTTP status, 400 to 499 */                                                             \
    F(R, STR, rule, 64)  /* [w] what was wrong, for the record */                                                      \
    F(R, STR, text, 200) /* [w] the same in words; may quote the client */

#define PROTOCOL_ACCESS(M)                                                                                             \
    M(answer, 0x0401, 0)                                                                                               \
    M(done, 0x0402, 0)                                                                                                 \
    M(open, 0x0403, 0)                                                                                                 \
    M(grant, 0x0404, 0)                                                                                                \
    M(page_get, 0x0405, 0)                                                                                             \
    M(page, 0x0406, 0)                                                                                                 \
    M(grant_close, 0x0407, 0)                                                                                          \
    M(revoke, 0x0408, 0)                                                                                               \
    M(revoked, 0x0409, 0)                                                                                              \
    M(upload_create, 0x040a, 0)                                                                                        \
    M(upload, 0x040b, 0)                                                                                               \
    M(upload_announce, 0x040c, 0)                                                                                      \
    M(put_token, 0x040d, 0)                                                                                            \
    M(upload_page, 0x040e, 0)                                                                                          \
    M(upload_commit, 0x040f, 0)                                                                                        \
    M(upload_abort, 0x0410, 0)                                                                                         \
    M(file_list, 0x0411, 0)                                                                                            \
    M(file_show, 0x0412, 0)                                                                                            \
    M(inquire, 0x0413, 0)                                                                                              \
    M(request_show, 0x0414, 0)                                                                                         \
    M(refusal, 0x0415, 0)

#endif
