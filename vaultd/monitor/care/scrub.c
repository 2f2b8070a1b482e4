/* Scrub: the index against its tally, and every object of a manifest against its address. Objects are asked for in
 * windows; what a window came to, and how far the scrub has got, is one transaction, so that it goes on after a death
 * where it was. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "failures.h"
#include "scrub.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/registers/standings.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

enum { STEP_OBJECTS = 256 };
static const uint8_t scrub_key[] = "scrub";

int scrub_load(struct monitor *m) {
    struct scrub *s = &m->scrub;
    s->value = (struct scrub_value){0};
    s->stale = s->count > 0;
    int result = index_get_record(m->index, DB_META, scrub_key, sizeof(scrub_key), &layout_scrub_value, &s->value);
    if (result != VAULT_E_DAMAGED && result != VAULT_E_LIMIT)
        return result == VAULT_NOT_FOUND ? VAULT_OK : result;
    log_error("scrub: what was known of the last one is damaged");
    s->value = (struct scrub_value){0}; /* whatever was decoded of it; it only informs: no reason to stay sealed */
    return VAULT_OK;
}

static int scrub_store(struct monitor *m) {
    return index_put_record(m->index, DB_META, scrub_key, sizeof(scrub_key), &layout_scrub_value, &m->scrub.value);
}

static json_t *time_or_null(uint64_t at) {
    return at == 0 ? json_null() : json_time(at);
}

static json_t *scrub_json(const struct monitor *m) {
    const struct scrub_value *v = &m->scrub.value;
    return json_pack("{s:s, s:o, s:o, s:{s:I, s:I, s:I, s:I}, s:o}", "state",
                     v->started == 0 ? "never"
                     : v->ended == 0 ? "running"
                                     : "done",
                     "started", time_or_null(v->started), "ended", time_or_null(v->ended), "objects", "total",
                     (json_int_t)v->total, "done", (json_int_t)v->done, "damaged", (json_int_t)v->damaged, "missing",
                     (json_int_t)v->missing, "index", check_json(m));
}

int answer_scrub_show(struct request *q) {
    answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, NULL, scrub_json(q->monitor));
    return VAULT_OK;
}

static bool is_running(const struct scrub_value *v) {
    return v->started != 0 && v->ended == 0;
}

int answer_scrub(struct request *q) {
    struct monitor *m = q->monitor;
    uint64_t total = 0;
    if (is_running(&m->scrub.value))
        return refuse(q, "scrub", NULL, 409, "scrub-running", "The scrub before has not ended yet.");
    int result = index_count(m->index, DB_OBJECTS, &total);
    m->scrub.value = (struct scrub_value){.started = monitor_time(m), .total = total};
    if (result == VAULT_OK)
        result = scrub_store(m);
    if (result == VAULT_OK)
        result = administer(q, "scrub.start", NULL, 'E', NULL, 202, scrub_json(m));
    if (result == VAULT_OK && m->check != CHECK_RUNNING) {
        m->check = CHECK_WAITING;
        standings_check(m);
    }
    return result;
}

/* Whose the object is, if it is part of a file: what a deposit under way has, and may lose again, is nobody's yet.
 * VAULT_NOT_FOUND. */
static int find_owner(struct monitor *m, const uint8_t address[HASH_SIZE], uint8_t ret_blob[ID_SIZE],
                      struct file_value *ret) {
    struct object_value o;
    struct blob_value b;
    int result = index_get_record(m->index, DB_OBJECTS, address, HASH_SIZE, &layout_object_value, &o);
    if (result == VAULT_OK && o.paged == 0)
        return VAULT_NOT_FOUND;
    if (result == VAULT_OK)
        copy_bytes(ret_blob, ID_SIZE, o.blob, ID_SIZE);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_BLOBS, o.blob, ID_SIZE, &layout_blob_value, &b);
    return result == VAULT_OK ? index_get_record(m->index, DB_FILES, b.file, ID_SIZE, &layout_file_value, ret) : result;
}

static int tell_damage(struct monitor *m, const struct checked *c) {
    static struct file_value f;
    char detail[64 + 2 * HASH_SIZE] = "object ";
    uint8_t blob[ID_SIZE];
    bool missing = c->status == STORE_MISSING;
    int result = find_owner(m, c->address, blob, &f);
    if (result == VAULT_NOT_FOUND)
        return VAULT_OK;
    if (result != VAULT_OK && result != VAULT_E_DAMAGED)
        return result;
    bool known = result == VAULT_OK;
    hex_encode(detail + 7, 2 * HASH_SIZE + 1, c->address, HASH_SIZE);
    log_error("scrub: stored data is %s %s", missing ? "missing" : "damaged", detail);
    copy_string(detail + 7 + 2 * HASH_SIZE, 32,
                missing                      ? " is missing"
                : c->status == STORE_DAMAGED ? " is damaged"
                                             : " cannot be read");
    struct event e = {.name = "scrub.damaged",
                      .outcome = "failed",
                      .subject = known ? f.subject : NULL,
                      .file = known ? f.file : NULL,
                      .action = 'E',
                      .detail = detail};
    *(missing ? &m->scrub.value.missing : &m->scrub.value.damaged) += 1;
    result = journal(m, &e, NULL);
    return result == VAULT_OK && known ? failure_found(m, blob, &f, c->status) : result;
}

