/* Crypt4GH containers, against what another implementation made and against every way of altering them. Where these
 * tests make packets themselves, they use libsodium's primitives and none of the code under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "crypt4gh_rig.h"
#include "vault/buffer.h"
#include "vault/crypt4gh.h"
#include "vault/result.h"

enum { CONTAINER_MAX = 256 * 1024, OVERHEAD = 28, PACKET = 108, UNTOUCHED = 77 };

static struct secret *private_key, *other_private_key;
static uint8_t public_key[CRYPT4GH_KEY], other_public_key[CRYPT4GH_KEY];
static uint8_t bytes[CONTAINER_MAX];
static const uint8_t data_key[SECRET_KEY_SIZE] = {5, 6, 7};
static const uint8_t other_data_key[SECRET_KEY_SIZE] = {8, 9};

static int start(void **state) {
    (void)state;
    if (secret_start() != VAULT_OK || secret_random(&private_key, CRYPT4GH_KEY) != VAULT_OK ||
        secret_random(&other_private_key, CRYPT4GH_KEY) != VAULT_OK)
        return -1;
    return crypto_scalarmult_base(public_key, secret_view(private_key)) |
           crypto_scalarmult_base(other_public_key, secret_view(other_private_key));
}

static int end(void **state) {
    (void)state;
    secret_free(&private_key);
    secret_free(&other_private_key);
    return 0;
}

/* K by its definition. */
static void header_key(const uint8_t own_private[32], const uint8_t other_public[32], const uint8_t reader[32],
                       const uint8_t writer[32], uint8_t ret[32]) {
    uint8_t joined[96], hash[64];
    assert_int_equal(crypto_scalarmult(joined, own_private, other_public), 0);
    copy_bytes(joined + 32, 64, reader, 32);
    copy_bytes(joined + 64, 32, writer, 32);
    assert_int_equal(crypto_generichash(hash, sizeof(hash), joined, sizeof(joined), NULL, 0), 0);
    copy_bytes(ret, 32, hash, 32);
}

static void write_box(struct writer *w, const uint8_t key[32], const uint8_t *plain, size_t n) {
    static uint8_t sealed[CONTAINER_MAX];
    uint8_t nonce[12];
    assert_true(n + 16 <= sizeof(sealed));
    randombytes_buf(nonce, sizeof(nonce));
    crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, plain, n, NULL, 0, NULL, nonce, key);
    write_bytes(w, nonce, sizeof(nonce));
    write_bytes(w, sealed, n + 16);
}

static void write_packet(struct writer *w, const uint8_t reader[32], const void *payload, size_t n) {
    uint8_t private[32], public[32], key[32];
    assert_int_equal(crypto_kx_keypair(public, private), 0);
    header_key(private, reader, reader, public, key);
    write_u32(w, (uint32_t)(8 + 32 + n + OVERHEAD));
    write_u32(w, 0);
    write_bytes(w, public, sizeof(public));
    write_box(w, key, payload, n);
}

static struct writer write_header(uint32_t packets) {
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_bytes(&w, "crypt4gh", 8);
    write_u32(&w, 1);
    write_u32(&w, packets);
    return w;
}

/* Packets with this key, type and method; n (at least 8) is how long the payload is. */
static void write_payload(struct writer *w, const uint8_t reader[32], uint32_t type, uint32_t method,
                          const uint8_t key[32], size_t n) {
    static uint8_t payload[CONTAINER_MAX];
    struct writer p = writer_of(payload, sizeof(payload));
    write_u32(&p, type);
    write_u32(&p, method);
    write_bytes(&p, key, SECRET_KEY_SIZE);
    write_packet(w, reader, payload, n);
}

static void write_key(struct writer *w, const uint8_t reader[32]) {
    write_payload(w, reader, 0, 0, data_key, 40);
}

static const uint8_t some_content[] = "some content";

static void write_body(struct writer *w) {
    write_box(w, data_key, some_content, sizeof(some_content));
    assert_false(w->bad);
}

