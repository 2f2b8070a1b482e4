#include "vaultd/gate/heap.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/secret.h"

static void *take(size_t n, const char *file, int line) {
    (void)file;
    (void)line;
    return malloc(n);
}

static void give(void *block, const char *file, int line) {
    (void)file;
    (void)line;
    if (block != NULL)
        wipe(block, malloc_usable_size(block));
    free(block);
}

/* Never in place, since realloc() itself may leave the old block behind. */
static void *resize(void *block, size_t n, const char *file, int line) {
    if (n == 0) {
        give(block, file, line);
        return NULL;
    }
    void *fresh = malloc(n);
    if (fresh == NULL || block == NULL)
        return fresh;
    size_t had = malloc_usable_size(block);
    copy_bytes(fresh, n, block, had < n ? had : n);
    give(block, file, line);
    return fresh;
}

int heap_wipe_freed(void) {
    return CRYPTO_set_mem_functions(take, resize, give) == 1 ? VAULT_OK : VAULT_E_STATE;
}
