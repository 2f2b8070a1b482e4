#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "names.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { HASH_BUFFER = 1 << 20, WRITE_STEP = 8 << 20 };

static int read_all(int fd, size_t max, char **ret, size_t *ret_size) {
    char *bytes = malloc(max + 1);
    size_t used = 0;
    if (bytes == NULL)
        return VAULT_E_MEMORY;
    for (;;) {
        ssize_t n = read(fd, bytes + used, max + 1 - used);
        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        used += n > 0 ? (size_t)n : 0;
        if (n <= 0 || used > max) {
            int result = n < 0 ? VAULT_E_IO : used > max ? VAULT_E_LIMIT : VAULT_OK;
            if (result != VAULT_OK) {
                free(bytes);
                return result;
            }
            bytes[used] = '\0';
            *ret = bytes;
            *ret_size = used;
            return VAULT_OK;
        }
    }
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_size) {
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, max, ret, ret_size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return VAULT_E_IO;
    int result = read_all(fd, max, ret, ret_size);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static int hash_loop(EVP_MD_CTX *hash, int fd, uint64_t size, struct progress *p, uint8_t *buffer) {
    uint64_t done = 0;
    while (done < size) {
        size_t want = size - done < HASH_BUFFER ? (size_t)(size - done) : HASH_BUFFER;
        ssize_t n = interrupted ? 0 : read(fd, buffer, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : 0;
            return VAULT_E_IO;
        }
        if (EVP_DigestUpdate(hash, buffer, (size_t)n) != 1)
            return VAULT_E_CRYPTO;
        done += (uint64_t)n;
        progress_move(p, done, size);
    }
    return VAULT_OK;
}

int file_hash(int fd, uint64_t size, struct progress *p, uint8_t ret[SHA256_BYTES]) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    uint8_t *buffer = malloc(HASH_BUFFER);
    int result = VAULT_E_CRYPTO;
    if (hash != NULL && buffer != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1)
        result = hash_loop(hash, fd, size, p, buffer);
    if (result == VAULT_OK && EVP_DigestFinal_ex(hash, ret, NULL) != 1)
        result = VAULT_E_CRYPTO;
    EVP_MD_CTX_free(hash);
    free(buffer);
    return result;
}

void digest_text(const uint8_t hash[SHA256_BYTES], char to[DIGEST_TEXT]) {
    char base64[sodium_base64_ENCODED_LEN(SHA256_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(base64, sizeof(base64), hash, SHA256_BYTES, sodium_base64_VARIANT_ORIGINAL);
    (void)format_string(to, DIGEST_TEXT, "sha-256=:%s:", base64);
}

bool digest_in_header(const char *header, const uint8_t hash[SHA256_BYTES], bool *ret_equal) {
    char expected[DIGEST_TEXT];
    digest_text(hash, expected);
    for (const char *at = header; *at != '\0'; at += strcspn(at, ",")) {
        at += strspn(at, ", \t");
        if (strncmp(at, "sha-256=:", 9) != 0)
            continue;
        *ret_equal = strncmp(at, expected, strlen(expected)) == 0;
        return true;
    }
    return false;
}

char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return format_text(".");
    return slash == path ? format_text("/") : format_text("%.*s", (int)(slash - path), path);
}

/* Where writing to `path` would end up: links are followed, so that a link to a file stays one. */
static char *resolve(const char *path) {
    char *real = realpath(path, NULL);
    return real != NULL ? real : format_text("%s", path);
}

static int open_temporary(struct output *o) {
    char *folder = folder_of(o->path);
    const char *slash = strrchr(o->path, '/');
    o->temporary = format_text("%s/.%s.XXXXXX", folder, slash != NULL ? slash + 1 : o->path);
    free(folder);
    o->fd = mkostemp(o->temporary, O_CLOEXEC);
    if (o->fd >= 0)
        return VAULT_OK;
    free(o->temporary);
    o->temporary = NULL;
    return VAULT_E_IO;
}

static int open_target(struct output *o, const char *path) {
    struct stat st;
    if (path == NULL || strcmp(path, "-") == 0) {
        o->fd = STDOUT_FILENO;
        return VAULT_OK;
    }
    o->path = resolve(path);
    bool exists = stat(o->path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return VAULT_E_IO;
    }
    if (!exists || S_ISREG(st.st_mode))
        return open_temporary(o);
    o->fd = open(o->path, O_WRONLY | O_CLOEXEC);
    return o->fd < 0 ? VAULT_E_IO : VAULT_OK;
}

int output_open(struct output *o, const char *path) {
    *o = (struct output){.fd = -1, .hash = EVP_MD_CTX_new()};
    if (o->hash == NULL)
        return VAULT_E_MEMORY;
    if (EVP_DigestInit_ex(o->hash, EVP_sha256(), NULL) != 1)
        return VAULT_E_CRYPTO;
    return open_target(o, path);
}

void output_skip_digest(struct output *o) {
    EVP_MD_CTX_free(o->hash);
    o->hash = NULL;
}

/* Has the disk begin with what is whole steps, so that little is left for the end. */
static void begin_writing(struct output *o) {
    uint64_t whole = o->size / WRITE_STEP * WRITE_STEP;
    if (whole > o->begun && o->temporary != NULL)
        (void)sync_file_range(o->fd, (off_t)o->begun, (off_t)(whole - o->begun), SYNC_FILE_RANGE_WRITE);
    o->begun = whole;
}

bool output_write(void *output, const void *bytes, size_t n) {
    struct output *o = output;
    const char *from = bytes;
    if (o->error != 0 || (o->hash != NULL && EVP_DigestUpdate(o->hash, bytes, n) != 1))
        return false;
    o->size += n;
    while (n > 0) {
        ssize_t done = write(o->fd, from, n);
        if (done < 0 && errno == EINTR && !interrupted)
            continue;
        if (done < 0) {
            o->error = errno;
            return false;
        }
        from += done;
        n -= (size_t)done;
    }
    begin_writing(o);
    return true;
}

int output_digest(struct output *o, uint8_t ret[SHA256_BYTES]) {
    return EVP_DigestFinal_ex(o->hash, ret, NULL) == 1 ? VAULT_OK : VAULT_E_CRYPTO;
}

int folder_sync(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return VAULT_E_IO;
    int result = fsync(fd) == 0 ? VAULT_OK : VAULT_E_IO;
    close(fd);
    return result;
}

int output_keep(struct output *o) {
    if (o->temporary == NULL)
        return VAULT_OK;
    if (fsync(o->fd) != 0 || rename(o->temporary, o->path) != 0)
        return VAULT_E_IO;
    free(o->temporary);
    o->temporary = NULL;
    char *folder = folder_of(o->path);
    int result = folder_sync(folder);
    free(folder);
    return result;
}

void output_close(struct output *o) {
    if (o->temporary != NULL)
        (void)unlink(o->temporary);
    if (o->fd >= 0 && o->fd != STDOUT_FILENO)
        close(o->fd);
    EVP_MD_CTX_free(o->hash);
    free(o->temporary);
    free(o->path);
    *o = (struct output){.fd = -1};
}
