/* The server's hello, as far as the gate must know it: which hash, and that it is a full TLS 1.3 handshake. */
#ifndef VAULT_GATE_HELLO_H
#define VAULT_GATE_HELLO_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "vault/buffer.h"

struct hello {
    bool retry;         /* a HelloRetryRequest */
    uint16_t suite;     /* TLS 1.3 cipher suite */
    const EVP_MD *hash; /* of that suite */
};

/* Parses the body of a ServerHello (RFC 8446, 4.1.3). VAULT_E_PROTOCOL: malformed, another version than TLS 1.3, an
 * unknown suite, a pre-shared key, or an extension that does not belong there. */
int hello_parse(struct reader body, struct hello *ret);

#endif
