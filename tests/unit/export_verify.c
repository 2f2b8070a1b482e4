#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/audit_export.h"
#include "vault/buffer.h"
#include "vault/checkpoint.h"
#include "vault/record.h"
#include "vault/result.h"
#include "tests/unit/tree.h"

#define VECTORS VAULT_SOURCE_DIR "/tests/vectors/audit/"
#define ORIGIN "vault.example/audit"

enum {
    LOG = 50,
    BIG = 1700,
    SUBJECTS = 5,
    SERVICES = 3,
    FOLDER_MAX = 64,
    PATH_SIZE = 128,
    PROOF_TEXT = RECORD_LINE_MAX,
    BLOCK = 8
};

/* ---- a log and its exports ---- */

struct export {
    size_t records, proofs;
    char(*record)[RECORD_LINE_MAX];
    char(*proof)[PROOF_TEXT];
    char checkpoint[CHECKPOINT_TEXT_MAX];
};

/* The log is built once, with the nodes of its tree; exports are cut out of it. */
static struct {
    char (*lines)[RECORD_LINE_MAX];
    uint8_t (*leaves)[MERKLE_HASH];
    uint8_t (*nodes)[MERKLE_HASH]; /* by level * BIG + index */
} entries;
static struct secret *seed, *other_seed;
static char vkey[CHECKPOINT_VKEY_MAX];
static char folder[FOLDER_MAX], trusted_path[PATH_SIZE];
static struct export x;

static int node_get(void *context, unsigned level, uint64_t index, uint8_t ret[MERKLE_HASH]) {
    (void)context;
    copy_bytes(ret, MERKLE_HASH, entries.nodes[level * BIG + index], MERKLE_HASH);
    return VAULT_OK;
}

static int node_put(void *context, unsigned level, uint64_t index, const uint8_t hash[MERKLE_HASH]) {
    (void)context;
    copy_bytes(entries.nodes[level * BIG + index], MERKLE_HASH, hash, MERKLE_HASH);
    return VAULT_OK;
}

static const struct merkle_store store = {NULL, node_get};

static size_t subject_of(size_t seq) {
    return seq * 7 / 3 % SUBJECTS;
}

static size_t service_of(size_t seq) {
    return seq * 5 / 4 % SERVICES;
}

struct log_state {
    struct record_link subjects[SUBJECTS], services[SERVICES];
};

static void link_next(struct record_link *l, const uint8_t leaf[MERKLE_HASH]) {
    l->n++;
    COPY_ARRAY(l->prev, *(const uint8_t(*)[MERKLE_HASH])leaf);
}

/* Writes record `seq`, adds it to the tree and to its chains. Record 0 is of nobody, as init is. */
static void log_add(struct log_state *s, size_t seq) {
    char subject[16], service[16];
    struct record_link *a = &s->subjects[subject_of(seq)], *b = &s->services[service_of(seq)];
    struct record r = {.seq = seq, .time = UINT64_C(1795000000000000) + seq, .event = "init", .outcome = "done"};
    format_string(subject, sizeof(subject), "S-%zu", subject_of(seq));
    format_string(service, sizeof(service), "service%zu", service_of(seq));
    randombytes_buf(r.salt, sizeof(r.salt));
    if (seq > 0) {
        r.event = "read";
        r.subject = subject;
        r.service = service;
        r.subject_chain = *a;
        r.service_chain = *b;
        r.subject_chain.present = r.service_chain.present = true;
    }
    size_t n = 0;
    assert_int_equal(record_line(&r, entries.lines[seq], RECORD_LINE_MAX, &n), VAULT_OK);
    merkle_leaf(entries.lines[seq], n, entries.leaves[seq]);
    assert_int_equal(tree_append(&store, node_put, seq, entries.leaves[seq]), VAULT_OK);
    if (seq > 0) {
        link_next(a, entries.leaves[seq]);
        link_next(b, entries.leaves[seq]);
    }
}

static void build_log(void) {
    struct log_state s = {.subjects = {{0}}};
    for (size_t i = 0; i < BIG; i++)
        log_add(&s, i);
}

static void sign(uint64_t size, const struct secret *with, char ret[CHECKPOINT_TEXT_MAX]) {
    struct checkpoint c = {.origin = ORIGIN, .size = size};
    assert_int_equal(merkle_root(&store, size, c.root), VAULT_OK);
    assert_int_equal(checkpoint_sign(&c, with, ret), VAULT_OK);
}

