#include "secret_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vault/result.h"
#include "vault/secret.h"

enum { CANARY = 16, PAGE = 4096, LARGE_PAGES = SECRET_MAX / PAGE + 1, CLASSES = 2 };

/* Slots of one size, each after its guard page; one more guard is at the end. */
struct slots {
    size_t size; /* of a slot in bytes; 0: none are mapped */
    uint8_t *at;
    unsigned count, free_count;
    unsigned *free; /* numbers of the free ones; the last is taken first, so that few pages are ever touched */
};

static struct slots classes[CLASSES];
static uint8_t canary[CANARY];

static size_t stride(const struct slots *s) {
    return s->size + PAGE;
}

static uint8_t *slot_end(const struct slots *s, unsigned slot) {
    return s->at + (slot + 1) * stride(s);
}

/* Puts pages of the file, from `from` on, into the slots' places. */
static bool map_slots(const struct slots *s, int file, size_t from) {
    for (unsigned i = 0; i < s->count; i++) {
        uint8_t *place = slot_end(s, i) - s->size;
        const void *mapped =
            mmap(place, s->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, (off_t)(from + i * s->size));
        if (mapped == MAP_FAILED)
            return false;
    }
    return true;
}

/* A child would share the pages, and both would take the same. */
static bool keep_from_children(const struct slots *s) {
    return madvise(s->at, s->count * stride(s) + PAGE, MADV_DONTFORK) == 0;
}

static int make_slots(struct slots *s, int file, size_t from) {
    s->free = calloc(s->count, sizeof(*s->free));
    s->at = mmap(NULL, s->count * stride(s) + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->free == NULL || s->at == MAP_FAILED || !map_slots(s, file, from) || !keep_from_children(s))
        return VAULT_E_MEMORY;
    while (s->free_count < s->count) {
        s->free[s->free_count] = s->count - 1 - s->free_count;
        s->free_count++;
    }
    return VAULT_OK;
}

/* Not there before Linux 5.14, nor where it is switched off (before 6.5 it is, unless asked for at boot: then ENOSYS),
 * nor where a filter refuses it. */
static int open_file(int *ret) {
    int file = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    if (file < 0)
        return errno == ENOSYS || errno == EPERM ? VAULT_NOT_FOUND : VAULT_E_MEMORY;
    *ret = file;
    return VAULT_OK;
}

int secret_memory_map(unsigned small, unsigned large) {
    int file = -1;
    if (classes[0].size != 0 || small == 0 || large == 0)
        return VAULT_E_STATE;
    int result = open_file(&file);
    if (result != VAULT_OK)
        return result;
    struct slots fresh[CLASSES] = {{.size = PAGE, .count = small}, {.size = LARGE_PAGES * PAGE, .count = large}};
    size_t first = fresh[0].count * fresh[0].size;
    if (ftruncate(file, (off_t)(first + fresh[1].count * fresh[1].size)) != 0)
        result = VAULT_E_MEMORY;
    if (result == VAULT_OK)
        result = make_slots(&fresh[0], file, 0);
    if (result == VAULT_OK)
        result = make_slots(&fresh[1], file, first);
    close(file);
    if (result != VAULT_OK)
        return result; /* the program ends: what was mapped goes with it */
    randombytes_buf(canary, sizeof(canary));
    for (size_t i = 0; i < CLASSES; i++)
        classes[i] = fresh[i];
    return VAULT_OK;
}

static void write_canary(uint8_t *piece) {
    for (size_t i = 0; i < CANARY; i++)
        piece[(ptrdiff_t)i - CANARY] = canary[i];
}

void *secret_memory_take(size_t n) {
    struct slots *s = &classes[n + CANARY <= PAGE ? 0 : 1];
    if (s->free_count == 0 || n + CANARY > s->size)
        return NULL;
    uint8_t *piece = slot_end(s, s->free[--s->free_count]) - n;
    write_canary(piece);
    return piece;
}

static struct slots *slots_of(const uint8_t *piece) {
    for (size_t i = 0; i < CLASSES; i++)
        if (piece >= classes[i].at && piece < classes[i].at + classes[i].count * stride(&classes[i]))
            return &classes[i];
    abort();
}

void secret_memory_give(void *piece) {
    uint8_t *at = piece;
    struct slots *s = slots_of(at);
    unsigned slot = (unsigned)((size_t)(at - s->at) / stride(s));
    if (sodium_memcmp(at - CANARY, canary, CANARY) != 0)
        abort();
    sodium_memzero(at - CANARY, (size_t)(slot_end(s, slot) - at) + CANARY);
    s->free[s->free_count++] = slot;
}
