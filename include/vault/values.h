/* What the index holds, value by value. docs/format-index.md says the same in prose. Times are microseconds since 1970
 * unless a comment says seconds. */
#ifndef VAULT_VALUES_H
#define VAULT_VALUES_H

#include "vault/documents.h"
#include "vault/keyring.h"
#include "vault/manifest.h"
#include "vault/wrap.h"

enum { INDEX_FORMAT = 12 };

enum { PENDING_MOST = 64, PENDING_DETAIL = 1792 };
enum { ESCROWS_MOST = 32, ESCROW_STATEMENT = 300 };

enum meta_intent {
    INTENT_NONE = 0,
    INTENT_ADD_GENERATION = 1,
    INTENT_RESEAL = 2,
    INTENT_RETIRE = 3,
    INTENT_AUDIT_KEY = 4,
    INTENT_INDEX_KEY = 5,      /* the next one is to be beside the present one */
    INTENT_INDEX_KEY_DONE = 6, /* the present one is to go */
    INTENT_NAME_KEY = 7,       /* likewise the name key */
    INTENT_NAME_KEY_DONE = 8,
    INTENT_ORIGIN = 9, /* only its epoch, which names the log from then on */
};

/* Whose entries are moving to where the next name key has them: those of the stages before have moved. */
enum naming {
    NAMING_NONE = 0,
    NAMING_SUBJECTS = 1,
    NAMING_SERVICES = 2,
    NAMING_SANS = 3,
    NAMING_LOCALS = 4, /* chains of administrators on the Unix socket */
    NAMING_PROJECTS = 5,
    NAMING_ETHICS = 6,
    NAMING_DONE = 7,
};

#define FIELDS_meta_value(F, R)                                                                                        \
    F(R, U32, format, 0)                                                                                               \
    F(R, FIXED, vault, KEYRING_ID)                                                                                     \
    F(R, U64, epoch, 0) /* of the key ring that belongs to it */                                                       \
    F(R, U8, dev, 0)                                                                                                   \
    F(R, U8, intent, 0)                    /* enum meta_intent: what the ring is about to become */                    \
    F(R, U32, generation, 0)               /* active: wraps happen under it */                                         \
    F(R, U32, policy, 0)                   /* version in force; 0: none */                                             \
    F(R, U64, policy_record, 0)            /* number of the record that put it in force */                             \
    F(R, U64, stores, 0)                   /* how often this value was stored: the tree's value says so too */         \
    F(R, U32, jobs, 0)                     /* number of the last job */                                                \
    F(R, U32, jobs_ended, 0)               /* jobs up to this number have ended */                                     \
    F(R, U32, pending, 0)                  /* number of the last request that waits, or waited, for approval */        \
    F(R, BYTES, waiting, 4 * PENDING_MOST) /* be32 numbers of those that wait */                                       \
    F(R, U32, clean, 0)    /* no subject is wrapped under a generation before this one; 0: not known */                \
    F(R, U8, four_eyes, 0) /* 1: there was somebody who could approve (services.c) */                                  \
    F(R, U64, subjects, 0)                                                                                             \
    F(R, U64, files, 0)                                                                                                \
    F(R, U32, aside, 0)  /* number of the job that runs beside the others: the rotation of data keys; 0: none */       \
    F(R, U32, escrow, 0) /* number of the last escrow copy of the ring */                                              \
    F(R, BYTES, escrows, 4 * ESCROWS_MOST) /* be32 numbers of those that were not destroyed */                         \
    F(R, U64, reported, 0)                 /* failed authentications: see failure_value */                             \
    F(R, U64, confirmed, 0)                                                                                            \
    F(R, U32, set_aside, 0)  /* files that are */                                                                      \
    F(R, U64, sealed, 0)     /* when the root key and its seal were last changed */                                    \
    F(R, U32, backups, 0)    /* number of the last backup */                                                           \
    F(R, U8, copy, 0)        /* 1: this is a copy, in force nowhere: where it is opened, it is restored */             \
    F(R, U32, restored, 0)   /* how often this index was restored */                                                   \
    F(R, U8, unconfirmed, 0) /* 1: restored, and nobody has stated yet that what was lost is in force again */         \
    F(R, U8, doubted, 0)     /* 1: a witness has seen another log than this one, and nobody has answered for it */     \
    F(R, FIXED, doubter, HASH_SIZE) /* its public key: of the first that said so; zero: nobody doubts */               \
    F(R, U64, continues, 0)         /* size of the log that the last restore continues */                              \
    F(R, U32, origin, 0)            /* epoch of the ring that its log's name tells of; 0: it was never restored */     \
    F(R, U32, origin_before, 0)     /* the same of the log that it continues */                                        \
    F(R, U64, backed_up, 0)         /* the most records that a verified backup holds; 0: there is none */              \
    F(R, U32, name_key, 0)          /* generation of the name key that entries are under */                            \
    F(R, U8, naming, 0) /* enum naming: whose entries move; `named` is the hash of before of the last of them */       \
    F(R, FIXED, named, HASH_SIZE)                                                                                      \
    F(R, U64, opt_outs_of, 0)       /* day of the register of opt-outs that was taken in whole, seconds; 0: none */    \
    F(R, U32, reviews, 0)           /* how many wait for an auditor */                                                 \
    F(R, U32, segments, 0)          /* number of the last archive segment; 0: there is none */                         \
    F(R, U64, archived, 0)          /* records before this one are in archive segments */                              \
    F(R, FIXED, anchors, HASH_SIZE) /* SHA-256 of the client authorities in force; zero: none were kept yet */
