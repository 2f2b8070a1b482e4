/* Patients, by the identifiers that the centre gives them. */
#include "commands.h"
#include "request.h"

static const struct column fields[] = {
    {"subject", "subject"}, {"opted out", "opt_out"},        {"added", "added"}, {"key generation", "generation"},
    {"files", "files"},     {"consent in force", "consent"}, {NULL, NULL},
};
static const struct column columns[] = {
    {"SUBJECT", "subject"}, {"OPTED OUT", "opt_out"}, {"CONSENT", "consent"},
    {"FILES", "files"},     {"ADDED", "added"},       {NULL, NULL},
};

static int run_add(struct call *c) {
    json_t *body = json_pack("{s:s, s:b}", "subject", c->words[0], "opt_out", option_given(c, "opt-out"));
    return ask_fields(c, "POST", format_text("/v1/subjects"), body, fields);
}

static int run_show(struct call *c) {
    return ask_fields(c, "GET", resource("/v1/subjects", c->words[0]), NULL, fields);
}

static int run_change(struct call *c) {
    bool opt_out = option_given(c, "opt-out");
    if (opt_out == option_given(c, "no-opt-out"))
        return fail(c, OUTCOME_USAGE, "one of --opt-out and --no-opt-out is needed");
    json_t *body = json_pack("{s:b}", "opt_out", opt_out);
    return ask_fields(c, "PATCH", resource("/v1/subjects", c->words[0]), body, fields);
}

static int run_list(struct call *c) {
    return ask_all_rows(c, format_text("/v1/subjects"), "subjects", columns);
}

static const struct option add_options[] = {
    {"opt-out", 0, NULL, "the patient is in the national opt-out register", 0},
    {NULL, 0, NULL, NULL, 0},
};
static const struct option change_options[] = {
    {"opt-out", 0, NULL, "the patient opted out: beats any consent", 0},
    {"no-opt-out", 0, NULL, "the patient opts out no longer", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_subject_add = {
    .name = "subject add",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT [--opt-out]",
    .summary = "make a patient known",
    .help =
        "Makes a patient known to the vault and gives them a key. Without a consent, nothing of theirs is readable.",
    .example = "  vaultctl subject add S-0001",
    .options = add_options,
    .words = 1,
    .run = run_add,
};

const struct command command_subject_show = {
    .name = "subject show",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT",
    .summary = "what the vault knows of a patient",
    .help = "Shows a patient's opt-out, number of files and the version of the consent in force.",
    .example = "  vaultctl subject show S-0001",
    .words = 1,
    .run = run_show,
};

const struct command command_subject_list = {
    .name = "subject list",
    .area = "Subjects and consent",
    .synopsis = "",
    .summary = "all patients",
    .help = "Lists the patients that the vault knows.",
    .example = "  vaultctl subject list --json",
    .run = run_list,
};

const struct command command_subject_change = {
    .name = "subject change",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT --opt-out|--no-opt-out",
    .summary = "record or lift a national opt-out",
    .help = "Records or lifts a patient's national opt-out. Returns after the last byte of every read that it ends.",
    .example = "  vaultctl subject change S-0001 --opt-out",
    .options = change_options,
    .words = 1,
    .run = run_change,
};
