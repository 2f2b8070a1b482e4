#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "token.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { PIN_MAX = 255 };

/* One byte more than the longest PIN with its newline at the most, so that a longer one is noticed. */
static int read_whole(int fd, struct secret *to, size_t *ret_size) {
    size_t size = 0;
    ssize_t n = 1;
    while (n > 0 && size < secret_size(to)) {
        n = pread(fd, secret_edit(to) + size, secret_size(to) - size, (off_t)size);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            size += (size_t)n;
    }
    *ret_size = size;
    return n < 0 ? VAULT_E_IO : VAULT_OK;
}

int pin_read(int fd, struct secret **ret) {
    CLEANUP_SECRET struct secret *text = NULL;
    size_t size = 0;
    int result = secret_new(&text, PIN_MAX + 2);
    if (result == VAULT_OK)
        result = read_whole(fd, text, &size);
    if (result != VAULT_OK)
        return result;
    if (size > 0 && secret_view(text)[size - 1] == '\n')
        size--;
    if (size == 0 || size > PIN_MAX || memchr(secret_view(text), '\n', size) != NULL ||
        memchr(secret_view(text), '\0', size) != NULL)
        return VAULT_E_FORMAT;
    return secret_take(ret, secret_edit(text), size);
}
