#include "tiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vaultctl/files.h"
#include "vaultctl/names.h"
#include "vault/buffer.h"
#include "vault/record.h"
#include "vault/result.h"

/* Hashes of one level whose tile is not full yet, and the number of that tile. */
struct level {
    uint64_t number;
    unsigned count;
    uint8_t hashes[TILE_WIDTH][MERKLE_HASH];
};

struct tiles {
    const char *folder;
    struct level levels[TILE_LEVELS];
    struct merkle_fold fold;
    uint8_t
        entries[TILE_WIDTH * (2 + RECORD_LINE_MAX)]; /* of the tile of level 0 that is not full: u16 length ‖ line */
    size_t entries_size;
};

struct tiles *tiles_begin(const char *folder) {
    struct tiles *t = calloc(1, sizeof(*t));
    if (t != NULL)
        t->folder = folder;
    return t;
}

void tiles_free(struct tiles *t) {
    free(t);
}

/* ---- files ---- */

/* 1234067 is "x001/x234/067"; a tile with fewer than all has their number behind it. */
static char *tile_path(const struct tiles *t, const char *kind, uint64_t number, unsigned count) {
    char *path = format_text("%03u", (unsigned)(number % 1000));
    for (number /= 1000; number > 0; number /= 1000) {
        char *longer = format_text("x%03u/%s", (unsigned)(number % 1000), path);
        free(path);
        path = longer;
    }
    char *whole = count == TILE_WIDTH ? format_text("%s/tile/%s/%s", t->folder, kind, path)
                                      : format_text("%s/tile/%s/%s.p/%u", t->folder, kind, path, count);
    free(path);
    return whole;
}

static bool make_folders(char *path, size_t from) {
    for (char *at = path + from; (at = strchr(at, '/')) != NULL; *at++ = '/') {
        *at = '\0';
        bool there = mkdir(path, 0777) == 0 || errno == EEXIST;
        if (!there)
            return false;
    }
    return true;
}

static bool write_file(const struct tiles *t, char *path, const void *bytes, size_t n) {
    struct output out = {.fd = -1};
    bool good = make_folders(path, strlen(t->folder) + 1) && output_open(&out, path) == VAULT_OK;
    good = good && output_write(&out, bytes, n) && output_keep(&out) == VAULT_OK;
    int error = errno;
    if (out.fd != -1 || out.path != NULL)
        output_close(&out);
    errno = error;
    free(path);
    return good;
}

static bool write_level(const struct tiles *t, unsigned level) {
    const struct level *l = &t->levels[level];
    char kind[8];
    (void)format_string(kind, sizeof(kind), "%u", level);
    return write_file(t, tile_path(t, kind, l->number, l->count), l->hashes, l->count * MERKLE_HASH);
}

static bool write_entries(struct tiles *t) {
    bool good =
        write_file(t, tile_path(t, "entries", t->levels[0].number, t->levels[0].count), t->entries, t->entries_size);
    t->entries_size = 0;
    return good;
}

/* ---- hashes ---- */

/* Of a full tile. */
static void root_of(const struct level *l, uint8_t ret[MERKLE_HASH]) {
    static struct merkle_fold fold;
    fold = (struct merkle_fold){.size = 0};
    for (unsigned i = 0; i < TILE_WIDTH; i++)
        merkle_fold_add(&fold, l->hashes[i], NULL);
    merkle_fold_root(&fold, ret);
}

/* A hash comes to this level; what it makes full is written, and its root goes up. */
static bool add_hash(struct tiles *t, unsigned level, const uint8_t hash[MERKLE_HASH]) {
    uint8_t above[MERKLE_HASH];
    copy_bytes(above, MERKLE_HASH, hash, MERKLE_HASH);
    for (; level < TILE_LEVELS; level++) {
        struct level *l = &t->levels[level];
        copy_bytes(l->hashes[l->count++], MERKLE_HASH, above, MERKLE_HASH);
        if (l->count < TILE_WIDTH)
            return true;
        if (!write_level(t, level) || (level == 0 && !write_entries(t)))
            return false;
        root_of(l, above);
        l->number++;
        l->count = 0;
    }
    return true;
}

int tiles_add(struct tiles *t, const char *line, size_t n) {
    uint8_t leaf[MERKLE_HASH];
    uint8_t *at = t->entries + t->entries_size;
    if (n > RECORD_LINE_MAX)
        return VAULT_E_FORMAT;
    at[0] = (uint8_t)(n >> 8);
    at[1] = (uint8_t)n;
    copy_bytes(at + 2, RECORD_LINE_MAX, line, n);
    t->entries_size += 2 + n;
    merkle_leaf(line, n, leaf);
    merkle_fold_add(&t->fold, leaf, NULL);
    return add_hash(t, 0, leaf) ? VAULT_OK : VAULT_E_IO;
}

int tiles_end(struct tiles *t, uint64_t *ret_size, uint8_t ret_root[MERKLE_HASH]) {
    bool good = t->levels[0].count == 0 || write_entries(t);
    for (unsigned level = 0; level < TILE_LEVELS && good; level++)
        good = t->levels[level].count == 0 || write_level(t, level);
    *ret_size = t->fold.size;
    merkle_fold_root(&t->fold, ret_root);
    return good ? VAULT_OK : VAULT_E_IO;
}
