#include "failures.h"

#include <string.h>

#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vault/log.h"
#include "vault/result.h"

enum { SLICE = 64 };

/* ---- one blob's ---- */

/* Where there is none, or it is damaged, counting begins anew: what was counted only adds to what damage shows by
 * itself.
 */
static int load(struct monitor *m, const uint8_t blob[ID_SIZE], struct failure_value *ret) {
    int result = index_get_record(m->index, DB_FAILURES, blob, ID_SIZE, &layout_failure_value, ret);
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED)
        *ret = (struct failure_value){0};
    return result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

static int store(struct monitor *m, const uint8_t blob[ID_SIZE], const struct failure_value *v) {
    return index_put_record(m->index, DB_FAILURES, blob, ID_SIZE, &layout_failure_value, v);
}

int failure_is_aside(struct monitor *m, const uint8_t blob[ID_SIZE], bool *ret_aside) {
    struct failure_value v;
    int result = index_get_record(m->index, DB_FAILURES, blob, ID_SIZE, &layout_failure_value, &v);
    *ret_aside = result == VAULT_OK && v.aside != 0;
    /* A note that is damaged keeps nobody from a file: each segment is authenticated still, and the tally tells of it.
     */
    return result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

int failure_forget(struct monitor *m, const uint8_t blob[ID_SIZE]) {
    bool aside = false;
    int result = failure_is_aside(m, blob, &aside);
    if (result == VAULT_OK && aside && m->meta.set_aside > 0) {
        m->meta.set_aside--;
        result = meta_store(m);
    }
    if (result == VAULT_OK)
        result = index_delete(m->index, DB_FAILURES, blob, ID_SIZE);
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

int failure_json(struct monitor *m, const uint8_t blob[ID_SIZE], json_t **ret) {
    struct failure_value v;
    int result = index_get_record(m->index, DB_FAILURES, blob, ID_SIZE, &layout_failure_value, &v);
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED) {
        *ret = json_null();
        return VAULT_OK;
    }
    if (result == VAULT_OK)
        *ret = json_pack("{s:i, s:i, s:o}", "reported", (int)v.reported, "confirmed", (int)v.confirmed, "set_aside",
                         v.aside == 0 ? json_null() : json_time(v.aside));
    return result;
}

json_t *failures_json(const struct monitor *m) {
    return json_pack("{s:I, s:I, s:i}", "reported", (json_int_t)m->meta.reported, "confirmed",
                     (json_int_t)m->meta.confirmed, "set_aside", (int)m->meta.set_aside);
}

/* ---- what readers report ---- */

/* Whether this blob's manifest names the object: else the worker cannot have read it under its grant. */
static int is_of_blob(struct monitor *m, const uint8_t object[HASH_SIZE], const uint8_t blob[ID_SIZE], bool *ret) {
    struct object_value o;
    int result = index_get_record(m->index, DB_OBJECTS, object, HASH_SIZE, &layout_object_value, &o);
    *ret = result == VAULT_OK && o.paged != 0 && memcmp(o.blob, blob, ID_SIZE) == 0;
    return result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

int failure_reported(struct monitor *m, const struct grant *g, const uint8_t object[HASH_SIZE], uint32_t *ret_count) {
    struct failure_value v;
    bool its_own = false;
    *ret_count = 0;
    int result = is_of_blob(m, object, g->blob, &its_own);
    if (result != VAULT_OK || !its_own)
        return result;
    result = load(m, g->blob, &v);
    if (result != VAULT_OK)
        return result;
    COPY_ARRAY(v.file, g->value.file);
    v.reported += v.reported < UINT32_MAX;
    v.wanted = 1;
    COPY_ARRAY(v.object, object);
    m->meta.reported++;
    m->failures.wanted = true;
    m->failures.cursor_size = 0;
    *ret_count = v.reported;
    result = store(m, g->blob, &v);
    return result == VAULT_OK ? meta_store(m) : result;
}

/* ---- what the store finds ---- */

/* Reads that are under way end, too. */
static int set_aside(struct monitor *m, struct failure_value *v, const struct file_value *f) {
    char detail[96];
    struct event e = {.name = "file.aside",
                      .outcome = "failed",
                      .subject = f->subject,
                      .file = f->file,
                      .action = 'E',
                      .detail = detail};
    v->aside = monitor_time(m);
    m->meta.set_aside++;
    log_error("failures: a file is set aside: the store found its objects damaged times=%u", v->confirmed);
    return format_string(detail, sizeof(detail), "its objects were found damaged %u times", v->confirmed)
               ? journal(m, &e, NULL)
               : VAULT_E_STATE;
}

int failure_found(struct monitor *m, const uint8_t blob[ID_SIZE], const struct file_value *f, uint8_t status) {
    struct failure_value v;
    struct grant_filter filter = {.subject = f->subject, .cause = "the file was set aside"};
    uint32_t limit = m->setup.failure_limit;
    int result = load(m, blob, &v);
    if (result != VAULT_OK)
        return result;
    COPY_ARRAY(v.file, f->file);
    v.found = monitor_time(m);
    if (status == STORE_DAMAGED) {
        v.confirmed += v.confirmed < UINT32_MAX;
        m->meta.confirmed++;
    }
    bool now = limit != 0 && v.confirmed >= limit && v.aside == 0;
    if (now)
        result = set_aside(m, &v, f);
    if (result == VAULT_OK)
        result = store(m, blob, &v);
    if (result == VAULT_OK)
        result = meta_store(m);
    return result == VAULT_OK && now ? grants_decide_again(m, &filter, NULL) : result;
}

/* ---- asking the store about what was reported ---- */

/* The next report that the store has not looked at; after a slice without one VAULT_AGAIN. VAULT_NOT_FOUND: there is
 * none. */
static int next_wanted(struct monitor *m, uint8_t ret_blob[ID_SIZE], struct failure_value *ret) {
    struct failures *f = &m->failures;
    for (unsigned n = 0; n < SLICE; n++) {
        int result = index_next(m->index, DB_FAILURES, NULL, 0, f->cursor, f->cursor_size, f->cursor, &f->cursor_size);
        if (result != VAULT_OK)
            return result;
        result = f->cursor_size != ID_SIZE
                     ? VAULT_E_DAMAGED
                     : index_get_record(m->index, DB_FAILURES, f->cursor, f->cursor_size, &layout_failure_value, ret);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        if (result == VAULT_OK && ret->wanted != 0) {
            copy_bytes(ret_blob, ID_SIZE, f->cursor, ID_SIZE);
            return VAULT_OK;
        }
    }
    return VAULT_AGAIN;
}

static int ask_store(struct monitor *m, const uint8_t blob[ID_SIZE], const struct failure_value *v) {
    static struct message check;
    struct failures *f = &m->failures;
    message_init(&check, MSG_object_check, CHECK_FOR_READ);
    COPY_ARRAY(check.object_check.address, v->object);
    int result = channel_send(m->store, &check);
    if (result != VAULT_OK)
        return result;
    f->state = FAILURE_ASKED;
    COPY_ARRAY(f->blob, blob);
    COPY_ARRAY(f->object, v->object);
    return VAULT_OK;
}

/* The report is looked at; one of another object that came meanwhile is next. */
static int note_looked(struct monitor *m, struct failure_value *v) {
    if (memcmp(v->object, m->failures.object, HASH_SIZE) != 0)
        return VAULT_OK;
    v->wanted = 0;
    return store(m, m->failures.blob, v);
}

/* The store has looked. What was removed meanwhile, or is no file's content any more, counts for nothing. */
static int settle(struct monitor *m) {
    static struct file_value file;
    struct failures *f = &m->failures;
    struct failure_value v;
    f->state = FAILURE_NONE;
    int result = index_get_record(m->index, DB_FAILURES, f->blob, ID_SIZE, &layout_failure_value, &v);
    if (result == VAULT_OK)
        result = note_looked(m, &v);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_FILES, v.file, ID_SIZE, &layout_file_value, &file);
    if (result == VAULT_NOT_FOUND || (result == VAULT_OK && memcmp(file.blob, f->blob, ID_SIZE) != 0))
        return failure_forget(m, f->blob);
    if (result != VAULT_OK)
        return result == VAULT_E_DAMAGED ? VAULT_OK : result; /* it is told where it is read */
    if (f->status != STORE_DONE)
        return failure_found(m, f->blob, &file, f->status);
    log_warning("failures: an object that a read called damaged is whole in the store");
    return VAULT_OK;
}

int failures_step(struct monitor *m, bool *ret_more) {
    struct failures *f = &m->failures;
    struct failure_value v;
    uint8_t blob[ID_SIZE];
    *ret_more = false;
    if (m->seal != SEAL_UNSEALED || f->state == FAILURE_ASKED)
        return VAULT_OK;
    if (f->state == FAILURE_ANSWERED) {
        *ret_more = true;
        int begun = batch_begin(m);
        return begun == VAULT_OK ? settle(m) : begun;
    }
    if (!f->wanted)
        return VAULT_OK;
    int result = next_wanted(m, blob, &v);
    if (result == VAULT_OK)
        result = ask_store(m, blob, &v);
    if (result == VAULT_AGAIN || result == VAULT_E_LIMIT) { /* a store that takes none now is asked again */
        *ret_more = true;
        return VAULT_OK;
    }
    f->wanted = result == VAULT_OK;
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

void failures_checked(struct monitor *m, const struct msg_object_checked *c) {
    struct failures *f = &m->failures;
    if (f->state != FAILURE_ASKED || memcmp(c->address, f->object, HASH_SIZE) != 0)
        return;
    f->state = FAILURE_ANSWERED;
    f->status = c->status;
}

/* ---- what is found whole again ---- */

static int lift(struct monitor *m, const uint8_t blob[ID_SIZE], struct failure_value *v) {
    static struct file_value file;
    char detail[96];
    struct event e = {.name = "file.restored", .outcome = "done", .action = 'E', .detail = detail};
    int result = index_get_record(m->index, DB_FILES, v->file, ID_SIZE, &layout_file_value, &file);
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED)
        return VAULT_OK; /* nothing of it can be read anyway */
    if (result != VAULT_OK)
        return result;
    e.subject = file.subject;
    e.file = file.file;
    if (!format_string(detail, sizeof(detail),
                       "a scrub found all of its objects whole, after damage was found %u times", v->confirmed))
        return VAULT_E_STATE;
    v->aside = 0;
    v->confirmed = 0;
    m->meta.set_aside -= m->meta.set_aside > 0;
    result = store(m, blob, v);
    if (result == VAULT_OK)
        result = meta_store(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

int failures_lift(struct monitor *m, uint64_t since) {
    struct failures *f = &m->failures;
    int result = batch_begin(m);
    for (unsigned n = 0; n < SLICE && result == VAULT_OK; n++) {
        struct failure_value v;
        result = index_next(m->index, DB_FAILURES, NULL, 0, f->lifted, f->lifted_size, f->lifted, &f->lifted_size);
        if (result == VAULT_OK)
            result = f->lifted_size != ID_SIZE
                         ? VAULT_E_DAMAGED
                         : index_get_record(m->index, DB_FAILURES, f->lifted, ID_SIZE, &layout_failure_value, &v);
        if (result == VAULT_OK && v.aside != 0 && v.found < since)
            result = lift(m, f->lifted, &v);
        if (result == VAULT_E_DAMAGED)
            result = VAULT_OK; /* the tally tells of it */
    }
    if (result != VAULT_OK)
        f->lifted_size = 0;
    return result == VAULT_OK ? VAULT_AGAIN : result == VAULT_NOT_FOUND ? VAULT_OK : result;
}
