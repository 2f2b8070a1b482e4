/* Manifest pages: the exact bytes, and every page that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "vault/buffer.h"
#include "vault/manifest.h"
#include "vault/result.h"

static uint8_t bytes[MANIFEST_PAGE + MANIFEST_ENTRY];

static struct manifest_page page_of(size_t count, uint32_t tail) {
    struct manifest_page p = {.count = count};
    for (size_t i = 0; i < count; i++) {
        memset(p.chunks[i].address, (int)(i + 1), sizeof(p.chunks[i].address));
        memset(p.chunks[i].base, (int)(i + 101), sizeof(p.chunks[i].base));
        p.chunks[i].length = i + 1 == count ? tail : OBJECT_MAX;
    }
    return p;
}

static size_t encoded(const struct manifest_page *p) {
    struct writer w = writer_of(bytes, sizeof(bytes));
    manifest_encode(p, &w);
    assert_false(w.bad);
    return w.used;
}

static void manifest_entry_has_the_documented_bytes(void **state) {
    (void)state;
    struct manifest_page p = page_of(1, 0x00012345);
    assert_int_equal(encoded(&p), MANIFEST_ENTRY);
    const uint8_t length[] = {0x45, 0x23, 0x01, 0x00};
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(bytes[i], 1);
    for (size_t i = 32; i < 44; i++)
        assert_int_equal(bytes[i], 101);
    assert_memory_equal(bytes + 44, length, sizeof(length));
}

static void manifest_comes_back_as_it_was(void **state) {
    (void)state;
    for (size_t count = 1; count <= PAGE_CHUNKS; count++) {
        struct manifest_page p = page_of(count, 29);
        struct manifest_page back;
        assert_int_equal(manifest_decode(&back, bytes, encoded(&p)), VAULT_OK);
        assert_int_equal(back.count, count);
        for (size_t i = 0; i < count; i++) {
            assert_memory_equal(back.chunks[i].address, p.chunks[i].address, HASH_SIZE);
            assert_memory_equal(back.chunks[i].base, p.chunks[i].base, NONCE_SIZE);
            assert_int_equal(back.chunks[i].length, p.chunks[i].length);
        }
    }
}

/* Decoding must fail and leave the output alone. */
static void assert_refused(size_t n) {
    struct manifest_page back = {.count = 77};
    assert_int_equal(manifest_decode(&back, bytes, n), VAULT_E_FORMAT);
    assert_int_equal(back.count, 77);
}

static void manifest_refuses_any_other_number_of_bytes(void **state) {
    (void)state;
    struct manifest_page p = page_of(PAGE_CHUNKS, OBJECT_MAX);
    encoded(&p);
    copy_bytes(bytes + MANIFEST_PAGE, MANIFEST_ENTRY, bytes, MANIFEST_ENTRY);
    for (size_t n = 0; n <= sizeof(bytes); n++)
        if (n == 0 || n % MANIFEST_ENTRY != 0 || n > MANIFEST_PAGE)
            assert_refused(n);
}

static void manifest_refuses_a_short_chunk_before_the_last(void **state) {
    (void)state;
    struct manifest_page p = page_of(3, OBJECT_MAX);
    p.chunks[1].length = OBJECT_MAX - 1;
    assert_refused(encoded(&p));
}

static void manifest_refuses_lengths_that_no_object_has(void **state) {
    (void)state;
    const uint32_t bad[] = {0, 1, 28, SEGMENT_SEALED + 1, SEGMENT_SEALED + 28, OBJECT_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct manifest_page p = page_of(2, bad[i]);
        assert_refused(encoded(&p));
    }
}

static void manifest_does_not_write_past_its_space(void **state) {
    (void)state;
    struct manifest_page p = page_of(2, 29);
    struct writer w = writer_of(bytes, 2 * MANIFEST_ENTRY - 1);
    manifest_encode(&p, &w);
    assert_true(w.bad);
}

static void blob_chunk_lengths_add_up(void **state) {
    (void)state;
    const uint64_t sizes[] = {1, SEGMENT_PLAIN, CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, 41ull * CHUNK_PLAIN + 5};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t sum = 0;
        for (uint64_t c = 0; c < blob_chunks(sizes[i]); c++)
            sum += object_plain(blob_chunk_length(sizes[i], c));
        assert_int_equal(sum, sizes[i]);
        assert_int_equal(blob_chunk_length(sizes[i], blob_chunks(sizes[i])), 0);
    }
    assert_int_equal(blob_chunks(0), 0);
    assert_int_equal(blob_chunk_length(0, 0), 0);
    assert_int_equal(blob_chunks(UINT64_MAX), UINT64_MAX / CHUNK_PLAIN + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_entry_has_the_documented_bytes),
        cmocka_unit_test(manifest_comes_back_as_it_was),
        cmocka_unit_test(manifest_refuses_any_other_number_of_bytes),
        cmocka_unit_test(manifest_refuses_a_short_chunk_before_the_last),
        cmocka_unit_test(manifest_refuses_lengths_that_no_object_has),
        cmocka_unit_test(manifest_does_not_write_past_its_space),
        cmocka_unit_test(blob_chunk_lengths_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
