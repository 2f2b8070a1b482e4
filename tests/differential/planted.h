/* Faults that parsers of HTTP are known for, to be planted in front of ours: the comparison must find each. */
#ifndef DIFFERENTIAL_PLANTED_H
#define DIFFERENTIAL_PLANTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By its name: `bare-lf` (a LF ends a line without a CR), `last-length` (of several Content-Length fields the last
 * counts), `length-first` (beside Content-Length, Transfer-Encoding is ignored). False: there is no such fault. */
bool planted_choose(const char *name);
/* Changes the bytes of a connection; there is room for twice as many. Gives their new number. */
size_t planted_in_input(uint8_t *bytes, size_t n);
/* Changes a whole head, which does not grow. Gives its new size. */
size_t planted_in_head(uint8_t *bytes, size_t n);

#endif
