/* Jobs as a table. */
#ifndef VAULTCTL_JOBS_H
#define VAULTCTL_JOBS_H

#include "output.h"

extern const struct column job_columns[];

#endif
