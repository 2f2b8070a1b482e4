#include "name_moves.h"

#include <string.h>

#include "subject_keys.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"
#include "vaultd/monitor/registers/standings.h"
#include "vault/result.h"

enum { PASSED_MOST = 64 };

/* What moves now: from the one hash of its owner to the other. A trial only looks. */
struct move {
    struct monitor *m;
    const struct secret *from, *to;
    bool trial;
    const char *owner;
};

static int missing(int result) {
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* ---- entries ---- */

static int move_entry(const struct move *v, enum index_db db, const uint8_t *old, const uint8_t *new, size_t size) {
    static uint8_t value[INDEX_VALUE_MAX];
    struct index *index = v->m->index;
    size_t n = 0;
    int result = missing(index_get(index, db, old, size, value, sizeof(value), &n));
    if (result == VAULT_OK && !v->trial)
        result = index_put(index, db, new, size, value, n);
    if (result == VAULT_OK && !v->trial)
        result = index_delete(index, db, old, size);
    wipe(value, sizeof(value));
    return result;
}

static int move_named(const struct move *v, enum index_db db, enum name_kind kind, const char *name,
                      const char *subject) {
    uint8_t old[HASH_SIZE], new[HASH_SIZE];
    name_hash_under(v->from, kind, name, subject, old);
    name_hash_under(v->to, kind, name, subject, new);
    return move_entry(v, db, old, new, HASH_SIZE);
}

/* All whose keys begin with the hash of the owner. */
static int move_all(const struct move *v, enum index_db db, enum name_kind kind) {
    uint8_t old[HASH_SIZE], key[INDEX_KEY_MAX], new[INDEX_KEY_MAX];
    size_t size = 0;
    name_hash_under(v->from, kind, v->owner, NULL, old);
    int result = index_next(v->m->index, db, old, HASH_SIZE, NULL, 0, key, &size);
    while (result == VAULT_OK) {
        copy_bytes(new, sizeof(new), key, size);
        name_hash_under(v->to, kind, v->owner, NULL, new);
        result = move_entry(v, db, key, new, size);
        if (result == VAULT_OK)
            result = index_next(v->m->index, db, old, HASH_SIZE, key, size, key, &size);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* ---- a subject ---- */

static int move_in_dataset(const struct move *v, const struct file_value *f) {
    uint8_t old[HASH_SIZE + ID_SIZE], new[HASH_SIZE + ID_SIZE];
    if (f->dataset[0] == '\0')
        return VAULT_OK;
    name_hash_under(v->from, NAME_DATASET, f->dataset, NULL, old);
    name_hash_under(v->to, NAME_DATASET, f->dataset, NULL, new);
    copy_bytes(old + HASH_SIZE, ID_SIZE, f->file, ID_SIZE);
    copy_bytes(new + HASH_SIZE, ID_SIZE, f->file, ID_SIZE);
    return move_entry(v, DB_DATASET_FILES, old, new, sizeof(old));
}

/* A blob stays where it is, and says whose it is. */
static int change_blob(const struct move *v, const struct file_value *f) {
    struct blob_value b;
    uint8_t old[HASH_SIZE];
    name_hash_under(v->from, NAME_SUBJECT, v->owner, NULL, old);
    int result = missing(index_get_record(v->m->index, DB_BLOBS, f->blob, ID_SIZE, &layout_blob_value, &b));
    if (result == VAULT_OK && memcmp(b.subject, old, HASH_SIZE) != 0)
        result = VAULT_E_DAMAGED;
    if (result != VAULT_OK || v->trial)
        return result;
    name_hash_under(v->to, NAME_SUBJECT, v->owner, NULL, b.subject);
    return index_put_record(v->m->index, DB_BLOBS, f->blob, ID_SIZE, &layout_blob_value, &b);
}

static int move_file(const struct move *v, const uint8_t *file) {
    static struct file_value f;
    int result = missing(index_get_record(v->m->index, DB_FILES, file, ID_SIZE, &layout_file_value, &f));
    if (result == VAULT_OK && strcmp(f.subject, v->owner) != 0)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = move_named(v, DB_FILE_NAMES, NAME_FILE, f.name, v->owner);
    if (result == VAULT_OK)
        result = move_in_dataset(v, &f);
    return result == VAULT_OK ? change_blob(v, &f) : result;
}

/* What is not in the subject's list would be left behind. */
static int move_files(const struct move *v, const struct subject_value *s) {
    uint8_t old[HASH_SIZE], key[INDEX_KEY_MAX];
    size_t size = 0;
    uint64_t met = 0;
    name_hash_under(v->from, NAME_SUBJECT, v->owner, NULL, old);
    int result = index_next(v->m->index, DB_SUBJECT_FILES, old, HASH_SIZE, NULL, 0, key, &size);
    for (; result == VAULT_OK; met++) {
        result = size == HASH_SIZE + ID_SIZE ? move_file(v, key + HASH_SIZE) : VAULT_E_DAMAGED;
        if (result == VAULT_OK)
            result = index_next(v->m->index, DB_SUBJECT_FILES, old, HASH_SIZE, key, size, key, &size);
    }
    if (result != VAULT_NOT_FOUND)
        return result;
    return met == s->files ? move_all(v, DB_SUBJECT_FILES, NAME_SUBJECT) : VAULT_E_DAMAGED;
}

/* The wraps of its keys hold the hash, too. */
static int move_keys(const struct move *v) {
    static struct subject_value s;
    uint8_t old[HASH_SIZE], new[HASH_SIZE];
    name_hash_under(v->from, NAME_SUBJECT, v->owner, NULL, old);
    name_hash_under(v->to, NAME_SUBJECT, v->owner, NULL, new);
    int result = index_get_record(v->m->index, DB_SUBJECTS, old, HASH_SIZE, &layout_subject_value, &s);
    if (result == VAULT_OK)
        result = move_files(v, &s);
    if (result == VAULT_OK)
        result = subject_keys_move(v->m, &s, old, new, v->trial);
    if (!v->trial) {
        standings_touch(v->m, old);
        standings_touch(v->m, new);
    }
    if (result == VAULT_OK && !v->trial)
        result = index_put_record(v->m->index, DB_SUBJECTS, new, HASH_SIZE, &layout_subject_value, &s);
    if (result == VAULT_OK && !v->trial)
        result = index_delete(v->m->index, DB_SUBJECTS, old, HASH_SIZE);
    return result;
}

static int move_subject(const struct move *v) {
    int result = move_keys(v);
    if (result == VAULT_OK)
        result = move_all(v, DB_CONSENTS, NAME_SUBJECT);
    if (result == VAULT_OK)
        result = move_all(v, DB_SHREDS, NAME_SUBJECT);
    if (result == VAULT_OK)
        result = move_all(v, DB_CARE, NAME_SUBJECT);
    return result == VAULT_OK ? move_named(v, DB_CHAINS, NAME_CHAIN_SUBJECT, v->owner, NULL) : result;
}

/* ---- the others: each with its witness ---- */

static int move_service(const struct move *v) {
    int result = move_named(v, DB_SERVICES, NAME_SERVICE, v->owner, NULL);
    if (result == VAULT_OK)
        result = move_named(v, DB_CHAINS, NAME_CHAIN_SERVICE, v->owner, NULL);
    return result == VAULT_OK ? move_all(v, DB_BUDGETS, NAME_SERVICE) : result;
}

static int move_local(const struct move *v) {
    return move_named(v, DB_CHAINS, NAME_CHAIN_SERVICE, v->owner, NULL);
}

static int move_san(const struct move *v) {
    int result = move_named(v, DB_SANS, NAME_SAN, v->owner, NULL);
    return result == VAULT_OK ? move_named(v, DB_NAMES, NAME_SAN, v->owner, NULL) : result;
}

static int move_project(const struct move *v) {
    int result = move_named(v, DB_PROJECTS, NAME_PROJECT, v->owner, NULL);
    if (result == VAULT_OK)
        result = move_named(v, DB_NAMES, NAME_PROJECT, v->owner, NULL);
    if (result == VAULT_OK)
        result = move_named(v, DB_CHAINS, NAME_CHAIN_PROJECT, v->owner, NULL);
    return result == VAULT_OK ? move_all(v, DB_BUDGETS, NAME_PROJECT) : result;
}

static int move_ethics(const struct move *v) {
    int result = move_named(v, DB_ETHICS, NAME_ETHICS, v->owner, NULL);
    return result == VAULT_OK ? move_named(v, DB_NAMES, NAME_ETHICS, v->owner, NULL) : result;
}

/* ---- whose an entry is: its name, out of its value ---- */

enum { OWNER_NAME = (SAN_MAX_SIZE > NAME_MAX_SIZE ? SAN_MAX_SIZE : NAME_MAX_SIZE) + 1 };

static int name_of_subject(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]) {
    static struct subject_value s;
    int result = index_get_record(m->index, DB_SUBJECTS, key, HASH_SIZE, &layout_subject_value, &s);
    if (result == VAULT_OK)
        copy_string(ret, OWNER_NAME, s.subject);
    return result;
}

static int name_of_service(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]) {
    static struct service_value s;
    int result = index_get_record(m->index, DB_SERVICES, key, HASH_SIZE, &layout_service_value, &s);
    if (result == VAULT_OK)
        copy_string(ret, OWNER_NAME, s.name);
    return result;
}

/* Its value names the service, which has moved and tells it. */
static int name_of_san(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]) {
    static struct service_value s;
    struct san_value v;
    int result = index_get_record(m->index, DB_SANS, key, HASH_SIZE, &layout_san_value, &v);
    if (result == VAULT_OK)
        result = missing(find_service(m, v.name, &s));
    if (result == VAULT_OK)
        copy_string(ret, OWNER_NAME, s.san);
    return result;
}

