#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/checkpoint.h"
#include "vault/result.h"
#include "tests/unit/tree.h"
#include "vault/witness.h"
#include "vaultd/audit/checkpoint_internal.h"

#define VECTORS VAULT_SOURCE_DIR "/tests/vectors/audit/"
#define ORIGIN "vault.example/audit"

static struct secret *seed, *other_seed;
static char vkey[CHECKPOINT_VKEY_MAX], note[CHECKPOINT_TEXT_MAX];

/* The file's text without the last newline if `line`. */
static void read_vector(const char *path, char *to, size_t size, bool line) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(to, 1, size - 1, f);
    fclose(f);
    to[n - (line ? 1 : 0)] = '\0';
}

static struct secret *make_seed(uint8_t first) {
    uint8_t bytes[CHECKPOINT_SEED];
    struct secret *s = NULL;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(first + i);
    assert_int_equal(secret_take(&s, bytes, sizeof(bytes)), VAULT_OK);
    return s;
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(secret_start(), VAULT_OK);
    seed = make_seed(0);
    other_seed = make_seed(1);
    read_vector(VECTORS "vkey", vkey, sizeof(vkey), true);
    read_vector(VECTORS "export/checkpoint", note, sizeof(note), false);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    secret_free(&seed);
    secret_free(&other_seed);
    return 0;
}

static void vkey_is_the_one_of_the_vectors(void **state) {
    (void)state;
    char made[CHECKPOINT_VKEY_MAX];
    assert_int_equal(checkpoint_vkey(ORIGIN, seed, made), VAULT_OK);
    assert_string_equal(made, vkey);
}

static void note_is_the_one_of_the_vectors(void **state) {
    (void)state;
    struct checkpoint c;
    char made[CHECKPOINT_TEXT_MAX];
    assert_int_equal(checkpoint_verify(note, vkey, &c), VAULT_OK);
    assert_string_equal(c.origin, ORIGIN);
    assert_int_equal(c.size, 13);
    assert_int_equal(checkpoint_sign(&c, seed, made), VAULT_OK);
    assert_string_equal(made, note);
}

static void every_size_survives_the_note(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 9, 10, UINT64_C(1) << 53, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct checkpoint c = {.origin = ORIGIN, .size = sizes[i]}, back;
        char made[CHECKPOINT_TEXT_MAX];
        assert_int_equal(checkpoint_sign(&c, seed, made), VAULT_OK);
        assert_int_equal(checkpoint_verify(made, vkey, &back), VAULT_OK);
        assert_true(back.size == sizes[i]);
    }
}

static void every_changed_bit_is_refused(void **state) {
    (void)state;
    struct checkpoint c;
    size_t n = strlen(note);
    for (size_t i = 0; i < n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            char changed[CHECKPOINT_TEXT_MAX];
            copy_string(changed, sizeof(changed), note);
            changed[i] = (char)(changed[i] ^ (char)(1u << bit));
            assert_true(checkpoint_verify(changed, vkey, &c) < 0);
        }
    }
    for (size_t i = 0; i < n; i++) {
        char cut[CHECKPOINT_TEXT_MAX] = "";
        copy_bytes(cut, sizeof(cut), note, i);
        assert_true(checkpoint_verify(cut, vkey, &c) < 0);
    }
}

static void another_key_is_refused(void **state) {
    (void)state;
    struct checkpoint c;
    char other[CHECKPOINT_VKEY_MAX];
    assert_int_equal(checkpoint_vkey(ORIGIN, other_seed, other), VAULT_OK);
    assert_int_equal(checkpoint_verify(note, other, &c), VAULT_E_DAMAGED);
    assert_int_equal(checkpoint_vkey("vault.example/other", seed, other), VAULT_OK);
    assert_int_equal(checkpoint_verify(note, other, &c), VAULT_E_DAMAGED);
}

