#include "http_parse.h"

#include <string.h>

#include "vault/buffer.h"
#include "vault/fields.h"
#include "vault/result.h"

static int refuse(struct http_refusal *ret, unsigned status, const char *text) {
    *ret = (struct http_refusal){status, text};
    return VAULT_E_FORMAT;
}

/* One byte outside of a line end. */
static int check_byte(uint8_t b, const struct http_scan *scan, struct http_refusal *ret) {
    if (scan->seen >= HTTP_HEAD_MAX)
        return refuse(ret, 431, "the request head is longer than 16384 bytes");
    if (scan->line == 0 && scan->seen >= HTTP_LINE_MAX)
        return refuse(ret, 414, "the request line is longer than 8192 bytes");
    if (b == '\n')
        return refuse(ret, 400, "a line ends in LF without CR");
    if (b < 0x20 || b >= 0x7f)
        return refuse(ret, 400, "the request head holds a byte that is not printable ASCII");
    return VAULT_OK;
}

/* At a CR with its LF: VAULT_AGAIN after an ordinary line, VAULT_OK after the last. */
static int end_line(struct http_scan *scan, size_t *ret_end, struct http_refusal *ret) {
    bool empty = scan->seen == scan->line;
    if (empty && scan->line == 0)
        return refuse(ret, 400, "the request starts with an empty line");
    scan->seen += 2;
    scan->line = scan->seen;
    if (scan->seen > HTTP_HEAD_MAX)
        return refuse(ret, 431, "the request head is longer than 16384 bytes");
    if (!empty)
        return VAULT_AGAIN;
    *ret_end = scan->seen;
    return VAULT_OK;
}

int http_head_find(struct http_scan *scan, const uint8_t *bytes, size_t n, size_t *ret_end,
                   struct http_refusal *ret_refusal) {
    while (scan->seen < n) {
        int result;
        if (bytes[scan->seen] != '\r') {
            result = check_byte(bytes[scan->seen], scan, ret_refusal);
            if (result != VAULT_OK)
                return result;
            scan->seen++;
            continue;
        }
        if (scan->seen + 1 == n)
            return VAULT_AGAIN;
        if (bytes[scan->seen + 1] != '\n')
            return refuse(ret_refusal, 400, "a CR without LF");
        result = end_line(scan, ret_end, ret_refusal);
        if (result != VAULT_AGAIN)
            return result;
    }
    return VAULT_AGAIN;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static char lower(char c) {
    if (c >= 'A' && c <= 'Z')
        return (char)(c + ('a' - 'A'));
    return c;
}

/* RFC 9110, 5.6.2 */
static bool is_token(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (!is_letter(v.at[i]) && !is_digit(v.at[i]) && !is_one_of(v.at[i], "!#$%&'*+-.^_`|~"))
            return false;
    return v.n > 0;
}

bool view_is(struct view v, const char *text) {
    return v.n == strlen(text) && memcmp(v.at, text, v.n) == 0;
}

bool view_is_nocase(struct view v, const char *lower_text) {
    if (v.n != strlen(lower_text))
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (lower(v.at[i]) != lower_text[i])
            return false;
    return true;
}

bool view_number(struct view v, uint64_t *ret) {
    uint64_t number = 0;
    if (v.n == 0 || v.n > 19 || (v.n > 1 && v.at[0] == '0'))
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (!is_digit(v.at[i]))
            return false;
        number = number * 10 + (uint64_t)(v.at[i] - '0');
    }
    if (number > INT64_MAX)
        return false;
    *ret = number;
    return true;
}

int view_string(struct view v, char *to, size_t size) {
    if (v.n >= size)
        return VAULT_E_LIMIT;
    if (!text_is_clean(v.at, v.n))
        return VAULT_E_FORMAT;
    copy_bytes(to, size, v.at, v.n);
    to[v.n] = '\0';
    return VAULT_OK;
}

/* The value of two hexadecimal digits at the start of v, -1 if they are not there. */
static int hex_pair(struct view v) {
    int value = 0;
    if (v.n < 2)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        char c = lower(v.at[i]);
        if (!is_digit(c) && !(c >= 'a' && c <= 'f'))
            return -1;
        value = value * 16 + (is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    return value;
}

int http_decode(struct view from, char *to, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < from.n; used++) {
        int value = (unsigned char)from.at[i];
        if (used + 1 >= size)
            return VAULT_E_LIMIT;
        if (from.at[i] == '%') {
            value = hex_pair((struct view){from.at + i + 1, from.n - i - 1});
            if (value < 0)
                return VAULT_E_FORMAT;
            i += 2;
        }
        i++;
        to[used] = (char)value;
    }
    to[used] = '\0';
    return text_is_clean(to, used) ? VAULT_OK : VAULT_E_FORMAT;
}

/* RFC 3986 pchar, plus what `also` allows; percent-encoded bytes must be no control characters, and in paths neither
 * '/' nor '\', since others take those for separators. */
