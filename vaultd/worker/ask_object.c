#include <unistd.h>

#include "ask.h"
#include "vault/result.h"

int ask_object(struct worker *w, const struct chunk *chunk, const uint8_t token[HASH_SIZE], int *ret_fd) {
    ask_start(w, MSG_object_get);
    COPY_ARRAY(w->request.object_get.address, chunk->address);
    copy_bytes(w->request.object_get.token, HASH_SIZE, token, HASH_SIZE);
    ask_store(w, MSG_object_is);
    const struct msg_object_is *is = &w->reply.object_is;
    if (is->status == STORE_MISSING)
        return VAULT_NOT_FOUND;
    if (is->status != STORE_DONE)
        return VAULT_E_IO;
    if (w->reply.fd_count != 1)
        worker_fault(w, "the store sent no descriptor", VAULT_E_PROTOCOL);
    if (is->size != chunk->length)
        return VAULT_E_DAMAGED;
    *ret_fd = w->reply.fds[0];
    w->reply.fds[0] = -1;
    return VAULT_OK;
}
