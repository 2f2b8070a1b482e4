/* A copy of the index put back, and the word that what was lost with the rest is in force again. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "request.h"
#include "vault/result.h"

enum { CHECKPOINT_MAX = 4096 };

static const struct column restored_fields[] = {{"seal", "seal"},
                                                {"origin", "origin"},
                                                {"audit records", "records"},
                                                {"restored", "restored.times"},
                                                {"confirmed", "restored.confirmed"},
                                                {"shares needed", "root.threshold"},
                                                {NULL, NULL}};

static int put_back(struct call *c) {
    json_t *status = NULL;
    if (option_given(c, "checkpoint"))
        return fail(c, OUTCOME_USAGE, "--checkpoint goes with --confirm");
    int outcome = ask_json(c, "POST", format_text("/v1/restore"), json_pack("{s:s}", "name", c->words[0]), &status);
    if (outcome == OUTCOME_DONE && !print_json(c, status)) {
        print_told_fields(status, restored_fields);
        puts("\nNothing is read or deposited until it is confirmed ('restore --confirm'). Objects are not part of a\n"
             "backup: 'scrub' finds those that are missing.");
    }
    json_decref(status);
    return outcome;
}

/* Base64 of the file: JSON text has no line ends. *ret is owned by the caller; NULL without the option. */
static int read_checkpoint(struct call *c, char **ret) {
    char *note = NULL;
    size_t size = 0;
    const char *path = option_text(c, "checkpoint");
    *ret = NULL;
    if (path == NULL)
        return OUTCOME_DONE;
    int result = file_read(path, CHECKPOINT_MAX - 1, &note, &size);
    if (result != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "--checkpoint: cannot read '%s': %s", path,
                    result == VAULT_E_IO ? strerror(errno) : "too large for a checkpoint");
    size_t room = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    *ret = malloc(room);
    if (*ret != NULL)
        sodium_bin2base64(*ret, room, (const unsigned char *)note, size, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    free(note);
    return *ret != NULL ? (int)OUTCOME_DONE : fail(c, OUTCOME_FAILED, "out of memory");
}

static int confirm(struct call *c) {
    static const struct column fields[] = {
        {"restored", "times"}, {"confirmed", "confirmed"}, {"log continues", "continues"}, {NULL, NULL}};
    char *checkpoint = NULL;
    int outcome = read_checkpoint(c, &checkpoint);
    if (outcome == OUTCOME_DONE)
        outcome = ask_fields(c, "POST", format_text("/v1/restore/confirm"),
                             json_pack("{s:s, s:s*}", "statement", option_text(c, "confirm"), "checkpoint", checkpoint),
                             fields);
    free(checkpoint);
    return outcome;
}

static int run(struct call *c) {
    return option_given(c, "confirm") ? confirm(c) : put_back(c);
}

static const struct option options[] = {
    {"confirm", 0, "TEXT", "state what was done again, after which the vault serves", 0},
    {"checkpoint", 0, "FILE", "with --confirm: the last checkpoint of the audit that was kept outside", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_restore = {
    .name = "restore",
    .area = "Care",
    .synopsis = "NAME | --confirm TEXT [--checkpoint FILE]",
    .summary = "put a backup of the index in its place",
    .help =
        "Puts the backup NAME in the place of an index that is not there, and opens the vault. Only root and the\n"
        "administrator on the vault's own host may ask, and the key ring must be in its place. What was withdrawn,\n"
        "opted out of, shredded or revoked since the backup is not so any more: do it again. Nothing is read\n"
        "or deposited until a custodian states with --confirm that it was done; that is recorded in the audit, whose\n"
        "origin is another from then on.",
    .example = "  vaultctl restore 2026-11-26\n"
               "  vaultctl restore --confirm \"withdrawals of ticket 4711 applied again\" --checkpoint last-checkpoint",
    .options = options,
    .words = 1,
    .instead = "confirm",
    .run = run,
};
