/* The seal by a token: opened at a start and by `unseal`, made by `init` and by a change of the seal; and the sweep
 * that destroys keys in the token which nothing needs any more. */
#include <string.h>

#include "opening.h"
#include "vaultd/monitor/log/log.h"
#include "vault/log.h"
#include "vault/result.h"

/* ---- asking ---- */

void token_unwrap(struct monitor *m, const struct seal *seal, const uint8_t vault[KEYRING_ID], bool by_itself) {
    struct errand e = {.kind = ERRAND_UNWRAP, .seal = *seal, .by_itself = by_itself};
    copy_bytes(e.vault, sizeof(e.vault), vault, KEYRING_ID);
    errand_run(m, &e);
}

static int wrap_new_root(struct monitor *m, const uint8_t vault[KEYRING_ID]) {
    struct errand e = {.kind = ERRAND_WRAP};
    copy_bytes(e.vault, sizeof(e.vault), vault, KEYRING_ID);
    int result = secret_random(&e.root, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        errand_run(m, &e);
    return result;
}

/* The ring is made first: its id is a part of the key's. */
int token_init(struct request *q) {
    struct monitor *m = q->monitor;
    if (!life_take_turn(q, CREDENTIAL_INIT))
        return VAULT_OK;
    int result = keyring_new(m->setup.dev != 0, &m->errands.unborn);
    if (result == VAULT_OK)
        result = wrap_new_root(m, keyring_vault_id(m->errands.unborn));
    if (result != VAULT_OK) {
        keyring_free(&m->errands.unborn);
        life_settle(m, CREDENTIAL_INIT, result, &(struct opening){.key = NULL});
    }
    return VAULT_OK;
}

int token_reseal(struct request *q) {
    struct monitor *m = q->monitor;
    if (!life_take_turn(q, CREDENTIAL_RESEAL))
        return VAULT_OK;
    int result = wrap_new_root(m, keyring_vault_id(m->keyring));
    if (result != VAULT_OK)
        reseal_with(m, result, NULL, NULL, &(struct opening){.key = NULL});
    return VAULT_OK;
}

/* ---- sweeping ---- */

void token_sweep_later(struct monitor *m) {
    m->errands.sweep = true;
}

static void sweep(struct monitor *m, const uint8_t vault[KEYRING_ID], const struct seal *in_force) {
    struct errand e = {.kind = ERRAND_SWEEP, .by_itself = true};
    copy_bytes(e.vault, sizeof(e.vault), vault, KEYRING_ID);
    if (in_force != NULL && in_force->kind == SEAL_BY_TOKEN)
        e.seal = *in_force;
    errand_run(m, &e);
}

/* Only what ring and index agree on, durably, tells which key is in force. */
void token_tick(struct monitor *m) {
    if (!m->errands.sweep || m->errands.now.kind != ERRAND_NONE || m->stop || m->seal != SEAL_UNSEALED ||
        index_writing(m->index) || m->meta.intent != INTENT_NONE || keyring_epoch(m->keyring) != m->meta.epoch)
        return;
    m->errands.sweep = false;
    sweep(m, keyring_vault_id(m->keyring), keyring_seal(m->keyring));
}

static int record_sweep(struct monitor *m, const struct errand_end *end) {
    char detail[64];
    struct event e = {.name = "token.sweep", .action = 'D', .rule = end->rule, .text = end->problem};
    e.outcome = end->rule != NULL ? "failed" : "done";
    if (end->rule == NULL && format_string(detail, sizeof(detail), "keys destroyed: %u", end->destroyed))
        e.detail = detail;
    int result = batch_begin(m);
    return result == VAULT_OK ? journal(m, &e, NULL) : result;
}

/* A sweep that failed is tried again after the next unseal or change of the seal. */
static void conclude_sweep(struct monitor *m, const struct errand_end *end) {
    if (end->rule != NULL)
        log_error("token: keys that are not needed any more may be left in it");
    else if (end->destroyed > 0)
        log_notice("token: keys that were not needed any more are destroyed count=%u", end->destroyed);
    bool tells = end->rule != NULL || end->destroyed > 0;
    if (!tells || m->seal != SEAL_UNSEALED || m->space.state == SPACE_NONE)
        return;
    int result = record_sweep(m, end);
    if (result != VAULT_OK)
        batch_drop(m, result);
}

/* ---- what has come of it ---- */

static struct opening opening_of(const struct errand_end *end) {
    struct opening o = {.rule = end->rule};
    copy_string(o.problem, sizeof(o.problem), end->problem);
    return o;
}

static void name_key(const struct seal *seal, char ret[OPENING_DETAIL]) {
    char key[2 * SEAL_TOKEN_KEY + 1];
    hex_encode(key, sizeof(key), seal->token_key, SEAL_TOKEN_KEY);
    (void)format_string(ret, OPENING_DETAIL, "by the token, key %s", key);
}

static void conclude_unwrap(struct monitor *m, struct errand *e, const struct errand_end *end) {
    struct opening o = opening_of(end);
    o.root = secret_move(&e->root);
    name_key(&e->seal, o.detail);
    if (m->credential_use != CREDENTIAL_STARTUP && m->credential_use != CREDENTIAL_UNSEAL)
        log_error("token: an answer that nobody waits for");
    else if (end->rule != NULL)
        life_settle(m, m->credential_use, VAULT_E_STATE, &o);
    else
        life_conclude(m, m->credential_use, &o);
    secret_free(&o.root);
}

static void conclude_init(struct monitor *m, struct errand *e, const struct errand_end *end) {
    struct opening o = opening_of(end);
    if (end->rule != NULL) {
        life_settle(m, CREDENTIAL_INIT, VAULT_E_STATE, &o);
        keyring_free(&m->errands.unborn);
        return;
    }
    o.unborn = m->errands.unborn;
    m->errands.unborn = NULL;
    o.root = secret_move(&e->root);
    o.seal = &e->seal;
    life_conclude(m, CREDENTIAL_INIT, &o);
    if (m->seal == SEAL_UNINITIALISED) /* nothing was born, and this key is for nothing */
        sweep(m, e->vault, NULL);
}

static void conclude_reseal(struct monitor *m, struct errand *e, const struct errand_end *end) {
    struct opening o = opening_of(end);
    name_key(&e->seal, o.detail);
    if (end->rule == NULL)
        token_sweep_later(m); /* one of two keys is for nothing from now on, whichever it is */
    reseal_with(m, end->rule != NULL ? VAULT_E_STATE : VAULT_OK, &e->seal, &e->root, &o);
}

void token_conclude(struct monitor *m, struct errand *e, const struct errand_end *end) {
    switch (e->kind) {
    case ERRAND_UNWRAP: conclude_unwrap(m, e, end); break;
    case ERRAND_SWEEP: conclude_sweep(m, end); break;
    case ERRAND_WRAP:
        if (m->credential_use == CREDENTIAL_INIT)
            conclude_init(m, e, end);
        else
            conclude_reseal(m, e, end);
        break;
    case ERRAND_NONE: break;
    }
}
