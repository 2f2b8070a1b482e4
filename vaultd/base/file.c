#include "vault/file.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "vault/result.h"

int fd_read(int fd, void *to, size_t size, size_t *ret_n) {
    size_t n = 0;
    while (n < size) {
        ssize_t got = pread(fd, (uint8_t *)to + n, size - n, (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return VAULT_E_IO;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return VAULT_OK;
}
