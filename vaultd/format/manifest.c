#include "vault/manifest.h"

#include "vault/result.h"

void manifest_encode(const struct manifest_page *p, struct writer *w) {
    for (size_t i = 0; i < p->count; i++) {
        const struct chunk *c = &p->chunks[i];
        write_bytes(w, c->address, sizeof(c->address));
        write_bytes(w, c->base, sizeof(c->base));
        write_u32(w, c->length);
    }
}

int manifest_decode(struct manifest_page *ret, const uint8_t *bytes, size_t n) {
    if (n == 0 || n > MANIFEST_PAGE || n % MANIFEST_ENTRY != 0)
        return VAULT_E_FORMAT;
    struct reader r = reader_of(bytes, n);
    struct manifest_page page = {.count = n / MANIFEST_ENTRY};
    for (size_t i = 0; i < page.count; i++) {
        struct chunk *c = &page.chunks[i];
        read_bytes(&r, c->address, sizeof(c->address));
        read_bytes(&r, c->base, sizeof(c->base));
        c->length = read_u32(&r);
        bool last = i + 1 == page.count;
        if (last ? object_plain(c->length) == 0 : c->length != OBJECT_MAX)
            return VAULT_E_FORMAT;
    }
    if (!read_done(&r))
        return VAULT_E_FORMAT;
    *ret = page;
    return VAULT_OK;
}

uint64_t blob_chunks(uint64_t plain) {
    return plain / CHUNK_PLAIN + (plain % CHUNK_PLAIN != 0);
}

uint32_t blob_chunk_length(uint64_t plain, uint64_t index) {
    uint64_t chunks = blob_chunks(plain);
    if (index >= chunks)
        return 0;
    if (index + 1 < chunks)
        return OBJECT_MAX;
    return (uint32_t)object_size((size_t)(plain - index * CHUNK_PLAIN));
}
