/* Other keys for the audit and for the index, while the vault serves, and what deaths on the way leave. */
#include "monitor_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vault/checkpoint.h"
#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/ring.h"

static unsigned rotate(const char *what) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), what);
    return ask_status(&root);
}

/* A folder in which nothing can be made, in the place of one of those of the ring's copies: its store fails there. */
static int lost_folder(void) {
    char name[] = "/tmp/vault-lost.XXXXXX";
    assert_non_null(mkdtemp(name));
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0 && rmdir(name) == 0);
    return fd;
}

/* The monitor ends at the store of the ring, before (`first`) or after its first copy was replaced. */
static void rotate_and_die(const char *what, bool first) {
    int *place = first ? &m.place.directory : &m.place.twin_directory;
    int whole = *place;
    *place = lost_folder();
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), what);
    send_now(&root);
    turns(3);
    assert_null(received(&root));
    assert_true(m.stop);
    assert_int_equal(m.exit_status, 74);
    close(*place);
    *place = whole;
    rig_stop();
    assert_true(rig_start_unsealed());
}

static void vkey_now(char ret[CHECKPOINT_VKEY_MAX]) {
    assert_int_equal(audit_key_vkey(&m, ret), VAULT_OK);
}

/* ---- the audit's key ---- */

static void checkpoint_is_signed_by(const char *vkey, bool expected) {
    struct checkpoint c;
    request(&root, MSG_audit_checkpoint);
    json_t *json = document_of(ask(&root));
    int result = checkpoint_verify(json_string_value(json_object_get(json, "checkpoint")), vkey, &c);
    assert_int_equal(result == VAULT_OK, expected);
    json_decref(json);
}

static void audit_key_is_changed_and_its_record_names_both(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    uint64_t number = m.tree.size, epoch = m.meta.epoch;
    assert_int_equal(rotate("audit"), 200);
    vkey_now(after);
    assert_string_not_equal(before, after);
    assert_int_equal(m.tree.size, number + 1);
    assert_int_equal(m.meta.epoch, epoch + 1);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", before, after, "\"from_signature\":", NULL), 1);
    checkpoint_is_signed_by(after, true);
    checkpoint_is_signed_by(before, false);
    request(&root, MSG_key_list);
    assert_true(says(ask(&root), after));
    rig_stop();
    assert_true(rig_start_unsealed());
    checkpoint_is_signed_by(after, true);
    assert_int_equal(rotate("audit"), 200);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 2);
}

static void death_before_the_ring_leaves_the_old_audit_key_and_no_record(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    rotate_and_die("audit", true);
    vkey_now(after);
    assert_string_equal(before, after);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 0);
    assert_int_equal(rotate("audit"), 200);
}

static void death_after_the_ring_leaves_the_new_audit_key_and_its_record(void **state) {
    char before[CHECKPOINT_VKEY_MAX], after[CHECKPOINT_VKEY_MAX];
    (void)state;
    vkey_now(before);
    rotate_and_die("audit", false);
    vkey_now(after);
    assert_string_not_equal(before, after);
    assert_int_equal(m.meta.intent, INTENT_NONE);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", before, after, "it was interrupted", NULL), 1);
    checkpoint_is_signed_by(after, true);
    assert_int_equal(rotate("audit"), 200);
}

/* Others' requests of the turn are recorded before, and the change's record is the next, as was signed. */
static void change_of_the_audit_key_shares_its_turn_with_others(void **state) {
    struct peer one = peer_unix(0), other = peer_unix(0);
    (void)state;
    request(&one, MSG_key_list);
    send_now(&one);
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "audit");
    send_now(&root);
    request(&other, MSG_key_list);
    send_now(&other);
    turns(2);
    assert_int_equal(status_of(received(&one)), 200);
    assert_int_equal(status_of(received(&root)), 200);
    assert_int_equal(status_of(received(&other)), 200);
    assert_int_equal(audit_count("\"event\":\"key.audit\"", NULL), 1);
    close(one.channel);
    close(other.channel);
}

#define KEYS(test) cmocka_unit_test_setup_teardown(test, vault_set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        KEYS(audit_key_is_changed_and_its_record_names_both),
        KEYS(death_before_the_ring_leaves_the_old_audit_key_and_no_record),
        KEYS(death_after_the_ring_leaves_the_new_audit_key_and_its_record),
        KEYS(change_of_the_audit_key_shares_its_turn_with_others),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
