/* Notices that the client CA or the revocation list on disk is another one than the gate has. */
#ifndef VAULT_SUPERVISOR_TRUST_WATCH_H
#define VAULT_SUPERVISOR_TRUST_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

/* Which file a path led to, and in what state. All zero: none. */
struct file_mark {
    dev_t device;
    ino_t inode;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
    off_t size;
};

struct trust_files {
    struct file_mark clients, revocations;
};

/* The marks of now. */
struct trust_files trust_look(const struct config *c);
bool trust_same(const struct trust_files *a, const struct trust_files *b);

#endif
