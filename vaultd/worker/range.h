/* The Range field (RFC 9110, 14): one range of bytes. */
#ifndef VAULT_WORKER_RANGE_H
#define VAULT_WORKER_RANGE_H

#include "http_parse.h"

enum range_kind { RANGE_NONE, RANGE_SPAN /* a-b */, RANGE_FROM /* a- */, RANGE_LAST /* -n */ };

struct range {
    enum range_kind kind;
    uint64_t from, to; /* RANGE_FROM: to is INT64_MAX; RANGE_LAST: `to` bytes from the end */
};

/* Parses the field's value. VAULT_E_FORMAT: malformed. VAULT_DENIED: more than one range, or another unit. */
int range_parse(struct view value, struct range *ret);
/* The first and last byte in a content of `size` bytes. VAULT_NOT_FOUND: not one byte of it is there. */
int range_resolve(const struct range *r, uint64_t size, uint64_t *ret_first, uint64_t *ret_last);

#endif
