/* Ceremonies, and custodians' side of them: key pairs, and opening a share. */
#include "share.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "vault/buffer.h"
#include "vault/result.h"

enum { SHARES_MAX = 32 };

#define OF_A_CEREMONY                                                                                                  \
    {"shares", 0, "N", "how many shares to make (2 to 32)", 0},                                                        \
        {"threshold", 0, "K", "how many of them open the vault (2 to N)", 0},                                          \
        {"to", 0, "FILE",                                                                                              \
         "a custodian's public key (Crypt4GH), one for each share; without it shares are in the clear",                \
         OPTION_REPEAT},                                                                                               \
    {                                                                                                                  \
        "output", 'o', "PATH", "new folder for the shares", 0                                                          \
    }

const struct option ceremony_options[] = {OF_A_CEREMONY, {NULL, 0, NULL, NULL, 0}};

const struct option init_options[] = {
    OF_A_CEREMONY, {"token", 0, NULL, "seal by the token that vaultd is configured with", 0}, {NULL, 0, NULL, NULL, 0}};

const struct option share_options[] = {
    {"share", 0, "FILE", "a share; '-' is standard input", OPTION_REPEAT},
    {NULL, 0, NULL, NULL, 0},
};

/* ---- asking for a ceremony ---- */

static int recipient_of_file(struct call *c, const char *path, json_t *list) {
    uint8_t key[CRYPT4GH_KEY];
    char *text = NULL;
    size_t n = 0;
    int outcome = read_document(c, path, &text, &n);
    if (outcome != OUTCOME_DONE)
        return outcome;
    int result = crypt4gh_public_key_read(text, n, key);
    free(text);
    if (result != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "'%s' is no Crypt4GH public key", path);
    char *encoded = base64_text(key, sizeof(key));
    json_array_append_new(list, json_string(encoded));
    free(encoded);
    return OUTCOME_DONE;
}

static int recipients_of_files(struct call *c, json_t *list) {
    json_t *paths = option_list(c, "to");
    int outcome = OUTCOME_DONE;
    size_t i;
    const json_t *path;
    json_array_foreach(paths, i, path) {
        if (outcome == OUTCOME_DONE)
            outcome = recipient_of_file(c, json_string_value(path), list);
    }
    json_decref(paths);
    return outcome;
}

/* One key of this program, as often as there are shares. */
static int recipient_of_our_own(struct call *c, uint64_t shares, struct secret **ret, json_t *list) {
    uint8_t key[CRYPT4GH_KEY];
    if (secret_random(ret, SECRET_KEY_SIZE) != VAULT_OK || crypto_scalarmult_base(key, secret_view(*ret)) != 0)
        return fail(c, OUTCOME_FAILED, "out of locked memory");
    char *encoded = base64_text(key, sizeof(key));
    for (uint64_t i = 0; i < shares; i++)
        json_array_append_new(list, json_string(encoded));
    free(encoded);
    return OUTCOME_DONE;
}

/* Made before anything is asked for, so that shares which exist can be kept. */
static int make_folder(struct call *c, const char *folder) {
    if (mkdir(folder, 0700) == 0)
        return OUTCOME_DONE;
    return fail(c, OUTCOME_FAILED, "cannot make the folder '%s': %s", folder, strerror(errno));
}

int ceremony_ask(struct call *c, struct ceremony_request *ret) {
    uint64_t shares = 0, threshold = 0;
    const char *count = option_text(c, "shares"), *needed = option_text(c, "threshold");
    if (count == NULL || needed == NULL || option_text(c, "output") == NULL)
        return fail(c, OUTCOME_USAGE, "shares need --shares, --threshold and -o");
    if (!number_parse(count, SHARES_MAX, &shares) || !number_parse(needed, SHARES_MAX, &threshold) || threshold < 2 ||
        threshold > shares)
        return fail(c, OUTCOME_USAGE, "there are 2 to 32 shares, and the threshold is 2 or more, at most the shares");
    json_t *recipients = json_array();
    int outcome = option_given(c, "to") ? recipients_of_files(c, recipients)
                                        : recipient_of_our_own(c, shares, &ret->key, recipients);
    if (outcome == OUTCOME_DONE && json_array_size(recipients) != shares)
        outcome = fail(c, OUTCOME_USAGE, "there are %zu public keys for %llu shares", json_array_size(recipients),
                       (unsigned long long)shares);
    if (outcome == OUTCOME_DONE)
        outcome = make_folder(c, option_text(c, "output"));
    if (outcome != OUTCOME_DONE) {
        json_decref(recipients);
        return outcome;
    }
    ret->folder = option_text(c, "output");
    ret->count = shares;
    ret->body = json_pack("{s:I, s:I, s:o}", "shares", (json_int_t)shares, "threshold", (json_int_t)threshold,
                          "recipients", recipients);
    return OUTCOME_DONE;
}

