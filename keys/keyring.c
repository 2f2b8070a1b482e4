#include "keyring_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "vault/result.h"

void keyring_free(struct keyring **k) {
    if (k == NULL || *k == NULL)
        return;
    for (uint32_t i = 0; i < KEYRING_GENERATIONS; i++)
        secret_free(&(*k)->generations[i].key);
    secret_free(&(*k)->index_key);
    secret_free(&(*k)->next_index_key);
    secret_free(&(*k)->name_key);
    secret_free(&(*k)->next_name_key);
    secret_free(&(*k)->audit_seed);
    free(*k);
    *k = NULL;
}

/* Appends a fresh generation with this number; the ring has room. */
static int append_generation(struct keyring *k, uint32_t number) {
    struct generation *g = &k->generations[k->count];
    time_t now = time(NULL);
    if (now < 0)
        return VAULT_E_IO;
    int result = secret_random(&g->key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    g->number = number;
    g->created = (uint64_t)now;
    k->count++;
    return VAULT_OK;
}

int keyring_new(bool dev, struct keyring **ret) {
    struct keyring *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return VAULT_E_MEMORY;
    k->dev = dev;
    k->epoch = 1;
    k->index_generation = k->name_generation = 1;
    randombytes_buf(k->vault_id, sizeof(k->vault_id));
    int result = append_generation(k, 1);
    if (result == VAULT_OK)
        result = secret_random(&k->index_key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = secret_random(&k->name_key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = secret_random(&k->audit_seed, SECRET_KEY_SIZE);
    if (result != VAULT_OK) {
        keyring_free(&k);
        return result;
    }
    *ret = k;
    return VAULT_OK;
}

int keyring_add_generation(struct keyring *k) {
    uint32_t newest = keyring_newest(k);
    if (k->count == KEYRING_GENERATIONS || newest == UINT32_MAX || k->epoch == UINT64_MAX)
        return VAULT_E_LIMIT;
    int result = append_generation(k, newest + 1);
    if (result == VAULT_OK)
        k->epoch++;
    return result;
}

int keyring_retire(struct keyring *k) {
    uint32_t last = k->count - 1;
    if (last == 0)
        return VAULT_NOT_FOUND;
    for (uint32_t i = 0; i < last; i++)
        secret_free(&k->generations[i].key);
    k->generations[0] = k->generations[last];
    k->generations[last] = (struct generation){0};
    k->count = 1;
    return VAULT_OK;
}

/* The next key beside the present one, which is of this generation. */
static int begin_next(struct keyring *k, uint32_t generation, struct secret **next) {
    if (*next != NULL)
        return VAULT_E_STATE;
    if (generation == UINT32_MAX || k->epoch == UINT64_MAX)
        return VAULT_E_LIMIT;
    int result = secret_random(next, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        k->epoch++;
    return result;
}

static int end_present(struct keyring *k, uint32_t *generation, struct secret **present, struct secret **next) {
    if (*next == NULL)
        return VAULT_E_STATE;
    if (k->epoch == UINT64_MAX)
        return VAULT_E_LIMIT;
    secret_free(present);
    *present = secret_move(next);
    ++*generation;
    k->epoch++;
    return VAULT_OK;
}

int keyring_raise_epoch(struct keyring *k, uint64_t least) {
    if (k->epoch == UINT64_MAX)
        return VAULT_E_LIMIT;
    k->epoch = k->epoch + 1 > least ? k->epoch + 1 : least;
    return VAULT_OK;
}

int keyring_begin_index_key(struct keyring *k) {
    return begin_next(k, k->index_generation, &k->next_index_key);
}

int keyring_end_index_key(struct keyring *k) {
    return end_present(k, &k->index_generation, &k->index_key, &k->next_index_key);
}

int keyring_begin_name_key(struct keyring *k) {
    return begin_next(k, k->name_generation, &k->next_name_key);
}

int keyring_end_name_key(struct keyring *k) {
    return end_present(k, &k->name_generation, &k->name_key, &k->next_name_key);
}

int keyring_replace_audit_seed(struct keyring *k, struct secret **seed) {
    if (*seed == NULL || secret_size(*seed) != SECRET_KEY_SIZE)
        return VAULT_E_STATE;
    if (k->epoch == UINT64_MAX)
        return VAULT_E_LIMIT;
    secret_free(&k->audit_seed);
    k->audit_seed = secret_move(seed);
    k->epoch++;
    return VAULT_OK;
}

int keyring_set_seal(struct keyring *k, const struct seal *s) {
    bool stored = k->seal.kind != SEAL_BY_NOTHING;
    if (s->kind == SEAL_BY_NOTHING || k->epoch == UINT64_MAX)
        return VAULT_E_STATE;
    k->seal = *s;
    k->epoch += stored;
    return VAULT_OK;
}

const struct seal *keyring_seal(const struct keyring *k) {
    return &k->seal;
}

const uint8_t *keyring_vault_id(const struct keyring *k) {
    return k->vault_id;
}

uint64_t keyring_epoch(const struct keyring *k) {
    return k->epoch;
}

bool keyring_is_dev(const struct keyring *k) {
    return k->dev;
}

uint32_t keyring_newest(const struct keyring *k) {
    return k->generations[k->count - 1].number;
}

uint32_t keyring_count(const struct keyring *k) {
    return k->count;
}

uint32_t keyring_generation(const struct keyring *k, uint32_t i, uint64_t *ret_created) {
    if (i >= k->count)
        abort();
    *ret_created = k->generations[i].created;
    return k->generations[i].number;
}

const struct secret *keyring_kek(const struct keyring *k, uint32_t generation) {
    for (uint32_t i = 0; i < k->count; i++)
        if (k->generations[i].number == generation)
            return k->generations[i].key;
    return NULL;
}

const struct secret *keyring_index_key(const struct keyring *k) {
    return k->index_key;
}

const struct secret *keyring_next_index_key(const struct keyring *k) {
    return k->next_index_key;
}

uint32_t keyring_index_generation(const struct keyring *k) {
    return k->index_generation;
}

const struct secret *keyring_name_key(const struct keyring *k) {
    return k->name_key;
}

const struct secret *keyring_next_name_key(const struct keyring *k) {
    return k->next_name_key;
}

uint32_t keyring_name_generation(const struct keyring *k) {
    return k->name_generation;
}

const struct secret *keyring_audit_seed(const struct keyring *k) {
    return k->audit_seed;
}