static void proof_text(uint64_t seq, uint64_t size, char to[PROOF_TEXT]) {
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    char hash[64];
    size_t count = 0;
    assert_int_equal(merkle_inclusion(&store, seq, size, proof, &count), VAULT_OK);
    assert_true(format_string(to, PROOF_TEXT, "{\"seq\":%llu,\"proof\":[", (unsigned long long)seq));
    for (size_t i = 0; i < count; i++) {
        sodium_bin2base64(hash, sizeof(hash), proof[i], MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
        size_t used = strlen(to);
        assert_true(format_string(to + used, PROOF_TEXT - used, "%s\"%s\"", i > 0 ? "," : "", hash));
    }
    size_t used = strlen(to);
    assert_true(format_string(to + used, PROOF_TEXT - used, "]}"));
}

/* The proof of the last of several records, with the leaves of all. */
static void leaves_text(const uint8_t (*leaves)[MERKLE_HASH], size_t count, char *proof) {
    size_t used = strlen(proof) - 1;
    char text[sodium_base64_ENCODED_LEN(2 * AUDIT_BLOCK * MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof(text), leaves[0], count * MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL);
    assert_true(format_string(proof + used, PROOF_TEXT - used, ",\"leaves\":\"%s\"}", text));
}

static void export_add(size_t seq, uint64_t size) {
    copy_string(x.record[x.records++], RECORD_LINE_MAX, entries.lines[seq]);
    proof_text(seq, size, x.proof[x.proofs++]);
}

/* Records [from, to) out of a log of `size`. */
static void make_range(size_t from, size_t to, uint64_t size) {
    x.records = x.proofs = 0;
    for (size_t i = from; i < to; i++)
        export_add(i, size);
    sign(size, seed, x.checkpoint);
}

/* The same, with a proof for the first record, and for so many behind it at a time. */
static void make_blocks(size_t from, size_t to, uint64_t size, size_t length) {
    x.records = x.proofs = 0;
    for (size_t i = from, n = 1; i < to; i += n) {
        n = i == from ? 1 : to - i < length ? to - i : length;
        for (size_t k = 0; k < n; k++)
            copy_string(x.record[x.records++], RECORD_LINE_MAX, entries.lines[i + k]);
        proof_text(i + n - 1, size, x.proof[x.proofs]);
        if (n > 1)
            leaves_text((const uint8_t(*)[MERKLE_HASH])entries.leaves + i, n, x.proof[x.proofs]);
        x.proofs++;
    }
    sign(size, seed, x.checkpoint);
}

static void make_of_subject(size_t subject, uint64_t size) {
    x.records = x.proofs = 0;
    for (size_t i = 1; i < size; i++)
        if (subject_of(i) == subject)
            export_add(i, size);
    sign(size, seed, x.checkpoint);
}

static void make_of_service(size_t service, uint64_t size) {
    x.records = x.proofs = 0;
    for (size_t i = 1; i < size; i++)
        if (service_of(i) == service)
            export_add(i, size);
    sign(size, seed, x.checkpoint);
}

static FILE *open_file(const char *name, const char *mode) {
    char path[PATH_SIZE];
    assert_true(format_string(path, sizeof(path), "%s/%s", folder, name));
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    return f;
}

static void write_export(void) {
    FILE *f = open_file("records.jsonl", "wb");
    for (size_t i = 0; i < x.records; i++)
        fprintf(f, "%s\n", x.record[i]);
    fclose(f);
    f = open_file("proofs.jsonl", "wb");
    for (size_t i = 0; i < x.proofs; i++)
        fprintf(f, "%s\n", x.proof[i]);
    fclose(f);
    f = open_file("checkpoint", "wb");
    fputs(x.checkpoint, f);
    fclose(f);
}

static void write_trusted(const char *note) {
    FILE *f = open_file("trusted", "wb");
    fputs(note, f);
    fclose(f);
}

/* The independent verifier's exit status; its output goes to what `ret_output` is. */
static int run_python(char *ret_output, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        char script[] = VAULT_SOURCE_DIR "/tests/verify_audit.py", python[] = "/usr/bin/python3";
        char *const arguments[] = {python, script, folder, vkey, NULL};
        execv(python, arguments);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n = 1; n > 0 && used<size - 1; used += n> 0 ? (size_t)n : 0)
        n = read(ends[0], ret_output + used, size - 1 - used);
    ret_output[used] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_good(const char *trusted, struct audit_report *r) {
    write_export();
    if (trusted != NULL)
        write_trusted(trusted);
    int result = audit_verify(folder, vkey, trusted == NULL ? NULL : trusted_path, r);
    if (result != VAULT_OK)
        print_error("%s\n", r->problem);
    assert_int_equal(result, VAULT_OK);
    assert_string_equal(r->problem, "");
    assert_int_equal(r->bad_line, 0);
}

static void expect_bad(const char *trusted, int result, uint64_t line, const char *problem) {
    struct audit_report r;
    write_export();
    if (trusted != NULL)
        write_trusted(trusted);
    assert_int_equal(audit_verify(folder, vkey, trusted == NULL ? NULL : trusted_path, &r), result);
    if (strstr(r.problem, problem) == NULL)
        print_error("expected \"%s\", got \"%s\"\n", problem, r.problem);
    assert_non_null(strstr(r.problem, problem));
    assert_int_equal(r.bad_line, line);
}

/* ---- what is good ---- */

static void whole_export_is_verified(void **state) {
    (void)state;
    struct audit_report r;
    for (size_t size = 1; size <= LOG; size++) {
        make_range(0, size, size);
        expect_good(NULL, &r);
        assert_true(r.whole);
        assert_int_equal(r.records, size);
        assert_int_equal(r.tree_size, size);
        assert_int_equal(r.first, 0);
        assert_int_equal(r.last, size - 1);
        assert_string_equal(r.origin, ORIGIN);
    }
    assert_string_equal(r.covers, "the whole log, 50 records");
}

static void change_salt_of(size_t i) {
    char *at = strstr(x.record[i], "\"salt\":\"") + 8;
    *at = *at == '0' ? '1' : '0';
}

static void empty_log_is_verified(void **state) {
    (void)state;
    struct audit_report r;
    make_range(0, 0, 0);
    expect_good(NULL, &r);
    assert_true(r.whole);
    assert_int_equal(r.records, 0);
}

static void export_of_many_batches_is_verified(void **state) {
    (void)state;
    struct audit_report r;
    make_range(0, BIG, BIG);
    expect_good(NULL, &r);
    assert_true(r.whole);
    assert_int_equal(r.records, BIG);
    change_salt_of(1300);
    expect_bad(NULL, VAULT_E_DAMAGED, 1301, "line 1301 (record 1300) is not what the log holds");
}

static void records_that_one_proof_is_for_are_verified(void **state) {
    (void)state;
    struct audit_report r;
    for (size_t length = 1; length <= LOG; length++)
        for (size_t from = 0; from < LOG; from += 7) {
            make_blocks(from, LOG, LOG, length);
            expect_good(NULL, &r);
            assert_int_equal(r.records, LOG - from);
            assert_true(r.whole == (from == 0));
        }
    make_blocks(0, BIG, BIG, AUDIT_BLOCK);
    expect_good(NULL, &r);
    assert_true(r.whole);
    make_blocks(1, BIG - 100, BIG, AUDIT_BLOCK);
    expect_good(NULL, &r);
    change_salt_of(1300);
    expect_bad(NULL, VAULT_E_DAMAGED, 1301, "line 1301 (record 1301) is not what the log holds");
    make_blocks(0, BIG, BIG, AUDIT_BLOCK + 1);
    expect_bad(NULL, VAULT_E_FORMAT, 2, "line 2 (record 1) has a malformed proof");
}

static void range_is_verified(void **state) {
    (void)state;
    struct audit_report r;
    make_range(10, 30, LOG);
    expect_good(NULL, &r);
    assert_false(r.whole);
    assert_int_equal(r.first, 10);
    assert_int_equal(r.last, 29);
    assert_string_equal(r.covers, "records 10 to 29 of a log of 50, none left out");
}

static void one_subjects_records_are_verified(void **state) {
    (void)state;
    struct audit_report r;
    make_of_subject(2, LOG);
    expect_good(NULL, &r);
    assert_false(r.whole);
    assert_string_equal(r.covers, "numbers 0 to 10 in the chain of subject S-2, none left out");
}

static void one_services_records_are_verified(void **state) {
    (void)state;
    struct audit_report r;
    make_of_service(1, LOG);
    expect_good(NULL, &r);
    assert_non_null(strstr(r.covers, "in the chain of service service1, none left out"));
}

static void export_made_elsewhere_is_verified(void **state) {
    (void)state;
    struct audit_report r;
    assert_int_equal(audit_verify(VECTORS "export", vkey, VECTORS "checkpoint-5", &r), VAULT_OK);
    assert_true(r.whole);
    assert_int_equal(r.records, 13);
    assert_int_equal(audit_verify(VECTORS "export-single", vkey, VECTORS "checkpoint-5", &r), VAULT_OK);
    assert_true(r.whole);
}

/* ---- attacks ---- */

static void change_record(void) {
    char *at = strstr(x.record[17], "\"event\":\"read\"");
    at[9] = 'd';
}
static void change_salt(void) {
    change_salt_of(49);
}
static void drop(size_t i, bool record, bool proof) {
    for (size_t k = i; record && k + 1 < x.records; k++)
        copy_string(x.record[k], RECORD_LINE_MAX, x.record[k + 1]);
    for (size_t k = i; proof && k + 1 < x.proofs; k++)
        copy_string(x.proof[k], PROOF_TEXT, x.proof[k + 1]);
    x.records -= record;
    x.proofs -= proof;
}
static void delete_record(void) {
    drop(16, true, false);
}
static void delete_record_and_proof(void) {
    drop(16, true, true);
}
static void delete_several(void) {
    drop(16, true, true);
    drop(16, true, true);
    drop(16, true, true);
}
static void delete_proof(void) {
    drop(16, false, true);
}
static void delete_last_record(void) {
    drop(49, true, false);
}
static void delete_last_proof(void) {
    drop(49, false, true);
}
static void delete_all(void) {
    x.records = x.proofs = 0;
}
static void repeat_record(void) {
    for (size_t k = x.records++; k > 20; k--)
        copy_string(x.record[k], RECORD_LINE_MAX, x.record[k - 1]);
    for (size_t k = x.proofs++; k > 20; k--)
        copy_string(x.proof[k], PROOF_TEXT, x.proof[k - 1]);
}
static void insert_record(void) {
    repeat_record();
    change_salt_of(20);
}
static void append_record(void) {
    char line[RECORD_LINE_MAX];
    const char *at = strstr(x.record[49], "\"seq\":49");
    assert_true(format_string(line, sizeof(line), "%.*s\"seq\":50%s", (int)(at - x.record[49]), x.record[49], at + 8));
    copy_string(x.record[x.records++], RECORD_LINE_MAX, line);
    assert_true(format_string(x.proof[x.proofs++], PROOF_TEXT, "{\"seq\":50,\"proof\":[]}"));
}
static void swap_text(char *a, char *b) {
    char kept[RECORD_LINE_MAX];
    copy_string(kept, sizeof(kept), a);
    copy_string(a, PROOF_TEXT, b);
    copy_string(b, PROOF_TEXT, kept);
}
static void swap_records(void) {
    swap_text(x.record[7], x.record[8]);
}
static void swap_proofs(void) {
    swap_text(x.proof[7], x.proof[8]);
}
static void swap_both(void) {
    swap_records();
    swap_proofs();
}
static void add_to_proof(void) {
    char *end = strrchr(x.proof[9], '}');
    copy_string(end, 11, ",\"more\":1}");
}
static void null_in_proof(void) {
    assert_true(format_string(x.proof[9], PROOF_TEXT, "{\"seq\":null,\"proof\":[]}"));
}
static void true_in_proof(void) {
    assert_true(format_string(x.proof[9], PROOF_TEXT, "{\"seq\":9,\"proof\":[true]}"));
}
static void list_in_proof(void) {
    assert_true(format_string(x.proof[9], PROOF_TEXT, "{\"seq\":9,\"proof\":[[]]}"));
}
static void member_twice_in_proof(void) {
    assert_true(format_string(x.proof[9], PROOF_TEXT, "{\"seq\":9,\"proof\":[],\"seq\":9}"));
}
static void no_hashes_in_proof(void) {
    assert_true(format_string(x.proof[9], PROOF_TEXT, "{\"seq\":9,\"proof\":\"\"}"));
}
static void half_a_proof(void) {
    assert_true(format_string(x.proof[9], PROOF_TEXT, "{\"seq\":9}"));
}
static void swap_proof_hashes(void) {
    char *a = strchr(x.proof[9], '[') + 2, *b = a + 47;
    for (int i = 0; i < 43; i++) {
        char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}
static void change_proof(void) {
    char *at = strchr(x.proof[30], '[') + 2;
    *at = *at == 'A' ? 'B' : 'A';
}
static void shorten_proof(void) {
    assert_true(format_string(x.proof[30], PROOF_TEXT, "{\"seq\":30,\"proof\":[]}"));
}
static void loosen_base64(void) {
    char *at = strchr(x.proof[3], '=');
    at[-1] = (char)(at[-1] + 1); /* another spelling of the same bytes, or a bad one */
}
static void resign(void) {
    sign(LOG, other_seed, x.checkpoint);
}
static void change_checkpoint(void) {
    x.checkpoint[strlen(ORIGIN) + 1]++;
}
static void grow_checkpoint(void) {
    sign(LOG + 1, seed, x.checkpoint);
}
static void shrink_checkpoint(void) {
    sign(LOG - 1, seed, x.checkpoint);
}
static void empty_checkpoint(void) {
    x.checkpoint[0] = '\0';
}
static void edit_line(size_t i, const char *before, const char *after) {
    char line[RECORD_LINE_MAX];
    const char *at = strstr(x.record[i], before);
    assert_non_null(at);
    assert_true(format_string(line, sizeof(line), "%.*s%s%s", (int)(at - x.record[i]), x.record[i], after,
                              at + strlen(before)));
    copy_string(x.record[i], RECORD_LINE_MAX, line);
}
static void repeat_member(void) {
    edit_line(11, "\"event\":\"read\"", "\"event\":\"read\",\"event\":\"read\"");
}
static void add_space(void) {
    edit_line(11, "\"event\":\"read\"", "\"event\": \"read\"");
}
static void add_space_at_end(void) {
    copy_string(x.record[11] + strlen(x.record[11]), 2, " ");
}
static void escape_letter(void) {
    edit_line(11, "\"read\"", "\"\\u0072ead\"");
}
static void escape_control(void) {
    edit_line(11, "\"read\"", "\"\\u001f\"");
}
static void escape_newline(void) {
    edit_line(11, "\"read\"", "\"\\n\"");
}
static void escape_quote_longer(void) {
    edit_line(11, "\"read\"", "\"\\u0022\"");
}
static void bad_utf8(void) {
    edit_line(11, "\"read\"", "\"\xc0\x80\"");
}
static void too_deep(void) {
    edit_line(11, "\"read\"", "[[[[[[[[1]]]]]]]]");
}
static void too_large_number(void) {
    edit_line(11, "\"read\"", "9007199254740992");
}
static void negative_zero(void) {
    edit_line(11, "\"read\"", "-0");
}
static void two_values(void) {
    copy_string(x.record[11] + strlen(x.record[11]), 3, "{}");
}
static void subject_is_a_number(void) {
    edit_line(11, "\"subject\":\"S-0\"", "\"subject\":0");
}
static void link_is_a_text(void) {
    edit_line(11, "\"chain\":{", "\"chain\":{\"project\":\"1\",");
}
static void disorder_members(void) {
    edit_line(0, "\"event\":\"init\",\"outcome\":\"done\"", "\"outcome\":\"done\",\"event\":\"init\"");
}
static void blank_line(void) {
    x.record[5][0] = '\0';
}
static void binary_line(void) {
    x.record[5][3] = '\x01';
}
static void number_as_text(void) {
    edit_line(5, "\"seq\":5", "\"seq\":\"5\"");
}
static void real_number(void) {
    edit_line(5, "\"seq\":5", "\"seq\":5.5");
}
static void long_line(void) {
    memset(x.record[5], 'a', RECORD_LINE_MAX - 1);
    x.record[5][RECORD_LINE_MAX - 1] = '\0';
}

struct attack {
    const char *name;
    void (*attack)(void);
    int result;
    uint64_t line;
    const char *problem;
};

/* On an export that this makes. Both verifiers refuse, and name the line, if it is of one. */
static void expect_attacks(const struct attack *attacks, size_t count, void (*make)(void)) {
    for (size_t i = 0; i < count; i++) {
        char output[512], named[32];
        make();
        attacks[i].attack();
        print_message("attack: %s\n", attacks[i].name);
        expect_bad(NULL, attacks[i].result, attacks[i].line, attacks[i].problem);
        assert_int_equal(run_python(output, sizeof(output)), 1);
        format_string(named, sizeof(named), "line %llu:", (unsigned long long)attacks[i].line);
        if (attacks[i].line > 0 && strstr(output, named) == NULL)
            print_error("the independent verifier said: %s\n", output);
        assert_true(attacks[i].line == 0 || strstr(output, named) != NULL);
    }
}

static void make_single(void) {
    make_range(0, LOG, LOG);
}

static void every_attack_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct attack attacks[] = {
        {"change", change_record, VAULT_E_DAMAGED, 18, "line 18 (record 17) is not what the log holds: its proof does"},
        {"change salt", change_salt, VAULT_E_DAMAGED, 50, "line 50 (record 49) is not what the log holds"},
        {"delete", delete_record, VAULT_E_DAMAGED, 17, "line 17 (record 17) has the proof of another record beside it"},
        {"delete with proof", delete_record_and_proof, VAULT_E_DAMAGED, 17, "record 16 is missing before line 17"},
        {"delete several", delete_several, VAULT_E_DAMAGED, 17, "records 16 to 18 are missing before line 17"},
        {"delete proof", delete_proof, VAULT_E_DAMAGED, 17, "line 17 (record 16) has the proof of another record"},
        {"truncate", delete_last_record, VAULT_E_DAMAGED, 50, "line 50 is missing: proofs.jsonl goes on"},
        {"truncate proofs", delete_last_proof, VAULT_E_FORMAT, 50, "line 50 (record 49) has no proof"},
        {"delete all", delete_all, VAULT_E_DAMAGED, 0, "holds no records, though the log has 50"},
        {"repeat", repeat_record, VAULT_E_DAMAGED, 22, "line 22 (record 20) is out of order"},
        {"insert", insert_record, VAULT_E_DAMAGED, 21, "line 21 (record 20) is not what the log holds"},
        {"append", append_record, VAULT_E_DAMAGED, 51, "line 51 (record 50) has a number that the checkpoint's log"},
        {"swap records", swap_records, VAULT_E_DAMAGED, 8, "line 8 (record 8) has the proof of another record"},
        {"swap proofs", swap_proofs, VAULT_E_DAMAGED, 8, "line 8 (record 7) has the proof of another record"},
        {"reorder", swap_both, VAULT_E_DAMAGED, 8, "record 7 is missing before line 8 (removed, or moved)"},
        {"swap hashes of a proof", swap_proof_hashes, VAULT_E_DAMAGED, 10, "line 10 (record 9) is not what the log"},
        {"more in a proof", add_to_proof, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"null in a proof", null_in_proof, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"true in a proof", true_in_proof, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"list in a proof", list_in_proof, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"no list of hashes", no_hashes_in_proof, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"half a proof", half_a_proof, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"change proof", change_proof, VAULT_E_DAMAGED, 31, "line 31 (record 30) is not what the log holds"},
        {"shorten proof", shorten_proof, VAULT_E_DAMAGED, 31, "line 31 (record 30) is not what the log holds"},
        {"loose base64", loosen_base64, VAULT_E_FORMAT, 4, "line 4 (record 3) has a malformed proof"},
        {"resign", resign, VAULT_E_DAMAGED, 0, "checkpoint is not signed by the given key"},
        {"change checkpoint", change_checkpoint, VAULT_E_DAMAGED, 0, "checkpoint is not signed by the given key"},
        {"checkpoint of a later size", grow_checkpoint, VAULT_E_DAMAGED, 1, "line 1 (record 0) is not what the log"},
        {"checkpoint of an earlier size", shrink_checkpoint, VAULT_E_DAMAGED, 1, "line 1 (record 0) is not what the"},
        {"empty checkpoint", empty_checkpoint, VAULT_E_FORMAT, 0, "checkpoint is not a checkpoint"},
        {"duplicate member", repeat_member, VAULT_E_FORMAT, 12, "line 12 names the same field twice"},
        {"space", add_space, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"space at the end", add_space_at_end, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"escape", escape_letter, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"escape of the same length", escape_control, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"escape of a newline", escape_newline, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"longer escape", escape_quote_longer, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"overlong UTF-8", bad_utf8, VAULT_E_FORMAT, 12, "line 12 is not well-formed JSON"},
        {"depth", too_deep, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"number that not all hold", too_large_number, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"negative zero", negative_zero, VAULT_E_FORMAT, 12, "line 12 is not in canonical form"},
        {"two values", two_values, VAULT_E_FORMAT, 12, "line 12 is not well-formed JSON"},
        {"subject that is no text", subject_is_a_number, VAULT_E_FORMAT, 12, "that is no text"},
        {"link that is no object", link_is_a_text, VAULT_E_FORMAT, 12, "line 12 has a malformed chain field"},
        {"order of members", disorder_members, VAULT_E_FORMAT, 1, "line 1 is not in canonical form"},
        {"blank line", blank_line, VAULT_E_FORMAT, 6, "line 6 is not well-formed JSON"},
        {"binary", binary_line, VAULT_E_FORMAT, 6, "line 6 is not well-formed JSON"},
        {"number as text", number_as_text, VAULT_E_FORMAT, 6, "line 6 has no record number"},
        {"real number", real_number, VAULT_E_FORMAT, 6, "line 6 is not in canonical form"},
        {"long line", long_line, VAULT_E_FORMAT, 6, "line 6 is not well-formed JSON"},
    };
    expect_attacks(attacks, sizeof(attacks) / sizeof(attacks[0]), make_single);
}

/* ---- attacks on records that one proof is for: record 0; 1 to 8; 9 to 16; ... 41 to 48; 49 ---- */

static void make_in_blocks(void) {
    make_blocks(0, LOG, LOG, BLOCK);
}
static void drop_block(void) {
    for (int i = 0; i < BLOCK; i++)
        drop(9, true, false);
    drop(2, false, true);
}
static void drop_first(void) {
    drop(0, true, true);
}
static void drop_last_block(void) {
    for (int i = 0; i < 3; i++)
        drop(x.records - 1, true, i == 0);
}
static void repeat_line(void) {
    for (size_t k = x.records++; k > 20; k--)
        copy_string(x.record[k], RECORD_LINE_MAX, x.record[k - 1]);
}
static void repeat_block(void) {
    size_t proofs = x.proofs;
    for (size_t i = 0; i < BLOCK; i++)
        copy_string(x.record[x.records++], RECORD_LINE_MAX, x.record[9 + i]);
    copy_string(x.proof[x.proofs++], PROOF_TEXT, x.proof[2]);
    assert_int_equal(x.proofs, proofs + 1);
}
static void swap_blocks(void) {
    swap_text(x.proof[2], x.proof[3]);
}
static char *leaves_of(size_t proof) {
    return strstr(x.proof[proof], "\"leaves\":\"") + 10;
}
static void change_leaf(void) {
    char *at = leaves_of(2) + 3 * 43;
    *at = *at == 'A' ? 'B' : 'A';
}
/* Another record, with its own leaf beside it. */
static void change_record_and_leaf(void) {
    uint8_t leaves[BLOCK][MERKLE_HASH];
    change_salt_of(12);
    for (size_t i = 0; i < BLOCK; i++)
        merkle_leaf(x.record[9 + i], strlen(x.record[9 + i]), leaves[i]);
    proof_text(16, LOG, x.proof[2]);
    leaves_text((const uint8_t(*)[MERKLE_HASH])leaves, BLOCK, x.proof[2]);
}
static void change_proof_of_block(void) {
    char *at = strchr(x.proof[2], '[') + 2;
    *at = *at == 'A' ? 'B' : 'A';
}
static void drop_leaves(void) {
    proof_text(16, LOG, x.proof[2]);
}
static void drop_leaf(void) {
    proof_text(16, LOG, x.proof[2]);
    leaves_text((const uint8_t(*)[MERKLE_HASH])entries.leaves + 10, BLOCK - 1, x.proof[2]);
}
static void leaf_of_a_single(void) {
    leaves_text((const uint8_t(*)[MERKLE_HASH])entries.leaves, 1, x.proof[0]);
}
static void leaves_cut_short(void) {
    char *at = leaves_of(2);
    copy_string(at + 40, 3, "\"}");
}
static void leaves_spelt_otherwise(void) {
    char *at = strchr(leaves_of(2), '=');
    at[-1]++;
}
static void leaves_before_the_log(void) {
    leaves_text((const uint8_t(*)[MERKLE_HASH])entries.leaves, 2, x.proof[0]);
}
static void change_and_break(void) {
    change_record_and_leaf();
    x.record[14][0] = '\0';
}

static void every_attack_on_what_is_proven_together_is_refused_with_its_line(void **state) {
    (void)state;
    static const char lines_10_to_17[] =
        "lines 10 to 17 (records 9 to 16) are not shown to be what the log holds: line 3 of";
    static const struct attack attacks[] = {
        {"change", change_record, VAULT_E_DAMAGED, 18, "line 18 (record 17) is not what the log holds: proofs.jsonl"},
        {"change salt", change_salt, VAULT_E_DAMAGED, 50, "line 50 (record 49) is not what the log holds"},
        {"delete", delete_record, VAULT_E_DAMAGED, 17, "line 17 (record 17) has the proof of another record beside it"},
        {"delete block", drop_block, VAULT_E_DAMAGED, 10, "records 9 to 16 are missing before line 10"},
        {"delete first", drop_first, VAULT_E_DAMAGED, 1,
         "line 1 (record 1) is proven only behind the record before it"},
        {"delete proof", drop_last_block, VAULT_E_DAMAGED, 48, "line 48 is missing: proofs.jsonl goes on"},
        {"truncate", delete_last_record, VAULT_E_DAMAGED, 50, "line 50 is missing: proofs.jsonl goes on"},
        {"repeat", repeat_line, VAULT_E_DAMAGED, 22, "line 22 (record 20) has the proof of another record"},
        {"repeat block", repeat_block, VAULT_E_DAMAGED, 51, "line 51 (record 9) is out of order"},
        {"swap records", swap_records, VAULT_E_DAMAGED, 8, "line 8 (record 8) has the proof of another record"},
        {"swap proofs", swap_blocks, VAULT_E_DAMAGED, 10, "line 10 (record 9) has the proof of another record"},
        {"change leaf", change_leaf, VAULT_E_DAMAGED, 10,
         "lines 10 to 17 (records 9 to 16) are what the log holds, but have wrong leaves beside them: line 3 of "
         "proofs.jsonl was"},
        {"change record and leaf", change_record_and_leaf, VAULT_E_DAMAGED, 10, lines_10_to_17},
        {"change proof", change_proof_of_block, VAULT_E_DAMAGED, 10, lines_10_to_17},
        {"drop leaves", drop_leaves, VAULT_E_DAMAGED, 10, "line 10 (record 9) has the proof of another record"},
        {"drop one leaf", drop_leaf, VAULT_E_DAMAGED, 10, "line 10 (record 9) has the proof of another record"},
        {"leaf of a single", leaf_of_a_single, VAULT_E_FORMAT, 1, "line 1 (record 0) has a malformed proof"},
        {"leaves before the log", leaves_before_the_log, VAULT_E_FORMAT, 1, "line 1 (record 0) has a malformed proof"},
        {"leaves cut short", leaves_cut_short, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"loose base64", leaves_spelt_otherwise, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof"},
        {"shrink", shrink_checkpoint, VAULT_E_DAMAGED, 1, "line 1 (record 0) is not what the log holds"},
        {"blank line", blank_line, VAULT_E_FORMAT, 6, "line 6 is not well-formed JSON"},
    };
    expect_attacks(attacks, sizeof(attacks) / sizeof(attacks[0]), make_in_blocks);
    make_in_blocks();
    change_and_break();
    expect_bad(NULL, VAULT_E_FORMAT, 15, "line 15 is not well-formed JSON");
}

static void proof_with_a_member_twice_is_refused(void **state) {
    (void)state;
    make_single();
    member_twice_in_proof();
    expect_bad(NULL, VAULT_E_FORMAT, 10, "line 10 (record 9) has a malformed proof");
}

static void independent_verifier_agrees_on_what_is_good(void **state) {
    (void)state;
    char output[512];
    make_range(0, LOG, LOG);
    write_export();
    assert_int_equal(run_python(output, sizeof(output)), 0);
    make_range(10, 30, LOG);
    write_export();
    assert_int_equal(run_python(output, sizeof(output)), 0);
    for (size_t length = 2; length <= LOG; length += 9) {
        make_blocks(length % 3, LOG, LOG, length);
        write_export();
        assert_int_equal(run_python(output, sizeof(output)), 0);
    }
    make_of_subject(2, LOG);
    write_export();
    assert_int_equal(run_python(output, sizeof(output)), 0);
    make_of_service(1, LOG);
    write_export();
    assert_int_equal(run_python(output, sizeof(output)), 0);
    drop(3, true, true);
    write_export();
    assert_int_equal(run_python(output, sizeof(output)), 1);
    assert_non_null(strstr(output, "line 4:"));
}

static void record_left_out_of_a_subjects_export_is_noticed(void **state) {
    (void)state;
    make_of_subject(2, LOG);
    drop(4, true, true);
    expect_bad(NULL, VAULT_E_DAMAGED, 5, "record 4 in the chain of subject S-2 is missing before line 5");
    make_of_subject(2, LOG);
    drop(4, true, true);
    drop(4, true, true);
    expect_bad(NULL, VAULT_E_DAMAGED, 5, "records 4 to 5 in the chain of subject S-2 are missing before line 5");
}

static void record_left_out_of_a_services_export_is_noticed(void **state) {
    (void)state;
    make_of_service(1, LOG);
    drop(4, true, true);
    expect_bad(NULL, VAULT_E_DAMAGED, 5, "record 4 in the chain of service service1 is missing before line 5");
}

static void file_that_ends_within_a_line_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"records.jsonl", "proofs.jsonl"};
    struct audit_report r;
    for (size_t i = 0; i < 2; i++) {
        make_range(0, LOG, LOG);
        write_export();
        char path[PATH_SIZE];
        assert_true(format_string(path, sizeof(path), "%s/%s", folder, names[i]));
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        fseek(f, 0, SEEK_END);
        long size = ftell(f);
        fclose(f);
        assert_int_equal(truncate(path, size - 1), 0);
        assert_int_equal(audit_verify(folder, vkey, NULL, &r), VAULT_E_FORMAT);
        assert_int_equal(r.bad_line, LOG);
        assert_non_null(strstr(r.problem, "was cut short"));
    }
}

static void line_longer_than_any_record_is_refused(void **state) {
    (void)state;
    struct audit_report r;
    make_range(0, 3, 3);
    write_export();
    FILE *f = open_file("records.jsonl", "ab");
    for (int i = 0; i < 100000; i++)
        fputc('a', f);
    fputc('\n', f);
    fclose(f);
    f = open_file("proofs.jsonl", "ab");
    fputs("{}\n", f);
    fclose(f);
    assert_int_equal(audit_verify(folder, vkey, NULL, &r), VAULT_E_FORMAT);
    assert_int_equal(r.bad_line, 4);
    assert_string_equal(r.problem, "line 4 is longer than any record");
}

/* ---- keys and files ---- */

static void wrong_key_is_refused(void **state) {
    (void)state;
    struct audit_report r;
    char other[CHECKPOINT_VKEY_MAX];
    make_range(0, LOG, LOG);
    write_export();
    assert_int_equal(checkpoint_vkey(ORIGIN, other_seed, other), VAULT_OK);
    assert_int_equal(audit_verify(folder, other, NULL, &r), VAULT_E_DAMAGED);
    assert_non_null(strstr(r.problem, "not signed by the given key"));
    assert_int_equal(audit_verify(folder, "nonsense", NULL, &r), VAULT_E_FORMAT);
    assert_non_null(strstr(r.problem, "no verifier key"));
}

static void missing_file_is_named(void **state) {
    (void)state;
    static const char *const names[] = {"records.jsonl", "proofs.jsonl", "checkpoint"};
    struct audit_report r;
    for (size_t i = 0; i < 3; i++) {
        char path[PATH_SIZE];
        make_range(0, LOG, LOG);
        write_export();
        assert_true(format_string(path, sizeof(path), "%s/%s", folder, names[i]));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(audit_verify(folder, vkey, NULL, &r), VAULT_E_IO);
        assert_non_null(strstr(r.problem, names[i]));
    }
    make_range(0, LOG, LOG);
    write_export();
    assert_int_equal(audit_verify(folder, vkey, "/nonexistent/noted", &r), VAULT_E_IO);
    assert_non_null(strstr(r.problem, "/nonexistent/noted"));
    assert_int_equal(audit_verify("/nonexistent/export", vkey, NULL, &r), VAULT_E_IO);
    assert_non_null(strstr(r.problem, "/nonexistent/export"));
}

/* ---- the trusted checkpoint ---- */

static void log_that_extends_the_trusted_checkpoint_is_verified(void **state) {
    (void)state;
    struct audit_report r;
    char noted[CHECKPOINT_TEXT_MAX];
    for (size_t old = 0; old <= LOG; old++) {
        sign(old, seed, noted);
        make_range(0, LOG, LOG);
        expect_good(noted, &r);
        make_blocks(0, LOG, LOG, BLOCK);
        expect_good(noted, &r);
        if (old == LOG)
            continue;
        make_range(0, old + (old == 0), LOG); /* the records before it, folded */
        expect_good(noted, &r);
        make_range(old, LOG, LOG); /* the records since it: the first one's proof shows it */
        expect_good(noted, &r);
    }
}

static void rewritten_log_is_refused(void **state) {
    (void)state;
    char noted[CHECKPOINT_TEXT_MAX];
    for (size_t old = 1; old <= LOG; old++) {
        struct checkpoint c = {.origin = ORIGIN, .size = old};
        assert_int_equal(merkle_root(&store, old, c.root), VAULT_OK);
        c.root[31] ^= 1;
        assert_int_equal(checkpoint_sign(&c, seed, noted), VAULT_OK);
        make_range(0, LOG, LOG);
        expect_bad(noted, VAULT_E_DAMAGED, 0, "the log was rewritten");
        make_blocks(0, LOG, LOG, BLOCK);
        expect_bad(noted, VAULT_E_DAMAGED, 0, "the log was rewritten");
        if (old == LOG)
            continue;
        make_range(0, old, LOG);
        expect_bad(noted, VAULT_E_DAMAGED, 0, "the log was rewritten");
        make_range(old, LOG, LOG);
        expect_bad(noted, VAULT_E_DAMAGED, 0, "the log was rewritten");
    }
}

static void log_rolled_back_behind_the_trusted_checkpoint_is_refused(void **state) {
    (void)state;
    char noted[CHECKPOINT_TEXT_MAX];
    sign(LOG + 1, seed, noted);
    make_range(0, LOG, LOG);
    expect_bad(noted, VAULT_E_DAMAGED, 0,
               "the log was cut: the trusted checkpoint has 51 records, the export's only 50");
}

static void extension_that_cannot_be_shown_is_refused(void **state) {
    (void)state;
    char noted[CHECKPOINT_TEXT_MAX];
    sign(20, seed, noted);
    make_range(21, LOG, LOG);
    expect_bad(noted, VAULT_E_DAMAGED, 0, "cannot be shown that the log extends the trusted checkpoint");
    make_range(0, 19, LOG);
    expect_bad(noted, VAULT_E_DAMAGED, 0, "cannot be shown that the log extends the trusted checkpoint");
}

static void trusted_checkpoint_of_another_key_or_log_is_refused(void **state) {
    (void)state;
    char noted[CHECKPOINT_TEXT_MAX];
    make_range(0, LOG, LOG);
    sign(20, other_seed, noted);
    expect_bad(noted, VAULT_E_DAMAGED, 0, "trusted is not signed by the given key");
    const struct checkpoint c = {.origin = "vault.example/other", .size = 20};
    assert_int_equal(checkpoint_sign(&c, seed, noted), VAULT_OK);
    expect_bad(noted, VAULT_E_DAMAGED, 0, "trusted is not signed by the given key");
    expect_bad("nonsense\n", VAULT_E_FORMAT, 0, "trusted is not a checkpoint");
}

/* ---- a log whose writer lies: signed, but its chains do not fit ---- */

/* A log of these lines alone, well signed and proven. */
static void make_forged(const char *const *lines, size_t n) {
    x.records = x.proofs = n;
    for (size_t i = 0; i < n; i++) {
        copy_string(x.record[i], RECORD_LINE_MAX, lines[i]);
        merkle_leaf(lines[i], strlen(lines[i]), entries.leaves[i]);
        assert_int_equal(tree_append(&store, node_put, i, entries.leaves[i]), VAULT_OK);
    }
    for (size_t i = 0; i < n; i++)
        proof_text(i, n, x.proof[i]);
    sign(n, seed, x.checkpoint);
}

static void expect_forged(const char *second, uint64_t line, const char *problem) {
    static const char first[] =
        "{\"chain\":{\"subject\":{\"n\":0,\"prev\":\"00000000000000000000000000000000000000000000"
        "00000000000000000000\"}},\"seq\":0,\"subject\":\"S\"}";
    char filled[RECORD_LINE_MAX], hex[2 * MERKLE_HASH + 1];
    uint8_t leaf[MERKLE_HASH];
    merkle_leaf(first, strlen(first), leaf);
    hex_encode(hex, sizeof(hex), leaf, sizeof(leaf));
    const char *mark = strchr(second, '@');
    assert_true(format_string(filled, sizeof(filled), "%.*s%s%s", mark == NULL ? 0 : (int)(mark - second), second,
                              mark == NULL ? "" : hex, mark == NULL ? second : mark + 1));
    make_forged((const char *const[]){first, filled}, 2);
    struct audit_report r;
    if (line == 0)
        expect_good(NULL, &r);
    else
        expect_bad(NULL, line == 2 && strstr(problem, "malformed") != NULL ? VAULT_E_FORMAT : VAULT_E_DAMAGED, line,
                   problem);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define LINKED(n, prev) "{\"chain\":{\"subject\":{\"n\":" n ",\"prev\":\"" prev "\"}},\"seq\":1,\"subject\":\"S\"}"

static void chains_that_do_not_fit_are_refused(void **state) {
    (void)state;
    expect_forged(LINKED("1", "@"), 0, "");
    expect_forged(LINKED("1", ONES), 2, "does not link to the record before it in its subject's chain");
    expect_forged(LINKED("1", ZEROS), 2, "does not fit its number there");
    expect_forged(LINKED("0", ZEROS), 2, "repeats a number of its subject's chain");
    expect_forged(LINKED("0", ONES), 2, "does not fit its number there");
    expect_forged(LINKED("2", "@"), 2, "skips a number of its subject's chain");
    expect_forged(LINKED("1", "12"), 2, "malformed chain");
    expect_forged("{\"chain\":{\"subject\":{\"n\":4,\"prev\":\"" ONES "\"}},\"seq\":1,\"subject\":\"T\"}", 2,
                  "skips a number of its subject's chain");
    build_log();
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(secret_start(), VAULT_OK);
    uint8_t bytes[CHECKPOINT_SEED];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(secret_take(&seed, bytes, sizeof(bytes)), VAULT_OK);
    assert_int_equal(secret_random(&other_seed, CHECKPOINT_SEED), VAULT_OK);
    assert_int_equal(checkpoint_vkey(ORIGIN, seed, vkey), VAULT_OK);
    entries.lines = calloc(BIG, sizeof(*entries.lines));
    entries.leaves = calloc(BIG, sizeof(*entries.leaves));
    entries.nodes = calloc(12 * BIG, sizeof(*entries.nodes));
    x.record = calloc(BIG, sizeof(*x.record));
    x.proof = calloc(BIG, sizeof(*x.proof));
    assert_true(entries.lines != NULL && entries.leaves != NULL && entries.nodes != NULL && x.record != NULL &&
                x.proof != NULL);
    build_log();
    copy_string(folder, sizeof(folder), "/tmp/export-verify-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_true(format_string(trusted_path, sizeof(trusted_path), "%s/trusted", folder));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    static const char *const names[] = {"records.jsonl", "proofs.jsonl", "checkpoint", "trusted"};
    for (size_t i = 0; i < 4; i++) {
        char path[PATH_SIZE];
        if (format_string(path, sizeof(path), "%s/%s", folder, names[i]))
            unlink(path);
    }
    rmdir(folder);
    free(entries.lines);
    free(entries.leaves);
    free(entries.nodes);
    free(x.record);
    free(x.proof);
    secret_free(&seed);
    secret_free(&other_seed);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_export_is_verified),
        cmocka_unit_test(empty_log_is_verified),
        cmocka_unit_test(export_of_many_batches_is_verified),
        cmocka_unit_test(records_that_one_proof_is_for_are_verified),
        cmocka_unit_test(range_is_verified),
        cmocka_unit_test(one_subjects_records_are_verified),
        cmocka_unit_test(one_services_records_are_verified),
        cmocka_unit_test(export_made_elsewhere_is_verified),
        cmocka_unit_test(every_attack_is_refused_with_its_line),
        cmocka_unit_test(every_attack_on_what_is_proven_together_is_refused_with_its_line),
        cmocka_unit_test(proof_with_a_member_twice_is_refused),
        cmocka_unit_test(independent_verifier_agrees_on_what_is_good),
        cmocka_unit_test(record_left_out_of_a_subjects_export_is_noticed),
        cmocka_unit_test(record_left_out_of_a_services_export_is_noticed),
        cmocka_unit_test(file_that_ends_within_a_line_is_refused),
        cmocka_unit_test(line_longer_than_any_record_is_refused),
        cmocka_unit_test(wrong_key_is_refused),
        cmocka_unit_test(missing_file_is_named),
        cmocka_unit_test(log_that_extends_the_trusted_checkpoint_is_verified),
        cmocka_unit_test(rewritten_log_is_refused),
        cmocka_unit_test(log_rolled_back_behind_the_trusted_checkpoint_is_refused),
        cmocka_unit_test(extension_that_cannot_be_shown_is_refused),
        cmocka_unit_test(trusted_checkpoint_of_another_key_or_log_is_refused),
        cmocka_unit_test(chains_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
