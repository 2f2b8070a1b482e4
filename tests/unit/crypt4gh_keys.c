/* Crypt4GH key files: what is written is read, and what other tools write; nothing else is. */
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

enum { UNTOUCHED = 77 };

static uint8_t bytes[2 * CRYPT4GH_KEY_FILE_MAX];

static int start(void **state) {
    (void)state;
    return secret_start();
}

static struct secret *passphrase_of(const char *text) {
    return secret_of(text, strlen(text));
}

static struct secret *read_private_file(const void *text, size_t n, const struct secret *passphrase) {
    struct secret *key = NULL;
    assert_int_equal(crypt4gh_private_key_read(text, n, passphrase, &key), VAULT_OK);
    assert_int_equal(secret_size(key), CRYPT4GH_KEY);
    return key;
}

static void assert_private_file(const void *text, size_t n, const struct secret *passphrase, int expected) {
    struct secret *key = NULL;
    assert_int_equal(crypt4gh_private_key_read(text, n, passphrase, &key), expected);
    assert_null(key);
}

/* The text of a private key file with these bytes. */
static size_t file_of(const uint8_t *content, size_t n, const char *label, char *to, size_t size) {
    static char base64[2 * CRYPT4GH_KEY_FILE_MAX];
    sodium_bin2base64(base64, sizeof(base64), content, n, sodium_base64_VARIANT_ORIGINAL);
    assert_true(format_string(to, size, "-----BEGIN %s-----\n%s\n-----END %s-----\n", label, base64, label));
    return strlen(to);
}

static void assert_private_content(const struct writer *w, const struct secret *passphrase, int expected) {
    static char text[4 * CRYPT4GH_KEY_FILE_MAX];
    assert_false(w->bad);
    size_t n = file_of(w->start, w->used, "CRYPT4GH PRIVATE KEY", text, sizeof(text));
    assert_private_file(text, n, passphrase, expected);
}

static void write_string(struct writer *w, const void *from, size_t n) {
    write_u8(w, (uint8_t)(n >> 8));
    write_u8(w, (uint8_t)n);
    write_bytes(w, from, n);
}

static void write_name(struct writer *w, const char *name) {
    write_string(w, name, strlen(name));
}

/* A file's content with a kdf; the blob is not sealed. */
static struct writer key_content(const char *kdf, uint32_t rounds, size_t options, const char *cipher, size_t blob) {
    static uint8_t content[1024];
    uint8_t zeros[64] = {0};
    struct writer w = writer_of(content, sizeof(content));
    write_bytes(&w, "c4gh-v1", 7);
    write_name(&w, kdf);
    put_be32(zeros, rounds);
    write_string(&w, zeros, options);
    write_name(&w, cipher);
    write_string(&w, zeros, blob);
    return w;
}

/* A pair of files; the private key in them belongs to the public one. */
static void check_pair(const struct secret *passphrase) {
    static char text[CRYPT4GH_KEY_FILE_MAX];
    struct secret *file = NULL, *content = content_of(50), *opened = NULL;
    uint8_t public[CRYPT4GH_KEY];
    size_t size = 0;
    assert_int_equal(crypt4gh_key_pair(passphrase, text, &file), VAULT_OK);
    assert_int_equal(crypt4gh_public_key_read(text, strlen(text), public), VAULT_OK);
    struct secret *key = read_private_file(secret_view(file), secret_size(file), passphrase);
    assert_int_equal(crypt4gh_seal(public, content, bytes, &size), VAULT_OK);
    assert_int_equal(crypt4gh_open(bytes, size, key, &opened, NULL), VAULT_OK);
    assert_true(secret_equal(opened, content));
    assert_private_file(text, strlen(text), passphrase, VAULT_E_FORMAT);
    assert_int_equal(crypt4gh_public_key_read(secret_view(file), secret_size(file), public), VAULT_E_FORMAT);
    secret_free(&file);
    secret_free(&content);
    secret_free(&opened);
    secret_free(&key);
}

static void key_pair_is_read_as_it_was_written(void **state) {
    (void)state;
    struct secret *passphrase = passphrase_of("correct horse");
    check_pair(NULL);
    check_pair(passphrase);
    secret_free(&passphrase);
}

