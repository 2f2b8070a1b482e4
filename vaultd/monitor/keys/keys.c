/* What custodians ask of keys: their list, their rotation, their retirement; and the job that rewraps to a generation.
 */
#include <string.h>

#include "age.h"
#include "jobs.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/backup.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/opening/opening.h"
#include "vaultd/monitor/pending.h"
#include "vaultd/monitor/table.h"
#include "rekey.h"
#include "ring.h"
#include "subject_keys.h"
#include "warnings.h"
#include "vault/log.h"
#include "vault/result.h"

enum { STEP_KEYS = 64 };

static json_t *generations_json(const struct monitor *m) {
    const struct keyring *k = m->keyring;
    json_t *generations = json_array();
    for (uint32_t i = 0; i < keyring_count(k); i++) {
        uint64_t created = 0;
        uint32_t number = keyring_generation(k, i, &created);
        json_array_append_new(generations, json_pack("{s:i, s:o, s:s}", "generation", (int)number, "created",
                                                     json_time(created * 1000000), "state",
                                                     number == m->meta.generation ? "active" : "old"));
    }
    return generations;
}

int answer_key_list(struct request *q) {
    const struct keyring *k = q->monitor->keyring;
    json_int_t index = keyring_index_generation(k), names = keyring_name_generation(k);
    char vkey[CHECKPOINT_VKEY_MAX] = "";
    int result = audit_key_vkey(q->monitor, vkey);
    if (result != VAULT_OK)
        return result;
    json_t *answer = json_pack(
        "{s:I, s:o, s:o, s:o, s:o, s:o, s:s, s:I, s:o, s:I, s:o}", "epoch", (json_int_t)keyring_epoch(k), "generations",
        generations_json(q->monitor), "seal", seals_json(q->monitor), "key_age", key_age_json(q->monitor), "escrow",
        escrows_json(q->monitor), "warnings", key_warnings(q->monitor), "vkey", vkey, "index", index, "index_next",
        keyring_next_index_key(k) != NULL ? json_integer(index + 1) : json_null(), "names", names, "names_next",
        keyring_next_name_key(k) != NULL ? json_integer(names + 1) : json_null());
    return administer(q, "key.list", NULL, 'R', NULL, 200, answer);
}

/* A new root key inside the same seal. Shares need not be shown for it; a credential or a token is asked for. */
static int rotate_root(struct request *q, const char *what) {
    struct monitor *m = q->monitor;
    CLEANUP_SECRET struct secret *root = NULL;
    struct seal seal;
    if (keyring_seal(m->keyring)->kind == SEAL_BY_CREDENTIAL)
        return life_reseal(q);
    if (keyring_seal(m->keyring)->kind == SEAL_BY_TOKEN)
        return token_reseal(q);
    int result = secret_random(&root, SECRET_KEY_SIZE);
    if (result == VAULT_OK)
        result = seal_again(keyring_seal(m->keyring), NULL, keyring_vault_id(m->keyring), root, &seal);
    if (result == VAULT_OK)
        result = ring_reseal(m, &seal, &root);
    return result == VAULT_OK ? administer(q, "key.rotate", NULL, 'U', what, 200, ring_changed_json(m, m->retiring))
                              : result;
}

/* The older generations go with the change of the root key that this asks for. */
static int retire_now(struct request *q) {
    struct monitor *m = q->monitor;
    if (m->credential_use != CREDENTIAL_NONE)
        return refuse(q, "key.retire", NULL, 409, "under-way", "A change of the seal is under way.");
    m->retiring = true;
    int result = rotate_root(q, "older generations retired");
    m->retiring = result == VAULT_OK && m->credential_use == CREDENTIAL_RESEAL; /* until it has come */
    return result;
}

struct obstacle {
    const char *rule, *text;
};

/* What stands against it, if anything (rule not NULL). Faults of the index. */
static int why_not_retired(struct request *q, struct obstacle *ret) {
    struct monitor *m = q->monitor;
    bool covered = q->message->key_rotate.without_backup != 0;
    *ret = (struct obstacle){.rule = NULL};
    int result = covered ? VAULT_OK : backups_cover(m, &covered);
    if (result != VAULT_OK)
        return result;
    if (keyring_count(m->keyring) < 2)
        *ret = (struct obstacle){"nothing-to-retire", "The key ring has one generation only."};
    else if (!ring_can_retire(m))
        *ret = (struct obstacle){
            "still-wrapped", "Not every subject's key is known to be under the newest generation: rotate first, and "
                             "mend what the log says is damaged."};
    else if (!covered)
        *ret = (struct obstacle){"backup-needed",
                                 "No verified backup needs the newest generation only: make one, or ask for it "
                                 "without one."};
    return VAULT_OK;
}

