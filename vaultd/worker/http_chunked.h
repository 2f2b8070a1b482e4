/* The chunked transfer coding, strictly: sizes in plain hexadecimal without leading zeros, no extensions, no
 * trailers. A pure state machine over bytes. */
#ifndef VAULT_WORKER_HTTP_CHUNKED_H
#define VAULT_WORKER_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_chunked_state {
    CHUNKED_SIZE, /* zeroed memory starts here */
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_END_CR,
    CHUNKED_END_LF,
    CHUNKED_DONE
};

struct http_chunked {
    enum http_chunked_state state;
    unsigned digits;
    uint64_t left; /* of the current chunk */
};

/* Takes bytes until a run of data is found or the input or the body ends. *ret_used: bytes taken, the run included;
 * *ret_data, *ret_size: the run, in `from` (size 0: none yet, or state is CHUNKED_DONE). VAULT_E_FORMAT. */
int http_chunked_take(struct http_chunked *c, const uint8_t *from, size_t n, size_t *ret_used, const uint8_t **ret_data,
                      size_t *ret_size);

#endif
