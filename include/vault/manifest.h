/* Manifest pages: which objects make up a blob, in order. Format: docs/format-object.md.
 *
 * An entry is address[32] ‖ nonce base[12] ‖ u32 object length; a page is up to PAGE_CHUNKS entries. Only the last
 * chunk of a blob is shorter than CHUNK_PLAIN. A blob of no bytes has no chunks. */
#ifndef VAULT_MANIFEST_H
#define VAULT_MANIFEST_H

#include "vault/protocol/common.h"
#include "vault/segment.h"

enum { MANIFEST_ENTRY = 48, MANIFEST_PAGE = PAGE_CHUNKS * MANIFEST_ENTRY };

struct chunk {
    uint8_t address[HASH_SIZE]; /* SHA-256 of the object's bytes */
    uint8_t base[NONCE_SIZE];
    uint32_t length; /* bytes of the object */
};

struct manifest_page {
    size_t count; /* 1 to PAGE_CHUNKS */
    struct chunk chunks[PAGE_CHUNKS];
};

/* Writes count * MANIFEST_ENTRY bytes. The writer turns bad if they do not fit. */
void manifest_encode(const struct manifest_page *p, struct writer *w);
/* Reads a whole page: a multiple of MANIFEST_ENTRY bytes, 1 to PAGE_CHUNKS entries, every length possible, all but the
 * last OBJECT_MAX. VAULT_E_FORMAT. */
int manifest_decode(struct manifest_page *ret, const uint8_t *bytes, size_t n);

/* Chunks of a blob of this many plaintext bytes; and the object length that chunk `index` of it must have. */
uint64_t blob_chunks(uint64_t plain);
uint32_t blob_chunk_length(uint64_t plain, uint64_t index);

#endif
