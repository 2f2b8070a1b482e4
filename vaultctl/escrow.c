/* Escrow copies of the key ring: making one for custodians, their list, and the word that one was destroyed. */
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "share.h"

enum { RING_MAX = 16384 };

static const struct column fields[] = {
    {"escrow", "escrow"},           {"ceremony", "ceremony"}, {"shares", "shares"}, {"threshold", "threshold"},
    {"generations", "generations"}, {"epoch", "epoch"},       {NULL, NULL},
};

static const struct column columns[] = {
    {"ESCROW", "escrow"},
    {"STATE", "state"},
    {"MADE", "made"},
    {"BY", "made_by"},
    {"SHARES", "shares"},
    {"THRESHOLD", "threshold"},
    {"GENERATIONS", "generations"},
    {"EPOCH", "epoch"},
    {"DESTROYED", "destroyed"},
    {"STATEMENT", "statement"},
    {NULL, NULL},
};

static int keep_ring(struct call *c, const char *path, const json_t *answer) {
    static uint8_t ring[RING_MAX];
    size_t n = 0;
    if (!base64_bytes(json_string_value(json_object_get(answer, "keyring")), ring, sizeof(ring), &n))
        return fail(c, OUTCOME_FAILED, "the vault's answer holds no key ring");
    return new_file_write(c, path, ring, n);
}

/* Ring and shares, or neither: what cannot be kept whole is of no use, and the vault should hear of that. */
static int keep(struct call *c, const struct ceremony_request *by, json_t *answer) {
    const char *name = json_string_value(json_object_get(answer, "escrow"));
    char *path = format_text("%s/keyring", by->folder);
    int outcome = keep_ring(c, path, answer);
    bool written = outcome == OUTCOME_DONE;
    if (written)
        outcome = ceremony_keep(c, by, answer);
    if (written && outcome != OUTCOME_DONE)
        (void)unlink(path);
    if (outcome != OUTCOME_DONE && name != NULL) {
        print_line(
            stderr,
            "vaultctl: the vault counts a copy that could not be kept; say so with 'key escrow destroyed': ", name);
    }
    json_object_del(answer, "keyring");
    free(path);
    return outcome;
}

static int run_escrow(struct call *c) {
    struct ceremony_request by = {.body = NULL};
    json_t *document = NULL;
    int outcome = ceremony_ask(c, &by);
    if (outcome == OUTCOME_DONE)
        outcome = ask_json(c, "POST", format_text("/v1/keys/escrows"), by.body, &document);
    if (outcome == OUTCOME_DONE)
        outcome = keep(c, &by, document);
    ceremony_clear(&by);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_fields(document, fields);
    json_decref(document);
    return outcome;
}

static int run_list(struct call *c) {
    return ask_all_rows(c, format_text("/v1/keys/escrows"), "escrows", columns);
}

static int run_destroyed(struct call *c) {
    static const struct column none[] = {{NULL, NULL}};
    const char *word = c->words[0];
    uint64_t number = 0;
    if (!number_parse(word[0] == 'E' ? word + 1 : word, UINT32_MAX, &number))
        return fail(c, OUTCOME_USAGE, "'%s' is no escrow copy ('key escrow list')", word);
    return ask_fields(c, "POST", format_text("/v1/keys/escrows/%llu/destroyed", (unsigned long long)number),
                      json_pack("{s:s}", "statement", option_text(c, "statement")), none);
}

static const struct option escrow_options[] = {
    {"shares", 0, "N", "how many shares to make (2 to 32)", OPTION_REQUIRED},
    {"threshold", 0, "K", "how many of them open the copy (2 to N)", OPTION_REQUIRED},
    {"to", 0, "FILE", "a custodian's public key (Crypt4GH), one for each share", OPTION_REQUIRED | OPTION_REPEAT},
    {"output", 'o', "DIR", "new folder for the copy and its shares", OPTION_REQUIRED},
    {NULL, 0, NULL, NULL, 0},
};

static const struct option destroyed_options[] = {
    {"statement", 0, "TEXT", "what was destroyed, when and how", OPTION_REQUIRED},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_key_escrow = {
    .name = "key escrow",
    .area = "Keys",
    .synopsis = "--shares N --threshold K --to FILE... -o DIR",
    .summary = "make a copy of the key ring for custodians",
    .help =
        "Makes a numbered copy of the key ring as it is, for the day when the vault's own is lost: DIR/keyring, which\n"
        "any K of the N shares in DIR/share-N.c4gh open. Each share is sealed to one custodian; nobody else sees it.\n"
        "Make another after each rotation and each change of the seal: an older copy is refused in the ring's place.",
    .example = "  vaultctl key escrow --shares 3 --threshold 2 --to anna.pub,bo.pub,carl.pub -o escrow-1",
    .options = escrow_options,
    .run = run_escrow,
};

const struct command command_key_escrow_list = {
    .name = "key escrow list",
    .area = "Keys",
    .synopsis = "",
    .summary = "escrow copies of the key ring",
    .help =
        "Lists the escrow copies that were made: which generations they hold, and which were destroyed. With --json\n"
        "also the public keys that their shares were sealed to.",
    .example = "  vaultctl key escrow list",
    .run = run_list,
};

const struct command command_key_escrow_destroyed = {
    .name = "key escrow destroyed",
    .area = "Keys",
    .synopsis = "ESCROW --statement TEXT",
    .summary = "state that an escrow copy was destroyed",
    .help =
        "Records the statement that an escrow copy and its shares were destroyed. What was shredded and is in that\n"
        "copy counts as final from then on, so it waits for a second person.",
    .example =
        "  vaultctl key escrow destroyed E1 --statement \"disc and five letters burnt on 3 May, Anna and Bo present\"",
    .options = destroyed_options,
    .words = 1,
    .run = run_destroyed,
};
