/* Depositing: the decision, the announcements, the manifest, the commit. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "deposit.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/cleaning.h"
#include "vaultd/monitor/current.h"
#include "vaultd/monitor/keys/age.h"
#include "vaultd/monitor/keys/subject_keys.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"
#include "vault/token.h"

enum { UPLOADS_PER_WORKER = 4 }; /* an honest worker has one at a time */

static bool tags_are_good(const char *tags) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (const char *at = tags; *at != '\0';) {
        size_t n = strspn(at, allowed);
        if (n == 0 || n > 64 || (at[n] != '\0' && (at[n] != ',' || at[n + 1] == '\0')))
            return false;
        at += n + (at[n] == ',' ? 1 : 0);
    }
    return true;
}

static const char *field_at_fault(const struct msg_upload_create *c) {
    if (!name_is_good(c->subject))
        return "The subject identifier is malformed.";
    if (!file_name_is_good(c->name))
        return "The file name is malformed.";
    if (c->dataset[0] != '\0' && !name_is_good(c->dataset))
        return "The dataset identifier is malformed.";
    return tags_are_good(c->tags) ? NULL : "A tag is malformed.";
}

static int record_create(struct request *q, const struct inquiry *i, uint64_t *ret_seq) {
    bool permitted = i->decision.verdict == VERDICT_PERMIT;
    struct event e = {.name = "deposit",
                      .outcome = permitted ? "permitted" : "denied",
                      .asker = &q->asker,
                      .subject = i->subject_known ? i->subject.subject : NULL,
                      .request = q->id,
                      .action = 'C',
                      .question = &i->question,
                      .decision = &i->decision,
                      .consent = i->subject.version,
                      .state = permitted ? REQUEST_RUNNING : REQUEST_ENDED,
                      .status = permitted ? 1 : 3};
    return journal(q->monitor, &e, ret_seq);
}

