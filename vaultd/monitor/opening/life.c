/* The vault's state as it is asked for and told: init, unseal, seal, status. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opening.h"
#include "restore.h"
#include "vaultd/monitor/access/denials.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/access/reviews.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/archive/archive.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/care/check.h"
#include "vaultd/monitor/care/cleaning.h"
#include "vaultd/monitor/care/failures.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/keys/age.h"
#include "vaultd/monitor/keys/escrow.h"
#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/keys/warnings.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/registers/anchors.h"
#include "vaultd/monitor/registers/disease_table.h"
#include "vaultd/monitor/registers/opt_outs.h"
#include "vaultd/monitor/registers/standings.h"
#include "vaultd/monitor/table.h"
#include "vaultd/monitor/watch/alarms.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/checkpoint.h"
#include "vault/log.h"
#include "vault/result.h"

void life_tell_state(struct monitor *m) {
    static struct message state;
    message_init(&state, MSG_state, 0);
    state.state.seal = (uint8_t)m->seal;
    state.state.by_operator = m->sealed_by_operator;
    if (channel_send_wait(m->control, &state, 5000) != VAULT_OK) {
        m->stop = true;
        m->exit_status = 1;
    }
}

static void tell_ready(struct monitor *m) {
    static struct message ready;
    if (m->ready_sent)
        return;
    m->ready_sent = true;
    message_init(&ready, MSG_ready, 0);
    if (channel_send_wait(m->control, &ready, 5000) != VAULT_OK) {
        m->stop = true;
        m->exit_status = 1;
    }
}

static void forget_keys(struct monitor *m) {
    m->anchors.agreed = false;
    standings_forget(m);
    archive_forget(m);
    log_close(m);
    witnesses_closed(m);
    alarms_forget(m);
    index_close(&m->index);
    keyring_free(&m->keyring);
    secret_free(&m->root);
    seals_forget(m);
    if (seals_start(m) != VAULT_OK) /* what was sealed to the key before is worth nothing from now on */
        log_error("seal: the exchange key could not be renewed");
    m->seal = keyring_exists(&m->place) ? SEAL_SEALED : SEAL_UNINITIALISED;
}

static json_t *warnings_json(struct monitor *m) {
    json_t *list = key_warnings(m);
    opt_outs_warn(m, list);
    reviews_warn(m, list);
    witnesses_warn(m, list);
    return list;
}

static json_t *status_json(struct monitor *m, bool in_full) {
    static const char *const names[] = {"uninitialised", "sealed", "unsealed"};
    json_t *status =
        json_pack("{s:s, s:b, s:s}", "seal", names[m->seal], "dev", m->setup.dev != 0, "version", VAULT_VERSION);
    if (in_full && status != NULL) {
        json_object_set_new(status, "space", json_string(space_name(m)));
        json_object_set_new(status, "memory", json_string(secret_memory_name()));
        json_object_set_new(status, "root", seals_json(m));
    }
    if (!in_full || m->seal != SEAL_UNSEALED)
        return status;
    json_t *policy =
        m->has_policy ? json_pack("{s:s, s:s}", "name", m->policy.name, "hash", m->policy_hash) : json_null();
    char origin[CHECKPOINT_ORIGIN_MAX + 1] = "";
    (void)monitor_origin(m, origin);
    json_t *rest =
        json_pack("{s:s, s:o, s:I, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "origin", origin, "vault",
                  json_hex(m->meta.vault, KEYRING_ID), "epoch", (json_int_t)m->meta.epoch, "generation",
                  (int)m->meta.generation, "records", (json_int_t)m->tree.size, "subjects",
                  (json_int_t)m->meta.subjects, "files", (json_int_t)m->meta.files, "policy", policy, "jobs",
                  json_integer((json_int_t)jobs_open(m)), "index", check_json(m), "restored", restored_json(m));
    if (rest != NULL) {
        json_object_set_new(rest, "failed_authentications", failures_json(m));
        json_object_set_new(rest, "key_age", key_age_json(m));
        json_object_set_new(rest, "escrow", escrows_json(m));
        json_object_set_new(rest, "trust", anchors_json(m));
        json_object_set_new(rest, "diseases", disease_table_json(m));
        json_object_set_new(rest, "opt_outs", json_day(m->meta.opt_outs_of));
        json_object_set_new(rest, "standings", standings_json(m));
        json_object_set_new(rest, "reviews", json_integer((json_int_t)m->meta.reviews));
        json_object_set_new(rest, "audit", audit_json(m));
        json_object_set_new(rest, "alarms", alarms_json(m));
        json_object_set_new(rest, "witnesses", witnesses_json(m));
        json_object_set_new(rest, "warnings", warnings_json(m));
    }
    if (json_object_update(status, rest) != 0) {
        json_decref(status);
        status = NULL;
    }
    json_decref(rest);
    return status;
}

