/* Approvals of ethics committees, each for one project. */
#include "commands.h"
#include "request.h"

static const struct column fields[] = {
    {"name", "name"},         {"project", "project"}, {"datasets", "datasets"},
    {"diseases", "diseases"}, {"uses", "uses"},       {"non-commercial", "non_commercial"},
    {"from", "from"},         {"until", "until"},     {"added", "added"},
    {"revoked", "revoked"},   {NULL, NULL},
};
static const struct column columns[] = {
    {"NAME", "name"}, {"PROJECT", "project"}, {"DATASETS", "datasets"}, {"DISEASES", "diseases"}, {"USES", "uses"},
    {"FROM", "from"}, {"UNTIL", "until"},     {"ADDED", "added"},       {"REVOKED", "revoked"},   {NULL, NULL},
};

static int run_add(struct call *c) {
    json_t *body = json_pack("{s:s, s:s, s:s*, s:s*}", "name", c->words[0], "project", option_text(c, "project"),
                             "from", option_text(c, "from"), "until", option_text(c, "until"));
    if (option_given(c, "dataset"))
        json_object_set_new(body, "datasets", option_list(c, "dataset"));
    if (option_given(c, "disease"))
        json_object_set_new(body, "diseases", option_list(c, "disease"));
    if (option_given(c, "use"))
        json_object_set_new(body, "uses", option_list(c, "use"));
    if (option_given(c, "non-commercial"))
        json_object_set_new(body, "non_commercial", json_true());
    return ask_fields(c, "POST", format_text("/v1/ethics"), body, fields);
}

static int run_revoke(struct call *c) {
    return ask_fields(c, "DELETE", resource("/v1/ethics", c->words[0]), NULL, fields);
}

static int run_list(struct call *c) {
    return ask_all_rows(c, format_text("/v1/ethics"), "approvals", columns);
}

static const struct option add_options[] = {
    {"project", 0, "P", "the project that it approves", OPTION_REQUIRED},
    {"dataset", 0, "D", "only these datasets; repeatable", OPTION_REPEAT},
    {"disease", 0, "T", "a disease that it is about, with its kinds (MONDO:0005070); repeatable", OPTION_REPEAT},
    {"use", 0, "T", "what the research may be for (DUO:0000031 to DUO:0000040); repeatable", OPTION_REPEAT},
    {"non-commercial", 0, NULL, "it is for non-commercial use: a consent may ask for that", 0},
    {"from", 0, "DATE", "first day, YYYY-MM-DD", 0},
    {"until", 0, "DATE", "first day on which it holds no longer, YYYY-MM-DD", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_ethics_add = {
    .name = "ethics add",
    .area = "Projects and ethics approvals",
    .synopsis = "NAME --project P [--dataset D...] [--disease T...] [--use T...] [--non-commercial] [--from DATE] "
                "[--until DATE]",
    .summary = "record an approval",
    .help = "Records an ethics approval of a project, for some datasets or for all, for a time or for good.\n"
            "A purpose may name no other diseases and uses than those of its approval, and kinds of its diseases.",
    .example = "  vaultctl ethics add A1 --project P1 --from 2026-01-01 --until 2029-01-01",
    .options = add_options,
    .words = 1,
    .run = run_add,
};

const struct command command_ethics_list = {
    .name = "ethics list",
    .area = "Projects and ethics approvals",
    .synopsis = "",
    .summary = "all approvals",
    .help = "Lists the ethics approvals, revoked ones included.",
    .example = "  vaultctl ethics list",
    .run = run_list,
};

const struct command command_ethics_revoke = {
    .name = "ethics revoke",
    .area = "Projects and ethics approvals",
    .synopsis = "NAME",
    .summary = "take an approval back",
    .help = "Takes an ethics approval back. Reads that rest on it are ended.",
    .example = "  vaultctl ethics revoke A1",
    .words = 1,
    .run = run_revoke,
};
