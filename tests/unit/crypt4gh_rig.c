#include "crypt4gh_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum { LINE_LENGTH = 32768, FIELD_MAX = 16384 };

struct secret *secret_of(const void *from, size_t n) {
    struct secret *s = NULL;
    assert_int_equal(secret_new(&s, n), VAULT_OK);
    copy_bytes(secret_edit(s), n, from, n);
    return s;
}

struct secret *content_of(size_t n) {
    struct secret *s = NULL;
    assert_int_equal(secret_new(&s, n), VAULT_OK);
    for (size_t i = 0; i < n; i++)
        secret_edit(s)[i] = (uint8_t)(i * 7 + 3);
    return s;
}

size_t hex_field(const char *line, const char *name, uint8_t *to, size_t size) {
    char pattern[32];
    size_t n = 0;
    assert_true(format_string(pattern, sizeof(pattern), " %s=", name));
    const char *at = strstr(line, pattern);
    assert_non_null(at);
    at += strlen(pattern);
    assert_int_equal(sodium_hex2bin(to, size, at, strcspn(at, " \n"), NULL, &n, NULL), 0);
    return n;
}

struct secret *secret_field(const char *line, const char *name) {
    static uint8_t field[FIELD_MAX];
    size_t n = hex_field(line, name, field, sizeof(field));
    return n == 0 ? NULL : secret_of(field, n);
}

size_t each_vector(const char *kind, void (*check)(const char *line)) {
    static char line[LINE_LENGTH];
    size_t count = 0;
    FILE *f = fopen(VAULT_SOURCE_DIR "/tests/vectors/crypt4gh.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, kind, strlen(kind)) == 0 && line[strlen(kind)] == ' ') {
            check(line);
            count++;
        }
    fclose(f);
    return count;
}
