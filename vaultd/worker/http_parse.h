/* HTTP/1.1 request heads, strictly: whatever two parsers could read in two ways is refused. docs/http-parser.md.
 * Pure functions over bytes; everything given back points into the caller's buffer. */
#ifndef VAULT_WORKER_HTTP_PARSE_H
#define VAULT_WORKER_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_LINE_MAX = 8192, HTTP_HEAD_MAX = 16384, HTTP_FIELDS_MAX = 64 };

/* Part of a buffer that somebody else owns; not terminated. */
struct view {
    const char *at;
    size_t n;
};

struct http_field {
    struct view name, value; /* the value without spaces around it */
};

struct http_head {
    struct view method;
    struct view path;  /* starts with '/'; percent-encoding checked, not decoded */
    struct view query; /* without '?'; empty if there is none */
    bool close;        /* the client will not send another request */
    bool expect_continue;
    bool chunked;
    bool has_length;
    uint64_t length; /* 0 unless has_length */
    size_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Why a head is refused: an HTTP status and a static text. */
struct http_refusal {
    unsigned status;
    const char *text;
};

/* How far a head has been looked at; zero it for each request. */
struct http_scan {
    size_t seen;
    size_t line; /* where the current line starts */
};

/* Looks for the end of the head in the first n bytes; may be called again when there are more, and then goes on where
 * it stopped. VAULT_OK: *ret_end is one past the empty line. VAULT_AGAIN: not there yet. VAULT_E_FORMAT: *ret_refusal
 * says why. */
int http_head_find(struct http_scan *scan, const uint8_t *bytes, size_t n, size_t *ret_end,
                   struct http_refusal *ret_refusal);
/* Parses a whole head of n bytes, its empty line included. VAULT_E_FORMAT: *ret_refusal says why; *ret is undefined. */
int http_head_parse(const uint8_t *bytes, size_t n, struct http_head *ret, struct http_refusal *ret_refusal);

/* The value of a field (name in lower case). VAULT_NOT_FOUND; VAULT_E_FORMAT if it is there more than once. */
int http_field_find(const struct http_head *head, const char *name, struct view *ret_value);
/* Splits the first segment off a path ("/a/b": "a", rest "/b"). False when nothing is left. */
bool http_path_next(struct view *rest, struct view *ret_segment);
/* Splits the first `name=value` off a query; the value is empty where there is no '='. False when nothing is left. */
bool http_query_next(struct view *rest, struct view *ret_name, struct view *ret_value);
/* Percent-decodes into a terminated string of clean UTF-8. VAULT_E_LIMIT: over size - 1 bytes. VAULT_E_FORMAT. */
int http_decode(struct view from, char *to, size_t size);

bool view_is(struct view v, const char *text);
/* The same without regard to the case of ASCII letters; `lower` in lower case. */
bool view_is_nocase(struct view v, const char *lower);
/* Digits only, no leading zero, up to INT64_MAX. False otherwise. */
bool view_number(struct view v, uint64_t *ret);
/* The same as a terminated string of clean UTF-8. VAULT_E_LIMIT, VAULT_E_FORMAT. */
int view_string(struct view v, char *to, size_t size);

#endif
