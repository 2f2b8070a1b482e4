/* Files on this side: read whole, hashed, written so that nobody ever sees half of one. */
#ifndef VAULTCTL_FILES_H
#define VAULTCTL_FILES_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "progress.h"

enum { SHA256_BYTES = 32, DIGEST_TEXT = 64 };

/* The whole file, terminated, at most `max` bytes; "-" is standard input. *ret is owned by the caller.
 * VAULT_E_IO (errno), VAULT_E_LIMIT, VAULT_E_MEMORY. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_size);
/* SHA-256 of the next `size` bytes. VAULT_E_IO (errno; 0 if the file ended early or on interruption),
 * VAULT_E_CRYPTO. */
int file_hash(int fd, uint64_t size, struct progress *p, uint8_t ret[SHA256_BYTES]);
/* `sha-256=:BASE64:`, as in Repr-Digest (RFC 9530). */
void digest_text(const uint8_t hash[SHA256_BYTES], char to[DIGEST_TEXT]);
/* True if the header holds a sha-256 digest; *ret_equal tells if it is this one. */
bool digest_in_header(const char *header, const uint8_t hash[SHA256_BYTES], bool *ret_equal);

/* A file being written: beside its target, under a name of its own, readable by its owner only. A target that exists
 * and is no regular file (a pipe, /dev/null) and standard output are written directly. */
struct output {
    int fd;
    char *path;           /* target; NULL: standard output */
    char *temporary;      /* NULL: written directly */
    EVP_MD_CTX *hash;     /* of what was written; NULL: nobody asks for it */
    uint64_t size, begun; /* written; of that, what the disk was told to begin with */
    int error;            /* errno of the first failed write */
};

/* `path` NULL or "-": standard output. VAULT_E_IO (errno), VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int output_open(struct output *o, const char *path);
/* No digest is made of it: output_digest is not for it. After output_open. */
void output_skip_digest(struct output *o);
/* Appends; false after a failure. Fits struct http_request.sink. */
bool output_write(void *output, const void *bytes, size_t n);
/* Ends the digest; once, before output_keep. VAULT_E_CRYPTO. */
int output_digest(struct output *o, uint8_t ret[SHA256_BYTES]);
/* Makes the file durable and gives it its name. VAULT_E_IO (errno): then nothing has the name that had not before. */
int output_keep(struct output *o);
/* Removes what was not kept and frees everything. Safe after a failed open and after output_keep. */
void output_close(struct output *o);
/* Makes a folder's entries durable. VAULT_E_IO. */
int folder_sync(const char *folder);
/* The folder that holds `path`; owned by the caller. */
char *folder_of(const char *path);

#endif
