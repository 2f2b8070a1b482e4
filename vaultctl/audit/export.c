/* The audit taken out, so that others can verify it: a folder with records, their proofs and the checkpoint, or, for
 * those who only read it, a table. It is written under another name and gets its own when it is complete. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "csv.h"
#include "folder.h"
#include "lines.h"
#include "tiles.h"
#include "vaultctl/commands.h"
#include "vaultctl/files.h"
#include "vaultctl/request.h"
#include "vault/buffer.h"
#include "vault/checkpoint.h"
#include "vault/documents.h"
#include "vault/record.h"
#include "vault/result.h"

enum { RECORDS, PROOFS, ASKED, CHECKPOINT };

/* How an export is written: a table in one file; a tree of tiles; or what proves it, and what is written beside. */
enum kind { TABLE, TILES, LINES };
static const struct form {
    const char *name;
    enum kind kind;
    int (*write)(const struct audit_folder *f, char **ret_path); /* as audit_report_write; NULL: nothing beside */
} forms[] = {
    {"jsonl", LINES, NULL},
    {"csv", TABLE, NULL},
    {"report", LINES, audit_report_write},
    {"html", LINES, audit_html_write},
    {"tiles", TILES, NULL},
    {"fhir", LINES, audit_fhir_write},
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

struct export {
    const struct form *form;
    const char *path; /* as asked for, without slashes at the end; owned */
    char *folder;     /* the temporary one; NULL once it has its name */
    uint64_t from, to, size;
    char *base; /* path of the resource that has the lines: of all records, or of one chain's; owned */
    bool all;
    uint64_t count;                /* records that came */
    FILE *leaves;                  /* their leaves, for the proofs; a file without a name */
    const char *checkpoint, *vkey; /* from the answer */
};

/* `--from` and `--to`: the number of a record, or a day. */
static int add_bound(struct call *c, json_t *body, const char *option, const char *by_time) {
    const char *text = option_text(c, option);
    uint64_t number = 0;
    int64_t seconds;
    if (text == NULL)
        return OUTCOME_DONE;
    if (date_parse(text, &seconds))
        json_object_set_new(body, by_time, json_string(text));
    else if (number_parse(text, INT64_MAX, &number))
        json_object_set_new(body, option, json_integer((json_int_t)number));
    else
        return fail(c, OUTCOME_USAGE, "--%s '%s' is no record number and no day (YYYY-MM-DD)", option, text);
    return OUTCOME_DONE;
}

/* The size that a checkpoint states, which is the number of the first record that it does not cover. Only where to
 * begin is taken from it. */
static int add_checkpoint(struct call *c, json_t *body) {
    const char *path = option_text(c, "since-checkpoint");
    char *note = NULL;
    size_t size = 0;
    uint64_t number = 0;
    if (path == NULL)
        return OUTCOME_DONE;
    if (option_given(c, "from"))
        return fail(c, OUTCOME_USAGE, "--from and --since-checkpoint do not go together");
    int outcome = read_at_most(c, path, 1, OUTCOME_FAILED, &note, &size);
    if (outcome != OUTCOME_DONE)
        return outcome;
    char *line = strchr(note, '\n');
    char *end = line == NULL ? NULL : strchr(line + 1, '\n');
    if (end != NULL)
        *end = '\0';
    if (end == NULL || !number_parse(line + 1, INT64_MAX, &number))
        outcome = fail(c, OUTCOME_FAILED, "'%s' is no checkpoint", path);
    else
        json_object_set_new(body, "from", json_integer((json_int_t)number));
    free(note);
    return outcome;
}

/* Whose records alone may be taken out: the option, and where they are. */
static const char *const chains_of[][2] = {
    {"subject", "/v1/audit/subjects"}, {"service", "/v1/audit/services"}, {"project", "/v1/audit/projects"}};
enum { CHAINS = sizeof(chains_of) / sizeof(chains_of[0]) };

static bool is_of_a_chain(const struct call *c) {
    bool given = false;
    for (size_t i = 0; i < CHAINS; i++)
        given = given || option_given(c, chains_of[i][0]);
    return given;
}

static int fill_body(struct call *c, json_t *body) {
    unsigned chains = 0;
    int outcome = add_bound(c, body, "from", "since");
    if (outcome == OUTCOME_DONE)
        outcome = add_bound(c, body, "to", "until");
    if (outcome == OUTCOME_DONE)
        outcome = add_checkpoint(c, body);
    for (size_t i = 0; i < CHAINS; i++) {
        if (!option_given(c, chains_of[i][0]))
            continue;
        chains++;
        json_object_set_new(body, chains_of[i][0], json_string(option_text(c, chains_of[i][0])));
    }
    if (outcome == OUTCOME_DONE && chains > 1)
        return fail(c, OUTCOME_USAGE, "--subject, --service and --project do not go together");
    return outcome;
}

static bool is_of_a_part(const struct call *c) {
    return option_given(c, "from") || option_given(c, "to") || option_given(c, "since-checkpoint") || is_of_a_chain(c);
}

static const struct form *form_named(const char *name) {
    for (size_t i = 0; i < FORMS; i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

static int parse_options(struct call *c, const struct form **ret_form, json_t **ret) {
    const char *name = option_text(c, "format");
    const struct form *form = form_named(name);
    if (form == NULL)
        return fail(c, OUTCOME_USAGE,
                    "--format '%s' is unknown: this release writes jsonl, csv, report, html, fhir and tiles", name);
    if (form->kind == TILES && is_of_a_part(c))
        return fail(c, OUTCOME_USAGE, "--format tiles is of the whole log");
    if (form->write == audit_report_write && !option_given(c, "subject"))
        return fail(c, OUTCOME_USAGE, "--format report is about one patient: --subject is needed");
    json_t *body = json_pack("{s:s}", "format", name);
    int outcome = fill_body(c, body);
    *ret_form = form;
    if (outcome == OUTCOME_DONE)
        *ret = body;
    else
        json_decref(body);
    return outcome;
}

/* The target must not exist, or be an empty folder: found out before the vault records an export. */
static int check_target(struct call *c, const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? (int)OUTCOME_DONE
                               : fail(c, OUTCOME_FAILED, "cannot write '%s': %s", path, strerror(errno));
    DIR *d = opendir(path);
    if (d == NULL)
        return fail(c, OUTCOME_FAILED, "cannot write '%s': it exists, and is no folder that can be read", path);
    size_t entries = 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return entries == 0 ? (int)OUTCOME_DONE : fail(c, OUTCOME_FAILED, "cannot write '%s': it is not empty", path);
}

static int make_folder(struct call *c, struct export *e) {
    char *parent = folder_of(e->path);
    const char *slash = strrchr(e->path, '/');
    char *folder = format_text("%s/.%s.XXXXXX", parent, slash != NULL ? slash + 1 : e->path);
    free(parent);
    if (mkdtemp(folder) == NULL) {
        int outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->path, strerror(errno));
        free(folder);
        return outcome;
    }
    e->folder = folder;
    return OUTCOME_DONE;
}

/* One exchange, from this number on. */
static int fetch_from(struct call *c, const struct export *e, const char *name, uint64_t from, struct lines *l,
                      struct progress *p, struct http_answer *a, bool *told) {
    char *path = format_text("%s/%s?from=%llu&to=%llu&tree=%llu", e->base, name, (unsigned long long)from,
                             (unsigned long long)e->to, (unsigned long long)e->size);
    struct http_request r = {
        .method = "GET", .path = path, .upload_size = -1, .sink = lines_take, .context = l, .progress = p};
    int outcome = exchange(c, &r, a, told);
    free(path);
    return outcome;
}

/* A transfer that broke off goes on behind the last line that came: the log below this size stays as it is. It ends
 * when nothing more comes, again and again. */
static int fetch_all(struct call *c, const struct export *e, const char *name, struct lines *l, struct http_answer *a,
                     bool *told) {
    enum { TRIES = 10 };
    const struct timespec pause = {.tv_nsec = 300000000};
    struct progress p = progress_of(name, "B");
    uint64_t from = e->from, before;
    unsigned tries = 0;
    int outcome;
    do {
        before = l->count;
        if (tries > 0) {
            answer_clear(a);
            (void)nanosleep(&pause, NULL);
        }
        outcome = fetch_from(c, e, name, from, l, &p, a, told);
        bool broken =
            outcome != OUTCOME_DONE && !*told && !a->sink_failed && !interrupted && (a->cut || a->status == 0);
        if (!broken || l->count == 0)
            break;
        l->line_size = 0; /* the rest of that line will not come */
        from = lines_next(l);
        tries = l->count > before ? 1 : tries + 1;
    } while (tries < TRIES && from < e->to);
    progress_end(&p);
    return outcome;
}

/* Fetches /v1/audit/RESOURCE into a file; at least one whole line must come. */
static int fetch_lines(struct call *c, const struct export *e, const char *name, struct lines *l) {
    struct http_answer a;
    bool told;
    int outcome = fetch_all(c, e, name, l, &a, &told);
    if (l->malformed || (outcome == OUTCOME_DONE && l->line_size > 0))
        outcome = fail(c, OUTCOME_FAILED, "the answer to GET %s/%s holds a line that is no record", e->base, name);
    else if (a.sink_failed)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", l->out.path, strerror(l->out.error));
    else if (outcome != OUTCOME_DONE && !told)
        outcome = fail_answer(c, (enum outcome)outcome, &a);
    else if (outcome == OUTCOME_DONE && l->count == 0)
        outcome = fail(c, OUTCOME_FAILED, "there are no such records from %llu to before %llu",
                       (unsigned long long)e->from, (unsigned long long)e->to);
    answer_clear(&a);
    return outcome;
}

static int fetch_records(struct call *c, struct export *e, struct lines *l) {
    int outcome = fetch_lines(c, e, "records", l);
    e->count = l->records;
    if (outcome == OUTCOME_DONE && e->all && e->count != e->to - e->from)
        outcome = fail(c, OUTCOME_FAILED, "%llu lines came for %llu records", (unsigned long long)e->count,
                       (unsigned long long)(e->to - e->from));
    return outcome;
}

static int put_records(struct call *c, struct export *e, struct lines *l) {
    l->use = use_as_record;
    int outcome = fetch_records(c, e, l);
    if (outcome == OUTCOME_DONE && (fflush(l->leaves) != 0 || fseek(l->leaves, 0, SEEK_SET) != 0))
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->folder, strerror(errno));
    return outcome;
}

static int put_proofs(struct call *c, struct export *e, struct lines *l) {
    l->use = use_as_proof;
    int outcome = fetch_lines(c, e, "proofs", l);
    if (outcome == OUTCOME_DONE && l->records != e->count)
        outcome = fail(c, OUTCOME_FAILED, "proofs came for %llu of %llu records", (unsigned long long)l->records,
                       (unsigned long long)e->count);
    return outcome;
}

/* The export's own record, which is the last of its checkpoint's log, and the proof of that: what was asked for. */
static int put_asked(struct call *c, struct export *e, struct lines *l) {
    char base[] = "/v1/audit";
    const struct export own = {.base = base, .from = e->size - 1, .to = e->size, .size = e->size};
    long before = ftell(l->leaves);
    bool good = before >= 0 && fseek(l->leaves, before, SEEK_SET) == 0;
    l->use = use_as_record;
    int outcome = good ? fetch_lines(c, &own, "records", l) : OUTCOME_FAILED;
    good = good && (outcome != OUTCOME_DONE || (fflush(l->leaves) == 0 && fseek(l->leaves, before, SEEK_SET) == 0));
    if (!good)
        return fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->folder, strerror(errno));
    l->use = use_as_proof;
    if (outcome == OUTCOME_DONE)
        outcome = fetch_lines(c, &own, "proofs", l);
    if (outcome == OUTCOME_DONE && l->count != 2)
        outcome = fail(c, OUTCOME_FAILED, "more came than the record of this export and its proof");
    return outcome;
}

