/* Glass that was broken in an emergency: what waits for an auditor, and what the auditor found. */
#include "commands.h"
#include "request.h"

static const struct column columns[] = {
    {"RECORD", "record"},   {"STATE", "state"}, {"OPENED", "opened"}, {"SERVICE", "service"},
    {"SUBJECT", "subject"}, {"FILE", "file"},   {"REASON", "reason"}, {"CLOSED BY", "closed_by"},
    {"NOTE", "note"},       {NULL, NULL},
};

static const struct column fields[] = {
    {"record", "record"}, {"service", "service"},     {"subject", "subject"}, {"reason", "reason"}, {"state", "state"},
    {"closed", "closed"}, {"closed by", "closed_by"}, {"note", "note"},       {NULL, NULL},
};

static int run_list(struct call *c) {
    return ask_all_rows(c, format_text("/v1/reviews"), "reviews", columns);
}

static int run_close(struct call *c) {
    uint64_t record = 0;
    json_t *document;
    if (!number_parse(c->words[0], INT64_MAX, &record))
        return fail(c, OUTCOME_USAGE, "'%s' is no number of a record ('review list')", c->words[0]);
    int outcome = ask_json(c, "POST", format_text("/v1/reviews/%llu/close", (unsigned long long)record),
                           json_pack("{s:s}", "note", option_text(c, "note")), &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_fields(document, fields);
    json_decref(document);
    return outcome;
}

static const struct option close_options[] = {
    {"note", 0, "TEXT", "what was found", OPTION_REQUIRED},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_review_list = {
    .name = "review list",
    .area = "Audit",
    .synopsis = "",
    .summary = "emergencies in which glass was broken",
    .help = "Lists each access to a patient's files that was made as an emergency ('break-glass' in the purpose), "
            "whether an\n"
            "auditor has looked at it, and what was found.",
    .example = "  vaultctl review list",
    .run = run_list,
};

const struct command command_review_close = {
    .name = "review close",
    .area = "Audit",
    .synopsis = "RECORD --note TEXT",
    .summary = "say what was found of an emergency",
    .help = "Closes the review of an emergency: record RECORD of the audit. The note is recorded. Who broke the glass "
            "does not\n"
            "close its review.",
    .example = "  vaultctl review close 4711 --note 'unconscious on arrival, the ward confirms it'",
    .words = 1,
    .options = close_options,
    .run = run_close,
};
