#include "vault/tally.h"

#include <sodium.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

static const uint8_t label[] = "vault-tally-1";

int tally_key(const struct secret *index_key, struct secret **ret) {
    int result = secret_new(ret, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        crypto_generichash(secret_edit(*ret), SECRET_KEY_SIZE, label, sizeof(label), secret_view(index_key),
                           secret_size(index_key));
    return result;
}

void tally_hash(const struct secret *key, uint8_t database, const void *entry_key, size_t entry_key_size,
                const void *value, size_t value_size, uint8_t ret[TALLY_ENTRY]) {
    crypto_generichash_state s;
    uint8_t head[5];
    struct writer w = writer_of(head, sizeof(head));
    write_u8(&w, database);
    write_u32(&w, (uint32_t)entry_key_size);
    crypto_generichash_init(&s, secret_view(key), secret_size(key), TALLY_ENTRY);
    crypto_generichash_update(&s, head, w.used);
    crypto_generichash_update(&s, entry_key, entry_key_size);
    crypto_generichash_update(&s, value, value_size);
    crypto_generichash_final(&s, ret, TALLY_ENTRY);
    wipe(&s, sizeof(s));
}

void tally_add(struct tally *t, const uint8_t entry[TALLY_ENTRY]) {
    struct reader r = reader_of(entry, TALLY_ENTRY);
    for (unsigned i = 0; i < TALLY_LANES; i++)
        t->lanes[i] += read_u64(&r);
    t->entries++;
}

void tally_take(struct tally *t, const uint8_t entry[TALLY_ENTRY]) {
    struct reader r = reader_of(entry, TALLY_ENTRY);
    for (unsigned i = 0; i < TALLY_LANES; i++)
        t->lanes[i] -= read_u64(&r);
    t->entries--;
}

bool tally_equal(const struct tally *a, const struct tally *b) {
    return a->entries == b->entries && sodium_memcmp(a->lanes, b->lanes, sizeof(a->lanes)) == 0;
}

void tally_digest(const struct secret *key, const struct tally *t, uint8_t ret[TALLY_DIGEST]) {
    uint8_t bytes[TALLY_SIZE];
    tally_encode(t, bytes);
    crypto_generichash(ret, TALLY_DIGEST, bytes, sizeof(bytes), secret_view(key), secret_size(key));
    wipe(bytes, sizeof(bytes));
}

void tally_digest_pair(const struct secret *key, const struct tally *a, const struct tally *b,
                       uint8_t ret[TALLY_DIGEST]) {
    uint8_t bytes[2 * TALLY_SIZE];
    tally_encode(a, bytes);
    tally_encode(b, bytes + TALLY_SIZE);
    crypto_generichash(ret, TALLY_DIGEST, bytes, sizeof(bytes), secret_view(key), secret_size(key));
    wipe(bytes, sizeof(bytes));
}

bool tally_is_empty(const struct tally *t) {
    static const struct tally empty;
    return tally_equal(t, &empty);
}

void tally_encode(const struct tally *t, uint8_t to[TALLY_SIZE]) {
    struct writer w = writer_of(to, TALLY_SIZE);
    for (unsigned i = 0; i < TALLY_LANES; i++)
        write_u64(&w, t->lanes[i]);
    write_u64(&w, t->entries);
}

void tally_decode(struct tally *t, const uint8_t from[TALLY_SIZE]) {
    struct reader r = reader_of(from, TALLY_SIZE);
    for (unsigned i = 0; i < TALLY_LANES; i++)
        t->lanes[i] = read_u64(&r);
    t->entries = read_u64(&r);
}
