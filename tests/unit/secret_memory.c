/* Secret memory, each promise in a child of its own: what is reserved is reserved for the life of a process. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/secret.h"

enum { GOOD = 0, BAD = 1, NONE_HERE = 2, SMALL = 3, LARGE = 2 };

/* What a child does; GOOD, BAD, or killed. */
typedef int act(void);

static int reserve(void) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core); /* some are killed on purpose */
    if (secret_reserve(SMALL, LARGE) != VAULT_OK)
        return BAD;
    return strcmp(secret_memory_name(), "secret") == 0 ? GOOD : NONE_HERE;
}

/* The wait status of a child that does this. */
static int run(act *what) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* the test framework would go on with the next test, in the child */
        signal(SIGABRT, SIG_DFL);
        _exit(what());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_good(act *what) {
    int status = run(what);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NONE_HERE)
        skip(); /* this kernel has no secret memory */
    assert_int_equal(WEXITSTATUS(status), GOOD);
}

static void assert_killed(act *what, int by) {
    int status = run(what);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NONE_HERE)
        skip();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), by);
}

/* Whether /proc/self/mem, as a debugger uses it, reads the secret. */
static bool kernel_reads(const struct secret *s, uint8_t first) {
    uint8_t got = 0;
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    bool read_it = memory >= 0 && pread(memory, &got, 1, (off_t)(uintptr_t)secret_view(s)) == 1 && got == first;
    close(memory);
    return read_it;
}

static struct secret *marked(void) {
    uint8_t bytes[SECRET_KEY_SIZE] = {0xa5};
    struct secret *s = NULL;
    return secret_take(&s, bytes, sizeof(bytes)) == VAULT_OK ? s : NULL;
}

static int kernel_cannot_read(void) {
    int here = reserve();
    struct secret *s = here == GOOD ? marked() : NULL;
    if (here != GOOD)
        return here;
    return s != NULL && secret_view(s)[0] == 0xa5 && !kernel_reads(s, 0xa5) ? GOOD : BAD;
}

/* The control: what is not reserved is locked memory, which can be read so. */
static int kernel_reads_locked(void) {
    struct secret *s = marked();
    return s != NULL && strcmp(secret_memory_name(), "locked") == 0 && kernel_reads(s, 0xa5) ? GOOD : BAD;
}

static void secret_memory_cannot_be_read_from_outside(void **state) {
    (void)state;
    assert_good(kernel_reads_locked);
    assert_good(kernel_cannot_read);
}

static const size_t sizes[] = {1, 8, 31, 32, 4000, 4065, 4096, 57344, SECRET_MAX};

/* Writes one byte at a place relative to each secret's end, or its start. */
static int write_at(size_t i, bool from_end, ptrdiff_t at) {
    struct secret *s = NULL;
    int here = reserve();
    if (here != GOOD || secret_new(&s, sizes[i]) != VAULT_OK)
        return here != GOOD ? here : BAD;
    volatile uint8_t *place = secret_edit(s) + (from_end ? secret_size(s) : 0) + at;
    *place = 1;
    secret_free(&s);
    return GOOD;
}

static int fill_all(void) {
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct secret *s = NULL;
        int here = i == 0 ? reserve() : GOOD;
        if (here != GOOD || secret_new(&s, sizes[i]) != VAULT_OK)
            return here != GOOD ? here : BAD;
        for (size_t n = 0; n < sizes[i]; n++) {
            if (secret_view(s)[n] != 0)
                return BAD;
            secret_edit(s)[n] = 0xff;
        }
        secret_free(&s);
    }
    return GOOD;
}

static int overrun_small(void) {
    return write_at(3, true, 0);
}
static int overrun_large(void) {
    return write_at(8, true, 0);
}
static int underrun_small(void) {
    return write_at(3, false, -9); /* in front of it is its size, then the canary */
}
static int underrun_large(void) {
    return write_at(7, false, -24);
}
static int before_small(void) {
    return write_at(3, false, SECRET_KEY_SIZE - 4097);
}
static int before_large(void) {
    return write_at(8, false, SECRET_MAX - 17 * 4096 - 1);
}

static void secret_is_zero_at_first_and_can_be_filled(void **state) {
    (void)state;
    assert_good(fill_all);
}

static void secret_has_guards_on_both_sides(void **state) {
    (void)state;
    assert_killed(overrun_small, SIGSEGV);
    assert_killed(overrun_large, SIGSEGV);
    assert_killed(before_small, SIGSEGV);
    assert_killed(before_large, SIGSEGV);
    assert_killed(underrun_small, SIGABRT);
    assert_killed(underrun_large, SIGABRT);
}

