#include "mutate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vault/buffer.h"

static int keep(struct bytes *list, size_t *count, size_t most, const uint8_t *from, size_t n) {
    uint8_t *copy = malloc(n + 1);
    if (copy == NULL || *count == most) {
        free(copy);
        errno = ENOMEM;
        return -1;
    }
    copy_bytes(copy, n + 1, from, n);
    list[(*count)++] = (struct bytes){copy, n};
    return 0;
}

static int add_file(struct mutator *m, const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    size_t n = fread(m->work, 1, sizeof(m->work), f);
    fclose(f);
    return keep(m->inputs, &m->input_count, INPUTS_MAX, m->work, n);
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

int mutator_add(struct mutator *m, const char *path) {
    struct stat s;
    struct dirent **names = NULL;
    if (stat(path, &s) != 0)
        return -1;
    if (!S_ISDIR(s.st_mode))
        return add_file(m, path);
    int count = scandir(path, &names, is_visible, alphasort);
    int result = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        char *file = NULL;
        if (result == 0 && asprintf(&file, "%s/%s", path, names[i]->d_name) < 0)
            result = -1;
        if (result == 0)
            result = add_file(m, file);
        free(file);
        free(names[i]);
    }
    free(names);
    return result;
}

/* The bytes between the first and the last quotation mark of a line, unescaped in place. */
static int add_token(struct mutator *m, char *line) {
    char *from = strchr(line, '"');
    char *end = strrchr(line, '"');
    if (line[0] == '#' || from == NULL || end == from)
        return 0;
    char *to = ++from;
    const uint8_t *start = (const uint8_t *)from;
    while (from < end) {
        char hex[3] = "";
        if (from[0] == '\\' && from[1] == 'x' && end - from >= 4) {
            copy_bytes(hex, sizeof(hex), from + 2, 2);
            *to++ = (char)strtol(hex, NULL, 16);
            from += 4;
            continue;
        }
        from += from[0] == '\\';
        *to++ = *from++;
    }
    return keep(m->tokens, &m->token_count, TOKENS_MAX, start, (size_t)((uint8_t *)to - start));
}

int mutator_add_tokens(struct mutator *m, const char *path) {
    char line[1024];
    int result = 0;
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -1;
    while (result == 0 && fgets(line, sizeof(line), f) != NULL)
        result = add_token(m, line);
    fclose(f);
    return result;
}

void mutator_good(struct mutator *m, size_t i) {
    struct bytes good = m->inputs[i];
    m->inputs[i] = m->inputs[m->good_count];
    m->inputs[m->good_count++] = good;
}

/* xorshift64* */
static uint64_t next(struct mutator *m) {
    m->state ^= m->state >> 12;
    m->state ^= m->state << 25;
    m->state ^= m->state >> 27;
    return m->state * 0x2545f4914f6cdd1dULL;
}

/* 0 to n - 1, by the high half: cheaper than a division, and even enough. */
static size_t below(struct mutator *m, size_t n) {
    return (size_t)(((next(m) >> 32) * n) >> 32);
}

void mutator_seed(struct mutator *m, uint64_t seed) {
    m->state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
    if (m->state == 0)
        m->state = 1;
    (void)next(m);
}

/* Puts n bytes in the place of `gone` bytes at `at`; what goes beyond INPUT_MAX is dropped. `from` is not in work,
 * unless n is 0. */
static void replace(struct mutator *m, size_t at, size_t gone, const uint8_t *from, size_t n) {
    size_t tail = m->n - at - gone;
    if (n > INPUT_MAX - at)
        n = INPUT_MAX - at;
    if (tail > INPUT_MAX - at - n)
        tail = INPUT_MAX - at - n;
    copy_bytes(m->aside, sizeof(m->aside), m->work + at + gone, tail);
    copy_bytes(m->work + at + n, INPUT_MAX - at - n, m->aside, tail);
    copy_bytes(m->work + at, INPUT_MAX - at, from, n);
    m->n = at + n + tail;
}

