/* Each forbidden act is tried twice in a child of its own: inside the profile it is killed (or refused), outside it
 * succeeds, so that a pass means that the wall did it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/sandbox.h"
#include "vaultd/sandbox/sandbox_internal.h"

enum { SUCCEEDED = 0, FAILED = 1, NO_SANDBOX = 2 };

static char home[64]; /* a directory made for this run, with "inside" and "outside" in it */
static int inside;

/* An act gives true if it did what it tried. */
typedef bool act(void);

static bool open_file(void) {
    return open("/etc/passwd", O_RDONLY) >= 0;
}
static bool ask_status(void) {
    struct stat s;
    return stat("/etc/passwd", &s) == 0;
}
static bool make_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}
static bool make_unix_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}
static int ready_socket = -1;
static bool connect_out(void) { /* to nowhere: the form that always succeeds */
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    return connect(ready_socket, &nowhere, sizeof(nowhere)) == 0;
}
static bool start_process(void) {
    pid_t p = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (p == 0)
        _exit(0);
    return p > 0;
}
static bool fork_process(void) {
    pid_t p = fork();
    if (p == 0)
        _exit(0);
    return p > 0;
}
static bool run_program(void) {
    char *const nothing[] = {NULL};
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    execve("/bin/true", arguments, nothing);
    return false;
}
static bool trace_self(void) {
    return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0;
}
static bool signal_parent(void) {
    return kill(getppid(), 0) == 0;
}
static bool signal_parent_thread(void) {
    return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}
static bool read_memory(void) {
    char byte = 1;
    char to = 0;
    struct iovec from = {&byte, 1};
    struct iovec into = {&to, 1};
    return process_vm_readv(getpid(), &into, 1, &from, 1, 0) == 1;
}
static bool map_code(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool make_code(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool raise_limit(void) {
    const struct rlimit limit = {0, 0};
    return setrlimit(RLIMIT_CORE, &limit) == 0;
}
static bool become_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}
static bool filter_socket(void) {
    int size = 1;
    return setsockopt(ready_socket, SOL_SOCKET, SO_BROADCAST, &size, sizeof(size)) == 0;
}
static bool use_epoll(void) {
    return epoll_create1(EPOLL_CLOEXEC) >= 0;
}
static bool make_memory_file(void) {
    return memfd_create("x", MFD_ALLOW_SEALING) >= 0;
}
static bool link_file(void) {
    return syscall(SYS_linkat, inside, "file", inside, "link", 0) == 0;
}
static bool ring_calls(void) {
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters) >= 0 || errno == EPERM;
}
static bool start_listening(void) {
    return listen(ready_socket, 1) == 0;
}
static bool change_root(void) {
    return chroot("/") == 0 || errno == EPERM;
}
static bool change_user(void) {
    return setresuid(getuid(), getuid(), getuid()) == 0;
}

