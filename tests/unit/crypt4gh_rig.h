/* What the tests of containers and of key files share. Whatever is wrong fails the test. */
#ifndef TESTS_CRYPT4GH_RIG_H
#define TESTS_CRYPT4GH_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "vault/secret.h"

struct secret *secret_of(const void *from, size_t n);
/* n bytes that differ from their neighbours. */
struct secret *content_of(size_t n);

/* Calls `check` with each line of this kind in tests/vectors/crypt4gh.txt; how many there are. */
size_t each_vector(const char *kind, void (*check)(const char *line));
/* The hex digits after "name=" in the line, decoded; how many bytes there are. */
size_t hex_field(const char *line, const char *name, uint8_t *to, size_t size);
/* The same as a secret, NULL if there are none. */
struct secret *secret_field(const char *line, const char *name);

#endif
