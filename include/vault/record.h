/* One audit record as one canonical JSON line (RFC 8785: sorted keys, no spaces, integers
 * only, control characters refused at input). Fields: docs/format-audit.md. */
#ifndef VAULT_RECORD_H
#define VAULT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/key_change.h"

enum { RECORD_LINE_MAX = 16384, RECORD_REASONS = 32, RECORD_SALT = 16 };

struct record_link {
    bool present;
    uint64_t n;                /* number in this subject's, service's or project's chain, from 0 */
    uint8_t prev[MERKLE_HASH]; /* leaf hash of the one before; zero for the first */
};

struct json_out;

/* An object that somebody else writes, members sorted; nothing without `write`. */
struct record_object {
    void (*write)(struct json_out *o, const void *of);
    const void *of; /* borrowed */
};

/* Borrowed strings; NULL or empty is left out of the line. */
struct record {
    uint64_t seq;
    uint64_t time;                           /* microseconds since 1970 */
    const char *event;                       /* "read", "deposit", "consent.set", "key.rotate", ... */
    const char *outcome;                     /* "permitted", "denied", "failed", "revoked", "interrupted", "done" */
    const char *service, *san, *fingerprint; /* fingerprint: 64 hex */
    const char *address;
    const char *subject, *file; /* file: 32 hex of the id */
    char action;                /* C R U D E; 0: none */
    const char *purpose;        /* canonical header text */
    const char *project;        /* that the purpose names, if it is registered */
    size_t reason_count;
    struct {
        const char *rule, *text;
    } reasons[RECORD_REASONS];
    const char *obligations;       /* comma-separated tokens, written as a list */
    const char *policy;            /* hex hash */
    uint64_t consent;              /* version; 0: none */
    struct record_object asked;    /* what the decision was asked */
    struct record_object exported; /* what an export was asked for */
    bool has_bytes;
    uint64_t bytes;
    uint64_t ranges;                    /* 0: left out */
    const char *request;                /* 32 hex */
    const char *detail;                 /* event-specific text: what was changed, no secrets */
    const struct key_change *audit_key; /* NULL but for a change of the key that signs checkpoints */
    struct record_link subject_chain, service_chain, project_chain;
    uint8_t salt[RECORD_SALT];
};

/* Writes the line without newline, terminated. VAULT_E_FORMAT (a text that is not clean), VAULT_E_LIMIT (no room, or a
 * number that a record cannot hold), VAULT_E_STATE (a change of a key at another place). */
int record_line(const struct record *r, char *to, size_t size, size_t *ret_length);

#endif
