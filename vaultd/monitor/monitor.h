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

/* ---- space.c: the reserve ---- */

/* Opens the reserve in the state directory, makes it as far as there is room, and looks. VAULT_E_IO. */
int space_start(struct monitor *m);
void space_close(struct monitor *m);
/* Asks the file system what is free, gives slices of the reserve back or takes them, and sets m->space.state. Not while
 * a transaction is under way. */
void space_look(struct monitor *m);
/* A commit found no space: gives back a slice, or there is none to give. */
void space_failed(struct monitor *m);
/* Looks while there is not enough. Returns milliseconds until it wants to be called again, -1: not needed, 0: what had
 * to wait can go on. */
int space_tick(struct monitor *m);
/* Whether both copies of the key ring can be replaced. */
bool space_for_ring(const struct monitor *m);
/* Bytes that the index takes on disk; 0: not known. */
uint64_t space_of_index(const struct monitor *m);
/* "enough", "short" or "none". */
const char *space_name(const struct monitor *m);

/* What a keyed hash of a name is of. */
enum name_kind {
    NAME_SUBJECT = 1,
    NAME_FILE,
    NAME_DATASET,
    NAME_SERVICE,
    NAME_SAN,
    NAME_PROJECT,
    NAME_ETHICS,
    NAME_CHAIN_SUBJECT,
    NAME_CHAIN_SERVICE,
    NAME_CHAIN_PROJECT
};

/* ---- log/journal.c: the audit log ---- */

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
 * counted (denials.c). A chain that is damaged or gone starts
 * anew, so that the damage itself can be recorded; look-ups report it (lookup.c). Faults of the index. */
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

/* ---- denials.c ---- */

/* Whether one more denial of this asker gets a record of its own; if not, it has been counted. */
bool denials_admit(struct monitor *m, const struct asker *a);
/* Records what was counted: all of it, or what has waited long enough. Faults of the index. */
int denials_sum(struct monitor *m, bool all);
/* The same by the clock. Returns milliseconds until it wants to be called again, -1: not needed. */
int denials_tick(struct monitor *m);
/* The batch is durable, or was dropped. */
void denials_settled(struct monitor *m, bool durable);

/* ---- names.c ---- */

/* Keyed hash of a name, under which the index knows it now: while the name key makes way for another, under the one of
 * both that its owner has by now. `subject`: whose file has this name (NAME_FILE), or is in this dataset
 * (NAME_DATASET); else NULL. */
void name_hash(const struct monitor *m, enum name_kind kind, const char *name, const char *subject,
               uint8_t ret[HASH_SIZE]);
/* The same under this key. */
void name_hash_under(const struct secret *key, enum name_kind kind, const char *name, const char *subject,
                     uint8_t ret[HASH_SIZE]);
/* Those under which files of a dataset may be listed: how many, 1 or 2. */
unsigned dataset_hashes(const struct monitor *m, const char *dataset, uint8_t ret[2][HASH_SIZE]);
/* Tells places of the entries of a database: the same number as long as none has moved to under another name key. */
uint64_t names_moves(const struct monitor *m, enum index_db db);
/* Whether it is the name of an administrator on the Unix socket, which no service can have. */
bool name_is_local(const char *name);

/* ---- lookup.c: values by name ---- */

/* VAULT_NOT_FOUND if there is none and never was; VAULT_E_DAMAGED also if there must be one. */
int find_subject(struct monitor *m, const char *subject, struct subject_value *ret);
/* Without a look at its witness: for what the vault does by itself. */
int subject_load(struct monitor *m, const char *subject, struct subject_value *ret);
/* Whether a value that was read otherwise is the one in force, by its witness: VAULT_E_DAMAGED if it is not. */
int subject_is_of_now(struct monitor *m, const struct subject_value *s);
int find_service(struct monitor *m, const char *name, struct service_value *ret);
int find_project(struct monitor *m, const char *name, struct project_value *ret);
int find_ethics(struct monitor *m, const char *name, struct ethics_value *ret);
int find_consent(struct monitor *m, const char *subject, uint32_t version, struct consent_value *ret);
/* By id, or by subject and name where id is all zero. */
int find_file(struct monitor *m, const uint8_t id[ID_SIZE], const char *subject, const char *name,
              struct file_value *ret);
/* Whether a manifest other than this blob's names the object. Faults of the index. */
int object_is_of_another(struct monitor *m, const uint8_t address[HASH_SIZE], const uint8_t blob[ID_SIZE],
                         bool *ret_other);