/* The others' chains are with them. */
static int name_of_local(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]) {
    struct chain_value v;
    int result = index_get_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, &v);
    if (result == VAULT_OK)
        copy_string(ret, OWNER_NAME, v.local);
    return result;
}

static int name_of_project(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]) {
    static struct project_value p;
    int result = index_get_record(m->index, DB_PROJECTS, key, HASH_SIZE, &layout_project_value, &p);
    if (result == VAULT_OK)
        copy_string(ret, OWNER_NAME, p.name);
    return result;
}

static int name_of_ethics(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]) {
    static struct ethics_value e;
    int result = index_get_record(m->index, DB_ETHICS, key, HASH_SIZE, &layout_ethics_value, &e);
    if (result == VAULT_OK)
        copy_string(ret, OWNER_NAME, e.name);
    return result;
}

/* ---- one after the other ---- */

static const struct stage {
    enum index_db db;
    enum name_kind kind;
    int (*name_of)(struct monitor *m, const uint8_t *key, char ret[OWNER_NAME]); /* "": nobody's of this stage */
    int (*move)(const struct move *v);
} stages[] = {
    [NAMING_SUBJECTS] = {DB_SUBJECTS, NAME_SUBJECT, name_of_subject, move_subject},
    [NAMING_SERVICES] = {DB_SERVICES, NAME_SERVICE, name_of_service, move_service},
    [NAMING_SANS] = {DB_SANS, NAME_SAN, name_of_san, move_san},
    [NAMING_LOCALS] = {DB_CHAINS, NAME_CHAIN_SERVICE, name_of_local, move_local},
    [NAMING_PROJECTS] = {DB_PROJECTS, NAME_PROJECT, name_of_project, move_project},
    [NAMING_ETHICS] = {DB_ETHICS, NAME_ETHICS, name_of_ethics, move_ethics},
};

