#include "vault/secret.h"

#include <sodium.h>

#include "vault/result.h"

/* The header lives in the guarded allocation too: `bytes` ends at the guard page, so that an overrun faults. */
struct secret {
    size_t size;
    uint8_t bytes[];
};

int secret_start(void) {
    return sodium_init() < 0 ? VAULT_E_CRYPTO : VAULT_OK;
}

int secret_new(struct secret **ret, size_t n) {
    if (n == 0 || n > SECRET_MAX)
        return VAULT_E_LIMIT;
    size_t total = sizeof(struct secret) + n;
    struct secret *s = sodium_malloc(total + (8 - total % 8) % 8);
    if (s == NULL)
        return VAULT_E_MEMORY;
    /* sodium_malloc goes on without the lock; here that is an error. Locking twice is harmless. */
    if (sodium_mlock(s, sizeof(*s) + n) != 0) {
        sodium_free(s);
        return VAULT_E_MEMORY;
    }
    s->size = n;
    sodium_memzero(s->bytes, n);
    *ret = s;
    return VAULT_OK;
}

int secret_random(struct secret **ret, size_t n) {
    struct secret *s = NULL;
    int r = secret_new(&s, n);
    if (r != VAULT_OK)
        return r;
    randombytes_buf(s->bytes, n);
    *ret = s;
    return VAULT_OK;
}

int secret_take(struct secret **ret, void *from, size_t n) {
    struct secret *s = NULL;
    int r = secret_new(&s, n);
    if (r == VAULT_OK) {
        const uint8_t *bytes = from;
        for (size_t i = 0; i < n; i++)
            s->bytes[i] = bytes[i];
        *ret = s;
    }
    sodium_memzero(from, n);
    return r;
}

const uint8_t *secret_view(const struct secret *s) {
    return s->bytes;
}

uint8_t *secret_edit(struct secret *s) {
    return s->bytes;
}

size_t secret_size(const struct secret *s) {
    return s->size;
}

bool secret_equal(const struct secret *a, const struct secret *b) {
    return a->size == b->size && sodium_memcmp(a->bytes, b->bytes, a->size) == 0;
}

struct secret *secret_move(struct secret **from) {
    struct secret *s = *from;
    *from = NULL;
    return s;
}

void secret_free(struct secret **s) {
    if (s == NULL || *s == NULL)
        return;
    sodium_free(*s);
    *s = NULL;
}

void wipe(void *bytes, size_t n) {
    sodium_memzero(bytes, n);
}
