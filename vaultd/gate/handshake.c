#include "vaultd/gate/handshake.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "vault/result.h"
#include "vaultd/gate/hello.h"
#include "vaultd/gate/tls_wire.h"

enum { HEAD = 4, CONTENT_MAX = 64 + 33 + 1 + EVP_MAX_MD_SIZE, SCHEME_ECDSA_P256 = 0x0403, MESSAGE_HASH = 254 };

enum step {
    STEP_CLIENT_HELLO,
    STEP_SERVER_HELLO, /* or a HelloRetryRequest */
    STEP_CLIENT_HELLO_AGAIN,
    STEP_SERVER_HELLO_AGAIN,
    STEP_EXTENSIONS,
    STEP_REQUEST,
    STEP_CERTIFICATE,
    STEP_SIGN, /* no message, but the worker's wish for a signature */
    STEP_PROOF,
    STEP_FINISHED,
    STEP_CLIENT_CERTIFICATE,
    STEP_CLIENT_PROOF,
    STEP_CLIENT_FINISHED,
    STEP_PROVEN,
    STEP_REFUSED
};

struct handshake {
    const struct server *server;
    enum step step;
    struct hello hello;    /* of the HelloRetryRequest or ServerHello */
    uint8_t *client_hello; /* kept until the hash is known */
    size_t client_hello_size;
    EVP_MD_CTX *transcript; /* NULL before the ServerHello and after the end */
    uint8_t signature[TLS_SIGNATURE_MAX];
    size_t signature_size;
    struct presented presented;
    struct refusal refusal;
};

/* One message in hand. `whole` includes the header. */
struct given {
    struct reader body;
    const uint8_t *whole;
    size_t size;
};

typedef int message_handler(struct handshake *h, const struct given *m);

/* What the gate insists on because a worker may lie. The hostile tests build a second gate that believes everything,
 * to show that their attacks succeed there and so can fail here. */
static bool evidence_holds(bool holds) {
#ifdef VAULT_TEST_GATE_UNCHECKED
    (void)holds;
    return true;
#else
    return holds;
#endif
}

static void drop_transcript(struct handshake *h) {
    EVP_MD_CTX_free(h->transcript);
    h->transcript = NULL;
    free(h->client_hello);
    h->client_hello = NULL;
}

static int absorb(struct handshake *h, const uint8_t *bytes, size_t n) {
    return EVP_DigestUpdate(h->transcript, bytes, n) == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}

static int absorb_message(struct handshake *h, const struct given *m) {
    return absorb(h, m->whole, m->size);
}

/* 64 spaces ‖ context ‖ 0 ‖ hash of the transcript so far. RFC 8446, 4.4.3. */
static int signed_content(const struct handshake *h, const char *context, uint8_t to[CONTENT_MAX], size_t *ret_n) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool hashed =
        copy != NULL && EVP_MD_CTX_copy_ex(copy, h->transcript) == 1 && EVP_DigestFinal_ex(copy, hash, &hash_size) == 1;
    EVP_MD_CTX_free(copy);
    if (!hashed)
        return VAULT_E_CRYPTO;
    struct writer w = writer_of(to, CONTENT_MAX);
    for (int i = 0; i < 64; i++)
        write_u8(&w, ' ');
    write_bytes(&w, context, strlen(context) + 1);
    write_bytes(&w, hash, hash_size);
    *ret_n = w.used;
    return w.bad ? VAULT_E_STATE : VAULT_OK;
}

static int take_client_hello(struct handshake *h, const struct given *m) {
    h->client_hello = malloc(m->size);
    if (h->client_hello == NULL)
        return VAULT_E_MEMORY;
    copy_bytes(h->client_hello, m->size, m->whole, m->size);
    h->client_hello_size = m->size;
    h->step = STEP_SERVER_HELLO;
    return VAULT_OK;
}

/* After a HelloRetryRequest the first ClientHello counts as a message of type 254 that holds its hash. RFC 8446, 4.4.1.
 */
