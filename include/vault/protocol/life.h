/* Supervisor and its children: birth, clients, death. Everything here is believed [s] when the supervisor sends it.
 * Descriptors travel with: gate_setup, monitor_setup, store_setup, token_setup, backup_setup, backup_channel,
 * courier_setup, courier_channel, trust, worker_new, client, credential, token_channel, certificate. */
#ifndef VAULT_PROTOCOL_LIFE_H
#define VAULT_PROTOCOL_LIFE_H

#include "vault/protocol/common.h"

/* First message on fd 3 of each child. Descriptors, in this order:
 *   gate:    certificate chain PEM, private key PEM, client CA PEM, CRL PEM, channel to the monitor
 *   monitor: state directory, directory of the key ring's twin, channel to the gate, channel to the store
 *   store:   object directory, channel to the monitor
 *   token:   PIN file, channel to the monitor
 *   courier: certificates of the authorities for TLS, if there are any; channel to the monitor
 *   backup:  state directory; the directory of backups (copy), or one backup (restore); channel to the monitor */
#define FIELDS_gate_setup(F, R) F(R, U8, unused, 0)
#define FIELDS_monitor_setup(F, R)                                                                                     \
    F(R, U8, dev, 0)              /* 1: a throw-away vault */                                                          \
    F(R, U8, stay_sealed, 0)      /* 1: an operator sealed it; do not unseal at start */                               \
    F(R, U8, token, 0)            /* 1: a token is configured */                                                       \
    F(R, STR, origin, 200)        /* origin line of the audit checkpoints, e.g. "genome.example/vault" */              \
    F(R, STR, twin, 255)          /* file name of the key ring's twin in its directory */                              \
    F(R, U32, administrator, 0)   /* uid that is the first administrator on the Unix socket, beside root */            \
    F(R, U32, approve_seconds, 0) /* for a second person to approve a request */                                       \
    F(R, U64, map_size, 0)        /* bytes of the LMDB map */                                                          \
    F(R, U32, service_limit, 0)   /* connections per service */                                                        \
    F(R, U32, denial_limit, 0)    /* denials of a service recorded one by one in a minute; 0: all */                   \
    F(R, U64, reserve_size, 0)    /* bytes of space that are kept for what must go on; 0: none */                      \
    F(R, U32, failure_limit, 0)   /* confirmed failed authentications that set a file aside; 0: none do */             \
    F(R, U32, key_age_warn, 0)    /* days after which a key is warned of; 0: never */                                  \
    F(R, U32, key_age_maximum, 0) /* days after which a key takes no deposits; 0: it always does */                    \
    F(R, U8, backups, 0)          /* 1: a directory for backups is configured */                                       \
    F(R, U8, diseases, 0)         /* 1: a table of diseases is; without its descriptor it cannot be opened */          \
    F(R, U32, alarm_denials, 0)   /* of one service in a row, that raise an alarm; 0: none do */                       \
    F(R, U32, alarm_subjects, 0)  /* that one service may read in an hour without one; 0: any */                       \
    F(R, U8, alarm_hours, 0)      /* 1: reading is usual from one full hour (UTC) to before the other */               \
    F(R, U8, alarm_from, 0)                                                                                            \
    F(R, U8, alarm_until, 0)                                                                                           \
    F(R, U8, alarm_weekdays, 0)   /* 1: and from Monday to Friday */                                                   \
    F(R, U64, audit_keep, 0)      /* seconds for which records are kept at least; 0: for ever */                       \
    F(R, U32, witness_every, 0)   /* seconds between checkpoints for witnesses */                                      \
    F(R, U32, witness_within, 0)  /* no grants if none has cosigned for so many seconds; 0: however long */            \
    F(R, U32, witness_seconds, 0) /* for one answer */                                                                 \
    F(R, STR, witnesses, 2600)    /* their verifier keys with spaces between, in the configuration's order */
