/* Another key for the hashes under which the index knows names: beside the present one in the ring, while a job moves
 * entries to where the next one has them; then the present one goes. names.c says which of both a name is under. */
#include "jobs.h"
#include "name_moves.h"
#include "ring.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/log/log.h"
#include "vault/log.h"
#include "vault/result.h"

/* About how many owners there are: chains of administrators on the Unix socket are not counted. */
static int count_owners(struct monitor *m, uint64_t *ret) {
    static const enum index_db dbs[] = {DB_SUBJECTS, DB_SERVICES, DB_SANS, DB_PROJECTS, DB_ETHICS};
    int result = VAULT_OK;
    *ret = 0;
    for (size_t i = 0; i < sizeof(dbs) / sizeof(dbs[0]) && result == VAULT_OK; i++) {
        uint64_t count = 0;
        result = index_count(m->index, dbs[i], &count);
        *ret += count;
    }
    return result;
}

static int begin_job(struct monitor *m, struct job_value *ret) {
    *ret = (struct job_value){.generation = keyring_name_generation(m->keyring) + 1};
    int result = count_owners(m, &ret->total);
    return result == VAULT_OK ? job_begin(m, job_names.what, ret) : result;
}

static void move_to_stage(struct monitor *m, enum naming stage) {
    m->meta.naming = (uint8_t)stage;
    wipe(m->meta.named, sizeof(m->meta.named));
}

/* The index follows the ring, which has the next key. */
static int begin(struct monitor *m, struct job_value *ret) {
    move_to_stage(m, NAMING_SUBJECTS);
    int result = ring_follow(m);
    return result == VAULT_OK ? begin_job(m, ret) : result;
}

int name_key_change(struct monitor *m, struct job_value *ret_job) {
    if (keyring_next_name_key(m->keyring) != NULL) /* a job before this one stopped at what is damaged */
        return begin_job(m, ret_job);
    int result = ring_change(m, &(struct ring_change){.intent = INTENT_NAME_KEY});
    return result == VAULT_OK ? begin(m, ret_job) : result;
}

int name_key_begun(struct monitor *m) {
    struct job_value job;
    return begin(m, &job);
}

int name_key_ended(struct monitor *m) {
    move_to_stage(m, NAMING_NONE);
    m->meta.name_key = keyring_name_generation(m->keyring);
    int result = backups_die(m); /* what they hold is found under the key that went */
    return result == VAULT_OK ? ring_follow(m) : result;
}

/* With both keys in the ring: a good copy may still be found. Where a page cannot be read, the transaction is lost with
 * what it says, and the job is given up in the next one. */
static int stop_at_damage(struct monitor *m, struct job_value *j) {
    log_error("rotation: something of a name is damaged, and the name key before is kept");
    m->job_broken = j->number;
    j->failed++;
    return VAULT_NOT_FOUND;
}

static int names_step(struct monitor *m, struct job_value *j) {
    bool moved = false;
    if (m->meta.naming == NAMING_NONE) /* it ended, and that was not recorded */
        return VAULT_NOT_FOUND;
    if (m->meta.naming == NAMING_DONE)
        return space_for_ring(m) ? VAULT_NOT_FOUND : VAULT_AGAIN; /* the key before goes when the ring can be written */
    int result = name_move_next(m, &moved);
    if (result == VAULT_E_DAMAGED)
        return stop_at_damage(m, j);
    if (result == VAULT_NOT_FOUND) {
        move_to_stage(m, (enum naming)(m->meta.naming + 1));
        result = VAULT_OK;
    }
    j->done += moved;
    return result == VAULT_OK ? meta_store(m) : result;
}

static int record_end(struct monitor *m, const struct job_value *j) {
    char detail[120];
    bool stopped = j->failed != 0;
    struct event e = {.name = "key.rotated", .outcome = stopped ? "failed" : "done", .action = 'U', .detail = detail};
    if (!format_string(detail, sizeof(detail), "names to generation %u, %llu names, %llu damaged%s", j->generation,
                       (unsigned long long)j->done, (unsigned long long)j->failed,
                       stopped ? ": stopped there, the key before is kept" : ""))
        return VAULT_E_STATE;
    return journal(m, &e, NULL);
}

static int names_end(struct monitor *m, const struct job_value *j) {
    int result = VAULT_OK;
    if (j->failed == 0 && m->meta.naming == NAMING_DONE) {
        result = ring_change(m, &(struct ring_change){.intent = INTENT_NAME_KEY_DONE});
        if (result == VAULT_OK)
            result = name_key_ended(m);
    }
    return result == VAULT_OK ? record_end(m, j) : result;
}

const struct job_kind job_names = {"names", names_step, names_end};
