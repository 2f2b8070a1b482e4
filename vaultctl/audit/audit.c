/* The audit from within: its last records and its checkpoint. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vaultctl/commands.h"
#include "vaultctl/files.h"
#include "vaultctl/request.h"
#include "vault/result.h"

enum { TAIL_DEFAULT = 20, TAIL_MAX = 100000 };

/* Lines of JSON to an array. NULL if one of them is no JSON object. */
static json_t *parse_lines(const char *text) {
    json_t *records = json_array();
    while (text != NULL && *text != '\0') {
        size_t n = strcspn(text, "\n");
        json_t *record = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(record) || json_array_append(records, record) != 0) {
            json_decref(record);
            json_decref(records);
            return NULL;
        }
        json_decref(record);
        text += n + (text[n] == '\n');
    }
    return records;
}

/* The first reason's rule, for a line of the table; the rest is in --json. */
static void add_first_rule(json_t *records) {
    size_t i;
    json_t *record;
    json_array_foreach(records, i, record) {
        const json_t *reason = json_array_get(json_object_get(record, "reasons"), 0);
        json_t *rule = json_object_get(reason, "rule");
        json_object_set(record, "rule", rule != NULL ? rule : json_null());
    }
}

static int print_records(struct call *c, const char *text) {
    static const struct column columns[] = {
        {"SEQ", "seq"},
        {"TIME", "time"},
        {"EVENT", "event"},
        {"OUTCOME", "outcome"},
        {"SERVICE", "service.name"},
        {"SUBJECT", "subject"},
        {"PURPOSE", "purpose"},
        {"RULE", "rule"},
        {NULL, NULL},
    };
    json_t *records = parse_lines(text);
    if (records == NULL)
        return fail(c, OUTCOME_FAILED, "the answer to GET /v1/audit/tail holds a line that is no JSON object");
    json_t *document = json_pack("{s:O}", "records", records);
    if (!print_json(c, document)) {
        add_first_rule(records);
        print_table(records, columns);
    }
    json_decref(document);
    json_decref(records);
    return OUTCOME_DONE;
}

static int run_tail(struct call *c) {
    const char *text = option_text(c, "count");
    uint64_t count = TAIL_DEFAULT;
    struct http_answer a;
    if (text != NULL && (!number_parse(text, TAIL_MAX, &count) || count == 0))
        return fail(c, OUTCOME_USAGE, "-n '%s' is no number from 1 to %d", text, TAIL_MAX);
    char *path = format_text("/v1/audit/tail?count=%llu", (unsigned long long)count);
    struct http_request r = {.method = "GET", .path = path, .upload_size = -1};
    int outcome = ask(c, &r, &a);
    if (outcome == OUTCOME_DONE)
        outcome = print_records(c, a.body);
    answer_clear(&a);
    free(path);
    return outcome;
}

/* Writes text to a new file, all or nothing. */
static int save(struct call *c, const char *path, const char *text) {
    struct output out;
    int outcome = OUTCOME_DONE;
    if (output_open(&out, path) != VAULT_OK || !output_write(&out, text, strlen(text)) || output_keep(&out) != VAULT_OK)
        outcome = fail(c, OUTCOME_FAILED, "cannot write '%s': %s", path, strerror(errno));
    output_close(&out);
    return outcome;
}

/* Asks again and again for the head that witnesses have cosigned, until it has this one. */
static int wait_for_witness(struct call *c, json_t *document) {
    const struct timespec pause = {.tv_nsec = 200000000};
    json_int_t wanted = json_integer_value(json_object_get(document, "size"));
    uint64_t seconds = 60;
    const char *text = option_text(c, "seconds");
    if (text != NULL && (!number_parse(text, 3600, &seconds) || seconds == 0))
        return fail(c, OUTCOME_USAGE, "--seconds '%s' is no number from 1 to 3600", text);
    for (uint64_t n = 0; n < 5 * seconds; n++) {
        json_t *answer = NULL;
        int outcome = ask_json(c, "GET", format_text("/v1/audit/witnessed"), NULL, &answer);
        json_t *witnessed = json_object_get(answer, "witnessed");
        bool there = outcome == OUTCOME_DONE && json_integer_value(json_object_get(witnessed, "size")) >= wanted;
        if (there)
            json_object_set(document, "witnessed", witnessed);
        json_decref(answer);
        if (there || outcome != OUTCOME_DONE)
            return outcome;
        (void)nanosleep(&pause, NULL);
    }
    return fail(c, OUTCOME_FAILED, "no witness has cosigned it within %llu seconds: see 'witnesses' in 'status --json'",
                (unsigned long long)seconds);
}

