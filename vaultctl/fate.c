#include "fate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "request.h"

enum { TRIES = 25, PAUSE_MILLISECONDS = 200 };

/* The vault closes its record a moment after the connection: ask until it has. False if it cannot be asked. */
static bool ask_fate(struct call *c, const char *request_id, json_t **ret) {
    struct timespec pause = {.tv_nsec = PAUSE_MILLISECONDS * 1000000L};
    char *path = resource("/v1/requests", request_id);
    bool ended = false;
    for (int i = 0; i < TRIES && !ended && !interrupted; i++) {
        struct http_answer a;
        bool told;
        struct http_request r = {.method = "GET", .path = path, .upload_size = -1};
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        int outcome = exchange(c, &r, &a, &told);
        const char *state = json_string_value(json_object_get(a.document, "state"));
        ended = outcome == OUTCOME_DONE && state != NULL && strcmp(state, "ended") == 0;
        if (ended)
            *ret = json_incref(a.document);
        answer_clear(&a);
        if (outcome != OUTCOME_DONE)
            break;
    }
    free(path);
    return ended;
}

static const char *meaning(const char *outcome) {
    static const struct {
        const char *outcome, *text;
    } meanings[] = {
        {"revoked", "the permission ended while the file was being read (revoked)"},
        {"failed", "the vault could not go on (failed)"},
        {"interrupted", "the vault was interrupted"},
        {"denied", "the access was denied"},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strcmp(outcome, meanings[i].outcome) == 0)
            return meanings[i].text;
    }
    return "the connection broke";
}

int fate_tell(struct call *c, const struct http_answer *broken) {
    json_t *fate = NULL;
    if (broken->request_id[0] == '\0')
        return fail(c, OUTCOME_FAILED, "%s", broken->error);
    if (!ask_fate(c, broken->request_id, &fate))
        return fail(c, OUTCOME_FAILED, "%s; what became of it could not be asked: try 'vaultctl request show %s' later",
                    broken->error, broken->request_id);
    const char *word = json_string_value(json_object_get(fate, "outcome"));
    enum outcome outcome = outcome_of_fate(json_integer_value(json_object_get(fate, "status")));
    (void)fail(c, outcome, "%s; request %s",
               outcome == OUTCOME_INTEGRITY ? "the vault found damage in the stored file and stopped"
                                            : meaning(word != NULL ? word : ""),
               broken->request_id);
    json_decref(fate);
    return (int)outcome;
}

static int run_show(struct call *c) {
    static const struct column fields[] = {
        {"request", "request"},  {"event", "event"},        {"outcome", "outcome"}, {"state", "state"},
        {"audit record", "seq"}, {"exit status", "status"}, {NULL, NULL},
    };
    return ask_fields(c, "GET", resource("/v1/requests", c->words[0]), NULL, fields);
}

const struct command command_request_show = {
    .name = "request show",
    .area = "Audit",
    .synopsis = "ID",
    .summary = "what became of one of your requests",
    .help = "Tells what became of a request: ID is the Request-Id of its answer. 'get' asks by itself when an answer\n"
            "breaks off.",
    .example = "  vaultctl request show 00112233445566778899aabbccddeeff",
    .words = 1,
    .run = run_show,
};
