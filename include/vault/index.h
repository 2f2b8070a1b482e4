/* The index: one LMDB environment behind one file. Every value is sealed (XChaCha20-Poly1305; associated data:
 * database, key, generation of the sealing key), but for wrapped keys, which are already; names and identifiers appear
 * in keys only as keyed hashes or random ids. docs/format-index.md. One writer, the monitor's thread; changes of one
 * batch are one transaction. */
#ifndef VAULT_INDEX_H
#define VAULT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/tally.h"
#include "vault/fields.h"
#include "vault/secret.h"

struct index;

enum index_db {
    DB_META,
    DB_SUBJECTS,       /* hash of the subject -> subject_value */
    DB_CONSENTS,       /* hash of the subject ‖ be32 version -> consent_value */
    DB_SERVICES,       /* hash of the name -> service_value */
    DB_SANS,           /* hash of the SAN -> san_value */
    DB_PROJECTS,       /* hash of the name -> project_value */
    DB_ETHICS,         /* hash of the name -> ethics_value */
    DB_POLICIES,       /* be32 version -> policy_value */
    DB_FILES,          /* file id -> file_value */
    DB_FILE_NAMES,     /* hash of subject and name -> file_name_value */
    DB_SUBJECT_FILES,  /* hash of the subject ‖ file id -> mark_value */
    DB_DATASET_FILES,  /* hash of the dataset ‖ file id -> mark_value */
    DB_BLOBS,          /* blob id -> blob_value */
    DB_PAGES,          /* blob id ‖ be32 page -> page_value */
    DB_UPLOADS,        /* upload id -> upload_value */
    DB_UPLOAD_OBJECTS, /* upload id ‖ address -> mark_value */
    DB_GRANTS,         /* grant id -> grant_value */
    DB_REQUESTS,       /* request id -> request_value */
    DB_JOBS,           /* be32 number -> job_value */
    DB_CHAINS,         /* hash of subject or service -> chain_value */
    DB_RECORDS,        /* be64 number of the first -> lines of records */
    DB_LEAVES,         /* be64 number of a record -> leaf_value */
    DB_OBJECTS,        /* address -> object_value */
    DB_NAMES,          /* hash of a SAN, project or approval -> mark_value: there is one */
    DB_PENDING,        /* be32 number -> pending_value */
    DB_SHREDS,         /* hash of the subject ‖ be32 number -> shred_value */
    DB_REMOVED,        /* blob id -> removed_value */
    DB_RETIRED,        /* be32 number of a generation -> retired_value */
    DB_ESCROWS,        /* be32 number -> escrow_value */
    DB_FAILURES,       /* blob id -> failure_value */
    DB_BACKUPS,        /* be32 number -> backup_value */
    DB_HELD,           /* be64 size of the log then ‖ blob id -> removed_value */
    DB_SUBJECT_KEYS,   /* hash of the subject ‖ be32 number -> subject_key_value, not sealed once more */
    DB_REVIEWS,        /* be64 number of a record -> review_value */
    DB_BUDGETS,      /* hash of a project or service ‖ u8 purpose ‖ u8 period ‖ be32 first day -> budget_value */
    DB_BUDGET_MARKS, /* id of a budget_value ‖ file id or id of a subject -> mark_value: it is counted */
    DB_CARE,         /* hash of the subject -> care_value */
    DB_SEGMENTS,     /* be32 number -> segment_value */
    DB_SEGMENT_KEYS, /* be32 number -> the 32 bytes of its key */
    DB_FRAMES,       /* be64 number of its last record -> frame_value */
    DB_COUNT
};

enum { INDEX_KEY_MAX = 64, INDEX_VALUE_MAX = 57344 };

/* Keys that values are sealed under: the present one, of this generation, and while values are resealed the next one,
 * of the generation after it (else NULL). Borrowed. */
struct index_keys {
    const struct secret *key, *next;
    uint32_t generation;
};

/* Opens (makes, if `make`) the environment in folder `index` of the current directory; the keys must live as long.
 * VAULT_NOT_FOUND (there is none and `make` is not set), VAULT_E_IO, VAULT_E_FULL, VAULT_E_MEMORY, VAULT_E_FORMAT,
 * VAULT_E_DAMAGED (LMDB finds no environment in the file, or values are under a key that is not given). Where the tally
 * is gone or damaged it opens, and no check will find it whole. */
int index_open(const struct index_keys *keys, uint64_t map_size, bool make, struct index **ret);
/* True if folder `index` holds an environment, or it cannot be looked at; needs no key. */
bool index_exists(void);
/* Aborts what is under way. Accepts NULL and a pointer to NULL. */
void index_close(struct index **i);

/* Starts the write transaction, growing the map first when it runs low. VAULT_E_STATE if there is one. */
int index_begin(struct index *i);
/* Durable when it returns VAULT_OK. After any fault the transaction is gone and the index must be closed and opened
 * again (LMDB's pages in memory can be stale after a failed sync). VAULT_E_FULL, VAULT_E_IO. */
int index_commit(struct index *i);
void index_abort(struct index *i);
bool index_writing(const struct index *i);
/* Counts all changes ever made, to tell whether a failed step left something behind. */
uint64_t index_changes(const struct index *i);
/* Lets go of the read transaction that look-ups outside a write transaction share. Call it at the end of a turn. */
void index_end_reads(struct index *i);

