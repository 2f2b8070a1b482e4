#include <string.h>

#include "token.h"
#include "vault/buffer.h"
#include "vault/file.h"
#include "vault/result.h"

enum { PIN_MAX = 255 };

int pin_read(int fd, struct secret **ret) {
    CLEANUP_SECRET struct secret *text = NULL;
    size_t size = 0;
    int result = secret_new(&text, PIN_MAX + 2); /* with its newline, and one byte that tells a longer one */
    if (result == VAULT_OK)
        result = fd_read(fd, secret_edit(text), secret_size(text), &size);
    if (result != VAULT_OK)
        return result;
    if (size > 0 && secret_view(text)[size - 1] == '\n')
        size--;
    if (size == 0 || size > PIN_MAX || memchr(secret_view(text), '\n', size) != NULL ||
        memchr(secret_view(text), '\0', size) != NULL)
        return VAULT_E_FORMAT;
    return secret_take(ret, secret_edit(text), size);
}
