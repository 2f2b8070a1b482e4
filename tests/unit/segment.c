/* Segments against vectors made by another implementation, and against every way of moving or altering them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/segment.h"

enum { HEX_MAX = 256, LINE_LENGTH = 2048 };

static uint8_t plain[CHUNK_PLAIN];
static uint8_t sealed[OBJECT_MAX];
static uint8_t opened[SEGMENT_PLAIN];

static struct cipher *cipher_of(const uint8_t key[SECRET_KEY_SIZE]) {
    uint8_t bytes[SECRET_KEY_SIZE];
    struct secret *s = NULL;
    struct cipher *c = NULL;
    COPY_ARRAY(bytes, key);
    assert_int_equal(secret_take(&s, bytes, sizeof(bytes)), VAULT_OK);
    assert_int_equal(cipher_new(&c, s), VAULT_OK);
    secret_free(&s);
    return c;
}

static const uint8_t some_key[SECRET_KEY_SIZE] = {9, 8, 7};
static const uint8_t some_base[NONCE_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static int start(void **state) {
    (void)state;
    for (size_t j = 0; j < sizeof(plain); j++)
        plain[j] = (uint8_t)((j * 7 + 3) % 251);
    return secret_start();
}

/* The hex digits after "name=" in the line, decoded; fails the test unless there are exactly n bytes. */
static void hex_field(const char *line, const char *name, uint8_t *to, size_t n) {
    char hex[HEX_MAX + 1];
    char pattern[32];
    assert_true(n <= HEX_MAX / 2 && format_string(pattern, sizeof(pattern), " %s=", name));
    const char *at = strstr(line, pattern);
    assert_non_null(at);
    at += strlen(pattern);
    size_t digits = strcspn(at, " \n");
    assert_int_equal(digits, 2 * n);
    copy_bytes(hex, sizeof(hex), at, digits);
    hex[digits] = '\0';
    assert_true(hex_decode(to, n, hex));
}

static uint64_t number_field(const char *line, const char *name) {
    char pattern[32];
    assert_true(format_string(pattern, sizeof(pattern), " %s=", name));
    const char *at = strstr(line, pattern);
    assert_non_null(at);
    return strtoull(at + strlen(pattern), NULL, 10);
}

static void assert_sha256(const uint8_t *bytes, size_t n, const uint8_t expected[32]) {
    uint8_t hash[32];
    assert_int_equal(EVP_Digest(bytes, n, hash, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(hash, expected, sizeof(hash));
}

static void check_segment_line(const char *line) {
    uint8_t key[32], base[NONCE_SIZE], nonce[NONCE_SIZE], tag[16], hash[32], whole[HEX_MAX / 2];
    hex_field(line, "key", key, sizeof(key));
    hex_field(line, "base", base, sizeof(base));
    hex_field(line, "nonce", nonce, sizeof(nonce));
    hex_field(line, "tag", tag, sizeof(tag));
    hex_field(line, "sha256", hash, sizeof(hash));
    uint32_t index = (uint32_t)number_field(line, "index");
    size_t n = (size_t)number_field(line, "size");
    struct cipher *c = cipher_of(key);
    assert_int_equal(segment_seal(c, base, index, plain, n, sealed), VAULT_OK);
    assert_memory_equal(sealed, nonce, sizeof(nonce));
    assert_memory_equal(sealed + NONCE_SIZE + n, tag, sizeof(tag));
    assert_sha256(sealed, n + SEGMENT_OVERHEAD, hash);
    if (strstr(line, " sealed=") != NULL) {
        hex_field(line, "sealed", whole, n + SEGMENT_OVERHEAD);
        assert_memory_equal(sealed, whole, n + SEGMENT_OVERHEAD);
    }
    assert_int_equal(segment_open(c, base, index, sealed, n + SEGMENT_OVERHEAD, opened), VAULT_OK);
    assert_memory_equal(opened, plain, n);
    cipher_free(&c);
}

static void check_object_line(const char *line) {
    uint8_t key[32], base[NONCE_SIZE], address[32];
    hex_field(line, "key", key, sizeof(key));
    hex_field(line, "base", base, sizeof(base));
    hex_field(line, "address", address, sizeof(address));
    size_t size = (size_t)number_field(line, "size");
    size_t length = (size_t)number_field(line, "length");
    assert_int_equal(object_size(size), length);
    assert_int_equal(object_plain(length), size);
    struct cipher *c = cipher_of(key);
    for (uint32_t i = 0; (size_t)i * SEGMENT_PLAIN < size; i++) {
        size_t n = size - (size_t)i * SEGMENT_PLAIN;
        n = n > SEGMENT_PLAIN ? SEGMENT_PLAIN : n;
        const uint8_t *from = plain + (size_t)i * SEGMENT_PLAIN;
        assert_int_equal(segment_seal(c, base, i, from, n, sealed + (size_t)i * SEGMENT_SEALED), VAULT_OK);
    }
    assert_sha256(sealed, length, address);
    cipher_free(&c);
}

static void segment_agrees_with_vectors_of_another_implementation(void **state) {
    (void)state;
    FILE *f = fopen(VAULT_SOURCE_DIR "/tests/vectors/segment.txt", "r");
    assert_non_null(f);
    char line[LINE_LENGTH];
    size_t segments = 0;
    size_t objects = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "segment ", 8) == 0) {
            check_segment_line(line);
            segments++;
        } else {
            assert_int_equal(strncmp(line, "object ", 7), 0);
            check_object_line(line);
            objects++;
        }
    }
    fclose(f);
    assert_int_equal(segments, 39);
    assert_int_equal(objects, 12);
}

