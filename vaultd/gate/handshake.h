/* One worker's TLS handshake as the gate sees it: the handshake messages in order, hashed here, and what follows from
 * them. Pure: no channels, no clock. docs/gate.md has the rules.
 *
 * Invariants:
 *  1. Messages come in the one order of a full TLS 1.3 handshake with client authentication; anything else is the
 *     worker's fault (VAULT_E_PROTOCOL), since an honest worker's TLS would not have let it pass.
 *  2. At most one signature is made, over a hash that was computed here from the messages given.
 *  3. A client is presented only after its Certificate, and proven only after its Finished, if its CertificateVerify
 *     covers a transcript with the signature of 2.
 *  4. What a client can cause by itself (a bad certificate, a bad signature) is a refusal, never the worker's fault. */
#ifndef VAULT_GATE_HANDSHAKE_H
#define VAULT_GATE_HANDSHAKE_H

#include <stdbool.h>

#include "vaultd/gate/client_proof.h"
#include "vaultd/gate/server.h"

struct handshake;

/* `server` is borrowed for life. VAULT_E_MEMORY. */
int handshake_new(const struct server *server, struct handshake **ret);
/* Accepts NULL and a pointer to NULL. */
void handshake_free(struct handshake **h);

/* Takes one whole handshake message with its header. VAULT_E_PROTOCOL (the worker's fault), VAULT_E_MEMORY,
 * VAULT_E_CRYPTO; after a fault h is of no use. Messages after a refusal, and after the end, are ignored. */
int handshake_message(struct handshake *h, bool from_client, const uint8_t *message, size_t n);
/* Signs the server's CertificateVerify, once. VAULT_E_PROTOCOL: too early, or again. VAULT_E_CRYPTO. */
int handshake_sign(struct handshake *h, uint8_t ret_signature[TLS_SIGNATURE_MAX], size_t *ret_size);

/* What the client presented: not NULL from its Certificate on, until a refusal. Owned by h. */
const struct presented *handshake_presented(const struct handshake *h);
/* True once the client has proven to hold the key of what it presented. */
bool handshake_proven(const struct handshake *h);
/* Not NULL once the client is refused. */
const struct refusal *handshake_refusal(const struct handshake *h);
/* Refuses the client: it will never be proven. */
void handshake_refuse(struct handshake *h, const struct refusal *refusal);
/* Moves out what the client presented. */
struct presented handshake_take_presented(struct handshake *h);

#endif
