/* Another key for the index: beside the present one in the ring, while a job seals every entry again; then the present
 * one goes. index.h, "another key". */
#include "jobs.h"
#include "ring.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/log/log.h"
#include "vault/log.h"
#include "vault/result.h"

enum { STEP_ENTRIES = 64 };

static int begin_job(struct monitor *m, bool leave, struct job_value *ret) {
    *ret = (struct job_value){
        .generation = keyring_index_generation(m->keyring) + 1, .total = index_entries(m->index), .leave = leave};
    return job_begin(m, job_index.what, ret);
}

/* The index follows the ring, which has the next key. */
static int begin(struct monitor *m, bool leave, struct job_value *ret) {
    struct index_keys keys = ring_index_keys(m);
    int result = index_reseal_begin(m->index, &keys);
    if (result == VAULT_OK)
        result = ring_follow(m);
    return result == VAULT_OK ? begin_job(m, leave, ret) : result;
}

int index_key_change(struct monitor *m, bool leave, struct job_value *ret_job) {
    if (keyring_next_index_key(m->keyring) != NULL) /* a job before this one stopped at what is damaged */
        return begin_job(m, leave, ret_job);
    int result = ring_change(m, &(struct ring_change){.intent = INTENT_INDEX_KEY});
    return result == VAULT_OK ? begin(m, leave, ret_job) : result;
}

int index_key_begun(struct monitor *m) {
    struct job_value job;
    return begin(m, false, &job);
}

int index_key_ended(struct monitor *m) {
    struct index_keys keys = ring_index_keys(m);
    int result = index_is_resealing(m->index) ? index_reseal_end(m->index, &keys) : VAULT_OK;
    if (result == VAULT_OK)
        result = backups_die(m); /* each is under the key that went */
    return result == VAULT_OK ? ring_follow(m) : result;
}

/* What was met that does not open stops it, with both keys in the ring: a good copy may still be found. */
static int stop_at(struct job_value *j, enum index_db db) {
    log_error("rotation: an entry of the index does not open, and the key before it is kept database=%s",
              index_db_name(db));
    j->failed++;
    return VAULT_NOT_FOUND;
}

static int index_step(struct monitor *m, struct job_value *j) {
    struct index_reseal how = {.most = m->job_room < STEP_ENTRIES ? m->job_room : STEP_ENTRIES, .leave = j->leave != 0};
    enum index_db db = DB_META;
    uint64_t done = 0, left = 0;
    if (!index_is_resealing(m->index)) /* it ended, and that was not recorded */
        return keyring_next_index_key(m->keyring) == NULL ? VAULT_NOT_FOUND : VAULT_E_STATE;
    int result = index_reseal(m->index, &how, &done, &left, &db);
    j->done += done;
    j->failed += left;
    if (result == VAULT_NOT_FOUND && !space_for_ring(m))
        return VAULT_AGAIN; /* the key before goes when the ring can be written */
    return result == VAULT_DENIED ? stop_at(j, db) : result;
}

static int record_end(struct monitor *m, const struct job_value *j, bool stopped) {
    char detail[160];
    struct event e = {.name = "key.rotated", .outcome = stopped ? "failed" : "done", .action = 'U', .detail = detail};
    if (!format_string(detail, sizeof(detail), "index to generation %u, %llu entries, %llu damaged%s", j->generation,
                       (unsigned long long)j->done, (unsigned long long)j->failed,
                       stopped          ? ": stopped there, the key before is kept"
                       : j->failed != 0 ? ": left behind, no key opens them"
                                        : ""))
        return VAULT_E_STATE;
    return journal(m, &e, NULL);
}

static int index_end(struct monitor *m, const struct job_value *j) {
    bool stopped = j->failed != 0 && j->leave == 0;
    int result = VAULT_OK;
    if (!stopped && index_is_resealing(m->index)) {
        result = ring_change(m, &(struct ring_change){.intent = INTENT_INDEX_KEY_DONE});
        if (result == VAULT_OK)
            result = index_key_ended(m);
    }
    return result == VAULT_OK ? record_end(m, j, stopped) : result;
}

const struct job_kind job_index = {"index", index_step, index_end};
