/* Under which hash the index knows a name. While the name key makes way for another, entries move owner by owner
 * (keys/name_moves.c), all of one owner at once; this is the one place that knows which key an owner has by now. */
#include <sodium.h>
#include <string.h>

#include "monitor.h"
#include "vaultd/monitor/names.h"

static const uint8_t nowhere[HASH_SIZE];

bool name_is_local(const char *name) {
    return strncmp(name, "unix:", 5) == 0;
}

static void hash_within(const struct secret *key, enum name_kind kind, const char *name,
                        const uint8_t within[HASH_SIZE], uint8_t ret[HASH_SIZE]) {
    crypto_generichash_state s;
    uint8_t head = (uint8_t)kind;
    crypto_generichash_init(&s, secret_view(key), secret_size(key), HASH_SIZE);
    crypto_generichash_update(&s, &head, 1);
    crypto_generichash_update(&s, within, HASH_SIZE);
    crypto_generichash_update(&s, (const uint8_t *)name, strlen(name));
    crypto_generichash_final(&s, ret, HASH_SIZE);
    wipe(&s, sizeof(s));
}

void name_hash_under(const struct secret *key, enum name_kind kind, const char *name, const char *subject,
                     uint8_t ret[HASH_SIZE]) {
    uint8_t within[HASH_SIZE] = {0};
    if (kind == NAME_FILE)
        hash_within(key, NAME_SUBJECT, subject, nowhere, within);
    hash_within(key, kind, name, within, ret);
}

/* With whom an entry moves: the stage, and the hash in whose order the owners of that stage move. */
struct owner {
    enum naming stage;
    enum name_kind kind;
    const char *name;
};

static struct owner owner_of(enum name_kind kind, const char *name, const char *subject) {
    switch (kind) {
    case NAME_SUBJECT:
    case NAME_CHAIN_SUBJECT: return (struct owner){NAMING_SUBJECTS, NAME_SUBJECT, name};
    case NAME_FILE:
    case NAME_DATASET: return (struct owner){NAMING_SUBJECTS, NAME_SUBJECT, subject};
    case NAME_SAN: return (struct owner){NAMING_SANS, NAME_SAN, name};
    case NAME_CHAIN_PROJECT:
    case NAME_PROJECT: return (struct owner){NAMING_PROJECTS, NAME_PROJECT, name};
    case NAME_ETHICS: return (struct owner){NAMING_ETHICS, NAME_ETHICS, name};
    default: break;
    }
    return name_is_local(name) ? (struct owner){NAMING_LOCALS, NAME_CHAIN_SERVICE, name}
                               : (struct owner){NAMING_SERVICES, NAME_SERVICE, name};
}

/* The present key, until the owner has moved. */
static const struct secret *key_of(const struct monitor *m, const struct owner *o) {
    const struct secret *present = keyring_name_key(m->keyring), *next = keyring_next_name_key(m->keyring);
    uint8_t hash[HASH_SIZE];
    if (next == NULL || o->stage > m->meta.naming)
        return present;
    if (o->stage < m->meta.naming)
        return next;
    hash_within(present, o->kind, o->name, nowhere, hash);
    return memcmp(hash, m->meta.named, HASH_SIZE) <= 0 ? next : present;
}

void name_hash(const struct monitor *m, enum name_kind kind, const char *name, const char *subject,
               uint8_t ret[HASH_SIZE]) {
    struct owner o = owner_of(kind, name, subject);
    name_hash_under(key_of(m, &o), kind, name, subject, ret);
}

unsigned dataset_hashes(const struct monitor *m, const char *dataset, uint8_t ret[2][HASH_SIZE]) {
    const struct secret *next = keyring_next_name_key(m->keyring);
    name_hash_under(keyring_name_key(m->keyring), NAME_DATASET, dataset, NULL, ret[0]);
    if (next != NULL)
        name_hash_under(next, NAME_DATASET, dataset, NULL, ret[1]);
    return next == NULL ? 1 : 2;
}

/* When the entries of a database move. */
struct stages {
    enum naming first, last;
};

static struct stages stages_of(enum index_db db) {
    switch (db) {
    case DB_SUBJECTS: return (struct stages){NAMING_SUBJECTS, NAMING_SUBJECTS};
    case DB_SERVICES: return (struct stages){NAMING_SERVICES, NAMING_SERVICES};
    case DB_PROJECTS: return (struct stages){NAMING_PROJECTS, NAMING_PROJECTS};
    case DB_ETHICS: return (struct stages){NAMING_ETHICS, NAMING_ETHICS};
    case DB_BUDGETS: return (struct stages){NAMING_SERVICES, NAMING_PROJECTS};
    default: return (struct stages){NAMING_NONE, NAMING_NONE};
    }
}

/* The key that all are under; while they move, also how far that has got. */
uint64_t names_moves(const struct monitor *m, enum index_db db) {
    struct stages s = stages_of(db);
    uint32_t generation = m->meta.name_key + (s.last < m->meta.naming ? 1 : 0);
    uint8_t said[4 + 1 + HASH_SIZE] = {0}, hash[HASH_SIZE];
    if (s.first == NAMING_NONE)
        return 0;
    put_be32(said, generation);
    if (s.first <= m->meta.naming && m->meta.naming <= s.last) {
        said[4] = m->meta.naming;
        copy_bytes(said + 5, HASH_SIZE, m->meta.named, HASH_SIZE);
    }
    crypto_generichash(hash, sizeof(hash), said, sizeof(said), NULL, 0);
    return get_be64(hash);
}
