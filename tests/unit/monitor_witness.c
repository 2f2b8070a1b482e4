/* The audit's heads on their way to a witness, which is played here; what a damaged tree and a dropped batch cost. */
#include "monitor_rig.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/witness.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/witness/witnesses.h"

#define NAME "witness.example/one"

static uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES], key_id[4];
static char vkey[CHECKPOINT_VKEY_MAX];

static void make_key(void) {
    uint8_t tagged[1 + sizeof(public_key)] = {0x04}, hash[crypto_hash_sha256_BYTES],
                       named[sizeof(NAME) + sizeof(tagged)];
    char encoded[64], id[9];
    assert_int_equal(crypto_sign_keypair(public_key, secret_key), 0);
    copy_bytes(tagged + 1, sizeof(tagged) - 1, public_key, sizeof(public_key));
    copy_bytes(named, sizeof(named), NAME "\n", sizeof(NAME));
    copy_bytes(named + sizeof(NAME), sizeof(named) - sizeof(NAME), tagged, sizeof(tagged));
    crypto_hash_sha256(hash, named, sizeof(named));
    copy_bytes(key_id, sizeof(key_id), hash, sizeof(key_id));
    hex_encode(id, sizeof(id), key_id, sizeof(key_id));
    sodium_bin2base64(encoded, sizeof(encoded), tagged, sizeof(tagged), sodium_base64_VARIANT_ORIGINAL);
    assert_true(format_string(vkey, sizeof(vkey), NAME "+%s+%s", id, encoded));
}

static int set_up(void **state) {
    make_key();
    rig_witnesses = vkey;
    return vault_set_up(state);
}

static int tear_down(void **state) {
    rig_witnesses = "";
    return rig_tear_down(state);
}

/* ---- the witness ---- */

static struct message in, out;

/* The request that is under way: its body, terminated; -1 if there is none. The channel is the caller's. */
static int asked(char body[WITNESS_REQUEST_MAX + 1]) {
    struct heard h;
    for (unsigned n = 0; n < 10; n++) {
        turn();
        h = supervisor_heard();
        if (h.courier_id != 0)
            break;
    }
    if (h.courier_id == 0)
        return -1;
    int channel = supervisor_courier(h.courier_id);
    assert_int_equal(channel_receive_wait(channel, &in, 1000), VAULT_OK);
    assert_int_equal(in.type, MSG_courier_carry);
    copy_bytes(body, WITNESS_REQUEST_MAX, in.courier_carry.body, in.courier_carry.body_size);
    body[in.courier_carry.body_size] = '\0';
    message_init(&out, MSG_courier_brought, in.id);
    message_clear(&in);
    return channel;
}

static void bring(int channel, uint32_t status, const char *body) {
    out.courier_brought.status = status;
    copy_bytes(out.courier_brought.body, sizeof(out.courier_brought.body), body, strlen(body));
    out.courier_brought.body_size = (uint32_t)strlen(body);
    assert_int_equal(channel_send(channel, &out), VAULT_OK);
    close(channel);
}

/* Cosigns what the request brings. */
static void cosign(int channel, const char *body) {
    const char *note = strstr(body, "\n\n") + 2, *end = strstr(note, "\n\n") + 1;
    char text[CHECKPOINT_TEXT_MAX], line[COSIGNATURE_LINE_MAX];
    uint8_t bytes[4 + 8 + crypto_sign_BYTES];
    char encoded[sodium_base64_ENCODED_LEN(sizeof(bytes), sodium_base64_VARIANT_ORIGINAL)];
    uint64_t time = monitor_time(&m) / 1000000;
    assert_true(format_string(text, sizeof(text), "cosignature/v1\ntime %llu\n%.*s", (unsigned long long)time,
                              (int)(end - note), note));
    copy_bytes(bytes, sizeof(bytes), key_id, sizeof(key_id));
    put_be64(bytes + 4, time);
    crypto_sign_detached(bytes + 12, NULL, (const uint8_t *)text, strlen(text), secret_key);
    sodium_bin2base64(encoded, sizeof(encoded), bytes, sizeof(bytes), sodium_base64_VARIANT_ORIGINAL);
    assert_true(format_string(line, sizeof(line), "\u2014 " NAME " %s\n", encoded));
    bring(channel, 200, line);
    turns(3);
}

