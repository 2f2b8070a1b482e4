/* The permitted system calls of each profile. To find what a change needs: `strace -f -o FILE vaultd ...`; the call
 * that killed is the last one, and the kernel logs it as `audit: type=1326 ... syscall=N`. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox_internal.h"
#include "vault/log.h"
#include "vault/result.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Descriptors it has, memory without code, time, its own signals. */
static const int everyone[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), /* malloc asks how many processors there are */
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(sysinfo), /* qsort asks how much memory there is */
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* vault/loop.h */
static const int events[] = {
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
};

/* Files beneath the kept directories; what they may be is Landlock's part. Landlock does not cover asking for a file's
 * status, which the C library's fstat needs as newfstatat. */
static const int files[] = {
    SCMP_SYS(openat),   SCMP_SYS(newfstatat), SCMP_SYS(fsync),    SCMP_SYS(fdatasync),
    SCMP_SYS(pwrite64), SCMP_SYS(ftruncate),  SCMP_SYS(unlinkat),
};

/* Objects: shared buffers, staging, links, fixed times; writer threads. */
static const int objects[] = {
    SCMP_SYS(mkdirat),  SCMP_SYS(linkat),          SCMP_SYS(utimensat), SCMP_SYS(memfd_create),
    SCMP_SYS(eventfd2), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
};

/* The key ring's replacement; the reserve of space; and LMDB, which opens its environment anew after a failed commit.
 */
static const int index_calls[] = {
    SCMP_SYS(renameat), SCMP_SYS(mkdir), SCMP_SYS(msync), SCMP_SYS(uname), SCMP_SYS(fstatfs), SCMP_SYS(fallocate),
};

/* To look up a name and to connect; files are read only, which is Landlock's part. */
static const int network[] = {
    SCMP_SYS(connect),         SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(bind),
    SCMP_SYS(sendmmsg),        SCMP_SYS(openat),      SCMP_SYS(newfstatat),  SCMP_SYS(socketpair),
    SCMP_SYS(pipe2),           SCMP_SYS(eventfd2),    SCMP_SYS(uname),       SCMP_SYS(access),
    SCMP_SYS(set_robust_list), SCMP_SYS(rseq),        SCMP_SYS(statfs),      SCMP_SYS(readlink),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) != 0)
            return VAULT_E_MEMORY;
    return VAULT_OK;
}

/* Permits a call if one argument has a value under a mask. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
    const struct scmp_arg_cmp wanted = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value);
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &wanted) == 0 ? VAULT_OK : VAULT_E_MEMORY;
}

/* As allow_if for each of a list of whole values; int arguments, whose upper half the kernel ignores. */
static int allow_values(scmp_filter_ctx filter, int call, unsigned argument, const int *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (allow_if(filter, call, argument, UINT32_MAX, (scmp_datum_t)values[i]) != VAULT_OK)
            return VAULT_E_MEMORY;
    return VAULT_OK;
}

static int allow_option(scmp_filter_ctx filter, const int option[2]) {
    const struct scmp_arg_cmp wanted[] = {SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)option[0]),
                                          SCMP_CMP(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)option[1])};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2, wanted) == 0 ? VAULT_OK
                                                                                                : VAULT_E_MEMORY;
}

/* Timeouts, the reset at close, and TCP's pace; nothing that runs a program in the kernel, such as a socket filter. */
static int allow_socket_options(scmp_filter_ctx filter) {
    static const int options[][2] = {
        {SOL_SOCKET, SO_RCVTIMEO},       {SOL_SOCKET, SO_SNDTIMEO}, {SOL_SOCKET, SO_LINGER},
        {SOL_SOCKET, SO_SNDBUF},         {SOL_SOCKET, SO_RCVBUF},   {SOL_SOCKET, SO_KEEPALIVE},
        {IPPROTO_TCP, TCP_NODELAY},      {IPPROTO_TCP, TCP_CORK},   {IPPROTO_TCP, TCP_QUICKACK},
        {IPPROTO_TCP, TCP_USER_TIMEOUT},
    };
    int result = VAULT_OK;
    for (size_t i = 0; i < COUNT(options) && result == VAULT_OK; i++)
        result = allow_option(filter, options[i]);
    return result;
}

