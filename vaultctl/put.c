/* Deposit of a file. It is read twice: the digest goes ahead of the content, so that the vault can refuse a copy that
 * was damaged on the way, whatever damaged it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "request.h"
#include "vault/buffer.h"
#include "vault/result.h"

struct deposit {
    int fd;
    uint64_t size;
    uint8_t hash[SHA256_BYTES];
    struct file_name name;
};

/* OUTCOME_DONE with d->fd open and d->size, or a complaint. */
static int open_file(struct call *c, struct deposit *d) {
    const char *path = c->words[0];
    struct stat st;
    d->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (d->fd < 0 || fstat(d->fd, &st) != 0)
        return fail(c, OUTCOME_FAILED, "cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(c, OUTCOME_FAILED, "cannot deposit '%s': not a regular file", path);
    d->size = (uint64_t)st.st_size;
    return OUTCOME_DONE;
}

/* The place in the vault: the subject given, the name given or that of the file. */
static int choose_name(struct call *c, struct file_name *ret) {
    const char *slash = strrchr(c->words[0], '/');
    const char *name = option_text(c, "name");
    if (name == NULL)
        name = slash != NULL ? slash + 1 : c->words[0];
    char *whole = format_text("%s/%s", option_text(c, "subject"), name);
    bool good = file_name_parse(whole, ret) && !ret->by_id && strcmp(ret->name, name) == 0;
    free(whole);
    return good ? (int)OUTCOME_DONE
                : fail(c, OUTCOME_USAGE, "%s '%s' is no file name: 1 to 128 bytes of UTF-8 without '/'",
                       option_given(c, "name") ? "--name" : "PATH", name);
}

static int hash_file(struct call *c, struct deposit *d) {
    struct progress p = progress_of("hashing", "B");
    int result = file_hash(d->fd, d->size, &p, d->hash);
    int error = errno;
    progress_end(&p);
    if (result == VAULT_OK && lseek(d->fd, 0, SEEK_SET) == 0)
        return OUTCOME_DONE;
    if (interrupted)
        return fail(c, OUTCOME_FAILED, "interrupted");
    return fail(c, OUTCOME_FAILED, "cannot read '%s': %s", c->words[0],
                result == VAULT_E_CRYPTO ? "no SHA-256"
                : error != 0             ? strerror(error)
                                         : "it became shorter while it was read");
}

/* "Vault-Tags: a,b" or NULL; owned by the caller. */
static char *tags_header(const struct call *c) {
    json_t *tags = option_list(c, "tag");
    char *text = json_array_size(tags) > 0 ? value_text(tags) : NULL;
    char *header = text != NULL ? format_text("Vault-Tags: %s", text) : NULL;
    json_decref(tags);
    free(text);
    return header;
}

/* What the vault says that it stored must be what was read here. */
static int check_receipt(struct call *c, const struct deposit *d, const json_t *document) {
    char hex[2 * SHA256_BYTES + 1];
    const char *told = json_string_value(json_object_get(document, "sha256"));
    hex_encode(hex, sizeof(hex), d->hash, SHA256_BYTES);
    if (told == NULL || strcmp(told, hex) != 0)
        return fail(c, OUTCOME_INTEGRITY, "the vault reports sha256 %s for a file of sha256 %s",
                    told != NULL ? told : "(none)", hex);
    return OUTCOME_DONE;
}

static void print_receipt(const json_t *document) {
    static const struct column fields[] = {{"id", "id"},     {"subject", "subject"}, {"name", "name"},
                                           {"size", "size"}, {"sha256", "sha256"},   {NULL, NULL}};
    print_fields(document, fields);
}

static int send_file(struct call *c, struct deposit *d) {
    char digest[DIGEST_TEXT];
    struct http_answer a;
    struct progress p = progress_of("sending", "B");
    const char *dataset = option_text(c, "dataset");
    digest_text(d->hash, digest);
    char *headers[] = {format_text("Repr-Digest: %s", digest), tags_header(c),
                       dataset != NULL ? format_text("Vault-Dataset: %s", dataset) : NULL};
    char *path = file_path(&d->name);
    struct http_request r = {
        .method = "PUT",
        .path = path,
        .type = "application/octet-stream",
        .headers = {headers[0], headers[1] != NULL ? headers[1] : headers[2], headers[1] != NULL ? headers[2] : NULL},
        .upload = d->fd,
        .upload_size = (int64_t)d->size,
        .progress = &p};
    int outcome = ask(c, &r, &a);
    progress_end(&p);
    if (outcome == OUTCOME_DONE)
        outcome = check_receipt(c, d, a.document);
    if (outcome == OUTCOME_DONE && !print_json(c, a.document))
        print_receipt(a.document);
    answer_clear(&a);
    free(path);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        free(headers[i]);
    return outcome;
}

static int run_put(struct call *c) {
    struct deposit d = {.fd = -1};
    int outcome = open_file(c, &d);
    if (outcome == OUTCOME_DONE)
        outcome = choose_name(c, &d.name);
    if (outcome == OUTCOME_DONE)
        outcome = hash_file(c, &d);
    if (outcome == OUTCOME_DONE)
        outcome = send_file(c, &d);
    if (d.fd >= 0)
        close(d.fd);
    return outcome;
}

static const struct option options[] = {
    {"subject", 0, "S", "the patient whose file it is", OPTION_REQUIRED},
    {"name", 0, "N", "name in the vault (that of the file, without it)", 0},
    {"dataset", 0, "D", "dataset that it belongs to", 0},
    {"tag", 0, "T", "a tag that rules may ask for; repeatable", OPTION_REPEAT},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_put = {
    .name = "put",
    .area = "Files",
    .synopsis = "PATH --subject S [--name N] [--dataset D] [--tag T...]",
    .summary = "deposit a file",
    .help =
        "Deposits the file at PATH with a patient that the vault knows. Its SHA-256 is computed first and sent ahead;\n"
        "the vault stores the file only if it arrives with that digest.",
    .example = "  vaultctl put tumour.cram --subject S-0001 --dataset D1",
    .options = options,
    .words = 1,
    .run = run_put,
};