/* The result, with every output that must not have been touched checked. *ret_packets is UNTOUCHED where unset. */
static int open_bytes(const uint8_t *from, size_t n, const struct secret *key, unsigned *ret_packets,
                      struct secret **ret) {
    struct secret *content = NULL;
    *ret_packets = UNTOUCHED;
    int result = crypt4gh_open(from, n, key, &content, ret_packets);
    assert_true((result == VAULT_OK) == (content != NULL));
    assert_true(result != VAULT_E_FORMAT || *ret_packets == UNTOUCHED);
    *ret = content;
    return result;
}

static void assert_result(struct writer w, int expected, unsigned packets) {
    struct secret *content = NULL;
    unsigned count = 0;
    assert_false(w.bad);
    assert_int_equal(open_bytes(bytes, w.used, private_key, &count, &content), expected);
    assert_int_equal(count, packets);
    if (content != NULL) {
        assert_int_equal(secret_size(content), sizeof(some_content));
        assert_memory_equal(secret_view(content), some_content, sizeof(some_content));
    }
    secret_free(&content);
}

static void assert_opens(struct writer w, unsigned packets) {
    assert_result(w, VAULT_OK, packets);
}

static void assert_malformed(struct writer w) {
    assert_result(w, VAULT_E_FORMAT, UNTOUCHED);
}

static void container_opens_to_what_was_sealed(void **state) {
    (void)state;
    const size_t sizes[] = {1, 123, 4096};
    for (size_t i = 0; i < 3; i++) {
        struct secret *content = content_of(sizes[i]), *opened = NULL;
        size_t size = 0;
        unsigned packets = 0;
        assert_int_equal(crypt4gh_seal(public_key, content, bytes, &size), VAULT_OK);
        assert_int_equal(size, CRYPT4GH_HEADER + sizes[i] + OVERHEAD);
        assert_int_equal(open_bytes(bytes, size, private_key, &packets, &opened), VAULT_OK);
        assert_int_equal(packets, 1);
        assert_true(secret_equal(content, opened));
        secret_free(&opened);
        assert_int_equal(crypt4gh_open(bytes, size, private_key, &opened, NULL), VAULT_OK);
        secret_free(&opened);
        secret_free(&content);
    }
}

static void two_seals_share_no_key_and_no_nonce(void **state) {
    (void)state;
    static uint8_t second[CRYPT4GH_SMALL_MAX];
    struct secret *content = content_of(64);
    size_t size = 0;
    assert_int_equal(crypt4gh_seal(public_key, content, bytes, &size), VAULT_OK);
    assert_int_equal(crypt4gh_seal(public_key, content, second, &size), VAULT_OK);
    assert_memory_not_equal(bytes + 24, second + 24, 32);                           /* writer's key */
    assert_memory_not_equal(bytes + 56, second + 56, 12);                           /* nonce of the packet */
    assert_memory_not_equal(bytes + CRYPT4GH_HEADER, second + CRYPT4GH_HEADER, 12); /* and of the segment */
    assert_memory_not_equal(bytes + CRYPT4GH_HEADER + 12, second + CRYPT4GH_HEADER + 12, 64);
    secret_free(&content);
}

static void seal_refuses_content_over_the_limit(void **state) {
    (void)state;
    struct secret *content = content_of(CRYPT4GH_CONTENT_MAX + 1);
    size_t size = UNTOUCHED;
    memset(bytes, 0xaa, CRYPT4GH_SMALL_MAX);
    assert_int_equal(crypt4gh_seal(public_key, content, bytes, &size), VAULT_E_LIMIT);
    assert_int_equal(size, UNTOUCHED);
    assert_int_equal(bytes[0], 0xaa);
    secret_free(&content);
}

