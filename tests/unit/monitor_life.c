/* Birth, seal, and what a start finds: nothing is opened that does not belong together, nothing is left half done. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"

enum { MEGABYTE = 1 << 20 };

/* ---- after a crash ---- */

/* What the child leaves to its parent. */
struct left {
    uint8_t request[ID_SIZE];
    struct deposit unfinished;
    uint64_t records;
};

/* A vault with a published file, a reader, and a deposit under way, which is killed. */
static void live_and_die(struct left *left) {
    uint8_t file[ID_SIZE];
    rig_start(false);
    make_vault();
    make_world();
    struct peer depositor = peer_tls(SAN_OF("depositor")), clinic = peer_tls(SAN_OF("clinic"));
    deposit_file(&depositor, "S-1", "genome.cram", 9 * MEGABYTE, 1, file);
    struct msg_grant g = open_file(&clinic, file);
    COPY_ARRAY(left->request, g.request);
    left->unfinished = deposit_begin(&depositor, "S-1", "other.cram");
    deposit_announce(&depositor, &left->unfinished, 9 * MEGABYTE);
    page_request(&depositor, &left->unfinished, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    left->records = m.tree.size;
    raise(SIGKILL);
}

static void killed_vault_closes_what_was_open(void **state) {
    int how = 0;
    uint8_t removed[8][HASH_SIZE];
    (void)state;
    struct left *left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(left != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        live_and_die(left);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);

    assert_true(rig_start_unsealed());
    assert_int_equal(store_removes(removed, 8), left->unfinished.page.count); /* and none of the published file */
    for (size_t n = 0; n < left->unfinished.page.count; n++) {
        bool found = false;
        for (size_t k = 0; k < left->unfinished.page.count; k++)
            found |= memcmp(removed[k], left->unfinished.page.chunks[n].address, HASH_SIZE) == 0;
        assert_true(found);
    }
    assert_int_equal(m.tree.size, left->records + 4); /* both closings, the unseal, the check of the index */
    assert_int_equal(audit_count("\"event\":\"read.close\"", "\"interrupted\"", "\"bytes\":9437184", NULL), 1);
    assert_int_equal(audit_count("\"event\":\"deposit.close\"", "\"interrupted\"", NULL), 1);
    COPY_ARRAY(request(&root, MSG_request_show)->request_show.wanted, left->request);
    struct message *answer = ask(&root);
    assert_true(says(answer, "\"state\":\"ended\""));
    assert_int_equal(m.meta.files, 1);
    munmap(left, sizeof(*left));
    rig_stop(); /* once more: nothing is left to close */
    assert_true(rig_start_unsealed());
    assert_int_equal(store_removes(NULL, 0), 0);
    assert_int_equal(audit_count("\"interrupted\"", NULL), 2);
}

/* ---- sealed ---- */

static void sealed_vault_answers_423_to_all_but_status_and_unseal(void **state) {
    (void)state;
    rig_stop();
    rig_start(true);
    struct peer remote = peer_tls(SAN_OF("clinic"));
    for (unsigned type = MSG_open; type <= MSG_scrub_show; type++) {
        bool asked = (type >= MSG_status && type != MSG_unseal && type != MSG_init && type != MSG_block) ||
                     (type >= MSG_open && type <= MSG_refusal && type != MSG_grant && type != MSG_page &&
                      type != MSG_revoke && type != MSG_revoked && type != MSG_upload && type != MSG_put_token);
        if (!asked || message_layout(type) == NULL)
            continue;
        request(&root, type);
        assert_int_equal(ask_status(&root), type == MSG_status ? 200 : 423);
        request(&remote, type);
        assert_int_equal(ask_status(&remote), type == MSG_status ? 200 : 423);
    }
    request(&remote, MSG_unseal);
    assert_int_equal(ask_status(&remote), 423);
    request(&remote, MSG_init);
    assert_int_equal(ask_status(&remote), 423);
    assert_int_equal(supervisor_heard().killed, 0);
    close(remote.channel);
}

static void seal_wipes_the_keys_and_ends_the_other_workers(void **state) {
    (void)state;
    struct peer clinic = peer_tls(SAN_OF("clinic"));
    (void)supervisor_heard();
    request(&root, MSG_seal);
    send_now(&root);
    turns(3);
    assert_null(received(&root)); /* the clinic's worker may have a key */
    assert_null(m.keyring);
    assert_null(m.index);
    assert_null(m.root);
    struct heard h = supervisor_heard();
    assert_int_equal(h.killed, 1);
    assert_int_equal(h.last_killed, clinic.number);
    assert_int_equal(h.why, WORKER_SEALED);
    assert_int_equal(h.seal, SEAL_SEALED);
    assert_int_equal(h.by_operator, 1);
    supervisor_ends_sealed();
    struct message *answer = received(&root);
    assert_non_null(answer);
    assert_int_equal(status_of(answer), 200);
    request(&root, MSG_subject_list);
    assert_int_equal(ask_status(&root), 423);
    close(clinic.channel);
}

static unsigned unseal_with(const char *key, const char *problem) {
    request(&root, MSG_unseal);
    send_now(&root);
    turn();
    supervisor_credential(key);
    struct message *answer = received(&root);
    assert_non_null(answer);
    if (problem != NULL)
        assert_true(says(answer, problem));
    return status_of(answer);
}

static void operators_seal_is_honoured_at_restart(void **state) {
    (void)state;
    rig_stop();
    rig_start(true);
    struct heard h = supervisor_heard();
    assert_int_equal(h.wanted, 0);
    assert_int_equal(h.ready, 1);
    assert_int_equal(h.seal, SEAL_SEALED);
    assert_int_equal(h.by_operator, 1);
    assert_int_equal(unseal_with("root.key", NULL), 200);
    h = supervisor_heard();
    assert_int_equal(h.seal, SEAL_UNSEALED);
    assert_int_equal(h.by_operator, 0);
}

static void restart_unseals_without_being_asked(void **state) {
    (void)state;
    rig_stop();
    rig_start(false);
    assert_int_equal(supervisor_heard().wanted, 1);
    supervisor_credential("root.key");
    struct heard h = supervisor_heard();
    assert_int_equal(h.seal, SEAL_UNSEALED);
    assert_int_equal(h.ready, 1);
}

static void second_init_is_409(void **state) {
    (void)state;
    request(&root, MSG_init);
    assert_int_equal(ask_status(&root), 409);
    request(&root, MSG_seal);
    assert_int_equal(ask_status(&root), 200);
    request(&root, MSG_init);
    assert_int_equal(ask_status(&root), 409);
}

static void init_beside_an_index_without_ring_is_409(void **state) {
    char path[128];
    (void)state;
    rig_stop();
    assert_true(format_string(path, sizeof(path), "%s/state/keyring", rig_folder()));
    assert_int_equal(unlink(path), 0);
    assert_true(format_string(path, sizeof(path), "%s/twin/keyring.twin", rig_folder()));
    assert_int_equal(unlink(path), 0);
    rig_start(false);
    request(&root, MSG_init);
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 409);
    assert_true(says(answer, "index-without-keyring"));
}

