#include "sandbox_internal.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "vault/log.h"
#include "vault/result.h"
#include "vault/secret.h"

int sandbox_start(void) {
    int result = secret_no_dumps();
    return result == VAULT_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? VAULT_E_IO : result;
}

/* Landlock binds the calling thread only, so threads may be started after it, not before. The folder of a process's
 * threads has a link for each of them and two of its own. */
static int single_thread(void) {
    struct stat tasks;
    if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink != 3) {
        log_error("sandbox: entered with threads running");
        return VAULT_E_STATE;
    }
    return VAULT_OK;
}

int sandbox_enter(enum sandbox_profile profile, const int *directories, unsigned count) {
    tzset(); /* reads /etc/localtime now; gmtime_r would at its first call */
#ifdef VAULT_SANITIZED
    sanitizer_prepare();
#endif
    int result = single_thread();
    if (result == VAULT_OK)
        result = sandbox_start();
    if (result == VAULT_OK && profile == SANDBOX_WORKER)
        result = memory_limit();
    if (result == VAULT_OK)
        result = landlock_enter(profile, directories, count);
    if (result == VAULT_OK)
        result = filter_enter(profile);
    return result;
}
