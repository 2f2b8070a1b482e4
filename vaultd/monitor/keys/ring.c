/* The key ring and the index, step by step together, and after a death again. */
#include "ring.h"

#include <string.h>

#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/opening/opening.h"
#include "vault/copies.h"
#include "vault/log.h"
#include "vault/result.h"

/* The index follows the ring: the new generation is active, and the job that rewraps to it exists. */
static int activate(struct monitor *m, struct job_value *job) {
    m->meta.epoch = keyring_epoch(m->keyring);
    m->meta.generation = keyring_newest(m->keyring);
    m->meta.intent = INTENT_NONE;
    *job = (struct job_value){.generation = m->meta.generation};
    int result = index_count(m->index, DB_SUBJECT_KEYS, &job->total);
    return result == VAULT_OK ? job_begin(m, job_kek.what, job) : result;
}

static int replace_seal(struct monitor *m, const struct seal *seal, struct secret **root) {
    int result = keyring_set_seal(m->keyring, seal);
    if (result != VAULT_OK)
        return result;
    secret_free(&m->root);
    m->root = secret_move(root);
    return VAULT_OK;
}

struct index_keys ring_index_keys(const struct monitor *m) {
    return (struct index_keys){.key = keyring_index_key(m->keyring),
                               .next = keyring_next_index_key(m->keyring),
                               .generation = keyring_index_generation(m->keyring)};
}

static int apply(struct monitor *m, const struct ring_change *c) {
    int result = VAULT_OK;
    switch (c->intent) {
    case INTENT_ADD_GENERATION: return keyring_add_generation(m->keyring);
    case INTENT_RETIRE: result = keyring_retire(m->keyring); break;
    case INTENT_AUDIT_KEY: return keyring_replace_audit_seed(m->keyring, c->seed);
    case INTENT_INDEX_KEY: return keyring_begin_index_key(m->keyring);
    case INTENT_INDEX_KEY_DONE: return keyring_end_index_key(m->keyring);
    case INTENT_NAME_KEY: return keyring_begin_name_key(m->keyring);
    case INTENT_NAME_KEY_DONE: return keyring_end_name_key(m->keyring);
    case INTENT_ORIGIN: return keyring_raise_epoch(m->keyring, c->epoch);
    default: break;
    }
    return result == VAULT_OK ? replace_seal(m, c->seal, c->root) : result;
}

