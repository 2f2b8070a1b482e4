/* The audit as a static tree of C2SP tlog-tiles: what a web server without any program can offer to monitors and
 * witnesses. docs/format-audit.md. */
#ifndef VAULTCTL_AUDIT_TILES_H
#define VAULTCTL_AUDIT_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "vault/merkle.h"

enum { TILE_WIDTH = 256, TILE_LEVELS = 8 };

/* The log's records come in, from the first on; tiles go out as they are full. */
struct tiles;

/* In this folder, which is there. NULL without memory. */
struct tiles *tiles_begin(const char *folder);
/* The next record, given as its line without the newline. VAULT_E_IO (errno), VAULT_E_FORMAT: it is longer than one. */
int tiles_add(struct tiles *t, const char *line, size_t n);
/* Writes what is not full, and tells how many records came and their root. VAULT_E_IO (errno). */
int tiles_end(struct tiles *t, uint64_t *ret_size, uint8_t ret_root[MERKLE_HASH]);
void tiles_free(struct tiles *t);

#endif
