/* Exports of a log whose key changed: followed from a key that was noted earlier, and by nobody's word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/audit_export.h"
#include "vault/buffer.h"
#include "vault/key_change.h"
#include "vault/record.h"
#include "vault/result.h"
#include "tests/unit/tree.h"

#define ORIGIN "vault.example/audit"

enum { LOG = 24, FIRST = 9, SECOND = 17, KEYS = 4, LEVELS = 8 };

static struct secret *seeds[KEYS]; /* of the log: 0, then 1, then 2; the last is a forger's */
static char vkeys[KEYS][CHECKPOINT_VKEY_MAX];
static char lines[LOG][RECORD_LINE_MAX], old_line[RECORD_LINE_MAX];
static uint8_t nodes[LEVELS][LOG][MERKLE_HASH];
static char folder[64], path[128];

static int node_get(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    (void)context;
    copy_bytes(ret, MERKLE_HASH, nodes[level][index], MERKLE_HASH);
    return VAULT_OK;
}

static int node_put(void *context, unsigned level, uint64_t index, const uint8_t hash[MERKLE_HASH]) {
    (void)context;
    copy_bytes(nodes[level][index], MERKLE_HASH, hash, MERKLE_HASH);
    return VAULT_OK;
}

static const struct merkle_store store = {NULL, node_get};

static struct checkpoint head(uint64_t size) {
    struct checkpoint c = {.origin = ORIGIN, .size = size};
    assert_int_equal(merkle_root(&store, size, c.root), VAULT_OK);
    return c;
}

/* The line as it is, in this place of the log. */
static void put_line(size_t seq, const char *line) {
    uint8_t leaf[MERKLE_HASH];
    copy_string(lines[seq], RECORD_LINE_MAX, line);
    merkle_leaf(line, strlen(line), leaf);
    assert_int_equal(tree_append(&store, node_put, seq, leaf), VAULT_OK);
}

static void add(size_t seq, const struct key_change *change) {
    char line[RECORD_LINE_MAX];
    size_t n = 0;
    struct record r = {.seq = seq, .time = UINT64_C(1795000000000000) + seq, .event = "key.list", .outcome = "done"};
    r.audit_key = change;
    r.event = change != NULL ? "key.audit" : r.event;
    randombytes_buf(r.salt, sizeof(r.salt));
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
    put_line(seq, line);
}

/* A change at this place, as the vault makes it. */
static struct key_change change_at(size_t seq, unsigned from, unsigned to) {
    struct key_change c;
    struct checkpoint before = head(seq);
    assert_int_equal(key_change_make(&before, seeds[from], seeds[to], &c), VAULT_OK);
    return c;
}

static void build(void) {
    for (size_t seq = 0; seq < LOG; seq++) {
        struct key_change c;
        bool changes = seq == FIRST || seq == SECOND;
        if (changes)
            c = change_at(seq, seq == FIRST ? 0 : 1, seq == FIRST ? 1 : 2);
        add(seq, changes ? &c : NULL);
    }
    copy_string(old_line, sizeof(old_line), lines[FIRST]);
}

static FILE *open_file(const char *name) {
    char to[128];
    assert_true(format_string(to, sizeof(to), "%s/%s", folder, name));
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    return f;
}

static void write_note(const char *name, uint64_t size, unsigned by) {
    char note[CHECKPOINT_TEXT_MAX];
    struct checkpoint c = head(size);
    assert_int_equal(checkpoint_sign(&c, seeds[by], note), VAULT_OK);
    FILE *f = open_file(name);
    fputs(note, f);
    fclose(f);
}

