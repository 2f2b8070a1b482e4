/* Worker and monitor: administration, by role. Each is answered by `answer` (JSON) unless said otherwise. All text is
 * [c]. Paged lists take the `next` of the page before as cursor; the first cursor is empty. */
#ifndef VAULT_PROTOCOL_ADMIN_H
#define VAULT_PROTOCOL_ADMIN_H

#include "vault/protocol/common.h"

#define FIELDS_cursor_part(F, R) F(R, STR, cursor, 256)
#define FIELDS_name_part(F, R) F(R, STR, name, NAME_MAX_SIZE)

#define FIELDS_status(F, R) FIELDS_nothing(F, R)
/* How many shares, how many of them open the vault, and for whom they are: public keys (X25519, base64url without
 * padding) with commas between, one for each share. */
#define FIELDS_shares_part(F, R)                                                                                       \
    F(R, U32, shares, 0)                                                                                               \
    F(R, U32, threshold, 0)                                                                                            \
    F(R, STR, recipients, 32 * 44)
/* `by` is "token", or empty: without shares the vault is sealed by its credential then. Answer 201: {"vault", "origin",
 * "vkey", "containers"}. */
#define FIELDS_init(F, R) F(R, STR, by, 16) FIELDS_shares_part(F, R)
/* A share in a Crypt4GH container to the exchange key, base64url without padding. Empty: by the credential or the
 * token. */
#define FIELDS_unseal(F, R) F(R, STR, share, 800)
#define FIELDS_seal(F, R) FIELDS_nothing(F, R)

#define FIELDS_subject_add(F, R)                                                                                       \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, U8, opt_out, 0)
#define FIELDS_subject_change(F, R)                                                                                    \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, U8, opt_out, 0)
/* Subjects of the national opt-out register: comma-separated, at most OPT_OUTS. Each that is there and has not opted
 * out yet is opted out. All parts of a register that has a day name it; the last one says that it is complete, and
 * there may be none in that. Answer: what became of each, after the last byte of every stream that it ends. */
enum { OPT_OUTS = 32 };
#define FIELDS_opt_outs(F, R)                                                                                          \
    F(R, STR, subjects, OPT_OUTS * 129) /* names of NAME_MAX_SIZE, and commas */                                       \
    F(R, U64, dated, 0)                 /* seconds since 1970; 0: the register has no day */                           \
    F(R, U8, complete, 0)               /* with a day: all other parts were taken in */
#define FIELDS_subject_show(F, R) F(R, STR, subject, NAME_MAX_SIZE)
/* The subject's key is deleted, or one file's; both wait for a second person. An approved one is answered when the
 * last byte of every stream that it ends has gone. */
#define FIELDS_subject_shred(F, R) F(R, STR, subject, NAME_MAX_SIZE)
#define FIELDS_file_remove(F, R) FIELDS_file_part(F, R)
#define FIELDS_subject_list(F, R) FIELDS_cursor_part(F, R)

/* A consent document, already parsed; the fields are struct consent of vault/documents.h, encoded. */
#define FIELDS_consent_set(F, R) F(R, BYTES, consent, 2048)
#define FIELDS_consent_show(F, R)                                                                                      \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, U8, history, 0)
/* Answered when the last byte of every stream that it ends has gone. */
#define FIELDS_consent_withdraw(F, R)                                                                                  \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, U8, purpose, 0) /* enum purpose_kind; PURPOSE_NONE: all */

#define FIELDS_care_add(F, R)                                                                                          \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, U64, until, 0) /* seconds since 1970; 0: until it is ended */
/* Answered when the last byte of every stream that it ends has gone. */
#define FIELDS_care_end(F, R)                                                                                          \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, service, NAME_MAX_SIZE)
#define FIELDS_care_list(F, R) F(R, STR, subject, NAME_MAX_SIZE)

#define FIELDS_service_add(F, R)                                                                                       \
    FIELDS_name_part(F, R) F(R, STR, san, SAN_MAX_SIZE) F(R, U32, roles, 0) /* 1 << enum role */                       \
        F(R, U32, purposes, 0)                                              /* 1 << enum purpose_kind */               \
        F(R, STR, organisation, NAME_MAX_SIZE)                              /* whose it is; empty: not known */        \
        F(R, STR, country, 2) F(R, U8, not_for_profit, 0)                   /* where, and what that is */
#define FIELDS_service_list(F, R) FIELDS_cursor_part(F, R)
#define FIELDS_service_show(F, R) FIELDS_name_part(F, R)
#define FIELDS_service_revoke(F, R) FIELDS_name_part(F, R)

