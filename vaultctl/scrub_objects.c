#include "scrub_objects.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "progress.h"
#include "vault/buffer.h"

enum { HASH_SIZE = 32, HEX = 2 * HASH_SIZE, BLOCK = 1 << 20 };

struct walk {
    struct call *call;
    EVP_MD_CTX *hash;
    struct progress progress;
    uint64_t objects;
    json_t *damaged, *foreign;
};

/* ab/cd/<64 hex>, the folders being the first four digits. */
static bool is_object_path(const char *path) {
    return strlen(path) == 6 + HEX && strspn(path + 6, "0123456789abcdef") == HEX && path[2] == '/' && path[5] == '/' &&
           strncmp(path, path + 6, 2) == 0 && strncmp(path + 3, path + 8, 2) == 0;
}

static bool hash_file(const struct walk *w, const char *path, char ret_hex[HEX + 1]) {
    static uint8_t block[BLOCK];
    uint8_t found[HASH_SIZE];
    ssize_t n = -1;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool good = file >= 0 && EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) == 1;
    while (good && (n = read(file, block, sizeof(block))) > 0)
        good = EVP_DigestUpdate(w->hash, block, (size_t)n) == 1;
    good = good && n == 0 && EVP_DigestFinal_ex(w->hash, found, NULL) == 1;
    if (file >= 0)
        close(file);
    if (good)
        hex_encode(ret_hex, HEX + 1, found, sizeof(found));
    return good;
}

static int visit(struct walk *w, const FTSENT *e, const char *path) {
    char found[HEX + 1];
    if (e->fts_info == FTS_D || e->fts_info == FTS_DP)
        return OUTCOME_DONE;
    if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
        return fail(w->call, OUTCOME_FAILED, "'%s': %s", e->fts_path, strerror(e->fts_errno));
    if (e->fts_info != FTS_F || !is_object_path(path)) {
        json_array_append_new(w->foreign, json_string(path));
        return OUTCOME_DONE;
    }
    w->objects++;
    progress_move(&w->progress, w->objects, 0);
    if (!hash_file(w, e->fts_accpath, found) || strcmp(found, path + 6) != 0) /* unreadable is damaged too */
        json_array_append_new(w->damaged, json_string(path + 6));
    return OUTCOME_DONE;
}

static int walk(struct walk *w, const char *folder) {
    char *const roots[] = {(char *)(uintptr_t)folder, NULL};
    int outcome = OUTCOME_DONE;
    FTSENT *e = NULL;
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (fts == NULL)
        return fail(w->call, OUTCOME_FAILED, "'%s': %s", folder, strerror(errno));
    while (outcome == OUTCOME_DONE && (errno = 0, e = fts_read(fts)) != NULL) {
        const char *path = e->fts_path + strlen(folder);
        outcome = e->fts_level == 0 && e->fts_info == FTS_F ? fail(w->call, OUTCOME_FAILED, "'%s' is no folder", folder)
                                                            : visit(w, e, path + strspn(path, "/"));
    }
    if (outcome == OUTCOME_DONE && errno != 0)
        outcome = fail(w->call, OUTCOME_FAILED, "'%s': %s", folder, strerror(errno));
    fts_close(fts);
    return outcome;
}

int scrub_objects(struct call *c, const char *folder, json_t **ret) {
    struct walk w = {.call = c,
                     .hash = EVP_MD_CTX_new(),
                     .progress = progress_of("checking", "objects"),
                     .damaged = json_array(),
                     .foreign = json_array()};
    int outcome = w.hash == NULL ? fail(c, OUTCOME_FAILED, "no memory") : walk(&w, folder);
    progress_end(&w.progress);
    EVP_MD_CTX_free(w.hash);
    if (outcome == OUTCOME_DONE && json_array_size(w.damaged) + json_array_size(w.foreign) > 0)
        outcome = OUTCOME_INTEGRITY;
    *ret = json_pack("{s:I, s:o, s:o}", "objects", (json_int_t)w.objects, "damaged", w.damaged, "foreign", w.foreign);
    return outcome;
}
