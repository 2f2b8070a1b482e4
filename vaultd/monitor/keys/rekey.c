#include "rekey.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "shreds.h"
#include "vaultd/monitor/access/budgets.h"
#include "vaultd/monitor/care/failures.h"
#include "subject_keys.h"
#include "vaultd/monitor/access/deposit.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/opening/restore.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

/* A file whose worker died so often is passed over. No worker: asked for again after a while; store full: later. */
enum { TRIES = 3, STEP_FILES = 64, ASK_MS = 2000, RETRY_MS = 1000, FULL_MS = 10000 };

int rekey_begin(struct monitor *m, struct job_value *ret) {
    *ret = (struct job_value){.total = m->meta.files, .begun = monitor_time(m)};
    m->rekeying = (struct rekeying){0};
    m->meta.aside = m->meta.jobs + 1;
    return job_begin(m, JOB_ASIDE, ret);
}

/* ---- which file ---- */

static void pass_over(struct job_value *j, const uint8_t file[ID_SIZE]) {
    copy_bytes(j->cursor, sizeof(j->cursor), file, ID_SIZE);
    j->cursor_size = ID_SIZE;
}

static bool is_given_up(const struct monitor *m, const uint8_t file[ID_SIZE]) {
    return m->rekeying.tries >= TRIES && memcmp(m->rekeying.file, file, ID_SIZE) == 0;
}

static int load(struct monitor *m, const uint8_t *key, size_t size, struct file_value *f, struct blob_value *b) {
    int result =
        size == ID_SIZE ? index_get_record(m->index, DB_FILES, key, size, &layout_file_value, f) : VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_BLOBS, f->blob, ID_SIZE, &layout_blob_value, b);
    if (result == VAULT_OK && b->size != f->size)
        result = VAULT_E_DAMAGED;
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* The next file whose data key is from before the job. VAULT_AGAIN: not among the next few. VAULT_NOT_FOUND. */
static int next_file(struct monitor *m, struct job_value *j, struct file_value *f, struct blob_value *b) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    for (unsigned n = 0; n < STEP_FILES; n++) {
        int result = index_next(m->index, DB_FILES, NULL, 0, j->cursor, j->cursor_size, key, &size);
        if (result != VAULT_OK)
            return result;
        result = load(m, key, size, f, b);
        bool given_up = result == VAULT_OK && is_given_up(m, key);
        if (result == VAULT_OK && b->keyed < j->begun && !given_up)
            return VAULT_OK;
        if (result != VAULT_OK && result != VAULT_E_DAMAGED)
            return result;
        if (result == VAULT_E_DAMAGED || given_up)
            log_error("rekey: a file %s, and keeps its data key", given_up ? "was tried too often" : "is damaged");
        j->failed += result == VAULT_E_DAMAGED || given_up;
        copy_bytes(j->cursor, sizeof(j->cursor), key, size);
        j->cursor_size = (uint32_t)size;
    }
    return VAULT_AGAIN;
}

/* ---- the job ---- */

/* Where nothing may be removed, nothing is put in another's place. */
static bool may_run(const struct monitor *m) {
    return m->seal == SEAL_UNSEALED && m->meta.aside != 0 && m->space.state == SPACE_ENOUGH && content_may_go(m);
}

