#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring_internal.h"
#include "vault/buffer.h"
#include "vault/result.h"

/* One of the two copies as found: `state` is VAULT_OK (head is set), VAULT_NOT_FOUND, VAULT_E_DAMAGED or
 * VAULT_E_FORMAT. */
struct copy {
    int directory;
    const char *name;
    int state;
    size_t size;
    struct ring_head head; /* points into bytes */
    uint8_t bytes[RING_FILE_MAX + 1];
};

static int beside(const char *name, char ret[NAME_MAX + 1]) {
    return format_string(ret, NAME_MAX + 1, "%s.new", name) ? VAULT_OK : VAULT_E_LIMIT;
}

static int write_all(int fd, const uint8_t *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return vault_result_from_errno(errno);
        bytes += written;
        n -= (size_t)written;
    }
    return VAULT_OK;
}

static int remove_if_there(int directory, const char *name) {
    return unlinkat(directory, name, 0) != 0 && errno != ENOENT ? VAULT_E_IO : VAULT_OK;
}

/* A new file with these bytes, durable as far as its content goes. */
static int write_file(int directory, const char *name, const uint8_t *bytes, size_t n) {
    int result = remove_if_there(directory, name);
    if (result != VAULT_OK)
        return result;
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return vault_result_from_errno(errno);
    result = write_all(fd, bytes, n);
    if (result == VAULT_OK && fsync(fd) != 0)
        result = vault_result_from_errno(errno);
    if (close(fd) != 0 && result == VAULT_OK)
        result = vault_result_from_errno(errno);
    return result;
}

/* Replaces the file so that at any moment the name leads to the whole old or the whole new content. */
static int replace_file(int directory, const char *name, const uint8_t *bytes, size_t n) {
    char fresh[NAME_MAX + 1];
    int result = beside(name, fresh);
    if (result != VAULT_OK)
        return result;
    result = write_file(directory, fresh, bytes, n);
    if (result == VAULT_OK && renameat(directory, fresh, directory, name) != 0)
        result = vault_result_from_errno(errno);
    if (result != VAULT_OK) {
        int reason = errno;
        (void)remove_if_there(directory, fresh); /* the first fault is the one to report; the next store tries again */
        errno = reason;
        return result;
    }
    return fsync(directory) != 0 ? vault_result_from_errno(errno) : VAULT_OK;
}

/* Up to RING_FILE_MAX + 1 bytes, so that a longer file is noticed. */
static int read_all(int fd, struct copy *c) {
    c->size = 0;
    while (c->size < sizeof(c->bytes)) {
        ssize_t n = read(fd, c->bytes + c->size, sizeof(c->bytes) - c->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return VAULT_E_IO;
        if (n == 0)
            break;
        c->size += (size_t)n;
    }
    return VAULT_OK;
}

/* Reads one copy. A copy that cannot be read for a reason of the system is a fault, not damage: it could be the newer
 * one, and repairing would overwrite it. */
static int read_copy(int directory, const char *name, struct copy *c) {
    struct stat s;
    c->directory = directory;
    c->name = name;
    c->state = VAULT_NOT_FOUND;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? VAULT_OK : VAULT_E_IO;
    int result = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) ? read_all(fd, c) : VAULT_E_IO;
    close(fd);
    if (result == VAULT_OK)
        c->state = ring_head_parse(c->bytes, c->size, &c->head);
    return result;
}

