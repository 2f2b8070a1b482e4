#include "ask.h"
#include "vault/result.h"

/* True if the page is the one asked for and says what a blob of this size must say. */
static bool page_fits(const struct grant *grant, uint32_t page, const struct msg_page *got,
                      const struct manifest_page *manifest) {
    uint64_t first = (uint64_t)page * PAGE_CHUNKS;
    uint64_t left = grant->chunks - first;
    if (got->page != page || manifest->count != (left < PAGE_CHUNKS ? left : PAGE_CHUNKS) ||
        got->tokens_size != manifest->count * HASH_SIZE)
        return false;
    for (size_t i = 0; i < manifest->count; i++)
        if (manifest->chunks[i].length != blob_chunk_length(grant->size, first + i))
            return false;
    return true;
}

int ask_page(struct worker *w, struct grant *grant, uint64_t chunk) {
    uint32_t page = (uint32_t)(chunk / PAGE_CHUNKS);
    if (grant->has_page && grant->page == page)
        return VAULT_OK;
    ask_start(w, MSG_page_get);
    COPY_ARRAY(w->request.page_get.grant, grant->id);
    w->request.page_get.page = page;
    int result = ask(w, MSG_page);
    if (result != VAULT_OK)
        return result;
    struct manifest_page manifest;
    const struct msg_page *got = &w->reply.page;
    result = manifest_decode(&manifest, got->chunks, got->chunks_size);
    if (result != VAULT_OK || !page_fits(grant, page, got, &manifest))
        worker_fault(w, "a manifest page that does not fit its file", VAULT_E_PROTOCOL);
    grant->manifest = manifest;
    copy_bytes(grant->tokens, sizeof(grant->tokens), got->tokens, got->tokens_size);
    grant->page = page;
    grant->has_page = true;
    return VAULT_OK;
}
