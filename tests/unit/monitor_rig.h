/* A monitor core in the test's own process, with a real index and a real key ring in a temporary folder. The test plays
 * everybody around it: supervisor, gate, store and workers, each at the other end of a real channel. */
#ifndef MONITOR_RIG_H
#define MONITOR_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "vault/manifest.h"
#include "vaultd/monitor/opening/opening.h"

#define ORIGIN "genome.example/vault"
#define SAN_OF(name) "urn:vault:service:" name

extern struct monitor m;

/* ---- the folder and the core ---- */

/* cmocka fixtures. `vault_set_up` also makes the vault, its policy, one subject "S-1" with full consent, project P1
 * with approval A1, and the services depositor, clinic (treatment) and research. */
int rig_set_up(void **state);
int vault_set_up(void **state);
int rig_tear_down(void **state);

/* Puts a tmpfs of `kilobytes` in place of the state folder. False where that is not permitted. For rig_set_up. */
bool rig_small_disk(unsigned kilobytes);
const char *rig_folder(void);
/* Bytes of the reserve of the cores that are started; 0: none. */
extern uint64_t rig_reserve;
/* Whether a token is configured for them. */
extern bool rig_token;
/* Starts a core on the folder; it wants its credential if there is a vault and it may open it. */
void rig_start(bool stay_sealed);
/* Starts it and hands the credential over; true if it is unsealed. */
bool rig_start_unsealed(void);
/* Ends the core where it stands: nothing is closed, committed or recorded. */
void rig_stop(void);
/* One turn that does not wait. */
void turn(void);
void turns(unsigned n);
/* One in which nothing can be written to any file: main ignores SIGXFSZ. */
void turn_without_writing(void);
/* Turns until `ms` milliseconds have gone. */
void turns_for(unsigned ms);
/* How many go by in so many milliseconds, each waiting for as long as it wants to. */
unsigned turns_in(unsigned ms);
/* Turns until it is so; one that takes two minutes is given up. */
#define turns_until(it_is_so)                                                                                          \
    for (uint64_t given_up = loop_now_ms() + 120000; !(it_is_so); turns_for(1))                                        \
    assert_true(loop_now_ms() < given_up)
/* Turns until no job is left, and what the last one did is durable. */
void jobs_finish(void);

/* ---- the supervisor ---- */

struct heard {
    unsigned ready, wanted, killed, states, workers_wanted;
    uint64_t last_killed;
    uint8_t why;
    uint8_t seal, by_operator; /* of the last state */
    uint64_t token_id;         /* of the last token_wanted; 0: there was none */
    bool token_by_itself;
    uint64_t backup_id; /* of the last backup_wanted; 0: there was none */
    uint8_t backup_task;
    uint64_t courier_id; /* of the last courier_wanted; 0: there was none */
};
/* What the core has told the supervisor since the last call. */
struct heard supervisor_heard(void);
/* Answers credential_wanted; `name` is a file in the folder ("root.key"), NULL: there is none. */
void supervisor_credential(const char *name);
/* Whether a directory for backups is configured. */
extern bool rig_backups;
/* Answers a backup_wanted: with a channel, whose other end is returned; with one whose process is dead already; or with
 * a problem under this rule. Says that the process has ended, in order if `rule` is empty. */
int supervisor_backup(uint64_t id);
void supervisor_backup_died_before(uint64_t id);
void supervisor_no_backup(uint64_t id, const char *rule);
void supervisor_backup_gone(uint64_t id, const char *rule);
/* Verifier keys of witnesses, as the configuration's; and the courier's end of the channel that a courier_wanted is
 * answered with. */
extern const char *rig_witnesses;
int supervisor_courier(uint64_t id);
/* Answers a token_wanted; the token's end of the channel. */
int supervisor_token(uint64_t id);
/* Answers it with a problem under this rule, or says that the token's process has ended. */
void supervisor_no_token(uint64_t id, const char *rule);
void supervisor_token_gone(uint64_t id, const char *rule);
void supervisor_gone(uint64_t worker);
/* Has ended whom it was told to, since the vault was sealed; takes a turn. */
void supervisor_ends_sealed(void);
void write_root_key(const char *name, char digit);

