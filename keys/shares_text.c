#include "vault/shares.h"

#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#include "vault/buffer.h"
#include "vault/result.h"

/* The frame: label, body, check value, and the hash that the check value is the beginning of. Label and body lie side
 * by side to be hashed, body and check value to be written as digits. All of it is in one secret. */
enum {
    LABEL = 18,
    BODY = CEREMONY_ID + 3 + SECRET_KEY_SIZE,
    CHECK = 4,
    CHECK_AT = LABEL + BODY,
    HASH_AT = CHECK_AT + CHECK,
    HASH = 32,
    FRAME = HASH_AT + HASH
};

enum {
    PREFIX = 7,
    DIGITS = 2 * (BODY + CHECK),
    GROUP = 8,
    GROUPS = (DIGITS + GROUP - 1) / GROUP,
    BARE = PREFIX + DIGITS, /* without what is ignored */
    TEXT = BARE + GROUPS
};

static const char prefix[PREFIX + 1] = "vshare1";

_Static_assert(TEXT + 1 == SHARE_TEXT, "the text of a share fits, with its NUL");

static int new_frame(struct secret **ret) {
    int result = secret_new(ret, FRAME);
    if (result == VAULT_OK)
        copy_bytes(secret_edit(*ret), FRAME, "vault-share-text-1", LABEL);
    return result;
}

/* The hash of label and body, in its place. */
static void hash_frame(uint8_t frame[FRAME]) {
    if (crypto_generichash(frame + HASH_AT, HASH, frame, LABEL + BODY, NULL, 0) != 0)
        abort();
}

static void fill_frame(const struct share *s, uint8_t frame[FRAME]) {
    struct writer w = writer_of(frame + LABEL, BODY);
    write_bytes(&w, s->ceremony, CEREMONY_ID);
    write_u8(&w, s->number);
    write_u8(&w, s->count);
    write_u8(&w, s->threshold);
    write_bytes(&w, secret_view(s->value), SECRET_KEY_SIZE);
    hash_frame(frame);
    copy_bytes(frame + CHECK_AT, CHECK, frame + HASH_AT, CHECK);
}

/* Prefix and groups, each group after a dash. */
static void write_groups(const char digits[DIGITS + 1], struct writer *w) {
    write_bytes(w, prefix, PREFIX);
    for (size_t i = 0; i < DIGITS; i += GROUP) {
        write_u8(w, '-');
        write_bytes(w, digits + i, DIGITS - i < GROUP ? DIGITS - i : GROUP);
    }
}

int share_write(const struct share *s, struct secret **ret_text) {
    CLEANUP_SECRET struct secret *frame = NULL;
    CLEANUP_SECRET struct secret *digits = NULL;
    CLEANUP_SECRET struct secret *text = NULL;
    if (s->value == NULL || secret_size(s->value) != SECRET_KEY_SIZE)
        return VAULT_E_STATE;
    int result = new_frame(&frame);
    if (result == VAULT_OK)
        result = secret_new(&digits, DIGITS + 1);
    if (result == VAULT_OK)
        result = secret_new(&text, TEXT);
    if (result != VAULT_OK)
        return result;
    fill_frame(s, secret_edit(frame));
    char *hex = (char *)secret_edit(digits);
    sodium_bin2hex(hex, DIGITS + 1, secret_view(frame) + LABEL, BODY + CHECK);
    struct writer w = writer_of(secret_edit(text), TEXT);
    write_groups(hex, &w);
    *ret_text = secret_move(&text);
    return VAULT_OK;
}

static bool is_ignored(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '-';
}

/* The text without what is ignored, if that has the length of a share. It stops where it is longer. */
static bool strip(const uint8_t *text, size_t n, uint8_t to[BARE]) {
    struct writer w = writer_of(to, BARE);
    for (size_t i = 0; i < n && !w.bad; i++)
        if (!is_ignored(text[i]))
            write_u8(&w, text[i]);
    return !w.bad && w.used == BARE;
}

/* Body and check value of a text, in their places. */
static int decode(const void *text, size_t n, uint8_t frame[FRAME]) {
    CLEANUP_SECRET struct secret *bare = NULL;
    size_t size = 0;
    int result = secret_new(&bare, BARE);
    if (result != VAULT_OK)
        return result;
    if (!strip(text, n, secret_edit(bare)))
        return VAULT_E_FORMAT;
    const char *characters = (const char *)secret_view(bare);
    if (strncasecmp(characters, prefix, PREFIX) != 0)
        return VAULT_E_FORMAT;
    int failed = sodium_hex2bin(frame + LABEL, BODY + CHECK, characters + PREFIX, DIGITS, NULL, &size, NULL);
    return failed == 0 && size == BODY + CHECK ? VAULT_OK : VAULT_E_FORMAT;
}

/* A body whose check value is right. */
static int read_body(struct reader r, struct share *ret) {
    struct share s = {0};
    read_bytes(&r, s.ceremony, CEREMONY_ID);
    s.number = read_u8(&r);
    s.count = read_u8(&r);
    s.threshold = read_u8(&r);
    if (!shares_in_range(s.count, s.threshold) || s.number < 1 || s.number > s.count)
        return VAULT_E_FORMAT;
    int result = secret_new(&s.value, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    read_bytes(&r, secret_edit(s.value), SECRET_KEY_SIZE);
    *ret = s;
    return VAULT_OK;
}

int share_read(const void *text, size_t n, struct share *ret) {
    CLEANUP_SECRET struct secret *frame = NULL;
    int result = new_frame(&frame);
    if (result != VAULT_OK)
        return result;
    uint8_t *at = secret_edit(frame);
    result = decode(text, n, at);
    if (result != VAULT_OK)
        return result;
    hash_frame(at);
    if (sodium_memcmp(at + CHECK_AT, at + HASH_AT, CHECK) != 0)
        return VAULT_E_DAMAGED;
    return read_body(reader_of(at + LABEL, BODY), ret);
}
