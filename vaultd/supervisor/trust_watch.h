/* Notices that two files of the gate's on disk are others than it has. */
#ifndef VAULT_SUPERVISOR_TRUST_WATCH_H
#define VAULT_SUPERVISOR_TRUST_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Which file a path led to, and in what state. All zero: none. */
struct file_mark {
    dev_t device;
    ino_t inode;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
    off_t size;
};

/* The client CA and the revocation list, or the server's certificate and its key. */
struct file_pair {
    struct file_mark first, second;
};

/* The marks of now. */
struct file_pair pair_look(const char *first, const char *second);
bool pair_same(const struct file_pair *a, const struct file_pair *b);

#endif
