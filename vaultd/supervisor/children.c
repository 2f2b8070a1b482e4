#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vault/buffer.h"
#include "vault/log.h"
#include "vault/result.h"

enum { FIRST_FD = 3, PARKING_FD = 64, FDS_MAX = 8, ENVIRONMENT_MAX = 16, EXIT_NOT_STARTED = 127 };

#define LOCKED_MEMORY (512ULL << 20) /* bytes: secrets, and what mlockall covers */

/* Raises a limit as far as we may. */
static void set_limit(__rlimit_resource_t what, rlim_t wanted) {
    struct rlimit now = {0, 0};
    const struct rlimit both = {wanted, wanted};
    if (setrlimit(what, &both) == 0 || getrlimit(what, &now) != 0)
        return;
    now.rlim_cur = now.rlim_max < wanted ? now.rlim_max : wanted;
    setrlimit(what, &now);
}

/* Locks addresses that nothing is behind, so it takes no memory: only the limit, or our right to pass it, counts. */
static bool can_lock(size_t n) {
    void *nothing = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bool locked = nothing != MAP_FAILED && mlock2(nothing, n, MLOCK_ONFAULT) == 0;
    if (nothing != MAP_FAILED)
        munmap(nothing, n);
    return locked;
}

int children_may_lock(char ret_problem[CONFIG_PROBLEM_SIZE]) {
    struct rlimit now = {0, 0};
    set_limit(RLIMIT_MEMLOCK, LOCKED_MEMORY);
    if (can_lock(LOCKED_MEMORY))
        return VAULT_OK;
    (void)getrlimit(RLIMIT_MEMLOCK, &now);
    format_string(
        ret_problem, CONFIG_PROBLEM_SIZE,
        "a process may lock %llu KiB of memory, and %llu KiB are needed: set LimitMEMLOCK=%lluM in the service "
        "unit, or raise the hard limit (`ulimit -H -l %llu`)",
        (unsigned long long)now.rlim_cur >> 10, LOCKED_MEMORY >> 10, LOCKED_MEMORY >> 20, LOCKED_MEMORY >> 10);
    return VAULT_E_LIMIT;
}

static rlim_t files_of(enum child_kind kind, const struct limits *l) {
    /* The store may have some twenty descriptors on their way to each worker, and these count too. */
    return kind == CHILD_WORKER || kind == CHILD_TOKEN || kind == CHILD_COURIER || kind == CHILD_BACKUP
               ? 64
               : 256 + 24 * ((rlim_t)l->workers + l->waiting);
}

/* Everything from here to execve runs in the new process; what fails ends it. */
static bool place_descriptors(const int *fds, unsigned count) {
    int parked[FDS_MAX];
    for (unsigned i = 0; i < count; i++)
        if ((parked[i] = fcntl(fds[i], F_DUPFD, PARKING_FD)) < 0)
            return false;
    for (unsigned i = 0; i < count; i++)
        if (dup2(parked[i], FIRST_FD + (int)i) < 0)
            return false;
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return false;
    return true;
}

static bool memory_can_be_locked(void) {
    struct rlimit now = {0, 0};
    return getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur >= LOCKED_MEMORY;
}

/* Where the limit cannot be raised (no CAP_SYS_RESOURCE), the one right to lock memory beyond it passes the change of
 * user and the exec; it allows nothing else. */
static bool keep_only_lock_right(void) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const uint32_t lock = 1u << CAP_IPC_LOCK;
    struct __user_cap_data_struct sets[2] = {{.effective = lock, .permitted = lock, .inheritable = lock}};
    return syscall(SYS_capset, &head, sets) == 0 &&
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK, 0, 0) == 0;
}

static bool become(const struct identity *who) {
    if (!who->set || geteuid() != 0)
        return true;
    bool keep = !memory_can_be_locked();
    if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return false;
    if (setgroups(0, NULL) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0)
        return false;
    return (!keep || keep_only_lock_right()) && setuid(0) != 0;
}

/* A change of user forgets the death signal, so it comes after; a parent that died before it was set shows. */
static bool die_with(pid_t parent) {
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

static bool reset_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}

/* Nothing of ours; a throw-away vault keeps what configures sanitizers and coverage, and the token's module gets what
 * is configured for it. */
static void child_environment(const struct config *c, enum child_kind kind, char *to[ENVIRONMENT_MAX]) {
    static const char *const kept[] = {
        "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LLVM_PROFILE_FILE=", "GCOV_PREFIX="};
    size_t used = 0;
    for (char **each = environ; c->dev && each != NULL && *each != NULL; each++)
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
            if (strncmp(*each, kept[i], strlen(kept[i])) == 0 && used < ENVIRONMENT_MAX - TOKEN_VARIABLES - 1)
                to[used++] = *each;
    for (size_t i = 0; kind == CHILD_TOKEN && i < TOKEN_VARIABLES && c->token.environment[i][0] != '\0'; i++)
        to[used++] = (char *)(uintptr_t)c->token.environment[i];
    to[used] = NULL;
}