static void header_has_the_layout_of_the_format(void **state) {
    (void)state;
    static const uint8_t expected[24] = "crypt4gh\1\0\0\0\1\0\0\0\x6c\0\0\0\0\0\0";
    uint8_t header[CRYPT4GH_HEADER], key[32], payload[40];
    struct secret *s = secret_of(data_key, sizeof(data_key));
    assert_int_equal(crypt4gh_header(public_key, s, header), VAULT_OK);
    assert_memory_equal(header, expected, sizeof(expected));
    header_key(secret_view(private_key), header + 24, public_key, header + 24, key);
    assert_int_equal(
        crypto_aead_chacha20poly1305_ietf_decrypt(payload, NULL, NULL, header + 68, 56, NULL, 0, header + 56, key), 0);
    const uint8_t zero[8] = {0};
    assert_memory_equal(payload, zero, sizeof(zero));
    assert_memory_equal(payload + 8, data_key, sizeof(data_key));
    secret_free(&s);
}

static void header_refuses_a_data_key_of_another_size(void **state) {
    (void)state;
    uint8_t header[CRYPT4GH_HEADER] = {UNTOUCHED};
    struct secret *s = content_of(31);
    assert_int_equal(crypt4gh_header(public_key, s, header), VAULT_E_LIMIT);
    assert_int_equal(header[0], UNTOUCHED);
    secret_free(&s);
}

/* The points whose order divides 8, with which every shared secret is zero. */
static const char *const small_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void recipient_of_small_order_is_refused(void **state) {
    (void)state;
    struct secret *content = content_of(9), *s = secret_of(data_key, sizeof(data_key));
    for (size_t i = 0; i < sizeof(small_order) / sizeof(small_order[0]); i++) {
        uint8_t point[CRYPT4GH_KEY];
        size_t size = UNTOUCHED;
        memset(bytes, 0xaa, CRYPT4GH_SMALL_MAX);
        assert_true(hex_decode(point, sizeof(point), small_order[i]));
        assert_int_equal(crypt4gh_header(point, s, bytes), VAULT_E_CRYPTO);
        assert_int_equal(crypt4gh_seal(point, content, bytes, &size), VAULT_E_CRYPTO);
        assert_int_equal(size, UNTOUCHED);
        assert_int_equal(bytes[0], 0xaa);
    }
    secret_free(&content);
    secret_free(&s);
}

/* Anybody can compute the key of such a packet, or guess what is there where there is none: it must not count as one
 * for us. */
static void packet_of_a_writer_of_small_order_is_ignored(void **state) {
    (void)state;
    uint8_t joined[96] = {0}, keys[2][64] = {{0}}, payload[40] = {0};
    copy_bytes(joined + 32, 32, public_key, 32);
    assert_int_equal(crypto_generichash(keys[0], sizeof(keys[0]), joined, sizeof(joined), NULL, 0), 0);
    copy_bytes(payload + 8, 32, data_key, 32);
    for (size_t i = 0; i < 2; i++) {
        struct writer w = write_header(1);
        write_u32(&w, PACKET);
        write_u32(&w, 0);
        write_bytes(&w, joined + 64, 32);
        write_box(&w, keys[i], payload, sizeof(payload));
        write_body(&w);
        assert_result(w, VAULT_DENIED, 1);
    }
}

static void every_flipped_bit_is_refused(void **state) {
    (void)state;
    struct secret *content = content_of(123), *opened = NULL;
    size_t size = 0;
    unsigned packets = 0;
    assert_int_equal(crypt4gh_seal(public_key, content, bytes, &size), VAULT_OK);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (open_bytes(bytes, size, private_key, &packets, &opened) == VAULT_OK)
            fail_msg("opens with bit %zu flipped", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(open_bytes(bytes, size, private_key, &packets, &opened), VAULT_OK);
    secret_free(&content);
    secret_free(&opened);
}

static void each_cut_and_each_tail_is_refused(void **state) {
    (void)state;
    struct secret *content = content_of(123), *opened = NULL;
    size_t size = 0;
    unsigned packets = 0;
    assert_int_equal(crypt4gh_seal(public_key, content, bytes, &size), VAULT_OK);
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = malloc(n + 1); /* of its own, so that a sanitizer sees a read beyond it */
        assert_non_null(cut);
        copy_bytes(cut + 1, n, bytes, n);
        int expected = n <= CRYPT4GH_HEADER + OVERHEAD ? VAULT_E_FORMAT : VAULT_E_DAMAGED;
        assert_int_equal(open_bytes(cut + 1, n, private_key, &packets, &opened), expected);
        free(cut);
    }
    bytes[size] = 0;
    assert_int_equal(open_bytes(bytes, size + 1, private_key, &packets, &opened), VAULT_E_DAMAGED);
    assert_int_equal(packets, 1);
    secret_free(&content);
}

