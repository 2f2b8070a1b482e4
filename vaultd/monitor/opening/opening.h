/* How the vault is made, opened, sealed and given another seal: by the credential, by shares, by the token. */
#ifndef VAULT_MONITOR_OPENING_H
#define VAULT_MONITOR_OPENING_H

#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/monitor.h"

/* ---- life.c ---- */

/* The credential has come, or the reason why not: goes on with start, init or unseal. */
void life_credential(struct monitor *m, struct message *credential);
/* Asks for the credential at start, where the vault is to unseal itself. */
void life_start(struct monitor *m);
/* Tries a start again that failed for want of space. Returns milliseconds until then, -1: there is none. */
int life_tick(struct monitor *m);
void life_tell_state(struct monitor *m);
/* Asks for the credential, to seal a new root key by it; the answer follows. Handlers of POST /v1/keys/seal and
 * /v1/keys/rotate. */
int life_reseal(struct request *q);
/* A copy was put in the index's place: asks for what opens the ring, whoever asked for the restore being answered with
 * what comes of it; or answers that shares are needed. */
void life_open_restored(struct monitor *m);
/* Whoever asks now will be answered when that has come which it waits for. False if it was answered, since another
 * waits already. */
bool life_take_turn(struct request *q, enum credential_use use);
/* Makes or opens the vault with what has come, and settles. */
void life_conclude(struct monitor *m, enum credential_use use, struct opening *o);
/* The vault is open, or stays closed for the reason in `o`: everybody is told. */
void life_settle(struct monitor *m, enum credential_use use, int result, struct opening *o);

/* ---- opening.c ---- */

/* What opens or makes a vault: a key, how to make shares, or the root key that the token opened or sealed (moved).
 * `shares` is what was made, for the answer; `detail` who opened it, for the record; `problem` why it stays closed,
 * under the name `rule` (NULL: there is none of its own). */
enum { OPENING_DETAIL = 160 };
struct opening {
    const struct secret *key;
    const struct sealing *by;
    struct secret *root;
    const struct seal *seal; /* by the token, of a vault that is made; with its ring, which is moved too */
    struct keyring *unborn;
    json_t *shares;
    char detail[OPENING_DETAIL];
    const char *rule;
    char problem[200];
};
/* Makes the ring and the index, and the first record. What a failure leaves holds no data and is removed. Faults of the
 * seal, the ring and the index. */
int vault_make(struct monitor *m, struct opening *o);
/* Opens the seal, the ring and the index, and settles what a crash left half done. VAULT_DENIED (it is another key),
 * and faults of the ring and the index; o->problem is filled where there is more to say. */
int vault_open(struct monitor *m, struct opening *o);
/* Records an event of the vault's life, by whoever asked for the credential. Faults of the index. */
int life_record(struct monitor *m, const char *event, const char *detail);

/* ---- reseal.c ---- */

/* Puts the ring under this seal and its root key, which is moved, if `result` is VAULT_OK; or tells and records that it
 * was not changed, for the reason in `o`. The vault serves on, whatever comes of it. */
void reseal_with(struct monitor *m, int result, const struct seal *seal, struct secret **root, struct opening *o);
/* The same with a new root key, sealed by this credential. */
void reseal_by_credential(struct monitor *m, int result, const struct secret *credential, struct opening *o);

/* ---- errands.c: what is asked of the token ---- */

void errand_clear(struct errand *e);
/* Begins an errand, which is moved, or lets it wait for the one under way. token_conclude follows. */
void errand_run(struct monitor *m, struct errand *e);
/* The supervisor's answer to token_wanted, and its word that the process has ended. */
void errand_channel(struct monitor *m, struct message *in);
void errand_gone(struct monitor *m, const struct message *in);
/* Forgets all of them; nobody is told. */
void errands_forget(struct monitor *m);

/* ---- token.c: the seal by a token ---- */

/* Asks the token to open this seal; the vault is opened or stays closed when it has answered. */
void token_unwrap(struct monitor *m, const struct seal *seal, const uint8_t vault[KEYRING_ID], bool by_itself);
/* Handlers of POST /v1/init, /v1/keys/seal and /v1/keys/rotate; the answer follows. */
int token_init(struct request *q);
int token_reseal(struct request *q);
/* What has come of an errand. */
void token_conclude(struct monitor *m, struct errand *e, const struct errand_end *end);
/* Has the vault's keys in the token destroyed that are not in force, as soon as ring and index agree which is. */
void token_sweep_later(struct monitor *m);
/* Begins that sweep. Not while a transaction is under way. */
void token_tick(struct monitor *m);

/* ---- seals.c ---- */

/* Makes the exchange key, instead of one that is there. VAULT_E_CRYPTO, VAULT_E_MEMORY: as before. */
int seals_start(struct monitor *m);
/* Forgets shares that were shown, and a proposed seal. */
void seals_forget(struct monitor *m);
/* The seal in force as status and answers tell it; null if there is none. */
json_t *seals_json(struct monitor *m);
/* What a request says of shares to be made; *ret_problem says what is wrong with it. */
bool sealing_read(unsigned shares, unsigned threshold, const char *recipients, struct sealing *ret,
                  const char **ret_problem);
/* A seal by new shares around `root`, and the shares in containers: a list for the answer. Faults of the seal. */
int seals_make(const struct sealing *by, const struct secret *root, struct seal *ret, json_t **ret_shares);
/* Takes the share of an unseal request. VAULT_AGAIN: it was answered, since more are needed or this one is not good. */
int seals_unseal(struct request *q, const struct seal *seal, struct secret **ret_key, char ret_detail[OPENING_DETAIL]);

#endif
