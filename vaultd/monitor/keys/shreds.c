#include "shreds.h"

#include <string.h>

#include "escrow.h"
#include "jobs.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/cleaning.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/registers/care.h"
#include "vaultd/monitor/table.h"
#include "ring.h"
#include "subject_keys.h"
#include "vault/log.h"
#include "vault/result.h"

enum { STEP_FILES = 16 };

/* ---- what was shredded ---- */

static void key_of(const uint8_t subject[HASH_SIZE], uint32_t number, uint8_t ret[HASH_SIZE + 4]) {
    copy_bytes(ret, HASH_SIZE + 4, subject, HASH_SIZE);
    put_be32(ret + HASH_SIZE, number);
}

static int shred_load(struct monitor *m, const struct subject_value *s, uint32_t number, struct shred_value *ret) {
    uint8_t subject[HASH_SIZE];
    uint8_t key[HASH_SIZE + 4];
    name_hash(m, NAME_SUBJECT, s->subject, NULL, subject);
    key_of(subject, number, key);
    int result = index_get_record(m->index, DB_SHREDS, key, sizeof(key), &layout_shred_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int shred_store(struct monitor *m, const struct subject_value *s, const struct shred_value *v) {
    uint8_t subject[HASH_SIZE];
    uint8_t key[HASH_SIZE + 4];
    name_hash(m, NAME_SUBJECT, s->subject, NULL, subject);
    key_of(subject, v->number, key);
    return index_put_record(m->index, DB_SHREDS, key, sizeof(key), &layout_shred_value, v);
}

int shreds_key_forgotten(struct monitor *m, const struct subject_value *s) {
    struct shred_value v;
    for (uint32_t n = s->shreds; n > 0; n--) {
        int result = shred_load(m, s, n, &v);
        if (result == VAULT_E_DAMAGED)
            continue; /* it only tells */
        if (result == VAULT_OK && v.forgotten != 0)
            return VAULT_OK; /* and so is all that was shredded before it */
        if (result == VAULT_OK && v.key_number < s->key_number) {
            v.forgotten = monitor_time(m);
            v.generation =
                m->meta.generation; /* no wrap is under a later one; what an entry says of itself proves nothing */
            result = shred_store(m, s, &v);
        }
        if (result != VAULT_OK)
            return result;
    }
    return VAULT_OK;
}

/* The oldest generation of the key-encryption key that the ring still has. */
static uint32_t oldest_generation(const struct monitor *m) {
    uint64_t created = 0;
    return keyring_generation(m->keyring, 0, &created);
}

static void final_since(struct monitor *m, uint32_t generation, char *text, size_t size) {
    uint64_t when = 0;
    char at[28];
    if (retired_since(m, generation, &when) != VAULT_OK)
        copy_string(text, size, "final"); /* it only informs; the ring says that it is */
    else {
        time_text(when, at);
        (void)format_string(text, size, "final since %s", at);
    }
}

static json_t *shred_json(struct monitor *m, const struct shred_value *v) {
    char text[ESCROW_NAMES + 32];
    char escrows[ESCROW_NAMES];
    bool retired = v->forgotten != 0 && oldest_generation(m) > v->generation;
    escrows_holding(m, v->generation, escrows);
    bool final = retired && escrows[0] == '\0';
    if (v->forgotten == 0)
        copy_string(text, sizeof(text), "not final until the subject's other files are under a new key");
    else if (!retired)
        (void)format_string(text, sizeof(text), "not final until generation %u is retired", v->generation);
    else if (!final)
        (void)format_string(text, sizeof(text), "final except escrow %s", escrows);
    else
        final_since(m, v->generation, text, sizeof(text));
    return json_pack("{s:s, s:o, s:s?, s:o, s:s, s:s, s:b, s:s}", "what", v->name[0] == '\0' ? "subject" : "file",
                     "file", v->name[0] == '\0' ? json_null() : json_hex(v->file, ID_SIZE), "name",
                     v->name[0] == '\0' ? NULL : v->name, "approved", json_time(v->approved), "asked_by", v->asked_by,
                     "approved_by", v->approved_by, "final", final, "state", text);
}

/* The newest first, as many as one answer holds. */
int shreds_json(struct monitor *m, const struct subject_value *s, json_t **ret) {
    struct shred_value v;
    json_t *list = json_array();
    size_t bytes = 0;
    for (uint32_t n = s->shreds; n > 0; n--) {
        int result = shred_load(m, s, n, &v);
        if (result != VAULT_OK && result != VAULT_E_DAMAGED) {
            json_decref(list);
            return result;
        }
        json_t *item = result == VAULT_OK ? shred_json(m, &v) : json_pack("{s:s}", "state", "its entry is damaged");
        if (!json_append_fitting(list, &bytes, item))
            break;
    }
    *ret = list;
    return list == NULL ? VAULT_E_MEMORY : VAULT_OK;
}

/* ---- shredding ---- */

static void describe(const struct request *q, const struct subject_value *s, struct shred_value *ret) {
    *ret = (struct shred_value){.number = s->shreds, .approved = monitor_time(q->monitor), .key_number = s->key_number};
    copy_string(ret->asked_by, sizeof(ret->asked_by), q->asked_by);
    copy_string(ret->approved_by, sizeof(ret->approved_by), q->asker.name);
}

/* Nothing of it is served from here on; the answer waits for the last byte of what was. */
static int cut_reads(struct request *q, const struct subject_value *s, const char *cause) {
    struct grant_filter filter = {.subject = s->subject, .cause = cause, .asked_by = q->worker->number};
    return grants_decide_again(q->monitor, &filter, NULL);
}

static int find_for_shred(struct request *q, const char *event, const char *subject, struct subject_value *ret,
                          bool *ret_answered) {
    int result = find_subject(q->monitor, subject, ret);
    *ret_answered = true;
    if (result == VAULT_NOT_FOUND)
        return refuse(q, event, NULL, 404, "no-such-subject", "There is no such subject.");
    if (result == VAULT_OK && ret->shredded != 0)
        return refuse(q, event, subject, 409, "shredded", "The subject was shredded already.");
    *ret_answered = result != VAULT_OK;
    return result;
}

/* The job that takes the files out follows; without its key none of them opens. */
static int shred_subject(struct request *q, struct subject_value *s) {
    struct monitor *m = q->monitor;
    struct job_value job = {.total = s->files};
    struct shred_value v;
    json_t *shreds = NULL;
    int result = subject_keys_forget(m, s, true);
    if (result != VAULT_OK)
        return result;
    result = care_forget(m, s);
    if (result != VAULT_OK)
        return result;
    s->shredded = monitor_time(m);
    s->shreds++;
    describe(q, s, &v);
    s->key_number++; /* the present key is gone, too */
    copy_string(job.owner, sizeof(job.owner), s->subject);
    result = shred_store(m, s, &v);
    if (result == VAULT_OK)
        result = shreds_key_forgotten(m, s);
    if (result == VAULT_OK)
        result = subject_store(m, s);
    if (result == VAULT_OK)
        result = uploads_drop_of_subject(m, s->subject, NULL);
    if (result == VAULT_OK)
        result = cut_reads(q, s, "the subject was shredded");
    if (result == VAULT_OK)
        result = subject_make_current(m, s);
    if (result == VAULT_OK)
        result = job_begin(m, job_shred.what, &job);
    if (result == VAULT_OK)
        result = shreds_json(m, s, &shreds);
    if (result != VAULT_OK)
        return result;
    return administer(q, "subject.shred", s->subject, 'D', "asked for and approved", 200,
                      json_pack("{s:s, s:o}", "subject", s->subject, "shreds", shreds));
}

int answer_subject_shred(struct request *q) {
    static struct subject_value s;
    char detail[64];
    bool answered = false;
    int result = find_for_shred(q, "subject.shred", q->message->subject_shred.subject, &s, &answered);
    if (answered)
        return result;
    if (q->asked_by != NULL)
        return shred_subject(q, &s);
    return format_string(detail, sizeof(detail), "%llu files", (unsigned long long)s.files)
               ? pending_ask(q, "subject.shred", s.subject, detail)
               : VAULT_E_STATE;
}

/* The file is gone at once; its key when the subject's other files are under another key of the subject. */
static int shred_file(struct request *q, struct subject_value *s, const struct file_value *f) {
    struct monitor *m = q->monitor;
    struct job_value job = {.total = s->files, .generation = s->key_number};
    struct shred_value v;
    s->shreds++;
    describe(q, s, &v);
    COPY_ARRAY(v.file, f->file);
    copy_string(v.name, sizeof(v.name), f->name);
    copy_string(job.owner, sizeof(job.owner), s->subject);
    int result = file_remove(m, s, f);
    if (result == VAULT_OK)
        result = shred_store(m, s, &v);
    if (result == VAULT_OK)
        result = uploads_drop_of_subject(m, s->subject, f->name);
    if (result == VAULT_OK)
        result = cut_reads(q, s, "the file was shredded");
    if (result == VAULT_OK)
        result = subject_make_current(m, s); /* what was before is told from it */
    if (result == VAULT_OK)
        result = job_begin(m, job_turn.what, &job);
    if (result != VAULT_OK)
        return result;
    return administer(q, "file.shred", s->subject, 'D', f->name, 200, shred_json(m, &v));
}

int answer_file_remove(struct request *q) {
    static struct subject_value s;
    static struct file_value f;
    const struct msg_file_remove *r = &q->message->file_remove;
    char detail[200];
    bool answered = false;
    int result = find_file(q->monitor, r->file, r->subject, r->name, &f);
    if (result == VAULT_NOT_FOUND)
        return refuse(q, "file.shred", NULL, 404, "no-such-file", "There is no such file.");
    if (result != VAULT_OK)
        return result;
    q->file = f.file;
    result = find_for_shred(q, "file.shred", f.subject, &s, &answered);
    if (answered)
        return result;
    if (q->asked_by != NULL)
        return shred_file(q, &s, &f);
    /* It is this file that is approved, whatever may have its name then. */
    struct msg_file_remove *asked = &q->message->file_remove;
    COPY_ARRAY(asked->file, f.file);
    asked->subject[0] = asked->name[0] = '\0';
    return format_string(detail, sizeof(detail), "%s, %llu bytes", f.name, (unsigned long long)f.size)
               ? pending_ask(q, "file.shred", s.subject, detail)
               : VAULT_E_STATE;
}

/* ---- the files of a shredded subject ---- */

static int remove_next(struct monitor *m, struct job_value *j, struct subject_value *s) {
    static struct file_value f;
    uint8_t owner[HASH_SIZE];
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    struct mark_value mark;
    name_hash(m, NAME_SUBJECT, j->owner, NULL, owner);
    int result = index_next(m->index, DB_SUBJECT_FILES, owner, HASH_SIZE, j->cursor, j->cursor_size, key, &size);
    if (result != VAULT_OK)
        return result;
    copy_bytes(j->cursor, sizeof(j->cursor), key, size);
    j->cursor_size = (uint32_t)size;
    result = size == HASH_SIZE + ID_SIZE
                 ? index_get_record(m->index, DB_SUBJECT_FILES, key, size, &layout_mark_value, &mark)
                 : VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_FILES, key + HASH_SIZE, ID_SIZE, &layout_file_value, &f);
    if (result == VAULT_OK && strcmp(f.subject, s->subject) != 0)
        result = VAULT_E_DAMAGED;
    j->done += result == VAULT_OK;
    j->failed += result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED;
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED) {
        log_error("shred: a file's entry is damaged and left alone");
        return VAULT_OK;
    }
    return result == VAULT_OK ? file_remove(m, s, &f) : result;
}

static int shred_step(struct monitor *m, struct job_value *j) {
    static struct subject_value s;
    int result = subject_load(m, j->owner, &s);
    if (result == VAULT_E_DAMAGED) { /* which files are theirs is not known: they are left to a scrub */
        j->failed++;
        return VAULT_NOT_FOUND;
    }
    for (unsigned n = 0; n < STEP_FILES && n < m->job_room && result == VAULT_OK; n++)
        result = remove_next(m, j, &s);
    return result;
}

static int shred_end(struct monitor *m, const struct job_value *j) {
    static struct subject_value s;
    char detail[80];
    struct event e = {.name = "subject.shredded", .action = 'D', .detail = detail};
    int result = subject_load(m, j->owner, &s);
    e.subject = result == VAULT_OK ? s.subject : NULL;
    e.outcome = j->failed == 0 ? "done" : "failed";
    if (!format_string(detail, sizeof(detail), "%llu files, %llu damaged", (unsigned long long)j->done,
                       (unsigned long long)j->failed))
        return VAULT_E_STATE;
    return journal(m, &e, NULL);
}

const struct job_kind job_shred = {"shred", shred_step, shred_end};
