/* The audit log: what is appended to it, and what it says. */
#ifndef VAULT_MONITOR_LOG_H
#define VAULT_MONITOR_LOG_H

#include "vaultd/monitor/names.h"

/* The number of no record. */
#define NO_SEQ UINT64_MAX

/* ---- journal.c: appending ---- */

/* What happened; the journal adds number, time, chains, salt, policy. Borrowed strings; NULL or empty is left out. */
struct event {
    const char *name, *outcome;
    const struct asker *asker; /* NULL: the vault itself */
    const char *service;       /* if asker is NULL: whose (closing records) */
    const char *subject;
    const uint8_t *file, *request; /* ID_SIZE each */
    char action;
    const char *purpose;
    const char *project;             /* that is registered; NULL: the question's, if there is one and it is */
    const struct question *question; /* with the decision: what it was asked */
    const struct decision *decision;
    const char *rule, *text; /* one reason, if there is no decision */
    uint32_t consent;        /* version that was looked at */
    bool has_bytes;
    uint64_t bytes, ranges;
    const char *detail;
    const struct key_change *audit_key; /* NULL but for a change of that key */
    struct record_object exported;      /* of an export: what was asked for */
    enum request_state state;           /* of the request from now on, if there is one */
    uint8_t status;                     /* exit status that vaultctl would give */
    bool tells;                         /* its answer tells what a patient decided: never summed (denials.c) */
};

/* Appends one record to the transaction. *ret_seq (may be NULL) is its number, or NO_SEQ for a denial that was only
 * counted (denials.c). A chain that is damaged or gone starts anew, so that the damage itself can be recorded; look-ups
 * report it (lookup.c). Faults of the index. */
int journal(struct monitor *m, const struct event *e, uint64_t *ret_seq);
/* Makes the empty chain of a new subject (NAME_CHAIN_SUBJECT), service (NAME_CHAIN_SERVICE) or project
 * (NAME_CHAIN_PROJECT), so that a missing one is noticed. Faults of the index. */
int journal_start_chain(struct monitor *m, enum name_kind kind, const char *name);
/* Microseconds since 1970: the later of the clock and the last record. */
uint64_t monitor_time(struct monitor *m);
/* The reasons of a decision that its record holds: a permit that was beaten is no reason of the denial. How many. */
size_t decision_recorded(const struct decision *d, const struct reason *ret[REASONS_MAX]);
/* The obligations as comma-separated tokens. False when they do not fit. */
bool obligations_text(const struct decision *d, char *to, size_t size);

/* ---- reading.c ---- */

/* What is kept in memory of the log, begun anew: with the tree, whenever the index is another or a batch was dropped.
 * VAULT_E_DAMAGED (it goes on behind the tree), VAULT_E_MEMORY, faults of the index. */
int log_open(struct monitor *m);
/* Forgets and wipes it. */
void log_close(struct monitor *m);
/* The line of a record, without its newline; good until the next call. VAULT_AGAIN: it is in an archive segment that is
 * away or was destroyed. VAULT_E_DAMAGED, faults of the index. */
int log_text(struct monitor *m, uint64_t seq, const char **ret, size_t *ret_n);
/* The leaf hash that the tree has of it. Faults of the index. */
int log_leaf(struct monitor *m, uint64_t seq, uint8_t ret[MERKLE_HASH]);
/* The number of the first record from `low` to before `high` that is not before this second (since 1970); `high`: all
 * are. Errors as log_text. */
int log_first_since(struct monitor *m, uint64_t seconds, uint64_t low, uint64_t high, uint64_t *ret);

/* Root of the log's first `size` records. Faults of the index. */
int log_root(struct monitor *m, uint64_t size, uint8_t ret[MERKLE_HASH]);
/* Proof that the log's first `old` records are those of its first `size` (RFC 6962 2.1.2). Faults of the index. */
int log_consistency(struct monitor *m, uint64_t old, uint64_t size, uint8_t ret[MERKLE_PROOF_MAX][MERKLE_HASH],
                    size_t *ret_count);
/* A signed checkpoint of the log as it is, and the verifier key. VAULT_E_FORMAT, VAULT_E_LIMIT. */
int log_sign(struct monitor *m, char note[CHECKPOINT_TEXT_MAX], char vkey[CHECKPOINT_VKEY_MAX]);
/* The record of a checkpoint: what the index is, and the ring's epoch. `by` NULL: by the vault itself. Faults of the
 * index. */
int log_checkpoint(struct monitor *m, const struct request *by, uint64_t *ret_seq);

#endif
