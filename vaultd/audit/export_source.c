#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "export_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

/* read, again after a signal. */
static ssize_t read_some(int fd, void *to, size_t size) {
    ssize_t n;
    do
        n = read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return n;
}

int source_open(struct line_source *s, int folder, const char *name) {
    s->at = s->end = 0;
    s->fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    return s->fd < 0 ? VAULT_E_IO : VAULT_OK;
}

void source_close(struct line_source *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

int source_line(struct line_source *s, char *to, size_t size, size_t *ret_n) {
    for (size_t used = 0;;) {
        if (s->at == s->end) {
            ssize_t n = read_some(s->fd, s->buffer, sizeof(s->buffer));
            if (n < 0)
                return VAULT_E_IO;
            if (n == 0)
                return used == 0 ? VAULT_NOT_FOUND : VAULT_E_FORMAT;
            s->at = 0;
            s->end = (size_t)n;
        }
        const char *start = s->buffer + s->at;
        const char *newline = memchr(start, '\n', s->end - s->at);
        size_t piece = newline == NULL ? s->end - s->at : (size_t)(newline - start);
        if (piece > size - used)
            return VAULT_E_LIMIT;
        copy_bytes(to + used, size - used, start, piece);
        used += piece;
        s->at += piece + (newline != NULL);
        if (newline != NULL) {
            *ret_n = used;
            return VAULT_OK;
        }
    }
}

int source_text(int folder, const char *name, char *to, size_t size) {
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return VAULT_E_IO;
    size_t used = 0;
    ssize_t n = 1;
    while (n > 0 && used < size) {
        n = read_some(fd, to + used, size - used);
        used += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (n < 0)
        return VAULT_E_IO;
    if (used == size)
        return VAULT_E_LIMIT;
    to[used] = '\0';
    return strlen(to) == used ? VAULT_OK : VAULT_E_FORMAT;
}