/* A body for one log, well signed by the key that is named after another. */
static void key_of_another_origin_is_refused(void **state) {
    (void)state;
    static const char *const origins[] = {"vault.example/other", ORIGIN};
    char other[CHECKPOINT_VKEY_MAX], body[512], encoded[128], made[CHECKPOINT_TEXT_MAX];
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES], key[crypto_sign_SECRETKEYBYTES];
    uint8_t signature[VKEY_ID + NOTE_SIGNATURE];
    struct vkey v;
    struct checkpoint c;
    assert_int_equal(checkpoint_vkey(origins[0], seed, other), VAULT_OK);
    assert_int_equal(vkey_parse(other, KEY_SIGNS, &v), VAULT_OK);
    assert_int_equal(crypto_sign_seed_keypair(public_key, key, secret_view(seed)), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(
            format_string(body, sizeof(body), "%s\n1\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984I=\n", origins[i]));
        copy_bytes(signature, sizeof(signature), v.id, VKEY_ID);
        crypto_sign_detached(signature + VKEY_ID, NULL, (const uint8_t *)body, strlen(body), key);
        sodium_bin2base64(encoded, sizeof(encoded), signature, sizeof(signature), sodium_base64_VARIANT_ORIGINAL);
        assert_true(format_string(made, sizeof(made), "%s\n\u2014 %s %s\n", body, origins[0], encoded));
        assert_int_equal(checkpoint_verify(made, other, &c), i == 0 ? VAULT_OK : VAULT_E_DAMAGED);
    }
}

/* Splits the good note at its signature line, so that lines can be put before and after it. */
static int verify_with(const char *before, const char *after) {
    char made[8 * CHECKPOINT_TEXT_MAX];
    struct checkpoint c;
    const char *signature = strstr(note, "\n\n") + 2;
    assert_true(
        format_string(made, sizeof(made), "%.*s%s%s%s", (int)(signature - note), note, before, signature, after));
    return checkpoint_verify(made, vkey, &c);
}

/* The note of a log of this name, by this seed, given to who has the key of `later`. */
static int verified(const char *name, const struct secret *by, const char *later, bool earlier_too) {
    struct checkpoint c = {.size = 7}, found;
    char made[CHECKPOINT_TEXT_MAX], key[CHECKPOINT_VKEY_MAX];
    copy_string(c.origin, sizeof(c.origin), name);
    assert_int_equal(checkpoint_sign(&c, by, made), VAULT_OK);
    assert_int_equal(checkpoint_vkey(later, seed, key), VAULT_OK);
    return earlier_too ? checkpoint_verify_earlier(made, key, &found) : checkpoint_verify(made, key, &found);
}