#define FIELDS_project_add(F, R)                                                                                       \
    FIELDS_name_part(F, R) F(R, STR, title, 256)                                                                       \
        F(R, STR, services, 1024) /* comma-separated names of the services that work on it */
#define FIELDS_project_list(F, R) FIELDS_cursor_part(F, R)
#define FIELDS_project_close(F, R) FIELDS_name_part(F, R)

#define FIELDS_ethics_add(F, R)                                                                                        \
    FIELDS_name_part(F, R) F(R, STR, project, NAME_MAX_SIZE)                                                           \
        F(R, STR, datasets, 1024) /* comma-separated; empty: every dataset */                                          \
        F(R, STR, diseases, 1024) /* comma-separated; that a purpose may name, with their kinds */                     \
        F(R, STR, uses, 256)      /* comma-separated; that a purpose may name */                                       \
        F(R, U64, valid_from, 0)  /* seconds since 1970; 0: no bound */                                                \
        F(R, U64, valid_until, 0) /* seconds since 1970; 0: no bound */                                                \
        F(R, U8, non_commercial, 0)
#define FIELDS_ethics_list(F, R) FIELDS_cursor_part(F, R)
#define FIELDS_ethics_revoke(F, R) FIELDS_name_part(F, R)

/* A policy document, already parsed: policy_encode of vault/documents.h. */
#define FIELDS_policy_load(F, R) F(R, BYTES, policy, BLOCK_MAX)
#define FIELDS_policy_show(F, R) FIELDS_nothing(F, R)
#define FIELDS_policy_replay(F, R) F(R, U64, seq, 0) /* of the record that holds the decision */
#define FIELDS_budget_list(F, R) FIELDS_cursor_part(F, R)
#define FIELDS_review_list(F, R) FIELDS_cursor_part(F, R)
#define FIELDS_review_close(F, R)                                                                                      \
    F(R, U64, seq, 0)    /* of the record in which glass was broken */                                                 \
    F(R, STR, note, 200) /* what the auditor found */

#define FIELDS_key_list(F, R) FIELDS_nothing(F, R)
/* With `retire` (`what` is "kek") nothing is renewed but the root key: the ring forgets older generations, once a
 * second person approved. */
#define FIELDS_key_rotate(F, R)                                                                                        \
    F(R, STR, what, 16) /* "kek", "root", "subject", "audit", "index" */                                               \
    F(R, U8, retire, 0)                                                                                                \
    F(R, U8, without_backup, 0)                                                                                        \
    F(R, U8, leave_damaged, 0) /* "index": what does not open is left behind, for no key */
#define FIELDS_key_jobs(F, R) FIELDS_nothing(F, R)
/* A job that has not ended; those after it wait for it. */
#define FIELDS_job_pause(F, R) F(R, U32, number, 0)
#define FIELDS_job_resume(F, R) F(R, U32, number, 0)
#define FIELDS_job_rate(F, R)                                                                                          \
    F(R, U32, number, 0)                                                                                               \
    F(R, U32, rate, 0) /* entries in a second, up to 1,000,000; 0: no limit */

/* Another seal. By shares it is proposed only: it takes effect when `threshold` of them were shown back. Answer 202
 * with "containers", by the credential or the token 200. */
#define FIELDS_seal_change(F, R) F(R, STR, by, 16) /* "shares", "credential", "token" */ FIELDS_shares_part(F, R)
/* A share of the proposed seal; a share of the one in force, to see that it is good. As in `unseal`. */
#define FIELDS_seal_confirm(F, R) F(R, STR, share, 800)
#define FIELDS_seal_drill(F, R) F(R, STR, share, 800)
#define FIELDS_seal_cancel(F, R) FIELDS_nothing(F, R)

/* A copy of the key ring under a root key of its own, sealed by shares made for it; the ring stays as it is. Answer 201
 * with "keyring" and "containers". */
#define FIELDS_key_escrow(F, R) FIELDS_shares_part(F, R)
#define FIELDS_key_escrow_list(F, R) FIELDS_cursor_part(F, R)
/* Somebody states that a copy and its shares were destroyed; waits for a second person. */
#define FIELDS_key_escrow_destroyed(F, R)                                                                              \
    F(R, U32, number, 0)                                                                                               \
    F(R, STR, statement, 300)

/* Requests that wait for a second person, and what that one says. An approved request is answered as itself. */
#define FIELDS_pending_list(F, R) FIELDS_nothing(F, R)
#define FIELDS_pending_approve(F, R) F(R, U32, number, 0)
#define FIELDS_pending_refuse(F, R) F(R, U32, number, 0)

