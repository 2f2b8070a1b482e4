/* The monitor: everything its parts share. One thread; one `struct monitor`.
 *
 * Invariants
 *  1. Every request is handled inside the batch's write transaction; nothing is answered before that transaction is
 *     durable (batch.c), but a page of a grant that is (access.c). A commit that fails turns every answer of the batch
 *     into a refusal.
 *  2. A decision and its record, a change and its record, are in the same transaction (log/journal.c).
 *  3. A key is in a reply only if the record of the decision is in the same batch (access.c, deposit.c).
 *  4. A change that could end a grant calls grants_decide_again in its own handler, so that grants decided earlier in
 * the batch are seen too; its answer waits until the last of them has ended (grants.c).
 *  5. A handler that fails after it changed something takes the whole batch with it (table.c). */
#ifndef VAULT_MONITOR_MONITOR_H
#define VAULT_MONITOR_MONITOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "vault/index.h"
#include "vault/values.h"
#include "vault/crypt4gh.h"
#include "vault/decision.h"
#include "vault/key_change.h"
#include "vault/keyring.h"
#include "vault/loop.h"
#include "vault/merkle.h"
#include "vault/record.h"
#include "vault/message.h"

struct request;
struct opening;
struct standings;
/* Queues exactly one answer and returns VAULT_OK, or queues none and returns a fault. */
typedef int request_handler(struct request *q);

/* Who asks, as far as it is known; looked up anew for each request. A worker without a client has this role alone,
 * which no service can have. */
#define ASKER_NOBODY (1u << 31)
struct asker {
    bool known;                   /* a registered service that is not revoked, or an administrator on the Unix socket */
    bool limited;                 /* too many connections of this service */
    char name[NAME_MAX_SIZE + 1]; /* "" if not known */
    char san[SAN_MAX_SIZE + 1];
    char fingerprint[2 * HASH_SIZE + 1];
    char address[64 + 1];
    uint32_t roles;
    uint32_t purposes;
    char organisation[NAME_MAX_SIZE + 1]; /* "" if not known */
    char country[2 + 1];                  /* likewise */
    bool not_for_profit;
};

/* A worker process and its one client. */
struct worker {
    struct monitor *monitor;
    uint64_t number;
    int channel; /* -1 once it misbehaved */
    struct watch *watch;
    enum peer_kind kind; /* 0 until it has a client */
    uint32_t uid;
    char address[64 + 1];
    bool identified; /* TLS: the gate has vouched */
    bool lost;       /* the gate took its word back */
    char san[SAN_MAX_SIZE + 1];
    uint8_t fingerprint[HASH_SIZE];
    struct service_value service; /* that the SAN belongs to, ... */
    uint64_t service_seen;        /* ... as it was when monitor.services_change was this; 0: it was not looked up */
    bool waiting;                 /* a request of it is not answered yet: one at a time */
    bool deposits;                /* it was given an upload */
    bool sealed;                  /* it is being ended, since the vault was sealed */
    unsigned uploads;             /* open ones of it */
    struct worker *next;
};

enum grant_state { GRANT_PENDING, GRANT_LIVE, GRANT_ENDING };

/* One file opened by one worker for one purpose. Lives from its decision to its closing record. */
struct grant {
    uint8_t id[ID_SIZE];
    uint64_t worker;
    enum grant_state state;
    struct grant_value value; /* what is durable of it */
    struct purpose purpose;
    uint32_t chunks;
    uint8_t blob[ID_SIZE];
    uint8_t *seen;                      /* bit n: manifest page n was handed out; owned, of a grant in the list */
    struct open_reads *sums[PER_COUNT]; /* that it is in (access/budgets.h) */
    uint64_t summed;                    /* what it is there with */
    uint64_t expected;                  /* plaintext bytes that it was decided for: more is decided anew */
    uint64_t handed_out;  /* never more than that: of the manifest pages given, each once: the upper bound */
    bool ended_in_batch;  /* ENDING, and not yet durable: a dropped batch makes it live again */
    uint64_t decided_at;  /* loop_now_ms of its last decision */
    uint64_t force_at;    /* ENDING: when to have the worker killed (loop_now_ms), 0: asked already */
    uint64_t ended;       /* ENDING: its number among all that ended; answers wait for numbers (struct ending) */
    bool durable;         /* it was in a batch that became durable */
    bool closed_in_batch; /* its closing record waits to be durable; then it is gone */
    struct grant *next;
};

