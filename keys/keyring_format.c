#include "keyring_internal.h"

#include <sodium.h>
#include <stdlib.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vault/wrap.h"

enum {
    MAGIC = 8,
    HEAD_MAX = MAGIC + 4 + KEYRING_ID + 8 + 1 + 2 + SEAL_SIZE_MAX + 4,
    GENERATION = 4 + 8 + SECRET_KEY_SIZE,
    REST = 2 * (4 + 1) + 3 * SECRET_KEY_SIZE, /* after the generations, without next keys */
    BODY_MAX = 4 + KEYRING_GENERATIONS * GENERATION + REST + 2 * SECRET_KEY_SIZE,
    BODY_MIN = 4 + GENERATION + REST
};

static const char magic[MAGIC + 1] = "VAULTKEY";

_Static_assert(HEAD_MAX + BODY_MAX + SEAL_OVERHEAD + RING_CHECKSUM <= RING_FILE_MAX, "the fullest ring fits its file");

static void checksum(const uint8_t *bytes, size_t n, uint8_t ret[RING_CHECKSUM]) {
    if (crypto_generichash(ret, RING_CHECKSUM, bytes, n, NULL, 0) != 0)
        abort();
}

/* Every version starts with magic and version and ends in the checksum, so that a newer one can be told from damage. */
int ring_head_parse(const uint8_t *bytes, size_t n, struct ring_head *ret) {
    uint8_t expected[RING_CHECKSUM];
    if (n < MAGIC + 4 + RING_CHECKSUM || n > RING_FILE_MAX || sodium_memcmp(bytes, magic, MAGIC) != 0)
        return VAULT_E_DAMAGED;
    checksum(bytes, n - RING_CHECKSUM, expected);
    if (sodium_memcmp(expected, bytes + n - RING_CHECKSUM, RING_CHECKSUM) != 0)
        return VAULT_E_DAMAGED;
    struct reader r = reader_of(bytes + MAGIC, n - MAGIC - RING_CHECKSUM);
    if (read_u32(&r) != RING_VERSION)
        return VAULT_E_FORMAT;
    struct ring_head head = {.bytes = bytes};
    read_bytes(&r, head.vault_id, KEYRING_ID);
    head.epoch = read_u64(&r);
    uint8_t dev = read_u8(&r);
    size_t seal_size = read_u16(&r);
    const uint8_t *seal = read_view(&r, seal_size);
    head.sealed_size = read_u32(&r);
    if (r.bad || head.sealed_size != r.left || dev > 1 || head.epoch == 0 ||
        head.sealed_size < BODY_MIN + SEAL_OVERHEAD || head.sealed_size > BODY_MAX + SEAL_OVERHEAD ||
        seal_read(seal, seal_size, &head.seal) != VAULT_OK)
        return VAULT_E_FORMAT;
    head.dev = dev == 1;
    head.head_size = (size_t)(r.at - bytes);
    *ret = head;
    return VAULT_OK;
}