DECLARE_RECORD(meta_value);

/* A subject's key makes way for another: some data keys are still under the key before, or must stay under it, since a
 * file is damaged. */
enum turning { TURN_NONE = 0, TURN_UNDER_WAY = 1, TURN_INCOMPLETE = 2 };

#define FIELDS_subject_value(F, R)                                                                                     \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, U64, added, 0)                                                                                                \
    F(R, U8, opt_out, 0)                                                                                               \
    F(R, U32, key_number, 0) /* which key of this subject is in use, from 1; while turning also the one before */      \
    F(R, U8, turning, 0)     /* enum turning */                                                                        \
    F(R, U64, shredded, 0)   /* when; 0: not. Its keys are gone then */                                                \
    F(R, U32, shreds, 0)     /* number of the last shred_value */                                                      \
    F(R, U32, consent, 0)    /* version in force; 0: none was given */                                                 \
    F(R, U64, current, 0)    /* number of the record that made consent, opt-out and care what they are */              \
    F(R, U64, files, 0)                                                                                                \
    F(R, U64, care, 0)       /* number of the record that last changed in whose care it is; 0: none did */             \
    F(R, FIXED, id, ID_SIZE) /* random, and no name key moves it */
DECLARE_RECORD(subject_value);

enum { CARE_MOST = 32 };

/* In whose care a subject is (registers/care.c). */
#define FIELDS_care_value(F, R)                                                                                        \
    F(R, U64, record, 0) /* as in the subject */                                                                       \
    F(R, BYTES, entries,                                                                                               \
      CARE_MOST *(NAME_MAX_SIZE + 18)) /* STR service, u64 since, u64 until (seconds; 0: none), each */
DECLARE_RECORD(care_value);

/* Sealed by its wrap, and stored as it is. */
#define FIELDS_subject_key_value(F, R)                                                                                 \
    F(R, U32, generation, 0) /* of the key-encryption key that wraps it */                                             \
    F(R, FIXED, key, WRAP_SIZE)
DECLARE_RECORD(subject_key_value);

enum withdrawn { WITHDRAWN_TREATMENT = 1, WITHDRAWN_RESEARCH = 2 };

#define FIELDS_consent_value(F, R)                                                                                     \
    F(R, U32, version, 0)                                                                                              \
    F(R, U64, recorded, 0)                                                                                             \
    F(R, U64, record, 0)   /* number of the record that put it in force */                                             \
    F(R, U8, withdrawn, 0) /* mask of enum withdrawn: this version is a withdrawal of these */                         \
    F(R, STR, since, 10) /* YYYY-MM-DD: the latest signature or withdrawal up to it; older paper does not widen it */  \
    FIELDS_consent(F, R)