static int put_checkpoint(struct call *c, struct export *e, struct lines *l) {
    return output_write(&l->out, e->checkpoint, strlen(e->checkpoint))
               ? (int)OUTCOME_DONE
               : fail(c, OUTCOME_FAILED, "cannot write '%s': %s", l->out.path, strerror(l->out.error));
}

static const struct part {
    const char *name;
    int (*fill)(struct call *c, struct export *e, struct lines *l);
} parts[] = {[RECORDS] = {"records.jsonl", put_records},
             [PROOFS] = {"proofs.jsonl", put_proofs},
             [ASKED] = {"asked.jsonl", put_asked},
             [CHECKPOINT] = {"checkpoint", put_checkpoint}};

static int fill_part(struct call *c, struct export *e, const struct part *part, struct lines *l) {
    output_skip_digest(&l->out);
    int outcome = part->fill(c, e, l);
    if (outcome == OUTCOME_DONE && !lines_flush(l))
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", l->out.path, strerror(l->out.error));
    return outcome;
}

/* One file of the folder. */
static int write_part(struct call *c, struct export *e, const struct part *part) {
    struct lines l = {.leaves = e->leaves};
    char *path = format_text("%s/%s", e->folder, part->name);
    int outcome = OUTCOME_DONE;
    if (output_open(&l.out, path) != VAULT_OK)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", path, strerror(errno));
    else if (!lines_begin(&l))
        outcome = fail(c, OUTCOME_FAILED, "out of memory");
    else
        outcome = fill_part(c, e, part, &l);
    if (outcome == OUTCOME_DONE && output_keep(&l.out) != VAULT_OK)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", path, strerror(errno));
    output_close(&l.out);
    lines_end(&l);
    free(path);
    return outcome;
}