static int check_encoding(struct view v, const char *also, bool path, struct http_refusal *ret) {
    for (size_t i = 0; i < v.n; i++) {
        char c = v.at[i];
        if (c != '%') {
            if (!is_letter(c) && !is_digit(c) && !is_one_of(c, "-._~!$&'()*+,;=:@") && !is_one_of(c, also))
                return refuse(ret, 400, "the request target holds a character that must be percent-encoded");
            continue;
        }
        int value = hex_pair((struct view){v.at + i + 1, v.n - i - 1});
        if (value < 0)
            return refuse(ret, 400, "bad percent-encoding in the request target");
        if (value < 0x20 || value == 0x7f)
            return refuse(ret, 400, "an encoded control character in the request target");
        if (path && (value == '/' || value == '\\'))
            return refuse(ret, 400, "an encoded slash in the path");
    }
    return VAULT_OK;
}

bool http_path_next(struct view *rest, struct view *ret_segment) {
    if (rest->n == 0)
        return false;
    const char *start = rest->at + 1;
    const char *end = memchr(start, '/', rest->n - 1);
    size_t n = end == NULL ? rest->n - 1 : (size_t)(end - start);
    *ret_segment = (struct view){start, n};
    *rest = (struct view){start + n, rest->n - 1 - n};
    return true;
}

bool http_query_next(struct view *rest, struct view *ret_name, struct view *ret_value) {
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->at, '&', rest->n);
    size_t n = end == NULL ? rest->n : (size_t)(end - rest->at);
    const char *equals = memchr(rest->at, '=', n);
    size_t name = equals == NULL ? n : (size_t)(equals - rest->at);
    *ret_name = (struct view){rest->at, name};
    *ret_value = equals == NULL ? (struct view){rest->at + n, 0} : (struct view){equals + 1, n - name - 1};
    size_t step = end == NULL ? n : n + 1;
    *rest = (struct view){rest->at + step, rest->n - step};
    return true;
}

static bool is_dot_segment(struct view segment) {
    char text[3];
    return http_decode(segment, text, sizeof(text)) == VAULT_OK && (strcmp(text, ".") == 0 || strcmp(text, "..") == 0);
}

static int check_segments(struct view path, struct http_refusal *ret) {
    struct view segment;
    if (path.n == 1)
        return VAULT_OK;
    while (http_path_next(&path, &segment)) {
        if (segment.n == 0)
            return refuse(ret, 400, "an empty segment in the path");
        if (is_dot_segment(segment))
            return refuse(ret, 400, "a dot segment in the path");
    }
    return VAULT_OK;
}

static int parse_target(struct view target, struct http_head *head, struct http_refusal *ret) {
    if (target.n == 0 || target.at[0] != '/')
        return refuse(ret, 400, "the request target must be a path");
    const char *mark = memchr(target.at, '?', target.n);
    size_t path = mark == NULL ? target.n : (size_t)(mark - target.at);
    head->path = (struct view){target.at, path};
    head->query = mark == NULL ? (struct view){target.at + path, 0} : (struct view){mark + 1, target.n - path - 1};
    int result = check_encoding(head->path, "/", true, ret);
    if (result == VAULT_OK)
        result = check_encoding(head->query, "/?", false, ret);
    return result == VAULT_OK ? check_segments(head->path, ret) : result;
}

/* method SP target SP HTTP/1.1 */
static int parse_request_line(struct view line, struct http_head *head, struct http_refusal *ret) {
    const char *space = memchr(line.at, ' ', line.n);
    if (space == NULL)
        return refuse(ret, 400, "malformed request line");
    head->method = (struct view){line.at, (size_t)(space - line.at)};
    struct view rest = {space + 1, line.n - head->method.n - 1};
    space = memchr(rest.at, ' ', rest.n);
    if (!is_token(head->method) || space == NULL)
        return refuse(ret, 400, "malformed request line");
    if (view_is(head->method, "CONNECT")) /* others take what follows for a tunnel, whatever the fields say */
        return refuse(ret, 400, "CONNECT asks for a tunnel");
    struct view target = {rest.at, (size_t)(space - rest.at)};
    struct view version = {space + 1, rest.n - target.n - 1};
    if (!view_is(version, "HTTP/1.1"))
        return refuse(ret, version.n == 8 && memcmp(version.at, "HTTP/", 5) == 0 ? 505 : 400,
                      "only HTTP/1.1 is spoken");
    return parse_target(target, head, ret);
}

static struct view trim(struct view v) {
    while (v.n > 0 && v.at[0] == ' ')
        v = (struct view){v.at + 1, v.n - 1};
    while (v.n > 0 && v.at[v.n - 1] == ' ')
        v.n--;
    return v;
}

static int parse_field(struct view line, struct http_head *head, struct http_refusal *ret) {
    if (line.at[0] == ' ')
        return refuse(ret, 400, "a header field folded over two lines");
    const char *colon = memchr(line.at, ':', line.n);
    if (colon == NULL)
        return refuse(ret, 400, "a header line without colon");
    struct view name = {line.at, (size_t)(colon - line.at)};
    if (!is_token(name))
        return refuse(ret, 400, "malformed header field name");
    if (head->field_count == HTTP_FIELDS_MAX)
        return refuse(ret, 431, "more than 64 header fields");
    head->fields[head->field_count++] = (struct http_field){name, trim((struct view){colon + 1, line.n - name.n - 1})};
    return VAULT_OK;
}

