#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault/log.h"
#include "vault/result.h"

enum { OUTER_FOLDERS = 256, FOLDERS = 65536, COMPARE_BLOCK = 16384 };

/* A folder that another process made may not be durable yet, so each one's parent is synced at its first use; the flag
 * says that it was. */
struct disk {
    int directory;
    atomic_bool outer_durable[OUTER_FOLDERS];
    atomic_bool durable[FOLDERS];
};

struct object_name {
    char outer[3];                /* ab */
    char inner[3];                /* cd */
    char file[2 * HASH_SIZE + 1]; /* the address */
    char folder[6];               /* ab/cd */
    char path[7 + 2 * HASH_SIZE]; /* ab/cd/file */
};

static void close_descriptor(const int *fd) {
    if (*fd >= 0)
        close(*fd);
}
#define CLEANUP_FD __attribute__((cleanup(close_descriptor)))

/* The result for errno, and a line in the log unless the disk is just full. */
static int fault(const char *call) {
    int error = errno;
    int result = vault_result_from_errno(error);
    if (result != VAULT_E_FULL)
        log_error("object directory: call=%s error=%s", call, strerrorname_np(error));
    return result;
}

static struct object_name name_of(const uint8_t address[HASH_SIZE]) {
    struct object_name n;
    hex_encode(n.file, sizeof(n.file), address, HASH_SIZE);
    hex_encode(n.outer, sizeof(n.outer), address, 1);
    hex_encode(n.inner, sizeof(n.inner), address + 1, 1);
    /* both always fit */
    (void)format_string(n.folder, sizeof(n.folder), "%s/%s", n.outer, n.inner);
    (void)format_string(n.path, sizeof(n.path), "%s/%s", n.folder, n.file);
    return n;
}

int disk_new(struct disk **ret, int directory) {
    struct disk *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return VAULT_E_MEMORY;
    d->directory = directory;
    *ret = d;
    return VAULT_OK;
}

void disk_free(struct disk **d) {
    free(*d);
    *d = NULL;
}

int disk_probe(const struct disk *d) {
    struct stat status;
    if (fstat(d->directory, &status) != 0 || fsync(d->directory) != 0)
        return fault("fsync");
    CLEANUP_FD int file = openat(d->directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0400);
    if (file >= 0 || errno == ENOSPC || errno == EDQUOT)
        return VAULT_OK;
    if (errno == EROFS) {
        log_warning("object directory: read-only, nothing can be deposited");
        return VAULT_OK;
    }
    fault("open unnamed file");
    return VAULT_E_IO;
}

int disk_open(const struct disk *d, const uint8_t address[HASH_SIZE], int *ret_fd, uint64_t *ret_size) {
    const struct object_name n = name_of(address);
    struct stat status;
    /* O_NONBLOCK: a FIFO put there by hand must not stop the store. */
    int file = openat(d->directory, n.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? VAULT_NOT_FOUND : fault("open object");
    int result = fstat(file, &status) == 0 ? VAULT_OK : fault("stat object");
    if (result == VAULT_OK && !S_ISREG(status.st_mode)) {
        log_error("object directory: not a regular file: object=%s", n.file);
        result = VAULT_E_IO;
    }
    if (result != VAULT_OK) {
        close(file);
        return result;
    }
    *ret_fd = file;
    *ret_size = (uint64_t)status.st_size;
    return VAULT_OK;
}

static int open_folder(int parent, const char *name, int *ret) {
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? VAULT_NOT_FOUND : fault("open folder");
    *ret = folder;
    return VAULT_OK;
}

/* Opens a folder, made if need be, durable in its parent. */
static int settle_folder(int parent, const char *name, atomic_bool *durable, int *ret) {
    bool made = mkdirat(parent, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return fault("make folder");
    if (made || !atomic_load(durable)) {
        if (fsync(parent) != 0)
            return fault("sync parent of a folder");
        atomic_store(durable, true);
    }
    int result = open_folder(parent, name, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_IO : result;
}

static int settle_folders(struct disk *d, const uint8_t *address, const struct object_name *n, int *ret) {
    CLEANUP_FD int outer = -1;
    int result = settle_folder(d->directory, n->outer, &d->outer_durable[address[0]], &outer);
    if (result == VAULT_OK)
        result = settle_folder(outer, n->inner, &d->durable[address[0] << 8 | address[1]], ret);
    return result;
}

static int write_all(int file, const uint8_t *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(file, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fault("write");
        bytes += written;
        n -= (size_t)written;
    }
    return VAULT_OK;
}

/* For direct writing where the file system has it. */
static int open_unnamed(int folder) {
    int file = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC | O_DIRECT, 0400);
    return file >= 0 || errno != EINVAL ? file : openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0400);
}

/* One direct write of as many whole blocks as there are: filling the page cache would take longer than all else. What
 * it does not take, and the rest behind the blocks, is for an ordinary write, for which the file is ready afterwards.
 */
static int write_blocks(int file, const uint8_t *bytes, size_t n, size_t *ret_written) {
    size_t whole = n - n % DISK_BLOCK;
    ssize_t written = whole == 0 ? 0 : write(file, bytes, whole);
    if (written < 0 && errno != EINTR && errno != EINVAL) /* EINVAL: this disk has larger blocks */
        return fault("write blocks");
    if (fcntl(file, F_SETFL, 0) != 0)
        return fault("end direct writing");
    *ret_written = written < 0 ? 0 : (size_t)written;
    return VAULT_OK;
}

/* An unnamed file with these bytes, whole on disk, its times 0. */
static int stage(int folder, const uint8_t *bytes, size_t n, int *ret) {
    const struct timespec times[2] = {{0, 0}, {0, 0}};
    size_t written = 0;
    int file = open_unnamed(folder);
    if (file < 0)
        return fault("open unnamed file");
    int result = write_blocks(file, bytes, n, &written);
    if (result == VAULT_OK)
        result = write_all(file, bytes + written, n - written);
    if (result == VAULT_OK && futimens(file, times) != 0)
        result = fault("set times");
    if (result == VAULT_OK && fsync(file) != 0)
        result = fault("sync file");
    if (result != VAULT_OK) {
        close(file);
        return result;
    }
    *ret = file;
    return VAULT_OK;
}

/* Gives the unnamed file its name, if nothing has it. Through /proc, since AT_EMPTY_PATH needs a capability. */
static int publish(int file, int folder, const char *name) {
    char path[32];
    (void)format_string(path, sizeof(path), "/proc/self/fd/%d", file);
    if (linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) == 0)
        return VAULT_OK;
    return errno == EEXIST ? VAULT_EXISTS : fault("link");
}