/* A table, in one file. */
static int write_table(struct call *c, struct export *e) {
    struct lines l = {.out = {.fd = -1}, .use = use_in_table};
    int outcome = lines_begin(&l) ? (int)OUTCOME_DONE : fail(c, OUTCOME_FAILED, "out of memory");
    if (outcome == OUTCOME_DONE && (output_open(&l.out, e->path) != VAULT_OK || csv_begin(&l.out) != VAULT_OK))
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->path, strerror(errno));
    if (outcome == OUTCOME_DONE)
        outcome = fetch_records(c, e, &l);
    if (outcome == OUTCOME_DONE && output_keep(&l.out) != VAULT_OK)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->path, strerror(errno));
    output_close(&l.out);
    lines_end(&l);
    return outcome;
}

static int give_name(struct call *c, struct export *e) {
    char *parent = folder_of(e->path);
    int outcome = OUTCOME_DONE;
    if (rename(e->folder, e->path) != 0) {
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->path, strerror(errno));
    } else {
        free(e->folder);
        e->folder = NULL;
        if (folder_sync(parent) != VAULT_OK)
            outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", parent, strerror(errno));
    }
    free(parent);
    return outcome;
}

/* What came is verified as whoever gets it will, and what is read of it is written beside. */
static int write_beside(struct call *c, const struct export *e) {
    static struct audit_report verified;
    int result = audit_verify(e->folder, e->vkey, NULL, &verified), outcome = OUTCOME_DONE;
    if (result != VAULT_OK)
        return fail(c, OUTCOME_INTEGRITY, "what came does not verify: %s",
                    verified.problem[0] != '\0' ? verified.problem : vault_result_name(result));
    struct audit_folder f = {.path = e->folder,
                             .subject = option_text(c, "subject"),
                             .service = option_text(c, "service"),
                             .origin = verified.origin,
                             .vkey = e->vkey,
                             .verified = &verified};
    char *path = NULL;
    result = e->form->write(&f, &path);
    if (result == VAULT_E_IO)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", path, strerror(errno));
    else if (result != VAULT_OK)
        outcome = fail(c, OUTCOME_FAILED, "the %s cannot be written: %s", e->form->name, vault_result_name(result));
    free(path);
    return outcome;
}

