/* The key ring: its generations and its seal, their rotation, and the agreement of ring and index. */
#include <string.h>

#include "monitor.h"
#include "vault/log.h"
#include "vault/result.h"

enum { STEP_SUBJECTS = 64 };

int answer_key_list(struct request *q) {
    const struct keyring *k = q->monitor->keyring;
    json_t *generations = json_array();
    for (uint32_t i = 0; i < keyring_count(k); i++) {
        uint64_t created = 0;
        uint32_t number = keyring_generation(k, i, &created);
        json_array_append_new(generations, json_pack("{s:i, s:o, s:s}", "generation", (int)number, "created",
                                                     json_time(created * 1000000), "state",
                                                     number == q->monitor->meta.generation ? "active" : "old"));
    }
    json_t *answer = json_pack("{s:I, s:o, s:o}", "epoch", (json_int_t)keyring_epoch(k), "generations", generations,
                               "seal", seals_json(q->monitor));
    return administer(q, "key.list", NULL, 'R', NULL, 200, answer);
}

static json_t *job_json(const struct job_value *j) {
    return json_pack("{s:i, s:s, s:i, s:I, s:I, s:s}", "id", (int)j->number, "what", j->what, "generation",
                     (int)j->generation, "done", (json_int_t)j->done, "total", (json_int_t)j->total, "state",
                     j->ended != 0 ? "done" : "running");
}

