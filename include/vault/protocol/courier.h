/* Monitor and courier: one request to a witness, one answer, on a channel of its own. What is brought is text of
 * somebody on the network: what a signature does not vouch for may be anything. No descriptors. */
#ifndef VAULT_PROTOCOL_COURIER_H
#define VAULT_PROTOCOL_COURIER_H

#include "vault/protocol/common.h"

enum { COURIER_BODY = 8192, COURIER_ANSWER = 4096 };

/* The body of a POST to URL/add-checkpoint. */
#define FIELDS_courier_carry(F, R) F(R, BYTES, body, COURIER_BODY)
#define FIELDS_courier_brought(F, R)                                                                                   \
    F(R, U32, status, 0) /* of HTTP; 0: there was no answer, and problem says why */                                   \
    F(R, BYTES, body, COURIER_ANSWER)                                                                                  \
    F(R, STR, problem, 200)

#define PROTOCOL_COURIER(M)                                                                                            \
    M(courier_carry, 0x0901, 0)                                                                                        \
    M(courier_brought, 0x0902, 0)

#endif