static int show_checkpoint(struct call *c, const json_t *document) {
    const json_t *from = option_given(c, "witnessed") ? json_object_get(document, "witnessed") : document;
    const char *note = json_string_value(json_object_get(from, "checkpoint"));
    const char *vkey = json_string_value(json_object_get(document, "vkey"));
    const char *path = option_text(c, "output");
    if (note == NULL || vkey == NULL)
        return fail(c, OUTCOME_FAILED, "the answer to GET /v1/audit/checkpoint has no checkpoint or no vkey");
    int outcome = path != NULL ? save(c, path, note) : (int)OUTCOME_DONE;
    if (outcome != OUTCOME_DONE || print_json(c, document))
        return outcome;
    if (path == NULL)
        printf("%s", note);
    print_line(stderr, "verifier key ", vkey);
    return OUTCOME_DONE;
}

static int run_checkpoint(struct call *c) {
    json_t *document;
    int outcome = ask_json(c, "GET", format_text("/v1/audit/checkpoint"), NULL, &document);
    if (outcome == OUTCOME_DONE && option_given(c, "witnessed"))
        outcome = wait_for_witness(c, document);
    if (outcome == OUTCOME_DONE)
        outcome = show_checkpoint(c, document);
    json_decref(document);
    return outcome;
}

static int run_proof(struct call *c) {
    json_t *document;
    uint64_t seq = 0;
    const char *path = option_text(c, "output");
    if (!number_parse(c->words[0], INT64_MAX, &seq))
        return fail(c, OUTCOME_USAGE, "'%s' is no number of a record (the Audit-Seq of an answer)", c->words[0]);
    int outcome = ask_json(c, "GET", format_text("/v1/audit/proofs/%llu", (unsigned long long)seq), NULL, &document);
    char *text = outcome == OUTCOME_DONE ? json_dumps(document, JSON_SORT_KEYS | JSON_INDENT(1)) : NULL;
    if (outcome == OUTCOME_DONE && text == NULL)
        outcome = fail(c, OUTCOME_FAILED, "out of memory");
    if (outcome == OUTCOME_DONE && path != NULL)
        outcome = save(c, path, text);
    if (outcome == OUTCOME_DONE && !print_json(c, document) && path == NULL)
        puts(text);
    free(text);
    json_decref(document);
    return outcome;
}

static const struct option tail_options[] = {
    {"count", 'n', "N", "how many records (20, without it)", 0},
    {NULL, 0, NULL, NULL, 0},
};
static const struct option checkpoint_options[] = {
    {"output", 'o', "PATH", "write the checkpoint here", 0},
    {"witnessed", 0, NULL, "wait until a witness has cosigned it, and take it with all cosignatures", 0},
    {"seconds", 0, "N", "how long to wait for that (60, without it)", 0},
    {NULL, 0, NULL, NULL, 0},
};

static const struct option proof_options[] = {
    {"output", 'o', "PATH", "write the proof here", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_audit_proof = {
    .name = "audit proof",
    .area = "Audit",
    .synopsis = "SEQ [-o FILE]",
    .summary = "that a record of one's own is in the log",
    .help =
        "Fetches the proof that the record of one's own access is in the log: its hash, the way to the signed head,\n"
        "and that head. It says nothing of what the record holds. 'audit verify' checks it, without a vault, and\n"
        "with --record also that it is the proof of a record that an auditor shows.",
    .example = "  vaultctl audit proof 4711 -o access-4711.proof",
    .options = proof_options,
    .words = 1,
    .run = run_proof,
};

const struct command command_audit_tail = {
    .name = "audit tail",
    .area = "Audit",
    .synopsis = "[-n N]",
    .summary = "the last records",
    .help = "Shows the last records of the audit: who did what, for which purpose, and how it was decided.",
    .example = "  vaultctl audit tail -n 5",
    .options = tail_options,
    .run = run_tail,
};

const struct command command_audit_checkpoint = {
    .name = "audit checkpoint",
    .area = "Audit",
    .synopsis = "[--witnessed [--seconds N]] [-o FILE]",
    .summary = "the signed head of the audit",
    .help =
        "Fetches the checkpoint: the audit's size and root, signed. Keep one outside the vault from time to time;\n"
        "'audit verify --checkpoint' holds later exports to it. Where witnesses are configured, one that they have\n"
        "cosigned says as well that nobody else was shown another log.",
    .example = "  vaultctl audit checkpoint -o checkpoint-2026-11",
    .options = checkpoint_options,
    .run = run_checkpoint,
};
