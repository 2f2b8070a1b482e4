/* Backups as the monitor sees them: what it hands to the process, what it believes of it, and what it records. The test
 * is the process. */
#include "monitor_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/ring.h"

static struct message in, out;

static int set_up(void **state) {
    rig_backups = true;
    return vault_set_up(state);
}

static int tear_down(void **state) {
    rig_backups = false;
    message_clear(&in);
    return rig_tear_down(state);
}

static unsigned ask_backup(const char *name) {
    struct message *q = request(&root, MSG_backup);
    copy_string(q->backup.name, sizeof(q->backup.name), name);
    return ask_status(&root);
}

/* Has one begun; the process's end of the channel, with its task in `in`. */
static int begin(const char *name, uint64_t *ret_id) {
    assert_int_equal(ask_backup(name), 202);
    struct heard h = supervisor_heard();
    assert_true(h.backup_id != 0 && h.backup_task == BACKUP_COPY);
    *ret_id = h.backup_id;
    int process = supervisor_backup(h.backup_id);
    message_clear(&in);
    assert_int_equal(channel_receive(process, &in), VAULT_OK);
    assert_int_equal(in.type, MSG_backup_copy);
    return process;
}

static void say_copied(int process, uint32_t oldest, uint32_t newest) {
    message_init(&out, MSG_backup_copied, in.id);
    copy_string(out.backup_copied.name, sizeof(out.backup_copied.name), "b");
    out.backup_copied.oldest = oldest;
    out.backup_copied.newest = newest;
    assert_int_equal(channel_send(process, &out), VAULT_OK);
}

/* A whole backup that says this of itself. */
static void make(uint32_t oldest, uint32_t newest) {
    uint64_t id = 0;
    int process = begin("b", &id);
    say_copied(process, oldest, newest);
    close(process);
    supervisor_backup_gone(id, "");
    assert_int_equal(m.backup.state, BACKUP_TOLD);
}

static json_t *list(void) {
    request(&root, MSG_backup_list);
    struct message *answer = ask(&root);
    assert_int_equal(status_of(answer), 200);
    return document_of(answer);
}

/* A member of what the list says of the last one. */
static bool last_is(const char *member, const char *value) {
    json_t *all = list();
    const char *found = json_string_value(json_object_get(json_object_get(all, "last"), member));
    bool same = found != NULL && strcmp(found, value) == 0;
    json_decref(all);
    return same;
}

static size_t count_listed(void) {
    json_t *all = list();
    size_t n = json_array_size(json_object_get(all, "backups"));
    json_decref(all);
    return n;
}

static void process_gets_the_key_and_its_word_counts_when_it_is_dead(void **state) {
    uint64_t id = 0;
    (void)state;
    int process = begin("b", &id);
    assert_true(secret_equal(in.backup_copy.key, keyring_index_key(m.keyring)));
    assert_true(last_is("state", "running"));
    assert_int_equal(ask_backup("another"), 409);
    say_copied(process, 1, 1);
    turns(3);
    assert_int_equal(count_listed(), 0);
    supervisor_backup_gone(id, "");
    assert_int_equal(count_listed(), 1);
    assert_true(last_is("state", "done"));
    assert_int_equal(audit_count("\"backup.begin\"", "\"done\"", NULL), 1);
    assert_int_equal(audit_count("\"backup.made\"", "\"done\"", "unix:0", NULL), 1);
    close(process);
}

