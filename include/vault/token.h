/* Tokens: permission by the monitor for one worker to ask the store for one thing; and receipts: the store's word that
 * an object is durable. BLAKE2b-256, keyed with a 32-byte key made by the monitor at each start, over
 *   u8 kind ‖ u64 worker ‖ upload[16] ‖ address[32] ‖ u32 length      (little-endian; what a kind does not use is zero)
 * The store takes `worker` from the channel the request came on, never from the message. */
#ifndef VAULT_TOKEN_H
#define VAULT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/protocol/common.h"
#include "vault/secret.h"

enum token_kind {
    TOKEN_GET = 1,     /* worker, address */
    TOKEN_BUFFERS = 2, /* worker, upload */
    TOKEN_PUT = 3,     /* worker, upload, address, length */
    TOKEN_RECEIPT = 4  /* worker, upload, address, length */
};

struct token_claim {
    enum token_kind kind;
    uint64_t worker;
    uint8_t upload[ID_SIZE];
    uint8_t address[HASH_SIZE];
    uint32_t length;
};

void token_make(const struct secret *key, const struct token_claim *claim, uint8_t ret_token[HASH_SIZE]);
/* Constant time. */
bool token_check(const struct secret *key, const struct token_claim *claim, const uint8_t token[HASH_SIZE]);

#endif
