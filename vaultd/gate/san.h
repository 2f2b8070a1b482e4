/* The name of a client: the only URI in its certificate's subject alternative name. RFC 5280, 4.2.1.6. */
#ifndef VAULT_GATE_SAN_H
#define VAULT_GATE_SAN_H

#include "vaultd/gate/trust.h"

/* Exactly one URI, of 1 to SAN_MAX_SIZE characters, well formed (RFC 3986 characters behind a scheme). VAULT_DENIED
 * with *ret_refusal. */
int san_uri(X509 *certificate, char ret_san[SAN_MAX_SIZE + 1], struct refusal *ret_refusal);

#endif
