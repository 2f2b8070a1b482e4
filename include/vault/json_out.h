/* JSON that is written as it comes, without a tree: compact, integers only, and canonical (RFC 8785) where members are
 * given sorted by name and names are ASCII without a quote or backslash. yajl's generator writes it.
 *
 * Sticky as the cursors of vault/buffer.h: after the first fault the rest does nothing, and json_out_end() tells it. */
#ifndef VAULT_JSON_OUT_H
#define VAULT_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "vault/buffer.h"

struct yajl_gen_t;

struct json_out {
    struct yajl_gen_t *generator; /* in `memory` */
    struct writer to;
    int result;
    size_t memory_used;
    _Alignas(16) unsigned char memory[1024];
};

/* Begins a document that goes to `to`, with room for `size` bytes, a NUL at its end among them. Nothing is allocated,
 * and nothing to be freed. `o` stays where it is until the end. */
void json_out_begin(struct json_out *o, char *to, size_t size);
/* Ends it: terminated, *ret_length bytes without the NUL. The first fault: VAULT_E_FORMAT (a text that is not UTF-8 or
 * has control characters), VAULT_E_LIMIT (no room; a number of more than 53 bits), VAULT_E_STATE (the
 * calls make no whole document); then `to` has nothing that may be used. */
int json_out_end(struct json_out *o, size_t *ret_length);
/* The fault of whoever writes: as if one of the functions below had found it. */
void json_out_fail(struct json_out *o, int result);

/* Each with the name of the member, or NULL: an item of a list, or the document itself. */
void out_object(struct json_out *o, const char *name);
void out_object_end(struct json_out *o);
void out_list(struct json_out *o, const char *name);
void out_list_end(struct json_out *o);
void out_number(struct json_out *o, const char *name, uint64_t number);
/* 0: nothing is written, its name neither. */
void out_unless_zero(struct json_out *o, const char *name, uint64_t number);
void out_text(struct json_out *o, const char *name, const char *text, size_t n);
/* The text up to its NUL. NULL or empty: nothing is written, its name neither. */
void out_string(struct json_out *o, const char *name, const char *text);

#endif