static void failure_is_named_and_recorded(void **state) {
    uint64_t id = 0;
    (void)state;
    static const struct {
        const char *channel, *gone, *rule;
        enum message_type said;
    } cases[] = {
        {"backup-name", NULL, "backup-name", 0},
        {NULL, "backup-crashed", "backup-crashed", 0},
        {NULL, "", "backup-nonsense", 0},
        {NULL, "", "backup-full", MSG_backup_refused},
        {NULL, "backup-crashed", "backup-full", MSG_backup_refused},
        {NULL, "", "backup-nonsense", MSG_backup_restored},
        {NULL, "", "backup-nonsense", MSG_status},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].channel != NULL) {
            assert_int_equal(ask_backup("b"), 202);
            supervisor_no_backup(supervisor_heard().backup_id, cases[i].channel);
            turns(2);
        } else {
            int process = begin("b", &id);
            message_init(&out, cases[i].said == 0 ? MSG_status : cases[i].said, in.id);
            if (cases[i].said == MSG_backup_refused) {
                copy_string(out.backup_refused.rule, sizeof(out.backup_refused.rule), "backup-full");
                copy_string(out.backup_refused.problem, sizeof(out.backup_refused.problem), "No room.");
            }
            if (cases[i].said != 0)
                assert_int_equal(channel_send(process, &out), VAULT_OK);
            close(process);
            supervisor_backup_gone(id, cases[i].gone);
        }
        assert_true(last_is("state", "failed"));
        assert_true(last_is("rule", cases[i].rule));
        assert_int_equal(audit_count("\"backup.made\"", "\"failed\"", NULL), i + 1);
    }
    assert_int_equal(count_listed(), 0);
    assert_false(m.stop);
}

/* Killed while its channel was on the way here: why it ended is for the supervisor to say. */
static void death_before_the_task_is_named_as_any_other(void **state) {
    (void)state;
    assert_int_equal(ask_backup("b"), 202);
    uint64_t id = supervisor_heard().backup_id;
    supervisor_backup_died_before(id);
    assert_true(last_is("state", "running"));
    supervisor_backup_gone(id, "backup-crashed");
    assert_true(last_is("state", "failed"));
    assert_true(last_is("rule", "backup-crashed"));
    assert_int_equal(audit_count("\"backup.made\"", "\"failed\"", NULL), 1);
}

static void words_of_another_time_are_not_heard(void **state) {
    uint64_t id = 0;
    (void)state;
    int process = begin("b", &id);
    supervisor_backup_gone(id - 1, "backup-crashed");
    supervisor_backup_gone(id + 1, "backup-crashed");
    close(supervisor_backup(id)); /* a second channel */
    assert_true(last_is("state", "running"));
    say_copied(process, 1, 1);
    supervisor_backup_gone(id, "");
    supervisor_backup_gone(id, "backup-crashed");
    assert_true(last_is("state", "done"));
    close(process);
}

static void sealing_is_answered_when_the_process_is_dead(void **state) {
    uint64_t id = 0;
    (void)state;
    int process = begin("b", &id);
    request(&root, MSG_seal);
    send_now(&root);
    turns(5);
    assert_int_equal(supervisor_heard().seal, SEAL_SEALED);
    assert_null(received(&root));
    supervisor_backup_gone(id, "backup-crashed");
    turn();
    assert_int_equal(status_of(received(&root)), 200);
    close(process);
    rig_stop();
    assert_true(rig_start_unsealed());
    assert_int_equal(audit_count("\"backup.made\"", "\"failed\"", "sealed", NULL), 1);
    assert_int_equal(count_listed(), 0);
}

static void record_that_was_dropped_comes_again(void **state) {
    uint64_t id = 0;
    (void)state;
    int process = begin("b", &id);
    say_copied(process, 1, 1);
    turn();
    m.backup.good = true;
    m.backup.state = BACKUP_ENDED;
    bool more = false;
    assert_int_equal(backup_step(&m, &more), VAULT_OK);
    assert_int_equal(m.backup.state, BACKUP_RECORDED);
    batch_drop(&m, VAULT_E_IO);
    assert_int_equal(m.backup.state, BACKUP_ENDED);
    turns(2);
    assert_int_equal(m.backup.state, BACKUP_TOLD);
    assert_int_equal(count_listed(), 1);
    assert_int_equal(audit_count("\"backup.made\"", NULL), 1);
    close(process);
}

/* ---- retirement ---- */

static void rotate(void) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "kek");
    assert_int_equal(ask_status(&root), 202);
    turns_for(60);
    assert_int_equal(m.meta.clean, m.meta.generation);
}

static struct message *ask_retire(void) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "kek");
    q->key_rotate.retire = 1;
    return ask(&root);
}

static void only_a_backup_that_needs_the_newest_alone_covers(void **state) {
    (void)state;
    make(1, 1);
    rotate();
    make(1, 2); /* made while the rotation ran */
    struct message *answer = ask_retire();
    assert_int_equal(status_of(answer), 409);
    assert_true(says(answer, "backup-needed"));
    make(2, 2);
    answer = ask_retire();
    assert_int_equal(status_of(answer), 202);
    assert_true(says(answer, "backups that die: b, b\""));
    rotate();
    answer = ask_retire();
    assert_int_equal(status_of(answer), 409);
    assert_true(says(answer, "backup-needed"));
}

