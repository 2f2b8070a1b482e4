#include <sodium.h>
#include <sys/stat.h>

#include "vault/buffer.h"
#include "vault/file.h"
#include "vault/keyring.h"
#include "vault/result.h"

enum { HEX_FORM = 64, BASE64_FORM = 44, CREDENTIAL_MAX = HEX_FORM + 1 };

/* Regular, and readable by its owner alone. */
static int check_file(int fd) {
    struct stat s;
    if (fstat(fd, &s) != 0)
        return VAULT_E_IO;
    if (!S_ISREG(s.st_mode))
        return VAULT_E_FORMAT;
    return (s.st_mode & (S_IRWXG | S_IRWXO)) != 0 ? VAULT_DENIED : VAULT_OK;
}

/* Any of the three forms into 32 bytes. 32 bytes are always the raw form. */
static bool decode_forms(const uint8_t *from, size_t n, uint8_t ret[SECRET_KEY_SIZE]) {
    if (n == SECRET_KEY_SIZE) {
        copy_bytes(ret, SECRET_KEY_SIZE, from, n);
        return true;
    }
    if (n > 0 && from[n - 1] == '\n')
        n--;
    const char *text = (const char *)from;
    size_t size = 0;
    if (n == HEX_FORM)
        return sodium_hex2bin(ret, SECRET_KEY_SIZE, text, n, NULL, &size, NULL) == 0 && size == SECRET_KEY_SIZE;
    if (n == BASE64_FORM)
        return sodium_base642bin(ret, SECRET_KEY_SIZE, text, n, NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) ==
                   0 &&
               size == SECRET_KEY_SIZE;
    return false;
}

int root_key_read(int fd, struct secret **ret) {
    CLEANUP_SECRET struct secret *text = NULL;
    CLEANUP_SECRET struct secret *key = NULL;
    size_t size = 0;
    int result = check_file(fd);
    if (result != VAULT_OK)
        return result;
    result = secret_new(&text, CREDENTIAL_MAX + 1);
    if (result == VAULT_OK)
        result = secret_new(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = fd_read(fd, secret_edit(text), secret_size(text), &size);
    if (result != VAULT_OK)
        return result;
    if (!decode_forms(secret_view(text), size, secret_edit(key)))
        return VAULT_E_FORMAT;
    *ret = secret_move(&key);
    return VAULT_OK;
}
