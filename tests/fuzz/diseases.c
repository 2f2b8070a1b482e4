/* Any bytes as a table of diseases: what is taken says what its lines say, and what is refused says why. */
#include <stdlib.h>
#include <string.h>

#include "taken.h"
#include "vault/diseases.h"
#include "vault/documents.h"
#include "vault/fields.h"
#include "vault/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_COMPARED = 20 };

struct line {
    char child[65];
    const char *parent;
    size_t n;
};

static void want(bool holds) {
    if (!holds)
        abort();
}

/* The next line that has columns; false at the end. */
static bool next_line(const char **at, size_t *left, struct line *ret) {
    while (*left > 0) {
        const char *line = *at, *end = memchr(line, '\n', *left);
        size_t n = end == NULL ? *left : (size_t)(end - line);
        size_t used = end == NULL ? n : n + 1;
        *at += used;
        *left -= used;
        if (n == 0 || line[0] == '#')
            continue;
        const char *tab = memchr(line, '\t', n);
        want(tab != NULL);
        size_t child_n = (size_t)(tab - line);
        want(disease_is_good(line, child_n));
        for (size_t i = 0; i < child_n; i++)
            ret->child[i] = line[i];
        ret->child[child_n] = '\0';
        ret->parent = tab + 1;
        ret->n = n - child_n - 1;
        return true;
    }
    return false;
}

static void compare_line(const struct diseases *d, const struct line *l) {
    size_t n = strlen(l->child);
    char parent[65] = "";
    want(disease_is_good(l->parent, l->n));
    for (size_t i = 0; i < l->n; i++)
        parent[i] = l->parent[i];
    want(disease_is(d, l->child, l->parent, l->n));
    want(!disease_is(d, parent, l->child, n));
    want(disease_is(d, l->child, l->child, n) && disease_is(d, parent, l->parent, l->n));
}

/* Two steps that follow each other are one. */
static void compare_lines(const struct diseases *d, const struct line *lines, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            if (disease_is(d, lines[k].child, lines[i].parent, lines[i].n))
                for (size_t m = 0; m < count; m++)
                    want(!disease_is(d, lines[m].child, lines[k].child, strlen(lines[k].child)) ||
                         disease_is(d, lines[m].child, lines[i].parent, lines[i].n));
}

static void compare(const struct diseases *d, const char *at, size_t left) {
    static struct line lines[LINES_COMPARED], line;
    size_t count = 0, all = 0;
    for (; next_line(&at, &left, &line); all++) {
        compare_line(d, &line);
        if (count < LINES_COMPARED)
            lines[count++] = line;
    }
    compare_lines(d, lines, count);
    want(diseases_count(d) <= 2 * all && (all == 0 || diseases_count(d) >= 2));
    want(diseases_bytes(d) >= all * sizeof(uint32_t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct diseases *d = NULL;
    char problem[DISEASES_PROBLEM];
    const char *text = (const char *)data;
    for (size_t i = 0; i < sizeof(problem); i++)
        problem[i] = 'x';
    int result = diseases_read(&d, text, size, problem);
    if (result != VAULT_OK) {
        size_t n = strnlen(problem, sizeof(problem));
        want(d == NULL && n > 0 && n < sizeof(problem) && text_is_clean(problem, n));
        return 0;
    }
    fuzz_taken++;
    compare(d, text, size);
    diseases_free(&d);
    want(d == NULL);
    return 0;
}
