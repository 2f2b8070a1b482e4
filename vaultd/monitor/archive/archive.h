/* Archive segments: records that left the index for files of their own, each sealed by a key of its own. What proves
 * them (the tree, the chains) stays in the index. docs/format-index.md, "Archive segments".
 *
 * A segment is a file in the folder `archive` of the state directory, of frames one after the other; a frame holds some
 * records' lines. The index knows which frame holds which records, and the segment's key. Only the process that began a
 * segment writes to it: what an older index, put back, believes of a file's length can overwrite nothing. */
#ifndef VAULT_MONITOR_ARCHIVE_H
#define VAULT_MONITOR_ARCHIVE_H

#include "vaultd/monitor/keys/jobs.h"
#include "vaultd/monitor/log/frame.h"
#include "vaultd/monitor/log/log.h"
#include "vault/record.h"

enum { FRAME_LINES = 512, FRAME_SIZE = FRAME_TEXT + SEAL_OVERHEAD, SEGMENT_LINES = 65536 };

/* When the first and the last record of a frame say that they were written. */
struct frame_times {
    char first[28], last[28];
};

/* ---- segment.c: files and frames ---- */

/* The line of a record that is not in the index any more; good until the next call. VAULT_AGAIN: its segment is away,
 * or was destroyed. VAULT_E_DAMAGED (also: no segment has it), faults of the index. */
int archive_line(struct monitor *m, uint64_t seq, const char **ret, size_t *ret_n);
/* Lets go of the frame, the file and the keys in hand: whenever the index or the keys are another. */
void archive_forget(struct monitor *m);
/* Frees it. */
void archive_free(struct monitor *m);

int segment_load(struct monitor *m, uint32_t number, struct segment_value *ret);
int segment_store(struct monitor *m, const struct segment_value *v);
bool segment_is_there(const struct monitor *m, const struct segment_value *v);
/* Begins a segment: a file and a key, of which the index knows nothing yet. VAULT_AGAIN: the file system refuses;
 * VAULT_E_MEMORY. */
int segment_begin(struct monitor *m, uint64_t first, struct segment_value *ret);
/* Whether this process began it, and can go on. */
bool segment_goes_on(const struct monitor *m, const struct segment_value *v);
/* Seals the frame to the end of the segment's file, durably, and reads it again from there, within the transaction. The
 * first one makes the index know the key; the segment's entry and meta are the caller's to store. VAULT_AGAIN: the file
 * system refuses, and nothing was changed. Faults of the index. */
int segment_append(struct monitor *m, struct segment_value *v, const struct frame *f, const struct frame_times *t);
/* Nothing more is written to it after a VAULT_AGAIN; of one without any frame the file goes. */
void segment_abandon(struct monitor *m, const struct segment_value *v);
/* Removes its file, if it is there. */
void segment_remove(const struct monitor *m, const struct segment_value *v);
/* Nothing more is written to it. */
void segment_finish(struct monitor *m, struct segment_value *v);

/* ---- job.c ---- */

/* In the archive's part of `low` to before `high`, leaves of that range what has the first record that is not before
 * this time, by what segments say of themselves: one segment at the most. Faults of the index. */
int archive_narrow(struct monitor *m, const char time[28], uint64_t *low, uint64_t *high);
/* False while a witness doubts this log, or a restored one is not confirmed. */
bool archive_may_grow(const struct monitor *m);

/* ---- archives.c: asked for, listed, destroyed ---- */

/* The first segment that holds records from `from` to before `to` and is away or destroyed. VAULT_NOT_FOUND: none is.
 * Faults of the index. */
int archive_gap(struct monitor *m, uint64_t from, uint64_t to, struct segment_value *ret);
/* Records and answers that this segment is away or destroyed. Faults of the index. */
int archive_refuse(struct request *q, const char *event, const struct segment_value *v);
/* The same for the segment that holds this record. */
int archive_refuse_record(struct request *q, const char *event, uint64_t seq);
/* Removes the files of segments that were destroyed, where m->archive_sweep says so. *ret_more: ask again in the next
 * turn. Faults of the index. */
int archive_step(struct monitor *m, bool *ret_more);
/* How the log grows, for `status`: a new reference. */
json_t *audit_json(struct monitor *m);

#endif
