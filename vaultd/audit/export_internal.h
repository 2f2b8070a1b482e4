/* The parts of export verification. One record line and its proof are a pair; pairs are checked on their own (by
 * several threads), then one after the other for what holds between them.
 *
 * A fault is a static phrase that goes on after "line 17 (record 16) ". */
#ifndef AUDIT_EXPORT_INTERNAL_H
#define AUDIT_EXPORT_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/checkpoint.h"
#include "vault/record.h"

enum { PROOF_LINE_MAX = 4096, NAME_KEY = 16, NAME_SHOWN = 128 };

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
    bool changes_key; /* then `change` is what it says; verified by export_pair_check only */
    struct key_change change;
};

struct export_proof {
    uint64_t seq;
    size_t count;
    uint8_t hashes[MERKLE_PROOF_MAX][MERKLE_HASH];
};

/* Parses a line of records.jsonl and checks its canonical form. VAULT_E_FORMAT, VAULT_E_MEMORY, with *ret_fault. */
int export_record_parse(const char *line, size_t n, const uint8_t name_key[NAME_KEY], struct export_record *ret,
                        const char **ret_fault);
/* A member "seq"; base64 of a hash; a list of those. False: it is none. */
bool export_seq_get(const json_t *object, uint64_t *ret);
bool export_hash_get(const json_t *value, uint8_t ret[MERKLE_HASH]);
bool export_hashes_get(const json_t *list, struct export_proof *ret);
/* Parses a line of proofs.jsonl. VAULT_E_FORMAT, VAULT_E_MEMORY, with *ret_fault. */
int export_proof_parse(const char *line, size_t n, struct export_proof *ret, const char **ret_fault);

struct export_pair {
    size_t line_size, proof_size;
    char line[RECORD_LINE_MAX], proof_line[PROOF_LINE_MAX];
    int result;        /* what reading or checking it gave */
    const char *fault; /* unless result is VAULT_OK */
    bool parsed;       /* `record` is filled, even if the proof is bad */
    struct export_record record;
    struct export_proof proof;
};

/* Checks a pair on its own, against the tree: form, and inclusion by its proof. Fills result, fault and the rest. */
void export_pair_check(struct export_pair *p, const struct checkpoint *tree, const uint8_t name_key[NAME_KEY]);

/* ---- the keys (export_keys.c) ---- */

#define EXPORT_KEY_MEMBER "audit_key" /* the member of a record that says that the key changed */

/* The changes of the key that the export's records tell, in their order. */
struct key_chain {
    bool scanned;
    struct key_change *changes; /* owned */
    size_t count, met;
};

void keys_free(struct key_chain *k);
/* Reads all lines, and notes what they say of changes. VAULT_E_LIMIT (more than anybody can mean), VAULT_E_MEMORY. */
int keys_scan(struct key_chain *k, struct line_source *records);
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
/* What it covers, for people. */
void coverage_text(const struct coverage *c, uint64_t tree_size, char *text, size_t text_size);

#endif
