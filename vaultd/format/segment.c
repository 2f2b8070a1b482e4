#include "vault/segment.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum { TAG_SIZE = SEGMENT_OVERHEAD - NONCE_SIZE };

/* One context for both directions: the key schedule is made once, each segment sets its nonce and direction only. */
struct cipher {
    EVP_CIPHER_CTX *context;
};

int cipher_new(struct cipher **ret, const struct secret *key) {
    if (secret_size(key) != SECRET_KEY_SIZE)
        return VAULT_E_CRYPTO;
    struct cipher *c = OPENSSL_zalloc(sizeof(*c));
    if (c == NULL)
        return VAULT_E_MEMORY;
    c->context = EVP_CIPHER_CTX_new();
    if (c->context == NULL ||
        EVP_EncryptInit_ex(c->context, EVP_chacha20_poly1305(), NULL, secret_view(key), NULL) != 1) {
        cipher_free(&c);
        return VAULT_E_CRYPTO;
    }
    *ret = c;
    return VAULT_OK;
}

void cipher_free(struct cipher **c) {
    if (c == NULL || *c == NULL)
        return;
    EVP_CIPHER_CTX_free((*c)->context); /* cleanses the key schedule */
    OPENSSL_free(*c);
    *c = NULL;
    wipe_traces();
}

void nonce_at(const uint8_t base[NONCE_SIZE], uint32_t index, uint8_t ret_nonce[NONCE_SIZE]) {
    uint64_t carry = index;
    for (size_t i = 0; i < NONCE_SIZE; i++) {
        carry += base[i];
        ret_nonce[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

int segment_seal(struct cipher *c, const uint8_t base[NONCE_SIZE], uint32_t index, const uint8_t *plain, size_t n,
                 uint8_t *to) {
    if (n == 0 || n > SEGMENT_PLAIN)
        return VAULT_E_LIMIT;
    int body = 0;
    int rest = 0;
    nonce_at(base, index, to);
    bool sealed = EVP_EncryptInit_ex(c->context, NULL, NULL, NULL, to) == 1 &&
                  EVP_EncryptUpdate(c->context, to + NONCE_SIZE, &body, plain, (int)n) == 1 &&
                  EVP_EncryptFinal_ex(c->context, to + NONCE_SIZE + body, &rest) == 1 && body + rest == (int)n &&
                  EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, to + NONCE_SIZE + n) == 1;
    if (!sealed) {
        wipe(to, n + SEGMENT_OVERHEAD);
        return VAULT_E_CRYPTO;
    }
    return VAULT_OK;
}

/* VAULT_E_CRYPTO, or VAULT_E_DAMAGED if the tag is not that of these bytes. Plaintext reaches `to` before the tag is
 * checked: the caller wipes it on failure. */
static int open_body(struct cipher *c, const uint8_t *sealed, size_t plain, uint8_t *to) {
    uint8_t tag[TAG_SIZE];
    int body = 0;
    int rest = 0;
    copy_bytes(tag, sizeof(tag), sealed + NONCE_SIZE + plain, TAG_SIZE);
    if (EVP_DecryptInit_ex(c->context, NULL, NULL, NULL, sealed) != 1 ||
        EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) != 1 ||
        EVP_DecryptUpdate(c->context, to, &body, sealed + NONCE_SIZE, (int)plain) != 1)
        return VAULT_E_CRYPTO;
    if (EVP_DecryptFinal_ex(c->context, to + body, &rest) != 1)
        return VAULT_E_DAMAGED;
    return body + rest == (int)plain ? VAULT_OK : VAULT_E_CRYPTO;
}

int segment_open(struct cipher *c, const uint8_t base[NONCE_SIZE], uint32_t index, const uint8_t *sealed, size_t n,
                 uint8_t *to) {
    if (n <= SEGMENT_OVERHEAD || n > SEGMENT_SEALED)
        return VAULT_E_LIMIT;
    uint8_t expected[NONCE_SIZE];
    nonce_at(base, index, expected);
    int result = VAULT_E_DAMAGED;
    if (memcmp(expected, sealed, NONCE_SIZE) == 0) /* nonces are public */
        result = open_body(c, sealed, n - SEGMENT_OVERHEAD, to);
    if (result != VAULT_OK)
        wipe(to, n - SEGMENT_OVERHEAD);
    return result;
}

size_t object_size(size_t plain) {
    if (plain == 0 || plain > CHUNK_PLAIN)
        return 0;
    size_t segments = (plain + SEGMENT_PLAIN - 1) / SEGMENT_PLAIN;
    return plain + segments * SEGMENT_OVERHEAD;
}

size_t object_plain(size_t sealed) {
    size_t tail = sealed % SEGMENT_SEALED;
    if (sealed == 0 || sealed > OBJECT_MAX || (tail != 0 && tail <= SEGMENT_OVERHEAD))
        return 0;
    return sealed / SEGMENT_SEALED * SEGMENT_PLAIN + (tail == 0 ? 0 : tail - SEGMENT_OVERHEAD);
}

uint32_t object_segments(size_t sealed) {
    return (uint32_t)((object_plain(sealed) + SEGMENT_PLAIN - 1) / SEGMENT_PLAIN);
}
