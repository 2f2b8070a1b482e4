/* Research projects: which services work on what. */
#include "commands.h"
#include "request.h"

static const struct column fields[] = {{"name", "name"},   {"title", "title"},   {"services", "services"},
                                       {"added", "added"}, {"closed", "closed"}, {NULL, NULL}};
static const struct column columns[] = {{"NAME", "name"},     {"SERVICES", "services"}, {"ADDED", "added"},
                                        {"CLOSED", "closed"}, {"TITLE", "title"},       {NULL, NULL}};

static int run_add(struct call *c) {
    json_t *body = json_pack("{s:s, s:o}", "name", c->words[0], "services", option_list(c, "service"));
    if (option_given(c, "title"))
        json_object_set_new(body, "title", json_string(option_text(c, "title")));
    return ask_fields(c, "POST", format_text("/v1/projects"), body, fields);
}

static int run_close(struct call *c) {
    return ask_fields(c, "DELETE", resource("/v1/projects", c->words[0]), NULL, fields);
}

static int run_list(struct call *c) {
    return ask_all_rows(c, format_text("/v1/projects"), "projects", columns);
}

static const struct option add_options[] = {
    {"title", 0, "T", "what it is about", 0},
    {"service", 0, "S", "a service that works on it; repeatable", OPTION_REQUIRED | OPTION_REPEAT},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_project_add = {
    .name = "project add",
    .area = "Projects and ethics approvals",
    .synopsis = "NAME [--title T] --service S...",
    .summary = "open a research project",
    .help = "Opens a research project that the named services work on.",
    .example = "  vaultctl project add P1 --title 'Rare variants in ataxia' --service research",
    .options = add_options,
    .words = 1,
    .run = run_add,
};

const struct command command_project_list = {
    .name = "project list",
    .area = "Projects and ethics approvals",
    .synopsis = "",
    .summary = "all projects",
    .help = "Lists the projects, closed ones included.",
    .example = "  vaultctl project list",
    .run = run_list,
};

const struct command command_project_close = {
    .name = "project close",
    .area = "Projects and ethics approvals",
    .synopsis = "NAME",
    .summary = "end a project",
    .help = "Ends a project for good. Reads that run for it are ended.",
    .example = "  vaultctl project close P1",
    .words = 1,
    .run = run_close,
};
