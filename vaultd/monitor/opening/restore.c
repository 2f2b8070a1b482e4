/* Restoring, and finding out that an index was put back in time. What was withdrawn, shredded or revoked after the
 * backup is in force again in what it brings back; so that nobody takes it for the vault of before, its log goes on
 * under another name, and content is for nobody until a custodian has stated that it was all done again. */
#include "restore.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/keys/escrow.h"
#include "vaultd/monitor/keys/ring.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/checkpoint.h"
#include "vault/log.h"
#include "vault/result.h"

int monitor_origin(const struct monitor *m, char ret[CHECKPOINT_ORIGIN_MAX + 1]) {
    return checkpoint_origin(m->setup.origin, m->meta.origin, ret);
}

json_t *restored_json(const struct monitor *m) {
    if (m->meta.restored == 0)
        return json_null();
    return json_pack("{s:i, s:b, s:I}", "times", (int)m->meta.restored, "confirmed", m->meta.unconfirmed == 0,
                     "continues", (json_int_t)m->meta.continues);
}

/* ---- asking for it ---- */

static int cannot(struct request *q, const char *rule, const char *text) {
    if (q->monitor->seal == SEAL_UNSEALED)
        return refuse(q, "restore", NULL, 409, rule, text);
    answer_problem(q->monitor, q->worker, q->message, 409, NO_SEQ, NULL, rule, text);
    return VAULT_OK;
}

int answer_restore(struct request *q) {
    struct monitor *m = q->monitor;
    if (m->setup.backups == 0)
        return cannot(q, "backups-not-configured", "No directory for backups is configured.");
    if (m->seal == SEAL_UNSEALED || index_exists())
        return cannot(q, "index-exists",
                      "There is an index: a backup is restored only where there is none. Stop the vault and move the "
                      "index away first.");
    if (!keyring_exists(&m->place))
        return cannot(q, "keyring-missing",
                      "The key ring is not in its place: bring it back first. No backup holds it.");
    if (backup_runs(m))
        return cannot(q, "backup-running", "A backup is made or restored already.");
    if (life_take_turn(q, CREDENTIAL_UNSEAL))
        backup_start(m, BACKUP_RESTORE, q->message->restore.name);
    return VAULT_OK;
}

static unsigned status_of_rule(const char *rule) {
    return strcmp(rule, "backup-damaged") == 0   ? 500
           : strcmp(rule, "backup-name") == 0    ? 400
           : strcmp(rule, "no-such-backup") == 0 ? 404
           : strcmp(rule, "state-full") == 0     ? 507
                                                 : 409;
}

/* Which file is in the index's place; 0: none. */
static uint64_t index_inode(const struct monitor *m) {
    struct stat found;
    return fstatat(m->place.directory, "index/data.mdb", &found, AT_SYMLINK_NOFOLLOW) == 0 ? found.st_ino : 0;
}

void restore_concluded(struct monitor *m) {
    struct backup *b = &m->backup;
    struct worker *w = worker_find(m, m->credential_worker);
    struct message request = {.id = m->credential_id};
    b->placed = b->good ? index_inode(m) : 0;
    if (b->good || index_exists()) { /* only a whole copy gets that name, whatever its process died of then */
        log_notice("restore: an index is in its place backup=%s", b->name);
        life_open_restored(m);
        return;
    }
    m->credential_use = CREDENTIAL_NONE;
    m->credential_worker = 0;
    if (w != NULL)
        answer_problem(m, w, &request, status_of_rule(b->rule), NO_SEQ, NULL, b->rule, b->problem);
}

/* Otherwise the place is taken by what can never be opened. The backup itself stays as it is; and so does an index that
 * somebody else has put there meanwhile. */
void restore_failed(struct monitor *m, int result) {
    if (m->backup.placed == 0 || (result != VAULT_E_FORMAT && result != VAULT_E_DAMAGED) ||
        index_inode(m) != m->backup.placed)
        return;
    m->backup.placed = 0;
    (void)unlinkat(m->place.directory, "index/data.mdb", 0);
    (void)unlinkat(m->place.directory, "index/lock.mdb", 0);
    log_error("restore: the copy cannot be opened with this key ring, and was removed from the index's place");
}

/* ---- opening what was restored ---- */

enum { HEAD_TEXT = CHECKPOINT_ORIGIN_MAX + 128 };

