/* What patients permit. */
#include <stdlib.h>

#include "commands.h"
#include "request.h"

/* What a change of consent is answered with. */
static const struct column change[] = {
    {"subject", "subject"}, {"consent version", "version"}, {"accesses ended", "ended"}, {NULL, NULL}};

/* Reads the file here first, so that a mistake in it is shown with its line. */
static int load_consent(struct call *c, const char *path, json_t **ret) {
    char *text = NULL;
    size_t size = 0;
    json_error_t error;
    int outcome = read_document(c, path, &text, &size);
    if (outcome != OUTCOME_DONE)
        return outcome;
    *ret = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (*ret == NULL)
        return fail(c, OUTCOME_USAGE, "'%s' is no JSON document: line %d, column %d: %s", path, error.line,
                    error.column, error.text);
    if (json_is_object(*ret))
        return OUTCOME_DONE;
    json_decref(*ret);
    return fail(c, OUTCOME_USAGE, "'%s' is no consent: not a JSON object", path);
}

static int run_set(struct call *c) {
    json_t *consent;
    int outcome = load_consent(c, c->words[1], &consent);
    if (outcome != OUTCOME_DONE)
        return outcome;
    return ask_fields(c, "PUT", resource("/v1/consents", c->words[0]), consent, change);
}

static int run_withdraw(struct call *c) {
    char *path = resource("/v1/consents", c->words[0]);
    add_query(&path, "purpose", option_text(c, "purpose"));
    return ask_fields(c, "DELETE", path, NULL, change);
}

static int run_show(struct call *c) {
    static const struct column columns[] = {
        {"VERSION", "version"},
        {"STATE", "state"},
        {"RECORDED", "recorded"},
        {"SIGNED", "signed"},
        {"FORM", "form"},
        {"TREATMENT", "permits.treatment"},
        {"RESEARCH", "permits.research"},
        {"DISEASES", "permits.diseases"},
        {"COUNTRIES", "permits.countries"},
        {"ORGANISATIONS", "permits.organisations"},
        {"PROJECTS", "permits.projects"},
        {"SERVICES", "permits.services"},
        {"RESEARCH UNTIL", "permits.research_until"},
        {"FINDINGS", "findings"},
        {"RECONTACT", "recontact"},
        {"EXPIRES", "expires"},
        {"CUSTODY UNTIL", "custody_until"},
        {NULL, NULL},
    };
    char *path = resource("/v1/consents", c->words[0]);
    add_query(&path, "history", option_given(c, "history") ? "1" : NULL);
    return ask_rows(c, path, "consents", columns);
}

static const struct option show_options[] = {
    {"history", 0, NULL, "every version, not only the one in force", 0},
    {NULL, 0, NULL, NULL, 0},
};
static const struct option withdraw_options[] = {
    {"purpose", 0, "P", "only this purpose: treatment or research (all without it)", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_consent_set = {
    .name = "consent set",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT FILE",
    .summary = "record a signed consent",
    .help = "Records the consent document in FILE (JSON, '-' for standard input). It replaces the one in force, and\n"
            "accesses that it no longer permits are ended before this returns.",
    .example = "  vaultctl consent set S-0001 consent.json",
    .words = 2,
    .run = run_set,
};

const struct command command_consent_show = {
    .name = "consent show",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT [--history]",
    .summary = "the consent in force, or all versions",
    .help = "Shows a patient's consent in force; with --history every version that was ever recorded.",
    .example = "  vaultctl consent show S-0001 --history",
    .options = show_options,
    .words = 1,
    .run = run_show,
};

const struct command command_consent_withdraw = {
    .name = "consent withdraw",
    .area = "Subjects and consent",
    .synopsis = "SUBJECT [--purpose P]",
    .summary = "withdraw a consent, in whole or in part",
    .help = "Withdraws a patient's consent. Returns after the last byte of every read that it ends.",
    .example = "  vaultctl consent withdraw S-0001 --purpose research",
    .options = withdraw_options,
    .words = 1,
    .run = run_withdraw,
};