DECLARE_RECORD(consent_value);

#define FIELDS_service_value(F, R)                                                                                     \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, STR, san, SAN_MAX_SIZE)                                                                                       \
    F(R, U32, roles, 0)                                                                                                \
    F(R, U32, purposes, 0)                                                                                             \
    F(R, STR, organisation, NAME_MAX_SIZE) /* empty: not known */                                                      \
    F(R, STR, country, 2)                  /* likewise */                                                              \
    F(R, U8, not_for_profit, 0)                                                                                        \
    F(R, U64, added, 0)                                                                                                \
    F(R, U64, current, 0) /* number of the record that made it what it is */                                           \
    F(R, U8, revoked, 0)
DECLARE_RECORD(service_value);

#define FIELDS_san_value(F, R) F(R, STR, name, NAME_MAX_SIZE)
DECLARE_RECORD(san_value);

#define FIELDS_project_value(F, R)                                                                                     \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, STR, title, 256)                                                                                              \
    F(R, STR, services, 1024) /* comma-separated */                                                                    \
    F(R, U64, added, 0)                                                                                                \
    F(R, U64, current, 0) /* number of the record that made it what it is */                                           \
    F(R, U8, closed, 0)
DECLARE_RECORD(project_value);

#define FIELDS_ethics_value(F, R)                                                                                      \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, STR, project, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, datasets, 1024) /* comma-separated; empty: all */                                                        \
    F(R, STR, diseases, 1024) /* comma-separated; a purpose may name these and kinds of them; empty: none */           \
    F(R, STR, uses, 256)      /* comma-separated, DUO:0000031 to DUO:0000040; a purpose may name these; empty: none */ \
    F(R, U64, valid_from, 0)  /* seconds; 0: no bound */                                                               \
    F(R, U64, valid_until, 0)                                                                                          \
    F(R, U8, non_commercial, 0)                                                                                        \
    F(R, U64, added, 0)                                                                                                \
    F(R, U64, current, 0) /* number of the record that made it what it is */                                           \
    F(R, U8, revoked, 0)
DECLARE_RECORD(ethics_value);

#define FIELDS_policy_value(F, R)                                                                                      \
    F(R, U32, version, 0)                                                                                              \
    F(R, U64, loaded, 0)                                                                                               \
    F(R, U64, record, 0)           /* number of the record that put it in force */                                     \
    F(R, FIXED, hash, HASH_SIZE)   /* BLAKE2b-256 of the encoded policy */                                             \
    F(R, BYTES, policy, BLOCK_MAX) /* policy_encode */
DECLARE_RECORD(policy_value);

#define FIELDS_file_value(F, R)                                                                                        \
    F(R, FIXED, file, ID_SIZE)                                                                                         \
    F(R, FIXED, blob, ID_SIZE)                                                                                         \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, STR, dataset, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, tags, 512)                                                                                               \
    F(R, U64, size, 0)                                                                                                 \
    F(R, FIXED, sha256, HASH_SIZE)                                                                                     \
    F(R, U64, deposited, 0)                                                                                            \
    F(R, STR, service, NAME_MAX_SIZE)
DECLARE_RECORD(file_value);

#define FIELDS_file_name_value(F, R) F(R, FIXED, file, ID_SIZE)
DECLARE_RECORD(file_name_value);

#define FIELDS_mark_value(F, R) F(R, U32, length, 0) /* upload-objects: bytes of the object; else 0 */
DECLARE_RECORD(mark_value);

#define FIELDS_blob_value(F, R)                                                                                        \
    F(R, FIXED, file, ID_SIZE)      /* whose content it is */                                                          \
    F(R, FIXED, subject, HASH_SIZE) /* hash of the subject whose key wraps it */                                       \
    F(R, U32, generation, 0)        /* of that subject's key */                                                        \
    F(R, FIXED, key, WRAP_SIZE)     /* wrapped data key */                                                             \
    F(R, U64, size, 0)                                                                                                 \
    F(R, U32, chunks, 0)                                                                                               \
    F(R, U32, number, 0) /* of the data key: 1 at the deposit, and one more with each rotation */                      \
    F(R, U64, keyed, 0)  /* since when the content is under it */
