#include "vault/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader reader_of(const void *bytes, size_t size) {
    return (struct reader){.at = bytes, .left = size};
}

const uint8_t *read_view(struct reader *r, size_t n) {
    if (r->bad || n > r->left) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *view = r->at;
    if (n > 0)
        r->at += n;
    r->left -= n;
    return view;
}

/* n little-endian bytes as a number. */
static uint64_t read_number(struct reader *r, size_t n) {
    const uint8_t *p = read_view(r, n);
    uint64_t v = 0;
    for (size_t i = n; p != NULL && i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

uint8_t read_u8(struct reader *r) {
    return (uint8_t)read_number(r, 1);
}

uint16_t read_u16(struct reader *r) {
    return (uint16_t)read_number(r, 2);
}

uint32_t read_u32(struct reader *r) {
    return (uint32_t)read_number(r, 4);
}

uint64_t read_u64(struct reader *r) {
    return read_number(r, 8);
}

void read_bytes(struct reader *r, void *to, size_t n) {
    const uint8_t *p = read_view(r, n);
    if (n == 0)
        return;
    if (p == NULL)
        memset(to, 0, n);
    else
        memcpy(to, p, n);
}

bool read_done(const struct reader *r) {
    return !r->bad && r->left == 0;
}

struct writer writer_of(void *bytes, size_t size) {
    return (struct writer){.start = bytes, .size = size};
}

void write_bytes(struct writer *w, const void *from, size_t n) {
    if (w->bad || n > w->size - w->used) {
        w->bad = true;
        return;
    }
    if (n > 0)
        memcpy(w->start + w->used, from, n);
    w->used += n;
}

static void write_number(struct writer *w, uint64_t v, size_t n) {
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++, v >>= 8)
        bytes[i] = (uint8_t)v;
    write_bytes(w, bytes, n);
}

void write_u8(struct writer *w, uint8_t v) {
    write_number(w, v, 1);
}

void write_u16(struct writer *w, uint16_t v) {
    write_number(w, v, 2);
}

void write_u32(struct writer *w, uint32_t v) {
    write_number(w, v, 4);
}

void write_u64(struct writer *w, uint64_t v) {
    write_number(w, v, 8);
}

void put_be32(uint8_t to[4], uint32_t v) {
    for (size_t i = 4; i > 0; i--, v >>= 8)
        to[i - 1] = (uint8_t)v;
}

void put_be64(uint8_t to[8], uint64_t v) {
    for (size_t i = 8; i > 0; i--, v >>= 8)
        to[i - 1] = (uint8_t)v;
}

uint32_t get_be32(const uint8_t from[4]) {
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++)
        v = v << 8 | from[i];
    return v;
}

uint64_t get_be64(const uint8_t from[8]) {
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | from[i];
    return v;
}

void copy_bytes(void *to, size_t to_size, const void *from, size_t n) {
    if (n > to_size)
        abort();
    if (n > 0)
        memcpy(to, from, n);
}

void copy_string(char *to, size_t to_size, const char *from) {
    copy_bytes(to, to_size, from, strlen(from) + 1);
}

bool format_string(char *to, size_t to_size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(to, to_size, format, arguments);
    va_end(arguments);
    return n >= 0 && (size_t)n < to_size;
}

void hex_encode(char *to, size_t to_size, const void *from, size_t n) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = from;
    if (to_size < 2 * n + 1)
        abort();
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
    to[2 * n] = '\0';
}

/* 16 or more: it is none. Without branches, which nothing predicts: hashes are half of an audit record. */
static unsigned hex_digit(char c) {
    unsigned digit = (unsigned char)c - (unsigned)'0', letter = (unsigned char)c - (unsigned)'a';
    unsigned is_digit = 0u - (digit < 10), is_letter = 0u - (letter < 6);
    return (digit & is_digit) | ((letter + 10) & is_letter) | (16 & ~(is_digit | is_letter));
}

bool hex_decode(void *to, size_t n, const char *hex) {
    uint8_t *bytes = to;
    if (strlen(hex) != 2 * n)
        return false;
    unsigned all = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned high = hex_digit(hex[2 * i]);
        unsigned low = hex_digit(hex[2 * i + 1]);
        all |= high | low;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return all < 16;
}