static void second_of_two_packets_opens(void **state) {
    (void)state;
    struct writer w = write_header(2);
    write_key(&w, other_public_key);
    write_key(&w, public_key);
    write_body(&w);
    assert_opens(w, 2);
    w = write_header(2);
    write_key(&w, public_key);
    write_key(&w, other_public_key);
    write_body(&w);
    assert_opens(w, 2);
}

static void wrong_key_is_denied_with_the_number_of_packets(void **state) {
    (void)state;
    struct writer w = write_header(3);
    for (size_t i = 0; i < 3; i++)
        write_key(&w, other_public_key);
    write_body(&w);
    assert_result(w, VAULT_DENIED, 3);
    w = write_header(0);
    write_body(&w);
    assert_result(w, VAULT_DENIED, 0);
}

static void packet_of_another_method_is_ignored(void **state) {
    (void)state;
    struct writer w = write_header(2);
    write_u32(&w, 11);
    write_u32(&w, 1);
    write_bytes(&w, "xyz", 3);
    write_key(&w, public_key);
    write_body(&w);
    assert_opens(w, 2);
}

static void payload_may_be_padded(void **state) {
    (void)state;
    struct writer w = write_header(1);
    write_payload(&w, public_key, 0, 0, data_key, 40 + 333);
    write_body(&w);
    assert_opens(w, 1);
    w = write_header(1);
    write_payload(&w, public_key, 0, 0, data_key, 65536);
    write_body(&w);
    assert_opens(w, 1);
    w = write_header(1);
    write_payload(&w, public_key, 0, 0, data_key, 65537);
    write_body(&w);
    assert_result(w, VAULT_E_LIMIT, 1);
}

static void edit_list_is_refused_wherever_it_stands(void **state) {
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        struct writer w = write_header(2);
        if (first == 0)
            write_key(&w, public_key);
        write_payload(&w, public_key, 1, 2, data_key, 8 + 16);
        if (first == 1)
            write_key(&w, public_key);
        write_body(&w);
        assert_malformed(w);
    }
    struct writer w = write_header(2); /* of somebody else, to whom other rules apply */
    write_payload(&w, other_public_key, 1, 2, data_key, 8 + 16);
    write_key(&w, public_key);
    write_body(&w);
    assert_opens(w, 2);
}

static void unknown_and_short_payloads_are_refused(void **state) {
    (void)state;
    const struct {
        uint32_t type, method;
        size_t n;
    } payloads[] = {{1, 0, 40}, {2, 0, 40}, {0, 1, 40}, {0, 0, 39}, {0, 0, 8}, {0, 0, 7}, {0, 0, 1}};
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        struct writer w = write_header(1);
        write_payload(&w, public_key, payloads[i].type, payloads[i].method, data_key, payloads[i].n);
        write_body(&w);
        assert_malformed(w);
    }
}

static void each_data_key_of_a_header_is_tried(void **state) {
    (void)state;
    struct writer w = write_header(3);
    write_payload(&w, public_key, 0, 0, other_data_key, 40);
    write_key(&w, public_key);
    write_payload(&w, public_key, 0, 0, other_data_key, 40);
    write_body(&w);
    assert_opens(w, 3);
    w = write_header(1);
    write_payload(&w, public_key, 0, 0, other_data_key, 40);
    write_body(&w);
    assert_result(w, VAULT_E_DAMAGED, 1);
}

static void packets_are_bounded(void **state) {
    (void)state;
    for (uint32_t n = CRYPT4GH_PACKETS_MAX; n <= CRYPT4GH_PACKETS_MAX + 1; n++) {
        struct writer w = write_header(n);
        for (uint32_t i = 1; i < n; i++)
            write_key(&w, other_public_key);
        write_key(&w, public_key);
        write_body(&w);
        assert_result(w, n > CRYPT4GH_PACKETS_MAX ? VAULT_E_LIMIT : VAULT_OK, n);
    }
}

