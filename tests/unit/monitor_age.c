/* Keys past their age: told, warned of, and a reason to take no deposits; with a clock that the test moves. */
#include "monitor_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/keys/age.h"

static struct peer depositor, clinic;
static uint8_t file[ID_SIZE];

static int age_set_up(void **state) {
    vault_set_up(state);
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
    deposit_file(&depositor, "S-1", "genome.cram", 100, 1, file);
    m.setup.key_age_warn = 365;
    return 0;
}

static int age_tear_down(void **state) {
    close(depositor.channel);
    close(clinic.channel);
    return rig_tear_down(state);
}

/* The monitor's time is the later of the clock and the last record. */
static void days_pass(unsigned days) {
    m.last_time += days * 86400000000ULL;
}

static void expect_told(const char *ages, unsigned warnings) {
    static const enum message_type types[] = {MSG_status, MSG_key_list};
    for (size_t i = 0; i < 2; i++) {
        request(&root, types[i]);
        struct message *answer = ask(&root);
        assert_true(says(answer, ages));
        json_t *document = document_of(answer);
        assert_int_equal(json_array_size(json_object_get(document, "warnings")), warnings);
        json_decref(document);
    }
}

static void rotate(const char *what, unsigned status) {
    bool more = true;
    copy_string(request(&root, MSG_key_rotate)->key_rotate.what, 17, what);
    send_now(&root);
    turn();
    if (strcmp(what, "root") == 0) {
        supervisor_credential("root.key");
        turn();
    }
    assert_int_equal(status_of(received(&root)), status);
    for (unsigned n = 0; n < 50 && more; n++)
        assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
}

static unsigned deposits(const char *name, const char *rule) {
    create_request(&depositor, "S-1", name);
    struct message *answer = ask(&depositor);
    if (rule != NULL)
        assert_true(says(answer, rule));
    return status_of(answer); /* 0: it may */
}

static void ages_are_told_in_days_and_warned_of(void **state) {
    (void)state;
    expect_told("\"key_age\":{\"kek_days\":0,\"root_days\":0}", 0);
    days_pass(364);
    expect_told("\"key_age\":{\"kek_days\":364,\"root_days\":364}", 0);
    days_pass(1);
    expect_told("\"key_age\":{\"kek_days\":365,\"root_days\":365}", 2);
    m.setup.key_age_warn = 0;
    expect_told("\"key_age\":{\"kek_days\":365,\"root_days\":365}", 0);
}

static void change_of_the_seal_begins_the_root_keys_age_anew(void **state) {
    (void)state;
    days_pass(400);
    rotate("root", 200);
    expect_told("\"root_days\":0}", 1);
    expect_told("\"kek_days\":400", 1);
    close(depositor.channel);
    close(clinic.channel);
    rig_stop();
    assert_true(rig_start_unsealed());
    m.setup.key_age_warn = 365;
    expect_told("\"root_days\":0}", 1);
    depositor = peer_tls(SAN_OF("depositor"));
    clinic = peer_tls(SAN_OF("clinic"));
}

/* It says which rotation is due, and reads go on. */
static void key_past_its_maximum_takes_no_deposit(void **state) {
    (void)state;
    m.setup.key_age_maximum = 400;
    days_pass(399);
    assert_int_equal(deposits("a", NULL), 0);
    days_pass(1);
    assert_int_equal(deposits("b", "kek-too-old"), 503);
    assert_true(says(ask((create_request(&depositor, "S-1", "b"), &depositor)), "key rotate kek"));
    open_file(&clinic, file);
    create_request(&depositor, "S-unknown", "b");
    assert_int_equal(ask_status(&depositor), 403); /* who may not deposit is not told of keys */
    assert_int_equal(audit_count("\"event\":\"deposit\"", "\"rule\":\"kek-too-old\"", NULL), 2);
    struct message *q = request(&root, MSG_subject_add);
    copy_string(q->subject_add.subject, sizeof(q->subject_add.subject), "S-2");
    assert_int_equal(ask_status(&root), 201);
}

static void root_key_past_its_maximum_takes_no_deposit_either(void **state) {
    (void)state;
    m.setup.key_age_maximum = 900;
    assert_int_equal(deposits("a", NULL), 0);
    m.meta.sealed = 1; /* 1970: as if only the key-encryption key had been rotated since */
    assert_int_equal(deposits("a", "root-too-old"), 503);
    assert_true(says(ask((create_request(&depositor, "S-1", "a"), &depositor)), "key rotate root"));
    rotate("root", 200);
    assert_int_equal(deposits("a", NULL), 0);
}

static void deposit_that_began_before_ends_well(void **state) {
    (void)state;
    m.setup.key_age_maximum = 400;
    struct deposit d = deposit_begin(&depositor, "S-1", "begun.cram");
    days_pass(500);
    deposit_announce(&depositor, &d, 100);
    page_request(&depositor, &d, 0);
    assert_int_equal(ask(&depositor)->type, MSG_done);
    commit_request(&depositor, &d, 3);
    assert_int_equal(ask_status(&depositor), 201);
}

static void log_warns_once_a_day(void **state) {
    (void)state;
    turn();
    assert_int_equal(m.age_told, 0);
    days_pass(365);
    turn();
    uint64_t first = m.age_told;
    assert_true(first != 0);
    m.last_time += 80000000000ULL; /* less than a day */
    turn();
    assert_int_equal(m.age_told, first);
    days_pass(1);
    turn();
    assert_true(m.age_told > first);
    m.setup.key_age_warn = 0;
    assert_int_equal(key_age_tick(&m), -1);
}

#define AGE(test) cmocka_unit_test_setup_teardown(test, age_set_up, age_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        AGE(ages_are_told_in_days_and_warned_of),   AGE(change_of_the_seal_begins_the_root_keys_age_anew),
        AGE(key_past_its_maximum_takes_no_deposit), AGE(root_key_past_its_maximum_takes_no_deposit_either),
        AGE(deposit_that_began_before_ends_well),   AGE(log_warns_once_a_day),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
