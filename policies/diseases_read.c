/* The text of a table: lines, then terms and their numbers, then the steps in order. */
#include "diseases_internal.h"

#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum { SHORTEST_LINE = 8 }; /* two terms of three bytes, a tab, LF */

/* Where the text has a term. */
struct mention {
    const char *at;
    uint32_t n;
    uint32_t place; /* twice the number of its step, one more for the parent */
};

struct reading {
    struct diseases *d;
    struct steps s;
    struct mention *mentions; /* two for each step */
};

static int refuse_line(const struct reading *r, uint32_t line, const char *what) {
    format_string(r->s.problem, DISEASES_PROBLEM, "line %u: %s", line, what);
    return VAULT_E_FORMAT;
}

static void add_step(struct reading *r, uint32_t line, const char *child, size_t child_n, const char *parent,
                     size_t parent_n) {
    uint32_t place = 2 * r->s.count;
    r->mentions[place] = (struct mention){child, (uint32_t)child_n, place};
    r->mentions[place + 1] = (struct mention){parent, (uint32_t)parent_n, place + 1};
    r->s.all[r->s.count++].line = line;
}

static int read_step(struct reading *r, uint32_t line, const char *at, size_t n) {
    const char *tab = memchr(at, '\t', n);
    if (tab == NULL)
        return refuse_line(r, line, "there is no tab");
    const char *parent = tab + 1;
    size_t child_n = (size_t)(tab - at), parent_n = n - child_n - 1;
    if (memchr(parent, '\t', parent_n) != NULL)
        return refuse_line(r, line, "there are more than two columns");
    if (!disease_is_good(at, child_n))
        return refuse_line(r, line, "the first column is not a term like MONDO:0005070");
    if (!disease_is_good(parent, parent_n))
        return refuse_line(r, line, "the second column is not a term like MONDO:0005070");
    if (diseases_compare(at, child_n, parent, parent_n) == 0) {
        format_string(r->s.problem, DISEASES_PROBLEM, "line %u: '%.*s' is a kind of itself", line, (int)child_n, at);
        return VAULT_E_FORMAT;
    }
    add_step(r, line, at, child_n, parent, parent_n);
    return VAULT_OK;
}

static int read_line(struct reading *r, uint32_t line, const char *at, size_t n) {
    if (n == 0)
        return VAULT_OK;
    if (memchr(at, '\0', n) != NULL)
        return refuse_line(r, line, "there is a zero byte");
    if (memchr(at, '\r', n) != NULL)
        return refuse_line(r, line, "there is a carriage return; lines end in LF");
    return at[0] == '#' ? VAULT_OK : read_step(r, line, at, n);
}

/* A last line without its end may be the beginning of another term. */
static int read_lines(struct reading *r, const char *text, size_t size) {
    int result = VAULT_OK;
    uint32_t line = 0;
    for (size_t at = 0; at < size && result == VAULT_OK;) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL)
            return refuse_line(r, line + 1, "it does not end: is the table cut off?");
        size_t n = (size_t)(end - text) - at;
        result = read_line(r, ++line, text + at, n);
        at += n + 1;
    }
    return result;
}

static int compare_mentions(const void *a, const void *b) {
    const struct mention *x = a, *y = b;
    return diseases_compare(x->at, x->n, y->at, y->n);
}

static void set_disease(struct steps *s, uint32_t place, uint32_t disease) {
    struct step *step = &s->all[place / 2];
    if (place % 2 == 0)
        step->child = disease;
    else
        step->parent = disease;
}

/* Numbers the diseases, and leaves one mention of each, ascending. */
static void number_diseases(struct reading *r) {
    uint32_t count = 0;
    qsort(r->mentions, 2 * (size_t)r->s.count, sizeof(*r->mentions), compare_mentions);
    for (uint32_t i = 0; i < 2 * r->s.count; i++) {
        if (count == 0 || compare_mentions(&r->mentions[count - 1], &r->mentions[i]) != 0)
            r->mentions[count++] = r->mentions[i];
        set_disease(&r->s, r->mentions[i].place, count - 1);
    }
    r->d->count = count;
}

/* Whether it was not seen before. */
static uint32_t see(uint8_t *seen, uint32_t disease) {
    uint8_t before = seen[disease];
    seen[disease] = 1;
    return !before;
}