int answer_status(struct request *q) {
    answer_json(q->monitor, q->worker, q->message, 200, NO_SEQ, NULL,
                status_json(q->monitor, is_administrator(&q->asker)));
    return VAULT_OK;
}

/* Every other worker that has a client may have a key. */
static void end_workers(struct monitor *m, const struct worker *asking) {
    for (struct worker *w = m->workers; w != NULL; w = w->next) {
        if (w == asking || w->kind == 0)
            continue;
        w->sealed = true;
        worker_kill(m, w->number, WORKER_SEALED);
    }
}

/* Sealing: recorded first; then every other worker is ended and every key wiped. The answer waits for all of that. */
int answer_seal(struct request *q) {
    struct monitor *m = q->monitor;
    int result = ending_start(m, q->worker->number);
    if (result == VAULT_OK) {
        m->ending->keys = m->ending->workers = true;
        result = grants_end_all(m, "the vault was sealed", q->worker->number);
    }
    for (struct worker *w = m->workers; w != NULL && result == VAULT_OK; w = w->next)
        if (w != q->worker && w->deposits)
            result = uploads_drop_of_worker(m, w->number);
    if (result == VAULT_OK)
        result = backup_abandon(m);
    if (result == VAULT_OK)
        result = denials_sum(m, true);
    if (result == VAULT_OK)
        result = administer(q, "vault.seal", NULL, 'E', NULL, 200, json_pack("{s:s}", "seal", "sealed"));
    if (result != VAULT_OK)
        return result;
    if (batch_finish(m) != VAULT_OK)
        return VAULT_OK; /* answered by the dropped batch */
    end_workers(m, q->worker);
    m->sealed_by_operator = true;
    forget_keys(m);
    endings_keys_wiped(m);
    life_tell_state(m);
    return VAULT_OK;
}

/* Without a word to the supervisor this process is of no use: another one begins again. */
static int want_credential(struct monitor *m, enum credential_use use) {
    static struct message wanted;
    message_init(&wanted, MSG_credential_wanted, 0);
    m->credential_use = use;
    int result = channel_send_wait(m->control, &wanted, 5000);
    if (result != VAULT_OK) {
        m->stop = true;
        m->exit_status = 1;
    }
    return result;
}

/* Shares are for people to bring; whatever is wrong with the ring shows when it is opened. */
static bool needs_shares(struct monitor *m, struct seal *ret) {
    uint8_t vault[KEYRING_ID];
    return keyring_peek(&m->place, ret, vault) == VAULT_OK && ret->kind == SEAL_BY_SHARES;
}

/* Asks for what opens the ring's seal. */
static void want_opening(struct monitor *m, enum credential_use use) {
    struct seal seal;
    uint8_t vault[KEYRING_ID];
    if (keyring_peek(&m->place, &seal, vault) == VAULT_OK && seal.kind == SEAL_BY_TOKEN) {
        m->credential_use = use;
        token_unwrap(m, &seal, vault, use == CREDENTIAL_STARTUP);
    } else {
        (void)want_credential(m, use);
    }
}

void life_open_restored(struct monitor *m) {
    struct seal seal;
    struct worker *w = worker_find(m, m->credential_worker);
    struct message request = {.id = m->credential_id};
    if (!needs_shares(m, &seal)) {
        want_opening(m, CREDENTIAL_UNSEAL);
        return;
    }
    m->credential_use = CREDENTIAL_NONE;
    m->credential_worker = 0;
    if (w != NULL)
        answer_json(m, w, &request, 200, NO_SEQ, NULL, status_json(m, true));
}

void life_start(struct monitor *m) {
    disease_table_read(m);
    struct seal seal;
    m->seal = keyring_exists(&m->place) ? SEAL_SEALED : SEAL_UNINITIALISED;
    m->sealed_by_operator = m->setup.stay_sealed != 0;
    if (m->seal == SEAL_SEALED && !m->sealed_by_operator && !needs_shares(m, &seal)) {
        want_opening(m, CREDENTIAL_STARTUP);
        return;
    }
    life_tell_state(m);
    tell_ready(m);
}

