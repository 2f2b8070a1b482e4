#include "http_chunked.h"

#include "vault/result.h"

enum { SIZE_DIGITS = 12 }; /* 2^48 bytes in one chunk are more than any body may have */

static int hex_value(uint8_t b) {
    if (b >= '0' && b <= '9')
        return b - '0';
    if (b >= 'a' && b <= 'f')
        return b - 'a' + 10;
    if (b >= 'A' && b <= 'F')
        return b - 'A' + 10;
    return -1;
}

static int take_size(struct http_chunked *c, uint8_t b) {
    int value = hex_value(b);
    if (b == '\r' && c->digits > 0) {
        c->state = CHUNKED_SIZE_LF;
        return VAULT_OK;
    }
    bool zero_first = c->digits > 0 && c->left == 0;
    if (value < 0 || c->digits == SIZE_DIGITS || zero_first)
        return VAULT_E_FORMAT;
    c->left = c->left * 16 + (uint64_t)value;
    c->digits++;
    return VAULT_OK;
}

static int take_exact(struct http_chunked *c, uint8_t b, uint8_t expected, enum http_chunked_state next) {
    if (b != expected)
        return VAULT_E_FORMAT;
    c->state = next;
    return VAULT_OK;
}

/* One byte that is not data. */
static int take_framing(struct http_chunked *c, uint8_t b) {
    switch (c->state) {
    case CHUNKED_SIZE: return take_size(c, b);
    case CHUNKED_SIZE_LF: c->digits = 0; return take_exact(c, b, '\n', c->left == 0 ? CHUNKED_END_CR : CHUNKED_DATA);
    case CHUNKED_DATA_CR: return take_exact(c, b, '\r', CHUNKED_DATA_LF);
    case CHUNKED_DATA_LF: return take_exact(c, b, '\n', CHUNKED_SIZE);
    case CHUNKED_END_CR: return take_exact(c, b, '\r', CHUNKED_END_LF);
    case CHUNKED_END_LF: return take_exact(c, b, '\n', CHUNKED_DONE);
    case CHUNKED_DATA:
    case CHUNKED_DONE: break;
    }
    return VAULT_E_STATE;
}

int http_chunked_take(struct http_chunked *c, const uint8_t *from, size_t n, size_t *ret_used, const uint8_t **ret_data,
                      size_t *ret_size) {
    size_t used = 0;
    while (used < n && c->state != CHUNKED_DATA && c->state != CHUNKED_DONE) {
        int result = take_framing(c, from[used++]);
        if (result != VAULT_OK)
            return result;
    }
    size_t run = 0;
    if (c->state == CHUNKED_DATA) {
        run = n - used < c->left ? n - used : (size_t)c->left;
        c->left -= run;
        if (c->left == 0)
            c->state = CHUNKED_DATA_CR;
    }
    *ret_data = from + used;
    *ret_size = run;
    *ret_used = used + run;
    return VAULT_OK;
}
