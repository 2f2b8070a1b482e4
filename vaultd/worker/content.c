#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "vault/result.h"

int content_prepare(struct content *c) {
    *c = (struct content){.object = -1};
    c->sealed = calloc(CONTENT_AHEAD, SEGMENT_SEALED);
    c->plain = calloc(1, SEGMENT_PLAIN);
    return c->sealed == NULL || c->plain == NULL ? VAULT_E_MEMORY : VAULT_OK;
}

void content_drop(struct content *c, const uint8_t *grant) {
    if (grant != NULL && memcmp(c->grant, grant, ID_SIZE) != 0)
        return;
    if (c->object >= 0)
        close(c->object);
    wipe(c->plain, SEGMENT_PLAIN);
    *c = (struct content){.object = -1, .sealed = c->sealed, .plain = c->plain};
}

/* Makes c->object the object of this chunk, an entry of the grant's current page. */
static int open_chunk(struct worker *w, const struct grant *grant, uint64_t chunk) {
    struct content *c = &w->content;
    size_t entry = (size_t)(chunk % PAGE_CHUNKS);
    int fd = -1;
    if (c->object >= 0 && c->chunk == chunk)
        return VAULT_OK;
    int result = ask_object(w, &grant->manifest.chunks[entry], grant->tokens + entry * HASH_SIZE, &fd);
    if (result == VAULT_NOT_FOUND)
        return VAULT_E_DAMAGED;
    if (result != VAULT_OK)
        return result;
    if (c->object >= 0)
        close(c->object);
    c->object = fd;
    c->chunk = chunk;
    c->sealed_bytes = 0;
    return VAULT_OK;
}

/* Exactly n bytes: an object that ends early, or that the disk cannot give, is damaged. */
static int read_exactly(int fd, uint8_t *to, size_t n, uint64_t offset) {
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return VAULT_E_DAMAGED;
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return VAULT_OK;
}

/* Reads sealed segments from `segment` on, within its chunk and not past `last`. */
static int read_sealed(struct content *c, const struct chunk *chunk, uint64_t segment, uint64_t last) {
    uint64_t index = segment % CHUNK_SEGMENTS;
    uint64_t count = last - segment + 1 < CONTENT_AHEAD ? last - segment + 1 : CONTENT_AHEAD;
    uint64_t start = index * SEGMENT_SEALED;
    uint64_t end = start + count * SEGMENT_SEALED;
    size_t n = (size_t)((end < chunk->length ? end : chunk->length) - start);
    c->sealed_bytes = 0;
    int result = read_exactly(c->object, c->sealed, n, start);
    if (result != VAULT_OK)
        return result;
    c->sealed_first = segment;
    c->sealed_bytes = n;
    return VAULT_OK;
}

static bool has_sealed(const struct content *c, uint64_t segment) {
    return segment >= c->sealed_first && (segment - c->sealed_first) * SEGMENT_SEALED < c->sealed_bytes;
}

static int open_sealed(struct content *c, struct grant *grant, const struct chunk *chunk, uint64_t segment) {
    size_t at = (size_t)(segment - c->sealed_first) * SEGMENT_SEALED;
    size_t n = c->sealed_bytes - at < SEGMENT_SEALED ? c->sealed_bytes - at : SEGMENT_SEALED;
    c->plain_bytes = 0;
    int result =
        segment_open(grant->cipher, chunk->base, (uint32_t)(segment % CHUNK_SEGMENTS), c->sealed + at, n, c->plain);
    if (result != VAULT_OK)
        return result;
    c->plain_segment = segment;
    c->plain_bytes = n - SEGMENT_OVERHEAD;
    return VAULT_OK;
}

static int load_segment(struct worker *w, struct grant *grant, uint64_t segment, uint64_t last) {
    struct content *c = &w->content;
    uint64_t chunk = segment / CHUNK_SEGMENTS;
    int result = ask_page(w, grant, chunk);
    if (result != VAULT_OK)
        return result;
    const struct chunk *entry = &grant->manifest.chunks[chunk % PAGE_CHUNKS];
    result = open_chunk(w, grant, chunk);
    if (result == VAULT_OK && !has_sealed(c, segment))
        result = read_sealed(c, entry, segment, last);
    if (result == VAULT_OK)
        result = open_sealed(c, grant, entry, segment);
    if (result != VAULT_OK)
        COPY_ARRAY(grant->damaged, entry->address);
    return result;
}

int content_segment(struct worker *w, struct grant *grant, uint64_t segment, uint64_t last, const uint8_t **ret_plain,
                    size_t *ret_n) {
    struct content *c = &w->content;
    if (memcmp(c->grant, grant->id, ID_SIZE) != 0) {
        content_drop(c, NULL);
        COPY_ARRAY(c->grant, grant->id);
    }
    if (c->plain_bytes == 0 || c->plain_segment != segment) {
        int result = load_segment(w, grant, segment, last);
        if (result != VAULT_OK)
            return result;
    }
    *ret_plain = c->plain;
    *ret_n = c->plain_bytes;
    return VAULT_OK;
}
