/* A disk that remembers in which order it was written. It is a FUSE file system with one file, `disk`, backed by IMAGE;
 * a loop device on that file passes on what the block layer sends: writes, and a sync for each flush. LOG gets a record
 * for each of them, in the order in which the disk took them.
 *
 * One thread, and no cache: a write that comes while a flush is taken waits, so that it is behind the flush in the log
 * as well. A flush is taken slowly (FLUSH_MS), so that an answer that does not wait for it comes visibly before it. */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { KIND_WRITE = 1, KIND_FLUSH = 2 };

/* In front of each record; the bytes of a write follow. `nanoseconds` is of the monotonic clock, before the answer. */
struct entry {
    uint64_t kind, offset, length, nanoseconds;
};

static struct {
    int image, log;
    struct timespec flush;
} disk;

static int record(enum kind kind, uint64_t offset, const char *bytes, size_t n) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    struct entry e = {kind, offset, n, (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec};
    struct iovec parts[2] = {{&e, sizeof(e)}, {(void *)(uintptr_t)bytes, n}};
    ssize_t written = writev(disk.log, parts, 2);
    return written == (ssize_t)(sizeof(e) + n) ? 0 : -EIO;
}

static bool is_disk(const char *path) {
    return strcmp(path, "/disk") == 0;
}

static int get_attributes(const char *path, struct stat *s, struct fuse_file_info *info) {
    (void)info;
    if (!is_disk(path) && strcmp(path, "/") != 0)
        return -ENOENT;
    if (is_disk(path))
        return fstat(disk.image, s) == 0 ? 0 : -errno;
    *s = (struct stat){.st_mode = S_IFDIR | 0700, .st_nlink = 2};
    return 0;
}

static int open_disk(const char *path, struct fuse_file_info *info) {
    if (!is_disk(path))
        return -ENOENT;
    info->direct_io = 1;
    return 0;
}

static int read_disk(const char *path, char *bytes, size_t n, off_t offset, struct fuse_file_info *info) {
    (void)path, (void)info;
    ssize_t got = pread(disk.image, bytes, n, offset);
    return got >= 0 ? (int)got : -errno;
}

static int write_disk(const char *path, const char *bytes, size_t n, off_t offset, struct fuse_file_info *info) {
    (void)path, (void)info;
    if (pwrite(disk.image, bytes, n, offset) != (ssize_t)n)
        return -EIO;
    int result = record(KIND_WRITE, (uint64_t)offset, bytes, n);
    return result == 0 ? (int)n : result;
}

static int flush_disk(const char *path, int data_only, struct fuse_file_info *info) {
    (void)path, (void)data_only, (void)info;
    (void)nanosleep(&disk.flush, NULL);
    return record(KIND_FLUSH, 0, NULL, 0);
}

static const struct fuse_operations operations = {
    .getattr = get_attributes, .open = open_disk, .read = read_disk, .write = write_disk, .fsync = flush_disk};

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: power_recorder IMAGE LOG MOUNTPOINT FLUSH_MS\n");
        return 2;
    }
    long flush_ms = strtol(argv[4], NULL, 10);
    disk.flush = (struct timespec){flush_ms / 1000, flush_ms % 1000 * 1000000};
    disk.image = open(argv[1], O_RDWR | O_CLOEXEC);
    disk.log = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    /* Locked: writing back to a disk must not need memory that is to be written back to that disk. */
    if (disk.image < 0 || disk.log < 0 || mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        perror("power_recorder");
        return 1;
    }
    char foreground[] = "-f", one_thread[] = "-s";
    char *arguments[] = {argv[0], foreground, one_thread, argv[3], NULL};
    return fuse_main(4, arguments, &operations, NULL);
}
