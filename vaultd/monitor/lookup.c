#include <sodium.h>
#include <string.h>

#include "monitor.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/names.h"
#include "vaultd/monitor/registers/anchors.h"
#include "vault/result.h"

/* A value and its witness are made together, never removed, and say the same of which record made the value what it is:
 * one without the other is damage, and so is one that is older than the other. */
static int agree(int found, uint64_t current, int witness, uint64_t witnessed) {
    if (found < 0 || witness < 0)
        return found < 0 ? found : witness;
    if (found != witness)
        return VAULT_E_DAMAGED;
    return found == VAULT_OK && current != witnessed ? VAULT_E_DAMAGED : found;
}

/* Subjects and services have their audit chain as witness. */
static int with_chain(struct monitor *m, int found, uint64_t current, enum name_kind kind, const char *name) {
    struct chain_value v = {0};
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    int witness = index_get_record(m->index, DB_CHAINS, key, HASH_SIZE, &layout_chain_value, &v);
    return agree(found, current, witness, v.current);
}

/* What has no chain has an entry of its own as witness. */
static int with_name(struct monitor *m, int found, uint64_t current, enum name_kind kind, const char *name) {
    struct name_value v = {0};
    uint8_t key[HASH_SIZE];
    name_hash(m, kind, name, NULL, key);
    int witness = index_get_record(m->index, DB_NAMES, key, HASH_SIZE, &layout_name_value, &v);
    return agree(found, current, witness, v.current);
}

int subject_load(struct monitor *m, const char *subject, struct subject_value *ret) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_SUBJECT, subject, NULL, key);
    return index_get_record(m->index, DB_SUBJECTS, key, HASH_SIZE, &layout_subject_value, ret);
}

int find_subject(struct monitor *m, const char *subject, struct subject_value *ret) {
    int found = subject_load(m, subject, ret);
    return with_chain(m, found, ret->current, NAME_CHAIN_SUBJECT, subject);
}

int subject_is_of_now(struct monitor *m, const struct subject_value *s) {
    return with_chain(m, VAULT_OK, s->current, NAME_CHAIN_SUBJECT, s->subject);
}

int find_service(struct monitor *m, const char *name, struct service_value *ret) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_SERVICE, name, NULL, key);
    int found = index_get_record(m->index, DB_SERVICES, key, HASH_SIZE, &layout_service_value, ret);
    if (found == VAULT_NOT_FOUND && name_is_local(name))
        return found;
    return with_chain(m, found, ret->current, NAME_CHAIN_SERVICE, name);
}

int find_project(struct monitor *m, const char *name, struct project_value *ret) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_PROJECT, name, NULL, key);
    int found = index_get_record(m->index, DB_PROJECTS, key, HASH_SIZE, &layout_project_value, ret);
    return with_name(m, found, ret->current, NAME_PROJECT, name);
}

int find_ethics(struct monitor *m, const char *name, struct ethics_value *ret) {
    uint8_t key[HASH_SIZE];
    name_hash(m, NAME_ETHICS, name, NULL, key);
    int found = index_get_record(m->index, DB_ETHICS, key, HASH_SIZE, &layout_ethics_value, ret);
    return with_name(m, found, ret->current, NAME_ETHICS, name);
}

int find_consent(struct monitor *m, const char *subject, uint32_t version, struct consent_value *ret) {
    uint8_t key[HASH_SIZE + 4];
    name_hash(m, NAME_SUBJECT, subject, NULL, key);
    put_be32(key + HASH_SIZE, version);
    int found = index_get_record(m->index, DB_CONSENTS, key, sizeof(key), &layout_consent_value, ret);
    return found == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : found; /* asked for only where a version must be there */
}

bool id_is_zero(const uint8_t id[ID_SIZE]) {
    return sodium_is_zero(id, ID_SIZE) == 1;
}

enum { LISTED_MAX = 256 };

/* A name that is gone while its file is in the subject's list is damage; looked for among a bounded number of files. */
static int files_are_whole(struct monitor *m, const uint8_t subject[HASH_SIZE], const char *name) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    struct file_value f;
    int result = index_next(m->index, DB_SUBJECT_FILES, subject, HASH_SIZE, NULL, 0, key, &size);
    for (unsigned n = 0; result == VAULT_OK && size == HASH_SIZE + ID_SIZE && n < LISTED_MAX; n++) {
        result = index_get_record(m->index, DB_FILES, key + HASH_SIZE, ID_SIZE, &layout_file_value, &f);
        if (result == VAULT_NOT_FOUND || (result == VAULT_OK && strcmp(f.name, name) == 0))
            return VAULT_E_DAMAGED;
        if (result == VAULT_OK)
            result = index_next(m->index, DB_SUBJECT_FILES, subject, HASH_SIZE, key, size, key, &size);
    }
    return result == VAULT_OK ? VAULT_NOT_FOUND : result;
}

