#include "jobs.h"

#include <limits.h>
#include <string.h>

#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/table.h"
#include "vault/log.h"
#include "vault/result.h"

/* How long a slice takes; how long one waits at the most in favour of requests; how long a job that has nothing to do
 * just now; and what a job with a rate may make up for at once. */
enum { SLICE_MS = 4, PATIENCE_MS = 25, IDLE_MS = 1000, BURST_US = 100000 };

static const struct job_kind *const kinds[] = {&job_kek, &job_turn, &job_shred, &job_index, &job_names, &job_archive};

static const struct job_kind *kind_of(const struct job_value *j) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i]->what, j->what) == 0)
            return kinds[i];
    return NULL;
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

/* The paused job that this one waits for, or 0. */
static uint32_t held_by(struct monitor *m, const struct job_value *j) {
    struct job_value first;
    uint32_t number = m->meta.jobs_ended + 1;
    return number < j->number && j->number != m->meta.aside && job_load(m, number, &first) == VAULT_OK &&
                   first.paused != 0
               ? number
               : 0;
}

static const char *state_of(const struct monitor *m, const struct job_value *j) {
    bool passed = j->number <= m->meta.jobs_ended && j->number != m->meta.aside;
    return j->ended != 0                         ? "done"
           : passed                              ? "failed"
           : j->paused != 0                      ? "paused"
           : j->number == m->meta.jobs_ended + 1 ? "running"
           : j->number == m->meta.aside          ? "running"
                                                 : "waiting";
}

json_t *job_json(struct monitor *m, const struct job_value *j) {
    uint32_t held = j->ended != 0 ? 0 : held_by(m, j);
    return json_pack("{s:i, s:s, s:i, s:I, s:I, s:I, s:s, s:I, s:o}", "id", (int)j->number, "what", j->what,
                     "generation", (int)j->generation, "done", (json_int_t)j->done, "failed", (json_int_t)j->failed,
                     "total", (json_int_t)j->total, "state", state_of(m, j), "rate", (json_int_t)j->rate, "held_by",
                     held == 0 ? json_null() : json_integer((json_int_t)held));
}

/* The last ones, and after them the one that runs beside them for longer. */
static uint32_t next_shown(const struct monitor *m, uint32_t n) {
    enum { SHOWN = 50 };
    bool listed = n > 1 && m->meta.jobs - (n - 1) < SHOWN;
    return listed ? n - 1 : m->meta.aside < n ? m->meta.aside : 0;
}

