/* What people and programs see: aligned text or one JSON document on standard output, complaints on standard error. */
#ifndef VAULTCTL_OUTPUT_H
#define VAULTCTL_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "command.h"
#include "http.h"

/* One value: a member of a document, or a path of them ("service.name"). */
struct column {
    const char *title;
    const char *member;
};

/* Complains: `vaultctl: text` on standard error, with --json also a problem document on standard output.
 * Returns the outcome. */
int fail(struct call *c, enum outcome outcome, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for an answer: its problem document or its error, every reason, the request. */
int fail_answer(struct call *c, enum outcome outcome, const struct http_answer *a);
/* With --json: prints the document and returns true. Otherwise false: the command prints it for people. */
bool print_json(struct call *c, const json_t *document);

/* Text from elsewhere, control characters replaced: a name must not be able to drive a terminal. */
void print_clean(FILE *to, const char *text);
/* A line of it behind a label that is ours. */
void print_line(FILE *to, const char *label, const char *text);
/* A value for people: numbers, yes and no, lists with commas, "-" for nothing. Owned by the caller. */
char *value_text(const json_t *value);
/* The value at a path of members; NULL if absent. */
const json_t *member_at(const json_t *document, const char *path);
/* "title: value" lines, aligned. Ends at a column without a title. */
void print_fields(const json_t *document, const struct column *columns);
/* The same, without what the document does not tell. At most 24. */
void print_told_fields(const json_t *document, const struct column *columns);
/* What the document warns of, a line each on standard error. */
void print_warnings(const json_t *document);
/* A table with a heading; "none" if there are no rows. */
void print_table(const json_t *rows, const struct column *columns);

#endif