/* They must give the root that the log signed. */
static int end_tiles(struct call *c, const struct export *e, struct tiles *t) {
    struct checkpoint head;
    uint8_t root[MERKLE_HASH];
    uint64_t size = 0;
    if (tiles_end(t, &size, root) != VAULT_OK)
        return fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->folder, strerror(errno));
    if (checkpoint_verify(e->checkpoint, e->vkey, &head) != VAULT_OK || head.size != size ||
        memcmp(head.root, root, MERKLE_HASH) != 0)
        return fail(c, OUTCOME_INTEGRITY, "the records that came are not those that the log has signed");
    return OUTCOME_DONE;
}

static int write_tiles(struct call *c, struct export *e) {
    struct lines l = {.use = use_in_tiles, .tiles = tiles_begin(e->folder)};
    bool begun = lines_begin(&l) && l.tiles != NULL;
    int outcome = begun ? (int)OUTCOME_DONE : fail(c, OUTCOME_FAILED, "out of memory");
    l.out.path = e->folder; /* for what goes wrong */
    if (outcome == OUTCOME_DONE)
        outcome = fetch_records(c, e, &l);
    if (outcome == OUTCOME_DONE)
        outcome = end_tiles(c, e, l.tiles);
    tiles_free(l.tiles);
    lines_end(&l);
    if (outcome == OUTCOME_DONE)
        outcome = write_part(c, e, &parts[CHECKPOINT]);
    return outcome;
}

