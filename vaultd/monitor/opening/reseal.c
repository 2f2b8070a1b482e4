/* Another seal around a new root key, once the credential or the token has come for it. */
#include "opening.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/keys/ring.h"
#include "vault/result.h"

static int change_seal(struct monitor *m, const struct seal *seal, struct secret **root, const char *detail) {
    int result = batch_begin(m);
    if (result == VAULT_OK)
        result = ring_reseal(m, seal, root);
    if (result == VAULT_OK)
        result = life_record(m, "seal.change", detail);
    seals_forget(m);
    return result;
}

/* Nothing was changed, and that is recorded. */
static void refuse_reseal(struct monitor *m, struct worker *w, const struct message *request, const struct opening *o) {
    const char *rule = o->rule != NULL ? o->rule : "not-sealed-anew";
    const char *text = o->problem[0] != '\0' ? o->problem : "The seal was not changed.";
    struct event e = {.name = "seal.change", .outcome = "failed", .asker = &m->credential_asker, .action = 'U'};
    uint64_t seq = NO_SEQ;
    e.rule = rule;
    e.text = text;
    int result = m->space.state == SPACE_NONE ? VAULT_E_FULL : batch_begin(m);
    if (result == VAULT_OK)
        result = journal(m, &e, &seq);
    if (w != NULL)
        answer_problem(m, w, request, 503, seq, NULL, rule, text);
    if (result != VAULT_OK && index_writing(m->index))
        batch_drop(m, result);
}

static void answer_reseal(struct monitor *m, int result, struct worker *w, const struct message *request,
                          const struct opening *o, bool retired) {
    if (m->seal != SEAL_UNSEALED) {
        if (w != NULL)
            answer_problem(m, w, request, 423, NO_SEQ, NULL, "sealed", "The vault was sealed meanwhile.");
    } else if (result != VAULT_OK) {
        refuse_reseal(m, w, request, o);
    } else if (w != NULL) {
        answer_json(m, w, request, 200, NO_SEQ, NULL, ring_changed_json(m, retired));
    }
}

void reseal_with(struct monitor *m, int result, const struct seal *seal, struct secret **root, struct opening *o) {
    struct worker *w = worker_find(m, m->credential_worker);
    struct message request = {.id = m->credential_id};
    bool begun = result == VAULT_OK && m->seal == SEAL_UNSEALED;
    if (begun)
        result = change_seal(m, seal, root, o->detail);
    m->credential_use = CREDENTIAL_NONE;
    m->credential_worker = 0;
    bool retired = m->retiring;
    m->retiring = false;
    if (begun && result != VAULT_OK && m->index != NULL && index_writing(m->index))
        batch_drop(m, result);
    if (!m->stop) /* else the next start knows whether it was changed */
        answer_reseal(m, result, w, &request, o, retired);
}

void reseal_by_credential(struct monitor *m, int result, const struct secret *credential, struct opening *o) {
    CLEANUP_SECRET struct secret *root = NULL;
    struct seal seal = {.kind = SEAL_BY_NOTHING};
    if (result == VAULT_OK && m->seal == SEAL_UNSEALED)
        result = secret_random(&root, SECRET_KEY_SIZE);
    if (result == VAULT_OK && m->seal == SEAL_UNSEALED)
        result = seal_by_credential(credential, keyring_vault_id(m->keyring), root, &seal);
    copy_string(o->detail, sizeof(o->detail), "by the credential");
    reseal_with(m, result, &seal, &root, o);
}
