/* Which files there are, and what is known of one. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "request.h"

static const struct column columns[] = {
    {"ID", "id"},           {"SUBJECT", "subject"}, {"NAME", "name"},           {"SIZE", "size"},
    {"DATASET", "dataset"}, {"TAGS", "tags"},       {"DEPOSITED", "deposited"}, {NULL, NULL},
};
static const struct column fields[] = {
    {"id", "id"},     {"subject", "subject"}, {"name", "name"},           {"dataset", "dataset"}, {"tags", "tags"},
    {"size", "size"}, {"sha256", "sha256"},   {"deposited", "deposited"}, {"by", "service"},      {NULL, NULL},
};

/* For administrators, where there is something to tell. */
static const struct column failure_fields[] = {
    {"reads that met damage", "failed_authentications.reported"},
    {"damage confirmed by the store", "failed_authentications.confirmed"},
    {"set aside", "failed_authentications.set_aside"},
    {NULL, NULL},
};

static char *files_path(const struct call *c, const char *subject, const char *dataset) {
    char *path = format_text("/v1/files");
    add_query(&path, "subject", subject);
    add_query(&path, "dataset", dataset);
    add_query(&path, "purpose", option_text(c, "purpose"));
    return path;
}

static int run_list(struct call *c) {
    return ask_all_rows(c, files_path(c, option_text(c, "subject"), option_text(c, "dataset")), "files", columns);
}

/* The id of SUBJECT/NAME, from the list of what the asker may see. A reader is not told whether what is missing there
 * is denied or does not exist. */
static int find_id(struct call *c, struct file_name *f) {
    json_t *document;
    size_t i;
    const json_t *file;
    int outcome = ask_pages(c, files_path(c, f->subject, NULL), NULL, "files", &document);
    if (outcome != OUTCOME_DONE)
        return outcome;
    json_array_foreach(json_object_get(document, "files"), i, file) {
        const char *name = json_string_value(json_object_get(file, "name"));
        const char *id = json_string_value(json_object_get(file, "id"));
        if (name != NULL && id != NULL && strcmp(name, f->name) == 0 && file_name_parse(id, f) && f->by_id)
            break;
    }
    json_decref(document);
    if (f->by_id)
        return OUTCOME_DONE;
    if (option_given(c, "purpose"))
        return fail(c, OUTCOME_DENIED, "'%s' is denied for this purpose, or is not there", c->words[0]);
    return fail(c, OUTCOME_NOT_FOUND, "there is no file '%s'", c->words[0]);
}

static int show_id(struct call *c, const char *id) {
    struct http_answer a;
    char *file = resource("/v1/files", id);
    char *path = format_text("%s/metadata", file);
    char *purpose = purpose_header(c);
    struct http_request r = {.method = "GET", .path = path, .headers = {purpose}, .upload_size = -1};
    int outcome = ask(c, &r, &a);
    if (outcome == OUTCOME_DONE && !print_json(c, a.document)) {
        print_fields(a.document, fields);
        print_told_fields(a.document, failure_fields);
    }
    answer_clear(&a);
    free(purpose);
    free(path);
    free(file);
    return outcome;
}

static int run_show(struct call *c) {
    struct file_name f;
    int outcome = OUTCOME_DONE;
    if (!file_name_parse(c->words[0], &f))
        return fail(c, OUTCOME_USAGE, "'%s' is neither a file id (32 hex digits) nor SUBJECT/NAME", c->words[0]);
    if (!f.by_id)
        outcome = find_id(c, &f);
    return outcome == OUTCOME_DONE ? show_id(c, f.id) : outcome;
}

static const struct option list_options[] = {
    {"subject", 0, "S", "only files of this patient", 0},
    {"dataset", 0, "D", "only files of this dataset", 0},
    {"purpose", 0, "P", "what you may read for this purpose (needed by readers)", 0},
    {NULL, 0, NULL, NULL, 0},
};
static const struct option show_options[] = {
    {"purpose", 0, "P", "purpose (needed by readers)", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_list = {
    .name = "list",
    .area = "Files",
    .synopsis = "[--subject S] [--dataset D] [--purpose P]",
    .summary = "files that you may see",
    .help = "Lists files: for a reader, those that it may read for the purpose; for administrative roles, all.",
    .example = "  vaultctl list --subject S-0001 --purpose treatment",
    .options = list_options,
    .run = run_list,
};

const struct command command_show = {
    .name = "show",
    .area = "Files",
    .synopsis = "FILE [--purpose P]",
    .summary = "what is known of a file",
    .help = "Shows a file's size, SHA-256, dataset, tags, and who deposited it when.\n"
            "FILE is a file id or SUBJECT/NAME.",
    .example = "  vaultctl show S-0001/tumour.cram --purpose treatment",
    .options = show_options,
    .words = 1,
    .run = run_show,
};