/* In the folder that is written, so where there is room for the records. */
static FILE *open_leaves(const struct export *e) {
    char *path = format_text("%s/.leaves.XXXXXX", e->folder);
    int fd = mkostemp(path, O_CLOEXEC);
    FILE *leaves = fd < 0 ? NULL : fdopen(fd, "w+");
    if (fd >= 0)
        (void)unlink(path);
    if (fd >= 0 && leaves == NULL)
        close(fd);
    free(path);
    return leaves;
}

static int write_lines(struct call *c, struct export *e) {
    int outcome = OUTCOME_DONE;
    e->leaves = open_leaves(e);
    if (e->leaves == NULL)
        return fail(c, OUTCOME_FAILED, "cannot write '%s': %s", e->folder, strerror(errno));
    for (size_t i = RECORDS; i <= CHECKPOINT && outcome == OUTCOME_DONE; i++)
        outcome = write_part(c, e, &parts[i]);
    (void)fclose(e->leaves);
    return outcome == OUTCOME_DONE && e->form->write != NULL ? write_beside(c, e) : outcome;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st;
    (void)type;
    (void)at;
    (void)remove(path); /* what is left is left, under a name that tells */
    return 0;
}

static int write_export(struct call *c, struct export *e) {
    enum { OPEN_FOLDERS = 16 };
    int outcome = make_folder(c, e);
    if (outcome == OUTCOME_DONE)
        outcome = e->form->kind == TILES ? write_tiles(c, e) : write_lines(c, e);
    if (outcome == OUTCOME_DONE)
        outcome = give_name(c, e);
    if (e->folder != NULL)
        (void)nftw(e->folder, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    free(e->folder);
    return outcome;
}

static bool take_number(const json_t *document, const char *name, uint64_t *ret) {
    const json_t *value = json_object_get(document, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static void print_summary(const struct export *e) {
    printf("exported      %llu records (%llu to before %llu) of a log of %llu\n", (unsigned long long)e->count,
           (unsigned long long)e->from, (unsigned long long)e->to, (unsigned long long)e->size);
    if (e->form->kind == TABLE) {
        puts("A table proves nothing. For somebody who must be shown, export jsonl.");
        return;
    }
    print_line(stdout, "verifier key  ", e->vkey);
    puts("Whoever verifies the export must have the verifier key from elsewhere, not from the export's sender.");
}

static int take_export(struct call *c, struct export *e, json_t *document) {
    e->checkpoint = json_string_value(json_object_get(document, "checkpoint"));
    e->vkey = json_string_value(json_object_get(document, "vkey"));
    if (!take_number(document, "from", &e->from) || !take_number(document, "to", &e->to) ||
        !take_number(document, "size", &e->size) || e->from > e->to || e->to > e->size || e->checkpoint == NULL ||
        e->vkey == NULL)
        return fail(c, OUTCOME_FAILED, "the answer to POST /v1/audit/exports is not what it should be");
    int outcome = e->form->kind == TABLE ? write_table(c, e) : write_export(c, e);
    if (outcome != OUTCOME_DONE)
        return outcome;
    json_object_set_new(document, "path", json_string(e->path));
    json_object_set_new(document, "records", json_integer((json_int_t)e->count));
    if (!print_json(c, document))
        print_summary(e);
    return OUTCOME_DONE;
}

static char *base_of(const struct call *c) {
    for (size_t i = 0; i < CHAINS; i++)
        if (option_given(c, chains_of[i][0]))
            return resource(chains_of[i][1], option_text(c, chains_of[i][0]));
    return format_text("/v1/audit");
}

static int run_export(struct call *c) {
    const char *target = option_text(c, "output");
    json_t *body = NULL;
    json_t *document = NULL;
    const struct form *form = NULL;
    int outcome = parse_options(c, &form, &body);
    if (outcome != OUTCOME_DONE)
        return outcome;
    size_t n = strlen(target);
    while (n > 1 && target[n - 1] == '/')
        n--;
    char *path = format_text("%.*s", (int)n, target);
    struct export e = {.form = form, .path = path, .base = base_of(c), .all = !is_of_a_chain(c)};
    outcome = form->kind == TABLE ? (int)OUTCOME_DONE : check_target(c, path);
    if (outcome == OUTCOME_DONE)
        outcome = ask_json(c, "POST", format_text("/v1/audit/exports"), body, &document);
    else
        json_decref(body);
    if (outcome == OUTCOME_DONE)
        outcome = take_export(c, &e, document);
    json_decref(document);
    free(e.base);
    free(path);
    return outcome;
}

static const struct option options[] = {
    {"from", 0, "N", "first record (0, without it), or the day from which on", 0},
    {"to", 0, "N", "record after the last (all, without it), or the day before which", 0},
    {"since-checkpoint", 0, "FILE", "what came after this checkpoint", 0},
    {"subject", 0, "S", "only the records about this patient", 0},
    {"service", 0, "S", "only what this service did", 0},
    {"project", 0, "P", "only what was asked and read for this project", 0},
    {"format", 0, "FORMAT", "jsonl, with proofs; csv; report, for the patient; html, a page; fhir; or tiles",
     OPTION_REQUIRED},
    {"output", 'o', "PATH", "folder to make, which must not exist or be empty; csv: a file", OPTION_REQUIRED},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_audit_export = {
    .name = "audit export",
    .area = "Audit",
    .synopsis = "[--from N|DAY] [--to N|DAY] [--since-checkpoint FILE] [--subject S | --service S | --project P] "
                "--format FORMAT -o PATH",
    .summary = "take the audit out, with proofs",
    .help =
        "Writes records.jsonl, proofs.jsonl, asked.jsonl and checkpoint to the folder PATH, which appears when it is "
        "complete.\n"
        "The export is itself recorded. 'audit verify' checks it anywhere. Of one patient, service or project it holds "
        "all\n"
        "records of their chain from the first to the last of them: one that is left out shows.\n"
        "With --format csv PATH is a table, which proves nothing. With --format report, of one patient, report.txt "
        "says\n"
        "in plain words what is on record, and minlog.json has it in the shape of MinLog, beside what proves it.\n"
        "With --format html audit.html is a page for people, with charts and a table that filters, beside what proves "
        "it.\n"
        "With --format tiles PATH is a static tree of C2SP tlog-tiles of the whole log, which any web server can "
        "offer.\n"
        "With --format fhir auditevents.json, beside what proves it, has each record as a FHIR R4 AuditEvent.",
    .example = "  vaultctl audit export --format jsonl -o export-2026-11",
    .options = options,
    .run = run_export,
};