/* Unseals a value. VAULT_NOT_FOUND, VAULT_E_DAMAGED, VAULT_E_LIMIT (does not fit), VAULT_E_IO. */
int index_get(struct index *i, enum index_db db, const void *key, size_t key_size, void *to, size_t size,
              size_t *ret_n);
/* The entry with the greatest key that is not greater than this one, and its key. Errors likewise. */
int index_get_upto(struct index *i, enum index_db db, const void *key, size_t key_size, uint8_t ret_key[INDEX_KEY_MAX],
                   size_t *ret_key_size, void *to, size_t size, size_t *ret_n);
/* Seals and stores; replaces what is there. Needs a write transaction. VAULT_E_FULL, VAULT_E_IO. */
int index_put(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n);
/* The same, faster where the key comes behind all others of the database, whose pages are then filled whole. */
int index_append(struct index *i, enum index_db db, const void *key, size_t key_size, const void *from, size_t n);
/* VAULT_NOT_FOUND. */
int index_delete(struct index *i, enum index_db db, const void *key, size_t key_size);

/* Writes the index that another process serves from folder `index` of the current directory, as it is now, to an open
 * file: what is in it, and nothing that was deleted before. Needs no key. May start a thread for its own duration.
 * VAULT_NOT_FOUND, VAULT_E_IO, VAULT_E_FULL, VAULT_E_MEMORY, VAULT_E_DAMAGED. */
int index_copy(int to);
/* Frees the places of other processes that read and have died. VAULT_E_IO. */
int index_free_readers(struct index *i);

/* The tally of all entries (tally.h), as of the transaction under way: a digest of it, and how many there are. */
void index_digest(const struct index *i, uint8_t ret[TALLY_DIGEST]);
uint64_t index_entries(const struct index *i);
/* How many entries a database has. VAULT_E_IO. */
int index_count(struct index *i, enum index_db db, uint64_t *ret);
/* Counts all entries anew while changes go on, a slice at each call; a call after the last slice begins again.
 * VAULT_OK: they are those that were stored here; VAULT_E_DAMAGED: they are not; VAULT_AGAIN: there is more to count;
 * VAULT_E_IO. */
int index_check(struct index *i);

/* ---- reseal.c: another key for all values, while they are used ---- */

/* Whether values are being resealed, or are all under the next key and the present one was not forgotten yet. */
bool index_is_resealing(const struct index *i);
/* Begins it, in the write transaction; nothing, if it has begun. The keys hold the next one. VAULT_E_STATE (they do
 * not, or there is no transaction), VAULT_E_MEMORY. */
int index_reseal_begin(struct index *i, const struct index_keys *keys);
/* The next entries in the order of databases and keys, up to `most` and no more than a slice, in the write transaction;
 * *ret_done is how many. What does not open stays as it is: VAULT_DENIED, and *ret_db its database; with `leave` it is
 * passed over and counted in *ret_left. VAULT_NOT_FOUND: all are under the next key. VAULT_E_STATE, VAULT_E_DAMAGED,
 * VAULT_E_IO, VAULT_E_FULL. */
struct index_reseal {
    uint64_t most;
    bool leave;
};
int index_reseal(struct index *i, const struct index_reseal *how, uint64_t *ret_done, uint64_t *ret_left,
                 enum index_db *ret_db);
/* The present key is forgotten; `keys` holds what was the next one. Only after VAULT_NOT_FOUND of the above became
 * durable. VAULT_E_STATE. */
int index_reseal_end(struct index *i, const struct index_keys *keys);
/* The name of a database, for people. */
const char *index_db_name(enum index_db db);

/* The first key that starts with the prefix and is greater than `after` (after_size 0: from the start). Longer keys
 * than any of ours are passed over. VAULT_NOT_FOUND, VAULT_E_IO. */
int index_next(struct index *i, enum index_db db, const void *prefix, size_t prefix_size, const void *after,
               size_t after_size, uint8_t ret_key[INDEX_KEY_MAX], size_t *ret_key_size);

/* Changes the next entries of a database after the key `after` (*size 0: from the start), up to `most`, each in its
 * place: `change` has the value in the clear, and leaves another of the same size (VAULT_OK), or the same
 * (VAULT_AGAIN), or finds it damaged (VAULT_E_DAMAGED: it stays); any other result ends it. `after` becomes the last of
 * them, *ret_done and *ret_damaged how many they were. VAULT_NOT_FOUND: none is left. VAULT_E_STATE (no transaction),
 * VAULT_E_FULL, VAULT_E_IO. */
struct index_rewrite {
    enum index_db db;
    uint64_t most;
    int (*change)(void *context, const uint8_t *key, size_t key_size, uint8_t *value, size_t n);
    void *context;
};
int index_rewrite(struct index *i, const struct index_rewrite *how, uint8_t after[INDEX_KEY_MAX], size_t *size,
                  uint64_t *ret_done, uint64_t *ret_damaged);

/* index_get and index_put for records; a value that does not decode is VAULT_E_DAMAGED. */
int index_get_record(struct index *i, enum index_db db, const void *key, size_t key_size, const struct layout *l,
                     void *ret_record);
int index_put_record(struct index *i, enum index_db db, const void *key, size_t key_size, const struct layout *l,
                     const void *record);

#endif