static void unseal_with_a_bad_key_stays_sealed(void **state) {
    char path[128];
    (void)state;
    rig_stop();
    rig_start(true);
    (void)supervisor_heard();
    assert_int_equal(unseal_with("other.key", "not sealed under this root key"), 423);
    assert_int_equal(unseal_with(NULL, "There is no root key."), 423);
    assert_true(format_string(path, sizeof(path), "%s/other.key", rig_folder()));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(unseal_with("other.key", "may be read by group or others"), 423);
    assert_int_equal(m.seal, SEAL_SEALED);
    assert_null(m.root);
    assert_false(m.stop);
    assert_int_equal(m.exit_status, 0);
    struct heard h = supervisor_heard();
    assert_int_equal(h.seal, SEAL_SEALED);
    assert_int_equal(unseal_with("root.key", NULL), 200);
}

static void second_unseal_while_one_is_under_way_is_409(void **state) {
    (void)state;
    rig_stop();
    rig_start(true);
    struct peer second = peer_unix(0);
    request(&root, MSG_unseal);
    send_now(&root);
    turn();
    request(&second, MSG_unseal);
    assert_int_equal(ask_status(&second), 409);
    supervisor_credential("root.key");
    assert_int_equal(status_of(received(&root)), 200);
    close(second.channel);
}

/* ---- ring and index ---- */

static struct keyring_place place_of(void) {
    char path[128];
    struct keyring_place place = {.name = "keyring", .twin_name = "keyring.twin"};
    assert_true(format_string(path, sizeof(path), "%s/state", rig_folder()));
    place.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(format_string(path, sizeof(path), "%s/twin", rig_folder()));
    place.twin_directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return place;
}

