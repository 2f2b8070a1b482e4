#include "vault/token.h"

#include <sodium.h>
#include <stdlib.h>

enum { CLAIM_SIZE = 1 + 8 + ID_SIZE + HASH_SIZE + 4 };

void token_make(const struct secret *key, const struct token_claim *claim, uint8_t ret_token[HASH_SIZE]) {
    uint8_t bytes[CLAIM_SIZE];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_u8(&w, (uint8_t)claim->kind);
    write_u64(&w, claim->worker);
    write_bytes(&w, claim->upload, ID_SIZE);
    write_bytes(&w, claim->address, HASH_SIZE);
    write_u32(&w, claim->length);
    if (crypto_generichash(ret_token, HASH_SIZE, bytes, w.used, secret_view(key), secret_size(key)) != 0)
        abort();
}

bool token_check(const struct secret *key, const struct token_claim *claim, const uint8_t token[HASH_SIZE]) {
    uint8_t expected[HASH_SIZE];
    token_make(key, claim, expected);
    bool good = sodium_memcmp(expected, token, HASH_SIZE) == 0;
    wipe(expected, sizeof(expected));
    return good;
}