/* All of the window have been answered: tells of what is damaged, and goes on behind it. */
static int settle_window(struct monitor *m) {
    struct scrub *s = &m->scrub;
    int result = batch_begin(m);
    for (size_t i = 0; i < s->count && result == VAULT_OK; i++)
        if (s->window[i].status != STORE_DONE)
            result = tell_damage(m, &s->window[i]);
    COPY_ARRAY(s->value.cursor, s->window[s->count - 1].address);
    s->value.begun = 1;
    s->value.done += s->count;
    s->count = 0;
    return result == VAULT_OK ? scrub_store(m) : result;
}

static int ask_store(struct monitor *m, const uint8_t address[HASH_SIZE]) {
    static struct message check;
    struct scrub *s = &m->scrub;
    message_init(&check, MSG_object_check, CHECK_FOR_SCRUB);
    COPY_ARRAY(check.object_check.address, address);
    int result = channel_send(m->store, &check);
    if (result != VAULT_OK)
        return result;
    s->window[s->count] = (struct checked){.status = STORE_FAILED};
    COPY_ARRAY(s->window[s->count].address, address);
    s->count++;
    s->in_hand++;
    return VAULT_OK;
}

/* Asks for the next objects that manifests name. VAULT_NOT_FOUND: there are none. A store that does not take them now
 * is asked again. */
static int fill_window(struct monitor *m) {
    struct scrub *s = &m->scrub;
    struct object_value o;
    uint8_t key[INDEX_KEY_MAX];
    size_t size = s->value.begun != 0 ? HASH_SIZE : 0;
    int result = VAULT_OK;
    copy_bytes(key, sizeof(key), s->value.cursor, HASH_SIZE);
    for (unsigned n = 0; n < STEP_OBJECTS && s->count < SCRUB_WINDOW && result == VAULT_OK; n++) {
        result = index_next(m->index, DB_OBJECTS, NULL, 0, key, size, key, &size);
        if (result == VAULT_OK && size == HASH_SIZE)
            result = index_get_record(m->index, DB_OBJECTS, key, size, &layout_object_value, &o);
        else
            o.paged = 0;                                                       /* no address: the tally tells of it */
        if (result == VAULT_E_DAMAGED || (result == VAULT_OK && o.paged != 0)) /* its name is enough to check it by */
            result = ask_store(m, key);
        if (result == VAULT_OK && s->count == 0) { /* nobody's yet: never asked for again */
            COPY_ARRAY(s->value.cursor, key);
            s->value.begun = 1;
        }
    }
    return s->count > 0 ? VAULT_OK : result;
}

static int end(struct monitor *m) {
    struct scrub_value *v = &m->scrub.value;
    char detail[160];
    bool whole = v->damaged == 0 && v->missing == 0 && m->check == CHECK_WHOLE;
    struct event e = {.name = "scrub", .outcome = whole ? "done" : "failed", .action = 'E', .detail = detail};
    if (!format_string(detail, sizeof(detail), "%llu objects, %llu damaged, %llu missing; index %s",
                       (unsigned long long)v->done, (unsigned long long)v->damaged, (unsigned long long)v->missing,
                       m->check == CHECK_WHOLE ? "whole" : "damaged"))
        return VAULT_E_STATE;
    v->total = v->done;
    v->ended = monitor_time(m);
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = scrub_store(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

int scrub_step(struct monitor *m, bool *ret_more) {
    struct scrub *s = &m->scrub;
    *ret_more = false;
    if (s->in_hand == 0 && s->stale) {
        s->count = 0;
        s->stale = false;
    }
    if (m->seal != SEAL_UNSEALED || !is_running(&s->value) || s->in_hand > 0)
        return VAULT_OK;
    *ret_more = true;
    if (s->count > 0)
        return settle_window(m);
    int result = fill_window(m);
    if (result == VAULT_OK || result == VAULT_AGAIN || result == VAULT_E_LIMIT) {
        *ret_more = s->count == 0;
        return VAULT_OK;
    }
    *ret_more = false;
    if (result != VAULT_NOT_FOUND)
        return result;
    if (m->check != CHECK_WHOLE && m->check != CHECK_DAMAGED)
        return VAULT_OK;
    result = m->check == CHECK_WHOLE ? failures_lift(m, s->value.started) : VAULT_OK;
    *ret_more = result == VAULT_AGAIN;
    return result == VAULT_AGAIN ? VAULT_OK : result == VAULT_OK ? end(m) : result;
}

void scrub_checked(struct monitor *m, const struct msg_object_checked *c) {
    struct scrub *s = &m->scrub;
    for (size_t i = 0; i < s->count; i++)
        if (memcmp(s->window[i].address, c->address, HASH_SIZE) == 0 && s->in_hand > 0) {
            s->window[i].status = c->status;
            s->in_hand--;
            return;
        }
}
