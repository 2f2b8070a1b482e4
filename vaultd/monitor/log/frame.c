#include "frame.h"

#include <string.h>

#include "vault/buffer.h"
#include "vault/secret.h"

void frame_start(struct frame *f, uint64_t first) {
    wipe(f->text, f->used);
    f->first = f->end = f->found.seq = first;
    f->used = f->found.offset = 0;
}

bool frame_add(struct frame *f, const char *line, size_t n) {
    if (n >= sizeof(f->text) - f->used)
        return false;
    copy_bytes(f->text + f->used, sizeof(f->text) - f->used, line, n);
    f->text[f->used + n] = '\n';
    f->used += n + 1;
    f->end++;
    return true;
}

bool frame_count(struct frame *f) {
    const char *at = f->text, *end = f->text + f->used;
    f->end = f->found.seq = f->first;
    f->found.offset = 0;
    for (; at < end; f->end++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return false;
        at = newline + 1;
    }
    return f->end > f->first;
}

bool frame_line(struct frame *f, uint64_t seq, const char **ret, size_t *ret_n) {
    const char *end = f->text + f->used;
    if (seq < f->first || seq >= f->end)
        return false;
    bool behind = seq >= f->found.seq;
    const char *at = behind ? f->text + f->found.offset : f->text, *newline = NULL;
    for (uint64_t n = behind ? f->found.seq : f->first; at < end; n++, at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL || n == seq)
            break;
    }
    if (at >= end || newline == NULL)
        return false;
    f->found.seq = seq;
    f->found.offset = (size_t)(at - f->text);
    *ret = at;
    *ret_n = (size_t)(newline - at);
    return true;
}

bool frame_cut(struct frame *f, uint64_t first) {
    const char *line;
    size_t n = 0;
    if (!frame_line(f, first, &line, &n))
        return false;
    size_t before = (size_t)(line - f->text), left = f->used - before;
    for (size_t i = 0; i < left; i++)
        f->text[i] = f->text[before + i];
    wipe(f->text + left, before);
    f->first = f->found.seq = first;
    f->found.offset = 0;
    f->used = left;
    return true;
}
