/* The lines of consecutive records, each with its newline: what one value of the index holds, and one frame of an
 * archive segment. */
#ifndef VAULT_MONITOR_LOG_FRAME_H
#define VAULT_MONITOR_LOG_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_TEXT = 65536 };

struct frame {
    uint64_t first, end; /* numbers: of the first record, and behind the last; equal: it has none */
    size_t used;         /* bytes of `text` */
    struct {
        uint64_t seq;  /* the last one that was found, ... */
        size_t offset; /* ... and where: they are mostly looked for in their order */
    } found;
    char text[FRAME_TEXT];
};

/* Empties it; what comes first will have this number. Wipes what was in it. */
void frame_start(struct frame *f, uint64_t first);
/* Puts the line behind the others. False: there is no room. */
bool frame_add(struct frame *f, const char *line, size_t n);
/* Counts the lines that were put into `text`, `used` bytes. False: they are none, or the last has no end. */
bool frame_count(struct frame *f);
/* A line without its newline, in `text`. False: the frame has none of this number. */
bool frame_line(struct frame *f, uint64_t seq, const char **ret, size_t *ret_n);
/* Takes out the lines before this one, which the frame has. False: their text does not go so far. */
bool frame_cut(struct frame *f, uint64_t first);

#endif
