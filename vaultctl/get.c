/* Reading a file: to standard output, or to a file that appears only when it is whole and right. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fate.h"
#include "files.h"
#include "request.h"
#include "vault/buffer.h"
#include "vault/result.h"

struct reading {
    struct file_name name;
    bool part; /* --range */
    uint64_t first, last;
    struct output out;
    uint8_t hash[SHA256_BYTES];
};

static int understand(struct call *c, struct reading *r) {
    const char *range = option_text(c, "range");
    if (!file_name_parse(c->words[0], &r->name))
        return fail(c, OUTCOME_USAGE, "'%s' is neither a file id (32 hex digits) nor SUBJECT/NAME", c->words[0]);
    r->part = range != NULL;
    if (r->part && !range_parse(range, &r->first, &r->last))
        return fail(c, OUTCOME_USAGE, "--range '%s' is not A-B: first and last byte, counted from 0", range);
    if (c->json && (option_text(c, "output") == NULL || strcmp(option_text(c, "output"), "-") == 0))
        return fail(c, OUTCOME_USAGE, "--json needs -o: content and document cannot share standard output");
    return OUTCOME_DONE;
}

/* A partial answer must be the part that was asked for; the vault may shorten it at the end of the file. */
static bool range_is_right(const struct reading *r, const struct http_answer *a) {
    char text[64];
    uint64_t first;
    uint64_t last;
    const char *value = a->content_range;
    size_t n = strcspn(value, "/");
    if (strncmp(value, "bytes ", 6) != 0 || n >= sizeof(text))
        return false;
    (void)format_string(text, sizeof(text), "%.*s", (int)(n - 6), value + 6);
    return range_parse(text, &first, &last) && first == r->first && last <= r->last && r->out.size == last - first + 1;
}

/* The answer came whole: is it what was asked for, and undamaged? */
static int check_content(struct call *c, struct reading *r, const struct http_answer *a) {
    bool equal = false;
    if (output_digest(&r->out, r->hash) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "no SHA-256");
    if (a->size >= 0 && (uint64_t)a->size != r->out.size)
        return fail(c, OUTCOME_INTEGRITY, "%llu bytes came, %lld were announced", (unsigned long long)r->out.size,
                    (long long)a->size);
    if (r->part)
        return a->status == 206 && range_is_right(r, a)
                   ? (int)OUTCOME_DONE
                   : fail(c, OUTCOME_FAILED, "the vault answered with another range than asked for");
    if (a->status != 200)
        return fail(c, OUTCOME_FAILED, "the vault answered with HTTP status %ld to a read of the whole file",
                    a->status);
    if (!digest_in_header(a->repr_digest, r->hash, &equal))
        return fail(c, OUTCOME_INTEGRITY, "the vault announced no digest for the content");
    if (!equal)
        return fail(c, OUTCOME_INTEGRITY, "the content does not match the digest that the vault announced for it");
    return OUTCOME_DONE;
}

static int report(struct call *c, const struct reading *r) {
    char hex[2 * SHA256_BYTES + 1];
    if (!c->json)
        return OUTCOME_DONE;
    hex_encode(hex, sizeof(hex), r->hash, SHA256_BYTES);
    json_t *document = json_pack("{s:s, s:s, s:I, s:s}", "file", c->words[0], "path", option_text(c, "output"), "size",
                                 (json_int_t)r->out.size, "sha256", hex);
    if (document == NULL)
        return fail(c, OUTCOME_FAILED, "the path is not UTF-8: no document of it can be made");
    print_json(c, document);
    json_decref(document);
    return OUTCOME_DONE;
}

static int conclude(struct call *c, struct reading *r, int outcome, struct http_answer *a) {
    const char *target = option_text(c, "output");
    if (a->sink_failed)
        return fail(c, OUTCOME_FAILED, "cannot write %s: %s", target != NULL ? target : "standard output",
                    r->out.error != 0 ? strerror(r->out.error) : "no SHA-256");
    if (a->cut && !interrupted)
        return fate_tell(c, a);
    if (outcome != OUTCOME_DONE)
        return fail_answer(c, (enum outcome)outcome, a);
    outcome = check_content(c, r, a);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (output_keep(&r->out) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "cannot write '%s': %s", target, strerror(errno));
    return report(c, r);
}

static int fetch(struct call *c, struct reading *r) {
    struct progress p = progress_of("receiving", "B");
    struct http_answer a;
    bool told;
    char *path = file_path(&r->name);
    char *purpose = purpose_header(c);
    char *range = r->part
                      ? format_text("Range: bytes=%llu-%llu", (unsigned long long)r->first, (unsigned long long)r->last)
                      : NULL;
    struct http_request request = {.method = "GET",
                                   .path = path,
                                   .headers = {purpose, range},
                                   .upload_size = -1,
                                   .sink = output_write,
                                   .context = &r->out,
                                   .progress = &p};
    int outcome = exchange(c, &request, &a, &told);
    progress_end(&p);
    if (!told)
        outcome = conclude(c, r, outcome, &a);
    answer_clear(&a);
    free(range);
    free(purpose);
    free(path);
    return outcome;
}

static int run_get(struct call *c) {
    struct reading r = {.out = {.fd = -1}};
    int outcome = understand(c, &r);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (output_open(&r.out, option_text(c, "output")) != VAULT_OK)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", option_text(c, "output"), strerror(errno));
    else
        outcome = fetch(c, &r);
    output_close(&r.out);
    return outcome;
}

static const struct option options[] = {
    {"purpose", 0, "P", "what it is read for, with its particulars", OPTION_REQUIRED},
    {"output", 'o', "PATH", "write here when whole (standard output, without it)", 0},
    {"range", 0, "A-B", "only these bytes, first and last, from 0", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_get = {
    .name = "get",
    .area = "Files",
    .synopsis = "FILE --purpose P [-o PATH] [--range A-B]",
    .summary = "read a file",
    .help = "Reads a file for a purpose. With -o the file appears under its name when it is whole and matches its\n"
            "digest, readable by you only; if anything goes wrong there is no file.\n"
            "FILE is a file id or SUBJECT/NAME. A purpose has its particulars with it, as in the second example.",
    .example = "  vaultctl get S-0001/tumour.cram --purpose treatment -o tumour.cram\n"
               "  vaultctl get S-0001/tumour.cram --purpose 'research;project=\"P1\";approval=\"A1\"' --range 0-65535",
    .options = options,
    .words = 1,
    .run = run_get,
};
