/* The worker's conversation with the gate during one handshake (vault/protocol/gate.h). */
#ifndef VAULT_WORKER_TLS_GATE_H
#define VAULT_WORKER_TLS_GATE_H

#include <stdbool.h>

#include "vault/message.h"

struct tls_gate {
    int channel;       /* borrowed */
    uint64_t deadline; /* loop_now_ms */
    uint64_t last_id;
    int failure; /* the first fault; from then on nothing is said or asked */
    bool denied; /* the gate refused the client */
    struct message message;
};

/* Receives the server's chain, waiting up to timeout_ms. VAULT_E_PROTOCOL, VAULT_E_TIMEOUT, VAULT_E_IO,
 * VAULT_E_MEMORY. */
int gate_receive_chain(int channel, int timeout_ms, struct msg_tls_certificate *ret);
/* A fault stays in g->failure. */
void gate_tell_message(struct tls_gate *g, bool from_client, const void *message, size_t n);
/* VAULT_E_PROTOCOL, VAULT_E_TIMEOUT, VAULT_E_IO, VAULT_E_MEMORY; also in g->failure. */
int gate_sign(struct tls_gate *g, uint8_t *to, size_t size, size_t *ret_n);
/* VAULT_DENIED: with the alert to send, logged, and g->denied set. Faults as gate_sign. */
int gate_ask_verdict(struct tls_gate *g, bool proven, uint8_t *ret_alert);

#endif
