/* A chunked body gives the same bytes, and ends at the same place, whole and byte by byte. */
#include <stdlib.h>

#include "taken.h"
#include "vault/result.h"
#include "vaultd/worker/http_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int result;
    enum http_chunked_state state;
    uint64_t sum; /* of the data, by position */
    uint64_t bytes;
    size_t used;
};

static struct outcome decode(const uint8_t *data, size_t size, size_t step) {
    struct http_chunked c = {0};
    struct outcome o = {0};
    while (o.used < size && o.result == VAULT_OK && c.state != CHUNKED_DONE) {
        const uint8_t *run = NULL;
        size_t n = 0;
        size_t used = 0;
        size_t look = size - o.used < step ? size - o.used : step;
        o.result = http_chunked_take(&c, data + o.used, look, &used, &run, &n);
        if (o.result != VAULT_OK)
            break;
        for (size_t i = 0; i < n; i++)
            o.sum = o.sum * 31 + run[i];
        o.bytes += n;
        o.used += used;
    }
    o.state = c.state;
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct outcome whole = decode(data, size, size > 0 ? size : 1);
    struct outcome pieces = decode(data, size, 1);
    if (whole.result != pieces.result || whole.sum != pieces.sum || whole.bytes != pieces.bytes)
        abort();
    if (whole.result == VAULT_OK && (whole.used != pieces.used || whole.state != pieces.state))
        abort();
    fuzz_taken += whole.state == CHUNKED_DONE;
    return 0;
}
