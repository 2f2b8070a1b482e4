#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "vault/result.h"

enum { OPTION_BYTES = 4096 };

/* libcurl names such files only vaguely. */
static int check_files(struct call *c, const struct connection *k) {
    const struct {
        const char *what, *path;
    } files[] = {{"--cert (VAULT_CERT)", k->cert}, {"--key (VAULT_KEY)", k->key}, {"--ca (VAULT_CA)", k->ca}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i].path != NULL && access(files[i].path, R_OK) != 0)
            return fail(c, OUTCOME_USAGE, "%s: cannot read '%s': %s", files[i].what, files[i].path, strerror(errno));
    }
    return OUTCOME_DONE;
}

struct session *call_session(struct call *c, int *ret_outcome) {
    static struct connection connection;
    char error[400];
    if (c->session != NULL)
        return c->session;
    if (!connection_choose(&c->connection, getenv, &connection, error, sizeof(error))) {
        *ret_outcome = fail(c, OUTCOME_USAGE, "%s", error);
        return NULL;
    }
    *ret_outcome = check_files(c, &connection);
    if (*ret_outcome != OUTCOME_DONE)
        return NULL;
    c->session = session_open(&connection);
    if (c->session == NULL)
        *ret_outcome = fail(c, OUTCOME_FAILED, "out of memory");
    return c->session;
}

int exchange(struct call *c, const struct http_request *r, struct http_answer *ret, bool *ret_told) {
    int outcome = OUTCOME_DONE;
    struct session *s = call_session(c, &outcome);
    *ret = (struct http_answer){.size = -1};
    *ret_told = s == NULL;
    return s == NULL ? outcome : (int)http_exchange(s, r, ret);
}

int ask(struct call *c, const struct http_request *r, struct http_answer *a) {
    bool told;
    int outcome = exchange(c, r, a, &told);
    if (outcome != OUTCOME_DONE && !told)
        (void)fail_answer(c, (enum outcome)outcome, a);
    return outcome;
}

/* Asks, and insists on a JSON object. */
static int ask_object(struct call *c, const struct http_request *r, json_t **ret) {
    struct http_answer a;
    int outcome = ask(c, r, &a);
    if (outcome == OUTCOME_DONE && a.document == NULL)
        outcome = fail(c, OUTCOME_FAILED, "the answer to %s %s is no JSON object", r->method, r->path);
    if (outcome == OUTCOME_DONE)
        *ret = json_incref(a.document);
    answer_clear(&a);
    return outcome;
}

int ask_json(struct call *c, const char *method, char *path, json_t *body, json_t **ret) {
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    int outcome;
    *ret = NULL;
    if (body != NULL && text == NULL) {
        outcome = fail(c, OUTCOME_FAILED, "out of memory");
    } else {
        struct http_request r = {.method = method,
                                 .path = path,
                                 .type = text != NULL ? "application/json" : NULL,
                                 .body = text,
                                 .body_size = text != NULL ? strlen(text) : 0,
                                 .upload_size = -1};
        outcome = ask_object(c, &r, ret);
    }
    free(text);
    json_decref(body);
    free(path);
    return outcome;
}

/* One page: its rows go to `rows`, its cursor to *ret_next (owned; NULL after the last page). */
static int ask_page(struct call *c, const char *path, const char *header, const char *member, json_t *rows,
                    char **ret_next) {
    struct http_request r = {.method = "GET", .path = path, .headers = {header}, .upload_size = -1};
    json_t *page = NULL;
    int outcome = ask_object(c, &r, &page);
    if (outcome != OUTCOME_DONE)
        return outcome;
    const json_t *next = json_object_get(page, "next");
    *ret_next = next == NULL || json_is_null(next) ? NULL : value_text(next);
    if (!json_is_array(json_object_get(page, member)) || json_array_extend(rows, json_object_get(page, member)) != 0)
        outcome = fail(c, OUTCOME_FAILED, "the answer to GET %s has no list '%s'", path, member);
    json_decref(page);
    return outcome;
}

