/* Worker and gate, gate and monitor. The gate believes nothing that a worker says but the handshake messages, and
 * those only as far as signatures cover them (docs/barriers.md). */
#ifndef VAULT_PROTOCOL_GATE_H
#define VAULT_PROTOCOL_GATE_H

#include "vault/protocol/common.h"

enum { TLS_MESSAGE_MAX = 49152, TLS_SIGNATURE_MAX = 160 };
enum { ANCHORS_MAX = 48128, ANCHORS_SUBJECTS = 600 };
_Static_assert(ANCHORS_MAX + ANCHORS_SUBJECTS < BLOCK_MAX, "what waits for approval is kept as one message");

/* Gate to worker, first message: the server's certificate chain, leaf first: each u32 length ‖ DER. */
#define FIELDS_tls_certificate(F, R) F(R, BYTES, chain, TLS_MESSAGE_MAX)
/* Worker to gate: one handshake message, whole, with its 4-byte header, in the order it was sent or received. No
 * answer. */
#define FIELDS_tls_message(F, R)                                                                                       \
    F(R, U8, from_client, 0)              /* [w] */                                                                    \
    F(R, BYTES, message, TLS_MESSAGE_MAX) /* [w] hashed as given */
/* Worker to gate, once: sign the server's CertificateVerify over the transcript so far. Answer: tls_signature. */
#define FIELDS_tls_sign(F, R) F(R, U8, unused, 0)
#define FIELDS_tls_signature(F, R) F(R, BYTES, signature, TLS_SIGNATURE_MAX)
/* Worker to gate: asked after the client's Certificate (is this chain good?), and after the client's Finished (is the
 * identity proven?). Answer: tls_verdict. The gate tells the monitor (identity) before it answers the second. */
#define FIELDS_tls_verdict_wanted(F, R) F(R, U8, proven, 0) /* 0: chain, 1: identity */
#define FIELDS_tls_verdict(F, R)                                                                                       \
    F(R, U8, good, 0)                                                                                                  \
    F(R, U8, alert, 0) /* TLS alert to send when not good (44 revoked, 45 expired, 48 unknown CA ...) */               \
    F(R, STR, reason, 200)

/* Gate to monitor: who the client of this worker is. Sent at most once per worker. */
#define FIELDS_identity(F, R)                                                                                          \
    F(R, U64, worker, 0)                /* [g] */                                                                      \
    F(R, STR, san, SAN_MAX_SIZE)        /* [g] the certificate's only SAN URI */                                       \
    F(R, FIXED, fingerprint, HASH_SIZE) /* [g] SHA-256 of the certificate's DER */                                     \
    F(R, U64, not_after, 0)             /* [g] seconds since 1970 */
/* Gate to monitor: the identity is no longer good (revoked, expired). */
#define FIELDS_identity_lost(F, R)                                                                                     \
    F(R, U64, worker, 0)   /* [g] */                                                                                   \
    F(R, STR, reason, 200) /* [g] */

/* Gate to monitor: the client authorities in the file, at its start and when they are others than it told before. Only
 * those of its start are in force without anchors_use. */
#define FIELDS_anchors_seen(F, R)                                                                                      \
    F(R, BYTES, pem, ANCHORS_MAX)         /* [g] the certificates, one after the other */                              \
    F(R, U32, count, 0)                   /* [g] how many */                                                           \
    F(R, STR, subjects, ANCHORS_SUBJECTS) /* [g] of the first of them, for people */
/* Monitor to gate: verify clients by these, and those that it has vouched for again. Answer: anchors_used, after the
 * identities that are lost. */
#define FIELDS_anchors_use(F, R) F(R, BYTES, pem, ANCHORS_MAX)
#define FIELDS_anchors_used(F, R) F(R, U8, unused, 0)

#define PROTOCOL_GATE(M)                                                                                               \
    M(tls_certificate, 0x0201, 0)                                                                                      \
    M(tls_message, 0x0202, 0)                                                                                          \
    M(tls_sign, 0x0203, 0)                                                                                             \
    M(tls_signature, 0x0204, 0)                                                                                        \
    M(tls_verdict_wanted, 0x0205, 0)                                                                                   \
    M(tls_verdict, 0x0206, 0)                                                                                          \
    M(identity, 0x0207, 0)                                                                                             \
    M(identity_lost, 0x0208, 0)                                                                                        \
    M(anchors_seen, 0x0209, 0)                                                                                         \
    M(anchors_use, 0x020a, 0)                                                                                          \
    M(anchors_used, 0x020b, 0)

#endif
