#include "vaultd/gate/client_proof.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "vault/result.h"
#include "vaultd/gate/certificates.h"
#include "vaultd/gate/tls_wire.h"

enum { CHAIN_MAX = 8, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

static const struct refusal none = {ALERT_CERTIFICATE_REQUIRED, "no certificate"};
static const struct refusal malformed = {ALERT_BAD_CERTIFICATE, "certificate is malformed"};

/* The next entry of the list: a certificate and its extensions, which are not used. */
static X509 *next_certificate(struct reader *list) {
    struct reader der = read_vector(list, 3);
    read_vector(list, 2);
    if (list->bad || der.left == 0)
        return NULL;
    const unsigned char *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.left);
    if (certificate != NULL && at != der.at + der.left) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

/* Fills the chain; false if an entry is malformed or there are too many. */
static bool read_chain(struct reader *list, STACK_OF(X509) * chain) {
    while (list->left > 0) {
        X509 *certificate = sk_X509_num(chain) < CHAIN_MAX ? next_certificate(list) : NULL;
        if (certificate == NULL)
            return false;
        if (sk_X509_push(chain, certificate) <= 0) {
            X509_free(certificate);
            return false;
        }
    }
    return true;
}

static bool take_fingerprint(X509 *leaf, uint8_t ret[HASH_SIZE]) {
    unsigned n = HASH_SIZE;
    return X509_digest(leaf, EVP_sha256(), ret, &n) == 1 && n == HASH_SIZE;
}

int presented_parse(struct reader body, struct presented *ret, struct refusal *ret_refusal) {
    struct reader request = read_vector(&body, 1);
    struct reader list = read_vector(&body, 3);
    if (!read_done(&body) || request.left != 0) {
        *ret_refusal = malformed;
        return VAULT_DENIED;
    }
    if (list.left == 0) {
        *ret_refusal = none;
        return VAULT_DENIED;
    }
    struct presented found = {.chain = sk_X509_new_null()};
    if (found.chain == NULL)
        return VAULT_E_MEMORY;
    bool good = read_chain(&list, found.chain) && take_fingerprint(sk_X509_value(found.chain, 0), found.fingerprint);
    ERR_clear_error();
    if (!good) {
        presented_clear(&found);
        *ret_refusal = malformed;
        return VAULT_DENIED;
    }
    *ret = found;
    return VAULT_OK;
}

void presented_clear(struct presented *p) {
    sk_X509_pop_free(p->chain, X509_free);
    *p = (struct presented){.chain = NULL};
}

struct scheme {
    uint16_t number;
    const char *key;             /* type of the key it belongs to */
    const EVP_MD *(*hash)(void); /* NULL: the scheme hashes by itself */
};

static const struct scheme *scheme_of(uint32_t number) {
    static const struct scheme schemes[] = {{0x0403, "EC", EVP_sha256},
                                            {0x0804, "RSA", EVP_sha256},
                                            {0x0805, "RSA", EVP_sha384},
                                            {0x0806, "RSA", EVP_sha512},
                                            {0x0807, "ED25519", NULL}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (schemes[i].number == number)
            return &schemes[i];
    return NULL;
}

static bool key_fits(const EVP_PKEY *key, const struct scheme *s) {
    if (key == NULL || s == NULL || EVP_PKEY_is_a(key, s->key) != 1)
        return false;
    if (EVP_PKEY_is_a(key, "RSA") == 1)
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN && EVP_PKEY_get_bits(key) <= RSA_BITS_MAX;
    return EVP_PKEY_is_a(key, "EC") != 1 || key_is_p256(key);
}

static bool set_padding(EVP_PKEY_CTX *settings, const EVP_PKEY *key) {
    return EVP_PKEY_is_a(key, "RSA") != 1 || (EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1 &&
                                              EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) == 1);
}

bool client_proof_holds(X509 *leaf, struct reader body, const uint8_t *content, size_t n) {
    const struct scheme *scheme = scheme_of(read_number(&body, 2));
    struct reader signature = read_vector(&body, 2);
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    if (!read_done(&body) || !key_fits(key, scheme))
        return false;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;
    const EVP_MD *hash = scheme->hash == NULL ? NULL : scheme->hash();
    bool holds = context != NULL && EVP_DigestVerifyInit(context, &settings, hash, NULL, key) == 1 &&
                 set_padding(settings, key) && EVP_DigestVerify(context, signature.at, signature.left, content, n) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return holds;
}
