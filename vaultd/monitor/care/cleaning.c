/* Objects that were announced and came to nothing: only those are ever removed here, and none that a manifest of
 * another blob names: a worker can announce what it likes. */
#include <stdlib.h>
#include <string.h>

#include "cleaning.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/monitor.h"
#include "vaultd/monitor/opening/restore.h"
#include "vault/log.h"
#include "vault/result.h"

/* Whose uploads are meant. */
struct whose {
    enum { WORKERS, GONE, SUBJECTS, EVERYBODYS } kind;
    uint64_t worker;
    const char *subject, *name; /* name: NULL for any */
};

int upload_drop(struct monitor *m, const uint8_t id[ID_SIZE]) {
    static struct upload_value u;
    int result = index_get_record(m->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, &u);
    if (result != VAULT_OK)
        return result;
    u.state = UPLOAD_DROPPED;
    wipe(u.key, sizeof(u.key));
    m->clean_wanted = true;
    return index_put_record(m->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, &u);
}

static int drop_unfinished(struct monitor *m, const uint8_t id[ID_SIZE], const struct upload_value *u,
                           const char *why) {
    struct event e = {.name = "deposit.close",
                      .outcome = "interrupted",
                      .service = u->service,
                      .subject = u->subject,
                      .request = u->request,
                      .action = 'C',
                      .detail = why,
                      .state = REQUEST_ENDED,
                      .status = 1};
    int result = u->rekey != 0 ? VAULT_OK : journal(m, &e, NULL); /* its grant's end is the record */
    return result == VAULT_OK ? upload_drop(m, id) : result;
}

static bool is_of(struct monitor *m, const struct upload_value *u, const struct whose *w) {
    switch (w->kind) {
    case WORKERS: return u->worker == w->worker;
    case GONE: return worker_find(m, u->worker) == NULL;
    case SUBJECTS: return strcmp(u->subject, w->subject) == 0 && (w->name == NULL || strcmp(u->name, w->name) == 0);
    default: return true;
    }
}

static int drop_all_of(struct monitor *m, struct whose whose, const char *why) {
    static struct upload_value u;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    int result = index_next(m->index, DB_UPLOADS, NULL, 0, NULL, 0, key, &size);
    while (result == VAULT_OK) {
        result = index_get_record(m->index, DB_UPLOADS, key, size, &layout_upload_value, &u);
        if (result == VAULT_E_DAMAGED) {
            log_error("upload: its entry is damaged and left alone");
            result = VAULT_OK;
        } else if (result == VAULT_OK && u.state == UPLOAD_OPEN && is_of(m, &u, &whose)) {
            result = drop_unfinished(m, key, &u, why);
        }
        if (result == VAULT_OK)
            result = index_next(m->index, DB_UPLOADS, NULL, 0, key, size, key, &size);
    }
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

int uploads_drop_of_worker(struct monitor *m, uint64_t worker) {
    return drop_all_of(m, (struct whose){.kind = WORKERS, .worker = worker}, "the connection ended");
}

int uploads_drop_of_subject(struct monitor *m, const char *subject, const char *name) {
    return drop_all_of(m, (struct whose){.kind = SUBJECTS, .subject = subject, .name = name},
                       name == NULL ? "the subject was shredded" : "the file was shredded");
}

int uploads_recover(struct monitor *m) {
    m->clean_wanted = true;
    return drop_all_of(m, (struct whose){.kind = EVERYBODYS}, "the vault ended while it was written");
}

int uploads_settle(struct monitor *m) {
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = drop_all_of(m, (struct whose){.kind = GONE}, "the connection ended");
    m->unsettled = result != VAULT_OK;
    return result;
}

/* Cleaning waits for the worker's end: until then it could still put with a token that it was given. */
static bool is_over(struct monitor *m, const struct upload_value *u) {
    return u->state != UPLOAD_OPEN && worker_find(m, u->worker) == NULL;
}

/* The first upload that is over: the one that cleaning is at, if there is more of it to do. VAULT_NOT_FOUND. */
static int next_over(struct monitor *m, uint8_t id[ID_SIZE], struct upload_value *u) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    copy_bytes(id, ID_SIZE, m->cleaning_upload, ID_SIZE);
    int result = index_get_record(m->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, u);
    if (result == VAULT_OK && is_over(m, u))
        return VAULT_OK;
    result = index_next(m->index, DB_UPLOADS, NULL, 0, NULL, 0, key, &size);
    while (result == VAULT_OK) {
        result = index_get_record(m->index, DB_UPLOADS, key, size, &layout_upload_value, u);
        if (result == VAULT_OK && size == ID_SIZE && is_over(m, u)) {
            copy_bytes(id, ID_SIZE, key, ID_SIZE);
            return VAULT_OK;
        }
        if (result == VAULT_OK || result == VAULT_E_DAMAGED)
            result = index_next(m->index, DB_UPLOADS, NULL, 0, key, size, key, &size);
    }
    return result;
}

