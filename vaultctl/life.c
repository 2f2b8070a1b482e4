/* The vault's life: status, init, unseal, seal. */
#include "commands.h"
#include "request.h"
#include "share.h"

static const struct column status_fields[] = {
    {"seal", "seal"},
    {"version", "version"},
    {"origin", "origin"},
    {"vault", "vault"},
    {"epoch", "epoch"},
    {"key generation", "generation"},
    {"its age in days", "key_age.kek_days"},
    {"root key's age in days", "key_age.root_days"},
    {"audit records", "records"},
    {"in the last day", "audit.last_day"},
    {"of them archived", "audit.archived"},
    {"bytes of the index", "audit.index_bytes"},
    {"subjects", "subjects"},
    {"files", "files"},
    {"policy", "policy.name"},
    {"jobs running", "jobs"},
    {"restored", "restored.times"},
    {"confirmed", "restored.confirmed"},
    {"keys in memory", "memory"},
    {"sealed by", "root.by"},
    {"token key", "root.key"},
    {"shares needed", "root.threshold"},
    {"shares shown", "root.shown"},
    {"damage confirmed", "failed_authentications.confirmed"},
    {"files set aside", "failed_authentications.set_aside"},
    {"escrow copies", "escrow.copies"},
    {"newest escrow copy", "escrow.newest"},
    {"client authorities", "trust.in_force"},
    {"others that wait", "trust.waiting"},
    {NULL, NULL},
};

static void print_status(const json_t *document) {
    if (json_is_true(json_object_get(document, "dev")))
        puts("This is a development vault: no data of patients here.");
    print_told_fields(document, status_fields); /* most members are told to administrative roles only */
    print_warnings(document);
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
    json_t *document = NULL;
    int outcome = option_given(c, "share") ? shares_give(c, SHARE_UNSEAL, &document)
                                           : ask_json(c, "POST", format_text("/v1/unseal"), NULL, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_status(document);
    json_decref(document);
    return outcome;
}

static int run_seal(struct call *c) {
    return status_request(c, "POST", "/v1/seal");
}

static int keep_first_shares(struct call *c, const struct ceremony_request *by, json_t *document) {
    int outcome = ceremony_keep(c, by, document);
    if (outcome != OUTCOME_DONE)
        (void)fail(c, (enum outcome)outcome,
                   "the vault is made and open, but its shares are not kept: make others with 'key seal shares' before "
                   "it is sealed or stopped, or it will never open again");
    return outcome;
}

static int run_init(struct call *c) {
    static const struct column fields[] = {
        {"vault", "vault"}, {"origin", "origin"}, {"verifier key", "vkey"}, {NULL, NULL}};
    struct ceremony_request by = {.body = NULL};
    json_t *document = NULL;
    bool token = option_given(c, "token");
    if (token && option_given(c, "shares"))
        return fail(c, OUTCOME_USAGE, "--token and --shares: a vault is sealed in one way");
    int outcome = option_given(c, "shares") ? ceremony_ask(c, &by) : ceremony_not_meant(c, "--shares");
    if (outcome == OUTCOME_DONE && token)
        by.body = json_pack("{s:s}", "by", "token");
    if (outcome == OUTCOME_DONE)
        outcome = ask_json(c, "POST", format_text("/v1/init"), by.body, &document);
    if (outcome == OUTCOME_DONE && option_given(c, "shares"))
        outcome = keep_first_shares(c, &by, document);
    ceremony_clear(&by);
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

static int run_metrics(struct call *c) {
    struct http_answer a;
    struct http_request r = {.method = "GET", .path = "/v1/metrics", .upload_size = -1};
    int outcome = ask(c, &r, &a);
    if (outcome == OUTCOME_DONE) {
        json_t *document = json_pack("{s:s}", "metrics", a.body);
        if (!print_json(c, document))
            (void)fputs(a.body, stdout);
        json_decref(document);
    }
    answer_clear(&a);
    return outcome;
}

const struct command command_metrics = {
    .name = "metrics",
    .area = "Care",
    .synopsis = "",
    .summary = "numbers for whoever watches the vault",
    .help = "Prints counters and gauges in the text format of Prometheus, which GET /v1/metrics answers as well: "
            "decisions,\n"
            "alarms, records, files, what is open, and whether the audit is witnessed. No patient is named.",
    .example = "  vaultctl metrics",
    .run = run_metrics,
};

const struct command command_init = {
    .name = "init",
    .area = "Life",
    .synopsis = "[--token | --shares N --threshold K -o DIR [--to FILE...]]",
    .summary = "make the keys of a new vault",
    .help =
        "Makes the keys, the index and the first audit record of a new vault, and prints the verifier key of its\n"
        "audit. A vault is initialised once. It is sealed by its credential, by the token that vaultd knows, or by\n"
        "shares: N files in DIR, of which any K open it. With --to each share is sealed to a custodian's public\n"
        "key, in that order.",
    .example = "  vaultctl init\n"
               "  vaultctl init --shares 5 --threshold 3 --to anna.pub,bo.pub,carl.pub,dorte.pub,eva.pub -o shares",
    .options = init_options,
    .run = run_init,
};

const struct command command_unseal = {
    .name = "unseal",
    .area = "Life",
    .synopsis = "[--share FILE...]",
    .summary = "bring the keys into memory and serve",
    .help =
        "Brings the vault's keys into memory. From then on it decides and serves. A vault that is sealed by shares\n"
        "wants as many as its threshold, from one custodian or several; 'status' shows which it has been given.",
    .example = "  vaultctl unseal\n"
               "  vaultctl unseal --share share-2.txt",
    .options = share_options,
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