static int compare_all(int file, const uint8_t *bytes, size_t n) {
    uint8_t block[COMPARE_BLOCK];
    while (n > 0) {
        ssize_t got = read(file, block, n < sizeof(block) ? n : sizeof(block));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fault("read object");
        if (got == 0 || memcmp(block, bytes, (size_t)got) != 0)
            return VAULT_E_DAMAGED;
        bytes += got;
        n -= (size_t)got;
    }
    return VAULT_OK;
}

/* Whether what has this name already is the same; the sync is for copies that were restored by other means. */
static int confirm_same(const struct disk *d, const uint8_t *address, const uint8_t *bytes, size_t n) {
    CLEANUP_FD int file = -1;
    uint64_t size = 0;
    int result = disk_open(d, address, &file, &size);
    if (result == VAULT_NOT_FOUND)
        return VAULT_E_IO;
    if (result == VAULT_OK)
        result = size == n ? compare_all(file, bytes, n) : VAULT_E_DAMAGED;
    if (result == VAULT_OK && fsync(file) != 0)
        result = fault("sync file");
    if (result == VAULT_E_DAMAGED)
        log_error("object directory: other bytes have this name already: object=%s", name_of(address).file);
    return result;
}

/* Syncs the folder of a new name. If that fails the name is taken back, so that whoever tries again writes again: a
 * second sync after a failed one may report success for nothing. */
static int settle_name(int folder, const char *name, bool new_name) {
    if (fsync(folder) == 0)
        return VAULT_OK;
    int result = fault("sync folder");
    if (new_name && unlinkat(folder, name, 0) != 0)
        fault("take back name");
    return result;
}

int disk_keep(struct disk *d, const uint8_t address[HASH_SIZE], const uint8_t *bytes, size_t n) {
    const struct object_name name = name_of(address);
    CLEANUP_FD int folder = -1;
    CLEANUP_FD int file = -1;
    int result = settle_folders(d, address, &name, &folder);
    if (result == VAULT_OK)
        result = stage(folder, bytes, n, &file);
    if (result == VAULT_OK)
        result = publish(file, folder, name.file);
    bool there_before = result == VAULT_EXISTS;
    if (there_before)
        result = confirm_same(d, address, bytes, n);
    if (result == VAULT_OK)
        result = settle_name(folder, name.file, !there_before);
    return result;
}

/* One direct read of all blocks, past what the page cache remembers: whether the disk still has them is the question.
 * What it does not give is for ordinary reads. */
static int read_blocks(int file, uint8_t *to, size_t size, size_t *ret_n) {
    ssize_t got = fcntl(file, F_SETFL, O_DIRECT) == 0 ? pread(file, to, size, 0) : 0;
    if (got < 0 && errno != EINTR && errno != EINVAL)
        return fault("read blocks");
    if (fcntl(file, F_SETFL, 0) != 0)
        return fault("end direct reading");
    *ret_n = got < 0 ? 0 : (size_t)got;
    return VAULT_OK;
}

int disk_read(const struct disk *d, const uint8_t address[HASH_SIZE], uint8_t *to, size_t size, size_t *ret_n) {
    CLEANUP_FD int file = -1;
    uint64_t whole = 0;
    size_t n = 0;
    ssize_t got = 1;
    int result = disk_open(d, address, &file, &whole);
    if (result == VAULT_OK && whole > size)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = read_blocks(file, to, size, &n);
    while (result == VAULT_OK && got != 0 && n < whole) {
        got = pread(file, to + n, (size_t)whole - n, (off_t)n);
        if (got < 0 && errno != EINTR)
            result = fault("read object");
        n += got > 0 ? (size_t)got : 0;
    }
    *ret_n = n;
    return result;
}

int disk_remove(const struct disk *d, const uint8_t address[HASH_SIZE]) {
    const struct object_name n = name_of(address);
    CLEANUP_FD int folder = -1;
    int result = open_folder(d->directory, n.folder, &folder);
    if (result != VAULT_OK)
        return result;
    if (unlinkat(folder, n.file, 0) != 0)
        result = errno == ENOENT ? VAULT_NOT_FOUND : fault("remove object");
    /* Also when it is not there: an earlier removal may not have reached the disk. */
    if ((result == VAULT_OK || result == VAULT_NOT_FOUND) && fsync(folder) != 0)
        result = fault("sync folder");
    return result;
}