static int move_owner(struct move *v, const struct stage *st) {
    v->trial = true;
    int result = st->move(v);
    v->trial = false;
    return result == VAULT_OK ? st->move(v) : result;
}

/* The owner of the entry with this key moves, unless it has. A key that is neither of both hashes is damage: its
 * value is of another place. */
static int meet(struct monitor *m, const struct stage *st, const uint8_t *key, bool *ret_moved) {
    char name[OWNER_NAME] = "";
    uint8_t old[HASH_SIZE], new[HASH_SIZE];
    struct move v = {
        .m = m, .from = keyring_name_key(m->keyring), .to = keyring_next_name_key(m->keyring), .owner = name};
    int result = missing(st->name_of(m, key, name));
    if (result != VAULT_OK || name[0] == '\0')
        return result;
    name_hash_under(v.from, st->kind, name, NULL, old);
    name_hash_under(v.to, st->kind, name, NULL, new);
    if (memcmp(key, old, HASH_SIZE) != 0)
        return memcmp(key, new, HASH_SIZE) == 0 ? VAULT_OK : VAULT_E_DAMAGED;
    result = move_owner(&v, st);
    *ret_moved = result == VAULT_OK;
    return result;
}

/* The next key of the stage behind the place: one that is no hash is nobody's, and the tally tells of it. */
static int next_key(struct monitor *m, const struct stage *st, uint8_t key[INDEX_KEY_MAX]) {
    size_t size = 0;
    int result = index_next(m->index, st->db, NULL, 0, m->meta.named, HASH_SIZE, key, &size);
    while (result == VAULT_OK && size != HASH_SIZE)
        result = index_next(m->index, st->db, NULL, 0, key, size, key, &size);
    return result;
}

int name_move_next(struct monitor *m, bool *ret_moved) {
    const struct stage *st = &stages[m->meta.naming];
    uint8_t key[INDEX_KEY_MAX];
    int result = VAULT_OK;
    *ret_moved = false;
    for (unsigned n = 0; n < PASSED_MOST && result == VAULT_OK && !*ret_moved; n++) {
        result = next_key(m, st, key);
        if (result == VAULT_OK)
            result = meet(m, st, key, ret_moved);
        if (result == VAULT_OK)
            copy_bytes(m->meta.named, HASH_SIZE, key, HASH_SIZE);
    }
    return result;
}