static void passphrase_is_asked_for_and_must_be_right(void **state) {
    (void)state;
    static char text[CRYPT4GH_KEY_FILE_MAX];
    struct secret *right = passphrase_of("correct horse"), *wrong = passphrase_of("correct hors"), *file = NULL;
    assert_int_equal(crypt4gh_key_pair(right, text, &file), VAULT_OK);
    assert_private_file(secret_view(file), secret_size(file), wrong, VAULT_DENIED);
    assert_private_file(secret_view(file), secret_size(file), NULL, VAULT_NOT_FOUND);
    secret_free(&file);
    assert_int_equal(crypt4gh_key_pair(NULL, text, &file), VAULT_OK);
    struct secret *key = read_private_file(secret_view(file), secret_size(file), wrong); /* there is none to be wrong */
    secret_free(&key);
    secret_free(&file);
    secret_free(&right);
    secret_free(&wrong);
}

static void private_file_with_a_passphrase_does_not_show_the_key(void **state) {
    (void)state;
    static char text[CRYPT4GH_KEY_FILE_MAX];
    static uint8_t decoded[CRYPT4GH_KEY_FILE_MAX];
    struct secret *passphrase = passphrase_of("x"), *file = NULL;
    size_t n = 0;
    assert_int_equal(crypt4gh_key_pair(passphrase, text, &file), VAULT_OK);
    struct secret *key = read_private_file(secret_view(file), secret_size(file), passphrase);
    const size_t begin = strlen("-----BEGIN CRYPT4GH PRIVATE KEY-----\n"),
                 last = strlen("\n-----END CRYPT4GH PRIVATE KEY-----\n");
    assert_int_equal(sodium_base642bin(decoded, sizeof(decoded), (const char *)secret_view(file) + begin,
                                       secret_size(file) - begin - last, NULL, &n, NULL,
                                       sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_int_equal(n, 118);
    assert_memory_equal(decoded, "c4gh-v1\0\6scrypt\0\24\0\0\0", 21);
    assert_null(memmem(decoded, n, secret_view(key), CRYPT4GH_KEY));
    secret_free(&passphrase);
    secret_free(&file);
    secret_free(&key);
}

static void kdfs_and_ciphers_that_are_not_there_are_said_to_be(void **state) {
    (void)state;
    const struct {
        const char *kdf, *cipher;
        uint32_t rounds;
    } files[] = {{"bcrypt", "chacha20_poly1305", 100},
                 {"argon2", "chacha20_poly1305", 0},
                 {"scrypt", "aes256", 0},
                 {"pbkdf2_hmac_sha256", "chacha20_poly1305", 0},
                 {"pbkdf2_hmac_sha256", "chacha20_poly1305", 10000001},
                 {"pbkdf2_hmac_sha256", "chacha20_poly1305", UINT32_MAX}};
    struct secret *passphrase = passphrase_of("x");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct writer w = key_content(files[i].kdf, files[i].rounds, 20, files[i].cipher, 60);
        assert_private_content(&w, passphrase, VAULT_E_LIMIT);
        if (files[i].rounds == 100) /* before a passphrase is asked for that would not help */
            assert_private_content(&w, NULL, VAULT_E_LIMIT);
    }
    secret_free(&passphrase);
}

static void fields_of_another_size_are_malformed(void **state) {
    (void)state;
    struct secret *passphrase = passphrase_of("x");
    const struct {
        const char *kdf, *cipher;
        size_t options, blob;
    } files[] = {{"scrypt", "chacha20_poly1305", 19, 60}, {"scrypt", "chacha20_poly1305", 21, 60},
                 {"scrypt", "chacha20_poly1305", 20, 59}, {"scrypt", "chacha20_poly1305", 20, 61},
                 {"scrypt", "chacha20_poly1305", 0, 60},  {"scrypt", "none", 20, 32}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct writer w = key_content(files[i].kdf, 0, files[i].options, files[i].cipher, files[i].blob);
        assert_private_content(&w, passphrase, VAULT_E_FORMAT);
    }
    struct writer w = key_content("scrypt", 0, 20, "chacha20_poly1305", 60);
    assert_private_content(&w, passphrase, VAULT_DENIED); /* so the sizes were what was wrong */
    const uint8_t comment[300] = {0};                     /* its length takes both bytes */
    write_string(&w, comment, sizeof(comment));
    assert_private_content(&w, passphrase, VAULT_DENIED);
    write_u8(&w, 0);
    assert_private_content(&w, passphrase, VAULT_E_FORMAT);
    secret_free(&passphrase);
}

static void plain_key_of_another_form_is_malformed(void **state) {
    (void)state;
    const struct {
        const char *cipher;
        size_t blob;
        int tail;
    } files[] = {{"none", 31, 0}, {"none", 33, 0}, {"chacha20_poly1305", 60, 0}, {"none", 32, 1}};
    const uint8_t zeros[64] = {0};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        uint8_t content[256];
        struct writer w = writer_of(content, sizeof(content));
        write_bytes(&w, "c4gh-v1", 7);
        write_name(&w, "none");
        write_name(&w, files[i].cipher);
        write_string(&w, zeros, files[i].blob);
        write_bytes(&w, zeros, (size_t)files[i].tail);
        assert_private_content(&w, NULL, VAULT_E_FORMAT);
    }
}

