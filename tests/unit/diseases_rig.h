/* What the tests of the table of diseases share. Whatever is wrong fails the test. */
#ifndef TESTS_DISEASES_RIG_H
#define TESTS_DISEASES_RIG_H

#include <stdio.h>

#include "vault/diseases.h"

/* What the last table read said. */
extern char problem[DISEASES_PROBLEM];
/* So many blocks are given to the module, then one is refused. */
enum { NEVER = -1 };
extern int refuse_after;
/* What the module holds, in all. */
size_t bytes_held(void);

/* Reads from a block that ends where the text does, so that a sanitizer sees a byte read beyond it. */
int read_exactly(struct diseases **ret, const char *text, size_t n);
/* Tables that must be good. */
struct diseases *table_of(const char *text, size_t n);
struct diseases *table(const char *text);
/* It must be refused with this result and problem, and leave nothing behind. */
void assert_refused_n(const char *text, size_t n, int expected, const char *why);
/* disease_is; `kind` is given without its NUL, in a block of its own. */
bool is(const struct diseases *d, const char *disease, const char *kind);

/* Text that grows until text_end. */
struct text {
    char *at;
    size_t n;
    FILE *f;
};
struct text *text_begin(struct text *t);
void text_end(struct text *t);
void text_free(struct text *t);
/* Ends and frees the text, which must be a good table. */
struct diseases *table_of_text(struct text *t);

#endif
