/* Bounded cursors: all parsing and building of bytes goes through these.
 *
 * Both are sticky: after the first read past the end or write past the size, `bad` is set, further calls do
 * nothing (readers give zeros), and one check at the end is enough. Integers are little-endian. */
#ifndef VAULT_BUFFER_H
#define VAULT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    const uint8_t *at; /* next byte; not owned */
    size_t left;       /* bytes from `at` to the end */
    bool bad;
};

struct writer {
    uint8_t *start; /* not owned */
    size_t used;    /* bytes written */
    size_t size;    /* bytes available at start */
    bool bad;
};

struct reader reader_of(const void *bytes, size_t size);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* A pointer into the buffer to the next n bytes, NULL if there are fewer. Lives as long as the buffer. */
const uint8_t *read_view(struct reader *r, size_t n);
/* Copies n bytes to `to`; zeros if there are fewer. */
void read_bytes(struct reader *r, void *to, size_t n);
/* True if nothing went wrong and nothing is left. */
bool read_done(const struct reader *r);

struct writer writer_of(void *bytes, size_t size);
void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_bytes(struct writer *w, const void *from, size_t n);

/* Big-endian 32 and 64 bit, for keys that sort by number and for formats that ask for it. */
void put_be32(uint8_t to[4], uint32_t v);
void put_be64(uint8_t to[8], uint64_t v);
uint32_t get_be32(const uint8_t from[4]);
uint64_t get_be64(const uint8_t from[8]);

/* The only copies in the project. Both abort when the target is too small: that is a mistake of this program,
 * never of its input, since input is bounded by the cursors above. Regions must not overlap. */
void copy_bytes(void *to, size_t to_size, const void *from, size_t n);
/* Copies the string with its NUL. */
void copy_string(char *to, size_t to_size, const char *from);
/* printf into a fixed buffer. Returns false, leaving a terminated prefix, when it did not fit. */
bool format_string(char *to, size_t to_size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define COPY_ARRAY(to, from) copy_bytes((to), sizeof(to), (from), sizeof(to))

/* Lower-case hex; `to` has room for 2n + 1 characters. */
void hex_encode(char *to, size_t to_size, const void *from, size_t n);
/* Exactly 2n lower-case hex digits. Returns false on anything else. */
bool hex_decode(void *to, size_t n, const char *hex);

#endif
