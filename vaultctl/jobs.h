/* Jobs as a table, and followed. */
#ifndef VAULTCTL_JOBS_H
#define VAULTCTL_JOBS_H

#include "command.h"
#include "output.h"
#include "progress.h"

extern const struct column job_columns[];

/* Whether the job's document says this state. */
bool job_is(const json_t *job, const char *state);
/* Follows *job to its end, replacing it by its latest form, and ends the progress. OUTCOME_FAILED after a complaint:
 * interrupted, or a job is paused. */
int job_follow(struct call *c, json_t **job, struct progress *p);

#endif
