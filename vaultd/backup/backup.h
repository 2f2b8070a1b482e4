/* One copy of the index, or one copy put back: everything that the parts of vaultd-backup share.
 *
 * A backup is a folder: `index/data.mdb`, the index, marked as a copy; `objects`, what belongs to it in the store, as
 * `sha256sum -c` reads it; `archive`, the archive segments that belong to it; `about`, for people; and `SHA256SUMS` of
 * these. While it is made it is called NAME.partial,
 * and nothing of that name counts. docs/backup.md. */
#ifndef VAULT_BACKUP_BACKUP_H
#define VAULT_BACKUP_BACKUP_H

#include <stdint.h>

#include "vault/copies.h"
#include "vault/message.h"

#define BACKUP_INDEX "index/data.mdb"
#define BACKUP_OBJECTS "objects"
#define BACKUP_ARCHIVE "archive"
#define BACKUP_ABOUT "about"
#define BACKUP_SUMS "SHA256SUMS"

struct task {
    int state, place; /* of the setup: `place` holds backups, or is the one to be restored */
    int partial;      /* the folder that is being made */
    char name[BACKUP_NAME + 1];
    uint64_t map_size;
    const char *rule; /* why it was refused, with `problem` */
    char problem[200];
};

/* Says why the task is refused. VAULT_DENIED. */
int task_refuse(struct task *t, const char *rule, const char *problem);

/* ---- folder.c ---- */

/* Makes NAME.partial anew, without what an earlier one left. VAULT_DENIED (refused), faults of the file system. */
int partial_make(struct task *t);
/* Gives it its name, durably. Errors as above. */
int partial_keep(struct task *t);
/* Removes it and what is in it, as far as it can. */
void partial_remove(const struct task *t);
/* Makes the entries of a folder durable. VAULT_E_IO, VAULT_E_FULL. */
int folder_sync(int folder);

/* ---- list.c: what lies beside the index ---- */

/* A file being written into a folder. Sticky: after a failure nothing more is written. */
struct listing {
    int fd;
    int result;
    size_t used;
    char text[8192];
};
int listing_open(struct listing *l, int folder, const char *name);
void listing_line(struct listing *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Durable when it returns VAULT_OK. VAULT_E_IO, VAULT_E_FULL. */
int listing_close(struct listing *l);
/* SHA-256 of what is in a file from its start; if `to` is not negative it is copied there. VAULT_E_IO, VAULT_E_FULL. */
int file_hash(int from, int to, uint8_t ret[HASH_SIZE], uint64_t *ret_bytes);
/* Writes `SHA256SUMS` of the other files. Faults as above. */
int sums_write(int folder);
/* The hash that `SHA256SUMS` says the index has. VAULT_NOT_FOUND, VAULT_E_FORMAT, VAULT_E_IO. */
int sums_read(int folder, uint8_t ret[HASH_SIZE]);

/* ---- make.c, restore.c: the tasks ---- */

/* Leaves a verified backup, or nothing. VAULT_DENIED (refused), otherwise a fault. */
int backup_make(struct task *t, const struct index_keys *keys, struct msg_backup_copied *ret);
/* Leaves the copy in the index's place, or what was there before, which is nothing. Errors as above. */
int backup_restore(struct task *t, struct msg_backup_restored *ret);

#endif
