#include "names.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/fields.h"

enum { NAME_BYTES = 128, VERIFIER_NAME_MAX = 200 };

bool word_is_good(const char *text, size_t max) {
    size_t n = strnlen(text, max + 1);
    return n > 0 && n <= max && text_is_clean(text, n);
}

static bool is_file_id(const char *text) {
    uint8_t id[16];
    return hex_decode(id, sizeof(id), text);
}

bool file_name_parse(const char *text, struct file_name *ret) {
    struct file_name f = {.by_id = is_file_id(text)};
    if (f.by_id) {
        copy_string(f.id, sizeof(f.id), text);
        *ret = f;
        return true;
    }
    const char *slash = strchr(text, '/');
    if (slash == NULL)
        return false;
    size_t n = (size_t)(slash - text);
    if (n == 0 || n > NAME_BYTES || !text_is_clean(text, n))
        return false;
    if (!word_is_good(slash + 1, NAME_BYTES) || strchr(slash + 1, '/') != NULL)
        return false;
    copy_bytes(f.subject, NAME_BYTES, text, n);
    copy_string(f.name, sizeof(f.name), slash + 1);
    *ret = f;
    return true;
}

bool number_parse(const char *text, uint64_t max, uint64_t *ret) {
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (max - digit) / 10 || digit > max)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

bool range_parse(const char *text, uint64_t *ret_first, uint64_t *ret_last) {
    char first[24] = "";
    const char *dash = strchr(text, '-');
    uint64_t from;
    uint64_t to;
    if (dash == NULL || (size_t)(dash - text) >= sizeof(first))
        return false;
    copy_bytes(first, sizeof(first) - 1, text, (size_t)(dash - text));
    if (!number_parse(first, INT64_MAX, &from) || !number_parse(dash + 1, INT64_MAX, &to) || from > to)
        return false;
    *ret_first = from;
    *ret_last = to;
    return true;
}

/* The key id binds the name to the key, so that a mistyped name or key is noticed here. */
static bool key_id_matches(const char *name, size_t name_size, const uint8_t key[33], uint32_t id) {
    uint8_t text[VERIFIER_NAME_MAX + 1 + 33];
    uint8_t hash[32];
    struct writer w = writer_of(text, sizeof(text));
    write_bytes(&w, name, name_size);
    write_u8(&w, '\n');
    write_bytes(&w, key, 33);
    if (w.bad || EVP_Digest(text, w.used, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    return get_be32(hash) == id;
}

bool verifier_key_is_good(const char *vkey) {
    uint8_t id[4];
    uint8_t key[33];
    size_t key_size = 0;
    char hex[9] = "";
    const char *plus = strchr(vkey, '+');
    if (plus == NULL || plus == vkey || plus - vkey > VERIFIER_NAME_MAX || strlen(plus) < 10 || plus[9] != '+')
        return false;
    if (!text_is_clean(vkey, (size_t)(plus - vkey)) || memchr(vkey, ' ', (size_t)(plus - vkey)) != NULL)
        return false;
    copy_bytes(hex, sizeof(hex) - 1, plus + 1, 8);
    if (!hex_decode(id, sizeof(id), hex))
        return false;
    const char *base64 = plus + 10;
    if (sodium_base642bin(key, sizeof(key), base64, strlen(base64), NULL, &key_size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    return key_size == sizeof(key) && key[0] == 1 && key_id_matches(vkey, (size_t)(plus - vkey), key, get_be32(id));
}

char *format_text(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (n < 0) {
        (void)fputs("vaultctl: out of memory\n", stderr); /* the exit status tells of it too */
        exit(1);
    }
    return text;
}

char *percent_encode(const char *text) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char *encoded = format_text("%*s", (int)(3 * strlen(text)), "");
    char *to = encoded;
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL) {
            *to++ = *text;
            continue;
        }
        hex_encode(to + 1, 3, text, 1);
        *to = '%';
        to += 3;
    }
    *to = '\0';
    return encoded;
}

char *resource(const char *base, const char *item) {
    char *encoded = percent_encode(item);
    char *path = format_text("%s/%s", base, encoded);
    free(encoded);
    return path;
}

void add_query(char **path, const char *name, const char *value) {
    if (value == NULL)
        return;
    char *encoded = percent_encode(value);
    char *longer = format_text("%s%c%s=%s", *path, strchr(*path, '?') == NULL ? '?' : '&', name, encoded);
    free(encoded);
    free(*path);
    *path = longer;
}

char *file_path(const struct file_name *f) {
    if (f->by_id)
        return resource("/v1/files", f->id);
    char *base = resource("/v1/subjects", f->subject);
    char *files = format_text("%s/files", base);
    char *path = resource(files, f->name);
    free(base);
    free(files);
    return path;
}
