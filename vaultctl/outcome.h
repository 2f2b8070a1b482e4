/* What vaultctl's exit status means, and how answers of HTTP and of TLS come to it. Pure. docs/vaultctl.md. */
#ifndef VAULTCTL_OUTCOME_H
#define VAULTCTL_OUTCOME_H

#include <stdbool.h>

enum outcome {
    OUTCOME_DONE = 0,
    OUTCOME_FAILED = 1,
    OUTCOME_USAGE = 2,      /* wrong usage, also a missing purpose */
    OUTCOME_DENIED = 3,     /* denied, or not known to the vault as a service */
    OUTCOME_NOT_FOUND = 4,  /* told to administrative roles only */
    OUTCOME_NO_SERVICE = 5, /* sealed, not reachable, TLS refused */
    OUTCOME_INTEGRITY = 6   /* damage, digest mismatch, an audit export that does not verify */
};

/* A few words for the outcome ("denied"); never NULL, static. */
const char *outcome_title(enum outcome outcome);
/* From an HTTP status; `integrity`: the problem document's type says damage. */
enum outcome outcome_of_status(long status, bool integrity);
/* From `status` of GET /v1/requests/{id}, for an answer that broke off: never OUTCOME_DONE. */
enum outcome outcome_of_fate(long long status);
/* The number of the TLS alert that the server sent, found in the error text of libcurl and OpenSSL; 0 if none. */
int tls_alert_of(const char *text);
/* The alert in plain words; never NULL, static. */
const char *tls_alert_text(int alert);

#endif
