/* What OpenSSL needs to decrypt, encrypt and hash, on one core and in memory: what a rotation of data keys is compared
 * with. recrypt MEBIBYTES: prints the seconds. Segments are of 64 KiB, ChaCha20-Poly1305; each sealed one is hashed. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SEGMENT = 65536, TAG = 16, RING = 64 };

static uint8_t sealed[RING][SEGMENT + TAG];
static uint8_t plain[SEGMENT], again[SEGMENT + TAG];
static const uint8_t key[32] = {1}, nonce[12] = {2};

static void need(int good) {
    if (good != 1)
        abort();
}

static void seal(EVP_CIPHER_CTX *c, const uint8_t *from, uint8_t *to) {
    int n = 0;
    need(EVP_EncryptInit_ex(c, NULL, NULL, key, nonce));
    need(EVP_EncryptUpdate(c, to, &n, from, SEGMENT));
    need(EVP_EncryptFinal_ex(c, to + n, &n));
    need(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, to + SEGMENT));
}

static void unseal(EVP_CIPHER_CTX *c, uint8_t *from, uint8_t *to) {
    int n = 0;
    need(EVP_DecryptInit_ex(c, NULL, NULL, key, nonce));
    need(EVP_DecryptUpdate(c, to, &n, from, SEGMENT));
    need(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, from + SEGMENT));
    need(EVP_DecryptFinal_ex(c, to + n, &n));
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    long segments = argc == 2 ? strtol(argv[1], NULL, 10) * (1048576 / SEGMENT) : 0;
    EVP_CIPHER_CTX *from = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX *to = EVP_CIPHER_CTX_new();
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (segments <= 0 || from == NULL || to == NULL || hash == NULL)
        return 2;
    need(EVP_EncryptInit_ex(to, EVP_chacha20_poly1305(), NULL, NULL, NULL));
    need(EVP_DecryptInit_ex(from, EVP_chacha20_poly1305(), NULL, NULL, NULL));
    need(EVP_DigestInit_ex(hash, EVP_sha256(), NULL));
    for (int i = 0; i < RING; i++)
        seal(to, plain, sealed[i]);
    double start = now();
    for (long i = 0; i < segments; i++) {
        unseal(from, sealed[i % RING], plain);
        seal(to, plain, again);
        need(EVP_DigestUpdate(hash, again, sizeof(again)));
    }
    printf("%.4f\n", now() - start);
    EVP_CIPHER_CTX_free(from);
    EVP_CIPHER_CTX_free(to);
    EVP_MD_CTX_free(hash);
    return 0;
}