#define FIELDS_store_setup(F, R) F(R, U8, unused, 0)
#define FIELDS_token_setup(F, R)                                                                                       \
    F(R, STR, module, 1023) /* path of the PKCS#11 module */                                                           \
    F(R, STR, uri, 1023)    /* RFC 7512: which token, and the label of its keys */

#define FIELDS_courier_setup(F, R)                                                                                     \
    F(R, STR, url, 512) /* of the witness, to which /add-checkpoint is added */                                        \
    F(R, U32, seconds, 0)

#define FIELDS_backup_setup(F, R)                                                                                      \
    F(R, U8, task, 0)      /* enum backup_task */                                                                      \
    F(R, STR, name, 64)    /* of the backup: one component of a path */                                                \
    F(R, U64, map_size, 0) /* bytes of the LMDB map */

/* Gate only: new client CA and CRL files (2 descriptors). Sent when either file changed. */
#define FIELDS_trust(F, R) F(R, U8, unused, 0)

/* Gate only: new server certificate chain and private key files (2 descriptors). Sent when either file changed. */
#define FIELDS_certificate(F, R) F(R, U8, unused, 0)

/* A child has read its setup, is in its sandbox and serves. */
#define FIELDS_ready(F, R) F(R, U8, unused, 0)

/* To gate, monitor and store: a worker is born; 1 descriptor: the channel to it. */
#define FIELDS_worker_new(F, R) F(R, U64, worker, 0)
/* To the monitor: this worker has been given a client, or work of the vault's own. */
#define FIELDS_worker_client(F, R)                                                                                     \
    F(R, U64, worker, 0)                                                                                               \
    F(R, U8, kind, 0)      /* enum peer_kind */                                                                        \
    F(R, U32, uid, 0)      /* Unix: SO_PEERCRED at accept */                                                           \
    F(R, STR, address, 64) /* TLS: numeric client address; Unix: "unix:<uid>" */
/* To the worker: its client, 1 descriptor. Times are in milliseconds. */
#define FIELDS_client(F, R)                                                                                            \
    F(R, U8, kind, 0)                                                                                                  \
    F(R, STR, address, 64)                                                                                             \
    F(R, U32, handshake_ms, 0)                                                                                         \
    F(R, U32, head_ms, 0)                                                                                              \
    F(R, U32, idle_ms, 0)                                                                                              \
    F(R, U32, total_ms, 0) /* 0: none */
/* Monitor to supervisor: give a worker work of the vault's own. worker_client follows (PEER_NOBODY); or nothing, where
 * no worker can be had just now. */
#define FIELDS_worker_wanted(F, R) F(R, U8, unused, 0)
/* To the worker: no client; what there is to do it asks the monitor (rekey_next). */
#define FIELDS_work(F, R) F(R, U8, unused, 0)
/* To gate, monitor and store: this worker is dead and its client socket closed, or (answer to worker_kill) was so
 * before. */
#define FIELDS_worker_gone(F, R)                                                                                       \
    F(R, U64, worker, 0)                                                                                               \
    F(R, U8, how, 0) /* enum worker_end */
/* Monitor, gate or store to supervisor: end this worker by force: reset its client socket, kill, wait; answered by
 * worker_gone to all. */
#define FIELDS_worker_kill(F, R)                                                                                       \
    F(R, U64, worker, 0)                                                                                               \
    F(R, U8, why, 0) /* enum worker_end */

enum worker_end {
    WORKER_ENDED = 0,      /* by itself */
    WORKER_REVOKED = 1,    /* what it was granted is no longer permitted */
    WORKER_MISBEHAVED = 2, /* it broke a protocol */
    WORKER_SEALED = 3,     /* the vault was sealed */
    WORKER_FAULTY = 4      /* a fault on our side */
};

/* Monitor to supervisor: open the root key's credential. */
#define FIELDS_credential_wanted(F, R) F(R, U8, unused, 0)
/* Its answer: 1 descriptor if problem is empty. */
#define FIELDS_credential(F, R) F(R, STR, problem, 200)