static json_t *told(void) {
    json_t *json = witnesses_json(&m);
    json_t *each = json_incref(json_array_get(json_object_get(json, "each"), 0));
    json_decref(json);
    return each;
}

static bool has_problem(const char *words) {
    json_t *each = told();
    const char *problem = json_string_value(json_object_get(each, "problem"));
    bool found = problem != NULL && strstr(problem, words) != NULL;
    json_decref(each);
    return found;
}

static void want_checkpoint(void) {
    (void)request(&root, MSG_audit_checkpoint);
    assert_int_equal(ask_status(&root), 200);
}

static void be_cosigned(void) {
    char body[WITNESS_REQUEST_MAX + 1];
    int channel = asked(body);
    assert_true(channel >= 0);
    cosign(channel, body);
    assert_true(witnesses_last(&m) != 0);
}

/* ---- tests ---- */

static void a_head_is_brought_with_the_proof_that_it_continues(void **state) {
    char body[WITNESS_REQUEST_MAX + 1];
    (void)state;
    int channel = asked(body);
    assert_true(channel >= 0);
    assert_memory_equal(body, "old 0\n\n" ORIGIN "\n", strlen("old 0\n\n" ORIGIN "\n"));
    cosign(channel, body);
    uint64_t size = m.tree.size;
    want_checkpoint();
    channel = asked(body);
    assert_true(channel >= 0);
    char begin[40];
    assert_true(format_string(begin, sizeof(begin), "old %llu\n", (unsigned long long)size));
    assert_true(strtoull(body + 4, NULL, 10) <= size && strtoull(body + 4, NULL, 10) > 0);
    cosign(channel, body);
    json_t *witnessed = witnessed_json(&m);
    assert_int_equal(json_integer_value(json_object_get(witnessed, "size")), (json_int_t)m.tree.size);
    json_decref(witnessed);
}

static void damage_nodes(void) {
    static const char noise[] = "this was never sealed for this place";
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    while (index_next(m.index, DB_LEAVES, NULL, 0, key, size, key, &size) == VAULT_OK)
        assert_int_equal(index_put(m.index, DB_LEAVES, key, size, noise, sizeof(noise)), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static unsigned drops;

/* A dropped batch opens the index anew. */
static void count_drops(const struct index *before) {
    drops += m.index != before;
}

static void a_damaged_node_costs_the_word_of_a_witness_and_no_batch(void **state) {
    (void)state;
    be_cosigned();
    damage_nodes();
    want_checkpoint();
    drops = 0;
    for (unsigned n = 0; n < 50; n++) {
        const struct index *before = m.index;
        turn();
        count_drops(before);
    }
    assert_int_equal(drops, 0);
    assert_true(has_problem("no proof can be made"));
    assert_int_equal(supervisor_heard().courier_id, 0);
    make_subject("after");
}

static void a_doubt_outlives_a_dropped_batch(void **state) {
    char body[WITNESS_REQUEST_MAX + 1];
    (void)state;
    be_cosigned();
    want_checkpoint();
    int channel = asked(body);
    assert_true(channel >= 0);
    bring(channel, 409, "1000000\n");
    turn_without_writing();
    assert_true(witnesses_doubt(&m));
    turns(5);
    assert_int_equal(m.meta.doubted, 1);
    assert_memory_equal(m.meta.doubter, public_key, sizeof(public_key));
    assert_true(has_problem("has seen 1000000 records"));
    rig_stop();
    assert_true(rig_start_unsealed());
    assert_int_equal(m.meta.doubted, 1);
}

static void an_answer_that_nobody_waits_for_is_none(void **state) {
    char body[WITNESS_REQUEST_MAX + 1];
    (void)state;
    int channel = asked(body);
    assert_true(channel >= 0);
    (void)request(&root, MSG_seal);
    send_now(&root);
    turns(5);
    supervisor_ends_sealed();
    turns(3);
    out.courier_brought.status = 409;
    (void)channel_send(channel, &out);
    close(channel);
    turns(3);
    assert_false(witnesses_doubt(&m));
}

#define VAULT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        VAULT(a_head_is_brought_with_the_proof_that_it_continues),
        VAULT(a_damaged_node_costs_the_word_of_a_witness_and_no_batch),
        VAULT(a_doubt_outlives_a_dropped_batch),
        VAULT(an_answer_that_nobody_waits_for_is_none),
    };
    log_start("test");
    signal(SIGXFSZ, SIG_IGN);
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
