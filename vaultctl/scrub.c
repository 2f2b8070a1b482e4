/* Whether what is stored is whole: asked of the vault, or looked at without any key. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "request.h"
#include "scrub_objects.h"
#include "progress.h"

static const struct column columns[] = {
    {"State", "state"},
    {"Objects checked", "objects.done"},
    {"Objects damaged", "objects.damaged"},
    {"Objects missing", "objects.missing"},
    {"Index", "index.state"},
    {NULL, NULL},
};

static int64_t number_at(const json_t *document, const char *path) {
    return json_integer_value(member_at(document, path));
}

static bool is_in_state(const json_t *document, const char *path, const char *state) {
    const char *found = json_string_value(member_at(document, path));
    return found != NULL && strcmp(found, state) == 0;
}

/* Follows the scrub to its end, replacing *scrub by its latest form. */
static int wait_for(struct call *c, json_t **scrub) {
    struct timespec pause = {.tv_nsec = 200000000};
    struct progress p = progress_of("checking", "objects");
    int outcome = OUTCOME_DONE;
    while (outcome == OUTCOME_DONE && is_in_state(*scrub, "state", "running")) {
        (void)nanosleep(&pause, NULL);
        json_decref(*scrub);
        *scrub = NULL;
        outcome = interrupted ? fail(c, OUTCOME_FAILED, "interrupted; the scrub goes on")
                              : ask_json(c, "GET", format_text("/v1/scrub"), NULL, scrub);
        progress_move(&p, (uint64_t)number_at(*scrub, "objects.done"), (uint64_t)number_at(*scrub, "objects.total"));
    }
    progress_end(&p);
    return outcome;
}

static int run_with_keys(struct call *c) {
    json_t *scrub = NULL;
    if (option_given(c, "objects"))
        return fail(c, OUTCOME_USAGE, "'--objects' goes with '--without-keys'");
    int outcome = ask_json(c, "POST", format_text("/v1/scrub"), NULL, &scrub);
    if (outcome == OUTCOME_DONE && !option_given(c, "no-wait"))
        outcome = wait_for(c, &scrub);
    if (outcome == OUTCOME_DONE && !print_json(c, scrub))
        print_fields(scrub, columns);
    bool whole = number_at(scrub, "objects.damaged") + number_at(scrub, "objects.missing") == 0 &&
                 !is_in_state(scrub, "index.state", "damaged");
    json_decref(scrub);
    return outcome == OUTCOME_DONE && !whole ? (int)OUTCOME_INTEGRITY : outcome;
}

static int run_without_keys(struct call *c) {
    json_t *found = NULL;
    const char *folder = option_text(c, "objects");
    if (folder == NULL)
        folder = getenv("VAULT_OBJECTS");
    if (folder == NULL || option_given(c, "no-wait"))
        return fail(c, OUTCOME_USAGE,
                    "'--without-keys' needs '--objects' or VAULT_OBJECTS, and does not take '--no-wait'");
    int outcome = scrub_objects(c, folder, &found);
    bool told = outcome == OUTCOME_DONE || outcome == OUTCOME_INTEGRITY;
    if (told && !print_json(c, found)) {
        static const struct column shown[] = {
            {"Objects", "objects"}, {"Damaged", "damaged"}, {"No objects", "foreign"}, {NULL, NULL}};
        print_fields(found, shown);
    }
    json_decref(found);
    return outcome;
}

static int run(struct call *c) {
    return option_given(c, "without-keys") ? run_without_keys(c) : run_with_keys(c);
}

static const struct option options[] = {
    {"no-wait", 0, NULL, "start it and return", 0},
    {"without-keys", 0, NULL, "look at the object directory only; needs no vault", 0},
    {"objects", 0, "DIR", "the object directory; $VAULT_OBJECTS if not given", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_scrub = {
    .name = "scrub",
    .area = "Care",
    .synopsis = "[--no-wait | --without-keys [--objects DIR]]",
    .summary = "check everything that is stored for damage",
    .help =
        "Has the vault compare its index with the index's tally, and every object with its address, while it serves.\n"
        "What is damaged is in the audit, with the file and the subject that it is of. With --without-keys it reads\n"
        "the object directory itself, and needs neither vault nor key. 0: all is whole; 6: something is not.",
    .example = "  vaultctl scrub\n"
               "  vaultctl scrub --without-keys --objects /srv/vault/objects",
    .options = options,
    .run = run,
};