DECLARE_RECORD(blob_value);

#define FIELDS_page_value(F, R) F(R, BYTES, chunks, MANIFEST_PAGE)
DECLARE_RECORD(page_value);

#define FIELDS_object_value(F, R)                                                                                      \
    F(R, FIXED, blob, ID_SIZE) /* whose it is, or is to be */                                                          \
    F(R, U8, paged, 0)         /* 1: that blob's manifest names it */
DECLARE_RECORD(object_value);

/* Dropped: what it announced is being removed. Published: its marks are. */
enum upload_state { UPLOAD_OPEN = 0, UPLOAD_DROPPED = 1, UPLOAD_PUBLISHED = 2 };

#define FIELDS_upload_value(F, R)                                                                                      \
    F(R, U64, worker, 0) /* that writes it; worth nothing after a restart */                                           \
    F(R, FIXED, request, ID_SIZE)                                                                                      \
    F(R, FIXED, blob, ID_SIZE)                                                                                         \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, STR, dataset, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, tags, 512)                                                                                               \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, U8, has_digest, 0)                                                                                            \
    F(R, FIXED, digest, HASH_SIZE)                                                                                     \
    F(R, FIXED, key, WRAP_SIZE) /* wrapped data key of the blob to be */                                               \
    F(R, U32, key_number, 0)    /* of the subject's key that wraps it */                                               \
    F(R, U32, pages, 0)         /* manifest pages stored */                                                            \
    F(R, U32, chunks, 0)        /* entries in them */                                                                  \
    F(R, U32, last, 0)          /* object length of the last entry */                                                  \
    F(R, U32, announced, 0)     /* objects */                                                                          \
    F(R, U8, state, 0)          /* enum upload_state */                                                                \
    F(R, U8, rekey, 0)          /* 1: no deposit, but a file's content under another data key (rekey.c) */             \
    F(R, U64, keyed, 0)         /* when its data key was made */                                                       \
    F(R, U64, segments, 0)      /* that its data key has sealed, in all objects that were announced */
DECLARE_RECORD(upload_value);

#define FIELDS_grant_value(F, R)                                                                                       \
    F(R, FIXED, request, ID_SIZE)                                                                                      \
    F(R, FIXED, file, ID_SIZE)                                                                                         \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, purpose, 512)                                                                                            \
    F(R, U8, kind, 0) /* of the purpose: enum purpose_kind */                                                          \
    F(R, STR, project, NAME_MAX_SIZE)                                                                                  \
    F(R, U64, size, 0) /* upper bound of what could be read under it */                                                \
    F(R, U8, rekey, 0) /* 1: nobody's, but for another data key (rekey.c) */
DECLARE_RECORD(grant_value);

enum request_state { REQUEST_RUNNING = 0, REQUEST_ENDED = 1 };

#define FIELDS_request_value(F, R)                                                                                     \
    F(R, U64, seq, 0) /* of its last record */                                                                         \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, event, 32)                                                                                               \
    F(R, STR, outcome, 16)                                                                                             \
    F(R, U8, state, 0)  /* enum request_state */                                                                       \
    F(R, U8, status, 0) /* exit status that vaultctl would give */
DECLARE_RECORD(request_value);