static int find_named_file(struct monitor *m, const char *subject, const char *name, uint8_t ret_id[ID_SIZE]) {
    uint8_t scope[HASH_SIZE];
    uint8_t key[HASH_SIZE];
    struct file_name_value v;
    name_hash(m, NAME_SUBJECT, subject, NULL, scope);
    name_hash(m, NAME_FILE, name, subject, key);
    int result = index_get_record(m->index, DB_FILE_NAMES, key, HASH_SIZE, &layout_file_name_value, &v);
    if (result == VAULT_NOT_FOUND)
        return files_are_whole(m, scope, name);
    if (result == VAULT_OK)
        copy_bytes(ret_id, ID_SIZE, v.file, ID_SIZE);
    return result;
}

int find_file(struct monitor *m, const uint8_t id[ID_SIZE], const char *subject, const char *name,
              struct file_value *ret) {
    uint8_t named[ID_SIZE];
    bool by_id = !id_is_zero(id);
    if (!by_id) {
        int result = find_named_file(m, subject, name, named);
        if (result != VAULT_OK)
            return result;
    }
    int result = index_get_record(m->index, DB_FILES, by_id ? id : named, ID_SIZE, &layout_file_value, ret);
    return result == VAULT_NOT_FOUND && !by_id ? VAULT_E_DAMAGED : result;
}

int object_is_of_another(struct monitor *m, const uint8_t address[HASH_SIZE], const uint8_t blob[ID_SIZE],
                         bool *ret_other) {
    struct object_value o;
    int result = index_get_record(m->index, DB_OBJECTS, address, HASH_SIZE, &layout_object_value, &o);
    if (result == VAULT_OK || result == VAULT_NOT_FOUND)
        *ret_other = result == VAULT_OK && memcmp(o.blob, blob, ID_SIZE) != 0;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

bool list_holds(const char *list, const char *item) {
    size_t n = strlen(item);
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (length == n && strncmp(at, item, n) == 0)
            return true;
        at += length;
        at += *at == ',' ? 1 : 0;
    }
    return false;
}

enum { ADMINISTRATOR_ROLES = 1u << ROLE_REGISTRAR | 1u << ROLE_AUDITOR | 1u << ROLE_CUSTODIAN | 1u << ROLE_OPERATOR };

/* Root, or the configured uid, on the Unix socket: every administrative role, and no content. */
static void local_asker(const struct monitor *m, const struct worker *w, struct asker *a) {
    a->known = w->uid == 0 || w->uid == m->setup.administrator;
    if (!a->known)
        return;
    a->roles = ADMINISTRATOR_ROLES;
    (void)format_string(a->name, sizeof(a->name), "unix:%u", w->uid);
}

static unsigned connections_of(const struct monitor *m, const char *san) {
    unsigned n = 0;
    for (const struct worker *w = m->workers; w != NULL; w = w->next)
        if (w->identified && strcmp(w->san, san) == 0)
            n++;
    return n;
}

void asker_fill(const struct service_value *s, struct asker *a) {
    copy_string(a->name, sizeof(a->name), s->name);
    a->known = s->revoked == 0;
    a->roles = s->roles;
    a->purposes = s->purposes;
    copy_string(a->organisation, sizeof(a->organisation), s->organisation);
    copy_string(a->country, sizeof(a->country), s->country);
    a->not_for_profit = s->not_for_profit != 0;
}

/* w->service: looked up once, and again after each change of any service. */
static int know_service(struct monitor *m, struct worker *w) {
    struct san_value san;
    uint8_t key[HASH_SIZE];
    if (w->service_seen != 0 && w->service_seen == m->services_change)
        return VAULT_OK;
    name_hash(m, NAME_SAN, w->san, NULL, key);
    int result = index_get_record(m->index, DB_SANS, key, HASH_SIZE, &layout_san_value, &san);
    result = with_name(m, result, 0, NAME_SAN, w->san);
    if (result != VAULT_OK)
        return result;
    result = find_service(m, san.name, &w->service);
    if (result == VAULT_OK)
        w->service_seen = m->services_change;
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int remote_asker(struct monitor *m, struct worker *w, struct asker *a) {
    if (!w->identified || w->lost || (m->seal == SEAL_UNSEALED && !anchors_vouch(m)))
        return VAULT_OK;
    copy_string(a->san, sizeof(a->san), w->san);
    hex_encode(a->fingerprint, sizeof(a->fingerprint), w->fingerprint, HASH_SIZE);
    if (m->keyring == NULL)
        return VAULT_OK; /* sealed: nobody can be looked up */
    int result = know_service(m, w);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_OK : result;
    asker_fill(&w->service, a);
    a->limited = m->setup.service_limit > 0 && connections_of(m, w->san) > m->setup.service_limit;
    return VAULT_OK;
}

bool is_administrator(const struct asker *a) {
    return (a->roles & ADMINISTRATOR_ROLES) != 0;
}

int find_asker(struct monitor *m, struct worker *w, struct asker *ret) {
    struct asker a = {0};
    int result = VAULT_OK;
    copy_string(a.address, sizeof(a.address), w->address);
    if (w->kind == PEER_UNIX)
        local_asker(m, w, &a);
    else if (w->kind == PEER_TLS)
        result = remote_asker(m, w, &a);
    else if (w->kind == PEER_NOBODY)
        a = (struct asker){.known = true, .roles = ASKER_NOBODY};
    *ret = a; /* also after a fault: what is known of who asked goes into the record */
    return result;
}
