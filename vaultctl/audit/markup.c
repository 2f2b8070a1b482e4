#include "markup.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"

enum { HIDDEN_TEXT = 16, NUMBER_TEXT = 32 };

void html_begin(struct html *h, struct output *out) {
    h->out = out;
    h->used = 0;
    h->failed = false;
}

static void flush(struct html *h) {
    h->failed = h->failed || !output_write(h->out, h->room, h->used);
    h->used = 0;
}

static void put(struct html *h, const char *bytes, size_t n) {
    while (n > 0) {
        if (h->used == sizeof(h->room))
            flush(h);
        size_t part = n < sizeof(h->room) - h->used ? n : sizeof(h->room) - h->used;
        copy_bytes(h->room + h->used, sizeof(h->room) - h->used, bytes, part);
        h->used += part;
        bytes += part;
        n -= part;
    }
}

static void put_string(struct html *h, const char *text) {
    put(h, text, strlen(text));
}

/* ---- what cannot be seen ---- */

static const struct hidden {
    unsigned first, last;
} hidden_ranges[] = {{0x00, 0x1f},     {0x7f, 0x9f},      {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},
                     {0x115f, 0x1160}, {0x17b4, 0x17b5},  {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e},
                     {0x2060, 0x206f}, {0x3164, 0x3164},  {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
                     {0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};

/* The character at `text`, which is good UTF-8, as jansson gives it; its length in *ret. */
static unsigned character_at(const char *text, size_t *ret) {
    const unsigned char *at = (const unsigned char *)text;
    size_t n = at[0] < 0xc0 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    unsigned value = n == 1 ? at[0] : at[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            *ret = 1;
            return at[0];
        }
        value = value << 6 | (at[i] & 0x3fU);
    }
    *ret = n;
    return value;
}

/* Whether the character at `text` is hidden: then what to show for it is in `shown`. Its length is in *ret. */
static bool is_hidden(const char *text, size_t *ret, char shown[HIDDEN_TEXT]) {
    unsigned value = character_at(text, ret);
    for (size_t i = 0; i < sizeof(hidden_ranges) / sizeof(hidden_ranges[0]); i++)
        if (value >= hidden_ranges[i].first && value <= hidden_ranges[i].last)
            return format_string(shown, HIDDEN_TEXT, "[U+%04X]", value);
    return false;
}

char *visible_text(const char *text) {
    char shown[HIDDEN_TEXT];
    size_t room = HIDDEN_TEXT * strlen(text) + 1, used = 0, n;
    char *seen = malloc(room);
    for (const char *at = text; seen != NULL && *at != '\0'; at += n) {
        bool hidden = is_hidden(at, &n, shown);
        size_t length = hidden ? strlen(shown) : n;
        copy_bytes(seen + used, room - used, hidden ? shown : at, length);
        used += length;
    }
    if (seen != NULL)
        seen[used] = '\0';
    return seen;
}

/* ---- text, numbers, markup ---- */

static const char *entity_of(char c) {
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

static void put_escaped(struct html *h, const char *text) {
    char shown[HIDDEN_TEXT];
    size_t n;
    for (const char *at = text; *at != '\0'; at += n) {
        const char *instead = entity_of(*at);
        if (is_hidden(at, &n, shown))
            instead = shown;
        if (instead != NULL)
            put_string(h, instead);
        else
            put(h, at, n);
    }
}

static void put_number(struct html *h, unsigned long long number, bool grouped) {
    char digits[NUMBER_TEXT];
    (void)format_string(digits, sizeof(digits), "%llu", number);
    size_t n = strlen(digits);
    for (size_t i = 0; i < n; i++) {
        if (grouped && i > 0 && (n - i) % 3 == 0)
            put_string(h, ",");
        put(h, digits + i, 1);
    }
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

void html_print(struct html *h, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (const char *at = format; *at != '\0';) {
        size_t n = strcspn(at, "%");
        put(h, at, n);
        at += n;
        if (begins(at, "%s")) {
            put_escaped(h, va_arg(arguments, const char *));
            at += strlen("%s");
        } else if (begins(at, "%llu") || begins(at, "%'llu")) {
            put_number(h, va_arg(arguments, unsigned long long), at[1] == '\'');
            at += at[1] == '\'' ? strlen("%'llu") : strlen("%llu");
        } else if (*at != '\0') {
            abort(); /* a mistake of this program, never of its input */
        }
    }
    va_end(arguments);
}

/* ---- data ---- */

/* Outside its texts JSON has none of these; in them an escape says the same. */
static const char *json_escape_of(const char *at, size_t *ret) {
    *ret = 1;
    switch (*at) {
    case '<': return "\\u003c";
    case '>': return "\\u003e";
    case '&': return "\\u0026";
    default: break;
    }
    *ret = 3;
    if (begins(at, "\xe2\x80\xa8"))
        return "\\u2028";
    return begins(at, "\xe2\x80\xa9") ? "\\u2029" : NULL;
}

void html_json(struct html *h, const json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    h->failed = h->failed || text == NULL;
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, "<>&\xe2"), escaped;
        put(h, at, n);
        at += n;
        const char *escape = json_escape_of(at, &escaped);
        if (escape != NULL) {
            put_string(h, escape);
            at += escaped;
        } else if (*at != '\0') {
            put(h, at++, 1);
        }
    }
    free(text);
}

void html_own(struct html *h, const unsigned char *bytes, size_t n) {
    put(h, (const char *)bytes, n);
}

bool html_end(struct html *h) {
    flush(h);
    return !h->failed;
}
