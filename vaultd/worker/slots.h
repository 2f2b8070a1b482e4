/* Memory shared with the store, to seal objects into. Got once per connection, with the first deposit. */
#ifndef VAULT_WORKER_SLOTS_H
#define VAULT_WORKER_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include "vault/protocol/common.h"

enum { SLOTS_MIN = 2, SLOTS_MAX = 4 };

struct worker;

struct slots {
    uint8_t *start; /* mapped for the life of the process; NULL: not yet */
    uint32_t count;
    uint32_t size; /* bytes of one slot, OBJECT_MAX or more */
};

/* Asks the store for the buffers, unless they are here already. VAULT_E_IO: the store, or the kernel, refused. */
int ask_buffers(struct worker *w, const uint8_t upload[ID_SIZE], const uint8_t token[HASH_SIZE]);
uint8_t *slots_at(const struct slots *s, uint32_t slot);

#endif