static int forget_page(struct monitor *m, const uint8_t blob[ID_SIZE], uint32_t page) {
    uint8_t key[ID_SIZE + 4];
    copy_bytes(key, sizeof(key), blob, ID_SIZE);
    put_be32(key + ID_SIZE, page);
    int result = index_delete(m->index, DB_PAGES, key, sizeof(key));
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* No mark of it is left: where it came to nothing its pages go, the last ones first, a few at a time; then the upload.
 */
static int forget(struct monitor *m, const uint8_t id[ID_SIZE], struct upload_value *u) {
    enum { STEP_PAGES = 16 };
    bool dropped = u->state == UPLOAD_DROPPED;
    int result = batch_begin(m);
    for (unsigned n = 0; result == VAULT_OK && dropped && u->pages > 0 && n < STEP_PAGES; n++)
        result = forget_page(m, u->blob, --u->pages);
    if (result != VAULT_OK)
        return result;
    return dropped && u->pages > 0 ? index_put_record(m->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, u)
                                   : index_delete(m->index, DB_UPLOADS, id, ID_SIZE);
}

static int ask_store(struct monitor *m, const uint8_t address[HASH_SIZE]) {
    static struct message remove;
    message_init(&remove, MSG_object_remove, 1);
    copy_bytes(remove.object_remove.address, HASH_SIZE, address, HASH_SIZE);
    int result = channel_send(m->store, &remove);
    m->cleaning = result == VAULT_OK;
    return result == VAULT_E_LIMIT ? VAULT_AGAIN : result; /* the store has much to do: with a later turn */
}

static int forget_mark(struct monitor *m, const uint8_t address[HASH_SIZE]) {
    uint8_t key[ID_SIZE + HASH_SIZE];
    copy_bytes(key, sizeof(key), m->cleaning_upload, ID_SIZE);
    copy_bytes(key + ID_SIZE, HASH_SIZE, address, HASH_SIZE);
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = index_delete(m->index, DB_UPLOAD_OBJECTS, key, sizeof(key));
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* The object is gone from the store: its mark goes, and what was known of it, unless it is another blob's by now, or
 * whose it is cannot be read. */
static int forget_object(struct monitor *m, const uint8_t address[HASH_SIZE]) {
    bool other = false;
    int result = forget_mark(m, address);
    if (result == VAULT_OK)
        result = object_is_of_another(m, address, m->cleaning_blob, &other);
    if (result == VAULT_E_DAMAGED)
        return VAULT_OK;
    if (result == VAULT_OK && !other)
        result = index_delete(m->index, DB_OBJECTS, address, HASH_SIZE);
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

/* Whether the object of this mark stays: it is another blob's, or a published manifest names it, or that cannot be
 * read: better an object that nobody needs than one that a file lacks. */
static int object_stays(struct monitor *m, const struct upload_value *u, const uint8_t address[HASH_SIZE], bool *ret) {
    struct object_value o;
    int result = index_get_record(m->index, DB_OBJECTS, address, HASH_SIZE, &layout_object_value, &o);
    *ret =
        result == VAULT_OK && (memcmp(o.blob, u->blob, ID_SIZE) != 0 || (u->state == UPLOAD_PUBLISHED && o.paged != 0));
    if (result == VAULT_E_DAMAGED)
        log_error("store: an object's entry is damaged, and it is left alone");
    *ret |= result == VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

/* The next few marks whose objects stay, or the next object that goes. VAULT_NOT_FOUND when no mark is left. */
static int clean_step(struct monitor *m, const struct upload_value *u) {
    enum { STEP_MARKS = 64 };
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    bool stays = true;
    int result = VAULT_OK;
    for (unsigned n = 0; n < STEP_MARKS && result == VAULT_OK && stays; n++) {
        result = index_next(m->index, DB_UPLOAD_OBJECTS, m->cleaning_upload, ID_SIZE, NULL, 0, key, &size);
        if (result == VAULT_OK)
            result = object_stays(m, u, key + ID_SIZE, &stays);
        if (result == VAULT_OK)
            result = stays ? forget_mark(m, key + ID_SIZE) : ask_store(m, key + ID_SIZE);
    }
    return result;
}

static int clean_one(struct monitor *m) {
    static struct upload_value u;
    uint8_t id[ID_SIZE];
    int result = next_over(m, id, &u);
    if (result == VAULT_NOT_FOUND) {
        m->clean_wanted = false;
        return VAULT_OK;
    }
    if (result != VAULT_OK)
        return result;
    COPY_ARRAY(m->cleaning_upload, id);
    COPY_ARRAY(m->cleaning_blob, u.blob);
    result = clean_step(m, &u);
    return result == VAULT_NOT_FOUND ? forget(m, id, &u) : result;
}

bool uploads_clean(struct monitor *m) {
    if (m->seal != SEAL_UNSEALED || !m->clean_wanted || m->cleaning || m->space.state == SPACE_NONE ||
        !content_may_go(m))
        return false;
    int result = clean_one(m);
    if (result == VAULT_AGAIN)
        return false;
    if (result != VAULT_OK) {
        batch_drop(m, result);
        m->clean_wanted = false; /* tried again with the next dropped upload, or at the next start */
    }
    return m->clean_wanted && !m->cleaning;
}

void uploads_object_removed(struct monitor *m, const struct msg_object_removed *removed) {
    m->cleaning = false;
    if (m->seal != SEAL_UNSEALED)
        return;
    if (removed->status != STORE_DONE && removed->status != STORE_MISSING) {
        log_error("store: an unpublished object could not be removed; tried again at the next start");
        m->clean_wanted = false;
        return;
    }
    int result = forget_object(m, removed->address);
    if (result != VAULT_OK)
        batch_drop(m, result);
}
