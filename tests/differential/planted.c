#include "planted.h"

#include <string.h>
#include <strings.h>

enum { NONE, BARE_LF, LAST_LENGTH, LENGTH_FIRST };

static size_t planted; /* one of these */

bool planted_choose(const char *name) {
    static const char *const names[] = {"", "bare-lf", "last-length", "length-first"};
    for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            planted = i;
    return planted != NONE;
}

size_t planted_in_input(uint8_t *bytes, size_t n) {
    if (planted != BARE_LF)
        return n;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r')) {
            for (size_t k = n; k > i; k--)
                bytes[k] = bytes[k - 1];
            bytes[i++] = '\r';
            n++;
        }
    return n;
}

/* The first field of this name (in lower case, with its colon) from `at` on; NULL if there is none. */
static uint8_t *find_field(uint8_t *at, const uint8_t *end, const char *name) {
    size_t n = strlen(name);
    for (; at + n + 1 < end; at++)
        if (at[0] == '\n' && strncasecmp((const char *)at + 1, name, n) == 0)
            return at + 1;
    return NULL;
}

/* Takes the line at `line` out of the head. */
static size_t remove_line(uint8_t *bytes, size_t n, uint8_t *line) {
    const uint8_t *end = bytes + n;
    const uint8_t *next = memchr(line, '\n', (size_t)(end - line));
    if (next == NULL)
        return n;
    next++;
    size_t gone = (size_t)(next - line);
    for (uint8_t *at = line; at + gone < end; at++)
        *at = at[gone];
    return n - gone;
}

size_t planted_in_head(uint8_t *bytes, size_t n) {
    for (;;) {
        uint8_t *length = find_field(bytes, bytes + n, "content-length:");
        uint8_t *coding = find_field(bytes, bytes + n, "transfer-encoding:");
        if (planted == LAST_LENGTH && length != NULL && find_field(length, bytes + n, "content-length:") != NULL)
            n = remove_line(bytes, n, length);
        else if (planted == LENGTH_FIRST && length != NULL && coding != NULL)
            n = remove_line(bytes, n, coding);
        else
            return n;
    }
}