static int finish(struct monitor *m, struct job_value *j) {
    char detail[80];
    struct event e = {.name = "key.rotated", .outcome = "done", .action = 'U', .detail = detail};
    if (!format_string(detail, sizeof(detail), "data, %llu files, %llu failed", (unsigned long long)j->done,
                       (unsigned long long)j->failed))
        return VAULT_E_STATE;
    j->ended = 1;
    m->meta.aside = 0;
    int result = meta_store(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

static int give_up(struct monitor *m) {
    uint32_t number = m->meta.aside;
    m->meta.aside = 0;
    return job_failed(m, number,
                      m->rekeying.broken ? "the index cannot be read where it goes on" : "the job's entry is damaged");
}

static int want_worker(struct monitor *m) {
    static struct message wanted;
    message_init(&wanted, MSG_worker_wanted, 0);
    m->rekeying.due = loop_now_ms() + ASK_MS;
    return channel_send_wait(m->control, &wanted, ASK_MS);
}

/* The files that need nothing are passed over here; for one that does there must be a worker. */
static int look(struct monitor *m, struct job_value *j, bool *ret_more) {
    static struct file_value f;
    struct blob_value b;
    struct job_value before = *j;
    int result = next_file(m, j, &f, &b);
    *ret_more = result == VAULT_AGAIN;
    if (result == VAULT_OK)
        result = want_worker(m);
    if (result == VAULT_NOT_FOUND)
        result = finish(m, j);
    if (result < 0 || (memcmp(&before, j, sizeof(before)) == 0))
        return result < 0 ? result : VAULT_OK;
    return job_store(m, j);
}

int rekey_step(struct monitor *m, bool *ret_more) {
    struct job_value j;
    *ret_more = false;
    if (!may_run(m) || m->rekeying.worker != 0 || loop_now_ms() < m->rekeying.due)
        return VAULT_OK;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = job_load(m, m->meta.aside, &j);
    if (result == VAULT_E_DAMAGED || (result == VAULT_OK && m->rekeying.broken))
        return give_up(m);
    if (result == VAULT_OK && j.paused != 0) {
        m->rekeying.due = UINT64_MAX;
        return VAULT_OK;
    }
    if (result == VAULT_OK)
        result = look(m, &j, ret_more);
    m->rekeying.broken = result == VAULT_E_DAMAGED; /* such a transaction commits nothing: told in the next one */
    if (result < 0)
        m->rekeying.due = loop_now_ms() + RETRY_MS;
    return result;
}

int rekey_tick(const struct monitor *m) {
    if (!may_run(m) || m->rekeying.worker != 0 || m->rekeying.due == UINT64_MAX)
        return -1;
    return job_wait(m->rekeying.due);
}

void rekey_worker_gone(struct monitor *m, uint64_t worker) {
    if (m->rekeying.worker != worker)
        return;
    m->rekeying.worker = 0;
    if (m->seal != SEAL_UNSEALED)
        m->rekeying.tries = 0; /* it was ended, and did not fail */
    uint64_t soonest = loop_now_ms() + m->rekeying.tries * (uint64_t)RETRY_MS;
    if (m->rekeying.due < soonest)
        m->rekeying.due = soonest;
}

/* ---- one file ---- */

/* Nothing is left to do, or not now: the worker ends. */
static int answer_nothing(struct request *q) {
    answer_json(q->monitor, q->worker, q->message, 204, NO_SEQ, NULL, json_object());
    return VAULT_OK;
}

static bool begins_now(const struct request *q) {
    const struct monitor *m = q->monitor;
    return may_run(m) && (m->rekeying.worker == 0 || m->rekeying.worker == q->worker->number) &&
           grants_of(m, q->worker->number) == 0 && q->worker->uploads == 0 &&
           (m->rekeying.worker == 0 || loop_now_ms() >= m->rekeying.due);
}

static void note_begin(struct request *q, const uint8_t file[ID_SIZE]) {
    struct rekeying *r = &q->monitor->rekeying;
    bool again = r->worker != 0 || r->tries > 0;
    r->tries = again && memcmp(r->file, file, ID_SIZE) == 0 ? r->tries + 1 : 1;
    r->worker = q->worker->number;
    r->due = 0;
    r->begun = loop_now_ms();
    copy_bytes(r->file, sizeof(r->file), file, ID_SIZE);
}

static int record_begin(struct request *q, const struct file_value *f, const struct blob_value *b, uint64_t *ret_seq) {
    char detail[80];
    struct event e = {.name = "file.rekey",
                      .outcome = "permitted",
                      .subject = f->subject,
                      .file = f->file,
                      .request = q->id,
                      .action = 'U',
                      .detail = detail,
                      .state = REQUEST_RUNNING};
    return format_string(detail, sizeof(detail), "data key %u to %u, job %u", b->number, b->number + 1,
                         q->monitor->meta.aside)
               ? journal(q->monitor, &e, ret_seq)
               : VAULT_E_STATE;
}

static int remember(struct request *q, const struct file_value *f, const struct blob_value *b,
                    uint8_t ret_id[ID_SIZE]) {
    struct grant g = {
        .worker = q->worker->number, .chunks = b->chunks, .expected = f->size, .value = {.size = f->size, .rekey = 1}};
    randombytes_buf(g.id, sizeof(g.id));
    COPY_ARRAY(g.blob, f->blob);
    COPY_ARRAY(g.value.request, q->id);
    COPY_ARRAY(g.value.file, f->file);
    copy_string(g.value.subject, sizeof(g.value.subject), f->subject);
    copy_bytes(ret_id, ID_SIZE, g.id, ID_SIZE);
    return grant_add(q->monitor, &g);
}

/* The key goes out with the record of the beginning, and only if that is durable. */
static int grant_file(struct request *q, const struct file_value *f, const struct blob_value *b, struct secret **key) {
    uint64_t seq = NO_SEQ;
    int result = record_begin(q, f, b, &seq);
    if (result != VAULT_OK)
        return result;
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    message_init(reply, MSG_grant, q->message->id);
    COPY_ARRAY(reply->grant.request, q->id);
    COPY_ARRAY(reply->grant.file, f->file);
    COPY_ARRAY(reply->grant.sha256, f->sha256);
    reply->grant.seq = seq;
    reply->grant.size = f->size;
    reply->grant.chunks = b->chunks;
    result = remember(q, f, b, reply->grant.grant);
    if (result == VAULT_OK) {
        reply->grant.key = secret_move(key);
        batch_reply(q->monitor, q->worker, reply);
        note_begin(q, f->file);
    } else {
        free(reply);
    }
    return result;
}

/* A file that cannot be opened, or is set aside, is passed over; that of a shredded subject goes by itself. */
static int open_file(struct monitor *m, const struct file_value *f, const struct blob_value *b, struct job_value *j,
                     struct secret **ret) {
    static struct subject_value s;
    int result = find_subject(m, f->subject, &s);
    bool shredded = result == VAULT_OK && s.shredded != 0, aside = false;
    if (result == VAULT_OK && !shredded)
        result = failure_is_aside(m, f->blob, &aside);
    if (result == VAULT_OK && aside)
        result = VAULT_E_DAMAGED; /* its key is handed to nobody */
    if (result == VAULT_OK && !shredded)
        result = data_key_open(m, &s, f->blob, b->generation, b->key, ret);
    if (!shredded && result != VAULT_E_DAMAGED && result != VAULT_NOT_FOUND)
        return result;
    if (!shredded)
        log_error("rekey: a file's data key cannot be opened, and is kept");
    j->failed += !shredded;
    pass_over(j, f->file);
    return VAULT_NOT_FOUND;
}

int answer_rekey_next(struct request *q) {
    static struct file_value f;
    struct monitor *m = q->monitor;
    struct blob_value b;
    struct job_value j;
    CLEANUP_SECRET struct secret *key = NULL;
    if (!begins_now(q))
        return answer_nothing(q);
    int result = job_load(m, m->meta.aside, &j);
    if (result == VAULT_OK && j.paused != 0)
        return answer_nothing(q);
    if (result == VAULT_OK)
        result = next_file(m, &j, &f, &b);
    if (result == VAULT_OK)
        result = open_file(m, &f, &b, &j, &key);
    if (result == VAULT_OK)
        return grant_file(q, &f, &b, &key);
    if (result < 0)
        return result;
    result = job_store(m, &j); /* what was passed over; the job's own step goes on, or ends it */
    return result == VAULT_OK ? answer_nothing(q) : result;
}

/* The grant of this worker's file. NULL: it has none, or it ends. */
static struct grant *grant_of(struct request *q, const uint8_t id[ID_SIZE]) {
    struct grant *g = grant_find(q->monitor, q->worker, id);
    bool good = g != NULL && g->value.rekey != 0 && g->state == GRANT_LIVE && !g->closed_in_batch;
    return good ? g : NULL;
}

static int refuse_grant(struct request *q) {
    return refuse(q, "file.rekey", NULL, 403, "not-granted", "Nothing of this kind was granted to this worker.");
}

int answer_rekey_create(struct request *q) {
    static struct upload_value u;
    static struct file_value f;
    static struct subject_value s;
    struct monitor *m = q->monitor;
    CLEANUP_SECRET struct secret *key = NULL;
    const struct grant *g = grant_of(q, q->message->rekey_create.grant);
    if (g == NULL || q->worker->uploads > 0)
        return refuse_grant(q);
    int result = find_file(m, g->value.file, NULL, NULL, &f);
    if (result == VAULT_OK)
        result = find_subject(m, f.subject, &s);
    u = (struct upload_value){.worker = q->worker->number, .rekey = 1};
    COPY_ARRAY(u.request, g->value.request);
    copy_string(u.subject, sizeof(u.subject), f.subject);
    copy_string(u.name, sizeof(u.name), f.name);
    if (result == VAULT_OK)
        result = upload_key(m, &s, &u, &key);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    return upload_begin(q, &u, NO_SEQ, &key);
}

int rekey_goes_on(struct monitor *m, const struct grant *g, bool *ret) {
    static struct file_value f;
    static struct subject_value s;
    int result = find_file(m, g->value.file, NULL, NULL, &f);
    if (result == VAULT_OK)
        result = find_subject(m, f.subject, &s);
    *ret = result == VAULT_OK && memcmp(f.blob, g->blob, ID_SIZE) == 0 && s.shredded == 0;
    return result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED ? VAULT_OK : result;
}

/* ---- its end ---- */

/* The new blob is the file's content from here on. */
static int exchange(struct request *q, const struct upload_value *u, struct file_value *f, uint32_t *ret_number) {
    static struct subject_value s;
    struct monitor *m = q->monitor;
    struct blob_value b;
    int result = index_get_record(m->index, DB_BLOBS, f->blob, ID_SIZE, &layout_blob_value, &b);
    if (result == VAULT_OK)
        result = find_subject(m, f->subject, &s);
    b.generation = u->key_number;
    COPY_ARRAY(b.key, u->key);
    b.number++;
    b.keyed = u->keyed;
    *ret_number = b.number;
    if (result == VAULT_OK)
        result = data_key_rewrap(m, &s, u->blob, &b.generation, b.key);
    if (result == VAULT_OK)
        result = content_replaced(m, f);
    COPY_ARRAY(f->blob, u->blob);
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_BLOBS, f->blob, ID_SIZE, &layout_blob_value, &b);
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_FILES, f->file, ID_SIZE, &layout_file_value, f);
    if (result == VAULT_OK)
        result = upload_leave_marks(q, q->message->rekey_end.upload, u);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

/* What the worker gave back is the content that was deposited, bit by bit. */
static bool is_same(const struct upload_value *u, const struct file_value *f, const struct msg_rekey_end *end) {
    return upload_fits(u, end->size) && end->size == f->size && memcmp(end->sha256, f->sha256, HASH_SIZE) == 0;
}

static void describe_failure(const struct msg_rekey_end *end, char *detail, size_t size) {
    char address[2 * HASH_SIZE + 1];
    hex_encode(address, sizeof(address), end->address, HASH_SIZE);
    if (end->outcome == REKEY_DAMAGED)
        (void)format_string(detail, size, "stored data is damaged: object %s", address);
    else
        copy_string(detail, size,
                    end->outcome == REKEY_DONE   ? "the content is not what was deposited"
                    : end->outcome == REKEY_FULL ? "there is no room for it now"
                                                 : "the content could not be read or kept");
    log_error("rekey: a file keeps its data key: %s", detail);
}

/* Damage will be there the next time too; everything else is tried again. */
static int count_end(struct monitor *m, const struct grant *g, const struct msg_rekey_end *end, bool done) {
    struct job_value j;
    bool passed = done || end->outcome == REKEY_DAMAGED || end->outcome == REKEY_DONE;
    if (end->outcome == REKEY_FULL)
        m->rekeying.due = loop_now_ms() + FULL_MS;
    else if (end->outcome == REKEY_FAILED)
        m->rekeying.due = loop_now_ms() + RETRY_MS;
    if (passed || end->outcome == REKEY_FULL)
        m->rekeying.tries = 0;
    int result = !passed || m->meta.aside == 0 ? VAULT_NOT_FOUND : job_load(m, m->meta.aside, &j);
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED)
        return VAULT_OK; /* the job's own step finds that */
    if (result != VAULT_OK)
        return result;
    j.done += done;
    j.failed += !done;
    if (j.rate != 0)
        m->rekeying.due = m->rekeying.begun + g->value.size * 1000 / ((uint64_t)j.rate << 20);
    pass_over(&j, g->value.file);
    return job_store(m, &j);
}

