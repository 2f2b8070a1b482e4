#include "jobs.h"

#include <string.h>

#include "vault/log.h"
#include "vault/result.h"

/* How long a slice takes, and how long one waits at the most in favour of requests. */
enum { SLICE_MS = 4, PATIENCE_MS = 25 };

static const struct job_kind *const kinds[] = {&job_kek, &job_turn, &job_shred};

static const struct job_kind *kind_of(const struct job_value *j) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i]->what, j->what) == 0)
            return kinds[i];
    return NULL;
}

json_t *job_json(const struct job_value *j) {
    return json_pack("{s:i, s:s, s:i, s:I, s:I, s:s}", "id", (int)j->number, "what", j->what, "generation",
                     (int)j->generation, "done", (json_int_t)j->done, "total", (json_int_t)j->total, "state",
                     j->ended != 0 ? "done" : "running");
}

int job_load(struct monitor *m, uint32_t number, struct job_value *ret) {
    uint8_t key[4];
    put_be32(key, number);
    int result = index_get_record(m->index, DB_JOBS, key, sizeof(key), &layout_job_value, ret);
    return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
}

int job_store(struct monitor *m, const struct job_value *j) {
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
        if (result == VAULT_E_DAMAGED)
            continue; /* it only tells */
        if (result != VAULT_OK) {
            json_decref(jobs);
            return result;
        }
        json_array_append_new(jobs, job_json(&j));
    }
    answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, NULL, json_pack("{s:o}", "jobs", jobs));
    return VAULT_OK;
}

int job_begin(struct monitor *m, const char *what, struct job_value *j) {
    j->number = ++m->meta.jobs;
    copy_string(j->what, sizeof(j->what), what);
    int result = meta_store(m);
    return result == VAULT_OK ? job_store(m, j) : result;
}

int job_is_open(struct monitor *m, const struct job_kind *kind, bool *ret) {
    struct job_value j;
    *ret = false;
    for (uint32_t n = m->meta.jobs; n > m->meta.jobs_ended && !*ret; n--) {
        int result = job_load(m, n, &j);
        if (result == VAULT_E_DAMAGED)
            continue; /* nobody goes on with it */
        if (result != VAULT_OK)
            return result;
        *ret = strcmp(j.what, kind->what) == 0;
    }
    return VAULT_OK;
}

uint32_t jobs_open(const struct monitor *m) {
    bool passed = m->meta.aside != 0 && m->meta.aside <= m->meta.jobs_ended;
    return m->meta.jobs - m->meta.jobs_ended + (passed ? 1 : 0);
}

/* What it was to do is not known: the next ones must not wait for it. */
static int give_up(struct monitor *m) {
    struct event e = {.name = "job.failed", .outcome = "failed", .action = 'U', .detail = "the job's entry is damaged"};
    log_error("job: its entry is damaged, and nobody goes on with it job=%u", m->meta.jobs_ended + 1);
    m->meta.jobs_ended++;
    int result = meta_store(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* Steps for as long as others may have to wait: one slice is one transaction, whose commit costs as much. */
static int run_slice(struct monitor *m, const struct job_kind *kind, struct job_value *j) {
    uint64_t until = loop_now_ms() + SLICE_MS;
    int result = VAULT_OK;
    while (result == VAULT_OK && loop_now_ms() < until)
        result = kind->step(m, j);
    if (result == VAULT_NOT_FOUND) {
        j->ended = 1;
        m->meta.jobs_ended++;
        result = kind->end(m, j);
        if (result == VAULT_OK)
            result = meta_store(m);
    }
    return result == VAULT_OK ? job_store(m, j) : result;
}

/* Answers are ready, and would wait for a slice and its share of the commit. */
static bool gives_way(const struct monitor *m) {
    return m->replies != NULL && loop_now_ms() - m->job_ran < PATIENCE_MS;
}

/* The next one runs beside the others: they go on behind it. */
static int pass_aside(struct monitor *m) {
    int result = batch_begin(m);
    m->meta.jobs_ended++;
    return result == VAULT_OK ? meta_store(m) : result;
}

int jobs_step(struct monitor *m, bool *ret_more) {
    struct job_value j;
    const struct job_kind *kind = NULL;
    *ret_more = false;
    if (m->seal != SEAL_UNSEALED || m->meta.jobs_ended == m->meta.jobs || m->space.state != SPACE_ENOUGH)
        return VAULT_OK;
    if (m->meta.jobs_ended + 1 == m->meta.aside)
        return pass_aside(m);
    *ret_more = true;
    if (gives_way(m))
        return VAULT_OK;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = job_load(m, m->meta.jobs_ended + 1, &j);
    if (result == VAULT_OK)
        kind = kind_of(&j);
    if (kind != NULL)
        result = run_slice(m, kind, &j);
    else if (result == VAULT_OK || result == VAULT_E_DAMAGED) /* one of no kind is as good as damaged */
        result = give_up(m);
    m->job_ran = loop_now_ms();
    m->job_slices++;
    *ret_more = result == VAULT_OK && m->meta.jobs_ended < m->meta.jobs;
    return result;
}
