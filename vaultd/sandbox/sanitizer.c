/* In builds with sanitizers only: what their runtime needs to report a fault from behind the walls. It gets nothing
 * from outside: what it has to read, the list of loaded modules, it reads before the walls are up; and the calls by
 * which it asks again, for which the walls would kill it before it has said a word, fail instead. */
#include <errno.h>
#include <sanitizer/common_interface_defs.h>
#include <seccomp.h>
#include <stddef.h>

#include "sandbox_internal.h"
#include "vault/result.h"

void sanitizer_prepare(void) {
    char place[64];
    __sanitizer_symbolize_pc(__builtin_return_address(0), "%p", place, sizeof(place));
}

int sanitizer_refuse(void *filter, enum sandbox_profile profile) {
    static const int everyone[] = {SCMP_SYS(ioctl), SCMP_SYS(open), SCMP_SYS(readlink), SCMP_SYS(stat),
                                   SCMP_SYS(access)};
    int result = 0;
    for (size_t i = 0; i < sizeof(everyone) / sizeof(everyone[0]) && result == 0; i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), everyone[i], 0);
    if (result == 0 && (profile == SANDBOX_GATE || profile == SANDBOX_WORKER)) /* elsewhere Landlock refuses it */
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
    return result == 0 ? VAULT_OK : VAULT_E_MEMORY;
}
