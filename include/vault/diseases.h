/* Which diseases are kinds of which: a table of child and parent, loaded as text, closed over all distances when it is
 * loaded, so that a question costs two binary searches and no memory. Format: docs/format-documents.md, Diseases. */
#ifndef VAULT_DISEASES_H
#define VAULT_DISEASES_H

#include <stdbool.h>
#include <stddef.h>

enum {
    DISEASES_TEXT_MAX = 16 << 20, /* bytes */
    DISEASES_MAX = 131072,
    DISEASES_DEPTH = 64,       /* steps */
    DISEASES_PAIRS = 16777216, /* of a disease and one that it is a kind of, at any distance */
    DISEASES_PROBLEM = 200
};

struct diseases; /* owned; does not change once it is there, and may be read by any number of threads */

/* Reads a table. VAULT_E_FORMAT with the problem and its line in `problem` (DISEASES_PROBLEM bytes), VAULT_E_LIMIT (the
 * same), VAULT_E_MEMORY. The text is not needed afterwards. */
int diseases_read(struct diseases **ret, const char *text, size_t size, char problem[DISEASES_PROBLEM]);
/* Harmless on NULL. */
void diseases_free(struct diseases **d);
/* How many diseases there are, and bytes of memory they take. */
size_t diseases_count(const struct diseases *d);
size_t diseases_bytes(const struct diseases *d);
/* Whether `disease` is `kind` or a kind of it. With d NULL, or for terms that are not in the table, only equal ones
 * are. `kind` has n bytes and need not be terminated. Allocates nothing. */
bool disease_is(const struct diseases *d, const char *disease, const char *kind, size_t n);
/* Whether it is any of a list with commas, or a kind of any. */
bool disease_is_among(const struct diseases *d, const char *disease, const char *list);

#endif
