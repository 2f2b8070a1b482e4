#include "vault/wrap.h"

#include <pthread.h>
#include <sodium.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    LABEL = 12,
    WRAP_AD = LABEL + 1 + WRAP_OWNER + 4
};

_Static_assert(SEAL_OVERHEAD == NONCE + TAG, "a seal is nonce, ciphertext, tag");
_Static_assert(WRAP_SIZE == SECRET_KEY_SIZE + SEAL_OVERHEAD, "a wrap is a sealed key");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == SECRET_KEY_SIZE, "sealing keys are 32 bytes");

/* Random bytes for nonces, made many at a time from one seed: where a system call is dear, one for each nonce is a
 * sixth of what a rotation costs. They are no secret once used, and each is used once. */
static struct {
    size_t left;
    uint8_t bytes[128 * NONCE];
} nonces;

void seal_anew(void) {
    nonces.left = 0;
}

static void make_nonces(void) {
    uint8_t seed[randombytes_SEEDBYTES];
    randombytes_buf(seed, sizeof(seed));
    randombytes_buf_deterministic(nonces.bytes, sizeof(nonces.bytes), seed);
    wipe(seed, sizeof(seed));
    nonces.left = sizeof(nonces.bytes);
}

static int next_nonce(uint8_t ret[NONCE]) {
    static bool forks_safely;
    if (!forks_safely && pthread_atfork(NULL, NULL, seal_anew) != 0)
        return VAULT_E_MEMORY;
    forks_safely = true;
    if (nonces.left == 0)
        make_nonces();
    nonces.left -= NONCE;
    copy_bytes(ret, NONCE, nonces.bytes + nonces.left, NONCE);
    wipe(nonces.bytes + nonces.left, NONCE);
    return VAULT_OK;
}

int seal_bytes(const struct secret *key, const void *ad, size_t ad_size, const void *from, size_t n, uint8_t *to) {
    if (secret_size(key) != SECRET_KEY_SIZE)
        return VAULT_E_CRYPTO;
    int result = next_nonce(to);
    if (result != VAULT_OK)
        return result;
    int failed =
        crypto_aead_xchacha20poly1305_ietf_encrypt(to + NONCE, NULL, from, n, ad, ad_size, NULL, to, secret_view(key));
    return failed != 0 ? VAULT_E_CRYPTO : VAULT_OK;
}

int unseal_bytes(const struct secret *key, const void *ad, size_t ad_size, const void *from, size_t n, uint8_t *to) {
    const uint8_t *sealed = from;
    if (n < SEAL_OVERHEAD || secret_size(key) != SECRET_KEY_SIZE)
        return VAULT_E_DAMAGED;
    int failed = crypto_aead_xchacha20poly1305_ietf_decrypt(to, NULL, NULL, sealed + NONCE, n - NONCE, ad, ad_size,
                                                            sealed, secret_view(key));
    return failed != 0 ? VAULT_E_DAMAGED : VAULT_OK;
}

/* What a wrap is bound to: a wrapped key moved to another purpose, owner or generation does not open. */
static void bind_wrap(enum wrap_purpose purpose, const uint8_t owner[WRAP_OWNER], uint32_t generation,
                      uint8_t ret_ad[WRAP_AD]) {
    struct writer w = writer_of(ret_ad, WRAP_AD);
    write_bytes(&w, "vault-wrap-1", LABEL);
    write_u8(&w, (uint8_t)purpose);
    write_bytes(&w, owner, WRAP_OWNER);
    write_u32(&w, generation);
}

int key_wrap(const struct secret *under, enum wrap_purpose purpose, const uint8_t owner[WRAP_OWNER],
             uint32_t generation, const struct secret *key, uint8_t ret[WRAP_SIZE]) {
    uint8_t ad[WRAP_AD];
    uint8_t sealed[WRAP_SIZE];
    if (secret_size(key) != SECRET_KEY_SIZE)
        return VAULT_E_CRYPTO;
    bind_wrap(purpose, owner, generation, ad);
    int result = seal_bytes(under, ad, sizeof(ad), secret_view(key), SECRET_KEY_SIZE, sealed);
    if (result == VAULT_OK)
        copy_bytes(ret, WRAP_SIZE, sealed, sizeof(sealed));
    return result;
}

int key_unwrap(const struct secret *under, enum wrap_purpose purpose, const uint8_t owner[WRAP_OWNER],
               uint32_t generation, const uint8_t wrapped[WRAP_SIZE], struct secret **ret) {
    uint8_t ad[WRAP_AD];
    CLEANUP_SECRET struct secret *key = NULL;
    int result = secret_new(&key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    bind_wrap(purpose, owner, generation, ad);
    result = unseal_bytes(under, ad, sizeof(ad), wrapped, WRAP_SIZE, secret_edit(key));
    if (result == VAULT_OK)
        *ret = secret_move(&key);
    return result;
}
