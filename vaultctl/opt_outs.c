/* A register of opt-outs, taken in. The whole file is looked at before anything is asked for; then it goes in parts,
 * each all done or not at all. What was done stays done, and is "already" where the file is taken in again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "progress.h"
#include "request.h"
#include "vault/buffer.h"
#include "vault/documents.h"
#include "vault/result.h"

enum { REGISTER_MIB = 64, PART = 32 };

/* What the vault says of each, and how it is counted. */
static const struct state {
    const char *name, *member;
} states[] = {{"opted-out", "opted_out"}, {"already", "already"}, {"unknown", "unknown"}, {"damaged", "damaged"}};
enum { STATES = sizeof(states) / sizeof(states[0]), DAMAGED = STATES - 1 };

struct intake {
    const char *at, *end; /* what is left of the file */
    size_t line;
    bool cut; /* the last line does not end */
    uint64_t listed, done;
    const char *dated; /* NULL: the register has no date */
    uint64_t counts[STATES];
    struct output report;
    bool reporting;
};

/* The next identifier, in `to`. VAULT_NOT_FOUND after the last; VAULT_E_FORMAT, `line` being the one at fault. */
static int next_subject(struct intake *i, char to[NAME_MAX_SIZE + 1]) {
    while (i->at < i->end) {
        const char *at = i->at, *end = memchr(at, '\n', (size_t)(i->end - at));
        i->line++;
        i->cut = end == NULL;
        if (i->cut || memchr(at, '\0', (size_t)(end - at)) != NULL)
            return VAULT_E_FORMAT;
        i->at = end + 1;
        if (end == at || *at == '#')
            continue;
        bool fits = end - at <= NAME_MAX_SIZE && format_string(to, NAME_MAX_SIZE + 1, "%.*s", (int)(end - at), at);
        return fits && name_is_good(to) ? VAULT_OK : VAULT_E_FORMAT;
    }
    return VAULT_NOT_FOUND;
}

static int complain_of_line(struct call *c, const struct intake *i) {
    return fail(c, OUTCOME_USAGE, "'%s' line %zu: %s; nothing was changed", c->words[0], i->line,
                i->cut ? "it does not end: is the register cut off?" : "not one subject identifier");
}

/* All of it, before any of it counts. A register that has a date may name nobody. */
static int look_through(struct call *c, struct intake i, uint64_t *ret_listed) {
    char name[NAME_MAX_SIZE + 1];
    int result;
    while ((result = next_subject(&i, name)) == VAULT_OK)
        ++*ret_listed;
    if (result == VAULT_E_FORMAT)
        return complain_of_line(c, &i);
    return *ret_listed > 0 || i.dated != NULL ? OUTCOME_DONE : fail(c, OUTCOME_USAGE, "'%s' names nobody", c->words[0]);
}

static json_t *next_part(struct intake *i) {
    char name[NAME_MAX_SIZE + 1];
    json_t *part = json_array();
    for (size_t n = 0; n < PART && next_subject(i, name) == VAULT_OK; n++)
        json_array_append_new(part, json_string(name));
    return part;
}

static bool take_state(struct intake *i, const json_t *entry) {
    const char *subject = json_string_value(json_object_get(entry, "subject"));
    const char *state = json_string_value(json_object_get(entry, "state"));
    for (size_t n = 0; n < STATES && subject != NULL && state != NULL; n++)
        if (strcmp(states[n].name, state) == 0) {
            i->counts[n]++;
            i->done++;
            return !i->reporting ||
                   (output_write(&i->report, subject, strlen(subject)) && output_write(&i->report, "\t", 1) &&
                    output_write(&i->report, state, strlen(state)) && output_write(&i->report, "\n", 1));
        }
    return false;
}

static int fail_report(struct call *c, const struct intake *i) {
    return fail(c, OUTCOME_FAILED, "the report '%s' cannot be written: %s", option_text(c, "report"),
                strerror(i->report.error != 0 ? i->report.error : errno));
}

static int take_states(struct call *c, struct intake *i, const json_t *told) {
    for (size_t n = 0; n < json_array_size(told); n++)
        if (!take_state(i, json_array_get(told, n)))
            return i->report.error != 0 ? fail_report(c, i)
                                        : fail(c, OUTCOME_FAILED, "the vault says something unknown of a subject");
    return OUTCOME_DONE;
}

