/* Verification of an exported audit folder, with nothing but a verifier key. docs/format-audit.md. */
#ifndef VAULT_AUDIT_EXPORT_H
#define VAULT_AUDIT_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "vault/checkpoint.h"

/* Records that one line of proofs.jsonl proves, and bytes of the line, without its newline; at most. */
enum { AUDIT_BLOCK = 256, AUDIT_PROOF_LINE_MAX = 16383 };

struct audit_report {
    uint64_t records;     /* lines read */
    uint64_t first, last; /* their numbers, where there are any */
    uint64_t tree_size;   /* of the checkpoint */
    bool whole;           /* every record of the tree is there, and their root is the checkpoint's */
    char covers[400];     /* if verified: what it holds without a gap, for people */
    char asked[400];      /* what was asked for, by the export's own record, for people; empty: that is not there */
    bool complete;        /* all that was asked for is shown to be there */
    char origin[201];
    uint64_t changes, changed_first, changed_last; /* of the key, from the given one on: how many, and their records */
    char signer[CHECKPOINT_VKEY_MAX];              /* verifier key after the last of them: the given one, if none */
    uint64_t bad_line; /* 1-based line of records.jsonl at fault, or the first of several; 0: none, or not of a line */
    char problem[400]; /* what is wrong, for people; empty if verified */
};

/* Verifies `records.jsonl`, `checkpoint` and `proofs.jsonl` in folder `path` against `vkey`. If `checkpoint_path` is
 * not NULL, the trusted checkpoint in that file is used as well: the export's tree must be it or extend it; what the
 * export cannot show fails. Where the key changed, the export may be signed by one that followed `vkey`, and the
 * trusted checkpoint by any that followed it or went before, if the export holds the records of the changes. Checks:
 * signature, every line's inclusion by the proofs, the root of all where the export is whole, seq against the position,
 * ascending seq, canonical form, the subject and service chains where consecutive links are in the export, and that
 * nothing is left out by number, or else in the chain of the one subject or service that all records have. Memory:
 * about 3 MB, and at most 300 bytes for each distinct subject and service. Starts up to 16 threads for its own
 * duration. VAULT_OK, VAULT_E_DAMAGED or VAULT_E_FORMAT with ret->problem filled, VAULT_E_IO (a file cannot be read;
 * problem names it), VAULT_E_MEMORY. `ret` is filled in any case. */
int audit_verify(const char *path, const char *vkey, const char *checkpoint_path, struct audit_report *ret);

#endif