static void raw_key_is_taken_only_as_not_encrypted(void **state) {
    (void)state;
    char text[256];
    const uint8_t raw[33] = {3, 2, 1};
    size_t n = file_of(raw, 32, "CRYPT4GH PRIVATE KEY", text, sizeof(text));
    struct secret *key = read_private_file(text, n, NULL);
    assert_memory_equal(secret_view(key), raw, 32);
    secret_free(&key);
    n = file_of(raw, 32, "CRYPT4GH ENCRYPTED PRIVATE KEY", text, sizeof(text));
    assert_private_file(text, n, NULL, VAULT_E_FORMAT);
    n = file_of(raw, 31, "CRYPT4GH PRIVATE KEY", text, sizeof(text));
    assert_private_file(text, n, NULL, VAULT_E_FORMAT);
    n = file_of(raw, 33, "CRYPT4GH PRIVATE KEY", text, sizeof(text));
    assert_private_file(text, n, NULL, VAULT_E_FORMAT);
}

static void every_cut_of_a_key_file_is_refused(void **state) {
    (void)state;
    static char text[CRYPT4GH_KEY_FILE_MAX];
    struct secret *file = NULL;
    uint8_t public[CRYPT4GH_KEY] = {UNTOUCHED};
    assert_int_equal(crypt4gh_key_pair(NULL, text, &file), VAULT_OK);
    for (size_t n = 0; n + 1 < secret_size(file); n++) /* without the last line end it is whole */
        assert_private_file(secret_view(file), n, NULL, VAULT_E_FORMAT);
    for (size_t n = 0; n + 1 < strlen(text); n++)
        assert_int_equal(crypt4gh_public_key_read(text, n, public), VAULT_E_FORMAT);
    assert_int_equal(public[0], UNTOUCHED);
    secret_free(&file);
}

static const char *const garbage[] = {
    "",
    "\n",
    "garbage",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\n-----END CRYPT4GH PUBLIC KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\n\n-----END CRYPT4GH PUBLIC KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=A\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAA AAAAAAAAA-AAAAAAAAAAAAAAAAAAAAA=\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAA\n-----END CRYPT4GH PUBLIC KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END CRYPT4GH PUBLIC "
    "KEY-----\nx",
    "x-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END CRYPT4GH PUBLIC "
    "KEY-----\n",
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END CRYPT4GH PRIVATE "
    "KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n",
};

static void garbage_is_no_key_file(void **state) {
    (void)state;
    uint8_t public[CRYPT4GH_KEY];
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        if (crypt4gh_public_key_read(garbage[i], strlen(garbage[i]), public) != VAULT_E_FORMAT)
            fail_msg("taken for a public key: %s", garbage[i]);
        assert_private_file(garbage[i], strlen(garbage[i]), NULL, VAULT_E_FORMAT);
    }
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_bytes(&w, "c4gh-v2 and what comes with it in some year", 43);
    assert_private_content(&w, NULL, VAULT_E_FORMAT);
}

