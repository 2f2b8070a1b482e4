/* Any bytes as a key file: with a passphrase and without, and put between the lines of each label. The kdfs have
 * stand-ins, since a file's own would take most of a second; they give the salt twice. */
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/buffer.h"
#include "vault/crypt4gh.h"
#include "vault/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_crypto_pwhash_scryptsalsa208sha256_ll(const uint8_t *passphrase, size_t passphrase_size, const uint8_t *salt,
                                                 size_t salt_size, uint64_t n, uint32_t r, uint32_t p, uint8_t *to,
                                                 size_t size);
int __wrap_PKCS5_PBKDF2_HMAC(const char *passphrase, int passphrase_size, const unsigned char *salt, int salt_size,
                             int rounds, const EVP_MD *digest, int size, unsigned char *to);

enum { SALT = 16, UNTOUCHED = 77 };

static const char *const labels[] = {"CRYPT4GH PUBLIC KEY", "CRYPT4GH PRIVATE KEY", "CRYPT4GH ENCRYPTED PRIVATE KEY"};
static struct secret *passphrase;

static void need(bool good) {
    if (!good)
        abort();
}

static void derive(const uint8_t *salt, size_t salt_size, uint8_t *to, size_t size) {
    need(salt_size == SALT && size == 2 * SALT);
    copy_bytes(to, SALT, salt, SALT);
    copy_bytes(to + SALT, SALT, salt, SALT);
}

int __wrap_crypto_pwhash_scryptsalsa208sha256_ll(const uint8_t *given, size_t given_size, const uint8_t *salt,
                                                 size_t salt_size, uint64_t n, uint32_t r, uint32_t p, uint8_t *to,
                                                 size_t size) {
    need(given == secret_view(passphrase) && given_size == secret_size(passphrase));
    need(n == 1 << 14 && r == 8 && p == 1);
    derive(salt, salt_size, to, size);
    return 0;
}

int __wrap_PKCS5_PBKDF2_HMAC(const char *given, int given_size, const unsigned char *salt, int salt_size, int rounds,
                             const EVP_MD *digest, int size, unsigned char *to) {
    need((const uint8_t *)given == secret_view(passphrase) && (size_t)given_size == secret_size(passphrase));
    need(rounds >= 1 && rounds <= 10000000 && digest == EVP_sha256() && salt_size > 0 && size > 0);
    derive(salt, (size_t)salt_size, to, (size_t)size);
    return 1;
}

static int read_private(const void *text, size_t n, const struct secret *given) {
    struct secret *key = NULL;
    int result = crypt4gh_private_key_read(text, n, given, &key);
    need(result == VAULT_OK || result == VAULT_NOT_FOUND || result == VAULT_DENIED || result == VAULT_E_FORMAT ||
         result == VAULT_E_LIMIT);
    need((result == VAULT_OK) == (key != NULL));
    need(key == NULL || secret_size(key) == CRYPT4GH_KEY);
    secret_free(&key);
    return result;
}

static void read_file(const void *text, size_t n) {
    uint8_t public_key[CRYPT4GH_KEY + 1] = {0};
    public_key[CRYPT4GH_KEY] = UNTOUCHED;
    bool is_public = crypt4gh_public_key_read(text, n, public_key) == VAULT_OK;
    int without = read_private(text, n, NULL);
    int with = read_private(text, n, passphrase);
    need(public_key[CRYPT4GH_KEY] == UNTOUCHED && without != VAULT_DENIED && with != VAULT_NOT_FOUND);
    need(!is_public || without == VAULT_E_FORMAT);
    need(with == without || without == VAULT_NOT_FOUND);
    if (is_public || with == VAULT_OK)
        fuzz_taken++;
}

static void armour(const char *label, const uint8_t *data, size_t size) {
    static char base64[2 * CRYPT4GH_KEY_FILE_MAX];
    static char text[2 * CRYPT4GH_KEY_FILE_MAX];
    sodium_bin2base64(base64, sizeof(base64), data, size, sodium_base64_VARIANT_ORIGINAL);
    need(format_string(text, sizeof(text), "-----BEGIN %s-----\n%s\n-----END %s-----\n", label, base64, label));
    read_file(text, strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (passphrase == NULL)
        need(secret_start() == VAULT_OK && secret_random(&passphrase, 8) == VAULT_OK);
    read_file(data, size);
    if (size > CRYPT4GH_KEY_FILE_MAX)
        return 0;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        armour(labels[i], data, size);
    return 0;
}
