/* Values that decisions rest on, and the witness of each: both hold the number of the record that made the value what
 * it is, so that an older one put back in its place is told from the one in force (lookup.c). */
#include "monitor.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/names.h"
#include "vaultd/monitor/registers/standings.h"
#include "vault/result.h"

static int chain_vouch(struct monitor *m, enum name_kind kind, const char *name, uint64_t current) {
    struct chain_value v;
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    int result = index_get_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, &v);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    v.current = current;
    return index_put_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, &v);
}

static int name_vouch(struct monitor *m, enum name_kind kind, const char *name, uint64_t current) {
    struct name_value v = {.current = current};
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    return index_put_record(m->index, DB_NAMES, key, HASH_SIZE, &layout_name_value, &v);
}

static int put_named(struct monitor *m, enum index_db db, enum name_kind kind, const char *name, const struct layout *l,
                     const void *value) {
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    return index_put_record(m->index, db, key, HASH_SIZE, l, value);
}

int subject_store(struct monitor *m, const struct subject_value *s) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, s->subject, NULL, key);
    standings_touch(m, key);
    return index_put_record(m->index, DB_SUBJECTS, key, HASH_SIZE, &layout_subject_value, s);
}

int subject_make_current(struct monitor *m, struct subject_value *s) {
    s->current = m->tree.size;
    int result = subject_store(m, s);
    return result == VAULT_OK ? chain_vouch(m, NAME_CHAIN_SUBJECT, s->subject, s->current) : result;
}

int subject_disown(struct monitor *m, const char *subject) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, subject, NULL, key);
    standings_touch(m, key);
    return chain_vouch(m, NAME_CHAIN_SUBJECT, subject, m->tree.size);
}

/* A SAN is only ever added, with its service. */
int service_store(struct monitor *m, const struct service_value *s) {
    m->services_change++;
    return put_named(m, DB_SERVICES, NAME_SERVICE, s->name, &layout_service_value, s);
}

int service_make_current(struct monitor *m, struct service_value *s) {
    s->current = m->tree.size;
    int result = service_store(m, s);
    return result == VAULT_OK ? chain_vouch(m, NAME_CHAIN_SERVICE, s->name, s->current) : result;
}

int san_store(struct monitor *m, const char *san, const struct san_value *v) {
    int result = put_named(m, DB_SANS, NAME_SAN, san, &layout_san_value, v);
    return result == VAULT_OK ? name_vouch(m, NAME_SAN, san, 0) : result;
}

int project_store(struct monitor *m, const struct project_value *p) {
    return put_named(m, DB_PROJECTS, NAME_PROJECT, p->name, &layout_project_value, p);
}

int project_make_current(struct monitor *m, struct project_value *p) {
    p->current = m->tree.size;
    int result = project_store(m, p);
    return result == VAULT_OK ? name_vouch(m, NAME_PROJECT, p->name, p->current) : result;
}

int ethics_store(struct monitor *m, const struct ethics_value *e) {
    return put_named(m, DB_ETHICS, NAME_ETHICS, e->name, &layout_ethics_value, e);
}

int ethics_make_current(struct monitor *m, struct ethics_value *e) {
    e->current = m->tree.size;
    int result = ethics_store(m, e);
    return result == VAULT_OK ? name_vouch(m, NAME_ETHICS, e->name, e->current) : result;
}

int consent_store(struct monitor *m, const struct consent_value *c) {
    uint8_t key[HASH_SIZE + 4];
    name_hash(m, NAME_SUBJECT, c->subject, NULL, key);
    standings_touch(m, key);
    put_be32(key + HASH_SIZE, c->version);
    return index_put_record(m->index, DB_CONSENTS, key, sizeof(key), &layout_consent_value, c);
}

int policy_store(struct monitor *m, const struct policy_value *p) {
    uint8_t key[4];
    put_be32(key, p->version);
    int result = index_put_record(m->index, DB_POLICIES, key, sizeof(key), &layout_policy_value, p);
    return result == VAULT_OK ? meta_store(m) : result;
}

int policy_make_current(struct monitor *m, struct policy_value *p) {
    p->record = m->meta.policy_record = m->tree.size;
    return policy_store(m, p);
}
