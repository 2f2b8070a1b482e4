/* Which services have a patient in their care: what a policy for treatment may ask for. */
#include <stdlib.h>

#include "commands.h"
#include "request.h"

static const struct column fields[] = {
    {"subject", "subject"}, {"service", "service"}, {"since", "since"}, {"until", "until"}, {NULL, NULL}};
static const struct column change[] = {
    {"subject", "subject"}, {"service", "service"}, {"accesses ended", "ended"}, {NULL, NULL}};
static const struct column columns[] = {{"SERVICE", "service"}, {"SINCE", "since"}, {"UNTIL", "until"}, {NULL, NULL}};

/* The relation's own path. */
static char *relation(const struct call *c) {
    char *subject = resource("/v1/subjects", c->words[0]);
    char *base = format_text("%s/care", subject);
    char *path = resource(base, option_text(c, "service"));
    free(subject);
    free(base);
    return path;
}

static int run_add(struct call *c) {
    json_t *body = json_pack("{s:s*}", "until", option_text(c, "until"));
    return ask_fields(c, "PUT", relation(c), body, fields);
}

static int run_end(struct call *c) {
    return ask_fields(c, "DELETE", relation(c), NULL, change);
}

static int run_list(struct call *c) {
    char *subject = resource("/v1/subjects", c->words[0]);
    char *path = format_text("%s/care", subject);
    free(subject);
    return ask_rows(c, path, "care", columns);
}

static const struct option add_options[] = {
    {"service", 0, "S", "the service that has the patient in its care", OPTION_REQUIRED},
    {"until", 0, "DATE", "first day on which it has not any more, YYYY-MM-DD (without it: until 'care end')", 0},
    {NULL, 0, NULL, NULL, 0},
};
static const struct option end_options[] = {
    {"service", 0, "S", "the service that has the patient in its care no longer", OPTION_REQUIRED},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_care_add = {
    .name = "care add",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT --service S [--until DATE]",
    .summary = "a service has a patient in its care",
    .help = "States that a service has a patient in its care, for a time or until that is ended. A policy may permit\n"
            "treatment only then ('care-relation'). Stated again, the new end counts.",
    .example = "  vaultctl care add S-0001 --service clinic --until 2027-06-01",
    .options = add_options,
    .words = 1,
    .run = run_add,
};

const struct command command_care_end = {
    .name = "care end",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT --service S",
    .summary = "a service has a patient in its care no longer",
    .help = "Ends it at once. Reads that are no longer permitted are ended before this returns.",
    .example = "  vaultctl care end S-0001 --service clinic",
    .options = end_options,
    .words = 1,
    .run = run_end,
};

const struct command command_care_list = {
    .name = "care list",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT",
    .summary = "in whose care a patient is",
    .help = "Lists the services that have a patient in their care now.",
    .example = "  vaultctl care list S-0001",
    .words = 1,
    .run = run_list,
};