int http_field_find(const struct http_head *head, const char *name, struct view *ret_value) {
    const struct http_field *found = NULL;
    for (size_t i = 0; i < head->field_count; i++) {
        if (!view_is_nocase(head->fields[i].name, name))
            continue;
        if (found != NULL)
            return VAULT_E_FORMAT;
        found = &head->fields[i];
    }
    if (found == NULL)
        return VAULT_NOT_FOUND;
    *ret_value = found->value;
    return VAULT_OK;
}

static int check_host(const struct http_head *head, struct http_refusal *ret) {
    struct view host;
    if (http_field_find(head, "host", &host) != VAULT_OK || host.n == 0)
        return refuse(ret, 400, "there must be exactly one Host field");
    for (size_t i = 0; i < host.n; i++)
        if (!is_letter(host.at[i]) && !is_digit(host.at[i]) && !is_one_of(host.at[i], "-._:[]"))
            return refuse(ret, 400, "malformed Host field");
    return VAULT_OK;
}

/* How long the body is must have one reading only (RFC 9112, 6.3). */
static int check_framing(struct http_head *head, struct http_refusal *ret) {
    struct view length;
    struct view coding;
    int has_length = http_field_find(head, "content-length", &length);
    int has_coding = http_field_find(head, "transfer-encoding", &coding);
    if (has_length < 0)
        return refuse(ret, 400, "Content-Length more than once");
    if (has_length == VAULT_OK && has_coding != VAULT_NOT_FOUND)
        return refuse(ret, 400, "Content-Length beside Transfer-Encoding");
    if (has_length == VAULT_OK && !view_number(length, &head->length))
        return refuse(ret, 400, "malformed Content-Length");
    if (has_coding < 0)
        return refuse(ret, 400, "Transfer-Encoding more than once");
    if (has_coding == VAULT_OK && !view_is_nocase(coding, "chunked"))
        return refuse(ret, 501, "the only transfer coding is chunked");
    head->has_length = has_length == VAULT_OK;
    head->chunked = has_coding == VAULT_OK;
    return VAULT_OK;
}

static int check_expect(struct http_head *head, struct http_refusal *ret) {
    struct view expect;
    int result = http_field_find(head, "expect", &expect);
    if (result == VAULT_NOT_FOUND)
        return VAULT_OK;
    if (result != VAULT_OK || !view_is_nocase(expect, "100-continue"))
        return refuse(ret, 417, "the only expectation is 100-continue");
    head->expect_continue = true;
    return VAULT_OK;
}

/* Any Connection field with a `close` option counts. */
static void note_close(struct http_head *head) {
    for (size_t i = 0; i < head->field_count; i++) {
        if (!view_is_nocase(head->fields[i].name, "connection"))
            continue;
        struct view rest = head->fields[i].value;
        while (rest.n > 0) {
            const char *comma = memchr(rest.at, ',', rest.n);
            size_t n = comma == NULL ? rest.n : (size_t)(comma - rest.at);
            if (view_is_nocase(trim((struct view){rest.at, n}), "close"))
                head->close = true;
            size_t step = comma == NULL ? n : n + 1;
            rest = (struct view){rest.at + step, rest.n - step};
        }
    }
}

/* Takes the line up to the next CRLF; http_head_find has seen that all are there. */
static struct view next_line(struct view *rest) {
    const char *cr = memchr(rest->at, '\r', rest->n);
    size_t n = cr == NULL ? rest->n : (size_t)(cr - rest->at);
    struct view line = {rest->at, n};
    size_t step = cr == NULL || n + 2 > rest->n ? rest->n : n + 2;
    *rest = (struct view){rest->at + step, rest->n - step};
    return line;
}

int http_head_parse(const uint8_t *bytes, size_t n, struct http_head *ret, struct http_refusal *ret_refusal) {
    struct http_scan scan = {0};
    size_t end = 0;
    int result = http_head_find(&scan, bytes, n, &end, ret_refusal);
    if (result < 0)
        return result;
    if (result != VAULT_OK || end != n)
        return refuse(ret_refusal, 400, "incomplete request head");
    *ret = (struct http_head){0};
    struct view rest = {(const char *)bytes, n - 2}; /* without the empty line */
    result = parse_request_line(next_line(&rest), ret, ret_refusal);
    while (result == VAULT_OK && rest.n > 0)
        result = parse_field(next_line(&rest), ret, ret_refusal);
    if (result == VAULT_OK)
        result = check_host(ret, ret_refusal);
    if (result == VAULT_OK)
        result = check_framing(ret, ret_refusal);
    if (result == VAULT_OK)
        result = check_expect(ret, ret_refusal);
    if (result == VAULT_OK)
        note_close(ret);
    return result;
}
