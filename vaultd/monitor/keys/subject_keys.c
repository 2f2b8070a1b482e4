#include "subject_keys.h"
#include "vaultd/monitor/names.h"

#include "vault/log.h"
#include "vault/result.h"

/* ---- entries ---- */

enum { ENTRY = HASH_SIZE + 4 };

static void entry_of(const uint8_t owner[HASH_SIZE], uint32_t number, uint8_t ret[ENTRY]) {
    copy_bytes(ret, ENTRY, owner, HASH_SIZE);
    put_be32(ret + HASH_SIZE, number);
}

static int load(struct monitor *m, const uint8_t entry[ENTRY], struct subject_key_value *ret) {
    int result = index_get_record(m->index, DB_SUBJECT_KEYS, entry, ENTRY, &layout_subject_key_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int unwrap(struct monitor *m, const uint8_t owner[HASH_SIZE], const struct subject_key_value *v,
                  struct secret **ret) {
    const struct secret *kek = keyring_kek(m->keyring, v->generation);
    return kek == NULL ? VAULT_E_DAMAGED : key_unwrap(kek, WRAP_SUBJECT, owner, v->generation, v->key, ret);
}

static int wrap(struct monitor *m, const uint8_t owner[HASH_SIZE], const struct secret *key, uint32_t generation,
                struct subject_key_value *ret) {
    const struct secret *kek = keyring_kek(m->keyring, generation);
    ret->generation = generation;
    return kek == NULL ? VAULT_E_DAMAGED : key_wrap(kek, WRAP_SUBJECT, owner, generation, key, ret->key);
}

/* Wraps it for the owner whom the entry names. */
static int store(struct monitor *m, const uint8_t entry[ENTRY], const struct secret *key, uint32_t generation) {
    struct subject_key_value v;
    int result = wrap(m, entry, key, generation, &v);
    return result == VAULT_OK ? index_put_record(m->index, DB_SUBJECT_KEYS, entry, ENTRY, &layout_subject_key_value, &v)
                              : result;
}

/* ---- the keys of a subject ---- */

static bool is_in_use(const struct subject_value *s, uint32_t number) {
    return s->shredded == 0 && number > 0 &&
           (number == s->key_number || (s->turning != TURN_NONE && number + 1 == s->key_number));
}

int subject_key_give(struct monitor *m, struct subject_value *s) {
    uint8_t owner[HASH_SIZE], entry[ENTRY];
    CLEANUP_SECRET struct secret *key = NULL;
    if (s->turning != TURN_NONE)
        return VAULT_E_STATE;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, owner);
    entry_of(owner, s->key_number + 1, entry);
    int result = secret_random(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = store(m, entry, key, m->meta.generation);
    if (result != VAULT_OK)
        return result;
    s->turning = s->key_number > 0 ? TURN_UNDER_WAY : TURN_NONE;
    s->key_number++;
    return VAULT_OK;
}

int subject_key_generation(struct monitor *m, const struct subject_value *s, uint32_t *ret) {
    struct subject_key_value v;
    uint8_t owner[HASH_SIZE], entry[ENTRY];
    *ret = 0;
    if (s->shredded != 0)
        return VAULT_OK;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, owner);
    entry_of(owner, s->key_number, entry);
    int result = load(m, entry, &v);
    if (result == VAULT_OK)
        *ret = v.generation;
    return result;
}

/* ---- under another generation ---- */

struct rewrap {
    struct monitor *m;
    uint32_t generation;
};

/* Never back: a shred counts on the last one that wrapped. */
static int rewrap(void *context, const uint8_t *entry, size_t size, uint8_t *value, size_t n) {
    const struct rewrap *to = context;
    struct subject_key_value v;
    CLEANUP_SECRET struct secret *key = NULL;
    struct reader r = reader_of(value, n);
    struct writer w = writer_of(value, n);
    if (size != ENTRY || layout_decode(&layout_subject_key_value, &r, &v) != VAULT_OK)
        return VAULT_E_DAMAGED;
    int result = unwrap(to->m, entry, &v, &key); /* that it is of its generation is not told by its saying so */
    if (result == VAULT_OK && v.generation >= to->generation)
        return VAULT_AGAIN;
    if (result == VAULT_OK)
        result = wrap(to->m, entry, key, to->generation, &v);
    if (result == VAULT_OK)
        layout_encode(&layout_subject_key_value, &v, &w);
    return result;
}

int subject_keys_rewrap(struct monitor *m, uint32_t generation, uint64_t most, uint8_t after[INDEX_KEY_MAX],
                        size_t *size, uint64_t *ret_done, uint64_t *ret_damaged) {
    struct rewrap to = {.m = m, .generation = generation};
    struct index_rewrite how = {.db = DB_SUBJECT_KEYS, .most = most, .change = rewrap, .context = &to};
    int result = index_rewrite(m->index, &how, after, size, ret_done, ret_damaged);
    if (*ret_damaged != 0)
        log_error("rotation: keys of subjects are damaged and were not rewrapped count=%llu",
                  (unsigned long long)*ret_damaged);
    return result;
}

/* ---- another hash, and forgetting ---- */

static int move(struct monitor *m, const uint8_t from[ENTRY], const uint8_t to[ENTRY], bool trial) {
    struct subject_key_value v;
    CLEANUP_SECRET struct secret *key = NULL;
    int result = load(m, from, &v);
    if (result == VAULT_OK)
        result = unwrap(m, from, &v, &key);
    if (result == VAULT_OK && !trial)
        result = store(m, to, key, v.generation);
    return result == VAULT_OK && !trial ? index_delete(m->index, DB_SUBJECT_KEYS, from, ENTRY) : result;
}

int subject_keys_move(struct monitor *m, const struct subject_value *s, const uint8_t from[HASH_SIZE],
                      const uint8_t to[HASH_SIZE], bool trial) {
    uint8_t old[ENTRY], new[ENTRY];
    int result = VAULT_OK;
    for (uint32_t n = s->key_number; result == VAULT_OK && is_in_use(s, n); n--) {
        entry_of(from, n, old);
        entry_of(to, n, new);
        result = move(m, old, new, trial);
    }
    return result;
}

int subject_keys_forget(struct monitor *m, struct subject_value *s, bool all) {
    uint8_t owner[HASH_SIZE], entry[ENTRY];
    int result = VAULT_OK;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, owner);
    for (uint32_t n = all ? s->key_number : s->key_number - 1; result == VAULT_OK && is_in_use(s, n); n--) {
        entry_of(owner, n, entry);
        result = index_delete(m->index, DB_SUBJECT_KEYS, entry, ENTRY);
        result = result == VAULT_NOT_FOUND ? VAULT_OK : result;
    }
    if (result == VAULT_OK)
        s->turning = TURN_NONE;
    return result;
}

/* ---- data keys ---- */

static int subject_key_open(struct monitor *m, const struct subject_value *s, uint32_t number, struct secret **ret) {
    struct subject_key_value v;
    uint8_t owner[HASH_SIZE], entry[ENTRY];
    if (!is_in_use(s, number))
        return VAULT_E_DAMAGED;
    name_hash(m, NAME_SUBJECT, s->subject, NULL, owner);
    entry_of(owner, number, entry);
    int result = load(m, entry, &v);
    return result == VAULT_OK ? unwrap(m, owner, &v, ret) : result;
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
