/* The forms that words on the command line have, and the paths made of them. */
#ifndef VAULTCTL_NAMES_H
#define VAULTCTL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FILE: 32 hex digits, or SUBJECT/NAME split at the first slash. */
struct file_name {
    bool by_id;
    char id[33];
    char subject[129];
    char name[129];
};
/* False if the text is neither. */
bool file_name_parse(const char *text, struct file_name *ret);
/* "A-B", decimal, inclusive, A not above B. */
bool range_parse(const char *text, uint64_t *ret_first, uint64_t *ret_last);
/* Decimal digits only, no more than max. */
bool number_parse(const char *text, uint64_t max, uint64_t *ret);
/* Not empty, clean UTF-8, at most `max` bytes: what may go into a header or a path. */
bool word_is_good(const char *text, size_t max);
/* A C2SP verifier key of an Ed25519 key: name+hex8(key id)+base64(0x01, public key), the id being the key's. */
bool verifier_key_is_good(const char *vkey);

/* printf into fresh memory, owned by the caller; ends the program when there is none. */
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* `text` percent-encoded for a path segment or a query value; owned by the caller. */
char *percent_encode(const char *text);
/* "BASE/ITEM", the item encoded; owned by the caller. */
char *resource(const char *base, const char *item);
/* Appends "?name=value" or "&name=value", the value encoded, to *path; nothing if value is NULL. */
void add_query(char **path, const char *name, const char *value);
/* The path of a file's content; owned by the caller. */
char *file_path(const struct file_name *f);

#endif