/* Begins to check the index and every object; how far the last one has got. */
#define FIELDS_scrub(F, R) FIELDS_nothing(F, R)
#define FIELDS_scrub_show(F, R) FIELDS_nothing(F, R)

/* Begins a copy of the index; those that there are, and how the last one goes. Answer 202; what becomes of it the list
 * tells. */
#define FIELDS_backup(F, R) F(R, STR, name, 1023)
#define FIELDS_backup_list(F, R) FIELDS_nothing(F, R)
/* Puts a copy in the place of an index that is not there; then the vault is opened. Answered when that has ended. */
#define FIELDS_restore(F, R) F(R, STR, name, 1023)
/* States that what was withdrawn, opted out of, shredded or revoked after the backup is so again. `checkpoint` is the
 * last one known from outside, base64 without padding, or empty. */
#define FIELDS_restore_confirm(F, R)                                                                                   \
    F(R, STR, statement, 512)                                                                                          \
    F(R, STR, checkpoint, 5464)

/* That one's own record is in the log, without the record. Answer: {"seq", "leaf", "proof", "checkpoint"}. */
#define FIELDS_audit_proof(F, R) F(R, U64, seq, 0)
/* Answer: block. */
#define FIELDS_audit_tail(F, R) F(R, U32, count, 0) /* up to 100 */
#define FIELDS_audit_checkpoint(F, R) FIELDS_nothing(F, R)
/* Numbers for whoever watches the vault. Answer: block, text. */
#define FIELDS_metrics(F, R) FIELDS_nothing(F, R)
/* The last one that a witness cosigned. */
#define FIELDS_audit_witnessed(F, R) FIELDS_nothing(F, R)
/* Records the export and fixes its tree. Answer: {"from", "to", "size", "checkpoint", "vkey"}; the export's own record
 * is number size - 1. */
#define FIELDS_audit_export(F, R)                                                                                      \
    F(R, U64, from, 0)                /* first record number */                                                        \
    F(R, U64, to, 0)                  /* one past the last; 0: up to the export's own record */                        \
    F(R, U64, since, 0)               /* seconds since 1970: no record before; 0: no bound */                          \
    F(R, U64, until, 0)               /* nor from then on; 0: no bound */                                              \
    F(R, STR, subject, NAME_MAX_SIZE) /* of this one only; empty: of all */                                            \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, project, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, format, 16)
/* Has records moved to archive segments: those before number `to`, or before the second `until` (since 1970); 0: the
 * other one says. Answer 202 with the job. */
#define FIELDS_archive(F, R)                                                                                           \
    F(R, U64, to, 0)                                                                                                   \
    F(R, U64, until, 0)
#define FIELDS_archive_list(F, R) FIELDS_cursor_part(F, R)
/* The key and the file of a segment, when all its records are older than they are kept; waits for a second person. */
#define FIELDS_archive_destroy(F, R) F(R, U32, number, 0)
/* The numbers of the records of one subject, service or project, the last first, be64 each. Answer: block; its `next`
 * is `before` for those that go on; 0: these were all. */
#define FIELDS_audit_chain(F, R)                                                                                       \
    F(R, STR, subject, NAME_MAX_SIZE) /* one of the three */                                                           \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, project, NAME_MAX_SIZE)                                                                                  \
    F(R, U64, from, 0) /* no number below */                                                                           \
    F(R, U64, to, 0)   /* nor from here on */                                                                          \
    F(R, U64, before, 0)
/* Answer: block. Lines of the records (their proofs) of these numbers, as many whole ones as fit; `next` is how many of
 * the numbers they are of. */
#define FIELDS_audit_lines(F, R)                                                                                       \
    F(R, BYTES, numbers, 4096) /* be64 each */                                                                         \
    F(R, U64, tree, 0)                                                                                                 \
    F(R, U8, proofs, 0)
/* Answer: block. Lines `[from, ...)` with their newlines, as many whole ones as fit. `size` fixes the tree. */
#define FIELDS_audit_records(F, R)                                                                                     \
    F(R, U64, from, 0)                                                                                                 \
    F(R, U64, to, 0)                                                                                                   \
    F(R, U64, tree, 0)
/* Answer: block. Lines {"proof":["base64", ...],"records":k,"seq":n} of inclusion proofs in a tree of `tree` records:
 * each proves k records up to n that follow one another (docs/format-audit.md), the first one. */
#define FIELDS_audit_proofs(F, R)                                                                                      \
    F(R, U64, from, 0)                                                                                                 \
    F(R, U64, to, 0)                                                                                                   \
    F(R, U64, tree, 0)