static int job_load(struct monitor *m, uint32_t number, struct job_value *ret) {
    uint8_t key[4];
    put_be32(key, number);
    int result = index_get_record(m->index, DB_JOBS, key, sizeof(key), &layout_job_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

static int job_store(struct monitor *m, const struct job_value *j) {
    uint8_t key[4];
    put_be32(key, j->number);
    return index_put_record(m->index, DB_JOBS, key, sizeof(key), &layout_job_value, j);
}

int answer_key_jobs(struct request *q) {
    enum { SHOWN = 50 };
    struct job_value j;
    json_t *jobs = json_array();
    uint32_t last = q->monitor->meta.jobs;
    for (uint32_t n = last; n > 0 && last - n < SHOWN; n--) {
        int result = job_load(q->monitor, n, &j);
        if (result != VAULT_OK) {
            json_decref(jobs);
            return result;
        }
        json_array_append_new(jobs, job_json(&j));
    }
    answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, NULL, json_pack("{s:o}", "jobs", jobs));
    return VAULT_OK;
}

static int job_running(struct monitor *m, struct job_value *ret) {
    if (m->meta.jobs == 0)
        return VAULT_NOT_FOUND;
    int result = job_load(m, m->meta.jobs, ret);
    return result == VAULT_OK && ret->ended != 0 ? VAULT_NOT_FOUND : result;
}

/* The index follows the ring: the new generation is active, and the job that rewraps to it exists. */
static int activate(struct monitor *m, struct job_value *job) {
    m->meta.epoch = keyring_epoch(m->keyring);
    m->meta.generation = keyring_newest(m->keyring);
    m->meta.intent = INTENT_NONE;
    m->meta.jobs++;
    *job = (struct job_value){.number = m->meta.jobs, .generation = m->meta.generation, .total = m->meta.subjects};
    copy_string(job->what, sizeof(job->what), "kek");
    m->job_wanted = true;
    int result = meta_store(m);
    return result == VAULT_OK ? job_store(m, job) : result;
}

static int replace_seal(struct monitor *m, const struct seal *seal, struct secret **root) {
    int result = keyring_set_seal(m->keyring, seal);
    if (result != VAULT_OK)
        return result;
    secret_free(&m->root);
    m->root = secret_move(root);
    return VAULT_OK;
}

/* Intent in the index, then the ring, then the index: each durable before the next. The ring gets a seal with its root
 * key, or without one the next generation. */
static int ring_change(struct monitor *m, enum meta_intent intent, const struct seal *seal, struct secret **root) {
    m->meta.intent = (uint8_t)intent;
    int result = meta_store(m);
    if (result == VAULT_OK)
        result = batch_finish(m);
    if (result != VAULT_OK)
        return result;
    result = seal != NULL ? replace_seal(m, seal, root) : keyring_add_generation(m->keyring);
    if (result == VAULT_OK)
        result = keyring_store(m->keyring, &m->place, m->root);
    if (result != VAULT_OK) {
        /* The ring in memory may be ahead of both copies: begin again from what is on disk. */
        log_error("keyring: cannot be stored result=\"%s\"", vault_result_name(result));
        m->stop = true;
        m->exit_status = 74;
        return result;
    }
    return batch_begin(m);
}

/* The index follows the ring, whose seal is another. */
static int follow_seal(struct monitor *m) {
    m->meta.epoch = keyring_epoch(m->keyring);
    m->meta.intent = INTENT_NONE;
    return meta_store(m);
}

int ring_reseal(struct monitor *m, const struct seal *seal, struct secret **root) {
    if (keyring_seal(m->keyring)->kind == SEAL_BY_TOKEN)
        token_sweep_later(m); /* its key */
    int result = ring_change(m, INTENT_RESEAL, seal, root);
    return result == VAULT_OK ? follow_seal(m) : result;
}

/* A new root key inside the same seal. Shares need not be shown for it; a credential or a token is asked for. */
static int rotate_root(struct request *q) {
    struct monitor *m = q->monitor;
    CLEANUP_SECRET struct secret *root = NULL;
    struct seal seal;
    if (keyring_seal(m->keyring)->kind == SEAL_BY_CREDENTIAL)
        return life_reseal(q);
    if (keyring_seal(m->keyring)->kind == SEAL_BY_TOKEN)
        return token_reseal(q);
    int result = secret_random(&root, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = seal_again(keyring_seal(m->keyring), NULL, keyring_vault_id(m->keyring), root, &seal);
    if (result == VAULT_OK)
        result = ring_reseal(m, &seal, &root);
    return result == VAULT_OK ? administer(q, "key.rotate", NULL, 'U', "root", 200, seals_json(m)) : result;
}

int answer_key_rotate(struct request *q) {
    struct monitor *m = q->monitor;
    struct job_value job;
    char detail[64];
    bool root = strcmp(q->message->key_rotate.what, "root") == 0;
    if (!root && strcmp(q->message->key_rotate.what, "kek") != 0)
        return refuse(q, "key.rotate", NULL, 400, "malformed", "Only 'kek' and 'root' can be rotated.");
    if (!space_for_ring(m))
        return refuse(q, "key.rotate", NULL, 507, "keyring-full", "There is no space for a copy of the key ring.");
    if (root)
        return rotate_root(q);
    int result = job_running(m, &job);
    if (result == VAULT_OK)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
    if (result != VAULT_NOT_FOUND)
        return result;
    if (keyring_count(m->keyring) >= KEYRING_GENERATIONS)
        return refuse(q, "key.rotate", NULL, 409, "too-many-generations", "The key ring holds no more generations.");
    result = ring_change(m, INTENT_ADD_GENERATION, NULL, NULL);
    if (result == VAULT_OK)
        result = activate(m, &job);
    if (result != VAULT_OK)
        return result;
    if (!format_string(detail, sizeof(detail), "kek to generation %u", job.generation))
        return VAULT_E_STATE;
    return administer(q, "key.rotate", NULL, 'U', detail, 202, job_json(&job));
}

static int rewrap(struct monitor *m, const uint8_t owner[HASH_SIZE], uint32_t generation) {
    static struct subject_value s;
    CLEANUP_SECRET struct secret *key = NULL;
    int result = index_get_record(m->index, DB_SUBJECTS, owner, HASH_SIZE, &layout_subject_value, &s);
    if (result != VAULT_OK || s.generation == generation)
        return result;
    const struct secret *old = keyring_kek(m->keyring, s.generation);
    const struct secret *new = keyring_kek(m->keyring, generation);
    if (old == NULL || new == NULL)
        return VAULT_E_DAMAGED;
    result = key_unwrap(old, WRAP_SUBJECT, owner, s.generation, s.key, &key);
    if (result == VAULT_OK)
        result = key_wrap(new, WRAP_SUBJECT, owner, generation, key, s.key);
    s.generation = generation;
    return result == VAULT_OK ? index_put_record(m->index, DB_SUBJECTS, owner, HASH_SIZE, &layout_subject_value, &s)
                              : result;
}

static int job_end(struct monitor *m, struct job_value *j) {
    char detail[96];
    struct event e = {.name = "key.rotated", .outcome = "done", .action = 'U', .detail = detail};
    j->ended = 1;
    if (!format_string(detail, sizeof(detail), "kek to generation %u, %llu subjects", j->generation,
                       (unsigned long long)j->done))
        return VAULT_E_STATE;
    int result = job_store(m, j);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* Rewraps the next subjects. A damaged one is left as it is and said so: the others must not wait for it. */
static int job_step(struct monitor *m, struct job_value *j) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    for (unsigned n = 0; n < STEP_SUBJECTS; n++) {
        int result = index_next(m->index, DB_SUBJECTS, NULL, 0, j->cursor, j->cursor_size, key, &size);
        if (result == VAULT_NOT_FOUND)
            return job_end(m, j);
        if (result != VAULT_OK)
            return result;
        result = size == HASH_SIZE ? rewrap(m, key, j->generation) : VAULT_E_DAMAGED;
        if (result == VAULT_E_DAMAGED)
            log_error("rotation: a subject's entry is damaged and was not rewrapped");
        else if (result != VAULT_OK)
            return result;
        copy_bytes(j->cursor, sizeof(j->cursor), key, size);
        j->cursor_size = (uint32_t)size;
        j->done++;
    }
    return job_store(m, j);
}

int jobs_step(struct monitor *m, bool *ret_more) {
    struct job_value j;
    *ret_more = false;
    if (m->seal != SEAL_UNSEALED || !m->job_wanted || m->space.state != SPACE_ENOUGH)
        return VAULT_OK;
    int result = job_running(m, &j);
    if (result == VAULT_E_DAMAGED)
        log_error("rotation: the job's entry is damaged, and nobody goes on with it");
    if (result == VAULT_NOT_FOUND || result == VAULT_E_DAMAGED) {
        m->job_wanted = false;
        return VAULT_OK;
    }
    if (result != VAULT_OK)
        return result;
    result = batch_begin(m);
    if (result == VAULT_OK)
        result = job_step(m, &j);
    *ret_more = result == VAULT_OK && j.ended == 0;
    return result;
}

static int disagree(char problem[200], const char *text) {
    copy_string(problem, 200, text);
    return VAULT_E_FORMAT;
}

/* The change was made and not recorded. */
static int reseal_recovered(struct monitor *m) {
    struct event e = {.name = "seal.change", .outcome = "done", .action = 'U', .detail = "it was interrupted"};
    int result = follow_seal(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

int keys_agree(struct monitor *m, char problem[200]) {
    uint64_t ring = keyring_epoch(m->keyring);
    struct job_value job;
    if (memcmp(keyring_vault_id(m->keyring), m->meta.vault, KEYRING_ID) != 0)
        return disagree(problem, "The key ring and the index belong to different vaults.");
    if (keyring_is_dev(m->keyring) != (m->setup.dev != 0) || (m->meta.dev != 0) != (m->setup.dev != 0))
        return disagree(problem, m->setup.dev != 0 ? "This is a production vault; the configuration says dev."
                                                   : "This is a throw-away vault; the configuration says production.");
    if (ring == m->meta.epoch && m->meta.intent == INTENT_NONE)
        return VAULT_OK;
    if (ring == m->meta.epoch) { /* it never came to the ring */
        m->meta.intent = INTENT_NONE;
        return meta_store(m);
    }
    if (ring == m->meta.epoch + 1 && m->meta.intent == INTENT_ADD_GENERATION) {
        log_notice("keyring: a rotation that was interrupted goes on epoch=%llu", (unsigned long long)ring);
        return activate(m, &job);
    }
    if (ring == m->meta.epoch + 1 && m->meta.intent == INTENT_RESEAL) {
        log_notice("keyring: a change of its seal that was interrupted goes on epoch=%llu", (unsigned long long)ring);
        return reseal_recovered(m);
    }
    return disagree(problem, ring < m->meta.epoch ? "The key ring is older than the index."
                                                  : "The index is older than the key ring.");
}
