/* What the checks of consents, policies and purposes share. */
#ifndef VAULT_DOCUMENTS_INTERNAL_H
#define VAULT_DOCUMENTS_INTERNAL_H

#include "vault/documents.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* 1 to `most` bytes, all of them in `letters`. */
bool text_is_of(const char *text, size_t most, const char *letters);
/* At most `most` bytes of clean text; empty is good. */
bool text_is_good(const char *text, size_t most);

#define LETTERS_LOWER "abcdefghijklmnopqrstuvwxyz"
#define LETTERS_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTERS_DIGIT "0123456789"
#define LETTERS_TOKEN LETTERS_LOWER LETTERS_DIGIT "-"
#define LETTERS_NAME LETTERS_LOWER LETTERS_UPPER LETTERS_DIGIT "._:@-"

#endif
