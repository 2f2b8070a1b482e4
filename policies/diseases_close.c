/* What is above each disease. An order in which parents come before their children is found first; then each disease
 * takes what its parents have, for 512 possible ancestors at a time, one bit for each. So what is known of a parent is
 * never walked through one by one, however many ways lead to it: the work is that of steps times diseases / 512, some
 * seconds at the very limits. */
#include "diseases_internal.h"

#include <stdlib.h>

#include "vault/buffer.h"
#include "vault/result.h"

enum { WORD = 64, WORDS = 8, COLUMNS = WORDS * WORD };

struct row {
    uint64_t words[WORDS];
};

enum { UNSEEN, OPEN, DONE };

struct closing {
    struct diseases *d;
    const struct steps *s;
    uint32_t *first; /* count + 1; where the steps of each disease begin */
    uint32_t *order; /* all diseases, parents before children */
    uint32_t *next;  /* of each disease: the step to be taken next; then: where its next kind goes */
    uint32_t *stack;
    uint8_t *state; /* of each disease: UNSEEN, OPEN, DONE; then: whether its row has any bit */
    uint8_t *depth; /* of each disease: steps of the longest way to the top */
    struct row *rows;
    uint32_t ordered; /* how many are in `order` */
    uint64_t pairs;
};

static bool make_room(struct closing *c) {
    size_t count = c->d->count;
    c->first = diseases_room(count + 1, sizeof(*c->first));
    c->order = diseases_room(count, sizeof(*c->order));
    c->next = diseases_room(count, sizeof(*c->next));
    c->stack = diseases_room(count, sizeof(*c->stack));
    c->state = diseases_room(count, sizeof(*c->state));
    c->depth = diseases_room(count, sizeof(*c->depth));
    c->rows = diseases_room(count, sizeof(*c->rows));
    return c->first != NULL && c->order != NULL && c->next != NULL && c->stack != NULL && c->state != NULL &&
           c->depth != NULL && c->rows != NULL;
}

static void free_room(struct closing *c) {
    free(c->first);
    free(c->order);
    free(c->next);
    free(c->stack);
    free(c->state);
    free(c->depth);
    free(c->rows);
}

static void find_first_steps(struct closing *c) {
    uint32_t step = 0;
    for (uint32_t i = 0; i <= c->d->count; i++) {
        while (step < c->s->count && c->s->all[step].child < i)
            step++;
        c->first[i] = step;
        if (i < c->d->count)
            c->next[i] = step;
    }
}

static int refuse_step(const struct closing *c, uint32_t step, int result, const char *what) {
    const struct step *s = &c->s->all[step];
    size_t n;
    const char *name = diseases_name(c->d, s->child, &n);
    format_string(c->s->problem, DISEASES_PROBLEM, "line %u: '%.*s' %s", s->line, (int)n, name, what);
    return result;
}

/* All parents are done. */
static int finish(struct closing *c, uint32_t disease) {
    for (uint32_t i = c->first[disease]; i < c->first[disease + 1]; i++) {
        unsigned depth = c->depth[c->s->all[i].parent] + 1u;
        if (depth > DISEASES_DEPTH)
            return refuse_step(c, i, VAULT_E_LIMIT, "is more than 64 steps from the top");
        if (depth > c->depth[disease])
            c->depth[disease] = (uint8_t)depth;
    }
    c->state[disease] = DONE;
    c->order[c->ordered++] = disease;
    return VAULT_OK;
}

/* Puts the disease and all above it in order. What is open is what the stack holds: each is a kind of the next one. */
static int put_in_order(struct closing *c, uint32_t disease) {
    uint32_t height = 0;
    int result = VAULT_OK;
    c->state[disease] = OPEN;
    c->stack[height++] = disease;
    while (height > 0 && result == VAULT_OK) {
        uint32_t at = c->stack[height - 1];
        if (c->next[at] == c->first[at + 1]) {
            height--;
            result = finish(c, at);
            continue;
        }
        uint32_t step = c->next[at]++, parent = c->s->all[step].parent;
        if (c->state[parent] == OPEN)
            return refuse_step(c, step, VAULT_E_FORMAT, "is a kind of itself");
        if (c->state[parent] == UNSEEN) {
            c->state[parent] = OPEN;
            c->stack[height++] = parent;
        }
    }
    return result;
}

