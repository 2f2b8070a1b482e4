/* Seals by shares: making them, showing them, and taking a new seal into use. A share crosses processes only inside a
 * Crypt4GH container: to a custodian's key on its way out, to the monitor's exchange key on its way in. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "opening.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/table.h"
#include "vault/crypt4gh.h"
#include "vault/log.h"
#include "vault/result.h"

enum { BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

/* ---- the exchange key ---- */

int seals_start(struct monitor *m) {
    struct secret *key = NULL;
    int result = secret_random(&key, SECRET_KEY_SIZE);
    if (result != VAULT_OK)
        return result;
    secret_free(&m->exchange);
    m->exchange = secret_move(&key);
    return crypto_scalarmult_base(m->exchange_public, secret_view(m->exchange)) == 0 ? VAULT_OK : VAULT_E_CRYPTO;
}

/* ---- shares that are shown ---- */

static void gathering_clear(struct gathering *g) {
    for (unsigned i = 0; i < g->count; i++)
        share_clear(&g->shares[i]);
    g->count = 0;
}

static void proposal_clear(struct monitor *m) {
    gathering_clear(&m->proposal.shown);
    secret_free(&m->proposal.root);
    m->proposal.seal.kind = SEAL_BY_NOTHING;
}

void seals_forget(struct monitor *m) {
    gathering_clear(&m->shown);
    proposal_clear(m);
}

/* Why a share was not taken. */
struct share_problem {
    unsigned status;
    const char *rule;
    char text[200];
};

static bool reject(struct share_problem *ret, unsigned status, const char *rule, const char *text) {
    ret->status = status;
    ret->rule = rule;
    copy_string(ret->text, sizeof(ret->text), text);
    return false;
}

/* Nothing is said of the share. */
static bool reject_without_memory(struct share_problem *ret) {
    return reject(ret, 503, "internal", "The vault could not complete the request; the share may be good.");
}

/* The share in a container that only this process can open. */
static bool open_share(struct monitor *m, const char *text, struct share *ret, struct share_problem *problem) {
    CLEANUP_SECRET struct secret *content = NULL;
    uint8_t container[CRYPT4GH_SMALL_MAX];
    size_t n = 0;
    bool decoded = sodium_base642bin(container, sizeof(container), text, strlen(text), NULL, &n, NULL, BASE64) == 0;
    int result = decoded ? crypt4gh_open(container, n, m->exchange, &content, NULL) : VAULT_E_FORMAT;
    if (result == VAULT_E_MEMORY)
        return reject_without_memory(problem);
    if (result != VAULT_OK)
        return reject(problem, 400, "share-unreadable",
                      "The share is not sealed to the exchange key that `status` shows now.");
    result = share_read(secret_view(content), secret_size(content), ret);
    if (result == VAULT_E_MEMORY)
        return reject_without_memory(problem);
    if (result == VAULT_E_DAMAGED)
        return reject(problem, 400, "share-mistyped", "The share's check value differs: it is mistyped.");
    return result == VAULT_OK || reject(problem, 400, "share-malformed", "What was given is not the text of a share.");
}

static bool is_repeated(const struct gathering *g, const struct share *s) {
    for (unsigned i = 0; i < g->count; i++)
        if (g->shares[i].number == s->number)
            return true;
    return false;
}

/* Whether an opened share counts for this ceremony. */
static bool check_share(const struct ceremony *c, const struct gathering *g, const struct share *s,
                        struct share_problem *problem) {
    char id[2 * CEREMONY_ID + 1];
    int result = share_check(c, s);
    if (result == VAULT_OK && !is_repeated(g, s))
        return true;
    if (result == VAULT_E_MEMORY)
        return reject_without_memory(problem);
    problem->status = 409;
    problem->rule = result == VAULT_OK ? "share-repeated" : result == VAULT_NOT_FOUND ? "share-foreign" : "share-wrong";
    hex_encode(id, sizeof(id), s->ceremony, CEREMONY_ID);
    if (result == VAULT_OK)
        (void)format_string(problem->text, sizeof(problem->text), "Share %u was given before.", s->number);
    else if (result == VAULT_NOT_FOUND)
        (void)format_string(problem->text, sizeof(problem->text), "Share %u is of another ceremony, %s.", s->number,
                            id);
    else
        (void)format_string(problem->text, sizeof(problem->text),
                            "Share %u is not the one that the ceremony made under this number.", s->number);
    return false;
}

