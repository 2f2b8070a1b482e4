/* For the mass execution of handshakes, nine tenths of whose time is OpenSSL's: a certificate that was parsed once is
 * not parsed again from the same bytes, and the vault's signature is random bytes, which is all that the gate compares
 * with what a worker shows. A client's proof is verified as ever. */
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultd/gate/server.h"

enum { KNOWN_MAX = 64, CERTIFICATE_MAX = 4096, SIGNATURE_BYTES = 70 };

X509 *__real_d2i_X509(X509 **to, const unsigned char **in, long n);
X509 *__wrap_d2i_X509(X509 **to, const unsigned char **in, long n);
int __wrap_server_sign(const struct server *s, const uint8_t *content, size_t n,
                       uint8_t ret_signature[TLS_SIGNATURE_MAX], size_t *ret_size);

static struct known {
    X509 *certificate;
    size_t n;
    uint8_t bytes[CERTIFICATE_MAX];
} known[KNOWN_MAX];
static size_t known_count;

/* What lies behind the certificate in `in` must not matter: only a certificate that fills it is remembered. */
static void remember(X509 *certificate, const unsigned char *bytes, size_t n) {
    if (known_count == KNOWN_MAX || n > CERTIFICATE_MAX || X509_up_ref(certificate) != 1)
        return;
    known[known_count].certificate = certificate;
    known[known_count].n = n;
    copy_bytes(known[known_count++].bytes, CERTIFICATE_MAX, bytes, n);
}

X509 *__wrap_d2i_X509(X509 **to, const unsigned char **in, long n) {
    const unsigned char *bytes = *in;
    for (size_t i = 0; to == NULL && i < known_count; i++)
        if (known[i].n == (size_t)n && memcmp(known[i].bytes, bytes, known[i].n) == 0) {
            *in += n;
            return X509_up_ref(known[i].certificate) == 1 ? known[i].certificate : NULL;
        }
    X509 *certificate = __real_d2i_X509(to, in, n);
    if (certificate != NULL && to == NULL && *in == bytes + n)
        remember(certificate, bytes, (size_t)n);
    return certificate;
}

int __wrap_server_sign(const struct server *s, const uint8_t *content, size_t n,
                       uint8_t ret_signature[TLS_SIGNATURE_MAX], size_t *ret_size) {
    (void)s;
    (void)content;
    (void)n;
    *ret_size = SIGNATURE_BYTES;
    return RAND_bytes(ret_signature, SIGNATURE_BYTES) == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}
