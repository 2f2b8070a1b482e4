/* A PKI made in memory, for the tests of the gate. Faults abort: these are tests. */
#ifndef VAULT_TESTS_GATE_PKI_H
#define VAULT_TESTS_GATE_PKI_H

#include <openssl/x509.h>

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

/* What a certificate is to say. Times are seconds from now. */
struct wanted {
    const char *type;    /* of the key: "P-256" if NULL, "P-384", "RSA", "ED25519" */
    const char *san;     /* OpenSSL's form: "URI:urn:a,DNS:b"; NULL: none */
    const char *purpose; /* extended key usage; NULL: none */
    long start, end;     /* both 0: from an hour ago, for a day */
    EVP_PKEY *key;       /* use this one instead of a fresh one */
};

/* A self-signed root. */
struct identity authority_new(const char *name);
struct identity issue(const struct identity *authority, const struct wanted *wanted);
void identity_free(struct identity *i);

/* Read-only descriptors of PEM texts. */
int certificate_file(X509 *certificate);
int key_file(EVP_PKEY *key);
/* `revoked` may be NULL. `next`: seconds from now at which the next list was due. */
int list_file(const struct identity *authority, X509 *revoked, long next);
int text_file(const char *text);

#endif
