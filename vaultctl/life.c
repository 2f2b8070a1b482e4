/* The vault's life: status, init, unseal, seal. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "request.h"

static const struct column status_fields[] = {
    {"seal", "seal"},   {"version", "version"},           {"origin", "origin"},         {"vault", "vault"},
    {"epoch", "epoch"}, {"key generation", "generation"}, {"audit records", "records"}, {"subjects", "subjects"},
    {"files", "files"}, {"policy", "policy.name"},        {"jobs running", "jobs"},     {NULL, NULL},
};

static void print_status(const json_t *document) {
    struct column shown[sizeof(status_fields) / sizeof(status_fields[0])] = {{NULL, NULL}};
    size_t count = 0;
    /* Most members are told to administrative roles only. */
    for (const struct column *k = status_fields; k->title != NULL; k++) {
        char top[32];
        snprintf(top, sizeof(top), "%.*s", (int)strcspn(k->member, "."), k->member);
        if (json_object_get(document, top) != NULL)
            shown[count++] = *k;
    }
    if (json_is_true(json_object_get(document, "dev")))
        puts("This is a development vault: no data of patients here.");
    print_fields(document, shown);
}

static int status_request(struct call *c, const char *method, const char *path) {
    json_t *document;
    int outcome = ask_json(c, method, format_text("%s", path), NULL, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_status(document);
    json_decref(document);
    return outcome;
}

static int run_status(struct call *c) {
    return status_request(c, "GET", "/v1/status");
}

static int run_unseal(struct call *c) {
    return status_request(c, "POST", "/v1/unseal");
}

static int run_seal(struct call *c) {
    return status_request(c, "POST", "/v1/seal");
}

static int run_init(struct call *c) {
    static const struct column fields[] = {
        {"vault", "vault"}, {"origin", "origin"}, {"verifier key", "vkey"}, {NULL, NULL}};
    json_t *document;
    int outcome = ask_json(c, "POST", format_text("/v1/init"), NULL, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document)) {
        print_fields(document, fields);
        puts("\nKeep the verifier key where auditors find it: exports of the audit are checked against it.");
    }
    json_decref(document);
    return outcome;
}

const struct command command_status = {
    .name = "status",
    .area = "Life",
    .synopsis = "",
    .summary = "what state the vault is in",
    .help = "Tells whether the vault is initialised and unsealed; to administrative roles also what it holds.\n"
            "Exit status 0 whenever the vault can be asked, sealed or not.",
    .example = "  vaultctl status --json",
    .run = run_status,
};

const struct command command_init = {
    .name = "init",
    .area = "Life",
    .synopsis = "",
    .summary = "make the keys of a new vault",
    .help = "Makes the keys, the index and the first audit record of a new vault, and prints the verifier key of its\n"
            "audit. A vault is initialised once.",
    .example = "  vaultctl init",
    .run = run_init,
};

const struct command command_unseal = {
    .name = "unseal",
    .area = "Life",
    .synopsis = "",
    .summary = "bring the keys into memory and serve",
    .help = "Brings the vault's keys into memory. From then on it decides and serves.",
    .example = "  vaultctl unseal",
    .run = run_unseal,
};

const struct command command_seal = {
    .name = "seal",
    .area = "Life",
    .synopsis = "",
    .summary = "end every stream and forget the keys",
    .help = "Ends every running read and write, and wipes the keys from memory. Nothing is served until\n"
            "'unseal', or until vaultd itself is started anew.",
    .example = "  vaultctl seal",
    .run = run_seal,
};
