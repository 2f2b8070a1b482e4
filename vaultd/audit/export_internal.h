/* The parts of export verification. Lines of records are parsed on their own, a batch of them by several threads; then
 * they are taken one after the other, each against the line of proofs.jsonl that proves it, and for what holds between
 * them. A line of proofs.jsonl proves a block: one record, or several that follow one another.
 *
 * A fault is a static phrase that goes on after "line 17 (record 16) ". */
#ifndef AUDIT_EXPORT_INTERNAL_H
#define AUDIT_EXPORT_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yajl/yajl_parse.h>

#include "merkle_internal.h"
#include "vault/audit_export.h"
#include "vault/checkpoint.h"
#include "vault/record.h"

enum { NAME_KEY = 16, NAME_SHOWN = 128 };

/* ---- lines of a file (export_source.c) ---- */

struct line_source {
    int fd; /* owned; -1 if not open */
    size_t at, end;
    char buffer[65536];
};

/* Opens `name` in the open folder. VAULT_E_IO. */
int source_open(struct line_source *s, int folder, const char *name);
/* Accepts one that is not open. */
void source_close(struct line_source *s);
/* The next line, without its newline. VAULT_NOT_FOUND: the file ends here. VAULT_E_LIMIT: longer than `size`.
 * VAULT_E_FORMAT: the last line has no newline. VAULT_E_IO. */
int source_line(struct line_source *s, char *to, size_t size, size_t *ret_n);
/* The whole of a small text file, terminated. VAULT_E_LIMIT, VAULT_E_FORMAT (NUL in it), VAULT_E_IO. */
int source_text(int folder, const char *name, char *to, size_t size);

/* ---- one line (export_line.c) ---- */

enum { CHAIN_SUBJECT, CHAIN_SERVICE, CHAIN_PROJECT, CHAIN_COUNT };
/* "subject", "service", "project": of the members of records, and for people (export_chains.c). */
extern const char *const export_chain_names[CHAIN_COUNT];

/* Membership of a record in its subject's, service's or project's chain. */
struct export_link {
    bool named;                 /* the record has a subject (a service name, a project) */
    uint8_t name[NAME_KEY];     /* its keyed hash */
    char shown[NAME_SHOWN + 1]; /* its beginning, for people */
    struct record_link link;
};

struct export_record {
    uint64_t seq;
    uint8_t leaf[MERKLE_HASH];
    struct export_link chains[CHAIN_COUNT];
    bool changes_key; /* export_change_parse has what it says */
};

struct export_proof {
    uint64_t seq;
    size_t count;
    uint8_t hashes[MERKLE_PROOF_MAX][MERKLE_HASH];
};

/* Parses a line of records.jsonl and checks its canonical form. VAULT_E_FORMAT, VAULT_E_MEMORY, with *ret_fault. */
int export_record_parse(const char *line, size_t n, const uint8_t name_key[NAME_KEY], struct export_record *ret,
                        const char **ret_fault);
/* What a good record with `changes_key` says; its signatures are not verified. VAULT_E_FORMAT, VAULT_E_MEMORY, with
 * *ret_fault. */
int export_change_parse(const char *line, size_t n, struct key_change *ret, const char **ret_fault);
/* Reads a line by tokens, without its UTF-8. Ends the program where there is no memory. */
yajl_status export_scan(const yajl_callbacks *take, void *context, const char *line, size_t n);
/* The text of an integer that every reader holds exactly, written as a canonical writer does; base64 of a hash. False:
 * it is none. */
bool export_integer_get(const char *text, size_t n, int64_t *ret);
bool export_hash_decode(const char *text, size_t n, uint8_t ret[MERKLE_HASH]);
/* A member that is a number which every reader holds exactly; base64 of a hash; a list of those. False: it is none. */
bool export_number_get(const json_t *object, const char *key, uint64_t *ret);
bool export_hash_get(const json_t *value, uint8_t ret[MERKLE_HASH]);
bool export_hashes_get(const json_t *list, struct export_proof *ret);

/* ---- a line of proofs.jsonl (export_block.c) ---- */

/* What it proves: `leaf_count` records that follow one another, of which `proof` is the last one's. A single record's
 * leaf is not in it. */
struct export_block {
    struct export_proof proof;
    size_t leaf_count;
    uint8_t leaves[AUDIT_BLOCK][MERKLE_HASH];
};

/* VAULT_E_FORMAT, VAULT_E_MEMORY, with *ret_fault. */
int export_block_parse(const char *line, size_t n, struct export_block *ret, const char **ret_fault);
uint64_t export_block_first(const struct export_block *b);
/* Whether these are the leaves of its records: behind those of `before` they give the subtrees that its proof joins
 * from the left, and the last of them the tree's root. *ret_after is `before` with them. */
bool export_block_holds(const struct export_block *b, const uint8_t (*leaves)[MERKLE_HASH],
                        const struct merkle_fold *before, const struct checkpoint *tree, struct merkle_fold *ret_after);

/* ---- many lines (export_batch.c) ---- */

enum { BATCH_LINES = 512, BATCH_BYTES = 1 << 19 };

/* A line of records.jsonl, parsed. */
struct export_line {
    const char *text; /* in the batch */
    size_t size;
    int result;        /* what reading or parsing it gave */
    const char *fault; /* unless result is VAULT_OK */
    struct export_record record;
};