static bool same_content(const struct copy *a, const struct copy *b) {
    return a->state == VAULT_OK && b->state == VAULT_OK && a->size == b->size &&
           sodium_memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Which copy to try first, and which one is the other. The outcomes of keyring_load where there is none to try. */
static int choose(const struct copy *first, const struct copy *twin, const struct copy **ret,
                  const struct copy **other) {
    if (first->state == VAULT_NOT_FOUND && twin->state == VAULT_NOT_FOUND)
        return VAULT_NOT_FOUND;
    if (first->state == VAULT_E_FORMAT || twin->state == VAULT_E_FORMAT)
        return VAULT_E_FORMAT;
    if (first->state != VAULT_OK && twin->state != VAULT_OK)
        return VAULT_E_DAMAGED;
    bool both = first->state == VAULT_OK && twin->state == VAULT_OK;
    if (both && sodium_memcmp(first->head.vault_id, twin->head.vault_id, KEYRING_ID) != 0)
        return VAULT_E_STATE;
    bool take_twin = first->state != VAULT_OK || (both && twin->head.epoch > first->head.epoch);
    *ret = take_twin ? twin : first;
    *other = take_twin ? first : twin;
    return VAULT_OK;
}

/* Opens the chosen copy; where both are of the same epoch, the other may serve instead. An older copy never does: it
 * would be repaired over a newer one that only needs another root key. */
static int open_either(const struct copy **chosen, const struct copy **other, const struct secret *root,
                       struct keyring **ret) {
    int result = ring_open(&(*chosen)->head, root, ret);
    if (result != VAULT_DENIED || (*other)->state != VAULT_OK || (*other)->head.epoch != (*chosen)->head.epoch)
        return result;
    const struct copy *swap = *chosen;
    *chosen = *other;
    *other = swap;
    return ring_open(&(*chosen)->head, root, ret);
}

/* A temporary file that a killed store left holds old generations too: it must not outlive their retirement. */
static int remove_leftover(const struct copy *c) {
    char fresh[NAME_MAX + 1];
    int result = beside(c->name, fresh);
    return result == VAULT_OK ? remove_if_there(c->directory, fresh) : result;
}

/* Reads both, and says which to try first. */
static int read_copies(const struct keyring_place *place, struct copy *first, struct copy *twin,
                       const struct copy **ret, const struct copy **other) {
    int result = read_copy(place->directory, place->name, first);
    if (result == VAULT_OK)
        result = read_copy(place->twin_directory, place->twin_name, twin);
    return result == VAULT_OK ? choose(first, twin, ret, other) : result;
}

int keyring_peek(const struct keyring_place *place, struct seal *ret_seal, uint8_t ret_vault[KEYRING_ID]) {
    struct copy first_copy, twin_copy;
    const struct copy *chosen = NULL, *other = NULL;
    int result = read_copies(place, &first_copy, &twin_copy, &chosen, &other);
    if (result != VAULT_OK)
        return result;
    *ret_seal = chosen->head.seal;
    copy_bytes(ret_vault, KEYRING_ID, chosen->head.vault_id, KEYRING_ID);
    return VAULT_OK;
}

int keyring_load(const struct keyring_place *place, const struct secret *root, struct keyring **ret,
                 bool *ret_repaired) {
    struct copy first_copy, twin_copy;
    const struct copy *chosen = NULL, *other = NULL;
    struct keyring *k = NULL;
    int result = read_copies(place, &first_copy, &twin_copy, &chosen, &other);
    if (result == VAULT_OK)
        result = open_either(&chosen, &other, root, &k);
    if (result != VAULT_OK)
        return result;
    bool repair = !same_content(chosen, other);
    if (repair)
        result = replace_file(other->directory, other->name, chosen->bytes, chosen->size);
    if (result == VAULT_OK)
        result = remove_leftover(&first_copy);
    if (result == VAULT_OK)
        result = remove_leftover(&twin_copy);
    if (result != VAULT_OK) {
        keyring_free(&k);
        return result;
    }
    *ret = k;
    *ret_repaired = repair;
    return VAULT_OK;
}

int keyring_store(const struct keyring *k, const struct keyring_place *place, const struct secret *root) {
    uint8_t bytes[RING_FILE_MAX];
    size_t size = 0;
    int result = ring_encode(k, root, bytes, &size);
    if (result == VAULT_OK)
        result = replace_file(place->directory, place->name, bytes, size);
    if (result == VAULT_OK)
        result = replace_file(place->twin_directory, place->twin_name, bytes, size);
    return result;
}

int keyring_copy(const struct keyring *k, const struct seal *s, const struct secret *root,
                 uint8_t ret[KEYRING_FILE_MAX], size_t *ret_size) {
    struct keyring copy = *k; /* its keys stay the ring's: they are lent for as long as this takes */
    copy.seal = *s;
    return ring_encode(&copy, root, ret, ret_size);
}

/* What cannot be asked about is taken to exist, so that nobody starts a new vault over an old one. */
static bool is_there(int directory, const char *name) {
    struct stat s;
    return fstatat(directory, name, &s, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool keyring_exists(const struct keyring_place *place) {
    return is_there(place->directory, place->name) || is_there(place->twin_directory, place->twin_name);
}
