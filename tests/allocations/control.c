/* What the run of refused allocations must find: a function that does not look at what it got, and one that forgets
 * what it had when the next was refused. The third is as it should be. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>

static bool does_not_look(void) {
    volatile char *block = malloc(8);
    block[0] = 1;
    free((void *)(uintptr_t)block);
    return true;
}

static bool forgets_the_first(void) {
    char *first = malloc(8);
    char *second = first != NULL ? malloc(8) : NULL;
    if (second == NULL)
        return false;
    free(first);
    free(second);
    return true;
}

static bool gives_back(void) {
    char *block = malloc(8);
    free(block);
    return block != NULL;
}

/* Each asks, as the tests of the vault do; one that goes on without what it was refused is no failure. */
static void a_block_that_is_not_looked_at(void **state) {
    (void)state;
    assert_true(does_not_look());
}

static void a_block_that_is_forgotten(void **state) {
    (void)state;
    (void)forgets_the_first();
}

static void a_block_that_is_given_back(void **state) {
    (void)state;
    assert_true(gives_back());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_that_is_not_looked_at),
        cmocka_unit_test(a_block_that_is_forgotten),
        cmocka_unit_test(a_block_that_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
