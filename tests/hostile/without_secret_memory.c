/* A supervisor on a kernel without secret memory, as far as it and its children can tell (without_secret_memory.cmake).
 */
#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>

__attribute__((constructor)) static void refuse(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL || seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(memfd_secret), 0) != 0 ||
        seccomp_load(filter) != 0)
        abort();
    seccomp_release(filter);
}