static struct secret *credential(void) {
    char path[128];
    struct secret *secret = NULL;
    assert_true(format_string(path, sizeof(path), "%s/root.key", rig_folder()));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(root_key_read(fd, &secret), VAULT_OK);
    close(fd);
    return secret;
}

static struct keyring *ring_on_disk(const struct keyring_place *place, const struct secret *key,
                                    struct secret **ret_root) {
    struct keyring *ring = NULL;
    struct seal seal;
    uint8_t vault[KEYRING_ID];
    bool repaired = false;
    assert_int_equal(keyring_peek(place, &seal, vault), VAULT_OK);
    assert_int_equal(seal_open(&seal, key, vault, ret_root), VAULT_OK);
    assert_int_equal(keyring_load(place, *ret_root, &ring, &repaired), VAULT_OK);
    return ring;
}

/* A ring of another vault that the same credential opens. */
static struct keyring *foreign_ring(const struct secret *key, struct secret **ret_root) {
    struct keyring *ring = NULL;
    struct seal seal;
    assert_int_equal(keyring_new(false, &ring), VAULT_OK);
    assert_int_equal(secret_random(ret_root, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(seal_by_credential(key, keyring_vault_id(ring), *ret_root, &seal), VAULT_OK);
    assert_int_equal(keyring_set_seal(ring, &seal), VAULT_OK);
    return ring;
}

/* Under a new root key, as a change of the seal leaves it. */
static void reseal(struct keyring *ring, const struct secret *key, struct secret **root_key) {
    struct seal seal;
    secret_free(root_key);
    assert_int_equal(secret_random(root_key, SECRET_KEY_SIZE), VAULT_OK);
    assert_int_equal(seal_again(keyring_seal(ring), key, keyring_vault_id(ring), *root_key, &seal), VAULT_OK);
    assert_int_equal(keyring_set_seal(ring, &seal), VAULT_OK);
}

/* With the vault stopped: a ring of another vault, or this ring a generation or a seal ahead. */
enum other_ring { OF_ANOTHER_VAULT, GENERATION_AHEAD, SEAL_AHEAD };
static void replace_ring(enum other_ring other) {
    struct keyring_place place = place_of();
    CLEANUP_SECRET struct secret *key = credential();
    CLEANUP_SECRET struct secret *root_key = NULL;
    struct keyring *ring =
        other == OF_ANOTHER_VAULT ? foreign_ring(key, &root_key) : ring_on_disk(&place, key, &root_key);
    if (other == GENERATION_AHEAD)
        assert_int_equal(keyring_add_generation(ring), VAULT_OK);
    if (other == SEAL_AHEAD)
        reseal(ring, key, &root_key);
    assert_int_equal(keyring_store(ring, &place, root_key), VAULT_OK);
    keyring_free(&ring);
    close(place.directory);
    close(place.twin_directory);
}

static void set_intent(enum meta_intent intent) {
    assert_int_equal(batch_begin(&m), VAULT_OK);
    m.meta.intent = (uint8_t)intent;
    assert_int_equal(meta_store(&m), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static void refused_with(const char *problem) {
    rig_start(true);
    assert_int_equal(unseal_with("root.key", problem), 423);
    assert_int_equal(m.seal, SEAL_SEALED);
    assert_null(m.index);
    assert_null(m.keyring);
}

static void ring_of_another_vault_is_refused(void **state) {
    (void)state;
    rig_stop();
    replace_ring(OF_ANOTHER_VAULT);
    refused_with("does not open with this key ring");
}

static void ring_ahead_with_intent_is_finished(void **state) {
    (void)state;
    set_intent(INTENT_ADD_GENERATION);
    rig_stop();
    replace_ring(GENERATION_AHEAD);
    assert_true(rig_start_unsealed());
    turns(4);
    assert_int_equal(m.meta.generation, 2);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(m.meta.epoch, keyring_epoch(m.keyring));
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", NULL), 1);
}

static void ring_under_a_new_seal_with_intent_is_finished(void **state) {
    (void)state;
    set_intent(INTENT_RESEAL);
    rig_stop();
    replace_ring(SEAL_AHEAD);
    assert_true(rig_start_unsealed());
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(m.meta.epoch, keyring_epoch(m.keyring));
    assert_int_equal(audit_count("\"event\":\"seal.change\"", NULL), 1);
}

static void ring_ahead_without_intent_is_refused(void **state) {
    (void)state;
    rig_stop();
    replace_ring(GENERATION_AHEAD);
    refused_with("The index is older than the key ring.");
}

static void ring_under_a_new_seal_without_intent_is_refused(void **state) {
    (void)state;
    rig_stop();
    replace_ring(SEAL_AHEAD);
    refused_with("The index is older than the key ring.");
}

static void reseal_that_never_came_to_the_ring_is_dropped(void **state) {
    (void)state;
    set_intent(INTENT_RESEAL);
    rig_stop();
    assert_true(rig_start_unsealed());
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"seal.change\"", NULL), 0);
}

static void intent_that_never_came_to_the_ring_is_dropped(void **state) {
    (void)state;
    set_intent(INTENT_ADD_GENERATION);
    rig_stop();
    assert_true(rig_start_unsealed());
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(m.meta.generation, 1);
    rig_stop();
    replace_ring(GENERATION_AHEAD);
    refused_with("The index is older than the key ring.");
}

static size_t take_file(const char *name, char *bytes, size_t size, bool back) {
    char path[128];
    assert_true(format_string(path, sizeof(path), "%s/%s", rig_folder(), name));
    int fd = open(path, back ? O_WRONLY | O_TRUNC : O_RDONLY);
    ssize_t n = back ? write(fd, bytes, size) : read(fd, bytes, size);
    assert_true(fd >= 0 && n > 0);
    close(fd);
    return (size_t)n;
}

static void older_ring_is_refused(void **state) {
    static char ring[65536], twin[65536];
    (void)state;
    size_t n = take_file("state/keyring", ring, sizeof(ring), false);
    size_t k = take_file("twin/keyring.twin", twin, sizeof(twin), false);
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "kek");
    assert_int_equal(ask_status(&root), 202);
    rig_stop();
    take_file("state/keyring", ring, n, true);
    take_file("twin/keyring.twin", twin, k, true);
    refused_with("The key ring is older than the index.");
}

/* It only informs: the vault opens without it. */
static void damage_of_the_last_scrub_does_not_keep_it_sealed(void **state) {
    (void)state;
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(index_put(m.index, DB_META, "scrub", sizeof("scrub"), "x", 1), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    rig_stop();
    assert_true(rig_start_unsealed());
}

/* What a connection is known as is known by the index alone, also where nothing was ever changed in it. */
static void new_vault_knows_no_service(void **state) {
    (void)state;
    rig_start(false);
    struct peer early = peer_tls(SAN_OF("clinic"));
    make_vault();
    struct peer late = peer_tls("urn:nobody");
    struct peer *const both[] = {&early, &late};
    for (size_t i = 0; i < 2; i++) {
        request(both[i], MSG_audit_tail)->audit_tail.count = 1;
        assert_int_equal(ask_status(both[i]), 401);
        peer_end(both[i]);
    }
}

#define VAULT(test) cmocka_unit_test_setup_teardown(test, vault_set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_vault_closes_what_was_open, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(new_vault_knows_no_service, rig_set_up, rig_tear_down),
        VAULT(sealed_vault_answers_423_to_all_but_status_and_unseal),
        VAULT(seal_wipes_the_keys_and_ends_the_other_workers),
        VAULT(operators_seal_is_honoured_at_restart),
        VAULT(restart_unseals_without_being_asked),
        VAULT(second_init_is_409),
        VAULT(init_beside_an_index_without_ring_is_409),
        VAULT(unseal_with_a_bad_key_stays_sealed),
        VAULT(second_unseal_while_one_is_under_way_is_409),
        VAULT(ring_of_another_vault_is_refused),
        VAULT(ring_ahead_with_intent_is_finished),
        VAULT(ring_ahead_without_intent_is_refused),
        VAULT(ring_under_a_new_seal_with_intent_is_finished),
        VAULT(ring_under_a_new_seal_without_intent_is_refused),
        VAULT(reseal_that_never_came_to_the_ring_is_dropped),
        VAULT(intent_that_never_came_to_the_ring_is_dropped),
        VAULT(older_ring_is_refused),
        VAULT(damage_of_the_last_scrub_does_not_keep_it_sealed),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
