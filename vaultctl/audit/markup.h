/* Text of a page in HTML. Nothing that comes from a record can be more than text in it: what is printed with %s is
 * escaped, data goes in as JSON that holds no markup, and there is no other way in but literals and the page's files.
 */
#ifndef VAULTCTL_AUDIT_MARKUP_H
#define VAULTCTL_AUDIT_MARKUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "vaultctl/files.h"

enum { HTML_ROOM = 32768 };

struct html {
    struct output *out; /* not owned */
    size_t used;
    bool failed; /* sticky: `out` says why, or there was no memory */
    char room[HTML_ROOM];
};

/* Starts writing to `out`. */
void html_begin(struct html *h, struct output *out);
/* `format` is a literal of the page's own markup, where %s is text, escaped for content and for quoted attributes,
 * %llu a number, and %'llu a number with commas. Nothing else is known: the program ends. */
void html_print(struct html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A value as JSON inside a script element: markup in its texts is escaped, so none can end the element. */
void html_json(struct html *h, const json_t *value);
/* A file of the page as it is; never anything else. */
void html_own(struct html *h, const unsigned char *bytes, size_t n);
/* Writes what is left. False: something was not written. */
bool html_end(struct html *h);
/* The text with each character that cannot be seen, or turns others round, shown as [U+202E]; owned by the caller. */
char *visible_text(const char *text);

#endif