static bool take_memory(int flags) {
    return mmap(NULL, 80 << 20, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}
static bool take_private_memory(void) {
    return take_memory(MAP_PRIVATE);
}
static bool take_shared_memory(void) {
    return take_memory(MAP_SHARED);
}

/* What the profile is for. */
static void *thread_body(void *arg) {
    return arg;
}
static bool start_thread(void) {
    pthread_t t;
    return pthread_create(&t, NULL, thread_body, NULL) == 0 && pthread_join(t, NULL) == 0;
}
static bool ordinary_work(void) {
    int ends[2] = {ready_socket, ready_socket};
    struct pollfd p = {.fd = ends[0], .events = POLLOUT};
    struct timespec now;
    struct tm parts;
    const struct linger hard = {1, 0};
    char *memory = malloc(3 << 20);
    if (memory == NULL)
        return false;
    memory[1 << 20] = 1;
    free(memory);
    clock_gettime(CLOCK_REALTIME, &now);
    return poll(&p, 1, 0) >= 0 && gmtime_r(&now.tv_sec, &parts) != NULL &&
           setsockopt(ready_socket, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0 && getpid() > 0 &&
           fcntl(ready_socket, F_GETFL) >= 0;
}
static bool write_inside(void) {
    int fd = openat(inside, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && ftruncate(fd, 0) == 0;
}
static bool move_inside(void) {
    int fd = openat(inside, "a/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && renameat(inside, "a/file", inside, "b/file") == 0 && unlinkat(inside, "b/file", 0) == 0;
}
static bool link_inside(void) {
    int fd = openat(inside, "a/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && linkat(inside, "a/file", inside, "b/file", 0) == 0 && unlinkat(inside, "b/file", 0) == 0 &&
           unlinkat(inside, "a/file", 0) == 0;
}
static bool link_unnamed(void) {
    char path[64];
    int fd = openat(inside, "a", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    return fd >= 0 && format_string(path, sizeof(path), "/proc/self/fd/%d", fd) &&
           linkat(AT_FDCWD, path, inside, "b/object", AT_SYMLINK_FOLLOW) == 0 && unlinkat(inside, "b/object", 0) == 0;
}
static bool read_outside(void) {
    char path[96];
    return format_string(path, sizeof(path), "%s/outside", home) && open(path, O_RDONLY | O_DIRECTORY) >= 0;
}
static bool write_outside(void) {
    return openat(inside, "../outside/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0;
}
static bool make_fifo_inside(void) {
    return mknodat(inside, "fifo", S_IFIFO | 0600, 0) == 0 && unlinkat(inside, "fifo", 0) == 0;
}

/* Runs the act in a child, within the profile if `confined`; gives its wait status. */
static int try_act(enum sandbox_profile profile, bool confined, act *tried) {
    pid_t child = fork();
    if (child == 0) {
        bool keeps = profile == SANDBOX_MONITOR || profile == SANDBOX_STORE;
        if (sandbox_start() != VAULT_OK || (confined && sandbox_enter(profile, &inside, keeps ? 1 : 0) != VAULT_OK))
            _exit(NO_SANDBOX);
        _exit(tried() ? SUCCEEDED : FAILED);
    }
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#elif defined(__has_feature)
static const bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
static const bool sanitized = false;
#endif

struct trial {
    const char *name;
    act *tried;
};

static void assert_killed(enum sandbox_profile profile, const struct trial *trials, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int confined = try_act(profile, true, trials[i].tried);
        int free_status = try_act(profile, false, trials[i].tried);
        if (!WIFSIGNALED(confined) || WTERMSIG(confined) != SIGSYS)
            fail_msg("%s was not killed in profile %d: status %x", trials[i].name, (int)profile, confined);
        if (free_status != 0)
            fail_msg("%s fails without a sandbox too: status %x", trials[i].name, free_status);
    }
}

static void assert_permitted(enum sandbox_profile profile, const struct trial *trials, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int status = try_act(profile, true, trials[i].tried);
        if (status != 0)
            fail_msg("%s does not work in profile %d: status %x", trials[i].name, (int)profile, status);
    }
}

#define TRIAL(name)                                                                                                    \
    { #name, name }
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const struct trial never[] = {
    TRIAL(make_socket), TRIAL(make_unix_socket), TRIAL(connect_out),   TRIAL(start_process),
    TRIAL(run_program), TRIAL(trace_self),       TRIAL(signal_parent), TRIAL(read_memory),
    TRIAL(map_code),    TRIAL(make_code),        TRIAL(raise_limit),   TRIAL(signal_parent_thread),
    TRIAL(ring_calls),  TRIAL(become_dumpable),  TRIAL(change_user),   TRIAL(filter_socket),
    TRIAL(change_root), TRIAL(start_listening),  TRIAL(fork_process),
};

static void every_profile_kills_what_no_process_needs(void **state) {
    (void)state;
    for (int profile = SANDBOX_GATE; profile <= SANDBOX_BACKUP; profile++)
        assert_killed((enum sandbox_profile)profile, never, COUNT(never));
}

static void worker_and_gate_have_no_files(void **state) {
    (void)state;
    static const enum sandbox_profile profiles[] = {SANDBOX_WORKER, SANDBOX_GATE};
    const struct trial trials[] = {TRIAL(make_memory_file)};
    const struct trial opening[] = {TRIAL(open_file), TRIAL(write_inside)};
    for (size_t i = 0; i < COUNT(profiles); i++) {
        assert_killed(profiles[i], trials, COUNT(trials));
        if (!sanitized)
            assert_killed(profiles[i], opening, COUNT(opening));
        for (size_t k = 0; sanitized && k < COUNT(opening); k++) /* it fails there without killing (sanitizer.c) */
            assert_int_equal(WEXITSTATUS(try_act(profiles[i], true, opening[k].tried)), FAILED);
    }
    const struct trial status[] = {TRIAL(ask_status)};
    assert_int_equal(WEXITSTATUS(try_act(SANDBOX_WORKER, true, status[0].tried)), FAILED);
    assert_int_equal(WEXITSTATUS(try_act(SANDBOX_WORKER, false, status[0].tried)), SUCCEEDED);
}

static void only_the_store_has_threads_and_links(void **state) {
    (void)state;
    const struct trial trials[] = {TRIAL(start_thread), TRIAL(link_file), TRIAL(make_memory_file)};
    assert_true(write_inside());
    assert_killed(SANDBOX_WORKER, trials, 1);
    assert_killed(SANDBOX_GATE, trials, 1);
    assert_killed(SANDBOX_MONITOR, trials, 1);
    assert_permitted(SANDBOX_STORE, trials, COUNT(trials));
    unlinkat(inside, "link", 0);
}

static void every_profile_can_work(void **state) {
    (void)state;
    const struct trial work[] = {TRIAL(ordinary_work)};
    const struct trial loop[] = {TRIAL(use_epoll)};
    for (int profile = SANDBOX_GATE; profile <= SANDBOX_BACKUP; profile++)
        assert_permitted((enum sandbox_profile)profile, work, 1);
    assert_permitted(SANDBOX_GATE, loop, 1);
    assert_permitted(SANDBOX_MONITOR, loop, 1);
    assert_permitted(SANDBOX_STORE, loop, 1);
}

static void store_and_monitor_keep_their_directory(void **state) {
    (void)state;
    const struct trial both[] = {TRIAL(write_inside), TRIAL(move_inside)};
    const struct trial links[] = {TRIAL(link_inside), TRIAL(link_unnamed)};
    assert_permitted(SANDBOX_MONITOR, both, COUNT(both));
    assert_permitted(SANDBOX_STORE, both, 1);
    assert_killed(SANDBOX_STORE, both + 1, 1);
    assert_permitted(SANDBOX_STORE, links, COUNT(links));
}

static void store_and_monitor_reach_nothing_else(void **state) {
    (void)state;
    const struct trial trials[] = {TRIAL(open_file), TRIAL(read_outside), TRIAL(write_outside)};
    for (size_t i = 0; i < COUNT(trials); i++) {
        assert_int_equal(try_act(SANDBOX_STORE, false, trials[i].tried), 0);
        assert_int_equal(WEXITSTATUS(try_act(SANDBOX_STORE, true, trials[i].tried)), FAILED);
        assert_int_equal(WEXITSTATUS(try_act(SANDBOX_MONITOR, true, trials[i].tried)), FAILED);
    }
    const struct trial special[] = {TRIAL(make_fifo_inside)};
    assert_killed(SANDBOX_STORE, special, 1);
}

/* The directories of vaultd-backup: state, the new folder, and where that lies with all others. */
static int backup_place;
static bool enter_backup(void) {
    const int all[] = {openat(inside, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                       openat(inside, "b", O_RDONLY | O_DIRECTORY | O_CLOEXEC), backup_place};
    return all[0] >= 0 && all[1] >= 0 && sandbox_enter(SANDBOX_BACKUP, all, 3) == VAULT_OK;
}
static bool backup_works(void) {
    int fd = enter_backup() ? openat(inside, "b/copy", O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    return fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && unlinkat(inside, "b/copy", 0) == 0 &&
           start_thread() && renameat(backup_place, "new", backup_place, "done") == 0 &&
           renameat(backup_place, "done", backup_place, "new") == 0;
}
static bool backup_reads_another(void) {
    return enter_backup() && openat(backup_place, "other/index", O_RDONLY | O_CLOEXEC) >= 0;
}
static bool backup_writes_another(void) {
    return enter_backup() && openat(backup_place, "other/more", O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0;
}
static bool backup_removes_another(void) {
    return enter_backup() && unlinkat(backup_place, "other/index", 0) == 0;
}

static int status_of(bool (*tried)(void)) {
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(tried() ? SUCCEEDED : FAILED);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void backup_keeps_two_folders_and_reaches_into_no_other_backup(void **state) {
    (void)state;
    char path[96];
    assert_true(format_string(path, sizeof(path), "%s/backups", home));
    assert_int_equal(mkdir(path, 0700), 0);
    backup_place = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(backup_place, "new", 0700) | mkdirat(backup_place, "other", 0700), 0);
    int fd = openat(backup_place, "other/index", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(status_of(backup_works), 0);
    assert_int_equal(WEXITSTATUS(status_of(backup_reads_another)), FAILED);
    assert_int_equal(WEXITSTATUS(status_of(backup_writes_another)), FAILED);
    assert_int_equal(WEXITSTATUS(status_of(backup_removes_another)), FAILED);
    assert_int_equal(unlinkat(backup_place, "other/index", 0), 0);
    assert_int_equal(unlinkat(backup_place, "other", AT_REMOVEDIR) | unlinkat(backup_place, "new", AT_REMOVEDIR), 0);
    close(backup_place);
    assert_int_equal(rmdir(path), 0);
}

static bool refused_by_landlock_alone(void) {
    return landlock_enter(SANDBOX_STORE, &inside, 1) == VAULT_OK && write_inside() && !make_fifo_inside() &&
           errno == EACCES && symlinkat("a", inside, "symlink") != 0 && errno == EACCES &&
           unlinkat(inside, "a", AT_REMOVEDIR) != 0 && errno == EACCES;
}

static void landlock_alone_refuses_special_files_links_and_removed_folders(void **state) {
    (void)state;
    assert_int_equal(try_act(SANDBOX_STORE, false, refused_by_landlock_alone), 0);
}

static void a_mapped_page_made_before_cannot_turn_into_code(void **state) {
    (void)state;
    const struct trial trials[] = {TRIAL(make_code)};
    assert_killed(SANDBOX_MONITOR, trials, 1);
}

static void worker_cannot_take_memory_without_end(void **state) {
    (void)state;
    const struct trial trials[] = {TRIAL(take_private_memory), TRIAL(take_shared_memory)};
    for (size_t i = 0; i < COUNT(trials); i++) {
        assert_int_equal(WEXITSTATUS(try_act(SANDBOX_WORKER, true, trials[i].tried)), FAILED);
        assert_int_equal(try_act(SANDBOX_WORKER, false, trials[i].tried), 0);
    }
}

static bool abort_self(void) {
    abort();
}

static void abort_still_ends_by_its_own_signal(void **state) {
    (void)state;
    int status = try_act(SANDBOX_WORKER, true, abort_self);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static int pipe_ends[2];
static void *wait_for_end(void *arg) {
    char byte;
    ssize_t n = read(pipe_ends[0], &byte, 1);
    return n == 1 ? arg : NULL;
}
static bool refused_with_threads(void) {
    pthread_t t;
    return pipe(pipe_ends) == 0 && pthread_create(&t, NULL, wait_for_end, NULL) == 0 &&
           sandbox_enter(SANDBOX_STORE, &inside, 1) == VAULT_E_STATE;
}

static void threads_must_start_after_it(void **state) {
    (void)state;
    assert_int_equal(try_act(SANDBOX_STORE, false, refused_with_threads), 0);
}

static int make_home(void **state) {
    (void)state;
    char path[96];
    copy_string(home, sizeof(home), "/tmp/vault-sandbox-XXXXXX");
    if (mkdtemp(home) == NULL || !format_string(path, sizeof(path), "%s/outside", home) || mkdir(path, 0700) != 0)
        return -1;
    if (!format_string(path, sizeof(path), "%s/inside", home) || mkdir(path, 0700) != 0)
        return -1;
    inside = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ready_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return inside < 0 || ready_socket < 0 || mkdirat(inside, "a", 0700) != 0 || mkdirat(inside, "b", 0700) != 0;
}

static int remove_home(void **state) {
    (void)state;
    unlinkat(inside, "file", 0);
    unlinkat(inside, "../outside/file", 0);
    unlinkat(inside, "a", AT_REMOVEDIR);
    unlinkat(inside, "b", AT_REMOVEDIR);
    unlinkat(inside, "../outside", AT_REMOVEDIR);
    unlinkat(inside, "../inside", AT_REMOVEDIR);
    return rmdir(home);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_kills_what_no_process_needs),
        cmocka_unit_test(worker_and_gate_have_no_files),
        cmocka_unit_test(only_the_store_has_threads_and_links),
        cmocka_unit_test(every_profile_can_work),
        cmocka_unit_test(store_and_monitor_keep_their_directory),
        cmocka_unit_test(store_and_monitor_reach_nothing_else),
        cmocka_unit_test(backup_keeps_two_folders_and_reaches_into_no_other_backup),
        cmocka_unit_test(landlock_alone_refuses_special_files_links_and_removed_folders),
        cmocka_unit_test(a_mapped_page_made_before_cannot_turn_into_code),
        cmocka_unit_test(worker_cannot_take_memory_without_end),
        cmocka_unit_test(abort_still_ends_by_its_own_signal),
        cmocka_unit_test(threads_must_start_after_it),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
