/* The seal of the root key: another one, and drills of the one in force. */
#include <string.h>

#include "commands.h"
#include "share.h"

static const struct column seal_fields[] = {
    {"sealed by", "by"},
    {"token key", "key"},
    {"ceremony", "ceremony"},
    {"shares", "shares"},
    {"threshold", "threshold"},
    {"shown", "shown"},
    {"proposed ceremony", "proposed.ceremony"},
    {"shown of it", "proposed.shown"},
    {NULL, NULL},
};

int seal_show(struct call *c, int outcome, json_t *document) {
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_told_fields(document, seal_fields);
    json_decref(document);
    return outcome;
}

static int propose(struct call *c) {
    struct ceremony_request by = {.body = NULL};
    json_t *document = NULL;
    int outcome = ceremony_ask(c, &by);
    if (outcome == OUTCOME_DONE) {
        json_object_set_new(by.body, "by", json_string("shares"));
        outcome = ask_json(c, "POST", format_text("/v1/keys/seal"), by.body, &document);
    }
    if (outcome == OUTCOME_DONE)
        outcome = ceremony_keep(c, &by, document);
    ceremony_clear(&by);
    return seal_show(c, outcome, document);
}

static int run_seal(struct call *c) {
    json_t *document = NULL;
    if (strcmp(c->words[0], "shares") == 0)
        return propose(c);
    if (strcmp(c->words[0], "credential") != 0 && strcmp(c->words[0], "token") != 0)
        return fail(c, OUTCOME_USAGE, "'%s' is no seal: 'shares', 'credential' and 'token' are", c->words[0]);
    int outcome = ceremony_not_meant(c, "'shares'");
    if (outcome == OUTCOME_DONE)
        outcome = ask_json(c, "POST", format_text("/v1/keys/seal"), json_pack("{s:s}", "by", c->words[0]), &document);
    return seal_show(c, outcome, document);
}

static int run_shares(struct call *c, const char *path) {
    json_t *document = NULL;
    if (!option_given(c, "share"))
        return fail(c, OUTCOME_USAGE, "which share? --share FILE");
    int outcome = shares_give(c, path, &document);
    return seal_show(c, outcome, document);
}

static int run_confirm(struct call *c) {
    return run_shares(c, SHARE_CONFIRM);
}

static int run_cancel(struct call *c) {
    json_t *document = NULL;
    int outcome = ask_json(c, "DELETE", format_text("/v1/keys/seal"), NULL, &document);
    return seal_show(c, outcome, document);
}

static int run_drill(struct call *c) {
    json_t *document = NULL;
    if (!option_given(c, "share"))
        return fail(c, OUTCOME_USAGE, "which share? --share FILE");
    int outcome = shares_give(c, SHARE_DRILL, &document);
    bool passed = json_object_get(document, "drill") != NULL;
    if (outcome == OUTCOME_DONE && passed && !print_json(c, document)) {
        puts("The shares open the seal.");
        json_decref(document);
        return outcome;
    }
    return seal_show(c, outcome, document);
}

const struct command command_key_seal = {
    .name = "key seal",
    .area = "Keys",
    .synopsis = "WHAT [--shares N --threshold K -o DIR [--to FILE...]]",
    .summary = "seal the root key in another way",
    .help =
        "WHAT is shares: makes N shares, of which any K open the vault, as files in DIR. They take effect when K of\n"
        "them were shown back with 'key confirm'; until then the seal before stays in force. Or credential\n"
        "or token: the one that vaultd is configured with, at once. Each puts the key ring under a new root key.",
    .example =
        "  vaultctl key seal shares --shares 7 --threshold 4 -o shares\n"
        "  vaultctl key confirm --share shares/share-1.txt,shares/share-2.txt,shares/share-3.txt,shares/share-6.txt",
    .options = ceremony_options,
    .words = 1,
    .run = run_seal,
};

const struct command command_key_confirm = {
    .name = "key confirm",
    .area = "Keys",
    .synopsis = "--share FILE...",
    .summary = "show shares of a proposed seal",
    .help = "Shows the vault shares of a seal that was proposed with 'key seal shares'. When as many as the threshold\n"
            "were shown, by one custodian or several, the seal is in force, and the shares before open nothing more.",
    .example = "  vaultctl key confirm --share share-2.txt",
    .options = share_options,
    .run = run_confirm,
};

const struct command command_key_cancel = {
    .name = "key cancel",
    .area = "Keys",
    .synopsis = "",
    .summary = "drop a proposed seal",
    .help = "Forgets a seal that was proposed and not confirmed. The seal in force stays as it is.",
    .example = "  vaultctl key cancel",
    .run = run_cancel,
};

const struct command command_key_drill = {
    .name = "key drill",
    .area = "Keys",
    .synopsis = "--share FILE...",
    .summary = "see that the shares in force are good",
    .help =
        "Shows the vault shares of the seal in force. When as many as the threshold were shown it tells whether they\n"
        "open the seal. Nothing is opened or changed; it is recorded.",
    .example = "  vaultctl key drill --share share-1.txt,share-4.txt,share-5.txt",
    .options = share_options,
    .run = run_drill,
};
