#include "vaultd/gate/server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/gate/certificates.h"
#include "vaultd/gate/tls_wire.h"

enum { HANDSHAKE_CERTIFICATE = 11 };

struct server {
    unsigned owners;
    EVP_PKEY *key;
    uint64_t not_after;
    size_t message_size;
    size_t chain_size;
    uint8_t message[TLS_MESSAGE_MAX];
    uint8_t chain[TLS_MESSAGE_MAX];
};

static int load_key(struct server *s, const struct secret *pem) {
    BIO *bio = BIO_new_mem_buf(secret_view(pem), (int)secret_size(pem));
    if (bio == NULL)
        return VAULT_E_MEMORY;
    s->key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    if (s->key == NULL) {
        log_error("certificate: the server's private key is not a PEM key without passphrase");
        return VAULT_E_FORMAT;
    }
    if (!key_is_p256(s->key)) {
        log_error("certificate: the server's private key is not ECDSA P-256");
        return VAULT_E_FORMAT;
    }
    return VAULT_OK;
}

/* Writes one certificate as an entry of both forms: TLS's, and that of tls_certificate. */
static int add_certificate(X509 *certificate, struct writer *message, struct writer *chain) {
    uint8_t *der = NULL;
    int n = i2d_X509(certificate, &der);
    if (n <= 0)
        return VAULT_E_CRYPTO;
    write_number(message, (uint32_t)n, 3);
    write_bytes(message, der, (size_t)n);
    write_number(message, 0, 2); /* no extensions */
    write_u32(chain, (uint32_t)n);
    write_bytes(chain, der, (size_t)n);
    OPENSSL_free(der);
    return message->bad || chain->bad ? VAULT_E_LIMIT : VAULT_OK;
}

/* message: type ‖ u24 length ‖ u8 context length 0 ‖ u24 list length ‖ list */
static int build_messages(struct server *s, STACK_OF(X509) * chain) {
    enum { HEAD = 4, LIST_AT = 8 };
    struct writer list = writer_of(s->message + LIST_AT, sizeof(s->message) - LIST_AT);
    struct writer told = writer_of(s->chain, sizeof(s->chain));
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int result = add_certificate(sk_X509_value(chain, i), &list, &told);
        if (result != VAULT_OK)
            return result;
    }
    struct writer head = writer_of(s->message, LIST_AT);
    write_u8(&head, HANDSHAKE_CERTIFICATE);
    write_number(&head, (uint32_t)(list.used + LIST_AT - HEAD), 3);
    write_u8(&head, 0);
    write_number(&head, (uint32_t)list.used, 3);
    s->message_size = LIST_AT + list.used;
    s->chain_size = told.used;
    return VAULT_OK;
}

static int load_chain(struct server *s, const void *pem, size_t size) {
    STACK_OF(X509) *chain = NULL;
    int result = certificates_read(pem, size, &chain);
    if (result != VAULT_OK) {
        log_error("certificate: the server's certificate chain is not PEM");
        return result;
    }
    X509 *leaf = sk_X509_value(chain, 0);
    if (X509_check_private_key(leaf, s->key) != 1) {
        log_error("certificate: the server's private key does not belong to its certificate");
        result = VAULT_E_FORMAT;
    }
    if (result == VAULT_OK)
        result = certificate_not_after(leaf, &s->not_after);
    if (result == VAULT_OK)
        result = build_messages(s, chain);
    sk_X509_pop_free(chain, X509_free);
    return result;
}

int server_new(const void *chain, size_t chain_size, const struct secret *key, struct server **ret) {
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return VAULT_E_MEMORY;
    s->owners = 1;
    int result = load_key(s, key);
    if (result == VAULT_OK)
        result = load_chain(s, chain, chain_size);
    if (result == VAULT_OK)
        *ret = s;
    else
        server_free(&s);
    return result;
}

struct server *server_share(struct server *s) {
    s->owners++;
    return s;
}

void server_free(struct server **s) {
    if (s == NULL || *s == NULL)
        return;
    if (--(*s)->owners == 0) {
        EVP_PKEY_free((*s)->key);
        free(*s);
    }
    *s = NULL;
}

const uint8_t *server_certificate_message(const struct server *s, size_t *ret_size) {
    *ret_size = s->message_size;
    return s->message;
}

void server_chain(const struct server *s, struct msg_tls_certificate *ret) {
    copy_bytes(ret->chain, sizeof(ret->chain), s->chain, s->chain_size);
    ret->chain_size = (uint32_t)s->chain_size;
}

uint64_t server_not_after(const struct server *s) {
    return s->not_after;
}

int server_sign(const struct server *s, const uint8_t *content, size_t n, uint8_t ret_signature[TLS_SIGNATURE_MAX],
                size_t *ret_size) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = TLS_SIGNATURE_MAX;
    uint8_t signature[TLS_SIGNATURE_MAX];
    bool signed_it = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, s->key) == 1 &&
                     EVP_DigestSign(context, signature, &size, content, n) == 1;
    EVP_MD_CTX_free(context);
    if (!signed_it)
        return VAULT_E_CRYPTO;
    copy_bytes(ret_signature, TLS_SIGNATURE_MAX, signature, size);
    *ret_size = size;
    return VAULT_OK;
}