/* What an approver must know: which copies of the index open nothing afterwards. */
static int ask_to_retire(struct request *q) {
    struct monitor *m = q->monitor;
    char text[RETIREMENT_TEXT];
    char dying[PENDING_DETAIL - RETIREMENT_TEXT - 64];
    char detail[PENDING_DETAIL];
    int result = backups_dying(m, false, dying, sizeof(dying));
    if (result != VAULT_OK)
        return result;
    bool fits = retirement_text(m, m->meta.generation, text) &&
                format_string(detail, sizeof(detail), "%s%s%s%s", text,
                              q->message->key_rotate.without_backup != 0 ? ", without a backup" : "",
                              dying[0] == '\0' ? "" : "; backups that die: ", dying);
    return fits ? pending_ask(q, "key.retire", NULL, detail) : VAULT_E_STATE;
}

static int retire(struct request *q) {
    struct obstacle o;
    int result = why_not_retired(q, &o);
    if (result != VAULT_OK)
        return result;
    if (o.rule != NULL)
        return refuse(q, "key.retire", NULL, 409, o.rule, o.text);
    return q->asked_by != NULL ? retire_now(q) : ask_to_retire(q);
}

/* Every subject gets a new key. */
static int rotate_subjects(struct request *q) {
    struct monitor *m = q->monitor;
    struct job_value job = {.total = m->meta.subjects};
    bool running = false;
    int result = job_is_open(m, &job_turn, &running);
    if (result == VAULT_OK && running)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
    if (result == VAULT_OK)
        result = job_begin(m, job_turn.what, &job);
    return result == VAULT_OK ? administer(q, "key.rotate", NULL, 'U', "subject", 202, job_json(m, &job)) : result;
}

/* Every file gets another data key. */
static int rotate_data(struct request *q) {
    struct monitor *m = q->monitor;
    struct job_value job;
    if (m->meta.aside != 0)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
    int result = rekey_begin(m, &job);
    return result == VAULT_OK ? administer(q, "key.rotate", NULL, 'U', "data", 202, job_json(m, &job)) : result;
}

static int rotate_kek(struct request *q) {
    struct monitor *m = q->monitor;
    struct job_value job;
    char detail[64];
    bool running = false;
    int result = job_is_open(m, &job_kek, &running);
    if (result != VAULT_OK)
        return result;
    if (running)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
    if (keyring_count(m->keyring) >= KEYRING_GENERATIONS)
        return refuse(q, "key.rotate", NULL, 409, "too-many-generations",
                      "The key ring holds no more generations: retire the older ones.");
    result = ring_add_generation(m, &job);
    if (result != VAULT_OK)
        return result;
    if (!format_string(detail, sizeof(detail), "kek to generation %u", job.generation))
        return VAULT_E_STATE;
    return administer(q, "key.rotate", NULL, 'U', detail, 202, job_json(m, &job));
}

/* Who verifies is given the new verifier key, or follows the record to it. */
static int rotate_audit(struct request *q) {
    struct key_change c;
    uint64_t seq = NO_SEQ;
    int result = audit_key_change(q->monitor, q, &c, &seq);
    if (result == VAULT_OK)
        answer_json(q->monitor, q->worker, q->message, 200, seq, q->id,
                    json_pack("{s:s, s:s, s:I}", "vkey", c.to, "vkey_before", c.from, "record", (json_int_t)seq));
    return result;
}

/* Where backups die of it, it waits for a second person, who is told their names: *ret_asked. */
static int ask_if_backups_die(struct request *q, const char *what, bool *ret_asked) {
    char dying[PENDING_DETAIL - 96];
    char detail[PENDING_DETAIL];
    int result = backups_dying(q->monitor, true, dying, sizeof(dying));
    *ret_asked = result == VAULT_OK && dying[0] != '\0' && q->asked_by == NULL;
    if (!*ret_asked)
        return result;
    return format_string(detail, sizeof(detail), "%s; backups that die: %s", what, dying)
               ? pending_ask(q, "key.rotate", NULL, detail)
               : VAULT_E_STATE;
}

/* Another key for everything in the index: one at a time, not while a backup is made under the present one, and with a
 * second person where backups die of it. Where it may not begin now, that is answered. */
