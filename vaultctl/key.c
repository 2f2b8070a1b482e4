/* Keys and the jobs that renew them. */
#include <string.h>
#include <time.h>

#include "commands.h"
#include "request.h"
#include "share.h"

static const struct column job_columns[] = {
    {"ID", "id"},       {"WHAT", "what"}, {"GENERATION", "generation"}, {"DONE", "done"}, {"TOTAL", "total"},
    {"STATE", "state"}, {NULL, NULL},
};

static int run_list(struct call *c) {
    static const struct column columns[] = {
        {"GENERATION", "generation"}, {"CREATED", "created"}, {"STATE", "state"}, {NULL, NULL}};
    return ask_rows(c, format_text("/v1/keys"), "generations", columns);
}

static int run_jobs(struct call *c) {
    return ask_rows(c, format_text("/v1/jobs"), "jobs", job_columns);
}

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

static bool is_running(const json_t *job) {
    const char *state = json_string_value(json_object_get(job, "state"));
    return state != NULL && strcmp(state, "running") == 0;
}

/* Follows *job to its end, replacing it by its latest form. */
static int wait_for(struct call *c, json_t **job) {
    struct timespec pause = {.tv_nsec = 300000000};
    struct progress p = progress_of("rewrapping", "keys");
    int outcome = OUTCOME_DONE;
    while (outcome == OUTCOME_DONE && is_running(*job)) {
        json_t *latest = NULL;
        (void)nanosleep(&pause, NULL);
        outcome = interrupted ? fail(c, OUTCOME_FAILED, "interrupted; the job goes on ('key jobs')")
                              : ask_job(c, json_object_get(*job, "id"), &latest);
        if (outcome != OUTCOME_DONE)
            break;
        json_decref(*job);
        *job = latest;
        progress_move(&p, (uint64_t)json_integer_value(json_object_get(latest, "done")),
                      (uint64_t)json_integer_value(json_object_get(latest, "total")));
    }
    progress_end(&p);
    return outcome;
}

static int rotate_root(struct call *c) {
    json_t *seal = NULL;
    int outcome = ask_json(c, "POST", format_text("/v1/keys/rotate"), json_pack("{s:s}", "what", "root"), &seal);
    return seal_show(c, outcome, seal);
}

/* It waits for a second person; what that one approves is answered to them. */
static int retire(struct call *c) {
    static const struct column none[] = {{NULL, NULL}};
    json_t *body =
        json_pack("{s:s, s:b, s:b}", "what", "kek", "retire", 1, "without_backup", option_given(c, "without-backup"));
    return ask_fields(c, "POST", format_text("/v1/keys/rotate"), body, none);
}

static int run_rotate(struct call *c) {
    json_t *job;
    const char *what = c->words[0];
    bool root = strcmp(what, "root") == 0;
    bool retires = option_given(c, "retire");
    if (option_given(c, "without-backup") && !retires)
        return fail(c, OUTCOME_USAGE, "--without-backup goes with --retire");
    if (retires && strcmp(what, "kek") != 0)
        return fail(c, OUTCOME_USAGE, "--retire goes with kek, whose generations are retired");
    if (retires)
        return retire(c);
    if (!root && strcmp(what, "kek") != 0 && strcmp(what, "subject") != 0)
        return fail(c, OUTCOME_USAGE, "'%s' cannot be rotated: 'kek', 'root' and 'subject' can", what);
    if (root)
        return rotate_root(c);
    int outcome = ask_json(c, "POST", format_text("/v1/keys/rotate"), json_pack("{s:s}", "what", what), &job);
    if (outcome == OUTCOME_DONE && !option_given(c, "no-wait"))
        outcome = wait_for(c, &job);
    if (outcome == OUTCOME_DONE && !print_json(c, job)) {
        json_t *rows = json_pack("[O]", job);
        print_table(rows, job_columns);
        json_decref(rows);
    }
    json_decref(job);
    return outcome;
}

static const struct option rotate_options[] = {
    {"no-wait", 0, NULL, "start the job and return", 0},
    {"retire", 0, NULL, "forget the generations of kek before the newest one", 0},
    {"without-backup", 0, NULL, "though no verified backup needs the newest one only", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_key_list = {
    .name = "key list",
    .area = "Keys",
    .synopsis = "",
    .summary = "generations of the key-encryption key",
    .help = "Lists the generations of the key-encryption key in the key ring.",
    .example = "  vaultctl key list",
    .run = run_list,
};

const struct command command_key_rotate = {
    .name = "key rotate",
    .area = "Keys",
    .synopsis = "WHAT [--no-wait] [--retire [--without-backup]]",
    .summary = "renew a key",
    .help =
        "Renews a key while the vault serves. WHAT is kek: the key-encryption key gets a new generation and every\n"
        "patient's key is wrapped again. Or subject: every patient gets a new key, and the keys of their files are\n"
        "wrapped again. Both wait for the end and show progress. Or root: the key ring is put under a new root\n"
        "key in the same seal, at once; a token makes a new key for it and destroys the one before.\n"
        "With --retire nothing is rotated: the ring forgets the older generations of kek, under a new root key. It\n"
        "makes shreds final, and every older backup of the index unreadable, and waits for a second person. It needs\n"
        "a backup from after the rotation ('backup').",
    .example = "  vaultctl key rotate kek",
    .options = rotate_options,
    .words = 1,
    .run = run_rotate,
};

const struct command command_key_jobs = {
    .name = "key jobs",
    .area = "Keys",
    .synopsis = "",
    .summary = "rotations, running and done",
    .help = "Lists the rotations with their progress.",
    .example = "  vaultctl key jobs",
    .run = run_jobs,
};
