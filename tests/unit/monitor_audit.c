/* Every record is a leaf of one tree, and its head is what the checkpoint signs. */
#include "monitor_rig.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vaultd/monitor/access/grants.h"
#include "vault/checkpoint.h"
#include "vault/log.h"
#include "vault/record.h"
#include "vault/result.h"

static struct peer clinic, depositor;
static uint8_t file[ID_SIZE];

static int audit_set_up(void **state) {
    vault_set_up(state);
    depositor = peer_tls(SAN_OF("depositor"));
    deposit_file(&depositor, "S-1", "genome-8841.cram", 100, 1, file);
    clinic = peer_tls(SAN_OF("clinic"));
    return 0;
}

static int audit_tear_down(void **state) {
    close(clinic.channel);
    close(depositor.channel);
    return rig_tear_down(state);
}

/* One of everything: permitted, denied, malformed, unknown, inquired, closed. */
static void live_a_little(void) {
    struct peer stranger = peer_tls(SAN_OF("nobody"));
    open_request(&stranger, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&stranger), 401);
    struct msg_grant g = open_file(&clinic, file);
    COPY_ARRAY(request(&clinic, MSG_grant_close)->grant_close.grant, g.grant);
    assert_int_equal(ask(&clinic)->type, MSG_done);
    open_request(&clinic, file, PURPOSE_RESEARCH);
    assert_int_equal(ask_status(&clinic), 403);
    open_request(&clinic, file, 9);
    assert_int_equal(ask_status(&clinic), 400);
    create_request(&depositor, "S-2", "x");
    assert_int_equal(ask_status(&depositor), 403);
    struct message *q = request(&clinic, MSG_inquire);
    COPY_ARRAY(q->inquire.file, file);
    q->inquire.purpose = PURPOSE_TREATMENT;
    assert_int_equal(ask_status(&clinic), 200);
    withdraw_request(&root, "S-1");
    assert_int_equal(ask_status(&root), 200);
    close(stranger.channel);
}

static struct checkpoint checkpoint_now(void) {
    struct checkpoint c;
    request(&root, MSG_audit_checkpoint);
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 200);
    json_t *json = document_of(answer);
    assert_int_equal(checkpoint_verify(json_string_value(json_object_get(json, "checkpoint")),
                                       json_string_value(json_object_get(json, "vkey")), &c),
                     VAULT_OK);
    json_decref(json);
    assert_string_equal(c.origin, ORIGIN);
    return c;
}

/* Root of the first `size` lines; how many there are in all. */
static uint64_t root_of_lines(const char *text, uint64_t size, uint8_t ret[MERKLE_HASH]) {
    struct merkle_fold fold = {0};
    uint8_t leaf[MERKLE_HASH];
    uint64_t lines = 0;
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1, lines++) {
        merkle_leaf(text, (size_t)(end - text), leaf);
        if (lines < size)
            merkle_fold_add(&fold, leaf, NULL);
    }
    merkle_fold_root(&fold, ret);
    return lines;
}

static void every_record_is_in_the_signed_tree(void **state) {
    uint8_t hash[MERKLE_HASH];
    (void)state;
    live_a_little();
    struct checkpoint c = checkpoint_now();
    char *text = audit_text();
    assert_int_equal(root_of_lines(text, c.size, hash), c.size); /* its own record is the last */
    assert_memory_equal(hash, c.root, MERKLE_HASH);
    text[strlen(text) / 2] ^= 1;
    root_of_lines(text, c.size, hash);
    assert_memory_not_equal(hash, c.root, MERKLE_HASH);
    free(text);
}

static void old_checkpoint_is_a_prefix_after_a_restart(void **state) {
    uint8_t hash[MERKLE_HASH];
    (void)state;
    struct checkpoint old = checkpoint_now();
    live_a_little();
    rig_stop();
    assert_true(rig_start_unsealed());
    struct checkpoint c = checkpoint_now();
    char *text = audit_text();
    root_of_lines(text, old.size, hash);
    assert_memory_equal(hash, old.root, MERKLE_HASH);
    root_of_lines(text, c.size, hash);
    assert_memory_equal(hash, c.root, MERKLE_HASH);
    free(text);
}

static size_t decode_proof(const json_t *line, uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH]) {
    const json_t *hashes = json_object_get(line, "proof");
    size_t n = 0;
    for (; n < json_array_size(hashes); n++) {
        const char *text = json_string_value(json_array_get(hashes, n));
        size_t size = 0;
        assert_int_equal(sodium_base642bin(proof[n], MERKLE_HASH, text, strlen(text), NULL, &size, NULL,
                                           sodium_base64_VARIANT_ORIGINAL),
                         0);
        assert_int_equal(size, MERKLE_HASH);
    }
    return n;
}

