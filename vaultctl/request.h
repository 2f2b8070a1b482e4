/* Requests as commands make them: one line each, complaints included. */
#ifndef VAULTCTL_REQUEST_H
#define VAULTCTL_REQUEST_H

#include "command.h"
#include "http.h"
#include "names.h"
#include "output.h"

/* The session of this call, opened at first use. NULL after a complaint; *ret_outcome is then the exit status. */
struct session *call_session(struct call *c, int *ret_outcome);
/* http_exchange on the call's session, without complaining about what came back, except where there is no session:
 * then *ret_told is true. */
int exchange(struct call *c, const struct http_request *r, struct http_answer *ret, bool *ret_told);
/* Sends a request and complains if the answer is not a whole 2xx. `a` is to be cleared in any case. */
int ask(struct call *c, const struct http_request *r, struct http_answer *a);
/* A request with an optional JSON body and a JSON object as its answer. Frees `path` and `body`.
 * *ret is owned by the caller, NULL unless OUTCOME_DONE. */
int ask_json(struct call *c, const char *method, char *path, json_t *body, json_t **ret);
/* All pages of a list: GET path, following `next`. *ret is {"member": [...]}. Frees `path`. */
int ask_pages(struct call *c, char *path, const char *header, const char *member, json_t **ret);

/* Shows a document that says that the request waits for a second person, and how that one approves it; false if it says
 * something else. */
bool print_pending(const json_t *document);
/* A request as ask_json makes it, and its answer shown: as fields (or as what waits for a second person), or with
 * --json as it came. Returns the outcome. */
int ask_fields(struct call *c, const char *method, char *path, json_t *body, const struct column *fields);
/* GET path, and the list in its answer shown as a table, or with --json the whole answer. Frees `path`. */
int ask_rows(struct call *c, char *path, const char *member, const struct column *columns);
/* The same for a list that comes in pages. */
int ask_all_rows(struct call *c, char *path, const char *member, const struct column *columns);

/* A file of at most so many MiB; '-' is standard input. *ret is owned by the caller. `outcome` after a complaint. */
int read_at_most(struct call *c, const char *path, size_t mebibytes, enum outcome outcome, char **ret,
                 size_t *ret_size);
/* A document of at most 1 MiB to be sent; '-' is standard input. *ret is owned by the caller. OUTCOME_FAILED after a
 * complaint. */
int read_document(struct call *c, const char *path, char **ret, size_t *ret_size);
/* "Purpose: TEXT" of --purpose, or NULL without it; owned by the caller. */
char *purpose_header(const struct call *c);
/* Every word and option value that is no path must be fit for a header, a path or JSON. OUTCOME_USAGE after a
 * complaint. */
int check_options(struct call *c);

#endif
