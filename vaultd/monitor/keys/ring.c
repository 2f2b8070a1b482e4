/* The key ring and the index, step by step together, and after a death again. */
#include "ring.h"

#include <string.h>

#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/opening/opening.h"
#include "vault/copies.h"
#include "vault/log.h"
#include "vault/result.h"

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
 * key (and forgets older generations, where they are retired), or without one the next generation. */
static int ring_change(struct monitor *m, enum meta_intent intent, const struct seal *seal, struct secret **root) {
    m->meta.intent = (uint8_t)intent;
    int result = meta_store(m);
    if (result == VAULT_OK)
        result = batch_finish(m);
    if (result != VAULT_OK)
        return result;
    if (intent == INTENT_RETIRE)
        result = keyring_retire(m->keyring);
    if (result == VAULT_OK)
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

int ring_add_generation(struct monitor *m, struct job_value *ret_job) {
    int result = ring_change(m, INTENT_ADD_GENERATION, NULL, NULL);
    return result == VAULT_OK ? activate(m, ret_job) : result;
}

bool ring_can_retire(const struct monitor *m) {
    return keyring_count(m->keyring) > 1 && m->meta.clean == m->meta.generation &&
           keyring_newest(m->keyring) == m->meta.generation;
}

/* Generations before this one are gone from the ring, and with them what needed them. */
static int note_retired(struct monitor *m, uint32_t first, const char *dead) {
    char detail[RETIRED_TEXT + 64];
    uint8_t key[4];
    struct retired_value v = {.when = monitor_time(m), .record = m->tree.size};
    struct event e = {.name = "key.retired", .outcome = "done", .action = 'D', .detail = detail};
    put_be32(key, first);
    if (!format_string(detail, sizeof(detail), "generations before %u%s%s", first,
                       dead[0] == '\0' ? "" : "; backups that died: ", dead))
        return VAULT_E_STATE;
    int result = index_put_record(m->index, DB_RETIRED, key, sizeof(key), &layout_retired_value, &v);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* The index follows the ring, which has one generation only, under another root key. */
static int follow_retirement(struct monitor *m) {
    int result = backups_dying(m, m->dead_backups, sizeof(m->dead_backups));
    if (result == VAULT_OK)
        result = backups_die(m);
    if (result == VAULT_OK)
        result = follow_seal(m);
    return result == VAULT_OK ? note_retired(m, keyring_newest(m->keyring), m->dead_backups) : result;
}

json_t *ring_changed_json(struct monitor *m) {
    json_t *answer = seals_json(m);
    if (m->dead_backups[0] != '\0' && answer != NULL)
        json_object_set_new(answer, "dead_backups", json_string(m->dead_backups));
    m->dead_backups[0] = '\0';
    return answer;
}

/* A rotation may have begun since the retirement was asked for. */
static int retire_with(struct monitor *m, const struct seal *seal, struct secret **root) {
    if (!ring_can_retire(m))
        return VAULT_E_STATE;
    int result = ring_change(m, INTENT_RETIRE, seal, root);
    return result == VAULT_OK ? follow_retirement(m) : result;
}

int ring_reseal(struct monitor *m, const struct seal *seal, struct secret **root) {
    m->dead_backups[0] = '\0';
    if (keyring_seal(m->keyring)->kind == SEAL_BY_TOKEN)
        token_sweep_later(m); /* its key */
    if (m->retiring)
        return retire_with(m, seal, root);
    int result = ring_change(m, INTENT_RESEAL, seal, root);
    return result == VAULT_OK ? follow_seal(m) : result;
}

int retired_since(struct monitor *m, uint32_t generation, uint64_t *ret_when) {
    struct retired_value v;
    uint8_t after[4];
    uint8_t key[INDEX_KEY_MAX];
    size_t size = 0;
    put_be32(after, generation);
    int result = index_next(m->index, DB_RETIRED, NULL, 0, after, sizeof(after), key, &size);
    if (result == VAULT_OK)
        result = index_get_record(m->index, DB_RETIRED, key, size, &layout_retired_value, &v);
    if (result == VAULT_OK)
        *ret_when = v.when;
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

static int same_vault(const struct monitor *m, char problem[200]) {
    if (memcmp(keyring_vault_id(m->keyring), m->meta.vault, KEYRING_ID) != 0)
        return disagree(problem, "The key ring and the index belong to different vaults.");
    if (keyring_is_dev(m->keyring) != (m->setup.dev != 0) || (m->meta.dev != 0) != (m->setup.dev != 0))
        return disagree(problem, m->setup.dev != 0 ? "This is a production vault; the configuration says dev."
                                                   : "This is a throw-away vault; the configuration says production.");
    return VAULT_OK;
}

int ring_fits(struct monitor *m, char problem[200]) {
    uint32_t oldest = 0;
    int result = same_vault(m, problem);
    if (result == VAULT_OK)
        result = index_oldest_generation(m->index, &m->meta, &oldest);
    if (result != VAULT_OK)
        return result;
    if (keyring_kek(m->keyring, oldest) == NULL && oldest < keyring_newest(m->keyring)) {
        (void)format_string(problem, 200,
                            "The backup is dead: it needs generation %u of the key-encryption key, which was retired.",
                            oldest);
        return VAULT_E_FORMAT;
    }
    if (keyring_epoch(m->keyring) < m->meta.epoch || keyring_kek(m->keyring, m->meta.generation) == NULL)
        return disagree(problem, "The key ring is older than the backup.");
    return VAULT_OK;
}

/* What the ring has lost since, the copy cannot know. */
static int take_over_retirements(struct monitor *m) {
    uint32_t known = 0;
    uint64_t created = 0;
    uint32_t oldest = keyring_generation(m->keyring, 0, &created);
    int result = index_last_retired(m->index, &known);
    return result == VAULT_OK && oldest > known ? note_retired(m, oldest, "") : result;
}

int ring_take_over(struct monitor *m) {
    struct job_value job;
    bool newer = keyring_newest(m->keyring) > m->meta.generation;
    int result = newer ? activate(m, &job) : follow_seal(m);
    return result == VAULT_OK ? take_over_retirements(m) : result;
}

int ring_agree(struct monitor *m, char problem[200]) {
    uint64_t ring = keyring_epoch(m->keyring);
    struct job_value job;
    int result = same_vault(m, problem);
    if (result != VAULT_OK)
        return result;
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
    if (ring == m->meta.epoch + 1 && m->meta.intent == INTENT_RETIRE) {
        log_notice("keyring: a retirement that was interrupted goes on epoch=%llu", (unsigned long long)ring);
        return follow_retirement(m);
    }
    return disagree(problem, ring < m->meta.epoch ? "The key ring is older than the index."
                                                  : "The index is older than the key ring.");
}
