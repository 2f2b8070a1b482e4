#include "vault/fields.h"

#include <string.h>

#include "vault/result.h"

static const uint8_t *field_at(const struct field *f, const void *record) {
    return (const uint8_t *)record + f->offset;
}

static uint8_t *field_edit(const struct field *f, void *record) {
    return (uint8_t *)record + f->offset;
}

/* Length of the UTF-8 sequence that starts here, 0 if it is malformed, overlong or a surrogate. */
static size_t utf8_sequence(const uint8_t *p, size_t left) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    if (n == 1)
        return 1;
    uint32_t code = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return n;
}

bool text_is_clean(const char *text, size_t n) {
    const uint8_t *p = (const uint8_t *)text;
    for (size_t i = 0; i < n;) {
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
        size_t step = utf8_sequence(p + i, n - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static void encode_string(const struct field *f, const char *text, struct writer *w) {
    size_t n = strnlen(text, f->max + 1);
    if (n > f->max || !text_is_clean(text, n)) {
        w->bad = true;
        return;
    }
    write_u16(w, (uint16_t)n);
    write_bytes(w, text, n);
}

static uint32_t bytes_in(const struct field *f, const void *record) {
    uint32_t n;
    copy_bytes(&n, sizeof(n), (const uint8_t *)record + f->size_offset, sizeof(n));
    return n;
}

static void encode_sized(const struct field *f, const void *record, struct writer *w) {
    uint32_t n = bytes_in(f, record);
    if (n > f->max) {
        w->bad = true;
        return;
    }
    write_u32(w, n);
    write_bytes(w, field_at(f, record), n);
}

static void encode_key(const struct field *f, const void *record, struct writer *w) {
    struct secret *key;
    copy_bytes(&key, sizeof(key), field_at(f, record), sizeof(key));
    if (key == NULL || secret_size(key) != SECRET_KEY_SIZE) {
        w->bad = true;
        return;
    }
    write_bytes(w, secret_view(key), SECRET_KEY_SIZE);
}

static void encode_number(const struct field *f, const void *record, struct writer *w) {
    uint32_t v32;
    uint64_t v64;
    switch (f->kind) {
    case FIELD_U8: write_u8(w, *field_at(f, record)); return;
    case FIELD_U32:
        copy_bytes(&v32, sizeof(v32), field_at(f, record), sizeof(v32));
        write_u32(w, v32);
        return;
    default: copy_bytes(&v64, sizeof(v64), field_at(f, record), sizeof(v64)); write_u64(w, v64);
    }
}

void layout_encode(const struct layout *l, const void *record, struct writer *w) {
    for (const struct field *f = l->fields; f < l->fields + l->count; f++) {
        switch (f->kind) {
        case FIELD_FIXED: write_bytes(w, field_at(f, record), f->max); break;
        case FIELD_STR: encode_string(f, (const char *)field_at(f, record), w); break;
        case FIELD_BYTES: encode_sized(f, record, w); break;
        case FIELD_KEY: encode_key(f, record, w); break;
        default: encode_number(f, record, w);
        }
    }
}

static int decode_string(const struct field *f, struct reader *r, void *record) {
    uint16_t n = read_u16(r);
    if (n > f->max)
        return VAULT_E_FORMAT;
    const uint8_t *text = read_view(r, n);
    if (text == NULL || !text_is_clean((const char *)text, n))
        return VAULT_E_FORMAT;
    copy_bytes(field_edit(f, record), f->max, text, n);
    return VAULT_OK;
}

static int decode_sized(const struct field *f, struct reader *r, void *record) {
    uint32_t n = read_u32(r);
    if (n > f->max || n > r->left)
        return VAULT_E_FORMAT;
    copy_bytes((uint8_t *)record + f->size_offset, sizeof(n), &n, sizeof(n));
    read_bytes(r, field_edit(f, record), n);
    return VAULT_OK;
}

static int decode_key(const struct field *f, struct reader *r, void *record) {
    uint8_t bytes[SECRET_KEY_SIZE];
    struct secret *key = NULL;
    read_bytes(r, bytes, sizeof(bytes));
    int result = secret_take(&key, bytes, sizeof(bytes));
    if (result == VAULT_OK)
        copy_bytes(field_edit(f, record), sizeof(key), &key, sizeof(key));
    return result;
}

static void decode_number(const struct field *f, struct reader *r, void *record) {
    uint32_t v32;
    uint64_t v64;
    switch (f->kind) {
    case FIELD_U8: *field_edit(f, record) = read_u8(r); return;
    case FIELD_U32:
        v32 = read_u32(r);
        copy_bytes(field_edit(f, record), sizeof(v32), &v32, sizeof(v32));
        return;
    default: v64 = read_u64(r); copy_bytes(field_edit(f, record), sizeof(v64), &v64, sizeof(v64));
    }
}

static int decode_field(const struct field *f, struct reader *r, void *record) {
    switch (f->kind) {
    case FIELD_FIXED: read_bytes(r, field_edit(f, record), f->max); return VAULT_OK;
    case FIELD_STR: return decode_string(f, r, record);
    case FIELD_BYTES: return decode_sized(f, r, record);
    case FIELD_KEY: return decode_key(f, r, record);
    default: decode_number(f, r, record); return VAULT_OK;
    }
}

/* All of the record but the BYTES, or what they hold with them: most of a message is room that it does not use. */
static void wipe_record(const struct layout *l, void *record, bool with_bytes) {
    size_t at = 0;
    for (const struct field *f = l->fields; f < l->fields + l->count; f++) {
        if (f->kind != FIELD_BYTES)
            continue;
        size_t held = with_bytes ? bytes_in(f, record) : 0;
        wipe((uint8_t *)record + at, f->offset - at + (held < f->max ? held : f->max));
        at = f->offset + f->max;
    }
    wipe((uint8_t *)record + at, l->size - at);
}

void layout_init(const struct layout *l, void *record) {
    wipe_record(l, record, false);
}

int layout_decode_next(const struct layout *l, struct reader *r, void *record) {
    layout_init(l, record);
    for (const struct field *f = l->fields; f < l->fields + l->count; f++) {
        int result = decode_field(f, r, record);
        if (result == VAULT_OK && r->bad)
            result = VAULT_E_FORMAT;
        if (result != VAULT_OK) {
            layout_clear(l, record);
            return result;
        }
    }
    return VAULT_OK;
}

int layout_decode(const struct layout *l, struct reader *r, void *record) {
    int result = layout_decode_next(l, r, record);
    if (result == VAULT_OK && r->left != 0) {
        layout_clear(l, record);
        return VAULT_E_FORMAT;
    }
    return result;
}

void layout_clear(const struct layout *l, void *record) {
    for (const struct field *f = l->fields; f < l->fields + l->count; f++) {
        if (f->kind != FIELD_KEY)
            continue;
        struct secret *key;
        copy_bytes(&key, sizeof(key), field_at(f, record), sizeof(key));
        secret_free(&key);
    }
    wipe_record(l, record, true);
}
