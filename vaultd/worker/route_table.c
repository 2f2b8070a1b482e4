#include "route.h"

#define MEMBERS(list) list, sizeof(list) / sizeof(list[0])
#define NO_MEMBERS NULL, 0

/* One row of a table; `message` is the struct that the field is in. */
#define STR(message, from, text, kind, flags, field)                                                                   \
    { text, from, kind, flags, offsetof(struct message, field), sizeof(((struct message *)0)->field) - 1 }
#define FIELD(message, from, text, kind, flags, field)                                                                 \
    { text, from, kind, flags, offsetof(struct message, field), 0 }
#define MUST MEMBER_REQUIRED

static const struct member subject_add[] = {
    STR(msg_subject_add, FROM_BODY, "subject", MEMBER_NAME, MUST, subject),
    FIELD(msg_subject_add, FROM_BODY, "opt_out", MEMBER_BOOL, 0, opt_out),
};
static const struct member subject_change[] = {
    STR(msg_subject_change, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    FIELD(msg_subject_change, FROM_BODY, "opt_out", MEMBER_BOOL, MUST, opt_out),
};
static const struct member opt_outs[] = {
    STR(msg_opt_outs, FROM_BODY, "subjects", MEMBER_NAMES, MUST, subjects),
    FIELD(msg_opt_outs, FROM_BODY, "dated", MEMBER_DATE, 0, dated),
    FIELD(msg_opt_outs, FROM_BODY, "complete", MEMBER_BOOL, 0, complete),
};
static const struct member subject_show[] = {
    STR(msg_subject_show, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
};
static const struct member subject_shred[] = {
    STR(msg_subject_shred, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
};
/* Every paged list has its cursor at the same place. */
static const struct member list[] = {
    STR(msg_subject_list, FROM_QUERY, "cursor", MEMBER_TEXT, 0, cursor),
};
static const struct member consent_show[] = {
    STR(msg_consent_show, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    FIELD(msg_consent_show, FROM_QUERY, "history", MEMBER_BOOL, 0, history),
};
static const struct member consent_withdraw[] = {
    STR(msg_consent_withdraw, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    FIELD(msg_consent_withdraw, FROM_QUERY, "purpose", MEMBER_PURPOSE_KIND, 0, purpose),
};
static const struct member care_add[] = {
    STR(msg_care_add, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    STR(msg_care_add, FROM_PATH, "service", MEMBER_NAME, MUST, service),
    FIELD(msg_care_add, FROM_BODY, "until", MEMBER_DATE, 0, until),
};
static const struct member care_end[] = {
    STR(msg_care_end, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    STR(msg_care_end, FROM_PATH, "service", MEMBER_NAME, MUST, service),
};
static const struct member service_add[] = {
    STR(msg_service_add, FROM_BODY, "name", MEMBER_NAME, MUST, name),
    STR(msg_service_add, FROM_BODY, "san", MEMBER_TEXT, MUST, san),
    FIELD(msg_service_add, FROM_BODY, "roles", MEMBER_ROLES, MUST, roles),
    FIELD(msg_service_add, FROM_BODY, "purposes", MEMBER_PURPOSES, 0, purposes),
    STR(msg_service_add, FROM_BODY, "organisation", MEMBER_NAME, 0, organisation),
    STR(msg_service_add, FROM_BODY, "country", MEMBER_TEXT, 0, country),
    FIELD(msg_service_add, FROM_BODY, "not_for_profit", MEMBER_BOOL, 0, not_for_profit),
};
/* Every message that is a name and nothing else has it at the same place. */
static const struct member named[] = {
    STR(msg_service_show, FROM_PATH, "name", MEMBER_NAME, MUST, name),
};
static const struct member project_add[] = {
    STR(msg_project_add, FROM_BODY, "name", MEMBER_NAME, MUST, name),
    STR(msg_project_add, FROM_BODY, "title", MEMBER_TEXT, 0, title),
    STR(msg_project_add, FROM_BODY, "services", MEMBER_NAMES, MUST, services),
};
static const struct member ethics_add[] = {
    STR(msg_ethics_add, FROM_BODY, "name", MEMBER_NAME, MUST, name),
    STR(msg_ethics_add, FROM_BODY, "project", MEMBER_NAME, MUST, project),
    STR(msg_ethics_add, FROM_BODY, "datasets", MEMBER_NAMES, 0, datasets),
    STR(msg_ethics_add, FROM_BODY, "diseases", MEMBER_NAMES, 0, diseases),
    STR(msg_ethics_add, FROM_BODY, "uses", MEMBER_NAMES, 0, uses),
    FIELD(msg_ethics_add, FROM_BODY, "from", MEMBER_DATE, 0, valid_from),
    FIELD(msg_ethics_add, FROM_BODY, "until", MEMBER_DATE, 0, valid_until),
    FIELD(msg_ethics_add, FROM_BODY, "non_commercial", MEMBER_BOOL, 0, non_commercial),
};
static const struct member inquire[] = {
    FIELD(msg_inquire, FROM_BODY, "file", MEMBER_ID, 0, file),
    STR(msg_inquire, FROM_BODY, "subject", MEMBER_NAME, 0, subject),
    STR(msg_inquire, FROM_BODY, "name", MEMBER_FILE_NAME, 0, name),
    FIELD(msg_inquire, FROM_BODY, "purpose", MEMBER_PURPOSE, MUST, uses),
    STR(msg_inquire, FROM_BODY, "service", MEMBER_NAME, 0, service),
};
#define SHARES_PART(message)                                                                                           \
    FIELD(message, FROM_BODY, "shares", MEMBER_U32, 0, shares),                                                        \
        FIELD(message, FROM_BODY, "threshold", MEMBER_U32, 0, threshold),                                              \
        STR(message, FROM_BODY, "recipients", MEMBER_NAMES, 0, recipients)
static const struct member init[] = {
    STR(msg_init, FROM_BODY, "by", MEMBER_TEXT, 0, by),
    SHARES_PART(msg_init),
};
static const struct member unseal[] = {
    STR(msg_unseal, FROM_BODY, "share", MEMBER_TEXT, 0, share),
};
static const struct member seal_change[] = {
    STR(msg_seal_change, FROM_BODY, "by", MEMBER_TEXT, MUST, by),
    SHARES_PART(msg_seal_change),
};
static const struct member seal_confirm[] = {
    STR(msg_seal_confirm, FROM_BODY, "share", MEMBER_TEXT, MUST, share),
};
static const struct member seal_drill[] = {
    STR(msg_seal_drill, FROM_BODY, "share", MEMBER_TEXT, MUST, share),
};
static const struct member key_rotate[] = {
    STR(msg_key_rotate, FROM_BODY, "what", MEMBER_TEXT, MUST, what),
    FIELD(msg_key_rotate, FROM_BODY, "retire", MEMBER_BOOL, 0, retire),
    FIELD(msg_key_rotate, FROM_BODY, "without_backup", MEMBER_BOOL, 0, without_backup),
    FIELD(msg_key_rotate, FROM_BODY, "leave_damaged", MEMBER_BOOL, 0, leave_damaged),
};
static const struct member key_escrow[] = {
    SHARES_PART(msg_key_escrow),
};
static const struct member key_escrow_destroyed[] = {
    FIELD(msg_key_escrow_destroyed, FROM_PATH, "escrow", MEMBER_U32, MUST, number),
    STR(msg_key_escrow_destroyed, FROM_BODY, "statement", MEMBER_TEXT, MUST, statement),
};
/* Both decisions hold a number and nothing else. */
static const struct member pending[] = {
    FIELD(msg_pending_approve, FROM_PATH, "pending", MEMBER_U32, MUST, number),
};
/* As do the two that pause a job and let it go on. */
static const struct member job[] = {
    FIELD(msg_job_pause, FROM_PATH, "job", MEMBER_U32, MUST, number),
};
static const struct member job_rate[] = {
    FIELD(msg_job_rate, FROM_PATH, "job", MEMBER_U32, MUST, number),
    FIELD(msg_job_rate, FROM_BODY, "rate", MEMBER_U32, MUST, rate),
};
static const struct member backup[] = {
    STR(msg_backup, FROM_BODY, "name", MEMBER_TEXT, MUST, name),
};
static const struct member restore[] = {
    STR(msg_restore, FROM_BODY, "name", MEMBER_TEXT, MUST, name),
};
static const struct member restore_confirm[] = {
    STR(msg_restore_confirm, FROM_BODY, "statement", MEMBER_TEXT, MUST, statement),
    STR(msg_restore_confirm, FROM_BODY, "checkpoint", MEMBER_TEXT, 0, checkpoint),
};
static const struct member review_list[] = {
    STR(msg_review_list, FROM_QUERY, "cursor", MEMBER_TEXT, 0, cursor),
};
static const struct member review_close[] = {
    FIELD(msg_review_close, FROM_PATH, "record", MEMBER_U64, MUST, seq),
    STR(msg_review_close, FROM_BODY, "note", MEMBER_TEXT, MUST, note),
};
static const struct member policy_replay[] = {
    FIELD(msg_policy_replay, FROM_PATH, "seq", MEMBER_U64, MUST, seq),
};
static const struct member audit_proof[] = {
    FIELD(msg_audit_proof, FROM_PATH, "seq", MEMBER_U64, MUST, seq),
};
static const struct member archive[] = {
    FIELD(msg_archive, FROM_BODY, "to", MEMBER_U64, 0, to),
    FIELD(msg_archive, FROM_BODY, "until", MEMBER_DATE, 0, until),
};
static const struct member archive_list[] = {
    STR(msg_archive_list, FROM_QUERY, "cursor", MEMBER_TEXT, 0, cursor),
};
static const struct member archive_destroy[] = {
    FIELD(msg_archive_destroy, FROM_PATH, "segment", MEMBER_U32, MUST, number),
};
static const struct member audit_tail[] = {
    FIELD(msg_audit_tail, FROM_QUERY, "count", MEMBER_U32, 0, count),
};
static const struct member audit_export[] = {
    FIELD(msg_audit_export, FROM_BODY, "from", MEMBER_U64, 0, from),
    FIELD(msg_audit_export, FROM_BODY, "to", MEMBER_U64, 0, to),
    FIELD(msg_audit_export, FROM_BODY, "since", MEMBER_DATE, 0, since),
    FIELD(msg_audit_export, FROM_BODY, "until", MEMBER_DATE, 0, until),
    STR(msg_audit_export, FROM_BODY, "subject", MEMBER_NAME, 0, subject),
    STR(msg_audit_export, FROM_BODY, "service", MEMBER_TEXT, 0, service),
    STR(msg_audit_export, FROM_BODY, "project", MEMBER_NAME, 0, project),
    STR(msg_audit_export, FROM_BODY, "format", MEMBER_TEXT, MUST, format),
};
#define CHAIN_PART                                                                                                     \
    FIELD(msg_audit_chain, FROM_QUERY, "from", MEMBER_U64, MUST, from),                                                \
        FIELD(msg_audit_chain, FROM_QUERY, "to", MEMBER_U64, MUST, to),                                                \
        FIELD(msg_audit_chain, FROM_QUERY, "tree", MEMBER_U64, MUST, before)
static const struct member audit_of_subject[] = {
    STR(msg_audit_chain, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    CHAIN_PART,
};
static const struct member audit_of_service[] = {
    STR(msg_audit_chain, FROM_PATH, "service", MEMBER_TEXT, MUST, service),
    CHAIN_PART,
};
static const struct member audit_of_project[] = {
    STR(msg_audit_chain, FROM_PATH, "project", MEMBER_NAME, MUST, project),
    CHAIN_PART,
};
static const struct member audit_records[] = {
    FIELD(msg_audit_records, FROM_QUERY, "from", MEMBER_U64, MUST, from),
    FIELD(msg_audit_records, FROM_QUERY, "to", MEMBER_U64, MUST, to),
    FIELD(msg_audit_records, FROM_QUERY, "tree", MEMBER_U64, MUST, tree),
};
static const struct member audit_proofs[] = {
    FIELD(msg_audit_proofs, FROM_QUERY, "from", MEMBER_U64, MUST, from),
    FIELD(msg_audit_proofs, FROM_QUERY, "to", MEMBER_U64, MUST, to),
    FIELD(msg_audit_proofs, FROM_QUERY, "tree", MEMBER_U64, MUST, tree),
};
static const struct member file_list[] = {
    STR(msg_file_list, FROM_QUERY, "subject", MEMBER_NAME, 0, subject),
    STR(msg_file_list, FROM_QUERY, "dataset", MEMBER_NAME, 0, dataset),
    FIELD(msg_file_list, FROM_QUERY, "purpose", MEMBER_PURPOSE, 0, uses),
    STR(msg_file_list, FROM_QUERY, "cursor", MEMBER_TEXT, 0, cursor),
};
static const struct member file_show[] = {
    FIELD(msg_file_show, FROM_PATH, "file", MEMBER_ID, MUST, file),
    FIELD(msg_file_show, FROM_HEADER, "purpose", MEMBER_PURPOSE, 0, uses),
};
static const struct member open_by_id[] = {
    FIELD(msg_open, FROM_PATH, "file", MEMBER_ID, MUST, file),
    FIELD(msg_open, FROM_HEADER, "purpose", MEMBER_PURPOSE, MUST, uses),
};
static const struct member open_by_name[] = {
    STR(msg_open, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    STR(msg_open, FROM_PATH, "name", MEMBER_FILE_NAME, MUST, name),
    FIELD(msg_open, FROM_HEADER, "purpose", MEMBER_PURPOSE, MUST, uses),
};
static const struct member remove_by_id[] = {
    FIELD(msg_file_remove, FROM_PATH, "file", MEMBER_ID, MUST, file),
};
static const struct member remove_by_name[] = {
    STR(msg_file_remove, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    STR(msg_file_remove, FROM_PATH, "name", MEMBER_FILE_NAME, MUST, name),
};
static const struct member deposit[] = {
    STR(msg_upload_create, FROM_PATH, "subject", MEMBER_NAME, MUST, subject),
    STR(msg_upload_create, FROM_PATH, "name", MEMBER_FILE_NAME, MUST, name),
    STR(msg_upload_create, FROM_HEADER, "vault-dataset", MEMBER_NAME, 0, dataset),
    STR(msg_upload_create, FROM_HEADER, "vault-tags", MEMBER_TAGS, 0, tags),
};
static const struct member request_show[] = {
    FIELD(msg_request_show, FROM_PATH, "request", MEMBER_ID, MUST, wanted),
};

_Static_assert(offsetof(struct msg_subject_list, cursor) == offsetof(struct msg_service_list, cursor) &&
                   offsetof(struct msg_subject_list, cursor) == offsetof(struct msg_project_list, cursor) &&
                   offsetof(struct msg_subject_list, cursor) == offsetof(struct msg_ethics_list, cursor) &&
                   offsetof(struct msg_subject_list, cursor) == offsetof(struct msg_key_escrow_list, cursor),
               "cursors lie at the same place");
_Static_assert(offsetof(struct msg_service_show, name) == offsetof(struct msg_service_revoke, name) &&
                   offsetof(struct msg_service_show, name) == offsetof(struct msg_project_close, name) &&
                   offsetof(struct msg_service_show, name) == offsetof(struct msg_ethics_revoke, name),
               "names lie at the same place");
_Static_assert(offsetof(struct msg_pending_approve, number) == offsetof(struct msg_pending_refuse, number),
               "numbers lie at the same place");
_Static_assert(offsetof(struct msg_job_pause, number) == offsetof(struct msg_job_resume, number),
               "numbers of jobs lie at the same place");

const struct route routes[] = {
    {"GET", "/v1/status", serve_relay, MSG_status, BODY_NONE, NO_MEMBERS},
    {"POST", "/v1/init", serve_relay, MSG_init, BODY_JSON, MEMBERS(init)},
    {"POST", "/v1/unseal", serve_relay, MSG_unseal, BODY_JSON, MEMBERS(unseal)},
    {"POST", "/v1/seal", serve_relay, MSG_seal, BODY_JSON, NO_MEMBERS},

    {"GET", "/v1/subjects", serve_relay, MSG_subject_list, BODY_NONE, MEMBERS(list)},
    {"POST", "/v1/subjects", serve_relay, MSG_subject_add, BODY_JSON, MEMBERS(subject_add)},
    {"GET", "/v1/subjects/{subject}", serve_relay, MSG_subject_show, BODY_NONE, MEMBERS(subject_show)},
    {"PATCH", "/v1/subjects/{subject}", serve_relay, MSG_subject_change, BODY_JSON, MEMBERS(subject_change)},
    {"DELETE", "/v1/subjects/{subject}", serve_relay, MSG_subject_shred, BODY_NONE, MEMBERS(subject_shred)},
    {"POST", "/v1/opt-outs", serve_relay, MSG_opt_outs, BODY_JSON, MEMBERS(opt_outs)},

    {"GET", "/v1/consents/{subject}", serve_relay, MSG_consent_show, BODY_NONE, MEMBERS(consent_show)},
    {"PUT", "/v1/consents/{subject}", serve_consent, MSG_consent_set, BODY_RAW, NO_MEMBERS},
    {"DELETE", "/v1/consents/{subject}", serve_relay, MSG_consent_withdraw, BODY_NONE, MEMBERS(consent_withdraw)},

    {"GET", "/v1/subjects/{subject}/care", serve_relay, MSG_care_list, BODY_NONE, MEMBERS(subject_show)},
    {"PUT", "/v1/subjects/{subject}/care/{service}", serve_relay, MSG_care_add, BODY_JSON, MEMBERS(care_add)},
    {"DELETE", "/v1/subjects/{subject}/care/{service}", serve_relay, MSG_care_end, BODY_NONE, MEMBERS(care_end)},

    {"GET", "/v1/services", serve_relay, MSG_service_list, BODY_NONE, MEMBERS(list)},
    {"POST", "/v1/services", serve_relay, MSG_service_add, BODY_JSON, MEMBERS(service_add)},
    {"GET", "/v1/services/{name}", serve_relay, MSG_service_show, BODY_NONE, MEMBERS(named)},
    {"DELETE", "/v1/services/{name}", serve_relay, MSG_service_revoke, BODY_NONE, MEMBERS(named)},

    {"GET", "/v1/projects", serve_relay, MSG_project_list, BODY_NONE, MEMBERS(list)},
    {"POST", "/v1/projects", serve_relay, MSG_project_add, BODY_JSON, MEMBERS(project_add)},
    {"DELETE", "/v1/projects/{name}", serve_relay, MSG_project_close, BODY_NONE, MEMBERS(named)},

    {"GET", "/v1/ethics", serve_relay, MSG_ethics_list, BODY_NONE, MEMBERS(list)},
    {"POST", "/v1/ethics", serve_relay, MSG_ethics_add, BODY_JSON, MEMBERS(ethics_add)},
    {"DELETE", "/v1/ethics/{name}", serve_relay, MSG_ethics_revoke, BODY_NONE, MEMBERS(named)},

    {"GET", "/v1/policy", serve_relay, MSG_policy_show, BODY_NONE, NO_MEMBERS},
    {"PUT", "/v1/policy", serve_policy, MSG_policy_load, BODY_RAW, NO_MEMBERS},
    {"GET", "/v1/budgets", serve_relay, MSG_budget_list, BODY_NONE, MEMBERS(list)},
    {"GET", "/v1/reviews", serve_relay, MSG_review_list, BODY_NONE, MEMBERS(review_list)},
    {"POST", "/v1/reviews/{record}/close", serve_relay, MSG_review_close, BODY_JSON, MEMBERS(review_close)},
    {"GET", "/v1/decisions/{seq}", serve_relay, MSG_policy_replay, BODY_NONE, MEMBERS(policy_replay)},
    {"POST", "/v1/decisions", serve_inquiry, MSG_inquire, BODY_JSON, MEMBERS(inquire)},

    {"GET", "/v1/keys", serve_relay, MSG_key_list, BODY_NONE, NO_MEMBERS},
    {"POST", "/v1/keys/rotate", serve_relay, MSG_key_rotate, BODY_JSON, MEMBERS(key_rotate)},
    {"POST", "/v1/keys/seal", serve_relay, MSG_seal_change, BODY_JSON, MEMBERS(seal_change)},
    {"POST", "/v1/keys/seal/confirm", serve_relay, MSG_seal_confirm, BODY_JSON, MEMBERS(seal_confirm)},
    {"POST", "/v1/keys/seal/drill", serve_relay, MSG_seal_drill, BODY_JSON, MEMBERS(seal_drill)},
    {"DELETE", "/v1/keys/seal", serve_relay, MSG_seal_cancel, BODY_NONE, NO_MEMBERS},
    {"GET", "/v1/keys/escrows", serve_relay, MSG_key_escrow_list, BODY_NONE, MEMBERS(list)},
    {"POST", "/v1/keys/escrows", serve_relay, MSG_key_escrow, BODY_JSON, MEMBERS(key_escrow)},
    {"POST", "/v1/keys/escrows/{escrow}/destroyed", serve_relay, MSG_key_escrow_destroyed, BODY_JSON,
     MEMBERS(key_escrow_destroyed)},
    {"GET", "/v1/jobs", serve_relay, MSG_key_jobs, BODY_NONE, NO_MEMBERS},
    {"POST", "/v1/jobs/{job}/pause", serve_relay, MSG_job_pause, BODY_NONE, MEMBERS(job)},
    {"POST", "/v1/jobs/{job}/resume", serve_relay, MSG_job_resume, BODY_NONE, MEMBERS(job)},
    {"POST", "/v1/jobs/{job}/rate", serve_relay, MSG_job_rate, BODY_JSON, MEMBERS(job_rate)},

    {"GET", "/v1/pending", serve_relay, MSG_pending_list, BODY_NONE, NO_MEMBERS},
    {"POST", "/v1/pending/{pending}/approve", serve_relay, MSG_pending_approve, BODY_NONE, MEMBERS(pending)},
    {"POST", "/v1/pending/{pending}/refuse", serve_relay, MSG_pending_refuse, BODY_NONE, MEMBERS(pending)},

    {"POST", "/v1/scrub", serve_relay, MSG_scrub, BODY_NONE, NO_MEMBERS},
    {"GET", "/v1/scrub", serve_relay, MSG_scrub_show, BODY_NONE, NO_MEMBERS},

    {"POST", "/v1/backups", serve_relay, MSG_backup, BODY_JSON, MEMBERS(backup)},
    {"GET", "/v1/backups", serve_relay, MSG_backup_list, BODY_NONE, NO_MEMBERS},

    {"POST", "/v1/restore", serve_relay, MSG_restore, BODY_JSON, MEMBERS(restore)},
    {"POST", "/v1/restore/confirm", serve_relay, MSG_restore_confirm, BODY_JSON, MEMBERS(restore_confirm)},

    {"POST", "/v1/audit/archives", serve_relay, MSG_archive, BODY_JSON, MEMBERS(archive)},
    {"GET", "/v1/audit/archives", serve_relay, MSG_archive_list, BODY_NONE, MEMBERS(archive_list)},
    {"DELETE", "/v1/audit/archives/{segment}", serve_relay, MSG_archive_destroy, BODY_NONE, MEMBERS(archive_destroy)},
    {"GET", "/v1/audit/tail", serve_audit_tail, MSG_audit_tail, BODY_NONE, MEMBERS(audit_tail)},
    {"GET", "/v1/audit/checkpoint", serve_relay, MSG_audit_checkpoint, BODY_NONE, NO_MEMBERS},
    {"GET", "/v1/metrics", serve_metrics, MSG_metrics, BODY_NONE, NO_MEMBERS},
    {"GET", "/v1/audit/witnessed", serve_relay, MSG_audit_witnessed, BODY_NONE, NO_MEMBERS},
    {"POST", "/v1/audit/exports", serve_relay, MSG_audit_export, BODY_JSON, MEMBERS(audit_export)},
    {"GET", "/v1/audit/subjects/{subject}/records", serve_audit_chain, MSG_audit_chain, BODY_NONE,
     MEMBERS(audit_of_subject)},
    {"GET", "/v1/audit/subjects/{subject}/proofs", serve_audit_chain_proofs, MSG_audit_chain, BODY_NONE,
     MEMBERS(audit_of_subject)},
    {"GET", "/v1/audit/services/{service}/records", serve_audit_chain, MSG_audit_chain, BODY_NONE,
     MEMBERS(audit_of_service)},
    {"GET", "/v1/audit/services/{service}/proofs", serve_audit_chain_proofs, MSG_audit_chain, BODY_NONE,
     MEMBERS(audit_of_service)},
    {"GET", "/v1/audit/projects/{project}/records", serve_audit_chain, MSG_audit_chain, BODY_NONE,
     MEMBERS(audit_of_project)},
    {"GET", "/v1/audit/projects/{project}/proofs", serve_audit_chain_proofs, MSG_audit_chain, BODY_NONE,
     MEMBERS(audit_of_project)},
    {"GET", "/v1/audit/records", serve_audit_range, MSG_audit_records, BODY_NONE, MEMBERS(audit_records)},
    {"GET", "/v1/audit/proofs/{seq}", serve_relay, MSG_audit_proof, BODY_NONE, MEMBERS(audit_proof)},
    {"GET", "/v1/audit/proofs", serve_audit_range, MSG_audit_proofs, BODY_NONE, MEMBERS(audit_proofs)},

    {"GET", "/v1/files", serve_relay, MSG_file_list, BODY_NONE, MEMBERS(file_list)},
    {"GET", "/v1/files/{file}", serve_content, MSG_open, BODY_NONE, MEMBERS(open_by_id)},
    {"DELETE", "/v1/files/{file}", serve_relay, MSG_file_remove, BODY_NONE, MEMBERS(remove_by_id)},
    {"DELETE", "/v1/subjects/{subject}/files/{name}", serve_relay, MSG_file_remove, BODY_NONE, MEMBERS(remove_by_name)},
    {"GET", "/v1/files/{file}/metadata", serve_relay, MSG_file_show, BODY_NONE, MEMBERS(file_show)},
    {"GET", "/v1/subjects/{subject}/files/{name}", serve_content, MSG_open, BODY_NONE, MEMBERS(open_by_name)},
    {"PUT", "/v1/subjects/{subject}/files/{name}", serve_deposit, MSG_upload_create, BODY_RAW, MEMBERS(deposit)},
    {"GET", "/v1/requests/{request}", serve_relay, MSG_request_show, BODY_NONE, MEMBERS(request_show)},
};
const size_t route_count = sizeof(routes) / sizeof(routes[0]);