static bool take_share(struct monitor *m, const char *text, const struct ceremony *c, struct gathering *g,
                       struct share_problem *problem) {
    struct share s = {.value = NULL};
    if (!open_share(m, text, &s, problem))
        return false;
    if (!check_share(c, g, &s, problem)) {
        share_clear(&s);
        return false;
    }
    g->shares[g->count++] = s;
    return true;
}

/* The key of as many shares as are needed, which are forgotten. */
static int gathered_key(const struct ceremony *c, struct gathering *g, struct secret **ret) {
    const struct share *given[SHARES_MAX];
    for (unsigned i = 0; i < g->count; i++)
        given[i] = &g->shares[i];
    int result = shares_combine(c, given, ret);
    gathering_clear(g);
    return result;
}

/* ---- what is told ---- */

static json_t *ceremony_json(const struct ceremony *c, const struct gathering *g) {
    json_t *shown = json_array();
    for (unsigned i = 0; i < g->count; i++)
        json_array_append_new(shown, json_integer(g->shares[i].number));
    return json_pack("{s:s, s:o, s:i, s:i, s:o}", "by", "shares", "ceremony", json_hex(c->id, CEREMONY_ID), "shares",
                     c->count, "threshold", c->threshold, "shown", shown);
}

static json_t *in_force_json(const struct seal *seal, const struct gathering *shown) {
    switch (seal->kind) {
    case SEAL_BY_SHARES: return ceremony_json(&seal->ceremony, shown);
    case SEAL_BY_TOKEN: return json_pack("{s:s, s:o}", "by", "token", "key", json_hex(seal->token_key, SEAL_TOKEN_KEY));
    default: return json_pack("{s:s}", "by", "credential");
    }
}

json_t *seals_json(struct monitor *m) {
    struct seal seal = {.kind = SEAL_BY_NOTHING};
    uint8_t vault[KEYRING_ID];
    if (m->keyring != NULL)
        seal = *keyring_seal(m->keyring);
    else if (keyring_peek(&m->place, &seal, vault) != VAULT_OK)
        return json_null();
    json_t *told = in_force_json(&seal, &m->shown);
    json_object_set_new(told, "exchange", json_base64(m->exchange_public, CRYPT4GH_KEY));
    if (m->proposal.seal.kind != SEAL_BY_NOTHING)
        json_object_set_new(told, "proposed", ceremony_json(&m->proposal.seal.ceremony, &m->proposal.shown));
    return told;
}

/* ---- making shares ---- */

/* X25519 with a point of small order gives zero whatever the other key is: nothing can be sealed to it. */
static bool can_be_sealed_to(const uint8_t key[CRYPT4GH_KEY]) {
    static const uint8_t any[crypto_scalarmult_SCALARBYTES] = {1};
    uint8_t shared[crypto_scalarmult_BYTES];
    return crypto_scalarmult(shared, any, key) == 0;
}

/* One key for each share, and nothing behind them. */
static bool read_recipients(const char *at, struct sealing *s) {
    for (unsigned i = 0; i < s->shares; i++) {
        size_t n = 0;
        at += i > 0 && *at == ',' ? 1 : 0;
        if (sodium_base642bin(s->recipients[i], CRYPT4GH_KEY, at, strcspn(at, ","), NULL, &n, &at, BASE64) != 0 ||
            n != CRYPT4GH_KEY || !can_be_sealed_to(s->recipients[i]))
            return false;
    }
    return *at == '\0';
}

bool sealing_read(unsigned shares, unsigned threshold, const char *recipients, struct sealing *ret,
                  const char **ret_problem) {
    struct sealing s = {.shares = shares, .threshold = threshold};
    if (!shares_in_range(shares, threshold)) {
        *ret_problem = "There are 2 to 32 shares, and the threshold is 2 or more and no more than there are shares.";
        return false;
    }
    if (!read_recipients(recipients, &s)) {
        *ret_problem = "`recipients` must be one X25519 public key for each share, in base64url without padding.";
        return false;
    }
    *ret = s;
    return true;
}

