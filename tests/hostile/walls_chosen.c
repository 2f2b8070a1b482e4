/* Walls that go up once the client has said which of them are off. They are the real ones (vaultd/sandbox/), one of
 * them left out: what gets through without it is what it keeps out. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "tests/hostile/walls.h"
#include "vault/result.h"
#include "vaultd/sandbox/sandbox_internal.h"

int __real_sandbox_enter(enum sandbox_profile profile, const int *directories, unsigned count);
int __wrap_sandbox_enter(enum sandbox_profile profile, const int *directories, unsigned count);
int __real_landlock_enter(enum sandbox_profile profile, const int *directories, unsigned count);
int __wrap_landlock_enter(enum sandbox_profile profile, const int *directories, unsigned count);
int __real_filter_enter(enum sandbox_profile profile);
int __wrap_filter_enter(enum sandbox_profile profile);

int __real_memory_limit(void);
int __wrap_memory_limit(void);

static const char *left_out = "";

static bool is_off(const char *wall) {
    return strstr(left_out, wall) != NULL;
}

/* Before there is a client: not yet. */
int __wrap_sandbox_enter(enum sandbox_profile profile, const int *directories, unsigned count) {
    (void)directories;
    return profile == SANDBOX_WORKER && count == 0 ? VAULT_OK : VAULT_E_STATE;
}

int __wrap_landlock_enter(enum sandbox_profile profile, const int *directories, unsigned count) {
    return is_off("landlock") ? VAULT_OK : __real_landlock_enter(profile, directories, count);
}

int __wrap_memory_limit(void) {
    return is_off("memory") ? VAULT_OK : __real_memory_limit();
}

/* The last of the walls: behind it `dumpable` could not be taken back any more. */
int __wrap_filter_enter(enum sandbox_profile profile) {
    if (is_off("dumpable") && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        return VAULT_E_IO;
    return is_off("seccomp") ? VAULT_OK : __real_filter_enter(profile);
}

int walls_up(const char *off) {
    left_out = off;
    return __real_sandbox_enter(SANDBOX_WORKER, NULL, 0);
}
