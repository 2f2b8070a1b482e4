#include <sodium.h>
#include <string.h>

#include "monitor.h"
#include "vaultd/monitor/access/grants.h"
#include "vaultd/monitor/answers.h"
#include "vaultd/monitor/care/space.h"
#include "vaultd/monitor/lookup.h"
#include "vaultd/monitor/opening/restore.h"
#include "vaultd/monitor/table.h"
#include "vaultd/monitor/witness/witnesses.h"
#include "vault/log.h"
#include "vault/result.h"

enum when { ALWAYS, UNSEALED, APPROVED }; /* APPROVED: nobody sends it; it waits, and is approved */

/* What it adds to the state: nothing, unless it is refused; a record, and what a change that may take rights away
 * needs, or the end of a deposit; or what only makes the state grow. */
enum need { NOTHING, RECORD, GROWTH };

/* What a worker may ask, when, and with which of these roles (0: any known service; the decision says more). */
struct entry {
    enum message_type type;
    enum when when;
    enum need need;
    uint32_t roles;
    request_handler *handler;
};

#define REGISTRAR (1u << ROLE_REGISTRAR)
#define AUDITOR (1u << ROLE_AUDITOR)
#define CUSTODIAN (1u << ROLE_CUSTODIAN)
#define OPERATOR (1u << ROLE_OPERATOR)
#define NOBODY ASKER_NOBODY