/* True if the comma-separated list holds the item. */
bool list_holds(const char *list, const char *item);
bool id_is_zero(const uint8_t id[ID_SIZE]);
/* What the registry says of a service. */
void asker_fill(const struct service_value *s, struct asker *a);
/* Who is behind this worker. Faults of the index; an unknown service is 0 with known false. */
int find_asker(struct monitor *m, struct worker *w, struct asker *ret);
/* Whether it has an administrative role: such may see what there is without a purpose, but no content. */
bool is_administrator(const struct asker *a);

/* ---- current.c: values that decisions rest on ---- */

/* Stores a value as it is; its witness stays as it is. Faults of the index. */
int subject_store(struct monitor *m, const struct subject_value *s);
int service_store(struct monitor *m, const struct service_value *s);
int project_store(struct monitor *m, const struct project_value *p);
int ethics_store(struct monitor *m, const struct ethics_value *e);
int consent_store(struct monitor *m, const struct consent_value *c);
/* With the meta value, which names the version in force. */
int policy_store(struct monitor *m, const struct policy_value *p);
/* Which service a SAN is of, with its witness. */
int san_store(struct monitor *m, const char *san, const struct san_value *v);
/* Just before the record of a change: value and witness take that record's number, and are stored. The chain of a
 * subject or service must be there. Faults of the index. */
int subject_make_current(struct monitor *m, struct subject_value *s);
/* Just before a record: no value of the subject that was stored so far counts from then on. VAULT_E_DAMAGED: there is
 * no whole chain, and none counts as it is. Other faults of the index. */
int subject_disown(struct monitor *m, const char *subject);
int service_make_current(struct monitor *m, struct service_value *s);
int project_make_current(struct monitor *m, struct project_value *p);
int ethics_make_current(struct monitor *m, struct ethics_value *e);
int policy_make_current(struct monitor *m, struct policy_value *p);

/* ---- grants.c ---- */

struct grant *grant_find(struct monitor *m, const struct worker *w, const uint8_t id[ID_SIZE]);
/* True while a grant with this number or a lower one has been ended but is not gone yet. */
bool grants_still_ending(const struct monitor *m, uint64_t ended);
/* Whether a grant needs the content of this blob. */
bool grants_need(const struct monitor *m, const uint8_t blob[ID_SIZE]);
/* How many grants this worker has. */
unsigned grants_of(const struct monitor *m, uint64_t worker);
/* True while a grant was made, ended or closed in the batch under way. */
bool grants_await_batch(const struct monitor *m);
/* Removes and frees; lets an answer that waited for it go, and what was removed meanwhile. */
void grant_drop(struct monitor *m, struct grant *g);
/* Appends the closing record and removes the durable form. Faults of the index. */
int grant_close(struct monitor *m, struct grant *g, const char *outcome, uint64_t bytes, uint32_t ranges,
                uint8_t status, const char *detail);
/* Asked for more than its request was decided for (grant->expected): decided again, and ended where that is no longer
 * permitted. Faults of the index. */
int grant_decide_more(struct monitor *m, struct grant *g, bool *ret_permitted);
/* Whether what was granted would be granted now, under this policy. Faults of the index. */
int grant_is_permitted(struct monitor *m, const struct grant *g, const struct policy *p, bool *ret_permitted);
/* Which grants a change can touch; NULL: any. */
struct grant_filter {
    const char *subject, *service;
    const uint64_t *worker;
    const char *cause; /* for the record */
    uint64_t asked_by; /* worker whose answer waits for them; 0: nobody's */
};
/* Decides them again in the transaction; those no longer permitted get their closing record ("revoked") and end once
 * the batch is durable. *ret_ended counts them. Faults of the index. */
int grants_decide_again(struct monitor *m, const struct grant_filter *filter, unsigned *ret_ended);
/* Ends every grant, permitted or not. Faults of the index. */
int grants_end_all(struct monitor *m, const char *cause, uint64_t asked_by);
/* After a commit: grants become live, and those that end are told. */
void grants_committed(struct monitor *m);
/* After a failed batch: pending grants vanish, ending ones of this batch live on. */
void grants_dropped(struct monitor *m);
/* Force for those that did not acknowledge in time; decides all again once a second, since consents and approvals end
 * by the clock. Returns milliseconds until it wants to be called again, -1: not needed. */
int grants_tick(struct monitor *m);
/* Remembers a new grant, pending until its batch is durable, in the transaction too. Faults of the index;
 * VAULT_E_MEMORY. */
int grant_add(struct monitor *m, const struct grant *g);
/* The worker acknowledged; or is gone (its other grants are closed as interrupted: faults of the index). */
void grants_acknowledged(struct monitor *m, struct worker *w, const uint8_t id[ID_SIZE]);
int grants_of_gone_worker(struct monitor *m, uint64_t worker);
/* At start: closes what a crash left open. Faults of the index. */
int grants_recover(struct monitor *m);