/* How far what is over has been removed from the budgets' counts (access/budgets.h). */
struct open_reads;
struct budgets {
    struct open_reads *open; /* sums over the reads that are open */
    uint32_t looked_on;      /* days since 1970-01-01: nothing is left of periods that were over then */
    uint8_t cursor[INDEX_KEY_MAX];
    size_t cursor_size;
};

/* A change whose answer waits until the grants that it ended are gone; that of sealing, until the keys are too, and
 * every process that was given one. */
struct ending {
    uint64_t ended; /* it waits until no grant with this number or a lower one is still ending; 0: for none */
    bool keys;      /* sealing: it waits until they are wiped */
    bool workers;   /* sealing: it waits until no worker that was ended for it is left */
    bool anchors;   /* it waits until the gate uses the client authorities in force */
    bool committed;
    uint64_t worker;        /* whom to answer */
    struct message *answer; /* NULL until the handler replied */
    struct ending *next;
};

/* Denials of one service (denials.c). Times are of loop_now_ms. */
enum { DENIERS = 64 };
struct denier {
    char name[SAN_MAX_SIZE + 1]; /* "": unused */
    bool registered;             /* it is the name of a service */
    uint32_t recorded;           /* one by one, since the minute began */
    uint64_t since;              /* when it began */
    uint64_t summed, first;      /* not recorded yet, and when the first of them was */
    uint64_t in_batch;           /* of these, recorded in the batch under way */
};
struct denials {
    struct denier rows[DENIERS];
};

/* How far the index has been compared with its tally. */
enum check_state { CHECK_WAITING, CHECK_RUNNING, CHECK_WHOLE, CHECK_DAMAGED };

/* A scrub under way: what is durable of it, and the objects that the store was asked for. */
enum { SCRUB_WINDOW = 8 };
struct checked {
    uint8_t address[HASH_SIZE];
    uint8_t status; /* enum store_status, once answered */
};
struct scrub {
    struct scrub_value value;
    struct checked window[SCRUB_WINDOW];
    size_t count, in_hand; /* objects of the window, and those of them that are not answered */
    bool stale;            /* the window is of a dropped batch: its answers count for nothing */
};

/* What the store is asked about damage that readers reported (care/failures.c). */
enum failure_state { FAILURE_NONE, FAILURE_ASKED, FAILURE_ANSWERED };
struct failures {
    bool wanted; /* there may be reports that it has not looked at */
    enum failure_state state;
    uint8_t status;                                       /* ANSWERED: enum store_status */
    uint8_t blob[ID_SIZE], object[HASH_SIZE];             /* what it was asked about */
    uint8_t cursor[INDEX_KEY_MAX], lifted[INDEX_KEY_MAX]; /* how far each walk has got */
    size_t cursor_size, lifted_size;
};
/* Whose an object_check is: its message's id. */
enum { CHECK_FOR_SCRUB = 1, CHECK_FOR_READ = 2 };

/* Whether the state directory has room: for everything; for what must go on; for nothing. */
enum space_state { SPACE_ENOUGH, SPACE_SHORT, SPACE_NONE };

/* The reserve (space.c). */
struct space {
    enum space_state state;
    int file;
    uint64_t size;       /* bytes that it is to hold; 0: there is none, and nobody looks */
    uint64_t held;       /* bytes that it holds */
    uint64_t found_used; /* NONE: what was free when that was found */
    uint64_t looked_at;  /* loop_now_ms */
};

/* The rotation of data keys, as far as it is not durable: one file at a time (rekey.c). */
struct rekeying {
    uint64_t worker;       /* that does it; 0: none */
    uint64_t due;          /* no file is begun before (loop_now_ms); UINT64_MAX: not before jobs_wake */
    uint64_t begun;        /* when the last one was */
    bool broken;           /* the last step met a page of the index that cannot be read */
    uint8_t file[ID_SIZE]; /* the last one that was begun */
    unsigned tries;        /* how often, without an end */
};

