/* Segments' files, and the frames in them. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive.h"
#include "vaultd/monitor/log/log.h"
#include "vault/log.h"
#include "vault/result.h"

#define FOLDER "archive"

/* The frame that was read last, with the key of its segment; and the segment that this process writes to. */
struct archive {
    struct secret *key;
    uint32_t number;    /* whose key it is; 0: none */
    struct frame frame; /* end 0: none */
    struct {
        uint32_t number; /* 0: none */
        int file;
        struct secret *key;
    } writer;
    uint8_t sealed[FRAME_SIZE];
};

static void forget_frame(struct archive *a) {
    wipe(&a->frame, sizeof(a->frame));
    secret_free(&a->key);
    a->number = 0;
}

static void forget_writer(struct archive *a) {
    if (a->writer.number != 0)
        close(a->writer.file);
    secret_free(&a->writer.key);
    a->writer.number = 0;
}

void archive_forget(struct monitor *m) {
    if (m->archive == NULL)
        return;
    forget_frame(m->archive);
    forget_writer(m->archive);
}

void archive_free(struct monitor *m) {
    archive_forget(m);
    free(m->archive);
    m->archive = NULL;
}

static struct archive *in_hand(struct monitor *m) {
    if (m->archive == NULL)
        m->archive = calloc(1, sizeof(*m->archive));
    return m->archive;
}

