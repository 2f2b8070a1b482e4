/* The parts of a table of diseases.
 *
 * 1. A disease is a number below `count`: the place of its term in the order of bytes.
 * 2. diseases_read.c makes steps of the text; diseases_close.c makes of these what is above each disease;
 *    diseases.c answers.
 * 3. Nothing here calls itself: how deep a table is costs no stack. */
#ifndef VAULT_DISEASES_INTERNAL_H
#define VAULT_DISEASES_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "vault/diseases.h"
#include "vault/documents.h"

struct diseases {
    uint32_t count;
    uint32_t *names_at; /* count + 1; where each term begins in `names` */
    char *names;        /* all terms, ascending, without anything between them */
    uint32_t *kinds_at; /* count + 1; where the kinds of each disease begin in `kinds` */
    uint32_t *kinds;    /* all that a disease is a kind of, ascending, without itself */
};

/* One line: `child` is a kind of `parent`. */
struct step {
    uint32_t child, parent;
    uint32_t line;
};

/* The steps, and who waits for what is wrong with them. */
struct steps {
    struct step *all; /* ascending by child and parent, each once */
    uint32_t count;
    char *problem; /* DISEASES_PROBLEM bytes */
};

/* `count` zeroed things; one for 0, so that NULL always means that there is no memory. */
void *diseases_room(size_t count, size_t size);
/* The order of two terms, as by strcmp. */
int diseases_compare(const char *a, size_t a_size, const char *b, size_t b_size);
/* The term of a disease, its length in *ret_size. */
const char *diseases_name(const struct diseases *d, uint32_t disease, size_t *ret_size);

/* Fills kinds_at and kinds of a table whose terms are there. VAULT_E_FORMAT for a cycle, VAULT_E_LIMIT,
 * VAULT_E_MEMORY. */
int diseases_close(struct diseases *d, const struct steps *s);

#endif
