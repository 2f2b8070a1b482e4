/* The queue of jobs: one pauses, goes on, goes slowly, or has nothing to do just now, and never spins meanwhile. */
#include "monitor_rig.h"

#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vaultd/monitor/keys/jobs.h"

enum { SUBJECTS = 40 };

static int jobs_set_up(void **state) {
    char name[16];
    vault_set_up(state);
    for (unsigned i = 1; i < SUBJECTS; i++) {
        assert_true(format_string(name, sizeof(name), "N-%u", i));
        make_subject(name);
    }
    return 0;
}

static void rotate(const char *what) {
    struct message *q = request(&root, MSG_key_rotate);
    copy_string(q->key_rotate.what, sizeof(q->key_rotate.what), what);
    assert_int_equal(ask_status(&root), 202);
}

static unsigned pause_job(uint32_t number) {
    request(&root, MSG_job_pause)->job_pause.number = number;
    return ask_status(&root);
}

static unsigned resume_job(uint32_t number) {
    request(&root, MSG_job_resume)->job_resume.number = number;
    return ask_status(&root);
}

static unsigned set_rate(uint32_t number, uint32_t rate) {
    struct message *q = request(&root, MSG_job_rate);
    q->job_rate.number = number;
    q->job_rate.rate = rate;
    return ask_status(&root);
}

static struct job_value job(uint32_t number) {
    static struct job_value j;
    assert_int_equal(job_load(&m, number, &j), VAULT_OK);
    index_end_reads(m.index);
    return j;
}

static bool shown(const char *text) {
    request(&root, MSG_key_jobs);
    return says(ask(&root), text);
}

/* Begins a rotation that is paused before its first step: whatever is begun waits for a paused one before it. */
static void rotate_paused(void) {
    struct job_value first = {.total = 1, .paused = 1};
    assert_int_equal(batch_begin(&m), VAULT_OK);
    assert_int_equal(job_begin(&m, job_turn.what, &first), VAULT_OK);
    assert_int_equal(batch_finish(&m), VAULT_OK);
    turns(3);
}

static void paused_job_stands_still_and_holds_those_after_it(void **state) {
    (void)state;
    rotate_paused();
    rotate("kek");
    turns(20);
    assert_int_equal(m.meta.jobs_ended, 0);
    assert_int_equal(job(2).done, 0);
    assert_true(shown("\"state\":\"paused\""));
    assert_true(shown("\"state\":\"waiting\""));
    assert_true(shown("\"held_by\":1"));
    assert_int_equal(resume_job(1), 200);
    turns(40);
    assert_int_equal(m.meta.jobs_ended, 2);
    assert_int_equal(job(2).done, SUBJECTS);
    assert_int_equal(audit_count("\"event\":\"job.resume\"", "job 1, subject", NULL), 1);
}

static void pause_and_rate_survive_a_restart(void **state) {
    (void)state;
    rotate_paused();
    assert_int_equal(set_rate(1, 5), 200);
    assert_int_equal(audit_count("\"event\":\"job.rate\"", "5 entries in a second", NULL), 1);
    rig_stop();
    assert_true(rig_start_unsealed());
    turns(20);
    assert_int_equal(m.meta.jobs_ended, 0);
    assert_int_equal(job(1).rate, 5);
    assert_int_equal(job(1).paused, 1);
    assert_int_equal(resume_job(1), 200);
    assert_int_equal(pause_job(1), 200);
    turns(20);
    assert_int_equal(m.meta.jobs_ended, 0);
}

static void job_with_a_rate_keeps_to_it_and_sleeps_in_between(void **state) {
    (void)state;
    rotate_paused();
    rotate("kek");
    assert_int_equal(set_rate(2, 20), 200);
    assert_int_equal(set_rate(1, 0), 200);
    assert_int_equal(resume_job(1), 200);
    turns_until(m.meta.jobs_ended == 1);
    unsigned count = turns_in(1000);
    uint64_t done = job(2).done;
    assert_in_range(done, 5, 25);  /* 20 in a second, and what 100 ms may make up for; fewer where the machine stood */
    assert_in_range(count, 5, 60); /* it did not spin */
    assert_int_equal(set_rate(2, 0), 200);
    turns(20);
    assert_int_equal(m.meta.jobs_ended, 2);
}

static void job_that_is_paused_does_not_spin(void **state) {
    (void)state;
    bool more = true;
    rotate_paused();
    assert_int_equal(monitor_turn(&m, &more), VAULT_OK);
    assert_false(more);
    assert_int_equal(jobs_tick(&m), -1); /* the loop sleeps until somebody says something */
}

/* A dropped batch may have held the pause. */
static void dropped_batch_forgets_what_was_known_of_the_queue(void **state) {
    (void)state;
    rotate_paused();
    assert_int_equal(batch_begin(&m), VAULT_OK);
    batch_drop(&m, VAULT_E_IO);
    assert_int_equal(m.job_again, 0);
    turns(3);
    assert_int_equal(m.job_again, UINT64_MAX);
}

static void orders_are_refused_by_name(void **state) {
    (void)state;
    assert_int_equal(pause_job(1), 404);
    assert_int_equal(resume_job(0), 404);
    rotate("kek");
    turns(20);
    assert_int_equal(pause_job(1), 409);
    assert_int_equal(set_rate(1, 1), 409);
    rotate_paused();
    assert_int_equal(set_rate(2, 1000001), 400);
    assert_int_equal(set_rate(2, 1000000), 200);
}

#define JOBS(test) cmocka_unit_test_setup_teardown(test, jobs_set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        JOBS(paused_job_stands_still_and_holds_those_after_it),  JOBS(pause_and_rate_survive_a_restart),
        JOBS(job_with_a_rate_keeps_to_it_and_sleeps_in_between), JOBS(job_that_is_paused_does_not_spin),
        JOBS(dropped_batch_forgets_what_was_known_of_the_queue), JOBS(orders_are_refused_by_name),
    };
    log_start("test");
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