struct export_batch {
    size_t count;
    struct export_line lines[BATCH_LINES];
    char text[BATCH_BYTES];
};

/* records.jsonl, and how far it was read. */
struct record_file {
    int fd; /* owned; -1 if not open */
    uint64_t at;
    bool over;
};

/* Opens it in the open folder. VAULT_E_IO. */
int records_open(struct record_file *f, int folder);
/* Accepts one that is not open. */
void records_close(struct record_file *f);
/* The next lines, to be parsed; none: the file ends here. After a line that cannot be read there is no other. */
void batch_read(struct export_batch *b, struct record_file *f);

/* The threads that parse, beside the one that takes. */
struct team;
/* One of up to `helpers` threads, fewer where they cannot be had. VAULT_E_MEMORY. */
int team_start(size_t helpers, const uint8_t name_key[NAME_KEY], struct team **ret);
/* Hands a batch to the helpers. It is theirs until team_finish, which does what they have not begun, and waits. */
void team_give(struct team *t, struct export_batch *b);
void team_finish(struct team *t);
/* Ends the threads. Nothing may be given. Accepts NULL. */
void team_end(struct team *t);

/* ---- the keys (export_keys.c) ---- */

#define EXPORT_KEY_MEMBER "audit_key" /* the member of a record that says that the key changed */

/* The changes of the key that the export's records tell, in their order. */
struct key_chain {
    bool scanned;
    struct key_change *changes; /* owned */
    size_t count, met;
};

void keys_free(struct key_chain *k);
/* Reads all lines of records.jsonl in the open folder, and notes what they say of changes. VAULT_E_LIMIT (more than
 * anybody can mean), VAULT_E_MEMORY, VAULT_E_IO. */
int keys_scan(struct key_chain *k, int folder);
/* The key that followed this one, or went before it; NULL: none. *at is where to look, from 0 or from k->count, and is
 * moved on. Borrowed. */
const char *keys_after(const struct key_chain *k, const char *key, size_t *at);
const char *keys_before(const struct key_chain *k, const char *key, size_t *at);
/* Whether a change that was verified is the next one that was scanned; whether all of those were. True for both where
 * nothing was scanned. */
bool keys_meet(struct key_chain *k, const struct key_change *c);
bool keys_all_met(const struct key_chain *k);

/* ---- between lines (export_chains.c) ---- */

struct chain_entry {
    bool used;
    uint8_t name[NAME_KEY];
    uint64_t n;
    uint8_t leaf[MERKLE_HASH];
};

/* The last link seen of each chain: memory grows with the number of distinct subjects and services, not of records. */
struct chain_table {
    struct chain_entry *entries; /* owned */
    size_t size, used;
};

void chains_free(struct chain_table *t);
/* Checks a link against the one before in its chain, and remembers it. `gapless`: no record of the log is missing
 * between the export's first and this one; `from_start`: and that first is record 0. VAULT_E_DAMAGED, VAULT_E_MEMORY,
 * with *ret_fault. */
int chains_add(struct chain_table *t, unsigned chain, const struct export_link *l, const uint8_t leaf[MERKLE_HASH],
               bool gapless, bool from_start, const char **ret_fault);

/* What the export has without a gap. It must be one of: the records by number, the chain of one subject, service or
 * project. */
struct coverage {
    uint64_t count, first, last;
    bool gapless;                             /* by number */
    uint64_t gap_line, gap_after, gap_before; /* the first gap: before this line, between these records */
    struct {
        bool gapless;
        uint64_t first;
        struct export_link last;
    } chains[CHAIN_COUNT];
};

/* Takes the record of this line. VAULT_E_DAMAGED: something is missing; *ret_line and the text say what. */
int coverage_add(struct coverage *c, uint64_t line, const struct export_record *r, uint64_t *ret_line, char *text,
                 size_t text_size);
/* Says that the records between these numbers are missing before a line. */
void missing_text(uint64_t from, uint64_t to, const char *whose, uint64_t line, char *text, size_t text_size);
/* What it covers, for people. */
void coverage_text(const struct coverage *c, uint64_t tree_size, char *text, size_t text_size);

/* ---- what was asked for (export_asked.c) ---- */

/* What the record of the export says of it. */
struct export_asked {
    uint64_t seq;      /* its own number */
    uint64_t from, to; /* records from the one to before the other */
    unsigned kind;     /* of one chain; CHAIN_COUNT: of all records */
    char name[NAME_SHOWN + 1];
    uint64_t count; /* records that the chain had before this one */
    bool own;       /* this one is of that chain, too */
    char by[NAME_SHOWN + 1], when[28];
};

/* Reads asked.jsonl in the open folder, and proves its record in the tree. VAULT_NOT_FOUND: there is none.
 * VAULT_E_FORMAT, VAULT_E_DAMAGED, VAULT_E_MEMORY, with *ret_fault, which goes on after "asked.jsonl ". */
int asked_read(int folder, const struct checkpoint *tree, struct export_asked *ret, const char **ret_fault);
/* Whether the export has what was asked for; the text says in any case what that was. *ret_shown: that nothing is
 * missing at its ends is shown, too. VAULT_E_DAMAGED: something is missing, or others are there. */
int asked_compare(const struct export_asked *a, const struct coverage *c, uint64_t tree_size, char *text, size_t size,
                  bool *ret_shown);

#endif
