#include "vault/secret.h"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "secret_memory.h"
#include "vault/result.h"

static bool in_pool; /* secrets are in the kernel's secret memory, all of them */

/* The header lives in the guarded allocation too: `bytes` ends at the guard page, so that an overrun faults. */
struct secret {
    size_t size;
    uint8_t bytes[];
};

int secret_start(void) {
    return sodium_init() < 0 ? VAULT_E_CRYPTO : VAULT_OK;
}

int secret_no_dumps(void) {
    const struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? VAULT_OK : VAULT_E_IO;
}

int secret_reserve(unsigned small, unsigned large) {
    int result = secret_memory_map(small, large);
    in_pool = in_pool || result == VAULT_OK;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

const char *secret_memory_name(void) {
    return in_pool ? "secret" : "locked";
}

/* sodium_malloc goes on without the lock; here that is an error. Locking twice is harmless. */
static struct secret *new_locked(size_t total) {
    struct secret *s = sodium_malloc(total);
    if (s != NULL && sodium_mlock(s, total) != 0) {
        sodium_free(s);
        s = NULL;
    }
    return s;
}

int secret_new(struct secret **ret, size_t n) {
    if (n == 0 || n > SECRET_MAX)
        return VAULT_E_LIMIT;
    size_t total = sizeof(struct secret) + n;
    total += (8 - total % 8) % 8;
    struct secret *s = in_pool ? secret_memory_take(total) : new_locked(total);
    if (s == NULL)
        return VAULT_E_MEMORY;
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
    if (in_pool)
        secret_memory_give(*s);
    else
        sodium_free(*s);
    *s = NULL;
}

void wipe(void *bytes, size_t n) {
    sodium_memzero(bytes, n);
}
