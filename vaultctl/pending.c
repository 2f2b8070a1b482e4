/* Four eyes: what waits for a second person, and what that one says. */
#include "commands.h"
#include "request.h"

static const struct column columns[] = {
    {"PENDING", "pending"},   {"WHAT", "what"},   {"SUBJECT", "subject"}, {"DETAIL", "detail"},
    {"ASKED BY", "asked_by"}, {"ASKED", "asked"}, {"EXPIRES", "expires"}, {NULL, NULL},
};

/* Of whatever was approved: the fields that its answer has. */
static const struct column fields[] = {
    {"pending", "pending"},
    {"what", "what"},
    {"asked by", "asked_by"},
    {"approved by", "approved_by"},
    {"name", "name"},
    {"subject", "subject"},
    {"SAN URI", "san"},
    {"roles", "roles"},
    {"version", "version"},
    {"hash", "hash"},
    {"approved", "approved"},
    {"final", "final"},
    {"state", "state"},
    {"escrow", "escrow"},
    {"still held by escrow", "escrows"},
    {"dead backups", "dead_backups"},
    {NULL, NULL},
};

static int run_list(struct call *c) {
    return ask_rows(c, format_text("/v1/pending"), "pending", columns);
}

static int decide(struct call *c, const char *decision) {
    uint64_t number = 0;
    json_t *document;
    if (!number_parse(c->words[0], UINT32_MAX, &number))
        return fail(c, OUTCOME_USAGE, "'%s' is no number of a request ('pending list')", c->words[0]);
    int outcome =
        ask_json(c, "POST", format_text("/v1/pending/%llu/%s", (unsigned long long)number, decision), NULL, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_told_fields(document, fields);
    json_decref(document);
    return outcome;
}

static int run_approve(struct call *c) {
    return decide(c, "approve");
}

static int run_refuse(struct call *c) {
    return decide(c, "refuse");
}

const struct command command_pending_list = {
    .name = "pending list",
    .area = "Four eyes",
    .synopsis = "",
    .summary = "requests that wait for a second person",
    .help = "Lists what was asked for and takes effect only when another person approves it: shredding, policies,\n"
            "new administrators, retired keys.",
    .example = "  vaultctl pending list",
    .run = run_list,
};

const struct command command_pending_approve = {
    .name = "pending approve",
    .area = "Four eyes",
    .synopsis = "ID",
    .summary = "approve a request of somebody else",
    .help =
        "Approves a request, which then takes effect. Nobody approves their own, everybody on the vault's own host\n"
        "counts as one, and who approves was known to the vault before the request was made.",
    .example = "  vaultctl pending approve 7 --cert operator2.pem --key operator2.key --url https://vault.example",
    .words = 1,
    .run = run_approve,
};

const struct command command_pending_refuse = {
    .name = "pending refuse",
    .area = "Four eyes",
    .synopsis = "ID",
    .summary = "refuse a request, or take back one's own",
    .help = "Refuses a request, which is then gone. Who asked for it may take it back so.",
    .example = "  vaultctl pending refuse 7",
    .words = 1,
    .run = run_refuse,
};
