/* Records described by tables: one encoder and one decoder for all messages between processes and all index values.
 *
 * A layout lists the fields of a C struct in order. Encoded, the fields follow one another without padding:
 *   U8, U32, U64   little-endian
 *   FIXED(n)       n bytes                                  in C: uint8_t name[n]
 *   STR(n)         u16 length, then that many bytes of UTF-8  in C: char name[n + 1], terminated
 *   BYTES(n)       u32 length, then that many bytes           in C: uint32_t name_size; uint8_t name[n], of which what
 *                                                             lies beyond name_size means nothing
 *   KEY            32 bytes                                   in C: struct secret *name, owned, never NULL when
 * encoding STR refuses NUL, control characters (below 0x20, 0x7f) and malformed UTF-8. Nothing may follow the last
 * field.
 *
 * A struct and its layout come from one list:
 *   #define FIELDS_object_get(F, R) F(R, FIXED, address, 32) F(R, FIXED, token, 32)
 *   DECLARE_RECORD(object_get);        in a header: struct object_get, extern layout_object_get
 *   DEFINE_LAYOUT(object_get);         in one source file */
#ifndef VAULT_FIELDS_H
#define VAULT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/buffer.h"
#include "vault/secret.h"

enum field_kind { FIELD_U8, FIELD_U32, FIELD_U64, FIELD_FIXED, FIELD_STR, FIELD_BYTES, FIELD_KEY };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;      /* of the value in the struct */
    size_t size_offset; /* BYTES: of its name_size */
    size_t max;         /* FIXED, STR, BYTES: bytes */
};

struct layout {
    const char *name;
    const struct field *fields;
    size_t count;
    size_t size; /* of the struct */
};

/* Appends the record. The writer turns bad when it does not fit or a STR or BYTES is over its maximum. */
void layout_encode(const struct layout *l, const void *record, struct writer *w);
/* Makes memory of l->size bytes, whatever is in it, a record of zeros that owns nothing. */
void layout_init(const struct layout *l, void *record);
/* Reads a whole record into l->size bytes of memory, whatever is in them; on failure it is as after layout_init.
 * VAULT_E_FORMAT: short, over a maximum, bad string, trailing bytes. VAULT_E_MEMORY: no locked memory for a key. */
int layout_decode(const struct layout *l, struct reader *r, void *record);
/* The same without insisting that the reader ends: for records in sequence. */
int layout_decode_next(const struct layout *l, struct reader *r, void *record);
/* Frees the keys in it and wipes what it holds. */
void layout_clear(const struct layout *l, void *record);
/* True for well-formed UTF-8 without control characters. */
bool text_is_clean(const char *text, size_t n);

#define FIELD_DECL_U8(name, n) uint8_t name;
#define FIELD_DECL_U32(name, n) uint32_t name;
#define FIELD_DECL_U64(name, n) uint64_t name;
#define FIELD_DECL_FIXED(name, n) uint8_t name[n];
#define FIELD_DECL_STR(name, n) char name[(n) + 1];
#define FIELD_DECL_BYTES(name, n)                                                                                      \
    uint32_t name##_size;                                                                                              \
    uint8_t name[n];
#define FIELD_DECL_KEY(name, n) struct secret *name;
#define FIELD_DECL(record, kind, name, n) FIELD_DECL_##kind(name, n)

#define FIELD_ROW_U8(record, name, n) {#name, FIELD_U8, offsetof(struct record, name), 0, 0},
#define FIELD_ROW_U32(record, name, n) {#name, FIELD_U32, offsetof(struct record, name), 0, 0},
#define FIELD_ROW_U64(record, name, n) {#name, FIELD_U64, offsetof(struct record, name), 0, 0},
#define FIELD_ROW_FIXED(record, name, n) {#name, FIELD_FIXED, offsetof(struct record, name), 0, n},
#define FIELD_ROW_STR(record, name, n) {#name, FIELD_STR, offsetof(struct record, name), 0, n},
#define FIELD_ROW_BYTES(record, name, n)                                                                               \
    {#name, FIELD_BYTES, offsetof(struct record, name), offsetof(struct record, name##_size), n},
#define FIELD_ROW_KEY(record, name, n) {#name, FIELD_KEY, offsetof(struct record, name), 0, 32},
#define FIELD_ROW(record, kind, name, n) FIELD_ROW_##kind(record, name, n)

#define DECLARE_RECORD(record)                                                                                         \
    struct record {                                                                                                    \
        FIELDS_##record(FIELD_DECL, record)                                                                            \
    };                                                                                                                 \
    extern const struct layout layout_##record

#define DEFINE_LAYOUT(record)                                                                                          \
    static const struct field fields_of_##record[] = {FIELDS_##record(FIELD_ROW, record)};                             \
    const struct layout layout_##record = {#record, fields_of_##record,                                                \
                                           sizeof(fields_of_##record) / sizeof(struct field), sizeof(struct record)}

#endif
