/* Patients, by the identifiers that the centre gives them. */
#include "commands.h"
#include "request.h"

static const struct column fields[] = {
    {"subject", "subject"}, {"opted out", "opt_out"},        {"added", "added"},       {"key generation", "generation"},
    {"files", "files"},     {"consent in force", "consent"}, {"shredded", "shredded"}, {NULL, NULL},
};
static const struct column columns[] = {
    {"SUBJECT", "subject"}, {"OPTED OUT", "opt_out"}, {"CONSENT", "consent"},
    {"FILES", "files"},     {"ADDED", "added"},       {NULL, NULL},
};

static int run_add(struct call *c) {
    json_t *body = json_pack("{s:s, s:b}", "subject", c->words[0], "opt_out", option_given(c, "opt-out"));
    return ask_fields(c, "POST", format_text("/v1/subjects"), body, fields);
}

static int run_change(struct call *c) {
    bool opt_out = option_given(c, "opt-out");
    if (opt_out == option_given(c, "no-opt-out"))
        return fail(c, OUTCOME_USAGE, "one of --opt-out and --no-opt-out is needed");
    json_t *body = json_pack("{s:b}", "opt_out", opt_out);
    return ask_fields(c, "PATCH", resource("/v1/subjects", c->words[0]), body, fields);
}

static const struct column shred_columns[] = {
    {"SHREDDED", "what"}, {"FILE", "name"}, {"APPROVED", "approved"}, {"STATE", "state"}, {NULL, NULL}};

static int run_show(struct call *c) {
    json_t *document;
    int outcome = ask_json(c, "GET", resource("/v1/subjects", c->words[0]), NULL, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document)) {
        const json_t *shreds = json_object_get(document, "shreds");
        print_fields(document, fields);
        if (json_array_size(shreds) > 0) {
            putchar('\n');
            print_table(shreds, shred_columns);
            puts("Copies that were delivered before, and keys that were given away, are beyond this.");
        }
    }
    json_decref(document);
    return outcome;
}

static int run_shred(struct call *c) {
    return ask_fields(c, "DELETE", resource("/v1/subjects", c->words[0]), NULL, fields);
}

static int run_remove(struct call *c) {
    struct file_name f;
    if (!file_name_parse(c->words[0], &f))
        return fail(c, OUTCOME_USAGE, "'%s' is neither a file id (32 hex digits) nor SUBJECT/NAME", c->words[0]);
    return ask_fields(c, "DELETE", file_path(&f), NULL, fields);
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
        "Makes a patient known to the vault and gives them a key. Without a consent, nothing of theirs is readable.\n"
        "Registers of opt-outs that were taken in before do not count for them: look them up.",
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
    .help = "Shows a patient's opt-out, number of files, the version of the consent in force, and what was shredded.",
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

const struct command command_subject_shred = {
    .name = "subject shred",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT",
    .summary = "delete a patient's key and files, for good",
    .help =
        "Asks for a patient's key to be deleted and the files to be removed. Another person must approve it "
        "('pending').\n"
        "It is final when the generation of the key-encryption key that wrapped the key is retired: 'subject show'\n"
        "says so. The consents and the audit stay.",
    .example = "  vaultctl subject shred S-0001",
    .words = 1,
    .run = run_shred,
};

const struct command command_remove = {
    .name = "remove",
    .area = "Files",
    .synopsis = "FILE",
    .summary = "shred one file, for good",
    .help =
        "Asks for one file to be shredded: it is removed, and the patient's other files get under a new key of the\n"
        "patient. Another person must approve it ('pending'). 'subject show' says how final it is.\n"
        "FILE is a file id or SUBJECT/NAME.",
    .example = "  vaultctl remove S-0001/tumour.cram",
    .words = 1,
    .run = run_remove,
};