static void nonce_counts_little_endian_and_wraps(void **state) {
    (void)state;
    uint8_t nonce[NONCE_SIZE];
    uint8_t last[NONCE_SIZE];
    const uint8_t zero[NONCE_SIZE] = {0};
    const uint8_t carried[NONCE_SIZE] = {0, 0, 1};
    const uint8_t carry[NONCE_SIZE] = {0xff, 0xff};
    memset(last, 0xff, sizeof(last));
    nonce_at(last, 1, nonce);
    assert_memory_equal(nonce, zero, sizeof(zero));
    nonce_at(carry, 1, nonce);
    assert_memory_equal(nonce, carried, sizeof(carried));
    nonce_at(some_base, 0, nonce);
    assert_memory_equal(nonce, some_base, sizeof(some_base));
}

/* Opening must fail as damaged, and leave zeros. */
static void assert_damaged(struct cipher *c, const uint8_t *base, uint32_t index, const uint8_t *bytes, size_t n) {
    memset(opened, 0xaa, sizeof(opened));
    assert_int_equal(segment_open(c, base, index, bytes, n, opened), VAULT_E_DAMAGED);
    for (size_t i = 0; i < n - SEGMENT_OVERHEAD; i++)
        assert_int_equal(opened[i], 0);
}

static void segment_refuses_swapped_position(void **state) {
    (void)state;
    struct cipher *c = cipher_of(some_key);
    assert_int_equal(segment_seal(c, some_base, 3, plain, 100, sealed), VAULT_OK);
    assert_int_equal(segment_open(c, some_base, 3, sealed, 128, opened), VAULT_OK);
    assert_damaged(c, some_base, 4, sealed, 128);
    uint8_t other[NONCE_SIZE];
    nonce_at(some_base, 1, other);
    assert_damaged(c, other, 3, sealed, 128);
    assert_int_equal(segment_open(c, other, 2, sealed, 128, opened), VAULT_OK);
    cipher_free(&c);
}

static void segment_refuses_a_rewritten_nonce(void **state) {
    (void)state;
    struct cipher *c = cipher_of(some_key);
    assert_int_equal(segment_seal(c, some_base, 3, plain, 100, sealed), VAULT_OK);
    nonce_at(some_base, 4, sealed);
    assert_damaged(c, some_base, 4, sealed, 128);
    assert_damaged(c, some_base, 3, sealed, 128);
    cipher_free(&c);
}

