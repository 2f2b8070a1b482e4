#include "vaultd/worker/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <time.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/worker/tls_gate.h"
#include "vaultd/worker/tls_provider.h"

enum {
    CHAIN_WAIT_MS = 30000,
    CLIENT_CHAIN_MAX = 32768, /* below TLS_MESSAGE_MAX, so that the gate can be told it */
    READ_AHEAD = 65536,
    BULK_MIN = 32768,               /* from here on a write is gathered */
    GATHER_SIZE = 16 * (16384 + 32) /* sixteen full records in one system call */
};

struct tls {
    struct wire *wire;
    SSL *ssl;
    struct tls_gate *gate; /* during the handshake */
    int failure;           /* of the wire, which OpenSSL reports without its reason */
    bool ended;            /* the wire's end was read */
    bool broken;           /* after a fault nothing more may be sent */
    bool gathering;        /* a bulk write is being made */
    size_t gathered;
    uint8_t *gather; /* GATHER_SIZE bytes from the first bulk write on */
};

static SSL_CTX *context;
static BIO_METHOD *wire_method;

/* Says what OpenSSL has to say, and forgets it. */
static void log_errors(const char *what) {
    unsigned long error;
    while ((error = ERR_get_error()) != 0) {
        const char *reason = ERR_reason_error_string(error);
        log_info("%s: %s", what, reason == NULL ? "unknown reason" : reason);
    }
}

/* --- the wire as a BIO --- */

static int keep_failure(struct tls *t, int result) {
    if (t->failure == VAULT_OK)
        t->failure = result;
    return 0;
}

static int flush_gathered(struct tls *t) {
    size_t n = t->gathered;
    t->gathered = 0;
    return wire_write(t->wire, t->gather, n);
}

/* Records of a bulk write wait here for company; a system call for each would cost half the speed. */
static int bio_write(BIO *bio, const char *from, size_t n, size_t *ret_n) {
    struct tls *t = BIO_get_data(bio);
    int result = VAULT_OK;
    BIO_clear_retry_flags(bio);
    if (t->gathering && n > GATHER_SIZE - t->gathered)
        result = flush_gathered(t);
    if (result == VAULT_OK && t->gathering && n <= GATHER_SIZE) {
        copy_bytes(t->gather + t->gathered, GATHER_SIZE - t->gathered, from, n);
        t->gathered += n;
    } else if (result == VAULT_OK)
        result = wire_write(t->wire, from, n);
    if (result != VAULT_OK)
        return keep_failure(t, result);
    *ret_n = n;
    return 1;
}

static int bio_read(BIO *bio, char *to, size_t n, size_t *ret_n) {
    struct tls *t = BIO_get_data(bio);
    size_t got = 0;
    int result = wire_read(t->wire, to, n, &got);
    BIO_clear_retry_flags(bio);
    if (result == VAULT_AGAIN || result == VAULT_E_TIMEOUT)
        BIO_set_retry_read(bio); /* nothing is lost: the session can still be written */
    if (result == VAULT_AGAIN)
        return 0;
    if (result != VAULT_OK)
        return keep_failure(t, result);
    t->ended = got == 0;
    *ret_n = got;
    return got > 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    const struct tls *t = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return t->ended;
    default: return 0;
    }
}

static int make_wire_method(void) {
    wire_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "client socket");
    bool made = wire_method != NULL && BIO_meth_set_write_ex(wire_method, bio_write) == 1 &&
                BIO_meth_set_read_ex(wire_method, bio_read) == 1 && BIO_meth_set_ctrl(wire_method, bio_ctrl) == 1;
    return made ? VAULT_OK : VAULT_E_CRYPTO;
}

/* --- what the gate is told and asked --- */

static void on_message(int sent, int version, int content, const void *bytes, size_t n, SSL *ssl, void *argument) {
    struct tls *t = argument;
    (void)version;
    (void)ssl;
    if (content == SSL3_RT_HANDSHAKE && t->gate != NULL)
        gate_tell_message(t->gate, sent == 0, bytes, n);
}

static bool sign_at_gate(void *argument, uint8_t ret_signature[PROVIDER_SIGNATURE_MAX], size_t *ret_size) {
    struct tls *t = argument;
    return t->gate != NULL && gate_sign(t->gate, ret_signature, PROVIDER_SIGNATURE_MAX, ret_size) == VAULT_OK;
}

