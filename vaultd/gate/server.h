/* The server's own certificate chain and private key: the one thing that only the gate holds. Shared by the gate and
 * the workers that were told the chain: one that was replaced lives until the last of them is done with it. */
#ifndef VAULT_GATE_SERVER_H
#define VAULT_GATE_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "vault/message.h"
#include "vault/secret.h"

struct server;

/* Parses a PEM chain, leaf first, and the PEM key of the leaf, which must be ECDSA P-256. Faults are logged.
 * VAULT_E_FORMAT, VAULT_E_LIMIT (a chain that does not fit a message), VAULT_E_CRYPTO, VAULT_E_MEMORY. */
int server_new(const void *chain, size_t chain_size, const struct secret *key, struct server **ret);
/* Another owner of it; each frees it. */
struct server *server_share(struct server *s);
/* The last owner's wipes the key. Accepts NULL and a pointer to NULL. */
void server_free(struct server **s);
/* The one Certificate handshake message (RFC 8446, 4.4.2) that a worker may send, header included; owned by s. */
const uint8_t *server_certificate_message(const struct server *s, size_t *ret_size);
/* The chain in the form that workers are told it. */
void server_chain(const struct server *s, struct msg_tls_certificate *ret);
/* Seconds since 1970. */
uint64_t server_not_after(const struct server *s);
/* A fresh, randomised ECDSA-SHA256 signature over `content`. VAULT_E_CRYPTO. */
int server_sign(const struct server *s, const uint8_t *content, size_t n, uint8_t ret_signature[TLS_SIGNATURE_MAX],
                size_t *ret_size);

#endif