static int append_container(const struct share *share, const uint8_t recipient[CRYPT4GH_KEY], json_t *list) {
    CLEANUP_SECRET struct secret *text = NULL;
    uint8_t container[CRYPT4GH_SMALL_MAX];
    size_t n = 0;
    int result = share_write(share, &text);
    if (result == VAULT_OK)
        result = crypt4gh_seal(recipient, text, container, &n);
    if (result != VAULT_OK)
        return result;
    json_array_append_new(list,
                          json_pack("{s:i, s:o, s:o}", "number", share->number, "recipient",
                                    json_base64(recipient, CRYPT4GH_KEY), "container", json_base64(container, n)));
    return VAULT_OK;
}

int seals_make(const struct sealing *by, const struct secret *root, struct seal *ret, json_t **ret_shares) {
    struct share shares[SHARES_MAX] = {{.value = NULL}};
    struct seal seal;
    json_t *list = json_array();
    int result = seal_by_shares(by->shares, by->threshold, root, &seal, shares);
    for (unsigned i = 0; i < by->shares && result == VAULT_OK; i++)
        result = append_container(&shares[i], by->recipients[i], list);
    for (unsigned i = 0; i < SHARES_MAX; i++)
        share_clear(&shares[i]);
    if (result != VAULT_OK) {
        json_decref(list);
        return result;
    }
    *ret = seal;
    *ret_shares = list;
    return VAULT_OK;
}

/* ---- opening the vault ---- */

/* Which shares were shown, for the record. */
static void name_shown(const struct ceremony *c, const struct gathering *g, char *to, size_t size) {
    char id[2 * CEREMONY_ID + 1];
    hex_encode(id, sizeof(id), c->id, CEREMONY_ID);
    (void)format_string(to, size, "ceremony %s, shares", id);
    for (unsigned i = 0; i < g->count; i++) {
        size_t used = strlen(to);
        (void)format_string(to + used, size - used, " %u", g->shares[i].number);
    }
}

int seals_unseal(struct request *q, const struct seal *seal, struct secret **ret_key, char ret_detail[OPENING_DETAIL]) {
    struct monitor *m = q->monitor;
    struct share_problem problem = {0};
    const char *text = q->message->unseal.share;
    if (text[0] == '\0')
        (void)reject(&problem, 423, "share-missing", "The vault opens with shares, and none was given.");
    if (text[0] == '\0' || !take_share(m, text, &seal->ceremony, &m->shown, &problem)) {
        log_warning("unseal: a share was not taken rule=%s", problem.rule);
        answer_problem(m, q->worker, q->message, problem.status, NO_SEQ, NULL, problem.rule, problem.text);
        return VAULT_AGAIN;
    }
    log_notice("unseal: a share was given shown=%u threshold=%u", m->shown.count, seal->ceremony.threshold);
    if (m->shown.count < seal->ceremony.threshold)
        return answer_status(q) == VAULT_OK ? VAULT_AGAIN : VAULT_E_STATE;
    name_shown(&seal->ceremony, &m->shown, ret_detail, OPENING_DETAIL);
    return gathered_key(&seal->ceremony, &m->shown, ret_key);
}

/* ---- drill ---- */

int answer_seal_drill(struct request *q) {
    struct monitor *m = q->monitor;
    const struct seal *seal = keyring_seal(m->keyring);
    struct share_problem problem;
    CLEANUP_SECRET struct secret *key = NULL;
    if (seal->kind != SEAL_BY_SHARES)
        return refuse(q, "seal.drill", NULL, 409, "no-shares", "The vault is not sealed by shares.");
    if (!take_share(m, q->message->seal_drill.share, &seal->ceremony, &m->shown, &problem))
        return refuse(q, "seal.drill", NULL, problem.status, problem.rule, problem.text);
    if (m->shown.count < seal->ceremony.threshold)
        return administer(q, "seal.drill", NULL, 'E', "a share was shown", 200, seals_json(m));
    int result = gathered_key(&seal->ceremony, &m->shown, &key);
    if (result != VAULT_OK)
        return result;
    if (!seal_fits(seal, key))
        return refuse(q, "seal.drill", NULL, 500, "shares-do-not-open", "The shares do not open the seal.");
    return administer(q, "seal.drill", NULL, 'E', "the shares open the seal", 200,
                      json_pack("{s:s, s:i}", "drill", "passed", "threshold", seal->ceremony.threshold));
}

