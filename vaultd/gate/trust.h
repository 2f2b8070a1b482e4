/* Whom the gate accepts: the client authorities, their revocation lists, and the name in a client's certificate. */
#ifndef VAULT_GATE_TRUST_H
#define VAULT_GATE_TRUST_H

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "vault/protocol/common.h"

enum {
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_CERTIFICATE_REVOKED = 44,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_UNKNOWN_CA = 48,
    ALERT_DECRYPT_ERROR = 51,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_CERTIFICATE_REQUIRED = 116
};

/* Why a client is not accepted. */
struct refusal {
    uint8_t alert;      /* TLS alert; 0: not refused */
    const char *reason; /* static */
};

/* What is believed of a client whose chain is good. */
struct client_name {
    char san[SAN_MAX_SIZE + 1];
    uint64_t not_after; /* seconds since 1970: the earliest end in the verified chain */
};

struct trust;

/* A text that was read. */
struct text {
    uint8_t *bytes; /* owned; NULL: nothing */
    size_t n;
};
void text_free(struct text *t);

/* Parses the client authorities (roots, and intermediates that clients need not send) and the revocation lists, one
 * per authority, from PEM. Of `before` (may be NULL) the lists of those authorities count that `lists` has none of.
 * Warns in the log of a list that is out of date. VAULT_E_FORMAT, VAULT_E_MEMORY. */
int trust_new(const struct text *authorities, const struct text *lists, const struct text *before, struct trust **ret);
/* Accepts NULL and a pointer to NULL. */
void trust_free(struct trust **t);
/* Is this chain (leaf first, at least one) good at `now`, and whose is it? VAULT_DENIED with *ret_refusal,
 * VAULT_E_MEMORY. */
int trust_check(const struct trust *t, STACK_OF(X509) * chain, time_t now, struct client_name *ret_name,
                struct refusal *ret_refusal);

#endif