/* The last part of a register that has a day says that it is the last. */
static int take_part(struct call *c, struct intake *i, json_t *part) {
    json_t *answer = NULL;
    size_t asked = json_array_size(part);
    json_t *body = json_pack("{s:o, s:s*}", "subjects", part, "dated", i->dated);
    if (i->dated != NULL && i->done + asked == i->listed)
        json_object_set_new(body, "complete", json_true());
    int outcome = ask_json(c, "POST", format_text("/v1/opt-outs"), body, &answer);
    const json_t *told = json_object_get(answer, "subjects");
    if (outcome == OUTCOME_DONE && json_array_size(told) != asked)
        outcome = fail(c, OUTCOME_FAILED, "the vault's answer is not about what was asked");
    if (outcome == OUTCOME_DONE)
        outcome = take_states(c, i, told);
    json_decref(answer);
    return outcome;
}

static int take_all(struct call *c, struct intake *i) {
    struct progress p = progress_of("opting out", "subjects");
    int outcome;
    do {
        outcome = take_part(c, i, next_part(i));
        progress_move(&p, i->done, i->listed);
    } while (outcome == OUTCOME_DONE && i->done < i->listed);
    progress_end(&p);
    if (outcome != OUTCOME_DONE)
        (void)fail(c, (enum outcome)outcome, "%llu of %llu were taken in; take the register in again for the others",
                   (unsigned long long)i->done, (unsigned long long)i->listed);
    return outcome;
}

static int show(struct call *c, const struct intake *i) {
    static const struct column fields[] = {{"listed", "listed"},   {"opted out now", "opted_out"},
                                           {"before", "already"},  {"not known here", "unknown"},
                                           {"damaged", "damaged"}, {NULL, NULL}};
    json_t *document = json_pack("{s:I}", "listed", (json_int_t)i->listed);
    for (size_t n = 0; n < STATES; n++)
        json_object_set_new(document, states[n].member, json_integer((json_int_t)i->counts[n]));
    if (!print_json(c, document))
        print_fields(document, fields);
    json_decref(document);
    return i->counts[DAMAGED] == 0 ? OUTCOME_DONE
                                   : fail(c, OUTCOME_INTEGRITY,
                                          "%llu entries are damaged: whoever they are of is not "
                                          "opted out",
                                          (unsigned long long)i->counts[DAMAGED]);
}

static int take_in(struct call *c, struct intake *i) {
    const char *report = option_text(c, "report");
    int outcome = look_through(c, *i, &i->listed);
    if (outcome != OUTCOME_DONE)
        return outcome;
    i->reporting = report != NULL;
    if (i->reporting && output_open(&i->report, report) != VAULT_OK)
        return fail_report(c, i);
    outcome = take_all(c, i);
    if (outcome == OUTCOME_DONE && i->reporting && output_keep(&i->report) != VAULT_OK)
        outcome = fail_report(c, i);
    return outcome == OUTCOME_DONE ? show(c, i) : outcome;
}

static int run(struct call *c) {
    char *text = NULL;
    size_t size = 0;
    int outcome = read_at_most(c, c->words[0], REGISTER_MIB, OUTCOME_FAILED, &text, &size);
    if (outcome != OUTCOME_DONE)
        return outcome;
    struct intake i = {.at = text, .end = text + size, .dated = option_text(c, "dated")};
    outcome = take_in(c, &i);
    if (i.reporting)
        output_close(&i.report);
    free(text);
    return outcome;
}

static const struct option options[] = {
    {"dated", 0, "DATE", "the register is whole, and of this day, YYYY-MM-DD", 0},
    {"report", 0, "FILE", "write what became of each, one a line: identifier, tab, state", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_subject_opt_out = {
    .name = "subject opt-out",
    .area = "Subjects and consent",
    .synopsis = "FILE [--dated DATE] [--report FILE]",
    .summary = "take in a register of opt-outs",
    .help =
        "Opts out every patient that the file names: one subject identifier a line, each line ended; empty ones and\n"
        "those that begin with '#' count for nothing; '-' is standard input. Whoever is not in the file stays as\n"
        "they are, and whoever is not known here is counted. Research on those who are opted out has ended when it\n"
        "returns. With a mistake in the file, nothing is changed.\n"
        "A policy may want a register that is not too old: --dated says that this one is whole, and of which day. It\n"
        "may name nobody then.",
    .example = "  vaultctl subject opt-out register.txt --dated 2026-11-26 --report report.tsv",
    .options = options,
    .words = 1,
    .run = run,
};
