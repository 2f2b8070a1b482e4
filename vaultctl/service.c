/* Who may ask: services, known by the URI in their certificate. */
#include "commands.h"
#include "request.h"

static const struct column fields[] = {
    {"name", "name"},
    {"SAN URI", "san"},
    {"roles", "roles"},
    {"purposes", "purposes"},
    {"organisation", "organisation"},
    {"country", "country"},
    {"not for profit", "not_for_profit"},
    {"added", "added"},
    {"revoked", "revoked"},
    {NULL, NULL},
};
static const struct column columns[] = {
    {"NAME", "name"},
    {"SAN URI", "san"},
    {"ROLES", "roles"},
    {"PURPOSES", "purposes"},
    {"ORGANISATION", "organisation"},
    {"COUNTRY", "country"},
    {"ADDED", "added"},
    {"REVOKED", "revoked"},
    {NULL, NULL},
};

static int run_add(struct call *c) {
    json_t *body = json_pack("{s:s, s:s, s:o, s:s*, s:s*}", "name", c->words[0], "san", option_text(c, "san"), "roles",
                             option_list(c, "role"), "organisation", option_text(c, "organisation"), "country",
                             option_text(c, "country"));
    if (option_given(c, "not-for-profit"))
        json_object_set_new(body, "not_for_profit", json_true());
    if (option_given(c, "purpose"))
        json_object_set_new(body, "purposes", option_list(c, "purpose"));
    return ask_fields(c, "POST", format_text("/v1/services"), body, fields);
}

static int run_show(struct call *c) {
    return ask_fields(c, "GET", resource("/v1/services", c->words[0]), NULL, fields);
}

static int run_revoke(struct call *c) {
    return ask_fields(c, "DELETE", resource("/v1/services", c->words[0]), NULL, fields);
}

static int run_list(struct call *c) {
    return ask_all_rows(c, format_text("/v1/services"), "services", columns);
}

static const struct option add_options[] = {
    {"san", 0, "URI", "URI in the service's certificate (subject alternative name)", OPTION_REQUIRED},
    {"role", 0, "R", "depositor, reader, registrar, auditor, custodian or operator; repeatable",
     OPTION_REQUIRED | OPTION_REPEAT},
    {"purpose", 0, "P", "a purpose that it may claim: treatment, research; repeatable", OPTION_REPEAT},
    {"organisation", 0, "O", "whose it is: a consent to research may name organisations", 0},
    {"country", 0, "CC", "where that is, two capital letters: a consent may name countries", 0},
    {"not-for-profit", 0, NULL, "that is a not-for-profit organisation: a consent may ask for one", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_service_add = {
    .name = "service add",
    .area = "Services",
    .synopsis = "NAME --san URI --role R... [--purpose P...] [--organisation O] [--country CC] [--not-for-profit]",
    .summary = "make a service known",
    .help =
        "Makes a service known: which certificate it comes with, which roles it has, which purposes it may claim.\n"
        "Once there is a second operator, an administrative role waits for the approval of another person ('pending').",
    .example = "  vaultctl service add clinic --san urn:vault:service:clinic --role reader --purpose treatment",
    .options = add_options,
    .words = 1,
    .run = run_add,
};

const struct command command_service_list = {
    .name = "service list",
    .area = "Services",
    .synopsis = "",
    .summary = "all services",
    .help = "Lists the services, revoked ones included.",
    .example = "  vaultctl service list",
    .run = run_list,
};

const struct command command_service_show = {
    .name = "service show",
    .area = "Services",
    .synopsis = "NAME",
    .summary = "one service",
    .help = "Shows a service's certificate name, roles and purposes.",
    .example = "  vaultctl service show clinic",
    .words = 1,
    .run = run_show,
};

const struct command command_service_revoke = {
    .name = "service revoke",
    .area = "Services",
    .synopsis = "NAME",
    .summary = "end a service's access",
    .help = "Ends a service's access for good, running reads included.",
    .example = "  vaultctl service revoke clinic",
    .words = 1,
    .run = run_revoke,
};