int ring_change(struct monitor *m, const struct ring_change *change) {
    m->meta.intent = (uint8_t)change->intent;
    int result = meta_store(m);
    if (result == VAULT_OK)
        result = batch_finish(m);
    if (result != VAULT_OK)
        return result;
    result = apply(m, change);
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

int ring_follow(struct monitor *m) {
    m->meta.epoch = keyring_epoch(m->keyring);
    m->meta.intent = INTENT_NONE;
    return meta_store(m);
}

/* The index follows the ring, whose seal is another. */
static int follow_seal(struct monitor *m) {
    m->meta.sealed = monitor_time(m);
    return ring_follow(m);
}

int ring_add_generation(struct monitor *m, struct job_value *ret_job) {
    int result = ring_change(m, &(struct ring_change){.intent = INTENT_ADD_GENERATION});
    return result == VAULT_OK ? activate(m, ret_job) : result;
}

bool ring_can_retire(const struct monitor *m) {
    return keyring_count(m->keyring) > 1 && m->meta.clean == m->meta.generation &&
           keyring_newest(m->keyring) == m->meta.generation;
}

bool retirement_text(const struct monitor *m, uint32_t newest, char ret[RETIREMENT_TEXT]) {
    char names[ESCROW_NAMES];
    escrows_holding(m, newest - 1, names);
    return format_string(ret, RETIREMENT_TEXT, "generations before %u%s%s", newest,
                         names[0] == '\0' ? "" : ", still held by escrow ", names);
}

json_t *ring_changed_json(struct monitor *m, bool retired) {
    json_t *json = seals_json(m);
    if (json != NULL && retired)
        json_object_set_new(json, "escrows", escrows_holding_json(m, keyring_newest(m->keyring) - 1));
    if (json != NULL && m->dead_backups[0] != '\0')
        json_object_set_new(json, "dead_backups", json_string(m->dead_backups));
    m->dead_backups[0] = '\0';
    return json;
}

/* Generations before this one are gone from the ring, and with them what needed them. */
static int note_retired(struct monitor *m, uint32_t first, const char *dead) {
    char text[RETIREMENT_TEXT];
    char detail[RETIREMENT_TEXT + RETIRED_TEXT + 32];
    uint8_t key[4];
    struct retired_value v = {.when = monitor_time(m), .record = m->tree.size};
    struct event e = {.name = "key.retired", .outcome = "done", .action = 'D', .detail = detail};
    put_be32(key, first);
    if (!retirement_text(m, first, text) ||
        !format_string(detail, sizeof(detail), "%s%s%s", text, dead[0] == '\0' ? "" : "; backups that died: ", dead))
        return VAULT_E_STATE;
    int result = index_put_record(m->index, DB_RETIRED, key, sizeof(key), &layout_retired_value, &v);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* The index follows the ring, which has one generation only, under another root key. */
static int follow_retirement(struct monitor *m) {
    int result = backups_dying(m, false, m->dead_backups, sizeof(m->dead_backups));
    if (result == VAULT_OK)
        result = backups_die(m);
    if (result == VAULT_OK)
        result = follow_seal(m);
    return result == VAULT_OK ? note_retired(m, keyring_newest(m->keyring), m->dead_backups) : result;
}

/* A rotation may have begun since the retirement was asked for. */
static int retire_with(struct monitor *m, const struct seal *seal, struct secret **root) {
    if (!ring_can_retire(m))
        return VAULT_E_STATE;
    int result = ring_change(m, &(struct ring_change){.intent = INTENT_RETIRE, .seal = seal, .root = root});
    return result == VAULT_OK ? follow_retirement(m) : result;
}

int ring_reseal(struct monitor *m, const struct seal *seal, struct secret **root) {
    m->dead_backups[0] = '\0';
    if (keyring_seal(m->keyring)->kind == SEAL_BY_TOKEN)
        token_sweep_later(m); /* its key */
    if (m->retiring)
        return retire_with(m, seal, root);
    int result = ring_change(m, &(struct ring_change){.intent = INTENT_RESEAL, .seal = seal, .root = root});
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
        *ret_when = v.cleared > v.when ? v.cleared : v.when;
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

static int generation_recovered(struct monitor *m) {
    struct job_value job;
    return activate(m, &job);
}

/* What a death may have come between, and what finishes it. */
static const struct {
    enum meta_intent intent;
    const char *what;
    int (*follow)(struct monitor *m);
} steps[] = {
    {INTENT_ADD_GENERATION, "a rotation", generation_recovered},
    {INTENT_RESEAL, "a change of its seal", reseal_recovered},
    {INTENT_RETIRE, "a retirement", follow_retirement},
    {INTENT_AUDIT_KEY, "a change of the audit key", audit_key_recovered},
    {INTENT_INDEX_KEY, "a change of the index key", index_key_begun},
    {INTENT_INDEX_KEY_DONE, "the end of the index key before", index_key_ended},
    {INTENT_NAME_KEY, "a change of the name key", name_key_begun},
    {INTENT_NAME_KEY_DONE, "the end of the name key before", name_key_ended},
    {INTENT_ORIGIN, "another name for the log", ring_follow}, /* whoever asked for it asks again */
};

static int follow(struct monitor *m, char problem[200]) {
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (steps[i].intent == m->meta.intent) {
            log_notice("keyring: %s that was interrupted goes on epoch=%llu", steps[i].what,
                       (unsigned long long)keyring_epoch(m->keyring));
            return steps[i].follow(m);
        }
    return disagree(problem, "The index is older than the key ring.");
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
    if (m->meta.name_key < keyring_name_generation(m->keyring))
        return disagree(problem, "The backup is dead: it needs the name key from before 'key rotate names'.");
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
    int result = newer ? activate(m, &job) : ring_follow(m);
    if (result == VAULT_OK && keyring_next_index_key(m->keyring) != NULL && !index_is_resealing(m->index))
        result = index_key_begun(m);
    if (result == VAULT_OK && m->meta.naming == NAMING_NONE && keyring_next_name_key(m->keyring) != NULL)
        result = name_key_begun(m); /* after the copy was made */
    if (result == VAULT_OK)
        result = backups_die(m);
    return result == VAULT_OK ? take_over_retirements(m) : result;
}

int ring_agree(struct monitor *m, char problem[200]) {
    uint64_t ring = keyring_epoch(m->keyring);
    int result = same_vault(m, problem);
    if (result != VAULT_OK)
        return result;
    if (ring == m->meta.epoch && m->meta.intent == INTENT_NONE)
        return VAULT_OK;
    if (ring == m->meta.epoch) { /* it never came to the ring */
        m->meta.intent = INTENT_NONE;
        return meta_store(m);
    }
    if (ring == m->meta.epoch + 1)
        return follow(m, problem);
    return disagree(problem, ring < m->meta.epoch ? "The key ring is older than the index."
                                                  : "The index is older than the key ring.");
}
