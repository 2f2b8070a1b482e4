/* Small secret files, and base64. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "share.h"
#include "vault/result.h"

enum { SECRET_FILE_MAX = 8192, BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

/* Up to SECRET_FILE_MAX + 1 bytes, so that a longer file is noticed. -1 with errno. */
static ssize_t read_some(int fd, uint8_t *to) {
    size_t used = 0;
    while (used < SECRET_FILE_MAX + 1) {
        ssize_t n = read(fd, to + used, SECRET_FILE_MAX + 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -1 : (ssize_t)used;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

int secret_file_read(struct call *c, const char *path, struct secret **ret) {
    CLEANUP_SECRET struct secret *whole = NULL;
    bool standard = strcmp(path, "-") == 0;
    if (secret_new(&whole, SECRET_FILE_MAX + 1) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "out of locked memory");
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(c, OUTCOME_FAILED, "cannot read '%s': %s", path, strerror(errno));
    ssize_t n = read_some(fd, secret_edit(whole));
    int reason = errno;
    if (!standard)
        close(fd);
    if (n < 0)
        return fail(c, OUTCOME_FAILED, "cannot read '%s': %s", path, strerror(reason));
    if (n == 0 || n > SECRET_FILE_MAX)
        return fail(c, OUTCOME_FAILED, "'%s' is %s", path, n == 0 ? "empty" : "too long");
    return secret_take(ret, secret_edit(whole), (size_t)n) == VAULT_OK
               ? (int)OUTCOME_DONE
               : fail(c, OUTCOME_FAILED, "out of locked memory");
}

static bool write_whole(int fd, const uint8_t *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        n -= (size_t)written;
    }
    return true;
}

int new_file_write(struct call *c, const char *path, const void *bytes, size_t n) {
    if (path == NULL)
        return write_whole(STDOUT_FILENO, bytes, n)
                   ? (int)OUTCOME_DONE
                   : fail(c, OUTCOME_FAILED, "cannot write to standard output: %s", strerror(errno));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(c, OUTCOME_FAILED, "cannot make '%s': %s", path, strerror(errno));
    bool good = write_whole(fd, bytes, n) && fsync(fd) == 0;
    int reason = errno;
    good = close(fd) == 0 && good;
    if (good)
        return OUTCOME_DONE;
    (void)unlink(path);
    return fail(c, OUTCOME_FAILED, "cannot write '%s': %s", path, strerror(reason));
}

char *base64_text(const uint8_t *bytes, size_t n) {
    size_t size = sodium_base64_encoded_len(n, BASE64);
    char *text = malloc(size);
    if (text != NULL)
        sodium_bin2base64(text, size, bytes, n, BASE64);
    return text;
}

bool base64_bytes(const char *text, uint8_t *ret, size_t size, size_t *ret_n) {
    return text != NULL && sodium_base642bin(ret, size, text, strlen(text), NULL, ret_n, NULL, BASE64) == 0;
}

int passphrase_read(struct call *c, struct secret **ret) {
    CLEANUP_SECRET struct secret *file = NULL;
    const char *path = option_text(c, "passphrase");
    if (path == NULL)
        return OUTCOME_DONE;
    int outcome = secret_file_read(c, path, &file);
    if (outcome != OUTCOME_DONE)
        return outcome;
    size_t n = secret_size(file);
    n -= n > 1 && secret_view(file)[n - 1] == '\n';
    return secret_take(ret, secret_edit(file), n) == VAULT_OK ? (int)OUTCOME_DONE
                                                              : fail(c, OUTCOME_FAILED, "out of locked memory");
}