bool life_take_turn(struct request *q, enum credential_use use) {
    struct monitor *m = q->monitor;
    if (m->credential_use != CREDENTIAL_NONE) {
        answer_problem(m, q->worker, q->message, 409, NO_SEQ, NULL, "under-way", "This is under way already.");
        return false;
    }
    m->credential_worker = q->worker->number;
    m->credential_id = q->message->id;
    m->credential_asker = q->asker;
    m->credential_use = use;
    return true;
}

/* Goes on in life_credential, when the supervisor has brought the root key. */
static int begin(struct request *q, enum credential_use use) {
    return life_take_turn(q, use) ? want_credential(q->monitor, use) : VAULT_OK;
}

int life_reseal(struct request *q) {
    return begin(q, CREDENTIAL_RESEAL);
}

static int init_by_shares(struct request *q) {
    const struct msg_init *asked = &q->message->init;
    struct sealing by;
    const char *problem = "";
    if (!sealing_read(asked->shares, asked->threshold, asked->recipients, &by, &problem)) {
        answer_problem(q->monitor, q->worker, q->message, 400, NO_SEQ, NULL, "malformed", problem);
        return VAULT_OK;
    }
    if (life_take_turn(q, CREDENTIAL_INIT))
        life_conclude(q->monitor, CREDENTIAL_INIT, &(struct opening){.by = &by});
    return VAULT_OK;
}

/* By the token, by shares, or by the credential. */
static int init_as_asked(struct request *q) {
    const struct msg_init *asked = &q->message->init;
    bool shares = asked->shares != 0 || asked->threshold != 0 || asked->recipients[0] != '\0';
    bool token = strcmp(asked->by, "token") == 0;
    if (asked->by[0] != '\0' && (!token || shares)) {
        answer_problem(q->monitor, q->worker, q->message, 400, NO_SEQ, NULL, "malformed",
                       "`by` must be 'token', without shares, or absent.");
        return VAULT_OK;
    }
    return token ? token_init(q) : shares ? init_by_shares(q) : begin(q, CREDENTIAL_INIT);
}

int answer_init(struct request *q) {
    if (q->monitor->seal != SEAL_UNINITIALISED || keyring_exists(&q->monitor->place)) {
        answer_problem(q->monitor, q->worker, q->message, 409, NO_SEQ, NULL, "initialised",
                       "The vault has been initialised already.");
        return VAULT_OK;
    }
    if (index_exists()) {
        answer_problem(q->monitor, q->worker, q->message, 409, NO_SEQ, NULL, "index-without-keyring",
                       "There is an index but no key ring: bring back a copy of the key ring, or move the index away.");
        return VAULT_OK;
    }
    return init_as_asked(q);
}

static int unseal_by_shares(struct request *q, const struct seal *seal) {
    CLEANUP_SECRET struct secret *key = NULL;
    struct opening o = {.key = NULL};
    int result = seals_unseal(q, seal, &key, o.detail);
    if (result != VAULT_OK)
        return result == VAULT_AGAIN ? VAULT_OK : result;
    o.key = key;
    if (life_take_turn(q, CREDENTIAL_UNSEAL))
        life_conclude(q->monitor, CREDENTIAL_UNSEAL, &o);
    return VAULT_OK;
}

int answer_unseal(struct request *q) {
    struct seal seal;
    if (q->monitor->seal == SEAL_UNSEALED)
        return answer_status(q);
    if (q->monitor->seal == SEAL_UNINITIALISED) {
        answer_problem(q->monitor, q->worker, q->message, 423, NO_SEQ, NULL, "uninitialised",
                       "The vault has not been initialised.");
        return VAULT_OK;
    }
    if (needs_shares(q->monitor, &seal))
        return unseal_by_shares(q, &seal);
    if (q->message->unseal.share[0] != '\0') {
        answer_problem(q->monitor, q->worker, q->message, 409, NO_SEQ, NULL, "no-shares",
                       "The vault is not sealed by shares.");
        return VAULT_OK;
    }
    if (life_take_turn(q, CREDENTIAL_UNSEAL))
        want_opening(q->monitor, CREDENTIAL_UNSEAL);
    return VAULT_OK;
}

