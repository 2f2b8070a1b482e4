#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "vault/result.h"

enum { PARTIAL_NAME = BACKUP_NAME + 16 };

int task_refuse(struct task *t, const char *rule, const char *problem) {
    t->rule = rule;
    copy_string(t->problem, sizeof(t->problem), problem);
    return VAULT_DENIED;
}

static void partial_name(const struct task *t, char to[PARTIAL_NAME]) {
    (void)format_string(to, PARTIAL_NAME, "%s.partial", t->name);
}

int folder_sync(int folder) {
    return fsync(folder) == 0 ? VAULT_OK : vault_result_from_errno(errno);
}

/* Only what a backup is made of: anything else stays, and then the folder does too. */
static void empty(int partial) {
    static const char *const files[] = {BACKUP_INDEX,   "index/lock.mdb", BACKUP_OBJECTS,
                                        BACKUP_ARCHIVE, BACKUP_ABOUT,     BACKUP_SUMS};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        (void)unlinkat(partial, files[i], 0);
    (void)unlinkat(partial, "index", AT_REMOVEDIR);
}

void partial_remove(const struct task *t) {
    char name[PARTIAL_NAME];
    partial_name(t, name);
    empty(t->partial);
    (void)unlinkat(t->place, name, AT_REMOVEDIR);
}

/* What a crash left of an earlier one goes. */
static int remove_stale(const struct task *t, const char *name) {
    int stale = openat(t->place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (stale < 0)
        return errno == ENOENT ? VAULT_OK : vault_result_from_errno(errno);
    empty(stale);
    close(stale);
    return unlinkat(t->place, name, AT_REMOVEDIR) == 0 ? VAULT_OK : vault_result_from_errno(errno);
}

int partial_make(struct task *t) {
    char name[PARTIAL_NAME];
    partial_name(t, name);
    if (remove_stale(t, name) != VAULT_OK)
        return task_refuse(t, "backup-partial", "What an earlier backup of this name left cannot be removed.");
    if (mkdirat(t->place, name, 0700) != 0)
        return vault_result_from_errno(errno);
    t->partial = openat(t->place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->partial < 0 || mkdirat(t->partial, "index", 0700) != 0)
        return vault_result_from_errno(errno);
    return VAULT_OK;
}

/* The supervisor saw that there was none of this name; a rename would not replace one that has anything in it. */
int partial_keep(struct task *t) {
    char name[PARTIAL_NAME];
    partial_name(t, name);
    int result = folder_sync(t->partial);
    if (result == VAULT_OK && renameat(t->place, name, t->place, t->name) != 0)
        result = vault_result_from_errno(errno);
    return result == VAULT_OK ? folder_sync(t->place) : result;
}