/* Calls that are harmless with some arguments only. */
static int allow_partly(scmp_filter_ctx filter) {
    static const int descriptor_flags[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GET_SEALS, F_DUPFD_CLOEXEC};
    int result = allow_if(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
    if (result == VAULT_OK)
        result = allow_if(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
    if (result == VAULT_OK) /* abort() */
        result = allow_if(filter, SCMP_SYS(tgkill), 0, UINT32_MAX, (scmp_datum_t)getpid());
    if (result == VAULT_OK) /* reading a limit, not setting one */
        result = allow_if(filter, SCMP_SYS(prlimit64), 2, UINT64_MAX, 0);
    if (result == VAULT_OK)
        result = allow_values(filter, SCMP_SYS(fcntl), 1, descriptor_flags, COUNT(descriptor_flags));
    if (result == VAULT_OK)
        result = allow_socket_options(filter);
    return result;
}

/* Threads, not processes. clone3 hides its flags in memory, so it does not exist here and the C library falls back. */
static int allow_threads(scmp_filter_ctx filter) {
    const unsigned thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0)
        return VAULT_E_MEMORY;
    return allow_if(filter, SCMP_SYS(clone), 0, thread, thread);
}

/* The C library's fstat is a newfstatat, which would also ask about any path: it fails here, without killing. */
static int refuse_status(scmp_filter_ctx filter) {
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(newfstatat), 0) == 0 ? VAULT_OK : VAULT_E_MEMORY;
}

static int allow_store(scmp_filter_ctx filter) {
    static const int seals[] = {F_ADD_SEALS};
    int result = allow(filter, events, COUNT(events));
    if (result == VAULT_OK)
        result = allow(filter, files, COUNT(files));
    if (result == VAULT_OK)
        result = allow(filter, objects, COUNT(objects));
    if (result == VAULT_OK)
        result = allow_values(filter, SCMP_SYS(fcntl), 1, seals, COUNT(seals));
    return result == VAULT_OK ? allow_threads(filter) : result;
}

static int allow_monitor(scmp_filter_ctx filter) {
    static const int locks[] = {F_GETLK, F_SETLK, F_SETLKW};
    int result = allow(filter, events, COUNT(events));
    if (result == VAULT_OK)
        result = allow(filter, files, COUNT(files));
    if (result == VAULT_OK)
        result = allow(filter, index_calls, COUNT(index_calls));
    return result == VAULT_OK ? allow_values(filter, SCMP_SYS(fcntl), 1, locks, COUNT(locks)) : result;
}

/* The index's calls; folders; and the one thread by which LMDB writes while it reads. */
static int allow_backup(scmp_filter_ctx filter) {
    static const int calls[] = {SCMP_SYS(mkdirat), SCMP_SYS(fchdir), SCMP_SYS(set_robust_list), SCMP_SYS(rseq)};
    int result = allow_monitor(filter);
    if (result == VAULT_OK)
        result = allow(filter, calls, COUNT(calls));
    return result == VAULT_OK ? allow_threads(filter) : result;
}

/* Sockets of the internet, and those by which the C library asks about names and addresses. */
static int allow_courier(scmp_filter_ctx filter) {
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    static const int more_options[][2] = {{IPPROTO_IP, IP_RECVERR}, {IPPROTO_IPV6, IPV6_RECVERR}};
    int result = allow(filter, network, COUNT(network));
    if (result == VAULT_OK)
        result = allow_values(filter, SCMP_SYS(socket), 0, families, COUNT(families));
    for (size_t i = 0; i < COUNT(more_options) && result == VAULT_OK; i++)
        result = allow_option(filter, more_options[i]);
    return result == VAULT_OK ? allow_threads(filter) : result;
}

static int allow_gate(scmp_filter_ctx filter) {
    int result = allow(filter, events, COUNT(events));
    return result == VAULT_OK ? refuse_status(filter) : result;
}

static int allow_profile(scmp_filter_ctx filter, enum sandbox_profile profile) {
    int result = allow(filter, everyone, COUNT(everyone));
    if (result == VAULT_OK)
        result = allow_partly(filter);
    if (result != VAULT_OK)
        return result;
    switch (profile) {
    case SANDBOX_GATE: return allow_gate(filter);
    case SANDBOX_MONITOR: return allow_monitor(filter);
    case SANDBOX_STORE: return allow_store(filter);
    case SANDBOX_WORKER: return refuse_status(filter);
    case SANDBOX_BACKUP: return allow_backup(filter);
    case SANDBOX_COURIER: return allow_courier(filter);
    }
    return VAULT_E_STATE;
}

int filter_enter(enum sandbox_profile profile) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL)
        return VAULT_E_MEMORY;
    int result = VAULT_OK;
    if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0)
        result = VAULT_E_STATE;
    if (result == VAULT_OK)
        result = allow_profile(filter, profile);
#ifdef VAULT_SANITIZED
    if (result == VAULT_OK)
        result = sanitizer_refuse(filter, profile);
#endif
    int refused = result == VAULT_OK ? seccomp_load(filter) : 0;
    seccomp_release(filter);
    if (refused != 0) {
        log_error("sandbox: seccomp refused: error=%s", strerror(-refused));
        return VAULT_E_STATE;
    }
    return result;
}