static int absorb_hash_of_client_hello(struct handshake *h) {
    uint8_t message[HEAD + EVP_MAX_MD_SIZE] = {MESSAGE_HASH};
    unsigned n = 0;
    if (EVP_Digest(h->client_hello, h->client_hello_size, message + HEAD, &n, h->hello.hash, NULL) != 1)
        return VAULT_E_CRYPTO;
    message[3] = (uint8_t)n;
    return absorb(h, message, HEAD + n);
}

static int start_transcript(struct handshake *h) {
    h->transcript = EVP_MD_CTX_new();
    if (h->transcript == NULL)
        return VAULT_E_MEMORY;
    if (EVP_DigestInit_ex(h->transcript, h->hello.hash, NULL) != 1)
        return VAULT_E_CRYPTO;
    int result = h->hello.retry ? absorb_hash_of_client_hello(h) : absorb(h, h->client_hello, h->client_hello_size);
    free(h->client_hello);
    h->client_hello = NULL;
    return result;
}

static int take_server_hello(struct handshake *h, const struct given *m) {
    int result = hello_parse(m->body, &h->hello);
    if (result == VAULT_OK)
        result = start_transcript(h);
    if (result == VAULT_OK)
        h->step = h->hello.retry ? STEP_CLIENT_HELLO_AGAIN : STEP_EXTENSIONS;
    return result == VAULT_OK ? absorb_message(h, m) : result;
}

static int take_server_hello_again(struct handshake *h, const struct given *m) {
    struct hello hello;
    int result = hello_parse(m->body, &hello);
    if (result != VAULT_OK)
        return result;
    if (hello.retry || hello.suite != h->hello.suite)
        return VAULT_E_PROTOCOL;
    h->step = STEP_EXTENSIONS;
    return absorb_message(h, m);
}

/* A message whose contents are between client and server; the client's signature covers them. */
static int take_any(struct handshake *h, const struct given *m) {
    h->step++;
    return absorb_message(h, m);
}

static int take_certificate(struct handshake *h, const struct given *m) {
    size_t n = 0;
    const uint8_t *own = server_certificate_message(h->server, &n);
    if (!evidence_holds(n == m->size && memcmp(own, m->whole, n) == 0))
        return VAULT_E_PROTOCOL;
    h->step = STEP_SIGN;
    return absorb_message(h, m);
}

/* The transcript must contain the fresh signature, or what the client signs could be of another day. */
static int take_proof(struct handshake *h, const struct given *m) {
    struct reader body = m->body;
    uint32_t scheme = read_number(&body, 2);
    struct reader signature = read_vector(&body, 2);
    bool same = read_done(&body) && scheme == SCHEME_ECDSA_P256 && signature.left == h->signature_size &&
                CRYPTO_memcmp(signature.at, h->signature, h->signature_size) == 0;
    if (!evidence_holds(same))
        return VAULT_E_PROTOCOL;
    h->step = STEP_FINISHED;
    return absorb_message(h, m);
}

static int take_client_certificate(struct handshake *h, const struct given *m) {
    int result = presented_parse(m->body, &h->presented, &h->refusal);
    if (result != VAULT_OK)
        return result;
    h->step = STEP_CLIENT_PROOF;
    return absorb_message(h, m);
}

static int take_client_proof(struct handshake *h, const struct given *m) {
    static const struct refusal refusal = {ALERT_DECRYPT_ERROR, "the client's signature does not verify"};
    uint8_t content[CONTENT_MAX];
    size_t n = 0;
    int result = signed_content(h, "TLS 1.3, client CertificateVerify", content, &n);
    if (result != VAULT_OK)
        return result;
    if (!evidence_holds(client_proof_holds(sk_X509_value(h->presented.chain, 0), m->body, content, n))) {
        h->refusal = refusal;
        return VAULT_DENIED;
    }
    h->step = STEP_CLIENT_FINISHED;
    return VAULT_OK;
}

/* Its MAC is the worker's to check: the gate does not have the traffic keys. */
static int take_client_finished(struct handshake *h, const struct given *m) {
    static const struct refusal refusal = {ALERT_DECRYPT_ERROR, "the client's Finished is malformed"};
    if (m->body.left != (size_t)EVP_MD_get_size(h->hello.hash)) {
        h->refusal = refusal;
        return VAULT_DENIED;
    }
    drop_transcript(h);
    h->step = STEP_PROVEN;
    return VAULT_OK;
}