static const struct bytes *some_input(struct mutator *m) {
    return &m->inputs[below(m, m->input_count)];
}

static void change_byte(struct mutator *m) {
    static const uint8_t telling[] = {0,    1,   0x7f, 0x80, 0xff, ' ', '\t', '\r',
                                      '\n', '0', '"',  '\\', ':',  ',', '/',  '%'};
    if (m->n == 0)
        return;
    uint8_t *b = m->work + below(m, m->n);
    switch (below(m, 4)) {
    case 0: *b ^= (uint8_t)(1U << below(m, 8)); break;
    case 1: *b = (uint8_t)next(m); break;
    case 2: *b = telling[below(m, sizeof(telling))]; break;
    default: *b = (uint8_t)(isdigit(*b) ? '0' + below(m, 10) : *b + (next(m) & 1 ? 1U : 255U)); break;
    }
}

/* A short length mostly: long ones make what follows meaningless. */
static size_t some_length(struct mutator *m, size_t most) {
    size_t small = most < 16 ? most : 16;
    return below(m, (below(m, 4) == 0 ? most : small) + 1);
}

static void insert_bytes(struct mutator *m) {
    uint8_t fresh[16];
    size_t n = 1 + below(m, sizeof(fresh));
    uint8_t same = (uint8_t)next(m);
    for (size_t i = 0; i < n; i++)
        fresh[i] = n % 2 ? same : (uint8_t)next(m);
    replace(m, below(m, m->n + 1), 0, fresh, n);
}

static void remove_bytes(struct mutator *m) {
    size_t at = below(m, m->n + 1);
    replace(m, at, some_length(m, m->n - at), m->work, 0);
}

/* Copies a piece of the input to another place in it: repeated fields, repeated members. */
static void repeat_piece(struct mutator *m) {
    uint8_t piece[256];
    size_t from = below(m, m->n + 1);
    size_t n = some_length(m, m->n - from < sizeof(piece) ? m->n - from : sizeof(piece));
    copy_bytes(piece, sizeof(piece), m->work + from, n);
    replace(m, below(m, m->n + 1), 0, piece, n);
}

static void put_token(struct mutator *m) {
    if (m->token_count == 0)
        return;
    const struct bytes *token = &m->tokens[below(m, m->token_count)];
    size_t at = below(m, m->n + 1);
    size_t gone = below(m, 2) == 0 ? 0 : token->n;
    replace(m, at, gone < m->n - at ? gone : m->n - at, token->at, token->n);
}

/* Goes on from some place with the rest of another input, from some place in that. */
static void splice(struct mutator *m) {
    const struct bytes *other = some_input(m);
    size_t from = below(m, other->n + 1);
    size_t at = below(m, m->n + 1);
    replace(m, at, m->n - at, other->at + from, other->n - from);
}

static void mutate_once(struct mutator *m) {
    switch (below(m, 12)) {
    case 0: insert_bytes(m); break;
    case 1: remove_bytes(m); break;
    case 2: repeat_piece(m); break;
    case 3:
    case 4:
    case 5: put_token(m); break;
    case 6: splice(m); break;
    case 7: m->n = below(m, m->n + 1); break;
    default: change_byte(m); break;
    }
}

/* Short inputs run faster and say as much: of two the shorter, in three of four cases. */
static const struct bytes *some_base(struct mutator *m) {
    size_t most = m->good_count > 0 && below(m, 2) == 0 ? m->good_count : m->input_count;
    const struct bytes *base = &m->inputs[below(m, most)];
    const struct bytes *other = &m->inputs[below(m, most)];
    return other->n < base->n && below(m, 4) != 0 ? other : base;
}

void mutator_next(struct mutator *m) {
    const struct bytes *base = some_base(m);
    copy_bytes(m->work, sizeof(m->work), base->at, base->n);
    m->n = base->n;
    for (size_t times = below(m, 2) == 0 ? 1 : 1 + below(m, 4); times > 0; times--)
        mutate_once(m);
}
