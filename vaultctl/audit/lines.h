/* Lines of the audit while they come in, and what is made of them. */
#ifndef VAULTCTL_AUDIT_LINES_H
#define VAULTCTL_AUDIT_LINES_H

#include <stdint.h>
#include <stdio.h>

#include "tiles.h"
#include "vaultctl/files.h"
#include "vault/record.h"

struct lines;
/* What is made of a line, l->line. VAULT_OK, VAULT_E_IO (errno, or in l->out), VAULT_E_FORMAT (it is no record). */
typedef int line_use(struct lines *l);

/* A file of the export, of lines of RECORD_LINE_MAX bytes at the most, each with its newline. */
struct lines {
    struct output out;
    line_use *use;
    uint64_t count, records; /* lines, and records that they are about */
    struct tiles *tiles;
    FILE *leaves;      /* of the records, in their order */
    char *line, *last; /* the one under way, and the one before; owned */
    size_t line_size, last_size;
    char *pending; /* to be written; owned */
    size_t pending_size;
    bool malformed; /* one is no record */
};

/* A row of the table; an entry of the tiles; a line of records.jsonl, whose leaf is put by; a line of proofs.jsonl, in
 * which the leaves that were put by take the place of their number. */
line_use use_in_table, use_in_tiles, use_as_record, use_as_proof;

/* The rest of `l` is set. False: no memory; end it all the same. */
bool lines_begin(struct lines *l);
void lines_end(struct lines *l);
/* Uses the lines in these bytes; what is left of the last is kept. Fits struct http_request.sink. */
bool lines_take(void *l, const void *bytes, size_t n);
/* Writes what is still to be written to l->out. */
bool lines_flush(struct lines *l);
/* The number behind that of the last line that came whole. */
uint64_t lines_next(const struct lines *l);

#endif
