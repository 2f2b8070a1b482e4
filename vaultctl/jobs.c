/* Jobs: what rotations and shreds leave to be done, and what a custodian says of it. */
#include "jobs.h"

#include "commands.h"
#include "files.h"
#include "request.h"

const struct column job_columns[] = {
    {"ID", "id"},           {"WHAT", "what"},      {"GENERATION", "generation"}, {"DONE", "done"},
    {"TOTAL", "total"},     {"DAMAGED", "failed"}, {"STATE", "state"},           {"RATE", "rate"},
    {"HELD BY", "held_by"}, {NULL, NULL},
};

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