static void proofs_lead_to_the_signed_root(void **state) {
    static uint8_t leaves[256][MERKLE_HASH];
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    uint64_t n = 0;
    (void)state;
    live_a_little();
    struct checkpoint c = checkpoint_now();
    char *text = audit_text();
    for (char *at = text, *end; (end = strchr(at, '\n')) != NULL && n < 256; at = end + 1)
        merkle_leaf(at, (size_t)(end - at), leaves[n++]);
    free(text);
    assert_int_equal(n, c.size);
    struct message *q = request(&root, MSG_audit_proofs);
    q->audit_proofs.to = q->audit_proofs.tree = c.size;
    struct message *answer = ask(&root);
    assert_int_equal(answer->type, MSG_block);
    assert_int_equal(answer->block.next, c.size);
    FILE *f = fmemopen(answer->block.bytes, answer->block.bytes_size, "r");
    assert_non_null(f);
    uint64_t proven = 0;
    for (unsigned lines = 0; proven < c.size; lines++) {
        json_t *line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
        json_int_t records = json_integer_value(json_object_get(line, "records"));
        assert_true(lines == 0 ? records == 1 : records > 1);
        proven += (uint64_t)records;
        assert_int_equal(json_integer_value(json_object_get(line, "seq")), proven - 1);
        size_t count = decode_proof(line, proof);
        assert_int_equal(merkle_verify_inclusion(leaves[proven - 1], proven - 1, c.size,
                                                 (const uint8_t(*)[MERKLE_HASH])proof, count, c.root),
                         VAULT_OK);
        json_decref(line);
    }
    assert_true(proven > 2);
    fclose(f);
}

/* By their numbers, with gaps: what does not follow on another is proven by itself. */
static void proofs_of_a_chain_are_for_records_that_follow_one_another(void **state) {
    static const uint64_t numbers[] = {1, 2, 3, 5, 7, 8}, expected[] = {1, 3, 5, 7, 8};
    (void)state;
    live_a_little();
    struct message *q = request(&root, MSG_audit_lines);
    for (size_t i = 0; i < 6; i++)
        put_be64(q->audit_lines.numbers + i * sizeof(uint64_t), numbers[i]);
    q->audit_lines.numbers_size = sizeof(numbers);
    q->audit_lines.tree = 10;
    q->audit_lines.proofs = 1;
    struct message *answer = ask(&root);
    assert_int_equal(answer->type, MSG_block);
    assert_int_equal(answer->block.next, 6);
    FILE *f = fmemopen(answer->block.bytes, answer->block.bytes_size, "r");
    for (size_t i = 0; i < 5; i++) {
        json_t *line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
        assert_int_equal(json_integer_value(json_object_get(line, "seq")), expected[i]);
        assert_int_equal(json_integer_value(json_object_get(line, "records")), i == 1 ? 2 : 1);
        json_decref(line);
    }
    fclose(f);
    q->audit_lines.numbers_size = sizeof(numbers);
    put_be64(q->audit_lines.numbers, 10);
    assert_int_equal(ask(&root)->type, MSG_answer);
}

/* Number and link of the named chain, line after line. */
static void chain_is_whole(const char *text, const char *kind, const char *member, const char *name) {
    char expected[2 * MERKLE_HASH + 1] = {0};
    uint64_t n = 0;
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        uint8_t leaf[MERKLE_HASH];
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        const json_t *who = json_object_get(line, kind);
        const json_t *at = member == NULL ? who : json_object_get(who, member);
        if (json_string_value(at) != NULL && strcmp(json_string_value(at), name) == 0) {
            const json_t *link = json_object_get(json_object_get(line, "chain"), kind);
            assert_int_equal(json_integer_value(json_object_get(link, "n")), n);
            if (n > 0)
                assert_string_equal(json_string_value(json_object_get(link, "prev")), expected);
            merkle_leaf(text, (size_t)(end - text), leaf);
            hex_encode(expected, sizeof(expected), leaf, MERKLE_HASH);
            n++;
        }
        json_decref(line);
    }
    assert_true(n > 2);
}

static void chains_of_subject_and_service_are_whole(void **state) {
    (void)state;
    live_a_little();
    rig_stop();
    assert_true(rig_start_unsealed());
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    open_request(&clinic, file, PURPOSE_TREATMENT);
    assert_int_equal(ask_status(&clinic), 403);
    char *text = audit_text();
    chain_is_whole(text, "subject", NULL, "S-1");
    chain_is_whole(text, "service", "name", "clinic");
    free(text);
}