enum credential_use { CREDENTIAL_NONE, CREDENTIAL_STARTUP, CREDENTIAL_INIT, CREDENTIAL_UNSEAL, CREDENTIAL_RESEAL };

/* Shares that were shown for one purpose. */
struct gathering {
    struct share shares[SHARES_MAX];
    unsigned count;
};

/* A seal that is not in force yet. SEAL_BY_NOTHING: there is none. */
struct proposal {
    struct seal seal;
    struct secret *root; /* the root key that it holds */
    struct gathering shown;
};

/* How shares are to be made. */
struct sealing {
    unsigned shares, threshold;
    uint8_t recipients[SHARES_MAX][CRYPT4GH_KEY];
};

/* What the token is asked for. */
enum errand_kind { ERRAND_NONE, ERRAND_WRAP, ERRAND_UNWRAP, ERRAND_SWEEP };
struct errand {
    enum errand_kind kind;
    bool by_itself; /* nobody asked for it now */
    uint8_t vault[KEYRING_ID];
    struct secret *root; /* WRAP: what is to be wrapped; UNWRAP: what has come */
    struct seal seal;    /* UNWRAP: what is to be opened; SWEEP: whose key is kept; WRAP: what has come */
};
/* How an errand ended: a rule and why it was refused, or NULL. */
struct errand_end {
    const char *rule;
    char problem[200];
    uint32_t destroyed; /* SWEEP */
};
/* The errand under way, and one that waits for it. */
struct errands {
    struct errand now, next;
    uint64_t id; /* of the last token_wanted */
    int channel; /* to the token's process, while `open` */
    bool open;
    struct watch *watch;
    bool sweep;             /* one is wanted */
    struct keyring *unborn; /* the ring of an `init` that waits for the token */
};

/* An escrow copy of the ring that was not destroyed (keys/escrow.h). */
struct escrow {
    uint32_t number;
    uint32_t oldest; /* generation that it holds; 0: its entry is damaged, and it may hold any */
    uint64_t epoch;
};

/* The task of the process for backups. ENDED: what it came to waits to be recorded. RECORDED: that waits to be durable.
 */
enum backup_state { BACKUP_NEVER, BACKUP_RUNNING, BACKUP_ENDED, BACKUP_RECORDED, BACKUP_TOLD };
struct backup {
    enum backup_task task;
    enum backup_state state;
    bool abandoned; /* the vault was sealed: how it ended is recorded already */
    uint64_t id;    /* of the last backup_wanted */
    int channel;    /* to the process, while `open` */
    bool open;
    struct watch *watch;
    char name[1024];
    uint64_t started;        /* microseconds since 1970 */
    struct asker asker;      /* as it was when it asked */
    uint64_t worker, answer; /* restore: whom to answer, and which request */
    bool good;               /* it has said that it is done */
    uint64_t placed;         /* inode of the copy that was put in the index's place; 0: none was */
    struct msg_backup_copied copied;
    char rule[32 + 1], problem[200 + 1]; /* why it failed */
};

/* The client authorities (registers/anchors.h). */
struct anchors {
    bool heard, due;              /* `seen` is there; what to do about it is to be decided */
    struct msg_anchors_seen seen; /* what the gate has read in the file */
    uint8_t seen_hash[HASH_SIZE];
    uint8_t in_use[HASH_SIZE]; /* by which the gate verifies clients */
    uint8_t told[HASH_SIZE];   /* the last that it was told to use */
    uint64_t uses;             /* id of that message */
    bool agreed;               /* since the vault was opened it has used those in force */
    bool damaged;              /* those in force cannot be read */
    bool crowded;              /* no place was left for the request */
    uint32_t kept_size;        /* those in force, of the transaction under way */
    uint8_t kept[ANCHORS_MAX];
};

enum { RETIRED_TEXT = 400 };

struct reply {
    uint64_t worker;
    struct message *message;
    bool grows; /* the request only makes the state grow: without space it is 507 */
    struct reply *next;
};

