/* Inputs made from a corpus by chance, the same ones for the same seed. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

enum { INPUT_MAX = 65536, INPUTS_MAX = 4096, TOKENS_MAX = 512 };

struct bytes {
    uint8_t *at;
    size_t n;
};

struct mutator {
    struct bytes inputs[INPUTS_MAX];
    size_t input_count;
    size_t good_count; /* the first so many inputs are ones that the parser takes; every other base is one of them */
    struct bytes tokens[TOKENS_MAX];
    size_t token_count;
    uint64_t state; /* of the random numbers; never 0 */
    uint8_t work[INPUT_MAX];
    size_t n; /* of work */
    uint8_t aside[INPUT_MAX];
};

/* Adds a file, or every file of a folder in the order of their names; longer ones are cut to INPUT_MAX. 0, or -1 with
 * errno. */
int mutator_add(struct mutator *m, const char *path);
/* Adds the tokens of a dictionary in the form of libFuzzer and AFL: one "text" a line, \xHH for other bytes. 0 or -1.
 */
int mutator_add_tokens(struct mutator *m, const char *path);
/* Says that the parser takes input i, which changes its place with the first not yet said to be good. */
void mutator_good(struct mutator *m, size_t i);
void mutator_seed(struct mutator *m, uint64_t seed);
/* Puts the next input into m->work, m->n. There must be an input. */
void mutator_next(struct mutator *m);

#endif