static int close_file(struct request *q, struct grant *g, bool done, uint32_t number) {
    char detail[200];
    const struct msg_rekey_end *end = &q->message->rekey_end;
    if (!done)
        describe_failure(end, detail, sizeof(detail));
    else if (!format_string(detail, sizeof(detail), "data key %u to %u", number - 1, number))
        return VAULT_E_STATE;
    bool damaged = end->outcome == REKEY_DONE || end->outcome == REKEY_DAMAGED;
    uint32_t reads = 0;
    int result = end->outcome == REKEY_DAMAGED ? failure_reported(q->monitor, g, end->address, &reads) : VAULT_OK;
    if (result == VAULT_OK)
        result = grant_close(q->monitor, g, done ? "done" : "failed", done ? end->size : g->handed_out, 0,
                             done      ? 0
                             : damaged ? 6
                                       : 1,
                             detail);
    if (result == VAULT_OK)
        result = count_end(q->monitor, g, end, done);
    if (result != VAULT_OK)
        return result;
    g->closed_in_batch = true; /* gone once that is durable */
    budgets_follow(g);
    answer_done(q->monitor, q->worker, q->message);
    return VAULT_OK;
}

int answer_rekey_end(struct request *q) {
    static struct upload_value u;
    static struct file_value f;
    const struct msg_rekey_end *end = &q->message->rekey_end;
    struct grant *g = grant_of(q, end->grant);
    bool has_upload = !id_is_zero(end->upload);
    uint32_t number = 0;
    if (g == NULL || end->outcome > REKEY_FAILED || (end->outcome == REKEY_DONE && !has_upload))
        return refuse_grant(q);
    int result = has_upload ? upload_find(q, end->upload, &u) : VAULT_OK;
    if (result == VAULT_DENIED)
        return refuse_grant(q);
    if (result == VAULT_OK)
        result = find_file(q->monitor, g->value.file, NULL, NULL, &f);
    bool done = result == VAULT_OK && end->outcome == REKEY_DONE && is_same(&u, &f, end);
    if (done)
        result = exchange(q, &u, &f, &number);
    else if (result == VAULT_OK && has_upload)
        result = upload_give_up(q, end->upload);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    return close_file(q, g, done, number);
}
