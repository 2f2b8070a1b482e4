/* Making a vault, and opening one that is there. */
#include <string.h>
#include <unistd.h>

#include "opening.h"
#include "restore.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/care/cleaning.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/registers/disease_table.h"
#include "vaultd/monitor/registers/standings.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/log.h"
#include "vault/result.h"

int life_record(struct monitor *m, const char *event, const char *detail) {
    struct event e = {.name = event, .outcome = "done", .action = 'E', .detail = detail};
    if (m->credential_worker != 0)
        e.asker = &m->credential_asker;
    return journal(m, &e, NULL);
}

static int first_transaction(struct monitor *m) {
    m->last_time = 0;
    m->services_change++;
    m->meta = (struct meta_value){.format = INDEX_FORMAT,
                                  .epoch = keyring_epoch(m->keyring),
                                  .dev = m->setup.dev,
                                  .generation = keyring_newest(m->keyring),
                                  .name_key = keyring_name_generation(m->keyring),
                                  .sealed = monitor_time(m)};
    COPY_ARRAY(m->meta.vault, keyring_vault_id(m->keyring));
    m->tree = (struct merkle_fold){0};
    m->has_policy = m->policy_damaged = false;
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = log_open(m);
    if (result == VAULT_OK)
        result = meta_store(m);
    if (result == VAULT_OK)
        result = life_record(m, "vault.init", m->setup.dev != 0 ? "throw-away vault" : NULL);
    if (result == VAULT_OK)
        result = disease_table_record(m);
    return result == VAULT_OK ? batch_finish(m) : result;
}

/* A birth that failed leaves nothing: what it made holds no data yet, and the next init can begin anew. */
static void undo_birth(struct monitor *m) {
    log_close(m);
    index_close(&m->index);
    (void)unlinkat(m->place.directory, m->place.name, 0);
    (void)unlinkat(m->place.twin_directory, m->place.twin_name, 0);
    (void)unlinkat(m->place.directory, "index/data.mdb", 0);
    (void)unlinkat(m->place.directory, "index/lock.mdb", 0);
}

/* A ring and a root key that the token has sealed. */
static int take_born(struct monitor *m, struct opening *o) {
    m->keyring = o->unborn;
    o->unborn = NULL;
    m->root = secret_move(&o->root);
    return keyring_set_seal(m->keyring, o->seal);
}

/* A fresh ring and root key, sealed as was asked for. */
static int make_ring(struct monitor *m, struct opening *o) {
    struct seal seal;
    if (o->seal != NULL)
        return take_born(m, o);
    int result = keyring_new(m->setup.dev != 0, &m->keyring);
    if (result == VAULT_OK)
        result = secret_random(&m->root, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    result = o->by != NULL ? seals_make(o->by, m->root, &seal, &o->shares)
                           : seal_by_credential(o->key, keyring_vault_id(m->keyring), m->root, &seal);
    return result == VAULT_OK ? keyring_set_seal(m->keyring, &seal) : result;
}

/* The ring is durable before the index says that there is a vault. */
int vault_make(struct monitor *m, struct opening *o) {
    int result = make_ring(m, o);
    if (result == VAULT_OK)
        result = keyring_store(m->keyring, &m->place, m->root);
    if (result == VAULT_OK) {
        struct index_keys keys = ring_index_keys(m);
        result = index_open(&keys, m->setup.map_size, true, &m->index);
    }
    if (result == VAULT_OK) {
        m->seal = SEAL_UNSEALED;
        result = first_transaction(m);
    }
    if (result != VAULT_OK)
        undo_birth(m);
    if (result == VAULT_OK) {
        standings_start(m);
        witnesses_opened(m);
    }
    return result;
}

static const char index_is_foreign[] = "The index does not open with this key ring: it is damaged, it is a copy from "
                                       "before another index key, or the ring is "
                                       "of another vault.";

/* Everything that a crash left half done is settled before the first request. */
static int recover(struct monitor *m, struct opening *o) {
    char *problem = o->problem;
    int result = monitor_reload(m);
    if (result == VAULT_NOT_FOUND)
        copy_string(problem, 200,
                    "The init was interrupted: remove the key ring, its twin and the index, and init again.");
    if (result == VAULT_E_DAMAGED)
        copy_string(problem, 200, index_is_foreign);
    if (result == VAULT_OK)
        result = batch_begin(m);
    if (result == VAULT_OK)
        result = m->meta.copy != 0 ? restore_settle(m, problem) : ring_agree(m, problem);
    if (result == VAULT_OK)
        result = grants_recover(m);
    if (result == VAULT_OK)
        result = uploads_recover(m);
    if (result == VAULT_OK)
        result = life_record(m, "vault.unseal", o->detail);
    if (result == VAULT_OK)
        result = disease_table_record(m);
    if (result != VAULT_OK)
        return result;
    m->seal = SEAL_UNSEALED;
    m->removal_wanted = true;
    m->failures = (struct failures){.wanted = true};
    m->check = CHECK_WAITING;
    m->archive_sweep = true;
    standings_start(m);
    witnesses_opened(m);
    if (m->setup.token != 0)
        token_sweep_later(m); /* what a crash in the middle of a change left in it */
    return batch_finish(m);
}

static void explain_ring(int result, char problem[200]) {
    if (result == VAULT_DENIED)
        copy_string(problem, 200, "The key ring is not sealed under this root key.");
    if (result == VAULT_E_DAMAGED)
        copy_string(problem, 200, "Both copies of the key ring are damaged.");
    if (result == VAULT_E_STATE)
        copy_string(problem, 200, "The two copies of the key ring belong to different vaults.");
    if (result == VAULT_E_FULL)
        copy_string(problem, 200, "A copy of the key ring must be written, and its disk is full.");
}

/* The token has opened its own seal already. */
static int open_seal(struct monitor *m, struct opening *o, const struct seal *seal, const uint8_t vault[KEYRING_ID]) {
    if (o->root == NULL)
        return seal_open(seal, o->key, vault, &m->root);
    m->root = secret_move(&o->root);
    return VAULT_OK;
}

static int open_ring(struct monitor *m, struct opening *o) {
    struct seal seal;
    uint8_t vault[KEYRING_ID];
    bool repaired = false;
    int result = keyring_peek(&m->place, &seal, vault);
    if (result == VAULT_OK)
        result = open_seal(m, o, &seal, vault);
    if (result == VAULT_OK)
        result = keyring_load(&m->place, m->root, &m->keyring, &repaired);
    if (repaired)
        log_warning("keyring: one copy was missing, old or damaged, and was written again");
    explain_ring(result, o->problem);
    return result;
}

int vault_open(struct monitor *m, struct opening *o) {
    int result = open_ring(m, o);
    if (result != VAULT_OK)
        return result;
    struct index_keys keys = ring_index_keys(m);
    result = index_open(&keys, m->setup.map_size, false, &m->index);
    if (result == VAULT_NOT_FOUND) {
        copy_string(o->problem, sizeof(o->problem),
                    "There is a key ring but no index: bring back the index, or move the key ring away.");
        return VAULT_E_FORMAT;
    }
    if (result == VAULT_E_DAMAGED)
        copy_string(o->problem, sizeof(o->problem), index_is_foreign);
    if (result == VAULT_OK)
        result = recover(m, o);
    if (result == VAULT_E_FULL)
        copy_string(o->problem, sizeof(o->problem), "The state directory is full.");
    return result;
}
