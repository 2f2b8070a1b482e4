/* A copy put in the index's place. No key is known here: that the file is the one which was verified, its hash says;
 * whether it can be opened shows when the vault is unsealed. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "vault/log.h"
#include "vault/result.h"

#define RESTORING "index/data.mdb.new"

static int damaged(struct task *t, const char *problem) {
    return task_refuse(t, "backup-damaged", problem);
}

static int open_folder(const struct task *t, int *ret) {
    if (mkdirat(t->state, "index", 0700) != 0 && errno != EEXIST)
        return vault_result_from_errno(errno);
    *ret = openat(t->state, "index", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret >= 0 ? folder_sync(t->state) : vault_result_from_errno(errno);
}

static int copy_checked(struct task *t, int from, int to, uint64_t *ret_bytes) {
    uint8_t wanted[HASH_SIZE], found[HASH_SIZE];
    int result = sums_read(t->place, wanted);
    if (result == VAULT_NOT_FOUND || result == VAULT_E_FORMAT)
        return damaged(t, "This is no whole backup: its SHA256SUMS is missing, or does not name index/data.mdb.");
    if (result == VAULT_OK)
        result = file_hash(from, to, found, ret_bytes);
    if (result == VAULT_OK && sodium_memcmp(wanted, found, HASH_SIZE) != 0)
        return damaged(t, "The backup is damaged: its index/data.mdb is not what SHA256SUMS says.");
    if (result == VAULT_OK && fsync(to) != 0)
        result = vault_result_from_errno(errno);
    return result;
}

static int copy_file(struct task *t, uint64_t *ret_bytes) {
    int from = openat(t->place, BACKUP_INDEX, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return damaged(t, "This is no whole backup: its index/data.mdb is missing, or cannot be read by the monitor's "
                          "user.");
    int to = openat(t->state, RESTORING, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = to >= 0 ? copy_checked(t, from, to, ret_bytes) : vault_result_from_errno(errno);
    if (to >= 0)
        close(to);
    close(from);
    return result;
}

/* There is an index from the rename on. What a former index left of locks is not for this one. */
static int put_in_place(const struct task *t, int index) {
    if (unlinkat(index, "lock.mdb", 0) != 0 && errno != ENOENT)
        return vault_result_from_errno(errno);
    if (renameat(t->state, RESTORING, t->state, BACKUP_INDEX) != 0)
        return vault_result_from_errno(errno);
    return folder_sync(index);
}

int backup_restore(struct task *t, struct msg_backup_restored *ret) {
    int index = -1;
    struct stat found;
    if (fstatat(t->state, BACKUP_INDEX, &found, AT_SYMLINK_NOFOLLOW) == 0)
        return task_refuse(t, "index-exists", "There is an index already; nothing was changed.");
    int result = open_folder(t, &index);
    if (result == VAULT_OK)
        result = copy_file(t, &ret->bytes);
    if (result == VAULT_OK)
        result = put_in_place(t, index);
    if (index >= 0)
        close(index);
    if (result == VAULT_OK)
        return result;
    log_error("restore: not done result=\"%s\"", vault_result_name(result));
    (void)unlinkat(t->state, RESTORING, 0);
    (void)unlinkat(t->state, "index", AT_REMOVEDIR);
    return result == VAULT_E_FULL
               ? task_refuse(t, "state-full", "The state directory has no space for it; nothing was changed.")
               : result;
}