#define FIELDS_block(F, R)                                                                                             \
    F(R, U64, next, 0) /* first record not in it */                                                                    \
    F(R, BYTES, bytes, BLOCK_MAX)

#define PROTOCOL_ADMIN(M)                                                                                              \
    M(status, 0x0501, 0)                                                                                               \
    M(init, 0x0502, 0)                                                                                                 \
    M(unseal, 0x0503, 0)                                                                                               \
    M(seal, 0x0504, 0)                                                                                                 \
    M(subject_add, 0x0505, 0)                                                                                          \
    M(subject_change, 0x0506, 0)                                                                                       \
    M(subject_show, 0x0507, 0)                                                                                         \
    M(subject_list, 0x0508, 0)                                                                                         \
    M(opt_outs, 0x0554, 0)                                                                                             \
    M(consent_set, 0x0509, 0)                                                                                          \
    M(consent_show, 0x050a, 0)                                                                                         \
    M(consent_withdraw, 0x050b, 0)                                                                                     \
    M(service_add, 0x050c, 0)                                                                                          \
    M(service_list, 0x050d, 0)                                                                                         \
    M(service_show, 0x050e, 0)                                                                                         \
    M(service_revoke, 0x050f, 0)                                                                                       \
    M(project_add, 0x0510, 0)                                                                                          \
    M(project_list, 0x0511, 0)                                                                                         \
    M(project_close, 0x0512, 0)                                                                                        \
    M(ethics_add, 0x0513, 0)                                                                                           \
    M(ethics_list, 0x0514, 0)                                                                                          \
    M(ethics_revoke, 0x0515, 0)                                                                                        \
    M(policy_load, 0x0516, 0)                                                                                          \
    M(policy_show, 0x0517, 0)                                                                                          \
    M(policy_replay, 0x0555, 0)                                                                                        \
    M(review_list, 0x0556, 0)                                                                                          \
    M(review_close, 0x0557, 0)                                                                                         \
    M(budget_list, 0x0558, 0)                                                                                          \
    M(care_add, 0x0559, 0)                                                                                             \
    M(care_end, 0x055a, 0)                                                                                             \
    M(care_list, 0x055b, 0)                                                                                            \
    M(audit_proof, 0x055c, 0)                                                                                          \
    M(audit_chain, 0x055d, 0)                                                                                          \
    M(metrics, 0x0560, 0)                                                                                              \
    M(audit_witnessed, 0x055f, 0)                                                                                      \
    M(audit_lines, 0x055e, 0)                                                                                          \
    M(archive, 0x0561, 0)                                                                                              \
    M(archive_list, 0x0562, 0)                                                                                         \
    M(archive_destroy, 0x0563, 0)                                                                                      \
    M(key_list, 0x0518, 0)                                                                                             \
    M(key_rotate, 0x0519, 0)                                                                                           \
    M(key_jobs, 0x051a, 0)                                                                                             \
    M(audit_tail, 0x051b, 0)                                                                                           \
    M(audit_checkpoint, 0x051c, 0)                                                                                     \
    M(audit_export, 0x051d, 0)                                                                                         \
    M(audit_records, 0x051e, 0)                                                                                        \
    M(audit_proofs, 0x051f, 0)                                                                                         \
    M(block, 0x0520, 0)                                                                                                \
    M(scrub, 0x0521, 0)                                                                                                \
    M(scrub_show, 0x0522, 0)                                                                                           \
    M(seal_change, 0x0523, 0)                                                                                          \
    M(seal_confirm, 0x0524, 0)                                                                                         \
    M(seal_drill, 0x0525, 0)                                                                                           \
    M(seal_cancel, 0x0526, 0)                                                                                          \
    M(key_escrow, 0x0527, 0)                                                                                           \
    M(key_escrow_list, 0x0528, 0)                                                                                      \
    M(key_escrow_destroyed, 0x0529, 0)                                                                                 \
    M(backup, 0x0550, 0)                                                                                               \
    M(backup_list, 0x0551, 0)                                                                                          \
    M(restore, 0x0552, 0)                                                                                              \
    M(restore_confirm, 0x0553, 0)                                                                                      \
    M(pending_list, 0x0530, 0)                                                                                         \
    M(pending_approve, 0x0531, 0)                                                                                      \
    M(pending_refuse, 0x0532, 0)                                                                                       \
    M(subject_shred, 0x0533, 0)                                                                                        \
    M(file_remove, 0x0534, 0)                                                                                          \
    M(job_pause, 0x0540, 0)                                                                                            \
    M(job_resume, 0x0541, 0)                                                                                           \
    M(job_rate, 0x0542, 0)

#endif