/* ---- another seal ---- */

static int describe(const struct ceremony *c, char ret[100]) {
    char id[2 * CEREMONY_ID + 1];
    hex_encode(id, sizeof(id), c->id, CEREMONY_ID);
    return format_string(ret, 100, "%u shares, threshold %u, ceremony %s", c->count, c->threshold, id) ? VAULT_OK
                                                                                                       : VAULT_E_STATE;
}

static int propose(struct request *q) {
    struct monitor *m = q->monitor;
    const struct msg_seal_change *asked = &q->message->seal_change;
    struct sealing by;
    const char *problem = "";
    char detail[100];
    json_t *shares = NULL;
    if (!sealing_read(asked->shares, asked->threshold, asked->recipients, &by, &problem))
        return refuse(q, "seal.propose", NULL, 400, "malformed", problem);
    proposal_clear(m);
    int result = secret_random(&m->proposal.root, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = seals_make(&by, m->proposal.root, &m->proposal.seal, &shares);
    if (result == VAULT_OK)
        result = describe(&m->proposal.seal.ceremony, detail);
    if (result != VAULT_OK) {
        json_decref(shares);
        return result;
    }
    json_t *answer = ceremony_json(&m->proposal.seal.ceremony, &m->proposal.shown);
    json_object_set_new(answer, "containers", shares);
    return administer(q, "seal.propose", NULL, 'C', detail, 202, answer);
}

int answer_seal_change(struct request *q) {
    struct monitor *m = q->monitor;
    const char *by = q->message->seal_change.by;
    if (!space_for_ring(m))
        return refuse(q, "seal.propose", NULL, 507, "keyring-full", "There is no space for a copy of the key ring.");
    if (strcmp(by, "shares") == 0)
        return propose(q);
    if (strcmp(by, "credential") == 0)
        return life_reseal(q);
    if (strcmp(by, "token") == 0)
        return token_reseal(q);
    return refuse(q, "seal.propose", NULL, 400, "malformed", "`by` must be 'shares', 'credential' or 'token'.");
}

int answer_seal_confirm(struct request *q) {
    struct monitor *m = q->monitor;
    struct proposal *p = &m->proposal;
    struct share_problem problem;
    CLEANUP_SECRET struct secret *key = NULL;
    char detail[100];
    if (p->seal.kind == SEAL_BY_NOTHING)
        return refuse(q, "seal.confirm", NULL, 409, "nothing-proposed", "No new seal is proposed.");
    if (m->credential_use != CREDENTIAL_NONE)
        return refuse(q, "seal.confirm", NULL, 409, "under-way", "Another change of the seal is under way.");
    if (!space_for_ring(m)) /* it may be days since it was proposed */
        return refuse(q, "seal.confirm", NULL, 507, "keyring-full", "There is no space for a copy of the key ring.");
    if (!take_share(m, q->message->seal_confirm.share, &p->seal.ceremony, &p->shown, &problem))
        return refuse(q, "seal.confirm", NULL, problem.status, problem.rule, problem.text);
    if (p->shown.count < p->seal.ceremony.threshold)
        return administer(q, "seal.confirm", NULL, 'E', "a share was shown", 200, seals_json(m));
    int result = gathered_key(&p->seal.ceremony, &p->shown, &key);
    if (result == VAULT_OK && !seal_fits(&p->seal, key))
        return refuse(q, "seal.confirm", NULL, 500, "shares-do-not-open", "The shares do not open the new seal.");
    if (result == VAULT_OK)
        result = describe(&p->seal.ceremony, detail);
    if (result == VAULT_OK)
        result = ring_reseal(m, &p->seal, &p->root);
    if (result != VAULT_OK)
        return result;
    proposal_clear(m);
    gathering_clear(&m->shown);
    return administer(q, "seal.change", NULL, 'U', detail, 200, seals_json(m));
}

int answer_seal_cancel(struct request *q) {
    if (q->monitor->proposal.seal.kind == SEAL_BY_NOTHING)
        return refuse(q, "seal.cancel", NULL, 409, "nothing-proposed", "No new seal is proposed.");
    proposal_clear(q->monitor);
    return administer(q, "seal.cancel", NULL, 'D', NULL, 200, seals_json(q->monitor));
}
