/* The audit as a static tree of C2SP tlog-tiles: what a web server without any program can offer to monitors and
 * witnesses. docs/format-audit.md. */
#ifndef VAULTCTL_AUDIT_TILES_H
#define VAULTCTL_AUDIT_TILES_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/merkle.h"

enum { TILE_WIDTH = 256, TILE_LEVELS = 8 };

/* Lines of the log's records come in, from the first on; tiles go out as they are full. */
struct tiles;

/* In this folder, which is there. NULL without memory. */
struct tiles *tiles_begin(const char *folder);
/* False: a file cannot be written (errno), or a record is longer than a tile's entries may be (errno 0). */
bool tiles_take(struct tiles *t, const void *bytes, size_t n);
/* Writes what is not full, and tells how many records came and their root. False as above. */
bool tiles_end(struct tiles *t, uint64_t *ret_size, uint8_t ret_root[MERKLE_HASH]);
void tiles_free(struct tiles *t);

#endif
