#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup.h"
#include "vault/result.h"

enum { BLOCK = 1 << 17, SUMS_MAX = 1024 };

static int write_all(int fd, const void *bytes, size_t n) {
    const char *at = bytes;
    while (n > 0) {
        ssize_t written = write(fd, at, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return vault_result_from_errno(written < 0 ? errno : EIO);
        at += written;
        n -= (size_t)written;
    }
    return VAULT_OK;
}

int listing_open(struct listing *l, int folder, const char *name) {
    l->used = 0;
    l->fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    l->result = l->fd < 0 ? vault_result_from_errno(errno) : VAULT_OK;
    return l->result;
}

static void flush(struct listing *l) {
    if (l->result == VAULT_OK)
        l->result = write_all(l->fd, l->text, l->used);
    l->used = 0;
}

void listing_line(struct listing *l, const char *format, ...) {
    enum { LINE_MAX_SIZE = 512 };
    va_list arguments;
    if (sizeof(l->text) - l->used < LINE_MAX_SIZE)
        flush(l);
    va_start(arguments, format);
    int n = vsnprintf(l->text + l->used, LINE_MAX_SIZE, format, arguments);
    va_end(arguments);
    if (n < 0 || n >= LINE_MAX_SIZE)
        l->result = VAULT_E_STATE;
    else
        l->used += (size_t)n;
}

int listing_close(struct listing *l) {
    flush(l);
    if (l->result == VAULT_OK && fsync(l->fd) != 0)
        l->result = vault_result_from_errno(errno);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    return l->result;
}

int file_hash(int from, int to, uint8_t ret[HASH_SIZE], uint64_t *ret_bytes) {
    static uint8_t block[BLOCK];
    crypto_hash_sha256_state s;
    uint64_t bytes = 0;
    crypto_hash_sha256_init(&s);
    for (;;) {
        ssize_t n = pread(from, block, sizeof(block), (off_t)bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vault_result_from_errno(errno);
        if (n == 0)
            break;
        crypto_hash_sha256_update(&s, block, (size_t)n);
        int result = to >= 0 ? write_all(to, block, (size_t)n) : VAULT_OK;
        if (result != VAULT_OK)
            return result;
        bytes += (uint64_t)n;
    }
    crypto_hash_sha256_final(&s, ret);
    *ret_bytes = bytes;
    return VAULT_OK;
}

static int sum_line(struct listing *l, int folder, const char *name) {
    uint8_t hash[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];
    uint64_t bytes = 0;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return vault_result_from_errno(errno);
    int result = file_hash(fd, -1, hash, &bytes);
    close(fd);
    if (result != VAULT_OK)
        return result;
    hex_encode(hex, sizeof(hex), hash, sizeof(hash));
    listing_line(l, "%s  %s\n", hex, name);
    return VAULT_OK;
}

int sums_write(int folder) {
    static const char *const names[] = {BACKUP_INDEX, BACKUP_OBJECTS, BACKUP_ARCHIVE, BACKUP_ABOUT};
    static struct listing l;
    int result = listing_open(&l, folder, BACKUP_SUMS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && result == VAULT_OK; i++)
        result = sum_line(&l, folder, names[i]);
    int closed = listing_close(&l);
    return result == VAULT_OK ? closed : result;
}

/* The line of the index in the text, which is terminated. */
static int sums_parse(const char *text, uint8_t ret[HASH_SIZE]) {
    static const char name[] = "  " BACKUP_INDEX "\n";
    char hex[2 * HASH_SIZE + 1];
    const char *at = strstr(text, name);
    if (at == NULL || at - text < 2 * HASH_SIZE)
        return VAULT_E_FORMAT;
    at -= 2 * HASH_SIZE;
    copy_bytes(hex, sizeof(hex), at, 2 * HASH_SIZE);
    hex[2 * HASH_SIZE] = '\0';
    return (at == text || at[-1] == '\n') && hex_decode(ret, HASH_SIZE, hex) ? VAULT_OK : VAULT_E_FORMAT;
}

int sums_read(int folder, uint8_t ret[HASH_SIZE]) {
    char text[SUMS_MAX];
    int fd = openat(folder, BACKUP_SUMS, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? VAULT_NOT_FOUND : vault_result_from_errno(errno);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    int error = errno;
    close(fd);
    if (n < 0)
        return vault_result_from_errno(error);
    text[n] = '\0';
    return sums_parse(text, ret);
}