/* ---- deposit.c ---- */

/* A fresh data key for a fresh blob, wrapped under its subject's key: both in the upload, which is not stored yet.
 * VAULT_E_DAMAGED, VAULT_E_MEMORY, VAULT_E_CRYPTO. */
int upload_key(struct monitor *m, const struct subject_value *s, struct upload_value *u, struct secret **ret);
/* Stores the upload and answers with it and its key, which is moved. Faults of the index; VAULT_E_MEMORY. */
int upload_begin(struct request *q, const struct upload_value *u, uint64_t seq, struct secret **key);
/* Whether a blob of this size has the chunks of this upload. */
bool upload_fits(const struct upload_value *u, uint64_t size);
/* What the upload's marks named is published now: they go later, a few at a time. Faults of the index. */
int upload_leave_marks(struct request *q, const uint8_t id[ID_SIZE], const struct upload_value *u);
/* It came to nothing: what it announced goes later. Faults of the index. */
int upload_give_up(struct request *q, const uint8_t id[ID_SIZE]);

/* ---- deposit_pages.c ---- */

/* The upload, if it is this worker's and still open; sets q->subject. VAULT_DENIED otherwise; faults of the index. */
int upload_find(struct request *q, const uint8_t id[ID_SIZE], struct upload_value *ret);
/* Records and answers that there is no such upload here. Faults of the index. */
int upload_refuse(struct request *q);

/* ---- cleaning.c: objects of uploads that came to nothing ---- */

/* Marks an upload as dropped, in the transaction: what it announced is removed afterwards. Faults of the index. */
int upload_drop(struct monitor *m, const uint8_t id[ID_SIZE]);
/* The same for what a gone worker left unfinished, and at start for what a crash left. Faults of the index. */
int uploads_drop_of_worker(struct monitor *m, uint64_t worker);
int uploads_drop_of_subject(struct monitor *m, const char *subject, const char *name); /* name: NULL for all */
int uploads_recover(struct monitor *m);
/* The same for all gone workers, where a dropped batch may have held it. Faults of the index. */
int uploads_settle(struct monitor *m);
/* Removes announced objects of dropped uploads, one at a time. True if there is more to do that waits for nobody. */
bool uploads_clean(struct monitor *m);
void uploads_object_removed(struct monitor *m, const struct msg_object_removed *removed);

/* ---- jobs.c ---- */

/* One bounded step of the job that runs, if one does. *ret_more: there is more to do now. Faults of the index. */
int jobs_step(struct monitor *m, bool *ret_more);
/* Milliseconds until the job that waits wants its next step, -1: none does. */
int jobs_tick(const struct monitor *m);
/* After a batch: while a grant is open, the job waits for as long as its part in the batch took. */
void jobs_rest(struct monitor *m);
/* What the first job waits for may have come, or nothing is known of it any more: its next step is due. */
void jobs_wake(struct monitor *m);

/* ---- check.c ---- */

/* One bounded slice of the check of the index, if one is wanted, outside any batch; its end is recorded. *ret_more:
 * there is more to do. Faults of the index. */
int check_step(struct monitor *m, bool *ret_more);
/* The batch is durable, or was dropped. */
void check_settled(struct monitor *m, bool durable);
/* For the status: {"state", "entries", "checked"}. */
json_t *check_json(const struct monitor *m);

/* ---- scrub.c ---- */

/* What is durable of the last scrub; a window that was settled in a dropped batch is asked for again. Faults of the
 * index. */
int scrub_load(struct monitor *m);
/* One step of the scrub, if one runs. *ret_more: there is more to do that waits for nobody. Faults of the index. */
int scrub_step(struct monitor *m, bool *ret_more);
void scrub_checked(struct monitor *m, const struct msg_object_checked *c);

/* ---- workers.c ---- */

struct worker *worker_find(struct monitor *m, uint64_t number);
int worker_add(struct monitor *m, uint64_t number, int channel);
void worker_remove(struct monitor *m, uint64_t number);
/* Asks the supervisor to end it by force. */
void worker_kill(struct monitor *m, uint64_t number, enum worker_end why);

/* ---- table.c ---- */

/* One message of a worker. */
void table_dispatch(struct monitor *m, struct worker *w, struct message *request);
/* The roles of which a type needs one. False if workers may not ask this. */
bool table_roles(enum message_type type, uint32_t *ret_roles);
/* Handles an approved request. VAULT_AGAIN: it was answered that there is no room for it; otherwise as its handler. */
int table_run(struct request *q);

/* ---- answers.c ---- */