/* Names the line of the first disease too many; the steps are still as they came. */
static int refuse_count(struct reading *r) {
    uint32_t count = 0, i = 0;
    uint8_t *seen = diseases_room(r->d->count, 1);
    if (seen == NULL)
        return VAULT_E_MEMORY;
    for (; i < r->s.count && count <= DISEASES_MAX; i++)
        count += see(seen, r->s.all[i].child) + see(seen, r->s.all[i].parent);
    free(seen);
    format_string(r->s.problem, DISEASES_PROBLEM, "line %u: there are more than %d diseases", r->s.all[i - 1].line,
                  DISEASES_MAX);
    return VAULT_E_LIMIT;
}

static int keep_names(struct reading *r) {
    struct diseases *d = r->d;
    size_t size = 0;
    for (uint32_t i = 0; i < d->count; i++)
        size += r->mentions[i].n;
    d->names_at = diseases_room((size_t)d->count + 1, sizeof(*d->names_at));
    d->names = diseases_room(size, 1);
    if (d->names_at == NULL || d->names == NULL)
        return VAULT_E_MEMORY;
    struct writer w = writer_of(d->names, size);
    for (uint32_t i = 0; i < d->count; i++) {
        write_bytes(&w, r->mentions[i].at, r->mentions[i].n);
        d->names_at[i + 1] = (uint32_t)w.used;
    }
    return VAULT_OK;
}

static int compare_ends(const struct step *x, const struct step *y) {
    int order = (x->child > y->child) - (x->child < y->child);
    return order != 0 ? order : (x->parent > y->parent) - (x->parent < y->parent);
}

static int compare_steps(const void *a, const void *b) {
    const struct step *x = a, *y = b;
    int order = compare_ends(x, y);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* Names the first line that was there before. */
static int sort_steps(struct reading *r) {
    const struct step *all = r->s.all;
    uint32_t again = 0;
    qsort(r->s.all, r->s.count, sizeof(*r->s.all), compare_steps);
    for (uint32_t i = 1; i < r->s.count; i++)
        if (compare_ends(&all[i - 1], &all[i]) == 0 && (again == 0 || all[i].line < all[again].line))
            again = i;
    if (again == 0)
        return VAULT_OK;
    format_string(r->s.problem, DISEASES_PROBLEM, "line %u: the same as line %u", all[again].line, all[again - 1].line);
    return VAULT_E_FORMAT;
}

static int read_table(struct reading *r, const char *text, size_t size) {
    size_t most = size / SHORTEST_LINE;
    r->d = diseases_room(1, sizeof(*r->d));
    r->s.all = diseases_room(most, sizeof(*r->s.all));
    r->mentions = diseases_room(2 * most, sizeof(*r->mentions));
    if (r->d == NULL || r->s.all == NULL || r->mentions == NULL)
        return VAULT_E_MEMORY;
    int result = read_lines(r, text, size);
    if (result != VAULT_OK)
        return result;
    number_diseases(r);
    result = r->d->count > DISEASES_MAX ? refuse_count(r) : keep_names(r);
    if (result == VAULT_OK)
        result = sort_steps(r);
    free(r->mentions);
    r->mentions = NULL;
    return result == VAULT_OK ? diseases_close(r->d, &r->s) : result;
}

static int refuse_size(const char *text, char problem[DISEASES_PROBLEM]) {
    uint32_t line = 1;
    for (size_t i = 0; i < DISEASES_TEXT_MAX; i++)
        line += text[i] == '\n';
    format_string(problem, DISEASES_PROBLEM, "line %u: there are more than %d bytes", line, DISEASES_TEXT_MAX);
    return VAULT_E_LIMIT;
}

int diseases_read(struct diseases **ret, const char *text, size_t size, char problem[DISEASES_PROBLEM]) {
    struct reading r = {.s = {.problem = problem}};
    if (size > DISEASES_TEXT_MAX)
        return refuse_size(text, problem);
    int result = read_table(&r, text, size);
    free(r.s.all);
    free(r.mentions);
    if (result == VAULT_OK)
        *ret = r.d;
    else
        diseases_free(&r.d);
    if (result == VAULT_E_MEMORY)
        format_string(problem, DISEASES_PROBLEM, "there is no memory");
    return result;
}
