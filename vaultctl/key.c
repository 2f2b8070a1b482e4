/* Keys and the jobs that renew them. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "jobs.h"
#include "request.h"
#include "share.h"

static int run_list(struct call *c) {
    static const struct column columns[] = {
        {"GENERATION", "generation"}, {"CREATED", "created"}, {"STATE", "state"}, {NULL, NULL}};
    json_t *keys;
    int outcome = ask_json(c, "GET", format_text("/v1/keys"), NULL, &keys);
    if (outcome == OUTCOME_DONE && !print_json(c, keys)) {
        print_table(json_object_get(keys, "generations"), columns);
        if (json_is_integer(json_object_get(keys, "index")))
            printf("generation of the index key  %lld\n",
                   (long long)json_integer_value(json_object_get(keys, "index")));
        if (json_is_integer(json_object_get(keys, "index_next")))
            puts("                             and the next one: see 'key jobs'; if none is open, rotate index again");
        if (json_is_integer(json_object_get(keys, "names")))
            printf("generation of the name key   %lld\n",
                   (long long)json_integer_value(json_object_get(keys, "names")));
        if (json_is_integer(json_object_get(keys, "names_next")))
            puts("                             and the next one: see 'key jobs'; if none is open, rotate names again");
        if (json_is_string(json_object_get(keys, "vkey")))
            print_line(stdout, "verifier key of the audit    ", json_string_value(json_object_get(keys, "vkey")));
        print_warnings(keys);
    }
    json_decref(keys);
    return outcome;
}

/* An index key or name key that is kept for what is damaged is no rotation that is done. */
static int tell_end(struct call *c, const json_t *job) {
    json_int_t failed = json_integer_value(json_object_get(job, "failed"));
    bool stops = strcmp(c->words[0], "index") == 0 || strcmp(c->words[0], "names") == 0;
    if (failed == 0 || !job_is(job, "done") || !stops)
        return OUTCOME_DONE;
    return option_given(c, "leave-damaged")
               ? fail(c, OUTCOME_INTEGRITY, "%lld damaged entries were left behind; no key opens them any more",
                      (long long)failed)
               : fail(c, OUTCOME_INTEGRITY, "it stopped at a damaged entry, and the key before is kept: see the log");
}

static int rotate_root(struct call *c) {
    json_t *seal = NULL;
    int outcome = ask_json(c, "POST", format_text("/v1/keys/rotate"), json_pack("{s:s}", "what", "root"), &seal);
    return seal_show(c, outcome, seal);
}

static int rotate_audit(struct call *c) {
    static const struct column fields[] = {
        {"verifier key", "vkey"}, {"the one before", "vkey_before"}, {"record", "record"}, {NULL, NULL}};
    return ask_fields(c, "POST", format_text("/v1/keys/rotate"), json_pack("{s:s}", "what", "audit"), fields);
}

/* It waits for a second person; what that one approves is answered to them. */
static int retire(struct call *c) {
    static const struct column none[] = {{NULL, NULL}};
    json_t *body =
        json_pack("{s:s, s:b, s:b}", "what", "kek", "retire", 1, "without_backup", option_given(c, "without-backup"));
    return ask_fields(c, "POST", format_text("/v1/keys/rotate"), body, none);
}