static void many_that_die_are_named_as_far_as_they_fit(void **state) {
    char names[40];
    (void)state;
    for (int i = 0; i < 12; i++)
        make(1, 1);
    rotate();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(backups_dying(&m, false, names, sizeof(names)), VAULT_OK);
    assert_string_equal(names, "b, b, b, b, b, b, b, b, b, b and others");
    assert_int_equal(backups_die(&m), VAULT_OK); /* the ring has what they need still */
    assert_int_equal(backups_dying(&m, false, names, sizeof(names)), VAULT_OK);
    assert_true(names[0] == 'b');
    assert_int_equal(keyring_retire(m.keyring), VAULT_OK);
    assert_int_equal(backups_die(&m), VAULT_OK);
    assert_int_equal(backups_dying(&m, false, names, sizeof(names)), VAULT_OK);
    assert_string_equal(names, "");
    assert_int_equal(batch_finish(&m), VAULT_OK);
}

static bool newest_is(const char *state) {
    json_t *all = list();
    const char *found = json_string_value(json_object_get(json_array_get(json_object_get(all, "backups"), 0), "state"));
    bool same = found != NULL && strcmp(found, state) == 0;
    json_decref(all);
    return same;
}

static unsigned rotate_index(void) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), "index");
    return ask_status(&root);
}

static void another_index_key_is_the_end_of_backups(void **state) {
    uint64_t id = 0;
    (void)state;
    int process = begin("b", &id);
    assert_int_equal(rotate_index(), 409); /* the copy would be half under each key */
    say_copied(process, 1, 1);
    close(process);
    supervisor_backup_gone(id, "");
    assert_true(newest_is("good"));
    struct job_value first = {.total = 1, .paused = 1}; /* the rotation waits for it */
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_begin(&m, job_turn.what, &first), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    m.setup.approve_seconds = 60;
    make_service("second", 1u << ROLE_CUSTODIAN, 0);
    struct peer second = peer_tls(SAN_OF("second"));
    assert_int_equal(rotate_index(), 202); /* waits for a second person, who is told what dies */
    assert_null(keyring_next_index_key(m.keyring));
    assert_int_equal(audit_count("pending.ask", "backups that die: b", NULL), 1);
    request(&second, MSG_pending_approve)->pending_approve.number = m.meta.pending;
    assert_int_equal(ask_status(&second), 202);
    peer_end(&second);
    assert_non_null(keyring_next_index_key(m.keyring));
    assert_int_equal(ask_backup("c"), 409);
    assert_true(newest_is("good"));
    request(&root, MSG_job_resume)->job_resume.number = first.number;
    assert_int_equal(ask_status(&root), 200);
    turns_for(100);
    assert_null(keyring_next_index_key(m.keyring));
    assert_true(newest_is("dead"));
    make(1, 1);
    assert_true(newest_is("good"));
    assert_int_equal(in.backup_copy.generation, 2);
}

/* A copy from before it has the present key alone, and the ring both. */
static void copy_from_before_the_change_of_the_index_key_goes_on_with_it(void **state) {
    (void)state;
    assert_int_equal(keyring_begin_index_key(m.keyring), VAULT_OK);
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(ring_take_over(&m), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    turns_for(100);
    assert_null(keyring_next_index_key(m.keyring));
    assert_int_equal(keyring_index_generation(m.keyring), 2);
    assert_int_equal(audit_count("\"event\":\"key.rotated\"", "index to generation 2", ", 0 entries", NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copy_from_before_the_change_of_the_index_key_goes_on_with_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_index_key_is_the_end_of_backups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(process_gets_the_key_and_its_word_counts_when_it_is_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failure_is_named_and_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(death_before_the_task_is_named_as_any_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_of_another_time_are_not_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sealing_is_answered_when_the_process_is_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(record_that_was_dropped_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_a_backup_that_needs_the_newest_alone_covers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_that_die_are_named_as_far_as_they_fit, set_up, tear_down),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
