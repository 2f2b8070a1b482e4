/* The backups that were made: asked for, listed, and what becomes of them when generations are retired. */
#include <string.h>

#include "backup.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

static int load(struct monitor *m, uint32_t number, struct backup_value *ret) {
    uint8_t key[4];
    put_be32(key, number);
    int result = index_get_record(m->index, DB_BACKUPS, key, sizeof(key), &layout_backup_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int store(struct monitor *m, uint32_t number, const struct backup_value *v) {
    uint8_t key[4];
    put_be32(key, number);
    return index_put_record(m->index, DB_BACKUPS, key, sizeof(key), &layout_backup_value, v);
}

int backups_add(struct monitor *m, const struct msg_backup_copied *copied) {
    struct backup_value v = {.made = monitor_time(m),
                             .record = m->tree.size,
                             .epoch = copied->epoch,
                             .oldest = copied->oldest,
                             .newest = copied->newest,
                             .records = copied->records,
                             .entries = copied->entries,
                             .objects = copied->objects,
                             .bytes = copied->bytes,
                             .index_key = keyring_index_generation(m->keyring),
                             .name_key = keyring_name_generation(m->keyring)};
    copy_string(v.name, sizeof(v.name), copied->name);
    if (keyring_kek(m->keyring, v.oldest) == NULL) /* retired while it was made */
        v.died = v.made;
    int result = store(m, m->meta.backups + 1, &v);
    m->meta.backups++;
    m->meta.backed_up = v.records > m->meta.backed_up ? v.records : m->meta.backed_up;
    m->removal_wanted = true; /* what was held for the one before */
    return result == VAULT_OK ? meta_store(m) : result;
}

/* ---- retirement ---- */

static bool is_alive(const struct backup_value *v) {
    return v->died == 0;
}

static bool would_die(const struct monitor *m, const struct backup_value *v) {
    return is_alive(v) && v->oldest < m->meta.generation;
}

int backups_cover(struct monitor *m, bool *ret) {
    struct backup_value v;
    *ret = false;
    for (uint32_t n = m->meta.backups; n > 0 && !*ret; n--) {
        int result = load(m, n, &v);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        *ret = result == VAULT_OK && is_alive(&v) && keyring_next_index_key(m->keyring) == NULL &&
               keyring_next_name_key(m->keyring) == NULL && v.records == m->meta.backed_up &&
               v.oldest == m->meta.generation && v.newest == m->meta.generation;
    }
    return VAULT_OK;
}

/* Appends a name, or says that there are more. False if no further one fits. */
static bool append_name(char *to, size_t size, const char *name) {
    static const char more[] = " and others";
    size_t used = strlen(to);
    const char *between = used > 0 ? ", " : "";
    bool fits = used + strlen(between) + strlen(name) + sizeof(more) <= size;
    (void)format_string(to + used, size - used, "%s%s", fits ? between : more, fits ? name : "");
    return fits;
}

int backups_dying(struct monitor *m, bool of_index, char *to, size_t size) {
    struct backup_value v;
    bool fits = true;
    to[0] = '\0';
    for (uint32_t n = 1; n <= m->meta.backups && fits; n++) {
        int result = load(m, n, &v);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        if (result == VAULT_OK && (of_index ? is_alive(&v) : would_die(m, &v)))
            fits = append_name(to, size, v.name);
    }
    return VAULT_OK;
}

/* Whether the ring has the keys that it needs. */
static bool is_opened(const struct monitor *m, const struct backup_value *v) {
    return keyring_kek(m->keyring, v->oldest) != NULL && v->index_key == keyring_index_generation(m->keyring) &&
           v->name_key == keyring_name_generation(m->keyring);
}

int backups_die(struct monitor *m) {
    struct backup_value v;
    for (uint32_t n = 1; n <= m->meta.backups; n++) {
        int result = load(m, n, &v);
        if (result == VAULT_OK && is_alive(&v) && !is_opened(m, &v)) {
            v.died = monitor_time(m);
            result = store(m, n, &v);
        }
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
    }
    return VAULT_OK;
}

/* ---- asking and listing ---- */

static json_t *backup_json(const struct backup_value *v) {
    return json_pack("{s:s, s:o, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:s, s:o}", "name", v->name, "made",
                     json_time(v->made), "record", (json_int_t)v->record, "epoch", (json_int_t)v->epoch, "oldest",
                     (int)v->oldest, "newest", (int)v->newest, "records", (json_int_t)v->records, "objects",
                     (json_int_t)v->objects, "bytes", (json_int_t)v->bytes, "state", is_alive(v) ? "good" : "dead",
                     "died", is_alive(v) ? json_null() : json_time(v->died));
}

/* How the last one that was asked for goes, as far as this process knows. */
static json_t *last_json(const struct monitor *m) {
    const struct backup *b = &m->backup;
    bool over = b->state == BACKUP_TOLD;
    if (b->task != BACKUP_COPY)
        return json_null();
    return json_pack("{s:s, s:o, s:s, s:s*, s:s*}", "name", b->name, "started", json_time(b->started), "state",
                     !over     ? "running"
                     : b->good ? "done"
                               : "failed",
                     "rule", over && !b->good ? b->rule : NULL, "problem", over && !b->good ? b->problem : NULL);
}

int answer_backup_list(struct request *q) {
    struct monitor *m = q->monitor;
    struct backup_value v;
    json_t *list = json_array();
    size_t bytes = 0;
    bool fits = true;
    for (uint32_t n = m->meta.backups; n > 0 && fits; n--) {
        int result = load(m, n, &v);
        if (result == VAULT_E_DAMAGED)
            continue; /* it only tells */
        if (result != VAULT_OK) {
            json_decref(list);
            return result;
        }
        fits = json_append_fitting(list, &bytes, backup_json(&v));
    }
    answer_json(m, q->worker, q->message, 200, NO_SEQ, NULL,
                json_pack("{s:o, s:o}", "backups", list, "last", last_json(m)));
    return VAULT_OK;
}

int answer_backup(struct request *q) {
    struct monitor *m = q->monitor;
    const char *name = q->message->backup.name;
    bool busy = m->backup.task == BACKUP_COPY && m->backup.state != BACKUP_TOLD;
    if (m->setup.backups == 0)
        return refuse(q, "backup", NULL, 409, "backups-not-configured", "No directory for backups is configured.");
    if (busy || backup_runs(m))
        return refuse(q, "backup", NULL, 409, "backup-running", "The backup before has not ended yet.");
    if (keyring_next_index_key(m->keyring) != NULL)
        return refuse(q, "backup", NULL, 409, "index-resealing",
                      "The index is on its way to another key: make a backup when 'key rotate index' has ended.");
    if (keyring_next_name_key(m->keyring) != NULL)
        return refuse(q, "backup", NULL, 409, "names-moving",
                      "Names are on their way to another key: make a backup when 'key rotate names' has ended.");
    backup_start(m, BACKUP_COPY, name);
    m->backup.asker = q->asker;
    return administer(q, "backup.begin", NULL, 'E', name, 202, last_json(m));
}