static int may_change(struct request *q, const struct job_kind *kind, const char *detail, bool *ret_may) {
    bool running = false;
    bool asked = false;
    *ret_may = false;
    int result = job_is_open(q->monitor, kind, &running);
    if (result == VAULT_OK && running)
        return refuse(q, "key.rotate", NULL, 409, "job-running", "The rotation before has not ended yet.");
    if (result == VAULT_OK && backup_has_key(q->monitor))
        return refuse(q, "key.rotate", NULL, 409, "backup-running",
                      "A backup is being made under the present key: ask again when it has ended.");
    if (result == VAULT_OK)
        result = ask_if_backups_die(q, detail, &asked);
    *ret_may = result == VAULT_OK && !asked;
    return result;
}

static int answer_change(struct request *q, const struct job_value *job, const char *addition) {
    char detail[80];
    return format_string(detail, sizeof(detail), "%s to generation %u%s", job->what, job->generation, addition)
               ? administer(q, "key.rotate", NULL, 'U', detail, 202, job_json(q->monitor, job))
               : VAULT_E_STATE;
}

/* The key that the index is sealed under. */
static int rotate_index(struct request *q) {
    bool leave = q->message->key_rotate.leave_damaged != 0;
    struct job_value job;
    bool may = false;
    int result = may_change(q, &job_index, leave ? "index, damaged entries are left behind" : "index", &may);
    if (may)
        result = index_key_change(q->monitor, leave, &job);
    return may && result == VAULT_OK ? answer_change(q, &job, leave ? ", damaged entries are left behind" : "")
                                     : result;
}

/* The key under which the index knows names. */
static int rotate_names(struct request *q) {
    struct job_value job;
    bool may = false;
    int result = may_change(q, &job_names, "names", &may);
    if (may)
        result = name_key_change(q->monitor, &job);
    return may && result == VAULT_OK ? answer_change(q, &job, "") : result;
}

static int rotate_root_alone(struct request *q) {
    return rotate_root(q, "root");
}

/* What can be rotated: whether older ones can be retired, damaged entries be left behind, and whether the ring changes
 * at once. */
static const struct rotation {
    const char *what;
    bool retires, leaves, writes_ring;
    int (*rotate)(struct request *q);
} rotations[] = {
    {"kek", true, false, true, rotate_kek},      {"subject", false, false, false, rotate_subjects},
    {"data", false, false, false, rotate_data},  {"root", false, false, true, rotate_root_alone},
    {"audit", false, false, true, rotate_audit}, {"index", false, true, true, rotate_index},
    {"names", false, false, true, rotate_names},
};

static const struct rotation *rotation_of(const char *what) {
    for (size_t i = 0; i < sizeof(rotations) / sizeof(rotations[0]); i++)
        if (strcmp(rotations[i].what, what) == 0)
            return &rotations[i];
    return NULL;
}

int answer_key_rotate(struct request *q) {
    const struct msg_key_rotate *r = &q->message->key_rotate;
    const struct rotation *kind = rotation_of(r->what);
    if (kind == NULL || r->retire > kind->retires || r->leave_damaged > kind->leaves || r->without_backup > r->retire)
        return refuse(
            q, "key.rotate", NULL, 400, "malformed",
            "'kek', 'root', 'subject', 'data', 'audit', 'index' and 'names' can be rotated, and generations of 'kek' "
            "be retired.");
    if (kind->writes_ring && !space_for_ring(q->monitor))
        return refuse(q, "key.rotate", NULL, 507, "keyring-full", "There is no space for a copy of the key ring.");
    return r->retire != 0 ? retire(q) : kind->rotate(q);
}

static int kek_end(struct monitor *m, const struct job_value *j) {
    char detail[96];
    struct event e = {.name = "key.rotated", .outcome = "done", .action = 'U', .detail = detail};
    if (!format_string(detail, sizeof(detail), "kek to generation %u, %llu keys, %llu damaged", j->generation,
                       (unsigned long long)j->done, (unsigned long long)j->failed))
        return VAULT_E_STATE;
    m->meta.clean = j->failed == 0 ? j->generation : 0;
    return journal(m, &e, NULL);
}

/* Rewraps the next ones. A damaged one is left as it is and said so: the others must not wait for it. */
static int kek_step(struct monitor *m, struct job_value *j) {
    uint64_t done, damaged;
    uint64_t most = m->job_room < STEP_KEYS ? m->job_room : STEP_KEYS;
    size_t size = j->cursor_size;
    int result = subject_keys_rewrap(m, j->generation, most, j->cursor, &size, &done, &damaged);
    j->cursor_size = (uint32_t)size;
    j->done += done;
    j->failed += damaged;
    return result;
}

const struct job_kind job_kek = {"kek", kek_step, kek_end};
