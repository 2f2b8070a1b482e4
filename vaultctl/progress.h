/* A progress line on standard error, only where that is a terminal. */
#ifndef VAULTCTL_PROGRESS_H
#define VAULTCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct progress {
    const char *label; /* "sending"; static */
    const char *unit;  /* "B" is shown in multiples; anything else as it is */
    bool shown;        /* there is a terminal */
    struct timespec began, drawn;
};

struct progress progress_of(const char *label, const char *unit);
/* total 0: not known. Draws at most ten times a second. */
void progress_move(struct progress *p, uint64_t done, uint64_t total);
/* Takes the line away. */
void progress_end(struct progress *p);
/* "12.3 MB"; decimal multiples. `to` has room for 24 characters. */
void size_text(uint64_t bytes, char to[24]);

#endif
