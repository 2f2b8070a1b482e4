/* A supervisor whose children have no limit of descriptors and of locked memory (unlimited.cmake). */
#include <sys/resource.h>

int __real_setrlimit(__rlimit_resource_t what, const struct rlimit *wanted);
int __wrap_setrlimit(__rlimit_resource_t what, const struct rlimit *wanted);

int __wrap_setrlimit(__rlimit_resource_t what, const struct rlimit *wanted) {
    static const struct rlimit many = {4096, 4096};
    static const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    if (what == RLIMIT_NOFILE)
        return __real_setrlimit(what, &many);
    return __real_setrlimit(what, what == RLIMIT_MEMLOCK ? &all : wanted);
}
