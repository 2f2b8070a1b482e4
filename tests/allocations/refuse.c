/* Allocations that refuse once: the one whose number, from 1, is in VAULT_REFUSE_ALLOCATION. VAULT_COUNT_ALLOCATIONS
 * names a file that gets their number at the end. Only in the test program itself: not in what it forks, nor in
 * programs that it starts. That one was refused is said on standard error. tests/torture/allocations counts and
 * refuses. */
#include "redirect.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static pid_t of_test; /* 0 in other programs */
static unsigned long refused;
static atomic_ulong asked;

static void write_count(void) {
    FILE *to = getpid() == of_test ? fopen(getenv("VAULT_COUNT_ALLOCATIONS"), "w") : NULL;
    if (to != NULL) {
        fprintf(to, "%lu\n", atomic_load(&asked));
        fclose(to);
    }
}

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("VAULT_REFUSE_ALLOCATION");
    if (strncmp(program_invocation_short_name, "test_", 5) != 0)
        return;
    of_test = getpid();
    refused = number != NULL ? strtoul(number, NULL, 10) : 0;
    if (getenv("VAULT_COUNT_ALLOCATIONS") != NULL)
        atexit(write_count);
}

static bool refuse(void) {
    static const char said[] = "\nallocation refused\n";
    if (getpid() != of_test || atomic_fetch_add(&asked, 1) + 1 != refused)
        return false;
    (void)!write(STDERR_FILENO, said, sizeof(said) - 1);
    errno = ENOMEM;
    return true;
}

void *refusing_malloc(size_t size) {
    return refuse() ? NULL : malloc(size);
}

void *refusing_calloc(size_t count, size_t size) {
    return refuse() ? NULL : calloc(count, size);
}

void *refusing_realloc(void *block, size_t size) {
    return refuse() ? NULL : realloc(block, size);
}

void *refusing_reallocarray(void *block, size_t count, size_t size) {
    return refuse() ? NULL : reallocarray(block, count, size);
}

void *refusing_aligned_alloc(size_t alignment, size_t size) {
    return refuse() ? NULL : aligned_alloc(alignment, size);
}

void *refusing_sodium_malloc(size_t size) {
    return refuse() ? NULL : sodium_malloc(size);
}

char *refusing_strdup(const char *text) {
    return refuse() ? NULL : strdup(text);
}
