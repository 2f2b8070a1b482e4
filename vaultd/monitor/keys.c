/* The key ring: its generations and its seal, their rotation, and the agreement of ring and index. */
#include <string.h>

#include "jobs.h"
#include "subject_keys.h"
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

/* The index follows the ring: the new generation is active, and the job that rewraps to it exists. */
static int activate(struct monitor *m, struct job_value *job) {
    m->meta.epoch = keyring_epoch(m->keyring);
    m->meta.generation = keyring_newest(m->keyring);
    m->meta.intent = INTENT_NONE;
    *job = (struct job_value){.generation = m->meta.generation, .total = m->meta.subjects};
    return job_begin(m, &job_kek, job);
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

/* Every subject gets a new key. */
static int rotate_subjects(struct request *q) {
    struct monitor *m = q->monitor;
    struct job_value job = {.total = m->meta.subjects};
    bool running = false;
    int result = job_is_open(m, &job_turn, &running);
    if (result == VAULT_OK && running)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
    if (result == VAULT_OK)
        result = job_begin(m, &job_turn, &job);
    return result == VAULT_OK ? administer(q, "key.rotate", NULL, 'U', "subject", 202, job_json(&job)) : result;
}

int answer_key_rotate(struct request *q) {
    struct monitor *m = q->monitor;
    struct job_value job;
    char detail[64];
    bool running = false;
    bool root = strcmp(q->message->key_rotate.what, "root") == 0;
    if (strcmp(q->message->key_rotate.what, "subject") == 0)
        return rotate_subjects(q);
    if (!root && strcmp(q->message->key_rotate.what, "kek") != 0)
        return refuse(q, "key.rotate", NULL, 400, "malformed", "'kek', 'root' and 'subject' can be rotated.");
    if (!space_for_ring(m))
        return refuse(q, "key.rotate", NULL, 507, "keyring-full", "There is no space for a copy of the key ring.");
    if (root)
        return rotate_root(q);
    int result = job_is_open(m, &job_kek, &running);
    if (result != VAULT_OK)
        return result;
    if (running)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
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

static int rewrap(struct monitor *m, const uint8_t subject[HASH_SIZE], uint32_t generation) {
    static struct subject_value s;
    int result = index_get_record(m->index, DB_SUBJECTS, subject, HASH_SIZE, &layout_subject_value, &s);
    if (result != VAULT_OK || s.generation == generation)
        return result;
    result = subject_key_rewrap(m, &s, generation);
    return result == VAULT_OK ? index_put_record(m->index, DB_SUBJECTS, subject, HASH_SIZE, &layout_subject_value, &s)
                              : result;
}

static int kek_end(struct monitor *m, const struct job_value *j) {
    char detail[96];
    struct event e = {.name = "key.rotated", .outcome = "done", .action = 'U', .detail = detail};
    if (!format_string(detail, sizeof(detail), "kek to generation %u, %llu subjects, %llu damaged", j->generation,
                       (unsigned long long)j->done, (unsigned long long)j->failed))
        return VAULT_E_STATE;
    m->meta.clean = j->failed == 0 ? j->generation : 0;
    return journal(m, &e, NULL);
}

/* Rewraps the next subjects. A damaged one is left as it is and said so: the others must not wait for it. */
static int kek_step(struct monitor *m, struct job_value *j) {
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    for (unsigned n = 0; n < STEP_SUBJECTS; n++) {
        int result = index_next(m->index, DB_SUBJECTS, NULL, 0, j->cursor, j->cursor_size, key, &size);
        if (result == VAULT_OK)
            result = size == HASH_SIZE ? rewrap(m, key, j->generation) : VAULT_E_DAMAGED;
        if (result == VAULT_E_DAMAGED)
            log_error("rotation: a subject's entry is damaged and was not rewrapped");
        else if (result != VAULT_OK)
            return result;
        j->failed += result == VAULT_E_DAMAGED;
        copy_bytes(j->cursor, sizeof(j->cursor), key, size);
        j->cursor_size = (uint32_t)size;
        j->done++;
    }
    return VAULT_OK;
}

const struct job_kind job_kek = {"kek", kek_step, kek_end};

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
