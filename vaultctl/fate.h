/* What became of a request whose answer broke off: only the vault knows. */
#ifndef VAULTCTL_FATE_H
#define VAULTCTL_FATE_H

#include "command.h"
#include "http.h"

/* Asks the vault about the request of a broken answer, and complains with what it says. The exit status: never
 * OUTCOME_DONE. */
int fate_tell(struct call *c, const struct http_answer *broken);

#endif