static void packet_of_an_impossible_length_is_refused(void **state) {
    (void)state;
    const uint32_t lengths[] = {0, 3, 4, 7, 8, 39, 40, 68, UINT32_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct writer w = write_header(1);
        write_key(&w, public_key);
        write_body(&w);
        struct writer length = writer_of(bytes + 16, 4);
        write_u32(&length, lengths[i]);
        assert_malformed(w);
    }
}

static void body_over_the_limit_is_refused(void **state) {
    (void)state;
    static uint8_t plain[65536];
    const struct {
        size_t n;
        int result;
    } bodies[] = {{CRYPT4GH_CONTENT_MAX + 1, VAULT_E_LIMIT}, {65536, VAULT_E_LIMIT}};
    for (size_t i = 0; i < 2; i++) {
        struct writer w = write_header(1);
        write_key(&w, public_key);
        write_box(&w, data_key, plain, bodies[i].n);
        assert_result(w, bodies[i].result, 1);
    }
    struct writer w = write_header(1);
    write_key(&w, public_key);
    write_box(&w, data_key, plain, 65536);
    write_box(&w, data_key, plain, 1);
    assert_malformed(w);
}

static void another_version_is_refused(void **state) {
    (void)state;
    struct writer w = write_header(1);
    write_key(&w, public_key);
    write_body(&w);
    bytes[8] = 2;
    assert_malformed(w);
}

static void private_key_of_another_size_is_refused(void **state) {
    (void)state;
    struct secret *key = content_of(31), *content = NULL;
    unsigned packets = 0;
    struct writer w = write_header(1);
    write_key(&w, public_key);
    write_body(&w);
    assert_int_equal(open_bytes(bytes, w.used, key, &packets, &content), VAULT_E_CRYPTO);
    secret_free(&key);
}

static void check_container_line(const char *line) {
    struct secret *key = secret_field(line, "private"), *content = secret_field(line, "content"), *opened = NULL;
    unsigned packets = 0;
    size_t n = hex_field(line, "bytes", bytes, sizeof(bytes));
    assert_int_equal(open_bytes(bytes, n, key, &packets, &opened), VAULT_OK);
    assert_true(secret_equal(opened, content));
    assert_int_equal(packets, strtoul(strstr(line, " packets=") + 9, NULL, 10));
    secret_free(&key);
    secret_free(&content);
    secret_free(&opened);
}

static void containers_of_another_implementation_open(void **state) {
    (void)state;
    assert_int_equal(each_vector("container", check_container_line), 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(container_opens_to_what_was_sealed),
        cmocka_unit_test(two_seals_share_no_key_and_no_nonce),
        cmocka_unit_test(seal_refuses_content_over_the_limit),
        cmocka_unit_test(header_has_the_layout_of_the_format),
        cmocka_unit_test(header_refuses_a_data_key_of_another_size),
        cmocka_unit_test(recipient_of_small_order_is_refused),
        cmocka_unit_test(packet_of_a_writer_of_small_order_is_ignored),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(each_cut_and_each_tail_is_refused),
        cmocka_unit_test(second_of_two_packets_opens),
        cmocka_unit_test(wrong_key_is_denied_with_the_number_of_packets),
        cmocka_unit_test(packet_of_another_method_is_ignored),
        cmocka_unit_test(payload_may_be_padded),
        cmocka_unit_test(edit_list_is_refused_wherever_it_stands),
        cmocka_unit_test(unknown_and_short_payloads_are_refused),
        cmocka_unit_test(each_data_key_of_a_header_is_tried),
        cmocka_unit_test(packets_are_bounded),
        cmocka_unit_test(packet_of_an_impossible_length_is_refused),
        cmocka_unit_test(body_over_the_limit_is_refused),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(private_key_of_another_size_is_refused),
        cmocka_unit_test(containers_of_another_implementation_open),
    };
    return cmocka_run_group_tests(tests, start, end);
}