static int run_rotate(struct call *c) {
    json_t *job;
    const char *what = c->words[0];
    bool root = strcmp(what, "root") == 0;
    bool retires = option_given(c, "retire");
    bool leave = option_given(c, "leave-damaged");
    if (leave && strcmp(what, "index") != 0)
        return fail(c, OUTCOME_USAGE, "--leave-damaged goes with index");
    if (option_given(c, "without-backup") && !retires)
        return fail(c, OUTCOME_USAGE, "--without-backup goes with --retire");
    if (retires && strcmp(what, "kek") != 0)
        return fail(c, OUTCOME_USAGE, "--retire goes with kek, whose generations are retired");
    if (retires)
        return retire(c);
    if (strcmp(what, "audit") == 0)
        return rotate_audit(c);
    if (!root && strcmp(what, "kek") != 0 && strcmp(what, "subject") != 0 && strcmp(what, "data") != 0 &&
        strcmp(what, "index") != 0 && strcmp(what, "names") != 0)
        return fail(c, OUTCOME_USAGE,
                    "'%s' cannot be rotated: 'kek', 'root', 'subject', 'data', 'audit', 'index' and 'names' can", what);
    if (root)
        return rotate_root(c);
    json_t *body = json_pack("{s:s}", "what", what);
    if (leave)
        json_object_set_new(body, "leave_damaged", json_true());
    int outcome = ask_json(c, "POST", format_text("/v1/keys/rotate"), body, &job);
    if (outcome == OUTCOME_DONE && json_is_integer(json_object_get(job, "pending")) && !print_json(c, job))
        (void)print_pending(job);
    if (outcome == OUTCOME_DONE && json_is_integer(json_object_get(job, "pending"))) {
        json_decref(job);
        return outcome;
    }
    struct progress p =
        strcmp(what, "data") == 0 ? progress_of("encrypting", "files") : progress_of("rewrapping", "keys");
    if (outcome == OUTCOME_DONE && !option_given(c, "no-wait"))
        outcome = job_follow(c, &job, &p);
    if (outcome == OUTCOME_DONE && !print_json(c, job)) {
        json_t *rows = json_pack("[O]", job);
        print_table(rows, job_columns);
        json_decref(rows);
    }
    if (outcome == OUTCOME_DONE)
        outcome = tell_end(c, job);
    json_decref(job);
    return outcome;
}

static const struct option rotate_options[] = {
    {"leave-damaged", 0, NULL, "with index: leave entries behind that do not open", 0},
    {"no-wait", 0, NULL, "start the job and return", 0},
    {"retire", 0, NULL, "forget the generations of kek before the newest one", 0},
    {"without-backup", 0, NULL, "though no verified backup needs the newest one only", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_key_list = {
    .name = "key list",
    .area = "Keys",
    .synopsis = "",
    .summary = "generations of the key-encryption key, the audit's verifier key",
    .help = "Lists the generations of the key-encryption key in the key ring, and tells the verifier key of the audit.",
    .example = "  vaultctl key list",
    .run = run_list,
};

const struct command command_key_rotate = {
    .name = "key rotate",
    .area = "Keys",
    .synopsis = "WHAT [--no-wait] [--leave-damaged] [--retire [--without-backup]]",
    .summary = "renew a key",
    .help =
        "Renews a key while the vault serves. WHAT is kek: the key-encryption key gets a new generation and every\n"
        "patient's key is wrapped again. Or subject: every patient gets a new key, and the keys of their files are\n"
        "wrapped again. Or data: every file is encrypted anew under another key; it stays readable meanwhile.\n"
        "Or index: every entry of the index is sealed again under a new key; older backups of the index do not open\n"
        "afterwards. It stops at an entry that is damaged; with --leave-damaged it leaves such behind, which no key\n"
        "opens any more. Or names: the index knows every name by another hash under a new key; older backups of the\n"
        "index are worth nothing afterwards. It stops at what is damaged. These wait for the end and show progress.\n"
        "Or root: the key ring is put under a new root key in the same seal, at once; a token makes a new key for it\n"
        "and destroys the one before. Or audit: the log's next checkpoints are signed by a new key; the old one signs\n"
        "that it follows, and is gone.\n"
        "With --retire nothing is rotated: the ring forgets the older generations of kek, under a new root key. It\n"
        "makes shreds final, and every older backup of the index unreadable, and waits for a second person. It needs\n"
        "a backup from after the rotation ('backup').",
    .example = "  vaultctl key rotate kek",
    .options = rotate_options,
    .words = 1,
    .run = run_rotate,
};