/* The verification error that OpenSSL turns into this alert. */
static int error_of_alert(uint8_t alert) {
    switch (alert) {
    case SSL_AD_CERTIFICATE_REVOKED: return X509_V_ERR_CERT_REVOKED;
    case SSL_AD_CERTIFICATE_EXPIRED: return X509_V_ERR_CERT_HAS_EXPIRED;
    case SSL_AD_UNKNOWN_CA: return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    case SSL_AD_BAD_CERTIFICATE: return X509_V_ERR_CERT_REJECTED;
    case SSL_AD_UNSUPPORTED_CERTIFICATE: return X509_V_ERR_INVALID_PURPOSE;
    case SSL_AD_DECRYPT_ERROR: return X509_V_ERR_CERT_SIGNATURE_FAILURE;
    default: return X509_V_ERR_UNSPECIFIED;
    }
}

static int verify_at_gate(X509_STORE_CTX *check, void *unused) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    uint8_t alert = SSL_AD_INTERNAL_ERROR;
    (void)unused;
    if (t->gate != NULL && gate_ask_verdict(t->gate, false, &alert) == VAULT_OK)
        return 1;
    X509_STORE_CTX_set_error(check, error_of_alert(alert));
    return 0;
}

/* --- before the sandbox --- */

/* One certificate of tls_certificate: u32 length ‖ DER. NULL if malformed. */
static X509 *read_certificate(struct reader *r) {
    size_t n = read_u32(r);
    const uint8_t *der = read_view(r, n);
    return der == NULL ? NULL : d2i_X509(NULL, &der, (long)n);
}

static int use_leaf(X509 *leaf) {
    EVP_PKEY *key = NULL;
    int result = provider_key(leaf, &key);
    if (result != VAULT_OK)
        return result;
    /* in this order: setting the key checks it against the certificate */
    bool used = SSL_CTX_use_certificate(context, leaf) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    return used ? VAULT_OK : VAULT_E_CRYPTO;
}

static int use_chain(const struct msg_tls_certificate *told) {
    struct reader r = reader_of(told->chain, told->chain_size);
    int result = VAULT_OK;
    for (bool leaf = true; result == VAULT_OK && (leaf || r.left > 0); leaf = false) {
        X509 *certificate = read_certificate(&r);
        if (certificate == NULL)
            return VAULT_E_PROTOCOL;
        if (leaf)
            result = use_leaf(certificate);
        else if (SSL_CTX_add1_chain_cert(context, certificate) != 1)
            result = VAULT_E_CRYPTO;
        X509_free(certificate);
    }
    return result;
}

/* Full TLS 1.3 handshakes only, and only what the gate accepts; docs/gate.md. */
static int set_rules(void) {
    static const char from_server[] = "ecdsa_secp256r1_sha256";
    static const char from_client[] = "ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256:"
                                      "rsa_pss_rsae_sha384:rsa_pss_rsae_sha512";
    bool set = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1 &&
               SSL_CTX_set1_sigalgs_list(context, from_server) == 1 &&
               SSL_CTX_set1_client_sigalgs_list(context, from_client) == 1 &&
               SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1;
    if (!set)
        return VAULT_E_CRYPTO;
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_max_cert_list(context, CLIENT_CHAIN_MAX);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify_at_gate, NULL);
    return VAULT_OK;
}

static int start_openssl(void) {
    const uint64_t strings = OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS;
    uint8_t byte;
    tzset(); /* reads a file, which the time functions must not do later */
    bool started = OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | strings, NULL) == 1 && RAND_bytes(&byte, 1) == 1 &&
                   RAND_priv_bytes(&byte, 1) == 1;
    return started ? make_wire_method() : VAULT_E_CRYPTO;
}

int tls_prepare(int gate) {
    static struct msg_tls_certificate told;
    int result = start_openssl();
    if (result == VAULT_OK) {
        context = SSL_CTX_new(TLS_server_method());
        result = context == NULL ? VAULT_E_CRYPTO : set_rules();
    }
    if (result == VAULT_OK)
        result = gate_receive_chain(gate, CHAIN_WAIT_MS, &told);
    if (result == VAULT_OK)
        result = use_chain(&told);
    if (result != VAULT_OK)
        log_errors("cannot prepare TLS");
    ERR_clear_error();
    return result;
}

/* --- one session --- */

