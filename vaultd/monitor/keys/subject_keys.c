#include "subject_keys.h"

#include "vault/result.h"

static void keep_old_key(struct subject_value *s) {
    COPY_ARRAY(s->old_key, s->key);
    s->old_key_size = WRAP_SIZE;
}

static bool has_old_key(const struct subject_value *s) {
    return s->turning != 0 && s->old_key_size == WRAP_SIZE;
}

int subject_key_give(struct monitor *m, struct subject_value *s) {
    uint8_t owner[HASH_SIZE];
    uint8_t wrapped[WRAP_SIZE];
    CLEANUP_SECRET struct secret *key = NULL;
    uint32_t generation = m->meta.generation;
    const struct secret *kek = keyring_kek(m->keyring, generation);
    if (s->turning != 0)
        return VAULT_E_STATE;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, owner);
    int result = kek == NULL ? VAULT_E_DAMAGED : secret_random(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK && s->key_number > 0)
        result = subject_key_rewrap(m, s, owner, generation); /* one generation wraps both */
    if (result == VAULT_OK)
        result = key_wrap(kek, WRAP_SUBJECT, owner, generation, key, wrapped);
    if (result != VAULT_OK)
        return result;
    s->turning = s->key_number > 0;
    if (s->turning)
        keep_old_key(s);
    COPY_ARRAY(s->key, wrapped);
    s->generation = generation;
    s->key_number++;
    return VAULT_OK;
}

static int rewrap(const struct secret *from, const struct secret *to, const uint8_t owner[HASH_SIZE],
                  const struct subject_value *s, uint32_t generation, uint8_t wrapped[WRAP_SIZE]) {
    CLEANUP_SECRET struct secret *key = NULL;
    int result = key_unwrap(from, WRAP_SUBJECT, owner, s->generation, wrapped, &key);
    return result == VAULT_OK ? key_wrap(to, WRAP_SUBJECT, owner, generation, key, wrapped) : result;
}

int subject_key_rewrap(struct monitor *m, struct subject_value *s, const uint8_t owner[HASH_SIZE],
                       uint32_t generation) {
    const struct secret *from = keyring_kek(m->keyring, s->generation);
    const struct secret *to = keyring_kek(m->keyring, generation);
    if (s->shredded != 0 || s->generation == generation)
        return VAULT_OK;
    if (from == NULL || to == NULL)
        return VAULT_E_DAMAGED;
    int result = rewrap(from, to, owner, s, generation, s->key);
    if (result == VAULT_OK && has_old_key(s))
        result = rewrap(from, to, owner, s, generation, s->old_key);
    if (result == VAULT_OK)
        s->generation = generation;
    return result;
}

static int rebind(const struct secret *kek, const uint8_t from[HASH_SIZE], const uint8_t to[HASH_SIZE],
                  uint32_t generation, uint8_t wrapped[WRAP_SIZE]) {
    CLEANUP_SECRET struct secret *key = NULL;
    int result = key_unwrap(kek, WRAP_SUBJECT, from, generation, wrapped, &key);
    return result == VAULT_OK ? key_wrap(kek, WRAP_SUBJECT, to, generation, key, wrapped) : result;
}

int subject_key_move(struct monitor *m, struct subject_value *s, const uint8_t from[HASH_SIZE],
                     const uint8_t to[HASH_SIZE]) {
    const struct secret *kek = keyring_kek(m->keyring, s->generation);
    if (s->shredded != 0)
        return VAULT_OK;
    int result = kek == NULL ? VAULT_E_DAMAGED : rebind(kek, from, to, s->generation, s->key);
    return result == VAULT_OK && has_old_key(s) ? rebind(kek, from, to, s->generation, s->old_key) : result;
}

void subject_key_forget(struct subject_value *s, bool all) {
    wipe(s->old_key, sizeof(s->old_key));
    s->old_key_size = 0;
    if (all)
        wipe(s->key, sizeof(s->key));
    s->turning = 0;
}

static int subject_key_open(struct monitor *m, const struct subject_value *s, uint32_t number, struct secret **ret) {
    uint8_t owner[HASH_SIZE];
    const struct secret *kek = keyring_kek(m->keyring, s->generation);
    bool before = has_old_key(s) && number + 1 == s->key_number;
    if (kek == NULL || s->shredded != 0 || (number != s->key_number && !before))
        return VAULT_E_DAMAGED;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, owner);
    return key_unwrap(kek, WRAP_SUBJECT, owner, s->generation, before ? s->old_key : s->key, ret);
}

static void owner_of(const uint8_t blob[ID_SIZE], uint8_t ret[WRAP_OWNER]) {
    wipe(ret, WRAP_OWNER);
    copy_bytes(ret, WRAP_OWNER, blob, ID_SIZE);
}

int data_key_open(struct monitor *m, const struct subject_value *s, const uint8_t blob[ID_SIZE], uint32_t number,
                  const uint8_t wrapped[WRAP_SIZE], struct secret **ret) {
    uint8_t owner[WRAP_OWNER];
    CLEANUP_SECRET struct secret *under = NULL;
    owner_of(blob, owner);
    int result = subject_key_open(m, s, number, &under);
    return result == VAULT_OK ? key_unwrap(under, WRAP_DATA, owner, number, wrapped, ret) : result;
}

int data_key_wrap(struct monitor *m, const struct subject_value *s, const uint8_t blob[ID_SIZE],
                  const struct secret *key, uint8_t ret[WRAP_SIZE]) {
    uint8_t owner[WRAP_OWNER];
    CLEANUP_SECRET struct secret *under = NULL;
    owner_of(blob, owner);
    int result = subject_key_open(m, s, s->key_number, &under);
    return result == VAULT_OK ? key_wrap(under, WRAP_DATA, owner, s->key_number, key, ret) : result;
}

int data_key_rewrap(struct monitor *m, const struct subject_value *s, const uint8_t blob[ID_SIZE], uint32_t *number,
                    uint8_t wrapped[WRAP_SIZE]) {
    CLEANUP_SECRET struct secret *key = NULL;
    if (*number == s->key_number)
        return VAULT_OK;
    int result = data_key_open(m, s, blob, *number, wrapped, &key);
    if (result == VAULT_OK)
        result = data_key_wrap(m, s, blob, key, wrapped);
    if (result == VAULT_OK)
        *number = s->key_number;
    return result;
}