int segment_load(struct monitor *m, uint32_t number, struct segment_value *ret) {
    uint8_t key[4];
    put_be32(key, number);
    int result = index_get_record(m->index, DB_SEGMENTS, key, sizeof(key), &layout_segment_value, ret);
    if (result == VAULT_OK && ret->number != number)
        result = VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

int segment_store(struct monitor *m, const struct segment_value *v) {
    uint8_t key[4];
    put_be32(key, v->number);
    return index_put_record(m->index, DB_SEGMENTS, key, sizeof(key), &layout_segment_value, v);
}

static void path_of(const struct segment_value *v, char ret[SEGMENT_NAME + sizeof(FOLDER) + 1]) {
    (void)format_string(ret, SEGMENT_NAME + sizeof(FOLDER) + 1, FOLDER "/%s", v->name);
}

static int open_file(const struct monitor *m, const struct segment_value *v, int flags) {
    char path[SEGMENT_NAME + sizeof(FOLDER) + 1];
    path_of(v, path);
    return openat(m->place.directory, path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

static bool is_whole(const struct stat *file, const struct segment_value *v) {
    return S_ISREG(file->st_mode) && (uint64_t)file->st_size >= v->bytes;
}

bool segment_is_there(const struct monitor *m, const struct segment_value *v) {
    char path[SEGMENT_NAME + sizeof(FOLDER) + 1];
    struct stat found;
    path_of(v, path);
    return v->destroyed == 0 && fstatat(m->place.directory, path, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_whole(&found, v);
}

/* ---- keys ---- */

static int key_load(struct monitor *m, uint32_t number, struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    uint8_t name[4];
    size_t n = 0;
    put_be32(name, number);
    int result = secret_new(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = index_get(m->index, DB_SEGMENT_KEYS, name, sizeof(name), secret_edit(key), SECRET_KEY_SIZE, &n);
    if (result == VAULT_NOT_FOUND || result == VAULT_E_LIMIT || (result == VAULT_OK && n != SECRET_KEY_SIZE))
        return VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        *ret = secret_move(&key);
    return result;
}

static int key_store(struct monitor *m, uint32_t number, const struct secret *key) {
    uint8_t name[4];
    put_be32(name, number);
    return index_put(m->index, DB_SEGMENT_KEYS, name, sizeof(name), secret_view(key), SECRET_KEY_SIZE);
}

/* ---- frames ---- */

/* What a frame is sealed with: it opens in the place of no other, and for no other numbers. */
enum { FRAME_AD = 16 + 4 + 8 + 8 };

static void frame_ad(uint32_t segment, const struct frame *f, uint8_t ret[FRAME_AD]) {
    struct writer w = writer_of(ret, FRAME_AD);
    write_bytes(&w, "vault-archive-1", 16);
    write_u32(&w, segment);
    write_u64(&w, f->first);
    write_u64(&w, f->end);
}

/* Opens what is in a->sealed into a->frame, whose numbers are set. */
static int open_frame(struct archive *a, const struct secret *key, uint32_t number, size_t size) {
    uint8_t ad[FRAME_AD];
    frame_ad(number, &a->frame, ad);
    a->frame.used = size - SEAL_OVERHEAD;
    return unseal_bytes(key, ad, sizeof(ad), a->sealed, size, (uint8_t *)a->frame.text);
}

/* False: it cannot be read, or ends before. */
static bool read_sealed(struct archive *a, int file, uint64_t offset, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(file, a->sealed + at, size - at, (off_t)(offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Frame and file of a record that left the index: VAULT_E_DAMAGED where there is none. */
static int find_frame(struct monitor *m, uint64_t seq, uint64_t *ret_last, struct frame_value *ret) {
    uint8_t before[8], key[INDEX_KEY_MAX];
    size_t n = 0;
    put_be64(before, seq - 1);
    int result = index_next(m->index, DB_FRAMES, NULL, 0, before, seq == 0 ? 0 : sizeof(before), key, &n);
    if (result == VAULT_OK && n == 8)
        result = index_get_record(m->index, DB_FRAMES, key, n, &layout_frame_value, ret);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    *ret_last = get_be64(key);
    bool good = n == 8 && ret->first <= seq && seq <= *ret_last && ret->size > SEAL_OVERHEAD && ret->size <= FRAME_SIZE;
    return good ? VAULT_OK : VAULT_E_DAMAGED;
}

/* What a file holds is its own fault, and nobody else's: never a fault of the device. VAULT_AGAIN: it is not there.
 * VAULT_E_DAMAGED: it cannot be read. */
static int read_file(struct monitor *m, struct archive *a, const struct segment_value *v, const struct frame_value *f) {
    struct stat found;
    int file = open_file(m, v, O_RDONLY);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
        return VAULT_AGAIN;
    bool good = file >= 0 && fstat(file, &found) == 0 && S_ISREG(found.st_mode);
    bool whole = good && is_whole(&found, v);
    if (whole)
        good = read_sealed(a, file, f->offset, f->size);
    if (!good)
        log_error("archive: a segment cannot be read segment=%u error=%s", v->number, strerrorname_np(errno));
    if (file >= 0)
        close(file);
    return !good ? VAULT_E_DAMAGED : whole ? VAULT_OK : VAULT_AGAIN;
}

/* Key and sealed frame. VAULT_AGAIN: the segment is away, or was destroyed. */
static int fetch_frame(struct monitor *m, struct archive *a, const struct frame_value *f) {
    struct segment_value v;
    int result = segment_load(m, f->segment, &v);
    if (result == VAULT_OK && v.destroyed != 0)
        result = VAULT_AGAIN;
    if (result == VAULT_OK && a->number != v.number) {
        secret_free(&a->key);
        a->number = 0;
        result = key_load(m, v.number, &a->key);
    }
    if (result != VAULT_OK)
        return result;
    a->number = v.number;
    return read_file(m, a, &v, f);
}

static int read_frame(struct monitor *m, struct archive *a, uint64_t seq) {
    struct frame_value f;
    uint64_t last = 0;
    if (a->frame.first <= seq && seq < a->frame.end)
        return VAULT_OK;
    frame_start(&a->frame, 0);
    int result = find_frame(m, seq, &last, &f);
    if (result == VAULT_OK)
        result = fetch_frame(m, a, &f);
    if (result != VAULT_OK)
        return result;
    frame_start(&a->frame, f.first);
    a->frame.end = last + 1;
    result = open_frame(a, a->key, f.segment, f.size);
    if (result != VAULT_OK) {
        log_error("archive: a frame does not open segment=%u offset=%llu", f.segment, (unsigned long long)f.offset);
        frame_start(&a->frame, 0);
    }
    return result;
}

int archive_line(struct monitor *m, uint64_t seq, const char **ret, size_t *ret_n) {
    struct archive *a = in_hand(m);
    int result = a == NULL ? VAULT_E_MEMORY : read_frame(m, a, seq);
    if (result != VAULT_OK)
        return result;
    return frame_line(&a->frame, seq, ret, ret_n) ? VAULT_OK : VAULT_E_DAMAGED;
}

/* ---- writing ---- */

/* What the file system refuses harms nobody: the record is still in the index. */
static int refused(const char *what) {
    log_error("archive: %s error=%s", what, strerrorname_np(errno));
    return VAULT_AGAIN;
}

static int sync_folder(const struct monitor *m) {
    int folder = openat(m->place.directory, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = folder >= 0 && fsync(folder) == 0 && fsync(m->place.directory) == 0;
    int result = good ? VAULT_OK : refused("its folder cannot be synced");
    if (folder >= 0)
        close(folder);
    return result;
}

static int make_file(struct monitor *m, const struct segment_value *v, int *ret) {
    if (mkdir(FOLDER, 0700) != 0 && errno != EEXIST)
        return refused("its folder cannot be made");
    int file = open_file(m, v, O_RDWR | O_CREAT | O_EXCL);
    if (file < 0)
        return refused("a segment's file cannot be made");
    *ret = file;
    return sync_folder(m);
}

int segment_begin(struct monitor *m, uint64_t first, struct segment_value *ret) {
    struct archive *a = in_hand(m);
    uint8_t random[8];
    char hex[2 * sizeof(random) + 1];
    if (a == NULL)
        return VAULT_E_MEMORY;
    forget_writer(a);
    *ret =
        (struct segment_value){.number = m->meta.segments + 1, .first = first, .end = first, .begun = monitor_time(m)};
    randombytes_buf(random, sizeof(random));
    hex_encode(hex, sizeof(hex), random, sizeof(random));
    (void)format_string(ret->name, sizeof(ret->name), "%06u-%s", ret->number, hex);
    int result = secret_random(&a->writer.key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    a->writer.file = -1;
    result = make_file(m, ret, &a->writer.file);
    if (a->writer.file >= 0)
        a->writer.number = ret->number;
    return result;
}

bool segment_goes_on(const struct monitor *m, const struct segment_value *v) {
    return m->archive != NULL && m->archive->writer.number == v->number && v->ended == 0 &&
           v->end - v->first < SEGMENT_LINES;
}

static int write_sealed(const struct archive *a, uint64_t offset, size_t size) {
    int file = a->writer.file;
    for (size_t at = 0; at < size;) {
        ssize_t n = pwrite(file, a->sealed + at, size - at, (off_t)(offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return refused("a segment cannot be written to");
        at += (size_t)n;
    }
    return fdatasync(file) == 0 ? VAULT_OK : refused("a segment cannot be synced");
}

/* Writes what the frame is sealed to, reads it again, and compares. */
static int write_frame(struct archive *a, const struct segment_value *v, const struct frame *f) {
    uint8_t ad[FRAME_AD];
    size_t size = f->used + SEAL_OVERHEAD;
    frame_ad(v->number, f, ad);
    int result = seal_bytes(a->writer.key, ad, sizeof(ad), f->text, f->used, a->sealed);
    if (result == VAULT_OK)
        result = write_sealed(a, v->bytes, size);
    if (result != VAULT_OK)
        return result;
    forget_frame(a);
    wipe(a->sealed, size); /* what is compared comes from the file */
    frame_start(&a->frame, f->first);
    a->frame.end = f->end;
    if (!read_sealed(a, a->writer.file, v->bytes, size))
        result = refused("a segment cannot be read again");
    else if (open_frame(a, a->writer.key, v->number, size) != VAULT_OK || memcmp(a->frame.text, f->text, f->used) != 0)
        result = refused("a segment has not kept what was written to it");
    forget_frame(a);
    return result;
}

int segment_append(struct monitor *m, struct segment_value *v, const struct frame *f, const struct frame_times *t) {
    uint8_t key[8];
    struct frame_value at = {
        .segment = v->number, .first = f->first, .offset = v->bytes, .size = (uint32_t)(f->used + SEAL_OVERHEAD)};
    int result = write_frame(m->archive, v, f);
    if (result == VAULT_OK && v->bytes == 0) {
        m->meta.segments = v->number;
        result = key_store(m, v->number, m->archive->writer.key);
    }
    if (result != VAULT_OK)
        return result;
    if (v->bytes == 0)
        copy_string(v->first_time, sizeof(v->first_time), t->first);
    copy_string(v->last_time, sizeof(v->last_time), t->last);
    v->bytes += at.size;
    v->end = f->end;
    put_be64(key, f->end - 1);
    return index_put_record(m->index, DB_FRAMES, key, sizeof(key), &layout_frame_value, &at);
}

void segment_abandon(struct monitor *m, const struct segment_value *v) {
    if (v->bytes == 0)
        segment_remove(m, v);
    forget_writer(m->archive);
}

void segment_remove(const struct monitor *m, const struct segment_value *v) {
    char path[SEGMENT_NAME + sizeof(FOLDER) + 1];
    path_of(v, path);
    if (unlinkat(m->place.directory, path, 0) == 0)
        log_notice("archive: a segment's file is gone segment=%u", v->number);
    else if (errno != ENOENT)
        log_error("archive: a segment's file cannot be removed segment=%u error=%s", v->number, strerrorname_np(errno));
}

/* What a batch that was dropped left behind the end goes. */
void segment_finish(struct monitor *m, struct segment_value *v) {
    struct archive *a = m->archive;
    if (a != NULL && a->writer.number == v->number) {
        if (ftruncate(a->writer.file, (off_t)v->bytes) != 0 || fsync(a->writer.file) != 0)
            log_warning("archive: the end of a segment could not be cut segment=%u", v->number);
        forget_writer(a);
    }
    v->ended = monitor_time(m);
}
