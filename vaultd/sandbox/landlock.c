/* Landlock by raw system calls: the C library has no wrappers, and Debian 12's header ends at ABI 2. The constants are
 * those of the kernel's include/uapi/linux/landlock.h. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_internal.h"
#include "vault/log.h"
#include "vault/result.h"

enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1, ABI_NEEDED = 2, ABI_WHOLE = 6 };

#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define FS_OF_ABI_2 ((1ULL << 14) - 1)

#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net; /* from ABI 4 */
    uint64_t scoped;      /* from ABI 6 */
};

struct rule_beneath {
    uint64_t allowed;
    int32_t directory;
} __attribute__((packed));

/* What this kernel can refuse; the size of what it knows of the structure goes to *ret_size. */
static struct ruleset ruleset_of(long abi, size_t *ret_size) {
    struct ruleset r = {.handled_fs = FS_OF_ABI_2};
    *ret_size = sizeof(r.handled_fs);
    if (abi >= 3)
        r.handled_fs |= FS_TRUNCATE;
    if (abi >= 4) {
        r.handled_net = NET_BIND_TCP | NET_CONNECT_TCP;
        *ret_size = offsetof(struct ruleset, scoped);
    }
    if (abi >= 5)
        r.handled_fs |= FS_IOCTL_DEV;
    if (abi >= 6) {
        r.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
        *ret_size = sizeof(r);
    }
    return r;
}

/* Of the directory with this place in the list. */
static uint64_t kept_of(enum sandbox_profile profile, unsigned place) {
    const uint64_t kept = FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
                          FS_REFER | FS_TRUNCATE;
    if (profile == SANDBOX_COURIER)
        return FS_READ_FILE | FS_READ_DIR;
    if (profile != SANDBOX_BACKUP)
        return kept;
    return place < 2 ? kept | FS_REMOVE_DIR : FS_MAKE_DIR | FS_REMOVE_DIR;
}

static int allow_beneath(int ruleset, uint64_t handled, enum sandbox_profile profile, const int *directories,
                         unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const struct rule_beneath rule = {.allowed = kept_of(profile, i) & handled, .directory = directories[i]};
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0) {
            log_error("sandbox: a directory cannot be kept: error=%s", strerror(errno));
            return VAULT_E_IO;
        }
    }
    return VAULT_OK;
}

static int restrict_self(int ruleset) {
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        log_error("sandbox: Landlock refused: error=%s", strerror(errno));
        return VAULT_E_IO;
    }
    return VAULT_OK;
}

int landlock_enter(enum sandbox_profile profile, const int *directories, unsigned count) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    if (abi < ABI_NEEDED) {
        log_error("sandbox: this kernel has no Landlock of ABI %d or newer: abi=%ld", ABI_NEEDED, abi);
        return VAULT_E_STATE;
    }
    if (abi < ABI_WHOLE)
        log_notice("sandbox: Landlock of this kernel leaves open:%s%s%s%s abi=%ld", abi < 3 ? " truncate" : "",
                   abi < 4 ? " tcp" : "", abi < 5 ? " device-ioctl" : "", " abstract-sockets signals", abi);
    size_t size = 0;
    struct ruleset wanted = ruleset_of(abi, &size);
    if (profile == SANDBOX_COURIER)
        wanted.handled_net &= ~NET_CONNECT_TCP;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &wanted, size, 0);
    if (ruleset < 0) {
        log_error("sandbox: Landlock ruleset refused: error=%s", strerror(errno));
        return VAULT_E_IO;
    }
    int result = allow_beneath(ruleset, wanted.handled_fs, profile, directories, count);
    if (result == VAULT_OK)
        result = restrict_self(ruleset);
    close(ruleset);
    return result;
}