int ask_pages(struct call *c, char *path, const char *header, const char *member, json_t **ret) {
    json_t *rows = json_array();
    char *cursor = NULL;
    int outcome = OUTCOME_DONE;
    *ret = NULL;
    for (size_t page = 0; outcome == OUTCOME_DONE && (page == 0 || cursor != NULL); page++) {
        char *at = format_text("%s", path);
        char *next = NULL;
        add_query(&at, "cursor", cursor);
        outcome = ask_page(c, at, header, member, rows, &next);
        if (outcome == OUTCOME_DONE && next != NULL && cursor != NULL && strcmp(next, cursor) == 0)
            outcome = fail(c, OUTCOME_FAILED, "the list at %s does not end", path);
        free(at);
        free(cursor);
        cursor = next;
    }
    if (outcome == OUTCOME_DONE && (*ret = json_pack("{s:O}", member, rows)) == NULL)
        outcome = fail(c, OUTCOME_FAILED, "out of memory");
    json_decref(rows);
    free(cursor);
    free(path);
    return outcome;
}

bool print_pending(const json_t *document) {
    static const struct column fields[] = {{"pending", "pending"}, {"what", "what"},       {"subject", "subject"},
                                           {"detail", "detail"},   {"expires", "expires"}, {NULL, NULL}};
    const json_t *number = json_object_get(document, "pending");
    if (!json_is_integer(number))
        return false;
    print_told_fields(document, fields);
    printf("Nothing is done yet: another person must approve it, with 'vaultctl pending approve %lld'.\n",
           (long long)json_integer_value(number));
    return true;
}

int ask_fields(struct call *c, const char *method, char *path, json_t *body, const struct column *fields) {
    json_t *document;
    int outcome = ask_json(c, method, path, body, &document);
    if (outcome == OUTCOME_DONE && !print_json(c, document) && !print_pending(document))
        print_fields(document, fields);
    json_decref(document);
    return outcome;
}

/* Shows the list in an answer, if there is one, and frees the answer. */
static int show_rows(struct call *c, int outcome, json_t *document, const char *member, const struct column *columns) {
    if (outcome == OUTCOME_DONE && !print_json(c, document))
        print_table(json_object_get(document, member), columns);
    json_decref(document);
    return outcome;
}

int ask_rows(struct call *c, char *path, const char *member, const struct column *columns) {
    json_t *document;
    int outcome = ask_json(c, "GET", path, NULL, &document);
    return show_rows(c, outcome, document, member, columns);
}

int ask_all_rows(struct call *c, char *path, const char *member, const struct column *columns) {
    json_t *document;
    int outcome = ask_pages(c, path, NULL, member, &document);
    return show_rows(c, outcome, document, member, columns);
}

int read_at_most(struct call *c, const char *path, size_t mebibytes, enum outcome outcome, char **ret,
                 size_t *ret_size) {
    int result = file_read(path, mebibytes << 20, ret, ret_size);
    if (result == VAULT_E_LIMIT)
        return fail(c, outcome, "cannot read '%s': larger than %zu MiB", path, mebibytes);
    if (result != VAULT_OK)
        return fail(c, outcome, "cannot read '%s': %s", path, result == VAULT_E_IO ? strerror(errno) : "out of memory");
    return OUTCOME_DONE;
}

int read_document(struct call *c, const char *path, char **ret, size_t *ret_size) {
    return read_at_most(c, path, 1, OUTCOME_FAILED, ret, ret_size);
}

char *purpose_header(const struct call *c) {
    const char *purpose = option_text(c, "purpose");
    return purpose != NULL ? format_text("Purpose: %s", purpose) : NULL;
}

/* Paths are the file system's business. */
static bool is_path(const char *name) {
    return strncmp(name, "PATH", 4) == 0 || strncmp(name, "FILE", 4) == 0;
}

int check_options(struct call *c) {
    const char *name = c->command->synopsis;
    for (size_t i = 0; i < c->word_count; i++, name += strcspn(name, " ") + 1) {
        if (!is_path(name) && !word_is_good(c->words[i], OPTION_BYTES))
            return fail(c, OUTCOME_USAGE, "%.*s holds a control character, is not UTF-8, or is too long",
                        (int)strcspn(name, " "), name);
    }
    for (size_t i = 0; i < c->value_count; i++) {
        const struct option_value *v = &c->values[i];
        if (v->value != NULL && !is_path(v->option->value) && !word_is_good(v->value, OPTION_BYTES))
            return fail(c, OUTCOME_USAGE, "option --%s holds a control character, is not UTF-8, or is too long",
                        v->option->name);
    }
    return OUTCOME_DONE;
}