static int take_credential(struct message *credential, struct secret **ret, char problem[200]) {
    if (credential->fd_count != 1) {
        (void)format_string(problem, 200, "%s", credential->credential.problem);
        return VAULT_E_STATE;
    }
    int result = root_key_read(credential->fds[0], ret);
    if (result == VAULT_E_FORMAT)
        copy_string(problem, 200, "The root key is not 32 bytes, 64 hex digits or base64 of 32 bytes.");
    if (result == VAULT_DENIED)
        copy_string(problem, 200, "The root key's file may be read by group or others, or is no regular file.");
    return result;
}

static json_t *birth_json(struct monitor *m, const struct opening *o) {
    char vkey[CHECKPOINT_VKEY_MAX] = "";
    (void)checkpoint_vkey(m->setup.origin, keyring_audit_seed(m->keyring), vkey);
    return json_pack("{s:o, s:s, s:s, s:O?}", "vault", json_hex(m->meta.vault, KEYRING_ID), "origin", m->setup.origin,
                     "vkey", vkey, "containers", o->shares);
}

static void answer_whoever_asked(struct monitor *m, int result, enum credential_use use, const struct opening *o) {
    struct worker *w = worker_find(m, m->credential_worker);
    struct message request = {.id = m->credential_id};
    bool full = result == VAULT_E_FULL;
    if (w == NULL)
        return;
    if (result != VAULT_OK)
        answer_problem(m, w, &request, full ? 507 : 423, NO_SEQ, NULL,
                       full              ? "state-full"
                       : o->rule != NULL ? o->rule
                                         : "stays-sealed",
                       o->problem);
    else if (use == CREDENTIAL_INIT)
        answer_json(m, w, &request, 201, 0, NULL, birth_json(m, o));
    else
        answer_json(m, w, &request, 200, NO_SEQ, NULL, status_json(m, true));
}

/* What may be over a moment later: no space, a disk's error, no memory. */
static bool may_pass(int result) {
    return result == VAULT_E_FULL || result == VAULT_E_IO || result == VAULT_E_MEMORY;
}

/* A start that failed for such a reason is tried again, less and less often. */
static void open_later(struct monitor *m, bool again) {
    enum { FIRST_MS = 1000, LAST_MS = 30000 };
    unsigned delay = m->open_delay == 0 ? FIRST_MS : 2 * m->open_delay;
    m->open_delay = !again ? 0 : delay < LAST_MS ? delay : LAST_MS;
    m->open_again = again ? loop_now_ms() + m->open_delay : 0;
}

int life_tick(struct monitor *m) {
    uint64_t now = loop_now_ms();
    if (m->open_again == 0 || m->seal != SEAL_SEALED || m->credential_use != CREDENTIAL_NONE ||
        m->space.state == SPACE_NONE)
        return -1;
    if (m->open_again > now)
        return (int)(m->open_again - now);
    m->open_again = 0;
    want_opening(m, CREDENTIAL_STARTUP);
    return -1;
}

void life_settle(struct monitor *m, enum credential_use use, int result, struct opening *o) {
    if (result != VAULT_OK) {
        if (o->problem[0] == '\0')
            (void)format_string(o->problem, sizeof(o->problem), "The vault cannot be opened: %s.",
                                vault_result_name(result));
        log_error("vault: stays sealed problem=\"%s\"", o->problem);
        forget_keys(m);
        restore_failed(m, result);
    } else {
        m->sealed_by_operator = false;
        m->backup.placed = false;
        anchors_wake(m);
    }
    open_later(m, may_pass(result) && use == CREDENTIAL_STARTUP);
    if (m->credential_worker != 0)
        answer_whoever_asked(m, result, use, o);
    m->credential_use = CREDENTIAL_NONE;
    m->credential_worker = 0;
    life_tell_state(m);
    tell_ready(m);
}

void life_conclude(struct monitor *m, enum credential_use use, struct opening *o) {
    int result = use == CREDENTIAL_INIT ? vault_make(m, o) : vault_open(m, o);
    life_settle(m, use, result, o);
    json_decref(o->shares);
}

void life_credential(struct monitor *m, struct message *credential) {
    CLEANUP_SECRET struct secret *key = NULL;
    struct opening o = {.key = NULL};
    enum credential_use use = m->credential_use;
    if (use == CREDENTIAL_NONE)
        return;
    int result = take_credential(credential, &key, o.problem);
    o.key = key;
    if (use == CREDENTIAL_RESEAL)
        reseal_by_credential(m, result, key, &o);
    else if (result == VAULT_OK)
        life_conclude(m, use, &o);
    else
        life_settle(m, use, result, &o);
}