#define FIELDS_job_value(F, R)                                                                                         \
    F(R, U32, number, 0)                                                                                               \
    F(R, STR, what, 16)                                                                                                \
    F(R, U32, generation, 0)        /* kek: the target; subject, of one: the number of the key that is to go */        \
    F(R, STR, owner, NAME_MAX_SIZE) /* the subject, where it is about one */                                           \
    F(R, BYTES, cursor, 64)         /* last key done */                                                                \
    F(R, U64, done, 0)                                                                                                 \
    F(R, U64, met, 0)    /* subject: files met in this subject's turn */                                               \
    F(R, U64, failed, 0) /* of them, what is damaged and was left as it is */                                          \
    F(R, U64, total, 0)                                                                                                \
    F(R, U8, ended, 0)                                                                                                 \
    F(R, U64, begun, 0) /* data: what was keyed since then is left alone */                                            \
    F(R, U8, paused, 0)                                                                                                \
    F(R, U32, rate, 0) /* entries in a second; data: MiB; 0: no limit */                                               \
    F(R, U8, leave, 0) /* index: 1: what does not open is left behind */
DECLARE_RECORD(job_value);

/* The generations before this one were retired. */
#define FIELDS_retired_value(F, R)                                                                                     \
    F(R, U64, when, 0)                                                                                                 \
    F(R, U64, record, 0)  /* number of the record that says so */                                                      \
    F(R, U64, cleared, 0) /* when the last escrow copy that held any of them was destroyed; 0: none was since */
DECLARE_RECORD(retired_value);

/* A copy of the key ring that custodians hold. */
#define FIELDS_escrow_value(F, R)                                                                                      \
    F(R, U32, number, 0)                                                                                               \
    F(R, U64, made, 0)                                                                                                 \
    F(R, U64, record, 0) /* number of the record that says so */                                                       \
    F(R, STR, made_by, NAME_MAX_SIZE)                                                                                  \
    F(R, FIXED, ceremony, CEREMONY_ID)                                                                                 \
    F(R, U32, threshold, 0)                                                                                            \
    F(R, BYTES, recipients, SHARES_MAX * 32) /* X25519 public keys: one for each share */                              \
    F(R, U64, epoch, 0)                      /* of the ring that was copied */                                         \
    F(R, U32, oldest, 0)                     /* generations that it holds */                                           \
    F(R, U32, newest, 0)                                                                                               \
    F(R, U64, destroyed, 0) /* when somebody stated that; 0: nobody has */                                             \
    F(R, STR, stated_by, NAME_MAX_SIZE)                                                                                \
    F(R, STR, approved_by, NAME_MAX_SIZE)                                                                              \
    F(R, STR, statement, ESCROW_STATEMENT)
DECLARE_RECORD(escrow_value);

/* A blob of which stored data was found damaged. What a worker reports is its word: it may have read it otherwise, or
 * lie. What the store confirms has been compared with its address. */
#define FIELDS_failure_value(F, R)                                                                                     \
    F(R, FIXED, file, ID_SIZE)                                                                                         \
    F(R, U32, reported, 0)  /* reads that ended so */                                                                  \
    F(R, U32, confirmed, 0) /* times that the store found an object of it damaged */                                   \
    F(R, U64, found, 0)     /* when it last found one damaged or missing */                                            \
    F(R, U64, aside, 0)     /* since when the file is set aside; 0: it is not */                                       \
    F(R, U8, wanted, 0)     /* 1: the store is to look at `object`, which was reported */                              \
    F(R, FIXED, object, HASH_SIZE)
DECLARE_RECORD(failure_value);

enum { BACKUP_NAME = 64 };

/* A verified copy of the index. */
#define FIELDS_backup_value(F, R)                                                                                      \
    F(R, STR, name, BACKUP_NAME)                                                                                       \
    F(R, U64, made, 0)                                                                                                 \
    F(R, U64, record, 0)  /* number of the record that says so */                                                      \
    F(R, U64, epoch, 0)   /* of the key ring then */                                                                   \
    F(R, U32, oldest, 0)  /* first generation that it needs */                                                         \
    F(R, U32, newest, 0)  /* generation that was active */                                                             \
    F(R, U64, records, 0) /* size of its log */                                                                        \
    F(R, U64, entries, 0)                                                                                              \
    F(R, U64, objects, 0)                                                                                              \
    F(R, U64, bytes, 0)                                                                                                \
    F(R, U32, index_key, 0) /* generation of the key that its values are under */                                      \
    F(R, U64, died, 0)      /* when a key that it needs was retired; 0: not */                                         \
    F(R, U32, name_key, 0)  /* generation of the key that its names are under */