static int find_order(struct closing *c) {
    int result = VAULT_OK;
    for (uint32_t i = 0; i < c->d->count && result == VAULT_OK; i++)
        if (c->state[i] == UNSEEN)
            result = put_in_order(c, i);
    return result;
}

/* The row of a disease: its parents, and what is in theirs. */
static void join_parents(struct closing *c, uint32_t disease, uint32_t column) {
    struct row row = {{0}};
    bool any = false;
    for (uint32_t i = c->first[disease]; i < c->first[disease + 1]; i++) {
        uint32_t parent = c->s->all[i].parent;
        if (parent - column < COLUMNS) {
            uint32_t bit = parent - column;
            row.words[bit / WORD] |= UINT64_C(1) << bit % WORD;
            any = true;
        }
        if (!c->state[parent])
            continue;
        for (size_t k = 0; k < WORDS; k++)
            row.words[k] |= c->rows[parent].words[k];
        any = true;
    }
    c->state[disease] = any;
    if (any)
        c->rows[disease] = row;
}

typedef int (*row_taker)(struct closing *c, uint32_t disease, uint32_t column);

static int take_rows(struct closing *c, row_taker take) {
    int result = VAULT_OK;
    for (uint32_t column = 0; column < c->d->count; column += COLUMNS)
        for (uint32_t i = 0; i < c->d->count && result == VAULT_OK; i++) {
            join_parents(c, c->order[i], column);
            if (c->state[c->order[i]])
                result = take(c, c->order[i], column);
        }
    return result;
}

static int count_row(struct closing *c, uint32_t disease, uint32_t column) {
    uint32_t count = 0;
    (void)column;
    for (size_t k = 0; k < WORDS; k++)
        count += (uint32_t)__builtin_popcountll(c->rows[disease].words[k]);
    c->d->kinds_at[disease + 1] += count;
    c->pairs += count;
    if (c->pairs <= DISEASES_PAIRS)
        return VAULT_OK;
    format_string(c->s->problem, DISEASES_PROBLEM,
                  "line %u: there are more than %d pairs of a disease and one that it is a kind of",
                  c->s->all[c->first[disease]].line, DISEASES_PAIRS);
    return VAULT_E_LIMIT;
}

static int list_row(struct closing *c, uint32_t disease, uint32_t column) {
    for (uint32_t k = 0; k < WORDS; k++)
        for (uint64_t word = c->rows[disease].words[k]; word != 0; word &= word - 1)
            c->d->kinds[c->next[disease]++] = column + k * WORD + (uint32_t)__builtin_ctzll(word);
    return VAULT_OK;
}

/* Counts first, so that the table has the memory it needs and no more. */
static int close_over(struct closing *c) {
    struct diseases *d = c->d;
    int result = take_rows(c, count_row);
    if (result != VAULT_OK)
        return result;
    for (uint32_t i = 0; i < d->count; i++) {
        d->kinds_at[i + 1] += d->kinds_at[i];
        c->next[i] = d->kinds_at[i];
    }
    d->kinds = diseases_room(c->pairs, sizeof(*d->kinds));
    return d->kinds == NULL ? VAULT_E_MEMORY : take_rows(c, list_row);
}

int diseases_close(struct diseases *d, const struct steps *s) {
    struct closing c = {.d = d, .s = s};
    int result = VAULT_E_MEMORY;
    d->kinds_at = diseases_room((size_t)d->count + 1, sizeof(*d->kinds_at));
    if (make_room(&c) && d->kinds_at != NULL) {
        find_first_steps(&c);
        result = find_order(&c);
    }
    if (result == VAULT_OK)
        result = close_over(&c);
    free_room(&c);
    return result;
}