/* Monitor to supervisor: start vaultd-token for one task, as soon as the one before has ended. */
#define FIELDS_token_wanted(F, R) F(R, U8, by_itself, 0) /* 1: nobody asked for it now */
/* Its answer: 1 descriptor, the channel to it, if problem is empty; else the rule that the problem is named by. */
#define FIELDS_token_channel(F, R)                                                                                     \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)
/* Supervisor to monitor: that process is dead, by the id of its token_wanted; why, unless it ended in order. */
#define FIELDS_token_gone(F, R)                                                                                        \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)

enum backup_task { BACKUP_NONE = 0, BACKUP_COPY = 1, BACKUP_RESTORE = 2 };

/* Monitor to supervisor: start vaultd-backup for one task. */
#define FIELDS_backup_wanted(F, R)                                                                                     \
    F(R, U8, task, 0)     /* enum backup_task */                                                                       \
    F(R, STR, name, 1023) /* [c] as somebody wrote it: the supervisor decides whether it is one */
/* Its answer, and the end of that process, as for a token. */
#define FIELDS_backup_channel(F, R)                                                                                    \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)
#define FIELDS_backup_gone(F, R)                                                                                       \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)

/* Monitor to supervisor: start vaultd-courier for one request; one that still runs is ended. */
#define FIELDS_courier_wanted(F, R) F(R, U8, witness, 0) /* which of the configuration's, from 0 */
/* Its answer, and the end of that process, as for a token. */
#define FIELDS_courier_channel(F, R)                                                                                   \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)
#define FIELDS_courier_gone(F, R)                                                                                      \
    F(R, STR, rule, 32)                                                                                                \
    F(R, STR, problem, 200)

/* Monitor to supervisor, on every change; shown by the service manager and remembered over a restart. */
#define FIELDS_state(F, R)                                                                                             \
    F(R, U8, seal, 0)        /* enum seal_state */                                                                     \
    F(R, U8, by_operator, 0) /* 1: sealed by command: do not unseal at a restart of the monitor */

enum seal_state { SEAL_UNINITIALISED = 0, SEAL_SEALED = 1, SEAL_UNSEALED = 2 };

#define PROTOCOL_LIFE(M)                                                                                               \
    M(gate_setup, 0x0101, 5)                                                                                           \
    M(monitor_setup, 0x0102, 5)                                                                                        \
    M(store_setup, 0x0103, 2)                                                                                          \
    M(trust, 0x0104, 2)                                                                                                \
    M(ready, 0x0105, 0)                                                                                                \
    M(worker_new, 0x0106, 1)                                                                                           \
    M(worker_client, 0x0107, 0)                                                                                        \
    M(client, 0x0108, 1)                                                                                               \
    M(worker_gone, 0x0109, 0)                                                                                          \
    M(worker_kill, 0x010a, 0)                                                                                          \
    M(credential_wanted, 0x010b, 0)                                                                                    \
    M(credential, 0x010c, 1)                                                                                           \
    M(state, 0x010d, 0)                                                                                                \
    M(token_setup, 0x010e, 2)                                                                                          \
    M(token_wanted, 0x010f, 0)                                                                                         \
    M(token_channel, 0x0110, 1)                                                                                        \
    M(token_gone, 0x0111, 0)                                                                                           \
    M(certificate, 0x0112, 2)                                                                                          \
    M(worker_wanted, 0x0113, 0)                                                                                        \
    M(work, 0x0114, 0)                                                                                                 \
    M(backup_setup, 0x0115, 3)                                                                                         \
    M(backup_wanted, 0x0116, 0)                                                                                        \
    M(backup_channel, 0x0117, 1)                                                                                       \
    M(backup_gone, 0x0118, 0)                                                                                          \
    M(courier_setup, 0x0119, 2)                                                                                        \
    M(courier_wanted, 0x011a, 0)                                                                                       \
    M(courier_channel, 0x011b, 1)                                                                                      \
    M(courier_gone, 0x011c, 0)

#endif
