/* Included before everything else in each source file of the vault, not of its tests, where VAULT_TEST_ALLOCATIONS is
 * on: the vault's own allocations go through refuse.c, and those of the tests and of libraries do not. */
#ifndef VAULT_TEST_ALLOCATIONS_REDIRECT_H
#define VAULT_TEST_ALLOCATIONS_REDIRECT_H

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void *refusing_malloc(size_t size);
void *refusing_calloc(size_t count, size_t size);
void *refusing_realloc(void *block, size_t size);
void *refusing_reallocarray(void *block, size_t count, size_t size);
void *refusing_aligned_alloc(size_t alignment, size_t size);
void *refusing_sodium_malloc(size_t size);
char *refusing_strdup(const char *text);

#ifndef REFUSING_ALLOCATIONS_THEMSELVES
#undef strdup
#define malloc refusing_malloc
#define calloc refusing_calloc
#define realloc refusing_realloc
#define reallocarray refusing_reallocarray
#define aligned_alloc refusing_aligned_alloc
#define sodium_malloc refusing_sodium_malloc
#define strdup refusing_strdup
#endif

#endif