static void write_proof(FILE *f, uint64_t seq, uint64_t size) {
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    char hash[64];
    size_t count = 0;
    assert_int_equal(merkle_inclusion(&store, seq, size, proof, &count), VAULT_OK);
    fprintf(f, "{\"seq\":%llu,\"proof\":[", (unsigned long long)seq);
    for (size_t i = 0; i < count; i++) {
        sodium_bin2base64(hash, sizeof(hash), proof[i], MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
        fprintf(f, "%s\"%s\"", i > 0 ? "," : "", hash);
    }
    fputs("]}\n", f);
}

/* Records [from, to) of a log of `size`, signed by one of the keys. */
static void write_export(size_t from, size_t to, uint64_t size, unsigned by) {
    FILE *records = open_file("records.jsonl");
    FILE *proofs = open_file("proofs.jsonl");
    for (size_t i = from; i < to; i++) {
        fprintf(records, "%s\n", lines[i]);
        write_proof(proofs, i, size);
    }
    fclose(records);
    fclose(proofs);
    write_note("checkpoint", size, by);
}

/* What the program that knows only the format says: 0, if the export is good. */
static int python(unsigned given) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char script[] = VAULT_SOURCE_DIR "/tests/verify_audit.py", program[] = "/usr/bin/python3";
        char *const arguments[] = {program, script, folder, vkeys[given], NULL};
        assert_non_null(freopen("/dev/null", "w", stdout));
        assert_non_null(freopen("/dev/null", "w", stderr));
        execv(program, arguments);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static struct audit_report good(unsigned given, const char *trusted) {
    struct audit_report r;
    int result = audit_verify(folder, vkeys[given], trusted, &r);
    if (result != VAULT_OK)
        print_error("%s\n", r.problem);
    assert_int_equal(result, VAULT_OK);
    assert_int_equal(python(given), 0);
    return r;
}

static void bad(unsigned given, const char *trusted, const char *problem) {
    struct audit_report r;
    assert_int_not_equal(audit_verify(folder, vkeys[given], trusted, &r), VAULT_OK);
    if (strstr(r.problem, problem) == NULL)
        print_error("expected \"%s\", got \"%s\"\n", problem, r.problem);
    assert_non_null(strstr(r.problem, problem));
    if (trusted == NULL)
        assert_int_not_equal(python(given), 0);
}

static void who_has_an_older_key_follows_it_to_the_one_in_force(void **state) {
    (void)state;
    write_export(0, LOG, LOG, 2);
    struct audit_report r = good(0, NULL);
    assert_true(r.whole);
    assert_int_equal(r.changes, 2);
    assert_int_equal(r.changed_first, FIRST);
    assert_int_equal(r.changed_last, SECOND);
    assert_string_equal(r.signer, vkeys[2]);
    r = good(1, NULL);
    assert_int_equal(r.changes, 1);
    assert_int_equal(r.changed_first, SECOND);
    r = good(2, NULL);
    assert_int_equal(r.changes, 0);
    assert_string_equal(r.signer, vkeys[2]);
}

static void the_record_of_the_change_alone_hands_over_the_new_key(void **state) {
    (void)state;
    write_export(SECOND, SECOND + 1, LOG, 2);
    assert_string_equal(good(1, NULL).signer, vkeys[2]);
    bad(0, NULL, "the record of that is not in the export"); /* of the first change */
}

static void without_the_record_of_the_change_it_fails_and_says_so(void **state) {
    (void)state;
    write_export(SECOND + 1, LOG, LOG, 2);
    bad(1, NULL, "the record of that is not in the export");
    good(2, NULL);
    write_export(0, FIRST, LOG, 2);
    bad(0, NULL, "the record of that is not in the export");
}

/* ---- a forger ---- */

/* Rewrites the log from `seq` on, with this line there. */
static void rewrite_from(size_t seq, const char *line) {
    put_line(seq, line);
    for (size_t i = seq + 1; i < LOG; i++)
        add(i, NULL);
}

static void forger_without_the_old_key_is_not_followed(void **state) {
    struct key_change c;
    char line[RECORD_LINE_MAX];
    struct record r = {.seq = FIRST, .time = UINT64_C(1795000000000000), .event = "key.audit", .outcome = "done"};
    size_t n = 0;
    (void)state;
    c = change_at(FIRST, 0, 3);
    COPY_ARRAY(c.from_signature, c.to_signature); /* the statement is right, and signed by the forger only */
    r.audit_key = &c;
    assert_int_equal(record_line(&r, line, sizeof(line), &n), VAULT_OK);
    rewrite_from(FIRST, line);
    write_export(0, LOG, LOG, 3);
    bad(0, NULL, "line 10 (record 9) says that the audit key changed, and is not signed by both keys");
    write_export(FIRST, LOG, LOG, 3);
    bad(0, NULL, "not signed by both keys");
    build();
}

static void genuine_change_to_another_key_does_not_help_a_forger(void **state) {
    (void)state;
    write_export(0, LOG, LOG, 3);
    bad(0, NULL, "is not signed by the given key");
}

/* Who has the log's new key, and all its records, puts others before the change. */
static void new_key_cannot_rewrite_what_was_before_it(void **state) {
    (void)state;
    add(FIRST - 1, NULL);
    rewrite_from(FIRST, old_line);
    write_export(0, LOG, LOG, 1);
    bad(0, NULL, "line 10 (record 9) says that the audit key changed, after other records than are before it");
    build();
    char moved[RECORD_LINE_MAX]; /* or moves it */
    copy_string(moved, sizeof(moved), old_line);
    char *at = strstr(moved, "\"seq\":9,");
    assert_non_null(at);
    at[6] = '8';
    rewrite_from(FIRST - 1, moved);
    write_export(0, LOG, LOG, 1);
    bad(0, NULL, "line 9 (record 8) says that the audit key changed, and is not signed by both keys");
    build();
}

static void key_that_was_changed_signs_no_later_head(void **state) {
    (void)state;
    write_export(0, LOG, LOG, 0);
    bad(0, NULL, "signed by a key that was no longer in force: it changed at record 17");
    write_export(0, LOG, LOG, 1);
    bad(0, NULL, "no longer in force");
    write_export(0, FIRST, FIRST, 0);
    good(0, NULL);
}

/* ---- a checkpoint noted earlier ---- */

static void checkpoint_of_an_older_key_is_still_extended(void **state) {
    (void)state;
    assert_true(format_string(path, sizeof(path), "%s/trusted", folder));
    for (uint64_t size = 0; size <= LOG; size += 4) {
        unsigned by = size <= FIRST ? 0 : size <= SECOND ? 1 : 2;
        write_note("trusted", size, by);
        write_export(0, LOG, LOG, 2);
        for (unsigned given = 0; given < 3; given++)
            good(given, path);
    }
    write_note("trusted", 8, 3);
    bad(2, path, "is not signed by the given key");
    write_note("trusted", 8, 0);
    write_export(8, FIRST, LOG, 2);
    bad(2, path, "is not signed by the given key");
}

static void log_rewritten_under_the_new_key_is_refused(void **state) {
    (void)state;
    write_note("trusted", 8, 0);
    add(3, NULL);
    rewrite_from(4, lines[4]);
    struct key_change c = change_at(FIRST, 0, 1); /* with the old key as well */
    add(FIRST, &c);
    for (size_t i = FIRST + 1; i < LOG; i++)
        add(i, NULL);
    write_export(0, LOG, LOG, 1);
    good(0, NULL);
    assert_true(format_string(path, sizeof(path), "%s/trusted", folder));
    bad(0, path, "the log was rewritten");
    build();
}

/* ---- the statement ---- */

static void every_part_of_a_change_is_signed(void **state) {
    (void)state;
    struct key_change c = change_at(FIRST, 0, 1), altered;
    assert_int_equal(key_change_verify(&c), VAULT_OK);
    for (size_t i = 0; i < MERKLE_HASH; i++) {
        altered = c;
        altered.root[i] ^= 1;
        assert_int_equal(key_change_verify(&altered), VAULT_E_DAMAGED);
    }
    for (size_t i = 0; i < KEY_CHANGE_SIGNATURE; i++) {
        altered = c;
        altered.from_signature[i] ^= 1;
        assert_int_equal(key_change_verify(&altered), VAULT_E_DAMAGED);
        altered = c;
        altered.to_signature[i] ^= 1;
        assert_int_equal(key_change_verify(&altered), VAULT_E_DAMAGED);
    }
    altered = c;
    altered.size++;
    assert_int_equal(key_change_verify(&altered), VAULT_E_DAMAGED);
    altered = c;
    copy_string(altered.to, sizeof(altered.to), vkeys[2]);
    assert_int_equal(key_change_verify(&altered), VAULT_E_DAMAGED);
    altered = c;
    assert_int_equal(checkpoint_vkey("other.example/audit", seeds[1], altered.to), VAULT_OK);
    assert_int_equal(key_change_verify(&altered), VAULT_E_FORMAT);
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(secret_start(), VAULT_OK);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(secret_random(&seeds[i], CHECKPOINT_SEED), VAULT_OK);
        assert_int_equal(checkpoint_vkey(ORIGIN, seeds[i], vkeys[i]), VAULT_OK);
    }
    build();
    copy_string(folder, sizeof(folder), "/tmp/export-keys-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    static const char *const names[] = {"records.jsonl", "proofs.jsonl", "checkpoint", "trusted"};
    for (size_t i = 0; i < 4; i++)
        if (format_string(path, sizeof(path), "%s/%s", folder, names[i]))
            unlink(path);
    for (size_t i = 0; i < KEYS; i++)
        secret_free(&seeds[i]);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_an_older_key_follows_it_to_the_one_in_force),
        cmocka_unit_test(the_record_of_the_change_alone_hands_over_the_new_key),
        cmocka_unit_test(without_the_record_of_the_change_it_fails_and_says_so),
        cmocka_unit_test(forger_without_the_old_key_is_not_followed),
        cmocka_unit_test(genuine_change_to_another_key_does_not_help_a_forger),
        cmocka_unit_test(new_key_cannot_rewrite_what_was_before_it),
        cmocka_unit_test(key_that_was_changed_signs_no_later_head),
        cmocka_unit_test(checkpoint_of_an_older_key_is_still_extended),
        cmocka_unit_test(log_rewritten_under_the_new_key_is_refused),
        cmocka_unit_test(every_part_of_a_change_is_signed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