static int read_key(struct reader *r, struct secret **ret) {
    int result = secret_new(ret, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        read_bytes(r, secret_edit(*ret), SECRET_KEY_SIZE);
    return result;
}

static int read_generations(struct reader *r, struct keyring *k) {
    uint32_t count = read_u32(r);
    uint32_t last = 0;
    if (count == 0 || count > KEYRING_GENERATIONS)
        return VAULT_E_FORMAT;
    for (; k->count < count; k->count++) {
        struct generation *g = &k->generations[k->count];
        g->number = read_u32(r);
        g->created = read_u64(r);
        if (r->bad || g->number <= last)
            return VAULT_E_FORMAT;
        last = g->number;
        int result = read_key(r, &g->key);
        if (result != VAULT_OK)
            return result;
    }
    return VAULT_OK;
}

/* A key with its generation, and the next one where there is one. */
static int read_pair(struct reader *r, uint32_t *generation, struct secret **present, struct secret **next) {
    *generation = read_u32(r);
    uint8_t count = read_u8(r);
    if (*generation == 0 || count < 1 || count > 2)
        return VAULT_E_FORMAT;
    int result = read_key(r, present);
    return result == VAULT_OK && count == 2 ? read_key(r, next) : result;
}

static int read_body(struct reader r, struct keyring *k) {
    int result = read_generations(&r, k);
    if (result == VAULT_OK)
        result = read_pair(&r, &k->index_generation, &k->index_key, &k->next_index_key);
    if (result == VAULT_OK)
        result = read_pair(&r, &k->name_generation, &k->name_key, &k->next_name_key);
    if (result == VAULT_OK)
        result = read_key(&r, &k->audit_seed);
    if (result == VAULT_OK && !read_done(&r))
        result = VAULT_E_FORMAT;
    return result;
}

int ring_open(const struct ring_head *head, const struct secret *root, struct keyring **ret) {
    CLEANUP_SECRET struct secret *body = NULL;
    int result = secret_new(&body, head->sealed_size - SEAL_OVERHEAD);
    if (result != VAULT_OK)
        return result;
    result = unseal_bytes(root, head->bytes, head->head_size, head->bytes + head->head_size, head->sealed_size,
                          secret_edit(body));
    if (result != VAULT_OK)
        return result == VAULT_E_DAMAGED ? VAULT_DENIED : result;
    struct keyring *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return VAULT_E_MEMORY;
    COPY_ARRAY(k->vault_id, head->vault_id);
    k->epoch = head->epoch;
    k->dev = head->dev;
    k->seal = head->seal;
    result = read_body(reader_of(secret_view(body), secret_size(body)), k);
    if (result != VAULT_OK) {
        keyring_free(&k);
        return result;
    }
    *ret = k;
    return VAULT_OK;
}

static void write_key(struct writer *w, const struct secret *key) {
    write_bytes(w, secret_view(key), SECRET_KEY_SIZE);
}

static void write_pair(struct writer *w, uint32_t generation, const struct secret *present, const struct secret *next) {
    write_u32(w, generation);
    write_u8(w, next == NULL ? 1 : 2);
    write_key(w, present);
    if (next != NULL)
        write_key(w, next);
}

static void write_body(const struct keyring *k, struct writer *w) {
    write_u32(w, k->count);
    for (uint32_t i = 0; i < k->count; i++) {
        write_u32(w, k->generations[i].number);
        write_u64(w, k->generations[i].created);
        write_key(w, k->generations[i].key);
    }
    write_pair(w, k->index_generation, k->index_key, k->next_index_key);
    write_pair(w, k->name_generation, k->name_key, k->next_name_key);
    write_key(w, k->audit_seed);
}

/* What the seal of the body is bound to. */
static void write_head(const struct keyring *k, size_t body_size, struct writer *w) {
    uint8_t seal[SEAL_SIZE_MAX];
    size_t seal_size = seal_write(&k->seal, seal);
    write_bytes(w, magic, MAGIC);
    write_u32(w, RING_VERSION);
    write_bytes(w, k->vault_id, KEYRING_ID);
    write_u64(w, k->epoch);
    write_u8(w, k->dev);
    write_u16(w, (uint16_t)seal_size);
    write_bytes(w, seal, seal_size);
    write_u32(w, (uint32_t)(body_size + SEAL_OVERHEAD));
}

int ring_encode(const struct keyring *k, const struct secret *root, uint8_t to[RING_FILE_MAX], size_t *ret_size) {
    CLEANUP_SECRET struct secret *body = NULL;
    size_t body_size = BODY_MIN + (k->count - 1) * (size_t)GENERATION;
    body_size += k->next_index_key == NULL ? 0 : SECRET_KEY_SIZE;
    body_size += k->next_name_key == NULL ? 0 : SECRET_KEY_SIZE;
    if (k->seal.kind == SEAL_BY_NOTHING)
        return VAULT_E_STATE;
    int result = secret_new(&body, body_size);
    if (result != VAULT_OK)
        return result;
    struct writer inner = writer_of(secret_edit(body), body_size);
    write_body(k, &inner);
    struct writer w = writer_of(to, RING_FILE_MAX);
    write_head(k, body_size, &w);
    result = seal_bytes(root, to, w.used, secret_view(body), body_size, to + w.used);
    if (result != VAULT_OK)
        return result;
    size_t end = w.used + body_size + SEAL_OVERHEAD;
    checksum(to, end, to + end);
    *ret_size = end + RING_CHECKSUM;
    return VAULT_OK;
}