static int new_session(struct tls *t) {
    BIO *bio = BIO_new(wire_method);
    t->ssl = SSL_new(context);
    if (bio == NULL || t->ssl == NULL) {
        BIO_free(bio);
        return VAULT_E_CRYPTO;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    SSL_set_msg_callback(t->ssl, on_message);
    SSL_set_msg_callback_arg(t->ssl, t);
    return VAULT_OK;
}

/* Why SSL_accept failed: the gate's or the wire's own words go first. */
static int accept_result(const struct tls *t) {
    if (t->gate->failure != VAULT_OK)
        return t->gate->failure;
    if (t->failure != VAULT_OK)
        return t->failure;
    return t->ended ? VAULT_E_CLOSED : VAULT_DENIED;
}

static int shake_hands(struct tls *t) {
    uint8_t alert = 0;
    ERR_clear_error();
    provider_set_signer(sign_at_gate, t);
    bool accepted = SSL_accept(t->ssl) == 1;
    provider_set_signer(NULL, NULL);
    if (!accepted) {
        t->broken = true;
        log_errors("TLS handshake failed");
        return accept_result(t);
    }
    ERR_clear_error();
    return t->gate->failure != VAULT_OK ? t->gate->failure : gate_ask_verdict(t->gate, true, &alert);
}

int tls_accept(struct wire *wire, int gate, struct tls **ret) {
    struct tls *t = calloc(1, sizeof(*t));
    struct tls_gate *asked = calloc(1, sizeof(*asked));
    int result = t == NULL || asked == NULL ? VAULT_E_CRYPTO : VAULT_OK;
    if (result == VAULT_OK) {
        *asked = (struct tls_gate){.channel = gate, .deadline = wire->deadline};
        t->wire = wire;
        t->gate = asked;
        result = new_session(t);
    }
    if (result == VAULT_OK)
        result = shake_hands(t);
    if (result == VAULT_OK) {
        t->gate = NULL;
        SSL_set_msg_callback(t->ssl, NULL);
        *ret = t;
    } else
        tls_free(&t);
    free(asked);
    return result;
}

/* What became of a failed operation. The session is of no use afterwards. */
static int failed(struct tls *t, int code, const char *what) {
    int reason = SSL_get_error(t->ssl, code);
    bool cut = t->ended || t->failure == VAULT_E_CLOSED;
    t->broken = true;
    if (t->failure != VAULT_OK && !cut) {
        ERR_clear_error();
        return t->failure;
    }
    if (reason == SSL_ERROR_SSL)
        log_errors(what);
    ERR_clear_error();
    return cut ? VAULT_E_CLOSED : VAULT_E_IO;
}

int tls_read(struct tls *t, void *to, size_t n, size_t *ret_n) {
    ERR_clear_error();
    int code = SSL_read_ex(t->ssl, to, n, ret_n);
    if (code == 1)
        return VAULT_OK;
    int reason = SSL_get_error(t->ssl, code);
    if (reason == SSL_ERROR_WANT_READ) { /* the wire was too late */
        t->failure = VAULT_OK;
        return VAULT_E_TIMEOUT;
    }
    if (reason != SSL_ERROR_ZERO_RETURN)
        return failed(t, code, "TLS read failed");
    *ret_n = 0;
    return VAULT_OK;
}

/* Whether whole records are here already is known only by trying, without the socket. What TLS then finds wrong with
 * them is for the next tls_read to say. */
bool tls_pending(struct tls *t) {
    uint8_t byte;
    size_t n = 0;
    if (SSL_pending(t->ssl) > 0)
        return true;
    if (SSL_has_pending(t->ssl) != 1)
        return false;
    ERR_clear_error();
    t->wire->held = true;
    int code = SSL_peek_ex(t->ssl, &byte, 1, &n);
    t->wire->held = false;
    return code == 1 || SSL_get_error(t->ssl, code) != SSL_ERROR_WANT_READ;
}

/* Without memory to gather in, the records go out one by one. */
static bool start_gathering(struct tls *t, size_t n) {
    if (n >= BULK_MIN && t->gather == NULL)
        t->gather = malloc(GATHER_SIZE);
    return n >= BULK_MIN && t->gather != NULL;
}

int tls_write(struct tls *t, const void *from, size_t n) {
    size_t written = 0;
    if (n == 0)
        return VAULT_OK;
    ERR_clear_error();
    t->gathering = start_gathering(t, n);
    int code = SSL_write_ex(t->ssl, from, n, &written);
    t->gathering = false;
    if (code != 1)
        return failed(t, code, "TLS write failed");
    int result = t->gathered > 0 ? flush_gathered(t) : VAULT_OK;
    if (result != VAULT_OK) {
        t->failure = result;
        t->broken = true;
    }
    return result;
}

void tls_finish(struct tls *t) {
    if (t->broken)
        return;
    ERR_clear_error();
    if (SSL_shutdown(t->ssl) < 0)
        log_errors("TLS end");
}

void tls_free(struct tls **t) {
    if (t == NULL || *t == NULL)
        return;
    SSL_free((*t)->ssl);
    if ((*t)->gather != NULL)
        wipe((*t)->gather, GATHER_SIZE);
    free((*t)->gather);
    free(*t);
    *t = NULL;
}
