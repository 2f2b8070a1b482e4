/* Copies of the index: made, and those that there are. */
#include <string.h>
#include <time.h>

#include "commands.h"
#include "request.h"

static const struct column columns[] = {
    {"NAME", "name"},       {"MADE", "made"},         {"RECORDS", "records"},
    {"OBJECTS", "objects"}, {"NEEDS FROM", "oldest"}, {"NEEDS TO", "newest"},
    {"BYTES", "bytes"},     {"STATE", "state"},       {NULL, NULL},
};
static const struct column fields[] = {{"name", "name"}, {"state", "state"}, {"started", "started"}, {NULL, NULL}};

static bool is_in_state(const json_t *document, const char *state) {
    const char *found = json_string_value(json_object_get(document, "state"));
    return found != NULL && strcmp(found, state) == 0;
}

/* Follows the backup to its end, replacing *last by its latest form. */
static int wait_for(struct call *c, json_t **last) {
    struct timespec pause = {.tv_nsec = 200000000};
    int outcome = OUTCOME_DONE;
    while (outcome == OUTCOME_DONE && is_in_state(*last, "running")) {
        json_t *list = NULL;
        (void)nanosleep(&pause, NULL);
        outcome = interrupted ? fail(c, OUTCOME_FAILED, "interrupted; the backup goes on ('backup --list')")
                              : ask_json(c, "GET", format_text("/v1/backups"), NULL, &list);
        if (outcome != OUTCOME_DONE)
            break;
        json_decref(*last);
        *last = json_incref(json_object_get(list, "last"));
        json_decref(list);
    }
    return outcome;
}

static int tell(struct call *c, const json_t *last) {
    const char *problem = json_string_value(json_object_get(last, "problem"));
    const char *rule = json_string_value(json_object_get(last, "rule"));
    if (is_in_state(last, "done") || is_in_state(last, "running")) {
        if (!print_json(c, last))
            print_fields(last, fields);
        return OUTCOME_DONE;
    }
    if (problem == NULL)
        return fail(c, OUTCOME_FAILED, "the vault knows nothing of the backup any more: it was started anew");
    bool damaged = rule != NULL && strcmp(rule, "backup-damaged") == 0;
    bool misnamed = rule != NULL && strcmp(rule, "backup-name") == 0;
    return fail(c,
                damaged    ? OUTCOME_INTEGRITY
                : misnamed ? OUTCOME_USAGE
                           : OUTCOME_FAILED,
                "%s [%s]", problem, rule != NULL ? rule : "");
}

static int run(struct call *c) {
    json_t *last = NULL;
    if (option_given(c, "list"))
        return ask_rows(c, format_text("/v1/backups"), "backups", columns);
    int outcome = ask_json(c, "POST", format_text("/v1/backups"), json_pack("{s:s}", "name", c->words[0]), &last);
    if (outcome == OUTCOME_DONE && !option_given(c, "no-wait"))
        outcome = wait_for(c, &last);
    if (outcome == OUTCOME_DONE)
        outcome = tell(c, last);
    json_decref(last);
    return outcome;
}

static const struct option options[] = {
    {"no-wait", 0, NULL, "start it and return", 0},
    {"list", 0, NULL, "the backups that were made", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_backup = {
    .name = "backup",
    .area = "Care",
    .synopsis = "NAME [--no-wait] | --list",
    .summary = "make a verified copy of the index",
    .help =
        "Has a process of its own copy the index, while the vault serves, into the folder NAME of the directory that\n"
        "vaultd is configured with, and verify it: every entry is there and opens. The folder's file 'objects' says\n"
        "what to copy from the object directory; the key ring is not in it. 6: the index is damaged, and nothing was\n"
        "kept. With --list the backups that were made; a dead one needs a generation that was retired.",
    .example = "  vaultctl backup 2026-11-26\n"
               "  vaultctl backup --list",
    .options = options,
    .words = 1,
    .instead = "list",
    .run = run,
};
