/* What custodians say of a job under way: that it pauses, goes on, or takes so many entries in a second. */
#include "jobs.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/table.h"
#include "vault/result.h"

enum { RATE_MAX = 1000000 };

/* The job that is meant, if it has not ended. VAULT_DENIED: it was answered that there is no such job. */
static int find_job(struct request *q, const char *event, uint32_t number, struct job_value *ret) {
    struct monitor *m = q->monitor;
    bool exists = number != 0 && number <= m->meta.jobs;
    bool passed = number <= m->meta.jobs_ended && number != m->meta.aside;
    int result = exists ? job_load(m, number, ret) : VAULT_OK;
    if (exists && !passed && (result != VAULT_OK || ret->ended == 0))
        return result;
    result = exists ? refuse(q, event, NULL, 409, "job-ended", "The job has ended.")
                    : refuse(q, event, NULL, 404, "no-such-job", "There is no job of this number.");
    return result == VAULT_OK ? VAULT_DENIED : result;
}

/* Stores what was ordered, and records it. */
static int order(struct request *q, const char *event, const struct job_value *j) {
    struct monitor *m = q->monitor;
    char detail[80];
    if (!format_string(detail, sizeof(detail), "job %u, %s, %u %s in a second", j->number, j->what, j->rate,
                       j->number == m->meta.aside ? "MiB" : "entries"))
        return VAULT_E_STATE;
    jobs_wake(m);
    m->rekeying.due = 0;
    int result = job_store(m, j);
    return result == VAULT_OK ? administer(q, event, NULL, 'U', detail, 200, job_json(m, j)) : result;
}

static int set_paused(struct request *q, const char *event, uint32_t number, bool paused) {
    struct job_value j;
    int result = find_job(q, event, number, &j);
    if (result != VAULT_OK)
        return result == VAULT_DENIED ? VAULT_OK : result;
    j.paused = paused;
    return order(q, event, &j);
}

int answer_job_pause(struct request *q) {
    return set_paused(q, "job.pause", q->message->job_pause.number, true);
}

int answer_job_resume(struct request *q) {
    return set_paused(q, "job.resume", q->message->job_resume.number, false);
}

int answer_job_rate(struct request *q) {
    const struct msg_job_rate *r = &q->message->job_rate;
    struct job_value j;
    if (r->rate > RATE_MAX)
        return refuse(q, "job.rate", NULL, 400, "malformed", "`rate` must be 0 (no limit) to 1000000 in a second.");
    int result = find_job(q, "job.rate", r->number, &j);
    if (result != VAULT_OK)
        return result == VAULT_DENIED ? VAULT_OK : result;
    j.rate = r->rate;
    return order(q, "job.rate", &j);
}
