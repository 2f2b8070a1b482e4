/* Archive segments: records that leave the index for files of their own. */
#include "vaultctl/commands.h"
#include "vaultctl/files.h"
#include "vaultctl/jobs.h"
#include "vaultctl/request.h"
#include "vault/documents.h"

static const struct column columns[] = {
    {"SEGMENT", "segment"}, {"FIRST", "first"},       {"LAST", "last"}, {"STATE", "state"},
    {"BYTES", "bytes"},     {"ARCHIVED", "archived"}, {"FILE", "file"}, {NULL, NULL},
};

static int fill_body(struct call *c, json_t *body) {
    const char *before = option_text(c, "before"), *to = option_text(c, "to");
    uint64_t number = 0;
    int64_t seconds;
    if ((before == NULL) == (to == NULL))
        return fail(c, OUTCOME_USAGE, "one of --before and --to is needed");
    if (before != NULL && !date_parse(before, &seconds))
        return fail(c, OUTCOME_USAGE, "--before '%s' is no day (YYYY-MM-DD)", before);
    if (to != NULL && (!number_parse(to, INT64_MAX, &number) || number == 0))
        return fail(c, OUTCOME_USAGE, "--to '%s' is no record number", to);
    json_object_set_new(body, before != NULL ? "until" : "to",
                        before != NULL ? json_string(before) : json_integer((json_int_t)number));
    return OUTCOME_DONE;
}

static int tell_end(struct call *c, const json_t *job) {
    if (json_integer_value(json_object_get(job, "failed")) != 0)
        return fail(c, OUTCOME_FAILED,
                    "it stopped, and what is not in the archive is still in the index: the vault's log says why");
    if (job_is(job, "failed"))
        return fail(c, OUTCOME_INTEGRITY, "nobody goes on with it: what it needs of the index is damaged");
    if (!print_json(c, job)) {
        json_t *rows = json_pack("[O]", job);
        print_table(rows, job_columns);
        json_decref(rows);
    }
    return OUTCOME_DONE;
}

static int run_archive(struct call *c) {
    json_t *body = json_object(), *job = NULL;
    struct progress p = progress_of("archiving", "records");
    int outcome = fill_body(c, body);
    if (outcome == OUTCOME_DONE)
        outcome = ask_json(c, "POST", format_text("/v1/audit/archives"), body, &job);
    else
        json_decref(body);
    if (outcome == OUTCOME_DONE && !option_given(c, "no-wait"))
        outcome = job_follow(c, &job, &p);
    if (outcome == OUTCOME_DONE)
        outcome = tell_end(c, job);
    json_decref(job);
    return outcome;
}

static int run_archives(struct call *c) {
    return ask_all_rows(c, format_text("/v1/audit/archives"), "segments", columns);
}

static int run_destroy(struct call *c) {
    static const struct column fields[] = {{"segment", "segment"}, {"state", "state"}, {NULL, NULL}};
    uint64_t number = 0;
    if (!number_parse(c->words[0], UINT32_MAX, &number))
        return fail(c, OUTCOME_USAGE, "'%s' is no number of a segment ('audit archives')", c->words[0]);
    return ask_fields(c, "DELETE", format_text("/v1/audit/archives/%llu", (unsigned long long)number), NULL, fields);
}

static const struct option options[] = {
    {"before", 0, "DAY", "the records of before this day", 0},
    {"to", 0, "N", "the records before number N", 0},
    {"no-wait", 0, NULL, "start it and return", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_audit_archive = {
    .name = "audit archive",
    .area = "Audit",
    .synopsis = "--before DAY | --to N [--no-wait]",
    .summary = "move old records out of the index",
    .help =
        "Moves records from the index to archive segments: files in the folder 'archive' of the vault's state, each\n"
        "sealed by a key of its own. Exports, proofs and reports have them as before, for as long as the files are "
        "there;\n"
        "what proves them stays in the index. Copy the segments with every backup.",
    .example = "  vaultctl audit archive --before 2026-01-01",
    .options = options,
    .run = run_archive,
};

const struct command command_audit_archives = {
    .name = "audit archives",
    .area = "Audit",
    .synopsis = "",
    .summary = "list archive segments",
    .help =
        "Lists the archive segments: which records each holds, and whether its file is there. One that is away can\n"
        "be put back at any time.",
    .example = "  vaultctl audit archives",
    .run = run_archives,
};

const struct command command_audit_destroy = {
    .name = "audit destroy",
    .area = "Audit",
    .synopsis = "SEGMENT",
    .summary = "destroy an archive segment whose time is over",
    .help = "Deletes the key and the file of an archive segment, if all its records are older than 'audit_keep_days' "
            "of the\n"
            "vault's configuration. It waits for a second person. The log goes on to prove all other records, and that "
            "these\n"
            "were there. It is final when 'key rotate index' has ended after it.",
    .example = "  vaultctl audit destroy 1",
    .words = 1,
    .run = run_destroy,
};