static const struct rule {
    bool from_client;
    uint8_t type;
    message_handler *take;
} rules[] = {
    [STEP_CLIENT_HELLO] = {true, 1, take_client_hello},
    [STEP_SERVER_HELLO] = {false, 2, take_server_hello},
    [STEP_CLIENT_HELLO_AGAIN] = {true, 1, take_any},
    [STEP_SERVER_HELLO_AGAIN] = {false, 2, take_server_hello_again},
    [STEP_EXTENSIONS] = {false, 8, take_any},
    [STEP_REQUEST] = {false, 13, take_any},
    [STEP_CERTIFICATE] = {false, 11, take_certificate},
    [STEP_SIGN] = {false, 0, NULL},
    [STEP_PROOF] = {false, 15, take_proof},
    [STEP_FINISHED] = {false, 20, take_any},
    [STEP_CLIENT_CERTIFICATE] = {true, 11, take_client_certificate},
    [STEP_CLIENT_PROOF] = {true, 15, take_client_proof},
    [STEP_CLIENT_FINISHED] = {true, 20, take_client_finished},
};

int handshake_new(const struct server *server, struct handshake **ret) {
    struct handshake *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return VAULT_E_MEMORY;
    h->server = server;
    *ret = h;
    return VAULT_OK;
}

void handshake_free(struct handshake **h) {
    if (h == NULL || *h == NULL)
        return;
    drop_transcript(*h);
    presented_clear(&(*h)->presented);
    free(*h);
    *h = NULL;
}

int handshake_message(struct handshake *h, bool from_client, const uint8_t *message, size_t n) {
    struct given m = {.body = reader_of(message, n), .whole = message, .size = n};
    uint32_t type = read_number(&m.body, 1);
    uint32_t length = read_number(&m.body, 3);
    if (m.body.bad || length != m.body.left)
        return VAULT_E_PROTOCOL;
    if (h->step == STEP_PROVEN || h->step == STEP_REFUSED)
        return VAULT_OK;
    const struct rule *rule = &rules[h->step];
    if (rule->take == NULL || rule->from_client != from_client || rule->type != type)
        return VAULT_E_PROTOCOL;
    int result = rule->take(h, &m);
    if (result != VAULT_DENIED)
        return result;
    struct refusal refusal = h->refusal;
    handshake_refuse(h, &refusal);
    return VAULT_OK;
}

int handshake_sign(struct handshake *h, uint8_t ret_signature[TLS_SIGNATURE_MAX], size_t *ret_size) {
    uint8_t content[CONTENT_MAX];
    size_t n = 0;
    if (h->step != STEP_SIGN)
        return VAULT_E_PROTOCOL;
    int result = signed_content(h, "TLS 1.3, server CertificateVerify", content, &n);
    if (result == VAULT_OK)
        result = server_sign(h->server, content, n, h->signature, &h->signature_size);
    if (result != VAULT_OK)
        return result;
    copy_bytes(ret_signature, TLS_SIGNATURE_MAX, h->signature, h->signature_size);
    *ret_size = h->signature_size;
    h->step = STEP_PROOF;
    return VAULT_OK;
}

const struct presented *handshake_presented(const struct handshake *h) {
    return h->presented.chain == NULL ? NULL : &h->presented;
}

bool handshake_proven(const struct handshake *h) {
    return h->step == STEP_PROVEN;
}

const struct refusal *handshake_refusal(const struct handshake *h) {
    return h->step == STEP_REFUSED ? &h->refusal : NULL;
}

void handshake_refuse(struct handshake *h, const struct refusal *refusal) {
    h->refusal = *refusal;
    h->step = STEP_REFUSED;
    drop_transcript(h);
    presented_clear(&h->presented);
}

struct presented handshake_take_presented(struct handshake *h) {
    struct presented p = h->presented;
    h->presented = (struct presented){.chain = NULL};
    return p;
}