struct disease_table {
    int file;                  /* until it is read; -1: there is none, or it cannot be opened */
    struct diseases *diseases; /* NULL: none is used */
    uint8_t hash[HASH_SIZE];   /* SHA-256 of the file */
    char problem[DISEASES_PROBLEM];
};

struct monitor {
    struct loop *loop;
    int control, gate, store; /* channels */
    struct watch *control_watch, *gate_watch, *store_watch;
    struct msg_monitor_setup setup;
    struct keyring_place place;

    enum seal_state seal;
    bool sealed_by_operator;
    bool ready_sent;
    enum credential_use credential_use;
    uint64_t credential_worker, credential_id;
    struct asker credential_asker;   /* as it was when it asked */
    bool retiring;                   /* the change of the seal under way is to retire older generations (ring.h) */
    char dead_backups[RETIRED_TEXT]; /* that died of the last retirement, until it is answered */
    struct errands errands;

    struct secret *root, *store_key;
    struct keyring *keyring;
    struct secret *exchange; /* of this process: what shares are sealed to on their way in */
    uint8_t exchange_public[CRYPT4GH_KEY];
    struct gathering shown; /* of the seal in force: to unseal, or as a drill */
    struct proposal proposal;
    struct index *index;

    uint64_t services_change; /* counts what may make another of a service that was looked up */
    uint64_t changes_before;  /* index_changes at the start of the batch */
    uint64_t batch_begun;     /* loop_now_ms */

    /* What the transaction under way (or the last one) says; read again after an abort. */
    struct meta_value meta;
    struct merkle_fold tree;
    uint64_t last_time; /* microseconds, of the last record */
    struct disease_table disease_table;
    struct policy policy;
    bool has_policy;
    bool policy_damaged; /* the one in force cannot be read: nothing can be decided */
    char policy_hash[2 * HASH_SIZE + 1];
    struct escrow escrows[ESCROWS_MOST]; /* the oldest first */
    unsigned escrow_count;

    struct worker *workers;
    struct grant *grants;
    struct ending *endings;
    uint64_t ended;        /* number of the last grant that was ended */
    struct ending *ending; /* made by the handler that runs now */
    struct reply *replies, **replies_end;
    bool clock_warned;
    bool stop; /* leave the loop; exit_status says how */
    int exit_status;

    enum check_state check;
    uint64_t check_ended; /* microseconds since 1970; 0: not yet */
    bool check_recorded;  /* how it ended is durable in the log */
    struct scrub scrub;
    struct denials denials;
    struct failures failures;
    struct budgets budgets;

    struct alarms *alarms;       /* watch/alarms.h; NULL: nothing was seen yet */
    struct witnesses *witnesses; /* of the audit (witness/witnesses.h); NULL: none is configured */
    struct standings *standings; /* what patients have said (registers/standings.h); NULL: nothing is kept */

    struct backup backup;
    struct records *records; /* the log's last lines (log/records.h); NULL: the index is closed */
    struct leaves *leaves;   /* nodes of the tree that were read (log/leaves.h); NULL likewise */
    struct archive *archive; /* the segment in hand (archive/archive.h); NULL: none was yet */
    bool archive_sweep;      /* files of destroyed segments may be there */
    struct anchors anchors;

    struct space space;
    bool grows;          /* the request in hand only makes the state grow */
    bool unsettled;      /* a dropped batch may have held the end of a gone worker's uploads */
    uint64_t open_again; /* loop_now_ms; 0: not. The start failed for what may pass and is tried again then */
    unsigned open_delay; /* milliseconds */

    uint64_t job_ran; /* loop_now_ms of the end of a job's last slice */
    uint64_t job_slices;
    uint64_t job_took;        /* milliseconds of its slices since it rested */
    uint64_t job_again;       /* loop_now_ms: no step before; 0: at once; UINT64_MAX: not before jobs_wake */
    uint64_t job_due;         /* microseconds by that clock: when the next entry of a job with a rate is due */
    uint32_t job_broken;      /* the job whose last step met a page that cannot be read; 0: none */
    uint64_t job_room;        /* entries that the step under way may take */
    uint64_t pending_expires; /* microseconds since 1970, the first of what waits for approval; 0: nothing does */

