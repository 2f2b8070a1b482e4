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

struct trust_files trust_look(const struct config *c) {
    return (struct trust_files){.clients = mark_of(c->clients), .revocations = mark_of(c->revocations)};
}

bool trust_same(const struct trust_files *a, const struct trust_files *b) {
    return same(&a->clients, &b->clients) && same(&a->revocations, &b->revocations);
}