/* Queues a JSON answer; takes the reference. seq: its record's number, or NO_SEQ. */
#define NO_SEQ UINT64_MAX
void answer_json(struct monitor *m, struct worker *w, const struct message *request, unsigned status, uint64_t seq,
                 const uint8_t *request_id, json_t *json);
/* Queues a problem document with one reason (rule may be NULL). */
void answer_problem(struct monitor *m, struct worker *w, const struct message *request, unsigned status, uint64_t seq,
                    const uint8_t *request_id, const char *rule, const char *text);
/* 403 for a decision: the reasons, or, where a patient's choice or a file's existence is involved, one text for all. */
void answer_denied(struct monitor *m, struct worker *w, const struct message *request, uint64_t seq,
                   const uint8_t *request_id, const struct decision *d);
/* A problem answer, made but not queued. NULL without memory. */
struct message *problem_message(uint64_t id, unsigned status, uint64_t seq, const uint8_t *request_id, const char *rule,
                                const char *text);
/* Queues `done`. */
void answer_done(struct monitor *m, struct worker *w, const struct message *request);
json_t *json_time(uint64_t microseconds);
/* "2026-11-23" from seconds since 1970; null for 0, which is no bound. */
json_t *json_day(uint64_t seconds);
/* A list out of comma-separated text. */
json_t *json_list(const char *comma_separated);
json_t *json_hex(const uint8_t *bytes, size_t n);
json_t *json_base64(const uint8_t *bytes, size_t n); /* base64url without padding; NULL without memory */
json_t *json_mask(uint32_t mask, const char *(*name)(unsigned), unsigned count);
json_t *json_file(const struct file_value *f);
/* Appends the item (its reference is taken) if the list still fits into an answer; *bytes is the list's size so far. */
bool json_append_fitting(json_t *list, size_t *bytes, json_t *item);
/* The reasons that a denied service is told. */
json_t *json_told(const struct decision *d);

/* ---- log/reading.c ---- */

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

/* ---- restore.c ---- */

/* The origin that the log is signed under now: the configured one, or after restores that with their count.
 * VAULT_E_LIMIT. */
int monitor_origin(const struct monitor *m, char ret[200 + 1]);

/* ---- the handlers, in the order of the table ---- */

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

request_handler answer_open, answer_page_get, answer_grant_close;
request_handler answer_upload_create, answer_upload_announce, answer_upload_page, answer_upload_commit,
    answer_upload_abort;
request_handler answer_rekey_next, answer_rekey_create, answer_rekey_end;
request_handler answer_file_list, answer_file_show, answer_inquire, answer_request_show, answer_refusal;
request_handler answer_status, answer_init, answer_unseal, answer_seal;
request_handler answer_subject_add, answer_subject_change, answer_opt_outs, answer_subject_show, answer_subject_list;
request_handler answer_consent_set, answer_consent_show, answer_consent_withdraw;
request_handler answer_care_add, answer_care_end, answer_care_list;
request_handler answer_service_add, answer_service_list, answer_service_show, answer_service_revoke;
request_handler answer_project_add, answer_project_list, answer_project_close;
request_handler answer_ethics_add, answer_ethics_list, answer_ethics_revoke;
request_handler answer_policy_load, answer_policy_show, answer_policy_replay;
request_handler answer_budget_list;
request_handler answer_review_list, answer_review_close;
request_handler answer_key_list, answer_key_rotate, answer_key_jobs, answer_scrub, answer_scrub_show;
request_handler answer_job_pause, answer_job_resume, answer_job_rate;
request_handler answer_audit_proof, answer_audit_chain, answer_audit_lines, answer_audit_witnessed, answer_metrics;
request_handler answer_audit_tail, answer_audit_checkpoint, answer_audit_export, answer_audit_records,
    answer_audit_proofs;
request_handler answer_archive, answer_archive_list, answer_archive_destroy;
request_handler answer_seal_change, answer_seal_confirm, answer_seal_drill, answer_seal_cancel;
request_handler answer_key_escrow, answer_key_escrow_list, answer_key_escrow_destroyed;
request_handler answer_subject_shred, answer_file_remove;
request_handler answer_backup, answer_backup_list, answer_restore, answer_restore_confirm;
request_handler answer_anchors_seen;
request_handler answer_pending_list, answer_pending_approve, answer_pending_refuse;

/* Records an administrative event ("done") and queues the JSON answer; takes the reference. Faults of the index. */
int administer(struct request *q, const char *event, const char *subject, char action, const char *detail,
               unsigned status, json_t *json);
/* Records a refusal and queues its problem. Faults of the index. */
int refuse(struct request *q, const char *event, const char *subject, unsigned status, const char *rule,
           const char *text);

#endif