/* The head of the log as the copy has it, in the fields of a checkpoint. */
static bool describe_head(struct monitor *m, char *to, size_t size) {
    char origin[CHECKPOINT_ORIGIN_MAX + 1] = "";
    char root[sodium_base64_ENCODED_LEN(MERKLE_HASH, sodium_base64_VARIANT_ORIGINAL)];
    uint8_t hash[MERKLE_HASH];
    merkle_fold_root(&m->tree, hash);
    sodium_bin2base64(root, sizeof(root), hash, sizeof(hash), sodium_base64_VARIANT_ORIGINAL);
    return monitor_origin(m, origin) == VAULT_OK &&
           format_string(to, size, "continues the log %s %llu %s", origin, (unsigned long long)m->tree.size, root);
}

/* The ring is told first: whatever copy is restored, and however often, no log gets a name that one had before. */
static int take_epoch(struct monitor *m) {
    int result = keyring_raise_epoch(m->keyring, 0);
    if (result == VAULT_OK && keyring_epoch(m->keyring) > UINT32_MAX)
        result = VAULT_E_LIMIT;
    return result == VAULT_OK ? keyring_store(m->keyring, &m->place, m->root) : result;
}

/* The mark goes with the record that tells of it. */
static int begin_anew(struct monitor *m, const char *event, const char *detail) {
    m->meta.origin_before = m->meta.origin;
    m->meta.origin = (uint32_t)keyring_epoch(m->keyring);
    m->meta.restored++;
    m->meta.pending += 1000; /* nobody is to approve another request by a number that they were told before */
    m->meta.continues = m->tree.size;
    int result = meta_store(m);
    return result == VAULT_OK ? life_record(m, event, detail) : result;
}

static int settle(struct monitor *m) {
    char detail[HEAD_TEXT];
    if (!describe_head(m, detail, sizeof(detail)))
        return VAULT_E_STATE;
    int result = take_epoch(m);
    if (result != VAULT_OK)
        return result;
    m->meta.copy = m->meta.doubted = 0;
    memset(m->meta.doubter, 0, sizeof(m->meta.doubter));
    m->meta.unconfirmed = 1;
    return begin_anew(m, "vault.restored", detail);
}

int restore_settle(struct monitor *m, char problem[200]) {
    int result = ring_fits(m, problem);
    if (result == VAULT_OK)
        result = settle(m);
    if (result == VAULT_OK)
        result = ring_take_over(m);
    if (result == VAULT_OK)
        result = escrow_suspect(m);
    if (result == VAULT_OK)
        result = pending_drop_all(m);
    if (result == VAULT_OK)
        log_notice("restore: this index is a copy that is in force from now on restored=%u", m->meta.restored);
    return result;
}

/* ---- until it is confirmed ---- */

/* Who was revoked since the backup is not revoked in it: over the network one may look, and be the second person of
 * what is asked for on the host. */
static bool may_come_by_network(unsigned type) {
    switch (type) {
    case MSG_status:
    case MSG_request_show:
    case MSG_refusal:
    case MSG_pending_list:
    case MSG_pending_approve:
    case MSG_pending_refuse:
    case MSG_audit_tail:
    case MSG_audit_checkpoint:
    case MSG_audit_witnessed:
    case MSG_metrics:
    case MSG_audit_export:
    case MSG_audit_records:
    case MSG_audit_proofs: return true;
    default: return false;
    }
}

bool content_may_go(const struct monitor *m) {
    return m->meta.unconfirmed == 0 && m->meta.doubted == 0 && (m->witnesses == NULL || witnesses_last(m) != 0);
}

/* Lists and decisions are looked at by administrators too, who must see what they are to do again. */
bool restore_forbids(const struct request *q) {
    if (q->monitor->meta.unconfirmed == 0 && q->monitor->meta.doubted == 0)
        return false;
    if (q->worker->kind == PEER_TLS && !may_come_by_network(q->message->type))
        return true;
    switch (q->message->type) {
    case MSG_open:
    case MSG_page_get:
    case MSG_upload_create:
    case MSG_upload_announce:
    case MSG_upload_page:
    case MSG_upload_commit: return true;
    case MSG_file_list:
    case MSG_file_show:
    case MSG_inquire: return !is_administrator(&q->asker);
    default: return false;
    }
}

