/* Jobs: work over many entries that goes on while the vault serves, one bounded step in each turn, and after a death
 * where it was. They run one after the other, in the order in which they were begun. */
#ifndef VAULT_MONITOR_JOBS_H
#define VAULT_MONITOR_JOBS_H

#include "vaultd/monitor/monitor.h"

struct job_kind {
    const char *what; /* job_value.what */
    /* One step within the transaction; moves j's cursor and done on, by m->job_room entries at the most.
     * VAULT_NOT_FOUND: nothing is left to do. VAULT_AGAIN: there is nothing to do just now; jobs_wake, or some time,
     * brings the next step. Otherwise faults of the index. */
    int (*step)(struct monitor *m, struct job_value *j);
    /* Records that nothing is left, in the same transaction; done again if a death comes between. Faults of the index.
     */
    int (*end)(struct monitor *m, const struct job_value *j);
};

/* keys.c: subjects' keys to another generation of the key-encryption key. */
extern const struct job_kind job_kek;
/* turns.c: subjects to another key of their own. */
extern const struct job_kind job_turn;
/* index_key.c: the index to another key. */
extern const struct job_kind job_index;
/* name_key.c: names in the index to another key. */
extern const struct job_kind job_names;
/* archive/job.c: records of the audit to archive segments. */
extern const struct job_kind job_archive;
/* shreds.c: the files of a shredded subject. */
extern const struct job_kind job_shred;

/* The rotation of data keys has work for months, done by a worker: it runs beside the others (rekey.c). */
#define JOB_ASIDE "data"

/* Puts a job at the end of the queue, with everything but its number and kind filled in. Faults of the index. */
int job_begin(struct monitor *m, const char *what, struct job_value *j);
/* Whether one of this kind has not ended. Faults of the index. */
int job_is_open(struct monitor *m, const struct job_kind *kind, bool *ret);
/* By its number. VAULT_E_DAMAGED (also if it is not there), faults of the index. */
int job_load(struct monitor *m, uint32_t number, struct job_value *ret);
int job_store(struct monitor *m, const struct job_value *j);
/* Records, within the transaction, that nobody goes on with this job: what it was to do is not known, or cannot be
 * done. Faults of the index. */
int job_failed(struct monitor *m, uint32_t number, const char *why);
/* Milliseconds from now until `due` (loop_now_ms), as loop_turn takes them. */
int job_wait(uint64_t due);
/* How many have not ended. */
uint32_t jobs_open(const struct monitor *m);
/* As answers show it: a new reference. */
json_t *job_json(struct monitor *m, const struct job_value *j);

/* ---- in the monitor's turn ---- */

/* One bounded step of the job that runs, if one does. *ret_more: there is more to do now. Faults of the index. */
int jobs_step(struct monitor *m, bool *ret_more);
/* Milliseconds until the job that waits wants its next step, -1: none does. */
int jobs_tick(const struct monitor *m);
/* After a batch: while a grant is open, the job waits for as long as its part in the batch took. */
void jobs_rest(struct monitor *m);
/* What the first job waits for may have come, or nothing is known of it any more: its next step is due. */
void jobs_wake(struct monitor *m);

#endif