static int freed_is_zero(void) {
    int here = reserve();
    struct secret *s = here == GOOD ? marked() : NULL;
    if (s == NULL)
        return here != GOOD ? here : BAD;
    const volatile uint8_t *was = secret_view(s);
    secret_free(&s);
    for (ptrdiff_t i = -24; i < SECRET_KEY_SIZE; i++)
        if (was[i] != 0)
            return BAD;
    return GOOD;
}

static void secret_is_wiped_when_freed(void **state) {
    (void)state;
    assert_good(freed_is_zero);
}

static int full(void) {
    struct secret *small[SMALL + 1] = {NULL};
    struct secret *large[LARGE + 1] = {NULL};
    int here = reserve();
    for (size_t i = 0; here == GOOD && i <= SMALL; i++)
        here = secret_new(&small[i], 32) == (i < SMALL ? VAULT_OK : VAULT_E_MEMORY) ? GOOD : BAD;
    for (size_t i = 0; here == GOOD && i <= LARGE; i++)
        here = secret_new(&large[i], SECRET_MAX) == (i < LARGE ? VAULT_OK : VAULT_E_MEMORY) ? GOOD : BAD;
    if (here != GOOD)
        return here;
    secret_free(&small[1]);
    return secret_new(&small[1], 32) == VAULT_OK && secret_new(&small[SMALL], 32) == VAULT_E_MEMORY ? GOOD : BAD;
}

static void more_secrets_than_reserved_are_an_error(void **state) {
    (void)state;
    assert_good(full);
}

static struct secret *inherited;

static int touch(void) {
    return secret_view(inherited)[0] == 0xa5 ? GOOD : BAD;
}

static int child_has_none(void) {
    int here = reserve();
    inherited = here == GOOD ? marked() : NULL;
    if (inherited == NULL)
        return here != GOOD ? here : BAD;
    int status = run(touch);
    return WIFEXITED(status) && WEXITSTATUS(status) <= BAD ? BAD : GOOD;
}

static void child_inherits_no_secret(void **state) {
    (void)state;
    assert_good(child_has_none);
}

static int reserve_twice(void) {
    int here = reserve();
    return here != GOOD ? here : secret_reserve(SMALL, LARGE) == VAULT_E_STATE ? GOOD : BAD;
}

static void secrets_are_reserved_once(void **state) {
    (void)state;
    assert_good(reserve_twice);
}

static int without_a_limit_to_lock(void) {
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return BAD;
    int result = secret_reserve(SMALL, LARGE);
    return result == VAULT_E_MEMORY ? GOOD : strcmp(secret_memory_name(), "locked") == 0 ? NONE_HERE : BAD;
}

static void limit_of_locked_memory_is_an_error(void **state) {
    (void)state;
    if (geteuid() != 0) /* only root can give up its right to lock */
        skip();
    assert_good(without_a_limit_to_lock);
}

/* As on a kernel that has none. */
static int refused_with(int error) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL || seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), SCMP_SYS(memfd_secret), 0) != 0 ||
        seccomp_load(filter) != 0 || secret_reserve(SMALL, LARGE) != VAULT_OK)
        return BAD;
    struct secret *s = marked();
    return s != NULL && strcmp(secret_memory_name(), "locked") == 0 && kernel_reads(s, 0xa5) ? GOOD : BAD;
}

static int kernel_without(void) {
    return refused_with(ENOSYS);
}
static int refused_by_a_filter(void) {
    return refused_with(EPERM);
}

static void without_secret_memory_secrets_are_locked(void **state) {
    (void)state;
    assert_good(kernel_without);
    assert_good(refused_by_a_filter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_memory_cannot_be_read_from_outside),
        cmocka_unit_test(secret_is_zero_at_first_and_can_be_filled),
        cmocka_unit_test(secret_has_guards_on_both_sides),
        cmocka_unit_test(secret_is_wiped_when_freed),
        cmocka_unit_test(more_secrets_than_reserved_are_an_error),
        cmocka_unit_test(child_inherits_no_secret),
        cmocka_unit_test(secrets_are_reserved_once),
        cmocka_unit_test(limit_of_locked_memory_is_an_error),
        cmocka_unit_test(without_secret_memory_secrets_are_locked),
    };
    if (secret_start() != VAULT_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