DECLARE_RECORD(backup_value);

/* A subject or one file of it was shredded. */
#define FIELDS_shred_value(F, R)                                                                                       \
    F(R, U32, number, 0)           /* within the subject, from 1 */                                                    \
    F(R, STR, name, NAME_MAX_SIZE) /* of the file; empty: the whole subject */                                         \
    F(R, FIXED, file, ID_SIZE)                                                                                         \
    F(R, U64, approved, 0)                                                                                             \
    F(R, STR, asked_by, NAME_MAX_SIZE)                                                                                 \
    F(R, STR, approved_by, NAME_MAX_SIZE)                                                                              \
    F(R, U32, key_number, 0) /* the file's key was under this key of the subject */                                    \
    F(R, U64, forgotten, 0)  /* when that key was forgotten; 0: not yet */                                             \
    F(R, U32, generation, 0) /* forgotten: the last generation that wrapped it */
DECLARE_RECORD(shred_value);

/* A blob that no file has any more: its objects and pages go. */
#define FIELDS_removed_value(F, R)                                                                                     \
    F(R, FIXED, upload, ID_SIZE) /* under which cleaning finds what to remove */                                       \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, U32, pages, 0)                                                                                                \
    F(R, U32, marked, 0) /* pages whose objects are marked */
DECLARE_RECORD(removed_value);

#define FIELDS_pending_value(F, R)                                                                                     \
    F(R, U32, number, 0)                                                                                               \
    F(R, U64, asked, 0)                                                                                                \
    F(R, U64, expires, 0)                                                                                              \
    F(R, STR, asker, NAME_MAX_SIZE)                                                                                    \
    F(R, STR, what, 32) /* the event that it would be */                                                               \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, detail, PENDING_DETAIL)                                                                                  \
    F(R, BYTES, message, BLOCK_MAX + 64) /* the request as it came: message_encode */
DECLARE_RECORD(pending_value);

/* Times in microseconds since 1970. */
#define FIELDS_scrub_value(F, R)                                                                                       \
    F(R, U64, started, 0)          /* 0: never */                                                                      \
    F(R, U64, ended, 0)            /* 0: not yet */                                                                    \
    F(R, U8, begun, 0)             /* the cursor counts */                                                             \
    F(R, FIXED, cursor, HASH_SIZE) /* last object that was checked */                                                  \
    F(R, U64, total, 0)            /* objects that there were at the start; afterwards those that were checked */      \
    F(R, U64, done, 0)                                                                                                 \
    F(R, U64, damaged, 0)                                                                                              \
    F(R, U64, missing, 0)
DECLARE_RECORD(scrub_value);

/* Glass was broken in an emergency: an auditor looks at it. */
#define FIELDS_review_value(F, R)                                                                                      \
    F(R, U64, seq, 0) /* number of its record */                                                                       \
    F(R, U64, opened, 0)                                                                                               \
    F(R, STR, service, NAME_MAX_SIZE)                                                                                  \
    F(R, STR, subject, NAME_MAX_SIZE)                                                                                  \
    F(R, FIXED, file, ID_SIZE) /* zero: files were listed */                                                           \
    F(R, STR, reason, 200)                                                                                             \
    F(R, U64, closed, 0) /* 0: not yet */                                                                              \
    F(R, STR, closed_by, NAME_MAX_SIZE)                                                                                \
    F(R, STR, note, 200)
DECLARE_RECORD(review_value);

/* What one project or service has read for a purpose in one period (docs/decision.md, "Budgets"). */
#define FIELDS_budget_value(F, R)                                                                                      \
    F(R, FIXED, id, ID_SIZE) /* under which its files and subjects are marked */                                       \
    F(R, U8, purpose, 0)     /* enum purpose_kind */                                                                   \
    F(R, U8, per, 0)         /* enum budget_per */                                                                     \
    F(R, U8, period, 0)      /* enum budget_period */                                                                  \
    F(R, U32, begin, 0)      /* first day of the period, days since 1970-01-01 */                                      \
    F(R, STR, name, NAME_MAX_SIZE)                                                                                     \
    F(R, U64, bytes, 0) /* handed out in reads that have ended */                                                      \
    F(R, U64, files, 0) /* different ones of which a read was permitted */                                             \
    F(R, U64, subjects, 0)