static void log_that_was_continued_is_known_by_its_later_key_alone(void **state) {
    (void)state;
    static const struct {
        const char *name, *later;
        bool good;
    } cases[] = {
        {"o", "o/epoch-2", true},
        {"o", "o/epoch-12", true},
        {"o/epoch-2", "o/epoch-3", true},
        {"o/epoch-9", "o/epoch-10", true},
        {"a/epoch-2/b", "a/epoch-2/b/epoch-2", true},
        {"o", "o", true},
        {"o/epoch-2", "o", false},
        {"o/epoch-3", "o/epoch-2", false},
        {"p", "o/epoch-2", false},
        {"o/epoch", "o/epoch-2", false},
        {"o", "o/epoch-1", false},
        {"o", "o/epoch-02", false},
        {"o", "o/epoch-2x", false},
        {"o", "o/epoch-", false},
        {"o", "o/epoch-99999999999999999999", false},
        {"o/", "o/epoch-2", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int result = verified(cases[i].name, seed, cases[i].later, true);
        if ((result == VAULT_OK) != cases[i].good)
            fail_msg("%s by the key of %s: %s", cases[i].name, cases[i].later, vault_result_name(result));
        bool same = strcmp(cases[i].name, cases[i].later) == 0;
        assert_int_equal(verified(cases[i].name, seed, cases[i].later, false), same ? VAULT_OK : VAULT_E_DAMAGED);
        assert_int_equal(verified(cases[i].name, other_seed, cases[i].later, true), VAULT_E_DAMAGED);
    }
}

static void origin_counts_restores(void **state) {
    char origin[CHECKPOINT_ORIGIN_MAX + 1], longest[CHECKPOINT_ORIGIN_MAX + 1];
    (void)state;
    assert_int_equal(checkpoint_origin("o", 0, origin), VAULT_OK);
    assert_string_equal(origin, "o");
    assert_int_equal(checkpoint_origin("o", 2, origin), VAULT_OK);
    assert_string_equal(origin, "o/epoch-2");
    for (size_t i = 0; i < sizeof(longest) - 1; i++)
        longest[i] = 'o';
    longest[CHECKPOINT_ORIGIN_MAX] = '\0';
    assert_int_equal(checkpoint_origin(longest, 0, origin), VAULT_OK);
    assert_int_equal(checkpoint_origin(longest, 2, origin), VAULT_E_LIMIT);
}

static void other_signers_are_ignored(void **state) {
    (void)state;
    char witnesses[4096] = "", line[128];
    struct writer w = writer_of(witnesses, sizeof(witnesses) - 1);
    for (int i = 0; i < 20; i++) {
        assert_true(format_string(line, sizeof(line), "\u2014 witness%d.example AAAAAAAAAAAAAAAA\n", i));
        write_bytes(&w, line, strlen(line));
    }
    assert_int_equal(verify_with(witnesses, ""), VAULT_OK);
    assert_int_equal(verify_with("", witnesses), VAULT_OK);
    assert_int_equal(verify_with("\u2014 " ORIGIN " AAAAAAAAAAAAAAAA\n", ""), VAULT_OK); /* our name, another key ID */
}

static void bad_signature_by_the_key_is_refused_even_beside_a_good_one(void **state) {
    (void)state;
    struct checkpoint c = {.origin = ORIGIN, .size = 99};
    char other[CHECKPOINT_TEXT_MAX];
    assert_int_equal(checkpoint_sign(&c, seed, other), VAULT_OK);
    const char *line = strstr(other, "\n\n") + 2;
    assert_int_equal(verify_with(line, ""), VAULT_E_DAMAGED);
    assert_int_equal(verify_with("", line), VAULT_E_DAMAGED);
}

static void malformed_notes_are_refused(void **state) {
    (void)state;
    static const char *const lines[] = {"- witness AAAAAAAAAAAA\n",
                                        "\u2014 witness\n",
                                        "\u2014  AAAAAAAAAAAA\n",
                                        "\u2014 w AAAA\n",
                                        "\u2014 w AAAAAAA\n",
                                        "\u2014 w+x AAAAAAAAAAAA\n",
                                        "\n",
                                        "\u2014 w AAAAAAAAAAAA \n",
                                        "\u2014 w AAAAAAAAAAAA",
                                        "\u2014 w\t AAAAAAAAAAAA\n",
                                        "\u2014 w AAAAAAAAAAAA\r\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(verify_with("", lines[i]), VAULT_E_FORMAT);
    static const char *const notes[] = {"",
                                        "\n",
                                        "o\n1\n",
                                        ORIGIN "\n01\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984I=\n\n",
                                        ORIGIN "\n-1\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984I=\n\n",
                                        ORIGIN
                                        "\n18446744073709551616\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984I=\n\n",
                                        ORIGIN "\n1\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984I\n\n",
                                        ORIGIN "\n1\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984J=\n\n",
                                        ORIGIN "\n1\nZ97cJLcp3/Fe/DmGfSywRiZXQbD42EihRBkt58G984I=\nextension\n\n"};
    struct checkpoint c;
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        assert_int_equal(checkpoint_verify(notes[i], vkey, &c), VAULT_E_FORMAT);
}

static void malformed_keys_are_refused(void **state) {
    (void)state;
    struct vkey v;
    struct checkpoint c;
    assert_int_equal(vkey_parse(vkey, KEY_SIGNS, &v), VAULT_OK);
    for (size_t i = 0; i < strlen(vkey); i++) {
        char changed[CHECKPOINT_VKEY_MAX];
        copy_string(changed, sizeof(changed), vkey);
        changed[i] ^= 1;
        assert_int_equal(vkey_parse(changed, KEY_SIGNS, &v), VAULT_E_FORMAT);
        changed[i] = '\0';
        assert_int_equal(vkey_parse(changed, KEY_SIGNS, &v), VAULT_E_FORMAT);
    }
    assert_int_equal(checkpoint_verify(note, "", &c), VAULT_E_FORMAT);
}

static void bad_names_are_refused(void **state) {
    (void)state;
    char long_name[CHECKPOINT_ORIGIN_MAX + 2];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    const char *const names[] = {"", "a b", "a+b", "a\nb", "a\tb", "a\x7f", "\u00f8", long_name};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char made[CHECKPOINT_TEXT_MAX] = "kept";
        struct checkpoint c = {.size = 1};
        assert_int_equal(checkpoint_vkey(names[i], seed, made), VAULT_E_FORMAT);
        copy_bytes(c.origin, sizeof(c.origin), names[i], strnlen(names[i], sizeof(c.origin)));
        assert_int_equal(checkpoint_sign(&c, seed, made), VAULT_E_FORMAT);
        assert_string_equal(made, "kept");
    }
    struct checkpoint longest = {.origin = ""};
    char made[CHECKPOINT_TEXT_MAX];
    memset(longest.origin, 'a', CHECKPOINT_ORIGIN_MAX);
    assert_int_equal(checkpoint_sign(&longest, seed, made), VAULT_OK);
    assert_int_equal(checkpoint_vkey(longest.origin, seed, made), VAULT_OK);
}

/* ---- witnesses ---- */

enum { COSIGNED = 1795000123 };

static struct witness_key witness;
static char cosigned[CHECKPOINT_TEXT_MAX];
static const char *cosignatures; /* the lines of the vector behind the log's own */

static void read_witness(void) {
    char text[CHECKPOINT_VKEY_MAX];
    read_vector(VECTORS "witness-vkey", text, sizeof(text), true);
    read_vector(VECTORS "cosigned", cosigned, sizeof(cosigned), false);
    assert_int_equal(witness_key_parse(text, &witness), VAULT_OK);
    cosignatures = cosigned + strlen(note);
    assert_memory_equal(cosigned, note, strlen(note));
}

static void cosignature_is_the_one_of_the_vectors(void **state) {
    char line[COSIGNATURE_LINE_MAX];
    struct checkpoint c;
    uint64_t time = 0;
    (void)state;
    read_witness();
    assert_int_equal(cosignature_take(cosignatures, note, &witness, line, &time), VAULT_OK);
    assert_int_equal(time, COSIGNED);
    assert_memory_equal(line, cosignatures, strlen(line));
    assert_string_equal(cosignatures + strlen(line), "\n");
    assert_int_equal(checkpoint_verify(cosigned, vkey, &c), VAULT_OK); /* it does not disturb who knows no witness */
}

static void every_changed_byte_of_a_cosignature_is_refused(void **state) {
    char changed[CHECKPOINT_TEXT_MAX], line[COSIGNATURE_LINE_MAX];
    uint64_t time = 0;
    (void)state;
    read_witness();
    for (size_t i = 0; i < strlen(cosignatures); i++) {
        copy_string(changed, sizeof(changed), cosignatures);
        changed[i] ^= 1;
        assert_int_not_equal(cosignature_take(changed, note, &witness, line, &time), VAULT_OK);
    }
    for (const char *at = note; *at != '\0' && strncmp(at, "\n\n", 2) != 0; at++) { /* and of what it is about */
        copy_string(changed, sizeof(changed), note);
        changed[at - note] ^= 1;
        assert_int_not_equal(cosignature_take(cosignatures, changed, &witness, line, &time), VAULT_OK);
    }
}

static void other_lines_are_passed_over(void **state) {
    char lines[2 * CHECKPOINT_TEXT_MAX], line[COSIGNATURE_LINE_MAX];
    uint64_t time = 0;
    (void)state;
    read_witness();
    assert_int_equal(cosignature_take("", note, &witness, line, &time), VAULT_NOT_FOUND);
    assert_true(format_string(lines, sizeof(lines), "\u2014 somebody.else aGVsbG8gd29ybGQ=\n%s", cosignatures));
    assert_int_equal(cosignature_take(lines, note, &witness, line, &time), VAULT_OK);
    assert_true(format_string(lines, sizeof(lines), "no signature line\n%s", cosignatures));
    assert_int_equal(cosignature_take(lines, note, &witness, line, &time), VAULT_E_FORMAT);
}

static void a_key_that_signs_logs_is_no_witness(void **state) {
    char text[CHECKPOINT_VKEY_MAX];
    struct witness_key key;
    struct vkey v;
    (void)state;
    assert_int_equal(witness_key_parse(vkey, &key), VAULT_E_FORMAT);
    read_vector(VECTORS "witness-vkey", text, sizeof(text), true);
    assert_int_equal(vkey_parse(text, KEY_SIGNS, &v), VAULT_E_FORMAT);
}

static int get_node(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    const uint8_t(*nodes)[16][MERKLE_HASH] = context;
    copy_bytes(ret, MERKLE_HASH, nodes[level][index], MERKLE_HASH);
    return VAULT_OK;
}

static int put_node(void *context, unsigned level, uint64_t index, const uint8_t hash[MERKLE_HASH]) {
    uint8_t(*nodes)[16][MERKLE_HASH] = context;
    copy_bytes(nodes[level][index], MERKLE_HASH, hash, MERKLE_HASH);
    return VAULT_OK;
}

static void a_request_is_the_one_of_the_vectors(void **state) {
    static uint8_t nodes[8][16][MERKLE_HASH];
    struct merkle_store store = {.context = nodes, .get = get_node};
    char wanted[WITNESS_REQUEST_MAX], made[WITNESS_REQUEST_MAX], lines[16384];
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], leaf[MERKLE_HASH];
    uint64_t size = 0;
    size_t count = 0;
    (void)state;
    read_vector(VECTORS "export/records.jsonl", lines, sizeof(lines), false);
    for (char *at = lines; *at != '\0'; size++) {
        size_t n = strcspn(at, "\n");
        merkle_leaf(at, n, leaf);
        assert_int_equal(tree_append(&store, put_node, size, leaf), VAULT_OK);
        at += n + 1;
    }
    assert_int_equal(merkle_consistency(&store, 5, size, proof, &count), VAULT_OK);
    read_vector(VECTORS "add-checkpoint", wanted, sizeof(wanted), false);
    assert_int_equal(witness_request(5, proof, count, note, made), VAULT_OK);
    assert_string_equal(made, wanted);
    assert_int_equal(witness_request(5, proof, 64, note, made), VAULT_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vkey_is_the_one_of_the_vectors),
        cmocka_unit_test(cosignature_is_the_one_of_the_vectors),
        cmocka_unit_test(every_changed_byte_of_a_cosignature_is_refused),
        cmocka_unit_test(other_lines_are_passed_over),
        cmocka_unit_test(a_key_that_signs_logs_is_no_witness),
        cmocka_unit_test(a_request_is_the_one_of_the_vectors),
        cmocka_unit_test(note_is_the_one_of_the_vectors),
        cmocka_unit_test(every_size_survives_the_note),
        cmocka_unit_test(every_changed_bit_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(key_of_another_origin_is_refused),
        cmocka_unit_test(log_that_was_continued_is_known_by_its_later_key_alone),
        cmocka_unit_test(origin_counts_restores),
        cmocka_unit_test(other_signers_are_ignored),
        cmocka_unit_test(bad_signature_by_the_key_is_refused_even_beside_a_good_one),
        cmocka_unit_test(malformed_notes_are_refused),
        cmocka_unit_test(malformed_keys_are_refused),
        cmocka_unit_test(bad_names_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
