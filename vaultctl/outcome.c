#include "outcome.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *outcome_title(enum outcome outcome) {
    switch (outcome) {
    case OUTCOME_DONE: return "done";
    case OUTCOME_USAGE: return "wrong usage";
    case OUTCOME_DENIED: return "denied";
    case OUTCOME_NOT_FOUND: return "not found";
    case OUTCOME_NO_SERVICE: return "sealed or not reachable";
    case OUTCOME_INTEGRITY: return "integrity failure";
    default: return "failed";
    }
}

enum outcome outcome_of_status(long status, bool integrity) {
    if (status >= 200 && status <= 299)
        return OUTCOME_DONE;
    switch (status) {
    case 400: return OUTCOME_USAGE;
    case 401:
    case 403: return OUTCOME_DENIED;
    case 404: return OUTCOME_NOT_FOUND;
    case 422: return OUTCOME_INTEGRITY;
    case 423: return OUTCOME_NO_SERVICE;
    case 500: return integrity ? OUTCOME_INTEGRITY : OUTCOME_FAILED;
    default: return OUTCOME_FAILED;
    }
}

enum outcome outcome_of_fate(long long status) {
    return status == OUTCOME_DENIED || status == OUTCOME_INTEGRITY ? (enum outcome)status : OUTCOME_FAILED;
}

/* The alerts that a client can meet, with the words that OpenSSL has for them. */
static const struct {
    int alert;
    const char *openssl;
    const char *text;
} alerts[] = {
    {40, "alert handshake failure", "no cipher or signature algorithm in common with the vault"},
    {42, "alert bad certificate",
     "the client certificate is malformed, or names no service (it has no URI as its "
     "subject alternative name)"},
    {43, "alert unsupported certificate", "the client certificate is of a kind that the vault does not take"},
    {44, "alert certificate revoked", "the client certificate is revoked"},
    {45, "alert certificate expired", "the client certificate has expired, or is not valid yet"},
    {46, "alert certificate unknown", "the vault did not accept the client certificate"},
    {48, "alert unknown ca", "the client certificate comes from an authority that the vault does not know"},
    {49, "alert access denied", "the vault does not admit the holder of the client certificate"},
    {51, "alert decrypt error", "the proof of the client key failed: certificate and key do not belong together"},
    {70, "alert protocol version", "the vault and vaultctl have no TLS version in common; both should speak TLS 1.3"},
    {80, "alert internal error", "the vault failed during the handshake"},
    {116, "alert certificate required", "the vault requires a client certificate and none was given (--cert, --key)"},
};

/* OpenSSL 3 packs its reasons as `error:0A` and six hex digits; a received alert is reason 1000 + alert. */
static int alert_of_code(const char *text) {
    const char *code = strstr(text, "error:0A");
    if (code == NULL)
        return 0;
    char *end = NULL;
    unsigned long value = strtoul(code + strlen("error:"), &end, 16);
    unsigned long reason = value & 0xfff;
    if (end != code + strlen("error:0A000000") || reason <= 1000 || reason > 1255)
        return 0;
    return (int)(reason - 1000);
}

int tls_alert_of(const char *text) {
    int alert = alert_of_code(text);
    for (size_t i = 0; alert == 0 && i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        if (strstr(text, alerts[i].openssl) != NULL)
            alert = alerts[i].alert;
    }
    return alert;
}

const char *tls_alert_text(int alert) {
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        if (alerts[i].alert == alert)
            return alerts[i].text;
    }
    return "the vault ended the TLS handshake";
}