/* By path; where the new user cannot walk to it, by the descriptor opened before the change of user. */
static void run(const char *path, int program, const char *name, char *const environment[]) {
    char *const arguments[] = {(char *)(uintptr_t)name, NULL};
    execve(path, arguments, environment);
    if (errno == EACCES)
        syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
}

/* Everybody waits for the monitor's answers: where we may, it gets a real-time policy, and waits for no processor
 * behind those who carry bytes. Nobody else can take one. docs/decisions/0113-turns.md. */
static void give_turn(enum child_kind kind) {
    const struct sched_param first = {.sched_priority = 1};
    if (kind == CHILD_MONITOR && sched_setscheduler(0, SCHED_RR, &first) != 0)
        log_notice("start: the monitor gets no real-time policy (LimitRTPRIO=1 permits it): error=%s", strerror(errno));
    set_limit(RLIMIT_RTPRIO, 0);
}

static const char *failing_step(const struct config *c, enum child_kind kind, const int *fds, unsigned count,
                                pid_t parent) {
    char path[CONFIG_PATH_MAX + 32];
    char name[32];
    char *environment[ENVIRONMENT_MAX];
    if (!format_string(name, sizeof(name), "vaultd-%s", child_name(kind)) ||
        !format_string(path, sizeof(path), "%s/%s", c->programs, name))
        return "name";
    if (!reset_signals())
        return "signals";
    child_environment(c, kind, environment);
    int program = open(path, O_PATH | O_CLOEXEC);
    if (program < 0)
        return path[0] == '\0' ? "program" : "no such program in the programs folder";
    program = fcntl(program, F_DUPFD_CLOEXEC, PARKING_FD);
    if (setsid() < 0 || !place_descriptors(fds, count))
        return "descriptors";
    if (syscall(SYS_close_range, FIRST_FD + count, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        return "close_range";
    give_turn(kind);
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_MEMLOCK, LOCKED_MEMORY);
    set_limit(RLIMIT_NOFILE, files_of(kind, &c->limits));
    if (!become(&c->users[kind]))
        return "user";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !die_with(parent))
        return "parent";
    run(path, program, name, environment);
    return "exec";
}

int child_spawn(const struct config *c, enum child_kind kind, const int *fds, unsigned count, struct child *ret) {
    pid_t parent = getpid();
    if (count > FDS_MAX)
        return VAULT_E_STATE;
    pid_t pid = fork();
    if (pid < 0) {
        log_error("start: fork: process=%s error=%s", child_name(kind), strerror(errno));
        return VAULT_E_IO;
    }
    if (pid == 0) {
        const char *step = failing_step(c, kind, fds, count, parent);
        log_error("start: failed: process=%s step=%s error=%s", child_name(kind), step, strerror(errno));
        _exit(EXIT_NOT_STARTED);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
    if (pidfd < 0) {
        log_error("start: pidfd: process=%s error=%s", child_name(kind), strerror(errno));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return VAULT_E_IO;
    }
    *ret = (struct child){.pid = pid, .pidfd = pidfd, .control = -1};
    return VAULT_OK;
}

static int wait_for(const struct child *child, int options, siginfo_t *ret) {
    siginfo_t end = {0};
    int n;
    do
        n = waitid(P_PIDFD, (id_t)child->pidfd, &end, WEXITED | options);
    while (n != 0 && errno == EINTR);
    if (n != 0)
        return VAULT_E_IO;
    if (end.si_pid == 0)
        return VAULT_AGAIN;
    *ret = end;
    return VAULT_OK;
}

int child_reap(const struct child *child, siginfo_t *ret) {
    return wait_for(child, WNOHANG, ret);
}

int child_signal(const struct child *child, int signal) {
    if (syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0) == 0 || errno == ESRCH)
        return VAULT_OK;
    log_error("signal %d: pid=%d error=%s", signal, (int)child->pid, strerror(errno));
    return VAULT_E_IO;
}

int child_kill(const struct child *child, siginfo_t *ret) {
    int result = child_signal(child, SIGKILL);
    return result == VAULT_OK ? wait_for(child, 0, ret) : result;
}

int child_wait(const struct child *child, int timeout_ms, siginfo_t *ret) {
    struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n == 1 ? wait_for(child, 0, ret) : child_kill(child, ret);
}

void child_end_text(const siginfo_t *end, char *to, size_t size) {
    if (end->si_code == CLD_EXITED)
        format_string(to, size, "exited with status %d", end->si_status);
    else
        format_string(to, size, "killed by signal %d (%s)", end->si_status, strsignal(end->si_status));
}

bool child_crashed(const siginfo_t *end) {
    if (end->si_code == CLD_EXITED)
        return end->si_status == EXIT_NOT_STARTED;
    return end->si_status != SIGKILL && end->si_status != SIGALRM && end->si_status != SIGTERM &&
           end->si_status != SIGPIPE && end->si_status != SIGINT && end->si_status != SIGHUP;
}