static void nul_is_no_space(void **state) {
    (void)state;
    char text[256];
    const uint8_t raw[32] = {3, 2, 1};
    uint8_t public[CRYPT4GH_KEY];
    size_t n = file_of(raw, 32, "CRYPT4GH PUBLIC KEY", text, sizeof(text));
    const size_t body = strlen("-----BEGIN CRYPT4GH PUBLIC KEY-----\n");
    char with[257];
    copy_bytes(with, sizeof(with), text, body + 4);
    copy_bytes(with + body + 5, sizeof(with) - body - 5, text + body + 4, n - body - 4);
    with[body + 4] = ' ';
    assert_int_equal(crypt4gh_public_key_read(with, n + 1, public), VAULT_OK);
    with[body + 4] = '\0';
    assert_int_equal(crypt4gh_public_key_read(with, n + 1, public), VAULT_E_FORMAT);
    text[n] = '\0';
    assert_int_equal(crypt4gh_public_key_read(text, n + 1, public), VAULT_E_FORMAT);
}

static void key_file_is_bounded(void **state) {
    (void)state;
    static char text[CRYPT4GH_KEY_FILE_MAX + 1];
    const uint8_t raw[32] = {3, 2, 1};
    uint8_t public[CRYPT4GH_KEY];
    memset(text, '\n', sizeof(text));
    size_t n = file_of(raw, 32, "CRYPT4GH PUBLIC KEY", text, sizeof(text));
    text[n] = '\n';
    assert_int_equal(crypt4gh_public_key_read(text, CRYPT4GH_KEY_FILE_MAX, public), VAULT_OK);
    assert_memory_equal(public, raw, sizeof(raw));
    assert_int_equal(crypt4gh_public_key_read(text, CRYPT4GH_KEY_FILE_MAX + 1, public), VAULT_E_FORMAT);
    n = file_of(raw, 32, "CRYPT4GH PRIVATE KEY", text, sizeof(text));
    text[n] = '\n';
    assert_private_file(text, CRYPT4GH_KEY_FILE_MAX + 1, NULL, VAULT_E_FORMAT);
}

static void check_private_line(const char *line) {
    struct secret *passphrase = secret_field(line, "passphrase"), *expected = secret_field(line, "key");
    size_t n = hex_field(line, "file", bytes, sizeof(bytes));
    struct secret *key = read_private_file(bytes, n, passphrase);
    assert_true(secret_equal(key, expected));
    if (passphrase != NULL) {
        assert_private_file(bytes, n, NULL, VAULT_NOT_FOUND);
        secret_edit(passphrase)[0] ^= 1;
        assert_private_file(bytes, n, passphrase, VAULT_DENIED);
    }
    secret_free(&passphrase);
    secret_free(&expected);
    secret_free(&key);
}

static void check_public_line(const char *line) {
    uint8_t expected[CRYPT4GH_KEY], key[CRYPT4GH_KEY];
    assert_int_equal(hex_field(line, "key", expected, sizeof(expected)), sizeof(expected));
    size_t n = hex_field(line, "file", bytes, sizeof(bytes));
    assert_int_equal(crypt4gh_public_key_read(bytes, n, key), VAULT_OK);
    assert_memory_equal(key, expected, sizeof(key));
}

static void key_files_of_another_implementation_are_read(void **state) {
    (void)state;
    assert_int_equal(each_vector("private", check_private_line), 9);
    assert_int_equal(each_vector("public", check_public_line), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_pair_is_read_as_it_was_written),
        cmocka_unit_test(passphrase_is_asked_for_and_must_be_right),
        cmocka_unit_test(private_file_with_a_passphrase_does_not_show_the_key),
        cmocka_unit_test(kdfs_and_ciphers_that_are_not_there_are_said_to_be),
        cmocka_unit_test(fields_of_another_size_are_malformed),
        cmocka_unit_test(plain_key_of_another_form_is_malformed),
        cmocka_unit_test(raw_key_is_taken_only_as_not_encrypted),
        cmocka_unit_test(every_cut_of_a_key_file_is_refused),
        cmocka_unit_test(garbage_is_no_key_file),
        cmocka_unit_test(nul_is_no_space),
        cmocka_unit_test(key_file_is_bounded),
        cmocka_unit_test(key_files_of_another_implementation_are_read),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