static const struct entry table[] = {
    {MSG_open, UNSEALED, RECORD, 0, answer_open},
    {MSG_page_get, UNSEALED, NOTHING, 0, answer_page_get},
    {MSG_grant_close, UNSEALED, RECORD, 0, answer_grant_close},
    {MSG_upload_create, UNSEALED, GROWTH, 0, answer_upload_create},
    {MSG_upload_announce, UNSEALED, GROWTH, 0, answer_upload_announce},
    {MSG_upload_page, UNSEALED, RECORD, 0, answer_upload_page},
    {MSG_upload_commit, UNSEALED, RECORD, 0, answer_upload_commit},
    {MSG_upload_abort, UNSEALED, RECORD, 0, answer_upload_abort},
    {MSG_rekey_next, UNSEALED, RECORD, NOBODY, answer_rekey_next},
    {MSG_rekey_create, UNSEALED, GROWTH, NOBODY, answer_rekey_create},
    {MSG_rekey_end, UNSEALED, RECORD, NOBODY, answer_rekey_end},
    {MSG_file_list, UNSEALED, RECORD, 0, answer_file_list},
    {MSG_file_show, UNSEALED, RECORD, 0, answer_file_show},
    {MSG_inquire, UNSEALED, RECORD, 0, answer_inquire},
    {MSG_request_show, UNSEALED, NOTHING, 0, answer_request_show},
    {MSG_refusal, UNSEALED, RECORD, 0, answer_refusal},
    {MSG_status, ALWAYS, NOTHING, 0, answer_status},
    {MSG_init, ALWAYS, GROWTH, CUSTODIAN, answer_init},
    {MSG_unseal, ALWAYS, NOTHING, CUSTODIAN, answer_unseal},
    {MSG_seal, UNSEALED, RECORD, CUSTODIAN | OPERATOR, answer_seal},
    {MSG_subject_add, UNSEALED, GROWTH, REGISTRAR, answer_subject_add},
    {MSG_subject_change, UNSEALED, RECORD, REGISTRAR, answer_subject_change},
    {MSG_subject_shred, UNSEALED, RECORD, REGISTRAR | CUSTODIAN, answer_subject_shred},
    {MSG_file_remove, UNSEALED, RECORD, REGISTRAR | CUSTODIAN, answer_file_remove},
    {MSG_opt_outs, UNSEALED, RECORD, REGISTRAR, answer_opt_outs},
    {MSG_subject_show, UNSEALED, RECORD, REGISTRAR | AUDITOR | OPERATOR, answer_subject_show},
    {MSG_subject_list, UNSEALED, RECORD, REGISTRAR | AUDITOR | OPERATOR, answer_subject_list},
    {MSG_consent_set, UNSEALED, RECORD, REGISTRAR, answer_consent_set},
    {MSG_consent_show, UNSEALED, RECORD, REGISTRAR | AUDITOR, answer_consent_show},
    {MSG_consent_withdraw, UNSEALED, RECORD, REGISTRAR, answer_consent_withdraw},
    {MSG_care_add, UNSEALED, RECORD, REGISTRAR, answer_care_add},
    {MSG_care_end, UNSEALED, RECORD, REGISTRAR, answer_care_end},
    {MSG_care_list, UNSEALED, RECORD, REGISTRAR | AUDITOR, answer_care_list},
    {MSG_service_add, UNSEALED, GROWTH, OPERATOR, answer_service_add},
    {MSG_service_list, UNSEALED, RECORD, OPERATOR | AUDITOR, answer_service_list},
    {MSG_service_show, UNSEALED, RECORD, OPERATOR | AUDITOR, answer_service_show},
    {MSG_service_revoke, UNSEALED, RECORD, OPERATOR | CUSTODIAN, answer_service_revoke},
    {MSG_project_add, UNSEALED, GROWTH, OPERATOR, answer_project_add},
    {MSG_project_list, UNSEALED, RECORD, OPERATOR | AUDITOR, answer_project_list},
    {MSG_project_close, UNSEALED, RECORD, OPERATOR, answer_project_close},
    {MSG_ethics_add, UNSEALED, GROWTH, OPERATOR, answer_ethics_add},
    {MSG_ethics_list, UNSEALED, RECORD, OPERATOR | AUDITOR, answer_ethics_list},
    {MSG_ethics_revoke, UNSEALED, RECORD, OPERATOR, answer_ethics_revoke},
    {MSG_policy_load, UNSEALED, RECORD, OPERATOR, answer_policy_load},
    {MSG_policy_show, UNSEALED, RECORD, OPERATOR | AUDITOR | REGISTRAR, answer_policy_show},
    {MSG_policy_replay, UNSEALED, RECORD, AUDITOR, answer_policy_replay},
    {MSG_budget_list, UNSEALED, RECORD, OPERATOR | AUDITOR, answer_budget_list},
    {MSG_review_list, UNSEALED, RECORD, AUDITOR, answer_review_list},
    {MSG_review_close, UNSEALED, RECORD, AUDITOR, answer_review_close},
    {MSG_key_list, UNSEALED, RECORD, CUSTODIAN | AUDITOR, answer_key_list},
    {MSG_key_rotate, UNSEALED, GROWTH, CUSTODIAN, answer_key_rotate},
    {MSG_key_jobs, UNSEALED, NOTHING, CUSTODIAN | AUDITOR | OPERATOR, answer_key_jobs},
    {MSG_job_pause, UNSEALED, RECORD, CUSTODIAN, answer_job_pause},
    {MSG_job_resume, UNSEALED, RECORD, CUSTODIAN, answer_job_resume},
    {MSG_job_rate, UNSEALED, RECORD, CUSTODIAN, answer_job_rate},
    {MSG_seal_change, UNSEALED, GROWTH, CUSTODIAN, answer_seal_change},
    {MSG_seal_confirm, UNSEALED, GROWTH, CUSTODIAN, answer_seal_confirm},
    {MSG_seal_drill, UNSEALED, RECORD, CUSTODIAN, answer_seal_drill},
    {MSG_seal_cancel, UNSEALED, RECORD, CUSTODIAN, answer_seal_cancel},
    {MSG_key_escrow, UNSEALED, GROWTH, CUSTODIAN, answer_key_escrow},
    {MSG_key_escrow_list, UNSEALED, RECORD, CUSTODIAN | AUDITOR, answer_key_escrow_list},
    {MSG_key_escrow_destroyed, UNSEALED, RECORD, CUSTODIAN, answer_key_escrow_destroyed},
    {MSG_pending_list, UNSEALED, RECORD, REGISTRAR | AUDITOR | CUSTODIAN | OPERATOR, answer_pending_list},
    {MSG_pending_approve, UNSEALED, RECORD, REGISTRAR | CUSTODIAN | OPERATOR, answer_pending_approve},
    {MSG_pending_refuse, UNSEALED, RECORD, REGISTRAR | CUSTODIAN | OPERATOR, answer_pending_refuse},
    {MSG_anchors_seen, APPROVED, RECORD, OPERATOR, answer_anchors_seen},
    {MSG_scrub, UNSEALED, RECORD, OPERATOR | CUSTODIAN, answer_scrub},
    {MSG_scrub_show, UNSEALED, NOTHING, OPERATOR | CUSTODIAN | AUDITOR, answer_scrub_show},
    {MSG_restore, ALWAYS, NOTHING, OPERATOR | CUSTODIAN, answer_restore},
    {MSG_restore_confirm, UNSEALED, RECORD, CUSTODIAN, answer_restore_confirm},
    {MSG_backup, UNSEALED, RECORD, OPERATOR | CUSTODIAN, answer_backup},
    {MSG_backup_list, UNSEALED, NOTHING, OPERATOR | CUSTODIAN | AUDITOR, answer_backup_list},
    {MSG_audit_proof, UNSEALED, NOTHING, 0, answer_audit_proof},
    {MSG_audit_tail, UNSEALED, RECORD, AUDITOR, answer_audit_tail},
    {MSG_metrics, UNSEALED, NOTHING, OPERATOR | CUSTODIAN | AUDITOR, answer_metrics},
    {MSG_audit_witnessed, UNSEALED, NOTHING, AUDITOR | OPERATOR, answer_audit_witnessed},
    {MSG_audit_checkpoint, UNSEALED, RECORD, AUDITOR | OPERATOR, answer_audit_checkpoint},
    {MSG_audit_export, UNSEALED, RECORD, AUDITOR, answer_audit_export},
    {MSG_archive, UNSEALED, GROWTH, OPERATOR, answer_archive},
    {MSG_archive_list, UNSEALED, RECORD, OPERATOR | AUDITOR, answer_archive_list},
    {MSG_archive_destroy, UNSEALED, RECORD, OPERATOR, answer_archive_destroy},
    {MSG_audit_chain, UNSEALED, NOTHING, AUDITOR, answer_audit_chain},
    {MSG_audit_lines, UNSEALED, NOTHING, AUDITOR, answer_audit_lines},
    {MSG_audit_records, UNSEALED, NOTHING, AUDITOR, answer_audit_records},
    {MSG_audit_proofs, UNSEALED, NOTHING, AUDITOR, answer_audit_proofs},
};

