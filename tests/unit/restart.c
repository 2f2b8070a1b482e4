#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "vaultd/supervisor/restart.h"

static void five_crashes_in_a_minute_are_forgiven_and_the_sixth_is_not(void **state) {
    (void)state;
    struct restart_policy p = {0};
    uint64_t delay = 0;
    for (uint64_t i = 0; i < 5; i++)
        assert_true(restart_after(&p, 1000 + i * 1000, false, &delay));
    assert_true(delay > 0);
    assert_false(restart_after(&p, 1000 + 59999, false, &delay));
    assert_true(restart_after(&p, 1000 + 60000, false, &delay));
}

static void crashes_far_apart_never_end_the_service(void **state) {
    (void)state;
    struct restart_policy p = {0};
    uint64_t delay = 0;
    for (uint64_t i = 0; i < 100; i++)
        assert_true(restart_after(&p, i * 12001, false, &delay));
}

static void disk_faults_wait_longer_each_time_and_never_give_up(void **state) {
    (void)state;
    const uint64_t waits[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct restart_policy p = {0};
    uint64_t delay = 0;
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        assert_true(restart_after(&p, 10, true, &delay));
        assert_int_equal(delay, waits[i]);
    }
    for (int i = 0; i < 100; i++)
        assert_true(restart_after(&p, 10, true, &delay));
    restart_settled(&p);
    assert_true(restart_after(&p, 10, true, &delay));
    assert_int_equal(delay, 1000);
}

static void disk_faults_do_not_count_as_crashes(void **state) {
    (void)state;
    struct restart_policy p = {0};
    uint64_t delay = 0;
    for (int i = 0; i < 10; i++)
        assert_true(restart_after(&p, 10, true, &delay));
    for (int i = 0; i < 5; i++)
        assert_true(restart_after(&p, 10, false, &delay));
    assert_false(restart_after(&p, 10, false, &delay));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_crashes_in_a_minute_are_forgiven_and_the_sixth_is_not),
        cmocka_unit_test(crashes_far_apart_never_end_the_service),
        cmocka_unit_test(disk_faults_wait_longer_each_time_and_never_give_up),
        cmocka_unit_test(disk_faults_do_not_count_as_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
