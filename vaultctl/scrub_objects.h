/* Stored objects, checked by who holds no key: each file is named by the SHA-256 of its bytes. */
#ifndef VAULTCTL_SCRUB_OBJECTS_H
#define VAULTCTL_SCRUB_OBJECTS_H

#include "command.h"

/* Reads every file beneath `folder`. *ret is {"objects": n, "damaged": [names], "foreign": [paths]}, owned by the
 * caller; foreign is what is no object in its place. OUTCOME_DONE; OUTCOME_INTEGRITY if there is any of the two;
 * OUTCOME_FAILED after a complaint. */
int scrub_objects(struct call *c, const char *folder, json_t **ret);

#endif
