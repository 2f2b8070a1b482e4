/* Every command of the program; each is defined in the file of its group. */
#ifndef VAULTCTL_COMMANDS_H
#define VAULTCTL_COMMANDS_H

#include "command.h"

extern const struct command command_metrics, command_status, command_init, command_unseal, command_seal;
extern const struct command command_subject_add, command_subject_show, command_subject_list, command_subject_change,
    command_subject_opt_out, command_subject_shred, command_remove;
extern const struct command command_care_add, command_care_end, command_care_list;
extern const struct command command_consent_set, command_consent_show, command_consent_withdraw;
extern const struct command command_service_add, command_service_list, command_service_show, command_service_revoke;
extern const struct command command_project_add, command_project_list, command_project_close;
extern const struct command command_ethics_add, command_ethics_list, command_ethics_revoke;
extern const struct command command_policy_load, command_policy_show, command_policy_explain, command_policy_test,
    command_policy_replay, command_policy_budgets;
extern const struct command command_review_list, command_review_close;
extern const struct command command_put, command_get, command_list, command_show;
extern const struct command command_pending_list, command_pending_approve, command_pending_refuse;
extern const struct command command_key_list, command_key_rotate, command_key_jobs, command_key_jobs_pause,
    command_key_jobs_resume, command_key_jobs_rate;
extern const struct command command_key_seal, command_key_confirm, command_key_cancel, command_key_drill;
extern const struct command command_key_escrow, command_key_escrow_list, command_key_escrow_destroyed;
extern const struct command command_share_keys, command_share_open;
extern const struct command command_audit_proof, command_audit_archive, command_audit_archives, command_audit_destroy;
extern const struct command command_audit_tail, command_audit_checkpoint, command_audit_export, command_audit_verify;
extern const struct command command_scrub, command_backup, command_restore;
extern const struct command command_request_show;

#endif