int answer_key_jobs(struct request *q) {
    struct job_value j;
    json_t *jobs = json_array();
    for (uint32_t n = q->monitor->meta.jobs; n > 0; n = next_shown(q->monitor, n)) {
        int result = job_load(q->monitor, n, &j);
        if (result == VAULT_E_DAMAGED)
            continue; /* it only tells */
        if (result != VAULT_OK) {
            json_decref(jobs);
            return result;
        }
        json_array_append_new(jobs, job_json(q->monitor, &j));
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

int job_failed(struct monitor *m, uint32_t number, const char *why) {
    struct event e = {.name = "job.failed", .outcome = "failed", .action = 'U', .detail = why};
    log_error("job: nobody goes on with it job=%u why=\"%s\"", number, why);
    int result = meta_store(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

int job_wait(uint64_t due) {
    uint64_t now = loop_now_ms();
    return due <= now ? 0 : due - now < INT_MAX ? (int)(due - now) : INT_MAX;
}

/* The next ones must not wait for it. */
static int give_up(struct monitor *m, const char *why) {
    m->meta.jobs_ended++;
    return job_failed(m, m->meta.jobs_ended, why);
}

/* Whether a job with a rate may take an entry now, and how many; else it waits until one is due. */
static bool may_go_on(struct monitor *m, const struct job_value *j) {
    uint64_t now = loop_now_ms() * 1000;
    m->job_room = UINT64_MAX;
    if (j->rate == 0)
        return true;
    if (m->job_due + BURST_US < now)
        m->job_due = now - BURST_US;
    if (m->job_due > now) {
        m->job_again = (m->job_due + 999) / 1000;
        return false;
    }
    m->job_room = 1 + (now - m->job_due) * j->rate / 1000000;
    return true;
}

/* One step, and when the next may be. */
static int paced_step(struct monitor *m, const struct job_kind *kind, struct job_value *j) {
    uint64_t before = j->done;
    int result = kind->step(m, j);
    uint64_t taken = j->done > before ? j->done - before : 1;
    if (j->rate != 0)
        m->job_due += taken * 1000000 / j->rate;
    return result;
}

/* Its end is recorded before it counts as ended: a change of the ring on the way is a transaction of its own, after
 * which a death must find the job again. */
static int end(struct monitor *m, const struct job_kind *kind, struct job_value *j) {
    int result = job_store(m, j);
    if (result == VAULT_OK)
        result = kind->end(m, j);
    if (result != VAULT_OK)
        return result;
    j->ended = 1;
    m->meta.jobs_ended++;
    result = meta_store(m);
    return result == VAULT_OK ? job_store(m, j) : result;
}

/* Steps for as long as others may have to wait: one slice is one transaction, whose commit costs as much. */
static int run_slice(struct monitor *m, const struct job_kind *kind, struct job_value *j) {
    uint64_t until = loop_now_ms() + SLICE_MS;
    struct job_value before = *j;
    int result = VAULT_OK;
    while (result == VAULT_OK && loop_now_ms() < until && may_go_on(m, j))
        result = paced_step(m, kind, j);
    if (result == VAULT_NOT_FOUND)
        return end(m, kind, j);
    if (result == VAULT_AGAIN) {
        m->job_again = loop_now_ms() + IDLE_MS;
        result = VAULT_OK;
    }
    return result == VAULT_OK && memcmp(&before, j, sizeof(before)) != 0 ? job_store(m, j) : result;
}

/* Answers are ready, and would wait for a slice and its share of the commit. */
static bool gives_way(const struct monitor *m) {
    return m->replies != NULL && loop_now_ms() - m->job_ran < PATIENCE_MS;
}

/* The next one runs beside the others, or did: they go on behind it. */
static int pass(struct monitor *m) {
    m->meta.jobs_ended++;
    return meta_store(m);
}

static bool has_job(const struct monitor *m) {
    return m->seal == SEAL_UNSEALED && m->meta.jobs_ended != m->meta.jobs && m->space.state == SPACE_ENOUGH;
}

/* While somebody reads, a job leaves the processor to others for as long as it had it. */
void jobs_rest(struct monitor *m) {
    if (m->job_took != 0 && m->job_again == 0 && m->grants != NULL)
        m->job_again = loop_now_ms() + 1 + m->job_took;
    m->job_took = 0;
}

void jobs_wake(struct monitor *m) {
    m->job_again = m->job_due = m->job_took = 0;
}

int jobs_tick(const struct monitor *m) {
    if (!has_job(m) || m->job_again == 0 || m->job_again == UINT64_MAX)
        return -1; /* one that is due now goes on by itself, and is not asked for again where it failed */
    return job_wait(m->job_again);
}

/* What there is to do of the first job. */
static int run_first(struct monitor *m) {
    struct job_value j;
    const struct job_kind *kind = NULL;
    uint32_t number = m->meta.jobs_ended + 1;
    int result = job_load(m, number, &j);
    if (result == VAULT_OK && j.ended != 0) /* it ran beside the others, and has ended before they came to it */
        return pass(m);
    if (m->job_broken == number && result != VAULT_E_IO)
        return give_up(m, "the index cannot be read where it goes on");
    if (result == VAULT_OK)
        kind = kind_of(&j);
    if (kind == NULL && (result == VAULT_OK || result == VAULT_E_DAMAGED)) /* one of no kind is as good as damaged */
        return give_up(m, "the job's entry is damaged");
    if (result == VAULT_OK && j.paused != 0) {
        m->job_again = UINT64_MAX;
        return VAULT_OK;
    }
    if (result == VAULT_OK)
        result = run_slice(m, kind, &j);
    if (result == VAULT_E_DAMAGED) /* a transaction that met such a page commits nothing: told in the next one */
        m->job_broken = number;
    return result;
}

int jobs_step(struct monitor *m, bool *ret_more) {
    *ret_more = false;
    if (!has_job(m) || loop_now_ms() < m->job_again)
        return VAULT_OK;
    m->job_again = 0;
    *ret_more = true;
    if (gives_way(m))
        return VAULT_OK;
    uint64_t begun = loop_now_ms();
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = m->meta.jobs_ended + 1 == m->meta.aside ? pass(m) : run_first(m);
    m->job_ran = loop_now_ms();
    m->job_took += m->job_ran - begun;
    m->job_slices++;
    *ret_more = result == VAULT_OK && m->job_again == 0 && m->meta.jobs_ended < m->meta.jobs;
    return result;
}
