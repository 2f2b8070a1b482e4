/* An OpenSSL provider with one ECDSA P-256 key whose private half is elsewhere: it asks for each signature. */
#ifndef VAULT_WORKER_TLS_PROVIDER_H
#define VAULT_WORKER_TLS_PROVIDER_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROVIDER_SIGNATURE_MAX = 72 };

/* Gives the signature to send; what it is to be made over is known where it is made. True if there is one. */
typedef bool provider_signer(void *context, uint8_t ret_signature[PROVIDER_SIGNATURE_MAX], size_t *ret_size);

/* Who is asked from now on: one per process, since a worker has one client. NULL: every signature fails. */
void provider_set_signer(provider_signer *signer, void *context);
/* A key object for the certificate's public key, in a library context of its own, so that nothing but this key is ever
 * looked up here. VAULT_E_CRYPTO. */
int provider_key(X509 *certificate, EVP_PKEY **ret);

#endif