DECLARE_RECORD(budget_value);

/* A SAN, project or approval of this name exists. */
#define FIELDS_name_value(F, R) F(R, U64, current, 0) /* as in the value that it vouches for; SANs: 0 */
DECLARE_RECORD(name_value);

enum { LOCAL_NAME = 16 };

#define FIELDS_chain_value(F, R)                                                                                       \
    F(R, U64, count, 0)          /* records so far */                                                                  \
    F(R, U64, current, 0)        /* as in the value of the subject or service */                                       \
    F(R, FIXED, last, HASH_SIZE) /* leaf hash of the last */                                                           \
    F(R, U64, end, 0)            /* number of the last + 1; 0: there is none */                                        \
    F(R, STR, local, LOCAL_NAME) /* whose it is, if an administrator's on the Unix socket: no value else says so */
DECLARE_RECORD(chain_value);

enum { LEAF_NODES = 64 * HASH_SIZE };

/* Of a record, whether its line is in the index or in a segment: the one before it in its subject's, its service's and
 * its project's chain, number + 1 (0: there is none), and the roots of the subtrees of the log that it completes, from
 * its own hash upwards. */
#define FIELDS_leaf_value(F, R)                                                                                        \
    F(R, U64, subject, 0)                                                                                              \
    F(R, U64, service, 0)                                                                                              \
    F(R, U64, project, 0)                                                                                              \
    F(R, BYTES, nodes, LEAF_NODES)
DECLARE_RECORD(leaf_value);

enum { SEGMENT_NAME = 40 };

/* Records that left the index for a file. */
#define FIELDS_segment_value(F, R)                                                                                     \
    F(R, U32, number, 0)                                                                                               \
    F(R, STR, name, SEGMENT_NAME) /* of the file in `archive` */                                                       \
    F(R, U64, first, 0)           /* number of the first record */                                                     \
    F(R, U64, end, 0)             /* behind the last */                                                                \
    F(R, U64, bytes, 0)           /* of the file that count */                                                         \
    F(R, STR, first_time, 27)     /* of the first record, as it says it */                                             \
    F(R, STR, last_time, 27)      /* of the last */                                                                    \
    F(R, U64, begun, 0)                                                                                                \
    F(R, U64, ended, 0)     /* 0: more may come */                                                                     \
    F(R, U64, destroyed, 0) /* 0: it was not */                                                                        \
    F(R, STR, destroyed_by, NAME_MAX_SIZE)                                                                             \
    F(R, STR, approved_by, NAME_MAX_SIZE)
DECLARE_RECORD(segment_value);

/* Where a segment has the records up to the one that is the key. */
#define FIELDS_frame_value(F, R)                                                                                       \
    F(R, U32, segment, 0)                                                                                              \
    F(R, U64, first, 0)                                                                                                \
    F(R, U64, offset, 0) /* in its file */                                                                             \
    F(R, U32, size, 0)   /* there: sealed */
DECLARE_RECORD(frame_value);

enum { VKEY_TEXT = 319, SIGNATURE_SIZE = 64 };

/* With INTENT_AUDIT_KEY: what the record of the change will say, signed while both keys are there. */
#define FIELDS_audit_key_value(F, R)                                                                                   \
    F(R, STR, from, VKEY_TEXT)                                                                                         \
    F(R, STR, to, VKEY_TEXT)                                                                                           \
    F(R, U64, size, 0)                                                                                                 \
    F(R, FIXED, root, HASH_SIZE)                                                                                       \
    F(R, FIXED, from_signature, SIGNATURE_SIZE)                                                                        \
    F(R, FIXED, to_signature, SIGNATURE_SIZE)
DECLARE_RECORD(audit_key_value);

#endif
