/* The national policy: load it, show it, ask what it would say. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "request.h"

static const struct column rule_columns[] = {{"RULE", "id"}, {"EFFECT", "effect"}, {"TEXT", "text"}, {NULL, NULL}};

static void print_budgets(const json_t *budgets) {
    static const struct column columns[] = {
        {"BUDGET", "id"},   {"PURPOSE", "purpose"}, {"PER", "per"},           {"PERIOD", "period"}, {"NAMES", "names"},
        {"BYTES", "bytes"}, {"FILES", "files"},     {"SUBJECTS", "subjects"}, {"TEXT", "text"},     {NULL, NULL}};
    if (json_array_size(budgets) == 0)
        return;
    putchar('\n');
    print_table(budgets, columns);
}

static void print_policy(const json_t *document) {
    static const struct column head[] = {{"name", "name"}, {"version", "version"}, {"hash", "hash"}, {NULL, NULL}};
    print_fields(document, head);
    const json_t *rules = json_object_get(document, "rules");
    if (json_is_array(rules)) {
        putchar('\n');
        print_table(rules, rule_columns);
        print_budgets(json_object_get(document, "budgets"));
    } else {
        char *count = value_text(rules);
        printf("rules    %s\n", count);
        free(count);
    }
    const char *changes = json_string_value(json_object_get(document, "changes"));
    if (changes != NULL)
        print_line(stdout, "changes  ", changes);
}

static int run_load(struct call *c) {
    char *text = NULL;
    size_t size = 0;
    struct http_answer a;
    int outcome = read_document(c, c->words[0], &text, &size);
    if (outcome != OUTCOME_DONE)
        return outcome;
    struct http_request r = {.method = "PUT",
                             .path = "/v1/policy",
                             .type = "application/yaml",
                             .body = text,
                             .body_size = size,
                             .upload_size = -1};
    outcome = ask(c, &r, &a);
    if (outcome == OUTCOME_DONE && !print_json(c, a.document) && !print_pending(a.document))
        print_policy(a.document);
    answer_clear(&a);
    free(text);
    return outcome;
}

static int run_show(struct call *c) {
    json_t *document;
    int outcome = ask_json(c, "GET", format_text("/v1/policy"), NULL, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_policy(document);
    json_decref(document);
    return outcome;
}

/* "file" or "subject" (and "name"): what is asked about. OUTCOME_USAGE after a complaint. */
static int add_target(struct call *c, json_t *body) {
    const char *file = option_text(c, "file");
    const char *subject = option_text(c, "subject");
    struct file_name f;
    if ((file == NULL) == (subject == NULL))
        return fail(c, OUTCOME_USAGE, "one of --file and --subject is needed");
    if (subject != NULL) {
        json_object_set_new(body, "subject", json_string(subject));
        return OUTCOME_DONE;
    }
    if (!file_name_parse(file, &f))
        return fail(c, OUTCOME_USAGE, "--file '%s' is neither a file id (32 hex digits) nor SUBJECT/NAME", file);
    if (f.by_id) {
        json_object_set_new(body, "file", json_string(f.id));
    } else {
        json_object_set_new(body, "subject", json_string(f.subject));
        json_object_set_new(body, "name", json_string(f.name));
    }
    return OUTCOME_DONE;
}

static void print_decision(const json_t *document) {
    static const struct column reasons[] = {{"RULE", "rule"}, {"REASON", "text"}, {NULL, NULL}};
    const json_t *obligations = json_object_get(document, "obligations");
    const char *verdict = json_string_value(json_object_get(document, "verdict"));
    bool person = verdict != NULL && strcmp(verdict, "person") == 0;
    puts(person                                                 ? "denied: a person must decide"
         : json_is_true(json_object_get(document, "permitted")) ? "permitted"
                                                                : "denied");
    if (json_array_size(json_object_get(document, "reasons")) > 0) {
        putchar('\n');
        print_table(json_object_get(document, "reasons"), reasons);
    }
    if (json_array_size(obligations) > 0) {
        char *text = value_text(obligations);
        print_line(stdout, "\nobligations  ", text);
        free(text);
    }
}

