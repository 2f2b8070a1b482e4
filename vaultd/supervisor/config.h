/* The configuration file of vaultd. Reference: docs/configuration.md. */
#ifndef VAULT_SUPERVISOR_CONFIG_H
#define VAULT_SUPERVISOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vault/witness.h"

enum child_kind {
    CHILD_GATE,
    CHILD_MONITOR,
    CHILD_STORE,
    CHILD_WORKER,
    CHILD_TOKEN,
    CHILD_COURIER,
    CHILD_BACKUP,
    CHILD_KINDS
};
enum { CORE_CHILDREN = CHILD_WORKER }; /* gate, monitor and store: one of each, needed always */

enum { CONFIG_PATH_MAX = 1023, CONFIG_PROBLEM_SIZE = 1400, TOKEN_VARIABLES = 8, URL_MAX = 512 };

/* Whom a child runs as; only where vaultd was started as root. */
struct identity {
    bool set;
    uid_t uid;
    gid_t gid;
};

struct limits {
    uint32_t workers;     /* clients at a time */
    uint32_t waiting;     /* workers started ahead */
    uint32_t unix_slots;  /* of `workers`, kept for the Unix socket */
    uint32_t per_address; /* TLS clients of one address (of one /64 in IPv6) */
    uint32_t per_service;
    uint32_t denials;                                                      /* of one service in a minute */
    uint32_t handshake_seconds, head_seconds, idle_seconds, total_seconds; /* total 0: none */
    uint32_t drain_seconds;
    uint32_t failed_authentications; /* that set a file aside; 0: none do */
};

/* How old keys may become, in days; 0: as old as they like. */
struct key_age {
    uint32_t warn_days, maximum_days;
};

/* A secret in a file: a path; or empty, and a name in $CREDENTIALS_DIRECTORY. */
struct credential {
    char file[CONFIG_PATH_MAX + 1];
    char name[65];
};

struct token_config {
    bool set;
    char module[CONFIG_PATH_MAX + 1];
    char uri[CONFIG_PATH_MAX + 1];
    struct credential pin;
    uint32_t seconds;                       /* for one task */
    char environment[TOKEN_VARIABLES][257]; /* for the module, NAME=VALUE; empty ones are none */
};

/* What raises an alarm; 0: nothing does. */
struct alarms_config {
    uint32_t denials, subjects;
    bool hours, weekdays; /* reading is usual from one full hour (UTC) to before the other, on weekdays */
    uint8_t from, until;
};

struct witness_config {
    char url[URL_MAX + 1];
    char key[CHECKPOINT_VKEY_MAX];
};

/* Witnesses of the audit; count 0: none. */
struct witnesses_config {
    uint32_t count, every, within, seconds;
    char authorities[CONFIG_PATH_MAX + 1]; /* empty: no witness is spoken to over TLS */
    struct witness_config each[WITNESSES_MOST];
};

struct config {
    bool dev;
    char origin[201];
    char listen[64]; /* empty: only what the service manager passes */
    char socket[108];
    char state[CONFIG_PATH_MAX + 1];
    char objects[CONFIG_PATH_MAX + 1];
    char backups[CONFIG_PATH_MAX + 1];  /* empty: none */
    char diseases[CONFIG_PATH_MAX + 1]; /* the same */
    char twin_directory[CONFIG_PATH_MAX + 1];
    char twin_name[256];
    char certificate[CONFIG_PATH_MAX + 1];
    char key[CONFIG_PATH_MAX + 1];
    char clients[CONFIG_PATH_MAX + 1];
    char revocations[CONFIG_PATH_MAX + 1];
    struct credential root_key;
    struct token_config token;
    struct witnesses_config witnesses;
    uint32_t administrator;
    uint32_t approve_seconds;
    uint32_t audit_keep_days; /* 0: for ever */
    struct identity users[CHILD_KINDS];
    char programs[CONFIG_PATH_MAX + 1];
    struct limits limits;
    struct key_age key_age;
    struct alarms_config alarms;
    uint64_t map_size;
    uint64_t reserve_size;
};

/* "gate", "monitor", "store", "worker", "token", "courier", "backup". */
const char *child_name(enum child_kind kind);
/* Reads and checks a configuration of n bytes. `as_root`: vaultd runs as root, so that users must be given in
 * production. On failure `problem` says what is wrong and where. VAULT_E_FORMAT, VAULT_E_LIMIT, VAULT_E_MEMORY. */
int config_parse(const char *text, size_t n, bool as_root, struct config *ret, char problem[CONFIG_PROBLEM_SIZE]);
/* The same from a file; VAULT_E_IO too. */
int config_load(const char *path, bool as_root, struct config *ret, char problem[CONFIG_PROBLEM_SIZE]);

#endif
