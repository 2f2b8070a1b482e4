/* Which request is handled by whom. */
#ifndef VAULT_MONITOR_TABLE_H
#define VAULT_MONITOR_TABLE_H

#include "vaultd/monitor/monitor.h"

/* One message of a worker. */
void table_dispatch(struct monitor *m, struct worker *w, struct message *request);
/* The roles of which a type needs one. False if workers may not ask this. */
bool table_roles(enum message_type type, uint32_t *ret_roles);
/* Handles an approved request. VAULT_AGAIN: it was answered that there is no room for it; otherwise as its handler. */
int table_run(struct request *q);

/* ---- the handlers, in the order of the table ---- */

request_handler answer_open, answer_page_get, answer_grant_close;
request_handler answer_upload_create, answer_upload_announce, answer_upload_page, answer_upload_commit,
    answer_upload_abort;
request_handler answer_rekey_next, answer_rekey_create, answer_rekey_end;
request_handler answer_file_list, answer_file_show, answer_inquire, answer_request_show, answer_refusal;
request_handler answer_status, answer_init, answer_unseal, answer_seal;
request_handler answer_subject_add, answer_subject_change, answer_opt_outs, answer_subject_show, answer_subject_list;
request_handler answer_consent_set, answer_consent_show, answer_consent_withdraw;
request_handler answer_care_add, answer_care_end, answer_care_list;
request_handler answer_service_add, answer_service_list, answer_service_show, answer_service_revoke;
request_handler answer_project_add, answer_project_list, answer_project_close;
request_handler answer_ethics_add, answer_ethics_list, answer_ethics_revoke;
request_handler answer_policy_load, answer_policy_show, answer_policy_replay;
request_handler answer_budget_list;
request_handler answer_review_list, answer_review_close;
request_handler answer_key_list, answer_key_rotate, answer_key_jobs, answer_scrub, answer_scrub_show;
request_handler answer_job_pause, answer_job_resume, answer_job_rate;
request_handler answer_audit_proof, answer_audit_chain, answer_audit_lines, answer_audit_witnessed, answer_metrics;
request_handler answer_audit_tail, answer_audit_checkpoint, answer_audit_export, answer_audit_records,
    answer_audit_proofs;
request_handler answer_archive, answer_archive_list, answer_archive_destroy;
request_handler answer_seal_change, answer_seal_confirm, answer_seal_drill, answer_seal_cancel;
request_handler answer_key_escrow, answer_key_escrow_list, answer_key_escrow_destroyed;
request_handler answer_subject_shred, answer_file_remove;
request_handler answer_backup, answer_backup_list, answer_restore, answer_restore_confirm;
request_handler answer_anchors_seen;
request_handler answer_pending_list, answer_pending_approve, answer_pending_refuse;

#endif
