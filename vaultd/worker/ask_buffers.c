#include <sys/mman.h>
#include <unistd.h>

#include "ask.h"
#include "slots.h"
#include "vault/result.h"

uint8_t *slots_at(const struct slots *s, uint32_t slot) {
    return s->start + (size_t)slot * s->size;
}

/* Mapping more than the file has would end in SIGBUS. Its size comes from lseek: the sandbox leaves no stat. */
static void check_buffers(struct worker *w, const struct msg_buffers *b) {
    if (w->reply.fd_count != 1 || b->slots < SLOTS_MIN || b->slots > SLOTS_MAX || b->slot_size < OBJECT_MAX ||
        lseek(w->reply.fds[0], 0, SEEK_END) != (off_t)b->slots * b->slot_size)
        worker_fault(w, "the store's buffers are not as agreed", VAULT_E_PROTOCOL);
}

int ask_buffers(struct worker *w, const uint8_t upload[ID_SIZE], const uint8_t token[HASH_SIZE]) {
    if (w->slots.start != NULL)
        return VAULT_OK;
    ask_start(w, MSG_buffers_get);
    copy_bytes(w->request.buffers_get.upload, ID_SIZE, upload, ID_SIZE);
    copy_bytes(w->request.buffers_get.token, HASH_SIZE, token, HASH_SIZE);
    ask_store(w, MSG_buffers);
    const struct msg_buffers *b = &w->reply.buffers;
    if (b->status != STORE_DONE)
        return VAULT_E_IO;
    check_buffers(w, b);
    size_t size = (size_t)b->slots * b->slot_size;
    void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, w->reply.fds[0], 0);
    if (start == MAP_FAILED)
        return VAULT_E_IO;
    w->slots = (struct slots){.start = start, .count = b->slots, .size = b->slot_size};
    return VAULT_OK;
}