int restore_refuse(struct request *q) {
    static const char *const restored[] = {
        "restored-not-confirmed",
        "The vault was restored from a backup: nothing is read or deposited, and nothing is changed over the network, "
        "until a custodian has stated on its host that what was withdrawn since is withdrawn again."};
    static const char *const doubted[] = {
        "older-than-witnessed",
        "A witness has seen another log than this vault has: it was put back in time. Nothing is read or deposited, "
        "and nothing is changed over the network, until a custodian has stated on its host that what was withdrawn "
        "since is withdrawn again."};
    const char *rule = (q->monitor->meta.unconfirmed != 0 ? restored : doubted)[0];
    const char *text = (q->monitor->meta.unconfirmed != 0 ? restored : doubted)[1];
    uint64_t seq = NO_SEQ;
    struct event e = {.name = message_name(q->message->type),
                      .outcome = "denied",
                      .asker = &q->asker,
                      .request = q->id,
                      .rule = rule,
                      .text = text,
                      .state = REQUEST_ENDED,
                      .status = 1};
    int result = q->monitor->space.state == SPACE_NONE ? VAULT_OK : journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        answer_problem(q->monitor, q->worker, q->message, 503, seq, q->id, rule, text);
    return result;
}

/* ---- confirming ---- */

enum { KNOWN_TEXT = CHECKPOINT_ORIGIN_MAX + 160 };

struct obstacle {
    unsigned status;
    const char *rule, *text;
};

/* A head of the log that was kept outside. */
struct known {
    struct checkpoint head;
    uint32_t epoch;    /* in its name; 0: there is none */
    bool before, this; /* of the log that this one continues since it was restored; of this one */
};