static const struct entry *entry_of(unsigned type) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].type == type)
            return &table[i];
    return NULL;
}

/* A worker without a client has these to ask and what only it may; one with a client all the rest. */
static bool may_send(const struct worker *w, const struct entry *e) {
    if (e->when == APPROVED)
        return false;
    if (w->kind != PEER_NOBODY || e->roles == NOBODY)
        return (w->kind == PEER_NOBODY) == (e->roles == NOBODY);
    return e->type == MSG_page_get || e->type == MSG_upload_announce || e->type == MSG_upload_page;
}
bool table_roles(enum message_type type, uint32_t *ret_roles) {
    const struct entry *e = entry_of(type);
    if (e != NULL)
        *ret_roles = e->roles;
    return e != NULL;
}

static void answer_sealed(struct request *q) {
    bool born = q->monitor->seal != SEAL_UNINITIALISED;
    answer_problem(q->monitor, q->worker, q->message, 423, NO_SEQ, NULL, born ? "sealed" : "uninitialised",
                   born ? "The vault is sealed." : "The vault has not been initialised.");
}

/* What vaultctl's exit status would be (docs/vaultctl.md). */
static uint8_t exit_status_of(unsigned status) {
    switch (status) {
    case 400: return 2;
    case 401:
    case 403: return 3;
    case 404: return 4;
    case 422:
    case 500: return 6;
    default: return 1;
    }
}

static void answer_no_record(struct request *q) {
    answer_problem(q->monitor, q->worker, q->message, 503, NO_SEQ, NULL, "not-recorded",
                   "The request could not be recorded; nothing was changed.");
}

int refuse(struct request *q, const char *event, const char *subject, unsigned status, const char *rule,
           const char *text) {
    uint64_t seq = NO_SEQ;
    if (q->monitor->space.state == SPACE_NONE) {
        answer_no_record(q);
        return VAULT_OK;
    }
    struct event e = {.name = event,
                      .outcome = status >= 500 ? "failed" : "denied",
                      .asker = &q->asker,
                      .subject = subject,
                      .file = q->file,
                      .request = q->id,
                      .rule = rule,
                      .text = text,
                      .state = REQUEST_ENDED,
                      .status = exit_status_of(status)};
    int result = journal(q->monitor, &e, &seq);
    if (result == VAULT_OK)
        answer_problem(q->monitor, q->worker, q->message, status, seq, q->id, rule, text);
    return result;
}

/* Who asks may ask this at all: known, within its limits, in one of the roles. *ret_refused if it was answered. */
static int admit(struct request *q, const struct entry *e, bool *ret_refused) {
    const char *event = message_name(q->message->type);
    *ret_refused = true;
    if (!q->asker.known)
        return refuse(q, event, NULL, 401, "service-unknown", "This certificate belongs to no registered service.");
    if (q->asker.limited)
        return refuse(q, event, NULL, 429, "too-many-connections", "This service has too many connections open.");
    if (e->roles != 0 && (e->roles & q->asker.roles) == 0)
        return refuse(q, event, NULL, 403, "role-missing", "This service lacks the role that the request needs.");
    if (restore_forbids(q))
        return restore_refuse(q);
    if (witnesses_forbid(q))
        return witnesses_refuse(q);
    *ret_refused = false;
    return VAULT_OK;
}

/* A fault of a handler. If it changed nothing, only its own request fails, and that is recorded; otherwise the batch is
 * dropped, and with it the half-made change. A device that fails is everybody's fault in either case. */
