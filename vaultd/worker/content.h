/* Plaintext of granted files, segment by segment, each verified before anybody sees it.
 *
 * Keeps one open object, the sealed segments last read, and one opened segment, so that reading on, and small reads
 * near each other, cost little. */
#ifndef VAULT_WORKER_CONTENT_H
#define VAULT_WORKER_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grants.h"

enum { CONTENT_AHEAD = 8 }; /* segments read at a time */

struct worker;

struct content {
    uint8_t grant[ID_SIZE]; /* whose the rest is */
    int object;             /* -1: none */
    uint64_t chunk;         /* of the object */
    uint64_t sealed_first;  /* segment of the blob at the start of `sealed` */
    size_t sealed_bytes;    /* 0: nothing there */
    uint64_t plain_segment; /* segment of the blob in `plain` */
    size_t plain_bytes;     /* 0: nothing there */
    uint8_t *sealed;        /* CONTENT_AHEAD * SEGMENT_SEALED */
    uint8_t *plain;         /* SEGMENT_PLAIN */
};

/* VAULT_E_MEMORY. */
int content_prepare(struct content *c);
/* Opens segment `segment` of the grant's blob; up to segment `last` will be wanted soon. *ret_plain lives until the
 * next call. VAULT_DENIED: w->reply is to be relayed. VAULT_E_DAMAGED: grant->damaged names the object. VAULT_E_IO: the
 * store failed. */
int content_segment(struct worker *w, struct grant *grant, uint64_t segment, uint64_t last, const uint8_t **ret_plain,
                    size_t *ret_n);
/* Wipes what is kept of this grant; NULL: of any. */
void content_drop(struct content *c, const uint8_t *grant);

#endif
