/* Fuzzes the gate's view of a handshake: whatever a worker sends, in whatever order. The input is a list of steps:
 *   0 / 1  u16 length ‖ that many bytes: a message from server / client
 *   2      the server's own Certificate (which no input could guess)
 *   3      sign, and feed the CertificateVerify that follows from it
 *   4      sign only
 * At the end nothing may be proven that was not signed for. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "taken.h"
#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultd/gate/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_SERVER, STEP_CLIENT, STEP_OWN_CERTIFICATE, STEP_SIGN_AND_PROVE, STEP_SIGN, STEP_KINDS };

static void must(bool good) {
    if (!good)
        abort();
}

static struct secret *key_pem(EVP_PKEY *key) {
    struct secret *s = NULL;
    char *bytes = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    long n = BIO_get_mem_data(bio, &bytes);
    must(n > 0 && secret_take(&s, bytes, (size_t)n) == VAULT_OK);
    BIO_free(bio);
    return s;
}

static struct server *new_server(void) {
    struct server *server = NULL;
    char *bytes = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    must(secret_start() == VAULT_OK);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    must(X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0);
    must(PEM_write_bio_X509(bio, certificate) == 1);
    struct secret *pem = key_pem(key);
    long n = BIO_get_mem_data(bio, &bytes);
    must(server_new(bytes, (size_t)n, pem, &server) == VAULT_OK);
    secret_free(&pem);
    BIO_free(bio);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return server;
}

static int prove(struct handshake *h, bool feed) {
    uint8_t signature[TLS_SIGNATURE_MAX];
    uint8_t message[TLS_SIGNATURE_MAX + 8];
    size_t n = 0;
    int result = handshake_sign(h, signature, &n);
    fuzz_taken += result == VAULT_OK;
    if (result != VAULT_OK || !feed)
        return result;
    struct writer w = writer_of(message, sizeof(message));
    const uint8_t head[] = {15, 0, 0, (uint8_t)(n + 4), 0x04, 0x03, 0, (uint8_t)n};
    write_bytes(&w, head, sizeof(head));
    write_bytes(&w, signature, n);
    return handshake_message(h, false, message, w.used);
}

static int take_step(struct handshake *h, const struct server *server, struct reader *r) {
    size_t n = 0;
    uint8_t step = read_u8(r) % STEP_KINDS;
    if (step == STEP_SIGN_AND_PROVE || step == STEP_SIGN)
        return prove(h, step == STEP_SIGN_AND_PROVE);
    if (step == STEP_OWN_CERTIFICATE) {
        const uint8_t *own = server_certificate_message(server, &n);
        return handshake_message(h, false, own, n);
    }
    n = read_u16(r);
    n = n > r->left ? r->left : n;
    const uint8_t *bytes = read_view(r, n);
    return handshake_message(h, step == STEP_CLIENT, bytes, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct server *server;
    struct handshake *h = NULL;
    struct reader r = reader_of(data, size);
    int result = VAULT_OK;
    if (server == NULL)
        server = new_server();
    must(handshake_new(server, &h) == VAULT_OK);
    while (result == VAULT_OK && r.left > 0)
        result = take_step(h, server, &r);
    must(result == VAULT_OK || result == VAULT_E_PROTOCOL);
    /* no input can sign for a client over a signature that is made afresh */
    must(!handshake_proven(h));
    must(handshake_refusal(h) == NULL || handshake_presented(h) == NULL);
    handshake_free(&h);
    return 0;
}
