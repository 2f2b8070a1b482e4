#include "trust_watch.h"

#include <sys/stat.h>

static struct file_mark mark_of(const char *path) {
    struct stat s;
    if (stat(path, &s) != 0)
        return (struct file_mark){0};
    return (struct file_mark){.device = s.st_dev,
                              .inode = s.st_ino,
                              .modified_s = s.st_mtim.tv_sec,
                              .modified_ns = s.st_mtim.tv_nsec,
                              .changed_s = s.st_ctim.tv_sec,
                              .changed_ns = s.st_ctim.tv_nsec,
                              .size = s.st_size};
}

static bool same(const struct file_mark *a, const struct file_mark *b) {
    return a->device == b->device && a->inode == b->inode && a->modified_s == b->modified_s &&
           a->modified_ns == b->modified_ns && a->changed_s == b->changed_s && a->changed_ns == b->changed_ns &&
           a->size == b->size;
}

struct file_pair pair_look(const char *first, const char *second) {
    return (struct file_pair){.first = mark_of(first), .second = mark_of(second)};
}

bool pair_same(const struct file_pair *a, const struct file_pair *b) {
    return same(&a->first, &b->first) && same(&a->second, &b->second);
}
