/* What the gate's files share about certificates and keys: reading PEM, times, which keys are accepted. */
#ifndef VAULT_GATE_CERTIFICATES_H
#define VAULT_GATE_CERTIFICATES_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/result.h"

/* All certificates of a PEM text, in order, at least one; to be freed with sk_X509_pop_free. VAULT_E_FORMAT,
 * VAULT_E_MEMORY. */
int certificates_read(const void *pem, size_t size, STACK_OF(X509) * *ret);
/* After PEM_read_*: true if it stopped at the end of the text and not at something damaged. Clears the errors. */
bool pem_ended_well(void);
/* Seconds since 1970. VAULT_E_FORMAT. */
int certificate_not_after(const X509 *certificate, uint64_t *ret);
bool key_is_p256(const EVP_PKEY *key);
/* pem_password_cb that never has a passphrase: without it OpenSSL would ask on the terminal. */
int refuse_passphrase(char *to, int size, int writing, void *unused);

#endif
