/* Another key for the audit: both keys sign that one follows the other, while both are there; then the old one goes. */
#include <string.h>

#include "ring.h"
#include "vaultd/monitor/log/log.h"
#include "vaultd/monitor/opening/restore.h"
#include "vault/log.h"
#include "vault/result.h"

_Static_assert(VKEY_TEXT == CHECKPOINT_VKEY_MAX - 1 && (int)SIGNATURE_SIZE == (int)KEY_CHANGE_SIGNATURE &&
                   (int)HASH_SIZE == (int)MERKLE_HASH,
               "what is stored of a change is what its record says");

static const uint8_t change_key[] = "audit-key"; /* in DB_META, as long as there is the intent */

int audit_key_vkey(const struct monitor *m, char ret[CHECKPOINT_VKEY_MAX]) {
    char origin[CHECKPOINT_ORIGIN_MAX + 1];
    int result = monitor_origin(m, origin);
    return result == VAULT_OK ? checkpoint_vkey(origin, keyring_audit_seed(m->keyring), ret) : result;
}

/* The log as it is: the change's record will be its next. */
static int log_head(const struct monitor *m, struct checkpoint *ret) {
    *ret = (struct checkpoint){.size = m->tree.size};
    merkle_fold_root(&m->tree, ret->root);
    return monitor_origin(m, ret->origin);
}

static int change_store(struct monitor *m, const struct key_change *c) {
    struct audit_key_value v = {.size = c->size};
    copy_string(v.from, sizeof(v.from), c->from);
    copy_string(v.to, sizeof(v.to), c->to);
    COPY_ARRAY(v.root, c->root);
    COPY_ARRAY(v.from_signature, c->from_signature);
    COPY_ARRAY(v.to_signature, c->to_signature);
    return index_put_record(m->index, DB_META, change_key, sizeof(change_key), &layout_audit_key_value, &v);
}

static int change_load(struct monitor *m, struct key_change *ret) {
    struct audit_key_value v;
    int result = index_get_record(m->index, DB_META, change_key, sizeof(change_key), &layout_audit_key_value, &v);
    if (result != VAULT_OK)
        return result == VAULT_NOT_FOUND ? VAULT_E_DAMAGED : result;
    *ret = (struct key_change){.size = v.size};
    copy_string(ret->from, sizeof(ret->from), v.from);
    copy_string(ret->to, sizeof(ret->to), v.to);
    COPY_ARRAY(ret->root, v.root);
    COPY_ARRAY(ret->from_signature, v.from_signature);
    COPY_ARRAY(ret->to_signature, v.to_signature);
    return VAULT_OK;
}

/* It was signed for the log as it still is, and for the key that the ring has. */
static int is_of_now(const struct monitor *m, const struct key_change *c) {
    char vkey[CHECKPOINT_VKEY_MAX];
    struct checkpoint now;
    int result = log_head(m, &now);
    if (result == VAULT_OK)
        result = audit_key_vkey(m, vkey);
    if (result != VAULT_OK)
        return result;
    bool same = strcmp(vkey, c->to) == 0 && c->size == now.size && memcmp(c->root, now.root, MERKLE_HASH) == 0;
    return same && key_change_verify(c) == VAULT_OK ? VAULT_OK : VAULT_E_DAMAGED;
}

static int record(struct monitor *m, const struct request *by, const struct key_change *c, uint64_t *ret_seq) {
    struct event e = {.name = "key.audit", .outcome = "done", .action = 'U', .audit_key = c, .state = REQUEST_ENDED};
    if (by != NULL) {
        e.asker = &by->asker;
        e.request = by->id;
    } else {
        e.detail = "it was interrupted";
    }
    return journal(m, &e, ret_seq);
}

static int forget_change(struct monitor *m) {
    int result = index_delete(m->index, DB_META, change_key, sizeof(change_key));
    return result == VAULT_OK || result == VAULT_NOT_FOUND ? ring_follow(m) : result;
}

static int follow(struct monitor *m, const struct request *by, struct key_change *ret, uint64_t *ret_seq) {
    int result = change_load(m, ret);
    if (result == VAULT_OK)
        result = is_of_now(m, ret);
    if (result == VAULT_OK)
        result = record(m, by, ret, ret_seq);
    return result == VAULT_OK ? forget_change(m) : result;
}

/* The old key is gone, and can sign nothing anew: the vault serves on under the new one, which is given by hand. */
static int record_loss(struct monitor *m) {
    struct event e = {.name = "key.rotated", .outcome = "failed", .action = 'U'};
    e.detail = "audit: what the key before signed is damaged, and leads nobody to the new one";
    log_error("audit: the key was changed, and what the key before signed of it is damaged");
    int result = journal(m, &e, NULL);
    return result == VAULT_OK ? forget_change(m) : result;
}

int audit_key_recovered(struct monitor *m) {
    struct key_change c;
    uint64_t seq = 0;
    int result = follow(m, NULL, &c, &seq);
    return result == VAULT_E_DAMAGED ? record_loss(m) : result;
}

int audit_key_change(struct monitor *m, const struct request *by, struct key_change *ret, uint64_t *ret_seq) {
    CLEANUP_SECRET struct secret *seed = NULL;
    struct checkpoint before;
    struct key_change c;
    int result = log_head(m, &before);
    if (result == VAULT_OK)
        result = secret_random(&seed, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = key_change_make(&before, keyring_audit_seed(m->keyring), seed, &c);
    if (result == VAULT_OK)
        result = change_store(m, &c);
    if (result == VAULT_OK)
        result = ring_change(m, &(struct ring_change){.intent = INTENT_AUDIT_KEY, .seed = &seed});
    return result == VAULT_OK ? follow(m, by, ret, ret_seq) : result;
}