    uint64_t age_told; /* microseconds since 1970: when the log last warned of old keys (keys/age.h) */

    struct rekeying rekeying;
    bool removal_wanted; /* there may be removed files */
    bool removal_waits;  /* the content of some is still read */
    bool clean_wanted;   /* there may be dropped uploads */
    bool cleaning;       /* an object_remove is under way */
    uint8_t cleaning_upload[ID_SIZE];
    uint8_t cleaning_blob[ID_SIZE];
};

/* ---- server.c ---- */

/* Reads monitor_setup from m->control, shares the store's key, watches the channels; leaves the current directory in
 * the state directory. VAULT_E_PROTOCOL, VAULT_E_IO, VAULT_E_MEMORY and those of channels. */
int monitor_start(struct monitor *m);
/* One turn: what is ready, then the clock's work, then one step of the jobs, then the commit. *more: do not wait next
 * time. Faults of the loop. */
int monitor_turn(struct monitor *m, bool *more);
/* Frees and wipes everything. */
void monitor_close(struct monitor *m);
/* Takes what supervisor and gate have said before a worker's message is looked at, whatever order they became ready in.
 */
void monitor_hear_authorities(struct monitor *m);

/* ---- batch.c: transactions and answers ---- */

/* Starts the batch's transaction unless it runs. Faults of the index. */
int batch_begin(struct monitor *m);
/* Commits what there is and sends the answers; called at the end of each turn, and by the few handlers that need a step
 * to be durable before the next (key rotation). A fault has been turned into refusals already; it is returned so that
 * such a handler stops. */
int batch_finish(struct monitor *m);
/* Whether somebody waits for the end of the batch: an answer, or a grant that begins or ends with it. */
bool batch_is_awaited(const struct monitor *m);
/* Drops the batch: every answer in it becomes 503 (507 if `reason` is VAULT_E_FULL and the request only makes the state
 * grow). Reloads what was cached. */
void batch_drop(struct monitor *m, int reason);
/* Queues an answer to go out once the batch is durable. `reply` was allocated, and is freed when it was sent. */
void batch_reply(struct monitor *m, struct worker *w, struct message *reply);
/* Sends an answer that rests on nothing but what is durable already, and changes nothing: it waits for no commit.
 * `reply` owns nothing afterwards. */
void reply_now(struct monitor *m, struct worker *w, struct message *reply);
/* Frees the answers that still wait for the end of grants; they never go out. */
void endings_free(struct monitor *m);
/* The answer to this worker of the change that runs now will wait (m->ending). VAULT_E_MEMORY. */
int ending_start(struct monitor *m, uint64_t worker);
/* Whether this worker's answer waits until the gate uses other client authorities. */
bool ending_is_of_anchors(const struct monitor *m, uint64_t worker);
/* The keys are wiped: answers no longer wait for that. */
void endings_keys_wiped(struct monitor *m);
/* Reads meta, tree and policy from the index into the cache. Faults of the index. */
int monitor_reload(struct monitor *m);
/* Stores m->meta in the transaction. Faults of the index. */
int meta_store(struct monitor *m);

/* ---- workers.c ---- */

struct worker *worker_find(struct monitor *m, uint64_t number);
int worker_add(struct monitor *m, uint64_t number, int channel);
void worker_remove(struct monitor *m, uint64_t number);
/* Asks the supervisor to end it by force. */
void worker_kill(struct monitor *m, uint64_t number, enum worker_end why);

/* ---- requests ---- */

/* What a handler gets. `id` is the request's own identifier, made by the monitor. */
struct request {
    struct monitor *monitor;
    struct worker *worker;
    struct asker asker;
    struct message *message;
    uint8_t id[ID_SIZE];
    /* What the request is about, as far as the handler has got: for the record of a failure. */
    const char *subject;
    const uint8_t *file;
    const char *asked_by; /* who asked for what this asker approves (pending.h); NULL: it is the asker's own request */
};

#endif