static void segment_refuses_every_flipped_bit_and_truncation(void **state) {
    (void)state;
    struct cipher *c = cipher_of(some_key);
    enum { N = 33, WHOLE = N + SEGMENT_OVERHEAD };
    assert_int_equal(segment_seal(c, some_base, 0, plain, N, sealed), VAULT_OK);
    for (size_t bit = 0; bit < 8 * WHOLE; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_damaged(c, some_base, 0, sealed, WHOLE);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = SEGMENT_OVERHEAD + 1; n < WHOLE; n++)
        assert_damaged(c, some_base, 0, sealed, n);
    assert_int_equal(segment_open(c, some_base, 0, sealed, WHOLE, opened), VAULT_OK);
    cipher_free(&c);
}

static void segment_refuses_another_key(void **state) {
    (void)state;
    uint8_t key[SECRET_KEY_SIZE];
    COPY_ARRAY(key, some_key);
    key[31] ^= 1;
    struct cipher *one = cipher_of(some_key);
    struct cipher *two = cipher_of(key);
    assert_int_equal(segment_seal(one, some_base, 0, plain, 64, sealed), VAULT_OK);
    assert_damaged(two, some_base, 0, sealed, 64 + SEGMENT_OVERHEAD);
    assert_int_equal(segment_open(one, some_base, 0, sealed, 64 + SEGMENT_OVERHEAD, opened), VAULT_OK);
    cipher_free(&one);
    cipher_free(&two);
}

static void segment_refuses_sizes_out_of_bounds(void **state) {
    (void)state;
    struct cipher *c = cipher_of(some_key);
    assert_int_equal(segment_seal(c, some_base, 0, plain, 0, sealed), VAULT_E_LIMIT);
    assert_int_equal(segment_seal(c, some_base, 0, plain, SEGMENT_PLAIN + 1, sealed), VAULT_E_LIMIT);
    assert_int_equal(segment_open(c, some_base, 0, sealed, SEGMENT_OVERHEAD, opened), VAULT_E_LIMIT);
    assert_int_equal(segment_open(c, some_base, 0, sealed, SEGMENT_SEALED + 1, opened), VAULT_E_LIMIT);
    cipher_free(&c);
}

static void cipher_refuses_a_key_of_another_size(void **state) {
    (void)state;
    struct secret *s = NULL;
    struct cipher *c = NULL;
    assert_int_equal(secret_new(&s, 16), VAULT_OK);
    assert_int_equal(cipher_new(&c, s), VAULT_E_CRYPTO);
    assert_null(c);
    secret_free(&s);
    cipher_free(&c);
    cipher_free(NULL);
}

static void object_sizes_match_in_both_directions(void **state) {
    (void)state;
    size_t possible = 0;
    for (size_t n = 1; n <= CHUNK_PLAIN; n++) {
        size_t object = object_size(n);
        if (object_plain(object) != n)
            fail_msg("plain size %zu does not come back", n);
    }
    for (size_t n = 0; n <= OBJECT_MAX + 2; n++)
        possible += object_plain(n) != 0;
    assert_int_equal(possible, CHUNK_PLAIN);
    assert_int_equal(object_size(0), 0);
    assert_int_equal(object_size(CHUNK_PLAIN), OBJECT_MAX);
    assert_int_equal(object_size(CHUNK_PLAIN + 1), 0);
    assert_int_equal(object_plain(SIZE_MAX), 0);
    assert_int_equal(object_segments(0), 0);
    assert_int_equal(object_segments(SEGMENT_OVERHEAD + 1), 1);
    assert_int_equal(object_segments(SEGMENT_SEALED), 1);
    assert_int_equal(object_segments(SEGMENT_SEALED + SEGMENT_OVERHEAD + 1), 2);
    assert_int_equal(object_segments(OBJECT_MAX), CHUNK_SEGMENTS);
    assert_int_equal(object_segments(OBJECT_MAX + 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_agrees_with_vectors_of_another_implementation),
        cmocka_unit_test(nonce_counts_little_endian_and_wraps),
        cmocka_unit_test(segment_refuses_swapped_position),
        cmocka_unit_test(segment_refuses_a_rewritten_nonce),
        cmocka_unit_test(segment_refuses_every_flipped_bit_and_truncation),
        cmocka_unit_test(segment_refuses_another_key),
        cmocka_unit_test(segment_refuses_sizes_out_of_bounds),
        cmocka_unit_test(cipher_refuses_a_key_of_another_size),
        cmocka_unit_test(object_sizes_match_in_both_directions),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