/* ---- workers ---- */

struct peer {
    uint64_t number;
    int channel;
    uint64_t id; /* of its last request */
};

/* A worker without client. */
struct peer peer_new(void);
void peer_client(const struct peer *p, enum peer_kind kind, uint32_t uid);
/* The gate vouches. */
void peer_identity(const struct peer *p, const char *san);
void gate_lost(const struct peer *p);
/* The gate has read these client authorities: any text. Takes turns. */
void gate_sees(const char *pem);
/* The next authorities that the gate was told to use, "" if there are none; the id is kept for gate_uses. */
const char *gate_told(void);
void gate_uses(void);
/* All of it at once. */
struct peer peer_unix(uint32_t uid);
struct peer peer_tls(const char *san);
/* A worker without a client, for work of the vault's own. */
struct peer peer_nobody(void);
/* It ends, and the supervisor says so. */
void peer_end(struct peer *p);

/* The next request, to be filled and sent. One at a time. */
struct message *request(struct peer *p, enum message_type type);
void send_now(struct peer *p);
/* The next message to this worker that is there already; NULL if none. Valid until the next call. */
struct message *received(struct peer *p);
/* Sends the request, takes turns, and gives the answer. */
struct message *ask(struct peer *p);
/* Status of an answer: 0 if it is another message than `answer`; the given type otherwise fails the test. */
unsigned status_of(const struct message *answer);
unsigned ask_status(struct peer *p);
/* The answer's document; to be freed. */
json_t *document_of(const struct message *answer);
bool says(const struct message *answer, const char *text);

/* ---- the world ---- */

extern struct peer root; /* the first administrator, on the Unix socket */

void make_vault(void);
void make_world(void);
void make_subject(const char *subject);
void set_consent(const char *subject, bool treatment, bool research);
void make_service(const char *name, uint32_t roles, uint32_t purposes);
void load_policy(const char *name);
/* Fills a consent_withdraw request. */
void withdraw_request(struct peer *p, const char *subject);
struct message *open_request(struct peer *p, const uint8_t file[ID_SIZE], uint8_t purpose);
/* Opens and expects a grant. */
struct msg_grant open_file(struct peer *p, const uint8_t file[ID_SIZE]);

/* ---- deposits ---- */

struct deposit {
    uint8_t id[ID_SIZE];
    struct manifest_page page;
    uint8_t receipts[PAGE_CHUNKS][HASH_SIZE];
    uint64_t plain;
};

struct message *create_request(struct peer *p, const char *subject, const char *name);
/* Creates an upload. */
struct deposit deposit_begin(struct peer *p, const char *subject, const char *name);
/* Chunks of `plain` bytes (up to one page) with random addresses, announced; the store's receipts for them. */
void deposit_announce(struct peer *p, struct deposit *d, uint64_t plain);
void receipts_make(const struct peer *p, struct deposit *d);
struct message *page_request(struct peer *p, const struct deposit *d, uint32_t number);
void commit_request(struct peer *p, const struct deposit *d, uint8_t content);
/* A whole deposit of `plain` bytes; the file's id. `content` stands for its digest. */
void deposit_file(struct peer *p, const char *subject, const char *name, uint64_t plain, uint8_t content,
                  uint8_t ret_file[ID_SIZE]);
/* Takes turns and answers what the store is asked, until it is asked no more. Gives the addresses that were removed. */
size_t store_removes(uint8_t (*ret)[HASH_SIZE], size_t room);
/* Takes one turn and answers what the store is asked: how many that were, 0 or 1. */
size_t store_removes_one(uint8_t (*ret)[HASH_SIZE], size_t room);

/* Takes turns and answers what the store is asked to look at with this enum store_status, until it is asked no more, or
 * `most` times. Gives how often. */
size_t store_checks(uint8_t status, size_t most);

/* ---- the audit ---- */

/* The whole log as text, read through the auditor's messages. To be freed. */
char *audit_text(void);
/* How many of the log's lines hold all of these (NULL-terminated). */
unsigned audit_count(const char *first, ...);
/* Puts another text of the same length into a record that is not archived, behind the back of everything. */
void forge_record(uint64_t seq, const char *from, const char *to);

#endif
