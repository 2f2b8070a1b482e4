/* Guarded memory without a system call for each piece, which would take a hundred times as long as most parsers. The
 * linker puts these in the place of libsodium's functions in the mass executors. They give as much: a piece ends
 * against a page that nobody may touch, has a canary in front of it, starts as garbage and is wiped when freed. In
 * addition a piece that is never freed ends the program, once there are enough of them. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, CANARY = 16, GARBAGE = 0xdb };

struct pool {
    size_t pages; /* of a slot, beside its guard */
    size_t slots;
    uint8_t *at; /* NULL until first used */
    size_t free_count;
    size_t free[128];
    bool used[128];
};

static struct pool pools[] = {{.pages = 1, .slots = 128}, {.pages = 17, .slots = 16}};

void *__wrap_sodium_malloc(size_t size);
void __wrap_sodium_free(void *piece);
int __wrap_sodium_mlock(void *piece, size_t size);

static size_t stride(const struct pool *p) {
    return (p->pages + 1) * PAGE;
}

static void make(struct pool *p) {
    p->at = mmap(NULL, p->slots * stride(p), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->at == MAP_FAILED)
        abort();
    for (size_t i = 0; i < p->slots; i++) {
        if (mprotect(p->at + i * stride(p), p->pages * PAGE, PROT_READ | PROT_WRITE) != 0)
            abort();
        p->free[p->free_count++] = i;
    }
}

void *__wrap_sodium_malloc(size_t size) {
    struct pool *p = size + CANARY <= PAGE ? &pools[0] : &pools[1];
    if (size + CANARY > p->pages * PAGE)
        abort();
    if (p->at == NULL)
        make(p);
    if (p->free_count == 0)
        abort();
    size_t slot = p->free[--p->free_count];
    uint8_t *piece = p->at + slot * stride(p) + p->pages * PAGE - size;
    p->used[slot] = true;
    memset(piece - CANARY, GARBAGE, CANARY + size);
    return piece;
}

static struct pool *pool_of(const uint8_t *piece) {
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
        if (pools[i].at != NULL && piece >= pools[i].at && piece < pools[i].at + pools[i].slots * stride(&pools[i]))
            return &pools[i];
    abort();
}

void __wrap_sodium_free(void *piece) {
    uint8_t *at = piece;
    if (piece == NULL)
        return;
    struct pool *p = pool_of(at);
    size_t slot = (size_t)(at - p->at) / stride(p);
    const uint8_t *end = p->at + slot * stride(p) + p->pages * PAGE;
    if (!p->used[slot])
        abort();
    for (size_t i = 1; i <= CANARY; i++)
        if (at[-(ptrdiff_t)i] != GARBAGE)
            abort();
    memset(at, 0, (size_t)(end - at));
    p->used[slot] = false;
    p->free[p->free_count++] = slot;
}

int __wrap_sodium_mlock(void *piece, size_t size) {
    (void)piece;
    (void)size;
    return 0;
}
