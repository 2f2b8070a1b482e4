/* What a client sends to prove who it is: its Certificate and CertificateVerify. RFC 8446, 4.4.2 and 4.4.3. */
#ifndef VAULT_GATE_CLIENT_PROOF_H
#define VAULT_GATE_CLIENT_PROOF_H

#include <openssl/x509.h>

#include "vault/buffer.h"
#include "vaultd/gate/trust.h"

/* What a client presented; nothing of it is proven yet. */
struct presented {
    STACK_OF(X509) * chain; /* leaf first; NULL: nothing */
    uint8_t fingerprint[HASH_SIZE];
};

/* Parses the body of a client's Certificate. VAULT_DENIED with *ret_refusal (empty, malformed, too long),
 * VAULT_E_MEMORY.
 */
int presented_parse(struct reader body, struct presented *ret, struct refusal *ret_refusal);
/* Frees the chain; harmless on a zeroed one. */
void presented_clear(struct presented *p);

/* True if the body of a CertificateVerify is a signature by `leaf` over the content, in a scheme accepted here:
 * ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256/384/512, ed25519. */
bool client_proof_holds(X509 *leaf, struct reader body, const uint8_t *content, size_t n);

#endif