static int run_explain(struct call *c) {
    json_t *document;
    json_t *body = json_pack("{s:s, s:s*}", "purpose", option_text(c, "purpose"), "service", option_text(c, "service"));
    int outcome = add_target(c, body);
    if (outcome != OUTCOME_DONE) {
        json_decref(body);
        return outcome;
    }
    outcome = ask_json(c, "POST", format_text("/v1/decisions"), body, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_decision(document);
    json_decref(document);
    return outcome;
}

/* What it came to now, and, if that is another, what is recorded. */
static void print_replay(const json_t *document, bool same) {
    static const struct column reasons[] = {{"RULE", "rule"}, {"REASON", "text"}, {NULL, NULL}};
    static const struct column head[] = {
        {"record", "seq"}, {"time", "time"}, {"event", "event"}, {"outcome", "outcome"}, {NULL, NULL}};
    const json_t *recorded = json_object_get(document, "recorded");
    print_fields(recorded, head);
    putchar('\n');
    print_decision(document);
    if (same)
        return;
    puts("\nrecorded with these reasons:");
    print_table(json_object_get(recorded, "reasons"), reasons);
}

static int run_budgets(struct call *c) {
    static const struct column columns[] = {
        {"BUDGET", "budget"},      {"PURPOSE", "purpose"}, {"PER", "per"},         {"NAME", "name"},
        {"PERIOD", "period"},      {"BEGINS", "begins"},   {"BYTES", "bytes"},     {"OPEN", "open"},
        {"MOST", "most_bytes"},    {"FILES", "files"},     {"MOST", "most_files"}, {"SUBJECTS", "subjects"},
        {"MOST", "most_subjects"}, {NULL, NULL},
    };
    return ask_all_rows(c, format_text("/v1/budgets"), "budgets", columns);
}

static int run_replay(struct call *c) {
    json_t *document;
    uint64_t seq = 0;
    if (!number_parse(c->words[0], INT64_MAX, &seq))
        return fail(c, OUTCOME_USAGE, "'%s' is no number of a record", c->words[0]);
    int outcome = ask_json(c, "GET", format_text("/v1/decisions/%llu", (unsigned long long)seq), NULL, &document);
    bool same = json_is_true(json_object_get(document, "same"));
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_replay(document, same);
    json_decref(document);
    return outcome != OUTCOME_DONE || same ? outcome
                                           : fail(c, OUTCOME_INTEGRITY, "the decision is not the one that is recorded");
}

static const struct option explain_options[] = {
    {"service", 0, "S", "who would ask (you, without it)", 0},
    {"purpose", 0, "P", "purpose with its particulars, as in the Purpose header", OPTION_REQUIRED},
    {"file", 0, "F", "file id or SUBJECT/NAME", 0},
    {"subject", 0, "X", "any file of this patient", 0},
    {NULL, 0, NULL, NULL, 0},
};

const struct command command_policy_load = {
    .name = "policy load",
    .area = "Policy",
    .synopsis = "FILE",
    .summary = "put a policy in force",
    .help =
        "Puts the policy document in FILE (YAML, '-' for standard input) in force. Running reads are decided again.\n"
        "Once there is a second operator, it waits for the approval of another person ('pending'), who sees which of\n"
        "the last decisions would have been others, how many open reads would end, and for how many patients\n"
        "treatment or research would newly be permitted or denied.",
    .example = "  vaultctl policy load policies/national.yaml",
    .words = 1,
    .run = run_load,
};

const struct command command_policy_show = {
    .name = "policy show",
    .area = "Policy",
    .synopsis = "",
    .summary = "the policy in force",
    .help = "Shows the policy in force: name, hash, rules and budgets.",
    .example = "  vaultctl policy show",
    .run = run_show,
};

const struct command command_policy_budgets = {
    .name = "policy budgets",
    .area = "Policy",
    .synopsis = "",
    .summary = "what was read of what a policy allows",
    .help =
        "Lists what projects and services have read in the periods of the policy's budgets: bytes handed out, bytes\n"
        "that open reads may still come to, different files and subjects, each beside the most that is allowed.",
    .example = "  vaultctl policy budgets",
    .run = run_budgets,
};

const struct command command_policy_replay = {
    .name = "policy replay",
    .area = "Policy",
    .synopsis = "SEQ",
    .summary = "decide once more what record SEQ decided",
    .help = "Decides once more what record SEQ of the audit decided: the same question, with the consent and the "
            "policy of\n"
            "then. Exit status 6 if verdict, reasons or obligations are not those that are recorded.",
    .example = "  vaultctl policy replay 4711",
    .words = 1,
    .run = run_replay,
};

const struct command command_policy_explain = {
    .name = "policy explain",
    .area = "Policy",
    .synopsis = "--service S --purpose P (--file F | --subject X)",
    .summary = "would this be permitted, and why",
    .help = "Asks how an access would be decided, with every reason. The question is recorded, nothing is read.\n"
            "Exit status 0 whatever the answer is.",
    .example = "  vaultctl policy explain --service research --file S-0001/tumour.cram \\\n"
               "      --purpose 'research;project=\"P1\";approval=\"A1\"'",
    .options = explain_options,
    .run = run_explain,
};