int ceremony_not_meant(struct call *c, const char *why) {
    static const char *const names[] = {"shares", "threshold", "to", "output"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (option_given(c, names[i]))
            return fail(c, OUTCOME_USAGE, "--%s goes with %s", names[i], why);
    return OUTCOME_DONE;
}

void ceremony_clear(struct ceremony_request *by) {
    secret_free(&by->key);
    if (by->folder != NULL)
        (void)rmdir(by->folder); /* stays if there are shares in it */
}

/* ---- keeping its shares ---- */

static char *share_path(const struct ceremony_request *by, const json_t *share) {
    return format_text("%s/share-%lld.%s", by->folder, json_integer_value(json_object_get(share, "number")),
                       by->key != NULL ? "txt" : "c4gh");
}

static int keep_share(struct call *c, const struct ceremony_request *by, const json_t *share) {
    CLEANUP_SECRET struct secret *text = NULL;
    uint8_t container[CRYPT4GH_SMALL_MAX];
    size_t n = 0;
    if (!base64_bytes(json_string_value(json_object_get(share, "container")), container, sizeof(container), &n))
        return fail(c, OUTCOME_FAILED, "the vault's answer holds no share");
    if (by->key != NULL && crypt4gh_open(container, n, by->key, &text, NULL) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "a share in the vault's answer does not open");
    char *path = share_path(by, share);
    int outcome = by->key != NULL ? new_file_write(c, path, secret_view(text), secret_size(text))
                                  : new_file_write(c, path, container, n);
    free(path);
    return outcome;
}

static void remove_shares(const struct ceremony_request *by, const json_t *shares) {
    size_t i;
    const json_t *share;
    json_array_foreach(shares, i, share) {
        char *path = share_path(by, share);
        (void)unlink(path);
        free(path);
    }
}

int ceremony_keep(struct call *c, const struct ceremony_request *by, json_t *answer) {
    const json_t *shares = json_object_get(answer, "containers");
    int outcome = json_array_size(shares) == by->count
                      ? (int)OUTCOME_DONE
                      : fail(c, OUTCOME_FAILED, "the vault's answer does not hold each share");
    size_t i;
    const json_t *share;
    json_array_foreach(shares, i, share) {
        if (outcome == OUTCOME_DONE)
            outcome = keep_share(c, by, share);
    }
    if (outcome != OUTCOME_DONE)
        remove_shares(by, shares); /* the folder is ours: nothing else was in it */
    json_object_del(answer, "containers");
    return outcome;
}

/* ---- giving shares ---- */

/* The key that the vault opens what it is given with; new with each of its starts. */
static int exchange_key(struct call *c, uint8_t ret[CRYPT4GH_KEY]) {
    json_t *status = NULL;
    size_t n = 0;
    int outcome = ask_json(c, "GET", format_text("/v1/status"), NULL, &status);
    if (outcome == OUTCOME_DONE &&
        (!base64_bytes(json_string_value(member_at(status, "root.exchange")), ret, CRYPT4GH_KEY, &n) ||
         n != CRYPT4GH_KEY))
        outcome = fail(c, OUTCOME_DENIED, "the vault does not take shares from here");
    json_decref(status);
    return outcome;
}

static int give(struct call *c, const char *path, const uint8_t key[CRYPT4GH_KEY], const char *file, json_t **ret) {
    CLEANUP_SECRET struct secret *text = NULL;
    uint8_t container[CRYPT4GH_SMALL_MAX];
    size_t n = 0;
    int outcome = secret_file_read(c, file, &text);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (crypt4gh_seal(key, text, container, &n) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "'%s' is too long for a share", file);
    char *encoded = base64_text(container, n);
    json_decref(*ret);
    *ret = NULL;
    outcome = ask_json(c, "POST", format_text("%s", path), json_pack("{s:s}", "share", encoded), ret);
    free(encoded);
    return outcome;
}

/* The vault is open, the drill is over, or the proposed seal is in force: another share would begin anew. */
static bool is_complete(const char *path, const json_t *answer) {
    const char *state = json_string_value(json_object_get(answer, "seal"));
    if (strcmp(path, SHARE_CONFIRM) == 0)
        return json_object_get(answer, "proposed") == NULL;
    return json_object_get(answer, "drill") != NULL || (state != NULL && strcmp(state, "unsealed") == 0);
}

int shares_give(struct call *c, const char *path, json_t **ret) {
    uint8_t key[CRYPT4GH_KEY];
    json_t *files = option_list(c, "share");
    int outcome = exchange_key(c, key);
    size_t i;
    const json_t *file;
    json_array_foreach(files, i, file) {
        if (outcome == OUTCOME_DONE && (*ret == NULL || !is_complete(path, *ret)))
            outcome = give(c, path, key, json_string_value(file), ret);
    }
    json_decref(files);
    return outcome;
}

/* ---- the custodian's side ---- */

static int run_keys(struct call *c) {
    CLEANUP_SECRET struct secret *passphrase = NULL;
    CLEANUP_SECRET struct secret *private_text = NULL;
    char public_text[CRYPT4GH_KEY_FILE_MAX];
    int outcome = passphrase_read(c, &passphrase);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (crypt4gh_key_pair(passphrase, public_text, &private_text) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "no key pair could be made");
    char *public_path = format_text("%s.pub", c->words[0]);
    char *private_path = format_text("%s.sec", c->words[0]);
    outcome = new_file_write(c, private_path, secret_view(private_text), secret_size(private_text));
    if (outcome == OUTCOME_DONE)
        outcome = new_file_write(c, public_path, public_text, strlen(public_text));
    json_t *document = json_pack("{s:s, s:s}", "public", public_path, "private", private_path);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        printf("%s  to give away\n%s  to keep\n", public_path, private_path);
    json_decref(document);
    free(public_path);
    free(private_path);
    return outcome;
}

static int private_key(struct call *c, struct secret **ret) {
    CLEANUP_SECRET struct secret *passphrase = NULL;
    CLEANUP_SECRET struct secret *text = NULL;
    const char *path = option_text(c, "with");
    int outcome = secret_file_read(c, path, &text);
    if (outcome == OUTCOME_DONE)
        outcome = passphrase_read(c, &passphrase);
    if (outcome != OUTCOME_DONE)
        return outcome;
    switch (crypt4gh_private_key_read(secret_view(text), secret_size(text), passphrase, ret)) {
    case VAULT_OK: return OUTCOME_DONE;
    case VAULT_NOT_FOUND: return fail(c, OUTCOME_USAGE, "'%s' has a passphrase: --passphrase", path);
    case VAULT_DENIED: return fail(c, OUTCOME_FAILED, "wrong passphrase for '%s', or it is damaged", path);
    case VAULT_E_LIMIT: return fail(c, OUTCOME_FAILED, "'%s' is protected in a way that is not supported", path);
    default: return fail(c, OUTCOME_FAILED, "'%s' is no Crypt4GH private key", path);
    }
}

static int run_open(struct call *c) {
    CLEANUP_SECRET struct secret *key = NULL;
    CLEANUP_SECRET struct secret *file = NULL;
    CLEANUP_SECRET struct secret *share = NULL;
    unsigned packets = 0;
    int outcome = private_key(c, &key);
    if (outcome == OUTCOME_DONE)
        outcome = secret_file_read(c, c->words[0], &file);
    if (outcome != OUTCOME_DONE)
        return outcome;
    switch (crypt4gh_open(secret_view(file), secret_size(file), key, &share, &packets)) {
    case VAULT_OK: return new_file_write(c, option_text(c, "output"), secret_view(share), secret_size(share));
    case VAULT_DENIED:
        return fail(c, OUTCOME_FAILED, "'%s' is not for this key; it has %u packets, none of them opens", c->words[0],
                    packets);
    case VAULT_E_DAMAGED: return fail(c, OUTCOME_INTEGRITY, "'%s' is damaged", c->words[0]);
    default: return fail(c, OUTCOME_FAILED, "'%s' is no small Crypt4GH file", c->words[0]);
    }
}

static const struct option keys_options[] = {
    {"passphrase", 0, "FILE", "file with a passphrase for the private key; '-' is standard input", 0},
    {NULL, 0, NULL, NULL, 0},
};

static const struct option open_options[] = {
    {"with", 0, "FILE", "your private key", OPTION_REQUIRED},
    {"passphrase", 0, "FILE", "file with its passphrase; '-' is standard input", 0},
    {"output", 'o', "PATH", "new file for the share, instead of standard output", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_share_keys = {
    .name = "share keys",
    .area = "Keys",
    .synopsis = "PATH [--passphrase FILE]",
    .summary = "make a custodian's key pair",
    .help =
        "Makes PATH.pub and PATH.sec, a Crypt4GH key pair. Shares of the vault's root key are sealed to the public\n"
        "one. Needs no vault.",
    .example = "  vaultctl share keys anna",
    .options = keys_options,
    .words = 1,
    .run = run_keys,
};

const struct command command_share_open = {
    .name = "share open",
    .area = "Keys",
    .synopsis = "FILE --with FILE [--passphrase FILE] [-o PATH]",
    .summary = "open a share that was sealed to you",
    .help = "Opens a share with your private key. Needs no vault: do it on a machine of your own.",
    .example = "  vaultctl share open share-1.c4gh --with anna.sec | vaultctl unseal --share -",
    .options = open_options,
    .words = 1,
    .run = run_open,
};