static void tail_is_the_end_of_the_log(void **state) {
    (void)state;
    live_a_little();
    request(&root, MSG_audit_tail)->audit_tail.count = 3;
    struct message *answer = ask(&root);
    assert_int_equal(answer->type, MSG_block);
    assert_int_equal(answer->block.next, m.tree.size);
    unsigned lines = 0;
    for (uint32_t i = 0; i < answer->block.bytes_size; i++)
        lines += answer->block.bytes[i] == '\n';
    assert_int_equal(lines, 3);
    assert_non_null(memmem(answer->block.bytes, answer->block.bytes_size, "audit.tail", 10));
    static const uint32_t refused[] = {0, 101, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        request(&root, MSG_audit_tail)->audit_tail.count = refused[i];
        assert_int_equal(ask_status(&root), 400);
    }
}

static void records_beyond_the_log_are_refused(void **state) {
    (void)state;
    static const uint64_t wrong[][3] = {
        {0, 2, 1}, {0, 1, UINT64_MAX}, {2, 1, 5}, {1, 1, 5}, {0, UINT64_MAX, UINT64_MAX}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct message *q = request(&root, MSG_audit_records);
        q->audit_records.from = wrong[i][0];
        q->audit_records.to = wrong[i][1];
        q->audit_records.tree = wrong[i][2];
        assert_int_equal(ask_status(&root), 400);
    }
}

/* A worker may claim any number: it is recorded as far as a number goes, and harms nobody. */
static void claim_beyond_all_numbers_is_recorded(void **state) {
    (void)state;
    struct msg_grant g = open_file(&clinic, file);
    struct message *q = request(&clinic, MSG_grant_close);
    COPY_ARRAY(q->grant_close.grant, g.grant);
    q->grant_close.bytes = UINT64_MAX;
    q->grant_close.ranges = UINT32_MAX;
    assert_int_equal(ask(&clinic)->type, MSG_done);
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"bytes\":9007199254740991", NULL), 1);
}

static void nothing_of_a_person_is_on_disk(void **state) {
    static const char *const words[] = {"genome-8841", "subject-marker-7731", SAN_OF("clinic"), "clinic"};
    char path[128];
    (void)state;
    make_subject("subject-marker-7731");
    live_a_little();
    rig_stop();
    assert_true(format_string(path, sizeof(path), "%s/state/index/data.mdb", rig_folder()));
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(size);
    assert_int_equal(fread(bytes, 1, size, f), size);
    fclose(f);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_null(memmem(bytes, size, words[i], strlen(words[i])));
    assert_non_null(memmem(bytes, size, "dataset-files", 13)); /* the scan can find */
    free(bytes);
}

/* ---- a decision made once more ---- */

static bool is_replayed_the_same(uint64_t seq) {
    request(&root, MSG_policy_replay)->policy_replay.seq = seq;
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 200);
    assert_true(says(answer, "\"same\":true") != says(answer, "\"same\":false"));
    return says(answer, "\"same\":true");
}

static void forged_record_is_not_what_was_decided(void **state) {
    static const struct {
        const char *from, *to;
    } forgeries[] = {
        {"\"rule\":\"purpose-not-allowed-to-service\"", "\"rule\":\"purpose-not-allowed-to-Service\""}, /* a reason */
        {"\"outcome\":\"denied\"", "\"outcome\":\"failed\""},
        {"\"roles\":2", "\"roles\":1"}, /* what was asked */
    };
    (void)state;
    open_request(&clinic, file, PURPOSE_RESEARCH);
    assert_int_equal(ask_status(&clinic), 403);
    uint64_t seq = m.tree.size - 1;
    assert_true(is_replayed_the_same(seq));
    for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
        forge_record(seq, forgeries[i].from, forgeries[i].to);
        assert_false(is_replayed_the_same(seq));
        forge_record(seq, forgeries[i].to, forgeries[i].from);
        assert_true(is_replayed_the_same(seq));
    }
    forge_record(seq, "\"policy_version\":1", "\"policy_version\":9"); /* there is no such policy */
    request(&root, MSG_policy_replay)->policy_replay.seq = seq;
    assert_int_equal(ask_status(&root), 500);
    request(&root, MSG_policy_replay)->policy_replay.seq = m.tree.size;
    assert_int_equal(ask_status(&root), 404);
}

#define AUDIT(test) cmocka_unit_test_setup_teardown(test, audit_set_up, audit_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        AUDIT(every_record_is_in_the_signed_tree),
        AUDIT(old_checkpoint_is_a_prefix_after_a_restart),
        AUDIT(proofs_lead_to_the_signed_root),
        AUDIT(proofs_of_a_chain_are_for_records_that_follow_one_another),
        AUDIT(chains_of_subject_and_service_are_whole),
        AUDIT(tail_is_the_end_of_the_log),
        AUDIT(records_beyond_the_log_are_refused),
        AUDIT(claim_beyond_all_numbers_is_recorded),
        AUDIT(nothing_of_a_person_is_on_disk),
        AUDIT(forged_record_is_not_what_was_decided),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
