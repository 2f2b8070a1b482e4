/* The seal by a token: what the monitor asks, what it believes, and when it has keys destroyed. The test is the token:
 * it wraps a root key by keeping it. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"

static struct message in, out;
static uint8_t kept_root[SECRET_KEY_SIZE]; /* of the last wrap */
static uint8_t kept_key[TOKEN_KEY_ID];
static uint8_t last;

static int set_up(void **state) {
    rig_token = true;
    return vault_set_up(state);
}

static int tear_down(void **state) {
    rig_token = false;
    message_clear(&in);
    return rig_tear_down(state);
}

/* The sweep that follows an unseal or a change. */
static void sweep(const uint8_t *keep) {
    static const uint8_t none[TOKEN_KEY_ID];
    turns(2);
    struct heard h = supervisor_heard();
    assert_true(h.token_id != 0 && h.token_by_itself);
    int token = supervisor_token(h.token_id);
    message_clear(&in);
    assert_int_equal(channel_receive(token, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_token_sweep);
    assert_memory_equal(in.token_sweep.vault, keyring_vault_id(m.keyring), ID_SIZE);
    assert_memory_equal(in.token_sweep.keep, keep == NULL ? none : keep, TOKEN_KEY_ID);
    message_init(&out, MSG_token_swept, in.id);
    assert_int_equal(channel_send(token, &out), VAULT_OK);
    turn();
    close(token);
    assert_int_equal(supervisor_heard().token_id, 0);
}

/* Asks for a seal by the token; the token's end of the channel, with the task in `in`. */
static int ask_seal(void) {
    struct message *q = request(&root, MSG_seal_change);
    copy_string(q->seal_change.by, sizeof(q->seal_change.by), "token");
    send_now(&root);
    turn();
    struct heard h = supervisor_heard();
    assert_true(h.token_id != 0 && !h.token_by_itself);
    int token = supervisor_token(h.token_id);
    message_clear(&in);
    assert_int_equal(channel_receive(token, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_token_wrap);
    return token;
}

/* Wraps as a token would; `vault`: of whom the key is said to be. */
static void answer_wrap(int token, const uint8_t vault[ID_SIZE]) {
    copy_bytes(kept_root, sizeof(kept_root), secret_view(in.token_wrap.root), SECRET_KEY_SIZE);
    message_init(&out, MSG_token_wrapped, in.id);
    copy_bytes(out.token_wrapped.key, TOKEN_KEY_ID, vault, ID_SIZE);
    out.token_wrapped.key[ID_SIZE] = ++last;
    COPY_ARRAY(kept_key, out.token_wrapped.key);
    assert_int_equal(channel_send(token, &out), VAULT_OK);
    turn();
    close(token);
}

static void seal_by_the_token(void) {
    int token = ask_seal();
    answer_wrap(token, keyring_vault_id(m.keyring));
    assert_int_equal(status_of(received(&root)), 200);
    assert_int_equal(keyring_seal(m.keyring)->kind, SEAL_BY_TOKEN);
}

/* Starts, and gives the root key; whether the vault is open. */
static bool start_with(const uint8_t root_key[SECRET_KEY_SIZE]) {
    uint8_t copy[SECRET_KEY_SIZE];
    rig_start(false);
    struct heard h = supervisor_heard();
    assert_true(h.token_id != 0 && h.token_by_itself && h.wanted == 0);
    int token = supervisor_token(h.token_id);
    message_clear(&in);
    assert_int_equal(channel_receive(token, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_token_unwrap);
    assert_memory_equal(in.token_unwrap.key, kept_key, TOKEN_KEY_ID);
    message_init(&out, MSG_token_unwrapped, in.id);
    copy_bytes(copy, sizeof(copy), root_key, SECRET_KEY_SIZE);
    assert_int_equal(secret_take(&out.token_unwrapped.root, copy, sizeof(copy)), VAULT_OK);
    assert_int_equal(channel_send(token, &out), VAULT_OK);
    message_clear(&out);
    turn();
    close(token);
    return m.seal == SEAL_UNSEALED;
}

/* ---- tests ---- */

static void token_opens_at_a_start_what_it_sealed(void **state) {
    (void)state;
    seal_by_the_token();
    sweep(kept_key);
    rig_stop();
    assert_true(start_with(kept_root));
    sweep(kept_key);
    assert_int_equal(audit_count("\"event\":\"vault.unseal\"", "by the token, key", NULL), 1);
}

static void root_key_that_does_not_open_the_ring_leaves_it_closed(void **state) {
    uint8_t wrong[SECRET_KEY_SIZE] = {1};
    (void)state;
    seal_by_the_token();
    rig_stop();
    assert_false(start_with(wrong));
    turns(3);
    assert_int_equal(supervisor_heard().token_id, 0); /* neither a sweep nor another try */
    rig_stop();
    assert_true(start_with(kept_root));
}

static void vault_serves_while_the_token_works(void **state) {
    (void)state;
    int token = ask_seal();
    struct peer other = peer_unix(0);
    request(&other, MSG_subject_list);
    assert_int_equal(ask_status(&other), 200);
    struct message *q = request(&other, MSG_seal_change);
    copy_string(q->seal_change.by, sizeof(q->seal_change.by), "credential");
    assert_int_equal(ask_status(&other), 409);
    answer_wrap(token, keyring_vault_id(m.keyring));
    assert_int_equal(status_of(received(&root)), 200);
    peer_end(&other);
}

static void assert_refused(const char *rule) {
    struct message *answer = received(&root);
    assert_int_equal(status_of(answer), 503);
    assert_true(says(answer, rule));
    assert_int_equal(keyring_seal(m.keyring)->kind, SEAL_BY_CREDENTIAL);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(keyring_epoch(m.keyring), m.meta.epoch);
    assert_int_equal(audit_count("\"event\":\"seal.change\"", "\"failed\"", rule, NULL), 1);
}

static void key_of_another_vault_is_nonsense(void **state) {
    static const uint8_t other[ID_SIZE] = "another vault's";
    (void)state;
    int token = ask_seal();
    answer_wrap(token, other);
    assert_refused("token-nonsense");
}

static void answer_to_another_task_is_nonsense(void **state) {
    (void)state;
    int token = ask_seal();
    message_init(&out, MSG_token_swept, in.id);
    assert_int_equal(channel_send(token, &out), VAULT_OK);
    turn();
    close(token);
    assert_refused("token-nonsense");
}

static void bytes_that_are_no_message_are_nonsense(void **state) {
    (void)state;
    int token = ask_seal();
    assert_int_equal(write(token, "x", 1), 1);
    turn();
    close(token);
    assert_refused("token-nonsense");
}

static void refusal_that_nobody_knows_is_nonsense(void **state) {
    (void)state;
    int token = ask_seal();
    message_init(&out, MSG_token_refused, in.id);
    out.token_refused.why = 200;
    assert_int_equal(channel_send(token, &out), VAULT_OK);
    turn();
    close(token);
    assert_refused("token-nonsense");
}

static void death_of_the_token_is_told_by_the_supervisor(void **state) {
    (void)state;
    int token = ask_seal();
    uint64_t id = in.id;
    close(token);
    turns(3);
    assert_null(received(&root));
    supervisor_token_gone(id + 1, "token-crashed"); /* of no task that there is */
    assert_null(received(&root));
    supervisor_token_gone(id, "token-crashed");
    assert_refused("token-crashed");
}

static void answer_that_came_before_its_death_counts(void **state) {
    (void)state;
    int token = ask_seal();
    uint64_t id = in.id;
    copy_bytes(kept_root, sizeof(kept_root), secret_view(in.token_wrap.root), SECRET_KEY_SIZE);
    message_init(&out, MSG_token_wrapped, id);
    copy_bytes(out.token_wrapped.key, TOKEN_KEY_ID, keyring_vault_id(m.keyring), ID_SIZE);
    assert_int_equal(channel_send(token, &out), VAULT_OK);
    close(token);
    supervisor_token_gone(id, "token-crashed"); /* both are there when the monitor looks */
    assert_int_equal(status_of(received(&root)), 200);
    assert_int_equal(keyring_seal(m.keyring)->kind, SEAL_BY_TOKEN);
}

static void token_that_cannot_be_started_is_told(void **state) {
    (void)state;
    struct message *q = request(&root, MSG_seal_change);
    copy_string(q->seal_change.by, sizeof(q->seal_change.by), "token");
    send_now(&root);
    turn();
    supervisor_no_token(supervisor_heard().token_id, "token-not-configured");
    assert_refused("token-not-configured");
}

static void vault_that_was_sealed_meanwhile_keeps_its_seal(void **state) {
    (void)state;
    int token = ask_seal();
    struct peer other = peer_unix(0);
    uint8_t vault[ID_SIZE];
    copy_bytes(vault, sizeof(vault), keyring_vault_id(m.keyring), ID_SIZE);
    request(&other, MSG_seal);
    send_now(&other);
    turn();
    answer_wrap(token, vault);
    turns(3);
    assert_int_equal(status_of(received(&root)), 423);
    supervisor_ends_sealed(); /* who asked for the token among them */
    assert_int_equal(status_of(received(&other)), 200);
    close(root.channel);
    root = peer_unix(0);
    assert_int_equal(supervisor_heard().token_id, 0); /* nothing is swept while nobody knows what is in force */
    request(&other, MSG_unseal);
    send_now(&other);
    turn();
    supervisor_credential("root.key");
    assert_int_equal(status_of(received(&other)), 200);
    sweep(NULL);
    peer_end(&other);
}

static void key_before_is_swept_after_the_index_has_followed(void **state) {
    (void)state;
    seal_by_the_token();
    sweep(kept_key);
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "root");
    send_now(&root);
    turn();
    int token = supervisor_token(supervisor_heard().token_id);
    message_clear(&in);
    assert_int_equal(channel_receive(token, &in), VAULT_OK);
    turns(3);
    assert_int_equal(supervisor_heard().token_id, 0);
    answer_wrap(token, keyring_vault_id(m.keyring));
    assert_int_equal(status_of(received(&root)), 200); /* durable */
    sweep(kept_key);
}

static int set_up_unborn(void **state) {
    rig_token = true;
    rig_set_up(state);
    rig_start(false);
    return 0;
}

/* Asks for a vault by the token; the token's end, with the task in `in`. */
static int ask_birth(void) {
    struct message *q = request(&root, MSG_init);
    copy_string(q->init.by, sizeof(q->init.by), "token");
    send_now(&root);
    turn();
    int token = supervisor_token(supervisor_heard().token_id);
    message_clear(&in);
    assert_int_equal(channel_receive(token, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_token_wrap);
    assert_int_equal(m.seal, SEAL_UNINITIALISED);
    return token;
}

static void vault_is_born_by_the_token(void **state) {
    uint8_t vault[ID_SIZE];
    (void)state;
    int token = ask_birth();
    COPY_ARRAY(vault, in.token_wrap.vault);
    answer_wrap(token, vault);
    assert_int_equal(status_of(received(&root)), 201);
    assert_memory_equal(keyring_vault_id(m.keyring), vault, ID_SIZE);
    rig_stop();
    assert_true(start_with(kept_root));
}

static void refused_birth_leaves_nothing(void **state) {
    (void)state;
    int token = ask_birth();
    supervisor_token_gone(in.id, "token-timeout");
    close(token);
    struct message *answer = received(&root);
    assert_int_equal(status_of(answer), 423);
    assert_true(says(answer, "token-timeout"));
    assert_int_equal(m.seal, SEAL_UNINITIALISED);
    assert_false(keyring_exists(&m.place));
    turns(2);
    assert_int_equal(supervisor_heard().token_id, 0);
}

static void key_of_a_birth_that_failed_is_destroyed(void **state) {
    uint8_t vault[ID_SIZE];
    static const uint8_t none[TOKEN_KEY_ID];
    char removed[] = "/tmp/vault-twin.XXXXXX";
    int directory = m.place.twin_directory;
    (void)state;
    assert_non_null(mkdtemp(removed));
    int gone = open(removed, O_RDONLY | O_DIRECTORY);
    assert_true(gone >= 0 && rmdir(removed) == 0);
    int token = ask_birth();
    COPY_ARRAY(vault, in.token_wrap.vault);
    m.place.twin_directory = gone; /* nothing can be made in it */
    answer_wrap(token, vault);
    m.place.twin_directory = directory;
    close(gone);
    assert_int_equal(status_of(received(&root)), 423);
    token = supervisor_token(supervisor_heard().token_id);
    message_clear(&in);
    assert_int_equal(channel_receive(token, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_token_sweep);
    assert_memory_equal(in.token_sweep.vault, vault, ID_SIZE);
    assert_memory_equal(in.token_sweep.keep, none, TOKEN_KEY_ID);
    close(token);
}

static void sweep_waits_for_ring_and_index_to_agree(void **state) {
    (void)state;
    token_sweep_later(&m);
    m.meta.intent = INTENT_RESEAL;
    turns(3);
    assert_int_equal(supervisor_heard().token_id, 0);
    m.meta.intent = INTENT_NONE;
    m.meta.epoch++;
    turns(3);
    assert_int_equal(supervisor_heard().token_id, 0);
    m.meta.epoch--;
    sweep(NULL);
}

#define TOKEN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define BIRTH(test) cmocka_unit_test_setup_teardown(test, set_up_unborn, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOKEN(token_opens_at_a_start_what_it_sealed),
        TOKEN(root_key_that_does_not_open_the_ring_leaves_it_closed),
        TOKEN(vault_serves_while_the_token_works),
        TOKEN(key_of_another_vault_is_nonsense),
        TOKEN(answer_to_another_task_is_nonsense),
        TOKEN(bytes_that_are_no_message_are_nonsense),
        TOKEN(refusal_that_nobody_knows_is_nonsense),
        TOKEN(death_of_the_token_is_told_by_the_supervisor),
        TOKEN(answer_that_came_before_its_death_counts),
        TOKEN(token_that_cannot_be_started_is_told),
        TOKEN(vault_that_was_sealed_meanwhile_keeps_its_seal),
        TOKEN(key_before_is_swept_after_the_index_has_followed),
        BIRTH(vault_is_born_by_the_token),
        BIRTH(refused_birth_leaves_nothing),
        BIRTH(key_of_a_birth_that_failed_is_destroyed),
        TOKEN(sweep_waits_for_ring_and_index_to_agree),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