static void answer_fault(struct request *q, uint64_t changes_before, int fault) {
    struct monitor *m = q->monitor;
    bool damaged = fault == VAULT_E_DAMAGED;
    if (m->stop) { /* whether the key ring was changed is known after the next start; no answer is better than a wrong
                      one */
        log_error("request: not answered type=%s", message_name(q->message->type));
        return;
    }
    log_error("request: failed type=%s result=\"%s\"", message_name(q->message->type), vault_result_name(fault));
    bool whole = m->index != NULL && index_writing(m->index) && index_changes(m->index) == changes_before;
    bool claimed = fault == VAULT_E_LIMIT || fault == VAULT_E_FORMAT; /* more than any honest worker asks for */
    if (whole && fault != VAULT_E_IO && fault != VAULT_E_FULL) {
        fault = refuse(q, message_name(q->message->type), q->subject, damaged ? 500 : 503,
                       damaged ? "integrity" : "internal",
                       damaged ? "Stored data is damaged." : "The vault could not complete the request.");
        if (fault == VAULT_OK)
            return;
    }
    answer_no_record(q);
    batch_drop(m, fault);
    if (claimed)
        worker_kill(m, q->worker->number, WORKER_MISBEHAVED);
}

/* Whether there is space for what it adds; answers if not. That is not recorded: what is left is not for that. */
static bool has_room(struct request *q, enum need need) {
    enum space_state space = q->monitor->space.state;
    if (need == NOTHING || space == SPACE_ENOUGH || (need == RECORD && space == SPACE_SHORT))
        return true;
    if (space == SPACE_NONE)
        answer_no_record(q);
    else
        answer_problem(q->monitor, q->worker, q->message, 507, NO_SEQ, NULL, "state-full",
                       "The vault's state is short of space; nothing was changed.");
    return false;
}

int table_run(struct request *q) {
    const struct entry *e = entry_of(q->message->type);
    if (e == NULL)
        return VAULT_E_STATE;
    q->monitor->grows = e->need == GROWTH;
    return has_room(q, e->need) ? e->handler(q) : VAULT_AGAIN;
}

static int run(struct request *q, const struct entry *e, uint64_t *ret_changes_before) {
    bool refused = false;
    int result = batch_begin(q->monitor);
    if (result == VAULT_OK)
        *ret_changes_before = index_changes(q->monitor->index);
    if (result == VAULT_OK)
        result = find_asker(q->monitor, q->worker, &q->asker);
    if (result == VAULT_OK)
        result = admit(q, e, &refused);
    if (result == VAULT_OK && !refused && has_room(q, e->need))
        result = e->handler(q);
    return result;
}

/* Requests that work while sealed: nobody but the local administrators can be told apart then. */
static void run_sealed(struct request *q, const struct entry *e) {
    (void)find_asker(q->monitor, q->worker, &q->asker); /* cannot fail for a local peer */
    if (e->roles != 0 && (e->roles & q->asker.roles) == 0) {
        answer_problem(q->monitor, q->worker, q->message, 403, NO_SEQ, NULL, "role-missing",
                       "Only an administrator on the vault's own host may ask this while it is sealed.");
        return;
    }
    space_look(q->monitor);
    if (has_room(q, e->need) && e->handler(q) != VAULT_OK)
        answer_problem(q->monitor, q->worker, q->message, 503, NO_SEQ, NULL, "internal",
                       "The vault could not complete the request.");
}

void table_dispatch(struct monitor *m, struct worker *w, struct message *request) {
    if (request->type == MSG_revoked) {
        grants_acknowledged(m, w, request->revoked.grant);
        return;
    }
    const struct entry *e = entry_of(request->type);
    bool early = w->kind == 0 || (w->kind == PEER_TLS && !w->identified); /* the gate tells us before its worker */
    if (e == NULL || w->waiting || early || !may_send(w, e) || request->id == 0) {
        log_warning("worker: sent what it must not type=%s", message_name(request->type));
        worker_kill(m, w->number, WORKER_MISBEHAVED);
        return;
    }
    w->waiting = true;
    m->grows = e->need == GROWTH;
    struct request q = {.monitor = m, .worker = w, .message = request};
    randombytes_buf(q.id, sizeof(q.id));
    if (m->seal != SEAL_UNSEALED) {
        if (e->when == ALWAYS && (w->kind == PEER_UNIX || e->roles == 0))
            run_sealed(&q, e);
        else
            answer_sealed(&q);
        return;
    }
    m->ending = NULL;
    uint64_t changes = 0;
    int result = run(&q, e, &changes);
    if (result != VAULT_OK)
        answer_fault(&q, changes, result);
}
