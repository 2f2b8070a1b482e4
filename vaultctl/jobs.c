/* Jobs: what rotations and shreds leave to be done, and what a custodian says of it. */
#include "jobs.h"

#include <string.h>
#include <time.h>

#include "commands.h"
#include "files.h"
#include "request.h"

const struct column job_columns[] = {
    {"ID", "id"},           {"WHAT", "what"},      {"GENERATION", "generation"}, {"DONE", "done"},
    {"TOTAL", "total"},     {"DAMAGED", "failed"}, {"STATE", "state"},           {"RATE", "rate"},
    {"HELD BY", "held_by"}, {NULL, NULL},
};

/* The job with this id among those listed now, owned by the caller; OUTCOME_FAILED after a complaint if it is gone. */
static int ask_job(struct call *c, const json_t *id, json_t **ret) {
    json_t *document;
    size_t i;
    json_t *job;
    int outcome = ask_json(c, "GET", format_text("/v1/jobs"), NULL, &document);
    if (outcome != OUTCOME_DONE)
        return outcome;
    *ret = NULL;
    json_array_foreach(json_object_get(document, "jobs"), i, job) {
        if (json_equal(json_object_get(job, "id"), id))
            *ret = json_incref(job);
    }
    json_decref(document);
    return *ret != NULL ? (int)OUTCOME_DONE : fail(c, OUTCOME_FAILED, "the job is not listed any more ('key jobs')");
}

bool job_is(const json_t *job, const char *state) {
    const char *said = json_string_value(json_object_get(job, "state"));
    return said != NULL && strcmp(said, state) == 0;
}

/* It, or one before it, which it waits for, was paused: nobody knows for how long. */
static bool is_held(const json_t *job) {
    return job_is(job, "paused") || json_is_integer(json_object_get(job, "held_by"));
}

int job_follow(struct call *c, json_t **job, struct progress *p) {
    struct timespec pause = {.tv_nsec = 100000000};
    int outcome = OUTCOME_DONE;
    while (outcome == OUTCOME_DONE && (job_is(*job, "running") || job_is(*job, "waiting")) && !is_held(*job)) {
        json_t *latest = NULL;
        (void)nanosleep(&pause, NULL);
        outcome = interrupted ? fail(c, OUTCOME_FAILED, "interrupted; the job goes on ('key jobs')")
                              : ask_job(c, json_object_get(*job, "id"), &latest);
        if (outcome != OUTCOME_DONE)
            break;
        json_decref(*job);
        *job = latest;
        progress_move(p, (uint64_t)json_integer_value(json_object_get(latest, "done")),
                      (uint64_t)json_integer_value(json_object_get(latest, "total")));
    }
    progress_end(p);
    if (outcome == OUTCOME_DONE && is_held(*job))
        return fail(c, OUTCOME_FAILED, "it was begun, and waits: a job is paused ('key jobs', 'key jobs resume')");
    return outcome;
}

static int run_jobs(struct call *c) {
    return ask_rows(c, format_text("/v1/jobs"), "jobs", job_columns);
}

/* The job as it is then. */
static int order(struct call *c, const char *what, json_t *body) {
    uint64_t number = 0;
    json_t *job;
    if (!number_parse(c->words[0], UINT32_MAX, &number)) {
        json_decref(body);
        return fail(c, OUTCOME_USAGE, "'%s' is no number of a job ('key jobs')", c->words[0]);
    }
    int outcome = ask_json(c, "POST", format_text("/v1/jobs/%llu/%s", (unsigned long long)number, what), body, &job);
    if (outcome == OUTCOME_DONE && !print_json(c, job)) {
        json_t *rows = json_pack("[O]", job);
        print_table(rows, job_columns);
        json_decref(rows);
    }
    json_decref(job);
    return outcome;
}

static int run_pause(struct call *c) {
    return order(c, "pause", NULL);
}

static int run_resume(struct call *c) {
    return order(c, "resume", NULL);
}

static int run_rate(struct call *c) {
    uint64_t rate = 0;
    if (!number_parse(c->words[1], UINT32_MAX, &rate))
        return fail(c, OUTCOME_USAGE, "'%s' is no number of entries in a second", c->words[1]);
    return order(c, "rate", json_pack("{s:I}", "rate", (json_int_t)rate));
}

const struct command command_key_jobs = {
    .name = "key jobs",
    .area = "Keys",
    .synopsis = "",
    .summary = "rotations, running and done",
    .help = "Lists the rotations with their progress. They run one after the other: the first is running or paused,\n"
            "those after it are waiting.",
    .example = "  vaultctl key jobs",
    .run = run_jobs,
};

const struct command command_key_jobs_pause = {
    .name = "key jobs pause",
    .area = "Keys",
    .synopsis = "N",
    .summary = "let a job wait",
    .help = "Lets job N wait until 'key jobs resume', over restarts too. Jobs after it wait for it: among them may be\n"
            "the one that makes a shred complete.",
    .example = "  vaultctl key jobs pause 3",
    .words = 1,
    .run = run_pause,
};

const struct command command_key_jobs_resume = {
    .name = "key jobs resume",
    .area = "Keys",
    .synopsis = "N",
    .summary = "let a paused job go on",
    .help = "Lets job N go on where it was.",
    .example = "  vaultctl key jobs resume 3",
    .words = 1,
    .run = run_resume,
};

const struct command command_key_jobs_rate = {
    .name = "key jobs rate",
    .area = "Keys",
    .synopsis = "N ENTRIES_PER_SECOND",
    .summary = "let a job go slowly",
    .help = "Lets job N take so many entries in a second and no more; 0: as fast as it can.",
    .example = "  vaultctl key jobs rate 3 500",
    .words = 2,
    .run = run_rate,
};