static bool decode_note(const char *text, char note[CHECKPOINT_TEXT_MAX]) {
    size_t n = 0;
    if (sodium_base642bin((uint8_t *)note, CHECKPOINT_TEXT_MAX - 1, text, strlen(text), NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0)
        return false;
    note[n] = '\0';
    return strlen(note) == n;
}

/* The note that was sent, if it is of this log under one of its names, by its key. */
static bool read_known(struct monitor *m, const char *text, struct known *ret) {
    char note[CHECKPOINT_TEXT_MAX], name[CHECKPOINT_ORIGIN_MAX + 1];
    char origin[CHECKPOINT_ORIGIN_MAX + 1], before[CHECKPOINT_ORIGIN_MAX + 1];
    char vkey[CHECKPOINT_VKEY_MAX];
    if (!decode_note(text, note) || !format_string(name, sizeof(name), "%.*s", (int)strcspn(note, "\n"), note) ||
        checkpoint_epoch(name, m->setup.origin, &ret->epoch) != VAULT_OK || monitor_origin(m, origin) != VAULT_OK ||
        checkpoint_origin(m->setup.origin, m->meta.origin_before, before) != VAULT_OK ||
        checkpoint_vkey(name, keyring_audit_seed(m->keyring), vkey) != VAULT_OK ||
        checkpoint_verify(note, vkey, &ret->head) != VAULT_OK)
        return false;
    ret->before = strcmp(name, before) == 0;
    ret->this = strcmp(name, origin) == 0;
    return ret->before || ret->this || m->meta.doubted != 0; /* it may have been restored since, and put back */
}

/* Whether the log begins as the checkpoint says. Faults of the index. */
static int begins_so(struct monitor *m, const struct checkpoint *known, bool *ret) {
    uint8_t root[MERKLE_HASH];
    *ret = false;
    if (known->size > m->tree.size)
        return VAULT_OK;
    int result = log_root(m, known->size, root);
    if (result == VAULT_OK)
        *ret = memcmp(root, known->root, MERKLE_HASH) == 0;
    return result;
}

static const struct obstacle foreign = {400, "checkpoint-foreign",
                                        "The checkpoint is not of the log that the restored one continues: its origin "
                                        "or its signature is another."};
static const struct obstacle inconsistent = {
    409, "checkpoint-inconsistent",
    "The checkpoint is of another history: the restored log does not begin as it says."};

/* What the last checkpoint known from outside says of what was lost: text for the record. Where a witness doubts, that
 * may be another history, which is what it says. */
static int compare_known(struct monitor *m, const char *text, char ret[KNOWN_TEXT], uint32_t *ret_epoch,
                         struct obstacle *ret_obstacle) {
    static struct known known;
    bool agrees = true;
    ret[0] = '\0';
    *ret_epoch = 0;
    if (text[0] == '\0')
        return VAULT_OK;
    if (!read_known(m, text, &known)) {
        *ret_obstacle = foreign;
        return VAULT_OK;
    }
    *ret_epoch = known.epoch;
    uint64_t kept = known.before ? m->meta.continues : m->tree.size;
    uint64_t lost = known.head.size > kept ? known.head.size - kept : 0;
    int result = lost > 0 ? VAULT_OK : begins_so(m, &known.head, &agrees);
    if (result != VAULT_OK)
        return result;
    if (!agrees && m->meta.doubted == 0)
        *ret_obstacle = inconsistent;
    bool fits = agrees ? format_string(ret, KNOWN_TEXT, " (last checkpoint known: %s %llu; records lost: %llu)",
                                       known.head.origin, (unsigned long long)known.head.size, (unsigned long long)lost)
                       : format_string(ret, KNOWN_TEXT, " (last checkpoint known: %s %llu; of another history)",
                                       known.head.origin, (unsigned long long)known.head.size);
    return fits ? VAULT_OK : VAULT_E_STATE;
}

static void why_not_confirmed(const struct request *q, struct obstacle *ret) {
    const struct monitor *m = q->monitor;
    *ret = (struct obstacle){.rule = NULL};
    if (m->meta.unconfirmed == 0 && m->meta.doubted == 0)
        *ret = (struct obstacle){409, "nothing-to-confirm", "Nothing was restored that is not confirmed already."};
    else if (q->message->restore_confirm.statement[0] == '\0')
        *ret = (struct obstacle){400, "malformed", "`statement` must say what was done again."};
    else if (m->check == CHECK_DAMAGED)
        *ret = (struct obstacle){409, "index-damaged", "The restored index is damaged: restore another backup."};
    else if (m->check != CHECK_WHOLE)
        *ret = (struct obstacle){409, "index-not-checked",
                                 "The restored index is still being compared with its tally: see `index` in `status`."};
}

/* This log goes on under another name, so that who has seen the other one sees a succession, and no fork. */
static int go_on_anew(struct monitor *m, const char *known, uint32_t epoch) {
    char head[HEAD_TEXT], detail[HEAD_TEXT + KNOWN_TEXT];
    if (!describe_head(m, head, sizeof(head)) || !format_string(detail, sizeof(detail), "%s%s", head, known))
        return VAULT_E_STATE;
    int result = ring_change(m, &(struct ring_change){.intent = INTENT_ORIGIN, .epoch = (uint64_t)epoch + 1});
    if (result == VAULT_OK && keyring_epoch(m->keyring) > UINT32_MAX)
        result = VAULT_E_LIMIT;
    if (result == VAULT_OK)
        result = ring_follow(m);
    if (result != VAULT_OK)
        return result;
    m->meta.doubted = 0;
    memset(m->meta.doubter, 0, sizeof(m->meta.doubter));
    return begin_anew(m, "vault.rolled-back", detail);
}

int answer_restore_confirm(struct request *q) {
    const struct msg_restore_confirm *c = &q->message->restore_confirm;
    struct monitor *m = q->monitor;
    char known[KNOWN_TEXT];
    char detail[sizeof(c->statement) + KNOWN_TEXT];
    struct obstacle o;
    uint32_t epoch = 0;
    why_not_confirmed(q, &o);
    int result = o.rule == NULL ? compare_known(m, c->checkpoint, known, &epoch, &o) : VAULT_OK;
    if (result != VAULT_OK)
        return result;
    if (o.rule != NULL)
        return refuse(q, "restore.confirm", NULL, o.status, o.rule, o.text);
    if (!format_string(detail, sizeof(detail), "%s%s", c->statement, known))
        return VAULT_E_STATE;
    if (m->meta.doubted != 0)
        result = go_on_anew(m, known, epoch);
    if (result != VAULT_OK)
        return result;
    m->meta.unconfirmed = 0;
    m->clean_wanted = m->removal_wanted = true;
    witnesses_opened(m); /* they have seen nothing of the log of this name yet */
    result = meta_store(m);
    return result == VAULT_OK ? administer(q, "restore.confirm", NULL, 'E', detail, 200, restored_json(m)) : result;
}