int upload_key(struct monitor *m, const struct subject_value *s, struct upload_value *u, struct secret **ret) {
    CLEANUP_SECRET struct secret *key = NULL;
    randombytes_buf(u->blob, sizeof(u->blob));
    u->keyed = monitor_time(m);
    u->key_number = s->key_number;
    int result = secret_random(&key, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = data_key_wrap(m, s, u->blob, key, u->key);
    if (result == VAULT_OK)
        *ret = secret_move(&key);
    return result;
}

static void fill_upload(struct upload_value *u, const struct request *q) {
    const struct msg_upload_create *c = &q->message->upload_create;
    u->worker = q->worker->number;
    COPY_ARRAY(u->request, q->id);
    copy_string(u->subject, sizeof(u->subject), c->subject);
    copy_string(u->name, sizeof(u->name), c->name);
    copy_string(u->dataset, sizeof(u->dataset), c->dataset);
    copy_string(u->tags, sizeof(u->tags), c->tags);
    copy_string(u->service, sizeof(u->service), q->asker.name);
    u->has_digest = c->has_digest;
    COPY_ARRAY(u->digest, c->digest);
}

static int permit(struct request *q, const struct inquiry *i, const struct subject_value *s) {
    static struct upload_value u;
    uint64_t seq = NO_SEQ;
    CLEANUP_SECRET struct secret *key = NULL;
    u = (struct upload_value){0};
    fill_upload(&u, q);
    int result = upload_key(q->monitor, s, &u, &key);
    if (result == VAULT_OK)
        result = record_create(q, i, &seq);
    return result == VAULT_OK ? upload_begin(q, &u, seq, &key) : result;
}

int upload_begin(struct request *q, const struct upload_value *u, uint64_t seq, struct secret **key) {
    struct monitor *m = q->monitor;
    uint8_t id[ID_SIZE];
    randombytes_buf(id, sizeof(id));
    int result = index_put_record(m->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, u);
    if (result != VAULT_OK)
        return result;
    struct message *reply = malloc(sizeof(*reply));
    if (reply == NULL)
        return VAULT_E_MEMORY;
    struct token_claim claim = {.kind = TOKEN_BUFFERS, .worker = q->worker->number};
    COPY_ARRAY(claim.upload, id);
    message_init(reply, MSG_upload, q->message->id);
    COPY_ARRAY(reply->upload.upload, id);
    COPY_ARRAY(reply->upload.request, u->request);
    reply->upload.seq = seq;
    token_make(m->store_key, &claim, reply->upload.token);
    reply->upload.key = secret_move(key);
    q->worker->deposits = true;
    q->worker->uploads++;
    batch_reply(m, q->worker, reply);
    return VAULT_OK;
}

/* A name that is taken by another service, or by other declared content, need not be sent to be refused. */
static int conflict(struct request *q, const struct msg_upload_create *c, bool *ret_conflict) {
    static const uint8_t by_name[ID_SIZE];
    struct file_value f;
    int result = find_file(q->monitor, by_name, c->subject, c->name, &f);
    *ret_conflict = result == VAULT_OK && (strcmp(f.service, q->asker.name) != 0 ||
                                           (c->has_digest != 0 && memcmp(f.sha256, c->digest, HASH_SIZE) != 0));
    return result == VAULT_NOT_FOUND ? VAULT_OK : result;
}

int answer_upload_create(struct request *q) {
    static struct inquiry i;
    static struct subject_value s;
    const struct msg_upload_create *c = &q->message->upload_create;
    const struct purpose none = {0};
    const char *fault = field_at_fault(c), *rule = NULL;
    char text[KEY_AGE_TEXT];
    bool taken = false;
    uint64_t seq = NO_SEQ;
    if (fault != NULL)
        return refuse(q, "deposit", NULL, 400, "malformed", fault);
    struct inquiry_wanted wanted = {.asker = &q->asker,
                                    .action = ACTION_DEPOSIT,
                                    .purpose = &none,
                                    .subject = c->subject,
                                    .is_deposit = true,
                                    .dataset = c->dataset,
                                    .tags = c->tags};
    int result = inquire(q->monitor, &wanted, &i);
    q->subject = i.subject_known ? i.subject.subject : NULL;
    bool permitted = result == VAULT_OK && i.decision.verdict == VERDICT_PERMIT;
    if (permitted)
        result = standings_vouch(q->monitor, i.subject.subject, &s);
    if (permitted && result == VAULT_OK)
        result = conflict(q, c, &taken);
    if (result != VAULT_OK)
        return result;
    if (q->worker->uploads >= UPLOADS_PER_WORKER)
        return refuse(q, "deposit", c->subject, 429, "too-many-uploads", "This connection has too many uploads open.");
    if (taken)
        return refuse(q, "deposit", c->subject, 409, "name-taken", "This subject has another file of this name.");
    if (permitted)
        return key_age_forbids(q->monitor, &rule, text) ? refuse(q, "deposit", c->subject, 503, rule, text)
                                                        : permit(q, &i, &s);
    result = record_create(q, &i, &seq);
    if (result == VAULT_OK)
        answer_denied(q->monitor, q->worker, q->message, seq, q->id, &i.decision);
    return result;
}

static int put_names(struct monitor *m, const struct file_value *f) {
    struct mark_value mark = {0};
    struct file_name_value name;
    uint8_t subject[HASH_SIZE];
    uint8_t key[HASH_SIZE];
    uint8_t listed[HASH_SIZE + ID_SIZE];
    COPY_ARRAY(name.file, f->file);
    name_hash(m, NAME_SUBJECT, f->subject, NULL, subject);
    name_hash(m, NAME_FILE, f->name, f->subject, key);
    int result = index_put_record(m->index, DB_FILE_NAMES, key, HASH_SIZE, &layout_file_name_value, &name);
    copy_bytes(listed, sizeof(listed), subject, HASH_SIZE);
    copy_bytes(listed + HASH_SIZE, ID_SIZE, f->file, ID_SIZE);
    if (result == VAULT_OK)
        result = index_put_record(m->index, DB_SUBJECT_FILES, listed, sizeof(listed), &layout_mark_value, &mark);
    if (result != VAULT_OK || f->dataset[0] == '\0')
        return result;
    name_hash(m, NAME_DATASET, f->dataset, f->subject, key);
    copy_bytes(listed, sizeof(listed), key, HASH_SIZE);
    return index_put_record(m->index, DB_DATASET_FILES, listed, sizeof(listed), &layout_mark_value, &mark);
}

/* The subject's key may have made way for another since the deposit began. */
static int put_blob(struct monitor *m, const struct subject_value *s, const struct upload_value *u,
                    const struct file_value *f) {
    struct blob_value blob = {
        .generation = u->key_number, .size = f->size, .chunks = u->chunks, .number = 1, .keyed = u->keyed};
    COPY_ARRAY(blob.file, f->file);
    name_hash(m, NAME_SUBJECT, u->subject, NULL, blob.subject);
    COPY_ARRAY(blob.key, u->key);
    int result = data_key_rewrap(m, s, u->blob, &blob.generation, blob.key);
    return result == VAULT_OK ? index_put_record(m->index, DB_BLOBS, u->blob, ID_SIZE, &layout_blob_value, &blob)
                              : result;
}

static int count_file(struct monitor *m, struct subject_value *s) {
    s->files++;
    m->meta.files++;
    int result = subject_store(m, s);
    return result == VAULT_OK ? meta_store(m) : result;
}

int upload_leave_marks(struct request *q, const uint8_t id[ID_SIZE], const struct upload_value *u) {
    struct upload_value published = *u;
    published.state = UPLOAD_PUBLISHED;
    wipe(published.key, sizeof(published.key)); /* the blob has it */
    q->worker->uploads -= q->worker->uploads > 0 ? 1 : 0;
    q->monitor->clean_wanted = true;
    return index_put_record(q->monitor->index, DB_UPLOADS, id, ID_SIZE, &layout_upload_value, &published);
}

static int record_end(struct request *q, const struct upload_value *u, const char *outcome, const uint8_t *file,
                      uint64_t size, uint8_t status, const char *detail, uint64_t *ret_seq) {
    struct event e = {.name = "deposit.close",
                      .outcome = outcome,
                      .asker = &q->asker,
                      .subject = u->subject,
                      .file = file,
                      .request = u->request,
                      .action = 'C',
                      .has_bytes = true,
                      .bytes = size,
                      .detail = detail,
                      .state = REQUEST_ENDED,
                      .status = status};
    return journal(q->monitor, &e, ret_seq);
}

static int publish(struct request *q, const struct upload_value *u) {
    static struct file_value f;
    static struct subject_value s;
    struct monitor *m = q->monitor;
    const struct msg_upload_commit *c = &q->message->upload_commit;
    uint64_t seq = NO_SEQ;
    f = (struct file_value){.size = c->size, .deposited = monitor_time(m)};
    randombytes_buf(f.file, sizeof(f.file));
    COPY_ARRAY(f.blob, u->blob);
    copy_string(f.subject, sizeof(f.subject), u->subject);
    copy_string(f.name, sizeof(f.name), u->name);
    copy_string(f.dataset, sizeof(f.dataset), u->dataset);
    copy_string(f.tags, sizeof(f.tags), u->tags);
    copy_string(f.service, sizeof(f.service), u->service);
    COPY_ARRAY(f.sha256, c->sha256);
    int result = index_put_record(m->index, DB_FILES, f.file, ID_SIZE, &layout_file_value, &f);
    if (result == VAULT_OK)
        result = put_names(m, &f);
    if (result == VAULT_OK)
        result = find_subject(m, u->subject, &s);
    if (result == VAULT_NOT_FOUND)
        result = VAULT_E_DAMAGED;
    if (result == VAULT_OK)
        result = put_blob(m, &s, u, &f);
    if (result == VAULT_OK)
        result = count_file(m, &s);
    if (result == VAULT_OK)
        result = upload_leave_marks(q, c->upload, u);
    if (result == VAULT_OK)
        result = record_end(q, u, "done", f.file, c->size, 0, NULL, &seq);
    if (result == VAULT_OK)
        answer_json(m, q->worker, q->message, 201, seq, u->request, json_file(&f));
    return result;
}

int upload_give_up(struct request *q, const uint8_t id[ID_SIZE]) {
    q->worker->uploads -= q->worker->uploads > 0 ? 1 : 0;
    return upload_drop(q->monitor, id);
}

static int turn_down(struct request *q, const struct upload_value *u, unsigned status, const char *rule,
                     const char *text) {
    uint64_t seq = NO_SEQ;
    int result = upload_give_up(q, q->message->upload_commit.upload);
    if (result == VAULT_OK)
        result = record_end(q, u, "failed", NULL, q->message->upload_commit.size, status == 422 ? 6 : 1, text, &seq);
    if (result == VAULT_OK)
        answer_problem(q->monitor, q->worker, q->message, status, seq, u->request, rule, text);
    return result;
}

/* The name is taken by now: the same content from the same service is no conflict. */
static int settle(struct request *q, const struct upload_value *u, const struct file_value *f) {
    const struct msg_upload_commit *c = &q->message->upload_commit;
    uint64_t seq = NO_SEQ;
    bool same =
        strcmp(f->service, u->service) == 0 && f->size == c->size && memcmp(f->sha256, c->sha256, HASH_SIZE) == 0;
    if (!same)
        return turn_down(q, u, 409, "name-taken", "This subject has another file of this name.");
    int result = upload_give_up(q, c->upload);
    if (result == VAULT_OK)
        result = record_end(q, u, "done", f->file, c->size, 0, "the same content was there already", &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, u->request, json_file(f));
    return result;
}

bool upload_fits(const struct upload_value *u, uint64_t size) {
    return blob_chunks(size) == u->chunks && (u->chunks == 0 || blob_chunk_length(size, u->chunks - 1) == u->last);
}

int answer_upload_commit(struct request *q) {
    static struct upload_value u;
    static struct file_value f;
    static const uint8_t by_name[ID_SIZE];
    const struct msg_upload_commit *c = &q->message->upload_commit;
    int result = upload_find(q, c->upload, &u);
    if (result == VAULT_DENIED)
        return upload_refuse(q);
    if (result != VAULT_OK)
        return result;
    if (!q->asker.known || (q->asker.roles & 1u << ROLE_DEPOSITOR) == 0)
        return turn_down(q, &u, 403, "role-missing", "This service may no longer deposit.");
    if (!upload_fits(&u, c->size))
        return turn_down(q, &u, 400, "manifest-refused", "The size does not fit the manifest.");
    if (u.has_digest != 0 && memcmp(u.digest, c->sha256, HASH_SIZE) != 0)
        return turn_down(q, &u, 422, "digest-mismatch", "The content does not match its declared digest.");
    result = find_file(q->monitor, by_name, u.subject, u.name, &f);
    if (result == VAULT_OK)
        return settle(q, &u, &f);
    return result == VAULT_NOT_FOUND ? publish(q, &u) : result;
}

int answer_upload_abort(struct request *q) {
    static struct upload_value u;
    const struct msg_upload_abort *a = &q->message->upload_abort;
    int result = upload_find(q, a->upload, &u);
    if (result == VAULT_DENIED)
        return upload_refuse(q);
    if (result == VAULT_OK)
        result = upload_give_up(q, a->upload);
    if (result == VAULT_OK)
        result = record_end(q, &u, "interrupted", NULL, 0, 1, a->reason, NULL);
    if (result == VAULT_OK)
        answer_done(q->monitor, q->worker, q->message);
    return result;
}
